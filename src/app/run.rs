//! The running node: starts every part, waits for a signal, stops them in the opposite order.

use super::{Stopped, say};
use crate::chain::accept::Now;
use crate::config::Settings;
use crate::http::live::{self, LiveHub};
use crate::http::{self, Api, HttpServer, ROUTES, Running};
use crate::miner::{Miner, MinerHandle, MinerOptions};
use crate::net::client::HttpClient;
use crate::net::links::Links;
use crate::net::{self, Network, reach_of};
use crate::node::ports::PeerControl;
use crate::node::{Event, NodeHandle, Opened, Opening, Owner};
use crate::primitives::UnixTime;
use crate::runtime::Spawner;
use crate::storage::files::{DataDir, PRIVATE_MODE, write_atomically};
use anyhow::{Context, anyhow};
use crossbeam_channel::{Receiver, bounded, select};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often the thread that waits for live connections looks whether they are over.
const LINKS_TICK: Duration = Duration::from_millis(200);

/// Bytes of the operator's token: 256 bits from the operating system.
const TOKEN_BYTES: usize = 32;

/// Runs a node until it is told to stop.
pub(super) fn run(settings: Settings) -> Result<(), Stopped> {
    protect_secrets();
    let signals = signals()?;
    let server = HttpServer::bind(SocketAddr::new(settings.node.bind, settings.node.port))?;
    let address = server.local_addr();
    let opened =
        crate::node::open(opening(&settings, address.port())).map_err(anyhow::Error::from)?;
    let token = new_token(&settings, address.port())?;
    let spawner = Spawner::new();
    let Opened { owner, handle, events, lock, .. } = opened;
    let [net_events, page_events] =
        <[_; 2]>::try_from(events).map_err(|_| anyhow!("two listeners"))?;
    let ended = start_owner(owner, &spawner)?;
    let parts =
        Parts::start(&settings, handle, (net_events, page_events), &spawner, server, token)?;
    say::welcome(&settings, address, &parts.node);
    select! {
        recv(signals) -> _ => log::info!("stopping"),
        recv(ended) -> why => {
            // Nothing may be acknowledged any more, and nothing that still runs could do it.
            let why = why.unwrap_or_else(|_| "the owner of the chain has ended".into());
            return Err(anyhow!("{why}; start the node again once the disk is in order").into());
        }
    }
    parts.stop();
    spawner.join_all();
    drop(lock);
    log::info!("stopped: everything is on disk");
    Ok(())
}

/// What the owner says if it ends by itself.
fn start_owner(owner: Owner, spawner: &Spawner) -> Result<Receiver<String>, Stopped> {
    let (ended, end) = bounded(1);
    let work = move || {
        if let Err(error) = owner.run() {
            // The main thread ends the process; nobody else listens.
            let _ = ended.send(error.to_string());
        } else {
            // A clean end is the last step of a stop: the main thread waits for the thread itself.
            drop(ended);
        }
    };
    spawner.spawn("owner", work).context("cannot start a thread")?;
    Ok(end)
}

/// The parts that hold a way to the node.
struct Parts {
    node: NodeHandle,
    http: Running,
    miner: Arc<MinerHandle>,
    net: Arc<Network>,
    links: Links,
}

impl Parts {
    fn start(
        settings: &Settings,
        node: NodeHandle,
        (net_events, page_events): (Receiver<Event>, Receiver<Event>),
        spawner: &Spawner,
        server: HttpServer,
        token: String,
    ) -> Result<Self, Stopped> {
        let address = server.local_addr();
        let (net, links) = start_net(settings, &node, net_events, address, spawner)?;
        let miner = start_miner(settings, &node, &net, spawner)?;
        let timeout = settings.miner.mine_timeout;
        let api = Api::new(node.clone(), miner.clone(), net.clone(), timeout, address.port());
        let api = Arc::new(api);
        let (ways, listening, speaking) = live::ways();
        let hub = LiveHub::new(api.clone(), listening, page_events);
        spawner.spawn("live", || hub.run()).context("cannot start a thread")?;
        let nodes_api = api.clone();
        let pass_on = move || live::pass_on(&nodes_api, &speaking);
        spawner.spawn("live-nodes", pass_on).context("cannot start a thread")?;
        let settings = http::Settings {
            allowed_hosts: settings.http.allowed_hosts.clone(),
            allowed_origins: settings.http.allowed_origins.clone(),
            token,
            live: Some(ways),
            ..http::Settings::default()
        };
        let http = server.start(settings, &ROUTES, api, spawner)?;
        Ok(Self { node, http, miner, net, links })
    }

    /// Nobody comes in any more, then nothing is made any more, then nothing goes out any more; the
    /// owner ends with the last way to it.
    fn stop(self) {
        self.net.end_waits();
        self.http.stop();
        self.miner.stop();
        self.net.stop();
        self.links.stop();
    }
}

fn start_net(
    settings: &Settings,
    node: &NodeHandle,
    events: Receiver<Event>,
    address: SocketAddr,
    spawner: &Spawner,
) -> Result<(Arc<Network>, Links), Stopped> {
    let links = Links::start(spawner).context("cannot start live connections")?;
    let dir =
        DataDir::open(&settings.node.data_dir, address.port()).map_err(anyhow::Error::from)?;
    let opening = net::Opening {
        node: node.clone(),
        links: Some(Arc::new(links.clone())),
        client: Box::new(HttpClient::new(node.prefix())),
        file: dir.peers().as_path().into(),
        peers: settings.node.peers.clone(),
        seeds: settings.node.seeds.clone(),
        reach: reach_of(address.ip(), address.port()),
        instance: random()?,
        seed: random()?,
    };
    let network =
        Network::start(opening, events, spawner).context("cannot start the peer network")?;
    pass_on_links(&network, links.clone(), spawner)?;
    Ok((network, links))
}

fn random() -> Result<u64, Stopped> {
    Ok(getrandom::u64().context("the operating system gives no randomness")?)
}

/// Tells the network what happens on live connections, until these are stopped.
fn pass_on_links(network: &Arc<Network>, links: Links, spawner: &Spawner) -> Result<(), Stopped> {
    let network = network.clone();
    let work = move || {
        while !links.is_over() {
            if let Some(event) = links.next(LINKS_TICK) {
                network.link_event(event);
            }
        }
    };
    Ok(spawner.spawn("net-links", work).context("cannot start a thread")?)
}

fn start_miner(
    settings: &Settings,
    node: &NodeHandle,
    net: &Arc<Network>,
    spawner: &Spawner,
) -> Result<Arc<MinerHandle>, Stopped> {
    let clock = net.clone();
    let options = MinerOptions {
        on: settings.miner.on,
        threads: settings.miner.threads,
        tag: settings.miner.tag.clone(),
        clock_offset: Box::new(move || clock.sync_status().clock_offset),
    };
    let (handle, miner) = Miner::new(node.clone(), options);
    spawner.spawn("miner", || miner.run()).context("cannot start a thread")?;
    Ok(handle)
}

fn opening(settings: &Settings, port: u16) -> Opening {
    let started = Instant::now();
    let clock = move || Now { unix: unix_time(), monotonic: started.elapsed() };
    Opening {
        data_dir: settings.node.data_dir.clone(),
        port,
        params: settings.chain.clone(),
        pool_bytes_max: settings.pool.max_bytes,
        clock: Box::new(clock),
        listeners: 2,
    }
}

/// The time of day; a clock outside of what a header can carry counts as its nearest end.
fn unix_time() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime(u32::try_from(since.as_secs()).unwrap_or(u32::MAX))
}

/// A new token for every run, in a file that only its owner may read. If it cannot be written there
/// is none, and the node goes on: on a full disk the chain can still be read.
fn new_token(settings: &Settings, port: u16) -> Result<String, Stopped> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).context("the operating system gives no randomness")?;
    let token = hex::encode(bytes);
    let dir = DataDir::open(&settings.node.data_dir, port).map_err(anyhow::Error::from)?;
    match write_atomically(&dir.token(), format!("{token}\n").as_bytes(), PRIVATE_MODE) {
        Ok(()) => Ok(token),
        Err(error) => {
            log::warn!("without a token only pages on this machine can use the wallet: {error}");
            Ok(String::new())
        }
    }
}

/// Tells once for each signal to stop; a second one ends the process at once.
fn signals() -> Result<Receiver<()>, Stopped> {
    // Writing beyond a limit on file sizes is then an error like a full disk, not the end.
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))
        .context("cannot listen to signals")?;
    let again = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, again.clone())
            .context("cannot listen to signals")?;
        signal_hook::flag::register(signal, again.clone()).context("cannot listen to signals")?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot listen to signals")?;
    let (told, tell) = bounded(1);
    crate::runtime::spawn("signals", move || {
        if signals.forever().next().is_some() {
            // The main thread may be ending for another reason.
            let _ = told.send(());
        }
    })
    .context("cannot start a thread")?;
    Ok(tell)
}

/// Keys in memory must not end up in a core dump, nor be read by another process of the user.
fn protect_secrets() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        log::warn!("core dumps could not be switched off: {error}");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        log::warn!("the process could not be protected from being read: {error}");
    }
}
