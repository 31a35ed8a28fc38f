//! A thread that answers peers with blocks that lie in an object store, so that agreement never waits
//! for it (`docs/spec/tiering.md`, TI-20 ff.).

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded};
use hawser_network::{Lane, NetworkHandle, PeerId};
use hawser_primitives::{Bytes, Height, encode};

use super::ChainError;
use crate::{replica::PeerMessage, store::ChainStore};

/// Requests that may wait. A peer asks again a second later, and others have the blocks as well.
const JOBS_MAX: usize = 16;
/// After this long what was read so far is sent: a peer waits a second for an answer.
const ANSWER: Duration = Duration::from_millis(600);

/// A peer's request for blocks of which the first is not on this machine.
pub(super) struct ColdJob {
    pub(super) to: PeerId,
    pub(super) from: Height,
    pub(super) count: u32,
    /// What this peer understands as "I do not have them".
    pub(super) refusal: PeerMessage,
}

/// Starts the thread; it ends when the sender is dropped.
pub(super) fn spawn(
    store: Arc<ChainStore>,
    network: NetworkHandle,
    fail: Arc<dyn Fn(String) + Send + Sync>,
) -> Result<(Sender<ColdJob>, JoinHandle<()>), ChainError> {
    let (jobs, waiting) = bounded(JOBS_MAX);
    let name = format!("cold-{}", store.genesis().chain_id);
    let work = move || answer_all(&store, &network, &waiting, &fail);
    Ok((jobs, thread::Builder::new().name(name).spawn(work)?))
}

fn answer_all(
    store: &ChainStore,
    network: &NetworkHandle,
    jobs: &Receiver<ColdJob>,
    fail: &Arc<dyn Fn(String) + Send + Sync>,
) {
    let chain = store.genesis().chain_id;
    for job in jobs {
        let to = job.to;
        match answer(store, job) {
            Ok(message) => {
                // Gone or full: the peer asks again by its timer.
                let _ = network.send(to, chain, Lane::Bulk, Bytes::from(encode(&message)).0);
            }
            Err(reason) => return fail(reason),
        }
    }
}

/// The blocks, as many as can be had in time; where the store gives none, what a pruned node says.
fn answer(store: &ChainStore, job: ColdJob) -> Result<PeerMessage, String> {
    let began = Instant::now();
    let late = || began.elapsed() >= ANSWER;
    match store.serve_cold(job.from, job.count, &late) {
        Ok(blocks) => Ok(PeerMessage::Blocks(blocks)),
        Err(error) if error.tier().is_some() => {
            tracing::warn!(peer = %job.to, from = %job.from, %error,
                "a peer asked for blocks that lie in the object store");
            let first = store.first_local().map_err(|error| error.to_string())?;
            Ok(match job.refusal {
                PeerMessage::BlocksFrom { .. } => PeerMessage::BlocksFrom { first },
                other => other,
            })
        }
        // Damage here, as on the thread that answers for what is here.
        Err(error) => Err(error.to_string()),
    }
}
