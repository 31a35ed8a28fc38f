//! Seeds that every change must pass, and proofs that a run is a function of its seed.

use hawser_simulation::{Faults, Outcome, Plan, World, minimise, simulate};

fn run(plan: Plan) -> Outcome {
    let seed = plan.seed;
    match simulate(&plan) {
        Ok(outcome) => outcome,
        Err(violation) => panic!("{violation}\nrepeat with: hawser-sim --seed {seed}"),
    }
}

/// Seeds are split over tests so that they run on all cores.
fn range(from: u64, to: u64) {
    for seed in from..to {
        let outcome = run(Plan::draw(seed));
        let executed = outcome.executed;
        assert!(executed >= 20, "seed {seed} executed {executed}");
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
fn a_block_that_was_judged_before_its_proposal_came_is_voted_for_in_every_later_round() {
    // Two liars name blocks of their own in the first rounds; the verdict on an honest block, whose
    // votes came before its proposal, found no room among those, and one validator never voted for it.
    run(Plan {
        chains: 1,
        ..Plan::draw(401)
    });
}

#[test]
fn the_swarm_draws_every_kind_of_fault_and_never_too_many_faulty_validators() {
    let plans: Vec<_> = (1..400).map(Plan::draw).collect();
    assert!(plans.iter().all(Plan::is_tolerable));
    type Kind = (&'static str, fn(&Plan) -> bool);
    let kinds: [Kind; 18] = [
        ("several chains", |p| p.chains > 1),
        ("loss", |p| p.faults.loss_per_mille > 0),
        ("duplicate", |p| p.faults.duplicate_per_mille > 0),
        ("hold", |p| p.faults.hold_per_mille > 0),
        ("crash", |p| p.faults.crash_per_million > 0),
        ("partition", |p| p.faults.partition_every_ms > 0),
        ("one way", |p| p.faults.one_way_per_mille > 0),
        ("flap", |p| p.faults.flap_per_mille > 0),
        ("skew", |p| p.faults.clock_skew_ms_max > 0),
        ("jump", |p| p.faults.jump_every_ms > 0),
        ("slow disk", |p| p.faults.sync_ms_max > 0),
        ("disk error", |p| p.faults.disk_error_per_mille > 0),
        ("full disk", |p| p.faults.full_every_ms > 0),
        ("rolling", |p| p.faults.rolling_every_ms > 0),
        ("byzantine", |p| p.byzantine > 0),
        ("rotten", |p| p.rotten > 0),
        ("upgrade", |p| p.upgrade),
        ("bandwidth", |p| p.egress_bytes_per_s > 0),
    ];
    for (name, has) in kinds {
        let with = plans.iter().filter(|plan| has(plan)).count();
        assert!((10..395).contains(&with), "{with} of 399 have {name}");
    }
}

#[test]
fn without_faults_nothing_waits_for_a_timer() {
    for nodes in [4, 7] {
        let outcome = run(Plan {
            nodes,
            faulty_ms: 20_000,
            ..Plan::calm(1)
        });
        assert_eq!(outcome.crashes, 0);
        // All was submitted long before the first phase ends, and is executed by then or within
        // the pause of the last client.
        assert!(outcome.healed_ms < 2_000, "{}", outcome.healed_ms);
    }
}

#[test]
fn crashes_alone_lose_nothing() {
    for seed in 100..104 {
        let outcome = run(Plan {
            faults: Faults {
                crash_per_million: 5_000,
                delay_ms_max: 5,
                ..Faults::default()
            },
            faulty_ms: 20_000,
            transactions: 60,
            ..Plan::calm(seed)
        });
        assert!(outcome.crashes > 0);
    }
}

#[test]
fn partitions_alone_heal() {
    for seed in 200..204 {
        run(Plan {
            faults: Faults {
                partition_every_ms: 1_500,
                one_way_per_mille: 300,
                flap_per_mille: 300,
                delay_ms_max: 20,
                ..Faults::default()
            },
            faulty_ms: 20_000,
            transactions: 60,
            ..Plan::calm(seed)
        });
    }
}

#[test]
fn disks_that_fail_fill_up_and_are_slow_lose_nothing() {
    let mut failures = 0;
    for seed in 500..504 {
        let outcome = run(Plan {
            faults: Faults {
                disk_error_per_mille: 6,
                full_every_ms: 3_000,
                sync_ms_max: 30,
                tail_flip_per_mille: 500,
                crash_per_million: 1_000,
                delay_ms_max: 20,
                ..Faults::default()
            },
            faulty_ms: 20_000,
            transactions: 60,
            ..Plan::calm(seed)
        });
        failures += outcome.disk_failures;
    }
    assert!(failures >= 10, "only {failures} disk failures");
}

#[test]
fn damaged_data_are_noticed_and_never_executed() {
    let (mut damaged, mut found) = (0, 0);
    for seed in 600..612 {
        let outcome = run(Plan {
            faults: Faults {
                crash_per_million: 3_000,
                delay_ms_max: 20,
                ..Faults::default()
            },
            faulty_ms: 15_000,
            healing_ms: 90_000,
            transactions: 40,
            rotten: 1,
            ..Plan::calm(seed)
        });
        damaged += outcome.damaged;
        found += outcome.damage_found;
    }
    // What is damaged in the last record of a file cannot be told from a torn end.
    assert!(damaged >= 6 && found * 2 > damaged, "{found} of {damaged}");
}

#[test]
fn clocks_that_jump_stop_nothing() {
    for seed in 700..704 {
        run(Plan {
            faults: Faults {
                jump_every_ms: 1_500,
                jump_ms_max: 4_000,
                clock_skew_ms_max: 500,
                delay_ms_max: 20,
                ..Faults::default()
            },
            faulty_ms: 20_000,
            transactions: 60,
            ..Plan::calm(seed)
        });
    }
}

#[test]
fn rolling_restarts_stop_nothing() {
    for seed in 800..804 {
        let outcome = run(Plan {
            faults: Faults {
                rolling_every_ms: 1_000,
                delay_ms_max: 10,
                ..Faults::default()
            },
            faulty_ms: 20_000,
            transactions: 30,
            ..Plan::calm(seed)
        });
        assert!(outcome.crashes >= 8, "{}", outcome.crashes);
        assert!(outcome.healed_ms < 4_000, "{}", outcome.healed_ms);
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
    assert!(changes >= 25, "only {changes} changes took effect");
}

#[test]
fn committee_changes_hold_under_crashes_and_partitions_together() {
    for seed in 400..404 {
        let outcome = run(Plan {
            faults: Faults {
                crash_per_million: 6_000,
                partition_every_ms: 2_500,
                delay_ms_max: 60,
                loss_per_mille: 50,
                ..Faults::default()
            },
            candidates: 2,
            changes: 12,
            transactions: 60,
            faulty_ms: 30_000,
            ..Plan::calm(seed)
        });
        assert!(outcome.crashes > 0 && outcome.changes > 0, "{outcome:?}");
    }
}

#[test]
fn without_faults_every_change_takes_effect_at_once() {
    let outcome = run(Plan {
        candidates: 3,
        observers: 1,
        changes: 6,
        transactions: 30,
        faulty_ms: 40_000,
        ..Plan::calm(2)
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
            observers: 1,
            transactions: 40,
            faulty_ms: 15_000,
            upgrade: true,
            ..Plan::calm(seed)
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

#[test]
fn a_failing_run_is_made_smaller_and_its_text_repeats_it() {
    // Disks that lie about syncs lose blocks at a crash; everything else in this plan is noise.
    let plan = (1..40)
        .map(|seed| Plan {
            mutant: hawser_simulation::Mutant::parse("lying_disk"),
            faults: Faults {
                crash_per_million: 5_000,
                loss_per_mille: 20,
                partition_every_ms: 3_000,
                delay_ms_max: 30,
                ..Faults::default()
            },
            faulty_ms: 10_000,
            ..Plan::calm(seed)
        })
        .find(|plan| World::new(plan.clone()).and_then(World::run).is_err())
        .unwrap();
    let mut steps = 0;
    let minimal = minimise(plan.clone(), &mut |runs, _| {
        steps = runs;
        runs < 150
    })
    .unwrap();
    assert!(minimal.plan.transactions < plan.transactions);
    assert!(minimal.faults <= 3, "{minimal:?}");
    let mut repeated = Plan::draw(minimal.plan.seed);
    repeated
        .apply(&minimal.plan.difference(&Plan::draw(minimal.plan.seed)))
        .unwrap();
    assert_eq!(repeated, minimal.plan);
    let again = World::new(repeated).and_then(World::run);
    assert_eq!(again, Err(minimal.violation));
    assert!(steps <= 150);
}
