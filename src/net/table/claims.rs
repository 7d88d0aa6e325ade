//! What peers say of their chains, and whether they are believed.
//!
//! A claim costs nothing. One that its peer's headers do not bear out is taken back, and a peer whose
//! headers fail to do so again and again is not spoken with as a peer until they do: it is asked in
//! growing pauses, after all others, and nobody counts on what it says.

use super::{BUSY_PAUSE, Table, Times, welcome};
use crate::net::peer::{Claim, Early, Peer, Pull};
use crate::node::ports::PeerState;
use crate::primitives::{PeerId, Txid, Work};
use std::cmp::Reverse;
use std::fmt::Display;
use std::time::Duration;

/// How long headers that come too early are not asked for, unless they become due before.
const EARLY_MAX: Duration = Duration::from_secs(600);

/// How long counts what a peer has said that does not answer any more: two of the longest times between
/// exchanges of tips.
pub(in crate::net) const HEARD_FOR: Duration = Duration::from_secs(120);

/// What is said of a peer that is not believed.
pub(super) const NOT_SHOWN: &str = "it claims more work than its headers show";

impl Table {
    /// A peer has our block now, or says so.
    pub fn has_block(&mut self, id: &PeerId, claim: Claim) {
        if let Some(peer) = self.find_mut(id)
            && peer.claim.is_some_and(|known| known.work < claim.work)
        {
            peer.claim = Some(claim);
        }
    }

    /// A peer has these transfers.
    pub fn has_transfers(&mut self, id: &PeerId, ids: &[Txid]) {
        if let Some(peer) = self.find_mut(id) {
            ids.iter().for_each(|id| peer.known.insert(id));
        }
    }

    /// These buckets of a peer's pool differ from ours.
    pub fn look_into(&mut self, id: &PeerId, buckets: Vec<u8>) {
        if let Some(peer) = self.find_mut(id).filter(|_| !buckets.is_empty()) {
            peer.pull = Pull::Buckets(buckets);
        }
    }

    /// What a peer has shown of its chain so far is less than it said.
    pub fn disprove(&mut self, id: &PeerId, shown: Claim) {
        if let Some(peer) = self.find_mut(id)
            && peer.claim.is_some_and(|claim| claim.work > shown.work)
        {
            peer.claim = Some(shown);
        }
    }

    /// The headers of a peer were seen to their end, and show so much: they bear out what it said when it
    /// was asked, or they do not. What it has said since is for the next time.
    pub fn judge_claim(&mut self, id: &PeerId, (said, shown): (Claim, Claim), now: Duration) {
        match said.work <= shown.work {
            true => self.believe(id),
            false => self.disproved(id, (said, shown), now),
        }
    }

    /// The headers of a peer do not bear out what it said when it was asked; they show so much.
    pub fn disproved(&mut self, id: &PeerId, (said, shown): (Claim, Claim), now: Duration) {
        let Some(peer) = self.find_mut(id) else { return };
        if shown.work < said.work {
            peer.disproved = Some(said.tip);
        }
        if peer.claim == Some(said) {
            peer.claim = Some(shown);
        }
        self.not_shown(id, now);
    }

    /// A peer is asked for its headers.
    pub fn note_asked(&mut self, id: &PeerId, now: Duration) {
        if let Some(peer) = self.find_mut(id) {
            peer.headers_asked = Some(now);
        }
    }

    /// A peer has shown all that it claims.
    pub fn believe(&mut self, id: &PeerId) {
        if let Some(peer) = self.find_mut(id) {
            peer.unbacked = 0;
        }
        self.welcome_back(id);
    }

    /// The headers of a peer have borne out what it said when it was asked for them.
    pub fn borne_out(&mut self, id: &PeerId) {
        if let Some(peer) = self.find_mut(id) {
            peer.bear_out();
        }
    }

    /// A peer claims no more than is known. It is one again, and yet stands behind those whose headers
    /// were never waited for in vain: to say less costs nothing, and may be done before each claim.
    pub fn welcome_back(&mut self, id: &PeerId) {
        let Some(peer) = self.find_mut(id) else { return };
        peer.unbacked = peer.unbacked.min(1);
        if std::mem::take(&mut peer.on_trial) {
            welcome(peer);
        }
    }

    /// A peer was asked for its headers and did not answer: one reason more to doubt what it says.
    pub fn doubt(&mut self, id: &PeerId) {
        if let Some(peer) = self.find_mut(id) {
            peer.doubt();
        }
    }

    /// As [`Self::doubt`], for one that answers: it is asked again soon, and after a few times it
    /// counts as one that does not answer.
    pub fn not_shown(&mut self, id: &PeerId, now: Duration) {
        self.doubt(id);
        let Some(peer) = self.find_mut(id) else { return };
        if peer.is_doubted() {
            self.fail(id, NOT_SHOWN.to_owned(), now);
        } else {
            peer.due = peer.due.min(now + 2 * BUSY_PAUSE);
        }
    }

    /// Headers of a peer come so many seconds too early for our clock. Nobody is to blame, but they are not
    /// asked for again and again; and if the peer's clock says that they are due, ours is wrong.
    pub fn note_early(&mut self, id: &PeerId, seconds: u32, times: Times) {
        let was_behind = self.clock_behind(times).is_some();
        let Some(peer) = self.find_mut(id) else { return };
        let due = times.unix.plus(seconds);
        peer.early = Some(Early { due, until: times.monotonic + EARLY_MAX });
        if let Some(behind) = self.clock_behind(times).filter(|_| !was_behind) {
            log::warn!(
                "the clock of this node seems to be wrong: blocks of {id} are stamped {behind} s later than \
                 it allows, and are due by the clock there; set it right to go on with them"
            );
        }
    }

    /// Whether the headers of a peer are still too early for our clock.
    pub fn is_early(&self, id: &PeerId, times: Times) -> bool {
        let early = self.find(id).and_then(|peer| peer.early);
        early.is_some_and(|early| early.due > times.unix && early.until > times.monotonic)
    }

    /// A peer has lied: it is left alone for a while.
    pub fn accuse(&mut self, id: &PeerId, error: &dyn Display, now: Duration) {
        let shown = self.shown(id);
        log::warn!("{shown} sent what no honest node sends, and is refused for a while: {error}");
        self.refuse(id, format!("it sent what no honest node sends: {error}"), now);
    }

    /// Whether a block whose branch has this much work may be news to anyone.
    pub fn lacks_block(&self, work: Work) -> bool {
        let lacks = |peer: &Peer| peer.claim.is_none_or(|claim| claim.work < work);
        self.peers().any(|peer| peer.is_connected() && lacks(peer))
    }

    /// Peers that say they have more than `work`, in the order of their
    /// [`Credit`](crate::net::peer::Credit): of those with an equal one first those who were asked in
    /// vain least often, then the one that says the most. Of those whom nobody named who was not asked
    /// for longest comes first, and of strangers that were never asked the one that is known longest.
    /// Who has come by itself is last: whoever says much, gives nothing and comes again under another
    /// name stands behind all others.
    pub fn claiming_more(&self, work: Work) -> Vec<(PeerId, Claim)> {
        let claiming = self.peers().filter(|peer| peer.claims_more_than(work));
        let mut claims: Vec<_> = claiming
            .filter_map(|peer| {
                let claim = peer.claim?;
                let age = if peer.is_stranger() { peer.serial } else { 0 };
                let is_guest = peer.id.address().is_none();
                let asked = peer.headers_asked.filter(|_| !peer.manual);
                let trust = (peer.credit(), peer.unbacked);
                let place = (is_guest, trust, asked, age, Reverse(claim.work));
                Some((place, peer.id.clone(), claim))
            })
            .collect();
        claims.sort_by_key(|(place, ..)| *place);
        claims.into_iter().map(|(_, id, claim)| (id, claim)).collect()
    }

    /// Those who say to have more than `work` and whose word counts. That of a peer which a person added
    /// does until its headers have shown less, also while it does not answer: silence takes nothing back.
    /// That of another which is called at its address does while it answers and has not failed to show it.
    /// Who has only opened a connection is asked, and what it shows counts; its word does not, as it could
    /// say the same again and again under other names.
    pub fn credible_claims(&self, work: Work) -> impl Iterator<Item = &Peer> {
        self.peers().filter(move |peer| {
            let Some(claim) = peer.claim.filter(|claim| claim.work > work) else { return false };
            let is_proven = peer.is_connected() && peer.unbacked == 0;
            match peer.manual {
                true => peer.disproved != Some(claim.tip),
                false => is_proven && peer.id.address().is_some(),
            }
        })
    }

    /// The peers that were not asked yet and are next. One that waits for its turn since the last run is
    /// not among them.
    pub fn unasked(&self, now: Duration) -> impl Iterator<Item = &Peer> {
        let is_next = move |peer: &&Peer| peer.busy || peer.due <= now;
        self.peers().filter(|peer| peer.state == PeerState::New).filter(is_next)
    }

    /// Whether a person has named a node other than this one, which may answer where this one did before. One of another chain counts as well: the
    /// person expects company, and has none.
    pub fn is_someone_named(&self) -> bool {
        self.peers().any(|peer| peer.manual && !peer.is_own)
    }

    /// Whether a peer that we call has said within [`HEARD_FOR`] that it has no more than `work`.
    pub fn is_agreed_on(&self, work: Work, now: Duration) -> bool {
        let is_recent = |peer: &Peer| peer.asked.is_some_and(|asked| now <= asked + HEARD_FOR);
        let agrees = |peer: &Peer| peer.claim.is_some_and(|claim| claim.work <= work);
        self.peers().any(|peer| {
            let is_heard = peer.is_connected() || is_recent(peer);
            is_heard && peer.id.address().is_some() && !peer.is_doubted() && agrees(peer)
        })
    }
}
