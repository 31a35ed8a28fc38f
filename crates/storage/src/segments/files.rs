use std::sync::Arc;

use super::Active;
use crate::log::create_durable;
use crate::record::{End, Keeping, MAGIC_BYTES, Scanner};
use crate::{Disk, DiskError, DiskFile, LogError};

pub(super) const DATA_MAGIC: [u8; 8] = *b"HWSSEG01";
const INDEX_MAGIC: [u8; 8] = *b"HWSIDX01";
/// Bytes of an index before its offsets, and after them.
const INDEX_HEAD_BYTES: u64 = 24;
const INDEX_TAIL_BYTES: u64 = 4;
const OFFSET_BYTES: u64 = 4;

/// The files of one store: their names, their formats.
pub(super) struct Files {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) prefix: String,
}

/// A segment file that was read from front to back.
pub(super) struct Scanned {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) offsets: Vec<u32>,
    /// Where the valid records end, in bytes.
    pub(super) len: u64,
    /// Bytes after `len`.
    pub(super) torn_bytes: u64,
}

impl Files {
    pub(super) fn data_name(&self, first: u64) -> String {
        format!("{}-{first:020}.seg", self.prefix)
    }

    pub(super) fn index_name(&self, first: u64) -> String {
        format!("{}-{first:020}.idx", self.prefix)
    }

    /// First item and kind (`seg`, `idx` or `new`) of a file of this store.
    pub(super) fn parse<'a>(&self, name: &'a str) -> Option<(u64, &'a str)> {
        let rest = name.strip_prefix(&self.prefix)?.strip_prefix('-')?;
        let (number, kind) = rest.split_once('.')?;
        let plain = number.len() == 20 && number.bytes().all(|byte| byte.is_ascii_digit());
        let known = matches!(kind, "seg" | "idx" | "new");
        (plain && known).then_some((number.parse().ok()?, kind))
    }

    /// Items of an index file that is this long; `None` when none has this length.
    pub(super) fn index_count(file_len: u64) -> Option<u64> {
        let offsets = file_len.checked_sub(INDEX_HEAD_BYTES.saturating_add(INDEX_TAIL_BYTES))?;
        let whole = offsets.is_multiple_of(OFFSET_BYTES);
        whole
            .then_some((offsets / OFFSET_BYTES).checked_sub(1)?)
            .filter(|count| *count > 0)
    }

    /// How the segment's payloads are kept.
    pub(super) fn keeping(&self, first: u64) -> Keeping {
        Keeping::of(&*self.disk, &self.data_name(first))
    }

    pub(super) fn open_data(&self, first: u64) -> Result<Option<Arc<dyn DiskFile>>, DiskError> {
        self.disk.open(&self.data_name(first))
    }

    pub(super) fn open_index(&self, first: u64) -> Result<Option<Arc<dyn DiskFile>>, DiskError> {
        self.disk.open(&self.index_name(first))
    }

    pub(super) fn create_data(&self, first: u64) -> Result<Arc<dyn DiskFile>, DiskError> {
        let temporary = format!("{}-{first:020}.new", self.prefix);
        let name = self.data_name(first);
        let magic = self.keeping(first).magic(DATA_MAGIC);
        create_durable(&*self.disk, &name, &temporary, &magic)
    }

    pub(super) fn create_index(
        &self,
        first: u64,
        offsets: &[u32],
        len: u64,
    ) -> Result<(), DiskError> {
        let bytes = Self::index_bytes(first, offsets, len);
        let temporary = format!("{}-{first:020}.new", self.prefix);
        create_durable(&*self.disk, &self.index_name(first), &temporary, &bytes)?;
        Ok(())
    }

    /// The content of an index.
    pub(super) fn index_bytes(first: u64, offsets: &[u32], len: u64) -> Vec<u8> {
        let mut bytes = INDEX_MAGIC.to_vec();
        bytes.extend(first.to_le_bytes());
        bytes.extend((offsets.len() as u64).to_le_bytes());
        bytes.extend(offsets.iter().flat_map(|offset| offset.to_le_bytes()));
        bytes.extend(u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// Removes a segment, durably.
    pub(super) fn remove(&self, first: u64) -> Result<(), DiskError> {
        self.disk.remove(&self.data_name(first))?;
        self.disk.remove(&self.index_name(first))?;
        self.disk.sync()
    }

    /// Where an item begins and ends, by the index. The record's own checksum guards the answer.
    pub(super) fn index_span(
        &self,
        index: &dyn DiskFile,
        first: u64,
        number: u64,
    ) -> Result<(u64, u64), LogError> {
        let at = number
            .saturating_sub(first)
            .saturating_mul(OFFSET_BYTES)
            .saturating_add(INDEX_HEAD_BYTES);
        let bytes = index.read_at(at, 8)?;
        match bytes.as_slice() {
            [a, b, c, d, e, f, g, h] => {
                let start = u32::from_le_bytes([*a, *b, *c, *d]);
                let end = u32::from_le_bytes([*e, *f, *g, *h]);
                Ok((start.into(), end.into()))
            }
            _ => Err(self.bad_index(first, at, "it ends early")),
        }
    }

    /// Reads a whole segment. Damage and wrong numbers are errors, an incomplete end is not.
    pub(super) fn scan(&self, first: u64, item_bytes_max: usize) -> Result<Scanned, LogError> {
        let name = self.data_name(first);
        let file = self.open_data(first)?.ok_or_else(|| self.missing(&name))?;
        let file_len = file.len()?;
        let keeping = self.keeping(first);
        let mut scanner = Scanner::new(&keeping, &*file, item_bytes_max)?;
        if !scanner.has_magic(DATA_MAGIC)? {
            return Err(self.corrupt(&name, 0, keeping.unlike("a segment")));
        }
        let mut offsets = Vec::new();
        let mut wrong = None;
        let end = scanner.scan(|record| {
            let expected = first.saturating_add(offsets.len() as u64);
            match u32::try_from(record.offset) {
                Ok(offset) if record.tag == expected => offsets.push(offset),
                _ => wrong = wrong.or(Some((record.offset, record.tag, expected))),
            }
        })?;
        if let Some((offset, tag, expected)) = wrong {
            let reason = format!("item {tag} stands where {expected} should");
            return Err(self.corrupt(&name, offset, reason));
        }
        let len = match end {
            End::Clean => file_len.max(MAGIC_BYTES),
            End::Torn(offset) => offset,
            End::Damaged(offset) => {
                let item = first.saturating_add(offsets.len() as u64);
                let reason = format!("item {item}, which was durable, is unreadable");
                return Err(self.corrupt(&name, offset, reason));
            }
        };
        Ok(Scanned {
            file,
            offsets,
            len,
            torn_bytes: file_len.saturating_sub(len),
        })
    }

    /// Turns a sealed segment back into the active one. The caller drops it from the sealed ones.
    pub(super) fn reopen(&self, first: u64, last: u64, max: usize) -> Result<Active, LogError> {
        let Scanned {
            file,
            offsets,
            len,
            torn_bytes,
        } = self.scan(first, max)?;
        if torn_bytes > 0 || first.saturating_add(offsets.len() as u64) != last.saturating_add(1) {
            let reason = "a durable item is unreadable".into();
            return Err(self.corrupt(&self.data_name(first), len, reason));
        }
        self.disk.remove(&self.index_name(first))?;
        self.disk.sync()?;
        Ok(Active {
            first,
            offsets,
            file,
            len,
            synced: len,
        })
    }

    pub(super) fn missing(&self, file: &str) -> LogError {
        self.corrupt(file, 0, "it is missing".into())
    }

    pub(super) fn bad_index(&self, first: u64, offset: u64, reason: &str) -> LogError {
        LogError::Corrupt {
            file: self.index_name(first),
            offset,
            reason: reason.to_owned(),
            advice: "stop the node and remove this index file; it is built again at start",
        }
    }

    pub(super) fn corrupt(&self, file: &str, offset: u64, reason: String) -> LogError {
        LogError::Corrupt {
            file: file.to_owned(),
            offset,
            reason,
            advice: "check the disk and the memory of the machine; with the node stopped, `hawser db \
                     check` says what is damaged, and `hawser db repair` mends it where that can be done",
        }
    }
}

/// Why a file that begins with item `first` does not belong where `expected` comes next.
pub(super) fn gap_reason(expected: u64, first: u64) -> String {
    if expected < first {
        let last = first.saturating_sub(1);
        format!("items {expected} to {last} are missing")
    } else {
        format!("it repeats items before {expected}")
    }
}
