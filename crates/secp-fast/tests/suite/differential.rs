//! The engine against libsecp256k1 and k256 on random signatures, good and bad.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::{bytes, key, reference, signed};
use hawser_secp_fast::{Engine, PreparedKey, Signature};
use k256::ecdsa::{RecoveryId, VerifyingKey};
use rand::{RngCore, SeedableRng, rngs::StdRng};
use secp256k1::SecretKey;

/// A signature by this key, mostly good; otherwise one with something changed, or random numbers.
fn sample(rng: &mut StdRng, secret: &SecretKey) -> Signature {
    let mut signature = signed(rng, secret);
    let bit = 1u8 << (rng.next_u32() % 8);
    match rng.next_u32() % 16 {
        0 => signature.y_parity = !signature.y_parity,
        1 => signature.r_s[rng.next_u32() as usize % 64] ^= bit,
        2 => signature.prehash[rng.next_u32() as usize % 32] ^= bit,
        3 => {
            signature.r_s[..32].copy_from_slice(&bytes(rng));
            signature.r_s[32..].copy_from_slice(&bytes(rng));
        }
        _ => {}
    }
    signature
}

/// Compares `count` signatures, by new keys for every few hundred. Random ones meet no exceptional
/// case, so that refusals must agree too.
fn compare(seed: u64, count: usize) {
    let Some(engine) = Engine::detect() else {
        return;
    };
    let mut rng = StdRng::seed_from_u64(seed);
    let mut done = 0;
    while done < count {
        let keys: Vec<_> = (0..16).map(|_| key(&mut rng)).collect();
        let points: Vec<_> = keys.iter().map(|(_, point)| *point).collect();
        let prepared = engine.prepare_many(&points);
        let len = (rng.next_u32() % 600) as usize + 1;
        let samples: Vec<_> = (0..len)
            .map(|_| {
                let index = rng.next_u32() as usize % keys.len();
                (sample(&mut rng, &keys[index].0), index)
            })
            .collect();
        let signatures: Vec<_> = samples.iter().map(|(signature, _)| *signature).collect();
        let expected: Vec<_> = signatures.iter().map(reference).collect();
        let recovered = engine.recover_many(&signatures);
        assert!(recovered == expected, "seed {seed} after {done}");

        let items: Vec<(&PreparedKey, Signature)> = samples
            .iter()
            .map(|(signature, index)| (prepared[*index].as_ref().unwrap(), *signature))
            .collect();
        let answers = engine.verify_many(&items);
        for ((answer, (_, index)), expected) in answers.iter().zip(&samples).zip(&expected) {
            let same = *expected == Some(points[*index]);
            assert_eq!(*answer, same, "seed {seed} after {done}");
        }
        done += len;
    }
}

#[test]
fn a_hundred_thousand_random_signatures_give_what_libsecp256k1_gives() {
    std::thread::scope(|scope| {
        scope.spawn(|| compare(1, 50_000));
        scope.spawn(|| compare(2, 50_000));
    });
}

/// `cargo test --release -p hawser-secp-fast --test suite -- --ignored --nocapture`, some minutes.
#[test]
#[ignore = "takes minutes"]
fn ten_million_random_signatures_give_what_libsecp256k1_gives() {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let part = next.fetch_add(1, Ordering::Relaxed);
                    if part >= 100 {
                        break;
                    }
                    compare(1000 + part, 100_000);
                    println!("part {part} of 100 agrees");
                }
            });
        }
    });
}

#[test]
fn a_second_implementation_agrees() {
    let Some(engine) = Engine::detect() else {
        return;
    };
    let mut rng = StdRng::seed_from_u64(3);
    let secret = key(&mut rng).0;
    let signatures: Vec<_> = (0..1000).map(|_| sample(&mut rng, &secret)).collect();
    for (signature, found) in signatures.iter().zip(engine.recover_many(&signatures)) {
        let id = RecoveryId::new(signature.y_parity, false);
        let expected = k256::ecdsa::Signature::from_slice(&signature.r_s)
            .and_then(|parsed| VerifyingKey::recover_from_prehash(&signature.prehash, &parsed, id))
            .ok()
            .map(|key| key.to_encoded_point(false).as_bytes()[1..].to_vec());
        // k256 recovers and then verifies, and verification wants a low s.
        if let Some(expected) = expected {
            assert_eq!(found.map(|key| key.to_vec()), Some(expected));
        }
    }
}

#[test]
fn no_signatures_are_no_work() {
    if let Some(engine) = Engine::detect() {
        assert!(engine.recover_many(&[]).is_empty());
        assert!(engine.verify_many(&[]).is_empty());
        assert!(engine.prepare_many(&[]).is_empty());
    }
}
