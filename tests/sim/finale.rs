//! How a world ends: the trouble stops, and everything must come right within a stated time.

use crate::check::mined_in;
use crate::clock::{MINUTE, SECOND};
use crate::node::Node;
use crate::rules::{params, time_at};
use crate::world::{What, World};
use farthing::consensus::check::CheckedTransfer;
use farthing::primitives::{Height, Transfer, Work};
use std::collections::BTreeSet;

/// How long people and miners go on after the trouble.
const RECOVERY: u64 = 15 * MINUTE;

/// How long people and miners go on when news must be quick.
const CALM: u64 = 5 * MINUTE;

/// How long news take to be everywhere, where all wires are short: less than it takes until nodes compare
/// their tips and pools.
const NEWS: u64 = 15 * SECOND;

/// Wires that take no longer, in microseconds, are short.
const SHORT: u64 = 200_000;

/// Something that somebody was told of.
pub enum News {
    /// A transfer is pending.
    Transfer(CheckedTransfer),
    /// There is a best chain with this work.
    Block(Work),
}

/// How long payments are mined after the last was made, unless none waits any more.
const CLEARING: u64 = 15 * MINUTE;

/// How long after the last block all must stand on one tip, with one pool.
const AGREEMENT: u64 = 3 * MINUTE;

/// How often is looked whether something holds that is waited for.
const LOOK: u64 = 10 * SECOND;

/// Ties that are broken at most: each needs one more block.
const TIES_MAX: usize = 20;

impl World {
    /// From the first moment to the last check.
    pub fn live(&mut self) {
        self.disks_fail(true);
        self.run(self.plan.trouble);
        self.calm();
        self.run(RECOVERY);
        self.is_calm = true;
        self.run(CALM);
        self.is_paying = false;
        self.run_until(CLEARING, |world| world.is_one() && world.waits_nothing());
        self.is_mining = false;
        self.run_until(AGREEMENT, Self::is_one);
        self.break_ties();
        self.all_agree();
        self.nothing_vanished();
        self.same_pools();
    }

    /// When nothing is wrong, news must be everywhere soon.
    pub fn announce(&mut self, news: News) {
        if self.is_calm && self.weather.latency + self.weather.jitter <= SHORT {
            self.after(NEWS, What::Expect(news));
        }
    }

    pub fn expect(&mut self, news: &News) {
        if let News::Transfer(transfer) = news {
            let next = self.height_at(0).next();
            let (sender, nonce) = (transfer.transfer().sender, transfer.transfer().nonce);
            if self.plan.is_wallet_shared || self.checks.may_be_stuck((sender, nonce), next) {
                return;
            }
        }
        self.tally.expected += 1;
        for node in &self.nodes {
            let view = node.run.as_ref().expect("all nodes are up").handle.view();
            match news {
                News::Transfer(transfer) => {
                    let id = transfer.id();
                    let is_open = view.chain.pool().get(&id).is_some();
                    let is_there = is_open || self.is_mined(node.index, transfer.transfer());
                    assert!(is_there, "transfer {id} did not reach node {} in time", node.index);
                }
                News::Block(work) => {
                    let own = view.chain.tip().total_work;
                    assert!(own >= *work, "work {work} did not reach node {} in time", node.index);
                }
            }
        }
    }

    /// Whether a transfer has been mined on the branch of a node, or on another of equal work: no pool
    /// there has it to give any more, and the next block decides whether it waits again.
    fn is_mined(&self, index: usize, transfer: &Transfer) -> bool {
        let views =
            self.nodes.iter().map(|node| node.run.as_ref().expect("it is up").handle.view());
        let mut equal = views.filter(|view| view.chain.tip().total_work == self.work_at(index));
        equal.any(|view| view.chain.account(&transfer.sender).nonce > transfer.nonce)
    }

    pub fn height_at(&self, index: usize) -> Height {
        let run = self.nodes[index].run.as_ref().expect("it is up");
        run.handle.view().chain.height()
    }

    /// The work of a node's best chain.
    pub fn work_at(&self, index: usize) -> Work {
        let run = self.nodes[index].run.as_ref().expect("it is up");
        run.handle.view().chain.tip().total_work
    }

    /// Branches of equal work may stand side by side: one more block decides.
    fn break_ties(&mut self) {
        for _ in 0..TIES_MAX {
            let mut works = BTreeSet::new();
            let mut tips = BTreeSet::new();
            for node in &self.nodes {
                let run = node.run.as_ref().expect("all nodes are up");
                let view = run.handle.view();
                works.insert(view.chain.tip().total_work);
                tips.insert(view.chain.tip().hash);
            }
            if works.len() > 1 || tips.len() == 1 {
                return;
            }
            self.tally.ties += 1;
            let index = self.pick(self.nodes.len());
            while !self.mine(index) {
                let now = self.now();
                self.run(SECOND);
                assert!(self.now() > now);
            }
            self.run_until(AGREEMENT, Self::is_one);
        }
    }

    /// Lets the world go on until something holds, or for so many microseconds.
    fn run_until(&mut self, most: u64, holds: impl Fn(&Self) -> bool) {
        let end = self.now() + most;
        while self.now() < end && !holds(self) {
            self.run(LOOK.min(end - self.now()));
        }
    }

    /// Whether all nodes stand on one tip, with one pool.
    fn is_one(&self) -> bool {
        let state = |node: &Node| {
            let view = node.run.as_ref().expect("all nodes are up").handle.view();
            let mut pool: Vec<_> = view.chain.pool().iter().map(|pending| pending.id()).collect();
            pool.sort_unstable();
            (view.chain.tip().hash, pool)
        };
        let first = state(&self.nodes[0]);
        self.nodes.iter().all(|node| state(node) == first)
    }

    /// No block that counts is stamped with a time that has not come.
    pub fn times_are_right(&self) {
        let now = time_at(self.now());
        for node in &self.nodes {
            let view = node.run.as_ref().expect("all nodes are up").handle.view();
            let (tip, latest) = (view.chain.tip(), params().latest_time(view.chain.height(), now));
            assert!(
                tip.header.time <= latest,
                "node {} stands on a block of the future",
                node.index
            );
        }
    }

    /// Whether no transfer waits anywhere to be mined.
    fn waits_nothing(&self) -> bool {
        let is_clear = |node: &Node| {
            let view = node.run.as_ref().expect("all nodes are up").handle.view();
            view.chain.pool().iter().next().is_none()
        };
        self.nodes.iter().all(is_clear)
    }

    fn all_agree(&self) {
        let tips: Vec<_> = self
            .nodes
            .iter()
            .map(|node| {
                let view = node.run.as_ref().expect("all nodes are up").handle.view();
                (view.chain.tip().hash, view.chain.height(), view.chain.tip().total_work)
            })
            .collect();
        assert!(
            tips.iter().all(|tip| *tip == tips[0]),
            "the nodes do not agree {} s after the last block: {tips:?}",
            AGREEMENT / SECOND,
        );
    }

    /// What somebody was told is pending is mined now, or pending everywhere.
    fn nothing_vanished(&mut self) {
        let run = self.nodes[0].run.as_ref().expect("all nodes are up");
        let mined = mined_in(&run.handle);
        let views: Vec<_> =
            self.nodes.iter().map(|node| node.run.as_ref().expect("up").handle.view()).collect();
        let next = views[0].chain.height().next();
        for ((sender, nonce), promise) in &self.checks.transfers {
            let ids = &promise.ids;
            if views[0].chain.account(sender).nonce > *nonce {
                let is_there = ids.iter().any(|id| mined.contains(id));
                assert!(is_there, "another transfer took the place of {ids:?}, nonce {nonce}");
                continue;
            }
            if self.checks.may_be_stuck((*sender, *nonce), next) {
                continue;
            }
            let holds = |view: &farthing::node::View| {
                ids.iter().any(|id| view.chain.pool().get(id).is_some())
            };
            let holders: Vec<_> = views.iter().map(|view| holds(view)).collect();
            assert!(
                holders.iter().all(|holds| *holds),
                "transfer {ids:?}, nonce {nonce} of {sender}, was answered for, and is pending here: {holders:?}",
            );
        }
    }

    fn same_pools(&self) {
        let pools: Vec<BTreeSet<_>> = self
            .nodes
            .iter()
            .map(|node| {
                let view = node.run.as_ref().expect("all nodes are up").handle.view();
                view.chain.pool().iter().map(|pending| pending.id()).collect()
            })
            .collect();
        assert!(pools.iter().all(|pool| *pool == pools[0]), "the pools differ: {pools:?}");
    }
}
