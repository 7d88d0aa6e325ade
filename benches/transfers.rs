//! Pre-signed transfers of 1,000 senders posted to a real node over loopback, against the bare
//! verification of as many signatures.
//!
//! `cargo bench --bench transfers`. The client and the node share the machine's cores, and every
//! transfer is on disk before it is answered.

use farthing::consensus::params::ChainParams;
use farthing::primitives::{Amount, BlockHash, Expiry, Memo, PublicKey, Transfer};
use farthing::wallet::{SecretKey, UnsignedTransfer, Wallet, dev_accounts};
use farthing::wire::transfer_to_json;
use rayon::prelude::*;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SENDERS: usize = 1_000;
const TRANSFERS_EACH: u64 = 5;
const CONNECTIONS: usize = 32;

/// A running node, killed when dropped.
struct Node {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Node {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut child = Command::new(env!("CARGO_BIN_EXE_farthing"))
            .args(["--port", "0", "--network", "dev", "--log", "warn", "--data-dir"])
            .arg(dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let said = BufReader::new(child.stdout.take().expect("piped"));
        let page = said.lines().map_while(Result::ok).find(|line| line.contains("http://"));
        let page = page.expect("the node says where its page is");
        let port = page.rsplit(':').next().and_then(|rest| rest.trim_end_matches('/').parse().ok());
        Self { child, port: port.expect("a port"), _dir: dir }
    }

    fn connect(&self) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the node listens");
        stream.set_nodelay(true).expect("a TCP socket");
        Client { reader: BufReader::new(stream), port: self.port }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection that is kept open.
struct Client {
    reader: BufReader<TcpStream>,
    port: u16,
}

impl Client {
    fn post(&mut self, path: &str, body: &str) -> u16 {
        let (port, length) = (self.port, body.len());
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{kind}Content-Length: {length}\r\n\r\n"
        );
        let request = [head.as_bytes(), body.as_bytes()].concat();
        self.reader.get_mut().write_all(&request).expect("the node reads");
        self.answer()
    }

    /// Reads one answer with a length and gives its status.
    fn answer(&mut self) -> u16 {
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            assert_ne!(self.reader.read_line(&mut line).expect("the node answers"), 0, "it left");
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                status = rest[..3].parse().expect("a status");
            } else if let Some(rest) = line.to_lowercase().strip_prefix("content-length: ") {
                length = rest.trim().parse().expect("a length");
            } else if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).expect("the whole answer");
        status
    }
}

fn senders() -> Vec<Wallet> {
    let secret = |number: usize| {
        let mut bytes = [2; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        SecretKey::from_bytes(&bytes).expect("a small number is a key")
    };
    (0..SENDERS).map(|number| Wallet::from_secret(secret(number))).collect()
}

fn sign(from: &Wallet, to: PublicKey, nonce: u64, amount: u64, chain_id: &BlockHash) -> Transfer {
    let unsigned = UnsignedTransfer {
        recipient: to,
        amount: Amount::from_units(amount),
        fee: Amount::from_units(100),
        nonce,
        expiry: Expiry::NEVER,
        memo: Memo::default(),
    };
    from.sign(unsigned, chain_id).expect("randomness")
}

fn json(transfer: &Transfer) -> String {
    transfer_to_json(transfer, ChainParams::dev().prefix)
}

/// Pays every sender from the ten funded accounts and mines until all of it is confirmed.
fn fund(node: &Node, senders: &[Wallet], chain_id: &BlockHash) {
    let mut client = node.connect();
    assert_eq!(client.post("/wallet", ""), 201);
    let rich = dev_accounts();
    for (number, sender) in senders.iter().enumerate() {
        let (from, nonce) = (&rich[number % rich.len()], (number / rich.len()) as u64);
        let transfer = sign(from, sender.public_key(), nonce, 100_000_000, chain_id);
        assert_eq!(client.post("/broadcast-transaction", &json(&transfer)), 201);
    }
    for _ in 0..3 {
        assert_eq!(client.post("/mine", ""), 201);
    }
}

/// Posts each connection's share in order and gives the time for all.
fn post_all(node: &Node, shares: &[Vec<String>]) -> Duration {
    let clients: Vec<Client> = shares.iter().map(|_| node.connect()).collect();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for (mut client, share) in clients.into_iter().zip(shares) {
            scope.spawn(move || {
                for body in share {
                    assert_eq!(client.post("/broadcast-transaction", body), 201);
                }
            });
        }
    });
    start.elapsed()
}

fn main() {
    let chain_id = ChainParams::dev().chain_id();
    let (node, senders) = (Node::start(), senders());
    fund(&node, &senders, &chain_id);
    let mut shares = vec![Vec::new(); CONNECTIONS];
    let mut signed = Vec::new();
    for nonce in 0..TRANSFERS_EACH {
        for (number, sender) in senders.iter().enumerate() {
            let to = senders[(number + 1) % SENDERS].public_key();
            let transfer = sign(sender, to, nonce, 1, &chain_id);
            shares[number % CONNECTIONS].push(json(&transfer));
            let message = transfer.signing_hash(&chain_id);
            signed.push((transfer, message));
        }
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("two threads");
    let bare = || {
        let start = Instant::now();
        let good = pool.install(|| {
            signed.par_iter().all(|(t, message)| t.sender.verifies(&t.signature, message))
        });
        assert!(good);
        start.elapsed()
    };
    let before = bare();
    let posted = post_all(&node, &shares);
    let after = bare();
    let rate = |time: Duration| signed.len() as f64 / time.as_secs_f64();
    let reference = (rate(before) + rate(after)) / 2.0;
    println!(
        "{} transfers of {SENDERS} senders over {CONNECTIONS} connections: {:.0} accepted a second",
        signed.len(),
        rate(posted)
    );
    println!("bare signature checks on two threads: {reference:.0} a second");
    println!("ratio {:.2}", rate(posted) / reference);
}
