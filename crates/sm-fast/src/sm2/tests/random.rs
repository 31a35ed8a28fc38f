//! Many signatures of no pattern.

use super::*;

/// Signatures with nonces k, k + 1, … under changing keys, so that the reference's arithmetic makes
/// many in little time; every third is spoilt in one bit of digest, `r` or `s`.
pub(super) fn signed(
    count: usize,
    seed: u64,
    mut visit: impl FnMut(&PreparedKey, [u8; 32], [u8; 64], bool),
) {
    let mut numbers = Numbers(seed);
    let (mut d, mut key) = (Scalar::ONE, public(&Scalar::ONE));
    let (mut k, mut point) = (Scalar::ZERO, ProjectivePoint::IDENTITY);
    for i in 0..count {
        if i % 100 == 0 {
            (d, k) = (numbers.scalar(), numbers.scalar());
            (key, point) = (public(&d), ProjectivePoint::mul_by_generator(&k));
        }
        k += Scalar::ONE;
        point += ProjectivePoint::GENERATOR;
        let mut e = numbers.bytes();
        let r = reduce(&e) + Scalar::reduce(&point.to_affine().x());
        let s = (k - r * d) * (d + Scalar::ONE).invert().unwrap();
        let mut signature = join(&r, &s);
        let good = i % 3 != 0;
        if !good {
            let bit = usize::try_from(numbers.word() % 768).unwrap();
            match bit / 8 {
                byte @ 0..64 => signature[byte] ^= 1 << (bit % 8),
                byte => e[byte - 64] ^= 1 << (bit % 8),
            }
        }
        visit(&key, e, signature, good);
    }
}

fn differential(count: usize, seed: u64) {
    let mut batch = Vec::new();
    let mut accepted = 0;
    signed(count, seed, |key, e, signature, good| {
        batch.push((*key.xy(), e, signature, good));
        accepted += usize::from(good);
        if batch.len() == 100 {
            let keys: Vec<PreparedKey> = batch
                .iter()
                .map(|(xy, ..)| PreparedKey::from_xy(xy).unwrap())
                .collect();
            let hot = PreparedKey::from_xy(&batch[0].0).unwrap();
            hot.prepare();
            let expected: Vec<bool> = batch.iter().map(|case| case.3).collect();
            let items = |hot: Option<_>| -> Vec<Item<'_>> {
                batch
                    .iter()
                    .zip(&keys)
                    .map(|((_, digest, signature, _), key)| Item {
                        key: hot.unwrap_or(key),
                        digest: *digest,
                        signature,
                    })
                    .collect()
            };
            assert_eq!(verify_many(&items(None)), expected, "new keys, together");
            assert_eq!(
                verify_many(&items(Some(&hot))),
                expected,
                "a prepared key, together"
            );
            for item in items(Some(&hot))
                .iter()
                .step_by(7)
                .chain(items(None).iter().step_by(7))
            {
                let good = item.key.verify_digest_once(&item.digest, item.signature);
                assert_eq!(
                    good,
                    expected[items(None)
                        .iter()
                        .position(|other| std::ptr::eq(other.signature, item.signature))
                        .unwrap()]
                );
            }
            batch.clear();
        }
    });
    assert!(batch.is_empty() && accepted > count / 2);
}

/// Unoptimised code takes a hundredth.
const CASES: usize = if cfg!(debug_assertions) {
    1_000
} else {
    100_000
};

#[test]
fn a_hundred_thousand_signatures_are_judged_as_they_were_made() {
    differential(CASES, 2);
}

#[test]
#[ignore = "takes minutes; run in release"]
fn five_million_signatures_are_judged_as_they_were_made() {
    differential(5_000_000, 3);
}

fn against_the_reference(count: usize, seed: u64) {
    signed(count, seed, |key, e, signature, good| {
        assert_eq!(reference(key, &e, &signature), good);
        assert_eq!(key.verify_digest(&e, &signature), good);
    });
}

#[test]
fn thousands_of_signatures_are_judged_as_by_the_reference() {
    against_the_reference(CASES / 20, 4);
}

#[test]
#[ignore = "takes minutes; run in release"]
fn a_million_signatures_are_judged_as_by_the_reference() {
    against_the_reference(1_000_000, 5);
}

/// Cases with our answers for `tests/interop/peers/openssl_sm2.py`: random ones, then signatures
/// whose numbers lie at or beyond the borders.
#[test]
#[ignore = "writes the file that HAWSER_SM2_CASES names"]
fn writes_cases_for_another_implementation() {
    let Ok(path) = std::env::var("HAWSER_SM2_CASES") else {
        return;
    };
    let mut text = String::new();
    let mut write = |key: &PreparedKey, e: &[u8; 32], signature: &[u8; 64]| {
        let good = ours_fast(key, e, signature);
        let parts = [
            hex::encode(key.xy()),
            hex::encode(e),
            hex::encode(signature),
        ];
        text += &format!("{} {}\n", parts.join(" "), u8::from(good));
    };
    signed(200_000, 8, |key, e, signature, _| {
        write(key, &e, &signature)
    });
    let n = int::to_be_bytes(int::N);
    let more = |i| int::to_be_bytes(int::add(int::N, [i, 0, 0, 0]).0);
    let less = |i| int::to_be_bytes(int::sub(int::N, [i, 0, 0, 0]).0);
    let small = |i| int::to_be_bytes([i, 0, 0, 0]);
    let edges = [
        small(0),
        small(1),
        small(2),
        n,
        more(1),
        more(2),
        less(1),
        less(2),
        [0xff; 32],
        [0x80; 32],
    ];
    for d in [scalar(1), scalar(2), -scalar(2), scalar(424_242)] {
        let key = public(&d);
        for e in &edges {
            for r in &edges {
                for s in &edges {
                    write(&key, e, &[*r, *s].concat().try_into().unwrap());
                }
            }
        }
        for s in [1, 2, 3, 16, 17, 128, 129] {
            for t in [1, 2, 3, 16, 17, 128, 129] {
                for (s, t) in [
                    (scalar(s), scalar(t)),
                    (-scalar(s), scalar(t)),
                    (scalar(s), -scalar(t)),
                ] {
                    if let Some((e, signature)) = forge(&d, &s, &t) {
                        assert!(ours_fast(&key, &e, &signature));
                        write(&key, &e, &signature);
                    }
                }
            }
        }
    }
    std::fs::write(path, text).unwrap();
}

/// The answers of the ways that a key already takes.
fn ours_fast(key: &PreparedKey, e: &[u8; 32], signature: &[u8; 64]) -> bool {
    let item = Item {
        key,
        digest: *e,
        signature,
    };
    let together = verify_many(&[item; 8]);
    let alone = key.verify_digest(e, signature);
    assert_eq!(together, [alone; 8]);
    alone
}
