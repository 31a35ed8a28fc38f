//! Finding the binary, running it to its end, free ports, and processes known by their id.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

/// The root of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The binary under test: `HAWSER_BIN`, else `release/hawser` in the build folder.
///
/// # Errors
/// When it is not there: it has to be built first, and a test without it proves nothing.
pub fn binary() -> Result<PathBuf> {
    let path = env::var_os("HAWSER_BIN").map_or_else(
        || {
            let built = env::var_os("CARGO_TARGET_DIR")
                .map_or_else(|| repository().join("target"), PathBuf::from);
            built.join("release/hawser")
        },
        PathBuf::from,
    );
    ensure!(
        path.is_file(),
        "{} is missing: run `make build` first",
        path.display()
    );
    Ok(path)
}

/// How a run of the binary ended.
#[derive(Debug)]
pub struct Run {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Run {
    /// Both outputs, for searching and for messages.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }
}

/// Runs `hawser ARGUMENTS` to its end.
///
/// # Errors
/// When the binary is missing, or has not ended within `limit`: it is killed then.
pub async fn hawser<A: AsRef<OsStr>>(arguments: &[A], limit: Duration) -> Result<Run> {
    let mut command = Command::new(binary()?);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let shown: Vec<_> = arguments
        .iter()
        .map(|argument| argument.as_ref().to_string_lossy().into_owned())
        .collect();
    let output = timeout(limit, command.output())
        .await
        .with_context(|| format!("hawser {} has not ended within {limit:?}", shown.join(" ")))??;
    Ok(Run {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// The first of `count` neighbouring ports that were all free a moment ago. They lie below those that systems give to
/// outgoing connections (Linux: from 32,768), so that no connection of a test takes one before its node does, and no row
/// is given out twice by one process.
///
/// # Errors
/// When no such row is found.
pub fn free_ports(count: u16) -> Result<u16> {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    const FROM: u32 = 10_000;
    const ROWS: u32 = 200;
    const ROW: u32 = 50;
    ensure!(u32::from(count) <= ROW, "at most {ROW} ports");
    // Test programs that run at the same time begin at different rows.
    let start = std::process::id().wrapping_mul(37);
    for _ in 0..ROWS {
        let given = GIVEN.fetch_add(1, Ordering::Relaxed);
        let base = u16::try_from(FROM + start.wrapping_add(given) % ROWS * ROW)?;
        if (base..base + count).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return Ok(base);
        }
    }
    bail!("no {count} neighbouring ports are free")
}

/// The process id that a node has written into its folder.
///
/// # Errors
/// When there is no such file, or no process id in it.
pub fn read_pid(file: &Path) -> Result<Pid> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let id: i32 = text
        .trim()
        .parse()
        .with_context(|| format!("{}: {text:?}", file.display()))?;
    Pid::from_raw(id)
        .filter(|_| id > 1)
        .with_context(|| format!("{id} is no process id of a node"))
}

/// True while the process can still act. A zombie, which only waits for its parent, cannot.
#[must_use]
pub fn is_alive(pid: Pid) -> bool {
    if test_kill_process(pid).is_err() {
        return false;
    }
    match fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())) {
        Ok(stat) => !stat
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('Z')),
        Err(_) => !Path::new("/proc/self").exists(),
    }
}

/// `kill -9`, and waits until the process is gone.
///
/// # Errors
/// When it is still there after twenty seconds.
pub async fn kill_hard(pid: Pid) -> Result<()> {
    // It may have ended on its own in this moment, which is as good.
    let _ = kill_process(pid, Signal::KILL);
    let end = Instant::now() + Duration::from_secs(20);
    while is_alive(pid) {
        ensure!(
            Instant::now() < end,
            "process {} survives kill -9",
            pid.as_raw_nonzero()
        );
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
