//! Attacks from twenty addresses at once, inside of a network of their own: the node makes no
//! exception for them as it does for its own machine.

use crate::attacker::{Attacker, Line, Requests};
use crate::figures::used_memory;
use crate::harness::{Node, wait_until};
use crate::hostile::{VICTIM, compare, grows_little, world};
use crate::is_long;
use crate::mirror::{DEV, announcement};
use crate::namespace;
use crate::volume::{all_have, pay};
use crate::world::World;
use farthing::primitives::{Block, BlockHash, Height, Txid, Work};
use farthing::testkit::{Random, TestChain};
use farthing::wire::{
    ANNOUNCED_BLOCKS_MAX, ANNOUNCED_IDS_MAX, AnnouncedBlock, Announcement, Frame, Question,
};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// Attackers; each has an address in a network of its own.
const ATTACKERS: u8 = 20;

/// How far an attack is.
#[derive(Default)]
struct Progress {
    sent: AtomicU64,
    is_over: AtomicBool,
}

impl Progress {
    /// Whether one attacker, that has sent so much, is to go on.
    fn goes_on(&self, sent: u64, wanted: u64) -> bool {
        sent < wanted || !self.is_over.load(Ordering::SeqCst)
    }

    fn add(&self, count: u64) {
        self.sent.fetch_add(count, Ordering::SeqCst);
    }
}

/// Ends the attack when it is dropped, also by a test that fails.
struct Ends<'a>(&'a Progress);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::SeqCst);
    }
}

/// Two nodes with an honest peer, as in `hostile`, and the attackers of the first.
fn besieged() -> (World, Vec<Attacker>) {
    let world = world(3);
    let node = SocketAddrV4::new(Ipv4Addr::LOCALHOST, world.nodes[VICTIM].port);
    let addresses: Vec<_> = (1..=ATTACKERS).map(|place| Ipv4Addr::new(10, place, 0, 1)).collect();
    namespace::add_addresses(&addresses);
    let attackers = addresses.into_iter().map(|at| Attacker { at, node }).collect();
    (world, attackers)
}

/// Holds the service of the victim against that of the other while all attack at once.
fn withstands(
    what: &str,
    (world, attackers): &(World, Vec<Attacker>),
    attack: impl Fn(&Attacker, &Progress) + Sync,
) {
    let progress = Progress::default();
    let victim = &world.nodes[VICTIM];
    let before = used_memory(victim.pid());
    thread::scope(|scope| {
        let (attack, progress) = (&attack, &progress);
        for attacker in attackers {
            scope.spawn(move || attack(attacker, progress));
        }
        let ends = Ends(progress);
        wait_until("the attack to begin", || progress.sent.load(Ordering::SeqCst) > 0);
        compare(what, world);
        drop(ends);
    });
    println!("{what}: {} sent", progress.sent.load(Ordering::SeqCst));
    grows_little(what, victim, before);
}

/// Goes on over one line after the other until it is over.
fn over_lines(
    attacker: &Attacker,
    goes_on: impl Fn() -> bool,
    mut send: impl FnMut(&Line) -> io::Result<()>,
) {
    while goes_on() {
        let Ok(line) = attacker.line() else {
            // There may be no place for it just now.
            thread::yield_now();
            continue;
        };
        thread::scope(|scope| {
            scope.spawn(|| line.answer_all());
            while goes_on() && send(&line).is_ok() {}
            line.end();
        });
    }
}

fn random_32(random: &mut Random) -> [u8; 32] {
    let bytes = [(); 4].map(|()| random.bits().to_le_bytes()).concat();
    bytes.try_into().expect("32 bytes")
}

/// What each attacker sends before the attack may be over.
fn each(in_all: u64) -> u64 {
    if is_long() { in_all / u64::from(ATTACKERS) } else { 2_000 }
}

/// News of transfers that nobody has.
fn random_ids(random: &mut Random) -> Announcement {
    let ids = (0..ANNOUNCED_IDS_MAX).map(|_| Txid::from_bytes(random_32(random)));
    Announcement { transactions: ids.collect(), ..Announcement::default() }
}

/// A million in all.
const IDS: u64 = 1_000_000;

fn ids_over_lines(attacker: &Attacker, progress: &Progress) {
    let (mut random, sent) = (Random(u32::from(attacker.at).into()), AtomicU64::new(0));
    let goes_on = || progress.goes_on(sent.load(Ordering::SeqCst), each(IDS));
    over_lines(attacker, goes_on, |line| {
        line.send(&Frame::Tell(random_ids(&mut random)).to_json(DEV))?;
        sent.fetch_add(ANNOUNCED_IDS_MAX as u64, Ordering::SeqCst);
        progress.add(ANNOUNCED_IDS_MAX as u64);
        Ok(())
    });
}

fn ids_over_http(attacker: &Attacker, progress: &Progress) {
    let mut random = Random(u32::from(attacker.at).into());
    let (mut requests, mut sent) = (Requests::of(attacker), 0);
    while progress.goes_on(sent, each(IDS)) {
        let from = attacker.handshake().node;
        let news = Announcement { from, ..random_ids(&mut random) };
        // Whoever is put off has not told anything.
        if let Ok(200) = requests.post("/announce", &news.to_json(DEV)) {
            sent += ANNOUNCED_IDS_MAX as u64;
            progress.add(ANNOUNCED_IDS_MAX as u64);
        }
    }
}

#[test]
fn random_ids_over_live_connections() {
    if !namespace::is_inside("attack::random_ids_over_live_connections") {
        return;
    }
    withstands("ids on lines", &besieged(), ids_over_lines);
}

/// Has the attackers taken for peers, so that their word counts.
fn become_peers(node: &Node, attackers: &[Attacker]) {
    for attacker in attackers {
        attacker.answers_calls();
        let hello = attacker.handshake().to_json();
        let met = Requests::of(attacker).post("/handshake", &hello);
        assert_eq!(met.expect("it answers"), 200);
    }
    wait_until("the attackers to be peers", || {
        let nodes = node.get("/nodes").expect(200);
        let peers = nodes["peers"].as_array().expect("an array").iter();
        peers.filter(|peer| peer["state"] == "connected").count() > attackers.len()
    });
}

#[test]
fn random_ids_over_http() {
    if !namespace::is_inside("attack::random_ids_over_http") {
        return;
    }
    let besieged = besieged();
    become_peers(&besieged.0.nodes[VICTIM], &besieged.1);
    withstands("ids over HTTP", &besieged, ids_over_http);
}

/// Blocks on parents that nobody knows.
struct Orphans {
    chain: TestChain,
    random: Random,
}

impl Orphans {
    fn of(attacker: &Attacker) -> Self {
        let (mut chain, random) = (TestChain::dev(), Random(u32::from(attacker.at).into()));
        chain.mine_empty(1);
        Self { chain, random }
    }

    fn next(&mut self) -> Block {
        let mut block = self.chain.draft(Vec::new());
        block.header.time = self.chain.chain.tip().header.time;
        block.header.previous = BlockHash::from_bytes(random_32(&mut self.random));
        self.chain.sealed(block)
    }
}

/// Ten thousand of each.
const ORPHANS: u64 = 10_000 * ATTACKERS as u64;

fn orphans_over_http(attacker: &Attacker, progress: &Progress) {
    let (mut requests, mut orphans, mut sent) = (Requests::of(attacker), Orphans::of(attacker), 0);
    while progress.goes_on(sent, each(ORPHANS)) {
        let body = announcement(orphans.next());
        if requests.post("/broadcast-block", &body).is_ok() {
            sent += 1;
            progress.add(1);
        }
    }
}

fn orphans_over_lines(attacker: &Attacker, progress: &Progress) {
    let (mut orphans, sent) = (Orphans::of(attacker), AtomicU64::new(0));
    let goes_on = || progress.goes_on(sent.load(Ordering::SeqCst), each(ORPHANS));
    over_lines(attacker, goes_on, |line| {
        let announced = |_| {
            let header = orphans.next().header;
            AnnouncedBlock::Header { header, height: Height(1), work: Work::ZERO }
        };
        let blocks = (0..ANNOUNCED_BLOCKS_MAX).map(announced).collect();
        let news = Announcement { blocks, ..Announcement::default() };
        line.send(&Frame::Tell(news).to_json(DEV))?;
        sent.fetch_add(ANNOUNCED_BLOCKS_MAX as u64, Ordering::SeqCst);
        progress.add(ANNOUNCED_BLOCKS_MAX as u64);
        Ok(())
    });
}

#[test]
fn orphans_of_twenty_addresses() {
    if !namespace::is_inside("attack::orphans_of_twenty_addresses") {
        return;
    }
    withstands("orphans over HTTP", &besieged(), orphans_over_http);
}

#[test]
fn orphans_of_twenty_addresses_over_live_connections() {
    if !namespace::is_inside("attack::orphans_of_twenty_addresses_over_live_connections") {
        return;
    }
    withstands("orphans on lines", &besieged(), orphans_over_lines);
}

/// Lines of one address at a time: with all attackers, sixty.
const LINES_OF_ONE: usize = 3;

/// Bytes of a piece of a text that never ends.
const PIECE: usize = 16 << 10;

/// Keeps texts under way that never end, on several lines.
fn unfinished_texts(attacker: &Attacker, progress: &Progress) {
    let goes_on = || progress.goes_on(0, 0);
    let piece = vec![b' '; PIECE];
    thread::scope(|scope| {
        for _ in 0..LINES_OF_ONE {
            scope.spawn(|| {
                over_lines(attacker, goes_on, |line| {
                    line.send_piece(true, &piece)?;
                    progress.add(PIECE as u64);
                    while goes_on() {
                        line.send_piece(false, &piece)?;
                        progress.add(PIECE as u64);
                    }
                    Ok(())
                });
            });
        }
    });
}

#[test]
fn texts_without_an_end_on_live_connections() {
    if !namespace::is_inside("attack::texts_without_an_end_on_live_connections") {
        return;
    }
    withstands("texts without an end", &besieged(), unfinished_texts);
}

/// Transfers of each payer in the block that is asked for: all together fill it.
const PAID: u64 = 100;

/// Asks for a block again and again, on several lines, and reads no answer.
fn unread_answers(attacker: &Attacker, progress: &Progress, block: BlockHash) {
    let question = Question::Blocks { hashes: vec![block] };
    let ask = Frame::Ask { id: 1, question }.to_json(DEV);
    thread::scope(|scope| {
        for _ in 0..LINES_OF_ONE {
            scope.spawn(|| {
                while progress.goes_on(0, 0) {
                    let Ok(line) = attacker.line() else {
                        thread::yield_now();
                        continue;
                    };
                    while progress.goes_on(0, 0) && line.send(&ask).is_ok() {
                        progress.add(1);
                    }
                    line.end();
                }
            });
        }
    });
}

#[test]
fn answers_that_are_not_read_on_live_connections() {
    if !namespace::is_inside("attack::answers_that_are_not_read_on_live_connections") {
        return;
    }
    let besieged = besieged();
    let nodes = &besieged.0.nodes;
    pay(&nodes[VICTIM..=VICTIM], PAID);
    all_have(nodes, nodes[VICTIM].status()["mempool"]["count"].as_u64().expect("a number"));
    let mined = nodes[VICTIM].mine();
    let block: BlockHash = mined["hash"].as_str().expect("a hash").parse().expect("a hash");
    wait_until("the block", || nodes.iter().all(|node| node.tip() == block.to_string()));
    let size = nodes[VICTIM].get(&format!("/block/{block}")).text.len();
    println!("a block of {size} bytes as JSON");
    withstands("answers unread", &besieged, |attacker, progress| {
        unread_answers(attacker, progress, block);
    });
}
