//! The kernel for every machine: sha2's compression function, from the midstate.
//!
//! It is also the reference that other kernels are measured against.

use super::{Kernel, Nonces, Puzzle, SHA256_START, Searched};
use sha2::block_api::compress256;
use std::slice::from_ref;

/// Two compressions a nonce instead of the three that a double SHA-256 of 80 bytes takes.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

impl Kernel for Portable {
    fn name(&self) -> &'static str {
        "portable"
    }

    fn search(&self, puzzle: &Puzzle, nonces: Nonces) -> Searched {
        let mut tail = puzzle.tail();
        let mut digest = padded_digest();
        for done in 0..nonces.count {
            let nonce = nonces.first.wrapping_add(done);
            tail[12..16].copy_from_slice(&nonce.to_le_bytes());
            let mut state = puzzle.midstate();
            compress256(&mut state, from_ref(&tail));
            let (words, _) = digest.as_chunks_mut::<4>();
            for (bytes, word) in words.iter_mut().zip(state) {
                *bytes = word.to_be_bytes();
            }
            let mut state = SHA256_START;
            compress256(&mut state, from_ref(&digest));
            if puzzle.may_be_met_by(state[7]) && puzzle.is_met_by(&state) {
                return Searched { nonce: Some(nonce), hashes: u64::from(done) + 1 };
            }
        }
        Searched { nonce: None, hashes: u64::from(nonces.count) }
    }
}

/// The one block of the second SHA-256: room for the first digest, and the padding of 32 bytes.
fn padded_digest() -> [u8; 64] {
    let mut block = [0; 64];
    block[32] = 0x80;
    block[62..].copy_from_slice(&256_u16.to_be_bytes());
    block
}
