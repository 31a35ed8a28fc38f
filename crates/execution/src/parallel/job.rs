//! A block while several threads execute it.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use alloy_primitives::Bloom;
use hawser_ledger::{Receipt, SkipReason, VerifiedTransaction};
use hawser_primitives::B256;
use parking_lot::{Condvar, Mutex};
use revm::context_interface::{ContextTr, JournalTr};

use super::{
    SharedBlock,
    collect::collect,
    hints::Hints,
    lane::{Lane, Ran, set_bit},
    memory::{Memory, version_of},
    schedule::{Density, Schedule, Turn},
    view::{BlobView, Writes},
};
use crate::{
    BlockOutput, ExecutionError, Executor,
    block::{BlockMeter, LogsBloom, receipt},
    gate::CommittedState,
};

/// What a block needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Its transactions.
    pub transactions: usize,
    /// Runs of transactions, those in vain included.
    pub runs: usize,
    /// Runs ahead of the turn that had to be repeated.
    pub in_vain: usize,
    /// Transactions that ran in one journal after running ahead was given up.
    pub in_order: usize,
}

/// Gas limits that may be run ahead of, as a multiple of the block's.
const AHEAD_GAS_TIMES: u64 = 2;

/// Which transactions wait for their turn: those that should, and those that their turn would probably
/// not admit for their gas. What nobody counts gas for must not run: a block holds what its proposer
/// likes.
fn held_back(executor: &Executor, block: &SharedBlock, hints: &Hints) -> Vec<bool> {
    let transaction_gas_max = executor.config().parameters.transaction_gas_max;
    let ahead_max = block.context.gas_limit.saturating_mul(AHEAD_GAS_TIMES);
    let mut ahead = 0u64;
    let held = hints.in_turn.iter().zip(block.transactions());
    held.map(|(in_turn, transaction)| {
        let limit = transaction.transaction().gas_limit();
        if limit > transaction_gas_max {
            return true;
        }
        ahead = ahead.saturating_add(limit);
        *in_turn || ahead > ahead_max
    })
    .collect()
}

/// See the module.
pub(super) struct Job {
    pub(super) executor: Executor,
    pub(super) block: SharedBlock,
    pub(super) memory: Memory,
    /// Whether the gate stands open in the state before the block.
    pub(super) gate_open: Option<bool>,
    pub(super) schedule: Mutex<Schedule>,
    /// Told when something may be taken or the turn may go on.
    pub(super) moved: Condvar,
    results: Vec<Mutex<Option<Ran>>>,
    runs: AtomicUsize,
    /// Whether running ahead is given up where it does not pay.
    gives_up: bool,
}

impl Job {
    /// A block with its hints. `None` where the gate cannot be asked beforehand.
    pub(super) fn new(
        executor: Executor,
        block: SharedBlock,
        hints: &Hints,
        gives_up: bool,
    ) -> Option<Self> {
        let gate_open = match executor.natives().gate() {
            None => None,
            Some(gate) => {
                let mut state = CommittedState(block.state.as_ref());
                Some(gate.stands_open(&mut state).ok()?)
            }
        };
        let held_back = held_back(&executor, &block, hints);
        let results = block
            .transactions
            .iter()
            .map(|_| Mutex::new(None))
            .collect();
        Some(Self {
            executor,
            block,
            memory: Memory::default(),
            gate_open,
            schedule: Mutex::new(Schedule::new(hints, &held_back)),
            moved: Condvar::new(),
            results,
            runs: AtomicUsize::new(0),
            gives_up,
        })
    }

    pub(super) fn transaction(&self, index: usize) -> Result<&VerifiedTransaction, ExecutionError> {
        let transaction = self.block.transactions.get(index);
        transaction
            .map(AsRef::as_ref)
            .ok_or(ExecutionError::NoTransaction(index))
    }

    /// Runs a transaction ahead of its turn, without telling anybody.
    pub(super) fn run_ahead(&self, lane: &mut Lane<'_>, index: usize) -> Option<Ran> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        lane.run_ahead(index)
    }

    /// Makes a run's writes visible and keeps it for its turn.
    pub(super) fn keep(&self, index: usize, ran: Option<Ran>) {
        if let Some(ran) = &ran {
            self.memory.publish(version_of(index), &ran.writes);
        }
        if let Some(place) = self.results.get(index) {
            *place.lock() = ran;
        }
    }

    fn result(&self, index: usize) -> Option<Ran> {
        self.results
            .get(index)
            .and_then(|place| place.lock().take())
    }

    /// Runs so far.
    pub(super) fn runs(&self) -> usize {
        self.runs.load(Ordering::Relaxed)
    }

    /// Works ahead until the block is over.
    pub(super) fn help(&self) {
        let blobs = BlobView::new(&self.memory, self.block.state.as_ref());
        let mut lane = Lane::new(self, &blobs);
        let mut schedule = self.schedule.lock();
        loop {
            if schedule.is_over() {
                return;
            }
            let Some(index) = schedule.take() else {
                self.moved.wait(&mut schedule);
                continue;
            };
            drop(schedule);
            let ran = self.run_ahead(&mut lane, index);
            self.keep(index, ran);
            schedule = self.schedule.lock();
            if schedule.done(index) {
                self.moved.notify_all();
            }
        }
    }
}

/// Gives transactions their turns: what has run ahead is checked, what has not or was in vain runs.
pub(super) struct Turns<'a> {
    job: &'a Job,
    meter: BlockMeter<'a>,
    receipts: Vec<Receipt>,
    bloom: Bloom,
    density: Density,
    pub(super) figures: Figures,
}

impl<'a> Turns<'a> {
    pub(super) fn new(job: &'a Job, seen: &'a dyn Fn(&B256) -> bool) -> Self {
        let count = job.block.transactions.len();
        Self {
            job,
            meter: BlockMeter::new(&job.executor, job.block.context, seen),
            receipts: Vec::with_capacity(count),
            bloom: Bloom::ZERO,
            density: Density::new(),
            figures: Figures {
                transactions: count,
                ..Figures::default()
            },
        }
    }

    /// Writes what the block itself writes.
    pub(super) fn open(&mut self, lane: &mut Lane<'_>) -> Result<(), ExecutionError> {
        let writes = lane.open()?;
        self.job.memory.publish(0, &writes);
        Ok(())
    }

    /// A transaction has its turn; every earlier one has had it. `ran_ahead`: whether there is a run
    /// to check. Says whether the rest had better run in order.
    pub(super) fn take(
        &mut self,
        lane: &mut Lane<'_>,
        index: usize,
        ran_ahead: bool,
    ) -> Result<bool, ExecutionError> {
        let job = self.job;
        let transaction = job.transaction(index)?;
        let kept = if ran_ahead { job.result(index) } else { None };
        let at = version_of(index);
        let mark = match self.meter.admit(&job.executor, transaction) {
            Ok(mark) => mark,
            Err(reason) => {
                if let Some(ran) = kept {
                    job.memory.withdraw(at, &ran.writes);
                }
                self.skip(transaction, reason);
                return Ok(false);
            }
        };
        let (ran, in_vain) = match kept {
            Some(ran) if ran.reads.hold(&job.memory, at) => (ran, false),
            kept => {
                if let Some(ran) = &kept {
                    job.memory.withdraw(at, &ran.writes);
                }
                job.runs.fetch_add(1, Ordering::Relaxed);
                let ran = lane.run(index)?;
                job.memory.publish(at, &ran.writes);
                (ran, ran_ahead)
            }
        };
        let Ran {
            mut receipt,
            executed,
            bits,
            ..
        } = ran;
        if executed {
            let limit = transaction.transaction().gas_limit();
            self.meter
                .record(transaction.sender(), limit, receipt.gas_used, mark);
        }
        receipt.cumulative_gas_used = self.meter.used();
        bits.into_iter()
            .for_each(|bit| set_bit(&mut self.bloom, bit));
        self.receipts.push(receipt);
        self.figures.in_vain = self.figures.in_vain.saturating_add(usize::from(in_vain));
        let dense = self.density.count(ran_ahead, in_vain);
        Ok(dense && job.gives_up)
    }

    fn skip(&mut self, transaction: &VerifiedTransaction, reason: SkipReason) {
        let used = self.meter.used();
        self.receipts.push(receipt(transaction, Err(reason), used));
    }

    /// Gives everybody a turn while others run ahead.
    pub(super) fn run(
        mut self,
        mut lane: Lane<'_>,
    ) -> Result<(BlockOutput, Figures), ExecutionError> {
        let job = self.job;
        let mut schedule = job.schedule.lock();
        loop {
            let (index, ran_ahead) = match schedule.turn() {
                Turn::Over => break,
                Turn::Check(index) => (index, true),
                Turn::Run(index) => (index, false),
                Turn::Wait => {
                    let Some(index) = schedule.take() else {
                        job.moved.wait(&mut schedule);
                        continue;
                    };
                    drop(schedule);
                    let ran = job.run_ahead(&mut lane, index);
                    job.keep(index, ran);
                    schedule = job.schedule.lock();
                    if schedule.done(index) {
                        job.moved.notify_all();
                    }
                    continue;
                }
            };
            drop(schedule);
            let dense = self.take(&mut lane, index, ran_ahead)?;
            schedule = job.schedule.lock();
            let moved = !ran_ahead && schedule.done(index);
            schedule.pass();
            if dense {
                schedule.stop();
            }
            if moved || schedule.is_over() {
                job.moved.notify_all();
            }
            if dense {
                drop(schedule);
                return self.in_order(lane, index.saturating_add(1));
            }
        }
        drop(schedule);
        self.end()
    }

    /// Everybody has had a turn.
    pub(super) fn end(self) -> Result<(BlockOutput, Figures), ExecutionError> {
        let count = self.job.block.transactions.len();
        self.finish(Writes::default(), count)
    }

    /// Runs the rest of the block in one journal, as a block that is not shared runs.
    pub(super) fn in_order(
        mut self,
        lane: Lane<'_>,
        from: usize,
    ) -> Result<(BlockOutput, Figures), ExecutionError> {
        let job = self.job;
        let mut evm = lane.into_rest(version_of(from));
        let mut bloom = LogsBloom::default();
        for index in from..job.block.transactions.len() {
            let transaction = job.transaction(index)?;
            let run = crate::block::run;
            let attempt = job
                .executor
                .attempt(&mut evm, &mut self.meter, transaction, run)?;
            let receipt = receipt(transaction, attempt, self.meter.used());
            receipt.logs.iter().for_each(|log| bloom.add(log));
            self.receipts.push(receipt);
            self.figures.in_order = self.figures.in_order.saturating_add(1);
        }
        self.bloom |= bloom.bloom();
        let blobs = evm.precompiles.blobs.take();
        let state = evm.ctx.journal_mut().finalize();
        let reads = evm.ctx.db_mut().take_reads(BTreeMap::new());
        self.finish(Writes::of(state, &reads, blobs), from)
    }

    /// All changes: of the transactions before `end` by version, then of the rest.
    fn finish(
        mut self,
        rest: Writes,
        end: usize,
    ) -> Result<(BlockOutput, Figures), ExecutionError> {
        let job = self.job;
        let state = job.block.state.as_ref();
        let changes = collect(&job.memory, state, version_of(end), rest)?;
        self.figures.runs = job.runs().saturating_add(self.figures.in_order);
        let (gas_used, unordered) = self.meter.into_parts();
        let output = BlockOutput {
            receipts: self.receipts,
            changes,
            gas_used,
            logs_bloom: self.bloom,
            unordered,
        };
        Ok((output, self.figures))
    }
}
