//! The report of a measurement: `report.html` (one file, no scripts, both languages, light and dark), `report.json`,
//! and a table for the terminal.

mod html;
mod svg;
mod tables;
mod terminal;
#[cfg(test)]
pub(crate) mod tests;

use std::{fs, path::Path};

use crate::{
    Language,
    error::{BenchError, Result},
    measure::model::MeasureReport,
};

pub(crate) use terminal::{list, table};

/// Writes `report.html` and `report.json`; the page opens in `language`.
pub(crate) fn write(report: &MeasureReport, dir: &Path, language: Language) -> Result<()> {
    let write = |name: &str, text: String| {
        let path = dir.join(name);
        fs::write(&path, text).map_err(BenchError::io(format!("cannot write {}", path.display())))
    };
    write("report.json", serde_json::to_string_pretty(report)? + "\n")?;
    write("report.html", html::page(report, language))
}
