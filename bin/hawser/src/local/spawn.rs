//! Starts and stops the processes of a local network.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hawser_node::config::KEYS;
use rustix::process::{Pid, Signal, kill_process};

use super::{LocalNode, pidfile, ports};
use crate::exit::{Code, OrFail, Result, fail};
use crate::{files, passphrase};

/// How long a node may take to stop before it is killed.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A node that was started.
pub(crate) struct Started {
    pub(crate) child: Child,
    /// Bytes of its log from before.
    log_bytes: u64,
}

/// Starts a node in a session of its own, its output in its log.
pub(crate) fn start(node: &LocalNode) -> Result<Started> {
    let log = node.log_path();
    let out = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o644)
        .open(&log)
        .context(Code::Failed, format!("cannot write {}", log.display()))?;
    let log_bytes = out.metadata().map_or(0, |metadata| metadata.len());
    let err = out
        .try_clone()
        .context(Code::Failed, "cannot share the log")?;
    let program = std::env::current_exe().context(Code::Failed, "cannot find this program")?;
    let mut command = Command::new(program);
    command
        .arg("start")
        .arg("--detached")
        .arg("--config")
        .arg(node.config_path())
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err);
    // What is one node's own comes from its file alone: a variable would give it to all of them.
    for key in KEYS {
        let own = [
            "node.",
            "network.listen",
            "network.peers",
            "chains",
            "rpc.http",
            "metrics.",
        ];
        if own.iter().any(|prefix| key.path.starts_with(prefix)) {
            command.env_remove(key.variable());
        }
    }
    command.env_remove(passphrase::VARIABLE);
    let child = command
        .spawn()
        .context(Code::Failed, format!("cannot start {}", node.name()))?;
    Ok(Started { child, log_bytes })
}

/// Refuses to start a node whose ports are taken, and says by whom and what to do.
pub(crate) fn check_ports(node: &LocalNode) -> Result<()> {
    for (key, address) in node.listens() {
        let Some(trouble) = ports::trouble(address) else {
            continue;
        };
        let flag = match key {
            "network.listen" => "--p2p-port",
            "rpc.http" => "--rpc-port",
            _ => "--metrics-port",
        };
        return fail(
            Code::Failed,
            format!(
                "{} cannot listen on {address}, which {key} names: {trouble}. Stop what \
                 holds it, or name another in node.toml or with {flag}",
                node.name()
            ),
        );
    }
    Ok(())
}

/// Why a node ended, with the end of what it has logged since it was started.
pub(crate) fn obituary(node: &LocalNode, started: &Started, how: &str) -> String {
    let log = node.log_path();
    let lines: Vec<_> = files::last_lines(&log, started.log_bytes, 12)
        .lines()
        .map(|line| format!("  {line}"))
        .collect();
    format!(
        "{} ended: {how}. The end of {}:\n{}",
        node.name(),
        log.display(),
        lines.join("\n")
    )
}

/// Asks a process to stop.
pub(crate) fn terminate(pid: Pid) -> bool {
    kill_process(pid, Signal::TERM).is_ok()
}

/// Kills a process.
pub(crate) fn kill(pid: Pid) -> bool {
    kill_process(pid, Signal::KILL).is_ok()
}

/// Waits until nobody holds a node's pid file; whether it happened in time.
pub(crate) async fn wait_until_stopped(pid_file: &Path, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    while pidfile::holder(pid_file).is_some() {
        if Instant::now() > end {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    true
}
