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
use super::table::Task;
use super::{Network, lock, times};
use crate::primitives::{PeerAddress, PeerId, Work};
use crate::wire::Question;
use std::time::Duration;

/// Something that is due.
#[derive(Debug)]
pub struct Job(Kind);

#[derive(Debug)]
enum Kind {
    /// For one peer. The work is that of our tip when it was handed out.
    Peer(Task, Work),
    /// For the sync.
    Sync(sync::Task),
    /// Write the list of peers down.
    Save,
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
        let now = node.now().monotonic;
        match lock(&self.chores).next(now) {
            Some(Chore::Save) => return Ok(Job(Kind::Save)),
            Some(Chore::Pull(turn)) => self.table().pull_from_next(turn),
            None => {}
        }
        let view = node.view();
        let work = view.chain.tip().total_work;
        let first = {
            let mut table = self.table();
            let dial = table.dial(&mut lock(&self.book), times(&node));
            dial.map_or_else(|| table.next(now), Ok)
        };
        let idle = match first {
            Ok(task) => return Ok(Job(Kind::Peer(task, work))),
            Err(idle) => idle,
        };
        let idle = match self.next_fetch(now) {
            Ok(task) => return Ok(Job(Kind::Peer(task, work))),
            Err(fetch_idle) => idle.min(fetch_idle),
        };
        let mut sync = lock(&self.sync);
        let mut table = self.table();
        if let Some(task) = table.gossip(now) {
            return Ok(Job(Kind::Peer(task, work)));
        }
        let served = sync.served();
        let task = sync.next(&mut Scene { now, chain: &view.chain, table: &mut table });
        if sync.served() > served {
            // Someone may wait for it, and the table may have more to do.
            self.signal.tell();
        }
        task.map(|task| Job(Kind::Sync(task))).map_err(|sync_idle| idle.min(sync_idle))
    }

    /// Begins a job: what is to be asked, and of whom.
    pub fn begin(&self, job: &Job) -> Begun {
        let (peer, asked) = match &job.0 {
            Kind::Save => {
                self.save();
                return Begun::Over;
            }
            Kind::Peer(task, _) => (task.peer(), self.begin_task(task)),
            Kind::Sync(task) => (task.peer().clone(), Some((task.question(), Pace::Usual))),
        };
        match (peer, asked) {
            (PeerId::At(address), Some((question, pace))) => {
                Begun::Http { address, question, pace }
            }
            (PeerId::Link(_), Some(_)) => {
                self.conclude(&job.0, Err(CallError::Unreachable("it has no address".to_owned())));
                Begun::Over
            }
            (_, None) => Begun::Over,
        }
    }

    /// Ends a job with what came of the call.
    pub fn finish(&self, job: Job, answer: Answer) {
        self.conclude(&job.0, answer);
        self.signal.tell();
    }

    fn conclude(&self, kind: &Kind, answer: Answer) {
        match kind {
            Kind::Save => {}
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
            Task::Exchange(_) => (Question::Handshake(self.handshake(&node)), Pace::Usual),
            // A stranger has to answer as quickly as if a person waited: others wait for the place.
            Task::CallBack(_) | Task::Dial(_) => {
                (Question::Handshake(self.handshake(&node)), Pace::Quick)
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
            Task::Dial(address) => return self.dialled(address, told, answer),
            Task::Addresses(target) => self.addresses_came(target, answer),
            Task::Announce(..) => super::relay::announced(answer),
            Task::Summary(target) => self.summary_came(target, answer),
            Task::Buckets(target, _) => self.ids_came(target, answer),
            Task::Transfers(target, ids) => self.transfers_came(target, ids, answer),
            Task::Block(target, hash, form) => self.block_came(target, (hash, form), answer),
        };
        if let Some(node) = self.node() {
            self.table().done(task, outcome, node.now().monotonic);
        }
    }
}
