//! The ten funded accounts of the development network.

use super::{SecretKey, Wallet};
use crate::primitives::hash::sha256;

/// How many accounts the development network funds at genesis.
pub const DEV_ACCOUNT_COUNT: usize = 10;

/// The accounts that the `dev` network funds at genesis, from number 1 to number 10. Their secret
/// keys are the SHA-256 of `farthing dev account N`: known to everyone, printed when a dev node
/// starts, and therefore WORTHLESS anywhere else. Never pay to them on another network.
pub fn dev_accounts() -> [Wallet; DEV_ACCOUNT_COUNT] {
    std::array::from_fn(|index| {
        let seed = format!("farthing dev account {}", index + 1);
        let secret = SecretKey::from_bytes(&sha256(&[seed.as_bytes()]));
        Wallet::from_secret(secret.expect("a test takes each of the ten"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::params::ChainParams;

    #[test]
    fn the_dev_accounts_are_those_that_genesis_funds() {
        let funded = ChainParams::dev().allocations.into_iter().map(|(key, _)| key);
        let ours = dev_accounts().map(|wallet| wallet.public_key());
        assert_eq!(funded.collect::<Vec<_>>(), ours);
    }
}
