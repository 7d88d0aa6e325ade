//! Bodies off the best chain: which are kept, and which are ready to be connected.

use super::headers::HeaderNode;
use super::{Chain, SideBody};
use crate::primitives::{BlockHash, BodyRef, U256, Work};
use std::sync::Arc;

/// Bytes of bodies off the best chain that are kept at most. When they are more, only blocks that
/// make a heavier chain are kept; the others keep their header.
pub const SIDE_BYTES_MAX: usize = 256 << 20;

/// A side block is kept only if its header branch has at least the tip's work less that of this
/// many blocks: or cheap blocks would fill the disk.
pub const SIDE_DEPTH_MAX: u32 = 100;

impl Chain {
    pub(super) fn is_worth_keeping(&self, node: &HeaderNode) -> bool {
        let back = self.headers.work_back();
        let more_than_the_tip = self.tip().total_work + Work::new(U256::from(1));
        let room = self.side_bytes < SIDE_BYTES_MAX;
        self.headers.is_on_branch_of(node, if room { back } else { more_than_the_tip })
    }

    pub(super) fn keep_side(&mut self, node: &Arc<HeaderNode>, body: BodyRef, size: usize) {
        let ready = self.is_ready(&node.header.previous);
        self.side_bodies.insert(node.hash, SideBody { body, size, ready });
        self.side_bytes += size;
        if ready {
            self.mark_ready_above(node);
        }
    }

    pub(super) fn is_ready(&self, hash: &BlockHash) -> bool {
        self.headers.get(hash).is_some_and(|node| self.headers.is_best(node))
            || self.side_bodies.get(hash).is_some_and(|side| side.ready)
    }

    /// Marks the kept bodies above a ready block as ready; returns the heaviest, seen first.
    pub(super) fn mark_ready_above(&mut self, node: &Arc<HeaderNode>) -> Option<Arc<HeaderNode>> {
        let (mut heaviest, mut open) = (None::<Arc<HeaderNode>>, vec![node.hash]);
        while let Some(hash) = open.pop() {
            for child in self.headers.side_children(&hash).collect::<Vec<_>>() {
                let Some(side) = self.side_bodies.get_mut(&child) else { continue };
                side.ready = true;
                open.push(child);
                let Some(child) = self.headers.get(&child) else { continue };
                if heaviest.as_ref().is_none_or(|most| child.rank() > most.rank()) {
                    heaviest = Some(child.clone());
                }
            }
        }
        heaviest
    }

    /// The heaviest ready block at or above `node` with more work than the tip.
    pub(super) fn heaviest_ready(&mut self, node: &Arc<HeaderNode>) -> Option<Arc<HeaderNode>> {
        if !self.is_ready(&node.hash) {
            return None;
        }
        let tip = self.mark_ready_above(node).unwrap_or_else(|| node.clone());
        (tip.total_work > self.tip().total_work).then_some(tip)
    }

    pub(super) fn heaviest_ready_above(
        &mut self,
        node: &Arc<HeaderNode>,
    ) -> Option<Arc<HeaderNode>> {
        self.mark_ready_above(node).filter(|tip| tip.total_work > self.tip().total_work)
    }

    pub(super) fn heaviest_ready_of_all(&self) -> Option<Arc<HeaderNode>> {
        let own = self.tip().total_work;
        let ready = self.side_bodies.iter().filter(|(_, side)| side.ready);
        ready
            .filter_map(|(hash, _)| self.headers.get(hash))
            .filter(|node| node.total_work > own)
            .max_by_key(|node| node.rank())
            .cloned()
    }

    /// Remembers a block as invalid and forgets it with all that stands on it.
    pub(super) fn forget_invalid(&mut self, node: &HeaderNode) {
        debug_assert!(!self.headers.is_best(node));
        // The block itself last, so that those upon it, however many, do not crowd it out.
        for hash in self.headers.remove_branch(node).into_iter().rev() {
            self.invalid.insert(hash);
            self.forget_side_body(&hash);
        }
    }

    pub(super) fn forget_side_body(&mut self, hash: &BlockHash) {
        if let Some(side) = self.side_bodies.remove(hash) {
            self.side_bytes -= side.size;
        }
    }
}
