//! Peers that want to wear a node out.
//!
//! What the attacked node does for an honest peer is compared with what another node, which is left
//! alone, does for the same peer at the same time: what the attack costs the machine stands on both
//! sides.

use crate::figures::{Times, mib, peak_memory, used_memory};
use crate::harness::{Node, number_from_env, wait_until};
use crate::hostility::{Answer, Manner};
use crate::is_long;
use crate::mirror::{announcement, extend};
use crate::watch::Watch;
use crate::world::World;
use farthing::primitives::BlockHash;
use farthing::testkit::{Random, TestChain};
use farthing::wire::headers_to_json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The node that is attacked.
pub const VICTIM: usize = 0;
/// The node that is left alone.
const OTHER: usize = 1;
/// The honest peer of both, which mines.
const HONEST: usize = 2;
/// Peers of the victim that attack come last; their chains are heavier ones.
const FIRST_ATTACKER: usize = 3;

/// Differences below this are of the machine.
const NOISE: Duration = Duration::from_millis(1);

/// Memory by which a node may grow.
const GROWTH_MAX: u64 = 16 << 20;

/// What a node does for its honest peer: how long blocks and answers take.
#[derive(Default)]
struct Service {
    blocks: Times,
    answers: Times,
}

fn rounds() -> u32 {
    let rounds = number_from_env("FARTHING_ROUNDS", if is_long() { 200 } else { 10 });
    u32::try_from(rounds).expect("not so many")
}

/// How long an attack goes on at least: most are asked for again after a while only.
fn lasts() -> Duration {
    if is_long() { Duration::from_secs(30) } else { Duration::ZERO }
}

/// Mines at the honest peer, and holds what the victim does against what the other does.
pub fn compare(what: &str, world: &World) {
    let from = Watch::of(&world.nodes[HONEST]);
    let watches = [VICTIM, OTHER].map(|place| Watch::of(&world.nodes[place]));
    let mut services = [VICTIM, OTHER].map(|_| Service::default());
    let (begun, count) = (Instant::now(), rounds());
    for round in 0..count {
        wait_until("the next round", || begun.elapsed() >= lasts() * round / count);
        let mined = world.nodes[HONEST].mine();
        let hash = mined["hash"].as_str().expect("a hash");
        for (service, watch) in services.iter_mut().zip(watches.chunks(1)) {
            service.blocks.push(Watch::spread(hash, &from, watch));
        }
        // Whoever is asked first finds the machine as the block has left it.
        let order = if round % 2 == 0 { [VICTIM, OTHER] } else { [OTHER, VICTIM] };
        for place in order {
            let asked = Instant::now();
            world.nodes[place].status();
            services[place].answers.push(asked.elapsed());
        }
    }
    let [victim, other] = services;
    for (kind, attacked, left_alone) in
        [("blocks", victim.blocks, other.blocks), ("answers", victim.answers, other.answers)]
    {
        println!("{what}, {kind} of the attacked: {attacked}");
        println!("{what}, {kind} of the other:    {left_alone}");
        let most = left_alone.percentile(50).mul_f64(1.2) + NOISE;
        assert!(!is_long() || attacked.percentile(50) <= most, "{what}, {kind}");
    }
}

pub fn grows_little(what: &str, node: &Node, before: u64) {
    let growth = peak_memory(node.pid()).saturating_sub(before);
    println!("{what}: {} MiB more", mib(growth));
    assert!(growth < GROWTH_MAX, "{what}: {growth} bytes");
}

/// Two nodes with one honest peer, that know it.
pub fn world(count: usize) -> World {
    let mut world = World::new(count);
    for place in [VICTIM, OTHER] {
        world.link(place, HONEST);
    }
    world.introduce();
    world.nodes.iter().for_each(|node| drop(node.create_wallet()));
    world
}

/// The attackers answer `path` with `answer`; each claims a heavier chain, so it is asked, and after
/// a while asked again.
fn answers_badly(what: &str, path: &'static str, answer: &Answer) {
    let attackers = FIRST_ATTACKER..FIRST_ATTACKER + if is_long() { 4 } else { 1 };
    let mut world = world(attackers.end);
    let pid = world.nodes[VICTIM].pid();
    let before = used_memory(pid);
    for attacker in attackers.clone() {
        (0..2 * rounds() + 20).for_each(|_| drop(world.nodes[attacker].mine()));
        world.link(VICTIM, attacker);
        // Nor does it open a live connection of its own, over which it would be an honest node.
        let refused = Manner::Instead("/nothing", answer.clone());
        world.way(attacker, VICTIM).set_manner(refused);
        world.way(VICTIM, attacker).set_manner(Manner::Instead(path, answer.clone()));
        world.meet(VICTIM, attacker);
    }
    let faults = || attackers.clone().map(|attacker| world.way(VICTIM, attacker).faults());
    wait_until("the victim to be attacked", || faults().all(|count| count > 0));
    compare(what, &world);
    grows_little(what, &world.nodes[VICTIM], before);
    println!("{what}: asked {:?} times", faults().collect::<Vec<_>>());
}

#[test]
fn endless_headers() {
    let header = extend(&mut TestChain::dev(), Vec::new()).header;
    let text = headers_to_json(&[header]);
    let (begin, rest) = text.split_at(text.find('[').expect("a list") + 1);
    let piece = rest.trim_end_matches("]}").repeat(100).replace("\"\"", "\",\"") + ",";
    answers_badly("endless headers", "/headers", &Answer::Endless(begin.into(), piece.into()));
}

#[test]
fn endless_bodies() {
    let piece = "[".repeat(1 << 12);
    answers_badly("endless bodies", "/blocks", &Answer::Endless("".into(), piece.as_str().into()));
    let piece = "\"x\",".repeat(1 << 10);
    answers_badly("endless bodies", "/blocks", &Answer::Endless("[".into(), piece.as_str().into()));
}

#[test]
fn slow_bodies() {
    answers_badly("slow bodies", "/blocks", &Answer::Drip("[".into(), " ".into()));
    answers_badly("slow headers", "/headers", &Answer::Drip("{".into(), " ".into()));
}

/// Orphans that each peer sends at least.
fn orphans_wanted() -> u64 {
    if is_long() { 10_000 } else { 0 }
}

/// Sends blocks whose parents nobody knows until it is over; counts them.
fn send_orphans(node: &Node, seed: u64, is_over: &AtomicBool) -> u64 {
    let (client, mut chain, mut random) = (node.client(), TestChain::dev(), Random(seed));
    chain.mine_empty(1);
    let mut sent = 0;
    while sent < orphans_wanted() || !is_over.load(Ordering::SeqCst) {
        let mut block = chain.draft(Vec::new());
        block.header.time = chain.chain.tip().header.time;
        let parent = [(); 4].map(|()| random.bits().to_le_bytes()).concat();
        block.header.previous = BlockHash::from_bytes(parent.try_into().expect("32 bytes"));
        let orphan = announcement(chain.sealed(block));
        // Whoever attacks may be put off.
        sent += u64::from(client.request("POST", "/broadcast-block", Some(orphan)).is_ok());
    }
    sent
}

/// Ends when it is dropped, also by a test that fails.
struct Attack<'a>(&'a AtomicBool);

impl Drop for Attack<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn orphans_of_twenty_peers() {
    let world = world(3);
    let node = &world.nodes[VICTIM];
    let (before, is_over) = (used_memory(node.pid()), AtomicBool::new(false));
    thread::scope(|scope| {
        let send = |seed| send_orphans(node, seed, &is_over);
        let senders: Vec<_> = (0..20).map(|seed| scope.spawn(move || send(seed))).collect();
        let attack = Attack(&is_over);
        compare("orphans", &world);
        drop(attack);
        let sent: u64 = senders.into_iter().map(|sender| sender.join().expect("sent")).sum();
        println!("orphans: {sent} sent");
    });
    grows_little("orphans", node, before);
}
