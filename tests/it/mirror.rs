//! The chain of a node, followed inside the test, so that blocks can be built on its tip: good ones and
//! such as no honest node makes.

use crate::harness::Node;
use farthing::primitives::{AddressPrefix, Block, Transfer};
use farthing::testkit::{TestChain, TestKey};
use farthing::wire::{BlockAnnouncement, block_from_json, transfer_to_json};
use serde_json::value::RawValue;

/// How addresses begin on the development network.
pub const DEV: AddressPrefix = AddressPrefix::Dev;

/// A copy of the chain of a node of the development network.
pub fn mirror(node: &Node) -> TestChain {
    let text = node.get("/chain").text;
    let blocks: Vec<Box<RawValue>> = serde_json::from_str(&text).expect("an array of blocks");
    let mut chain = TestChain::dev();
    for block in &blocks[1..] {
        let block = block_from_json(block.get(), DEV).expect("a block");
        let block = chain.check(block).expect("a good block");
        chain.accept(&block).expect("a block of the chain");
    }
    chain
}

/// The next block of a chain, stamped so that no clock finds it early, without proof of work.
pub fn draft(chain: &TestChain, transfers: Vec<Transfer>) -> Block {
    let mut block = chain.draft(transfers);
    block.header.time = chain.chain.tip().header.time;
    block
}

/// The next block of a chain, which is made its tip.
pub fn extend(chain: &mut TestChain, transfers: Vec<Transfer>) -> Block {
    let block = chain.sealed(draft(chain, transfers));
    let checked = chain.check(block.clone()).expect("a good block");
    chain.accept(&checked).expect("a good block");
    block
}

/// What `POST /broadcast-block` takes.
pub fn announcement(block: Block) -> String {
    BlockAnnouncement { block, from: None }.to_json(DEV)
}

/// What `POST /broadcast-transaction` takes.
pub fn transfer_json(transfer: &Transfer) -> String {
    transfer_to_json(transfer, DEV)
}

/// The address of a key on the development network.
pub fn address(key: &TestKey) -> String {
    key.public.to_address(DEV)
}

/// What an account has, in coins.
pub fn balance(node: &Node, address: &str) -> f64 {
    let account = node.get(&format!("/address/{address}")).expect(200);
    account["balance"].as_f64().expect("a number")
}
