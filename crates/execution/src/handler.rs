use std::marker::PhantomData;

use revm::{
    Database, Inspector,
    context::{Transaction, result::ExecutionResult},
    context_interface::{
        ContextTr, JournalTr, LocalContextTr,
        context::take_error,
        journaled_state::{JournalCheckpoint, account::JournaledAccountTr},
        result::{HaltReason, InvalidTransaction, ResultGas},
    },
    handler::{
        EvmTr, FrameResult, Handler, ItemOrResult, execution, post_execution,
        pre_execution::{
            self, PreExecutionOutput, validate_account_nonce_and_code_with_components,
        },
    },
    inspector::{InspectorEvmTr, InspectorHandler},
    interpreter::{
        GasTracker, InitialAndFloorGas, interpreter::EthInterpreter, interpreter_action::FrameInit,
    },
};

use crate::{
    error::{DbError, EvmError},
    evm::ChainEvm,
    gate,
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

impl<'a, DB, INSP> ChainHandler<'a, DB, INSP>
where
    DB: Database<Error = DbError>,
{
    /// Ends a transaction that the gate has refused: nonce and intrinsic gas are taken, nothing
    /// runs. `None` for one that may run.
    fn refused(
        &mut self,
        evm: &mut ChainEvm<'a, DB, INSP>,
        gas: &mut GasTracker,
    ) -> Result<Option<FrameResult>, EvmError> {
        let Some(mut result) = gate::refused(evm, gas.remaining()) else {
            return Ok(None);
        };
        evm.ctx().journal_mut().checkpoint_commit();
        if evm.ctx.tx.kind().is_create() {
            gate::take_nonce(evm)?;
        }
        self.last_frame_result(evm, &mut result, gas)?;
        Ok(Some(result))
    }
}

/// The result of a frame that the gate refuses. No frame is made for it, so none is popped.
fn stopped<DB, INSP>(
    evm: &mut ChainEvm<'_, DB, INSP>,
    guarded: bool,
    init: &FrameInit,
) -> Result<Option<FrameResult>, EvmError>
where
    DB: Database<Error = DbError>,
{
    if guarded {
        gate::check_frame(evm, init)
    } else {
        Ok(None)
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

    fn pre_execution(
        &self,
        evm: &mut Self::Evm,
        gas: &mut GasTracker,
    ) -> Result<Option<PreExecutionOutput>, EvmError> {
        gate::begin(evm)?;
        self.load_accounts(evm)?;
        let checkpoint = evm.ctx().journal_mut().checkpoint();
        let creates = evm.ctx.tx.kind().is_create();
        gate::protect(evm, checkpoint, creates);
        // What the gate refuses must not leave delegations behind either.
        let eip7702_refund = if gate::refused(evm, 0).is_some() {
            0
        } else {
            match self.apply_eip7702_auth_list(evm, gas)? {
                Some(refund) => refund,
                None => {
                    evm.ctx().journal_mut().checkpoint_revert(checkpoint);
                    return Ok(None);
                }
            }
        };
        Ok(Some(PreExecutionOutput {
            eip7702_refund,
            checkpoint,
        }))
    }

    fn execution(
        &mut self,
        evm: &mut Self::Evm,
        checkpoint: JournalCheckpoint,
        gas: &mut GasTracker,
    ) -> Result<Option<FrameResult>, EvmError> {
        if let Some(result) = self.refused(evm, gas)? {
            return Ok(Some(result));
        }
        let Some(first) = self.first_frame_input(evm, gas)? else {
            execution::runtime_oog_unwind(evm.ctx(), checkpoint)?;
            return Ok(None);
        };
        evm.ctx().journal_mut().checkpoint_commit();
        let mut result = self.run_exec_loop(evm, first)?;
        self.last_frame_result(evm, &mut result, gas)?;
        Ok(Some(result))
    }

    fn run_exec_loop(
        &mut self,
        evm: &mut Self::Evm,
        first: FrameInit,
    ) -> Result<FrameResult, EvmError> {
        let guarded = gate::is_guarded(evm);
        if let Some(refused) = stopped(evm, guarded, &first)? {
            return Ok(refused);
        }
        if let ItemOrResult::Result(result) = evm.frame_init(first)? {
            return Ok(result);
        }
        loop {
            let result = match evm.frame_run()? {
                ItemOrResult::Item(init) => match stopped(evm, guarded, &init)? {
                    Some(refused) => refused,
                    None => match evm.frame_init(init)? {
                        ItemOrResult::Item(_) => continue,
                        ItemOrResult::Result(result) => result,
                    },
                },
                ItemOrResult::Result(result) => result,
            };
            if let Some(result) = evm.frame_return_result(result)? {
                return Ok(result);
            }
        }
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
        let (result, gas) = gate::judge(evm, result, gas)?;
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
        gate::discard(evm);
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

    fn inspect_execution(
        &mut self,
        evm: &mut Self::Evm,
        checkpoint: JournalCheckpoint,
        gas: &mut GasTracker,
    ) -> Result<Option<FrameResult>, EvmError> {
        if let Some(result) = self.refused(evm, gas)? {
            return Ok(Some(result));
        }
        let Some(first) = self.first_frame_input(evm, gas)? else {
            execution::runtime_oog_unwind(evm.ctx(), checkpoint)?;
            return Ok(None);
        };
        evm.ctx().journal_mut().checkpoint_commit();
        let mut result = self.inspect_run_exec_loop(evm, first)?;
        self.last_frame_result(evm, &mut result, gas)?;
        Ok(Some(result))
    }

    fn inspect_run_exec_loop(
        &mut self,
        evm: &mut Self::Evm,
        first: FrameInit,
    ) -> Result<FrameResult, EvmError> {
        let guarded = gate::is_guarded(evm);
        if let Some(refused) = stopped(evm, guarded, &first)? {
            return Ok(refused);
        }
        if let ItemOrResult::Result(result) = evm.inspect_frame_init(first)? {
            return Ok(result);
        }
        loop {
            let result = match evm.inspect_frame_run()? {
                ItemOrResult::Item(init) => match stopped(evm, guarded, &init)? {
                    Some(refused) => refused,
                    None => match evm.inspect_frame_init(init)? {
                        ItemOrResult::Item(_) => continue,
                        ItemOrResult::Result(result) => result,
                    },
                },
                ItemOrResult::Result(result) => result,
            };
            if let Some(result) = evm.frame_return_result(result)? {
                return Ok(result);
            }
        }
    }
}
