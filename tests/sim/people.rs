//! What people do: they pay, and they remove peers and add them again.

use crate::clock::{MINUTE, SECOND};
use crate::finale::News;
use crate::world::{What, World};
use farthing::node::ports::PeerControl;
use farthing::primitives::{Amount, Expiry, Memo, PeerAddress};
use farthing::wire::SendRequest;

/// Payments of a burst at most: a queue of one sender that no block and no gap of nonces holds.
const BURST_MAX: u64 = 40;

/// Blocks until a payment that expires does so.
const EXPIRES_IN: u64 = 10;

impl World {
    /// A person pays, and will pay again.
    pub fn person(&mut self, index: usize) {
        let every = self.plan.pay_every;
        let wait = every / 2 + self.random.below(every);
        self.after(wait, What::Pay(index));
        if !self.is_paying {
            return;
        }
        let burst = if self.random.percent(5) { 1 + self.random.below(BURST_MAX) } else { 1 };
        for _ in 0..burst {
            if !self.pay(index) {
                return;
            }
        }
    }

    /// A person removes one of its peers, and is sorry later.
    pub fn quarrel(&mut self, index: usize) {
        let Some(run) = &self.nodes[index].run else { return };
        let (network, peers) = (run.network.clone(), run.network.list());
        if peers.is_empty() {
            return;
        }
        let peer = peers[self.pick(peers.len())].node.clone();
        network.remove(&peer);
        self.tally.quarrels += 1;
        self.note(18, || format!("node {index} removes {peer}"));
        let wait = SECOND + self.random.below(5 * MINUTE);
        self.after(wait, What::Befriend(index, peer));
        self.settle(index);
    }

    /// A person adds a peer again. If its node is down, it does so later.
    pub fn befriend(&mut self, index: usize, peer: &PeerAddress) {
        let Some(run) = &self.nodes[index].run else {
            return self.after(MINUTE, What::Befriend(index, peer.clone()));
        };
        let added = run.network.add(peer.clone());
        self.note(19, || format!("node {index} adds {peer}: {added:?}"));
        self.settle(index);
    }

    /// False if the node is down or has just gone down.
    fn pay(&mut self, index: usize) -> bool {
        let to = self.pick(self.nodes.len());
        let Some(run) = &self.nodes[index].run else { return false };
        let handle = run.handle.clone();
        let memo: Memo = if self.random.percent(20) { "tea" } else { "" }.parse().expect("short");
        let next = handle.view().chain.height().next().0;
        let in_blocks = u32::try_from(self.random.below(EXPIRES_IN)).expect("few");
        let expires = self.random.percent(self.plan.expiring);
        let outcome = handle.send(SendRequest {
            recipient: self.nodes[to].key,
            amount: Amount::from_units(1 + self.random.below(1_000)),
            fee: Amount::from_units(self.random.below(500)),
            memo,
            expiry: if expires { Expiry(next + in_blocks) } else { Expiry::NEVER },
            request_id: None,
        });
        if !self.settle(index) {
            return false;
        }
        match outcome {
            Ok(transfer) => {
                self.tally.paid += 1;
                self.tally.expiring += u64::from(expires);
                let id = transfer.id();
                self.checks.transfer_acknowledged(&transfer);
                self.announce(News::Transfer(transfer));
                self.note(2, || format!("node {index} pays {id}"));
            }
            Err(error) => self.note(3, || format!("node {index} does not pay: {error}")),
        }
        true
    }
}
