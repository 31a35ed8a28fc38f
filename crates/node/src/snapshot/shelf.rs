//! The snapshots of a chain in one folder.
//!
//! A chunk is a file with one checksummed record (a [`SyncedLog`] of one), encrypted where the folder is. The
//! manifest is written last: what has none is no snapshot, and is removed when the shelf is opened.

use std::sync::Arc;

use hawser_crypto::Suite;
use hawser_primitives::{B256, Height, Time};
use hawser_storage::{Disk, LogError, LogOptions, SyncedLog, WholeLog};
use serde::Serialize;

use super::{CHUNK_BYTES_MAX, ChunkId, MANIFEST_BYTES_MAX, Manifest, SnapshotError};

const MANIFEST: &str = ".manifest";
const CHUNK: &str = ".chunk";
/// A file that is not whole yet.
const NEW: &str = ".new";
/// What removing a file counts as, in bytes written: it costs the disk about as much.
const REMOVAL_BYTES: usize = 256 * 1024;

/// What is known of a snapshot without reading its chunks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotFacts {
    /// The block.
    pub height: Height,
    /// Its hash.
    pub block: B256,
    /// When it was made, by its proposer's clock.
    pub time: Time,
    /// Root of the state after it.
    pub state_root: B256,
    /// What the snapshot consists of, in 32 bytes.
    pub digest: B256,
    /// Number of keys.
    pub entries: u64,
    /// Number of chunks.
    pub chunks: usize,
    /// First block that comes with it.
    pub first: Height,
    /// Last block that comes with it: later than the one whose state it is.
    pub last: Height,
    /// Bytes on the disk.
    pub bytes: u64,
}

/// The snapshots in a folder.
#[derive(Clone)]
pub struct Shelf {
    disk: Arc<dyn Disk>,
    suite: Suite,
}

fn options() -> LogOptions {
    LogOptions {
        record_bytes_max: CHUNK_BYTES_MAX,
        file_bytes_max: 2 * CHUNK_BYTES_MAX as u64,
    }
}

fn manifest_name(height: Height) -> String {
    format!("{:020}{MANIFEST}", height.0)
}

fn height_of(name: &str) -> Option<Height> {
    let digits = name.get(..20)?;
    digits.parse().ok().map(Height)
}

impl Shelf {
    /// Opens a folder, and removes from it what an interrupted creation left.
    pub fn open(disk: Arc<dyn Disk>, suite: Suite) -> Result<Self, SnapshotError> {
        let shelf = Self::of(disk, suite);
        let whole = shelf.heights()?;
        for (name, _) in shelf.disk.list().map_err(LogError::from)? {
            let orphan = || height_of(&name).is_none_or(|one| !whole.contains(&one));
            if name.ends_with(NEW) || name.ends_with(CHUNK) && orphan() {
                shelf.disk.remove(&name).map_err(LogError::from)?;
            }
        }
        Ok(shelf)
    }

    /// The same without removing anything: for reading, and for chunks that are being fetched.
    #[must_use]
    pub fn of(disk: Arc<dyn Disk>, suite: Suite) -> Self {
        Self { disk, suite }
    }

    /// Blocks of which there is a snapshot, oldest first.
    pub fn heights(&self) -> Result<Vec<Height>, SnapshotError> {
        let files = self.disk.list().map_err(LogError::from)?;
        let manifests = files.iter().filter(|(name, _)| name.ends_with(MANIFEST));
        Ok(manifests.filter_map(|(name, _)| height_of(name)).collect())
    }

    /// The manifest of a snapshot.
    pub fn manifest(&self, height: Height) -> Result<Manifest, SnapshotError> {
        let bytes = self.read(&manifest_name(height))?;
        Manifest::decode(&bytes.ok_or(SnapshotError::NotHere(height))?)
    }

    /// A chunk of a snapshot; `None` when it is not here. One that is not as it was written is an error.
    pub fn chunk(&self, height: Height, id: ChunkId) -> Result<Option<Vec<u8>>, SnapshotError> {
        self.read(&id.file(height))
    }

    /// The same where it must be there.
    pub fn whole_chunk(&self, height: Height, id: ChunkId) -> Result<Vec<u8>, SnapshotError> {
        let missing = || SnapshotError::Missing(id.file(height));
        self.chunk(height, id)?.ok_or_else(missing)
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, SnapshotError> {
        match SyncedLog::read_whole(&*self.disk, name, options())? {
            WholeLog::Missing => Ok(None),
            WholeLog::Record(record) => Ok(Some(record)),
            WholeLog::Damaged(reason) => Err(SnapshotError::Damaged {
                file: name.to_owned(),
                reason,
            }),
        }
    }

    /// Writes a chunk durably, in place of one that is there.
    pub fn put_chunk(
        &self,
        height: Height,
        id: ChunkId,
        bytes: &[u8],
    ) -> Result<(), SnapshotError> {
        self.put(&id.file(height), bytes)
    }

    /// The same for one of many: it has its name for good once the manifest is written. `turn` is called
    /// before each piece of it, with its bytes, and may wait.
    pub fn add_chunk(
        &self,
        height: Height,
        id: ChunkId,
        bytes: &[u8],
        turn: &mut dyn FnMut(usize),
    ) -> Result<(), SnapshotError> {
        let name = id.file(height);
        SyncedLog::write_whole(&*self.disk, &name, options(), bytes, turn)?;
        Ok(())
    }

    /// Writes the manifest durably. Its chunks are there before.
    pub fn put_manifest(&self, manifest: &Manifest) -> Result<(), SnapshotError> {
        let bytes = manifest.encode();
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(SnapshotError::TooLarge(manifest.chunk_count()));
        }
        // The names of the chunks first: a manifest says that they are there.
        self.disk.sync().map_err(LogError::from)?;
        self.put(&manifest_name(manifest.height()), &bytes)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), SnapshotError> {
        SyncedLog::write_whole(&*self.disk, name, options(), bytes, &mut |_| {})?;
        Ok(self.disk.sync().map_err(LogError::from)?)
    }

    /// Removes a snapshot, or what there is of one. Its manifest first, so that nothing that is left
    /// after a crash looks like a snapshot. `turn` is called before each file, with what removing it counts as in
    /// bytes, and may wait.
    pub fn remove(&self, height: Height, turn: &mut dyn FnMut(usize)) -> Result<(), SnapshotError> {
        let failed = |error| SnapshotError::from(LogError::from(error));
        self.disk.remove(&manifest_name(height)).map_err(failed)?;
        self.disk.sync().map_err(failed)?;
        for (name, _) in self.disk.list().map_err(failed)? {
            let ends = name.ends_with(CHUNK) || name.ends_with(NEW);
            if ends && height_of(&name) == Some(height) {
                turn(REMOVAL_BYTES);
                self.disk.remove(&name).map_err(failed)?;
            }
        }
        self.disk.sync().map_err(failed)
    }

    /// Removes everything but the snapshot of one block, also chunks without a manifest.
    pub fn clear_but(&self, keep: Option<Height>) -> Result<(), SnapshotError> {
        let files = self.disk.list().map_err(LogError::from)?;
        let mut heights: Vec<_> = files
            .iter()
            .filter_map(|(name, _)| height_of(name))
            .filter(|height| Some(*height) != keep)
            .collect();
        heights.dedup();
        heights
            .into_iter()
            .try_for_each(|height| self.remove(height, &mut |_| {}))
    }

    /// Keeps the newest snapshots and removes the others; `turn` as for [`Self::remove`].
    pub fn keep_newest(
        &self,
        count: usize,
        turn: &mut dyn FnMut(usize),
    ) -> Result<(), SnapshotError> {
        let heights = self.heights()?;
        let surplus = heights.len().saturating_sub(count.max(1));
        heights
            .into_iter()
            .take(surplus)
            .try_for_each(|height| self.remove(height, turn))
    }

    /// What is known of a snapshot.
    pub fn facts(&self, height: Height) -> Result<SnapshotFacts, SnapshotError> {
        let manifest = self.manifest(height)?;
        let files = self.disk.list().map_err(LogError::from)?;
        let of_it = files
            .iter()
            .filter(|(name, _)| height_of(name) == Some(height));
        let bytes = of_it.map(|(_, len)| *len).fold(0, u64::saturating_add);
        Ok(SnapshotFacts {
            height,
            block: manifest.block.certificate.block_hash,
            time: manifest.block.header.time,
            state_root: manifest.state_root(),
            digest: manifest.digest(self.suite),
            entries: manifest.entries,
            chunks: manifest.chunk_count(),
            first: manifest.first(),
            last: manifest.last(),
            bytes,
        })
    }

    /// The same of all, newest first. One that cannot be read is left out, with a line in the log.
    pub fn list(&self) -> Result<Vec<SnapshotFacts>, SnapshotError> {
        let mut all = Vec::new();
        for height in self.heights()?.into_iter().rev() {
            match self.facts(height) {
                Ok(facts) => all.push(facts),
                Err(error) => tracing::warn!(%height, %error, "a snapshot cannot be read"),
            }
        }
        Ok(all)
    }
}
