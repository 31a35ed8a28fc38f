//! Time without that in which the machine stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Counts the time in which this process runs: what a machine stands still is no delay of what is measured.
pub(crate) struct Awake {
    ran_us: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Awake {
    /// Looks every `tick`; a look that takes longer than `longest` is a standstill, and counts as that much.
    pub(crate) fn start(tick: Duration, longest: Duration) -> Self {
        let ran_us = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&ran_us);
        let task = tokio::spawn(async move {
            loop {
                let before = Instant::now();
                tokio::time::sleep(tick).await;
                let ran = before.elapsed().min(longest);
                count.fetch_add(u64::try_from(ran.as_micros()).unwrap(), Relaxed);
            }
        });
        Self { ran_us, task }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_micros(self.ran_us.load(Relaxed))
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.task.abort();
    }
}
