//! What the table hands out, and what comes of it.

use crate::net::peer::Announcement;
use crate::primitives::{PeerAddress, PeerId, Txid};
use std::net::IpAddr;
use std::sync::Arc;

/// A node that wants to become a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where it says it is; it calls from there itself, so calling back troubles nobody else.
    pub address: PeerAddress,
    /// The instance that must answer there.
    pub instance: u64,
    /// Who has named it.
    pub client: IpAddr,
}

/// A peer as it was when a task for it was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Who it is.
    pub id: PeerId,
    pub(super) serial: u64,
    pub(super) suspect: bool,
}

/// What is to be done for one peer.
#[derive(Clone, Debug)]
pub enum Task {
    /// Exchange handshakes.
    Exchange(Target),
    /// See whether the candidate is where it says.
    CallBack(Candidate),
    /// Send a block.
    Block(Target, Arc<Announcement>),
    /// Send a transfer, if it is still pending.
    Transfer(Target, Txid),
    /// Look at the open transactions.
    Pull(Target),
    /// Ask which other nodes it knows.
    Addresses(Target),
    /// See whether a node is where the book says.
    Dial(PeerAddress),
}

impl Task {
    /// Whom it is about.
    pub fn peer(&self) -> PeerId {
        match self {
            Self::Exchange(target)
            | Self::Block(target, _)
            | Self::Transfer(target, _)
            | Self::Pull(target)
            | Self::Addresses(target) => target.id.clone(),
            Self::CallBack(candidate) => candidate.address.clone().into(),
            Self::Dial(address) => address.clone().into(),
        }
    }
}

/// What came of a call that was not a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Done,
    /// It was answered, and tips should be compared.
    Compare,
    /// The peer is busy.
    Busy,
    /// The peer did not answer, or with nonsense.
    Failed(String),
}
