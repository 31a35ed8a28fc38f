//! Writes the folders of a new network.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use hawser_crypto::keystore::Params;
use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_ledger::{ChainParameters, Genesis, GenesisAccount, GenesisValidator, PROTOCOL_VERSION};
use hawser_network::PeerId;
use hawser_node::config::{document, quote};
use hawser_primitives::{Address, ChainId, Time, U256};

use crate::exit::{Code, Failure, OrFail, Result, fail};
use crate::keyfile::{self, Keystore};
use crate::local::demo;
use crate::local::demonstration;
use crate::passphrase::{self, Passphrase};
use crate::{datafolder, files, identity};

/// Name of the account that a local network has for trying things out.
pub(crate) const TEST_ACCOUNT: &str = "test";

/// One node to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodePlan {
    pub(crate) name: String,
    /// Where it listens for peers.
    pub(crate) listen: String,
    /// Where its peers dial it.
    pub(crate) dial: String,
    pub(crate) rpc: String,
    pub(crate) metrics: String,
}

/// How the keys of the network are protected.
pub(crate) enum Protection {
    /// A random passphrase in the file `passphrase` of the network's folder, which the nodes'
    /// configurations name: for one machine.
    Random,
    /// This one; the operators of the nodes bring it along.
    Given(Passphrase),
}

/// A network to be.
pub(crate) struct Plan {
    pub(crate) dir: PathBuf,
    pub(crate) name: String,
    pub(crate) chain_id: u64,
    pub(crate) suite: Suite,
    pub(crate) parameters: ChainParameters,
    pub(crate) nodes: Vec<NodePlan>,
    pub(crate) protection: Protection,
    /// Accounts with a balance from the start, in wei.
    pub(crate) accounts: BTreeMap<Address, U256>,
    /// Whether there is a test account with a balance, its key in the keystore.
    pub(crate) test_account: bool,
    /// Organisations that govern it, with their keys in the keystore; `None` for no governance.
    pub(crate) governance: Option<u16>,
    /// Whether the nodes encrypt their data, and what opens it.
    pub(crate) encryption: DataEncryption,
}

/// Encryption of the data of a network's nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum DataEncryption {
    /// None.
    #[default]
    Off,
    /// The passphrase of a node's keys opens its data.
    Passphrase,
    /// This file does. A relative path is within each node's folder, where a file of random bytes
    /// is made; an absolute one is brought along by who runs the node.
    KeyFile(PathBuf),
}

/// Where a network's nodes get the key of their data from.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct EncryptArgs {
    /// Encrypt the data of every node on its disk; the passphrase of its keys opens it
    #[arg(long)]
    pub(crate) encrypt: bool,
    /// Have a file open the data instead: a relative path is made in each node's folder, with mode
    /// 0600; an absolute one is there when the node starts
    #[arg(long, value_name = "FILE", requires = "encrypt")]
    pub(crate) data_key_file: Option<PathBuf>,
}

impl EncryptArgs {
    /// What they say.
    pub(crate) fn wanted(&self) -> DataEncryption {
        match (&self.data_key_file, self.encrypt) {
            (Some(path), _) => DataEncryption::KeyFile(path.clone()),
            (None, true) => DataEncryption::Passphrase,
            (None, false) => DataEncryption::Off,
        }
    }
}

impl Plan {
    /// Writes everything. The folder may exist, but not hold a network.
    pub(crate) fn write(self, step: &dyn Fn(usize)) -> Result<Genesis> {
        files::make_dir(&self.dir)?;
        let (secret, cost, passphrase_file) = match &self.protection {
            Protection::Random => {
                let secret = passphrase::random()?;
                let path = self.dir.join("passphrase");
                files::write_secret(&path, &format!("{}\n", *secret))?;
                (
                    secret,
                    keyfile::cost_of_random_passphrase(),
                    Some("../passphrase"),
                )
            }
            Protection::Given(secret) => (secret.clone(), keyfile::cost_of_node_keys(), None),
        };
        let keys: Vec<_> = (0..self.nodes.len())
            .map(|_| Keys::generate(self.suite))
            .collect::<Result<_>>()?;
        let genesis = self.genesis(&keys, &secret, &cost)?;
        let trust = match self.suite {
            Suite::Intl => None,
            Suite::Sm => Some(demonstration::authorities(
                &self.dir,
                &self.nodes,
                &secret,
                &cost,
            )?),
        };
        let text = genesis.to_json().or_fail(Code::Failed)?;
        for (i, (node, own)) in self.nodes.iter().zip(&keys).enumerate() {
            let dir = self.dir.join(format!("node{i}"));
            files::make_dir(&dir.join("keys"))?;
            keyfile::write(
                &dir.join("keys/identity.pem"),
                &own.identity,
                &secret,
                &cost,
            )?;
            keyfile::write(&dir.join("keys/vote.pem"), &own.vote, &secret, &cost)?;
            files::write_public(&dir.join("genesis.json"), &text)?;
            if let Some(trust) = &trust {
                trust.equip(&dir, i, node, &own.identity)?;
            }
            if let DataEncryption::KeyFile(path) = &self.encryption
                && path.is_relative()
            {
                datafolder::make_key_file(&dir.join(path))?;
            }
            let config = self.config(i, node, &keys, passphrase_file);
            files::write_public(&dir.join("node.toml"), &config)?;
            step(i);
        }
        // Last, because its presence says that the network is complete.
        files::write_public(&self.dir.join("genesis.json"), &text)?;
        Ok(genesis)
    }

    fn genesis(&self, keys: &[Keys], secret: &str, cost: &Params) -> Result<Genesis> {
        let mut accounts = self.accounts.clone();
        // A thousand coins of 18 decimals, so that examples which move value work too.
        let funds = U256::from(10u64).pow(U256::from(21u64));
        let mut test = None;
        if self.test_account {
            let key = SecretKey::generate(Scheme::Secp256k1).or_fail(Code::Failed)?;
            accounts.insert(key.address(), funds);
            test = Some(key.address());
            Keystore(self.dir.join("keystore")).add(TEST_ACCOUNT, &key, secret, cost)?;
        }
        let governance = match self.governance {
            Some(count) => {
                let keystore = Keystore(self.dir.join("keystore"));
                let demo = demo::make(count, self.suite, &keystore, secret, cost, test)?;
                accounts.extend(demo.accounts.into_iter().map(|account| (account, funds)));
                Some(demo.section)
            }
            None => None,
        };
        let account = |(address, balance): (Address, U256)| {
            let account = GenesisAccount {
                balance,
                ..GenesisAccount::default()
            };
            (address, account)
        };
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .context(Code::Failed, "the clock of this machine is before 1970")?;
        let validator = |(node, key): (&NodePlan, &Keys)| GenesisValidator {
            name: node.name.clone(),
            public_key: key.vote.public_key(),
            weight: 1,
        };
        let genesis = Genesis {
            protocol_version: PROTOCOL_VERSION,
            chain_id: ChainId(self.chain_id),
            name: self.name.clone(),
            suite: self.suite,
            time: Time(u64::try_from(now.as_millis()).or_fail(Code::Failed)?),
            parameters: self.parameters.clone(),
            validators: self.nodes.iter().zip(keys).map(validator).collect(),
            accounts: accounts.into_iter().map(account).collect(),
            governance,
        };
        genesis
            .check()
            .map_err(|error| Failure::new(Code::Usage, error))?;
        hawser_governance::check_genesis(&genesis)
            .map_err(|error| Failure::new(Code::Usage, error))?;
        Ok(genesis)
    }

    fn config(&self, i: usize, node: &NodePlan, keys: &[Keys], passphrase: Option<&str>) -> String {
        let mut peers = String::new();
        for (j, (peer, key)) in self.nodes.iter().zip(keys).enumerate() {
            if i != j {
                peers.push_str(&format!(
                    "[[network.peers]]\nid = \"{}\"\naddress = {}\nname = {}\n",
                    key.peer_id,
                    quote(&peer.dial),
                    quote(&peer.name)
                ));
            }
        }
        let certificates = self.suite == Suite::Sm;
        document(&|path| match path {
            "node.name" => Some(quote(&node.name)),
            "node.data_dir" => Some(quote("data")),
            "node.identity_key" => Some(quote("keys/identity.pem")),
            "node.passphrase_file" => passphrase.map(quote),
            "network.credential" if certificates => Some(quote("certificate")),
            "network.certificate" if certificates => Some(quote("certs/node.pem")),
            "network.trust_dir" if certificates => Some(quote("certs/trust")),
            "network.listen" => Some(quote(&node.listen)),
            "network.peers" => Some(peers.clone()),
            "chains" => Some(
                "[[chains]]\ngenesis = \"genesis.json\"\nvote_key = \"keys/vote.pem\"\n".to_owned(),
            ),
            "rpc.http" => Some(quote(&node.rpc)),
            "storage.encryption" => match &self.encryption {
                DataEncryption::Off => None,
                DataEncryption::Passphrase => Some(quote("passphrase")),
                DataEncryption::KeyFile(_) => Some(quote("key-file")),
            },
            "storage.encryption_key_file" => match &self.encryption {
                DataEncryption::KeyFile(path) => Some(quote(&path.to_string_lossy())),
                DataEncryption::Off | DataEncryption::Passphrase => None,
            },
            "metrics.listen" => Some(quote(&node.metrics)),
            _ => None,
        })
    }
}

struct Keys {
    vote: SecretKey,
    identity: SecretKey,
    peer_id: PeerId,
}

impl Keys {
    fn generate(suite: Suite) -> Result<Self> {
        let scheme = match suite {
            Suite::Intl => Scheme::Ed25519,
            // Links of RFC 8998, by certificates.
            Suite::Sm => Scheme::Sm2,
        };
        let identity = SecretKey::generate(scheme).or_fail(Code::Failed)?;
        let peer_id = match suite {
            Suite::Intl => identity::of_key(&identity)?.peer_id(),
            Suite::Sm => {
                let key = hawser_pki::PublicKey::from_account_key(&identity.public_key());
                PeerId(key.or_fail(Code::Failed)?.id())
            }
        };
        Ok(Self {
            vote: SecretKey::generate(suite.vote_scheme()).or_fail(Code::Failed)?,
            peer_id,
            identity,
        })
    }
}

/// The ports of a network: node i has each of these plus i, or a list of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) rpc: u16,
    pub(crate) p2p: u16,
    pub(crate) metrics: u16,
}

/// Nodes on this machine, on loopback.
pub(crate) fn local_nodes(count: u16, ports: Ports) -> Result<Vec<NodePlan>> {
    let address = |base: u16, i: u16, flag: &str| match base.checked_add(i) {
        Some(port) => Ok(format!("127.0.0.1:{port}")),
        None => fail(
            Code::Usage,
            format!("--{flag} {base} is too high: node{i} would have a port over 65535"),
        ),
    };
    let node = |i| {
        let listen = address(ports.p2p, i, "p2p-port")?;
        Ok(NodePlan {
            name: format!("node{i}"),
            dial: listen.clone(),
            listen,
            rpc: address(ports.rpc, i, "rpc-port")?,
            metrics: address(ports.metrics, i, "metrics-port")?,
        })
    };
    let nodes: Vec<NodePlan> = (0..count).map(node).collect::<Result<_>>()?;
    let mut used = std::collections::BTreeSet::new();
    for address in nodes
        .iter()
        .flat_map(|node| [&node.rpc, &node.listen, &node.metrics])
    {
        if !used.insert(address) {
            return fail(
                Code::Usage,
                format!(
                    "{address} would be used twice: choose --rpc-port, --p2p-port and \
                     --metrics-port at least {count} apart"
                ),
            );
        }
    }
    Ok(nodes)
}

/// Nodes on these hosts, one each; a host that is named again gets further ports.
pub(crate) fn hosted_nodes(hosts: &[String], ports: Ports) -> Result<Vec<NodePlan>> {
    let mut seen: BTreeMap<&str, u16> = BTreeMap::new();
    let mut nodes = Vec::new();
    for (i, host) in hosts.iter().enumerate() {
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        if host.is_empty() || host.len() > 253 || !host.chars().all(valid) {
            return fail(
                Code::Usage,
                format!("--hosts: `{host}` is no host name or address"),
            );
        }
        let nth = seen.entry(host).or_default();
        let port = |base: u16| match base.checked_add(*nth) {
            Some(port) => Ok(port),
            None => fail(
                Code::Usage,
                format!("{host} is named so often that ports run out"),
            ),
        };
        let bare_v6 = host.contains(':') && !host.starts_with('[');
        let dial_host = if bare_v6 {
            format!("[{host}]")
        } else {
            host.clone()
        };
        nodes.push(NodePlan {
            name: format!("node{i}"),
            listen: format!("0.0.0.0:{}", port(ports.p2p)?),
            dial: format!("{dial_host}:{}", port(ports.p2p)?),
            rpc: format!("127.0.0.1:{}", port(ports.rpc)?),
            metrics: format!("127.0.0.1:{}", port(ports.metrics)?),
        });
        *nth = nth.saturating_add(1);
    }
    Ok(nodes)
}

/// Refuses a folder that holds a network already.
pub(crate) fn refuse_existing(dir: &Path) -> Result<()> {
    let taken = ["genesis.json", "node0", "passphrase", "authorities"]
        .into_iter()
        .map(|name| dir.join(name))
        .find(|path| path.exists());
    match taken {
        Some(path) => fail(
            Code::Failed,
            format!(
                "{} exists already; nothing was changed. Choose another folder, or remove {} if \
                 its network and keys are no longer needed",
                path.display(),
                dir.display()
            ),
        ),
        None => Ok(()),
    }
}
