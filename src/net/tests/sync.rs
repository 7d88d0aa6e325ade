//! Nodes that were apart agree again, whatever some of them say.

use super::*;
use crate::node::ports::SyncState;
use crate::primitives::Header;
use crate::wire::{AnnouncedBlock, Announcement};

#[test]
fn a_late_joiner_fetches_headers_first_and_each_body_once() {
    let world = World::new();
    let old = TestNode::start(&world, 1);
    let tip = old.mine_many(200);
    let new = TestNode::start(&world, 2);
    new.join(&old);
    wait("the chain", || new.tip() == tip);
    wait("synced", || new.network.sync_status().is_synced());
    assert_eq!(world.count(2, "headers"), 1);
    assert!(world.count(2, "blocks") <= 14, "{} calls for blocks", world.count(2, "blocks"));
}

#[test]
fn diverged_branches_heal_to_the_most_work() {
    let world = World::new();
    let (one, other) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    one.join(&other);
    wait("mutual peers", || other.is_connected_to(&one));
    let common = one.mine();
    wait("a common block", || other.tip() == common);
    world.cut(&one, &other, true);
    let (shorter, longer) = (one.mine_many(20), other.mine_many(30));
    assert_ne!(shorter, longer);
    world.cut(&one, &other, false);
    // Nobody is asked to: the exchange of tips does it, once its time has come.
    world.advance(Duration::from_secs(15));
    wait("the heavier branch", || one.tip() == longer);
    assert_eq!(other.tip(), longer);
    let next = one.mine();
    wait("both go on together", || other.tip() == next);
}

#[test]
fn branches_of_equal_work_wait_for_the_next_block() {
    let world = World::new();
    let (one, other) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    let (first, second) = (one.mine(), other.mine());
    one.join(&other);
    wait("mutual peers", || other.is_connected_to(&one));
    assert_eq!((one.tip(), other.tip()), (first, second));
    assert!(!one.network.resolve().replaced);
    let next = other.mine();
    wait("the heavier branch", || one.tip() == next);
}

#[test]
fn resolving_asks_everyone_and_tells_whether_the_chain_was_replaced() {
    let world = World::new();
    let nodes: Vec<_> = (1..=3).map(|port| TestNode::start(&world, port)).collect();
    nodes[0].join(&nodes[1]);
    nodes[0].join(&nodes[2]);
    nodes[0].network.table().add_manual(&address(9).parse().unwrap());
    wait("mutual peers", || nodes[1..].iter().all(|node| node.is_connected_to(&nodes[0])));
    for other in &nodes[1..] {
        world.cut(&nodes[0], other, true);
    }
    nodes[1].mine_many(2);
    let tip = nodes[2].mine_many(4);
    for other in &nodes[1..] {
        world.cut(&nodes[0], other, false);
    }
    let resolved = nodes[0].network.resolve();
    assert_eq!((resolved.asked, resolved.answered), (3, 2));
    assert_eq!(nodes[0].tip(), tip);
    wait("all agree", || nodes[1].tip() == tip);
    let again = nodes[0].network.resolve();
    assert!(!again.replaced);
}

/// A body that does not belong to its header: paid to someone else.
fn spoiled(node: &TestNode, hashes: &[BlockHash]) -> Reply {
    let view = node.node.view();
    let blocks = hashes.iter().filter_map(|hash| {
        let mut block = node.node.read_block(view.chain.body_of(hash)?).unwrap();
        block.coinbase.recipient = TestKey::new(666).public;
        Some(block_text(node, &block))
    });
    reply(200, format!("[{}]", blocks.collect::<Vec<_>>().join(",")))
}

#[test]
fn a_peer_that_gives_wrong_bodies_is_refused_and_blocks_nobody() {
    let world = World::new();
    let honest = TestNode::start(&world, 1);
    let tip = honest.mine_many(40);
    let liar = Arc::new(TestNode::start(&world, 2));
    liar.join(&honest);
    wait("the liar knows the chain", || liar.tip() == tip);
    let source = liar.clone();
    let lie: Lie = Arc::new(move |call| match call {
        Question::Blocks { hashes } => Some(spoiled(&source, hashes)),
        _ => None,
    });
    world.serve(&address(2), Server::Liar(liar.network.clone(), liar.node.clone(), lie));
    let new = TestNode::start(&world, 3);
    new.join(&liar);
    wait("the liar is caught", || new.network.list()[0].state == PeerState::Refused);
    assert_eq!(new.height(), 0);
    new.join(&honest);
    // The body was wrong and not the header: the honest one is taken at once.
    wait("the chain", || new.tip() == tip);
}

#[test]
fn nobody_is_blamed_for_what_others_say_in_its_name() {
    let world = World::new();
    let (ours, peer) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    ours.join(&peer);
    wait("a peer", || ours.is_connected_to(&peer));
    let (genesis, easiest) = (ChainParams::dev().genesis(), ChainParams::dev().retarget.easiest);
    let headers = (0..).map(|nonce| Header { nonce, ..genesis });
    let header = headers.into_iter().find(|header| !easiest.is_met_by(&header.hash())).unwrap();
    let work = crate::primitives::Work::new(crate::primitives::U256::MAX);
    let lie = Announcement {
        from: Some(Reach::Port(BASE + 2)),
        blocks: vec![AnnouncedBlock::Header { header, height: Height(1), work }],
        transactions: Vec::new(),
    };
    ours.network.announced(lie, LOCAL);
    assert!(ours.is_connected_to(&peer), "anyone at its address can say this");
}

#[test]
fn headers_without_work_are_a_lie_and_those_that_lead_nowhere_are_not() {
    let world = World::new();
    let honest = TestNode::start(&world, 1);
    let tip = honest.mine_many(5);
    let liar = TestNode::start(&world, 2);
    liar.mine_many(9);
    let headers: Vec<_> = {
        let view = liar.node.view();
        (1..=9).map(|height| view.chain.headers().at(Height(height)).unwrap().header).collect()
    };
    for (spoil, state) in [(true, PeerState::Refused), (false, PeerState::Unreachable)] {
        let mut headers = headers.clone();
        if spoil {
            headers[8].bits = crate::primitives::CompactTarget(0x1d00_ffff);
        } else {
            headers.remove(0);
        }
        let lie: Lie = Arc::new(move |call| {
            matches!(call, Question::Headers { .. }).then(|| reply(200, headers_to_json(&headers)))
        });
        world.serve(&address(2), Server::Liar(liar.network.clone(), liar.node.clone(), lie));
        let new = TestNode::start(&world, 10 + u16::from(spoil));
        new.join(&liar);
        new.join(&honest);
        wait("the honest chain", || new.height() >= 5);
        wait("what became of the other", || {
            new.network.list().iter().any(|peer| peer.node == liar.at() && peer.state == state)
        });
        assert_eq!(new.tip(), tip);
        new.stop(&world);
    }
}

#[test]
fn a_silent_peer_does_not_hold_up_the_others() {
    let world = World::new();
    let honest = TestNode::start(&world, 1);
    let tip = honest.mine_many(100);
    let hole = world.end.clone();
    let stall: Lie = Arc::new(move |call| match call {
        Question::Blocks { .. } => {
            let _ = hole.recv_timeout(Duration::from_secs(20));
            Some(reply(503, ""))
        }
        _ => None,
    });
    let new = TestNode::start(&world, 9);
    for port in 2..=4 {
        let server = Server::Liar(honest.network.clone(), honest.node.clone(), stall.clone());
        // Each an instance of its own to the newcomer, which tells them by their handshakes.
        let front = TestNode::start(&world, port);
        front.join(&honest);
        wait("the chain behind the front", || front.tip() == tip);
        drop(server);
        let server = Server::Liar(front.network.clone(), front.node.clone(), stall.clone());
        world.serve(&address(port), server);
        new.network.table().add_manual(&front.at());
    }
    wait("silent peers first", || world.count(9, "blocks") >= 1);
    new.join(&honest);
    let start = Instant::now();
    wait("the chain", || new.tip() == tip);
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

#[test]
fn a_block_whose_parent_is_missing_starts_a_sync() {
    let world = World::new();
    let (one, other) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    one.join(&other);
    wait("mutual peers", || other.is_connected_to(&one));
    let swallow: Lie =
        Arc::new(|call| matches!(call, Question::Announce(_)).then(|| reply(200, "{}")));
    world.serve(&address(2), Server::Liar(other.network.clone(), other.node.clone(), swallow));
    for count in 1..=3 {
        one.mine();
        wait("blocks are swallowed", || world.count(1, "block") == count);
    }
    world.serve(&address(2), Server::Node(other.network.clone(), other.node.clone()));
    let tip = one.mine();
    wait("all of them", || other.tip() == tip);
}

#[test]
fn a_long_chain_comes_in_several_answers_of_headers() {
    let world = World::new();
    let old = TestNode::start(&world, 1);
    let tip = old.mine_many(2_300);
    let new = TestNode::start(&world, 2);
    let start = Instant::now();
    new.join(&old);
    wait("the chain", || new.tip() == tip);
    println!("2,300 empty blocks in {:?}", start.elapsed());
    assert_eq!(world.count(2, "headers"), 2);
}

/// As what a liar says of itself: much more work than it has.
pub(super) fn boast(of: &TestNode) -> Reply {
    let mut said = of.network.handshake_to(&of.node, None);
    (said.work, said.tip, said.height) = (
        crate::primitives::Work::new(crate::primitives::U256::MAX),
        BlockHash::from_bytes([7; 32]),
        Height(999),
    );
    reply(200, said.to_json())
}

#[test]
fn whoever_says_more_than_it_shows_is_no_peer_and_silence_takes_nothing_back() {
    let empty = reply(200, r#"{"headers":[]}"#);
    for (headers, alone, with_another) in [
        (reply(503, ""), SyncState::Withheld, SyncState::Withheld),
        (reply(200, "nonsense"), SyncState::Withheld, SyncState::Withheld),
        (empty, SyncState::Unanswered, SyncState::Synced),
    ] {
        let world = World::new();
        let liar = Arc::new(TestNode::start(&world, 2));
        let (source, shown) = (liar.clone(), headers.clone());
        let lie: Lie = Arc::new(move |call| match call {
            Question::Handshake(_) => Some(boast(&source)),
            Question::Headers { .. } => Some(shown.clone()),
            _ => None,
        });
        world.serve(&address(2), Server::Liar(liar.network.clone(), liar.node.clone(), lie));
        let (one, honest) = (TestNode::start(&world, 1), TestNode::start(&world, 3));
        one.join(&liar);
        wait("the liar has had its tries", || {
            world.advance(Duration::from_millis(20));
            let peers = one.network.list();
            world.count(1, "headers") >= 4 && peers[0].state == PeerState::Unreachable
        });
        for _ in 0..50 {
            world.advance(Duration::from_secs(2));
            assert!(!one.is_connected_to(&liar));
            assert_eq!(one.network.sync_status().state, alone);
            thread::park_timeout(Duration::from_millis(2));
        }
        one.join(&honest);
        let tip = honest.mine_many(3);
        wait("the honest chain", || one.tip() == tip);
        wait("what it says then", || one.network.sync_status().state == with_another);
        // Once it tells the truth, it is a peer again.
        world.serve(&address(2), Server::Node(liar.network.clone(), liar.node.clone()));
        wait("the liar is believed again", || {
            world.advance(Duration::from_secs(1));
            one.is_connected_to(&liar) && one.network.sync_status().is_synced()
        });
        for node in [one, honest] {
            node.stop(&world);
        }
    }
}

#[test]
fn a_header_whose_block_nobody_gives_keeps_off_nothing_else() {
    let world = World::new();
    let (one, liar) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    liar.mine_many(3);
    let lie: Lie =
        Arc::new(|call| matches!(call, Question::Blocks { .. }).then(|| reply(200, "[]")));
    world.serve(&address(2), Server::Liar(liar.network.clone(), liar.node.clone(), lie));
    one.join(&liar);
    wait("the headers", || one.node.view().chain.headers().heaviest().height == Height(3));
    let is_withheld = || one.network.sync_status().state == SyncState::Withheld;
    wait("that it is withheld", is_withheld);
    for _ in 0..50 {
        world.advance(Duration::from_secs(2));
        thread::park_timeout(Duration::from_millis(2));
    }
    // What is lighter than the withheld and heavier than ours is taken.
    let honest = TestNode::start(&world, 3);
    let tip = honest.mine_many(2);
    one.join(&honest);
    wait("the honest chain", || one.tip() == tip);
    world.serve(&address(2), Server::Node(liar.network.clone(), liar.node.clone()));
    wait("the heaviest once it is given", || {
        world.advance(Duration::from_millis(50));
        one.height() == 3 && one.network.sync_status().is_synced()
    });
}
