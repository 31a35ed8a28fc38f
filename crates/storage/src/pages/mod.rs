//! Pages that are replaced again and again: appended to segment files, found by their place.
//!
//! ```text
//! <prefix>-<number, 10 digits>.pag = "HWSPAG01" ‖ record*    (see `record`; the tag is the owner's)
//! <prefix>-<number, 10 digits>.jnl = "HWSJNL01" ‖ record*    (tag 1: part of the index, 2: commit)
//! commit = next segment (u32) ‖ count (u32) ‖ (segment (u32) ‖ length (u64))* ‖ the owner's bytes
//! ```
//! Integers are little endian. A page is never changed where it stands: its successor is appended
//! and the old one becomes waste. Which page stands where is the owner's to know; the store keeps
//! the owner's *index* in parts, opaque to it. A [`PageWriter`] appends pages, syncs them, and only
//! then adds a commit to the journal, so whatever a crash leaves, the last commit found names
//! segments that hold every page of it. A journal begins with a whole index; changes follow it until
//! they are as long as the index, then a new journal takes its place. So opening reads at most twice
//! the index.
//!
//! Waste is reclaimed by moving what is still live out of the segment that has least of it, a bounded
//! number of bytes with each commit. Segments are removed once the commit that no longer names them
//! is durable. Disk space stays below 1.75 times what is live (in steady use), and a constant. An owner
//! that has time to spare compacts further.

mod journal;
mod recover;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::error::check_option;
use crate::record::{self, Keeping};
use crate::{Disk, DiskError, DiskFile, LogError};
use journal::Journal;
pub use writer::{PageIndex, PageMove, PageWriter};

/// Largest page in bytes.
pub const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Largest part of an index in bytes.
pub const PAGE_PART_BYTES_MAX: usize = 4 * 1024 * 1024;

const SEGMENT_MAGIC: [u8; 8] = *b"HWSPAG01";
const ADVICE: &str = "check the disk; then stop the node, move the files of this name (all that begin \
                      with the same word) away and start it again: state is made anew from the \
                      blocks";

/// A commit reclaims when the segments are this many hundredths of what is live in them.
const RECLAIM_ABOVE: u64 = 175;
/// Compaction is worth while from so many hundredths on …
const COMPACT_FROM: u64 = 115;
/// … and goes on down to these. The two are apart so that little waste is not moved about all the time.
const COMPACT_TO: u64 = 108;

/// Where a page stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PagePlace {
    /// Number of the segment, from 1.
    pub segment: u32,
    /// Offset of the record in bytes.
    pub offset: u32,
    /// Length of the record in bytes, its header included.
    pub bytes: u32,
}

impl PagePlace {
    /// Bytes of the encoding.
    pub const ENCODED_BYTES: usize = 12;

    /// Segment, offset and length, little endian.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::ENCODED_BYTES] {
        let mut out = [0; Self::ENCODED_BYTES];
        let fields = [self.segment, self.offset, self.bytes];
        for (to, from) in out
            .iter_mut()
            .zip(fields.map(u32::to_le_bytes).iter().flatten())
        {
            *to = *from;
        }
        out
    }

    /// Inverse of [`Self::encode`].
    #[must_use]
    pub const fn decode(bytes: &[u8; Self::ENCODED_BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *bytes;
        Self {
            segment: u32::from_le_bytes([a, b, c, d]),
            offset: u32::from_le_bytes([e, f, g, h]),
            bytes: u32::from_le_bytes([i, j, k, l]),
        }
    }

    /// A number that no other page has while the store is open.
    #[must_use]
    pub const fn id(&self) -> u64 {
        (self.segment as u64) << 32 | self.offset as u64
    }
}

/// Bounds of a [`PageStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageStoreOptions {
    /// Size in bytes at which a new segment is begun while little is live: a thirty-second part of
    /// what is live, but at least this (4 KiB to 1 GiB, default 4 MiB) …
    pub segment_bytes_min: u64,
    /// … and at most this (up to 1 GiB, default 256 MiB). One file is open for each segment.
    pub segment_bytes_max: u64,
    /// Bytes of index changes below which no new journal is begun. Default 1 MiB.
    pub journal_bytes_min: u64,
}

impl Default for PageStoreOptions {
    fn default() -> Self {
        Self {
            segment_bytes_min: 4 * 1024 * 1024,
            segment_bytes_max: 256 * 1024 * 1024,
            journal_bytes_min: 1024 * 1024,
        }
    }
}

/// What opening found: the last commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageCommit {
    /// The owner's bytes of the last commit.
    pub meta: Vec<u8>,
    /// The index: the parts of the whole one first, then those of each change, in order.
    pub parts: Vec<Vec<u8>>,
}

/// What the segments hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageUsage {
    /// Number of segments.
    pub segments: usize,
    /// Their length in bytes.
    pub bytes: u64,
    /// Bytes of live pages in them.
    pub live_bytes: u64,
}

/// A store of pages. Reads run beside the one writer.
///
/// Memory: a two-hundredth of the segments, a write buffer of 1 MiB, and whatever the owner keeps.
pub struct PageStore {
    files: Files,
    options: PageStoreOptions,
    segments: RwLock<BTreeMap<u32, Arc<Segment>>>,
    state: Mutex<State>,
    /// Readers that rely on pages of an earlier commit: no segment is removed meanwhile.
    holds: AtomicUsize,
    poisoned: AtomicBool,
}

struct Segment {
    file: Arc<dyn DiskFile>,
    keeping: Keeping,
}

/// What only the writer needs.
#[derive(Default)]
struct State {
    usage: BTreeMap<u32, Usage>,
    /// Which records of each segment are live.
    live: BTreeMap<u32, Marks>,
    /// The segment appended to.
    active: Option<u32>,
    next_segment: u32,
    journal: Option<Journal>,
    /// Segments that a commit which is not durable yet no longer names.
    doomed: Vec<u32>,
    /// How far the segment that is being emptied has been.
    reclaiming: Option<(u32, u64)>,
}

/// A set of records of one segment: a bit for each offset divided by the length of the shortest record,
/// so that each has its own. A two-hundredth of the segment.
#[derive(Default)]
struct Marks(Vec<u64>);

impl Marks {
    fn at(offset: u32) -> (usize, u64) {
        let bit = offset / (record::HEADER_BYTES as u32 + 1);
        ((bit / 64) as usize, 1 << (bit % 64))
    }

    fn set(&mut self, offset: u32) {
        let (word, bit) = Self::at(offset);
        if self.0.len() <= word {
            self.0.resize(word.saturating_add(1), 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    fn clear(&mut self, offset: u32) {
        let (word, bit) = Self::at(offset);
        if let Some(word) = self.0.get_mut(word) {
            *word &= !bit;
        }
    }

    fn has(&self, offset: u32) -> bool {
        let (word, bit) = Self::at(offset);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }
}

impl State {
    fn mark(&mut self, place: PagePlace) {
        self.live
            .entry(place.segment)
            .or_default()
            .set(place.offset);
    }

    fn unmark(&mut self, place: PagePlace) {
        if let Some(marks) = self.live.get_mut(&place.segment) {
            marks.clear(place.offset);
        }
    }

    /// Whether the segments are more than so many hundredths of what is live in them, and a constant. Segments
    /// with nothing live do not count: the next commit drops them.
    fn is_above(&self, hundredths: u64, options: &PageStoreOptions) -> bool {
        let (mut bytes, mut live) = (0u64, 0u64);
        for usage in self.usage.values().filter(|usage| usage.live > 0) {
            bytes = bytes.saturating_add(usage.len);
            live = live.saturating_add(usage.live);
        }
        let slack = options.segment_bytes_min.saturating_mul(2);
        bytes
            > (live / 100)
                .saturating_mul(hundredths)
                .saturating_add(slack)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    len: u64,
    live: u64,
    synced: u64,
}

/// The files of one store: their names.
struct Files {
    disk: Arc<dyn Disk>,
    prefix: String,
}

impl Files {
    fn segment_name(&self, number: u32) -> String {
        format!("{}-{number:010}.pag", self.prefix)
    }

    fn journal_name(&self, number: u32) -> String {
        format!("{}-{number:010}.jnl", self.prefix)
    }

    fn temporary_name(&self, number: u32) -> String {
        format!("{}-{number:010}.new", self.prefix)
    }

    /// Number and kind (`pag`, `jnl`, `new`) of a file of this store.
    fn parse<'a>(&self, name: &'a str) -> Option<(u32, &'a str)> {
        let rest = name.strip_prefix(&self.prefix)?.strip_prefix('-')?;
        let (number, kind) = rest.split_once('.')?;
        let plain = number.len() == 10 && number.bytes().all(|byte| byte.is_ascii_digit());
        let known = matches!(kind, "pag" | "jnl" | "new");
        (plain && known).then_some((number.parse().ok()?, kind))
    }
}

fn corrupt(file: &str, offset: u64, reason: String) -> LogError {
    LogError::Corrupt {
        file: file.to_owned(),
        offset,
        reason,
        advice: ADVICE,
    }
}

impl PageStore {
    /// Opens the pages whose file names begin with `prefix`, or an empty store, which has no commit.
    ///
    /// The owner names every page of the commit with [`Self::adopt`] before it writes. What a crash
    /// left after the last commit is cut off. Damage to what was durable is an error.
    pub fn open(
        disk: Arc<dyn Disk>,
        prefix: &str,
        options: PageStoreOptions,
    ) -> Result<(Self, Option<PageCommit>), LogError> {
        let (min, max) = (options.segment_bytes_min, options.segment_bytes_max);
        check_option("segment_bytes_min", min, (4096, 1 << 30))?;
        check_option("segment_bytes_max", max, (min, 1 << 30))?;
        let files = Files {
            disk,
            prefix: prefix.to_owned(),
        };
        let (state, segments, commit) = recover::recover(&files)?;
        let store = Self {
            files,
            options,
            segments: RwLock::new(segments),
            state: Mutex::new(state),
            holds: AtomicUsize::new(0),
            poisoned: AtomicBool::new(false),
        };
        Ok((store, commit))
    }

    /// Names a page of the commit that opening found.
    pub fn adopt(&self, place: PagePlace) -> Result<(), LogError> {
        let mut state = self.state.lock();
        let end = u64::from(place.offset).saturating_add(place.bytes.into());
        match state.usage.get_mut(&place.segment) {
            Some(usage) if end <= usage.len => {
                usage.live = usage.live.saturating_add(place.bytes.into());
                state.mark(place);
                Ok(())
            }
            _ => {
                let name = self.files.segment_name(place.segment);
                let reason = "the index names a page that it does not hold".into();
                Err(corrupt(&name, place.offset.into(), reason))
            }
        }
    }

    /// The page at a place, checked against its checksum; `None` when its segment was reclaimed
    /// meanwhile: the page stands elsewhere, or is no more.
    pub fn read(&self, place: PagePlace) -> Result<Option<Vec<u8>>, LogError> {
        self.usable()?;
        let Some(segment) = self.segments.read().get(&place.segment).cloned() else {
            return Ok(None);
        };
        let len = usize::try_from(place.bytes).unwrap_or(usize::MAX);
        let bytes = segment.file.read_at(place.offset.into(), len)?;
        match record::decode(&segment.keeping, place.offset.into(), bytes)? {
            Some((_, page)) => Ok(Some(page)),
            None => {
                let name = self.files.segment_name(place.segment);
                Err(corrupt(
                    &name,
                    place.offset.into(),
                    "a page is unreadable".into(),
                ))
            }
        }
    }

    /// Begins to write. There is one writer at a time.
    pub fn write(&self) -> Result<PageWriter<'_>, LogError> {
        let state = self.state.lock();
        self.usable()?;
        Ok(PageWriter::new(self, state))
    }

    /// Makes the last commit durable, and removes the segments that it no longer names. Not before the owner
    /// knows the new places: who asks for an old one gets nothing from then on.
    pub fn persist(&self) -> Result<(), LogError> {
        let mut state = self.state.lock();
        self.usable()?;
        if let Some(journal) = &mut state.journal {
            self.durable(journal.sync())?;
        }
        self.remove_doomed(&mut state)
    }

    /// Keeps every page readable where it stands now, also what later commits replace, until as many
    /// calls of [`Self::release`] follow. Meanwhile no segment is removed, so the disk takes what is
    /// written in that time on top of its usual bound.
    pub fn hold(&self) {
        self.holds.fetch_add(1, Ordering::AcqRel);
    }

    /// Ends a [`Self::hold`]. The next durable commit removes what waited for it.
    pub fn release(&self) {
        self.holds.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether [`PageWriter::compact`] is worth while: the segments are more than 1.15 times what is live
    /// in them, and nobody holds earlier pages.
    #[must_use]
    pub fn is_compaction_due(&self) -> bool {
        !self.is_held() && self.state.lock().is_above(COMPACT_FROM, &self.options)
    }

    /// Whether there was a [`Self::hold`] without its [`Self::release`]: emptied segments stay until then.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.holds.load(Ordering::Acquire) > 0
    }

    /// What the segments hold at the moment.
    #[must_use]
    pub fn usage(&self) -> PageUsage {
        let state = self.state.lock();
        let sum = |of: fn(&Usage) -> u64| state.usage.values().map(of).fold(0, u64::saturating_add);
        PageUsage {
            segments: state.usage.len(),
            bytes: sum(|usage| usage.len),
            live_bytes: sum(|usage| usage.live),
        }
    }

    fn remove_doomed(&self, state: &mut State) -> Result<(), LogError> {
        if self.is_held() {
            return Ok(());
        }
        for number in std::mem::take(&mut state.doomed) {
            self.segments.write().remove(&number);
            self.durable(self.files.disk.remove(&self.files.segment_name(number)))?;
        }
        Ok(())
    }

    fn usable(&self) -> Result<(), LogError> {
        if self.poisoned.load(Ordering::Acquire) {
            Err(LogError::Poisoned(self.files.prefix.clone()))
        } else {
            Ok(())
        }
    }

    fn durable<T>(&self, done: Result<T, DiskError>) -> Result<T, LogError> {
        if done.is_err() {
            self.poisoned.store(true, Ordering::Release);
        }
        Ok(done?)
    }
}
