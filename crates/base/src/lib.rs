//! What ekscope and its simulator stand on: problems that reach a person, recordings, ages and quantities. Knows neither.

pub mod problem;
pub mod recording;
pub mod util;
