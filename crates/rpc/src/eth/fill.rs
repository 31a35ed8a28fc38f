//! `eth_fillTransaction`: completes a transaction so that it only needs a signature.

use alloy_consensus::{EthereumTxEnvelope, EthereumTypedTransaction, TxEip4844};
use alloy_eips::{BlockId, BlockNumberOrTag, eip2718::Encodable2718};
use alloy_primitives::Signature;
use hawser_execution::{CallRequest, TransactionRequest};
use hawser_ledger::state::StateRead;
use hawser_primitives::{Bytes, U256};
use serde_json::json as object;

use super::{calls, known_block};
use crate::{
    methods::{Answer, Context},
    view,
    wire::{ErrorObject, Params, json},
};

/// Fills nonce (the pool's counts), gas, chain and fees (zero).
pub(crate) async fn fill_transaction(cx: &Context, mut params: Params) -> Answer {
    let mut request: TransactionRequest = params.required("transaction")?;
    params.end()?;
    calls::check_request(cx, &mut request)?;
    let from = request.from.unwrap_or_default();
    let pool_nonce = match request.nonce {
        Some(nonce) => Some(nonce),
        None => cx.handle().pool_nonce(from).await?,
    };
    let gas_cap = cx.limits().call_gas_max;
    cx.heavy(move |store| {
        let latest = BlockId::Number(BlockNumberOrTag::Latest);
        if request.nonce.is_none() {
            let head = known_block(store, None)?.id().height;
            let executed = store
                .state(head)?
                .account(&from)?
                .map_or(0, |account| account.nonce);
            request.nonce = Some(pool_nonce.unwrap_or(0).max(executed));
        }
        request.from = Some(from);
        request.value = Some(request.value.unwrap_or_default());
        if request.gas.is_none() {
            let call = CallRequest {
                request: request.clone(),
                gas_cap,
                ..CallRequest::default()
            };
            request.gas = Some(calls::estimate(store, Some(latest), &call)?);
        }
        let envelope = unsigned(request)?;
        let raw: Bytes = envelope.encoded_2718().into();
        json(&object!({ "raw": raw, "tx": view::envelope(&envelope)? }))
    })
    .await
}

/// The transaction that a complete request describes, with a signature of zeros. It is dynamic-fee
/// unless the request says otherwise.
pub(super) fn unsigned(
    mut request: TransactionRequest,
) -> Result<EthereumTxEnvelope<TxEip4844>, ErrorObject> {
    if request.gas_price.is_none() {
        request.max_fee_per_gas.get_or_insert_default();
        request.max_priority_fee_per_gas.get_or_insert_default();
    }
    request.normalize_input();
    let typed = request.build_typed_tx().map_err(|request| {
        let missing = request
            .missing_keys()
            .err()
            .map(|(_, keys)| keys.join(", "));
        let missing = missing.unwrap_or_else(|| "contradictory fields".to_owned());
        ErrorObject::invalid_params(format!("transaction cannot be built: {missing}"))
    })?;
    let signature = Signature::new(U256::ZERO, U256::ZERO, false);
    let blob = || ErrorObject::invalid_params("blob transactions are not accepted");
    let typed: EthereumTypedTransaction<TxEip4844> = match typed {
        EthereumTypedTransaction::Legacy(tx) => EthereumTypedTransaction::Legacy(tx),
        EthereumTypedTransaction::Eip2930(tx) => EthereumTypedTransaction::Eip2930(tx),
        EthereumTypedTransaction::Eip1559(tx) => EthereumTypedTransaction::Eip1559(tx),
        EthereumTypedTransaction::Eip7702(tx) => EthereumTypedTransaction::Eip7702(tx),
        EthereumTypedTransaction::Eip4844(_) => return Err(blob()),
    };
    Ok(EthereumTxEnvelope::new_unhashed(typed, signature))
}
