use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hawser_primitives::Time;

use crate::blackbox::CLOCK_STEP_MS;

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
    /// By how much the wall clock is ahead of what passed since it was seen last, from which steps
    /// are told.
    steps: Steps,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self {
            value_ms: wall_ms(),
            seen: Instant::now(),
            odd_ms: 0,
            steps: Steps::default(),
        }
    }

    pub(super) fn now(&mut self) -> Time {
        let elapsed = u64::try_from(self.seen.elapsed().as_millis()).unwrap_or(u64::MAX);
        if elapsed > 0 {
            // Only whole milliseconds are taken, so that frequent calls lose nothing.
            self.seen += std::time::Duration::from_millis(elapsed);
        }
        let wall = wall_ms();
        self.steps.saw(elapsed, wall);
        self.value_ms = step(self.value_ms, elapsed, wall, &mut self.odd_ms);
        Time(self.value_ms)
    }

    /// By how many milliseconds the machine's clock was set since the last call.
    pub(super) fn take_step(&mut self) -> i64 {
        std::mem::take(&mut self.steps.taken)
    }
}

/// Tells a clock that is set from one that drifts.
#[derive(Debug, Default)]
struct Steps {
    wall: Option<u64>,
    taken: i64,
}

impl Steps {
    /// So much time passed until the wall clock showed this.
    fn saw(&mut self, elapsed: u64, wall: u64) {
        let before = self.wall.replace(wall);
        let expected = before.map_or(wall, |before| before.saturating_add(elapsed));
        let ahead = wall.saturating_sub(expected);
        let behind = expected.saturating_sub(wall);
        // What is read at two instants differs by little; what drifts does so by less.
        if ahead.max(behind) >= CLOCK_STEP_MS {
            let by = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
            self.taken = self
                .taken
                .saturating_add(by(ahead))
                .saturating_sub(by(behind));
        }
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
    use super::{CLOCK_STEP_MS, Steps, step};

    #[test]
    fn both_sides_of_a_step_and_no_drift() {
        let mut steps = Steps::default();
        let mut wall = 1_000_000;
        steps.saw(0, wall);
        for _ in 0..10_000 {
            // A clock that gains a tenth.
            wall += 11;
            steps.saw(10, wall);
        }
        assert_eq!(steps.taken, 0, "drift");
        wall += CLOCK_STEP_MS - 1;
        steps.saw(0, wall);
        assert_eq!(steps.taken, 0);
        wall += CLOCK_STEP_MS;
        steps.saw(0, wall);
        assert_eq!(steps.taken, i64::try_from(CLOCK_STEP_MS).unwrap());
        steps.saw(5, wall - 40_000);
        assert_eq!(steps.taken, i64::try_from(CLOCK_STEP_MS).unwrap() - 40_005);
    }

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
