//! A restart gives back the pool as it was, and nothing that was given up.

use super::*;
use crate::chain::pool::{PER_SENDER_MAX, POOL_BYTES_DEFAULT};
use crate::consensus::check::CheckedBlock;
use crate::consensus::params::ChainParams;
use crate::node::{Inline, Machine, NodeHandle, Opening, Origin, open_on};
use crate::testkit::{Random, TestChain, TestKey};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

/// A node on files that outlive it.
struct Node {
    home: tempfile::TempDir,
    now: Now,
    pool_bytes_max: usize,
    run: (Arc<Inline>, NodeHandle),
}

fn open(home: &std::path::Path, pool_bytes_max: usize, now: Now) -> (Arc<Inline>, NodeHandle) {
    let opening = Opening {
        data_dir: home.to_path_buf(),
        port: 5000,
        params: ChainParams::dev(),
        pool_bytes_max,
        clock: Box::new(move || now),
        listeners: 0,
    };
    let opened = open_on(opening, Machine::here().unwrap()).unwrap();
    Inline::new(opened.owner, opened.handle)
}

impl Node {
    fn new(pool_bytes_max: usize) -> Self {
        let (home, now) = (tempfile::tempdir().unwrap(), TestChain::dev().now);
        let run = open(home.path(), pool_bytes_max, now);
        Self { home, now, pool_bytes_max, run }
    }

    fn pay(&self, transfer: &Transfer) {
        self.run.1.submit_transfer(transfer.clone(), Origin::Anyone).unwrap();
    }

    fn hear(&self, blocks: &[CheckedBlock]) {
        for block in blocks {
            let _ = self.run.1.submit_checked(block.clone(), Origin::Anyone);
        }
    }

    fn pool(&self) -> BTreeSet<Txid> {
        self.run.1.view().chain.pool().iter().map(|pending| pending.id()).collect()
    }

    /// Those of [`poor`]: what others have paid it comes back out of blocks as well.
    fn of_poor(&self) -> BTreeSet<Txid> {
        let view = self.run.1.view();
        view.chain.pool().of_sender(&poor().public).map(|pending| pending.id()).collect()
    }

    fn restart(&mut self) {
        self.restart_after(|_| ());
    }

    /// Ends the node, lets something happen to its journal, and starts it again.
    fn restart_after(&mut self, happen: impl FnOnce(&mut Vec<u8>)) {
        self.run.0.end();
        let path = self.path();
        let mut bytes = std::fs::read(&path).unwrap();
        happen(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        self.run = open(self.home.path(), self.pool_bytes_max, self.now);
    }

    fn path(&self) -> PathBuf {
        self.home.path().join("mempool-5000.txt")
    }

    /// The journals that were set aside.
    fn kept(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.home.path()).unwrap();
        let names = files.map(|file| file.unwrap().path());
        names.filter(|path| path.to_string_lossy().contains("mempool-5000.20")).collect()
    }
}

fn ids<'t>(transfers: impl IntoIterator<Item = &'t Transfer>) -> BTreeSet<Txid> {
    transfers.into_iter().map(Transfer::id).collect()
}

/// Somebody whose coins are on one branch only, and a payment of them that the other branch, which
/// is the best, has made impossible.
struct GivenUp {
    node: Node,
    mine: TestChain,
    theirs: TestChain,
    paid: Transfer,
}

impl GivenUp {
    fn new() -> Self {
        let (node, mut mine) = (Node::new(POOL_BYTES_DEFAULT), TestChain::dev());
        let mut theirs = mine.fork(2);
        node.hear(&[mine.mine(vec![give(&mine, 30)])]);
        let paid = poor().pay(TestKey::new(8).public, (25, 0), 0, &mine.chain.chain_id());
        node.pay(&paid);
        assert_eq!(node.of_poor(), ids([&paid]));
        node.hear(&theirs.mine_empty(2));
        assert_eq!(node.of_poor(), BTreeSet::new());
        Self { node, mine, theirs, paid }
    }
}

fn poor() -> TestKey {
    TestKey::new(5)
}

fn give(world: &TestChain, amount: u64) -> Transfer {
    let rich = TestKey::dev(1);
    let nonce = world.chain.account(&rich.public).nonce;
    rich.pay(poor().public, (amount, 0), nonce, &world.chain.chain_id())
}

#[test]
fn what_was_given_up_does_not_come_back_in_place_of_what_was_paid_after_it() {
    let GivenUp { mut node, mut theirs, .. } = GivenUp::new();
    node.hear(&[theirs.mine(vec![give(&theirs, 10)])]);
    let again = poor().pay(TestKey::new(9).public, (5, 0), 0, &theirs.chain.chain_id());
    node.pay(&again);
    node.hear(&[theirs.mine(vec![give(&theirs, 20)])]);
    for _ in 0..2 {
        node.restart();
        assert_eq!(node.of_poor(), ids([&again]));
    }
    assert_eq!(node.kept(), [] as [PathBuf; 0]);
}

#[test]
fn what_was_given_up_does_not_come_back_with_the_coins() {
    let GivenUp { mut node, mut theirs, paid, .. } = GivenUp::new();
    node.hear(&[theirs.mine(vec![give(&theirs, 30)])]);
    node.restart();
    assert_eq!(node.of_poor(), BTreeSet::new());
    // It may be brought again.
    node.pay(&paid);
    node.restart();
    assert_eq!(node.of_poor(), ids([&paid]));
}

#[test]
fn what_was_given_up_and_comes_back_out_of_a_block_stays() {
    let GivenUp { mut node, mut mine, paid, .. } = GivenUp::new();
    let mut third = mine.fork(3);
    let blocks = [vec![mine.mine(vec![paid.clone()])], mine.mine_empty(2)].concat();
    node.hear(&blocks);
    assert_eq!(node.run.1.view().chain.tip().hash, mine.chain.tip().hash);
    node.hear(&third.mine_empty(5));
    assert_eq!(node.of_poor(), ids([&paid]));
    node.restart();
    assert_eq!(node.of_poor(), ids([&paid]));
}

#[test]
fn what_was_replaced_or_gave_way_stays_away() {
    let world = TestChain::dev();
    let (to, id) = (TestKey::new(9).public, world.chain.chain_id());
    let pay = |of: u32, fee| TestKey::dev(of).pay(to, (1, fee), 0, &id);
    let (cheap, better, best) = (pay(1, 5), pay(1, 9), pay(2, 7));
    let mut node = Node::new(2 * cheap.size() - 1);
    for payment in [&cheap, &better] {
        node.pay(payment);
        node.restart();
        assert_eq!(node.pool(), ids([payment]));
    }
    let dear = pay(2, 20);
    node.pay(&dear);
    assert_eq!(node.pool(), ids([&dear]));
    node.pool_bytes_max = POOL_BYTES_DEFAULT;
    node.restart();
    assert_eq!(node.pool(), ids([&dear]));
    assert!(node.run.1.submit_transfer(best, Origin::Anyone).is_err());
}

#[test]
fn what_was_written_out_of_order_comes_back_whole() {
    let world = TestChain::dev();
    let to = TestKey::new(9).public;
    let mut node = Node::new(POOL_BYTES_DEFAULT);
    let pay = |nonce| TestKey::dev(1).pay(to, (5, 1), nonce, &world.chain.chain_id());
    let transfers: Vec<_> = (0..PER_SENDER_MAX as u64).map(pay).collect();
    transfers.iter().for_each(|transfer| node.pay(transfer));
    node.restart_after(|bytes| {
        let mut lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        lines.reverse();
        *bytes = lines.concat();
    });
    assert_eq!(node.pool(), ids(&transfers));
}

#[test]
fn a_torn_end_costs_what_was_torn_and_is_no_damage() {
    let world = TestChain::dev();
    let (to, id) = (TestKey::new(9).public, world.chain.chain_id());
    let mut node = Node::new(POOL_BYTES_DEFAULT);
    let payments = [0, 1].map(|nonce| TestKey::dev(1).pay(to, (1, 0), nonce, &id));
    payments.iter().for_each(|payment| node.pay(payment));
    node.restart_after(|bytes| bytes.truncate(bytes.len() - 10));
    assert_eq!(node.pool(), ids([&payments[0]]));
    assert_eq!(node.kept(), [] as [PathBuf; 0]);
}

#[test]
fn what_stands_behind_a_damaged_line_is_given_up_for_good_and_kept_aside() {
    let world = TestChain::dev();
    let (to, id) = (TestKey::new(9).public, world.chain.chain_id());
    let mut node = Node::new(POOL_BYTES_DEFAULT);
    let pay = |amount: u64, nonce: u64| TestKey::dev(1).pay(to, (amount, 0), nonce, &id);
    let other = TestKey::dev(2).pay(to, (1, 0), 0, &id);
    (0..3).for_each(|nonce| node.pay(&pay(10, nonce)));
    node.pay(&other);
    let mut damaged = Vec::new();
    node.restart_after(|bytes| {
        bytes[100] ^= 1;
        damaged.clone_from(bytes);
    });
    assert_eq!(node.pool(), ids([&other]));
    let kept = node.kept();
    assert_eq!(std::fs::read(&kept[0]).unwrap(), damaged);
    assert_eq!(kept[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let again = pay(1, 0);
    node.pay(&again);
    node.restart();
    assert_eq!(node.pool(), ids([&again, &other]));
    assert_eq!(node.kept(), kept);
}

#[test]
fn what_is_lost_is_counted_with_whose_it_is() {
    let world = TestChain::dev();
    let (to, own) = (TestKey::new(9).public, TestKey::dev(1));
    let pay = |key: &TestKey| key.pay(to, (1, 0), 1, &world.chain.chain_id());
    let mut lost = Lost::default();
    let gap = PoolError::NonceTooFar { expected: 0, got: 1 };
    let late = PoolError::Expired { expiry: 1, next: world.chain.height().next() };
    for (key, why) in [(&own, &gap), (&TestKey::dev(2), &gap), (&own, &late)] {
        lost.count(&pay(key), Some(why), Some(own.public));
    }
    assert_eq!(lost, Lost { lines: 0, transfers: 2, own: 1 });
    assert!(lost.to_string().contains("2 open transactions can no longer be mined, 1 of them"));
}

#[test]
fn a_full_file_is_written_anew_before_a_turn_is_refused() {
    let mut world = TestChain::dev();
    let (to, id) = (TestKey::new(9).public, world.chain.chain_id());
    let dir = tempfile::tempdir().unwrap();
    let bounds = Bounds { entry_bytes_max: ENTRY_BYTES_MAX, entries_max: 4 };
    let journal = Journal::open(&dir.path().join("m.txt"), bounds, &mut |_| ()).unwrap().journal;
    let mut file = PoolFile { journal, prefix: world.chain.params().prefix };
    for fee in 0..20 {
        let before = world.chain.pool().clone();
        world.submit(TestKey::dev(1).pay(to, (1, 1 << fee), 0, &id)).unwrap();
        file.stage(&before, &world.chain, &BTreeSet::new()).unwrap();
        file.commit().unwrap();
    }
    assert_eq!(file.journal.entries(), 3);
}

/// Branches that overtake one another, payments of rich and poor, and restarts in between.
struct Life {
    random: Random,
    node: Node,
    branches: Vec<(TestChain, Vec<CheckedBlock>)>,
    sent: Vec<Transfer>,
}

impl Life {
    fn new(seed: u64) -> Self {
        let branches = (0..3).map(|salt| (TestChain::dev().fork(salt), Vec::new())).collect();
        Self { random: Random(seed), node: Node::new(3_000), branches, sent: Vec::new() }
    }

    fn pay(&mut self) {
        let keys = [TestKey::dev(1), TestKey::new(5), TestKey::new(6), TestKey::new(7)];
        let view = self.node.run.1.view();
        let (from, to) = (self.random.pick(&keys), self.random.pick(&keys).public);
        let next = view.chain.pool().next_nonce(&from.public, view.chain.account(&from.public));
        let nonce = next.saturating_sub(self.random.below(3));
        let amounts = (10 + self.random.below(100), self.random.below(30));
        let payment = from.pay(to, amounts, nonce, &view.chain.chain_id());
        if self.node.run.1.submit_transfer(payment.clone(), Origin::Anyone).is_ok() {
            self.sent.push(payment);
        }
    }

    fn mine(&mut self) {
        let salt = self.random.bits();
        let place = usize::try_from(salt % 3).unwrap();
        if self.random.percent(10) {
            let (chain, blocks) = self.random.pick(&self.branches).clone();
            self.branches[place] = (chain.fork(salt), blocks);
        }
        let (chain, blocks) = &mut self.branches[place];
        for transfer in &self.sent {
            if self.random.percent(70) {
                let _ = chain.submit(transfer.clone());
            }
        }
        let block = chain.from_template();
        chain.accept(&block).unwrap();
        blocks.push(block);
        self.node.hear(blocks);
    }
}

#[test]
fn whatever_happens_a_restart_changes_nothing_in_the_pool() {
    let (mut tip_changes, mut pending) = (0, 0);
    for seed in 0..12 {
        let mut life = Life::new(seed);
        for step in 0..150 {
            match life.random.below(10) {
                0..6 => life.pay(),
                6..9 => life.mine(),
                _ => {
                    let view = life.node.run.1.view();
                    tip_changes += u64::from(view.reorganization.is_some());
                    let before = life.node.pool();
                    pending += before.len();
                    life.node.restart();
                    assert_eq!(life.node.pool(), before, "seed {seed}, step {step}");
                    assert_eq!(life.node.kept(), [] as [PathBuf; 0], "seed {seed}, step {step}");
                }
            }
        }
    }
    assert!(tip_changes > 20 && pending > 100, "{tip_changes} {pending}");
}
