//! The wallet: the key that owns an account, and what it signs.
//!
//! Owns secret keys, signing, and the text of the wallet file. Never touches a file or the network:
//! the node puts the text into a private file and takes it out again. Invariants: a public key
//! always belongs to the secret key beside it; secret bytes are wiped when they are dropped, and no
//! `Debug` output, error or log line holds them.

pub mod dev;
pub mod file;
mod secret;

pub use dev::dev_accounts;
pub use file::WalletFileError;
pub use secret::{KeyError, SecretKey, random_bytes};

use crate::primitives::{Amount, BlockHash, Expiry, Hash256, Memo, PublicKey, Signature, Transfer};
use zeroize::Zeroizing;

/// A transfer before its sender signs it; the sender is the wallet that does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsignedTransfer {
    /// Who is paid.
    pub recipient: PublicKey,
    /// What the recipient gets.
    pub amount: Amount,
    /// What the miner gets.
    pub fee: Amount,
    /// How many transfers of the sender are confirmed or pending before this one.
    pub nonce: u64,
    /// Until when it may be mined.
    pub expiry: Expiry,
    /// The sender's words.
    pub memo: Memo,
}

/// A key pair.
#[derive(Debug)]
pub struct Wallet {
    public_key: PublicKey,
    secret: SecretKey,
}

impl Wallet {
    /// A new wallet from the operating system's randomness.
    ///
    /// # Errors
    /// [`KeyError::Randomness`] if there is none; there is no fallback.
    pub fn create() -> Result<Self, KeyError> {
        SecretKey::create().map(Self::from_secret)
    }

    /// The wallet of a secret key.
    pub fn from_secret(secret: SecretKey) -> Self {
        Self { public_key: secret.public_key(), secret }
    }

    /// The name of the wallet's account.
    pub const fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// Signs a transfer for the chain whose genesis hash is `chain_id`. Whether it is valid (funds,
    /// nonce, recipient) is for the chain to say.
    ///
    /// # Errors
    /// [`KeyError::Randomness`] if the operating system gives none.
    pub fn sign(
        &self,
        unsigned: UnsignedTransfer,
        chain_id: &BlockHash,
    ) -> Result<Transfer, KeyError> {
        Ok(self.sign_with(unsigned, chain_id, &*random_bytes()?))
    }

    /// As [`Wallet::sign`], with these auxiliary random bytes.
    pub fn sign_with(
        &self,
        unsigned: UnsignedTransfer,
        chain_id: &BlockHash,
        aux: &[u8; 32],
    ) -> Transfer {
        let UnsignedTransfer { recipient, amount, fee, nonce, expiry, memo } = unsigned;
        let mut transfer = Transfer {
            sender: self.public_key,
            recipient,
            amount,
            fee,
            nonce,
            expiry,
            memo,
            signature: Signature::from_bytes([0; 64]),
        };
        let message = Hash256::from_bytes(transfer.signing_hash(chain_id));
        transfer.signature = self.secret.sign_with(&message, aux);
        transfer
    }

    /// The secret key as 64 hex digits, for the one answer that creates the wallet and for an
    /// explicit export. Whoever reads it owns the account.
    pub fn secret_hex(&self) -> Zeroizing<String> {
        self.secret.to_hex()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unsigned() -> UnsignedTransfer {
        UnsignedTransfer {
            recipient: PublicKey::from_bytes([7; 32]),
            amount: Amount::from_units(5),
            fee: Amount::from_units(1),
            nonce: 3,
            expiry: Expiry(9),
            memo: "tea".parse().unwrap(),
        }
    }

    #[test]
    fn a_signed_transfer_verifies_on_its_chain_alone() {
        let wallet = Wallet::create().unwrap();
        let (here, elsewhere) = (BlockHash::from_bytes([1; 32]), BlockHash::from_bytes([2; 32]));
        let transfer = wallet.sign(unsigned(), &here).unwrap();
        let verifies =
            |t: &Transfer, chain| t.sender.verifies(&t.signature, &t.signing_hash(chain));
        assert!(verifies(&transfer, &here));
        assert!(!verifies(&transfer, &elsewhere));
    }

    #[test]
    fn every_field_of_a_transfer_is_signed() {
        let wallet = Wallet::create().unwrap();
        let chain = BlockHash::from_bytes([1; 32]);
        let signed = wallet.sign(unsigned(), &chain).unwrap();
        let changes: [fn(&mut Transfer); 7] = [
            |t| t.sender = dev_accounts()[0].public_key(),
            |t| t.recipient = PublicKey::from_bytes([8; 32]),
            |t| t.amount = Amount::from_units(6),
            |t| t.fee = Amount::from_units(0),
            |t| t.nonce = 4,
            |t| t.expiry = Expiry(10),
            |t| t.memo = "teä".parse().unwrap(),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut changed = signed.clone();
            change(&mut changed);
            let hash = changed.signing_hash(&chain);
            assert!(!changed.sender.verifies(&changed.signature, &hash), "change {index}");
        }
    }

    #[test]
    fn two_signatures_of_one_transfer_differ_and_both_verify() {
        let wallet = Wallet::create().unwrap();
        let chain = BlockHash::from_bytes([1; 32]);
        let [first, second] = [(); 2].map(|()| wallet.sign(unsigned(), &chain).unwrap());
        assert_ne!(first.signature, second.signature);
        for transfer in [first, second] {
            assert!(transfer.sender.verifies(&transfer.signature, &transfer.signing_hash(&chain)));
        }
    }

    #[test]
    fn no_debug_output_holds_the_secret() {
        let wallet = Wallet::create().unwrap();
        let hex = wallet.secret_hex();
        let bytes = hex::decode(hex.as_str()).unwrap();
        let shown = format!("{wallet:?} {wallet:#?} {:?}", wallet.secret);
        for form in [hex.to_string(), hex.to_uppercase(), format!("{bytes:?}")] {
            assert!(!shown.contains(&form), "{shown}");
        }
        assert!(shown.contains(&wallet.public_key().to_string()));
        assert!(shown.contains("secret"));
    }
}
