//! ekscope: a terminal explorer for Amazon EKS. This page is the map of the house.

pub mod app;
pub mod cli;
pub mod command;
pub mod config;
pub mod kinds;
pub mod problem;
pub mod sim;
pub mod sources;
pub mod store;
pub mod ui;
pub mod util;
pub mod view;
