use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hawser_primitives::Time;

/// Wall-clock time that never runs backwards.
///
/// A clock that is set forward is followed at once. One that is set back is approached by running
/// at half speed, so that timers keep firing and block times come back to what others accept.
#[derive(Debug)]
pub(super) struct Clock {
    value_ms: u64,
    seen: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self {
            value_ms: wall_ms(),
            seen: Instant::now(),
        }
    }

    pub(super) fn now(&mut self) -> Time {
        let elapsed = u64::try_from(self.seen.elapsed().as_millis()).unwrap_or(u64::MAX);
        if elapsed > 0 {
            // Only whole milliseconds are taken, so that frequent calls lose nothing.
            self.seen += std::time::Duration::from_millis(elapsed);
        }
        self.value_ms = step(self.value_ms, elapsed, wall_ms());
        Time(self.value_ms)
    }
}

fn step(value: u64, elapsed: u64, wall: u64) -> u64 {
    let value = value.saturating_add(elapsed);
    if wall >= value {
        wall
    } else {
        value.saturating_sub((elapsed / 2).min(value - wall))
    }
}

fn wall_ms() -> u64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::step;

    #[test]
    fn a_clock_set_forward_is_followed_at_once() {
        assert_eq!(step(1_000, 10, 1_010), 1_010);
        assert_eq!(step(1_000, 10, 9_000), 9_000);
    }

    #[test]
    fn a_clock_set_back_is_approached_without_running_backwards() {
        let (mut value, mut wall) = (100_000, 40_000);
        for _ in 0..12_100 {
            let next = step(value, 10, wall);
            assert!(next >= value);
            (value, wall) = (next, wall + 10);
        }
        assert_eq!(
            value,
            wall - 10,
            "it has caught up after twice the step back"
        );
    }
}
