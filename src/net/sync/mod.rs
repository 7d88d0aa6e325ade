//! Catching up: headers first, then only the bodies that are missing, from all peers that have them.
//!
//! A state machine: idle, headers, bodies. It says what is to be asked, takes what has come, and
//! decides; it never asks, judges or waits itself ([`work`] does, in the thread that finishes a
//! job), and time comes in as a value. One sync at a time: whoever asks for one while it runs makes
//! it look again at the end. What a sync has fetched is kept by the owner, headers in the tree and
//! bodies on disk, so a sync that was cut short goes on where it was.
//!
//! Headers of a branch that is too light to be worth keeping are walked first ([`presync`]).
//!
//! Invariants: one call for headers at a time unless it is silent, at most [`HEADER_CALLS_MAX`], and none
//! begins during bodies; at most [`FETCHERS`] calls for bodies, those included whose branch is given
//! up; at most one thread hands blocks to the owner, in the order of the branch.

mod asking;
mod bodies;
mod download;
mod headers;
mod presync;
mod progress;
mod state;
#[cfg(test)]
mod tests;
mod withheld;
mod work;

use self::asking::Asking;
pub(super) use self::asking::HEADER_CALLS_MAX;
use self::bodies::{Branch, Fault, Handed};
use self::download::Order;
use self::headers::{Headers, HeadersAsked, HeadersGiven};
use self::progress::{Progress, seconds_for};
use self::withheld::{WITHHELD_MAX, Withheld};
use super::table::{Table, Times};
use crate::chain::Chain;
use crate::chain::headers::HeaderNode;
use crate::consensus::check::CheckedBlock;
use crate::primitives::{PeerId, UnixTime};
use crate::wire::Question;
use log::Level;
use std::sync::Arc;
use std::time::Duration;

/// Calls for bodies that may be under way, besides those of the table: silent peers hold up no relay.
pub const FETCHERS: usize = 4;

/// How long there is nothing to do unless something happens.
const IDLE: Duration = Duration::from_secs(60);

/// From so many blocks on the log tells of a sync; fewer come every day.
const TOLD_MIN: usize = 3;

/// Peers whose open transactions are looked at again after blocks were fetched: a few, because one
/// may have none, and not all, because each answer may be long.
const PULLED_AGAIN_MAX: usize = 4;

/// Rounds of headers and bodies in one sync at most; the next exchange of tips starts another.
const ROUNDS_MAX: usize = 1_000;

/// What decisions are made of: the moment, the chain as it stands, and the peers.
pub struct Scene<'a> {
    /// The moment.
    pub now: Duration,
    /// The time of day.
    pub unix: UnixTime,
    /// The chain.
    pub chain: &'a Chain,
    /// The peers.
    pub table: &'a mut Table,
}

impl<'a> Scene<'a> {
    /// What there is at a moment.
    pub const fn new(times: Times, chain: &'a Chain, table: &'a mut Table) -> Self {
        Self { now: times.monotonic, unix: times.unix, chain, table }
    }

    const fn times(&self) -> Times {
        Times { unix: self.unix, monotonic: self.now }
    }

    /// The peers that say they have more than we.
    fn sources(&self) -> Vec<PeerId> {
        let claims = self.table.claiming_more(self.chain.tip().total_work);
        claims.into_iter().map(|(peer, _)| peer).collect()
    }

    /// A peer does not answer; it is tried again later. The log tells once of one that goes on like that.
    fn let_down(&mut self, peer: &PeerId, reason: String) {
        let is_new = self.table.find(peer).is_some_and(|peer| peer.unbacked <= 1);
        let level = if is_new { Level::Info } else { Level::Debug };
        let shown = self.table.shown(peer);
        log::log!(level, "{shown} gives nothing of its chain: {reason}; it is asked again");
        self.table.fail(peer, reason, self.now);
    }
}

/// What is to be asked.
#[derive(Clone, Debug)]
pub enum Task {
    /// Headers of a peer's best chain.
    Headers(HeadersAsked),
    /// Bodies of the branch with this serial.
    Bodies(u64, Order),
}

impl Task {
    /// Who is asked.
    pub const fn peer(&self) -> &PeerId {
        match self {
            Self::Headers(asked) => &asked.peer,
            Self::Bodies(_, order) => &order.peer,
        }
    }

    /// For what.
    pub fn question(&self) -> Question {
        match self {
            Self::Headers(asked) => Question::Headers { locator: asked.locator.clone() },
            Self::Bodies(_, order) => Question::Blocks { hashes: order.hashes.clone() },
        }
    }
}

/// Who wants a sync, and how far it is.
#[derive(Default)]
pub struct Sync {
    /// Counts the requests; a sync that starts serves all so far.
    requested: u64,
    /// The last request that was served.
    served: u64,
    /// Blocks that syncs have brought onto the best chain.
    adopted: u64,
    run: Option<Run>,
    withheld: Withheld,
    progress: Progress,
    /// Calls for headers under way, and who had a turn.
    asking: Asking,
    /// Calls for bodies under way.
    fetching: usize,
    /// Branches that were downloaded so far.
    branches: u64,
}

/// A sync that runs.
struct Run {
    request: u64,
    rounds: usize,
    /// Branches that led to nothing: nobody gave their bodies, or these were invalid.
    passed_over: usize,
    /// Blocks that have joined the best chain, and since when.
    adopted: usize,
    since: Duration,
    stage: Stage,
}

/// Where a round is.
enum Stage {
    Headers(Headers),
    /// With whether the headers before it were news.
    Bodies(Box<Branch>, bool),
}

/// What a round has brought.
struct Brought {
    headers: bool,
    blocks: usize,
}

impl Sync {
    /// Asks for a sync; returns the number of the request.
    pub const fn request(&mut self) -> u64 {
        self.requested += 1;
        self.requested
    }

    /// The last request that was served.
    pub const fn served(&self) -> u64 {
        self.served
    }

    /// Blocks that syncs have brought onto the best chain so far.
    pub const fn adopted(&self) -> u64 {
        self.adopted
    }

    /// What is to be asked next.
    ///
    /// # Errors
    /// How long there is nothing, unless something comes.
    pub fn next(&mut self, scene: &mut Scene<'_>) -> Result<Task, Duration> {
        loop {
            let Some(run) = &mut self.run else {
                if self.served == self.requested {
                    return Err(IDLE);
                }
                self.run = Some(Run::new(self.requested, scene.now));
                self.asking.begin_round();
                continue;
            };
            let brought = match &mut run.stage {
                Stage::Headers(headers) => match headers.next(&mut self.asking, scene) {
                    headers::Next::Ask(asked) => return Ok(Task::Headers(asked)),
                    headers::Next::Wait(wait) => return Err(wait),
                    headers::Next::Over(headers) => {
                        // Who is silent is waited for as long as there is nothing else to do.
                        let has_time = !self.asking.is_empty() && run.request == self.requested;
                        match self.begin_bodies(headers, scene) {
                            true => continue,
                            false if has_time => return Err(IDLE),
                            false => Brought { headers, blocks: 0 },
                        }
                    }
                },
                Stage::Bodies(branch, headers) => {
                    branch.tell(self.progress.rate(scene.now), scene.now);
                    let is_passed_over = match branch.next(FETCHERS - self.fetching, scene) {
                        bodies::Next::Ask(order) => {
                            self.fetching += 1;
                            return Ok(Task::Bodies(branch.serial, order));
                        }
                        bodies::Next::Wait(wait) => return Err(wait),
                        // An invalid one is forgotten.
                        bodies::Next::Over => scene.chain.headers().get(branch.target()).is_none(),
                        bodies::Next::GivenUp => {
                            let tip = *branch.target();
                            log::info!("sync: nobody gives the blocks up to {tip}: later again");
                            self.withheld.note(tip, branch.useless().clone(), scene.now);
                            true
                        }
                    };
                    let brought = Brought { headers: *headers, blocks: branch.adopted() };
                    run.passed_over += usize::from(is_passed_over);
                    // Or what nobody gives would keep off what is lighter and good.
                    let goes_on =
                        is_passed_over && brought.blocks == 0 && run.passed_over < WITHHELD_MAX;
                    if goes_on && self.begin_bodies(brought.headers, scene) {
                        continue;
                    }
                    brought
                }
            };
            self.end_round(&brought, scene);
        }
    }

    /// Goes on to the bodies of the heaviest tip beyond ours that somebody may have; false if there
    /// is none.
    fn begin_bodies(&mut self, headers: bool, scene: &Scene<'_>) -> bool {
        let sources = scene.sources();
        let is_withheld =
            |tip: &Arc<HeaderNode>| self.withheld.is_on(&tip.hash, &sources, scene.now);
        let target = scene.chain.headers().heavier_tips().find(|tip| !is_withheld(tip));
        let (Some(target), Some(run)) = (target, &mut self.run) else { return false };
        self.branches += 1;
        self.progress.begin(scene.now);
        let branch = Branch::new(self.branches, target, scene);
        run.stage = Stage::Bodies(Box::new(branch), headers);
        true
    }

    fn end_round(&mut self, brought: &Brought, scene: &mut Scene<'_>) {
        let Some(run) = &mut self.run else { return };
        run.rounds += 1;
        run.adopted += brought.blocks;
        if (brought.headers || brought.blocks > 0) && run.rounds < ROUNDS_MAX {
            run.stage = Stage::Headers(Headers::default());
            self.asking.begin_round();
            return;
        }
        if run.adopted >= TOLD_MIN {
            let (height, seconds) =
                (scene.chain.height(), scene.now.saturating_sub(run.since).as_secs_f64());
            log::info!("sync: {} blocks in {seconds:.1} s, now at height {height}", run.adopted);
        }
        if run.adopted > 0 {
            // What was refused from the peers' open transactions for want of coins on a shorter chain
            // may be good now.
            (0..PULLED_AGAIN_MAX).for_each(|turn| scene.table.pull_from_next(turn));
        }
        self.served = run.request;
        self.run = None;
        self.progress.end();
    }

    /// A peer that was asked for headers has answered, or not.
    pub fn headers_given(&mut self, peer: &PeerId, given: HeadersGiven, scene: &mut Scene<'_>) {
        let has_gained = matches!(given, HeadersGiven::Taken { gained: 1.., .. });
        let walk = self.asking.ended(peer);
        if has_gained {
            self.asking.turn_back(peer);
        }
        match (&mut self.run, walk) {
            (Some(Run { stage: Stage::Headers(headers), .. }), Some(walk)) => {
                headers.given((walk, given), &mut self.asking, scene);
            }
            _ => {
                headers::note(peer, given, scene);
                if has_gained {
                    self.request();
                }
            }
        }
    }

    /// A peer that was asked for bodies of the branch with this serial has given these, all judged as
    /// far as that needs no chain, or none.
    pub fn bodies_given(
        &mut self,
        (serial, order): (u64, &Order),
        given: Result<Vec<CheckedBlock>, Fault>,
        scene: &mut Scene<'_>,
    ) {
        self.fetching -= 1;
        match &given {
            Ok(_) | Err(Fault::Busy) => {}
            Err(Fault::LetDown(reason)) => scene.let_down(&order.peer, reason.clone()),
            Err(Fault::Lie(error)) => scene.table.accuse(&order.peer, error, scene.now),
        }
        if let Some(branch) = self.branch().filter(|branch| branch.serial == serial) {
            branch.given(order.call, given, scene.now);
        }
    }

    /// Blocks for the one who asks to hand to the owner, who then has to tell what became of them;
    /// none while another does that.
    pub fn take_ready(&mut self) -> Vec<(CheckedBlock, PeerId)> {
        self.branch().map(Branch::take_ready).unwrap_or_default()
    }

    /// What became of the blocks that were taken.
    pub fn handed(&mut self, handed: &Handed, scene: &mut Scene<'_>) {
        self.adopted += handed.adopted as u64;
        self.progress.note(handed.adopted as u64, scene.now);
        if let Some(branch) = self.branch() {
            branch.handed(handed, scene);
        }
    }

    fn branch(&mut self) -> Option<&mut Branch> {
        match &mut self.run.as_mut()?.stage {
            Stage::Bodies(branch, _) => Some(branch),
            Stage::Headers(_) => None,
        }
    }

    /// Blocks a second, and the seconds in which as many as are left come in at this rate; `None` while
    /// nothing is fetched.
    pub fn pace(&self, left: u32, now: Duration) -> (Option<f64>, Option<u64>) {
        let rate = self.progress.rate(now);
        (rate, rate.and_then(|rate| seconds_for(left, rate)))
    }
}

impl Run {
    fn new(request: u64, since: Duration) -> Self {
        let stage = Stage::Headers(Headers::default());
        Self { request, rounds: 0, passed_over: 0, adopted: 0, since, stage }
    }
}
