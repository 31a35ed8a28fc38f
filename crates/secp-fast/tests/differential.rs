//! The engine against libsecp256k1 and k256 on random signatures, good and bad.

mod common;

use common::{bytes, reference, signed};
use hawser_secp_fast::{Engine, PreparedKey, Signature};
use k256::ecdsa::{RecoveryId, VerifyingKey};
use rand::{RngCore, SeedableRng, rngs::StdRng};

/// A signature, mostly good; otherwise one with something changed, or random numbers.
fn sample(rng: &mut StdRng) -> (Signature, [u8; 64]) {
    let (mut signature, key) = signed(rng);
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
    (signature, key)
}

/// Compares `count` signatures. Random ones meet no exceptional case, so that refusals must agree too.
fn compare(seed: u64, count: usize) {
    let Some(engine) = Engine::detect() else {
        return;
    };
    let mut rng = StdRng::seed_from_u64(seed);
    let mut done = 0;
    while done < count {
        let len = (rng.next_u32() % 200) as usize + 1;
        let samples: Vec<_> = (0..len).map(|_| sample(&mut rng)).collect();
        let signatures: Vec<_> = samples.iter().map(|(signature, _)| *signature).collect();
        let expected: Vec<_> = signatures.iter().map(reference).collect();
        assert_eq!(
            engine.recover_many(&signatures),
            expected,
            "seed {seed} after {done}"
        );

        // The signer's key, which recovery gives unless something was changed.
        let keys: Vec<_> = samples.iter().map(|(_, key)| *key).collect();
        let prepared = engine.prepare_many(&keys);
        let items: Vec<(&PreparedKey, Signature)> = prepared
            .iter()
            .zip(&signatures)
            .map(|(key, signature)| (key.as_ref().unwrap(), *signature))
            .collect();
        let answers = engine.verify_many(&items);
        for ((answer, key), expected) in answers.iter().zip(&keys).zip(&expected) {
            assert_eq!(*answer, Some(*key) == *expected, "seed {seed} after {done}");
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

/// `cargo test --release -p hawser-secp-fast --test differential -- --ignored`, some minutes.
#[test]
#[ignore = "takes minutes"]
fn ten_million_random_signatures_give_what_libsecp256k1_gives() {
    std::thread::scope(|scope| {
        for seed in 100..102 {
            scope.spawn(move || compare(seed, 5_000_000));
        }
    });
}

#[test]
fn a_second_implementation_agrees() {
    let Some(engine) = Engine::detect() else {
        return;
    };
    let mut rng = StdRng::seed_from_u64(3);
    let signatures: Vec<_> = (0..1000).map(|_| sample(&mut rng).0).collect();
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
