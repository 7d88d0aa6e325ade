//! The node: the one owner of the chain and of the wallet, and the view that everyone reads.
//!
//! Never waits for anyone outside: not for peers, clients or miners.

pub mod wallet_file;
