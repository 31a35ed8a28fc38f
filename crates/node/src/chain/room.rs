//! Whether a chain's pool takes what clients bring, known before anything is spent on it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{ChainObserver, SubmitError};
use crate::pool::{Pool, PoolError};

/// Shared by the chain's thread, which knows, and those who hand transactions in.
pub(super) struct Room {
    /// How many wait in a pool that takes no more; 0 where there is room.
    waiting: AtomicUsize,
    observer: Arc<dyn ChainObserver>,
}

impl Room {
    pub(super) fn new(observer: Arc<dyn ChainObserver>) -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            observer,
        }
    }

    /// Notes how it is.
    pub(super) fn note(&self, pool: &Pool) {
        let waiting = if pool.has_room_for_clients() {
            0
        } else {
            pool.len()
        };
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    /// Refuses where there is none. Under twice the load that a machine executes, verifying what is refused afterwards
    /// would cost it the half of what it executes.
    pub(super) fn check(&self) -> Result<(), SubmitError> {
        match self.waiting.load(Ordering::Relaxed) {
            0 => Ok(()),
            waiting => {
                let error = PoolError::Full { waiting };
                self.observer.refused(error.reason());
                Err(error.into())
            }
        }
    }
}
