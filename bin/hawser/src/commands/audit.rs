//! `hawser audit`: the node's log of decisions and administrative acts.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use hawser_node::config::{self, Overrides};
use hawser_ops::audit::{self, Entry, Event, Filter, Head, Kind, Report};
use hawser_primitives::B256;
use serde_json::json;

use crate::exit::{Code, Failure, OrFail, Result, fail};
use crate::lang::Lang;
use crate::local::HomeArgs;
use crate::output::{self, Output};
use crate::quantity::counted;
use crate::{quantity, time};

/// Most entries that a table or JSON on the terminal shows; an export has no such bound.
const LIST_MAX: usize = 100_000;

/// Commands of `audit`.
#[derive(Subcommand, Debug)]
pub(crate) enum AuditCommand {
    /// Show the newest entries of a node's audit log
    List(ListArgs),
    /// Check that no entry was changed, moved, left out or made up
    Verify(VerifyArgs),
    /// Write entries as CSV or JSON
    Export(ExportArgs),
}

/// Where the log lies.
#[derive(Args, Clone, Debug)]
pub(crate) struct LogArgs {
    /// Folder of the log
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "config",
        help_heading = "Log"
    )]
    dir: Option<PathBuf>,
    /// Configuration of the node whose log it is
    #[arg(long, value_name = "FILE", help_heading = "Log")]
    config: Option<PathBuf>,
    /// Number of the node in the local network, where neither is given
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Log")]
    node: usize,
    #[command(flatten)]
    home: HomeArgs,
}

impl LogArgs {
    fn dir(&self) -> Result<PathBuf> {
        let dir = match (&self.dir, &self.config) {
            (Some(dir), _) => dir.clone(),
            (None, Some(file)) => {
                let loaded = config::load(file, &Overrides::default()).or_fail(Code::Config)?;
                loaded.config.audit_dir()
            }
            (None, None) => {
                let nodes = self.home.home().nodes()?;
                match nodes.get(self.node) {
                    Some(node) => node.config.audit_dir(),
                    None => {
                        return fail(
                            Code::NotFound,
                            format!(
                                "there is no node{}: the network has {}",
                                self.node,
                                nodes.len()
                            ),
                        );
                    }
                }
            }
        };
        if !dir.is_dir() {
            return fail(
                Code::NotFound,
                format!(
                    "no audit log in {}: the node has not run yet, or keeps it elsewhere (audit.dir)",
                    dir.display()
                ),
            );
        }
        Ok(dir)
    }
}

/// Which entries.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct FilterArgs {
    /// Only of this kind
    #[arg(long, value_enum, help_heading = "Filter")]
    kind: Option<KindArg>,
    /// Only by this account
    #[arg(long, value_name = "ADDRESS", help_heading = "Filter")]
    who: Option<String>,
    /// Only of this chain
    #[arg(long, value_name = "ID", help_heading = "Filter")]
    chain: Option<u64>,
    /// Only methods, commands or refused actions that begin so
    #[arg(long, value_name = "PREFIX", help_heading = "Filter")]
    method: Option<String>,
    /// Only with this decision: allowed, denied or done
    #[arg(long, value_name = "DECISION", help_heading = "Filter",
        value_parser = ["allowed", "denied", "done"])]
    decision: Option<String>,
    /// Only by rules that begin so
    #[arg(long, value_name = "PREFIX", help_heading = "Filter")]
    rule: Option<String>,
    /// Not before this time, UTC: 2026-11-21, 2026-11-21T14:00:00Z, or milliseconds since 1970
    #[arg(long, value_name = "TIME", value_parser = time::parse, help_heading = "Filter")]
    since: Option<u64>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = time::parse, help_heading = "Filter")]
    until: Option<u64>,
}

/// A kind of entry on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindArg {
    /// Decisions about requests
    Read,
    /// Acts of operators
    Admin,
    /// Transactions that governance refused at the pool
    Refusal,
    /// Beginnings of files
    Segment,
}

impl FilterArgs {
    fn filter(&self) -> Filter {
        Filter {
            kind: self.kind.map(|kind| match kind {
                KindArg::Read => Kind::Read,
                KindArg::Admin => Kind::Admin,
                KindArg::Refusal => Kind::Refusal,
                KindArg::Segment => Kind::Segment,
            }),
            who: self.who.clone(),
            chain: self.chain,
            method: self.method.clone(),
            decision: self.decision.clone(),
            rule: self.rule.clone(),
            since_ms: self.since,
            until_ms: self.until,
        }
    }
}

/// Arguments of `audit list`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser audit list
  hawser audit list --decision denied --since 2026-11-21 --limit 20
  hawser audit list --kind refusal --who 0x…
  hawser audit list --config node.toml --who 0x… --output json")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// Most entries shown, the newest
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

/// Arguments of `audit verify`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser audit verify
  hawser audit verify --dir audit --head 1234:0x…

Cut off newest entries cannot be seen in the log itself. Note what `verify` shows as its head, and
give it as --head the next time. Ends with 5 when something is wrong.")]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    log: LogArgs,
    /// An entry noted earlier, which must still be there: number:hash
    #[arg(long, value_name = "N:HASH", value_parser = parse_head)]
    head: Option<Head>,
}

/// Arguments of `audit export`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser audit export --format csv --to november.csv --since 2026-11-01 --until 2026-12-01
  hawser audit export --format json --decision denied > denied.json")]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// Form of the export
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// File to write, must not exist; without it standard output
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

/// Form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A line per entry, for spreadsheets
    Csv,
    /// An array of entries with their hashes
    Json,
}

fn parse_head(text: &str) -> std::result::Result<Head, String> {
    let (n, hash) = text.split_once(':').ok_or("write number:hash")?;
    Ok(Head {
        n: n.parse().map_err(|_| "the number is no number")?,
        hash: hash.parse().map_err(|_| "the hash is 0x and 64 digits")?,
    })
}

/// Runs the command.
pub(crate) fn run(command: &AuditCommand, output: Output, lang: Lang) -> Result<()> {
    match command {
        AuditCommand::List(args) => list(args, output, lang),
        AuditCommand::Verify(args) => verify(args, output, lang),
        AuditCommand::Export(args) => export(args, output, lang),
    }
}

fn list(args: &ListArgs, output: Output, lang: Lang) -> Result<()> {
    let dir = args.log.dir()?;
    let limit = args.limit.clamp(1, LIST_MAX);
    let mut newest: std::collections::VecDeque<(B256, Entry)> = Default::default();
    audit::entries(&dir, &args.filter.filter(), &mut |hash, entry| {
        if newest.len() == limit {
            newest.pop_front();
        }
        newest.push_back((*hash, entry.clone()));
        Ok(())
    })
    .or_fail(Code::Failed)?;
    let all: Vec<_> = newest
        .iter()
        .map(|(hash, entry)| json!({ "hash": hash, "entry": entry }))
        .collect();
    output.print(&all, |_| table(newest.iter().map(|(_, entry)| entry), lang))
}

fn table<'a>(entries: impl Iterator<Item = &'a Entry>, lang: Lang) -> String {
    let rows: Vec<Vec<String>> = entries
        .map(|entry| {
            let event = &entry.event;
            vec![
                entry.n.to_string(),
                quantity::utc(event.time_ms),
                event
                    .chain
                    .map(|chain| chain.to_string())
                    .unwrap_or_default(),
                if event.who.is_empty() {
                    event.how.clone()
                } else {
                    event.who.clone()
                },
                event.from.clone(),
                event.method.clone(),
                event.resource.clone(),
                decision(&event.decision, lang).to_owned(),
                event.rule.clone(),
                reason(event, lang),
            ]
        })
        .collect();
    if rows.is_empty() {
        return lang.pick("No entries.", "没有条目。").to_owned();
    }
    let head = match lang {
        Lang::En => [
            "n", "time", "chain", "who", "from", "method", "resource", "decision", "rule", "reason",
        ],
        Lang::Zh => [
            "序号", "时间", "链", "主体", "来源", "方法", "资源", "决定", "规则", "原因",
        ],
    };
    output::table(&head, &rows)
}

fn decision(name: &str, lang: Lang) -> &str {
    match (name, lang) {
        ("allowed", Lang::Zh) => "允许",
        ("denied", Lang::Zh) => "拒绝",
        ("done", Lang::Zh) => "已执行",
        (other, _) => other,
    }
}

/// Why, and how often where several are counted in one line.
fn reason(event: &Event, lang: Lang) -> String {
    let words = shorten(&event.reason);
    match (event.times, lang) {
        (None, _) => words,
        (Some(times), Lang::En) => format!("{}: {words}", counted(times, "time")),
        (Some(times), Lang::Zh) => format!("{times} 次：{words}"),
    }
}

fn shorten(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut out: String = text.chars().take(CHARS_MAX).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out
}

fn verify(args: &VerifyArgs, output: Output, lang: Lang) -> Result<()> {
    let dir = args.log.dir()?;
    let report = audit::verify(&dir, args.head.as_ref()).or_fail(Code::Failed)?;
    output.print(
        &json!({ "good": report.is_good(), "report": report }),
        |_| verdict(&report, lang),
    )?;
    if report.is_good() {
        return Ok(());
    }
    Err(Failure::new(
        Code::NotFound,
        match lang {
            Lang::En => format!(
                "the audit log in {} does not verify. Keep it as it is, and compare it with an \
                 export or a copy made earlier",
                dir.display()
            ),
            Lang::Zh => format!(
                "{} 中的审计日志未通过校验。请原样保留，并与先前的导出或副本比对",
                dir.display()
            ),
        },
    ))
}

fn verdict(report: &Report, lang: Lang) -> String {
    let mut text = String::new();
    if let Some(head) = &report.head {
        text.push_str(&match lang {
            Lang::En => format!(
                "{} in {}, from number {} on. Head: {}:{}\n",
                counted(report.entries, "entry"),
                counted(report.segments, "file"),
                report.first,
                head.n,
                head.hash
            ),
            Lang::Zh => format!(
                "{} 个条目，{} 个文件，起始序号 {}。末条：{}:{}\n",
                report.entries, report.segments, report.first, head.n, head.hash
            ),
        });
    }
    if report.torn_bytes > 0 {
        text.push_str(&match lang {
            Lang::En => format!(
                "The last line is incomplete ({}): the node is writing, or crashed.\n",
                counted(report.torn_bytes, "byte")
            ),
            Lang::Zh => format!(
                "末行不完整（{} 字节）：节点正在写入，或曾崩溃。\n",
                report.torn_bytes
            ),
        });
    }
    for finding in &report.findings {
        text.push_str(&format!(
            "{}:{}: {}\n",
            finding.file, finding.line, finding.what
        ));
    }
    if report.is_good() {
        text.push_str(lang.pick(
            "Every entry is as it was written.",
            "所有条目均与写入时一致。",
        ));
    }
    text
}

fn export(args: &ExportArgs, output: Output, lang: Lang) -> Result<()> {
    let dir = args.log.dir()?;
    let filter = args.filter.filter();
    let write = |out: &mut dyn Write| match args.format {
        Format::Csv => audit::write_csv(&dir, &filter, out),
        Format::Json => audit::write_json(&dir, &filter, out),
    };
    let Some(path) = &args.to else {
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        write(&mut out).or_fail(Code::Failed)?;
        return out.flush().or_fail(Code::Failed);
    };
    let context = || format!("cannot write {}", path.display());
    let file = std::fs::File::create_new(path).context(Code::Failed, context())?;
    let mut out = std::io::BufWriter::new(file);
    let count = write(&mut out).or_fail(Code::Failed)?;
    let file = out
        .into_inner()
        .map_err(|error| Failure::new(Code::Failed, format!("{}: {error}", context())))?;
    file.sync_all().context(Code::Failed, context())?;
    output.print(&json!({ "entries": count, "path": path }), |_| match lang {
        Lang::En => format!("Wrote {} to {}", counted(count, "entry"), path.display()),
        Lang::Zh => format!("已将 {count} 个条目写入 {}", path.display()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_noted_head_is_read() {
        let hash = B256::repeat_byte(7);
        assert_eq!(parse_head(&format!("12:{hash}")), Ok(Head { n: 12, hash }));
        for bad in ["", "12", "x:0x00", "12:0x12"] {
            assert!(parse_head(bad).is_err(), "{bad}");
        }
    }
}
