//! Traces, and blocks and transactions as they are encoded.

use std::collections::BTreeSet;

use alloy_eips::BlockId;
use alloy_rpc_types_trace::geth::GethDebugTracingCallOptions;
use hawser_crypto::Suite;
use hawser_execution::{BlockInput, CallRequest, GethDebugTracingOptions, TransactionRequest};
use hawser_ledger::{Outcome, SkipReason};
use hawser_node::store::{ChainStore, ExecutedBlock};
use hawser_primitives::{B256, Bytes, Height, encode};
use serde_json::{Value, json as object};

use super::{calls, find_block, known_block, transactions};
use crate::{
    methods::{Answer, Context},
    view,
    wire::{ErrorObject, Params, json},
};

/// Digests of unordered transactions that the block found executed before: a trace must skip them
/// again. Those the block itself executed first are not among them.
fn replayed(suite: Suite, block: &ExecutedBlock) -> BTreeSet<B256> {
    let (mut executed, mut replayed) = (BTreeSet::new(), BTreeSet::new());
    for (transaction, receipt) in block.transactions.iter().zip(&block.result.receipts) {
        let transaction = transaction.transaction();
        let Some(digest) = transaction
            .native_digest(suite)
            .filter(|_| transaction.expires().is_some())
        else {
            continue;
        };
        if receipt.outcome == Outcome::Skipped(SkipReason::Replayed) && !executed.contains(&digest)
        {
            replayed.insert(digest);
        } else if receipt.is_executed() {
            executed.insert(digest);
        }
    }
    replayed
}

fn with_input<T>(
    store: &ChainStore,
    block: &ExecutedBlock,
    run: impl FnOnce(&BlockInput<'_>) -> Result<T, ErrorObject>,
) -> Result<T, ErrorObject> {
    let transactions: Vec<_> = block
        .transactions
        .iter()
        .map(|one| one.as_ref().clone())
        .collect();
    let replayed = replayed(store.genesis().suite, block);
    run(&BlockInput {
        context: calls::context_of(store, block),
        transactions: &transactions,
        seen_unordered: &|digest| replayed.contains(digest),
    })
}

fn parent(block: &ExecutedBlock) -> Result<Height, ErrorObject> {
    let height = block.id().height;
    height
        .prev()
        .ok_or_else(|| ErrorObject::server("genesis is not traceable"))
}

/// `debug_traceTransaction`
pub(crate) async fn trace_transaction(cx: &Context, mut params: Params) -> Answer {
    let hash: B256 = params.required("transaction hash")?;
    let options: GethDebugTracingOptions = params.optional("options")?.unwrap_or_default();
    params.end()?;
    cx.heavy(move |store| {
        let missing = || ErrorObject::server("transaction not found");
        let position = store.position(&hash)?.ok_or_else(missing)?;
        let block = store.block(position.height)?.ok_or_else(missing)?;
        let state = store.state(parent(&block)?)?;
        let index = usize::try_from(position.index).unwrap_or(usize::MAX);
        let trace = with_input(store, &block, |input| {
            Ok(store
                .executor()
                .trace_transaction(&state, store, input, index, &options)?)
        })?;
        json(&trace.ok_or_else(missing)?)
    })
    .await
}

/// `debug_traceBlockByNumber` and `…ByHash`
pub(crate) async fn trace_block(cx: &Context, mut params: Params, by_hash: bool) -> Answer {
    let id: BlockId = if by_hash {
        params.required::<B256>("block hash")?.into()
    } else {
        params
            .required::<alloy_eips::BlockNumberOrTag>("block")?
            .into()
    };
    let options: GethDebugTracingOptions = params.optional("options")?.unwrap_or_default();
    params.end()?;
    cx.heavy(move |store| {
        let block = known_block(store, Some(id))?;
        let state = store.state(parent(&block)?)?;
        let traces = with_input(store, &block, |input| {
            Ok(store
                .executor()
                .trace_block(&state, store, input, &options)?)
        })?;
        let all: Vec<_> = traces
            .iter()
            .map(|one| object!({ "txHash": one.transaction_hash, "result": one.trace }))
            .collect();
        json(&all)
    })
    .await
}

/// `debug_traceCall`
pub(crate) async fn trace_call(cx: &Context, mut params: Params) -> Answer {
    let mut request: TransactionRequest = params.required("transaction")?;
    let id: Option<BlockId> = params.optional("block")?;
    let options: GethDebugTracingCallOptions = params.optional("options")?.unwrap_or_default();
    params.end()?;
    calls::check_request(cx, &mut request)?;
    if options.tx_index.is_some() {
        return Err(ErrorObject::invalid_params(
            "txIndex is not supported; the state after the whole block is used",
        ));
    }
    let gas_cap = cx.limits().call_gas_max;
    cx.heavy(move |store| {
        let block = known_block(store, id)?;
        let state = store.state(block.id().height)?;
        let context = calls::context_of(store, &block);
        let call = CallRequest {
            request,
            state: options.state_overrides,
            block: options.block_overrides,
            gas_cap,
        };
        let trace = store.executor().trace_call(
            &state,
            store,
            &context,
            &call,
            &options.tracing_options,
        )?;
        json(&trace)
    })
    .await
}

/// What `debug_getRaw…` gives of a block.
#[derive(Clone, Copy)]
pub(crate) enum Raw {
    Block,
    Header,
    Receipts,
}

/// `debug_getRawBlock`, `…Header` and `…Receipts`: the canonical encodings of this chain, which
/// its hashes are over, not RLP.
pub(crate) async fn raw(cx: &Context, mut params: Params, what: Raw) -> Answer {
    let id: BlockId = params.required("block")?;
    params.end()?;
    cx.read(move |store| {
        let Some(block) = find_block(store, id)? else {
            return json(&Value::Null);
        };
        match what {
            Raw::Block => json(&Bytes::from(encode(block.block.as_ref()))),
            Raw::Header => json(&Bytes::from(encode(&block.block.header))),
            Raw::Receipts => {
                let all: Vec<_> = view::executed(&block)
                    .map(|one| Bytes::from(encode(one.receipt)))
                    .collect();
                json(&all)
            }
        }
    })
    .await
}

/// `debug_getRawTransaction` and `eth_getRawTransactionByHash`
pub(crate) async fn raw_transaction(cx: &Context, mut params: Params) -> Answer {
    let hash: B256 = params.required("transaction hash")?;
    params.end()?;
    let found = cx
        .read(move |store| {
            let Some(block) = transactions::block_of(store, &hash)? else {
                return Ok(None);
            };
            let found = transactions::find(&block, &hash);
            Ok(found.map(|one| one.transaction.transaction().raw().clone()))
        })
        .await?;
    match found {
        Some(raw) => json(&raw),
        None => {
            let waiting = cx.handle().pool_transaction(hash).await?;
            json(&waiting.map(|transaction| transaction.transaction().raw().clone()))
        }
    }
}
