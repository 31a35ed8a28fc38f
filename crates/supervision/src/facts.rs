//! What rules get to know of a transaction, from what the gate knows.

use std::collections::BTreeSet;

use hawser_execution::{Effects, FrameKind, GateFrame, GateTransaction};
use hawser_governance::{AccountWord, Case, cosign::party_fact};
use hawser_ledger::state::StateError;
use hawser_policy::{
    facts::{AssetKind, CallFact, CallKind, Ended, Facts, LogFact, TransferFact},
    limits::FACTS_MAX,
};
use hawser_primitives::{Address, U256};

/// Reads what governance says of an account.
pub(crate) type Accounts<'a> = &'a mut dyn FnMut(&Address) -> Result<AccountWord, StateError>;

/// The facts without history and approvals.
pub(crate) fn facts(case: &Case<'_>, accounts: Accounts<'_>) -> Result<Facts, StateError> {
    let (transaction, effects) = (case.transaction, case.effects);
    let value = transaction.calls.iter();
    let value = value.fold(U256::ZERO, |sum, call| sum.saturating_add(call.value));
    let mut facts = Facts {
        hash: transaction.hash,
        chain_id: transaction.block.chain_id.0,
        kind: transaction.kind,
        sender: transaction.sender,
        value,
        gas_used: effects.gas_used,
        outcome: Ended::Success,
        calls: calls(transaction),
        trace: effects.frames.iter().filter_map(traced).collect(),
        created: effects.created.to_vec(),
        height: transaction.block.height.0,
        time_ms: transaction.block.time.0,
        truncated: effects.frames_cut,
        ..Facts::default()
    };
    facts.logs = logs(effects);
    facts.transfers = transfers(effects, &facts.logs);
    for address in parties(&facts) {
        let word = accounts(&address)?;
        if let Some(party) = party_fact(case.law.charter(), address, &word) {
            facts.parties.push(party);
        }
    }
    Ok(facts)
}

fn calls(transaction: &GateTransaction) -> Vec<CallFact> {
    let calls = transaction.calls.iter().map(|call| {
        let kind = match call.to {
            Some(_) => CallKind::Call,
            None => CallKind::Create,
        };
        CallFact::decoded(kind, transaction.sender, call.to, call.value, &call.input)
    });
    calls.collect()
}

/// A frame within those that were signed. Its arguments are not kept; tokens that it moves are in
/// the transfers.
fn traced(frame: &GateFrame) -> Option<CallFact> {
    let selector = frame.selector.map(|selector| {
        let digits = selector.iter().map(|byte| format!("{byte:02x}"));
        format!("0x{}", digits.collect::<String>())
    });
    (frame.depth > 0).then(|| CallFact {
        kind: match frame.kind {
            FrameKind::Call => CallKind::Call,
            FrameKind::Static => CallKind::Static,
            FrameKind::Delegate => CallKind::Delegate,
            FrameKind::Create => CallKind::Create,
        },
        depth: u32::try_from(frame.depth).unwrap_or(u32::MAX),
        caller: Some(frame.from),
        to: frame.code.or(frame.to),
        value: frame.value,
        selector,
        ok: true,
        ..CallFact::default()
    })
}

fn logs(effects: &Effects<'_>) -> Vec<LogFact> {
    let logs = effects.logs.iter().map(|log| LogFact {
        address: log.address,
        topics: log.data.topics().to_vec(),
        data: log.data.data.clone(),
    });
    logs.collect()
}

fn transfers(effects: &Effects<'_>, logs: &[LogFact]) -> Vec<TransferFact> {
    let native = effects.transfers.iter().map(|moved| TransferFact {
        kind: AssetKind::Native,
        asset: None,
        source: moved.from,
        target: moved.to,
        amount: moved.value,
        token_id: None,
    });
    native
        .chain(logs.iter().filter_map(TransferFact::of_log))
        .collect()
}

/// Everyone whom a rule can look up, as far as its lists reach.
fn parties(facts: &Facts) -> BTreeSet<Address> {
    let calls = facts.calls.iter().take(FACTS_MAX);
    let calls = calls.chain(facts.trace.iter().take(FACTS_MAX));
    let called = calls.flat_map(|call| [call.caller, call.to, call.source, call.target]);
    let moved = facts.transfers.iter().take(FACTS_MAX);
    let moved = moved.flat_map(|moved| [Some(moved.source), Some(moved.target)]);
    called
        .chain(moved)
        .flatten()
        .chain([facts.sender])
        .collect()
}
