//! The missing bodies of one branch, fetched in parallel and connected in order.

use super::download::{Download, Order};
use crate::chain::accept::Accepted;
use crate::chain::headers::HeaderNode;
use crate::consensus::check::CheckedBlock;
use crate::net::ask::AskError;
use crate::net::blame::{Blame, blame};
use crate::net::{FETCHERS, Network, TICK};
use crate::node::{NodeError, NodeHandle, Origin};
use crate::primitives::{Block, BlockHash, PeerId};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often a long sync says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// Bodies to fetch from one peer.
pub struct Fetch {
    order: Order,
    reply: Sender<Fetched>,
}

/// What came of it.
struct Fetched {
    call: u64,
    peer: PeerId,
    blocks: Result<Vec<CheckedBlock>, Fault>,
}

/// Why nothing came of it.
enum Fault {
    /// The peer has too much to do.
    Busy,
    /// The peer does not answer, or with something else.
    LetDown(String),
    /// The peer has sent what no honest node sends.
    Lie(NodeError),
}

/// How a download goes on after blocks were handed to the owner.
enum Handed {
    /// As many blocks joined the best chain.
    Adopted(usize),
    /// The branch leads nowhere, or this node cannot go on.
    End,
}

impl Network {
    /// Fetches bodies for the sync until the network is stopped.
    pub(in crate::net) fn run_fetcher(&self, fetches: &Receiver<Fetch>) {
        while !self.is_over() {
            let Ok(fetch) = fetches.recv_timeout(TICK) else { continue };
            let blocks = self.fetch(&fetch.order);
            let Order { call, peer, .. } = fetch.order;
            // Whoever asked may have gone on.
            let _ = fetch.reply.send(Fetched { call, peer, blocks });
        }
    }

    fn fetch(&self, order: &Order) -> Result<Vec<CheckedBlock>, Fault> {
        let blocks: Vec<Block> =
            self.asker().blocks(&order.peer, &order.hashes).map_err(|error| match error {
                AskError::Busy(_) => Fault::Busy,
                other => Fault::LetDown(other.to_string()),
            })?;
        if blocks.iter().any(|block| !order.hashes.contains(&block.hash())) {
            return Err(Fault::LetDown("it gave other blocks than it was asked for".to_owned()));
        }
        let mut checked = Vec::new();
        for block in blocks {
            let Some(node) = self.node() else { return Ok(checked) };
            let block = node.check_block(block, &node.view());
            checked.push(block.map_err(|error| Fault::Lie(error.into()))?);
        }
        Ok(checked)
    }

    /// Fetches the bodies that the branch of `target` lacks; true if the best chain has changed.
    pub(super) fn fetch_bodies(&self, target: &Arc<HeaderNode>) -> bool {
        let Some(node) = self.node() else { return false };
        let missing = missing_bodies(&node, target);
        let (count, start) = (missing.len(), node.now().monotonic);
        drop(node);
        let mut download = Download::new(missing);
        let (reply, replies) = bounded(2 * FETCHERS);
        let (mut adopted, mut told) = (0, start);
        loop {
            let Some(node) = self.node() else { return false };
            let now = node.now().monotonic;
            if now.saturating_sub(told) >= PROGRESS_EVERY {
                told = now;
                log::info!("sync: {adopted} of {count} blocks, to height {}", target.height);
            }
            match self.hand_over(&node, &mut download) {
                Handed::Adopted(blocks) => adopted += blocks,
                Handed::End => return adopted > 0,
            }
            if download.is_done() {
                return adopted > 0;
            }
            download.pass_over_stalled(now);
            self.ask_for_bodies(&node, &mut download, &reply);
            drop(node);
            if !download.is_waiting(now) {
                self.give_up(target, &download, now);
                return adopted > 0;
            }
            match replies.recv_timeout(TICK) {
                Ok(fetched) => self.take_fetched(&mut download, fetched, now),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }

    /// Asks every idle peer that claims more work than we have.
    fn ask_for_bodies(&self, node: &NodeHandle, download: &mut Download, reply: &Sender<Fetched>) {
        let sources = self.sources(node);
        let now = node.now().monotonic;
        while !self.fetches.is_full() {
            let Some(order) = download.assign(&sources, now) else { return };
            let fetch = Fetch { order, reply: reply.clone() };
            if self.fetches.try_send(fetch).is_err() {
                return;
            }
        }
    }

    fn take_fetched(&self, download: &mut Download, fetched: Fetched, now: Duration) {
        let Fetched { call, peer, blocks } = fetched;
        match blocks {
            Ok(blocks) => download.arrived(call, blocks),
            Err(Fault::Busy) => download.rest(call, now),
            Err(Fault::LetDown(reason)) => {
                download.arrived(call, Vec::new());
                self.let_down(&peer, reason);
            }
            Err(Fault::Lie(error)) => {
                download.arrived(call, Vec::new());
                self.accuse(&peer, &error);
            }
        }
    }

    /// Hands what has arrived without a gap to the owner.
    fn hand_over(&self, node: &NodeHandle, download: &mut Download) -> Handed {
        let ready = download.take_ready();
        let hashes: Vec<BlockHash> = ready.iter().map(|(block, _)| block.hash()).collect();
        let blocks = ready.into_iter().map(|(block, peer)| (block, Origin::Peer(peer))).collect();
        let mut adopted = 0;
        for (hash, result) in hashes.iter().zip(node.submit_all_checked(blocks)) {
            match result {
                Ok(Accepted::Best(change)) => adopted += change.connected.len(),
                Ok(Accepted::Known | Accepted::Side { kept: true }) => {}
                // Another branch has become heavier meanwhile.
                Ok(Accepted::Side { kept: false }) => {
                    self.sync.note_adopted(adopted);
                    return Handed::End;
                }
                Err(error) => {
                    self.sync.note_adopted(adopted);
                    self.judge_branch(download, hash, &error);
                    return Handed::End;
                }
            }
        }
        self.sync.note_adopted(adopted);
        Handed::Adopted(adopted)
    }

    /// A block of the branch is invalid. Whoever gave its body may merely have kept it; but whoever
    /// says that its best chain goes through it lies.
    fn judge_branch(&self, download: &Download, bad: &BlockHash, error: &NodeError) {
        log::warn!("sync: block {bad} is not taken: {error}");
        if blame(error) == Blame::Nobody {
            return;
        }
        let places: BTreeMap<PeerId, usize> = self
            .table()
            .peers()
            .filter_map(|peer| Some((peer.id.clone(), download.place_of(&peer.claim?.tip)?)))
            .collect();
        let bad_place = download.place_of(bad);
        for (peer, place) in places {
            if bad_place.is_some_and(|bad_place| bad_place <= place) {
                self.accuse(&peer, error);
            }
        }
    }

    fn give_up(&self, target: &HeaderNode, download: &Download, now: Duration) {
        log::info!("sync: nobody gives the blocks up to {}: another try later", target.hash);
        self.sync.withhold(target.hash, download.useless().clone(), now);
    }
}

/// The headers of the branch whose bodies are not here, upwards.
fn missing_bodies(node: &NodeHandle, target: &Arc<HeaderNode>) -> Vec<Arc<HeaderNode>> {
    let view = node.view();
    if view.chain.headers().get(&target.hash).is_none() {
        return Vec::new();
    }
    let (_, branch) = view.chain.headers().branch_to(target);
    branch.into_iter().filter(|node| view.chain.body_of(&node.hash).is_none()).collect()
}
