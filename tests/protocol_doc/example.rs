//! The worked example: on the development network, account 1 pays account 2, and account 3 mines
//! the transfer into block 1.

use farthing::chain::accept::{Accepted, Now};
use farthing::chain::{Bodies, BodiesError, Chain};
use farthing::consensus::check::{CheckedBlock, Signatures, check_block, check_transfer};
use farthing::consensus::params::ChainParams;
use farthing::primitives::{
    Amount, Block, BlockHash, BodyRef, Expiry, Header, PublicKey, Signature, StateRoots, Transfer,
    UnixTime,
};
use farthing::wallet::{Wallet, dev_accounts};
use secp256k1::Keypair;
use std::sync::Arc;
use std::time::Duration;

/// Everything that the page shows of it.
pub struct Example {
    pub params: ChainParams,
    pub chain_id: BlockHash,
    pub accounts: [Wallet; 10],
    pub transfer: Transfer,
    pub block: Block,
    /// The chain after block 1.
    pub chain: Chain,
}

/// Bodies in memory.
struct Kept(Vec<Block>);

impl Bodies for Kept {
    fn keep(&mut self, block: &CheckedBlock) -> Result<BodyRef, BodiesError> {
        self.0.push(block.block().clone());
        Ok(BodyRef::new(u64::try_from(self.0.len() - 1).expect("few"), 0))
    }

    fn read(&self, body: BodyRef) -> Result<Block, BodiesError> {
        Ok(self.0[usize::try_from(body.offset()).expect("few")].clone())
    }
}

impl Example {
    /// Builds it: the same bytes each time, because the auxiliary bytes of the signature are
    /// zero and the nonce search begins at 0.
    pub fn new() -> Self {
        let params = ChainParams::dev();
        let (chain_id, accounts) = (params.chain_id(), dev_accounts());
        let transfer = transfer(&accounts, &chain_id);
        let mut chain = Chain::new(Arc::new(params.clone()), 1_000_000);
        let time = UnixTime(params.genesis_time.0 + 10);
        let now = Now { unix: time, monotonic: Duration::ZERO };
        let checked = check_transfer(transfer.clone(), &chain_id).expect("a valid transfer");
        chain.accept_transfer(checked, now).expect("it fits the accounts");
        let tag = "worked example".parse().expect("a short tag");
        let template = chain.template(accounts[2].public_key(), tag, now);
        let first = template.header(0, time);
        let header = (0..)
            .map(|nonce| Header { nonce, ..first })
            .find(|header| template.target(time).is_met_by(&header.hash()))
            .expect("a nonce");
        let block = template.block(header, 0);
        let checked = check_block(block.clone(), &params, &Signatures::all(&params.chain_id()))
            .expect("a valid block");
        let accepted = chain.accept_block(&checked, now, &mut Kept(Vec::new()));
        assert!(matches!(accepted, Ok(Accepted::Best(_))));
        Self { params, chain_id, accounts, transfer, block, chain }
    }

    /// The key of development account `number`, from 1.
    pub fn key(&self, number: usize) -> PublicKey {
        self.accounts[number - 1].public_key()
    }

    /// The roots that block 2 commits to.
    pub fn next_roots(&self) -> StateRoots {
        self.chain.roots()
    }
}

fn transfer(accounts: &[Wallet; 10], chain_id: &BlockHash) -> Transfer {
    let mut transfer = Transfer {
        sender: accounts[0].public_key(),
        recipient: accounts[1].public_key(),
        amount: Amount::from_units(1_250_000_000),
        fee: Amount::from_units(10_000),
        nonce: 0,
        expiry: Expiry(100),
        memo: "für Kaffee".parse().expect("a short memo"),
        signature: Signature::from_bytes([0; 64]),
    };
    let secret: [u8; 32] =
        hex::decode(accounts[0].secret_hex().as_str()).expect("hex").try_into().expect("32 bytes");
    let pair = Keypair::from_secret_bytes(secret).expect("a key");
    let message = transfer.signing_hash(chain_id);
    let signature = secp256k1::schnorr::sign_with_aux_rand(&message, &pair, &[0; 32]);
    transfer.signature = Signature::from_bytes(signature.to_byte_array());
    transfer
}
