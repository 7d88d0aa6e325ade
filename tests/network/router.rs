//! Nodes behind routers, to which nobody can open a connection.

use crate::figures::Times;
use crate::harness::{DEADLINE, number_from_env};
use crate::is_long;
use crate::mirror::transfer_json;
use crate::watch::Watch;
use crate::world::World;
use farthing::primitives::amount::COIN;
use farthing::testkit::{TestChain, TestKey};
use std::time::Duration;

/// Two nodes that can call each other, and behind each a node that can only call it.
fn world() -> World {
    let mut world = World::new(4);
    world.link(0, 1);
    world.open(2, 0);
    world.open(3, 1);
    world.introduce();
    world
}

#[test]
fn nodes_behind_routers_take_part_fully() {
    let world = world();
    let watches: Vec<Watch> = world.nodes.iter().map(Watch::of).collect();
    world.nodes.iter().for_each(|node| drop(node.create_wallet()));
    let rounds = number_from_env("FARTHING_ROUNDS", if is_long() { 50 } else { 2 });
    let id = TestChain::dev().chain.chain_id();
    let (mut transfers, mut blocks) = (Times::default(), Times::default());
    for nonce in 0..rounds {
        for from in [2_u32, 3] {
            let (node, watch) = (&world.nodes[from as usize], &watches[from as usize]);
            let transfer =
                TestKey::dev(from).pay(TestKey::new(1).public, (COIN, 1_000), nonce, &id);
            let body = Some(transfer_json(&transfer));
            let told = node.request("POST", "/broadcast-transaction", body).expect(201);
            let id = told["transaction"]["id"].as_str().expect("an id");
            transfers.push(Watch::spread(id, watch, &watches));
            let mined = node.mine();
            let hash = mined["hash"].as_str().expect("a hash");
            blocks.push(Watch::spread(hash, watch, &watches));
        }
    }
    println!("from router to router: transfers {transfers}; blocks {blocks}");
    let most = if is_long() { Duration::from_secs(1) } else { DEADLINE };
    assert!(transfers.percentile(99) <= most, "{transfers}");
    assert!(blocks.percentile(99) <= most, "{blocks}");
}
