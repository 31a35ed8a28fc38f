//! The threads that help to execute blocks.

use std::{
    fmt, io,
    num::NonZeroUsize,
    sync::{Arc, Weak},
    thread::{self, JoinHandle},
};

use crossbeam_channel::{Sender, unbounded};
use parking_lot::Mutex;

use super::job::Job;

/// Most threads that one block is shared among.
pub const EXECUTION_THREADS_MAX: usize = 256;

/// How many threads execute a block, and the threads. Clones share them; those of several chains may
/// be the same. Threads beside the one that asks are started when a block first needs them, named
/// `parallel-1` and so on, and end with the last clone.
#[derive(Clone)]
pub struct Threads(Arc<Inner>);

struct Inner {
    count: usize,
    pool: Mutex<Option<Pool>>,
}

struct Pool {
    /// Invitations to a block. One that is over is answered by nobody. `None` while it ends.
    invite: Option<Sender<Weak<Job>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Default for Threads {
    /// One: blocks run in order on the thread that asks.
    fn default() -> Self {
        Self::new(1)
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Threads").field(&self.0.count).finish()
    }
}

impl Threads {
    /// So many threads, the one that asks counted, at most [`EXECUTION_THREADS_MAX`]; 0 means as many
    /// as the machine runs at once.
    #[must_use]
    pub fn new(count: usize) -> Self {
        let count = match count {
            0 => thread::available_parallelism().map_or(1, NonZeroUsize::get),
            count => count,
        };
        Self(Arc::new(Inner {
            count: count.min(EXECUTION_THREADS_MAX),
            pool: Mutex::new(None),
        }))
    }

    /// How many, the one that asks counted.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.count
    }

    /// Asks all threads to help with a block. Where none can be started the block gets no help.
    pub(super) fn invite(&self, job: &Arc<Job>) {
        let mut pool = self.0.pool.lock();
        let helpers = self.0.count.saturating_sub(1);
        if pool.is_none() {
            *pool = Pool::start(helpers).ok();
        }
        let Some(invite) = pool.as_ref().and_then(|pool| pool.invite.as_ref()) else {
            return;
        };
        for _ in 0..helpers {
            // Closed only when the pool ends.
            let _ = invite.send(Arc::downgrade(job));
        }
    }
}

impl Pool {
    fn start(helpers: usize) -> io::Result<Self> {
        let (invite, invitations) = unbounded::<Weak<Job>>();
        let mut pool = Self {
            invite: Some(invite),
            threads: Vec::with_capacity(helpers),
        };
        for n in 1..=helpers {
            let invitations = invitations.clone();
            let work = move || {
                for job in invitations {
                    if let Some(job) = job.upgrade() {
                        job.help();
                    }
                }
            };
            let thread = thread::Builder::new().name(format!("parallel-{n}"));
            pool.threads.push(thread.spawn(work)?);
        }
        Ok(pool)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.invite = None;
        for thread in self.threads.drain(..) {
            // A job holds no clone of the threads that run it, so none of them waits for itself.
            let _ = thread.join();
        }
    }
}
