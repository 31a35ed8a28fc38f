//! Faults during a run, and what they did to it.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use rustix::process::Signal;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    drive::{Driven, Second},
    error::{BenchError, Result},
    network::Hawser,
    rpc::Client,
    steady::SeenBlock,
};

/// What happens to a validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// A validator whose turn to propose it is not is killed, and started again later.
    CrashOne,
    /// The validator whose turn it is, is killed, and started again later.
    CrashLeader,
    /// A validator is stopped for 2 s (SIGSTOP) and goes on: to the others it is as cut off.
    Stop2s,
}

/// How long a stopped validator stands still.
const STOPPED: Duration = Duration::from_secs(2);
/// How long it is waited for one that is behind.
const CATCH_UP_MAX: Duration = Duration::from_secs(120);

impl Fault {
    /// In English and in Chinese.
    pub(crate) const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::CrashOne => (
                "one validator killed (not the one whose turn it is)",
                "杀死一个验证节点（非当值提议者）",
            ),
            Self::CrashLeader => (
                "the validator whose turn it is killed",
                "杀死当值提议的验证节点",
            ),
            Self::Stop2s => ("one validator stopped for 2 s", "一个验证节点停止 2 秒"),
        }
    }

    /// How long it lasts where `wanted` is asked for.
    pub(crate) const fn length(self, wanted: Duration) -> Duration {
        match self {
            Self::Stop2s => STOPPED,
            Self::CrashOne | Self::CrashLeader => wanted,
        }
    }
}

/// What was done when, in seconds since the start of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Events {
    /// The validator that it happened to.
    pub node: u16,
    /// When it was stopped.
    pub down_s: f64,
    /// When it was started, or went on.
    pub up_s: f64,
    /// From then until it showed the height that the others had once it answered; none if it took more than two minutes.
    pub caught_up_s: Option<f64>,
    /// From the stop until another node counted one peer less; none where that was not seen.
    pub noticed_s: Option<f64>,
}

/// A fault and its effect.
#[derive(Clone, Debug, Serialize)]
pub struct FaultReport {
    /// What happened.
    pub fault: Fault,
    /// When.
    pub events: Events,
    /// Transactions per second before.
    pub before_tps: f64,
    /// While the validator was gone.
    pub during_tps: f64,
    /// After it was back.
    pub after_tps: f64,
    /// `during_tps` over `before_tps`.
    pub ratio: f64,
    /// Longest time between two blocks from the fault on, in milliseconds.
    pub gap_ms_max: f64,
    /// The same before the fault.
    pub gap_before_ms_max: f64,
    /// From the fault until a second with at least 80 % of the rate before; none where there was none.
    pub recovered_s: Option<f64>,
    /// Transactions handed in again because only the dead node had them.
    pub resubmitted: u64,
    /// Transactions accepted, all of which are in a block.
    pub accepted: u64,
    /// Executed per second, from the start.
    pub seconds: Vec<Second>,
}

/// The validator that is to propose the next block, and one that is far from its turn.
async fn choose(network: &Hawser, fault: Fault) -> Result<u16> {
    let clients = Client::all(&network.urls)?;
    let first = clients.first().ok_or_else(|| target("no node"))?;
    let mut addresses = Vec::new();
    for client in &clients {
        let status = client.call("hawser_status", json!([])).await?;
        addresses.push(status.get("validator").cloned().unwrap_or_default());
    }
    let committee = first.call("hawser_getValidators", json!([])).await?;
    let committee = committee.get("validators").and_then(Value::as_array);
    let committee = committee.ok_or_else(|| target("no committee"))?;
    let (height, size) = (first.height().await?, committee.len().max(1) as u64);
    // Equal weights take turns by height (docs/spec/agreement.md).
    let ahead = match fault {
        Fault::CrashLeader => 1,
        Fault::CrashOne | Fault::Stop2s => 1 + size / 2,
    };
    let at = usize::try_from((height + ahead) % size).unwrap_or(0);
    let address = committee.get(at).and_then(|one| one.get("address"));
    let node = addresses.iter().position(|own| Some(own) == address);
    let node =
        node.ok_or_else(|| target("the committee names a validator that is no node here"))?;
    Ok(u16::try_from(node).unwrap_or(0))
}

fn target(text: &str) -> BenchError {
    BenchError::Target(text.to_owned())
}

/// Waits until `after`, makes the fault happen, ends it after `length`, and waits until the validator has caught up.
pub(crate) async fn happen(
    network: &Hawser,
    fault: Fault,
    start: Instant,
    after: Duration,
    length: Duration,
) -> Result<Events> {
    sleep(after.saturating_sub(start.elapsed())).await;
    let node = choose(network, fault).await?;
    let mut events = Events {
        node,
        ..Events::default()
    };
    let other = (node + 1) % network.nodes();
    let other = network
        .urls
        .get(usize::from(other))
        .cloned()
        .unwrap_or_default();
    let observer = Client::new(&other)?;
    let peers = observer.quantity("net_peerCount", json!([])).await?;
    let down = match fault {
        Fault::CrashOne | Fault::CrashLeader => Signal::KILL,
        Fault::Stop2s => Signal::STOP,
    };
    network.signal(node, down)?;
    let fallen = Instant::now();
    events.down_s = start.elapsed().as_secs_f64();
    while fallen.elapsed() < fault.length(length) {
        if events.noticed_s.is_none()
            && observer.quantity("net_peerCount", json!([])).await? < peers
        {
            events.noticed_s = Some(fallen.elapsed().as_secs_f64());
        }
        sleep(Duration::from_millis(10)).await;
    }
    events.up_s = start.elapsed().as_secs_f64();
    let back = Instant::now();
    match fault {
        Fault::Stop2s => network.signal(node, Signal::CONT)?,
        Fault::CrashOne | Fault::CrashLeader => network.restart().await?,
    }
    let own = network
        .urls
        .get(usize::from(node))
        .cloned()
        .unwrap_or_default();
    let own = Client::new(&own)?;
    let height = observer.height().await?;
    while back.elapsed() < CATCH_UP_MAX {
        if own.height().await.unwrap_or(0) >= height {
            events.caught_up_s = Some(back.elapsed().as_secs_f64());
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(events)
}

/// Transactions per second of blocks seen between two moments.
fn rate(blocks: &[SeenBlock], from_s: f64, to_s: f64) -> f64 {
    let inside = blocks.iter().filter(|block| {
        let seen = block.seen.as_secs_f64();
        seen >= from_s && seen < to_s
    });
    let count: u64 = inside.map(|block| block.transactions).sum();
    count as f64 / (to_s - from_s).max(1e-3)
}

/// Longest time without a block between two moments, in milliseconds.
fn gap_ms(blocks: &[SeenBlock], from_s: f64, to_s: f64) -> f64 {
    let mut last = from_s;
    let mut longest: f64 = 0.0;
    let inside = blocks.iter().map(|block| block.seen.as_secs_f64());
    for seen in inside.filter(|seen| *seen >= from_s && *seen < to_s) {
        longest = longest.max(seen - last);
        last = seen;
    }
    longest.max(to_s - last) * 1_000.0
}

/// What a fault did to a run.
pub(crate) fn judge(fault: Fault, events: Events, ramp: Duration, driven: &Driven) -> FaultReport {
    let (ramp, end) = (ramp.as_secs_f64(), driven.ended.as_secs_f64());
    let blocks = &driven.blocks;
    let before = rate(blocks, ramp, events.down_s);
    let during = rate(blocks, events.down_s, events.up_s);
    let seconds = |from: f64| {
        let mut at = from;
        std::iter::from_fn(move || {
            at += 0.1;
            (at + 1.0 <= end).then_some(at)
        })
    };
    let recovered = seconds(events.down_s)
        .find(|at| rate(blocks, *at, at + 1.0) >= 0.8 * before)
        .map(|at| at - events.down_s);
    FaultReport {
        fault,
        events,
        before_tps: before,
        during_tps: during,
        after_tps: rate(blocks, events.up_s, end),
        ratio: if before > 0.0 { during / before } else { 0.0 },
        gap_ms_max: gap_ms(blocks, events.down_s, end),
        gap_before_ms_max: gap_ms(blocks, ramp, events.down_s),
        recovered_s: recovered,
        resubmitted: driven.counts.resubmitted,
        accepted: driven.counts.accepted,
        seconds: driven.seconds.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(at_ms: &[u64]) -> Vec<SeenBlock> {
        let block = |(ms, number): (&u64, u64)| SeenBlock {
            number,
            transactions: 10,
            seen: Duration::from_millis(*ms),
            time_ms: 0,
        };
        at_ms.iter().zip(1..).map(block).collect()
    }

    #[test]
    fn rates_and_gaps_are_of_their_part_of_the_run() {
        let blocks = blocks(&[100, 200, 300, 900, 1_000, 1_100]);
        assert!((rate(&blocks, 0.0, 0.5) - 60.0).abs() < 1e-6);
        assert!((rate(&blocks, 0.9, 1.9) - 30.0).abs() < 1e-6);
        assert!((gap_ms(&blocks, 0.1, 1.0) - 600.0).abs() < 1e-6);
        // The end counts: a chain that stops for good has a gap, too.
        assert!((gap_ms(&blocks, 0.9, 3.1) - 2_000.0).abs() < 1e-6);
    }
}
