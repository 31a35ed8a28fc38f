//! Recovery of many keys gives exactly what recovery one by one gives, on every path, whatever the
//! hints say and whatever the cache of keys holds.

use hawser_crypto::{
    Scheme, SecretKey, SignatureError, VerifyError,
    secp::{self, Path, Recoverer, Request},
};
use hawser_primitives::{Address, B256};
use secp256k1::constants::CURVE_ORDER;

const ROOMY: usize = 16 << 20;
/// What one key takes in a cache at most.
const KEY_BYTES: usize = 48 << 10;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(Scheme::Secp256k1, &[seed; 32]).unwrap()
}

fn request(key: &SecretKey, n: u64, hint: Option<Address>) -> Request {
    let mut prehash = B256::repeat_byte(0x5a);
    prehash[..8].copy_from_slice(&n.to_be_bytes());
    let (r_s, y_parity) = secp::sign_prehash(key, &prehash).unwrap();
    Request {
        prehash,
        r_s,
        y_parity,
        hint,
    }
}

fn address(key: &SecretKey) -> Address {
    key.public_key().address()
}

fn check(recoverer: &Recoverer, requests: &[Request]) {
    let answers = recoverer.recover_many(requests);
    assert_eq!(answers.len(), requests.len());
    for (answer, request) in answers.into_iter().zip(requests) {
        let expected = secp::recover(&request.prehash, &request.r_s, request.y_parity);
        assert_eq!(answer, expected);
    }
}

/// All that can be wrong with a request, one of each.
fn faulty(key: &SecretKey) -> Vec<(Request, Option<VerifyError>)> {
    let good = request(key, 1, Some(address(key)));
    let with = |from: usize, bytes: &[u8; 32]| {
        let mut bad = good.clone();
        bad.r_s[from..from + 32].copy_from_slice(bytes);
        bad
    };
    let out_of_range = Some(VerifyError::Malformed(SignatureError::OutOfRange(
        Scheme::Secp256k1,
    )));
    let high = Some(VerifyError::Malformed(SignatureError::HighS));
    let mut five = [0; 32];
    five[31] = 5;
    let mut below_order = CURVE_ORDER;
    below_order[31] -= 1;
    let mut other_digest = good.clone();
    other_digest.prehash = B256::ZERO;
    let mut other_parity = good.clone();
    other_parity.y_parity = !other_parity.y_parity;
    let mut stranger = good.clone();
    stranger.hint = Some(Address::repeat_byte(1));
    vec![
        (with(0, &[0; 32]), out_of_range),
        (with(32, &[0; 32]), out_of_range),
        (with(0, &CURVE_ORDER), out_of_range),
        (with(32, &CURVE_ORDER), out_of_range),
        (with(0, &[0xff; 32]), out_of_range),
        (with(32, &below_order), high),
        (with(0, &five), Some(VerifyError::Unrecoverable)),
        (other_digest, None),
        (other_parity, None),
        (stranger, None),
        (good, None),
    ]
}

#[test]
fn every_answer_and_every_error_is_that_of_recovery_one_by_one() {
    let keys: Vec<_> = (1..=20).map(key).collect();
    for path in [Path::Fast, Path::Single] {
        for cache in [0, 2 * KEY_BYTES, ROOMY] {
            let recoverer = Recoverer::new(path, cache);
            for round in 0..6u64 {
                let mut requests = Vec::new();
                for (i, key) in keys.iter().enumerate() {
                    let right = address(key);
                    let wrong = address(&keys[(i + 1) % keys.len()]);
                    for (j, hint) in [None, Some(right), Some(wrong)].into_iter().enumerate() {
                        let n = round * 1000 + (i * 3 + j) as u64;
                        requests.push(request(key, n, hint));
                    }
                    for (faulty, error) in faulty(key) {
                        let alone = secp::recover(&faulty.prehash, &faulty.r_s, faulty.y_parity);
                        assert_eq!(alone.err(), error);
                        requests.push(faulty);
                    }
                }
                check(&recoverer, &requests);
                for len in [0, 1, 2, 3, 7, 8, 9] {
                    check(&recoverer, &requests[..len]);
                }
            }
        }
    }
}

fn fast() -> bool {
    hawser_secp_fast::Engine::detect().is_some()
}

#[test]
fn keys_that_come_back_are_prepared_and_keys_used_once_are_not() {
    let recoverer = Recoverer::new(Path::Fast, ROOMY);
    let once: Vec<_> = (1..=100).map(|seed| request(&key(seed), 0, None)).collect();
    check(&recoverer, &once);
    assert!(recoverer.cache().is_empty());
    let hot = key(7);
    for n in 0..4 {
        let requests = (0..10).map(|i| request(&hot, n * 10 + i, Some(address(&hot))));
        check(&recoverer, &requests.collect::<Vec<_>>());
    }
    assert_eq!(recoverer.cache().len(), usize::from(fast()));
    let single = Recoverer::new(Path::Single, ROOMY);
    check(&single, &once);
    check(&single, &once);
    assert!(single.cache().is_empty());
}

#[test]
fn a_prepared_key_is_not_prepared_again_when_its_signer_is_not_named() {
    if !fast() {
        return;
    }
    let recoverer = Recoverer::new(Path::Fast, ROOMY);
    let keys: Vec<_> = (1..=8).map(key).collect();
    for round in 0..50 {
        let requests: Vec<_> = keys.iter().map(|key| request(key, round, None)).collect();
        check(&recoverer, &requests);
    }
    assert_eq!(recoverer.cache().len(), keys.len());
    assert_eq!(recoverer.cache().made(), keys.len() as u64);
}

#[test]
fn the_cache_keeps_to_its_bytes_and_keeps_the_keys_in_use() {
    for room in [0usize, 1, 2, 5] {
        let recoverer = Recoverer::new(Path::Fast, room * KEY_BYTES);
        let hot = key(200);
        let mut most = 0;
        for round in 0..40u64 {
            let mut requests: Vec<_> = (0..4)
                .map(|i| request(&hot, round * 100 + i, Some(address(&hot))))
                .collect();
            for seed in 1..=10u8 {
                let passing = key(seed + (round / 4) as u8 * 10);
                requests.push(request(&passing, round, Some(address(&passing))));
            }
            check(&recoverer, &requests);
            most = most.max(recoverer.cache().len());
            assert!(recoverer.cache().len() <= room);
        }
        if fast() {
            assert_eq!(most, room, "the room is used");
        }
    }
}

#[test]
fn many_threads_share_one_cache() {
    let recoverer = Recoverer::new(Path::Fast, 3 * KEY_BYTES);
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let recoverer = &recoverer;
            scope.spawn(move || {
                for round in 0..10 {
                    let requests: Vec<_> = (0..12u8)
                        .map(|seed| {
                            let key = key(1 + seed % 6);
                            request(&key, thread * 1000 + round, Some(address(&key)))
                        })
                        .collect();
                    check(recoverer, &requests);
                }
            });
        }
    });
    assert!(recoverer.cache().len() <= 3);
}

#[test]
fn the_shared_one_answers_the_same() {
    let requests: Vec<_> = (1..=30).map(|seed| request(&key(seed), 3, None)).collect();
    for (answer, request) in secp::recover_many(&requests).into_iter().zip(&requests) {
        assert_eq!(
            answer,
            secp::recover(&request.prehash, &request.r_s, request.y_parity)
        );
    }
}
