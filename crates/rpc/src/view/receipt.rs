use alloy_consensus::Transaction as _;
use alloy_primitives::Bloom;
use hawser_ledger::{Call, Envelope, Outcome, VerifiedTransaction};
use hawser_primitives::Address;
use serde_json::{Value, json};

use super::{Executed, log, quantity};

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

/// A receipt. `effectiveGasPrice` is zero: gas is metered and not paid.
pub(crate) fn receipt(one: &Executed<'_>) -> Value {
    let receipt = one.receipt;
    let mut bloom = Bloom::ZERO;
    for event in &receipt.logs {
        bloom.accrue_raw_log(event.address, &event.topics);
    }
    let logs: Vec<_> = receipt
        .logs
        .iter()
        .enumerate()
        .map(|(at, event)| log(one, at, event))
        .collect();
    let mut fields = json!({
        "type": quantity(u64::from(receipt.transaction_type)),
        "transactionHash": receipt.transaction_hash,
        "transactionIndex": quantity(one.index),
        "blockHash": one.block.hash,
        "blockNumber": quantity(one.block.id().height.0),
        "from": receipt.sender,
        "to": recipient(one.transaction),
        "contractAddress": receipt.contract_address,
        "gasUsed": quantity(receipt.gas_used),
        "cumulativeGasUsed": quantity(receipt.cumulative_gas_used),
        "effectiveGasPrice": "0x0",
        "status": quantity(u64::from(receipt.outcome == Outcome::Success)),
        "logs": logs,
        "logsBloom": bloom,
    });
    if !receipt.revert_data.is_empty()
        && let Some(fields) = fields.as_object_mut()
    {
        fields.insert("revertReason".to_owned(), json!(receipt.revert_data));
    }
    fields
}
