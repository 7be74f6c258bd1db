//! From JSON to what goes over the wire: the schema of the protobuf messages, templates with holes, frames.

pub mod read;
pub mod schema;
pub mod template;
pub mod wire;

#[cfg(test)]
pub mod decode;
