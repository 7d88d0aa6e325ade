//! Which transfers have been verified, so that none is twice: one comes again in a block when the pool
//! no longer has it, because a block of another branch has mined it or another has taken its place.
//!
//! A transfer's id is the hash of all its bytes, its signature among them, so one id is never that of a
//! good and of a bad transfer. What failed is not remembered: it may be sent to no end.

use super::check::{CheckedBlock, CheckedTransfer, TransferError, check_transfer};
use crate::primitives::{BlockHash, Transfer, Txid};
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Ids of one generation; at twice that many the older half is forgotten. About those of ten of the
/// largest blocks, in less than 10 MiB.
const GENERATION_MAX: usize = 1 << 15;

/// A bounded memory of transfers that were verified, each on its chain. All threads of a node share one.
#[derive(Default)]
pub struct Verified(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashSet<(BlockHash, Txid)>,
    old: HashSet<(BlockHash, Txid)>,
}

impl Verified {
    /// As [`check_transfer`], but verifies no signature again.
    ///
    /// # Errors
    /// As [`check_transfer`].
    pub fn check_transfer(
        &self,
        transfer: Transfer,
        chain_id: &BlockHash,
    ) -> Result<CheckedTransfer, TransferError> {
        let id = transfer.id();
        if self.contains(chain_id, &id) {
            return CheckedTransfer::verified_before(transfer, id);
        }
        let checked = check_transfer(transfer, chain_id)?;
        self.generations().insert((*chain_id, id));
        Ok(checked)
    }

    /// Whether a transfer with this id has been verified on this chain, and that is not forgotten.
    pub fn contains(&self, chain_id: &BlockHash, id: &Txid) -> bool {
        let (generations, key) = (self.generations(), (*chain_id, *id));
        generations.young.contains(&key) || generations.old.contains(&key)
    }

    /// Remembers the transfers of a block whose signatures were verified on this chain.
    pub fn remember(&self, chain_id: &BlockHash, block: &CheckedBlock) {
        let mut generations = self.generations();
        block.txids().iter().skip(1).for_each(|id| generations.insert((*chain_id, *id)));
    }

    fn generations(&self) -> MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn insert(&mut self, key: (BlockHash, Txid)) {
        if self.young.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::{Amount, PublicKey, Signature};
    use crate::testkit::{TestChain, TestKey, unsigned};

    fn pay(id: &BlockHash) -> Transfer {
        TestKey::dev(1).pay(PublicKey::from_bytes([9; 32]), (5, 1), 0, id)
    }

    #[test]
    fn what_was_verified_is_not_verified_again_on_its_chain() {
        let (verified, chain, other) =
            (Verified::default(), BlockHash::from_bytes([1; 32]), BlockHash::from_bytes([2; 32]));
        // Only the memory takes this for good.
        let forged = Transfer { amount: Amount::from_units(6), ..pay(&chain) };
        let bad = Err(TransferError::BadSignature);
        assert_eq!(verified.check_transfer(forged.clone(), &chain), bad);
        assert_eq!(verified.check_transfer(forged.clone(), &chain), bad, "failures are not kept");
        verified.generations().insert((chain, forged.id()));
        assert!(verified.check_transfer(forged.clone(), &chain).is_ok());
        assert_eq!(verified.check_transfer(forged, &other), bad);

        let good = verified.check_transfer(pay(&chain), &chain).unwrap();
        assert!(verified.contains(&chain, &good.id()) && !verified.contains(&other, &good.id()));
    }

    #[test]
    fn another_signature_is_another_transfer() {
        let (verified, chain) = (Verified::default(), BlockHash::from_bytes([1; 32]));
        let good = verified.check_transfer(pay(&chain), &chain).unwrap();
        for bit in 0..512 {
            let mut bytes = *good.transfer().signature.as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let signature = Signature::from_bytes(bytes);
            let wrong = Transfer { signature, ..good.transfer().clone() };
            let got = verified.check_transfer(wrong, &chain);
            assert_eq!(got, Err(TransferError::BadSignature), "bit {bit}");
        }
    }

    #[test]
    fn transfers_of_a_block_are_remembered_and_its_coinbase_is_not() {
        let (mut test, verified) = (TestChain::dev(), Verified::default());
        let chain = test.chain.chain_id();
        let block = test.mine(vec![pay(&chain)]);
        verified.remember(&chain, &block);
        let known: Vec<_> = block.txids().iter().map(|id| verified.contains(&chain, id)).collect();
        assert_eq!(known, [false, true]);
    }

    #[test]
    fn the_oldest_are_forgotten_in_time_and_never_the_latest() {
        let (verified, chain) = (Verified::default(), BlockHash::from_bytes([1; 32]));
        let of = |nonce| {
            let (key, to) = (PublicKey::from_bytes([7; 32]), PublicKey::from_bytes([9; 32]));
            unsigned(key, to, (1, 0), nonce as u64).id()
        };
        for nonce in 0..3 * GENERATION_MAX {
            verified.generations().insert((chain, of(nonce)));
            let latest = nonce.saturating_sub(GENERATION_MAX - 1);
            assert!(verified.contains(&chain, &of(latest)), "{latest} of {nonce}");
        }
        assert!(!verified.contains(&chain, &of(0)));
        let kept = verified.generations();
        let kept = kept.young.len() + kept.old.len();
        assert!(kept <= 2 * GENERATION_MAX, "{kept}");
    }
}
