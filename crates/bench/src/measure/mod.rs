//! The instrument: workloads on a network, under every kind of load, with faults, into one report.
//!
//! `bed` gets a network and a workload's contract ready; `stage` drives one part after the other and keeps the account
//! of what is used up; `phases` says what the parts are and what they show; `checks` compares the chain with the
//! workload afterwards; `indices` names the figures as the standards do; `model` is what is written down.

mod bed;
mod checks;
pub(crate) mod indices;
pub mod model;
mod phases;
mod saturate;
mod stage;

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use hawser_crypto::Suite;

use crate::args::EnvelopeChoice;
use crate::{
    Language,
    args::{BenchArgs, Lengths},
    compare,
    error::{BenchError, Result},
    proc::Machine,
    progress::Progress,
    report,
    until::Signals,
    work::{self, Choice},
};
use bed::Bed;
use model::{MeasureReport, Settings, WorkloadRun};
use phases::Phases;

/// Measures what the arguments name, and writes `report.html` and `report.json` into `args.out`.
pub(crate) async fn run(args: BenchArgs, binary: PathBuf, language: Language) -> Result<()> {
    let plan = args.measure.check(&args)?;
    compare::make_out(&args.out)?;
    let progress = Progress::in_language(language);
    let expected = plan
        .lengths
        .expected_s(&args, plan.workloads.len(), plan.suites.len());
    progress.say(&match language {
        Language::En => format!(
            "{} workload(s), about {} min. Leave the machine alone meanwhile.",
            plan.workloads.len() * plan.suites.len(),
            expected.div_ceil(60)
        ),
        Language::Zh => format!(
            "共 {} 项负载，约 {} 分钟。期间请勿使用本机。",
            plan.workloads.len() * plan.suites.len(),
            expected.div_ceil(60)
        ),
    });
    let started = Instant::now();
    let mut report = first_page(&args, &binary)?;
    let signals = Signals::listen()?;
    let limit = expected * 4 + 600;
    let out = args.out.clone();
    let session = Session {
        args,
        lengths: plan.lengths,
        binary,
        progress,
    };
    let running = session.run(&plan.suites, &plan.workloads, &mut report);
    let outcome = signals.bound(limit, running).await;
    report.took_s = started.elapsed().as_secs_f64();
    report.valid = outcome.is_ok();
    report.void_because = outcome.as_ref().err().map(ToString::to_string);
    report::write(&report, &out, language)?;
    // A reader that has seen enough, such as `head`, is no failure: the report is written.
    let (table, page) = (report::table(&report, language), out.join("report.html"));
    let _ = writeln!(std::io::stdout(), "{table}\n{}", page.display());
    outcome
}

/// What the arguments come down to.
#[derive(Debug)]
pub(crate) struct MeasurePlan {
    pub(crate) suites: Vec<Suite>,
    pub(crate) workloads: Vec<(String, Choice)>,
    pub(crate) lengths: Lengths,
}

fn first_page(args: &BenchArgs, binary: &Path) -> Result<MeasureReport> {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let out = BenchError::io(args.out.display().to_string());
    let directory = std::fs::canonicalize(&args.out).map_err(out)?;
    let command: Vec<_> = std::env::args().collect();
    let own = args.measure.target.is_empty();
    Ok(MeasureReport {
        valid: false,
        void_because: None,
        quick: args.quick,
        started_at: since.as_secs(),
        took_s: 0.0,
        machine: Machine::inspect(&directory)?,
        hawser_version: compare::version(binary),
        command: command.join(" "),
        settings: Settings {
            validators: own.then_some(args.measure.nodes),
            target: args.measure.target.clone(),
            submit: args.measure.submit,
            batch: args.measure.request_batch(args.batch),
            seconds: Lengths::of(args).seconds,
            accounts: args.accounts,
            seed: args.seed,
        },
        runs: Vec::new(),
    })
}

struct Session {
    args: BenchArgs,
    lengths: Lengths,
    binary: PathBuf,
    progress: Progress,
}

impl Session {
    /// Runs everything; what is done is in the report even when a later part fails.
    async fn run(
        &self,
        suites: &[Suite],
        workloads: &[(String, Choice)],
        report: &mut MeasureReport,
    ) -> Result<()> {
        for suite in suites {
            for (name, choice) in workloads {
                let title = self.progress.text("suite", "套件");
                self.progress.say(&format!("{title} {suite}, {name}"));
                let starting = self.progress.text("starting the network", "启动网络");
                let bar = self.progress.bar(&starting, 0);
                let bed = Bed::make(&self.args.measure, &self.args.out, &self.binary, *suite);
                let mut bed = bed.await?;
                bar.done();
                let mut run = WorkloadRun {
                    suite: bed.suite,
                    workload: name.clone(),
                    envelope: String::new(),
                    records: 1,
                    validators: bed.urls.len(),
                    start: bed.start,
                    saturation: None,
                    levels: Vec::new(),
                    snapshots: None,
                    classes: Vec::new(),
                    overload: None,
                    faults: Vec::new(),
                    queries: None,
                    probes: Vec::new(),
                    checked: model::Checked::default(),
                    indices: Vec::new(),
                };
                let phases = Phases {
                    args: &self.args,
                    lengths: &self.lengths,
                    progress: &self.progress,
                };
                let done = match choice {
                    Choice::Transactions(workload) => {
                        phases
                            .transactions(&mut bed, workload.clone(), &mut run)
                            .await
                    }
                    Choice::Queries => {
                        let token = work::parse("erc20").map_err(BenchError::Target)?;
                        phases.queries(&mut bed, token, &mut run).await
                    }
                };
                run.start = model::Start {
                    apart_ms: run.start.apart_ms,
                    ..bed.start
                };
                run.indices = indices::of(&run);
                report.runs.push(run);
                if let Some(network) = &bed.network {
                    match &done {
                        Ok(()) => network.stop().await?,
                        Err(_) => network.keep_logs(),
                    }
                }
                done?;
            }
        }
        Ok(())
    }
}
