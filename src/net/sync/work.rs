//! What the sync has others do: reading and judging what has come, and handing blocks to the owner,
//! in the thread that finishes the job.

use super::bodies::{End, Fault, Handed};
use super::download::Order;
use super::headers::{HeadersAsked, HeadersGiven};
use super::{Scene, Sync};
use crate::chain::accept::Accepted;
use crate::consensus::check::CheckedBlock;
use crate::net::answer::{self, Answer, AskError};
use crate::net::blame::{Blame, blame};
use crate::net::{Network, lock};
use crate::node::{NodeError, NodeHandle, Origin};
use crate::primitives::{BlockHash, Header, PeerId};
use crate::wire::HEADERS_MAX;

impl Network {
    /// A peer was asked for headers.
    pub(in crate::net) fn headers_came(&self, asked: &HeadersAsked, answer: Answer) {
        let Some(node) = self.node() else { return };
        let given = match answer::headers(answer) {
            Ok(headers) => take_headers(&node, asked, headers),
            Err(AskError::Busy(_)) => HeadersGiven::Busy,
            Err(error) => HeadersGiven::Nothing(error.to_string()),
        };
        self.decide(&node, |sync, scene| sync.headers_given(given, scene));
    }

    /// A peer was asked for bodies of the branch with this serial.
    pub(in crate::net) fn bodies_came(&self, serial: u64, order: &Order, answer: Answer) {
        let Some(node) = self.node() else { return };
        let given = self.judge_bodies(&node, order, answer);
        self.decide(&node, |sync, scene| sync.bodies_given((serial, order), given, scene));
        self.hand_over(&node);
    }

    /// Has the sync decide on what has come.
    fn decide(&self, node: &NodeHandle, decide: impl FnOnce(&mut Sync, &mut Scene<'_>)) {
        let (view, now) = (node.view(), node.now().monotonic);
        let (mut sync, mut table) = (lock(&self.sync), self.table());
        decide(&mut sync, &mut Scene { now, chain: &view.chain, table: &mut table });
        drop((table, sync));
        self.signal.tell();
    }

    /// Judges all that needs no chain.
    fn judge_bodies(
        &self,
        node: &NodeHandle,
        order: &Order,
        answer: Answer,
    ) -> Result<Vec<CheckedBlock>, Fault> {
        let blocks = answer::blocks(answer, self.prefix).map_err(|error| match error {
            AskError::Busy(_) => Fault::Busy,
            other => Fault::LetDown(other.to_string()),
        })?;
        if blocks.iter().any(|block| !order.hashes.contains(&block.hash())) {
            return Err(Fault::LetDown("it gave other blocks than it was asked for".to_owned()));
        }
        let lie = |error: NodeError| Fault::Lie(error.to_string());
        let judged = blocks
            .into_iter()
            .map(|block| node.check_block(block, &node.view()).map_err(|error| lie(error.into())));
        judged.collect()
    }

    /// Hands what has arrived without a gap to the owner, until there is no more or another does.
    fn hand_over(&self, node: &NodeHandle) {
        loop {
            let ready = lock(&self.sync).take_ready();
            if ready.is_empty() {
                return;
            }
            let handed = submit(node, ready);
            self.decide(node, |sync, scene| sync.handed(&handed, scene));
        }
    }
}

/// Hands headers to the owner.
fn take_headers(node: &NodeHandle, asked: &HeadersAsked, headers: Vec<Header>) -> HeadersGiven {
    if headers.first().is_some_and(|first| !asked.locator.contains(&first.previous)) {
        return HeadersGiven::Nothing("its headers do not follow what we have".to_owned());
    }
    let full = headers.len() >= HEADERS_MAX;
    let Some(last) = headers.last().map(Header::hash) else {
        return HeadersGiven::Taken { last: None, full, gained: 0 };
    };
    let joined = headers.windows(2).all(|pair| pair[1].previous == pair[0].hash());
    let easiest = node.params().retarget.easiest;
    if !joined || !headers.iter().all(|header| easiest.is_met_by(&header.hash())) {
        return HeadersGiven::Lie("headers that do not join or have no proof of work".to_owned());
    }
    let before = node.view().chain.headers().len();
    match node.submit_headers(headers) {
        Ok(_) => {
            let gained = node.view().chain.headers().len().saturating_sub(before);
            HeadersGiven::Taken { last: Some(last), full, gained }
        }
        Err(error) if blame(&error) == Blame::Lie => HeadersGiven::Lie(error.to_string()),
        Err(error) => {
            log::info!("headers of {} are not taken: {error}", asked.peer);
            HeadersGiven::NotTaken
        }
    }
}

/// Hands blocks to the owner, in order.
fn submit(node: &NodeHandle, ready: Vec<(CheckedBlock, PeerId)>) -> Handed {
    let hashes: Vec<BlockHash> = ready.iter().map(|(block, _)| block.hash()).collect();
    let blocks = ready.into_iter().map(|(block, peer)| (block, Origin::Peer(peer))).collect();
    let mut adopted = 0;
    for (hash, result) in hashes.iter().zip(node.submit_all_checked(blocks)) {
        match result {
            Ok(Accepted::Best(change)) => adopted += change.connected.len(),
            Ok(Accepted::Known | Accepted::Side { kept: true }) => {}
            Ok(Accepted::Side { kept: false }) => return Handed { adopted, end: Some(End::Here) },
            Err(error) => {
                log::warn!("sync: block {hash} is not taken: {error}");
                let end = match blame(&error) {
                    Blame::Lie => End::Invalid(*hash, error.to_string()),
                    Blame::Nobody => End::Here,
                };
                return Handed { adopted, end: Some(end) };
            }
        }
    }
    Handed { adopted, end: None }
}
