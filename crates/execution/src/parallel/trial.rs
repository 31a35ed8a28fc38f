//! A block with threads that only exist in a count of time: what more of them would give, and
//! schedules that no machine repeats, repeated.

use std::{cmp::Reverse, collections::BinaryHeap};

use hawser_primitives::B256;

use super::{
    Figures, Hints, Job, Lane, SharedBlock, Turns, lane::Ran, schedule::Turn, view::BlobView,
};
use crate::{BlockOutput, ExecutionError, Executor};

/// What a block would need with so many threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehearsal {
    /// What it gave: the same as ever.
    pub output: BlockOutput,
    /// Runs, by kind.
    pub figures: Figures,
    /// Time from the first run to the last turn, in runs, if every run takes as long as any other and
    /// checking takes none.
    pub span: u64,
    /// The longest chain that hints see in it.
    pub chain_max: usize,
}

/// Something that ends later: who did it, and with which outcome.
struct Pending {
    index: usize,
    /// `None` within: the run failed. `None` outside: it was the transaction's turn.
    ran: Option<Option<Ran>>,
}

/// Executes a block with `workers` threads of a schedule in which the `n`-th run takes `lasts(n)`.
pub(super) fn rehearse(
    job: &Job,
    seen: &dyn Fn(&B256) -> bool,
    workers: usize,
    lasts: &mut dyn FnMut(u64) -> u64,
) -> Result<(BlockOutput, Figures, u64), ExecutionError> {
    let blobs = BlobView::new(&job.memory, job.block.state.as_ref());
    // One engine serves all: it keeps nothing from run to run.
    let mut lane = Lane::new(job, &blobs);
    let mut turns = Turns::new(job, seen);
    turns.open(&mut lane)?;
    let mut schedule = job.schedule.lock();
    let mut doing: Vec<Option<Pending>> = (0..workers.max(1)).map(|_| None).collect();
    let mut ends: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let (mut now, mut runs) = (0u64, 0u64);
    loop {
        // The first worker gives turns, after the others have taken something: so they see no more
        // than they must.
        for (worker, slot) in doing.iter_mut().enumerate().rev() {
            while worker == 0 && slot.is_none() {
                let (index, ran_ahead) = match schedule.turn() {
                    Turn::Over => {
                        return turns.end().map(|(output, figures)| (output, figures, now));
                    }
                    Turn::Wait => break,
                    Turn::Check(index) => (index, true),
                    Turn::Run(index) => (index, false),
                };
                let before = job.runs();
                let dense = turns.take(&mut lane, index, ran_ahead)?;
                let ran = job.runs() > before;
                if dense {
                    let rest = job.block.transactions.len().saturating_sub(index);
                    let span = now.saturating_add(u64::try_from(rest).unwrap_or_default());
                    let (output, figures) = turns.in_order(lane, index.saturating_add(1))?;
                    return Ok((output, figures, span));
                }
                if ran {
                    ends.push(Reverse((now.saturating_add(lasts(runs)), worker)));
                    runs = runs.saturating_add(1);
                    *slot = Some(Pending { index, ran: None });
                } else {
                    schedule.done(index);
                    schedule.pass();
                }
            }
            if slot.is_none()
                && let Some(index) = schedule.take()
            {
                let ran = job.run_ahead(&mut lane, index);
                ends.push(Reverse((now.saturating_add(lasts(runs)), worker)));
                runs = runs.saturating_add(1);
                *slot = Some(Pending {
                    index,
                    ran: Some(ran),
                });
            }
        }
        let Some(Reverse((end, worker))) = ends.pop() else {
            return Err(ExecutionError::Engine(
                "nobody has anything to do".to_owned(),
            ));
        };
        now = end;
        let Some(Pending { index, ran }) = doing.get_mut(worker).and_then(Option::take) else {
            continue;
        };
        match ran {
            Some(ran) => {
                job.keep(index, ran);
                schedule.done(index);
            }
            None => {
                schedule.done(index);
                schedule.pass();
            }
        }
    }
}

impl Executor {
    /// Executes a block as so many threads would if each run took one unit of time, on this thread
    /// alone: for measuring what they would gain. `gives_up` as blocks are executed in earnest, not
    /// to see how it would go on. `None` where the block is one chain, or its gate cannot be read.
    pub fn rehearse(
        &self,
        block: SharedBlock,
        seen_unordered: &dyn Fn(&B256) -> bool,
        threads: usize,
        gives_up: bool,
    ) -> Result<Option<Rehearsal>, ExecutionError> {
        let Some(hints) = Hints::of(block.transactions(), self.natives()) else {
            return Ok(None);
        };
        let Some(job) = Job::new(self.alone(), block, &hints, gives_up) else {
            return Ok(None);
        };
        let (output, figures, span) = rehearse(&job, seen_unordered, threads, &mut |_| 1)?;
        Ok(Some(Rehearsal {
            output,
            figures,
            span,
            chain_max: hints.chain_max,
        }))
    }

    /// Executes a block on `threads` threads whether that pays or not, and says what it needed: for
    /// measuring.
    pub fn execute_on(
        &self,
        threads: &super::Threads,
        block: SharedBlock,
        seen_unordered: &dyn Fn(&B256) -> bool,
        gives_up: bool,
    ) -> Result<Option<(BlockOutput, Figures)>, ExecutionError> {
        let Some(hints) = Hints::of(block.transactions(), self.natives()) else {
            return Ok(None);
        };
        let Some(job) = Job::new(self.alone(), block, &hints, gives_up) else {
            return Ok(None);
        };
        super::shared(threads, job, seen_unordered).map(Some)
    }
}
