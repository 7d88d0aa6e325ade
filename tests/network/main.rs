//! Real nodes on a network that delays, loses, breaks and lies.
//!
//! Every commit runs small numbers with generous limits. The numbers that are promised are shown by
//! longer runs, which print what they measure and hold it to the promise:
//!
//! ```text
//! FARTHING_LONG=1 cargo test --release --test network -- --test-threads 1 --nocapture
//! ```
//!
//! `FARTHING_SPLITS`, `FARTHING_DEPTH`, `FARTHING_ROUNDS` and `FARTHING_BLOCKS` set single numbers,
//! `FARTHING_SEED` the choices of chance.

mod attack;
mod attacker;
mod broken;
mod dead;
mod double;
mod figures;
mod gossip;
#[path = "../it/harness.rs"]
#[allow(dead_code, reason = "each binary of tests takes from it what it needs")]
mod harness;
mod hostile;
mod hostility;
mod junk;
#[path = "../it/made_up.rs"]
#[allow(dead_code, reason = "each binary of tests takes from it what it needs")]
mod made_up;
#[path = "../it/mirror.rs"]
#[allow(dead_code, reason = "each binary of tests takes from it what it needs")]
mod mirror;
mod namespace;
mod newcomer;
mod partition;
mod proxy;
#[path = "../it/raw.rs"]
#[allow(dead_code, reason = "each binary of tests takes from it what it needs")]
mod raw;
mod relay;
mod router;
mod surrounded;
mod volume;
mod watch;
mod world;
mod worst;

/// Whether this is a longer run, which holds what it measures to what is promised.
fn is_long() -> bool {
    std::env::var_os("FARTHING_LONG").is_some()
}
