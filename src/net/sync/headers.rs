//! Headers first: from the peers that claim more work than we have, one after the other, until their
//! branches are known or far enough ahead of the bodies. Beside one that is silent the next is asked,
//! and whoever answers first serves. No clock, no network, no threads.

use super::Scene;
use super::asking::Asking;
use super::presync::Presync;
use crate::chain::Chain;
use crate::chain::headers::{HeaderNode, LOCATOR_MAX};
use crate::net::peer::Claim;
use crate::primitives::{BlockHash, PeerId};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Headers beyond our tip from which on their bodies are fetched first: 20,000 take about 8 MB.
const HEADERS_AHEAD_MAX: u32 = 20_000;

/// Headers that one peer may give in a row without making a heavier branch; fewer than the tree
/// keeps off the best chain.
const HEADERS_OF_ONE_MAX: usize = 40_000;

/// What is asked of a peer: the headers that follow the highest of these on its best chain.
#[derive(Clone, Debug)]
pub(in crate::net) struct HeadersAsked {
    /// Who is asked.
    pub peer: PeerId,
    /// Hashes of the branch that it may know, from its tip down.
    pub locator: Vec<BlockHash>,
    /// The walk along its branch, if that has not shown yet that it is worth keeping.
    pub presync: Option<Box<Presync>>,
}

/// What a peer has given when it was asked.
#[derive(Debug)]
pub(in crate::net) enum HeadersGiven {
    /// It has too much to do.
    Busy,
    /// It does not answer, or with something else.
    Nothing(String),
    /// It has sent what no honest node sends.
    Lie(String),
    /// They are not taken just now, and nobody is to blame.
    NotTaken,
    /// For our clock they come so many seconds too early.
    Early(u32),
    /// They were looked at and not kept: the walk goes on.
    Walked(Box<Presync>),
    /// The branch ends with less work than is worth keeping.
    TooLight,
    /// They are in the tree.
    Taken {
        /// The last of them; `None` if there were none.
        last: Option<BlockHash>,
        /// Whether there may be more.
        full: bool,
        /// How many the tree has gained.
        gained: usize,
        /// The walk, if it goes on.
        presync: Option<Box<Presync>>,
    },
}

/// One round: every peer that claims more work than we have is asked, once, if it may have a turn. Who
/// sends nothing over HTTP holds a call for 4 s and who lets its answer drip for 10 s; on a live connection
/// it is 10 s, and 20 s while that is kept busy. With 10 s each the turns of those that have shown something
/// take 20 s, as three are asked at a time, those of strangers 30 s and of who has come by itself 10 s.
#[derive(Debug, Default)]
pub(super) struct Headers {
    asked: BTreeSet<PeerId>,
    /// Whether there were any new ones.
    progress: bool,
    /// The walk that goes on.
    walk: Option<Walk>,
}

/// The headers of one peer's best chain, answer by answer.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) peer: PeerId,
    /// What it said when it was asked.
    claim: Claim,
    /// The last that it gave.
    last: Option<Arc<HeaderNode>>,
    /// Headers that the tree has gained by it.
    given: usize,
    /// The walk along a branch that has to show first that it is worth keeping.
    pub(super) presync: Option<Box<Presync>>,
}

/// How a round goes on.
pub(super) enum Next {
    /// This is to be asked.
    Ask(HeadersAsked),
    /// An answer is waited for, for so long.
    Wait(Duration),
    /// Nobody else is to be asked; whether there were new ones.
    Over(bool),
}

/// What an answer leads to.
enum Step {
    /// What was not kept goes on.
    Walk,
    /// There may be more.
    More(Arc<HeaderNode>),
    /// The branch is known to its end; `None` if nothing of it was given.
    End(Option<Arc<HeaderNode>>),
    /// The peer is of no use just now, or bodies come first.
    Stop,
}

impl Headers {
    /// What is to be done.
    pub(super) fn next(&mut self, asking: &mut Asking, scene: &mut Scene<'_>) -> Next {
        loop {
            if let Some(walk) = self.walk.take() {
                match scene.chain.headers().get(&walk.claim.tip).cloned() {
                    Some(known) => walk.end(Some(&known), asking, scene),
                    None => return Next::Ask(ask(walk, asking, scene)),
                }
            } else if asking.is_full() || self.is_enough(asking, scene.now) {
                return Next::Over(self.progress);
            } else if let Some(wait) = asking.patience(scene.now) {
                return Next::Wait(wait);
            } else {
                self.walk = self.choose(asking, scene);
                if self.walk.is_none() {
                    return Next::Over(self.progress);
                }
            }
        }
    }

    /// Whether some have come, and one was silent already: the bodies wait for no other.
    fn is_enough(&self, asking: &Asking, now: Duration) -> bool {
        self.progress && asking.is_one_silent(now)
    }

    /// The next peer to ask: not only one that claims more than every header, as nobody may give the
    /// bodies of those.
    fn choose(&mut self, asking: &mut Asking, scene: &mut Scene<'_>) -> Option<Walk> {
        let headers = scene.chain.headers();
        if is_far(scene.chain, headers.heaviest()) {
            return None;
        }
        let is_known = |claim: &Claim| {
            headers.get(&claim.tip).is_some_and(|known| known.total_work >= claim.work)
        };
        let is_out = |peer: &PeerId| {
            self.asked.contains(peer)
                || asking.is_asked(peer)
                || scene.table.is_early(peer, scene.times())
        };
        let mut waiting = scene.table.claiming_more(scene.chain.tip().total_work);
        waiting.retain(|(peer, claim)| {
            asking.has_turn(peer, scene.table) && !is_out(peer) && !is_known(claim)
        });
        asking.note_waiting(waiting.iter().map(|(peer, _)| peer), scene.table);
        // What was found already is fetched before those are asked that have come by themselves.
        let is_next = |peer: &PeerId| {
            asking.has_call(peer, scene.table) && (peer.address().is_some() || !self.progress)
        };
        let (peer, claim) = waiting.into_iter().find(|(peer, _)| is_next(peer))?;
        asking.take_turn(&peer, scene.table);
        scene.table.note_asked(&peer, scene.now);
        self.asked.insert(peer.clone());
        Some(Walk { peer, claim, last: None, given: 0, presync: None })
    }

    /// The walk that goes on.
    pub(super) const fn walk(&self) -> Option<&Walk> {
        self.walk.as_ref()
    }

    /// The peer of a walk has answered, or not.
    pub(super) fn given(
        &mut self,
        (mut walk, given): (Walk, HeadersGiven),
        asking: &mut Asking,
        scene: &mut Scene<'_>,
    ) {
        let step = match given {
            HeadersGiven::Taken { last, full, gained, presync } => {
                (walk.given, walk.presync) = (walk.given + gained, presync);
                self.progress |= gained > 0;
                step(scene.chain, last, full)
            }
            HeadersGiven::Walked(presync) => {
                walk.presync = Some(presync);
                Step::Walk
            }
            HeadersGiven::TooLight => Step::End(None),
            nothing => {
                note(&walk.peer, nothing, scene);
                Step::Stop
            }
        };
        match step {
            Step::Walk => self.go_on(walk, asking, scene.now),
            Step::More(shown) if walk.given < HEADERS_OF_ONE_MAX => {
                walk.last = Some(shown);
                self.go_on(walk, asking, scene.now);
            }
            Step::More(shown) => scene.table.disprove(&walk.peer, claim_of(&shown)),
            Step::End(last) => walk.end(last.as_ref().or(walk.last.as_ref()), asking, scene),
            Step::Stop => {}
        }
    }

    /// Goes on with a walk, unless another was quicker: the same headers are not fetched twice.
    fn go_on(&mut self, walk: Walk, asking: &Asking, now: Duration) {
        if self.walk.is_none() && !asking.is_served(now) {
            self.walk = Some(walk);
        }
    }
}

impl Walk {
    /// Whether its peer has given anything.
    pub(super) const fn has_begun(&self) -> bool {
        self.last.is_some() || self.presync.is_some()
    }

    /// The branch was seen to its end, or nothing of it was given. What has come of others meanwhile says
    /// nothing for its peer: whoever knows of more has something to give, or waited for others to give it.
    fn end(&self, last: Option<&Arc<HeaderNode>>, asking: &mut Asking, scene: &mut Scene<'_>) {
        let headers = scene.chain.headers();
        let is_of_it = self.given > 0 || headers.get(&self.claim.tip).is_some();
        let shown = last.filter(|_| is_of_it).map(|last| claim_of(last));
        match shown {
            Some(shown) => {
                if shown.work >= self.claim.work {
                    scene.table.borne_out(&self.peer);
                    asking.turn_back(&self.peer);
                }
                scene.table.judge_claim(&self.peer, (self.claim, shown), scene.now);
            }
            None => {
                let shown = claim_of(last.unwrap_or_else(|| scene.chain.tip()));
                scene.table.disproved(&self.peer, (self.claim, shown), scene.now);
            }
        }
    }
}

fn ask(walk: Walk, asking: &mut Asking, scene: &Scene<'_>) -> HeadersAsked {
    let headers = scene.chain.headers();
    let from = walk.last.as_ref().unwrap_or_else(|| headers.heaviest());
    let (peer, presync) = (walk.peer.clone(), walk.presync.clone());
    let mut locator = headers.locator(from);
    if let Some(presync) = &presync {
        locator.insert(0, presync.last());
        locator.truncate(LOCATOR_MAX);
    }
    asking.begin(walk, scene.now);
    HeadersAsked { peer, locator, presync }
}

/// Keeps in mind what is to be thought of a peer that has given no headers of use.
pub(super) fn note(peer: &PeerId, given: HeadersGiven, scene: &mut Scene<'_>) {
    match given {
        HeadersGiven::Busy => scene.table.not_shown(peer, scene.now),
        HeadersGiven::Nothing(reason) => {
            scene.table.doubt(peer);
            scene.let_down(peer, reason);
        }
        HeadersGiven::Lie(reason) => scene.table.accuse(peer, &reason, scene.now),
        HeadersGiven::Early(seconds) => scene.table.note_early(peer, seconds, scene.times()),
        HeadersGiven::NotTaken
        | HeadersGiven::Walked(_)
        | HeadersGiven::TooLight
        | HeadersGiven::Taken { .. } => {}
    }
}

fn step(chain: &Chain, last: Option<BlockHash>, full: bool) -> Step {
    let Some(last) = last else { return Step::End(None) };
    let Some(shown) = chain.headers().get(&last) else { return Step::Stop };
    let heavier = shown.total_work > chain.tip().total_work;
    match full {
        true if heavier && is_far(chain, shown) => Step::Stop,
        true => Step::More(shown.clone()),
        false => Step::End(Some(shown.clone())),
    }
}

/// Whether a header is so far ahead of the bodies that these come first.
fn is_far(chain: &Chain, node: &HeaderNode) -> bool {
    node.height.0 > chain.height().0.saturating_add(HEADERS_AHEAD_MAX)
}

/// What a peer has shown that it can claim.
fn claim_of(node: &HeaderNode) -> Claim {
    Claim { height: node.height, tip: node.hash, work: node.total_work }
}
