//! Seeds that every change must pass, and proofs that a run is a function of its seed.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use hawser_simulation::{Faults, Plan, World};

fn run(plan: Plan) -> hawser_simulation::Outcome {
    let seed = plan.seed;
    match World::new(plan).and_then(World::run) {
        Ok(outcome) => outcome,
        Err(violation) => panic!("{violation}\nrepeat with: hawser-sim --seed {seed}"),
    }
}

/// Seeds are split over tests so that they run on all cores.
fn range(from: u64, to: u64) {
    for seed in from..to {
        let outcome = run(Plan::draw(seed));
        assert!(
            outcome.executed >= 20,
            "seed {seed} executed {}",
            outcome.executed
        );
    }
}

#[test]
fn seeds_1_to_10_hold_every_oracle() {
    range(1, 11);
}

#[test]
fn seeds_11_to_20_hold_every_oracle() {
    range(11, 21);
}

#[test]
fn a_seed_repeats_to_the_same_audit_hash() {
    let plan = Plan::draw(3);
    assert_eq!(run(plan.clone()), run(plan.clone()));
    let other = Plan {
        seed: 4,
        ..plan.clone()
    };
    assert_ne!(run(plan).audit, run(other).audit);
}

#[test]
fn without_faults_nothing_waits_for_a_timer() {
    for nodes in [4, 7] {
        let plan = Plan {
            faults: Faults::default(),
            nodes,
            transactions: 20,
            changes: 0,
            ..Plan::draw(1)
        };
        let outcome = run(plan);
        assert_eq!(outcome.crashes, 0);
        // All was submitted long before the first phase ends, and is executed by then or within
        // the pause of the last client.
        assert!(outcome.healed_ms < 2_000, "{}", outcome.healed_ms);
    }
}

#[test]
fn crashes_alone_lose_nothing() {
    let faults = Faults {
        crash_per_million: 5_000,
        delay_ms_max: 5,
        ..Faults::default()
    };
    for seed in 100..104 {
        let outcome = run(Plan {
            faults,
            faulty_ms: 20_000,
            ..Plan::draw(seed)
        });
        assert!(outcome.crashes > 0);
    }
}

#[test]
fn partitions_alone_heal() {
    let faults = Faults {
        partition_every_ms: 1_500,
        delay_ms_max: 20,
        ..Faults::default()
    };
    for seed in 200..204 {
        run(Plan {
            faults,
            ..Plan::draw(seed)
        });
    }
}

#[test]
fn committee_and_parameters_change_under_all_faults() {
    let mut changes = 0;
    for seed in 300..306 {
        let outcome = run(Plan {
            candidates: 3,
            observers: 1,
            changes: 10,
            ..Plan::draw(seed)
        });
        changes += outcome.changes;
    }
    assert!(changes >= 30, "only {changes} changes took effect");
}

#[test]
fn committee_changes_hold_under_crashes_and_partitions_together() {
    let faults = Faults {
        crash_per_million: 6_000,
        partition_every_ms: 2_500,
        delay_ms_max: 60,
        loss_per_mille: 50,
        ..Faults::default()
    };
    for seed in 400..404 {
        let outcome = run(Plan {
            faults,
            candidates: 2,
            changes: 12,
            faulty_ms: 30_000,
            ..Plan::draw(seed)
        });
        assert!(outcome.crashes > 0 && outcome.changes > 0, "{outcome:?}");
    }
}

#[test]
fn without_faults_every_change_takes_effect_at_once() {
    let outcome = run(Plan {
        faults: Faults::default(),
        candidates: 3,
        observers: 1,
        changes: 6,
        transactions: 30,
        faulty_ms: 40_000,
        ..Plan::draw(2)
    });
    assert!(outcome.changes >= 4, "{outcome:?}");
    assert!(outcome.healed_ms < 2_000, "{outcome:?}");
}

#[test]
fn a_chain_goes_over_to_a_new_protocol_version_and_old_programs_stop_until_they_are_replaced() {
    for seed in 300..304 {
        let outcome = run(Plan {
            faults: Faults {
                delay_ms_max: 20,
                ..Faults::default()
            },
            nodes: 4,
            candidates: 0,
            observers: 1,
            transactions: 40,
            changes: 0,
            upgrade: true,
            ..Plan::draw(seed)
        });
        assert_eq!(outcome.changes, 1);
        // Two of four validators had the newer program, which is no quorum: the chain waited for
        // the others. Every old program stopped exactly once.
        assert_eq!(outcome.upgraded, 2, "seed {seed}");
        assert!(outcome.executed >= 41, "seed {seed}: {}", outcome.executed);
    }
}

#[test]
fn an_upgrade_under_faults_holds_every_oracle() {
    for seed in 310..314 {
        let outcome = run(Plan {
            transactions: 60,
            upgrade: true,
            ..Plan::draw(seed)
        });
        assert!(outcome.upgraded >= 1, "seed {seed}");
    }
}
