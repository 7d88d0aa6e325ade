//! The history range: a Merkle mountain range over all earlier blocks, whose root each header
//! commits to.
//!
//! Every node binds the work, times and bits of what lies beneath it, on both sides, so that a
//! newcomer can check a long chain from a few hundred headers (FlyClient; ZIP-221).
//!
//! Hashes (H is SHA-256): data = work 32 LE | count u64 | first time, last time, first bits,
//! last bits, u32 each; leaf = H(0x10 || block hash || data);
//! node = H(0x11 || left || left data || right || right data). Peaks are bagged from the rightmost
//! one to the left: bag = node(peak, bag). root = H(0x12 || count || bag || bag data), and over no
//! blocks H(0x12 || count). Bagged in this way the range has the shape of the transaction tree.
//!
//! In memory: the hashes in the order in which they arise (a leaf, then the nodes that it
//! completes), so that a shorter range is a prefix of a longer one, and for each block its time,
//! its bits and the work up to it, from which the data of any node follow. A clone is cheap, and
//! any version stays as it was: both lists are persistent.

#[cfg(test)]
mod tests;

use crate::consensus::merkle::{BranchError, Side, sides};
use crate::primitives::hash::sha256;
use crate::primitives::{BlockHash, CompactTarget, Hash256, Height, UnixTime, Work};
use imbl::Vector;

/// Length of the encoded data of a node.
const DATA_LEN: usize = 56;

/// What the range keeps of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafData {
    /// The block.
    pub hash: BlockHash,
    /// The work of its proof-of-work target (the relieved one).
    pub work: Work,
    /// Its time.
    pub time: UnixTime,
    /// Its bits, as in its header.
    pub bits: CompactTarget,
}

/// What a node binds about the blocks beneath it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeData {
    /// Their work in all.
    pub work: Work,
    /// Their number.
    pub count: u64,
    /// The time of the first.
    pub first_time: UnixTime,
    /// The time of the last.
    pub last_time: UnixTime,
    /// The bits of the first.
    pub first_bits: CompactTarget,
    /// The bits of the last.
    pub last_bits: CompactTarget,
}

/// A node of the range: its hash, and the data that its parent binds with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeNode {
    /// The node's hash.
    pub hash: Hash256,
    /// What lies beneath it.
    pub data: RangeData,
}

/// The range over the first blocks of a chain, from genesis on. Cloning is cheap.
#[derive(Clone, Default)]
pub struct History {
    blocks: Vector<BlockEntry>,
    hashes: Vector<Hash256>,
}

#[derive(Clone, Copy)]
struct BlockEntry {
    /// Of all blocks up to and with this one.
    work: Work,
    time: UnixTime,
    bits: CompactTarget,
}

/// The way from one block up to the root of the range. It proves the index together with the
/// count, which the root binds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryBranch {
    /// The block's height.
    pub index: u32,
    /// The number of blocks in the range.
    pub count: u32,
    /// The siblings met on the way, lowest first.
    pub siblings: Vec<RangeNode>,
}

impl RangeData {
    /// The bytes that are hashed.
    pub fn encode(&self) -> [u8; DATA_LEN] {
        let mut bytes = [0; DATA_LEN];
        bytes[..32].copy_from_slice(&self.work.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.count.to_le_bytes());
        let words = [self.first_time.0, self.last_time.0, self.first_bits.0, self.last_bits.0];
        for (place, word) in bytes[40..].chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The data of what stands before, followed by `after`.
    fn followed_by(&self, after: &Self) -> Self {
        Self {
            work: self.work + after.work,
            // Saturates: a count from a proof may be anything, and 2^64 blocks cannot be.
            count: self.count.saturating_add(after.count),
            first_time: self.first_time,
            last_time: after.last_time,
            first_bits: self.first_bits,
            last_bits: after.last_bits,
        }
    }
}

impl RangeNode {
    /// The leaf of one block.
    pub fn leaf(block: &LeafData) -> Self {
        let data = RangeData {
            work: block.work,
            count: 1,
            first_time: block.time,
            last_time: block.time,
            first_bits: block.bits,
            last_bits: block.bits,
        };
        let hash = sha256(&[&[0x10], block.hash.as_bytes(), &data.encode()]);
        Self { hash: Hash256::from_bytes(hash), data }
    }

    /// The node over `left` and, after it in the chain, `right`.
    pub fn over(left: &Self, right: &Self) -> Self {
        let hash = sha256(&[
            &[0x11],
            left.hash.as_bytes(),
            &left.data.encode(),
            right.hash.as_bytes(),
            &right.data.encode(),
        ]);
        Self { hash: Hash256::from_bytes(hash), data: left.data.followed_by(&right.data) }
    }

    /// The root of a range of `count` blocks, of which this node is the top.
    fn root(&self, count: u32) -> Hash256 {
        let count = u64::from(count).to_le_bytes();
        let parts: [&[u8]; 4] = [&[0x12], &count, self.hash.as_bytes(), &self.data.encode()];
        Hash256::from_bytes(sha256(&parts))
    }
}

impl History {
    /// The range over no blocks.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many blocks the range covers: the heights below this one.
    pub fn count(&self) -> u32 {
        u32::try_from(self.blocks.len()).expect("append stops at 2^32 - 1 blocks")
    }

    /// The work of all blocks.
    pub fn total_work(&self) -> Work {
        self.work_before(self.count())
    }

    /// The root that the block at height `count` commits to.
    pub fn root(&self) -> Hash256 {
        match self.count() {
            0 => Hash256::from_bytes(sha256(&[&[0x12], &0_u64.to_le_bytes()])),
            count => self.node(0, count).root(count),
        }
    }

    /// Adds the block at height `count`. Its time is not looked at: that is a rule of headers.
    ///
    /// # Panics
    /// At 2^32 - 1 blocks, where heights end.
    pub fn append(&mut self, block: &LeafData) {
        let index = self.count();
        assert!(index < u32::MAX, "heights end at 2^32 - 1");
        assert_eq!(self.hashes.len(), hashes_len(index), "both lists cover the same blocks");
        let work = self.total_work() + block.work;
        let mut node = RangeNode::leaf(block);
        self.hashes.push_back(node.hash);
        // With this leaf, as many nodes are complete as its index has ones at the end.
        for level in 0..index.trailing_ones() {
            let size = 1 << level;
            let start = index + 1 - 2 * size;
            node = RangeNode::over(&self.node(start, size), &node);
            self.hashes.push_back(node.hash);
        }
        self.blocks.push_back(BlockEntry { work, time: block.time, bits: block.bits });
    }

    /// Cuts the range back to its first `count` blocks, for a reorganization; a range that is no
    /// longer than that stays as it is.
    pub fn truncate(&mut self, count: u32) {
        if count < self.count() {
            self.blocks.truncate(Height(count).index());
            self.hashes.truncate(hashes_len(count));
        }
    }

    /// The branch of the block at height `index`, or `None` if the range does not cover it.
    pub fn branch(&self, index: u32) -> Option<HistoryBranch> {
        let count = self.count();
        let (mut start, mut size) = (0, count);
        let mut siblings = Vec::new();
        if index >= count {
            return None;
        }
        while size > 1 {
            let left = left_size(size);
            if index - start < left {
                siblings.push(self.node(start + left, size - left));
                size = left;
            } else {
                siblings.push(self.node(start, left));
                start += left;
                size -= left;
            }
        }
        siblings.reverse();
        Some(HistoryBranch { index, count, siblings })
    }

    /// The node over `size` blocks, at least one, from height `start`: one whose hash is kept if
    /// `size` is a power of two (and `start` a multiple of it), else a bag of such.
    fn node(&self, start: u32, size: u32) -> RangeNode {
        if !size.is_power_of_two() {
            let left = left_size(size);
            return RangeNode::over(&self.node(start, left), &self.node(start + left, size - left));
        }
        assert!(start.is_multiple_of(size), "full trees stand at multiples of their size");
        let last = start + (size - 1);
        let level = Height(size.ilog2()).index();
        let hash = self.hashes[hashes_len(last) + level];
        let (first_block, last_block) = (self.block(start), self.block(last));
        let data = RangeData {
            work: last_block.work - self.work_before(start),
            count: u64::from(size),
            first_time: first_block.time,
            last_time: last_block.time,
            first_bits: first_block.bits,
            last_bits: last_block.bits,
        };
        RangeNode { hash, data }
    }

    fn block(&self, height: u32) -> &BlockEntry {
        &self.blocks[Height(height).index()]
    }

    /// The work of all blocks below `height`.
    fn work_before(&self, height: u32) -> Work {
        height.checked_sub(1).map_or(Work::ZERO, |last| self.block(last).work)
    }
}

impl HistoryBranch {
    /// The root that this branch reaches from `block`. It proves that the block stands at `index`
    /// if the root is one that a valid block commits to.
    ///
    /// # Errors
    /// A branch whose length is not the one that index and count ask for has no root.
    pub fn root(&self, block: &LeafData) -> Result<Hash256, BranchError> {
        let sides = sides(self.index, self.count)?;
        let (expected, got) = (sides.len(), self.siblings.len());
        if expected != got {
            return Err(BranchError::Length { expected, got });
        }
        let leaf = RangeNode::leaf(block);
        let top =
            sides.iter().zip(&self.siblings).fold(leaf, |below, (side, sibling)| match side {
                Side::Left => RangeNode::over(sibling, &below),
                Side::Right => RangeNode::over(&below, sibling),
            });
        Ok(top.root(self.count))
    }
}

/// The size of the left side of a tree of `size` leaves, at least two: the largest power of two
/// that leaves something for the right.
fn left_size(size: u32) -> u32 {
    1 << (size - 1).ilog2()
}

/// How many hashes the first `count` blocks give: a leaf each, and every node they complete.
fn hashes_len(count: u32) -> usize {
    let peaks = Height(count.count_ones()).index();
    2 * Height(count).index() - peaks
}
