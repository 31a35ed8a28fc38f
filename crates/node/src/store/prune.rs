//! Pruning while running: what is behind a certified and durable height is dropped, a little with
//! each flush (`docs/spec/pruning.md`, PR-n).
//!
//! The order of one step makes a crash harmless at every point of it: headers of what goes are
//! durable, then the rows are removed and the first height kept is moved in one batch, durable, then
//! files that hold nothing of use any more are removed. What a crash leaves undone, the next step
//! does: headers that are there are not written again, and files are removed by the first height.

use std::{collections::BTreeSet, mem, sync::atomic::Ordering};

use hawser_primitives::{Height, encode};
use hawser_storage::{Batch, LogError};

use super::{ChainStore, StoreError, index, unordered::UnorderedWindow};
use crate::replica::CertifiedBlock;

/// Fewest blocks that a node may keep: restart needs 257 before the flushed height, and peers that
/// were away for a moment need some.
pub const KEEP_BLOCKS_MIN: u64 = 1_024;
/// Most blocks dropped in one step …
const STEP_BLOCKS: u64 = 256;
/// … and bytes of blocks and receipts after which it ends.
const STEP_BYTES: usize = 8 * 1024 * 1024;

/// The fewest blocks that go together with these settings of the state: every state that can be
/// read has its block, also after a crash that takes the newest flush.
#[must_use]
pub fn keep_blocks_min(history_blocks: u64, overlay_blocks: u64) -> u64 {
    history_blocks
        .saturating_add(overlay_blocks.saturating_mul(2))
        .max(KEEP_BLOCKS_MIN)
}

/// Bytes of a kind of data, for people and monitors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindBytes {
    /// `blocks`, `receipts`, `headers`, `state`, `votes`, `other`, or the column of the key-value store; with an
    /// object store `cache` as well, and `remote` for what lies there and not here.
    pub kind: &'static str,
    /// Bytes.
    pub bytes: u64,
}

/// While there is one, no block is dropped.
pub(crate) struct BlockHold<'a>(&'a ChainStore);

impl Drop for BlockHold<'_> {
    fn drop(&mut self) {
        let mut held = self.0.pruning.lock();
        *held = held.saturating_sub(1);
    }
}

impl ChainStore {
    /// Drops some of what is more than `keep_blocks` behind the last height that is flushed, durable
    /// and certified. Says whether there is more to drop.
    ///
    /// Never dropped: genesis, headers with their certificates, changes of settings, hashes of
    /// blocks, and blocks of the last 600 s before that height, by which replays are recognised, with the
    /// one before these: a snapshot shows by it that it lacks none of them. Nothing is dropped while
    /// blocks are held.
    pub fn prune(&self) -> Result<bool, StoreError> {
        let Some(keep) = self.keep_blocks else {
            return Ok(false);
        };
        let held = self.pruning.lock();
        if *held > 0 {
            return Ok(true);
        }
        let first = self.first_height();
        let certified = self.certified_state_height();
        let checkpoint = certified.min(Height(self.durable.load(Ordering::Acquire)));
        let wanted = checkpoint.back(keep.max(KEEP_BLOCKS_MIN)).next();
        if wanted <= first {
            // What a crash may have left of the last step.
            self.drop_files(first)?;
            return Ok(false);
        }
        let now = self.stored(checkpoint)?.block.header.time;
        let end = wanted.min(Height(first.0.saturating_add(STEP_BLOCKS)));
        let (mut next, mut bytes) = (first, 0usize);
        let mut batch = Batch::new();
        let mut stored = self.stored(next)?;
        while next < end && bytes < STEP_BYTES {
            // Below the checkpoint, as `keep_blocks` is more than one.
            let following = self.stored(next.next())?;
            if !UnorderedWindow::is_past(following.block.header.time, now) {
                break;
            }
            let CertifiedBlock { block, certificate } = mem::replace(&mut stored, following);
            let result = self.result(next)?;
            index::drop_block(self.kv.as_ref(), &mut batch, next, &result.receipts)?;
            if self.headers.last().is_none_or(|last| last < next.0) {
                let header = encode(&(&block.header, &certificate));
                self.headers.append(next.0, &header)?;
            }
            bytes = bytes
                .saturating_add(block.body_bytes())
                .saturating_add(result.receipts.len().saturating_mul(RECEIPT_BYTES));
            next = next.next();
        }
        if next > first {
            self.headers.sync()?;
            // Before the rows go, so that nobody takes a missing row for what never was.
            self.first.store(next.0, Ordering::Release);
            index::put_first(&mut batch, next);
            self.kv.write(batch)?;
            self.kv.persist()?;
            self.drop_files(next)?;
        }
        Ok(next == end && end < wanted || bytes >= STEP_BYTES)
    }

    /// Keeps all blocks that are here until it is dropped. Waits for a step of pruning that is under way.
    pub(crate) fn hold_blocks(&self) -> BlockHold<'_> {
        let mut held = self.pruning.lock();
        *held = held.saturating_add(1);
        BlockHold(self)
    }

    /// Whether a pruned node's state holds so much waste that [`Self::compact`] is worth while. An archive is
    /// mostly blocks and leaves it at what flushes reclaim.
    #[must_use]
    pub fn is_compaction_due(&self) -> bool {
        self.keep_blocks.is_some() && self.state.is_compaction_due()
    }

    /// Takes some of the waste out of the state's files. Says whether there may be more.
    pub fn compact(&self) -> Result<bool, StoreError> {
        Ok(self.state.compact()?)
    }

    fn drop_files(&self, first: Height) -> Result<(), StoreError> {
        self.blocks.drop_before(first.0)?;
        self.receipts.drop_before(first.0)?;
        Ok(())
    }

    /// Bytes of the state's pages that are not waste.
    #[must_use]
    pub fn live_state_bytes(&self) -> u64 {
        self.state.page_usage().live_bytes
    }

    /// Bytes on the disk by kind of file and column of the key-value store.
    pub fn usage(&self) -> Result<Vec<KindBytes>, StoreError> {
        let mut kinds = ["blocks", "receipts", "headers", "state", "votes", "other"]
            .map(|kind| KindBytes { kind, bytes: 0 });
        let mut all = Vec::new();
        let mut cold = BTreeSet::new();
        if let Some(tier) = self.tier() {
            let files = tier.files().map_err(LogError::from)?.into_iter();
            cold.extend(files.filter(|file| !file.is_local).map(|file| file.file));
            let stats = tier.stats().map_err(LogError::from)?;
            let tiered = [("remote", stats.bytes), ("cache", stats.cache_bytes)];
            all.extend(tiered.map(|(kind, bytes)| KindBytes { kind, bytes }));
        }
        for (name, len) in self.disk.list().map_err(LogError::from)? {
            if cold.contains(&name) {
                continue;
            }
            let word = name.split(['-', '.']).next().unwrap_or_default();
            let known = kinds.iter().position(|one| one.kind == word);
            let at = known.unwrap_or(kinds.len().saturating_sub(1));
            if let Some(kind) = kinds.get_mut(at) {
                kind.bytes = kind.bytes.saturating_add(len);
            }
        }
        all.extend(kinds);
        for column in index::columns() {
            if let Some(bytes) = self.kv.column_bytes(column)? {
                all.push(KindBytes {
                    kind: column.0,
                    bytes,
                });
            }
        }
        Ok(all)
    }
}

/// Bytes that a receipt stands for in the bound of a step, about.
const RECEIPT_BYTES: usize = 256;
