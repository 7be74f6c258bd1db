//! Pods.

pub mod wire;
