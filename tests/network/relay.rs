//! How soon a transfer and a block are everywhere.

use crate::figures::Times;
use crate::harness::{DEADLINE, number_from_env};
use crate::is_long;
use crate::mirror::transfer_json;
use crate::namespace;
use crate::proxy::Pace;
use crate::watch::Watch;
use crate::world::World;
use farthing::primitives::amount::COIN;
use farthing::testkit::{TestChain, TestKey};
use std::time::Duration;

/// A ring of ten nodes, each linked to the one opposite as well: three peers each, and three steps
/// to the farthest.
const GRAPH: [(usize, usize); 15] = [
    (0, 1),
    (1, 2),
    (2, 3),
    (3, 4),
    (4, 5),
    (5, 6),
    (6, 7),
    (7, 8),
    (8, 9),
    (9, 0),
    (0, 5),
    (1, 6),
    (2, 7),
    (3, 8),
    (4, 9),
];

const NODES: usize = 10;

/// The most steps between two nodes of a graph.
fn diameter(graph: &[(usize, usize)]) -> usize {
    let mut steps = [[NODES; NODES]; NODES];
    for &(one, other) in graph {
        (steps[one][other], steps[other][one]) = (1, 1);
    }
    for via in 0..NODES {
        steps[via][via] = 0;
        for one in 0..NODES {
            for other in 0..NODES {
                steps[one][other] = steps[one][other].min(steps[one][via] + steps[via][other]);
            }
        }
    }
    steps.into_iter().flatten().max().expect("nodes")
}

/// Ten nodes that listen to each other over slow links.
struct Rig {
    world: World,
    watches: Vec<Watch>,
    paid: u64,
}

impl Rig {
    fn new(delay: Duration) -> Self {
        assert_eq!(diameter(&GRAPH), 3);
        let world = World::linked(NODES, &GRAPH);
        world.nodes.iter().for_each(|node| drop(node.create_wallet()));
        world.set_pace(Pace { delay, ..Pace::default() });
        let watches = world.nodes.iter().map(Watch::of).collect();
        Self { world, watches, paid: 0 }
    }

    /// How long a transfer that one node takes is under way to all others.
    fn transfer(&mut self, from: usize) -> Duration {
        let key = TestKey::dev(1);
        let id = TestChain::dev().chain.chain_id();
        let transfer = key.pay(TestKey::new(5).public, (COIN, 1_000), self.paid, &id);
        self.paid += 1;
        let body = Some(transfer_json(&transfer));
        let node = &self.world.nodes[from];
        let told = node.request("POST", "/broadcast-transaction", body).expect(201);
        let id = told["transaction"]["id"].as_str().expect("an id");
        Watch::spread(id, &self.watches[from], &self.watches)
    }

    /// How long a block that one node finds is under way to all others.
    fn block(&self, from: usize) -> Duration {
        let block = self.world.nodes[from].mine();
        let hash = block["hash"].as_str().expect("a hash");
        Watch::spread(hash, &self.watches[from], &self.watches)
    }

    /// Transfers and blocks, from each node in turn.
    fn run(&mut self, rounds: u64) -> (Times, Times) {
        let (mut transfers, mut blocks) = (Times::default(), Times::default());
        for round in 0..rounds {
            let from = usize::try_from(round * 7).expect("small") % NODES;
            transfers.push(self.transfer(from));
            blocks.push(self.block(from));
        }
        (transfers, blocks)
    }
}

fn rounds(otherwise: u64) -> u64 {
    number_from_env("FARTHING_ROUNDS", if is_long() { 500 } else { otherwise })
}

#[test]
fn what_is_new_is_soon_everywhere() {
    let mut rig = Rig::new(Duration::from_millis(50));
    let (transfers, blocks) = rig.run(rounds(8));
    println!("50 ms a link: transfers everywhere after {transfers}");
    println!("50 ms a link: blocks everywhere after {blocks}");
    let [transfer, block] = if is_long() { [700, 1_000] } else { [20_000, 20_000] };
    assert!(transfers.percentile(99) <= Duration::from_millis(transfer), "{transfers}");
    assert!(blocks.percentile(99) <= Duration::from_millis(block), "{blocks}");
}

/// Inside of a network of its own, in which packets between nodes are lost.
fn lossy(test: &str, (percent, delay, rounds): (u32, Duration, u64), most: Duration) {
    if !namespace::is_inside(test) {
        return;
    }
    let mut rig = Rig::new(delay);
    namespace::lose_packets(percent, &rig.world.ports());
    let (transfers, blocks) = rig.run(rounds);
    assert!(namespace::lost_packets() > 0, "nothing was lost");
    let what = format!("{} ms a link, {percent}% lost", delay.as_millis());
    println!("{what}: transfers everywhere after {transfers}");
    println!("{what}: tips agree after {blocks}");
    let most = if is_long() { most } else { DEADLINE };
    assert!(blocks.percentile(99) <= most, "{blocks}");
    let blamed = rig.world.nodes.iter().filter(|node| node.log().contains("no honest node"));
    assert_eq!(blamed.count(), 0, "nobody is blamed for the network");
}

#[test]
fn what_is_lost_on_the_way_comes_all_the_same() {
    let test = "relay::what_is_lost_on_the_way_comes_all_the_same";
    lossy(test, (10, Duration::from_millis(100), rounds(3)), Duration::from_secs(3));
}

#[test]
fn a_third_lost_and_half_a_second_a_link_are_borne() {
    let test = "relay::a_third_lost_and_half_a_second_a_link_are_borne";
    lossy(test, (30, Duration::from_millis(500), rounds(1)), Duration::from_secs(15));
}
