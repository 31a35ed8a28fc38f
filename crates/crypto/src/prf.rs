//! A keyed function whose values tell nobody without the key anything about what they were made of.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sm3::Sm3;
use zeroize::Zeroize;

use crate::Suite;

/// Bytes of a value of a [`Prf`].
pub const PRF_BYTES: usize = 32;
/// Block of SHA-256 and SM3.
const BLOCK_BYTES: usize = 64;

/// HMAC (RFC 2104) with the hash of a suite: SHA-256 (RFC 4231 has vectors), or SM3 (GM/T 0042).
#[derive(Clone)]
pub struct Prf(Keyed);

#[derive(Clone)]
enum Keyed {
    Sha256(Hmac<Sha256>),
    Sm3(Hmac<Sm3>),
}

impl std::fmt::Debug for Prf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prf")
    }
}

impl Prf {
    /// The function of a key of 32 bytes.
    #[must_use]
    pub fn new(suite: Suite, key: &[u8; 32]) -> Self {
        // Shorter keys than a block are filled up with zeros: so HMAC is defined.
        let mut block = [0; BLOCK_BYTES];
        for (to, from) in block.iter_mut().zip(key) {
            *to = *from;
        }
        let keyed = match suite {
            Suite::Intl => Keyed::Sha256(<Hmac<Sha256> as KeyInit>::new((&block).into())),
            Suite::Sm => Keyed::Sm3(<Hmac<Sm3> as KeyInit>::new((&block).into())),
        };
        block.zeroize();
        Self(keyed)
    }

    /// The function whose inputs all begin with this part.
    #[must_use]
    pub fn after(&self, part: &[u8]) -> Self {
        let mut next = self.clone();
        match &mut next.0 {
            Keyed::Sha256(mac) => mac.update(part),
            Keyed::Sm3(mac) => mac.update(part),
        }
        next
    }

    /// The value for an input.
    #[must_use]
    pub fn value(&self, input: &[u8]) -> [u8; PRF_BYTES] {
        match self.after(input).0 {
            Keyed::Sha256(mac) => mac.finalize().into_bytes().into(),
            Keyed::Sm3(mac) => mac.finalize().into_bytes().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_hmac_with_the_hash_of_the_suite() {
        // RFC 4231, test case 2, whose key is `Jefe`, filled up to 32 bytes.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let message = b"what do ya want for nothing?";
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let found = Prf::new(Suite::Intl, &key).value(message);
        assert_eq!(hex::encode(found), expected);
        // By its definition: H(key ^ opad, H(key ^ ipad, message)).
        let pad = |byte: u8| -> Vec<u8> {
            (0..64)
                .map(|at| key.get(at).copied().unwrap_or(0) ^ byte)
                .collect()
        };
        use sm3::Digest;
        let inner = Sm3::digest([pad(0x36), message.to_vec()].concat());
        let outer = Sm3::digest([pad(0x5c), inner.to_vec()].concat());
        assert_eq!(Prf::new(Suite::Sm, &key).value(message), outer.as_slice());
    }

    #[test]
    fn parts_add_up_to_one_input() {
        for suite in Suite::ALL {
            let prf = Prf::new(suite, &[7; 32]);
            assert_eq!(prf.after(b"one ").value(b"two"), prf.value(b"one two"));
            assert_ne!(prf.value(b"a"), prf.value(b"b"));
            assert_ne!(prf.value(b"a"), Prf::new(suite, &[8; 32]).value(b"a"));
        }
    }
}
