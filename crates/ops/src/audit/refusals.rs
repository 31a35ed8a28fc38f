//! Refusals of the pool on their way into the log, bounded against floods.
//!
//! [`Tally`] decides what becomes a line and is a pure structure; [`RefusalWriter`] is the thread
//! that feeds it and writes. Whoever refuses a transaction hands it to a [`RefusalSink`], which
//! never waits.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hawser_primitives::B256;

use super::{AuditLog, Event, Kind};

/// Refusals that wait for the thread; more are only counted.
const QUEUE_MAX: usize = 4_096;
/// How often the thread looks for what is due.
const LOOK: Duration = Duration::from_millis(500);
/// Longest text of a refusal, in bytes.
const TEXT_BYTES_MAX: usize = 512;
/// Rule that a line names which counts what has no line of its own.
pub const OVERFLOW_RULE: &str = "audit:limit";

/// Bounds of what refusals may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusalLimits {
    /// How long the same refusal of one account is only counted after its line, in milliseconds.
    pub interval_ms: u64,
    /// Different refusals that are remembered at a time.
    pub remembered_max: usize,
    /// New lines in a second.
    pub per_second_max: u32,
}

impl Default for RefusalLimits {
    fn default() -> Self {
        Self {
            interval_ms: 60_000,
            remembered_max: 4_096,
            per_second_max: 50,
        }
    }
}

/// A transaction with good signatures that governance refused at the pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The chain.
    pub chain: u64,
    /// The account that signed.
    pub who: String,
    /// Where it came from: `client` or `peer`.
    pub from: &'static str,
    /// What it wanted to do: `call`, `deploy`, `transfer`.
    pub action: String,
    /// With what.
    pub resource: String,
    /// The rule that decided.
    pub rule: String,
    /// Why, in words.
    pub reason: String,
    /// Short name of the refusal, as metrics have it.
    pub code: &'static str,
    /// Hash of the transaction.
    pub transaction: B256,
}

/// What makes two refusals the same.
type Key = (u64, String, String, String, String, &'static str);

impl Refusal {
    fn key(&self) -> Key {
        (
            self.chain,
            self.who.clone(),
            self.action.clone(),
            self.resource.clone(),
            self.rule.clone(),
            self.code,
        )
    }

    fn cut(mut self) -> Self {
        let texts = [&mut self.who, &mut self.action, &mut self.resource];
        let words = [&mut self.rule, &mut self.reason];
        for text in texts.into_iter().chain(words) {
            while text.len() > TEXT_BYTES_MAX {
                text.pop();
            }
        }
        self
    }

    fn event(&self, time_ms: u64, times: Option<u64>) -> Event {
        Event {
            time_ms,
            chain: Some(self.chain),
            who: self.who.clone(),
            how: "signature".to_owned(),
            from: self.from.to_owned(),
            method: self.action.clone(),
            resource: self.resource.clone(),
            decision: "denied".to_owned(),
            rule: self.rule.clone(),
            reason: self.reason.clone(),
            code: self.code.to_owned(),
            transaction: Some(self.transaction),
            times,
            ..Event::default()
        }
    }
}

/// Refusals of the same kind since their line.
struct Repeated {
    newest: Refusal,
    times: u64,
}

/// Decides which refusals become lines.
///
/// The first of a kind has a line at once; what is the same within the interval is counted, and has
/// one line together when the interval ends. What exceeds the bounds is counted without its
/// particulars, and that count has a line of its own.
pub struct Tally {
    limits: RefusalLimits,
    repeated: BTreeMap<Key, Repeated>,
    /// When what was remembered is due, in order.
    due: VecDeque<(u64, Key)>,
    /// The second that lines are counted in, and how many it has had.
    second: (u64, u32),
    /// Refusals without a line, and when the first of them came.
    overflow: u64,
    overflow_since_ms: u64,
}

impl Tally {
    /// With nothing counted yet.
    #[must_use]
    pub const fn new(limits: RefusalLimits) -> Self {
        Self {
            limits,
            repeated: BTreeMap::new(),
            due: VecDeque::new(),
            second: (0, 0),
            overflow: 0,
            overflow_since_ms: 0,
        }
    }

    /// Takes a refusal; gives the line to write now, if it is one.
    pub fn refused(&mut self, now_ms: u64, refusal: Refusal) -> Option<Event> {
        let refusal = refusal.cut();
        let key = refusal.key();
        if let Some(repeated) = self.repeated.get_mut(&key) {
            repeated.times = repeated.times.saturating_add(1);
            repeated.newest = refusal;
            return None;
        }
        if self.second.0 != now_ms / 1_000 {
            self.second = (now_ms / 1_000, 0);
        }
        let full = self.repeated.len() >= self.limits.remembered_max;
        if full || self.second.1 >= self.limits.per_second_max {
            self.overflowed(now_ms, 1);
            return None;
        }
        self.second.1 = self.second.1.saturating_add(1);
        let event = refusal.event(now_ms, None);
        let due_ms = now_ms.saturating_add(self.limits.interval_ms);
        self.due.push_back((due_ms, key.clone()));
        let repeated = Repeated {
            newest: refusal,
            times: 0,
        };
        self.repeated.insert(key, repeated);
        Some(event)
    }

    /// Counts refusals of which nothing else is known.
    pub fn overflowed(&mut self, now_ms: u64, times: u64) {
        if self.overflow == 0 {
            self.overflow_since_ms = now_ms;
        }
        self.overflow = self.overflow.saturating_add(times);
    }

    /// Lines whose time has come.
    pub fn due(&mut self, now_ms: u64) -> Vec<Event> {
        let mut lines = Vec::new();
        while let Some((at, _)) = self.due.front()
            && *at <= now_ms
            && let Some((_, key)) = self.due.pop_front()
        {
            lines.extend(self.forget(&key, now_ms));
        }
        let waited = now_ms.saturating_sub(self.overflow_since_ms);
        if waited >= self.limits.interval_ms {
            lines.extend(self.overflow_line(now_ms));
        }
        lines
    }

    /// Everything that is counted and has no line yet.
    pub fn finish(&mut self, now_ms: u64) -> Vec<Event> {
        let mut lines = Vec::new();
        while let Some((_, key)) = self.due.pop_front() {
            lines.extend(self.forget(&key, now_ms));
        }
        lines.extend(self.overflow_line(now_ms));
        lines
    }

    fn forget(&mut self, key: &Key, now_ms: u64) -> Option<Event> {
        let Repeated { newest, times } = self.repeated.remove(key)?;
        (times > 0).then(|| newest.event(now_ms, Some(times)))
    }

    fn overflow_line(&mut self, now_ms: u64) -> Option<Event> {
        let times = std::mem::take(&mut self.overflow);
        (times > 0).then(|| Event {
            time_ms: now_ms,
            how: "signature".to_owned(),
            decision: "denied".to_owned(),
            rule: OVERFLOW_RULE.to_owned(),
            reason: format!(
                "more refusals than the record takes ({} new ones a second, {} kinds at a time); \
                 these were only counted",
                self.limits.per_second_max, self.limits.remembered_max
            ),
            times: Some(times),
            ..Event::default()
        })
    }
}

enum Job {
    Refused(Refusal),
    Stop,
}

/// Where refusals go. Cheap to clone; never waits.
#[derive(Clone)]
pub struct RefusalSink {
    jobs: SyncSender<Job>,
    missed: Arc<AtomicU64>,
}

impl RefusalSink {
    /// Hands a refusal over; where too many wait, it is only counted.
    pub fn refused(&self, refusal: Refusal) {
        if self.jobs.try_send(Job::Refused(refusal)).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Refusals that wait until there is a log to write them to.
pub struct RefusalSource {
    jobs: Receiver<Job>,
    missed: Arc<AtomicU64>,
    sink: RefusalSink,
}

/// The two ends of the way into the log.
#[must_use]
pub fn refusals() -> (RefusalSink, RefusalSource) {
    let (sender, jobs) = sync_channel(QUEUE_MAX);
    let missed = Arc::new(AtomicU64::new(0));
    let sink = RefusalSink {
        jobs: sender,
        missed: Arc::clone(&missed),
    };
    let source = RefusalSource {
        jobs,
        missed,
        sink: sink.clone(),
    };
    (sink, source)
}

/// The thread that writes refusals. Dropping it writes what is counted.
pub struct RefusalWriter {
    stop: SyncSender<Job>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl RefusalWriter {
    /// Starts writing.
    ///
    /// # Errors
    /// Where the operating system gives no thread.
    pub fn start(
        source: RefusalSource,
        log: Arc<AuditLog>,
        limits: RefusalLimits,
    ) -> std::io::Result<Self> {
        let stop = source.sink.jobs.clone();
        let thread = std::thread::Builder::new()
            .name("refusals".to_owned())
            .spawn(move || write(&source.jobs, &source.missed, &log, limits))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for RefusalWriter {
    fn drop(&mut self) {
        // Waits for room where the queue is full: the thread empties it. Fails when it has ended.
        let _ = self.stop.send(Job::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes refusals panicked");
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    })
}

fn write(jobs: &Receiver<Job>, missed: &AtomicU64, log: &AuditLog, limits: RefusalLimits) {
    let mut tally = Tally::new(limits);
    let mut running = true;
    while running {
        let mut lines = Vec::new();
        match jobs.recv_timeout(LOOK) {
            Ok(Job::Refused(refusal)) => lines.extend(tally.refused(now_ms(), refusal)),
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => running = false,
        }
        let now = now_ms();
        match missed.swap(0, Ordering::Relaxed) {
            0 => {}
            times => tally.overflowed(now, times),
        }
        lines.extend(if running {
            tally.due(now)
        } else {
            tally.finish(now)
        });
        for line in lines {
            let times = line.times.unwrap_or(1);
            if let Err(error) = log.record(Kind::Refusal, line) {
                tracing::warn!(%error, "a refusal is only counted");
                tally.overflowed(now, times);
            }
        }
    }
}

#[cfg(test)]
#[path = "refusals_tests.rs"]
mod tests;
