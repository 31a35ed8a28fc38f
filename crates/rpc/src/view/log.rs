use alloy_primitives::LogData;
use alloy_rpc_types_eth::Log as RpcLog;
use hawser_ledger::Log;
use hawser_node::store::ExecutedBlock;

use super::{Executed, executed};

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
    wanted: &'a dyn Fn(&Log) -> bool,
) -> impl Iterator<Item = RpcLog> + 'a {
    executed(block).flat_map(move |one| {
        let logs = one.receipt.logs.iter().enumerate();
        logs.filter(|(_, event)| wanted(event))
            .map(move |(at, event)| log(&one, at, event))
    })
}
