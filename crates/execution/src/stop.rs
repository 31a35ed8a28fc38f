use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::ExecutionError;

/// Whether the answer to a query is still wanted. Clones are one flag; a new one is not raised.
///
/// Queries look at it between runs, traces at every step, so that a query ends soon after nobody waits for it. Never
/// looked at in the execution of blocks, which depends on nothing but its input.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Says that the answer is not wanted any more. It stays so.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Goes on unless it was raised.
    ///
    /// # Errors
    /// [`ExecutionError::Stopped`]
    pub fn check(&self) -> Result<(), ExecutionError> {
        if self.is_raised() {
            return Err(ExecutionError::Stopped);
        }
        Ok(())
    }
}
