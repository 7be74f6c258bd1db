//! Data at rest: the world of one cluster (typed tables, joins, interned texts), what a view sees of a table, and the
//! query language. Plain synchronous data: no async, no sockets, no clock, no screen.

pub mod intern;
pub mod lens;
pub mod query;
pub mod stream;
pub mod table;
pub mod usage;
pub mod value;
pub mod wishes;
pub mod world;
