//! The folder of the network: new, or as it was.

use std::collections::BTreeMap;
use std::fs::{self, File};

use hawser_crypto::Suite;
use hawser_ledger::{ChainParameters, Verification};
use hawser_node::config::Encryption;
use rustix::fs::{FlockOperation, flock};

use super::super::init::{CHAIN_ID, P2P_PORT, RPC_PORT};
use super::{UpArgs, conflict};
use crate::exit::{Code, OrFail, Result, fail};
use crate::lang::Lang;
use crate::local::generate::{self, NodePlan, Plan, Ports, Protection};
use crate::local::{Home, LocalNode, ports};

/// From the port of clients to that of metrics.
const METRICS_OFFSET: u16 = 2_000;

/// Keeps two `up`s from working on one folder.
pub(super) fn lock(home: &Home) -> Result<File> {
    let path = home.path().join("up.lock");
    let file =
        File::create(&path).context(Code::Failed, format!("cannot write {}", path.display()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return fail(
            Code::Failed,
            format!(
                "another `hawser up` is at work in {}; wait for it",
                home.path().display()
            ),
        );
    }
    Ok(file)
}

/// Writes a new network.
pub(super) fn create(home: &Home, args: &UpArgs) -> Result<Vec<LocalNode>> {
    generate::refuse_existing(home.path())?;
    let count = args.nodes.unwrap_or(4);
    let rpc = args.rpc_port.unwrap_or(RPC_PORT);
    let p2p = args.p2p_port.unwrap_or(P2P_PORT);
    let metrics = match args.metrics_port {
        Some(port) => port,
        None => metrics_port(rpc, p2p, count)?,
    };
    let nodes = generate::local_nodes(count, Ports { rpc, p2p, metrics })?;
    Plan {
        dir: home.path().to_owned(),
        name: "local".to_owned(),
        chain_id: args.chain_id.unwrap_or(CHAIN_ID),
        suite: args.suite.unwrap_or(Suite::Intl),
        parameters: ChainParameters {
            verification: args.verification.unwrap_or_default(),
            ..ChainParameters::default()
        },
        nodes,
        protection: Protection::Random,
        accounts: BTreeMap::new(),
        test_account: true,
        governance: args.governance,
        encryption: args.encryption.wanted(),
    }
    .write(&|_| {})?;
    home.nodes()
}

/// The name of who verifies signatures, as people write it.
const fn verification_name(verification: Verification) -> &'static str {
    match verification {
        Verification::All => "all",
        Verification::Quorum => "quorum",
    }
}

/// The usual port where it and its successors are free, else others that are: nobody asked for
/// these, so they must not be what keeps a network from starting.
fn metrics_port(rpc: u16, p2p: u16, count: u16) -> Result<u16> {
    let usable = |base: u16| {
        let Some(end) = base.checked_add(count) else {
            return false;
        };
        let apart = |other: u16| end <= other || other.saturating_add(count) <= base;
        apart(rpc)
            && apart(p2p)
            && (base..end).all(|port| ports::is_free(([127, 0, 0, 1], port).into()))
    };
    rpc.checked_add(METRICS_OFFSET)
        .into_iter()
        .chain((0..64).filter_map(|_| ports::any_free()))
        .find(|base| usable(*base))
        .map_or_else(
            || {
                fail(
                    Code::Failed,
                    "found no free ports for metrics; choose some with --metrics-port",
                )
            },
            Ok,
        )
}

/// Takes up the network that is there, on other ports if that is asked for.
pub(super) fn resume(home: &Home, args: &UpArgs) -> Result<Vec<LocalNode>> {
    let genesis = home.genesis()?;
    let nodes = home.nodes()?;
    let count = u16::try_from(nodes.len()).or_fail(Code::Config)?;
    conflict(home, "suite", args.suite.as_ref(), &genesis.suite)?;
    let verification = args.verification.map(verification_name);
    let found = verification_name(genesis.parameters.verification);
    conflict(home, "verification", verification.as_ref(), &found)?;
    conflict(
        home,
        "chain-id",
        args.chain_id.as_ref(),
        &genesis.chain_id.0,
    )?;
    conflict(home, "nodes", args.nodes.as_ref(), &count)?;
    let open = |node: &&LocalNode| node.config.storage.encryption == Encryption::None;
    if let (true, Some(node)) = (args.encryption.encrypt, nodes.iter().find(open)) {
        let config = node.config_path();
        let config = config.display();
        return fail(
            Code::Usage,
            match Lang::current() {
                Lang::En => format!(
                    "the network in {} exists and its data is not encrypted. Stop it, and encrypt \
                     it node by node: hawser storage encrypt --config {config}",
                    home.path().display()
                ),
                Lang::Zh => format!(
                    "{} 中已有网络，其数据未加密。请先停止网络，再逐个节点加密：hawser storage encrypt --config {config}",
                    home.path().display()
                ),
            },
        );
    }
    let moves = moves(&nodes, args)?;
    if moves.is_empty() {
        return Ok(nodes);
    }
    if nodes.iter().any(|node| node.pid().is_some()) {
        return fail(
            Code::Usage,
            "the network runs on other ports; `hawser down` first, then `hawser up` moves it",
        );
    }
    for node in &nodes {
        rewrite(node, &moves)?;
    }
    home.nodes()
}

/// Which addresses change, from what to what.
fn moves(nodes: &[LocalNode], args: &UpArgs) -> Result<BTreeMap<String, String>> {
    let Some(first) = nodes.first() else {
        return Ok(BTreeMap::new());
    };
    let asked = args.rpc_port.is_some() || args.p2p_port.is_some() || args.metrics_port.is_some();
    let config = &first.config;
    let (Some(rpc), Some(metrics), true) = (config.rpc.http, config.metrics.listen, asked) else {
        return Ok(BTreeMap::new());
    };
    let ports = Ports {
        rpc: args.rpc_port.unwrap_or(rpc.port()),
        p2p: args.p2p_port.unwrap_or(config.network.listen.port()),
        metrics: args.metrics_port.unwrap_or(metrics.port()),
    };
    let count = u16::try_from(nodes.len()).or_fail(Code::Config)?;
    let planned = generate::local_nodes(count, ports)?;
    let mut moves = BTreeMap::new();
    for (node, plan) in nodes.iter().zip(&planned) {
        for (old, new) in addresses(node, plan) {
            if old != *new {
                moves.insert(old, new.clone());
            }
        }
    }
    Ok(moves)
}

fn addresses<'a>(node: &LocalNode, plan: &'a NodePlan) -> Vec<(String, &'a String)> {
    let text = |address: Option<std::net::SocketAddr>| address.map(|a| a.to_string());
    let config = &node.config;
    let pairs = [
        (Some(config.network.listen.to_string()), &plan.listen),
        (text(config.rpc.http), &plan.rpc),
        (text(config.metrics.listen), &plan.metrics),
    ];
    pairs
        .into_iter()
        .filter_map(|(old, new)| Some((old?, new)))
        .collect()
}

/// Replaces addresses in a node's file, each once and all together, and leaves the rest as it is.
fn rewrite(node: &LocalNode, moves: &BTreeMap<String, String>) -> Result<()> {
    let path = node.config_path();
    let context = || format!("cannot change {}", path.display());
    let text = fs::read_to_string(&path).context(Code::Failed, context())?;
    let next = path.with_extension("toml.new");
    fs::write(&next, replace(&text, moves)).context(Code::Failed, context())?;
    fs::rename(&next, &path).context(Code::Failed, context())
}

fn replace(text: &str, moves: &BTreeMap<String, String>) -> String {
    text.split('"')
        .map(|part| moves.get(part).map_or(part, String::as_str))
        .collect::<Vec<_>>()
        .join("\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_change_all_together_and_nothing_else_does() {
        let moves = BTreeMap::from([
            ("a:1".to_owned(), "a:2".to_owned()),
            ("a:2".to_owned(), "a:3".to_owned()),
        ]);
        let text = "# a:1\nx = \"a:1\"\ny = \"a:2\"\nz = \"a:11\"\n";
        assert_eq!(
            replace(text, &moves),
            "# a:1\nx = \"a:2\"\ny = \"a:3\"\nz = \"a:11\"\n"
        );
    }

    #[test]
    fn ports_of_metrics_avoid_those_of_clients_and_peers() {
        let port = metrics_port(u16::MAX - 10, 1, 4).unwrap();
        assert!(port.checked_add(3).is_some());
        let base = ports::any_free().unwrap();
        let Some(rpc) = base.checked_sub(METRICS_OFFSET) else {
            return;
        };
        // The usual port is that of peers here.
        assert_ne!(metrics_port(rpc, base, 2).unwrap(), base);
    }
}
