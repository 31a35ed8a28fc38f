//! Keeps what a node knows of forgotten votes beside its vote log.

use std::sync::Arc;

use hawser_primitives::{decode_exact, encode};
use hawser_storage::{Disk, LogError, LogOptions, SyncedLog};

use super::ChainError;
use crate::{
    replica::{GuardReason, VoteGuard},
    store::VOTE_GUARD as NAME,
};

/// Longest record, in bytes.
const RECORD_BYTES_MAX: usize = 64;

fn failed(error: LogError) -> ChainError {
    ChainError::VoteGuard(error.to_string())
}

/// What a chain's folder says of forgotten votes; `None` where nothing was forgotten. Where it says so with no entry
/// that can be read, whatever it said is lost with the votes.
pub fn read_vote_guard(disk: &dyn Disk) -> Result<Option<VoteGuard>, ChainError> {
    let found = SyncedLog::read(disk, NAME, LogOptions::default()).map_err(failed)?;
    let Some(recovery) = found else {
        return Ok(None);
    };
    let Some(last) = recovery.records.last() else {
        return Ok(Some(VoteGuard::unknown(GuardReason::NoVoteLog)));
    };
    let guard = decode_exact::<VoteGuard>(last, RECORD_BYTES_MAX);
    let guard = guard.map_err(|error| ChainError::VoteGuard(error.to_string()))?;
    Ok(Some(guard))
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
