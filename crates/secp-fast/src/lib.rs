//! Public key recovery and ECDSA verification on secp256k1, eight signatures at a time.
//!
//! For: [`Engine::recover_many`] (SEC 1 section 4.1.6, as Ethereum uses it), and
//! [`Engine::verify_many`] under keys that [`Engine::prepare_many`] has made tables for, which is
//! about three times as fast again.
//! Not for: secrets. Everything runs in variable time over public data. Not for the last word
//! either: see below.
//!
//! # Contract
//!
//! What the engine accepts is right: a key that [`Engine::recover_many`] gives is the one that SEC 1
//! recovery gives, and [`Engine::verify_many`] says yes only where recovery would give exactly that
//! key. What it refuses, it may refuse for reasons of its own: the addition formulas are incomplete,
//! and a signature whose sum meets an exceptional case is refused whatever it is worth. Callers
//! judge refusals again with a complete implementation.
//!
//! `docs/spec/secp-verification.md` has the argument why it cannot wrongly accept.
//!
//! # Processors
//!
//! [`Engine::detect`] finds the instructions it needs, AVX-512 with IFMA; elsewhere there is no
//! engine, and callers use what they use for refusals.
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
mod batch8;
#[cfg(target_arch = "x86_64")]
mod engine;
#[cfg(target_arch = "x86_64")]
mod field8;
#[cfg(target_arch = "x86_64")]
mod gate;
#[cfg(target_arch = "x86_64")]
mod glv;
#[cfg(target_arch = "x86_64")]
mod modular;
#[cfg(target_arch = "x86_64")]
mod point8;
#[cfg(target_arch = "x86_64")]
mod table;

#[cfg(target_arch = "x86_64")]
type Entry = table::Entry;
#[cfg(not(target_arch = "x86_64"))]
type Entry = [u64; 8];

/// A signature over a digest, with what recovery needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signature {
    /// What was signed, a 32-byte digest.
    pub prehash: [u8; 32],
    /// `r ‖ s`, 32 bytes each, big endian.
    pub r_s: [u8; 64],
    /// Parity of the nonce point's y coordinate: the recovery id, of which only 0 and 1 exist here.
    pub y_parity: bool,
}

/// A public key with a table of its multiples, [`PreparedKey::BYTES`] of it.
pub struct PreparedKey {
    table: Box<[Entry]>,
}

impl PreparedKey {
    /// Size of a prepared key's table, in bytes.
    pub const BYTES: usize = 22 * 32 * 64;

    /// Size of this key's table, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val::<[Entry]>(&self.table)
    }
}

impl std::fmt::Debug for PreparedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PreparedKey({} bytes)", self.bytes())
    }
}

/// Proof that this processor has the instructions that the engine is made of.
#[derive(Clone, Copy, Debug)]
pub struct Engine(());

impl Engine {
    /// The engine, on processors that can run it: x86-64 with AVX-512 F, VL, DQ, BW and IFMA.
    #[must_use]
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx512f")
            && std::is_x86_feature_detected!("avx512vl")
            && std::is_x86_feature_detected!("avx512dq")
            && std::is_x86_feature_detected!("avx512bw")
            && std::is_x86_feature_detected!("avx512ifma")
        {
            return Some(Self(()));
        }
        None
    }

    /// Recovers the keys that made these signatures, in their order: `x ‖ y`, big endian.
    ///
    /// `None` where r or s is out of range, where no key exists, and where the sum met an
    /// exceptional case (see the crate's documentation). A high s is taken.
    #[must_use]
    pub fn recover_many(self, signatures: &[Signature]) -> Vec<Option<[u8; 64]>> {
        #[cfg(target_arch = "x86_64")]
        return gate::recover_many(self, signatures);
        #[cfg(not(target_arch = "x86_64"))]
        return vec![None; signatures.len()];
    }

    /// Says for each signature whether [`Self::recover_many`] would give exactly this key.
    ///
    /// `false` also where the sum met an exceptional case (see the crate's documentation).
    #[must_use]
    pub fn verify_many(self, items: &[(&PreparedKey, Signature)]) -> Vec<bool> {
        #[cfg(target_arch = "x86_64")]
        return gate::verify_many(self, items);
        #[cfg(not(target_arch = "x86_64"))]
        return vec![false; items.len()];
    }

    /// Makes tables for keys, `x ‖ y` each, big endian; eight cost as much as one. `None` where the
    /// bytes are no point on the curve.
    #[must_use]
    pub fn prepare_many(self, keys: &[[u8; 64]]) -> Vec<Option<PreparedKey>> {
        #[cfg(target_arch = "x86_64")]
        return gate::prepare_many(self, keys);
        #[cfg(not(target_arch = "x86_64"))]
        return keys.iter().map(|_| None).collect();
    }
}
