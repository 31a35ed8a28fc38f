//! Runs simulation seeds and prints what is needed to repeat a failing one.

use std::{
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use hawser_simulation::{Outcome, Plan, Ran, minimise, run_all};
use indicatif::{ProgressBar, ProgressStyle};

/// Failing seeds that are made smaller; the others are only named.
const MINIMISED_MAX: usize = 3;

/// Simulates networks under faults drawn from seeds and checks what must hold.
#[derive(Parser)]
#[command(
    name = "hawser-sim",
    after_help = "Examples:\n  \
        hawser-sim --seeds 100\n  \
        hawser-sim --seed 42 --twice\n  \
        hawser-sim --seed 42 --plan loss=0,partition=0,skip=3-9\n  \
        hawser-sim --seeds 50 --plan byzantine=2,nodes=7,misdeeds=equivocate+forge"
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
    /// Changes to the plans that the seeds draw: name=value, separated by commas.
    #[arg(long, default_value = "")]
    plan: String,
    /// Run every seed twice and compare the audit hashes.
    #[arg(long)]
    twice: bool,
    /// Worlds that run at a time; 0 for one on each processor.
    #[arg(long, default_value_t = 0)]
    jobs: usize,
    /// Print a line for every seed.
    #[arg(long)]
    verbose: bool,
    /// Longest search for a smaller run that fails like a failing one, in seconds; 0 for none.
    #[arg(long, default_value_t = 120)]
    minimise_s: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: --plan: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<usize, String> {
    let (first, count) = match arguments.seed {
        Some(seed) => (seed, 1),
        None => (arguments.first, arguments.seeds),
    };
    let mut plans = Vec::new();
    for seed in first..first.saturating_add(count) {
        let mut plan = Plan::draw(seed);
        plan.apply(&arguments.plan)?;
        plans.push(plan);
    }
    let jobs = match arguments.jobs {
        0 => thread::available_parallelism().map_or(1, usize::from),
        jobs => jobs,
    };
    let bar = progress(plans.len());
    let started = Instant::now();
    let verbose = arguments.verbose || arguments.seed.is_some();
    let each = |ran: &Ran| {
        if verbose || ran.result.is_err() || ran.repeats == Some(false) {
            bar.suspend(|| report(ran));
        }
        bar.inc(1);
    };
    let all = run_all(&plans, jobs, arguments.twice, &each);
    let took = started.elapsed();
    bar.finish_and_clear();
    let is_bad = |ran: &&Ran| ran.result.is_err() || ran.repeats == Some(false);
    let bad: Vec<_> = all.iter().filter(is_bad).collect();
    summary(&all, bad.len(), took, jobs);
    let missing = plans.len().saturating_sub(all.len());
    if missing > 0 {
        println!("{missing} seeds were not run: no thread could be started");
    }
    if arguments.minimise_s > 0 {
        let broken = bad.iter().filter(|ran| ran.result.is_err());
        for ran in broken.take(MINIMISED_MAX) {
            shrink(ran, Duration::from_secs(arguments.minimise_s));
        }
    }
    Ok(bad.len().saturating_add(missing))
}

fn progress(count: usize) -> ProgressBar {
    let bar = ProgressBar::new(count as u64);
    // Drawn on a terminal only.
    let style = "{bar:40} {pos}/{len} seeds, {per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}

/// The command that repeats a plan.
fn command(plan: &Plan) -> String {
    let changes = plan.difference(&Plan::draw(plan.seed));
    match changes.is_empty() {
        true => format!("hawser-sim --seed {}", plan.seed),
        false => format!("hawser-sim --seed {} --plan {changes}", plan.seed),
    }
}

fn report(ran: &Ran) {
    let (plan, seed) = (&ran.plan, ran.plan.seed);
    match &ran.result {
        Ok(o) => println!(
            "seed {seed}: ok, {} nodes, {}, height {}, {} transactions, {} changes, {} events, {} crashes \
             ({} by the disk), {} misdeeds ({}), first block {}, settled {} ms after the faults, audit {}",
            plan.nodes,
            plan.suite,
            o.height,
            o.executed,
            o.changes,
            o.events,
            o.crashes,
            o.disk_failures,
            o.misdeeds,
            plan.misdeeds,
            match o.first_block_ms {
                Some(ms) => format!("{ms} ms"),
                None => "owed by nobody".to_owned(),
            },
            o.healed_ms,
            o.audit
        ),
        Err(violation) => {
            println!("seed {seed}: VIOLATION {violation}");
            println!("  repeat with: {}", command(plan));
        }
    }
    if ran.repeats == Some(false) {
        println!("seed {seed}: NOT DETERMINISTIC, two runs differ");
    }
}

fn summary(all: &[Ran], bad: usize, took: Duration, jobs: usize) {
    let good: Vec<&Outcome> = all
        .iter()
        .filter_map(|ran| ran.result.as_ref().ok())
        .collect();
    let sum = |of: fn(&Outcome) -> u64| good.iter().map(|o| of(o)).sum::<u64>();
    let most = |of: fn(&Outcome) -> u64| good.iter().map(|o| of(o)).max().unwrap_or(0);
    let hours = sum(|o| o.simulated_ms) as f64 / 3_600_000.0;
    let seconds = took.as_secs_f64().max(0.001);
    println!("{} passed, {bad} failed", all.len().saturating_sub(bad));
    println!(
        "{hours:.2} simulated hours in {seconds:.1} s with {jobs} at a time: {:.2} hours per minute",
        hours * 60.0 / seconds
    );
    println!(
        "{} blocks, {} transactions, {} events, {} crashes ({} by the disk), {} misdeeds, {} changes, {} upgrades, \
         {} of {} damaged disks noticed",
        sum(|o| o.height.0),
        sum(|o| o.executed as u64),
        sum(|o| o.events),
        sum(|o| o.crashes),
        sum(|o| o.disk_failures),
        sum(|o| o.misdeeds),
        sum(|o| o.changes as u64),
        sum(|o| o.upgraded),
        sum(|o| o.damage_found),
        sum(|o| o.damaged),
    );
    println!(
        "longest after the faults: {} ms to the first block, {} ms until all was executed everywhere",
        most(|o| o.first_block_ms.unwrap_or(0)),
        most(|o| o.healed_ms),
    );
    let peak = good
        .iter()
        .fold(None, |peak: Option<hawser_node::replica::Sizes>, o| {
            Some(peak.map_or(o.peak, |peak| peak.max(o.peak)))
        });
    if let Some(peak) = peak {
        let list = peak.list().map(|(name, value)| format!("{name} {value}"));
        println!("most that a node held: {}", list.join(", "));
    }
}

/// Makes a failing run smaller and prints how to repeat it.
fn shrink(ran: &Ran, limit: Duration) {
    let started = Instant::now();
    let bar = ProgressBar::new_spinner();
    let mut may_go_on = |runs: usize, best: &Plan| {
        bar.set_message(format!("{runs} runs, {}", command(best)));
        bar.tick();
        started.elapsed() < limit
    };
    let found = minimise(ran.plan.clone(), &mut may_go_on);
    bar.finish_and_clear();
    let seed = ran.plan.seed;
    match found {
        Some(minimal) => {
            println!(
                "seed {seed}, made smaller in {} runs, {} single faults left: {}",
                minimal.runs, minimal.faults, minimal.violation
            );
            println!("  repeat with: {}", command(&minimal.plan));
        }
        None => println!("seed {seed} does not fail again: NOT DETERMINISTIC"),
    }
}
