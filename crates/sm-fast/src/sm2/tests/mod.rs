//! The verifier against the standard's example, against the `sm2` crate, and in the corners that a
//! signer may steer into.

use std::sync::Mutex;

use proptest::prelude::*;
use sm2::dsa::signature::hazmat::PrehashVerifier;
use sm2::elliptic_curve::{
    Group, PrimeField,
    ops::{MulByGeneratorVartime, Reduce},
    point::AffineCoordinates,
    sec1::ToSec1Point,
};
use sm2::{FieldBytes, ProjectivePoint, Scalar};

use super::*;

mod random;

/// Tests that switch the processor's instructions off take turns.
static SWITCH: Mutex<()> = Mutex::new(());

fn with_portable<T>(work: impl FnOnce() -> T) -> T {
    let _turn = SWITCH.lock().unwrap();
    crate::force_portable(true);
    let out = work();
    crate::force_portable(false);
    out
}

fn scalar(number: u64) -> Scalar {
    Scalar::from(number)
}

fn reduce(bytes: &[u8; 32]) -> Scalar {
    Scalar::reduce(&FieldBytes::from(*bytes))
}

fn join(r: &Scalar, s: &Scalar) -> [u8; 64] {
    let bytes = [r.to_repr(), s.to_repr()].concat();
    bytes.try_into().unwrap()
}

/// Numbers of no pattern, the same in every run (splitmix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn bytes(&mut self) -> [u8; 32] {
        int::to_be_bytes([self.word(), self.word(), self.word(), self.word()])
    }

    fn scalar(&mut self) -> Scalar {
        reduce(&self.bytes())
    }
}

fn key_of(point: &ProjectivePoint) -> PreparedKey {
    PreparedKey::from_sec1(point.to_affine().to_sec1_point(false).as_bytes()).unwrap()
}

fn public(d: &Scalar) -> PreparedKey {
    key_of(&ProjectivePoint::mul_by_generator(d))
}

/// The answer of the reference.
fn reference(key: &PreparedKey, e: &[u8; 32], signature: &[u8; 64]) -> bool {
    let sec1 = [&[4][..], key.xy()].concat();
    let theirs = sm2::dsa::VerifyingKey::from_sec1_bytes("1234567812345678", &sec1).unwrap();
    sm2::dsa::Signature::from_slice(signature)
        .is_ok_and(|signature| theirs.verify_prehash(e, &signature).is_ok())
}

/// The answers of all ways through this module, which have to be one.
fn ours(d: &PreparedKey, e: &[u8; 32], signature: &[u8; 64]) -> bool {
    let fresh = || PreparedKey::from_sec1(&d.compressed()).unwrap();
    let (cold, hot) = (fresh(), fresh());
    hot.prepare();
    let one = |key, signature| Item {
        key,
        digest: *e,
        signature,
    };
    // Another signature beside it, so that lanes do not all hold the same.
    let other = [1; 64];
    let mut answers = vec![
        cold.verify_digest_once(e, signature),
        hot.verify_digest_once(e, signature),
    ];
    for key in [&cold, &hot] {
        let items = [one(key, &other), one(key, signature), one(key, &other)];
        answers.push(verify_many(&items)[1]);
        answers.push(with_portable(|| verify_many(&items))[1]);
    }
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    answers[0]
}

fn check(key: &PreparedKey, e: &[u8; 32], signature: &[u8; 64]) -> bool {
    let expected = reference(key, e, signature);
    assert_eq!(ours(key, e, signature), expected);
    expected
}

/// A signature made by its equation for any `s` and `t` of our choice: `x` of `[s]G + [t]P`,
/// `r = t − s`, `e = r − x`.
fn forge(d: &Scalar, s: &Scalar, t: &Scalar) -> Option<([u8; 32], [u8; 64])> {
    let p = ProjectivePoint::mul_by_generator(d);
    let sum = ProjectivePoint::mul_by_generator_and_mul_add_vartime(s, t, &p);
    let r = t - s;
    let usable = !bool::from(sum.is_identity() | r.is_zero() | s.is_zero() | t.is_zero());
    usable.then(|| {
        let e = r - Scalar::reduce(&sum.to_affine().x());
        (e.to_repr().into(), join(&r, s))
    })
}

/// GB/T 32918.5 annex A.2.
#[test]
fn accepts_the_example_of_the_standard() {
    let bytes = |text: &str| hex::decode(text).unwrap();
    let key = PreparedKey::from_sec1(&bytes(
        "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020\
         ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13",
    ))
    .unwrap();
    assert_eq!(
        hex::encode(key.z()),
        "b2e14c5c79c6df5b85f4fe7ed8db7a262b9da7e07ccb0ea9f4747b8ccda8a4f3"
    );
    let e = key.digest(b"message digest");
    assert_eq!(
        hex::encode(e),
        "f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640"
    );
    let signature: [u8; 64] = bytes(
        "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3\
         b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa",
    )
    .try_into()
    .unwrap();
    assert!(check(&key, &e, &signature));
    assert!(key.verify(b"message digest", &signature));
    assert!(!key.verify(b"message digesT", &signature));
}

/// With r = e and s = −r d / (1 + d) the sum `[s]G + [t]P` is infinity, which a verifier that
/// takes its x coordinate for 0 accepts.
#[test]
fn a_sum_at_infinity_is_refused() {
    for seed in 1..8 {
        let d = reduce(&[seed; 32]);
        let e = [7; 32];
        let r = reduce(&e);
        let s = -(r * d) * (d + Scalar::ONE).invert().unwrap();
        assert!(!check(&public(&d), &e, &join(&r, &s)));
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
        assert!(!check(&public(&reduce(&[seed; 32])), &e, &join(&r, &s)));
    }
}

/// What a signature may not contain, although the equation, taken modulo n, would hold.
#[test]
fn components_outside_their_range_are_refused() {
    let d = scalar(12345);
    let key = public(&d);
    let n = int::to_be_bytes(int::N);
    // r and s small enough that r + n and s + n are numbers of 32 bytes.
    let (e, good) = (1..)
        .find_map(|i| forge(&d, &scalar(i), &scalar(i + 5)))
        .unwrap();
    assert!(check(&key, &e, &good));
    let (r, s) = halves(&good);
    let plus_n = |number: &[u8; 32]| {
        let (sum, carry) = int::add(int::from_be_bytes(number), int::N);
        assert!(!carry);
        int::to_be_bytes(sum)
    };
    let bad = [
        (plus_n(&r), s),
        (r, plus_n(&s)),
        (plus_n(&r), plus_n(&s)),
        ([0; 32], s),
        (r, [0; 32]),
        ([0; 32], [0; 32]),
        (n, s),
        (r, n),
        (n, n),
        ([0xff; 32], s),
        (r, [0xff; 32]),
    ];
    for (r, s) in bad {
        let signature = [r, s].concat().try_into().unwrap();
        assert!(!in_range(&signature));
        assert!(!check(&key, &e, &signature));
    }
    let largest = int::to_be_bytes(int::sub(int::N, [1, 0, 0, 0]).0);
    let edge = [largest, largest].concat().try_into().unwrap();
    assert!(in_range(&edge));
    assert!(!check(&key, &e, &edge));
}

/// Digests from n up count modulo n.
#[test]
fn a_digest_and_the_digest_less_n_are_the_same() {
    let d = scalar(77);
    let x = ProjectivePoint::mul_by_generator(&scalar(11))
        .to_affine()
        .x();
    let r = scalar(3) + Scalar::reduce(&x);
    let s = (scalar(11) - r * d) * (d + Scalar::ONE).invert().unwrap();
    let (e, signature): ([u8; 32], [u8; 64]) = (scalar(3).to_repr().into(), join(&r, &s));
    assert!(check(&public(&d), &e, &signature));
    let (more, carry) = int::add(int::from_be_bytes(&e), int::N);
    assert!(!carry);
    assert!(ours(&public(&d), &int::to_be_bytes(more), &signature));
}

/// Small, large, sparse and repeated scalars, with small secret keys: their sums run through equal
/// and opposite points half-way, where an addition formula divides by zero.
#[test]
fn scalars_at_the_edges_multiply_as_in_the_reference() {
    let half = Scalar::from_repr({
        let mut bytes = [0; 32];
        bytes[15] = 1;
        FieldBytes::from(bytes)
    })
    .unwrap();
    let edges: Vec<Scalar> = [
        1,
        2,
        3,
        5,
        15,
        16,
        17,
        31,
        32,
        33,
        127,
        128,
        129,
        255,
        256,
        1 << 32,
    ]
    .into_iter()
    .flat_map(|value| {
        [
            scalar(value),
            -scalar(value),
            half * scalar(value),
            half + scalar(value),
        ]
    })
    .collect();
    let mut seen = 0;
    for d in [scalar(1), scalar(2), scalar(3), half, -scalar(2), -half] {
        let (hot, cold) = (public(&d), public(&d));
        hot.prepare();
        let mut cases = Vec::new();
        for s in &edges {
            for t in &edges {
                cases.extend(forge(&d, s, t));
            }
        }
        seen += cases.len();
        for key in [&hot, &cold] {
            for wrong in [0, 1] {
                let items: Vec<Item<'_>> = cases
                    .iter()
                    .map(|(e, signature)| {
                        let mut digest = *e;
                        digest[31] ^= wrong;
                        Item {
                            key,
                            digest,
                            signature,
                        }
                    })
                    .collect();
                let expected = vec![wrong == 0; items.len()];
                assert_eq!(verify_many(&items), expected);
                assert_eq!(with_portable(|| verify_many(&items)), expected);
                let single: Vec<bool> = items
                    .iter()
                    .map(|item| key.verify_digest_once(&item.digest, item.signature))
                    .collect();
                assert_eq!(single, expected);
            }
        }
    }
    assert!(seen > 20_000, "{seen}");
}

/// x between n and p stands for x − n in the equation. Such points are one in 2^128 by chance, so
/// one is looked up and a key is solved for it: with s = 1 and t = 2 it is (Q − G) / 2.
#[test]
fn an_x_coordinate_from_n_up_counts_modulo_n() {
    for nth in 0..4 {
        let (x, q) = (0..100u64)
            .filter_map(|i| {
                let x = int::add(int::N, [i, 0, 0, 0]).0;
                let sec1 = [&[2][..], &int::to_be_bytes(x)].concat();
                let point = sm2::PublicKey::from_sec1_bytes(&sec1).ok()?;
                Some((i, point.to_projective()))
            })
            .nth(nth)
            .unwrap();
        let p = (q - ProjectivePoint::GENERATOR) * scalar(2).invert().unwrap();
        let e = (Scalar::ONE - scalar(x)).to_repr().into();
        assert!(check(&key_of(&p), &e, &join(&Scalar::ONE, &Scalar::ONE)));
    }
}

/// The comparison alone: x of the sum from 0 to p − 1 against claims from 0 to n − 1.
#[test]
fn the_last_comparison_takes_x_and_x_plus_n_below_p_and_nothing_else() {
    let p = [
        u64::MAX,
        0xffff_ffff_0000_0000,
        u64::MAX,
        0xffff_fffe_ffff_ffff,
    ];
    let one = [1, 0, 0, 0];
    let gap = int::sub(p, int::N).0;
    let z = Fe::from_int([3, 1, 4, 1]).unwrap();
    let sum = |x: U256| Jacobian {
        x: Fe::from_int(x).unwrap().mul(z.square()),
        y: Fe::ONE,
        z,
    };
    let claim = |x| Claim { s: one, t: one, x };
    let n_less = |i| int::sub(int::N, [i, 0, 0, 0]).0;
    let edges = [
        [0; 4],
        one,
        [2, 0, 0, 0],
        gap,
        int::sub(gap, one).0,
        int::add(gap, one).0,
        n_less(1),
        n_less(2),
        [0, 0, 0, 1 << 63],
    ];
    for x in edges {
        for y in edges {
            assert_eq!(claim(x).fits(&sum(y)), x == y, "{x:?} {y:?}");
            let (more, carry) = int::add(y, int::N);
            if !carry && Fe::from_int(more).is_some() {
                assert_eq!(claim(x).fits(&sum(more)), x == y, "{x:?} {more:?}");
            }
        }
        assert!(!claim(x).fits(&Jacobian::INFINITY));
        let flat = Jacobian {
            x: Fe::ZERO,
            y: Fe::ONE,
            z: Fe::ZERO,
        };
        assert!(!claim(x).fits(&flat));
    }
    assert!(claim(int::sub(gap, one).0).fits(&sum(int::sub(p, one).0)));
}

#[test]
fn decoding_agrees_with_the_reference_on_every_small_x_and_near_the_borders() {
    let mut on_curve = 0;
    let cache = KeyCache::new(1000);
    for i in 0..200u64 {
        for base in [
            [0; 4],
            int::N,
            int::sub(int::N, [100, 0, 0, 0]).0,
            [
                u64::MAX - 100,
                0xffff_ffff_0000_0000,
                u64::MAX,
                0xffff_fffe_ffff_ffff,
            ],
        ] {
            let x = int::to_be_bytes(int::add(base, [i, 0, 0, 0]).0);
            for tag in [0, 1, 2, 3, 4, 5, 6, 7] {
                let sec1 = [&[tag][..], &x].concat();
                let theirs = (tag == 2 || tag == 3)
                    .then(|| sm2::PublicKey::from_sec1_bytes(&sec1).ok())
                    .flatten();
                let ours = PreparedKey::from_sec1(&sec1);
                assert_eq!(ours.is_some(), theirs.is_some());
                for _ in 0..2 {
                    let kept = cache.get(&sec1);
                    assert_eq!(
                        kept.map(|key| *key.xy()),
                        ours.as_ref().map(|key| *key.xy())
                    );
                }
                if let (Some(ours), Some(theirs)) = (ours, theirs) {
                    on_curve += 1;
                    assert_eq!(ours.compressed()[..], sec1);
                    let uncompressed = theirs.to_sec1_point(false);
                    assert_eq!(&uncompressed.as_bytes()[1..], ours.xy());
                    assert_eq!(cache.get(uncompressed.as_bytes()).unwrap().xy(), ours.xy());
                }
            }
        }
    }
    assert!(on_curve > 300);
}

#[test]
fn keys_of_other_lengths_and_off_the_curve_do_not_exist() {
    let key = public(&scalar(9));
    let full = [&[4][..], key.xy()].concat();
    let cache = KeyCache::new(10);
    let get = |bytes: &[u8]| {
        let direct = PreparedKey::from_sec1(bytes).is_some();
        assert_eq!(cache.get(bytes).is_some(), direct);
        direct
    };
    assert!(get(&full) && get(&key.compressed()));
    for len in 0..80 {
        let bytes: Vec<u8> = full.iter().copied().cycle().take(len).collect();
        assert_eq!(get(&bytes), len == 65, "{len}");
        let bytes: Vec<u8> = key.compressed().into_iter().cycle().take(len).collect();
        assert_eq!(get(&bytes), len == 33, "{len}");
    }
    for bit in 8..full.len() * 8 {
        let mut bad = full.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(!get(&bad), "{bit}");
    }
    // The point (x, p + y) for a small y would be the same point modulo p.
    assert!(!get(&[[4; 1].as_slice(), &[0xff; 64]].concat()));
    assert!(!get(&[[4; 1].as_slice(), &[0; 64]].concat()));
    assert!(PreparedKey::from_xy(&[0; 64]).is_none());
}

#[test]
fn a_key_gets_its_table_after_some_uses_and_verifies_the_same() {
    let d = scalar(5);
    let key = public(&d);
    let (e, signature) = forge(&d, &scalar(100), &scalar(2000)).unwrap();
    for use_number in 0..6 {
        assert_eq!(
            key.table_bytes(),
            if use_number > 3 { 13 * 16 * 64 } else { 0 }
        );
        assert!(key.verify_digest(&e, &signature));
        assert!(!key.verify_digest_once(&[1; 32], &signature));
    }
}

#[test]
fn the_cache_is_bounded_and_keeps_what_is_asked_for() {
    let keys: Vec<[u8; 33]> = (1..=50).map(|i| public(&scalar(i)).compressed()).collect();
    let cache = KeyCache::new(8);
    assert!(cache.is_empty());
    let hot = cache.get(&keys[0]).unwrap();
    for (i, name) in keys.iter().enumerate() {
        assert_eq!(cache.get(name).unwrap().compressed(), *name);
        assert!(std::sync::Arc::ptr_eq(&cache.get(&keys[0]).unwrap(), &hot));
        assert!(cache.len() <= 16);
        assert!(i < 16 || cache.len() >= 8);
    }
}

#[test]
fn digits_keep_the_number() {
    fn value(digits: &[i16], width: u32) -> U256 {
        digits.iter().rev().fold([0; 4], |sum, digit| {
            let sum = (0..width).fold(sum, |sum, _| int::add_mod_n(sum, sum));
            let step = [u64::from(digit.unsigned_abs()), 0, 0, 0];
            if *digit < 0 {
                int::sub_mod_n(sum, step)
            } else {
                int::add_mod_n(sum, step)
            }
        })
    }
    let mut numbers = Numbers(1);
    let edges = [
        [1, 0, 0, 0],
        int::sub(int::N, [1, 0, 0, 0]).0,
        [0, 0, 0, 1 << 63],
        [u64::MAX, u64::MAX, u64::MAX, 0x7fff_ffff_ffff_ffff],
    ];
    let random = (0..2000).map(|_| int::reduce(int::from_be_bytes(&numbers.bytes())));
    for number in edges.into_iter().chain(random) {
        let p = tables::digits::<{ tables::P_DIGITS }>(number, tables::P_WIDTH);
        let g = tables::digits::<{ tables::G_DIGITS }>(number, tables::G_WIDTH);
        assert!(
            p.iter().all(|digit| digit.abs() <= 16) && g.iter().all(|digit| digit.abs() <= 128)
        );
        assert_eq!(value(&p, tables::P_WIDTH), number);
        assert_eq!(value(&g, tables::G_WIDTH), number);
    }
}

/// Every bit of one signature, and bytes put to their extremes.
#[test]
fn no_changed_signature_is_accepted() {
    let d = scalar(424_242);
    let key = public(&d);
    key.prepare();
    let (e, good) = forge(&d, &reduce(&[3; 32]), &reduce(&[9; 32])).unwrap();
    let mut changed: Vec<[u8; 64]> = Vec::new();
    for at in 0..64 {
        for value in 0..=u8::MAX {
            let mut bad = good;
            bad[at] = value;
            changed.push(bad);
        }
    }
    let items: Vec<Item<'_>> = changed
        .iter()
        .map(|signature| Item {
            key: &key,
            digest: e,
            signature,
        })
        .collect();
    let expected: Vec<bool> = changed.iter().map(|signature| *signature == good).collect();
    assert_eq!(verify_many(&items), expected);
    assert_eq!(expected.iter().filter(|good| **good).count(), 64);
    let swapped = [&good[32..], &good[..32]].concat().try_into().unwrap();
    assert!(!check(&key, &e, &swapped));
}

#[test]
fn batches_of_every_length_answer_in_order() {
    let mut cases = Vec::new();
    random::signed(70, 6, |key, e, signature, good| {
        cases.push((PreparedKey::from_xy(key.xy()).unwrap(), e, signature, good));
    });
    for (i, case) in cases.iter().enumerate() {
        if i % 2 == 0 {
            case.0.prepare();
        }
    }
    for len in 0..cases.len() {
        let items: Vec<Item<'_>> = cases
            .iter()
            .take(len)
            .map(|(key, digest, signature, _)| Item {
                key,
                digest: *digest,
                signature,
            })
            .collect();
        let expected: Vec<bool> = cases.iter().take(len).map(|case| case.3).collect();
        assert_eq!(verify_many(&items), expected);
        assert_eq!(with_portable(|| verify_many(&items)), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 30 } else { 300 }))]

    #[test]
    fn acceptance_is_that_of_the_reference(
        d in 1u64.., s: [u8; 32], t: [u8; 32], flip in 0usize..512, e: [u8; 32],
    ) {
        let d = scalar(d);
        if let Some((right, good)) = forge(&d, &reduce(&s), &reduce(&t)) {
            let key = public(&d);
            prop_assert!(check(&key, &right, &good));
            prop_assert!(!check(&key, &e, &good));
            let mut bad = good;
            bad[flip / 8] ^= 1 << (flip % 8);
            prop_assert!(!check(&key, &right, &bad));
        }
    }

    #[test]
    fn any_bytes_are_refused_alike(d in 1u64.., e: [u8; 32], r: [u8; 32], s: [u8; 32]) {
        let signature = [r, s].concat().try_into().unwrap();
        prop_assert!(!check(&public(&scalar(d)), &e, &signature));
    }
}
