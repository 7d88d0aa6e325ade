//! The chain of the simulated world: the rules of the real one, with little work.

use crate::clock::SECOND;
use farthing::consensus::params::ChainParams;
use farthing::consensus::schedule::Spacing;
use farthing::primitives::{AddressPrefix, Target, U256, UnixTime};

/// Seconds between blocks.
pub const SPACING: u32 = 60;

/// How its addresses begin: those of the funded wallets of the development network.
pub const PREFIX: AddressPrefix = AddressPrefix::Dev;

/// Seconds from genesis to the beginning of the world.
pub const AGE: u32 = 600;

/// The rules: real retargeting, but from a target that every fourth hash meets on.
pub fn params() -> ChainParams {
    let dev = ChainParams::dev();
    let mut params = dev.clone();
    params.name = "sim".parse().expect("a short name");
    params.schedule.spacing = Spacing { start: SPACING, end: SPACING, ..dev.schedule.spacing };
    params.retarget.easiest = Target::new(U256::from(1) << 254).expect("not zero");
    params.retarget.enabled = true;
    // Hash rates change by the minute here, as parts of the network come and go.
    params.retarget.half_life = 4;
    params
}

/// The time of day when the world is so many microseconds old.
pub fn time_at(micros: u64) -> UnixTime {
    let seconds = u32::try_from(micros / SECOND).expect("a short time");
    params().genesis_time.plus(AGE + seconds)
}
