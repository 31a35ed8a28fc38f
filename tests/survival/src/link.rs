//! What a link between two nodes does to traffic: pure, so that tests decide what a partition is.
//!
//! A packet that enters a [`Fabric`] gets zero, one or two moments at which it leaves. Time is in microseconds since the
//! start of the run. Order is kept on a link unless `reorder_per_mille` asks for disorder.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::random::Random;

/// Longest that a packet waits for its link's bandwidth; what would wait longer is dropped, as by a full queue.
const QUEUE_US_MAX: u64 = 1_000_000;
/// How much later a packet comes that is to arrive out of order.
const REORDER_US: u64 = 20_000;

/// The state of the link from one node to another; each direction has its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Nothing passes.
    pub cut: bool,
    /// Added to every packet, in milliseconds.
    pub delay_ms: u32,
    /// Added on top, evenly between 0 and this, in milliseconds; later packets wait for earlier ones.
    pub jitter_ms: u32,
    /// Packets lost, of a thousand.
    pub loss_per_mille: u16,
    /// Packets that come twice, of a thousand.
    pub duplicate_per_mille: u16,
    /// Packets that come 20 ms late, behind later ones, of a thousand.
    pub reorder_per_mille: u16,
    /// Bandwidth in kilobits per second; 0 for no limit.
    pub kbit_per_s: u32,
}

impl Rule {
    /// A link on which nothing passes.
    pub const CUT: Self = Self {
        cut: true,
        ..Self::OPEN
    };
    /// A link without fault.
    pub const OPEN: Self = Self {
        cut: false,
        delay_ms: 0,
        jitter_ms: 0,
        loss_per_mille: 0,
        duplicate_per_mille: 0,
        reorder_per_mille: 0,
        kbit_per_s: 0,
    };

    /// True when a stream of bytes can show it: loss, copies and disorder need packets.
    #[must_use]
    pub fn works_on_streams(&self) -> bool {
        self.loss_per_mille == 0 && self.duplicate_per_mille == 0 && self.reorder_per_mille == 0
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Link {
    rule: Rule,
    /// When the last packet in order leaves.
    last_us: u64,
    /// When the bandwidth is free again.
    free_us: u64,
}

/// All links of a network.
#[derive(Debug)]
pub struct Fabric {
    links: BTreeMap<(u16, u16), Link>,
    random: Random,
}

impl Fabric {
    /// Without faults.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            links: BTreeMap::new(),
            random: Random::new(seed, 0xfab),
        }
    }

    /// Sets the link `from` → `to`.
    pub fn set(&mut self, from: u16, to: u16, rule: Rule) {
        self.links.entry((from, to)).or_default().rule = rule;
    }

    /// Takes every fault away.
    pub fn heal(&mut self) {
        for link in self.links.values_mut() {
            link.rule = Rule::OPEN;
        }
    }

    /// The rule of a link.
    #[must_use]
    pub fn rule(&self, from: u16, to: u16) -> Rule {
        self.links
            .get(&(from, to))
            .map_or(Rule::OPEN, |link| link.rule)
    }

    /// When a packet of `bytes` that enters at `now_us` leaves: not at all, once, or twice.
    pub fn pass(
        &mut self,
        now_us: u64,
        from: u16,
        to: u16,
        bytes: usize,
    ) -> (Option<u64>, Option<u64>) {
        let link = self.links.entry((from, to)).or_default();
        let rule = link.rule;
        if rule.cut || self.random.chance(rule.loss_per_mille) {
            return (None, None);
        }
        let mut leaves = now_us;
        if rule.kbit_per_s > 0 {
            let begin = link.free_us.max(now_us);
            if begin - now_us > QUEUE_US_MAX {
                return (None, None);
            }
            let length = bytes as u64 * 8_000 / u64::from(rule.kbit_per_s);
            link.free_us = begin + length;
            leaves = link.free_us;
        }
        leaves += u64::from(rule.delay_ms) * 1_000;
        if rule.jitter_ms > 0 {
            leaves += self.random.below(u64::from(rule.jitter_ms) * 1_000 + 1);
        }
        if self.random.chance(rule.reorder_per_mille) {
            leaves += REORDER_US;
        } else {
            leaves = leaves.max(link.last_us);
            link.last_us = leaves;
        }
        let again = self.random.chance(rule.duplicate_per_mille);
        (Some(leaves), again.then_some(leaves))
    }
}

/// The links to cut so that no packet passes between `left` and the rest of `nodes`; one way only if `directed`, from
/// `left` to the others.
#[must_use]
pub fn partition(nodes: u16, left: &[u16], directed: bool) -> Vec<(u16, u16)> {
    let mut cut = Vec::new();
    for from in left {
        for to in (0..nodes).filter(|to| !left.contains(to)) {
            cut.push((*from, to));
            if !directed {
                cut.push((to, *from));
            }
        }
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_link_passes_everything_at_once_and_a_cut_one_nothing_in_its_direction_only() {
        let mut fabric = Fabric::new(1);
        fabric.set(0, 1, Rule::CUT);
        assert_eq!(fabric.pass(5, 0, 1, 100), (None, None));
        assert_eq!(fabric.pass(5, 1, 0, 100), (Some(5), None));
        assert_eq!(fabric.pass(5, 0, 2, 100), (Some(5), None));
        fabric.heal();
        assert_eq!(fabric.pass(9, 0, 1, 100), (Some(9), None));
    }

    #[test]
    fn delay_with_jitter_keeps_the_order() {
        let mut fabric = Fabric::new(2);
        let rule = Rule {
            delay_ms: 10,
            jitter_ms: 30,
            ..Rule::OPEN
        };
        fabric.set(0, 1, rule);
        let mut last = 0;
        for step in 0..1_000 {
            let now = step * 100;
            let (leaves, _) = fabric.pass(now, 0, 1, 100);
            let leaves = leaves.unwrap();
            assert!(leaves >= last && leaves >= now + 10_000);
            last = leaves;
        }
    }

    #[test]
    fn loss_copies_and_disorder_come_as_often_as_asked() {
        let mut fabric = Fabric::new(3);
        let rule = Rule {
            loss_per_mille: 100,
            duplicate_per_mille: 100,
            reorder_per_mille: 100,
            ..Rule::OPEN
        };
        fabric.set(0, 1, rule);
        let (mut lost, mut twice, mut late) = (0, 0, 0);
        for step in 0..10_000_u64 {
            let now = step * 1_000;
            match fabric.pass(now, 0, 1, 100) {
                (None, _) => lost += 1,
                (Some(leaves), again) => {
                    twice += u32::from(again.is_some());
                    late += u32::from(leaves >= now + 20_000);
                }
            }
        }
        assert!((850..1_150).contains(&lost), "{lost}");
        assert!((750..1_050).contains(&twice), "{twice}");
        assert!((750..1_050).contains(&late), "{late}");
    }

    #[test]
    fn bandwidth_spreads_packets_and_drops_what_would_wait_for_more_than_a_second() {
        let mut fabric = Fabric::new(4);
        let rule = Rule {
            kbit_per_s: 80,
            ..Rule::OPEN
        };
        fabric.set(0, 1, rule);
        // 1,000 bytes at 80 kbit/s take 100 ms.
        assert_eq!(fabric.pass(0, 0, 1, 1_000).0, Some(100_000));
        assert_eq!(fabric.pass(0, 0, 1, 1_000).0, Some(200_000));
        let dropped = (0..20)
            .filter(|_| fabric.pass(0, 0, 1, 1_000).0.is_none())
            .count();
        assert_eq!(dropped, 11);
    }

    #[test]
    fn partitions_cut_what_they_name() {
        assert_eq!(partition(3, &[0], false), [(0, 1), (1, 0), (0, 2), (2, 0)]);
        assert_eq!(partition(3, &[0], true), [(0, 1), (0, 2)]);
        assert_eq!(partition(4, &[0, 1], false).len(), 8);
        assert!(partition(4, &[], false).is_empty());
    }
}
