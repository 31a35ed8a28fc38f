//! Moves old files of a running chain to the object store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hawser_node::chain::{ChainHandle, work_in_background};
use hawser_node::store::TierRules;

use crate::exit::{Code, OrFail, Result};

/// How often it is looked whether a file has become old enough.
const LOOK: Duration = Duration::from_secs(5);
/// After a failure the next try follows after this …
const RETRY_MIN: Duration = Duration::from_secs(1);
/// … and then after twice as long, up to this.
const RETRY_MAX: Duration = Duration::from_secs(300);
/// How often a thread that waits looks whether it is to stop.
const NAP: Duration = Duration::from_millis(100);

/// Moves files until it is dropped.
pub(super) struct Mover {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Mover {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // It has said what it failed at.
            let _ = thread.join();
        }
    }
}

/// Starts to move the old files of a chain; `None` where there is no store.
pub(super) fn start(handle: &ChainHandle, rules: TierRules) -> Result<Option<Mover>> {
    let store = handle.store();
    let Some(tier) = store.tier().filter(|tier| tier.is_configured()) else {
        return Ok(None);
    };
    let id = store.genesis().chain_id;
    tracing::info!(chain = %id, store = tier.place().unwrap_or_default(),
        after_blocks = rules.after_blocks, "old files of blocks and receipts go to the object store");
    let stop = Arc::new(AtomicBool::new(false));
    let (handle, stopping) = (handle.clone(), Arc::clone(&stop));
    let name = format!("tier-{id}");
    let work = move || {
        work_in_background();
        move_all(&handle, rules, &|| stopping.load(Ordering::Acquire));
    };
    let thread = thread::Builder::new().name(name).spawn(work);
    let thread = Some(thread.context(Code::Failed, "cannot start a thread")?);
    Ok(Some(Mover { stop, thread }))
}

fn move_all(handle: &ChainHandle, rules: TierRules, stop: &dyn Fn() -> bool) {
    let mut retry = RETRY_MIN;
    while !stop() {
        let began = Instant::now();
        match handle.store().move_cold(rules, stop) {
            Ok(Some(moved)) => {
                retry = RETRY_MIN;
                let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::info!(file = moved.file, last = %moved.last, ms,
                    "moved to the object store");
            }
            Ok(None) => rest(LOOK, stop),
            Err(_) if stop() => {}
            Err(error) => {
                tracing::warn!(%error, retry_s = retry.as_secs(),
                    "moving an old file to the object store; it stays here meanwhile");
                rest(retry, stop);
                retry = retry.saturating_mul(2).min(RETRY_MAX);
            }
        }
    }
}

fn rest(how_long: Duration, stop: &dyn Fn() -> bool) {
    let began = Instant::now();
    while began.elapsed() < how_long && !stop() {
        thread::sleep(NAP);
    }
}
