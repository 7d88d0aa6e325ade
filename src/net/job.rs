//! Everything the network does, in two short halves with a call in between.
//!
//! [`Network::next`] says what is due, [`Network::begin`] what is to be asked for it, and
//! [`Network::finish`] takes the answer. Whoever drives them makes the calls: with threads
//! ([`super::driver`]), or in one thread with a network of its own making.
//!
//! Invariants: every job is begun once; one whose `begin` asks something is finished once, whatever
//! came of the call; no lock is held over a half's work with the owner, the disk or signatures.

use super::answer::Answer;
use super::client::{Call, CallError};
use super::driver::TICK;
use super::relay::Chore;
use super::sync::{self, Scene};
use super::table::{Outcome, Task};
use super::{Network, lock, times};
use crate::primitives::{PeerAddress, PeerId, Work};
use crate::wire::transfer_to_json;
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
pub enum Begun {
    /// This is to be asked there, and the job finished with what comes of it.
    Http {
        /// Where.
        address: PeerAddress,
        /// What.
        call: Call,
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
        let mut sync = lock(&self.sync);
        let mut table = self.table();
        let work = view.chain.tip().total_work;
        let dial = table.dial(&mut lock(&self.book), times(&node));
        let idle = match dial.map_or_else(|| table.next(now), Ok) {
            Ok(task) => return Ok(Job(Kind::Peer(task, work))),
            Err(idle) => idle,
        };
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
        let (peer, call) = match &job.0 {
            Kind::Save => {
                self.save();
                return Begun::Over;
            }
            Kind::Peer(task, _) => (task.peer(), self.begin_task(task)),
            Kind::Sync(task) => (task.peer().clone(), Some(task.call())),
        };
        match (peer, call) {
            (PeerId::At(address), Some(call)) => Begun::Http { address, call },
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

    /// What to ask for a task; `None` if it turns out to be done.
    fn begin_task(&self, task: &Task) -> Option<Call> {
        let node = self.node()?;
        let ours = |quick| Call::Handshake { text: self.handshake(&node).to_json(), quick };
        Some(match task {
            Task::Exchange(_) => ours(false),
            // A stranger has to answer as quickly as if a person waited: others wait for the place.
            Task::CallBack(_) | Task::Dial(_) => ours(true),
            Task::Block(_, block) => Call::Block(block.text.clone()),
            Task::Transfer(_, id) => {
                let view = node.view();
                let Some(pending) = view.chain.pool().get(id) else {
                    self.table().done(task, Outcome::Done, node.now().monotonic);
                    return None;
                };
                Call::Transfer(transfer_to_json(pending.transfer(), self.prefix))
            }
            Task::Pull(_) => Call::Pool,
            Task::Addresses(_) => Call::Addresses,
        })
    }

    fn finish_task(&self, task: &Task, told: Work, answer: Answer) {
        let outcome = match task {
            Task::Exchange(target) => return self.exchanged(target, told, answer),
            Task::CallBack(candidate) => return self.called_back(candidate, told, answer),
            Task::Block(target, block) => self.block_sent(target, block, answer),
            Task::Transfer(..) => super::relay::transfer_sent(answer),
            Task::Dial(address) => return self.dialled(address, told, answer),
            Task::Pull(target) => self.pulled(target, answer),
            Task::Addresses(target) => self.addresses_came(target, answer),
        };
        if let Some(node) = self.node() {
            self.table().done(task, outcome, node.now().monotonic);
        }
    }
}
