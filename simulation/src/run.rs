//! Many worlds, on all processors.

use std::{
    sync::{Mutex, PoisonError},
    thread,
};

use hawser_crypto::RememberVerdicts;

use crate::{Fleet, Outcome, Plan, Violation, World};

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

/// Runs a plan, all chains of it; several are counted together.
pub fn simulate(plan: &Plan) -> Result<Outcome, Violation> {
    simulate_counted(plan).0
}

/// The same, with the number of single faults that came up, also when a rule was broken.
pub(crate) fn simulate_counted(plan: &Plan) -> (Result<Outcome, Violation>, u32) {
    // Every node of a world verifies what the others do: half of the time, without changing an answer.
    let _remember = RememberVerdicts::new();
    if plan.chains <= 1 {
        return match World::new(plan.clone()) {
            Ok(world) => world.run_counted(),
            Err(violation) => (Err(violation), 0),
        };
    }
    match Fleet::new(plan) {
        Ok(fleet) => {
            let (result, faults) = fleet.run_counted();
            let none = || Violation::new("set-up", "a plan without chains");
            let joined = |all: Vec<Outcome>| all.into_iter().reduce(Outcome::join).ok_or_else(none);
            (result.and_then(joined), faults)
        }
        Err(violation) => (Err(violation), 0),
    }
}

/// Runs plans on `jobs` threads, each twice with `twice`, and hands what came of every one to `each`
/// as it ends. Nothing is kept, so that any number can be run. Says whether a thread could be started.
pub fn run_all(
    plans: &mut (dyn Iterator<Item = Plan> + Send),
    jobs: usize,
    twice: bool,
    each: &(dyn Fn(Ran) + Sync),
) -> bool {
    let plans = Mutex::new(plans);
    let next = || {
        let mut plans = plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.next()
    };
    let work = || {
        while let Some(plan) = next() {
            let result = simulate(&plan);
            let repeats = twice.then(|| simulate(&plan) == result);
            each(Ran {
                plan,
                result,
                repeats,
            });
        }
    };
    thread::scope(|scope| {
        let start = |i: usize| {
            let builder = thread::Builder::new()
                .name(format!("world-{i}"))
                .stack_size(STACK_BYTES);
            // Fewer threads do the same work.
            builder.spawn_scoped(scope, work).is_ok()
        };
        (0..jobs.max(1)).filter(|i| start(*i)).count() > 0
    })
}
