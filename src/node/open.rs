//! From files to a running node: lock, replay of the block file, open transactions, wallet.

use super::bodies::StoredBodies;
use super::events::{Event, Listeners};
use super::handle::{NodeHandle, Shared};
use super::owner::{COMMANDS_MAX, Owner, SentRequests};
use super::pool_file::PoolFile;
use super::view::View;
use super::wallet_file::{self, WalletError};
use crate::chain::Chain;
use crate::chain::accept::{AcceptError, Now};
use crate::consensus::check::{CheckedBlock, Signatures, check_block};
use crate::consensus::params::{ChainParams, ParamsError};
use crate::consensus::verified::Verified;
use crate::primitives::{BlockHash, BodyRef, UnixTime};
use crate::storage::disk::{Disk, DiskFile, FileSystem};
use crate::storage::files::DataDir;
use crate::storage::lock::ProcessLock;
use crate::storage::text::{Replayed, TextStore};
use crate::storage::{BlockReader, BlockStore, StoreError, StoredBlock};
use crate::wallet::{KeyError, Wallet, random_bytes};
use crate::wire::block_from_json;
use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, bounded};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How often a long replay says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// Why a node could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The chain's parameters are unsound.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The data directory, the lock or a file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The wallet file.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// No threads for checking signatures.
    #[error("the threads that check signatures could not be started: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

/// What a node needs to be opened.
pub struct Opening {
    /// Where its files are.
    pub data_dir: PathBuf,
    /// The port that names them.
    pub port: u16,
    /// The rules of the chain.
    pub params: ChainParams,
    /// Bytes of open transactions at most.
    pub pool_bytes_max: usize,
    /// Both clocks.
    pub clock: Box<dyn Fn() -> Now + Send + Sync>,
    /// Listeners to the node's events, each with a receiver of its own.
    pub listeners: usize,
}

/// Auxiliary random bytes for signatures.
pub type Aux = Box<dyn FnMut() -> Result<Zeroizing<[u8; 32]>, KeyError> + Send>;

/// What a node has of the machine it runs on; a simulation gives it something else.
pub struct Machine {
    /// Where its files are.
    pub disk: Arc<dyn Disk>,
    /// The threads that check signatures; never rayon's global pool, which any library may fill.
    pub verify: Arc<rayon::ThreadPool>,
    /// What they have verified; nodes of a simulation share one.
    pub verified: Arc<Verified>,
    /// Randomness for the wallet's signatures.
    pub aux: Aux,
}

impl Machine {
    /// The machine this process runs on.
    ///
    /// # Errors
    /// If it has no threads to give.
    pub fn here() -> Result<Self, OpenError> {
        let verify = Arc::new(verify_pool()?);
        let (disk, verified) = (Arc::new(FileSystem), Arc::default());
        Ok(Self { disk, verify, verified, aux: Box::new(random_bytes) })
    }
}

/// A node that is ready to run.
pub struct Opened {
    /// The owner, to be run in a thread of its own.
    pub owner: Owner,
    /// The way to it.
    pub handle: NodeHandle,
    /// One receiver for each listener that was asked for.
    pub events: Vec<Receiver<Event>>,
    /// What was found in the block file.
    pub replayed: Replayed,
    /// Held for as long as the node runs; none on a disk that no other process sees.
    pub lock: Option<ProcessLock>,
}

/// Opens the node whose files are in `opening.data_dir`, creating what is missing.
///
/// # Errors
/// Another process on the same files, damage in the block file (named by line), a wallet file that
/// cannot be used, and what the system says. No file is changed then, except that an interrupted
/// last write may have been cut off.
pub fn open(opening: Opening) -> Result<Opened, OpenError> {
    opening.params.check()?;
    let data_dir = DataDir::open(&opening.data_dir, opening.port)?;
    let lock = ProcessLock::take(&data_dir.lock())?;
    let opened = open_on(opening, Machine::here()?)?;
    Ok(Opened { lock: Some(lock), ..opened })
}

/// As [`open`], on a machine whose disk nobody else uses, and without a lock.
///
/// # Errors
/// As [`open`].
pub fn open_on(opening: Opening, machine: Machine) -> Result<Opened, OpenError> {
    opening.params.check()?;
    let Machine { disk, verify, verified, aux } = machine;
    let data_dir = DataDir { dir: opening.data_dir, port: opening.port };
    let wallet_file = DiskFile::on(&disk, data_dir.wallet());
    let wallet = wallet_file::load(&wallet_file)?;
    let params = Arc::new(opening.params);
    let mut replay = Replay::new(Chain::new(params.clone(), opening.pool_bytes_max));
    let chain_id = replay.chain.chain_id();
    let blocks = DiskFile::on(&disk, data_dir.blockchain());
    let opened = TextStore::open_on(&blocks, &chain_id, &mut |block| replay.take(&block))?;
    let mut chain = replay.finish();
    let now = (opening.clock)();
    let mempool = DiskFile::on(&disk, data_dir.mempool());
    let wallet_key = wallet.as_ref().map(Wallet::public_key);
    let pool_file = PoolFile::load(mempool, (&mut chain, &verified), wallet_key, now)?;
    let (commands, received) = bounded(COMMANDS_MAX);
    let mut listeners = Listeners::default();
    let events = (0..opening.listeners).map(|_| listeners.add()).collect();
    let view =
        View { chain, wallet: wallet_key, reorganization: None, tip_changes: 0, pool_changes: 0 };
    let shared = Arc::new(Shared {
        view: ArcSwap::from_pointee(view),
        reader: opened.store.reader(),
        params,
        chain_id,
        clock: opening.clock,
        verify,
        verified,
    });
    let owner = Owner {
        commands: received,
        shared: shared.clone(),
        listeners,
        store: Box::new(opened.store),
        pool_file,
        wallet_file,
        aux,
        wallet,
        future: Vec::new(),
        sent: SentRequests::default(),
    };
    let handle = NodeHandle { commands, shared, inline: None };
    Ok(Opened { owner, handle, events, replayed: opened.replayed, lock: None })
}

/// The pool that checks signatures; every core, because a block is waited for.
pub(super) fn verify_pool() -> Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
    rayon::ThreadPoolBuilder::new().thread_name(|index| format!("verify-{index}")).build()
}

/// Builds the chain anew from the block file. Everything is judged again but the signatures, which
/// were verified before the block was written, and to which its header commits.
pub(super) struct Replay {
    pub(super) chain: Chain,
    /// Side blocks that were written before their parent, by the parent's hash.
    early: HashMap<BlockHash, Vec<BodyRef>>,
    blocks: u64,
    started: Instant,
    told: Instant,
}

impl Replay {
    pub(super) fn new(chain: Chain) -> Self {
        let now = Instant::now();
        Self { chain, early: HashMap::new(), blocks: 0, started: now, told: now }
    }

    /// Takes one block of the file, and those that waited for it.
    pub(super) fn take(&mut self, stored: &StoredBlock<'_>) -> Result<(), String> {
        self.take_with(stored, &Signatures::Trust)
    }

    pub(super) fn take_with(
        &mut self,
        stored: &StoredBlock<'_>,
        signatures: &Signatures<'_>,
    ) -> Result<(), String> {
        let mut ready = vec![stored.body];
        let mut json = Some(Cow::Borrowed(stored.json));
        while let Some(body) = ready.pop() {
            let text = match json.take() {
                Some(text) => text,
                None => Cow::Owned(stored.reader.read(body).map_err(|error| error.to_string())?),
            };
            let block = self.check(&text, signatures)?;
            if self.accept(&block, body, stored.reader)? {
                ready.extend(self.early.remove(&block.hash()).unwrap_or_default());
            }
        }
        self.blocks += 1;
        self.tell_progress();
        Ok(())
    }

    fn check(&self, json: &str, signatures: &Signatures<'_>) -> Result<CheckedBlock, String> {
        let params = self.chain.params();
        let block = block_from_json(json, params.prefix).map_err(|error| error.to_string())?;
        check_block(block, params, signatures).map_err(|error| error.to_string())
    }

    /// False if the block has to wait for its parent.
    fn accept(
        &mut self,
        block: &CheckedBlock,
        body: BodyRef,
        reader: &dyn BlockReader,
    ) -> Result<bool, String> {
        let prefix = self.chain.params().prefix;
        let mut bodies = StoredBodies { reader, prefix, current: body };
        // A clock that was set back must not turn our own blocks into blocks from the future.
        let now = Now { unix: UnixTime(u32::MAX), monotonic: Duration::ZERO };
        let extends = block.block().header.previous == self.chain.tip().hash;
        match self.chain.accept_kept(block, now, &mut bodies) {
            Ok(_) => Ok(true),
            Err(AcceptError::UnknownParent(parent)) => {
                self.early.entry(parent).or_default().push(body);
                Ok(false)
            }
            // A side block is written before its branch is executed, and may turn out invalid.
            Err(AcceptError::Connect(_) | AcceptError::KnownInvalid(_)) if !extends => Ok(true),
            Err(error) => Err(error.to_string()),
        }
    }

    fn tell_progress(&mut self) {
        if self.told.elapsed() > PROGRESS_EVERY {
            self.told = Instant::now();
            let (blocks, seconds) = (self.blocks, self.started.elapsed().as_secs());
            log::info!("reading the block file: {blocks} blocks in {seconds} s");
        }
    }

    pub(super) fn finish(self) -> Chain {
        let lost: usize = self.early.values().map(Vec::len).sum();
        if lost > 0 {
            log::warn!("{lost} side blocks of the file have no known parent and are left out");
        }
        self.chain
    }
}
