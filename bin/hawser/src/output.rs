//! What commands print: tables for people, JSON for programs.

use std::io::Write;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

use crate::exit::{Code, OrFail, Result};

/// The form of a command's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs: one JSON value on standard output and nothing else.
    Json,
}

impl Output {
    /// Prints the value as JSON, or what `table` makes of it.
    pub(crate) fn print<T: Serialize>(
        self,
        value: &T,
        table: impl FnOnce(&T) -> String,
    ) -> Result<()> {
        match self {
            Self::Json => {
                let text = serde_json::to_string_pretty(value).or_fail(Code::Failed)?;
                line(&text)
            }
            Self::Table => line(table(value).trim_end_matches('\n')),
        }
    }
}

/// Prints a line. A reader that went away, as `head` does, is no failure.
pub(crate) fn line(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context(Code::Failed, "cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// Lines of `name  value`, the values in one column. Empty values are left out.
pub(crate) fn pairs<N: AsRef<str>, V: AsRef<str>>(rows: &[(N, V)]) -> String {
    let rows = rows
        .iter()
        .map(|(name, value)| (name.as_ref(), value.as_ref()));
    let shown: Vec<_> = rows.filter(|(_, value)| !value.is_empty()).collect();
    let width = shown
        .iter()
        .map(|(name, _)| columns(name))
        .max()
        .unwrap_or(0);
    let row = |(name, value): &(&str, &str)| format!("{}  {value}\n", pad(name, width));
    shown.iter().map(row).collect()
}

/// A table with a head. Columns are as wide as their widest cell.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| columns(cell)).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(columns(cell));
        }
    }
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let mut out = String::new();
    for row in std::iter::once(&head).chain(rows) {
        let cells: Vec<_> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| pad(cell, *width))
            .collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// How many columns of a terminal a text takes: two for a Chinese character.
fn columns(text: &str) -> usize {
    let wide = |c: char| matches!(u32::from(c), 0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6);
    text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}

fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(columns(text));
    format!("{text}{}", " ".repeat(missing))
}

/// A JSON value as text in a cell: texts without quotes, nothing for null.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_also_with_chinese_characters() {
        let rows = vec![
            vec!["a".to_owned(), "12".to_owned()],
            vec!["节点".to_owned(), "3".to_owned()],
        ];
        assert_eq!(table(&["name", "n"], &rows), "name  n\na     12\n节点  3\n");
        assert_eq!(
            pairs(&[("链", "1"), ("none", ""), ("peer", "2")]),
            "链    1\npeer  2\n"
        );
    }
}
