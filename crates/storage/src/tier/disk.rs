use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ColdEntry, DATA_ENDING, MARKER_ENDING, Tier, TierError};
use crate::{Disk, DiskError, DiskFile, Sealer};

/// A folder some of whose files lie in an object store. They are listed, opened and read like the
/// others; changing them is refused. Markers do not show.
pub struct TieredDisk {
    tier: Arc<Tier>,
}

impl TieredDisk {
    /// The folder that the tier was opened on.
    #[must_use]
    pub const fn new(tier: Arc<Tier>) -> Self {
        Self { tier }
    }

    fn inner(&self) -> &dyn Disk {
        &*self.tier.disk
    }
}

impl Disk for TieredDisk {
    fn open(&self, name: &str) -> Result<Option<Arc<dyn DiskFile>>, DiskError> {
        // Twice: a file that comes back is here before its marker goes.
        for _ in 0..2 {
            if let Some(file) = self.inner().open(name)? {
                return Ok(Some(file));
            }
            if let Some(entry) = self.tier.entry(name)? {
                return Ok(Some(Arc::new(Remote {
                    tier: Arc::clone(&self.tier),
                    name: name.to_owned(),
                    entry,
                })));
            }
        }
        Ok(None)
    }

    fn create(&self, name: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
        let file = self.inner().create(name)?;
        self.tier.unmark(name)?;
        Ok(file)
    }

    fn list(&self) -> Result<Vec<(String, u64)>, DiskError> {
        let local = self.inner().list()?.into_iter();
        let local = local.filter(|(name, _)| !name.ends_with(MARKER_ENDING));
        let mut all: BTreeMap<String, u64> = local.collect();
        for (name, entry) in &*self.tier.marked.read() {
            let bytes = entry.as_ref().map_or(0, |entry| entry.bytes);
            all.entry(name.clone()).or_insert(bytes);
        }
        Ok(all.into_iter().collect())
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.inner().remove(name)?;
        self.tier.unmark(name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        if !self.tier.is_cold(from)? {
            self.inner().rename(from, to)?;
            // What was there before lay in the store, and is replaced. A crash in between leaves a
            // marker beside another file, which is noticed by the digest.
            return self.tier.unmark(to);
        }
        if !to.ends_with(DATA_ENDING) {
            return Err(TierError::ReadOnly {
                file: from.to_owned(),
            }
            .into());
        }
        self.inner()
            .rename(&Tier::marker(from), &Tier::marker(to))?;
        let mut marked = self.tier.marked.write();
        if let Some(entry) = marked.remove(from) {
            marked.insert(to.to_owned(), entry);
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.inner().sync()
    }

    fn sealer(&self) -> Option<Arc<Sealer>> {
        self.inner().sealer()
    }

    fn tier(&self) -> Option<Arc<Tier>> {
        Some(Arc::clone(&self.tier))
    }
}

/// A file that lies in the store.
struct Remote {
    tier: Arc<Tier>,
    name: String,
    entry: Arc<ColdEntry>,
}

impl Remote {
    fn read_only(&self) -> DiskError {
        TierError::ReadOnly {
            file: self.name.clone(),
        }
        .into()
    }
}

impl DiskFile for Remote {
    fn append(&self, _: &[u8]) -> Result<(), DiskError> {
        Err(self.read_only())
    }

    fn read_at(&self, offset: u64, len: usize) -> Result<Vec<u8>, DiskError> {
        Ok(self.tier.read(&self.name, &self.entry, offset, len)?)
    }

    fn len(&self) -> Result<u64, DiskError> {
        Ok(self.entry.bytes)
    }

    fn truncate(&self, len: u64) -> Result<(), DiskError> {
        if len == self.entry.bytes {
            return Ok(());
        }
        Err(self.read_only())
    }

    fn sync(&self) -> Result<(), DiskError> {
        Ok(())
    }
}
