//! Files on their way to the store and back.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::entry::{Digester, hex};
use super::object::PutError;
use super::{
    CHUNK_BYTES, CHUNKS_MAX, ColdEntry, Counters, DATA_ENDING, KEY_BYTES_MAX, ObjectError,
    ObjectStore, Tier, TierError, wrong,
};
use crate::log::create_durable;
use crate::{DiskError, DiskFile};

/// Chunks that are read back at once: 4 MiB.
const READ_BACK_CHUNKS: usize = 4;
/// Longest pause at a time, so that a stop is noticed.
const NAP: Duration = Duration::from_millis(50);

impl Tier {
    /// Uploads a file, reads it back whole, compares every chunk with the file, and writes the
    /// marker, durably. The local file stays. A file that is marked is left alone; an object that
    /// is there from an earlier try is not uploaded again but compared all the same.
    ///
    /// # Errors
    /// [`DiskError::Tier`] where the store fails or gives back something else, or when `stop` says
    /// so; the next call begins anew.
    pub fn push(&self, name: &str, stop: &dyn Fn() -> bool) -> Result<Arc<ColdEntry>, DiskError> {
        let pushed = self.pushed(name, stop);
        if let Err(error) = &pushed
            && !matches!(error, DiskError::Tier(TierError::Stopped { .. }))
        {
            Counters::add(&self.counters.upload_failures, 1);
        }
        pushed
    }

    fn pushed(&self, name: &str, stop: &dyn Fn() -> bool) -> Result<Arc<ColdEntry>, DiskError> {
        if let Some(entry) = self.entry(name)? {
            return Ok(entry);
        }
        let objects = Arc::clone(self.objects(name)?);
        let file = self.disk.open(name)?.ok_or_else(|| missing(name))?;
        let entry = self.described(name, &*file, stop)?;
        let there = objects.size(&entry.key);
        let there = there.map_err(|source| stored(name, source))? == Some(entry.bytes);
        if !there {
            self.upload(name, &*objects, &entry, &*file, stop)?;
        }
        match self.compare(name, &*objects, &entry, stop, &|_| {}) {
            // Something else had been left there under this key.
            Err(DiskError::Tier(TierError::Wrong { .. })) if there => {
                self.upload(name, &*objects, &entry, &*file, stop)?;
                self.compare(name, &*objects, &entry, stop, &|_| {})?;
            }
            other => other?,
        }
        let marker = Self::marker(name);
        let temporary = temporary(name);
        create_durable(&*self.disk, &marker, &temporary, &entry.to_marker())?;
        Counters::add(&self.counters.uploads, 1);
        Counters::add(&self.counters.upload_bytes, entry.bytes);
        let entry = Arc::new(entry);
        let mut marked = self.marked.write();
        marked.insert(name.to_owned(), Ok(Arc::clone(&entry)));
        drop(marked);
        self.compared.lock().insert(name.to_owned());
        Ok(entry)
    }

    /// Removes the local copy of a file that a marker says to lie in the store, durably. Unless this
    /// process has just uploaded it, the copy is compared with the marker first: one that differs
    /// stays, and the marker goes. Says whether a copy was removed.
    pub fn drop_local(&self, name: &str) -> Result<bool, DiskError> {
        let Some(entry) = self.entry(name)? else {
            return Ok(false);
        };
        let Some(file) = self.disk.open(name)? else {
            return Ok(false);
        };
        if !self.compared.lock().remove(name) {
            let here = self.described(name, &*file, &|| false)?;
            if here.digest != entry.digest || here.bytes != entry.bytes {
                tracing::warn!(
                    file = name,
                    "a marker of the object store stands beside another file and is removed"
                );
                self.unmark(name)?;
                self.disk.sync()?;
                return Ok(false);
            }
        }
        self.disk.remove(name)?;
        self.disk.sync()?;
        Ok(true)
    }

    /// Brings a file back: every chunk is compared with its digest, the file is durable, then the
    /// marker goes. The object stays in the store. `step` is told bytes.
    pub fn fetch(&self, name: &str, step: &dyn Fn(u64)) -> Result<(), DiskError> {
        let Some(entry) = self.entry(name)? else {
            return Ok(());
        };
        if self.disk.open(name)?.is_none() {
            let objects = Arc::clone(self.objects(name)?);
            let temporary = temporary(name);
            let file = self.disk.create(&temporary)?;
            let never = || false;
            let written = self.each(name, &*objects, &entry, &never, &mut |bytes| {
                step(bytes.len() as u64);
                file.append(bytes)
            });
            if let Err(error) = written.and_then(|()| file.sync()) {
                let _ = self.disk.remove(&temporary);
                return Err(error);
            }
            self.disk.rename(&temporary, name)?;
            self.disk.sync()?;
        }
        self.unmark(name)?;
        self.disk.sync()
    }

    /// Reads a file's object whole and compares every chunk; `step` is told bytes.
    pub fn verify(&self, name: &str, step: &dyn Fn(u64)) -> Result<(), DiskError> {
        let Some(entry) = self.entry(name)? else {
            return Ok(());
        };
        let objects = Arc::clone(self.objects(name)?);
        self.compare(name, &*objects, &entry, &|| false, step)
    }

    /// Forgets that a file lies in the store.
    pub(super) fn unmark(&self, name: &str) -> Result<(), DiskError> {
        if self.marked.read().contains_key(name) {
            self.disk.remove(&Self::marker(name))?;
            self.marked.write().remove(name);
            self.compared.lock().remove(name);
        }
        Ok(())
    }

    /// Key, length and digests of a local file.
    fn described(
        &self,
        name: &str,
        file: &dyn DiskFile,
        stop: &dyn Fn() -> bool,
    ) -> Result<ColdEntry, DiskError> {
        let bytes = file.len()?;
        let mut digester = Digester::new(self.options.hash);
        let mut at = 0u64;
        while at < bytes {
            stopped(name, stop)?;
            let chunk = file.read_at(at, CHUNK_BYTES as usize)?;
            if chunk.is_empty() {
                break;
            }
            digester.chunk(&chunk);
            at = at.saturating_add(chunk.len() as u64);
        }
        let (digest, chunks) = digester.finish();
        let stem = name.strip_suffix(DATA_ENDING).unwrap_or(name);
        let key = format!(
            "{}/{stem}-{}{DATA_ENDING}",
            self.options.prefix,
            hex(&digest)
        );
        if at != bytes || bytes == 0 || chunks.len() > CHUNKS_MAX || key.len() > KEY_BYTES_MAX {
            return Err(DiskError::io(
                "move",
                name,
                std::io::Error::other("its length cannot be moved to an object store"),
            ));
        }
        Ok(ColdEntry {
            hash: self.options.hash,
            key,
            bytes,
            chunk_bytes: CHUNK_BYTES,
            digest,
            chunks,
        })
    }

    fn upload(
        &self,
        name: &str,
        objects: &dyn ObjectStore,
        entry: &ColdEntry,
        file: &dyn DiskFile,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), DiskError> {
        let (began, mut at) = (Instant::now(), 0u64);
        let mut next = || -> Result<Option<Vec<u8>>, DiskError> {
            if at >= entry.bytes {
                return Ok(None);
            }
            self.pace(name, began, at, stop)?;
            let chunk = file.read_at(at, CHUNK_BYTES as usize)?;
            at = at.saturating_add(chunk.len() as u64);
            Ok(Some(chunk))
        };
        match objects.put(&entry.key, entry.bytes, &mut next) {
            Ok(()) => Ok(()),
            Err(PutError::Disk(error)) => Err(error),
            Err(PutError::Object(source)) => Err(stored(name, source).into()),
        }
    }

    /// Waits until so many bytes may have been sent.
    fn pace(
        &self,
        name: &str,
        began: Instant,
        sent: u64,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), TierError> {
        let due_ms = sent
            .saturating_mul(1_000)
            .checked_div(self.options.bytes_per_s)
            .unwrap_or(0);
        let due = Duration::from_millis(due_ms);
        loop {
            stopped(name, stop)?;
            let left = due.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(NAP));
        }
    }

    fn compare(
        &self,
        name: &str,
        objects: &dyn ObjectStore,
        entry: &ColdEntry,
        stop: &dyn Fn() -> bool,
        step: &dyn Fn(u64),
    ) -> Result<(), DiskError> {
        self.each(name, objects, entry, stop, &mut |bytes| {
            step(bytes.len() as u64);
            Ok(())
        })
    }

    /// Reads an object from front to back and hands on each chunk that is what it should be.
    fn each(
        &self,
        name: &str,
        objects: &dyn ObjectStore,
        entry: &ColdEntry,
        stop: &dyn Fn() -> bool,
        take: &mut dyn FnMut(&[u8]) -> Result<(), DiskError>,
    ) -> Result<(), DiskError> {
        let mut index = 0usize;
        while let Some((begin, _, _)) = entry.chunk(index) {
            stopped(name, stop)?;
            let size = entry.chunk_bytes as usize;
            let left = usize::try_from(entry.bytes.saturating_sub(begin)).unwrap_or(usize::MAX);
            let wanted = size.saturating_mul(READ_BACK_CHUNKS).min(left);
            let got = objects.get(&entry.key, begin, wanted);
            let got = got.map_err(|source| stored(name, source))?;
            if got.len() != wanted {
                return Err(wrong(name, entry, begin).into());
            }
            for chunk in got.chunks(size.max(1)) {
                let expected = entry.chunk(index);
                let same = expected.is_some_and(|(_, len, digest)| {
                    chunk.len() == len && entry.hash.digest(chunk) == digest
                });
                if !same {
                    let at = expected.map_or(entry.bytes, |(begin, _, _)| begin);
                    return Err(wrong(name, entry, at).into());
                }
                take(chunk)?;
                index = index.saturating_add(1);
            }
        }
        // Nothing may follow what was uploaded.
        let size = objects.size(&entry.key);
        let size = size.map_err(|source| stored(name, source))?;
        if size != Some(entry.bytes) {
            return Err(wrong(name, entry, entry.bytes).into());
        }
        Ok(())
    }
}

/// A failure of the store while files are moved; readers find out for themselves.
fn stored(name: &str, source: ObjectError) -> TierError {
    TierError::Store {
        file: name.to_owned(),
        source,
    }
}

fn stopped(name: &str, stop: &dyn Fn() -> bool) -> Result<(), TierError> {
    if stop() {
        return Err(TierError::Stopped {
            file: name.to_owned(),
        });
    }
    Ok(())
}

/// A name that stores of segments clear away when they are opened.
fn temporary(name: &str) -> String {
    let stem = name.strip_suffix(DATA_ENDING).unwrap_or(name);
    format!("{stem}.new")
}

fn missing(name: &str) -> DiskError {
    DiskError::io("move", name, std::io::ErrorKind::NotFound.into())
}
