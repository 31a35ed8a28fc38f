//! The networks under test. Whatever happens, dropping one ends its processes and its data.

use std::{
    fs,
    io::Read,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use hawser_crypto::Suite;
use hawser_primitives::ChainId;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    error::{BenchError, Result},
    proc,
    rpc::Client,
};

/// How long `up` and `down` may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);
/// How long a process may take to end after `down`.
const EXIT_LIMIT: Duration = Duration::from_secs(20);
/// How long anvil may take to answer.
const ANVIL_LIMIT: Duration = Duration::from_secs(20);
/// Most validators of a network on one machine.
pub(crate) const NODES_MAX: u16 = 100;
/// Gas limit of anvil's blocks: no limit in practice.
const ANVIL_GAS: &str = "100000000000";

/// Validators on this machine, a process each.
pub(crate) struct Hawser {
    nodes: u16,
    /// First port of the metrics; node i has this plus i.
    metrics: u16,
    binary: PathBuf,
    dir: TempDir,
    /// Where logs go when something fails.
    out: PathBuf,
    pub(crate) urls: Vec<String>,
    pub(crate) chain: ChainId,
    pub(crate) suite: Suite,
    /// From the call of `up` until it reported.
    pub(crate) up_time: Duration,
}

impl Hawser {
    /// The arguments of the command that starts a new network.
    fn up_arguments(home: &Path, suite: Suite, nodes: u16, port: u16) -> Vec<String> {
        let port = |step: u16| port.saturating_add(step.saturating_mul(nodes)).to_string();
        let home = home.display().to_string();
        [
            ("--home", home),
            ("--suite", suite.name().to_owned()),
            ("--nodes", nodes.to_string()),
            ("--rpc-port", port(0)),
            ("--p2p-port", port(1)),
            ("--metrics-port", port(2)),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .collect()
    }

    /// Starts a fresh network with its data under `out`.
    pub(crate) async fn start(binary: &Path, out: &Path, suite: Suite, nodes: u16) -> Result<Self> {
        let port = free_ports(nodes.saturating_mul(3))?;
        let mut network = Self {
            nodes,
            metrics: port.saturating_add(nodes.saturating_mul(2)),
            binary: binary.to_owned(),
            dir: work_dir(out)?,
            out: out.to_owned(),
            urls: (0..nodes)
                .map(|i| format!("http://127.0.0.1:{}", port + i))
                .collect(),
            chain: ChainId(0),
            suite,
            up_time: Duration::ZERO,
        };
        let arguments = Self::up_arguments(&network.home(), suite, nodes, port);
        let start = Instant::now();
        network.command("up", &arguments).await?;
        network.up_time = start.elapsed();
        let first = Client::new(network.url()?)?;
        network.chain = ChainId(first.quantity("eth_chainId", json!([])).await?);
        Ok(network)
    }

    /// Folder of the network, as `hawser up` lays it out.
    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join("net")
    }

    pub(crate) fn url(&self) -> Result<&str> {
        let first = self.urls.first().map(String::as_str);
        first.ok_or_else(|| BenchError::Target("the network has no nodes".to_owned()))
    }

    /// Starts a stopped network again, on the same ports.
    pub(crate) async fn resume(&self) -> Result<()> {
        let home = ["--home".to_owned(), self.home().display().to_string()];
        self.command("up", &home).await
    }

    /// Starts what has died. Under full load a node may take longer to catch up than `up` waits for.
    pub(crate) async fn restart(&self) -> Result<()> {
        let home = self.home().display().to_string();
        let arguments = ["--home", &home, "--wait", "2"].map(str::to_owned);
        match self.command("up", &arguments).await {
            Err(_) if self.pids().len() == usize::from(self.nodes) => Ok(()),
            other => other,
        }
    }

    /// Has a running node make a snapshot, the network's `n`th; gives its size in bytes. It stays until the
    /// run ends: removing it would be a load on the disk that no node causes.
    pub(crate) async fn snapshot(&self, node: u16, n: u64) -> Result<u64> {
        let config = self.home().join(format!("node{node}/node.toml"));
        let to = self.dir.path().join(format!("snapshot-{n}"));
        let arguments = ["create", "--config"].map(str::to_owned);
        let paths = [config.display().to_string(), "--to".to_owned()];
        let all = [&arguments[..], &paths, &[to.display().to_string()]].concat();
        self.command("snapshot", &all).await?;
        Ok(proc::disk_bytes(&to))
    }

    /// Stops it cleanly; the data stays.
    pub(crate) async fn stop(&self) -> Result<()> {
        let home = ["--home".to_owned(), self.home().display().to_string()];
        self.command("down", &home).await?;
        // `down` returns when a node has let go of its data; the process may take a moment more.
        let start = Instant::now();
        while !self.pids().is_empty() {
            if start.elapsed() > EXIT_LIMIT {
                let text = format!("{:?} still run after `down`", self.pids());
                return Err(BenchError::Target(text));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Bytes that the nodes' data folders take on the disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        (0..self.nodes)
            .map(|i| proc::disk_bytes(&self.home().join(format!("node{i}/data"))))
            .sum()
    }

    /// Number of validators.
    pub(crate) const fn nodes(&self) -> u16 {
        self.nodes
    }

    /// Where a node's metrics are.
    pub(crate) fn metrics_url(&self, node: u16) -> String {
        format!(
            "http://127.0.0.1:{}/metrics",
            self.metrics.saturating_add(node)
        )
    }

    /// The process of one node, if it runs.
    pub(crate) fn pid(&self, node: u16) -> Option<i32> {
        proc::pids_in(&self.home().join(format!("node{node}")))
            .first()
            .copied()
    }

    /// Sends a signal to one node's process.
    pub(crate) fn signal(&self, node: u16, signal: Signal) -> Result<()> {
        let pid = self.pid(node).and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| BenchError::Target(format!("node{node} does not run")))?;
        kill_process(pid, signal).map_err(|error| BenchError::Io {
            what: format!("cannot signal node{node}"),
            source: error.into(),
        })
    }

    /// The nodes' processes, whatever state they are in.
    fn pids(&self) -> Vec<i32> {
        proc::pids_in(self.dir.path())
    }

    /// The processes of all nodes; fails when one is missing, whose share would go unmeasured.
    pub(crate) fn running(&self) -> Result<Vec<i32>> {
        let pids = self.pids();
        if pids.len() == usize::from(self.nodes) {
            Ok(pids)
        } else {
            let text = format!(
                "{} processes run where {} nodes should",
                pids.len(),
                self.nodes
            );
            Err(BenchError::Target(text))
        }
    }

    async fn command(&self, what: &str, arguments: &[String]) -> Result<()> {
        let mut command = tokio::process::Command::new(&self.binary);
        // Settings of the caller's own networks have no business here.
        for (name, _) in std::env::vars_os() {
            if name
                .to_str()
                .is_some_and(|name| name.starts_with("HAWSER_"))
            {
                command.env_remove(name);
            }
        }
        command
            .arg(what)
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        // To a file: the nodes inherit the descriptor, and a pipe would never reach its end.
        let log = self.dir.path().join(format!("{what}.log"));
        let failed = || BenchError::io(format!("cannot write {}", log.display()));
        let file = fs::File::create(&log).map_err(failed())?;
        let copy = file.try_clone().map_err(failed())?;
        command.stdout(file).stderr(copy);
        let mut child = command.spawn().map_err(BenchError::io(format!(
            "cannot run {}",
            self.binary.display()
        )))?;
        let status = tokio::time::timeout(COMMAND_LIMIT, child.wait()).await;
        let output = || fs::read_to_string(&log).unwrap_or_default();
        match status {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(BenchError::Target(format!(
                "`hawser {what}` ended with {status}:\n{}",
                output()
            ))),
            Ok(Err(source)) => Err(BenchError::Io {
                what: format!("`hawser {what}`"),
                source,
            }),
            Err(_) => Err(BenchError::Target(format!(
                "`hawser {what}` did not end within {} s:\n{}",
                COMMAND_LIMIT.as_secs(),
                output()
            ))),
        }
    }

    /// Keeps the nodes' logs, after a failure, in `failed-logs` of the report's folder.
    pub(crate) fn keep_logs(&self) {
        let to = self.out.join("failed-logs");
        if fs::create_dir_all(&to).is_err() {
            return;
        }
        for i in 0..self.nodes {
            let from = self.home().join(format!("node{i}/hawser.log"));
            // The failure itself is reported; logs are a help that may be missing.
            let _ = fs::copy(from, to.join(format!("node{i}.log")));
        }
    }
}

impl Drop for Hawser {
    fn drop(&mut self) {
        // None is left after a clean stop. Killed and not asked: the data goes with them.
        kill_all(self.dir.path());
    }
}

/// Kills every process that works in a folder of this run, and waits until they are gone.
fn kill_all(dir: &Path) {
    for _ in 0..100 {
        let pids = proc::pids_in(dir);
        if pids.is_empty() {
            return;
        }
        for pid in pids.into_iter().filter_map(Pid::from_raw) {
            // It may have ended by itself meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A folder of this run within the report's folder, removed when it is dropped.
pub(crate) fn work_dir(out: &Path) -> Result<TempDir> {
    let absolute = fs::canonicalize(out).map_err(BenchError::io(out.display().to_string()))?;
    tempfile::Builder::new()
        .prefix(".running-")
        .tempdir_in(absolute)
        .map_err(BenchError::io(format!(
            "cannot make a folder in {}",
            out.display()
        )))
}

/// The first of `count` ports in a row that are free at this moment, below the range that the
/// system gives to outgoing connections.
pub(crate) fn free_ports(count: u16) -> Result<u16> {
    const FROM: u16 = 20_000;
    const TO: u16 = 32_000;
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let start =
        u16::try_from(std::process::id() % u32::from((TO - FROM) / count.max(1))).unwrap_or(0);
    (0..(TO - FROM) / count.max(1))
        .map(|i| FROM + (i + start) % ((TO - FROM) / count.max(1)) * count)
        .find(|base| (0..count).all(|i| free(base.saturating_add(i))))
        .ok_or_else(|| BenchError::Target(format!("no {count} free ports in a row")))
}

/// A running development node: one process, no consensus, state in memory only.
pub(crate) struct DevNode {
    child: Child,
    /// Its caches, which it would otherwise put into the user's home.
    _dir: TempDir,
    pub(crate) urls: Vec<String>,
}

impl DevNode {
    /// Starts `command`, which keeps its files in `dir` and listens on `port`, and waits until it answers; `silent` says
    /// that it does not within `limit`.
    pub(crate) async fn start(
        mut command: Command,
        dir: TempDir,
        port: u16,
        limit: Duration,
        silent: &str,
    ) -> Result<Self> {
        let program = Path::new(command.get_program()).display().to_string();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(BenchError::io(format!("cannot run {program}")))?;
        let url = format!("http://127.0.0.1:{port}");
        let mut node = Self {
            child,
            _dir: dir,
            urls: vec![url.clone()],
        };
        let client = Client::new(&url)?;
        let start = Instant::now();
        while client.height().await.is_err() {
            let ended = node.child.try_wait().ok().flatten();
            if ended.is_some() || start.elapsed() > limit {
                return Err(BenchError::Target(silent.to_owned()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(node)
    }

    pub(crate) fn pids(&self) -> Vec<i32> {
        i32::try_from(self.child.id()).into_iter().collect()
    }
}

impl Drop for DevNode {
    fn drop(&mut self) {
        // It keeps nothing that would need a clean end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Foundry's development node.
pub(crate) struct Anvil;

impl Anvil {
    /// The options under which it is compared.
    pub(crate) fn arguments(chain: ChainId, port: u16, cache: &Path) -> Vec<String> {
        let (chain, port) = (chain.to_string(), port.to_string());
        let cache = cache.display().to_string();
        [
            "--block-time",
            "1",
            "--gas-price",
            "0",
            "--block-base-fee-per-gas",
            "0",
            "--disable-min-priority-fee",
            "--gas-limit",
            ANVIL_GAS,
            "--prune-history",
            "--no-request-size-limit",
            "--order",
            "fifo",
            "--accounts",
            "1",
            "--quiet",
            "--chain-id",
            &chain,
            "--port",
            &port,
            "--cache-path",
            &cache,
        ]
        .map(str::to_owned)
        .into()
    }

    pub(crate) async fn start(binary: &Path, out: &Path, chain: ChainId) -> Result<DevNode> {
        let (port, dir) = (free_ports(1)?, work_dir(out)?);
        let mut command = Command::new(binary);
        command.args(Self::arguments(chain, port, dir.path()));
        DevNode::start(command, dir, port, ANVIL_LIMIT, "anvil does not answer").await
    }
}

/// Finds the program of anvil as `--anvil` asks for it; `None` for measuring without it.
pub(crate) fn find_anvil(choice: &str, binary: &Path) -> Result<Option<PathBuf>> {
    match choice {
        "none" => Ok(None),
        "auto" => Ok(auto_anvil(binary)),
        path => {
            let path = PathBuf::from(path);
            if is_script(&path) {
                // Ending it would leave the program behind, and its processor time unseen.
                let text = format!(
                    "{}: a script that starts the program; name the program itself, or leave it to --anvil auto",
                    path.display()
                );
                Err(BenchError::Target(text))
            } else if path.is_file() {
                Ok(Some(path))
            } else {
                let text = format!(
                    "{}: there is no such program; --anvil auto looks for it",
                    path.display()
                );
                Err(BenchError::Target(text))
            }
        }
    }
}

/// Whether a file begins as scripts do.
fn is_script(path: &Path) -> bool {
    let mut begin = [0; 2];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut begin));
    read.is_ok() && begin == *b"#!"
}

/// The native program of the npm package in `tests/clients`, here or above, or near the binary;
/// else what PATH has.
fn auto_anvil(binary: &Path) -> Option<PathBuf> {
    let here = std::env::current_dir().unwrap_or_default();
    let roots = here.ancestors().chain(binary.ancestors().skip(1));
    let packages = roots
        .map(|root| root.join("tests/clients/node_modules/@foundry-rs"))
        .filter_map(|dir| fs::read_dir(dir).ok())
        .flat_map(|entries| {
            entries
                .flatten()
                .map(|entry| entry.path().join("bin/anvil"))
        });
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<_> = std::env::split_paths(&on_path)
        .map(|dir| dir.join("anvil"))
        .collect();
    packages.chain(on_path).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launcher_in_place_of_anvil_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("anvil");
        let find = || find_anvil(&path.display().to_string(), Path::new("hawser"));
        assert!(find().is_err());
        fs::write(&path, "#!/usr/bin/env node\n").unwrap();
        assert!(find().unwrap_err().to_string().contains("--anvil auto"));
        fs::write(&path, [0x7f, b'E', b'L', b'F']).unwrap();
        assert_eq!(find().unwrap(), Some(path.clone()));
    }

    #[test]
    fn ports_in_a_row_are_free() {
        let base = free_ports(30).unwrap();
        assert!((20_000..32_000).contains(&base));
        let held = TcpListener::bind(("127.0.0.1", base + 29)).unwrap();
        let other = free_ports(30).unwrap();
        assert!(other >= base + 30 || other + 30 <= base, "{base} {other}");
        drop(held);
    }

    #[test]
    fn no_program_under_a_given_path_is_an_error_and_none_is_none() {
        assert!(find_anvil("/no/such/anvil", Path::new("/x")).is_err());
        assert!(matches!(find_anvil("none", Path::new("/x")), Ok(None)));
    }

    #[test]
    fn what_works_in_a_folder_is_killed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("script");
        fs::write(&file, "sleep 60\n").unwrap();
        let mut inside = Command::new("sh").arg(&file).spawn().unwrap();
        let mut outside = Command::new("sleep").arg("60").spawn().unwrap();
        while proc::pids_in(dir.path()).is_empty() {
            std::thread::yield_now();
        }
        // Reaped by another thread, as init would do with an orphan.
        let reaper = std::thread::spawn(move || inside.wait().unwrap());
        kill_all(dir.path());
        assert!(!reaper.join().unwrap().success());
        assert!(proc::pids_in(dir.path()).is_empty());
        assert!(outside.try_wait().unwrap().is_none());
        outside.kill().unwrap();
        outside.wait().unwrap();
    }
}
