//! What clients did and were told, in the manner of Jepsen: every operation has a call and a return, and an outcome that
//! says no more than the client knows.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy_primitives::{Address, B256};
use serde::Serialize;
use tokio::time::Instant;

use crate::linear::Act;

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum What {
    /// An operation on a register of the contract.
    Register {
        /// Its number.
        register: u64,
        /// The operation.
        act: Act,
    },
    /// A payment between accounts.
    Pay {
        /// To whom.
        to: Address,
        /// How much.
        wei: u64,
    },
}

/// What the client knows about an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// A node handed out its receipt: it is final.
    Acknowledged {
        /// The block's number.
        number: u64,
        /// The block's hash.
        block: B256,
        /// What the register held before, of an operation on one.
        before: Option<u64>,
    },
    /// Every node that was asked refused it: it must never take effect.
    Refused {
        /// Why.
        reason: String,
    },
    /// No answer in time: it may take effect once, or not.
    Unknown,
}

/// One operation.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// Which client.
    pub client: u32,
    /// Its transaction.
    pub hash: B256,
    /// What it asked for.
    #[serde(flatten)]
    pub what: What,
    /// When, in microseconds since the run began.
    pub called_us: u64,
    /// When it knew.
    pub returned_us: u64,
    /// What it knew.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl Record {
    /// Whether it was acknowledged.
    #[must_use]
    pub fn is_acknowledged(&self) -> bool {
        matches!(self.outcome, Outcome::Acknowledged { .. })
    }
}

/// A register as one node showed it, without a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// The node.
    pub node: u16,
    /// When its answer came, in microseconds since the run began.
    pub at_us: u64,
    /// The register.
    pub register: u64,
    /// What it held.
    pub value: u64,
    /// After which block.
    pub number: u64,
}

/// A node whose data was deleted, and so begins again at block 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Emptied {
    /// The node.
    pub node: u16,
    /// When, in microseconds since the run began.
    pub at_us: u64,
}

#[derive(Debug, Default)]
struct Book {
    emptied: Vec<Emptied>,
    records: Vec<Record>,
    seen: Vec<Seen>,
    /// Handed in without waiting for receipts, and taken by a node.
    accepted: Vec<B256>,
}

/// The history of a run, which clients write to.
#[derive(Debug, Clone)]
pub struct History {
    start: Instant,
    book: Arc<Mutex<Book>>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            book: Arc::default(),
        }
    }
}

impl History {
    /// Microseconds since the run began.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn with<T>(&self, look: impl FnOnce(&mut Book) -> T) -> T {
        look(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds an operation.
    pub fn add(&self, record: Record) {
        self.with(|book| book.records.push(record));
    }

    /// Adds what a node showed.
    pub fn add_seen(&self, seen: Seen) {
        self.with(|book| book.seen.push(seen));
    }

    /// Adds a transaction that a node took.
    pub fn add_accepted(&self, hash: B256) {
        self.with(|book| book.accepted.push(hash));
    }

    /// Notes that a node's data is deleted now.
    pub fn add_emptied(&self, node: u16) {
        let at_us = self.now_us();
        self.with(|book| book.emptied.push(Emptied { node, at_us }));
    }

    /// The nodes whose data was deleted.
    #[must_use]
    pub fn emptied(&self) -> Vec<Emptied> {
        self.with(|book| book.emptied.clone())
    }

    /// How many operations have been acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.with(|book| {
            book.records
                .iter()
                .filter(|record| record.is_acknowledged())
                .count()
        })
    }

    /// A copy of all of it: operations, what nodes showed, what they took.
    #[must_use]
    pub fn copy(&self) -> (Vec<Record>, Vec<Seen>, Vec<B256>) {
        self.with(|book| {
            (
                book.records.clone(),
                book.seen.clone(),
                book.accepted.clone(),
            )
        })
    }

    /// When operations were acknowledged, and how long each took, of those that returned from `from_us` on.
    #[must_use]
    pub fn acknowledgements(&self, from_us: u64) -> Vec<(u64, u64)> {
        self.with(|book| {
            // They are added about in the order of their return; a client adds its own at once.
            let recent = book
                .records
                .iter()
                .rev()
                .take_while(|record| record.returned_us + 60_000_000 >= from_us);
            let mut found: Vec<_> = recent
                .filter(|record| record.is_acknowledged() && record.returned_us >= from_us)
                .map(|record| (record.returned_us, record.returned_us - record.called_us))
                .collect();
            found.sort_unstable();
            found
        })
    }

    /// Operations with each outcome that returned from `from_us` on: acknowledged, unknown, refused.
    #[must_use]
    pub fn outcomes(&self, from_us: u64) -> [usize; 3] {
        self.with(|book| {
            let mut counts = [0; 3];
            for record in book.records.iter().filter(|r| r.returned_us >= from_us) {
                let [acknowledged, unknown, refused] = &mut counts;
                match record.outcome {
                    Outcome::Acknowledged { .. } => *acknowledged += 1,
                    Outcome::Unknown => *unknown += 1,
                    Outcome::Refused { .. } => *refused += 1,
                }
            }
            counts
        })
    }
}

/// Acknowledgements per second between two moments, all in microseconds.
#[must_use]
pub fn rate(acknowledgements: &[(u64, u64)], from_us: u64, to_us: u64) -> f64 {
    let count = acknowledgements
        .iter()
        .filter(|(at, _)| *at >= from_us && *at < to_us)
        .count();
    count as f64 * 1e6 / to_us.saturating_sub(from_us).max(1) as f64
}

/// The longest time without an acknowledgement between two moments; the moments count as its ends.
#[must_use]
pub fn gap(acknowledgements: &[(u64, u64)], from_us: u64, to_us: u64) -> Duration {
    let mut last = from_us;
    let mut longest = 0;
    for (at, _) in acknowledgements
        .iter()
        .filter(|(at, _)| *at >= from_us && *at < to_us)
    {
        longest = longest.max(at.saturating_sub(last));
        last = *at;
    }
    Duration::from_micros(longest.max(to_us.saturating_sub(last)))
}

/// A percentile of the latencies, in milliseconds; none without any.
#[must_use]
pub fn percentile_ms(acknowledgements: &[(u64, u64)], per_cent: usize) -> Option<f64> {
    let mut all: Vec<_> = acknowledgements.iter().map(|(_, took)| *took).collect();
    all.sort_unstable();
    let at = (all.len() * per_cent / 100).min(all.len().checked_sub(1)?);
    all.get(at).map(|us| *us as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_count_from_the_fault_and_to_the_end() {
        let acks = [(100, 1), (200, 1), (900, 1), (1_000, 1)];
        assert_eq!(gap(&acks, 0, 1_100), Duration::from_micros(700));
        assert_eq!(gap(&acks, 250, 1_100), Duration::from_micros(650));
        assert_eq!(gap(&acks, 950, 3_000), Duration::from_micros(2_000));
        assert!((rate(&acks, 0, 1_000_000) - 4.0).abs() < 1e-9);
    }

    #[test]
    fn percentiles_are_of_the_latency() {
        let acks: Vec<_> = (1..=100).map(|i| (i, i * 1_000)).collect();
        assert_eq!(percentile_ms(&acks, 50), Some(51.0));
        assert_eq!(percentile_ms(&acks, 99), Some(100.0));
        assert_eq!(percentile_ms(&acks, 100), Some(100.0));
        assert_eq!(percentile_ms(&[], 50), None);
    }
}
