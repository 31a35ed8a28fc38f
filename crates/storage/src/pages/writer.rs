use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;

use super::journal::{Commit, Journal};
use super::{
    COMPACT_TO, PAGE_BYTES_MAX, PagePlace, PageStore, RECLAIM_ABOVE, SEGMENT_MAGIC, Segment, State,
    Usage, corrupt,
};
use crate::LogError;
use crate::log::create_durable;
use crate::record::{self, Keeping, MAGIC_BYTES};

/// Bytes gathered before they are handed to the file.
const BUFFER_BYTES: usize = 1024 * 1024;
/// Bytes read at once from a segment that is being emptied.
const CHUNK_BYTES: usize = 1024 * 1024;
/// Parts that the live bytes are spread over as long as segments are not at their largest.
const SEGMENTS: u64 = 32;

/// Writes pages and a commit. Dropped without a commit, it leaves the store refusing further calls:
/// what the owner knows and what is on the disk would differ.
pub struct PageWriter<'a> {
    store: &'a PageStore,
    state: MutexGuard<'a, State>,
    /// Bytes that follow what the active segment's file holds.
    buffer: Vec<u8>,
    appended: u64,
    /// The segment appended to when this began. That one and later ones may hold pages of this commit,
    /// which the owner does not know yet.
    first: u32,
    committed: bool,
}

/// A live page that was moved out of a segment that is being emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageMove {
    /// The owner's tag.
    pub tag: u64,
    /// Where it stood.
    pub from: PagePlace,
    /// Where it stands.
    pub to: PagePlace,
}

/// How a commit describes the index: in parts of 1 to [`PAGE_PART_BYTES_MAX`](super::PAGE_PART_BYTES_MAX) bytes.
pub enum PageIndex<'a> {
    /// What changed since the last commit.
    Changes(&'a mut dyn Iterator<Item = Vec<u8>>),
    /// All of it.
    Whole(&'a mut dyn Iterator<Item = Vec<u8>>),
}

impl<'a> PageWriter<'a> {
    pub(super) fn new(store: &'a PageStore, state: MutexGuard<'a, State>) -> Self {
        let first = state.active.unwrap_or_default();
        Self {
            store,
            state,
            buffer: Vec::new(),
            appended: 0,
            first,
            committed: false,
        }
    }

    /// Adds a page of 1 to [`PAGE_BYTES_MAX`] bytes under a tag that [`Self::reclaim`] will show. It
    /// can be read after the commit.
    pub fn append(&mut self, tag: u64, page: &[u8]) -> Result<PagePlace, LogError> {
        let number = match self.room()? {
            Some(number) => number,
            None => self.begin_segment()?,
        };
        let segment = self.segment(number)?;
        let usage = self.state.usage.get(&number).copied().unwrap_or_default();
        let Usage { len, synced, .. } = usage;
        let place = (len, segment.keeping.hide_tag(len, tag), synced);
        let max = PAGE_BYTES_MAX;
        let bytes = record::encode_into(&mut self.buffer, &segment.keeping, place, page, max)?;
        let offset = u32::try_from(len).map_err(|_| self.lost(number))?;
        if let Some(usage) = self.state.usage.get_mut(&number) {
            usage.len = usage.len.saturating_add(bytes.into());
            usage.live = usage.live.saturating_add(bytes.into());
        }
        self.appended = self.appended.saturating_add(bytes.into());
        if self.buffer.len() >= BUFFER_BYTES {
            self.write_buffer()?;
        }
        let place = PagePlace {
            segment: number,
            offset,
            bytes,
        };
        self.state.mark(place);
        Ok(place)
    }

    /// Says that a page is no longer needed once this commit is durable.
    pub fn retire(&mut self, place: PagePlace) {
        if let Some(usage) = self.state.usage.get_mut(&place.segment) {
            usage.live = usage.live.saturating_sub(place.bytes.into());
        }
        self.state.unmark(place);
    }

    /// Bytes appended so far.
    #[must_use]
    pub const fn appended_bytes(&self) -> u64 {
        self.appended
    }

    /// Moves live pages out of the segments with most waste, reading about `bytes_max` bytes. What
    /// this commit replaces must have been retired before.
    pub fn reclaim(&mut self, bytes_max: u64) -> Result<Vec<PageMove>, LogError> {
        self.empty_segments(bytes_max, RECLAIM_ABOVE)
    }

    /// The same for times at which nobody waits: goes on until the segments are 1.08 times what is live in
    /// them. Moves nothing when that is reached.
    pub fn compact(&mut self, bytes_max: u64) -> Result<Vec<PageMove>, LogError> {
        self.empty_segments(bytes_max, COMPACT_TO)
    }

    fn empty_segments(&mut self, bytes_max: u64, above: u64) -> Result<Vec<PageMove>, LogError> {
        let mut moved = Vec::new();
        let mut read = 0u64;
        while read < bytes_max {
            let Some((number, offset)) = self.state.reclaiming.or_else(|| self.victim(above))
            else {
                break;
            };
            let end = self.state.usage.get(&number).map_or(0, |usage| usage.len);
            let next = self.empty_chunk(number, offset, end, &mut moved)?;
            read = read.saturating_add(next.saturating_sub(offset));
            self.state.reclaiming = (next < end).then_some((number, next));
            if next >= end
                && self
                    .state
                    .usage
                    .get(&number)
                    .is_some_and(|usage| usage.live > 0)
            {
                let name = self.store.files.segment_name(number);
                let reason = "the index names pages that it does not hold".into();
                return Err(corrupt(&name, end, reason));
            }
        }
        Ok(moved)
    }

    /// Whether the commit should hold the whole index: its changes have become as long as it is.
    #[must_use]
    pub fn index_due(&self) -> bool {
        self.is_index_behind(1)
    }

    /// The same for times at which nobody waits: they are a quarter as long.
    #[must_use]
    pub fn index_pays(&self) -> bool {
        self.is_index_behind(4)
    }

    fn is_index_behind(&self, times: u64) -> bool {
        let min = self.store.options.journal_bytes_min;
        self.state.journal.as_ref().is_none_or(|journal| {
            let changes = journal.change_bytes();
            changes.saturating_mul(times) >= journal.index_bytes && changes >= min
        })
    }

    /// Makes the pages durable, then adds the commit, which is durable after
    /// [`PageStore::persist`], or at once if it holds the whole index. Pages that it moved or replaced can be
    /// read where they stood until then as well: readers learn of their new places from the owner, later.
    pub fn commit(mut self, index: PageIndex<'_>, meta: &[u8]) -> Result<(), LogError> {
        self.write_buffer()?;
        self.sync_active()?;
        let empty: Vec<u32> = self
            .state
            .usage
            .iter()
            .filter(|(number, usage)| usage.live == 0 && Some(**number) != self.state.active)
            .map(|(number, _)| *number)
            .collect();
        for number in empty {
            self.state.usage.remove(&number);
            self.state.live.remove(&number);
            self.state.doomed.push(number);
            self.state.reclaiming.take_if(|(of, _)| *of == number);
        }
        let commit = Commit {
            next_segment: self.state.next_segment,
            segments: self
                .state
                .usage
                .iter()
                .map(|(number, usage)| (*number, usage.len))
                .collect(),
            meta: meta.to_vec(),
        };
        match (index, self.state.journal.as_mut()) {
            (PageIndex::Changes(parts), Some(journal)) => journal.append(parts, &commit)?,
            (PageIndex::Changes(parts) | PageIndex::Whole(parts), _) => {
                self.replace_journal(parts, &commit)?;
            }
        }
        self.committed = true;
        Ok(())
    }

    fn replace_journal(
        &mut self,
        parts: &mut dyn Iterator<Item = Vec<u8>>,
        commit: &Commit,
    ) -> Result<(), LogError> {
        let files = &self.store.files;
        let old = self.state.journal.as_ref().map(|journal| journal.number);
        let number = old.map_or(1, |old| old.saturating_add(1));
        self.state.journal = Some(Journal::create(files, number, parts, commit)?);
        if let Some(old) = old {
            files.disk.remove(&files.journal_name(old))?;
        }
        Ok(())
    }

    /// The segment to append to, if there is one that is not full.
    fn room(&self) -> Result<Option<u32>, LogError> {
        let Some(active) = self.state.active else {
            return Ok(None);
        };
        let live = self.state.usage.values().map(|usage| usage.live);
        let share = live.fold(0, u64::saturating_add) / SEGMENTS;
        let options = &self.store.options;
        let target = share.clamp(options.segment_bytes_min, options.segment_bytes_max);
        let full = self
            .state
            .usage
            .get(&active)
            .is_none_or(|usage| usage.len >= target);
        Ok((!full).then_some(active))
    }

    fn begin_segment(&mut self) -> Result<u32, LogError> {
        self.write_buffer()?;
        self.sync_active()?;
        let files = &self.store.files;
        let number = self.state.next_segment;
        let name = files.segment_name(number);
        let keeping = Keeping::of(&*files.disk, &name);
        let magic = keeping.magic(SEGMENT_MAGIC);
        let file = create_durable(&*files.disk, &name, &files.temporary_name(number), &magic)?;
        let segment = Arc::new(Segment { file, keeping });
        self.store.segments.write().insert(number, segment);
        let usage = Usage {
            len: MAGIC_BYTES,
            live: 0,
            synced: MAGIC_BYTES,
        };
        self.state.usage.insert(number, usage);
        self.state.active = Some(number);
        self.state.next_segment = number.checked_add(1).ok_or_else(|| self.lost(number))?;
        Ok(number)
    }

    fn write_buffer(&mut self) -> Result<(), LogError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if let Some(active) = self.state.active {
            let file = Arc::clone(&self.segment(active)?.file);
            file.append(&self.buffer)?;
            // Now, and not all of it with the sync: votes are synced on the same disk.
            let len = self.state.usage.get(&active).map_or(0, |usage| usage.len);
            let bytes = self.buffer.len() as u64;
            file.write_out(len.saturating_sub(bytes), bytes);
        }
        self.buffer.clear();
        Ok(())
    }

    fn sync_active(&mut self) -> Result<(), LogError> {
        let Some(active) = self.state.active else {
            return Ok(());
        };
        let segment = self.segment(active)?;
        if let Some(usage) = self.state.usage.get_mut(&active)
            && usage.synced < usage.len
        {
            segment.file.sync()?;
            usage.synced = usage.len;
        }
        Ok(())
    }

    /// The full segment with the largest share of waste, if there is too much waste in all.
    fn victim(&self, above: u64) -> Option<(u32, u64)> {
        if !self.state.is_above(above, &self.store.options) {
            return None;
        }
        let usage = &self.state.usage;
        usage
            .iter()
            .filter(|(number, usage)| **number < self.first && usage.live > 0)
            .min_by_key(|(_, usage)| usage.live.saturating_mul(1000) / usage.len.max(1))
            .map(|(number, _)| (*number, MAGIC_BYTES))
    }

    /// Moves what is live between an offset and at most a chunk further; returns where to go on.
    fn empty_chunk(
        &mut self,
        number: u32,
        offset: u64,
        end: u64,
        moved: &mut Vec<PageMove>,
    ) -> Result<u64, LogError> {
        let segment = self.segment(number)?;
        let left = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut chunk = segment.file.read_at(offset, left.min(CHUNK_BYTES))?;
        let mut at = 0usize;
        loop {
            let rest = chunk.get(at..).unwrap_or_default();
            let place_at = offset.saturating_add(at as u64);
            let Some((bytes, tag)) = record::peek(rest) else {
                break;
            };
            let tag = segment.keeping.hide_tag(place_at, tag);
            if bytes > left.saturating_sub(at) {
                return Err(self.unreadable(number, place_at));
            }
            if bytes > rest.len() {
                if at > 0 {
                    break;
                }
                // A page longer than a chunk is read whole.
                chunk = segment.file.read_at(offset, bytes)?;
                continue;
            }
            let record = rest.get(..bytes).unwrap_or_default().to_vec();
            let from = PagePlace {
                segment: number,
                offset: u32::try_from(place_at).unwrap_or(u32::MAX),
                bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            };
            let live = self.state.live.get(&number);
            if live.is_some_and(|live| live.has(from.offset)) {
                let page = record::decode(&segment.keeping, place_at, record)?;
                let (_, page) = page.ok_or_else(|| self.unreadable(number, place_at))?;
                let to = self.append(tag, &page)?;
                self.retire(from);
                moved.push(PageMove { tag, from, to });
            } else if !record::is_whole(place_at, &record) {
                return Err(self.unreadable(number, place_at));
            }
            at = at.saturating_add(bytes);
        }
        match at {
            0 => Err(self.unreadable(number, offset)),
            at => Ok(offset.saturating_add(at as u64)),
        }
    }

    fn segment(&self, number: u32) -> Result<Arc<Segment>, LogError> {
        let found = self.store.segments.read().get(&number).cloned();
        found.ok_or_else(|| self.lost(number))
    }

    fn lost(&self, number: u32) -> LogError {
        corrupt(
            &self.store.files.segment_name(number),
            0,
            "it is not open".into(),
        )
    }

    fn unreadable(&self, number: u32, offset: u64) -> LogError {
        let name = self.store.files.segment_name(number);
        corrupt(&name, offset, "a page is unreadable".into())
    }
}

impl Drop for PageWriter<'_> {
    fn drop(&mut self) {
        if !self.committed {
            self.store.poisoned.store(true, Ordering::Release);
        }
    }
}
