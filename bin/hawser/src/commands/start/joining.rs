//! An empty folder filled from a snapshot that peers have.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hawser_node::Node;
use hawser_node::chain::{ChainSetup, write_vote_guard};
use hawser_node::config::{NodeConfig, SyncMode};
use hawser_node::replica::{GuardReason, VoteGuard};
use hawser_node::snapshot::{self, JoinLimits, JoinProgress, JoinSetup, JoinStage, Shelf};
use hawser_ops::ChainMetrics;
use hawser_primitives::Height;
use tokio::signal::unix::{SignalKind, signal};

use super::observe::{Health, Phase};
use crate::exit::{Code, OrFail, Result, fail};
use crate::lang::Lang;
use crate::shelves::{self, Joining, STAGING};

/// Time after which a node in mode `auto` goes on with blocks if no peer offers a snapshot.
const GIVE_UP: Duration = Duration::from_secs(10);
/// How often it is said how far it is.
const SAY: Duration = Duration::from_secs(1);
/// How often the log says it.
const LOG: Duration = Duration::from_secs(10);

/// Says how far joining is: to the readiness page, the metrics, the log, and `hawser status`.
struct Teller {
    data_dir: std::path::PathBuf,
    chain: u64,
    health: Health,
    metrics: ChainMetrics,
    state: Mutex<Told>,
}

struct Told {
    began: Option<(Instant, u64, &'static str)>,
    said: Option<Instant>,
    logged: Option<Instant>,
}

impl Teller {
    fn tell(
        &self,
        stage: &'static str,
        height: Option<Height>,
        (done, all): (u64, u64),
        (peers, other_chain): (usize, usize),
    ) {
        let mut told = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let (began, first, _) = match told.began {
            Some(began) if began.2 == stage => began,
            _ => *told.began.insert((now, done, stage)),
        };
        let due = |last: Option<Instant>, every| last.is_none_or(|at| now - at >= every);
        if !due(told.said, SAY) {
            return;
        }
        told.said = Some(now);
        let new = done.saturating_sub(first);
        let elapsed = u64::try_from((now - began).as_millis()).unwrap_or(u64::MAX);
        let rest = all.saturating_sub(done);
        let left = elapsed.saturating_mul(rest).checked_div(new);
        let joining = Joining {
            chain: self.chain,
            stage: stage.to_owned(),
            height: height.map(|height| height.0),
            done,
            all,
            peers,
            other_chain,
            seconds_left: left.map(|ms| ms / 1_000),
        };
        joining.write(&self.data_dir);
        self.metrics.set_joining(done, all);
        let sentence = joining.sentence(Lang::current() == Lang::Zh);
        if due(told.logged, LOG) {
            told.logged = Some(now);
            tracing::info!("{}", joining.sentence(false));
        }
        self.health.set(Phase::Joining(sentence));
    }
}

/// Fills an empty folder from a snapshot, if the configuration says so. The node does not vote then until
/// that is safe.
pub(super) async fn join(
    config: &NodeConfig,
    (setup, dir): (&ChainSetup, &Path),
    node: &Node,
    (health, metrics): (&Health, &ChainMetrics),
) -> Result<()> {
    let disk = &setup.disk;
    snapshot::clear_unfinished(disk.as_ref()).or_fail(Code::Failed)?;
    if config.sync.mode == SyncMode::Blocks
        || !snapshot::is_empty(disk.as_ref()).or_fail(Code::Failed)?
    {
        return Ok(());
    }
    let genesis = Arc::clone(&setup.genesis);
    let staging = shelves::disk(&dir.join(STAGING), disk.sealer())?;
    let staging = Shelf::of(staging, genesis.suite);
    let teller = Arc::new(Teller {
        data_dir: config.node.data_dir.clone(),
        chain: genesis.chain_id.0,
        health: health.clone(),
        metrics: metrics.clone(),
        state: Mutex::new(Told {
            began: None,
            said: None,
            logged: None,
        }),
    });
    let told = Arc::clone(&teller);
    let progress = move |progress: JoinProgress| {
        let (stage, height) = match progress.stage {
            JoinStage::Asking => ("asking", None),
            JoinStage::Manifest(height) => ("manifest", Some(height)),
            JoinStage::Chunks(height) | JoinStage::Complete(height) => ("chunks", Some(height)),
        };
        let chunks = (progress.chunks as u64, progress.chunks_all as u64);
        let peers = (progress.peers, progress.other_chain);
        told.tell(stage, height, chunks, peers);
    };
    let fetched = node.fetch_snapshot(JoinSetup {
        genesis: Arc::clone(&genesis),
        staging: staging.clone(),
        limits: JoinLimits::default(),
        give_up: (config.sync.mode == SyncMode::Auto).then_some(GIVE_UP),
        progress: Box::new(progress),
    });
    let mut terminate = signal(SignalKind::terminate()).context(Code::Failed, "signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context(Code::Failed, "signals")?;
    let fetched = tokio::select! {
        fetched = fetched => fetched.or_fail(Code::Failed),
        _ = terminate.recv() => fail(Code::Failed, "stopped while joining; what was fetched is kept"),
        _ = interrupt.recv() => fail(Code::Failed, "stopped while joining; what was fetched is kept"),
    };
    Joining::clear(&config.node.data_dir);
    let Some(height) = fetched? else {
        tracing::info!("no peer offers a snapshot; going on with blocks");
        health.set(Phase::Starting);
        return Ok(());
    };
    let began = Instant::now();
    // The mark first: from here on the folder is one that forgot votes.
    let guard = VoteGuard::unknown(GuardReason::Restored);
    write_vote_guard(Arc::clone(disk), guard).or_fail(Code::Failed)?;
    let restored = tokio::task::block_in_place(|| {
        snapshot::restore(
            (&staging, height),
            (Arc::clone(disk), Arc::clone(&setup.kv)),
            &genesis,
            setup.natives.clone(),
            &setup.store,
            &mut |done, all| teller.tell("writing", Some(height), (done, all), (0, 0)),
        )
    });
    Joining::clear(&config.node.data_dir);
    restored.or_fail(Code::Failed)?;
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(%height, ms, "the state is that of the snapshot; blocks follow");
    staging.clear_but(None).or_fail(Code::Failed)?;
    metrics.set_joining(0, 0);
    health.set(Phase::Starting);
    Ok(())
}
