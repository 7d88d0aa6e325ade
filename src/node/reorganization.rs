//! What the last reorganization did to people: payments that wait again or can no longer be mined,
//! and rewards that are gone.
//!
//! Owns a summary that is small beside the blocks it is about, and holds nothing that the chain and
//! the pool did not show to everybody: whose they are is for the reader to know. It is not kept over
//! a restart.

use crate::chain::accept::TipChange;
use crate::chain::pool::Pool;
use crate::primitives::{Amount, Height, PublicKey, Transfer, Txid, UnixTime};

/// Payments of each kind that are remembered one by one at most, 1 MB; beyond it they are counted.
const AFFECTED_MAX: usize = 10_000;

/// A payment that was in a block that gave way, or waited for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Affected {
    /// Its id.
    pub id: Txid,
    /// Who pays.
    pub sender: PublicKey,
    /// Who is paid.
    pub recipient: PublicKey,
    /// How much.
    pub amount: Amount,
}

/// The last change of the best chain that took blocks off it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reorganization {
    /// When it happened here.
    pub time: UnixTime,
    /// The height of the last block that stayed.
    pub fork: Height,
    /// How many blocks gave way.
    pub replaced: usize,
    /// Payments of those blocks that wait to be mined again, and how many there were.
    pub waiting: (Vec<Affected>, usize),
    /// Payments that can no longer be mined, with the reason, and how many there were.
    pub dropped: (Vec<(Affected, String)>, usize),
    /// What those blocks had paid, and to whom.
    pub rewards_lost: Vec<(PublicKey, Amount)>,
}

impl Affected {
    fn new(id: Txid, transfer: &Transfer) -> Self {
        let Transfer { sender, recipient, amount, .. } = *transfer;
        Self { id, sender, recipient, amount }
    }

    /// Whether this account pays or is paid.
    pub fn concerns(&self, account: &PublicKey) -> bool {
        self.sender == *account || self.recipient == *account
    }
}

impl Reorganization {
    /// What `change` was, if blocks gave way; `pool` is the one after it.
    pub(super) fn new(change: &TipChange, pool: &Pool, time: UnixTime) -> Option<Self> {
        let fork = change.disconnected.last()?.height.previous()?;
        let waiting = change.unconfirmed.iter().take(AFFECTED_MAX);
        let waiting = waiting
            .filter_map(|id| pool.get(id).map(|pending| Affected::new(*id, pending.transfer())));
        let dropped = change.dropped.iter().take(AFFECTED_MAX).map(|(transfer, reason)| {
            let why = reason.as_ref().map_or(OTHER_CAME.into(), ToString::to_string);
            (Affected::new(transfer.id(), transfer.transfer()), why)
        });
        Some(Self {
            time,
            fork,
            replaced: change.disconnected.len(),
            waiting: (waiting.collect(), change.unconfirmed.len()),
            dropped: (dropped.collect(), change.dropped.len()),
            rewards_lost: change.rewards_lost.clone(),
        })
    }
}

/// Why a transfer can no longer be mined if another one with its nonce was, or waits to be.
pub(super) const OTHER_CAME: &str = "another one took its place";
