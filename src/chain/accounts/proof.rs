//! Proofs of what an account has, or that there is none, against a root alone.

use super::{Account, DEPTH_MAX, Key, Link, Node, leaf_hash, node_hash};
use crate::primitives::{Hash256, PublicKey};

/// What one public key has under a root. Whose it is, and under which root, the verifier says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// The siblings on the way from the root down to where the way ends; at most [`DEPTH_MAX`].
    pub siblings: Vec<Hash256>,
    /// What stands where the way ends.
    pub end: ProofEnd,
}

/// What stands at the end of the way to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofEnd {
    /// The account asked for.
    Account(Account),
    /// Somebody else's account, alone in the subtree where the one asked for would be.
    Other {
        /// SHA-256 of its public key.
        key: [u8; 32],
        /// What it has.
        account: Account,
    },
    /// Nothing at all.
    Empty,
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// No tree is that deep.
    #[error("expected at most {DEPTH_MAX} siblings, got {0}")]
    TooDeep(usize),
    /// The other account does not stand in the way of the one asked for.
    #[error("expected another account that shares the first {depth} bits of the key")]
    NotInTheWay {
        /// Where the way ends.
        depth: usize,
    },
    /// The hashes lead elsewhere.
    #[error("expected a proof for the root {expected}, got one for {got}")]
    Root {
        /// The root given by the verifier.
        expected: Hash256,
        /// The root that the proof leads to.
        got: Hash256,
    },
}

impl ProofError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooDeep(_) => "account-proof-too-deep",
            Self::NotInTheWay { .. } => "account-proof-not-in-the-way",
            Self::Root { .. } => "account-proof-wrong-root",
        }
    }
}

impl AccountProof {
    /// What `public_key` has under `root`: an account, or `None` if it has none. `root` must be
    /// that of an account tree, as one in a valid block is.
    ///
    /// # Errors
    /// A proof that does not lead to `root`, or not from the place of `public_key`.
    pub fn verify(
        &self,
        root: &Hash256,
        public_key: &PublicKey,
    ) -> Result<Option<Account>, ProofError> {
        let depth = self.siblings.len();
        if depth > DEPTH_MAX {
            return Err(ProofError::TooDeep(depth));
        }
        let key = Key::of(public_key);
        let (end, found) = match self.end {
            ProofEnd::Account(account) => (leaf_hash(&key, &account), Some(account)),
            ProofEnd::Empty => (Hash256::ZERO, None),
            ProofEnd::Other { key: other, account } => {
                let other = Key(other);
                if other == key || other.common_bits(&key) < depth {
                    return Err(ProofError::NotInTheWay { depth });
                }
                (leaf_hash(&other, &account), None)
            }
        };
        let levels = self.siblings.iter().enumerate().rev();
        let got = levels.fold(end, |below, (depth, sibling)| {
            if key.bit(depth) { node_hash(sibling, &below) } else { node_hash(&below, sibling) }
        });
        if got == *root { Ok(found) } else { Err(ProofError::Root { expected: *root, got }) }
    }
}

/// The proof for `key` in the tree under `top`.
pub(super) fn prove(top: Option<&Link>, key: &Key) -> AccountProof {
    let mut siblings = Vec::new();
    let Some(mut link) = top else { return AccountProof { siblings, end: ProofEnd::Empty } };
    loop {
        let stands = link.some_key();
        let branch = match &link.node {
            Node::Leaf(leaf) => {
                let account = leaf.account;
                let end = if stands == *key {
                    ProofEnd::Account(account)
                } else {
                    ProofEnd::Other { key: stands.0, account }
                };
                return AccountProof { siblings, end };
            }
            Node::Branch(branch) => branch,
        };
        let common = stands.common_bits(key);
        // On skipped levels the other side is empty; where the key leaves them, its own side is.
        siblings.resize(common.min(branch.split()), Hash256::ZERO);
        if common < branch.split() {
            siblings.push(branch.hash_at(common + 1, &stands));
            return AccountProof { siblings, end: ProofEnd::Empty };
        }
        let (next, sibling) = branch.child_and_sibling(key);
        siblings.push(sibling.hash);
        link = next;
    }
}
