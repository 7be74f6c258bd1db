//! What there is in the simulated cluster and what goes on in it. Knows objects as JSON; nothing of HTTP.

pub mod churn;
pub mod company;
pub mod controllers;
pub mod custom;
pub mod managed;
pub mod metrics;
pub mod node;
pub mod objects;
pub mod pod;
pub mod pod_object;
pub mod pod_status;
pub mod seed;
pub mod workload;
