//! Someone between two nodes: to each it is the other, in all that handshakes say, and it passes on
//! nothing else.

use super::machine::{Town, at};
use super::*;
use crate::net::exchange_every;
use crate::net::links::{How, LinkDriver, LinkEnd, LinkEvent, LinkFull};
use crate::primitives::{LinkId, Txid};
use crate::wire::{Frame, Handshake};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// The two nodes; whose chain it tells is the first.
const ONE: usize = 0;
const TWO: usize = 1;

/// What a node does with its live connections, all of which end at the one between.
#[derive(Default)]
struct Said(Mutex<Vec<Deed>>);

enum Deed {
    Dialled(LinkId, PeerAddress),
    Accepted(LinkId, SocketAddr),
    Sent(LinkId, String),
    Closed(LinkId, LinkEnd),
}

impl Said {
    fn note(&self, deed: Deed) {
        self.0.lock().unwrap().push(deed);
    }
}

impl LinkDriver for Said {
    fn dial(&self, id: LinkId, address: &PeerAddress) {
        self.note(Deed::Dialled(id, address.clone()));
    }

    fn accept(&self, id: LinkId, _: TcpStream, client: SocketAddr) {
        self.note(Deed::Accepted(id, client));
    }

    fn send(&self, id: LinkId, text: String) -> Result<(), LinkFull> {
        self.note(Deed::Sent(id, text));
        Ok(())
    }

    fn turn_away(&self, _: TcpStream, _: SocketAddr) {
        panic!("there is room");
    }

    fn close(&self, id: LinkId, end: LinkEnd) {
        self.note(Deed::Closed(id, end));
    }

    fn pending_bytes(&self, _: LinkId) -> usize {
        0
    }

    fn done(&self, _: LinkId) {}
}

/// The two, and who is between.
struct Between {
    town: Town,
    said: [Arc<Said>; 2],
    /// What was told it.
    heard: (BTreeSet<BlockHash>, BTreeSet<Txid>),
}

impl Between {
    /// It has opened a connection to the first, which knows the second, as if it were that one; and
    /// the second calls it.
    fn new() -> Self {
        let said = [Arc::<Said>::default(), Arc::default()];
        let mut town = Town::on(said.iter().map(|said| Some(said.clone() as _)).collect());
        town.between = Some(2);
        town.join(ONE, TWO);
        town.join(TWO, 2);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, client) = listener.accept().unwrap();
        drop(near);
        town.nodes[ONE].network.take_link(far, client);
        Self { town, said, heard: Default::default() }
    }

    /// Answers what the nodes do.
    fn serve(&mut self) {
        for index in [ONE, TWO] {
            let deeds = std::mem::take(&mut *self.said[index].0.lock().unwrap());
            for deed in deeds {
                let events = self.answer(index, deed);
                let network = &self.town.nodes[index].network;
                events.into_iter().for_each(|event| network.link_event(event));
            }
        }
    }

    fn answer(&mut self, index: usize, deed: Deed) -> Vec<LinkEvent> {
        let prefix = self.town.nodes[ONE].handle.prefix();
        match deed {
            Deed::Dialled(id, address) if address == at(2) => {
                vec![LinkEvent::Opened { id, how: How::Dialled(address) }]
            }
            Deed::Dialled(id, _) => vec![LinkEvent::Closed { id, reason: LinkEnd::TimedOut }],
            Deed::Closed(id, reason) => vec![LinkEvent::Closed { id, reason }],
            Deed::Accepted(id, client) => {
                let two = &self.town.nodes[TWO];
                let theirs = two.network.handshake_to(&two.handle, None);
                let question = Question::Handshake(Handshake { node: None, ..theirs });
                let text = Frame::Ask { id: 0, question }.to_json(prefix);
                let how = How::Accepted(client);
                vec![LinkEvent::Opened { id, how }, LinkEvent::Frame { id, text }]
            }
            Deed::Sent(id, text) => match Frame::from_json(&text, prefix).unwrap() {
                Frame::Tell(news) => {
                    self.heard.0.extend(news.blocks.iter().map(|block| block.header().hash()));
                    self.heard.1.extend(news.transactions);
                    vec![]
                }
                Frame::Ask { id: number, question } => {
                    let Reply { status, body } = self.town.pass_on(ONE + TWO - index, &question);
                    let text = Frame::Answer { id: number, status, body }.to_json(prefix);
                    vec![LinkEvent::Frame { id, text }]
                }
                Frame::Answer { .. } => vec![],
            },
        }
    }

    fn run(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..20_000 {
            if done(self) {
                return;
            }
            self.serve();
            self.town.step();
        }
        panic!("too many steps: {what}");
    }
}

#[test]
fn who_passes_on_handshakes_and_nothing_else_holds_up_news_for_a_spacing_at_most() {
    let mut between = Between::new();
    let settled = Duration::from_secs(100);
    between.run("the first to believe that it reaches the second", |between| {
        let reaching = between.town.nodes[ONE].network.table().reaching_us();
        between.town.now() > settled && reaching.contains(&at(TWO).into())
    });
    let start = between.town.now();
    let tip = between.town.mine(ONE, 1);
    let one = &between.town.nodes[ONE].handle;
    let spacing = exchange_every(one);
    let transfer = TestKey::dev(1).pay(TestKey::new(9).public, (100, 0), 0, &one.chain_id());
    let id = transfer.id();
    one.submit_transfer(transfer, Origin::Own).unwrap();
    let told = (BTreeSet::from([tip]), BTreeSet::from([id]));
    between.run("who is between to be told", |between| between.heard == told);
    assert_ne!(between.town.tip(TWO), tip, "it has kept it");
    between.run("the block by the exchange of tips", |between| between.town.tip(TWO) == tip);
    let took = between.town.now() - start;
    assert!(took <= spacing * 5 / 4, "{took:?} of {spacing:?}");
    between.run("the transfer by the exchange of pools", |between| {
        between.town.nodes[TWO].handle.view().chain.pool().get(&id).is_some()
    });
    let took = between.town.now() - start;
    assert!(took <= Duration::from_secs(100), "pools in turn: {took:?}");
}
