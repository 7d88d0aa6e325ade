//! The pool of pending transfers ("open transactions").
//!
//! Owns the one admission function for every door, and who gives way when something is full. Never
//! verifies a signature: it takes [`CheckedTransfer`]s.
//!
//! Invariants: the pending transfers of a sender have contiguous nonces that start at the
//! account's, and together cost at most its balance, so that any prefix of them may be mined; the
//! indexes hold the same transfers; pending bytes stay within the limit.

mod changes;
mod index;
mod select;
#[cfg(test)]
mod tests;

use super::accounts::AccountTree;
use crate::consensus::check::CheckedTransfer;
use crate::primitives::{Account, Amount, Height, PublicKey, Transfer, Txid};
pub use changes::PoolChanges;
use index::Index;
pub use index::{BUCKETS, FeeRate, Pending};
use std::sync::Arc;
use std::time::Duration;

/// Pending transfers of one sender at most: more would let one account fill every block. The new
/// one is refused.
pub const PER_SENDER_MAX: usize = 256;

/// Early transfers of one sender that wait for a predecessor at most. The new one is refused.
pub const WAITING_PER_SENDER_MAX: usize = 16;

/// Early transfers that wait in all at most. The new one is refused.
pub const WAITING_MAX: usize = 1_000;

/// How long an early transfer waits for its predecessor.
pub const WAITING_TIME_MAX: Duration = Duration::from_secs(60);

/// Bytes of pending transfers (canonical encoding) unless configured otherwise. When they are more,
/// the lowest fee rate gives way, with the sender's later transfers.
pub const POOL_BYTES_DEFAULT: usize = 64 << 20;

/// A replacement must pay at least this share of the old fee, in percent.
const REPLACEMENT_PERCENT: u128 = 110;

/// The state that transfers are judged against.
#[derive(Clone)]
pub struct PoolContext {
    /// The accounts after the tip.
    pub accounts: AccountTree,
    /// The height of the next block.
    pub next_height: Height,
    /// Time since some fixed moment, by a clock that never jumps.
    pub now: Duration,
}

impl PoolContext {
    fn account(&self, key: &PublicKey) -> Account {
        self.accounts.get(key).unwrap_or_default()
    }
}

/// Why a transfer is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// It is pending or waiting already.
    #[error("transfer {0} is already known")]
    AlreadyKnown(Txid),
    /// Its time is over.
    #[error("the transfer expired at height {expiry}, the next block has height {next}")]
    Expired {
        /// The last height that it allows.
        expiry: u32,
        /// The next block's height.
        next: Height,
    },
    /// It was confirmed before, or another with its nonce was.
    #[error("nonce {got} is used up: expected {expected} or more")]
    NonceUsed {
        /// The account's nonce.
        expected: u64,
        /// The transfer's nonce.
        got: u64,
    },
    /// Too far ahead of the sender's other transfers.
    #[error("nonce {got} is too far ahead: expected {expected}")]
    NonceTooFar {
        /// The next nonce that can be pending.
        expected: u64,
        /// The transfer's nonce.
        got: u64,
    },
    /// Too little fee to replace the pending one.
    #[error(
        "a transfer with nonce {nonce} is pending: expected a fee of at least {needed} to replace it, got {got}"
    )]
    FeeTooLow {
        /// The nonce of both.
        nonce: u64,
        /// The least fee.
        needed: Amount,
        /// The fee offered.
        got: Amount,
    },
    /// It costs more than the sender has left.
    #[error(
        "insufficient funds: amount and fee are {cost}, and {available} of the balance are not yet spent"
    )]
    InsufficientFunds {
        /// Amount and fee.
        cost: Amount,
        /// The balance less what is pending.
        available: Amount,
    },
    /// The sender has too many pending transfers.
    #[error(
        "expected at most {PER_SENDER_MAX} open transactions of one sender: wait until some are mined"
    )]
    SenderFull,
    /// The pool is full of transfers that pay no less.
    #[error("the pool is full: expected a fee rate above {lowest}")]
    PoolFull {
        /// The lowest fee rate in the pool.
        lowest: FeeRate,
    },
    /// No place to wait in.
    #[error("too many transfers wait for a predecessor: send nonce {expected} first")]
    WaitingFull {
        /// The next nonce that can be pending.
        expected: u64,
    },
}

impl PoolError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::AlreadyKnown(_) => "already-known",
            Self::Expired { .. } => "transfer-expired",
            Self::NonceUsed { .. } => "nonce-used",
            Self::NonceTooFar { .. } => "nonce-too-far",
            Self::FeeTooLow { .. } => "fee-too-low",
            Self::InsufficientFunds { .. } => "insufficient-funds",
            Self::SenderFull => "sender-full",
            Self::PoolFull { .. } => "pool-full",
            Self::WaitingFull { .. } => "waiting-full",
        }
    }
}

/// What became of a transfer that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is pending, and so are those that waited for it.
    Pending {
        /// The transfer and those that waited for it, in nonce order.
        added: Vec<Txid>,
        /// What it replaced.
        replaced: Option<Txid>,
    },
    /// It waits for its predecessor, and is not passed on.
    Waiting,
}

/// What a new tip did to the pool.
#[derive(Debug)]
pub struct Settled {
    /// Early transfers that are pending now.
    pub promoted: Vec<Txid>,
    /// Transfers that were pending and can no longer be mined.
    pub dropped: Vec<Arc<Pending>>,
}

/// Where a transfer would go.
enum Place {
    Next,
    Replace(Arc<Pending>),
    Wait,
}

/// An early transfer.
#[derive(Clone, Debug)]
struct Waiting {
    transfer: CheckedTransfer,
    since: Duration,
}

/// The pending transfers; a copy shares everything with the original.
#[derive(Clone, Debug)]
pub struct Pool {
    index: Index,
    waiting: imbl::OrdMap<(PublicKey, u64), Waiting>,
    bytes_max: usize,
}

impl Pool {
    /// An empty pool that holds at most `bytes_max` bytes of transfers.
    pub fn new(bytes_max: usize) -> Self {
        Self { index: Index::default(), waiting: imbl::OrdMap::new(), bytes_max }
    }

    /// Whether a transfer would be taken, without looking at its signature: cheap, so it comes
    /// before the signature is verified.
    ///
    /// # Errors
    /// The first rule that the transfer breaks.
    pub fn precheck(
        &self,
        transfer: &Transfer,
        id: Txid,
        context: &PoolContext,
    ) -> Result<(), PoolError> {
        self.place(transfer, id, context).map(|_| ())
    }

    /// Takes a transfer, from whichever door it comes.
    ///
    /// # Errors
    /// The first rule that the transfer breaks; the pool is then unchanged.
    pub fn admit(
        &mut self,
        transfer: CheckedTransfer,
        context: &PoolContext,
    ) -> Result<Admitted, PoolError> {
        let (sender, nonce) = (transfer.transfer().sender, transfer.transfer().nonce);
        match self.place(transfer.transfer(), transfer.id(), context)? {
            Place::Wait => {
                self.waiting.insert((sender, nonce), Waiting { transfer, since: context.now });
                Ok(Admitted::Waiting)
            }
            Place::Replace(old) => {
                let (added, replaced) = (vec![transfer.id()], Some(old.id()));
                self.index.replace(&old, transfer);
                self.shrink();
                Ok(Admitted::Pending { added, replaced })
            }
            Place::Next => {
                let mut added = vec![transfer.id()];
                self.index.push(transfer);
                self.shrink();
                added.extend(self.promote(sender, context));
                Ok(Admitted::Pending { added, replaced: None })
            }
        }
    }

    fn place(
        &self,
        transfer: &Transfer,
        id: Txid,
        context: &PoolContext,
    ) -> Result<Place, PoolError> {
        let (sender, nonce) = (transfer.sender, transfer.nonce);
        let same_waits =
            self.waiting.get(&(sender, nonce)).is_some_and(|early| early.transfer.id() == id);
        if self.index.contains(&id) || same_waits {
            return Err(PoolError::AlreadyKnown(id));
        }
        if !transfer.expiry.allows(context.next_height) {
            return Err(PoolError::Expired {
                expiry: transfer.expiry.0,
                next: context.next_height,
            });
        }
        let account = context.account(&sender);
        if nonce < account.nonce {
            return Err(PoolError::NonceUsed { expected: account.nonce, got: nonce });
        }
        let next = self.next_nonce(&sender, account);
        if nonce > next {
            return self.place_early(transfer, account, next);
        }
        let old = self.index.queued(&sender, nonce);
        if let Some(old) = &old {
            check_replacement(&old.transfer, transfer)?;
        }
        self.check_funds(transfer, account, old.as_deref())?;
        if old.is_none() && self.index.count_of(&sender) >= PER_SENDER_MAX {
            return Err(PoolError::SenderFull);
        }
        self.check_room(transfer, old.as_deref())?;
        Ok(old.map_or(Place::Next, Place::Replace))
    }

    fn place_early(
        &self,
        transfer: &Transfer,
        account: Account,
        next: u64,
    ) -> Result<Place, PoolError> {
        let (sender, nonce) = (transfer.sender, transfer.nonce);
        if nonce - next > WAITING_PER_SENDER_MAX as u64 {
            return Err(PoolError::NonceTooFar { expected: next, got: nonce });
        }
        self.check_funds(transfer, account, None)?;
        let of_sender = self.waiting.range((sender, 0)..=(sender, u64::MAX)).count();
        if of_sender >= WAITING_PER_SENDER_MAX || self.waiting.len() >= WAITING_MAX {
            return Err(PoolError::WaitingFull { expected: next });
        }
        Ok(Place::Wait)
    }

    fn check_funds(
        &self,
        transfer: &Transfer,
        account: Account,
        old: Option<&Pending>,
    ) -> Result<(), PoolError> {
        let cost = transfer.cost().unwrap_or(Amount::from_units(u64::MAX));
        let committed = self.index.cost_of(&transfer.sender);
        let freed = old.map_or(Amount::ZERO, |old| old.transfer.cost());
        let available = account
            .balance
            .checked_sub(committed)
            .and_then(|rest| rest.checked_add(freed))
            .unwrap_or(Amount::ZERO);
        if cost <= available {
            Ok(())
        } else {
            Err(PoolError::InsufficientFunds { cost, available })
        }
    }

    /// When the pool is full, a transfer may come in only if those that pay less make room enough,
    /// and none of them is its own predecessor: or it would be thrown out with them.
    fn check_room(&self, transfer: &Transfer, old: Option<&Pending>) -> Result<(), PoolError> {
        let (rate, freed) = (FeeRate::of(transfer), old.map_or(0, |old| old.transfer().size()));
        let needed = self.index.bytes() - freed + transfer.size();
        let mut excess = needed.saturating_sub(self.bytes_max);
        let others = self.index.cheapest_first();
        for cheap in others.filter(|cheap| old.is_none_or(|old| old.id() != cheap.id())) {
            if excess == 0 {
                break;
            }
            if cheap.rate() >= rate || cheap.transfer().sender == transfer.sender {
                return Err(PoolError::PoolFull { lowest: cheap.rate() });
            }
            excess = excess.saturating_sub(cheap.transfer().size());
        }
        if excess == 0 { Ok(()) } else { Err(PoolError::PoolFull { lowest: rate }) }
    }

    /// Throws out the cheapest transfers, each with its sender's later ones, until the rest fits.
    fn shrink(&mut self) {
        while self.index.bytes() > self.bytes_max {
            let cheapest = self.index.cheapest_first().next();
            let cheapest = cheapest.expect("bytes are of transfers").clone();
            self.index.remove_from(&cheapest.transfer().sender, cheapest.transfer().nonce);
        }
    }

    /// Makes early transfers of `sender` pending whose turn has come.
    fn promote(&mut self, sender: PublicKey, context: &PoolContext) -> Vec<Txid> {
        let mut added = Vec::new();
        loop {
            let next = self.next_nonce(&sender, context.account(&sender));
            let Some(early) = self.waiting.remove(&(sender, next)) else {
                return added;
            };
            let id = early.transfer.id();
            let place = self.place(early.transfer.transfer(), id, context);
            if !matches!(place, Ok(Place::Next)) {
                return added;
            }
            self.index.push(early.transfer);
            self.shrink();
            added.push(id);
        }
    }

    /// The nonce that the next transfer of `sender` must have.
    pub fn next_nonce(&self, sender: &PublicKey, account: Account) -> u64 {
        self.index.last_nonce(sender).map_or(account.nonce, |last| last.saturating_add(1))
    }

    /// What the pending transfers of `sender` cost together.
    pub fn cost_of(&self, sender: &PublicKey) -> Amount {
        self.index.cost_of(sender)
    }

    /// Brings the pool in line with a new tip: `touched` are the accounts that have changed, and
    /// `confirmed` tells which transfers are now in the chain.
    pub fn settle(
        &mut self,
        touched: impl IntoIterator<Item = PublicKey>,
        confirmed: &dyn Fn(&Txid) -> bool,
        context: &PoolContext,
    ) -> Settled {
        let touched: Vec<_> = touched.into_iter().collect();
        let mut dropped = Vec::new();
        for sender in &touched {
            let account = context.account(sender);
            dropped.extend(self.index.remove_below(sender, account.nonce));
            dropped.extend(self.index.remove_unaffordable(sender, account.balance));
            self.drop_early_below(*sender, account.nonce);
        }
        // After the confirmed ones, which may have been mined at the last moment; before any
        // early one that would come to stand upon an expired one.
        dropped.extend(self.index.remove_expired(context.next_height));
        dropped.retain(|pending| !confirmed(&pending.id()));
        let promoted = touched.into_iter().flat_map(|sender| self.promote(sender, context));
        Settled { promoted: promoted.collect(), dropped }
    }

    /// Takes all pending transfers of `senders` out, in nonce order, so that they can be admitted
    /// anew together with those that a reorganization returned.
    pub fn take_senders(
        &mut self,
        senders: impl IntoIterator<Item = PublicKey>,
    ) -> Vec<CheckedTransfer> {
        let taken = senders.into_iter().flat_map(|sender| self.index.remove_from(&sender, 0));
        taken.map(|pending| pending.transfer.clone()).collect()
    }

    fn drop_early_below(&mut self, sender: PublicKey, nonce: u64) {
        let range = (sender, 0)..(sender, nonce);
        let stale: Vec<_> = self.waiting.range(range).map(|(key, _)| *key).collect();
        for key in stale {
            self.waiting.remove(&key);
        }
    }

    /// Forgets early transfers whose predecessor did not come in time.
    pub fn drop_overdue(&mut self, now: Duration) {
        let overdue = |early: &Waiting| now.saturating_sub(early.since) > WAITING_TIME_MAX;
        let keys: Vec<_> =
            self.waiting.iter().filter(|(_, early)| overdue(early)).map(|(key, _)| *key).collect();
        for key in keys {
            self.waiting.remove(&key);
        }
    }

    /// The pending transfers, the first to arrive first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Pending>> {
        self.index.iter()
    }

    /// The pending transfers of one sender in nonce order.
    pub fn of_sender(&self, sender: &PublicKey) -> impl Iterator<Item = Arc<Pending>> {
        self.index.of_sender(sender)
    }

    /// The pending transfer with this id.
    pub fn get(&self, id: &Txid) -> Option<&Arc<Pending>> {
        self.index.get(id)
    }

    /// The ids of the pending transfers that begin with this byte.
    pub fn ids_in(&self, bucket: u8) -> impl Iterator<Item = Txid> {
        self.index.ids_in(bucket)
    }

    /// The pool in short: for each first byte of an id, the XOR of the second to ninth byte
    /// (big-endian) of the pending transfers' ids. Kept as they come and go.
    pub fn buckets(&self) -> &[u64; BUCKETS] {
        self.index.buckets()
    }

    /// The number of pending transfers.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.index.len() == 0
    }

    /// The number of early transfers.
    pub fn waiting_len(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of pending transfers in canonical encoding.
    pub fn bytes(&self) -> usize {
        self.index.bytes()
    }
}

fn check_replacement(old: &CheckedTransfer, new: &Transfer) -> Result<(), PoolError> {
    let old_fee = old.transfer().fee.units();
    let by_percent = (u128::from(old_fee) * REPLACEMENT_PERCENT).div_ceil(100);
    let needed = by_percent.max(u128::from(old_fee) + 1);
    let needed = Amount::from_units(u64::try_from(needed).unwrap_or(u64::MAX));
    if new.fee >= needed {
        Ok(())
    } else {
        Err(PoolError::FeeTooLow { nonce: new.nonce, needed, got: new.fee })
    }
}
