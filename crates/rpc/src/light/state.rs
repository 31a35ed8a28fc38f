//! Accounts, storage and code, each by a proof from a peer.

use alloy_eips::BlockId;
use alloy_serde::JsonStorageKey;
use hawser_ledger::state::{Account, StateError, StateKey, StorageValue};
use hawser_light::Proved;
use hawser_node::light::LIGHT_KEYS_MAX;
use hawser_primitives::{Address, B256, Bytes, Height, encode};
use serde_json::json as object;

use super::{At, LightContext, at};
use crate::{
    methods::Answer,
    view,
    wire::{ErrorObject, Params, json},
};

impl From<At> for Result<Option<Height>, ErrorObject> {
    fn from(at: At) -> Self {
        match at {
            At::Newest => Ok(None),
            At::Height(height) => Ok(Some(height)),
            At::Nowhere => Err(ErrorObject::server(
                "header not found: there is no such block, or what it did is not certified yet",
            )),
        }
    }
}

async fn proved(
    cx: &LightContext,
    id: Option<BlockId>,
    keys: &[StateKey],
) -> Result<Proved, ErrorObject> {
    let height: Result<Option<Height>, ErrorObject> = at(cx, id).await?.into();
    Ok(cx.handle.state(height?, keys).await?)
}

fn decoded<T>(value: Result<T, StateError>) -> Result<T, ErrorObject> {
    // A quorum certified it, so no peer is to blame.
    value.map_err(|error| ErrorObject::internal(error.to_string()))
}

fn account_of(value: Option<&Bytes>) -> Result<Account, ErrorObject> {
    match value {
        Some(value) => decoded(Account::decode(value)),
        None => Ok(Account::default()),
    }
}

fn word_of(value: Option<&Bytes>) -> Result<B256, ErrorObject> {
    match value {
        Some(value) => decoded(StorageValue::decode(value)),
        None => Ok(B256::ZERO),
    }
}

async fn account(
    cx: &LightContext,
    address: Address,
    id: Option<BlockId>,
) -> Result<Account, ErrorObject> {
    let proved = proved(cx, id, &[StateKey::Account(address)]).await?;
    account_of(proved.values.first().and_then(Option::as_ref))
}

/// `eth_getBalance`
pub(super) async fn balance(cx: &LightContext, mut params: Params) -> Answer {
    let address = params.required("address")?;
    let id = params.optional("block")?;
    params.end()?;
    json(&account(cx, address, id).await?.balance())
}

/// `eth_getTransactionCount`; `pending` counts what is executed, for there is no pool here.
pub(super) async fn nonce(cx: &LightContext, mut params: Params) -> Answer {
    let address = params.required("address")?;
    let id = params.optional("block")?;
    params.end()?;
    json(&view::quantity(account(cx, address, id).await?.nonce))
}

/// `eth_getCode`
pub(super) async fn code(cx: &LightContext, mut params: Params) -> Answer {
    let address = params.required("address")?;
    let id = params.optional("block")?;
    params.end()?;
    let account = account(cx, address, id).await?;
    if !account.has_code() {
        return json(&Bytes::new());
    }
    json(&cx.handle.code(account.code_hash).await?)
}

/// `eth_getStorageAt`
pub(super) async fn storage(cx: &LightContext, mut params: Params) -> Answer {
    let address: Address = params.required("address")?;
    let slot: JsonStorageKey = params.required("slot")?;
    let id = params.optional("block")?;
    params.end()?;
    let key = StateKey::Storage(address, slot.as_b256());
    let proved = proved(cx, id, &[key]).await?;
    json(&word_of(proved.values.first().and_then(Option::as_ref))?)
}

/// `eth_getProof`, in the shape that a full node gives it. The proofs were verified here before.
pub(super) async fn proof(cx: &LightContext, mut params: Params) -> Answer {
    let address: Address = params.required("address")?;
    let slots: Vec<JsonStorageKey> = params.optional("storage keys")?.unwrap_or_default();
    let id = params.optional("block")?;
    params.end()?;
    let max = LIGHT_KEYS_MAX.saturating_sub(1);
    if slots.len() > max {
        return Err(ErrorObject::limit(format!(
            "{} keys exceed the limit of {max} in one answer of a light node; ask in parts",
            slots.len()
        )));
    }
    let mut keys = vec![StateKey::Account(address)];
    keys.extend(
        slots
            .iter()
            .map(|slot| StateKey::Storage(address, slot.as_b256())),
    );
    let proved = proved(cx, id, &keys).await?;
    let account = account_of(proved.values.first().and_then(Option::as_ref))?;
    let mut proofs = proved
        .proofs
        .iter()
        .map(|proof| Bytes::from(proof.encode()));
    let account_proof: Vec<_> = proofs.by_ref().take(1).collect();
    let mut storage = Vec::new();
    for ((slot, value), proof) in slots.iter().zip(proved.values.iter().skip(1)).zip(proofs) {
        let value: alloy_primitives::U256 = word_of(value.as_ref())?.into();
        storage.push(object!({ "key": slot, "value": value, "proof": [proof] }));
    }
    let lag = cx.handle.genesis().parameters.root_lag;
    let certifier = Height(proved.height.0.saturating_add(lag));
    let certified = cx.handle.certified(certifier);
    let certified = certified.map(|certified| {
        object!({
            "header": certified.header,
            "certificate": certified.certificate,
            "encoded": Bytes::from(encode(&certified)),
        })
    });
    json(&object!({
        "address": address,
        "balance": account.balance(),
        "nonce": view::quantity(account.nonce),
        "codeHash": account.code_hash,
        "storageHash": B256::ZERO,
        "accountProof": account_proof,
        "storageProof": storage,
        "hawser": {
            "height": proved.height,
            "stateRoot": proved.root,
            "certifiedBy": certified,
        },
    }))
}
