//! Data at rest.
pub mod value;
