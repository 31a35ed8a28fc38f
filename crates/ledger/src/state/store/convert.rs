//! Folders of format 2, which kept the pages and the values in the key-value store.
//!
//! `state.values`: key → value, for every key at the base. The pages are made from those, in the page
//! store, and made durable together; then the record in the key-value store says the new format; then
//! the columns are emptied. Stopped anywhere, the next start goes on from what it finds: pages not
//! made durable are made again, pages of the same height as a record of format 2 are taken, and
//! columns are emptied further. History and blobs are the same in both formats.
//! An encrypted store cannot be read in order; its folder is refused, with what to do.

use std::collections::BTreeMap;
use std::ops::Bound;

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::Suite;
use hawser_primitives::{B256, Bytes, Height, decode_exact};
use hawser_storage::{Batch, Column, Kv, KvError, PageStore};

use super::base::{Base, KEY};
use super::fill::{StateSource, entry_bytes, fill, part_of};
use super::{META, PAGES, StateError, VALUES, store_error};
use crate::state::StateKey;

const FORMAT: u32 = 2;
const BASE_BYTES_MAX: usize = 256;
/// Rows read or removed at once.
const ROWS: usize = 4096;
/// Bytes of keys and values in memory: so much of the state is gathered in each pass over all keys.
const GATHER_BYTES: usize = 512 * 1024 * 1024;

/// The record of format 2.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Earlier {
    pub(super) format: u32,
    pub(super) suite: Suite,
    pub(super) height: Height,
    pub(super) root: B256,
    pub(super) entries: u64,
    pub(super) history_from: Height,
    pub(super) pruned_to: Height,
}

/// What a conversion tells of itself: keys done, and keys in all.
pub type StateProgress<'a> = &'a mut dyn FnMut(u64, u64);

/// Converts a state of format 2, if there is one, and removes what an earlier conversion left.
/// `committed` is what the page store's commit says, if it holds one.
pub(super) fn convert(
    kv: &dyn Kv,
    pages: &PageStore,
    committed: Option<&[u8]>,
    suite: Suite,
    progress: StateProgress<'_>,
) -> Result<bool, StateError> {
    let converted = match earlier(kv, suite)? {
        Some(earlier) if !is_sealed(kv)? => {
            let base = Base {
                height: earlier.height,
                root: earlier.root,
                entries: earlier.entries,
                history_from: earlier.history_from,
                pruned_to: earlier.pruned_to,
            };
            if committed.is_some_and(|meta| meta != base.tree_record(suite)) {
                return Err(StateError::Corrupt(
                    "the key-value store holds state of format 2, and the state-* files are of \
                     another block: the two do not belong together. Move the state-* files away and \
                     start again"
                        .into(),
                ));
            }
            if committed.is_none() {
                let mut source = Rows::new(kv, suite, earlier.entries, progress);
                fill(pages, suite, &mut source, &mut |root, entries| {
                    if (root, entries) == (base.root, base.entries) {
                        return Ok(base.tree_record(suite));
                    }
                    Err(StateError::Corrupt(format!(
                        "the values of block {} lead to root {root} and {entries} keys, not to {} \
                         and {}. Move the key-value folder away and start again: state and indexes \
                         are made anew from the blocks",
                        base.height, base.root, base.entries
                    )))
                })?;
            }
            let mut batch = Batch::new();
            base.put(suite, &mut batch);
            kv.write(batch)
                .and_then(|()| kv.persist())
                .map_err(|error| store_error(&error))?;
            true
        }
        _ => false,
    };
    if earlier(kv, suite)?.is_none() && !is_sealed(kv)? {
        clear(kv, VALUES)?;
        clear(kv, PAGES)?;
    }
    Ok(converted)
}

/// The record of format 2, if that is what is there.
fn earlier(kv: &dyn Kv, suite: Suite) -> Result<Option<Earlier>, StateError> {
    let stored = kv.get(META, KEY).map_err(|error| store_error(&error))?;
    let format = |bytes: &[u8]| {
        bytes
            .first_chunk::<4>()
            .map(|four| u32::from_le_bytes(*four))
    };
    let Some(bytes) = stored.filter(|bytes| format(bytes) == Some(FORMAT)) else {
        return Ok(None);
    };
    let earlier: Earlier = decode_exact(&bytes, BASE_BYTES_MAX)
        .map_err(|error| StateError::Corrupt(format!("state base of format 2: {error}")))?;
    if earlier.suite != suite {
        let stored = earlier.suite;
        return Err(StateError::Corrupt(format!(
            "the state is of suite {stored}, not {suite}"
        )));
    }
    Ok(Some(earlier))
}

fn is_sealed(kv: &dyn Kv) -> Result<bool, StateError> {
    match kv.range(VALUES, Bound::Unbounded, Bound::Unbounded, false, 1) {
        Ok(_) => Ok(false),
        Err(KvError::HiddenOrder(_)) => Ok(true),
        Err(error) => Err(store_error(&error)),
    }
}

fn clear(kv: &dyn Kv, column: Column) -> Result<(), StateError> {
    let failed = |error: KvError| store_error(&error);
    loop {
        let rows = kv
            .range(column, Bound::Unbounded, Bound::Unbounded, false, ROWS)
            .map_err(failed)?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for (key, _) in &rows {
            batch.delete(column, key);
        }
        kv.write(batch).map_err(failed)?;
        if rows.len() < ROWS {
            return kv.persist().map_err(failed);
        }
    }
}

/// The values of format 2, gathered in as few passes as memory allows.
struct Rows<'a> {
    kv: &'a dyn Kv,
    suite: Suite,
    entries: u64,
    progress: StateProgress<'a>,
    /// Parts gathered: those before `to`.
    gathered: BTreeMap<u64, Vec<(StateKey, Bytes)>>,
    to: u64,
    done: u64,
}

impl<'a> Rows<'a> {
    fn new(kv: &'a dyn Kv, suite: Suite, entries: u64, progress: StateProgress<'a>) -> Self {
        Self {
            kv,
            suite,
            entries,
            progress,
            gathered: BTreeMap::new(),
            to: 0,
            done: 0,
        }
    }

    /// Gathers the parts from `from` on, as many as fit: where memory would run over, the last ones
    /// are left for the next pass.
    fn gather(&mut self, bits: u32, from: u64) -> Result<(), StateError> {
        (self.progress)(self.done, self.entries);
        self.gathered.clear();
        self.to = 1 << bits;
        let mut bytes = 0usize;
        let mut after: Option<Vec<u8>> = None;
        loop {
            let start = match &after {
                Some(key) => Bound::Excluded(key.as_slice()),
                None => Bound::Unbounded,
            };
            let rows = self.kv.range(VALUES, start, Bound::Unbounded, false, ROWS);
            let rows = rows.map_err(|error| store_error(&error))?;
            let Some((last, _)) = rows.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            for (key, value) in rows {
                let key = StateKey::decode(&key)?;
                let part = part_of(&key.path(self.suite), bits);
                if part < from || part >= self.to {
                    continue;
                }
                let value = Bytes::from(value);
                bytes = bytes.saturating_add(entry_bytes(&value));
                self.gathered.entry(part).or_default().push((key, value));
            }
            while bytes > GATHER_BYTES && self.gathered.len() > 1 {
                let Some((part, left)) = self.gathered.pop_last() else {
                    break;
                };
                self.to = part;
                let freed = left.iter().map(|(_, value)| entry_bytes(value));
                bytes = bytes.saturating_sub(freed.fold(0, usize::saturating_add));
            }
        }
    }
}

impl StateSource for Rows<'_> {
    fn entries(&self) -> u64 {
        self.entries
    }

    fn part(&mut self, bits: u32, part: u64) -> Result<Vec<(StateKey, Bytes)>, StateError> {
        if part >= self.to {
            self.gather(bits, part)?;
        }
        let leaves = self.gathered.remove(&part).unwrap_or_default();
        self.done = self.done.saturating_add(leaves.len() as u64);
        if part.saturating_add(1) == 1 << bits {
            (self.progress)(self.done, self.entries);
        }
        Ok(leaves)
    }
}
