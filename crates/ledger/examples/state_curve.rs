//! How fast the state takes durable blocks when it has many keys.
//!
//! ```text
//! cargo run --release -p hawser-ledger --example state_curve -- \
//!     [--keys 1000000] [--blocks 200] [--warm 100] [--zipf] [--suite intl|sm] [--cache-mib 320] \
//!     [--history 1024] [--overlay 64] [--background] [--folder DIR]
//! ```
//! The state is filled with `keys` storage slots of 64 contracts, then takes blocks of 3,000 updates, of
//! which 600 are new keys; the others are drawn evenly, or by a Zipf distribution of exponent 0.99
//! (`--zipf`). Each key is read before it is written. Everything is durable with each flush, which runs
//! in the committing thread unless `--background`. The first `warm` blocks are not measured. Prints one
//! line of a table.

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

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hawser_crypto::Suite;
use hawser_ledger::state::{
    Changes, StateError, StateKey, StateOptions, StateRead, StateSource, StateStore, part_of,
};
use hawser_primitives::{Address, B256, Bytes, Height};
use hawser_storage::{FjallKv, OsDisk};

const BLOCK: u64 = 3_000;
const NEW: u64 = 600;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn word(&mut self) -> [u8; 32] {
        let mut word = [0; 32];
        for chunk in word.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes());
        }
        word
    }

    /// Evenly between 0 and 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A Zipf distribution over `n` items (Gray et al., "Quickly generating billion-record synthetic
/// databases", 1994), as YCSB has it.
struct Zipf {
    n: f64,
    theta: f64,
    zeta: f64,
    eta: f64,
}

impl Zipf {
    fn new(n: u64) -> Self {
        let theta: f64 = 0.99;
        let zeta = |n: u64| (1..=n).map(|i| (i as f64).powf(-theta)).sum::<f64>();
        let all = zeta(n);
        let n = n as f64;
        let eta = (1.0 - (2.0 / n).powf(1.0 - theta)) / (1.0 - zeta(2) / all);
        let zeta = all;
        Self {
            n,
            theta,
            zeta,
            eta,
        }
    }

    fn draw(&self, random: &mut Random) -> u64 {
        let share = random.share();
        let scaled = share * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5f64.powf(self.theta) {
            return 1;
        }
        let base = self.eta.mul_add(share, 1.0 - self.eta);
        (self.n * base.powf(1.0 / (1.0 - self.theta))) as u64
    }
}

fn key(n: u64) -> StateKey {
    StateKey::Storage(
        Address::repeat_byte((n % 64) as u8),
        B256::from(Random(n).word()),
    )
}

fn value(n: u64) -> Bytes {
    Bytes::copy_from_slice(&Random(!n).word())
}

/// Keys in the order of their paths, by number.
struct Filled {
    sorted: Vec<(u64, u32)>,
    at: usize,
}

impl Filled {
    fn new(suite: Suite, keys: u64) -> Self {
        let prefix = |n: u64| part_of(&key(n).path(suite), 64);
        let mut sorted: Vec<(u64, u32)> = (0..keys).map(|n| (prefix(n), n as u32)).collect();
        sorted.sort_unstable();
        Self { sorted, at: 0 }
    }
}

impl StateSource for Filled {
    fn entries(&self) -> u64 {
        self.sorted.len() as u64
    }

    fn part(&mut self, bits: u32, part: u64) -> Result<Vec<(StateKey, Bytes)>, StateError> {
        let mut leaves = Vec::new();
        while let Some((prefix, n)) = self.sorted.get(self.at) {
            if prefix.checked_shr(64 - bits).unwrap_or(0) != part {
                break;
            }
            leaves.push((key((*n).into()), value((*n).into())));
            self.at += 1;
        }
        Ok(leaves)
    }
}

struct Arguments {
    keys: u64,
    blocks: usize,
    warm: usize,
    zipf: bool,
    suite: Suite,
    cache_mib: usize,
    history: u64,
    overlay: u64,
    background: bool,
    folder: PathBuf,
}

fn arguments() -> Arguments {
    let mut found = Arguments {
        keys: 1_000_000,
        blocks: 200,
        warm: 100,
        zipf: false,
        suite: Suite::Intl,
        cache_mib: 320,
        history: 1024,
        overlay: 64,
        background: false,
        folder: std::env::temp_dir(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        match flag.as_str() {
            "--zipf" => found.zipf = true,
            "--background" => found.background = true,
            _ => {
                let value = words.next().expect("the flag needs a value");
                let number = || value.parse::<u64>().expect("a number");
                match flag.as_str() {
                    "--keys" => found.keys = number(),
                    "--blocks" => found.blocks = number() as usize,
                    "--warm" => found.warm = number() as usize,
                    "--cache-mib" => found.cache_mib = number() as usize,
                    "--history" => found.history = number(),
                    "--overlay" => found.overlay = number(),
                    "--folder" => found.folder = value.clone().into(),
                    "--suite" if value == "sm" => found.suite = Suite::Sm,
                    "--suite" if value == "intl" => {}
                    _ => panic!("unknown flag {flag}; see the head of the file"),
                }
            }
        }
    }
    found
}

fn stat(file: &str, name: &str) -> f64 {
    let text = std::fs::read_to_string(file).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let line = line.unwrap().trim().trim_end_matches(" kB");
    line.parse().unwrap()
}

/// User and system time of this process.
fn process_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after = stat.rsplit(')').next().unwrap();
    let ticks: u64 = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|n| n.parse::<u64>().unwrap())
        .sum();
    Duration::from_millis(ticks * 10)
}

/// Time of this thread on a processor.
fn thread_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanos = stat.split_whitespace().next().unwrap();
    Duration::from_nanos(nanos.parse().unwrap())
}

fn options(arguments: &Arguments) -> StateOptions {
    StateOptions {
        overlay_blocks: arguments.overlay,
        overlay_bytes: 512 << 20,
        history_blocks: arguments.history,
        page_cache_bytes: arguments.cache_mib << 20,
        value_cache_bytes: 64 << 20,
        ..StateOptions::default()
    }
}

#[derive(Default)]
struct Times {
    read: Duration,
    commit: Duration,
    flush: Duration,
    blocks: Vec<f64>,
}

fn main() {
    let arguments = arguments();
    let folder = arguments
        .folder
        .join(format!("state-curve-{}", std::process::id()));
    let open = || -> (Arc<FjallKv>, Arc<OsDisk>) {
        let kv = FjallKv::open(&folder.join("kv"), &StateStore::COLUMNS, 128 << 20).unwrap();
        (
            Arc::new(kv),
            Arc::new(OsDisk::new(&folder.join("log")).unwrap()),
        )
    };
    let options = options(&arguments);
    let suite = arguments.suite;
    let begin = Instant::now();
    let (kv, disk) = open();
    let mut source = Filled::new(suite, arguments.keys);
    let fill = StateStore::fill(&*kv, disk.clone(), suite, &options, Height(0), &mut source);
    fill.unwrap();
    drop(source);
    let loaded = begin.elapsed().as_secs_f64();
    let begin = Instant::now();
    let store = StateStore::open(kv, disk, suite, options).unwrap();
    let opened = begin.elapsed().as_secs_f64() * 1e3;
    eprintln!(
        "{} keys filled in {loaded:.0} s, opened in {opened:.0} ms",
        arguments.keys
    );

    // Reads everything once where the cache can hold it: what a node has after a while.
    let mut random = Random(arguments.keys);
    if (arguments.cache_mib as u64) << 20 > arguments.keys * 130 {
        let view = store.view(Height(0)).unwrap();
        for n in (0..arguments.keys).step_by(4) {
            view.get(&key(n)).unwrap();
        }
    }
    let zipf = arguments.zipf.then(|| Zipf::new(arguments.keys));
    let mut current = arguments.keys;
    let mut times = Times::default();
    let (mut start, mut cpu, mut written) = (Instant::now(), process_cpu(), 0.0);
    for block in 0..arguments.warm + arguments.blocks {
        if block == arguments.warm {
            times = Times::default();
            (start, cpu) = (Instant::now(), process_cpu());
            written = stat("/proc/self/io", "write_bytes:");
        }
        let mut chosen = BTreeSet::new();
        while (chosen.len() as u64) < BLOCK - NEW {
            chosen.insert(match &zipf {
                Some(zipf) => zipf.draw(&mut random) % current,
                None => random.next() % current,
            });
        }
        chosen.extend(current..current + NEW);
        current += NEW;
        let updates: Vec<(StateKey, Bytes)> = chosen
            .into_iter()
            .map(|n| (key(n), Bytes::copy_from_slice(&random.word())))
            .collect();
        let began = Instant::now();
        let before = thread_cpu();
        let mut changes = Changes::default();
        let view = store.view(Height(block as u64)).unwrap();
        for (key, value) in updates {
            std::hint::black_box(view.get(&key).unwrap());
            changes.entries.insert(key, Some(value));
        }
        let read = thread_cpu();
        let height = Height(block as u64 + 1);
        store.commit(height, &changes).unwrap();
        let committed = thread_cpu();
        if let Some(due) = store.flush_due() {
            let flush = move |store: &StateStore| {
                store.flush(due).unwrap();
                store.persist().unwrap();
            };
            if arguments.background {
                let store = store.clone();
                std::thread::spawn(move || flush(&store));
            } else {
                flush(&store);
            }
        }
        times.read += read - before;
        times.commit += committed - read;
        times.flush += thread_cpu() - committed;
        times.blocks.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let elapsed = start.elapsed().as_secs_f64();
    let cpu = process_cpu() - cpu;
    let written = stat("/proc/self/io", "write_bytes:") - written;
    let updates = (arguments.blocks as u64 * BLOCK) as f64;
    let each = |time: Duration| time.as_secs_f64() * 1e6 / updates;
    times.blocks.sort_by(f64::total_cmp);
    let at = |share: f64| times.blocks[((times.blocks.len() - 1) as f64 * share) as usize];
    let usage = store.page_usage();
    println!(
        "| {} | {} {} | {:.0} | {:.0} | {:.1} | {:.1} / {:.1} / {:.1} | {:.0} / {:.0} | {:.0} | {} of {} | {:.0} | {opened:.0} |",
        arguments.keys,
        if arguments.zipf { "zipf" } else { "even" },
        suite.name(),
        loaded,
        updates / elapsed,
        each(cpu),
        each(times.read),
        each(times.commit),
        each(times.flush),
        at(0.5),
        at(0.99),
        written / (updates * 85.0),
        usage.live_bytes / 1_000_000,
        usage.bytes / 1_000_000,
        stat("/proc/self/status", "RssAnon:") / 1e3,
    );
    drop(store);
    std::fs::remove_dir_all(&folder).unwrap();
}
