//! An owner without a thread: whoever waits for a reply runs the turn that gives it.
//!
//! For simulations, in which everything happens in one thread in an order that a seed decides. The
//! turn is the owner's own; only who runs it differs.

use super::handle::NodeHandle;
use super::owner::Owner;
use crate::storage::StoreError;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// An owner whose turns are run by those who ask.
pub struct Inline {
    /// Gone once it has ended.
    owner: Mutex<Option<Owner>>,
    failure: OnceLock<Arc<StoreError>>,
}

impl Inline {
    /// Lets `owner` work whenever somebody waits at the handle that is given back.
    pub fn new(owner: Owner, handle: NodeHandle) -> (Arc<Self>, NodeHandle) {
        let inline = Self { owner: Mutex::new(Some(owner)), failure: OnceLock::new() };
        let inline = Arc::new(inline);
        let handle = NodeHandle { inline: Some(inline.clone()), ..handle };
        (inline, handle)
    }

    /// Runs one turn with what waits, also with nothing, as the owner's thread does now and then.
    /// False once the owner has ended.
    pub fn turn(&self) -> bool {
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        match owner.as_mut().map(|owner| owner.turn(None)) {
            Some(Ok(())) => true,
            Some(Err(failure)) => {
                let _ = self.failure.set(failure);
                *owner = None;
                false
            }
            None => false,
        }
    }

    /// Ends the owner, as the end of its process would.
    pub fn end(&self) {
        *self.owner.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The failed flush that has ended the owner, if one has.
    pub fn failure(&self) -> Option<&Arc<StoreError>> {
        self.failure.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::accept::{Accepted, Now};
    use crate::node::{Machine, NodeError, Opening, Origin, open_on};
    use crate::testkit::{TestChain, TestKey};

    fn open(home: &std::path::Path, world: &TestChain) -> (Arc<Inline>, NodeHandle) {
        let now: Now = world.now;
        let opening = Opening {
            data_dir: home.to_path_buf(),
            port: 5000,
            params: crate::consensus::params::ChainParams::dev(),
            pool_bytes_max: crate::chain::pool::POOL_BYTES_DEFAULT,
            clock: Box::new(move || now),
            listeners: 0,
        };
        let opened = open_on(opening, Machine::here().unwrap()).unwrap();
        Inline::new(opened.owner, opened.handle)
    }

    #[test]
    fn whoever_asks_runs_the_turn_and_finds_it_on_disk() {
        let home = tempfile::tempdir().unwrap();
        let mut world = TestChain::dev();
        let blocks = world.mine_empty(3);
        let (inline, handle) = open(home.path(), &world);
        let all = blocks.iter().map(|block| (block.clone(), Origin::Anyone)).collect();
        for outcome in handle.submit_all_checked(all) {
            assert!(matches!(outcome, Ok(Accepted::Best(_))), "{outcome:?}");
        }
        let transfer =
            TestKey::dev(1).pay(TestKey::new(1).public, (5, 1), 0, &world.chain.chain_id());
        handle.submit_transfer(transfer.clone(), Origin::Anyone).unwrap();
        inline.end();
        assert!(!inline.turn());
        let late = handle.submit_block(world.mine(vec![]).block().clone(), Origin::Anyone);
        assert!(matches!(late, Err(NodeError::Stopping)), "{late:?}");

        let (_, handle) = open(home.path(), &world);
        let view = handle.view();
        assert_eq!(view.chain.height().0, 3);
        assert!(view.chain.pool().get(&transfer.id()).is_some());
    }
}
