//! How many transactions a proposed block should have.
//!
//! A block that takes whatever waits grows with the queue: the longer a block takes, the more waits
//! for the next one. Confirmation then takes seconds although nothing is lost by smaller blocks, for
//! agreement on one block runs beside the execution of another. So a proposer watches how long
//! blocks take from the start of their height until they are executed here, and takes fewer
//! transactions when that is longer than a target, more when full blocks stay well below it.
//!
//! Only what this node proposes depends on it: other nodes accept any block within the chain's
//! limits.

use std::collections::BTreeMap;

use hawser_primitives::{Height, Time, limits::BLOCK_TRANSACTIONS_MAX};

/// From the start of a height until its block is executed, in milliseconds.
const TARGET_MS: u64 = 200;
/// Fewest transactions that a block is limited to: below, the cost of agreement itself counts most.
const LIMIT_MIN: usize = 16;
/// Where it begins, before anything is measured.
const LIMIT_FIRST: usize = 1_024;
/// Blocks decided and not executed that are remembered; agreement runs at most a few ahead.
const OPEN_MAX: usize = 64;

#[derive(Debug)]
struct Open {
    started: Time,
    transactions: usize,
}

#[derive(Debug)]
pub(super) struct Pace {
    limit: usize,
    open: BTreeMap<Height, Open>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            limit: LIMIT_FIRST,
            open: BTreeMap::new(),
        }
    }
}

impl Pace {
    /// Most transactions for the next block.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// A block of so many transactions was decided whose height had started at `started`.
    pub(super) fn decided(&mut self, height: Height, started: Time, transactions: usize) {
        let open = Open {
            started,
            transactions,
        };
        self.open.insert(height, open);
        if self.open.len() > OPEN_MAX {
            self.open.pop_first();
        }
    }

    /// It has been executed.
    pub(super) fn executed(&mut self, height: Height, now: Time) {
        let Some(Open {
            started,
            transactions,
        }) = self.open.remove(&height)
        else {
            return;
        };
        self.open = self.open.split_off(&height);
        let took = now.since_ms(started);
        if took > TARGET_MS {
            // What a block of so many should have taken; at most halved by one bad block, which
            // may have waited for a slow disk.
            let fitting = u64::try_from(transactions)
                .unwrap_or(u64::MAX)
                .saturating_mul(TARGET_MS)
                / took;
            let fitting = usize::try_from(fitting).unwrap_or(usize::MAX);
            if transactions >= LIMIT_MIN {
                self.limit = self.limit.min(fitting.max(self.limit / 2));
            }
        } else if transactions >= self.limit && took < TARGET_MS / 4 * 3 {
            self.limit = self.limit.saturating_add(self.limit / 4);
        }
        self.limit = self.limit.clamp(LIMIT_MIN, BLOCK_TRANSACTIONS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs full blocks that take `us` microseconds for each transaction, and gives the limit.
    fn settle(pace: &mut Pace, us: u64) -> usize {
        for height in 1..200 {
            let (height, count) = (Height(height), pace.limit());
            pace.decided(height, Time(1_000), count);
            let took = u64::try_from(count).unwrap() * us / 1_000;
            pace.executed(height, Time(1_000 + took));
        }
        pace.limit()
    }

    #[test]
    fn full_blocks_settle_below_the_target() {
        for us in [10, 100, 1_000] {
            let mut pace = Pace::default();
            let limit = u64::try_from(settle(&mut pace, us)).unwrap();
            let took = limit * us / 1_000;
            assert!(
                (TARGET_MS / 2..=TARGET_MS).contains(&took),
                "{limit} at {us} us: {took} ms"
            );
        }
    }

    #[test]
    fn the_limit_follows_when_the_load_changes() {
        let mut pace = Pace::default();
        let light = settle(&mut pace, 10);
        let heavy = settle(&mut pace, 1_000);
        assert!(heavy <= light / 50, "{heavy} after {light}");
        assert!(settle(&mut pace, 10) >= light / 2);
    }

    #[test]
    fn blocks_that_are_not_full_and_slow_blocks_with_few_transactions_change_nothing() {
        let mut pace = Pace::default();
        pace.decided(Height(1), Time(0), LIMIT_FIRST - 1);
        pace.executed(Height(1), Time(1));
        assert_eq!(pace.limit(), LIMIT_FIRST);
        // Something stalled for ten seconds: that says nothing of the work.
        pace.decided(Height(2), Time(0), LIMIT_MIN - 1);
        pace.executed(Height(2), Time(10_000));
        assert_eq!(pace.limit(), LIMIT_FIRST);
    }

    #[test]
    fn limits_hold_at_both_ends() {
        let mut pace = Pace::default();
        assert_eq!(settle(&mut pace, 1_000_000), LIMIT_MIN);
        assert_eq!(settle(&mut pace, 0), BLOCK_TRANSACTIONS_MAX);
    }

    #[test]
    fn blocks_that_never_execute_are_forgotten() {
        let mut pace = Pace::default();
        for height in 0..1_000 {
            pace.decided(Height(height), Time(0), 1);
        }
        assert_eq!(pace.open.len(), OPEN_MAX);
    }
}
