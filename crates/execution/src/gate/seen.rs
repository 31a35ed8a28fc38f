//! What the gate is shown of the engine, and what a refusal looks like to the engine.

use hawser_ledger::Call;
use hawser_primitives::Address;
use revm::{
    Database,
    context_interface::{
        ContextTr,
        journaled_state::{JournalCheckpoint, entry::JournalEntry},
    },
    handler::FrameResult,
    interpreter::{
        CallInputs, CallOutcome, CallScheme, CreateOutcome, FrameInput, Gas, InstructionResult,
        InterpreterResult, interpreter_action::FrameInit,
    },
};

use super::{Finding, FrameKind, GateCall, GateFrame, ValueTransfer};
use crate::{error::DbError, evm::ChainContext};

impl From<&Call> for GateCall {
    fn from(call: &Call) -> Self {
        match call {
            Call::Call { to, value, input } => Self {
                to: Some(*to),
                value: *value,
                input: input.clone(),
            },
            Call::Create { value, init_code } => Self {
                to: None,
                value: *value,
                input: init_code.clone(),
            },
        }
    }
}

/// A frame as the gate sees it; `None` for what is none.
pub(super) fn frame_of<DB: Database<Error = DbError>>(
    context: &mut ChainContext<DB>,
    init: &FrameInit,
    with_selector: bool,
) -> Option<GateFrame> {
    match &init.frame_input {
        FrameInput::Call(inputs) => Some(GateFrame {
            depth: init.depth,
            kind: match inputs.scheme {
                CallScheme::Call => FrameKind::Call,
                CallScheme::StaticCall => FrameKind::Static,
                CallScheme::DelegateCall | CallScheme::CallCode => FrameKind::Delegate,
            },
            from: inputs.caller,
            to: Some(inputs.target_address),
            code: Some(delegate(context, inputs.bytecode_address)),
            selector: with_selector.then(|| selector(context, inputs)).flatten(),
            value: inputs.transfer_value().unwrap_or_default(),
        }),
        FrameInput::Create(inputs) => Some(GateFrame {
            depth: init.depth,
            kind: FrameKind::Create,
            from: inputs.caller(),
            to: None,
            code: None,
            selector: None,
            value: inputs.value(),
        }),
        FrameInput::Empty => None,
    }
}

/// Whose code runs at an address: that of the account it delegates to (EIP-7702), or its own.
fn delegate<DB: Database>(context: &ChainContext<DB>, address: Address) -> Address {
    let account = context.journaled_state.inner.state.get(&address);
    let code = account.and_then(|account| account.info.code.as_ref());
    code.and_then(|code| code.eip7702_address())
        .unwrap_or(address)
}

fn selector<CTX: ContextTr>(context: &mut CTX, inputs: &CallInputs) -> Option<[u8; 4]> {
    inputs.input.bytes(context).first_chunk::<4>().copied()
}

/// What a refused transaction or call gives back.
pub(super) fn reverted(finding: &Finding, gas: Gas) -> InterpreterResult {
    InterpreterResult::new(InstructionResult::Revert, finding.revert_data(), gas)
}

/// A frame that reverts before it begins and gives its gas back.
pub(super) fn refused_frame(finding: &Finding, init: &FrameInit) -> FrameResult {
    match &init.frame_input {
        FrameInput::Create(inputs) => {
            let gas =
                Gas::new_with_regular_gas_and_reservoir(inputs.gas_limit(), inputs.reservoir());
            let mut outcome = CreateOutcome::new(reverted(finding, gas), None);
            outcome.charged_create_state_gas = inputs.charged_create_state_gas();
            FrameResult::Create(outcome)
        }
        FrameInput::Call(inputs) => {
            let gas = Gas::new_with_regular_gas_and_reservoir(inputs.gas_limit, inputs.reservoir);
            let mut outcome =
                CallOutcome::new(reverted(finding, gas), inputs.return_memory_offset.clone());
            outcome.charged_new_account_state_gas = inputs.charged_new_account_state_gas;
            FrameResult::Call(outcome)
        }
        FrameInput::Empty => {
            FrameResult::Call(CallOutcome::new(reverted(finding, Gas::new(0)), 0..0))
        }
    }
}

/// What moved and was created since a checkpoint and was not reverted.
pub(super) fn moved<DB: Database>(
    context: &ChainContext<DB>,
    checkpoint: JournalCheckpoint,
) -> (Vec<ValueTransfer>, Vec<Address>) {
    let (mut transfers, mut created) = (Vec::new(), Vec::new());
    let journal = &context.journaled_state.inner.journal;
    for entry in journal.get(checkpoint.journal_i..).unwrap_or_default() {
        let (from, to, value) = match entry {
            JournalEntry::BalanceTransfer { balance, from, to } => (*from, *to, *balance),
            JournalEntry::AccountDestroyed {
                had_balance,
                address,
                target,
                ..
            } => (*address, *target, *had_balance),
            JournalEntry::AccountCreated { address, .. } => {
                created.push(*address);
                continue;
            }
            _ => continue,
        };
        if !value.is_zero() {
            transfers.push(ValueTransfer { from, to, value });
        }
    }
    (transfers, created)
}
