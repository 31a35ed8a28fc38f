//! Hours of load, faults and changes of membership, at random from a seed, and whether anything grows.

mod pages;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use hawser_e2e::{is_alive, read_pid};
use rustix::process::Signal;
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::bed::{Bed, Mode, Plan};
use crate::chain;
use crate::clients::{Clients, funded};
use crate::faults::Fault;
use crate::files;
use crate::history::{History, percentile_ms};
use crate::judge::{Judgement, judge};
use crate::members;
use crate::random::Random;
use crate::report::Machine;
use crate::run::{CATCH_UP_MAX, Ground, Watch, load_per_processor, one, settle};
use crate::sample::{Flatness, Sample, Verdict, flatness, look};

/// Between two looks at the processes.
const LOOK: Duration = Duration::from_secs(5);
/// Latency is taken over so many seconds at a time.
const BUCKET_S: u64 = 15;
/// Part of the run that counts as warm-up: caches fill, files reach their usual size.
const WARM_UP: f64 = 0.25;
const MIB: f64 = 1_048_576.0;
/// What caches of every node may take, in MiB: little, so that they are full early and a leak can be told from filling.
const CACHE_MIB: u64 = 16;
/// Caches count as full once a node has written so many times as much as they hold.
const FILLED: f64 = 2.0;
/// How memory and the rest are judged, for the report.
const RULE: &str = "Growth from the end of the warm-up to the end, by the slope of Theil and Sen. The warm-up is a quarter of the run. For memory it also \
lasts until a node has written twice what its caches may hold (16 MiB in this run, by `storage.cache_mib`), because until then they only fill; where less than \
half of the run is left then, memory is not judged. A node that was started anew counts from its start like the others: the slope is over all its lives.";
/// The place of nodes that join and leave.
const GUEST: u16 = 4;

/// The validator that drops old blocks, where the binary can, and how many it keeps.
const PRUNED: u16 = 3;
const KEPT: u64 = 1_024;
/// The validator that begins to, and changes how many it keeps, on the way.
const PRUNED_LATER: u16 = 2;

/// How a soak is run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For how long.
    pub length: Duration,
    /// Seed of everything.
    pub seed: u64,
    /// Clients.
    pub clients: u32,
    /// Their pause.
    pub think: Duration,
    /// Where the nodes live.
    pub mode: Mode,
    /// `intl` or `sm`.
    pub suite: &'static str,
    /// Another program that validators are upgraded to, and back, one after the other.
    pub next: Option<PathBuf>,
    /// Why there are no namespaces.
    pub without: Option<String>,
}

/// Something that was done.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// When, in seconds.
    pub at_s: f64,
    /// What.
    pub what: String,
    /// Processes that wanted a processor, per processor.
    pub load: f64,
    /// Longest time without an acknowledgement during it and until all had caught up, in milliseconds.
    pub gap_ms: u64,
    /// What nodes said.
    pub notes: Vec<String>,
    /// What should not have been.
    pub failures: Vec<String>,
}

/// What a soak showed.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The command that repeats it.
    pub command: String,
    /// What the binary says of itself.
    pub version: String,
    /// When it began, UTC.
    pub date: String,
    /// The machine.
    pub machine: Machine,
    /// `namespaces` or `loopback`.
    pub mode: String,
    /// Why not namespaces.
    pub without: Option<String>,
    /// Length in seconds.
    pub seconds: f64,
    /// The seed.
    pub seed: u64,
    /// Everything that was done.
    pub events: Vec<Event>,
    /// What grew and what did not.
    pub flatness: Vec<Flatness>,
    /// Whether one validator dropped old blocks.
    pub pruned: bool,
    /// Seconds for which the machine stood still.
    pub stalled_s: f64,
    /// What the whole history shows.
    pub judgement: Judgement,
    /// Every look at the processes.
    #[serde(skip)]
    pub samples: Vec<Sample>,
    /// Time, p50 and p99 in milliseconds, and acknowledgements per second.
    #[serde(skip)]
    pub latency: Vec<Latency>,
}

impl Report {
    /// Whether nothing was found wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.judgement.is_clean()
            && self.events.iter().all(|event| event.failures.is_empty())
            && self
                .flatness
                .iter()
                .all(|one| one.verdict != Verdict::Grows)
    }
}

/// Looks at processes until it is dropped.
struct Sampler {
    samples: Arc<Mutex<Vec<Sample>>>,
    task: JoinHandle<()>,
}

impl Sampler {
    fn start(folders: Vec<PathBuf>, history: &History) -> Self {
        let samples = Arc::new(Mutex::new(Vec::new()));
        let (kept, history) = (Arc::clone(&samples), history.clone());
        let task = tokio::spawn(async move {
            let mut lives: BTreeMap<u16, (i32, u32)> = BTreeMap::new();
            loop {
                for (node, folder) in (0_u16..).zip(&folders) {
                    let Ok(pid) = read_pid(&folder.join("hawser.pid")) else {
                        continue;
                    };
                    if !is_alive(pid) {
                        continue;
                    }
                    let pid = pid.as_raw_nonzero().get();
                    let entry = lives.entry(node).or_insert((pid, 0));
                    if entry.0 != pid {
                        *entry = (pid, entry.1 + 1);
                    }
                    if let Some((memory, handles, threads, disk)) = look(pid, folder) {
                        let sample = Sample {
                            node,
                            at_ms: history.now_us() / 1_000,
                            life: entry.1,
                            memory,
                            handles,
                            threads,
                            disk,
                        };
                        kept.lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(sample);
                    }
                }
                sleep(LOOK).await;
            }
        });
        Self { samples, task }
    }

    fn take(self) -> Vec<Sample> {
        self.task.abort();
        self.samples
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Time, p50 and p99 in milliseconds, acknowledgements per second.
pub type Latency = (f64, f64, f64, f64);

/// What may happen, each as often as it is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Fault(Fault),
    /// One validator after the other is stopped and started, with the other program where there is one.
    Rolling,
    /// A validator keeps another number of blocks from now on.
    Prune,
    /// A running validator makes a snapshot, which is checked.
    Snapshot,
    /// An observer joins, or leaves if one is there.
    Observer,
    /// A fifth validator joins by proposal and leaves by another.
    Validator,
}

/// What every run begins with.
const FIRST: [Act; 6] = [
    Act::Observer,
    Act::Validator,
    Act::Rolling,
    Act::Prune,
    Act::Snapshot,
    Act::Observer,
];

fn acts(mode: Mode) -> Vec<Act> {
    let mut all: Vec<_> = [
        Fault::KillOne,
        Fault::KillLeader,
        Fault::KillLeader,
        Fault::KillQuorum,
        Fault::KillAll,
        Fault::StopOne,
        Fault::StopLeader,
        Fault::CutOne,
        Fault::CutLeader,
        Fault::CutOut,
        Fault::CutIn,
        Fault::Split,
        Fault::Flap,
        Fault::Delay,
        Fault::LostData,
        Fault::TornTails,
    ]
    .map(Act::Fault)
    .to_vec();
    if mode == Mode::Namespaces {
        all.extend([Fault::Loss, Fault::Disorder].map(Act::Fault));
    }
    all.extend([Act::Rolling, Act::Observer, Act::Observer, Act::Validator]);
    all.extend([Act::Prune, Act::Snapshot]);
    all
}

/// Runs, and judges.
///
/// # Errors
/// When the network does not come up, or does not come to rest at the end.
pub async fn soak(
    settings: &Settings,
    command: String,
    version: String,
    say: &mut dyn FnMut(&Event),
) -> Result<Report> {
    let date = crate::report::date();
    let plan = Plan {
        validators: 4,
        spare: 1,
        mode: settings.mode,
        seed: settings.seed,
        accounts: funded(settings.clients)?,
        suite: settings.suite,
        governed: true,
    };
    let bed = Bed::prepare(plan).await?;
    let pruned = files::prune(&bed, PRUNED, KEPT).await?;
    for node in 0..bed.validators() {
        files::limit_caches(&bed, node, CACHE_MIB)?;
    }
    let mut ground = settle(bed).await?;
    let history = History::default();
    let watch = Watch::start(&history);
    let folders = (0..4).map(|node| ground.bed.folder(node)).collect();
    let sampler = Sampler::start(folders, &history);
    let clients = Clients::start(
        &ground.bed,
        history.clone(),
        ground.contract,
        settings.clients,
        settings.think,
        settings.seed,
    )?;
    let end = Instant::now() + settings.length;
    let mut random = Random::new(settings.seed, 0x50a);
    let choices = acts(settings.mode);
    let mut events = Vec::new();
    while Instant::now() < end {
        sleep(Duration::from_secs(6 + random.below(10))).await;
        let at = usize::try_from(random.below(choices.len() as u64)).unwrap_or(0);
        // Changes of membership come first, so that short runs have them, too.
        let act = FIRST.get(events.len()).or_else(|| choices.get(at));
        let Some(act) = act.copied() else {
            continue;
        };
        let next = settings.next.as_ref();
        let event = happen((act, next), &mut ground, &history, &watch, &mut random).await;
        say(&event);
        events.push(event);
    }
    let seconds = history.now_us() as f64 / 1e6;
    clients.finish().await?;
    let samples = sampler.take();
    let latency = latency(&history);
    let flatness = judge_flatness(&samples, &latency, &history);
    let evidence = chain::evidence(
        &ground.bed,
        &history,
        ground.contract,
        settings.clients,
        ground.own.clone(),
    )
    .await?;
    Ok(Report {
        command,
        version,
        date,
        machine: Machine::here(),
        mode: match settings.mode {
            Mode::Namespaces => "namespaces".to_owned(),
            Mode::Loopback => "loopback".to_owned(),
        },
        without: settings.without.clone(),
        seconds,
        seed: settings.seed,
        events,
        flatness,
        pruned,
        stalled_s: watch.stalled_s(0, history.now_us()),
        judgement: judge(&evidence),
        samples,
        latency,
    })
}

async fn happen(
    (act, next): (Act, Option<&PathBuf>),
    ground: &mut Ground,
    history: &History,
    watch: &Watch,
    random: &mut Random,
) -> Event {
    let begin = history.now_us();
    let mut event = Event {
        at_s: begin as f64 / 1e6,
        what: String::new(),
        load: load_per_processor(),
        gap_ms: 0,
        notes: Vec::new(),
        failures: Vec::new(),
    };
    let done = match act {
        Act::Fault(fault) => {
            let hold = Duration::from_millis(1_500 + random.below(5_000));
            let row = one(fault, &mut ground.bed, history, watch, hold).await;
            event.what = format!("{} ({:.1} s)", fault.text(), row.held_s);
            event.gap_ms = row.gap_ms;
            event.notes = row.notes;
            event.failures = row.failures;
            return event;
        }
        Act::Rolling => {
            event.what = "validators stopped and started one after the other".to_owned();
            rolling(ground, next).await
        }
        Act::Prune => {
            event.what = "a validator keeps fewer or more blocks".to_owned();
            prune(ground, KEPT + random.below(KEPT)).await
        }
        Act::Snapshot => {
            event.what = "snapshot of a running validator, checked".to_owned();
            members::snapshot(&ground.bed, 0).await
        }
        Act::Observer if ground.bed.runs(GUEST) => {
            event.what = "observer leaves".to_owned();
            members::dismiss(&mut ground.bed, GUEST)
                .await
                .map(|()| String::new())
        }
        Act::Observer => {
            event.what = "observer joins".to_owned();
            join(ground, "observer").await
        }
        Act::Validator => {
            event.what = "a fifth validator joins by proposal, and leaves by another".to_owned();
            fifth(ground).await
        }
    };
    match done {
        Ok(note) if note.is_empty() => {}
        Ok(note) => event.notes.push(note),
        Err(error) => event.failures.push(format!("{error:#}")),
    }
    let acks = history.acknowledgements(begin);
    let gap = crate::history::gap(&acks, begin, history.now_us());
    event.gap_ms = u64::try_from(gap.as_millis()).unwrap_or(u64::MAX);
    event
}

async fn join(ground: &mut Ground, role: &str) -> Result<String> {
    members::admit(&ground.bed, GUEST, role).await?;
    let took = members::follow(&mut ground.bed, GUEST).await?;
    let top = ground.bed.top().await;
    Ok(format!(
        "caught up with {top} blocks in {:.1} s",
        took.as_secs_f64()
    ))
}

async fn prune(ground: &mut Ground, keep: u64) -> Result<String> {
    if !files::prune(&ground.bed, PRUNED_LATER, keep).await? {
        return Ok("this program drops no blocks".to_owned());
    }
    ground.bed.stop(PRUNED_LATER).await?;
    ground.bed.restart(PRUNED_LATER).await?;
    let top = ground.bed.top().await;
    let limit = CATCH_UP_MAX.mul_f64(load_per_processor().max(1.0));
    ground.bed.reaches(PRUNED_LATER, top, limit).await?;
    Ok(format!("{keep} from now on"))
}

async fn rolling(ground: &mut Ground, next: Option<&PathBuf>) -> Result<String> {
    let mut longest = Duration::ZERO;
    let other = next.filter(|_| !ground.upgraded).cloned();
    ground.upgraded = other.is_some();
    for node in 0..ground.bed.validators() {
        ground.bed.stop(node).await?;
        ground.bed.set_program(node, other.clone());
        longest = longest.max(ground.bed.restart(node).await?);
        let top = ground.bed.top().await;
        let limit = CATCH_UP_MAX.mul_f64(load_per_processor().max(1.0));
        ground.bed.reaches(node, top, limit).await?;
    }
    Ok(format!(
        "{}slowest start {} ms until it answered",
        match (&other, next) {
            (Some(program), _) => format!("to {}; ", program.display()),
            (None, Some(_)) => "back to the program under test; ".to_owned(),
            (None, None) => String::new(),
        },
        longest.as_millis()
    ))
}

async fn fifth(ground: &mut Ground) -> Result<String> {
    if ground.bed.runs(GUEST) {
        members::dismiss(&mut ground.bed, GUEST).await?;
    }
    let mut note = join(ground, "validator").await?;
    let took = members::promote(&ground.bed, GUEST, &mut ground.own).await?;
    let _ = write!(
        note,
        "; in the committee {:.1} s after the proposal",
        took.as_secs_f64()
    );
    sleep(Duration::from_secs(5)).await;
    let took = members::demote(&ground.bed, GUEST, &mut ground.own).await?;
    let _ = write!(note, "; out again after {:.1} s", took.as_secs_f64());
    ground.bed.signal(GUEST, Signal::TERM)?;
    ground.bed.ended(GUEST, Duration::from_secs(30)).await?;
    members::dismiss(&mut ground.bed, GUEST).await?;
    Ok(note)
}

fn latency(history: &History) -> Vec<Latency> {
    let mut buckets: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
    for (at, took) in history.acknowledgements(0) {
        let bucket = at / 1_000_000 / BUCKET_S;
        buckets.entry(bucket).or_default().push((at, took));
    }
    buckets
        .into_iter()
        .filter_map(|(bucket, acks)| {
            Some((
                (bucket * BUCKET_S) as f64,
                percentile_ms(&acks, 50)?,
                percentile_ms(&acks, 99)?,
                acks.len() as f64 / BUCKET_S as f64,
            ))
        })
        .collect()
}

/// When a node has written enough for its caches to be full. What it deleted again does not count against it.
fn filled_at(disk: &[(f64, f64)]) -> Option<f64> {
    let (mut written, mut last) = (0.0, disk.first()?.1);
    for (at, mib) in disk {
        written += (mib - last).max(0.0);
        last = *mib;
        if written >= FILLED * CACHE_MIB as f64 {
            return Some(*at);
        }
    }
    None
}

fn judge_flatness(samples: &[Sample], latency: &[Latency], history: &History) -> Vec<Flatness> {
    let end = samples.iter().map(|sample| sample.at_ms).max().unwrap_or(0) as f64 / 1e3;
    let warm = end * WARM_UP;
    let mut all = Vec::new();
    for node in 0..4 {
        let all_of = |value: &dyn Fn(&Sample) -> f64| -> Vec<(f64, f64)> {
            let own = samples.iter().filter(|sample| sample.node == node);
            own.map(|sample| (sample.at_ms as f64 / 1e3, value(sample)))
                .collect()
        };
        let series = |value: &dyn Fn(&Sample) -> f64| -> Vec<(f64, f64)> {
            let mut all = all_of(value);
            all.retain(|(at, _)| *at >= warm);
            all
        };
        let filled = filled_at(&all_of(&|sample| sample.disk as f64 / MIB)).map(|at| at.max(warm));
        let mut memory = series(&|sample| sample.memory as f64 / MIB);
        memory.retain(|(at, _)| filled.is_none_or(|filled| *at >= filled));
        let short = filled.is_none_or(|filled| filled > end / 2.0);
        let handles = series(&|sample| sample.handles as f64);
        let threads = series(&|sample| sample.threads as f64);
        let name = |what: &str| format!("node {node}: {what}");
        let memory = flatness(&name("memory"), "MiB", &memory, 0.25, 24.0);
        all.extend(memory.map(|one| Flatness {
            verdict: if short {
                Verdict::TooShort
            } else {
                one.verdict
            },
            ..one
        }));
        all.extend(flatness(&name("file handles"), "", &handles, 0.2, 16.0));
        all.extend(flatness(&name("threads"), "", &threads, 0.1, 4.0));
        // Disk grows with the chain; what a transaction costs must not.
        let acks = history.acknowledgements(0);
        let per: Vec<_> = series(&|sample| sample.disk as f64)
            .into_iter()
            .map(|(at, disk)| {
                let before = acks.partition_point(|(ack, _)| (*ack as f64) < at * 1e6);
                (at, disk / 1_024.0 / before.max(1) as f64)
            })
            .collect();
        let disk = flatness(&name("disk per transaction"), "KiB", &per, 0.2, 0.2);
        all.extend(disk);
    }
    let after: Vec<_> = latency.iter().filter(|one| one.0 >= warm).collect();
    let middle: Vec<_> = after.iter().map(|one| (one.0, one.1)).collect();
    let high: Vec<_> = after.iter().map(|one| (one.0, one.2)).collect();
    all.extend(flatness("latency, median", "ms", &middle, 0.5, 50.0));
    all.extend(flatness("latency, 99 %", "ms", &high, 0.5, 1_000.0));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_not_lost_where_there_are_only_streams() {
        assert!(acts(Mode::Namespaces).contains(&Act::Fault(Fault::Loss)));
        assert!(!acts(Mode::Loopback).contains(&Act::Fault(Fault::Loss)));
    }

    #[test]
    fn a_leak_of_one_node_shows() {
        let sample = |node, at: u64, memory| Sample {
            node,
            at_ms: at * 5_000,
            life: 0,
            memory,
            handles: 50,
            threads: 12,
            disk: at * 1_048_576,
        };
        let mut samples = Vec::new();
        for at in 0..200 {
            for node in 0..4 {
                let leak = if node == 2 { at * 1_000_000 } else { 0 };
                samples.push(sample(node, at, 100_000_000 + leak));
            }
        }
        let found = judge_flatness(&samples, &[], &History::default());
        let grows = |one: &&Flatness| one.verdict == Verdict::Grows && one.name.ends_with("memory");
        let growing: Vec<_> = found.iter().filter(grows).collect();
        assert_eq!(growing.len(), 1, "{found:?}");
        assert_eq!(growing[0].name, "node 2: memory");
        // In half of the time its caches were not full for long enough.
        samples.truncate(4 * 50);
        let found = judge_flatness(&samples, &[], &History::default());
        let memory = found.iter().filter(|one| one.name.ends_with("memory"));
        assert!(
            memory.clone().count() == 4
                && memory.clone().all(|one| one.verdict == Verdict::TooShort)
        );
    }

    #[test]
    fn caches_are_full_once_twice_their_size_was_written_whatever_was_deleted_meanwhile() {
        let sawtooth: Vec<_> = (0..100)
            .map(|at| (f64::from(at), f64::from(at % 10)))
            .collect();
        // 9 MiB in each ten looks.
        assert_eq!(filled_at(&sawtooth), Some(35.0));
        assert_eq!(filled_at(&sawtooth[..35]), None);
        assert_eq!(filled_at(&[]), None);
    }
}
