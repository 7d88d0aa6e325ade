//! Everything the network does, in two short halves with a call in between.
//!
//! [`Network::next`] says what is due, [`Network::begin`] what is to be asked for it, and
//! [`Network::finish`] takes the answer. Whoever drives them makes the calls: with threads
//! ([`super::driver`]), or in one thread with a network of its own making.
//!
//! Invariants: every job is begun once; one whose `begin` asks something is finished once, whatever
//! came of the call; no lock is held over a half's work with the owner, the disk or signatures.

use super::answer::Answer;
use super::client::{CallError, Pace};
use super::driver::TICK;
use super::relay::Chore;
use super::sync::{self, Scene};
use super::table::{Candidate, Task};
use super::{Network, lock, lock_now};
use crate::primitives::{LinkId, PeerAddress, PeerId, Work};
use crate::wire::Question;
use std::time::Duration;

/// Something that is due.
#[derive(Debug)]
pub struct Job(Kind);

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// For one peer. The work is that of our tip when it was handed out.
    Peer(Task, Work),
    /// For the sync.
    Sync(sync::Task),
    /// Write the list of peers down.
    Save,
    /// Read what has come on a live connection.
    Text(LinkId, String),
    /// What was asked on a live connection that is gone: for the same.
    Stranded(Box<Self>),
}

impl Kind {
    /// Whom it is about.
    pub(super) fn peer(&self) -> Option<PeerId> {
        match self {
            Self::Peer(task, _) => Some(task.peer()),
            Self::Sync(task) => Some(task.peer().clone()),
            Self::Stranded(kind) => kind.peer(),
            Self::Text(id, _) => Some(PeerId::Link(*id)),
            Self::Save => None,
        }
    }
}

/// How a job goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "one at a time, and nearly all are calls")]
pub enum Begun {
    /// This is to be asked there, and the job finished with what comes of it.
    Http {
        /// Where.
        address: PeerAddress,
        /// What.
        question: Question,
        /// How soon it has to be answered.
        pace: Pace,
    },
    /// It was asked on a live connection: what comes there ends the job.
    OnLink,
    /// Nothing is to be asked: the job is over.
    Over,
}

impl Network {
    /// The next thing to do, or how long there is nothing unless something happens. What is passed on
    /// comes before the sync, and neither takes the other's calls.
    ///
    /// # Errors
    /// How long nothing is due.
    pub fn next(&self) -> Result<Job, Duration> {
        let Some(node) = self.node() else { return Err(TICK) };
        let chore = {
            let (mut chores, times) = lock_now(&self.chores, &node);
            chores.next(times.monotonic)
        };
        match chore {
            Some(Chore::Save) => return Ok(Job(Kind::Save)),
            Some(Chore::Pull(turn)) => self.table().pull_from_next(turn),
            Some(Chore::Lines) => {
                self.tend_lines(&node);
                self.forget_gone();
            }
            None => {}
        }
        let line_idle = match self.next_on_lines(&node) {
            Ok(kind) => return Ok(Job(kind)),
            Err(idle) => idle,
        };
        let view = node.view();
        let work = view.chain.tip().total_work;
        let first = {
            let mut table = self.table();
            let (mut book, times) = self.book_now(&node);
            let dial = table.dial(&mut book, times);
            drop(book);
            dial.map_or_else(|| table.next(times.monotonic), Ok)
        };
        let idle = match first {
            Ok(task) => return Ok(Job(Kind::Peer(task, work))),
            Err(idle) => idle,
        };
        let idle = match self.next_fetch(&node) {
            Ok(task) => return Ok(Job(Kind::Peer(task, work))),
            Err(fetch_idle) => idle.min(fetch_idle),
        };
        let mut sync = lock(&self.sync);
        let (mut table, times) = self.table_now(&node);
        if let Some(task) = table.gossip(times.monotonic) {
            return Ok(Job(Kind::Peer(task, work)));
        }
        let served = sync.served();
        let task = sync.next(&mut Scene::new(times, &view.chain, &mut table));
        if sync.served() > served {
            // Someone may wait for it, and the table may have more to do.
            self.signal.tell();
        }
        task.map(|task| Job(Kind::Sync(task)))
            .map_err(|sync_idle| idle.min(line_idle).min(sync_idle))
    }

    /// Begins a job: what is to be asked, and of whom.
    pub fn begin(&self, job: &Job) -> Begun {
        let gone = || CallError::Unreachable("the live connection is gone".to_owned());
        match &job.0 {
            Kind::Save => self.save(),
            Kind::Text(id, text) => self.read_text(*id, text),
            Kind::Peer(..) | Kind::Sync(_) => return self.begin_to_ask(&job.0),
            Kind::Stranded(kind) => match (kind.peer(), self.question(kind)) {
                (Some(PeerId::At(address)), Some((question, pace))) => {
                    return Begun::Http { address, question, pace };
                }
                _ => self.conclude(kind, Err(gone())),
            },
        }
        Begun::Over
    }

    fn begin_to_ask(&self, kind: &Kind) -> Begun {
        let (Some(peer), Some((question, pace))) = (kind.peer(), self.question(kind)) else {
            return Begun::Over;
        };
        match (self.line_for(&peer, &question), peer) {
            (Some(line), peer) => self.begin_on_line(kind, (line, peer), (question, pace)),
            (None, PeerId::At(address)) => Begun::Http { address, question, pace },
            (None, PeerId::Link(_)) => {
                let gone = CallError::Unreachable("the live connection is gone".to_owned());
                self.conclude(kind, Err(gone));
                Begun::Over
            }
        }
    }

    /// What to ask; `None` if there is nothing, or once the network is stopped.
    fn question(&self, kind: &Kind) -> Option<(Question, Pace)> {
        match kind {
            Kind::Peer(task, _) => self.begin_task(task),
            Kind::Sync(task) => Some((task.question(), Pace::Usual)),
            Kind::Stranded(kind) => self.question(kind),
            Kind::Save | Kind::Text(..) => None,
        }
    }

    /// Ends a job with what came of the call.
    pub fn finish(&self, job: Job, answer: Answer) {
        self.conclude(&job.0, answer);
        self.signal.tell();
    }

    pub(super) fn conclude(&self, kind: &Kind, answer: Answer) {
        match kind {
            Kind::Save | Kind::Text(..) => {}
            Kind::Stranded(kind) => self.conclude(kind, answer),
            Kind::Peer(task, told) => self.finish_task(task, *told, answer),
            Kind::Sync(sync::Task::Headers(asked)) => self.headers_came(asked, answer),
            Kind::Sync(sync::Task::Bodies(serial, order)) => {
                self.bodies_came(*serial, order, answer)
            }
        }
    }

    /// What to ask for a task; `None` once the network is stopped.
    fn begin_task(&self, task: &Task) -> Option<(Question, Pace)> {
        let node = self.node()?;
        Some(match task {
            Task::Exchange(target) => {
                let instance = self.table().find(&target.id).and_then(|peer| peer.instance);
                (Question::Handshake(self.handshake_to(&node, instance)), Pace::Usual)
            }
            Task::CallBack(Candidate { pace, .. }) | Task::Dial(_, pace) => {
                (Question::Handshake(self.handshake_to(&node, None)), *pace)
            }
            Task::Announce(_, news) => (Question::Announce(self.announcement(news)), Pace::Usual),
            Task::Summary(_) => (Question::PoolSummary, Pace::Usual),
            Task::Buckets(_, buckets) => {
                (Question::PoolIds { buckets: buckets.clone() }, Pace::Usual)
            }
            Task::Transfers(_, ids) => (Question::Transfers { ids: ids.clone() }, Pace::Usual),
            Task::Block(_, hash, form) => (form.question(*hash), Pace::Usual),
            Task::Addresses(_) => (Question::Addresses, Pace::Usual),
        })
    }

    fn finish_task(&self, task: &Task, told: Work, answer: Answer) {
        let outcome = match task {
            Task::Exchange(target) => return self.exchanged(target, told, answer),
            Task::CallBack(candidate) => return self.called_back(candidate, told, answer),
            Task::Dial(address, _) => return self.dialled(address, told, answer),
            Task::Addresses(target) => self.addresses_came(target, answer),
            Task::Announce(..) => super::relay::announced(answer),
            Task::Summary(target) => self.summary_came(target, answer),
            Task::Buckets(target, _) => self.ids_came(target, answer),
            Task::Transfers(target, ids) => self.transfers_came(target, ids, answer),
            Task::Block(target, hash, form) => self.block_came(target, (hash, form), answer),
        };
        if let Some(node) = self.node() {
            let (mut table, times) = self.table_now(&node);
            table.done(task, outcome, times.monotonic);
        }
    }
}
