//! Peers that want to wear a node out.
//!
//! While they attack one node, what it does for honest ones is compared with what it does while the
//! same attack goes against another node of the same machine, so that the work that the attack costs
//! the machine stands on both sides.

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
use std::time::Instant;

/// The node that is attacked in the end.
const VICTIM: usize = 0;
/// The honest peer of the victim, which mines.
const HONEST: usize = 1;
/// The node that is attacked in its stead.
const OTHER: usize = 2;
/// The peer of both that attacks; its chain is the heavier one.
const ATTACKER: usize = 3;

/// Memory by which a node may grow.
const GROWTH_MAX: u64 = 16 << 20;

/// What a node does for its honest peer: how long blocks and answers take.
fn service(world: &World) -> (Times, Times) {
    let (node, honest) = (&world.nodes[VICTIM], &world.nodes[HONEST]);
    let rounds = number_from_env("FARTHING_ROUNDS", if is_long() { 200 } else { 10 });
    let (from, to) = (Watch::of(honest), [Watch::of(node)]);
    let (mut blocks, mut answers) = (Times::default(), Times::default());
    for _ in 0..rounds {
        let mined = honest.mine();
        blocks.push(Watch::spread(mined["hash"].as_str().expect("a hash"), &from, &to));
        let begun = Instant::now();
        node.status();
        answers.push(begun.elapsed());
    }
    (blocks, answers)
}

/// Shows what an attack costs: others first, then the victim.
fn compare(what: &str, elsewhere: &(Times, Times), here: &(Times, Times)) {
    for (kind, elsewhere, here) in
        [("blocks", &elsewhere.0, &here.0), ("answers", &elsewhere.1, &here.1)]
    {
        println!("{what}, {kind} while another is attacked: {elsewhere}");
        println!("{what}, {kind} while it is attacked: {here}");
        let most = elsewhere.percentile(50).mul_f64(1.2);
        assert!(!is_long() || here.percentile(50) <= most, "{what}: {here}");
    }
}

/// A victim with an honest peer, another node, and an attacker that knows both.
fn world(answer: &Manner) -> World {
    let mut world = World::new(4);
    for (one, other) in [(VICTIM, HONEST), (VICTIM, ATTACKER), (OTHER, ATTACKER)] {
        world.link(one, other);
    }
    for node in &world.nodes {
        node.create_wallet();
    }
    for _ in 0..number_from_env("FARTHING_ROUNDS", if is_long() { 200 } else { 10 }) * 2 + 20 {
        world.nodes[ATTACKER].mine();
    }
    for place in [VICTIM, OTHER] {
        world.way(place, ATTACKER).set_manner(answer.clone());
    }
    world
}

/// The attacker answers `path` with `answer`; it claims a heavier chain, so it is asked.
fn answers_badly(what: &str, path: &'static str, answer: Answer) {
    let world = world(&Manner::Instead(path, answer));
    world.meet(VICTIM, HONEST);
    world.meet(OTHER, ATTACKER);
    let attacked = |place| world.way(place, ATTACKER).faults() > 0;
    wait_until("the other to be attacked", || attacked(OTHER));
    let elsewhere = service(&world);
    world.nodes[OTHER].call("DELETE", &format!("/node/{}", world.way(OTHER, ATTACKER).address()));
    let pid = world.nodes[VICTIM].pid();
    let before = used_memory(pid);
    world.meet(VICTIM, ATTACKER);
    wait_until("the victim to be attacked", || attacked(VICTIM));
    let here = service(&world);
    compare(what, &elsewhere, &here);
    grows_little(what, &world.nodes[VICTIM], before);
    println!("{what}: asked {} times", world.way(VICTIM, ATTACKER).faults());
}

fn grows_little(what: &str, node: &Node, before: u64) {
    let growth = peak_memory(node.pid()).saturating_sub(before);
    println!("{what}: {} MiB more", mib(growth));
    assert!(growth < GROWTH_MAX, "{what}: {growth} bytes");
}

#[test]
fn endless_headers() {
    let header = extend(&mut TestChain::dev(), Vec::new()).header;
    let text = headers_to_json(&[header]);
    let (begin, rest) = text.split_at(text.find('[').expect("a list") + 1);
    let piece = rest.trim_end_matches("]}").repeat(100).replace("\"\"", "\",\"") + ",";
    answers_badly("endless headers", "/headers", Answer::Endless(begin.into(), piece.into()));
}

#[test]
fn endless_bodies() {
    let piece = "[".repeat(1 << 12);
    answers_badly("endless bodies", "/blocks", Answer::Endless("".into(), piece.as_str().into()));
    let piece = "\"x\",".repeat(1 << 10);
    answers_badly("endless bodies", "/blocks", Answer::Endless("[".into(), piece.as_str().into()));
}

#[test]
fn slow_bodies() {
    answers_badly("slow bodies", "/blocks", Answer::Drip("[".into(), " ".into()));
    answers_badly("slow headers", "/headers", Answer::Drip("{".into(), " ".into()));
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

#[test]
fn orphans_of_twenty_peers() {
    let mut world = World::new(3);
    world.link(VICTIM, HONEST);
    world.introduce();
    world.nodes.iter().for_each(|node| drop(node.create_wallet()));
    let attack = |target: usize| {
        let (node, is_over) = (&world.nodes[target], AtomicBool::new(false));
        thread::scope(|scope| {
            let send = |seed| send_orphans(node, seed, &is_over);
            let senders: Vec<_> = (0..20).map(|seed| scope.spawn(move || send(seed))).collect();
            let service = service(&world);
            is_over.store(true, Ordering::SeqCst);
            let sent: u64 = senders.into_iter().map(|sender| sender.join().expect("sent")).sum();
            println!("{sent} orphans sent");
            service
        })
    };
    let before = used_memory(world.nodes[VICTIM].pid());
    let elsewhere = attack(OTHER);
    let here = attack(VICTIM);
    compare("orphans", &elsewhere, &here);
    grows_little("orphans", &world.nodes[VICTIM], before);
}
