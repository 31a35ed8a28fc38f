//! Starts, crashes, partitions, clocks and disks.

use std::sync::Arc;

use hawser_node::replica::{AuditSampling, Event};
use hawser_primitives::Height;
use hawser_storage::{Disk as _, DiskFaults};
use rand::Rng;

use super::{LINK_MS, Spill, What, World, peer};
use crate::{CrashPoint, Mutant, Violation};

/// Time after which somebody tries to start a node again that did not start, in milliseconds.
const RETRY_MS: u64 = 700;

/// Whether an error comes from a fault that the world injected.
fn is_injected(error: &str) -> bool {
    error.contains("injected fault") || error.contains("since a durable write failed")
}

impl World {
    /// Whether a single fault that comes up is to happen.
    pub(super) fn allowed(&mut self) -> bool {
        let number = self.faults;
        self.faults = number.saturating_add(1);
        !self.skip.contains(&number)
    }

    pub(super) fn disk_faults(&self, node: usize) -> DiskFaults {
        let faults = &self.plan.faults;
        let number = |value: u32| u16::try_from(value).unwrap_or(u16::MAX);
        let lying = self.plan.mutant == Some(Mutant::LyingDisk);
        let mut disk = DiskFaults {
            lost_sync_per_mille: if lying { 1_000 } else { 0 },
            ..DiskFaults::default()
        };
        if self.faulty {
            let full = self.nodes.get(node).and_then(|node| node.full_until);
            let error = number(faults.disk_error_per_mille);
            disk.append_per_mille = match full {
                Some(until) if until > self.now => 1_000,
                _ => error,
            };
            disk.sync_per_mille = error;
            disk.flip_per_mille = number(faults.tail_flip_per_mille);
        }
        disk
    }

    /// Has the node that the plan names stopped at its place.
    pub(super) fn set_crash_point(&self, node: usize) {
        let Some(sim) = self.nodes.get(node) else {
            return;
        };
        match self.plan.crash_point {
            Some((at, CrashPoint::Disk(calls))) if at == node => sim.disk.fail_after(calls),
            Some((at, CrashPoint::Kv(calls))) if at == node => sim.kv.fail_after(calls),
            _ => {}
        }
    }

    pub(super) fn start(&mut self, node: usize) -> Result<(), Violation> {
        let genesis = Arc::clone(&self.genesis);
        let audit = AuditSampling {
            key: [u8::try_from(node).unwrap_or(u8::MAX); 16],
            per_mille: self.plan.audit_per_mille,
        };
        let (disk, now, mutant) = (self.disk_faults(node), self.now, self.plan.mutant);
        let Some(sim) = self.nodes.get_mut(node) else {
            return Ok(());
        };
        sim.disk.set_faults(disk);
        sim.clock.restart(now);
        let cast = match sim.start(&genesis, audit, mutant) {
            Ok(cast) => cast,
            Err(error) => return self.not_started(node, &error.to_string()),
        };
        let stored = sim
            .running
            .as_ref()
            .map_or(Height::GENESIS, |r| r.store.stored_height());
        self.oracle.on_restart(node, stored, &cast)?;
        // Written before the crash and not yet synced, but found: as durable as the rest now.
        for record in cast.values().flat_map(|cast| &cast.records) {
            self.oracle.on_durable(node, record);
        }
        // Links to and from everyone who is up.
        let up: Vec<_> = (0..self.nodes.len())
            .filter(|other| {
                *other != node && self.nodes.get(*other).is_some_and(|n| n.running.is_some())
            })
            .collect();
        self.handle(node, Event::Started)?;
        for other in up {
            self.later(other, LINK_MS, Event::PeerUp(peer(node)));
            self.later(node, LINK_MS, Event::PeerUp(peer(other)));
        }
        Ok(())
    }

    /// A node that cannot start: its disk still fails, or it noticed that its data were damaged.
    fn not_started(&mut self, node: usize, error: &str) -> Result<(), Violation> {
        if is_injected(error) {
            self.crash(node, RETRY_MS);
            return Ok(());
        }
        if self.nodes.get(node).is_some_and(|sim| sim.flipped) {
            self.found_damage(node);
            return Ok(());
        }
        let what = format!("node {node} does not start: {error}");
        Err(Violation::new("restart", what))
    }

    /// The operator of a node with damaged data takes them away and lets it follow without a vote.
    fn found_damage(&mut self, node: usize) {
        self.damage_found = self.damage_found.saturating_add(1);
        self.note(format!("{node} noticed damage").as_bytes());
        self.crash(node, RETRY_MS);
        let seed = self.dice.faults.random();
        self.oracle.emptied(node);
        if let Some(sim) = self.nodes.get_mut(node) {
            sim.flipped = false;
            sim.empty(seed);
        }
    }

    /// A running node's disk or replica reports an error. Those that were injected stop the node.
    pub(super) fn failed(&mut self, node: usize, error: &str) -> Result<(), Violation> {
        if is_injected(error) {
            self.disk_failures = self.disk_failures.saturating_add(1);
            self.crash(node, RETRY_MS);
            return Ok(());
        }
        if self.nodes.get(node).is_some_and(|sim| sim.flipped) {
            self.found_damage(node);
            return Ok(());
        }
        if self.is_byzantine(node) {
            self.crash(node, RETRY_MS);
            return Ok(());
        }
        if self.gives_up(node, error) {
            return Ok(());
        }
        let what = format!("node {node}: {error}");
        Err(Violation::new("stopped", what))
    }

    /// Stops a node at once; it is started again after a while.
    pub(super) fn crash(&mut self, node: usize, after_ms: u64) {
        let seed = self.dice.crashes.random();
        let until = self.now.plus_ms(after_ms);
        // One that comes from another chain was counted there.
        if !self.spilling {
            self.crashes = self.crashes.saturating_add(1);
            self.spill.push(Spill::Crash { node, until });
        }
        let rotten = node < self.plan.rotten && self.faulty;
        if let Some(sim) = self.nodes.get_mut(node) {
            sim.crash(seed);
            sim.down_until = sim.down_until.max(until);
            // Once, and not before there is something to lose.
            let worth = sim.disk.list().is_ok_and(|files| files.len() > 2);
            if rotten && worth && !sim.emptied && !sim.flipped && sim.flip(seed) {
                self.damaged = self.damaged.saturating_add(1);
                self.oracle.distrust(node);
            }
        }
        for other in 0..self.nodes.len() {
            if other != node {
                self.later(other, LINK_MS, Event::PeerDown(peer(node)));
            }
        }
        self.schedule(after_ms, What::Restart { node });
    }

    /// Whether a node crashes at this step of carrying out actions.
    pub(super) fn crashes_now(&mut self, node: usize) -> bool {
        if let Some(steps) = self.steps.get_mut(node) {
            let step = *steps;
            *steps = step.saturating_add(1);
            if self.plan.crash_point == Some((node, CrashPoint::Step(step))) {
                self.crash(node, RETRY_MS);
                return true;
            }
        }
        let rate = self.plan.faults.crash_per_million;
        if !self.faulty || rate == 0 {
            return false;
        }
        if self.dice.crashes.random_range(0..1_000_000) >= rate || !self.allowed() {
            return false;
        }
        let after = self.dice.crashes.random_range(50..5_000);
        self.crash(node, after);
        true
    }

    pub(super) fn end_faults(&mut self) {
        self.faulty = false;
        self.spill.push(Spill::Weather);
        self.cut.clear();
        self.cut_on = false;
        for node in 0..self.nodes.len() {
            let faults = self.disk_faults(node);
            if let Some(sim) = self.nodes.get_mut(node) {
                sim.clock.offset_ms = 0;
                sim.full_until = None;
                sim.disk.set_faults(faults);
            }
            self.look_at_timers(node);
        }
        self.note_healing();
    }

    /// Cuts some nodes off from the others: both ways, one way, or on and off.
    pub(super) fn partition(&mut self) {
        if !self.faulty {
            return;
        }
        let faults = self.plan.faults;
        let dice = &mut self.dice.faults;
        let length = dice.random_range(200..6_000);
        let count = self.nodes.len();
        let group: Vec<bool> = (0..count).map(|_| dice.random_bool(0.4)).collect();
        let one_way = dice.random_range(0..1_000) < faults.one_way_per_mille;
        let flapping = dice.random_range(0..1_000) < faults.flap_per_mille;
        let period_ms = dice.random_range(50..600);
        if self.allowed() {
            self.cut.clear();
            let side = |node: usize| group.get(node).copied().unwrap_or_default();
            for (from, to) in (0..count).flat_map(|from| (0..count).map(move |to| (from, to))) {
                if side(from) != side(to) && (side(from) || !one_way) {
                    self.cut.insert((from, to));
                }
            }
            self.cuts = self.cuts.saturating_add(1);
            self.spill.push(Spill::Weather);
            self.cut_on = true;
            let number = self.cuts;
            if flapping {
                self.schedule(period_ms, What::Flap { number, period_ms });
            }
            self.schedule(length, What::Heal { number });
        }
        let next = length.saturating_add(faults.partition_every_ms);
        self.schedule(next, What::Partition);
    }

    pub(super) fn flap(&mut self, number: u64, period_ms: u64) {
        if self.cuts == number && !self.cut.is_empty() {
            self.cut_on = !self.cut_on;
            self.spill.push(Spill::Weather);
            self.schedule(period_ms, What::Flap { number, period_ms });
        }
    }

    pub(super) fn heal(&mut self, number: u64) {
        if self.cuts == number {
            self.spill.push(Spill::Weather);
            self.cut.clear();
            self.cut_on = false;
        }
    }

    /// Sets the clock of some node forward or back.
    pub(super) fn jump(&mut self) {
        if !self.faulty {
            return;
        }
        let far = i64::try_from(self.plan.faults.jump_ms_max).unwrap_or(0);
        let (count, every) = (self.nodes.len(), self.plan.faults.jump_every_ms);
        let dice = &mut self.dice.faults;
        let node = dice.random_range(0..count);
        let offset_ms = dice.random_range(-far..=far);
        let next = dice.random_range(1..=every.saturating_mul(2));
        if self.allowed() {
            self.spill.push(Spill::Weather);
            if let Some(sim) = self.nodes.get_mut(node) {
                sim.clock.offset_ms = offset_ms;
            }
            self.look_at_timers(node);
        }
        self.schedule(next, What::Jump);
    }

    /// Fills the disk of some node up for a while.
    pub(super) fn fill(&mut self) {
        if !self.faulty {
            return;
        }
        let (count, every) = (self.nodes.len(), self.plan.faults.full_every_ms);
        let dice = &mut self.dice.faults;
        let node = dice.random_range(0..count);
        let length = dice.random_range(200..4_000);
        let next = dice.random_range(1..=every.saturating_mul(2));
        if self.allowed() {
            let until = self.now.plus_ms(length);
            self.spill.push(Spill::Weather);
            if let Some(sim) = self.nodes.get_mut(node) {
                sim.full_until = Some(until);
            }
            let faults = self.disk_faults(node);
            if let Some(sim) = self.nodes.get_mut(node) {
                sim.disk.set_faults(faults);
            }
        }
        self.schedule(next, What::Fill);
    }

    /// Restarts one node after another, as operators do.
    pub(super) fn roll(&mut self, node: usize) {
        if !self.faulty {
            return;
        }
        let down = self.dice.faults.random_range(100..1_500);
        let is_up = self.nodes.get(node).is_some_and(|n| n.running.is_some());
        if self.allowed() && is_up {
            self.crash(node, down);
        }
        let node = node.saturating_add(1) % self.nodes.len().max(1);
        let next = down.saturating_add(self.plan.faults.rolling_every_ms);
        self.schedule(next, What::Roll { node });
    }
}
