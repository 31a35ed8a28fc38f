//! The native envelope: several calls under one signature, in one journal.

use hawser_ledger::{Call, NativeView, Ordering};
use hawser_primitives::{Address, B256, U256};
use revm::{
    Database,
    context::TxEnv,
    context_interface::{
        Cfg, ContextSetters, ContextTr, CreateScheme, JournalTr, LocalContextTr,
        cfg::GasParams,
        context::take_error,
        journaled_state::account::JournaledAccountTr,
        result::{InvalidTransaction, ResultGas},
    },
    handler::{
        EvmTr, FrameResult, Handler,
        execution::create_init_frame,
        pre_execution::{load_accounts, validate_account_nonce_and_code},
    },
    interpreter::{
        CreateInputs, FrameInput, GasTracker, InitialAndFloorGas, SharedMemory,
        interpreter_action::FrameInit,
    },
    primitives::TxKind,
};

use crate::{
    block::Executed,
    error::{DbError, EvmError},
    evm::ChainEvm,
    gate,
    handler::{ChainHandler, Fees},
};

/// Gas of each call after the first, as EIP-2929 prices the access to another account.
pub const CALL_GAS: u64 = 2_600;
/// Gas of sending wei with a call after the first, as the `CALL` instruction prices it.
pub const CALL_VALUE_GAS: u64 = 9_000;
/// Gas of sending wei to an account that does not exist, with a call after the first.
pub const CALL_NEW_ACCOUNT_GAS: u64 = 25_000;
/// Gas of an SM2 signature above what the base cost of 21,000 covers for every scheme (3,000, the
/// price of `ECRECOVER`): together 6,900, EIP-7951's price of a P-256 verification.
pub const SM2_SIGNATURE_GAS: u64 = 3_900;
/// Gas of each signature of a multisignature transaction after the first, which the base cost
/// covers: the price of `ECRECOVER`. SM2 costs [`SM2_SIGNATURE_GAS`] more here as well.
pub const COSIGNATURE_GAS: u64 = 3_000;
/// Gas of each key in the policy of a multisignature transaction: 34 bytes at 16 gas, as calldata
/// costs, in which the decoding of the point is lost.
pub const POLICY_KEY_GAS: u64 = 544;

/// Address of the contract that call `index` of a native transaction creates: EIP-1014 with salt
/// Keccak-256(digest ‖ index as 4 bytes, big endian). It needs no nonce, so unordered transactions
/// can create contracts as well.
#[must_use]
pub fn created_address(sender: Address, digest: &B256, index: u32, init_code: &[u8]) -> Address {
    sender.create2_from_code(salt(digest, index), init_code)
}

fn salt(digest: &B256, index: u32) -> B256 {
    let mut bytes = [0u8; 36];
    let (head, tail) = bytes.split_at_mut(32);
    head.copy_from_slice(digest.as_slice());
    tail.copy_from_slice(&index.to_be_bytes());
    alloy_primitives::keccak256(bytes)
}

/// Gas before the first call runs, and the floor of EIP-7623.
pub(crate) fn intrinsic_gas(params: &GasParams, native: NativeView<'_>) -> InitialAndFloorGas {
    let base = params.tx_base_stipend();
    let times =
        |count: usize, gas: u64| u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(gas);
    let signatures = times(native.work.signatures.saturating_sub(1), COSIGNATURE_GAS)
        .saturating_add(times(native.work.sm2_signatures, SM2_SIGNATURE_GAS))
        .saturating_add(times(native.work.policy_keys, POLICY_KEY_GAS));
    let (mut gas, mut floor) = (base.saturating_add(signatures), base);
    for (index, call) in native.calls.iter().enumerate() {
        let (input, value, create) = match call {
            Call::Call { value, input, .. } => (input, value, false),
            Call::Create { value, init_code } => (init_code, value, true),
        };
        let cost = params.initial_tx_gas(input, create, 0, 0, 0, None);
        gas = gas.saturating_add(cost.initial_regular_gas().saturating_sub(base));
        floor = floor.saturating_add(cost.floor_gas().saturating_sub(base));
        if index > 0 {
            gas = gas.saturating_add(CALL_GAS);
            if !value.is_zero() && !create {
                gas = gas.saturating_add(CALL_VALUE_GAS);
            }
        }
    }
    InitialAndFloorGas::new(gas, floor)
}

/// How the frames of one call are run to their end.
type Frames<'f, 'a, DB, INSP> =
    &'f mut dyn FnMut(&mut ChainEvm<'a, DB, INSP>, FrameInit) -> Result<FrameResult, EvmError>;

/// Runs a native transaction.
pub(crate) fn run<'a, DB, INSP>(
    evm: &mut ChainEvm<'a, DB, INSP>,
    native: NativeView<'_>,
    sender: Address,
    digest: B256,
) -> Result<Executed, EvmError>
where
    DB: Database<Error = DbError>,
{
    let mut frames = |evm: &mut ChainEvm<'a, DB, INSP>, init| {
        ChainHandler::new(Fees::Zero).run_exec_loop(evm, init)
    };
    run_with(evm, native, sender, digest, &mut frames)
}

/// Runs a native transaction with a way to run frames, which may inspect them.
pub(crate) fn run_with<'a, DB, INSP>(
    evm: &mut ChainEvm<'a, DB, INSP>,
    native: NativeView<'_>,
    sender: Address,
    digest: B256,
    frames: Frames<'_, 'a, DB, INSP>,
) -> Result<Executed, EvmError>
where
    DB: Database<Error = DbError>,
{
    Batch {
        native,
        sender,
        digest,
        created: None,
    }
    .run(evm, frames)
    .or_else(|error| {
        let handler = ChainHandler::new(Fees::Zero);
        let result = handler.catch_error(evm, error)?;
        Ok(Executed {
            result,
            created: None,
        })
    })
}

struct Batch<'t> {
    native: NativeView<'t>,
    sender: Address,
    digest: B256,
    created: Option<Address>,
}

impl Batch<'_> {
    fn run<'a, DB, INSP>(
        mut self,
        evm: &mut ChainEvm<'a, DB, INSP>,
        frames: Frames<'_, 'a, DB, INSP>,
    ) -> Result<Executed, EvmError>
    where
        DB: Database<Error = DbError>,
    {
        let limit = self.native.gas_limit;
        let intrinsic = self.validate(evm)?;
        evm.ctx.set_tx(self.tx_env(None));
        gate::begin_native(evm, self.native, self.sender)?;
        load_accounts::<_, EvmError>(evm)?;

        // The checkpoint to which a failure reverts. Its depth is given back at once: inspectors
        // take the journal's depth for that of the call, and the calls here are outermost.
        let checkpoint = evm.ctx.journal_mut().checkpoint();
        evm.ctx.journal_mut().checkpoint_commit();
        gate::protect(evm, checkpoint, false);
        let mut gas = GasTracker::new(limit, limit - intrinsic.initial_regular_gas(), 0);
        let mut last = gate::refused(evm, gas.remaining());
        let calls = if last.is_none() {
            self.native.calls
        } else {
            &[]
        };
        for (index, call) in calls.iter().enumerate() {
            let result = self.call(evm, frames, index, call, &mut gas)?;
            take_error::<EvmError, _>(evm.ctx.error())?;
            let failed = !result.instruction_result().is_ok();
            last = Some(result);
            if failed {
                break;
            }
        }
        let Some(last) = last else {
            return Err(EvmError::Custom(
                "native transaction without calls".to_owned(),
            ));
        };
        if !last.instruction_result().is_ok() {
            evm.ctx.journal_mut().checkpoint_revert(checkpoint);
            self.created = None;
        }
        let result_gas = settle(evm.ctx.cfg().gas_params(), &mut gas, &last, intrinsic);
        let result = ChainHandler::new(Fees::Zero).execution_result(evm, last, result_gas)?;
        Ok(Executed {
            created: self.created.filter(|_| result.is_success()),
            result,
        })
    }

    /// Checks what can be checked before anything runs, and takes the nonce.
    fn validate<DB, INSP>(
        &self,
        evm: &mut ChainEvm<'_, DB, INSP>,
    ) -> Result<InitialAndFloorGas, EvmError>
    where
        DB: Database<Error = DbError>,
    {
        let body = self.native;
        let cfg = &evm.ctx.cfg;
        let intrinsic = intrinsic_gas(cfg.gas_params(), self.native);
        let (gas_limit, initial_gas) = (body.gas_limit, intrinsic.initial_regular_gas());
        if initial_gas > gas_limit {
            return Err(InvalidTransaction::CallGasCostMoreThanGasLimit {
                gas_limit,
                initial_gas,
            }
            .into());
        }
        let gas_floor = intrinsic.floor_gas();
        if gas_floor > gas_limit {
            return Err(InvalidTransaction::GasFloorMoreThanGasLimit {
                gas_floor,
                gas_limit,
            }
            .into());
        }
        let mut total = U256::ZERO;
        for call in body.calls {
            let value = match call {
                Call::Call { value, .. } => value,
                Call::Create { value, init_code } => {
                    if init_code.len() > cfg.max_initcode_size() {
                        return Err(InvalidTransaction::CreateInitCodeSizeLimit.into());
                    }
                    value
                }
            };
            total = total
                .checked_add(*value)
                .ok_or(InvalidTransaction::OverflowPaymentInTransaction)?;
        }
        let mut caller = evm
            .ctx
            .journaled_state
            .load_account_with_code_mut(self.sender)?
            .data;
        let info = &caller.account().info;
        let nonce = match body.ordering {
            Ordering::Sequential { nonce } => nonce,
            Ordering::Unordered { .. } => info.nonce,
        };
        validate_account_nonce_and_code(info, nonce, false, false)?;
        let balance = *caller.balance();
        if balance < total {
            let (fee, balance) = (Box::new(total), Box::new(balance));
            return Err(InvalidTransaction::LackOfFundForMaxFee { fee, balance }.into());
        }
        if matches!(body.ordering, Ordering::Sequential { .. }) && !caller.bump_nonce() {
            return Err(InvalidTransaction::NonceOverflowInTransaction.into());
        }
        Ok(intrinsic)
    }

    /// What `ORIGIN` and inspectors see of the transaction, with one of its calls.
    fn tx_env(&self, call: Option<&Call>) -> TxEnv {
        let body = self.native;
        let (kind, value, data) = match call {
            Some(Call::Call { to, value, input }) => (TxKind::Call(*to), *value, input.clone()),
            Some(Call::Create { value, init_code }) => (TxKind::Create, *value, init_code.clone()),
            None => (TxKind::Call(self.sender), U256::ZERO, Default::default()),
        };
        TxEnv {
            tx_type: 0,
            caller: self.sender,
            gas_limit: body.gas_limit,
            gas_price: 0,
            kind,
            value,
            data,
            nonce: match body.ordering {
                Ordering::Sequential { nonce } => nonce,
                Ordering::Unordered { .. } => 0,
            },
            chain_id: Some(body.chain_id.0),
            access_list: Default::default(),
            gas_priority_fee: None,
            blob_hashes: Vec::new(),
            max_fee_per_blob_gas: 0,
            authorization_list: Vec::new(),
        }
    }

    /// Runs one call with all the gas that is left, and takes back what it leaves.
    fn call<'a, DB, INSP>(
        &mut self,
        evm: &mut ChainEvm<'a, DB, INSP>,
        frames: Frames<'_, 'a, DB, INSP>,
        index: usize,
        call: &Call,
        gas: &mut GasTracker,
    ) -> Result<FrameResult, EvmError>
    where
        DB: Database<Error = DbError>,
    {
        evm.ctx.set_tx(self.tx_env(Some(call)));
        // The frames of the call before have left their memory behind.
        evm.ctx.local_mut().clear();
        evm.frame_stack().clear();
        if !self.charge_new_account(evm, index, call, gas)? {
            return Ok(FrameResult::new_call_oog(gas.remaining(), 0..0, 0));
        }
        let frame_input = match call {
            Call::Call { .. } => create_init_frame(&mut evm.ctx, gas)?,
            Call::Create { value, init_code } => {
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                let salt = salt(&self.digest, index).into();
                let scheme = CreateScheme::Create2 { salt };
                let (init_code, left) = (init_code.clone(), gas.remaining());
                let inputs = CreateInputs::new(self.sender, scheme, *value, init_code, left, 0);
                Some(FrameInput::Create(Box::new(inputs)))
            }
        };
        let Some(frame_input) = frame_input else {
            return Err(EvmError::Custom("first frame without gas".to_owned()));
        };
        let mut memory =
            SharedMemory::new_with_buffer(evm.ctx.local().shared_memory_buffer().clone());
        memory.set_memory_limit(evm.ctx.cfg().memory_limit());
        let result = frames(
            evm,
            FrameInit {
                depth: 0,
                memory,
                frame_input,
            },
        )?;
        if let FrameResult::Create(outcome) = &result
            && result.instruction_result().is_ok()
        {
            self.created = self.created.or(outcome.address);
            self.give_back_nonce(evm)?;
        }
        gas.spend_all();
        let spent = result.gas();
        if result.instruction_result().is_ok_or_revert() {
            gas.erase_cost(spent.remaining());
        }
        if result.instruction_result().is_ok() {
            gas.record_refund(spent.refunded());
        }
        Ok(result)
    }

    /// Charges for an account that a call after the first brings into being (the base cost covers
    /// the first, as in Ethereum's transactions). False when the gas does not suffice.
    fn charge_new_account<DB, INSP>(
        &self,
        evm: &mut ChainEvm<'_, DB, INSP>,
        index: usize,
        call: &Call,
        gas: &mut GasTracker,
    ) -> Result<bool, EvmError>
    where
        DB: Database<Error = DbError>,
    {
        let Call::Call { to, value, .. } = call else {
            return Ok(true);
        };
        if index == 0 || value.is_zero() {
            return Ok(true);
        }
        let empty = evm
            .ctx
            .journal_mut()
            .load_account(*to)?
            .data
            .info
            .is_empty();
        Ok(!empty || gas.record_regular_cost(CALL_NEW_ACCOUNT_GAS))
    }

    /// The frame of a creation takes a nonce of its creator; here the address does not depend on
    /// it, and a transaction takes one nonce or none.
    fn give_back_nonce<DB, INSP>(&self, evm: &mut ChainEvm<'_, DB, INSP>) -> Result<(), EvmError>
    where
        DB: Database<Error = DbError>,
    {
        let mut caller = evm.ctx.journaled_state.load_account_mut(self.sender)?.data;
        let nonce = caller.nonce().saturating_sub(1);
        caller.set_nonce(nonce);
        Ok(())
    }
}

/// Refund and floor, as for Ethereum's transactions (EIP-3529, EIP-7623), over all calls.
fn settle(
    params: &GasParams,
    gas: &mut GasTracker,
    last: &FrameResult,
    intrinsic: InitialAndFloorGas,
) -> ResultGas {
    let code = last.instruction_result();
    if code.is_halt() {
        gas.spend_all();
    }
    let spent = gas.limit().saturating_sub(gas.remaining());
    let refund = if code.is_ok() {
        let earned = u64::try_from(gas.refunded()).unwrap_or_default();
        earned.min(
            spent
                .checked_div(params.max_refund_quotient())
                .unwrap_or_default(),
        )
    } else {
        0
    };
    ResultGas::default()
        .with_total_gas_spent(spent)
        .with_refunded(refund)
        .with_floor_gas(intrinsic.floor_gas())
}
