//! What the user asked for: settings, keys and remembered state, each with the place it came from when it is wrong.
//! Knows files and environment; knows nothing of the screen, of kinds or of clusters.

pub mod document;
