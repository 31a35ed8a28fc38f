use alloy_primitives::{
    Address, Log, U256,
    map::{HashMap, HashSet},
};
use alloy_rpc_types_trace::geth::GethDebugTracingOptions;
use revm::{
    Inspector,
    bytecode::opcode::{SLOAD, SSTORE},
    context_interface::{ContextTr, context::ContextError},
    handler::FrameResult,
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, FrameInput, Interpreter,
        interpreter_types::{InputsTr, Jumps, MemoryTr, ReturnData},
    },
};

use crate::{Stop, TRACE_BYTES_MAX, TRACE_STEPS_MAX};

/// Names the limit in the error; also how the error is told from others.
pub(crate) const STEPS: &str = "1,000,000 steps";
/// Names the limit in the error; also how the error is told from others.
pub(crate) const BYTES: &str = "64 MiB";

/// How the error of a trace that nobody waits for is told from others.
pub(crate) const STOPPED: &str = "stopped";

/// What a frame, step or event takes besides its bytes.
const FIXED_BYTES: usize = 256;

/// What a slot takes in the answer: key and value in hexadecimal digits, with `0x`, quotes, colon and comma.
const SLOT_BYTES: usize = 138;

/// An inspector that may record only so much, and only while somebody waits. Beyond that the transaction is aborted.
#[derive(Debug)]
pub(crate) struct Limited<I> {
    pub(crate) inner: I,
    records_steps: bool,
    records_stack: bool,
    records_memory: bool,
    records_storage: bool,
    records_return_data: bool,
    steps_wanted: u64,
    steps: u64,
    bytes: usize,
    /// Slots touched so far, by contract: every step that touches one shows all of them.
    slots: HashMap<Address, HashSet<U256>>,
    stop: Stop,
}

impl<I> Limited<I> {
    /// `spent` is what earlier traces of the same answer took of the budget.
    pub(crate) fn new(
        inner: I,
        options: &GethDebugTracingOptions,
        stop: Stop,
        spent: usize,
    ) -> Self {
        let config = &options.config;
        Self {
            inner,
            records_steps: options
                .tracer
                .as_ref()
                .is_none_or(|name| name.as_str().is_empty()),
            records_stack: !config.disable_stack.unwrap_or(false),
            records_memory: config.enable_memory.unwrap_or(false),
            records_storage: !config.disable_storage.unwrap_or(false),
            records_return_data: config.enable_return_data.unwrap_or(false),
            steps_wanted: config.limit.filter(|limit| *limit > 0).unwrap_or(u64::MAX),
            steps: 0,
            bytes: spent,
            slots: HashMap::default(),
            stop,
        }
    }

    /// Bytes of the budget that are taken.
    pub(crate) const fn spent(&self) -> usize {
        self.bytes
    }

    /// Takes what a finished trace turned out to need beyond what was recorded; false when the budget is exhausted.
    pub(crate) fn spend(&mut self, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        self.bytes <= TRACE_BYTES_MAX
    }

    /// Takes bytes of the budget; false when it is exhausted.
    fn take<CTX: ContextTr>(&mut self, context: &mut CTX, bytes: usize) -> bool {
        self.spend(bytes.saturating_add(FIXED_BYTES)) || refuse(context, BYTES)
    }

    /// Takes a step of the budget; false when it is exhausted.
    fn take_step<CTX: ContextTr>(&mut self, interp: &Interpreter, context: &mut CTX) -> bool {
        if self.stop.is_raised() {
            return refuse(context, STOPPED);
        }
        if !self.records_steps || self.steps >= self.steps_wanted {
            return true;
        }
        self.steps += 1;
        if self.steps > TRACE_STEPS_MAX {
            return refuse(context, STEPS);
        }
        let stack = if self.records_stack {
            interp.stack.len().saturating_mul(32)
        } else {
            0
        };
        let memory = if self.records_memory {
            interp.memory.size()
        } else {
            0
        };
        let return_data = if self.records_return_data {
            interp.return_data.buffer().len().saturating_mul(2)
        } else {
            0
        };
        let bytes = stack
            .saturating_add(memory)
            .saturating_add(return_data)
            .saturating_add(self.storage(interp));
        self.take(context, bytes)
    }

    /// Bytes of storage that a step shows: all slots of its contract that were touched so far.
    fn storage(&mut self, interp: &Interpreter) -> usize {
        if !self.records_storage || !matches!(interp.bytecode.opcode(), SLOAD | SSTORE) {
            return 0;
        }
        let Ok(slot) = interp.stack.peek(0) else {
            return 0;
        };
        let slots = self.slots.entry(interp.input.target_address()).or_default();
        slots.insert(slot);
        slots.len().saturating_mul(SLOT_BYTES)
    }
}

/// Leaves the error where the engine raises it at the next frame's end.
fn refuse<CTX: ContextTr>(context: &mut CTX, what: &str) -> bool {
    if context.error().is_ok() {
        *context.error() = Err(ContextError::Custom(what.to_owned()));
    }
    false
}

impl<CTX: ContextTr, I: Inspector<CTX>> Inspector<CTX> for Limited<I> {
    fn initialize_interp(&mut self, interp: &mut Interpreter, context: &mut CTX) {
        self.inner.initialize_interp(interp, context);
    }

    fn step(&mut self, interp: &mut Interpreter, context: &mut CTX) {
        if context.error().is_ok() && self.take_step(interp, context) {
            self.inner.step(interp, context);
        } else {
            interp.halt_fatal();
        }
    }

    fn step_end(&mut self, interp: &mut Interpreter, context: &mut CTX) {
        self.inner.step_end(interp, context);
    }

    fn log(&mut self, context: &mut CTX, log: Log) {
        if self.take(context, log.data.data.len()) {
            self.inner.log(context, log);
        }
    }

    fn log_full(&mut self, interp: &mut Interpreter, context: &mut CTX, log: Log) {
        if self.take(context, log.data.data.len()) {
            self.inner.log_full(interp, context, log);
        }
    }

    fn frame_start(&mut self, context: &mut CTX, input: &mut FrameInput) -> Option<FrameResult> {
        self.inner.frame_start(context, input)
    }

    fn frame_end(&mut self, context: &mut CTX, input: &FrameInput, result: &mut FrameResult) {
        self.inner.frame_end(context, input, result);
    }

    fn call(&mut self, context: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.take(context, inputs.input.len());
        self.inner.call(context, inputs)
    }

    fn call_end(&mut self, context: &mut CTX, inputs: &CallInputs, outcome: &mut CallOutcome) {
        self.take(context, outcome.output().len());
        self.inner.call_end(context, inputs, outcome);
    }

    fn create(&mut self, context: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.take(context, inputs.init_code().len());
        self.inner.create(context, inputs)
    }

    fn create_end(
        &mut self,
        context: &mut CTX,
        inputs: &CreateInputs,
        outcome: &mut CreateOutcome,
    ) {
        self.take(context, outcome.output().len());
        self.inner.create_end(context, inputs, outcome);
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.inner.selfdestruct(contract, target, value);
    }
}
