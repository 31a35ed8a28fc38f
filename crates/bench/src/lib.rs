//! The benchmark of networks: what `hawser bench` does.
//!
//! For: [`BenchArgs`] (its arguments) and [`run`]. Not for: tests of correctness (though every run voids its own result
//! when a check fails), or simulated worlds.
//!
//! Two things can be asked for. Without a workload, `compare` runs four validators and anvil or another development node in
//! turns with the same transactions. With one, `measure` puts a network under every kind of load: `work` knows the workloads, `drive` sends
//! them open-loop, `faults` kills validators, `sample` looks at processes, and `report` writes it all down. Both share
//! `network`, which starts and ends processes, `probe`, which sends what must be refused, and `seed`.
//!
//! # Invariants
//!
//! The same seed gives the same transactions. A figure is only reported if everything that was accepted is in exactly
//! one block, nothing else is, the state adds up on every node, and every transaction that must be refused was. However
//! it ends, no process and no data are left behind.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod args;
mod compare;
mod drive;
mod error;
mod faults;
mod hardhat;
mod lanes;
mod measure;
mod network;
mod probe;
mod proc;
mod progress;
mod report;
mod rpc;
mod sample;
mod seed;
mod sign;
mod stats;
mod steady;
mod token;
mod until;
mod work;

use std::{io::Write, path::PathBuf};

pub use args::{BenchArgs, EnvelopeChoice, MeasureArgs, Peer, SuiteChoice};
pub use compare::{
    latency::OpenLoop,
    load::Counters,
    report::{Figure, HawserRun, Idle, LoadReport, Pair, Report, SuiteReport},
    verify::Checked,
};
pub use drive::{Second, Submit};
pub use error::BenchError;
pub use faults::{Events, Fault, FaultReport};
pub use measure::{indices::Index, model};
pub use probe::ProbeResult;
pub use proc::Machine;
pub use sample::{Memory, Stage, Usage};
pub use stats::{Percentiles, Spread};
pub use steady::Steady;

/// The language of what people read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    En,
    /// Chinese.
    Zh,
}

impl Language {
    /// One of two texts.
    pub(crate) const fn pick<'a>(self, en: &'a str, zh: &'a str) -> &'a str {
        match self {
            Self::En => en,
            Self::Zh => zh,
        }
    }
}

/// Measures with this `hawser` program what the arguments ask for. Reports go into `args.out`, a table to standard
/// output, progress to standard error.
///
/// Needs a tokio runtime with time, I/O and signals.
///
/// # Errors
/// Every [`BenchError`]; the report is written first, with what was measured until then and marked as void. Processes
/// are ended and data is removed in any case, also on SIGINT and SIGTERM.
pub async fn run(args: BenchArgs, binary: PathBuf, language: Language) -> Result<(), BenchError> {
    if args.measure.list {
        // A reader that has seen enough, such as `head`, is no failure.
        let _ = writeln!(std::io::stdout(), "{}", report::list(language));
        return Ok(());
    }
    if args.measure.workload.is_empty() {
        args.measure.check_unused()?;
        return compare::run(args, binary).await;
    }
    measure::run(args, binary, language).await
}
