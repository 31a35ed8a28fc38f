//! Loads and stores of vectors, and the calls of code for certain processors: all the `unsafe` of
//! this crate.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m128i, __m512i, _mm_loadu_si128, _mm_storeu_si128, _mm512_loadu_si512, _mm512_storeu_si512,
};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sm2::ifma;
use crate::sm4::{Block, Direction, x86};

/// Set to do without the instructions that not every processor of this architecture has.
static PORTABLE: AtomicBool = AtomicBool::new(false);

/// Whether this process may use AVX-512 with integer multiplication of 52 bits.
fn has_ifma() -> bool {
    !PORTABLE.load(Ordering::Relaxed)
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512ifma")
}

/// See [`crate::force_portable`].
pub(crate) fn force_portable(portable: bool) {
    PORTABLE.store(portable, Ordering::Relaxed);
}

/// The words of a point: x, then y, each lowest word first.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn load_point(point: &ifma::Affine) -> __m512i {
    const { assert!(size_of::<ifma::Affine>() == 64) };
    // SAFETY: the reference points to 64 readable bytes, all of them part of numbers; the
    // instruction needs no alignment.
    unsafe { _mm512_loadu_si512(std::ptr::from_ref(point).cast()) }
}

/// The numbers of a vector, that of the lowest lane first.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn store(vector: __m512i) -> [u64; 8] {
    let mut numbers = [0; 8];
    // SAFETY: the reference points to 64 writable bytes; the instruction needs no alignment.
    unsafe { _mm512_storeu_si512(std::ptr::from_mut(&mut numbers).cast(), vector) }
    numbers
}

/// Sums of eight signatures whose keys have tables; `None` without the instructions.
pub(crate) fn multiply(jobs: &[ifma::Job<'_>; 8], step: usize) -> Option<[ifma::Sum; 8]> {
    // SAFETY: the processor has every feature that the function is compiled for.
    has_ifma().then(|| unsafe { ifma::multiply(jobs, step) })
}

/// The sum of one signature whose key has a table; `None` without the instructions.
pub(crate) fn multiply_one(job: &ifma::Job<'_>, step: usize) -> Option<ifma::Sum> {
    // SAFETY: the processor has every feature that the function is compiled for.
    has_ifma().then(|| unsafe { ifma::multiply_one(job, step) })
}

/// Tables of eight points, each of one position; `None` without the instructions.
pub(crate) fn tables(points: &[ifma::Affine; 8]) -> Option<[Vec<ifma::Affine>; 8]> {
    // SAFETY: the processor has every feature that the function is compiled for.
    has_ifma().then(|| unsafe { ifma::tables(points) })
}

/// Encrypts or decrypts each block; `false` without the instructions.
pub(crate) fn sm4(round_keys: &[u32; 32], blocks: &mut [Block], direction: Direction) -> bool {
    if PORTABLE.load(Ordering::Relaxed) {
        return false;
    }
    if is_x86_feature_detected!("gfni")
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
    {
        // SAFETY: the processor has every feature that the function is compiled for.
        unsafe { x86::gfni(round_keys, blocks, direction) }
        return true;
    }
    sm4_aes(round_keys, blocks, direction)
}

/// The same with the instructions that most processors have.
pub(crate) fn sm4_aes(round_keys: &[u32; 32], blocks: &mut [Block], direction: Direction) -> bool {
    let has = is_x86_feature_detected!("aes") && is_x86_feature_detected!("ssse3");
    if has {
        // SAFETY: the processor has every feature that the function is compiled for.
        unsafe { x86::aes(round_keys, blocks, direction) }
    }
    has
}

/// Sixteen blocks as four vectors.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn load_blocks_512(blocks: &[Block; 16]) -> [__m512i; 4] {
    let mut parts = blocks.as_chunks::<4>().0.iter();
    [(); 4].map(|()| {
        let part = parts.next().unwrap_or(&[[0; 16]; 4]);
        // SAFETY: the reference points to 64 readable bytes; the instruction needs no alignment.
        unsafe { _mm512_loadu_si512(part.as_ptr().cast()) }
    })
}

/// Undoes [`load_blocks_512`].
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn store_blocks_512(blocks: &mut [Block; 16], vectors: [__m512i; 4]) {
    for (part, vector) in blocks.as_chunks_mut::<4>().0.iter_mut().zip(vectors) {
        // SAFETY: the reference points to 64 writable bytes; the instruction needs no alignment.
        unsafe { _mm512_storeu_si512(part.as_mut_ptr().cast(), vector) }
    }
}

/// Blocks as vectors.
#[inline]
#[target_feature(enable = "sse2")]
pub(crate) fn load_blocks_128<const N: usize>(blocks: &[Block; N]) -> [__m128i; N] {
    // SAFETY: each reference points to 16 readable bytes; the instruction needs no alignment.
    blocks
        .each_ref()
        .map(|block| unsafe { _mm_loadu_si128(block.as_ptr().cast()) })
}

/// Undoes [`load_blocks_128`].
#[inline]
#[target_feature(enable = "sse2")]
pub(crate) fn store_blocks_128<const N: usize>(blocks: &mut [Block; N], vectors: [__m128i; N]) {
    for (block, vector) in blocks.iter_mut().zip(vectors) {
        // SAFETY: the reference points to 16 writable bytes; the instruction needs no alignment.
        unsafe { _mm_storeu_si128(block.as_mut_ptr().cast(), vector) }
    }
}
