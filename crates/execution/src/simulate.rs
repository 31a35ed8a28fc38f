use alloy_primitives::TxKind;
use hawser_ledger::state::StateRead;
use hawser_primitives::{B256, U256};
use revm::{
    Database, DatabaseCommit,
    context_interface::{ContextSetters, ContextTr, JournalTr},
    database::CacheDB,
    handler::Handler,
    inspector::InspectorHandler,
};
use revm_inspectors::transfer::TransferInspector;

use crate::{
    BlockContext, BlockHashes, CallResult, ExecutionError, Executor, SimBlock, SimulatePayload,
    Stop, TransactionRequest, call,
    evm::ChainEvm,
    genesis::record_parent,
    handler::{ChainHandler, Fees},
    host::Blobs,
    overrides::{self, QueryDb},
};

/// Most blocks that one simulation may span, those that fill gaps included.
pub const SIMULATE_BLOCKS_MAX: u64 = 256;
/// Most calls in one simulation.
pub const SIMULATE_CALLS_MAX: u64 = 1_000;

/// Most bytes that all calls of one simulation give together: return data, events, and what holds an event.
pub const SIMULATE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// What an event takes besides its data.
const LOG_BYTES: usize = 512;

/// A simulation and its bounds.
#[derive(Clone, Debug, Default)]
pub struct SimulateRequest {
    /// Blocks and their calls, as `eth_simulateV1` has them.
    pub payload: SimulatePayload,
    /// Most gas that all calls use together.
    pub gas_cap: u64,
    /// Gives up, between calls, when this is raised.
    pub stop: Stop,
}

/// One call of a simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedCall {
    /// The call with gas, nonce and sender filled in.
    pub request: TransactionRequest,
    /// What it gave.
    pub result: CallResult,
}

/// One block of a simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedBlock {
    /// The block.
    pub context: BlockContext,
    /// A stand-in for its hash: the suite's hash of parent and height. There is no such block.
    pub hash: B256,
    /// `BASEFEE` in it.
    pub base_fee: u64,
    /// Gas that its calls used.
    pub gas_used: u64,
    /// Its calls in order.
    pub calls: Vec<SimulatedCall>,
}

fn limit(what: &'static str, found: u64, max: u64) -> Result<(), ExecutionError> {
    if found > max {
        Err(ExecutionError::Limit { what, found, max })
    } else {
        Ok(())
    }
}

impl Executor {
    /// Runs calls in a sequence of blocks on top of `parent` (`eth_simulateV1`). Changes nothing.
    ///
    /// With `validation` nonces are checked as for transactions, and a call that fails the check
    /// fails the request. Return data and events of all calls together are bounded by
    /// [`SIMULATE_BYTES_MAX`].
    pub fn simulate(
        &self,
        state: &dyn StateRead,
        hashes: &dyn BlockHashes,
        parent: &BlockContext,
        parent_hash: B256,
        request: &SimulateRequest,
    ) -> Result<Vec<SimulatedBlock>, ExecutionError> {
        let payload = &request.payload;
        let calls = payload
            .block_state_calls
            .iter()
            .map(|block| block.calls.len() as u64)
            .sum();
        limit("number of simulated calls", calls, SIMULATE_CALLS_MAX)?;
        let mut db = CacheDB::new(self.database(state, hashes));
        db.cache
            .block_hashes
            .insert(U256::from(parent.height.0), parent_hash);
        let mut run = Simulation {
            executor: self,
            state,
            payload,
            stop: &request.stop,
            last: *parent,
            last_hash: parent_hash,
            gas_left: request.gas_cap,
            bytes: 0,
            blobs: Blobs::default(),
            blocks: Vec::new(),
        };
        let end = parent.height.0.saturating_add(SIMULATE_BLOCKS_MAX);
        for block in &payload.block_state_calls {
            let overrides = block.block_overrides.clone().unwrap_or_default();
            let next = run.last.height.next().0;
            let number = overrides.number.map_or(Ok(next), u64::try_from);
            let number = number
                .map_err(|_| ExecutionError::Override("block number exceeds 64 bits".to_owned()))?;
            if number < next {
                let text = format!("block number {number} is not above {}", next - 1);
                return Err(ExecutionError::Override(text));
            }
            limit(
                "number of simulated blocks",
                number.saturating_sub(parent.height.0),
                end - parent.height.0,
            )?;
            while run.last.height.next().0 < number {
                run.block(&mut db, &SimBlock::default())?;
            }
            run.block(&mut db, block)?;
        }
        Ok(run.blocks)
    }
}

struct Simulation<'a> {
    executor: &'a Executor,
    state: &'a dyn StateRead,
    payload: &'a SimulatePayload,
    stop: &'a Stop,
    last: BlockContext,
    last_hash: B256,
    gas_left: u64,
    /// Bytes given so far.
    bytes: u64,
    blobs: Blobs,
    blocks: Vec<SimulatedBlock>,
}

impl<'a> Simulation<'a> {
    fn block(&mut self, db: &mut QueryDb<'a>, block: &SimBlock) -> Result<(), ExecutionError> {
        self.stop.check()?;
        let overrides = block.block_overrides.clone().unwrap_or_default();
        let default = BlockContext {
            height: self.last.height.next(),
            time: self.last.time.plus_ms(1000),
            parent_hash: self.last_hash,
            ..self.last
        };
        let context = overrides::block_context(&default, &overrides)?;
        if context.time.as_secs() <= self.last.time.as_secs() {
            let text = format!("time of block {} is not above its parent's", context.height);
            return Err(ExecutionError::Override(text));
        }
        if let Some(state) = &block.state_overrides {
            overrides::apply_state(db, self.executor.natives(), state)?;
        }
        overrides::apply_hashes(db, &overrides);

        let config = self.executor.config();
        let cfg = if self.payload.validation {
            config.cfg_env()
        } else {
            config.call_cfg_env(config.parameters.transaction_gas_max)
        };
        let inspector = TransferInspector::new(false).with_logs(true);
        let mut evm = self
            .executor
            .evm(self.state, &mut *db, cfg, &context, inspector);
        overrides::apply_block(&mut evm.ctx.block, &overrides)?;
        evm.precompiles.blobs = std::mem::take(&mut self.blobs);
        let base_fee = evm.ctx.block.basefee;
        record_parent(&mut evm, context.height, context.parent_hash)?;
        commit(&mut evm);
        let (mut used, mut calls) = (0u64, Vec::with_capacity(block.calls.len()));
        for request in &block.calls {
            let call = self.call(&mut evm, &context, request, used)?;
            used = used.saturating_add(call.result.gas_used);
            calls.push(call);
        }
        self.blobs = std::mem::take(&mut evm.precompiles.blobs);
        let parts = [
            context.parent_hash.as_slice(),
            &context.height.0.to_be_bytes(),
        ];
        let hash = config.suite.hash_parts(&parts);
        db.cache
            .block_hashes
            .insert(U256::from(context.height.0), hash);
        self.last = context;
        self.last_hash = hash;
        self.blocks.push(SimulatedBlock {
            context,
            hash,
            base_fee,
            gas_used: used,
            calls,
        });
        Ok(())
    }

    fn call<'d>(
        &mut self,
        evm: &mut ChainEvm<'a, &'d mut QueryDb<'a>, TransferInspector>,
        context: &BlockContext,
        request: &TransactionRequest,
        used: u64,
    ) -> Result<SimulatedCall, ExecutionError> {
        self.stop.check()?;
        let from = request.from.unwrap_or_default();
        let left = context.gas_limit.saturating_sub(used);
        let gas = request
            .gas
            .unwrap_or(self.executor.config().parameters.transaction_gas_max)
            .min(left)
            .min(self.gas_left);
        let nonce = match request.nonce {
            Some(nonce) => nonce,
            None => {
                let info = evm.ctx.db_mut().basic(from).map_err(|e| e.0)?;
                info.map_or(0, |info| info.nonce)
            }
        };
        let mut filled = request.clone();
        filled.from = Some(from);
        filled.gas = Some(gas);
        filled.nonce = Some(nonce);
        filled.to = Some(request.to.unwrap_or(TxKind::Create));
        filled.chain_id = request.chain_id.or(Some(self.executor.config().chain_id.0));
        evm.ctx
            .set_tx(call::tx_env(&filled, self.executor.config().chain_id, gas)?);
        let mut handler = ChainHandler::new(Fees::Zero);
        let result = if self.payload.trace_transfers {
            handler.inspect_run(evm)?
        } else {
            handler.run(evm)?
        };
        commit(evm);
        let result = CallResult::from(result);
        self.gas_left = self.gas_left.saturating_sub(result.gas_used);
        self.bytes = self.bytes.saturating_add(bytes_of(&result) as u64);
        limit(
            "size of what the simulated calls give",
            self.bytes,
            SIMULATE_BYTES_MAX,
        )?;
        Ok(SimulatedCall {
            request: filled,
            result,
        })
    }
}

/// What a call gives, in bytes.
fn bytes_of(result: &CallResult) -> usize {
    let logs = result.logs.iter();
    logs.fold(result.output.len(), |bytes, log| {
        bytes
            .saturating_add(LOG_BYTES)
            .saturating_add(log.data.len())
    })
}

/// Moves what the last transaction changed into the cache.
fn commit(evm: &mut ChainEvm<'_, &mut QueryDb<'_>, TransferInspector>) {
    let state = evm.ctx.journal_mut().finalize();
    evm.ctx.db_mut().commit(state);
}
