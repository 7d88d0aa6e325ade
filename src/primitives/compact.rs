//! Compact blocks, after BIP-152: a block whose transfers are named by short ids, for a node that
//! holds most of them already.
//!
//! A short id is the SipHash-2-4 of a transfer's id, cut to its 5 low bytes. The key is the first
//! 16 bytes of SHA-256(header || salt), so that nobody can make two ids that look alike in a block
//! that is still to be mined. Two of 50,000 pending transfers and a full block's look alike once in
//! some 3,000 blocks; that costs a question and no more, because the header commits to the ids.

use super::block::{Block, Header, StateRoots};
use super::hash::{Txid, sha256};
use super::transaction::Coinbase;
use siphasher::sip::SipHasher24;
use std::hash::Hasher as _;

/// Bytes of a short id. BIP-152 has 6; a header with a block's worth of 5 stays below a twentieth
/// of the smallest transfers, in base64 as well.
pub const SHORT_ID_SIZE: usize = 5;

/// What a compact block names a transfer by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShortId([u8; SHORT_ID_SIZE]);

impl ShortId {
    /// Takes the bytes in the order in which they are written.
    pub const fn from_bytes(bytes: [u8; SHORT_ID_SIZE]) -> Self {
        Self(bytes)
    }

    /// The bytes in the order in which they are written.
    pub const fn as_bytes(&self) -> &[u8; SHORT_ID_SIZE] {
        &self.0
    }
}

/// Makes the short ids of one compact block.
#[derive(Clone, Copy, Debug)]
pub struct ShortIdKey(SipHasher24);

impl ShortIdKey {
    /// The key of a block with this header, as a sender with this salt writes it.
    pub fn new(header: &Header, salt: u64) -> Self {
        let digest = sha256(&[&header.encode(), &salt.to_le_bytes()]);
        let key = digest.first_chunk().expect("a digest has 32 bytes");
        Self(SipHasher24::new_with_key(key))
    }

    /// The short id of a transfer.
    pub fn short_id(&self, id: &Txid) -> ShortId {
        let mut hasher = self.0;
        hasher.write(id.as_bytes());
        let hash = hasher.finish().to_le_bytes();
        ShortId(*hash.first_chunk().expect("a hash has 8 bytes"))
    }
}

/// A block without its transfers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactBlock {
    /// The header.
    pub header: Header,
    /// What the header commits to beside the transactions.
    pub roots: StateRoots,
    /// The first transaction, which no pool holds.
    pub coinbase: Coinbase,
    /// Any number that others do not know beforehand; it goes into the key of the short ids.
    pub salt: u64,
    /// The transfers, in order.
    pub short_ids: Vec<ShortId>,
}

impl CompactBlock {
    /// Names the transfers of a block.
    pub fn of(block: &Block, salt: u64) -> Self {
        let key = ShortIdKey::new(&block.header, salt);
        let short_ids = block.transfers.iter().map(|transfer| key.short_id(&transfer.id()));
        Self {
            header: block.header,
            roots: block.roots,
            coinbase: block.coinbase.clone(),
            salt,
            short_ids: short_ids.collect(),
        }
    }

    /// The key that its short ids were made with.
    pub fn key(&self) -> ShortIdKey {
        ShortIdKey::new(&self.header, self.salt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siphash_gives_its_published_values() {
        // SipHash's reference vectors (vectors_sip64 of its C code): key 00 01 .. 0f, message the
        // bytes 00 01 .. of the given length.
        let key: [u8; 16] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let message: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        for (length, hash) in
            [(0, "310e0edd47db6f72"), (15, "e545be4961ca29a1"), (32, "ce7cf2722f512771")]
        {
            let mut hasher = SipHasher24::new_with_key(&key);
            hasher.write(&message[..length]);
            assert_eq!(hex::encode(hasher.finish().to_le_bytes()), hash, "{length} bytes");
        }
        let id = ShortIdKey(SipHasher24::new_with_key(&key)).short_id(&Txid::from_bytes(message));
        assert_eq!(hex::encode(id.as_bytes()), "ce7cf2722f");
    }

    #[test]
    fn header_and_salt_make_the_key() {
        let header = Header::decode(&[7; 80]);
        let other = Header { nonce: 0, ..header };
        let id = Txid::from_bytes([1; 32]);
        let short = |header, salt| ShortIdKey::new(header, salt).short_id(&id);
        assert_eq!(short(&header, 1), short(&header, 1));
        assert_ne!(short(&header, 1), short(&header, 2));
        assert_ne!(short(&header, 1), short(&other, 1));
        let digest = sha256(&[&[7; 80], &[1, 0, 0, 0, 0, 0, 0, 0]]);
        let mut hasher = SipHasher24::new_with_key(&digest[..16].try_into().unwrap());
        hasher.write(&[1; 32]);
        assert_eq!(short(&header, 1).as_bytes(), &hasher.finish().to_le_bytes()[..5]);
    }
}
