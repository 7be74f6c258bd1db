//! Small pure helpers without a home of their own: ages, quantities, suggestions. They know nothing of the rest.

pub mod age;
pub mod quantity;
pub mod suggest;
