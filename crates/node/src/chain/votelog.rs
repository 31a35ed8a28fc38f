//! The log of votes: what a validator must remember so that it neither forgets a lock nor signs
//! two votes where it may sign one.

use std::{collections::BTreeMap, sync::Arc};

use hawser_consensus::Record;
use hawser_ledger::Block;
use hawser_primitives::{Height, decode_exact, encode, limits::FRAME_BYTES_MAX};
use hawser_storage::{Disk, DiskFile, LogError, LogOptions, SyncedLog};

use super::ChainError;
use crate::{
    replica::LogEntry,
    store::{ChainStore, VOTE_LOG as NAME},
};

/// Size after which the log is begun anew at the next opportunity, in bytes.
const ROTATE_BYTES: u64 = 32 * 1024 * 1024;

/// What a restart finds in the log for the heights after the tip.
///
/// There may be several: votes are logged before the blocks of the heights before them are stored,
/// and a crash in between leaves them one height further than the tip. They bind all the same once
/// that height is reached again.
pub(super) type Recovered = BTreeMap<Height, RecoveredHeight>;

/// What a restart finds in the log for one height.
#[derive(Debug, Default)]
pub struct RecoveredHeight {
    /// Records of agreement in order.
    pub records: Vec<Record>,
    /// Blocks that they name.
    pub blocks: Vec<Block>,
}

/// The vote log of one chain.
pub struct VoteLog {
    log: SyncedLog,
    dirty: bool,
    bytes: u64,
    /// Highest height that has an entry.
    highest: Height,
}

impl VoteLog {
    /// Whether votes of before are lost: there is no log, or one of which nothing is left but bytes that are no
    /// entry. Changes nothing.
    pub fn is_lost(disk: &dyn Disk) -> Result<bool, ChainError> {
        let found = SyncedLog::read(disk, NAME, LogOptions::default()).map_err(unreadable)?;
        Ok(found.is_none_or(|found| found.is_lost()))
    }

    /// Opens the log and reads what belongs to the heights after `tip`.
    pub fn open(disk: Arc<dyn Disk>, tip: Height) -> Result<(Self, Recovered), ChainError> {
        let opened = SyncedLog::open(disk, NAME, LogOptions::default());
        let (log, recovery) = opened.map_err(unreadable)?;
        let mut recovered = Recovered::default();
        let (mut bytes, mut highest) = (0u64, Height::GENESIS);
        for raw in recovery.records {
            bytes = bytes.saturating_add(raw.len() as u64);
            let entry = decode_exact::<LogEntry>(&raw, FRAME_BYTES_MAX)
                .map_err(|error| ChainError::VoteLog(error.to_string()))?;
            let height = height_of(&entry);
            highest = highest.max(height);
            if height > tip {
                let found: &mut RecoveredHeight = recovered.entry(height).or_default();
                match entry {
                    LogEntry::Record(record) => found.records.push(record),
                    LogEntry::Block(block) => found.blocks.push(block),
                }
            }
        }
        Ok((
            Self {
                log,
                dirty: false,
                bytes,
                highest,
            },
            recovered,
        ))
    }

    /// Adds an entry; durable after [`Self::sync`].
    pub fn append(&mut self, entry: &LogEntry) -> Result<(), ChainError> {
        let bytes = encode(entry);
        self.log.append(&bytes)?;
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        self.highest = self.highest.max(height_of(entry));
        self.dirty = true;
        Ok(())
    }

    /// Makes all entries durable; says whether there was anything to do.
    pub fn sync(&mut self) -> Result<bool, ChainError> {
        if !self.dirty {
            return Ok(false);
        }
        self.log.sync()?;
        self.dirty = false;
        Ok(true)
    }

    /// Begins a new log if this one has grown large and all its heights are stored, which is made
    /// durable first. Returns the old file, to be dropped where nobody waits ([`SyncedLog::reset`]).
    pub fn rotate(&mut self, store: &ChainStore) -> Result<Option<Arc<dyn DiskFile>>, ChainError> {
        if self.bytes <= ROTATE_BYTES || self.highest > store.stored_height() {
            return Ok(None);
        }
        store.sync_blocks()?;
        let old = self.log.reset()?;
        (self.bytes, self.dirty) = (0, false);
        Ok(Some(old))
    }
}

fn unreadable(error: LogError) -> ChainError {
    match error {
        LogError::Corrupt { .. } => ChainError::VoteLog(error.to_string()),
        other => other.into(),
    }
}

fn height_of(entry: &LogEntry) -> Height {
    match entry {
        LogEntry::Record(record) => record.height(),
        LogEntry::Block(block) => block.header.height,
    }
}
