//! Ed25519 with the strict rules that every node must share.

use ed25519_dalek::{Signature as DalekSignature, Signer, SigningKey, VerifyingKey};

use crate::{KeyError, Scheme};

/// Order of the group, 2^252 + 27742317777372353535851937790883648493, little endian (RFC 8032).
const ORDER_LE: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Decodes a public key; refuses non-canonical encodings and points of small order.
pub(crate) fn decode(bytes: &[u8; 32]) -> Result<VerifyingKey, KeyError> {
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotOnCurve(Scheme::Ed25519))?;
    // The decoder reduces y modulo p and keeps the bytes it was given; encoding the point again
    // shows whether they were the only encoding.
    if key.to_edwards().compress().as_bytes() != bytes {
        return Err(KeyError::NotOnCurve(Scheme::Ed25519));
    }
    if key.is_weak() {
        return Err(KeyError::Weak);
    }
    Ok(key)
}

/// Whether the scalar half of a signature is below the order of the group.
pub(crate) fn scalar_in_range(s: &[u8; 32]) -> bool {
    s.iter().rev().lt(ORDER_LE.iter().rev())
}

/// Verifies under the strict rules: `S` in range, neither `R` nor the key of small order, and the
/// equation without cofactor.
pub(crate) fn verify(key: &VerifyingKey, message: &[u8], signature: &[u8; 64]) -> bool {
    key.verify_strict(message, &DalekSignature::from_bytes(signature))
        .is_ok()
}

/// Signs a message (RFC 8032 section 5.1.6).
pub(crate) fn sign(key: &SigningKey, message: &[u8]) -> [u8; 64] {
    key.sign(message).to_bytes()
}
