//! Files that lie in an object store instead of this folder, and are read as if they were here
//! (`docs/spec/tiering.md`, TI-n).
//!
//! For: moving a sealed segment away ([`Tier::push`], [`Tier::drop_local`]) and back
//! ([`Tier::fetch`]), and a [`Disk`] on which such files look like any other ([`TieredDisk`]).
//! Not for: choosing which files are cold, nor for talking to a store ([`ObjectStore`]).
//!
//! ```text
//! blocks-<first>.seg    gone, once
//! blocks-<first>.cold   is durable: key of the object, its length, digest of each MiB
//! blocks-<first>.idx    stays
//! ```
//! Invariants: the local file goes only after the object was read back whole and its digests compared
//! with those of the local file, and after the marker is durable. Nothing from the store is handed on
//! before its digest was compared. What is uploaded is what lies on the disk: of an encrypted folder,
//! ciphertext. Every read ends within a bounded time.

mod cache;
mod disk;
mod entry;
mod memory;
mod moves;
mod object;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};

use crate::{Disk, DiskError};
use cache::Cache;
pub use disk::TieredDisk;
use entry::KEY_BYTES_MAX;
pub use entry::{CHUNK_BYTES, CHUNKS_MAX, ColdEntry, TierDigest, TierHash};
pub use memory::{MemObjects, ObjectFault};
pub use object::{ObjectError, ObjectStore, PutError, TierError, Upload};

/// Chunks fetched at a time for all readers together, and readers that wait for one of them.
pub const COLD_READS_MAX: usize = 16;
/// How long a reader waits for what another one fetches.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// After a failure of the store, readers are refused at once for this long, then twice as long …
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// … up to this.
const PAUSE_MAX: Duration = Duration::from_secs(30);

const DATA_ENDING: &str = ".seg";
const MARKER_ENDING: &str = ".cold";

/// How files are moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierOptions {
    /// What every key begins with, without a slash at the end.
    pub prefix: String,
    /// The hash by which objects are known again.
    pub hash: TierHash,
    /// Bytes of chunks kept on the disk.
    pub cache_bytes: u64,
    /// Rate of uploads in bytes per second; 0 for no bound.
    pub bytes_per_s: u64,
}

/// What happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TierStats {
    /// Files that lie in the store and not here.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of the cache on the disk.
    pub cache_bytes: u64,
    /// Chunks read from the cache.
    pub hits: u64,
    /// Chunks fetched from the store.
    pub fetched: u64,
    /// Bytes of them.
    pub fetched_bytes: u64,
    /// Reads that failed.
    pub read_failures: u64,
    /// Files uploaded and verified.
    pub uploads: u64,
    /// Bytes of them.
    pub upload_bytes: u64,
    /// Moves that failed and are tried again.
    pub upload_failures: u64,
}

#[derive(Default)]
struct Counters {
    hits: AtomicU64,
    fetched: AtomicU64,
    fetched_bytes: AtomicU64,
    read_failures: AtomicU64,
    uploads: AtomicU64,
    upload_bytes: AtomicU64,
    upload_failures: AtomicU64,
}

impl Counters {
    fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

/// A file that was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColdFile {
    /// Its name.
    pub file: String,
    /// Where it is; or why the marker that says so cannot be read.
    pub entry: Result<Arc<ColdEntry>, String>,
    /// Whether a copy lies here as well: it came back, or is about to go.
    pub is_local: bool,
}

type Marked = Result<Arc<ColdEntry>, String>;

/// Chunks on their way, and how many readers wait for one of those.
#[derive(Default)]
struct Fetching {
    chunks: BTreeSet<TierDigest>,
    waiting: usize,
}

/// Keeps readers from waiting, one after the other, for a store that does not answer.
#[derive(Default)]
struct Breaker {
    failed: Option<(ObjectError, Instant)>,
    pause: Duration,
}

/// The files of one folder that lie in an object store.
pub struct Tier {
    disk: Arc<dyn Disk>,
    objects: Option<Arc<dyn ObjectStore>>,
    options: TierOptions,
    cache: Cache,
    marked: RwLock<BTreeMap<String, Marked>>,
    /// Files whose local copy was compared with the store by this very process.
    compared: Mutex<BTreeSet<String>>,
    fetching: Mutex<Fetching>,
    fetched: Condvar,
    breaker: Mutex<Breaker>,
    counters: Counters,
}

impl Tier {
    /// Reads the markers of a folder. Without `objects`, nothing that lies elsewhere can be read;
    /// `cache` is a folder of its own.
    pub fn open(
        disk: Arc<dyn Disk>,
        objects: Option<Arc<dyn ObjectStore>>,
        cache: Option<Arc<dyn Disk>>,
        options: TierOptions,
    ) -> Result<Arc<Self>, DiskError> {
        let mut marked = BTreeMap::new();
        for (name, _) in disk.list()? {
            let Some(stem) = name.strip_suffix(MARKER_ENDING) else {
                continue;
            };
            let file = disk.open(&name)?;
            let bytes = file.map(|file| file.read_at(0, entry::MARKER_BYTES_MAX.saturating_add(1)));
            let bytes = bytes.transpose()?.unwrap_or_default();
            let entry = ColdEntry::from_marker(&bytes).map(Arc::new);
            marked.insert(format!("{stem}{DATA_ENDING}"), entry);
        }
        let cache = Cache::open(cache, options.cache_bytes);
        Ok(Arc::new(Self {
            disk,
            objects,
            options,
            cache,
            marked: RwLock::new(marked),
            compared: Mutex::default(),
            fetching: Mutex::default(),
            fetched: Condvar::new(),
            breaker: Mutex::default(),
            counters: Counters::default(),
        }))
    }

    /// The folder itself, without what lies elsewhere.
    #[must_use]
    pub fn folder(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    /// Whether an object store is configured.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.objects.is_some()
    }

    /// Where the store is, for people.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        self.objects.as_ref().map(|objects| objects.place())
    }

    /// The hash by which objects are known again.
    #[must_use]
    pub const fn hash(&self) -> TierHash {
        self.options.hash
    }

    /// Whether a file lies in the store and not here.
    pub fn is_cold(&self, name: &str) -> Result<bool, DiskError> {
        Ok(self.marked.read().contains_key(name) && self.disk.open(name)?.is_none())
    }

    /// Whether a marker says that a file lies in the store, whatever lies here.
    #[must_use]
    pub fn is_marked(&self, name: &str) -> bool {
        self.marked.read().contains_key(name)
    }

    /// The files that were moved, in name order.
    pub fn files(&self) -> Result<Vec<ColdFile>, DiskError> {
        let here: BTreeSet<String> = self
            .disk
            .list()?
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let marked = self.marked.read();
        let file = |(file, entry): (&String, &Marked)| ColdFile {
            is_local: here.contains(file),
            file: file.clone(),
            entry: entry.clone(),
        };
        Ok(marked.iter().map(file).collect())
    }

    /// What happened since the start.
    pub fn stats(&self) -> Result<TierStats, DiskError> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        let mut stats = TierStats {
            cache_bytes: self.cache.bytes(),
            hits: read(&counters.hits),
            fetched: read(&counters.fetched),
            fetched_bytes: read(&counters.fetched_bytes),
            read_failures: read(&counters.read_failures),
            uploads: read(&counters.uploads),
            upload_bytes: read(&counters.upload_bytes),
            upload_failures: read(&counters.upload_failures),
            ..TierStats::default()
        };
        for cold in self.files()?.into_iter().filter(|cold| !cold.is_local) {
            let bytes = cold.entry.map_or(0, |entry| entry.bytes);
            stats.files = stats.files.saturating_add(1);
            stats.bytes = stats.bytes.saturating_add(bytes);
        }
        Ok(stats)
    }

    fn marker(name: &str) -> String {
        let stem = name.strip_suffix(DATA_ENDING).unwrap_or(name);
        format!("{stem}{MARKER_ENDING}")
    }

    fn entry(&self, name: &str) -> Result<Option<Arc<ColdEntry>>, TierError> {
        match self.marked.read().get(name) {
            None => Ok(None),
            Some(Ok(entry)) => Ok(Some(Arc::clone(entry))),
            Some(Err(reason)) => Err(TierError::Marker {
                file: name.to_owned(),
                marker: Self::marker(name),
                reason: reason.clone(),
            }),
        }
    }

    fn objects(&self, name: &str) -> Result<&Arc<dyn ObjectStore>, TierError> {
        self.objects
            .as_ref()
            .ok_or_else(|| TierError::NotConfigured {
                file: name.to_owned(),
            })
    }

    /// Bytes of a file that lies in the store; fewer where it ends.
    fn read(
        &self,
        name: &str,
        entry: &ColdEntry,
        offset: u64,
        len: usize,
    ) -> Result<Vec<u8>, TierError> {
        let end = offset.saturating_add(len as u64).min(entry.bytes);
        let size = u64::from(entry.chunk_bytes).max(1);
        let (mut out, mut at) = (Vec::new(), offset);
        while at < end {
            let index = usize::try_from(at / size).unwrap_or(usize::MAX);
            let chunk = self.chunk(name, entry, index).inspect_err(|_| {
                Counters::add(&self.counters.read_failures, 1);
            })?;
            let from = usize::try_from(at % size).unwrap_or(usize::MAX);
            let wanted = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
            let to = from.saturating_add(wanted).min(chunk.len());
            // Its length was compared with the marker, so there is at least a byte.
            let part = chunk.get(from..to).unwrap_or_default();
            if part.is_empty() {
                return Err(wrong(name, entry, at));
            }
            out.extend_from_slice(part);
            at = at.saturating_add(part.len() as u64);
        }
        Ok(out)
    }

    /// A chunk, from here or from the store, compared with its digest.
    fn chunk(
        &self,
        name: &str,
        entry: &ColdEntry,
        index: usize,
    ) -> Result<Arc<Vec<u8>>, TierError> {
        /// A reader that waited for another one looks again, and fetches itself at last.
        const TRIES: usize = 3;
        let Some((begin, len, digest)) = entry.chunk(index) else {
            return Err(wrong(name, entry, entry.bytes));
        };
        for _ in 0..TRIES {
            if let Some(found) = self.cache.get(entry.hash, &digest) {
                Counters::add(&self.counters.hits, 1);
                return Ok(found);
            }
            let objects = self.objects(name)?;
            self.let_through(name)?;
            let Some(turn) = self.enter(name, digest)? else {
                continue;
            };
            let got = objects.get(&entry.key, begin, len);
            let got = got.map_err(|source| self.noted(name, source))?;
            *self.breaker.lock() = Breaker::default();
            if got.len() != len || entry.hash.digest(&got) != digest {
                return Err(wrong(name, entry, begin));
            }
            Counters::add(&self.counters.fetched, 1);
            Counters::add(&self.counters.fetched_bytes, len as u64);
            let got = Arc::new(got);
            self.cache.put(digest, Arc::clone(&got));
            drop(turn);
            return Ok(got);
        }
        Err(TierError::Busy {
            file: name.to_owned(),
            waiting: self.fetching.lock().waiting,
        })
    }

    /// Refuses at once for a while after the store failed.
    fn let_through(&self, name: &str) -> Result<(), TierError> {
        let breaker = self.breaker.lock();
        match &breaker.failed {
            Some((source, at)) if at.elapsed() < breaker.pause => Err(TierError::Store {
                file: name.to_owned(),
                source: source.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Takes note of a failure.
    fn noted(&self, name: &str, source: ObjectError) -> TierError {
        if source.is_of_store() {
            let mut breaker = self.breaker.lock();
            breaker.pause = breaker.pause.saturating_mul(2).clamp(PAUSE_MIN, PAUSE_MAX);
            breaker.failed = Some((source.clone(), Instant::now()));
        }
        TierError::Store {
            file: name.to_owned(),
            source,
        }
    }

    /// A turn to fetch a chunk; `None` when another reader had it meanwhile.
    fn enter(&self, name: &str, digest: TierDigest) -> Result<Option<Turn<'_>>, TierError> {
        let mut fetching = self.fetching.lock();
        let busy = |waiting| TierError::Busy {
            file: name.to_owned(),
            waiting,
        };
        if fetching.chunks.contains(&digest) {
            if fetching.waiting >= COLD_READS_MAX {
                return Err(busy(fetching.waiting));
            }
            fetching.waiting = fetching.waiting.saturating_add(1);
            self.fetched.wait_for(&mut fetching, WAIT_MAX);
            fetching.waiting = fetching.waiting.saturating_sub(1);
            return Ok(None);
        }
        if fetching.chunks.len() >= COLD_READS_MAX {
            return Err(busy(fetching.chunks.len()));
        }
        fetching.chunks.insert(digest);
        Ok(Some(Turn { tier: self, digest }))
    }
}

fn wrong(name: &str, entry: &ColdEntry, offset: u64) -> TierError {
    TierError::Wrong {
        file: name.to_owned(),
        key: entry.key.clone(),
        offset,
    }
}

/// Lets others go on when a fetch has ended, one way or the other.
struct Turn<'a> {
    tier: &'a Tier,
    digest: TierDigest,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.tier.fetching.lock().chunks.remove(&self.digest);
        self.tier.fetched.notify_all();
    }
}
