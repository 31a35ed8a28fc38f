//! What a run of the instrument writes down.

use hawser_crypto::Suite;
use serde::Serialize;

use super::indices::Index;
use crate::{
    drive::{Second, Submit},
    faults::FaultReport,
    probe::ProbeResult,
    proc::Machine,
    sample::{Memory, Stage},
    stats::Percentiles,
    steady::Steady,
};

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub struct MeasureReport {
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
    /// The machine of the generator, and of the network where it was started here.
    pub machine: Machine,
    /// `hawser --version`.
    pub hawser_version: String,
    /// The command line.
    pub command: String,
    /// How everything was set.
    pub settings: Settings,
    /// One per suite and workload.
    pub runs: Vec<WorkloadRun>,
}

/// How everything was set.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// Validators started here; none for a running network.
    pub validators: Option<u16>,
    /// The nodes of a running network.
    pub target: Vec<String>,
    /// How transactions were handed in.
    pub submit: Submit,
    /// Most transactions in a request.
    pub batch: u32,
    /// Seconds of the saturated part, without its ramp.
    pub seconds: u64,
    /// Accounts that send.
    pub accounts: u32,
    /// Seed of accounts and transactions.
    pub seed: u64,
}

/// A workload on a network.
#[derive(Clone, Debug, Serialize)]
pub struct WorkloadRun {
    /// Suite of the chain.
    pub suite: Suite,
    /// Name of the workload.
    pub workload: String,
    /// How transactions were signed; empty for queries.
    pub envelope: String,
    /// Records in a transaction.
    pub records: u64,
    /// Validators.
    pub validators: usize,
    /// Getting it going.
    pub start: Start,
    /// As much as it takes.
    pub saturation: Option<Saturation>,
    /// At parts of that.
    pub levels: Vec<Level>,
    /// At half of it, while snapshots are made.
    pub snapshots: Option<Snapshots>,
    /// The classes of load.
    pub classes: Vec<ClassReport>,
    /// Beyond saturation.
    pub overload: Option<Overload>,
    /// With faults.
    pub faults: Vec<FaultReport>,
    /// Queries.
    pub queries: Option<QueryReport>,
    /// What was refused, as it has to be.
    pub probes: Vec<ProbeResult>,
    /// What was compared afterwards.
    pub checked: Checked,
    /// The indices of the standards.
    pub indices: Vec<Index>,
}

/// Getting a network going.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Start {
    /// `hawser up` until the validators agree, in milliseconds; none for a running network.
    pub up_ms: Option<f64>,
    /// From sending a contract's creation until it is executed, in milliseconds.
    pub deploy_ms: Option<f64>,
    /// Bringing the contract into its first state, in milliseconds.
    pub prepare_ms: f64,
    /// From the first node's showing a block to the last one's, at 10 % load.
    pub apart_ms: Option<Percentiles>,
}

/// The network under as much load as it takes.
#[derive(Clone, Debug, Serialize)]
pub struct Saturation {
    /// The figure, without ramp and drain.
    pub steady: Steady,
    /// Transactions on their way at once.
    pub window: usize,
    /// Executed per second, from the start.
    pub seconds: Vec<Second>,
    /// Blocks seen in the steady part, per second.
    pub blocks_per_s: f64,
    /// Mean time between two blocks, in milliseconds.
    pub block_interval_ms: f64,
    /// Mean number of transactions in a block.
    pub transactions_per_block: f64,
    /// Slots, and those that were successful.
    pub offered: u64,
    /// Executed without a second try.
    pub succeeded: u64,
    /// Refused for load.
    pub busy: u64,
    /// From due to visible.
    pub latency: Option<Percentiles>,
    /// Whether the signed transactions ran out before the time did.
    pub ran_out: bool,
    /// Bytes of a signed transaction.
    pub transaction_bytes: f64,
    /// Bytes of requests per transaction.
    pub request_bytes: f64,
    /// Processors that the generator used.
    pub generator_cores: f64,
    /// What the nodes used; none for a running network.
    pub nodes: Option<NodeUsage>,
}

/// What the nodes used, per transaction and validator where nothing else is said.
#[derive(Clone, Debug, Serialize)]
pub struct NodeUsage {
    /// Processors, all nodes together.
    pub cores: f64,
    /// Processor time, in microseconds.
    pub cpu_us: f64,
    /// The same by stage: `cpu_s` holds microseconds per transaction and validator.
    pub stages: Vec<Stage>,
    /// Growth of the data folder while running, in bytes.
    pub disk_bytes: f64,
    /// Written to the disk, in bytes.
    pub written_bytes: f64,
    /// Frames sent to other nodes, in bytes.
    pub wire_bytes: f64,
    /// Share of TCP segments that the whole machine sent again.
    pub segments_again: f64,
    /// Largest resident memory of a node, in bytes.
    pub resident_max: u64,
    /// Memory over time.
    pub memory: Vec<Memory>,
    /// Transactions per second up to the height of the slowest node at the end.
    pub consistent_tps: f64,
    /// Signatures checked per second of processor time in the stage `verify`; none without one.
    pub verified_per_cpu_s: Option<f64>,
}

/// A part of the saturation rate, open loop.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Level {
    /// Of the saturation rate.
    pub percent: u32,
    /// Due per second.
    pub offered_tps: f64,
    /// From due to visible.
    pub latency: Percentiles,
    /// Executed without a second try, of all slots.
    pub success: f64,
    /// How late requests left at the 99th percentile, in milliseconds: whether the generator kept up.
    pub behind_p99_ms: f64,
}

/// A level with snapshots beside it.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshots {
    /// The level.
    pub level: Level,
    /// Snapshots finished meanwhile, by all nodes.
    pub made: u64,
    /// Bytes of the last of them.
    pub bytes: u64,
}

/// A class of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// As much is sent as is committed; at least 95 % succeed.
    Stress,
    /// Twice as much is sent as is committed; at least 75 % succeed.
    Spike,
    /// A fifth of the saturation rate for long; at least 95 % succeed.
    Stability,
    /// Twice the saturation rate for a minute: memory, refusals, recovery.
    Overload,
}

/// What a class of load showed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ClassReport {
    /// The class.
    pub class: Class,
    /// Due per second.
    pub offered_tps: f64,
    /// Executed per second while it lasted.
    pub committed_tps: f64,
    /// Seconds.
    pub seconds: f64,
    /// Executed without a second try, of all slots.
    pub success: f64,
    /// What is asked for.
    pub success_min: f64,
    /// Whether that was reached.
    pub passed: bool,
    /// Refused for load.
    pub busy: u64,
    /// From due to visible.
    pub latency: Option<Percentiles>,
}

/// Load beyond saturation.
#[derive(Clone, Debug, Serialize)]
pub struct Overload {
    /// Due per second.
    pub offered_tps: f64,
    /// Executed per second while it lasted.
    pub committed_tps: f64,
    /// Seconds that it lasted.
    pub seconds: f64,
    /// Refused for load; every refusal said when to come back.
    pub busy: u64,
    /// Slots.
    pub offered: u64,
    /// Accepted, all of which are in a block.
    pub accepted: u64,
    /// Largest resident memory of a node before, in bytes; 0 for a running network.
    pub resident_before: u64,
    /// The same while it lasted and after.
    pub resident_max: u64,
    /// What is allowed, in bytes.
    pub resident_bound: u64,
    /// From its end until everything accepted was executed, in seconds.
    pub drained_s: f64,
    /// From then on: seconds until a second with at least 90 % of the saturation rate; none where there was none.
    pub recovered_s: Option<f64>,
    /// Rate after it, per second.
    pub after_tps: f64,
    /// Executed per second.
    pub executed: Vec<Second>,
    /// Memory over time.
    pub memory: Vec<Memory>,
}

/// Queries as fast as they are answered, by 32 connections.
#[derive(Clone, Debug, Serialize)]
pub struct QueryReport {
    /// Answered per second.
    pub per_second: f64,
    /// Answered without an error, of all.
    pub success: f64,
    /// Time of an answer.
    pub latency: Option<Percentiles>,
    /// At parts of that rate, open loop.
    pub levels: Vec<Level>,
}

/// What was compared afterwards and found right.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Checked {
    /// Transactions accepted and found in exactly one block each.
    pub in_blocks: u64,
    /// Receipts of a sample that say success.
    pub receipts: u64,
    /// Answers about the state, over all nodes.
    pub answers: u64,
}
