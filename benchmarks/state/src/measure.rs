use std::fmt::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::workload::{BATCH, NEW, Random, Update, batch};

/// Fewest keys per batch while the store is filled.
const LOAD_BATCH: u64 = 20_000;
const READS: u64 = 100_000;
const PROOFS: u64 = 1_000;
/// Key and value of an update.
const UPDATE_BYTES: u64 = 53 + 32;

/// A store under measurement. A batch reads every key before it writes it, commits to the result and
/// is durable as the engine's mode says.
#[allow(async_fn_in_trait)]
pub trait Engine {
    async fn batch(&mut self, updates: &[Update]) -> Result<()>;
    async fn read(&mut self, n: u64) -> Result<Option<[u8; 32]>>;
    /// Makes a proof of an existing key, checks it, and returns its size in bytes without the value.
    async fn proof_bytes(&mut self, n: u64) -> Result<usize>;
    /// Brings everything to disk.
    async fn settle(&mut self) -> Result<()>;
    /// Called between loading and updating.
    fn loaded(&mut self) {}
    /// Closes the store and opens it again; milliseconds that opening took.
    async fn reopen_ms(&mut self) -> Result<Option<f64>> {
        Ok(None)
    }
    /// Anything to say besides, for the record.
    fn notes(&self) -> String {
        String::new()
    }
}

/// What one run measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figures {
    pub engine: String,
    pub keys: u64,
    pub load_seconds: f64,
    pub batches: usize,
    pub updates_per_second: f64,
    /// CPU of the whole process, all threads, per updated key.
    pub cpu_us_per_update: f64,
    pub batch_ms_p50: f64,
    pub batch_ms_p99: f64,
    pub batch_ms_max: f64,
    pub reads_per_second: f64,
    pub proofs_per_second: f64,
    /// Bytes that the process sent to the disk for each byte of updated keys and values, background
    /// work included.
    pub write_amplification: f64,
    /// Opening the store again, if the engine can.
    pub open_ms: Option<f64>,
    pub proof_bytes: f64,
    pub disk_mb: f64,
    /// Memory of its own at the end of the updates, and the most ever with mapped files.
    pub anonymous_mb: f64,
    pub peak_mb: f64,
    pub notes: String,
}

pub async fn measure<E: Engine>(
    name: &str,
    mut engine: E,
    keys: u64,
    (seconds, batches): (f64, usize),
    folder: &Path,
) -> Result<Figures> {
    let mut random = Random(keys);
    let start = Instant::now();
    let mut loaded = 0;
    while loaded < keys {
        let end = (loaded + LOAD_BATCH.max(keys / 50)).min(keys);
        let updates: Vec<_> = (loaded..end).map(|n| (n, random.word())).collect();
        engine.batch(&updates).await?;
        loaded = end;
        if loaded % 1_000_000 == 0 {
            eprintln!(
                "  loaded {loaded} in {:.0} s",
                start.elapsed().as_secs_f64()
            );
        }
    }
    engine.settle().await?;
    engine.loaded();
    let load_seconds = start.elapsed().as_secs_f64();

    let mut current = keys;
    let mut times = Vec::new();
    let mut last = None;
    let written = written_bytes()?;
    let (start, cpu) = (Instant::now(), cpu_seconds()?);
    while start.elapsed().as_secs_f64() < seconds || times.len() < batches {
        let updates = batch(&mut random, current);
        let began = Instant::now();
        engine.batch(&updates).await?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        current += NEW;
        last = updates.last().copied();
    }
    let (elapsed, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    let updated = times.len() as f64 * BATCH as f64;
    let written = written_bytes()?.saturating_sub(written);
    let anonymous_mb = status_mb("RssAnon:")?;
    eprintln!(
        "  {} batches, {:.0} updates/s",
        times.len(),
        updated / elapsed
    );
    times.sort_by(f64::total_cmp);

    if let Some((n, value)) = last {
        ensure!(
            engine.read(n).await? == Some(value),
            "the last write is not read back"
        );
        ensure!(engine.read(current).await?.is_none(), "a key appeared");
    }
    let start = Instant::now();
    for _ in 0..READS {
        ensure!(
            engine.read(random.next() % current).await?.is_some(),
            "a key is lost"
        );
    }
    let reads_per_second = READS as f64 / start.elapsed().as_secs_f64();

    let start = Instant::now();
    let mut proof_bytes = 0;
    for _ in 0..PROOFS {
        proof_bytes += engine.proof_bytes(random.next() % current).await?;
    }
    let proofs_per_second = PROOFS as f64 / start.elapsed().as_secs_f64();

    engine.settle().await?;
    let open_ms = engine.reopen_ms().await?;
    if let Some((n, value)) = last {
        ensure!(
            engine.read(n).await? == Some(value),
            "the last write is not read back after opening"
        );
    }
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Ok(Figures {
        engine: name.to_owned(),
        keys,
        load_seconds,
        batches: times.len(),
        updates_per_second: updated / elapsed,
        cpu_us_per_update: cpu * 1e6 / updated,
        batch_ms_p50: at(0.5),
        batch_ms_p99: at(0.99),
        batch_ms_max: at(1.0),
        reads_per_second,
        proofs_per_second,
        write_amplification: written as f64 / (updated * UPDATE_BYTES as f64),
        open_ms,
        proof_bytes: proof_bytes as f64 / PROOFS as f64,
        disk_mb: disk_bytes(folder)? as f64 / 1e6,
        anonymous_mb,
        peak_mb: status_mb("VmHWM:")?,
        notes: engine.notes(),
    })
}

/// User and system time of this process, in hundredths.
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|n| n.parse::<f64>().ok())
        .sum();
    Ok(ticks / 100.0)
}

/// Bytes that this process caused to be written to the disk.
fn written_bytes() -> Result<u64> {
    let io = std::fs::read_to_string("/proc/self/io")?;
    let line = io
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes:"))
        .unwrap_or_default();
    Ok(line.trim().parse()?)
}

fn status_mb(name: &str) -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_default();
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024.0 / 1e6)
}

/// Blocks in use, so that a sparse file counts only what it fills.
fn disk_bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            disk_bytes(&entry.path())?
        } else {
            metadata.blocks() * 512
        };
    }
    Ok(bytes)
}

pub fn table(all: &[Figures]) -> String {
    let mut out = String::from(
        "| keys | engine | load s | updates/s | CPU µs/update | batch ms p50 / p99 / max | reads/s \
         | proofs/s | proof B | disk MB | memory MB (peak) | bytes written per byte | open ms |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for f in all {
        writeln!(
            out,
            "| {} | {} | {:.0} | {:.0} | {:.1} | {:.0} / {:.0} / {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} ({:.0}) | {:.0} | {} |",
            f.keys,
            f.engine,
            f.load_seconds,
            f.updates_per_second,
            f.cpu_us_per_update,
            f.batch_ms_p50,
            f.batch_ms_p99,
            f.batch_ms_max,
            f.reads_per_second,
            f.proofs_per_second,
            f.proof_bytes,
            f.disk_mb,
            f.anonymous_mb,
            f.peak_mb,
            f.write_amplification,
            f.open_ms
                .map_or_else(|| "–".to_owned(), |ms| format!("{ms:.0}")),
        )
        .expect("writing to a string");
    }
    out
}
