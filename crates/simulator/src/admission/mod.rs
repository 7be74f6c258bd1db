//! What the server checks before it stores what a client sent: the shape by the schema, the fields by the rules of their
//! kinds, and the options of requests. Pure, and in the words of Kubernetes 1.36; knows nothing of the world.

pub mod field;
pub mod kinds;
pub mod names;
pub mod options;
pub mod pod;
pub mod shape;
