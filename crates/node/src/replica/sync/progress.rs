//! How fast a node catches up, for people.

use std::collections::VecDeque;

use hawser_network::PeerId;
use hawser_primitives::{Height, Time};
use serde::Serialize;

/// Least time between two samples, in milliseconds.
const SAMPLE_MS: u64 = 1_000;
/// Samples kept: the rate is that of the last fifteen seconds.
const SAMPLES: usize = 16;

/// How far catching up is, for people and monitors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CatchUp {
    /// The highest block that a peer claims to have.
    pub target: Height,
    /// Blocks up to there that are not here.
    pub behind: u64,
    /// Blocks taken up per second, over the last seconds.
    pub blocks_per_second: u64,
    /// Bytes of transactions in them.
    pub bytes_per_second: u64,
    /// Seconds until the target is reached if it goes on like this; `None` while that cannot be told.
    pub seconds_left: Option<u64>,
    /// Peers that are being asked for blocks now.
    pub peers: Vec<PeerId>,
    /// Blocks that are here and wait for their turn.
    pub held: usize,
    /// What these take in memory, in bytes.
    pub held_bytes: usize,
}

/// A moment: blocks and bytes taken up until then.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Time,
    blocks: u64,
    bytes: u64,
}

/// Counts what is taken up.
#[derive(Debug, Default)]
pub(super) struct Progress {
    samples: VecDeque<Sample>,
    blocks: u64,
    bytes: u64,
}

impl Progress {
    /// The wait for blocks begins.
    pub(super) fn begin(&mut self, now: Time) {
        if self.samples.is_empty() {
            self.sample(now);
        }
    }

    fn sample(&mut self, now: Time) {
        self.samples.push_back(Sample {
            at: now,
            blocks: self.blocks,
            bytes: self.bytes,
        });
        if self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
    }

    /// A block was taken up.
    pub(super) fn took(&mut self, now: Time, bytes: usize) {
        self.blocks = self.blocks.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes as u64);
        let last = self.samples.back().map(|sample| sample.at);
        if last.is_none_or(|at| now.since_ms(at) >= SAMPLE_MS) {
            self.sample(now);
        }
    }

    /// Caught up.
    pub(super) fn end(&mut self) {
        self.samples.clear();
    }

    /// Blocks and bytes per second, and the seconds until `behind` more are taken up.
    pub(super) fn rate(&self, now: Time, behind: u64) -> (u64, u64, Option<u64>) {
        let Some(first) = self.samples.front() else {
            return (0, 0, None);
        };
        let ms = now.since_ms(first.at);
        let (blocks, bytes) = (
            self.blocks.saturating_sub(first.blocks),
            self.bytes.saturating_sub(first.bytes),
        );
        let per_second = |count: u64| count.saturating_mul(1_000).checked_div(ms).unwrap_or(0);
        // As long again as it took so far, times what is left.
        let left = behind.saturating_mul(ms).checked_div(blocks);
        let left = left.map(|ms| ms.div_ceil(1_000));
        (
            per_second(blocks),
            per_second(bytes),
            left.filter(|_| ms > 0),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds_and_gives_the_time_left() {
        let (mut progress, start) = (Progress::default(), Time(5_000));
        assert_eq!(progress.rate(start, 100), (0, 0, None));
        progress.begin(start);
        assert_eq!(progress.rate(start.plus_ms(900), 100), (0, 0, None));
        // Ten blocks a second, of 100 bytes; later fifty a second.
        for i in 1..=100 {
            progress.took(start.plus_ms(i * 100), 100);
        }
        let now = start.plus_ms(10_000);
        assert_eq!(progress.rate(now, 200), (10, 1_000, Some(20)));
        for i in 1..=1_500 {
            progress.took(now.plus_ms(i * 20), 100);
        }
        let now = now.plus_ms(30_000);
        assert_eq!(progress.rate(now, 75), (50, 5_000, Some(2)));
        // Nothing comes any more: the rate goes down, the time up.
        let (blocks, _, left) = progress.rate(now.plus_ms(60_000), 75);
        assert!(blocks <= 10 && left >= Some(7), "{blocks} {left:?}");
        progress.end();
        assert_eq!(progress.rate(now, 75), (0, 0, None));
    }
}
