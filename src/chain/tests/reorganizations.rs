//! Reorganizations as people see them: nothing is lost in silence, however deep.

use super::assert_pool_is_sound;
use crate::chain::accept::{Accepted, TipChange};
use crate::consensus::check::CheckedBlock;
use crate::primitives::amount::COIN;
use crate::primitives::{Amount, Transfer, Txid};
use crate::testkit::{TestChain, TestKey};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Payments of the ten accounts in turn, one for each of `count` blocks.
fn payments(test: &TestChain, count: u64) -> Vec<Transfer> {
    let (to, id) = (TestKey::new(1).public, test.chain.chain_id());
    let keys: Vec<_> = (1..=10).map(TestKey::dev).collect();
    let pay = |at: u64| keys[usize::try_from(at % 10).unwrap()].pay(to, (1, 1), at / 10, &id);
    (0..count).map(pay).collect()
}

/// Brings blocks onto a chain on which only the last of them is the best: the headers first, without
/// which the bodies of so deep a branch would not be kept.
fn overtake(test: &mut TestChain, blocks: &[CheckedBlock]) -> Arc<TipChange> {
    for block in blocks {
        test.chain.accept_header(&block.block().header, test.now).expect("a good header");
    }
    let (last, most) = blocks.split_last().expect("some blocks");
    for block in most {
        assert!(matches!(test.accept(block), Ok(Accepted::Side { kept: true })));
    }
    match test.accept(last) {
        Ok(Accepted::Best(change)) => change,
        other => panic!("more work wins: {other:?}"),
    }
}

fn ids(transfers: &[Transfer]) -> Vec<Txid> {
    transfers.iter().map(Transfer::id).collect()
}

#[test]
fn payments_of_replaced_blocks_wait_again_at_any_depth() {
    for depth in [1, 2, 6, 100, 1_088] {
        let mut test = TestChain::dev();
        let mut theirs = test.fork(2);
        theirs.miner = TestKey::new(5).public;
        let sent = payments(&test, depth);
        for payment in &sent {
            test.mine(vec![payment.clone()]);
        }
        // One that waited before is not among those that wait again.
        let waits = payments(&test, depth + 1).pop().unwrap();
        test.submit(waits.clone()).unwrap();
        let blocks = theirs.mine_empty(u32::try_from(depth).unwrap() + 1);
        let change = overtake(&mut test, &blocks);

        assert_eq!(change.disconnected.len() as u64, depth);
        assert_eq!(change.connected.len() as u64, depth + 1);
        assert_eq!(change.unconfirmed, ids(&sent), "{depth}");
        let sorted = |ids: &[Txid]| ids.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(sorted(&change.returned), sorted(&ids(&sent)), "{depth}");
        assert!(change.dropped.is_empty(), "{depth}");
        let reward = (test.miner, Amount::from_units(10 * COIN + 1));
        assert_eq!(change.rewards_lost, vec![reward; usize::try_from(depth).unwrap()]);

        assert_eq!(test.chain.tip().hash, theirs.chain.tip().hash);
        assert_eq!(test.chain.roots(), theirs.chain.roots());
        assert_eq!(test.chain.pool().len() as u64, depth + 1);
        assert_pool_is_sound(&test.chain, test.now);
        // The next blocks take them in again.
        while !test.chain.pool().is_empty() {
            let block = test.from_template();
            test.accept(&block).unwrap();
        }
        assert_eq!(test.chain.account(&TestKey::new(1).public).balance.units(), depth + 1);
    }
}

#[test]
fn what_the_other_side_has_too_does_not_wait_and_what_it_spent_otherwise_is_dropped() {
    let mut test = TestChain::dev();
    let mut theirs = test.fork(2);
    let id = test.chain.chain_id();
    let (one, two, to) = (TestKey::dev(1), TestKey::dev(2), TestKey::new(1).public);
    let both = one.pay(to, (1, 0), 0, &id);
    let ours = one.pay(to, (2, 0), 1, &id);
    let conflict = two.pay(to, (3, 0), 0, &id);
    test.mine(vec![both.clone(), conflict.clone()]);
    test.mine(vec![ours.clone()]);
    let mut blocks = vec![theirs.mine(vec![both, two.pay(to, (4, 0), 0, &id)])];
    blocks.extend(theirs.mine_empty(2));
    let change = overtake(&mut test, &blocks);
    assert_eq!(change.unconfirmed, [ours.id()]);
    assert_eq!(change.returned, [ours.id()]);
    let dropped: Vec<_> = change.dropped.iter().map(|(t, why)| (t.id(), why.is_some())).collect();
    assert_eq!(dropped, [(conflict.id(), true)]);
}

#[test]
fn a_block_on_the_tip_replaces_nothing() {
    let mut test = TestChain::dev();
    let payment = payments(&test, 1).remove(0);
    test.submit(payment.clone()).unwrap();
    let block = test.check(test.sealed(test.draft(vec![payment]))).unwrap();
    let Ok(Accepted::Best(change)) = test.accept(&block) else { panic!("it extends") };
    assert!(change.unconfirmed.is_empty() && change.rewards_lost.is_empty());
}
