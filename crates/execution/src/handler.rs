use std::marker::PhantomData;

use revm::{
    Database, Inspector,
    context::{Transaction, result::ExecutionResult},
    context_interface::{
        ContextTr, JournalTr, LocalContextTr,
        context::take_error,
        journaled_state::account::JournaledAccountTr,
        result::{HaltReason, InvalidTransaction, ResultGas},
    },
    handler::{
        EvmTr, FrameResult, Handler, post_execution,
        pre_execution::{self, validate_account_nonce_and_code_with_components},
    },
    inspector::InspectorHandler,
    interpreter::{InitialAndFloorGas, interpreter::EthInterpreter},
};

use crate::{
    error::{DbError, EvmError},
    evm::ChainEvm,
};

/// Who pays for gas in the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fees {
    /// Nobody: the balance must cover the value sent, nothing is charged or paid out.
    Zero,
    /// The sender, after EIP-1559. For Ethereum's own test vectors.
    Ethereum,
}

/// Ethereum's transaction processing with the chain's fee rule, and with native contracts' content
/// settled at the end of each transaction.
pub(crate) struct ChainHandler<'a, DB, INSP> {
    fees: Fees,
    types: PhantomData<(&'a (), DB, INSP)>,
}

impl<DB, INSP> ChainHandler<'_, DB, INSP> {
    pub(crate) const fn new(fees: Fees) -> Self {
        Self {
            fees,
            types: PhantomData,
        }
    }
}

impl<'a, DB, INSP> Handler for ChainHandler<'a, DB, INSP>
where
    DB: Database<Error = DbError>,
{
    type Evm = ChainEvm<'a, DB, INSP>;
    type Error = EvmError;
    type HaltReason = HaltReason;

    fn validate_against_state_and_deduct_caller(
        &self,
        evm: &mut Self::Evm,
        _: &mut InitialAndFloorGas,
    ) -> Result<(), EvmError> {
        if self.fees == Fees::Ethereum {
            return pre_execution::validate_against_state_and_deduct_caller(evm.ctx());
        }
        let (_, tx, cfg, journal, _, _) = evm.ctx().all_mut();
        let mut caller = journal.load_account_with_code_mut(tx.caller())?.data;
        validate_account_nonce_and_code_with_components(&caller.account().info, tx, cfg)?;
        let balance = *caller.balance();
        if balance < tx.value() {
            let (fee, balance) = (Box::new(tx.value()), Box::new(balance));
            return Err(InvalidTransaction::LackOfFundForMaxFee { fee, balance }.into());
        }
        // The frame of a creation takes the nonce itself.
        if tx.kind().is_call() {
            caller.bump_nonce();
        } else {
            caller.touch();
        }
        Ok(())
    }

    fn reimburse_caller(
        &self,
        evm: &mut Self::Evm,
        result: &mut FrameResult,
    ) -> Result<(), EvmError> {
        if self.fees == Fees::Ethereum {
            post_execution::reimburse_caller(evm.ctx(), result.gas(), Default::default())?;
        }
        Ok(())
    }

    fn reward_beneficiary(
        &self,
        evm: &mut Self::Evm,
        result: &mut FrameResult,
    ) -> Result<(), EvmError> {
        if self.fees == Fees::Ethereum {
            post_execution::reward_beneficiary(evm.ctx(), result.gas())?;
        }
        Ok(())
    }

    fn execution_result(
        &mut self,
        evm: &mut Self::Evm,
        result: FrameResult,
        gas: ResultGas,
    ) -> Result<ExecutionResult<HaltReason>, EvmError> {
        take_error::<EvmError, _>(evm.ctx().error())?;
        evm.precompiles.blobs.settle(evm.ctx.journal_mut());
        let result = post_execution::output(evm.ctx(), result, gas);
        evm.ctx().journal_mut().commit_tx();
        evm.ctx().local_mut().clear();
        evm.frame_stack().clear();
        Ok(result)
    }

    fn catch_error(
        &self,
        evm: &mut Self::Evm,
        error: EvmError,
    ) -> Result<ExecutionResult<HaltReason>, EvmError> {
        evm.precompiles.blobs.discard();
        evm.ctx().local_mut().clear();
        evm.ctx().journal_mut().discard_tx();
        evm.frame_stack().clear();
        Err(error)
    }
}

impl<'a, DB, INSP> InspectorHandler for ChainHandler<'a, DB, INSP>
where
    DB: Database<Error = DbError>,
    INSP: Inspector<crate::evm::ChainContext<DB>, EthInterpreter>,
{
    type IT = EthInterpreter;
}
