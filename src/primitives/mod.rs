//! The vocabulary of the chain: values with their exact encodings.
//!
//! Owns amounts, hashes, targets, keys, addresses, transactions and blocks.
//! Never does I/O, reads a clock, starts a thread or speaks JSON.

pub mod hash;
pub mod pow;
pub mod units;

pub use hash::{BlockHash, Hash256, Txid};
pub use pow::{CompactTarget, Target, U256, Work};
pub use units::{Height, UnixTime};
