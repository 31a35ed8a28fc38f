//! The only module with `unsafe`: from code for any processor into code for this one, and between
//! vectors and plain numbers.
#![allow(unsafe_code)]

use std::arch::x86_64::{__m512i, _MM_HINT_T0, _mm_prefetch};

use crate::{Engine, PreparedKey, Signature, engine};

/// The eight numbers in a vector.
#[inline]
pub(crate) fn lanes(vector: __m512i) -> [u64; 8] {
    // SAFETY: both types are 64 bytes without padding, and every bit pattern is valid for both.
    unsafe { std::mem::transmute(vector) }
}

/// The vector of eight numbers.
#[inline]
pub(crate) fn vector(lanes: [u64; 8]) -> __m512i {
    // SAFETY: as for `lanes`.
    unsafe { std::mem::transmute(lanes) }
}

/// Asks for a cache line ahead of its use.
#[inline]
pub(crate) fn prefetch(line: &__m512i) {
    // SAFETY: a hint without effect on values, and the address is that of a live reference. Every
    // x86-64 processor has it.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(line).cast()) }
}

/// See [`Engine::recover_many`].
pub(crate) fn recover_many(_proof: Engine, signatures: &[Signature]) -> Vec<Option<[u8; 64]>> {
    // SAFETY: an `Engine` exists only where `Engine::detect` has found the processor's features.
    unsafe { engine::recover_many(signatures) }
}

/// See [`Engine::verify_many`].
pub(crate) fn verify_many(_proof: Engine, items: &[(&PreparedKey, Signature)]) -> Vec<bool> {
    // SAFETY: as for `recover_many`.
    unsafe { engine::verify_many(items) }
}

/// See [`Engine::prepare_many`].
pub(crate) fn prepare_many(_proof: Engine, keys: &[[u8; 64]]) -> Vec<Option<PreparedKey>> {
    // SAFETY: as for `recover_many`.
    unsafe { engine::prepare_many(keys) }
}

/// The generator's table; empty where there is no engine to use it.
pub(crate) fn generator_table() -> Vec<__m512i> {
    match Engine::detect() {
        // SAFETY: the processor's features have just been found.
        Some(_) => unsafe { engine::generator_table() },
        None => Vec::new(),
    }
}

/// Runs a test that uses the processor's features.
#[cfg(test)]
pub(crate) fn run(_proof: Engine, test: unsafe fn()) {
    // SAFETY: as for `recover_many`.
    unsafe { test() }
}
