//! Data in from the Kubernetes API.

pub mod cluster;
pub mod discovery;
pub mod fetch;
pub mod metrics;
pub mod session;
pub mod stream;
pub mod wire;
