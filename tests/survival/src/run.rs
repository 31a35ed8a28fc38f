//! Runs faults one after another on one network under load, and measures what each did.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy_primitives::{Address, B256};
use anyhow::Result;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::backlog::{self, Backlog};
use crate::bed::{Bed, Mode, Plan};
use crate::chain;
use crate::clients::{Clients, create_contract, funded};
use crate::faults::{Fault, Marks};
use crate::history::{History, gap, rate};
use crate::judge::{Judgement, judge};

/// Longest that clients may be without an acknowledgement during a fault that the chain is to survive.
pub const GAP_MAX: Duration = Duration::from_secs(8);
/// From the end of a fault until the first acknowledgement, starts of processes included.
pub const RESUME_MAX: Duration = Duration::from_secs(10);
/// From the end of a fault until every node is where the others are.
pub const CATCH_UP_MAX: Duration = Duration::from_secs(60);
/// Load before and after a fault, over which its rate is taken.
const WINDOW: Duration = Duration::from_secs(3);
/// Between two looks at the clock; a much longer one means that the machine, or this process, stood still.
const TICK: Duration = Duration::from_millis(100);
const STALL: Duration = Duration::from_millis(1_500);

/// How a network is run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Validators.
    pub nodes: u16,
    /// The faults in their order.
    pub faults: Vec<Fault>,
    /// How long each is held.
    pub hold: Duration,
    /// Clients.
    pub clients: u32,
    /// Their pause between two operations.
    pub think: Duration,
    /// Seed of links and clients.
    pub seed: u64,
    /// `intl` or `sm`.
    pub suite: &'static str,
    /// Where the nodes live.
    pub mode: Mode,
    /// Whether the drain of a backlog is measured at the end.
    pub backlog: bool,
    /// Under what circumstances, for the report.
    pub circumstances: String,
}

/// What one fault did.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub fault: String,
    /// What was done.
    pub what: String,
    /// Why it was not done.
    pub skipped: Option<String>,
    /// Whether the chain was to go on meanwhile.
    pub survivable: bool,
    /// Length of the fault, in seconds.
    pub held_s: f64,
    /// Acknowledgements per second in the three seconds before.
    pub before_tps: f64,
    /// During.
    pub during_tps: f64,
    /// In the three seconds after all nodes had caught up.
    pub after_tps: f64,
    /// Longest time without an acknowledgement to any client, from the fault until all had caught up.
    pub gap_ms: u64,
    /// From the end of the fault until the first acknowledgement.
    pub resumed_ms: Option<u64>,
    /// From the end of the fault until every node had caught up.
    pub caught_up_ms: u64,
    /// Operations acknowledged from three seconds before until three seconds after.
    pub acknowledged: usize,
    /// Whose outcome clients did not learn.
    pub unknown: usize,
    /// Refused.
    pub refused: usize,
    /// When the fault began and when its end began.
    #[serde(default)]
    pub marks: Marks,
    /// Processes that wanted a processor, per processor (the machine's load): times grow with it.
    #[serde(default)]
    pub load: f64,
    /// Seconds in which this process stood still: figures of such a row say nothing.
    pub stalled_s: f64,
    /// What nodes said and did.
    pub notes: Vec<String>,
    /// What should not have been.
    pub failures: Vec<String>,
}

/// What one network showed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NetworkReport {
    /// Validators.
    pub nodes: u16,
    /// Suite.
    pub suite: String,
    /// Clients.
    pub clients: u32,
    /// Seed.
    pub seed: u64,
    /// Under what circumstances, in words.
    pub circumstances: String,
    /// Each fault.
    pub rows: Vec<Row>,
    /// The drain of a backlog.
    pub backlog: Option<Backlog>,
    /// What the whole history shows.
    pub judgement: Judgement,
    /// Length in seconds.
    pub seconds: f64,
}

impl NetworkReport {
    /// Whether nothing was found wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.judgement.is_clean() && self.rows.iter().all(|row| row.failures.is_empty())
    }
}

/// Notices when this process was not running.
#[derive(Debug)]
pub struct Watch {
    stalls: Arc<Mutex<Vec<(u64, u64)>>>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Starts watching.
    #[must_use]
    pub fn start(history: &History) -> Self {
        let stalls = Arc::new(Mutex::new(Vec::new()));
        let (kept, history) = (Arc::clone(&stalls), history.clone());
        let task = tokio::spawn(async move {
            let mut last = history.now_us();
            loop {
                sleep(TICK).await;
                let now = history.now_us();
                if Duration::from_micros(now - last) > STALL {
                    let mut list = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    list.push((last, now));
                }
                last = now;
            }
        });
        Self { stalls, task }
    }

    /// Seconds of standing still between two moments, in microseconds.
    #[must_use]
    pub fn stalled_s(&self, from_us: u64, to_us: u64) -> f64 {
        let list = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
        let inside = list.iter().map(|(begin, end)| {
            let (begin, end) = ((*begin).max(from_us), (*end).min(to_us));
            end.saturating_sub(begin)
        });
        inside.sum::<u64>() as f64 / 1e6
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A network with its contract.
#[derive(Debug)]
pub struct Ground {
    /// The network.
    pub bed: Bed,
    /// The contract of registers.
    pub contract: Address,
    /// Transactions of the harness.
    pub own: Vec<B256>,
    /// Whether the validators run the other program.
    pub upgraded: bool,
}

/// Starts a network with the accounts and the contract that clients need.
///
/// # Errors
/// When it does not come up.
pub async fn ground(plan: Plan, clients: u32) -> Result<Ground> {
    let plan = Plan {
        accounts: funded(clients)?,
        ..plan
    };
    let bed = Bed::prepare(plan).await?;
    settle(bed).await
}

/// The same on a network that has been prepared.
///
/// # Errors
/// When it does not come up.
pub async fn settle(mut bed: Bed) -> Result<Ground> {
    bed.start().await?;
    let (contract, hash) = create_contract(&bed).await?;
    Ok(Ground {
        bed,
        contract,
        own: vec![hash],
        upgraded: false,
    })
}

/// Makes every fault on a network of its own, and judges the whole history.
///
/// # Errors
/// When the network does not come up, or does not come to rest at the end.
pub async fn network(settings: &Settings, say: &mut dyn FnMut(&Row)) -> Result<NetworkReport> {
    let begin = Instant::now();
    let plan = Plan {
        validators: settings.nodes,
        spare: 0,
        mode: settings.mode,
        seed: settings.seed,
        accounts: Vec::new(),
        suite: settings.suite,
        governed: false,
    };
    let mut ground = ground(plan, settings.clients).await?;
    let history = History::default();
    let watch = Watch::start(&history);
    let clients = Clients::start(
        &ground.bed,
        history.clone(),
        ground.contract,
        settings.clients,
        settings.think,
        settings.seed,
    )?;
    let mut rows = Vec::new();
    for fault in &settings.faults {
        let row = match fault.missing(&ground.bed) {
            Some(reason) => Row {
                fault: fault.name(),
                what: fault.text().to_owned(),
                skipped: Some(reason),
                ..Row::default()
            },
            None => one(*fault, &mut ground.bed, &history, &watch, settings.hold).await,
        };
        say(&row);
        rows.push(row);
    }
    clients.finish().await?;
    let mut backlog = None;
    if settings.backlog {
        backlog = Some(backlog::measure(&ground.bed, &history).await?);
    }
    let evidence = chain::evidence(
        &ground.bed,
        &history,
        ground.contract,
        settings.clients,
        ground.own.clone(),
    )
    .await?;
    Ok(NetworkReport {
        nodes: settings.nodes,
        suite: settings.suite.to_owned(),
        clients: settings.clients,
        seed: settings.seed,
        circumstances: settings.circumstances.clone(),
        rows,
        backlog,
        judgement: judge(&evidence),
        seconds: begin.elapsed().as_secs_f64(),
    })
}

/// One fault under load.
pub async fn one(
    fault: Fault,
    bed: &mut Bed,
    history: &History,
    watch: &Watch,
    hold: Duration,
) -> Row {
    let window_us = u64::try_from(WINDOW.as_micros()).unwrap_or(0);
    let load = load_per_processor();
    let begin_us = history.now_us();
    sleep(WINDOW).await;
    let mut row = Row {
        fault: fault.name(),
        what: fault.text().to_owned(),
        survivable: fault.survivable(),
        ..Row::default()
    };
    let mut marks = Marks::default();
    match fault.perform(bed, history, hold, &mut marks).await {
        Ok(notes) => row.notes = notes,
        Err(error) => row.failures.push(format!("{error:#}")),
    }
    if marks.healed_us == 0 {
        marks.healed_us = history.now_us();
    }
    if let Err(error) = recover(bed).await {
        row.failures.push(format!("{error:#}"));
    }
    let healed = marks.healed_us;
    // Nodes that all stand still are level, too: a chain has recovered when it moves.
    let limit = Instant::now() + RESUME_MAX.mul_f64(load_per_processor().max(1.0));
    while history.acknowledgements(healed).is_empty() && Instant::now() < limit {
        sleep(TICK).await;
    }
    let caught_up = history.now_us();
    row.caught_up_ms = (caught_up - healed) / 1_000;
    sleep(WINDOW).await;
    row.marks = marks;
    let end_us = history.now_us();
    let acks = history.acknowledgements(begin_us);
    let injected = marks.injected_us;
    row.held_s = (healed - injected) as f64 / 1e6;
    row.before_tps = rate(&acks, injected.saturating_sub(window_us), injected);
    row.during_tps = rate(&acks, injected, healed.max(injected + 1));
    row.after_tps = rate(&acks, caught_up, end_us);
    row.gap_ms = millis(gap(&acks, injected, end_us));
    let first = acks.iter().find(|(at, _)| *at >= healed);
    row.resumed_ms = first.map(|(at, _)| (at - healed) / 1_000);
    [row.acknowledged, row.unknown, row.refused] = history.outcomes(begin_us);
    row.stalled_s = watch.stalled_s(begin_us, end_us);
    row.load = load.max(load_per_processor());
    if row.stalled_s == 0.0 {
        expectations(&mut row, fault, &acks, marks);
    }
    row
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The load of the last minute per processor.
#[must_use]
pub fn load_per_processor() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = text.split(' ').next().and_then(|load| load.parse().ok());
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    load.unwrap_or(0.0) / processors as f64
}

fn expectations(row: &mut Row, fault: Fault, acks: &[(u64, u64)], marks: Marks) {
    let (injected, healed) = (marks.injected_us, marks.healed_us);
    // Where more processes want a processor than there are, each gets that much less of it.
    let slower = row.load.max(1.0);
    if fault.survivable() {
        let during = gap(acks, injected, healed);
        if during > GAP_MAX.mul_f64(slower) {
            row.failures.push(format!(
                "no acknowledgement for {:.1} s, though a quorum was there",
                during.as_secs_f64()
            ));
        }
    }
    match row.resumed_ms {
        Some(ms) if ms <= millis(RESUME_MAX.mul_f64(slower)) => {}
        Some(ms) => row.failures.push(format!(
            "{ms} ms passed after the fault until anything moved"
        )),
        None => row
            .failures
            .push("nothing was acknowledged after the fault".to_owned()),
    }
    // Acknowledgements prove nothing here: clients of a stopped node learn late, from another, what was decided before.
    match marks.heights {
        Some((settled, last)) if last > settled => row.failures.push(format!(
            "{} blocks were made without a quorum",
            last - settled
        )),
        None if !fault.survivable() && fault != Fault::KillAll => row
            .failures
            .push("not all nodes told their heights while there was no quorum".to_owned()),
        _ => {}
    }
    if row.refused > 0 {
        row.failures
            .push(format!("{} operations were refused", row.refused));
    }
}

/// Takes away whatever a fault has left, and waits until every node is where the others are.
async fn recover(bed: &mut Bed) -> Result<()> {
    bed.heal();
    for node in 0..bed.validators() {
        if bed.runs(node) {
            // Harmless to a process that is not stopped.
            bed.signal(node, Signal::CONT)?;
        } else {
            bed.restart(node).await?;
        }
    }
    let top = bed.top().await;
    for node in 0..bed.validators() {
        let limit = CATCH_UP_MAX.mul_f64(load_per_processor().max(1.0));
        bed.reaches(node, top, limit).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(fault: Fault, acks: &[u64], resumed_ms: Option<u64>) -> Vec<String> {
        loaded(fault, acks, resumed_ms, 0.5)
    }

    fn loaded(fault: Fault, acks: &[u64], resumed_ms: Option<u64>, load: f64) -> Vec<String> {
        let mut row = Row {
            resumed_ms,
            load,
            ..Row::default()
        };
        let acks: Vec<_> = acks.iter().map(|ms| (ms * 1_000, 1)).collect();
        // Nothing was decided meanwhile.
        let heights = (!fault.survivable()).then_some((7, 7));
        let marks = Marks {
            injected_us: 1_000_000,
            healed_us: 20_000_000,
            heights,
        };
        expectations(&mut row, fault, &acks, marks);
        row.failures
    }

    #[test]
    fn a_standstill_with_a_quorum_is_a_failure_and_without_one_it_is_not() {
        let acks: Vec<_> = (1_000..2_000).step_by(100).collect();
        assert_eq!(judged(Fault::KillOne, &acks, Some(5)).len(), 1);
        assert!(judged(Fault::KillQuorum, &acks, Some(5)).is_empty());
    }

    #[test]
    fn progress_with_a_quorum_is_none_and_blocks_without_one_are_a_failure() {
        let acks: Vec<_> = (1_000..20_000).step_by(100).collect();
        assert!(judged(Fault::KillOne, &acks, Some(5)).is_empty());
        let found = |fault, heights| {
            let mut row = Row {
                resumed_ms: Some(5),
                ..Row::default()
            };
            let marks = Marks {
                injected_us: 1_000_000,
                healed_us: 5_000_000,
                heights,
            };
            let acks: Vec<_> = acks.iter().map(|ms| (ms * 1_000, 1)).collect();
            expectations(&mut row, fault, &acks, marks);
            row.failures
        };
        assert!(found(Fault::Split, Some((7, 7))).is_empty());
        assert_eq!(
            found(Fault::Split, Some((7, 9))),
            ["2 blocks were made without a quorum"]
        );
        // What nobody saw is not taken for granted, but for nodes that are all dead.
        assert_eq!(found(Fault::Split, None).len(), 1);
        assert!(found(Fault::KillAll, None).is_empty());
    }

    #[test]
    fn a_chain_that_does_not_resume_in_time_is_a_failure() {
        let acks: Vec<_> = (1_000..20_000).step_by(100).collect();
        assert_eq!(judged(Fault::KillOne, &acks, Some(10_001)).len(), 1);
        assert!(judged(Fault::KillOne, &acks, Some(10_000)).is_empty());
        assert_eq!(judged(Fault::KillOne, &acks, None).len(), 1);
        // Twice as many processes as processors, twice the time.
        assert_eq!(loaded(Fault::KillOne, &acks, Some(20_001), 2.0).len(), 1);
        assert!(loaded(Fault::KillOne, &acks, Some(20_000), 2.0).is_empty());
    }
}
