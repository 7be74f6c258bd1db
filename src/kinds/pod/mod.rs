//! Pods.

pub mod resources;
pub mod status;
pub mod wire;
