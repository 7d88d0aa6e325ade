//! Who becomes a peer, who does not, and who stays one.

use super::sync::boast;
use super::*;
use crate::net::outbound::Standing;
use crate::primitives::CompactTarget;

fn listed(node: &TestNode, other: u16) -> bool {
    node.peers().contains(&address(other))
}

#[test]
fn adding_is_mutual_and_harmless_twice() {
    let world = World::new();
    let (one, other) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    for _ in 0..2 {
        assert_eq!(one.join(&other), None);
    }
    wait("mutual peers", || other.is_connected_to(&one));
    assert_eq!((one.peers(), other.peers()), (vec![address(2)], vec![address(1)]));
    assert!(one.network.list()[0].manual && !other.network.list()[0].manual);
}

#[test]
fn a_peer_that_is_not_there_yet_is_added_and_found_later() {
    let world = World::new();
    let one = TestNode::start(&world, 1);
    assert_eq!(one.network.add(address(2).parse().unwrap()), Ok(None));
    wait("it is not there", || one.network.list()[0].state == PeerState::Unreachable);
    let other = TestNode::start(&world, 2);
    let tip = other.mine();
    wait("it is found", || one.tip() == tip && other.is_connected_to(&one));
}

#[test]
fn nodes_of_other_chains_are_refused_with_both_names() {
    let world = World::new();
    let ours = TestNode::start(&world, 1);
    let mut params = ChainParams::dev();
    params.genesis_time = params.genesis_time.plus(1);
    params.name = "class-b".parse().unwrap();
    let theirs = TestNode::start_in(&world, 2, tempfile::tempdir().unwrap(), params);
    let error = ours.network.add(theirs.at()).unwrap_err();
    assert_eq!(error.code(), "other-chain");
    let (here, there) = (ours.node.chain_id(), theirs.node.chain_id());
    let words =
        format!("the chain \"class-b\" (genesis {there}), ours is \"dev\" (genesis {here})");
    assert!(error.to_string().contains(&words), "{error}");
    assert!(ours.peers().is_empty() && theirs.peers().is_empty());
    // One that is in the list already, as from the settings, stays there with the reason.
    ours.network.table().add_manual(&theirs.at());
    wait("refused", || ours.network.list()[0].state == PeerState::Refused);
    assert!(ours.network.list()[0].reason.contains(&theirs.node.chain_id().to_string()));
    assert_eq!(world.count(1, "headers"), 0);
}

#[test]
fn a_node_knows_itself_in_any_spelling() {
    let world = World::new();
    let node = TestNode::start(&world, 1);
    for own in ["localhost:1", "127.0.0.1:1", "[::1]:1", "10.0.0.7:80", "farthing.example:1"] {
        world.serve(own, Server::Node(node.network.clone(), node.node.clone()));
        let error = node.network.add(own.parse().unwrap()).unwrap_err();
        assert_eq!(error.code(), "own-address", "{own}");
    }
    assert!(node.peers().is_empty());
}

#[test]
fn two_addresses_of_one_node_are_one_peer() {
    let world = World::new();
    let (one, other) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    world.serve("localhost:5002", Server::Node(other.network.clone(), other.node.clone()));
    assert_eq!(one.network.add("localhost:5002".parse().unwrap()), Ok(None));
    wait("mutual peers", || other.is_connected_to(&one));
    let note = one.network.add(other.at()).unwrap().unwrap();
    assert!(note.contains("localhost:5002"), "{note}");
    assert_eq!(one.peers(), ["localhost:5002"]);
    let tip = other.mine();
    wait("the block", || one.tip() == tip);
    // Over HTTP nobody can show that it has told; on a live connection nothing goes back.
    assert!(world.count(1, "block") <= 1);
}

#[test]
fn the_list_says_how_peers_are_spoken_with_and_who_came_by_itself() {
    let world = World::new();
    let nodes: Vec<_> = (1..=3).map(|port| TestNode::start(&world, port)).collect();
    let [one, other, hidden] = &nodes[..] else { unreachable!() };
    world.hide(hidden, one);
    one.join(other);
    hidden.join(one);
    let way = |from: &TestNode, to: &TestNode| {
        let peers = from.network.list();
        let peer = peers.iter().find(|peer| peer.node == to.at())?;
        Some((peer.outgoing, peer.incoming))
    };
    wait("one live connection, which both see, and a guest", || {
        let (here, there) = (way(one, other), way(other, one));
        let is_one = here.is_some_and(|(outgoing, incoming)| outgoing != incoming);
        is_one && there == here.map(|(out, come)| (come, out)) && one.network.guests().len() == 1
    });
    assert_eq!((way(one, hidden), way(hidden, one)), (None, Some((true, false))));
    hidden.mine();
    wait("its height", || one.network.guests()[0].height == Some(Height(1)));
}

#[test]
fn who_answers_with_anothers_instance_keeps_nobody_out() {
    let world = World::new();
    let (one, other) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    // The impostor answers at its own address with what the other says of itself.
    let impostor: PeerAddress = address(3).parse().unwrap();
    world.serve(&address(3), Server::Node(other.network.clone(), other.node.clone()));
    let mut said = other.network.handshake_to(&other.node, None);
    said.node = Some(Reach::Node(impostor));
    one.network.greet(&said, LOCAL).unwrap();
    wait("the impostor is in the list", || listed(&one, 3));
    other.join(&one);
    wait("the other is in the list as well", || one.is_connected_to(&other));
    assert_eq!(one.network.add(other.at()), Ok(None));
    world.silence(&address(3));
    let tip = one.mine();
    wait("the block", || other.tip() == tip);
    assert!(one.network.list().iter().any(|peer| peer.node == other.at() && peer.manual));
}

#[test]
fn a_removed_peer_stays_removed_whatever_it_says_and_over_a_restart() {
    let world = World::new();
    let (one, other) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    let kept = TestNode::start(&world, 3);
    one.join(&other);
    one.join(&kept);
    wait("mutual peers", || other.is_connected_to(&one) && kept.is_connected_to(&one));
    one.network.remove(&other.at());
    let asked = world.count(2, "handshake");
    world.advance(Duration::from_secs(20));
    wait("the other speaks again", || world.count(2, "handshake") > asked);
    assert!(!listed(&one, 2));

    let dir = one.stop(&world);
    let one = TestNode::start_in(&world, 1, dir, ChainParams::dev());
    assert_eq!(one.peers(), [address(3)]);
    wait("the one kept is met again", || one.is_connected_to(&kept));
    let asked = world.count(2, "handshake");
    world.advance(Duration::from_secs(20));
    wait("the other speaks again", || world.count(2, "handshake") > asked);
    assert!(!listed(&one, 2));
    one.join(&other);
    assert!(listed(&one, 2));
}

#[test]
fn who_is_added_and_does_not_answer_is_shown_at_once() {
    let world = World::new();
    let one = TestNode::start(&world, 1);
    let silent: PeerAddress = address(2).parse().unwrap();
    assert_eq!(one.network.add(silent.clone()), Ok(None));
    let listed = one.network.list().remove(0);
    assert_eq!((listed.node, listed.state, listed.failures), (silent, PeerState::Unreachable, 1));
    assert!(listed.reason.starts_with("it has not answered yet: "), "{}", listed.reason);
    let other = TestNode::start(&world, 2);
    wait_long(&world, "it answers", || one.is_connected_to(&other));
}

#[test]
fn who_is_to_be_removed_under_another_spelling_is_named_as_it_is_listed() {
    let world = World::new();
    let (one, other) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    one.join(&other);
    let port = other.at().port();
    for spelling in [format!("localhost:{port}"), format!("[::1]:{port}")] {
        assert_eq!(one.network.remove(&spelling.parse().unwrap()), Some(other.at()));
        assert_eq!(one.peers(), [address(2)]);
    }
    assert_eq!(one.network.remove(&"127.0.0.1:9".parse().unwrap()), None);
    assert_eq!(one.network.remove(&other.at()), None);
    assert_eq!(one.peers(), [""; 0]);
    assert_eq!(one.network.remove(&other.at()), None, "it is gone");
}

#[test]
fn nobody_gets_others_into_our_list() {
    let world = World::new();
    let (one, victim) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    let mut said = one.network.handshake_to(&one.node, None);
    (said.instance, said.node) = (7, Some(Reach::Node(victim.at())));
    for _ in 0..100 {
        one.network.greet(&said, LOCAL).unwrap();
    }
    wait("the victim is asked", || world.count(1, "handshake") == 1);
    let third = TestNode::start(&world, 3);
    one.join(&third);
    wait("mutual peers", || third.is_connected_to(&one));
    assert_eq!(one.peers(), [address(3)]);
    let calls = world.calls.lock().unwrap();
    assert_eq!(calls.iter().filter(|(from, to, _)| *from == 1 && *to == address(2)).count(), 1);
}

#[test]
fn a_person_is_told_why_an_address_is_not_taken() {
    let world = World::new();
    let node = TestNode::start(&world, 1);
    for (unfit, why) in [
        ("0.0.0.0:5000", "one node"),
        ("224.0.0.1:5000", "one node"),
        ("255.255.255.255:5000", "one node"),
        ("[ff02::1]:5000", "one node"),
        ("127.0.0.1:22", "port of a node"),
        ("mail.example:25", "port of a node"),
    ] {
        let error = node.network.add(unfit.parse().unwrap()).unwrap_err();
        assert_eq!(error.code(), "node-not-allowed", "{unfit}");
        assert!(error.to_string().contains(why), "{error}");
    }
    assert!(node.peers().is_empty());
    assert_eq!(world.count(1, "handshake"), 0);
}

#[test]
fn nor_do_the_settings_and_the_list_have_it_called() {
    let world = World::new();
    let dir = TestNode::start(&world, 1).stop(&world);
    let lines = ["127.0.0.1:22", "127.0.0.1:25"].map(|node| {
        format!(
            r#"{{"node":"{node}","manual":true,"removed":{},"last_seen":0}}"#,
            node.ends_with("25")
        )
    });
    std::fs::write(dir.path().join("peers-1.txt"), lines.join("\n") + "\n").unwrap();
    let unfit = ["localhost:22", "0.0.0.0:5000"].map(|node| node.parse().unwrap());
    world.seeds.lock().unwrap().extend(unfit.clone());
    world.settings.lock().unwrap().extend(unfit);
    world.settings.lock().unwrap().push(address(2).parse().unwrap());
    let node = TestNode::start_in(&world, 1, dir, ChainParams::dev());
    assert_eq!(node.peers(), [address(2)]);
    wait("many looks for somebody to call", || {
        world.advance(Duration::from_secs(1));
        let calls = world.calls.lock().unwrap();
        let is_fit = |call: &&(u16, String, &str)| call.1 == address(2);
        assert_eq!(calls.iter().filter(is_fit).count(), calls.len(), "{calls:?}");
        calls.len() > 5
    });
    let dir = node.stop(&world);
    let file = std::fs::read_to_string(dir.path().join("peers-1.txt")).unwrap();
    assert!(file.contains("127.0.0.1:25"), "what was removed stays: {file}");
}

/// The files beside the list of peers that are named after it, and what is in them.
fn set_aside(dir: &TempDir) -> Vec<String> {
    let files = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap());
    let is_copy = |name: &str| name.starts_with("peers-1.") && name != "peers-1.txt";
    let copies = files.filter(|entry| is_copy(entry.file_name().to_str().unwrap()));
    copies.map(|entry| std::fs::read_to_string(entry.path()).unwrap()).collect()
}

#[test]
fn what_another_version_has_written_in_the_list_is_not_lost() {
    let world = World::new();
    let mut dir = TestNode::start(&world, 1).stop(&world);
    let line = |node: &str, more: &str| {
        format!(r#"{{"node":"{node}","manual":true,"removed":false,"last_seen":7{more}}}"#) + "\n"
    };
    let (peer, twice) = (line(&address(2), ""), line(&address(2), r#","failures":3"#));
    for (added, is_lost) in [
        (String::new(), false),
        ("\n \n".to_owned(), false),
        (twice, false),
        (line(&address(3), r#","colour":"red""#), true),
        (line("127.0.0.1:25", ""), true),
        ("no line\n".to_owned(), true),
        ("long ".repeat(300_000), true),
    ] {
        let (before, text) = (set_aside(&dir).len(), format!("{peer}{added}"));
        std::fs::write(dir.path().join("peers-1.txt"), &text).unwrap();
        for start in 0..2 {
            let node = TestNode::start_in(&world, 1, dir, ChainParams::dev());
            let is_whole = text.len() < 1 << 20;
            assert_eq!(node.peers().contains(&address(2)), is_whole, "{start}");
            assert_eq!(node.peers().contains(&address(3)), added.contains(&address(3)), "{start}");
            dir = node.stop(&world);
        }
        let kept = set_aside(&dir);
        assert_eq!(kept.len() - before, usize::from(is_lost), "once: {}", text.len());
        assert_eq!(kept.contains(&text), is_lost);
    }
}

#[test]
fn joining_a_heavier_branch_warns_of_the_coins_that_it_costs() {
    let world = World::new();
    let (one, other) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    let wallet = one.node.create_wallet().unwrap().public_key;
    for _ in 0..2 {
        one.node.submit_block(one.draft(wallet), Origin::Own).unwrap();
    }
    let tip = other.mine_many(5);
    // A header that cost nothing warns of nothing.
    let (liar, mut made_up) = (TestNode::start(&world, 3), one.draft(wallet).header);
    made_up.previous = one.node.chain_id();
    made_up.bits = CompactTarget(0);
    let shown = reply(200, headers_to_json(&[made_up]));
    let source = Arc::new(liar);
    let (network, node) = (source.network.clone(), source.node.clone());
    let lie: Lie = Arc::new(move |call| match call {
        Question::Handshake(_) => Some(boast(&source)),
        Question::Headers { .. } => Some(shown.clone()),
        _ => None,
    });
    world.serve(&address(3), Server::Liar(network, node, lie));
    assert_eq!(one.network.add(address(3).parse().unwrap()).unwrap(), None);
    let warning = one.join(&other).unwrap();
    assert!(
        warning.contains("last 2 blocks") && warning.contains("received 20 coins"),
        "{warning}"
    );
    wait("the heavier branch", || one.tip() == tip);
}

#[test]
fn a_peer_whose_headers_stand_on_a_branch_above_our_tip_can_be_added() {
    let world = World::new();
    let (one, other) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    one.node.create_wallet().unwrap();
    one.mine();
    other.mine_many(5);
    let headers = |from: u32, to: u32| -> Vec<_> {
        let view = other.node.view();
        (from..=to).map(|height| view.chain.block_at(Height(height)).unwrap().node.header).collect()
    };
    one.node.submit_headers(headers(1, 4)).unwrap();
    // Which follows what we have asked from, and what we have only heard of.
    let last = headers_to_json(&headers(5, 5));
    let lie: Lie = Arc::new(move |call| {
        matches!(call, Question::Headers { .. }).then(|| reply(200, last.clone()))
    });
    world.serve(&address(2), Server::Liar(other.network.clone(), other.node.clone(), lie));
    assert_eq!(one.network.add(other.at()), Ok(None));
    assert!(one.is_connected_to(&other));
}

#[test]
fn nobody_waits_for_a_sync_that_brings_nothing_nor_when_the_node_stops() {
    let world = World::new();
    let (one, other) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    other.mine();
    let hole = world.end.clone();
    let drip: Lie = Arc::new(move |call| {
        matches!(call, Question::Headers { .. }).then(|| {
            let _ = hole.recv_timeout(2 * DEADLINE);
            reply(503, "")
        })
    });
    world.serve(&address(2), Server::Liar(other.network.clone(), other.node.clone(), drip));
    one.network.table().add_manual(&other.at());
    let start = Instant::now();
    assert!(!one.network.resolve().replaced);
    assert!(start.elapsed() < DEADLINE, "{:?}", start.elapsed());
    let start = Instant::now();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| one.network.resolve());
        one.network.end_waits();
        assert!(!waiting.join().unwrap().replaced);
    });
    // Less than a wait lasts that nobody ends.
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

/// How many of a node's peers answer.
fn answering(node: &TestNode) -> usize {
    let peers = node.network.list();
    peers.iter().filter(|peer| peer.state == PeerState::Connected).count()
}

/// Waits while the clocks run ten times as fast.
fn wait_long(world: &World, what: &str, mut condition: impl FnMut() -> bool) {
    wait(what, || {
        world.advance(Duration::from_millis(18));
        condition()
    });
}

#[test]
fn a_node_that_knows_one_of_ten_finds_eight() {
    let world = World::new();
    let nodes: Vec<_> = (1..=10).map(|port| TestNode::start(&world, port)).collect();
    for node in &nodes[1..9] {
        node.join(&nodes[0]);
    }
    wait_long(&world, "the first one has all others", || answering(&nodes[0]) >= 8);
    nodes[9].join(&nodes[0]);
    wait_long(&world, "eight peers", || nodes.iter().all(|node| answering(node) >= 8));
    let manual = nodes[9].network.list().into_iter().filter(|peer| peer.manual).count();
    assert_eq!(manual, 1);
}

#[test]
fn a_node_far_away_becomes_a_peer_as_well_however_many_others_there_are() {
    for others in [0, 8] {
        let world = World::new();
        let one = TestNode::start(&world, 1);
        let near: Vec<_> = (10..10 + others).map(|port| TestNode::start(&world, port)).collect();
        near.iter().for_each(|other| drop(one.join(other)));
        let far = TestNode::start(&world, 2);
        world.serve(&address(2), Server::Far(far.network.clone(), far.node.clone()));
        far.join(&one);
        wait_long(&world, "it is called back", || one.is_connected_to(&far));
        assert!(
            world.calls.lock().unwrap().iter().any(|(from, to, _)| (*from, to) == (1, &address(2)))
        );
    }
}

#[test]
fn seeds_bring_a_node_to_the_others_and_dead_ones_do_no_harm() {
    let world = World::new();
    let (one, other) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    one.join(&other);
    wait("mutual peers", || other.is_connected_to(&one));
    // Two are dead, one is the newcomer itself.
    let seeds = [98, 99, 3, 1].map(|port| address(port).parse().unwrap());
    *world.seeds.lock().unwrap() = seeds.to_vec();
    let third = TestNode::start(&world, 3);
    wait_long(&world, "both", || third.is_connected_to(&one) && third.is_connected_to(&other));
    assert!(third.peers().iter().all(|peer| [address(1), address(2)].contains(peer)));
}

#[test]
fn a_seed_that_comes_by_itself_is_not_one_of_those_who_only_come() {
    let world = World::new();
    *world.seeds.lock().unwrap() = vec![address(2).parse().unwrap()];
    let one = TestNode::start(&world, 1);
    wait_long(&world, "the pause after many calls in vain", || world.count(1, "handshake") >= 8);
    world.seeds.lock().unwrap().clear();
    let nodes = [2, 3].map(|port| TestNode::start(&world, port));
    for (node, expected) in nodes.iter().zip([Standing::Learned, Standing::Came]) {
        node.join(&one);
        wait("it is called back", || one.is_connected_to(node));
        let standing = || one.network.table().find_at(&node.at()).unwrap().standing();
        wait("what it is then", || standing() == expected);
    }
}

#[test]
fn seeds_are_not_asked_where_there_are_peers_enough() {
    let world = World::new();
    let nodes: Vec<_> = (1..=8).map(|port| TestNode::start(&world, port)).collect();
    *world.seeds.lock().unwrap() = vec![address(99).parse().unwrap()];
    let node = TestNode::start(&world, 9);
    for other in &nodes {
        node.join(other);
    }
    assert_eq!(answering(&node), 8);
    let seed_calls =
        || world.calls.lock().unwrap().iter().filter(|(_, to, _)| *to == address(99)).count();
    // Once at most, before it had any peer.
    let before = seed_calls();
    assert!(before <= 1);
    // Longer than any pause between two calls to a seed.
    let asked = world.count(9, "handshake");
    wait("many exchanges", || {
        world.advance(Duration::from_millis(250));
        world.count(9, "handshake") > asked + 8 * 60
    });
    assert_eq!(seed_calls(), before);
}

#[test]
fn whom_others_told_of_is_known_after_a_restart() {
    let world = World::new();
    let (one, other) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    let third = TestNode::start(&world, 3);
    one.join(&other);
    third.join(&one);
    wait_long(&world, "it was told", || third.is_connected_to(&other));
    let dir = third.stop(&world);
    world.silence(&address(1));
    let file = std::fs::read_to_string(dir.path().join("peers-3.txt")).unwrap();
    assert!(file.contains(r#""anchor":true"#), "{file}");
    let third = TestNode::start_in(&world, 3, dir, ChainParams::dev());
    wait_long(&world, "it is found again", || third.is_connected_to(&other));
}
