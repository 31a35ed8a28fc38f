use alloy_rpc_types_trace::geth::{
    CallFrame, DefaultFrame, GethDebugBuiltInTracerType as BuiltIn, GethDebugTracerType,
    GethDebugTracingOptions, GethTrace,
};
use hawser_ledger::{Envelope, NativeView, VerifiedTransaction, state::StateRead};
use hawser_primitives::{Address, B256, U256};
use revm::{
    DatabaseCommit, DatabaseRef,
    context::result::{ExecutionResult, ResultAndState},
    context_interface::{ContextSetters, ContextTr, JournalTr},
    database::CacheDB,
    handler::FrameResult,
    inspector::InspectorHandler,
    state::EvmState,
};
use revm_inspectors::tracing::{DebugInspector, TransactionContext};

use crate::{
    BlockContext, BlockHashes, BlockInput, CallRequest, ExecutionError, Executor, Stop, batch,
    block::{self, BlockMeter, Executed},
    call,
    error::EvmError,
    evm::ChainEvm,
    genesis::record_parent,
    handler::{ChainHandler, Fees},
    limit::{BYTES, Limited},
    overrides::QueryDb,
    transaction::tx_env,
};

/// Most steps that the struct logger records in one transaction.
pub const TRACE_STEPS_MAX: u64 = 1_000_000;
/// Most bytes that the traces of one answer take together, roughly, before they are written as JSON.
pub const TRACE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Trace of one transaction of a block.
#[derive(Clone, Debug)]
pub struct TraceOutcome {
    /// Position in the block.
    pub index: usize,
    /// Hash of the transaction.
    pub transaction_hash: B256,
    /// The trace, as `debug_traceTransaction` gives it.
    pub trace: GethTrace,
}

type TraceEvm<'a, 'd> = ChainEvm<'a, &'d mut QueryDb<'a>, Limited<DebugInspector>>;

/// The tracers on offer: struct logger (no name), callTracer, prestateTracer, 4byteTracer,
/// noopTracer. `spent` is what earlier traces of the answer took of [`TRACE_BYTES_MAX`].
fn inspector(
    options: &GethDebugTracingOptions,
    stop: &Stop,
    spent: usize,
) -> Result<Limited<DebugInspector>, ExecutionError> {
    match &options.tracer {
        None => {}
        Some(name) if name.as_str().is_empty() => {}
        Some(GethDebugTracerType::BuiltInTracer(
            BuiltIn::CallTracer
            | BuiltIn::PreStateTracer
            | BuiltIn::FourByteTracer
            | BuiltIn::NoopTracer,
        )) => {}
        Some(other) => {
            let text = format!(
                "{} is not supported; use callTracer, prestateTracer, 4byteTracer, noopTracer or \
                 none for the struct logger",
                other.as_str()
            );
            return Err(ExecutionError::Tracer(text));
        }
    }
    let inner = DebugInspector::new(options.clone())
        .map_err(|error| ExecutionError::Tracer(error.to_string()))?;
    Ok(Limited::new(inner, options, stop.clone(), spent))
}

impl Executor {
    /// Traces all transactions of a block that executed, on the state after its parent; gives up when `stop` is raised.
    pub fn trace_block(
        &self,
        state: &dyn StateRead,
        hashes: &dyn BlockHashes,
        input: &BlockInput<'_>,
        options: &GethDebugTracingOptions,
        stop: &Stop,
    ) -> Result<Vec<TraceOutcome>, ExecutionError> {
        self.trace(state, hashes, input, options, None, stop)
    }

    /// Traces one transaction of a block, on the state after the block's parent; those before it
    /// are executed. `None` when it was skipped. Gives up when `stop` is raised.
    pub fn trace_transaction(
        &self,
        state: &dyn StateRead,
        hashes: &dyn BlockHashes,
        input: &BlockInput<'_>,
        index: usize,
        options: &GethDebugTracingOptions,
        stop: &Stop,
    ) -> Result<Option<GethTrace>, ExecutionError> {
        if index >= input.transactions.len() {
            return Err(ExecutionError::NoTransaction(index));
        }
        let mut traces = self.trace(state, hashes, input, options, Some(index), stop)?;
        Ok(traces.pop().map(|outcome| outcome.trace))
    }

    /// Traces a call (`debug_traceCall`).
    pub fn trace_call(
        &self,
        state: &dyn StateRead,
        hashes: &dyn BlockHashes,
        context: &BlockContext,
        request: &CallRequest,
        options: &GethDebugTracingOptions,
    ) -> Result<GethTrace, ExecutionError> {
        let mut prepared = self.prepare(state, hashes, context, request)?;
        let tx = call::tx_env(&request.request, self.config().chain_id, prepared.gas)?;
        request.stop.check()?;
        let inspector = inspector(options, &request.stop, 0)?;
        let mut evm = self.query_evm(state, &mut prepared, request.gas_cap, inspector)?;
        evm.ctx.set_tx(tx);
        let result = ChainHandler::new(Fees::Zero).inspect_run(&mut evm)?;
        let state = evm.ctx.journal_mut().finalize();
        finish(&mut evm, result, state, TransactionContext::default()).map(|(trace, _)| trace)
    }

    fn trace(
        &self,
        state: &dyn StateRead,
        hashes: &dyn BlockHashes,
        input: &BlockInput<'_>,
        options: &GethDebugTracingOptions,
        only: Option<usize>,
        stop: &Stop,
    ) -> Result<Vec<TraceOutcome>, ExecutionError> {
        let mut db = CacheDB::new(self.database(state, hashes));
        let cfg = self.config().cfg_env();
        let inspector = inspector(options, stop, 0)?;
        let mut evm = self.evm(state, &mut db, cfg, &input.context, inspector);
        record_parent(&mut evm, input.context.height, input.context.parent_hash)?;
        commit(&mut evm);
        let mut meter = BlockMeter::new(self, input.context, input.seen_unordered);
        let (mut traces, mut spent) = (Vec::new(), 0);
        for (index, transaction) in input.transactions.iter().enumerate() {
            stop.check()?;
            if only.is_some_and(|only| only != index) {
                self.attempt(&mut evm, &mut meter, transaction, block::run)?
                    .ok();
                commit(&mut evm);
                continue;
            }
            evm.inspector = self::inspector(options, stop, spent)?;
            let mut frames = NativeFrames::default();
            let attempt =
                self.attempt(&mut evm, &mut meter, transaction, |executor, evm, tx| {
                    inspect(executor, evm, tx, &mut frames)
                })?;
            let state = evm.ctx.journal_mut().finalize();
            if let Ok(executed) = attempt {
                let hash = transaction.hash();
                let context = TransactionContext {
                    block_hash: None,
                    tx_index: Some(index),
                    tx_hash: Some(hash),
                };
                let native = transaction.transaction().native();
                let summary = Summary::of(&executed.result);
                let (trace, state) = finish(&mut evm, executed.result, state, context)?;
                spent = evm.inspector.spent();
                let trace = match native {
                    Some(native) => frames.merge(trace, native, transaction, summary),
                    None => trace,
                };
                traces.push(TraceOutcome {
                    index,
                    transaction_hash: hash,
                    trace,
                });
                evm.ctx.db_mut().commit(state);
            }
            if only.is_some() {
                break;
            }
        }
        Ok(traces)
    }
}

fn commit(evm: &mut TraceEvm<'_, '_>) {
    let state = evm.ctx.journal_mut().finalize();
    evm.ctx.db_mut().commit(state);
}

/// Makes the trace of what has just run, before its state is committed. Gives the state back.
fn finish(
    evm: &mut TraceEvm<'_, '_>,
    result: ExecutionResult,
    state: EvmState,
    context: TransactionContext,
) -> Result<(GethTrace, EvmState), ExecutionError> {
    if let DebugInspector::PreStateTracer(_, config) = &evm.inspector.inner {
        let bytes = prestate_bytes(evm.ctx.db(), &state, config.code_enabled());
        if !evm.inspector.spend(bytes) {
            return Err(ExecutionError::TraceTooLarge(BYTES));
        }
    }
    let outcome = ResultAndState::new(result, state);
    let (tx, block) = (evm.ctx.tx.clone(), evm.ctx.block.clone());
    let db = evm.ctx.journaled_state.db_mut();
    let trace = evm
        .inspector
        .inner
        .get_result(Some(context), &tx, &block, &outcome, *db)
        .map_err(|error| ExecutionError::Tracer(error.to_string()))?;
    Ok((trace, outcome.state))
}

/// What the answer of the prestate tracer takes, which records nothing while running.
fn prestate_bytes(db: &QueryDb<'_>, state: &EvmState, with_code: bool) -> usize {
    let mut bytes = 0usize;
    for (address, account) in state {
        bytes = bytes
            .saturating_add(256)
            .saturating_add(account.storage.len().saturating_mul(128));
        if with_code {
            let code = |hash| db.code_by_hash_ref(hash).map_or(0, |code| code.len());
            let before = db
                .basic_ref(*address)
                .ok()
                .flatten()
                .map_or(0, |info| code(info.code_hash));
            let after = account.info.code.as_ref().map_or(0, |code| code.len());
            bytes = bytes.saturating_add(before).saturating_add(after);
        }
    }
    bytes
}

/// Runs a transaction under inspection. The calls of a native one are recorded one by one, for the
/// inspectors know a single root only.
fn inspect<'a, 'd>(
    executor: &Executor,
    evm: &mut TraceEvm<'a, 'd>,
    transaction: &VerifiedTransaction,
    recorded: &mut NativeFrames,
) -> Result<Executed, EvmError> {
    match transaction.transaction().envelope() {
        Envelope::Ethereum(envelope) => {
            evm.ctx.set_tx(tx_env(envelope, transaction.sender()));
            let result = ChainHandler::new(Fees::Zero).inspect_run(evm)?;
            Ok(Executed {
                result,
                created: None,
            })
        }
        Envelope::Native(native) => {
            let digest = native.digest(executor.config().suite);
            inspect_native(evm, native.view(), transaction.sender(), digest, recorded)
        }
        Envelope::Multisig(multisig) => {
            let digest = multisig.digest(executor.config().suite);
            inspect_native(evm, multisig.view(), transaction.sender(), digest, recorded)
        }
    }
}

fn inspect_native<'a, 'd>(
    evm: &mut TraceEvm<'a, 'd>,
    native: NativeView<'_>,
    sender: Address,
    digest: B256,
    recorded: &mut NativeFrames,
) -> Result<Executed, EvmError> {
    let mut frames = |evm: &mut TraceEvm<'a, 'd>, init| {
        let result = ChainHandler::new(Fees::Zero).inspect_run_exec_loop(evm, init)?;
        recorded.record(&mut evm.inspector.inner, &result);
        Ok(result)
    };
    batch::run_with(evm, native, sender, digest, &mut frames)
}

/// How a transaction ended, as its root frame tells it.
struct Summary {
    gas_used: u64,
    output: Option<hawser_primitives::Bytes>,
    error: Option<String>,
}

impl Summary {
    fn of(result: &ExecutionResult) -> Self {
        Self {
            gas_used: result.tx_gas_used(),
            output: result.output().cloned(),
            error: match result {
                ExecutionResult::Success { .. } => None,
                ExecutionResult::Revert { .. } => Some("execution reverted".to_owned()),
                ExecutionResult::Halt { reason, .. } => Some(call::halt_text(reason)),
            },
        }
    }
}

/// What the calls of a native transaction left in the tracer.
#[derive(Default)]
struct NativeFrames {
    calls: Vec<CallFrame>,
    steps: Option<DefaultFrame>,
}

impl NativeFrames {
    fn record(&mut self, inspector: &mut DebugInspector, result: &FrameResult) {
        let gas = result.gas();
        let used = gas.limit().saturating_sub(gas.remaining());
        match inspector {
            DebugInspector::CallTracer(inner, config) => {
                self.calls
                    .push(inner.geth_builder().geth_call_traces(*config, used));
                inner.fuse();
            }
            DebugInspector::Default(inner, config) => {
                let frame = inner
                    .geth_builder()
                    .geth_traces(used, Default::default(), *config);
                let all = self.steps.get_or_insert_default();
                all.struct_logs.extend(frame.struct_logs);
                inner.fuse();
            }
            _ => {}
        }
    }

    /// The trace of the transaction as a whole. With several calls the root of a call trace is a
    /// call of the sender to itself that holds them.
    fn merge(
        mut self,
        trace: GethTrace,
        native: NativeView<'_>,
        transaction: &VerifiedTransaction,
        summary: Summary,
    ) -> GethTrace {
        match trace {
            GethTrace::CallTracer(_) => {
                let mut root = match (self.calls.pop(), self.calls.is_empty()) {
                    (Some(only), true) => only,
                    (last, _) => {
                        self.calls.extend(last);
                        CallFrame {
                            from: transaction.sender(),
                            to: Some(transaction.sender()),
                            value: Some(U256::ZERO),
                            output: summary.output,
                            error: summary.error,
                            calls: self.calls,
                            typ: "CALL".to_owned(),
                            ..CallFrame::default()
                        }
                    }
                };
                root.gas = U256::from(native.gas_limit);
                root.gas_used = U256::from(summary.gas_used);
                root.into()
            }
            GethTrace::Default(_) => DefaultFrame {
                failed: summary.error.is_some(),
                gas: summary.gas_used,
                return_value: summary.output.unwrap_or_default(),
                struct_logs: self
                    .steps
                    .map(|frame| frame.struct_logs)
                    .unwrap_or_default(),
                ..DefaultFrame::default()
            }
            .into(),
            other => other,
        }
    }
}
