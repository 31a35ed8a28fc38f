//! `hawser-survival`: faults on a network of real processes, and soaks.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use hawser_survival::bed::Mode;
use hawser_survival::faults::Fault;
use hawser_survival::report::{Machine, Report, date};
use hawser_survival::run::{self, Row};
use hawser_survival::{netns, soak};

/// Faults on a network of real processes.
#[derive(Debug, Parser)]
#[command(
    name = "hawser-survival",
    after_help = "Examples:\n  hawser-survival faults\n  hawser-survival faults --only kill-leader,split\n  hawser-survival soak --hours 2 --seed 7\n  hawser-survival sweep\n\nThe binary under test is HAWSER_BIN, else target/release/hawser."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make every fault once, measure what it did, and judge the whole history.
    Faults {
        /// Only these faults.
        #[arg(long, value_delimiter = ',')]
        only: Vec<Fault>,
        /// Seconds that each fault is held.
        #[arg(long, default_value_t = 6.0)]
        hold: f64,
        /// Seed of links and clients.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// `intl` or `sm`.
        #[arg(long, default_value = "intl")]
        suite: Suite,
        /// Clients that work at the same time.
        #[arg(long, default_value_t = 12)]
        clients: u32,
        /// Without network namespaces, even where they can be had.
        #[arg(long)]
        loopback: bool,
        /// Validators, for the faults of `--only`.
        #[arg(long, default_value_t = 4)]
        nodes: u16,
        /// Under what circumstances this is run, for the report.
        #[arg(long, default_value = "")]
        circumstances: String,
        /// Add to the report that is there.
        #[arg(long)]
        add: bool,
        /// Files to write, without ending.
        #[arg(long, default_value = "docs/reports/faults")]
        report: PathBuf,
    },
    /// Load, faults and changes of membership at random for hours.
    Soak {
        /// How many hours.
        #[arg(long, default_value_t = 1.0)]
        hours: f64,
        /// Seed of everything.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// `intl` or `sm`.
        #[arg(long, default_value = "intl")]
        suite: Suite,
        /// Clients that work at the same time.
        #[arg(long, default_value_t = 8)]
        clients: u32,
        /// Their pause between two operations, in milliseconds.
        #[arg(long, default_value_t = 250)]
        think_ms: u64,
        /// Without network namespaces, even where they can be had.
        #[arg(long)]
        loopback: bool,
        /// Another build of the program: rolling restarts go over to it and back.
        #[arg(long, value_name = "PROGRAM")]
        next: Option<PathBuf>,
        /// Files to write, without ending.
        #[arg(long, default_value = "docs/reports/soak")]
        report: PathBuf,
    },
    /// Remove what runs that were killed have left.
    Sweep,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Suite {
    Intl,
    Sm,
}

impl Suite {
    fn name(self) -> &'static str {
        match self {
            Self::Intl => "intl",
            Self::Sm => "sm",
        }
    }
}

/// Faults that a network of seven is put through as well: those for which the number matters.
const SEVEN: [Fault; 7] = [
    Fault::KillLeader,
    Fault::KillF,
    Fault::KillQuorum,
    Fault::StopLeader,
    Fault::CutLeader,
    Fault::Split,
    Fault::Delay,
];

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    for left in netns::sweep() {
        eprintln!("removed what an earlier run had left: {left}");
    }
    // Interrupted, the futures are dropped, and with them everything that they have made.
    tokio::select! {
        done = perform(arguments.command) => done,
        _ = tokio::signal::ctrl_c() => {
            eprintln!("interrupted; everything is being removed");
            Ok(ExitCode::from(130))
        }
    }
}

fn place(loopback: bool) -> (Mode, Option<String>) {
    let (mode, without) = if loopback {
        (Mode::Loopback, Some("--loopback was asked for".to_owned()))
    } else {
        Mode::best()
    };
    if let Some(reason) = &without {
        eprintln!("no network namespaces: {reason}. Running what needs none.");
    }
    (mode, without)
}

fn show(row: &Row) {
    let state = match (&row.skipped, row.failures.first()) {
        (Some(reason), _) => format!("not run: {reason}"),
        (None, Some(failure)) => format!("NOT AS IT SHOULD BE: {failure}"),
        (None, None) => format!(
            "gap {} ms, resumed {} ms, caught up {} ms, {:.0}/{:.0}/{:.0} per s",
            row.gap_ms,
            row.resumed_ms.unwrap_or_default(),
            row.caught_up_ms,
            row.before_tps,
            row.during_tps,
            row.after_tps
        ),
    };
    eprintln!("{:16} {state}", row.fault);
    for note in &row.notes {
        eprintln!("{:16}   {note}", "");
    }
}

/// The command with which this run can be repeated.
fn repeat() -> String {
    let words: Vec<_> = std::env::args().skip(1).collect();
    format!("hawser-survival {}", words.join(" "))
}

async fn version() -> Result<String> {
    let run = hawser_e2e::hawser(&["--version"], Duration::from_secs(20)).await?;
    Ok(run.stdout.trim().to_owned())
}

async fn perform(command: Command) -> Result<ExitCode> {
    match command {
        Command::Sweep => Ok(ExitCode::SUCCESS),
        Command::Faults {
            only,
            hold,
            seed,
            suite,
            clients,
            loopback,
            nodes,
            circumstances,
            add,
            report,
        } => {
            let (mode, without) = place(loopback);
            let (version, date) = (version().await?, date());
            let mut plans = Vec::new();
            let settings = |nodes, faults, backlog| run::Settings {
                nodes,
                faults,
                hold: Duration::from_secs_f64(hold),
                clients,
                think: Duration::from_millis(100),
                seed,
                suite: suite.name(),
                mode,
                backlog,
                circumstances: circumstances.clone(),
            };
            if only.is_empty() {
                let four = Fault::value_variants().iter();
                // With four, this is the same as one.
                let four = four.filter(|fault| **fault != Fault::KillF).copied();
                plans.push(settings(4, four.collect(), true));
                plans.push(settings(7, SEVEN.to_vec(), false));
            } else {
                plans.push(settings(nodes, only, true));
            }
            let (mut networks, mut command) = (Vec::new(), repeat());
            if add {
                let before = Report::read(&report)?;
                networks = before.networks;
                command = format!("{}; {command}", before.command);
            }
            let mut done = Report {
                command,
                version,
                date,
                machine: Machine::here(),
                mode: match mode {
                    Mode::Namespaces => "namespaces".to_owned(),
                    Mode::Loopback => "loopback".to_owned(),
                },
                without,
                networks,
            };
            for plan in &plans {
                eprintln!("{} validators", plan.nodes);
                done.networks.push(run::network(plan, &mut show).await?);
                // What is known is kept, should the next network fail.
                done.write(&report)
                    .with_context(|| report.display().to_string())?;
            }
            for network in &done.networks {
                eprintln!("{:#?}", network.judgement);
            }
            Ok(verdict(done.is_clean()))
        }
        Command::Soak {
            hours,
            seed,
            suite,
            clients,
            think_ms,
            loopback,
            next,
            report,
        } => {
            let (mode, without) = place(loopback);
            let settings = soak::Settings {
                length: Duration::from_secs_f64(hours * 3_600.0),
                seed,
                clients,
                think: Duration::from_millis(think_ms),
                mode,
                suite: suite.name(),
                next,
                without,
            };
            let mut tell = |event: &soak::Event| {
                eprintln!(
                    "{:7.0} s  {} (gap {} ms)",
                    event.at_s, event.what, event.gap_ms
                );
                for text in event.notes.iter().chain(&event.failures) {
                    eprintln!("           {text}");
                }
            };
            let done = soak::soak(&settings, repeat(), version().await?, &mut tell).await?;
            done.write(&report)
                .with_context(|| report.display().to_string())?;
            eprintln!("{:#?}", done.judgement);
            Ok(verdict(done.is_clean()))
        }
    }
}

fn verdict(clean: bool) -> ExitCode {
    if clean {
        eprintln!("nothing was lost, doubled or out of order, and every bound was kept");
        ExitCode::SUCCESS
    } else {
        eprintln!("something is not as it should be: see the report");
        ExitCode::FAILURE
    }
}
