//! Signing on all processors, before the clock starts. Nothing depends on how many there are.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use hawser_crypto::SecretKey;

use crate::{
    error::{BenchError, Result},
    progress::Bar,
};

/// Whether signing is still wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Ends the signing that looks at this.
    pub(crate) fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Fails once it is raised.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(BenchError::Interrupted);
        }
        Ok(())
    }
}

/// Signs `each` transactions of every account; `sign` gets the account's number and key and the transaction's number,
/// from 0. In the order of accounts, and of each in order; `signed` hears of every account that is done.
///
/// # Errors
/// [`BenchError::Interrupted`] when `stop` is raised, and what `sign` fails with.
pub(crate) fn sign<T: Send>(
    keys: &[SecretKey],
    each: usize,
    stop: &Stop,
    signed: &(dyn Fn(u64) + Sync),
    sign: &(dyn Fn(usize, &SecretKey, usize) -> Result<T> + Sync),
) -> Result<Vec<Vec<T>>> {
    let lane = |account: usize, key: &SecretKey| -> Result<Vec<T>> {
        let mut lane = Vec::with_capacity(each);
        for index in 0..each {
            stop.check()?;
            lane.push(sign(account, key, index)?);
        }
        signed(each as u64);
        Ok(lane)
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let per_thread = keys.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let running: Vec<_> = keys
            .chunks(per_thread)
            .enumerate()
            .map(|(chunk, keys)| {
                let lane = &lane;
                let first = chunk.saturating_mul(per_thread);
                scope.spawn(move || -> Result<Vec<_>> {
                    let numbered = keys.iter().enumerate();
                    numbered.map(|(i, key)| lane(first + i, key)).collect()
                })
            })
            .collect();
        let mut lanes = Vec::with_capacity(keys.len());
        for thread in running {
            let failed = |_| BenchError::Target("a signing thread failed".to_owned());
            lanes.extend(thread.join().map_err(failed)??);
        }
        Ok(lanes)
    })
}

/// Runs a signing beside the runtime, with progress in `bar`. Dropping the future stops it.
///
/// # Errors
/// What the signing fails with.
pub(crate) async fn in_background<T: Send + 'static>(
    bar: Bar,
    signing: impl FnOnce(&Stop, &(dyn Fn(u64) + Sync)) -> Result<T> + Send + 'static,
) -> Result<T> {
    /// Raised when the future is dropped, so that an interrupted run ends at once.
    struct Raise(Stop);
    impl Drop for Raise {
        fn drop(&mut self) {
            self.0.raise();
        }
    }
    let raise = Raise(Stop::default());
    let (stop, counting) = (raise.0.clone(), bar.clone());
    let signed =
        tokio::task::spawn_blocking(move || signing(&stop, &|count| counting.advance(count)));
    let signed = signed
        .await
        .map_err(|error| BenchError::Target(format!("signing: {error}")))?;
    bar.done();
    signed
}
