//! One block's signatures, verified by several threads.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use hawser_ledger::{Block, VerifiedTransaction};
use hawser_primitives::B256;
use parking_lot::Mutex;

use super::{Input, Verifier};
use crate::replica::Event;

/// Transactions that a thread takes at a time: few enough that threads end together, enough for
/// verification in batches.
const PART: usize = 128;

/// A block whose signatures are to be verified.
pub(super) struct CheckJob {
    pub(super) hash: B256,
    pub(super) block: Arc<Block>,
    pub(super) known: Vec<Option<Arc<VerifiedTransaction>>>,
}

impl CheckJob {
    /// One share for each thread that can help.
    pub(super) fn shares(self, threads: usize) -> impl Iterator<Item = Share> {
        let parts = self.block.transactions.len().div_ceil(PART).max(1);
        let common = Arc::new(Common {
            job: self,
            parts,
            next: AtomicUsize::new(0),
            done: Mutex::default(),
        });
        (0..parts.min(threads.max(1))).map(move |_| Share(Arc::clone(&common)))
    }
}

type Part = Result<Vec<Arc<VerifiedTransaction>>, String>;

struct Common {
    job: CheckJob,
    parts: usize,
    /// The first part that no thread has taken.
    next: AtomicUsize,
    /// Parts that are verified, with their numbers.
    done: Mutex<Vec<(usize, Part)>>,
}

/// A thread's share in verifying a block: it takes parts until none is left.
pub(super) struct Share(Arc<Common>);

impl Share {
    /// Verifies parts. The thread that ends the last one gets the result of all.
    pub(super) fn verify(self, verifier: &Verifier) -> Option<Input> {
        let Common {
            job,
            parts,
            next,
            done,
        } = self.0.as_ref();
        let mut complete = None;
        loop {
            let part = next.fetch_add(1, Ordering::Relaxed);
            if part >= *parts {
                break;
            }
            let first = part.saturating_mul(PART);
            let raws = job.block.transactions.get(first..).unwrap_or_default();
            let raws = raws.get(..PART).unwrap_or(raws);
            let known = job.known.get(first..).unwrap_or_default();
            let verified = verifier.check_part(raws, known, first);
            let mut done = done.lock();
            done.push((part, verified));
            if done.len() == *parts {
                complete = Some(std::mem::take(&mut *done));
            }
        }
        let mut complete = complete?;
        complete.sort_unstable_by_key(|(part, _)| *part);
        let result: Result<Vec<_>, String> = complete.into_iter().map(|(_, part)| part).collect();
        Some(Input::Event(Event::Checked {
            hash: job.hash,
            result: result.map(|parts| Arc::new(parts.into_iter().flatten().collect())),
        }))
    }
}
