use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, DiskFile, check_name};
use crate::{DiskError, Sealer, Tier};

/// A folder that is looked at and not changed: changes go to memory and are forgotten.
///
/// So what opening a store would find and mend can be found out without mending it. Only for small
/// changes: everything appended is held in memory.
pub struct TrialDisk {
    inner: Arc<dyn Disk>,
    /// Names that differ from the folder: the file, or `None` for one that was removed.
    changed: Mutex<BTreeMap<String, Option<Arc<TrialFile>>>>,
}

/// A file of which a beginning is on the disk and the rest in memory.
struct TrialFile {
    /// `None` for one that was created here.
    inner: Option<Arc<dyn DiskFile>>,
    content: Mutex<Content>,
}

struct Content {
    /// Bytes of the file on the disk that still count.
    kept: u64,
    /// What follows them.
    added: Vec<u8>,
}

impl TrialDisk {
    /// Looks at a disk.
    #[must_use]
    pub fn new(inner: Arc<dyn Disk>) -> Self {
        Self {
            inner,
            changed: Mutex::default(),
        }
    }

    fn find(&self, name: &str) -> Result<Option<Arc<TrialFile>>, DiskError> {
        let mut changed = self.changed.lock();
        if let Some(found) = changed.get(name) {
            return Ok(found.clone());
        }
        let Some(inner) = self.inner.open(name)? else {
            return Ok(None);
        };
        let kept = inner.len()?;
        let file = Arc::new(TrialFile {
            inner: Some(inner),
            content: Mutex::new(Content {
                kept,
                added: Vec::new(),
            }),
        });
        changed.insert(name.to_owned(), Some(Arc::clone(&file)));
        Ok(Some(file))
    }
}

impl Disk for TrialDisk {
    fn open(&self, name: &str) -> Result<Option<Arc<dyn DiskFile>>, DiskError> {
        check_name(name)?;
        let found = self.find(name)?;
        Ok(found.map(|file| file as Arc<dyn DiskFile>))
    }

    fn create(&self, name: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
        check_name(name)?;
        let file = Arc::new(TrialFile {
            inner: None,
            content: Mutex::new(Content {
                kept: 0,
                added: Vec::new(),
            }),
        });
        let stored = Some(Arc::clone(&file));
        self.changed.lock().insert(name.to_owned(), stored);
        Ok(file)
    }

    fn list(&self) -> Result<Vec<(String, u64)>, DiskError> {
        let mut all: BTreeMap<String, u64> = self.inner.list()?.into_iter().collect();
        for (name, file) in &*self.changed.lock() {
            match file {
                Some(file) => all.insert(name.clone(), file.len()?),
                None => all.remove(name),
            };
        }
        Ok(all.into_iter().collect())
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        check_name(name)?;
        self.changed.lock().insert(name.to_owned(), None);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        check_name(to)?;
        let found = self
            .find(from)?
            .ok_or_else(|| DiskError::io("rename", from, std::io::ErrorKind::NotFound.into()))?;
        let mut changed = self.changed.lock();
        changed.insert(from.to_owned(), None);
        changed.insert(to.to_owned(), Some(found));
        Ok(())
    }

    fn sync(&self) -> Result<(), DiskError> {
        Ok(())
    }

    fn sealer(&self) -> Option<Arc<Sealer>> {
        self.inner.sealer()
    }

    fn tier(&self) -> Option<Arc<Tier>> {
        self.inner.tier()
    }
}

impl DiskFile for TrialFile {
    fn append(&self, bytes: &[u8]) -> Result<(), DiskError> {
        self.content.lock().added.extend_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, offset: u64, len: usize) -> Result<Vec<u8>, DiskError> {
        let content = self.content.lock();
        let mut found = Vec::new();
        let on_disk = content.kept.saturating_sub(offset).min(len as u64);
        if let (Some(inner), true) = (&self.inner, on_disk > 0) {
            found = inner.read_at(offset, usize::try_from(on_disk).unwrap_or(len))?;
        }
        // A disk that gives less than it has must not be continued with what comes later.
        if found.len() as u64 == on_disk {
            let from = offset.saturating_add(on_disk).saturating_sub(content.kept);
            let from = usize::try_from(from).unwrap_or(usize::MAX);
            let left = len.saturating_sub(found.len());
            let added = content.added.get(from..).unwrap_or_default();
            found.extend_from_slice(added.get(..left).unwrap_or(added));
        }
        Ok(found)
    }

    fn len(&self) -> Result<u64, DiskError> {
        let content = self.content.lock();
        Ok(content.kept.saturating_add(content.added.len() as u64))
    }

    fn truncate(&self, len: u64) -> Result<(), DiskError> {
        let mut content = self.content.lock();
        let added = len.saturating_sub(content.kept);
        content
            .added
            .truncate(usize::try_from(added).unwrap_or(usize::MAX));
        content.kept = content.kept.min(len);
        Ok(())
    }

    fn sync(&self) -> Result<(), DiskError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemDisk, SegmentOptions, Segments};

    #[test]
    fn what_is_done_on_trial_is_seen_there_and_leaves_the_folder_as_it_was() {
        let disk = Arc::new(MemDisk::new(1));
        let file = disk.create("a").unwrap();
        file.append(b"0123456789").unwrap();
        disk.create("b").unwrap();
        let trial = TrialDisk::new(Arc::clone(&disk) as Arc<dyn Disk>);
        let seen = trial.open("a").unwrap().unwrap();
        seen.truncate(4).unwrap();
        seen.append(b"xyz").unwrap();
        assert_eq!(seen.read_at(0, 100).unwrap(), b"0123xyz");
        assert_eq!(seen.read_at(2, 3).unwrap(), b"23x");
        assert_eq!(seen.read_at(5, 1).unwrap(), b"y");
        assert!(seen.read_at(7, 1).unwrap().is_empty());
        seen.truncate(5).unwrap();
        assert_eq!(seen.read_at(0, 100).unwrap(), b"0123x");
        trial.rename("a", "c").unwrap();
        trial.remove("b").unwrap();
        trial.create("d").unwrap();
        let names = |disk: &dyn Disk| -> Vec<_> {
            let list = disk.list().unwrap();
            list.into_iter()
                .map(|(name, len)| format!("{name} {len}"))
                .collect()
        };
        assert_eq!(names(&trial), ["c 5", "d 0"]);
        assert!(trial.open("a").unwrap().is_none());
        assert_eq!(names(&*disk), ["a 10", "b 0"]);
        assert_eq!(file.read_at(0, 100).unwrap(), b"0123456789");
    }

    #[test]
    fn a_store_opens_on_trial_and_its_torn_end_stays() {
        let disk = Arc::new(MemDisk::new(1));
        let open = |disk: Arc<dyn Disk>| Segments::open(disk, "s", SegmentOptions::default());
        let (segments, _) = open(Arc::clone(&disk) as Arc<dyn Disk>).unwrap();
        for number in 1..=3u64 {
            segments.append(number, &[7; 50]).unwrap();
        }
        segments.sync().unwrap();
        drop(segments);
        let (name, len) = disk.list().unwrap().remove(0);
        disk.open(&name).unwrap().unwrap().append(b"torn").unwrap();
        let trial = Arc::new(TrialDisk::new(Arc::clone(&disk) as Arc<dyn Disk>));
        let (segments, recovery) = open(trial).unwrap();
        assert_eq!(recovery.torn.unwrap().bytes, 4);
        segments.append(4, &[8; 50]).unwrap();
        segments.sync().unwrap();
        assert_eq!(segments.get(4).unwrap().unwrap(), [8; 50]);
        assert_eq!(disk.list().unwrap(), [(name, len + 4)]);
    }
}
