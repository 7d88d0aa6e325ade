//! One peer: what is known of it, and what waits to be sent to it.

use super::outbound::Standing;
use crate::node::ports::{PeerInfo, PeerState};
use crate::primitives::{BlockHash, Height, PeerAddress, PeerId, Txid, UnixTime, Work};
use crate::wire::{ANNOUNCED_BLOCKS_MAX, ANNOUNCED_IDS_MAX, AnnouncedBlock};
use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Blocks that wait for one peer at most. The oldest gives way: who lacks it fetches it with the
/// next tip that it hears of.
pub const OUTBOX_BLOCKS_MAX: usize = 8;

/// Transfers that wait for one peer at most, by their ids (128 KiB). The oldest gives way: the
/// peer finds it when it next looks into our pool.
pub const OUTBOX_TRANSFERS_MAX: usize = 4_096;

/// Transfers that a peer is remembered to have at most; of one that is forgotten it hears once more.
const KNOWN_MAX: usize = 2_048;

/// Other addresses of one peer that are remembered at most; more are compared by handshake again.
const ALIASES_MAX: usize = 4;

/// How often a peer may be asked in vain for the headers that it claims; after that it has to show
/// them before it counts as a peer. Honest ones are busy or out of reach now and then.
const CLAIM_TRIES_MAX: u32 = 3;

/// How much a peer's word is worth when headers are asked for; the first come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Credit {
    /// A person added it.
    Named,
    /// Its headers have borne out what it said.
    Shown,
    /// It was never asked in vain; anybody is that under a new name.
    Fresh,
    /// It was asked in vain.
    Failed,
}

/// How long a peer, or a live connection to it, has to last before what went wrong earlier is forgotten.
const STEADY: Duration = Duration::from_secs(60);

/// A block that is news, with what is said of it, made once for all peers.
#[derive(Debug)]
pub struct BlockNews {
    /// The work of the branch that ends with it.
    pub work: Work,
    /// What is said of it.
    pub said: AnnouncedBlock,
}

/// What one peer is told in one go.
#[derive(Clone, Debug, Default)]
pub struct News {
    /// Blocks, the oldest first.
    pub blocks: Vec<Arc<BlockNews>>,
    /// Ids of transfers, the oldest first.
    pub transfers: Vec<Txid>,
}

/// What a peer says of its best chain. Nothing of it is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The height of its tip.
    pub height: Height,
    /// Its tip.
    pub tip: BlockHash,
    /// All its work.
    pub work: Work,
}

/// A peer has shown headers that come too early for our clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Early {
    /// When they may be taken, by our clock.
    pub due: UnixTime,
    /// When they are asked for again all the same: the peer may have others by then.
    pub until: Duration,
}

/// What waits for one peer, blocks before transfers.
#[derive(Debug, Default)]
pub struct Outbox {
    blocks: VecDeque<Arc<BlockNews>>,
    transfers: VecDeque<Txid>,
    /// Whether something has given way since the outbox was last empty.
    pub overflowed: bool,
}

impl Outbox {
    /// Adds a block.
    pub fn push_block(&mut self, block: Arc<BlockNews>) {
        if self.blocks.len() >= OUTBOX_BLOCKS_MAX {
            self.blocks.pop_front();
            self.overflowed = true;
        }
        self.blocks.push_back(block);
    }

    /// Adds a transfer.
    pub fn push_transfer(&mut self, id: Txid) {
        if self.transfers.len() >= OUTBOX_TRANSFERS_MAX {
            self.transfers.pop_front();
            self.overflowed = true;
        }
        self.transfers.push_back(id);
    }

    /// Puts back what could not be told just now; it gives way to what is newer.
    pub fn put_back(&mut self, news: News) {
        for block in news.blocks.into_iter().rev() {
            if self.blocks.len() < OUTBOX_BLOCKS_MAX {
                self.blocks.push_front(block);
            }
        }
        for id in news.transfers.into_iter().rev() {
            if self.transfers.len() < OUTBOX_TRANSFERS_MAX {
                self.transfers.push_front(id);
            }
        }
    }

    /// What is to be told next, all blocks and as many transfers as fit.
    pub fn take(&mut self) -> News {
        let ids = self.transfers.len().min(ANNOUNCED_IDS_MAX);
        let blocks = self.blocks.len().min(ANNOUNCED_BLOCKS_MAX);
        News {
            blocks: self.blocks.drain(..blocks).collect(),
            transfers: self.transfers.drain(..ids).collect(),
        }
    }

    /// Whether a block waits.
    pub fn has_blocks(&self) -> bool {
        !self.blocks.is_empty()
    }

    /// Whether a transfer waits.
    pub fn has_transfers(&self) -> bool {
        !self.transfers.is_empty()
    }

    /// Forgets the blocks: they are old when the peer is back.
    pub fn drop_blocks(&mut self) {
        self.blocks.clear();
    }
}

/// Transfers that a peer is known to have, as far as is remembered.
#[derive(Debug, Default)]
pub struct Known {
    keys: BTreeSet<u64>,
    order: VecDeque<u64>,
}

impl Known {
    /// The peer has this transfer.
    pub fn insert(&mut self, id: &Txid) {
        let key = Self::key(id);
        if self.keys.insert(key) {
            self.order.push_back(key);
        }
        if self.order.len() > KNOWN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
    }

    /// Whether the peer has this transfer for sure.
    pub fn contains(&self, id: &Txid) -> bool {
        self.keys.contains(&Self::key(id))
    }

    /// Two ids with the same key cost whoever makes them 2^32 tries, and one transfer that a peer
    /// finds by comparing pools.
    fn key(id: &Txid) -> u64 {
        u64::from_be_bytes(*id.as_bytes().first_chunk().expect("an id has 32 bytes"))
    }
}

/// What is to be looked at of a peer's open transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pull {
    /// Nothing just now.
    #[default]
    Not,
    /// Its pool in short.
    Summary,
    /// What is in these buckets, which differ from ours.
    Buckets(Vec<u8>),
}

/// How often in a row something lasted too short a time, after it lasted so long once more.
fn flaps(before: u32, lasted: Duration) -> u32 {
    if lasted < STEADY { before.saturating_add(1) } else { 0 }
}

/// What is known of one peer.
#[derive(Debug)]
pub struct Peer {
    /// Who it is.
    pub id: PeerId,
    /// Tells it from one of the same address that was removed meanwhile.
    pub serial: u64,
    /// Where its live connection comes from, if it has no other address.
    pub from: Option<IpAddr>,
    /// Whether a person added it.
    pub manual: bool,
    /// Whether it became a peer because it has named itself to us; see [`Self::standing`].
    pub came: bool,
    /// Whether it was found to be this very node.
    pub is_own: bool,
    /// How it stands.
    pub state: PeerState,
    /// Why it does not stand better.
    pub reason: String,
    /// The random number of its run, by which other spellings of its
    /// address are found. It is public, so it proves nothing.
    pub instance: Option<u64>,
    aliases: Vec<PeerAddress>,
    /// What it says of its chain.
    pub claim: Option<Claim>,
    /// How often in a row its headers did not show what it claims.
    pub unbacked: u32,
    /// How often in a row it may yet be asked in vain before nothing counts any more of what its headers
    /// have borne out.
    pardons: u32,
    /// The tip that it claimed last and that its headers have shown to be lighter than it said.
    pub disproved: Option<BlockHash>,
    /// When it was last asked for its headers.
    pub headers_asked: Option<Duration>,
    /// Whether it may show it now although it is not believed.
    pub on_trial: bool,
    /// Whether it was among those connected longest in the last run.
    pub anchor: bool,
    /// Since when it answers.
    pub connected_since: Option<Duration>,
    /// When its list of addresses may be asked for again.
    pub list_due: Duration,
    /// When it last answered.
    pub last_seen: Option<UnixTime>,
    /// Its clock less ours, in seconds.
    pub clock_offset: Option<i64>,
    /// Its headers that come too early for our clock.
    pub early: Option<Early>,
    /// How often in a row it has not answered.
    pub failures: u32,
    /// Whether the log was told that it does not answer.
    pub is_missed: bool,
    /// Since when it has not answered.
    pub failing_since: Option<Duration>,
    /// How often in a row it came back for less than [`STEADY`].
    pub flaps: u32,
    /// When the next handshake is due.
    pub due: Duration,
    /// When it was last called for a handshake, whatever came of it.
    pub tried: Option<Duration>,
    /// Calls for a handshake that have ended, and those among them that went well.
    pub ended: u64,
    /// See `ended`.
    pub answered: u64,
    /// When it last answered a handshake.
    pub asked: Option<Duration>,
    /// Whether a call to it is under way.
    pub busy: bool,
    /// Before this nothing is sent: it was busy.
    pub not_before: Duration,
    /// What is to be looked at of its open transactions.
    pub pull: Pull,
    /// Transfers that it has for sure.
    pub known: Known,
    /// What waits for it.
    pub outbox: Outbox,
    /// Whether it says that it has opened a live connection to us.
    pub says_linked: bool,
    /// How often in a row a live connection to it did not open.
    pub link_failures: u32,
    /// How often in a row one lasted for less than [`STEADY`].
    pub link_flaps: u32,
    /// Before this none is opened.
    pub link_not_before: Duration,
}

impl Peer {
    /// A peer that has not been spoken with; its handshake is due.
    pub fn new(id: PeerId, serial: u64, manual: bool) -> Self {
        Self {
            id,
            serial,
            from: None,
            manual,
            state: PeerState::New,
            reason: String::new(),
            instance: None,
            aliases: Vec::new(),
            claim: None,
            came: false,
            is_own: false,
            unbacked: 0,
            pardons: 0,
            disproved: None,
            headers_asked: None,
            on_trial: false,
            anchor: false,
            connected_since: None,
            list_due: Duration::ZERO,
            last_seen: None,
            clock_offset: None,
            early: None,
            failures: 0,
            is_missed: false,
            failing_since: None,
            flaps: 0,
            due: Duration::ZERO,
            tried: None,
            ended: 0,
            answered: 0,
            asked: None,
            busy: false,
            not_before: Duration::ZERO,
            pull: Pull::Not,
            known: Known::default(),
            outbox: Outbox::default(),
            says_linked: false,
            link_failures: 0,
            link_flaps: 0,
            link_not_before: Duration::ZERO,
        }
    }

    /// What people may know it by.
    pub fn shown(&self) -> String {
        match self.from {
            Some(from) => format!("the guest from {from} ({})", self.id),
            None => self.id.to_string(),
        }
    }

    /// Adds what another line of the file says of it.
    pub fn remember(&mut self, other: Self) {
        self.manual |= other.manual;
        self.anchor |= other.anchor;
        self.came &= other.came;
        self.last_seen = self.last_seen.max(other.last_seen);
        self.failures = self.failures.min(other.failures);
        self.due = self.due.min(other.due);
    }

    /// Whether it has opened a live connection to us, as both sides say; `linked` are the instances of
    /// those who have one.
    pub fn reaches_us(&self, linked: &BTreeSet<u64>) -> bool {
        let is_linked = self.instance.is_some_and(|instance| linked.contains(&instance));
        is_linked && self.says_linked && self.id.address().is_some()
    }

    /// Whether the last exchange went well.
    pub fn is_connected(&self) -> bool {
        self.state == PeerState::Connected
    }

    /// It answers no more. Another thread may have read a later time when it answered.
    pub fn part(&mut self, now: Duration) {
        if self.is_connected() {
            let lasted =
                self.connected_since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
            self.flaps = flaps(self.flaps, lasted);
        }
        self.connected_since = None;
    }

    /// A live connection to it has ended that was open for so long.
    pub fn link_lasted(&mut self, lasted: Duration) {
        self.link_failures = 1;
        self.link_flaps = flaps(self.link_flaps, lasted);
    }

    /// Whether it is called at its address, and no person named that.
    pub fn is_learned(&self) -> bool {
        !self.manual && self.id.address().is_some()
    }

    /// Why it is in the table. One that has named itself does not become more by staying.
    pub const fn standing(&self) -> Standing {
        match (self.manual, self.came, self.anchor) {
            (true, ..) => Standing::Manual,
            (false, true, _) => Standing::Came,
            (false, false, true) => Standing::Anchor,
            (false, false, false) => Standing::Learned,
        }
    }

    /// Whether it has named itself to us, and nobody looked for it.
    pub fn has_come(&self) -> bool {
        self.standing() == Standing::Came
    }

    /// Whether this is the peer that is meant by `id`.
    pub fn is(&self, id: &PeerId) -> bool {
        self.id == *id || id.address().is_some_and(|address| self.is_at(address))
    }

    /// Whether this is the peer at `address`.
    pub fn is_at(&self, address: &PeerAddress) -> bool {
        self.id.address() == Some(address) || self.aliases.contains(address)
    }

    /// Where it is reached.
    pub fn addresses(&self) -> impl Iterator<Item = &PeerAddress> {
        self.id.address().into_iter().chain(&self.aliases)
    }

    /// Remembers another address of it.
    pub fn add_alias(&mut self, alias: PeerAddress) {
        if !self.is_at(&alias) && self.aliases.len() < ALIASES_MAX {
            self.aliases.push(alias);
        }
    }

    /// Forgets another address of it.
    pub fn drop_alias(&mut self, alias: &PeerAddress) {
        self.aliases.retain(|known| known != alias);
    }

    /// Whether it has failed to show what it claims too often to be a peer for now.
    pub const fn is_doubted(&self) -> bool {
        self.unbacked >= CLAIM_TRIES_MAX
    }

    /// Its headers have borne out what it said when it was asked for them.
    pub const fn bear_out(&mut self) {
        self.pardons = CLAIM_TRIES_MAX;
    }

    /// It was asked for its headers in vain.
    pub const fn doubt(&mut self) {
        self.unbacked = self.unbacked.saturating_add(1);
        self.pardons = self.pardons.saturating_sub(1);
        self.on_trial = false;
    }

    /// Where it stands among those who are asked for headers. To say less costs nothing and may be done
    /// before each claim, so it wins nothing here.
    pub const fn credit(&self) -> Credit {
        match (self.manual && !self.is_doubted(), self.pardons, self.unbacked) {
            (true, ..) => Credit::Named,
            (false, 1.., _) => Credit::Shown,
            (false, 0, 0) => Credit::Fresh,
            (false, 0, 1..) => Credit::Failed,
        }
    }

    /// Whether anybody may be it under a name that costs nothing: no person named it, and it has shown
    /// nothing.
    pub fn is_stranger(&self) -> bool {
        !self.manual && self.credit() > Credit::Shown
    }

    /// Whether it says that its chain has more work than `work`, and may be asked for it.
    pub fn claims_more_than(&self, work: Work) -> bool {
        (self.is_connected() || self.on_trial) && self.claim.is_some_and(|claim| claim.work > work)
    }

    /// What others may know of it; `None` for a connection that has no address.
    pub fn info(&self) -> Option<PeerInfo> {
        Some(PeerInfo {
            node: self.id.address()?.clone(),
            state: self.state,
            reason: self.reason.clone(),
            height: self.claim.map(|claim| claim.height),
            work: self.claim.map(|claim| claim.work),
            last_seen: self.last_seen,
            failures: self.failures,
            manual: self.manual,
            outgoing: false,
            incoming: false,
        })
    }
}
