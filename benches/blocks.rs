//! Checking and connecting full blocks, against the bare verification of as many signatures.
//!
//! `cargo bench --bench blocks`; `FARTHING_BLOCKS=20` for more of them. Both sides run on the same
//! pool of two threads, block by block in turn, so that the ratio holds on a machine that drifts.

use farthing::chain::Chain;
use farthing::chain::accept::{Accepted, Now};
use farthing::consensus::check::{CheckedTransfer, Signatures, check_block, check_transfer};
use farthing::consensus::params::ChainParams;
use farthing::primitives::amount::COIN;
use farthing::primitives::{Amount, Block, Expiry, Memo, PublicKey, Transfer, UnixTime};
use farthing::testkit::MemoryBodies;
use farthing::wallet::{SecretKey, UnsignedTransfer, Wallet};
use rayon::prelude::*;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SENDERS: usize = 1_000;
const TRANSFERS_EACH: usize = 5;

fn wallets() -> Vec<Wallet> {
    let secret = |number: usize| {
        let mut bytes = [1; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        SecretKey::from_bytes(&bytes).expect("a small number is a key")
    };
    (0..SENDERS).map(|number| Wallet::from_secret(secret(number))).collect()
}

/// The dev rules with full-sized blocks and as many funded accounts as there are senders.
fn params(wallets: &[Wallet]) -> ChainParams {
    let mut params = ChainParams::dev();
    let each = Amount::from_units(1_000 * COIN);
    params.allocations = wallets.iter().map(|wallet| (wallet.public_key(), each)).collect();
    params.schedule.emission.allocations = Amount::from_units(SENDERS as u64 * 1_000 * COIN);
    params.schedule.spacing.start = params.schedule.spacing.end;
    params.check().expect("sound parameters");
    params
}

fn transfers(wallets: &[Wallet], round: usize, chain: &Chain) -> Vec<CheckedTransfer> {
    let sign = |(number, wallet): (usize, &Wallet), turn: usize| {
        let unsigned = UnsignedTransfer {
            recipient: wallets[(number + 1 + turn) % SENDERS].public_key(),
            amount: Amount::from_units(1),
            fee: Amount::from_units(1_000),
            nonce: (round * TRANSFERS_EACH + turn) as u64,
            expiry: Expiry::NEVER,
            memo: Memo::default(),
        };
        let transfer = wallet.sign(unsigned, &chain.chain_id()).expect("randomness");
        check_transfer(transfer, &chain.chain_id()).expect("a valid transfer")
    };
    (0..TRANSFERS_EACH)
        .flat_map(|turn| wallets.iter().enumerate().map(move |wallet| (wallet, turn)))
        .map(|(wallet, turn)| sign(wallet, turn))
        .collect()
}

fn mine(chain: &Chain, payee: PublicKey, now: Now) -> Block {
    let template = chain.template(payee, "bench".parse().expect("a tag"), now);
    let time = template.time(now.unix);
    let (target, mut header) = (template.target(time), template.header(0, time));
    while !target.is_met_by(&header.hash()) {
        header.nonce += 1;
    }
    template.block(header, 0)
}

fn main() {
    let rounds = std::env::var("FARTHING_BLOCKS").ok().and_then(|n| n.parse().ok()).unwrap_or(10);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("two threads");
    let wallets = wallets();
    let params = Arc::new(params(&wallets));
    let mut maker = Chain::new(params.clone(), 64 << 20);
    let mut checker = Chain::new(params.clone(), 64 << 20);
    let (mut made, mut kept) = (MemoryBodies::default(), MemoryBodies::default());
    let mut ratios = Vec::new();
    for round in 0..rounds {
        let seconds = u32::try_from(round).expect("few rounds");
        let unix = UnixTime(params.genesis_time.0 + 60 * (seconds + 1));
        let now = Now { unix, monotonic: Duration::ZERO };
        for transfer in transfers(&wallets, round, &maker) {
            maker.accept_transfer(transfer, now).expect("room in the pool");
        }
        let block = mine(&maker, wallets[0].public_key(), now);
        let own = check_block(block.clone(), &params, &Signatures::Trust).expect("valid");
        maker.accept_block(&own, now, &mut made).expect("valid");

        let signed: Vec<_> =
            block.transfers.iter().map(|t| (t, t.signing_hash(&maker.chain_id()))).collect();
        let bare = time(|| pool.install(|| verify_all(&signed)));
        let start = block.clone();
        let whole = time(|| {
            let id = maker.chain_id();
            let checked = pool.install(|| check_block(start, &params, &Signatures::all(&id)));
            let checked = checked.expect("valid");
            let accepted = pool.install(|| checker.accept_block(&checked, now, &mut kept));
            assert!(matches!(accepted, Ok(Accepted::Best(_))));
        });
        let ratio = bare.as_secs_f64() / whole.as_secs_f64();
        println!(
            "block {:2}: {} transfers, {} bytes: signatures alone {:6.1} ms, check and connect {:6.1} ms, ratio {ratio:.2}",
            round + 1,
            block.transfers.len(),
            block.size(),
            bare.as_secs_f64() * 1e3,
            whole.as_secs_f64() * 1e3,
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "rate of checking and connecting to that of bare signatures: median {:.2} ({:.2} to {:.2}), wanted >= 0.70",
        ratios[ratios.len() / 2],
        ratios[0],
        ratios[ratios.len() - 1]
    );
}

/// What secp256k1 alone does for as many signatures.
fn verify_all(signed: &[(&Transfer, [u8; 32])]) {
    let good = signed.par_iter().all(|(t, message)| t.sender.verifies(&t.signature, message));
    assert!(black_box(good));
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
