//! Proofs that hold against a final header.

use hawser_ledger::{CertifiedHeader, Receipt, state::StateKey};
use hawser_node::store::{ChainStore, ProofError};
use hawser_primitives::{Address, B256, Bytes, Height, encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json as object};

use super::chain::{At, height};
use crate::{
    RpcLimits,
    eth::receipts,
    methods::{Answer, Context},
    wire::{ErrorObject, Json, Params, json, json_within},
};
use alloy_serde::JsonStorageKey;

/// Refuses more keys than one answer may prove.
pub(crate) fn check_count(limits: &RpcLimits, found: usize) -> Result<(), ErrorObject> {
    let max = limits.proof_keys_max;
    if found > max {
        return Err(ErrorObject::limit(format!(
            "{found} keys exceed the limit of {max} proofs in one answer; ask in parts"
        )));
    }
    Ok(())
}

fn certified_view(certified: &CertifiedHeader) -> Value {
    object!({
        "header": certified.header,
        "certificate": certified.certificate,
        "encoded": Bytes::from(encode(certified)),
    })
}

/// The final header that commits to the roots after `height`.
pub(crate) fn certified_by(store: &ChainStore, height: Height) -> Result<Value, ErrorObject> {
    let (header, certificate) = store.certifier(height)?;
    Ok(certified_view(&CertifiedHeader {
        header,
        certificate,
    }))
}

/// The same, or null while there is none.
pub(crate) fn certified_by_if_any(
    store: &ChainStore,
    height: Height,
) -> Result<Value, ErrorObject> {
    match store.certifier(height) {
        Ok((header, certificate)) => Ok(certified_view(&CertifiedHeader {
            header,
            certificate,
        })),
        Err(ProofError::NotCertified { .. }) => Ok(Value::Null),
        Err(error) => Err(error.into()),
    }
}

/// The changes of the committee from genesis to the one that decides a height, encoded, in order: a
/// light client follows them before it checks a header of that height.
pub(super) fn committee_changes(
    store: &ChainStore,
    height: Height,
) -> Result<Vec<Bytes>, ErrorObject> {
    let changes = store.committee_changes(height)?;
    Ok(changes.iter().map(|one| encode(one).into()).collect())
}

/// `hawser_getCommitteeChanges`
pub(crate) async fn changes_of_committee(cx: &Context, mut params: Params) -> Answer {
    let at: Option<At> = params.optional("height")?;
    params.end()?;
    cx.heavy(move |store| {
        let Some(height) = height(store, at)? else {
            return json(&Value::Null);
        };
        let changes = committee_changes(store, height)?;
        json(&object!({
            "height": height,
            "changes": changes,
            "genesis": store.genesis_hash(),
        }))
    })
    .await
}

/// A key of the state as clients name it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Key {
    Account(Address),
    Storage {
        address: Address,
        slot: JsonStorageKey,
    },
    /// Canonical bytes of a [`StateKey`].
    Encoded(Bytes),
}

impl Key {
    fn state_key(&self) -> Result<StateKey, ErrorObject> {
        match self {
            Self::Account(address) => Ok(StateKey::Account(*address)),
            Self::Storage { address, slot } => Ok(StateKey::Storage(*address, slot.as_b256())),
            Self::Encoded(bytes) => StateKey::decode(bytes)
                .map_err(|error| ErrorObject::invalid_params(format!("encoded key: {error}"))),
        }
    }
}

/// The height to prove at: the newest one that a final header commits to, unless one is named.
fn proof_height(store: &ChainStore, at: Option<At>) -> Result<Height, ErrorObject> {
    match at {
        None | Some(At::Latest) => Ok(store.certified_state_height()),
        Some(_) => height(store, at)?
            .ok_or_else(|| ErrorObject::server("header not found: there is no such block")),
    }
}

/// Proof of one key, with everything needed to check it.
pub(super) fn prove(
    store: &ChainStore,
    height: Height,
    keys: &[StateKey],
) -> Result<Value, ErrorObject> {
    let certified_by = certified_by(store, height)?;
    let mut proofs = Vec::with_capacity(keys.len());
    for key in keys {
        let proof = store.prove_state(height, key)?;
        proofs.push(object!({
            "key": Bytes::from(key.encode()),
            "end": proof.end(),
            "proof": Bytes::from(proof.encode()),
        }));
    }
    let root = store.roots(height)?.map(|roots| roots.state);
    Ok(object!({
        "height": height,
        "stateRoot": root,
        "proofs": proofs,
        "certifiedBy": certified_by,
        "genesis": store.genesis_hash(),
    }))
}

async fn answer(cx: &Context, keys: Vec<StateKey>, at: Option<At>) -> Answer {
    check_count(cx.limits(), keys.len())?;
    cx.heavy(move |store| json(&prove(store, proof_height(store, at)?, &keys)?))
        .await
}

/// `hawser_getStateProof`
pub(crate) async fn state_proof(cx: &Context, mut params: Params) -> Answer {
    let keys: Vec<Key> = params.required("keys")?;
    let at = params.optional("height")?;
    params.end()?;
    check_count(cx.limits(), keys.len())?;
    let keys: Result<Vec<_>, _> = keys.iter().map(Key::state_key).collect();
    answer(cx, keys?, at).await
}

/// `hawser_getAccountProof`
pub(crate) async fn account_proof(cx: &Context, mut params: Params) -> Answer {
    let address: Address = params.required("address")?;
    let at = params.optional("height")?;
    params.end()?;
    answer(cx, vec![StateKey::Account(address)], at).await
}

/// `hawser_getStorageProof`
pub(crate) async fn storage_proof(cx: &Context, mut params: Params) -> Answer {
    let address: Address = params.required("address")?;
    let slots: Vec<JsonStorageKey> = params.required("slots")?;
    let at = params.optional("height")?;
    params.end()?;
    check_count(cx.limits(), slots.len())?;
    let keys = slots
        .iter()
        .map(|slot| StateKey::Storage(address, slot.as_b256()))
        .collect();
    answer(cx, keys, at).await
}

/// `hawser_getReceiptProof`: null where no block has the transaction. A skipped transaction has a
/// receipt as well, which says why.
pub(crate) async fn receipt_proof(cx: &Context, mut params: Params) -> Answer {
    let hash: B256 = params.required("transaction hash")?;
    params.end()?;
    let bytes_max = cx.limits().response_bytes_max;
    cx.heavy_within(None, move |store, stop| {
        let Some(position) = store.position(&hash)? else {
            store.absence()?;
            return json(&Value::Null);
        };
        let Some(block) = store.block(position.height)? else {
            return json(&Value::Null);
        };
        let at = usize::try_from(position.index).unwrap_or(usize::MAX);
        let Some(receipt) = block.result.receipts.get(at) else {
            return json(&Value::Null);
        };
        let Some(transaction) = block.transactions.get(at) else {
            return json(&Value::Null);
        };
        let ethereum = receipts::write_one(&block, &hash, bytes_max, stop)?;
        let fields = object!({
            "height": position.height,
            "index": position.index,
            "transaction": transaction.transaction().raw(),
            "receiptsRoot": block.result.roots.receipts,
            "proof": store.prove_receipt(position)?,
            "certifiedBy": certified_by(store, position.height)?,
            "genesis": store.genesis_hash(),
        });
        let answer = ReceiptProof {
            fields,
            receipt,
            encoded: Bytes::from(encode(receipt)),
            ethereum_receipt: ethereum,
        };
        json_within(&answer, bytes_max, stop)
    })
    .await
}

/// A receipt with its proof; what may be long is written as it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReceiptProof<'a> {
    #[serde(flatten)]
    fields: Value,
    receipt: &'a Receipt,
    encoded: Bytes,
    ethereum_receipt: Option<Json>,
}
