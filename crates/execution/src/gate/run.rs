//! The gate at work inside the engine.

use alloy_primitives::map::HashMap;
use hawser_ledger::{
    MULTISIG_TRANSACTION_TYPE, MultisigTransaction, NATIVE_TRANSACTION_TYPE, NativeView,
    state::{StateError, StateRead},
};
use hawser_primitives::{Address, B256, Bytes, Domain, U256};
use revm::{
    Database,
    context_interface::{
        ContextTr, JournalTr,
        journaled_state::{JournalCheckpoint, account::JournaledAccountTr},
        result::ResultGas,
        transaction::AuthorizationTr,
    },
    handler::FrameResult,
    interpreter::{CallOutcome, Gas, interpreter_action::FrameInit},
};

use super::{
    Effects, Finding, GATE_FRAMES_MAX, Gate, GateBlock, GateCall, GateFrame, GateState, GateStore,
    GateTransaction, Guard, NOTES_MAX, Note, NoteKind, Opening,
    seen::{frame_of, moved, refused_frame, reverted},
};
use crate::{
    error::{DbError, EvmError},
    evm::{ChainContext, ChainEvm},
    host::Blobs,
};

/// What one engine knows of its gate.
pub(crate) struct GateRun<'a> {
    gate: &'a dyn Gate,
    block: GateBlock,
    /// Whether the journal lives as long as this, so that what the database said stays true.
    pub(crate) keeps_journal: bool,
    /// Whether what runs are calls that nobody signed.
    pub(crate) reads_only: bool,
    base: HashMap<(Address, B256), B256>,
    transaction: Option<GateTransaction>,
    guard: Option<Box<dyn Guard>>,
    needs_trace: bool,
    /// Whether the gate stands open, once that is known of the block.
    stands_open: Option<bool>,
    refusal: Option<Finding>,
    checkpoint: Option<JournalCheckpoint>,
    /// Whether the first frame takes the sender's nonce, so that undoing it gives the nonce back.
    nonce_in_frame: bool,
    frames: Vec<GateFrame>,
    frames_cut: bool,
    notes: Vec<Note>,
}

impl<'a> GateRun<'a> {
    pub(crate) fn new(gate: &'a dyn Gate, block: GateBlock) -> Self {
        Self {
            gate,
            block,
            keeps_journal: false,
            reads_only: false,
            base: HashMap::default(),
            transaction: None,
            guard: None,
            needs_trace: false,
            stands_open: None,
            refusal: None,
            checkpoint: None,
            nonce_in_frame: false,
            frames: Vec::new(),
            frames_cut: false,
            notes: Vec::new(),
        }
    }

    fn reset(&mut self) {
        self.transaction = None;
        self.guard = None;
        self.needs_trace = false;
        self.refusal = None;
        self.checkpoint = None;
        self.nonce_in_frame = false;
        self.frames.clear();
        self.frames_cut = false;
        self.notes.clear();
        if !self.keeps_journal {
            self.base.clear();
            self.stands_open = None;
        }
    }

    fn note(&mut self, kind: NoteKind, party: Option<Address>, finding: Finding) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(Note {
                kind,
                party,
                finding,
                awaits: Vec::new(),
            });
        }
    }
}

/// The state as the engine has it at this moment.
struct Live<'e, DB: Database> {
    context: &'e mut ChainContext<DB>,
    state: &'e dyn StateRead,
    blobs: &'e mut Blobs,
    base: &'e mut HashMap<(Address, B256), B256>,
    block: GateBlock,
}

impl<DB: Database<Error = DbError>> GateState for Live<'_, DB> {
    fn slot(&mut self, account: &Address, slot: &B256) -> Result<B256, StateError> {
        let key = U256::from_be_bytes(slot.0);
        let journal = &mut self.context.journaled_state;
        let changed = journal
            .inner
            .state
            .get(account)
            .and_then(|account| account.storage.get(&key));
        if let Some(value) = changed {
            return Ok(value.present_value.into());
        }
        if let Some(value) = self.base.get(&(*account, *slot)) {
            return Ok(*value);
        }
        let value: B256 = journal
            .database
            .storage(*account, key)
            .map_err(inner)?
            .into();
        self.base.insert((*account, *slot), value);
        Ok(value)
    }

    fn blob(&mut self, hash: &B256) -> Result<Option<Bytes>, StateError> {
        match self.blobs.recent(hash) {
            Some(content) => Ok(Some(content)),
            None => self.state.blob(hash),
        }
    }
}

impl<DB: Database<Error = DbError>> GateStore for Live<'_, DB> {
    fn set_slot(&mut self, account: &Address, slot: &B256, value: B256) -> Result<(), StateError> {
        let journal = self.context.journal_mut();
        journal.load_account(*account).map_err(inner)?;
        journal
            .sstore(*account, U256::from_be_bytes(slot.0), value.into())
            .map_err(inner)?;
        Ok(())
    }

    fn put_blob(&mut self, domain: Domain, content: Bytes) -> Result<B256, StateError> {
        let hash = self.block.suite.hash_domain(domain, &[&content]);
        self.blobs.keep(hash, content);
        Ok(hash)
    }
}

fn inner(error: DbError) -> StateError {
    error.0
}

/// Splits an engine into its gate and the state that the gate sees.
macro_rules! at_gate {
    ($evm:expr, $run:ident, $live:ident, $base:ident, none => $none:expr) => {
        let ChainEvm {
            ctx, precompiles, ..
        } = $evm;
        let (gate, blobs, state) = precompiles.gate_parts();
        let Some($run) = gate.as_mut() else {
            return $none;
        };
        let mut $base = std::mem::take(&mut $run.base);
        #[allow(unused_mut)]
        let mut $live = Live {
            context: ctx,
            state,
            blobs,
            base: &mut $base,
            block: $run.block,
        };
    };
}

fn state_error(error: StateError) -> EvmError {
    EvmError::Database(DbError(error))
}

/// Whether nothing has to be shown to the gate.
fn stands_open<DB, INSP>(evm: &mut ChainEvm<'_, DB, INSP>) -> Result<bool, EvmError>
where
    DB: Database<Error = DbError>,
{
    let Some(run) = evm.precompiles.gate.as_mut() else {
        return Ok(true);
    };
    run.reset();
    if let Some(known) = run.stands_open {
        return Ok(known);
    }
    at_gate!(evm, run, live, base, none => Ok(true));
    let answer = run.gate.stands_open(&mut live);
    run.base = base;
    let answer = answer.map_err(state_error)?;
    run.stands_open = Some(answer);
    Ok(answer)
}

/// Shows the gate an Ethereum transaction (or call) that has passed validation.
pub(crate) fn begin<DB, INSP>(evm: &mut ChainEvm<'_, DB, INSP>) -> Result<(), EvmError>
where
    DB: Database<Error = DbError>,
{
    if stands_open(evm)? {
        return Ok(());
    }
    let Some(run) = &evm.precompiles.gate else {
        return Ok(());
    };
    let tx = &evm.ctx.tx;
    let transaction = GateTransaction {
        hash: evm.precompiles.transaction_hash,
        kind: tx.tx_type,
        sender: tx.caller,
        calls: vec![GateCall {
            to: tx.kind.to().copied(),
            value: tx.value,
            input: tx.data.clone(),
        }],
        authorities: tx
            .authorization_list
            .iter()
            .filter_map(|authorization| authorization.authority())
            .collect(),
        // A question without a sender is nobody's either.
        unsigned: run.reads_only || (evm.ctx.cfg.disable_nonce_check && tx.caller.is_zero()),
        block: run.block,
    };
    open(evm, transaction)
}

/// Shows the gate a native transaction that has passed validation.
pub(crate) fn begin_native<DB, INSP>(
    evm: &mut ChainEvm<'_, DB, INSP>,
    native: NativeView<'_>,
    sender: Address,
) -> Result<(), EvmError>
where
    DB: Database<Error = DbError>,
{
    if stands_open(evm)? {
        return Ok(());
    }
    let Some(run) = &evm.precompiles.gate else {
        return Ok(());
    };
    let transaction = GateTransaction {
        hash: evm.precompiles.transaction_hash,
        kind: native
            .multisig
            .map_or(NATIVE_TRANSACTION_TYPE, |_| MULTISIG_TRANSACTION_TYPE),
        sender,
        calls: native.calls.iter().map(GateCall::from).collect(),
        authorities: native
            .multisig
            .into_iter()
            .flat_map(MultisigTransaction::signers)
            .collect(),
        unsigned: false,
        block: run.block,
    };
    open(evm, transaction)
}

fn open<DB, INSP>(
    evm: &mut ChainEvm<'_, DB, INSP>,
    transaction: GateTransaction,
) -> Result<(), EvmError>
where
    DB: Database<Error = DbError>,
{
    at_gate!(evm, run, live, base, none => Ok(()));
    let opening = run.gate.open(&mut live, &transaction);
    run.base = base;
    match opening.map_err(state_error)? {
        Opening::Unguarded => {}
        Opening::Guarded(guard) => {
            run.needs_trace = guard.needs_trace();
            run.guard = Some(guard);
        }
        Opening::Refused(finding) => {
            run.note(NoteKind::Refused, None, finding.clone());
            run.refusal = Some(finding);
        }
    }
    run.transaction = Some(transaction);
    Ok(())
}

/// The result of a transaction that the gate has refused, with all of `gas` left; `None` when it
/// may run.
pub(crate) fn refused<DB, INSP>(evm: &ChainEvm<'_, DB, INSP>, gas: u64) -> Option<FrameResult>
where
    DB: Database<Error = DbError>,
{
    let finding = evm.precompiles.gate.as_ref()?.refusal.as_ref()?;
    let result = reverted(finding, Gas::new(gas));
    Some(FrameResult::Call(CallOutcome::new(result, 0..0)))
}

/// Remembers what to go back to should the effects be refused.
pub(crate) fn protect<DB, INSP>(
    evm: &mut ChainEvm<'_, DB, INSP>,
    checkpoint: JournalCheckpoint,
    nonce_in_frame: bool,
) where
    DB: Database<Error = DbError>,
{
    if let Some(run) = evm.precompiles.gate.as_mut() {
        run.checkpoint = Some(checkpoint);
        run.nonce_in_frame = nonce_in_frame;
    }
}

/// Whether frames have to be shown to the gate.
pub(crate) fn is_guarded<DB, INSP>(evm: &ChainEvm<'_, DB, INSP>) -> bool
where
    DB: Database<Error = DbError>,
{
    let run = evm.precompiles.gate.as_ref();
    run.is_some_and(|run| run.guard.is_some())
}

/// Shows the gate a frame; gives its result if it must not run.
pub(crate) fn check_frame<DB, INSP>(
    evm: &mut ChainEvm<'_, DB, INSP>,
    init: &FrameInit,
) -> Result<Option<FrameResult>, EvmError>
where
    DB: Database<Error = DbError>,
{
    at_gate!(evm, run, live, base, none => Ok(None));
    let Some(frame) = frame_of(live.context, init, run.needs_trace) else {
        run.base = base;
        return Ok(None);
    };
    let refusal = match run.guard.as_mut() {
        Some(guard) => guard.frame(&mut live, &frame),
        None => Ok(None),
    };
    run.base = base;
    let refusal = refusal.map_err(state_error)?;
    let result = refusal.map(|finding| {
        run.note(NoteKind::FrameRefused, frame.to, finding.clone());
        refused_frame(&finding, init)
    });
    if run.needs_trace {
        if run.frames.len() < GATE_FRAMES_MAX {
            run.frames.push(frame);
        } else {
            run.frames_cut = true;
        }
    }
    Ok(result)
}

/// Shows the gate what a transaction would do; a refusal undoes it.
pub(crate) fn judge<DB, INSP>(
    evm: &mut ChainEvm<'_, DB, INSP>,
    result: FrameResult,
    gas: ResultGas,
) -> Result<(FrameResult, ResultGas), EvmError>
where
    DB: Database<Error = DbError>,
{
    if result.instruction_result().is_revert() {
        note_revert(evm, &result);
        return Ok((result, gas));
    }
    let guard = evm
        .precompiles
        .gate
        .as_ref()
        .and_then(|run| run.guard.as_ref());
    if !guard.is_some_and(|guard| guard.needs_effects()) || !result.instruction_result().is_ok() {
        return Ok((result, gas));
    }
    let Some(checkpoint) = evm.precompiles.gate.as_ref().and_then(|run| run.checkpoint) else {
        return Ok((result, gas));
    };
    let kept = {
        at_gate!(&mut *evm, run, live, base, none => Ok((result, gas)));
        let (transfers, created) = moved(live.context, checkpoint);
        let logs = std::mem::take(&mut live.context.journaled_state.inner.logs);
        let effects = Effects {
            gas_used: gas.total_gas_spent(),
            frames: &run.frames,
            frames_cut: run.frames_cut,
            transfers: &transfers,
            logs: &logs,
            created: &created,
        };
        let verdict = match (run.guard.as_mut(), run.transaction.as_ref()) {
            (Some(guard), Some(transaction)) => guard.effects(&mut live, transaction, &effects),
            _ => Ok(super::Verdict::default()),
        };
        live.context.journaled_state.inner.logs = logs;
        run.base = base;
        let verdict = verdict.map_err(state_error)?;
        for finding in verdict.flags {
            run.note(NoteKind::Flagged, None, finding);
        }
        if let Some(finding) = verdict.refuse {
            // Room is kept for the one note that says why nothing happened.
            run.notes.truncate(NOTES_MAX.saturating_sub(1));
            run.notes.push(Note {
                kind: NoteKind::Intercepted,
                party: None,
                finding: finding.clone(),
                awaits: verdict.awaits,
            });
            Some((finding, run.nonce_in_frame))
        } else {
            None
        }
    };
    let Some((finding, nonce_in_frame)) = kept else {
        return Ok((result, gas));
    };
    evm.ctx.journal_mut().checkpoint_revert(checkpoint);
    if nonce_in_frame {
        take_nonce(evm)?;
    }
    let refused = reverted(&finding, *result.gas());
    let outcome = CallOutcome::new(refused, 0..0);
    Ok((FrameResult::Call(outcome), gas.with_refunded(0)))
}

/// Asks the guard what to record of a transaction that reverted by itself.
fn note_revert<DB, INSP>(evm: &mut ChainEvm<'_, DB, INSP>, result: &FrameResult)
where
    DB: Database<Error = DbError>,
{
    let Some(run) = evm.precompiles.gate.as_mut() else {
        return;
    };
    // What the gate itself refused is noted already.
    if !run.notes.is_empty() {
        return;
    }
    if let (Some(guard), Some(transaction)) = (run.guard.as_mut(), run.transaction.as_ref())
        && let Some(finding) = guard.reverted(transaction, &result.interpreter_result().output)
    {
        run.note(NoteKind::Refused, None, finding);
    }
}

/// Takes the sender's nonce for a creation that did not run to its end.
pub(crate) fn take_nonce<DB, INSP>(evm: &mut ChainEvm<'_, DB, INSP>) -> Result<(), EvmError>
where
    DB: Database<Error = DbError>,
{
    let caller = evm.ctx.tx.caller;
    let mut account = evm.ctx.journaled_state.load_account_mut(caller)?.data;
    account.bump_nonce();
    Ok(())
}

/// Records what happened to the transaction that has just ended.
pub(crate) fn settle<DB, INSP>(evm: &mut ChainEvm<'_, DB, INSP>) -> Result<(), EvmError>
where
    DB: Database<Error = DbError>,
{
    let waiting = evm.precompiles.gate.as_ref();
    if waiting.is_none_or(|run| run.notes.is_empty()) {
        return Ok(());
    }
    at_gate!(&mut *evm, run, live, base, none => Ok(()));
    let notes = std::mem::take(&mut run.notes);
    let recorded = match &run.transaction {
        Some(transaction) => run.gate.record(&mut live, transaction, &notes),
        None => Ok(()),
    };
    run.base = base;
    recorded.map_err(state_error)?;
    evm.ctx.journal_mut().commit_tx();
    Ok(())
}

/// Forgets a transaction that the engine did not execute.
pub(crate) fn discard<DB, INSP>(evm: &mut ChainEvm<'_, DB, INSP>)
where
    DB: Database<Error = DbError>,
{
    if let Some(run) = evm.precompiles.gate.as_mut() {
        run.reset();
    }
}
