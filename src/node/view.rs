//! What readers see: the chain and the wallet after the owner's last turn, immutable.

use super::reorganization::Reorganization;
use crate::chain::Chain;
use crate::primitives::{Amount, PublicKey};
use std::sync::Arc;

/// A consistent picture of the node. Taking one costs a reference count, and keeping one keeps only
/// what has changed since.
#[derive(Clone)]
pub struct View {
    /// The chain, the accounts and the pool.
    pub chain: Chain,
    /// The key of the loaded wallet.
    pub wallet: Option<PublicKey>,
    /// The last reorganization since the start.
    pub reorganization: Option<Arc<Reorganization>>,
    /// Grows with every change of the tip: whoever works on a template compares it.
    pub tip_changes: u64,
    /// Grows with every change of the pool.
    pub pool_changes: u64,
}

impl View {
    /// What the wallet can still spend: its balance less what is pending; `None` without a wallet.
    pub fn funds(&self) -> Option<Amount> {
        self.wallet.map(|key| self.chain.spendable(&key))
    }
}
