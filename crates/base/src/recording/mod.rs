//! Recordings: what the sources received, redacted, in one file: a bug report and a test fixture in one.
//!
//! A recording is the conversation with the API server as the sources had it: requests without what signs them in,
//! the heads of the answers, and the objects in the bodies, each with its time since the start. `sim::replay` plays it.
//! Nothing here knows a kind, a stream or a screen.
//!
//! # Why JSON, and why objects
//!
//! Redaction must not miss anything, so it works on decoded objects and never on bytes. A recording therefore asks the
//! server for JSON: in protobuf a field that no schema of ours knows would be a run of bytes in which a secret cannot be
//! told from a number, and a schema that is complete today is not tomorrow. The price is that a recording says nothing
//! about protobuf. What cannot be taken apart (half a list, garbage, text that is no JSON) is not kept: the recording
//! only says how many bytes it was.
//!
//! What may be secret is hidden by default (`redact`), not when it looks like it: environment, arguments, the content
//! of secrets and config maps, and annotations that nobody here reads.
//!
//! # Format
//!
//! One gzip stream of JSON lines: a [`Head`], then [`Entry`]s in the order of their time, and [`What::Finished`] at the
//! end. The stream is flushed every second, so that a crash costs no more; whatever lacks its last line was cut short.

mod read;
mod redact;
mod write;

pub use read::{Reader, Recorded};
pub use write::{Exchange, Recorder, Recording, Written};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the format; another is not read.
const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// Version of the format; this field is what makes a file a recording.
    pub ekscope_recording: u32,
    /// Version of the program that wrote it.
    pub program: String,
    /// When it began, in milliseconds since 1970: time zero of the entries.
    pub began_ms: i64,
    /// The namespace of the context, where it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// What the command line asked to see first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
    /// The namespaces that the command line asked for, as after `-n`, or `all`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

impl Head {
    /// A head of now.
    pub fn new(namespace: Option<String>, view: Option<String>, scope: Option<String>) -> Self {
        Self {
            ekscope_recording: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            began_ms: jiff::Timestamp::now().as_millisecond(),
            namespace,
            view,
            scope,
        }
    }
}

/// A line after the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Milliseconds since the start.
    pub at: u64,
    /// Which request it belongs to, counted from 1; 0 is none.
    pub exchange: u64,
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// A request was sent.
    Request {
        method: String,
        /// With its query.
        path: String,
        accept: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<Value>,
    },
    /// The head of the answer came.
    Answer {
        status: u16,
        #[serde(rename = "type")]
        content_type: String,
        /// Seconds, as the server asked.
        #[serde(rename = "retryAfter", default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u32>,
    },
    /// The whole body, once it was whole.
    Body(Value),
    /// One event of a watch.
    Event(Value),
    /// So many bytes that are not kept.
    Lost(u64),
    /// The body ended.
    End(End),
    /// There was no answer, and why.
    Failed(String),
    /// The recording was ended in good order.
    Finished {},
}

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// As it should.
    Whole,
    /// The connection broke.
    Cut,
    /// We wanted no more of it.
    Left,
}

#[cfg(test)]
mod tests;
