use alloy_primitives::LogData;
use alloy_rpc_types_eth::Log as RpcLog;
use hawser_ledger::Log;
use hawser_node::store::ExecutedBlock;

use super::{Executed, executed};

/// What an event takes in an answer besides topics and data, at least.
const FIXED_BYTES_MIN: usize = 340;
/// What an event takes in an answer besides topics and data, at most.
const FIXED_BYTES_MAX: usize = 480;
/// A topic in an answer, with its quotes.
const TOPIC_BYTES: usize = 68;

/// Bytes of topics and data in an answer.
fn content_bytes(topics: usize, data: usize) -> usize {
    let topics = topics.saturating_mul(TOPIC_BYTES);
    topics.saturating_add(data.saturating_mul(2))
}

/// Bytes that an event takes in an answer at least.
pub(crate) fn log_bytes_min(log: &Log) -> usize {
    content_bytes(log.topics.len(), log.data.len()).saturating_add(FIXED_BYTES_MIN)
}

/// Bytes that an event takes in an answer at most.
pub(crate) fn log_bytes_max(log: &RpcLog) -> usize {
    content_bytes(log.topics().len(), log.data().data.len()).saturating_add(FIXED_BYTES_MAX)
}

/// One event of an executed transaction; `at` is its place among the transaction's events.
pub(crate) fn log(one: &Executed<'_>, at: usize, log: &Log) -> RpcLog {
    let header = &one.block.block.header;
    RpcLog {
        inner: alloy_primitives::Log {
            address: log.address,
            data: LogData::new_unchecked(log.topics.clone(), log.data.clone()),
        },
        block_hash: Some(one.block.hash),
        block_number: Some(header.height.0),
        block_timestamp: Some(header.time.as_secs()),
        transaction_hash: Some(one.transaction.hash()),
        transaction_index: Some(one.index),
        log_index: Some(one.first_log.saturating_add(at as u64)),
        removed: false,
    }
}

/// The events of a block that `wanted` accepts.
pub(crate) fn block_logs<'a>(
    block: &'a ExecutedBlock,
    wanted: &'a (dyn Fn(&Log) -> bool + Sync),
) -> impl Iterator<Item = RpcLog> + 'a {
    executed(block).flat_map(move |one| {
        let logs = one.receipt.logs.iter().enumerate();
        logs.filter(|(_, event)| wanted(event))
            .map(move |(at, event)| log(&one, at, event))
    })
}
