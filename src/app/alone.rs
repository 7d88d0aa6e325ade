//! A node without peers.

use crate::node::NodeHandle;
use crate::node::ports::{PeerControl, PeerError, PeerInfo, Resolved, SyncStatus};
use crate::primitives::PeerAddress;
use crate::wire::Handshake;
use std::net::IpAddr;

/// Takes no peer.
pub(super) struct Alone(pub(super) NodeHandle);

impl PeerControl for Alone {
    fn list(&self) -> Vec<PeerInfo> {
        Vec::new()
    }

    fn add(&self, _: PeerAddress) -> Result<Option<String>, PeerError> {
        Err(PeerError::TooMany { max: 0 })
    }

    fn remove(&self, _: &PeerAddress) {}

    fn greet(&self, _: &Handshake, client: IpAddr) -> Result<Handshake, PeerError> {
        Err(PeerError::Myself(client.to_string()))
    }

    fn is_ahead(&self, _: Option<PeerAddress>) {}

    fn resolve(&self) -> Resolved {
        Resolved { replaced: false, answered: 0, asked: 0 }
    }

    fn sync_status(&self) -> SyncStatus {
        let best_height = self.0.view().chain.height();
        SyncStatus { synced: true, best_height, clock_offset: None }
    }
}
