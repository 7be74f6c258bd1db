//! Kubernetes as a source: signing in, reading frames, watching.

pub mod session;
