//! Carries out what a [`Joiner`] asks for: on real links, a real clock and a folder for chunks.

use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    panic,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use hawser_ledger::Genesis;
use hawser_network::{Lane, NetworkHandle, PeerId};
use hawser_primitives::{Bytes, Height, Time, encode};
use tokio::{
    sync::{Semaphore, mpsc},
    task::{JoinError, JoinSet},
};

use super::{
    ChunkChecker, ChunkId, JoinAction, JoinEvent, JoinLimits, JoinProgress, JoinReport, Joiner,
    Manifest, Shelf, SnapshotError,
};
use crate::replica::PeerMessage;

/// How often time is told.
const TICK: Duration = Duration::from_millis(100);

/// How a node joins.
pub struct JoinSetup {
    /// The chain.
    pub genesis: Arc<Genesis>,
    /// Where chunks are kept until they are complete, over restarts as well.
    pub staging: Shelf,
    /// Waits and bounds.
    pub limits: JoinLimits,
    /// Time after which a node goes on with blocks if no peer offers a snapshot; `None` waits for one.
    pub give_up: Option<Duration>,
    /// Told how far it is, ten times a second.
    pub progress: Box<dyn Fn(JoinProgress) + Send + Sync>,
}

/// What the links bring to a chain that joins.
#[derive(Debug)]
pub(crate) enum JoinInput {
    Link(PeerId, bool),
    Message(PeerId, Vec<u8>),
}

/// What a check says, or why a chunk cannot be stored.
type Checked = Result<JoinEvent, SnapshotError>;

/// Fetches chunks as the machine asks.
struct Fetch {
    setup: JoinSetup,
    network: NetworkHandle,
    joiner: Joiner,
    started: Instant,
    /// Of the snapshot that is being fetched.
    checker: Option<Arc<ChunkChecker>>,
    /// Chunks that are being checked.
    checks: JoinSet<Result<Checked, JoinError>>,
    /// How many are at once.
    turns: Arc<Semaphore>,
    complete: Option<Height>,
}

/// Fetches a snapshot into the staging folder; gives its block, or `None` when no peer offers one and the
/// node is to go on with blocks.
pub(crate) async fn fetch(
    setup: JoinSetup,
    network: NetworkHandle,
    linked: BTreeSet<PeerId>,
    mut inputs: mpsc::Receiver<JoinInput>,
) -> Result<Option<Height>, SnapshotError> {
    let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut fetch = Fetch {
        joiner: Joiner::new(&setup.genesis, setup.limits),
        setup,
        network,
        started: Instant::now(),
        checker: None,
        checks: JoinSet::new(),
        turns: Arc::new(Semaphore::new(processors)),
        complete: None,
    };
    for peer in linked {
        fetch.step(JoinEvent::PeerUp(peer))?;
    }
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let event = tokio::select! {
            input = inputs.recv() => match input {
                None => return Err(SnapshotError::Stopped),
                Some(JoinInput::Link(peer, true)) => JoinEvent::PeerUp(peer),
                Some(JoinInput::Link(peer, false)) => JoinEvent::PeerDown(peer),
                Some(JoinInput::Message(from, bytes)) => match super::read_answer(&bytes) {
                    Some(answer) => JoinEvent::Answer(from, answer),
                    None => {
                        tracing::warn!(%from, "a peer sent an answer that cannot be read");
                        continue;
                    }
                },
            },
            Some(checked) = fetch.checks.join_next() => match checked.flatten() {
                Ok(event) => event?,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => panic::resume_unwind(panic),
                    Err(_) => return Err(SnapshotError::Stopped),
                },
            },
            _ = ticks.tick() => JoinEvent::Tick,
        };
        let is_tick = matches!(event, JoinEvent::Tick);
        tokio::task::block_in_place(|| fetch.step(event))?;
        if let Some(height) = fetch.complete {
            (fetch.setup.progress)(fetch.joiner.progress());
            return Ok(Some(height));
        }
        if is_tick {
            (fetch.setup.progress)(fetch.joiner.progress());
            let waited = fetch.setup.give_up;
            let waited = waited.is_some_and(|limit| fetch.started.elapsed() >= limit);
            if waited && fetch.joiner.answered() > 0 && !fetch.joiner.has_hope() {
                return Ok(None);
            }
        }
    }
}

impl Fetch {
    fn now(&self) -> Time {
        let elapsed = self.started.elapsed().as_millis();
        Time(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }

    /// Gives the machine an event and carries out what follows, until nothing more does.
    fn step(&mut self, event: JoinEvent) -> Result<(), SnapshotError> {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for action in self.joiner.handle(self.now(), event) {
                events.extend(self.act(action)?);
            }
        }
        Ok(())
    }

    fn act(&mut self, action: JoinAction) -> Result<Option<JoinEvent>, SnapshotError> {
        match action {
            JoinAction::Ask(to, request) => {
                let message = encode(&PeerMessage::SnapshotRequest(request));
                let chain = self.setup.genesis.chain_id;
                // Gone or full: it is asked again when no answer comes.
                let bytes = Bytes::from(message).0;
                let _ = self.network.send(to, chain, Lane::Bulk, bytes);
                Ok(None)
            }
            JoinAction::Begin(manifest, from) => self.begin(*manifest, from).map(Some),
            JoinAction::Check(id, from, bytes) => {
                self.check(id, from, bytes);
                Ok(None)
            }
            JoinAction::Report(report) => {
                tell(&report);
                Ok(None)
            }
            JoinAction::Complete(height) => {
                if let Some(checker) = &self.checker {
                    self.setup.staging.put_manifest(checker.manifest())?;
                }
                self.complete = Some(height);
                Ok(None)
            }
        }
    }

    fn begin(&mut self, manifest: Manifest, from: PeerId) -> Result<JoinEvent, SnapshotError> {
        let genesis = Arc::clone(&self.setup.genesis);
        let suite = genesis.suite;
        let checker = match ChunkChecker::new(genesis, Arc::new(manifest)) {
            Ok(checker) => Arc::new(checker),
            Err(error) => {
                return Ok(JoinEvent::Checked {
                    chunk: None,
                    from: Some(from),
                    result: Err(error.to_string()),
                });
            }
        };
        let manifest = checker.manifest();
        let height = manifest.height();
        self.setup.staging.clear_but(Some(height))?;
        let here = checker.here(&self.setup.staging);
        tracing::info!(%height, chunks = manifest.chunk_count(), here = here.len(),
            bytes = manifest.state_bytes(), "fetching a snapshot");
        let digest = manifest.digest(suite);
        self.joiner
            .begun((Arc::clone(manifest), digest), from, here);
        self.checker = Some(checker);
        Ok(JoinEvent::Tick)
    }

    /// Checks and stores a chunk on a thread of its own, as many at once as there are processors.
    fn check(&mut self, id: ChunkId, from: PeerId, bytes: Bytes) {
        let Some(checker) = self.checker.clone() else {
            return;
        };
        let (staging, turns) = (self.setup.staging.clone(), Arc::clone(&self.turns));
        let work = move || {
            let height = checker.manifest().height();
            let result = checker.check(id, &bytes);
            if result.is_ok() {
                staging.put_chunk(height, id, &bytes)?;
            }
            Ok(JoinEvent::Checked {
                chunk: Some(id),
                from: Some(from),
                result: result.map_err(|error| error.to_string()),
            })
        };
        self.checks.spawn(async move {
            // Never closed.
            let _turn = turns.acquire().await;
            tokio::task::spawn_blocking(work).await
        });
    }
}

fn tell(report: &JoinReport) {
    match report {
        JoinReport::Dropped { peer, reason } => tracing::warn!(
            %peer, %reason,
            "a peer sent a snapshot that is damaged or forged; it is not asked any more"
        ),
        JoinReport::OtherChain(peer) => tracing::warn!(
            %peer,
            "a peer runs another chain than the genesis file of this node says, and gives no snapshot; \
             compare the genesis files"
        ),
        JoinReport::NotUnderstood(peer) => tracing::warn!(
            %peer,
            "a peer cannot read how this node asks for a snapshot; compare the versions of the programs"
        ),
        JoinReport::Silent(peer) => {
            tracing::warn!(%peer, "a peer does not send the chunks it offered; others are asked");
        }
        JoinReport::Chosen { height, peers } => {
            tracing::info!(%height, peers, "a snapshot to join from was found");
        }
        JoinReport::Lost(height) => {
            tracing::warn!(%height, "no peer has that snapshot any more; looking for another");
        }
    }
}
