//! Calls that change nothing: `eth_call`, estimates, access lists.

use alloy_eips::BlockId;
use hawser_execution::{
    BlockContext, BlockOverrides, CallOutcome, CallRequest, StateOverride, Stop, TransactionRequest,
};
use hawser_node::store::{ChainStore, ExecutedBlock};
use serde_json::json as object;

use super::{known_block, revert};
use crate::{
    methods::{Answer, Context},
    view,
    wire::{ErrorObject, Params, json},
};

/// What `eth_call` and its kin are asked.
pub(super) struct CallParams {
    block: Option<BlockId>,
    call: CallRequest,
}

impl CallParams {
    fn read(cx: &Context, mut params: Params) -> Result<Self, ErrorObject> {
        let mut request: TransactionRequest = params.required("transaction")?;
        let block = params.optional("block")?;
        let state: Option<StateOverride> = params.optional("state overrides")?;
        let overrides: Option<BlockOverrides> = params.optional("block overrides")?;
        params.end()?;
        check_request(cx, &mut request)?;
        let gas_cap = cx.limits().call_gas_max;
        Ok(Self {
            block,
            call: CallRequest {
                request,
                state,
                block: overrides,
                gas_cap,
                stop: Stop::default(),
            },
        })
    }
}

/// Refuses what cannot be meant before the engine does, with clearer words, and names the chain,
/// which some transaction types must.
pub(super) fn check_request(
    cx: &Context,
    request: &mut TransactionRequest,
) -> Result<(), ErrorObject> {
    let own = cx.store().genesis().chain_id.0;
    if let Some(found) = request.chain_id.filter(|id| *id != own) {
        let text = format!("chainId does not match node's (have={found}, want={own})");
        return Err(ErrorObject::invalid_params(text));
    }
    if request.gas_price.is_some()
        && (request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some())
    {
        return Err(ErrorObject::invalid_params(
            "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified",
        ));
    }
    request.chain_id = Some(own);
    Ok(())
}

/// The context that a call on top of a block sees: that block's own, as geth has it.
pub(crate) fn context_of(block: &ExecutedBlock) -> BlockContext {
    BlockContext::of(&block.block.header, &block.settings.parameters)
}

/// `eth_call`
pub(crate) async fn call(cx: &Context, params: Params) -> Answer {
    let CallParams { block, mut call } = CallParams::read(cx, params)?;
    cx.heavy_within(None, move |store, stop| {
        call.stop = stop.clone();
        let block = known_block(store, block)?;
        let state = store.state(block.id().height)?;
        let context = context_of(&block);
        let executor = store.executor_at(block.id().height)?;
        let result = executor.call(&state, store, &context, &call)?;
        match result.outcome {
            CallOutcome::Success => json(&result.output),
            CallOutcome::Reverted => Err(revert::error(&result.output)),
            CallOutcome::Halted(reason) => Err(ErrorObject::server(reason)),
        }
    })
    .await
}

/// `eth_estimateGas`. Balances bound it by value only: gas costs nothing.
pub(crate) async fn estimate_gas(cx: &Context, params: Params) -> Answer {
    let CallParams { block, mut call } = CallParams::read(cx, params)?;
    cx.heavy_within(None, move |store, stop| {
        call.stop = stop.clone();
        json(&view::quantity(estimate(store, block, &call)?))
    })
    .await
}

pub(super) fn estimate(
    store: &ChainStore,
    block: Option<BlockId>,
    call: &CallRequest,
) -> Result<u64, ErrorObject> {
    let block = known_block(store, block)?;
    let state = store.state(block.id().height)?;
    let context = context_of(&block);
    let executor = store.executor_at(block.id().height)?;
    Ok(executor.estimate_gas(&state, store, &context, call)?)
}

/// `eth_createAccessList`
pub(crate) async fn create_access_list(cx: &Context, params: Params) -> Answer {
    let CallParams { block, mut call } = CallParams::read(cx, params)?;
    cx.heavy_within(None, move |store, stop| {
        call.stop = stop.clone();
        let block = known_block(store, block)?;
        let state = store.state(block.id().height)?;
        let context = context_of(&block);
        let executor = store.executor_at(block.id().height)?;
        let result = executor.create_access_list(&state, store, &context, &call)?;
        let mut answer = object!({
            "accessList": result.access_list,
            "gasUsed": view::quantity(result.gas_used),
        });
        if let (Some(error), Some(fields)) = (result.error, answer.as_object_mut()) {
            fields.insert("error".to_owned(), error.into());
        }
        json(&answer)
    })
    .await
}
