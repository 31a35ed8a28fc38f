//! From submission to a transaction that is executed in a final block: on the idle network, and at half the measured rate.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use hawser_crypto::Scheme;
use hawser_primitives::{Address, B256, ChainId};
use tokio::time::{sleep, sleep_until};

use super::{load::join_batch, setup, workload::Workload};
use crate::{
    args::DRAIN_S_MAX,
    error::{BenchError, Result},
    progress::Bar,
    rpc::{BatchReply, Client},
    seed::role_key,
    sign::EthereumCall,
    stats::Percentiles,
    token,
};

/// Between two looks for the transaction; what is measured is too long by half of this on average.
pub(crate) const POLL: Duration = Duration::from_millis(2);
/// How long a single transaction may take.
const LIMIT: Duration = Duration::from_secs(30);

/// How long no new block is seen before a network counts as at rest.
const REST: Duration = Duration::from_millis(250);
/// How long a network may take to come to rest.
const REST_LIMIT: Duration = Duration::from_secs(10);

/// When the next transaction is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gap {
    /// When the network is at rest: the blocks that certify the last roots are made, and nothing
    /// has happened for [`REST`].
    Rest,
    /// When the one before is executed, while those blocks are being made.
    None,
}

impl Gap {
    /// Accounts that no other run uses.
    const fn role(self) -> &'static str {
        match self {
            Self::Rest => "latency at rest",
            Self::None => "latency without rest",
        }
    }
}

/// Waits until no new block is seen for a while.
async fn rest(client: &Client) -> Result<()> {
    let start = Instant::now();
    let (mut height, mut since) = (client.height().await?, Instant::now());
    while since.elapsed() < REST {
        if start.elapsed() > REST_LIMIT {
            let text = "the idle chain keeps making blocks: it never comes to rest";
            return Err(BenchError::Void(text.to_owned()));
        }
        sleep(Duration::from_millis(25)).await;
        let now = client.height().await?;
        if now != height {
            (height, since) = (now, Instant::now());
        }
    }
    Ok(())
}

/// Sends one transaction after the other to the nodes in turn.
///
/// From the moment before the request leaves until the node shows the transaction in a block, which
/// on this chain is final and executed. Receipts are not asked for meanwhile: the node may hold them
/// back for the sake of clients that remember nonces.
pub(crate) async fn idle(
    urls: &[String],
    chain: ChainId,
    seed: u64,
    gap: Gap,
    (warmup, samples): (u32, u32),
    bar: &Bar,
) -> Result<Percentiles> {
    let clients = Client::all(urls)?;
    let key = role_key(Scheme::Secp256k1, seed, gap.role(), 0)?;
    let (token, to) = (setup::token_address(seed)?, Address::repeat_byte(0x44));
    let mut measured = Vec::new();
    let turns = clients.iter().cycle();
    for (nonce, client) in (0..u64::from(warmup.saturating_add(samples))).zip(turns) {
        let call = EthereumCall {
            value: 0,
            chain,
            nonce,
            gas_limit: token::TRANSFER_GAS,
            to: Some(token),
            input: token::transfer(to, 0),
        };
        let raw = call.sign(&key)?;
        if gap == Gap::Rest {
            rest(client).await?;
        }
        let start = Instant::now();
        setup::send(client, &raw).await?;
        while !client.is_in_block(&raw.hash).await? {
            if start.elapsed() > LIMIT {
                let text = format!(
                    "a transaction on the idle chain took over {} s",
                    LIMIT.as_secs()
                );
                return Err(BenchError::Void(text));
            }
            sleep(POLL).await;
        }
        let took = start.elapsed();
        client
            .success("a transaction on the idle chain", &raw.hash, LIMIT)
            .await?;
        if nonce >= u64::from(warmup) {
            measured.push(took.as_secs_f64() * 1_000.0);
        }
        bar.advance(1);
    }
    Percentiles::of(measured).ok_or_else(|| BenchError::Void("no latency was measured".to_owned()))
}

/// What a run at a fixed rate showed.
#[derive(Clone, Debug, serde::Serialize)]
pub struct OpenLoop {
    /// Transactions per second that were due.
    pub offered_tps: f64,
    /// From the moment a transaction was due until its block was visible.
    pub latency: Percentiles,
    /// Latest that a batch left after it was due, in milliseconds: whether the generator kept up.
    pub behind_ms_max: f64,
}

/// Transactions due at one moment, dealt out over the nodes.
const TICK: Duration = Duration::from_millis(10);

/// Sends at a fixed rate whatever the answers are. `from` is the number of transactions of each
/// account that are used up; the new numbers come back.
pub(crate) async fn open_loop(
    urls: &[String],
    workload: &Workload,
    from: &[usize],
    rate: f64,
    length: Duration,
) -> Result<(OpenLoop, Vec<usize>)> {
    let mut next = from.to_vec();
    let plan = schedule(workload, &mut next, rate, length);
    let due: HashMap<B256, Duration> = plan
        .iter()
        .flat_map(|tick| tick.requests.iter().map(|(_, hash, _)| (*hash, tick.due)))
        .collect();
    if due.is_empty() {
        return Err(BenchError::Void(
            "nothing is left to send at a fixed rate".to_owned(),
        ));
    }
    // Shorter than asked for where the signed transactions run out.
    let length = plan.last().map_or(length, |last| last.due + TICK);
    let first = urls.first().map(String::as_str).unwrap_or_default();
    let watcher = Client::new(first)?;
    let height = watcher.height().await?;
    let start = tokio::time::Instant::now();
    // Several connections per node, so that a slow answer does not hold back what is due next.
    let sending = async {
        let mut running = tokio::task::JoinSet::new();
        let clients = Client::all(urls)?;
        let mut behind = Duration::ZERO;
        for tick in plan {
            let at = start + tick.due;
            sleep_until(at).await;
            behind = behind.max(at.elapsed());
            for (node, client) in clients.iter().enumerate() {
                let own = tick
                    .requests
                    .iter()
                    .filter(|(at, ..)| at % clients.len() == node);
                let own: Vec<&str> = own.map(|(.., request)| request.as_str()).collect();
                if !own.is_empty() {
                    let (client, body) = (client.clone(), join_batch(own.into_iter()));
                    running.spawn(async move { client.post_batch(body).await });
                }
            }
        }
        while let Some(answer) = running.join_next().await {
            accepted(answer.map_err(|error| BenchError::Target(error.to_string()))?)?;
        }
        Ok::<_, BenchError>(behind)
    };
    let limit = length + Duration::from_secs(DRAIN_S_MAX);
    let watching = watch(&watcher, height, start, &due, limit);
    let (behind, latencies) = tokio::try_join!(sending, watching)?;
    let latency = Percentiles::of(latencies)
        .ok_or_else(|| BenchError::Void("nothing was executed at a fixed rate".to_owned()))?;
    let result = OpenLoop {
        offered_tps: due.len() as f64 / length.as_secs_f64(),
        latency,
        behind_ms_max: behind.as_secs_f64() * 1_000.0,
    };
    Ok((result, next))
}

/// At half the rate nothing has to be refused.
fn accepted(answer: BatchReply) -> Result<()> {
    let refused = match answer {
        BatchReply::Each(replies) => replies.into_iter().find_map(|reply| reply.error),
        BatchReply::Refused(error) => Some(error),
        BatchReply::Unknown(reason) => return Err(BenchError::Target(reason)),
    };
    match refused {
        Some(error) => Err(BenchError::Void(format!(
            "refused at half the rate: {}",
            error.message
        ))),
        None => Ok(()),
    }
}

struct Tick {
    due: Duration,
    /// Account, hash, request.
    requests: Vec<(usize, B256, String)>,
}

fn schedule(workload: &Workload, next: &mut [usize], rate: f64, length: Duration) -> Vec<Tick> {
    let ticks = (length.as_millis() / TICK.as_millis()).max(1);
    let per_tick = rate * TICK.as_secs_f64();
    let (mut plan, mut owed, mut turn) = (Vec::new(), 0.0, 0usize);
    let mut due = Duration::ZERO;
    for _ in 0..ticks {
        owed += per_tick;
        let mut requests = Vec::new();
        let mut misses = 0;
        while owed >= 1.0 && misses < workload.lanes.len() {
            let account = turn % workload.lanes.len();
            turn += 1;
            let at = next.get_mut(account);
            let signed = at
                .as_ref()
                .and_then(|at| workload.lanes.get(account)?.get(**at));
            let (Some(at), Some(signed)) = (at, signed) else {
                misses += 1;
                continue;
            };
            *at += 1;
            owed -= 1.0;
            misses = 0;
            requests.push((account, signed.hash, signed.request.clone()));
        }
        if !requests.is_empty() {
            plan.push(Tick { due, requests });
        }
        due += TICK;
    }
    plan
}

/// Follows the blocks until every transaction is in one; the time each took, in milliseconds.
async fn watch(
    client: &Client,
    mut height: u64,
    start: tokio::time::Instant,
    due: &HashMap<B256, Duration>,
    limit: Duration,
) -> Result<Vec<f64>> {
    let mut latencies = Vec::with_capacity(due.len());
    while latencies.len() < due.len() {
        let head = client.height().await?;
        let seen = start.elapsed();
        while height < head {
            height += 1;
            for hash in client.block_hashes(height).await? {
                if let Some(due) = due.get(&hash) {
                    latencies.push(seen.saturating_sub(*due).as_secs_f64() * 1_000.0);
                }
            }
        }
        if seen > limit {
            return Err(BenchError::Void(format!(
                "{} of {} transactions sent at a fixed rate were executed",
                latencies.len(),
                due.len()
            )));
        }
        sleep(POLL).await;
    }
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::workload::{Kind, Signed, Spec};
    use hawser_crypto::Suite;

    fn workload(accounts: u8, each: usize) -> Workload {
        let signed = |account: u8, index: usize| Signed {
            hash: B256::with_last_byte(account * 16 + index as u8),
            request: "1".to_owned(),
        };
        Workload {
            spec: Spec {
                kind: Kind::Ethereum,
                suite: Suite::Intl,
                chain: ChainId(1),
                seed: 1,
                accounts: u32::from(accounts),
                each,
                token: Address::ZERO,
            },
            addresses: Vec::new(),
            lanes: (0..accounts)
                .map(|account| (0..each).map(|index| signed(account, index)).collect())
                .collect(),
        }
    }

    #[test]
    fn transactions_are_due_evenly_and_in_the_order_of_nonces() {
        let load = workload(2, 10);
        let mut next = vec![1, 0];
        let plan = schedule(&load, &mut next, 50.0, Duration::from_millis(200));
        // Ten in 200 ms: one every 20 ms, which is every second tick.
        let due: Vec<_> = plan.iter().map(|tick| tick.due.as_millis()).collect();
        assert_eq!(due, [10, 30, 50, 70, 90, 110, 130, 150, 170, 190]);
        assert_eq!(next, [6, 5]);
        let first: Vec<_> = plan
            .iter()
            .flat_map(|tick| &tick.requests)
            .take(3)
            .collect();
        let first: Vec<_> = first
            .iter()
            .map(|(account, hash, _)| (*account, hash.0[31]))
            .collect();
        assert_eq!(first, [(0, 1), (1, 16), (0, 2)]);
    }

    #[test]
    fn a_schedule_ends_where_the_signed_transactions_do() {
        let load = workload(2, 3);
        let mut next = vec![0, 0];
        let plan = schedule(&load, &mut next, 10_000.0, Duration::from_secs(1));
        assert_eq!(
            plan.iter().map(|tick| tick.requests.len()).sum::<usize>(),
            6
        );
        assert_eq!(next, [3, 3]);
    }
}
