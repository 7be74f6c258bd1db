//! What is on screen: views on a stack, and how a whole frame is put together. Drawing reads; it never changes anything.

pub mod cluster;
pub mod dialog;
pub mod frame;
pub mod guide;
pub mod status;
pub mod table;
pub mod text;

use ratatui::style::Style;

use crate::{
    config::settings::{Threshold, Thresholds},
    store::{value::Metric, world::World},
    ui::theme::{Role, Theme},
};

/// What every widget may look at while it draws.
pub struct Screen<'a> {
    pub world: &'a World,
    pub theme: &'a Theme,
    /// Milliseconds since 1970.
    pub now: i64,
    /// No block elements, no arrows.
    pub ascii: bool,
    /// For how long a changed cell is shown as changed, milliseconds.
    pub glow: i64,
    pub thresholds: &'a Thresholds,
}

impl Screen<'_> {
    pub fn style(&self, role: Role) -> Style {
        self.theme.style(role)
    }

    /// What a percentage is to be drawn as, where it is high; as it is rounded on screen.
    pub fn alarm(&self, metric: Metric, percent: f32) -> Option<Role> {
        let Threshold { warn, bad } = match metric {
            Metric::Cpu => self.thresholds.cpu,
            Metric::Memory => self.thresholds.memory,
        };
        let reaches = |threshold: u32| f64::from(percent.round()) >= f64::from(threshold);
        if reaches(bad) { Some(Role::HealthBad) } else { reaches(warn).then_some(Role::HealthWarn) }
    }
}

/// One view of the stack.
pub enum View {
    Table(Box<table::TableView>),
    Text(Box<text::TextView>),
}

impl View {
    /// How it is called in the breadcrumbs.
    pub fn crumb(&self) -> &str {
        match self {
            View::Table(view) => &view.crumb,
            View::Text(view) => &view.crumb,
        }
    }

    pub fn as_table(&self) -> Option<&table::TableView> {
        match self {
            View::Table(view) => Some(view),
            View::Text(_) => None,
        }
    }

    pub fn as_table_mut(&mut self) -> Option<&mut table::TableView> {
        match self {
            View::Table(view) => Some(view),
            View::Text(_) => None,
        }
    }

    pub fn as_text_mut(&mut self) -> Option<&mut text::TextView> {
        match self {
            View::Text(view) => Some(view),
            View::Table(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
