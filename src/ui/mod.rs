//! Widgets: how things are drawn. They get values and roles, and know nothing of kinds, sources or commands.

pub mod grid;
pub mod theme;
