//! Changes: what they would mean and what is to be sent, worked out from data before anything happens. Pure; whoever
//! sends them is among the sources.

pub mod follow;
pub mod scale;
pub mod shrink;
