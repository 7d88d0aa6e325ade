//! Honest things made wrong in one way or another.

use crate::rules::params;
use farthing::primitives::{Block, BlockHash, CompactBlock, Header, Txid};
use farthing::testkit::Random;

/// The hash of nothing.
pub fn random_hash(random: &mut Random) -> BlockHash {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&random.bits().to_le_bytes());
    BlockHash::from_bytes(bytes)
}

/// A header without proof of work.
pub fn spoil_proof(header: &mut Header) {
    let easiest = params().retarget.easiest;
    while easiest.is_met_by(&header.hash()) {
        header.nonce = header.nonce.wrapping_add(1);
    }
}

/// Another body under the same header.
pub fn spoil_body(block: &mut Block, random: &mut Random) {
    match block.transfers.pop() {
        Some(transfer) if random.percent(50) => {
            block.transfers.push(transfer.clone());
            block.transfers.push(transfer);
        }
        Some(_) => {}
        None => block.coinbase.extra_nonce[7] ^= 1,
    }
}

/// Ids of transfers that do not exist.
pub fn random_ids(random: &mut Random, count: u64) -> Vec<Txid> {
    (0..count)
        .map(|_| {
            let mut bytes = [0; 32];
            bytes.chunks_mut(8).for_each(|part| part.copy_from_slice(&random.bits().to_le_bytes()));
            Txid::from_bytes(bytes)
        })
        .collect()
}

/// Another block in compact form under the same header.
pub fn spoil_compact(block: &mut CompactBlock, random: &mut Random) {
    match block.short_ids.len() {
        0 => block.coinbase.extra_nonce[7] ^= 1,
        1 => drop(block.short_ids.pop()),
        _ if random.percent(50) => block.short_ids.reverse(),
        _ => block.salt ^= 1,
    }
}
