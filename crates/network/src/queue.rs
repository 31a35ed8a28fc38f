//! The frames that wait for one link.

use std::collections::VecDeque;

use bytes::Bytes;
use hawser_primitives::ChainId;

use crate::Lane;

/// A frame to be written.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) chain: ChainId,
    pub(crate) bytes: Bytes,
}

/// Two lanes under one budget of frames and of payload bytes.
///
/// Bulk is refused when the budget is spent. Consensus evicts the oldest bulk first and is refused
/// only when consensus frames alone spend the budget.
#[derive(Debug)]
pub(crate) struct Queue {
    consensus: VecDeque<Outgoing>,
    bulk: VecDeque<Outgoing>,
    bytes: usize,
    frames_max: usize,
    bytes_max: usize,
}

/// The outcome of [`Queue::push`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// Queued, after dropping this many bulk frames.
    Queued {
        evicted: usize,
    },
    Full,
}

impl Queue {
    pub(crate) fn new(frames_max: usize, bytes_max: usize) -> Self {
        Self {
            consensus: VecDeque::new(),
            bulk: VecDeque::new(),
            bytes: 0,
            frames_max,
            bytes_max,
        }
    }

    pub(crate) fn push(&mut self, lane: Lane, frame: Outgoing) -> Pushed {
        let len = frame.bytes.len();
        let mut evicted = 0;
        if lane == Lane::Consensus {
            let bulk_bytes: usize = if self.fits(len) {
                0
            } else {
                self.bulk.iter().map(|bulk| bulk.bytes.len()).sum()
            };
            // Evict only where that makes enough room; otherwise bulk would be lost for nothing.
            let hopeless = !self.fits(len)
                && (self.consensus.len() >= self.frames_max
                    || (self.bytes - bulk_bytes).saturating_add(len) > self.bytes_max);
            if hopeless {
                return Pushed::Full;
            }
            while !self.fits(len) {
                let Some(bulk) = self.bulk.pop_front() else {
                    break;
                };
                self.bytes -= bulk.bytes.len();
                evicted += 1;
            }
        }
        if !self.fits(len) {
            return Pushed::Full;
        }
        self.bytes += len;
        match lane {
            Lane::Consensus => self.consensus.push_back(frame),
            Lane::Bulk => self.bulk.push_back(frame),
        }
        Pushed::Queued { evicted }
    }

    /// The next frame to write: consensus first.
    pub(crate) fn pop(&mut self) -> Option<Outgoing> {
        let frame = self
            .consensus
            .pop_front()
            .or_else(|| self.bulk.pop_front())?;
        self.bytes -= frame.bytes.len();
        Some(frame)
    }

    pub(crate) fn frames(&self) -> usize {
        self.consensus.len() + self.bulk.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn fits(&self, len: usize) -> bool {
        self.frames() < self.frames_max && self.bytes.saturating_add(len) <= self.bytes_max
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(tag: u8, len: usize) -> Outgoing {
        Outgoing {
            chain: ChainId(tag.into()),
            bytes: Bytes::from(vec![tag; len]),
        }
    }

    fn tags(mut queue: Queue) -> Vec<u64> {
        std::iter::from_fn(|| queue.pop())
            .map(|frame| frame.chain.0)
            .collect()
    }

    #[test]
    fn consensus_overtakes_bulk_and_order_holds_within_a_lane() {
        let mut queue = Queue::new(10, 100);
        for (lane, tag) in [
            (Lane::Bulk, 1),
            (Lane::Consensus, 2),
            (Lane::Bulk, 3),
            (Lane::Consensus, 4),
        ] {
            assert_eq!(
                queue.push(lane, frame(tag, 1)),
                Pushed::Queued { evicted: 0 }
            );
        }
        assert_eq!(tags(queue), [2, 4, 1, 3]);
    }

    #[test]
    fn bulk_is_refused_at_the_limit_of_frames_and_of_bytes() {
        let mut queue = Queue::new(2, 100);
        assert_eq!(
            queue.push(Lane::Bulk, frame(1, 0)),
            Pushed::Queued { evicted: 0 }
        );
        assert_eq!(
            queue.push(Lane::Bulk, frame(2, 100)),
            Pushed::Queued { evicted: 0 }
        );
        assert_eq!(queue.push(Lane::Bulk, frame(3, 0)), Pushed::Full);
        let mut queue = Queue::new(9, 100);
        assert_eq!(
            queue.push(Lane::Bulk, frame(1, 60)),
            Pushed::Queued { evicted: 0 }
        );
        assert_eq!(queue.push(Lane::Bulk, frame(2, 41)), Pushed::Full);
        assert_eq!(
            queue.push(Lane::Bulk, frame(3, 40)),
            Pushed::Queued { evicted: 0 }
        );
    }

    #[test]
    fn consensus_evicts_the_oldest_bulk_and_no_more_than_needed() {
        let mut queue = Queue::new(3, 100);
        for tag in 1..=3 {
            queue.push(Lane::Bulk, frame(tag, 30));
        }
        assert_eq!(
            queue.push(Lane::Consensus, frame(4, 30)),
            Pushed::Queued { evicted: 1 }
        );
        assert_eq!(
            queue.push(Lane::Consensus, frame(5, 70)),
            Pushed::Queued { evicted: 2 }
        );
        assert_eq!(queue.push(Lane::Consensus, frame(6, 1)), Pushed::Full);
        assert_eq!(tags(queue), [4, 5]);
    }

    #[test]
    fn a_consensus_frame_that_cannot_fit_evicts_nothing() {
        let mut queue = Queue::new(3, 100);
        queue.push(Lane::Consensus, frame(1, 60));
        queue.push(Lane::Bulk, frame(2, 40));
        assert_eq!(queue.push(Lane::Consensus, frame(3, 41)), Pushed::Full);
        assert_eq!(tags(queue), [1, 2]);
    }

    proptest! {
        #[test]
        fn the_budget_is_never_exceeded(steps in proptest::collection::vec((any::<bool>(), any::<bool>(), 0usize..60), 0..200)) {
            let mut queue = Queue::new(5, 100);
            for (pop, consensus, len) in steps {
                if pop {
                    queue.pop();
                } else {
                    let lane = if consensus { Lane::Consensus } else { Lane::Bulk };
                    queue.push(lane, frame(1, len));
                }
                let held: usize = queue.consensus.iter().chain(&queue.bulk).map(|f| f.bytes.len()).sum();
                prop_assert_eq!(held, queue.bytes());
                prop_assert!(queue.bytes() <= 100 && queue.frames() <= 5);
            }
        }
    }
}
