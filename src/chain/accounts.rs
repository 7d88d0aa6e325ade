//! The account tree: who has what, under one root.
//!
//! A binary tree over the 256 bits of SHA-256(public key), most significant bit first, so that
//! nobody chooses an account's place. Every version is a value of its own: a change copies the way
//! to what changes and shares the rest, a clone copies a pointer, and an old version stays as it was.
//! This module knows no rules: who may pay whom is decided elsewhere.
//!
//! Hashes (H is SHA-256): leaf = H(0x00 || key || balance u64 LE || nonce u64 LE),
//! node = H(0x01 || left || right), nothing = 32 zero bytes. A subtree that holds one leaf is that
//! leaf; one that holds more is a node at every depth, even where all its leaves lie on one side.
//! In memory such runs of one-sided nodes are skipped: a [`Branch`] stands where leaves part, so
//! there is exactly one fewer of them than of leaves.
//!
//! Invariants: an account with balance 0 and nonce 0 is never stored (it means "absent", and undoing
//! a block relies on it); equal contents have equal roots, whatever the way to them; no leaf lies
//! deeper than 256, so recursion is bounded even if someone grinds keys with long common prefixes.

mod proof;
#[cfg(test)]
mod tests;

pub use proof::{AccountProof, ProofEnd, ProofError};

use crate::primitives::hash::sha256;
use crate::primitives::{Account, Amount, Hash256, PublicKey};
use std::sync::Arc;

/// The bits of a key: the greatest depth of a leaf.
pub const DEPTH_MAX: usize = 256;

/// A batch is worked on by two threads while both halves have at least this many changes; below
/// it (about 0.2 ms of work) handing work over costs more than it saves.
const PARALLEL_MIN: usize = 128;

/// All accounts. Cloning copies a pointer.
#[derive(Clone, Default)]
pub struct AccountTree {
    top: Option<Link>,
    tally: Tally,
}

/// A subtree with its hash, which holds for the depth at which the link stands.
#[derive(Clone)]
struct Link {
    hash: Hash256,
    node: Node,
}

#[derive(Clone)]
enum Node {
    Leaf(Arc<Leaf>),
    Branch(Arc<Branch>),
}

struct Leaf {
    public_key: PublicKey,
    account: Account,
}

/// Where leaves part: all below agree in the bits before `split` and differ in that one.
struct Branch {
    split: u8,
    left: Link,
    right: Link,
}

/// SHA-256 of a public key: the account's place in the tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Key([u8; 32]);

/// One account's new content; `None` removes it.
struct Change {
    key: Key,
    public_key: PublicKey,
    account: Option<Account>,
}

/// How many accounts there are, and what they have in all. The sum cannot overflow: it would take
/// 2^64 accounts.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Tally {
    count: u64,
    total: u128,
}

impl AccountTree {
    /// No accounts.
    pub fn new() -> Self {
        Self::default()
    }

    /// The root over all accounts, already computed; 32 zero bytes if there are none.
    pub fn root(&self) -> Hash256 {
        hash_of(self.top.as_ref())
    }

    /// How many accounts there are.
    pub fn len(&self) -> u64 {
        self.tally.count
    }

    /// Whether there are no accounts.
    pub fn is_empty(&self) -> bool {
        self.top.is_none()
    }

    /// The sum of all balances, kept with every change; `None` if it exceeds 64 bits.
    pub fn total(&self) -> Option<Amount> {
        u64::try_from(self.tally.total).ok().map(Amount::from_units)
    }

    /// The account of `public_key`, or `None` if it was never paid.
    pub fn get(&self, public_key: &PublicKey) -> Option<Account> {
        let key = Key::of(public_key);
        let mut link = self.top.as_ref()?;
        loop {
            match &link.node {
                Node::Branch(branch) => link = branch.child_and_sibling(&key).0,
                // The bits skipped on the way were not looked at: this may be someone else.
                Node::Leaf(leaf) if leaf.public_key == *public_key => return Some(leaf.account),
                Node::Leaf(_) => return None,
            }
        }
    }

    /// The tree with `changes` made; `None` removes an account. If a key comes twice, the last one
    /// counts; otherwise their order does not matter. Large batches use the rayon pool
    /// that the caller is in, if it is in one.
    ///
    /// # Panics
    /// An account with balance 0 and nonce 0 must not be stored: it is to be removed instead.
    pub fn apply(&self, changes: impl IntoIterator<Item = (PublicKey, Option<Account>)>) -> Self {
        let changes = sorted(changes.into_iter().collect());
        let (top, delta) = update(self.top.as_ref(), 0, &changes);
        let tally = self.tally.plus(delta.added).minus(delta.removed);
        assert_eq!(tally.count == 0, top.is_none(), "the count follows the leaves");
        Self { top, tally }
    }

    /// All accounts in the order of their keys' SHA-256.
    pub fn iter(&self) -> Iter<'_> {
        Iter { waiting: self.top.iter().collect() }
    }

    /// A proof of what `public_key` has, or that it has no account.
    pub fn prove(&self, public_key: &PublicKey) -> AccountProof {
        proof::prove(self.top.as_ref(), &Key::of(public_key))
    }
}

impl<'a> IntoIterator for &'a AccountTree {
    type Item = (PublicKey, Account);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The accounts of a tree, in the order of their keys' SHA-256.
pub struct Iter<'a> {
    waiting: Vec<&'a Link>,
}

impl Iterator for Iter<'_> {
    type Item = (PublicKey, Account);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match &self.waiting.pop()?.node {
                Node::Leaf(leaf) => return Some((leaf.public_key, leaf.account)),
                Node::Branch(branch) => self.waiting.extend([&branch.right, &branch.left]),
            }
        }
    }
}

/// What a batch took away and what it put in.
#[derive(Clone, Copy, Default)]
struct Delta {
    removed: Tally,
    added: Tally,
}

impl Delta {
    fn plus(self, other: Self) -> Self {
        Self { removed: self.removed.plus(other.removed), added: self.added.plus(other.added) }
    }
}

impl Tally {
    fn of(account: &Account) -> Self {
        Self { count: 1, total: u128::from(account.balance.units()) }
    }

    fn plus(self, other: Self) -> Self {
        Self { count: self.count + other.count, total: self.total + other.total }
    }

    fn minus(self, other: Self) -> Self {
        Self { count: self.count - other.count, total: self.total - other.total }
    }
}

impl Key {
    fn of(public_key: &PublicKey) -> Self {
        Self(sha256(&[public_key.as_bytes()]))
    }

    fn bit(&self, depth: usize) -> bool {
        self.0[depth / 8] >> (7 - depth % 8) & 1 == 1
    }

    /// How many leading bits the two have in common; 256 if they are the same.
    fn common_bits(&self, other: &Self) -> usize {
        let differing = self.0.iter().zip(&other.0).position(|(a, b)| a != b);
        differing.map_or(DEPTH_MAX, |byte| {
            let bits = (self.0[byte] ^ other.0[byte]).leading_zeros();
            byte * 8 + usize::try_from(bits).expect("at most 8")
        })
    }
}

impl Branch {
    fn split(&self) -> usize {
        usize::from(self.split)
    }

    /// The child on the side of `key`, and the one on the other.
    fn child_and_sibling(&self, key: &Key) -> (&Link, &Link) {
        let children = (&self.left, &self.right);
        if key.bit(self.split()) { (children.1, children.0) } else { children }
    }

    fn fork(&self, depth: usize) -> Fork<'_> {
        let children = [Some(&self.left), Some(&self.right)];
        Fork { depth, split: self.split(), children }
    }

    /// The branch's hash as seen from `depth`, where all keys below begin like `key`.
    fn hash_at(&self, depth: usize, key: &Key) -> Hash256 {
        lift(node_hash(&self.left.hash, &self.right.hash), self.split(), depth, key)
    }
}

impl Link {
    fn leaf(key: &Key, public_key: PublicKey, account: Account) -> Self {
        let hash = leaf_hash(key, &account);
        Self { hash, node: Node::Leaf(Arc::new(Leaf { public_key, account })) }
    }

    /// The key of some leaf below; up to the split all have the same bits.
    fn some_key(&self) -> Key {
        let mut link = self;
        loop {
            match &link.node {
                Node::Leaf(leaf) => return Key::of(&leaf.public_key),
                Node::Branch(branch) => link = &branch.left,
            }
        }
    }

    /// The same subtree as seen from `depth`.
    fn moved(&self, depth: usize, key: &Key) -> Self {
        let hash = match &self.node {
            Node::Leaf(_) => self.hash,
            Node::Branch(branch) => branch.hash_at(depth, key),
        };
        Self { hash, node: self.node.clone() }
    }
}

fn sorted(changes: Vec<(PublicKey, Option<Account>)>) -> Vec<Change> {
    let mut changes: Vec<Change> = changes
        .into_iter()
        .map(|(public_key, account)| {
            let absent = account.is_some_and(|account| account.existing().is_none());
            assert!(!absent, "an account with nothing is removed, not stored");
            Change { key: Key::of(&public_key), public_key, account }
        })
        .collect();
    changes.sort_by_key(|change| change.key);
    changes.dedup_by(|later, kept| {
        let same = later.key == kept.key;
        if same {
            kept.account = later.account;
        }
        same
    });
    changes
}

/// What stands at `depth` once `changes`, sorted and all of this subtree, are made in `old`.
fn update(old: Option<&Link>, depth: usize, changes: &[Change]) -> (Option<Link>, Delta) {
    let (Some(first), Some(last)) = (changes.first(), changes.last()) else {
        return (old.cloned(), Delta::default());
    };
    let Some(old) = old else {
        let split = first.key.common_bits(&last.key);
        let children = [None, None];
        return if split == DEPTH_MAX {
            first.put(None)
        } else {
            Fork { depth, split, children }.update(changes)
        };
    };
    match &old.node {
        Node::Leaf(leaf) if leaf.public_key == first.public_key && changes.len() == 1 => {
            first.put(Some(&leaf.account))
        }
        Node::Branch(branch) if branch.split() == depth => branch.fork(depth).update(changes),
        node => {
            let key = old.some_key();
            let common = key.common_bits(&first.key).min(key.common_bits(&last.key));
            match node {
                Node::Branch(branch) if common >= branch.split() => {
                    branch.fork(depth).update(changes)
                }
                _ => {
                    let moved = Some(old.moved(common + 1, &key));
                    let mut children = [moved.as_ref(), None];
                    if key.bit(common) {
                        children.swap(0, 1);
                    }
                    Fork { depth, split: common, children }.update(changes)
                }
            }
        }
    }
}

impl Change {
    /// Puts the leaf in the place of what the account was.
    fn put(&self, old: Option<&Account>) -> (Option<Link>, Delta) {
        let tally = |account: Option<&Account>| account.map(Tally::of).unwrap_or_default();
        let delta = Delta { removed: tally(old), added: tally(self.account.as_ref()) };
        let link = self.account.map(|account| Link::leaf(&self.key, self.public_key, account));
        (link, delta)
    }
}

/// A place where keys part at `split`, seen from `depth`; the children stand just below the split.
struct Fork<'a> {
    depth: usize,
    split: usize,
    children: [Option<&'a Link>; 2],
}

impl Fork<'_> {
    /// Makes `changes`, at least one, which all have the same bits before the split.
    fn update(&self, changes: &[Change]) -> (Option<Link>, Delta) {
        let middle = changes.partition_point(|change| !change.key.bit(self.split));
        let (left, right) = changes.split_at(middle);
        let below = self.split + 1;
        let on_left = || update(self.children[0], below, left);
        let on_right = || update(self.children[1], below, right);
        let parallel = left.len().min(right.len()) >= PARALLEL_MIN
            // Outside of a pool `join` would start the global one, which nobody has asked for.
            && rayon::current_thread_index().is_some();
        let ((left, a), (right, b)) =
            if parallel { rayon::join(on_left, on_right) } else { (on_left(), on_right()) };
        (self.joined(left, right, &changes[0].key), a.plus(b))
    }

    /// The subtree over both sides; a lone leaf rises, for it is the whole subtree.
    fn joined(&self, left: Option<Link>, right: Option<Link>, key: &Key) -> Option<Link> {
        let hash = |left, right| lift(node_hash(left, right), self.split, self.depth, key);
        let is_leaf = |link: &Link| matches!(link.node, Node::Leaf(_));
        match (left, right) {
            (None, None) => None,
            (Some(lone), None) | (None, Some(lone)) if is_leaf(&lone) => Some(lone),
            (Some(Link { hash: below, node }), None) => {
                Some(Link { hash: hash(&below, &Hash256::ZERO), node })
            }
            (None, Some(Link { hash: below, node })) => {
                Some(Link { hash: hash(&Hash256::ZERO, &below), node })
            }
            (Some(left), Some(right)) => {
                let hash = hash(&left.hash, &right.hash);
                let split = u8::try_from(self.split).expect("two keys differ in one of 256 bits");
                Some(Link { hash, node: Node::Branch(Arc::new(Branch { split, left, right })) })
            }
        }
    }
}

/// A node's hash at `from`, followed up to `to` through nodes whose other side is empty.
fn lift(hash: Hash256, from: usize, to: usize, key: &Key) -> Hash256 {
    (to..from).rev().fold(hash, |hash, depth| {
        if key.bit(depth) {
            node_hash(&Hash256::ZERO, &hash)
        } else {
            node_hash(&hash, &Hash256::ZERO)
        }
    })
}

fn hash_of(link: Option<&Link>) -> Hash256 {
    link.map_or(Hash256::ZERO, |link| link.hash)
}

fn leaf_hash(key: &Key, account: &Account) -> Hash256 {
    let balance = account.balance.units().to_le_bytes();
    Hash256::from_bytes(sha256(&[&[0], &key.0, &balance, &account.nonce.to_le_bytes()]))
}

fn node_hash(left: &Hash256, right: &Hash256) -> Hash256 {
    Hash256::from_bytes(sha256(&[&[1], left.as_bytes(), right.as_bytes()]))
}
