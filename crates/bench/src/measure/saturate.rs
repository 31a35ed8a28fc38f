//! As much load as the network takes, and what its processes use meanwhile.

use std::time::Instant;

use super::{
    model::{NodeUsage, Saturation},
    phases::{ANSWER, Phases, seconds, unrefused, void},
    stage::{Part, Stage},
};
use crate::{
    drive::Pace,
    error::Result,
    network::Hawser,
    probe::Probes,
    rpc::Client,
    sample::{self, Memory, Snapshot, Usage},
    stats::Percentiles,
};

impl Phases<'_> {
    /// The saturated run, with the probes in its middle.
    pub(super) async fn saturate(
        &self,
        stage: &mut Stage<'_>,
        estimate: f64,
        probes: &mut Probes,
    ) -> Result<Saturation> {
        let window = stage.window((estimate * 2.0) as u64);
        // Slow workloads need longer for blocks enough to speak of a rate.
        let enough = (100.0 / estimate.max(1.0)).ceil().min(30.0) as u64;
        let length_s = self.lengths.seconds.max(enough);
        let (ramp, length) = (seconds(self.lengths.ramp_s), seconds(length_s));
        let total = self.lengths.ramp_s + length_s;
        let part = Part {
            name: &self.text("saturation", "饱和吞吐量"),
            pace: Pace::Window(window),
            ramp,
            length,
            transactions: (estimate * 1.6) as u64 * total + window as u64,
            answer: ANSWER,
            hold: false,
        };
        let (ground, replay) = (self.ground(stage), stage.replay.clone());
        let network = stage.bed.network.as_ref();
        let beside = |start: Instant| async move {
            let mut memory = Vec::new();
            let mut marks = Vec::new();
            let timing = async {
                tokio::time::sleep(ramp.saturating_sub(start.elapsed())).await;
                marks.push(Snapshot::take(network).await);
                let end = ramp + length;
                tokio::time::sleep(end.saturating_sub(start.elapsed())).await;
                marks.push(Snapshot::take(network).await);
                lowest(&ground.urls).await
            };
            let probing = async {
                tokio::time::sleep(ramp + length / 3).await;
                ground.send(replay).await
            };
            let script = async { tokio::try_join!(probing, timing) };
            let (found, slowest) = with_memory(network, start, &mut memory, script).await?;
            Ok((found, marks, memory, slowest, start))
        };
        let (driven, (found, marks, memory, slowest, start)) = stage.play(part, beside).await?;
        *probes = found;
        unrefused(&driven)?;
        let steady = driven.steady.clone().ok_or_else(|| {
            void(if driven.ran_out {
                "the signed transactions ran out before the load was steady"
            } else {
                "fewer than two blocks were made while the load was steady"
            })
        })?;
        let [first, last] = marks.as_slice() else {
            return Err(void("the nodes were not looked at"));
        };
        let usage = last.since(first);
        // Between the two looks: on a busy machine these are not taken on time.
        let moment = |mark: &Snapshot, planned| {
            let at = mark.at.and_then(|at| at.checked_duration_since(start));
            at.unwrap_or(planned)
        };
        let (from, to) = (moment(first, ramp), moment(last, ramp + length));
        let measured = to.saturating_sub(from).as_secs_f64().max(1e-3);
        let inside = driven
            .blocks
            .iter()
            .filter(|block| block.seen >= from && block.seen < to);
        let executed: u64 = inside.clone().map(|block| block.transactions).sum();
        let blocks = inside.clone().count().max(1) as f64;
        let nodes = stage.bed.urls.len().max(1) as f64;
        let each = executed.max(1) as f64 * nodes;
        let consistent: u64 = inside
            .filter(|block| block.number <= slowest)
            .map(|block| block.transactions)
            .sum();
        let consistent_tps = consistent as f64 / measured;
        let node_usage = network.map(|_| used(&usage, each, measured, memory, consistent_tps));
        let sent = driven.order.len().max(1) as f64;
        Ok(Saturation {
            window,
            blocks_per_s: blocks / measured,
            block_interval_ms: measured * 1_000.0 / blocks,
            transactions_per_block: executed as f64 / blocks,
            offered: driven.counts.offered,
            succeeded: driven.succeeded,
            busy: driven.counts.busy,
            latency: Percentiles::of(driven.latencies_ms),
            ran_out: driven.ran_out,
            transaction_bytes: stage.bytes as f64,
            request_bytes: driven.body_bytes as f64 / sent,
            generator_cores: usage.generator_cpu_s / measured,
            nodes: node_usage,
            seconds: driven.seconds,
            steady,
        })
    }
}

/// What the nodes used; `each` is the number of transactions times that of nodes.
fn used(
    usage: &Usage,
    each: f64,
    measured_s: f64,
    memory: Vec<Memory>,
    consistent_tps: f64,
) -> NodeUsage {
    let resident_max = memory.iter().flat_map(|m| m.resident.iter()).max().copied();
    let verify = usage.stages.iter().find(|stage| stage.name == "verify");
    let stages = usage.stages.iter().map(|stage| sample::Stage {
        name: stage.name.clone(),
        cpu_s: stage.cpu_s * 1e6 / each,
    });
    NodeUsage {
        cores: usage.cpu_s / measured_s,
        cpu_us: usage.cpu_s * 1e6 / each,
        stages: stages.collect(),
        disk_bytes: usage.disk_growth_bytes as f64 / each,
        written_bytes: usage.written_bytes as f64 / each,
        wire_bytes: usage.wire_bytes as f64 / each,
        segments_again: usage.segments_again,
        resident_max: resident_max.unwrap_or(0),
        memory,
        consistent_tps,
        verified_per_cpu_s: verify.map(|stage| each / stage.cpu_s.max(1e-3)),
    }
}

/// The height that all nodes have.
async fn lowest(urls: &[String]) -> Result<u64> {
    let clients = Client::all(urls)?;
    let heights = clients.iter().map(Client::height);
    let heights = futures_util::future::try_join_all(heights).await?;
    Ok(heights.into_iter().min().unwrap_or(0))
}

/// Runs `work`, and looks at the nodes' memory meanwhile.
pub(super) async fn with_memory<T>(
    network: Option<&Hawser>,
    start: Instant,
    memory: &mut Vec<Memory>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let Some(network) = network else {
        return work.await;
    };
    tokio::select! {
        done = work => done,
        () = sample::memory(network, start, memory) => Err(void("memory is no longer looked at")),
    }
}
