//! The pending transfers under all the orders in which they are looked up.

use crate::consensus::check::CheckedTransfer;
use crate::primitives::{Amount, Height, PublicKey, Transfer, Txid};
use imbl::ordmap::DiffItem;
use std::cmp::{Ordering, Reverse};
use std::fmt;
use std::sync::Arc;

/// Fee per byte of canonical encoding, compared without rounding.
#[derive(Clone, Copy, Debug)]
pub struct FeeRate {
    fee: u64,
    size: u64,
}

impl FeeRate {
    /// The fee rate of a transfer.
    pub fn of(transfer: &Transfer) -> Self {
        Self { fee: transfer.fee.units(), size: transfer.size() as u64 }
    }
}

impl Ord for FeeRate {
    fn cmp(&self, other: &Self) -> Ordering {
        let cross = |a: &Self, b: &Self| u128::from(a.fee) * u128::from(b.size);
        cross(self, other).cmp(&cross(other, self))
    }
}

impl PartialOrd for FeeRate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for FeeRate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for FeeRate {}

impl fmt::Display for FeeRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} coins for {} bytes", Amount::from_units(self.fee), self.size)
    }
}

/// A pending transfer.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The transfer, its signature verified.
    pub transfer: CheckedTransfer,
    /// Grows with every transfer that comes in.
    pub(super) arrival: u64,
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Pending {}

impl Pending {
    /// The transfer.
    pub fn transfer(&self) -> &Transfer {
        self.transfer.transfer()
    }

    /// The transfer's id.
    pub fn id(&self) -> Txid {
        self.transfer.id()
    }

    /// Fee per byte.
    pub fn rate(&self) -> FeeRate {
        FeeRate::of(self.transfer())
    }

    /// What is mined first: the higher fee rate, then the older.
    pub(super) fn priority(&self) -> (FeeRate, Reverse<u64>) {
        (self.rate(), Reverse(self.arrival))
    }
}

/// The pending transfers of one sender by nonce, and what they cost together.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    pub(super) transfers: imbl::OrdMap<u64, Arc<Pending>>,
    cost: Amount,
}

/// The number of [`Buckets`]: one for each first byte of an id.
pub const BUCKETS: usize = 256;

/// What the pool holds, in short. Each bucket is the XOR of the second to ninth byte (big-endian) of
/// the ids that begin with its number, so that it can be kept as they come and go.
#[derive(Clone, Debug)]
struct Buckets([u64; BUCKETS]);

impl Default for Buckets {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Buckets {
    /// Adds an id, or takes it out again.
    fn flip(&mut self, id: &Txid) {
        let bytes = id.as_bytes();
        let number = bytes[1..].first_chunk().expect("an id has 32 bytes");
        self.0[usize::from(bytes[0])] ^= u64::from_be_bytes(*number);
    }
}

/// All pending transfers.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    pub(super) senders: imbl::HashMap<PublicKey, Queue>,
    /// In the order of their bytes, so that those that begin alike lie together.
    by_id: imbl::OrdMap<Txid, Arc<Pending>>,
    buckets: Buckets,
    by_arrival: imbl::OrdMap<u64, Arc<Pending>>,
    by_priority: imbl::OrdMap<(FeeRate, Reverse<u64>), Arc<Pending>>,
    by_expiry: imbl::OrdMap<(u32, Txid), Arc<Pending>>,
    bytes: usize,
    arrivals: u64,
}

impl Index {
    /// Adds a transfer whose nonce follows those of its sender's queue, or starts it.
    pub(super) fn push(&mut self, transfer: CheckedTransfer) {
        self.arrivals += 1;
        self.insert(Arc::new(Pending { transfer, arrival: self.arrivals }));
    }

    /// Puts `new` into the place of `old`, which has the same sender and nonce.
    pub(super) fn replace(&mut self, old: &Pending, new: CheckedTransfer) {
        self.remove(old);
        self.push(new);
    }

    fn insert(&mut self, pending: Arc<Pending>) {
        let (sender, nonce) = (pending.transfer().sender, pending.transfer().nonce);
        let queue = self.senders.entry(sender).or_default();
        queue.cost = queue
            .cost
            .checked_add(pending.transfer.cost())
            .expect("the queue costs at most the balance");
        queue.transfers.insert(nonce, pending.clone());
        self.bytes += pending.transfer().size();
        self.by_id.insert(pending.id(), pending.clone());
        self.buckets.flip(&pending.id());
        self.by_arrival.insert(pending.arrival, pending.clone());
        self.by_priority.insert(pending.priority(), pending.clone());
        if pending.transfer().expiry.0 != 0 {
            self.by_expiry.insert((pending.transfer().expiry.0, pending.id()), pending);
        }
    }

    fn remove(&mut self, pending: &Pending) {
        let (sender, nonce) = (pending.transfer().sender, pending.transfer().nonce);
        if let Some(queue) = self.senders.get_mut(&sender) {
            queue.transfers.remove(&nonce);
            queue.cost = queue
                .cost
                .checked_sub(pending.transfer.cost())
                .expect("the queue's cost holds that of each transfer");
            if queue.transfers.is_empty() {
                self.senders.remove(&sender);
            }
        }
        self.bytes -= pending.transfer().size();
        self.by_id.remove(&pending.id());
        self.buckets.flip(&pending.id());
        self.by_arrival.remove(&pending.arrival);
        self.by_priority.remove(&pending.priority());
        self.by_expiry.remove(&(pending.transfer().expiry.0, pending.id()));
    }

    fn remove_all(&mut self, pending: Vec<Arc<Pending>>) -> Vec<Arc<Pending>> {
        for one in &pending {
            self.remove(one);
        }
        pending
    }

    /// Removes the sender's transfers from `nonce` on.
    pub(super) fn remove_from(&mut self, sender: &PublicKey, nonce: u64) -> Vec<Arc<Pending>> {
        let found = self.in_queue(sender, |queue| {
            queue.transfers.range(nonce..).map(|(_, pending)| pending.clone()).collect()
        });
        self.remove_all(found)
    }

    /// Removes the sender's transfers below `nonce`; all of them if a gap would remain.
    pub(super) fn remove_below(&mut self, sender: &PublicKey, nonce: u64) -> Vec<Arc<Pending>> {
        let found = self.in_queue(sender, |queue| {
            queue.transfers.range(..nonce).map(|(_, pending)| pending.clone()).collect()
        });
        let mut removed = self.remove_all(found);
        let first = self.senders.get(sender).and_then(|queue| queue.transfers.get_min());
        if first.is_some_and(|(first, _)| *first != nonce) {
            removed.extend(self.remove_from(sender, nonce));
        }
        removed
    }

    /// Removes the sender's transfers from the first on that `balance` no longer covers.
    pub(super) fn remove_unaffordable(
        &mut self,
        sender: &PublicKey,
        balance: Amount,
    ) -> Vec<Arc<Pending>> {
        let mut left = balance;
        let queue = self.senders.get(sender).cloned().unwrap_or_default();
        for (nonce, pending) in &queue.transfers {
            match left.checked_sub(pending.transfer.cost()) {
                Some(rest) => left = rest,
                None => return self.remove_from(sender, *nonce),
            }
        }
        Vec::new()
    }

    /// Removes the transfers that `next_height` is too late for, with their senders' later ones.
    pub(super) fn remove_expired(&mut self, next_height: Height) -> Vec<Arc<Pending>> {
        let mut removed = Vec::new();
        while let Some(((expiry, _), pending)) = self.by_expiry.get_min().cloned() {
            if expiry >= next_height.0 {
                break;
            }
            removed.extend(self.remove_from(&pending.transfer().sender, pending.transfer().nonce));
        }
        removed
    }

    fn in_queue<T: Default>(&self, sender: &PublicKey, find: impl FnOnce(&Queue) -> T) -> T {
        self.senders.get(sender).map(find).unwrap_or_default()
    }

    pub(super) fn queued(&self, sender: &PublicKey, nonce: u64) -> Option<Arc<Pending>> {
        self.in_queue(sender, |queue| queue.transfers.get(&nonce).cloned())
    }

    pub(super) fn last_nonce(&self, sender: &PublicKey) -> Option<u64> {
        self.in_queue(sender, |queue| queue.transfers.get_max().map(|(nonce, _)| *nonce))
    }

    pub(super) fn count_of(&self, sender: &PublicKey) -> usize {
        self.in_queue(sender, |queue| queue.transfers.len())
    }

    pub(super) fn cost_of(&self, sender: &PublicKey) -> Amount {
        self.in_queue(sender, |queue| queue.cost)
    }

    pub(super) fn of_sender(&self, sender: &PublicKey) -> impl Iterator<Item = Arc<Pending>> {
        let queue = self.senders.get(sender).cloned().unwrap_or_default();
        queue.transfers.into_iter().map(|(_, pending)| pending)
    }

    /// The transfers in the order in which they give way: what is mined last goes first.
    pub(super) fn cheapest_first(&self) -> impl Iterator<Item = &Arc<Pending>> {
        self.by_priority.values()
    }

    pub(super) fn contains(&self, id: &Txid) -> bool {
        self.by_id.contains_key(id)
    }

    pub(super) fn get(&self, id: &Txid) -> Option<&Arc<Pending>> {
        self.by_id.get(id)
    }

    /// The ids that begin with this byte.
    pub(super) fn ids_in(&self, bucket: u8) -> impl Iterator<Item = Txid> {
        let edge = |rest: u8| {
            let mut bytes = [rest; 32];
            bytes[0] = bucket;
            Txid::from_bytes(bytes)
        };
        self.by_id.range(edge(0)..=edge(u8::MAX)).map(|(id, _)| *id)
    }

    pub(super) fn buckets(&self) -> &[u64; BUCKETS] {
        &self.buckets.0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Pending>> {
        self.by_arrival.values()
    }

    /// What differs from `before`, in the order of arrival.
    pub(super) fn since<'a>(
        &'a self,
        before: &'a Self,
    ) -> impl Iterator<Item = DiffItem<'a, 'a, u64, Arc<Pending>>> {
        before.by_arrival.diff(&self.by_arrival)
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
