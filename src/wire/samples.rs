//! Values and texts that the tests of this layer share.

use crate::primitives::amount::SUPPLY_MAX;
use crate::primitives::{
    AddressPrefix, Amount, Block, BlockHash, Coinbase, CompactTarget, Expiry, Hash256, Header,
    Height, PublicKey, Signature, StateRoots, Transfer, UnixTime,
};
use proptest::prelude::*;

pub(super) const PREFIX: AddressPrefix = AddressPrefix::Dev;

/// A memo or tag of at most `max` characters of up to three bytes, with everything that JSON escapes.
fn words(max: usize) -> BoxedStrategy<String> {
    proptest::string::string_regex(&format!("([ -~]|é|☕|\u{2028}|\u{feff}){{0,{max}}}"))
        .unwrap()
        .boxed()
}

fn amount() -> impl Strategy<Value = Amount> {
    (0..=SUPPLY_MAX.units()).prop_map(Amount::from_units)
}

prop_compose! {
    pub(super) fn any_transfer()(
        keys in any::<([u8; 32], [u8; 32])>(),
        (amount, fee) in (amount(), amount()),
        (nonce, expiry) in any::<(u64, u32)>(),
        memo in words(21),
        signature in any::<([u8; 32], [u8; 32])>(),
    ) -> Transfer {
        let signature = [signature.0, signature.1].concat().try_into().unwrap();
        Transfer {
            sender: PublicKey::from_bytes(keys.0),
            recipient: PublicKey::from_bytes(keys.1),
            amount,
            fee,
            nonce,
            expiry: Expiry(expiry),
            memo: memo.parse().unwrap(),
            signature: Signature::from_bytes(signature),
        }
    }
}

prop_compose! {
    pub(super) fn any_header()(
        (version, time, bits, nonce) in any::<(u32, u32, u32, u32)>(),
        (previous, commitment) in any::<([u8; 32], [u8; 32])>(),
    ) -> Header {
        Header {
            version,
            previous: BlockHash::from_bytes(previous),
            commitment: Hash256::from_bytes(commitment),
            time: UnixTime(time),
            bits: CompactTarget(bits),
            nonce,
        }
    }
}

prop_compose! {
    pub(super) fn any_roots()(roots in any::<([u8; 32], [u8; 32])>()) -> StateRoots {
        StateRoots { accounts: Hash256::from_bytes(roots.0), history: Hash256::from_bytes(roots.1) }
    }
}

prop_compose! {
    pub(super) fn any_coinbase()(
        (height, extra_nonce, extension) in any::<(u32, [u8; 8], [u8; 32])>(),
        recipient in any::<[u8; 32]>(),
        amount in amount(),
        tag in words(10),
    ) -> Coinbase {
        Coinbase {
            height: Height(height),
            extra_nonce,
            recipient: PublicKey::from_bytes(recipient),
            amount,
            extension,
            tag: tag.parse().unwrap(),
        }
    }
}

prop_compose! {
    pub(super) fn any_block()(
        header in any_header(),
        roots in any_roots(),
        coinbase in any_coinbase(),
        transfers in prop::collection::vec(any_transfer(), 0..4),
    ) -> Block {
        Block { header, roots, coinbase, transfers }
    }
}

/// A transfer that is always the same.
pub(super) fn transfer() -> Transfer {
    Transfer {
        sender: PublicKey::from_bytes([1; 32]),
        recipient: PublicKey::from_bytes([2; 32]),
        amount: Amount::from_units(1_250_000_000),
        fee: Amount::from_units(1),
        nonce: 7,
        expiry: Expiry(9),
        memo: "say \"hi\" \\ é".parse().unwrap(),
        signature: Signature::from_bytes([3; 64]),
    }
}

/// A block that is always the same, with `transfers` transfers.
pub(super) fn block(transfers: usize) -> Block {
    Block {
        header: Header {
            version: 0x2000_0000,
            previous: BlockHash::from_bytes([4; 32]),
            commitment: Hash256::from_bytes([5; 32]),
            time: UnixTime(1_800_000_000),
            bits: CompactTarget(0x1d00_ffff),
            nonce: 42,
        },
        roots: StateRoots {
            accounts: Hash256::from_bytes([6; 32]),
            history: Hash256::from_bytes([7; 32]),
        },
        coinbase: Coinbase {
            height: Height(3),
            extra_nonce: [8; 8],
            recipient: PublicKey::from_bytes([9; 32]),
            amount: Amount::from_coins(10).unwrap(),
            extension: [0; 32],
            tag: "mined".parse().unwrap(),
        },
        transfers: vec![transfer(); transfers],
    }
}
