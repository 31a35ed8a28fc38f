use std::sync::Arc;

use crate::record::{self, End, Keeping, MAGIC_BYTES, Scanner, TornTail};
use crate::{Disk, DiskError, DiskFile, LogError};

#[cfg(test)]
mod tests;

const MAGIC: [u8; 8] = *b"HWSLOG01";
/// Most bytes that [`SyncedLog::write_whole`] hands to the disk at once.
const PIECE_BYTES: usize = 256 * 1024;

/// Bounds of a [`SyncedLog`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// Largest record in bytes. Default 16 MiB.
    pub record_bytes_max: usize,
    /// Largest file in bytes; the whole of it is read when the log is opened. Default 256 MiB.
    pub file_bytes_max: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            record_bytes_max: 16 * 1024 * 1024,
            file_bytes_max: 256 * 1024 * 1024,
        }
    }
}

/// What was found when a log was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecovery {
    /// The records since the last reset, oldest first.
    pub records: Vec<Vec<u8>>,
    /// What a crash had left incomplete, if anything.
    pub torn: Option<TornTail>,
}

impl LogRecovery {
    /// Whether what the log held is lost: nothing is left of it but bytes that are no record.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        self.records.is_empty() && self.torn.is_some()
    }
}

/// What [`SyncedLog::read_whole`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WholeLog {
    /// No such file.
    Missing,
    /// A file that holds something else than was written, and why that is known.
    Damaged(String),
    /// The record.
    Record(Vec<u8>),
}

/// A small append-only file whose records are durable once [`SyncedLog::sync`] returned: what a
/// validator must remember before its votes leave.
///
/// The format is that of the crate's `record` module with the magic `HWSLOG01` and tags 0, 1, 2, ….
pub struct SyncedLog {
    disk: Arc<dyn Disk>,
    name: String,
    keeping: Keeping,
    options: LogOptions,
    file: Arc<dyn DiskFile>,
    len: u64,
    synced: u64,
    next_tag: u64,
    poisoned: bool,
}

impl SyncedLog {
    /// Opens the log, creating an empty one where there is none, and returns what it holds.
    ///
    /// An incomplete end, which was never acknowledged, is cut off and reported. Damage before that
    /// is an error: the records there were promised to be durable.
    pub fn open(
        disk: Arc<dyn Disk>,
        name: &str,
        options: LogOptions,
    ) -> Result<(Self, LogRecovery), LogError> {
        disk.remove(&temporary(name))?;
        let keeping = Keeping::of(&*disk, name);
        let file = match disk.open(name)? {
            Some(file) => file,
            None => create(&*disk, name, &keeping)?,
        };
        let mut log = Self {
            disk,
            name: name.to_owned(),
            keeping,
            options,
            file,
            len: MAGIC_BYTES,
            synced: MAGIC_BYTES,
            next_tag: 0,
            poisoned: false,
        };
        let recovery = log.recover()?;
        Ok((log, recovery))
    }

    /// What a log holds, without changing anything; `None` where there is none. An incomplete end is reported and
    /// left where it is.
    pub fn read(
        disk: &dyn Disk,
        name: &str,
        options: LogOptions,
    ) -> Result<Option<LogRecovery>, LogError> {
        let Some(file) = disk.open(name)? else {
            return Ok(None);
        };
        let keeping = Keeping::of(disk, name);
        scan(&keeping, &*file, name, options).map(Some)
    }

    fn recover(&mut self) -> Result<LogRecovery, LogError> {
        let recovery = scan(&self.keeping, &*self.file, &self.name, self.options)?;
        if let Some(torn) = &recovery.torn {
            self.file.truncate(torn.offset)?;
        }
        // What was found may never have been synced; from here on it is relied upon.
        self.file.sync()?;
        self.len = self.file.len()?;
        self.synced = self.len;
        self.next_tag = recovery.records.len() as u64;
        Ok(recovery)
    }

    /// Puts a log of one record in place of whatever has the name, for large records that nobody waits
    /// for. It is there whole or not at all: its content is durable before it has its name, and the name
    /// is durable after the next [`Disk::sync`].
    ///
    /// `turn` is called before each piece of at most 256 KiB, with its bytes, and may wait. The disk begins to
    /// write each piece at once, so that no sync of another file has to wait for many of them.
    pub fn write_whole(
        disk: &dyn Disk,
        name: &str,
        options: LogOptions,
        payload: &[u8],
        turn: &mut dyn FnMut(usize),
    ) -> Result<(), LogError> {
        let keeping = Keeping::of(disk, name);
        let max = options.record_bytes_max;
        let record = record::encode(&keeping, MAGIC_BYTES, 0, MAGIC_BYTES, payload, max)?;
        if MAGIC_BYTES.saturating_add(record.len() as u64) > options.file_bytes_max {
            return Err(LogError::Full {
                file: name.to_owned(),
                max: options.file_bytes_max,
            });
        }
        let temporary = temporary(name);
        let file = disk.create(&temporary)?;
        file.append(&keeping.magic(MAGIC))?;
        let mut offset = MAGIC_BYTES;
        for piece in record.chunks(PIECE_BYTES) {
            turn(piece.len());
            file.append(piece)?;
            let bytes = piece.len() as u64;
            file.write_out(offset, bytes);
            offset = offset.saturating_add(bytes);
        }
        file.sync()?;
        disk.rename(&temporary, name)?;
        Ok(())
    }

    /// Reads what [`Self::write_whole`] wrote, and changes nothing.
    pub fn read_whole(
        disk: &dyn Disk,
        name: &str,
        options: LogOptions,
    ) -> Result<WholeLog, LogError> {
        let found = match Self::read(disk, name, options) {
            Ok(found) => found,
            Err(LogError::Corrupt { reason, .. }) => return Ok(WholeLog::Damaged(reason)),
            Err(error) => return Err(error),
        };
        let Some(LogRecovery { mut records, torn }) = found else {
            return Ok(WholeLog::Missing);
        };
        let only = records.pop().filter(|_| records.is_empty());
        Ok(match (torn, only) {
            (None, Some(record)) => WholeLog::Record(record),
            _ => WholeLog::Damaged("its checksum does not fit".to_owned()),
        })
    }

    /// Adds a record. It is durable after the next [`Self::sync`].
    pub fn append(&mut self, payload: &[u8]) -> Result<(), LogError> {
        self.usable()?;
        let max = self.options.record_bytes_max;
        let bytes = record::encode(
            &self.keeping,
            self.len,
            self.next_tag,
            self.synced,
            payload,
            max,
        )?;
        let len = self.len.saturating_add(bytes.len() as u64);
        if len > self.options.file_bytes_max {
            let max = self.options.file_bytes_max;
            return Err(LogError::Full {
                file: self.name.clone(),
                max,
            });
        }
        let done = self.file.append(&bytes);
        self.durable(done)?;
        self.len = len;
        self.next_tag = self.next_tag.saturating_add(1);
        Ok(())
    }

    /// Makes all records durable.
    pub fn sync(&mut self) -> Result<(), LogError> {
        self.usable()?;
        if self.synced < self.len {
            let done = self.file.sync();
            self.durable(done)?;
            self.synced = self.len;
        }
        Ok(())
    }

    /// Starts an empty log. A crash leaves either all old records or none.
    ///
    /// Returns the old file, which has no name any more. The system gives its space back when it is dropped: of
    /// a large file that takes hundreds of milliseconds on some file systems, so do it where nobody waits.
    pub fn reset(&mut self) -> Result<Arc<dyn DiskFile>, LogError> {
        self.usable()?;
        let created = create(&*self.disk, &self.name, &self.keeping);
        let created = self.durable(created)?;
        self.len = MAGIC_BYTES;
        self.synced = MAGIC_BYTES;
        self.next_tag = 0;
        Ok(std::mem::replace(&mut self.file, created))
    }

    /// Size of the file in bytes.
    #[must_use]
    pub const fn len_bytes(&self) -> u64 {
        self.len
    }

    fn usable(&self) -> Result<(), LogError> {
        if self.poisoned {
            Err(LogError::Poisoned(self.name.clone()))
        } else {
            Ok(())
        }
    }

    fn durable<T>(&mut self, done: Result<T, DiskError>) -> Result<T, LogError> {
        self.poisoned |= done.is_err();
        Ok(done?)
    }
}

/// Reads all records of a file and how it ends.
fn scan(
    keeping: &Keeping,
    file: &dyn DiskFile,
    name: &str,
    options: LogOptions,
) -> Result<LogRecovery, LogError> {
    let damaged = |offset: u64, reason: String| LogError::Corrupt {
        file: name.to_owned(),
        offset,
        reason,
        advice: "check the disk and the memory of the machine",
    };
    let file_len = file.len()?;
    if file_len > options.file_bytes_max {
        return Err(damaged(0, format!("it has {file_len} bytes")));
    }
    let mut scanner = Scanner::new(keeping, file, options.record_bytes_max)?;
    if !scanner.has_magic(MAGIC)? {
        return Err(damaged(0, keeping.unlike("a log")));
    }
    let mut records = Vec::new();
    let mut misplaced = None;
    let end = scanner.scan(|record| {
        if record.tag != records.len() as u64 {
            misplaced.get_or_insert(record.offset);
        }
        records.push(record.payload);
    })?;
    if let Some(offset) = misplaced {
        return Err(damaged(offset, "records are out of order".into()));
    }
    let torn = match end {
        End::Clean => None,
        End::Damaged(offset) => {
            let reason = "a record that was durable is unreadable".into();
            return Err(damaged(offset, reason));
        }
        End::Torn(offset) => Some(TornTail {
            file: name.to_owned(),
            offset,
            bytes: file_len.saturating_sub(offset),
        }),
    };
    Ok(LogRecovery { records, torn })
}

fn temporary(name: &str) -> String {
    format!("{name}.new")
}

/// Puts an empty log in place of whatever has the name, atomically and durably.
fn create(disk: &dyn Disk, name: &str, keeping: &Keeping) -> Result<Arc<dyn DiskFile>, DiskError> {
    create_durable(disk, name, &temporary(name), &keeping.magic(MAGIC))
}

/// Creates a file with the content given under a temporary name and moves it into place.
pub(crate) fn create_durable(
    disk: &dyn Disk,
    name: &str,
    temporary: &str,
    content: &[u8],
) -> Result<Arc<dyn DiskFile>, DiskError> {
    let file = disk.create(temporary)?;
    file.append(content)?;
    file.sync()?;
    disk.rename(temporary, name)?;
    disk.sync()?;
    Ok(file)
}
