//! Farthing: a small proof-of-work cryptocurrency node with a wallet page.
//!
//! The layers, where an arrow reads "may use" (a test holds the code to it):
//!
//! ```text
//! primitives <- consensus <- chain <- node <- { miner, net, http } <- app <- main
//! storage and wallet use primitives; wire and config use primitives and consensus;
//! runtime uses nothing; cli uses config and is used by app and main alone;
//! net, http and miner never name each other
//! ```

pub mod app;
pub mod chain;
pub mod cli;
pub mod config;
pub mod consensus;
pub mod http;
pub mod miner;
pub mod net;
pub mod node;
#[doc(hidden)]
pub mod planted;
pub mod primitives;
pub mod runtime;
pub mod storage;
#[cfg(test)]
mod test_vectors;
#[doc(hidden)]
pub mod testkit;
pub mod wallet;
pub mod wire;
