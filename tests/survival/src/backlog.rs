//! What piles up during a partition, and how fast it is worked off: load at a steady rate that does not wait for anything.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hawser_e2e::load::Account;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use crate::bed::Bed;
use crate::chain;
use crate::history::History;

/// Transactions per second.
const RATE: usize = 300;
/// Accounts that send, each at one node.
const ACCOUNTS: usize = 60;
/// Between two batches.
const STEP: Duration = Duration::from_millis(50);
/// Load before the partition, and in all.
const STEADY: Duration = Duration::from_secs(4);
const PARTITION: Duration = Duration::from_secs(2);
const WHOLE: Duration = Duration::from_secs(12);
/// What counts as worked off: no more waits than in this time before.
const USUAL: usize = RATE / 4;
/// How long the rest may take to get into blocks.
const LIMIT: Duration = Duration::from_secs(60);

/// How a backlog was worked off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backlog {
    /// Transactions offered per second.
    pub offered_tps: f64,
    /// Committed per second before the partition.
    pub steady_tps: f64,
    /// Length of the partition into halves, in seconds.
    pub partition_s: f64,
    /// Most transactions that waited.
    pub waiting_max: usize,
    /// From the end of the partition until the first block.
    pub resumed_ms: u64,
    /// From the end of the partition until no more waited than usual.
    pub drained_ms: u64,
    /// Committed per second from the end of the partition until then, the wait for the first block included.
    pub drain_tps: f64,
    /// `drain_tps` over the rate offered.
    pub ratio: f64,
    /// Transactions offered and taken, all of which are in a block.
    pub taken: usize,
}

/// When each transaction was offered and when it was in a block, in milliseconds of one clock.
#[derive(Debug, Default)]
struct Times {
    offered: Vec<u64>,
    committed: Vec<u64>,
}

impl Times {
    /// How many of the offered ones were in no block at a moment.
    fn waiting(&self, at: u64) -> usize {
        let before = |list: &[u64]| list.iter().filter(|time| **time <= at).count();
        before(&self.offered).saturating_sub(before(&self.committed))
    }

    fn judge(&self, begin: u64, cut: u64, healed: u64) -> Option<Backlog> {
        let inside = |from: u64, to: u64| {
            let counted = self.committed.iter().filter(|at| **at > from && **at <= to);
            counted.count() as f64
        };
        let per_second =
            |count: f64, from: u64, to: u64| count * 1e3 / to.saturating_sub(from).max(1) as f64;
        let first = *self.committed.iter().filter(|at| **at > healed).min()?;
        let drained = (healed..)
            .step_by(5)
            .take(20_000)
            .find(|at| *at >= first && self.waiting(*at) <= USUAL)?;
        let steady_from = begin + 1_000;
        let drain_tps = per_second(inside(healed, drained), healed, drained);
        Some(Backlog {
            offered_tps: RATE as f64,
            steady_tps: per_second(inside(steady_from, cut), steady_from, cut),
            partition_s: (healed - cut) as f64 / 1e3,
            waiting_max: (cut..drained)
                .step_by(20)
                .map(|at| self.waiting(at))
                .max()?,
            resumed_ms: first - healed,
            drained_ms: drained - healed,
            drain_tps,
            ratio: drain_tps / RATE as f64,
            taken: self.offered.len(),
        })
    }
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(0))
}

/// Offers load, cuts the network into halves for two seconds, and sees how fast what waited is worked off.
///
/// # Errors
/// When a transaction is refused, or not all get into blocks.
pub async fn measure(bed: &Bed, history: &History) -> Result<Backlog> {
    let steps = usize::try_from(WHOLE.as_millis() / STEP.as_millis())?;
    let each = RATE * usize::try_from(STEP.as_millis())? / 1_000;
    let mut accounts = Vec::new();
    for index in 0..ACCOUNTS {
        accounts.push((Account::derive("survival backlog", index)?, 0_u64));
    }
    // Signed before, so that signing does not take the nodes' time.
    let mut batches = Vec::new();
    let mut turn = 0_usize;
    for _ in 0..steps {
        let mut batch = Vec::new();
        for _ in 0..each {
            let at = turn % ACCOUNTS;
            let (account, nonce) = accounts.get_mut(at).context("no account")?;
            let (raw, hash) = account.transfer(bed.chain_id(), *nonce)?;
            *nonce += 1;
            turn += 1;
            batch.push((u16::try_from(at)? % bed.validators(), raw, hash));
        }
        batches.push(batch);
    }
    let first_block = chain::quiet(bed).await? + 1;
    let mut times = Times::default();
    let (start, begin) = (Instant::now(), now_ms());
    let (mut cut, mut healed) = (0, 0);
    let mut sends = Vec::new();
    for (step, batch) in (0_u32..).zip(batches) {
        sleep_until(start + STEP * step).await;
        if cut == 0 && start.elapsed() >= STEADY {
            let half: Vec<_> = (0..bed.validators() / 2).collect();
            bed.cut(&half, false)?;
            cut = now_ms();
        }
        if cut != 0 && healed == 0 && start.elapsed() >= STEADY + PARTITION {
            bed.heal();
            healed = now_ms();
        }
        for node in 0..bed.validators() {
            let own = batch.iter().filter(|(at, ..)| *at == node);
            let raws: Vec<_> = own.clone().map(|(_, raw, _)| raw.clone()).collect();
            for (_, _, hash) in own {
                history.add_accepted(*hash);
                times.offered.push(now_ms());
            }
            let (client, url) = (bed.client().clone(), bed.url(node));
            sends.push(tokio::spawn(offer(client, url, raws)));
        }
    }
    for send in sends {
        send.await??;
    }
    let end = Instant::now() + LIMIT;
    while times.committed.len() < times.offered.len() {
        ensure!(
            Instant::now() < end,
            "only {} of {} transactions got into blocks",
            times.committed.len(),
            times.offered.len()
        );
        sleep(Duration::from_millis(300)).await;
        let top = chain::quiet(bed).await?;
        times.committed = chain::blocks(bed, 0, first_block, top)
            .await?
            .into_iter()
            .flat_map(|block| block.transactions.into_iter().map(move |_| block.time_ms))
            .collect();
    }
    times
        .judge(begin, cut, healed)
        .context("the backlog was not worked off in time")
}

async fn offer(client: reqwest::Client, url: String, raws: Vec<String>) -> Result<()> {
    if raws.is_empty() {
        return Ok(());
    }
    let body: Vec<_> = raws
        .iter()
        .map(|raw| json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction", "params": [raw] }))
        .collect();
    let answers: Vec<Value> = client.post(url).json(&body).send().await?.json().await?;
    for answer in answers {
        ensure!(answer.get("result").is_some(), "refused: {answer}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_is_measured_from_the_first_block_until_no_more_waits_than_usual() {
        // 300 per second for 12 s, committed after 20 ms, but for 2 s from 4 s on; then 900 per second.
        let offered: Vec<u64> = (0..3_600).map(|n| n * 10 / 3).collect();
        let mut free = 6_500;
        let committed = offered
            .iter()
            .map(|at| {
                if *at < 4_000 {
                    at + 20
                } else {
                    free = (free + 1).max(at + 20);
                    free
                }
            })
            .collect();
        let times = Times { offered, committed };
        let found = times.judge(0, 4_000, 6_000).unwrap();
        assert!((290.0..310.0).contains(&found.steady_tps), "{found:?}");
        assert!((500..520).contains(&found.resumed_ms), "{found:?}");
        assert!((730..760).contains(&found.waiting_max), "{found:?}");
        assert!(found.ratio > 1.7 && found.ratio < 3.0, "{found:?}");
        assert!(
            found.drained_ms > 1_000 && found.drained_ms < 2_000,
            "{found:?}"
        );
    }

    #[test]
    fn what_is_never_worked_off_has_no_figure() {
        let times = Times {
            offered: (0..1_000).collect(),
            committed: vec![7_000],
        };
        assert_eq!(times.judge(0, 4_000, 6_000), None);
    }
}
