//! Proofs for those who hold headers only.
//!
//! Each carries the header it leads to and what that header commits to beside the thing proved, so
//! that `sha256d(tx_root || sha256d(account_root || history_root))` can be compared with its
//! commitment. Whether the header is in the best chain is for the reader to know.

use super::shape::{self, Address};
use crate::consensus::merkle::MerkleBranch;
use crate::primitives::{Amount, BlockHash, Hash256, Header, Height, StateRoots, Transaction};
use serde::{Serialize, Serializer};

/// `GET /proof/transaction/<id>`: that a block holds a transaction.
#[derive(Clone, Debug, Serialize)]
pub struct TransactionProof {
    /// The block.
    pub block: ProvenBlock,
    /// The transaction's whole canonical encoding, in hex: its id is the hash of nothing less.
    #[serde(serialize_with = "encoding")]
    pub transaction: Transaction,
    /// The way from the transaction up to the root.
    #[serde(serialize_with = "branch")]
    pub branch: MerkleBranch,
}

fn encoding<S: Serializer>(transaction: &Transaction, serializer: S) -> Result<S::Ok, S::Error> {
    shape::hex(&transaction.encode(), serializer)
}

fn branch<S: Serializer>(branch: &MerkleBranch, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Branch<'a> {
        index: u32,
        count: u32,
        #[serde(serialize_with = "shape::all_shown")]
        hashes: &'a [Hash256],
    }
    let MerkleBranch { index, count, hashes } = branch;
    Branch { index: *index, count: *count, hashes }.serialize(serializer)
}

/// The block that a proof leads to.
#[derive(Clone, Debug, Serialize)]
pub struct ProvenBlock {
    #[serde(serialize_with = "shape::number")]
    index: Height,
    #[serde(serialize_with = "shape::shown")]
    hash: BlockHash,
    #[serde(serialize_with = "shape::hex")]
    header: [u8; 80],
    #[serde(serialize_with = "shape::shown")]
    account_root: Hash256,
    #[serde(serialize_with = "shape::shown")]
    history_root: Hash256,
}

impl ProvenBlock {
    /// The block at `height` with `header`, which commits to `roots`.
    pub fn new(height: Height, header: &Header, roots: &StateRoots) -> Self {
        Self {
            index: height,
            hash: header.hash(),
            header: header.encode(),
            account_root: roots.accounts,
            history_root: roots.history,
        }
    }
}

/// `GET /proof/account/<address>`: what an account has before a block, or that there is none.
#[derive(Clone, Debug, Serialize)]
pub struct AccountProof {
    /// The block whose header commits to the account root; the account is as its parent left it.
    pub block: ProvenBlock,
    /// The root of the block's transactions.
    #[serde(serialize_with = "shape::shown")]
    pub tx_root: Hash256,
    /// Whose account.
    pub address: Address,
    /// The siblings on the way from the root down.
    #[serde(serialize_with = "shape::all_shown")]
    pub siblings: Vec<Hash256>,
    /// What stands where the way ends.
    pub end: AccountProofEnd,
}

/// What stands at the end of the way to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum AccountProofEnd {
    /// The account asked for.
    Account {
        /// Its coins.
        #[serde(serialize_with = "shape::coins")]
        balance: Amount,
        /// The nonce of its next transfer.
        nonce: u64,
    },
    /// Another account, alone in the subtree where the one asked for would be.
    Other {
        /// SHA-256 of its public key.
        #[serde(serialize_with = "shape::hex")]
        key: [u8; 32],
        /// Its coins.
        #[serde(serialize_with = "shape::coins")]
        balance: Amount,
        /// The nonce of its next transfer.
        nonce: u64,
    },
    /// Nothing.
    Empty,
}

#[cfg(test)]
mod tests {
    use super::super::samples::{PREFIX, block};
    use super::super::to_json;
    use super::*;
    use crate::consensus::merkle;

    #[test]
    fn a_proof_holds_what_its_header_commits_to() {
        let block = block(2);
        let proof = TransactionProof {
            block: ProvenBlock::new(Height(3), &block.header, &block.roots),
            transaction: Transaction::Transfer(block.transfers[0].clone()),
            branch: merkle::branch(&block.txids(), 1).unwrap(),
        };
        let hash = proof.branch.hashes[0].to_string();
        let value: serde_json::Value = serde_json::from_str(&to_json(&proof)).unwrap();
        assert_eq!(value["block"]["index"], 3);
        assert_eq!(value["block"]["hash"], block.hash().to_string());
        assert_eq!(value["block"]["header"], hex::encode(block.header.encode()));
        assert_eq!(value["block"]["account_root"], "06".repeat(32));
        assert_eq!(value["transaction"], hex::encode(block.transfers[0].encode()));
        assert_eq!((&value["branch"]["index"], &value["branch"]["count"]), (&1.into(), &3.into()));
        assert_eq!(value["branch"]["hashes"][0], hash);
    }

    #[test]
    fn the_end_of_the_way_to_an_account_is_told() {
        let (header, roots) = (block(0).header, block(0).roots);
        let balance = Amount::from_units(150_000_000);
        for (end, expected) in [
            (AccountProofEnd::Empty, r#"{"kind":"empty"}"#.to_owned()),
            (
                AccountProofEnd::Account { balance, nonce: 2 },
                r#"{"kind":"account","balance":1.5,"nonce":2}"#.to_owned(),
            ),
            (
                AccountProofEnd::Other { key: [1; 32], balance, nonce: 0 },
                format!(
                    r#"{{"kind":"other","key":"{}","balance":1.5,"nonce":0}}"#,
                    "01".repeat(32)
                ),
            ),
        ] {
            let proof = AccountProof {
                block: ProvenBlock::new(Height(3), &header, &roots),
                tx_root: Hash256::ZERO,
                address: Address { key: block(0).coinbase.recipient, prefix: PREFIX },
                siblings: vec![Hash256::ZERO],
                end,
            };
            let text = to_json(&proof);
            assert!(text.ends_with(&format!(r#""end":{expected}}}"#)), "{text}");
        }
    }
}
