//! Answers to light nodes.

use std::{sync::Arc, time::Duration};

use hawser_ledger::{
    CertifiedHeader,
    state::{StateError, StateKey, StateRead},
};
use hawser_network::{Lane, NetworkHandle, PeerId};
use hawser_primitives::{B256, Bytes, ChainId, Height, decode_exact, encode};
use tokio::sync::{Semaphore, mpsc};

use super::{
    LIGHT_ANSWER_BYTES, LIGHT_BODY_BYTES_MAX, LIGHT_HEADERS_MAX, LIGHT_KEYS_MAX,
    LIGHT_REQUEST_BYTES_MAX, LightAnswer, LightAsk, LightHeader, LightLimits, LightRefusal,
    LightReply, LightRequest, meter::Meters,
};
use crate::{
    chain::{ChainHandle, SubmitError},
    peers::PEERS_MAX,
    replica::PeerMessage,
    store::{ChainStore, StoreError},
};

/// The tag of [`PeerMessage::LightRequest`].
const REQUEST_TAG: u8 = 8;
/// Longest that a submitted transaction is waited for.
const SUBMIT_MAX: Duration = Duration::from_secs(5);
/// Bytes of stored blocks read for one answer with headers.
const LIGHT_READ_BYTES: usize = 32 * 1024 * 1024;
/// Peers whose use is remembered; more than a node admits at a time.
const METERS_MAX: usize = 2 * PEERS_MAX;
/// Bytes of an error's text sent to a peer.
const TEXT_BYTES_MAX: usize = 512;

/// What light nodes may read over their links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LightReads {
    /// Headers, blocks, receipts and state.
    Open,
    /// Headers with their certificates. For chains whose reads are signed: a link proves which
    /// node asks, not which member, and is no entry in the audit log.
    HeadersOnly,
}

/// How a chain serves light nodes.
#[derive(Clone, Copy, Debug)]
pub struct LightService {
    /// What they may read.
    pub reads: LightReads,
    /// How much.
    pub limits: LightLimits,
}

/// A refusal and its words.
type Refused = (LightRefusal, String);

struct Job {
    from: PeerId,
    request: LightRequest,
}

/// What became of a frame from a light peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// It was a request, answered or refused.
    Request,
    /// It is something else.
    Other,
}

/// One chain's answers to light nodes.
pub(crate) struct LightServer {
    handle: ChainHandle,
    network: NetworkHandle,
    service: LightService,
    meters: Meters,
    jobs: mpsc::Sender<Job>,
}

impl LightServer {
    /// Starts answering; ends when the last clone of the server is dropped.
    pub(crate) fn start(
        handle: ChainHandle,
        network: NetworkHandle,
        service: LightService,
    ) -> Arc<Self> {
        let (jobs, waiting) = mpsc::channel(service.limits.queue_max.max(1));
        let server = Arc::new(Self {
            handle,
            network,
            service,
            meters: Meters::new(service.limits, METERS_MAX),
            jobs,
        });
        tokio::spawn(work(Arc::downgrade(&server), waiting));
        server
    }

    fn chain(&self) -> ChainId {
        self.handle.store().genesis().chain_id
    }

    /// Takes a frame. Never waits.
    pub(crate) fn receive(&self, from: PeerId, bytes: &[u8]) -> Received {
        let Some(rest) = bytes.strip_prefix(&[REQUEST_TAG]) else {
            return Received::Other;
        };
        let id = rest.first_chunk().map(|id| u64::from_le_bytes(*id));
        if let Err(what) = self.meters.admit(from) {
            tracing::debug!(%from, what, "a light node asks too much");
            let text = format!("this node allows you no more {what}; ask again in a second");
            self.refuse(from, id.unwrap_or(0), LightRefusal::Busy, text, false);
            return Received::Request;
        }
        let request = match decode_exact::<LightRequest>(rest, LIGHT_REQUEST_BYTES_MAX) {
            Ok(request) => request,
            Err(error) => {
                tracing::warn!(%from, %error, "a peer sent a request of a light node that is none");
                let text = format!("the request is malformed: {error}");
                self.refuse(from, id.unwrap_or(0), LightRefusal::Malformed, text, true);
                return Received::Request;
            }
        };
        let id = request.id;
        if self.jobs.try_send(Job { from, request }).is_err() {
            let text = "this node is busy; ask again in a second".to_owned();
            self.refuse(from, id, LightRefusal::Busy, text, true);
        }
        Received::Request
    }

    fn refuse(&self, to: PeerId, id: u64, why: LightRefusal, text: String, admitted: bool) {
        self.reply(to, id, LightReply::Refused { why, text }, admitted);
    }

    fn reply(&self, to: PeerId, id: u64, reply: LightReply, admitted: bool) {
        let answer = LightAnswer {
            id,
            head: self.handle.store().stored_height(),
            reply,
        };
        let bytes = encode(&PeerMessage::LightAnswer(answer));
        if admitted {
            self.meters.answered(to, bytes.len());
        }
        // Gone or full: the light node asks another peer.
        let _ = self
            .network
            .send(to, self.chain(), Lane::Bulk, Bytes::from(bytes).0);
    }
}

async fn work(server: std::sync::Weak<LightServer>, mut jobs: mpsc::Receiver<Job>) {
    let Some(workers) = server.upgrade().map(|one| one.service.limits.workers) else {
        return;
    };
    let places = Arc::new(Semaphore::new(workers.max(1)));
    while let Some(Job { from, request }) = jobs.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Some(server) = server.upgrade() else {
            return;
        };
        tokio::spawn(async move {
            let id = request.id;
            let reply = respond(&server, request).await;
            server.reply(from, id, reply, true);
            drop(place);
        });
    }
}

async fn respond(server: &LightServer, request: LightRequest) -> LightReply {
    let store = Arc::clone(server.handle.store());
    if request.genesis != store.genesis_hash() {
        let text = format!(
            "you trust genesis {}, this chain has {}: compare the genesis files",
            request.genesis,
            store.genesis_hash()
        );
        return refused((LightRefusal::WrongChain, text));
    }
    if let LightAsk::Submit { raw } = request.ask {
        return submit(&server.handle, raw).await;
    }
    let reads = server.service.reads;
    let job = tokio::task::spawn_blocking(move || answer(&store, reads, &request.ask));
    job.await.unwrap_or_else(|error| {
        tracing::error!(%error, "answering a light node");
        refused((LightRefusal::Failed, "this node failed".to_owned()))
    })
}

async fn submit(handle: &ChainHandle, raw: Bytes) -> LightReply {
    match tokio::time::timeout(SUBMIT_MAX, handle.submit(raw)).await {
        Ok(Ok(hash)) => LightReply::Submitted(hash),
        Ok(Err(error)) => {
            let why = match error {
                SubmitError::Busy { .. } => LightRefusal::Busy,
                SubmitError::Store(_) | SubmitError::Stopped => LightRefusal::Failed,
                _ => LightRefusal::Transaction,
            };
            refused((why, error.to_string()))
        }
        Err(_) => refused((LightRefusal::Busy, "this node is busy".to_owned())),
    }
}

fn refused((why, text): Refused) -> LightReply {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    LightReply::Refused {
        why,
        text: text.get(..end).unwrap_or_default().to_owned(),
    }
}

/// The answer to a question, from what is stored. Submissions are not for here.
#[must_use]
pub fn answer(store: &ChainStore, reads: LightReads, ask: &LightAsk) -> LightReply {
    if reads == LightReads::HeadersOnly && !matches!(ask, LightAsk::Headers { .. }) {
        return refused((
            LightRefusal::SignedReads,
            "reads of this chain are signed, and a link is no signature: it gives headers only. \
             Ask a full node as a member, for example through `hawser proxy`"
                .to_owned(),
        ));
    }
    let reply = match ask {
        LightAsk::Headers { from, count } => headers(store, *from, *count),
        LightAsk::State { at, keys } => state(store, *at, keys),
        LightAsk::Content { hash } => content(store, hash),
        LightAsk::Body { height } => body(store, *height),
        LightAsk::Receipts { height } => receipts(store, *height),
        LightAsk::FindTransaction { hash } => find_transaction(store, hash),
        LightAsk::FindBlock { hash } => find(store.height_of(hash), |height| height),
        LightAsk::Submit { .. } => Err((
            LightRefusal::Malformed,
            "a submission is not answered from the store".to_owned(),
        )),
    };
    reply.unwrap_or_else(refused)
}

/// A failure of the store: what is not kept is no fault of this node.
fn unread(error: StoreError) -> Refused {
    match error {
        StoreError::Pruned { .. } | StoreError::PerhapsPruned { .. } => {
            (LightRefusal::NotHere, error.to_string())
        }
        other if other.tier().is_some() => {
            tracing::warn!(error = %other, "answering a light node");
            let text =
                "it lies in an object store that this node cannot read now; ask another node";
            (LightRefusal::NotHere, text.to_owned())
        }
        other => failed(&other),
    }
}

fn failed(error: &dyn std::fmt::Display) -> Refused {
    // What is wrong with this node is for its own operator.
    tracing::error!(%error, "answering a light node");
    (LightRefusal::Failed, "this node failed".to_owned())
}

fn find<T>(
    found: Result<Option<T>, StoreError>,
    height: impl FnOnce(T) -> Height,
) -> Result<LightReply, Refused> {
    let found = found.map_err(|error| failed(&error))?;
    Ok(LightReply::Found(found.map(height)))
}

fn find_transaction(store: &ChainStore, hash: &B256) -> Result<LightReply, Refused> {
    let found = store.position(hash);
    if matches!(found, Ok(None)) {
        store.absence().map_err(unread)?;
    }
    find(found, |one| one.height)
}

fn headers(store: &ChainStore, from: Height, count: u32) -> Result<LightReply, Refused> {
    if count == 0 || count > LIGHT_HEADERS_MAX || from == Height::GENESIS {
        let text = format!("1 to {LIGHT_HEADERS_MAX} headers from block 1 on can be asked for");
        return Err((LightRefusal::Malformed, text));
    }
    let (mut found, mut bytes) = (Vec::new(), 0usize);
    let stored = store.headers(from, count, LIGHT_READ_BYTES);
    for (header, certificate) in stored.map_err(unread)? {
        let height = header.height;
        let changes = header.next_validators != header.validators;
        let next = match changes {
            true => match store.committee(height.next()) {
                // Known once the blocks that changed it are executed here, which is a little later
                // than they are stored.
                Ok(set) if set.hash(store.genesis().suite) == header.next_validators => Some(set),
                Ok(_) => break,
                Err(error) => return Err(failed(&error)),
            },
            false => None,
        };
        let one = LightHeader {
            certified: CertifiedHeader {
                header,
                certificate,
            },
            next,
        };
        bytes = bytes.saturating_add(encode(&one).len());
        found.push(one);
        if bytes >= LIGHT_ANSWER_BYTES {
            break;
        }
    }
    Ok(LightReply::Headers(found))
}

fn state(store: &ChainStore, at: Option<Height>, keys: &[Bytes]) -> Result<LightReply, Refused> {
    if keys.is_empty() || keys.len() > LIGHT_KEYS_MAX {
        let text = format!("1 to {LIGHT_KEYS_MAX} keys can be asked for at once");
        return Err((LightRefusal::Malformed, text));
    }
    let newest = store.certified_state_height();
    let height = at.unwrap_or(newest);
    if height > newest {
        let text = format!("no final header has the roots of block {height} yet; {newest} is last");
        return Err((LightRefusal::NotHere, text));
    }
    let (mut proofs, mut bytes) = (Vec::with_capacity(keys.len()), 0usize);
    for key in keys {
        let key = StateKey::decode(key)
            .map_err(|error| (LightRefusal::Malformed, format!("a key: {error}")))?;
        let proof = store
            .prove_state(height, &key)
            .map_err(|error| match error {
                StoreError::State(StateError::NotKept { .. }) => {
                    (LightRefusal::NotHere, error.to_string())
                }
                other => failed(&other),
            })?;
        bytes = bytes.saturating_add(encode(&proof).len());
        if bytes > LIGHT_BODY_BYTES_MAX {
            return Err(too_large("proofs"));
        }
        proofs.push(proof);
    }
    Ok(LightReply::State { height, proofs })
}

fn too_large(what: &str) -> Refused {
    let text = format!("{what} of more than {LIGHT_BODY_BYTES_MAX} bytes; ask a full node");
    (LightRefusal::TooLarge, text)
}

fn content(store: &ChainStore, hash: &B256) -> Result<LightReply, Refused> {
    let head = store.head().id().height;
    let state = store.state(head).map_err(|error| failed(&error))?;
    match state.blob(hash).map_err(|error| failed(&error))? {
        Some(content) if content.len() > LIGHT_BODY_BYTES_MAX => Err(too_large("content")),
        Some(content) => Ok(LightReply::Content(content)),
        None => Err((
            LightRefusal::NotHere,
            format!("no content with the hash {hash} is here"),
        )),
    }
}

fn body(store: &ChainStore, height: Height) -> Result<LightReply, Refused> {
    let block = store.block(height).map_err(unread)?;
    let block = block.ok_or_else(|| not_here(height))?;
    if block.block.body_bytes() > LIGHT_BODY_BYTES_MAX {
        return Err(too_large("a body"));
    }
    Ok(LightReply::Body(block.block.transactions.clone()))
}

fn receipts(store: &ChainStore, height: Height) -> Result<LightReply, Refused> {
    let block = store.block(height).map_err(unread)?;
    let block = block.ok_or_else(|| not_here(height))?;
    let receipts = &block.result.receipts;
    if encode(receipts).len() > LIGHT_BODY_BYTES_MAX {
        return Err(too_large("receipts"));
    }
    Ok(LightReply::Receipts(receipts.clone()))
}

fn not_here(height: Height) -> Refused {
    let text = format!("block {height} is not executed here yet");
    (LightRefusal::NotHere, text)
}
