//! The only module with `unsafe`: from code for any processor into code for this one, and between
//! vectors and plain numbers.
#![allow(unsafe_code)]

use std::arch::x86_64::__m512i;

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

/// The generator's table. Only code of the engine asks for it.
pub(crate) fn generator_table() -> Vec<__m512i> {
    // SAFETY: only functions of the engine reach this, so the processor's features have been found.
    unsafe { engine::generator_table() }
}
