//! `hawser down`

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use crate::exit::Result;
use crate::lang::Lang;
use crate::local::{HomeArgs, LocalNode, spawn};
use crate::output::Output;
use crate::progress::Progress;
use crate::quantity::counted;

/// Arguments of `down`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser down

The chain stays where it is; `hawser up` resumes it.")]
pub(crate) struct DownArgs {
    #[command(flatten)]
    home: HomeArgs,
}

/// Runs the command.
pub(crate) async fn run(args: &DownArgs, output: Output, lang: Lang) -> Result<()> {
    let home = args.home.home();
    let (nodes, unreadable) = home.readable_nodes()?;
    let running: Vec<_> = nodes
        .iter()
        .filter_map(|node| Some((node, node.pid()?)))
        .collect();
    for (_, pid) in &running {
        spawn::terminate(*pid);
    }
    let progress = Progress::steps(
        running.len() as u64,
        lang.pick("stopping nodes", "正在停止节点"),
    );
    let started = Instant::now();
    let mut killed = Vec::new();
    for (node, pid) in &running {
        progress.say(format!(
            "{} {}",
            lang.pick("stopping", "正在停止"),
            node.name()
        ));
        let left = spawn::STOP_LIMIT.saturating_sub(started.elapsed());
        if !spawn::wait_until_stopped(node, left).await {
            killed.push(node.name().to_owned());
            spawn::kill(*pid);
            spawn::wait_until_stopped(node, Duration::from_secs(5)).await;
        }
        progress.advance(1);
    }
    drop(progress);
    let names = |nodes: &[(&LocalNode, rustix::process::Pid)]| -> Vec<String> {
        nodes
            .iter()
            .map(|(node, _)| node.name().to_owned())
            .collect()
    };
    let value = json!({ "stopped": names(&running), "killed": killed });
    output.print(&value, |_| {
        let mut text = match (running.len(), lang) {
            (0, Lang::En) => "No node was running.".to_owned(),
            (0, Lang::Zh) => "没有正在运行的节点。".to_owned(),
            (n, Lang::En) => {
                let nodes = counted(n, "node");
                format!("Stopped {nodes}. `hawser up` resumes the chain.")
            }
            (n, Lang::Zh) => format!("已停止 {n} 个节点。`hawser up` 可恢复该链。"),
        };
        if !killed.is_empty() {
            let list = killed.join(", ");
            text.push_str(&match lang {
                Lang::En => format!(
                    "\nKilled after 30 s without an answer: {list}. Nothing confirmed is lost; the \
                     end of its log says what it was doing."
                ),
                Lang::Zh => format!(
                    "\n30 秒无响应而被强制结束：{list}。已确认的数据不会丢失；详情见其日志末尾。"
                ),
            });
        }
        text
    })?;
    unreadable.map_or(Ok(()), Err)
}
