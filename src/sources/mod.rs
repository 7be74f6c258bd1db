//! Data in: everything that reads from outside. Sources decode and send typed batches; they know neither the store's
//! tables nor any view.

pub mod kube;
