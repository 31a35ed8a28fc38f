use alloy_eips::eip2930::AccessList;
use hawser_ledger::state::StateRead;
use revm::{
    context_interface::{ContextSetters, ContextTr, JournalTr},
    inspector::InspectorHandler,
};
use revm_inspectors::access_list::AccessListInspector;

use crate::{
    BlockContext, BlockHashes, CallOutcome, CallRequest, CallResult, ExecutionError, Executor,
    call,
    handler::{ChainHandler, Fees},
};

/// Runs until the list no longer changes, at most this often.
const ROUNDS_MAX: usize = 16;

/// An access list and what the transaction costs with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessListResult {
    /// Accounts and slots touched beyond sender, recipient and precompiles.
    pub access_list: AccessList,
    /// Gas used with the list.
    pub gas_used: u64,
    /// Why the transaction fails, if it does.
    pub error: Option<String>,
}

impl Executor {
    /// The access list with which a transaction warms everything it touches
    /// (`eth_createAccessList`).
    pub fn create_access_list(
        &self,
        state: &dyn StateRead,
        hashes: &dyn BlockHashes,
        context: &BlockContext,
        request: &CallRequest,
    ) -> Result<AccessListResult, ExecutionError> {
        let mut prepared = self.prepare(state, hashes, context, request)?;
        let gas = prepared.gas;
        let mut list = request.request.access_list.clone().unwrap_or_default();
        let mut rounds = 0;
        loop {
            request.stop.check()?;
            let mut with_list = request.request.clone();
            with_list.access_list = Some(list.clone());
            let tx = call::tx_env(&with_list, self.config().chain_id, gas)?;
            let inspector = AccessListInspector::new(list.clone());
            let mut evm = self.query_evm(state, &mut prepared, request.gas_cap, inspector)?;
            evm.ctx.set_tx(tx);
            let result = ChainHandler::new(Fees::Zero).inspect_run(&mut evm)?;
            evm.ctx.journal_mut().finalize();
            let touched = std::mem::take(&mut evm.inspector).into_access_list();
            rounds += 1;
            if touched == list || rounds == ROUNDS_MAX {
                let result = CallResult::from(result);
                let error = match result.outcome {
                    CallOutcome::Success => None,
                    CallOutcome::Reverted => Some("execution reverted".to_owned()),
                    CallOutcome::Halted(reason) => Some(reason),
                };
                return Ok(AccessListResult {
                    access_list: touched,
                    gas_used: result.gas_used,
                    error,
                });
            }
            list = touched;
        }
    }
}
