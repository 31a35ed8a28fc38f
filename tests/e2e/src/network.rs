//! A local network as `hawser up` makes it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep};

use crate::process::{binary, free_ports, hawser, is_alive, kill_hard, read_pid};

/// Held by the network that runs: four nodes are enough for one machine.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// How long a network may take to come up, and a node to catch up.
const START_LIMIT: Duration = Duration::from_secs(120);
/// One HTTP request.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// The cryptographic suite of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// International algorithms.
    Intl,
    /// Chinese national algorithms.
    Sm,
}

impl Suite {
    /// As the command line spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Intl => "intl",
            Self::Sm => "sm",
        }
    }
}

/// What a network is started with.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The suite of its chain.
    pub suite: Suite,
    /// Number of validators.
    pub nodes: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            suite: Suite::Intl,
            nodes: 4,
        }
    }
}

/// A running network. Dropping it kills every node.
#[derive(Debug)]
pub struct Network {
    home: PathBuf,
    nodes: u16,
    rpc_port: u16,
    client: reqwest::Client,
    started: Vec<Child>,
    _alone: MutexGuard<'static, ()>,
}

impl Network {
    /// Runs `hawser up` in `home` and waits until every node answers and the chain has a block.
    ///
    /// # Errors
    /// When the binary is missing or fails, or the network is not up within two minutes; the message ends with what
    /// the command has printed.
    pub async fn start(home: &Path, options: Options) -> Result<Self> {
        let alone = ONE_AT_A_TIME.lock().await;
        let program = binary()?;
        let rpc_port = free_ports(options.nodes)?;
        let p2p_port = free_ports(options.nodes)?;
        fs::create_dir_all(home)?;
        let log = home.join("up.log");
        let out = File::create(&log)?;
        let child = Command::new(program)
            .arg("up")
            .arg("--home")
            .arg(home)
            .args([
                "--suite",
                options.suite.name(),
                "--nodes",
                &options.nodes.to_string(),
            ])
            .args([
                "--rpc-port",
                &rpc_port.to_string(),
                "--p2p-port",
                &p2p_port.to_string(),
            ])
            .stdin(Stdio::null())
            .stderr(out.try_clone()?)
            .stdout(out)
            .spawn()?;
        let mut network = Self {
            home: home.to_owned(),
            nodes: options.nodes,
            rpc_port,
            client: reqwest::Client::builder()
                .timeout(REQUEST_LIMIT)
                .no_proxy()
                .build()?,
            started: vec![child],
            _alone: alone,
        };
        network.wait_until_up().await.with_context(|| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            format!("hawser up printed:\n{said}")
        })?;
        Ok(network)
    }

    async fn wait_until_up(&mut self) -> Result<()> {
        let end = Instant::now() + START_LIMIT;
        for node in 0..self.nodes {
            while self.ask(node, "eth_blockNumber", &json!([])).await.is_err() {
                // `up` may stay or return; an end with an error is final in both cases.
                if let Some(status) = self
                    .started
                    .first_mut()
                    .and_then(|child| child.try_wait().ok().flatten())
                {
                    ensure!(status.success(), "hawser up ended with {status}");
                    let pid = self.node_dir(node).join("hawser.pid");
                    ensure!(
                        pid.is_file(),
                        "hawser up returned, but there is no {}",
                        pid.display()
                    );
                }
                ensure!(
                    Instant::now() < end,
                    "node {node} does not answer after {START_LIMIT:?}"
                );
                sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    /// The folder that `--home` named.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The number of nodes.
    #[must_use]
    pub fn nodes(&self) -> u16 {
        self.nodes
    }

    /// The folder of node `node`, counted from 0.
    #[must_use]
    pub fn node_dir(&self, node: u16) -> PathBuf {
        self.home.join(format!("node{node}"))
    }

    /// The port of node `node` for HTTP and WebSocket.
    #[must_use]
    pub fn port(&self, node: u16) -> u16 {
        self.rpc_port + node
    }

    /// The HTTP address of node `node`.
    #[must_use]
    pub fn http(&self, node: u16) -> String {
        format!("http://127.0.0.1:{}", self.port(node))
    }

    /// The WebSocket address of node `node`.
    #[must_use]
    pub fn ws(&self, node: u16) -> String {
        format!("ws://127.0.0.1:{}", self.port(node))
    }

    /// One JSON-RPC request to one node, tried once; returns the result.
    ///
    /// # Errors
    /// When the node does not answer, or answers with an error.
    pub async fn ask(&self, node: u16, method: &str, params: &Value) -> Result<Value> {
        ask(&self.client, &self.http(node), method, params).await
    }

    /// The same, tried again while the node cannot be reached, for at most two minutes.
    ///
    /// # Errors
    /// When the node answers with an error, or not at all.
    pub async fn rpc(&self, node: u16, method: &str, params: Value) -> Result<Value> {
        let end = Instant::now() + START_LIMIT;
        loop {
            match self.ask(node, method, &params).await {
                Err(error)
                    if error.downcast_ref::<reqwest::Error>().is_some() && Instant::now() < end =>
                {
                    sleep(Duration::from_millis(100)).await;
                }
                done => return done,
            }
        }
    }

    /// The height that node `node` has.
    ///
    /// # Errors
    /// As [`Network::rpc`], or when the answer is no quantity.
    pub async fn height(&self, node: u16) -> Result<u64> {
        quantity(&self.rpc(node, "eth_blockNumber", json!([])).await?)
    }

    /// The chain's id for Ethereum clients.
    ///
    /// # Errors
    /// As [`Network::rpc`], or when the answer is no quantity.
    pub async fn chain_id(&self) -> Result<u64> {
        quantity(&self.rpc(0, "eth_chainId", json!([])).await?)
    }

    /// `kill -9` for node `node`.
    ///
    /// # Errors
    /// When it has left no process id, or does not die.
    pub async fn kill(&self, node: u16) -> Result<()> {
        let pid = read_pid(&self.node_dir(node).join("hawser.pid"))?;
        ensure!(is_alive(pid), "node {node} was not running");
        kill_hard(pid).await
    }

    /// Tells node `node` to stop, as an operator does, and waits until it has.
    ///
    /// # Errors
    /// When it has left no process id, or still runs half a minute later.
    pub async fn stop(&self, node: u16) -> Result<()> {
        let pid = read_pid(&self.node_dir(node).join("hawser.pid"))?;
        ensure!(is_alive(pid), "node {node} was not running");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let end = Instant::now() + Duration::from_secs(30);
        while is_alive(pid) {
            ensure!(Instant::now() < end, "node {node} does not stop");
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Starts node `node` again with its own configuration and waits until it answers.
    ///
    /// # Errors
    /// When the process ends at once, or does not answer within two minutes.
    pub async fn restart(&mut self, node: u16) -> Result<()> {
        self.launch(node)?;
        self.wait_for(node).await
    }

    /// Starts node `node` without waiting for it.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn launch(&mut self, node: u16) -> Result<()> {
        let folder = self.node_dir(node);
        let out = File::options()
            .create(true)
            .append(true)
            .open(folder.join("restart.log"))?;
        let child = Command::new(binary()?)
            .arg("start")
            .arg("--config")
            .arg(folder.join("node.toml"))
            .stdin(Stdio::null())
            .stderr(out.try_clone()?)
            .stdout(out)
            .spawn()?;
        self.started.push(child);
        Ok(())
    }

    /// Waits until node `node` answers.
    ///
    /// # Errors
    /// When it does not within two minutes; the message ends with what it has printed.
    pub async fn wait_for(&self, node: u16) -> Result<()> {
        let end = Instant::now() + START_LIMIT;
        while self.ask(node, "eth_blockNumber", &json!([])).await.is_err() {
            if Instant::now() > end {
                let said =
                    fs::read_to_string(self.node_dir(node).join("restart.log")).unwrap_or_default();
                bail!("node {node} does not answer after {START_LIMIT:?}; it printed:\n{said}");
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Waits until node `node` has reached `height`.
    ///
    /// # Errors
    /// When it has not within two minutes.
    pub async fn wait_for_height(&self, node: u16, height: u64) -> Result<()> {
        let end = Instant::now() + START_LIMIT;
        loop {
            let now = self.height(node).await?;
            if now >= height {
                return Ok(());
            }
            ensure!(
                Instant::now() < end,
                "node {node} is at height {now} and not at {height} after {START_LIMIT:?}"
            );
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// `hawser down`; then nothing may be left running.
    ///
    /// # Errors
    /// When the command fails, or a node still runs ten seconds after it.
    pub async fn down(&self) -> Result<()> {
        let home = self.home.to_string_lossy().into_owned();
        let run = hawser(&["down", "--home", &home], Duration::from_secs(60)).await?;
        ensure!(run.code == Some(0), "hawser down: {run:?}");
        let end = Instant::now() + Duration::from_secs(10);
        for node in 0..self.nodes {
            while read_pid(&self.node_dir(node).join("hawser.pid")).is_ok_and(is_alive) {
                ensure!(
                    Instant::now() < end,
                    "node {node} still runs after hawser down"
                );
                sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for node in 0..self.nodes {
            if let Ok(pid) = read_pid(&self.node_dir(node).join("hawser.pid"))
                && is_alive(pid)
            {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        for child in &mut self.started {
            let _ = child.start_kill();
        }
    }
}

/// One JSON-RPC request to an address, tried once; returns the result.
///
/// # Errors
/// When the node does not answer (a [`reqwest::Error`]), or answers with an error (its text has code and message).
pub async fn ask(
    client: &reqwest::Client,
    url: &str,
    method: &str,
    params: &Value,
) -> Result<Value> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let mut answer: Value = client.post(url).json(&body).send().await?.json().await?;
    if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
        return Err(anyhow!("{method}: {error}"));
    }
    answer
        .get_mut("result")
        .map(Value::take)
        .with_context(|| format!("{method}: neither result nor error"))
}

/// A number as Ethereum writes it, `0x…`.
///
/// # Errors
/// When the value is anything else.
pub fn quantity(value: &Value) -> Result<u64> {
    let digits = value
        .as_str()
        .and_then(|text| text.strip_prefix("0x"))
        .with_context(|| format!("{value}"))?;
    Ok(u64::from_str_radix(digits, 16)?)
}
