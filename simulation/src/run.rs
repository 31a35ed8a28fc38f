//! Many worlds, on all processors.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::{Outcome, Plan, Violation, World};

/// Room for the deepest calls of contracts.
const STACK_BYTES: usize = 32 * 1024 * 1024;

/// What came of a plan.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The plan.
    pub plan: Plan,
    /// How it ended.
    pub result: Result<Outcome, Violation>,
    /// Whether a second run gave the same; `None` where there was none.
    pub repeats: Option<bool>,
}

fn run(plan: &Plan) -> Result<Outcome, Violation> {
    World::new(plan.clone()).and_then(World::run)
}

/// Runs plans on `jobs` threads, each twice with `twice`, and tells `each` of every one as it ends.
/// Returns them in the order of the plans; whoever could not be run, for want of a thread, is left out.
pub fn run_all(plans: &[Plan], jobs: usize, twice: bool, each: &(dyn Fn(&Ran) + Sync)) -> Vec<Ran> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Ran)>> = Mutex::default();
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(plan) = plans.get(at) else {
                return;
            };
            let result = run(plan);
            let repeats = twice.then(|| run(plan) == result);
            let ran = Ran {
                plan: plan.clone(),
                result,
                repeats,
            };
            each(&ran);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.push((at, ran));
        }
    };
    thread::scope(|scope| {
        for i in 0..jobs.max(1) {
            let builder = thread::Builder::new()
                .name(format!("world-{i}"))
                .stack_size(STACK_BYTES);
            // Fewer threads do the same work.
            let _ = builder.spawn_scoped(scope, work);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, ran)| ran).collect()
}
