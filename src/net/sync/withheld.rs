//! Tips whose bodies nobody gave.

use crate::primitives::{BlockHash, PeerId};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// Tips that are passed over at most; the oldest is tried again.
pub(super) const WITHHELD_MAX: usize = 64;

/// How long a tip is passed over, unless somebody new says to have it.
const WITHHELD_PAUSE: Duration = Duration::from_secs(5);

/// Which tips are passed over for now.
#[derive(Default)]
pub(super) struct Withheld(VecDeque<Tip>);

struct Tip {
    hash: BlockHash,
    until: Duration,
    /// Who was asked.
    asked: BTreeSet<PeerId>,
}

impl Withheld {
    /// The bodies up to `hash` were asked in vain.
    pub(super) fn note(&mut self, hash: BlockHash, asked: BTreeSet<PeerId>, now: Duration) {
        self.0.retain(|tip| tip.hash != hash);
        if self.0.len() >= WITHHELD_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Tip { hash, until: now + WITHHELD_PAUSE, asked });
    }

    /// Whether none of `sources` is to be asked for the bodies up to `hash` just now.
    pub(super) fn is_on(&self, hash: &BlockHash, sources: &[PeerId], now: Duration) -> bool {
        self.find(hash, sources).is_some_and(|tip| tip.until > now)
    }

    /// Whether the bodies up to `hash` were asked of `sources` in vain, however long ago: they are
    /// asked again, but nobody waits for it.
    pub(super) fn is_given_up(&self, hash: &BlockHash, sources: &[PeerId]) -> bool {
        self.find(hash, sources).is_some()
    }

    fn find(&self, hash: &BlockHash, sources: &[PeerId]) -> Option<&Tip> {
        let tip = self.0.iter().find(|tip| tip.hash == *hash)?;
        sources.iter().all(|peer| tip.asked.contains(peer)).then_some(tip)
    }
}
