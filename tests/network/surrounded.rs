//! A node all of whose peers attack, and then one honest one.

use crate::harness::{DEADLINE, Node, wait_until};
use crate::is_long;
use crate::made_up::{chain_of, greeting, made_up};
use crate::mirror::DEV;
use farthing::wire::{block_to_json, headers_to_json};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Peers that attack; a person has added all of them, so they come before whoever comes by itself.
fn count() -> usize {
    if is_long() { 20 } else { 8 }
}

/// Blocks of their chain, fewer than the honest one has.
const LIGHT: usize = 5;

/// Blocks of the honest chain.
const HEAVY: u64 = 12;

/// How soon the victim is to be on the honest chain.
const SOON: Duration = Duration::from_secs(10);

/// What an attacker says of itself: all the work in the world.
fn boast(greeting: &str, instance: u64) -> String {
    let mut said: Value = serde_json::from_str(greeting).expect("a handshake");
    said["work"] = json!("f".repeat(64));
    said["height"] = json!(1_000_000);
    said["tip"] = json!(format!("{instance:064x}"));
    said.to_string()
}

/// Attackers that show a light chain and boast of a heavier one; once they are `mute` they say nothing
/// at all when they are asked for it.
fn attackers(mute: &Arc<AtomicBool>) -> Vec<String> {
    let (chain, blocks) = chain_of(LIGHT);
    let headers = headers_to_json(&blocks.iter().map(|block| block.header).collect::<Vec<_>>());
    let bodies: Vec<_> = blocks.iter().map(|block| block_to_json(block, DEV)).collect();
    let bodies = format!("[{}]", bodies.join(","));
    let attacker = |_| {
        let (chain, headers, bodies) = (chain.clone(), headers.clone(), bodies.clone());
        let mute = mute.clone();
        made_up(move |port, path, _| {
            let is_mute = mute.load(Ordering::SeqCst);
            match path {
                "/handshake" => Some((200, boast(&greeting(&chain, port), port.into()))),
                _ if path.starts_with("/headers") => (!is_mute).then(|| (200, headers.clone())),
                _ if path.starts_with("/blocks") => Some((200, bodies.clone())),
                _ => Some((200, "[]".to_owned())),
            }
        })
    };
    (0..count()).map(attacker).collect()
}

/// How long one honest node that calls the victim takes to bring its chain there.
fn rescue(what: &str, becomes_mute: bool) -> Duration {
    let (victim, honest) = (Node::dev(), Node::dev());
    honest.create_wallet();
    (0..HEAVY).for_each(|_| drop(honest.mine()));
    let mute = Arc::new(AtomicBool::new(false));
    let attackers = attackers(&mute);
    for attacker in &attackers {
        victim.post("/node", &json!({ "node": attacker })).expect(201);
    }
    wait_until("the chain of the attackers", || victim.height() == LIGHT as u64);
    mute.store(becomes_mute, Ordering::SeqCst);
    let begun = Instant::now();
    honest.add_peer(&victim);
    wait_until("the honest chain", || victim.tip() == honest.tip());
    let took = begun.elapsed();
    println!("{what}: on the honest chain after {took:?}");
    honest.mine();
    wait_until("the next block", || victim.tip() == honest.tip());
    assert!(!victim.log().contains("panicked"), "{}", victim.log());
    took
}

#[test]
fn one_honest_link_is_enough() {
    let took = rescue("peers that boast", false);
    assert!(took <= if is_long() { SOON } else { DEADLINE }, "{took:?}");
}

#[test]
fn one_honest_link_is_enough_beside_silent_ones() {
    let took = rescue("peers that boast and are silent", true);
    assert!(took <= if is_long() { SOON } else { DEADLINE }, "{took:?}");
}
