//! Which pending transfers go into the next block.

use super::index::{FeeRate, Pending};
use super::{Pool, PoolContext};
use crate::primitives::Amount;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

/// Transfers without a fee that create an account, per block at most: accounts are for ever.
const FREE_NEW_ACCOUNTS_MAX: usize = 20;

/// Once so many transfers did not fit, the block counts as full.
const MISFITS_MAX: usize = 100;

/// The next transfer of one sender, ordered by what is mined first.
struct Head {
    priority: (FeeRate, Reverse<u64>),
    pending: Arc<Pending>,
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.priority == other.priority
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.priority.cmp(&other.priority)
    }
}

impl Head {
    fn new(pending: Arc<Pending>) -> Self {
        Self { priority: pending.priority(), pending }
    }
}

impl Pool {
    /// The transfers for a block with room for `bytes`: by fee rate, then age, each sender's in
    /// nonce order.
    pub fn select(&self, bytes: usize, context: &PoolContext) -> Vec<Arc<Pending>> {
        let first = |queue: &super::index::Queue| {
            let (_, pending) = queue.transfers.get_min()?;
            Some(Head::new(pending.clone()))
        };
        let mut heads: BinaryHeap<Head> = self.index.senders.values().filter_map(first).collect();
        let (mut chosen, mut left, mut misfits) = (Vec::new(), bytes, 0);
        let mut ration = Ration { context, created: HashSet::new(), free: 0 };
        while let Some(Head { pending, .. }) = heads.pop() {
            let transfer = pending.transfer();
            let fits = transfer.size() <= left;
            misfits += usize::from(!fits);
            if misfits > MISFITS_MAX {
                break;
            }
            // A sender whose transfer is left out waits with the later ones, which need it.
            if !fits || !transfer.expiry.allows(context.next_height) || !ration.allows(&pending) {
                continue;
            }
            left -= transfer.size();
            let next = transfer.nonce.checked_add(1);
            let next = next.and_then(|nonce| self.index.queued(&transfer.sender, nonce));
            heads.extend(next.map(Head::new));
            chosen.push(pending);
        }
        chosen
    }
}

/// Counts the accounts that a block creates for free.
struct Ration<'a> {
    context: &'a PoolContext,
    created: HashSet<crate::primitives::PublicKey>,
    free: usize,
}

impl Ration<'_> {
    fn allows(&mut self, pending: &Pending) -> bool {
        let transfer = pending.transfer();
        let creates = self.context.accounts.get(&transfer.recipient).is_none()
            && !self.created.contains(&transfer.recipient);
        if creates {
            if transfer.fee == Amount::ZERO {
                if self.free == FREE_NEW_ACCOUNTS_MAX {
                    return false;
                }
                self.free += 1;
            }
            self.created.insert(transfer.recipient);
        }
        true
    }
}
