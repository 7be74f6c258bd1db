//! How each stream of rows is doing, for the header and the table's own line.

use crate::{kinds::KindId, problem::Problem};

/// One subscription to one kind in one scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u32);

/// What a stream is doing now. Instants are Unix seconds.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum StreamState {
    /// Waits for its turn: at most two big lists load at once.
    #[default]
    Waiting,
    Connecting {
        since: i64,
    },
    /// Rows are coming in; `about` says how many there are, where the server told.
    Loading {
        loaded: usize,
        about: Option<usize>,
    },
    Live,
    /// Polled because the server cannot watch this kind; `at` is the last answer.
    Polled {
        at: i64,
    },
    /// The connection is gone; what is shown is as of `since`, 0 where it never was whole. Tried again at `retry`.
    Stale {
        since: i64,
        retry: i64,
        why: Problem,
        /// Whether it is of a kind that passes by itself: a connection that was cut, a server that is busy.
        passing: bool,
    },
    /// The server said no: verb, resource and namespace are in the problem.
    Forbidden(Problem),
    /// The server does not know this kind (any more).
    Gone(Problem),
    /// There is nobody to ask: the cluster is not of EKS, or the AWS session is not its own.
    Off(Problem),
}

impl StreamState {
    /// Whether the table holds everything there is, as far as anyone knows.
    pub fn is_complete(&self) -> bool {
        matches!(self, StreamState::Live | StreamState::Polled { .. } | StreamState::Stale { .. })
    }
}

/// A stream as the world knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    pub kind: KindId,
    /// The namespace it covers; `None` is the whole cluster.
    pub namespace: Option<String>,
    /// The object whose rows it brings, or the part of a table; `None` is all of it.
    pub object: Option<String>,
    pub state: StreamState,
    /// Whether it ever was complete since it was opened.
    pub synced: bool,
    /// Objects that could not be read.
    pub undecodable: usize,
}
