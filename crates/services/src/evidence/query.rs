//! Queries over a state, and reading of events.

use alloy_primitives::LogData;
use alloy_sol_types::SolEvent;
use hawser_ledger::{
    Log,
    state::{StateError, StateRead},
};
use hawser_primitives::{Address, B256, Bytes};

use super::{ADDRESS, IEvidence, StoredRecord, StoredSet, record_id, set_slot, slot};

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

/// Whether there is a set with this id.
pub fn set_exists(state: &dyn StateRead, id: &B256) -> Result<bool, StateError> {
    Ok(state.storage(&ADDRESS, &set_slot(id))? != B256::ZERO)
}

/// The set with this id, or `None` where there is none.
pub fn get_set(state: &dyn StateRead, id: &B256) -> Result<Option<StoredSet>, StateError> {
    let hash = state.storage(&ADDRESS, &set_slot(id))?;
    if hash == B256::ZERO {
        return Ok(None);
    }
    let bytes = state
        .blob(&hash)?
        .ok_or_else(|| StateError::Corrupt(format!("evidence set {hash} is missing")))?;
    let set = StoredSet::decode(&bytes)
        .map_err(|error| StateError::Corrupt(format!("evidence set {hash}: {error}")))?;
    Ok(Some(set))
}

/// First topic of the event that a set was registered.
pub const SET_REGISTERED_TOPIC: B256 = IEvidence::SetRegistered::SIGNATURE_HASH;

/// The registration of a set as an event tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetRegistered {
    /// Id of the set.
    pub id: B256,
    /// Who registered it.
    pub owner: Address,
    /// Root of the tree over the digests.
    pub root: B256,
    /// Number of the algorithm.
    pub algorithm: u8,
    /// Number of digests.
    pub count: u32,
    /// Hash that the state holds of the set.
    pub set_hash: B256,
}

/// The registration of a set that an event reports; `None` for other events.
#[must_use]
pub fn set_registered(log: &Log) -> Option<SetRegistered> {
    if log.address != ADDRESS {
        return None;
    }
    let data = LogData::new(log.topics.clone(), log.data.clone())?;
    let event = IEvidence::SetRegistered::decode_log_data(&data).ok()?;
    Some(SetRegistered {
        id: event.setId,
        owner: event.owner,
        root: event.root,
        algorithm: event.algorithm,
        count: event.count,
        set_hash: event.setHash,
    })
}
