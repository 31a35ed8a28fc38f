//! What leaves each node: counted, and held to a rate.

use hawser_primitives::{Address, Height, Time};

/// What a link adds to a message, in bytes: the frame's header and a TLS 1.3 record's.
const FRAME_BYTES: u64 = 12 + 22;

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    sent: u64,
    /// When the last urgent and the last other byte have left, in microseconds.
    urgent_until_us: u64,
    bulk_until_us: u64,
}

/// The way out of every node.
#[derive(Debug)]
pub(crate) struct Egress {
    nodes: Vec<Node>,
    bytes_per_s: u64,
    /// What each node had sent when the last block was first decided.
    before: Vec<u64>,
    height: Height,
    leaders: u64,
    block_bytes: u64,
}

/// What was sent in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Bytes of transactions in blocks.
    pub block_bytes: u64,
    /// Bytes that left proposers while they were, from the block before to their own.
    pub by_leaders: u64,
    /// Bytes that left the node that sent most.
    pub by_busiest: u64,
}

impl Egress {
    pub(crate) fn new(nodes: usize, bytes_per_s: u64) -> Self {
        Self {
            nodes: vec![Node::default(); nodes],
            bytes_per_s,
            before: vec![0; nodes],
            height: Height::GENESIS,
            leaders: 0,
            block_bytes: 0,
        }
    }

    /// Counts a message of `bytes` and gives the milliseconds until its last byte has left.
    ///
    /// Urgent messages go before others that wait; those that wait are moved back, except ones whose
    /// arrival is scheduled already.
    pub(crate) fn send(&mut self, node: usize, now: Time, bytes: usize, urgent: bool) -> u64 {
        let Some(node) = self.nodes.get_mut(node) else {
            return 0;
        };
        let bytes = FRAME_BYTES.saturating_add(bytes as u64);
        node.sent = node.sent.saturating_add(bytes);
        if self.bytes_per_s == 0 {
            return 0;
        }
        let now_us = now.0.saturating_mul(1_000);
        let takes_us = bytes.saturating_mul(1_000_000) / self.bytes_per_s;
        let until_us = if urgent {
            node.urgent_until_us = node.urgent_until_us.max(now_us).saturating_add(takes_us);
            node.bulk_until_us = node.bulk_until_us.max(now_us).saturating_add(takes_us);
            node.urgent_until_us
        } else {
            let from_us = node.bulk_until_us.max(node.urgent_until_us).max(now_us);
            node.bulk_until_us = from_us.saturating_add(takes_us);
            node.bulk_until_us
        };
        until_us.saturating_sub(now_us).div_ceil(1_000)
    }

    /// A block was decided somewhere; counts it the first time.
    pub(crate) fn decided(
        &mut self,
        height: Height,
        bytes: usize,
        proposer: Address,
        mut addresses: impl Iterator<Item = Option<Address>>,
    ) {
        if height <= self.height {
            return;
        }
        self.height = height;
        self.block_bytes = self.block_bytes.saturating_add(bytes as u64);
        let leader = addresses.position(|address| address == Some(proposer));
        if let Some(leader) = leader
            && let (Some(node), Some(before)) = (self.nodes.get(leader), self.before.get(leader))
        {
            self.leaders = self.leaders.saturating_add(node.sent - before);
        }
        self.before = self.nodes.iter().map(|node| node.sent).collect();
    }

    /// Changes the ways out for those of another count: chains of one node share its way.
    pub(crate) const fn swap_ways(&mut self, other: &mut Self) {
        std::mem::swap(&mut self.nodes, &mut other.nodes);
    }

    pub(crate) fn sent(&self) -> Sent {
        let busiest = self.nodes.iter().map(|node| node.sent).max();
        Sent {
            block_bytes: self.block_bytes,
            by_leaders: self.leaders,
            by_busiest: busiest.unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_one_after_another_and_urgent_ones_first() {
        let mut egress = Egress::new(2, 1_000_000);
        let now = Time(1_000);
        let message = 10_000 - FRAME_BYTES as usize;
        assert_eq!(egress.send(0, now, message, false), 10);
        assert_eq!(egress.send(0, now, message, false), 20);
        assert_eq!(egress.send(0, now, message, true), 10);
        assert_eq!(egress.send(0, now, message, false), 40);
        assert_eq!(
            egress.send(1, now, message, false),
            10,
            "nodes are independent"
        );
        assert_eq!(egress.send(0, Time(2_000), message, false), 10);
        assert_eq!(egress.sent().by_busiest, 50_000);
    }

    #[test]
    fn without_a_rate_nothing_waits_and_everything_is_counted() {
        let mut egress = Egress::new(1, 0);
        assert_eq!(egress.send(0, Time(0), 1 << 30, false), 0);
        assert_eq!(egress.sent().by_busiest, (1 << 30) + FRAME_BYTES);
    }
}
