//! Digests per second, one message at a time and many, in processor time.
//!
//! `taskset -c 0 cargo run --release -p hawser-hash-fast --example hash_speed`
#![allow(clippy::print_stdout, reason = "a measurement")]

use std::{hint::black_box, time::Duration};

use hawser_hash_fast::Messages;
use rustix::time::{ClockId, clock_gettime};
use sha3::{Digest, Keccak256};
use sm3::Sm3;

fn now() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.cast_unsigned(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Nanoseconds for each of `count` messages that a call hashes; the best of several rounds.
fn measure(count: usize, mut call: impl FnMut()) -> f64 {
    let calls = 400_000 / count;
    let round = || {
        let start = now();
        (0..calls).for_each(|_| call());
        (now() - start).as_secs_f64() * 1e9 / (calls * count) as f64
    };
    std::iter::repeat_with(round)
        .take(7)
        .fold(f64::MAX, f64::min)
}

fn main() {
    println!("ns per message      together  keccak one  many  ratio |   sm3 one   many  ratio");
    for bytes in [37, 48, 80, 88, 120, 250, 1_000] {
        for count in [1, 2, 4, 8, 16, 64, 1_000] {
            let mut messages = Messages::default();
            let list: Vec<_> = (0..count).map(|n| vec![n as u8; bytes]).collect();
            for message in &list {
                messages.push(&[message]);
            }
            let keccak = measure(count, || {
                for message in &list {
                    black_box(Keccak256::digest(black_box(message)));
                }
            });
            let sm3 = measure(count, || {
                for message in &list {
                    black_box(Sm3::digest(black_box(message)));
                }
            });
            let mut fill = || {
                messages.clear();
                for message in &list {
                    messages.push(&[black_box(message)]);
                }
            };
            fill();
            let filled = messages.clone();
            let keccaks = measure(count, || drop(black_box(filled.keccak256())));
            let sm3s = measure(count, || drop(black_box(filled.sm3())));
            println!(
                "{bytes:>5} bytes {count:>16} {keccak:>11.0} {keccaks:>5.0} {:>6.2} | {sm3:>9.0} {sm3s:>6.0} {:>6.2}",
                keccak / keccaks,
                sm3 / sm3s
            );
        }
    }
}
