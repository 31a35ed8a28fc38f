use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hawser_crypto::Suite;
use hawser_ledger::state::{Changes, StateOptions, StateRead, StateStore, StorageValue};
use hawser_primitives::{B256, Domain, Height};
use hawser_storage::{FjallKv, OsDisk};

use crate::measure::Engine;
use crate::workload::{Update, key};

pub struct Mode {
    pub suite: Suite,
    pub history_blocks: u64,
    pub every_batch: bool,
    pub small: bool,
}

impl Default for Mode {
    fn default() -> Self {
        let history_blocks = StateOptions::default().history_blocks;
        Self {
            suite: Suite::Intl,
            history_blocks,
            every_batch: false,
            small: false,
        }
    }
}

/// The node's own state. Flushes run in the thread that commits, so that nothing is hidden.
pub struct Ours {
    store: Option<StateStore>,
    folder: PathBuf,
    mode: Mode,
    next: u64,
    /// While the store is filled, batches are large and each is flushed.
    loading: bool,
    reading: Duration,
    committing: Duration,
    flushing: Duration,
    updates: usize,
}

impl Ours {
    pub fn open(folder: &Path, mode: Mode) -> Result<Self> {
        let store = Some(Self::store(folder, &mode)?);
        let zero = Duration::ZERO;
        let (reading, committing, flushing) = (zero, zero, zero);
        Ok(Self {
            store,
            folder: folder.to_owned(),
            mode,
            next: 0,
            loading: true,
            reading,
            committing,
            flushing,
            updates: 0,
        })
    }

    fn store(folder: &Path, mode: &Mode) -> Result<StateStore> {
        let options = StateOptions {
            history_blocks: mode.history_blocks,
            ..StateOptions::default()
        };
        let (options, kv_cache) = if mode.small {
            (options, 32 << 20)
        } else {
            let (page_cache_bytes, value_cache_bytes) = (320 << 20, 64 << 20);
            (
                StateOptions {
                    page_cache_bytes,
                    value_cache_bytes,
                    ..options
                },
                128 << 20,
            )
        };
        let kv = FjallKv::open(&folder.join("kv"), &StateStore::COLUMNS, kv_cache)?;
        let disk = OsDisk::new(&folder.join("log"))?;
        Ok(StateStore::open(
            Arc::new(kv),
            Arc::new(disk),
            mode.suite,
            options,
        )?)
    }

    fn open_store(&self) -> Result<&StateStore> {
        self.store.as_ref().context("closed")
    }

    fn flush(&mut self, height: Height) -> Result<()> {
        let start = thread_cpu()?;
        self.open_store()?.flush(height)?;
        self.open_store()?.persist()?;
        self.flushing += thread_cpu()?.saturating_sub(start);
        Ok(())
    }
}

impl Engine for Ours {
    async fn batch(&mut self, updates: &[Update]) -> Result<()> {
        let start = thread_cpu()?;
        let mut changes = Changes::default();
        let view = self
            .next
            .checked_sub(1)
            .map(|head| {
                self.open_store()?
                    .view(Height(head))
                    .map_err(anyhow::Error::from)
            })
            .transpose()?;
        for (n, value) in updates {
            let key = key(*n);
            if let Some(view) = &view {
                std::hint::black_box(view.get(&key)?);
            }
            changes
                .entries
                .insert(key, StorageValue::encode(B256::from(*value)));
        }
        let height = Height(self.next);
        self.next += 1;
        let read = thread_cpu()?;
        self.reading += read.saturating_sub(start);
        self.open_store()?.commit(height, &changes)?;
        self.committing += thread_cpu()?.saturating_sub(read);
        self.updates += updates.len();
        if self.loading {
            self.open_store()?.flush(height)?;
            return Ok(());
        }
        let due = if self.mode.every_batch {
            Some(height)
        } else {
            self.open_store()?.flush_due()
        };
        due.map_or(Ok(()), |due| self.flush(due))
    }

    async fn read(&mut self, n: u64) -> Result<Option<[u8; 32]>> {
        let (head, _) = self.open_store()?.head().context("empty")?;
        let value = self.open_store()?.view(head)?.get(&key(n))?;
        Ok(value
            .map(|value| StorageValue::decode(&value))
            .transpose()?
            .map(|value| value.0))
    }

    async fn proof_bytes(&mut self, n: u64) -> Result<usize> {
        let (head, root) = self.open_store()?.head().context("empty")?;
        let proof = self.open_store()?.prove(head, &key(n))?;
        let value = proof.verify(self.mode.suite, &root, &key(n))?;
        ensure!(value.is_some(), "no value in the proof");
        Ok(proof.encode().len() - 32)
    }

    async fn settle(&mut self) -> Result<()> {
        let (head, _) = self.open_store()?.head().context("empty")?;
        self.flush(head)
    }

    async fn reopen_ms(&mut self) -> Result<Option<f64>> {
        // Whoever is still flushing in the background lets go of the folder first.
        self.store = None;
        let start = Instant::now();
        self.store = Some(Self::store(&self.folder, &self.mode)?);
        Ok(Some(start.elapsed().as_secs_f64() * 1000.0))
    }

    fn loaded(&mut self) {
        self.loading = false;
        let zero = Duration::ZERO;
        (self.reading, self.committing, self.flushing, self.updates) = (zero, zero, zero, 0);
    }

    fn notes(&self) -> String {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / self.updates as f64;
        let start = thread_cpu().unwrap_or_default();
        let mut node = [B256::ZERO; 2];
        for i in 0..100_000 {
            node[i & 1] = self
                .mode
                .suite
                .hash_domain(Domain::StateNode, &[&node[0][..], &node[1][..]]);
        }
        let hash = thread_cpu()
            .unwrap_or_default()
            .saturating_sub(start)
            .as_nanos()
            / 100_000;
        let usage = self
            .open_store()
            .map(|store| (store.page_usage(), store.nodes()));
        let (usage, (inners, pages)) = usage.unwrap_or_default();
        format!(
            "{pages} pages, {inners} inner nodes, {} segments of {} MB, {} MB live; inner hash {hash} ns; CPU µs per update in the thread: read {:.2}, commit {:.2}, flush {:.2}",
            usage.segments,
            usage.bytes / 1_000_000,
            usage.live_bytes / 1_000_000,
            each(self.reading),
            each(self.committing),
            each(self.flushing)
        )
    }
}

/// CPU time of this thread.
fn thread_cpu() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = stat
        .split_whitespace()
        .next()
        .context("schedstat is empty")?;
    Ok(Duration::from_nanos(nanos.parse()?))
}
