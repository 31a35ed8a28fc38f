use std::collections::BTreeMap;

use hawser_crypto::Suite;
use hawser_ledger::state::StateRead;
use hawser_primitives::{Address, B256, Bytes, ChainId, Domain, Height, Time, U256};
use revm::{
    Database,
    context::CfgEnv,
    context_interface::{
        Cfg, ContextTr, JournalTr, context::ContextError, journaled_state::JournalLoadError,
    },
    handler::{EthPrecompiles, PrecompileProvider},
    interpreter::{CallInputs, CallScheme, Gas, InstructionResult, InterpreterResult},
    primitives::{AddressSet, Log, LogData, hardfork::SpecId},
};

use crate::{
    CallEnv, NativeFailure, NativeRegistry, NativeState, SPEC,
    error::DbError,
    gate::{GateBlock, GateRun},
    native::{BLOB_BYTE_GAS, BLOB_GAS, BLOB_READ_BYTE_GAS},
    precompiles, revert_text,
};

/// What all native calls of a block share.
#[derive(Clone, Copy)]
pub(crate) struct NativeBlock {
    pub(crate) suite: Suite,
    pub(crate) chain_id: ChainId,
    pub(crate) height: Height,
    pub(crate) time: Time,
}

/// Content put by native contracts.
///
/// A blob put in a call that is later reverted must vanish. The journal decides: each put marks the
/// blob's hash in the contract's transient storage, which reverts with everything else, and at the
/// end of the transaction only marked blobs are kept.
#[derive(Default)]
pub(crate) struct Blobs {
    pending: Vec<(Address, B256, Bytes)>,
    kept: BTreeMap<B256, Bytes>,
}

impl Blobs {
    /// Ends a transaction, before its transient storage is cleared.
    pub(crate) fn settle(&mut self, journal: &mut impl JournalTr) {
        for (address, hash, content) in self.pending.drain(..) {
            if !journal.tload(address, hash.into()).is_zero() {
                self.kept.insert(hash, content);
            }
        }
    }

    /// Keeps content that no contract put, at once.
    pub(crate) fn keep(&mut self, hash: B256, content: Bytes) {
        self.kept.insert(hash, content);
    }

    /// Content put since the block began. What a revert undid may be among it; nobody names it.
    pub(crate) fn recent(&self, hash: &B256) -> Option<Bytes> {
        let pending = self.pending.iter().find(|(_, name, _)| name == hash);
        pending
            .map(|(_, _, content)| content.clone())
            .or_else(|| self.kept.get(hash).cloned())
    }

    pub(crate) fn discard(&mut self) {
        self.pending.clear();
    }

    pub(crate) fn take(&mut self) -> BTreeMap<B256, Bytes> {
        std::mem::take(&mut self.kept)
    }
}

/// Precompiles of the fork and native contracts, as the engine calls them.
pub(crate) struct ChainPrecompiles<'a> {
    standard: EthPrecompiles,
    natives: &'a NativeRegistry,
    warm: AddressSet,
    state: &'a dyn StateRead,
    block: NativeBlock,
    pub(crate) transaction_hash: B256,
    pub(crate) blobs: Blobs,
    pub(crate) gate: Option<GateRun<'a>>,
}

impl<'a> ChainPrecompiles<'a> {
    pub(crate) fn new(
        natives: &'a NativeRegistry,
        state: &'a dyn StateRead,
        block: NativeBlock,
        spec: SpecId,
    ) -> Self {
        let standard = EthPrecompiles::new(spec);
        let mut warm = standard.warm_addresses().clone();
        warm.extend(natives.addresses());
        warm.extend(precompiles::SM_PRECOMPILES);
        Self {
            standard,
            natives,
            warm,
            state,
            block,
            transaction_hash: B256::ZERO,
            blobs: Blobs::default(),
            gate: natives.gate().map(|gate| {
                let block = GateBlock {
                    height: block.height,
                    time: block.time,
                    suite: block.suite,
                    chain_id: block.chain_id,
                };
                GateRun::new(gate, block)
            }),
        }
    }

    /// The gate and what it sees the state through.
    pub(crate) fn gate_parts(
        &mut self,
    ) -> (&mut Option<GateRun<'a>>, &mut Blobs, &'a dyn StateRead) {
        (&mut self.gate, &mut self.blobs, self.state)
    }
}

impl<CTX> PrecompileProvider<CTX> for ChainPrecompiles<'_>
where
    CTX: ContextTr<Cfg = CfgEnv, Db: Database<Error = DbError>>,
{
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: SpecId) -> bool {
        <EthPrecompiles as PrecompileProvider<CTX>>::set_spec(&mut self.standard, spec)
    }

    fn run(
        &mut self,
        context: &mut CTX,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        let Some(contract) = self.natives.get(&inputs.bytecode_address) else {
            if precompiles::SM_PRECOMPILES.contains(&inputs.bytecode_address) {
                let input = inputs.input.as_bytes(context);
                let (address, gas) = (&inputs.bytecode_address, inputs.gas_limit);
                return Ok(precompiles::run(address, &input, gas));
            }
            return self.standard.run(context, inputs);
        };
        let env = CallEnv {
            caller: inputs.caller,
            value: inputs.call_value(),
            input: inputs.input.bytes(context),
            is_static: inputs.is_static,
            height: self.block.height,
            time: self.block.time,
            suite: self.block.suite,
            chain_id: self.block.chain_id,
            transaction_hash: self.transaction_hash,
        };
        let mut host = Host {
            context,
            state: self.state,
            blobs: &mut self.blobs,
            address: inputs.target_address,
            suite: env.suite,
            is_static: env.is_static,
            gas: Gas::new(inputs.gas_limit),
            failure: None,
        };
        let result = match inputs.scheme {
            // Under another contract's storage a native contract would write where its own
            // invariants do not hold.
            CallScheme::DelegateCall | CallScheme::CallCode => Err(revert_text(
                "native contract: delegatecall is not supported",
            )),
            CallScheme::Call | CallScheme::StaticCall => contract.call(&env, &mut host),
        };
        // A failure that the contract ignored still is one.
        let result = host.failure.take().map_or(result, Err);
        let mut gas = host.gas;
        let (code, output) = match result {
            Ok(output) => (InstructionResult::Return, output),
            Err(NativeFailure::Revert(data)) => (InstructionResult::Revert, data),
            Err(NativeFailure::OutOfGas) => (InstructionResult::PrecompileOOG, Bytes::new()),
            Err(NativeFailure::StaticCall) => {
                (InstructionResult::StateChangeDuringStaticCall, Bytes::new())
            }
            // The context holds the error; the engine raises it before it looks at the result.
            Err(NativeFailure::State) => (InstructionResult::FatalExternalError, Bytes::new()),
        };
        if !code.is_ok_or_revert() {
            gas.spend_all();
        }
        Ok(Some(InterpreterResult::new(code, output, gas)))
    }

    fn warm_addresses(&self) -> &AddressSet {
        &self.warm
    }
}

/// [`NativeState`] over the engine's journal.
struct Host<'a, CTX: ContextTr> {
    context: &'a mut CTX,
    state: &'a dyn StateRead,
    blobs: &'a mut Blobs,
    address: Address,
    suite: Suite,
    is_static: bool,
    gas: Gas,
    failure: Option<NativeFailure>,
}

impl<CTX> Host<'_, CTX>
where
    CTX: ContextTr<Cfg = CfgEnv, Db: Database<Error = DbError>>,
{
    fn fail<T>(&mut self, failure: NativeFailure) -> Result<T, NativeFailure> {
        Err(self.failure.get_or_insert(failure).clone())
    }

    /// Refuses to go on after a failure.
    fn check(&mut self) -> Result<(), NativeFailure> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    fn check_write(&mut self) -> Result<(), NativeFailure> {
        self.check()?;
        if self.is_static {
            self.fail(NativeFailure::StaticCall)
        } else {
            Ok(())
        }
    }

    fn spend(&mut self, gas: u64) -> Result<(), NativeFailure> {
        self.check()?;
        if self.gas.record_regular_cost(gas) {
            Ok(())
        } else {
            self.fail(NativeFailure::OutOfGas)
        }
    }

    fn broken<T>(&mut self, error: DbError) -> Result<T, NativeFailure> {
        *self.context.error() = Err(ContextError::Db(error));
        self.fail(NativeFailure::State)
    }

    fn unloaded<T>(&mut self, error: JournalLoadError<DbError>) -> Result<T, NativeFailure> {
        match error {
            JournalLoadError::DBError(error) => self.broken(error),
            JournalLoadError::ColdLoadSkipped => self.fail(NativeFailure::OutOfGas),
        }
    }
}

fn bytes_gas(per_byte: u64, len: usize) -> u64 {
    let bytes = u64::try_from(len).unwrap_or(u64::MAX);
    BLOB_GAS.saturating_add(per_byte.saturating_mul(bytes))
}

impl<CTX> NativeState for Host<'_, CTX>
where
    CTX: ContextTr<Cfg = CfgEnv, Db: Database<Error = DbError>>,
{
    fn load(&mut self, slot: &B256) -> Result<B256, NativeFailure> {
        let params = self.context.cfg().gas_params();
        let (warm, cold) = (
            params.warm_storage_read_cost(),
            params.cold_storage_additional_cost(),
        );
        self.spend(warm)?;
        let skip_cold = self.gas.remaining() < cold;
        let journal = self.context.journal_mut();
        match journal.sload_skip_cold_load(self.address, (*slot).into(), skip_cold) {
            Ok(load) => {
                if load.is_cold {
                    self.spend(cold)?;
                }
                Ok(load.data.into())
            }
            Err(error) => self.unloaded(error),
        }
    }

    fn store(&mut self, slot: &B256, value: B256) -> Result<(), NativeFailure> {
        self.check_write()?;
        let params = self.context.cfg().gas_params();
        let (stipend, fixed, cold) = (
            params.call_stipend(),
            params.sstore_static_gas(),
            params.cold_storage_cost(),
        );
        // EIP-2200: a call that has only the stipend must not change state.
        if self.gas.remaining() <= stipend {
            return self.fail(NativeFailure::OutOfGas);
        }
        self.spend(fixed)?;
        let skip_cold = self.gas.remaining() < cold;
        let (address, slot) = (self.address, U256::from_be_bytes(slot.0));
        let journal = self.context.journal_mut();
        match journal.sstore_skip_cold_load(address, slot, value.into(), skip_cold) {
            Ok(load) => {
                let params = self.context.cfg().gas_params();
                let cost = params.sstore_dynamic_gas(true, &load.data, load.is_cold);
                let refund = params.sstore_refund(true, &load.data);
                self.spend(cost)?;
                self.gas.record_refund(refund);
                Ok(())
            }
            Err(error) => self.unloaded(error),
        }
    }

    fn log(&mut self, topics: Vec<B256>, data: Bytes) -> Result<(), NativeFailure> {
        self.check_write()?;
        let count = u8::try_from(topics.len()).unwrap_or(u8::MAX);
        let len = u64::try_from(data.len()).unwrap_or(u64::MAX);
        let cost = self.context.cfg().gas_params().log_cost(count, len);
        self.spend(cost)?;
        let Some(data) = LogData::new(topics, data) else {
            return self.fail(revert_text("native contract: more than four topics"));
        };
        let address = self.address;
        self.context.journal_mut().log(Log { address, data });
        Ok(())
    }

    fn put_blob(&mut self, domain: Domain, content: Bytes) -> Result<B256, NativeFailure> {
        self.check_write()?;
        self.spend(bytes_gas(BLOB_BYTE_GAS, content.len()))?;
        let hash = self.suite.hash_domain(domain, &[&content]);
        self.context
            .journal_mut()
            .tstore(self.address, hash.into(), U256::from(1));
        self.blobs.pending.push((self.address, hash, content));
        Ok(hash)
    }

    fn blob(&mut self, hash: &B256) -> Result<Option<Bytes>, NativeFailure> {
        self.spend(BLOB_GAS)?;
        let address = self.address;
        let marked = !self
            .context
            .journal_mut()
            .tload(address, (*hash).into())
            .is_zero();
        let pending = || {
            let mut pending = self.blobs.pending.iter();
            pending
                .find(|(_, name, _)| name == hash)
                .map(|(_, _, content)| content.clone())
        };
        let own = if marked { pending() } else { None };
        let content = match own.or_else(|| self.blobs.kept.get(hash).cloned()) {
            Some(content) => Some(content),
            None => match self.state.blob(hash) {
                Ok(content) => content,
                Err(error) => return self.broken(DbError(error)),
            },
        };
        let len = content.as_ref().map_or(0, |content| content.len());
        self.spend(bytes_gas(BLOB_READ_BYTE_GAS, len).saturating_sub(BLOB_GAS))?;
        Ok(content)
    }

    fn charge(&mut self, gas: u64) -> Result<(), NativeFailure> {
        self.spend(gas)
    }
}

const _: () = assert!(
    SPEC as u8 >= SpecId::CANCUN as u8,
    "transient storage exists since Cancun"
);
