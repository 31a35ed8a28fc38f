//! Telling of failures to accept, without filling the log.

use std::{
    io,
    time::{Duration, Instant},
};

/// Pauses double from this one on.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// At most one line in this time.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// Failures in a row.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// Since the last success.
    count: u64,
    /// Of these, not told.
    untold: u64,
    told: Option<Instant>,
    pause: Duration,
}

impl Failures {
    /// Notes a failure; how many are to be told now, this one included, if any.
    pub(super) fn failed(&mut self, now: Instant) -> Option<u64> {
        self.count = self.count.saturating_add(1);
        self.untold = self.untold.saturating_add(1);
        self.pause = self.pause.saturating_mul(2).clamp(PAUSE_MIN, PAUSE_MAX);
        let silent = self
            .told
            .is_some_and(|told| now.saturating_duration_since(told) < TELL_EVERY);
        if silent {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }

    /// Notes a success; how many failures came before it.
    pub(super) fn succeeded(&mut self) -> u64 {
        self.pause = Duration::ZERO;
        std::mem::take(&mut self.count)
    }

    /// How long to wait before the next try; without it, accepting would spin.
    pub(super) const fn pause(&self) -> Duration {
        self.pause
    }
}

/// What an operator can do about it.
pub(super) fn advice(error: &io::Error) -> &'static str {
    /// `ENFILE` and `EMFILE` of Linux and the BSDs.
    const NO_DESCRIPTORS: [i32; 2] = [23, 24];
    match error.raw_os_error() {
        Some(code) if NO_DESCRIPTORS.contains(&code) => {
            "no file descriptors are left: raise the limit (ulimit -n, or LimitNOFILE of the \
             service), or lower rpc.connections_max; clients have to wait meanwhile"
        }
        _ => "clients cannot connect meanwhile",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_failures_make_few_lines_that_count_them_all() {
        let start = Instant::now();
        let mut failures = Failures::default();
        let told: Vec<u64> = (0..6_100)
            .filter_map(|i| failures.failed(start + Duration::from_millis(10 * i)))
            .collect();
        assert_eq!(told, [1, 3_000, 3_000]);
        assert_eq!(failures.pause(), PAUSE_MAX);
        assert_eq!(failures.succeeded(), 6_100);
        assert_eq!(failures.succeeded(), 0);
        assert_eq!(failures.pause(), Duration::ZERO);
        failures.failed(start);
        assert_eq!(failures.pause(), PAUSE_MIN);
    }

    #[test]
    fn want_of_descriptors_is_named() {
        assert!(advice(&io::Error::from_raw_os_error(24)).contains("ulimit"));
        assert!(!advice(&io::Error::from_raw_os_error(104)).contains("ulimit"));
    }
}
