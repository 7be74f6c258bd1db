//! Data in: tasks on a thread of their own that decode what comes and send batches over one bounded channel to the app
//! loop. They know the store's and the kinds' types, never a view or a key.

pub mod aws;
pub mod kube;
pub mod net;
pub mod runner;

use std::any::Any;

use crate::{
    kinds::{ColumnInfo, KindId},
    problem::Problem,
    store::{
        intern::Fresh,
        stream::{StreamId, StreamState},
        table::{Covers, Uid},
        usage::Reading,
    },
};

/// What sources tell the loop, in order: symbols are valid from the batch on that carries them.
#[derive(Debug)]
pub enum Message {
    Batch(Batch),
    /// A list is complete: rows of the stream that it did not mention are gone.
    Complete {
        stream: StreamId,
        kind: KindId,
        covers: Covers,
        epoch: u32,
    },
    State {
        stream: StreamId,
        state: StreamState,
    },
    /// What the server serves, whenever that changes.
    Served(Result<kube::discovery::Served, Problem>),
    /// What metrics.k8s.io says of a kind.
    Usage {
        kind: KindId,
        reading: Reading,
    },
    /// What came of a change of a node group.
    Changed {
        group: Uid,
        name: String,
        outcome: aws::change::Outcome,
    },
    /// What has become known of the clusters of all accounts, whichever is connected.
    Fleet(aws::fleet::News),
    /// How a sign-in in the browser goes on.
    Login(aws::login::News),
    /// Credentials were forgotten: what failed without them may be tried again.
    Reloaded,
    /// What came of looking for others: whose they are, where the server takes them.
    SignedIn(Result<String, Problem>),
    /// The answer to a fetch.
    Fetched {
        ticket: u64,
        answer: kube::fetch::Answer,
    },
}

impl Message {
    /// Whether it counts while another connection than the one that it was sent for is shown.
    pub fn outlives_connections(&self) -> bool {
        matches!(self, Message::Fleet(_) | Message::Login(_))
    }
}

/// Changes of one kind.
#[derive(Debug)]
pub struct Batch {
    pub stream: StreamId,
    pub kind: KindId,
    pub epoch: u32,
    pub fresh: Fresh,
    /// A `Changes<R>` of the kind's row type.
    pub changes: Box<dyn Any + Send>,
    pub count: usize,
    /// Columns that the server decided, before the first rows that use them.
    pub columns: Option<Vec<ColumnInfo>>,
    /// How many objects of this stream could not be read so far.
    pub undecodable: usize,
}
