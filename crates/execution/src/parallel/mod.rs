//! One block on several threads, with the result of running it in order.
//!
//! ```text
//! helpers   take the earliest transaction that may run, run it on what earlier ones have written so
//!           far, publish what it writes                                         (lane, memory, view)
//! turns     in order: what has run is checked, what read something else than it would read now runs
//!           again, what has not run runs                                         (job)
//! ```
//! A transaction that has its turn sees exactly what those before it left, and one whose reads hold
//! would do the same again; so receipts, changes and everything else are those of the serial order.
//! Which transactions run when is a matter of speed alone: hints (which accounts a transaction names)
//! make it wait for those that it will probably meet, and a block in which most meet runs in order,
//! from the beginning or from where that shows.
//!
//! What is not shared: gas, quotas and replay are counted at the turn; content and code are named by
//! their hash; the gate's caches are keyed by the hash of what they hold.

mod collect;
mod hints;
mod job;
mod lane;
mod memory;
mod pool;
mod schedule;
mod trial;
mod view;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, thread};

use hawser_ledger::{
    VerifiedTransaction,
    state::{Changes, StateError, StateRead},
};
use hawser_primitives::B256;
use revm::state::EvmState;

pub use job::Figures;
pub use pool::{EXECUTION_THREADS_MAX, Threads};
pub(crate) use schedule::Patience;
pub use trial::Rehearsal;

use crate::{BlockContext, BlockHashes, BlockOutput, ExecutionError, Executor, database::StateDb};
use hints::Hints;
use job::{Job, Turns};
use lane::Lane;
use memory::{Memory, version_of};
use view::{BlobView, View, Writes};

/// Fewest threads with which a block is shared.
pub const SHARED_THREADS_MIN: usize = 4;
/// Fewest transactions of a block that is shared.
pub const SHARED_TRANSACTIONS_MIN: usize = 128;

/// What a run by itself costs, what a turn costs, and what a run in order costs, by measurement
/// (docs/adr/0013).
const COSTS: (usize, usize, usize) = (12, 2, 10);

/// A block that threads may share: everything is owned.
#[derive(Clone)]
pub struct SharedBlock {
    /// The block.
    pub context: BlockContext,
    /// Its transactions in order.
    pub transactions: Arc<Vec<Arc<VerifiedTransaction>>>,
    /// The state after its parent.
    pub state: Arc<dyn StateRead>,
    /// Hashes of earlier blocks.
    pub hashes: Arc<dyn BlockHashes>,
}

impl SharedBlock {
    pub(super) fn transactions(&self) -> impl ExactSizeIterator<Item = &VerifiedTransaction> {
        self.transactions.iter().map(AsRef::as_ref)
    }
}

/// Whether sharing a block that may be shared gains anything, by its longest chain.
const fn pays(count: usize, chain_max: usize, threads: usize) -> bool {
    let (run, turn, in_order) = COSTS;
    let spread = match count.saturating_mul(run).checked_div(threads) {
        Some(spread) => spread,
        None => return false,
    };
    let chain = chain_max.saturating_mul(run);
    let span = if chain > spread { chain } else { spread };
    span.saturating_add(count.saturating_mul(turn)) < count.saturating_mul(in_order)
}

/// A view of a state under a block whose one transaction is run apart, and the changes that come of
/// it: the path that a transaction takes on a helper, for whoever compares it with another.
pub(crate) struct Apart {
    memory: Memory,
}

impl Apart {
    pub(crate) fn new() -> Self {
        Self {
            memory: Memory::default(),
        }
    }

    pub(crate) fn view<'a>(&'a self, base: StateDb<'a>) -> View<'a> {
        let mut view = View::new(&self.memory, base);
        view.begin(version_of(0));
        view
    }

    pub(crate) fn changes(
        &self,
        state: &dyn StateRead,
        view: &mut View<'_>,
        after: EvmState,
    ) -> Result<Changes, StateError> {
        let reads = view.take_reads(BTreeMap::new());
        let writes = Writes::of(after, &reads, BTreeMap::new());
        self.memory.publish(version_of(0), &writes);
        collect::collect(&self.memory, state, version_of(1), Writes::default())
    }
}

/// Stops helpers whatever happens to the thread that gives turns.
struct Stop<'a>(&'a Job);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.schedule.lock().stop();
        self.0.moved.notify_all();
    }
}

impl Executor {
    /// The same executor with threads to share blocks among; see [`Self::execute_shared`].
    #[must_use]
    pub fn with_threads(mut self, threads: Threads) -> Self {
        self.threads = threads;
        self
    }

    /// Executes a block as [`Self::execute_block`] does, on several threads where that is faster:
    /// with [`SHARED_THREADS_MIN`] threads, [`SHARED_TRANSACTIONS_MIN`] transactions, and not too
    /// many of them on the same accounts. The result is the same.
    pub fn execute_shared(
        &self,
        block: SharedBlock,
        seen_unordered: &dyn Fn(&B256) -> bool,
    ) -> Result<BlockOutput, ExecutionError> {
        let (count, threads) = (block.transactions.len(), self.threads.count());
        if threads >= SHARED_THREADS_MIN
            && count >= SHARED_TRANSACTIONS_MIN
            && self.patience.lock().tries()
            && let Some(hints) = Hints::of(block.transactions(), self.natives())
            && pays(count, hints.chain_max, threads)
            && let Some(job) = Job::new(self.alone(), block.clone(), &hints, true)
        {
            let (output, figures) = shared(&self.threads, job, seen_unordered)?;
            self.patience.lock().tried(figures.in_order > 0);
            return Ok(output);
        }
        self.in_order(
            block.state.as_ref(),
            block.hashes.as_ref(),
            block.context,
            block.transactions(),
            seen_unordered,
        )
    }

    /// The same executor without threads.
    fn alone(&self) -> Self {
        self.clone().with_threads(Threads::default())
    }
}

/// Executes a block with the help of threads.
fn shared(
    threads: &Threads,
    job: Job,
    seen: &dyn Fn(&B256) -> bool,
) -> Result<(BlockOutput, Figures), ExecutionError> {
    let mut job = Arc::new(job);
    let result = {
        let stop = Stop(&job);
        let blobs = BlobView::new(&job.memory, job.block.state.as_ref());
        let mut lane = Lane::new(&job, &blobs);
        let mut turns = Turns::new(&job, seen);
        turns.open(&mut lane)?;
        threads.invite(&job);
        let result = turns.run(lane);
        drop(stop);
        result
    };
    // Nobody may hold the state when the caller goes on: it may close what lies below. Helpers are at
    // most one transaction away from leaving.
    loop {
        match Arc::try_unwrap(job) {
            Ok(_) => return result,
            Err(held) => job = held,
        }
        thread::yield_now();
    }
}
