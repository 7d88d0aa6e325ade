//! The vocabulary of the chain: values with their exact encodings.
//!
//! Owns amounts, hashes, targets, keys, addresses, transactions and blocks.
//! Never does I/O, reads a clock, starts a thread or speaks JSON.

pub mod account;
pub mod allowance;
pub mod amount;
pub mod block;
pub mod body_ref;
pub mod compact;
pub mod encode;
pub mod hash;
pub mod keys;
#[cfg(test)]
mod keys_tests;
pub mod peer_address;
pub mod peer_id;
pub mod pow;
pub mod ration;
pub mod room;
pub mod text;
pub mod transaction;
pub mod units;

pub use account::Account;
pub use amount::Amount;
pub use block::{Block, Header, StateRoots};
pub use body_ref::BodyRef;
pub use compact::CompactBlock;
pub use hash::{BlockHash, Hash256, Txid};
pub use keys::{AddressPrefix, PublicKey, Signature};
pub use peer_address::PeerAddress;
pub use peer_id::{LinkId, PeerId};
pub use pow::{CompactTarget, Target, U256, Work};
pub use text::{Memo, Tag};
pub use transaction::{Coinbase, Expiry, Transaction, Transfer};
pub use units::{Height, UnixTime};
