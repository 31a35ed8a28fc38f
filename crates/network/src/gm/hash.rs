//! SM3 (GB/T 32905) as transcript hash, in HMAC (RFC 2104) and in HKDF (RFC 5869).

use hmac::{Hmac as RustCryptoHmac, KeyInit, Mac};
use rustls::crypto::hash::{Context, Hash, HashAlgorithm, Output};
use rustls::crypto::hmac::{Hmac, Key, Tag};
use rustls::crypto::tls13::HkdfUsingHmac;
use sm3::{Digest, Sm3};

/// Length of a digest, in bytes.
const LEN: usize = 32;
/// Length of a block, in bytes.
const BLOCK: usize = 64;

pub(super) struct Sm3Hash;

impl Hash for Sm3Hash {
    fn start(&self) -> Box<dyn Context> {
        Box::new(Running(Sm3::new()))
    }

    fn hash(&self, data: &[u8]) -> Output {
        Output::new(&Sm3::digest(data))
    }

    fn output_len(&self) -> usize {
        LEN
    }

    fn algorithm(&self) -> HashAlgorithm {
        // The registry that this enumeration follows is closed and has no SM3; 7 is what the
        // signature scheme 0x0708 has in that place.
        HashAlgorithm::Unknown(7)
    }
}

struct Running(Sm3);

impl Context for Running {
    fn fork_finish(&self) -> Output {
        Output::new(&self.0.clone().finalize())
    }

    fn fork(&self) -> Box<dyn Context> {
        Box::new(Self(self.0.clone()))
    }

    fn finish(self: Box<Self>) -> Output {
        Output::new(&self.0.finalize())
    }

    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
}

pub(super) struct Sm3Hmac;

pub(super) static HKDF: HkdfUsingHmac<'static> = HkdfUsingHmac(&Sm3Hmac);

impl Hmac for Sm3Hmac {
    fn with_key(&self, key: &[u8]) -> Box<dyn Key> {
        // A longer key is hashed first, a shorter one padded (RFC 2104 section 2), so that every
        // length gives a block and nothing can fail.
        let mut block = zeroize::Zeroizing::new([0u8; BLOCK]);
        if key.len() > BLOCK {
            block
                .iter_mut()
                .zip(Sm3::digest(key))
                .for_each(|(to, from)| *to = from);
        } else {
            block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        }
        let array: &hmac::digest::array::Array<u8, hmac::digest::consts::U64> = (&*block).into();
        Box::new(HmacKey(<RustCryptoHmac<Sm3> as KeyInit>::new(array)))
    }

    fn hash_output_len(&self) -> usize {
        LEN
    }
}

struct HmacKey(RustCryptoHmac<Sm3>);

impl Key for HmacKey {
    fn sign_concat(&self, first: &[u8], middle: &[&[u8]], last: &[u8]) -> Tag {
        let mut mac = self.0.clone();
        mac.update(first);
        for part in middle {
            mac.update(part);
        }
        mac.update(last);
        Tag::new(&mac.finalize().into_bytes())
    }

    fn tag_len(&self) -> usize {
        LEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GB/T 32905 appendix A.1.
    #[test]
    fn the_hash_is_that_of_the_standard_and_forks_go_their_own_ways() {
        let expected = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0";
        let mut running = Sm3Hash.start();
        running.update(b"ab");
        let mut fork = running.fork();
        running.update(b"c");
        fork.update(b"x");
        assert_eq!(hex::encode(running.fork_finish()), expected);
        assert_ne!(hex::encode(fork.finish()), expected);
        assert_eq!(hex::encode(Sm3Hash.hash(b"abc")), expected);
    }

    #[test]
    fn hmac_follows_its_definition_for_keys_of_every_length() {
        for len in [0, 1, 63, 64, 65, 200] {
            let key = vec![0x5a; len];
            let mut block = [0u8; BLOCK];
            if len > BLOCK {
                block[..LEN].copy_from_slice(&Sm3::digest(&key));
            } else {
                block[..len].copy_from_slice(&key);
            }
            let pad = |byte: u8| block.map(|b| b ^ byte);
            let inner = Sm3::digest([&pad(0x36)[..], b"one", b"two", b"three"].concat());
            let outer = Sm3::digest([&pad(0x5c)[..], &inner].concat());
            let tag = Sm3Hmac
                .with_key(&key)
                .sign_concat(b"one", &[b"two"], b"three");
            assert_eq!(tag.as_ref(), &outer[..], "{len}");
        }
    }
}
