//! `hawser down`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use rustix::process::Pid;
use serde_json::json;

use crate::exit::Result;
use crate::lang::Lang;
use crate::local::{HomeArgs, UnreadableNode, pidfile, spawn};
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

/// A node that runs.
struct Running {
    name: String,
    pid_file: PathBuf,
    pid: Pid,
}

impl Running {
    /// The one that holds a pid file.
    fn find(name: &str, pid_file: PathBuf) -> Option<Self> {
        let pid = pidfile::holder(&pid_file)?;
        Some(Self {
            name: name.to_owned(),
            pid_file,
            pid,
        })
    }
}

/// Runs the command.
pub(crate) async fn run(args: &DownArgs, output: Output, lang: Lang) -> Result<()> {
    let home = args.home.home();
    let (nodes, unreadable) = home.all_nodes()?;
    let mut running: Vec<_> = nodes
        .iter()
        .filter_map(|node| Running::find(node.name(), node.config.node.pid_file.clone()?))
        .collect();
    let mut unknown = Vec::new();
    for node in unreadable {
        // It runs with the configuration of before, and its pid file is enough to stop it.
        match Running::find(&node.name(), node.pid_file()) {
            Some(found) => {
                running.push(found);
                eprintln!("{}: {}", lang.pick("warning", "警告"), node.problem);
            }
            None => unknown.push(node),
        }
    }
    for node in &running {
        spawn::terminate(node.pid);
    }
    let progress = Progress::steps(
        running.len() as u64,
        lang.pick("stopping nodes", "正在停止节点"),
    );
    let started = Instant::now();
    let mut killed = Vec::new();
    for node in &running {
        progress.say(format!(
            "{} {}",
            lang.pick("stopping", "正在停止"),
            node.name
        ));
        let left = spawn::STOP_LIMIT.saturating_sub(started.elapsed());
        if !spawn::wait_until_stopped(&node.pid_file, left).await {
            killed.push(node.name.clone());
            spawn::kill(node.pid);
            spawn::wait_until_stopped(&node.pid_file, Duration::from_secs(5)).await;
        }
        progress.advance(1);
    }
    drop(progress);
    let stopped: Vec<_> = running.iter().map(|node| node.name.as_str()).collect();
    let value = json!({ "stopped": stopped, "killed": killed });
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
    UnreadableNode::failure(&unknown).map_or(Ok(()), Err)
}
