//! Recovery and verification side by side with libsecp256k1, on as many threads as asked for.
//!
//! `taskset -c 0 cargo run --release -p hawser-secp-fast --example speed` and
//! `cargo run --release -p hawser-secp-fast --example speed -- 2`
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{hint::black_box, sync::LazyLock};

use hawser_secp_fast::{Engine, PreparedKey, Signature};
use rand::{RngCore, SeedableRng, rngs::StdRng};
use secp256k1::{
    All, Message, PublicKey, Secp256k1, SecretKey,
    ecdsa::{RecoverableSignature, RecoveryId},
};

static SECP256K1: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

const KEYS: usize = 256;
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

/// Minimum and median over the runs, in microseconds per item.
fn measure(name: &str, items: usize, mut work: impl FnMut()) -> (String, f64, f64) {
    work();
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = processor_us();
            work();
            (processor_us() - start) / items as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (name.to_owned(), times[0], times[RUNS / 2])
}

fn run(engine: Engine) -> Vec<(String, f64, f64)> {
    let mut rng = StdRng::seed_from_u64(5);
    let mut random = || {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        bytes
    };
    let secrets: Vec<_> = (0..KEYS)
        .map(|_| SecretKey::from_byte_array(random()).unwrap())
        .collect();
    let samples: Vec<_> = (0..SIGNATURES)
        .map(|i| {
            let (prehash, index) = (random(), i * 7 % KEYS);
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
        measure("libsecp256k1 recover", 256, || {
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
        measure("libsecp256k1 verify", 256, || {
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
        rows.push(measure(
            &format!("recover, batches of {batch}"),
            SIGNATURES,
            || {
                for chunk in signatures.chunks(batch) {
                    black_box(engine.recover_many(chunk));
                }
            },
        ));
    }
    for batch in [8, 16, 64, 1024] {
        rows.push(measure(
            &format!("verify, batches of {batch}"),
            SIGNATURES,
            || {
                for chunk in items.chunks(batch) {
                    black_box(engine.verify_many(chunk));
                }
            },
        ));
    }
    rows.push(measure("prepare, batches of 8", 64, || {
        for chunk in keys[..64].chunks(8) {
            black_box(engine.prepare_many(chunk));
        }
    }));
    rows
}

fn main() {
    let Some(engine) = Engine::detect() else {
        println!("this processor has no AVX-512 IFMA");
        return;
    };
    let threads = std::env::args()
        .nth(1)
        .map_or(1, |text| text.parse().unwrap());
    let results: Vec<_> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(|| run(engine))).collect();
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap())
            .collect()
    });
    for (thread, rows) in results.iter().enumerate() {
        println!(
            "thread {} of {threads}: µs of processor time per item, minimum and median of {RUNS}",
            thread + 1
        );
        let reference = rows[0].2;
        for (name, least, median) in rows {
            let ratio = reference / median;
            println!("  {name:26} {least:8.2} {median:8.2}   {ratio:5.1} × libsecp256k1 recover");
        }
    }
    println!("bytes per prepared key: {}", PreparedKey::BYTES);
}
