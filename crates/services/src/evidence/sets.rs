//! The part of the contract that registers sets and answers about them.

use alloy_sol_types::SolValue;
use hawser_execution::{CallEnv, NativeFailure, NativeResult, NativeState};
use hawser_ledger::merkle;
use hawser_primitives::{B256, Domain, encode};

use super::{
    DIGEST_GAS, IEvidence, PATH_GAS, RECORD_GAS, StoredSet, abi, emit, refuse, set_id, set_leaves,
    set_slot,
};

pub(super) fn register(
    env: &CallEnv,
    arguments: &[u8],
    state: &mut dyn NativeState,
) -> NativeResult {
    let call = abi::decode_register_set(arguments)?;
    // Charged before anything is hashed.
    let work = DIGEST_GAS.saturating_mul(u64::from(call.count));
    state.charge(RECORD_GAS.saturating_add(work))?;
    let texts = call.texts()?;
    let leaves = set_leaves(env.suite, call.algorithm, call.digests)
        .ok_or_else(|| abi::malformed("digests are no whole number of digests"))?;
    let root = merkle::root(env.suite, &leaves);
    let (owner, algorithm) = (env.caller, call.algorithm.number());
    let id = set_id(owner, algorithm, &root);
    let slot = set_slot(&id);
    if state.load(&slot)? != B256::ZERO {
        return Err(refuse(&IEvidence::AlreadyRegistered { id }));
    }
    let stored = StoredSet {
        owner,
        time: env.time,
        height: env.height,
        transaction_hash: env.transaction_hash,
        algorithm,
        count: call.count,
        root,
        media_type: texts.media_type.to_owned(),
        description: texts.description.to_owned(),
        sealed_owner: texts.sealed_owner.to_vec(),
    };
    let hash = state.put_blob(Domain::EvidenceSet, encode(&stored).into())?;
    state.store(&slot, hash)?;
    let event = IEvidence::SetRegistered {
        setId: id,
        owner,
        root,
        algorithm,
        count: call.count,
        setHash: hash,
    };
    emit(&event, state)?;
    Ok(id.abi_encode().into())
}

pub(super) fn get(arguments: &[u8], state: &mut dyn NativeState) -> NativeResult {
    let id = abi::decode_id(arguments)?;
    let set = known(&id, state)?;
    Ok(abi::stored_set(set).abi_encode().into())
}

pub(super) fn find(arguments: &[u8], state: &mut dyn NativeState) -> NativeResult {
    let (owner, algorithm, root) = abi::decode_find_set(arguments)?;
    let id = set_id(owner, algorithm, &root);
    let known = state.load(&set_slot(&id))? != B256::ZERO;
    Ok(if known { id } else { B256::ZERO }.abi_encode().into())
}

pub(super) fn exists(arguments: &[u8], state: &mut dyn NativeState) -> NativeResult {
    let id = abi::decode_id(arguments)?;
    let known = state.load(&set_slot(&id))? != B256::ZERO;
    Ok(known.abi_encode().into())
}

pub(super) fn is_member(
    env: &CallEnv,
    arguments: &[u8],
    state: &mut dyn NativeState,
) -> NativeResult {
    let call = abi::decode_is_member(arguments)?;
    let set = known(&call.id, state)?;
    let Some(siblings) = call.siblings else {
        // Longer than the path of any set.
        return Ok(false.abi_encode().into());
    };
    let steps = u64::try_from(siblings.len()).unwrap_or(u64::MAX);
    state.charge(PATH_GAS.saturating_mul(steps.saturating_add(1)))?;
    let has = set.has(env.suite, call.index, call.digest, siblings);
    Ok(has.abi_encode().into())
}

fn known(id: &B256, state: &mut dyn NativeState) -> Result<StoredSet, NativeFailure> {
    let hash = state.load(&set_slot(id))?;
    if hash == B256::ZERO {
        return Err(refuse(&IEvidence::NotRegistered { id: *id }));
    }
    // A slot names a blob that was put with it, so both failures mean a damaged store.
    let bytes = state.blob(&hash)?.ok_or(NativeFailure::State)?;
    StoredSet::decode(&bytes).map_err(|_| NativeFailure::State)
}
