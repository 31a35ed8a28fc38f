//! Loads and stores of vectors, and the calls of code for certain processors: all the `unsafe` of this crate.
#![allow(unsafe_code)]

use std::arch::x86_64::{__m512i, _mm512_loadu_si512, _mm512_storeu_si512};

use crate::{keccak8, sm3x16};

/// Eight words as a vector.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn load(words: &[u64; 8]) -> __m512i {
    // SAFETY: the reference points to 64 readable bytes; the instruction needs no alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

/// Undoes [`load`].
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn store(vector: __m512i) -> [u64; 8] {
    let mut words = [0; 8];
    // SAFETY: the reference points to 64 writable bytes; the instruction needs no alignment.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) }
    words
}

/// Sixteen words as a vector.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn load_32(words: &[u32; 16]) -> __m512i {
    // SAFETY: the reference points to 64 readable bytes; the instruction needs no alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

/// Undoes [`load_32`].
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn store_32(vector: __m512i) -> [u32; 16] {
    let mut words = [0; 16];
    // SAFETY: the reference points to 64 writable bytes; the instruction needs no alignment.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) }
    words
}

/// Digests of messages that take equally many blocks; `None` without the instructions.
pub(crate) fn keccak256(messages: [&[u8]; keccak8::LANES]) -> Option<[[u8; 32]; keccak8::LANES]> {
    // SAFETY: the processor has every feature that the function is compiled for.
    is_x86_feature_detected!("avx512f").then(|| unsafe { keccak8::keccak256(messages) })
}

/// Digests of messages that take equally many blocks; `None` without the instructions.
pub(crate) fn sm3(messages: [&[u8]; sm3x16::LANES]) -> Option<[[u8; 32]; sm3x16::LANES]> {
    // SAFETY: the processor has every feature that the function is compiled for.
    is_x86_feature_detected!("avx512f").then(|| unsafe { sm3x16::sm3(messages) })
}
