use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, DiskFile, check_name};
use crate::DiskError;
use crate::seed::Seed;

/// Errors to inject, in thousandths of the calls of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskFaults {
    /// Appends that fail after a part of the bytes was added.
    pub append_per_mille: u16,
    /// Reads that fail.
    pub read_per_mille: u16,
    /// Syncs that fail, of files and of the folder.
    pub sync_per_mille: u16,
    /// Files of which a crash leaves one bit inverted in what it kept of the unsynced end.
    pub flip_per_mille: u16,
    /// Syncs of files that answer well and do nothing, as drives do that lie about their caches.
    pub lost_sync_per_mille: u16,
}

/// A disk in memory that can crash and fail: for the simulator and for tests.
///
/// A crash keeps what was synced and a part of the rest that the seed chooses: of the changes to
/// each file and to the folder the first few, the last append torn at any byte and sometimes
/// followed by zeros, as file systems leave them that grow a file before they fill it.
#[derive(Clone, Debug)]
pub struct MemDisk {
    inner: Arc<Mutex<Inner>>,
}

type FileId = u64;
type SharedContent = Arc<Mutex<Content>>;

#[derive(Debug)]
struct Inner {
    names: Folder,
    files: BTreeMap<FileId, SharedContent>,
    next_id: FileId,
    faults: DiskFaults,
    seed: Seed,
    dead: bool,
    /// Changes and syncs that still succeed.
    failing_after: Option<u64>,
    /// Changes and syncs asked for so far.
    calls: u64,
}

#[derive(Debug, Default)]
struct Folder {
    live: BTreeMap<String, FileId>,
    durable: BTreeMap<String, FileId>,
    pending: Vec<FolderOp>,
}

#[derive(Clone, Debug)]
enum FolderOp {
    Link(String, FileId),
    Remove(String),
    Rename(String, String),
}

#[derive(Debug, Default)]
struct Content {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<FileOp>,
}

#[derive(Clone, Debug)]
enum FileOp {
    Append(Vec<u8>),
    Truncate(usize),
}

impl MemDisk {
    /// An empty disk. The seed drives the faults.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with(Folder::default(), BTreeMap::new(), 0, seed)
    }

    fn with(
        names: Folder,
        files: BTreeMap<FileId, SharedContent>,
        next_id: FileId,
        seed: u64,
    ) -> Self {
        let (faults, seed) = (DiskFaults::default(), Seed::new(seed));
        let inner = Inner {
            names,
            files,
            next_id,
            faults,
            seed,
            dead: false,
            failing_after: None,
            calls: 0,
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    /// Sets the errors to inject from now on.
    pub fn set_faults(&self, faults: DiskFaults) {
        self.inner.lock().faults = faults;
    }

    /// Lets `calls` more changes and syncs, of files and of the folder, succeed and fails all after
    /// them; the first that fails may have added a part of its bytes.
    pub fn fail_after(&self, calls: u64) {
        self.inner.lock().failing_after = Some(calls);
    }

    /// Changes and syncs, of files and of the folder, that were asked for: what [`Self::fail_after`]
    /// counts.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.inner.lock().calls
    }

    /// Stops this disk, whose handles fail from now on, and returns the one found after restart.
    #[must_use]
    pub fn crash(&self, seed: u64) -> Self {
        let mut inner = self.inner.lock();
        inner.dead = true;
        let mut seed = Seed::new(seed);
        let mut names = inner.names.durable.clone();
        let flips = inner.faults.flip_per_mille;
        let kept = seed.up_to(inner.names.pending.len());
        for op in inner.names.pending.iter().take(kept) {
            op.apply(&mut names);
        }
        let files = names
            .values()
            .filter_map(|id| {
                Some((
                    *id,
                    Arc::new(Mutex::new(
                        inner.files.get(id)?.lock().crash(&mut seed, flips),
                    )),
                ))
            })
            .collect();
        let names = Folder {
            live: names.clone(),
            durable: names,
            pending: Vec::new(),
        };
        Self::with(names, files, inner.next_id, seed.next())
    }

    /// Inverts one bit of a file, also of its durable content. False when it is not that long.
    pub fn flip_bit(&self, name: &str, offset: usize, bit: u8) -> bool {
        let inner = self.inner.lock();
        let Some(content) = inner
            .names
            .live
            .get(name)
            .and_then(|id| inner.files.get(id))
        else {
            return false;
        };
        let mut content = content.lock();
        let Some(byte) = content.live.get_mut(offset) else {
            return false;
        };
        *byte ^= 1 << (bit % 8);
        content.durable = content.live.clone();
        content.pending.clear();
        true
    }
}

impl Inner {
    fn alive(&self, operation: &'static str, name: &str) -> Result<(), DiskError> {
        if self.dead {
            Err(injected(operation, name, "the disk crashed"))
        } else {
            Ok(())
        }
    }

    fn change(&mut self, operation: &'static str, op: FolderOp) -> Result<(), DiskError> {
        self.count(operation, "folder")?;
        op.apply(&mut self.names.live);
        self.names.pending.push(op);
        Ok(())
    }

    /// Counts a change or a sync.
    fn count(&mut self, operation: &'static str, name: &str) -> Result<(), DiskError> {
        self.calls = self.calls.saturating_add(1);
        if let Some(left) = &mut self.failing_after {
            *left = left
                .checked_sub(1)
                .ok_or_else(|| injected(operation, name, "injected fault"))?;
        }
        Ok(())
    }
}

impl FolderOp {
    fn apply(&self, names: &mut BTreeMap<String, FileId>) {
        match self {
            Self::Link(name, id) => {
                names.insert(name.clone(), *id);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
            Self::Rename(from, to) => {
                if let Some(id) = names.remove(from) {
                    names.insert(to.clone(), id);
                }
            }
        }
    }
}

impl Content {
    fn crash(&self, seed: &mut Seed, flip_per_mille: u16) -> Self {
        let mut bytes = self.durable.clone();
        let kept = seed.up_to(self.pending.len());
        for op in self.pending.iter().take(kept) {
            op.apply(&mut bytes);
        }
        if let Some(FileOp::Append(torn)) = self.pending.get(kept) {
            let survives = seed.up_to(torn.len());
            bytes.extend(torn.iter().take(survives));
            if seed.chance(250) {
                bytes.resize(bytes.len().saturating_add(seed.up_to(64)), 0);
            }
        }
        // Drawn only where it is asked for, so that other runs stay as they are.
        let unsynced = bytes.len().saturating_sub(self.durable.len());
        if flip_per_mille > 0 && unsynced > 0 && seed.chance(flip_per_mille) {
            let at = self.durable.len().saturating_add(seed.up_to(unsynced - 1));
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << seed.up_to(7);
            }
        }
        Self {
            live: bytes.clone(),
            durable: bytes,
            pending: Vec::new(),
        }
    }
}

impl FileOp {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Append(more) => bytes.extend(more),
            Self::Truncate(len) => bytes.truncate(*len),
        }
    }
}

fn injected(operation: &'static str, name: &str, why: &str) -> DiskError {
    DiskError::io(operation, name, io::Error::other(why))
}

impl Disk for MemDisk {
    fn open(&self, name: &str) -> Result<Option<Arc<dyn DiskFile>>, DiskError> {
        check_name(name)?;
        let inner = self.inner.lock();
        inner.alive("open", name)?;
        let found = inner
            .names
            .live
            .get(name)
            .and_then(|id| inner.files.get(id));
        Ok(found.map(|content| self.handle(content, name)))
    }

    fn create(&self, name: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
        check_name(name)?;
        let mut inner = self.inner.lock();
        inner.alive("create", name)?;
        let id = inner.next_id;
        inner.next_id = id.saturating_add(1);
        let content = SharedContent::default();
        inner.files.insert(id, content.clone());
        inner.change("create", FolderOp::Link(name.to_owned(), id))?;
        Ok(self.handle(&content, name))
    }

    fn list(&self) -> Result<Vec<(String, u64)>, DiskError> {
        let inner = self.inner.lock();
        inner.alive("list", "folder")?;
        let len = |id| {
            inner
                .files
                .get(id)
                .map_or(0, |file: &SharedContent| file.lock().live.len() as u64)
        };
        Ok(inner
            .names
            .live
            .iter()
            .map(|(name, id)| (name.clone(), len(id)))
            .collect())
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        check_name(name)?;
        let mut inner = self.inner.lock();
        inner.alive("remove", name)?;
        if inner.names.live.contains_key(name) {
            inner.change("remove", FolderOp::Remove(name.to_owned()))?;
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        check_name(from)?;
        check_name(to)?;
        let mut inner = self.inner.lock();
        inner.alive("rename", from)?;
        if !inner.names.live.contains_key(from) {
            return Err(DiskError::io(
                "rename",
                from,
                io::ErrorKind::NotFound.into(),
            ));
        }
        inner.change("rename", FolderOp::Rename(from.to_owned(), to.to_owned()))
    }

    fn sync(&self) -> Result<(), DiskError> {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        inner.alive("sync", "folder")?;
        inner.count("sync", "folder")?;
        if inner.seed.chance(inner.faults.sync_per_mille) {
            return Err(injected("sync", "folder", "injected fault"));
        }
        inner.names.pending.clear();
        inner.names.durable = inner.names.live.clone();
        // Nothing can bring back a removed file now; open handles hold its content themselves.
        let live: BTreeSet<FileId> = inner.names.live.values().copied().collect();
        inner.files.retain(|id, _| live.contains(id));
        Ok(())
    }
}

impl MemDisk {
    fn handle(&self, content: &SharedContent, name: &str) -> Arc<dyn DiskFile> {
        let (inner, content) = (self.inner.clone(), content.clone());
        Arc::new(MemFile {
            inner,
            content,
            name: name.to_owned(),
        })
    }
}

struct MemFile {
    inner: Arc<Mutex<Inner>>,
    content: SharedContent,
    name: String,
}

impl MemFile {
    fn with<R>(
        &self,
        operation: &'static str,
        action: impl FnOnce(&mut Content, &mut Seed, DiskFaults) -> Result<R, DiskError>,
    ) -> Result<R, DiskError> {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        inner.alive(operation, &self.name)?;
        let mut faults = inner.faults;
        if !matches!(operation, "read" | "measure") && inner.count(operation, &self.name).is_err() {
            if operation == "truncate" {
                return Err(injected(operation, &self.name, "injected fault"));
            }
            // Above any number that is drawn: it fails as it does by chance.
            (faults.append_per_mille, faults.sync_per_mille) = (1000, 1000);
        }
        action(&mut self.content.lock(), &mut inner.seed, faults)
    }
}

impl DiskFile for MemFile {
    fn append(&self, bytes: &[u8]) -> Result<(), DiskError> {
        self.with("append to", |content, seed, faults| {
            let fails = seed.chance(faults.append_per_mille);
            let added = if fails {
                seed.up_to(bytes.len())
            } else {
                bytes.len()
            };
            let op = FileOp::Append(bytes.iter().take(added).copied().collect());
            op.apply(&mut content.live);
            content.pending.push(op);
            if fails {
                Err(injected("append to", &self.name, "injected fault"))
            } else {
                Ok(())
            }
        })
    }

    fn read_at(&self, offset: u64, len: usize) -> Result<Vec<u8>, DiskError> {
        self.with("read", |content, seed, faults| {
            if seed.chance(faults.read_per_mille) {
                return Err(injected("read", &self.name, "injected fault"));
            }
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            let tail = content.live.get(offset..).unwrap_or_default();
            Ok(tail.get(..len).unwrap_or(tail).to_vec())
        })
    }

    fn len(&self) -> Result<u64, DiskError> {
        self.with("measure", |content, _, _| Ok(content.live.len() as u64))
    }

    fn truncate(&self, len: u64) -> Result<(), DiskError> {
        self.with("truncate", |content, _, _| {
            let op = FileOp::Truncate(usize::try_from(len).unwrap_or(usize::MAX));
            op.apply(&mut content.live);
            content.pending.push(op);
            Ok(())
        })
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.with("sync", |content, seed, faults| {
            if seed.chance(faults.sync_per_mille) {
                return Err(injected("sync", &self.name, "injected fault"));
            }
            if faults.lost_sync_per_mille > 0 && seed.chance(faults.lost_sync_per_mille) {
                return Ok(());
            }
            for op in content.pending.drain(..) {
                op.apply(&mut content.durable);
            }
            Ok(())
        })
    }
}
