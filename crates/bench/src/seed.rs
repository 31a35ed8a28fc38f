//! Keys and choices that follow from the seed of a run.

use std::time::{SystemTime, UNIX_EPOCH};

use alloy_primitives::keccak256;
use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_primitives::Time;

use crate::error::Result;

/// A seed for a key or a choice, the same in every run.
pub(crate) fn derive(seed: u64, what: &str, index: u64) -> [u8; 32] {
    let mut bytes = b"hawser bench ".to_vec();
    bytes.extend_from_slice(&seed.to_be_bytes());
    bytes.extend_from_slice(&index.to_be_bytes());
    bytes.extend_from_slice(what.as_bytes());
    keccak256(bytes).0
}

/// A key with a part to play.
pub(crate) fn role_key(scheme: Scheme, seed: u64, role: &str, index: u64) -> Result<SecretKey> {
    Ok(SecretKey::from_seed(scheme, &derive(seed, role, index))?)
}

/// Spreads inputs evenly over 64 bits (splitmix64's finaliser).
pub(crate) const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The scheme of native transactions that a suite's chain is measured with.
pub(crate) const fn native_scheme(suite: Suite) -> Scheme {
    match suite {
        Suite::Intl => Scheme::Ed25519,
        Suite::Sm => Scheme::Sm2,
    }
}

/// The time of this machine.
pub(crate) fn now() -> Time {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A stream of choices that follow from a seed (splitmix64, Steele, Lea, Flood 2014).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draws(u64);

impl Draws {
    /// The choices for one transaction.
    pub(crate) const fn new(seed: u64, account: usize, index: u64) -> Self {
        Self(mix(seed ^ mix(((account as u64) << 40) ^ index)))
    }

    /// Any 64 bits.
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Below `bound`, which is not zero.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        // The high half of a product: no worse than a remainder, and quicker.
        ((self.next() as u128 * bound as u128) >> 64) as u64
    }

    /// From 0 up to, and without, 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}
