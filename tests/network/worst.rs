//! The largest blocks of the worst shapes: what they cost a node grows with their bytes, no faster.
//!
//! The time on the cores is measured, so that it does not matter what else the machine does.

use crate::figures::core_time;
use crate::harness::{Node, Start};
use crate::is_long;
use crate::mirror::extend;
use farthing::config::chain::to_toml;
use farthing::consensus::params::ChainParams;
use farthing::primitives::amount::COIN;
use farthing::primitives::{AddressPrefix, Amount, Transfer};
use farthing::testkit::{TestChain, TestKey};
use farthing::wire::BlockAnnouncement;
use std::time::Duration;

/// Accounts that can pay from the start.
const PAYERS: u32 = 1_000;

/// Blocks of each size and shape.
const ROUNDS: u32 = 5;

/// What a full block may take a node with two cores, from the first byte of the request to the answer.
const SOON: Duration = Duration::from_millis(300);

/// How much longer twice as many transfers may take; small blocks are measured less well.
fn times_max() -> f64 {
    if is_long() { 2.3 } else { 3.5 }
}

/// Transfers of the larger blocks: all that fit, of 158 bytes each.
fn count() -> u32 {
    if is_long() { 6_200 } else { 1_000 }
}

/// The rules of the development network with room for the largest blocks from the first on.
fn params() -> ChainParams {
    let mut params = ChainParams::dev();
    (params.name, params.prefix) = ("wide".parse().expect("short"), AddressPrefix::Custom);
    let funds = Amount::from_units(1_000 * COIN);
    params.allocations = (0..PAYERS).map(|payer| (TestKey::new(payer).public, funds)).collect();
    params.allocations.sort_by_key(|(account, _)| *account.as_bytes());
    params.schedule.emission.allocations = Amount::from_units(u64::from(PAYERS) * 1_000 * COIN);
    params.schedule.spacing.start = params.schedule.spacing.end;
    params.check().expect("sound rules");
    params
}

/// Who pays whom in the transfer at a place.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// One account pays all.
    OneSender,
    /// As many accounts as there are pay accounts that were not there before.
    NewAccounts,
    /// They pay one account.
    OneRecipient,
}

/// A node and its chain, followed.
struct Bench {
    node: Node,
    chain: TestChain,
    nonces: Vec<u64>,
    accounts: u32,
}

impl Bench {
    fn new() -> Self {
        let params = params();
        let dir = tempfile::tempdir().expect("a temporary directory").keep();
        let config = format!("[node]\nnetwork = \"custom\"\n{}", to_toml(&params));
        std::fs::write(dir.join("config.toml"), config).expect("a file");
        let node = Start::default().network("custom").node_in(&dir);
        let nonces = vec![0; PAYERS as usize];
        Self { node, chain: TestChain::new(params), nonces, accounts: PAYERS }
    }

    fn transfer(&mut self, shape: Shape, place: u32) -> Transfer {
        let payer = if matches!(shape, Shape::OneSender) { 0 } else { 1 + place % (PAYERS - 1) };
        self.accounts += u32::from(!matches!(shape, Shape::OneRecipient));
        let nonce = &mut self.nonces[payer as usize];
        *nonce += 1;
        let to = TestKey::new(self.accounts).public;
        TestKey::new(payer).pay(to, (1, 0), *nonce - 1, &self.chain.chain.chain_id())
    }

    /// How long the node's threads are busy with a block of so many transfers, of which it knows none.
    fn takes(&mut self, shape: Shape, count: u32) -> Duration {
        let transfers = (0..count).map(|place| self.transfer(shape, place)).collect();
        let block = extend(&mut self.chain, transfers);
        let hash = block.hash().to_string();
        let text = BlockAnnouncement { block, from: None }.to_json(AddressPrefix::Custom);
        let before = core_time(self.node.pid());
        self.node.request("POST", "/broadcast-block", Some(text)).expect(201);
        let took = core_time(self.node.pid()) - before;
        assert_eq!(self.node.tip(), hash);
        took
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.node.dir());
    }
}

#[test]
fn what_a_block_costs_grows_with_its_bytes() {
    let mut bench = Bench::new();
    for shape in [Shape::OneSender, Shape::NewAccounts, Shape::OneRecipient] {
        let (mut half, mut whole) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..ROUNDS {
            half += bench.takes(shape, count() / 2);
            whole += bench.takes(shape, count());
        }
        let (times, each) = (whole.as_secs_f64() / half.as_secs_f64(), whole / ROUNDS);
        println!("{shape:?}, {} transfers: {each:?} of cores, {times:.2} times half", count());
        assert!(each <= 2 * SOON && times <= times_max(), "{shape:?}: {each:?}, {times:.2}");
    }
}
