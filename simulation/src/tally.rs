//! What many runs add up to, in constant memory.

use std::time::{Duration, Instant};

use hawser_node::replica::Sizes;
use hawser_simulation::{Outcome, Ran};

/// Failing runs that are kept, to be made smaller; all are printed.
const KEPT_MAX: usize = 16;
/// Between two lines that say how far a long run is.
const EVERY: Duration = Duration::from_secs(30);

/// Counts over all runs.
pub(crate) struct Tally {
    begun: Instant,
    told: Instant,
    seeds: u64,
    done: u64,
    bad: u64,
    kept: Vec<Ran>,
    several: u64,
    simulated_ms: u64,
    blocks: u64,
    transactions: u64,
    events: u64,
    crashes: u64,
    disk_failures: u64,
    misdeeds: u64,
    changes: u64,
    upgraded: u64,
    damaged: u64,
    damage_found: u64,
    forks: u64,
    first_block_ms: u64,
    healed_ms: u64,
    peak: Option<Sizes>,
}

impl Tally {
    pub(crate) fn new(seeds: u64) -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            told: now,
            seeds,
            done: 0,
            bad: 0,
            kept: Vec::new(),
            several: 0,
            simulated_ms: 0,
            blocks: 0,
            transactions: 0,
            events: 0,
            crashes: 0,
            disk_failures: 0,
            misdeeds: 0,
            changes: 0,
            upgraded: 0,
            damaged: 0,
            damage_found: 0,
            forks: 0,
            first_block_ms: 0,
            healed_ms: 0,
            peak: None,
        }
    }

    /// Counts a run.
    pub(crate) fn add(&mut self, ran: Ran) {
        self.done = self.done.saturating_add(1);
        if ran.plan.chains > 1 {
            self.several = self.several.saturating_add(1);
        }
        if let Ok(outcome) = &ran.result {
            self.add_outcome(outcome);
        }
        if is_bad(&ran) {
            self.bad = self.bad.saturating_add(1);
            if self.kept.len() < KEPT_MAX {
                self.kept.push(ran);
            }
        }
    }

    fn add_outcome(&mut self, one: &Outcome) {
        let pairs = [
            (&mut self.simulated_ms, one.simulated_ms),
            (&mut self.blocks, one.height.0),
            (&mut self.transactions, one.executed as u64),
            (&mut self.events, one.events),
            (&mut self.crashes, one.crashes),
            (&mut self.disk_failures, one.disk_failures),
            (&mut self.misdeeds, one.misdeeds),
            (&mut self.changes, one.changes as u64),
            (&mut self.upgraded, one.upgraded),
            (&mut self.damaged, one.damaged),
            (&mut self.damage_found, one.damage_found),
            (&mut self.forks, u64::from(one.fork.is_some())),
        ];
        for (sum, value) in pairs {
            *sum = sum.saturating_add(value);
        }
        self.first_block_ms = self.first_block_ms.max(one.first_block_ms.unwrap_or(0));
        self.healed_ms = self.healed_ms.max(one.healed_ms);
        self.peak = Some(self.peak.map_or(one.peak, |peak| peak.max(one.peak)));
    }

    /// Seeds that failed, and those that were not run.
    pub(crate) fn failed(&self) -> u64 {
        self.bad
            .saturating_add(self.seeds.saturating_sub(self.done))
    }

    /// Failing runs, at most a few of them.
    pub(crate) fn kept(&self) -> &[Ran] {
        &self.kept
    }

    fn hours(&self) -> f64 {
        self.simulated_ms as f64 / 3_600_000.0
    }

    fn hours_per_minute(&self) -> f64 {
        self.hours() * 60.0 / self.begun.elapsed().as_secs_f64().max(0.001)
    }

    /// A line on how far the run is, if it is time for one.
    pub(crate) fn progress(&mut self) -> Option<String> {
        if self.told.elapsed() < EVERY {
            return None;
        }
        self.told = Instant::now();
        let passed = self.begun.elapsed().as_secs_f64();
        let left = self.seeds.saturating_sub(self.done) as f64;
        let minutes = passed * left / self.done.max(1) as f64 / 60.0;
        Some(format!(
            "{} of {} seeds, {} failed, {:.2} simulated hours, {:.2} per minute; about {minutes:.0} min left{}",
            self.done,
            self.seeds,
            self.bad,
            self.hours(),
            self.hours_per_minute(),
            memory_mib().map_or(String::new(), |mib| format!("; {mib} MiB of memory")),
        ))
    }

    /// What it all adds up to.
    pub(crate) fn summary(&self, jobs: usize) -> String {
        let mut lines = vec![
            format!("{} passed, {} failed", self.done - self.bad, self.bad),
            format!(
                "{:.2} simulated hours in {:.1} s with {jobs} at a time: {:.2} simulated hours per real minute",
                self.hours(),
                self.begun.elapsed().as_secs_f64(),
                self.hours_per_minute()
            ),
            format!(
                "{} blocks, {} transactions, {} events, {} crashes ({} by the disk), {} misdeeds, {} changes, \
                 {} upgrades, {} of {} damaged disks noticed, {} seeds with several chains",
                self.blocks,
                self.transactions,
                self.events,
                self.crashes,
                self.disk_failures,
                self.misdeeds,
                self.changes,
                self.upgraded,
                self.damage_found,
                self.damaged,
                self.several,
            ),
            format!(
                "longest after the faults: {} ms to the first block, {} ms until all was executed everywhere",
                self.first_block_ms, self.healed_ms
            ),
        ];
        if self.forks > 0 {
            lines.push(format!(
                "{} forks, all of them noticed by every correct node",
                self.forks
            ));
        }
        if let Some(peak) = self.peak {
            let list = peak.list().map(|(name, value)| format!("{name} {value}"));
            lines.push(format!("most that a node held: {}", list.join(", ")));
        }
        if let Some(mib) = memory_mib() {
            lines.push(format!("memory of this process at the end: {mib} MiB"));
        }
        let missing = self.seeds.saturating_sub(self.done);
        if missing > 0 {
            lines.push(format!(
                "{missing} seeds were not run: no thread could be started"
            ));
        }
        lines.join("\n")
    }
}

/// Whether a rule was broken, or a second run differed.
pub(crate) fn is_bad(ran: &Ran) -> bool {
    ran.result.is_err() || ran.repeats == Some(false)
}

/// Resident memory of this process in MiB, where the system tells.
fn memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1_024)
}
