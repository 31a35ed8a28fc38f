//! Reading and verifying.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use hawser_primitives::{B256, open_file};
use serde::Serialize;

use super::{
    AuditError,
    entry::{ENTRY_BYTES_MAX, Entry, Kind, SegmentStart, hash, read_line},
};

/// Most problems that a report lists; one is enough to distrust a log.
const FINDINGS_MAX: usize = 100;
/// Most files of a log.
const SEGMENTS_MAX: usize = 1_000_000;

/// The newest entry: whoever keeps it elsewhere can tell whether the end was cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Head {
    /// Its number.
    pub n: u64,
    /// Its hash.
    pub hash: B256,
}

/// Something that is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Name of the file.
    pub file: String,
    /// Line, from 1; 0 for the file as a whole.
    pub line: u64,
    /// What is wrong.
    pub what: String,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Files read.
    pub segments: u64,
    /// Entries read.
    pub entries: u64,
    /// Number of the first entry; over 0 where older files were taken away.
    pub first: u64,
    /// The newest entry.
    pub head: Option<Head>,
    /// Bytes of an incomplete last line, as a crash or a running node leaves.
    pub torn_bytes: u64,
    /// What is wrong, in order; at most a hundred.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }

    fn add(&mut self, path: &Path, line: u64, what: impl Into<String>) {
        if self.findings.len() < FINDINGS_MAX {
            let name = path.file_name().unwrap_or_default();
            self.findings.push(Finding {
                file: name.to_string_lossy().into_owned(),
                line,
                what: what.into(),
            });
        }
    }
}

/// Which entries are wanted. What is not set does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this kind.
    pub kind: Option<Kind>,
    /// By whom; upper and lower case are the same.
    pub who: Option<String>,
    /// Of this chain.
    pub chain: Option<u64>,
    /// Of methods or commands that begin so.
    pub method: Option<String>,
    /// `allowed`, `denied` or `done`.
    pub decision: Option<String>,
    /// By rules that begin so.
    pub rule: Option<String>,
    /// Not before, in milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// Before, in milliseconds since 1970.
    pub until_ms: Option<u64>,
}

impl Filter {
    /// Whether an entry is wanted.
    #[must_use]
    pub fn wants(&self, entry: &Entry) -> bool {
        let event = &entry.event;
        let begins = |wanted: &Option<String>, found: &str| {
            wanted
                .as_ref()
                .is_none_or(|wanted| found.starts_with(wanted.as_str()))
        };
        let same = |wanted: &Option<String>, found: &str| {
            wanted
                .as_ref()
                .is_none_or(|wanted| found.eq_ignore_ascii_case(wanted))
        };
        self.kind
            .map_or(entry.kind != Kind::Segment, |kind| entry.kind == kind)
            && self.chain.is_none_or(|chain| event.chain == Some(chain))
            && self.since_ms.is_none_or(|since| event.time_ms >= since)
            && self.until_ms.is_none_or(|until| event.time_ms < until)
            && same(&self.who, &event.who)
            && same(&self.decision, &event.decision)
            && begins(&self.method, &event.method)
            && begins(&self.rule, &event.rule)
    }
}

/// Path of a file of the log.
pub(super) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("audit-{number:08}.jsonl"))
}

/// The files of a log with their numbers, in order.
pub(super) fn segments(dir: &Path) -> Result<Vec<(u64, PathBuf)>, AuditError> {
    let io = |error: std::io::Error| AuditError::Io {
        path: dir.to_owned(),
        reason: error.to_string(),
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io)?.take(SEGMENTS_MAX) {
        let path = entry.map_err(io)?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_prefix("audit-")?.strip_suffix(".jsonl"))
            .and_then(|digits| digits.parse().ok());
        if let Some(number) = number {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

/// A line of a file: whole, or what is left at the end of it.
enum LineRead {
    Whole(String),
    /// So many bytes, and whether an entry may begin with them.
    Torn(u64, bool),
    TooLong,
    End,
}

fn next_line(reader: &mut impl BufRead) -> std::io::Result<LineRead> {
    const MAX: u64 = ENTRY_BYTES_MAX as u64 + 256;
    let mut bytes = Vec::new();
    let read = reader.by_ref().take(MAX).read_until(b'\n', &mut bytes)?;
    if read == 0 {
        return Ok(LineRead::End);
    }
    if bytes.pop_if(|last| *last == b'\n').is_none() {
        if read as u64 == MAX {
            return Ok(LineRead::TooLong);
        }
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => Some(text),
            // Cut within a character.
            Err(error) if error.error_len().is_none() => Some(""),
            Err(_) => None,
        };
        let begins = text.is_some_and(|text| !text.chars().any(char::is_control));
        return Ok(LineRead::Torn(read as u64, begins));
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => LineRead::Whole(text),
        // Not an entry; the check of the line says so.
        Err(_) => LineRead::Whole(String::new()),
    })
}

/// What a file holds, as far as it fits together.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) start: Option<SegmentStart>,
    pub(super) first: Option<u64>,
    pub(super) head: Option<Head>,
    pub(super) entries: u64,
    /// Bytes of whole lines that fit.
    pub(super) good_bytes: u64,
    /// Bytes after the last end of a line.
    pub(super) torn_bytes: u64,
    /// Whether no entry begins with these.
    pub(super) torn_is_odd: bool,
    /// The first line that does not fit, and why.
    pub(super) problem: Option<(u64, String)>,
}

/// Checks a file by itself.
pub(super) fn check_file(path: &Path) -> Result<Checked, AuditError> {
    check_lines(path, &mut |_, _| Ok(()))
}

fn check_lines(
    path: &Path,
    each: &mut dyn FnMut(&B256, &Entry) -> Result<(), AuditError>,
) -> Result<Checked, AuditError> {
    let io = |error: std::io::Error| AuditError::Io {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let mut reader = BufReader::new(open_file(path).map_err(io)?);
    let mut checked = Checked::default();
    for number in 1.. {
        let text = match next_line(&mut reader).map_err(io)? {
            LineRead::Whole(text) => text,
            LineRead::Torn(bytes, begins) => {
                (checked.torn_bytes, checked.torn_is_odd) = (bytes, !begins);
                break;
            }
            LineRead::TooLong => {
                checked.problem = Some((number, "it is longer than an entry can be".to_owned()));
                break;
            }
            LineRead::End => break,
        };
        match check_line(&mut checked, &text) {
            Ok((hash, entry)) => each(&hash, &entry)?,
            Err(reason) => {
                checked.problem = Some((number, reason));
                break;
            }
        }
        let bytes = (text.len() as u64).saturating_add(1);
        checked.good_bytes = checked.good_bytes.saturating_add(bytes);
    }
    Ok(checked)
}

fn check_line(checked: &mut Checked, text: &str) -> Result<(B256, Entry), String> {
    let (stated, raw, entry) = read_line(text).map_err(|error| error.to_string())?;
    let previous = match (&checked.head, &entry.segment) {
        (Some(head), None) => {
            let expected = head.n.saturating_add(1);
            if entry.n != expected {
                return Err(format!(
                    "entry {expected} was expected here, this is {}: entries are missing or moved",
                    entry.n
                ));
            }
            head.hash
        }
        (None, Some(start)) if entry.kind == Kind::Segment => {
            checked.start = Some(start.clone());
            checked.first = Some(entry.n);
            start.previous
        }
        (None, _) => return Err("a file begins with an entry of kind segment".to_owned()),
        (Some(_), Some(_)) => return Err("a file begins within another".to_owned()),
    };
    let suite = checked.start.as_ref().map(|start| start.suite);
    let suite = suite.ok_or_else(|| "the hash is not known".to_owned())?;
    if hash(suite, &previous, raw) != stated {
        return Err(format!(
            "the hash of entry {} does not fit: it was changed, or the one before it",
            entry.n
        ));
    }
    checked.head = Some(Head {
        n: entry.n,
        hash: stated,
    });
    checked.entries = checked.entries.saturating_add(1);
    Ok((stated, entry))
}

/// Verifies a log: every hash, every number, and that the files follow each other. `known` is an
/// entry that was noted earlier, which has to be there unchanged.
///
/// # Errors
/// [`AuditError::Io`] where something cannot be read. What is wrong with the content is in the
/// report.
pub fn verify(dir: &Path, known: Option<&Head>) -> Result<Report, AuditError> {
    let mut report = Report::default();
    let mut seen_known = known.is_none();
    let mut before: Option<(u64, Option<Head>)> = None;
    let files = segments(dir)?;
    let last = files.last().map(|(number, _)| *number);
    for (number, path) in &files {
        let checked = check_lines(path, &mut |hash, entry| {
            if known.is_some_and(|known| known.n == entry.n && known.hash == *hash) {
                seen_known = true;
            }
            Ok(())
        })?;
        report.segments = report.segments.saturating_add(1);
        report.entries = report.entries.saturating_add(checked.entries);
        if let Some((line, what)) = &checked.problem {
            report.add(path, *line, what.as_str());
        }
        if checked.head.is_none() && checked.problem.is_none() {
            report.add(
                path,
                0,
                "it has no entry: it was emptied or overwritten, or the node ended when it began it",
            );
        }
        if checked.torn_is_odd {
            let what = match checked.torn_bytes {
                1 => "its last byte is no entry".to_owned(),
                bytes => format!("its last {bytes} bytes are no entry"),
            };
            report.add(path, 0, what);
        } else if checked.torn_bytes > 0 {
            if Some(*number) == last {
                report.torn_bytes = checked.torn_bytes;
            } else {
                report.add(path, 0, "its last line is incomplete");
            }
        }
        link(&mut report, path, *number, &checked, before.as_ref());
        before = Some((*number, checked.head));
        if let Some(head) = checked.head {
            report.head = Some(head);
        }
    }
    if files.is_empty() {
        report.add(dir, 0, "there is no audit log here");
    } else if let (Some(known), false) = (known, seen_known) {
        report.add(
            dir,
            0,
            format!(
                "entry {} with hash {} is not in it: the log was cut off or replaced",
                known.n, known.hash
            ),
        );
    }
    Ok(report)
}

/// Checks that a file follows the one before.
fn link(
    report: &mut Report,
    path: &Path,
    number: u64,
    checked: &Checked,
    before: Option<&(u64, Option<Head>)>,
) {
    let Some(start) = &checked.start else {
        return;
    };
    if start.number != number {
        let what = format!(
            "it says it is file {}, its name says {number}",
            start.number
        );
        report.add(path, 1, what);
    }
    match before {
        None => {
            report.first = checked.first.unwrap_or_default();
            if report.first == 0 && start.previous != B256::ZERO {
                report.add(path, 1, "the first entry of all names one before it");
            }
        }
        Some((earlier, Some(head))) => {
            if earlier.checked_add(1) != Some(number) {
                report.add(path, 0, format!("file {} is missing before it", number - 1));
            } else if start.previous != head.hash || checked.first != head.n.checked_add(1) {
                report.add(
                    path,
                    1,
                    "it does not follow the end of the file before: entries are missing or changed",
                );
            }
        }
        // What is wrong with the file before is told there.
        Some((_, None)) => {}
    }
}

/// Calls `each` for every entry that the filter wants, in order, with its hash. Entries after one
/// that does not fit are left out: [`verify`] says where that is.
///
/// # Errors
/// [`AuditError::Io`], and what `each` returns.
pub fn entries(
    dir: &Path,
    filter: &Filter,
    each: &mut dyn FnMut(&B256, &Entry) -> Result<(), AuditError>,
) -> Result<(), AuditError> {
    for (_, path) in segments(dir)? {
        check_lines(&path, &mut |hash, entry| {
            if filter.wants(entry) {
                each(hash, entry)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}
