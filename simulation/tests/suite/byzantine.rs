//! Validators that lie: up to a third of them changes nothing.

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
