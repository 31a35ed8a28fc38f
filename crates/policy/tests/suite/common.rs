//! Runs scripts for tests.

use hawser_crypto::Suite;
use hawser_policy::{Budget, Engine, Failure, Limit, Report, Verdict, facts::Facts};

/// Runs a script on facts.
pub(crate) fn run_on(source: &str, facts: &Facts, budget: Budget) -> Report {
    let engine = Engine::new(Suite::Intl);
    let script = engine
        .script(source)
        .unwrap_or_else(|e| panic!("{e}\n{source}"));
    script.run(&script.input(facts).unwrap(), budget)
}

/// Runs a script on an empty transaction with the largest budget.
pub(crate) fn run(source: &str) -> Report {
    run_on(source, &Facts::default(), largest())
}

pub(crate) fn largest() -> Budget {
    Budget {
        steps: 200_000,
        memory: 4 << 20,
        calls: 16,
    }
}

/// What an expression is, as `repr` shows it: it is carried out in a verdict's reason.
pub(crate) fn value(expr: &str) -> String {
    body(&format!("    return flag(repr({expr}))"))
}

/// The reason of the flag that a function's body returns, or the failure's text.
pub(crate) fn body(body: &str) -> String {
    let report = run(&format!("def check(tx):\n{body}\n"));
    match (report.failure, report.verdicts.as_slice()) {
        (Some(failure), _) => format!("! {failure}"),
        (None, [Verdict::Flag { reason }]) => reason.clone(),
        (None, other) => panic!("{other:?}"),
    }
}

/// The limit that a script runs into.
pub(crate) fn limit(report: &Report) -> Option<Limit> {
    match &report.failure {
        Some(Failure::Exceeded { limit }) => Some(*limit),
        None => None,
        Some(other) => panic!("not a limit: {other}"),
    }
}
