//! What is said on live connections: texts are read, questions answered, and answers given to whoever
//! waits for them.

use super::Network;
use super::client::Reply;
use super::exchange::Met;
use super::lines::{Stage, Way, work};
use super::links::{Code, LinkEnd};
use super::live::Waits;
use crate::node::{NodeHandle, answers};
use crate::primitives::{LinkId, PeerId};
use crate::wire::{
    Announcement, Done, Failure, Frame, Handshake, Question, addresses_to_json, to_json,
};
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};

/// What has become of a text.
enum Heard {
    /// All that it asks for is done.
    Done,
    /// Its answer takes long, and so does another that is under way.
    Later,
}

impl Network {
    /// Reads a text, and lets the next of its line come.
    pub(super) fn read_text(&self, id: LinkId, text: &str) {
        let (Some(links), Some(node)) = (&self.links, self.node()) else { return };
        match self.hear_text(&node, id, text) {
            Ok(Heard::Done) => {}
            Ok(Heard::Later) => {
                let (mut lines, times) = self.lines_now(&node);
                return lines.put_back((id, text.to_owned()), times.monotonic);
            }
            Err(end) => self.end_line(id, end),
        }
        let (mut lines, times) = self.lines_now(&node);
        lines.read(id, times.monotonic);
        drop(lines);
        links.done(id);
        self.signal.tell();
    }

    fn hear_text(&self, node: &NodeHandle, id: LinkId, text: &str) -> Result<Heard, LinkEnd> {
        let (way, stage) = {
            let lines = self.lines();
            let Some(line) = lines.get(id) else { return Ok(Heard::Done) };
            (line.way.clone(), line.stage)
        };
        let frame =
            Frame::from_json(text, self.prefix).map_err(|error| broken(Code::Data, &error))?;
        let is_greeting = match &frame {
            Frame::Ask { question: Question::Handshake(_), .. } => matches!(way, Way::In(_)),
            Frame::Answer { .. } => matches!(way, Way::Out(_)),
            Frame::Ask { .. } | Frame::Tell(_) => false,
        };
        if stage != Stage::Greeted && !is_greeting {
            return Err(broken(Code::Protocol, &"expected a handshake first"));
        }
        match frame {
            Frame::Ask { question, .. }
                if takes_long(&question) && !self.lines().begin_heavy(id) =>
            {
                return Ok(Heard::Later);
            }
            Frame::Ask { id: number, question } => {
                self.charge(node, id, text.len());
                self.asked_on(node, (id, &way), number, question)?;
            }
            Frame::Answer { id: number, status, body } => {
                self.answered_on(node, id, number, Reply { status, body })?;
            }
            Frame::Tell(news) => self.told_on(node, id, news),
        }
        Ok(Heard::Done)
    }

    fn told_on(&self, node: &NodeHandle, id: LinkId, news: Announcement) {
        let cost = news.transactions.len() * work::ID + news.blocks.len() * work::BLOCK;
        self.charge(node, id, cost);
        if let Some(peer) = self.speaker(id) {
            self.hear(&peer, news);
        }
    }

    /// Counts the work that a text has made.
    fn charge(&self, node: &NodeHandle, id: LinkId, cost: usize) {
        let (mut lines, times) = self.lines_now(node);
        lines.charge(id, cost, times.monotonic);
    }

    /// The peer that speaks on a line.
    fn speaker(&self, id: LinkId) -> Option<PeerId> {
        self.lines().peer(id)
    }

    fn answered_on(
        &self,
        node: &NodeHandle,
        id: LinkId,
        number: u32,
        reply: Reply,
    ) -> Result<(), LinkEnd> {
        // Taken before the answer is looked at: whatever is in it, nobody else waits for it.
        let waits = self.with_waiting(node, id, |lines, now| lines.answered(id, number, now));
        match waits {
            None => Ok(()),
            Some(Waits::Job(kind)) => {
                self.conclude(&kind, Ok(reply));
                Ok(())
            }
            Some(Waits::Greeting) => self.greeting_came(node, id, reply),
        }
    }

    /// Whom we have opened a line to has answered our handshake.
    fn greeting_came(&self, node: &NodeHandle, id: LinkId, reply: Reply) -> Result<(), LinkEnd> {
        let Some(peer) = self.speaker(id) else { return Ok(()) };
        match self.met(&peer, Ok(reply)) {
            Ok(theirs) => {
                self.greeted(node, id, &theirs);
                self.claimed(node, &peer, &theirs);
                Ok(())
            }
            Err(Met::Refused(error)) => Err(broken(Code::Policy, &error)),
            Err(Met::Failed(reason)) => Err(broken(Code::Policy, &reason)),
            Err(Met::Busy) => Err(broken(Code::Busy, &"it is busy")),
        }
    }

    fn asked_on(
        &self,
        node: &NodeHandle,
        (id, way): (LinkId, &Way),
        number: u32,
        question: Question,
    ) -> Result<(), LinkEnd> {
        if let Question::Handshake(theirs) = &question {
            return self.greet_on(node, (id, way), number, theirs);
        }
        let looked_at = looked_at(node, &question);
        let reply = self.reply_to(node, (id, way), question);
        self.charge(node, id, looked_at + reply.body.len());
        self.say(id, number, reply)
    }

    /// Sends an answer, or that there is no room for it.
    fn say(&self, id: LinkId, number: u32, reply: Reply) -> Result<(), LinkEnd> {
        let Some(links) = &self.links else { return Ok(()) };
        let text = |Reply { status, body }| {
            Frame::Answer { id: number, status, body }.to_json(self.prefix)
        };
        if links.send(id, text(reply)).is_ok() {
            return Ok(());
        }
        let busy = refusal(503, "busy", &"the live connections are busy");
        links.send(id, text(busy)).map_err(|error| broken(Code::Policy, &error))
    }

    fn reply_to(&self, node: &NodeHandle, (id, way): (LinkId, &Way), question: Question) -> Reply {
        let good = |body| Reply { status: 200, body };
        match question {
            Question::Addresses => good(addresses_to_json(&self.known_addresses(client(way)))),
            Question::Announce(news) => {
                self.told_on(node, id, news);
                good(to_json(&Done { message: "The announcement was heard.".to_owned() }))
            }
            question => match answers::answer(node, &question, self.salt(&[])) {
                Some(Ok(answer)) => match answer.into_text() {
                    Ok(text) => good(text),
                    Err(error) => {
                        log::error!("a block cannot be read: {error}");
                        refusal(500, "storage", &"a block cannot be read")
                    }
                },
                Some(Err(error)) => refusal(error.status(), error.code(), &error),
                None => refusal(404, "not-found", &"this is not answered on live connections"),
            },
        }
    }

    /// Says what we are, and takes up what a node says of itself on a line: in this order, so that none
    /// of our questions goes ahead of what the other waits for.
    fn greet_on(
        &self,
        node: &NodeHandle,
        (id, way): (LinkId, &Way),
        number: u32,
        theirs: &Handshake,
    ) -> Result<(), LinkEnd> {
        if let Err(error) = self.judge(theirs, || shown(way)) {
            self.say(id, number, refusal(409, error.code(), &error))?;
            return Err(broken(Code::Policy, &error));
        }
        let ours = self.handshake_to(node, Some(theirs.instance));
        let body = ours.to_json();
        self.charge(node, id, body.len());
        let is_new = self.lines().get(id).is_some_and(|line| line.stage != Stage::Greeted);
        if is_new && let Some(links) = &self.links {
            // Whoever has the answer may say anything at once.
            links.expect(id, 0);
        }
        self.say(id, number, Reply { status: 200, body })?;
        if is_new {
            self.greeted(node, id, theirs);
        }
        if let Some(peer) = self.speaker(id) {
            self.claimed(node, &peer, theirs);
            self.compare(node, &peer, (theirs, ours.work));
        }
        Ok(())
    }

    /// What a peer says of its chain, outside of an exchange that is due.
    fn claimed(&self, node: &NodeHandle, peer: &PeerId, theirs: &Handshake) {
        let (mut table, times) = self.table_now(node);
        table.claims(peer, theirs, times);
        drop(table);
        self.sync_if_behind(node, theirs);
    }
}

/// Whether the answer may be as long as the longest block, or needs one to be read for it.
const fn takes_long(question: &Question) -> bool {
    matches!(question, Question::Blocks { .. } | Question::BlockTransfers { .. })
}

/// Bytes of the block that has to be read for an answer that may be short.
fn looked_at(node: &NodeHandle, question: &Question) -> usize {
    let (Question::Compact { block } | Question::BlockTransfers { block, .. }) = question else {
        return 0;
    };
    let body = node.view().chain.body_of(block);
    body.map_or(0, |body| usize::try_from(body.payload_len()).unwrap_or(usize::MAX))
}

/// A line is of no more use.
fn broken(code: Code, error: &dyn Display) -> LinkEnd {
    LinkEnd::ours(code, &error.to_string())
}

fn refusal(status: u16, code: &str, message: &dyn Display) -> Reply {
    let failure = Failure { message: message.to_string(), code: code.to_owned() };
    Reply { status, body: to_json(&failure) }
}

/// Who asks; of whom only a name is known nothing inner is told.
fn client(way: &Way) -> IpAddr {
    match way {
        Way::In(ip) => *ip,
        Way::Out(address) => address.ip().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
    }
}

fn shown(way: &Way) -> String {
    match way {
        Way::In(ip) => ip.to_string(),
        Way::Out(address) => address.to_string(),
    }
}
