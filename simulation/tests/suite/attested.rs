//! Attesters that lie, collude, keep silent: what must hold on a chain that takes a quorum's word.

use hawser_crypto::Suite;
use hawser_ledger::Verification;
use hawser_simulation::{Faults, Load, Outcome, Plan, World};

fn plan(seed: u64, nodes: usize) -> Plan {
    Plan {
        nodes,
        suite: Suite::Intl,
        faults: Faults {
            delay_ms_max: 5,
            ..Faults::default()
        },
        faulty_ms: 1_500,
        transactions: 0,
        candidates: 0,
        observers: 0,
        changes: 0,
        verification: Verification::Quorum,
        load: Some(Load {
            node: 0,
            transactions: 400,
            at_once: 40,
            every_ms: 30,
        }),
        ..Plan::calm(seed)
    }
}

fn run(plan: Plan) -> Outcome {
    let seed = plan.seed;
    let outcome = World::new(plan).and_then(World::run);
    outcome.unwrap_or_else(|violation| panic!("seed {seed}: {violation}"))
}

#[test]
fn batches_are_taken_on_the_word_of_a_quorum_and_everything_is_executed() {
    for (seed, nodes) in [(1, 4), (2, 7), (3, 10)] {
        let outcome = run(plan(seed, nodes));
        assert_eq!(outcome.executed, 400);
        assert!(outcome.trusted >= 10, "{nodes} nodes: {outcome:?}");
        assert_eq!(outcome.convicted, 0);
    }
}

#[test]
fn where_all_verify_nothing_is_taken_on_anybodys_word() {
    let outcome = run(Plan {
        verification: Verification::All,
        ..plan(1, 4)
    });
    assert_eq!((outcome.executed, outcome.trusted), (400, 0));
}

#[test]
fn a_false_attestation_of_up_to_f_validators_never_gets_into_a_block_and_convicts_them() {
    for (nodes, liars) in [(4, 1), (7, 2), (10, 3)] {
        for seed in 20..24 {
            // The world ends with a violation if a forged transaction becomes final.
            let outcome = run(Plan {
                liars,
                forgeries: 6,
                ..plan(seed, nodes)
            });
            assert!(outcome.executed >= 400, "{outcome:?}");
            // Nobody took the forged batches on trust, so no sample had to find them.
            assert_eq!(outcome.found_by_samples, 0, "seed {seed}: {outcome:?}");
            assert!(
                outcome.convicted >= nodes - liars,
                "seed {seed}: {outcome:?}"
            );
        }
    }
}

#[test]
fn f_plus_one_colluders_are_found_by_samples_and_convicted_on_every_honest_node() {
    let (mut found, mut both) = (0, 0);
    for seed in 40..46 {
        let outcome = run(Plan {
            liars: 2,
            forgeries: 6,
            audit_per_mille: 1_000,
            ..plan(seed, 4)
        });
        // The maker at least, by both honest nodes.
        assert!(outcome.convicted >= 2, "seed {seed}: {outcome:?}");
        found += outcome.found_by_samples;
        both += usize::from(outcome.convicted == 4);
    }
    assert!(found > 0, "no batch was believed");
    assert!(both > 0, "nobody but makers was convicted");
}

#[test]
fn attesters_that_keep_silent_delay_nothing_for_long() {
    for (nodes, mute_attesters) in [(4, 1), (4, 4), (7, 2)] {
        let outcome = run(Plan {
            mute_attesters,
            ..plan(5, nodes)
        });
        assert_eq!(outcome.executed, 400);
        assert!(outcome.healed_ms < 2_000, "{outcome:?}");
    }
}

#[test]
fn attestation_holds_every_oracle_under_crashes_loss_and_partitions() {
    for seed in 60..66 {
        let drawn = Plan::draw(seed);
        let outcome = run(Plan {
            verification: Verification::Quorum,
            load: Some(Load {
                node: 1,
                transactions: 200,
                at_once: 40,
                every_ms: 500,
            }),
            ..drawn
        });
        assert!(outcome.executed >= 220, "seed {seed}: {outcome:?}");
    }
}
