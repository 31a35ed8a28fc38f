//! SM2 digital signatures (GB/T 32918.2) on the recommended curve (GB/T 32918.5).
//!
//! Signing, which handles secrets, uses the constant-time arithmetic of the `sm2` crate. Verifying
//! handles public values only and is that of `hawser-sm-fast`, many times as fast.

use std::sync::{Arc, LazyLock};

use hawser_sm_fast::sm2::{KeyCache, PreparedKey};
use sm2::{
    FieldBytes, ProjectivePoint, Scalar,
    elliptic_curve::{
        Group, PrimeField, ops::Reduce, point::AffineCoordinates, sec1::ToSec1Point,
        subtle::ConstantTimeEq,
    },
};
use sm3::{Digest, Sm3};
use zeroize::{Zeroize, Zeroizing};

use crate::{KeyError, Scheme};

pub(crate) use hawser_sm_fast::sm2::in_range;

/// The identity that enters every SM2 signature of this system: the default of GM/T 0009, which
/// X.509 profiles and other libraries assume as well.
pub const SM2_IDENTITY: &[u8] = hawser_sm_fast::sm2::IDENTITY;

/// A public key ready to verify with.
pub(crate) type VerifyKey = Arc<PreparedKey>;

/// Half of the keys that stay prepared. All of them together take 55 MB at most.
const KEYS_KEPT_HALF: usize = 2048;

/// Keys that were decoded before, so that one that comes again has its table already.
static KEYS: LazyLock<KeyCache> = LazyLock::new(|| KeyCache::new(KEYS_KEPT_HALF));

/// Decodes a point in SEC 1 form (2.3.4): `2 ‖ x`, `3 ‖ x` or `4 ‖ x ‖ y`.
pub(crate) fn decode(sec1: &[u8]) -> Result<VerifyKey, KeyError> {
    KEYS.get(sec1).ok_or(KeyError::NotOnCurve(Scheme::Sm2))
}

/// A secret key with what signing needs.
#[derive(Clone)]
pub(crate) struct SignKey {
    d: Scalar,
    /// `(1 + d)^-1`, which every signature multiplies by.
    inverse: Scalar,
}

impl Drop for SignKey {
    fn drop(&mut self) {
        self.d.zeroize();
        self.inverse.zeroize();
    }
}

impl SignKey {
    /// Takes a scalar in `1 ..= n - 2`, 32 bytes big endian (GB/T 32918.1 section 6.1: `n - 1`
    /// would make `1 + d` vanish).
    pub(crate) fn decode(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let out_of_range = KeyError::SecretOutOfRange(Scheme::Sm2);
        let d = parse_scalar(bytes).ok_or(out_of_range)?;
        let inverse = (d + Scalar::ONE)
            .invert()
            .into_option()
            .ok_or(out_of_range)?;
        Ok(Self { d, inverse })
    }

    /// The scalar, 32 bytes big endian.
    pub(crate) fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.d.to_repr().into())
    }

    /// The scalar, for agreement and decryption.
    pub(crate) const fn scalar(&self) -> &Scalar {
        &self.d
    }

    /// The public key `[d]G`.
    pub(crate) fn verify_key(&self) -> Result<VerifyKey, KeyError> {
        let point = ProjectivePoint::mul_by_generator(&self.d).to_affine();
        decode(point.to_sec1_point(false).as_bytes())
    }

    /// Signs a message (GB/T 32918.2 section 6.1) with nonces of RFC 6979 over SM3.
    pub(crate) fn sign(&self, public: &PreparedKey, message: &[u8]) -> [u8; 64] {
        let e = reduce(&public.digest(message));
        let mut nonces = Nonces::new(&self.to_bytes(), &e.to_repr().into());
        loop {
            if let Some(signature) = self.sign_with_nonce(e, &nonces.next_nonce()) {
                return signature;
            }
        }
    }

    /// Steps A4 to A7; `None` where the nonce does not serve, which happens once in 2^250 signatures.
    fn sign_with_nonce(&self, e: Scalar, nonce: &Scalar) -> Option<[u8; 64]> {
        let x = ProjectivePoint::mul_by_generator(nonce).to_affine().x();
        let r = e + Scalar::reduce(&x);
        if bool::from(r.is_zero() | (r + nonce).ct_eq(&Scalar::ZERO)) {
            return None;
        }
        let s = self.inverse * (*nonce - r * self.d);
        if bool::from(s.is_zero()) {
            return None;
        }
        Some(join(&r.to_repr().into(), &s.to_repr().into()))
    }
}

/// Nonces of RFC 6979 section 3.2 with SM3 and the order of the SM2 curve.
struct Nonces {
    key: Zeroizing<[u8; 32]>,
    value: Zeroizing<[u8; 32]>,
    /// Whether `value` has been drawn, so that the state has to move on first.
    used: bool,
}

impl Nonces {
    /// From the secret scalar and the digest reduced modulo n.
    fn new(secret: &[u8; 32], digest: &[u8; 32]) -> Self {
        let mut this = Self {
            key: Zeroizing::new([0; 32]),
            value: Zeroizing::new([1; 32]),
            used: false,
        };
        this.mix(&[&[0], secret, digest]);
        this.mix(&[&[1], secret, digest]);
        this
    }

    fn mix(&mut self, parts: &[&[u8]]) {
        self.key = hmac(&self.key, &self.value, parts);
        self.value = hmac(&self.key, &self.value, &[]);
    }

    /// The next scalar in `1 ..= n - 1`. One draw in 2^32 falls outside.
    fn next_nonce(&mut self) -> Zeroizing<Scalar> {
        loop {
            if self.used {
                self.mix(&[&[0]]);
            }
            self.value = hmac(&self.key, &self.value, &[]);
            self.used = true;
            if let Some(nonce) = parse_scalar(&self.value) {
                return Zeroizing::new(nonce);
            }
        }
    }
}

/// HMAC-SM3 (RFC 2104) of `first` followed by `rest`, under a key of 32 bytes.
fn hmac(key: &[u8; 32], first: &[u8; 32], rest: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let pad = |byte: u8| {
        let mut block = Zeroizing::new([byte; 64]);
        for (to, from) in block.iter_mut().zip(key) {
            *to ^= from;
        }
        block
    };
    let mut inner = Sm3::new();
    inner.update(pad(0x36).as_slice());
    inner.update(first);
    for part in rest {
        inner.update(part);
    }
    let mut outer = Sm3::new();
    outer.update(pad(0x5c).as_slice());
    outer.update(inner.finalize());
    Zeroizing::new(outer.finalize().into())
}

/// A scalar in `1 ..= n - 1` from 32 bytes big endian.
pub(crate) fn parse_scalar(bytes: &[u8; 32]) -> Option<Scalar> {
    let scalar = Scalar::from_repr(FieldBytes::from(*bytes)).into_option()?;
    (!bool::from(scalar.is_zero())).then_some(scalar)
}

fn reduce(bytes: &[u8; 32]) -> Scalar {
    Scalar::reduce(&FieldBytes::from(*bytes))
}

fn join(first: &[u8; 32], second: &[u8; 32]) -> [u8; 64] {
    let mut out = [0; 64];
    for (to, from) in out.iter_mut().zip(first.iter().chain(second)) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests;
