//! Whether this node may say that it is synced.
//!
//! It is said only if it is true as far as this node can tell, and silence is no agreement:
//!
//! 1. [`SyncState::Behind`]: headers of more work than ours are known and their bodies may be had, or a
//!    peer that we call says to have more and has not failed to show it.
//! 2. [`SyncState::Withheld`]: a peer that a person added says to have more, and neither shows nor gives
//!    it, whether it answers otherwise or not. Its word counts until our chain has as much work, its
//!    headers have shown less, it says less, or the person removes it.
//! 3. [`SyncState::Asking`]: a peer that a person added, or one of those connected longest in the last
//!    run, was not asked yet; or any, while nobody has said that it has no more.
//! 4. [`SyncState::Unanswered`]: a person has named peers or seeds, and none of the peers that we call has
//!    said lately that it has no more than we.
//! 5. [`SyncState::Synced`] otherwise. So a node alone is synced: it is the first of its network, or those
//!    that come to it will tell.
//!
//! Nobody is kept from mining by what others only say: that waits while bodies of known headers are being
//! fetched. The word of one that has come by itself counts for nothing here, nor that of a learned peer
//! that was asked in vain: who comes and goes under many names could stop a node from ever being synced.
//! What they show counts until nobody gives the bodies. Nothing is latched: a node that was cut off says
//! so after a while.

use super::Sync;
use crate::chain::Chain;
use crate::net::table::Table;
use crate::node::ports::SyncState;
use std::time::Duration;

impl Sync {
    /// How this node stands at a moment; `has_seeds` if there are nodes to ask that are no peers yet.
    pub fn state(
        &self,
        chain: &Chain,
        table: &Table,
        (now, has_seeds): (Duration, bool),
    ) -> SyncState {
        let own = chain.tip().total_work;
        if self.is_behind(chain, table) {
            return SyncState::Behind;
        }
        if table.credible_claims(own).any(|peer| peer.manual) {
            return SyncState::Withheld;
        }
        let is_agreed = table.is_agreed_on(own, now);
        if table.unasked(now).any(|peer| peer.manual || peer.anchor || !is_agreed) {
            return SyncState::Asking;
        }
        let is_company_expected = has_seeds || table.is_someone_named();
        if is_company_expected && !is_agreed {
            return SyncState::Unanswered;
        }
        SyncState::Synced
    }

    /// Whether there is more, and it may be had.
    fn is_behind(&self, chain: &Chain, table: &Table) -> bool {
        let (headers, own) = (chain.headers(), chain.tip().total_work);
        let reachable = || table.credible_claims(own).filter(|peer| peer.is_connected());
        let is_said = reachable().any(|peer| {
            let is_unknown = peer.claim.is_some_and(|claim| headers.get(&claim.tip).is_none());
            is_unknown && peer.unbacked == 0
        });
        // A stranger that comes and withholds the same again is not waited for.
        let of_persons = reachable().filter(|peer| peer.manual);
        let sources: Vec<_> = of_persons.map(|peer| peer.id.clone()).collect();
        let mut tips = headers.heavier_tips();
        is_said
            || self.walked_work().is_some_and(|work| work > own)
            || tips.any(|tip| !self.withheld.is_given_up(&tip.hash, &sources))
    }
}
