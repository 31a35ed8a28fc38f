//! Carries out what a [`Joiner`] asks for: on real links, a real clock and a folder for chunks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use hawser_ledger::{Genesis, LightClient};
use hawser_network::{Lane, NetworkHandle, PeerId};
use hawser_primitives::{Bytes, Height, Time, encode};
use tokio::sync::mpsc;

use super::{
    ChunkId, Contents, JoinAction, JoinEvent, JoinLimits, JoinProgress, JoinReport, Joiner,
    Manifest, Shelf, SnapshotError, check_blocks, check_state,
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

/// Fetches chunks as the machine asks.
struct Fetch {
    setup: JoinSetup,
    network: NetworkHandle,
    joiner: Joiner,
    started: Instant,
    manifest: Option<(Arc<Manifest>, LightClient)>,
    /// Content checks of parts that are not complete.
    contents: BTreeMap<u32, Contents>,
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
    let mut fetch = Fetch {
        joiner: Joiner::new(&setup.genesis, setup.limits),
        setup,
        network,
        started: Instant::now(),
        manifest: None,
        contents: BTreeMap::new(),
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
                let result = match self.check(id, &bytes) {
                    Ok(()) => {
                        let height = self.height();
                        self.setup.staging.put_chunk(height, id, &bytes)?;
                        Ok(())
                    }
                    Err(error) => Err(error.to_string()),
                };
                Ok(Some(JoinEvent::Checked {
                    chunk: Some(id),
                    from: Some(from),
                    result,
                }))
            }
            JoinAction::Report(report) => {
                tell(&report);
                Ok(None)
            }
            JoinAction::Complete(height) => {
                if let Some((manifest, _)) = &self.manifest {
                    self.setup.staging.put_manifest(manifest)?;
                }
                self.complete = Some(height);
                Ok(None)
            }
        }
    }

    fn height(&self) -> Height {
        let manifest = self.manifest.as_ref();
        manifest.map_or(Height::GENESIS, |(manifest, _)| manifest.height())
    }

    fn begin(&mut self, manifest: Manifest, from: PeerId) -> Result<JoinEvent, SnapshotError> {
        let genesis = Arc::clone(&self.setup.genesis);
        let client = match manifest.verify(&genesis) {
            Ok(client) => client,
            Err(error) => {
                return Ok(JoinEvent::Checked {
                    chunk: None,
                    from: Some(from),
                    result: Err(error.to_string()),
                });
            }
        };
        let height = manifest.height();
        let (manifest, digest) = (Arc::new(manifest.clone()), manifest.digest(genesis.suite));
        self.setup.staging.clear_but(Some(height))?;
        self.contents.clear();
        self.manifest = Some((Arc::clone(&manifest), client));
        let mut here = Vec::new();
        for id in manifest.chunks() {
            // What a crash left torn is fetched again, like what is wrong.
            let Ok(Some(bytes)) = self.setup.staging.chunk(height, id) else {
                continue;
            };
            if self.check(id, &bytes).is_ok() {
                here.push(id);
            }
        }
        tracing::info!(%height, chunks = manifest.chunk_count(), here = here.len(),
            bytes = manifest.state_bytes(), "fetching a snapshot");
        self.joiner.begun((manifest, digest), from, here);
        Ok(JoinEvent::Tick)
    }

    fn check(&mut self, id: ChunkId, bytes: &[u8]) -> Result<(), SnapshotError> {
        let Some((manifest, client)) = &self.manifest else {
            return Err(SnapshotError::wrong("a chunk before its manifest"));
        };
        let genesis = &self.setup.genesis;
        let suite = genesis.suite;
        let unknown = || SnapshotError::wrong("a chunk that the manifest does not have");
        match id {
            ChunkId::State(at) => {
                let part = manifest.parts.get(at as usize).ok_or_else(unknown)?;
                let leaves = check_state(suite, part, bytes)?;
                let contents = Contents::of(suite, &leaves);
                if part.contents.is_empty() {
                    contents.finish()
                } else {
                    self.contents.insert(at, contents);
                    Ok(())
                }
            }
            ChunkId::Content(at, n) => {
                let part = manifest.parts.get(at as usize).ok_or_else(unknown)?;
                let contents = self.contents.get_mut(&at).ok_or_else(unknown)?;
                contents.check(part, n, bytes)?;
                if (n as usize).saturating_add(1) < part.contents.len() {
                    return Ok(());
                }
                let contents = self.contents.remove(&at);
                contents.map_or(Ok(()), Contents::finish)
            }
            ChunkId::Blocks(n) => {
                let lag = genesis.parameters.root_lag;
                check_blocks(client, suite, lag, manifest, n, bytes).map(|_| ())
            }
        }
    }
}

fn tell(report: &JoinReport) {
    match report {
        JoinReport::Dropped { peer, reason } => tracing::warn!(
            %peer, %reason,
            "a peer sent a snapshot that is damaged or forged; it is not asked any more"
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
