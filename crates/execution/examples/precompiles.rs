//! What the precompiles cost, beside Ethereum's own, in nanoseconds and in gas per microsecond:
//! `cargo run --release -p hawser-execution --example precompiles`.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    clippy::indexing_slicing
)]

use std::time::{Duration, Instant};

use alloy_primitives::hex;
use hawser_crypto::{Scheme, SecretKey, secp};
use hawser_execution::{
    SM2_VERIFY, SM2_VERIFY_DIGEST, SM3_HASH, SM4_BLOCKS, SM4_CTR, SM4_GCM, run_precompile,
};
use hawser_primitives::{Address, B256};
use revm::precompile::{PrecompileSpecId, Precompiles};

fn measure(name: &str, mut work: impl FnMut() -> u64) {
    let mut best = Duration::MAX;
    let mut gas = 0;
    // The best of many short runs: the machine is not ours alone.
    for _ in 0..1_000 {
        let start = Instant::now();
        for _ in 0..5 {
            gas = work();
        }
        best = best.min(start.elapsed() / 5);
    }
    let nanos = best.as_nanos() as f64;
    println!(
        "{name:32} {nanos:>10.0} ns {gas:>8} gas {:>8.0} gas/µs",
        gas as f64 * 1000.0 / nanos
    );
}

fn main() {
    let standard = Precompiles::new(PrecompileSpecId::OSAKA);
    let ethereum = |name: &str, address: u64, input: Vec<u8>| {
        let address = Address::left_padding_from(&address.to_be_bytes());
        let precompile = standard.get(&address).unwrap();
        measure(name, || {
            precompile.execute(&input, 10_000_000, 0).unwrap().gas_used
        });
    };
    let own = |name: &str, address: Address, input: Vec<u8>| {
        measure(name, || {
            let result = run_precompile(&address, &input, 10_000_000).unwrap();
            assert!(result.result.is_ok());
            result.gas.total_gas_spent()
        });
    };
    let key = SecretKey::from_seed(Scheme::Secp256k1, &[1; 32]).unwrap();
    let (r_s, parity) = secp::sign_prehash(&key, &B256::repeat_byte(7)).unwrap();
    let v = B256::with_last_byte(27 + u8::from(parity));
    ethereum(
        "ecrecover",
        1,
        [&B256::repeat_byte(7)[..], &v[..], &r_s].concat(),
    );
    let p256 = include_str!("../tests/vectors/eip7951.txt");
    let p256 = p256.lines().find(|line| line.ends_with(" 1")).unwrap();
    ethereum("p256", 0x100, hex::decode(&p256[..320]).unwrap());
    ethereum("sha256, 1 KiB", 2, vec![1; 1024]);

    let key = SecretKey::from_seed(Scheme::Sm2, &[1; 32]).unwrap();
    let signature = key.sign(b"message");
    let xy = key.public_key().to_uncompressed()[1..].to_vec();
    let input = [&xy, &signature.as_bytes()[..], b"message"].concat();
    own("SM2, message", SM2_VERIFY, input);
    let input = [&[7; 32], &signature.as_bytes()[..], &xy].concat();
    own("SM2, digest", SM2_VERIFY_DIGEST, input);
    for len in [32, 1024] {
        own(&format!("SM3, {len} bytes"), SM3_HASH, vec![1; len]);
        let head = [&[0; 29][..], &[0; 4]].concat();
        let gcm = [head, vec![1; len]].concat();
        let blocks = [&[0; 17][..], &vec![1; len]].concat();
        own(&format!("SM4 blocks, {len} bytes"), SM4_BLOCKS, blocks);
        own(&format!("SM4 CTR, {len} bytes"), SM4_CTR, vec![1; 32 + len]);
        own(&format!("SM4 GCM, {len} bytes"), SM4_GCM, gcm);
    }
}
