//! Keeps what a node knows of forgotten votes beside its vote log.

use std::sync::Arc;

use hawser_primitives::{decode_exact, encode};
use hawser_storage::{Disk, LogError, LogOptions, SyncedLog};

use super::ChainError;
use crate::{replica::VoteGuard, store::VOTE_GUARD as NAME};

/// Longest record, in bytes.
const RECORD_BYTES_MAX: usize = 64;

fn failed(error: LogError) -> ChainError {
    ChainError::VoteGuard(error.to_string())
}

/// What a chain's folder says of forgotten votes; `None` where nothing was forgotten.
pub fn read_vote_guard(disk: Arc<dyn Disk>) -> Result<Option<VoteGuard>, ChainError> {
    let found = disk.open(NAME).map_err(|error| failed(error.into()))?;
    if found.is_none() {
        return Ok(None);
    }
    let (_, recovery) = SyncedLog::open(disk, NAME, LogOptions::default()).map_err(failed)?;
    let last = recovery.records.last();
    last.map(|raw| decode_exact(raw, RECORD_BYTES_MAX))
        .transpose()
        .map_err(|error| ChainError::VoteGuard(error.to_string()))
}

/// Writes it, durably.
pub fn write_vote_guard(disk: Arc<dyn Disk>, guard: VoteGuard) -> Result<(), ChainError> {
    let (mut log, _) = SyncedLog::open(disk, NAME, LogOptions::default()).map_err(failed)?;
    log.append(&encode(&guard)).map_err(failed)?;
    log.sync().map_err(failed)
}

/// Removes it: every height from now on may be voted for.
pub(super) fn clear_vote_guard(disk: &dyn Disk) -> Result<(), ChainError> {
    disk.remove(NAME)
        .and_then(|()| disk.sync())
        .map_err(|error| failed(error.into()))
}
