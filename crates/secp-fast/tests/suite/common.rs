//! What the tests compare with: libsecp256k1, and signatures made at will.

use std::sync::LazyLock;

use hawser_secp_fast::Signature;
use k256::{
    ProjectivePoint, Scalar,
    elliptic_curve::{PrimeField, sec1::ToEncodedPoint},
};
use rand::{RngCore, rngs::StdRng};
use secp256k1::{
    All, Message, Secp256k1, SecretKey,
    ecdsa::{RecoverableSignature, RecoveryId},
};

pub static SECP256K1: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

/// What libsecp256k1 recovers.
pub fn reference(signature: &Signature) -> Option<[u8; 64]> {
    let id = if signature.y_parity {
        RecoveryId::One
    } else {
        RecoveryId::Zero
    };
    let parsed = RecoverableSignature::from_compact(&signature.r_s, id).ok()?;
    let message = Message::from_digest(signature.prehash);
    let key = SECP256K1.recover_ecdsa(message, &parsed).ok()?;
    let [_, xy @ ..] = key.serialize_uncompressed();
    Some(xy)
}

/// 32 random bytes, now and then with long runs of equal bits.
pub fn bytes(rng: &mut StdRng) -> [u8; 32] {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    if rng.next_u32().is_multiple_of(16) {
        let (from, to) = (rng.next_u32() as usize % 32, rng.next_u32() as usize % 32);
        let fill = if rng.next_u32().is_multiple_of(2) {
            0
        } else {
            0xff
        };
        bytes[from.min(to)..=from.max(to)].fill(fill);
    }
    bytes
}

pub fn scalar(bytes: [u8; 32]) -> Scalar {
    Option::from(Scalar::from_repr(bytes.into())).unwrap_or(Scalar::ONE)
}

pub fn xy(point: &ProjectivePoint) -> Option<[u8; 64]> {
    let encoded = point.to_affine().to_encoded_point(false);
    encoded.as_bytes().get(1..)?.try_into().ok()
}

/// Random secret keys with their points.
pub fn key(rng: &mut StdRng) -> (SecretKey, [u8; 64]) {
    loop {
        if let Ok(secret) = SecretKey::from_byte_array(bytes(rng)) {
            let [_, xy @ ..] = secret.public_key(&SECP256K1).serialize_uncompressed();
            return (secret, xy);
        }
    }
}

/// A signature of a random digest, made by libsecp256k1.
pub fn signed(rng: &mut StdRng, secret: &SecretKey) -> Signature {
    let prehash = bytes(rng);
    let signature = SECP256K1.sign_ecdsa_recoverable(Message::from_digest(prehash), secret);
    let (id, r_s) = signature.serialize_compact();
    let y_parity = id == RecoveryId::One;
    Signature {
        prehash,
        r_s,
        y_parity,
    }
}

/// The signature that has these numbers, from which the key `(s R − e G) / r` is recovered, where
/// `R = nonce G`; none where R has no x below n or the parts are out of range.
pub fn crafted(nonce: Scalar, e: Scalar, s: Scalar) -> Option<Signature> {
    let point = (ProjectivePoint::GENERATOR * nonce).to_affine();
    let encoded = point.to_encoded_point(false);
    let x: [u8; 32] = (*encoded.x()?).into();
    let r: Option<Scalar> = Scalar::from_repr(x.into()).into();
    r?;
    let mut r_s = [0; 64];
    r_s[..32].copy_from_slice(&x);
    r_s[32..].copy_from_slice(&s.to_repr());
    Some(Signature {
        prehash: e.to_repr().into(),
        r_s,
        y_parity: encoded.y()?[31] & 1 == 1,
    })
}
