//! Data at rest.
pub mod query;
pub mod value;
