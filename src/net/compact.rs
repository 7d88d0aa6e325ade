//! Rebuilding a block from its compact form and the transfers that are here already.
//!
//! Owns the matching of short ids and the check that what came out is what the header commits to.
//! Never asks anyone and blames nobody: two transfers may look alike, and a peer's pool is its own
//! business. Whatever does not fit leads to the whole body being fetched. Never judges the block:
//! its header was judged before, and the rest is once it is whole.
//!
//! Invariants: a block that is [`Rebuilt::Whole`] has the commitment of its header; memory and time
//! grow with the block's transfers and the pool, never with what is asked of them.

use crate::consensus::merkle::{commitment, tx_root};
use crate::primitives::compact::ShortId;
use crate::primitives::{Block, CompactBlock, Transfer, Txid};
use std::collections::HashMap;

/// What came of a compact block.
#[derive(Debug)]
pub enum Rebuilt {
    /// The block: all its transfers were here.
    Whole(Block),
    /// Some are to be asked for.
    Missing(Reconstruction),
}

/// Why a block has to be fetched whole. It is nobody's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRebuilt {
    /// Another number of transfers than was asked for.
    #[error("expected {expected} transfers, got {got}")]
    Count {
        /// How many were asked for.
        expected: usize,
        /// How many came.
        got: usize,
    },
    /// Another transfer than the one asked for.
    #[error("expected the transfer with the short id at index {0}, got another")]
    Other(u32),
    /// The header commits to something else: a pending transfer has looked like one of the block.
    #[error("the header commits to other transactions")]
    Commitment,
}

/// A transfer's place in the block.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all are found: boxes would cost more")]
enum Place {
    /// Nothing here fits it.
    Open,
    /// This fits.
    Found(Txid, Transfer),
    /// More than one fits.
    Ambiguous,
}

/// A block some transfers of which are missing.
#[derive(Debug)]
pub struct Reconstruction {
    compact: CompactBlock,
    places: Vec<Place>,
    missing: Vec<u32>,
}

impl Reconstruction {
    /// Looks for the block's transfers among `pool`. Where two look alike, in the block or in the
    /// pool, neither is taken: they count as missing.
    ///
    /// # Errors
    /// If all were found and the header commits to others.
    pub fn start<'p>(
        compact: CompactBlock,
        pool: impl Iterator<Item = (Txid, &'p Transfer)>,
    ) -> Result<Rebuilt, NotRebuilt> {
        let key = compact.key();
        Self::start_with(compact, pool, |id| key.short_id(id))
    }

    /// As [`Self::start`], with any way to shorten ids.
    fn start_with<'p>(
        compact: CompactBlock,
        pool: impl Iterator<Item = (Txid, &'p Transfer)>,
        short_id: impl Fn(&Txid) -> ShortId,
    ) -> Result<Rebuilt, NotRebuilt> {
        let wanted = places_by_id(&compact.short_ids);
        let mut places = vec![Place::Open; compact.short_ids.len()];
        for (id, transfer) in pool {
            let Some(Some(index)) = wanted.get(&short_id(&id)) else { continue };
            places[*index] = match places[*index] {
                Place::Open => Place::Found(id, transfer.clone()),
                Place::Found(..) | Place::Ambiguous => Place::Ambiguous,
            };
        }
        let is_missing = |place: &Place| !matches!(place, Place::Found(..));
        let missing = (0..).zip(&places).filter(|(_, place)| is_missing(place));
        let missing: Vec<u32> = missing.map(|(index, _)| index).collect();
        let this = Self { compact, places, missing };
        if this.missing.is_empty() {
            this.finish().map(Rebuilt::Whole)
        } else {
            Ok(Rebuilt::Missing(this))
        }
    }

    /// The places of the missing transfers, from 0 and ascending; never none.
    pub fn missing(&self) -> &[u32] {
        &self.missing
    }

    /// The compact block.
    pub const fn compact(&self) -> &CompactBlock {
        &self.compact
    }

    /// Puts the missing transfers in, in the order of [`Self::missing`].
    ///
    /// # Errors
    /// If they are others, more or fewer, or if the header commits to others.
    pub fn fill(self, transfers: Vec<Transfer>) -> Result<Block, NotRebuilt> {
        let key = self.compact.key();
        self.fill_with(transfers, |id| key.short_id(id))
    }

    fn fill_with(
        mut self,
        transfers: Vec<Transfer>,
        short_id: impl Fn(&Txid) -> ShortId,
    ) -> Result<Block, NotRebuilt> {
        let (expected, got) = (self.missing.len(), transfers.len());
        if expected != got {
            return Err(NotRebuilt::Count { expected, got });
        }
        let places = self.places.iter_mut().zip(&self.compact.short_ids).zip(0..);
        let open = places.filter(|((place, _), _)| !matches!(place, Place::Found(..)));
        for (((place, expected), index), transfer) in open.zip(transfers) {
            let id = transfer.id();
            if short_id(&id) != *expected {
                return Err(NotRebuilt::Other(index));
            }
            *place = Place::Found(id, transfer);
        }
        self.finish()
    }

    fn finish(self) -> Result<Block, NotRebuilt> {
        let CompactBlock { header, roots, coinbase, .. } = self.compact;
        let mut ids = vec![coinbase.id()];
        let mut transfers = Vec::with_capacity(self.places.len());
        for place in self.places {
            if let Place::Found(id, transfer) = place {
                ids.push(id);
                transfers.push(transfer);
            }
        }
        if commitment(&tx_root(&ids), &roots) != header.commitment {
            return Err(NotRebuilt::Commitment);
        }
        Ok(Block { header, roots, coinbase, transfers })
    }
}

/// Where each short id stands; `None` for one that stands twice.
fn places_by_id(ids: &[ShortId]) -> HashMap<ShortId, Option<usize>> {
    let mut places = HashMap::with_capacity(ids.len());
    for (index, id) in ids.iter().enumerate() {
        places.entry(*id).and_modify(|place| *place = None).or_insert(Some(index));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::{
        AddressPrefix, Amount, Coinbase, CompactTarget, Expiry, Hash256, Header, Height, PublicKey,
        Signature, StateRoots, UnixTime,
    };
    use crate::wire::{BLOCK_JSON_MAX, block_to_json, compact_to_json};
    use proptest::prelude::*;

    /// A transfer of the smallest size.
    fn transfer(nonce: u64) -> Transfer {
        Transfer {
            sender: PublicKey::from_bytes([1; 32]),
            recipient: PublicKey::from_bytes([2; 32]),
            amount: Amount::from_units(1),
            fee: Amount::ZERO,
            nonce,
            expiry: Expiry::NEVER,
            memo: "".parse().unwrap(),
            signature: Signature::from_bytes([3; 64]),
        }
    }

    fn block(count: u64) -> Block {
        let roots = StateRoots { accounts: Hash256::ZERO, history: Hash256::ZERO };
        let mut block = Block {
            header: Header {
                version: 1,
                previous: crate::primitives::BlockHash::ZERO,
                commitment: Hash256::ZERO,
                time: UnixTime(1),
                bits: CompactTarget(0x2010_0000),
                nonce: 0,
            },
            roots,
            coinbase: Coinbase {
                height: Height(9),
                extra_nonce: [0; 8],
                recipient: PublicKey::from_bytes([4; 32]),
                amount: Amount::from_units(5),
                extension: [0; 32],
                tag: "".parse().unwrap(),
            },
            transfers: (0..count).map(transfer).collect(),
        };
        block.header.commitment = commitment(&tx_root(&block.txids()), &roots);
        block
    }

    fn pool(transfers: &[Transfer]) -> impl Iterator<Item = (Txid, &Transfer)> {
        transfers.iter().map(|transfer| (transfer.id(), transfer))
    }

    fn start(compact: CompactBlock, known: &[Transfer]) -> Result<Rebuilt, NotRebuilt> {
        Reconstruction::start(compact, pool(known))
    }

    fn missing(compact: CompactBlock, known: &[Transfer]) -> Reconstruction {
        match start(compact, known) {
            Ok(Rebuilt::Missing(open)) => open,
            other => panic!("{other:?}"),
        }
    }

    fn at(block: &Block, indexes: &[u32]) -> Vec<Transfer> {
        indexes.iter().map(|index| block.transfers[*index as usize].clone()).collect()
    }

    #[test]
    fn every_split_of_known_and_unknown_comes_out_whole() {
        let block = block(6);
        for split in 0..1_u64 << 6 {
            let is_known = |transfer: &Transfer| split >> transfer.nonce & 1 == 1;
            let known = block.transfers.iter().filter(|transfer| is_known(transfer)).cloned();
            // Strangers in the pool change nothing.
            let known: Vec<_> = known.chain((100..120).map(transfer)).rev().collect();
            let rebuilt = match start(CompactBlock::of(&block, split), &known).unwrap() {
                Rebuilt::Whole(rebuilt) => {
                    assert_eq!(split, (1 << 6) - 1);
                    rebuilt
                }
                Rebuilt::Missing(open) => {
                    let unknown = block.transfers.iter().filter(|transfer| !is_known(transfer));
                    let indexes: Vec<_> =
                        unknown.map(|transfer| u32::try_from(transfer.nonce).unwrap()).collect();
                    assert_eq!(open.missing(), indexes, "{split:b}");
                    assert_eq!(open.compact().coinbase, block.coinbase);
                    let transfers = at(&block, open.missing());
                    open.fill(transfers).unwrap()
                }
            };
            assert_eq!(rebuilt, block, "{split:b}");
        }
    }

    #[test]
    fn what_does_not_fit_leads_to_the_whole_body() {
        let block = block(4);
        let compact = || CompactBlock::of(&block, 1);
        let fill = |transfers| missing(compact(), &block.transfers[2..]).fill(transfers);
        let [first, second, third, _] = &block.transfers[..] else { panic!("four") };
        let own = |transfers: &[&Transfer]| transfers.iter().copied().cloned().collect::<Vec<_>>();
        for (transfers, expected) in [
            (vec![], NotRebuilt::Count { expected: 2, got: 0 }),
            (own(&[first]), NotRebuilt::Count { expected: 2, got: 1 }),
            (own(&[first, second, third]), NotRebuilt::Count { expected: 2, got: 3 }),
            (own(&[second, first]), NotRebuilt::Other(0)),
            (own(&[first, third]), NotRebuilt::Other(1)),
        ] {
            assert_eq!(fill(transfers), Err(expected));
        }
        // A list that names other transfers than the header commits to.
        let mut swapped = compact();
        swapped.short_ids.swap(0, 1);
        assert_eq!(start(swapped, &block.transfers).unwrap_err(), NotRebuilt::Commitment);
        let mut shorter = compact();
        shorter.short_ids.pop();
        assert_eq!(start(shorter, &block.transfers).unwrap_err(), NotRebuilt::Commitment);
        let mut other = compact();
        other.coinbase.extra_nonce = [1; 8];
        assert_eq!(start(other, &block.transfers).unwrap_err(), NotRebuilt::Commitment);
        let mut salted = compact();
        salted.salt = 2;
        assert_eq!(missing(salted, &block.transfers).missing(), [0, 1, 2, 3]);
    }

    /// Ids that all look alike when their nonces leave the same rest.
    fn by_rest(transfers: &[Transfer], rest: u64) -> impl Fn(&Txid) -> ShortId {
        let ids: HashMap<Txid, u64> =
            transfers.iter().map(|transfer| (transfer.id(), transfer.nonce % rest)).collect();
        move |id| {
            let [.., a, b, c, d, e] = ids[id].to_be_bytes();
            ShortId::from_bytes([a, b, c, d, e])
        }
    }

    /// The block rebuilt where short ids are nonces modulo `rest`.
    fn rebuilt_by_rest(
        block: &Block,
        known: &[Transfer],
        rest: u64,
    ) -> (Vec<u32>, Result<Block, NotRebuilt>) {
        let all: Vec<_> = block.transfers.iter().chain(known).cloned().collect();
        let short_id = by_rest(&all, rest);
        let short_ids = block.transfers.iter().map(|transfer| short_id(&transfer.id())).collect();
        let compact = CompactBlock { short_ids, ..CompactBlock::of(block, 0) };
        match Reconstruction::start_with(compact, pool(known), &short_id) {
            Ok(Rebuilt::Whole(whole)) => (vec![], Ok(whole)),
            Ok(Rebuilt::Missing(open)) => {
                let missing = open.missing().to_vec();
                let transfers = at(block, &missing);
                (missing, open.fill_with(transfers, &short_id))
            }
            Err(error) => (vec![], Err(error)),
        }
    }

    #[test]
    fn transfers_that_look_alike_are_asked_for() {
        let block = block(4);
        let mut known = block.transfers.clone();
        // 0 and 3 look alike in the block: both are asked for although both are here.
        assert_eq!(rebuilt_by_rest(&block, &known, 3), (vec![0, 3], Ok(block.clone())));
        // A stranger looks like 1, and is here beside it.
        known.push(transfer(11));
        assert_eq!(rebuilt_by_rest(&block, &known, 10), (vec![1], Ok(block.clone())));
        // Three alike are no clearer than two.
        known.push(transfer(21));
        assert_eq!(rebuilt_by_rest(&block, &known, 10), (vec![1], Ok(block.clone())));
        // A stranger looks like 1, which is not here: only the commitment tells.
        known.retain(|transfer| ![1, 21].contains(&transfer.nonce));
        assert_eq!(rebuilt_by_rest(&block, &known, 10), (vec![], Err(NotRebuilt::Commitment)));
        // The same while something else is missing as well.
        known.retain(|transfer| transfer.nonce != 2);
        assert_eq!(rebuilt_by_rest(&block, &known, 10), (vec![2], Err(NotRebuilt::Commitment)));
    }

    proptest! {
        #[test]
        fn no_list_of_short_ids_gives_another_block(
            ids in prop::collection::vec(0..8_usize, 0..10),
            known in 0..6_usize,
        ) {
            let block = block(5);
            let mut compact = CompactBlock::of(&block, 1);
            let true_ids = compact.short_ids.clone();
            let id = |id: &usize| true_ids.get(*id).copied().unwrap_or(ShortId::from_bytes([9; 5]));
            compact.short_ids = ids.iter().map(id).collect();
            let rebuilt = match start(compact, &block.transfers[..known.min(5)]) {
                Ok(Rebuilt::Whole(whole)) => Ok(whole),
                Ok(Rebuilt::Missing(open)) => {
                    let transfers = open.missing().iter().map(|i| transfer(ids[*i as usize] as u64));
                    let transfers = transfers.collect();
                    open.fill(transfers)
                }
                Err(error) => Err(error),
            };
            prop_assert!(rebuilt.is_err() || rebuilt == Ok(block));
        }
    }

    #[test]
    fn a_full_block_costs_less_than_a_twentieth() {
        let prefix = AddressPrefix::Dev;
        // The largest block at the last spacing and at the first, of the smallest transfers.
        for largest in [1_000_000, 166_666] {
            let count = (largest - block(0).size()) / transfer(0).size();
            let block = block(count as u64);
            assert!(block.size() <= largest);
            let text = compact_to_json(&CompactBlock::of(&block, u64::MAX), prefix);
            let (bytes, size) = (text.len(), block.size());
            assert!(bytes * 20 < size, "{bytes} bytes for {size}");
            assert!(block_to_json(&block, prefix).len() <= BLOCK_JSON_MAX);
            let Ok(Rebuilt::Whole(rebuilt)) = start(CompactBlock::of(&block, 7), &block.transfers)
            else {
                panic!("not whole")
            };
            assert_eq!(rebuilt, block);
        }
    }
}
