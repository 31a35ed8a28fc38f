//! SM4 and SM3 on one core: `taskset -c 1 cargo run --release -p hawser-sm-fast --example sm4`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss
)]

use std::hint::black_box;
use std::time::Duration;

use aes_gcm::AesGcm;
use aes_gcm::aead::{AeadInOut, KeyInit, consts::U12};
use hawser_sm_fast::sm4::{Gcm, Sm4};
use sm3::{Digest, Sm3};
use sm4::cipher::BlockCipherEncrypt;

/// Time this thread has had on a processor, so that others on a busy machine do not count.
fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap(),
    )
}

/// MiB per second: the median and the best of nine runs of about 30 ms.
fn measure(what: &str, bytes: usize, mut work: impl FnMut()) {
    work();
    let mut rates = Vec::new();
    for _ in 0..9 {
        let (start, mut done) = (now(), 0);
        let mut spent = Duration::ZERO;
        while spent < Duration::from_millis(30) {
            for _ in 0..1 + 100_000 / bytes {
                work();
                done += bytes;
            }
            spent = now() - start;
        }
        rates.push(done as f64 / spent.as_secs_f64() / f64::from(1 << 20));
    }
    rates.sort_by(f64::total_cmp);
    let nanos = bytes as f64 / rates[4] / f64::from(1 << 20) * 1e9;
    println!(
        "{what:<44} median {:>8.0} MiB/s  best {:>8.0} MiB/s  {nanos:>10.0} ns",
        rates[4], rates[8],
    );
}

fn main() {
    let theirs = sm4::Sm4::new(&[7; 16].into());
    let ours = Sm4::new(&[7; 16]);
    let mut blocks = vec![[1u8; 16]; 1024];
    measure("sm4 crate, blocks", 16 * 1024, || {
        for block in &mut blocks {
            let mut one = (*block).into();
            theirs.encrypt_block(&mut one);
            *block = one.into();
        }
    });
    measure("this processor's, blocks", 16 * 1024, || {
        ours.encrypt_blocks(black_box(&mut blocks));
    });
    measure("this processor's, one block", 16, || {
        ours.encrypt_blocks(black_box(&mut blocks[..1]));
    });
    hawser_sm_fast::force_portable(true);
    measure("circuit, blocks", 16 * 1024, || {
        ours.encrypt_blocks(black_box(&mut blocks));
    });
    measure("circuit, one block", 16, || {
        ours.encrypt_blocks(black_box(&mut blocks[..1]));
    });
    hawser_sm_fast::force_portable(false);
    let mut key = [0; 16];
    measure("a key schedule", 16, || {
        key[0] ^= 1;
        black_box(Sm4::new(black_box(&key)));
    });
    for bytes in [64, 256, 1024, 16 * 1024] {
        let mut data = vec![3u8; bytes];
        let reference = AesGcm::<sm4::Sm4, U12>::new(&[7; 16].into());
        measure(
            &format!("SM4-GCM of the crates, {bytes} bytes"),
            bytes,
            || {
                let data = data.as_mut_slice().into();
                black_box(reference.encrypt_inout_detached(&[0; 12].into(), &[], data)).unwrap();
            },
        );
        let gcm = Gcm::new(&[7; 16]);
        measure(&format!("SM4-GCM, {bytes} bytes"), bytes, || {
            black_box(gcm.seal(&[0; 12], &[], &mut data)).unwrap();
        });
    }
    for bytes in [64, 1024] {
        let data = vec![3u8; bytes];
        measure(&format!("SM3, {bytes} bytes"), bytes, || {
            black_box(Sm3::digest(black_box(&data)));
        });
    }
}
