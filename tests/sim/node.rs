//! A node of the world: the real owner, chain, pool and files, without threads.

use crate::clock::Clock;
use crate::disk::{End, MemoryDisk};
use crate::links::SimLinks;
use crate::rules::params;
use crate::wires::{NoClient, NoMiner};
use crossbeam_channel::Receiver;
use farthing::chain::pool::POOL_BYTES_DEFAULT;
use farthing::chain::template::Template;
use farthing::consensus::verified::Verified;
use farthing::http::Api;
use farthing::net::{self, Network};
use farthing::node::{Event, Inline, Machine, NodeHandle, Opened, Opening, View, open_on};
use farthing::primitives::{PeerAddress, PublicKey, Tag};
use farthing::storage::disk::DiskFile;
use farthing::storage::files::DataDir;
use farthing::testkit::Random;
use farthing::wallet::{Wallet, dev_accounts};
use farthing::wire::Reach;
use rayon::ThreadPool;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// The port of every node; they differ in their addresses.
pub const PORT: u16 = 5_000;

/// What the nodes of a world have in common: what one of them has verified need not be verified again
/// by the others, which would find the same.
#[derive(Clone)]
pub struct Common {
    verify: Arc<ThreadPool>,
    verified: Arc<Verified>,
}

impl Common {
    pub fn new() -> Self {
        Self { verify: one_thread(), verified: Arc::default() }
    }
}

/// Everything about a node that survives its process.
pub struct Node {
    pub index: usize,
    pub address: PeerAddress,
    pub disk: MemoryDisk,
    pub clock: Clock,
    /// Who is paid here.
    pub key: PublicKey,
    /// Microseconds between two hashes.
    pub hash_every: u64,
    /// Whether nobody can call it.
    pub is_hidden: bool,
    /// Whom its settings name.
    pub friends: Vec<PeerAddress>,
    /// The process, while there is one.
    pub run: Option<Run>,
    /// Grows with every start and every end.
    pub incarnation: u64,
    /// What the last process had published when it ended.
    pub left: Option<Arc<View>>,
    /// Whether that was all it had written: it did not end within an operation of the disk.
    pub has_left_all: bool,
    common: Common,
    random: Random,
}

/// A process.
pub struct Run {
    pub handle: NodeHandle,
    pub inline: Arc<Inline>,
    pub events: Receiver<Event>,
    pub network: Arc<Network>,
    pub links: SimLinks,
    /// What its HTTP interface answers from.
    pub api: Api,
    /// When it is woken next.
    pub wakes_at: u64,
    /// The changes of its network after which nothing was due; `None` to look in any case.
    pub looked: Option<u64>,
    /// The view that was looked at last.
    pub seen: Arc<View>,
    /// What is mined, with the changes of the tip and of the pool it was made after.
    template: Option<(u64, u64, Template)>,
}

impl Run {
    /// Whether something may be due.
    pub fn has_to_look(&self, now: u64) -> bool {
        self.looked != Some(self.network.changes()) || now >= self.wakes_at
    }
}

/// What makes one node another.
pub struct Nature {
    pub index: usize,
    /// Which of the funded wallets is its.
    pub wallet: usize,
    pub clock: Clock,
    pub hash_every: u64,
    pub seed: u64,
}

impl Node {
    pub fn new(nature: Nature, common: &Common) -> Self {
        let Nature { index, wallet, clock, hash_every, seed } = nature;
        let mut random = Random(seed);
        let disk = MemoryDisk::new(random.bits());
        let wallet: &Wallet = &dev_accounts()[wallet];
        disk.put(&data_dir().wallet(), wallet.to_text().as_bytes());
        let address = format!("51.{index}.0.1:{PORT}").parse().expect("an address");
        Self {
            index,
            address,
            disk,
            clock,
            key: wallet.public_key(),
            hash_every,
            is_hidden: false,
            friends: Vec::new(),
            run: None,
            incarnation: 0,
            left: None,
            has_left_all: false,
            common: common.clone(),
            random,
        }
    }

    /// Starts the process on what the disk holds; false if that fails, for a fault of the disk.
    pub fn start(&mut self) -> Result<(), String> {
        self.incarnation += 1;
        let (clock, mut aux) = (self.clock.clone(), Random(self.random.bits()));
        let opening = Opening {
            data_dir: data_dir().dir,
            port: PORT,
            params: params(),
            pool_bytes_max: POOL_BYTES_DEFAULT,
            clock: Box::new(move || clock.now()),
            listeners: 1,
        };
        let machine = Machine {
            disk: self.disk.shared(),
            verify: self.common.verify.clone(),
            verified: self.common.verified.clone(),
            aux: Box::new(move || {
                let mut bytes = Zeroizing::new([0; 32]);
                bytes[..8].copy_from_slice(&aux.bits().to_le_bytes());
                Ok(bytes)
            }),
        };
        let opened = open_on(opening, machine).map_err(|error| error.to_string())?;
        let Opened { owner, handle, mut events, .. } = opened;
        let (inline, handle) = Inline::new(owner, handle);
        let (events, seen) = (events.remove(0), handle.view());
        let links = SimLinks::default();
        let opening = net::Opening {
            links: Some(Arc::new(links.clone())),
            node: handle.clone(),
            client: Box::new(NoClient),
            file: DiskFile::on(&self.disk.shared(), data_dir().peers()),
            peers: self.friends.clone(),
            seeds: Vec::new(),
            reach: (!self.is_hidden).then(|| Reach::Node(self.address.clone())),
            instance: self.random.bits(),
            seed: self.random.bits(),
        };
        let network = Network::new(opening);
        let limit = Duration::from_secs(1);
        let api = Api::new(handle.clone(), Arc::new(NoMiner), network.clone(), limit, PORT);
        self.run = Some(Run {
            handle,
            inline,
            events,
            network,
            links,
            api,
            wakes_at: 0,
            looked: None,
            seen,
            template: None,
        });
        Ok(())
    }

    /// Ends the process.
    pub fn stop(&mut self, end: End) {
        self.incarnation += 1;
        let is_whole = !self.is_doomed();
        if let Some(run) = self.run.take() {
            self.has_left_all = is_whole;
            self.left = Some(if is_whole { run.handle.view() } else { run.seen });
            run.inline.end();
        }
        self.disk.end_process(end);
    }

    pub fn is_up(&self) -> bool {
        self.run.is_some()
    }

    /// Whether the process must end: its disk is gone or nothing can be flushed any more.
    pub fn is_doomed(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.inline.failure().is_some()) || self.disk.is_dead()
    }

    /// Hashes once; the block if there is one.
    pub fn hash_once(&mut self) -> Option<farthing::primitives::Block> {
        let now = self.clock.now();
        let (key, nonce) = (self.key, self.random.bits());
        let run = self.run.as_mut()?;
        let view = run.handle.view();
        let made = (view.tip_changes, view.pool_changes);
        let template = match run.template.take() {
            Some((tip, pool, template)) if (tip, pool) == made => template,
            _ => view.chain.template(key, Tag::default(), now),
        };
        let time = template.time(now.unix);
        let mut header = template.header(nonce, time);
        header.nonce = u32::try_from(nonce >> 32).expect("32 bits");
        let found =
            template.target(time).is_met_by(&header.hash()) && !template.is_early(time, now.unix);
        let block = found.then(|| template.block(header, nonce));
        run.template = Some((made.0, made.1, template));
        block
    }
}

fn data_dir() -> DataDir {
    DataDir { dir: PathBuf::from("data"), port: PORT }
}

/// A pool of the calling thread alone, in which everything runs at once.
fn one_thread() -> Arc<ThreadPool> {
    thread_local! {
        static POOL: Arc<ThreadPool> = Arc::new(
            rayon::ThreadPoolBuilder::new()
                .num_threads(1)
                .use_current_thread()
                .build()
                .expect("a pool of this thread"),
        );
    }
    POOL.with(Clone::clone)
}
