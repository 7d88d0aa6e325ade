//! The owner of the chain: one thread, one turn after the other.

use super::bodies::StoreBodies;
use super::command::{Command, CreatedWallet, Origin, Reply, TransferOutcome};
use super::error::NodeError;
use super::events::{Event, Listeners};
use super::handle::Shared;
use super::open::Aux;
use super::pool_file::PoolFile;
use super::reorganization::{OTHER_CAME, Reorganization};
use super::view::View;
use super::wallet_file;
use crate::chain::Chain;
use crate::chain::accept::{AcceptError, Accepted, Now, TipChange};
use crate::chain::pool::Admitted;
use crate::consensus::check::{CheckedBlock, CheckedTransfer};
use crate::consensus::connect::HeaderError;
use crate::primitives::{BlockHash, Header, Height, PublicKey, Txid, UnixTime};
use crate::storage::disk::DiskFile;
use crate::storage::{BlockStore, StoreError};
use crate::wallet::{UnsignedTransfer, Wallet};
use crate::wire::{RequestId, SendRequest};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use log::Level;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Commands that wait for the owner at most; then callers wait, and at last are told "busy".
pub(super) const COMMANDS_MAX: usize = 1_024;

/// Commands of one turn at most: they share one write and one flush.
const TURN_MAX: usize = 256;

/// Blocks from the future that are set aside at most; the one due last gives way.
const FUTURE_MAX: usize = 32;

/// Request ids that are remembered at most; the oldest gives way.
const REQUEST_IDS_MAX: usize = 10_000;

/// Blocks that give way at once from which on it is a warning: chance alone hardly ever makes so many.
const DEEP: usize = 6;

/// How long the owner sleeps when nothing is asked of it.
const TICK: Duration = Duration::from_millis(500);

/// The thread that owns the chain, its files and the wallet.
pub struct Owner {
    pub(super) commands: Receiver<Command>,
    pub(super) shared: Arc<Shared>,
    pub(super) listeners: Listeners,
    pub(super) store: Box<dyn BlockStore>,
    pub(super) pool_file: PoolFile,
    pub(super) wallet_file: DiskFile,
    pub(super) aux: Aux,
    pub(super) wallet: Option<Wallet>,
    pub(super) future: Vec<(UnixTime, CheckedBlock, Origin)>,
    pub(super) sent: SentRequests,
}

/// The payments made under a request id, so that asking again does not pay again.
#[derive(Default)]
pub(super) struct SentRequests {
    by_id: HashMap<RequestId, (SendRequest, CheckedTransfer)>,
    order: VecDeque<RequestId>,
}

impl SentRequests {
    fn remember(&mut self, request: SendRequest, transfer: &CheckedTransfer) {
        let Some(id) = request.request_id.clone() else { return };
        if self.order.len() >= REQUEST_IDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        self.order.push_back(id.clone());
        self.by_id.insert(id, (request, transfer.clone()));
    }

    /// The payment that was made under the id of `request`: before this turn, or `in_turn`.
    fn find(
        &self,
        request: &SendRequest,
        in_turn: &[(SendRequest, CheckedTransfer)],
    ) -> Result<Option<CheckedTransfer>, NodeError> {
        let Some(id) = &request.request_id else { return Ok(None) };
        let now = in_turn.iter().find(|(sent, _)| sent.request_id.as_ref() == Some(id));
        match self.by_id.get(id).or(now) {
            Some((before, transfer)) if before == request => Ok(Some(transfer.clone())),
            Some(_) => Err(NodeError::RequestIdReused(id.to_string())),
            None => Ok(None),
        }
    }
}

/// Answers one command once it is known whether the turn could be written down.
type Answer = Box<dyn FnOnce(Result<(), Arc<StoreError>>)>;

/// What a turn has decided but not yet written down.
struct Turn {
    next: View,
    now: Now,
    events: Vec<Event>,
    replies: Vec<Answer>,
    sent: Vec<(SendRequest, CheckedTransfer)>,
    /// Blocks from the future whose time has come.
    due: Vec<BlockHash>,
    /// Transfers that a change of the tip has dropped, or returned for others to throw out.
    dropped: BTreeSet<Txid>,
}

impl Turn {
    /// Replies with `result` once the turn is on disk; if that fails, nothing has happened.
    fn reply<T: 'static>(&mut self, reply: Reply<T>, result: Result<T, NodeError>) {
        self.replies.push(Box::new(move |written| {
            let result = match written {
                Err(error) if result.is_ok() => Err(NodeError::Store(error)),
                _ => result,
            };
            // Whoever asked may have left.
            let _ = reply.send(result);
        }));
    }

    /// Replies with `result` once the view is published, whatever else the turn could write: the
    /// wallet has a file of its own.
    fn reply_anyway<T: 'static>(&mut self, reply: Reply<T>, result: Result<T, NodeError>) {
        self.replies.push(Box::new(move |_| {
            let _ = reply.send(result);
        }));
    }
}

impl Owner {
    /// Works until the last handle is gone.
    ///
    /// # Errors
    /// A failed flush, after which nothing may be acknowledged any more.
    pub fn run(mut self) -> Result<(), Arc<StoreError>> {
        loop {
            let first = match self.commands.recv_timeout(TICK) {
                Ok(command) => Some(command),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            self.turn(first)?;
        }
    }

    /// One turn: the command that came, and those that wait behind it.
    pub(super) fn turn(&mut self, first: Option<Command>) -> Result<(), Arc<StoreError>> {
        let mut turn = Turn {
            next: View::clone(&self.shared.view.load()),
            now: (self.shared.clock)(),
            events: Vec::new(),
            replies: Vec::new(),
            sent: Vec::new(),
            due: Vec::new(),
            dropped: BTreeSet::new(),
        };
        turn.next.chain.drop_overdue(turn.now);
        self.retry_future(&mut turn);
        let mut next = first;
        for _ in 0..TURN_MAX {
            let Some(command) = next.take().or_else(|| self.commands.try_recv().ok()) else {
                break;
            };
            self.handle(&mut turn, command);
        }
        self.finish(turn)
    }

    /// Writes, publishes, replies, tells: in this order, because whoever has a reply must be able
    /// to read what it says.
    fn finish(&mut self, mut turn: Turn) -> Result<(), Arc<StoreError>> {
        if let Err(error) = self.write(&turn) {
            self.store.discard();
            self.pool_file.discard();
            return self.fail(turn, error);
        }
        for (request, transfer) in std::mem::take(&mut turn.sent) {
            self.sent.remember(request, &transfer);
        }
        self.future.retain(|(_, block, _)| !turn.due.contains(&block.hash()));
        turn.next.wallet = self.wallet.as_ref().map(Wallet::public_key);
        self.shared.view.store(Arc::new(turn.next));
        for reply in turn.replies {
            reply(Ok(()));
        }
        for event in &turn.events {
            self.listeners.tell(event);
        }
        self.pool_file.compact(self.shared.view.load().chain.pool());
        Ok(())
    }

    fn write(&mut self, turn: &Turn) -> Result<(), StoreError> {
        let before = self.shared.view.load();
        self.pool_file.stage(before.chain.pool(), &turn.next.chain, &turn.dropped)?;
        self.store.commit()?;
        self.pool_file.commit()
    }

    /// Nothing of the turn has happened, and everyone who waits is told.
    fn fail(&mut self, turn: Turn, error: StoreError) -> Result<(), Arc<StoreError>> {
        log::error!("nothing was changed: {error}");
        let fatal = error.is_fatal();
        let error = Arc::new(error);
        for reply in turn.replies {
            reply(Err(error.clone()));
        }
        if fatal { Err(error) } else { Ok(()) }
    }

    fn handle(&mut self, turn: &mut Turn, command: Command) {
        match command {
            Command::Block { block, origin, reply } => {
                let result = self.accept_block(turn, &block, origin);
                turn.reply(reply, result);
            }
            Command::Refuse { header, reply } => {
                turn.next.chain.refuse_block(&header, turn.now);
                turn.reply(reply, Ok(()));
            }
            Command::Headers { headers, reply } => {
                let result = accept_headers(turn, &headers);
                turn.reply(reply, result);
            }
            Command::Transfer { transfer, origin, reply } => {
                let result = self.accept_transfer(turn, transfer, origin);
                turn.reply(reply, result);
            }
            Command::Send { request, reply } => {
                let result = self.send(turn, request);
                turn.reply(reply, result);
            }
            Command::CreateWallet { reply } => {
                let result = self.create_wallet(turn);
                turn.reply_anyway(reply, result);
            }
            Command::LoadWallet { reply } => {
                let result = self.load_wallet(turn);
                turn.reply_anyway(reply, result);
            }
        }
    }

    fn accept_block(
        &mut self,
        turn: &mut Turn,
        block: &CheckedBlock,
        origin: Origin,
    ) -> Result<Accepted, NodeError> {
        let prefix = self.shared.params.prefix;
        let mut bodies = StoreBodies { store: &mut *self.store, prefix };
        let accepted = turn.next.chain.accept_block(block, turn.now, &mut bodies);
        if let Err(AcceptError::Header(HeaderError::FromTheFuture { .. })) = &accepted {
            self.set_aside(block, origin);
            return Ok(accepted?);
        }
        let accepted = accepted?;
        if let Accepted::Best(change) = &accepted {
            log_change(change, &turn.next.chain);
            turn.dropped.extend(change.dropped.iter().map(|(transfer, _)| transfer.id()));
            turn.dropped.extend(&change.returned);
            self.note_reorganization(turn, change);
            turn.next.tip_changes += 1;
            turn.next.pool_changes += 1;
            let (change, block) = (change.clone(), block.clone());
            turn.events.push(Event::Tip { change, block, origin });
        }
        Ok(accepted)
    }

    fn note_reorganization(&self, turn: &mut Turn, change: &TipChange) {
        let pool = turn.next.chain.pool();
        if let Some(happened) = Reorganization::new(change, pool, turn.now.unix) {
            turn.next.reorganization = Some(Arc::new(happened));
        }
    }

    /// Keeps a block from the future until it is due; the one due last gives way.
    fn set_aside(&mut self, block: &CheckedBlock, origin: Origin) {
        if self.future.iter().any(|(_, known, _)| known.hash() == block.hash()) {
            return;
        }
        self.future.push((block.block().header.time, block.clone(), origin));
        self.future.sort_by_key(|(time, ..)| *time);
        self.future.truncate(FUTURE_MAX);
    }

    /// Tries the blocks again that were set aside and whose time has come. They are forgotten when
    /// the turn is on disk.
    fn retry_future(&mut self, turn: &mut Turn) {
        let params = self.shared.params.clone();
        let is_due = |time: UnixTime, height| time <= params.latest_time(height, turn.now.unix);
        let due: Vec<_> = self
            .future
            .iter()
            .filter(|(time, block, _)| is_due(*time, block.block().coinbase.height))
            .cloned()
            .collect();
        for (_, block, origin) in due {
            turn.due.push(block.hash());
            if let Err(error) = self.accept_block(turn, &block, origin) {
                log::debug!("block {} was set aside and is refused: {error}", block.hash());
            }
        }
    }

    fn accept_transfer(
        &mut self,
        turn: &mut Turn,
        transfer: CheckedTransfer,
        origin: Origin,
    ) -> Result<TransferOutcome, NodeError> {
        match turn.next.chain.accept_transfer(transfer.clone(), turn.now)? {
            Admitted::Waiting => Ok(TransferOutcome::Waiting(transfer)),
            Admitted::Pending { added, .. } => {
                turn.next.pool_changes += 1;
                let pool = turn.next.chain.pool();
                for pending in added.iter().filter_map(|id| pool.get(id)) {
                    // Who brought those that waited for this one is not remembered: whoever brings
                    // this one may lack them.
                    let is_this = pending.id() == transfer.id();
                    let origin = if is_this { origin.clone() } else { Origin::Anyone };
                    let transfer = pending.transfer.clone();
                    turn.events.push(Event::Transfer { transfer, origin });
                }
                Ok(TransferOutcome::Pending(transfer))
            }
        }
    }

    fn send(
        &mut self,
        turn: &mut Turn,
        request: SendRequest,
    ) -> Result<CheckedTransfer, NodeError> {
        if let Some(transfer) = self.sent.find(&request, &turn.sent)? {
            return Ok(transfer);
        }
        let transfer = self.sign(turn, &request)?;
        self.accept_transfer(turn, transfer.clone(), Origin::Own)?;
        turn.sent.push((request, transfer.clone()));
        Ok(transfer)
    }

    fn sign(&mut self, turn: &Turn, request: &SendRequest) -> Result<CheckedTransfer, NodeError> {
        let wallet = self.wallet.as_ref().ok_or(NodeError::NoWallet)?;
        let (chain, sender) = (&turn.next.chain, wallet.public_key());
        let nonce = chain.pool().next_nonce(&sender, chain.account(&sender));
        let SendRequest { recipient, amount, fee, expiry, .. } = *request;
        let memo = request.memo.clone();
        let unsigned = UnsignedTransfer { recipient, amount, fee, nonce, expiry, memo };
        let aux = (self.aux)()?;
        let transfer = wallet.sign_with(unsigned, &self.shared.chain_id, &aux);
        Ok(self.shared.check_transfer(transfer)?)
    }

    fn create_wallet(&mut self, turn: &mut Turn) -> Result<CreatedWallet, NodeError> {
        let created = wallet_file::create(&self.wallet_file, u64::from(turn.now.unix.0))?;
        let (public_key, secret_hex) = (created.wallet.public_key(), created.wallet.secret_hex());
        self.use_wallet(turn, created.wallet);
        Ok(CreatedWallet { public_key, secret_hex, kept: created.kept })
    }

    fn load_wallet(&mut self, turn: &mut Turn) -> Result<PublicKey, NodeError> {
        let wallet = wallet_file::load(&self.wallet_file)?.ok_or(NodeError::NoWalletFile)?;
        let public_key = wallet.public_key();
        self.use_wallet(turn, wallet);
        Ok(public_key)
    }

    fn use_wallet(&mut self, turn: &mut Turn, wallet: Wallet) {
        self.wallet = Some(wallet);
        turn.events.push(Event::Wallet);
    }
}

fn accept_headers(turn: &mut Turn, headers: &[Header]) -> Result<Height, NodeError> {
    let mut height = turn.next.chain.height();
    for header in headers {
        height = turn.next.chain.accept_header(header, turn.now)?.height;
    }
    Ok(height)
}

/// Of many blocks that come one after the other the last is told; the sync tells of the others.
fn log_change(change: &TipChange, chain: &Chain) {
    let Some(tip) = change.connected.last() else { return };
    if !change.disconnected.is_empty() {
        let (gone, back) = (change.disconnected.len(), change.unconfirmed.len());
        let level = if gone < DEEP { Level::Info } else { Level::Warn };
        log::log!(level, "reorganization: {gone} blocks replaced, {back} transfers wait again");
    }
    let more = chain.headers().heaviest().height > tip.height;
    let level = if more { Level::Debug } else { Level::Info };
    log::log!(level, "block {} {}", tip.height, tip.hash);
    for (transfer, reason) in &change.dropped {
        let why = reason.as_ref().map_or(OTHER_CAME.into(), ToString::to_string);
        log::info!("transfer {} can no longer be mined: {why}", transfer.id());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::pool::POOL_BYTES_DEFAULT;
    use crate::consensus::params::ChainParams;
    use crate::node::{Inline, Machine, Opening, open_on};
    use crate::primitives::PeerId;
    use crate::testkit::{TestChain, TestKey};

    fn peer(port: u16) -> Origin {
        Origin::Peer(PeerId::At(format!("127.0.0.1:{port}").parse().unwrap()))
    }

    #[test]
    fn who_brings_a_predecessor_did_not_bring_what_waited_for_it() {
        let home = tempfile::tempdir().unwrap();
        let world = TestChain::dev();
        let now = world.now;
        let opening = Opening {
            data_dir: home.path().to_path_buf(),
            port: 5000,
            params: ChainParams::dev(),
            pool_bytes_max: POOL_BYTES_DEFAULT,
            clock: Box::new(move || now),
            listeners: 1,
        };
        let opened = open_on(opening, Machine::here().unwrap()).unwrap();
        let (_inline, handle) = Inline::new(opened.owner, opened.handle);
        let to = TestKey::new(9).public;
        let pay = |nonce| TestKey::dev(1).pay(to, (1, 0), nonce, &world.chain.chain_id());
        let (first, second) = (pay(0), pay(1));
        handle.submit_transfer(second.clone(), peer(5002)).unwrap();
        handle.submit_transfer(first.clone(), peer(5001)).unwrap();
        let told: Vec<_> = opened.events[0].try_iter().collect();
        let told = told.iter().map(|event| match event {
            Event::Transfer { transfer, origin } => (transfer.id(), origin.clone()),
            other => panic!("{other:?}"),
        });
        let expected = [(first.id(), peer(5001)), (second.id(), Origin::Anyone)];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }
}
