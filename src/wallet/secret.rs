//! Secret keys: made, checked, used to sign, wiped.

use crate::primitives::{Hash256, PublicKey, Signature};
use secp256k1::Keypair;
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// A secp256k1 secret key: a number from 1 to the order of the group less 1, wiped when dropped.
/// It cannot be cloned or shown; [`SecretKey::to_hex`] is the only way out.
pub struct SecretKey([u8; 32]);

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Zero, or the order of the group and above.
    #[error("expected a private key from 1 to the order of secp256k1 less 1")]
    OutOfRange,
    /// The operating system gave no random bytes. There is no fallback: a guessable key loses
    /// everything it owns.
    #[error("the operating system gives no random bytes: {0}")]
    Randomness(getrandom::Error),
}

impl KeyError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OutOfRange => "key-out-of-range",
            Self::Randomness(_) => "no-randomness",
        }
    }
}

impl SecretKey {
    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// [`KeyError::Randomness`].
    pub fn create() -> Result<Self, KeyError> {
        loop {
            // All but about one in 2^128 random values are keys.
            match Self::from_bytes(&*random_bytes()?) {
                Err(KeyError::OutOfRange) => {}
                made => return made,
            }
        }
    }

    /// Takes a key from its 32 bytes.
    ///
    /// # Errors
    /// [`KeyError::OutOfRange`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let mut pair = Keypair::from_secret_bytes(*bytes).map_err(|_| KeyError::OutOfRange)?;
        pair.non_secure_erase();
        Ok(Self(*bytes))
    }

    /// The BIP-340 public key.
    pub fn public_key(&self) -> PublicKey {
        self.with_pair(|pair| PublicKey::from_bytes(pair.x_only_public_key().0.to_byte_array()))
    }

    /// A BIP-340 signature over `message`, with fresh auxiliary randomness (which protects the key
    /// against side channels and faults; the signature would be sound without).
    ///
    /// # Errors
    /// [`KeyError::Randomness`].
    pub fn sign(&self, message: &Hash256) -> Result<Signature, KeyError> {
        Ok(self.sign_with(message, &*random_bytes()?))
    }

    /// As [`SecretKey::sign`], with these auxiliary bytes: equal calls give equal signatures.
    pub fn sign_with(&self, message: &Hash256, aux: &[u8; 32]) -> Signature {
        self.sign_with_aux(message.as_bytes(), aux)
    }

    /// The key as 64 lower-case hex digits, wiped when dropped.
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.0))
    }

    fn sign_with_aux(&self, message: &[u8], aux: &[u8; 32]) -> Signature {
        self.with_pair(|pair| {
            let signature = secp256k1::schnorr::sign_with_aux_rand(message, pair, aux);
            Signature::from_bytes(signature.to_byte_array())
        })
    }

    /// The library's key pair lives for one call only: it does not wipe itself.
    fn with_pair<T>(&self, use_pair: impl FnOnce(&Keypair) -> T) -> T {
        let mut pair = Keypair::from_secret_bytes(self.0).expect("checked when it was taken");
        let result = use_pair(&pair);
        pair.non_secure_erase();
        result
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(hidden)")
    }
}

/// Fresh bytes from the operating system, wiped when dropped.
///
/// # Errors
/// [`KeyError::Randomness`].
pub fn random_bytes() -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice()).map_err(KeyError::Randomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> [u8; 32] {
        hex::decode(hex).unwrap().try_into().unwrap()
    }

    #[test]
    fn keys_and_signatures_are_those_of_bip_340() {
        // The signing vectors of BIP-340: secret key, public key, auxiliary bytes, message, signature.
        let table = [
            [
                "0000000000000000000000000000000000000000000000000000000000000003",
                "f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9",
                "0000000000000000000000000000000000000000000000000000000000000000",
                "0000000000000000000000000000000000000000000000000000000000000000",
                "e907831f80848d1069a5371b402410364bdf1c5f8307b0084c55f1ce2dca821525f66a4a85ea8b71e482a74f382d2ce5ebeee8fdb2172f477df4900d310536c0",
            ],
            [
                "b7e151628aed2a6abf7158809cf4f3c762e7160f38b4da56a784d9045190cfef",
                "dff1d77f2a671c5f36183726db2341be58feae1da2deced843240f7b502ba659",
                "0000000000000000000000000000000000000000000000000000000000000001",
                "243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89",
                "6896bd60eeae296db48a229ff71dfe071bde413e6d43f917dc8dcf8c78de33418906d11ac976abccb20b091292bff4ea897efcb639ea871cfa95f6de339e4b0a",
            ],
            [
                "c90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b14e5c9",
                "dd308afec5777e13121fa72b9cc1b7cc0139715309b086c960e18fd969774eb8",
                "c87aa53824b4d7ae2eb035a2b5bbbccc080e76cdc6d1692c4b0b62d798e6d906",
                "7e2d58d8b3bcdf1abadec7829054f90dda9805aab56c77333024b9d0a508b75c",
                "5831aaeed7b44bb74e5eab94ba9d4294c49bcf2a60728d8b4c200f50dd313c1bab745879a5ad954a72c45a91c3a51d3c7adea98d82f8481e0e1e03674a6f3fb7",
            ],
            [
                "0b432b2677937381aef05bb02a66ecd012773062cf3fa2549e44f58ed2401710",
                "25d1dff95105f5253c4022f628a996ad3a0d95fbf21d468a1b33f8c160d8f517",
                "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
                "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
                "7eb0509757e246f19449885651611cb965ecc1a187dd51b64fda1edc9637d5ec97582b9cb13db3933705b32ba982af5af25fd78881ebb32771fc5922efc66ea3",
            ],
            [
                "0340034003400340034003400340034003400340034003400340034003400340",
                "778caa53b4393ac467774d09497a87224bf9fab6f6e68b23086497324d6fd117",
                "0000000000000000000000000000000000000000000000000000000000000000",
                "",
                "71535db165ecd9fbbc046e5ffaea61186bb6ad436732fccc25291a55895464cf6069ce26bf03466228f19a3a62db8a649f2d560fac652827d1af0574e427ab63",
            ],
            [
                "0340034003400340034003400340034003400340034003400340034003400340",
                "778caa53b4393ac467774d09497a87224bf9fab6f6e68b23086497324d6fd117",
                "0000000000000000000000000000000000000000000000000000000000000000",
                "11",
                "08a20a0afef64124649232e0693c583ab1b9934ae63b4c3511f3ae1134c6a303ea3173bfea6683bd101fa5aa5dbc1996fe7cacfc5a577d33ec14564cec2bacbf",
            ],
            [
                "0340034003400340034003400340034003400340034003400340034003400340",
                "778caa53b4393ac467774d09497a87224bf9fab6f6e68b23086497324d6fd117",
                "0000000000000000000000000000000000000000000000000000000000000000",
                "0102030405060708090a0b0c0d0e0f1011",
                "5130f39a4059b43bc7cac09a19ece52b5d8699d1a71e3c52da9afdb6b50ac370c4a482b77bf960f8681540e25b6771ece1e5a37fd80e5a51897c5566a97ea5a5",
            ],
            [
                "0340034003400340034003400340034003400340034003400340034003400340",
                "778caa53b4393ac467774d09497a87224bf9fab6f6e68b23086497324d6fd117",
                "0000000000000000000000000000000000000000000000000000000000000000",
                "99999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999",
                "403b12b0d8555a344175ea7ec746566303321e5dbfa8be6f091635163eca79a8585ed3e3170807e7c03b720fc54c7b23897fcba0e9d0b4a06894cfd249f22367",
            ],
        ];
        for [secret, public, aux, message, signature] in table {
            let secret = SecretKey::from_bytes(&bytes(secret)).unwrap();
            assert_eq!(secret.public_key().to_string(), public.to_lowercase());
            let signed = secret.sign_with_aux(&hex::decode(message).unwrap(), &bytes(aux));
            assert_eq!(signed.to_string(), signature.to_lowercase());
        }
    }

    #[test]
    fn only_numbers_below_the_order_are_keys() {
        let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
        let below = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140";
        for bad in [[0; 32], [0xff; 32], bytes(order)] {
            let error = SecretKey::from_bytes(&bad).unwrap_err();
            assert_eq!((error, error.code()), (KeyError::OutOfRange, "key-out-of-range"));
        }
        assert_eq!(SecretKey::from_bytes(&bytes(below)).unwrap().to_hex().as_str(), below);
    }

    #[test]
    fn created_keys_differ() {
        let [first, second] = [(); 2].map(|()| SecretKey::create().unwrap());
        assert_ne!(first.to_hex(), second.to_hex());
        assert!(first.public_key().is_on_curve());
    }
}
