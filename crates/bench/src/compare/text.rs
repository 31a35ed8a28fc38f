//! The report for people.

use std::fmt::Write;

use crate::compare::report::{Figure, LoadReport, Report, SuiteReport};

/// Four significant digits at most, thousands with a thin mark.
pub(crate) fn number(value: f64) -> String {
    let digits = match value.abs() {
        a if a >= 100.0 => 0,
        a if a >= 10.0 => 1,
        a if a >= 1.0 => 2,
        _ => 3,
    };
    let plain = format!("{value:.digits$}");
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let mut grouped = String::new();
    let count = whole.chars().count();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (count - i) % 3 == 0 && digit.is_ascii_digit() && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if !fraction.is_empty() {
        grouped.push('.');
        grouped.push_str(fraction);
    }
    grouped
}

fn cells(figure: &Figure) -> [String; 4] {
    let spread = &figure.spread;
    let name = if figure.unit.is_empty() {
        figure.name.to_owned()
    } else {
        format!("{} ({})", figure.name, figure.unit)
    };
    [
        name,
        number(spread.median),
        number(spread.min),
        number(spread.max),
    ]
}

/// The table for the terminal.
pub(crate) fn table(report: &Report) -> String {
    let mut out = String::new();
    for suite in &report.suites {
        let rows: Vec<_> = suite.figures.iter().map(cells).collect();
        let width = rows
            .iter()
            .map(|[name, ..]| name.chars().count())
            .max()
            .unwrap_or(0);
        let title = format!("suite {}", suite.suite);
        let _ = writeln!(
            out,
            "\n{title:width$}  {:>10} {:>10} {:>10}",
            "median", "min", "max"
        );
        for [name, median, min, max] in rows {
            let _ = writeln!(out, "{name:width$}  {median:>10} {min:>10} {max:>10}");
        }
    }
    if let Some(reason) = &report.void_because {
        let _ = writeln!(out, "\nVOID: {reason}");
    } else if report.quick {
        let _ = writeln!(
            out,
            "\nA quick run tries the instrument; these figures measure nothing."
        );
    }
    out
}

/// `report.md`
pub(crate) fn markdown(report: &Report) -> String {
    let mut out = String::from("# Benchmark\n\n");
    if let Some(reason) = &report.void_because {
        let _ = writeln!(out, "**Void: {reason}**\n");
    }
    if report.quick {
        out.push_str("**A quick run tries the instrument; these figures measure nothing.**\n\n");
    }
    for suite in &report.suites {
        suite_section(&mut out, suite);
    }
    machine_section(&mut out, report);
    out
}

fn suite_section(out: &mut String, suite: &SuiteReport) {
    let _ = writeln!(out, "## Suite `{}`\n", suite.suite);
    out.push_str("| figure | median | min | max | runs |\n|---|---:|---:|---:|---:|\n");
    for figure in &suite.figures {
        let [name, median, min, max] = cells(figure);
        let _ = writeln!(
            out,
            "| {name} | {median} | {min} | {max} | {} |",
            figure.spread.runs
        );
    }
    out.push_str("\n| pair | Hawser, tx/s | anvil, tx/s | ratio | Hardhat, tx/s | ratio | Hawser by the blocks' own times |\n|---|---:|---:|---:|---:|---:|---:|\n");
    for (i, pair) in suite.pairs.iter().enumerate() {
        let steady = &pair.hawser.erc20.steady;
        let or_dash = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
        let rate = |run: &Option<LoadReport>| or_dash(run.as_ref().map(|run| run.steady.tps));
        let own = or_dash(steady.tps_by_block_time);
        let (tps, anvil, ratio) = (number(steady.tps), rate(&pair.anvil), or_dash(pair.ratio));
        let (hardhat, over) = (rate(&pair.hardhat), or_dash(pair.ratio_hardhat));
        let _ = writeln!(
            out,
            "| {} | {tps} | {anvil} | {ratio} | {hardhat} | {over} | {own} |",
            i + 1
        );
    }
    if let Some(first) = suite.pairs.first() {
        out.push_str("\nRefused in every run, as it has to be:\n\n");
        for probe in &first.hawser.erc20.probes {
            let _ = writeln!(out, "- {}: “{}”", probe.kind, probe.answer);
        }
        let checked = &first.hawser.erc20.checked;
        let _ = writeln!(
            out,
            "\nChecked after every run (numbers of the first): {} transactions each in exactly one \
             block and nothing else in any, {} receipts, {} balances over all nodes.\n",
            checked.in_blocks, checked.receipts, checked.balances
        );
    }
}

fn machine_section(out: &mut String, report: &Report) {
    let (machine, set) = (&report.machine, &report.settings);
    let fsync = machine.fsync.as_ref().map_or_else(
        || "not measured".to_owned(),
        |fsync| {
            format!(
                "p50 {} ms, p95 {} ms",
                number(fsync.p50_ms),
                number(fsync.p95_ms)
            )
        },
    );
    let anvil = report.anvil_version.as_deref().unwrap_or("not run");
    let hardhat = report.hardhat_version.as_deref().unwrap_or("not run");
    let rows = [
        (
            "processor",
            format!("{}, {} cores", machine.cpu, machine.cores),
        ),
        ("memory", format!("{} MiB", machine.memory_mib)),
        ("kernel", machine.kernel.clone()),
        (
            "disk",
            format!("{}; 4 KiB write and sync: {fsync}", machine.filesystem),
        ),
        ("load before the start", number(machine.load_before)),
        ("hawser", report.hawser_version.clone()),
        ("anvil", format!("{anvil}; {}", set.anvil)),
        ("Hardhat", format!("{hardhat}; {}", set.hardhat)),
        (
            "validators",
            format!(
                "{} processes on this machine, and the generator",
                set.validators
            ),
        ),
        ("durability", set.durability.to_owned()),
        ("signatures", set.signatures.to_owned()),
        ("latency", set.latency_method.clone()),
        (
            "load",
            format!(
                "{} accounts, window {}, batches of {}, {} connections, {} s ramp, {} s steady, seed {}",
                set.accounts,
                set.window,
                set.batch,
                set.connections,
                set.ramp_s,
                set.seconds,
                set.seed
            ),
        ),
        ("command", format!("`{}`", report.command)),
        ("took", format!("{} s", number(report.took_s))),
    ];
    out.push_str("## How\n\n| | |\n|---|---|\n");
    for (name, value) in rows {
        let _ = writeln!(
            out,
            "| {name} | {} |",
            value.replace('|', "\\|").replace('\n', " ")
        );
    }
    out.push_str("\n`report.json` has every run in full.\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_grouped() {
        for (value, text) in [
            (0.0, "0.000"),
            (0.3456, "0.346"),
            (3.456, "3.46"),
            (34.56, "34.6"),
            (345.6, "346"),
            (1_234.5, "1,234"),
            (1_234_567.0, "1,234,567"),
            (-123_456.0, "-123,456"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
