//! The tables on the terminal.

use std::fmt::Write;

use super::tables::{figures, pick};
use crate::{Language, measure::model::MeasureReport, work::NAMES};

/// Columns that a text takes: Chinese characters take two.
fn width(text: &str) -> usize {
    let wide = |c: char| matches!(u32::from(c), 0x1100..=0x115f | 0x2e80..=0xffdc);
    text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}

fn padded(text: &str, columns: usize) -> String {
    let spaces = columns.saturating_sub(width(text));
    format!("{text}{}", " ".repeat(spaces))
}

/// What is shown at the end.
pub(crate) fn table(report: &MeasureReport, language: Language) -> String {
    let mut out = String::new();
    for run in &report.runs {
        let rows = figures(run);
        let columns = rows
            .iter()
            .map(|row| width(pick(&row.name, language)))
            .max()
            .unwrap_or(0);
        // Writing to a string cannot fail.
        let _ = writeln!(out, "\n{} · {} · {}", run.suite, run.workload, run.envelope);
        for row in rows {
            let name = padded(pick(&row.name, language), columns);
            let _ = writeln!(out, "  {name}  {}", row.value);
        }
        let checked = &run.checked;
        let line = match language {
            Language::En => format!(
                "checked: {} transactions each in one block, {} receipts, {} answers; {} kinds of bad ones refused",
                checked.in_blocks,
                checked.receipts,
                checked.answers,
                run.probes.len()
            ),
            Language::Zh => format!(
                "已核对：{} 笔交易各在一个区块中，{} 份收据，{} 项状态；{} 类非法交易均被拒绝",
                checked.in_blocks,
                checked.receipts,
                checked.answers,
                run.probes.len()
            ),
        };
        let _ = writeln!(out, "  {line}");
    }
    if let Some(reason) = &report.void_because {
        let void = language.pick("VOID", "无效");
        let _ = writeln!(out, "\n{void}: {reason}");
    } else if report.quick {
        let text = language.pick(
            "A quick run tries the instrument; these figures measure nothing.",
            "快速模式仅用于试运行；以上数字不构成测量结果。",
        );
        let _ = writeln!(out, "\n{text}");
    }
    out
}

/// The workloads there are.
pub(crate) fn list(language: Language) -> String {
    let columns = NAMES
        .iter()
        .map(|(name, ..)| width(name))
        .max()
        .unwrap_or(0);
    let lines: Vec<_> = NAMES
        .iter()
        .map(|(name, en, zh)| format!("  {}  {}", padded(name, columns), language.pick(en, zh)))
        .collect();
    let head = language.pick(
        "Workloads for --workload (several with commas, or `all`):",
        "--workload 可用的负载（多个以逗号分隔，或用 all）：",
    );
    format!("{head}\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_characters_are_two_columns_wide() {
        assert_eq!(width("ab"), 2);
        assert_eq!(width("缆a"), 3);
        assert_eq!(padded("缆", 4), "缆  ");
    }

    #[test]
    fn the_list_has_every_workload_in_both_languages() {
        for language in [Language::En, Language::Zh] {
            let list = list(language);
            assert!(NAMES.iter().all(|(name, ..)| list.contains(name)));
        }
        assert!(list(Language::Zh).contains("存证"));
    }
}
