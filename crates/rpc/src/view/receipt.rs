use alloy_consensus::Transaction as _;
use alloy_primitives::Bloom;
use hawser_ledger::{Call, Envelope, Outcome, Receipt, VerifiedTransaction};
use hawser_primitives::{Address, B256, Bytes};
use serde::{Serialize, Serializer};

use super::{Executed, log, log::log_bytes_min, quantity};

/// Account that a transaction calls first; `None` for a creation.
pub(crate) fn recipient(transaction: &VerifiedTransaction) -> Option<Address> {
    match transaction.transaction().envelope() {
        Envelope::Ethereum(envelope) => envelope.to(),
        Envelope::Native(native) => first_called(&native.body.calls),
        Envelope::Multisig(multisig) => first_called(&multisig.body.calls),
    }
}

fn first_called(calls: &[Call]) -> Option<Address> {
    match calls.first()? {
        Call::Call { to, .. } => Some(*to),
        Call::Create { .. } => None,
    }
}

/// A receipt, written from the block as it is read: one with many events is long.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReceiptView<'a> {
    #[serde(rename = "type")]
    kind: String,
    transaction_hash: B256,
    transaction_index: String,
    block_hash: B256,
    block_number: String,
    from: Address,
    to: Option<Address>,
    contract_address: Option<Address>,
    gas_used: String,
    cumulative_gas_used: String,
    effective_gas_price: &'static str,
    status: String,
    logs: Logs<'a>,
    logs_bloom: Bloom,
    #[serde(skip_serializing_if = "Option::is_none")]
    revert_reason: Option<&'a Bytes>,
}

/// The events of a transaction.
struct Logs<'a>(Executed<'a>);

impl Serialize for Logs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let logs = self.0.receipt.logs.iter().enumerate();
        serializer.collect_seq(logs.map(|(at, event)| log(&self.0, at, event)))
    }
}

/// A receipt. `effectiveGasPrice` is zero: gas is metered and not paid.
pub(crate) fn receipt<'a>(one: &Executed<'a>) -> ReceiptView<'a> {
    let receipt = one.receipt;
    let mut bloom = Bloom::ZERO;
    for event in &receipt.logs {
        bloom.accrue_raw_log(event.address, &event.topics);
    }
    ReceiptView {
        kind: quantity(u64::from(receipt.transaction_type)),
        transaction_hash: receipt.transaction_hash,
        transaction_index: quantity(one.index),
        block_hash: one.block.hash,
        block_number: quantity(one.block.id().height.0),
        from: receipt.sender,
        to: recipient(one.transaction),
        contract_address: receipt.contract_address,
        gas_used: quantity(receipt.gas_used),
        cumulative_gas_used: quantity(receipt.cumulative_gas_used),
        effective_gas_price: "0x0",
        status: quantity(u64::from(receipt.outcome == Outcome::Success)),
        logs: Logs(*one),
        logs_bloom: bloom,
        revert_reason: (!receipt.revert_data.is_empty()).then_some(&receipt.revert_data),
    }
}

/// Bytes that a receipt takes in an answer at least.
pub(crate) fn receipt_bytes_min(receipt: &Receipt) -> usize {
    receipt
        .logs
        .iter()
        .fold(0, |bytes, event| bytes.saturating_add(log_bytes_min(event)))
}
