//! `hawser config`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use hawser_network::{CertificateFiles, NodeCertificate};
use hawser_node::config::{
    self as node_config, CredentialKind, KEYS, Loaded, NodeConfig, Overrides, RevocationKind,
};
use hawser_ops::logging;
use serde_json::{Map, Value, json};

use crate::exit::{Code, OrFail, Result, fail};
use crate::local::{pidfile, ports, read_genesis};
use crate::output::{self, Output};
use crate::quantity::counted;
use crate::{keyfile, passphrase, tiering};

/// Commands of `config`.
#[derive(Subcommand, Debug)]
pub(crate) enum ConfigCommand {
    /// Show the values in effect and where they come from, and check files, keys and ports
    Check(CheckArgs),
    /// List every key with its meaning, default, flag and environment variable
    #[command(after_help = "Example:\n  hawser config keys")]
    Keys,
    /// Print a configuration file with every key at its default
    #[command(after_help = "Example:\n  hawser config template > node.toml")]
    Template,
}

/// Arguments of `config check`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser config check .hawser/node0/node.toml

Reads the environment as `hawser start` does. Ends with 3 when something is wrong.")]
pub(crate) struct CheckArgs {
    /// The configuration file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Runs the command.
pub(crate) fn run(command: &ConfigCommand, output: Output) -> Result<()> {
    match command {
        ConfigCommand::Check(args) => check(&args.file, output),
        ConfigCommand::Keys => keys(output),
        ConfigCommand::Template => output::line(node_config::document(&|_| None).trim_end()),
    }
}

fn keys(output: Output) -> Result<()> {
    let rows: Vec<Value> = KEYS
        .iter()
        .map(|key| {
            json!({
                "key": key.path,
                "default": key.default,
                "value": key.kind.describe(),
                "meaning": key.doc,
                "flag": format!("--{}", key.flag()),
                "variable": key.variable(),
            })
        })
        .collect();
    output.print(&rows, |_| {
        let head = ["key", "default", "meaning"];
        let row = |key: &node_config::Key| {
            vec![
                key.path.to_owned(),
                key.default.to_owned(),
                key.doc.to_owned(),
            ]
        };
        let table = output::table(&head, &KEYS.iter().map(row).collect::<Vec<_>>());
        format!("{table}\nThe variable of rpc.http is HAWSER_RPC_HTTP, its flag --rpc-http.")
    })
}

/// The environment as the configuration takes it.
pub(crate) fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("HAWSER_"))
        .collect()
}

fn check(file: &Path, output: Output) -> Result<()> {
    let overrides = Overrides {
        environment: environment(),
        flags: Vec::new(),
    };
    let loaded = node_config::load(file, &overrides).or_fail(Code::Config)?;
    let problems = problems(&loaded.config);
    let value = json!({ "settings": settings(&loaded), "problems": problems });
    output.print(&value, |_| {
        let row = |key: &node_config::Key| {
            let setting = loaded.settings.get(key.path)?;
            Some(vec![
                key.path.to_owned(),
                shown(&setting.value),
                setting.source.to_string(),
            ])
        };
        let rows: Vec<_> = KEYS.iter().filter_map(row).collect();
        let mut text = output::table(&["key", "value", "from"], &rows);
        for problem in &problems {
            text.push_str(&format!("\nproblem: {problem}"));
        }
        if problems.is_empty() {
            text.push_str("\nNothing is wrong.");
        }
        text
    })?;
    if problems.is_empty() {
        Ok(())
    } else {
        fail(
            Code::Config,
            format!(
                "{} in {}",
                counted(problems.len(), "problem"),
                file.display()
            ),
        )
    }
}

fn shown(value: &toml::Value) -> String {
    match value {
        toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
            counted(items.len(), "entry")
        }
        value => value.to_string(),
    }
}

fn settings(loaded: &Loaded) -> Map<String, Value> {
    let entry = |(key, setting): (&&'static str, &node_config::Setting)| {
        let value = serde_json::to_value(&setting.value).unwrap_or(Value::Null);
        (
            (*key).to_owned(),
            json!({ "value": value, "from": setting.source.to_string() }),
        )
    };
    loaded.settings.iter().map(entry).collect()
}

/// What keeps a node with this configuration from starting.
fn problems(config: &NodeConfig) -> Vec<String> {
    let mut problems = Vec::new();
    let runs = config.node.pid_file.as_deref().and_then(pidfile::holder);
    if runs.is_none() {
        let mut listens = vec![("network.listen", Some(config.network.listen))];
        listens.push(("rpc.http", config.rpc.http));
        listens.push(("metrics.listen", config.metrics.listen));
        for (key, address) in listens.into_iter().filter_map(|(key, a)| Some((key, a?))) {
            if address.port() != 0
                && let Some(trouble) = ports::trouble(address)
            {
                problems.push(format!("{key}: {trouble}"));
            }
        }
    }
    let passphrase = match &config.node.passphrase_file {
        Some(path) => passphrase::from_file(path).map(Some),
        None => match std::env::var_os(passphrase::VARIABLE) {
            Some(path) => passphrase::from_file(Path::new(&path)).map(Some),
            None => Ok(None),
        },
    };
    let passphrase = passphrase.unwrap_or_else(|failure| {
        problems.push(format!("node.passphrase_file: {failure}"));
        None
    });
    check_credential(config, passphrase.as_deref(), &mut problems);
    if let Err(error) = logging::check(&config.log.level) {
        problems.push(format!("log.level: {error}"));
    }
    if let Err(failure) = tiering::check(config) {
        problems.push(format!("tier: {failure}"));
    }
    if config.chains.is_empty() {
        problems.push("chains: none; add a [[chains]] with the path of its genesis".to_owned());
    }
    for (i, chain) in config.chains.iter().enumerate() {
        let genesis = match read_genesis(&chain.genesis) {
            Ok(genesis) => genesis,
            Err(failure) => {
                problems.push(format!("chains[{i}].genesis: {failure}"));
                continue;
            }
        };
        let Some(path) = &chain.vote_key else {
            continue;
        };
        let key = format!("chains[{i}].vote_key");
        check_key(path, &key, passphrase.as_deref(), &mut problems);
        // Whether it belongs to a validator now, only the chain knows.
        if let Some(public) = keyfile::info(path).and_then(|info| info.public_key)
            && public.scheme() != genesis.suite.vote_scheme()
        {
            problems.push(format!(
                "{key}: {} is a {} key; suite {} of {} votes with {}",
                path.display(),
                public.scheme(),
                genesis.suite,
                chain.genesis.display(),
                genesis.suite.vote_scheme()
            ));
        }
    }
    problems
}

/// The node's own key and, where it has one, its certificate.
fn check_credential(config: &NodeConfig, passphrase: Option<&String>, problems: &mut Vec<String>) {
    let (path, network) = (&config.node.identity_key, &config.network);
    let (CredentialKind::Certificate, Some(chain), Some(trust)) =
        (network.credential, &network.certificate, &network.trust_dir)
    else {
        return check_key(path, "node.identity_key", passphrase, problems);
    };
    if !path.is_file() {
        problems.push(format!("node.identity_key: {} is missing", path.display()));
    }
    let Some(passphrase) = passphrase else {
        return;
    };
    let key = match keyfile::read_private(path, passphrase) {
        Ok(key) => key,
        Err(failure) => return problems.push(format!("node.identity_key: {failure}")),
    };
    let files = CertificateFiles {
        chain: chain.clone(),
        trust: trust.clone(),
        crl_required: network.revocation == RevocationKind::Required,
    };
    match NodeCertificate::open(key, files) {
        Ok(certificate) => {
            let distrust = certificate.own_distrust();
            problems.extend(distrust.map(|why| format!("network.certificate: {why}")));
        }
        Err(error) => problems.push(format!("network.certificate: {error}")),
    }
}

fn check_key(path: &Path, key: &str, passphrase: Option<&String>, problems: &mut Vec<String>) {
    if !path.is_file() {
        problems.push(format!("{key}: {} is missing", path.display()));
    } else if let Some(passphrase) = passphrase
        && let Err(failure) = keyfile::read(path, passphrase)
    {
        problems.push(format!("{key}: {failure}"));
    }
}
