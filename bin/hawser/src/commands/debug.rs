//! `hawser debug`: what a node recorded of the last minutes of consensus (共识黑匣子).

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hawser_node::blackbox::read;
use hawser_node::blackbox::timeline::{Timeline, Window};
use hawser_primitives::{Height, Time};
use serde_json::json;

use crate::exit::{Code, OrFail, Result, fail};
use crate::files;
use crate::lang::Lang;
use crate::local::HomeArgs;
use crate::output::Output;
use crate::quantity::counted;
use crate::time;
use crate::timeline::text::{self, Style};
use crate::timeline::{self, page};

/// Commands of `debug`.
#[derive(Subcommand, Debug)]
pub(crate) enum DebugCommand {
    /// Draw what nodes recorded on one time axis, and say why blocks took long
    Timeline(TimelineArgs),
    /// Write a node's recording to one file, to send it to somebody
    Export(ExportArgs),
}

/// Arguments of `debug timeline`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser debug timeline --last 2m
  hawser debug timeline .hawser/node0 --height 120-140 --events
  hawser debug timeline node0.bb node1.bb node2.bb --html timeline.html
  hawser debug timeline /var/lib/hawser --from 2026-11-22T04:10:00Z --to 2026-11-22T04:12:00Z

A node may run or be stopped meanwhile. With recordings of several nodes their clocks are compared by
when votes left and arrived, and put on the axis of the first one.")]
pub(crate) struct TimelineArgs {
    /// Folders of nodes or of their chains, or exported files; default: all nodes of the local network
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    home: HomeArgs,
    /// The chain, where nodes host several
    #[arg(long, value_name = "ID")]
    chain: Option<u64>,
    /// Not before this time (UTC)
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    from: Option<u64>,
    /// Not after this time (UTC)
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    to: Option<u64>,
    /// Only the end of the recording: seconds, or with a unit as in 90s, 5m, 1h
    #[arg(long, value_name = "SPAN", value_parser = span_ms, conflicts_with = "from")]
    last: Option<u64>,
    /// Only this height, or these: 120 or 120-140
    #[arg(long, value_name = "HEIGHT", value_parser = heights)]
    height: Option<(u64, u64)>,
    /// Explain heights that took longer than so many milliseconds, or more than one round
    #[arg(long, value_name = "MS", default_value_t = 1_000)]
    slow: u64,
    /// Show every single event
    #[arg(long)]
    events: bool,
    /// Leave the nodes' clocks as they are
    #[arg(long)]
    raw_clocks: bool,
    /// Write a page with a picture to this new file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Arguments of `debug export`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser debug export /var/lib/hawser --to node0.bb

The file holds times, heights, addresses and names of validators, ids and names of peers, and the
beginning of block hashes; no keys and nothing of any transaction.")]
pub(crate) struct ExportArgs {
    /// Folder of a node or of its chain
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The new file
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// The chain, where the node hosts several
    #[arg(long, value_name = "ID")]
    chain: Option<u64>,
}

/// Runs the command.
pub(crate) fn run(command: &DebugCommand, output: Output, lang: Lang) -> Result<()> {
    match command {
        DebugCommand::Timeline(args) => timeline(args, output, lang),
        DebugCommand::Export(args) => export(args, output, lang),
    }
}

fn timeline(args: &TimelineArgs, output: Output, lang: Lang) -> Result<()> {
    let paths = if args.paths.is_empty() {
        let nodes = args.home.home().nodes()?;
        nodes.into_iter().map(|node| node.dir).collect()
    } else {
        args.paths.clone()
    };
    let (mut recordings, mut problems) = (Vec::new(), Vec::new());
    for path in &paths {
        match timeline::recording(path, args.chain) {
            Ok(recording) => {
                problems.extend(recording.problems.iter().map(|problem| {
                    let (path, damage) = (problem.path.display(), &problem.damage);
                    match lang {
                        Lang::En => format!("{path} {damage}; what is before that is shown"),
                        Lang::Zh => format!("{path} {damage}；此前的内容已显示"),
                    }
                }));
                recordings.push(recording);
            }
            // Of several, one that never ran is no reason to hide the others.
            Err(failure) if paths.len() > 1 => problems.push(failure.message),
            Err(failure) => return Err(failure),
        }
    }
    if recordings.is_empty() {
        return fail(Code::NotFound, problems.join("\n"));
    }
    let mut chains = recordings.iter().filter_map(|one| one.identity.as_ref());
    let first = chains.next().map(|one| (one.chain, one.genesis));
    if chains.any(|one| Some((one.chain, one.genesis)) != first) {
        return fail(
            Code::Usage,
            lang.pick(
                "the recordings are of different chains; give those of one chain",
                "这些记录属于不同的链；请给出同一条链的记录",
            ),
        );
    }
    let mut timeline = Timeline::new(&recordings, !args.raw_clocks);
    timeline.cut(Window {
        from: args.from.map(Time),
        to: args.to.map(Time),
        heights: args.height.map(|(a, b)| (Height(a), Height(b))),
        last_ms: args.last,
    });
    let style = Style {
        lang,
        slow_ms: args.slow,
        events: args.events,
    };
    if let Some(file) = &args.html {
        let page = page::page(&timeline, style, &problems);
        files::write_bytes(file, page.as_bytes(), false)?;
    }
    let mut value = text::value(&timeline, style);
    if let Some(object) = value.as_object_mut() {
        object.insert("problems".to_owned(), json!(problems));
        object.insert("page".to_owned(), json!(args.html));
    }
    output.print(&value, |_| {
        let mut out = text::table(&timeline, style);
        for problem in &problems {
            out.push_str(&format!("! {problem}\n"));
        }
        if let Some(file) = &args.html {
            let file = file.display();
            out.push_str(&match lang {
                Lang::En => format!("page written to {file}\n"),
                Lang::Zh => format!("页面已写入 {file}\n"),
            });
        }
        out
    })
}

fn export(args: &ExportArgs, output: Output, lang: Lang) -> Result<()> {
    let found = timeline::find(&args.path, args.chain)?;
    if found.is_file() {
        return fail(
            Code::Usage,
            format!("{} is a file already; give a folder", found.display()),
        );
    }
    let bytes = read::export(&found).or_fail(Code::Config)?;
    files::write_bytes(&args.to, &bytes, false)?;
    let value = json!({ "file": args.to, "bytes": bytes.len() });
    output.print(&value, |_| match lang {
        Lang::En => {
            let written = counted(bytes.len(), "byte");
            format!("{written} written to {}", args.to.display())
        }
        Lang::Zh => format!("已将 {} 字节写入 {}", bytes.len(), args.to.display()),
    })
}

/// Milliseconds of a span such as `90`, `90s`, `5m` or `1h`.
fn span_ms(text: &str) -> Result<u64, String> {
    let bad = || "write seconds, or a span such as 90s, 5m or 1h".to_owned();
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 's')) => (text.get(..at), 1_000),
        Some((at, 'm')) => (text.get(..at), 60_000),
        Some((at, 'h')) => (text.get(..at), 3_600_000),
        _ => (Some(text), 1_000),
    };
    let count: u64 = digits.and_then(|d| d.parse().ok()).ok_or_else(bad)?;
    count.checked_mul(unit).filter(|ms| *ms > 0).ok_or_else(bad)
}

/// A height, or the first and the last of several.
fn heights(text: &str) -> Result<(u64, u64), String> {
    let bad = || "write a height, or the first and the last as in 120-140".to_owned();
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let first = first.parse().map_err(|_| bad())?;
    let last = last.parse().map_err(|_| bad())?;
    (first <= last).then_some((first, last)).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_heights_are_read() {
        for (text, ms) in [
            ("90", 90_000),
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(span_ms(text), Ok(ms), "{text}");
        }
        for bad in ["", "s", "0", "5d", "-1", "5 m", "99999999999999999h", "分"] {
            assert!(span_ms(bad).is_err(), "{bad}");
        }
        assert_eq!(heights("7"), Ok((7, 7)));
        assert_eq!(heights("7-9"), Ok((7, 9)));
        for bad in ["", "9-7", "a", "1-", "-1"] {
            assert!(heights(bad).is_err(), "{bad}");
        }
    }
}
