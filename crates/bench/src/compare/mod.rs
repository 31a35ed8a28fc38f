//! Hawser and development nodes (anvil, Hardhat's) in turns: the same transactions by the same generator, in a closed window.
//!
//! `session` holds the order of events; `reference` runs the others; `setup` puts the token on the chain; `workload` signs
//! everything before the clock starts; `load` sends and `follow` reads the blocks; `verify` compares
//! blocks, receipts and balances; `latency` measures single transactions; `report` and `text` write
//! it down.

mod follow;
pub(crate) mod latency;
pub(crate) mod load;
mod reference;
pub(crate) mod report;
mod session;
mod setup;
mod text;
pub(crate) mod verify;
mod workload;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    args::{BenchArgs, Peer, Plan},
    error::BenchError,
    hardhat::{self, Hardhat},
    network::{self, Anvil},
    proc::Machine,
    progress,
    until::Signals,
};
use hawser_primitives::ChainId;
use report::{Report, Settings};
use session::Session;

pub(crate) use session::make_out;
pub(crate) use text::number;

/// Measures with this `hawser` program and writes `report.json` and `report.md` into `args.out`;
/// the table goes to standard output and progress to standard error.
///
/// Needs a tokio runtime with time, I/O and signals.
///
/// # Errors
/// Every [`BenchError`]; the report is written first, with what was measured until then and marked
/// as void. Processes are ended and data is removed in any case, also on SIGINT and SIGTERM.
pub(crate) async fn run(args: BenchArgs, binary: PathBuf) -> Result<(), BenchError> {
    session::make_out(&args.out)?;
    let plan = Plan::of(&args);
    let anvil = if args.is_against(Peer::Anvil) {
        network::find_anvil(&args.anvil, &binary)?
    } else {
        None
    };
    let hardhat = args
        .is_against(Peer::Hardhat)
        .then(|| hardhat::Program::find(&args.hardhat, &binary))
        .transpose()?;
    let progress = progress::Progress::new();
    if anvil.is_none() && args.anvil == "auto" && args.is_against(Peer::Anvil) {
        progress
            .say("anvil was not found, so it is not compared (`make clients-setup` installs it)");
    }
    let suites = args.suites().len() as u64;
    let peers = u64::from(anvil.is_some()) + u64::from(hardhat.is_some());
    let (expected, limit) = (plan.expected_s(suites, peers), plan.limit_s(suites, peers));
    progress.say(&format!(
        "This takes about {} min and is stopped after {} min. Leave the machine alone meanwhile.",
        expected.div_ceil(60),
        limit.div_ceil(60)
    ));
    let started = Instant::now();
    let mut report = first_page(&args, &plan, &binary, (anvil.as_deref(), hardhat.as_ref()))?;
    if report.machine.filesystem == "tmpfs" {
        progress.say("the report's folder is in memory: nothing measured there is durable");
    }
    let out = args.out.clone();
    let session = Session {
        args,
        plan,
        binary,
        anvil,
        hardhat,
        progress,
    };
    let signals = Signals::listen()?;
    let outcome = signals.bound(limit, session.run(&mut report)).await;
    report.took_s = started.elapsed().as_secs_f64();
    report.valid = outcome.is_ok();
    report.void_because = outcome.as_ref().err().map(ToString::to_string);
    report.write(&out)?;
    println!("{}", text::table(&report));
    println!("{}", out.join("report.md").display());
    outcome
}

/// Everything that is known before the first run.
fn first_page(
    args: &BenchArgs,
    plan: &Plan,
    binary: &Path,
    (anvil, hardhat): (Option<&Path>, Option<&hardhat::Program>),
) -> Result<Report, BenchError> {
    let started = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let arguments: Vec<_> = std::env::args().collect();
    let directory =
        std::fs::canonicalize(&args.out).map_err(BenchError::io(args.out.display().to_string()))?;
    let anvil_arguments = Anvil::arguments(ChainId(0), 0, Path::new("DIR")).join(" ");
    let hardhat_arguments = Hardhat::arguments(ChainId(0), 0).join(" ");
    Ok(Report {
        valid: false,
        void_because: None,
        quick: args.quick,
        started_at: started.as_secs(),
        took_s: 0.0,
        machine: Machine::inspect(&directory)?,
        hawser_version: version(binary),
        anvil_version: anvil.map(version),
        hardhat_version: hardhat.map(hardhat::Program::version),
        command: arguments.join(" "),
        settings: Settings {
            validators: session::NODES,
            pairs: plan.pairs,
            ramp_s: plan.ramp_s,
            seconds: plan.seconds,
            accounts: args.accounts,
            window: args.window,
            batch: args.batch,
            connections: args.connections,
            seed: args.seed,
            durability: "Hawser: every validator syncs its log to the disk per block (fsync: yes); \
                         anvil, Hardhat: memory only",
            signatures: "every transaction is signed by its account beforehand and verified by every \
                         validator; anvil and Hardhat verify once",
            latency_method: format!(
                "from before the request leaves until the transaction is in a block, asked for every {} ms; at \
                 half the rate from the moment a transaction is due until its block is visible",
                latency::POLL.as_millis()
            ),
            anvil: format!("anvil {anvil_arguments}"),
            hardhat: format!(
                "hardhat {hardhat_arguments}; hardhat.config.js: a block per second, no base fee"
            ),
        },
        suites: Vec::new(),
    })
}

/// The first line that a program says about its version.
pub(crate) fn version(program: &Path) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.ok()
        .and_then(|text| text.lines().next().map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned())
}
