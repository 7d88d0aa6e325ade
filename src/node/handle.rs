//! The way to the owner for every other thread.
//!
//! Judges here, in the caller's thread and the `verify` pool, all that needs no state, so that the
//! owner's turns stay short; then sends a command and waits for the reply.

use super::bodies::parse_body;
use super::command::{BlockOutcome, Command, CreatedWallet, Origin, Reply, TransferOutcome};
use super::error::NodeError;
use super::inline::Inline;
use super::view::View;
use crate::chain::accept::{AcceptError, Accepted, Now};
use crate::consensus::check::{
    BlockError, CheckedBlock, CheckedTransfer, Signatures, TransferError, check_block,
    check_transfer_form,
};
use crate::consensus::connect::HeaderError;
use crate::consensus::params::ChainParams;
use crate::consensus::verified::Verified;
use crate::primitives::{
    AddressPrefix, Block, BlockHash, BodyRef, Header, Height, PublicKey, Transfer,
};
use crate::storage::{BlockReader, StoreError};
use crate::wire::SendRequest;
use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded};
use rayon::prelude::*;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// How long a caller waits for a place in the owner's queue before it is told that the node is
/// busy.
const QUEUE_WAIT_MAX: Duration = Duration::from_secs(5);

/// Everything that other threads may do with the node. Clones share one node; the owner ends when
/// the last one is gone.
#[derive(Clone)]
pub struct NodeHandle {
    pub(super) commands: Sender<Command>,
    pub(super) shared: Arc<Shared>,
    /// The owner, where it has no thread.
    pub(super) inline: Option<Arc<Inline>>,
}

/// What the owner and all handles share.
pub(super) struct Shared {
    pub(super) view: ArcSwap<View>,
    pub(super) reader: Arc<dyn BlockReader>,
    pub(super) params: Arc<ChainParams>,
    pub(super) chain_id: BlockHash,
    pub(super) clock: Box<dyn Fn() -> Now + Send + Sync>,
    /// Checks signatures.
    pub(super) verify: Arc<rayon::ThreadPool>,
    /// What need not be verified again.
    pub(super) verified: Arc<Verified>,
}

impl Shared {
    pub(super) fn check_transfer(
        &self,
        transfer: Transfer,
    ) -> Result<CheckedTransfer, TransferError> {
        self.verified.check_transfer(transfer, &self.chain_id)
    }
}

impl NodeHandle {
    /// The node as it stood after the owner's last turn.
    pub fn view(&self) -> Arc<View> {
        self.shared.view.load_full()
    }

    /// The rules of the chain.
    pub fn params(&self) -> &Arc<ChainParams> {
        &self.shared.params
    }

    /// The genesis hash.
    pub fn chain_id(&self) -> BlockHash {
        self.shared.chain_id
    }

    /// How addresses begin here.
    pub fn prefix(&self) -> AddressPrefix {
        self.shared.params.prefix
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        (self.shared.clock)()
    }

    /// Reads kept bodies from any thread.
    pub fn reader(&self) -> &Arc<dyn BlockReader> {
        &self.shared.reader
    }

    /// Reads one kept body as a block.
    ///
    /// # Errors
    /// If the file no longer holds what was kept.
    pub fn read_block(&self, body: BodyRef) -> Result<Block, NodeError> {
        let json = self.shared.reader.read(body).map_err(store_error)?;
        Ok(parse_body(&json, self.prefix()).map_err(AcceptError::from)?)
    }

    /// Judges a block and hands it to the owner. The best chain has changed on disk and in the
    /// view when this returns [`Accepted::Best`].
    ///
    /// # Errors
    /// The rule it breaks, an unknown parent, or a failure of this node.
    pub fn submit_block(&self, block: Block, origin: Origin) -> Result<BlockOutcome, NodeError> {
        let view = self.view();
        let hash = block.hash();
        if view.chain.body_of(&hash).is_some() {
            return Ok(Accepted::Known);
        }
        if view.chain.is_invalid(&hash) {
            return Err(AcceptError::KnownInvalid(hash).into());
        }
        let previous = block.header.previous;
        if view.chain.headers().get(&previous).is_none() {
            self.check_claimed_work(&block)?;
            return Err(AcceptError::UnknownParent(previous).into());
        }
        self.judge_header(&block.header, &view)?;
        self.submit_checked(self.judge_block(block, &view)?, origin)
    }

    /// As [`Self::check_block`], for a block whose header is good: if its header commits to what is
    /// wrong with it, it is remembered as invalid, so that nobody is asked for it again.
    ///
    /// # Errors
    /// The rule it breaks, or a failure of this node.
    pub fn judge_block(&self, block: Block, view: &View) -> Result<CheckedBlock, NodeError> {
        let header = block.header;
        let checked = self.check_block(block, view);
        if checked.as_ref().is_err_and(BlockError::is_final) {
            self.ask(|reply| Command::Refuse { header, reply })?;
        }
        Ok(checked?)
    }

    /// The header's rules come before the body is looked at: they cost microseconds. One from the
    /// future passes, for the owner to set aside.
    fn judge_header(&self, header: &Header, view: &View) -> Result<(), NodeError> {
        if view.chain.headers().get(&header.hash()).is_some() {
            return Ok(());
        }
        match view.chain.judge_header(header, self.now().unix) {
            Ok(_) | Err(AcceptError::Header(HeaderError::FromTheFuture { .. })) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Hands a checked block to the owner.
    ///
    /// # Errors
    /// As [`Self::submit_block`].
    pub fn submit_checked(
        &self,
        block: CheckedBlock,
        origin: Origin,
    ) -> Result<BlockOutcome, NodeError> {
        self.ask(|reply| Command::Block { block, origin, reply })
    }

    /// Hands blocks to the owner all at once, parents before children, so that they share its
    /// turns and flushes; returns what became of each.
    pub fn submit_all_checked(
        &self,
        blocks: Vec<(CheckedBlock, Origin)>,
    ) -> Vec<Result<BlockOutcome, NodeError>> {
        let sent: Vec<_> = blocks
            .into_iter()
            .map(|(block, origin)| {
                self.send_command(|reply| Command::Block { block, origin, reply })
            })
            .collect();
        sent.into_iter().map(|sent| self.wait(&sent?)).collect()
    }

    /// Judges all of a block that needs no chain. Transfers of the pool, and others that were verified
    /// not long ago, are not verified again.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn check_block(&self, block: Block, view: &View) -> Result<CheckedBlock, BlockError> {
        let Shared { chain_id, params, verify, verified, .. } = &*self.shared;
        let known = |id: &_| view.chain.pool().get(id).is_some() || verified.contains(chain_id, id);
        let signatures = Signatures::Verify { chain_id, known: &known };
        let checked = verify.install(|| check_block(block, params, &signatures))?;
        verified.remember(chain_id, &checked);
        Ok(checked)
    }

    /// A block whose parent is unknown cannot be judged, but it must have cost its sender work.
    fn check_claimed_work(&self, block: &Block) -> Result<(), BlockError> {
        let (hash, easiest) = (block.hash(), self.shared.params.retarget.easiest);
        if easiest.is_met_by(&hash) {
            Ok(())
        } else {
            Err(BlockError::NoProofOfWork { hash, easiest })
        }
    }

    /// Adds headers, each the parent of the next, and returns the height of the last.
    ///
    /// # Errors
    /// The rule that the first bad one breaks; those before it are kept.
    pub fn submit_headers(&self, headers: Vec<Header>) -> Result<Height, NodeError> {
        self.ask(|reply| Command::Headers { headers, reply })
    }

    /// Judges a transfer and hands it to the owner. It is on disk when this returns.
    ///
    /// # Errors
    /// The rule it breaks, or a failure of this node.
    pub fn submit_transfer(
        &self,
        transfer: Transfer,
        origin: Origin,
    ) -> Result<TransferOutcome, NodeError> {
        // Cheap checks first, the signature last.
        check_transfer_form(&transfer)?;
        let view = self.view();
        let context = view.chain.pool_context(self.now().monotonic);
        view.chain.pool().precheck(&transfer, transfer.id(), &context)?;
        let transfer = self.shared.check_transfer(transfer)?;
        self.ask(|reply| Command::Transfer { transfer, origin, reply })
    }

    /// Judges transfers, each as [`Self::submit_transfer`] does, and hands them to the owner all at
    /// once, so that they share its turns and flushes; returns what became of each.
    pub fn submit_transfers(
        &self,
        transfers: Vec<Transfer>,
        origin: &Origin,
    ) -> Vec<Result<TransferOutcome, NodeError>> {
        // Whether one that follows another of them fits the pool only the owner can tell.
        let mut senders = HashSet::new();
        let view = self.view();
        let fits = |transfer: Transfer| {
            if senders.insert(transfer.sender) {
                let context = view.chain.pool_context(self.now().monotonic);
                view.chain.pool().precheck(&transfer, transfer.id(), &context)?;
            }
            Ok(transfer)
        };
        let fitting: Vec<Result<_, NodeError>> = transfers.into_iter().map(fits).collect();
        let check = |fitting: Result<Transfer, NodeError>| {
            let transfer = fitting?;
            check_transfer_form(&transfer)?;
            Ok(self.shared.check_transfer(transfer)?)
        };
        let judged: Vec<Result<_, NodeError>> =
            self.shared.verify.install(|| fitting.into_par_iter().map(check).collect());
        let send = |transfer| {
            let origin = origin.clone();
            self.send_command(|reply| Command::Transfer { transfer, origin, reply })
        };
        let sent: Vec<_> = judged.into_iter().map(|judged| judged.and_then(send)).collect();
        sent.into_iter().map(|sent| sent.and_then(|answer| self.wait(&answer))).collect()
    }

    /// Pays from the wallet: the owner picks the nonce and signs, so two payments never collide.
    ///
    /// # Errors
    /// No wallet, too little money, or a failure of this node.
    pub fn send(&self, request: SendRequest) -> Result<CheckedTransfer, NodeError> {
        self.ask(|reply| Command::Send { request, reply })
    }

    /// Creates a wallet; the one before it is kept under a dated name.
    ///
    /// # Errors
    /// If it could not be written down.
    pub fn create_wallet(&self) -> Result<CreatedWallet, NodeError> {
        self.ask(|reply| Command::CreateWallet { reply })
    }

    /// Loads the wallet file.
    ///
    /// # Errors
    /// If there is none, or it is damaged.
    pub fn load_wallet(&self) -> Result<PublicKey, NodeError> {
        self.ask(|reply| Command::LoadWallet { reply })
    }

    fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, NodeError> {
        self.wait(&self.send_command(command)?)
    }

    /// Waits for the reply to a command; where the owner has no thread, by running its turn.
    fn wait<T>(&self, answer: &Receiver<Result<T, NodeError>>) -> Result<T, NodeError> {
        if let Some(inline) = &self.inline {
            while answer.is_empty() && inline.turn() {}
        }
        answer.recv().map_err(|_| NodeError::Stopping)?
    }

    /// Sends a command; the reply comes on what is returned.
    fn send_command<T>(
        &self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<Receiver<Result<T, NodeError>>, NodeError> {
        if let Some(inline) = self.inline.as_ref().filter(|_| self.commands.is_full()) {
            inline.turn();
        }
        let (reply, answer) = bounded(1);
        self.commands.send_timeout(command(reply), QUEUE_WAIT_MAX).map_err(
            |error| match error {
                SendTimeoutError::Timeout(_) => NodeError::Busy,
                SendTimeoutError::Disconnected(_) => NodeError::Stopping,
            },
        )?;
        Ok(answer)
    }
}

pub(super) fn store_error(error: StoreError) -> NodeError {
    NodeError::Store(Arc::new(error))
}
