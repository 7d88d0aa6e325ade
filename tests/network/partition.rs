//! The network falls apart, both sides go on, and it heals.

use crate::figures::Times;
use crate::harness::{DEADLINE, Node, number_from_env, random, wait_in_vain, wait_until};
use crate::is_long;
use crate::mirror::{address, balance, transfer_json};
use crate::proxy::State;
use crate::world::{Ways, World, full_mesh};
use farthing::primitives::BlockHash;
use farthing::primitives::amount::COIN;
use farthing::testkit::{Random, TestChain, TestKey};
use std::time::{Duration, Instant};

/// Development accounts that pay on each side.
const PAYERS_OF_SIDE: u32 = 5;

/// Who pays, and how often each has paid.
struct Payments {
    chain_id: BlockHash,
    nonces: [u64; 2 * PAYERS_OF_SIDE as usize],
    sent: u64,
}

impl Payments {
    fn new() -> Self {
        let chain_id = TestChain::dev().chain.chain_id();
        Self { chain_id, nonces: [0; 2 * PAYERS_OF_SIDE as usize], sent: 0 }
    }

    fn recipient() -> TestKey {
        TestKey::new(77)
    }

    /// A coin from each payer of a side, sent at `node`. No two sides have a payer in common, so
    /// that no payment is in the way of another.
    fn send(&mut self, node: &Node, side: u32) {
        for payer in side * PAYERS_OF_SIDE..(side + 1) * PAYERS_OF_SIDE {
            let nonce = &mut self.nonces[payer as usize];
            let (key, to) = (TestKey::dev(payer + 1), Self::recipient().public);
            let transfer = key.pay(to, (COIN, 1_000), *nonce, &self.chain_id);
            *nonce += 1;
            let path = "/broadcast-transaction";
            node.request("POST", path, Some(transfer_json(&transfer))).expect(201);
            self.sent += 1;
        }
    }

    /// Waits until `node` has all payments, waiting or in blocks; tells if some are missing.
    fn are_known(&self, node: &Node) -> Result<(), String> {
        let recipient = address(&Self::recipient());
        let known = || {
            let (open, received) = (node.open_transactions().len(), balance(node, &recipient));
            (f64::from(u32::try_from(open).expect("few")) + received, open)
        };
        let sent = f64::from(u32::try_from(self.sent).expect("some thousands"));
        let all = wait_in_vain(|| (known().0 == sent).then_some(()));
        all.ok_or_else(|| format!("of {sent} payments it has (all, open) {:?}", known()))
    }
}

/// How the network falls apart.
#[derive(Clone, Copy, Debug)]
enum Split {
    /// Packets are lost in both directions.
    Silent,
    /// Connections are reset in both directions.
    Reset,
    /// Only what the smaller side says is lost.
    OneWay,
    /// It comes and goes.
    Flapping,
}

const SPLITS: [Split; 4] = [Split::Silent, Split::Reset, Split::OneWay, Split::Flapping];

/// A network that is split again and again.
struct Rig {
    world: World,
    payments: Payments,
    random: Random,
    /// How often each peer of the other side is called in vain before the border opens again.
    failures: u64,
}

impl Rig {
    fn new(failures: u64) -> Self {
        let world = World::linked(5, &full_mesh(5));
        world.nodes[0].mine_for_a_wallet();
        world.nodes[1..].iter().for_each(|node| drop(node.create_wallet()));
        world.agree("the first block", &world.all());
        Self { world, payments: Payments::new(), random: random(3), failures }
    }

    /// Two nodes part from the other three, both sides mine and pay, and the border opens again.
    /// Returns how long it then takes until all agree.
    fn split(&mut self, split: Split, depth: u64) -> Duration {
        let first = usize::try_from(self.random.below(5)).expect("small");
        let side = [first, (first + 2) % 5];
        let others: Vec<usize> = (0..5).filter(|place| !side.contains(place)).collect();
        self.cut(split, &side);
        let shorter = self.random.below(2);
        for block in 0..depth {
            if block % 10 == 0 {
                self.payments.send(&self.world.nodes[side[1]], 0);
                self.payments.send(&self.world.nodes[others[2]], 1);
            }
            if matches!(split, Split::Flapping) && block % 20 == 10 {
                self.cut_or_mend(&side, State::Whole, Ways::Both);
                self.cut(split, &side);
            }
            if block > 0 || shorter == 1 {
                self.mine(side[0]);
            }
            if block > 0 || shorter == 0 {
                self.mine(others[0]);
            }
        }
        let (one, other) = (self.world.nodes[side[0]].tip(), self.world.nodes[others[0]].tip());
        if matches!(split, Split::Silent | Split::Reset) {
            assert_ne!(one, other, "it has not fallen apart");
            self.has_noticed(&side, self.failures);
        }
        // Between branches of equal work every node keeps the one it saw first, until the next block.
        let work = |place: usize| self.world.nodes[place].status()["work"].clone();
        while work(side[0]) == work(others[0]) {
            self.mine(side[0]);
        }
        self.heal(&side)
    }

    /// Waits until whoever mines on one side has called all of the other in vain, so often in a row.
    fn has_noticed(&self, side: &[usize], failures: u64) {
        let others: Vec<usize> = (0..5).filter(|place| !side.contains(place)).collect();
        for (one, others) in [(side[0], &others[..]), (others[0], side)] {
            for &other in others {
                self.world.has_lost(one, other, failures);
            }
        }
    }

    fn heal(&self, side: &[usize]) -> Duration {
        let begun = Instant::now();
        self.cut_or_mend(side, State::Whole, Ways::Both);
        let all = self.world.all();
        self.world.agree("all to agree", &all);
        begun.elapsed()
    }

    fn cut(&self, split: Split, side: &[usize]) {
        match split {
            Split::Silent | Split::Flapping => {
                self.cut_or_mend(side, State::Silent, Ways::Both);
            }
            Split::Reset => self.cut_or_mend(side, State::Reset, Ways::Both),
            Split::OneWay => self.cut_or_mend(side, State::Silent, Ways::One),
        }
    }

    fn cut_or_mend(&self, side: &[usize], state: State, ways: Ways) {
        self.world.set_border(side, state, ways);
    }

    /// Mines a block, unless a heavier chain is just being fetched.
    fn mine(&self, place: usize) {
        let node = &self.world.nodes[place];
        wait_until("a block", || match node.call("POST", "/mine") {
            answer if answer.status == 201 => true,
            answer => {
                assert_eq!(answer.status, 409, "{}", answer.text);
                false
            }
        });
    }

    /// Nothing has vanished, and all have the same accounts: a block of one, which commits to the
    /// accounts as that one has them, is good for all.
    fn is_whole(&self) {
        for node in &self.world.nodes {
            let known = self.payments.are_known(node);
            known.unwrap_or_else(|lacks| panic!("{lacks}\n{}", self.world.picture()));
        }
        self.mine(3);
        self.mine(3);
        self.world.agree("a block on what all agree on", &self.world.all());
        let account = address(&Payments::recipient());
        let path = format!("/proof/account/{account}");
        let root = |node: &Node| node.get(&path).expect(200)["block"]["account_root"].clone();
        let roots: Vec<_> = self.world.nodes.iter().map(root).collect();
        assert!(roots[0].is_string() && roots.iter().all(|one| *one == roots[0]), "{roots:?}");
        for node in &self.world.nodes {
            assert_eq!(node.open_transactions(), Vec::<String>::new());
            self.payments.are_known(node).expect("all are in blocks");
        }
    }
}

/// A hundred blocks of both sides, healed within 10 s.
#[test]
fn two_sides_agree_after_a_split() {
    let mut rig = Rig::new(number_from_env("FARTHING_FAILURES", if is_long() { 4 } else { 1 }));
    let depth = number_from_env("FARTHING_DEPTH", 100);
    let took = rig.split(Split::Silent, depth);
    println!("{depth} blocks of divergence: all agree after {:.2} s", took.as_secs_f64());
    let most = if depth > 100 { Duration::from_secs(60) } else { Duration::from_secs(10) };
    assert!(took <= if is_long() { most } else { DEADLINE }, "{took:?}");
    rig.is_whole();
}

/// Splits in a row, of every kind.
#[test]
fn split_after_split_heals_and_no_transfer_vanishes() {
    let mut rig = Rig::new(1);
    let count = number_from_env("FARTHING_SPLITS", if is_long() { 50 } else { 2 });
    let most = if is_long() { 100 } else { 12 };
    let mut times = Times::default();
    for number in 0..count {
        let split = SPLITS[usize::try_from(number).expect("small") % SPLITS.len()];
        let depth = 2 + rig.random.below(most - 1);
        let took = rig.split(split, depth);
        println!("split {number}, {split:?}, {depth} blocks: {:.2} s", took.as_secs_f64());
        times.push(took);
        rig.is_whole();
    }
    println!("all agree after {times}");
    assert!(times.percentile(100) <= if is_long() { Duration::from_secs(10) } else { DEADLINE });
}
