//! A node's clock, as the driver of the real node keeps it.

use hawser_primitives::Time;

/// Wall-clock time that never runs backwards: a clock set back is approached at half speed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SimClock {
    value_ms: u64,
    seen: Time,
    /// What halving left over.
    odd_ms: u64,
    /// How far the machine's clock is off, in milliseconds.
    pub(crate) offset_ms: i64,
}

impl SimClock {
    pub(crate) fn new(now: Time, offset_ms: i64) -> Self {
        Self {
            value_ms: now.0.saturating_add_signed(offset_ms),
            seen: now,
            odd_ms: 0,
            offset_ms,
        }
    }

    /// What a process that starts now reads: the machine's clock, whatever it was before.
    pub(crate) fn restart(&mut self, now: Time) {
        *self = Self::new(now, self.offset_ms);
    }

    pub(crate) fn now(&mut self, real: Time) -> Time {
        let elapsed = real.since_ms(self.seen);
        self.seen = real;
        let wall = real.0.saturating_add_signed(self.offset_ms);
        let value = self.value_ms.saturating_add(elapsed);
        self.value_ms = if wall >= value {
            self.odd_ms = 0;
            wall
        } else {
            let passed = elapsed.saturating_add(self.odd_ms);
            self.odd_ms = passed % 2;
            value.saturating_sub((passed / 2).min(value - wall))
        };
        Time(self.value_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_forward_at_once_and_back_without_running_backwards() {
        let mut clock = SimClock::new(Time(1_000), 0);
        assert_eq!(clock.now(Time(1_010)), Time(1_010));
        clock.offset_ms = 500;
        assert_eq!(clock.now(Time(1_010)), Time(1_510));
        clock.offset_ms = 0;
        let mut last = Time(1_510);
        for real in 1_011..3_000 {
            let now = clock.now(Time(real));
            assert!(now >= last);
            last = now;
        }
        assert_eq!(clock.now(Time(3_000)), Time(3_000));
    }
}
