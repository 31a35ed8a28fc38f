//! Making a failing run smaller: kinds of faults, nodes and work are taken away, then single faults,
//! while the same rule is still broken.

use std::collections::BTreeSet;

use hawser_crypto::Suite;
use hawser_ledger::Verification;

use crate::{Misdeed, Misdeeds, Plan, Violation, run::simulate_counted};

/// A run that still fails and has little in it.
#[derive(Clone, Debug)]
pub struct Minimal {
    /// Its plan.
    pub plan: Plan,
    /// What it breaks.
    pub violation: Violation,
    /// Single faults that are left in it.
    pub faults: usize,
    /// Runs that it took.
    pub runs: usize,
}

struct Search<'a> {
    best: Plan,
    violation: Violation,
    /// Single faults that come up in the best run.
    faults: u32,
    runs: usize,
    may_go_on: &'a mut dyn FnMut(usize, &Plan) -> bool,
}

impl Search<'_> {
    /// Takes a plan over if it breaks the same rule.
    fn try_plan(&mut self, plan: Plan) -> bool {
        if plan == self.best || !(self.may_go_on)(self.runs, &self.best) {
            return false;
        }
        self.runs = self.runs.saturating_add(1);
        let (result, faults) = simulate_counted(&plan);
        match result {
            Err(violation) if violation.rule() == self.violation.rule() => {
                (self.best, self.violation, self.faults) = (plan, violation, faults);
                true
            }
            _ => false,
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Plan)) -> bool {
        let mut plan = self.best.clone();
        change(&mut plan);
        self.try_plan(plan)
    }

    /// Kinds of faults, one after another.
    fn kinds(&mut self) {
        let none: [fn(&mut Plan); 24] = [
            |plan| plan.chains = 1,
            |plan| plan.chains = plan.chains.min(2),
            |plan| plan.faults = crate::Faults::default(),
            |plan| (plan.byzantine, plan.misdeeds) = (0, Misdeeds::default()),
            |plan| plan.rotten = 0,
            |plan| (plan.changes, plan.candidates, plan.observers) = (0, 0, 0),
            |plan| plan.changes = 0,
            |plan| plan.upgrade = false,
            |plan| plan.egress_bytes_per_s = 0,
            |plan| plan.idle_relays = 0,
            |plan| plan.verification = Verification::All,
            |plan| plan.suite = Suite::Intl,
            |plan| plan.faults.crash_per_million = 0,
            |plan| plan.faults.rolling_every_ms = 0,
            |plan| plan.faults.loss_per_mille = 0,
            |plan| plan.faults.duplicate_per_mille = 0,
            |plan| plan.faults.hold_per_mille = 0,
            |plan| plan.faults.delay_ms_max = 1,
            |plan| plan.faults.partition_every_ms = 0,
            |plan| (plan.faults.one_way_per_mille, plan.faults.flap_per_mille) = (0, 0),
            |plan| plan.faults.clock_skew_ms_max = 0,
            |plan| (plan.faults.jump_every_ms, plan.faults.jump_ms_max) = (0, 0),
            |plan| plan.faults.sync_ms_max = 0,
            |plan| {
                plan.faults.disk_error_per_mille = 0;
                plan.faults.full_every_ms = 0;
                plan.faults.tail_flip_per_mille = 0;
            },
        ];
        for change in none {
            self.change(change);
        }
        for misdeed in Misdeed::ALL {
            self.change(|plan| plan.misdeeds = plan.misdeeds.without(misdeed));
        }
        let few = Plan::tolerated(4);
        if self.best.nodes > 4 && self.best.byzantine.saturating_add(self.best.rotten) > few {
            self.change(|plan| {
                (plan.nodes, plan.byzantine, plan.rotten) = (4, plan.byzantine.min(few), 0);
            });
        }
        if self.best.nodes > 4 {
            self.change(|plan| plan.nodes = 4);
        }
    }

    /// Less work and less time, by halves.
    fn amounts(&mut self) {
        while self.best.transactions > 1 && self.change(|plan| plan.transactions /= 2) {}
        while self.best.changes > 1 && self.change(|plan| plan.changes /= 2) {}
        while self.best.faulty_ms > 200 && self.change(|plan| plan.faulty_ms /= 2) {}
    }

    /// Single faults, in ever smaller groups (Zeller and Hildebrandt 2002, without complements).
    fn singles(&mut self) {
        let mut size = usize::try_from(self.faults)
            .unwrap_or(usize::MAX)
            .div_ceil(2);
        while size > 0 {
            let mut at = 0usize;
            loop {
                let left = self.left();
                let group: Vec<_> = left.iter().skip(at).take(size).copied().collect();
                if group.is_empty() {
                    break;
                }
                let taken = self.change(|plan| {
                    let skip: BTreeSet<_> = plan.skip.iter().copied().chain(group).collect();
                    plan.skip = skip.into_iter().collect();
                });
                if !taken {
                    at = at.saturating_add(size);
                }
            }
            size /= 2;
        }
    }

    /// Numbers of the single faults that the best run does not leave out.
    fn left(&self) -> Vec<u32> {
        let skipped: BTreeSet<_> = self.best.skip.iter().copied().collect();
        let all = 0..self.faults;
        all.filter(|number| !skipped.contains(number)).collect()
    }
}

/// Makes a plan that breaks a rule smaller. `may_go_on` gets the number of runs so far and the best
/// plan before each run, and ends the search with `false`.
pub fn minimise(plan: Plan, may_go_on: &mut dyn FnMut(usize, &Plan) -> bool) -> Option<Minimal> {
    let (result, faults) = simulate_counted(&plan);
    let mut search = Search {
        best: plan,
        violation: result.err()?,
        faults,
        runs: 1,
        may_go_on,
    };
    loop {
        let before = search.best.clone();
        search.kinds();
        search.amounts();
        search.singles();
        if search.best == before || !(search.may_go_on)(search.runs, &search.best) {
            break;
        }
    }
    let faults = search.left().len();
    Some(Minimal {
        plan: search.best,
        violation: search.violation,
        faults,
        runs: search.runs,
    })
}
