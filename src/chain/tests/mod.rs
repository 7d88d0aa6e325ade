//! Tests of the whole decision about a block.

mod branches;
mod model;
mod random;
mod reorganizations;
mod rules;

use super::Chain;
use super::pool::Pool;
use crate::primitives::{BlockHash, PublicKey, StateRoots, Txid};
use std::collections::{BTreeMap, BTreeSet};

/// What must stay as it was when a decision fails.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Snapshot {
    tip: BlockHash,
    roots: StateRoots,
    pool: Vec<Txid>,
    waiting: usize,
}

fn snapshot(chain: &Chain) -> Snapshot {
    Snapshot {
        tip: chain.tip().hash,
        roots: chain.roots(),
        pool: chain.pool().iter().map(|pending| pending.id()).collect(),
        waiting: chain.pool().waiting_len(),
    }
}

/// The pool's invariants, looked at from outside, and that filling an empty pool with the same
/// transfers gives the same pool.
fn assert_pool_is_sound(chain: &Chain, now: super::accept::Now) {
    let context = chain.pool_context(now.monotonic);
    let mut senders: BTreeMap<PublicKey, Vec<_>> = BTreeMap::new();
    for pending in chain.pool().iter() {
        senders.entry(pending.transfer().sender).or_default().push(pending.clone());
    }
    let mut again = Pool::new(usize::MAX);
    for (sender, pending) in &mut senders {
        pending.sort_by_key(|pending| pending.transfer().nonce);
        let account = chain.account(sender);
        let mut left = account.balance;
        for (nonce, pending) in (account.nonce..).zip(pending) {
            assert_eq!(pending.transfer().nonce, nonce, "nonces are contiguous");
            assert!(pending.transfer().expiry.allows(context.next_height), "none has expired");
            left = left.checked_sub(pending.transfer.cost()).expect("all can be paid");
            again.admit(pending.transfer.clone(), &context).expect("each is still valid");
        }
        assert_eq!(chain.spendable(sender), left);
    }
    let ids = |pool: &Pool| pool.iter().map(|pending| pending.id()).collect::<BTreeSet<_>>();
    assert_eq!(ids(&again), ids(chain.pool()));
    assert_eq!(again.bytes(), chain.pool().bytes());
    assert_eq!(again.len(), chain.pool().len());
}
