//! Traces, and blocks and transactions as they are encoded.

use std::{collections::BTreeSet, time::Duration};

use alloy_eips::BlockId;
use alloy_rpc_types_trace::geth::GethDebugTracingCallOptions;
use hawser_crypto::Suite;
use hawser_execution::{
    BlockInput, CallRequest, GethDebugTracingOptions, GethTrace, TraceOutcome, TransactionRequest,
};
use hawser_ledger::{Outcome, SkipReason};
use hawser_node::store::{ChainStore, ExecutedBlock};
use hawser_primitives::{B256, Bytes, Height, encode};
use serde::Serialize;
use serde_json::Value;

use super::{calls, find_block, known_block, transactions};
use crate::{
    methods::{Answer, Context},
    view,
    wire::{ErrorObject, Params, json, json_within},
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
        context: calls::context_of(block),
        transactions: &transactions,
        seen_unordered: &|digest| replayed.contains(digest),
    })
}

/// The time that a client allows for a trace: a duration as Go writes it, such as `5s`, `1m30s` or
/// `250ms`.
fn timeout(text: Option<&str>) -> Result<Option<Duration>, ErrorObject> {
    let Some(text) = text else { return Ok(None) };
    match duration(text) {
        Some(time) if !time.is_zero() => Ok(Some(time)),
        _ => {
            let shown: String = text.chars().take(32).collect();
            Err(ErrorObject::invalid_params(format!(
                "timeout {shown:?} is no duration over 0; write 5s, 1m30s or 250ms"
            )))
        }
    }
}

fn duration(text: &str) -> Option<Duration> {
    /// Longest first, so that `ms` is not taken for `m`.
    const UNITS: [(&str, u64); 7] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    /// More digits than any duration needs.
    const TEXT_BYTES_MAX: usize = 32;
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let (mut rest, mut nanos) = (text, 0u64);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let (unit, factor) = UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let mut sum = if whole.is_empty() && !part.is_empty() {
            0
        } else {
            whole.parse::<u64>().ok()?.checked_mul(*factor)?
        };
        let mut digit_worth = *factor;
        for digit in part.chars() {
            digit_worth /= 10;
            sum = sum.checked_add(u64::from(digit.to_digit(10)?).checked_mul(digit_worth)?)?;
        }
        nanos = nanos.checked_add(sum)?;
        rest = after.strip_prefix(unit)?;
    }
    Some(Duration::from_nanos(nanos))
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
    let timeout = timeout(options.timeout.as_deref())?;
    let bytes_max = cx.limits().response_bytes_max;
    cx.heavy_within(timeout, move |store, stop| {
        let missing = || ErrorObject::server("transaction not found");
        let position = store.position(&hash)?;
        if position.is_none() {
            store.absence()?;
        }
        let position = position.ok_or_else(missing)?;
        let block = store.block(position.height)?.ok_or_else(missing)?;
        let state = store.state(parent(&block)?)?;
        let index = usize::try_from(position.index).unwrap_or(usize::MAX);
        let trace = with_input(store, &block, |input| {
            Ok(store
                .executor_at(position.height)?
                .trace_transaction(&state, store, input, index, &options, stop)?)
        })?;
        json_within(&trace.ok_or_else(missing)?, bytes_max, stop)
    })
    .await
}

/// One transaction's trace among those of its block.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BlockTrace<'a> {
    tx_hash: B256,
    result: &'a GethTrace,
}

impl<'a> From<&'a TraceOutcome> for BlockTrace<'a> {
    fn from(one: &'a TraceOutcome) -> Self {
        Self {
            tx_hash: one.transaction_hash,
            result: &one.trace,
        }
    }
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
    let timeout = timeout(options.timeout.as_deref())?;
    let bytes_max = cx.limits().response_bytes_max;
    cx.heavy_within(timeout, move |store, stop| {
        let block = known_block(store, Some(id))?;
        let state = store.state(parent(&block)?)?;
        let traces = with_input(store, &block, |input| {
            Ok(store
                .executor_at(block.id().height)?
                .trace_block(&state, store, input, &options, stop)?)
        })?;
        let all: Vec<_> = traces.iter().map(BlockTrace::from).collect();
        json_within(&all, bytes_max, stop)
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
    let timeout = timeout(options.tracing_options.timeout.as_deref())?;
    let gas_cap = cx.limits().call_gas_max;
    let bytes_max = cx.limits().response_bytes_max;
    cx.heavy_within(timeout, move |store, stop| {
        let block = known_block(store, id)?;
        let state = store.state(block.id().height)?;
        let context = calls::context_of(&block);
        let call = CallRequest {
            request,
            state: options.state_overrides,
            block: options.block_overrides,
            gas_cap,
            stop: stop.clone(),
        };
        let trace = store.executor_at(block.id().height)?.trace_call(
            &state,
            store,
            &context,
            &call,
            &options.tracing_options,
        )?;
        json_within(&trace, bytes_max, stop)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, ms) in [
            ("5s", 5_000),
            ("250ms", 250),
            ("1m30s", 90_000),
            ("1.5s", 1_500),
            (".5s", 500),
            ("2500000us", 2_500),
            ("1h", 3_600_000),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for bad in [
            "",
            "5",
            "s",
            "-5s",
            "5 s",
            "1.2.3s",
            "5x",
            ".s",
            "99999999999h",
            "ten",
        ] {
            assert_eq!(duration(bad), None, "{bad}");
        }
        assert!(timeout(None).unwrap().is_none());
        assert!(
            timeout(Some("0s"))
                .unwrap_err()
                .message
                .contains("write 5s")
        );
        assert!(duration(&"1s".repeat(16)).is_some());
        assert!(duration(&"1s".repeat(17)).is_none());
    }
}
