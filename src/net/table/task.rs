//! What the table hands out, and what comes of it.

use crate::net::client::Pace;
use crate::net::incoming::Form;
use crate::net::peer::News;
use crate::primitives::{BlockHash, PeerAddress, PeerId, Txid};
use std::net::IpAddr;

/// A node that wants to become a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where it says it is; it calls from there itself, so calling back troubles nobody else.
    pub address: PeerAddress,
    /// The instance that must answer there.
    pub instance: u64,
    /// Who has named it.
    pub client: IpAddr,
    /// How soon it has to answer.
    pub pace: Pace,
}

/// A peer as it was when a task for it was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Who it is.
    pub id: PeerId,
    pub(super) serial: u64,
    pub(super) suspect: bool,
}

impl Target {
    /// Calls that it takes of those there are: on a live connection nobody waits with a thread.
    pub(super) fn calls(&self) -> usize {
        usize::from(self.id.address().is_some())
    }

    /// Those among them to one who may not answer.
    pub(super) fn suspect_calls(&self) -> usize {
        usize::from(self.suspect && self.id.address().is_some())
    }
}

/// What is to be done for one peer.
#[derive(Clone, Debug)]
pub enum Task {
    /// Exchange handshakes.
    Exchange(Target),
    /// See whether the candidate is where it says.
    CallBack(Candidate),
    /// Ask which other nodes it knows.
    Addresses(Target),
    /// See whether a node is where the book says.
    Dial(PeerAddress, Pace),
    /// Tell what is new.
    Announce(Target, News),
    /// Look at its pool in short.
    Summary(Target),
    /// Look at what these buckets of its pool hold.
    Buckets(Target, Vec<u8>),
    /// Fetch transfers that it has announced.
    Transfers(Target, Vec<Txid>),
    /// Fetch a block that it has announced.
    Block(Target, BlockHash, Form),
}

impl Task {
    /// Whom it is about.
    pub fn peer(&self) -> PeerId {
        self.whom().map_or_else(|stranger| stranger.clone().into(), |target| target.id.clone())
    }

    /// The peer as it was when this was handed out; `None` for a stranger.
    pub fn target(&self) -> Option<&Target> {
        self.whom().ok()
    }

    /// The peer, or the stranger's address.
    const fn whom(&self) -> Result<&Target, &PeerAddress> {
        match self {
            Self::CallBack(Candidate { address, .. }) | Self::Dial(address, _) => Err(address),
            Self::Exchange(target)
            | Self::Addresses(target)
            | Self::Announce(target, _)
            | Self::Summary(target)
            | Self::Buckets(target, _)
            | Self::Transfers(target, _)
            | Self::Block(target, ..) => Ok(target),
        }
    }
}

/// What came of a call that was not a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Done,
    /// The peer is busy.
    Busy,
    /// The peer did not answer, or with nonsense.
    Failed(String),
}
