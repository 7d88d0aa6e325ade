//! Liars on live connections: they open some to honest nodes, and speak there as they do over HTTP.

use crate::liar::Lie;
use crate::links::End;
use crate::rules::PREFIX;
use crate::spoil::random_ids;
use crate::wires::Form;
use crate::world::World;
use farthing::net::links::{How, LinkEnd, LinkEvent};
use farthing::net::wanted::PER_PEER_MAX;
use farthing::primitives::LinkId;
use farthing::wire::{ANNOUNCED_IDS_MAX, Announcement, Frame, Question};
use std::net::SocketAddr;

impl World {
    /// A liar opens a connection to a node.
    pub fn liar_dials(&mut self, number: usize, to: usize) {
        let end = self.liars_end(self.nodes.len() + number);
        let address = self.nodes[to].address.clone();
        self.dial(end, &address);
    }

    /// A liar lets in a node that dials it from here.
    pub fn liar_accepts(&mut self, place: usize, client: SocketAddr) {
        let end = self.liars_end(place);
        self.accept(end, client);
    }

    /// A new end of a connection at a liar.
    fn liars_end(&mut self, place: usize) -> End {
        self.calls_made += 1;
        End { place, incarnation: 0, id: LinkId(self.calls_made) }
    }

    /// Something happens on a connection of a liar.
    pub fn liar_hears(&mut self, end: End, event: LinkEvent) {
        let number = end.place - self.nodes.len();
        let Some(mirror) = self.mirror(number) else { return };
        match event {
            LinkEvent::Closed { .. } => self.liars[number].links.retain(|link| *link != end),
            LinkEvent::Opened { how, .. } => {
                self.liars[number].links.push(end);
                // Whoever has dialled speaks first.
                if let How::Dialled(_) = how {
                    let question = Question::Handshake(self.liars_handshake(number, mirror));
                    self.send_text(end, Frame::Ask { id: 1, question }.to_json(PREFIX));
                }
            }
            LinkEvent::Frame { text, .. } => self.liar_answers(end, mirror, &text),
        }
    }

    fn liar_answers(&mut self, end: End, mirror: usize, text: &str) {
        let number = end.place - self.nodes.len();
        let Ok(Frame::Ask { id, question }) = Frame::from_json(text, PREFIX) else { return };
        let form = Form::of(&question);
        if self.stalls(number, &form) {
            return;
        }
        let Ok(reply) = self.liars_answer(number, mirror, &form) else {
            return self.close(end, LinkEnd::Left);
        };
        let answer = Frame::Answer { id, status: reply.status, body: reply.body };
        self.send_text(end, answer.to_json(PREFIX));
    }

    /// A liar tells news on all its connections.
    pub fn liar_tells(&mut self, number: usize, news: &Announcement) {
        for end in self.liars[number].links.clone() {
            let news = Announcement { from: None, ..news.clone() };
            self.send_text(end, Frame::Tell(news).to_json(PREFIX));
        }
    }

    /// A liar tells one node of so many transfers that do not exist that no room is left for its own.
    pub fn liar_floods(&mut self, number: usize) {
        let links = self.liars[number].links.len();
        if links == 0 {
            return;
        }
        let place = self.pick(links);
        let end = self.liars[number].links[place];
        self.lied(Lie::Flood, number);
        for _ in 0..=PER_PEER_MAX / ANNOUNCED_IDS_MAX {
            let transactions = random_ids(&mut self.random, ANNOUNCED_IDS_MAX as u64);
            let news = Announcement { from: None, blocks: Vec::new(), transactions };
            self.send_text(end, Frame::Tell(news).to_json(PREFIX));
        }
    }

    /// A liar says what nobody can read.
    pub fn liar_babbles(&mut self, number: usize) {
        if let Some(end) = self.liars[number].links.first().copied() {
            self.lied(Lie::Garbage, number);
            self.send_text(end, "{\"tell\":[".to_owned());
        }
    }
}
