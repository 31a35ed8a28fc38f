//! Validators that lie: up to a third changes nothing, more is found.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use hawser_simulation::{Faults, Misdeed, Misdeeds, Outcome, Plan, World};

fn plan(seed: u64, nodes: usize, misdeeds: &[Misdeed]) -> Plan {
    let mut plan = Plan {
        nodes,
        faults: Faults {
            delay_ms_max: 20,
            ..Faults::default()
        },
        faulty_ms: 6_000,
        transactions: 30,
        byzantine: Plan::tolerated(nodes),
        misdeeds: Misdeeds::of(misdeeds),
        ..Plan::calm(seed)
    };
    plan.healing_ms = plan.bound_ms() + 40_000;
    plan
}

fn run(plan: Plan) -> Outcome {
    let seed = plan.seed;
    let outcome = World::new(plan).and_then(World::run);
    outcome.unwrap_or_else(|violation| panic!("seed {seed}: {violation}"))
}

#[test]
fn each_misdeed_of_up_to_f_validators_is_tolerated() {
    for misdeed in Misdeed::ALL {
        for (seed, nodes) in [(1, 4), (2, 4), (3, 7)] {
            let outcome = run(plan(seed, nodes, &[misdeed]));
            assert!(outcome.executed >= 30, "{misdeed:?}: {outcome:?}");
            assert!(outcome.misdeeds > 0, "{misdeed:?} did nothing");
        }
    }
}

#[test]
fn all_misdeeds_together_are_tolerated() {
    for seed in 10..14 {
        let outcome = run(plan(seed, 4, &Misdeed::ALL));
        assert!(outcome.executed >= 30, "{outcome:?}");
    }
}

#[test]
fn equivocators_are_reported_by_those_who_saw_both() {
    let reported: usize = (20..26)
        .map(|seed| run(plan(seed, 4, &[Misdeed::Equivocate])).reported)
        .sum();
    assert!(reported > 0, "nobody noticed");
}

#[test]
fn two_equivocators_of_four_are_found_and_named() {
    let mut found = 0;
    for seed in 30..36 {
        let plan = Plan {
            // Both halves of the network are told at the same time, so neither hears of the other's
            // block before it has its own.
            faults: Faults::default(),
            byzantine: 2,
            ..plan(seed, 4, &[Misdeed::Equivocate])
        };
        assert!(!plan.is_tolerable());
        match World::new(plan).and_then(World::run) {
            Ok(outcome) => {
                panic!("seed {seed} passes with half of the validators lying: {outcome:?}")
            }
            Err(violation) if violation.rule() == "agreement" => {
                let (_, names) = violation.0.split_once("signed both certificates:").unwrap();
                // Both, in the certificates and among those who signed twice.
                assert_eq!(names.matches("0x").count(), 4, "{violation}");
                found += 1;
            }
            // A correct node may stop by itself before, because what is final contradicts it.
            Err(violation) => assert_eq!(violation.rule(), "stopped", "{violation}"),
        }
    }
    assert!(found >= 3, "{found} of 6 ended with two certificates");
}
