//! What rules cost: `cargo run --release -p hawser-policy --example cost`.
//!
//! For every rule under `examples/policy` the time and the steps per transaction, over its cases,
//! compiled once; then the time per thousand steps of loops, and that of compiling.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::disallowed_types
)]

use std::{fs, hint::black_box, path::Path, time::Instant};

use hawser_crypto::Suite;
use hawser_policy::{Budget, Cases, Engine, Mode, OnExceed, Rule, RuleSet, facts::Facts};

const ROUNDS: u32 = 2_000;

/// Nanoseconds of one run of `work`, the least of five tries.
fn nanos(mut work: impl FnMut()) -> u128 {
    let once = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            work();
        }
        start.elapsed().as_nanos() / u128::from(ROUNDS)
    };
    (0..5).map(|_| once(&mut work)).min().unwrap_or_default()
}

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/policy");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("examples")
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|ext| ext == "star"))
        .collect();
    paths.sort();
    let engine = Engine::new(Suite::Intl);
    let mut rules = Vec::new();
    let mut facts: Vec<Facts> = Vec::new();
    println!(
        "{:<24} {:>6} {:>9} {:>9} {:>11}",
        "rule", "steps", "run µs", "facts µs", "compile µs"
    );
    for path in &paths {
        let source = fs::read_to_string(path).expect("rule");
        let script = engine.script(&source).expect("compiles");
        let cases = fs::read_to_string(path.with_extension("cases.toml")).expect("cases");
        let cases = Cases::parse(&cases).expect("cases").cases;
        let inputs: Vec<_> = cases
            .iter()
            .map(|case| script.input(&case.tx).expect("facts"))
            .collect();
        let count = inputs.len() as u128;
        let steps: u64 = inputs
            .iter()
            .map(|input| script.run(input, Budget::default()).steps)
            .sum();
        let run = nanos(|| {
            for input in &inputs {
                black_box(script.run(input, Budget::default()));
            }
        }) / count;
        let make = nanos(|| {
            for case in &cases {
                let _ = black_box(script.input(&case.tx));
            }
        }) / count;
        let start = Instant::now();
        for n in 0..100 {
            // A source that no cache knows.
            let _ = black_box(Engine::new(Suite::Intl).script(&format!("{source}# {n}\n")));
        }
        let compile = start.elapsed().as_nanos() / 100;
        println!(
            "{:<24} {:>6} {:>9.2} {:>9.2} {:>11.1}",
            path.file_stem().unwrap_or_default().to_string_lossy(),
            u128::from(steps) / count,
            run as f64 / 1_000.0,
            make as f64 / 1_000.0,
            compile as f64 / 1_000.0,
        );
        facts.extend(cases.into_iter().map(|case| case.tx));
        rules.push(Rule {
            name: path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            version: 1,
            script: source,
            mode: Mode::Active,
            budget: Budget::default(),
            on_exceed: OnExceed::Deny,
            order: 0,
        });
    }
    let set = RuleSet::new(&engine, rules).expect("rules");
    let all = nanos(|| {
        for facts in &facts {
            black_box(set.judge(facts));
        }
    }) / facts.len() as u128;
    println!(
        "all {} rules on one transaction: {:.2} µs",
        paths.len(),
        all as f64 / 1_000.0
    );
    for (name, body) in [
        (
            "integer loop",
            "    n = 0\n    for i in range(3000):\n        n = (n + i * 7) % 1000003\n",
        ),
        (
            "calls",
            "    n = 0\n    for i in range(1500):\n        n = f(n)\n",
        ),
        (
            "texts",
            "    s = ''\n    for i in range(300):\n        s = ('%d,' % i) + s[:200]\n",
        ),
    ] {
        let source = format!("def f(n):\n    return n + 1\ndef check(tx):\n{body}");
        let script = engine.script(&source).expect("compiles");
        let input = script.input(&Facts::default()).expect("facts");
        let budget = Budget {
            steps: 200_000,
            memory: 4 << 20,
            calls: 8,
        };
        let steps = script.run(&input, budget).steps;
        let start = Instant::now();
        for _ in 0..200 {
            black_box(script.run(&input, budget));
        }
        let per = start.elapsed().as_nanos() as f64 / 200.0 / steps as f64;
        println!("{name}: {per:.1} µs per thousand steps ({steps} steps)");
    }
}
