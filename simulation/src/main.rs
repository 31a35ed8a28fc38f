//! Runs simulation seeds and prints what is needed to repeat a failing one.

use std::process::ExitCode;

use clap::Parser;
use hawser_simulation::{Plan, World};

/// Simulates networks under faults drawn from seeds and checks what must hold.
#[derive(Parser)]
#[command(
    name = "hawser-sim",
    after_help = "Examples:\n  hawser-sim --seeds 100\n  hawser-sim --seed 42 --twice"
)]
struct Arguments {
    /// Number of seeds to run, from --first on.
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// First seed.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Run one seed only.
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    seed: Option<u64>,
    /// Run every seed twice and compare the audit hashes.
    #[arg(long)]
    twice: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (first, count) = match arguments.seed {
        Some(seed) => (seed, 1),
        None => (arguments.first, arguments.seeds),
    };
    let mut failed = 0u64;
    for seed in first..first.saturating_add(count) {
        let plan = Plan::draw(seed);
        let run = || World::new(plan.clone()).and_then(World::run);
        let outcome = run();
        let repeated = arguments.twice.then(run);
        match &outcome {
            Ok(o) => println!(
                "seed {seed}: ok, {} nodes, {}, height {}, {} transactions, {} changes, {} events, {} crashes, \
                 settled {} ms after the faults, audit {}",
                plan.nodes,
                plan.suite,
                o.height,
                o.executed,
                o.changes,
                o.events,
                o.crashes,
                o.healed_ms,
                o.audit
            ),
            Err(violation) => {
                failed = failed.saturating_add(1);
                println!("seed {seed}: VIOLATION {violation}");
                println!("  plan: {plan:?}");
                println!("  repeat with: hawser-sim --seed {seed}");
            }
        }
        if repeated.is_some_and(|repeated| repeated != outcome) {
            failed = failed.saturating_add(1);
            println!("seed {seed}: NOT DETERMINISTIC, two runs differ");
        }
    }
    println!("{} passed, {failed} failed", count.saturating_sub(failed));
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
