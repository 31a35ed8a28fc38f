//! How much a peer may ask for.

use std::{collections::BTreeMap, time::Instant};

use hawser_network::PeerId;
use parking_lot::Mutex;

/// Bounds on what one light peer gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LightLimits {
    /// Requests per second. Default 100.
    pub requests_per_s: u64,
    /// Requests that may come at once after a silence. Default 200.
    pub requests_burst: u64,
    /// Bytes of answers per second. Default 4 MiB.
    pub bytes_per_s: u64,
    /// Bytes of answers at once after a silence; the last of them may go over it. Default 16 MiB.
    pub bytes_burst: u64,
    /// Requests of one peer that are worked on or wait. Default 16.
    pub waiting_max: usize,
    /// Requests of all peers that wait. Default 256.
    pub queue_max: usize,
    /// Answers worked out at once. Default 2.
    pub workers: usize,
}

impl Default for LightLimits {
    fn default() -> Self {
        Self {
            requests_per_s: 100,
            requests_burst: 200,
            bytes_per_s: 4 * 1024 * 1024,
            bytes_burst: 16 * 1024 * 1024,
            waiting_max: 16,
            queue_max: 256,
            workers: 2,
        }
    }
}

/// A bucket that fills at a rate and is emptied by use. It may go below zero by one use.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Thousandths of a unit, so that a millisecond adds a whole number.
    level: i128,
}

impl Bucket {
    const fn full(burst: u64) -> Self {
        Self {
            level: burst as i128 * 1_000,
        }
    }

    fn fill(&mut self, elapsed_ms: u64, per_s: u64, burst: u64) {
        let more = i128::from(elapsed_ms).saturating_mul(i128::from(per_s));
        let full = Self::full(burst).level;
        self.level = self.level.saturating_add(more).min(full);
    }

    const fn has(&self, units: u64) -> bool {
        self.level >= units as i128 * 1_000
    }

    fn take(&mut self, units: u64) {
        self.level = self
            .level
            .saturating_sub(i128::from(units).saturating_mul(1_000));
    }
}

/// What one peer has used. Time is in milliseconds of any clock that does not run backwards.
#[derive(Clone, Debug)]
pub struct Meter {
    limits: LightLimits,
    requests: Bucket,
    bytes: Bucket,
    waiting: usize,
    at_ms: u64,
}

impl Meter {
    /// A peer that has used nothing.
    #[must_use]
    pub const fn new(limits: LightLimits, now_ms: u64) -> Self {
        Self {
            requests: Bucket::full(limits.requests_burst),
            bytes: Bucket::full(limits.bytes_burst),
            limits,
            waiting: 0,
            at_ms: now_ms,
        }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// What the peer asked too much of, in words; the request is not counted then.
    pub fn admit(&mut self, now_ms: u64) -> Result<(), &'static str> {
        let elapsed = now_ms.saturating_sub(self.at_ms);
        self.at_ms = self.at_ms.max(now_ms);
        let limits = self.limits;
        self.requests
            .fill(elapsed, limits.requests_per_s, limits.requests_burst);
        self.bytes
            .fill(elapsed, limits.bytes_per_s, limits.bytes_burst);
        if self.waiting >= limits.waiting_max {
            return Err("requests at a time");
        }
        if !self.requests.has(1) {
            return Err("requests per second");
        }
        // A whole answer may follow: only who is in debt waits.
        if !self.bytes.has(1) {
            return Err("bytes per second");
        }
        self.requests.take(1);
        self.waiting = self.waiting.saturating_add(1);
        Ok(())
    }

    /// Counts the answer to an admitted request.
    pub fn answered(&mut self, bytes: usize) {
        self.waiting = self.waiting.saturating_sub(1);
        self.bytes.take(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Whether no request of the peer is under way.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.waiting == 0
    }
}

/// What each peer has used of one service.
pub(crate) struct Meters {
    limits: LightLimits,
    /// Peers whose use is remembered; above it those with nothing under way are forgotten.
    peers_max: usize,
    started: Instant,
    meters: Mutex<BTreeMap<PeerId, Meter>>,
}

impl Meters {
    /// Nobody has used anything.
    pub(crate) fn new(limits: LightLimits, peers_max: usize) -> Self {
        Self {
            limits,
            peers_max,
            started: Instant::now(),
            meters: Mutex::default(),
        }
    }

    /// Counts a request of a peer.
    ///
    /// # Errors
    /// What the peer asked too much of, in words; the request is not counted then.
    pub(crate) fn admit(&self, from: PeerId) -> Result<(), &'static str> {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut meters = self.meters.lock();
        if meters.len() >= self.peers_max && !meters.contains_key(&from) {
            meters.retain(|_, meter| !meter.is_idle());
        }
        let meter = meters.entry(from);
        meter
            .or_insert_with(|| Meter::new(self.limits, now))
            .admit(now)
    }

    /// Counts the answer to an admitted request of a peer.
    pub(crate) fn answered(&self, peer: PeerId, bytes: usize) {
        if let Some(meter) = self.meters.lock().get_mut(&peer) {
            meter.answered(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: LightLimits = LightLimits {
        requests_per_s: 10,
        requests_burst: 2,
        bytes_per_s: 1_000,
        bytes_burst: 100,
        waiting_max: 2,
        queue_max: 1,
        workers: 1,
    };

    #[test]
    fn both_sides_of_the_rate_of_requests() {
        let mut meter = Meter::new(LIMITS, 0);
        for _ in 0..2 {
            meter.admit(0).unwrap();
            meter.answered(0);
        }
        assert_eq!(meter.admit(0), Err("requests per second"));
        assert_eq!(meter.admit(99), Err("requests per second"));
        // A tenth of a second brings one, and no pause brings more than the burst.
        meter.admit(100).unwrap();
        meter.answered(0);
        assert!(meter.admit(100).is_err());
        for _ in 0..2 {
            meter.admit(1_000_000).unwrap();
            meter.answered(0);
        }
        assert!(meter.admit(1_000_000).is_err());
    }

    #[test]
    fn both_sides_of_the_rate_of_bytes() {
        let mut meter = Meter::new(LIMITS, 0);
        meter.admit(0).unwrap();
        meter.answered(99);
        meter.admit(0).unwrap();
        meter.answered(501);
        // In debt by 500 bytes: half a second, and one millisecond for the next byte.
        assert_eq!(meter.admit(500), Err("bytes per second"));
        meter.admit(501).unwrap();
    }

    #[test]
    fn both_sides_of_the_requests_at_a_time() {
        let mut meter = Meter::new(LIMITS, 0);
        meter.admit(0).unwrap();
        meter.admit(0).unwrap();
        assert_eq!(meter.admit(1_000), Err("requests at a time"));
        meter.answered(0);
        meter.admit(1_000).unwrap();
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_gives_nothing() {
        let mut meter = Meter::new(LIMITS, 1_000);
        for _ in 0..2 {
            meter.admit(1_000).unwrap();
            meter.answered(0);
        }
        assert!(meter.admit(0).is_err());
        assert!(meter.admit(1_000).is_err());
    }
}
