//! How many transactions a proposed block should have, and when to propose it.
//!
//! A block costs its messages, votes and syncs whatever is in it, and then so much for each
//! transaction. If the first is `a`, the second `b`, and `w` transactions wait, then blocks of `n`
//! bring them through in `w / n` times `a + b n`, and on average they are through soonest with
//! `n = sqrt(w a / b)`: a block that took all would let the first wait for the last, and small ones
//! would pay `a` too often. So a proposer measures how long agreement takes and how long execution
//! does for each transaction, and takes as many as that: all of them while fewer wait than a block's
//! own cost is worth (`a / b`), and more the more wait, so that a backlog is never worked off at the
//! pace of small blocks. What single transactions may cost, the block's gas limit bounds.
//!
//! Below that, blocks that follow one another without a pause would spend the processor on `a`
//! alone, and a moderate load would queue as if it were a full one. So a proposer pauses after a
//! block for as long as agreement on the last ones took: agreement has half of the time at most. The
//! slower it becomes, the fewer blocks there are and the more is in each; on an idle chain the last
//! block is long past and nothing waits.
//!
//! Only what this node proposes depends on it: other nodes accept any block within the chain's
//! limits.

use std::collections::BTreeMap;

use hawser_primitives::{Height, Time, limits::BLOCK_TRANSACTIONS_MAX};

/// Longest pause between a decision and the next proposal, in milliseconds: less than a proposer is
/// waited for that was silent at its last turn.
const PAUSE_MAX_MS: u64 = 40;
/// Transactions that the cost of a block is taken to be worth, at least and at most, whatever was
/// measured.
const WORTH_MIN: u64 = 64;
const WORTH_MAX: u64 = 16_384;
/// What the newest block makes up of a measure: one part in so many.
const SMOOTHING: u64 = 8;
/// What is assumed before anything is measured: agreement, and execution of a transaction, in
/// microseconds.
const AGREEMENT_FIRST_US: u64 = 10_000;
const EXECUTION_FIRST_US: u64 = 20;
/// Transactions that those are worth as a measure.
const FIRST_COUNT: u64 = 1_024;
/// Blocks decided and not executed that are remembered; agreement runs at most a few ahead.
const OPEN_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Pace {
    /// Blocks decided and not executed: when they were, and how many transactions they have.
    open: BTreeMap<Height, (Time, usize)>,
    /// When the proposal of the height in progress was seen.
    proposed: Option<Time>,
    /// When the last height was decided.
    decided: Time,
    /// When the last block was executed.
    executed: Time,
    /// From proposal to decision, smoothed, in microseconds.
    agreement_us: u64,
    /// Time that execution took for so many transactions, of the last ones most.
    execution_us: u64,
    execution_count: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            open: BTreeMap::new(),
            proposed: None,
            decided: Time(0),
            executed: Time(0),
            agreement_us: AGREEMENT_FIRST_US,
            execution_us: EXECUTION_FIRST_US * FIRST_COUNT,
            execution_count: FIRST_COUNT,
        }
    }
}

impl Pace {
    /// How many transactions the cost of a block is worth.
    fn worth(&self) -> u64 {
        let agreement = u128::from(self.agreement_us) * u128::from(self.execution_count);
        let worth = agreement / u128::from(self.execution_us.max(1));
        u64::try_from(worth)
            .unwrap_or(WORTH_MAX)
            .clamp(WORTH_MIN, WORTH_MAX)
    }

    /// Most transactions for the next block, while so many wait.
    pub(super) fn limit(&self, waiting: usize) -> usize {
        let (worth, waiting) = (self.worth(), u64::try_from(waiting).unwrap_or(u64::MAX));
        let limit = worth.saturating_mul(waiting).isqrt().max(worth);
        usize::try_from(limit)
            .unwrap_or(usize::MAX)
            .min(BLOCK_TRANSACTIONS_MAX)
    }

    /// When to propose the next block, while so many transactions wait: at once if they are worth
    /// one.
    pub(super) fn propose_at(&self, waiting: usize) -> Time {
        if u64::try_from(waiting).is_ok_and(|waiting| waiting >= self.worth()) {
            return Time(0);
        }
        let pause = (self.agreement_us / 1_000).min(PAUSE_MAX_MS);
        self.decided.plus_ms(pause)
    }

    /// The proposal of the height in progress was made here or came in.
    pub(super) fn proposed(&mut self, now: Time) {
        self.proposed.get_or_insert(now);
    }

    /// A block of so many transactions was decided. What a failed round or a fetched block took is
    /// no measure of agreement.
    pub(super) fn decided(&mut self, height: Height, now: Time, count: usize, first_round: bool) {
        if let (Some(proposed), true) = (self.proposed.take(), first_round) {
            let took_us = now.since_ms(proposed).saturating_mul(1_000);
            let rest = self.agreement_us.saturating_mul(SMOOTHING - 1);
            self.agreement_us = rest.saturating_add(took_us) / SMOOTHING;
        }
        self.decided = now;
        self.open.insert(height, (now, count));
        if self.open.len() > OPEN_MAX {
            self.open.pop_first();
        }
    }

    /// It has been executed.
    pub(super) fn executed(&mut self, height: Height, now: Time) {
        let begun = self.executed;
        self.executed = now;
        let Some((decided, count)) = self.open.remove(&height) else {
            return;
        };
        self.open = self.open.split_off(&height);
        if count == 0 {
            return;
        }
        // One block is executed at a time.
        let took_us = now.since_ms(decided.max(begun)).saturating_mul(1_000);
        let less = |sum: u64| sum - sum / SMOOTHING;
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.execution_us = less(self.execution_us).saturating_add(took_us);
        self.execution_count = less(self.execution_count).saturating_add(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes blocks of so many transactions with given costs; gives the end of the last.
    fn run(pace: &mut Pace, agreement_ms: u64, execution_us: u64, count: usize) -> Time {
        let mut now = pace.executed.max(Time(1_000));
        for height in 1..200 {
            pace.proposed(now);
            // Seen again, by another way: the first time counts.
            pace.proposed(now.plus_ms(agreement_ms / 2));
            now = now.plus_ms(agreement_ms);
            pace.decided(Height(height), now, count, true);
            let work = u64::try_from(count).unwrap() * execution_us / 1_000;
            pace.executed(Height(height), now.plus_ms(work));
            now = now.plus_ms(work);
        }
        pace.decided
    }

    #[test]
    fn a_block_has_the_size_with_which_a_backlog_is_through_soonest_on_average() {
        for (agreement_ms, execution_us) in [(10, 50), (20, 20), (100, 100)] {
            let mut pace = Pace::default();
            run(&mut pace, agreement_ms, execution_us, 1_000);
            let waiting = 20_000;
            // In microseconds, all of the same size.
            let average = |size: usize| {
                let blocks = waiting as f64 / size as f64;
                let one = agreement_ms as f64 * 1_000.0 + execution_us as f64 * size as f64;
                (blocks + 1.0) / 2.0 * one
            };
            let chosen = average(pace.limit(waiting));
            let best = (1..=waiting).map(average).fold(f64::MAX, f64::min);
            assert!(chosen < best * 1.05, "{chosen} µs against {best}");
        }
    }

    #[test]
    fn what_a_block_is_worth_is_taken_whole_and_more_the_more_waits() {
        let mut pace = Pace::default();
        run(&mut pace, 20, 50, 1_000);
        let worth = usize::try_from(pace.worth()).unwrap();
        assert!((380..=420).contains(&worth), "{worth}");
        assert_eq!(pace.limit(0), worth);
        assert_eq!(pace.limit(worth), worth);
        assert_eq!(pace.limit(100 * worth), 10 * worth);
        assert_eq!(pace.limit(usize::MAX), BLOCK_TRANSACTIONS_MAX);
    }

    #[test]
    fn slow_agreement_makes_blocks_larger_never_smaller() {
        let mut pace = Pace::default();
        run(&mut pace, 10, 50, 100);
        let before = pace.limit(10_000);
        run(&mut pace, 500, 50, 100);
        assert!(pace.limit(10_000) > before * 5);
        run(&mut pace, 10, 5_000, 100);
        assert!(
            pace.limit(10_000) < before,
            "dear transactions make them smaller"
        );
    }

    #[test]
    fn the_measure_of_worth_keeps_its_bounds() {
        let mut pace = Pace::default();
        run(&mut pace, 0, 1_000_000, 10);
        assert_eq!(pace.worth(), WORTH_MIN);
        run(&mut pace, 60_000, 0, 10);
        assert_eq!(pace.worth(), WORTH_MAX);
    }

    #[test]
    fn the_pause_is_as_long_as_agreement_took_within_its_bound() {
        let mut pace = Pace::default();
        let mut pause = |agreement_ms| {
            let end = run(&mut pace, agreement_ms, 20, 10);
            pace.propose_at(1).since_ms(end)
        };
        assert_eq!(pause(0), 0);
        assert!((9..=10).contains(&pause(10)));
        assert_eq!(pause(500), PAUSE_MAX_MS);
    }

    #[test]
    fn what_is_worth_a_block_is_proposed_at_once() {
        let mut pace = Pace::default();
        let end = run(&mut pace, 20, 20, 10);
        let worth = usize::try_from(pace.worth()).unwrap();
        assert!(pace.propose_at(worth) <= end);
        assert!(pace.propose_at(worth - 1) > end);
    }

    #[test]
    fn a_failed_round_or_a_fetched_block_says_nothing_of_how_long_agreement_takes() {
        let mut pace = Pace::default();
        let now = run(&mut pace, 10, 20, 10).plus_ms(1_000);
        let before = pace.agreement_us;
        pace.proposed(now);
        pace.decided(Height(200), now.plus_ms(5_000), 10, false);
        assert_eq!(pace.agreement_us, before);
        // Nor does the next block, whose proposal was not seen.
        pace.decided(Height(201), now.plus_ms(9_000), 10, true);
        assert_eq!(pace.agreement_us, before);
    }

    #[test]
    fn blocks_that_never_execute_are_forgotten() {
        let mut pace = Pace::default();
        for height in 0..1_000 {
            pace.decided(Height(height), Time(0), 1, true);
        }
        assert_eq!(pace.open.len(), OPEN_MAX);
    }
}
