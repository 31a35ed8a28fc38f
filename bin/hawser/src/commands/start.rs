//! `hawser start`: one node in the foreground.

mod admission;
mod guard;
mod inventory;
mod joining;
mod light;
pub(crate) mod machine;
mod observe;
mod record;
pub(crate) mod run;
pub(crate) mod snapshots;
mod tiering;
mod twins;

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args};
use hawser_network::{CertificateFiles, Credential, ListenerTls, NodeCertificate};
use hawser_node::config::{
    self as node_config, ClientsKind, CredentialKind, KEYS, LogFormat, NodeConfig, Overrides,
    RevocationKind,
};
use hawser_ops::logging;

use crate::exit::{Code, OrFail, Result, fail};
use crate::keyfile;
use crate::local::{pidfile::PidFile, ports};
use crate::passphrase::{self, Passphrase, PassphraseArgs};

/// Arguments of `start`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser start --config node.toml
  hawser start --config node.toml --rpc-http 0.0.0.0:8545 --log-level debug
  HAWSER_RPC_HTTP=0.0.0.0:8545 hawser start --config node.toml

Flags beat environment variables, which beat the file, which beats the defaults; `hawser config
keys` lists all. SIGINT or SIGTERM stops the node cleanly.")]
pub(crate) struct StartArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Leave the terminal's session
    #[arg(long, hide = true)]
    detached: bool,
    #[command(flatten)]
    pub(crate) flags: ConfigFlags,
}

impl StartArgs {
    /// Whether nobody but a log file hears what the command says.
    pub(crate) const fn is_detached(&self) -> bool {
        self.detached
    }
}

/// A flag for every key of the configuration: the paths and values that were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConfigFlags(pub(crate) Vec<(String, String)>);

impl clap::FromArgMatches for ConfigFlags {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        let given = |key: &node_config::Key| {
            let value = matches.get_one::<String>(key.path)?;
            Some((key.path.to_owned(), value.clone()))
        };
        Ok(Self(KEYS.iter().filter_map(given).collect()))
    }

    fn update_from_arg_matches(
        &mut self,
        matches: &ArgMatches,
    ) -> std::result::Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for ConfigFlags {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.args(KEYS.iter().map(|key| {
            Arg::new(key.path)
                .long(key.flag())
                .help(format!("{} [default: {}]", key.doc, key.default))
                .value_name("VALUE")
                .action(ArgAction::Set)
                .help_heading("Configuration, over the file")
                .hide_short_help(true)
        }))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

/// Runs the node until it is told to stop.
pub(crate) fn run(args: &StartArgs) -> Result<()> {
    if args.detached {
        // Fails only for a process that leads its group, which has its own session then.
        let _ = rustix::process::setsid();
    }
    let overrides = Overrides {
        environment: super::config::environment(),
        flags: args.flags.0.clone(),
    };
    let loaded = node_config::load(&args.config, &overrides).or_fail(Code::Config)?;
    let config = &loaded.config;
    let format = match config.log.format {
        LogFormat::Auto => logging::Format::Auto,
        LogFormat::Text => logging::Format::Text,
        LogFormat::Json => logging::Format::Json,
    };
    logging::init(&config.log.level, format).or_fail(Code::Config)?;
    // Held until the node has stopped.
    let _pid_file = config
        .node
        .pid_file
        .as_deref()
        .map(PidFile::take)
        .transpose()?;
    check_ports(config)?;
    let keys = open_keys(config, &args.passphrase)?;
    run::run(&args.config, &loaded, keys)
}

/// What the node signs and proves itself with.
pub(crate) struct Keys {
    credential: Credential,
    /// For the interface to clients, where it has a certificate.
    rpc_tls: Option<ListenerTls>,
    /// In the order of the configured chains.
    votes: Vec<Option<hawser_crypto::SecretKey>>,
    /// What opened them; it may open the chains' data as well.
    passphrase: Passphrase,
}

fn open_keys(config: &NodeConfig, args: &PassphraseArgs) -> Result<Keys> {
    let passphrase: Passphrase = match (&args.passphrase_file, &config.node.passphrase_file) {
        (Some(path), _) | (None, Some(path)) => passphrase::from_file(path)?,
        (None, None) => args.existing("the node's keys")?,
    };
    let credential = credential(config, &passphrase)?;
    let rpc_tls = rpc_tls(config, &passphrase)?;
    let votes = config
        .chains
        .iter()
        .map(|chain| {
            chain
                .vote_key
                .as_deref()
                .map(|path| keyfile::read(path, &passphrase))
                .transpose()
        })
        .collect::<Result<_>>()?;
    Ok(Keys {
        credential,
        rpc_tls,
        votes,
        passphrase,
    })
}

fn credential(config: &NodeConfig, passphrase: &Passphrase) -> Result<Credential> {
    let key = &config.node.identity_key;
    let network = &config.network;
    let (CredentialKind::Certificate, Some(chain), Some(trust)) =
        (network.credential, &network.certificate, &network.trust_dir)
    else {
        let identity = keyfile::read(key, passphrase)?;
        return Ok(crate::identity::of_key(&identity)?.into());
    };
    let files = CertificateFiles {
        chain: chain.clone(),
        trust: trust.clone(),
        crl_required: network.revocation == RevocationKind::Required,
    };
    let key = keyfile::read_private(key, passphrase)?;
    let certificate = NodeCertificate::open(key, files).or_fail(Code::Config)?;
    if let Some(distrust) = certificate.own_distrust() {
        // No reason to stay down: a renewed certificate or root is picked up while running.
        tracing::error!(%distrust, "peers that trust as this node does will refuse its certificate");
    }
    Ok(certificate.into())
}

fn rpc_tls(config: &NodeConfig, passphrase: &Passphrase) -> Result<Option<ListenerTls>> {
    let rpc = &config.rpc;
    let (Some(chain), Some(key)) = (&rpc.tls_certificate, &rpc.tls_key) else {
        return Ok(None);
    };
    let files = CertificateFiles {
        chain: chain.clone(),
        trust: rpc.tls_client_trust_dir.clone().unwrap_or_default(),
        crl_required: false,
    };
    let key = keyfile::read_private(key, passphrase)?;
    let required = rpc.tls_clients == ClientsKind::Required;
    ListenerTls::open(key, files, required, &[b"http/1.1"])
        .context(Code::Config, "rpc.tls_certificate")
        .map(Some)
}

/// Finds a port in use before anything is opened, and names who has it.
fn check_ports(config: &NodeConfig) -> Result<()> {
    let listens = [
        ("network.listen", Some(config.network.listen)),
        ("rpc.http", config.rpc.http),
        ("metrics.listen", config.metrics.listen),
    ];
    for (key, address) in listens {
        let Some(address) = address.filter(|address| address.port() != 0) else {
            continue;
        };
        if let Some(trouble) = ports::trouble(address) {
            let flag = node_config::find(key)
                .map(node_config::Key::flag)
                .unwrap_or_default();
            return fail(
                Code::Failed,
                format!(
                    "cannot listen on {address}, which {key} names: {trouble}; --{flag} or the \
                     configuration file gives another address"
                ),
            );
        }
    }
    Ok(())
}
