//! Blocks, transactions, receipts and logs as Ethereum's clients read them.

mod block;
mod log;
mod receipt;
mod transaction;

pub(crate) use block::{block, header};
pub(crate) use log::{block_logs, log, log_bytes_max};
pub(crate) use receipt::{ReceiptView, receipt, receipt_bytes_min, recipient};
pub(crate) use transaction::{envelope, transaction};

use std::sync::Arc;

use hawser_ledger::{Receipt, VerifiedTransaction};
use hawser_node::store::ExecutedBlock;

/// A number as Ethereum's JSON writes it.
pub(crate) fn quantity(number: u64) -> String {
    format!("{number:#x}")
}

/// A count as Ethereum's JSON writes it.
pub(crate) fn count(number: usize) -> String {
    format!("{number:#x}")
}

/// A transaction of a block that was executed, with its place among those. Skipped ones have no
/// place in Ethereum's view.
#[derive(Clone, Copy)]
pub(crate) struct Executed<'a> {
    pub(crate) block: &'a ExecutedBlock,
    /// Among the executed ones, from 0.
    pub(crate) index: u64,
    /// Place of its first log in the block.
    pub(crate) first_log: u64,
    pub(crate) transaction: &'a Arc<VerifiedTransaction>,
    pub(crate) receipt: &'a Receipt,
}

/// The executed transactions of a block in order.
pub(crate) fn executed(block: &ExecutedBlock) -> impl Iterator<Item = Executed<'_>> {
    let (mut index, mut first_log) = (0u64, 0u64);
    let pairs = block.transactions.iter().zip(&block.result.receipts);
    pairs
        .filter(|(_, receipt)| receipt.is_executed())
        .map(move |(transaction, receipt)| {
            let one = Executed {
                block,
                index,
                first_log,
                transaction,
                receipt,
            };
            index = index.saturating_add(1);
            first_log = first_log.saturating_add(receipt.logs.len() as u64);
            one
        })
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
