//! Runs a light node: verified headers, and proofs from peers for the rest.

use std::sync::Arc;

use hawser_execution::{ExecutionConfig, Executor};
use hawser_ledger::Genesis;
use hawser_ledger::state::{StateOptions, StateStore};
use hawser_light::{GenesisRoot, LightNode, LightSetup};
use hawser_network::NetworkConfig;
use hawser_node::config::{ChainSection, NodeConfig, ReadsMode};
use hawser_ops::{Metrics, NodeInfo};
use hawser_primitives::Height;
use hawser_rpc::Chains;
use hawser_storage::{Disk, MemDisk, MemKv, OsDisk, SealedDisk};
use tokio::signal::unix::{SignalKind, signal};

use super::observe::{Health, Phase};
use super::{Keys, admission, run};
use crate::exit::{Code, OrFail, Result, fail};
use crate::local::read_genesis;
use crate::{datafolder, files};

/// The one chain of the configuration. A light node is small: run one for each chain.
fn chain(config: &NodeConfig) -> Result<&ChainSection> {
    match config.chains.as_slice() {
        [only] if only.vote_key.is_some() => fail(
            Code::Config,
            "a light node has no vote: remove vote_key, or set node.mode to full",
        ),
        [only] if config.reads_of(only) == ReadsMode::Signed => fail(
            Code::Config,
            "a light node cannot tell who may read: set reads to open and rpc.http to a loopback \
             address; what it can read itself is up to the nodes that admit it",
        ),
        [only] => Ok(only),
        [] => fail(
            Code::Config,
            "the configuration names no chain; add a [[chains]] with the path of its genesis",
        ),
        _ => fail(
            Code::Config,
            "a light node follows one chain; run one for each chain",
        ),
    }
}

fn disk(
    config: &NodeConfig,
    section: &ChainSection,
    genesis: &Genesis,
    keys: &Keys,
) -> Result<Arc<dyn Disk>> {
    let dir = run::chain_dir(config, section, genesis.chain_id);
    run::refuse_changed_chain(config, &dir)?;
    if dir.join("kv").exists() {
        return fail(
            Code::Config,
            format!(
                "{} holds the full copy of a chain, and node.mode is light: move the folder away \
                 to follow by headers, or set node.mode to full",
                dir.display()
            ),
        );
    }
    files::make_dir(&dir)?;
    let sealer = datafolder::sealer(&dir, &config.storage, genesis.suite, &keys.passphrase)?;
    let folder = dir.join("light");
    let disk = OsDisk::new(&folder).context(Code::Failed, folder.display())?;
    Ok(match sealer {
        Some(sealer) => Arc::new(SealedDisk::new(Arc::new(disk), sealer)),
        None => Arc::new(disk),
    })
}

/// Works out the state of the genesis in memory, for a chain that has no block yet.
fn genesis_root(genesis: Arc<Genesis>) -> GenesisRoot {
    Box::new(move || {
        let work = || -> std::result::Result<_, Box<dyn std::error::Error>> {
            let natives = hawser_services::registry()?;
            let executor = Executor::new(ExecutionConfig::from(genesis.as_ref()), natives);
            let changes = executor.genesis_changes(&genesis);
            let kv = Arc::new(MemKv::new());
            let disk = Arc::new(MemDisk::new(0));
            let state = StateStore::open(kv, disk, genesis.suite, StateOptions::default())?;
            Ok(state.commit(Height::GENESIS, &changes)?)
        };
        work().map_err(|error| error.to_string())
    })
}

/// Runs until a signal or a failure.
pub(super) async fn serve(config: &NodeConfig, keys: Keys) -> Result<()> {
    let metrics = Metrics::new();
    let own = keys.credential.peer_id();
    metrics.set_node(&NodeInfo {
        name: config.node.name.clone(),
        id: own.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    });
    let mut terminate = signal(SignalKind::terminate()).context(Code::Failed, "signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context(Code::Failed, "signals")?;
    let section = chain(config)?;
    let genesis = Arc::new(read_genesis(&section.genesis)?);
    let disk = disk(config, section, &genesis, &keys)?;
    let numbers = metrics.chain(genesis.chain_id);
    numbers.set_info(
        &genesis.name,
        genesis.suite.name(),
        &genesis.hash().to_string(),
    );
    let network = NetworkConfig {
        listen: config.network.listen,
        credential: keys.credential,
        peers: Vec::new(),
        limits: config.network.limits(),
    };
    let setup = LightSetup {
        genesis: Arc::clone(&genesis),
        network,
        disk,
        headers_kept: config.storage.light_headers,
        genesis_root: genesis_root(Arc::clone(&genesis)),
    };
    let node = LightNode::start(setup).await.or_fail(Code::Failed)?;
    let handle = node.handle().clone();
    tracing::info!(node = %config.node.name, id = %own, listen = %config.network.listen,
        version = env!("CARGO_PKG_VERSION"), chain = %genesis.chain_id, name = %genesis.name,
        suite = %genesis.suite, height = %handle.status().height, "light node starts");
    let admitter = handle.admitter().clone();
    let set = move |peers: &[_]| admitter.set(peers).map_err(Into::into);
    let _admission = admission::start(config, Box::new(set))?;
    let health = Health::new();
    run::serve_operators(config, node.network(), &metrics, &health).await?;
    if let Some(http) = config.rpc.http.filter(|http| !http.ip().is_loopback()) {
        tracing::warn!(%http, "rpc.http is open to other machines: whoever reaches it reads as this \
            node does");
    }
    let offered = Chains::new();
    offered.insert_light(handle.clone());
    let (id, links) = (own.to_string(), node.network());
    let rpc = run::listen(config, (&id, links), offered, &metrics, keys.rpc_tls).await?;
    health.set(Phase::Light(handle, numbers));
    tracing::info!("node runs");

    let ended = tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
        reason = node.failed() => Err(reason),
    };
    health.set(Phase::Stopping);
    match &ended {
        Ok(signal) => tracing::info!(signal, "node stops"),
        Err(reason) => tracing::error!(reason, "node stops"),
    }
    if let Some(rpc) = rpc {
        rpc.stop().await;
    }
    let stopped = node.stop().await;
    if let Err(reason) = ended {
        return fail(Code::Failed, format!("the light node stopped: {reason}"));
    }
    stopped.or_fail(Code::Failed)?;
    tracing::info!("node stopped");
    Ok(())
}
