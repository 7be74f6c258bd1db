//! Server-side tables: the columns that kubectl shows.

pub mod platform;
pub mod printed_pod;
pub mod printers;
pub mod table;
