//! What must hold, looked at all the time. Whatever does not hold is a panic with the reason.

use crate::node::Node;
use farthing::chain::headers::HeaderNode;
use farthing::consensus::check::CheckedTransfer;
use farthing::consensus::connect::proof_target;
use farthing::node::{NodeHandle, View};
use farthing::primitives::{BlockHash, Expiry, Hash256, Height, PublicKey, Transfer, Txid, Work};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Transfers of one sender with one nonce that somebody was told are pending.
#[derive(Default)]
pub struct Promise {
    /// Which.
    pub ids: BTreeSet<Txid>,
    /// The last height at which the first of them to expire can be mined.
    pub expiry: Option<u32>,
}

/// What was seen and promised so far.
#[derive(Default)]
pub struct Checks {
    /// The accounts after each tip that was seen anywhere.
    roots: BTreeMap<BlockHash, Hash256>,
    /// The work of the branch that ends at each block, added up here.
    works: BTreeMap<BlockHash, Work>,
    /// Blocks that a node has mined and was told to have.
    blocks: BTreeMap<usize, Vec<BlockHash>>,
    /// Transfers that somebody was told are pending, by sender and nonce.
    pub transfers: BTreeMap<(PublicKey, u64), Promise>,
}

impl Checks {
    pub fn block_acknowledged(&mut self, index: usize, hash: BlockHash) {
        self.blocks.entry(index).or_default().push(hash);
    }

    pub fn transfer_acknowledged(&mut self, transfer: &CheckedTransfer) {
        let (id, transfer) = (transfer.id(), transfer.transfer());
        let promise = self.transfers.entry((transfer.sender, transfer.nonce)).or_default();
        promise.ids.insert(id);
        if transfer.expiry != Expiry::NEVER {
            let sooner =
                promise.expiry.map_or(transfer.expiry.0, |known| known.min(transfer.expiry.0));
            promise.expiry = Some(sooner);
        }
    }

    /// Whether a transfer with this nonce, or one before it, may have expired by now: then it can no
    /// longer be mined, whoever has it.
    pub fn may_be_stuck(&self, (sender, nonce): (PublicKey, u64), next: Height) -> bool {
        let up_to = self.transfers.range((sender, 0)..=(sender, nonce));
        up_to.filter_map(|(_, promise)| promise.expiry).any(|expiry| expiry < next.0)
    }

    /// Something may have changed at a node.
    pub fn look_at(&mut self, node: &mut Node) {
        let index = node.index;
        let Some(run) = &mut node.run else { return };
        let view = run.handle.view();
        if Arc::ptr_eq(&view, &run.seen) {
            return;
        }
        let (before, now) = (run.seen.chain.tip(), view.chain.tip());
        if before.hash != now.hash {
            let (left, found) = (self.work_of(&run.seen, before), self.work_of(&view, now));
            assert!(
                found > left,
                "node {index} left block {} at {} for {} at {} with no more work",
                before.hash,
                before.height,
                now.hash,
                now.height,
            );
            self.tip(index, &view);
        }
        run.seen = view;
    }

    /// All work up to `node`, whatever the node makes of it.
    fn work_of(&mut self, view: &View, node: &Arc<HeaderNode>) -> Work {
        let (chain, mut open) = (&view.chain, vec![node.clone()]);
        while let Some(next) = open.last() {
            if let Some(work) = self.works.get(&next.hash) {
                let work = *work;
                open.pop();
                let Some(child) = open.last() else { return work };
                let parent = chain.headers().parent(child).expect("it was looked up");
                let facts = chain.headers().parent_facts(parent);
                let target = proof_target(chain.params(), &facts, child.header.time);
                self.works.insert(child.hash, work + target.work());
            } else if let Some(parent) = chain.headers().parent(next) {
                open.push(parent.clone());
            } else {
                self.works.insert(next.hash, chain.params().retarget.easiest.work());
            }
        }
        unreachable!("the last one returns")
    }

    fn tip(&mut self, index: usize, view: &View) {
        let (tip, root) = (view.chain.tip(), view.chain.accounts().root());
        let known = self.roots.entry(tip.hash).or_insert(root);
        assert_eq!(*known, root, "node {index} has other accounts than others at {}", tip.hash);
        let issued = view.chain.params().schedule.issued(tip.height.next());
        assert_eq!(view.chain.total(), issued, "coins of node {index} at height {}", tip.height);
    }

    /// A process has started on what the one before it left.
    pub fn restarted(&mut self, node: &Node) {
        let (index, Some(run)) = (node.index, &node.run) else { return };
        let view = &run.seen;
        self.tip(index, view);
        for hash in self.blocks.entry(index).or_default().iter() {
            assert!(view.chain.body_of(hash).is_some(), "node {index} has lost its block {hash}");
        }
        let Some(before) = &node.left else { return };
        let (left, found) = (before.chain.tip(), view.chain.tip());
        assert!(
            found.total_work >= left.total_work && view.chain.body_of(&left.hash).is_some()
                || left.height.0 == 0,
            "node {index} had block {} at {} and starts with {} at {}",
            left.hash,
            left.height,
            found.hash,
            found.height,
        );
        self.pool_came_back(index, before, view);
        if node.has_left_all && left.hash == found.hash {
            let has_been = |id| before.chain.pool().get(&id).is_some();
            let risen = view.chain.pool().iter().find(|pending| !has_been(pending.id()));
            assert!(
                risen.is_none(),
                "node {index} starts with a transfer it had given up: {risen:?}"
            );
        }
    }

    fn pool_came_back(&self, index: usize, before: &View, now: &View) {
        let next = now.chain.height().next();
        for pending in before.chain.pool().iter() {
            let transfer = pending.transfer();
            let is_used = now.chain.account(&transfer.sender).nonce > transfer.nonce;
            assert!(
                is_used
                    || now.chain.pool().get(&pending.id()).is_some()
                    || self.may_be_stuck((transfer.sender, transfer.nonce), next),
                "node {index} has lost transfer {} (nonce {} of {})",
                pending.id(),
                transfer.nonce,
                transfer.sender,
            );
        }
    }
}

/// All transfers of the best chain.
pub fn mined_in(handle: &NodeHandle) -> BTreeSet<Txid> {
    let view = handle.view();
    let mut mined = BTreeSet::new();
    for height in 1..=view.chain.height().0 {
        let block = view.chain.block_at(Height(height)).expect("a block of the best chain");
        let body = block.body.expect("it has a body");
        let block = handle.read_block(body).expect("it can be read");
        mined.extend(block.transfers.iter().map(Transfer::id));
    }
    mined
}
