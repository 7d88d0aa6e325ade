//! `mempool-<PORT>.txt`: the open transactions over a restart.
//!
//! Owns the journal of what came into the pool and of what left it otherwise than into a block.
//! Never judges a transfer: the pool does.
//!
//! Invariant: after each turn, the block file and then this one, replayed, give the pool of that
//! turn. What the chain decides by itself (mined, replaced by what was mined) needs no line.

#[cfg(test)]
mod tests;

use crate::chain::Chain;
use crate::chain::accept::Now;
use crate::chain::pool::{Pool, PoolError};
use crate::consensus::check::CheckedTransfer;
use crate::consensus::verified::Verified;
use crate::primitives::{AddressPrefix, PublicKey, Transfer, Txid};
use crate::storage::StoreError;
use crate::storage::disk::DiskFile;
use crate::storage::journal::{Bounds, Journal};
use crate::wire::{gone_from_json, gone_to_json, transfer_from_json, transfer_to_json};
use std::collections::{BTreeMap, BTreeSet};

/// A line's entry is shorter than this: 64 bytes of memo may be escaped sixfold.
const ENTRY_BYTES_MAX: usize = 2_048;

/// Lines at most: a pool full of the smallest transfers, twice over. When there are more, the file
/// is written anew.
const ENTRIES_MAX: u64 = 2_000_000;

/// Lines beyond twice the pool, from which on the file is written anew.
const SLACK: u64 = 1_000;

/// The file of open transactions.
pub(super) struct PoolFile {
    journal: Journal,
    prefix: AddressPrefix,
}

impl PoolFile {
    /// Makes the pool of `chain` what `file` says. What a replay of the block file has given back
    /// to it stays where the file says nothing. What does not come back is told, and how much of
    /// it `own` pays; the file has a second name then, and is written anew, so that none of it
    /// comes back at a later start.
    ///
    /// # Errors
    /// What the system says, or something else than a plain file.
    pub fn load(
        file: DiskFile,
        (chain, verified): (&mut Chain, &Verified),
        own: Option<PublicKey>,
        now: Now,
    ) -> Result<Self, StoreError> {
        let bounds = Bounds { entry_bytes_max: ENTRY_BYTES_MAX, entries_max: ENTRIES_MAX };
        let prefix = chain.params().prefix;
        let mut replay = Replay::new(chain);
        let loaded = Journal::open_on(file.clone(), bounds, &mut |line| replay.take(line))?;
        let mut lost = Lost { lines: loaded.dropped + replay.strange, ..Lost::default() };
        if loaded.is_torn {
            lost.lines -= 1;
            log::info!("{}: an interrupted last write is cut off", file.path().display());
        }
        let transfers = replay.finish(verified, &mut lost);
        for (transfer, why) in chain.refill_pool(transfers, now) {
            lost.count(transfer.transfer(), why.as_ref(), own);
        }
        let mut loaded = Self { journal: loaded.journal, prefix };
        if lost != Lost::default() {
            log::warn!("{}: {lost}", file.path().display());
            loaded.begin_anew(chain.pool(), now)?;
        }
        Ok(loaded)
    }

    /// Keeps the file as it was under a second name, and writes it anew from `pool`.
    fn begin_anew(&mut self, pool: &Pool, now: Now) -> Result<(), StoreError> {
        let kept = self.journal.set_aside(now.unix.0.into());
        match kept.and_then(|kept| self.rewrite(pool).map(|()| kept.unwrap_or_default())) {
            Ok(kept) => log::warn!("the file of open transactions as it was is {}", kept.display()),
            Err(error) if error.is_fatal() => return Err(error),
            Err(error) => log::warn!("the file of open transactions stays as it is: {error}"),
        }
        Ok(())
    }

    /// Stages what tells the pool of `chain`, at the end of a turn, from the one `before` it, and
    /// what else was `dropped`: of that, lines may be left from the time before it was mined.
    ///
    /// # Errors
    /// If the file is full and cannot be written anew.
    pub fn stage(
        &mut self,
        before: &Pool,
        chain: &Chain,
        dropped: &BTreeSet<Txid>,
    ) -> Result<(), StoreError> {
        let pool = chain.pool();
        let changes = pool.changes_since(before);
        let is_decided =
            |transfer: &Transfer| transfer.nonce < chain.account(&transfer.sender).nonce;
        let gone = changes.gone.iter().filter(|gone| !is_decided(gone.transfer()));
        let mut gone: BTreeSet<Txid> = gone.map(|gone| gone.id()).collect();
        gone.extend(dropped.iter().filter(|id| pool.get(id).is_none()));
        if self.journal.room() < (gone.len() + changes.come.len()) as u64 {
            self.rewrite(before)?;
        }
        // What takes the place of another first: of a torn write only what is before the tear counts.
        for pending in &changes.come {
            self.journal.stage(&transfer_to_json(pending.transfer(), self.prefix))?;
        }
        for id in &gone {
            self.journal.stage(&gone_to_json(id))?;
        }
        Ok(())
    }

    /// As [`Journal::commit`].
    pub fn commit(&mut self) -> Result<(), StoreError> {
        self.journal.commit()
    }

    /// Drops what is staged.
    pub fn discard(&mut self) {
        self.journal.discard();
    }

    /// Writes the file anew once most of its lines are out of date.
    pub fn compact(&mut self, pool: &Pool) {
        if self.journal.entries() <= 2 * pool.len() as u64 + SLACK {
            return;
        }
        if let Err(error) = self.rewrite(pool) {
            log::warn!("the file of open transactions could not be written anew: {error}");
        }
    }

    fn rewrite(&mut self, pool: &Pool) -> Result<(), StoreError> {
        let prefix = self.prefix;
        self.journal.rewrite(pool.iter().map(|p| transfer_to_json(p.transfer(), prefix)))
    }
}

/// Where a transfer stands: there is one of a sender with a nonce.
type Slot = (PublicKey, u64);

/// What the lines so far come to.
struct Replay<'c> {
    chain: &'c Chain,
    /// With the number of its line, by which they are offered again.
    slots: BTreeMap<Slot, (usize, Transfer)>,
    /// The slots of those in `slots`.
    by_id: BTreeMap<Txid, Slot>,
    lines: usize,
    /// Lines that say what this version does not know.
    strange: u64,
}

impl<'c> Replay<'c> {
    fn new(chain: &'c Chain) -> Self {
        let (slots, by_id) = (BTreeMap::new(), BTreeMap::new());
        let mut replay = Self { chain, slots, by_id, lines: 0, strange: 0 };
        for pending in chain.pool().iter() {
            replay.put(pending.transfer().clone());
        }
        replay
    }

    fn take(&mut self, line: &str) {
        if let Ok(transfer) = transfer_from_json(line, self.chain.params().prefix) {
            self.put(transfer);
        } else if let Ok(gone) = gone_from_json(line) {
            if let Some(slot) = self.by_id.remove(&gone) {
                self.slots.remove(&slot);
            }
        } else {
            self.strange += 1;
        }
    }

    /// Puts a transfer into its slot, unless the chain has decided on that.
    fn put(&mut self, transfer: Transfer) {
        self.lines += 1;
        let slot = (transfer.sender, transfer.nonce);
        if transfer.nonce < self.chain.account(&transfer.sender).nonce {
            return;
        }
        self.by_id.insert(transfer.id(), slot);
        if let Some((_, old)) = self.slots.insert(slot, (self.lines, transfer.clone()))
            && old != transfer
        {
            self.by_id.remove(&old.id());
        }
    }

    /// What is left, the oldest lines first, but each sender's in nonce order.
    fn finish(self, verified: &Verified, lost: &mut Lost) -> Vec<CheckedTransfer> {
        let mut latest: Option<(PublicKey, usize)> = None;
        let mut ordered = Vec::with_capacity(self.slots.len());
        for ((sender, _), (line, transfer)) in self.slots {
            let before = latest.filter(|(other, _)| *other == sender).map_or(0, |(_, line)| line);
            let line = line.max(before);
            latest = Some((sender, line));
            ordered.push((line, transfer));
        }
        ordered.sort_by_key(|(line, _)| *line);
        let chain_id = self.chain.chain_id();
        let checked = ordered.into_iter().filter_map(|(_, transfer)| {
            let checked = verified.check_transfer(transfer, &chain_id).ok();
            lost.lines += u64::from(checked.is_none());
            checked
        });
        checked.collect()
    }
}

/// What a file said that did not come back.
#[derive(Debug, Default, PartialEq, Eq)]
struct Lost {
    /// Lines that are damaged or that this version does not know.
    lines: u64,
    /// Transfers that can no longer be mined, and no block has shown why.
    transfers: u64,
    /// Of these, those of this node's wallet.
    own: u64,
}

impl Lost {
    fn count(&mut self, transfer: &Transfer, why: Option<&PoolError>, own: Option<PublicKey>) {
        if matches!(why, None | Some(PoolError::Expired { .. })) {
            return;
        }
        self.transfers += 1;
        self.own += u64::from(own == Some(transfer.sender));
    }
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { lines, transfers, own } = self;
        write!(f, "{lines} lines are damaged or unknown and left out")?;
        if *transfers > 0 {
            write!(
                f,
                "; {transfers} open transactions can no longer be mined, {own} of them payments of this \
                 wallet: one before them is lost, or there are no coins or no room for them"
            )?;
        }
        write!(f, "; before paying again, see which payments are still open")
    }
}
