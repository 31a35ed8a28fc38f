//! The load driver. Requests leave when they are due, whatever the answers are.
//!
//! A run has a schedule of slots: at a rate, slot k is due at k / rate seconds; in a window, as many as places are free.
//! Each slot takes the next transaction of the accounts in turn. Latency counts from when a slot was due to when a
//! block with its transaction was visible, so that what the generator or a slow node holds back is counted and not
//! left out (no coordinated omission). A refused slot has failed; its transaction, without which the account's later
//! ones could not run, is sent in a later slot or after the schedule.

mod blocks;
mod board;
mod http;
mod queries;
mod submit;
mod workers;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::time::sleep;

pub(crate) use blocks::Watcher;
use board::Board;
pub(crate) use board::Counts;
pub(crate) use http::{Connection, host_of};
pub(crate) use queries::ask;
pub(crate) use submit::Fate;
pub use submit::Submit;
use workers::Crew;

use crate::{
    error::{BenchError, Result},
    progress::Bar,
    steady::{SeenBlock, Steady, steady},
    work::Lanes,
};

/// Between two looks at the schedule.
const TICK: Duration = Duration::from_millis(5);
/// Between two looks for a block; latencies are too long by half of this on average.
pub(crate) const POLL: Duration = Duration::from_millis(4);
/// How long what was sent may take to be executed afterwards.
const DRAIN_MAX: Duration = Duration::from_secs(120);
/// Transactions sent again at once after the schedule.
const AGAIN_MAX: usize = 2_000;
/// Refusals for other reasons than load after which a run is given up.
const REFUSED_MAX: u64 = 2_000;

/// When transactions are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// As many as are executed: so many are on their way at once.
    Window(usize),
    /// So many per second.
    Rate(f64),
}

/// A run of the driver.
#[derive(Clone, Debug)]
pub(crate) struct Drive {
    pub(crate) urls: Vec<String>,
    pub(crate) submit: Submit,
    /// Most transactions in a request.
    pub(crate) batch: usize,
    pub(crate) pace: Pace,
    /// What is left out of the figures at the beginning.
    pub(crate) ramp: Duration,
    /// What is measured after it.
    pub(crate) length: Duration,
    /// How long an answer may take before the transactions count as unanswered.
    pub(crate) answer: Duration,
    /// Whether the schedule goes on for as long as what goes on beside it.
    pub(crate) hold: bool,
}

/// A second of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Second {
    /// Transactions that blocks seen in it executed.
    pub executed: u64,
}

/// What a run showed.
#[derive(Debug)]
pub(crate) struct Driven {
    pub(crate) counts: Counts,
    pub(crate) ran_out: bool,
    pub(crate) refusal: Option<String>,
    pub(crate) steady: Option<Steady>,
    pub(crate) seconds: Vec<Second>,
    pub(crate) blocks: Vec<SeenBlock>,
    /// Milliseconds from due to visible, of what was due after the ramp.
    pub(crate) latencies_ms: Vec<f64>,
    /// Slots that were successful without a second try.
    pub(crate) succeeded: u64,
    /// How late requests left, in milliseconds.
    pub(crate) behind_ms: Vec<f64>,
    /// Account and index within the run, in the order of the chain.
    pub(crate) order: Vec<(usize, usize)>,
    /// Executed transactions of each account: always the first ones.
    pub(crate) executed: Vec<u64>,
    /// In blocks and not of this run, with how often.
    pub(crate) foreign: std::collections::HashMap<hawser_primitives::B256, u64>,
    /// Bytes of bodies sent to the nodes.
    pub(crate) body_bytes: u64,
    /// When the schedule ended.
    pub(crate) ended: Duration,
    /// When everything was executed.
    pub(crate) drained: Duration,
}

/// What goes on beside a run, such as probes, a fault, or looking at memory. `At` tells it when the run began.
pub(crate) type At = Instant;

fn void(text: impl Into<String>) -> BenchError {
    BenchError::Void(text.into())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Drive {
    /// Runs the schedule, waits until everything is executed, and measures.
    ///
    /// `beside` runs at the same time, with the moment of the start; the run lasts at least as long.
    pub(crate) async fn run<F, T>(
        &self,
        lanes: Arc<Lanes>,
        bar: &Bar,
        beside: impl FnOnce(At) -> F,
    ) -> Result<(Driven, T)>
    where
        F: Future<Output = Result<T>>,
    {
        let mut watcher = Watcher::new(&self.urls).await?;
        let start = Instant::now();
        let board = Board::new(&lanes, self.urls.len());
        let crew = Crew::new(self, lanes, board, start)?;
        let (mut blocks, mut seconds) = (Vec::new(), Vec::new());
        let done = tokio::sync::watch::channel(false);
        let sending = async {
            let over = AtomicBool::new(!self.hold);
            let scheduled = self.schedule(&crew, start, bar, &over);
            let accompanied = async {
                let value = beside(start).await?;
                over.store(true, Ordering::Relaxed);
                Ok(value)
            };
            let (ended, beside) = tokio::try_join!(scheduled, accompanied)?;
            self.mend(&crew, start).await?;
            // The receiver is in this function.
            let _ = done.0.send(true);
            Ok::<_, BenchError>((ended, beside))
        };
        let watching = async {
            let mut drained_by = None;
            let mut finished = done.1.clone();
            loop {
                // Asked before looking: what was there when everything was sent is seen.
                let over = *finished.borrow_and_update();
                for found in watcher.poll(start).await? {
                    let own = crew.board().block(&found.hashes, micros(found.seen.seen));
                    count(&mut seconds, found.seen.seen, own);
                    blocks.push(found.seen);
                }
                if over {
                    if crew.board().in_flight() == 0 {
                        return Ok(start.elapsed());
                    }
                    if drained_by.get_or_insert_with(Instant::now).elapsed() > DRAIN_MAX {
                        let left = crew.board().in_flight();
                        return Err(void(format!(
                            "{left} accepted transactions were in no block {} s after the load",
                            DRAIN_MAX.as_secs()
                        )));
                    }
                }
                sleep(POLL).await;
            }
        };
        let ((ended, beside), drained) = tokio::try_join!(sending, watching)?;
        let driven = self.sum_up(&crew, blocks, seconds, ended, drained)?;
        Ok((driven, beside))
    }

    /// Lets slots leave until the time is up; when that was.
    async fn schedule(
        &self,
        crew: &Crew,
        start: Instant,
        bar: &Bar,
        over: &AtomicBool,
    ) -> Result<Duration> {
        let end = self.ramp + self.length;
        let mut sent = 0u64;
        loop {
            let now = start.elapsed();
            if now >= end && over.load(Ordering::Relaxed) {
                break;
            }
            bar.set(now.as_secs());
            let mut out = Vec::new();
            {
                let mut board = crew.board();
                if board.counts.refused > REFUSED_MAX {
                    let text = board.refusal.clone().unwrap_or_default();
                    return Err(void(format!("transactions are refused: {text}")));
                }
                match self.pace {
                    Pace::Window(size) => {
                        let free = size.saturating_sub(board.in_flight());
                        // Not all at once: answers of a moment ago free places by the thousand.
                        for _ in 0..free.min(size / 8 + 1) {
                            let Some(taken) = board.take(micros(now)) else {
                                break;
                            };
                            out.push(taken);
                        }
                    }
                    Pace::Rate(rate) => {
                        let due = (now.as_secs_f64() * rate) as u64;
                        while sent < due {
                            let due_us = (sent as f64 / rate * 1e6) as u64;
                            let Some(taken) = board.take(due_us) else {
                                break;
                            };
                            sent += 1;
                            out.push(taken);
                        }
                    }
                }
                if board.ran_out && board.waiting() == 0 && out.is_empty() {
                    break;
                }
            }
            crew.send(out, micros(now));
            sleep(TICK).await;
        }
        Ok(start.elapsed())
    }

    /// Sends what was refused until it is taken: without it later nonces could never run.
    async fn mend(&self, crew: &Crew, start: Instant) -> Result<()> {
        let since = Instant::now();
        loop {
            let (out, idle) = {
                let mut board = crew.board();
                let now = micros(start.elapsed());
                let out = board.take_again(now, AGAIN_MAX);
                let idle = out.is_empty() && board.waiting() == 0;
                (out, idle)
            };
            if idle && crew.idle() {
                return Ok(());
            }
            if since.elapsed() > DRAIN_MAX {
                return Err(void(format!(
                    "{} transactions were refused for {} s after the load",
                    crew.board().waiting(),
                    DRAIN_MAX.as_secs()
                )));
            }
            let pause = if out.is_empty() { TICK } else { TICK * 20 };
            crew.send(out, micros(start.elapsed()));
            sleep(pause).await;
        }
    }

    fn sum_up(
        &self,
        crew: &Crew,
        blocks: Vec<SeenBlock>,
        seconds: Vec<Second>,
        ended: Duration,
        drained: Duration,
    ) -> Result<Driven> {
        let board = crew.board();
        if let Some(hash) = board.twice {
            return Err(void(format!("{hash} is in two blocks")));
        }
        let lost = board.outstanding();
        if !lost.is_empty() {
            return Err(void(format!(
                "{} accepted transactions are in no block",
                lost.len()
            )));
        }
        let (executed, in_order) = board.executed();
        if !in_order {
            return Err(void("transactions were executed behind a gap"));
        }
        let end = if board.ran_out {
            ended.min(self.ramp + self.length)
        } else {
            ended
        };
        Ok(Driven {
            counts: board.counts,
            ran_out: board.ran_out,
            refusal: board.refusal.clone(),
            steady: steady(&blocks, self.ramp, end),
            seconds,
            latencies_ms: board.latencies_ms(micros(self.ramp), micros(end)),
            succeeded: board.succeeded(),
            behind_ms: crew.behind_ms(),
            order: board.order(),
            executed,
            foreign: board.foreign.clone(),
            body_bytes: crew.body_bytes(),
            blocks,
            ended,
            drained,
        })
    }
}

fn count(seconds: &mut Vec<Second>, seen: Duration, executed: u64) {
    let at = usize::try_from(seen.as_secs()).unwrap_or(0);
    while seconds.len() <= at {
        seconds.push(Second::default());
    }
    if let Some(second) = seconds.get_mut(at) {
        second.executed += executed;
    }
}
