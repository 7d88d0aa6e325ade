//! Liars on live connections: they open some to honest nodes, and speak there as they do over HTTP.

use crate::liar::Lie;
use crate::links::End;
use crate::rules::PREFIX;
use crate::wires::Form;
use crate::world::World;
use farthing::net::links::{LinkEnd, LinkEvent};
use farthing::primitives::LinkId;
use farthing::wire::{Announcement, Frame, Question};

impl World {
    /// A liar opens a connection to a node.
    pub fn liar_dials(&mut self, number: usize, to: usize) {
        self.calls_made += 1;
        let place = self.nodes.len() + number;
        let end = End { place, incarnation: 0, id: LinkId(self.calls_made) };
        let address = self.nodes[to].address.clone();
        self.dial(end, &address);
    }

    /// Something happens on a connection of a liar.
    pub fn liar_hears(&mut self, end: End, event: LinkEvent) {
        let number = end.place - self.nodes.len();
        let Some(mirror) = self.mirror(number) else { return };
        match event {
            LinkEvent::Closed { .. } => self.liars[number].links.retain(|link| *link != end),
            LinkEvent::Opened { .. } => {
                self.liars[number].links.push(end);
                let question = Question::Handshake(self.liars_handshake(number, mirror));
                self.send_text(end, Frame::Ask { id: 1, question }.to_json(PREFIX));
            }
            LinkEvent::Frame { text, .. } => self.liar_answers(end, mirror, &text),
        }
    }

    fn liar_answers(&mut self, end: End, mirror: usize, text: &str) {
        let number = end.place - self.nodes.len();
        let Ok(Frame::Ask { id, question }) = Frame::from_json(text, PREFIX) else { return };
        if self.liars[number].does(Lie::Stall) {
            return self.lied(Lie::Stall, number);
        }
        let form = Form::of(&question);
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

    /// A liar says what nobody can read.
    pub fn liar_babbles(&mut self, number: usize) {
        if let Some(end) = self.liars[number].links.first().copied() {
            self.lied(Lie::Garbage, number);
            self.send_text(end, "{\"tell\":[".to_owned());
        }
    }
}
