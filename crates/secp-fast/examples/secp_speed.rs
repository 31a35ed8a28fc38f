//! Recovery and verification side by side with libsecp256k1, on as many threads as asked for.
//!
//! `taskset -c 0 cargo run --release -p hawser-secp-fast --example secp_speed [threads [keys]]`; without
//! `taskset` for two threads. One thread and 16 keys where nothing is said.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{hint::black_box, sync::LazyLock};

use hawser_secp_fast::{Engine, PreparedKey, Signature};
use rand::{RngCore, SeedableRng, rngs::StdRng};
use secp256k1::{
    All, Message, PublicKey, Secp256k1, SecretKey,
    ecdsa::{RecoverableSignature, RecoveryId},
};

static SECP256K1: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

const SIGNATURES: usize = 1024;
const RUNS: usize = 21;

struct Sample {
    signature: Signature,
    key: PublicKey,
    index: usize,
}

/// Processor time of this thread, so that other programs on the machine count less.
fn processor_us() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// What is measured: its name, the items one go handles, and the work.
struct Row<'a> {
    name: String,
    items: usize,
    work: Box<dyn FnMut() + 'a>,
    times: Vec<f64>,
}

fn row<'a>(name: &str, items: usize, work: impl FnMut() + 'a) -> Row<'a> {
    let (name, times) = (name.to_owned(), Vec::new());
    Row {
        name,
        items,
        work: Box::new(work),
        times,
    }
}

/// Name, minimum and median in microseconds per item, and the median of how many times faster than
/// the first row of the same run.
type Result = (String, f64, f64, f64);

/// Takes the rows in turn, run by run, so that all see the machine in the same states.
fn measure(mut rows: Vec<Row>) -> Vec<Result> {
    for run in 0..=RUNS {
        for row in &mut rows {
            let start = processor_us();
            (row.work)();
            let time = (processor_us() - start) / row.items as f64;
            // The first run only warms up.
            if run > 0 {
                row.times.push(time);
            }
        }
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        (values[0], values[RUNS / 2])
    };
    let reference = rows[0].times.clone();
    rows.into_iter()
        .map(|row| {
            let ratios = reference
                .iter()
                .zip(&row.times)
                .map(|(a, b)| a / b)
                .collect();
            let (least, middle) = median(row.times);
            (row.name, least, middle, median(ratios).1)
        })
        .collect()
}

fn run(engine: Engine, keys: usize) -> Vec<Result> {
    let mut rng = StdRng::seed_from_u64(5);
    let mut random = || {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        bytes
    };
    let secrets: Vec<_> = (0..keys)
        .map(|_| SecretKey::from_byte_array(random()).unwrap())
        .collect();
    let samples: Vec<_> = (0..SIGNATURES)
        .map(|i| {
            let (prehash, index) = (random(), i * 7 % keys);
            let signature =
                SECP256K1.sign_ecdsa_recoverable(Message::from_digest(prehash), &secrets[index]);
            let (id, r_s) = signature.serialize_compact();
            let y_parity = id == RecoveryId::One;
            let key = secrets[index].public_key(&SECP256K1);
            Sample {
                signature: Signature {
                    prehash,
                    r_s,
                    y_parity,
                },
                key,
                index,
            }
        })
        .collect();
    let signatures: Vec<_> = samples.iter().map(|sample| sample.signature).collect();
    let keys: Vec<[u8; 64]> = secrets
        .iter()
        .map(|secret| {
            let [_, xy @ ..] = secret.public_key(&SECP256K1).serialize_uncompressed();
            xy
        })
        .collect();
    let prepared: Vec<PreparedKey> = engine
        .prepare_many(&keys)
        .into_iter()
        .map(Option::unwrap)
        .collect();
    let items: Vec<_> = samples
        .iter()
        .map(|sample| (&prepared[sample.index], sample.signature))
        .collect();

    let mut rows = vec![
        row("libsecp256k1 recover", 256, || {
            for sample in &samples[..256] {
                let Signature {
                    prehash,
                    r_s,
                    y_parity,
                } = sample.signature;
                let id = if y_parity {
                    RecoveryId::One
                } else {
                    RecoveryId::Zero
                };
                let parsed = RecoverableSignature::from_compact(&r_s, id).unwrap();
                black_box(
                    SECP256K1
                        .recover_ecdsa(Message::from_digest(prehash), &parsed)
                        .unwrap(),
                );
            }
        }),
        row("libsecp256k1 verify", 256, || {
            for sample in &samples[..256] {
                let Signature { prehash, r_s, .. } = sample.signature;
                let parsed = secp256k1::ecdsa::Signature::from_compact(&r_s).unwrap();
                let message = Message::from_digest(prehash);
                SECP256K1
                    .verify_ecdsa(message, &parsed, &sample.key)
                    .unwrap();
            }
        }),
    ];
    for batch in [8, 16, 64, 1024] {
        let (engine, signatures) = (&engine, &signatures);
        rows.push(row(
            &format!("recover, batches of {batch}"),
            SIGNATURES,
            move || {
                for chunk in signatures.chunks(batch) {
                    black_box(engine.recover_many(chunk));
                }
            },
        ));
    }
    for batch in [8, 16, 64, 1024] {
        let (engine, items) = (&engine, &items);
        rows.push(row(
            &format!("verify, batches of {batch}"),
            SIGNATURES,
            move || {
                for chunk in items.chunks(batch) {
                    black_box(engine.verify_many(chunk));
                }
            },
        ));
    }
    rows.push(row("prepare, batches of 8", 16, || {
        for chunk in keys[..16].chunks(8) {
            black_box(engine.prepare_many(chunk));
        }
    }));
    measure(rows)
}

fn main() {
    let Some(engine) = Engine::detect() else {
        println!("this processor has no AVX-512 IFMA");
        return;
    };
    let mut arguments = std::env::args()
        .skip(1)
        .map(|text| text.parse::<usize>().unwrap());
    let (threads, keys) = (
        arguments.next().unwrap_or(1),
        arguments.next().unwrap_or(16),
    );
    assert!((1..=64).contains(&threads) && (16..=10_000).contains(&keys));
    let results: Vec<_> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| run(engine, keys)))
            .collect();
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap())
            .collect()
    });
    for (thread, rows) in results.iter().enumerate() {
        println!(
            "thread {} of {threads}, {keys} keys; µs of processor time per item:",
            thread + 1
        );
        println!(
            "  {:26} {:>8} {:>8} {:>8}",
            "", "minimum", "median", "ratio"
        );
        for (name, least, median, ratio) in rows {
            println!("  {name:26} {least:8.2} {median:8.2} {ratio:8.1}");
        }
    }
    println!("ratio: times faster than libsecp256k1's recovery in the same run, median of {RUNS}");
    println!("bytes per prepared key: {}", PreparedKey::BYTES);
}
