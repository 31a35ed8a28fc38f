//! How long small writes to the key-value store take while large ones beside them are made durable.
//!
//! ```text
//! cargo run --release -p hawser-storage --example persist -- [FOLDER]
//! ```
//! One thread writes 200 bytes every millisecond, as the execution of blocks does; another writes 8 MiB and persists
//! them, twice a second, as a flush does. Prints quantiles of the small writes for ten seconds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement"
)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hawser_storage::{Batch, Column, FjallKv, Kv};

const SMALL: Column = Column("small");
const LARGE: Column = Column("large");
const VALUE_BYTES: usize = 4096;
const VALUES: u32 = 2048;

fn main() {
    let folder = std::env::args()
        .nth(1)
        .map_or_else(|| PathBuf::from("persist-measured"), PathBuf::from);
    let kv = FjallKv::open(&folder, &[SMALL, LARGE], 1 << 20).unwrap();
    let over = AtomicBool::new(false);
    let (mut took, persists) = thread::scope(|scope| {
        let flusher = scope.spawn(|| {
            let mut persists = Vec::new();
            for round in 0u32..20 {
                let mut batch = Batch::new();
                for value in 0..VALUES {
                    let key = [round.to_be_bytes(), value.to_be_bytes()].concat();
                    let mut bytes = vec![0; VALUE_BYTES];
                    bytes[..8].copy_from_slice(&key);
                    batch.put(LARGE, key, bytes);
                }
                kv.write(batch).unwrap();
                let begun = Instant::now();
                kv.persist().unwrap();
                persists.push(begun.elapsed());
                thread::sleep(Duration::from_millis(500).saturating_sub(begun.elapsed()));
            }
            over.store(true, Ordering::Relaxed);
            persists
        });
        let mut took = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let mut batch = Batch::new();
            batch.put(SMALL, (took.len() as u64).to_be_bytes(), [7; 200]);
            let begun = Instant::now();
            kv.write(batch).unwrap();
            took.push(begun.elapsed());
            thread::sleep(Duration::from_millis(1));
        }
        (took, flusher.join().unwrap())
    });
    drop(kv);
    std::fs::remove_dir_all(&folder).unwrap();
    took.sort_unstable();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let at = |per_mille: usize| ms(took[took.len() * per_mille / 1000]);
    let longest = persists.iter().max().copied().unwrap_or_default();
    println!(
        "{} writes: p50 {:.2}, p99 {:.2}, p99.9 {:.2}, max {:.2} ms; longest persist {:.2} ms",
        took.len(),
        at(500),
        at(990),
        at(999),
        took.last().map_or(0.0, |time| ms(*time)),
        ms(longest),
    );
}
