use alloy_primitives::{
    Bloom, Log as EvmLog,
    map::{AddressMap, AddressSet, B256Set},
};
use hawser_ledger::{
    Envelope, Log, Outcome, Receipt, SkipReason, VerifiedTransaction,
    state::{Changes, StateRead},
};
use hawser_primitives::{Address, B256, Bytes, Time, limits::UNORDERED_LIFETIME_MS_MAX};
use revm::{
    context::result::{ExecutionResult, InvalidTransaction, Output},
    context_interface::{ContextSetters, ContextTr, JournalTr},
    handler::Handler,
};

use crate::{
    BlockContext, BlockHashes, ExecutionError, Executor, batch, changes,
    database::BlockDb,
    error::EvmError,
    evm::ChainEvm,
    gate,
    genesis::record_parent,
    handler::{ChainHandler, Fees},
    transaction::tx_env,
};

/// Most bytes of revert data that a receipt keeps.
const REVERT_DATA_MAX: usize = 1024;

/// A block to execute.
pub struct BlockInput<'a> {
    /// The block.
    pub context: BlockContext,
    /// Its transactions in order.
    pub transactions: &'a [VerifiedTransaction],
    /// Whether an unordered transaction with this digest
    /// ([`NativeTransaction::digest`](hawser_ledger::NativeTransaction::digest)) executed in an
    /// earlier block and has not expired since.
    pub seen_unordered: &'a dyn Fn(&B256) -> bool,
}

/// An unordered transaction that a block executed. Its digest must be remembered until it expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnorderedMark {
    /// Digest of what was signed.
    pub digest: B256,
    /// When it expires.
    pub expires: Time,
}

/// What executing a block gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockOutput {
    /// One receipt per transaction, skipped ones included.
    pub receipts: Vec<Receipt>,
    /// What changes in the state.
    pub changes: Changes,
    /// Gas used by all transactions.
    pub gas_used: u64,
    /// Bloom filter over all events (Yellow Paper section 4.3.1).
    pub logs_bloom: Bloom,
    /// Unordered transactions executed.
    pub unordered: Vec<UnorderedMark>,
}

/// The filter over a block's events. Most events of a block share contracts and topics; what has
/// been added is not hashed again.
#[derive(Default)]
pub(crate) struct LogsBloom {
    bloom: Bloom,
    addresses: AddressSet,
    topics: B256Set,
}

impl LogsBloom {
    pub(crate) const fn bloom(&self) -> Bloom {
        self.bloom
    }

    pub(crate) fn add(&mut self, log: &Log) {
        if self.addresses.insert(log.address) {
            self.bloom.m3_2048(log.address.as_slice());
        }
        for topic in &log.topics {
            if self.topics.insert(*topic) {
                self.bloom.m3_2048(topic.as_slice());
            }
        }
    }
}

/// How a transaction went: its result, or why it was skipped.
pub(crate) struct Executed {
    pub(crate) result: ExecutionResult,
    /// The first contract that a native transaction created.
    pub(crate) created: Option<Address>,
}

pub(crate) type Attempt = Result<Executed, SkipReason>;

/// Gas accounting and replay protection within one block.
pub(crate) struct BlockMeter<'a> {
    context: BlockContext,
    transaction_gas_max: u64,
    account_block_gas_max: u64,
    seen: &'a dyn Fn(&B256) -> bool,
    quota: AddressMap<u64>,
    digests: B256Set,
    marks: Vec<UnorderedMark>,
    used: u64,
}

impl<'a> BlockMeter<'a> {
    pub(crate) fn new(
        executor: &Executor,
        context: BlockContext,
        seen: &'a dyn Fn(&B256) -> bool,
    ) -> Self {
        let parameters = &executor.config().parameters;
        Self {
            context,
            transaction_gas_max: parameters.transaction_gas_max,
            account_block_gas_max: parameters.account_block_gas_max,
            seen,
            quota: AddressMap::default(),
            digests: B256Set::default(),
            marks: Vec::new(),
            used: 0,
        }
    }

    /// Gas used so far.
    pub(crate) const fn used(&self) -> u64 {
        self.used
    }

    /// Gas used, and the unordered transactions executed.
    pub(crate) fn into_parts(self) -> (u64, Vec<UnorderedMark>) {
        (self.used, self.marks)
    }

    /// Whether a transaction may run at all.
    pub(crate) fn admit(
        &self,
        executor: &Executor,
        transaction: &VerifiedTransaction,
    ) -> Result<Option<UnorderedMark>, SkipReason> {
        let limit = transaction.transaction().gas_limit();
        if limit > self.transaction_gas_max
            || limit > self.context.gas_limit.saturating_sub(self.used)
        {
            return Err(SkipReason::GasLimit);
        }
        let taken = self
            .quota
            .get(&transaction.sender())
            .copied()
            .unwrap_or_default();
        if taken.saturating_add(limit) > self.account_block_gas_max {
            return Err(SkipReason::Quota);
        }
        let transaction = transaction.transaction();
        let Some(expires) = transaction.expires() else {
            return Ok(None);
        };
        let now = self.context.time;
        if expires <= now || expires > now.plus_ms(UNORDERED_LIFETIME_MS_MAX) {
            return Err(SkipReason::Expired);
        }
        let Some(digest) = transaction.native_digest(executor.config().suite) else {
            return Ok(None);
        };
        if self.digests.contains(&digest) || (self.seen)(&digest) {
            return Err(SkipReason::Replayed);
        }
        Ok(Some(UnorderedMark { digest, expires }))
    }

    /// Counts a transaction that was executed.
    pub(crate) fn record(
        &mut self,
        sender: Address,
        limit: u64,
        used: u64,
        mark: Option<UnorderedMark>,
    ) {
        let taken = self.quota.entry(sender).or_default();
        *taken = taken.saturating_add(limit);
        self.used = self.used.saturating_add(used);
        if let Some(mark) = mark {
            self.digests.insert(mark.digest);
            self.marks.push(mark);
        }
    }
}

impl Executor {
    /// Executes a block on the state after its parent.
    ///
    /// Fails only where the state cannot be read (or the engine is at fault): whatever a
    /// transaction does wrong ends up in its receipt.
    pub fn execute_block(
        &self,
        state: &dyn StateRead,
        hashes: &dyn BlockHashes,
        input: &BlockInput<'_>,
    ) -> Result<BlockOutput, ExecutionError> {
        let transactions = input.transactions.iter();
        let (context, seen) = (input.context, input.seen_unordered);
        self.in_order(state, hashes, context, transactions, seen)
    }

    /// Runs transactions one after another in one journal.
    pub(crate) fn in_order<'t>(
        &self,
        state: &dyn StateRead,
        hashes: &dyn BlockHashes,
        context: BlockContext,
        transactions: impl ExactSizeIterator<Item = &'t VerifiedTransaction>,
        seen: &dyn Fn(&B256) -> bool,
    ) -> Result<BlockOutput, ExecutionError> {
        let db = BlockDb::new(self.database(state, hashes));
        let mut evm = self.evm(state, db, self.config().cfg_env(), &context, ());
        if let Some(gate) = evm.precompiles.gate.as_mut() {
            gate.keeps_journal = true;
        }
        record_parent(&mut evm, context.height, context.parent_hash)?;
        let mut meter = BlockMeter::new(self, context, seen);
        let mut receipts = Vec::with_capacity(transactions.len());
        let mut bloom = LogsBloom::default();
        for transaction in transactions {
            let attempt = self.attempt(&mut evm, &mut meter, transaction, run)?;
            let receipt = receipt(transaction, attempt, meter.used);
            receipt.logs.iter().for_each(|log| bloom.add(log));
            receipts.push(receipt);
        }
        let blobs = evm.precompiles.blobs.take();
        let state = evm.ctx.journal_mut().finalize();
        let mut changes = changes::collect(state, evm.ctx.db());
        changes.blobs.extend(blobs);
        Ok(BlockOutput {
            receipts,
            changes,
            gas_used: meter.used,
            logs_bloom: bloom.bloom,
            unordered: meter.marks,
        })
    }

    /// Runs one transaction of a block if the block's rules let it; `run` is how.
    pub(crate) fn attempt<'a, DB, INSP>(
        &self,
        evm: &mut ChainEvm<'a, DB, INSP>,
        meter: &mut BlockMeter<'_>,
        transaction: &VerifiedTransaction,
        run: impl FnOnce(
            &Self,
            &mut ChainEvm<'a, DB, INSP>,
            &VerifiedTransaction,
        ) -> Result<Executed, EvmError>,
    ) -> Result<Attempt, ExecutionError>
    where
        DB: revm::Database<Error = crate::error::DbError>,
    {
        let mark = match meter.admit(self, transaction) {
            Ok(mark) => mark,
            Err(reason) => return Ok(Err(reason)),
        };
        let attempt = perform(self, evm, transaction, run)?;
        if let Ok(executed) = &attempt {
            let limit = transaction.transaction().gas_limit();
            let used = executed.result.tx_gas_used();
            meter.record(transaction.sender(), limit, used, mark);
        }
        Ok(attempt)
    }
}

/// Runs one transaction whatever the block's rules say; `run` is how.
pub(crate) fn perform<'a, DB, INSP>(
    executor: &Executor,
    evm: &mut ChainEvm<'a, DB, INSP>,
    transaction: &VerifiedTransaction,
    run: impl FnOnce(
        &Executor,
        &mut ChainEvm<'a, DB, INSP>,
        &VerifiedTransaction,
    ) -> Result<Executed, EvmError>,
) -> Result<Attempt, ExecutionError>
where
    DB: revm::Database<Error = crate::error::DbError>,
{
    evm.precompiles.transaction_hash = transaction.hash();
    match run(executor, evm, transaction) {
        Ok(executed) => {
            gate::settle(evm)?;
            Ok(Ok(executed))
        }
        Err(EvmError::Transaction(invalid)) => {
            gate::discard(evm);
            Ok(Err(skip_reason(&invalid)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Runs a transaction without inspection.
pub(crate) fn run<DB, INSP>(
    executor: &Executor,
    evm: &mut ChainEvm<'_, DB, INSP>,
    transaction: &VerifiedTransaction,
) -> Result<Executed, EvmError>
where
    DB: revm::Database<Error = crate::error::DbError>,
{
    match transaction.transaction().envelope() {
        Envelope::Ethereum(envelope) => {
            evm.ctx.set_tx(tx_env(envelope, transaction.sender()));
            let result = ChainHandler::new(Fees::Zero).run(evm)?;
            Ok(Executed {
                result,
                created: None,
            })
        }
        Envelope::Native(native) => {
            let digest = native.digest(executor.config().suite);
            batch::run(evm, native.view(), transaction.sender(), digest)
        }
        Envelope::Multisig(multisig) => {
            let digest = multisig.digest(executor.config().suite);
            batch::run(evm, multisig.view(), transaction.sender(), digest)
        }
    }
}

const fn skip_reason(invalid: &InvalidTransaction) -> SkipReason {
    match invalid {
        InvalidTransaction::NonceTooLow { .. } => SkipReason::NonceTooLow,
        InvalidTransaction::NonceTooHigh { .. } => SkipReason::NonceTooHigh,
        InvalidTransaction::LackOfFundForMaxFee { .. }
        | InvalidTransaction::OverflowPaymentInTransaction => SkipReason::InsufficientFunds,
        InvalidTransaction::CallerGasLimitMoreThanBlock
        | InvalidTransaction::TxGasLimitGreaterThanCap { .. } => SkipReason::GasLimit,
        _ => SkipReason::Invalid,
    }
}

pub(crate) fn log(log: EvmLog) -> Log {
    let (topics, data) = log.data.split();
    Log {
        address: log.address,
        topics,
        data,
    }
}

/// The receipt of an attempt; `cumulative` counts the transaction already.
pub(crate) fn receipt(
    transaction: &VerifiedTransaction,
    attempt: Attempt,
    cumulative: u64,
) -> Receipt {
    let mut receipt = Receipt {
        transaction_hash: transaction.hash(),
        transaction_type: transaction.transaction().kind(),
        outcome: Outcome::Success,
        gas_used: 0,
        cumulative_gas_used: cumulative,
        sender: transaction.sender(),
        contract_address: None,
        logs: Vec::new(),
        revert_data: Bytes::new(),
    };
    let executed = match attempt {
        Ok(executed) => executed,
        Err(reason) => {
            receipt.outcome = Outcome::Skipped(reason);
            return receipt;
        }
    };
    receipt.gas_used = executed.result.tx_gas_used();
    match executed.result {
        ExecutionResult::Success { logs, output, .. } => {
            receipt.logs = logs.into_iter().map(log).collect();
            receipt.contract_address = executed.created.or(match output {
                Output::Create(_, created) => created,
                Output::Call(_) => None,
            });
        }
        ExecutionResult::Revert { output, .. } => {
            receipt.outcome = Outcome::Reverted;
            receipt.revert_data = output.slice(..output.len().min(REVERT_DATA_MAX));
        }
        ExecutionResult::Halt { .. } => receipt.outcome = Outcome::Halted,
    }
    receipt
}
