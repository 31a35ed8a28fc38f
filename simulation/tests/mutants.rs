//! Every safety rule that can be broken on purpose is noticed when it is. Needs the feature `mutants`.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use hawser_ledger::mutants::Rule;
use hawser_simulation::{Faults, Misdeed, Misdeeds, Mutant, Plan, World};

/// Seeds tried until one notices.
const SEEDS: u64 = 40;

/// A world in which the rule matters, and the names of the rules that may be found broken.
fn world(mutant: Mutant, seed: u64) -> (Plan, &'static [&'static str]) {
    let crashes = Faults {
        crash_per_million: 8_000,
        delay_ms_max: 100,
        loss_per_mille: 100,
        ..Faults::default()
    };
    let calm = Faults {
        delay_ms_max: 20,
        ..Faults::default()
    };
    let base = |faults, misdeeds: &[Misdeed]| Plan {
        faults,
        faulty_ms: 10_000,
        healing_ms: 60_000,
        transactions: 30,
        byzantine: usize::from(!misdeeds.is_empty()),
        misdeeds: Misdeeds::of(misdeeds),
        mutant: Some(mutant),
        ..Plan::calm(seed)
    };
    let rough = Faults {
        crash_per_million: 0,
        loss_per_mille: 250,
        partition_every_ms: 800,
        flap_per_mille: 500,
        ..crashes
    };
    match mutant {
        Mutant::SkipPersist => (base(calm, &[]), &["persist before send"]),
        Mutant::ForgetVotes => (base(crashes, &[]), &["double vote", "double proposal"]),
        Mutant::VoteTwice => (base(calm, &[]), &["double vote"]),
        Mutant::IgnoreLock => (base(rough, &[Misdeed::Equivocate]), &["lock"]),
        Mutant::SkipPolka => (base(calm, &[]), &["precommit without prevotes"]),
        Mutant::LyingDisk => (
            base(crashes, &[]),
            &["durability", "restart", "double vote", "double proposal"],
        ),
        Mutant::OutOfOrder => (base(calm, &[]), &["stopped"]),
        Mutant::DropTransaction => (base(calm, &[]), &["state", "stopped"]),
        Mutant::TransactionSignature => (base(calm, &[Misdeed::BadBlocks]), &["validity"]),
        Mutant::OldCommittee => (
            Plan {
                candidates: 2,
                changes: 6,
                faulty_ms: 30_000,
                transactions: 60,
                ..base(calm, &[])
            },
            &["settings", "outsider", "certificate"],
        ),
        Mutant::SkipStore => (base(crashes, &[]), &["durability", "restart", "stopped"]),
        Mutant::KeepEverything => (
            Plan {
                transactions: 200,
                faulty_ms: 60_000,
                ..base(calm, &[Misdeed::Flood])
            },
            &["memory"],
        ),
        Mutant::Inner(rule) => match rule {
            Rule::CertificateQuorum
            | Rule::CertificateOnce
            | Rule::CertificateSignature
            | Rule::SyncCertificate => (base(calm, &[Misdeed::FalseSync]), &["certificate"]),
            Rule::VoteSignature | Rule::PolkaQuorum | Rule::PolkaSignature => (
                base(rough, &[Misdeed::Forge, Misdeed::Equivocate]),
                &["precommit without prevotes", "certificate", "agreement"],
            ),
            Rule::BlockParent | Rule::BlockTime | Rule::BlockLimits => {
                (base(calm, &[Misdeed::BadBlocks]), &["validity"])
            }
            Rule::BlockRoots => (base(calm, &[Misdeed::BadBlocks]), &["validity", "stopped"]),
            Rule::BlockCommittee => (base(calm, &[Misdeed::BadBlocks]), &["settings"]),
            Rule::UnorderedOnce => (base(calm, &[Misdeed::BadBlocks]), &["executed once"]),
        },
    }
}

/// The first seed that notices a mutant, and what it says.
fn killer(mutant: Mutant) -> Option<(u64, String)> {
    (1..=SEEDS).find_map(|seed| {
        let (plan, rules) = world(mutant, seed);
        let violation = World::new(plan).and_then(World::run).err()?;
        rules
            .contains(&violation.rule())
            .then(|| (seed, violation.rule().to_owned()))
    })
}

#[test]
fn every_mutant_is_killed_by_the_rule_that_it_breaks() {
    let mut survivors = Vec::new();
    for mutant in Mutant::all() {
        match killer(mutant) {
            Some((seed, rule)) => println!("{}: seed {seed}, {rule}", mutant.name()),
            None => survivors.push(mutant.name()),
        }
    }
    assert!(survivors.is_empty(), "not noticed: {survivors:?}");
}

#[test]
fn the_same_worlds_hold_without_a_mutant() {
    for mutant in Mutant::all() {
        let (plan, _) = world(mutant, 1);
        let plan = Plan {
            mutant: None,
            ..plan
        };
        let result = World::new(plan).and_then(World::run);
        assert!(result.is_ok(), "{}: {result:?}", mutant.name());
    }
}
