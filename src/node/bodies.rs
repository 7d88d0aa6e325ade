//! The chain's bodies in the block store: the shape of a block is JSON, one line each.

use crate::chain::{Bodies, BodiesError};
use crate::consensus::check::CheckedBlock;
use crate::primitives::{AddressPrefix, Block, BodyRef};
use crate::storage::{BlockReader, BlockStore};
use crate::wire::{block_from_json, block_to_json};

/// Keeps bodies by staging them in the store's current batch.
pub(super) struct StoreBodies<'a> {
    pub(super) store: &'a mut dyn BlockStore,
    pub(super) prefix: AddressPrefix,
}

impl Bodies for StoreBodies<'_> {
    fn keep(&mut self, block: &CheckedBlock) -> Result<BodyRef, BodiesError> {
        Ok(self.store.stage(&block_to_json(block.block(), self.prefix)))
    }

    fn read(&self, body: BodyRef) -> Result<Block, BodiesError> {
        let json = self.store.read(body).map_err(|error| BodiesError(error.to_string()))?;
        parse_body(&json, self.prefix)
    }
}

/// Bodies that are in a file already: keeps the one that is being replayed where it lies.
pub(super) struct StoredBodies<'a> {
    pub(super) reader: &'a dyn BlockReader,
    pub(super) prefix: AddressPrefix,
    pub(super) current: BodyRef,
}

impl Bodies for StoredBodies<'_> {
    fn keep(&mut self, _: &CheckedBlock) -> Result<BodyRef, BodiesError> {
        Ok(self.current)
    }

    fn read(&self, body: BodyRef) -> Result<Block, BodiesError> {
        let json = self.reader.read(body).map_err(|error| BodiesError(error.to_string()))?;
        parse_body(&json, self.prefix)
    }
}

/// The block of a kept text.
pub(super) fn parse_body(json: &str, prefix: AddressPrefix) -> Result<Block, BodiesError> {
    block_from_json(json, prefix).map_err(|error| BodiesError(error.to_string()))
}
