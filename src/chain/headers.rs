//! The header tree: every header that we know to be valid, and which of them make the best chain.
//!
//! Owns headers with their height and total work. Never sees a body, and judges nothing.
//!
//! Invariants: each header but genesis has its parent in the tree; `best` runs from genesis
//! without a gap; `side` holds (parent, child) for exactly the headers off the best chain; `tips`
//! are exactly the headers that have no child.

use super::side::SIDE_DEPTH_MAX;
use crate::consensus::connect::ParentFacts;
use crate::primitives::{BlockHash, Header, Height, Work};
use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

/// Headers off the best chain that are kept at most, about 20 MB; when there are more, the tip of
/// the branch with the least work gives way: another one than the new header if that has at least
/// the work of the best chain less its last [`SIDE_DEPTH_MAX`] blocks. Or else whoever sends a
/// newcomer so many cheap headers, once, and keeps their bodies back would lock all others out.
pub const SIDE_HEADERS_MAX: usize = 50_000;

/// Hashes in a locator at most: ten steps of one, then doubling, reach any height.
pub const LOCATOR_MAX: usize = 44;

/// A header in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderNode {
    /// The header's hash.
    pub hash: BlockHash,
    /// The header.
    pub header: Header,
    /// Its distance from genesis.
    pub height: Height,
    /// The work of this header alone, by its proof-of-work target (relief included).
    pub work: Work,
    /// The work of the branch that ends here, genesis included.
    pub total_work: Work,
    /// Grows with every header that comes in: on equal work the first seen stays.
    arrival: u64,
}

impl HeaderNode {
    /// Orders tips: more work first, and on equal work the one seen first.
    pub(super) fn rank(&self) -> (Work, Reverse<u64>, BlockHash) {
        (self.total_work, Reverse(self.arrival), self.hash)
    }
}

/// All known headers; a copy shares everything with the original.
#[derive(Clone, Debug)]
pub struct HeaderTree {
    nodes: imbl::HashMap<BlockHash, Arc<HeaderNode>>,
    best: imbl::Vector<Arc<HeaderNode>>,
    side: imbl::OrdSet<(BlockHash, BlockHash)>,
    tips: imbl::OrdSet<(Work, Reverse<u64>, BlockHash)>,
    arrivals: u64,
}

impl HeaderTree {
    /// A tree of genesis alone, whose work counts.
    pub fn new(genesis: Header, work: Work) -> Self {
        let (hash, height) = (genesis.hash(), Height::GENESIS);
        let node = HeaderNode { hash, header: genesis, height, work, total_work: work, arrival: 0 };
        let node = Arc::new(node);
        Self {
            tips: imbl::OrdSet::unit(node.rank()),
            nodes: imbl::HashMap::unit(hash, node.clone()),
            best: imbl::Vector::unit(node),
            side: imbl::OrdSet::new(),
            arrivals: 0,
        }
    }

    /// The header with this hash.
    pub fn get(&self, hash: &BlockHash) -> Option<&Arc<HeaderNode>> {
        self.nodes.get(hash)
    }

    /// The header of the best chain at `height`.
    pub fn at(&self, height: Height) -> Option<&Arc<HeaderNode>> {
        self.best.get(height.index())
    }

    /// The last header of the best chain.
    pub fn tip(&self) -> &Arc<HeaderNode> {
        self.best.last().expect("the best chain holds genesis")
    }

    /// Whether `node` is on the best chain.
    pub fn is_best(&self, node: &HeaderNode) -> bool {
        self.at(node.height).is_some_and(|best| best.hash == node.hash)
    }

    /// The parent of `node`; none for genesis.
    pub fn parent(&self, node: &HeaderNode) -> Option<&Arc<HeaderNode>> {
        if node.height == Height::GENESIS { None } else { self.get(&node.header.previous) }
    }

    /// What the rules of a header need to know of `parent` and the header before it.
    pub fn parent_facts(&self, parent: &HeaderNode) -> ParentFacts {
        ParentFacts {
            height: parent.height,
            time: parent.header.time,
            bits: parent.header.bits,
            grandparent_time: self.parent(parent).map(|node| node.header.time),
        }
    }

    /// Adds a header that has been judged valid, off the best chain for now, whose parent is in
    /// the tree. When there are too many, the weakest tips give way, maybe the new one itself:
    /// their hashes are returned with it.
    pub fn insert(
        &mut self,
        header: Header,
        parent: &HeaderNode,
        work: Work,
    ) -> (Arc<HeaderNode>, Vec<BlockHash>) {
        debug_assert_eq!(header.previous, parent.hash);
        self.arrivals += 1;
        let node = Arc::new(HeaderNode {
            hash: header.hash(),
            header,
            height: parent.height.next(),
            work,
            total_work: parent.total_work + work,
            arrival: self.arrivals,
        });
        self.tips.remove(&parent.rank());
        self.tips.insert(node.rank());
        self.side.insert((parent.hash, node.hash));
        self.nodes.insert(node.hash, node.clone());
        let mut evicted = Vec::new();
        while self.side.len() > SIDE_HEADERS_MAX {
            let spared = (node.total_work >= self.work_back()).then_some(node.hash);
            let weakest = self.weakest_side_tip(spared).unwrap_or_else(|| node.clone());
            self.remove_tip(&weakest);
            evicted.push(weakest.hash);
        }
        (node, evicted)
    }

    /// The work of the best chain less that of its last blocks.
    pub fn work_back(&self) -> Work {
        let back = Height(self.tip().height.0.saturating_sub(SIDE_DEPTH_MAX));
        self.at(back).map_or(Work::ZERO, |node| node.total_work)
    }

    fn weakest_side_tip(&self, spared: Option<BlockHash>) -> Option<Arc<HeaderNode>> {
        let tip = self.tip().hash;
        self.tips
            .iter()
            .map(|(_, _, hash)| hash)
            .find(|hash| **hash != tip && Some(**hash) != spared)
            .and_then(|hash| self.get(hash))
            .cloned()
    }

    fn remove_tip(&mut self, node: &HeaderNode) {
        debug_assert!(!self.is_best(node));
        self.tips.remove(&node.rank());
        self.side.remove(&(node.header.previous, node.hash));
        self.nodes.remove(&node.hash);
        let parent = self.parent(node).expect("genesis is never removed").clone();
        if !self.has_child(&parent) {
            self.tips.insert(parent.rank());
        }
    }

    fn has_child(&self, node: &HeaderNode) -> bool {
        self.side_children(&node.hash).next().is_some()
            || (self.is_best(node) && node.hash != self.tip().hash)
    }

    /// The children of a header that are not on the best chain.
    pub fn side_children(&self, hash: &BlockHash) -> impl Iterator<Item = BlockHash> {
        let (first, last) = (BlockHash::ZERO, BlockHash::from_bytes([0xff; 32]));
        self.side.range((*hash, first)..=(*hash, last)).map(|(_, child)| *child)
    }

    /// Removes a header off the best chain with all that stands on it; returns their hashes.
    pub fn remove_branch(&mut self, node: &HeaderNode) -> Vec<BlockHash> {
        let mut branch = vec![node.hash];
        let mut next = 0;
        while let Some(hash) = branch.get(next).copied() {
            branch.extend(self.side_children(&hash));
            next += 1;
        }
        for hash in branch.iter().rev() {
            if let Some(node) = self.get(hash).cloned() {
                self.remove_tip(&node);
            }
        }
        branch
    }

    /// The headers from the best chain (exclusive) to `node`, and the last header they share with
    /// it; no headers for a node of the best chain.
    pub fn branch_to(&self, node: &Arc<HeaderNode>) -> (Arc<HeaderNode>, Vec<Arc<HeaderNode>>) {
        let mut branch = Vec::new();
        let mut at = node.clone();
        while !self.is_best(&at) {
            let parent = self.parent(&at).expect("genesis is on the best chain").clone();
            branch.push(std::mem::replace(&mut at, parent));
        }
        branch.reverse();
        (at, branch)
    }

    /// The headers from the best chain, or from one that was `seen` before, to `node`, upwards;
    /// they are then seen. Over any number of nodes no header is thus looked at twice.
    pub fn unseen_branch_to(
        &self,
        node: &Arc<HeaderNode>,
        seen: &mut HashSet<BlockHash>,
    ) -> Vec<Arc<HeaderNode>> {
        let mut branch = Vec::new();
        let mut at = node.clone();
        while !self.is_best(&at) && seen.insert(at.hash) {
            let parent = self.parent(&at).expect("genesis is on the best chain").clone();
            branch.push(std::mem::replace(&mut at, parent));
        }
        branch.reverse();
        branch
    }

    /// Whether `node`, which is off the best chain, lies on a branch with at least `least` work.
    /// Looks only at branches that have so much, each header once: cheap branches, of which there
    /// may be many, cost nothing.
    pub fn is_on_branch_of(&self, node: &HeaderNode, least: Work) -> bool {
        let mut seen = HashSet::new();
        let tips = self.tips.iter().rev().take_while(|(work, ..)| *work >= least);
        node.total_work >= least
            || tips
                .filter_map(|(_, _, hash)| self.get(hash))
                .any(|tip| self.stands_on(tip, node, &mut seen))
    }

    fn stands_on(
        &self,
        tip: &Arc<HeaderNode>,
        node: &HeaderNode,
        seen: &mut HashSet<BlockHash>,
    ) -> bool {
        let mut at = tip;
        while at.height > node.height && !self.is_best(at) && seen.insert(at.hash) {
            at = self.parent(at).expect("genesis is on the best chain");
        }
        at.hash == node.hash
    }

    /// Makes `branch` follow `fork` as the best chain; what followed it before becomes a side
    /// branch.
    pub fn switch_to(&mut self, fork: &HeaderNode, branch: &[Arc<HeaderNode>]) {
        debug_assert!(self.is_best(fork));
        let losing = self.best.split_off(fork.height.index() + 1);
        for node in &losing {
            self.side.insert((node.header.previous, node.hash));
        }
        for node in branch {
            debug_assert_eq!(node.header.previous, self.tip().hash);
            self.side.remove(&(node.header.previous, node.hash));
            self.best.push_back(node.clone());
        }
    }

    /// The tips with more work than the best chain, the heaviest first.
    pub fn heavier_tips(&self) -> impl Iterator<Item = &Arc<HeaderNode>> {
        let own = self.tip().total_work;
        let tips = self.tips.iter().rev().take_while(move |(work, ..)| *work > own);
        tips.filter_map(|(_, _, hash)| self.get(hash))
    }

    /// The header with the most work, seen first.
    pub fn heaviest(&self) -> &Arc<HeaderNode> {
        self.heavier_tips().next().unwrap_or_else(|| self.tip())
    }

    /// Hashes of the branch of `node`: itself, nine more, then at doubling distances, and genesis
    /// last, by which another node finds where its chain leaves this one.
    pub fn locator(&self, node: &Arc<HeaderNode>) -> Vec<BlockHash> {
        let (fork, branch) = self.branch_to(node);
        let at = |height: Height| match height.0.checked_sub(fork.height.0 + 1) {
            Some(beyond) => branch.get(beyond as usize).map(|node| node.hash),
            None => self.at(height).map(|node| node.hash),
        };
        let (mut hashes, mut height, mut step) = (Vec::new(), node.height, 1_u32);
        while height > Height::GENESIS {
            hashes.extend(at(height));
            step = if hashes.len() < 10 { 1 } else { step.saturating_mul(2) };
            height = Height(height.0.saturating_sub(step));
        }
        hashes.extend(at(Height::GENESIS));
        hashes
    }

    /// The highest header of the best chain that stands in `locator`.
    pub fn find_fork(&self, locator: &[BlockHash]) -> Option<&Arc<HeaderNode>> {
        let known = locator.iter().take(LOCATOR_MAX).filter_map(|hash| self.get(hash));
        known.filter(|node| self.is_best(node)).max_by_key(|node| node.height)
    }

    /// Headers in the tree, those off the best chain included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never true: genesis is always there.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Headers off the best chain.
    pub fn side_len(&self) -> usize {
        self.side.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::params::ChainParams;
    use crate::primitives::{U256, UnixTime};

    fn tree() -> HeaderTree {
        HeaderTree::new(ChainParams::dev().genesis(), Work::new(U256::from(1)))
    }

    /// Adds `count` headers of one unit of work each on `parent`, told apart by `salt`.
    fn grow(
        tree: &mut HeaderTree,
        parent: &Arc<HeaderNode>,
        count: u32,
        salt: u32,
    ) -> Vec<Arc<HeaderNode>> {
        let mut nodes = Vec::new();
        let mut parent = parent.clone();
        for _ in 0..count {
            let header = Header { previous: parent.hash, nonce: salt, ..parent.header };
            parent = tree.insert(header, &parent.clone(), Work::new(U256::from(1))).0;
            nodes.push(parent.clone());
        }
        nodes
    }

    #[test]
    fn on_equal_work_the_first_seen_is_heaviest() {
        let mut tree = tree();
        let genesis = tree.tip().clone();
        let first = grow(&mut tree, &genesis, 3, 1);
        let second = grow(&mut tree, &genesis, 3, 2);
        assert_eq!(tree.heaviest().hash, first[2].hash);
        let more = grow(&mut tree, &second[2], 1, 2);
        assert_eq!(tree.heaviest().hash, more[0].hash);
    }

    #[test]
    fn switching_and_switching_back_leaves_the_same_chain() {
        let mut tree = tree();
        let genesis = tree.tip().clone();
        let first = grow(&mut tree, &genesis, 5, 1);
        tree.switch_to(&genesis, &first);
        let second = grow(&mut tree, &first[1], 4, 2);
        let (fork, branch) = tree.branch_to(&second[3]);
        assert_eq!((fork.hash, branch.len()), (first[1].hash, 4));
        tree.switch_to(&fork, &branch);
        assert_eq!(tree.tip().height, Height(6));
        assert_eq!(tree.side_len(), 3);
        let (fork, back) = tree.branch_to(&first[4]);
        tree.switch_to(&fork, &back);
        assert_eq!(tree.tip().hash, first[4].hash);
        assert_eq!(tree.side_len(), 4);
        for (height, node) in (1..).zip(&first) {
            assert_eq!(tree.at(Height(height)).unwrap().hash, node.hash);
        }
    }

    #[test]
    fn a_removed_branch_takes_all_that_stands_on_it() {
        let mut tree = tree();
        let genesis = tree.tip().clone();
        let stem = grow(&mut tree, &genesis, 3, 1);
        grow(&mut tree, &stem[1], 2, 2);
        assert_eq!(tree.remove_branch(&stem[1]).len(), 4);
        assert_eq!((tree.len(), tree.side_len()), (2, 1));
        assert_eq!(tree.heaviest().hash, stem[0].hash);
    }

    #[test]
    fn the_weakest_branch_gives_way_when_headers_are_too_many() {
        let mut tree = tree();
        let genesis = tree.tip().clone();
        let weak = grow(&mut tree, &genesis, 10, 1);
        let max = u32::try_from(SIDE_HEADERS_MAX).unwrap();
        let strong = grow(&mut tree, &genesis, max, 2);
        assert_eq!(tree.side_len(), SIDE_HEADERS_MAX);
        assert!(weak.iter().all(|node| tree.get(&node.hash).is_none()));
        assert_eq!(tree.heaviest().hash, strong.last().unwrap().hash);
    }

    #[test]
    fn a_locator_finds_the_fork_at_every_split() {
        for length in [0, 1, 2, 9, 10, 11, 12, 40, 100] {
            for split in 0..=length {
                let mut ours = tree();
                let genesis = ours.tip().clone();
                let common = grow(&mut ours, &genesis, split, 1);
                let mine = common.last().unwrap_or(&genesis).clone();
                let side = grow(&mut ours, &mine, length - split, 2);
                let tip = side.last().unwrap_or(&mine).clone();
                let locator = ours.locator(&tip);
                assert!(locator.len() <= LOCATOR_MAX);
                let mut theirs = tree();
                let common = grow(&mut theirs, &genesis, split, 1);
                theirs.switch_to(&genesis, &common);
                let found = theirs.find_fork(&locator).unwrap().height.0;
                assert!(
                    found <= split && found + 2 * (length - found) >= split,
                    "{length} {split}"
                );
                assert!(length - split >= 10 || found == split, "{length} {split} {found}");
            }
        }
    }

    #[test]
    fn facts_of_genesis_have_no_grandparent() {
        let mut tree = tree();
        let genesis = tree.tip().clone();
        assert_eq!(tree.parent_facts(&genesis).grandparent_time, None);
        let next = grow(&mut tree, &genesis, 1, 1);
        let facts = tree.parent_facts(&next[0]);
        assert_eq!(facts.grandparent_time, Some(UnixTime(genesis.header.time.0)));
    }
}
