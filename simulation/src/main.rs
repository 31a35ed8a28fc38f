//! Runs simulation seeds and prints what is needed to repeat a failing one.

mod tally;

use std::{
    process::ExitCode,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use hawser_simulation::{Plan, Ran, minimise, run_all};
use indicatif::{ProgressBar, ProgressStyle};

use tally::{Tally, is_bad};

/// Failing seeds that are made smaller; the others are only named.
const MINIMISED_MAX: usize = 3;

/// Simulates networks under faults drawn from seeds and checks what must hold.
#[derive(Parser)]
#[command(
    name = "hawser-sim",
    after_help = "Examples:\n  \
        hawser-sim --seeds 100\n  \
        hawser-sim --seeds 10000 --jobs 1\n  \
        hawser-sim --from 5001 --seeds 5000\n  \
        hawser-sim --seed 42 --twice\n  \
        hawser-sim --seed 42 --plan loss=0,partition=0,skip=3-9\n  \
        hawser-sim --seeds 50 --plan byzantine=2,nodes=7,misdeeds=equivocate+forge"
)]
struct Arguments {
    /// Number of seeds to run, from --from on.
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// First seed.
    #[arg(long, visible_alias = "first", default_value_t = 1)]
    from: u64,
    /// Run one seed only.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
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

fn run(arguments: &Arguments) -> Result<u64, String> {
    let (first, count) = match arguments.seed {
        Some(seed) => (seed, 1),
        None => (arguments.from, arguments.seeds),
    };
    // Tried once, so that each seed can rely on it.
    Plan::draw(first).apply(&arguments.plan)?;
    let mut plans = (first..first.saturating_add(count)).map(|seed| {
        let mut plan = Plan::draw(seed);
        let _ = plan.apply(&arguments.plan);
        plan
    });
    let jobs = match arguments.jobs {
        0 => thread::available_parallelism().map_or(1, usize::from),
        jobs => jobs,
    };
    let bar = progress(count);
    let verbose = arguments.verbose || arguments.seed.is_some();
    let tally = Mutex::new(Tally::new(count));
    let each = |ran: Ran| {
        if verbose || is_bad(&ran) {
            bar.suspend(|| report(&ran));
        }
        bar.inc(1);
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.add(ran);
        if let Some(line) = tally.progress()
            && bar.is_hidden()
        {
            println!("{line}");
        }
    };
    run_all(&mut plans, jobs, arguments.twice, &each);
    bar.finish_and_clear();
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{}", tally.summary(jobs));
    if arguments.minimise_s > 0 {
        let broken = tally.kept().iter().filter(|ran| ran.result.is_err());
        for ran in broken.take(MINIMISED_MAX) {
            shrink(ran, Duration::from_secs(arguments.minimise_s));
        }
    }
    Ok(tally.failed())
}

fn progress(count: u64) -> ProgressBar {
    let bar = ProgressBar::new(count);
    // Drawn on a terminal only; elsewhere lines say how far it is.
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
            "seed {seed}: ok, {} chains, {} nodes, {}, height {}, {} transactions, {} changes, {} events, {} crashes \
             ({} by the disk), {} misdeeds ({}), first block {}, settled {} ms after the faults, audit {}",
            plan.chains,
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
