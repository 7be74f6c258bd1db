//! The log of requests, so that tests can count them.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

/// The newest requests are kept whole, all are counted.
const KEPT: usize = 4096;

/// One request as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Request {
    /// `list`, `watch`, `get` …, or the HTTP method in small letters outside the API.
    pub verb: String,
    pub path: String,
    pub query: String,
    /// What the client asked to get.
    pub accept: String,
}

/// The newest requests, and how many there were by verb and path.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RequestLog {
    pub requests: VecDeque<Request>,
    /// By `verb path`.
    pub counts: BTreeMap<String, u64>,
}

impl RequestLog {
    pub fn add(&mut self, request: Request) {
        *self.counts.entry(format!("{} {}", request.verb, request.path)).or_default() += 1;
        if self.requests.len() == KEPT {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
    }

    /// How many requests there were of this verb and path.
    pub fn count(&self, verb: &str, path: &str) -> u64 {
        self.counts.get(&format!("{verb} {path}")).copied().unwrap_or(0)
    }
}
