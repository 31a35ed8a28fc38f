//! The log for other programs.

use std::{io::Write, path::Path};

use super::{AuditError, Filter, read};

const COLUMNS: [&str; 17] = [
    "n",
    "kind",
    "timeMs",
    "chain",
    "who",
    "how",
    "from",
    "method",
    "resource",
    "decision",
    "rule",
    "reason",
    "request",
    "code",
    "transaction",
    "times",
    "hash",
];

fn failed(error: &std::io::Error) -> AuditError {
    AuditError::Io {
        path: "export".into(),
        reason: error.to_string(),
    }
}

/// Writes entries as CSV (RFC 4180) with a head line. A cell that a spreadsheet would take for a
/// formula gets an apostrophe in front.
///
/// # Errors
/// [`AuditError::Io`].
pub fn write_csv(dir: &Path, filter: &Filter, out: &mut dyn Write) -> Result<u64, AuditError> {
    let mut count = 0u64;
    writeln!(out, "{}\r", COLUMNS.join(",")).map_err(|error| failed(&error))?;
    read::entries(dir, filter, &mut |hash, entry| {
        let event = &entry.event;
        let cells = [
            entry.n.to_string(),
            entry.kind.name().to_owned(),
            event.time_ms.to_string(),
            event
                .chain
                .map(|chain| chain.to_string())
                .unwrap_or_default(),
            event.who.clone(),
            event.how.clone(),
            event.from.clone(),
            event.method.clone(),
            event.resource.clone(),
            event.decision.clone(),
            event.rule.clone(),
            event.reason.clone(),
            event
                .request
                .map(|hash| hash.to_string())
                .unwrap_or_default(),
            event.code.clone(),
            event
                .transaction
                .map(|hash| hash.to_string())
                .unwrap_or_default(),
            event
                .times
                .map(|times| times.to_string())
                .unwrap_or_default(),
            hex::encode(hash),
        ];
        let cells: Vec<_> = cells.iter().map(|text| cell(text)).collect();
        writeln!(out, "{}\r", cells.join(",")).map_err(|error| failed(&error))?;
        count = count.saturating_add(1);
        Ok(())
    })?;
    Ok(count)
}

/// Writes entries as a JSON array of `{"hash", "entry"}`.
///
/// # Errors
/// [`AuditError::Io`].
pub fn write_json(dir: &Path, filter: &Filter, out: &mut dyn Write) -> Result<u64, AuditError> {
    let mut count = 0u64;
    write!(out, "[").map_err(|error| failed(&error))?;
    read::entries(dir, filter, &mut |hash, entry| {
        let separator = if count == 0 { "\n" } else { ",\n" };
        let text =
            serde_json::to_string(entry).map_err(|error| AuditError::Failed(error.to_string()))?;
        let line = super::entry::write_line(hash, &text);
        write!(out, "{separator}{line}").map_err(|error| failed(&error))?;
        count = count.saturating_add(1);
        Ok(())
    })?;
    writeln!(out, "\n]").map_err(|error| failed(&error))?;
    Ok(count)
}

fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_formulas_disarmed() {
        assert_eq!(cell("plain"), "plain");
        assert_eq!(cell("a,b"), "\"a,b\"");
        assert_eq!(cell("say \"hi\"\n"), "\"say \"\"hi\"\"\n\"");
        for formula in ["=1+1", "+1", "-1", "@x"] {
            assert_eq!(cell(formula), format!("'{formula}"));
        }
    }
}
