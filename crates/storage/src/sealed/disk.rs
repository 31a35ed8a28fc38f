use std::sync::Arc;

use super::Sealer;
use crate::{Disk, DiskError, DiskFile, Tier};

/// A folder whose logs and segments are encrypted, record by record.
///
/// Only payloads are: a record's length, number and checksum stay readable, and the checksum is over
/// the encrypted payload. So a torn tail is found as before, without a key, and an item is read from
/// its place without reading others. The file's name, the record's offset, its number and how much
/// was durable before it are authenticated: a record moved elsewhere does not open.
pub struct SealedDisk {
    inner: Arc<dyn Disk>,
    sealer: Arc<Sealer>,
}

impl SealedDisk {
    /// Encrypts what [`SyncedLog`](crate::SyncedLog) and [`Segments`](crate::Segments) put on a disk.
    #[must_use]
    pub const fn new(inner: Arc<dyn Disk>, sealer: Arc<Sealer>) -> Self {
        Self { inner, sealer }
    }
}

impl Disk for SealedDisk {
    fn open(&self, name: &str) -> Result<Option<Arc<dyn DiskFile>>, DiskError> {
        self.inner.open(name)
    }

    fn create(&self, name: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.inner.create(name)
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
        self.inner.sync()
    }

    fn sealer(&self) -> Option<Arc<Sealer>> {
        Some(Arc::clone(&self.sealer))
    }

    fn tier(&self) -> Option<Arc<Tier>> {
        self.inner.tier()
    }
}
