//! Headers first: from the peers that claim more work than we have, one after the other, until their
//! branches are known or far enough ahead of the bodies. No clock, no network, no threads.

use super::Scene;
use super::presync::Presync;
use crate::chain::Chain;
use crate::chain::headers::{HeaderNode, LOCATOR_MAX};
use crate::net::peer::Claim;
use crate::primitives::{BlockHash, PeerId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Headers beyond our tip from which on their bodies are fetched first: 20,000 take about 8 MB.
const HEADERS_AHEAD_MAX: u32 = 20_000;

/// Headers that one peer may give in a row without making a heavier branch; fewer than the tree
/// keeps off the best chain.
const HEADERS_OF_ONE_MAX: usize = 40_000;

/// Peers that have come by themselves and are asked in one round at most: each may be silent, and
/// come again as another.
const GUESTS_MAX: usize = 2;

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

/// One round: every peer that claims more work than we have is asked, once, and a few of those that
/// have come by themselves.
#[derive(Debug, Default)]
pub(super) struct Headers {
    asked: BTreeSet<PeerId>,
    /// Whether there were any new ones.
    progress: bool,
    walk: Option<Walk>,
}

/// The headers of one peer's best chain, answer by answer.
#[derive(Debug)]
struct Walk {
    peer: PeerId,
    claim: Claim,
    /// The last that it gave.
    last: Option<Arc<HeaderNode>>,
    given: usize,
    /// The walk along a branch that has to show first that it is worth keeping.
    presync: Option<Box<Presync>>,
    /// Whether it is being asked.
    asking: bool,
}

/// How a round goes on.
pub(super) enum Next {
    /// This is to be asked.
    Ask(HeadersAsked),
    /// An answer is waited for.
    Wait,
    /// It is over; whether there were new ones.
    Over(bool),
}

/// What an answer leads to.
enum Step {
    /// There may be more.
    More(Arc<HeaderNode>),
    /// The branch is known to its end.
    End(Arc<HeaderNode>),
    /// The peer is of no use just now, or bodies come first.
    Stop,
}

impl Headers {
    /// What is to be done.
    pub(super) fn next(&mut self, scene: &mut Scene<'_>) -> Next {
        loop {
            let headers = scene.chain.headers();
            let Some(walk) = &mut self.walk else {
                match self.choose(scene) {
                    Some(walk) => self.walk = Some(walk),
                    None => return Next::Over(self.progress),
                }
                continue;
            };
            if walk.asking {
                return Next::Wait;
            }
            if let Some(known) = headers.get(&walk.claim.tip) {
                scene.table.judge_claim(&walk.peer, claim_of(known), scene.now);
                self.end_walk();
                continue;
            }
            let from = walk.last.as_ref().unwrap_or_else(|| headers.heaviest());
            walk.asking = true;
            let mut locator = headers.locator(from);
            let presync = walk.presync.clone();
            if let Some(presync) = &presync {
                locator.insert(0, presync.last());
                locator.truncate(LOCATOR_MAX);
            }
            return Next::Ask(HeadersAsked { peer: walk.peer.clone(), locator, presync });
        }
    }

    /// The next peer to ask: not only one that claims more than every header, as nobody may give the
    /// bodies of those.
    fn choose(&mut self, scene: &Scene<'_>) -> Option<Walk> {
        let headers = scene.chain.headers();
        let claims = scene.table.claiming_more(scene.chain.tip().total_work);
        let is_known = |claim: &Claim| {
            headers.get(&claim.tip).is_some_and(|known| known.total_work >= claim.work)
        };
        let mut unasked = claims
            .into_iter()
            .filter(|(peer, claim)| !self.asked.contains(peer) && !is_known(claim));
        let (peer, claim) = unasked.next().filter(|_| !is_far(scene.chain, headers.heaviest()))?;
        if peer.address().is_none() && !self.has_turn_for_guest() {
            return None;
        }
        self.asked.insert(peer.clone());
        Some(Walk { peer, claim, last: None, given: 0, presync: None, asking: false })
    }

    /// Whether one more is asked that has come by itself: what was found already is fetched before.
    fn has_turn_for_guest(&self) -> bool {
        let guests = self.asked.iter().filter(|peer| peer.address().is_none()).count();
        !self.progress && guests < GUESTS_MAX
    }

    /// The peer that was asked has answered, or not.
    pub(super) fn given(&mut self, given: HeadersGiven, scene: &mut Scene<'_>) {
        let Some(walk) = self.walk.as_mut().filter(|walk| walk.asking) else { return };
        walk.asking = false;
        let (peer, now) = (walk.peer.clone(), scene.now);
        let step = match given {
            HeadersGiven::Taken { last, full, gained, presync } => {
                (walk.given, walk.presync) = (walk.given + gained, presync);
                step(scene.chain, last, full)
            }
            HeadersGiven::Walked(presync) => {
                walk.presync = Some(presync);
                return;
            }
            HeadersGiven::TooLight => Step::End(scene.chain.tip().clone()),
            HeadersGiven::Busy => {
                scene.table.not_shown(&peer, now);
                Step::Stop
            }
            HeadersGiven::Nothing(reason) => {
                scene.table.doubt(&peer);
                scene.let_down(&peer, reason);
                Step::Stop
            }
            HeadersGiven::Lie(reason) => {
                scene.table.accuse(&peer, &reason, now);
                Step::Stop
            }
            HeadersGiven::NotTaken => Step::Stop,
        };
        match step {
            Step::More(shown) if walk.given < HEADERS_OF_ONE_MAX => {
                walk.last = Some(shown);
                return;
            }
            Step::More(shown) => scene.table.disprove(&peer, claim_of(&shown)),
            Step::End(shown) => scene.table.judge_claim(&peer, claim_of(&shown), now),
            Step::Stop => {}
        }
        self.end_walk();
    }

    fn end_walk(&mut self) {
        self.progress |= self.walk.take().is_some_and(|walk| walk.given > 0);
    }
}

fn step(chain: &Chain, last: Option<BlockHash>, full: bool) -> Step {
    let Some(last) = last else { return Step::End(chain.tip().clone()) };
    let Some(shown) = chain.headers().get(&last) else { return Step::Stop };
    let heavier = shown.total_work > chain.tip().total_work;
    match full {
        true if heavier && is_far(chain, shown) => Step::Stop,
        true => Step::More(shown.clone()),
        false => Step::End(shown.clone()),
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
