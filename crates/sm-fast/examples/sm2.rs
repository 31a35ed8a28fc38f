//! Verifications per second on one core: `taskset -c 1 cargo run --release -p hawser-sm-fast
//! --example sm2`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss
)]

use std::hint::black_box;
use std::time::Duration;

use hawser_sm_fast::sm2::{Item, PreparedKey, verify_many};
use sm2::dsa::{
    SigningKey,
    signature::hazmat::{PrehashSigner, PrehashVerifier},
};

const ID: &str = "1234567812345678";

/// Time this thread has had on a processor, so that others on a busy machine do not count.
fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap(),
    )
}

/// Per second: the median and the best of nine runs of about 40 ms.
fn measure(what: &str, count: usize, mut work: impl FnMut()) {
    work();
    let mut rates = Vec::new();
    for _ in 0..9 {
        let (start, mut done) = (now(), 0);
        let mut spent = Duration::ZERO;
        while spent < Duration::from_millis(40) {
            work();
            done += count;
            spent = now() - start;
        }
        rates.push(done as f64 / spent.as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    println!(
        "{what:<44} median {:>9.0}/s  best {:>9.0}/s  {:>7.2} µs",
        rates[4],
        rates[8],
        1e6 / rates[4]
    );
}

fn main() {
    let signers: Vec<SigningKey> = (1..=64u8)
        .map(|i| SigningKey::from_slice(ID, &[i; 32]).unwrap())
        .collect();
    let keys: Vec<PreparedKey> = signers
        .iter()
        .map(|signer| PreparedKey::from_sec1(&signer.verifying_key().to_sec1_bytes()).unwrap())
        .collect();
    let digests: Vec<[u8; 32]> = keys.iter().map(|key| key.digest(b"message")).collect();
    let signatures: Vec<[u8; 64]> = signers
        .iter()
        .zip(&digests)
        .map(|(signer, e)| {
            let signature: sm2::dsa::Signature = signer.sign_prehash(e).unwrap();
            signature.to_bytes().into()
        })
        .collect();
    let theirs: Vec<sm2::dsa::Signature> = signatures
        .iter()
        .map(|bytes| sm2::dsa::Signature::from_slice(bytes).unwrap())
        .collect();
    let all = || keys.iter().zip(&digests).zip(&signatures);
    measure("sm2 crate", 8, || {
        for ((signer, e), signature) in signers.iter().zip(&digests).zip(&theirs).take(8) {
            assert!(
                signer
                    .verifying_key()
                    .verify_prehash(black_box(e), signature)
                    .is_ok()
            );
        }
    });
    hawser_sm_fast::force_portable(true);
    measure("no special instructions, new key", 64, || {
        for ((key, e), signature) in all() {
            assert!(key.verify_digest_once(black_box(e), signature));
        }
    });
    hawser_sm_fast::force_portable(false);
    measure("one by one, new key", 64, || {
        for ((key, e), signature) in all() {
            assert!(key.verify_digest_once(black_box(e), signature));
        }
    });
    let items: Vec<Item<'_>> = all()
        .map(|((key, e), signature)| Item {
            key,
            digest: *e,
            signature,
        })
        .collect();
    measure("table of a key", 64, || {
        for key in &keys {
            let fresh = PreparedKey::from_xy(black_box(key.xy())).unwrap();
            fresh.prepare();
        }
    });
    measure("decode a compressed key", 64, || {
        for key in &keys {
            assert!(PreparedKey::from_sec1(black_box(&key.compressed())).is_some());
        }
    });
    measure("many, new keys", 64, || {
        let keys: Vec<PreparedKey> = keys
            .iter()
            .filter_map(|key| PreparedKey::from_xy(key.xy()))
            .collect();
        let items: Vec<Item<'_>> = keys
            .iter()
            .zip(&items)
            .map(|(key, item)| Item { key, ..*item })
            .collect();
        assert!(verify_many(black_box(&items)).iter().all(|good| *good));
    });
    keys.iter().for_each(PreparedKey::prepare);
    hawser_sm_fast::force_portable(true);
    measure("no special instructions, prepared key", 64, || {
        for ((key, e), signature) in all() {
            assert!(key.verify_digest(black_box(e), signature));
        }
    });
    hawser_sm_fast::force_portable(false);
    measure("one by one, prepared key", 64, || {
        for ((key, e), signature) in all() {
            assert!(key.verify_digest(black_box(e), signature));
        }
    });
    measure("many, prepared keys", 64, || {
        assert!(verify_many(black_box(&items)).iter().all(|good| *good));
    });
    measure("SM3 of Z and 64 bytes", 64, || {
        for key in &keys {
            black_box(key.digest(black_box(&[1; 64])));
        }
    });
}
