//! What the tests compare with: libsecp256k1, and signatures made at will.
#![allow(dead_code, unreachable_pub)]

use std::sync::LazyLock;

use hawser_secp_fast::Signature;
use k256::{
    ProjectivePoint, Scalar,
    elliptic_curve::{PrimeField, sec1::ToEncodedPoint},
};
use rand::{RngCore, rngs::StdRng};
use secp256k1::{
    All, Message, Secp256k1,
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
    if rng.next_u32() % 16 == 0 {
        let (from, to) = (rng.next_u32() as usize % 32, rng.next_u32() as usize % 32);
        let fill = if rng.next_u32() % 2 == 0 { 0 } else { 0xff };
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

/// A random key and a random signature of it, made by libsecp256k1.
pub fn signed(rng: &mut StdRng) -> (Signature, [u8; 64]) {
    loop {
        let prehash = bytes(rng);
        let Ok(secret) = secp256k1::SecretKey::from_byte_array(bytes(rng)) else {
            continue;
        };
        let message = Message::from_digest(prehash);
        let signature = SECP256K1.sign_ecdsa_recoverable(message, &secret);
        let (id, r_s) = signature.serialize_compact();
        let [_, xy @ ..] = secret.public_key(&SECP256K1).serialize_uncompressed();
        let y_parity = id == RecoveryId::One;
        return (
            Signature {
                prehash,
                r_s,
                y_parity,
            },
            xy,
        );
    }
}
