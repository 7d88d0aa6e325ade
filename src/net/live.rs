//! What is done with live connections: those of others are let in, those to peers are opened, and who is
//! at the other end stands in the table.
//!
//! What comes on them is read in [`super::spoken`], by workers, one text of a line at a time.

use super::client::{Pace, Reply, bytes_max, duration_max};
use super::eviction::{Admission, admit};
use super::job::{Begun, Kind};
use super::lines::{Line, Lines, Stage, Terms, Way};
use super::links::{Code, LinkEnd, LinkEvent};
use super::outbound::{Choice, Fact, choose};
use super::peer::Peer;
use super::table::Times;
use super::{Network, lock, lock_now};
use crate::node::{NodeHandle, Origin};
use crate::primitives::{LinkId, PeerAddress, PeerId};
use crate::wire::{Announcement, Frame, Handshake, Question};
use std::net::{SocketAddr, TcpStream};
use std::sync::MutexGuard;
use std::time::Duration;

/// Who waits for an answer on a line.
#[derive(Debug)]
pub(super) enum Waits {
    /// The line itself, for the other's handshake.
    Greeting,
    /// What was begun with the question.
    Job(Kind),
}

/// Bytes that wait to leave on a line beyond which it gets no news.
const UNSENT_MAX: usize = 64 * 1024;

/// Bytes of the frame of JSON around an answer, at most.
const AROUND_MAX: usize = 128;

impl Network {
    pub(super) fn lines(&self) -> MutexGuard<'_, Lines<Waits>> {
        lock(&self.lines)
    }

    /// As [`lock_now`].
    pub(super) fn lines_now(&self, node: &NodeHandle) -> (MutexGuard<'_, Lines<Waits>>, Times) {
        lock_now(&self.lines, node)
    }

    /// Takes up what has happened on a live connection. Never waits.
    pub fn link_event(&self, event: LinkEvent) {
        let Some(node) = self.node() else { return };
        let id = event.id();
        match event {
            LinkEvent::Opened { .. } => self.opened(&node, id),
            LinkEvent::Frame { text, .. } => self.lines().push_text(id, text),
            LinkEvent::Closed { reason, .. } => self.line_ended(&node, id, &reason),
        }
        self.signal.tell();
    }

    fn opened(&self, node: &NodeHandle, id: LinkId) {
        let (way, instance) = {
            let mut lines = self.lines();
            let Some(line) = lines.get_mut(id) else { return };
            line.stage = Stage::Open;
            (line.way.clone(), line.instance)
        };
        if let Way::Out(_) = way {
            let ours = Question::Handshake(self.handshake_to(node, instance));
            if !self.ask_on(node, id, (ours, super::client::SMALL_MAX), Waits::Greeting) {
                self.end_line(id, LinkEnd::ours(Code::Busy, "no room for a handshake"));
            }
        }
    }

    /// Sends a question; false, and nobody waits, if there is no room for it.
    pub(super) fn ask_on(
        &self,
        node: &NodeHandle,
        id: LinkId,
        (question, limit): (Question, Duration),
        waits: Waits,
    ) -> bool {
        let Some(links) = &self.links else { return false };
        let number = self.with_waiting(node, id, |lines, now| {
            let terms = Terms { since: now, deadline: now + limit, bytes: bytes_max(&question) };
            lines.ask(id, terms, waits)
        });
        let Some(number) = number else { return false };
        let text = Frame::Ask { id: number, question }.to_json(self.prefix);
        // If it could not be sent, but the line has gone meanwhile, whoever waits is told that.
        links.send(id, text).is_ok()
            || self.with_waiting(node, id, |lines, now| lines.answered(id, number, now)).is_none()
    }

    /// Changes who waits for answers on a line: so long may what comes on it be from now on.
    pub(super) fn with_waiting<T>(
        &self,
        node: &NodeHandle,
        id: LinkId,
        change: impl FnOnce(&mut Lines<Waits>, Duration) -> T,
    ) -> T {
        let (mut lines, times) = self.lines_now(node);
        let result = change(&mut lines, times.monotonic);
        if let Some(links) = &self.links {
            // Under the lock: of two changes the later one counts.
            links.expect(id, lines.longest_answer(id) + AROUND_MAX);
        }
        result
    }

    /// What the lines have to do: what was asked on one that is gone, and texts to read.
    pub(super) fn next_on_lines(&self, node: &NodeHandle) -> Result<Kind, Duration> {
        let (mut lines, Times { monotonic: now, .. }) = self.lines_now(node);
        while let Some(waits) = lines.next_stranded() {
            if let Waits::Job(kind) = waits {
                return Ok(Kind::Stranded(Box::new(kind)));
            }
        }
        match lines.next_text(now, |id| self.unsent(id)) {
            Some((id, text)) => Ok(Kind::Text(id, text)),
            None => Err(lines.due_in(now).unwrap_or(Duration::MAX)),
        }
    }

    /// The line on which a peer is asked this; `None` for one that is asked over HTTP. Tips are
    /// exchanged there with all that can be called, so that a dead line holds up nobody, and so is what
    /// would stand in the way of news.
    pub(super) fn line_for(&self, peer: &PeerId, question: &Question) -> Option<LinkId> {
        let is_for_http = matches!(
            question,
            Question::Handshake(_) | Question::Headers { .. } | Question::Blocks { .. }
        );
        match peer {
            PeerId::At(_) if is_for_http => None,
            peer => self.lines().of(peer),
        }
    }

    /// Begins a job on a line.
    pub(super) fn begin_on_line(
        &self,
        kind: &Kind,
        (line, peer): (LinkId, PeerId),
        (question, pace): (Question, Pace),
    ) -> Begun {
        let Some(node) = self.node() else { return Begun::Over };
        let reply = |status| Ok(Reply { status, body: String::new() });
        if let Question::Announce(news) = question {
            self.conclude(kind, reply(if self.tell_on(line, news) { 200 } else { 503 }));
            return Begun::Over;
        }
        let limit = duration_max(&question, pace);
        if self.ask_on(&node, line, (question.clone(), limit), Waits::Job(kind.clone())) {
            return Begun::OnLink;
        }
        match peer {
            PeerId::At(address) => Begun::Http { address, question, pace },
            PeerId::Link(_) => {
                self.conclude(kind, reply(503));
                Begun::Over
            }
        }
    }

    /// Tells news, which nobody answers; false if there is no room for them.
    fn tell_on(&self, line: LinkId, news: Announcement) -> bool {
        let Some(links) = &self.links else { return false };
        let text = Frame::Tell(Announcement { from: None, ..news }).to_json(self.prefix);
        self.unsent(line) <= UNSENT_MAX && links.send(line, text).is_ok()
    }

    /// Notes what a line has brought that was new and good.
    pub(super) fn note_brought(
        &self,
        node: &NodeHandle,
        origin: &Origin,
        note: impl FnOnce(&mut Line, Duration),
    ) {
        let Origin::Peer(PeerId::Link(id)) = origin else { return };
        let (mut lines, times) = self.lines_now(node);
        if let Some(line) = lines.get_mut(*id) {
            note(line, times.monotonic);
        }
    }

    /// Bytes that wait to leave on a line.
    fn unsent(&self, id: LinkId) -> usize {
        self.links.as_ref().map_or(0, |links| links.pending_bytes(id))
    }

    /// Lets in a node that has opened a live connection, if there is room.
    pub(super) fn let_in(&self, stream: TcpStream, client: SocketAddr) {
        let (Some(links), Some(node)) = (&self.links, self.node()) else { return };
        let ip = client.ip().to_canonical();
        let admission = admit(&self.lines().inbound(), ip, self.seed);
        match admission {
            Admission::Refused => {
                log::debug!("{ip} is not let in: there are too many live connections");
                return links.turn_away(stream, client);
            }
            Admission::InPlaceOf(id) => {
                self.end_line(id, LinkEnd::ours(Code::Busy, "another gets its place"));
            }
            Admission::Free => {}
        }
        let id = self.add_line(&node, Way::In(ip));
        links.accept(id, stream, client);
    }

    fn add_line(&self, node: &NodeHandle, way: Way) -> LinkId {
        let (mut lines, times) = self.lines_now(node);
        lines.add(way, times.monotonic)
    }

    /// A line is open and its node one of ours: it may be spoken with.
    pub(super) fn greeted(&self, node: &NodeHandle, id: LinkId, theirs: &Handshake) {
        let mut table = self.table();
        // Held to the end: whoever finds the line gone finds it in neither.
        let (mut lines, times) = self.lines_now(node);
        let Some(line) = lines.get_mut(id) else { return };
        (line.stage, line.instance) = (Stage::Greeted, Some(theirs.instance));
        match &line.way {
            Way::In(ip) => {
                log::debug!("link {} of {ip} is open", id.0);
                table.link_in(id, theirs, times);
                table.link_from(id, *ip);
                // Does it know? What it says decides who is told on which way.
                table.ask_instance_soon(theirs.instance, times.monotonic);
            }
            Way::Out(address) => {
                log::debug!("link {} to {address} is open", id.0);
                table.link_opened(address);
            }
        }
    }

    /// Closes a line.
    pub(super) fn end_line(&self, id: LinkId, end: LinkEnd) {
        let (Some(links), Some(node)) = (&self.links, self.node()) else { return };
        self.line_ended(&node, id, &end);
        links.close(id, end);
    }

    /// A line is gone. Its peer goes with it, or is served over HTTP from now on.
    fn line_ended(&self, node: &NodeHandle, id: LinkId, reason: &LinkEnd) {
        let Some(line) = self.lines().remove(id) else { return };
        log::debug!("link {} is closed: {reason}", id.0);
        let (mut table, Times { monotonic: now, .. }) = self.table_now(node);
        match &line.way {
            Way::In(_) => {
                table.link_gone(id, now);
                drop(table);
                lock(&self.wanted).forget(&PeerId::Link(id));
            }
            Way::Out(address) if line.stage == Stage::Greeted => {
                table.link_closed(address, now.saturating_sub(line.since), now);
            }
            Way::Out(address) => table.link_failed(address, now),
        }
        self.signal.tell();
    }

    /// Closes the line of a peer that is not one any more.
    pub(super) fn part(&self, peer: &PeerId) {
        let line = match peer {
            PeerId::Link(id) => Some(*id),
            PeerId::At(address) => self.lines().to(address).map(|(id, _)| id),
        };
        if let Some(id) = line {
            self.end_line(id, no_peer());
        }
    }

    /// Closes all lines between a peer that was removed and us. What it opens again makes it a guest, which
    /// is not called, as it does anyone: instances are public, so whoever names this one may be another.
    pub(super) fn part_with(&self, gone: &Peer) {
        let is_its = |line: &Line| match &line.way {
            Way::In(_) => gone.instance.is_some() && line.instance == gone.instance,
            Way::Out(address) => gone.is_at(address),
        };
        let lines: Vec<_> =
            self.lines().all().filter(|(_, line)| is_its(line)).map(|(id, _)| id).collect();
        lines.into_iter().for_each(|id| self.end_line(id, no_peer()));
    }

    /// Looks after the lines: closes those that owe something for too long, those whose peer is gone
    /// and those that give way, and opens those that are wanted.
    pub(super) fn tend_lines(&self, node: &NodeHandle) {
        let Some(links) = &self.links else { return };
        let overdue = {
            let (lines, times) = self.lines_now(node);
            lines.overdue(times.monotonic)
        };
        let late = LinkEnd::ours(Code::Policy, "no answer in time");
        overdue.into_iter().for_each(|id| self.end_line(id, late.clone()));
        let (facts, lost, now) = self.facts(node);
        lost.into_iter().for_each(|id| self.end_line(id, no_peer()));
        let Choice { open, close } = choose(&facts, now);
        for address in close {
            self.part(&PeerId::At(address));
        }
        for address in open {
            let instance = facts.iter().find(|fact| fact.address == address);
            let id = self.add_line(node, Way::Out(address.clone()));
            if let Some(line) = self.lines().get_mut(id) {
                line.instance = instance.and_then(|fact| fact.instance);
            }
            links.dial(id, &address);
        }
    }

    /// What is known of the peers, the lines that belong to none, and when that is so.
    fn facts(&self, node: &NodeHandle) -> (Vec<Fact>, Vec<LinkId>, Duration) {
        let table = self.table();
        let reaching = table.reaching_us();
        let (lines, times) = self.lines_now(node);
        let fact = |peer: &Peer| {
            let address = peer.id.address()?.clone();
            let link = lines.to(&address).map(|(_, line)| line.since);
            Some(Fact {
                standing: peer.standing(),
                instance: peer.instance,
                answers: peer.is_connected(),
                not_before: peer.link_not_before,
                link,
                reaches_us: reaching.contains(&peer.id),
                address,
            })
        };
        let facts = table.peers().filter_map(fact).collect();
        let is_lost = |(id, line): &(LinkId, &Line)| match &line.way {
            Way::In(_) => line.stage == Stage::Greeted && table.find(&PeerId::Link(*id)).is_none(),
            Way::Out(address) => table.find_at(address).is_none(),
        };
        let lost = lines.all().filter(is_lost).map(|(id, _)| id).collect();
        (facts, lost, times.monotonic)
    }

    /// If a peer and we have opened a line to each other, one goes: that of the larger instance.
    pub(super) fn part_twice_linked(&self, address: &PeerAddress, theirs: &Handshake) {
        let twin = {
            let lines = self.lines();
            let is_double = theirs.linked && lines.comes_from(theirs.instance);
            lines.to(address).map(|(id, _)| id).filter(|_| is_double)
        };
        if let Some(id) = twin.filter(|_| self.instance > theirs.instance) {
            let reason = "you have opened one to this node as well";
            self.end_line(id, LinkEnd::ours(Code::Done, reason));
        }
    }
}

fn no_peer() -> LinkEnd {
    LinkEnd::ours(Code::Done, "it is no peer")
}
