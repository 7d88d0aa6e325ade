//! What the log says of peers: names by which people may know them.

use super::wires::Stranger;
use super::{TestNode, World, wait};
use crate::net::links::LinkEvent;
use crate::primitives::{BlockHash, Height, PeerId, U256, Work};
use crate::wire::{Frame, Handshake, Question, headers_to_json};
use log::{LevelFilter, Log, Metadata, Record};
use std::sync::Mutex;

/// Lines of the part that is listened to, of all tests in this process.
static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Ear;

impl Log for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "farthing::net::sync::work"
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            HEARD.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_guest_whose_headers_are_too_light_is_named_by_where_it_comes_from() {
    log::set_logger(&Ear).expect("no other test listens");
    log::set_max_level(LevelFilter::Info);
    let world = World::new();
    let (node, other) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    node.mine_many(120);
    other.mine_many(3);
    let view = other.node.view();
    let headers = (1..=3).map(|height| view.chain.headers().at(Height(height)).unwrap().header);
    let body = headers_to_json(&headers.collect::<Vec<_>>());
    let stranger = Stranger::call(&world, 10, &node.network);
    let prefix = node.node.prefix();
    let theirs = Handshake {
        instance: 1,
        height: Height(9_999),
        tip: BlockHash::from_bytes([9; 32]),
        work: Work::new(U256::from(u64::MAX)),
        ..node.network.handshake_to(&node.node, None)
    };
    stranger.say(&Frame::Ask { id: 0, question: Question::Handshake(theirs) }.to_json(prefix));
    let is_asked_for = |event| {
        let LinkEvent::Frame { text, .. } = event else { panic!("it was closed") };
        match Frame::from_json(&text, prefix).unwrap() {
            Frame::Ask { id, question: Question::Headers { .. } } => Some(id),
            _ => None,
        }
    };
    let id = std::iter::repeat_with(|| is_asked_for(stranger.hear())).flatten().next().unwrap();
    stranger.say(&Frame::Answer { id, status: 200, body }.to_json(prefix));
    let link = PeerId::Link(node.network.lines().inbound()[0].id);
    let line = format!("headers of the guest from 127.0.0.1 ({link}) are not kept");
    wait(&line, || HEARD.lock().unwrap().iter().any(|heard| heard.starts_with(&line)));
}
