//! `eth_simulateV1`: several calls in several blocks that never exist.

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH};
use alloy_eips::BlockId;
use alloy_primitives::{B64, Bloom, LogData};
use alloy_rpc_types_eth::Log as RpcLog;
use hawser_execution::{
    CallOutcome, ExecutionError, SimulateRequest, SimulatedBlock, SimulatedCall,
};
use hawser_node::store::ChainStore;
use hawser_primitives::{B256, Bytes};
use serde::Serialize;
use serde_json::{Map, Value, json as object};

use super::{calls::context_of, fill::unsigned, known_block, revert};
use crate::{
    methods::{Answer, Context},
    view,
    wire::{ErrorObject, Params, code, json_within},
};

/// Error of a call that halted, as the method's specification numbers it.
const VM_ERROR: i32 = -32015;

/// `eth_simulateV1`
pub(crate) async fn simulate(cx: &Context, mut params: Params) -> Answer {
    let payload = params.required("payload")?;
    let id: Option<BlockId> = params.optional("block")?;
    params.end()?;
    let gas_cap = cx.limits().call_gas_max;
    let bytes_max = cx.limits().response_bytes_max;
    cx.heavy_within(None, move |store, stop| {
        let request = SimulateRequest {
            payload,
            gas_cap,
            stop: stop.clone(),
        };
        let parent = known_block(store, id)?;
        let state = store.state(parent.id().height)?;
        let context = context_of(&parent);
        let blocks = store
            .executor_at(parent.id().height.next())?
            .simulate(&state, store, &context, parent.hash, &request)
            .map_err(error)?;
        let full = request.payload.return_full_transactions;
        let views: Result<Vec<_>, _> = blocks
            .iter()
            .map(|block| view_block(store, block, full))
            .collect();
        json_within(&views?, bytes_max, stop)
    })
    .await
}

/// The specification has numbers of its own for what the chain would refuse.
fn error(error: ExecutionError) -> ErrorObject {
    let text = error.to_string();
    let code = match &error {
        ExecutionError::Invalid(_) if text.contains("nonce") && text.contains("too low") => -38010,
        ExecutionError::Invalid(_) if text.contains("nonce") && text.contains("too high") => -38011,
        ExecutionError::Invalid(_)
            if text.contains("gas floor") || text.contains("call gas cost") =>
        {
            -38013
        }
        ExecutionError::Invalid(_) if text.contains("lack of funds") => -38014,
        ExecutionError::Override(text) if text.starts_with("block number") => -38020,
        ExecutionError::Override(text) if text.starts_with("time of block") => -38021,
        ExecutionError::Limit {
            what: "number of simulated blocks",
            ..
        } => -38026,
        _ => return error.into(),
    };
    ErrorObject::new(code, text)
}

/// A block, with its calls as they are: they may be long.
#[derive(Serialize)]
struct BlockView<'a> {
    #[serde(flatten)]
    fields: Map<String, Value>,
    calls: Vec<CallView<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallView<'a> {
    return_data: &'a Bytes,
    logs: Vec<RpcLog>,
    gas_used: String,
    max_used_gas: String,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorObject>,
}

fn view_block<'a>(
    store: &ChainStore,
    block: &'a SimulatedBlock,
    full: bool,
) -> Result<BlockView<'a>, ErrorObject> {
    let context = &block.context;
    let number = context.height.0;
    let (mut bloom, mut next_log) = (Bloom::ZERO, 0u64);
    let (mut transactions, mut calls) = (Vec::new(), Vec::new());
    for (index, call) in (0u64..).zip(&block.calls) {
        let envelope = unsigned(call.request.clone())?;
        let hash = *envelope.hash();
        if full {
            let mut fields = view::envelope(&envelope)?;
            fields.insert("from".to_owned(), object!(call.request.from));
            fields.insert("blockHash".to_owned(), object!(block.hash));
            fields.insert("blockNumber".to_owned(), view::quantity(number).into());
            fields.insert("transactionIndex".to_owned(), view::quantity(index).into());
            transactions.push(fields.into());
        } else {
            transactions.push(object!(hash));
        }
        for log in &call.result.logs {
            bloom.accrue_raw_log(log.address, &log.topics);
        }
        calls.push(view_call(block, call, index, hash, &mut next_log));
    }
    let fields = object!({
        "number": view::quantity(number),
        "hash": block.hash,
        "parentHash": context.parent_hash,
        "nonce": B64::ZERO,
        "sha3Uncles": EMPTY_OMMER_ROOT_HASH,
        "logsBloom": bloom,
        "transactionsRoot": B256::ZERO,
        "stateRoot": B256::ZERO,
        "receiptsRoot": B256::ZERO,
        "miner": context.proposer,
        "difficulty": "0x0",
        "totalDifficulty": "0x0",
        "extraData": "0x",
        "size": "0x0",
        "gasLimit": view::quantity(context.gas_limit),
        "gasUsed": view::quantity(block.gas_used),
        "timestamp": view::quantity(context.time.as_secs()),
        "mixHash": context.prevrandao(store.genesis().suite),
        "baseFeePerGas": view::quantity(block.base_fee),
        "withdrawalsRoot": EMPTY_ROOT_HASH,
        "withdrawals": [],
        "blobGasUsed": "0x0",
        "excessBlobGas": "0x0",
        "parentBeaconBlockRoot": B256::ZERO,
        "uncles": [],
        "transactions": transactions,
    });
    let fields = match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    Ok(BlockView { fields, calls })
}

fn view_call<'a>(
    block: &SimulatedBlock,
    call: &'a SimulatedCall,
    index: u64,
    hash: B256,
    next_log: &mut u64,
) -> CallView<'a> {
    let result = &call.result;
    let logs: Vec<_> = result
        .logs
        .iter()
        .map(|log| {
            let log_index = *next_log;
            *next_log = log_index.saturating_add(1);
            RpcLog {
                inner: alloy_primitives::Log {
                    address: log.address,
                    data: LogData::new_unchecked(log.topics.clone(), log.data.clone()),
                },
                block_hash: Some(block.hash),
                block_number: Some(block.context.height.0),
                block_timestamp: Some(block.context.time.as_secs()),
                transaction_hash: Some(hash),
                transaction_index: Some(index),
                log_index: Some(log_index),
                removed: false,
            }
        })
        .collect();
    let max_used = result.gas_used.saturating_add(result.gas_refunded);
    let error = match &result.outcome {
        CallOutcome::Success => None,
        CallOutcome::Reverted => Some(revert::error(&result.output)),
        CallOutcome::Halted(reason) => Some(ErrorObject::new(VM_ERROR, reason.clone())),
    };
    debug_assert!(
        error
            .as_ref()
            .is_none_or(|e| e.code == VM_ERROR || e.code == code::REVERTED)
    );
    CallView {
        return_data: &result.output,
        logs,
        gas_used: view::quantity(result.gas_used),
        max_used_gas: view::quantity(max_used),
        status: view::quantity(u64::from(result.outcome == CallOutcome::Success)),
        error,
    }
}
