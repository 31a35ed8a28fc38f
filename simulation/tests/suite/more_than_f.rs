//! More than a third of the validators lies. Nothing can be promised then but that every correct node
//! notices, says what happened and who signed, and stops.

use std::collections::BTreeSet;

use hawser_simulation::{Faults, Misdeed, Misdeeds, Outcome, Plan, simulate};

fn plan(seed: u64, byzantine: usize, misdeed: Misdeed) -> Plan {
    Plan {
        faults: Faults {
            delay_ms_max: 1,
            ..Faults::default()
        },
        faulty_ms: 8_000,
        transactions: 30,
        byzantine,
        misdeeds: Misdeeds::of(&[misdeed]),
        ..Plan::calm(seed)
    }
}

/// Runs in which two blocks of one height became final, or in which a correct node gave up.
fn hopeless(seeds: std::ops::Range<u64>, byzantine: usize, misdeed: Misdeed) -> Vec<Outcome> {
    let mut found = Vec::new();
    for seed in seeds {
        match simulate(&plan(seed, byzantine, misdeed)) {
            Ok(outcome) if outcome.fork.is_some() || !outcome.ended.is_empty() => {
                found.push(outcome);
            }
            // Liars did no harm, or too many kept silent: nothing can move then.
            Ok(_) => {}
            Err(violation) => assert_eq!(violation.rule(), "liveness", "seed {seed}: {violation}"),
        }
    }
    found
}

#[test]
fn two_equivocators_of_four_make_two_final_blocks_and_every_correct_node_stops_and_names_them() {
    let runs = hopeless(1..9, 2, Misdeed::Equivocate);
    let forks: Vec<_> = runs.iter().filter_map(|run| run.fork.as_ref()).collect();
    assert!(forks.len() >= 3, "only {} of 8 runs forked", forks.len());
    for outcome in &runs {
        let fork = outcome.fork.as_ref().unwrap();
        let liars: BTreeSet<_> = fork.byzantine.iter().copied().collect();
        let both: BTreeSet<_> = fork.signed_both.iter().copied().collect();
        assert_eq!(both, liars, "the oracle's count");
        let nodes: Vec<_> = outcome.ended.iter().map(|(node, _)| *node).collect();
        assert_eq!(nodes, [0, 1], "all correct nodes stopped");
        for (node, words) in &outcome.ended {
            assert!(words.contains("two blocks of height"), "{node}: {words}");
            for liar in &liars {
                assert!(words.contains(&liar.to_string()), "{node}: {words}");
            }
            assert!(words.contains("Keep this data folder"), "{node}: {words}");
        }
    }
}

#[test]
fn a_quorum_of_liars_that_certifies_what_is_forged_or_contradicts_stops_the_correct_node() {
    let runs = hopeless(1..25, 3, Misdeed::FalseSync);
    let said = |part: &str| {
        let words = runs.iter().flat_map(|run| &run.ended);
        words.filter(|(_, words)| words.contains(part)).count()
    };
    // SY-7: a forged transaction under a certificate.
    assert!(said("is final but invalid") > 0, "{runs:?}");
    // SY-11: a certified block that follows another than the tip.
    assert!(said("two conflicting blocks are final") > 0, "{runs:?}");
    for outcome in &runs {
        assert_eq!(outcome.ended.len(), 1, "the one correct node");
    }
}

#[test]
fn with_a_third_of_liars_no_node_ever_gives_up() {
    for seed in 1..5 {
        let outcome = simulate(&Plan {
            misdeeds: Misdeeds::of(&[Misdeed::Equivocate, Misdeed::FalseSync, Misdeed::BadBlocks]),
            ..plan(seed, 1, Misdeed::Equivocate)
        });
        let outcome = outcome.unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        assert!(outcome.fork.is_none() && outcome.ended.is_empty());
        assert!(outcome.executed >= 30);
    }
}
