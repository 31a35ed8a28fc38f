use std::collections::{BTreeMap, BTreeSet};

use hawser_primitives::Time;

use crate::replica::TimerId;

/// The replica's timers by deadline.
#[derive(Debug, Default)]
pub struct Timers {
    deadlines: BTreeMap<TimerId, Time>,
    queue: BTreeSet<(Time, TimerId)>,
}

impl Timers {
    /// Sets a timer, replacing one of the same name.
    pub fn set(&mut self, timer: TimerId, at: Time) {
        self.clear(timer);
        self.deadlines.insert(timer, at);
        self.queue.insert((at, timer));
    }

    /// Forgets a timer.
    pub fn clear(&mut self, timer: TimerId) {
        if let Some(at) = self.deadlines.remove(&timer) {
            self.queue.remove(&(at, timer));
        }
    }

    /// The next deadline.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Timers that run.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Takes a timer whose deadline has come.
    pub fn due(&mut self, now: Time) -> Option<TimerId> {
        let (at, timer) = *self.queue.first()?;
        if at > now {
            return None;
        }
        self.clear(timer);
        Some(timer)
    }
}
