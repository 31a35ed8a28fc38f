//! Several chains on the same nodes: each holds what it must, and none takes what was said on another.

use std::collections::BTreeSet;

use hawser_simulation::{Faults, Fleet, Misdeed, Misdeeds, Outcome, Plan, simulate};

fn run(plan: &Plan) -> Vec<Outcome> {
    let outcomes = Fleet::new(plan).and_then(Fleet::run);
    outcomes.unwrap_or_else(|violation| panic!("seed {}: {violation}", plan.seed))
}

fn plan(seed: u64, chains: usize) -> Plan {
    Plan {
        chains,
        faults: Faults {
            delay_ms_max: 20,
            ..Faults::default()
        },
        faulty_ms: 8_000,
        transactions: 30,
        ..Plan::calm(seed)
    }
}

#[test]
fn chains_of_the_same_nodes_share_crashes_partitions_clocks_and_full_disks_and_lose_nothing() {
    let mut crashes = 0;
    for seed in 1..5 {
        let outcomes = run(&Plan {
            faults: Faults {
                crash_per_million: 4_000,
                partition_every_ms: 2_500,
                clock_skew_ms_max: 300,
                jump_every_ms: 3_000,
                jump_ms_max: 1_500,
                full_every_ms: 5_000,
                tail_flip_per_mille: 500,
                loss_per_mille: 30,
                delay_ms_max: 40,
                ..Faults::default()
            },
            healing_ms: 90_000,
            ..plan(seed, 3)
        });
        assert_eq!(outcomes.len(), 3);
        for outcome in &outcomes {
            assert!(outcome.executed >= 30, "seed {seed}: {outcome:?}");
            crashes += outcome.crashes;
        }
        // They are different chains, not one three times.
        let audits: BTreeSet<_> = outcomes.iter().map(|one| one.audit).collect();
        assert_eq!(audits.len(), 3);
    }
    assert!(crashes > 20, "only {crashes} crashes");
}

#[test]
fn what_liars_say_on_one_chain_counts_nowhere_else() {
    let mut misdeeds = 0;
    for seed in 10..14 {
        let plan = Plan {
            byzantine: 1,
            misdeeds: Misdeeds::of(&[Misdeed::Replay, Misdeed::Equivocate]),
            healing_ms: 90_000,
            ..plan(seed, 2)
        };
        for outcome in run(&plan) {
            assert!(outcome.executed >= 30, "{outcome:?}");
            misdeeds += outcome.misdeeds;
        }
    }
    assert!(misdeeds > 100, "only {misdeeds} misdeeds");
}

#[test]
fn a_new_protocol_version_of_one_chain_replaces_the_program_of_all() {
    let outcomes = run(&Plan {
        upgrade: true,
        faulty_ms: 15_000,
        transactions: 40,
        ..plan(20, 2)
    });
    let upgraded: u64 = outcomes.iter().map(|one| one.upgraded).sum();
    assert_eq!(upgraded, 2, "two of four had the old program");
    assert!(outcomes.iter().all(|one| one.executed >= 40));
}

#[test]
fn a_plan_of_several_chains_repeats_to_the_same_audit_hash() {
    let plan = Plan {
        chains: 2,
        ..Plan::draw(5)
    };
    let first = simulate(&plan).unwrap_or_else(|violation| panic!("{violation}"));
    assert_eq!(Ok(first), simulate(&plan));
}
