//! The state of the chain, as persistent values: a copy costs little and never changes.
//!
//! Never touches the disk or the network, and starts no thread.

pub mod accounts;
pub mod headers;
pub mod history;
pub mod pool;
