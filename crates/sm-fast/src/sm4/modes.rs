//! Counter mode and Galois/Counter Mode.

use ghash::{GHash, universal_hash::UniversalHash};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{BLOCK_BYTES, Block, Sm4};

/// Bytes of a nonce of [`Gcm`].
pub const NONCE_BYTES: usize = 12;
/// Bytes of a tag of [`Gcm`].
pub const TAG_BYTES: usize = 16;

/// Blocks of key stream made at once: as many as the fastest of the implementations takes.
const AT_ONCE: usize = 64;

/// Longest text in GCM, in bytes (NIST SP 800-38D section 5.2.1.1): 2^36 − 32.
const TEXT_MAX: u64 = (1 << 36) - 32;
/// Longest associated data, in bytes: 2^61 − 1.
const ASSOCIATED_MAX: u64 = (1 << 61) - 1;

impl Sm4 {
    /// Encrypts or decrypts `data` in counter mode (NIST SP 800-38A section 6.5, GB/T 17964). The
    /// whole `iv` is the first counter, which counts up as a number of 128 bits, big endian.
    pub fn ctr(&self, iv: &Block, data: &mut [u8]) {
        let mut counter = u128::from_be_bytes(*iv);
        self.key_stream(data, || {
            let block = counter.to_be_bytes();
            counter = counter.wrapping_add(1);
            block
        });
    }

    /// Combines `data` with the encrypted blocks that `next` gives.
    fn key_stream(&self, data: &mut [u8], mut next: impl FnMut() -> Block) {
        let mut stream = [[0; BLOCK_BYTES]; AT_ONCE];
        for some in data.chunks_mut(AT_ONCE * BLOCK_BYTES) {
            let count = some.len().div_ceil(BLOCK_BYTES);
            let stream = stream.get_mut(..count).unwrap_or_default();
            stream.fill_with(&mut next);
            self.encrypt_blocks(stream);
            for (byte, key) in some.iter_mut().zip(stream.as_flattened()) {
                *byte ^= key;
            }
        }
        stream.zeroize();
    }
}

/// A text or associated data over the mode's limit of 64 GiB or 2^61 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl std::fmt::Display for TooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GCM takes at most 64 GiB of text at once: split it")
    }
}

impl std::error::Error for TooLong {}

/// A tag that does not fit key, nonce, associated data and text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagMismatch;

impl std::fmt::Display for TagMismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("decryption failed: the key is another one or the data was changed")
    }
}

impl std::error::Error for TagMismatch {}

/// SM4-GCM: `AEAD_SM4_GCM` of RFC 8998 section 3.1, the mode of NIST SP 800-38D. A nonce must never
/// serve twice under one key. Erased from memory when dropped.
#[derive(Clone)]
pub struct Gcm {
    cipher: Sm4,
    hash: GHash,
}

impl ZeroizeOnDrop for Gcm {}

impl std::fmt::Debug for Gcm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gcm")
    }
}

impl Gcm {
    /// The mode under a key.
    #[must_use]
    pub fn new(key: &[u8; super::KEY_BYTES]) -> Self {
        let cipher = Sm4::new(key);
        let mut zero = [[0; BLOCK_BYTES]];
        cipher.encrypt_blocks(&mut zero);
        let [mut hash_key] = zero;
        let hash = GHash::new((&hash_key).into());
        hash_key.zeroize();
        Self { cipher, hash }
    }

    /// Encrypts `data` in place and gives the tag over it and `associated`.
    ///
    /// # Errors
    /// [`TooLong`]; nothing was encrypted then.
    pub fn seal(
        &self,
        nonce: &[u8; NONCE_BYTES],
        associated: &[u8],
        data: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], TooLong> {
        if !fits(associated, data) {
            return Err(TooLong);
        }
        let mask = self.encrypt(nonce, data, true);
        Ok(self.tag(mask, associated, data))
    }

    /// Decrypts `data` in place. When it fails, `data` is as it was.
    ///
    /// # Errors
    /// [`TagMismatch`].
    pub fn open(
        &self,
        nonce: &[u8; NONCE_BYTES],
        associated: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), TagMismatch> {
        if !fits(associated, data) {
            return Err(TagMismatch);
        }
        let mask = self.encrypt(nonce, &mut [], true);
        let expected = self.tag(mask, associated, data);
        if !bool::from(subtle::ConstantTimeEq::ct_eq(&expected[..], &tag[..])) {
            return Err(TagMismatch);
        }
        self.encrypt(nonce, data, false);
        Ok(())
    }

    /// Encrypts or decrypts in counter mode from 2 on, and gives the block for the tag, that of
    /// counter 1, if `with_mask`. Both go through the cipher together.
    fn encrypt(&self, nonce: &[u8; NONCE_BYTES], data: &mut [u8], with_mask: bool) -> Block {
        let mut counter = if with_mask { 1u32 } else { 2 };
        let mut next = || {
            let mut block = [0; BLOCK_BYTES];
            let bytes = nonce.iter().copied().chain(counter.to_be_bytes());
            for (to, from) in block.iter_mut().zip(bytes) {
                *to = from;
            }
            counter = counter.wrapping_add(1);
            block
        };
        let mut mask = [0; BLOCK_BYTES];
        if !with_mask {
            self.cipher.key_stream(data, next);
            return mask;
        }
        // The first batch is one block shorter in text.
        let mut stream = [[0; BLOCK_BYTES]; AT_ONCE];
        let head = data.len().min((AT_ONCE - 1) * BLOCK_BYTES);
        let (head, rest) = data.split_at_mut(head);
        let count = 1 + head.len().div_ceil(BLOCK_BYTES);
        let some = stream.get_mut(..count).unwrap_or_default();
        some.fill_with(&mut next);
        self.cipher.encrypt_blocks(some);
        if let Some((first, some)) = some.split_first() {
            mask = *first;
            for (byte, key) in head.iter_mut().zip(some.as_flattened()) {
                *byte ^= key;
            }
        }
        stream.zeroize();
        self.cipher.key_stream(rest, next);
        mask
    }

    fn tag(&self, mask: Block, associated: &[u8], text: &[u8]) -> [u8; TAG_BYTES] {
        let mut hash = self.hash.clone();
        hash.update_padded(associated);
        hash.update_padded(text);
        // Both lengths are below 2^61 bytes.
        let bits = |bytes: &[u8]| (bytes.len() as u64) << 3;
        let lengths = u128::from(bits(associated)) << 64 | u128::from(bits(text));
        hash.update(&[lengths.to_be_bytes().into()]);
        let mut tag: [u8; TAG_BYTES] = hash.finalize().into();
        for (tag, mask) in tag.iter_mut().zip(mask) {
            *tag ^= mask;
        }
        tag
    }
}

/// Whether the lengths are within the mode's limits.
fn fits(associated: &[u8], text: &[u8]) -> bool {
    text.len() as u64 <= TEXT_MAX && associated.len() as u64 <= ASSOCIATED_MAX
}
