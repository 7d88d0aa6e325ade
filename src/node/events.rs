//! What the owner tells others, after it is on disk and published.

use super::command::Origin;
use crate::chain::accept::TipChange;
use crate::consensus::check::{CheckedBlock, CheckedTransfer};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::sync::Arc;

/// Events that wait for one listener at most. A listener that is slower misses the rest, and finds
/// what it missed in the view.
pub const EVENTS_MAX: usize = 1_024;

/// Listeners at most: relay, pages and whoever comes next, each once.
const LISTENERS_MAX: usize = 16;

/// Something that has happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The best chain has changed.
    Tip {
        /// How.
        change: Arc<TipChange>,
        /// The block that caused it.
        block: CheckedBlock,
        /// Where that came from.
        origin: Origin,
    },
    /// Transfers have become pending.
    Transfer {
        /// One of them.
        transfer: CheckedTransfer,
        /// Where it came from.
        origin: Origin,
    },
    /// A wallet was created or loaded.
    Wallet,
}

/// Those who listen.
#[derive(Default)]
pub(super) struct Listeners(Vec<Sender<Event>>);

impl Listeners {
    pub(super) fn add(&mut self) -> Receiver<Event> {
        assert!(self.0.len() < LISTENERS_MAX, "the program has a fixed number of listeners");
        let (sender, receiver) = bounded(EVENTS_MAX);
        self.0.push(sender);
        receiver
    }

    pub(super) fn tell(&mut self, event: &Event) {
        self.0.retain(|listener| match listener.try_send(event.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                log::debug!("a listener is slow and misses an event");
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        });
    }
}
