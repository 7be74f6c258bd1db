//! Data in from AWS: sessions, and what EKS, Auto Scaling, EC2, SSM and the price lists say, as plain data. Each call is
//! one function whose name is its permission's; none keeps anything, none is made by itself. Knows neither Kubernetes nor
//! who asks.
//!
//! EKS is asked by AWS's own client on our connections (`sdk`); one small signed client serves the others (`client`), a
//! handful of calls each, whose crates would cost minutes of build. The order in which credentials are looked for, files and variables are those of
//! the AWS CLI ([`credentials`], [`profile`]).

pub mod autoscaling;
pub mod change;
mod client;
pub mod credentials;
pub mod ec2;
pub mod eks;
pub mod endpoint;
pub mod environment;
pub mod error;
pub mod exchange;
pub mod fleet;
pub mod groups;
pub mod login;
mod metadata;
mod mint;
pub mod pace;
pub mod permissions;
pub mod pricing;
pub mod profile;
mod sdk;
pub mod session;
mod sign;
pub mod ssm;
mod sso;
pub mod standing;
pub mod sts;
pub mod token;
mod xml;

#[cfg(test)]
mod tests;

pub use client::request_token;
pub use credentials::{CodeQuestion, Wish};
pub use environment::Environment;
pub use error::{AwsError, ErrorKind, SignInFailure, WayOut};
pub use session::{AwsSession, SessionOptions};
