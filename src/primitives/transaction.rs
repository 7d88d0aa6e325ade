//! Transactions: transfers signed by their sender, and the coinbase that pays a block's miner.

use super::amount::Amount;
use super::encode::{DecodeError, Reader};
use super::hash::{BlockHash, Txid, sha256d};
use super::keys::{PublicKey, Signature, tagged_hash};
use super::text::{Memo, Tag};
use super::units::Height;

const KIND_COINBASE: u8 = 0;
const KIND_TRANSFER: u8 = 1;

/// Bytes of a transfer with an empty memo.
pub const TRANSFER_SIZE_MIN: usize = 1 + 32 + 32 + 8 + 8 + 8 + 4 + 1 + 64;

/// Bytes of a coinbase with an empty tag.
pub const COINBASE_SIZE_MIN: usize = 1 + 4 + 8 + 32 + 8 + 32 + 1;

// An encoding of 64 bytes could pose as an inner node of the transaction tree (BIP-54).
const _: () = assert!(COINBASE_SIZE_MIN > 64 && TRANSFER_SIZE_MIN > 64);

/// The last height at which a transfer may be mined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Expiry(pub u32);

impl Expiry {
    /// The transfer never expires.
    pub const NEVER: Self = Self(0);

    /// Whether a block at `height` may hold the transfer.
    pub const fn allows(self, height: Height) -> bool {
        self.0 == 0 || height.0 <= self.0
    }
}

/// A payment from one account to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Who pays, and who must have signed.
    pub sender: PublicKey,
    /// Who is paid.
    pub recipient: PublicKey,
    /// What the recipient gets.
    pub amount: Amount,
    /// What the miner gets.
    pub fee: Amount,
    /// How many transfers of the sender are confirmed before this one.
    pub nonce: u64,
    /// Until when it may be mined.
    pub expiry: Expiry,
    /// The sender's words.
    pub memo: Memo,
    /// BIP-340 signature by the sender over [`Transfer::signing_hash`].
    pub signature: Signature,
}

impl Transfer {
    /// What the sender signs: the BIP-340 tagged hash `farthing/transfer` of the chain id and
    /// every field before the signature.
    pub fn signing_hash(&self, chain_id: &BlockHash) -> [u8; 32] {
        tagged_hash("farthing/transfer", &[chain_id.as_bytes(), &self.unsigned_bytes()])
    }

    /// Amount and fee together, or `None` if that overflows.
    pub fn cost(&self) -> Option<Amount> {
        self.amount.checked_add(self.fee)
    }

    /// Length of the canonical encoding in bytes.
    pub fn size(&self) -> usize {
        TRANSFER_SIZE_MIN + self.memo.as_str().len()
    }

    /// The canonical encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.unsigned_bytes();
        out.extend_from_slice(self.signature.as_bytes());
        out
    }

    /// sha256d of the whole encoding.
    pub fn id(&self) -> Txid {
        Txid::from_bytes(sha256d(&[&self.encode()]))
    }

    fn unsigned_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size());
        out.push(KIND_TRANSFER);
        out.extend_from_slice(self.sender.as_bytes());
        out.extend_from_slice(self.recipient.as_bytes());
        out.extend_from_slice(&self.amount.units().to_le_bytes());
        out.extend_from_slice(&self.fee.units().to_le_bytes());
        out.extend_from_slice(&self.nonce.to_le_bytes());
        out.extend_from_slice(&self.expiry.0.to_le_bytes());
        self.memo.encode_to(&mut out);
        out
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        expect_kind(reader, KIND_TRANSFER)?;
        let sender = PublicKey::from_bytes(reader.array()?);
        let recipient = PublicKey::from_bytes(reader.array()?);
        let amount = Amount::from_units(reader.u64()?);
        let fee = Amount::from_units(reader.u64()?);
        let nonce = reader.u64()?;
        let expiry = Expiry(reader.u32()?);
        let memo_len = usize::from(reader.u8()?);
        let memo = Memo::from_bytes(reader.take(memo_len)?)?;
        let signature = Signature::from_bytes(reader.array()?);
        Ok(Self { sender, recipient, amount, fee, nonce, expiry, memo, signature })
    }
}

/// The transaction that pays a block's miner: the subsidy and all fees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coinbase {
    /// The block's height, so that no two coinbases are alike (BIP-34).
    pub height: Height,
    /// Room for the nonce search.
    pub extra_nonce: [u8; 8],
    /// The miner.
    pub recipient: PublicKey,
    /// The subsidy and all fees, exactly.
    pub amount: Amount,
    /// Room for later commitments; nodes write zeros, any value is valid.
    pub extension: [u8; 32],
    /// The miner's words.
    pub tag: Tag,
}

impl Coinbase {
    /// Length of the canonical encoding in bytes.
    pub fn size(&self) -> usize {
        COINBASE_SIZE_MIN + self.tag.as_str().len()
    }

    /// The canonical encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size());
        out.push(KIND_COINBASE);
        out.extend_from_slice(&self.height.0.to_le_bytes());
        out.extend_from_slice(&self.extra_nonce);
        out.extend_from_slice(self.recipient.as_bytes());
        out.extend_from_slice(&self.amount.units().to_le_bytes());
        out.extend_from_slice(&self.extension);
        self.tag.encode_to(&mut out);
        out
    }

    /// sha256d of the whole encoding.
    pub fn id(&self) -> Txid {
        Txid::from_bytes(sha256d(&[&self.encode()]))
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        expect_kind(reader, KIND_COINBASE)?;
        let height = Height(reader.u32()?);
        let extra_nonce = reader.array()?;
        let recipient = PublicKey::from_bytes(reader.array()?);
        let amount = Amount::from_units(reader.u64()?);
        let extension = reader.array()?;
        let tag_len = usize::from(reader.u8()?);
        let tag = Tag::from_bytes(reader.take(tag_len)?)?;
        Ok(Self { height, extra_nonce, recipient, amount, extension, tag })
    }
}

/// Any transaction, as an encoding tells by its first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// Pays the miner.
    Coinbase(Coinbase),
    /// Pays anyone.
    Transfer(Transfer),
}

impl Transaction {
    /// Reads one whole canonical encoding.
    ///
    /// # Errors
    /// Anything but exactly one transaction.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let transaction = if reader.peek() == Some(KIND_COINBASE) {
            Self::Coinbase(Coinbase::read(&mut reader)?)
        } else {
            Self::Transfer(Transfer::read(&mut reader)?)
        };
        reader.finish()?;
        Ok(transaction)
    }

    /// The canonical encoding.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Coinbase(coinbase) => coinbase.encode(),
            Self::Transfer(transfer) => transfer.encode(),
        }
    }
}

fn expect_kind(reader: &mut Reader<'_>, expected: u8) -> Result<(), DecodeError> {
    let got = reader.u8()?;
    if got == expected { Ok(()) } else { Err(DecodeError::Kind { expected, got }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn any_transfer()(
            keys in any::<([u8; 32], [u8; 32])>(),
            numbers in any::<(u64, u64, u64, u32)>(),
            memo in "[a-zé☕]{0,16}",
            signature in any::<[u8; 32]>(),
        ) -> Transfer {
            Transfer {
                sender: PublicKey::from_bytes(keys.0),
                recipient: PublicKey::from_bytes(keys.1),
                amount: Amount::from_units(numbers.0),
                fee: Amount::from_units(numbers.1),
                nonce: numbers.2,
                expiry: Expiry(numbers.3),
                memo: memo.parse().unwrap(),
                signature: Signature::from_bytes([signature, signature].concat().try_into().unwrap()),
            }
        }
    }

    proptest! {
        #[test]
        fn a_transfer_is_read_back(transfer in any_transfer()) {
            let bytes = transfer.encode();
            prop_assert_eq!(bytes.len(), transfer.size());
            prop_assert_eq!(Transaction::decode(&bytes), Ok(Transaction::Transfer(transfer)));
        }

        #[test]
        fn every_prefix_and_every_longer_text_is_refused(transfer in any_transfer()) {
            let mut bytes = transfer.encode();
            for cut in 0..bytes.len() {
                prop_assert!(Transaction::decode(&bytes[..cut]).is_err());
            }
            bytes.push(0);
            prop_assert_eq!(Transaction::decode(&bytes), Err(DecodeError::Trailing(1)));
        }

        #[test]
        fn whatever_decodes_encodes_to_the_same_bytes(
            kind in 0..3_u8,
            mut bytes in prop::collection::vec(any::<u8>(), 86..230),
        ) {
            bytes[0] = kind;
            if let Ok(transaction) = Transaction::decode(&bytes) {
                prop_assert_eq!(transaction.encode(), bytes);
            }
        }
    }

    #[test]
    fn the_fields_of_a_coinbase_lie_where_the_protocol_says() {
        let coinbase = Coinbase {
            height: Height(0x0403_0201),
            extra_nonce: [9; 8],
            recipient: PublicKey::from_bytes([7; 32]),
            amount: Amount::from_units(5),
            extension: [0; 32],
            tag: "hi".parse().unwrap(),
        };
        let mut expected = vec![0, 1, 2, 3, 4];
        expected.extend([9; 8]);
        expected.extend([7; 32]);
        expected.extend([5, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([0; 32]);
        expected.extend([2, b'h', b'i']);
        assert_eq!(coinbase.encode(), expected);
        assert_eq!(expected.len(), coinbase.size());
        assert_eq!(Transaction::decode(&expected), Ok(Transaction::Coinbase(coinbase)));
    }
}
