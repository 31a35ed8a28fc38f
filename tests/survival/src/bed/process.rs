//! The processes of a network, and what they answer.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use hawser_e2e::{ask, binary, is_alive, kill_hard, quantity};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::{Bed, METRICS, PEERS, RPC};
use crate::run::load_per_processor;

/// How long a node may take to answer after its start.
const START_LIMIT: Duration = Duration::from_secs(60);

impl Bed {
    /// Variables for the processes of a node from its next start on.
    pub fn set_environment(&mut self, node: u16, variables: &[(&str, &str)]) {
        if let Some(node) = self.nodes.get_mut(usize::from(node)) {
            node.environment = variables
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect();
        }
    }

    /// Starts the validators, each once the one before it answers.
    ///
    /// # Errors
    /// When one does not.
    pub async fn start(&mut self) -> Result<()> {
        // One after the other: each opens its keys first, which is slow on purpose, and seven at a time on a busy machine
        // take longer than any of them may.
        for node in 0..self.plan.validators {
            self.restart(node).await?;
        }
        self.chain_id = quantity(&self.rpc(0, "eth_chainId", json!([])).await?)?;
        Ok(())
    }

    /// Starts a node's process without waiting for it.
    ///
    /// # Errors
    /// When it runs already, or cannot be run.
    pub fn launch(&mut self, node: u16) -> Result<()> {
        ensure!(!self.runs(node), "node {node} runs already");
        let folder = self.folder(node);
        let out = File::options()
            .create(true)
            .append(true)
            .open(folder.join("log"))?;
        let mut command = match &self.spaces {
            Some(spaces) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", &spaces.name(node)]);
                command.args(["setpriv", "--pdeathsig", "KILL"]);
                command.arg(self.program(node)?);
                command
            }
            None => Command::new(self.program(node)?),
        };
        command
            .arg("start")
            .arg("--config")
            .arg(folder.join("node.toml"))
            .arg("--passphrase-file")
            .arg(self.passphrase_file())
            .args(["--rpc-http", &format!("{}:{RPC}", self.client_host(node))])
            .args([
                "--metrics-listen",
                &format!("{}:{METRICS}", self.client_host(node)),
            ])
            .args([
                "--network-listen",
                &format!("{}:{PEERS}", self.peer_host(node)),
            ])
            .stdin(Stdio::null())
            .stderr(out.try_clone()?)
            .stdout(out)
            .kill_on_drop(true);
        let Some(place) = self.nodes.get_mut(usize::from(node)) else {
            bail!("there is no place {node}");
        };
        command.envs(place.environment.iter().cloned());
        place.child = Some(command.spawn().context("cannot run the node")?);
        Ok(())
    }

    /// The program that a node is started with.
    fn program(&self, node: u16) -> Result<PathBuf> {
        let own = self.nodes.get(usize::from(node));
        match own.and_then(|node| node.program.clone()) {
            Some(program) => Ok(program),
            None => binary(),
        }
    }

    /// Has a node run another program from its next start on; the one under test without any.
    pub fn set_program(&mut self, node: u16, program: Option<PathBuf>) {
        if let Some(node) = self.nodes.get_mut(usize::from(node)) {
            node.program = program;
        }
    }

    /// The process of a node.
    #[must_use]
    pub fn pid(&self, node: u16) -> Option<Pid> {
        let child = self.nodes.get(usize::from(node))?.child.as_ref()?;
        let id = i32::try_from(child.id()?).ok()?;
        Pid::from_raw(id)
    }

    /// Whether a node's process lives.
    #[must_use]
    pub fn runs(&self, node: u16) -> bool {
        self.pid(node).is_some_and(is_alive)
    }

    /// Sends a signal to a node.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal(&self, node: u16, signal: Signal) -> Result<()> {
        let pid = self
            .pid(node)
            .with_context(|| format!("node {node} does not run"))?;
        kill_process(pid, signal).with_context(|| format!("cannot signal node {node}"))
    }

    /// `kill -9`, and waits until the process is gone.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&mut self, node: u16) -> Result<()> {
        let pid = self
            .pid(node)
            .with_context(|| format!("node {node} does not run"))?;
        kill_hard(pid).await?;
        self.reap(node).await;
        Ok(())
    }

    /// Stops a node as its operator would; its exit code.
    ///
    /// # Errors
    /// When it does not end within thirty seconds.
    pub async fn stop(&mut self, node: u16) -> Result<Option<i32>> {
        self.signal(node, Signal::TERM)?;
        self.ended(node, Duration::from_secs(30)).await
    }

    /// Waits until a node has ended by itself; its exit code.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub async fn ended(&mut self, node: u16, limit: Duration) -> Result<Option<i32>> {
        let Some(child) = self
            .nodes
            .get_mut(usize::from(node))
            .and_then(|node| node.child.as_mut())
        else {
            return Ok(None);
        };
        let status = timeout(limit, child.wait())
            .await
            .map_err(|_| anyhow!("node {node} still runs after {limit:?}"))??;
        self.reap(node).await;
        Ok(status.code())
    }

    async fn reap(&mut self, node: u16) {
        if let Some(node) = self.nodes.get_mut(usize::from(node))
            && let Some(mut child) = node.child.take()
        {
            let _ = child.wait().await;
        }
    }

    /// Starts a node and waits until it answers; how long that took.
    ///
    /// # Errors
    /// When it does not.
    pub async fn restart(&mut self, node: u16) -> Result<Duration> {
        let begin = Instant::now();
        self.launch(node)?;
        self.wait_for(node).await?;
        Ok(begin.elapsed())
    }

    /// Waits until a node answers.
    ///
    /// # Errors
    /// When it ends, or does not answer in time; the message ends with what it printed last.
    pub async fn wait_for(&self, node: u16) -> Result<()> {
        // The load is that of the last minute, and grows while others start.
        let (begin, mut limit) = (Instant::now(), START_LIMIT);
        while self.ask(node, "eth_blockNumber", json!([])).await.is_err() {
            limit = limit.max(START_LIMIT.mul_f64(load_per_processor()));
            ensure!(
                self.runs(node) && begin.elapsed() < limit,
                "node {node} does not answer; it printed:\n{}",
                self.printed(node, 30)
            );
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// The last lines that a node has printed.
    #[must_use]
    pub fn printed(&self, node: u16, lines: usize) -> String {
        let text = fs::read(self.folder(node).join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<_> = text.lines().collect();
        let from = all.len().saturating_sub(lines);
        all.get(from..).unwrap_or_default().join("\n")
    }

    /// One request to one node, tried once.
    ///
    /// # Errors
    /// When it does not answer, or answers with an error.
    pub async fn ask(&self, node: u16, method: &str, params: Value) -> Result<Value> {
        ask(&self.client, &self.url(node), method, &params).await
    }

    /// The same, tried again for ten seconds.
    ///
    /// # Errors
    /// The last error.
    pub async fn rpc(&self, node: u16, method: &str, params: Value) -> Result<Value> {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            match self.ask(node, method, params.clone()).await {
                Err(_) if Instant::now() < end => sleep(Duration::from_millis(50)).await,
                done => return done,
            }
        }
    }

    /// The height of a node; none while it does not answer.
    pub async fn height(&self, node: u16) -> Option<u64> {
        let answer = self.ask(node, "eth_blockNumber", json!([])).await.ok()?;
        quantity(&answer).ok()
    }

    /// The greatest height among the nodes that answer.
    pub async fn top(&self) -> u64 {
        let mut top = 0;
        for node in (0..self.slots()).filter(|node| self.runs(*node)) {
            top = top.max(self.height(node).await.unwrap_or(0));
        }
        top
    }

    /// Waits until a node has reached a height.
    ///
    /// # Errors
    /// When it has not within `limit`.
    pub async fn reaches(&self, node: u16, height: u64, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        loop {
            let now = self.height(node).await;
            if now.is_some_and(|now| now >= height) {
                return Ok(());
            }
            ensure!(
                Instant::now() < end,
                "node {node} is at {now:?}, not at {height}, after {limit:?}; it printed:\n{}",
                self.printed(node, 10)
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The validator whose turn it will be `ahead` blocks after the newest: validators of equal weight take turns by
    /// height (docs/spec/agreement.md).
    ///
    /// # Errors
    /// When no node answers.
    pub async fn proposer(&self, ahead: u64) -> Result<u16> {
        let mut owners = Vec::new();
        let mut asked = 0;
        for node in (0..self.slots()).filter(|node| self.runs(*node)) {
            let status = self.rpc(node, "hawser_status", json!([])).await?;
            owners.push((status.get("validator").cloned(), node));
            asked = node;
        }
        let committee = self.rpc(asked, "hawser_getValidators", json!([])).await?;
        let list = committee
            .get("validators")
            .and_then(Value::as_array)
            .context("no committee")?;
        let height = self.height(asked).await.context("no height")?;
        let at = (height + ahead) % (list.len() as u64).max(1);
        let address = list
            .get(usize::try_from(at)?)
            .and_then(|one| one.get("address"));
        owners
            .iter()
            .find(|(own, _)| own.as_ref() == address)
            .map(|(_, node)| *node)
            .context("the validator whose turn it is does not run")
    }
}
