//! Headers first: from the peers that claim more work than we have, one after the other, until their
//! branches are known or far enough ahead of the bodies. Beside one that is silent the next is asked,
//! and whoever answers first serves. No clock, no network, no threads.

use super::Scene;
use super::presync::Presync;
use crate::chain::Chain;
use crate::chain::headers::{HeaderNode, LOCATOR_MAX};
use crate::net::peer::Claim;
use crate::net::table::Table;
use crate::primitives::{BlockHash, PeerId, Work};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Headers beyond our tip from which on their bodies are fetched first: 20,000 take about 8 MB.
const HEADERS_AHEAD_MAX: u32 = 20_000;

/// Headers that one peer may give in a row without making a heavier branch; fewer than the tree
/// keeps off the best chain.
const HEADERS_OF_ONE_MAX: usize = 40_000;

/// Peers that have come by themselves and are asked in one round at most: each may be silent, and
/// come again as another. Fewer than [`HEADER_CALLS_MAX`].
pub(super) const GUESTS_MAX: usize = 2;

/// Strangers that are asked in one round at most, so that a round ends however many come, and the next
/// begins with those that a person named.
pub(super) const STRANGERS_MAX: usize = 6;

/// Calls under way at most that strangers and those hold who have come by themselves: whatever they do,
/// one is left for who is named or has shown something.
pub(super) const CALLS_OF_ANYBODY_MAX: usize = HEADER_CALLS_MAX - 1;

/// Calls for headers under way at most: beside one that is silent a few others are asked.
pub(in crate::net) const HEADER_CALLS_MAX: usize = 3;

/// How long one peer is waited for before another is asked beside it.
pub(super) const SILENCE: Duration = Duration::from_secs(2);

/// Who is asked for headers just now, by this round or one before, and since when.
#[derive(Debug, Default)]
pub(super) struct Asking(BTreeMap<PeerId, Duration>);

impl Asking {
    /// Whether nobody is.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A call has ended.
    pub(super) fn ended(&mut self, peer: &PeerId) {
        self.0.remove(peer);
    }

    fn is_patient(&self, peer: &PeerId, now: Duration) -> bool {
        self.0.get(peer).is_some_and(|since| now.saturating_sub(*since) < SILENCE)
    }

    /// Whether nobody else may be asked before one of them answers.
    fn is_full(&self) -> bool {
        self.0.len() >= HEADER_CALLS_MAX
    }

    /// How many of them may be anybody.
    fn of_anybody(&self, table: &Table) -> usize {
        self.0.keys().filter(|peer| table.is_anybody(peer)).count()
    }

    /// How long the last of them is waited for; `None` if another may be asked.
    fn patience(&self, now: Duration) -> Option<Duration> {
        let left = self.0.values().map(|since| (*since + SILENCE).saturating_sub(now));
        left.filter(|left| !left.is_zero()).max()
    }
}

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

/// One round: every peer that claims more work than we have is asked, once, and a few of the strangers
/// and of those that have come by themselves. Who is silent holds a call for 10 s; so a round in which
/// nobody answers ends within 40 s and the time of those who are no strangers.
#[derive(Debug, Default)]
pub(super) struct Headers {
    asked: BTreeSet<PeerId>,
    /// Strangers among them.
    strangers: usize,
    /// Whether there were any new ones.
    progress: bool,
    /// The walk that goes on.
    walk: Option<Walk>,
    /// Those whose peers are being asked.
    open: Vec<Walk>,
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
    /// The branch is known to its end.
    End(Arc<HeaderNode>),
    /// The peer is of no use just now, or bodies come first.
    Stop,
}

impl Headers {
    /// What is to be done.
    pub(super) fn next(&mut self, asking: &mut Asking, scene: &mut Scene<'_>) -> Next {
        loop {
            if let Some(walk) = self.walk.take() {
                let known = scene.chain.headers().get(&walk.claim.tip);
                match known.map(|known| claim_of(known)) {
                    Some(shown) => scene.table.judge_claim(&walk.peer, shown, scene.now),
                    None => {
                        asking.0.insert(walk.peer.clone(), scene.now);
                        return Next::Ask(self.ask(walk, scene));
                    }
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
        self.progress && asking.0.keys().any(|peer| !asking.is_patient(peer, now))
    }

    fn ask(&mut self, walk: Walk, scene: &Scene<'_>) -> HeadersAsked {
        let headers = scene.chain.headers();
        let from = walk.last.as_ref().unwrap_or_else(|| headers.heaviest());
        let (peer, presync) = (walk.peer.clone(), walk.presync.clone());
        let mut locator = headers.locator(from);
        if let Some(presync) = &presync {
            locator.insert(0, presync.last());
            locator.truncate(LOCATOR_MAX);
        }
        self.open.push(walk);
        HeadersAsked { peer, locator, presync }
    }

    /// The next peer to ask: not only one that claims more than every header, as nobody may give the
    /// bodies of those.
    fn choose(&mut self, asking: &Asking, scene: &Scene<'_>) -> Option<Walk> {
        let headers = scene.chain.headers();
        if is_far(scene.chain, headers.heaviest()) {
            return None;
        }
        let is_known = |claim: &Claim| {
            headers.get(&claim.tip).is_some_and(|known| known.total_work >= claim.work)
        };
        let is_out = |peer: &PeerId| {
            self.asked.contains(peer)
                || asking.0.contains_key(peer)
                || scene.table.is_early(peer, scene.times())
        };
        let has_call = asking.of_anybody(scene.table) < CALLS_OF_ANYBODY_MAX;
        let mut claims = scene.table.claiming_more(scene.chain.tip().total_work).into_iter();
        let (peer, claim) = claims.find(|(peer, claim)| {
            let has_turn =
                !scene.table.is_anybody(peer) || (has_call && self.has_turn(peer, asking));
            has_turn && !is_out(peer) && !is_known(claim)
        })?;
        let is_stranger = peer.address().is_some() && scene.table.is_anybody(&peer);
        self.strangers += usize::from(is_stranger);
        self.asked.insert(peer.clone());
        Some(Walk { peer, claim, last: None, given: 0, presync: None })
    }

    /// Whether one more is asked that is a stranger, or that has come by itself: of the latter, what was
    /// found already is fetched before, and those of earlier rounds that are still silent count.
    fn has_turn(&self, peer: &PeerId, asking: &Asking) -> bool {
        if peer.address().is_some() {
            return self.strangers < STRANGERS_MAX;
        }
        let all = self.asked.iter().chain(asking.0.keys());
        let guests: BTreeSet<_> = all.filter(|peer| peer.address().is_none()).collect();
        !self.progress && guests.len() < GUESTS_MAX
    }

    /// A peer that was asked has answered, or not; false if it was not this round that has asked it.
    pub(super) fn given(
        &mut self,
        (peer, given): (&PeerId, HeadersGiven),
        asking: &Asking,
        scene: &mut Scene<'_>,
    ) -> bool {
        let place = self.open.iter().position(|walk| walk.peer == *peer);
        let Some(mut walk) = place.map(|place| self.open.remove(place)) else {
            note(peer, given, scene);
            return false;
        };
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
            HeadersGiven::TooLight => Step::End(scene.chain.tip().clone()),
            nothing => {
                note(peer, nothing, scene);
                Step::Stop
            }
        };
        match step {
            Step::Walk => self.go_on(walk, asking, scene.now),
            Step::More(shown) if walk.given < HEADERS_OF_ONE_MAX => {
                walk.last = Some(shown);
                self.go_on(walk, asking, scene.now);
            }
            Step::More(shown) => scene.table.disprove(peer, claim_of(&shown)),
            Step::End(shown) => {
                // As it was said when it was asked: to say less meanwhile shows nothing.
                if shown.total_work >= walk.claim.work {
                    scene.table.borne_out(peer);
                }
                scene.table.judge_claim(peer, claim_of(&shown), scene.now);
            }
            Step::Stop => {}
        }
        true
    }

    /// The most work of the branches that are walked before they are kept.
    pub(super) fn walked_work(&self) -> Option<Work> {
        let walks = self.walk.iter().chain(&self.open);
        walks.filter_map(|walk| Some(walk.presync.as_ref()?.shown())).max()
    }

    /// Goes on with a walk, unless another was quicker: the same headers are not fetched twice.
    fn go_on(&mut self, walk: Walk, asking: &Asking, now: Duration) {
        let is_served = |other: &Walk| other.has_begun() && asking.is_patient(&other.peer, now);
        if self.walk.is_none() && !self.open.iter().any(is_served) {
            self.walk = Some(walk);
        }
    }
}

impl Walk {
    /// Whether its peer has given anything.
    const fn has_begun(&self) -> bool {
        self.last.is_some() || self.presync.is_some()
    }
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
