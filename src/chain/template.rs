//! Block templates: the whole next block but for its time and its nonces.

use super::Chain;
use super::accept::Now;
use super::pool::Pending;
use crate::consensus::connect::{
    ConnectError, ParentFacts, ParentState, next_bits, proof_target, rehearse_block,
};
use crate::consensus::merkle::{MerkleBranch, branch, commitment};
use crate::consensus::params::{ChainParams, TEMPLATE_VERSION};
use crate::primitives::block::HEADER_SIZE;
use crate::primitives::transaction::COINBASE_SIZE_MIN;
use crate::primitives::{
    Amount, Block, BlockHash, Coinbase, CompactTarget, Header, PublicKey, StateRoots, Tag, Target,
    Transfer, Txid, UnixTime,
};
use std::sync::Arc;

/// A block waiting for its proof of work. It never changes; a new tip makes a new one.
#[derive(Clone, Debug)]
pub struct Template {
    params: Arc<ChainParams>,
    parent_hash: BlockHash,
    parent: ParentFacts,
    bits: CompactTarget,
    roots: StateRoots,
    coinbase: Coinbase,
    transfers: Vec<Transfer>,
    branch: MerkleBranch,
}

impl Chain {
    /// The next block of the best chain, paying `recipient`, with the transfers that pay best. It
    /// is rehearsed: should the pool ever hold what no block may, the block comes without transfers
    /// rather than not at all.
    pub fn template(&self, recipient: PublicKey, tag: Tag, now: Now) -> Template {
        let height = self.height().next();
        let largest = self.params.schedule.largest_block(height);
        let overhead = HEADER_SIZE + 4 + COINBASE_SIZE_MIN + tag.as_str().len();
        let room = usize::try_from(largest).unwrap_or(usize::MAX).saturating_sub(overhead);
        let chosen = self.pool.select(room, &self.pool_context(now.monotonic));
        let template = self.template_of(&chosen, recipient, tag.clone());
        match self.rehearse(&template) {
            Ok(()) => template,
            Err(error) => {
                log::error!(
                    "the open transactions make no valid block, so it comes without: {error}"
                );
                self.template_of(&[], recipient, tag)
            }
        }
    }

    fn rehearse(&self, template: &Template) -> Result<(), ConnectError> {
        let account = |key: &PublicKey| self.accounts.get(key);
        let (height, roots) = (self.height().next(), self.roots());
        let parent = ParentState { height, roots, account: &account };
        let block = template.block(template.header(0, template.parent.time), 0);
        rehearse_block(&self.params, &block, &parent)
    }

    fn template_of(&self, chosen: &[Arc<Pending>], recipient: PublicKey, tag: Tag) -> Template {
        let height = self.height().next();
        let fees = Amount::checked_sum(chosen.iter().map(|pending| pending.transfer().fee));
        let subsidy = self.params.schedule.subsidy(height);
        let amount = fees
            .and_then(|fees| fees.checked_add(subsidy))
            .expect("the pool's fees are coins that exist");
        let coinbase =
            Coinbase { height, extra_nonce: [0; 8], recipient, amount, extension: [0; 32], tag };
        let ids: Vec<Txid> = std::iter::once(coinbase.id())
            .chain(chosen.iter().map(|pending| pending.id()))
            .collect();
        let parent = self.tip_facts();
        Template {
            params: self.params.clone(),
            parent_hash: self.tip().hash,
            bits: next_bits(&self.params, &parent),
            parent,
            roots: self.roots(),
            branch: branch(&ids, 0).expect("there is a coinbase"),
            transfers: chosen.iter().map(|pending| pending.transfer().clone()).collect(),
            coinbase,
        }
    }
}

impl Template {
    /// The block that this one stands on.
    pub fn parent(&self) -> BlockHash {
        self.parent_hash
    }

    /// What the miner is paid.
    pub fn reward(&self) -> Amount {
        self.coinbase.amount
    }

    /// The time to stamp when the clock says `now`: never before the parent's.
    pub fn time(&self, now: UnixTime) -> UnixTime {
        now.max(self.parent.time)
    }

    /// Whether a block stamped `time` would still be from the future when the clock says `now`.
    pub fn is_early(&self, time: UnixTime, now: UnixTime) -> bool {
        time > self.params.latest_time(self.parent.height.next(), now)
    }

    /// What the hash of a header stamped `time` must not exceed.
    pub fn target(&self, time: UnixTime) -> Target {
        proof_target(&self.params, &self.parent, time)
    }

    /// The header for one extra nonce, its nonce 0.
    pub fn header(&self, extra_nonce: u64, time: UnixTime) -> Header {
        let coinbase = self.coinbase(extra_nonce).id();
        let tx_root = self.branch.root(&coinbase).expect("the branch was made for a coinbase");
        Header {
            version: TEMPLATE_VERSION,
            previous: self.parent_hash,
            commitment: commitment(&tx_root, &self.roots),
            time,
            bits: self.bits,
            nonce: 0,
        }
    }

    /// The whole block for a header of this template.
    pub fn block(&self, header: Header, extra_nonce: u64) -> Block {
        Block {
            header,
            roots: self.roots,
            coinbase: self.coinbase(extra_nonce),
            transfers: self.transfers.clone(),
        }
    }

    fn coinbase(&self, extra_nonce: u64) -> Coinbase {
        Coinbase { extra_nonce: extra_nonce.to_le_bytes(), ..self.coinbase.clone() }
    }
}
