//! What is accepted goes everywhere, once, and nobody waits for the dead.

use super::*;
use crate::chain::pool::WAITING_PER_SENDER_MAX;
use crate::net::lock;
use crate::net::wanted::{ANSWER_MAX, PER_PEER_MAX, Word};
use crate::primitives::hash::sha256;
use crate::primitives::{CompactBlock, PeerId, Txid};
use crate::wire::{AnnouncedBlock, Announcement, PoolSummary};

pub(super) fn pay(from: &TestNode, nonce: u64) -> crate::primitives::Txid {
    let (chain_id, to) = (from.node.chain_id(), TestKey::new(99).public);
    let transfer = TestKey::dev(1).pay(to, (100, 0), nonce, &chain_id);
    let id = transfer.id();
    from.node.submit_transfer(transfer, Origin::Own).unwrap();
    id
}

pub(super) fn has(node: &TestNode, id: &crate::primitives::Txid) -> bool {
    node.node.view().chain.pool().get(id).is_some()
}

#[test]
fn a_line_of_five_passes_transfers_and_blocks_to_its_ends() {
    let world = World::new();
    let nodes: Vec<_> = (1..=5).map(|port| TestNode::start(&world, port)).collect();
    for pair in nodes.windows(2) {
        pair[0].join(&pair[1]);
    }
    for pair in nodes.windows(2) {
        wait("mutual peers", || pair[1].is_connected_to(&pair[0]));
    }
    let id = pay(&nodes[0], 0);
    wait("the transfer at the other end", || has(&nodes[4], &id));
    let tip = nodes[4].mine();
    wait("the block at the first", || nodes[0].tip() == tip);
    assert!(!has(&nodes[0], &id));
    let relayed: usize = (1..=5).map(|port| world.count(port, "block")).sum();
    assert!(relayed <= 8, "each block crosses each link once each way at most");
    assert!(nodes.iter().all(|node| node.network.sync_status().is_synced()));
}

#[test]
fn nothing_is_kept_from_a_peer_for_what_others_say_in_its_name() {
    let world = World::new();
    world.wires.lock().unwrap().closed.extend([1, 2]);
    let (one, other) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    let miner = TestNode::start(&world, 3);
    let tip = miner.mine();
    one.join(&other);
    wait("mutual peers", || other.is_connected_to(&one) && one.is_connected_to(&other));
    let view = miner.node.view();
    let block = miner.node.read_block(view.chain.body_of(&tip).unwrap()).unwrap();
    let compact = CompactBlock::of(&block, 7);
    let work = view.chain.tip().total_work;
    let transfer = TestKey::dev(1).pay(TestKey::new(99).public, (100, 0), 0, &one.node.chain_id());
    let id = transfer.id();
    let said = Announcement {
        from: Some(Reach::Port(BASE + 2)),
        blocks: vec![AnnouncedBlock::new(compact, work, one.node.prefix())],
        transactions: vec![id],
    };
    // The other hears only what it is told: were it quick to ask, there would be nothing left to tell.
    world.cuts.lock().unwrap().insert((BASE + 2, BASE + 1));
    one.network.announced(said, LOCAL);
    assert_eq!(one.tip(), tip);
    wait("the block is told all the same", || world.count(1, "block") > 0);
    one.node.submit_transfer(transfer, Origin::Own).unwrap();
    wait("the transfer is told all the same", || world.count(1, "transfer") > 0);
    world.cuts.lock().unwrap().remove(&(BASE + 2, BASE + 1));
    wait("both are there", || other.tip() == tip && has(&other, &id));
}

#[test]
fn dead_peers_do_not_delay_live_ones() {
    let world = World::new();
    let sender = TestNode::start(&world, 1);
    let live: Vec<_> = (2..=5).map(|port| TestNode::start(&world, port)).collect();
    for node in &live {
        sender.join(node);
    }
    for port in 100..116 {
        world.serve(&address(port), Server::BlackHole);
        sender.network.table().add_manual(&address(port).parse().unwrap());
    }
    wait("all live ones", || live.iter().all(|node| node.is_connected_to(&sender)));
    for _ in 0..20 {
        // Whoever waits for a dead one waits longer than this does.
        let tip = sender.mine();
        wait("the block everywhere", || live.iter().all(|node| node.tip() == tip));
    }
}

#[test]
fn open_transactions_of_before_are_pulled_by_a_new_peer() {
    let world = World::new();
    let (old, new) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    let ids: Vec<_> = (0..5).map(|nonce| pay(&old, nonce)).collect();
    new.join(&old);
    wait("the pool of the other", || ids.iter().all(|id| has(&new, id)));
}

#[test]
fn what_was_dropped_heals_by_looking_into_pools() {
    let world = World::new();
    let (one, other) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    one.join(&other);
    wait("mutual peers", || other.is_connected_to(&one));
    wait("first pulls", || {
        world.count(2, "pool-summary") > 0 && world.count(1, "pool-summary") > 0
    });
    // Swallows every transfer that is sent to it, as a crash in between would.
    let swallow: Lie =
        Arc::new(|call| matches!(call, Question::Announce(_)).then(|| reply(200, "{}")));
    let server = Server::Liar(other.network.clone(), other.node.clone(), swallow);
    world.serve(&address(2), server);
    let id = pay(&one, 0);
    wait("the transfer is swallowed", || world.count(1, "transfer") > 0);
    assert!(!has(&other, &id));
    world.advance(Duration::from_secs(31));
    wait("the transfer is pulled", || has(&other, &id));
}

#[test]
fn what_comes_before_its_turn_is_fetched_again() {
    let world = World::new();
    world.wires.lock().unwrap().closed.extend([1, 2]);
    let (one, other) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    let ids: Vec<_> = (0..30).map(|nonce| pay(&one, nonce)).collect();
    // The first comes from somebody else, and later.
    let (network, node, first) = (one.network.clone(), one.node.clone(), ids[0]);
    let late: Lie = Arc::new(move |call| {
        let Question::Transfers { ids } = call else { return None };
        let ids = ids.iter().copied().filter(|id| *id != first).collect();
        Some(answer(&network, &node, &Question::Transfers { ids }))
    });
    world.serve(&address(1), Server::Liar(one.network.clone(), one.node.clone(), late));
    other.join(&one);
    let waiting = || other.node.view().chain.pool().waiting_len();
    wait("as many as can wait", || waiting() == WAITING_PER_SENDER_MAX);
    assert_eq!(pay(&other, 0), ids[0]);
    world.advance(ANSWER_MAX);
    wait("all of them", || ids.iter().all(|id| has(&other, id)));
}

#[test]
fn what_a_reorganization_returns_is_passed_on_like_new() {
    let world = World::new();
    let (one, other) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    let id = pay(&one, 0);
    one.mine();
    assert!(!has(&one, &id));
    let tip = other.mine_many(3);
    // What the other would find by itself in our pool is none of its business here.
    let poolless: Lie = Arc::new(|call| {
        matches!(call, Question::PoolSummary)
            .then(|| reply(200, PoolSummary::new([0; 256]).to_json()))
    });
    world.serve(&address(1), Server::Liar(one.network.clone(), one.node.clone(), poolless));
    one.join(&other);
    wait("the heavier branch", || one.tip() == tip);
    assert!(has(&one, &id));
    wait("the transfer at the other", || has(&other, &id));
}

#[test]
fn what_is_announced_in_a_peers_name_leaves_its_own_lines_all_they_may_say() {
    let world = World::new();
    let (one, other) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    one.join(&other);
    let ids = |from: usize, count: usize| -> Vec<_> {
        let numbers = (from..from + count).map(|number| sha256(&[&number.to_le_bytes()]));
        numbers.map(Txid::from_bytes).collect()
    };
    // More than is earned meanwhile, however long that takes; what comes after it is judged as before.
    let (peer, now) = (PeerId::from(other.at()), one.node.now().monotonic);
    for turn in 0..50 {
        let from = Some(Reach::Port(other.at().port()));
        let transactions = ids(turn * 1_000, 1_000);
        one.network.announced(Announcement { from, transactions, blocks: Vec::new() }, LOCAL);
    }
    let mut wanted = lock(&one.network.wanted);
    assert_eq!(wanted.announce((&peer, Word::Named), ids(90_000, 1), now), 1, "all is said");
    assert_eq!(wanted.announce((&peer, Word::Own), ids(100_000, PER_PEER_MAX), now), 0);
    assert_eq!(wanted.announce((&peer, Word::Own), ids(200_000, 1), now), 1);
}
