//! A network's folder on this machine.

pub(crate) mod demo;
pub(crate) mod demonstration;
pub(crate) mod generate;
pub(crate) mod pidfile;
pub(crate) mod ports;
pub(crate) mod spawn;
pub(crate) mod survey;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use hawser_ledger::Genesis;
use hawser_network::ClientTls;
use hawser_node::config::{self, NodeConfig, Overrides};
use rustix::process::Pid;

use crate::client::Client;
use crate::exit::{Code, Failure, OrFail, Result, fail};
use crate::files;
use crate::keyfile::Keystore;
use crate::reader::Reader;
use crate::tls::TlsArgs;

/// Most nodes of a network that one command sets up.
pub(crate) const NODES_MAX: u16 = 100;
/// Largest genesis document read, in bytes.
pub(crate) const GENESIS_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Where a network lies.
#[derive(Args, Clone, Debug)]
pub(crate) struct HomeArgs {
    /// Folder of the local network and of the keystore
    #[arg(
        long,
        env = "HAWSER_HOME",
        value_name = "DIR",
        default_value = ".hawser"
    )]
    pub(crate) home: PathBuf,
}

impl HomeArgs {
    /// The folder.
    pub(crate) fn home(&self) -> Home {
        Home(self.home.clone())
    }
}

/// A network's folder: `genesis.json`, `keystore/`, `passphrase`, and per node `node<i>/` with
/// `node.toml`, `genesis.json`, `keys/`, `data/`, `hawser.log` and `hawser.pid`.
#[derive(Clone, Debug)]
pub(crate) struct Home(pub(crate) PathBuf);

/// A node in a network's folder whose configuration cannot be used.
#[derive(Clone, Debug)]
pub(crate) struct UnreadableNode {
    pub(crate) dir: PathBuf,
    /// What is wrong with it.
    pub(crate) problem: String,
}

/// A node in a network's folder.
#[derive(Clone, Debug)]
pub(crate) struct LocalNode {
    pub(crate) dir: PathBuf,
    pub(crate) config: NodeConfig,
}

impl Home {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn genesis_path(&self) -> PathBuf {
        self.0.join("genesis.json")
    }

    pub(crate) fn keystore(&self) -> Keystore {
        Keystore(self.0.join("keystore"))
    }

    /// Whether there is a network.
    pub(crate) fn exists(&self) -> bool {
        self.genesis_path().exists() || self.0.join("node0").exists()
    }

    /// The certificates of those of its nodes that serve clients with TLS at this port of this
    /// machine. Empty where there is no network, or none that can be read.
    pub(crate) fn certificates_of(&self, url: &str) -> Vec<PathBuf> {
        let asked = reqwest::Url::parse(url).ok();
        let port = asked.and_then(|url| url.port_or_known_default());
        if !self.exists() {
            return Vec::new();
        }
        let nodes = self.nodes().unwrap_or_default();
        let rpc = nodes.into_iter().map(|node| node.config.rpc);
        rpc.filter(|rpc| rpc.http.map(|address| address.port()) == port)
            .filter_map(|rpc| rpc.tls_certificate)
            .collect()
    }

    /// The genesis of the network.
    pub(crate) fn genesis(&self) -> Result<Genesis> {
        read_genesis(&self.genesis_path())
    }

    /// Every node, by number. One whose configuration cannot be read keeps this from all.
    pub(crate) fn nodes(&self) -> Result<Vec<LocalNode>> {
        let (nodes, unreadable) = self.readable_nodes()?;
        unreadable.map_or(Ok(nodes), Err)
    }

    /// Every node whose configuration can be read, by number, and what is wrong with that of the others.
    pub(crate) fn readable_nodes(&self) -> Result<(Vec<LocalNode>, Option<Failure>)> {
        let (nodes, unreadable) = self.all_nodes()?;
        Ok((nodes, UnreadableNode::failure(&unreadable)))
    }

    /// Every node, by number: those whose configuration can be read, and the others.
    pub(crate) fn all_nodes(&self) -> Result<(Vec<LocalNode>, Vec<UnreadableNode>)> {
        if !self.exists() {
            return fail(
                Code::NotFound,
                format!(
                    "no network in {}; `hawser up` makes one there, --home or HAWSER_HOME names \
                     another folder",
                    self.0.display()
                ),
            );
        }
        let (mut nodes, mut unreadable) = (Vec::new(), Vec::new());
        for i in 0..NODES_MAX {
            let dir = self.0.join(format!("node{i}"));
            if !dir.is_dir() {
                break;
            }
            match LocalNode::load(&dir) {
                Ok(node) => nodes.push(node),
                Err(failure) => unreadable.push(UnreadableNode {
                    dir,
                    problem: failure.message,
                }),
            }
        }
        if nodes.is_empty() && unreadable.is_empty() {
            return fail(
                Code::Config,
                format!(
                    "{} holds a genesis and no nodes; it is incomplete",
                    self.0.display()
                ),
            );
        }
        Ok((nodes, unreadable))
    }
}

impl UnreadableNode {
    /// What is wrong with all of them; `None` where there are none.
    pub(crate) fn failure(all: &[Self]) -> Option<Failure> {
        let problems: Vec<_> = all.iter().map(|node| node.problem.as_str()).collect();
        (!problems.is_empty()).then(|| Failure::new(Code::Config, problems.join("\n")))
    }

    /// What it is called where its name is not known: its folder.
    pub(crate) fn name(&self) -> String {
        let name = self.dir.file_name().unwrap_or(self.dir.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// Where it keeps its process id: where its file says, as far as that is TOML, else the usual place.
    pub(crate) fn pid_file(&self) -> PathBuf {
        let text = files::read_text(&self.dir.join("node.toml"), config::FILE_BYTES_MAX);
        let table = text.ok().and_then(|text| text.parse::<toml::Table>().ok());
        let said = table
            .as_ref()
            .and_then(|table| table.get("node")?.get("pid_file")?.as_str())
            .filter(|path| !path.is_empty());
        self.dir.join(said.unwrap_or("hawser.pid"))
    }
}

impl LocalNode {
    fn load(dir: &Path) -> Result<Self> {
        // Not the environment: it would give the same ports to all nodes.
        let loaded = config::load(&dir.join("node.toml"), &Overrides::default())
            .context(Code::Config, "configuration")?;
        Ok(Self {
            dir: dir.to_owned(),
            config: loaded.config,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.config.node.name
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.dir.join("node.toml")
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.dir.join("hawser.log")
    }

    /// The process that runs it.
    pub(crate) fn pid(&self) -> Option<Pid> {
        pidfile::holder(self.config.node.pid_file.as_deref()?)
    }

    /// Its JSON-RPC address; one that listens everywhere is asked on loopback.
    pub(crate) fn rpc(&self) -> Option<String> {
        rpc_url(&self.config)
    }

    /// A client for it.
    pub(crate) fn client(&self, timeout: Duration) -> Result<Client> {
        match self.rpc() {
            Some(url) => {
                let keystore = self.dir.parent().unwrap_or(&self.dir).join("keystore");
                let reader = Reader::local(Keystore(keystore));
                Ok(Client::new(&url, timeout, || tls(&self.config))?.read_by(reader))
            }
            None => fail(
                Code::Config,
                format!(
                    "{} serves no JSON-RPC: rpc.http is empty in its configuration",
                    self.name()
                ),
            ),
        }
    }

    /// Every port that it listens on, with the key that sets it.
    pub(crate) fn listens(&self) -> Vec<(&'static str, SocketAddr)> {
        let mut all = vec![("network.listen", self.config.network.listen)];
        all.extend(self.config.rpc.http.map(|address| ("rpc.http", address)));
        all.extend(
            self.config
                .metrics
                .listen
                .map(|address| ("metrics.listen", address)),
        );
        all
    }
}

/// Where a node of this machine serves clients.
pub(crate) fn rpc_url(config: &NodeConfig) -> Option<String> {
    let scheme = match config.rpc.tls_certificate {
        Some(_) => "https",
        None => "http",
    };
    let address = reachable(config.rpc.http?);
    Some(format!("{scheme}://{address}"))
}

/// What a node of this machine is believed by: its own files say what it presents.
pub(crate) fn tls(config: &NodeConfig) -> Result<ClientTls> {
    match &config.rpc.tls_certificate {
        Some(certificate) => crate::tls::of_node(certificate, config.network.trust_dir.as_deref()),
        None => TlsArgs::default().open(),
    }
}

fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            SocketAddr::from(([127, 0, 0, 1], v4.port()))
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, v6.port()))
        }
        other => other,
    }
}

/// Reads and checks a genesis document.
pub(crate) fn read_genesis(path: &Path) -> Result<Genesis> {
    let text = files::read_text(path, GENESIS_BYTES_MAX)?;
    let what = || format!("genesis {}", path.display());
    let genesis = Genesis::from_json(&text).context(Code::Config, what())?;
    // Otherwise the chain would start as one that nobody governs.
    hawser_governance::check_genesis(&genesis).context(Code::Config, what())?;
    Ok(genesis)
}
