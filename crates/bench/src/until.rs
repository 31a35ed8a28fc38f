//! When a run ends before it is done.

use std::{future::Future, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{BenchError, Result};

/// The signals that end a run, caught from [`Signals::listen`] on.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Catches SIGINT and SIGTERM.
    pub(crate) fn listen() -> Result<Self> {
        let handler = |kind| signal(kind).map_err(BenchError::io("cannot wait for signals"));
        Ok(Self {
            interrupt: handler(SignalKind::interrupt())?,
            terminate: handler(SignalKind::terminate())?,
        })
    }

    /// Runs something for at most `limit_s` seconds and until a signal comes. Dropping the future of a session ends
    /// its processes.
    pub(crate) async fn bound(
        mut self,
        limit_s: u64,
        running: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        tokio::select! {
            done = running => done,
            _ = self.interrupt.recv() => Err(BenchError::Interrupted),
            _ = self.terminate.recv() => Err(BenchError::Interrupted),
            () = tokio::time::sleep(Duration::from_secs(limit_s)) => Err(BenchError::TimeIsUp(limit_s)),
        }
    }
}
