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

    #[test]
    fn the_dev_accounts_never_change() {
        // They stand in the genesis block of the dev network.
        let expected = [
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
        assert_eq!(dev_accounts().map(|wallet| wallet.public_key().to_string()), expected);
    }
}
