//! Keeps what a node knows of forgotten votes beside its vote log.

use std::sync::Arc;

use hawser_primitives::{Height, decode_exact, encode};
use hawser_storage::{Disk, LogError, LogOptions, SyncedLog};

use super::{ChainError, VoteLog};
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

/// What is unknown of the votes of a node whose last block is `tip`, where anything is; `votes` says whether it has a
/// vote key. A chain without its vote log is one that forgot all votes, also those that were cast since a height was
/// named from which on it votes: the log is begun when that is named. Changes nothing.
pub fn votes_in_doubt(
    disk: &dyn Disk,
    votes: bool,
    tip: Height,
) -> Result<Option<VoteGuard>, ChainError> {
    let guard = read_vote_guard(disk)?;
    if votes && tip > Height::GENESIS && VoteLog::is_lost(disk)? {
        let marked = guard.filter(|guard| guard.from.is_none());
        let lost = VoteGuard::unknown(GuardReason::NoVoteLog);
        return Ok(Some(marked.unwrap_or(lost)));
    }
    // Where it votes already, its log knows of all votes since.
    Ok(guard.filter(|guard| !guard.allows(tip)))
}

/// Has a node vote after a height although votes of before are unknown. Durable.
pub fn allow_votes(
    disk: &Arc<dyn Disk>,
    guard: VoteGuard,
    after: Height,
) -> Result<Height, ChainError> {
    let lost = VoteLog::is_lost(disk.as_ref())?;
    let from = after.next();
    let allowed = VoteGuard {
        from: Some(from),
        ..guard
    };
    write_vote_guard(Arc::clone(disk), allowed)?;
    // After the guard: ended in between, this leaves the votes in doubt.
    if lost {
        VoteLog::open(Arc::clone(disk), after)?;
    }
    Ok(from)
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
