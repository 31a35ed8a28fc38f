//! The generator: a closed window of transactions over keep-alive connections to all nodes.
//!
//! Each account sticks to one connection and so to one node; its transactions are sent in the order
//! of their nonces. A transaction takes a place in the window when it is sent and gives it back when
//! a block executed it.

use std::{
    collections::VecDeque,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering as Atomic},
    },
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use serde::Serialize;
use tokio::{sync::Semaphore, time::sleep};

use super::{
    follow::Follower,
    workload::{Workload, request_of},
};
use crate::{
    args::DRAIN_S_MAX,
    error::{BenchError, Result},
    progress::Bar,
    rpc::{BatchReply, Client, ErrorReply},
    steady::{Steady, steady},
};

/// First and longest pause after a refusal for load.
const PAUSE_FIRST: Duration = Duration::from_millis(25);
const PAUSE_MAX: Duration = Duration::from_millis(1_000);
/// How long a transaction is offered again once the time is up.
const OFFER_LIMIT: Duration = Duration::from_secs(30);
/// Blocks in the steady part without which the load goes on for longer, up to three times as long.
const STEADY_BLOCKS_MIN: u64 = 4;
/// Tries after which answers that cannot be read end the run.
const UNREADABLE_MAX: u32 = 20;

/// How a run is driven.
#[derive(Clone, Debug)]
pub(crate) struct Drive {
    pub(crate) urls: Vec<String>,
    pub(crate) connections: usize,
    pub(crate) batch: usize,
    pub(crate) window: usize,
    pub(crate) ramp: Duration,
    pub(crate) length: Duration,
    /// Transactions of each account that may be used; the rest is for a later run.
    pub(crate) each_max: usize,
}

/// What a run sent and saw.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// Transactions of each account that were accepted: always the first ones.
    pub(crate) per_account: Vec<usize>,
    pub(crate) steady: Steady,
    pub(crate) height_before: u64,
    pub(crate) counters: Counters,
    /// From the start until everything was executed.
    pub(crate) seconds: f64,
}

/// What happened on the way.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Counters {
    /// Transactions accepted.
    pub accepted: u64,
    /// Refusals because the node was full or busy; each was sent again.
    pub refused_busy: u64,
    /// Transactions sent again because an answer was lost.
    pub resent: u64,
    /// Whether the signed transactions ran out before the time did.
    pub ran_out: bool,
}

struct Shared {
    window: Semaphore,
    stop: AtomicBool,
    accepted: AtomicU64,
    refused_busy: AtomicU64,
    resent: AtomicU64,
    /// When the first connection had nothing left to send: the load is not full from then on.
    ran_out: OnceLock<Instant>,
    /// Blocks seen since the ramp.
    steady_blocks: AtomicU64,
    /// When the load ended.
    stopped: OnceLock<Duration>,
}

/// One connection with the accounts that stick to it.
struct Worker {
    client: Client,
    accounts: Vec<usize>,
    /// Next index of each of them.
    next: Vec<usize>,
    batch: usize,
    each_max: usize,
    turn: usize,
}

impl Worker {
    /// The next transactions of its accounts in turn; fewer or none when they run out.
    fn take(&mut self, workload: &Workload) -> VecDeque<(usize, usize)> {
        let mut taken = VecDeque::with_capacity(self.batch);
        let mut idle = 0;
        while taken.len() < self.batch && idle < self.accounts.len() {
            let slot = self.turn % self.accounts.len();
            self.turn = self.turn.wrapping_add(1);
            let (Some(&account), Some(next)) = (self.accounts.get(slot), self.next.get_mut(slot))
            else {
                break;
            };
            let signed = workload.lanes.get(account).map_or(0, Vec::len);
            if *next < signed.min(self.each_max) {
                taken.push_back((account, *next));
                *next += 1;
                idle = 0;
            } else {
                idle += 1;
            }
        }
        taken
    }

    async fn run(mut self, workload: &Workload, shared: &Shared) -> Result<Vec<(usize, usize)>> {
        while !shared.stop.load(Atomic::Relaxed) {
            let taken = self.take(workload);
            if taken.is_empty() {
                // Only the first one counts.
                let _ = shared.ran_out.set(Instant::now());
                break;
            }
            let places = u32::try_from(taken.len()).unwrap_or(u32::MAX);
            // Closed when the time is up: what was taken is given back unsent.
            match shared.window.acquire_many(places).await {
                Ok(permit) => permit.forget(),
                Err(_) => {
                    self.give_back(&taken);
                    break;
                }
            }
            self.offer(taken, workload, shared).await?;
        }
        Ok(self.accounts.into_iter().zip(self.next).collect())
    }

    fn give_back(&mut self, taken: &VecDeque<(usize, usize)>) {
        for (account, index) in taken {
            let slot = self.accounts.iter().position(|own| own == account);
            if let Some(next) = slot.and_then(|slot| self.next.get_mut(slot)) {
                *next = (*next).min(*index);
            }
        }
    }

    /// Sends until every one is accepted.
    async fn offer(
        &self,
        mut waiting: VecDeque<(usize, usize)>,
        workload: &Workload,
        shared: &Shared,
    ) -> Result<()> {
        let (mut pause, mut unreadable, mut unsure) = (PAUSE_FIRST, 0u32, false);
        let mut stopped: Option<Instant> = None;
        loop {
            match self.client.post_batch(batch_body(&waiting, workload)).await {
                BatchReply::Each(replies) => {
                    let offered = waiting.len();
                    if replies.len() != offered {
                        return Err(void("a node did not answer every request of a batch"));
                    }
                    let mut refused = Vec::new();
                    for reply in replies {
                        let Some(id) = reply.id else {
                            return Err(void("a node could not read a request"));
                        };
                        match reply.error {
                            None => {}
                            Some(error) if error.is_busy() => refused.push(id),
                            Some(error) if error.is_known() => {}
                            Some(error) if unsure && error.is_nonce_low() => {}
                            Some(error) => return Err(refusal(&self.client, id, &error)),
                        }
                    }
                    refused.sort_unstable();
                    waiting.retain(|(account, index)| {
                        let id = crate::compare::workload::request_id(*account, *index);
                        refused.binary_search(&id).is_ok()
                    });
                    let done = offered.saturating_sub(waiting.len()) as u64;
                    shared.accepted.fetch_add(done, Atomic::Relaxed);
                    if waiting.is_empty() {
                        return Ok(());
                    }
                    shared
                        .refused_busy
                        .fetch_add(waiting.len() as u64, Atomic::Relaxed);
                    if done > 0 {
                        pause = PAUSE_FIRST;
                    }
                }
                BatchReply::Refused(error) if error.is_busy() => {
                    shared
                        .refused_busy
                        .fetch_add(waiting.len() as u64, Atomic::Relaxed);
                }
                BatchReply::Refused(error) => return Err(refusal(&self.client, 0, &error)),
                BatchReply::Unknown(reason) => {
                    unsure = true;
                    unreadable += 1;
                    shared
                        .resent
                        .fetch_add(waiting.len() as u64, Atomic::Relaxed);
                    if unreadable > UNREADABLE_MAX {
                        return Err(BenchError::Target(format!(
                            "{}: {reason}",
                            self.client.url()
                        )));
                    }
                }
            }
            if shared.stop.load(Atomic::Relaxed)
                && stopped.get_or_insert_with(Instant::now).elapsed() > OFFER_LIMIT
            {
                let text = format!(
                    "{} transactions were refused for {} s after the end of the load",
                    waiting.len(),
                    OFFER_LIMIT.as_secs()
                );
                return Err(void(&text));
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(PAUSE_MAX);
        }
    }
}

fn void(text: &str) -> BenchError {
    BenchError::Void(text.to_owned())
}

fn refusal(client: &Client, id: u64, error: &ErrorReply) -> BenchError {
    let (account, index) = request_of(id);
    BenchError::Void(format!(
        "{} refused transaction {index} of account {account}: {} (code {})",
        client.url(),
        error.message,
        error.code
    ))
}

fn batch_body(waiting: &VecDeque<(usize, usize)>, workload: &Workload) -> String {
    let requests = waiting.iter().filter_map(|(account, index)| {
        let lane = workload.lanes.get(*account)?;
        lane.get(*index).map(|signed| signed.request.as_str())
    });
    join_batch(requests)
}

/// A JSON array of values that are JSON already.
pub(crate) fn join_batch<'a>(requests: impl Iterator<Item = &'a str>) -> String {
    let mut body = String::from("[");
    for request in requests {
        if body.len() > 1 {
            body.push(',');
        }
        body.push_str(request);
    }
    body.push(']');
    body
}

/// Deals accounts out to connections, and connections to nodes.
fn workers(drive: &Drive, workload: &Workload) -> Result<Vec<Worker>> {
    let count = drive.connections.clamp(1, workload.lanes.len().max(1));
    (0..count)
        .map(|own| {
            let url = drive.urls.get(own % drive.urls.len().max(1));
            let url = url.ok_or_else(|| void("there is no node to send to"))?;
            let accounts: Vec<usize> = (own..workload.lanes.len()).step_by(count).collect();
            Ok(Worker {
                client: Client::new(url)?,
                next: vec![0; accounts.len()],
                accounts,
                // A batch over the whole window could never be sent.
                batch: drive.batch.clamp(1, drive.window.div_ceil(count).max(1)),
                each_max: drive.each_max,
                turn: 0,
            })
        })
        .collect()
}

/// Runs the load until the time is up, waits until everything is executed, and measures.
///
/// `alongside` runs at the same time, from the middle of the steady part on, and says how many
/// transactions it brought into blocks.
pub(crate) async fn run(
    drive: &Drive,
    workload: &Workload,
    bar: &Bar,
    alongside: impl Future<Output = Result<u64>>,
) -> Result<Sent> {
    let first = drive
        .urls
        .first()
        .ok_or_else(|| void("there is no node to send to"))?;
    let mut follower = Follower::new(first).await?;
    let height_before = follower.height();
    let shared = Shared {
        window: Semaphore::new(drive.window),
        stop: AtomicBool::new(false),
        accepted: AtomicU64::new(0),
        refused_busy: AtomicU64::new(0),
        resent: AtomicU64::new(0),
        ran_out: OnceLock::new(),
        steady_blocks: AtomicU64::new(0),
        stopped: OnceLock::new(),
    };
    let workers = workers(drive, workload)?;
    let start = follower.start();
    let end = drive.ramp + drive.length;
    let sending = async {
        let running = workers
            .into_iter()
            .map(|worker| worker.run(workload, &shared));
        let sent: Vec<(usize, usize)> = try_join_all(running).await?.concat();
        Ok::<_, BenchError>(sent)
    };
    let clock = async {
        sleep(end).await;
        // On a machine that is too busy blocks take seconds, and a rate needs some of them.
        let latest = end + drive.length.saturating_mul(2);
        while shared.steady_blocks.load(Atomic::Relaxed) < STEADY_BLOCKS_MIN
            && start.elapsed() < latest
        {
            sleep(Follower::PAUSE).await;
        }
        let _ = shared.stopped.set(start.elapsed());
        shared.stop.store(true, Atomic::Relaxed);
        shared.window.close();
        Ok::<_, BenchError>(())
    };
    let probing = async {
        sleep(drive.ramp + drive.length / 2).await;
        alongside.await
    };
    // Set when everything is sent: how many transactions the others brought into blocks.
    let sent_all = OnceLock::new();
    let load = async {
        let (sent, (), foreign) = tokio::try_join!(sending, clock, probing)?;
        // Set once, here.
        let _ = sent_all.set(foreign);
        Ok::<_, BenchError>(sent)
    };
    let following = async {
        let mut drained_by = None;
        loop {
            let height = follower.height();
            let committed = follower.poll().await?;
            if start.elapsed() > drive.ramp {
                let new = follower.height().saturating_sub(height);
                shared.steady_blocks.fetch_add(new, Atomic::Relaxed);
            }
            if committed > 0 && !shared.window.is_closed() {
                let places = usize::try_from(committed).unwrap_or(usize::MAX);
                shared.window.add_permits(places.min(drive.window));
            }
            bar.set(start.elapsed().as_secs());
            if let Some(foreign) = sent_all.get() {
                let due = shared
                    .accepted
                    .load(Atomic::Relaxed)
                    .saturating_add(*foreign);
                if follower.committed() >= due {
                    return Ok(follower);
                }
                let limit = Duration::from_secs(DRAIN_S_MAX);
                if drained_by.get_or_insert_with(Instant::now).elapsed() > limit {
                    return Err(BenchError::Void(format!(
                        "{} of {due} accepted transactions were executed within {DRAIN_S_MAX} s \
                         after the end of the load",
                        follower.committed(),
                    )));
                }
            }
            sleep(Follower::PAUSE).await;
        }
    };
    let (sent, follower) = tokio::try_join!(load, following)?;
    let seconds = start.elapsed().as_secs_f64();
    let mut per_account = vec![0; workload.lanes.len()];
    for (account, next) in sent {
        if let Some(sent) = per_account.get_mut(account) {
            *sent = next;
        }
    }
    let blocks = follower.into_blocks().await?;
    let ran_out = shared.ran_out.get().map(|at| at.duration_since(start));
    let end = shared.stopped.get().copied().unwrap_or(end);
    let end = ran_out.map_or(end, |at| at.min(end));
    let steady = steady(&blocks, drive.ramp, end).ok_or_else(|| {
        void(if ran_out.is_some() {
            "the signed transactions ran out before the load was steady; raise --rate-max"
        } else {
            "fewer than two blocks were made in the steady part of the run"
        })
    })?;
    Ok(Sent {
        per_account,
        steady,
        height_before,
        counters: Counters {
            accepted: shared.accepted.into_inner(),
            refused_busy: shared.refused_busy.into_inner(),
            resent: shared.resent.into_inner(),
            ran_out: shared.ran_out.get().is_some(),
        },
        seconds,
    })
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
