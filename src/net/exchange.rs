//! Handshakes: who a node is, how far it is, and whether it becomes a peer.

use super::answer::{self, Answer, AskError};
use super::book::Source;
use super::client::CallError;
use super::table::{Candidate, Target};
use super::{Network, lock};
use crate::node::NodeHandle;
use crate::node::ports::{ChainName, PeerError};
use crate::primitives::{PeerAddress, PeerId, Work};
use crate::wire::Handshake;

/// What another node says when it takes us for ourselves.
const OWN_ADDRESS: &str = "own-address";

/// What another node says when we are of another chain.
const OTHER_CHAIN: &str = "other-chain";

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
    /// Reads what a node has answered to our handshake.
    pub(super) fn met(&self, peer: &PeerId, answer: Answer) -> Result<Handshake, Met> {
        match answer::handshake(answer) {
            Ok(theirs) => {
                self.judge(&theirs, || peer.to_string()).map_err(Met::Refused)?;
                Ok(theirs)
            }
            Err(AskError::Busy(_)) => Err(Met::Busy),
            Err(AskError::Refused { status: 409, code, message }) => {
                Err(Met::Refused(self.refusal(peer, &code, message)))
            }
            Err(error @ (AskError::Call(_) | AskError::Refused { .. } | AskError::Shape(_))) => {
                Err(Met::Failed(error.to_string()))
            }
        }
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

    /// A peer was asked for its handshake, and heard from us of a branch with `told` work.
    pub(super) fn exchanged(&self, target: &Target, told: Work, answer: Answer) {
        let met = self.met(&target.id, answer);
        let Some(node) = self.node() else { return };
        let (mut table, times) = self.table_now(&node);
        match met {
            Ok(theirs) => {
                let is_new_run = table.answered(target, &theirs, times);
                drop(table);
                if let Some(address) = target.id.address() {
                    let (mut book, times) = self.book_now(&node);
                    book.answered(address, times);
                }
                if let Some(address) = target.id.address().filter(|_| is_new_run) {
                    self.merge_twin(address, theirs.instance);
                }
                if let Some(address) = target.id.address() {
                    self.part_twice_linked(address, &theirs);
                }
                self.compare(&node, &target.id, (&theirs, told));
            }
            Err(Met::Busy) => table.busy(target, times.monotonic),
            Err(Met::Failed(reason)) => {
                table.not_answered(target, reason, times.monotonic);
                drop(table);
                if let Some(address) = target.id.address() {
                    let (mut book, times) = self.book_now(&node);
                    book.failed(address, times.unix);
                }
            }
            Err(Met::Refused(error @ PeerError::Myself(_))) => {
                log::warn!("{error}");
                table.found_own(target, error.to_string(), times.monotonic);
            }
            Err(Met::Refused(error)) => {
                log::warn!("{error}");
                table.refused(target, error.to_string(), times.monotonic);
            }
        }
    }

    /// A node was called back that came to us; it is taken in if it is where it says.
    pub(super) fn called_back(&self, candidate: &Candidate, told: Work, answer: Answer) {
        let id = PeerId::from(candidate.address.clone());
        let is_slow = answer == Err(CallError::TimedOut);
        let met = self.met(&id, answer).ok();
        let Some(node) = self.node() else { return };
        if is_slow {
            let (mut book, times) = self.book_now(&node);
            let source = Source::from_ip(candidate.client);
            book.hear_slow(&candidate.address, &source, times.unix);
        }
        let twin = met
            .as_ref()
            .filter(|theirs| theirs.instance == candidate.instance)
            .and_then(|theirs| self.spelled_otherwise(&candidate.address, theirs.instance));
        let theirs = met.as_ref().filter(|_| twin.is_none());
        let is_new = {
            let (mut table, times) = self.table_now(&node);
            table.called_back(candidate, theirs, times)
        };
        if let Some(twin) = twin {
            self.table().add_alias(&twin, candidate.address.clone());
        }
        if is_new {
            log::info!("{} is now a peer", candidate.address);
            if self.book().is_seed(&candidate.address) {
                self.table().looked_for(&candidate.address);
            }
            let (mut book, times) = self.book_now(&node);
            book.answered(&candidate.address, times);
            drop(book);
            self.save();
        }
        if let Some(theirs) = met {
            self.compare(&node, &id, (&theirs, told));
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
    pub(super) fn compare(
        &self,
        node: &NodeHandle,
        peer: &PeerId,
        (theirs, told): (&Handshake, Work),
    ) {
        self.sync_if_behind(node, theirs);
        let view = node.view();
        let known = view.chain.headers().get(&theirs.tip);
        if theirs.work <= view.chain.tip().total_work
            || known.is_some_and(|known| known.total_work >= theirs.work)
        {
            self.table().welcome_back(peer);
        }
        if view.chain.tip().total_work > told {
            let (mut table, times) = self.table_now(node);
            table.ask_again(peer, times.monotonic);
        }
    }

    pub(super) fn sync_if_behind(&self, node: &NodeHandle, theirs: &Handshake) {
        if theirs.work > node.view().chain.tip().total_work {
            self.request_sync();
        }
    }

    /// A peer has lied: it is left alone for a while.
    pub(super) fn accuse(&self, peer: &PeerId, error: &dyn std::fmt::Display) {
        if let Some(node) = self.node() {
            let (mut table, times) = self.table_now(&node);
            table.accuse(peer, error, times.monotonic);
            drop(table);
            self.part(peer);
        }
    }

    /// Has the sync look again at who is ahead; returns the number of the request.
    pub(super) fn request_sync(&self) -> u64 {
        let request = lock(&self.sync).request();
        self.signal.tell();
        request
    }
}
