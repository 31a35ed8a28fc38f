//! SM2 digital signatures (GB/T 32918.2) on the recommended curve (GB/T 32918.5).
//!
//! Signing, which handles secrets, uses the constant-time arithmetic of the `sm2` crate. Verifying
//! handles public values only and has its own arithmetic ([`field`], [`point`]), several times as
//! fast; tests hold it against the `sm2` crate, the standard's example and constructed cases.

mod field;
mod int;
mod point;

use std::sync::{
    OnceLock,
    atomic::{AtomicU8, Ordering},
};

use sm2::{
    FieldBytes, ProjectivePoint, Scalar,
    elliptic_curve::{
        Group, PrimeField, ops::Reduce, point::AffineCoordinates, sec1::ToSec1Point,
        subtle::ConstantTimeEq,
    },
};
use sm3::{Digest, Sm3};
use zeroize::{Zeroize, Zeroizing};

use field::Fe;
use int::U256;
use point::{Affine, Tables};

use crate::{KeyError, Scheme, signature::split};

/// The identity that enters every SM2 signature of this system: the default of GM/T 0009, which
/// X.509 profiles and other libraries assume as well.
pub const SM2_IDENTITY: &[u8] = b"1234567812345678";

/// `ENTL ‖ ID ‖ a ‖ b ‖ xG ‖ yG`, the part of Z that is the same for every key
/// (GB/T 32918.2 section 5.5; the curve is that of GB/T 32918.5).
const Z_PREFIX: [&[u8]; 6] = [
    &[0x00, 0x80],
    SM2_IDENTITY,
    &[
        0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xfc,
    ],
    &[
        0x28, 0xe9, 0xfa, 0x9e, 0x9d, 0x9f, 0x5e, 0x34, 0x4d, 0x5a, 0x9e, 0x4b, 0xcf, 0x65, 0x09,
        0xa7, 0xf3, 0x97, 0x89, 0xf5, 0x15, 0xab, 0x8f, 0x92, 0xdd, 0xbc, 0xbd, 0x41, 0x4d, 0x94,
        0x0e, 0x93,
    ],
    &[
        0x32, 0xc4, 0xae, 0x2c, 0x1f, 0x19, 0x81, 0x19, 0x5f, 0x99, 0x04, 0x46, 0x6a, 0x39, 0xc9,
        0x94, 0x8f, 0xe3, 0x0b, 0xbf, 0xf2, 0x66, 0x0b, 0xe1, 0x71, 0x5a, 0x45, 0x89, 0x33, 0x4c,
        0x74, 0xc7,
    ],
    &[
        0xbc, 0x37, 0x36, 0xa2, 0xf4, 0xf6, 0x77, 0x9c, 0x59, 0xbd, 0xce, 0xe3, 0x6b, 0x69, 0x21,
        0x53, 0xd0, 0xa9, 0x87, 0x7c, 0xc6, 0x2a, 0x47, 0x40, 0x02, 0xdf, 0x32, 0xe5, 0x21, 0x39,
        0xf0, 0xa0,
    ],
];

/// Verifications after which a key gets tables. Building them costs about as much as they save in
/// two verifications, so keys that are seen once or twice do without.
const USES_BEFORE_TABLES: u8 = 2;

/// A public key ready to verify with.
pub(crate) struct VerifyKey {
    point: Affine,
    xy: [u8; 64],
    z: [u8; 32],
    /// Verifications so far, up to the number that earns the key its tables.
    uses: AtomicU8,
    tables: OnceLock<Tables>,
}

impl VerifyKey {
    /// Decodes a point in SEC 1 form (2.3.4): `2 ‖ x`, `3 ‖ x` or `4 ‖ x ‖ y`.
    pub(crate) fn decode(sec1: &[u8]) -> Result<Self, KeyError> {
        let point = match sec1 {
            [tag @ (2 | 3), x @ ..] => <&[u8; 32]>::try_from(x)
                .ok()
                .and_then(|x| Affine::decompress(int::from_be_bytes(x), *tag == 3)),
            [4, xy @ ..] => <&[u8; 64]>::try_from(xy).ok().and_then(|xy| {
                let (x, y) = split(xy);
                Affine::new(int::from_be_bytes(&x), int::from_be_bytes(&y))
            }),
            _ => None,
        };
        point
            .map(Self::new)
            .ok_or(KeyError::NotOnCurve(Scheme::Sm2))
    }

    fn new(point: Affine) -> Self {
        let xy = join(
            &int::to_be_bytes(point.x.to_int()),
            &int::to_be_bytes(point.y.to_int()),
        );
        let mut hasher = Sm3::new();
        for part in Z_PREFIX {
            hasher.update(part);
        }
        hasher.update(xy);
        let z = hasher.finalize().into();
        Self {
            point,
            xy,
            z,
            uses: AtomicU8::new(0),
            tables: OnceLock::new(),
        }
    }

    /// The point in compressed form, 33 bytes.
    pub(crate) fn compressed(&self) -> Vec<u8> {
        let (x, y) = split(&self.xy);
        let parity = y.last().map_or(0, |byte| byte & 1);
        std::iter::once(2 | parity).chain(x).collect()
    }

    /// `x ‖ y`.
    pub(crate) fn xy(&self) -> &[u8; 64] {
        &self.xy
    }

    /// The digest `e = SM3(Z ‖ m)` that is signed.
    pub(crate) fn digest(&self, message: &[u8]) -> [u8; 32] {
        let mut hasher = Sm3::new();
        hasher.update(self.z);
        hasher.update(message);
        hasher.finalize().into()
    }

    /// Verifies `r ‖ s` over a message (GB/T 32918.2 section 7.1). Variable time: everything here
    /// is public.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let tables = match self.tables.get() {
            None if self.uses.fetch_add(1, Ordering::Relaxed) >= USES_BEFORE_TABLES => {
                // The counter may wrap while other threads still verify; it decides only speed.
                Some(self.tables.get_or_init(|| Tables::of_key(self.point)))
            }
            tables => tables,
        };
        self.verify_digest(&self.digest(message), signature, tables)
    }

    /// Verifies `r ‖ s` over a digest with a key that is not kept.
    pub(crate) fn verify_digest_once(&self, e: &[u8; 32], signature: &[u8; 64]) -> bool {
        self.verify_digest(e, signature, None)
    }

    fn verify_digest(&self, e: &[u8; 32], signature: &[u8; 64], tables: Option<&Tables>) -> bool {
        // B1, B2: both in 1 ..= n - 1.
        let Some((r, s)) = components(signature) else {
            return false;
        };
        // B5: t = r + s, refused if zero.
        let t = int::add_mod_n(r, s);
        if t == [0; 4] {
            return false;
        }
        // B6: [s]G + [t]P. Infinity has no x coordinate and is refused.
        let sum = match tables {
            Some(tables) => point::multiply_with_tables(s, t, tables),
            None => point::multiply(s, t, self.point),
        };
        // B7: r = e + x modulo n. As x is below p and p below 2n, x can be r - e or r - e + n.
        let x = int::sub_mod_n(r, int::reduce(int::from_be_bytes(e)));
        let is_x = |x| Fe::from_int(x).is_some_and(|x| sum.has_x(x));
        is_x(x) || matches!(int::add(x, int::N), (x, false) if is_x(x))
    }
}

/// The key with the point `x ‖ y`, if that is on the curve.
pub(crate) fn with_uncompressed(xy: &[u8; 64]) -> Option<VerifyKey> {
    let (x, y) = split(xy);
    Affine::new(int::from_be_bytes(&x), int::from_be_bytes(&y)).map(VerifyKey::new)
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
        VerifyKey::decode(point.to_sec1_point(false).as_bytes())
    }

    /// Signs a message (GB/T 32918.2 section 6.1) with nonces of RFC 6979 over SM3.
    pub(crate) fn sign(&self, public: &VerifyKey, message: &[u8]) -> [u8; 64] {
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

/// `r` and `s`, both in `1 ..= n - 1`.
fn components(signature: &[u8; 64]) -> Option<(U256, U256)> {
    let (r, s) = split(signature);
    let (r, s) = (int::from_be_bytes(&r), int::from_be_bytes(&s));
    (int::is_scalar(r) && int::is_scalar(s)).then_some((r, s))
}

/// Whether both components lie in `1 ..= n - 1`.
pub(crate) fn in_range(signature: &[u8; 64]) -> bool {
    components(signature).is_some()
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
