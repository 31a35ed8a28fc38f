//! `hawser status`

use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::exit::{Code, Result, fail};
use crate::lang::Lang;
use crate::local::HomeArgs;
use crate::local::survey::{self, NodeReport, State};
use crate::output::{self, Output};

/// Arguments of `status`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser status
  hawser status --output json

Ends with 0 when every node answers, with 4 otherwise, with 3 when the configuration of one cannot be read;
the others are shown all the same.")]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    home: HomeArgs,
}

/// Runs the command.
pub(crate) async fn run(args: &StatusArgs, output: Output, lang: Lang) -> Result<()> {
    let home = args.home.home();
    let (nodes, unreadable) = home.readable_nodes()?;
    let reports = survey::ask_all(&nodes, Duration::from_secs(3)).await;
    let value = json!({
        "home": home.path(),
        "nodes": reports,
        "unreadable": unreadable.as_ref().map(|failure| &failure.message),
    });
    output.print(&value, |_| table(&reports, lang))?;
    if let Some(unreadable) = unreadable {
        return Err(unreadable);
    }
    let missing: Vec<_> = reports
        .iter()
        .filter(|report| !report.answered())
        .map(|report| report.name.as_str())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(", ");
    fail(
        Code::Unreachable,
        match lang {
            Lang::En => format!(
                "no answer from {names}; `hawser up` starts what is stopped, `hawser doctor` says more"
            ),
            Lang::Zh => {
                format!("{names} 无应答；`hawser up` 启动已停止的节点，`hawser doctor` 给出详情")
            }
        },
    )
}

/// The name of a state.
pub(crate) const fn state_name(state: State, lang: Lang) -> &'static str {
    match (state, lang) {
        (State::Ready, Lang::En) => "ready",
        (State::Ready, Lang::Zh) => "就绪",
        (State::Waiting, Lang::En) => "waiting",
        (State::Waiting, Lang::Zh) => "等待",
        (State::Silent, Lang::En) => "no answer",
        (State::Silent, Lang::Zh) => "无应答",
        (State::Stopped, Lang::En) => "stopped",
        (State::Stopped, Lang::Zh) => "已停止",
    }
}

fn table(reports: &[NodeReport], lang: Lang) -> String {
    let number = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
    let row = |report: &NodeReport| {
        vec![
            report.name.clone(),
            report.pid.map_or_else(String::new, |pid| pid.to_string()),
            state_name(report.state, lang).to_owned(),
            number(report.height),
            number(report.executed),
            report.peers.map_or_else(String::new, |peers| {
                format!("{peers}/{}", report.peers_configured)
            }),
            number(report.lag),
            number(
                report
                    .pending
                    .map(|pending| pending.saturating_add(report.queued.unwrap_or(0))),
            ),
            number(report.first_height),
            report.version.clone().unwrap_or_default(),
            report.cipher_suites.join(", "),
            report.rpc.clone().unwrap_or_default(),
        ]
    };
    let head = match lang {
        Lang::En => [
            "node", "pid", "state", "height", "executed", "peers", "lag", "pool", "first",
            "version", "links", "rpc",
        ],
        Lang::Zh => [
            "节点",
            "进程",
            "状态",
            "高度",
            "已执行",
            "对等节点",
            "落后",
            "交易池",
            "首个区块",
            "版本",
            "链路套件",
            "接口",
        ],
    };
    let mut text = output::table(&head, &reports.iter().map(row).collect::<Vec<_>>());
    for report in reports {
        for reason in &report.waiting {
            text.push_str(&format!("\n{}: {reason}", report.name));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_what_there_is_and_leaves_the_rest_empty() {
        let mut ready = survey::blank("node0");
        ready.state = State::Ready;
        (ready.height, ready.executed, ready.lag) = (Some(9), Some(8), Some(0));
        (ready.peers, ready.pending, ready.queued) = (Some(2), Some(1), Some(1));
        let mut waiting = survey::blank("node1");
        waiting.waiting = vec!["links: alone".to_owned()];
        let text = table(&[ready, waiting], Lang::En);
        assert!(
            text.contains("node0       ready    9       8         2/3    0    2"),
            "{text}"
        );
        assert!(text.ends_with("\nnode1: links: alone"), "{text}");
        assert!(table(&[], Lang::Zh).starts_with("节点"));
    }
}
