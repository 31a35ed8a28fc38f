use alloy_consensus::{EthereumTxEnvelope, Transaction as _, TxEip4844, transaction::Recovered};
use alloy_rpc_types_eth::Transaction as RpcTransaction;
use hawser_ledger::{Call, Envelope, NativeView, Ordering, VerifiedTransaction};
use hawser_primitives::{Address, B256};
use serde_json::{Map, Value, json};

use super::{Executed, quantity};
use crate::wire::ErrorObject;

fn object(value: serde_json::Result<Value>) -> Result<Map<String, Value>, ErrorObject> {
    match value {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(ErrorObject::internal("transaction is not an object")),
        Err(error) => Err(ErrorObject::internal(format!("transaction: {error}"))),
    }
}

/// A transaction. `place` is `None` while it waits in the pool.
pub(crate) fn transaction(
    transaction: &VerifiedTransaction,
    place: Option<&Executed<'_>>,
) -> Result<Value, ErrorObject> {
    let fields = match transaction.transaction().envelope() {
        Envelope::Ethereum(envelope) => ethereum(envelope, transaction.sender(), place)?,
        Envelope::Native(native) => {
            let signer = json!({
                "scheme": native.body.signer.scheme(),
                "signer": native.body.signer,
                "signature": native.signature,
            });
            native_fields(native.view(), signer, transaction, place)
        }
        Envelope::Multisig(multisig) => {
            let signer = json!({
                "threshold": multisig.body.policy.threshold(),
                "keys": multisig.body.policy.keys(),
                "signatures": multisig.signatures,
            });
            native_fields(multisig.view(), signer, transaction, place)
        }
    };
    Ok(fields.into())
}

fn ethereum(
    envelope: &EthereumTxEnvelope<TxEip4844>,
    sender: Address,
    place: Option<&Executed<'_>>,
) -> Result<Map<String, Value>, ErrorObject> {
    // Once executed, what was paid per gas: nothing. Before, the most that was offered.
    let price = if place.is_some() {
        0
    } else {
        envelope.max_fee_per_gas()
    };
    let view = RpcTransaction {
        inner: Recovered::new_unchecked(envelope.clone(), sender),
        block_hash: place.map(|one| one.block.hash),
        block_number: place.map(|one| one.block.id().height.0),
        transaction_index: place.map(|one| one.index),
        effective_gas_price: envelope.is_dynamic_fee().then_some(price),
        block_timestamp: place.map(|one| one.block.block.header.time.as_secs()),
    };
    object(serde_json::to_value(view))
}

/// An Ethereum transaction by itself, with its hash and signature but no sender.
pub(crate) fn envelope(
    envelope: &EthereumTxEnvelope<TxEip4844>,
) -> Result<Map<String, Value>, ErrorObject> {
    object(serde_json::to_value(envelope))
}

/// A native transaction in the shape of Ethereum's: the first call's fields where one is expected,
/// and everything in `hawser`. The signature fields are zero, for the signature may be of any
/// scheme; `hawser.signature` is the real one.
fn native_fields(
    native: NativeView<'_>,
    signer: Value,
    transaction: &VerifiedTransaction,
    place: Option<&Executed<'_>>,
) -> Map<String, Value> {
    let (to, value, input) = match native.calls.first() {
        Some(Call::Call { to, value, input }) => (Some(to), *value, input.clone()),
        Some(Call::Create { value, init_code }) => (None, *value, init_code.clone()),
        None => Default::default(),
    };
    let calls: Vec<_> = native
        .calls
        .iter()
        .map(|call| match call {
            Call::Call { to, value, input } => json!({ "to": to, "value": value, "input": input }),
            Call::Create { value, init_code } => {
                json!({ "to": null, "value": value, "input": init_code })
            }
        })
        .collect();
    let ordering = match native.ordering {
        Ordering::Sequential { nonce } => json!({ "sequential": { "nonce": quantity(nonce) } }),
        Ordering::Unordered { expires, salt } => json!({
            "unordered": { "expiresMs": quantity(expires.0), "salt": quantity(salt) }
        }),
    };
    let inner = transaction.transaction();
    let fields = json!({
        "type": quantity(u64::from(inner.kind())),
        "hash": transaction.hash(),
        "chainId": quantity(native.chain_id.0),
        "nonce": quantity(inner.nonce().unwrap_or_default()),
        "from": transaction.sender(),
        "to": to,
        "value": value,
        "input": input,
        "gas": quantity(native.gas_limit),
        "gasPrice": "0x0",
        "v": "0x0",
        "r": B256::ZERO,
        "s": B256::ZERO,
        "yParity": "0x0",
        "blockHash": place.map(|one| one.block.hash),
        "blockNumber": place.map(|one| quantity(one.block.id().height.0)),
        "transactionIndex": place.map(|one| quantity(one.index)),
        "hawser": signer,
    });
    match fields {
        Value::Object(mut fields) => {
            if let Some(own) = fields.get_mut("hawser").and_then(Value::as_object_mut) {
                own.insert("ordering".to_owned(), ordering);
                own.insert("calls".to_owned(), calls.into());
            }
            if let Some(one) = place {
                let secs = one.block.block.header.time.as_secs();
                fields.insert("blockTimestamp".to_owned(), quantity(secs).into());
            }
            fields
        }
        _ => Map::new(),
    }
}
