//! What is known of one configured peer, and which of its connections is the link.
//!
//! Both sides may dial at once, so two connections can compete. The side with the smaller id
//! decides alone and says so with `Accept`; the other side follows the highest number it has seen.
//! That leaves no state in which the two keep different connections.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hawser_primitives::Time;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::counters::Count;
use crate::frame::Instance;
use crate::queue::{Outgoing, Pushed, Queue};
use crate::runs::Runs;
use crate::tls::Facts;
use crate::{Direction, DownReason, Lane, Limits, PeerId, PeerStatus, SendError};

/// How long a connection from the peer waits for this node's own dial to finish, so that the
/// dial of the smaller id wins without a swap.
const TIE_WAIT: Duration = Duration::from_millis(500);
/// How long a present link has to prove itself alive when a connection competes with it.
const PROBE_WAIT: Duration = Duration::from_millis(1_000);
/// How often a competing connection looks for the answer to the probe.
const PROBE_STEP: Duration = Duration::from_millis(10);

/// Lets one link at a time speak to the consumer about a peer.
pub(crate) type Turn = tokio::sync::Mutex<()>;

/// The decisions of this run of the node, numbered over all peers, so that numbers grow even for
/// a peer that was removed and admitted again.
#[derive(Debug)]
pub(crate) struct Decisions {
    pub(crate) run: Instance,
    last: AtomicU64,
}

impl Decisions {
    pub(crate) fn new(run: Instance) -> Self {
        Self {
            run,
            last: AtomicU64::new(0),
        }
    }
}

/// One configured peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) id: PeerId,
    /// This node has the smaller id and decides which connection is the link.
    pub(crate) decides: bool,
    pub(crate) address: Mutex<String>,
    pub(crate) bytes_in: Count,
    pub(crate) bytes_out: Count,
    pub(crate) connections: AtomicUsize,
    /// Held by a link from before its `Up` until after its `Down`.
    pub(crate) turn: Arc<Turn>,
    pub(crate) removed: watch::Sender<bool>,
    slot: Mutex<Slot>,
    changed: watch::Sender<()>,
    round_trip_us: AtomicU64,
    last_error: Mutex<Option<String>>,
    runs: Mutex<Runs>,
}

#[derive(Debug, Default)]
struct Slot {
    link: Option<Arc<Link>>,
    dialling: bool,
    /// The number of the last decision, and whose run of the deciding node made it.
    decision: Option<(Instance, u64)>,
}

/// A connection that both sides agreed on.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) direction: Direction,
    pub(crate) number: u64,
    instance: Instance,
    since: Time,
    outbox: Mutex<Outbox>,
    pub(crate) wake: Notify,
    heard: AtomicU64,
    closed: watch::Sender<Option<DownReason>>,
    facts: OnceLock<Facts>,
}

/// What waits to be written.
#[derive(Debug)]
struct Outbox {
    queue: Queue,
    /// Only the last ping is answered, so that pings cannot pile up.
    pong: Option<u64>,
    ping: bool,
    closed: bool,
}

/// One round of writing.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) pong: Option<u64>,
    pub(crate) ping: bool,
    pub(crate) frames: Vec<Outgoing>,
}

/// A connection lost against the present link.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Duplicate;

impl Link {
    fn new(
        direction: Direction,
        instance: Instance,
        number: u64,
        since: Time,
        limits: &Limits,
    ) -> Arc<Self> {
        Arc::new(Self {
            direction,
            number,
            instance,
            since,
            outbox: Mutex::new(Outbox {
                queue: Queue::new(limits.queue_frames_max, limits.queue_bytes_max),
                pong: None,
                ping: false,
                closed: false,
            }),
            wake: Notify::new(),
            heard: AtomicU64::new(0),
            closed: watch::Sender::new(None),
            facts: OnceLock::new(),
        })
    }

    /// Keeps what the handshake said. The first one counts; a link has one handshake.
    pub(crate) fn set_facts(&self, facts: Facts) {
        let _ = self.facts.set(facts);
    }

    pub(crate) fn facts(&self) -> Option<&Facts> {
        self.facts.get()
    }

    /// Queues a frame. Returns how many bulk frames made room for it.
    pub(crate) fn push(&self, lane: Lane, frame: Outgoing) -> Result<usize, SendError> {
        let mut outbox = self.outbox.lock();
        if outbox.closed {
            return Err(SendError::NotConnected);
        }
        let pushed = outbox.queue.push(lane, frame);
        drop(outbox);
        match pushed {
            Pushed::Queued { evicted } => {
                self.wake.notify_one();
                Ok(evicted)
            }
            Pushed::Full => Err(SendError::Full),
        }
    }

    /// Takes what to write next, at least one frame if any waits, else until `bytes_max`.
    pub(crate) fn take(&self, bytes_max: usize, batch: &mut Batch) {
        let mut outbox = self.outbox.lock();
        batch.pong = outbox.pong.take();
        batch.ping = std::mem::take(&mut outbox.ping);
        let mut bytes = 0;
        while bytes < bytes_max
            && let Some(frame) = outbox.queue.pop()
        {
            bytes += frame.bytes.len() + crate::frame::HEADER_BYTES;
            batch.frames.push(frame);
        }
    }

    pub(crate) fn answer_ping(&self, number: u64) {
        self.outbox.lock().pong = Some(number);
        self.wake.notify_one();
    }

    fn ask_ping(&self) {
        self.outbox.lock().ping = true;
        self.wake.notify_one();
    }

    pub(crate) fn count_heard(&self) {
        self.heard.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends the link; the first reason stays. Returns how many frames were still queued.
    pub(crate) fn close(&self, reason: DownReason) -> usize {
        let dropped = {
            let mut outbox = self.outbox.lock();
            outbox.closed = true;
            let dropped = outbox.queue.frames();
            outbox.queue = Queue::new(0, 0);
            dropped
        };
        self.closed.send_if_modified(|closed| {
            let first = closed.is_none();
            if first {
                *closed = Some(reason);
            }
            first
        });
        self.wake.notify_one();
        dropped
    }

    pub(crate) fn closed_now(&self) -> Option<DownReason> {
        self.closed.borrow().clone()
    }

    pub(crate) async fn closed(&self) -> DownReason {
        let mut closed = self.closed.subscribe();
        let reason = match closed.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone(),
            Err(_) => None,
        };
        reason.unwrap_or(DownReason::ClosedByPeer(None))
    }
}

impl Peer {
    pub(crate) fn new(id: PeerId, own: PeerId, address: String, turn: Arc<Turn>) -> Arc<Self> {
        Arc::new(Self {
            id,
            decides: own < id,
            address: Mutex::new(address),
            bytes_in: Count::default(),
            bytes_out: Count::default(),
            connections: AtomicUsize::new(0),
            turn,
            removed: watch::Sender::new(false),
            slot: Mutex::default(),
            changed: watch::Sender::new(()),
            round_trip_us: AtomicU64::new(0),
            last_error: Mutex::new(None),
            runs: Mutex::default(),
        })
    }

    pub(crate) fn link(&self) -> Option<Arc<Link>> {
        self.slot.lock().link.clone()
    }

    /// Decides about an authenticated connection, as the side with the smaller id. The link that
    /// is returned is in place and can be sent to.
    ///
    /// - With no link, the connection becomes the link; one that the peer dialled first waits a
    ///   little for this node's own dial, which has precedence.
    /// - A link of an earlier run of the peer is dead, and so is one that the same side dialled
    ///   before: nobody dials while holding a link.
    /// - Otherwise the present link stays if it answers a ping, and is replaced if it does not.
    pub(crate) async fn decide(
        &self,
        direction: Direction,
        instance: Instance,
        decisions: &Decisions,
        limits: &Limits,
    ) -> Result<Arc<Link>, Duplicate> {
        let install = |slot: &mut Slot| {
            let number = decisions.last.fetch_add(1, Ordering::Relaxed) + 1;
            self.install(slot, direction, instance, (decisions.run, number), limits)
        };
        let mut changed = self.changed.subscribe();
        let tie_until = Instant::now() + TIE_WAIT;
        let mut probe: Option<(u64, u64, Instant)> = None;
        loop {
            changed.mark_unchanged();
            let wait = {
                let mut slot = self.slot.lock();
                let now = Instant::now();
                match &slot.link {
                    None if direction == Direction::Inbound && slot.dialling && now < tie_until => {
                        tie_until - now
                    }
                    Some(link) if link.instance == instance && link.direction != direction => {
                        let heard = link.heard.load(Ordering::Relaxed);
                        match probe {
                            Some((number, before, _))
                                if number == link.number && heard > before =>
                            {
                                return Err(Duplicate);
                            }
                            Some((number, _, until)) if number == link.number => {
                                if now >= until {
                                    return Ok(install(&mut slot));
                                }
                            }
                            _ => {
                                probe = Some((link.number, heard, now + PROBE_WAIT));
                                link.ask_ping();
                            }
                        }
                        PROBE_STEP
                    }
                    _ => {
                        return Ok(install(&mut slot));
                    }
                }
            };
            // Either outcome means: look again.
            let _ = tokio::time::timeout(wait, changed.changed()).await;
        }
    }

    /// Follows a decision of the peer, which has the smaller id.
    pub(crate) fn follow(
        &self,
        direction: Direction,
        instance: Instance,
        number: u64,
        limits: &Limits,
    ) -> Result<Arc<Link>, Duplicate> {
        let mut slot = self.slot.lock();
        match slot.decision {
            Some((run, last)) if run == instance && number <= last => Err(Duplicate),
            _ => Ok(self.install(&mut slot, direction, instance, (instance, number), limits)),
        }
    }

    /// Puts a new link in place. `decision` is the deciding run and its number.
    fn install(
        &self,
        slot: &mut Slot,
        direction: Direction,
        instance: Instance,
        decision: (Instance, u64),
        limits: &Limits,
    ) -> Arc<Link> {
        slot.decision = Some(decision);
        let number = decision.1;
        let link = Link::new(direction, instance, number, now(), limits);
        if let Some(old) = slot.link.replace(Arc::clone(&link)) {
            old.close(DownReason::Superseded);
        }
        self.changed.send_replace(());
        link
    }

    /// Takes a link out of its place, unless another one has taken it.
    pub(crate) fn vacate(&self, link: &Arc<Link>) {
        let mut slot = self.slot.lock();
        if slot
            .link
            .as_ref()
            .is_some_and(|present| Arc::ptr_eq(present, link))
        {
            slot.link = None;
            self.changed.send_replace(());
        }
    }

    /// Waits until no link is in place. Returns whether it had to wait.
    pub(crate) async fn without_link(&self) -> bool {
        let mut changed = self.changed.subscribe();
        let mut waited = false;
        while self.link().is_some() {
            waited = true;
            if changed.changed().await.is_err() {
                break;
            }
        }
        waited
    }

    /// Marks a dial as under way until the mark is dropped.
    pub(crate) fn dialling(self: &Arc<Self>) -> Dialling {
        self.slot.lock().dialling = true;
        Dialling(Arc::clone(self))
    }

    pub(crate) fn set_round_trip(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        self.round_trip_us.store(us, Ordering::Relaxed);
    }

    /// Remembers an error. Returns whether it differs from the last one, so that a log line is
    /// written once and not at every attempt.
    pub(crate) fn note_error(&self, error: &str) -> bool {
        let mut last = self.last_error.lock();
        let differs = last.as_deref() != Some(error);
        if differs {
            *last = Some(error.to_owned());
        }
        differs
    }

    /// Notes from where the run comes that has the link now.
    pub(crate) fn note_run(&self, run: Instance, from: SocketAddr) {
        self.runs.lock().holds(run, from, Instant::now());
    }

    /// Notes that the peer ended a link because it had a newer one.
    pub(crate) fn note_cut(&self) {
        self.runs.lock().cut(Instant::now());
    }

    pub(crate) fn status(&self) -> PeerStatus {
        let link = self.link();
        let (twins, cuts) = {
            let (runs, now) = (self.runs.lock(), Instant::now());
            (runs.twins(now), runs.cuts(now))
        };
        let (queue_frames, queue_bytes) = link.as_ref().map_or((0, 0), |link| {
            let outbox = link.outbox.lock();
            (outbox.queue.frames(), outbox.queue.bytes())
        });
        PeerStatus {
            id: self.id,
            address: self.address.lock().clone(),
            connected_since: link.as_ref().map(|link| link.since),
            direction: link.as_ref().map(|link| link.direction),
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
            round_trip_us: Some(self.round_trip_us.load(Ordering::Relaxed)).filter(|us| *us > 0),
            cipher_suite: link
                .as_ref()
                .and_then(|link| Some(link.facts()?.cipher_suite.clone())),
            certificate: link
                .as_ref()
                .and_then(|link| link.facts()?.chain.first().cloned()),
            last_error: self.last_error.lock().clone(),
            twins,
            cuts,
            queue_frames,
            queue_bytes,
        }
    }
}

/// See [`Peer::dialling`].
#[derive(Debug)]
pub(crate) struct Dialling(Arc<Peer>);

impl Drop for Dialling {
    fn drop(&mut self) {
        self.0.slot.lock().dialling = false;
        self.0.changed.send_replace(());
    }
}

fn now() -> Time {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Time(since_epoch.map_or(0, |time| {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    }))
}

#[cfg(test)]
#[path = "peer_tests.rs"]
mod tests;
