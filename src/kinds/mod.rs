//! What each kind of object is on screen: wire fields → row, columns, health.

pub mod pod;
pub mod wire;
