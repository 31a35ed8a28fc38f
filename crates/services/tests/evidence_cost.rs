//! What registering evidence costs in processor time. Run with
//! `cargo test --release -p hawser-services --test evidence_cost -- --ignored --nocapture`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

#[path = "../../execution/tests/common/mod.rs"]
mod common;
mod sets;

use std::time::{Duration, Instant};

use common::*;
use hawser_crypto::Scheme;
use hawser_ledger::{ChainParameters, Ordering, Outcome, VerifiedTransaction, merkle};
use hawser_primitives::Bytes;
use hawser_services::evidence::{
    ADDRESS, Algorithm, Evidence, Record, encode_register, encode_register_set, set_leaves,
};
use sets::*;

/// Nanoseconds that this thread had a processor.
fn processor_ns() -> u64 {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Microseconds of processor time of the quickest of some rounds. A round lasts long enough for the
/// ticks in which the kernel counts.
fn micros(mut work: impl FnMut()) -> f64 {
    const ROUND: Duration = Duration::from_millis(150);
    let round = |work: &mut dyn FnMut()| {
        let (start, before, mut runs) = (Instant::now(), processor_ns(), 0u32);
        while start.elapsed() < ROUND {
            work();
            runs += 1;
        }
        (processor_ns() - before) as f64 / 1_000.0 / f64::from(runs)
    };
    (0..5)
        .map(|_| round(&mut work))
        .fold(f64::INFINITY, f64::min)
}

fn records(from: usize, count: usize) -> Bytes {
    let record = |n: usize| Record {
        digest: digest(n, 32),
        algorithm: Algorithm::Sha256.number(),
        media_type: "application/pdf".to_owned(),
        description: format!("file {n}"),
        sealed_owner: Vec::new(),
    };
    let records: Vec<_> = (from..from + count).map(record).collect();
    encode_register(&records)
}

fn digests(from: usize, count: usize) -> Bytes {
    let mut set = set(0);
    set.digests = (from..from + count).flat_map(|n| digest(n, 32)).collect();
    encode_register_set(&set)
}

#[test]
#[ignore = "measures"]
fn processor_time_per_record() {
    for suite in SUITES {
        let parameters = ChainParameters {
            block_gas_max: 10_000_000_000,
            account_block_gas_max: 10_000_000_000,
            ..ChainParameters::default()
        };
        let chain = Chain::with(
            suite,
            parameters,
            vec![],
            vec![std::sync::Arc::new(Evidence)],
        );
        let key = key(Scheme::Ed25519, 1);
        let block = |input: &dyn Fn(usize, usize) -> Bytes, each: usize, count: usize| {
            let ordering = |salt| Ordering::Unordered {
                expires: chain.context.time.plus_ms(60_000),
                salt,
            };
            let gas = (100_000 + 45_000 * each as u64).min(49_000_000);
            (0..count)
                .map(|n| {
                    let calls = vec![to(ADDRESS, 0, input(n * each, each).to_vec())];
                    native(&key, ordering(n as u64), gas, calls, suite)
                })
                .collect::<Vec<VerifiedTransaction>>()
        };
        for (name, input, each, count) in [
            (
                "register",
                &records as &dyn Fn(usize, usize) -> Bytes,
                1,
                1_000,
            ),
            ("register", &records, 100, 100),
            ("registerSet", &digests, 1, 1_000),
            ("registerSet", &digests, 100, 200),
            ("registerSet", &digests, 1_000, 40),
            ("registerSet", &digests, 10_000, 5),
        ] {
            let transactions = block(input, each, count);
            let time = micros(|| {
                let output = chain.execute(&transactions);
                assert!(outcomes(&output).iter().all(|one| *one == Outcome::Success));
            });
            let all = (each * count) as f64;
            println!(
                "{suite}: {name} of {each}: {:.1} us per transaction, {:.3} us per record",
                time / count as f64,
                time / all
            );
        }
        let all: Vec<u8> = (0..10_000).flat_map(|n| digest(n, 32)).collect();
        let time = micros(|| {
            let leaves = set_leaves(suite, Algorithm::Sha256, &all).unwrap();
            assert!(!merkle::root(suite, &leaves).is_zero());
        });
        println!("{suite}: root alone: {:.3} us per digest", time / 10_000.0);
    }
    // What gas is compared with.
    let data = [7u8; 64];
    for suite in SUITES {
        let time = micros(|| {
            for _ in 0..10_000 {
                std::hint::black_box(suite.hash(std::hint::black_box(&data)));
            }
        });
        println!("{suite}: hash of 64 bytes: {:.3} us", time / 10_000.0);
    }
}
