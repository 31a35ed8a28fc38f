//! Puts the parts of a node together and runs them.

use std::path::Path;
use std::sync::Arc;

use hawser_execution::Threads;
use hawser_ledger::Genesis;
use hawser_network::{ListenerTls, NetworkConfig, NetworkHandle};
use hawser_node::chain::{ChainHandle, ChainSetup};
use hawser_node::config::{ChainSection, Loaded, NodeConfig, NodeMode, ReadsMode, SnapshotServe};
use hawser_node::gate::Gate;
use hawser_node::light::{LightLimits, LightReads, LightService};
use hawser_node::snapshot::{SnapshotLimits, SnapshotService};
use hawser_node::{Node, store};
use hawser_ops::audit::{self, RefusalSink, RefusalSource};
use hawser_ops::http::{self, Probe};
use hawser_ops::{ChainMetrics, Metrics, NodeInfo};
use hawser_primitives::ChainId;
use hawser_rpc::{Chains, Cors, Page, RpcConfig, RpcLimits, RpcServer};
use hawser_storage::{Disk, FjallKv, Kv, KvError, OsDisk, SealedDisk, SealedKv};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::guard::Guard;
use super::observe::{Blackbox, Calls, Health, Observer, Phase};
use super::snapshots::Keeper;
use super::tiering::{self, Mover};
use super::{Keys, admission, joining, light, machine, snapshots, twins};
use crate::exit::{Code, Failure, OrFail, Result, fail};
use crate::local::read_genesis;
use crate::passphrase::Passphrase;
use crate::{datafolder, files, tiering as object_store};

/// Runs a node until a signal or a failure.
pub(super) fn run(file: &Path, loaded: &Loaded, keys: Keys) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("hawser")
        .build()
        .context(Code::Failed, "cannot start threads")?
        .block_on(async {
            match loaded.config.node.mode {
                NodeMode::Full => serve(file, loaded, keys).await,
                NodeMode::Light => light::serve(&loaded.config, keys).await,
            }
        })
}

async fn serve(file: &Path, loaded: &Loaded, keys: Keys) -> Result<()> {
    let config = &loaded.config;
    let metrics = Metrics::new();
    let own = keys.credential.peer_id();
    metrics.set_node(&NodeInfo {
        name: config.node.name.clone(),
        id: own.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    });
    // Signals count from the first moment, so that a slow start can be stopped too.
    let mut terminate = signal(SignalKind::terminate()).context(Code::Failed, "signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context(Code::Failed, "signals")?;

    let network = NetworkConfig {
        listen: config.network.listen,
        credential: keys.credential,
        // With what was admitted and removed since the configuration was written.
        peers: Vec::new(),
        limits: config.network.limits(),
    };
    let node = Node::start(network).await.or_fail(Code::Failed)?;
    tracing::info!(node = %config.node.name, id = %own, listen = %config.network.listen,
        version = env!("CARGO_PKG_VERSION"), "node starts");
    let admitter = node.admitter();
    let _admission = admission::start(config, Box::new(move |peers| admitter.set(peers)))?;
    let health = Health::new();
    serve_operators(config, node.network(), &metrics, &health).await?;

    // What is refused before the log is open waits for it.
    let (sink, refused) = audit::refusals();
    let secrets = (keys.votes, &keys.passphrase);
    let started = start_chains(config, secrets, &node, (&metrics, &health), &sink).await;
    let mut keepers = Vec::new();
    let served = match started {
        Ok((chains, shelves)) => {
            keepers = shelves;
            let id = own.to_string();
            guarded(
                (file, loaded),
                (&id, &node),
                (chains, refused),
                &metrics,
                keys.rpc_tls,
            )
            .await
        }
        Err(failure) => Err(failure),
    };
    let (chains, rpc, guard) = match served {
        Ok(served) => served,
        Err(failure) => {
            // The chains that did start have to be closed in order, too.
            tokio::task::block_in_place(|| drop(keepers));
            if let Err(error) = node.stop().await {
                tracing::error!(%error, "closing after a failed start");
            }
            return Err(failure);
        }
    };
    let handles: Vec<_> = chains.iter().map(|(handle, _)| handle.clone()).collect();
    let links = twins::watch(config.clone(), node.network().clone(), handles.clone());
    let watches = [
        tokio::spawn(machine::watch(config.clone(), handles)),
        tokio::spawn(links),
    ];
    health.set(Phase::Running(chains));
    tracing::info!("node runs");

    let ended = tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
        (chain, reason) = node.failed() => Err((chain, reason)),
    };
    for watch in watches {
        watch.abort();
    }
    health.set(Phase::Stopping);
    match &ended {
        Ok(signal) => tracing::info!(signal, "node stops"),
        Err((chain, reason)) => tracing::error!(%chain, reason, "node stops"),
    }
    // No further requests before the chains close.
    if let Some(rpc) = rpc {
        rpc.stop().await;
    }
    let why = match &ended {
        Ok(signal) => (*signal).to_owned(),
        Err((chain, reason)) => format!("chain {chain}: {reason}"),
    };
    tokio::task::block_in_place(|| drop(keepers));
    tokio::task::block_in_place(|| guard.stopped(&why));
    let stopped = node.stop().await;
    if let Err((chain, reason)) = ended {
        return fail(Code::Failed, format!("chain {chain} stopped: {reason}"));
    }
    stopped.or_fail(Code::Failed)?;
    tracing::info!("node stopped");
    Ok(())
}

type Served = (Vec<(ChainHandle, ChainMetrics)>, Option<RpcServer>, Guard);

/// Opens the audit log, then serves clients.
async fn guarded(
    (file, loaded): (&Path, &Loaded),
    (id, node): (&str, &Node),
    (chains, refused): (Vec<(ChainHandle, ChainMetrics)>, RefusalSource),
    metrics: &Metrics,
    tls: Option<ListenerTls>,
) -> Result<Served> {
    let handles: Vec<_> = chains.iter().map(|(handle, _)| handle.clone()).collect();
    let config = &loaded.config;
    let folder = |(section, chain): (&ChainSection, &ChainHandle)| {
        chain_dir(config, section, chain.store().genesis().chain_id)
    };
    let folders = config.chains.iter().zip(&handles).map(folder).collect();
    let guard = tokio::task::block_in_place(|| {
        Guard::open((file, loaded), id, (&handles, folders), refused)
    })?;
    let rpc = interface(config, (id, node), &handles, &guard, metrics, tls).await?;
    Ok((chains, rpc, guard))
}

/// Serves clients, if the configuration says so.
async fn interface(
    config: &NodeConfig,
    (id, node): (&str, &Node),
    chains: &[ChainHandle],
    guard: &Guard,
    metrics: &Metrics,
    tls: Option<ListenerTls>,
) -> Result<Option<RpcServer>> {
    let offered = Chains::new();
    for (handle, section) in chains.iter().zip(&config.chains) {
        offered.insert_guarded(handle.clone(), guard.access(config, section, handle));
    }
    listen(config, (id, node.network()), offered, metrics, tls).await
}

/// Listens for clients of the chains offered, if the configuration says so.
pub(super) async fn listen(
    config: &NodeConfig,
    (id, links): (&str, &NetworkHandle),
    offered: Chains,
    metrics: &Metrics,
    tls: Option<ListenerTls>,
) -> Result<Option<RpcServer>> {
    let Some(listen) = config.rpc.http else {
        return Ok(None);
    };
    let section = &config.rpc;
    let limits = RpcLimits {
        connections_max: section.connections_max,
        connections_per_address_max: section.connections_per_address_max,
        websockets_max: section.websockets_max,
        body_bytes_max: section.body_bytes_max,
        response_bytes_max: section.response_bytes_max,
        batch_max: section.batch_max,
        request_ms_max: section.request_ms_max,
        write_ms_max: section.write_ms_max,
        memory_bytes_max: section.memory_bytes_max,
        connection_bytes_max: section.connection_bytes_max,
        token_ms_max: section.token_ms_max,
        subscriptions_max: section.subscriptions_max,
        filters_max: section.filters_max,
        logs_range_max: section.logs_range_max,
        logs_results_max: section.logs_results_max,
        call_gas_max: section.call_gas_max,
        heavy_ms_max: section.heavy_ms_max,
        ..RpcLimits::default()
    };
    let limits = match section.heavy_max {
        0 => limits,
        heavy_max => RpcLimits {
            heavy_max,
            ..limits
        },
    };
    let rpc = RpcConfig {
        cors: cors(&section.cors),
        limits,
        observer: Arc::new(Calls(metrics.clone())),
        node: Some(id.to_owned()),
        pages: Some(Arc::new(console)),
        tls,
        links: Some(links.clone()),
        ..RpcConfig::new(listen)
    };
    let server = hawser_rpc::serve(rpc, offered, std::future::pending())
        .await
        .context(
            Code::Failed,
            format!("JSON-RPC on {listen}, which rpc.http names"),
        )?;
    tracing::info!(address = %server.local_addr(), "JSON-RPC over HTTP and WebSocket");
    Ok(Some(server))
}

/// The console's files, as the interface serves them.
fn console(path: &str) -> Option<Page> {
    let asset = hawser_console::asset(path)?;
    let mut headers = hawser_console::HEADERS.to_vec();
    headers.push(("content-type", asset.content_type));
    headers.push(("cache-control", asset.cache_control));
    Some(Page {
        bytes: asset.bytes,
        etag: asset.etag,
        headers,
    })
}

fn cors(origins: &[String]) -> Cors {
    match origins {
        [] => Cors::None,
        [only] if only == "auto" => Cors::Auto,
        many if many.iter().any(|origin| origin == "*") => Cors::Any,
        many => Cors::Origins(many.to_vec()),
    }
}

pub(super) async fn serve_operators(
    config: &NodeConfig,
    network: &NetworkHandle,
    metrics: &Metrics,
    health: &Health,
) -> Result<()> {
    let Some(address) = config.metrics.listen else {
        return Ok(());
    };
    let listener = TcpListener::bind(address).await.context(
        Code::Failed,
        format!("cannot listen on {address}, which metrics.listen names"),
    )?;
    let network = network.clone();
    let health = health.clone();
    let probe: Probe = Arc::new(move |metrics: Metrics| {
        network_numbers(&metrics, &network);
        let health = health.clone();
        Box::pin(async move { health.probe().await })
    });
    let router = http::router(metrics.clone(), probe);
    let serving = http::serve(
        listener,
        router,
        http::Limits::default(),
        std::future::pending(),
    );
    tokio::spawn(serving);
    Ok(())
}

fn network_numbers(metrics: &Metrics, network: &NetworkHandle) {
    let peers = network.peers();
    let up = peers
        .iter()
        .filter(|peer| peer.connected_since.is_some())
        .count();
    metrics.set_peers(up, peers.len());
    let counters = network.counters();
    metrics.set_network(
        counters.bytes_in,
        counters.bytes_out,
        counters.frames_in,
        counters.frames_out,
    );
    for (reason, count) in &counters.refused {
        metrics.set_network_refused(reason.name(), *count);
    }
    for (reason, count) in [
        ("dial_failed", counters.dial_failures),
        ("queue_full", counters.dropped_queue_full),
        ("link_down", counters.dropped_link_down),
        ("invalid", counters.dropped_invalid),
        ("oversize", counters.oversize),
        ("malformed", counters.malformed),
        ("silent", counters.silent),
    ] {
        metrics.set_network_refused(reason, count);
    }
}

/// Chains that run, and what makes their snapshots and moves their old files.
type Started = (
    Vec<(ChainHandle, ChainMetrics)>,
    Vec<(Keeper, Option<Mover>)>,
);

async fn start_chains(
    config: &NodeConfig,
    (votes, passphrase): (Vec<Option<hawser_crypto::SecretKey>>, &Passphrase),
    node: &Node,
    (metrics, health): (&Metrics, &Health),
    refusals: &RefusalSink,
) -> Result<Started> {
    if config.chains.is_empty() {
        return fail(
            Code::Config,
            "the configuration names no chain; add a [[chains]] with the path of its genesis",
        );
    }
    let (mut chains, mut keepers) = (Vec::new(), Vec::new());
    // All chains share them.
    let (threads, gate) = (Threads::new(config.execution.threads), Arc::default());
    for (section, key) in config.chains.iter().zip(votes) {
        let genesis = Arc::new(read_genesis(&section.genesis)?);
        check_key(&genesis, section, key.as_ref())?;
        let own = key.as_ref().map(hawser_crypto::SecretKey::address);
        let chain = metrics.chain(genesis.chain_id);
        chain.set_info(
            &genesis.name,
            genesis.suite.name(),
            &genesis.hash().to_string(),
        );
        let id = genesis.chain_id;
        let dir = chain_dir(config, section, id);
        let blackbox = Blackbox::new(&config.node.name, &dir, config.log.blackbox_mib);
        let setup = setup(
            config,
            section,
            &genesis,
            (key, passphrase),
            (&threads, &gate),
            Observer::new(metrics, chain.clone(), refusals.clone(), blackbox),
        )?;
        joining::join(config, (&setup, &dir), node, (health, &chain)).await?;
        let sealer = setup.disk.sealer();
        let handle = tokio::task::block_in_place(|| {
            node.add_chain(setup, &mut |at, target| {
                if at.0 % 1_000 == 0 {
                    tracing::info!(chain = %id, %at, %target, "executing stored blocks again");
                }
            })
        })
        .or_fail(Code::Failed)?;
        note_membership(&handle, own);
        let service = LightService {
            // A link proves which node asks, not which member: it opens nothing that a reader
            // would have to sign for.
            reads: match config.reads_of(section) {
                ReadsMode::Open => LightReads::Open,
                ReadsMode::Signed => LightReads::HeadersOnly,
            },
            limits: LightLimits::default(),
        };
        node.serve_light(id, service).or_fail(Code::Failed)?;
        let (shelf, keeper) = snapshots::start(&handle, &config.snapshot, &dir, sealer)?;
        keepers.push((keeper, tiering::start(&handle, config.tier.rules())?));
        if config.snapshot.serve == SnapshotServe::Peers {
            let limits = SnapshotLimits::default();
            let service = SnapshotService { shelf, limits };
            node.serve_snapshots(id, service).or_fail(Code::Failed)?;
        }
        let head = handle.store().head().id();
        tracing::info!(chain = %id, name = %genesis.name, suite = %genesis.suite,
            height = %head.height, "chain runs");
        chains.push((handle, chain));
    }
    Ok((chains, keepers))
}

fn check_key(
    genesis: &Genesis,
    section: &ChainSection,
    key: Option<&hawser_crypto::SecretKey>,
) -> Result<()> {
    let Some(key) = key else {
        tracing::info!(chain = %genesis.chain_id, "no vote key: this node follows without voting");
        return Ok(());
    };
    if key.scheme() != genesis.suite.vote_scheme() {
        return fail(
            Code::Config,
            format!(
                "the vote key of chain {} is a {} key; suite {} of {} votes with {}",
                genesis.chain_id,
                key.scheme(),
                genesis.suite,
                section.genesis.display(),
                genesis.suite.vote_scheme()
            ),
        );
    }
    Ok(())
}

/// Says whether the node has a vote now; membership may change while it runs.
fn note_membership(handle: &ChainHandle, own: Option<hawser_primitives::Address>) {
    let store = handle.store();
    let (id, next) = (store.genesis().chain_id, store.head().id().height.next());
    let Some(address) = own else {
        return;
    };
    match store.committee(next) {
        Ok(set) if set.get(&address).is_some() => {
            tracing::info!(chain = %id, %address, "this node is a validator");
        }
        Ok(_) => tracing::warn!(chain = %id, %address,
            "the vote key belongs to no validator at present; this node follows"),
        Err(error) => tracing::error!(chain = %id, %error, "reading the committee"),
    }
}

/// Folder of a chain's data.
pub(crate) fn chain_dir(
    config: &NodeConfig,
    section: &ChainSection,
    id: ChainId,
) -> std::path::PathBuf {
    match &section.dir {
        Some(dir) => dir.clone(),
        None => config.node.data_dir.join(format!("chain-{id}")),
    }
}

/// Refuses to begin a new chain where the only configured one used to be another: a genesis whose
/// chain id was changed by mistake would otherwise start an empty chain beside it.
pub(super) fn refuse_changed_chain(config: &NodeConfig, dir: &std::path::Path) -> Result<()> {
    if dir.exists() || config.chains.len() != 1 {
        return Ok(());
    }
    let Ok(entries) = std::fs::read_dir(&config.node.data_dir) else {
        return Ok(());
    };
    let old = entries.flatten().map(|entry| entry.path()).find(|path| {
        path.file_name()
            .is_some_and(|n| n.to_string_lossy().starts_with("chain-"))
    });
    match old {
        Some(old) => fail(
            Code::Config,
            format!(
                "the genesis names another chain than before: data of the earlier one is in {}. \
                 Restore its genesis, or move that folder away to begin the new chain",
                old.display()
            ),
        ),
        None => Ok(()),
    }
}

/// The two stores of a chain's folder, which is made if it is not there.
pub(crate) fn open_stores(
    config: &NodeConfig,
    section: &ChainSection,
    genesis: &Genesis,
    passphrase: &Passphrase,
) -> Result<(Arc<dyn Disk>, Arc<dyn Kv>)> {
    let dir = chain_dir(config, section, genesis.chain_id);
    refuse_changed_chain(config, &dir)?;
    files::make_dir(&dir)?;
    let open = |error: &dyn std::fmt::Display| {
        Failure::new(
            Code::Failed,
            format!("chain data in {}: {error}", dir.display()),
        )
    };
    let sealer = datafolder::sealer(&dir, &config.storage, genesis.suite, passphrase)?;
    let disk = OsDisk::new(&dir.join("log")).map_err(|error| open(&error))?;
    let cache = config.storage.kv_cache_bytes();
    let mut columns = store::columns();
    columns.extend(sealer.is_some().then_some(SealedKv::COLUMN));
    let kv_error = |error: KvError| {
        let reason = format!(
            "{error}. If files in {kv} are damaged, move that folder and the files state-* in {log} \
             away and start the node again: state and indexes are made anew from the blocks in {log}",
            kv = dir.join("kv").display(),
            log = dir.join("log").display(),
        );
        open(&reason)
    };
    let kv = FjallKv::open(&dir.join("kv"), &columns, cache).map_err(kv_error)?;
    let disk = object_store::disk(config, &dir, disk, genesis, false)?;
    let (disk, kv): (Arc<dyn Disk>, Arc<dyn Kv>) = match sealer {
        Some(sealer) => (
            Arc::new(SealedDisk::new(disk, Arc::clone(&sealer))),
            Arc::new(SealedKv::open(Arc::new(kv), sealer, &store::key_forms()).map_err(kv_error)?),
        ),
        None => (disk, Arc::new(kv)),
    };
    Ok((disk, kv))
}

fn setup(
    config: &NodeConfig,
    section: &ChainSection,
    genesis: &Arc<Genesis>,
    (key, passphrase): (Option<hawser_crypto::SecretKey>, &Passphrase),
    (threads, gate): (&Threads, &Arc<Gate>),
    observer: Observer,
) -> Result<ChainSetup> {
    let (disk, kv) = open_stores(config, section, genesis, passphrase)?;
    // Leave a processor to agreement and execution where there is more than one.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(ChainSetup {
        genesis: Arc::clone(genesis),
        key: key.map(Arc::new),
        natives: hawser_services::registry().or_fail(Code::Failed)?,
        timeouts: config.consensus.timeouts(),
        pool: config.pool.limits(),
        store: store::StoreOptions {
            threads: threads.clone(),
            gate: Arc::clone(gate),
            ..config.store_options()
        },
        disk,
        kv,
        verifiers: processors.saturating_sub(1).clamp(1, 8),
        observer: Arc::new(observer),
    })
}
