//! A whole state written at once, in the order of its paths: each page once, nothing read back.

use std::sync::Arc;

use hawser_crypto::Suite;
use hawser_primitives::{B256, Bytes, Height};
use hawser_storage::{Batch, Disk, Kv, LogError, PageIndex, PageStore, PageWriter};

use super::base::Base;
use super::index::{Parts, Stored};
use super::{PREFIX, StateError, StateOptions, StateStore, log_error, store_error};
use crate::state::StateKey;
use crate::state::message::inner_hash;
use crate::state::page::{Page, Update};
use crate::state::tree::{self, Child, NewBucket, Nodes, TreeChange};
use crate::state::trunk::{BucketFacts, Inner, NodeRef, Position};

/// Keys in a part, about. So many that no part fits a page, and so few that a part is little memory.
const PART_KEYS: u64 = 4096;
/// Bits that a part is named by, at most.
const PART_BITS_MAX: u32 = 24;

/// Gives all keys and values of a state, part by part.
pub trait StateSource {
    /// Number of keys, at least about: it only decides how many parts there are.
    fn entries(&self) -> u64;

    /// The keys whose paths begin with the lowest `bits` bits of `part`, with their values, in any
    /// order. Parts are asked for once each, from 0 on.
    fn part(&mut self, bits: u32, part: u64) -> Result<Vec<(StateKey, Bytes)>, StateError>;
}

/// The part that a path belongs to.
#[must_use]
pub fn part_of(path: &B256, bits: u32) -> u64 {
    let prefix = crate::state::trunk::prefix_of(path);
    prefix.checked_shr(64u32.saturating_sub(bits)).unwrap_or(0)
}

/// Nodes of an empty tree.
pub(super) struct Nothing;

impl Nodes for Nothing {
    fn inner(&self, _: u32) -> Option<Inner> {
        None
    }

    fn bucket(&self, _: u32) -> Option<BucketFacts> {
        None
    }

    fn page(&self, _: u32, _: usize) -> Result<Page, StateError> {
        Err(StateError::Corrupt("an empty tree has no pages".into()))
    }
}

/// Writes the pages of a state of one height; `finish` makes the commit's record of the root and the
/// number of keys, or refuses. Durable when it returns.
pub(super) fn fill(
    pages: &PageStore,
    suite: Suite,
    source: &mut dyn StateSource,
    finish: &mut dyn FnMut(B256, u64) -> Result<Vec<u8>, StateError>,
) -> Result<(B256, u64), StateError> {
    let bits = (source.entries() / PART_KEYS).checked_ilog2().unwrap_or(0);
    let bits = bits.min(PART_BITS_MAX);
    let failed = |error| log_error(&error);
    let mut writer = pages.write().map_err(failed)?;
    let mut index = Parts::default();
    let mut entries = 0u64;
    // Roots of finished subtrees, each with the level it stands on; no two on one level.
    let mut open: Vec<(u32, B256)> = Vec::new();
    for part in 0..1u64 << bits {
        let leaves = updates(suite, source.part(bits, part)?)?;
        entries = entries.saturating_add(leaves.len() as u64);
        let prefix = part.checked_shl(64u32.saturating_sub(bits)).unwrap_or(0);
        let at = Position {
            prefix,
            depth: u8::try_from(bits).unwrap_or(u8::MAX),
        };
        if leaves
            .iter()
            .any(|leaf| bits > 0 && part_of(&leaf.path, bits) != part)
        {
            return Err(StateError::Corrupt("a key of another part".into()));
        }
        let TreeChange {
            root,
            root_hash,
            buckets,
            ..
        } = tree::apply_at(suite, &Nothing, NodeRef::EMPTY, at, &leaves)?;
        if bits > 0 && !matches!(root, Child::NewInner(_)) {
            // A hash that leaves a part of thousands nearly empty is not one.
            let reason = format!("{} keys where thousands belong", leaves.len());
            return Err(StateError::Corrupt(reason));
        }
        for bucket in buckets.into_iter().flatten() {
            append(&mut writer, &mut index, &bucket).map_err(failed)?;
        }
        let (mut level, mut hash) = (bits, root_hash);
        while let Some((_, left)) = open.pop_if(|(of, _)| *of == level && level > 0) {
            hash = inner_hash(suite, &left, &hash);
            level = level.saturating_sub(1);
        }
        open.push((level, hash));
    }
    let root = open.pop().map(|(_, hash)| hash).unwrap_or_default();
    let meta = finish(root, entries)?;
    writer
        .commit(PageIndex::Whole(&mut index.finish()), &meta)
        .and_then(|()| pages.persist())
        .map_err(failed)?;
    Ok((root, entries))
}

/// The leaves of a part, in path order.
fn updates(suite: Suite, part: Vec<(StateKey, Bytes)>) -> Result<Vec<Update>, StateError> {
    let mut updates = Vec::with_capacity(part.len());
    let paths = StateKey::paths(suite, part.iter().map(|(key, _)| key));
    for ((_, value), path) in part.into_iter().zip(paths) {
        let len = value.len();
        if len > super::STATE_VALUE_BYTES_MAX {
            let max = super::STATE_VALUE_BYTES_MAX;
            return Err(StateError::ValueSize { len, max });
        }
        updates.push(Update {
            path,
            change: Some(value),
        });
    }
    updates.sort_unstable_by_key(|update| update.path);
    Ok(updates)
}

/// Opens stores that hold no state yet for the one of `height`, whose root and number of keys come later.
/// Until the pages are committed, they open as empty.
pub(super) fn begin(
    kv: &dyn Kv,
    disk: Arc<dyn Disk>,
    suite: Suite,
    options: &StateOptions,
    height: Height,
) -> Result<(PageStore, Base), StateError> {
    let opened = PageStore::open(disk, PREFIX, options.pages);
    let (pages, commit) = opened.map_err(|error| log_error(&error))?;
    if commit.is_some() {
        let reason = "there is a state already; begin with an empty folder";
        return Err(StateError::Store(reason.into()));
    }
    let base = Base {
        height,
        root: B256::ZERO,
        entries: 0,
        history_from: height,
        pruned_to: height,
    };
    // Before the pages: without them it says that there is nothing.
    let mut batch = Batch::new();
    base.put(suite, &mut batch);
    kv.write(batch)
        .and_then(|()| kv.persist())
        .map_err(|error| store_error(&error))?;
    Ok((pages, base))
}

/// Writes a bucket's page and notes where it is.
pub(super) fn append(
    writer: &mut PageWriter<'_>,
    index: &mut Parts,
    bucket: &NewBucket,
) -> Result<(), LogError> {
    let at = bucket.position;
    let stored = Stored {
        hash: bucket.hash,
        count: u32::try_from(bucket.page.count()).unwrap_or(u32::MAX),
        place: writer.append(at.prefix, bucket.page.bytes())?,
    };
    index.put(at, &stored);
    Ok(())
}

impl StateStore {
    /// Makes the state of `height` from all its keys, in stores that hold no state yet, and returns
    /// its root. The same as committing everything as one block, but each page is written once and
    /// memory is bounded by a part. Nothing before `height` can be read. Interrupted, it leaves
    /// stores that open empty.
    pub fn fill(
        kv: &dyn Kv,
        disk: Arc<dyn Disk>,
        suite: Suite,
        options: &StateOptions,
        height: Height,
        source: &mut dyn StateSource,
    ) -> Result<B256, StateError> {
        let (pages, mut base) = begin(kv, disk, suite, options, height)?;
        let (root, _) = fill(&pages, suite, source, &mut |root, entries| {
            (base.root, base.entries) = (root, entries);
            Ok(base.tree_record(suite))
        })?;
        Ok(root)
    }
}

/// Bytes of a key and its value in memory, about.
pub(super) fn entry_bytes(value: &Bytes) -> usize {
    value.len().saturating_add(160)
}
