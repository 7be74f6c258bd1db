//! The API over HTTPS: connections, requests, and the answers in every shape that clients ask for.

pub mod access;
pub mod answer;
pub mod api;
pub mod body;
pub mod discovery;
pub mod exec;
pub mod forward;
pub mod labels;
pub mod link;
pub mod list;
pub mod logs;
pub mod negotiate;
pub mod openapi;
pub mod patch;
pub mod query;
pub mod render;
pub mod route;
pub mod selector;
pub mod server;
pub mod socket;
pub mod spdy;
pub mod status;
pub mod tls;
pub mod watch;
pub mod write;
