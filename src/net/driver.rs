//! Runs the machine with threads and real calls: what is due is begun, asked and finished.
//!
//! All threads are alike. How many calls of each kind may be under way is for those who hand them
//! out, and there are as many threads as these allow in all: whatever is due finds a thread.

use super::job::{Begun, Job};
use super::lines::READERS;
use super::sync::{FETCHERS, HEADER_CALLS_MAX};
use super::table::CALLS_MAX;
use super::{Network, lock};
use crate::node::Event;
use crate::runtime::{EndOnPanic, Spawner};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Calls that the table hands out, fetches of the sync, texts of live connections, and one thread that
/// waits for the owner with what they have brought.
const THREADS: usize = CALLS_MAX + FETCHERS + HEADER_CALLS_MAX + READERS + 1;

/// Stack of a calling thread: the deepest it goes is reading JSON, which does not recurse.
const STACK_BYTES: usize = 512 << 10;

/// How often a thread that waits looks whether it is over.
pub(super) const TICK: Duration = Duration::from_millis(200);

/// Tells threads that wait that something has changed.
#[derive(Default)]
pub(super) struct Signal {
    told: Mutex<u64>,
    changed: Condvar,
}

impl Signal {
    /// How often it was told so far.
    pub(super) fn seen(&self) -> u64 {
        *lock(&self.told)
    }

    /// Something has changed.
    pub(super) fn tell(&self) {
        *lock(&self.told) += 1;
        self.changed.notify_all();
    }

    /// Waits until it was told more often than `seen`, or for `at_most`.
    pub(super) fn wait(&self, seen: u64, at_most: Duration) {
        let told = lock(&self.told);
        let waited = self.changed.wait_timeout_while(told, at_most, |told| *told == seen);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Network {
    /// How often something has changed so far that may bring something to do before its time, for
    /// whoever drives it.
    pub fn changes(&self) -> u64 {
        self.signal.seen()
    }

    /// Starts the threads.
    pub(super) fn drive(
        self: &Arc<Self>,
        events: Receiver<Event>,
        spawner: &Spawner,
    ) -> io::Result<()> {
        let network = self.clone();
        spawner.spawn("net-relay", move || network.listen(&events))?;
        for index in 0..THREADS {
            let network = self.clone();
            spawner.spawn_guest(&format!("net-{index}"), STACK_BYTES, move || {
                let _guard = EndOnPanic::new("peer network");
                network.work();
            })?;
        }
        Ok(())
    }

    /// Hears what happens in the node, until the network is stopped.
    fn listen(&self, events: &Receiver<Event>) {
        while !self.is_over() {
            match events.recv_timeout(TICK) {
                Ok(event) => self.event(&event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Does what is due until the network is stopped.
    fn work(&self) {
        while let Some(job) = self.await_job() {
            if let Begun::Http { address, question, pace } = self.begin(&job) {
                let answer = self.client.call(&address, &question, pace);
                self.finish(job, answer);
            }
        }
    }

    /// Waits for something to do; `None` once the network is stopped. One thread looks and waits at a
    /// time, and the next looks once that one has found something: a change wakes one thread, not all.
    fn await_job(&self) -> Option<Job> {
        let _looks = lock(&self.looks);
        while !self.is_over() {
            // Before looking: what changes in between is not waited for.
            let seen = self.signal.seen();
            match self.next() {
                Ok(job) => return Some(job),
                Err(wait) => self.signal.wait(seen, wait.min(TICK)),
            }
        }
        None
    }
}
