//! `eth_getProof` in the standard shape, with this chain's own proofs inside.

use std::sync::Arc;

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_serde::JsonStorageKey;
use hawser_ledger::state::{StateKey, StateRead};
use hawser_node::store::{ChainStore, ExecutedBlock};
use hawser_primitives::{Address, B256, Bytes};
use serde_json::json as object;

use super::known_block;
use crate::{
    hawser::proofs,
    methods::{Answer, Context},
    view,
    wire::{ErrorObject, Params, json},
};

/// The newest block whose roots a final header commits to, where nothing was executed since; else
/// the block given. On an idle chain the last few blocks only certify those before them, and the
/// accounts are as they were.
fn settled(
    store: &ChainStore,
    block: Arc<ExecutedBlock>,
) -> Result<Arc<ExecutedBlock>, ErrorObject> {
    let certified = store.certified_state_height();
    let mut at = block.id().height;
    while at > certified {
        let passed = store.block(at)?;
        if passed.is_none_or(|one| view::executed(&one).next().is_some()) {
            return Ok(block);
        }
        at = at.back(1);
    }
    Ok(store.block(at)?.unwrap_or(block))
}

/// `eth_getProof`: the only element of `accountProof` and of each slot's `proof` is the canonical
/// encoding of a [`hawser_ledger::state::StateProof`]; `hawser` says under which root and which
/// final header. `certifiedBy` is null for the newest blocks, until a later header commits to them.
pub(crate) async fn get_proof(cx: &Context, mut params: Params) -> Answer {
    let address: Address = params.required("address")?;
    let slots: Vec<JsonStorageKey> = params.optional("storage keys")?.unwrap_or_default();
    let id: Option<BlockId> = params.optional("block")?;
    params.end()?;
    proofs::check_count(cx.limits(), slots.len())?;
    cx.heavy(move |store| {
        let mut block = known_block(store, id)?;
        if !matches!(
            id,
            Some(BlockId::Hash(_) | BlockId::Number(BlockNumberOrTag::Number(_)))
        ) {
            block = settled(store, block)?;
        }
        let height = block.id().height;
        let state = store.state(height)?;
        let account = state.account(&address)?.unwrap_or_default();
        let prove = |key: StateKey| -> Result<Bytes, ErrorObject> {
            Ok(store.prove_state(height, &key)?.encode().into())
        };
        let mut storage = Vec::new();
        for slot in &slots {
            let key = slot.as_b256();
            let value: alloy_primitives::U256 = state.storage(&address, &key)?.into();
            let proof = prove(StateKey::Storage(address, key))?;
            storage.push(object!({ "key": slot, "value": value, "proof": [proof] }));
        }
        json(&object!({
            "address": address,
            "balance": account.balance(),
            "nonce": view::quantity(account.nonce),
            "codeHash": account.code_hash,
            "storageHash": B256::ZERO,
            "accountProof": [prove(StateKey::Account(address))?],
            "storageProof": storage,
            "hawser": {
                "height": height,
                "stateRoot": block.result.roots.state,
                "certifiedBy": proofs::certified_by_if_any(store, height)?,
            },
        }))
    })
    .await
}
