//! Queries over a state, and reading of events.

use alloy_primitives::LogData;
use alloy_sol_types::SolEvent;
use hawser_ledger::{
    Log,
    state::{StateError, StateRead},
};
use hawser_primitives::{Address, B256, Bytes};

use super::{ADDRESS, IEvidence, StoredRecord, record_id, slot};

/// Whether there is a record with this id.
pub fn exists(state: &dyn StateRead, id: &B256) -> Result<bool, StateError> {
    Ok(state.storage(&ADDRESS, &slot(id))? != B256::ZERO)
}

/// The record with this id, or `None` where there is none.
pub fn get(state: &dyn StateRead, id: &B256) -> Result<Option<StoredRecord>, StateError> {
    let hash = state.storage(&ADDRESS, &slot(id))?;
    if hash == B256::ZERO {
        return Ok(None);
    }
    let bytes = state
        .blob(&hash)?
        .ok_or_else(|| StateError::Corrupt(format!("evidence record {hash} is missing")))?;
    let record = StoredRecord::decode(&bytes)
        .map_err(|error| StateError::Corrupt(format!("evidence record {hash}: {error}")))?;
    Ok(Some(record))
}

/// The record of a digest that `owner` registered, with its id.
pub fn find(
    state: &dyn StateRead,
    owner: Address,
    algorithm: u8,
    digest: &[u8],
) -> Result<Option<(B256, StoredRecord)>, StateError> {
    let id = record_id(owner, algorithm, digest);
    Ok(get(state, &id)?.map(|record| (id, record)))
}

/// A registration as an event tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Id of the record.
    pub id: B256,
    /// Who registered it.
    pub owner: Address,
    /// The digest if it has 32 bytes, else its Keccak-256.
    pub digest_key: B256,
    /// Number of the algorithm.
    pub algorithm: u8,
    /// The digest.
    pub digest: Bytes,
    /// Hash that the state holds of the record.
    pub record_hash: B256,
}

/// The registration that an event reports; `None` for other events.
#[must_use]
pub fn registered(log: &Log) -> Option<Registered> {
    if log.address != ADDRESS {
        return None;
    }
    let data = LogData::new(log.topics.clone(), log.data.clone())?;
    let event = IEvidence::Registered::decode_log_data(&data).ok()?;
    Some(Registered {
        id: event.id,
        owner: event.owner,
        digest_key: event.digestKey,
        algorithm: event.algorithm,
        digest: event.digest,
        record_hash: event.recordHash,
    })
}
