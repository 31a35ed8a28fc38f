//! Listening, dialling, and the state that all links share.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle as Runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::config::check_peers;
use crate::counters::LiveCounters;
use crate::frame::Instance;
use crate::gate::Gate;
use crate::handshake::{Established, establish};
use crate::peer::{Decisions, Peer, Turn};
use crate::pending::{Pending, Place};
use crate::tls::{self, Admission, Refusal, Tls};
use crate::{
    Direction, Limits, NetworkConfig, NetworkError, NetworkEvent, NetworkHandle, PeerAddress,
    PeerId, RefusalReason, link,
};

/// A link that lasted this long was a good one: the next dial starts without a pause.
const GOOD_LINK: Duration = Duration::from_secs(1);
/// Pause after a failure to accept, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Starts listening and dialling. Must be called within a tokio runtime.
///
/// Returns the handle for sending, and the channel on which links and messages are reported. The
/// channel is bounded ([`Limits::event_queue_max`], [`Limits::event_bytes_max`]); while it is
/// full, peers wait. The network stops when the channel or the last handle is dropped.
pub async fn start(
    config: NetworkConfig,
) -> Result<(NetworkHandle, mpsc::Receiver<NetworkEvent>), NetworkError> {
    let NetworkConfig {
        listen,
        credential,
        peers,
        limits,
    } = config;
    limits.validate()?;
    let own = credential.peer_id();
    let peers = check_peers(peers, own)?;
    let mut instance = Instance::default();
    tls::random(&mut instance)
        .map_err(|_| NetworkError::Tls("no randomness from the operating system".into()))?;
    let listening = |source| NetworkError::Listen {
        address: listen,
        source,
    };
    let listener = TcpListener::bind(listen).await.map_err(listening)?;
    let local_address = listener.local_addr().map_err(listening)?;
    let admission = Arc::new(Admission::default());
    let tls = Tls::new(&credential, Arc::clone(&admission))?;
    let (sender, receiver) = mpsc::channel(limits.event_queue_max);
    let inner = Arc::new(Inner {
        own,
        decisions: Decisions::new(instance),
        local_address,
        tls,
        admission,
        pending: Pending::new(limits.pending_handshakes_max),
        gate: Gate::new(sender, limits.event_bytes_max),
        limits,
        counters: LiveCounters::default(),
        connections: AtomicUsize::new(0),
        peers: RwLock::default(),
        turns: Mutex::default(),
        stop: watch::Sender::new(false),
        tasks: watch::Sender::new(0),
        runtime: Runtime::current(),
    });
    inner.set_peers(peers)?;
    inner.spawn(accept(Arc::clone(&inner), listener));
    if let Some(chains) = inner.tls.chains().cloned() {
        inner.spawn({
            let inner = Arc::clone(&inner);
            async move {
                tokio::select! {
                    () = inner.stopped() => {}
                    never = chains.watch() => match never {},
                }
            }
        });
    }
    tracing::info!(%own, address = %local_address, "listening for peers");
    Ok((NetworkHandle::new(inner), receiver))
}

/// What all tasks share.
pub(crate) struct Inner {
    pub(crate) own: PeerId,
    pub(crate) decisions: Decisions,
    pub(crate) local_address: SocketAddr,
    pub(crate) limits: Limits,
    pub(crate) counters: LiveCounters,
    pub(crate) gate: Gate,
    pub(crate) connections: AtomicUsize,
    pub(crate) peers: RwLock<BTreeMap<PeerId, Arc<Peer>>>,
    /// The turns of peers, removed ones included while a link of theirs still departs, so that
    /// events keep their order when a peer is removed and admitted again.
    turns: Mutex<BTreeMap<PeerId, Weak<Turn>>>,
    pub(crate) tls: Tls,
    admission: Arc<Admission>,
    pending: Arc<Pending>,
    stop: watch::Sender<bool>,
    tasks: watch::Sender<usize>,
    runtime: Runtime,
}

impl Inner {
    /// Asks every task to end.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub(crate) async fn stopped(&self) {
        // The sender lives as long as `self`, so the wait ends only with the value.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Waits until every task has ended.
    pub(crate) async fn idle(&self) {
        let _ = self.tasks.subscribe().wait_for(|tasks| *tasks == 0).await;
    }

    /// Replaces the set of admitted peers: new ones are dialled, links to missing ones are closed,
    /// and changed addresses count from the next dial.
    pub(crate) fn set_peers(self: &Arc<Self>, peers: Vec<PeerAddress>) -> Result<(), NetworkError> {
        let wanted: BTreeMap<PeerId, String> = check_peers(peers, self.own)?
            .into_iter()
            .map(|peer| (peer.id, peer.address))
            .collect();
        let mut present = self.peers.write();
        if *self.stop.borrow() {
            return Err(NetworkError::Stopped);
        }
        self.admission
            .replace(wanted.keys().copied().collect::<BTreeSet<_>>());
        present.retain(|id, peer| {
            let keep = wanted.contains_key(id);
            if !keep {
                peer.removed.send_replace(true);
            }
            keep
        });
        for (id, address) in wanted {
            if let Some(peer) = present.get(&id) {
                *peer.address.lock() = address;
            } else {
                let peer = Peer::new(id, self.own, address, self.turn(id));
                present.insert(id, Arc::clone(&peer));
                self.spawn(dial_for_ever(Arc::clone(self), peer));
            }
        }
        Ok(())
    }

    fn turn(&self, id: PeerId) -> Arc<Turn> {
        let mut turns = self.turns.lock();
        turns.retain(|_, turn| turn.strong_count() > 0);
        turns.get(&id).and_then(Weak::upgrade).unwrap_or_else(|| {
            let turn = Arc::default();
            turns.insert(id, Arc::downgrade(&turn));
            turn
        })
    }

    fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        struct Ended(Arc<Inner>);
        impl Drop for Ended {
            fn drop(&mut self) {
                self.0.tasks.send_modify(|tasks| *tasks -= 1);
            }
        }
        self.tasks.send_modify(|tasks| *tasks += 1);
        let ended = Ended(Arc::clone(self));
        self.runtime.spawn(async move {
            task.await;
            drop(ended);
        });
    }
}

async fn accept(inner: Arc<Inner>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            () = inner.stopped() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, from)) => {
                inner.counters.accepted.add(1);
                let place = inner.pending.enter(from.ip());
                inner.spawn(answer(Arc::clone(&inner), tcp, from.ip(), place));
            }
            Err(error) => {
                inner.counters.accept_failures.add(1);
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One inbound connection, from TLS to its end.
async fn answer(inner: Arc<Inner>, tcp: TcpStream, from: IpAddr, mut place: Place) {
    let handshake = timeout(inner.limits.handshake_timeout, authenticate(&inner, tcp));
    let outcome = tokio::select! {
        () = inner.stopped() => return,
        () = place.evicted() => Err(Refusal::because(RefusalReason::PendingFull)),
        outcome = handshake => outcome.unwrap_or(Err(Refusal::because(RefusalReason::Timeout))),
    };
    drop(place);
    let (peer, stream) = match outcome {
        Ok(authenticated) => authenticated,
        Err(refusal) => {
            inner.counters.refuse(refusal.reason);
            // Strangers cause these at will, so they are counted and not logged by default.
            tracing::debug!(%from, reason = refusal.reason.name(), detail = refusal.detail, "refused a connection");
            return;
        }
    };
    let mut removed = peer.removed.subscribe();
    // In this order: when everything ends, the end of the present link must not look like a
    // chance for this connection.
    let established = tokio::select! {
        biased;
        () = inner.stopped() => return,
        _ = removed.wait_for(|removed| *removed) => return,
        established = establish(&inner, &peer, Direction::Inbound, stream) => established,
    };
    match established {
        Ok(established) => link::run(&inner, &peer, established).await,
        Err(refusal) => {
            inner.counters.refuse(refusal.reason);
            tracing::debug!(peer = %peer.id, reason = refusal.reason.name(), detail = refusal.detail, "refused a connection");
        }
    }
}

async fn authenticate(inner: &Inner, tcp: TcpStream) -> Result<(Arc<Peer>, tls::Stream), Refusal> {
    tcp.set_nodelay(true).map_err(|error| Refusal::of(&error))?;
    let (id, stream) = inner.tls.accept(tcp).await?;
    let peer = inner.peers.read().get(&id).cloned();
    // Taken out of the configuration since the handshake began.
    let peer = peer.ok_or(Refusal::because(RefusalReason::UnknownPeer))?;
    Ok((peer, stream))
}

/// Keeps a link to one peer, as long as the peer is configured.
async fn dial_for_ever(inner: Arc<Inner>, peer: Arc<Peer>) {
    let mut removed = peer.removed.subscribe();
    tokio::select! {
        biased;
        () = inner.stopped() => {}
        _ = removed.wait_for(|removed| *removed) => {}
        never = dial_loop(&inner, &peer) => match never {},
    }
}

async fn dial_loop(inner: &Arc<Inner>, peer: &Arc<Peer>) -> std::convert::Infallible {
    let mut backoff = Backoff::new(&inner.limits);
    loop {
        let waited_from = Instant::now();
        if peer.without_link().await && waited_from.elapsed() >= GOOD_LINK {
            backoff.reset();
        }
        let dialling = peer.dialling();
        let outcome = dial(inner, peer).await;
        drop(dialling);
        match outcome {
            Ok(established) => {
                let up_from = Instant::now();
                // In a task of its own, which ends with its goodbye when this loop is stopped.
                inner.spawn({
                    let (inner, peer) = (Arc::clone(inner), Arc::clone(peer));
                    async move { link::run(&inner, &peer, established).await }
                });
                peer.without_link().await;
                if up_from.elapsed() >= GOOD_LINK {
                    backoff.reset();
                }
            }
            Err(DialError::Unreachable(error)) => {
                inner.counters.dial_failures.add(1);
                let address = peer.address.lock().clone();
                note(peer, &format!("cannot connect to {address}: {error}"));
            }
            Err(DialError::Refused(refusal)) => {
                inner.counters.refuse(refusal.reason);
                if refusal.reason != RefusalReason::Duplicate {
                    let Refusal { reason, detail } = refusal;
                    let words = if detail.is_empty() {
                        format!("no link to the peer: {reason}")
                    } else {
                        format!("no link to the peer: {reason} ({detail})")
                    };
                    note(peer, &words);
                }
            }
        }
        sleep(backoff.pause()).await;
    }
}

fn note(peer: &Peer, error: &str) {
    if peer.note_error(error) {
        tracing::warn!(peer = %peer.id, error, "cannot reach a peer");
    }
}

enum DialError {
    Unreachable(String),
    Refused(Refusal),
}

impl From<Refusal> for DialError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.seen_by_dialler())
    }
}

async fn dial(inner: &Arc<Inner>, peer: &Arc<Peer>) -> Result<Established, DialError> {
    let within = inner.limits.handshake_timeout;
    let address = peer.address.lock().clone();
    let tcp = match timeout(within, TcpStream::connect(&address)).await {
        Ok(Ok(tcp)) => tcp,
        Ok(Err(error)) => return Err(DialError::Unreachable(error.to_string())),
        Err(_) => return Err(DialError::Unreachable("no answer".into())),
    };
    tcp.set_nodelay(true)
        .map_err(|error| DialError::Unreachable(error.to_string()))?;
    let stream = timeout(within, inner.tls.connect(tcp, peer.id))
        .await
        .map_err(|_| Refusal::because(RefusalReason::Timeout))??;
    Ok(establish(inner, peer, Direction::Outbound, stream).await?)
}

/// Growing pauses, half of each random, so that nodes that start together do not dial together.
struct Backoff {
    next: Duration,
    min: Duration,
    max: Duration,
}

impl Backoff {
    fn new(limits: &Limits) -> Self {
        Self {
            next: limits.backoff_min,
            min: limits.backoff_min,
            max: limits.backoff_max,
        }
    }

    fn reset(&mut self) {
        self.next = self.min;
    }

    fn pause(&mut self) -> Duration {
        let whole = self.next;
        self.next = whole.saturating_mul(2).min(self.max);
        let mut random = [0; 4];
        // Without randomness the pause is merely the longest one.
        let share = match tls::random(&mut random) {
            Ok(()) => u32::from_be_bytes(random),
            Err(_) => u32::MAX,
        };
        whole / 2 + (whole / 2).mul_f64(f64::from(share) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_and_keep_their_bounds() {
        let limits = Limits::default();
        let mut backoff = Backoff::new(&limits);
        let mut whole = limits.backoff_min;
        for _ in 0..12 {
            let pause = backoff.pause();
            assert!(
                whole / 2 <= pause && pause <= whole,
                "{pause:?} of {whole:?}"
            );
            whole = (whole * 2).min(limits.backoff_max);
        }
        assert_eq!(whole, limits.backoff_max);
        backoff.reset();
        assert!(backoff.pause() <= limits.backoff_min);
    }
}
