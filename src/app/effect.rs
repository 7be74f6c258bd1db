//! What the app can ask for: the only way from a key to the world outside. Plain data, so that tests assert it.

use super::{prompt::PromptKind, stack::Place, streams::Want};
use crate::{
    sources::{
        aws::{change::Change, fleet::Watched},
        kube::{fetch::Request, metrics::Ask},
    },
    store::{stream::StreamId, table::Uid},
};

/// Something to be done by the runtime.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Leave the cluster and connect to a context.
    Connect(Option<String>),
    /// The same for a cluster of the fleet, which needs no context.
    Join(Uid),
    Open(StreamId, Want),
    Close(StreamId),
    /// Learn what the server serves.
    Discover,
    /// Poll AWS faster while what it says is on screen.
    Attend(bool),
    /// Which clusters of the fleet are on screen.
    Watch(Watched),
    /// Poll metrics of one kind, or of none.
    Measure(Option<Ask>),
    Fetch {
        ticket: u64,
        request: Request,
    },
    /// Change the size of a node group, which is known by its uid; its name is for what is said of it.
    Change {
        group: Uid,
        name: String,
        change: Change,
    },
    /// Answer the question for a code that is on screen; `None` is no answer.
    Answer(Option<Code>),
    /// Sign in by IAM Identity Center: as a profile, or as the cluster's session is to be.
    Login(Option<String>),
    StopLogin,
    /// Look for credentials anew.
    Reload,
    Copy(String),
    /// Write what is to be remembered.
    Save,
    /// Stop as the shell's Ctrl-Z would.
    Suspend,
    /// Draw the whole screen again.
    Redraw,
    Theme(String),
    /// Keep a typed line.
    Remember(PromptKind, String),
}

/// A code that a person typed. Not for logs, although it is good for half a minute only.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Code(pub String);

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Code(‹hidden›)")
    }
}

/// What to do with the answer to a fetch.
#[derive(Debug, Clone, PartialEq)]
pub enum Ticket {
    /// Show an object's YAML under this title, to whoever still waits for it.
    Yaml {
        title: String,
        place: Place,
    },
    Introduction,
    Namespaces(crate::kinds::KindId),
}
