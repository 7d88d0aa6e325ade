//! Headers and blocks.

use super::encode::{DecodeError, Reader};
use super::hash::{BlockHash, Hash256, Txid, sha256d};
use super::pow::CompactTarget;
use super::transaction::{Coinbase, Transfer};
use super::units::UnixTime;

/// Bytes of an encoded header.
pub const HEADER_SIZE: usize = 80;

/// Bitcoin's 80-byte block header, with a commitment in the place of its Merkle root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Any value is valid; miners may roll bits 13-28 (BIP-320).
    pub version: u32,
    /// The parent's hash; in a genesis header, the hash of the chain's parameters.
    pub previous: BlockHash,
    /// sha256d(tx_root || sha256d(account_root || history_root)).
    pub commitment: Hash256,
    /// When the miner says the block was made.
    pub time: UnixTime,
    /// The retarget value (before relief), in compact form.
    pub bits: CompactTarget,
    /// What the miner searched for.
    pub nonce: u32,
}

impl Header {
    /// The canonical encoding.
    pub fn encode(&self) -> [u8; HEADER_SIZE] {
        let mut out = [0; HEADER_SIZE];
        out[0..4].copy_from_slice(&self.version.to_le_bytes());
        out[4..36].copy_from_slice(self.previous.as_bytes());
        out[36..68].copy_from_slice(self.commitment.as_bytes());
        out[68..72].copy_from_slice(&self.time.0.to_le_bytes());
        out[72..76].copy_from_slice(&self.bits.0.to_le_bytes());
        out[76..80].copy_from_slice(&self.nonce.to_le_bytes());
        out
    }

    /// Reads the canonical encoding; every 80 bytes are a header.
    pub fn decode(bytes: &[u8; HEADER_SIZE]) -> Self {
        Self::read(&mut Reader::new(bytes)).expect("a header is 80 bytes of fixed fields")
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            version: reader.u32()?,
            previous: BlockHash::from_bytes(reader.array()?),
            commitment: Hash256::from_bytes(reader.array()?),
            time: UnixTime(reader.u32()?),
            bits: CompactTarget(reader.u32()?),
            nonce: reader.u32()?,
        })
    }

    /// sha256d of the encoding: the block's name and its proof of work.
    pub fn hash(&self) -> BlockHash {
        BlockHash::from_bytes(sha256d(&[&self.encode()]))
    }
}

/// The roots that a header commits to beside its transactions: of the accounts after the parent
/// block, and of the history up to it. They travel with a block, so that anyone can match a body
/// to its header without the parent's state; they do not count as part of its encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateRoots {
    /// Root of the account tree after the parent block.
    pub accounts: Hash256,
    /// Root of the history range over all earlier blocks.
    pub history: Hash256,
}

/// A block of any height but genesis, which has no transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// What the header commits to beside the transactions.
    pub roots: StateRoots,
    /// The first transaction.
    pub coinbase: Coinbase,
    /// All others, in order.
    pub transfers: Vec<Transfer>,
}

impl Block {
    /// The canonical encoding: header, number of transactions, transactions.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size());
        out.extend_from_slice(&self.header.encode());
        let count = u32::try_from(self.transfers.len() + 1).expect("memory holds fewer than 2^32");
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(&self.coinbase.encode());
        for transfer in &self.transfers {
            out.extend_from_slice(&transfer.encode());
        }
        out
    }

    /// Reads a canonical encoding; `roots` come from elsewhere.
    ///
    /// # Errors
    /// Anything but exactly one block.
    pub fn decode(bytes: &[u8], roots: StateRoots) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let header = Header::read(&mut reader)?;
        let count = reader.u32()?.checked_sub(1).ok_or(DecodeError::NoCoinbase)?;
        let coinbase = Coinbase::read(&mut reader)?;
        let transfers =
            (0..count).map(|_| Transfer::read(&mut reader)).collect::<Result<Vec<_>, _>>()?;
        reader.finish()?;
        Ok(Self { header, roots, coinbase, transfers })
    }

    /// Length of the canonical encoding in bytes.
    pub fn size(&self) -> usize {
        let transfers: usize = self.transfers.iter().map(Transfer::size).sum();
        HEADER_SIZE + 4 + self.coinbase.size() + transfers
    }

    /// The header's hash.
    pub fn hash(&self) -> BlockHash {
        self.header.hash()
    }

    /// The ids of all transactions, the coinbase first.
    pub fn txids(&self) -> Vec<Txid> {
        std::iter::once(self.coinbase.id()).chain(self.transfers.iter().map(Transfer::id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_bitcoins_genesis_has_its_published_hash() {
        // Bitcoin's block 0: chainparams.cpp, CreateGenesisBlock(1231006505, 2083236893, ...).
        let mut root: [u8; 32] =
            hex::decode("4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b")
                .unwrap()
                .try_into()
                .unwrap();
        root.reverse();
        let header = Header {
            version: 1,
            previous: BlockHash::ZERO,
            commitment: Hash256::from_bytes(root),
            time: UnixTime(1_231_006_505),
            bits: CompactTarget(0x1d00_ffff),
            nonce: 2_083_236_893,
        };
        let hash = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";
        assert_eq!(header.hash().to_string(), hash);
        assert_eq!(Header::decode(&header.encode()), header);
        assert!(header.bits.to_target().unwrap().is_met_by(&header.hash()));
    }
}
