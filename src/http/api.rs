//! What all handlers share: the way to the node, to the miner and to the peers.
//!
//! Owns no state of the chain. The miner and the peers are traits, because those layers and this one
//! never name each other.

use super::errors::ApiError;
use crate::chain::accounts::AccountTree;
use crate::node::ports::{MinerControl, PeerControl};
use crate::node::{NodeHandle, View};
use crate::primitives::{AddressPrefix, BlockHash};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The context of every handler and of the live part.
pub struct Api {
    /// The node.
    pub node: NodeHandle,
    /// The miner.
    pub miner: Arc<dyn MinerControl>,
    /// The peer network.
    pub peers: Arc<dyn PeerControl>,
    /// How long one `POST /mine` searches at most.
    pub mine_timeout: Duration,
    /// The port that is listened on.
    pub port: u16,
    /// Goes into the compact blocks that are made for whoever asks; other than any other node's.
    pub(super) salt: u64,
    before_tip: Mutex<Option<BeforeTip>>,
}

/// The accounts that the header of the tip commits to: those after its parent.
#[derive(Clone)]
pub(super) struct BeforeTip {
    /// The tip.
    pub(super) tip: BlockHash,
    /// The root of its transactions.
    pub(super) tx_root: crate::primitives::Hash256,
    /// What its header commits to beside them.
    pub(super) roots: crate::primitives::StateRoots,
    /// The accounts after its parent.
    pub(super) accounts: AccountTree,
}

impl Api {
    /// A context for a node that listens on `port`.
    #[must_use]
    pub fn new(
        node: NodeHandle,
        miner: Arc<dyn MinerControl>,
        peers: Arc<dyn PeerControl>,
        mine_timeout: Duration,
        port: u16,
    ) -> Self {
        let before_tip = Mutex::new(None);
        let salt = RandomState::new().hash_one(port);
        Self { node, miner, peers, mine_timeout, port, salt, before_tip }
    }

    /// How addresses begin here.
    pub(super) fn prefix(&self) -> AddressPrefix {
        self.node.prefix()
    }

    /// The accounts before the tip of `view`, made by `make` once for each tip.
    pub(super) fn before_tip(
        &self,
        view: &View,
        make: impl FnOnce() -> Result<BeforeTip, ApiError>,
    ) -> Result<BeforeTip, ApiError> {
        let mut kept = self.before_tip.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.tip == view.chain.tip().hash) {
            return Ok(kept.clone());
        }
        // Made under the lock, so that many who ask at once cost one block read.
        let made = make()?;
        *kept = Some(made.clone());
        Ok(made)
    }
}
