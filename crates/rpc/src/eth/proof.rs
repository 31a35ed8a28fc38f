//! `eth_getProof` in the standard shape, with this chain's own proofs inside.

use alloy_eips::BlockId;
use alloy_serde::JsonStorageKey;
use hawser_ledger::state::{StateKey, StateRead};
use hawser_primitives::{Address, B256, Bytes};
use serde_json::json as object;

use super::known_block;
use crate::{
    hawser::proofs,
    methods::{Answer, Context},
    view,
    wire::{Params, json},
};

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
        let block = known_block(store, id)?;
        let height = block.id().height;
        let state = store.state(height)?;
        let account = state.account(&address)?.unwrap_or_default();
        let prove = |key: StateKey| -> Result<Bytes, crate::ErrorObject> {
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
