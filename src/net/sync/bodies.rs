//! The missing bodies of one branch, fetched in parallel and handed on in order. No clock, no
//! network, no threads.

use super::download::{Download, Order};
use super::{Scene, TOLD_MIN};
use crate::chain::headers::HeaderNode;
use crate::consensus::check::CheckedBlock;
use crate::primitives::{BlockHash, PeerId};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How often a long sync says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// Why a peer gave no bodies.
#[derive(Debug)]
pub enum Fault {
    /// It has too much to do.
    Busy,
    /// It does not answer, or with something else.
    LetDown(String),
    /// It has sent what no honest node sends.
    Lie(String),
}

/// What became of blocks that were handed to the owner.
#[derive(Debug)]
pub struct Handed {
    /// As many joined the best chain.
    pub adopted: usize,
    /// Why the rest of the branch is not wanted.
    pub end: Option<End>,
}

/// Why a branch is not gone on with.
#[derive(Debug)]
pub enum End {
    /// Another one has become heavier, or this node cannot go on.
    Here,
    /// This block of it is invalid.
    Invalid(BlockHash, String),
}

/// The download of one branch.
pub(super) struct Branch {
    /// Tells it from those before.
    pub(super) serial: u64,
    target: Arc<HeaderNode>,
    download: Download,
    count: usize,
    adopted: usize,
    /// Whether someone hands blocks to the owner: one at a time, so that they come in order.
    handing: bool,
    /// Whether the rest is not wanted.
    ended: bool,
    told: Duration,
}

/// How a download goes on.
pub(super) enum Next {
    /// This is to be asked.
    Ask(Order),
    /// Nothing for as long, unless something comes.
    Wait(Duration),
    /// All that could be had is here.
    Over,
    /// Nobody gives the rest.
    GivenUp,
}

impl Branch {
    /// The bodies that are missing up to `target`.
    pub(super) fn new(serial: u64, target: &Arc<HeaderNode>, scene: &Scene<'_>) -> Self {
        let missing = scene.chain.missing_bodies_to(target, usize::MAX);
        if missing.len() >= TOLD_MIN {
            log::info!(
                "sync: {} blocks are missing, up to height {}",
                missing.len(),
                target.height
            );
        }
        Self {
            serial,
            target: target.clone(),
            count: missing.len(),
            download: Download::new(missing),
            adopted: 0,
            handing: false,
            ended: false,
            told: scene.now,
        }
    }

    /// The tip of the branch.
    pub(super) fn target(&self) -> &BlockHash {
        &self.target.hash
    }

    /// Blocks that have joined the best chain.
    pub(super) const fn adopted(&self) -> usize {
        self.adopted
    }

    /// Who was asked in vain.
    pub(super) const fn useless(&self) -> &BTreeSet<PeerId> {
        self.download.useless()
    }

    /// What is to be done, if so many more calls may be made.
    pub(super) fn next(&mut self, calls_left: usize, scene: &Scene<'_>) -> Next {
        // A branch with an invalid block in it is not kept.
        let is_gone = scene.chain.headers().get(self.target()).is_none();
        let is_over = self.ended || is_gone || self.download.is_done();
        if is_over && !self.handing {
            return Next::Over;
        }
        self.download.pass_over_stalled(scene.now);
        if calls_left > 0
            && !is_over
            && let Some(order) = self.download.assign(&scene.sources(), scene.now)
        {
            return Next::Ask(order);
        }
        let comes = self.handing || self.download.has_ready();
        if comes || calls_left == 0 || self.download.is_waiting(scene.now) {
            return Next::Wait(self.download.wakes_in(scene.now));
        }
        Next::GivenUp
    }

    /// Says how far it is, now and then.
    pub(super) fn tell(&mut self, rate: Option<f64>, now: Duration) {
        if now.saturating_sub(self.told) >= PROGRESS_EVERY {
            self.told = now;
            let (adopted, count, height) = (self.adopted, self.count, self.target.height);
            let rate = rate.unwrap_or_default();
            log::info!(
                "sync: {adopted} of {count} blocks up to height {height}, {rate:.0} a second"
            );
        }
    }

    /// A call has ended.
    pub(super) fn given(
        &mut self,
        call: u64,
        given: Result<Vec<CheckedBlock>, Fault>,
        now: Duration,
    ) {
        match given {
            Ok(blocks) => self.download.arrived(call, blocks),
            Err(Fault::Busy) => self.download.rest(call, now),
            Err(Fault::LetDown(_) | Fault::Lie(_)) => self.download.arrived(call, Vec::new()),
        }
    }

    /// What has arrived without a gap, for the one who asks for it to hand it to the owner; none
    /// while another does.
    pub(super) fn take_ready(&mut self) -> Vec<(CheckedBlock, PeerId)> {
        if self.handing || self.ended {
            return Vec::new();
        }
        let ready = self.download.take_ready();
        self.handing = !ready.is_empty();
        ready
    }

    /// What was taken was handed to the owner.
    pub(super) fn handed(&mut self, handed: &Handed, scene: &mut Scene<'_>) {
        self.handing = false;
        self.adopted += handed.adopted;
        self.ended = handed.end.is_some();
        if let Some(End::Invalid(hash, error)) = &handed.end {
            self.accuse(hash, error, scene);
        }
    }

    /// A block of the branch is invalid. Whoever gave its body may merely have kept it; but whoever
    /// says that its best chain goes through it lies.
    fn accuse(&self, bad: &BlockHash, error: &str, scene: &mut Scene<'_>) {
        let bad = self.download.place_of(bad);
        let claimed = scene.table.peers().filter_map(|peer| Some((&peer.id, peer.claim?)));
        let liars: Vec<PeerId> = claimed
            .filter(|(_, claim)| {
                let place = self.download.place_of(&claim.tip);
                bad.zip(place).is_some_and(|(bad, place)| bad <= place)
            })
            .map(|(peer, _)| peer.clone())
            .collect();
        for peer in liars {
            scene.table.accuse(&peer, &error, scene.now);
        }
    }
}
