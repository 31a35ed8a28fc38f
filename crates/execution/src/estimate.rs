use hawser_ledger::state::StateRead;
use revm::context::{TxEnv, result::ExecutionResult};

use crate::{
    BlockContext, BlockHashes, CallRequest, ExecutionError, Executor,
    call::{self, halt_text, is_plain},
    evm::ChainEvm,
    overrides::{QueryDb, has_code},
};

/// Gas of a transfer between accounts without code.
const TRANSFER_GAS: u64 = 21_000;
/// The stipend that a call with value gives; an estimate must leave room for it.
const STIPEND_GAS: u64 = 2_300;
/// The search ends when upper and lower bound are within this share of the upper one, in
/// thousandths (as geth's `estimateGasErrorRatio` of 0.015).
const ERROR_THOUSANDTHS: u64 = 15;

impl Executor {
    /// The least gas limit, within 1.5 %, with which a transaction succeeds (`eth_estimateGas`).
    ///
    /// Bounded by the request's gas, its cap and the chain's limit per transaction; never by a
    /// balance, for gas costs nothing here.
    ///
    /// # Errors
    /// [`ExecutionError::Reverted`] or [`ExecutionError::Halted`] when it fails with any limit.
    pub fn estimate_gas(
        &self,
        state: &dyn StateRead,
        hashes: &dyn BlockHashes,
        context: &BlockContext,
        request: &CallRequest,
    ) -> Result<u64, ExecutionError> {
        let mut prepared = self.prepare(state, hashes, context, request)?;
        let mut high = prepared
            .gas
            .min(self.config().parameters.transaction_gas_max)
            .min(prepared.context.gas_limit);
        let tx = call::tx_env(&request.request, self.config().chain_id, high)?;
        let plain = match tx.kind.to() {
            Some(to) if is_plain(&tx) => !has_code(&prepared.db, *to)?,
            _ => false,
        };
        let mut evm = self.query_evm(state, &mut prepared, high, ())?;
        if plain && high >= TRANSFER_GAS && succeeds(&mut evm, &tx, TRANSFER_GAS)? {
            return Ok(TRANSFER_GAS);
        }
        request.stop.check()?;
        let first = call::run(&mut evm, tx.clone())?;
        let (used, refunded) = match &first {
            ExecutionResult::Success { gas, .. } => (gas.tx_gas_used(), gas.final_refunded()),
            ExecutionResult::Revert { output, .. } => {
                return Err(ExecutionError::Reverted(output.clone()));
            }
            ExecutionResult::Halt { reason, .. } => {
                let text = match halt_text(reason).as_str() {
                    "out of gas" => format!("gas required exceeds the limit of {high}"),
                    other => other.to_owned(),
                };
                return Err(ExecutionError::Halted(text));
            }
        };
        let mut low = used.saturating_sub(1);
        // What a call may keep back is 1/64; with that and the stipend it mostly succeeds at once.
        let likely = used.saturating_add(refunded).saturating_add(STIPEND_GAS);
        let likely = likely.saturating_add(likely / 63);
        if likely < high {
            if succeeds(&mut evm, &tx, likely)? {
                high = likely;
            } else {
                low = likely;
            }
        }
        while low.saturating_add(1) < high {
            request.stop.check()?;
            if (high - low).saturating_mul(1000) < high.saturating_mul(ERROR_THOUSANDTHS) {
                break;
            }
            // Most need little more than they use: stay near the lower bound.
            let middle = (low + (high - low) / 2).min(low.saturating_mul(2).max(1));
            if succeeds(&mut evm, &tx, middle)? {
                high = middle;
            } else {
                low = middle;
            }
        }
        Ok(high)
    }
}

fn succeeds<'a>(
    evm: &mut ChainEvm<'a, &mut QueryDb<'a>, ()>,
    tx: &TxEnv,
    gas: u64,
) -> Result<bool, ExecutionError> {
    use revm::context::result::InvalidTransaction as Invalid;
    let tx = TxEnv {
        gas_limit: gas,
        ..tx.clone()
    };
    match call::run(evm, tx) {
        Ok(result) => Ok(result.is_success()),
        // Below the intrinsic cost.
        Err(ExecutionError::Invalid(
            Invalid::CallGasCostMoreThanGasLimit { .. } | Invalid::GasFloorMoreThanGasLimit { .. },
        )) => Ok(false),
        Err(error) => Err(error),
    }
}
