//! Numbered items in files of bounded size.
//!
//! ```text
//! <prefix>-<first, 20 digits>.seg = "HWSSEG01" ‖ record*     (see `record`; the tag is the number)
//! <prefix>-<first, 20 digits>.idx = "HWSIDX01" ‖ first (u64) ‖ count (u64)
//!                                   ‖ offset (u32) × (count + 1) ‖ crc (u32)
//! ```
//! Integers are little endian. An index exists for every segment but the one appended to; its last
//! offset is where the segment ends, and `crc` is CRC-32C over all bytes before it. Opening looks at
//! names and lengths only, and scans the last segment.

mod check;
mod files;
mod recover;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lru::LruCache;
use parking_lot::{Mutex, RwLock};

use crate::error::check_option;
use crate::record::{self, MAGIC_BYTES};
use crate::{Disk, DiskError, DiskFile, LogError, TornTail};
pub use check::{ItemPlace, SegmentFault, SegmentsCheck};
use files::Files;

/// Sealed segments kept open for reading.
const OPEN_SEGMENTS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);
/// Bounds of [`SegmentOptions::segment_bytes`]: offsets are 32 bits wide.
const SEGMENT_BYTES: (u64, u64) = (64, 2 << 30);
/// Largest [`SegmentOptions::item_bytes_max`].
const ITEM_BYTES_MAX: u64 = 1 << 30;

/// Bounds of a [`Segments`] store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentOptions {
    /// Size in bytes above which a new file is begun: 64 B to 2 GiB. Default 64 MiB.
    pub segment_bytes: u64,
    /// Largest item in bytes: 1 B to 1 GiB. A larger one than a segment has a file to itself.
    /// Default 32 MiB.
    pub item_bytes_max: usize,
}

impl Default for SegmentOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 * 1024 * 1024,
            item_bytes_max: 32 * 1024 * 1024,
        }
    }
}

/// What was found and mended when the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentRecovery {
    /// What a crash had left incomplete, if anything. It had not been synced.
    pub torn: Option<TornTail>,
    /// Index files that were missing and were built again.
    pub rebuilt: Vec<String>,
}

/// A file to which nothing is appended any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSegment {
    /// Number of its first item.
    pub first: u64,
    /// Number of its last item.
    pub last: u64,
    /// Its name.
    pub file: String,
}

/// An append-only store of items numbered without gaps: the blocks of a chain.
///
/// All methods take `&self`; reads run beside appends. An item can be read once its append
/// returned and is durable once a later [`Segments::sync`] returned.
pub struct Segments {
    files: Files,
    options: SegmentOptions,
    state: RwLock<State>,
    /// Held by whoever changes files; it orders appends, syncs, repairs and pruning.
    writer: Mutex<()>,
    /// Held by whoever drops segments, from the oldest on.
    dropping: Mutex<()>,
    open: Mutex<LruCache<u64, Sealed>>,
    poisoned: AtomicBool,
}

#[derive(Default)]
struct State {
    /// First and last item of each segment that has an index.
    sealed: BTreeMap<u64, u64>,
    active: Option<Active>,
}

/// The segment appended to.
struct Active {
    first: u64,
    offsets: Vec<u32>,
    file: Arc<dyn DiskFile>,
    len: u64,
    synced: u64,
}

/// A file and where in it an item begins and ends.
type Place = (Arc<dyn DiskFile>, (u64, u64));

#[derive(Clone)]
struct Sealed {
    data: Arc<dyn DiskFile>,
    index: Arc<dyn DiskFile>,
}

impl State {
    fn first(&self) -> Option<u64> {
        self.sealed.keys().next().copied().or_else(|| {
            self.active
                .as_ref()
                .filter(|active| !active.offsets.is_empty())
                .map(|a| a.first)
        })
    }

    fn last(&self) -> Option<u64> {
        let active = self
            .active
            .as_ref()
            .filter(|active| !active.offsets.is_empty());
        active
            .map(|active| active.next().saturating_sub(1))
            .or_else(|| self.sealed.values().next_back().copied())
    }

    /// First item of the oldest segment, if all its items come before `number` and others stay.
    fn oldest_before(&self, number: u64) -> Option<u64> {
        let (first, last) = self.sealed.first_key_value()?;
        let active_is_empty = self.active.as_ref().is_none_or(|a| a.offsets.is_empty());
        let is_last = self.sealed.len() == 1 && active_is_empty;
        (*last < number && !is_last).then_some(*first)
    }

    /// The number that must come next; `None` while any may.
    fn next(&self) -> Option<u64> {
        let sealed = || {
            self.sealed
                .values()
                .next_back()
                .map(|last| last.saturating_add(1))
        };
        self.active.as_ref().map(Active::next).or_else(sealed)
    }
}

impl Active {
    fn next(&self) -> u64 {
        self.first.saturating_add(self.offsets.len() as u64)
    }

    /// Where an item begins and ends in the file.
    fn span(&self, number: u64) -> Option<(u64, u64)> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let start = u64::from(*self.offsets.get(index)?);
        let end = self
            .offsets
            .get(index.saturating_add(1))
            .map_or(self.len, |end| (*end).into());
        Some((start, end))
    }
}

impl Segments {
    /// Opens the segments whose file names begin with `prefix`, or an empty store.
    ///
    /// The time is the same for a short and a long chain: only the last segment is read. An
    /// incomplete end, which was never synced, is cut off and reported; a gap or damage is an error.
    pub fn open(
        disk: Arc<dyn Disk>,
        prefix: &str,
        options: SegmentOptions,
    ) -> Result<(Self, SegmentRecovery), LogError> {
        check_option("segment_bytes", options.segment_bytes, SEGMENT_BYTES)?;
        let item_bytes_max = options.item_bytes_max as u64;
        check_option("item_bytes_max", item_bytes_max, (1, ITEM_BYTES_MAX))?;
        let files = Files {
            disk,
            prefix: prefix.to_owned(),
        };
        let (state, recovery) = recover::recover(&files, options.item_bytes_max)?;
        let segments = Self {
            files,
            options,
            state: RwLock::new(state),
            writer: Mutex::new(()),
            dropping: Mutex::new(()),
            open: Mutex::new(LruCache::new(OPEN_SEGMENTS)),
            poisoned: AtomicBool::new(false),
        };
        Ok((segments, recovery))
    }

    /// Number of the first item kept.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.state.read().first()
    }

    /// Number of the last item.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.state.read().last()
    }

    /// The files that are sealed, in order, up to the one with an item above `last`.
    #[must_use]
    pub fn sealed_before(&self, last: u64) -> Vec<SealedSegment> {
        let state = self.state.read();
        let whole = state.sealed.iter().take_while(|(_, end)| **end <= last);
        let sealed = |(first, end): (&u64, &u64)| SealedSegment {
            first: *first,
            last: *end,
            file: self.files.data_name(*first),
        };
        whole.map(sealed).collect()
    }

    /// Whether the file of a sealed item lies in an object store only.
    pub fn is_cold(&self, number: u64) -> Result<bool, LogError> {
        let Some(tier) = self.files.disk.tier() else {
            return Ok(false);
        };
        let first = {
            let state = self.state.read();
            let found = state.sealed.range(..=number).next_back();
            match found {
                Some((first, last)) if number <= *last => *first,
                _ => return Ok(false),
            }
        };
        Ok(tier.is_cold(&self.files.data_name(first))?)
    }

    /// Closes the file of a sealed segment, if it is open for reading, so that its space is given
    /// back once it is removed. The next read opens it again.
    pub fn close(&self, first: u64) {
        self.open.lock().pop(&first);
    }

    /// Adds the item that follows [`Self::last`]. An empty store takes any number as its first.
    pub fn append(&self, number: u64, item: &[u8]) -> Result<(), LogError> {
        let _writer = self.writer.lock();
        self.usable()?;
        if let Some(expected) = self
            .state
            .read()
            .next()
            .filter(|expected| *expected != number)
        {
            return Err(LogError::Order {
                expected,
                got: number,
            });
        }
        let bytes = item.len().saturating_add(record::HEADER_BYTES) as u64;
        let max = self.options.item_bytes_max;
        if item.is_empty() || item.len() > max {
            return Err(LogError::RecordSize {
                len: item.len(),
                max,
            });
        }
        self.make_room(number, bytes)?;
        let (file, offset, synced, first) = {
            let state = self.state.read();
            let Some(active) = &state.active else {
                return Err(self.gone());
            };
            (active.file.clone(), active.len, active.synced, active.first)
        };
        let keeping = self.files.keeping(first);
        let record = record::encode(&keeping, offset, number, synced, item, max)?;
        self.durable(file.append(&record))?;
        if let (Some(active), Ok(at)) = (&mut self.state.write().active, u32::try_from(offset)) {
            active.offsets.push(at);
            active.len = offset.saturating_add(record.len() as u64);
        }
        Ok(())
    }

    /// Makes all items durable that were appended before the call. Appending goes on meanwhile.
    pub fn sync(&self) -> Result<(), LogError> {
        self.usable()?;
        self.sync_active()
    }

    /// An item; `None` when it is not kept. Each read is checked against the item's checksum.
    pub fn get(&self, number: u64) -> Result<Option<Vec<u8>>, LogError> {
        self.usable()?;
        let (first, active) = {
            let state = self.state.read();
            let active = state
                .active
                .as_ref()
                .and_then(|active| Some((active.first, active.file.clone(), active.span(number)?)));
            let sealed = state.sealed.range(..=number).next_back();
            match (active, sealed) {
                (Some((first, file, span)), _) => (first, Some((file, span))),
                (None, Some((first, last))) if number <= *last => (*first, None),
                _ => return Ok(None),
            }
        };
        let (file, (start, end)) = match active {
            Some(found) => found,
            None => match self.sealed_span(first, number)? {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        let bytes = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
        let keeping = self.files.keeping(first);
        match record::decode(&keeping, start, file.read_at(start, bytes)?)? {
            Some((tag, item)) if tag == number => Ok(Some(item)),
            _ => Err(self.files.corrupt(
                &self.files.data_name(first),
                start,
                format!("item {number} is unreadable"),
            )),
        }
    }

    /// Removes whole segments that hold only items before `number`, never the last one, and returns
    /// the first item still kept.
    pub fn drop_before(&self, number: u64) -> Result<Option<u64>, LogError> {
        let _dropping = self.dropping.lock();
        self.usable()?;
        while let Some(first) = self.forget_before(number)? {
            self.open.lock().pop(&first);
            // Oldest first and one by one: a crash in between leaves no gap. Appends go on beside.
            self.durable(self.files.remove(first))?;
        }
        Ok(self.first())
    }

    /// Takes the oldest segment out of the books if it holds only items before `number`.
    fn forget_before(&self, number: u64) -> Result<Option<u64>, LogError> {
        if self.state.read().oldest_before(number).is_none() {
            return Ok(None);
        }
        // What is left must not hang on items that a crash may still take. What is appended from here
        // on does not change that, and need not wait for it.
        self.sync()?;
        let _writer = self.writer.lock();
        self.usable()?;
        let mut state = self.state.write();
        let oldest = state.oldest_before(number);
        if let Some(first) = oldest {
            state.sealed.remove(&first);
        }
        Ok(oldest)
    }

    /// Cuts off all items after `number`. Only for repair, when they are known to be wrong: a node
    /// never takes back what it acknowledged.
    pub fn truncate_after(&self, number: u64) -> Result<(), LogError> {
        let _writer = self.writer.lock();
        self.usable()?;
        let Some(first) = self.first() else {
            return Ok(());
        };
        if number.saturating_add(1) < first {
            return Err(LogError::Order {
                expected: first.saturating_sub(1),
                got: number,
            });
        }
        let mut state = self.state.write();
        self.open.lock().clear();
        if let Some(active) = state.active.take_if(|active| active.first > number) {
            self.durable(self.files.remove(active.first))?;
        }
        while let Some((&first, &last)) = state.sealed.last_key_value()
            && last > number
        {
            if first > number {
                self.durable(self.files.remove(first))?;
            } else {
                state.active = Some(
                    self.files
                        .reopen(first, last, self.options.item_bytes_max)?,
                );
            }
            state.sealed.remove(&first);
        }
        if let Some(active) = &mut state.active
            && let Some((end, _)) = active.span(number.saturating_add(1))
        {
            self.durable(active.file.truncate(end))?;
            self.durable(active.file.sync())?;
            let kept = number.saturating_add(1).saturating_sub(active.first);
            active
                .offsets
                .truncate(usize::try_from(kept).unwrap_or(usize::MAX));
            (active.len, active.synced) = (end, end);
        }
        Ok(())
    }

    /// Seals the active segment when `bytes` do not fit, and begins one where there is none.
    fn make_room(&self, number: u64, bytes: u64) -> Result<(), LogError> {
        let full = {
            let state = self.state.read();
            state.active.as_ref().is_some_and(|active| {
                let len = active.len.saturating_add(bytes);
                !active.offsets.is_empty() && len > self.options.segment_bytes
            })
        };
        if full {
            self.seal()?;
        }
        if self.state.read().active.is_none() {
            let file = self.durable(self.files.create_data(number))?;
            let (offsets, len, synced) = (Vec::new(), MAGIC_BYTES, MAGIC_BYTES);
            self.state.write().active = Some(Active {
                first: number,
                offsets,
                file,
                len,
                synced,
            });
        }
        Ok(())
    }

    fn seal(&self) -> Result<(), LogError> {
        self.sync_active()?;
        let index = {
            let state = self.state.read();
            let Some(active) = &state.active else {
                return Ok(());
            };
            self.files
                .create_index(active.first, &active.offsets, active.len)
        };
        self.durable(index)?;
        let mut state = self.state.write();
        if let Some(active) = state.active.take() {
            state
                .sealed
                .insert(active.first, active.next().saturating_sub(1));
        }
        Ok(())
    }

    fn sync_active(&self) -> Result<(), LogError> {
        let unsynced = {
            let state = self.state.read();
            let active = state
                .active
                .as_ref()
                .filter(|active| active.synced < active.len);
            active.map(|active| (active.first, active.file.clone(), active.len))
        };
        let Some((first, file, len)) = unsynced else {
            return Ok(());
        };
        self.durable(file.sync())?;
        // Meanwhile the segment may have been sealed, which syncs it, and another begun.
        let mut state = self.state.write();
        if let Some(active) = state.active.as_mut().filter(|one| one.first == first) {
            active.synced = active.synced.max(len);
        }
        Ok(())
    }

    /// The file of a sealed item and where it lies there; `None` when it was dropped meanwhile.
    fn sealed_span(&self, first: u64, number: u64) -> Result<Option<Place>, LogError> {
        let cached = self.open.lock().get(&first).cloned();
        let sealed = match cached {
            Some(sealed) => sealed,
            None => match (self.files.open_data(first)?, self.files.open_index(first)?) {
                (Some(data), Some(index)) => {
                    let sealed = Sealed { data, index };
                    self.open.lock().put(first, sealed.clone());
                    sealed
                }
                _ if self.first().is_none_or(|kept| number < kept) => return Ok(None),
                (None, _) => return Err(self.files.missing(&self.files.data_name(first))),
                (_, None) => return Err(self.files.missing(&self.files.index_name(first))),
            },
        };
        let span = self.files.index_span(&*sealed.index, first, number)?;
        Ok(Some((sealed.data, span)))
    }

    fn gone(&self) -> LogError {
        LogError::Poisoned(self.files.prefix.clone())
    }

    fn usable(&self) -> Result<(), LogError> {
        if self.poisoned.load(Ordering::Acquire) {
            Err(self.gone())
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
