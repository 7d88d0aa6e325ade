//! The published vectors of BIP-340 (signatures) and BIP-350 (bech32m), read as whole files where
//! they are present; a few of their numbers stand in the tests of [`super::keys`] and of the wallet.

use super::keys::{AddressPrefix, PublicKey, Signature};
use crate::test_vectors;
use bech32::Bech32m;
use bech32::primitives::decode::CheckedHrpstring;
use secp256k1::{Keypair, schnorr};
use serde_json::Value;

/// One row of `test-vectors.csv` of BIP-340.
struct Row<'a> {
    index: &'a str,
    secret: Vec<u8>,
    public: Vec<u8>,
    aux: Vec<u8>,
    message: Vec<u8>,
    signature: Vec<u8>,
    holds: bool,
}

impl<'a> Row<'a> {
    fn parse(line: &'a str) -> Self {
        let fields: Vec<&str> = line.split(',').collect();
        let bytes = |at: usize| hex::decode(fields[at]).expect("hex digits");
        Self {
            index: fields[0],
            secret: bytes(1),
            public: bytes(2),
            aux: bytes(3),
            message: bytes(4),
            signature: bytes(5),
            holds: fields[6] == "TRUE",
        }
    }
}

#[test]
fn every_signature_vector_of_bip_340_is_judged_as_published() {
    let Some(text) = test_vectors::read("bip340/test-vectors.csv") else { return };
    let rows: Vec<Row<'_>> = text.lines().skip(1).map(Row::parse).collect();
    assert_eq!(rows.len(), 19);
    for row in rows {
        let public = PublicKey::from_bytes(row.public.try_into().expect("32 bytes"));
        let signature = Signature::from_bytes(row.signature.try_into().expect("64 bytes"));
        assert_eq!(public.verifies(&signature, &row.message), row.holds, "row {}", row.index);
        if row.secret.is_empty() {
            continue;
        }
        let secret = row.secret.try_into().expect("32 bytes");
        let pair = Keypair::from_secret_bytes(secret).expect("a key in range");
        assert_eq!(pair.x_only_public_key().0.to_byte_array(), *public.as_bytes());
        let aux = row.aux.try_into().expect("32 bytes");
        let signed = schnorr::sign_with_aux_rand(&row.message, &pair, &aux);
        assert_eq!(signed.to_byte_array(), *signature.as_bytes(), "row {}", row.index);
    }
}

#[test]
fn every_text_of_bip_350_is_judged_as_published_and_none_is_an_address_of_ours() {
    let Some(text) = test_vectors::read("bip350/bip350.json") else { return };
    let vectors: Value = serde_json::from_str(&text).expect("JSON");
    let list = |name: &str| vectors[name].as_array().expect("a list").clone();
    for good in list("bech32m_valid") {
        let good = good.as_str().expect("a text");
        assert!(CheckedHrpstring::new::<Bech32m>(good).is_ok(), "{good}");
        assert!(PublicKey::from_address(good, AddressPrefix::Main).is_err(), "{good}");
    }
    for bad in list("bech32m_invalid") {
        let bad = bad["s"].as_str().expect("a text");
        assert!(CheckedHrpstring::new::<Bech32m>(bad).is_err(), "{bad:?}");
        assert!(PublicKey::from_address(bad, AddressPrefix::Main).is_err(), "{bad:?}");
    }
    for good in list("segwit_valid") {
        let address = good["addr"].as_str().expect("a text");
        let (_, version, program) = bech32::segwit::decode(address).expect(address);
        let version = version.to_u8();
        let opcode = if version == 0 { 0 } else { 0x50 + version };
        let length = u8::try_from(program.len()).expect("at most 40 bytes");
        let script = [&[opcode, length], program.as_slice()].concat();
        assert_eq!(good["scriptPubKey"], hex::encode(script), "{address}");
    }
    for bad in list("segwit_invalid") {
        let address = bad["addr"].as_str().expect("a text");
        let known = |hrp: bech32::Hrp| matches!(hrp.to_lowercase().as_str(), "bc" | "tb");
        let read = bech32::segwit::decode(address);
        assert!(!read.is_ok_and(|(prefix, ..)| known(prefix)), "{bad}");
        assert!(PublicKey::from_address(address, AddressPrefix::Main).is_err(), "{bad}");
    }
}
