//! The address book: where other nodes are said to be, and which of them is called next.
//!
//! Filled by what peers tell each other and by whoever answers. Pure: times and chance come in as
//! values. Never calls anyone, and believes nothing: an address counts only once a node of our chain
//! has answered there.
//!
//! Invariants: at most [`HEARD_MAX`] addresses, of which at most [`OF_ONE_SOURCE_MAX`] that never
//! answered come from one network, and at most [`ANSWERED_MAX`] have answered. What never answered
//! pushes out only what never answered. At most one call a second is due to the book, and of its calls
//! at most one in [`REDIAL_PAUSE`] goes to one place, whatever is forgotten and heard again meanwhile:
//! nobody can use us to trouble others.

use super::client::Pace;
use super::dice::Dice;
use super::outbound::{OUTBOUND_TARGET, Standing, backoff, independent};
use super::place::{Group, Place, Scope, may_call, scope, scope_of_source};
use super::table::Times;
use crate::primitives::{PeerAddress, UnixTime};
use crate::wire::PeerRecord;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// Addresses at most: enough to find a way back into a large network, a few hundred KiB of memory
/// and file. One that never answered gives way, the oldest of the network that named most.
pub const HEARD_MAX: usize = 1_024;

/// Addresses that have answered at most, so that there is always room to hear of others. The one
/// that was silent longest gives way, of the network with most of them.
pub const ANSWERED_MAX: usize = HEARD_MAX / 2;

/// Addresses that never answered and were named from one network at most; its own oldest gives way.
pub const OF_ONE_SOURCE_MAX: usize = 64;

/// Addresses that are taken of one list, and told in one.
pub const LIST_MAX: usize = 32;

/// How often a peer's list is taken at most.
pub const LIST_PAUSE: Duration = Duration::from_secs(600);

/// The least time between two calls that the book causes.
pub const DIAL_PAUSE: Duration = Duration::from_secs(1);

/// The least time between two calls to one place.
pub const REDIAL_PAUSE: Duration = Duration::from_secs(600);

/// Calls in vain after which an address is forgotten that never answered (as Bitcoin Core's
/// ADDRMAN_RETRIES).
const TRIES_MAX: u32 = 3;

/// Calls in vain after which one is forgotten that has answered, if that is a week ago (as Bitcoin
/// Core's ADDRMAN_MAX_FAILURES and ADDRMAN_MIN_FAIL).
const FAILURES_MAX: u32 = 10;

/// See [`FAILURES_MAX`], in seconds.
const MISSED_MAX_S: u32 = 7 * 86_400;

/// How recently an address must have answered for others to be told of it, in seconds.
const TOLD_AFTER_MAX_S: u32 = 86_400;

/// How long the seeds are not asked after the start if there are others to ask.
const SEEDS_WAIT: Duration = Duration::from_secs(10);

/// With fewer peers than this the seeds are asked before the book; otherwise only if the book has
/// nobody to call.
const SEEDED_MIN: usize = 2;

/// Who has named addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    group: Group,
    scope: Scope,
    /// What its word makes of whoever answers there.
    standing: Standing,
}

impl Source {
    /// A peer that was looked for and is called at its address: it was asked.
    pub fn at(address: &PeerAddress) -> Self {
        let (group, scope) = (Group::of(address), scope_of_source(address));
        Self { group, scope, standing: Standing::Learned }
    }

    /// A node whose connection comes from `ip`: whoever calls can name itself and others like it.
    pub fn from_ip(ip: IpAddr) -> Self {
        let (group, scope) = (Group::of_ip(ip), scope(ip).unwrap_or(Scope::Open));
        Self { group, scope, standing: Standing::Came }
    }

    /// The same if it is a peer only because it has named itself: what it answers is a caller's word.
    pub fn that_came(self) -> Self {
        Self { standing: Standing::Came, ..self }
    }
}

/// What is known of an address.
#[derive(Clone, Debug)]
struct Entry {
    /// The network of who named it first; its own once it has answered.
    source: Group,
    /// What a node is that answers there: one that came, as long as only callers have named it.
    standing: Standing,
    /// Tells the older of two.
    serial: u64,
    last_seen: UnixTime,
    last_tried: UnixTime,
    /// Calls in vain in a row.
    failures: u32,
}

impl Entry {
    fn has_answered(&self) -> bool {
        self.last_seen != UnixTime(0)
    }
}

/// A call that was made.
#[derive(Clone, Debug)]
struct Called {
    address: PeerAddress,
    at: UnixTime,
    /// Before this nothing at its place is called.
    until: Duration,
}

/// An address that the settings name for the time when nobody else is known.
#[derive(Clone, Debug)]
struct Seed {
    address: PeerAddress,
    failures: u32,
    due: Duration,
}

/// Who is spoken with already.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// Peers that are called at their addresses and whose last exchange went well, but for those that have
    /// only named themselves to us.
    pub connected: &'a [PeerAddress],
    /// Peers that are called at their addresses, whether they answer or not.
    pub peers: usize,
    /// Whether an address is a peer of such a standing already, or must stay none.
    pub is_settled: &'a dyn Fn(&PeerAddress, Standing) -> bool,
    /// The least standing that there is room for.
    pub least: Standing,
}

/// The address book.
#[derive(Clone, Debug)]
pub struct Book {
    entries: BTreeMap<PeerAddress, Entry>,
    seeds: Vec<Seed>,
    /// Places that were called within [`REDIAL_PAUSE`]. Bounded by the pauses: one a second goes in,
    /// and out after ten minutes.
    called: BTreeMap<Place, Called>,
    /// When the next call is due.
    due: Duration,
    /// When the book is looked at next.
    look: Duration,
    /// When the seeds may be asked; not known before the first look.
    seeds_from: Option<Duration>,
    serials: u64,
    dice: Dice,
}

impl Book {
    /// An empty book. `seed` is a random number that is told nobody; `seeds` come from the settings.
    pub fn new(seed: u64, seeds: Vec<PeerAddress>) -> Self {
        let fresh = |address| Seed { address, failures: 0, due: Duration::ZERO };
        Self {
            entries: BTreeMap::new(),
            seeds: seeds.into_iter().map(fresh).collect(),
            called: BTreeMap::new(),
            due: Duration::ZERO,
            look: Duration::ZERO,
            seeds_from: None,
            serials: 0,
            dice: Dice::new(seed),
        }
    }

    /// Whether the settings name nodes to ask for others, besides this very node.
    pub fn has_seeds(&self) -> bool {
        !self.seeds.is_empty()
    }

    /// Whether the settings name the node at an address to ask it for others.
    pub fn is_seed(&self, address: &PeerAddress) -> bool {
        self.seeds.iter().any(|seed| seed.address == *address)
    }

    /// How many addresses are known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no address is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes the first [`LIST_MAX`] addresses of a list that `source` gave, as far as they may be
    /// called on its word.
    pub fn hear(&mut self, list: &[PeerAddress], source: &Source) {
        let fit = list.iter().take(LIST_MAX).filter(|address| may_call(address, source.scope));
        for address in fit {
            if !self.entries.contains_key(address) {
                self.insert(address, &source.group);
            }
            if let Some(entry) = self.entries.get_mut(address) {
                entry.standing = entry.standing.min(source.standing);
            }
        }
    }

    /// What a node is that answers at an address.
    pub fn standing(&self, address: &PeerAddress) -> Standing {
        let known = self.entries.get(address).map(|entry| entry.standing);
        if self.is_seed(address) { Standing::Learned } else { known.unwrap_or(Standing::Came) }
    }

    /// A node that names itself was called back and did not answer in time. It may only be far away or
    /// slow: the next call waits for it longer.
    pub fn hear_slow(&mut self, address: &PeerAddress, source: &Source, now: UnixTime) {
        self.hear(std::slice::from_ref(address), source);
        self.failed(address, now);
    }

    /// How soon a stranger at `address` has to answer. The first time as quickly as if a person waited,
    /// because others wait for the place; after a call in vain it may take as long as a peer.
    pub fn pace(&self, address: &PeerAddress) -> Pace {
        let entry = self.entries.get(address).is_some_and(|entry| entry.failures > 0);
        // The call that is about to be made is counted already.
        let seed = self.seeds.iter().any(|seed| seed.address == *address && seed.failures > 1);
        if entry || seed { Pace::Usual } else { Pace::Quick }
    }

    /// Writes down an address that never answered and that only callers have named; the oldest of its
    /// kind gives way.
    fn insert(&mut self, address: &PeerAddress, source: &Group) {
        let of_source = self.unanswered().filter(|(_, entry)| entry.source == *source).count();
        if of_source >= OF_ONE_SOURCE_MAX {
            self.drop_oldest_of(source);
        } else if self.entries.len() >= HEARD_MAX {
            let Some(largest) = self.largest_source() else { return };
            self.drop_oldest_of(&largest);
        }
        self.serials += 1;
        let entry = Entry {
            source: source.clone(),
            standing: self.standing(address),
            serial: self.serials,
            last_seen: UnixTime(0),
            last_tried: UnixTime(0),
            failures: 0,
        };
        self.entries.insert(address.clone(), entry);
    }

    fn unanswered(&self) -> impl Iterator<Item = (&PeerAddress, &Entry)> {
        self.entries.iter().filter(|(_, entry)| !entry.has_answered())
    }

    /// The network that named most of those that never answered.
    fn largest_source(&self) -> Option<Group> {
        let mut counts: BTreeMap<&Group, usize> = BTreeMap::new();
        self.unanswered().for_each(|(_, entry)| *counts.entry(&entry.source).or_default() += 1);
        let largest = counts.into_iter().max_by_key(|(_, count)| *count);
        largest.map(|(group, _)| group.clone())
    }

    fn drop_oldest_of(&mut self, source: &Group) {
        let of_source = self.unanswered().filter(|(_, entry)| entry.source == *source);
        // One that was called in vain goes before one that was not called yet.
        let oldest = of_source.min_by_key(|(_, entry)| (Reverse(entry.failures), entry.serial));
        if let Some(oldest) = oldest.map(|(address, _)| address.clone()) {
            self.entries.remove(&oldest);
        }
    }

    /// The address to call next, if one is due: it is called now and not again for a while. What
    /// comes of it is told by [`Self::answered`] or [`Self::failed`].
    pub fn next(&mut self, known: Known<'_>, times: Times) -> Option<PeerAddress> {
        let connected = independent(known.connected);
        if connected >= OUTBOUND_TARGET || !self.is_due(times.monotonic) {
            return None;
        }
        self.look = times.monotonic + DIAL_PAUSE;
        let others = known.peers + self.entries.len();
        let wait = if others == 0 { Duration::ZERO } else { SEEDS_WAIT };
        self.seeds_from.get_or_insert(times.monotonic + wait);
        self.called.retain(|_, called| called.until > times.monotonic);
        let address = if connected < SEEDED_MIN {
            self.due_seed(known, times).or_else(|| self.due_entry(known))
        } else {
            self.due_entry(known).or_else(|| self.due_seed(known, times))
        }?;
        self.note_call(&address, times);
        Some(address)
    }

    /// Whether it is time to look for an address to call.
    pub fn is_due(&self, now: Duration) -> bool {
        now >= self.due && now >= self.look
    }

    fn note_call(&mut self, address: &PeerAddress, times: Times) {
        self.due = times.monotonic + DIAL_PAUSE;
        let until = times.monotonic + REDIAL_PAUSE;
        let called = Called { address: address.clone(), at: times.unix, until };
        self.called.insert(Place::of(address), called);
        if let Some(entry) = self.entries.get_mut(address) {
            entry.last_tried = times.unix;
        }
    }

    /// A seed that may be asked. It was named by a person, so its own pauses are all that holds it
    /// back.
    fn due_seed(&mut self, known: Known<'_>, times: Times) -> Option<PeerAddress> {
        if self.seeds_from.is_none_or(|from| times.monotonic < from) {
            return None;
        }
        let is_due = |seed: &Seed| {
            seed.due <= times.monotonic && !(known.is_settled)(&seed.address, Standing::Learned)
        };
        let due: Vec<usize> = (0..self.seeds.len()).filter(|at| is_due(&self.seeds[*at])).collect();
        let seed = &mut self.seeds[*self.dice.pick(&due)?];
        // Until it has answered it counts as one that does not.
        seed.failures = seed.failures.saturating_add(1);
        seed.due = times.monotonic + backoff(seed.failures);
        Some(seed.address.clone())
    }

    /// An address of the book: first those that not only callers have named, of these first those of
    /// networks to which there is no connection yet, and by turns one that has answered before and one
    /// that never has. Of the latter a network that named many gets no more turns than one that named
    /// few.
    fn due_entry(&mut self, known: Known<'_>) -> Option<PeerAddress> {
        let open = self.entries.iter().filter(|(address, entry)| {
            entry.standing <= known.least
                && !self.called.contains_key(&Place::of(address))
                && !(known.is_settled)(address, entry.standing)
        });
        let open: Vec<_> = open.collect();
        if open.is_empty() {
            return None;
        }
        let connected: BTreeSet<Group> = known.connected.iter().map(Group::of).collect();
        let answered_first = self.dice.below(2) == 0;
        let mut open: Vec<_> = open
            .into_iter()
            .map(|(address, entry)| {
                let is_connected = connected.contains(&Group::of(address));
                let is_late = entry.has_answered() != answered_first;
                ((entry.standing, is_connected, is_late), address, entry)
            })
            .collect();
        let best = open.iter().map(|(rank, ..)| *rank).min()?;
        open.retain(|(rank, ..)| *rank == best);
        let group = |address: &PeerAddress, entry: &Entry| {
            if entry.has_answered() { Group::of(address) } else { entry.source.clone() }
        };
        let mut groups: BTreeMap<Group, Vec<&PeerAddress>> = BTreeMap::new();
        for (_, address, entry) in open {
            groups.entry(group(address, entry)).or_default().push(address);
        }
        let groups: Vec<_> = groups.into_values().collect();
        let group = self.dice.pick(&groups)?;
        self.dice.pick(group).map(|address| (*address).clone())
    }

    /// A node of our chain has answered at `address`, called by the book or not.
    pub fn answered(&mut self, address: &PeerAddress, times: Times) {
        if let Some(seed) = self.seeds.iter_mut().find(|seed| seed.address == *address) {
            (seed.failures, seed.due) = (0, times.monotonic + REDIAL_PAUSE);
        }
        if !may_call(address, Scope::Machine) {
            return;
        }
        let own = Group::of(address);
        if !self.entries.contains_key(address) {
            self.insert(address, &own);
        }
        if let Some(entry) = self.entries.get_mut(address) {
            (entry.last_seen, entry.failures, entry.source) = (times.unix, 0, own);
        }
        if self.entries.values().filter(|entry| entry.has_answered()).count() > ANSWERED_MAX {
            self.drop_answered();
        }
    }

    /// Of the network with most addresses that have answered, the one silent for longest goes.
    fn drop_answered(&mut self) {
        let mut groups: BTreeMap<Group, Vec<(UnixTime, u64, &PeerAddress)>> = BTreeMap::new();
        for (address, entry) in self.entries.iter().filter(|(_, entry)| entry.has_answered()) {
            let group = groups.entry(Group::of(address)).or_default();
            group.push((entry.last_seen, entry.serial, address));
        }
        let largest = groups.into_values().max_by_key(Vec::len).unwrap_or_default();
        if let Some(gone) = largest.into_iter().min().map(|(_, _, address)| address.clone()) {
            self.entries.remove(&gone);
        }
    }

    /// Nobody has answered at `address`, or no node of our chain.
    pub fn failed(&mut self, address: &PeerAddress, now: UnixTime) {
        let Some(entry) = self.entries.get_mut(address) else { return };
        entry.failures = entry.failures.saturating_add(1);
        let is_missed = now.seconds_since(entry.last_seen) < MISSED_MAX_S.into();
        let most = if entry.has_answered() { FAILURES_MAX } else { TRIES_MAX };
        if entry.failures >= most && !is_missed {
            self.entries.remove(address);
        }
    }

    /// Forgets an address: it is this very node, or a person wants it away.
    pub fn forget(&mut self, address: &PeerAddress) {
        self.seeds.retain(|seed| seed.address != *address);
        self.entries.remove(address);
    }

    /// Up to [`LIST_MAX`] addresses for a node that asks from `asker`: any that have answered within
    /// a day and that it may call on our word.
    pub fn sample(&mut self, asker: IpAddr, now: UnixTime) -> Vec<PeerAddress> {
        let near = scope(asker).unwrap_or(Scope::Open);
        let is_fresh = |entry: &Entry| {
            (0..=TOLD_AFTER_MAX_S.into()).contains(&now.seconds_since(entry.last_seen))
        };
        let told = self.entries.iter().filter(|(address, entry)| {
            entry.has_answered() && is_fresh(entry) && may_call(address, near)
        });
        let told = told.map(|(address, _)| address.clone()).collect();
        self.dice.sample(told, LIST_MAX)
    }

    /// What is to be remembered over a restart: the addresses, and the calls to others that were
    /// forgotten meanwhile.
    pub fn records(&self) -> impl Iterator<Item = PeerRecord> {
        let known = self.entries.iter().map(|(address, entry)| PeerRecord {
            last_seen: entry.last_seen,
            last_tried: entry.last_tried,
            failures: entry.failures,
            came: entry.standing == Standing::Came,
            source: Some(entry.source.host().clone()),
            ..PeerRecord::new(address.clone())
        });
        let forgotten = self.called.values().filter(|called| {
            called.address.ip().is_some() && !self.entries.contains_key(&called.address)
        });
        let forgotten = forgotten.map(|called| PeerRecord {
            last_tried: called.at,
            failures: TRIES_MAX,
            source: Some(Group::of(&called.address).host().clone()),
            ..PeerRecord::new(called.address.clone())
        });
        known.chain(forgotten)
    }

    /// Takes up what was remembered; lines of the table are not the book's.
    pub fn restore(&mut self, record: &PeerRecord, times: Times) {
        let address = &record.node;
        let Some(source) = &record.source else { return };
        if !may_call(address, Scope::Machine) || self.entries.contains_key(address) {
            return;
        }
        let since = u64::try_from(times.unix.seconds_since(record.last_tried)).unwrap_or(0);
        let left = REDIAL_PAUSE.saturating_sub(Duration::from_secs(since));
        if !left.is_zero() {
            let until = times.monotonic + left;
            let called = Called { address: address.clone(), at: record.last_tried, until };
            self.called.insert(Place::of(address), called);
        }
        // A clock that was wrong then, or is now, must not make an address look fresh for ever.
        let last_seen = record.last_seen.min(times.unix);
        if last_seen == UnixTime(0) && record.failures >= TRIES_MAX {
            return;
        }
        self.insert(address, &Group::of_host(source));
        if let Some(entry) = self.entries.get_mut(address) {
            (entry.last_seen, entry.last_tried) = (last_seen, record.last_tried);
            entry.failures = record.failures;
            entry.standing = if record.came { Standing::Came } else { Standing::Learned };
        }
    }
}

#[cfg(test)]
mod tests;
