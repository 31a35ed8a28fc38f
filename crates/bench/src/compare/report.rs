//! What is written down: everything in `report.json`, the essence in `report.md` and on the
//! terminal.

use std::{fs, path::Path};

use hawser_crypto::Suite;
use serde::Serialize;

use super::{latency::OpenLoop, load::Counters, text, verify::Checked};
use crate::{
    error::{BenchError, Result},
    probe::ProbeResult,
    proc::Machine,
    stats::{Percentiles, Spread},
    steady::Steady,
};

/// One throughput run.
#[derive(Clone, Debug, Serialize)]
pub struct LoadReport {
    /// What was sent.
    pub workload: &'static str,
    /// How it was signed.
    pub signature: &'static str,
    /// The figure.
    pub steady: Steady,
    /// What happened on the way.
    pub counters: Counters,
    /// Seconds from the start of sending until everything was executed.
    pub seconds: f64,
    /// Processor time per transaction and process, in microseconds, over the whole run.
    pub cpu_us_per_transaction: f64,
    /// Processors that the node processes used together, on average.
    pub cores_used: f64,
    /// Processors that the generator used; at 1 it is the generator that was measured.
    pub generator_cores: f64,
    /// What was checked afterwards.
    pub checked: Checked,
    /// What was refused, as it has to be.
    pub probes: Vec<ProbeResult>,
}

/// Four idle nodes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Idle {
    /// Resident memory of all nodes, in bytes.
    pub resident_bytes: u64,
    /// Processor time of all nodes, in per cent of one core.
    pub cpu_percent: f64,
    /// Seconds of rest before.
    pub rest_s: u64,
    /// Seconds that the processor time was measured over.
    pub measured_s: u64,
}

/// A network from its start to its end.
#[derive(Clone, Debug, Serialize)]
pub struct HawserRun {
    /// `hawser up` until it reports, in milliseconds.
    pub up_ms: f64,
    /// From the call of `hawser up` until all nodes show the first block, which holds the first
    /// transaction sent, in milliseconds.
    pub first_block_ms: f64,
    /// `hawser up` of the stopped network, in milliseconds.
    pub resume_ms: f64,
    /// At rest; measured once per suite.
    pub idle: Option<Idle>,
    /// ERC-20 transfers in Ethereum transactions.
    pub erc20: LoadReport,
    /// Bytes on the disk per transaction of that run and node, both ends after a clean stop.
    pub disk_bytes_per_transaction: f64,
    /// What is measured beside that rate; `None` if only the rate was asked for.
    #[serde(flatten)]
    pub beside: Option<Beside>,
}

/// What is measured on a network after its rate of ERC-20 transfers.
#[derive(Clone, Debug, Serialize)]
pub struct Beside {
    /// One transaction at a time, each on the network at rest.
    pub idle_latency: Percentiles,
    /// One transaction at a time, each as soon as the one before is executed.
    pub serial_latency: Percentiles,
    /// At half the rate of `erc20`.
    pub half_rate: OpenLoop,
    /// ERC-20 transfers in native transactions.
    pub native: LoadReport,
    /// Evidence in batches.
    pub evidence: LoadReport,
    /// Records per second of that run.
    pub records_per_second: f64,
}

/// A network and what ran right after it by the same transactions.
#[derive(Clone, Debug, Serialize)]
pub struct Pair {
    /// The network.
    pub hawser: HawserRun,
    /// The same transactions on anvil.
    pub anvil: Option<LoadReport>,
    /// Hawser's ERC-20 rate over anvil's.
    pub ratio: Option<f64>,
    /// The same transactions on Hardhat's node.
    pub hardhat: Option<LoadReport>,
    /// Hawser's ERC-20 rate over Hardhat's.
    pub ratio_hardhat: Option<f64>,
}

/// Figures over all pairs.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What it is.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Median, smallest and largest.
    pub spread: Spread,
}

/// One suite.
#[derive(Clone, Debug, Serialize)]
pub struct SuiteReport {
    /// The suite.
    pub suite: Suite,
    /// In the order in which they ran.
    pub pairs: Vec<Pair>,
    /// Over the pairs.
    pub figures: Vec<Figure>,
}

/// How everything was set.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// Validators, one process each.
    pub validators: u16,
    /// Pairs asked for.
    pub pairs: u32,
    /// Seconds before the steady part.
    pub ramp_s: u64,
    /// Seconds of the steady part.
    pub seconds: u64,
    /// Accounts that send.
    pub accounts: u32,
    /// Transactions on their way at once at most.
    pub window: u32,
    /// Transactions in a batch.
    pub batch: u32,
    /// HTTP connections.
    pub connections: u32,
    /// Seed of accounts and transfers.
    pub seed: u64,
    /// What a validator does before it counts a block as committed.
    pub durability: &'static str,
    /// Who verifies what.
    pub signatures: &'static str,
    /// How latency was seen.
    pub latency_method: String,
    /// How anvil is set.
    pub anvil: String,
    /// How Hardhat's node is set.
    pub hardhat: String,
}

/// The whole report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether every run finished and passed its checks.
    pub valid: bool,
    /// Why not.
    pub void_because: Option<String>,
    /// Whether this was only a trial of the instrument.
    pub quick: bool,
    /// Seconds since the Unix epoch at the start.
    pub started_at: u64,
    /// How long it took, in seconds.
    pub took_s: f64,
    /// The machine.
    pub machine: Machine,
    /// `hawser --version`.
    pub hawser_version: String,
    /// `anvil --version`.
    pub anvil_version: Option<String>,
    /// Versions of Hardhat and of the Node.js that runs it.
    pub hardhat_version: Option<String>,
    /// The command line.
    pub command: String,
    /// How everything was set.
    pub settings: Settings,
    /// One per suite.
    pub suites: Vec<SuiteReport>,
}

impl SuiteReport {
    pub(crate) fn new(suite: Suite) -> Self {
        Self {
            suite,
            pairs: Vec::new(),
            figures: Vec::new(),
        }
    }

    /// Adds a pair and sums up again.
    pub(crate) fn add(&mut self, pair: Pair) {
        self.pairs.push(pair);
        self.figures = self.sum_up();
    }

    fn sum_up(&self) -> Vec<Figure> {
        type Of = fn(&Pair) -> Option<f64>;
        let all: [(&'static str, &'static str, Of); 23] = [
            ("ERC-20, Ethereum envelope", "tx/s", |p| {
                Some(p.hawser.erc20.steady.tps)
            }),
            ("ERC-20 on anvil", "tx/s", |p| {
                Some(p.anvil.as_ref()?.steady.tps)
            }),
            ("ERC-20, Hawser ÷ anvil", "", |p| p.ratio),
            ("ERC-20 on Hardhat", "tx/s", |p| {
                Some(p.hardhat.as_ref()?.steady.tps)
            }),
            ("ERC-20, Hawser ÷ Hardhat", "", |p| p.ratio_hardhat),
            ("ERC-20, native envelope", "tx/s", |p| {
                Some(p.hawser.beside.as_ref()?.native.steady.tps)
            }),
            ("evidence in batches of 100", "records/s", |p| {
                Some(p.hawser.beside.as_ref()?.records_per_second)
            }),
            ("latency, idle, p50", "ms", |p| {
                Some(p.hawser.beside.as_ref()?.idle_latency.p50_ms)
            }),
            ("latency, idle, p95", "ms", |p| {
                Some(p.hawser.beside.as_ref()?.idle_latency.p95_ms)
            }),
            ("latency, idle, p99", "ms", |p| {
                Some(p.hawser.beside.as_ref()?.idle_latency.p99_ms)
            }),
            ("latency, one after the other, p50", "ms", |p| {
                Some(p.hawser.beside.as_ref()?.serial_latency.p50_ms)
            }),
            ("latency, one after the other, p95", "ms", |p| {
                Some(p.hawser.beside.as_ref()?.serial_latency.p95_ms)
            }),
            ("latency at half the rate, p50", "ms", |p| {
                Some(p.hawser.beside.as_ref()?.half_rate.latency.p50_ms)
            }),
            ("latency at half the rate, p95", "ms", |p| {
                Some(p.hawser.beside.as_ref()?.half_rate.latency.p95_ms)
            }),
            ("latency at half the rate, p99", "ms", |p| {
                Some(p.hawser.beside.as_ref()?.half_rate.latency.p99_ms)
            }),
            ("processor per ERC-20 transfer and validator", "µs", |p| {
                Some(p.hawser.erc20.cpu_us_per_transaction)
            }),
            ("processor per ERC-20 transfer, anvil", "µs", |p| {
                Some(p.anvil.as_ref()?.cpu_us_per_transaction)
            }),
            ("processor per ERC-20 transfer, Hardhat", "µs", |p| {
                Some(p.hardhat.as_ref()?.cpu_us_per_transaction)
            }),
            ("disk per ERC-20 transfer and node", "bytes", |p| {
                Some(p.hawser.disk_bytes_per_transaction)
            }),
            ("memory of four idle nodes", "MiB", |p| {
                Some(p.hawser.idle?.resident_bytes as f64 / f64::from(1 << 20))
            }),
            ("processor of four idle nodes", "% of a core", |p| {
                Some(p.hawser.idle?.cpu_percent)
            }),
            ("`up` to the first agreed block", "ms", |p| {
                Some(p.hawser.first_block_ms)
            }),
            ("`up` of the stopped network", "ms", |p| {
                Some(p.hawser.resume_ms)
            }),
        ];
        all.into_iter()
            .filter_map(|(name, unit, of)| {
                let spread = Spread::of(self.pairs.iter().filter_map(of))?;
                Some(Figure { name, unit, spread })
            })
            .collect()
    }
}

impl Report {
    /// Writes `report.json` and `report.md`.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        let write = |name: &str, text: String| {
            let path = dir.join(name);
            fs::write(&path, text)
                .map_err(BenchError::io(format!("cannot write {}", path.display())))
        };
        write("report.json", serde_json::to_string_pretty(self)? + "\n")?;
        write("report.md", text::markdown(self))
    }
}
