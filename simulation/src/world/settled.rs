//! When a run is over, and what it says when it is not.

use std::collections::BTreeSet;

use hawser_primitives::{B256, Height};

use super::{Outcome, Places, START, World};
use crate::{Violation, node::Running};

impl World {
    pub(super) fn is_liar(&self, node: usize) -> bool {
        let validators = self.plan.nodes;
        node < validators && node >= validators.saturating_sub(self.plan.liars)
    }

    fn convicted(&self) -> usize {
        let liars: BTreeSet<_> = (0..self.nodes.len())
            .filter(|node| self.is_liar(*node))
            .filter_map(|node| self.address(node))
            .collect();
        let honest = (0..self.nodes.len()).filter(|node| !self.is_liar(*node));
        honest
            .filter_map(|node| self.nodes.get(node)?.running.as_ref())
            .map(|running| {
                let convicted = running.replica.convicted();
                convicted.filter(|who| liars.contains(who)).count()
            })
            .sum()
    }

    pub(super) fn is_done(&self, hash: &B256) -> bool {
        self.oracle.executed_at(hash).is_some()
    }

    pub(super) fn is_all_done(&self) -> bool {
        self.submitted.keys().all(|hash| self.is_done(hash))
    }

    /// Whether faults are over, clients have nothing more to do, and all nodes are up, equal, and
    /// have executed everything. Byzantine nodes may do as they like.
    pub(super) fn is_over(&self) -> bool {
        let busy = self.faulty || self.to_submit > 0 || self.to_load > 0 || self.to_forge > 0;
        if busy || self.to_change > 0 || self.to_upgrade {
            return false;
        }
        let highest = self.oracle.highest();
        let is_level = |running: &Running| {
            running.replica.tip().height == highest && running.replica.executed() == highest
        };
        let mut nodes = self.nodes.iter().enumerate();
        let level = nodes.all(|(node, sim)| {
            self.is_byzantine(node) || sim.running.as_ref().is_some_and(is_level)
        });
        // A change takes effect without anybody's doing.
        level && self.oracle.model().last_change() <= highest && self.is_all_done()
    }

    pub(super) fn note_healing(&mut self) {
        let owed = self.oracle.model().last_change() > self.oracle.highest();
        let waits = owed || !self.is_all_done();
        self.healed_at = Some((self.oracle.highest(), waits));
    }

    /// Once faults are over and something waits, a block comes within a bound.
    pub(super) fn check_first_block(&mut self) -> Result<(), Violation> {
        let Some((height, true)) = self.healed_at else {
            return Ok(());
        };
        if self.first_block.is_some() || self.fork.is_some() || !self.ended.is_empty() {
            return Ok(());
        }
        if self.oracle.highest() > height {
            self.first_block = Some(self.now);
            return Ok(());
        }
        let (passed, bound) = (self.now.since_ms(self.healed_from()), self.plan.bound_ms());
        if passed <= bound {
            return Ok(());
        }
        let what = format!(
            "no block within {bound} ms after the faults; {}",
            self.state()
        );
        Err(Violation::new("liveness", what))
    }

    pub(super) fn outcome(&self) -> Outcome {
        let healed = self.healed_from();
        let done = self.submitted.keys().filter(|hash| self.is_done(hash));
        let places = self
            .nodes
            .iter()
            .zip(&self.steps)
            .map(|(node, steps)| Places {
                steps: *steps,
                disk: node.disk.calls(),
                kv: node.kv.calls(),
            });
        Outcome {
            audit: self.audit,
            height: self.oracle.highest(),
            events: self.events,
            simulated_ms: self.now.since_ms(START),
            crashes: self.crashes,
            disk_failures: self.disk_failures,
            damage_found: self.damage_found,
            damaged: self.damaged,
            misdeeds: self.mischief.acts(),
            reported: self.reported.len(),
            faults: self.faults,
            executed: done.count(),
            changes: self.oracle.model().changes(),
            upgraded: self.upgraded,
            healed_ms: self.now.since_ms(healed),
            first_block_ms: self.first_block.map(|at| at.since_ms(healed)),
            sent: self.egress.sent(),
            trusted: self.trusted,
            found_by_samples: self.found_by_samples,
            convicted: self.convicted(),
            peak: self.oracle.peak(),
            places: places.collect(),
            fork: self.fork.clone(),
            ended: self.ended.clone().into_iter().collect(),
        }
    }

    /// Where every node stands, in words.
    fn state(&self) -> String {
        let describe = |(i, running): (usize, Option<&Running>)| match running {
            Some(running) => {
                let agreement = running.replica.agreement();
                let peers = running.replica.peer_heights().map(|(_, height)| height.0);
                format!(
                    "node {i}: tip {}, executed {}, pool {:?}, deciding {:?} round {} ({}), peers {:?}",
                    running.replica.tip().height,
                    running.replica.executed(),
                    running.replica.pool().counts(),
                    agreement.height().map(|height| height.0),
                    agreement.round(),
                    agreement.step(),
                    peers.collect::<Vec<_>>(),
                )
            }
            None => format!("node {i}: down"),
        };
        let nodes = self.nodes.iter().map(|node| node.running.as_ref());
        let nodes: Vec<_> = nodes.enumerate().map(describe).collect();
        nodes.join("; ")
    }

    pub(super) fn stuck(&self) -> Violation {
        if let Some(fork) = &self.fork {
            let what = format!(
                "two blocks of height {} are final, and only {:?} stopped; {}",
                fork.height,
                self.ended.keys().collect::<Vec<_>>(),
                self.state()
            );
            return Violation::new("undetected", what);
        }
        let open = self.submitted.keys().filter(|hash| !self.is_done(hash));
        let open: Vec<_> = open.take(5).collect();
        let highest: Height = self.oracle.highest();
        let what = format!(
            "not settled {} ms after the faults ended, at block {highest}; {}; not executed: {open:?}",
            self.plan.healing_ms,
            self.state()
        );
        Violation::new("liveness", what)
    }
}
