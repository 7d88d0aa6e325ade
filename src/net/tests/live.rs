//! Live connections: nodes behind routers, lines that break, and who is told on which way.

use super::wires::Stranger;
use super::{LOCAL, TestNode, World, wait};
use crate::net::eviction::{CROWDS_MAX, INBOUND_MAX};
use crate::net::lines::Way;
use crate::net::links::{Code, LinkEnd, LinkEvent};
use crate::node::Origin;
use crate::node::ports::PeerControl;
use crate::primitives::{BlockHash, Height, LinkId, PeerId, Txid};
use crate::testkit::TestKey;
use crate::wire::{Announcement, Frame, Handshake, Question};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

impl TestNode {
    /// Lines of others that are open here, and ours that are.
    fn lines(&self) -> (usize, usize) {
        let lines = self.network.lines();
        let peers = lines
            .all()
            .filter(|(id, _)| lines.peer(*id).is_some_and(|peer| lines.of(&peer).is_some()));
        let (inbound, outbound): (Vec<_>, Vec<_>) =
            peers.partition(|(_, line)| matches!(line.way, Way::In(_)));
        (inbound.len(), outbound.len())
    }

    /// Pays from a key of its own that has coins from the start, and says the id.
    fn pay(&self) -> Txid {
        let id = self.node.chain_id();
        let transfer = TestKey::dev(self.port.into()).pay(TestKey::new(9).public, (100, 0), 0, &id);
        let txid = transfer.id();
        self.node.submit_transfer(transfer, Origin::Own).unwrap();
        txid
    }

    fn has(&self, id: &Txid) -> bool {
        self.node.view().chain.pool().get(id).is_some()
    }
}

/// A node, and one behind a router that only calls it.
fn routed() -> (Arc<World>, TestNode, TestNode) {
    let world = World::new();
    let (open, hidden) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    world.hide(&hidden, &open);
    (world, open, hidden)
}

/// Two nodes that can call each other, of which the second has joined the first.
fn joined() -> (Arc<World>, TestNode, TestNode) {
    let world = World::new();
    let (one, two) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    two.join(&one);
    wait("one line", || world.wires.lock().unwrap().count() == 1 && one.lines() != (0, 0));
    wait("both to know each other", || one.is_connected_to(&two) && two.is_connected_to(&one));
    (world, one, two)
}

#[test]
fn a_node_behind_a_router_takes_part_fully() {
    let (_world, open, hidden) = routed();
    hidden.mine_many(30);
    hidden.join(&open);
    wait("the hidden chain to be fetched", || open.tip() == hidden.tip());
    assert_eq!((open.lines(), hidden.lines()), ((1, 0), (0, 1)));
    open.mine();
    wait("a block of the open one", || open.tip() == hidden.tip());
    hidden.mine();
    wait("a block of the hidden one", || open.tip() == hidden.tip());
    let (one, two) = (open.pay(), hidden.pay());
    wait("both transfers", || [&one, &two].iter().all(|id| open.has(id) && hidden.has(id)));
    assert!(!open.is_connected_to(&hidden), "nobody can call it");
}

#[test]
fn what_is_new_before_the_line_is_open_is_not_missed() {
    let (world, open, hidden) = routed();
    world.wires.lock().unwrap().closed.insert(1);
    hidden.join(&open);
    wait("the pool to be looked into", || world.count(2, "pool-summary") == 1);
    let start = world.now().monotonic;
    let (one, two) = (open.pay(), hidden.pay());
    world.wires.lock().unwrap().closed.clear();
    wait("both transfers", || open.has(&two) && hidden.has(&one));
    let took = world.now().monotonic - start;
    assert!(took < Duration::from_secs(20), "looking into pools in turn has brought it: {took:?}");
}

#[test]
fn a_line_that_is_cut_is_replaced_by_calls_and_opened_again() {
    let (world, one, two) = joined();
    world.wires.lock().unwrap().closed.extend([1, 2]);
    world.wires.lock().unwrap().break_all();
    wait("no line", || one.lines() == (0, 0) && two.lines() == (0, 0));
    one.mine();
    wait("a block without lines", || two.tip() == one.tip());
    let id = two.pay();
    wait("a transfer without lines", || one.has(&id));
    world.wires.lock().unwrap().closed.clear();
    wait("a line again", || {
        world.advance(Duration::from_millis(100));
        world.wires.lock().unwrap().count() == 1
    });
}

#[test]
fn a_question_that_a_dead_line_swallows_is_asked_over_http() {
    let (world, one, two) = joined();
    wait("the first look into the pool", || {
        let wires = world.wires.lock().unwrap();
        wires.texts.iter().any(|(_, _, text)| text.contains("pool-summary"))
    });
    world.wires.lock().unwrap().dead.insert(1);
    let before = world.count(2, "pool-summary");
    wait("the pool to be asked for over HTTP", || {
        world.advance(Duration::from_millis(200));
        world.count(2, "pool-summary") > before
    });
    wait("them to stay in touch", || one.is_connected_to(&two) && two.is_connected_to(&one));
    one.mine();
    wait("a block", || {
        world.advance(Duration::from_millis(200));
        two.tip() == one.tip()
    });
}

#[test]
fn nobody_is_told_twice() {
    let (world, one, two) = joined();
    // Each may have opened a line; one of them goes once both have heard of the other's.
    let is_settled = |from: &TestNode, to: &TestNode| {
        to.network.table().reaching_us().len() == 1
            && (from.lines(), to.lines()) == ((0, 1), (1, 0))
    };
    wait("one line of which both know", || {
        world.advance(Duration::from_millis(500));
        is_settled(&one, &two) || is_settled(&two, &one)
    });
    for (from, to) in [(&one, &two), (&two, &one)] {
        let id = from.pay();
        wait("the transfer", || to.has(&id));
        let texts = world.wires.lock().unwrap().texts.clone();
        let is_told = |text: &str| {
            let frame = Frame::from_json(text, from.node.prefix()).unwrap();
            matches!(frame, Frame::Tell(news) if news.transactions.contains(&id))
        };
        let told = texts.iter().filter(|(_, _, text)| is_told(text)).count();
        assert_eq!((told, world.count(from.port, "transfer")), (1, 0));
    }
    assert_eq!(world.wires.lock().unwrap().count(), 1);
}

#[test]
fn a_removed_peer_has_no_line_whoever_has_opened_it() {
    for remover in [0, 1] {
        let (world, one, two) = joined();
        world.wires.lock().unwrap().closed.extend([1, 2]);
        let (node, other) = [(&one, &two), (&two, &one)][remover];
        node.network.remove(&other.at());
        assert_eq!(node.lines(), (0, 0));
        assert!(node.network.guests().is_empty());
    }
}

#[test]
fn of_two_lines_between_two_nodes_one_goes() {
    let world = World::new();
    let (one, two) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    // Both dial before either has heard that the other does.
    world.wires.lock().unwrap().closed.extend([1, 2]);
    one.join(&two);
    two.join(&one);
    wait("both", || one.is_connected_to(&two) && two.is_connected_to(&one));
    world.wires.lock().unwrap().closed.clear();
    wait("one line", || {
        world.advance(Duration::from_millis(200));
        let lines = (one.lines(), two.lines());
        lines == ((1, 0), (0, 1)) || lines == ((0, 1), (1, 0))
    });
    for _ in 0..20 {
        world.advance(Duration::from_secs(2));
        one.mine();
        wait("a block", || two.tip() == one.tip());
    }
    assert_eq!(world.wires.lock().unwrap().count(), 1);
}

#[test]
fn whoever_does_not_begin_with_a_handshake_is_closed() {
    let world = World::new();
    let node = TestNode::start(&world, 1);
    let foreign = {
        let ours = node.network.handshake_to(&node.node, None);
        let other = crate::primitives::BlockHash::from_bytes([7; 32]);
        let theirs = Handshake { chain_id: other, instance: 1, ..ours };
        Frame::Ask { id: 1, question: Question::Handshake(theirs) }.to_json(node.node.prefix())
    };
    let news = Frame::Tell(Announcement::default()).to_json(node.node.prefix());
    let texts = [
        (&*news, Code::Protocol),
        (r#"{"ask":1,"what":"pool-summary"}"#, Code::Protocol),
        (r#"{"answer":1,"status":200,"body":{}}"#, Code::Protocol),
        (r#"{"ask":1,"what":"everything"}"#, Code::Data),
        (r#"{"tell":[]}"#, Code::Data),
        ("nonsense", Code::Data),
        ("", Code::Data),
        (&foreign, Code::Policy),
    ];
    let code = || world.wires.lock().unwrap().codes.pop();
    for (number, (text, expected)) in (10..).zip(texts) {
        let stranger = Stranger::call(&world, number, &node.network);
        stranger.say(text);
        stranger.is_closed();
        assert_eq!(code(), Some(expected), "{text}");
    }
    assert_eq!(node.lines(), (0, 0));
    // Nor whoever says nothing.
    let stranger = Stranger::call(&world, 20, &node.network);
    world.advance(crate::net::lines::GREETING_MAX);
    stranger.is_closed();
    assert_eq!(code(), Some(Code::Policy));
}

#[test]
fn questions_on_a_line_are_answered_as_over_http() {
    let world = World::new();
    let node = TestNode::start(&world, 1);
    let hash = node.mine();
    let stranger = Stranger::call(&world, 10, &node.network);
    let theirs = Handshake { instance: 1, ..node.network.handshake_to(&node.node, None) };
    let ask = |question: Question| {
        stranger.say(&Frame::Ask { id: 7, question }.to_json(node.node.prefix()));
        loop {
            let LinkEvent::Frame { text, .. } = stranger.hear() else { panic!("it was closed") };
            let frame = Frame::from_json(&text, node.node.prefix()).unwrap();
            // It asks as well: what is new here?
            if let Frame::Answer { id: 7, status, body } = frame {
                return (status, body);
            }
        }
    };
    assert_eq!(ask(Question::Handshake(theirs)).0, 200);
    let questions = [
        (Question::Headers { locator: vec![] }, 200),
        (Question::Blocks { hashes: vec![hash] }, 200),
        (Question::Compact { block: hash }, 200),
        (Question::BlockTransfers { block: hash, indexes: vec![9] }, 404),
        (Question::PoolSummary, 200),
        (Question::Addresses, 200),
    ];
    for (question, expected) in questions {
        let (status, body) = ask(question.clone());
        assert_eq!(status, expected, "{question:?}");
        let _: serde_json::Value = serde_json::from_str(&body).unwrap();
    }
}

#[test]
fn the_answer_to_a_handshake_is_the_first_thing_said() {
    let world = World::new();
    let node = TestNode::start(&world, 1);
    let ours = node.network.handshake_to(&node.node, None);
    for number in 10..60 {
        // One who has more is asked for it at once.
        let (tip, work) = (BlockHash::from_bytes([7; 32]), ours.work + ours.work);
        let theirs = Handshake { instance: number, height: Height(9), tip, work, ..ours.clone() };
        let stranger = Stranger::call(&world, u16::try_from(number).unwrap(), &node.network);
        let question = Question::Handshake(theirs);
        stranger.say(&Frame::Ask { id: 5, question }.to_json(node.node.prefix()));
        let LinkEvent::Frame { text, .. } = stranger.hear() else { panic!("it was closed") };
        let frame = Frame::from_json(&text, node.node.prefix()).unwrap();
        assert!(matches!(frame, Frame::Answer { id: 5, status: 200, .. }), "{number}: {text}");
    }
    assert_eq!(world.wires.lock().unwrap().narrow, 0, "anything may follow it");
}

fn ids(turn: u8, count: u16) -> Vec<Txid> {
    let id = |number: u16| [[turn; 30].as_slice(), &number.to_be_bytes()].concat();
    (0..count).map(|number| Txid::from_bytes(id(number).try_into().unwrap())).collect()
}

#[test]
fn long_questions_are_read_as_fast_as_they_may() {
    let world = World::new();
    world.stop_clocks();
    let node = TestNode::start(&world, 1);
    let stranger = Stranger::call(&world, 10, &node.network);
    let theirs = Handshake { instance: 1, ..node.network.handshake_to(&node.node, None) };
    let hello = Frame::Ask { id: 0, question: Question::Handshake(theirs) };
    stranger.say(&hello.to_json(node.node.prefix()));
    assert!(matches!(stranger.hear(), LinkEvent::Frame { .. }));
    for id in 1..=100 {
        let question = Question::Transfers { ids: ids(1, 512) };
        stranger.say(&Frame::Ask { id, question }.to_json(node.node.prefix()));
    }
    let id = node.network.lines().inbound()[0].id;
    let unread = || node.network.lines().unread(id);
    wait("most of them to come and wait", || unread() > 60);
    wait("the others", || {
        world.advance(Duration::from_secs(1));
        unread() == 0
    });
}

#[test]
fn ids_without_end_are_read_as_fast_as_they_may() {
    let world = World::new();
    world.stop_clocks();
    let node = TestNode::start(&world, 1);
    let stranger = Stranger::call(&world, 10, &node.network);
    let theirs = Handshake { instance: 1, ..node.network.handshake_to(&node.node, None) };
    let hello = Frame::Ask { id: 0, question: Question::Handshake(theirs) };
    stranger.say(&hello.to_json(node.node.prefix()));
    assert!(matches!(stranger.hear(), LinkEvent::Frame { .. }));
    let news = |turn| {
        let transactions = ids(turn, 1_000);
        Frame::Tell(Announcement { from: None, blocks: vec![], transactions })
    };
    for frame in (1..=12).map(news) {
        stranger.say(&frame.to_json(node.node.prefix()));
    }
    let id = node.network.lines().inbound()[0].id;
    let wanted = || crate::net::lock(&node.network.wanted).len_of(&PeerId::Link(id));
    wait("the first ids", || wanted() >= 2_000);
    wait("the others to come and wait", || node.network.lines().unread(id) > 3);
    world.advance(Duration::from_secs(6));
    wait("the others", || wanted() >= 3_000 && node.network.lines().unread(id) == 0);
}

#[test]
fn no_more_are_let_in_than_there_is_room_for() {
    let world = World::new();
    let node = TestNode::start(&world, 1);
    let ours = node.network.handshake_to(&node.node, None);
    let strangers: Vec<_> = (0..u16::try_from(INBOUND_MAX).unwrap() + 6)
        .map(|number| {
            let stranger = Stranger::call(&world, 100 + number, &node.network);
            let theirs = Handshake { instance: number.into(), ..ours.clone() };
            let question = Question::Handshake(theirs);
            stranger.say(&Frame::Ask { id: 0, question }.to_json(node.node.prefix()));
            assert!(matches!(stranger.hear(), LinkEvent::Frame { .. }));
            stranger
        })
        .collect();
    assert_eq!(node.network.lines().inbound().len(), INBOUND_MAX);
    assert_eq!(node.network.table().peers().count(), INBOUND_MAX);
    // They take no place from those that a person adds.
    let other = TestNode::start(&world, 2);
    node.join(&other);
    assert!(node.network.greet(&ours.clone(), LOCAL).is_err(), "itself");
    wait("the peer", || node.is_connected_to(&other));
    drop(strangers);
}

#[test]
fn whoever_finds_no_room_is_told_so_and_believes_no_ill_of_it() {
    let world = World::new();
    let (full, other) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    let crowd = 100..100 + u16::try_from(CROWDS_MAX).unwrap();
    let late = crowd.end;
    let place = IpAddr::from([192, 0, 2, 1]);
    let places = crowd.clone().chain([late, 1, 2]).map(|node| (node, place));
    world.wires.lock().unwrap().places.extend(places);
    let _crowd: Vec<_> =
        crowd.map(|number| Stranger::call(&world, number, &full.network)).collect();
    let stranger = Stranger::knock(&world, late, &full.network);
    assert_eq!(stranger.hear(), LinkEvent::Closed { id: LinkId(0), reason: LinkEnd::Busy });
    // Only the one that is full can be called, so that it does not call back.
    world.hide(&other, &full);
    other.join(&full);
    let link = || {
        let table = other.network.table();
        table.find_at(&full.at()).map(|peer| (peer.link_failures, peer.is_connected()))
    };
    wait("it to be turned away", || link().is_some_and(|(failures, _)| failures == 1));
    assert_eq!(link(), Some((1, true)), "it is a peer, and dialled again later");
    assert_eq!((other.lines(), full.network.lines().inbound().len()), ((0, 0), CROWDS_MAX));
}
