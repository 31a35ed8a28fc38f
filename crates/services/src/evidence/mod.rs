//! Evidence (存证): records that a digest was held by its owner at the time of a block.
//!
//! The contract is at [`ADDRESS`] and has the interface `examples/solidity/IEvidence.sol`. Its
//! storage has one slot per record, at [`slot`], which holds the record's hash
//! ([`StoredRecord::hash`]); the record itself ([`StoredRecord`], borsh) is a blob under that hash.
//! A state proof of the slot therefore proves the whole record. A set has one slot, at
//! [`set_slot`], in the same way ([`StoredSet`]); the root in it proves each of its digests.
//!
//! # Gas
//!
//! [`CALL_GAS`] per call. `register` costs per record: [`RECORD_GAS`], a new slot (22,100), a blob
//! (2,100 and 8 per byte) and an event (1,500 and 8 per byte): some 31,000 for 200 bytes, on top of
//! the transaction's own cost of its bytes. `registerSet` costs that once, and [`DIGEST_GAS`] per
//! digest.

mod abi;
mod query;
mod record;
mod set;
mod sets;

pub use abi::{IEvidence, decode_ids, decode_set_id, encode_register, encode_register_set};
pub use query::{
    Registered, SET_REGISTERED_TOPIC, SetRegistered, exists, find, get, get_set, registered,
    set_exists, set_registered,
};
pub use record::{
    Algorithm, DESCRIPTION_BYTES_MAX, MEDIA_TYPE_BYTES_MAX, Record, SEALED_OWNER_BYTES_MAX,
    StoredRecord, record_id, slot,
};
pub use set::{DigestSet, StoredSet, set_id, set_leaf, set_leaves, set_slot};

use alloy_sol_types::{SolCall, SolError, SolEvent, SolValue};
use hawser_execution::{CallEnv, NativeContract, NativeFailure, NativeResult, NativeState};
use hawser_primitives::{Address, B256, Bytes, Domain, address, encode};

use abi::Refusal;

/// Where the contract is.
pub const ADDRESS: Address = address!("0000000000000000000000000000000000010001");

/// Gas of any call.
pub const CALL_GAS: u64 = 500;
/// Gas of checking, hashing and encoding one record.
pub const RECORD_GAS: u64 = 1_000;
/// Gas of hashing one digest of a set into its root: a leaf and a node.
pub const DIGEST_GAS: u64 = 200;
/// Gas of hashing one step of a digest's path.
pub const PATH_GAS: u64 = 100;

/// The contract.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence;

impl From<Refusal> for NativeFailure {
    fn from(refusal: Refusal) -> Self {
        Self::Revert(refusal.0)
    }
}

fn refuse<E: SolError>(error: &E) -> NativeFailure {
    NativeFailure::Revert(error.abi_encode().into())
}

impl NativeContract for Evidence {
    fn address(&self) -> Address {
        ADDRESS
    }

    fn name(&self) -> &'static str {
        "evidence"
    }

    fn call(&self, env: &CallEnv, state: &mut dyn NativeState) -> NativeResult {
        state.charge(CALL_GAS)?;
        if !env.value.is_zero() {
            return Err(refuse(&IEvidence::NotPayable {}));
        }
        let Some((selector, arguments)) = env.input.split_first_chunk::<4>() else {
            return Err(abi::malformed("call data has no selector").into());
        };
        match *selector {
            IEvidence::registerCall::SELECTOR => register(env, arguments, state),
            IEvidence::getCall::SELECTOR => {
                let id = abi::decode_id(arguments)?;
                let record = load(&id, state)?.ok_or(refuse(&IEvidence::NotRegistered { id }))?;
                Ok(abi::stored(record).abi_encode().into())
            }
            IEvidence::findCall::SELECTOR => {
                let (owner, algorithm, digest) = abi::decode_find(arguments)?;
                let id = record_id(owner, algorithm, digest);
                let known = state.load(&slot(&id))? != B256::ZERO;
                Ok(if known { id } else { B256::ZERO }.abi_encode().into())
            }
            IEvidence::existsCall::SELECTOR => {
                let id = abi::decode_id(arguments)?;
                let known = state.load(&slot(&id))? != B256::ZERO;
                Ok(known.abi_encode().into())
            }
            IEvidence::registerSetCall::SELECTOR => sets::register(env, arguments, state),
            IEvidence::getSetCall::SELECTOR => sets::get(arguments, state),
            IEvidence::findSetCall::SELECTOR => sets::find(arguments, state),
            IEvidence::setExistsCall::SELECTOR => sets::exists(arguments, state),
            IEvidence::isMemberCall::SELECTOR => sets::is_member(env, arguments, state),
            selector => Err(refuse(&IEvidence::UnknownFunction {
                selector: selector.into(),
            })),
        }
    }
}

fn register(env: &CallEnv, arguments: &[u8], state: &mut dyn NativeState) -> NativeResult {
    let records = abi::RecordList::new(arguments)?;
    // Charged in advance, so that a long list costs gas before it costs work.
    state.charge(RECORD_GAS.saturating_mul(records.len() as u64))?;
    let mut ids = Vec::with_capacity(records.len());
    for index in 0..records.len() {
        let record = records.get(index)?;
        record.check(index)?;
        ids.push(store(env, record, state)?);
    }
    Ok(ids.abi_encode().into())
}

fn store(
    env: &CallEnv,
    record: Record,
    state: &mut dyn NativeState,
) -> Result<B256, NativeFailure> {
    let owner = env.caller;
    let id = record.id(owner);
    let slot = slot(&id);
    if state.load(&slot)? != B256::ZERO {
        return Err(refuse(&IEvidence::AlreadyRegistered { id }));
    }
    let (algorithm, digest) = (record.algorithm, Bytes::copy_from_slice(&record.digest));
    let digest_key = record.digest_key();
    let stored = StoredRecord {
        owner,
        time: env.time,
        height: env.height,
        transaction_hash: env.transaction_hash,
        record,
    };
    let hash = state.put_blob(Domain::Evidence, encode(&stored).into())?;
    state.store(&slot, hash)?;
    let event = IEvidence::Registered {
        id,
        owner,
        digestKey: digest_key,
        algorithm,
        digest,
        recordHash: hash,
    };
    emit(&event, state)?;
    Ok(id)
}

fn emit<E: SolEvent>(event: &E, state: &mut dyn NativeState) -> Result<(), NativeFailure> {
    let topics = event
        .encode_topics()
        .into_iter()
        .map(|topic| topic.0)
        .collect();
    state.log(topics, event.encode_data().into())
}

fn load(id: &B256, state: &mut dyn NativeState) -> Result<Option<StoredRecord>, NativeFailure> {
    let hash = state.load(&slot(id))?;
    if hash == B256::ZERO {
        return Ok(None);
    }
    let bytes = state.blob(&hash)?;
    // A slot names a blob that was put with it, so both failures mean a damaged store.
    let bytes = bytes.ok_or(NativeFailure::State)?;
    StoredRecord::decode(&bytes)
        .map(Some)
        .map_err(|_| NativeFailure::State)
}
