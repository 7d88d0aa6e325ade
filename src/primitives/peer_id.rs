//! Which peer is meant, however it is spoken with.

use super::PeerAddress;
use std::fmt;

/// The number of a live connection, whoever opened it. Each is given once in a run, so that nothing
/// meant for a connection that is gone reaches another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// A peer, as the node tells it from others. It says nothing of who stands behind it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerId {
    /// A peer that is called at its address.
    At(PeerAddress),
    /// A node that has opened a live connection to this one; gone when that closes.
    Link(LinkId),
}

impl PeerId {
    /// Where it is called, if it can be.
    pub const fn address(&self) -> Option<&PeerAddress> {
        match self {
            Self::At(address) => Some(address),
            Self::Link(_) => None,
        }
    }
}

impl From<PeerAddress> for PeerId {
    fn from(address: PeerAddress) -> Self {
        Self::At(address)
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => address.fmt(f),
            Self::Link(LinkId(number)) => write!(f, "link {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LinkId, PeerId};

    #[test]
    fn a_peer_is_shown_by_its_address_or_its_link() {
        let at = PeerId::At("127.0.0.1:5001".parse().unwrap());
        assert_eq!(at.to_string(), "127.0.0.1:5001");
        assert_eq!(PeerId::Link(LinkId(7)).to_string(), "link 7");
    }
}
