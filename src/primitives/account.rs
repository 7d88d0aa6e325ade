//! What the chain knows of one public key.

use super::amount::Amount;

/// An account's state after some block. One without coins that never sent any does not exist:
/// credits only add, so an account that was ever credited and never sent holds coins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Account {
    /// The coins it can spend in the next block.
    pub balance: Amount,
    /// How many transfers it has had confirmed; the nonce of its next one.
    pub nonce: u64,
}

impl Account {
    /// The account as a tree holds it: `None` where it would not exist.
    pub fn existing(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}
