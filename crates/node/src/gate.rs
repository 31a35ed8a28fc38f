//! Leaves the disk to those who wait for it.
//!
//! A vote leaves a node only when it is durable, so the syncs of the vote log are what a chain's latency is made
//! of, and whatever else writes to the same disk prolongs them. A [`Gate`] measures how long they take. Work
//! that nobody waits for (a snapshot, removing an old one, pruning) asks it before each piece: as long as syncs
//! take as long as usual, the rate rises; when one takes much longer, it falls at once, by how much longer it took;
//! and while one is late that has not ended yet, the piece waits. It never falls below
//! [`FLOOR_BYTES_PER_S`], so that such work ends on a disk that is always slow as well. When nothing has been
//! synced for a second nobody waits, and the gate stands open.
//!
//! Not for: anything that replicas agree on. It decides when bytes are written, never which.

#[cfg(test)]
mod tests;

use std::{
    fmt, thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

const MIB: u64 = 1024 * 1024;
const SECOND_US: u64 = 1_000_000;

/// What background work may write whatever the disk does, in bytes per second.
pub const FLOOR_BYTES_PER_S: u64 = MIB;
/// The rate with which it begins while syncs go on …
const FIRST_BYTES_PER_S: u64 = 4 * MIB;
/// … and what is added to it in a second without a late one.
const RISE_BYTES_PER_S: u64 = 4 * MIB;
/// A sync is late when it takes so many times as long as usual …
const LATE_TIMES: u64 = 4;
/// … and at least this long.
const LATE_US_MIN: u64 = 20_000;
/// Late syncs within this time are one cause, and so long after the last one the rate does not rise.
const SETTLE_US: u64 = 250_000;
/// The longest that a piece waits for a sync that is late. Longer than this a sync is not told from a disk
/// that has failed.
const STALL_US_MAX: u64 = 250_000;
/// After this long without a sync nobody waits for the disk, and after this long without a piece nobody writes.
const SILENCE_US: u64 = SECOND_US;
/// The newest sync is this part of what is usual.
const SMOOTHING: u64 = 16;
/// Longest sleep at a time, so that a change is noticed.
const NAP_US: u64 = 20_000;

/// Paces background work by the syncs of a node's chains, which share a disk. One for all chains of a node.
pub struct Gate {
    started: Instant,
    valve: Mutex<Valve>,
}

/// Without what it measured: options that contain one are shown and compared.
impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            valve: Mutex::default(),
        }
    }
}

/// A sync that somebody waits for. It counts when it is dropped, unless it turned out to be none.
#[must_use]
pub struct Waiting<'a> {
    gate: &'a Gate,
    began_us: u64,
    counts: bool,
}

impl Waiting<'_> {
    /// There was nothing to sync.
    pub fn was_none(mut self) {
        self.counts = false;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let now = self.gate.now_us();
        let took = now.saturating_sub(self.began_us);
        let mut valve = self.gate.valve.lock();
        valve.ended(now, self.counts.then_some(took));
    }
}

impl Gate {
    fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Says that a sync begins for which a vote or a block waits.
    pub fn sync_begins(&self) -> Waiting<'_> {
        let began_us = self.now_us();
        self.valve.lock().began(began_us);
        Waiting {
            gate: self,
            began_us,
            counts: true,
        }
    }

    /// Waits until background work may write so many more bytes. `bytes_per_s` bounds it from above, 0 does
    /// not; once `stop` says so, nothing is waited for.
    pub fn turn(&self, bytes: usize, bytes_per_s: u64, stop: &dyn Fn() -> bool) {
        let asked = self.now_us();
        let due = self.valve.lock().reserve(asked, bytes as u64, bytes_per_s);
        loop {
            let left = self.valve.lock().left_us(self.now_us(), due);
            if left == 0 || stop() {
                return;
            }
            thread::sleep(Duration::from_micros(left.min(NAP_US)));
        }
    }

    /// Whether a sync is late at this moment, or one was a moment ago: work that can be put off had better be.
    #[must_use]
    pub fn is_strained(&self) -> bool {
        self.valve.lock().is_strained(self.now_us())
    }
}

/// The gate without a clock: times are microseconds since it was made.
#[derive(Debug)]
struct Valve {
    /// What a sync usually takes; 0 before the first.
    usual_us: u64,
    /// Bytes per second that background work may write while syncs go on.
    rate: u64,
    /// Up to when the rate has risen.
    risen_us: u64,
    /// When the rate fell last.
    fell_us: Option<u64>,
    /// When a sync was late last.
    late_us: Option<u64>,
    /// When the last sync began or ended.
    synced_us: Option<u64>,
    /// When the last piece was asked for.
    asked_us: Option<u64>,
    /// Syncs under way, and since when there are any.
    waiting: u32,
    since_us: u64,
    /// When the next piece may be written.
    due_us: u64,
}

impl Default for Valve {
    fn default() -> Self {
        Self {
            usual_us: 0,
            rate: FIRST_BYTES_PER_S,
            risen_us: 0,
            fell_us: None,
            late_us: None,
            synced_us: None,
            asked_us: None,
            waiting: 0,
            since_us: 0,
            due_us: 0,
        }
    }
}

/// Whether a moment is less than so long ago.
fn within(at: Option<u64>, now: u64, span: u64) -> bool {
    at.is_some_and(|at| now.saturating_sub(at) < span)
}

impl Valve {
    /// From when on a sync is late.
    fn limit_us(&self) -> u64 {
        self.usual_us.saturating_mul(LATE_TIMES).max(LATE_US_MIN)
    }

    /// Whether somebody waits for the disk at all.
    fn is_used(&self, now: u64) -> bool {
        self.waiting > 0 || within(self.synced_us, now, SILENCE_US)
    }

    fn is_late(&self, now: u64) -> bool {
        self.waiting > 0 && now.saturating_sub(self.since_us) > self.limit_us()
    }

    fn is_strained(&self, now: u64) -> bool {
        self.is_late(now) || within(self.late_us, now, SETTLE_US)
    }

    fn began(&mut self, now: u64) {
        if self.waiting == 0 {
            self.since_us = now;
        }
        if !self.is_used(now) {
            // It stood open until now.
            self.rate = self.rate.min(FIRST_BYTES_PER_S);
            self.risen_us = now;
        }
        self.waiting = self.waiting.saturating_add(1);
        self.synced_us = Some(now);
    }

    /// A sync ended that took so long; `None` for one that was none.
    fn ended(&mut self, now: u64, took: Option<u64>) {
        self.waiting = self.waiting.saturating_sub(1);
        // Others that began later are taken to have begun now: none is late that is not.
        self.since_us = now;
        let Some(took) = took else {
            return;
        };
        self.synced_us = Some(now);
        let limit = self.limit_us();
        let written = within(self.asked_us, now, SILENCE_US);
        if took > limit {
            self.late_us = Some(now);
            // Where nobody wrote beside it, nobody is to hold back.
            if written && !within(self.fell_us, now, SETTLE_US) {
                self.fell_us = Some(now);
                let share = self.rate.saturating_mul(limit) / took.max(1);
                self.rate = share.min(self.rate / 2).max(FLOOR_BYTES_PER_S);
            }
        }
        self.learn(took.min(limit.saturating_mul(LATE_TIMES)), written);
    }

    /// What is usual is learnt while nobody writes beside it, else a disk that is slow because of that would
    /// become the measure of it.
    fn learn(&mut self, took: u64, written: bool) {
        if self.usual_us == 0 {
            self.usual_us = took.clamp(1, LATE_US_MIN);
        } else if took < self.usual_us {
            self.usual_us = self
                .usual_us
                .saturating_sub((self.usual_us - took) / SMOOTHING);
        } else if !written {
            self.usual_us = self
                .usual_us
                .saturating_add((took - self.usual_us) / SMOOTHING);
        }
    }

    /// Takes a piece into account, and says when it may be written.
    fn reserve(&mut self, now: u64, bytes: u64, bytes_per_s: u64) -> u64 {
        let most = match bytes_per_s {
            0 => u64::MAX,
            bounded => bounded,
        };
        if !within(self.asked_us, now, SILENCE_US) {
            self.rate = self.rate.min(FIRST_BYTES_PER_S);
            self.risen_us = now;
        }
        self.asked_us = Some(now);
        self.rise(now, most);
        let used = self.is_used(now);
        let rate = if used { self.rate.min(most) } else { most };
        let due = self.due_us.max(now);
        // The first piece need not wait; those after it wait for the time that it stands for.
        let takes = u128::from(bytes).saturating_mul(SECOND_US.into()) / u128::from(rate.max(1));
        self.due_us = due.saturating_add(u64::try_from(takes).unwrap_or(u64::MAX));
        due
    }

    fn rise(&mut self, now: u64, most: u64) {
        let span = now.saturating_sub(self.risen_us).min(SECOND_US);
        self.risen_us = now;
        if !self.is_strained(now) {
            let more = RISE_BYTES_PER_S.saturating_mul(span) / SECOND_US;
            self.rate = self.rate.saturating_add(more).min(most);
        }
    }

    /// How long a piece that is due at a moment still waits.
    fn left_us(&mut self, now: u64, due: u64) -> u64 {
        if now < due {
            return due - now;
        }
        let end = due.saturating_add(STALL_US_MAX);
        if now >= end || !self.is_late(now) {
            return 0;
        }
        // It does not rise meanwhile. By how much it falls shows when the sync ends.
        self.late_us = Some(now);
        end - now
    }
}
