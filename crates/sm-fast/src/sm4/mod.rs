//! The block cipher SM4 (GB/T 32907-2016) in constant time.
//!
//! No table is looked up by secret bytes and nothing branches on them. Where the processor has
//! GFNI and AVX-512 its instructions compute the S-box of 64 bytes at a time; with AES and SSSE3
//! that of 16; everywhere else it is a circuit of AND and XOR over the bits of 16 blocks
//! (`bitslice`). The S-box is an inversion in a field of 256 elements between two affine maps,
//! which is what all three are made of.

mod bitslice;
mod modes;
mod traits;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

pub use modes::{Gcm, NONCE_BYTES, TAG_BYTES, TagMismatch, TooLong};

/// Bytes of a block.
pub const BLOCK_BYTES: usize = 16;
/// Bytes of a key.
pub const KEY_BYTES: usize = 16;

/// A block.
pub type Block = [u8; BLOCK_BYTES];

/// The system parameter FK (GB/T 32907 section 7.3).
const FK: [u32; 4] = [0xa3b1_bac6, 0x56aa_3350, 0x677d_9197, 0xb270_22dc];

/// SM4 under a key. The round keys are erased when it is dropped.
#[derive(Clone)]
pub struct Sm4 {
    /// In the order of encryption.
    round_keys: [u32; 32],
}

impl Drop for Sm4 {
    fn drop(&mut self) {
        self.round_keys.zeroize();
    }
}

impl ZeroizeOnDrop for Sm4 {}

impl fmt::Debug for Sm4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sm4")
    }
}

/// Which way the round keys are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    Encrypt,
    Decrypt,
}

impl Sm4 {
    /// The cipher under a key (GB/T 32907 section 7.3).
    #[must_use]
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        let mut k = words(key);
        for (k, fk) in k.iter_mut().zip(FK) {
            *k ^= fk;
        }
        let mut round_keys = [0; 32];
        for (i, round_key) in (0u32..).zip(&mut round_keys) {
            let [a, b, c, d] = k;
            let s = bitslice::substitute(b ^ c ^ d ^ constant(i));
            let next = a ^ s ^ s.rotate_left(13) ^ s.rotate_left(23);
            *round_key = next;
            k = [b, c, d, next];
        }
        k.zeroize();
        Self { round_keys }
    }

    /// Encrypts each block by itself.
    pub fn encrypt_blocks(&self, blocks: &mut [Block]) {
        self.blocks(blocks, Direction::Encrypt);
    }

    /// Undoes [`Self::encrypt_blocks`].
    pub fn decrypt_blocks(&self, blocks: &mut [Block]) {
        self.blocks(blocks, Direction::Decrypt);
    }

    fn blocks(&self, blocks: &mut [Block], direction: Direction) {
        #[cfg(target_arch = "x86_64")]
        if crate::simd::sm4(&self.round_keys, blocks, direction) {
            return;
        }
        bitslice::blocks(&self.round_keys, blocks, direction);
    }
}

/// The constant CK of a round: its bytes are 7 (4 i + j) modulo 256 (GB/T 32907 section 7.3).
fn constant(round: u32) -> u32 {
    (0..4).fold(0, |word, j| word << 8 | ((7 * (4 * round + j)) & 0xff))
}

/// The four words of a block, big endian.
fn words(block: &Block) -> [u32; 4] {
    let mut out = [0; 4];
    for (word, bytes) in out.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    out
}

#[cfg(test)]
mod tests;
