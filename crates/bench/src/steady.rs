//! The steady part of a run: from a block to a block, without ramp and drain.

use std::time::Duration;

use serde::Serialize;

/// A block as the generator saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeenBlock {
    pub(crate) number: u64,
    /// Transactions executed in it.
    pub(crate) transactions: u64,
    /// When it became visible, since the start of the run.
    pub(crate) seen: Duration,
    /// The block's own time in milliseconds since the epoch.
    pub(crate) time_ms: u64,
}

/// What was committed in the steady part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Steady {
    /// First and last block; the first only starts the clock.
    pub blocks: (u64, u64),
    /// Transactions executed after the first block, up to and with the last.
    pub transactions: u64,
    /// Seconds between seeing the first and seeing the last.
    pub seconds: f64,
    /// Transactions per second.
    pub tps: f64,
    /// The same by the blocks' own times, as a check; anvil's have whole seconds.
    pub tps_by_block_time: Option<f64>,
}

/// Measures from the first block seen at or after `from` to the last one seen at or before `to`.
/// `None` with fewer than two such blocks.
pub(crate) fn steady(blocks: &[SeenBlock], from: Duration, to: Duration) -> Option<Steady> {
    let mut inside = blocks
        .iter()
        .filter(|block| block.seen >= from && block.seen <= to);
    let first = *inside.next()?;
    let (mut last, mut transactions) = (None, 0u64);
    for block in inside {
        transactions = transactions.saturating_add(block.transactions);
        last = Some(*block);
    }
    let last = last?;
    let seconds = last.seen.checked_sub(first.seen)?.as_secs_f64();
    if seconds <= 0.0 {
        return None;
    }
    let own_s = Duration::from_millis(last.time_ms.saturating_sub(first.time_ms)).as_secs_f64();
    let count = transactions as f64;
    Some(Steady {
        blocks: (first.number, last.number),
        transactions,
        seconds,
        tps: count / seconds,
        tps_by_block_time: (own_s > 0.0).then(|| count / own_s),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u64, transactions: u64, seen_ms: u64) -> SeenBlock {
        SeenBlock {
            number,
            transactions,
            seen: Duration::from_millis(seen_ms),
            time_ms: 1_700_000_000_000 + number * 1_000,
        }
    }

    #[test]
    fn ramp_and_drain_do_not_count() {
        let blocks = [
            block(1, 999, 1_000),
            block(2, 500, 2_000),
            block(3, 100, 3_000),
            block(4, 300, 4_000),
            block(5, 7, 5_000),
        ];
        let (from, to) = (Duration::from_millis(1_500), Duration::from_millis(4_500));
        let measured = steady(&blocks, from, to).unwrap();
        assert_eq!(measured.blocks, (2, 4));
        assert_eq!(measured.transactions, 400);
        assert_eq!(
            (measured.tps, measured.tps_by_block_time),
            (200.0, Some(200.0))
        );
    }

    #[test]
    fn both_ends_are_inclusive() {
        let blocks = [block(1, 5, 1_000), block(2, 5, 2_000)];
        let (from, to) = (Duration::from_secs(1), Duration::from_secs(2));
        assert_eq!(steady(&blocks, from, to).unwrap().transactions, 5);
    }

    #[test]
    fn fewer_than_two_blocks_are_no_measurement() {
        let (from, to) = (Duration::from_secs(1), Duration::from_secs(3));
        assert_eq!(steady(&[], from, to), None);
        assert_eq!(steady(&[block(1, 5, 2_000)], from, to), None);
        // Seen at once: no time passed that could be divided by.
        assert_eq!(
            steady(&[block(1, 5, 2_000), block(2, 5, 2_000)], from, to),
            None
        );
    }
}
