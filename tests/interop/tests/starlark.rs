//! Scripts mean the same to our evaluator as to the Rust crate `starlark`, asked through PyPI's
//! `starlark-pyo3`: the same value, or both fail. What differs on purpose is in
//! `starlark/differences.txt`, explained in `docs/spec/policy.md`, and has to go on differing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use hawser_crypto::Suite;
use hawser_interop::{Peer, expressions::Generator, repository};
use hawser_policy::{Budget, Engine, Failure, Verdict, facts::Facts};
use serde_json::{Value, json};

/// Longest value that a verdict's reason carries.
const VALUE_BYTES_MAX: usize = 512;
/// Generated expressions, and the seeds that they are made from.
const GENERATED: usize = 6_000;
const SEEDS: [u64; 3] = [1, 2_026, 0x5eed_5eed];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Value(String),
    /// Does not compile, or fails.
    Fails(String),
    /// Runs into a bound, which the other evaluator has not.
    Bound(String),
}

impl Outcome {
    fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Value(a), Self::Value(b)) => a == b,
            (Self::Fails(_), Self::Fails(_)) => true,
            _ => false,
        }
    }
}

fn ours(engine: &Engine, source: &str) -> Outcome {
    let source = format!("{source}\ndef check(tx):\n    return flag(repr(run()))\n");
    let script = match engine.script(&source) {
        Ok(script) => script,
        Err(error) => return Outcome::Fails(error.to_string()),
    };
    let budget = Budget {
        steps: 200_000,
        memory: 4 << 20,
        calls: 16,
    };
    let report = script.run(&script.input(&Facts::default()).unwrap(), budget);
    match (report.failure, report.verdicts.as_slice()) {
        (Some(failure @ Failure::Exceeded { .. }), _) => Outcome::Bound(failure.to_string()),
        (Some(failure), _) => Outcome::Fails(failure.to_string()),
        (None, [Verdict::Flag { reason }]) => Outcome::Value(reason.clone()),
        (None, other) => panic!("{other:?}"),
    }
}

/// What the other evaluator says; `None` where it is not installed.
fn theirs(sources: &[String]) -> Option<Vec<Outcome>> {
    let requests: Vec<Value> = sources.iter().map(|source| json!(source)).collect();
    let answers = Peer::Starlark.ask(&requests)?;
    let outcome = |answer: &Value| match answer["value"].as_str() {
        Some(value) => Outcome::Value(value.to_owned()),
        None => Outcome::Fails(answer["error"].as_str().unwrap().to_owned()),
    };
    Some(answers.iter().map(outcome).collect())
}

fn script(expression: &str) -> String {
    format!("def run():\n    return {expression}\n")
}

/// Expressions after `> ` and scripts between `<<<` and `>>>`.
fn corpus(name: &str) -> Vec<String> {
    let path = repository().join("tests/interop/starlark").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    let (mut out, mut block) = (Vec::new(), None::<String>);
    for line in text.lines() {
        match (&mut block, line) {
            (None, "<<<") => block = Some(String::new()),
            (Some(_), ">>>") => out.extend(block.take()),
            (Some(block), line) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, line) => out.extend(line.strip_prefix("> ").map(script)),
        }
    }
    assert!(block.is_none(), "{name}: a block does not end");
    out
}

fn compare(sources: &[String]) -> Option<Vec<(Outcome, Outcome)>> {
    let theirs = theirs(sources)?;
    let engine = Engine::new(Suite::Intl);
    let ours = sources.iter().map(|source| ours(&engine, source));
    Some(ours.zip(theirs).collect())
}

fn report(source: &str, (ours, theirs): &(Outcome, Outcome)) -> String {
    format!("{source}  ours:   {ours:?}\n  theirs: {theirs:?}\n")
}

#[test]
fn scripts_of_the_corpus_mean_the_same_to_both() {
    let sources = corpus("corpus.txt");
    assert!(sources.len() >= 300, "{} programs", sources.len());
    let Some(outcomes) = compare(&sources) else {
        return;
    };
    let different: Vec<_> = sources
        .iter()
        .zip(&outcomes)
        .filter(|(_, (ours, theirs))| !ours.agrees(theirs))
        .map(|(source, both)| report(source, both))
        .collect();
    let values = outcomes
        .iter()
        .filter(|(ours, _)| matches!(ours, Outcome::Value(_)));
    assert!(
        values.count() > sources.len() / 2,
        "most programs give a value"
    );
    let count = different.len();
    assert_eq!(
        count,
        0,
        "{count} of {}\n{}",
        sources.len(),
        different.join("\n")
    );
}

#[test]
fn what_differs_on_purpose_still_differs() {
    let sources = corpus("differences.txt");
    let Some(outcomes) = compare(&sources) else {
        return;
    };
    for (source, both) in sources.iter().zip(&outcomes) {
        assert!(
            !both.0.agrees(&both.1),
            "no longer differs: {}",
            report(source, both)
        );
    }
}

#[test]
fn expressions_from_seeds_mean_the_same_to_both() {
    let mut sources = Vec::new();
    for seed in SEEDS {
        let mut generator = Generator::new(seed);
        let each = GENERATED / SEEDS.len();
        sources.extend((0..each).map(|_| script(&generator.expression())));
    }
    let Some(outcomes) = compare(&sources) else {
        return;
    };
    let (mut different, mut values, mut failures, mut bounds) = (Vec::new(), 0, 0, 0);
    for (source, both) in sources.iter().zip(&outcomes) {
        match both {
            (Outcome::Bound(_), _) => bounds += 1,
            // A bound of the other's: repetition takes counts of 32 bits.
            (_, Outcome::Fails(why)) if why.contains("too big to fit in i32") => bounds += 1,
            (_, Outcome::Value(value)) if value.len() > VALUE_BYTES_MAX => bounds += 1,
            (ours, theirs) if !ours.agrees(theirs) => different.push(report(source, both)),
            (Outcome::Value(_), _) => values += 1,
            _ => failures += 1,
        }
    }
    println!("{values} values, {failures} failures, {bounds} over a bound");
    assert!(values > GENERATED / 3 && failures > GENERATED / 20, "a mix");
    assert!(bounds < GENERATED / 50, "{bounds} over a bound");
    let count = different.len();
    different.sort_by_key(String::len);
    different.truncate(40);
    assert_eq!(count, 0, "{count} of {GENERATED}\n{}", different.join("\n"));
}
