//! What went wrong, told to a person: what happened, why, and what to do about it.
//!
//! Every error that reaches the screen, the messages view or standard error is one of these. Edges keep their own
//! `thiserror` types and turn them into a `Problem` once.

use std::fmt;

/// One thing that went wrong, in the user's words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problem {
    /// What happened, a short sentence without a full stop.
    pub what: String,
    /// Why it happened, as far as it is known. May be empty.
    pub why: String,
    /// What the user can do about it. May be empty.
    pub hint: String,
}

impl Problem {
    /// A problem of which only the fact is known so far.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), ..Self::default() }
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, why: impl fmt::Display) -> Self {
        self.why = why.to_string();
        self
    }

    /// Adds the way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.why.is_empty() {
            write!(f, ": {}", self.why)?;
        }
        if !self.hint.is_empty() {
            write!(f, " ({})", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}
