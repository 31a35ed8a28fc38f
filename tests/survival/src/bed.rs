//! A network of nodes as processes, each with its own address, that faults are made in.

mod process;

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use alloy_primitives::Address;
use anyhow::{Result, bail, ensure};
use hawser_e2e::hawser;
use tokio::process::Child;

use crate::link::{Rule, partition};
use crate::netns::{self, Spaces};
use crate::switch::{Links, Switch, beyond_streams};

/// One request to a node.
const REQUEST_LIMIT: Duration = Duration::from_secs(8);
/// Ports of every node, on its own address.
const RPC: u16 = 18_545;
const PEERS: u16 = 19_545;
const METRICS: u16 = 20_545;
/// Opens the keys of the network, which lives as long as its run.
const PASSPHRASE: &str = "as long as this run";

/// Where the nodes live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Each in a network namespace.
    Namespaces,
    /// Each on a loopback address of its own, with proxies between them.
    Loopback,
}

impl Mode {
    /// Namespaces where they can be had, else loopback, with the reason.
    #[must_use]
    pub fn best() -> (Self, Option<String>) {
        match netns::possible() {
            Ok(()) => (Self::Namespaces, None),
            Err(error) => (Self::Loopback, Some(format!("{error:#}"))),
        }
    }
}

/// What a network is made with.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Number of validators, 1 to 12.
    pub validators: u16,
    /// Places for nodes that join later.
    pub spare: u16,
    /// Where the nodes live.
    pub mode: Mode,
    /// Seed of the links.
    pub seed: u64,
    /// Accounts with a balance from the start, in wei.
    pub accounts: Vec<(Address, u64)>,
    /// `sm` or `intl`.
    pub suite: &'static str,
    /// Whether organisations govern the chain.
    pub governed: bool,
}

#[derive(Debug, Default)]
struct Node {
    child: Option<Child>,
    environment: Vec<(OsString, OsString)>,
    program: Option<PathBuf>,
}

/// A network. Dropping it ends and removes everything.
#[derive(Debug)]
pub struct Bed {
    root: PathBuf,
    plan: Plan,
    nodes: Vec<Node>,
    /// What the links do to traffic.
    pub links: Links,
    // Before the namespaces, in which its devices are.
    switch: Option<Switch>,
    spaces: Option<Spaces>,
    client: reqwest::Client,
    chain_id: u64,
}

impl Bed {
    /// Makes the folders and the wires; starts no node.
    ///
    /// # Errors
    /// When the binary is missing or refuses, or rights are missing.
    pub async fn prepare(plan: Plan) -> Result<Self> {
        static SEQUENCE: AtomicU32 = AtomicU32::new(0);
        ensure!(plan.validators + plan.spare <= 15, "too many nodes");
        let root = netns::folder(SEQUENCE.fetch_add(1, Ordering::Relaxed));
        netns::clear(&root);
        fs::create_dir_all(&root)?;
        let client = reqwest::Client::builder()
            .timeout(REQUEST_LIMIT)
            .connect_timeout(Duration::from_secs(2))
            .no_proxy()
            .build()?;
        let links = Links::new(plan.seed);
        let mut bed = Self {
            root,
            nodes: Vec::new(),
            links,
            switch: None,
            spaces: None,
            client,
            chain_id: 0,
            plan,
        };
        let slots = bed.plan.validators + bed.plan.spare;
        bed.nodes.resize_with(usize::from(slots), Node::default);
        if bed.plan.mode == Mode::Namespaces {
            let spaces = Spaces::create(slots)?;
            bed.switch = Some(Switch::packets(&spaces, &bed.links).await?);
            bed.spaces = Some(spaces);
        } else {
            bed.switch = Some(bed.proxies().await?);
        }
        bed.init().await?;
        Ok(bed)
    }

    async fn proxies(&self) -> Result<Switch> {
        let mut switch = Switch::empty();
        let slots = self.plan.validators + self.plan.spare;
        for from in 0..slots {
            for to in (0..slots).filter(|to| *to != from) {
                let listen: SocketAddr = self.dial_address(from, to).parse()?;
                let target: SocketAddr = format!("{}:{PEERS}", self.peer_host(to)).parse()?;
                switch.stream(from, to, listen, target, &self.links).await?;
            }
        }
        Ok(switch)
    }

    async fn init(&mut self) -> Result<()> {
        let secret = self.passphrase_file();
        fs::write(&secret, format!("{PASSPHRASE}\n"))?;
        let hosts: Vec<_> = (0..self.plan.validators)
            .map(|node| self.peer_host(node))
            .collect();
        let mut arguments = vec![
            "init".to_owned(),
            "--dir".to_owned(),
            self.root.join("net").to_string_lossy().into_owned(),
            "--hosts".to_owned(),
            hosts.join(","),
            "--p2p-port".to_owned(),
            PEERS.to_string(),
            "--suite".to_owned(),
            self.plan.suite.to_owned(),
            "--passphrase-file".to_owned(),
            secret.to_string_lossy().into_owned(),
        ];
        for (address, wei) in &self.plan.accounts {
            arguments.extend(["--account".to_owned(), format!("{address}={wei}")]);
        }
        if self.plan.governed {
            arguments.push("--governance".to_owned());
        }
        let made = hawser(&arguments, Duration::from_secs(120)).await?;
        ensure!(made.code == Some(0), "hawser init: {}", made.text());
        for node in 0..self.plan.validators {
            let made = self.root.join(format!("net/node{node}"));
            if self.plan.governed {
                open_to_all(&made.join("genesis.json"))?;
            }
            fs::rename(&made, self.folder(node))?;
            self.route_peers(node)?;
        }
        Ok(())
    }

    /// Has a node dial its peers through its own proxies, where there are any.
    ///
    /// # Errors
    /// When its configuration cannot be written.
    pub fn route_peers(&self, node: u16) -> Result<()> {
        if self.plan.mode == Mode::Namespaces {
            return Ok(());
        }
        let file = self.folder(node).join("node.toml");
        let mut text = fs::read_to_string(&file)?;
        for to in (0..self.slots()).filter(|to| *to != node) {
            let direct = format!("\"{}:{PEERS}\"", self.peer_host(to));
            text = text.replace(&direct, &format!("\"{}\"", self.dial_address(node, to)));
        }
        fs::write(file, text)?;
        Ok(())
    }

    /// All places, of validators and of others.
    #[must_use]
    pub fn slots(&self) -> u16 {
        self.plan.validators + self.plan.spare
    }

    /// Number of validators that the network began with.
    #[must_use]
    pub fn validators(&self) -> u16 {
        self.plan.validators
    }

    /// The chain's id for Ethereum clients; 0 before [`Bed::start`].
    #[must_use]
    pub fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Where the nodes live.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.plan.mode
    }

    /// The network's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a node.
    #[must_use]
    pub fn folder(&self, node: u16) -> PathBuf {
        self.root.join(format!("node{node}"))
    }

    /// The file whose first line opens all keys of the network.
    #[must_use]
    pub fn passphrase_file(&self) -> PathBuf {
        self.root.join("passphrase")
    }

    fn loopback(second: u8, net: u32, host: u32) -> String {
        // Eight runs at a time would have to meet on one number of 250 before addresses do.
        format!("127.{second}.{}.{host}", net % 250)
    }

    fn peer_host(&self, node: u16) -> String {
        match &self.spaces {
            Some(spaces) => spaces.peer_address(node),
            None => Self::loopback(87, std::process::id(), u32::from(node) + 1),
        }
    }

    fn client_host(&self, node: u16) -> String {
        match &self.spaces {
            Some(spaces) => spaces.client_address(node),
            None => self.peer_host(node),
        }
    }

    /// Where node `from` dials node `to`, host and port.
    #[must_use]
    pub fn dial_address(&self, from: u16, to: u16) -> String {
        if self.plan.mode == Mode::Namespaces {
            return format!("{}:{PEERS}", self.peer_host(to));
        }
        let host = 1 + u32::from(from) * 16 + u32::from(to);
        format!("{}:{PEERS}", Self::loopback(88, std::process::id(), host))
    }

    /// Where a node listens for peers, host and port.
    #[must_use]
    pub fn direct_address(&self, node: u16) -> String {
        format!("{}:{PEERS}", self.peer_host(node))
    }

    /// Where a node serves clients.
    #[must_use]
    pub fn url(&self, node: u16) -> String {
        format!("http://{}:{RPC}", self.client_host(node))
    }

    /// Where a node serves metrics and health.
    #[must_use]
    pub fn metrics_url(&self, node: u16) -> String {
        format!("http://{}:{METRICS}", self.client_host(node))
    }

    /// The client that every request of this bed goes through.
    #[must_use]
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Sets links, one way each.
    ///
    /// # Errors
    /// When the wires of this mode cannot do it.
    pub fn rule(&self, links: &[(u16, u16)], rule: Rule) -> Result<()> {
        if self.plan.mode == Mode::Loopback
            && let Some(reason) = beyond_streams(&rule)
        {
            bail!(reason);
        }
        let mut table = self.links.table();
        for (from, to) in links {
            table.set(*from, *to, rule);
        }
        Ok(())
    }

    /// All links.
    ///
    /// # Errors
    /// As [`Bed::rule`].
    pub fn rule_all(&self, rule: Rule) -> Result<()> {
        let slots = self.slots();
        let all: Vec<_> = (0..slots)
            .flat_map(|from| (0..slots).map(move |to| (from, to)))
            .filter(|(from, to)| from != to)
            .collect();
        self.rule(&all, rule)
    }

    /// Cuts `left` off from the others.
    ///
    /// # Errors
    /// As [`Bed::rule`].
    pub fn cut(&self, left: &[u16], directed: bool) -> Result<()> {
        self.rule(&partition(self.slots(), left, directed), Rule::CUT)
    }

    /// Takes all faults of links away.
    pub fn heal(&self) {
        self.links.table().heal();
    }

    /// The namespace of a node, for commands that work inside it.
    #[must_use]
    pub fn space(&self, node: u16) -> Option<String> {
        self.spaces.as_ref().map(|spaces| spaces.name(node))
    }
}

/// Lets accounts that are no members use a governed chain: the load has hundreds.
fn open_to_all(genesis: &Path) -> Result<()> {
    let text = fs::read_to_string(genesis)?;
    let changed = text.replacen(
        "\"account_mode\": \"permitted\"",
        "\"account_mode\": \"open\"",
        1,
    );
    ensure!(changed != text, "the genesis has no account mode");
    fs::write(genesis, changed)?;
    Ok(())
}

impl Drop for Bed {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            if let Some(child) = &mut node.child {
                let _ = child.start_kill();
            }
        }
        self.switch = None;
        if std::env::var_os("SURVIVAL_KEEP").is_none() {
            netns::clear(&self.root);
        }
    }
}
