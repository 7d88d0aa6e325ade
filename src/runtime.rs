//! Named threads and what happens when one of them panics.
//!
//! Owns the register of the long-lived ("core") threads, so that a stop can join them in the order they
//! were started. Never decides what a thread does. Invariant: a panic in a core thread ends the process,
//! because a node of which one part has silently gone is worse than one that is restarted.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// The exit code of a process whose core thread panicked, the one Rust itself uses for a panic in `main`.
const PANIC_EXIT_CODE: i32 = 101;

/// Starts threads and keeps the handles of those that must be joined at the end. Clones share one register.
#[derive(Clone, Debug, Default)]
pub struct Spawner {
    core: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Spawner {
    /// A spawner with an empty register.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a core thread: it is joined by [`Spawner::join_all`], and a panic in it ends the process.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let label = name.to_owned();
        let handle = thread::Builder::new().name(label.clone()).spawn(move || {
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                // The panic hook has already printed where and why.
                eprintln!("farthing: thread {label} panicked, the process ends");
                process::exit(PANIC_EXIT_CODE);
            }
        })?;
        self.core.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
        Ok(())
    }

    /// Starts a guest thread: short-lived, with a small stack of `stack_bytes`, not joined, and a panic
    /// ends only itself. For work on behalf of one client.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn spawn_guest(
        &self,
        name: &str,
        stack_bytes: usize,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        thread::Builder::new().name(name.to_owned()).stack_size(stack_bytes).spawn(work).map(drop)
    }

    /// Joins every core thread, oldest first, also those started meanwhile. The caller has told them to end.
    pub fn join_all(&self) {
        loop {
            let handles =
                std::mem::take(&mut *self.core.lock().unwrap_or_else(PoisonError::into_inner));
            if handles.is_empty() {
                return;
            }
            for handle in handles {
                // A panic never arrives here: the thread has ended the process first.
                let _ = handle.join();
            }
        }
    }
}

/// Ends the process when the thread that holds it panics: for guests without which a part of the
/// node would silently be gone.
#[derive(Debug)]
pub struct EndOnPanic(&'static str);

impl EndOnPanic {
    /// A guard for a thread of `part`.
    #[must_use]
    pub const fn new(part: &'static str) -> Self {
        Self(part)
    }
}

impl Drop for EndOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("farthing: a thread of the {} panicked, the process ends", self.0);
            process::exit(PANIC_EXIT_CODE);
        }
    }
}

/// Starts a core thread outside any register, for the few that live as long as the process.
///
/// # Errors
/// When the system has no thread to give.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    Spawner::new().spawn(name, work)
}

#[cfg(test)]
mod tests {
    use super::Spawner;
    use crossbeam_channel::unbounded;
    use std::thread;

    #[test]
    fn join_all_waits_for_every_core_thread_and_names_hold() {
        let spawner = Spawner::new();
        let (sender, receiver) = unbounded();
        for name in ["owner", "miner"] {
            let sender = sender.clone();
            spawner
                .spawn(name, move || {
                    sender.send(thread::current().name().map(str::to_owned)).unwrap()
                })
                .unwrap();
        }
        spawner.join_all();
        drop(sender);
        let mut names: Vec<_> = receiver.iter().flatten().collect();
        names.sort();
        assert_eq!(names, ["miner", "owner"]);
    }

    #[test]
    fn a_panic_in_a_guest_ends_only_the_guest() {
        let (sender, receiver) = unbounded::<()>();
        Spawner::new()
            .spawn_guest("guest", 64 * 1024, move || {
                let _held = sender;
                std::panic::resume_unwind(Box::new("quiet"));
            })
            .unwrap();
        assert!(receiver.recv().is_err());
    }
}
