//! The node's own routes over real sockets: a real node of the `dev` network, with a miner that finds
//! blocks at once and peers that exist in a list alone.

mod contract;
mod events;
mod exchanged;
mod json;
mod reads;
mod refused;
mod relayed;

use super::{Answer, Client};
use crate::chain::accept::Now;
use crate::consensus::params::ChainParams;
use crate::http::live::{self, LiveHub};
use crate::http::{Api, HttpServer, ROUTES, Running, Settings};
use crate::node::ports::{
    ChainName, GuestInfo, MineError, Mined, MinerControl, MinerStatus, PeerControl, PeerError,
    PeerInfo, PeerState, Resolved, SyncState, SyncStatus,
};
use crate::node::{NodeHandle, Opening, Origin, open};
use crate::primitives::{
    Amount, Block, Expiry, Height, LinkId, Memo, PeerAddress, PublicKey, Tag, Transfer, UnixTime,
};
use crate::runtime::Spawner;
use crate::wallet::{UnsignedTransfer, Wallet, dev_accounts};
use crate::wire::{Announcement, Handshake, PEER_VERSION, Reach};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Seconds after genesis at which all of this happens.
const LATER: u32 = 10_000;

/// Finds a block at once, unless told not to.
struct QuickMiner {
    node: NodeHandle,
    finds: AtomicBool,
    status: Mutex<MinerStatus>,
}

/// The next block of a node's chain.
fn next_block(node: &NodeHandle, recipient: PublicKey) -> Block {
    let now = node.now();
    let template = node.view().chain.template(recipient, Tag::default(), now);
    let time = template.time(now.unix);
    let mut header = template.header(0, time);
    while !template.target(time).is_met_by(&header.hash()) {
        header.nonce += 1;
    }
    template.block(header, 0)
}

impl MinerControl for QuickMiner {
    fn status(&self) -> MinerStatus {
        *self.status.lock().unwrap()
    }

    fn switch(&self, on: bool) {
        self.status.lock().unwrap().on = on;
    }

    fn set_threads(&self, threads: usize) {
        self.status.lock().unwrap().threads = threads;
    }

    fn mine_one(&self, limit: Duration, _: &dyn Fn() -> bool) -> Result<Mined, MineError> {
        if !self.finds.load(Ordering::Relaxed) {
            return Err(MineError::TimedOut(limit));
        }
        let key = self.node.view().wallet.ok_or(MineError::NoWallet)?;
        let block = next_block(&self.node, key);
        let mined = Mined { hash: block.hash(), height: block.coinbase.height };
        self.node.submit_block(block, Origin::Own).unwrap();
        Ok(mined)
    }
}

/// A list of peers, three at most, who all agree.
struct ListedPeers {
    node: NodeHandle,
    known: Mutex<BTreeMap<PeerAddress, PeerInfo>>,
    sync: Mutex<SyncStatus>,
    /// Connections of other nodes.
    links: Mutex<Vec<(TcpStream, SocketAddr)>>,
    /// What was heard.
    announced: Mutex<Vec<Announcement>>,
    /// Who was said to be ahead.
    ahead: Mutex<Vec<(Option<Reach>, IpAddr)>>,
    replaces: AtomicBool,
}

impl PeerControl for ListedPeers {
    fn list(&self) -> Vec<PeerInfo> {
        self.known.lock().unwrap().values().cloned().collect()
    }

    fn add(&self, node: PeerAddress) -> Result<Option<String>, PeerError> {
        let mut known = self.known.lock().unwrap();
        if known.len() == 3 {
            return Err(PeerError::TooMany { max: 3 });
        }
        let info = PeerInfo {
            node: node.clone(),
            state: PeerState::Connected,
            reason: String::new(),
            height: Some(Height(7)),
            work: None,
            last_seen: None,
            failures: 0,
            manual: true,
            outgoing: true,
            incoming: false,
        };
        let warning = (node.port() == 6666).then(|| "Beware.".to_owned());
        known.insert(node, info);
        Ok(warning)
    }

    fn guests(&self) -> Vec<GuestInfo> {
        vec![GuestInfo { link: LinkId(4), height: Some(Height(9)), last_seen: None }]
    }

    fn remove(&self, node: &PeerAddress) -> Option<PeerAddress> {
        let known = self.known.lock().unwrap().remove(node);
        let is_here = known.is_none() && *node == "127.0.0.1:81".parse().unwrap();
        is_here.then(|| "localhost:81".parse().unwrap())
    }

    fn greet(&self, theirs: &Handshake, _: IpAddr) -> Result<Handshake, PeerError> {
        let ours = self.node.chain_id();
        if theirs.chain_id != ours {
            let theirs = ChainName { name: theirs.chain.clone(), id: theirs.chain_id };
            let ours = ChainName { name: self.node.params().name.clone(), id: ours };
            return Err(PeerError::OtherChain { node: "a:1".into(), theirs, ours });
        }
        Ok(Handshake { node: None, instance: 2, ..theirs.clone() })
    }

    fn take_link(&self, stream: TcpStream, client: SocketAddr) {
        self.links.lock().unwrap().push((stream, client));
    }

    fn addresses(&self, _: IpAddr) -> Vec<PeerAddress> {
        self.known.lock().unwrap().keys().cloned().collect()
    }

    fn announced(&self, news: Announcement, _: IpAddr) {
        self.announced.lock().unwrap().push(news);
    }

    fn is_ahead(&self, from: Option<&Reach>, client: IpAddr) {
        self.ahead.lock().unwrap().push((from.cloned(), client));
    }

    fn resolve(&self) -> Resolved {
        Resolved { replaced: self.replaces.load(Ordering::Relaxed), answered: 0, asked: 0 }
    }

    fn sync_status(&self) -> SyncStatus {
        *self.sync.lock().unwrap()
    }
}

/// A node and its interface.
struct Node {
    dir: tempfile::TempDir,
    spawner: Spawner,
    running: Option<Running>,
    parts: Option<Parts>,
    address: SocketAddr,
}

/// What must be gone before the owner of the chain ends.
struct Parts {
    handle: NodeHandle,
    miner: Arc<QuickMiner>,
    peers: Arc<ListedPeers>,
}

impl Node {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let params = ChainParams::dev();
        let unix = UnixTime(params.genesis_time.0 + LATER);
        let opened = open(Opening {
            data_dir: dir.path().to_owned(),
            port: 5000,
            params,
            pool_bytes_max: 1 << 20,
            clock: Box::new(move || Now { unix, monotonic: Duration::ZERO }),
            listeners: 1,
        });
        let mut opened = opened.unwrap();
        let (spawner, handle, owner) = (Spawner::new(), opened.handle, opened.owner);
        spawner.spawn("owner", move || owner.run().unwrap()).unwrap();
        let sync = SyncStatus { state: SyncState::Synced, ..SyncStatus::default() };
        let miner = Arc::new(QuickMiner {
            node: handle.clone(),
            finds: AtomicBool::new(true),
            status: Mutex::default(),
        });
        let peers = Arc::new(ListedPeers {
            node: handle.clone(),
            known: Mutex::default(),
            sync: Mutex::new(sync),
            links: Mutex::default(),
            ahead: Mutex::default(),
            announced: Mutex::default(),
            replaces: AtomicBool::new(false),
        });
        let limit = Duration::from_secs(1);
        let server = HttpServer::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = server.local_addr();
        let (miner_control, peer_control) = (miner.clone(), peers.clone());
        let api = Api::new(handle.clone(), miner_control, peer_control, limit, address.port());
        let api = Arc::new(api);
        let (ways, listening, speaking) = live::ways();
        let hub = LiveHub::new(Arc::clone(&api), listening, opened.events.pop().unwrap());
        spawner.spawn("live", move || hub.run()).unwrap();
        let nodes_api = Arc::clone(&api);
        spawner.spawn("live-nodes", move || live::pass_on(&nodes_api, &speaking)).unwrap();
        let settings = Settings { live: Some(ways), ..Settings::default() };
        let running = server.start(settings, &ROUTES, api, &spawner).unwrap();
        let parts = Some(Parts { handle, miner, peers });
        Self { dir, spawner, running: Some(running), parts, address }
    }

    fn parts(&self) -> &Parts {
        self.parts.as_ref().unwrap()
    }

    fn handle(&self) -> &NodeHandle {
        &self.parts().handle
    }

    fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address).unwrap())
    }

    /// One request: `line` is method and path, `fields` whole lines.
    fn ask(&self, line: &str, fields: &str, body: &str) -> Answer {
        let mut client = self.connect();
        client.send(&format!(
            "{line} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{fields}Content-Length: {}\r\n\r\n{body}",
            self.address.port(),
            body.len()
        ));
        if line.starts_with("HEAD") { client.head().unwrap() } else { client.answer() }
    }

    /// A request as the page sends it.
    fn call(&self, line: &str, body: &str) -> Answer {
        self.ask(line, "Content-Type: application/json\r\n", body)
    }

    /// The answer to a request that must succeed with this status.
    fn ok(&self, status: u16, line: &str, body: &str) -> Value {
        let answer = self.call(line, body);
        assert_eq!(answer.status, status, "{line} {body}: {answer:?}");
        assert_eq!(answer.field("content-type").as_deref(), Some("application/json"), "{line}");
        answer.json()
    }

    fn get(&self, path: &str) -> Value {
        self.ok(200, &format!("GET {path}"), "")
    }

    /// Checks that a request fails so, with a message, and returns that.
    fn fails(&self, (status, code): (u16, &str), line: &str, body: &str) -> String {
        let answer = self.call(line, body);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{line} {body}");
        answer.json()["message"].as_str().unwrap().to_owned()
    }

    /// Checks that a request fails for want of a wallet.
    fn wants_wallet(&self, status: u16, line: &str, body: &str) {
        let answer = self.call(line, body);
        let json = answer.json();
        assert_eq!((answer.status, &json["code"]), (status, &"no-wallet".into()), "{line}");
        assert_eq!(json["wallet_set_up"], false, "{line}");
        assert!(json["message"].as_str().unwrap().contains("create one first"), "{json}");
    }

    fn wallet(&self) -> String {
        let created = self.ok(201, "POST /wallet", "");
        created["public_key"].as_str().unwrap().to_owned()
    }

    fn address_of(&self, key: &PublicKey) -> String {
        key.to_address(self.handle().prefix())
    }

    /// A transfer from a dev account, with this nonce.
    fn transfer(&self, from: &Wallet, coins: u64, nonce: u64) -> Transfer {
        let unsigned = UnsignedTransfer {
            recipient: dev_accounts()[9].public_key(),
            amount: Amount::from_units(coins * 100_000_000),
            fee: Amount::ZERO,
            nonce,
            expiry: Expiry::NEVER,
            memo: Memo::default(),
        };
        from.sign(unsigned, &self.handle().chain_id()).unwrap()
    }

    /// What a node of this chain says of itself.
    fn handshake(&self) -> Handshake {
        let view = self.handle().view();
        Handshake {
            chain_id: self.handle().chain_id(),
            chain: self.handle().params().name.clone(),
            version: PEER_VERSION,
            height: view.chain.height(),
            tip: view.chain.tip().hash,
            work: view.chain.tip().total_work,
            instance: 1,
            node: None,
            linked: false,
            time: UnixTime(1),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
            self.parts = None;
            self.spawner.join_all();
        }
    }
}

/// The names of an object's fields, sorted.
fn names(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}
