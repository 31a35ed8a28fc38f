//! Old files of blocks and receipts on their way to an object store (`docs/spec/tiering.md`, TI-n).
//!
//! What is read from there comes through the same calls as everything else: the disk that the store
//! was opened on shows such files like any other. This file only chooses which ones go.

use std::sync::{Arc, atomic::Ordering};

use hawser_primitives::{Height, Time};
use hawser_storage::{LogError, Segments, Tier};

use super::{ChainStore, StoreError};
use crate::replica::CertifiedBlock;

/// Fewest blocks behind the checkpoint that stay: a start reads 257 of them.
pub const TIER_AFTER_BLOCKS_MIN: u64 = 300;

/// Which files are old enough to go: those for which both hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierRules {
    /// Their last block is so many behind the checkpoint, at least [`TIER_AFTER_BLOCKS_MIN`].
    pub after_blocks: u64,
    /// It is older than the checkpoint by so much of the chain's time, in milliseconds.
    pub after_ms: u64,
}

/// A file that was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedFile {
    /// Its name.
    pub file: String,
    /// Its last block.
    pub last: Height,
}

impl ChainStore {
    /// What moves files to an object store; `None` where the disk knows of none.
    #[must_use]
    pub fn tier(&self) -> Option<Arc<Tier>> {
        self.disk.tier()
    }

    /// Moves the oldest file that is to go: uploads it, compares what the store gives back, notes that
    /// durably, removes the local copy. `None` where none is old enough. Takes as long as the store
    /// does; `stop` ends it early.
    pub fn move_cold(
        &self,
        rules: TierRules,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<MovedFile>, StoreError> {
        let Some(tier) = self.tier().filter(|tier| tier.is_configured()) else {
            return Ok(None);
        };
        let durable = Height(self.durable.load(Ordering::Acquire));
        let checkpoint = self.certified_state_height().min(durable);
        let behind = rules.after_blocks.max(TIER_AFTER_BLOCKS_MIN);
        let limit = checkpoint.back(behind);
        if limit == Height::GENESIS {
            return Ok(None);
        }
        let Some((header, _)) = self.certified_if_kept(checkpoint)? else {
            return Ok(None);
        };
        for segments in [&self.blocks, &self.receipts] {
            for sealed in segments.sealed_before(limit.0) {
                if tier.is_cold(&sealed.file).map_err(LogError::from)? {
                    continue;
                }
                let last = Height(sealed.last);
                if !self.is_old(last, header.time, rules)? {
                    break;
                }
                tier.push(&sealed.file, stop).map_err(LogError::from)?;
                tier.drop_local(&sealed.file).map_err(LogError::from)?;
                // Its space is given back only then.
                segments.close(sealed.first);
                let file = sealed.file;
                return Ok(Some(MovedFile { file, last }));
            }
        }
        Ok(None)
    }

    /// Whether a block is old by the chain's own time. One that was moved already was.
    fn is_old(&self, height: Height, now: Time, rules: TierRules) -> Result<bool, StoreError> {
        if self.blocks.is_cold(height.0)? {
            return Ok(true);
        }
        let found = self.certified_if_kept(height)?;
        Ok(found.is_some_and(|(header, _)| now.since_ms(header.time) >= rules.after_ms))
    }

    /// Whether a block lies in the object store, so that reading it may take a while.
    pub fn is_cold(&self, height: Height) -> Result<bool, StoreError> {
        Ok(self.blocks.is_cold(height.0)?)
    }

    /// The first block from which on all are on this machine.
    pub fn first_local(&self) -> Result<Height, StoreError> {
        let mut first = self.first_height();
        for sealed in self.blocks.sealed_before(u64::MAX) {
            if self.blocks.is_cold(sealed.first)? {
                first = first.max(Height(sealed.last).next());
            }
        }
        Ok(first)
    }

    /// As [`Self::serve`], of blocks that may have to be read from the object store: ends with the
    /// first block once `late` says so.
    pub fn serve_cold(
        &self,
        from: Height,
        count: u32,
        late: &dyn Fn() -> bool,
    ) -> Result<Vec<CertifiedBlock>, StoreError> {
        let items = self.stored_items(from, count, &|_| Ok(!late()))?;
        self.decode_items(from, &items)
    }
}

/// Whether a store of segments has files that lie in an object store.
pub(super) fn has_cold(segments: &Segments) -> Result<bool, StoreError> {
    let (Some(first), Some(_)) = (segments.first(), segments.last()) else {
        return Ok(false);
    };
    Ok(segments.is_cold(first)?)
}
