//! What has come into the pool and what has left it, and why.

use super::index::Index;
use super::{FeeRate, Pending, Place, Pool, PoolContext, PoolError};
use crate::consensus::check::CheckedTransfer;
use imbl::ordmap::DiffItem;
use std::sync::Arc;

/// What tells a pool from an earlier one.
#[derive(Debug, Default)]
pub struct PoolChanges {
    /// Pending before and no longer.
    pub gone: Vec<Arc<Pending>>,
    /// Pending now and not before, the first to arrive first.
    pub come: Vec<Arc<Pending>>,
}

impl Pool {
    /// What has come and gone since `before`, of which this is a later state. However they went,
    /// none is missed; the time grows with their number.
    pub fn changes_since(&self, before: &Self) -> PoolChanges {
        let mut changes = PoolChanges::default();
        for item in self.index.since(&before.index) {
            match item {
                // One that was taken out and came back arrived once more.
                DiffItem::Remove(_, old) if self.get(&old.id()).is_none() => {
                    changes.gone.push(old.clone());
                }
                DiffItem::Add(_, new) if before.get(&new.id()).is_none() => {
                    changes.come.push(new.clone());
                }
                _ => {}
            }
        }
        changes
    }

    /// Why one that was pending is so no longer; `None` if another one took its place.
    pub fn why_gone(&self, gone: &CheckedTransfer, context: &PoolContext) -> Option<PoolError> {
        let (transfer, got) = (gone.transfer(), gone.transfer().nonce);
        let expected = self.next_nonce(&transfer.sender, context.account(&transfer.sender));
        match self.place(transfer, gone.id(), context) {
            Err(PoolError::NonceUsed { .. } | PoolError::FeeTooLow { .. })
            | Ok(Place::Replace(_)) => None,
            Ok(Place::Wait) | Err(PoolError::WaitingFull { .. }) => {
                Some(PoolError::NonceTooFar { expected, got })
            }
            Ok(Place::Next) => {
                let lowest = self.index.cheapest_first().next().map(|pending| pending.rate());
                Some(PoolError::PoolFull { lowest: lowest.unwrap_or(FeeRate::of(transfer)) })
            }
            Err(error) => Some(error),
        }
    }

    /// Forgets all pending transfers and all early ones.
    pub fn clear(&mut self) {
        self.index = Index::default();
        self.waiting = imbl::OrdMap::new();
    }
}
