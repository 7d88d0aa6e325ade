//! Does what is due, one task after the other, in as many threads as there are workers.

use super::ask::AskError;
use super::blame::{Blame, blame};
use super::client::Call;
use super::peer::{Announcement, Claim};
use super::table::{Candidate, Outcome, Target, Task};
use super::{Network, TICK, lock, times};
use crate::node::ports::{ChainName, PeerError};
use crate::node::{NodeError, NodeHandle, Origin};
use crate::primitives::{PeerAddress, PeerId, Txid, Work};
use crate::wire::{Handshake, transfer_to_json};
use std::sync::PoisonError;

/// What another node says when it takes us for ourselves.
const OWN_ADDRESS: &str = "own-address";

/// What another node says when we are of another chain.
const OTHER_CHAIN: &str = "other-chain";

/// A handshake that went well.
pub(super) struct Greeted {
    /// What the other said.
    pub(super) theirs: Handshake,
    /// The work that it heard of from us.
    told: Work,
}

/// Why a handshake led to nothing.
pub(super) enum Met {
    /// It is no peer for us, or we are none for it.
    Refused(PeerError),
    /// It has too much to do.
    Busy,
    /// It does not answer, or with nonsense.
    Failed(String),
}

impl Network {
    /// Works until the network is stopped.
    pub(super) fn run_worker(&self) {
        while let Some(task) = self.next_task() {
            self.perform(&task);
            self.changed.notify_all();
        }
    }

    /// The next task; waits for it. `None` when it is over.
    fn next_task(&self) -> Option<Task> {
        loop {
            let now = self.node()?.now().monotonic;
            let mut table = self.table();
            match table.next(now) {
                Ok(task) => return Some(task),
                Err(wait) => {
                    let waited = self.changed.wait_timeout(table, wait.min(TICK));
                    drop(waited.unwrap_or_else(PoisonError::into_inner));
                }
            }
        }
    }

    fn perform(&self, task: &Task) {
        let outcome = match task {
            Task::Exchange(target) => return self.exchange(target),
            Task::CallBack(candidate) => return self.call_back(candidate),
            Task::Block(target, block) => self.send_block(target, block),
            Task::Transfer(target, id) => self.send_transfer(target, id),
            Task::Pull(target) => self.pull(target),
        };
        if let Some(node) = self.node() {
            self.table().done(task, outcome, node.now().monotonic);
        }
    }

    /// Shakes hands with a node. `None` when the network was stopped meanwhile.
    pub(super) fn meet(&self, peer: &PeerId, quick: bool) -> Option<Result<Greeted, Met>> {
        let ours = self.handshake(&self.node()?);
        let answer = self.asker().handshake(peer, &ours.to_json(), quick);
        if self.is_over() {
            return None;
        }
        Some(match answer {
            Ok(theirs) => match self.judge(&theirs, || peer.to_string()) {
                Ok(()) => Ok(Greeted { theirs, told: ours.work }),
                Err(error) => Err(Met::Refused(error)),
            },
            Err(AskError::Busy(_)) => Err(Met::Busy),
            Err(AskError::Refused { status: 409, code, message }) => {
                Err(Met::Refused(self.refusal(peer, &code, message)))
            }
            Err(error @ (AskError::Call(_) | AskError::Refused { .. } | AskError::Shape(_))) => {
                Err(Met::Failed(error.to_string()))
            }
        })
    }

    /// What a node means that refuses us.
    fn refusal(&self, peer: &PeerId, code: &str, reason: String) -> PeerError {
        let node = peer.to_string();
        let mut chains = ChainName::all_in(&reason).into_iter();
        match (code, chains.find(|chain| chain.id != self.chain.id)) {
            (OWN_ADDRESS, _) => PeerError::Myself(node),
            (OTHER_CHAIN, Some(theirs)) => {
                PeerError::OtherChain { node, theirs, ours: self.chain.clone() }
            }
            _ => PeerError::Refused { node, reason },
        }
    }

    fn exchange(&self, target: &Target) {
        let Some(met) = self.meet(&target.id, false) else { return };
        let Some(node) = self.node() else { return };
        let times = times(&node);
        let mut table = self.table();
        match met {
            Ok(greeted) => {
                let is_new_run = table.answered(target, &greeted.theirs, times);
                drop(table);
                if let Some(address) = target.id.address().filter(|_| is_new_run) {
                    self.merge_twin(address, greeted.theirs.instance);
                }
                self.compare(&node, &target.id, &greeted);
            }
            Err(Met::Busy) => table.busy(target, times.monotonic),
            Err(Met::Failed(reason)) => table.not_answered(target, reason, times.monotonic),
            Err(Met::Refused(error)) => {
                log::warn!("{error}");
                table.refused(target, error.to_string(), times.monotonic);
            }
        }
    }

    /// Calls a node back that came to us, and takes it in if it is where it says.
    fn call_back(&self, candidate: &Candidate) {
        // A stranger has to answer as quickly as if a person waited: others wait for the place.
        let id = PeerId::from(candidate.address.clone());
        let Some(met) = self.meet(&id, true) else { return };
        let Some(node) = self.node() else { return };
        let greeted = met.ok();
        let theirs = greeted.as_ref().map(|greeted| &greeted.theirs);
        let twin = theirs
            .filter(|theirs| theirs.instance == candidate.instance)
            .and_then(|theirs| self.spelled_otherwise(&candidate.address, theirs.instance));
        let theirs = theirs.filter(|_| twin.is_none());
        let is_new = self.table().called_back(candidate, theirs, times(&node));
        if let Some(twin) = twin {
            self.table().add_alias(&twin, candidate.address.clone());
        }
        if is_new {
            log::info!("{} is now a peer", candidate.address);
            self.save();
        }
        if let Some(greeted) = greeted {
            self.compare(&node, &id, &greeted);
        }
    }

    /// The peer that `address` is another spelling of: it names the same instance, and both lead to
    /// the same socket.
    pub(super) fn spelled_otherwise(
        &self,
        address: &PeerAddress,
        instance: u64,
    ) -> Option<PeerAddress> {
        let twins = self.table().twins(address, instance);
        twins.into_iter().find(|twin| self.client.is_same_place(address, twin))
    }

    /// A peer has answered as another run than before: is it in the list twice?
    pub(super) fn merge_twin(&self, address: &PeerAddress, instance: u64) {
        let Some(twin) = self.spelled_otherwise(address, instance) else { return };
        if let Some(kept) = self.table().merge(address, &twin) {
            log::info!("{address} and {twin} are one peer: {kept} stays");
        }
    }

    /// Who is behind? If it is us, we sync; if the other has not heard of our latest tip, because
    /// that came in between and before it was a peer, it is told at once.
    fn compare(&self, node: &NodeHandle, peer: &PeerId, greeted: &Greeted) {
        self.sync_if_behind(node, &greeted.theirs);
        let now = node.now().monotonic;
        let view = node.view();
        let theirs = &greeted.theirs;
        let known = view.chain.headers().get(&theirs.tip);
        if theirs.work <= view.chain.tip().total_work
            || known.is_some_and(|known| known.total_work >= theirs.work)
        {
            self.table().believe(peer);
        }
        if view.chain.tip().total_work > greeted.told {
            self.table().ask_again(peer, now);
        }
    }

    pub(super) fn sync_if_behind(&self, node: &NodeHandle, theirs: &Handshake) {
        if theirs.work > node.view().chain.tip().total_work {
            self.sync.request();
        }
    }

    /// 201: it has it. 200: it lacks what is before it and fetches that by itself. 409: it is old
    /// there or invalid. In both, comparing tips tells who has to move.
    fn send_block(&self, target: &Target, block: &Announcement) -> Outcome {
        match self.asker().tell(&target.id, &Call::Block(&block.text)) {
            Ok(201) => {
                let Announcement { hash, height, work, .. } = *block;
                self.table().has_block(&target.id, Claim { height, tip: hash, work });
                Outcome::Done
            }
            Ok(_) => Outcome::Compare,
            Err(error) => failed(error),
        }
    }

    /// Whatever it answers, it has seen it: most likely it knew it before.
    fn send_transfer(&self, target: &Target, id: &Txid) -> Outcome {
        let text = self.node().and_then(|node| {
            let view = node.view();
            let pending = view.chain.pool().get(id)?;
            Some(transfer_to_json(pending.transfer(), self.prefix))
        });
        let Some(text) = text else { return Outcome::Done };
        match self.asker().tell(&target.id, &Call::Transfer(&text)) {
            Ok(_) => Outcome::Done,
            Err(error) => failed(error),
        }
    }

    /// Takes over the open transactions that we lack.
    fn pull(&self, target: &Target) -> Outcome {
        let transfers = match self.asker().pool(&target.id) {
            Ok(transfers) => transfers,
            // A pool too large to look at heals by relay and by blocks.
            Err(AskError::Call(super::client::CallError::TooLong(_))) => return Outcome::Done,
            Err(error) => return failed(error),
        };
        for transfer in transfers {
            let Some(node) = self.node() else { return Outcome::Done };
            if node.view().chain.pool().get(&transfer.id()).is_some() {
                continue;
            }
            match node.submit_transfer(transfer, Origin::Peer(target.id.clone())) {
                Err(error) if blame(&error) == Blame::Lie => {
                    self.accuse(&target.id, &error);
                    return Outcome::Done;
                }
                Err(NodeError::Busy | NodeError::Stopping) => return Outcome::Done,
                Ok(_) | Err(_) => {}
            }
        }
        Outcome::Done
    }

    /// A peer has lied: it is left alone for a while.
    pub(super) fn accuse(&self, peer: &PeerId, error: &dyn std::fmt::Display) {
        let Some(node) = self.node() else { return };
        log::warn!("{peer} sent what no honest node sends, and is refused for a while: {error}");
        let reason = format!("it sent what no honest node sends: {error}");
        lock(&self.table).refuse(peer, reason, node.now().monotonic);
    }
}

fn failed(error: AskError) -> Outcome {
    match error {
        AskError::Busy(_) => Outcome::Busy,
        AskError::Call(_) | AskError::Refused { .. } | AskError::Shape(_) => {
            Outcome::Failed(error.to_string())
        }
    }
}
