//! One engine that runs a block's transactions, each by itself at its version.

use std::panic::{AssertUnwindSafe, catch_unwind};

use alloy_primitives::{Bloom, map::HashMap};
use hawser_ledger::{Receipt, VerifiedTransaction};
use hawser_primitives::B256;
use revm::context_interface::{ContextTr, JournalTr};

use super::{
    job::Job,
    memory::{Version, version_of},
    view::{BlobView, Reads, View, Writes},
};
use crate::{
    ExecutionError,
    block::{Attempt, perform, receipt},
    evm::ChainEvm,
    genesis::record_parent,
};

/// Places in the filter that one thread remembers within a block.
const PLACES_MAX: usize = 4_096;

/// A transaction that has run.
pub(super) struct Ran {
    pub(super) reads: Reads,
    pub(super) writes: Writes,
    /// Without the gas of those before it.
    pub(super) receipt: Receipt,
    /// Whether it was executed, not skipped.
    pub(super) executed: bool,
    /// Bits of the filter over its events.
    pub(super) bits: Vec<u16>,
}

/// Bits of the filter over events, which most events of a block share.
#[derive(Default)]
struct Bits(HashMap<B256, [u16; 3]>);

/// The three bits that an item sets (Yellow Paper, equations 29 and 30): the lower 11 bits of the
/// first three pairs of bytes of its hash.
fn bits_of(item: &[u8]) -> [u16; 3] {
    let hash = alloy_primitives::keccak256(item);
    let mut pairs = hash.chunks_exact(2);
    [(); 3].map(|()| match pairs.next() {
        Some([high, low]) => u16::from_be_bytes([*high, *low]) & 0x7ff,
        _ => 0,
    })
}

/// Sets a bit that [`bits_of`] gave; bit 0 is the last one.
pub(super) fn set_bit(bloom: &mut Bloom, bit: u16) {
    let byte = 255usize.saturating_sub(usize::from(bit >> 3));
    if let Some(byte) = bloom.0.get_mut(byte) {
        *byte |= 1 << (bit & 7);
    }
}

impl Bits {
    fn add(&mut self, key: B256, item: &[u8], out: &mut Vec<u16>) {
        if self.0.len() >= PLACES_MAX {
            self.0.clear();
        }
        out.extend(self.0.entry(key).or_insert_with(|| bits_of(item)).iter());
    }

    fn of(&mut self, receipt: &Receipt) -> Vec<u16> {
        let mut out = Vec::new();
        for log in &receipt.logs {
            // An address filled up with ones is no topic that anybody uses; if one did, the bits
            // of an event would be wrong, so the two are told apart for certain.
            let mut key = B256::repeat_byte(0xff);
            if let Some(end) = key.0.last_chunk_mut::<20>() {
                *end = log.address.into_array();
            }
            self.add(key, log.address.as_slice(), &mut out);
            for topic in &log.topics {
                if topic.starts_with(&[0xff; 12]) {
                    out.extend(bits_of(topic.as_slice()));
                } else {
                    self.add(*topic, topic.as_slice(), &mut out);
                }
            }
        }
        out
    }
}

/// See the module.
pub(super) struct Lane<'a> {
    job: &'a Job,
    blobs: &'a BlobView<'a>,
    evm: ChainEvm<'a, View<'a>, ()>,
    bits: Bits,
}

impl<'a> Lane<'a> {
    pub(super) fn new(job: &'a Job, blobs: &'a BlobView<'a>) -> Self {
        Self {
            job,
            blobs,
            evm: engine(job, blobs),
            bits: Bits::default(),
        }
    }

    fn begin(&mut self, at: Version) {
        self.blobs.begin(at);
        self.evm.ctx.db_mut().begin(at);
    }

    /// What has happened in the engine since [`Self::begin`].
    fn end(&mut self) -> (Reads, Writes) {
        let kept = self.evm.precompiles.blobs.take();
        let state = self.evm.ctx.journal_mut().finalize();
        let seen = self.blobs.take_reads();
        let reads = self.evm.ctx.db_mut().take_reads(seen);
        let writes = Writes::of(state, &reads, kept);
        (reads, writes)
    }

    /// What the block itself writes before its first transaction.
    pub(super) fn open(&mut self) -> Result<Writes, ExecutionError> {
        self.begin(0);
        let context = &self.job.block.context;
        record_parent(&mut self.evm, context.height, context.parent_hash)?;
        Ok(self.end().1)
    }

    /// Runs a transaction on what lower versions have written at this moment.
    pub(super) fn run(&mut self, index: usize) -> Result<Ran, ExecutionError> {
        let transaction = self.job.transaction(index)?;
        self.begin(version_of(index));
        let attempt = match perform(
            &self.job.executor,
            &mut self.evm,
            transaction,
            crate::block::run,
        ) {
            Ok(attempt) => attempt,
            Err(error) => {
                // What is left in the engine is nobody's business.
                self.evm = engine(self.job, self.blobs);
                return Err(error);
            }
        };
        let (reads, writes) = self.end();
        Ok(self.ran(transaction, attempt, reads, writes))
    }

    fn ran(
        &mut self,
        transaction: &VerifiedTransaction,
        attempt: Attempt,
        reads: Reads,
        writes: Writes,
    ) -> Ran {
        let executed = attempt.is_ok();
        let receipt = receipt(transaction, attempt, 0);
        Ran {
            bits: self.bits.of(&receipt),
            executed,
            receipt,
            reads,
            writes,
        }
    }

    /// The same for a transaction whose turn has not come: it may see what never was, so whatever
    /// goes wrong, a panic included, only means that it has to run again. What it wrote is
    /// published.
    pub(super) fn run_ahead(&mut self, index: usize) -> Option<Ran> {
        catch_unwind(AssertUnwindSafe(|| self.run(index)))
            .unwrap_or_else(|_| {
                self.evm = engine(self.job, self.blobs);
                Err(ExecutionError::NoTransaction(index))
            })
            .ok()
    }

    /// The engine for the rest of the block, in one journal: it sees what versions below `at` have
    /// written.
    pub(super) fn into_rest(mut self, at: Version) -> ChainEvm<'a, View<'a>, ()> {
        // A new one: what the gate remembers of the state was seen at another version.
        self.evm = engine(self.job, self.blobs);
        self.begin(at);
        if let Some(gate) = self.evm.precompiles.gate.as_mut() {
            gate.keeps_journal = true;
        }
        self.evm
    }
}

fn engine<'a>(job: &'a Job, blobs: &'a BlobView<'a>) -> ChainEvm<'a, View<'a>, ()> {
    let block = &job.block;
    let base = job
        .executor
        .database(block.state.as_ref(), block.hashes.as_ref());
    let view = View::new(&job.memory, base);
    let cfg = job.executor.config().cfg_env();
    let mut evm = job.executor.evm(blobs, view, cfg, &block.context, ());
    if let Some(gate) = evm.precompiles.gate.as_mut() {
        gate.settle_open(job.gate_open);
    }
    evm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_the_filter() {
        for n in 0u64..500 {
            let item = alloy_primitives::keccak256(n.to_be_bytes());
            let item = &item[..usize::try_from(n % 32).unwrap() + 1];
            let (mut ours, mut theirs) = (Bloom::ZERO, Bloom::ZERO);
            bits_of(item)
                .into_iter()
                .for_each(|bit| set_bit(&mut ours, bit));
            theirs.m3_2048(item);
            assert_eq!(ours, theirs, "item {n}");
        }
    }
}
