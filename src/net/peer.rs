//! One peer: what is known of it, and what waits to be sent to it.

use crate::node::ports::{PeerInfo, PeerState};
use crate::primitives::{BlockHash, Height, PeerAddress, PeerId, Txid, UnixTime, Work};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Blocks that wait for one peer at most. The oldest gives way: who lacks it fetches it with the
/// next tip that it hears of.
pub const OUTBOX_BLOCKS_MAX: usize = 8;

/// Transfers that wait for one peer at most, by their ids (128 KiB). The oldest gives way: the
/// peer finds it when it next looks into our pool.
pub const OUTBOX_TRANSFERS_MAX: usize = 4_096;

/// Other addresses of one peer that are remembered at most; more are compared by handshake again.
const ALIASES_MAX: usize = 4;

/// How often a peer may be asked in vain for the headers that it claims; after that it has to show
/// them before it counts as a peer. Honest ones are busy or out of reach now and then.
const CLAIM_TRIES_MAX: u32 = 3;

/// A block with the text that announces it, made once for all peers.
#[derive(Debug)]
pub struct Announcement {
    /// The block.
    pub hash: BlockHash,
    /// Its height.
    pub height: Height,
    /// The work of the branch that ends with it.
    pub work: Work,
    /// The body of the request.
    pub text: Arc<str>,
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

/// What waits for one peer, blocks before transfers.
#[derive(Debug, Default)]
pub struct Outbox {
    blocks: VecDeque<Arc<Announcement>>,
    transfers: VecDeque<Txid>,
    /// Whether something has given way since the outbox was last empty.
    pub overflowed: bool,
}

impl Outbox {
    /// Adds a block.
    pub fn push_block(&mut self, block: Arc<Announcement>) {
        if self.blocks.len() >= OUTBOX_BLOCKS_MAX {
            self.blocks.pop_front();
            self.overflowed = true;
        }
        self.blocks.push_back(block);
    }

    /// Puts a block back that could not be sent just now; it gives way to newer ones.
    pub fn put_back(&mut self, block: Arc<Announcement>) {
        if self.blocks.len() < OUTBOX_BLOCKS_MAX {
            self.blocks.push_front(block);
        }
    }

    /// Adds a transfer.
    pub fn push_transfer(&mut self, id: Txid) {
        if self.transfers.len() >= OUTBOX_TRANSFERS_MAX {
            self.transfers.pop_front();
            self.overflowed = true;
        }
        self.transfers.push_back(id);
    }

    /// The next block to send.
    pub fn pop_block(&mut self) -> Option<Arc<Announcement>> {
        self.blocks.pop_front()
    }

    /// The next transfer to send.
    pub fn pop_transfer(&mut self) -> Option<Txid> {
        self.transfers.pop_front()
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

/// What is known of one peer.
#[derive(Debug)]
pub struct Peer {
    /// Who it is.
    pub id: PeerId,
    /// Tells it from one of the same address that was removed meanwhile.
    pub serial: u64,
    /// Whether a person added it.
    pub manual: bool,
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
    /// How often in a row it has not answered.
    pub failures: u32,
    /// Since when it has not answered.
    pub failing_since: Option<Duration>,
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
    /// Whether its open transactions are to be looked at.
    pub pull: bool,
    /// What waits for it.
    pub outbox: Outbox,
}

impl Peer {
    /// A peer that has not been spoken with; its handshake is due.
    pub fn new(id: PeerId, serial: u64, manual: bool) -> Self {
        Self {
            id,
            serial,
            manual,
            state: PeerState::New,
            reason: String::new(),
            instance: None,
            aliases: Vec::new(),
            claim: None,
            unbacked: 0,
            on_trial: false,
            anchor: false,
            connected_since: None,
            list_due: Duration::ZERO,
            last_seen: None,
            clock_offset: None,
            failures: 0,
            failing_since: None,
            due: Duration::ZERO,
            tried: None,
            ended: 0,
            answered: 0,
            asked: None,
            busy: false,
            not_before: Duration::ZERO,
            pull: false,
            outbox: Outbox::default(),
        }
    }

    /// Whether the last exchange went well.
    pub fn is_connected(&self) -> bool {
        self.state == PeerState::Connected
    }

    /// Whether this is the peer that is meant by `id`.
    pub fn is(&self, id: &PeerId) -> bool {
        self.id == *id || id.address().is_some_and(|address| self.is_at(address))
    }

    /// Whether this is the peer at `address`.
    pub fn is_at(&self, address: &PeerAddress) -> bool {
        self.id.address() == Some(address) || self.aliases.contains(address)
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
    pub fn is_doubted(&self) -> bool {
        self.unbacked >= CLAIM_TRIES_MAX
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
        })
    }
}
