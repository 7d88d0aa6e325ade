//! Chain parameters: everything that makes one chain another, and the genesis block they make.
//!
//! The genesis header's previous-hash field is the SHA-256 of [`ChainParams::encode`], so chains
//! with different rules have different ids and cannot mix.

use super::difficulty::Retarget;
use super::merkle::commitment;
use super::schedule::{Emission, Schedule, ScheduleError, Spacing};
use crate::primitives::amount::{COIN, SUPPLY_MAX};
use crate::primitives::hash::sha256;
use crate::primitives::pow::CompactTarget;
use crate::primitives::text::ShortText;
use crate::primitives::{
    AddressPrefix, Amount, BlockHash, Hash256, Header, Height, PublicKey, StateRoots, Target,
    UnixTime,
};
use std::collections::HashSet;

/// Genesis accounts that a chain may have at most: they live in memory and in its configuration.
pub const ALLOCATIONS_MAX: usize = 1_000;

/// Bytes that the smallest of the largest blocks must hold: a header, a coinbase and two transfers
/// of any length, or the chain could not move.
pub const LARGEST_BLOCK_MIN: u32 = 1_000;

/// Bytes that the largest blocks may have at most: what nodes send each other is bounded by it.
pub const LARGEST_BLOCK_MAX: u32 = 1_000_000;

/// The version that templates and genesis carry (BIP-9's top bits).
pub const TEMPLATE_VERSION: u32 = 0x2000_0000;

/// The coins of each of the development network's ten accounts.
const DEV_ALLOCATION: Amount = Amount::from_units(10_000 * COIN);

/// The public keys of the development network's accounts. Their secret keys are SHA-256 of
/// "farthing dev account 1" to "... 10": known to all and worth nothing.
const DEV_ACCOUNTS: [&str; 10] = [
    "cf7976308af900039ccc4bcf6bd1ebf6324c9f01af4539cfda1dc8f86ad92f05",
    "9e5bf237fc3ff4627cf4ccbd2241413fa3d5e14e5a31a9e6db948e9877762cb5",
    "bc5f991d7ef72abbfe78e436183b4eabd0716ce5e25821836fab10bfb2289a0d",
    "f6cd55263ead221015a78b1b59b5438b65e1fd1a9718e4fddd2c2dfbd6b5b4aa",
    "4c49b8004a846d537887e8752519ca0e354e7b670525acc34f5157c243f26c2d",
    "cc84c45bc8a5e0e8db4929a7ec591c7d23b348a89d2e3860d82f1aeed3e64965",
    "5131c80684b9ff5056c2b26e57c3a429e767e9904b1747c1cb0b8c6a5a38fdf7",
    "5c4d2c3191abc001e29880253dcb00db7ab66446b39e1f469da6f22f280ef819",
    "e0bf0486dbf098478e755e784969f3a7c8f1eedda03ebdca1cdc073c7971f2a1",
    "89f069bffc523d7aa247473e045f6a343b0333946ec68d41c47fdbb13ac97053",
];

/// How far into the future a header may be stamped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FutureLimit {
    /// At most so many seconds.
    pub seconds: u32,
    /// At most so many block spacings.
    pub spacings: u32,
}

/// The rules of one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainParams {
    /// The network's name, as in `config.toml`.
    pub name: ShortText<32>,
    /// How its addresses begin.
    pub prefix: AddressPrefix,
    /// The genesis header's time.
    pub genesis_time: UnixTime,
    /// Words that tell this chain from others.
    pub message: ShortText<128>,
    /// The accounts after genesis.
    pub allocations: Vec<(PublicKey, Amount)>,
    /// Subsidy, spacing and largest block by height.
    pub schedule: Schedule,
    /// How the target moves.
    pub retarget: Retarget,
    /// How far ahead of the clock a header may be.
    pub future_limit: FutureLimit,
}

/// Why parameters make no chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// Subsidy, spacing or supply.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// Genesis bits would not stand for the easiest target.
    #[error("expected an easiest target that compact bits can hold exactly")]
    EasiestTarget,
    /// A half-life or cap of zero spacings.
    #[error("expected a half-life and a cap on solve time of at least 1 spacing")]
    Retarget,
    /// A future limit of nothing.
    #[error("expected a future limit of at least 1 second and 1 spacing")]
    FutureLimit,
    /// Too many genesis accounts.
    #[error("expected at most {ALLOCATIONS_MAX} allocations, got {0}")]
    TooManyAllocations(usize),
    /// An allocation of nothing, which would make an account that does not exist.
    #[error("expected an allocation above zero for {0}")]
    EmptyAllocation(PublicKey),
    /// Two allocations for one account.
    #[error("expected one allocation for {0}, got two")]
    RepeatedAllocation(PublicKey),
    /// Allocations that overflow.
    #[error("expected allocations of at most {SUPPLY_MAX} coins in all")]
    AllocationsTooLarge,
    /// The schedule counts other coins as issued than there are allocations.
    #[error("expected a schedule with the allocations' sum {expected}, got {got}")]
    AllocationsDiffer {
        /// The sum of the allocations.
        expected: Amount,
        /// What the schedule counts.
        got: Amount,
    },
    /// Blocks in which hardly anything has room.
    #[error("expected room for {LARGEST_BLOCK_MIN} bytes in the first block, got {0}")]
    LargestBlock(u32),
    /// Blocks larger than nodes take from each other.
    #[error("expected blocks of at most {LARGEST_BLOCK_MAX} bytes, got {0}")]
    LargestBlockTooLarge(u32),
}

impl ParamsError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Schedule(error) => error.code(),
            Self::EasiestTarget => "bad-easiest-target",
            Self::Retarget => "bad-retarget",
            Self::FutureLimit => "bad-future-limit",
            Self::TooManyAllocations(_) => "too-many-allocations",
            Self::EmptyAllocation(_) => "empty-allocation",
            Self::RepeatedAllocation(_) => "repeated-allocation",
            Self::AllocationsTooLarge => "allocations-too-large",
            Self::AllocationsDiffer { .. } => "allocations-differ",
            Self::LargestBlock(_) => "largest-block-too-small",
            Self::LargestBlockTooLarge(_) => "largest-block-too-large",
        }
    }
}

impl ChainParams {
    /// The main network.
    pub fn main() -> Self {
        let schedule = Schedule {
            emission: Emission {
                allocations: Amount::ZERO,
                subsidy: Amount::from_units(10 * COIN),
                halving_interval: 1_050_000,
            },
            spacing: Spacing {
                start: 10,
                end: 60,
                ramp: Amount::from_units(SUPPLY_MAX.units() / 20),
            },
            largest_block: LARGEST_BLOCK_MAX,
        };
        let retarget = Retarget {
            half_life: 40,
            solve_time_cap: 40,
            easiest: Target::power_of_two(232),
            enabled: true,
        };
        Self {
            name: fixed_text("main"),
            prefix: AddressPrefix::Main,
            // 2026-11-22T00:00:00Z
            genesis_time: UnixTime(1_795_305_600),
            message: fixed_text("Farthing: who has the least shall be counted too"),
            allocations: Vec::new(),
            schedule,
            retarget,
            future_limit: FutureLimit { seconds: 120, spacings: 3 },
        }
    }

    /// The development network: no retargeting, a block after a few thousand hashes, and ten
    /// funded accounts whose keys are public.
    pub fn dev() -> Self {
        let main = Self::main();
        let allocations: Vec<_> = DEV_ACCOUNTS
            .iter()
            .map(|hex| PublicKey::from_carried(hex, AddressPrefix::Dev).expect("64 hex digits"))
            .map(|key| (key, DEV_ALLOCATION))
            .collect();
        let emission = Emission {
            allocations: Amount::from_units(DEV_ALLOCATION.units() * 10),
            halving_interval: 525_000,
            ..main.schedule.emission
        };
        Self {
            name: fixed_text("dev"),
            prefix: AddressPrefix::Dev,
            message: fixed_text("Farthing development network: these coins are worth nothing"),
            allocations,
            schedule: Schedule { emission, ..main.schedule },
            retarget: Retarget {
                easiest: Target::power_of_two(252),
                enabled: false,
                ..main.retarget
            },
            ..main
        }
    }

    /// Refuses parameters that make no sound chain.
    ///
    /// # Errors
    /// A schedule out of range, allocations that are empty, repeated, too many or above the
    /// supply, an easiest target without exact compact bits, blocks too small or too large, or
    /// limits of zero.
    pub fn check(&self) -> Result<(), ParamsError> {
        let allocated = self.check_allocations()?;
        if allocated != self.schedule.emission.allocations {
            let (expected, got) = (allocated, self.schedule.emission.allocations);
            return Err(ParamsError::AllocationsDiffer { expected, got });
        }
        self.schedule.check()?;
        let first_block = self.schedule.largest_block(Height::GENESIS.next());
        if first_block < LARGEST_BLOCK_MIN {
            return Err(ParamsError::LargestBlock(first_block));
        }
        if self.schedule.largest_block > LARGEST_BLOCK_MAX {
            return Err(ParamsError::LargestBlockTooLarge(self.schedule.largest_block));
        }
        let easiest = self.retarget.easiest;
        if easiest.to_compact().to_target() != Ok(easiest) {
            return Err(ParamsError::EasiestTarget);
        }
        if self.retarget.half_life == 0 || self.retarget.solve_time_cap == 0 {
            return Err(ParamsError::Retarget);
        }
        if self.future_limit.seconds == 0 || self.future_limit.spacings == 0 {
            return Err(ParamsError::FutureLimit);
        }
        Ok(())
    }

    fn check_allocations(&self) -> Result<Amount, ParamsError> {
        if self.allocations.len() > ALLOCATIONS_MAX {
            return Err(ParamsError::TooManyAllocations(self.allocations.len()));
        }
        let mut seen = HashSet::new();
        for (key, amount) in &self.allocations {
            if *amount == Amount::ZERO {
                return Err(ParamsError::EmptyAllocation(*key));
            }
            if !seen.insert(key) {
                return Err(ParamsError::RepeatedAllocation(*key));
            }
        }
        Amount::checked_sum(self.allocations.iter().map(|(_, amount)| *amount))
            .filter(|sum| *sum <= SUPPLY_MAX)
            .ok_or(ParamsError::AllocationsTooLarge)
    }

    /// The canonical encoding of all parameters: texts as one length byte and UTF-8, integers
    /// little-endian, in the order of `docs/protocol.md`.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = b"farthing/params/1".to_vec();
        self.name.encode_to(&mut out);
        fixed_text::<8>(self.prefix.as_str()).encode_to(&mut out);
        out.extend_from_slice(&self.genesis_time.0.to_le_bytes());
        self.message.encode_to(&mut out);
        let count = u32::try_from(self.allocations.len()).expect("at most ALLOCATIONS_MAX");
        out.extend_from_slice(&count.to_le_bytes());
        for (key, amount) in &self.allocations {
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(&amount.units().to_le_bytes());
        }
        let Schedule { emission, spacing, largest_block } = self.schedule;
        out.extend_from_slice(&emission.subsidy.units().to_le_bytes());
        out.extend_from_slice(&emission.halving_interval.to_le_bytes());
        out.extend_from_slice(&spacing.start.to_le_bytes());
        out.extend_from_slice(&spacing.end.to_le_bytes());
        out.extend_from_slice(&spacing.ramp.units().to_le_bytes());
        out.extend_from_slice(&largest_block.to_le_bytes());
        out.extend_from_slice(&self.easiest_bits().0.to_le_bytes());
        out.extend_from_slice(&self.retarget.half_life.to_le_bytes());
        out.extend_from_slice(&self.retarget.solve_time_cap.to_le_bytes());
        out.push(u8::from(self.retarget.enabled));
        out.extend_from_slice(&self.future_limit.seconds.to_le_bytes());
        out.extend_from_slice(&self.future_limit.spacings.to_le_bytes());
        out
    }

    /// The compact form of the easiest target, which genesis carries.
    pub fn easiest_bits(&self) -> CompactTarget {
        self.retarget.easiest.to_compact()
    }

    /// The genesis header: no transactions, no accounts and no history before it, nonce 0, and
    /// exempt from proof of work.
    pub fn genesis(&self) -> Header {
        Header {
            version: TEMPLATE_VERSION,
            previous: BlockHash::from_bytes(sha256(&[&self.encode()])),
            commitment: commitment(&Hash256::ZERO, &Self::genesis_roots()),
            time: self.genesis_time,
            bits: self.easiest_bits(),
            nonce: 0,
        }
    }

    /// What the genesis header commits to beside its absent transactions.
    pub fn genesis_roots() -> StateRoots {
        // The root of a history range over no blocks: see the chain's history.
        let history = sha256(&[&[0x12], &0_u64.to_le_bytes()]);
        StateRoots { accounts: Hash256::ZERO, history: Hash256::from_bytes(history) }
    }

    /// The genesis hash, by which nodes and signatures name the chain.
    pub fn chain_id(&self) -> BlockHash {
        self.genesis().hash()
    }

    /// The latest time that the header at `height` may carry when the clock says `now`.
    pub fn latest_time(&self, height: Height, now: UnixTime) -> UnixTime {
        let spacings = self.future_limit.spacings.saturating_mul(self.schedule.spacing(height));
        now.plus(spacings.min(self.future_limit.seconds))
    }
}

fn fixed_text<const MAX: usize>(text: &str) -> ShortText<MAX> {
    text.parse().expect("a short constant without control characters")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_networks_are_sound_and_differ() {
        let (main, dev) = (ChainParams::main(), ChainParams::dev());
        assert_eq!(main.check(), Ok(()));
        assert_eq!(dev.check(), Ok(()));
        assert_ne!(main.chain_id(), dev.chain_id());
    }

    #[test]
    fn every_parameter_changes_the_chain_id() {
        let dev = ChainParams::dev();
        let changes: [fn(&mut ChainParams); 14] = [
            |p| p.name = fixed_text("other"),
            |p| p.prefix = AddressPrefix::Custom,
            |p| p.genesis_time.0 += 1,
            |p| p.message = fixed_text("other"),
            |p| p.allocations[0].1 = Amount::from_units(1),
            |p| p.schedule.emission.subsidy = Amount::from_units(1),
            |p| p.schedule.emission.halving_interval += 1,
            |p| p.schedule.spacing.start += 1,
            |p| p.schedule.spacing.end += 1,
            |p| p.schedule.largest_block += 1,
            |p| p.retarget.easiest = Target::power_of_two(251),
            |p| p.retarget.half_life += 1,
            |p| p.retarget.enabled = true,
            |p| p.future_limit.spacings += 1,
        ];
        let mut ids = HashSet::from([dev.chain_id()]);
        for change in changes {
            let mut changed = dev.clone();
            change(&mut changed);
            assert!(ids.insert(changed.chain_id()));
        }
    }
}
