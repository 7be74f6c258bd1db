//! Small pure helpers without a home of their own: ages, quantities, suggestions, TOML with places. They know nothing of
//! the rest.

pub mod age;
pub mod document;
pub mod quantity;
pub mod suggest;
