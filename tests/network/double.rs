//! Two stories told at once: two blocks on one parent, two payments of one coin.

use crate::harness::{number_from_env, wait_until};
use crate::is_long;
use crate::mirror::{announcement, draft, mirror, transfer_json};
use crate::world::{World, full_mesh};
use farthing::primitives::amount::COIN;
use farthing::primitives::{Block, Transfer};
use farthing::testkit::{TestChain, TestKey};

const NODES: usize = 4;

/// The two next blocks of a chain, each with one of two payments of the same coins.
fn twins(chain: &TestChain, payments: &[Transfer; 2]) -> [Block; 2] {
    [0, 1].map(|story| {
        let mut block = draft(chain, vec![payments[story].clone()]);
        block.coinbase.extra_nonce = [u8::try_from(story).expect("0 or 1"); 8];
        chain.sealed(block)
    })
}

#[test]
fn whoever_tells_two_stories_is_overtaken_by_the_next_block() {
    let world = World::linked(NODES, &full_mesh(NODES));
    world.nodes.iter().for_each(|node| drop(node.create_wallet()));
    let rounds = number_from_env("FARTHING_ROUNDS", if is_long() { 100 } else { 5 });
    let (key, id) = (TestKey::dev(1), TestChain::dev().chain.chain_id());
    for nonce in 0..rounds {
        let to = [TestKey::new(1).public, TestKey::new(2).public];
        let payments = to.map(|to| key.pay(to, (COIN, 1_000), nonce, &id));
        let blocks = twins(&mirror(&world.nodes[0]), &payments);
        std::thread::scope(|scope| {
            for (place, node) in world.nodes.iter().enumerate() {
                let (payment, block) = (&payments[place % 2], &blocks[place % 2]);
                scope.spawn(move || {
                    // Who has heard the other story first refuses this payment, or keeps this block
                    // beside the other.
                    node.request("POST", "/broadcast-transaction", Some(transfer_json(payment)));
                    let told = announcement(block.clone());
                    node.request("POST", "/broadcast-block", Some(told)).expect(201);
                });
            }
        });
        let parent = u64::from(blocks[0].coinbase.height.0);
        wait_until("one of them", || world.nodes.iter().all(|node| node.height() == parent));
        let told = blocks.each_ref().map(|block| block.hash().to_string());
        assert!(world.nodes.iter().all(|node| told.contains(&node.tip())));
        let from = usize::try_from(nonce).expect("small") % NODES;
        world.nodes[from].mine();
        world.agree("all on one tip", &world.all());
        assert_eq!(world.nodes[0].height(), parent + 1, "no fork is longer than a block");
        let mined =
            u64::from(mirror(&world.nodes[0]).chain.account(&key.public).nonce == nonce + 1);
        assert_eq!(mined, 1, "the coins are paid once");
        // The other payment is nobody's any more.
        wait_until("empty pools", || {
            world.nodes.iter().all(|node| node.open_transactions().is_empty())
        });
    }
    assert!(
        world.nodes.iter().all(|node| !node.log().contains("no honest node")),
        "nobody is blamed"
    );
}
