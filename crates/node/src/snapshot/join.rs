//! Fetching a snapshot from peers, as a pure state machine.
//!
//! [`Joiner::handle`] takes the time and an event and gives actions; it reads no clock and touches neither
//! disk nor link. What it keeps is bounded whatever peers send: one list of offers per peer, one manifest,
//! and the chunks that are being fetched, whose bytes go at once to whoever checks and stores them.
//!
//! No peer is believed. Offers are claims; the manifest is checked against the genesis; each chunk is
//! checked against the manifest before it is written. A peer that sends what no correct peer sends is
//! dropped and named; one that does not answer is passed over.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hawser_ledger::Genesis;
use hawser_network::PeerId;
use hawser_primitives::{B256, Bytes, Height, Time};
use std::sync::Arc;

use super::{
    CHUNK_BYTES_MAX, ChunkId, Manifest, OFFERS_MAX, SnapshotAnswer, SnapshotAsk, SnapshotOffer,
    SnapshotRefusal, SnapshotReply, SnapshotRequest,
};

/// Waits and bounds of joining.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinLimits {
    /// Wait for more offers after the first one, in milliseconds. Default 2,000.
    pub offers_ms: u64,
    /// Wait for an answer, in milliseconds. Default 15,000.
    pub answer_ms: u64,
    /// Between two rounds of asking for offers, in milliseconds. Default 5,000.
    pub ask_again_ms: u64,
    /// Chunks under way in all. Default 8.
    pub in_flight_max: usize,
    /// Chunks under way with one peer. Default 3.
    pub per_peer_max: usize,
    /// Answers in a row that a peer may owe before it is passed over. Default 3.
    pub silences_max: u32,
}

impl Default for JoinLimits {
    fn default() -> Self {
        Self {
            offers_ms: 2_000,
            answer_ms: 15_000,
            ask_again_ms: 5_000,
            in_flight_max: 8,
            per_peer_max: 3,
            silences_max: 3,
        }
    }
}

/// How far a part of the snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinStage {
    /// Asking peers what they have.
    Asking,
    /// Fetching the manifest of the snapshot of a block.
    Manifest(Height),
    /// Fetching its chunks.
    Chunks(Height),
    /// Everything is here.
    Complete(Height),
}

/// How far joining is, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinProgress {
    /// What is going on.
    pub stage: JoinStage,
    /// Chunks that are here.
    pub chunks: usize,
    /// Chunks in all; 0 before it is known.
    pub chunks_all: usize,
    /// Peers that offer what is being fetched.
    pub peers: usize,
    /// Peers that say that they run another chain.
    pub other_chain: usize,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum JoinEvent {
    /// A link to a peer is up.
    PeerUp(PeerId),
    /// It is down.
    PeerDown(PeerId),
    /// A peer answered.
    Answer(PeerId, SnapshotAnswer),
    /// A chunk, or a manifest, was checked: what is wrong with it, if anything, and where it came from,
    /// `None` for the disk.
    Checked {
        /// Which chunk; `None` for the manifest.
        chunk: Option<ChunkId>,
        /// Where it came from.
        from: Option<PeerId>,
        /// What is wrong with it.
        result: Result<(), String>,
    },
    /// Time went on. Expected every 100 ms or so.
    Tick,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinAction {
    /// Ask a peer.
    Ask(PeerId, SnapshotRequest),
    /// Check a manifest and begin a folder for its chunks, in which those of another snapshot go and those of this
    /// one are checked; then call [`Joiner::begun`], or give [`JoinEvent::Checked`] with what is wrong.
    Begin(Box<Manifest>, PeerId),
    /// Check a chunk and store it durably, then give [`JoinEvent::Checked`].
    Check(ChunkId, PeerId, Bytes),
    /// Something that people should know.
    Report(JoinReport),
    /// Everything is here: make the folder from it.
    Complete(Height),
}

/// Something that people should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinReport {
    /// A peer sent what no correct peer sends, and is not asked any more.
    Dropped {
        /// Who.
        peer: PeerId,
        /// What was wrong.
        reason: String,
    },
    /// A peer says that it runs another chain than this node's genesis, and is not asked any more.
    OtherChain(PeerId),
    /// A peer cannot read what it is asked, and is not asked any more.
    NotUnderstood(PeerId),
    /// A peer owes too many answers and is passed over.
    Silent(PeerId),
    /// A snapshot was chosen.
    Chosen {
        /// Its block.
        height: Height,
        /// How many peers offer it.
        peers: usize,
    },
    /// No peer offers any more what was being fetched; others are looked for.
    Lost(Height),
}

#[derive(Clone, Debug, Default)]
struct Peer {
    offers: Vec<SnapshotOffer>,
    answered: bool,
    silences: u32,
    /// Not asked before.
    rest_until: Time,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    peer: PeerId,
    ask: SnapshotAsk,
    until: Time,
}

/// The snapshot that is being fetched.
#[derive(Debug)]
struct Target {
    offer: SnapshotOffer,
    /// Known once it is checked.
    manifest: Option<Arc<Manifest>>,
    /// Whether a manifest is being checked or fetched.
    pending: bool,
    /// Chunks in the order in which they are asked for. A part's content is held back until its leaves
    /// are here.
    wanted: VecDeque<ChunkId>,
    held: BTreeMap<u32, VecDeque<ChunkId>>,
    /// Being checked.
    checking: BTreeSet<ChunkId>,
    here: usize,
    all: usize,
}

/// Fetches a snapshot.
pub struct Joiner {
    genesis_hash: B256,
    limits: JoinLimits,
    peers: BTreeMap<PeerId, Peer>,
    dropped: BTreeSet<PeerId>,
    /// Those of them that say that they run another chain.
    other_chain: BTreeSet<PeerId>,
    flights: BTreeMap<u64, Flight>,
    next_id: u64,
    target: Option<Target>,
    /// Snapshots that turned out not to be what was offered.
    refused: BTreeSet<SnapshotOffer>,
    first_offer: Option<Time>,
    ask_at: Time,
    turn: usize,
    complete: bool,
    now: Time,
    actions: Vec<JoinAction>,
}

/// Most peers remembered as dropped, and offers as refused.
const REMEMBERED_MAX: usize = 1_024;

impl Joiner {
    /// For the chain of a genesis.
    #[must_use]
    pub fn new(genesis: &Genesis, limits: JoinLimits) -> Self {
        Self {
            genesis_hash: genesis.hash(),
            limits,
            peers: BTreeMap::new(),
            dropped: BTreeSet::new(),
            other_chain: BTreeSet::new(),
            flights: BTreeMap::new(),
            next_id: 1,
            target: None,
            refused: BTreeSet::new(),
            first_offer: None,
            ask_at: Time(0),
            turn: 0,
            complete: false,
            now: Time(0),
            actions: Vec::new(),
        }
    }

    /// Whether any peer that answered has a snapshot, or some have not answered.
    #[must_use]
    pub fn has_hope(&self) -> bool {
        let open = |peer: &Peer| !peer.answered || !peer.offers.is_empty();
        self.target.is_some() || self.peers.values().any(open)
    }

    /// Peers that are linked and have answered.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.peers.values().filter(|peer| peer.answered).count()
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> JoinProgress {
        let Some(target) = &self.target else {
            return JoinProgress {
                stage: JoinStage::Asking,
                chunks: 0,
                chunks_all: 0,
                peers: self.peers.len(),
                other_chain: self.other_chain.len(),
            };
        };
        let height = target.offer.height;
        JoinProgress {
            stage: match &target.manifest {
                _ if self.complete => JoinStage::Complete(height),
                Some(_) => JoinStage::Chunks(height),
                None => JoinStage::Manifest(height),
            },
            chunks: target.here,
            chunks_all: target.all,
            peers: self.sources().len(),
            other_chain: self.other_chain.len(),
        }
    }

    /// Takes in an event and gives what is to be done, in order.
    pub fn handle(&mut self, now: Time, event: JoinEvent) -> Vec<JoinAction> {
        self.now = self.now.max(now);
        match event {
            JoinEvent::PeerUp(peer) => {
                // A new link: whoever had the wrong genesis may have mended it.
                if self.other_chain.remove(&peer) {
                    self.dropped.remove(&peer);
                }
                if !self.dropped.contains(&peer) {
                    self.peers.insert(peer, Peer::default());
                    self.ask(peer, SnapshotAsk::List);
                }
            }
            JoinEvent::PeerDown(peer) => self.forget(peer),
            JoinEvent::Answer(from, answer) => self.on_answer(from, answer),
            JoinEvent::Checked {
                chunk,
                from,
                result,
            } => self.on_checked(chunk, from, result),
            JoinEvent::Tick => self.on_tick(),
        }
        self.advance();
        std::mem::take(&mut self.actions)
    }

    fn ask(&mut self, peer: PeerId, ask: SnapshotAsk) {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        let until = self.now.plus_ms(self.limits.answer_ms);
        self.flights.insert(id, Flight { peer, ask, until });
        let genesis = self.genesis_hash;
        let request = SnapshotRequest { id, genesis, ask };
        self.actions.push(JoinAction::Ask(peer, request));
    }

    /// Takes back what was asked of a peer.
    fn forget(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
        let of_it = |(id, flight): (&u64, &Flight)| (flight.peer == peer).then_some(*id);
        let ids: Vec<u64> = self.flights.iter().filter_map(of_it).collect();
        for id in ids {
            if let Some(flight) = self.flights.remove(&id) {
                self.missed(flight.ask);
            }
        }
    }

    /// What was asked for did not come.
    fn missed(&mut self, ask: SnapshotAsk) {
        let Some(target) = &mut self.target else {
            return;
        };
        match ask {
            SnapshotAsk::List => {}
            SnapshotAsk::Manifest { height } => {
                if height == target.offer.height {
                    target.pending = false;
                }
            }
            SnapshotAsk::Chunk { height, id } => {
                if height == target.offer.height {
                    target.wanted.push_front(id);
                }
            }
        }
    }

    fn drop_peer(&mut self, peer: PeerId, reason: String) {
        self.give_up(peer, JoinReport::Dropped { peer, reason });
    }

    /// Asks a peer no more, and says why.
    fn give_up(&mut self, peer: PeerId, why: JoinReport) {
        self.forget(peer);
        if self.dropped.len() < REMEMBERED_MAX {
            self.dropped.insert(peer);
            if matches!(why, JoinReport::OtherChain(_)) {
                self.other_chain.insert(peer);
            }
        }
        self.actions.push(JoinAction::Report(why));
    }

    fn on_answer(&mut self, from: PeerId, answer: SnapshotAnswer) {
        let asked = self.flights.get(&answer.id);
        let Some(flight) = asked.copied().filter(|flight| flight.peer == from) else {
            // Late, or never asked for: it costs nothing.
            return;
        };
        self.flights.remove(&answer.id);
        // Telling what one has is no proof of sending it.
        if !matches!(flight.ask, SnapshotAsk::List)
            && let Some(peer) = self.peers.get_mut(&from)
        {
            peer.silences = 0;
        }
        match (flight.ask, answer.reply) {
            (SnapshotAsk::List, SnapshotReply::Offers(offers)) => self.on_offers(from, offers),
            (SnapshotAsk::Manifest { height }, SnapshotReply::Manifest(bytes)) => {
                self.on_manifest(from, height, &bytes);
            }
            (SnapshotAsk::Chunk { height, id }, SnapshotReply::Chunk(bytes)) => {
                self.on_chunk(from, height, id, bytes);
            }
            (ask, SnapshotReply::Refused(why)) => self.on_refused(from, ask, why),
            (ask, _) => {
                self.missed(ask);
                self.drop_peer(from, "answered another question than was asked".to_owned());
            }
        }
    }

    fn on_offers(&mut self, from: PeerId, mut offers: Vec<SnapshotOffer>) {
        if offers.len() > OFFERS_MAX {
            return self.drop_peer(from, "offered more snapshots than it may".to_owned());
        }
        offers.retain(|offer| !self.refused.contains(offer));
        if !offers.is_empty() {
            self.first_offer.get_or_insert(self.now);
        }
        if let Some(peer) = self.peers.get_mut(&from) {
            (peer.offers, peer.answered) = (offers, true);
        }
    }

    fn on_manifest(&mut self, from: PeerId, height: Height, bytes: &[u8]) {
        if self
            .target
            .as_ref()
            .is_none_or(|one| one.offer.height != height)
        {
            return;
        }
        match Manifest::decode(bytes) {
            Ok(manifest) => {
                let begin = JoinAction::Begin(Box::new(manifest), from);
                self.actions.push(begin);
            }
            Err(error) => {
                self.missed(SnapshotAsk::Manifest { height });
                self.drop_peer(from, error.to_string());
            }
        }
    }

    fn on_chunk(&mut self, from: PeerId, height: Height, id: ChunkId, bytes: Bytes) {
        let Some(target) = &mut self.target else {
            return;
        };
        if target.offer.height != height || target.manifest.is_none() {
            return;
        }
        if bytes.len() > CHUNK_BYTES_MAX {
            target.wanted.push_front(id);
            return self.drop_peer(from, "sent a chunk larger than any may be".to_owned());
        }
        target.checking.insert(id);
        self.actions.push(JoinAction::Check(id, from, bytes));
    }

    fn on_refused(&mut self, from: PeerId, ask: SnapshotAsk, why: SnapshotRefusal) {
        self.missed(ask);
        let rest = self.now.plus_ms(1_000);
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        match why {
            SnapshotRefusal::Busy => peer.rest_until = rest,
            // It has thrown away what it offered, or never had it.
            SnapshotRefusal::NotHere | SnapshotRefusal::Failed => {
                peer.offers.clear();
                peer.answered = true;
            }
            // No forgery, only a refusal: it may well be this node whose genesis is wrong.
            SnapshotRefusal::WrongChain => self.give_up(from, JoinReport::OtherChain(from)),
            SnapshotRefusal::Malformed => self.give_up(from, JoinReport::NotUnderstood(from)),
        }
    }

    /// Takes in that a manifest passed its check. `here` are its chunks that are on the disk from before and
    /// passed theirs, in the order of the manifest. The next event goes on from there.
    pub fn begun(
        &mut self,
        (manifest, digest): (Arc<Manifest>, B256),
        from: PeerId,
        here: Vec<ChunkId>,
    ) {
        let Some(target) = &mut self.target else {
            return;
        };
        if manifest.height() != target.offer.height || digest != target.offer.digest {
            target.pending = false;
            return self.drop_peer(from, "sent another manifest than it offered".to_owned());
        }
        target.all = manifest.chunk_count();
        for id in manifest.chunks() {
            match id {
                ChunkId::Content(part, _) => target.held.entry(part).or_default().push_back(id),
                _ => target.wanted.push_back(id),
            }
        }
        target.manifest = Some(manifest);
        for id in here {
            self.on_checked(Some(id), None, Ok(()));
        }
    }

    fn on_checked(
        &mut self,
        chunk: Option<ChunkId>,
        from: Option<PeerId>,
        result: Result<(), String>,
    ) {
        let Some(id) = chunk else {
            // A manifest that is wrong; a good one is told by `begun`.
            if let Some(target) = &mut self.target {
                target.pending = false;
            }
            if let (Some(from), Err(reason)) = (from, result) {
                self.drop_peer(from, reason);
            }
            return;
        };
        let Some(target) = &mut self.target else {
            return;
        };
        target.checking.remove(&id);
        match result {
            Ok(()) => {
                target.wanted.retain(|other| *other != id);
                target.here = target.here.saturating_add(1);
                // The next of the same part can be checked now.
                let part = match id {
                    ChunkId::State(part) | ChunkId::Content(part, _) => part,
                    ChunkId::Blocks(_) => return,
                };
                let held = target.held.get_mut(&part).and_then(VecDeque::pop_front);
                if let Some(next) = held {
                    target.wanted.push_front(next);
                }
            }
            Err(reason) => {
                if !target.wanted.contains(&id) {
                    target.wanted.push_front(id);
                }
                if let Some(from) = from {
                    self.drop_peer(from, reason);
                }
            }
        }
    }

    fn on_tick(&mut self) {
        let late = |(id, flight): (&u64, &Flight)| (flight.until <= self.now).then_some(*id);
        let late: Vec<u64> = self.flights.iter().filter_map(late).collect();
        for id in late {
            let Some(Flight { peer, ask, .. }) = self.flights.remove(&id) else {
                continue;
            };
            self.missed(ask);
            let until = self.now.plus_ms(self.limits.answer_ms);
            let Some(state) = self.peers.get_mut(&peer) else {
                continue;
            };
            state.silences = state.silences.saturating_add(1);
            if matches!(ask, SnapshotAsk::List) {
                state.answered = true;
            }
            if state.silences >= self.limits.silences_max {
                state.silences = 0;
                state.rest_until = until;
                state.offers.clear();
                self.actions
                    .push(JoinAction::Report(JoinReport::Silent(peer)));
            }
        }
        if self.now >= self.ask_at {
            self.ask_at = self.now.plus_ms(self.limits.ask_again_ms);
            let asked: BTreeSet<PeerId> = self
                .flights
                .values()
                .filter(|flight| matches!(flight.ask, SnapshotAsk::List))
                .map(|flight| flight.peer)
                .collect();
            let due = |(id, peer): (&PeerId, &Peer)| {
                (peer.rest_until <= self.now && !asked.contains(id)).then_some(*id)
            };
            let due: Vec<PeerId> = self.peers.iter().filter_map(due).collect();
            for peer in due {
                self.ask(peer, SnapshotAsk::List);
            }
        }
    }

    /// Peers that offer what is being fetched and may be asked.
    fn sources(&self) -> Vec<PeerId> {
        let Some(target) = &self.target else {
            return Vec::new();
        };
        let offers = |peer: &Peer| peer.offers.contains(&target.offer);
        let fit = self.peers.iter().filter(|(_, peer)| offers(peer));
        fit.map(|(id, _)| *id).collect()
    }

    fn ready(&self, peer: &PeerId) -> bool {
        let open = self.flights.values().filter(|one| one.peer == *peer);
        let rested = self
            .peers
            .get(peer)
            .is_some_and(|p| p.rest_until <= self.now);
        rested && open.count() < self.limits.per_peer_max
    }

    /// Asks for whatever can be asked for.
    fn advance(&mut self) {
        if self.complete {
            return;
        }
        if self.target.is_none() {
            self.choose();
        }
        self.abandon();
        let Some(target) = &self.target else {
            return;
        };
        let offer = target.offer;
        let sources = self.sources();
        if target.manifest.is_none() {
            let ready = sources.iter().copied().filter(|peer| self.ready(peer));
            let silences = |peer: &PeerId| self.peers.get(peer).map_or(0, |one| one.silences);
            let peer = ready.min_by_key(silences);
            if !target.pending
                && let Some(peer) = peer
            {
                if let Some(target) = &mut self.target {
                    target.pending = true;
                }
                let height = offer.height;
                self.ask(peer, SnapshotAsk::Manifest { height });
            }
            return;
        }
        if target.here >= target.all && target.checking.is_empty() {
            self.complete = true;
            self.actions.push(JoinAction::Complete(offer.height));
            return;
        }
        loop {
            let Some(target) = &mut self.target else {
                return;
            };
            let asked = self.flights.len().saturating_add(target.checking.len());
            if asked >= self.limits.in_flight_max || target.wanted.is_empty() {
                return;
            }
            // In turn, so that the work is spread.
            let count = sources.len();
            let from = (0..count).filter_map(|step| {
                let at = self.turn.wrapping_add(step).checked_rem(count)?;
                sources.get(at).copied()
            });
            let from: Vec<PeerId> = from.collect();
            let Some(peer) = from.into_iter().find(|peer| self.ready(peer)) else {
                return;
            };
            self.turn = self.turn.wrapping_add(1);
            let Some(id) = self.target.as_mut().and_then(|one| one.wanted.pop_front()) else {
                return;
            };
            let height = offer.height;
            self.ask(peer, SnapshotAsk::Chunk { height, id });
        }
    }

    /// Takes the newest snapshot that most peers offer, once all have answered or the wait is over.
    fn choose(&mut self) {
        let waited = self
            .first_offer
            .is_some_and(|at| self.now >= at.plus_ms(self.limits.offers_ms));
        let all = self.peers.values().all(|peer| peer.answered);
        if self.first_offer.is_none() || !(waited || all) {
            return;
        }
        let mut counts: BTreeMap<SnapshotOffer, usize> = BTreeMap::new();
        for offer in self.peers.values().flat_map(|peer| &peer.offers) {
            let count = counts.entry(*offer).or_default();
            *count = count.saturating_add(1);
        }
        let newest = counts.keys().map(|offer| offer.height).max();
        let best = counts
            .into_iter()
            .filter(|(offer, _)| Some(offer.height) == newest)
            .max_by_key(|(_, count)| *count);
        let Some((offer, peers)) = best else {
            self.first_offer = None;
            return;
        };
        let height = offer.height;
        self.actions
            .push(JoinAction::Report(JoinReport::Chosen { height, peers }));
        self.target = Some(Target {
            offer,
            manifest: None,
            pending: false,
            wanted: VecDeque::new(),
            held: BTreeMap::new(),
            checking: BTreeSet::new(),
            here: 0,
            all: 0,
        });
    }

    /// Gives a snapshot up that nobody offers any more, while others may be had.
    fn abandon(&mut self) {
        let Some(target) = &self.target else {
            return;
        };
        let busy = target.pending && target.manifest.is_none() || !target.checking.is_empty();
        if busy || !self.sources().is_empty() || self.complete {
            return;
        }
        let done = target.manifest.is_some() && target.here >= target.all;
        let others = self
            .peers
            .values()
            .any(|peer| peer.offers.iter().any(|offer| *offer != target.offer));
        // A link that is down for a moment is no reason to begin anew.
        let never = target.manifest.is_none();
        if done || !(others || never) {
            return;
        }
        let height = target.offer.height;
        if self.refused.len() < REMEMBERED_MAX && never {
            self.refused.insert(target.offer);
        }
        self.flights
            .retain(|_, flight| matches!(flight.ask, SnapshotAsk::List));
        self.target = None;
        self.first_offer = None;
        if self.peers.values().any(|peer| !peer.offers.is_empty()) {
            self.first_offer = Some(self.now);
        }
        self.actions
            .push(JoinAction::Report(JoinReport::Lost(height)));
    }
}
