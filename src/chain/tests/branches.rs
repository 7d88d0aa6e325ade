//! Branches: which one is best, what a bad block in one of them does, and what is kept of them.

use super::{assert_pool_is_sound, snapshot};
use crate::chain::accept::{AcceptError, Accepted};
use crate::chain::headers::SIDE_HEADERS_MAX;
use crate::chain::side::SIDE_DEPTH_MAX;
use crate::consensus::check::CheckedBlock;
use crate::consensus::connect::next_bits;
use crate::consensus::params::ChainParams;
use crate::primitives::{Amount, Block, BlockHash, Header, Height, UnixTime, Work};
use crate::testkit::{Random, TestChain, TestKey, seal, solve};

/// Makes a block break a rule.
type Spoil = fn(&mut Block);

/// The blocks that a copy mines on its tip.
fn branch(test: &TestChain, salt: u64, count: u32) -> Vec<CheckedBlock> {
    test.fork(salt).mine_empty(count)
}

fn is_side(accepted: &Accepted) -> bool {
    matches!(accepted, Accepted::Side { kept: true })
}

/// The same blocks, but the one at `place` (from 0) pays its miner one unit too much, and those
/// after it stand on that.
fn with_flaw(test: &TestChain, blocks: &[CheckedBlock], place: usize) -> Vec<CheckedBlock> {
    let mut bad: Vec<Block> = blocks.iter().map(|block| block.block().clone()).collect();
    for at in place..bad.len() {
        if at == place {
            bad[at].coinbase.amount = Amount::from_units(bad[at].coinbase.amount.units() + 1);
        } else {
            bad[at].header.previous = bad[at - 1].hash();
        }
        seal(&mut bad[at], test.chain.params().retarget.easiest);
    }
    bad.into_iter().map(|block| test.check(block).unwrap()).collect()
}

#[test]
fn on_equal_work_the_first_seen_stays() {
    let mut test = TestChain::dev();
    let (ours, theirs) = (branch(&test, 1, 3), branch(&test, 2, 4));
    for block in &ours {
        test.accept(block).unwrap();
    }
    for block in &theirs[..3] {
        assert!(is_side(&test.accept(block).unwrap()));
        assert_eq!(test.chain.tip().hash, ours[2].hash());
    }
    let Ok(Accepted::Best(change)) = test.accept(&theirs[3]) else { panic!("more work wins") };
    assert_eq!((change.disconnected.len(), change.connected.len()), (3, 4));
    assert!(test.chain.body_of(&ours[2].hash()).is_some(), "the losing bodies stay known");
}

#[test]
fn of_equal_branches_that_join_together_the_first_seen_header_wins() {
    for order in [[0, 1], [1, 0]] {
        let mut test = TestChain::dev();
        let root = test.fork(1).mine(vec![]);
        let mut above = test.clone();
        above.accept(&root).unwrap();
        let tips = [branch(&above, 2, 1).remove(0), branch(&above, 3, 1).remove(0)];
        test.chain.accept_header(&root.block().header, test.now).unwrap();
        for tip in order {
            assert!(is_side(&test.accept(&tips[tip]).unwrap()));
        }
        test.accept(&root).unwrap();
        assert_eq!(test.chain.tip().hash, tips[order[0]].hash());
    }
}

#[test]
fn a_longer_branch_whose_kth_block_is_invalid_changes_nothing_for_any_k() {
    let mut test = TestChain::dev();
    let (ours, theirs) = (branch(&test, 1, 50), branch(&test, 2, 51));
    for block in &ours {
        test.accept(block).unwrap();
    }
    let before = snapshot(&test.chain);
    for place in 0..50 {
        let mut here = test.clone();
        let bad = with_flaw(&here, &theirs, place);
        let (last, most) = bad.split_last().unwrap();
        for block in most {
            assert!(is_side(&here.accept(block).unwrap()));
        }
        assert_eq!(here.accept(last).unwrap_err().code(), "wrong-reward", "block {place}");
        assert_eq!(snapshot(&here.chain), before);
        assert!(here.chain.is_invalid(&bad[place].hash()) && here.chain.is_invalid(&last.hash()));
        assert_eq!(here.accept(&bad[place]).unwrap_err().code(), "known-invalid");
        // The honest blocks in their place are taken.
        for block in &theirs[place..] {
            here.accept(block).unwrap();
        }
        assert_eq!(here.chain.tip().hash, theirs[50].hash());
        assert_eq!(here.chain.headers().side_len(), 50);
    }
}

#[test]
fn a_bad_block_that_waited_does_not_keep_a_good_one_from_following() {
    let mut test = TestChain::dev();
    let parent = test.fork(1).mine(vec![]);
    let mut above = test.clone();
    above.accept(&parent).unwrap();
    let (good, longer) = (branch(&above, 2, 1), branch(&above, 3, 3));
    let bad = with_flaw(&test, &longer, 1);
    test.chain.accept_header(&parent.block().header, test.now).unwrap();
    for block in bad.iter().chain(&good) {
        assert!(is_side(&test.accept(block).unwrap()));
    }
    let Ok(Accepted::Best(change)) = test.accept(&parent) else { panic!("the parent is good") };
    assert_eq!(change.connected.len(), 2);
    // Both are valid and equal: the one whose header came first.
    assert_eq!(test.chain.tip().hash, bad[0].hash());
    assert!(test.chain.is_invalid(&bad[1].hash()) && !test.chain.is_invalid(&good[0].hash()));
}

#[test]
fn so_many_blocks_on_a_bad_one_do_not_make_it_forgotten() {
    let mut test = TestChain::dev();
    let blocks = branch(&test, 1, 3);
    let bad = with_flaw(&test, &blocks, 0);
    test.chain.accept_header(&bad[0].block().header, test.now).unwrap();
    let mut header = bad[1].block().header;
    for version in 0..2_000 {
        header.version = version;
        solve(&mut header, test.chain.params().retarget.easiest);
        test.chain.accept_header(&header, test.now).unwrap();
    }
    assert_eq!(test.accept(&bad[0]).unwrap_err().code(), "wrong-reward");
    assert_eq!(test.chain.headers().len(), 1);
    assert_eq!(test.accept(&bad[0]).unwrap_err().code(), "known-invalid");
}

#[test]
fn bodies_in_any_order_make_the_same_chain() {
    let origin = TestChain::dev();
    let blocks = branch(&origin, 1, 30);
    for seed in 0..20 {
        let (mut test, mut random) = (origin.clone(), Random(seed));
        for block in &blocks {
            test.chain.accept_header(&block.block().header, test.now).unwrap();
        }
        let mut order: Vec<_> = blocks.iter().collect();
        let mut joined = 0;
        while !order.is_empty() {
            assert_eq!(test.chain.missing_bodies(99).len(), order.len());
            let next = usize::try_from(random.below(order.len() as u64)).unwrap();
            if let Accepted::Best(change) = test.accept(order.swap_remove(next)).unwrap() {
                joined += change.connected.len();
            }
        }
        assert_eq!((joined, test.chain.height()), (30, Height(30)));
        assert_eq!((test.chain.side_bytes(), test.chain.headers().side_len()), (0, 0));
    }
}

#[test]
fn missing_bodies_are_those_of_heavier_branches_the_heaviest_first_each_once() {
    let mut test = TestChain::dev();
    let (short, long) = (branch(&test, 1, 5), branch(&test, 2, 7));
    let twin = {
        let mut above = test.clone();
        for block in &long[..6] {
            above.accept(block).unwrap();
        }
        above.fork(3).mine(vec![])
    };
    test.mine_empty(2);
    for block in short.iter().chain(&long).chain([&twin]) {
        test.chain.accept_header(&block.block().header, test.now).unwrap();
    }
    let hashes: Vec<_> = test.chain.missing_bodies(99).iter().map(|node| node.hash).collect();
    let mut expected: Vec<_> = long.iter().map(CheckedBlock::hash).collect();
    expected.push(twin.hash());
    expected.extend(short.iter().map(CheckedBlock::hash));
    assert_eq!(hashes, expected);
    assert_eq!(test.chain.missing_bodies(3).len(), 3);
    test.accept(&long[2]).unwrap();
    assert_eq!(test.chain.missing_bodies(99).len(), expected.len() - 1);
}

#[test]
fn only_bodies_near_the_best_chain_or_on_heavy_branches_are_kept() {
    let mut test = TestChain::dev();
    let blocks = branch(&test, 1, 2);
    let long = branch(&test, 2, SIDE_DEPTH_MAX + 10);
    test.mine_empty(SIDE_DEPTH_MAX);
    assert!(is_side(&test.accept(&blocks[0]).unwrap()));
    test.mine_empty(2);
    let kept = test.bodies.len();
    for block in &long[..1] {
        assert!(matches!(test.accept(block), Ok(Accepted::Side { kept: false })));
    }
    assert_eq!(test.bodies.len(), kept);
    // Once its headers show that the branch is heavy, its bodies are worth keeping.
    for block in &long {
        test.chain.accept_header(&block.block().header, test.now).unwrap();
    }
    for block in &long {
        test.accept(block).unwrap();
    }
    assert_eq!(test.chain.tip().hash, long.last().unwrap().hash());
}

#[test]
fn a_store_that_fails_leaves_all_as_it_was() {
    let mut test = TestChain::dev();
    let (ours, theirs) = (branch(&test, 1, 2), branch(&test, 2, 3));
    test.accept(&ours[0]).unwrap();
    test.bodies.keeping_fails = true;
    let (before, headers) = (snapshot(&test.chain), test.chain.headers().len());
    for block in [&ours[1], &theirs[0]] {
        assert_eq!(test.accept(block).unwrap_err().code(), "block-store-failed");
        assert_eq!((snapshot(&test.chain), test.chain.headers().len()), (before.clone(), headers));
    }
    test.bodies.keeping_fails = false;
    for block in ours[1..].iter().chain(&theirs[..2]) {
        test.accept(block).unwrap();
    }
    let before = snapshot(&test.chain);
    test.bodies.reading_fails = true;
    assert_eq!(test.accept(&theirs[2]).unwrap_err().code(), "block-store-failed");
    assert_eq!(snapshot(&test.chain), before);
    test.bodies.reading_fails = false;
    assert!(matches!(test.accept(&theirs[2]), Ok(Accepted::Best(_))), "not blamed on the block");
}

#[test]
fn a_store_that_reads_something_else_is_noticed() {
    let damage: [(Spoil, &str); 2] = [
        (|block| block.coinbase.amount = Amount::ZERO, "block-store-damaged"),
        (
            |block| *block = TestChain::dev().fork(9).mine(vec![]).block().clone(),
            "block-store-failed",
        ),
    ];
    for (change, code) in damage {
        for side in [false, true] {
            let mut test = TestChain::dev();
            let (ours, theirs) = (branch(&test, 1, 1), branch(&test, 2, 2));
            test.accept(&ours[0]).unwrap();
            test.accept(&theirs[0]).unwrap();
            let bad = if side { &theirs[0] } else { &ours[0] };
            let mut block = bad.block().clone();
            change(&mut block);
            test.bodies.swap_in(test.chain.body_of(&bad.hash()).unwrap(), block);
            let before = snapshot(&test.chain);
            assert_eq!(test.accept(&theirs[1]).unwrap_err().code(), code);
            assert_eq!(snapshot(&test.chain), before);
        }
    }
}

/// Headers of a branch on genesis whose bodies nobody sends, as many as are kept.
fn fill_with_headers(test: &mut TestChain) -> Header {
    let mut header = branch(test, 2, 1).remove(0).block().header;
    for _ in 0..SIDE_HEADERS_MAX {
        solve(&mut header, test.chain.params().retarget.easiest);
        test.chain.accept_header(&header, test.now).unwrap();
        header.previous = header.hash();
    }
    header
}

#[test]
fn headers_whose_bodies_are_kept_back_do_not_lock_others_out() {
    let mut test = TestChain::dev();
    let honest = branch(&test, 1, SIDE_DEPTH_MAX + 10);
    let junk = branch(&test, 3, 1).remove(0);
    let withheld = fill_with_headers(&mut test);
    assert_eq!(test.chain.headers().side_len(), SIDE_HEADERS_MAX);
    for block in &honest {
        let node = test.chain.accept_header(&block.block().header, test.now).unwrap();
        assert_eq!(test.chain.headers().side_len(), SIDE_HEADERS_MAX);
        let missing = test.chain.missing_bodies_to(&node, 99);
        assert_eq!(missing.iter().map(|node| node.hash).collect::<Vec<_>>(), [block.hash()]);
        assert!(matches!(test.accept(block), Ok(Accepted::Best(_))));
    }
    // The withheld branch has lost its top, one header for each honest one.
    assert!(test.chain.headers().get(&withheld.previous).is_none());
    // What is far behind gives way itself.
    test.chain.accept_header(&branch(&test, 4, 1)[0].block().header, test.now).unwrap();
    let before = snapshot(&test.chain);
    let refused = test.chain.accept_header(&junk.block().header, test.now);
    assert_eq!(refused.unwrap_err().code(), "too-many-branches");
    assert_eq!(snapshot(&test.chain), before);
    assert_eq!(test.chain.headers().side_len(), SIDE_HEADERS_MAX);
}

/// What an attacker can send again and again costs little, however many headers there are.
#[test]
fn questions_about_many_branches_are_answered_quickly() {
    let mut test = TestChain::dev();
    let root = fill_with_headers(&mut test).previous;
    // A long stem and many tips on it.
    let stem = test.chain.headers().get(&root).unwrap().clone();
    for salt in 0..1_000 {
        let mut header = stem.header;
        (header.previous, header.version) = (root, salt);
        solve(&mut header, test.chain.params().retarget.easiest);
        let known = test.chain.accept_header(&header, test.now);
        assert!(known.is_ok() || known.unwrap_err().code() == "too-many-branches");
    }
    let started = std::time::Instant::now();
    for _ in 0..5 {
        assert_eq!(test.chain.missing_bodies(usize::MAX).len(), SIDE_HEADERS_MAX);
    }
    assert!(started.elapsed().as_secs() < 5, "each header is looked at once");
}

#[test]
fn a_reorganization_returns_transfers_and_says_what_is_lost() {
    let mut test = TestChain::dev();
    let (one, two, poor) = (TestKey::dev(1), TestKey::dev(2), TestKey::new(1));
    let id = test.chain.chain_id();
    let theirs = {
        let mut side = test.fork(2);
        // Account 2 spends its nonce 0 otherwise here.
        side.mine(vec![two.pay(one.public, (9, 0), 0, &id)]);
        side
    };
    let back = one.pay(two.public, (1, 0), 0, &id);
    let conflict = two.pay(one.public, (1, 0), 0, &id);
    let gift = one.pay(poor.public, (7, 0), 1, &id);
    test.mine(vec![back.clone(), conflict.clone(), gift.clone()]);
    let spent = poor.pay(one.public, (5, 0), 0, &id);
    let after = poor.pay(one.public, (1, 0), 1, &id);
    test.mine(vec![spent.clone()]);
    test.submit(after.clone()).unwrap();
    let pending = one.pay(two.public, (2, 0), 2, &id);
    test.submit(pending.clone()).unwrap();
    let blocks = theirs.fork(3).mine_empty(2);
    let first = theirs.bodies.clone();
    let first =
        crate::chain::Bodies::read(&first, theirs.chain.body_of(&theirs.chain.tip().hash).unwrap());
    let first = test.check(first.unwrap()).unwrap();
    test.accept(&first).unwrap();
    test.accept(&blocks[0]).unwrap();
    let Ok(Accepted::Best(change)) = test.accept(&blocks[1]) else { panic!("more work wins") };
    let pool: Vec<_> = test.chain.pool().of_sender(&one.public).map(|p| p.id()).collect();
    assert_eq!(pool, [back.id(), gift.id(), pending.id()]);
    assert_eq!(test.chain.pool().len(), 3);
    let mut lost: Vec<_> = change
        .dropped
        .iter()
        .map(|(t, error)| (t.id(), error.as_ref().map(|e| e.code())))
        .collect();
    lost.sort();
    let mut expected = vec![
        (conflict.id(), Some("nonce-used")),
        (spent.id(), Some("insufficient-funds")),
        (after.id(), Some("nonce-too-far")),
    ];
    expected.sort();
    assert_eq!(lost, expected);
    assert_pool_is_sound(&test.chain, test.now);
}

/// A chain with retargeting: 2 s between blocks, a half-life of 4 of them.
fn retargeting() -> TestChain {
    let mut params = ChainParams::dev();
    (params.schedule.spacing.start, params.schedule.spacing.end) = (2, 2);
    (params.retarget.enabled, params.retarget.half_life) = (true, 4);
    TestChain::new(params)
}

/// Mines blocks that come `seconds` after each other.
fn mine_every(test: &mut TestChain, seconds: u32, count: u32) -> Vec<CheckedBlock> {
    let mine = |_| {
        let mut draft = test.draft(vec![]);
        draft.header.time = test.chain.tip().header.time.plus(seconds);
        let block = test.check(test.sealed(draft)).unwrap();
        test.accept(&block).unwrap();
        block
    };
    (0..count).map(mine).collect()
}

#[test]
fn more_blocks_with_less_work_do_not_win() {
    let mut test = retargeting();
    let mut easy = test.fork(2);
    mine_every(&mut test, 0, 24);
    let work = test.chain.tip().total_work;
    let mut blocks = mine_every(&mut easy, 2, 40);
    while easy.chain.tip().total_work <= work {
        blocks.extend(mine_every(&mut easy, 2, 1));
    }
    assert!(blocks.len() > 60, "{}", blocks.len());
    let (last, most) = blocks.split_last().unwrap();
    let tip = test.chain.tip().hash;
    for block in most {
        assert!(is_side(&test.accept(block).unwrap()));
        assert_eq!(test.chain.tip().hash, tip);
    }
    assert!(matches!(test.accept(last), Ok(Accepted::Best(_))));
    assert_eq!(test.chain.roots(), easy.chain.roots());
}

#[test]
fn bits_follow_the_retarget_and_are_not_negotiable() {
    let mut test = retargeting();
    let first = test.chain.tip().header.bits;
    mine_every(&mut test, 0, 8);
    let facts = test.chain.tip_facts();
    let expected = next_bits(test.chain.params(), &facts);
    assert_ne!((expected, facts.bits), (first, expected));
    for wrong in [first, facts.bits] {
        let mut draft = test.draft(vec![]);
        draft.header.bits = wrong;
        seal(&mut draft, expected.to_target().unwrap());
        let block = test.check(draft).unwrap();
        assert_eq!(test.accept(&block).unwrap_err().code(), "wrong-bits");
    }
    // Work for the easiest target passes the first check, not the second.
    let mut draft = test.draft(vec![]);
    let (easiest, target) = (test.chain.params().retarget.easiest, expected.to_target().unwrap());
    seal(&mut draft, easiest);
    while target.is_met_by(&draft.hash()) || !easiest.is_met_by(&draft.hash()) {
        draft.header.nonce += 1;
    }
    let lazy = test.check(draft).unwrap();
    let before = snapshot(&test.chain);
    assert_eq!(test.accept(&lazy).unwrap_err().code(), "no-proof-of-work");
    assert_eq!(snapshot(&test.chain), before);
    mine_every(&mut test, 2, 1);
}

#[test]
fn a_very_late_block_needs_less_work_and_counts_for_less() {
    let mut test = retargeting();
    mine_every(&mut test, 0, 20);
    // E = 4 spacings of 2 s = 8 s: from 16 s on the target doubles with every 8 s.
    let (bits, tip) =
        (next_bits(test.chain.params(), &test.chain.tip_facts()), test.chain.tip().clone());
    let unrelieved = bits.to_target().unwrap();
    let table = [(0, 0), (15, 0), (16, 1), (23, 1), (24, 2), (32, 3), (1_000_000, 200)];
    for (seconds, doublings) in table {
        let target = test.target(tip.header.time.plus(seconds));
        let easiest = test.chain.params().retarget.easiest;
        let expected = crate::consensus::difficulty::relieved(unrelieved, easiest, doublings);
        assert_eq!(target, expected, "{seconds} s");
        let mut here = test.fork(u64::from(seconds));
        let mut draft = here.draft(vec![]);
        draft.header.time = tip.header.time.plus(seconds);
        seal(&mut draft, target);
        while doublings > 0 && unrelieved.is_met_by(&draft.hash())
            || !target.is_met_by(&draft.hash())
        {
            draft.header.nonce += 1;
        }
        assert_eq!(draft.header.bits, bits);
        if doublings > 0 {
            // The same work one step earlier is not enough, whatever the nonce happens to be.
            let mut early = draft.clone();
            early.header.time = UnixTime(tip.header.time.0 + 15);
            while unrelieved.is_met_by(&early.hash()) || !target.is_met_by(&early.hash()) {
                early.header.nonce += 1;
            }
            let early = here.check(early).unwrap();
            assert_eq!(here.accept(&early).unwrap_err().code(), "no-proof-of-work");
        }
        let late = here.check(draft).unwrap();
        here.accept(&late).unwrap();
        assert_eq!(here.chain.tip().work, target.work());
        assert_eq!(here.chain.tip().total_work, tip.total_work + target.work());
        assert!(doublings == 0 || here.chain.tip().work < unrelieved.work());
        // The relieved block's own bits feed the next retarget, and its history leaf its work.
        mine_every(&mut here, 2, 2);
        assert_eq!(here.chain.history().total_work(), here.chain.tip().total_work);
    }
}

#[test]
fn what_is_unknown_is_said_so() {
    let mut test = TestChain::dev();
    let blocks = branch(&test, 1, 2);
    let early = test.accept(&blocks[1]).unwrap_err();
    assert!(matches!(early, AcceptError::UnknownParent(hash) if hash == blocks[0].hash()));
    assert_eq!(test.chain.body_of(&blocks[1].hash()), None);
    assert!(test.chain.headers().get(&BlockHash::ZERO).is_none());
    test.accept(&blocks[0]).unwrap();
    test.accept(&blocks[1]).unwrap();
    assert!(matches!(test.accept(&blocks[0]), Ok(Accepted::Known)));
    assert!(test.chain.tip().total_work > Work::ZERO);
}

#[test]
fn a_transfer_that_a_following_block_pays_for_is_not_lost() {
    let mut test = TestChain::dev();
    let (rich, poor, id) = (TestKey::dev(1), TestKey::new(1), test.chain.chain_id());
    let to = TestKey::dev(2).public;
    test.mine(vec![rich.pay(poor.public, (10, 0), 0, &id)]);
    let pending = poor.pay(to, (9, 0), 1, &id);
    let mut side = test.clone();
    let blocks = [
        side.mine(vec![poor.pay(to, (5, 0), 0, &id)]),
        side.mine(vec![rich.pay(poor.public, (10, 0), 1, &id)]),
    ];
    let first = poor.pay(to, (1, 0), 0, &id);
    test.submit(first.clone()).unwrap();
    test.submit(pending.clone()).unwrap();
    for block in &blocks {
        test.chain.accept_header(&block.block().header, test.now).unwrap();
    }
    test.accept(&blocks[1]).unwrap();
    let Ok(Accepted::Best(change)) = test.accept(&blocks[0]) else { panic!("both follow") };
    assert_eq!(change.connected.len(), 2);
    assert!(test.chain.pool().get(&pending.id()).is_some());
    assert_eq!(change.returned, [pending.id()]);
    let dropped: Vec<_> = change.dropped.iter().map(|(t, _)| t.id()).collect();
    assert_eq!(dropped, [first.id()]);
    assert_pool_is_sound(&test.chain, test.now);
}
