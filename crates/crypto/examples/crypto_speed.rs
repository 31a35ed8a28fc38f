//! Prints operations per second on one core: `cargo run --release -p hawser-crypto --example crypto_speed`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{hint::black_box, time::Instant};

use hawser_crypto::{
    PublicKey, Scheme, SecretKey, Suite,
    secp::{self, KEY_CACHE_BYTES_MAX, Path, Recoverer, Request},
};
use hawser_primitives::B256;

fn rate(name: &str, mut operation: impl FnMut(u32)) {
    for i in 0..100 {
        operation(i);
    }
    let start = Instant::now();
    let mut count = 0u32;
    while start.elapsed().as_millis() < 1000 {
        for _ in 0..50 {
            operation(count);
            count += 1;
        }
    }
    println!(
        "{name:28} {:>10.0} per second",
        f64::from(count) / start.elapsed().as_secs_f64()
    );
}

fn main() {
    for scheme in Scheme::ALL {
        let key = SecretKey::from_seed(scheme, &[1; 32]).unwrap();
        let public = key.public_key();
        let encoded = public.as_bytes().to_vec();
        let signature =
            key.sign(b"a message of usual length, that is to say: of some tens of bytes");
        rate(&format!("{scheme} sign"), |i| {
            black_box(key.sign(&i.to_be_bytes()));
        });
        rate(&format!("{scheme} verify"), |_| {
            let message = b"a message of usual length, that is to say: of some tens of bytes";
            public
                .verify(black_box(message), black_box(&signature))
                .unwrap();
        });
        rate(&format!("{scheme} decode key, verify"), |_| {
            let message = b"a message of usual length, that is to say: of some tens of bytes";
            let public = PublicKey::from_bytes(scheme, black_box(&encoded)).unwrap();
            public
                .verify(black_box(message), black_box(&signature))
                .unwrap();
        });
        rate(&format!("{scheme} decode key"), |_| {
            black_box(PublicKey::from_bytes(scheme, black_box(&encoded)).unwrap());
        });
    }
    let key = SecretKey::from_seed(Scheme::Secp256k1, &[1; 32]).unwrap();
    let digest = B256::repeat_byte(7);
    let (r_s, parity) = secp::sign_prehash(&key, &digest).unwrap();
    rate("secp256k1 recover", |_| {
        black_box(secp::recover(black_box(&digest), &r_s, parity).unwrap());
    });
    // Known keys: the first goes make their tables.
    for (name, hint) in [
        ("unknown", None),
        ("known", Some(key.public_key().address())),
    ] {
        let recoverer = Recoverer::new(Path::Fast, KEY_CACHE_BYTES_MAX);
        let requests: Vec<_> = (0..64)
            .map(|i| {
                let prehash = B256::repeat_byte(i);
                let (r_s, y_parity) = secp::sign_prehash(&key, &prehash).unwrap();
                Request {
                    prehash,
                    r_s,
                    y_parity,
                    hint,
                }
            })
            .collect();
        rate(&format!("secp256k1 recover 64, {name}"), |_| {
            black_box(recoverer.recover_many(black_box(&requests)));
        });
    }
    for suite in Suite::ALL {
        for (name, bytes) in [("64 B", vec![1; 64]), ("1 MiB", vec![1; 1 << 20])] {
            rate(&format!("{suite} hash {name}"), |_| {
                black_box(suite.hash(black_box(&bytes)));
            });
        }
    }
}
