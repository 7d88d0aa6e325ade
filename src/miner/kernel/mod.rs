//! Kernels: the innermost loop of the miner, one trait for all of them.
//!
//! Owns what every kernel starts from ([`Puzzle`]) and the choice between them ([`best`]).
//! Never knows of templates, threads or clocks: a kernel hashes one range of nonces and says what
//! it found. A faster kernel is a file beside [`portable`] and a line in [`best`].
//!
//! Invariant: all kernels give the same answer for the same puzzle and range.

pub mod portable;

use crate::primitives::block::HEADER_SIZE;
use crate::primitives::{BlockHash, Header, Target};
use portable::Portable;
use sha2::block_api::compress256;

/// The state that SHA-256 starts from (FIPS 180-4, section 5.3.3).
pub const SHA256_START: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Searches nonces for a proof of work.
pub trait Kernel: Send + Sync {
    /// Its name in measurements and settings.
    fn name(&self) -> &'static str;

    /// Hashes the header with each nonce of the range, in order, up to the first that meets the
    /// target.
    fn search(&self, puzzle: &Puzzle, nonces: Nonces) -> Searched;
}

/// A range of nonces; one that passes the largest nonce goes on at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonces {
    /// The first one.
    pub first: u32,
    /// How many there are.
    pub count: u32,
}

/// What came of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Searched {
    /// The first nonce whose hash meets the target.
    pub nonce: Option<u32>,
    /// Hashes that were computed: those up to the hit, or all.
    pub hashes: u64,
}

/// A header without its nonce and what its hash must meet, with all that is the same for every
/// nonce worked out.
#[derive(Clone, Copy, Debug)]
pub struct Puzzle {
    header: [u8; HEADER_SIZE],
    target: Target,
    /// The state after the first 64 bytes of the header.
    midstate: [u32; 8],
    /// The target's most significant 32 bits.
    target_top: u32,
}

impl Puzzle {
    /// The search for a nonce of `header`, whatever nonce it has now.
    pub fn new(header: &Header, target: Target) -> Self {
        let header = header.encode();
        let mut midstate = SHA256_START;
        let (blocks, _) = header.as_chunks::<64>();
        compress256(&mut midstate, blocks);
        let target_top = u32::try_from(target.value() >> 224).expect("32 of 256 bits remain");
        Self { header, target, midstate, target_top }
    }

    /// The header's 80 bytes; the last four are no part of the puzzle.
    pub fn header(&self) -> &[u8; HEADER_SIZE] {
        &self.header
    }

    /// The state of SHA-256 after the first 64 bytes of the header.
    pub fn midstate(&self) -> [u32; 8] {
        self.midstate
    }

    /// The second block of the first SHA-256: the rest of the header, the nonce in bytes 12 to 15,
    /// and the padding of an 80-byte message.
    pub fn tail(&self) -> [u8; 64] {
        let mut block = [0; 64];
        block[..16].copy_from_slice(&self.header[64..]);
        block[16] = 0x80;
        block[62..].copy_from_slice(&640_u16.to_be_bytes());
        block
    }

    /// Whether a hash that ends with this word of the state may meet the target: the state's last
    /// word holds the top of the number that the hash is read as. Nearly every nonce fails here.
    pub fn may_be_met_by(&self, last_word: u32) -> bool {
        last_word.swap_bytes() <= self.target_top
    }

    /// Whether the hash that the state of the second SHA-256 stands for meets the target.
    pub fn is_met_by(&self, state: &[u32; 8]) -> bool {
        let mut bytes = [0; 32];
        let (words, _) = bytes.as_chunks_mut::<4>();
        for (bytes, word) in words.iter_mut().zip(state) {
            *bytes = word.to_be_bytes();
        }
        self.target.is_met_by(&BlockHash::from_bytes(bytes))
    }
}

/// The fastest kernel that this machine can run.
pub fn best() -> &'static dyn Kernel {
    &Portable
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::pow::U256;
    use crate::primitives::{CompactTarget, Hash256, UnixTime};

    /// Every kernel that this machine can run.
    fn kernels() -> Vec<&'static dyn Kernel> {
        vec![&Portable]
    }

    /// Bitcoin's genesis header.
    fn genesis() -> Header {
        let root = "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a";
        let mut commitment = [0; 32];
        hex::decode_to_slice(root, &mut commitment).unwrap();
        Header {
            version: 1,
            previous: BlockHash::ZERO,
            commitment: Hash256::from_bytes(commitment),
            time: UnixTime(1_231_006_505),
            bits: CompactTarget(0x1d00_ffff),
            nonce: 0,
        }
    }

    fn easy(bits: usize) -> Target {
        Target::new(U256::MAX >> bits).unwrap()
    }

    /// The answer by whole digests of whole headers.
    fn expected(header: Header, target: Target, nonces: Nonces) -> Searched {
        let hit = (0..nonces.count).find(|done| {
            let nonce = nonces.first.wrapping_add(*done);
            target.is_met_by(&Header { nonce, ..header }.hash())
        });
        let nonce = hit.map(|done| nonces.first.wrapping_add(done));
        Searched { nonce, hashes: hit.map_or(u64::from(nonces.count), |done| u64::from(done) + 1) }
    }

    #[test]
    fn every_kernel_finds_the_nonce_of_bitcoins_first_block() {
        let target = genesis().bits.to_target().unwrap();
        let hash = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";
        let solved = Header { nonce: 2_083_236_893, ..genesis() };
        assert_eq!(solved.hash().to_string(), hash);
        for kernel in kernels() {
            let nonces = Nonces { first: 2_083_236_893 - 5_000, count: 10_000 };
            let searched = kernel.search(&Puzzle::new(&genesis(), target), nonces);
            let expected = Searched { nonce: Some(2_083_236_893), hashes: 5_001 };
            assert_eq!(searched, expected, "{}", kernel.name());
        }
    }

    #[test]
    fn every_kernel_agrees_with_the_headers_hash_over_100_000_nonces() {
        let (header, target) = (genesis(), easy(8));
        let reference: Vec<u32> = (0..100_000)
            .filter(|nonce| target.is_met_by(&Header { nonce: *nonce, ..header }.hash()))
            .collect();
        assert!(reference.len() > 300, "about one in 256");
        for kernel in kernels() {
            let (mut hits, mut first) = (Vec::new(), 0);
            while first < 100_000 {
                let nonces = Nonces { first, count: 100_000 - first };
                let Some(nonce) = kernel.search(&Puzzle::new(&header, target), nonces).nonce else {
                    break;
                };
                hits.push(nonce);
                first = nonce + 1;
            }
            assert_eq!(hits, reference, "{}", kernel.name());
        }
    }

    #[test]
    fn every_kernel_keeps_to_its_range_and_wraps_past_the_largest_nonce() {
        let hit = 2_083_236_893;
        // bits of the target, first nonce, number of nonces
        let cases = [
            (32, hit - 9, 10),
            (32, hit - 9, 9),
            (32, hit + 1, 10),
            (32, hit, 1),
            (32, hit, 0),
            (16, u32::MAX - 3, 200_000),
            (10, u32::MAX, 5_000),
            (0, u32::MAX, 2),
            (255, u32::MAX - 99, 200),
        ];
        for (bits, first, count) in cases {
            let (target, nonces) = (easy(bits), Nonces { first, count });
            let expected = expected(genesis(), target, nonces);
            for kernel in kernels() {
                let searched = kernel.search(&Puzzle::new(&genesis(), target), nonces);
                assert_eq!(searched, expected, "{} {nonces:?} of {bits} bits", kernel.name());
            }
        }
    }

    #[test]
    fn the_nonce_of_the_given_header_does_not_matter() {
        let nonces = Nonces { first: 0, count: 1_000 };
        for kernel in kernels() {
            let searched = [0, 7, u32::MAX].map(|nonce| {
                kernel.search(&Puzzle::new(&Header { nonce, ..genesis() }, easy(8)), nonces)
            });
            assert!(searched[0].nonce.is_some() && searched.iter().all(|s| *s == searched[0]));
        }
    }
}
