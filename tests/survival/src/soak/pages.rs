//! The report of a soak: a page, plots, and everything as JSON.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::{KEPT, Latency, MIB, PRUNED, PRUNED_LATER, RULE, Report};
use crate::plot::{Line, escape, lines};
use crate::sample::Sample;

impl Report {
    /// Writes `<base>.md`, `<base>.html` with the plots, and `<base>.json`.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&self, base: &Path) -> Result<()> {
        if let Some(folder) = base.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(base.with_extension("md"), self.page(base))?;
        fs::write(base.with_extension("html"), self.plots())?;
        let json = serde_json::to_string_pretty(self)?;
        fs::write(base.with_extension("json"), format!("{json}\n"))?;
        Ok(())
    }

    fn page(&self, base: &Path) -> String {
        let mut out = String::new();
        let (machine, found) = (&self.machine, &self.judgement);
        let html = base.with_extension("html");
        let html = html.file_name().unwrap_or_default().to_string_lossy();
        // Writing to a string cannot fail, here and below.
        let _ = write!(
            out,
            "# Soak\n\nWritten by `{}` on {} UTC with {}. {}, {} threads, {} MiB, Linux {}; four validators in {}. Plots: [{html}]({html}).\n\n\
             {:.0} minutes, seed {}, {} events, {} blocks. {} The machine stood still for {:.0} s in all (other work on it).{}\n",
            self.command,
            self.date,
            self.version,
            machine.processor,
            machine.threads,
            machine.memory_mib,
            machine.kernel,
            self.mode,
            self.seconds / 60.0,
            self.seed,
            self.events.len(),
            found.blocks,
            found.sentence(),
            self.stalled_s,
            if self.pruned {
                format!(
                    " Validator {PRUNED} drops blocks that are more than {KEPT} behind from the start, validator {PRUNED_LATER} by and by."
                )
            } else {
                String::new()
            }
        );
        if let Some(reason) = &self.without {
            let _ = writeln!(
                out,
                "\nNo network namespaces: {reason}. Packets are not lost or put out of order in this run.\n"
            );
        }
        out.push_str(&found.list());
        out.push_str("\n## Flat or not\n\n");
        out.push_str(RULE);
        out.push_str("\n\n| what | median | growth | bound | |\n|---|--:|--:|--:|---|\n");
        for one in &self.flatness {
            let _ = writeln!(
                out,
                "| {} | {:.1} {} | {:.1} | {:.1} | {} |",
                one.name,
                one.median,
                one.unit,
                one.growth,
                one.bound,
                one.verdict.text()
            );
        }
        out.push_str("\n## What happened\n\n| at s | what | gap ms | load | notes |\n|--:|---|--:|--:|---|\n");
        for event in &self.events {
            let mut notes = event.notes.join("; ");
            for failure in &event.failures {
                let failure = failure.replace(['|', '\n'], " ");
                let _ = write!(notes, " **not as it should be**: {failure}");
            }
            let _ = writeln!(
                out,
                "| {:.0} | {} | {} | {:.1} | {} |",
                event.at_s, event.what, event.gap_ms, event.load, notes
            );
        }
        out
    }

    fn plots(&self) -> String {
        let marks: Vec<_> = self.events.iter().map(|event| event.at_s).collect();
        let per_node = |value: &dyn Fn(&Sample) -> f64| -> Vec<Line> {
            (0..4)
                .map(|node| Line {
                    name: format!("node {node}"),
                    points: self
                        .samples
                        .iter()
                        .filter(|sample| sample.node == node)
                        .map(|sample| (sample.at_ms as f64 / 1e3, value(sample)))
                        .collect(),
                })
                .collect()
        };
        let line = |name: &str, value: &dyn Fn(&Latency) -> f64| Line {
            name: name.to_owned(),
            points: self.latency.iter().map(|one| (one.0, value(one))).collect(),
        };
        let plots = [
            lines(
                "Memory",
                "MiB",
                &per_node(&|s| s.memory as f64 / MIB),
                &marks,
            ),
            lines("Disk", "MiB", &per_node(&|s| s.disk as f64 / MIB), &marks),
            lines(
                "File handles",
                "count",
                &per_node(&|s| s.handles as f64),
                &marks,
            ),
            lines("Threads", "count", &per_node(&|s| s.threads as f64), &marks),
            lines(
                "Latency, median",
                "ms",
                &[line("p50", &|one| one.1)],
                &marks,
            ),
            lines("Latency, 99 %", "ms", &[line("p99", &|one| one.2)], &marks),
            lines(
                "Acknowledged",
                "per second",
                &[line("rate", &|one| one.3)],
                &marks,
            ),
        ];
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>hawser soak</title><style>:root{{color-scheme:light dark}}body{{max-width:60rem;margin:0 auto;\
             padding:1.5rem;font:16px/1.5 system-ui,sans-serif}}svg{{width:100%;height:auto;margin:.8rem 0}}</style></head><body><h1>Soak of {:.0} minutes</h1><p>{}, {} UTC. \
             Dashed lines are faults and changes.</p>{}</body></html>\n",
            self.seconds / 60.0,
            escape(&self.command),
            escape(&self.date),
            plots.join("\n")
        )
    }
}
