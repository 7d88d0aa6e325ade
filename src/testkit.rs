//! What tests and benches build chains from: deterministic keys, bodies in memory, blocks with
//! proof of work on any parent.
//!
//! A branch is a copy of a [`TestChain`], so a block on any parent is a block on a copy's tip.
//! Nothing here reads a clock or the system's randomness: equal calls make equal blocks.

pub use crate::planted::*;

use crate::chain::accept::{AcceptError, Accepted, Now};
use crate::chain::pool::{Admitted, POOL_BYTES_DEFAULT, PoolError};
use crate::chain::{Bodies, BodiesError, Chain};
use crate::consensus::check::{
    BlockError, CheckedBlock, CheckedTransfer, Signatures, check_block, check_transfer,
};
use crate::consensus::connect::{next_bits, proof_target};
use crate::consensus::merkle::{commitment, tx_root};
use crate::consensus::params::{ChainParams, TEMPLATE_VERSION};
use crate::primitives::hash::sha256;
use crate::primitives::{
    Amount, Block, BlockHash, BodyRef, Coinbase, Expiry, Hash256, Header, Height, Memo, PublicKey,
    Signature, Tag, Target, Transfer, UnixTime, Work,
};
use crate::wire::{Handshake, PEER_VERSION};
use secp256k1::Keypair;
use std::sync::Arc;
use std::time::Duration;

/// Bodies kept in memory; copies share the blocks.
#[derive(Clone, Default)]
pub struct MemoryBodies {
    blocks: Vec<Arc<Block>>,
    /// Whether keeping fails from now on.
    pub keeping_fails: bool,
    /// Whether reading fails from now on.
    pub reading_fails: bool,
}

impl MemoryBodies {
    /// The number of bodies kept so far.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether none was kept.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Puts another block where `body` points, as a broken store might.
    pub fn swap_in(&mut self, body: BodyRef, block: Block) {
        let place = usize::try_from(body.offset()).expect("offsets here are places in memory");
        self.blocks[place] = Arc::new(block);
    }
}

impl Bodies for MemoryBodies {
    fn keep(&mut self, block: &CheckedBlock) -> Result<BodyRef, BodiesError> {
        if self.keeping_fails {
            return Err(BodiesError("no space left".into()));
        }
        self.blocks.push(Arc::new(block.block().clone()));
        Ok(BodyRef::new(self.blocks.len() as u64 - 1, 1))
    }

    fn read(&self, body: BodyRef) -> Result<Block, BodiesError> {
        let place = usize::try_from(body.offset()).ok().filter(|_| !self.reading_fails);
        let block = place.and_then(|place| self.blocks.get(place));
        block.map(|block| Block::clone(block)).ok_or_else(|| BodiesError("no such body".into()))
    }
}

/// A key pair that is the same in every run, and signs the same way.
#[derive(Clone)]
pub struct TestKey {
    pair: Keypair,
    /// The account.
    pub public: PublicKey,
}

impl TestKey {
    /// The key of one of the development network's funded accounts, from 1 to 10.
    pub fn dev(number: u32) -> Self {
        Self::of(&format!("farthing dev account {number}"))
    }

    /// Some other key.
    pub fn new(number: u32) -> Self {
        Self::of(&format!("farthing test account {number}"))
    }

    fn of(seed: &str) -> Self {
        let secret = sha256(&[seed.as_bytes()]);
        let pair = Keypair::from_secret_bytes(secret).expect("nearly every hash is a key");
        let public = PublicKey::from_bytes(pair.x_only_public_key().0.to_byte_array());
        Self { pair, public }
    }

    /// A transfer of `amount` base units with a fee, signed for `chain_id`.
    pub fn pay(&self, to: PublicKey, amounts: (u64, u64), nonce: u64, id: &BlockHash) -> Transfer {
        self.sign(unsigned(self.public, to, amounts, nonce), id)
    }

    /// `transfer` with this key's signature for `chain_id`.
    pub fn sign(&self, mut transfer: Transfer, chain_id: &BlockHash) -> Transfer {
        let message = transfer.signing_hash(chain_id);
        let signature = secp256k1::schnorr::sign_no_aux_rand(&message, &self.pair);
        transfer.signature = Signature::from_bytes(signature.to_byte_array());
        transfer
    }
}

/// A transfer without memo and expiry, and with no valid signature; `amounts` are amount and fee.
pub fn unsigned(
    sender: PublicKey,
    recipient: PublicKey,
    amounts: (u64, u64),
    nonce: u64,
) -> Transfer {
    Transfer {
        sender,
        recipient,
        amount: Amount::from_units(amounts.0),
        fee: Amount::from_units(amounts.1),
        nonce,
        expiry: Expiry::NEVER,
        memo: Memo::default(),
        signature: Signature::from_bytes([0; 64]),
    }
}

/// Makes the header commit to what the block holds, and finds its proof of work.
pub fn seal(block: &mut Block, target: Target) {
    block.header.commitment = commitment(&tx_root(&block.txids()), &block.roots);
    solve(&mut block.header, target);
}

/// Finds a nonce; if there is none, with the next extra nonce in the version's rolling bits.
pub fn solve(header: &mut Header, target: Target) {
    header.nonce = 0;
    while !target.is_met_by(&header.hash()) {
        header.nonce = header.nonce.checked_add(1).expect("tests use easy targets");
    }
}

/// What a node says of itself that has no chain, cannot be called and whose clock shows `time`.
pub fn handshake(instance: u64, time: UnixTime) -> Handshake {
    Handshake {
        chain_id: BlockHash::ZERO,
        chain: "dev".parse().expect("a short text"),
        version: PEER_VERSION,
        height: Height::GENESIS,
        tip: BlockHash::ZERO,
        work: Work::ZERO,
        instance,
        node: None,
        linked: false,
        time,
    }
}

/// A chain with its bodies and a clock that stands still unless it is moved.
#[derive(Clone)]
pub struct TestChain {
    /// The chain.
    pub chain: Chain,
    /// Its bodies.
    pub bodies: MemoryBodies,
    /// The clock.
    pub now: Now,
    /// Who is paid for blocks.
    pub miner: PublicKey,
    /// Goes into the extra nonce, so that equal blocks of two branches differ.
    pub salt: u64,
}

impl TestChain {
    /// A chain by these rules; its clock stands a year after genesis.
    pub fn new(params: ChainParams) -> Self {
        let unix = params.genesis_time.plus(365 * 24 * 3600);
        Self {
            chain: Chain::new(Arc::new(params), POOL_BYTES_DEFAULT),
            bodies: MemoryBodies::default(),
            now: Now { unix, monotonic: Duration::ZERO },
            miner: TestKey::new(0).public,
            salt: 0,
        }
    }

    /// The development network.
    pub fn dev() -> Self {
        Self::new(ChainParams::dev())
    }

    /// A copy whose blocks differ from those of the original.
    #[must_use]
    pub fn fork(&self, salt: u64) -> Self {
        Self { salt, ..self.clone() }
    }

    /// The next block on the tip with these transfers, ten seconds after its parent, complete but
    /// for its commitment and proof of work.
    pub fn draft(&self, transfers: Vec<Transfer>) -> Block {
        let (facts, height) = (self.chain.tip_facts(), self.chain.height().next());
        let params = self.chain.params();
        let fees = Amount::checked_sum(transfers.iter().map(|transfer| transfer.fee));
        let amount = fees.and_then(|fees| fees.checked_add(params.schedule.subsidy(height)));
        let header = Header {
            version: TEMPLATE_VERSION,
            previous: self.chain.tip().hash,
            commitment: Hash256::ZERO,
            time: facts.time.plus(10),
            bits: next_bits(params, &facts),
            nonce: 0,
        };
        let coinbase = Coinbase {
            height,
            extra_nonce: self.salt.to_le_bytes(),
            recipient: self.miner,
            amount: amount.unwrap_or(Amount::ZERO),
            extension: [0; 32],
            tag: Tag::default(),
        };
        Block { header, roots: self.chain.roots(), coinbase, transfers }
    }

    /// What the hash of the next block must not exceed if it is stamped `time`.
    pub fn target(&self, time: UnixTime) -> Target {
        proof_target(self.chain.params(), &self.chain.tip_facts(), time)
    }

    /// The draft with its commitment and proof of work.
    pub fn sealed(&self, mut draft: Block) -> Block {
        let target = self.target(draft.header.time);
        seal(&mut draft, target);
        draft
    }

    /// Judges a block by the rules that need no chain.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn check(&self, block: Block) -> Result<CheckedBlock, BlockError> {
        check_block(block, self.chain.params(), &Signatures::all(&self.chain.chain_id()))
    }

    /// Judges a block by all rules.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn accept(&mut self, block: &CheckedBlock) -> Result<Accepted, AcceptError> {
        self.chain.accept_block(block, self.now, &mut self.bodies)
    }

    /// Mines a block with these transfers on the tip.
    pub fn mine(&mut self, transfers: Vec<Transfer>) -> CheckedBlock {
        let block = self.check(self.sealed(self.draft(transfers))).expect("a valid block");
        let accepted = self.accept(&block).expect("a valid block");
        assert!(matches!(accepted, Accepted::Best(_)), "a block on the tip becomes the tip");
        block
    }

    /// Mines `count` blocks without transfers.
    pub fn mine_empty(&mut self, count: u32) -> Vec<CheckedBlock> {
        (0..count).map(|_| self.mine(Vec::new())).collect()
    }

    /// The block that the chain's own template makes.
    pub fn from_template(&self) -> CheckedBlock {
        let template = self.chain.template(self.miner, Tag::default(), self.now);
        let time = self.chain.tip().header.time.plus(10);
        let mut header = template.header(self.salt, time);
        solve(&mut header, template.target(time));
        self.check(template.block(header, self.salt)).expect("a template makes a valid block")
    }

    /// Checks a transfer's form and signature.
    pub fn checked(&self, transfer: Transfer) -> CheckedTransfer {
        check_transfer(transfer, &self.chain.chain_id()).expect("a well-formed transfer")
    }

    /// Sends a transfer to the pool.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn submit(&mut self, transfer: Transfer) -> Result<Admitted, PoolError> {
        let checked = self.checked(transfer);
        self.chain.accept_transfer(checked, self.now)
    }
}

/// Numbers that look random and are the same for the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is above 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    /// True in `percent` of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of the items; there must be one.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let place = self.below(items.len() as u64);
        &items[usize::try_from(place).expect("an index fits")]
    }
}
