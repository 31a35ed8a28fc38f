use alloy_primitives::TxKind;
use hawser_ledger::{Log, state::StateRead};
use hawser_primitives::{Address, Bytes, ChainId};
use revm::{
    context::{
        TxEnv,
        either::Either,
        result::{ExecutionResult, HaltReason, InvalidTransaction, Output},
    },
    context_interface::{ContextSetters, ContextTr, JournalTr},
    database::CacheDB,
    handler::Handler,
};

use crate::{
    BlockContext, BlockHashes, BlockOverrides, ExecutionError, Executor, StateOverride, Stop,
    TransactionRequest,
    evm::ChainEvm,
    handler::{ChainHandler, Fees},
    overrides::{self, QueryDb},
    transaction,
};

/// A call that is no transaction: any sender, no signature, no nonce.
#[derive(Clone, Debug, Default)]
pub struct CallRequest {
    /// The call, as `eth_call` has it. Fee fields are ignored.
    pub request: TransactionRequest,
    /// Accounts as they should be.
    pub state: Option<StateOverride>,
    /// Block fields as they should be.
    pub block: Option<BlockOverrides>,
    /// Most gas the call may use, whatever it asks for.
    pub gas_cap: u64,
    /// Gives up, between runs or within a trace, when this is raised.
    pub stop: Stop,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// It returned.
    Success,
    /// It reverted; the output is the reason.
    Reverted,
    /// It halted exceptionally, for this reason.
    Halted(String),
}

/// What a call gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallResult {
    /// How it ended.
    pub outcome: CallOutcome,
    /// Return or revert data.
    pub output: Bytes,
    /// Gas used after refunds.
    pub gas_used: u64,
    /// Gas refunded.
    pub gas_refunded: u64,
    /// Events; none unless it succeeded.
    pub logs: Vec<Log>,
    /// Contract created.
    pub created: Option<Address>,
}

/// What a halt is called towards a user.
pub(crate) fn halt_text(reason: &HaltReason) -> String {
    match reason {
        HaltReason::OutOfGas(_) => "out of gas".to_owned(),
        HaltReason::OpcodeNotFound | HaltReason::InvalidFEOpcode => "invalid opcode".to_owned(),
        HaltReason::InvalidJump => "invalid jump destination".to_owned(),
        HaltReason::StackUnderflow => "stack underflow".to_owned(),
        HaltReason::StackOverflow => "stack limit reached 1024".to_owned(),
        HaltReason::StateChangeDuringStaticCall => "write protection".to_owned(),
        HaltReason::CreateCollision => "contract address collision".to_owned(),
        HaltReason::CreateContractSizeLimit => "max code size exceeded".to_owned(),
        HaltReason::CreateInitCodeSizeLimit => "max initcode size exceeded".to_owned(),
        HaltReason::OutOfFunds => "insufficient balance for transfer".to_owned(),
        HaltReason::CallTooDeep => "max call depth exceeded".to_owned(),
        other => format!("{other:?}"),
    }
}

impl From<ExecutionResult> for CallResult {
    fn from(result: ExecutionResult) -> Self {
        let gas = *result.gas();
        let (outcome, output, logs, created) = match result {
            ExecutionResult::Success { logs, output, .. } => {
                let created = match &output {
                    Output::Create(_, created) => *created,
                    Output::Call(_) => None,
                };
                (CallOutcome::Success, output.into_data(), logs, created)
            }
            ExecutionResult::Revert { output, .. } => {
                (CallOutcome::Reverted, output, Vec::new(), None)
            }
            ExecutionResult::Halt { reason, .. } => (
                CallOutcome::Halted(halt_text(&reason)),
                Bytes::new(),
                Vec::new(),
                None,
            ),
        };
        Self {
            outcome,
            output,
            gas_used: gas.tx_gas_used(),
            gas_refunded: gas.final_refunded(),
            logs: logs.into_iter().map(crate::block::log).collect(),
            created,
        }
    }
}

/// The engine's transaction for a request that may use `gas`.
pub(crate) fn tx_env(
    request: &TransactionRequest,
    chain: ChainId,
    gas: u64,
) -> Result<TxEnv, ExecutionError> {
    let invalid =
        |text: &'static str| ExecutionError::Invalid(InvalidTransaction::Str(text.into()));
    if request
        .blob_versioned_hashes
        .as_ref()
        .is_some_and(|hashes| !hashes.is_empty())
        || request.sidecar.is_some()
    {
        return Err(invalid(
            "blob transactions are not accepted: this chain has no blob space",
        ));
    }
    let data = request
        .input
        .unique_input()
        .map_err(|_| invalid("`input` and `data` differ; give one of them"))?
        .cloned()
        .unwrap_or_default();
    let authorizations = request.authorization_list.as_deref().unwrap_or_default();
    let tx_type = match (&request.access_list, authorizations) {
        (_, [_, ..]) => 4,
        (None, []) => 0,
        (Some(_), []) => 1,
    };
    Ok(TxEnv {
        tx_type,
        caller: request.from.unwrap_or_default(),
        gas_limit: gas,
        gas_price: 0,
        kind: request.to.unwrap_or(TxKind::Create),
        value: request.value.unwrap_or_default(),
        data,
        nonce: request.nonce.unwrap_or_default(),
        chain_id: Some(request.chain_id.unwrap_or(chain.0)),
        access_list: request.access_list.clone().unwrap_or_default(),
        gas_priority_fee: (tx_type == 4).then_some(0),
        blob_hashes: Vec::new(),
        max_fee_per_blob_gas: 0,
        authorization_list: authorizations
            .iter()
            .map(|authorization| Either::Right(transaction::recover(authorization)))
            .collect(),
    })
}

/// A request with its overrides applied: where it runs and in which block.
pub(crate) struct Prepared<'a> {
    pub(crate) db: QueryDb<'a>,
    pub(crate) context: BlockContext,
    pub(crate) overrides: BlockOverrides,
    /// Most gas the call may use.
    pub(crate) gas: u64,
}

impl Executor {
    pub(crate) fn prepare<'a>(
        &'a self,
        state: &'a dyn StateRead,
        hashes: &'a dyn BlockHashes,
        context: &BlockContext,
        request: &CallRequest,
    ) -> Result<Prepared<'a>, ExecutionError> {
        let mut db = CacheDB::new(self.database(state, hashes));
        if let Some(state) = &request.state {
            overrides::apply_state(&mut db, self.natives(), state)?;
        }
        let overrides = request.block.clone().unwrap_or_default();
        overrides::apply_hashes(&mut db, &overrides);
        let context = overrides::block_context(context, &overrides)?;
        let gas = request.request.gas.unwrap_or(u64::MAX).min(request.gas_cap);
        Ok(Prepared {
            db,
            context,
            overrides,
            gas,
        })
    }

    /// The engine for a prepared request.
    pub(crate) fn query_evm<'a, 'd, INSP>(
        &'a self,
        state: &'a dyn StateRead,
        prepared: &'d mut Prepared<'a>,
        gas_cap: u64,
        inspector: INSP,
    ) -> Result<ChainEvm<'a, &'d mut QueryDb<'a>, INSP>, ExecutionError> {
        let cfg = self.config().call_cfg_env(gas_cap);
        let context = prepared.context;
        let mut evm = self.evm(state, &mut prepared.db, cfg, &context, inspector);
        overrides::apply_block(&mut evm.ctx.block, &prepared.overrides)?;
        Ok(evm)
    }

    /// Runs a call on a state (`eth_call`). Changes nothing.
    ///
    /// A revert or halt is part of the result; an error is a call that could not start.
    pub fn call(
        &self,
        state: &dyn StateRead,
        hashes: &dyn BlockHashes,
        context: &BlockContext,
        request: &CallRequest,
    ) -> Result<CallResult, ExecutionError> {
        let mut prepared = self.prepare(state, hashes, context, request)?;
        let tx = tx_env(&request.request, self.config().chain_id, prepared.gas)?;
        let mut evm = self.query_evm(state, &mut prepared, request.gas_cap, ())?;
        if let Some(gate) = evm.precompiles.gate.as_mut() {
            gate.reads_only = true;
        }
        request.stop.check()?;
        Ok(run(&mut evm, tx)?.into())
    }
}

/// Runs one call and forgets what it changed.
pub(crate) fn run<'a, DB, INSP>(
    evm: &mut ChainEvm<'a, DB, INSP>,
    tx: TxEnv,
) -> Result<ExecutionResult, ExecutionError>
where
    DB: revm::Database<Error = crate::error::DbError>,
{
    evm.ctx.set_tx(tx);
    let result = ChainHandler::new(Fees::Zero).run(evm);
    evm.ctx.journal_mut().finalize();
    evm.precompiles.blobs.take();
    Ok(result?)
}

/// Whether a transaction does nothing but send value, if its recipient has no code.
pub(crate) fn is_plain(tx: &TxEnv) -> bool {
    tx.data.is_empty()
        && tx.access_list.0.is_empty()
        && tx.authorization_list.is_empty()
        && tx.kind.is_call()
}
