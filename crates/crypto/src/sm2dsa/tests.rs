//! The scheme against the standard's example, against the `sm2` crate, and in the corners that a
//! signer may steer into.

use proptest::prelude::*;
use sm2::dsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use sm2::elliptic_curve::ops::MulByGeneratorVartime;

use super::*;

const IDENTITY: &str = "1234567812345678";

fn secret(seed: u8) -> SignKey {
    SignKey::decode(&[seed; 32]).unwrap()
}

fn reference(key: &VerifyKey) -> sm2::dsa::VerifyingKey {
    let sec1 = [&[4][..], key.xy()].concat();
    sm2::dsa::VerifyingKey::from_sec1_bytes(IDENTITY, &sec1).unwrap()
}

/// Both ways of multiplying must agree with the reference on every input.
fn verify_all(key: &VerifyKey, e: &[u8; 32], signature: &[u8; 64]) -> bool {
    let plain = key.verify_digest(e, signature, None);
    let tables = key.verify_digest(e, signature, Some(&Tables::of_key(key.point)));
    let expected = sm2::dsa::Signature::from_slice(signature)
        .is_ok_and(|signature| reference(key).verify_prehash(e, &signature).is_ok());
    assert_eq!((plain, tables), (expected, expected));
    expected
}

/// GB/T 32918.5 annex A.2, with the nonce that the example uses.
#[test]
fn signs_the_example_of_the_standard() {
    let scalar = |text: &str| parse_scalar(&hex::decode(text).unwrap().try_into().unwrap());
    let d = scalar("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8").unwrap();
    let key = SignKey::decode(&d.to_repr().into()).unwrap();
    let public = key.verify_key().unwrap();
    assert_eq!(
        hex::encode(public.z),
        "b2e14c5c79c6df5b85f4fe7ed8db7a262b9da7e07ccb0ea9f4747b8ccda8a4f3"
    );
    let e = public.digest(b"message digest");
    assert_eq!(
        hex::encode(e),
        "f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640"
    );
    let nonce = scalar("59276e27d506861a16680f3ad9c02dccef3cc1fa3cdbe4ce6d54b80deac1bc21").unwrap();
    let signature = key.sign_with_nonce(reduce(&e), &nonce).unwrap();
    assert_eq!(
        hex::encode(signature),
        "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3\
         b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
    );
    assert!(verify_all(&public, &e, &signature));
}

#[test]
fn signatures_are_those_of_the_reference_bit_by_bit() {
    for seed in 1..20 {
        let key = secret(seed);
        let public = key.verify_key().unwrap();
        let theirs = sm2::dsa::SigningKey::from_slice(IDENTITY, &*key.to_bytes()).unwrap();
        let e = public.digest(&[seed]);
        let expected = theirs.sign_prehash(&e).unwrap();
        assert_eq!(key.sign(&public, &[seed])[..], expected.to_bytes()[..]);
    }
}

/// RFC 6979 section 3.2, step h.3: after a candidate, K = HMAC(K, V ‖ 0) and V = HMAC(K, V). The
/// first candidate is held against the reference by the signatures above.
#[test]
fn the_second_nonce_is_that_of_rfc_6979() {
    let mut nonces = Nonces::new(&[1; 32], &[2; 32]);
    let first = nonces.next_nonce();
    let (key, value) = (nonces.key.clone(), nonces.value.clone());
    assert_eq!(first.to_repr()[..], value[..]);
    let key = hmac(&key, &value, &[&[0]]);
    let value = hmac(&key, &value, &[]);
    let expected = hmac(&key, &value, &[]);
    assert_eq!(nonces.next_nonce().to_repr()[..], expected[..]);
}

#[test]
fn a_key_gets_its_tables_after_some_uses_and_verifies_the_same() {
    let key = secret(5);
    let public = key.verify_key().unwrap();
    let signature = key.sign(&public, b"m");
    for use_number in 0..6u8 {
        assert_eq!(
            public.tables.get().is_some(),
            use_number > USES_BEFORE_TABLES
        );
        assert!(public.verify(b"m", &signature));
        assert!(!public.verify_digest(&[1; 32], &signature, public.tables.get()));
    }
}

/// With r = e and s = −r d / (1 + d) the sum `[s]G + [t]P` is infinity, which a verifier that
/// takes its x coordinate for 0 accepts.
#[test]
fn a_sum_at_infinity_is_refused() {
    for seed in 1..8 {
        let key = secret(seed);
        let e = [7; 32];
        let r = reduce(&e);
        let s = -(r * key.d) * key.inverse;
        let signature = join(&r.to_repr().into(), &s.to_repr().into());
        assert!(!verify_all(&key.verify_key().unwrap(), &e, &signature));
    }
}

/// With t = r + s = 0 the key drops out of the equation, and anyone can solve it for a digest.
#[test]
fn a_signature_that_fits_every_key_is_refused() {
    for seed in 1..8 {
        let s = reduce(&[seed; 32]);
        let x = ProjectivePoint::mul_by_generator(&s).to_affine().x();
        let r = -s;
        let e = (r - Scalar::reduce(&x)).to_repr().into();
        let signature = join(&r.to_repr().into(), &s.to_repr().into());
        assert!(!verify_all(
            &secret(seed).verify_key().unwrap(),
            &e,
            &signature
        ));
    }
}

/// A signature made by its equation for any `s` and `t` of our choice: `x` of `[s]G + [t]P`,
/// `r = t − s`, `e = r − x`.
fn forge(key: &SignKey, s: Scalar, t: Scalar) -> Option<([u8; 32], [u8; 64])> {
    let p = ProjectivePoint::mul_by_generator(&key.d);
    let sum = ProjectivePoint::mul_by_generator_and_mul_add_vartime(&s, &t, &p);
    let r = t - s;
    let usable = !bool::from(sum.is_identity() | r.is_zero() | s.is_zero() | t.is_zero());
    usable.then(|| {
        let e = r - Scalar::reduce(&sum.to_affine().x());
        (
            e.to_repr().into(),
            join(&r.to_repr().into(), &s.to_repr().into()),
        )
    })
}

/// Small, large, sparse and repeated scalars, with small secret keys: their sums run through equal
/// and opposite points half-way, where an addition formula divides by zero.
#[test]
fn scalars_at_the_edges_multiply_as_in_the_reference() {
    let small = |value: u64| Scalar::from(value);
    let half = Scalar::from_repr({
        let mut bytes = [0; 32];
        bytes[15] = 1;
        FieldBytes::from(bytes)
    })
    .unwrap();
    let edges: Vec<Scalar> = [1, 2, 3, 5, 31, 32, 33, 255, 256, 257, 511, 1 << 32]
        .into_iter()
        .flat_map(|value| {
            [
                small(value),
                -small(value),
                half * small(value),
                half + small(value),
            ]
        })
        .collect();
    let mut seen = 0;
    for d in [small(1), small(2), small(3), half, -small(2), -half] {
        let key = SignKey::decode(&d.to_repr().into()).unwrap();
        let public = key.verify_key().unwrap();
        let tables = Tables::of_key(public.point);
        for s in &edges {
            for t in &edges {
                let Some((e, signature)) = forge(&key, *s, *t) else {
                    continue;
                };
                assert!(public.verify_digest(&e, &signature, None));
                assert!(public.verify_digest(&e, &signature, Some(&tables)));
                let mut wrong = e;
                wrong[31] ^= 1;
                assert!(!public.verify_digest(&wrong, &signature, None));
                assert!(!public.verify_digest(&wrong, &signature, Some(&tables)));
                seen += 1;
            }
        }
    }
    assert!(seen > 10_000);
}

/// x between n and p stands for x − n in the equation. Such points are one in 2^128 by chance, so
/// one is looked up and a key is solved for it: with s = 1 and t = 2 it is (Q − G) / 2.
#[test]
fn an_x_coordinate_from_n_up_counts_modulo_n() {
    let (x, q) = (0..100u64)
        .find_map(|i| {
            let x = int::add(int::N, [i, 0, 0, 0]).0;
            let sec1 = [&[2][..], &int::to_be_bytes(x)].concat();
            Some((
                i,
                sm2::PublicKey::from_sec1_bytes(&sec1).ok()?.to_projective(),
            ))
        })
        .unwrap();
    let two = Scalar::ONE + Scalar::ONE;
    let p = (q - ProjectivePoint::GENERATOR) * two.invert().unwrap();
    let key = VerifyKey::decode(p.to_affine().to_sec1_point(false).as_bytes()).unwrap();
    let e = (Scalar::ONE - Scalar::from(x)).to_repr().into();
    let one = Scalar::ONE.to_repr().into();
    assert!(verify_all(&key, &e, &join(&one, &one)));
}

#[test]
fn decoding_agrees_with_the_reference_on_every_small_x() {
    let mut on_curve = 0;
    for i in 0..200u64 {
        for base in [[0; 4], int::N, int::sub(int::N, [100, 0, 0, 0]).0] {
            let x = int::to_be_bytes(int::add(base, [i, 0, 0, 0]).0);
            for tag in [2, 3] {
                let sec1 = [&[tag][..], &x].concat();
                let theirs = sm2::PublicKey::from_sec1_bytes(&sec1);
                match (VerifyKey::decode(&sec1), theirs) {
                    (Ok(ours), Ok(theirs)) => {
                        on_curve += 1;
                        assert_eq!(ours.compressed(), sec1);
                        let uncompressed = theirs.to_sec1_point(false);
                        assert_eq!(&uncompressed.as_bytes()[1..], ours.xy());
                    }
                    (ours, theirs) => assert!(ours.is_err() && theirs.is_err()),
                }
            }
        }
    }
    assert!(on_curve > 300);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn acceptance_is_that_of_the_reference(
        seed in 1u8..100, e: [u8; 32], flip in 0usize..512, message: [u8; 8],
    ) {
        let key = secret(seed);
        let public = key.verify_key().unwrap();
        let good = key.sign(&public, &message);
        prop_assert!(verify_all(&public, &public.digest(&message), &good));
        prop_assert!(!verify_all(&public, &e, &good));
        let mut bad = good;
        bad[flip / 8] ^= 1 << (flip % 8);
        prop_assert!(!verify_all(&public, &public.digest(&message), &bad));
    }

    #[test]
    fn equations_solved_for_any_scalars_hold(seed in 1u8..100, s: [u8; 32], t: [u8; 32]) {
        if let Some((e, signature)) = forge(&secret(seed), reduce(&s), reduce(&t)) {
            prop_assert!(verify_all(&secret(seed).verify_key().unwrap(), &e, &signature));
        }
    }
}
