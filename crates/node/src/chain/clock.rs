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
    /// Milliseconds of time passed that no whole step back was taken for: 0 or 1.
    odd_ms: u64,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self {
            value_ms: wall_ms(),
            seen: Instant::now(),
            odd_ms: 0,
        }
    }

    pub(super) fn now(&mut self) -> Time {
        let elapsed = u64::try_from(self.seen.elapsed().as_millis()).unwrap_or(u64::MAX);
        if elapsed > 0 {
            // Only whole milliseconds are taken, so that frequent calls lose nothing.
            self.seen += std::time::Duration::from_millis(elapsed);
        }
        self.value_ms = step(self.value_ms, elapsed, wall_ms(), &mut self.odd_ms);
        Time(self.value_ms)
    }
}

/// The next value; `odd` carries what halving leaves over, without which a clock that is asked every
/// millisecond would never come back.
fn step(value: u64, elapsed: u64, wall: u64, odd: &mut u64) -> u64 {
    let value = value.saturating_add(elapsed);
    if wall >= value {
        *odd = 0;
        return wall;
    }
    let passed = elapsed.saturating_add(*odd);
    *odd = passed % 2;
    value.saturating_sub((passed / 2).min(value - wall))
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
        assert_eq!(step(1_000, 10, 1_010, &mut 0), 1_010);
        assert_eq!(step(1_000, 10, 9_000, &mut 0), 9_000);
    }

    /// Steps of `ms` until a clock that was set back by a minute is right again.
    fn steps_back(ms: u64) -> u64 {
        let (mut value, mut wall, mut odd, mut steps) = (100_000, 40_000, 0, 0);
        while value > wall {
            wall += ms;
            let next = step(value, ms, wall, &mut odd);
            assert!(next >= value, "it ran backwards");
            (value, steps) = (next, steps + 1);
            assert!(steps < 1_000_000, "it never comes back");
        }
        steps
    }

    #[test]
    fn a_clock_set_back_is_approached_at_half_speed_however_often_it_is_asked() {
        for ms in [1, 2, 3, 7, 10] {
            let took = steps_back(ms) * ms;
            assert!((119_900..=120_100).contains(&took), "{took} ms by {ms}");
        }
    }
}
