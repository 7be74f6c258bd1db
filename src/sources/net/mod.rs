//! The way to a server, whoever it is: connections through proxies and TLS, why none came about, and programs that are
//! run for what they print. Knows neither Kubernetes nor AWS.

pub mod child;
pub mod error;
pub mod proxy;
#[cfg(test)]
pub(crate) mod server;
pub mod transport;
