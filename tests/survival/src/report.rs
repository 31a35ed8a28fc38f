//! The report of faults: a page for people, and everything as JSON.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::netns;
use crate::run::{NetworkReport, Row};

/// The machine of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    /// Its processor.
    pub processor: String,
    /// How many threads it runs at once.
    pub threads: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The kernel.
    pub kernel: String,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let after = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':'))
                .map(|(_, value)| value.trim().to_owned())
                .unwrap_or_default()
        };
        let memory = after(&read("/proc/meminfo"), "MemTotal");
        let kib = memory.split(' ').next().and_then(|kib| kib.parse().ok());
        Self {
            processor: after(&read("/proc/cpuinfo"), "model name"),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: kib.unwrap_or(0_u64) / 1_024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

/// A whole run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The command that repeats it.
    pub command: String,
    /// What the binary says of itself.
    pub version: String,
    /// When it began, UTC.
    pub date: String,
    /// The machine.
    pub machine: Machine,
    /// `namespaces` or `loopback`.
    pub mode: String,
    /// Why not namespaces.
    pub without: Option<String>,
    /// Each network.
    pub networks: Vec<NetworkReport>,
}

impl Report {
    /// A report written before, to be gone on with.
    ///
    /// # Errors
    /// When there is none, or it is of another form.
    pub fn read(base: &Path) -> Result<Self> {
        let text = fs::read_to_string(base.with_extension("json"))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Whether nothing was found wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.networks.iter().all(NetworkReport::is_clean)
    }

    /// Writes `<base>.md` and `<base>.json`.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&self, base: &Path) -> Result<()> {
        if let Some(folder) = base.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(base.with_extension("md"), self.page())?;
        let json = serde_json::to_string_pretty(self)?;
        fs::write(base.with_extension("json"), format!("{json}\n"))?;
        Ok(())
    }

    fn page(&self) -> String {
        let mut out = String::new();
        let machine = &self.machine;
        // Writing to a string cannot fail, here and below.
        let _ = write!(
            out,
            "# Faults on real processes\n\nWritten by `{}` on {} UTC with {}. {}, {} threads, {} MiB, Linux {}; nodes in {}.\n",
            self.command,
            self.date,
            self.version,
            machine.processor,
            machine.threads,
            machine.memory_mib,
            machine.kernel,
            if self.mode == "namespaces" {
                "network namespaces, their packets through a switch in the harness"
            } else {
                "one namespace on loopback addresses, with proxies between them"
            }
        );
        if let Some(reason) = &self.without {
            let _ = writeln!(out, "\nNo network namespaces: {reason}.");
        }
        out.push_str(EXPLANATION);
        for network in &self.networks {
            section(&mut out, network);
        }
        out
    }
}

const EXPLANATION: &str = "
*Gap* is the longest time in which no client got an acknowledgement, from the fault until three seconds after all nodes had caught up. *Resumed* and *caught up* count from the \
moment in which the fault began to be taken away (starts of processes included) until the first acknowledgement and until every node had the height of the others. Rates are \
acknowledgements per second of clients that wait for each answer, so they show whether the chain moves and not what it can carry. *Unknown* are operations whose clients \
gave up. *Load* is the number of processes that wanted a processor, per processor; above 1 the bounds are multiplied by it. A validator is chosen by its turn where the text says so. Reasons, checkers and limits: [tests/survival](../../tests/survival/README.md).
";

fn section(out: &mut String, network: &NetworkReport) {
    let found = &network.judgement;
    let _ = writeln!(
        out,
        "\n## {} validators, {}{}\n\n{} clients, seed {}, {:.0} s, {} blocks. {}",
        network.nodes,
        network.suite,
        if network.circumstances.is_empty() {
            String::new()
        } else {
            format!(": {}", network.circumstances)
        },
        network.clients,
        network.seed,
        network.seconds,
        found.blocks,
        found.sentence()
    );
    out.push_str(&found.list());
    out.push_str(
        "\n| fault | held s | before/s | during/s | after/s | gap ms | resumed ms | caught up ms | ack. | unknown | load |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for row in &network.rows {
        line(out, row);
    }
    if let Some(backlog) = &network.backlog {
        let _ = writeln!(
            out,
            "\nBacklog: {:.0} transactions per second offered without waiting, {:.0} committed before; {:.1} s in two halves; at most {} waited; first block {} ms after the halves \
             were joined, worked off after {} ms: {:.0} per second from the moment of joining, **{:.1} times the rate offered**. All {} are in exactly one block.",
            backlog.offered_tps,
            backlog.steady_tps,
            backlog.partition_s,
            backlog.waiting_max,
            backlog.resumed_ms,
            backlog.drained_ms,
            backlog.drain_tps,
            backlog.ratio,
            backlog.taken
        );
    }
    let told: Vec<_> = network
        .rows
        .iter()
        .filter(|row| !row.notes.is_empty() || !row.failures.is_empty() || row.stalled_s > 0.0)
        .collect();
    if !told.is_empty() {
        out.push_str("\nWhat nodes did and said:\n");
    }
    for row in told {
        let _ = writeln!(out, "- `{}`: {}", row.fault, row.notes.join("; "));
        if row.stalled_s > 0.0 {
            let _ = writeln!(
                out,
                "  - the machine stood still for {:.1} s, so the times of this row say nothing",
                row.stalled_s
            );
        }
        for failure in &row.failures {
            let _ = writeln!(out, "  - **not as it should be**: {failure}");
        }
    }
}

fn line(out: &mut String, row: &Row) {
    if let Some(reason) = &row.skipped {
        let _ = writeln!(out, "| {} | not run: {reason} ||||||||||", row.what);
        return;
    }
    let _ = writeln!(
        out,
        "| {}{} | {:.1} | {:.0} | {:.0} | {:.0} | {} | {} | {} | {} | {} | {:.1} |",
        row.what,
        if row.failures.is_empty() {
            ""
        } else {
            " **✗**"
        },
        row.held_s,
        row.before_tps,
        row.during_tps,
        row.after_tps,
        row.gap_ms,
        row.resumed_ms
            .map_or_else(|| "never".to_owned(), |ms| ms.to_string()),
        row.caught_up_ms,
        row.acknowledged,
        row.unknown,
        row.load
    );
}

/// The time now, UTC, to the minute.
#[must_use]
pub fn date() -> String {
    let text = netns::run("date", &["-u", "+%Y-%m-%d %H:%M"]);
    text.map_or_else(|_| String::new(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::Judgement;

    #[test]
    fn the_page_shows_losses_failures_and_what_was_not_run() {
        let row = Row {
            what: "a fault".to_owned(),
            failures: vec!["stood still".to_owned()],
            ..Row::default()
        };
        let skipped = Row {
            what: "another".to_owned(),
            skipped: Some("no right".to_owned()),
            ..Row::default()
        };
        let report = Report {
            command: "make faults".to_owned(),
            version: String::new(),
            date: String::new(),
            machine: Machine::here(),
            mode: "loopback".to_owned(),
            without: Some("no root".to_owned()),
            networks: vec![NetworkReport {
                nodes: 4,
                suite: "intl".to_owned(),
                clients: 1,
                seed: 1,
                circumstances: String::new(),
                rows: vec![row, skipped],
                backlog: None,
                judgement: Judgement {
                    lost: 3,
                    violations: 1,
                    ..Judgement::default()
                },
                seconds: 1.0,
            }],
        };
        let page = report.page();
        assert!(page.contains("lost 3") && page.contains("**✗**"), "{page}");
        assert!(page.contains("not run: no right") && page.contains("stood still"));
        assert!(page.contains("No network namespaces: no root"));
        assert!(!report.is_clean());
    }
}
