//! Small pure helpers without a home of their own: ages, quantities, suggestions, TOML with places, patterns, secrets in
//! texts, work shared between cores. They know nothing of the rest.

pub mod age;
pub mod document;
pub mod parallel;
pub mod pattern;
pub mod quantity;
pub mod redact;
pub mod suggest;
