//! ECDSA over secp256k1: recovery and signing of digests, for Ethereum envelopes; one by one, and
//! for many at once ([`recover_many`], `docs/spec/secp-verification.md`).

mod batch;
mod cache;

pub use batch::{KEY_CACHE_BYTES_MAX, Path, Recoverer, Request, recover_many};
pub use cache::KeyCache;

use std::sync::LazyLock;

use hawser_primitives::{Address, B256};
use secp256k1::{
    All, Message, PublicKey as Point, Secp256k1, SecretKey as SecretScalar,
    ecdsa::{RecoverableSignature, RecoveryId, Signature as EcdsaSignature},
};

use crate::{KeyError, PublicKey, Scheme, SecretKey, SignatureError, Suite, VerifyError};

/// Tables of the C library, built once.
static CONTEXT: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

/// Order n of the group (SEC 2 section 2.4.1), big endian.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
    0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];

/// (n − 1) / 2, the largest `s` accepted (EIP-2), big endian.
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

/// Finds the key that signed `prehash`, and its address.
///
/// `r_s` is `r ‖ s`, 32 bytes each, big endian; `y_parity` is the parity of the nonce point's y
/// coordinate (EIP-1559; `v` of older envelopes carries the same bit).
///
/// # Errors
/// [`VerifyError::Malformed`] for components out of range and for a high `s` (EIP-2),
/// [`VerifyError::Unrecoverable`] where `r` is not the x coordinate of a point.
pub fn recover(
    prehash: &B256,
    r_s: &[u8; 64],
    y_parity: bool,
) -> Result<(PublicKey, Address), VerifyError> {
    check_range(r_s)?;
    let id = if y_parity {
        RecoveryId::One
    } else {
        RecoveryId::Zero
    };
    let signature =
        RecoverableSignature::from_compact(r_s, id).map_err(|_| VerifyError::Unrecoverable)?;
    let point = CONTEXT
        .recover_ecdsa(Message::from_digest(prehash.0), &signature)
        .map_err(|_| VerifyError::Unrecoverable)?;
    let key = PublicKey::from_secp256k1(point);
    let address = key.address();
    Ok((key, address))
}

/// Signs a digest with the nonce of RFC 6979. Returns `r ‖ s` with low `s`, and the parity that
/// [`recover`] takes.
///
/// # Errors
/// [`KeyError::WrongScheme`] unless the key is a secp256k1 key.
pub fn sign_prehash(key: &SecretKey, prehash: &B256) -> Result<([u8; 64], bool), KeyError> {
    let secret = key.secp256k1().ok_or(KeyError::WrongScheme {
        expected: Scheme::Secp256k1,
        actual: key.scheme(),
    })?;
    Ok(sign_recoverable(secret, prehash))
}

fn sign_recoverable(secret: &SecretScalar, prehash: &B256) -> ([u8; 64], bool) {
    let (id, r_s) = CONTEXT
        .sign_ecdsa_recoverable(Message::from_digest(prehash.0), secret)
        .serialize_compact();
    // The ids 2 and 3 mean r + n as x coordinate, which no one has ever found an example of by
    // chance (one signature in 2^127); the parity is the low bit in any case.
    (r_s, i32::from(id) & 1 == 1)
}

/// Decodes a point from SEC 1 form, compressed or uncompressed.
pub(crate) fn decode(sec1: &[u8]) -> Result<Point, KeyError> {
    Point::from_slice(sec1).map_err(|_| KeyError::NotOnCurve(Scheme::Secp256k1))
}

pub(crate) fn decode_secret(bytes: &[u8; 32]) -> Result<SecretScalar, KeyError> {
    SecretScalar::from_byte_array(*bytes).map_err(|_| KeyError::SecretOutOfRange(Scheme::Secp256k1))
}

pub(crate) fn public(secret: &SecretScalar) -> Point {
    Point::from_secret_key(&CONTEXT, secret)
}

/// `r` and `s` in `1 ..= n − 1`, and `s` in the lower half.
pub(crate) fn check_range(signature: &[u8; 64]) -> Result<(), SignatureError> {
    let (r, s) = crate::signature::split(signature);
    let zero = [0; 32];
    if r == zero || s == zero || r >= ORDER || s >= ORDER {
        return Err(SignatureError::OutOfRange(Scheme::Secp256k1));
    }
    if s > HALF_ORDER {
        return Err(SignatureError::HighS);
    }
    Ok(())
}

/// Signs Keccak-256 of a message.
pub(crate) fn sign(secret: &SecretScalar, message: &[u8]) -> [u8; 64] {
    sign_recoverable(secret, &Suite::Intl.hash(message)).0
}

/// Verifies a signature over Keccak-256 of a message. The library refuses a high `s` by itself.
pub(crate) fn verify(point: &Point, message: &[u8], signature: &[u8; 64]) -> bool {
    let digest = Message::from_digest(Suite::Intl.hash(message).0);
    EcdsaSignature::from_compact(signature)
        .is_ok_and(|signature| CONTEXT.verify_ecdsa(digest, &signature, point).is_ok())
}
