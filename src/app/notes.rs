//! What the user is told: a line in the footer for a while, and the messages view for good.

use super::model::Model;
use crate::{
    problem::Problem,
    ui::theme::Role,
    view::{
        View,
        text::{Line, TextKind},
    },
};

/// How long a note stands in the footer, milliseconds.
const TOAST: i64 = 6_000;
/// Notes that are kept.
const MESSAGES: usize = 2_000;

/// How much a note matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Info,
    Warning,
    Error,
}

impl Level {
    pub fn role(self) -> Role {
        match self {
            Level::Info => Role::Info,
            Level::Warning => Role::Warning,
            Level::Error => Role::Error,
        }
    }
}

/// A note; kept in the messages view.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// Milliseconds since 1970.
    pub at: i64,
    pub level: Level,
    pub problem: Problem,
}

impl Model {
    /// Notes something for the footer and the messages view.
    pub fn note(&mut self, level: Level, problem: Problem) {
        if self.notes.len() >= MESSAGES {
            self.notes.remove(0);
        }
        self.notes.push(Note { at: self.now, level, problem });
        let open =
            self.views.iter().position(|view| matches!(view, View::Text(text) if text.kind == TextKind::Messages));
        if let Some(open) = open {
            let lines = self.messages();
            if let View::Text(text) = &mut self.views[open] {
                text.grow_above(lines);
            }
        }
    }

    /// What the messages view shows: every note, the newest first.
    pub fn messages(&self) -> Vec<Line> {
        if self.notes.is_empty() {
            return vec![Line::plain("nothing has been noted so far")];
        }
        let line = |note: &Note| {
            let at = jiff::Timestamp::from_millisecond(note.at).unwrap_or_default();
            let time = at.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string();
            let mut line = Line::default();
            line.push(&time, Role::Dim);
            line.push("  ", Role::Text);
            line.push(&note.problem.to_string().replace('\n', " "), note.level.role());
            line
        };
        self.notes.iter().rev().map(line).collect()
    }

    /// Notes something that would be found again with every connection.
    pub fn note_once(&mut self, level: Level, problem: Problem) {
        if !self.notes.iter().any(|note| note.problem == problem) {
            self.note(level, problem);
        }
    }

    pub fn info(&mut self, text: impl Into<String>) {
        self.note(Level::Info, Problem::new(text));
    }

    /// The note that stands in the footer now.
    pub fn toast(&self) -> Option<&Note> {
        self.fresh_notes().next()
    }

    /// Notes of the last seconds, the newest first.
    pub fn fresh_notes(&self) -> impl Iterator<Item = &Note> {
        self.notes.iter().rev().take_while(|note| note.at + TOAST > self.now)
    }
}
