//! The transaction tree, branches in it, and the commitment a header carries.
//!
//! An inner node is sha256d(left || right), as in Bitcoin; an odd node is carried up unpaired,
//! never duplicated (duplication gave two lists one root: CVE-2012-2459). The shape is that of
//! RFC 6962: the left half of a tree is the largest full tree that leaves something on the right.
//!
//! What a root binds: for a known number of leaves, every leaf and its place. The number as well,
//! as long as no leaf is itself an inner node. A transaction id never is one: an inner node is the
//! hash of 64 bytes, a transaction id that of an encoding, and no encoding is 64 bytes long. (Over
//! arbitrary 32-byte leaves it would not hold: [a, b, c] and [node(a, b), c] share a root. So
//! whoever checks a branch must hash the transaction's encoding itself, never take a given id.)
//! That a transaction does not stand twice in a block is a rule of blocks, not of this tree.

use crate::primitives::hash::sha256d;
use crate::primitives::{Hash256, StateRoots, Txid};

/// The most hashes in a branch: the depth of a tree of 2^32 - 1 leaves.
pub const BRANCH_HASHES_MAX: usize = 32;

/// The root of the transaction tree over `txids`, coinbase first; 32 zero bytes for none (genesis).
pub fn tx_root(txids: &[Txid]) -> Hash256 {
    let mut level = leaves(txids);
    while level.len() > 1 {
        level = level_above(&level);
    }
    level.first().copied().unwrap_or(Hash256::ZERO)
}

/// The commitment of a header: sha256d(`tx_root` || [`state_digest`]).
pub fn commitment(tx_root: &Hash256, roots: &StateRoots) -> Hash256 {
    node(tx_root, &state_digest(roots))
}

/// sha256d(accounts || history): the last step of the coinbase's branch up to the commitment, as a
/// Bitcoin miner folds it.
pub fn state_digest(roots: &StateRoots) -> Hash256 {
    node(&roots.accounts, &roots.history)
}

/// An inner node: sha256d(`left` || `right`).
pub fn node(left: &Hash256, right: &Hash256) -> Hash256 {
    Hash256::from_bytes(sha256d(&[left.as_bytes(), right.as_bytes()]))
}

/// Why a branch leads to no root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BranchError {
    /// The leaf would stand beyond the last one.
    #[error("expected an index below the count {count}, got {index}")]
    Index {
        /// The leaf's place, from 0.
        index: u32,
        /// The number of leaves.
        count: u32,
    },
    /// Index and count ask for another number of hashes.
    #[error("expected a branch of {expected} hashes, got {got}")]
    Length {
        /// What index and count ask for.
        expected: usize,
        /// What the branch has.
        got: usize,
    },
}

impl BranchError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Index { .. } => "branch-index",
            Self::Length { .. } => "branch-length",
        }
    }
}

/// The way from one transaction up to the root. Index and count fix its shape.
///
/// It proves that the transaction is in the block. The index it proves only for a count known from
/// elsewhere (2 of 3 and 1 of 2 have the same shape), except that the
/// coinbase's, 0, is certain: no other branch has every sibling on the right. The count it does not
/// prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerkleBranch {
    /// The transaction's place in the block, from 0.
    pub index: u32,
    /// The number of transactions in the block.
    pub count: u32,
    /// The siblings met on the way, lowest first.
    pub hashes: Vec<Hash256>,
}

impl MerkleBranch {
    /// The root that this branch reaches from `txid`, which the caller has computed from a whole
    /// decoded transaction.
    ///
    /// # Errors
    /// A branch whose length is not the one that index and count ask for has no root.
    pub fn root(&self, txid: &Txid) -> Result<Hash256, BranchError> {
        let sides = sides(self.index, self.count)?;
        if sides.len() != self.hashes.len() {
            return Err(BranchError::Length { expected: sides.len(), got: self.hashes.len() });
        }
        let leaf = Hash256::from_bytes(*txid.as_bytes());
        Ok(sides.iter().zip(&self.hashes).fold(leaf, |below, (side, sibling)| match side {
            Side::Left => node(sibling, &below),
            Side::Right => node(&below, sibling),
        }))
    }
}

/// The branch of the transaction at `index`, or `None` if there is none.
pub fn branch(txids: &[Txid], index: usize) -> Option<MerkleBranch> {
    txids.get(index)?;
    let mut hashes = Vec::new();
    let (mut level, mut place) = (leaves(txids), index);
    while level.len() > 1 {
        hashes.extend(level.get(place ^ 1));
        level = level_above(&level);
        place /= 2;
    }
    let (index, count) = (u32::try_from(index).ok()?, u32::try_from(txids.len()).ok()?);
    Some(MerkleBranch { index, count, hashes })
}

/// On which side of the way up a sibling stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The sibling is the left child.
    Left,
    /// The sibling is the right child.
    Right,
}

/// The sides of the siblings on the way from leaf `index` of `count` up to the root, lowest first;
/// at most [`BRANCH_HASHES_MAX`]. The history range has the same shape.
///
/// # Errors
/// `index` must be below `count`.
pub fn sides(index: u32, count: u32) -> Result<Vec<Side>, BranchError> {
    if index >= count {
        return Err(BranchError::Index { index, count });
    }
    let mut sides = Vec::with_capacity(BRANCH_HASHES_MAX);
    let (mut place, mut last) = (index, count - 1);
    while last > 0 {
        if place % 2 == 1 {
            sides.push(Side::Left);
        } else if place < last {
            sides.push(Side::Right);
        }
        place /= 2;
        last /= 2;
    }
    debug_assert!(sides.len() <= BRANCH_HASHES_MAX, "each level halves the count");
    Ok(sides)
}

fn leaves(txids: &[Txid]) -> Vec<Hash256> {
    txids.iter().map(|txid| Hash256::from_bytes(*txid.as_bytes())).collect()
}

fn level_above(level: &[Hash256]) -> Vec<Hash256> {
    level
        .chunks(2)
        .map(|pair| match pair {
            [left, right] => node(left, right),
            odd => odd[0],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Ids as real ones: hashes of something that is not 64 bytes long.
    fn ids(range: std::ops::Range<u32>) -> Vec<Txid> {
        range.map(|i| Txid::from_bytes(sha256d(&[&i.to_le_bytes()]))).collect()
    }

    /// The tree as RFC 6962 defines it, top down.
    fn naive_root(txids: &[Txid]) -> Hash256 {
        match txids {
            [] => Hash256::ZERO,
            [one] => Hash256::from_bytes(*one.as_bytes()),
            many => {
                let left = many.len().next_power_of_two() / 2;
                node(&naive_root(&many[..left]), &naive_root(&many[left..]))
            }
        }
    }

    #[test]
    fn the_root_is_that_of_the_tree_defined_top_down() {
        for n in 0..=200 {
            let txids = ids(0..n);
            assert_eq!(tx_root(&txids), naive_root(&txids), "{n}");
        }
    }

    #[test]
    fn a_commitment_is_the_double_hash_of_the_parts() {
        let [a, b, c] = [1, 2, 3].map(|byte| Hash256::from_bytes([byte; 32]));
        let state = sha256d(&[&[2; 32], &[3; 32]]);
        let of = |tx, accounts, history| commitment(&tx, &StateRoots { accounts, history });
        assert_eq!(*of(a, b, c).as_bytes(), sha256d(&[&[1; 32], &state]));
        for other in [of(a, c, b), of(b, a, c), of(c, b, a)] {
            assert_ne!(other, of(a, b, c));
        }
    }

    /// Every list made from `list` by one attack on the tree, the list itself left out.
    fn mutations(list: &[Txid]) -> Vec<Vec<Txid>> {
        let n = list.len();
        let mut mutated = Vec::new();
        for i in (0..n).step_by(1 + n / 50) {
            let mut dropped = list.to_vec();
            let one = dropped.remove(i);
            let mut doubled = list.to_vec();
            doubled.insert(i, one);
            let mut flipped = list.to_vec();
            let mut bytes = *one.as_bytes();
            bytes[i % 32] ^= 1;
            flipped[i] = Txid::from_bytes(bytes);
            let mut turned = list.to_vec();
            turned.rotate_left(i);
            mutated.extend([dropped, doubled, flipped, turned, list[..i].to_vec()]);
        }
        for i in (1..n).step_by(1 + n / 50) {
            let (mut near, mut far) = (list.to_vec(), list.to_vec());
            near.swap(i - 1, i);
            far.swap(0, i);
            mutated.extend([near, far]);
        }
        // A whole subtree twice, at the end (CVE-2012-2459) and in place, and subtrees swapped.
        for size in (0..8).map(|bit| 1 << bit).filter(|size| *size <= n) {
            mutated.push([list, &list[n - size..]].concat());
            mutated.push([list, &list[n - n % size..]].concat());
            for start in (0..n - size).step_by(size * (1 + n / 50)) {
                let (before, after) = list.split_at(start + size);
                mutated.push([before, &before[start..], after].concat());
                if after.len() >= size {
                    let (next, rest) = after.split_at(size);
                    mutated.push([&before[..start], next, &before[start..], rest].concat());
                }
            }
        }
        mutated.push([list, &[Txid::ZERO]].concat());
        mutated.retain(|other| other != list);
        mutated
    }

    #[test]
    fn no_mutation_of_a_list_keeps_its_root() {
        let mut tried = 0;
        for n in 1..=200 {
            let txids = ids(0..n);
            let root = tx_root(&txids);
            for other in mutations(&txids) {
                assert_ne!(tx_root(&other), root, "{n} leaves, {} in the other", other.len());
                tried += 1;
            }
        }
        assert!(tried > 50_000, "{tried}");
    }

    #[test]
    fn no_two_lists_of_up_to_eight_out_of_three_ids_share_a_root() {
        let three = ids(0..3);
        let mut lists: Vec<Vec<Txid>> = vec![Vec::new()];
        let mut seen = HashMap::new();
        let mut first_of_length = 0;
        for length in 0..=8 {
            for list in &lists[first_of_length..] {
                assert_eq!(list.len(), length);
                assert_eq!(seen.insert(tx_root(list), list.clone()), None, "{list:?}");
            }
            let longer: Vec<_> = lists[first_of_length..]
                .iter()
                .flat_map(|list| three.iter().map(move |id| [list.as_slice(), &[*id]].concat()))
                .collect();
            first_of_length = lists.len();
            lists.extend(longer);
        }
        assert_eq!(seen.len(), (3_usize.pow(9) - 1) / 2);
    }

    #[test]
    fn only_a_leaf_that_is_an_inner_node_could_change_the_count() {
        // Why whoever checks a root or a branch hashes the transactions' encodings.
        let txids = ids(0..3);
        let [a, b] = [0, 1].map(|i| Hash256::from_bytes(*txids[i].as_bytes()));
        let posing = Txid::from_bytes(*node(&a, &b).as_bytes());
        assert_eq!(tx_root(&[posing, txids[2]]), tx_root(&txids));
    }

    #[test]
    fn every_branch_reaches_the_root_and_no_other_does() {
        for n in 1..=64 {
            let txids = ids(0..n);
            let root = tx_root(&txids);
            for (i, txid) in txids.iter().enumerate() {
                let branch = branch(&txids, i).expect("the index is in range");
                assert_eq!(branch.root(txid), Ok(root), "{i} of {n}");
                check_wrong_branches(&branch, &txids, root);
            }
            assert_eq!(branch(&txids, txids.len()), None);
        }
    }

    /// Wrong leaves, places, lengths, orders and single bits.
    fn check_wrong_branches(branch: &MerkleBranch, txids: &[Txid], root: Hash256) {
        let place = usize::try_from(branch.index).unwrap();
        for (i, txid) in txids.iter().enumerate() {
            assert_eq!(branch.root(txid) == Ok(root), i == place);
        }
        let txid = &txids[place];
        for index in (0..=branch.count).filter(|index| *index != branch.index) {
            assert_ne!(MerkleBranch { index, ..branch.clone() }.root(txid), Ok(root));
        }
        for i in 0..branch.hashes.len() {
            let mut wrong = branch.clone();
            wrong.hashes.remove(i);
            assert!(matches!(wrong.root(txid), Err(BranchError::Length { .. })));
            wrong.hashes.insert(i, Hash256::from_bytes([7; 32]));
            assert_ne!(wrong.root(txid), Ok(root));
            let mut bytes = *branch.hashes[i].as_bytes();
            bytes[i] ^= 0x10;
            wrong.hashes[i] = Hash256::from_bytes(bytes);
            assert_ne!(wrong.root(txid), Ok(root));
            let mut turned = branch.clone();
            turned.hashes.swap(0, i);
            assert_eq!(turned.root(txid) == Ok(root), i == 0);
        }
        let mut longer = branch.clone();
        longer.hashes.push(Hash256::ZERO);
        assert!(matches!(longer.root(txid), Err(BranchError::Length { .. })));
    }

    #[test]
    fn a_branch_needs_a_place_and_the_length_of_its_shape() {
        let check = |index, count, hashes, expected: Result<(), BranchError>| {
            let branch = MerkleBranch { index, count, hashes: vec![Hash256::ZERO; hashes] };
            assert_eq!(branch.root(&Txid::ZERO).map(|_| ()), expected, "{index} of {count}");
        };
        let length = |expected, got| Err(BranchError::Length { expected, got });
        check(0, 0, 0, Err(BranchError::Index { index: 0, count: 0 }));
        check(5, 5, 3, Err(BranchError::Index { index: 5, count: 5 }));
        check(0, 1, 0, Ok(()));
        check(0, 1, 1, length(0, 1));
        check(4, 5, 1, Ok(()));
        check(4, 5, 3, length(1, 3));
        check(3, 5, 3, Ok(()));
        check(0, u32::MAX, BRANCH_HASHES_MAX, Ok(()));
        check(0, u32::MAX, 1_000, length(BRANCH_HASHES_MAX, 1_000));
        check(u32::MAX, u32::MAX, 0, Err(BranchError::Index { index: u32::MAX, count: u32::MAX }));
    }
}
