//! SM2 verification as fast as the processor allows, and SM4 in constant time.
//!
//! For: [`sm2`], the verifier of GB/T 32918.2 over public data, one signature at a time or many
//! together; [`sm4`], the block cipher of GB/T 32907 behind the traits of the `cipher` crate.
//! Not for: signing, key agreement and encryption with SM2, which handle secrets and stay with the
//! constant-time arithmetic of the `sm2` crate.
//!
//! # Invariants
//!
//! [`sm2`] is variable time and must see public values only. Whether a signature is accepted
//! depends on key, digest and signature alone: not on the processor, not on what was verified
//! before, not on what else is in a batch. [`sm4`] neither branches on secrets nor uses them as
//! addresses. `unsafe` occurs in `simd.rs` alone, which calls code for certain processors after
//! asking whether this is one of them.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

#[cfg(target_arch = "x86_64")]
mod simd;
pub mod sm2;
pub mod sm4;

/// Does without the instructions that not every processor of this architecture has, or uses them
/// again. Results are the same; for tests and measurements.
pub fn force_portable(portable: bool) {
    #[cfg(target_arch = "x86_64")]
    simd::force_portable(portable);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = portable;
}
