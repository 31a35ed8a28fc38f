//! How a chain's store behaves as the chain grows, and what pruning costs and saves.
//!
//! ```text
//! cargo run --release -p hawser-node --example chain_length -- \
//!     [--blocks 10000,100000,1000000] [--transactions 0] [--keep N] [--measured 2000] [--folder DIR]
//! ```
//! Blocks of one validator, `transactions` transfers to new accounts in each, are stored, executed and flushed
//! as a node does it, with a thread that flushes and prunes beside. At each length given, the last
//! `measured` blocks are made with every sync a node makes (before them syncs of block files are left
//! out), then a pruned store is compacted, as a node does it that has nothing else to do, and the store is closed
//! and opened again. Prints one line of a table per length: time to
//! make a block durable and execute it (p50, p99), time to open, bytes on the disk by kind, bytes of live state.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement"
)]

#[path = "../tests/maker/mod.rs"]
mod maker;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hawser_ledger::state::StateRead as _;
use hawser_node::store::{ChainStore, StoreOptions, columns};
use hawser_primitives::Height;
use hawser_storage::{Disk, DiskError, DiskFile, FjallKv, OsDisk, SegmentOptions};

/// A folder whose syncs can be left out, to make long chains in reasonable time.
struct Lazy {
    inner: OsDisk,
    syncs: Arc<AtomicBool>,
}

struct LazyFile {
    inner: Arc<dyn DiskFile>,
    syncs: Arc<AtomicBool>,
}

impl Disk for Lazy {
    fn open(&self, name: &str) -> Result<Option<Arc<dyn DiskFile>>, DiskError> {
        let syncs = Arc::clone(&self.syncs);
        let found = self.inner.open(name)?;
        Ok(found.map(|inner| Arc::new(LazyFile { inner, syncs }) as Arc<dyn DiskFile>))
    }

    fn create(&self, name: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
        let syncs = Arc::clone(&self.syncs);
        let inner = self.inner.create(name)?;
        Ok(Arc::new(LazyFile { inner, syncs }))
    }

    fn list(&self) -> Result<Vec<(String, u64)>, DiskError> {
        self.inner.list()
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.inner.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.inner.rename(from, to)
    }

    fn sync(&self) -> Result<(), DiskError> {
        if self.syncs.load(Ordering::Relaxed) {
            self.inner.sync()?;
        }
        Ok(())
    }
}

impl DiskFile for LazyFile {
    fn append(&self, bytes: &[u8]) -> Result<(), DiskError> {
        self.inner.append(bytes)
    }

    fn read_at(&self, offset: u64, len: usize) -> Result<Vec<u8>, DiskError> {
        self.inner.read_at(offset, len)
    }

    fn len(&self) -> Result<u64, DiskError> {
        self.inner.len()
    }

    fn truncate(&self, len: u64) -> Result<(), DiskError> {
        self.inner.truncate(len)
    }

    fn sync(&self) -> Result<(), DiskError> {
        if self.syncs.load(Ordering::Relaxed) {
            self.inner.sync()?;
        }
        Ok(())
    }
}

struct Args {
    lengths: Vec<u64>,
    transactions: u64,
    keep: Option<u64>,
    measured: u64,
    folder: Option<PathBuf>,
}

fn args() -> Args {
    let mut parsed = Args {
        lengths: vec![10_000, 100_000, 1_000_000],
        transactions: 0,
        keep: None,
        measured: 2_000,
        folder: None,
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given
            .next()
            .unwrap_or_else(|| panic!("{name} needs a value"));
        let number = || value.parse().unwrap_or_else(|_| panic!("{name}: {value}"));
        match name.as_str() {
            "--blocks" => {
                parsed.lengths = value.split(',').map(|one| one.parse().unwrap()).collect();
            }
            "--transactions" => parsed.transactions = number(),
            "--keep" => parsed.keep = Some(number()),
            "--measured" => parsed.measured = number(),
            "--folder" => parsed.folder = Some(PathBuf::from(value)),
            _ => panic!("unknown {name}"),
        }
    }
    parsed
}

fn open(folder: &Path, args: &Args, syncs: &Arc<AtomicBool>) -> Arc<ChainStore> {
    let disk = Lazy {
        inner: OsDisk::new(&folder.join("log")).unwrap(),
        syncs: Arc::clone(syncs),
    };
    let kv = FjallKv::open(&folder.join("kv"), &columns(), 32 << 20).unwrap();
    let options = StoreOptions {
        segments: SegmentOptions {
            segment_bytes: if args.keep.is_some() {
                16 << 20
            } else {
                64 << 20
            },
            ..SegmentOptions::default()
        },
        keep_blocks: args.keep,
        ..StoreOptions::default()
    };
    Arc::new(maker::open(Arc::new(disk), Arc::new(kv), options).unwrap())
}

/// Makes blocks up to a height; the times of the last ones.
fn grow(store: &Arc<ChainStore>, args: &Args, to: u64, syncs: &AtomicBool) -> Vec<Duration> {
    let (due, flushes) = std::sync::mpsc::sync_channel::<Height>(1);
    let shared = Arc::clone(store);
    let flusher = std::thread::spawn(move || {
        for height in flushes {
            shared.flush_to(height).unwrap();
            shared.prune().unwrap();
        }
        while shared.prune().unwrap() {}
    });
    // A folder may have been begun with other blocks.
    let head = store.head().id().height;
    let client = maker::client().address();
    let client = store.state(head).unwrap().account(&client).unwrap();
    let mut nonce = client.map_or(0, |client| client.nonce);
    let mut times = Vec::new();
    for height in head.0 + 1..=to {
        let measured = height + args.measured > to;
        syncs.store(measured, Ordering::Relaxed);
        let list = maker::transfers(nonce, args.transactions);
        nonce += args.transactions;
        let (block, certificate) = maker::next(store, list, maker::BLOCK_MS);
        let begun = Instant::now();
        store.append(&block.block, &certificate).unwrap();
        store.sync_blocks().unwrap();
        store.execute(&block, certificate).unwrap();
        if measured {
            times.push(begun.elapsed());
        }
        if let Some(height) = store.flush_due() {
            let _ = due.try_send(height);
        }
    }
    drop(due);
    flusher.join().unwrap();
    store.flush().unwrap();
    // What a pruned node does when nobody waits.
    if store.is_compaction_due() {
        while store.compact().unwrap() {}
    }
    times.sort_unstable();
    times
}

fn bytes_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries
        .map(|entry| match entry.metadata().unwrap() {
            found if found.is_dir() => bytes_of(&entry.path()),
            // What the file takes: journals are made longer than they are full.
            found => std::os::unix::fs::MetadataExt::blocks(&found) * 512,
        })
        .sum()
}

fn main() {
    let args = args();
    let made;
    let folder = match &args.folder {
        Some(folder) => folder.clone(),
        None => {
            made = tempfile::tempdir().unwrap();
            made.path().to_owned()
        }
    };
    let syncs = Arc::new(AtomicBool::new(true));
    let mut store = open(&folder, &args, &syncs);
    println!(
        "| blocks | block p50, ms | p99, ms | open, ms | first | blocks, MB | receipts | headers | pages | key-value | all | live state | all ÷ live |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for length in args.lengths.clone() {
        let times = grow(&store, &args, length, &syncs);
        drop(store);
        let begun = Instant::now();
        store = open(&folder, &args, &syncs);
        let opened = begun.elapsed();
        let usage = store.usage().unwrap();
        let of = |wanted: &str| -> u64 {
            let found = usage.iter().filter(|one| one.kind == wanted);
            found.map(|one| one.bytes).sum()
        };
        let files = ["blocks", "receipts", "headers", "state", "votes", "other"];
        let all = bytes_of(&folder);
        let kv = all - files.iter().map(|kind| of(kind)).sum::<u64>();
        let live = store.live_state_bytes();
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let at = |per_cent: usize| {
            times
                .get(times.len() * per_cent / 100)
                .map_or(0.0, |t| ms(*t))
        };
        let mb = |bytes: u64| bytes as f64 / 1e6;
        println!(
            "| {length} | {:.2} | {:.2} | {:.0} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.2} |",
            at(50),
            at(99),
            ms(opened),
            store.first_height(),
            mb(of("blocks")),
            mb(of("receipts")),
            mb(of("headers")),
            mb(of("state")),
            mb(kv),
            mb(all),
            mb(live),
            all as f64 / live.max(1) as f64,
        );
    }
}
