//! SM2 signatures (GB/T 32918.2) on the recommended curve (GB/T 32918.5): verification.
//!
//! A [`PreparedKey`] is a decoded public key with the hash Z of its identity. After some
//! verifications it keeps a table that makes the further ones several times as fast; [`KeyCache`]
//! keeps keys. [`verify_many`] verifies independent signatures eight at a time where the processor
//! can (AVX-512 IFMA) and gives for each what [`PreparedKey::verify_digest`] gives for it alone.
//!
//! Accepted is exactly what the standard's section 7.1 accepts. Refused by construction: `r` or `s`
//! outside `1 ..= n − 1`, `r + s ≡ 0`, and a sum `[s]G + [t]P` at infinity; a key that is not a
//! point of the curve in one of the three forms of SEC 1 does not exist.

mod batch;
mod cache;
mod field;
#[cfg(target_arch = "x86_64")]
pub(crate) mod ifma;
pub(crate) mod int;
mod key;
pub(crate) mod point;
pub(crate) mod tables;

pub use batch::{Item, verify_many};
pub use cache::KeyCache;
pub use key::{IDENTITY, PreparedKey};

use field::Fe;
use int::U256;
use point::Jacobian;

/// What a signature and a digest say, once in range: `[s]G + [t]P` has to have an x coordinate
/// that is `x` modulo n.
#[derive(Clone, Copy)]
struct Claim {
    s: U256,
    t: U256,
    x: U256,
}

impl Claim {
    /// Steps B1, B2 and B5 of GB/T 32918.2 section 7.1 for the signature `r ‖ s` and the digest
    /// `e`; `None` if they refuse.
    fn new(e: &[u8; 32], signature: &[u8; 64]) -> Option<Self> {
        let (r, s) = components(signature)?;
        let t = int::add_mod_n(r, s);
        let x = int::sub_mod_n(r, int::reduce(int::from_be_bytes(e)));
        (t != [0; 4]).then_some(Self { s, t, x })
    }

    /// Step B7: whether the x coordinate of the sum is `x` modulo n. As it is below p, and p below
    /// 2n, it can be `x` or `x + n`. Infinity has no x coordinate and is refused.
    fn fits(&self, sum: &Jacobian) -> bool {
        let is_x = |x| Fe::from_int(x).is_some_and(|x| sum.has_x(x));
        is_x(self.x) || matches!(int::add(self.x, int::N), (x, false) if is_x(x))
    }
}

/// `r` and `s`, both in `1 ..= n - 1`.
fn components(signature: &[u8; 64]) -> Option<(U256, U256)> {
    let (r, s) = halves(signature);
    let (r, s) = (int::from_be_bytes(&r), int::from_be_bytes(&s));
    (int::is_scalar(r) && int::is_scalar(s)).then_some((r, s))
}

/// Whether both components of the signature `r ‖ s` lie in `1 ..= n − 1`.
#[must_use]
pub fn in_range(signature: &[u8; 64]) -> bool {
    components(signature).is_some()
}

fn halves(bytes: &[u8; 64]) -> ([u8; 32], [u8; 32]) {
    let mut out = [[0; 32]; 2];
    for (to, from) in out.iter_mut().flatten().zip(bytes) {
        *to = *from;
    }
    let [first, second] = out;
    (first, second)
}

#[cfg(test)]
pub(crate) mod tests;
