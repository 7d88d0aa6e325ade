//! Headers first: from the peer that claims the most work, until its branch is known or far enough
//! ahead of the bodies.

use crate::chain::headers::HeaderNode;
use crate::net::Network;
use crate::net::ask::AskError;
use crate::net::blame::{Blame, blame};
use crate::net::peer::Claim;
use crate::node::{NodeError, NodeHandle};
use crate::primitives::{Header, PeerId};
use crate::wire::HEADERS_MAX;
use std::sync::Arc;

/// Headers beyond our tip from which on their bodies are fetched first: 20,000 take about 8 MB.
const HEADERS_AHEAD_MAX: u32 = 20_000;

/// Headers that one peer may give in a row without making a heavier branch; fewer than the tree
/// keeps off the best chain.
const HEADERS_OF_ONE_MAX: usize = 40_000;

/// What an answer of headers leads to.
enum Step {
    /// There may be more.
    More(Arc<HeaderNode>),
    /// The branch is known to its end.
    End(Arc<HeaderNode>),
    /// The peer is of no use just now, or bodies come first.
    Stop,
}

impl Network {
    /// Asks every peer that claims more work than we have, with a tip that is not known; true if there are new ones.
    pub(super) fn fetch_headers(&self) -> bool {
        let mut progress = false;
        let mut asked = Vec::new();
        loop {
            let Some(node) = self.node() else { return false };
            let view = node.view();
            // Not only what is heavier than every header: nobody may give the bodies of those.
            let claims = self.table().claiming_more(view.chain.tip().total_work);
            let is_known = |claim: &Claim| {
                let known = view.chain.headers().get(&claim.tip);
                known.is_some_and(|known| known.total_work >= claim.work)
            };
            let mut unasked = claims
                .into_iter()
                .filter(|(peer, claim)| !asked.contains(peer) && !is_known(claim));
            let Some((peer, claim)) = unasked.next() else { return progress };
            let far = view.chain.headers().heaviest().height.0
                > view.chain.height().0.saturating_add(HEADERS_AHEAD_MAX);
            drop((view, node));
            if far {
                return progress;
            }
            progress |= self.fetch_headers_of(&peer, &claim);
            asked.push(peer);
        }
    }

    /// Fetches the headers of one peer's best chain that we lack.
    fn fetch_headers_of(&self, peer: &PeerId, claim: &Claim) -> bool {
        let (mut last, mut given) = (None::<Arc<HeaderNode>>, 0);
        loop {
            let Some(node) = self.node() else { return false };
            let view = node.view();
            let headers = view.chain.headers();
            if let Some(known) = headers.get(&claim.tip) {
                self.table().judge_claim(peer, claim_of(known), node.now().monotonic);
                return given > 0;
            }
            let from = last.clone().unwrap_or_else(|| headers.heaviest().clone());
            let locator = headers.locator(&from);
            drop((view, node));
            let answer = match self.asker().headers(peer, &locator, false) {
                Ok(answer) => answer,
                Err(AskError::Busy(_)) => {
                    let Some(node) = self.node() else { return false };
                    self.table().not_shown(peer, node.now().monotonic);
                    return given > 0;
                }
                Err(error) => {
                    self.table().doubt(peer);
                    self.let_down(peer, error.to_string());
                    return given > 0;
                }
            };
            let Some(node) = self.node() else { return false };
            if answer.first().is_some_and(|first| !locator.contains(&first.previous)) {
                self.table().doubt(peer);
                self.let_down(peer, "its headers do not follow what we have".to_owned());
                return given > 0;
            }
            let before = node.view().chain.headers().len();
            let step = self.take_headers(&node, peer, answer);
            given += node.view().chain.headers().len().saturating_sub(before);
            match step {
                Step::More(node) if given < HEADERS_OF_ONE_MAX => last = Some(node),
                Step::More(shown) => {
                    self.table().disprove(peer, claim_of(&shown));
                    return given > 0;
                }
                Step::End(shown) => {
                    self.table().judge_claim(peer, claim_of(&shown), node.now().monotonic);
                    return given > 0;
                }
                Step::Stop => return given > 0,
            }
        }
    }

    /// Hands an answer of headers to the owner.
    fn take_headers(&self, node: &NodeHandle, peer: &PeerId, answer: Vec<Header>) -> Step {
        let full = answer.len() >= HEADERS_MAX;
        let Some(last) = answer.last().map(Header::hash) else {
            let view = node.view();
            return Step::End(view.chain.tip().clone());
        };
        let joined = answer.windows(2).all(|pair| pair[1].previous == pair[0].hash());
        let easiest = node.params().retarget.easiest;
        if !joined || !answer.iter().all(|header| easiest.is_met_by(&header.hash())) {
            self.accuse(peer, &"headers that do not join or have no proof of work");
            return Step::Stop;
        }
        if let Err(error) = node.submit_headers(answer) {
            self.judge_headers(peer, &error);
            return Step::Stop;
        }
        let view = node.view();
        let Some(shown) = view.chain.headers().get(&last) else { return Step::Stop };
        let far = shown.height.0 > view.chain.height().0.saturating_add(HEADERS_AHEAD_MAX);
        let heavier = shown.total_work > view.chain.tip().total_work;
        match full {
            true if far && heavier => Step::Stop,
            true => Step::More(shown.clone()),
            false => Step::End(shown.clone()),
        }
    }

    fn judge_headers(&self, peer: &PeerId, error: &NodeError) {
        match blame(error) {
            Blame::Lie => self.accuse(peer, error),
            Blame::Nobody => log::info!("headers of {peer} are not taken: {error}"),
        }
    }

    /// A peer does not answer; it is tried again later.
    pub(super) fn let_down(&self, peer: &PeerId, reason: String) {
        let Some(node) = self.node() else { return };
        log::info!("{peer} is passed over for now: {reason}");
        self.table().fail(peer, reason, node.now().monotonic);
    }
}

/// What a peer has shown that it can claim.
fn claim_of(node: &HeaderNode) -> Claim {
    Claim { height: node.height, tip: node.hash, work: node.total_work }
}
