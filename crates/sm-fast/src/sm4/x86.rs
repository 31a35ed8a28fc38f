//! SM4 with the instructions of x86-64 processors, in two forms.
//!
//! GFNI and AVX-512: a vector holds one word of sixteen blocks. An instruction that maps bytes
//! affinely and one that inverts them in AES's field make the S-box.
//!
//! AES and SSSE3: a vector holds one word of four blocks. The last round of AES contains its
//! S-box, which inverts in the same field; shuffles by the two halves of each byte do the affine
//! maps around it.

use std::arch::x86_64::{
    __m128i, __m512i, _mm_aesenclast_si128, _mm_and_si128, _mm_or_si128, _mm_set1_epi8,
    _mm_set1_epi32, _mm_setzero_si128, _mm_shuffle_epi8, _mm_slli_epi32, _mm_srli_epi16,
    _mm_srli_epi32, _mm_unpackhi_epi32, _mm_unpackhi_epi64, _mm_unpacklo_epi32, _mm_unpacklo_epi64,
    _mm_xor_si128, _mm512_gf2p8affine_epi64_epi8, _mm512_gf2p8affineinv_epi64_epi8,
    _mm512_rol_epi32, _mm512_set1_epi32, _mm512_set1_epi64, _mm512_shuffle_epi8,
    _mm512_ternarylogic_epi32, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32,
    _mm512_unpacklo_epi64, _mm512_xor_si512,
};

use super::{Block, Direction};
use crate::simd::{load_blocks_128, load_blocks_512, store_blocks_128, store_blocks_512};

/// S(x) = [`AFTER`] · inv([`BEFORE`] · x + [`BEFORE_ADD`]) + [`AFTER_ADD`] with AES's inversion:
/// A · x + c of SM4 and the isomorphism between the two fields in one. Each byte is a row, the
/// highest byte that of the lowest bit.
const BEFORE: u64 = 0x4c28_7db9_1a22_505d;
const BEFORE_ADD: u8 = 0x3e;
const AFTER: u64 = 0xf3ab_34a9_74a6_b589;
const AFTER_ADD: u8 = 0xd3;

/// Blocks in the four vectors of a group.
const GROUP_512: usize = 16;
const GROUP_128: usize = 4;

fn keys(round_keys: &[u32; 32], direction: Direction) -> [u32; 32] {
    let mut keys = *round_keys;
    if direction == Direction::Decrypt {
        keys.reverse();
    }
    keys
}

/// Encrypts or decrypts each block by itself.
#[target_feature(enable = "gfni,avx512f,avx512bw")]
pub(crate) fn gfni(round_keys: &[u32; 32], blocks: &mut [Block], direction: Direction) {
    let keys = keys(round_keys, direction);
    // Four groups at once keep the processor busy while it waits for results.
    let (many, rest) = blocks.as_chunks_mut::<{ 4 * GROUP_512 }>();
    for some in many {
        groups_512::<4>(&keys, some.as_chunks_mut().0);
    }
    let (groups, rest) = rest.as_chunks_mut::<GROUP_512>();
    for group in groups {
        groups_512::<1>(&keys, std::slice::from_mut(group));
    }
    if !rest.is_empty() {
        let mut group = [[0; 16]; GROUP_512];
        for (to, from) in group.iter_mut().zip(rest.iter()) {
            *to = *from;
        }
        groups_512::<1>(&keys, std::slice::from_mut(&mut group));
        for (to, from) in rest.iter_mut().zip(group) {
            *to = from;
        }
    }
}

/// `N` groups of sixteen blocks.
#[inline]
#[target_feature(enable = "gfni,avx512f,avx512bw")]
fn groups_512<const N: usize>(keys: &[u32; 32], groups: &mut [[Block; GROUP_512]]) {
    let mut state = [[_mm512_set1_epi32(0); 4]; N];
    for (state, group) in state.iter_mut().zip(groups.iter()) {
        *state = transpose_512(load_blocks_512(group).map(|vector| swap_512(vector)));
    }
    for key in keys {
        let key = _mm512_set1_epi32(key.cast_signed());
        for state in &mut state {
            let [a, b, c, d] = *state;
            *state = [b, c, d, round_512(a, b, c, d, key)];
        }
    }
    for (state, group) in state.iter_mut().zip(groups.iter_mut()) {
        let [a, b, c, d] = *state;
        let out = transpose_512([d, c, b, a]).map(|vector| swap_512(vector));
        store_blocks_512(group, out);
    }
}

#[inline]
#[target_feature(enable = "gfni,avx512f,avx512bw")]
fn round_512(a: __m512i, b: __m512i, c: __m512i, d: __m512i, key: __m512i) -> __m512i {
    let before = _mm512_set1_epi64(BEFORE.cast_signed());
    let after = _mm512_set1_epi64(AFTER.cast_signed());
    /// The exclusive or of three.
    const XOR: i32 = 0x96;
    let x = _mm512_xor_si512(_mm512_ternarylogic_epi32::<XOR>(b, c, d), key);
    let x = _mm512_gf2p8affine_epi64_epi8::<{ BEFORE_ADD as i32 }>(x, before);
    let x = _mm512_gf2p8affineinv_epi64_epi8::<{ AFTER_ADD as i32 }>(x, after);
    let y =
        _mm512_ternarylogic_epi32::<XOR>(x, _mm512_rol_epi32::<2>(x), _mm512_rol_epi32::<10>(x));
    let z =
        _mm512_ternarylogic_epi32::<XOR>(a, _mm512_rol_epi32::<18>(x), _mm512_rol_epi32::<24>(x));
    _mm512_xor_si512(y, z)
}

/// Reverses the bytes of each word.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn swap_512(vector: __m512i) -> __m512i {
    let order =
        std::arch::x86_64::_mm512_set4_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203);
    _mm512_shuffle_epi8(vector, order)
}

/// Words of blocks for blocks of words, and back, in each quarter of the vectors.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose_512([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (e, f) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let (g, h) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    [
        _mm512_unpacklo_epi64(e, g),
        _mm512_unpackhi_epi64(e, g),
        _mm512_unpacklo_epi64(f, h),
        _mm512_unpackhi_epi64(f, h),
    ]
}

/// The product of a matrix in the form of [`BEFORE`] and a byte.
const fn product(matrix: u64, byte: u8) -> u8 {
    let rows = matrix.to_be_bytes();
    let mut out = 0;
    let mut bit = 0;
    while bit < 8 {
        #[expect(clippy::indexing_slicing, reason = "bit is below 8")]
        let parity = (rows[bit] & byte).count_ones() & 1;
        out |= (parity as u8) << bit;
        bit += 1;
    }
    out
}

/// AES's affine map undone, without its constant 5 (FIPS 197 section 5.3.2).
const fn undo_aes(byte: u8) -> u8 {
    byte.rotate_left(1) ^ byte.rotate_left(3) ^ byte.rotate_left(6)
}

/// A linear map of bytes and a constant as two tables: for the low and for the high four bits.
const fn halves(after_aes: bool, add: u8) -> [[u8; 16]; 2] {
    let mut tables = [[0; 16]; 2];
    let mut i = 0u8;
    while i < 16 {
        let (low, high) = if after_aes {
            (
                product(AFTER, undo_aes(i)),
                product(AFTER, undo_aes(i << 4)),
            )
        } else {
            (product(BEFORE, i), product(BEFORE, i << 4))
        };
        #[expect(clippy::indexing_slicing, reason = "i is below 16")]
        {
            tables[0][i as usize] = low ^ add;
            tables[1][i as usize] = high;
        }
        i += 1;
    }
    tables
}

const INTO_AES: [[u8; 16]; 2] = halves(false, BEFORE_ADD);
const OUT_OF_AES: [[u8; 16]; 2] = halves(true, AFTER_ADD ^ product(AFTER, 5));

/// Encrypts or decrypts each block by itself.
#[target_feature(enable = "aes,ssse3")]
pub(crate) fn aes(round_keys: &[u32; 32], blocks: &mut [Block], direction: Direction) {
    let keys = keys(round_keys, direction);
    let (many, rest) = blocks.as_chunks_mut::<{ 4 * GROUP_128 }>();
    for some in many {
        groups_128::<4>(&keys, some.as_chunks_mut().0);
    }
    for some in rest.chunks_mut(GROUP_128) {
        let mut group = [[0; 16]; GROUP_128];
        for (to, from) in group.iter_mut().zip(some.iter()) {
            *to = *from;
        }
        groups_128::<1>(&keys, std::slice::from_mut(&mut group));
        for (to, from) in some.iter_mut().zip(group) {
            *to = from;
        }
    }
}

/// `N` groups of four blocks.
#[inline]
#[target_feature(enable = "aes,ssse3")]
fn groups_128<const N: usize>(keys: &[u32; 32], groups: &mut [[Block; GROUP_128]]) {
    let mut state = [[_mm_setzero_si128(); 4]; N];
    for (state, group) in state.iter_mut().zip(groups.iter()) {
        *state = transpose_128(load_blocks_128(group).map(|vector| shuffle_128(vector, &SWAP)));
    }
    for key in keys {
        let key = _mm_set1_epi32(key.cast_signed());
        for state in &mut state {
            let [a, b, c, d] = *state;
            *state = [b, c, d, round_128(a, b, c, d, key)];
        }
    }
    for (state, group) in state.iter().zip(groups.iter_mut()) {
        let [a, b, c, d] = *state;
        let out = transpose_128([d, c, b, a]).map(|vector| shuffle_128(vector, &SWAP));
        store_blocks_128(group, out);
    }
}

/// Reverses the bytes of each word.
const SWAP: [u8; 16] = [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12];
/// Undoes the ShiftRows of AES.
const UNSHIFT: [u8; 16] = [0, 13, 10, 7, 4, 1, 14, 11, 8, 5, 2, 15, 12, 9, 6, 3];
/// Rotates each word left by 8, 16 and 24 bits.
const LEFT_8: [u8; 16] = [3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14];
const LEFT_16: [u8; 16] = [2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13];
const LEFT_24: [u8; 16] = [1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12];

#[inline]
#[target_feature(enable = "ssse3")]
fn shuffle_128(vector: __m128i, order: &[u8; 16]) -> __m128i {
    let [order] = load_blocks_128(&[*order]);
    _mm_shuffle_epi8(vector, order)
}

/// A linear map of the bytes and a constant.
#[inline]
#[target_feature(enable = "ssse3")]
fn affine_128(x: __m128i, tables: &[[u8; 16]; 2]) -> __m128i {
    let mask = _mm_set1_epi8(15);
    let [low, high] = load_blocks_128(tables);
    let low = _mm_shuffle_epi8(low, _mm_and_si128(x, mask));
    let high = _mm_shuffle_epi8(high, _mm_and_si128(_mm_srli_epi16::<4>(x), mask));
    _mm_xor_si128(low, high)
}

#[inline]
#[target_feature(enable = "aes,ssse3")]
fn round_128(a: __m128i, b: __m128i, c: __m128i, d: __m128i, key: __m128i) -> __m128i {
    let x = _mm_xor_si128(_mm_xor_si128(b, c), _mm_xor_si128(d, key));
    let x = affine_128(x, &INTO_AES);
    let x = _mm_aesenclast_si128(x, _mm_setzero_si128());
    let x = affine_128(shuffle_128(x, &UNSHIFT), &OUT_OF_AES);
    // x ^ (x <<< 24) ^ ((x ^ (x <<< 8) ^ (x <<< 16)) <<< 2)
    let y = _mm_xor_si128(
        _mm_xor_si128(x, shuffle_128(x, &LEFT_8)),
        shuffle_128(x, &LEFT_16),
    );
    let y = _mm_or_si128(_mm_slli_epi32::<2>(y), _mm_srli_epi32::<30>(y));
    let x = _mm_xor_si128(x, shuffle_128(x, &LEFT_24));
    _mm_xor_si128(a, _mm_xor_si128(x, y))
}

/// Words of blocks for blocks of words, and back.
#[inline]
#[target_feature(enable = "ssse3")]
fn transpose_128([a, b, c, d]: [__m128i; 4]) -> [__m128i; 4] {
    let (e, f) = (_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
    let (g, h) = (_mm_unpacklo_epi32(c, d), _mm_unpackhi_epi32(c, d));
    [
        _mm_unpacklo_epi64(e, g),
        _mm_unpackhi_epi64(e, g),
        _mm_unpacklo_epi64(f, h),
        _mm_unpackhi_epi64(f, h),
    ]
}
