use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH};
use alloy_primitives::{B64, b256};
use hawser_execution::BlockContext;
use hawser_ledger::Genesis;
use hawser_node::store::ExecutedBlock;
use hawser_primitives::{B256, encode};
use serde_json::{Map, Value, json};

use super::{count, executed, quantity, transaction};
use crate::wire::ErrorObject;

/// SHA-256 of nothing: EIP-7685's hash of no requests.
const EMPTY_REQUESTS_HASH: B256 =
    b256!("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

/// The header, as subscribers of `newHeads` get it.
///
/// `stateRoot` and `receiptsRoot` are the roots after this block; the header itself commits to
/// those of `root_lag` blocks earlier (`hawser_getHeader` shows it as it is).
pub(crate) fn header(genesis: &Genesis, block: &ExecutedBlock) -> Map<String, Value> {
    let header = &block.block.header;
    let context = BlockContext::of(header, &block.settings.parameters);
    let fields = json!({
        "number": quantity(header.height.0),
        "hash": block.hash,
        "parentHash": header.parent,
        "nonce": B64::ZERO,
        "sha3Uncles": EMPTY_OMMER_ROOT_HASH,
        "logsBloom": block.bloom(),
        "transactionsRoot": header.transactions_root,
        "stateRoot": block.result.roots.state,
        "receiptsRoot": block.result.roots.receipts,
        "miner": header.proposer,
        "difficulty": "0x0",
        "extraData": "0x",
        "gasLimit": quantity(context.gas_limit),
        "gasUsed": quantity(block.result.gas_used),
        "timestamp": quantity(header.time.as_secs()),
        "timestampMs": quantity(header.time.0),
        "mixHash": context.prevrandao(genesis.suite),
        "baseFeePerGas": "0x0",
        "withdrawalsRoot": EMPTY_ROOT_HASH,
        "blobGasUsed": "0x0",
        "excessBlobGas": "0x0",
        "parentBeaconBlockRoot": B256::ZERO,
        "requestsHash": EMPTY_REQUESTS_HASH,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// A block with hashes of its transactions or the transactions themselves.
pub(crate) fn block(
    genesis: &Genesis,
    block: &ExecutedBlock,
    full: bool,
) -> Result<Value, ErrorObject> {
    let mut fields = header(genesis, block);
    let transactions = if full {
        let all: Result<Vec<_>, _> = executed(block)
            .map(|one| transaction(one.transaction, Some(&one)))
            .collect();
        Value::Array(all?)
    } else {
        executed(block)
            .map(|one| json!(one.transaction.hash()))
            .collect()
    };
    // The canonical encoding: header, then a length of 4 bytes per list and transaction.
    let prefixed = |raw: &hawser_primitives::Bytes| raw.len().saturating_add(4);
    let body: usize = block.block.transactions.iter().map(prefixed).sum();
    let size = encode(&block.block.header)
        .len()
        .saturating_add(4)
        .saturating_add(body);
    fields.insert("size".to_owned(), count(size).into());
    fields.insert("transactions".to_owned(), transactions);
    fields.insert("uncles".to_owned(), json!([]));
    fields.insert("withdrawals".to_owned(), json!([]));
    fields.insert("totalDifficulty".to_owned(), "0x0".into());
    Ok(fields.into())
}
