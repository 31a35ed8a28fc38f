//! Questions to peers on behalf of clients.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use hawser_network::{Lane, NetworkHandle, PeerId};
use hawser_node::{
    light::{LightAnswer, LightAsk, LightReply, LightRequest},
    replica::PeerMessage,
};
use hawser_primitives::{B256, Bytes, ChainId, encode};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::ReadError;

/// Wait for a peer's answer.
const ANSWER: Duration = Duration::from_secs(3);
/// Wait for a transaction to be taken: longer than a full node waits for its own pool.
const TAKEN: Duration = Duration::from_secs(8);
/// Questions under way.
const PENDING_MAX: usize = 256;

/// Asks peers and matches their answers to the questions.
pub(crate) struct Asker {
    network: NetworkHandle,
    chain: ChainId,
    genesis: B256,
    next: AtomicU64,
    pending: Mutex<BTreeMap<u64, (PeerId, oneshot::Sender<LightReply>)>>,
}

/// Forgets a question when nobody waits for its answer any more.
struct Waiting<'a>(&'a Asker, u64);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.pending.lock().remove(&self.1);
    }
}

impl Asker {
    pub(crate) fn new(network: NetworkHandle, chain: ChainId, genesis: B256) -> Self {
        Self {
            network,
            chain,
            genesis,
            next: AtomicU64::new(1),
            pending: Mutex::default(),
        }
    }

    /// Sends a request; whether there was a link.
    pub(crate) fn send(&self, to: PeerId, id: u64, ask: LightAsk) -> bool {
        let genesis = self.genesis;
        let request = LightRequest { id, genesis, ask };
        let bytes = Bytes::from(encode(&PeerMessage::LightRequest(request)));
        let sent = self.network.send(to, self.chain, Lane::Bulk, bytes.0);
        sent.is_ok()
    }

    /// Asks one peer. `None` when it does not answer in time.
    pub(crate) async fn ask(
        &self,
        to: PeerId,
        ask: LightAsk,
    ) -> Result<Option<LightReply>, ReadError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        {
            let mut pending = self.pending.lock();
            if pending.len() >= PENDING_MAX {
                return Err(ReadError::Busy(pending.len()));
            }
            pending.insert(id, (to, reply));
        }
        let wait = match ask {
            LightAsk::Submit { .. } => TAKEN,
            _ => ANSWER,
        };
        let _waiting = Waiting(self, id);
        if !self.send(to, id, ask) {
            return Ok(None);
        }
        match tokio::time::timeout(wait, answer).await {
            Ok(Ok(reply)) => Ok(Some(reply)),
            Ok(Err(_)) | Err(_) => Ok(None),
        }
    }

    /// Hands an answer to who waits for it, if it comes from the peer that was asked.
    pub(crate) fn answered(&self, from: PeerId, answer: LightAnswer) {
        let mut pending = self.pending.lock();
        if pending
            .get(&answer.id)
            .is_none_or(|(asked, _)| *asked != from)
        {
            return;
        }
        if let Some((_, reply)) = pending.remove(&answer.id) {
            // Who asked may have gone.
            let _ = reply.send(answer.reply);
        }
    }
}
