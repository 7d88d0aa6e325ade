//! What it costs to pass things on, in bytes.

use crate::figures::ratio;
use crate::harness::{Node, wait_until};
use crate::is_long;
use crate::mirror::{DEV, transfer_json};
use crate::world::{World, full_mesh};
use farthing::primitives::amount::COIN;
use farthing::testkit::{TestChain, TestKey};
use farthing::wire::block_from_json;

const PAYERS: u32 = 10;

/// Gives each node transfers in turn, so many of each payer, and returns the bytes of all.
pub fn pay(nodes: &[Node], each: u64) -> u64 {
    let id = TestChain::dev().chain.chain_id();
    let mut bytes = 0;
    for nonce in 0..each {
        for payer in 0..PAYERS {
            let key = TestKey::dev(payer + 1);
            let transfer = key.pay(TestKey::new(payer).public, (COIN, 1_000), nonce, &id);
            let text = transfer_json(&transfer);
            bytes += text.len() as u64;
            let node = &nodes[payer as usize % nodes.len()];
            node.request("POST", "/broadcast-transaction", Some(text)).expect(201);
        }
    }
    bytes
}

pub fn all_have(nodes: &[Node], count: u64) {
    for node in nodes {
        wait_until("all transfers", || node.status()["mempool"]["count"] == count);
    }
}

#[test]
fn a_transfer_is_sent_to_a_node_about_once() {
    let (count, each) = if is_long() { (10, 100) } else { (4, 5) };
    let world = World::linked(count, &full_mesh(count));
    let before: Vec<u64> = world.all().iter().map(|place| world.received(*place)).collect();
    let (bytes, sent) = (pay(&world.nodes, each), u64::from(PAYERS) * each);
    all_have(&world.nodes, sent);
    let received = world.all().into_iter().map(|place| world.received(place) - before[place]);
    let most = received.max().expect("a node");
    let times = ratio(most, bytes);
    println!("{sent} transfers of {bytes} bytes: at most {most} bytes received, {times:.2} times");
    assert!(!is_long() || times <= 3.0, "{times}");
}

#[test]
fn a_block_whose_transfers_are_known_costs_little() {
    let world = World::linked(2, &[(0, 1)]);
    let miner = &world.nodes[0];
    miner.create_wallet();
    let each = if is_long() { 100 } else { 20 };
    pay(&world.nodes, each);
    all_have(&world.nodes, u64::from(PAYERS) * each);
    let told = || world.received(0) + world.received(1);
    let before = told();
    let hash = miner.mine()["hash"].as_str().expect("a hash").to_owned();
    wait_until("the block to come", || world.nodes[1].tip() == hash);
    let cost = told() - before;
    let text = miner.get(&format!("/block/{hash}")).text;
    let block = block_from_json(&text, DEV).expect("a block");
    let size = block.size() as u64;
    let (share, count) = (ratio(cost, size), block.transfers.len());
    println!("a block of {count} transfers, {size} bytes: costs {cost} bytes, {share:.3} of it");
    assert!(!is_long() || share < 0.05, "{share}");
}
