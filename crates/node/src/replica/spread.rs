//! Getting client transactions to all peers without any node's sending them to each.
//!
//! A small network sends to every peer, and so does a node of a larger one that brings no more than its part. Else the
//! first node cuts what it has into pieces
//! and gives each to two relays, which pass it on once they have verified it. So every node sends
//! about twice the bytes of the transactions, however many nodes there are; one relay that does
//! nothing changes nothing, and what two of them withhold is asked for when it is proposed. Rules:
//! `docs/spec/dissemination.md`, DI-20 to DI-29.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use hawser_ledger::VerifiedTransaction;
use hawser_network::PeerId;
use hawser_primitives::{B256, Bytes, Time, encode};

use super::{
    PeerMessage, Relayed, Replica, To,
    wire::{FEATURE_ABOUT, FEATURE_BATCH, FEATURE_SPREAD, FEATURES, GOSSIP_BYTES},
};
use crate::pool::{Candidate, PoolError};

/// Peers up to which a node sends transactions to each of them itself: seven nodes.
pub(super) const DIRECT_PEERS: usize = 6;
/// Bytes below which it is not worth to cut what is sent to relays into more pieces.
pub(super) const PIECE_BYTES_MIN: usize = 2_048;
/// Transactions of which it is remembered that they were passed on; twice as many at most.
const PASSED_MAX: usize = 32_768;
/// Bytes of transactions that are remembered although the pool refused them, for blocks that have
/// them all the same.
const SPARE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of transactions of this node's clients that are remembered to be sent again.
const INTRODUCED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Time after which what still waits is sent by other relays, in milliseconds.
const SPREAD_AGAIN_MS: u64 = 1_000;
/// Bytes of transactions that are sent again with one status message.
const SPREAD_AGAIN_BYTES: usize = 128 * 1024;
/// How often a peer that has not said what it understands is told what this node does.
const HELLOS_MAX: u8 = 5;
/// Full bodies' worth of bytes that one peer is sent on request between two status messages.
const SERVED_BODIES_MAX: usize = 8;
/// Time in which a node of a large network sends half a body's bytes on request, or one answer, in
/// milliseconds.
const ANSWERS_MS: u64 = 1_000;

/// What was sent of a body on request.
#[derive(Debug)]
pub(super) struct Answers {
    block: B256,
    since: Time,
    bytes: usize,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            block: B256::ZERO,
            since: Time(0),
            bytes: 0,
        }
    }
}

/// The latest of many hashes.
#[derive(Debug, Default)]
pub(super) struct RecentHashes {
    young: BTreeSet<B256>,
    old: BTreeSet<B256>,
}

impl RecentHashes {
    pub(super) fn contains(&self, hash: &B256) -> bool {
        self.young.contains(hash) || self.old.contains(hash)
    }

    /// Hashes remembered.
    pub(super) fn len(&self) -> usize {
        self.young.len().saturating_add(self.old.len())
    }

    /// Notes a hash; whether it is new.
    pub(super) fn insert(&mut self, hash: B256) -> bool {
        if self.young.len() >= PASSED_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        !self.old.contains(&hash) && self.young.insert(hash)
    }
}

/// The latest of many transactions, with the time at which each came or was last sent.
#[derive(Debug)]
pub(super) struct Latest {
    list: VecDeque<(Time, Arc<VerifiedTransaction>)>,
    bytes: usize,
    bytes_max: usize,
}

impl Latest {
    /// For verified transactions that found no place in the pool.
    pub(super) const fn spare() -> Self {
        Self::new(SPARE_BYTES_MAX)
    }

    /// For transactions that clients gave this node.
    pub(super) const fn introduced() -> Self {
        Self::new(INTRODUCED_BYTES_MAX)
    }

    const fn new(bytes_max: usize) -> Self {
        Self {
            list: VecDeque::new(),
            bytes: 0,
            bytes_max,
        }
    }

    fn push(&mut self, at: Time, transaction: Arc<VerifiedTransaction>) {
        self.bytes = self.bytes.saturating_add(bytes_of(&transaction));
        self.list.push_back((at, transaction));
        while self.bytes > self.bytes_max && self.pop().is_some() {}
    }

    fn pop(&mut self) -> Option<Arc<VerifiedTransaction>> {
        let (_, oldest) = self.list.pop_front()?;
        self.bytes = self.bytes.saturating_sub(bytes_of(&oldest));
        Some(oldest)
    }

    /// Takes out the one that has been here longest, if it came before `at`.
    fn pop_before(&mut self, at: Time) -> Option<Arc<VerifiedTransaction>> {
        let (came, _) = self.list.front()?;
        if *came < at { self.pop() } else { None }
    }

    /// Forgets what others vouched for.
    pub(super) fn clear_attested(&mut self) {
        self.list.retain(|(_, one)| !one.is_attested());
        self.bytes = self.list.iter().map(|(_, one)| bytes_of(one)).sum();
    }

    /// Bytes held.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<VerifiedTransaction>> {
        self.list.iter().map(|(_, one)| one)
    }
}

pub(super) fn bytes_of(transaction: &VerifiedTransaction) -> usize {
    transaction.transaction().raw().len()
}

impl Replica {
    /// Peers of this chain.
    pub(super) fn full_peers(&self) -> impl Iterator<Item = PeerId> {
        let peers = self.peers.iter().filter(|(_, peer)| !peer.foreign);
        peers.map(|(id, _)| *id)
    }

    /// Peers of this chain that understand something.
    pub(super) fn able_peers(&self, feature: u64) -> Vec<PeerId> {
        let able = self.peers.iter().filter(|(_, peer)| {
            !peer.foreign && peer.features.is_some_and(|has| has & feature != 0)
        });
        able.map(|(id, _)| *id).collect()
    }

    pub(super) fn send_hello(&mut self, to: PeerId, heard: bool) {
        let message = PeerMessage::Hello {
            features: FEATURES,
            heard,
        };
        self.send(To::Peer(to), true, &message);
    }

    pub(super) fn on_hello(&mut self, from: PeerId, features: u64, heard: bool) {
        if let Some(peer) = self.peers.get_mut(&from) {
            let news = peer.features.replace(features).is_none();
            if !heard {
                self.send_hello(from, true);
            }
            if (news || !heard) && features & FEATURE_ABOUT != 0 {
                self.send_about(from);
            }
            if news && features & FEATURE_BATCH != 0 {
                self.send_evidence(from);
            }
        }
    }

    /// Tells peers again what this node understands, whose answer may have been lost.
    pub(super) fn repeat_hellos(&mut self) {
        self.batches.status_sent(self.now);
        let mut silent = Vec::new();
        for (id, peer) in &mut self.peers {
            peer.served = 0;
            if peer.features.is_none() && peer.hellos < HELLOS_MAX {
                peer.hellos = peer.hellos.saturating_add(1);
                silent.push(*id);
            }
        }
        for peer in silent {
            self.send_hello(peer, false);
        }
    }

    /// Whether a peer may be sent so many bytes of a body of `whole` bytes now.
    ///
    /// In a large network what many miss must not all come from the proposer: those who got it
    /// answer the others, who ask somebody else the next time.
    pub(super) fn may_serve(
        &mut self,
        to: PeerId,
        block: B256,
        bytes: usize,
        whole: usize,
    ) -> bool {
        let now = self.now;
        if self.answers.block != block || now >= self.answers.since.plus_ms(ANSWERS_MS) {
            self.answers = Answers {
                block,
                since: now,
                bytes: 0,
            };
        }
        let all = self.answers.bytes.saturating_add(bytes);
        if self.peers.len() > DIRECT_PEERS && self.answers.bytes > 0 && all > whole / 2 {
            return false;
        }
        let most = whole.max(PIECE_BYTES_MIN).saturating_mul(SERVED_BODIES_MAX);
        let Some(peer) = self.peers.get_mut(&to) else {
            return false;
        };
        let served = peer.served.saturating_add(bytes);
        if served > most {
            return false;
        }
        peer.served = served;
        self.answers.bytes = all;
        true
    }

    /// Takes in transactions of a peer that have been verified, and passes them on if it asked for
    /// that.
    pub(super) fn on_gossiped(&mut self, candidates: Vec<Candidate>, spread: Option<PeerId>) {
        let mut arrived = Vec::with_capacity(candidates.len());
        let mut to_pass = Vec::new();
        for candidate in candidates {
            let transaction = Arc::clone(&candidate.transaction);
            let result = self.pool.insert(candidate, self.now);
            let waits = match &result {
                Ok(_) => {
                    self.share.others(bytes_of(&transaction));
                    true
                }
                Err(PoolError::AlreadyKnown) => self.pool.get(&transaction.hash()).is_some(),
                // What this pool refuses, the sender's may hold: no answer is owed.
                Err(_) => {
                    self.spare.push(self.now, Arc::clone(&transaction));
                    false
                }
            };
            if waits && spread.is_some() && self.passed.insert(transaction.hash()) {
                to_pass.push(Arc::clone(&transaction));
            }
            arrived.push(transaction);
        }
        if let Some(origin) = spread {
            self.send_transactions(To::Except(origin), &to_pass);
        }
        self.fill_drafts(&arrived);
    }

    /// Sends transactions to every peer directly.
    pub(super) fn send_transactions(&mut self, to: To, transactions: &[Arc<VerifiedTransaction>]) {
        for piece in pieces(transactions, GOSSIP_BYTES) {
            self.send(to, false, &PeerMessage::Transactions(piece));
        }
    }

    /// Gets transactions that clients gave this node to all peers.
    pub(super) fn gossip(&mut self, transactions: &[Arc<VerifiedTransaction>]) {
        let able = self.able_peers(FEATURE_SPREAD);
        if !self.uses_relays() || able.len() < 2 {
            return self.send_transactions(To::All, transactions);
        }
        let total: usize = transactions.iter().map(|one| bytes_of(one)).sum();
        let each = (total / able.len()).clamp(PIECE_BYTES_MIN, GOSSIP_BYTES);
        for piece in pieces(transactions, each) {
            let message = Bytes::from(encode(&PeerMessage::Spread(piece)));
            for relay in self.next_relays(&able) {
                self.send_bytes(To::Peer(relay), false, message.clone());
            }
        }
    }

    /// Whether what clients give this node goes by relays.
    fn uses_relays(&self) -> bool {
        let peers = self.peers.len();
        peers > DIRECT_PEERS && !self.share.is_sent_directly(peers)
    }

    /// Remembers what clients gave this node, where relays could withhold it.
    pub(super) fn introduce(&mut self, transactions: &[Arc<VerifiedTransaction>]) {
        if self.uses_relays() {
            for transaction in transactions {
                self.introduced.push(self.now, Arc::clone(transaction));
            }
        }
    }

    /// Sends again, by other relays, what clients gave this node and still waits here.
    /// Whether there was any.
    pub(super) fn spread_again(&mut self) -> bool {
        let (mut again, mut bytes) = (Vec::new(), 0usize);
        let before = Time(self.now.0.saturating_sub(SPREAD_AGAIN_MS));
        while bytes < SPREAD_AGAIN_BYTES {
            let Some(oldest) = self.introduced.pop_before(before) else {
                break;
            };
            if self.pool.get(&oldest.hash()).is_some() {
                bytes = bytes.saturating_add(bytes_of(&oldest));
                again.push(oldest);
            }
        }
        self.gossip(&again);
        self.introduce(&again);
        !again.is_empty()
    }

    /// Two relays, other ones each time, so that the work is shared and every pair has its turn.
    pub(super) fn next_relays(&mut self, able: &[PeerId]) -> [PeerId; 2] {
        let turn = self.relay_turn;
        self.relay_turn = turn.wrapping_add(1);
        relays(able, turn)
    }
}

/// The pair of relays for a turn; `able` has two at least.
fn relays(able: &[PeerId], turn: usize) -> [PeerId; 2] {
    let count = able.len().max(2);
    let first = turn % count;
    let apart = (turn / count) % (count - 1);
    let second = (first + 1 + apart) % count;
    [first, second].map(|at| able.get(at).copied().unwrap_or(PeerId([0; 32])))
}

/// Bytes of transactions in a list.
pub(super) fn relayed_bytes(list: &[Relayed]) -> usize {
    list.iter().map(|one| one.raw.len()).sum()
}

/// Transactions in lists of about so many bytes each.
fn pieces(transactions: &[Arc<VerifiedTransaction>], bytes_max: usize) -> Vec<Vec<Relayed>> {
    let (mut all, mut piece, mut bytes) = (Vec::new(), Vec::new(), 0usize);
    for transaction in transactions {
        let relayed = Relayed::from(transaction.as_ref());
        bytes = bytes.saturating_add(relayed.raw.len());
        piece.push(relayed);
        if bytes >= bytes_max {
            all.push(std::mem::take(&mut piece));
            bytes = 0;
        }
    }
    if !piece.is_empty() {
        all.push(piece);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_share_the_work_and_every_pair_has_its_turn() {
        let able: Vec<_> = (0..9).map(|i| PeerId([i; 32])).collect();
        let mut pairs = BTreeSet::new();
        let mut load = [0usize; 9];
        for turn in 0..9 * 8 {
            let [a, b] = relays(&able, turn);
            assert_ne!(a, b);
            pairs.insert([a, b]);
            for peer in [a, b] {
                load[usize::from(peer.0[0])] += 1;
            }
        }
        assert_eq!(pairs.len(), 9 * 8);
        assert!(load.iter().all(|count| *count == 16), "{load:?}");
    }

    #[test]
    fn what_was_passed_on_is_remembered_within_its_bound() {
        let mut passed = RecentHashes::default();
        let hash = |i: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&(i as u64).to_be_bytes());
            B256::from(bytes)
        };
        for i in 0..4 * PASSED_MAX {
            assert!(passed.insert(hash(i)));
            assert!(!passed.insert(hash(i)));
            assert!(passed.young.len() + passed.old.len() <= 2 * PASSED_MAX);
        }
        assert!(!passed.insert(hash(3 * PASSED_MAX + 1)));
        assert!(passed.insert(hash(0)), "the oldest are forgotten");
    }
}
