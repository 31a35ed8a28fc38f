//! Constructed inputs that a careless decoder or verifier accepts, and inputs without shape.

use hawser_crypto::{
    KeyError, PublicKey, Scheme, SecretKey, Signature, SignatureError, VerifyError, der, keystore,
    secp,
};
use hawser_primitives::{B256, U256};
use proptest::prelude::*;

const SM2_ORDER: &str = "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123";
const SM2_FIELD: &str = "fffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffff";
const SECP_ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
const SECP_FIELD: &str = "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f";

fn number(hex: &str) -> U256 {
    U256::from_str_radix(hex, 16).unwrap()
}

fn join(r: U256, s: U256) -> [u8; 64] {
    let mut out = [0; 64];
    out[..32].copy_from_slice(&r.to_be_bytes::<32>());
    out[32..].copy_from_slice(&s.to_be_bytes::<32>());
    out
}

fn halves(signature: &Signature) -> (U256, U256) {
    let bytes = signature.as_bytes();
    (
        U256::from_be_slice(&bytes[..32]),
        U256::from_be_slice(&bytes[32..]),
    )
}

fn order(scheme: Scheme) -> U256 {
    number(if scheme == Scheme::Sm2 {
        SM2_ORDER
    } else {
        SECP_ORDER
    })
}

/// A valid signature of each curve whose component plus n still fits 32 bytes would be the case
/// that splits nodes, so the components here are small numbers as well as real ones.
#[test]
fn components_outside_one_to_n_minus_one_are_refused() {
    for scheme in [Scheme::Secp256k1, Scheme::Sm2] {
        let n = order(scheme);
        let one = U256::from(1);
        let out_of_range = Err(SignatureError::OutOfRange(scheme));
        let parse = |r, s| Signature::from_bytes(scheme, &join(r, s)).map(|_| ());
        assert_eq!(parse(one, one), Ok(()));
        assert_eq!(parse(n - one, one), Ok(()));
        assert_eq!(parse(U256::ZERO, one), out_of_range);
        assert_eq!(parse(one, U256::ZERO), out_of_range);
        assert_eq!(parse(n, one), out_of_range);
        assert_eq!(parse(one, n), out_of_range);
        assert_eq!(parse(U256::MAX, one), out_of_range);
        assert_eq!(parse(one, U256::MAX), out_of_range);
        assert_eq!(parse(n + one, one), out_of_range, "r + n");
        assert_eq!(parse(one, n + one), out_of_range, "s + n");
    }
}

#[test]
fn sm2_takes_every_s_below_n() {
    let n = order(Scheme::Sm2);
    assert!(Signature::from_bytes(Scheme::Sm2, &join(U256::from(1), n - U256::from(1))).is_ok());
}

/// EIP-2: the largest `s` is (n - 1) / 2.
#[test]
fn secp256k1_refuses_a_high_s_everywhere() {
    let n = order(Scheme::Secp256k1);
    let half = n >> 1;
    let parse = |s| Signature::from_bytes(Scheme::Secp256k1, &join(U256::from(1), s)).map(|_| ());
    assert_eq!(parse(half), Ok(()));
    assert_eq!(parse(half + U256::from(1)), Err(SignatureError::HighS));

    let key = SecretKey::from_seed(Scheme::Secp256k1, &[3; 32]).unwrap();
    let digest = B256::repeat_byte(5);
    let (r_s, parity) = secp::sign_prehash(&key, &digest).unwrap();
    let (r, s) = (
        U256::from_be_slice(&r_s[..32]),
        U256::from_be_slice(&r_s[32..]),
    );
    assert_eq!(
        secp::recover(&digest, &join(r, n - s), !parity),
        Err(VerifyError::Malformed(SignatureError::HighS))
    );
    for (r, s) in [(U256::ZERO, s), (r, U256::ZERO), (n, s), (r, n)] {
        assert_eq!(
            secp::recover(&digest, &join(r, s), parity),
            Err(VerifyError::Malformed(SignatureError::OutOfRange(
                Scheme::Secp256k1
            )))
        );
    }
    // 5 is not the x coordinate of a point on secp256k1.
    assert_eq!(
        secp::recover(&digest, &join(U256::from(5), s), parity),
        Err(VerifyError::Unrecoverable)
    );
}

#[test]
fn signing_a_digest_is_for_secp256k1_keys() {
    for scheme in [Scheme::Ed25519, Scheme::Sm2] {
        let key = SecretKey::from_seed(scheme, &[3; 32]).unwrap();
        assert_eq!(
            secp::sign_prehash(&key, &B256::ZERO),
            Err(KeyError::WrongScheme {
                expected: Scheme::Secp256k1,
                actual: scheme
            })
        );
    }
}

/// With `t = r + s = 0` the key drops out of the equation: r = e + x([s]G) could be solved by
/// anyone who may choose the message.
#[test]
fn sm2_refuses_components_that_add_up_to_n() {
    let n = order(Scheme::Sm2);
    let key = SecretKey::from_seed(Scheme::Sm2, &[3; 32]).unwrap();
    let (r, _) = halves(&key.sign(b"m"));
    let signature = Signature::from_bytes(Scheme::Sm2, &join(r, n - r)).unwrap();
    assert_eq!(
        key.public_key().verify(b"m", &signature),
        Err(VerifyError::Mismatch)
    );
}

#[test]
fn sm2_is_not_malleable_by_negation_or_exchange() {
    let n = order(Scheme::Sm2);
    let key = SecretKey::from_seed(Scheme::Sm2, &[3; 32]).unwrap();
    let (r, s) = halves(&key.sign(b"m"));
    for (r, s) in [(r, n - s), (n - r, s), (n - r, n - s), (s, r)] {
        let signature = Signature::from_bytes(Scheme::Sm2, &join(r, s)).unwrap();
        assert_eq!(
            key.public_key().verify(b"m", &signature),
            Err(VerifyError::Mismatch)
        );
    }
}

#[test]
fn points_off_the_curve_and_at_infinity_are_refused() {
    for (scheme, field) in [(Scheme::Secp256k1, SECP_FIELD), (Scheme::Sm2, SM2_FIELD)] {
        let good = SecretKey::from_seed(scheme, &[9; 32]).unwrap().public_key();
        let not_on_curve = KeyError::NotOnCurve(scheme);
        let refuse = |bytes: &[u8]| PublicKey::from_bytes(scheme, bytes).unwrap_err();

        let mut off = good.to_uncompressed();
        off[64] ^= 1;
        assert_eq!(refuse(&off), not_on_curve);
        // Infinity: one zero byte in SEC 1; and zeros in the other lengths.
        assert_eq!(refuse(&[0]), KeyError::Length { scheme, len: 1 });
        assert_eq!(refuse(&[0; 33]), not_on_curve);
        assert_eq!(refuse(&[0; 65]), not_on_curve);
        assert_eq!(refuse(&[&[4][..], &[0; 64]].concat()), not_on_curve);
        // A coordinate that is not reduced: x = p, and x = p + 1 in compressed form.
        for x in [number(field), number(field) + U256::from(1)] {
            assert_eq!(
                refuse(&[&[2][..], &x.to_be_bytes::<32>()].concat()),
                not_on_curve
            );
        }
        // Hybrid form (6, 7) and unknown leading bytes.
        for first in [0, 1, 4, 5, 6, 7, 0xff] {
            let mut bytes = good.as_bytes().to_vec();
            bytes[0] = first;
            assert_eq!(refuse(&bytes), not_on_curve);
        }
        for first in [0, 1, 2, 3, 5, 6, 7, 0xff] {
            let mut bytes = good.to_uncompressed();
            bytes[0] = first;
            assert_eq!(refuse(&bytes), not_on_curve);
        }
    }
}

#[test]
fn keys_signatures_and_secrets_of_wrong_length_are_refused() {
    for scheme in Scheme::ALL {
        let key = SecretKey::from_seed(scheme, &[9; 32]).unwrap();
        let public = key.public_key().as_bytes().to_vec();
        for len in [0, 1, 31, 32, 33, 34, 63, 64, 65, 66, 128] {
            let bytes: Vec<u8> = public.iter().copied().cycle().take(len).collect();
            let expected_error = KeyError::Length { scheme, len };
            if len != scheme.public_key_len() && !(len == 65 || len == 33) {
                assert_eq!(PublicKey::from_bytes(scheme, &bytes), Err(expected_error));
            }
            if len != 32 {
                assert_eq!(
                    SecretKey::from_bytes(scheme, &bytes).unwrap_err(),
                    expected_error
                );
            }
            if len != 64 {
                assert_eq!(
                    Signature::from_bytes(scheme, &bytes),
                    Err(SignatureError::Length(len))
                );
            }
        }
    }
}

#[test]
fn secret_scalars_outside_their_range_are_refused() {
    let one = U256::from(1);
    for (scheme, largest) in [
        (Scheme::Secp256k1, number(SECP_ORDER) - one),
        (Scheme::Sm2, number(SM2_ORDER) - one - one),
    ] {
        let parse =
            |scalar: U256| SecretKey::from_bytes(scheme, &scalar.to_be_bytes::<32>()).map(|_| ());
        assert_eq!(parse(one), Ok(()));
        assert_eq!(parse(largest), Ok(()));
        for bad in [U256::ZERO, largest + one, largest + one + one, U256::MAX] {
            assert_eq!(parse(bad), Err(KeyError::SecretOutOfRange(scheme)));
        }
    }
}

/// The eight points of small order, and their second encodings, as listed in "Taming the many
/// EdDSAs" (Chalkias, Garillot, Nikolaenko, 2020), table 1.
#[test]
fn ed25519_keys_of_small_order_are_refused() {
    let canonical = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ];
    for key in canonical {
        let key = hex::decode(key).unwrap();
        assert_eq!(
            PublicKey::from_bytes(Scheme::Ed25519, &key),
            Err(KeyError::Weak)
        );
    }
    let not_canonical = [
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ];
    for key in not_canonical {
        let key = hex::decode(key).unwrap();
        assert_eq!(
            PublicKey::from_bytes(Scheme::Ed25519, &key),
            Err(KeyError::NotOnCurve(Scheme::Ed25519))
        );
    }
}

/// y between p and 2^255 names a point a second time; the decoder must not take it.
#[test]
fn ed25519_keys_of_large_order_have_one_encoding() {
    let mut twice = 0;
    for small in 2..19u8 {
        // y = small, and the same y as small + p = small + 2^255 - 19.
        let mut low = [0; 32];
        low[0] = small;
        let mut high = [0xff; 32];
        high[0] = 0xed + small;
        high[31] = 0x7f;
        if PublicKey::from_bytes(Scheme::Ed25519, &low).is_ok() {
            twice += 1;
        }
        assert_eq!(
            PublicKey::from_bytes(Scheme::Ed25519, &high),
            Err(KeyError::NotOnCurve(Scheme::Ed25519))
        );
    }
    assert!(
        twice > 0,
        "some of these y lie on the curve, so the refusal above means something"
    );
}

/// S + L verifies under the equation, so only the range check keeps signatures unique.
#[test]
fn ed25519_scalar_has_to_be_below_the_order() {
    let order = number("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed");
    let key = SecretKey::from_seed(Scheme::Ed25519, &[4; 32]).unwrap();
    let signature = key.sign(b"m");
    let s = U256::from_le_slice(&signature.as_bytes()[32..]);
    let with = |s: U256| {
        let mut bytes = *signature.as_bytes();
        bytes[32..].copy_from_slice(&s.to_le_bytes::<32>());
        Signature::from_bytes(Scheme::Ed25519, &bytes)
    };
    let out_of_range = Err(SignatureError::OutOfRange(Scheme::Ed25519));
    assert_eq!(with(s), Ok(signature));
    assert_eq!(with(s + order), out_of_range);
    assert_eq!(with(order), out_of_range);
    assert!(with(order - U256::from(1)).is_ok());
}

/// A nonce point of small order makes one signature fit under lax rules.
#[test]
fn ed25519_small_order_nonce_points_are_refused() {
    let key = SecretKey::from_seed(Scheme::Ed25519, &[4; 32])
        .unwrap()
        .public_key();
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let signature = Signature::from_bytes(Scheme::Ed25519, &bytes).unwrap();
    assert_eq!(key.verify(b"m", &signature), Err(VerifyError::Mismatch));
}

#[test]
fn der_takes_one_form_only() {
    let key = SecretKey::from_seed(Scheme::Sm2, &[8; 32]).unwrap();
    let signature = key.sign(b"m");
    let good = signature.to_der().unwrap();
    assert_eq!(Signature::from_der(Scheme::Sm2, &good), Ok(signature));
    let one_one = [0x30, 6, 2, 1, 1, 2, 1, 1];
    assert_eq!(
        der::decode(&one_one).unwrap(),
        join(U256::from(1), U256::from(1))
    );
    let bad: [&[u8]; 12] = [
        &[],
        &[0x30],
        &[0x30, 0],
        &[0x31, 6, 2, 1, 1, 2, 1, 1],
        &[0x30, 6, 2, 1, 1, 2, 1, 1, 0],
        &[0x30, 7, 2, 1, 1, 2, 1, 1, 0],
        &[0x30, 5, 2, 1, 1, 2, 1],
        &[0x30, 0x81, 6, 2, 1, 1, 2, 1, 1],
        &[0x30, 7, 2, 2, 0, 1, 2, 1, 1],
        &[0x30, 6, 2, 1, 0x80, 2, 1, 1],
        &[0x30, 5, 2, 0, 2, 1, 1],
        &[0x30, 6, 2, 1, 1, 3, 1, 1],
    ];
    for bytes in bad {
        assert_eq!(der::decode(bytes), Err(SignatureError::Der), "{bytes:02x?}");
    }
    // 33 significant bytes.
    let mut long = vec![0x30, 38, 2, 33];
    long.extend([1; 33]);
    long.extend([2, 1, 1]);
    assert_eq!(der::decode(&long), Err(SignatureError::Der));
    let ed25519 = SecretKey::from_seed(Scheme::Ed25519, &[8; 32])
        .unwrap()
        .sign(b"m");
    assert_eq!(
        ed25519.to_der(),
        Err(SignatureError::NoDer(Scheme::Ed25519))
    );
}

proptest! {
    #[test]
    fn der_and_raw_are_one_to_one(raw in proptest::array::uniform32(any::<u8>()), zeros in 0usize..64) {
        let mut both = [0; 64];
        both[..32].copy_from_slice(&raw);
        both[32..].copy_from_slice(&raw);
        both[..zeros].fill(0);
        let encoded = der::encode(&both);
        prop_assert!(encoded.len() <= 72);
        prop_assert_eq!(der::decode(&encoded), Ok(both));
    }

    #[test]
    fn what_der_decodes_encodes_to_the_same_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(raw) = der::decode(&bytes) {
            prop_assert_eq!(der::encode(&raw), bytes);
        }
    }

    #[test]
    fn decoders_take_any_bytes_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..140)) {
        for scheme in Scheme::ALL {
            let _ = PublicKey::from_bytes(scheme, &bytes);
            let _ = SecretKey::from_bytes(scheme, &bytes);
            let _ = Signature::from_bytes(scheme, &bytes);
            let _ = Signature::from_der(scheme, &bytes);
        }
        if let Ok(key) = borsh::from_slice::<PublicKey>(&bytes) {
            prop_assert_eq!(borsh::to_vec(&key).unwrap(), bytes.clone());
        }
        if let Ok(signature) = borsh::from_slice::<Signature>(&bytes) {
            prop_assert_eq!(borsh::to_vec(&signature).unwrap(), bytes);
        }
    }

    #[test]
    fn near_miss_encodings_decode_to_one_value_or_none(
        scheme in 1u8..=3, seed in any::<u8>(), at in 0usize..65, to in any::<u8>(),
    ) {
        let scheme = Scheme::ALL[usize::from(scheme) - 1];
        let key = SecretKey::from_seed(scheme, &[seed; 32]).unwrap();
        let mut bytes = borsh::to_vec(&key.public_key()).unwrap();
        let len = bytes.len();
        bytes[at % len] = to;
        if let Ok(key) = borsh::from_slice::<PublicKey>(&bytes) {
            prop_assert_eq!(borsh::to_vec(&key).unwrap(), bytes);
            let _ = key.verify(b"m", &SecretKey::from_seed(key.scheme(), &[1; 32]).unwrap().sign(b"m"));
        }
        let good = key.sign(b"m");
        let mut bytes = borsh::to_vec(&good).unwrap();
        bytes[at] = to;
        if let Ok(signature) = borsh::from_slice::<Signature>(&bytes) {
            prop_assert_eq!(
                key.public_key().verify(b"m", &signature).is_ok(),
                signature == good
            );
        }
    }

    #[test]
    fn text_forms_take_any_text_without_panic(text in "\\PC{0,200}") {
        let _ = text.parse::<PublicKey>();
        let _ = text.parse::<Signature>();
        let _ = keystore::decrypt(&text, "x");
        let _ = keystore::decrypt(&format!("{{{text}"), "x");
        let _ = keystore::decrypt(&format!("-----BEGIN ENCRYPTED PRIVATE KEY-----{text}"), "x");
    }
}
