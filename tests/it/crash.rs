//! `kill -9` at random moments, while blocks are mined, payments sent and wallets created.
//!
//! What was acknowledged (answered with 2xx) must be there after the restart, which nobody helps:
//! every block in the chain, every transfer mined or open, the key of every address in some wallet
//! file. At the end the accounts must be those of a naive replay of `GET /chain`, and
//! `farthing verify` must find nothing.
//!
//! `FARTHING_KILLS` sets the number of rounds (10), `FARTHING_SEED` the moments.

use crate::harness::{Client, Node, Start, number_from_env, random, verify};
use farthing::consensus::params::ChainParams;
use farthing::primitives::{AddressPrefix, Amount, PublicKey};
use farthing::testkit::{Random, TestKey};
use farthing::wallet::Wallet;
use farthing::wire::transfer_to_json;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

const PREFIX: AddressPrefix = AddressPrefix::Dev;
/// A round's work goes on for less than this.
const WORK_MAX_MICROS: u64 = 400_000;
/// A new wallet after so many blocks: one without coins cannot pay.
const BLOCKS_PER_WALLET: usize = 12;
/// In one of so many rounds the node is killed once more while it starts.
const ROUNDS_PER_KILLED_START: u64 = 10;

#[test]
fn what_was_acknowledged_survives_being_killed_at_any_moment() {
    let rounds = number_from_env("FARTHING_KILLS", 10);
    let mut random = random(7);
    let mut node = Start::default().node();
    let mut kept = Kept::default();
    kept.all.addresses.push(node.create_wallet());
    for round in 0..rounds {
        let work = Work::start(&node, &node.client());
        work.goes_on_for(Duration::from_micros(random.below(WORK_MAX_MICROS)));
        node.kill();
        kept.all.add(work.end());
        if round % ROUNDS_PER_KILLED_START == 3 {
            kept.kill_start(&mut node, &mut random);
        }
        kept.restart(&mut node);
        kept.check(&node);
    }
    println!("{}", kept.report(rounds));
    assert!(kept.all.cut > rounds, "too few requests were under way when the node was killed");
    assert!(kept.killed_starts > 0, "no kill fell into a start");
    assert!(!kept.all.transfers.is_empty(), "no transfer was acknowledged");
    replay_agrees(&node);
    let file = node.file("blockchain");
    assert!(node.stop().success());
    let verified = verify(&file);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

/// What was answered with 2xx, and how much was not answered any more.
#[derive(Default)]
struct Acknowledged {
    blocks: Vec<String>,
    transfers: Vec<String>,
    addresses: Vec<String>,
    /// Requests that were cut off by the kill.
    cut: u64,
}

impl Acknowledged {
    fn add(&mut self, more: Self) {
        self.blocks.extend(more.blocks);
        self.transfers.extend(more.transfers);
        self.addresses.extend(more.addresses);
        self.cut += more.cut;
    }

    /// Sends one request and hands its answer to `keep` if it is a success. False if the node is
    /// gone.
    fn ask(
        &mut self,
        client: &Client,
        (path, body): (&str, Option<String>),
        keep: impl FnOnce(&mut Self, &Value),
    ) -> bool {
        match client.request("POST", path, body) {
            Ok(answer) if answer.status == 201 => keep(self, &answer.json()),
            // Refused, because the wallet is new and has nothing yet.
            Ok(answer) if answer.status == 500 => {}
            Ok(answer) => panic!("{path}: {} {}", answer.status, answer.text),
            Err(_) => {
                self.cut += 1;
                return false;
            }
        }
        true
    }
}

/// Threads that mine, send, relay and create wallets until the node is gone.
struct Work {
    workers: Vec<thread::JoinHandle<Acknowledged>>,
    /// A worker says here that the node is gone.
    gone: Receiver<()>,
}

impl Work {
    fn start(node: &Node, client: &Client) -> Self {
        let (tell, gone) = mpsc::channel();
        let (tokens, wanted) = mpsc::channel();
        let relay = Relay::new(node);
        let spawn = |work: Box<dyn FnOnce(Client) -> Acknowledged + Send>| {
            let (client, tell) = (client.clone(), tell.clone());
            thread::spawn(move || {
                let done = work(client);
                // The test may have heard it from another worker.
                let _ = tell.send(());
                done
            })
        };
        let workers = vec![
            spawn(Box::new(move |client| mine(&client, &tokens))),
            spawn(Box::new(move |client| create_wallets(&client, &wanted))),
            spawn(Box::new(|client| send(&client))),
            spawn(Box::new(|client| relay.run(&client))),
        ];
        Self { workers, gone }
    }

    /// Lets time pass: the moment of the kill is what the test is about. Nobody may notice the end
    /// of the node before.
    fn goes_on_for(&self, moment: Duration) {
        let heard = self.gone.recv_timeout(moment);
        assert_eq!(heard, Err(RecvTimeoutError::Timeout), "the node ended before it was killed");
    }

    fn end(self) -> Acknowledged {
        let mut all = Acknowledged::default();
        for worker in self.workers {
            all.add(worker.join().expect("the worker ends"));
        }
        all
    }
}

fn mine(client: &Client, tokens: &Sender<()>) -> Acknowledged {
    let mut done = Acknowledged::default();
    while done.ask(client, ("/mine", None), |done, answer| {
        done.blocks.push(text(&answer["block"]["hash"]));
    }) {
        if done.blocks.len() % BLOCKS_PER_WALLET == BLOCKS_PER_WALLET / 2 {
            tokens.send(()).expect("the other worker waits for tokens");
        }
    }
    done
}

fn create_wallets(client: &Client, wanted: &Receiver<()>) -> Acknowledged {
    let mut done = Acknowledged::default();
    while wanted.recv().is_ok() {
        done.ask(client, ("/wallet", None), |done, answer| {
            done.addresses.push(text(&answer["public_key"]));
        });
    }
    done
}

fn send(client: &Client) -> Acknowledged {
    let mut done = Acknowledged::default();
    let recipient = TestKey::dev(2).public.to_address(PREFIX);
    let body = json!({"recipient": recipient, "amount": 0.025}).to_string();
    while done.ask(client, ("/transaction", Some(body.clone())), |done, answer| {
        done.transfers.push(text(&answer["transaction"]["id"]));
    }) {}
    done
}

/// Transfers that are signed elsewhere and arrive as another node would bring them.
struct Relay {
    key: TestKey,
    nonce: u64,
}

impl Relay {
    fn new(node: &Node) -> Self {
        let key = TestKey::dev(1);
        let address = key.public.to_address(PREFIX);
        let open = node.get("/transactions").expect(200);
        let own = open.as_array().expect("an array").iter();
        let waiting = own.filter(|one| one["sender"] == address.as_str()).count();
        let account = node.get(&format!("/address/{address}")).expect(200);
        let nonce = account["nonce"].as_u64().expect("a number") + waiting as u64;
        Self { key, nonce }
    }

    fn run(self, client: &Client) -> Acknowledged {
        let mut done = Acknowledged::default();
        let chain_id = ChainParams::dev().chain_id();
        for nonce in self.nonce.. {
            let transfer = self.key.pay(TestKey::dev(3).public, (1_000, 10), nonce, &chain_id);
            let body = transfer_to_json(&transfer, PREFIX);
            let keep = |done: &mut Acknowledged, answer: &Value| {
                done.transfers.push(text(&answer["transaction"]["id"]));
            };
            while done.transfers.last() != Some(&transfer.id().to_string()) {
                // It is refused while as many as the pool takes of one sender wait.
                if !done.ask(client, ("/broadcast-transaction", Some(body.clone())), keep) {
                    return done;
                }
            }
        }
        done
    }
}

/// All that was ever acknowledged, and all that was found after a restart.
#[derive(Default)]
struct Kept {
    all: Acknowledged,
    /// The hashes of the chain by height.
    chain: Vec<String>,
    hashes: HashSet<String>,
    mined: HashSet<String>,
    /// Wallet files that never change again, and the keys in them.
    dated: HashMap<PathBuf, PublicKey>,
    killed_starts: u64,
    /// Kills that were to fall into a start and came too late.
    killed_later: u64,
    restarts: Vec<Duration>,
}

impl Kept {
    /// Starts the node and kills it before it is ready; again, if it was ready sooner.
    fn kill_start(&mut self, node: &mut Node, random: &mut Random) {
        let fastest = self.restarts.iter().min().copied().unwrap_or(Duration::from_millis(20));
        let micros = u64::try_from(fastest.as_micros()).expect("a short time");
        while !node.die_starting(Duration::from_micros(random.below(micros.max(1)))) {
            self.killed_later += 1;
        }
        self.killed_starts += 1;
    }

    fn restart(&mut self, node: &mut Node) {
        let started = Instant::now();
        node.restart();
        self.restarts.push(started.elapsed());
    }

    fn check(&mut self, node: &Node) {
        self.read_chain(node);
        for hash in &self.all.blocks {
            assert!(self.hashes.contains(hash), "block {hash} was acknowledged and is lost");
        }
        let open: HashSet<String> = node.open_transactions().into_iter().collect();
        for id in &self.all.transfers {
            let is_there = self.mined.contains(id) || open.contains(id);
            assert!(is_there, "transfer {id} was acknowledged and is lost");
        }
        let keys = self.wallet_keys(node);
        for address in &self.all.addresses {
            let key = PublicKey::from_address(address, PREFIX).expect("an address");
            assert!(keys.contains(&key), "the key of {address} was acknowledged and is lost");
        }
        let loaded = text(&node.get("/wallet").expect(201)["public_key"]);
        let loaded = PublicKey::from_address(&loaded, PREFIX).expect("an address");
        assert!(keys.contains(&loaded), "the loaded wallet is in no file");
    }

    /// Reads what is new in the chain; what was known must still be there.
    fn read_chain(&mut self, node: &Node) {
        let from = self.chain.len().saturating_sub(1);
        let blocks = node.get(&format!("/chain?from={from}")).expect(200);
        for (at, block) in blocks.as_array().expect("an array").iter().enumerate() {
            let hash = text(&block["hash"]);
            if let Some(known) = self.chain.get(from + at) {
                assert_eq!(*known, hash, "the block at height {} is another", from + at);
                continue;
            }
            for transaction in block["transactions"].as_array().expect("an array") {
                self.mined.insert(text(&transaction["id"]));
            }
            self.hashes.insert(hash.clone());
            self.chain.push(hash);
        }
    }

    /// The keys in all wallet files.
    fn wallet_keys(&mut self, node: &Node) -> HashSet<PublicKey> {
        let current = node.file("wallet");
        for entry in std::fs::read_dir(node.dir()).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            // Where a file was about to be replaced, its replacement is left: not yet anybody's.
            let is_kept = name.starts_with("wallet-") && !name.ends_with(".new.txt");
            if is_kept && path != current && !self.dated.contains_key(&path) {
                let key = key_in(&path);
                self.dated.insert(path, key);
            }
        }
        self.dated.values().copied().chain([key_in(&current)]).collect()
    }

    fn report(&self, rounds: u64) -> String {
        let slowest = self.restarts.iter().max().copied().unwrap_or_default();
        let sum: Duration = self.restarts.iter().sum();
        format!(
            "{} kills in the middle of work or soon after a start, {} during a start; acknowledged: {} blocks, {} \
             transfers, {} keys; {} requests cut off; restart {:?} on average, {slowest:?} at most \
             ({} blocks at the end)",
            rounds + self.killed_later,
            self.killed_starts,
            self.all.blocks.len(),
            self.all.transfers.len(),
            self.all.addresses.len(),
            self.all.cut,
            sum / u32::try_from(self.restarts.len().max(1)).expect("few rounds"),
            self.chain.len(),
        )
    }
}

fn key_in(file: &PathBuf) -> PublicKey {
    let text = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let wallet = Wallet::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    wallet.public_key()
}

/// An account as the naive replay keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Account {
    units: u64,
    nonce: u64,
}

/// Adds and subtracts what `GET /chain` shows, from the allocations on, and compares every account.
fn replay_agrees(node: &Node) {
    let mut accounts: HashMap<String, Account> = ChainParams::dev()
        .allocations
        .iter()
        .map(|(key, amount)| (key.to_address(PREFIX), Account { units: amount.units(), nonce: 0 }))
        .collect();
    for block in node.get("/chain").expect(200).as_array().expect("an array") {
        for transaction in block["transactions"].as_array().expect("an array") {
            let amount = units(&transaction["amount"]);
            accounts.entry(text(&transaction["recipient"])).or_default().units += amount;
            let sender = text(&transaction["sender"]);
            if sender != "MINING" {
                let account = accounts.get_mut(&sender).expect("only who has coins can send");
                account.units -= amount + units(&transaction["fee"]);
                account.nonce += 1;
            }
        }
    }
    for (address, expected) in &accounts {
        let shown = node.get(&format!("/address/{address}")).expect(200);
        let nonce = shown["nonce"].as_u64().expect("a number");
        let found = Account { units: units(&shown["balance"]), nonce };
        assert_eq!(found, *expected, "{address}");
    }
    let total: u64 = accounts.values().map(|account| account.units).sum();
    assert_eq!(units(&node.status()["issued"]), total);
}

fn units(coins: &Value) -> u64 {
    coins.to_string().parse::<Amount>().expect("an amount").units()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("expected a text, found {value}")).to_owned()
}
