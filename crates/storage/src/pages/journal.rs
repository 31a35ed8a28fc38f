use std::sync::Arc;

use super::{Files, PAGE_PART_BYTES_MAX, corrupt};
use crate::record::{self, End, Keeping, MAGIC_BYTES, Scanner};
use crate::{DiskError, DiskFile, LogError};

const MAGIC: [u8; 8] = *b"HWSJNL01";
const PART: u64 = 1;
const COMMIT: u64 = 2;
/// Largest commit: four million segments, or the owner's bytes.
const COMMIT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The index and its changes.
pub(super) struct Journal {
    pub(super) number: u32,
    file: Arc<dyn DiskFile>,
    keeping: Keeping,
    len: u64,
    synced: u64,
    /// Bytes of the whole index that it begins with.
    pub(super) index_bytes: u64,
}

/// What a commit says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) next_segment: u32,
    /// Number and length of each segment.
    pub(super) segments: Vec<(u32, u64)>,
    pub(super) meta: Vec<u8>,
}

impl Commit {
    fn encode(&self) -> Vec<u8> {
        let mut out = self.next_segment.to_le_bytes().to_vec();
        let count = u32::try_from(self.segments.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&count.to_le_bytes());
        for (number, len) in &self.segments {
            out.extend_from_slice(&number.to_le_bytes());
            out.extend_from_slice(&len.to_le_bytes());
        }
        out.extend_from_slice(&self.meta);
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (next, rest) = bytes.split_first_chunk::<4>()?;
        let (count, mut rest) = rest.split_first_chunk::<4>()?;
        let mut segments = Vec::new();
        for _ in 0..u32::from_le_bytes(*count) {
            let (number, tail) = rest.split_first_chunk::<4>()?;
            let (len, tail) = tail.split_first_chunk::<8>()?;
            segments.push((u32::from_le_bytes(*number), u64::from_le_bytes(*len)));
            rest = tail;
        }
        Some(Self {
            next_segment: u32::from_le_bytes(*next),
            segments,
            meta: rest.to_vec(),
        })
    }
}

/// What a journal holds up to its last commit.
pub(super) struct Found {
    pub(super) journal: Journal,
    pub(super) commit: Commit,
    pub(super) parts: Vec<Vec<u8>>,
}

impl Journal {
    /// Begins a journal with a whole index, durably.
    pub(super) fn create(
        files: &Files,
        number: u32,
        parts: &mut dyn Iterator<Item = Vec<u8>>,
        commit: &Commit,
    ) -> Result<Self, LogError> {
        let (name, temporary) = (files.journal_name(number), files.temporary_name(number));
        let keeping = Keeping::of(&*files.disk, &name);
        let file = files.disk.create(&temporary)?;
        file.append(&keeping.magic(MAGIC))?;
        let mut journal = Self {
            number,
            file,
            keeping,
            len: MAGIC_BYTES,
            synced: 0,
            index_bytes: 0,
        };
        journal.append(parts, commit)?;
        journal.index_bytes = journal.len;
        journal.sync()?;
        files.disk.rename(&temporary, &name)?;
        files.disk.sync()?;
        Ok(journal)
    }

    /// Adds a change to the index and its commit.
    pub(super) fn append(
        &mut self,
        parts: &mut dyn Iterator<Item = Vec<u8>>,
        commit: &Commit,
    ) -> Result<(), LogError> {
        for part in parts {
            self.record(PART, &part, PAGE_PART_BYTES_MAX)?;
        }
        self.record(COMMIT, &commit.encode(), COMMIT_BYTES_MAX)
    }

    fn record(&mut self, tag: u64, payload: &[u8], max: usize) -> Result<(), LogError> {
        let record = record::encode(&self.keeping, self.len, tag, self.synced, payload, max)?;
        self.file.append(&record)?;
        self.len = self.len.saturating_add(record.len() as u64);
        Ok(())
    }

    pub(super) fn sync(&mut self) -> Result<(), DiskError> {
        if self.synced < self.len {
            self.file.sync()?;
            self.synced = self.len;
        }
        Ok(())
    }

    /// Bytes of changes since the whole index.
    pub(super) const fn change_bytes(&self) -> u64 {
        self.len.saturating_sub(self.index_bytes)
    }

    /// Reads a journal, and cuts off what follows its last commit.
    pub(super) fn open(files: &Files, number: u32) -> Result<Found, LogError> {
        let name = files.journal_name(number);
        let bad = |offset, reason: &str| corrupt(&name, offset, reason.to_owned());
        let file = files.disk.open(&name)?;
        let file = file.ok_or_else(|| bad(0, "it is missing"))?;
        let keeping = Keeping::of(&*files.disk, &name);
        let mut scanner = Scanner::new(&keeping, &*file, COMMIT_BYTES_MAX)?;
        if !scanner.has_magic(MAGIC)? {
            return Err(bad(0, &keeping.unlike("a page journal")));
        }
        let (mut parts, mut pending) = (Vec::new(), Vec::new());
        let (mut last, mut index_bytes, mut wrong) = (None, None, None);
        let end = scanner.scan(|record| {
            let bytes = record.bytes;
            match record.tag {
                PART => pending.push(record.payload),
                COMMIT => match Commit::decode(&record.payload) {
                    Some(commit) => {
                        parts.append(&mut pending);
                        let end = record.offset.saturating_add(bytes);
                        index_bytes.get_or_insert(end);
                        last = Some((commit, end));
                    }
                    None => wrong = wrong.or(Some(record.offset)),
                },
                _ => wrong = wrong.or(Some(record.offset)),
            }
        })?;
        if let End::Damaged(offset) = end {
            return Err(bad(offset, "what was durable is unreadable"));
        }
        if let Some(offset) = wrong {
            return Err(bad(offset, "a record is of no known kind"));
        }
        let Some((commit, len)) = last else {
            // It gets its name only after its first commit was durable.
            return Err(bad(0, "it holds no commit"));
        };
        if file.len()? > len {
            file.truncate(len)?;
        }
        // What was found may never have been synced; from here on it is relied upon.
        file.sync()?;
        let journal = Self {
            number,
            file,
            keeping,
            len,
            synced: len,
            index_bytes: index_bytes.unwrap_or(len),
        };
        Ok(Found {
            journal,
            commit,
            parts,
        })
    }
}
