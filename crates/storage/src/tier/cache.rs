//! Chunks kept here for a while: a few in memory, more on the disk.

use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;

use super::entry::{CHUNK_BYTES, TierDigest, TierHash, hex};
use crate::Disk;

/// Chunks kept in memory: 16 MiB.
const IN_MEMORY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);
const ENDING: &str = ".chunk";

/// Chunks by their digest, so that two files with the same chunk share it.
///
/// Files are not synced: what is read from them is compared with the digest that is their name.
pub(super) struct Cache {
    disk: Option<Arc<dyn Disk>>,
    bytes_max: u64,
    memory: Mutex<LruCache<TierDigest, Arc<Vec<u8>>>>,
    files: Mutex<CachedFiles>,
}

struct CachedFiles {
    /// Lengths, the longest unused first.
    lengths: LruCache<TierDigest, u64>,
    bytes: u64,
}

impl Cache {
    /// In a folder, of at most so many bytes; files that are there are used. `None`: in memory only.
    pub(super) fn open(disk: Option<Arc<dyn Disk>>, bytes_max: u64) -> Self {
        let mut files = CachedFiles {
            lengths: LruCache::unbounded(),
            bytes: 0,
        };
        let listed = disk.as_ref().map(|disk| disk.list().unwrap_or_default());
        for (name, len) in listed.unwrap_or_default() {
            match parse(&name) {
                Some(digest) => {
                    files.lengths.put(digest, len);
                    files.bytes = files.bytes.saturating_add(len);
                }
                None => {
                    // Not one of ours; the folder is named for nothing else, but leave it alone.
                }
            }
        }
        let cache = Self {
            disk,
            bytes_max,
            memory: Mutex::new(LruCache::new(IN_MEMORY)),
            files: Mutex::new(files),
        };
        cache.shrink(0);
        cache
    }

    /// Bytes on the disk.
    pub(super) fn bytes(&self) -> u64 {
        self.files.lock().bytes
    }

    /// A chunk, if it is here and is what its digest says.
    pub(super) fn get(&self, hash: TierHash, digest: &TierDigest) -> Option<Arc<Vec<u8>>> {
        if let Some(found) = self.memory.lock().get(digest) {
            return Some(Arc::clone(found));
        }
        let disk = self.disk.as_ref()?;
        self.files.lock().lengths.get(digest)?;
        let name = name_of(digest);
        let read = || {
            let file = disk.open(&name).ok()??;
            file.read_at(0, CHUNK_BYTES as usize).ok()
        };
        match read().filter(|bytes| hash.digest(bytes) == *digest) {
            Some(bytes) => {
                let bytes = Arc::new(bytes);
                self.memory.lock().put(*digest, Arc::clone(&bytes));
                Some(bytes)
            }
            None => {
                // Torn by a crash, or damaged: it is fetched again.
                self.forget(digest);
                None
            }
        }
    }

    /// Keeps a chunk. A disk that does not take it costs speed and nothing else.
    pub(super) fn put(&self, digest: TierDigest, bytes: Arc<Vec<u8>>) {
        self.memory.lock().put(digest, Arc::clone(&bytes));
        let len = bytes.len() as u64;
        let Some(disk) = self.disk.as_ref().filter(|_| len <= self.bytes_max) else {
            return;
        };
        if self.files.lock().lengths.contains(&digest) {
            return;
        }
        self.shrink(len);
        let name = name_of(&digest);
        let written = disk.create(&name).and_then(|file| file.append(&bytes));
        match written {
            Ok(()) => {
                let mut files = self.files.lock();
                if files.lengths.put(digest, len).is_none() {
                    files.bytes = files.bytes.saturating_add(len);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the cache of the object store takes no chunk");
                let _ = disk.remove(&name);
            }
        }
    }

    /// Makes room for so many bytes.
    fn shrink(&self, more: u64) {
        let Some(disk) = &self.disk else {
            return;
        };
        loop {
            let oldest = {
                let mut files = self.files.lock();
                if files.bytes.saturating_add(more) <= self.bytes_max {
                    return;
                }
                let Some((digest, len)) = files.lengths.pop_lru() else {
                    return;
                };
                files.bytes = files.bytes.saturating_sub(len);
                digest
            };
            if let Err(error) = disk.remove(&name_of(&oldest)) {
                tracing::warn!(%error, "a file of the object store's cache");
            }
        }
    }

    fn forget(&self, digest: &TierDigest) {
        let mut files = self.files.lock();
        if let Some(len) = files.lengths.pop(digest) {
            files.bytes = files.bytes.saturating_sub(len);
        }
        drop(files);
        if let Some(disk) = &self.disk {
            let _ = disk.remove(&name_of(digest));
        }
    }
}

fn name_of(digest: &TierDigest) -> String {
    format!("{}{ENDING}", hex(digest))
}

fn parse(name: &str) -> Option<TierDigest> {
    let text = name.strip_suffix(ENDING)?;
    let mut out = [0u8; 32];
    if text.len() != 64 {
        return None;
    }
    for (i, to) in out.iter_mut().enumerate() {
        let at = i.checked_mul(2)?;
        *to = u8::from_str_radix(text.get(at..at.checked_add(2)?)?, 16).ok()?;
    }
    Some(out)
}
