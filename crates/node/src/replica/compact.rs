//! Proposed blocks by references to transactions that the receiver has already.
//!
//! The header's transactions root judges what is rebuilt, so nobody has to be trusted: wrong
//! references, or a transaction that happens to have the short name of another, cost a request for
//! the full body and nothing else. Rules: `docs/spec/dissemination.md`, DI-1 to DI-19.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hawser_ledger::{Block, Header, VerifiedTransaction};
use hawser_network::PeerId;
use hawser_primitives::{
    B256, Bytes, Height, encode,
    limits::{BLOCK_BYTES_MAX, BLOCK_TRANSACTIONS_MAX, TRANSACTION_BYTES_MAX},
};

use super::{
    Action, PeerMessage, Replica, Report, TimerId, To,
    candidates::{Body, FETCH_AFTER_MS},
    spread::DIRECT_PEERS,
    wire::{Compact, FEATURE_COMPACT, INDEXED_BYTES, REFERENCE_BYTES, Share},
};
use crate::siphash::SipKey;

/// Bodies below this many bytes are sent in full: a round trip for what is missing would cost more.
const COMPACT_FROM_BYTES: usize = 4_096;
/// The same in a network where each byte goes to many.
const COMPACT_FROM_BYTES_MANY: usize = 512;
/// Peers up to which the proposer sends references to each of them itself.
const COMPACT_DIRECT_PEERS: usize = 16;
/// Wait for transactions that are on their way before missing ones are asked for, in milliseconds.
const GRACE_MS: u64 = 10;
/// The same where they come by relays, or have to be attested first.
const GRACE_LONG_MS: u64 = 40;
/// Peers that are asked for what is missing before a full body is asked for.
const ASKED_MAX: usize = 6;
/// Rebuilds of one block at a time: if one sender's references are wrong, another's may be right.
const DRAFTS_PER_BLOCK_MAX: usize = 2;
/// Rebuilds at a time.
const DRAFTS_MAX: usize = 8;
/// Compact bodies kept that came before the proposal that names them; one of each peer.
const EARLY_MAX: usize = 16;

/// Transactions of a block as far as their signatures are known to be good.
pub(super) type Known = Vec<Option<Arc<VerifiedTransaction>>>;

#[derive(Debug)]
enum Slot {
    Missing,
    Known(Arc<VerifiedTransaction>),
    /// Sent by a peer on request.
    Raw(Bytes),
}

/// A body that is being rebuilt from one peer's references.
#[derive(Debug)]
struct Draft {
    header: Header,
    key: SipKey,
    /// References with their positions, ascending. What cannot be told apart by them is left out.
    names: Vec<(u64, u32)>,
    slots: Vec<Slot>,
    missing: usize,
    /// Bytes that peers sent on request.
    raw_bytes: usize,
    /// Who was asked for what is missing.
    asked: Vec<PeerId>,
}

/// Bodies that are being rebuilt.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    open: BTreeMap<(B256, PeerId), Draft>,
    /// Who has sent references to which block: once each.
    seen: BTreeSet<(B256, PeerId)>,
    /// What came before a message of agreement named it.
    early: BTreeMap<PeerId, (B256, Compact)>,
}

impl Drafts {
    /// Forgets everything but what is for the height after `decided`.
    pub(super) fn decided(&mut self, decided: Height) {
        self.open.clear();
        self.seen.clear();
        let next = decided.next();
        self.early
            .retain(|_, (_, compact)| compact.header.height == next);
    }

    pub(super) fn forget_peer(&mut self, peer: &PeerId) {
        self.open.retain(|(_, from), _| from != peer);
        self.early.remove(peer);
    }

    /// Rebuilds and early bodies, and bytes of transactions and references that came for them.
    pub(super) fn size(&self) -> (usize, usize) {
        let open = self.open.values().map(|draft| draft.raw_bytes);
        let early = self.early.values().map(|(_, one)| one.references.len());
        let count = self.open.len().saturating_add(self.early.len());
        (count, open.chain(early).sum())
    }

    fn of_block(&self, hash: &B256) -> impl Iterator<Item = PeerId> {
        let (low, high) = ((*hash, PeerId([0; 32])), (*hash, PeerId([0xff; 32])));
        self.open.range(low..=high).map(|((_, from), _)| *from)
    }

    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.open.len(), self.early.len())
    }
}

/// The key under which a block's transactions are named.
pub(super) fn reference_key(block: &B256) -> SipKey {
    SipKey::new(block.as_slice())
}

/// The short name of a transaction.
pub(super) fn reference(key: SipKey, transaction: &B256) -> u64 {
    key.hash(transaction.as_slice()) & ((1 << (8 * REFERENCE_BYTES)) - 1)
}

fn pack(names: impl Iterator<Item = u64>) -> Bytes {
    let mut bytes = Vec::new();
    for name in names {
        bytes.extend(name.to_le_bytes().into_iter().take(REFERENCE_BYTES));
    }
    bytes.into()
}

fn unpack(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.chunks_exact(REFERENCE_BYTES).map(|chunk| {
        chunk
            .iter()
            .rev()
            .fold(0, |name, byte| (name << 8) | u64::from(*byte))
    })
}

impl Draft {
    fn new(hash: &B256, compact: &Compact) -> Self {
        let mut names: Vec<_> = unpack(&compact.references).zip(0u32..).collect();
        let count = names.len();
        names.sort_unstable();
        // Two transactions of one name cannot be told apart: both are asked for.
        let twice: BTreeSet<u64> = names
            .windows(2)
            .filter_map(|pair| match pair {
                [(a, _), (b, _)] if a == b => Some(*a),
                _ => None,
            })
            .collect();
        names.retain(|(name, _)| !twice.contains(name));
        Self {
            header: compact.header.clone(),
            key: reference_key(hash),
            names,
            slots: std::iter::repeat_with(|| Slot::Missing)
                .take(count)
                .collect(),
            missing: count,
            raw_bytes: 0,
            asked: Vec::new(),
        }
    }

    /// Puts a transaction where it is referred to.
    fn offer(&mut self, transaction: &Arc<VerifiedTransaction>) {
        self.offer_named(reference(self.key, &transaction.hash()), transaction);
    }

    fn offer_named(&mut self, name: u64, transaction: &Arc<VerifiedTransaction>) {
        let Ok(found) = self.names.binary_search_by_key(&name, |(name, _)| *name) else {
            return;
        };
        let Some((_, position)) = self.names.get(found).copied() else {
            return;
        };
        let Some(slot) = slot_mut(&mut self.slots, position) else {
            return;
        };
        match slot {
            Slot::Missing => {
                *slot = Slot::Known(Arc::clone(transaction));
                self.missing = self.missing.saturating_sub(1);
            }
            // Two of one name: which one the block has is asked for.
            Slot::Known(other) if other.hash() != transaction.hash() => {
                *slot = Slot::Missing;
                self.missing = self.missing.saturating_add(1);
                self.names.remove(found);
            }
            Slot::Known(_) | Slot::Raw(_) => {}
        }
    }

    /// Puts what a peer sent on request where it belongs.
    fn put(&mut self, position: u32, raw: Bytes) {
        let len = raw.len();
        if len > TRANSACTION_BYTES_MAX || self.raw_bytes.saturating_add(len) > BLOCK_BYTES_MAX {
            return;
        }
        if let Some(slot) = slot_mut(&mut self.slots, position)
            && matches!(slot, Slot::Missing)
        {
            *slot = Slot::Raw(raw);
            self.raw_bytes = self.raw_bytes.saturating_add(len);
            self.missing = self.missing.saturating_sub(1);
        }
    }

    fn missing(&self) -> Vec<u32> {
        let missing = |(slot, _): &(&Slot, u32)| matches!(slot, Slot::Missing);
        let slots = self.slots.iter().zip(0u32..);
        slots
            .filter(missing)
            .map(|(_, position)| position)
            .collect()
    }

    fn finish(self) -> (Block, Known) {
        let mut transactions = Vec::with_capacity(self.slots.len());
        let mut known = Vec::with_capacity(self.slots.len());
        for slot in self.slots {
            match slot {
                Slot::Known(transaction) => {
                    transactions.push(transaction.transaction().raw().clone());
                    known.push(Some(transaction));
                }
                Slot::Raw(raw) => {
                    transactions.push(raw);
                    known.push(None);
                }
                Slot::Missing => {}
            }
        }
        let header = self.header;
        let block = Block {
            header,
            transactions,
        };
        (block, known)
    }
}

fn slot_mut(slots: &mut [Slot], position: u32) -> Option<&mut Slot> {
    slots.get_mut(usize::try_from(position).ok()?)
}

impl Replica {
    /// Tells all peers of a block that is here: by references those that understand them, in full
    /// the others.
    pub(super) fn offer_body(&mut self, hash: B256) {
        let Some(block) = self.body_of(&hash) else {
            return;
        };
        let from = if self.peers.len() > DIRECT_PEERS {
            COMPACT_FROM_BYTES_MANY
        } else {
            COMPACT_FROM_BYTES
        };
        if block.body_bytes() < from {
            return self.send_body(To::All, hash);
        }
        let key = reference_key(&hash);
        let names = match self.candidates.transactions(&hash) {
            Some(known) => pack(known.iter().map(|one| reference(key, &one.hash()))),
            None => pack(block.transactions.iter().map(|raw| {
                let hash = hawser_ledger::Transaction::hash_of(self.suite, raw);
                reference(key, &hash)
            })),
        };
        let compact = |share| {
            PeerMessage::Compact(Compact {
                header: block.header.clone(),
                share,
                references: names.clone(),
            })
        };
        let able = self.able_peers(FEATURE_COMPACT);
        let messages: Vec<(PeerId, Bytes)> = if able.len() <= COMPACT_DIRECT_PEERS {
            let bytes = Bytes::from(encode(&compact(None)));
            able.iter().map(|peer| (*peer, bytes.clone())).collect()
        } else {
            // As many relays as each has to serve; other ones for every block.
            let count = able.len().isqrt().saturating_add(1).min(able.len());
            let of = u16::try_from(count).unwrap_or(u16::MAX);
            let turn = usize::try_from(block.header.height.0 % (1 << 20)).unwrap_or(0);
            let first = turn.wrapping_mul(count) % able.len();
            let relays = able.iter().cycle().skip(first);
            relays
                .zip(0..of)
                .map(|(peer, index)| (*peer, encode(&compact(Some(Share { index, of }))).into()))
                .collect()
        };
        let unable: Vec<_> = self
            .full_peers()
            .filter(|peer| !able.contains(peer))
            .collect();
        for (peer, bytes) in messages {
            self.send_bytes(To::Peer(peer), true, bytes);
        }
        for peer in unable {
            self.send_body(To::Peer(peer), hash);
        }
    }

    pub(super) fn on_compact(&mut self, from: PeerId, compact: Compact) {
        let hash = compact.header.hash(self.suite);
        let count = usize::try_from(compact.header.transactions_count).unwrap_or(usize::MAX);
        let share_ok = compact
            .share
            .is_none_or(|share| share.of >= 2 && share.index < share.of);
        if count > BLOCK_TRANSACTIONS_MAX
            || compact.references.len() != count.saturating_mul(REFERENCE_BYTES)
            || !share_ok
        {
            let len = compact.references.len();
            let reason = format!("{len} bytes of references to {count} transactions");
            return self.report(Report::BadMessage { from, reason });
        }
        let (height, next) = (compact.header.height, self.tip.height.next());
        if height < next || height > next.next() {
            return;
        }
        if height == next && self.candidates.is_wanted(&hash) {
            return self.start_draft(from, hash, compact);
        }
        if height == next && self.candidates.is_named(&hash) {
            return;
        }
        // The proposal that names it may come by another link a moment later.
        let early = &mut self.drafts.early;
        if early.len() < EARLY_MAX || early.contains_key(&from) {
            early.insert(from, (hash, compact));
        }
    }

    /// Takes up what came before the message that names it.
    pub(super) fn take_early(&mut self, hash: B256) {
        let early = self.drafts.early.iter();
        let senders: Vec<_> = early
            .filter(|(_, (of, _))| *of == hash)
            .map(|(from, _)| *from)
            .collect();
        for from in senders {
            if let Some((_, compact)) = self.drafts.early.remove(&from) {
                self.start_draft(from, hash, compact);
            }
        }
    }

    fn start_draft(&mut self, from: PeerId, hash: B256, compact: Compact) {
        if !self.candidates.is_wanted(&hash) || !self.drafts.seen.insert((hash, from)) {
            return;
        }
        self.pass_on_compact(from, hash, &compact);
        if self.drafts.of_block(&hash).count() >= DRAFTS_PER_BLOCK_MAX
            || self.drafts.open.len() >= DRAFTS_MAX
        {
            return;
        }
        let mut draft = Draft::new(&hash, &compact);
        // Blocks take the oldest first.
        for transaction in self.pool.by_arrival().chain(self.spare.iter()) {
            if draft.missing == 0 {
                break;
            }
            draft.offer(transaction);
        }
        if draft.missing > 0 && self.drafts.of_block(&hash).next().is_none() {
            let grace = if self.peers.len() > DIRECT_PEERS || self.is_attesting() {
                GRACE_LONG_MS
            } else {
                GRACE_MS
            };
            self.set_timer(TimerId::Fetch(hash), grace);
        }
        self.drafts.open.insert((hash, from), draft);
        self.finish_draft(hash, from);
    }

    fn pass_on_compact(&mut self, from: PeerId, hash: B256, compact: &Compact) {
        let Some(share) = compact.share else {
            return;
        };
        let key = reference_key(&hash);
        let (index, of) = (u64::from(share.index), u64::from(share.of));
        let receivers: Vec<_> = self
            .able_peers(FEATURE_COMPACT)
            .into_iter()
            .filter(|peer| {
                let mine = key.hash(&peer.0) % of;
                *peer != from && (mine == index || mine == (index + 1) % of)
            })
            .collect();
        let message = PeerMessage::Compact(Compact {
            share: None,
            ..compact.clone()
        });
        let bytes = Bytes::from(encode(&message));
        for peer in receivers {
            self.send_bytes(To::Peer(peer), true, bytes.clone());
        }
    }

    /// Fills in transactions that have arrived.
    pub(super) fn fill_drafts(&mut self, transactions: &[Arc<VerifiedTransaction>]) {
        for draft in self.drafts.open.values_mut() {
            for transaction in transactions {
                draft.offer(transaction);
            }
        }
        self.finish_drafts();
    }

    fn finish_drafts(&mut self) {
        let complete = |(at, draft): (&(B256, PeerId), &Draft)| (draft.missing == 0).then_some(*at);
        let all: Vec<_> = self.drafts.open.iter().filter_map(complete).collect();
        for (hash, from) in all {
            self.finish_draft(hash, from);
        }
    }

    /// Judges a rebuilt body once nothing is missing.
    fn finish_draft(&mut self, hash: B256, from: PeerId) {
        let at = (hash, from);
        if self
            .drafts
            .open
            .get(&at)
            .is_none_or(|draft| draft.missing > 0)
        {
            return;
        }
        let Some(draft) = self.drafts.open.remove(&at) else {
            return;
        };
        let (block, known) = draft.finish();
        if block.check_body(self.suite).is_ok() {
            self.drafts.open.retain(|(of, _), _| *of != hash);
            self.complete(hash, block, Some(known));
        } else if self.drafts.of_block(&hash).next().is_none() {
            // A name that fits two transactions, or a sender that lies: the full body decides.
            self.request_body(from, hash);
        }
    }

    /// Asks for what a rebuild misses; says whether there was anybody to ask for it.
    pub(super) fn ask_missing(&mut self, hash: B256) -> bool {
        let able = self.able_peers(FEATURE_COMPACT);
        let Some(from) = self.drafts.of_block(&hash).next() else {
            return false;
        };
        let height = self.tip.height.next();
        let Some(draft) = self.drafts.open.get_mut(&(hash, from)) else {
            return false;
        };
        let asked = draft.asked.len();
        if asked >= ASKED_MAX || able.is_empty() {
            return false;
        }
        // The sender first, then others: not the same ones that everybody else asks.
        let peer = if asked == 0 {
            Some(from)
        } else {
            let own = self.address.unwrap_or_default();
            let draw = draft
                .key
                .hash(&[own.as_slice(), &asked.to_le_bytes()].concat());
            let at = draw % u64::try_from(able.len()).unwrap_or(u64::MAX);
            able.get(usize::try_from(at).unwrap_or(0)).copied()
        };
        let Some(peer) = peer else {
            return false;
        };
        draft.asked.push(peer);
        let indices = draft.missing();
        let message = PeerMessage::IndexRequest {
            height,
            block: hash,
            indices,
        };
        self.send(To::Peer(peer), true, &message);
        true
    }

    pub(super) fn on_index_request(
        &mut self,
        from: PeerId,
        (height, hash): (Height, B256),
        indices: &[u32],
    ) {
        if height != self.tip.height.next() {
            if height <= self.tip.height {
                self.send_status(To::Peer(from));
            }
            return;
        }
        if !indices.is_sorted_by(|a, b| a < b) {
            let reason = "asked for transactions in no order".to_owned();
            return self.report(Report::BadMessage { from, reason });
        }
        let Some(block) = self.body_of(&hash) else {
            return;
        };
        let wanted = |index: &u32| {
            let raw = block.transactions.get(usize::try_from(*index).ok()?)?;
            Some((*index, raw.clone()))
        };
        let found: Vec<_> = indices.iter().filter_map(wanted).collect();
        let (whole, bytes) = (
            block.body_bytes(),
            found.iter().map(|(_, raw)| raw.len()).sum(),
        );
        if !self.may_serve(from, hash, bytes, whole) {
            return;
        }
        let (mut part, mut size) = (Vec::new(), 0usize);
        let mut parts = Vec::new();
        for (index, raw) in found {
            if size.saturating_add(raw.len()) > INDEXED_BYTES && !part.is_empty() {
                parts.push(std::mem::take(&mut part));
                size = 0;
            }
            size = size.saturating_add(raw.len());
            part.push((index, raw));
        }
        parts.push(part);
        for transactions in parts {
            let message = PeerMessage::Indexed {
                height,
                block: hash,
                transactions,
            };
            self.send(To::Peer(from), true, &message);
        }
    }

    pub(super) fn on_indexed(
        &mut self,
        from: PeerId,
        (height, hash): (Height, B256),
        transactions: &[(u32, Bytes)],
    ) {
        if height != self.tip.height.next() {
            return;
        }
        for ((of, _), draft) in &mut self.drafts.open {
            // Nobody spoils what another peer was asked for.
            if *of == hash && draft.asked.contains(&from) {
                for (position, raw) in transactions {
                    draft.put(*position, raw.clone());
                }
            }
        }
        self.finish_drafts();
    }

    /// A body is here, from whatever source.
    pub(super) fn complete(&mut self, hash: B256, block: Block, known: Option<Known>) {
        if self.candidates.is_wanted(&hash) {
            self.set_body(&hash, Body::Complete(Arc::new(block), known));
            self.actions.push(Action::ClearTimer(TimerId::Fetch(hash)));
            self.drafts.open.retain(|(of, _), _| *of != hash);
        }
    }

    fn request_body(&mut self, from: PeerId, hash: B256) {
        let height = self.tip.height.next();
        let message = PeerMessage::BodyRequest {
            height,
            block: hash,
        };
        self.send(To::Peer(from), true, &message);
        self.set_timer(TimerId::Fetch(hash), FETCH_AFTER_MS);
    }
}

#[cfg(test)]
mod tests {
    use hawser_crypto::{Scheme, SecretKey};
    use hawser_primitives::{Address, ChainId};

    use super::*;
    use crate::testing;

    fn transaction(nonce: u64) -> Arc<VerifiedTransaction> {
        let key = SecretKey::from_seed(Scheme::Ed25519, &[1; 32]).unwrap();
        testing::transaction(&key, ChainId(7), nonce, 0)
    }

    fn draft(names: &[u64]) -> Draft {
        let compact = Compact {
            header: Header {
                version: 1,
                chain_id: ChainId(7),
                height: Height(1),
                parent: B256::ZERO,
                time: hawser_primitives::Time(1),
                proposer: Address::ZERO,
                transactions_root: B256::ZERO,
                transactions_count: u32::try_from(names.len()).unwrap(),
                executed: hawser_ledger::Roots::default(),
                validators: B256::ZERO,
                next_validators: B256::ZERO,
            },
            share: None,
            references: pack(names.iter().copied()),
        };
        Draft::new(&B256::repeat_byte(9), &compact)
    }

    #[test]
    fn names_are_six_bytes_and_survive_the_way() {
        let names = [0, 1, 0x0102_0304_0506, (1 << 48) - 1];
        let packed = pack(names.into_iter());
        assert_eq!(packed.len(), 4 * REFERENCE_BYTES);
        assert_eq!(unpack(&packed).collect::<Vec<_>>(), names);
        let key = reference_key(&B256::repeat_byte(1));
        assert!(reference(key, &B256::repeat_byte(2)) < 1 << 48);
        let other = reference_key(&B256::repeat_byte(3));
        let hash = B256::repeat_byte(2);
        assert_ne!(
            reference(key, &hash),
            reference(other, &hash),
            "keyed by the block"
        );
    }

    #[test]
    fn two_transactions_of_one_name_are_both_asked_for() {
        let (a, b) = (transaction(0), transaction(1));
        let mut draft = draft(&[5, 6]);
        draft.offer_named(5, &a);
        draft.offer_named(5, &a);
        assert_eq!(draft.missing(), [1]);
        draft.offer_named(5, &b);
        assert_eq!(draft.missing(), [0, 1]);
        // Neither is believed from now on.
        draft.offer_named(5, &a);
        assert_eq!(draft.missing(), [0, 1]);
        draft.put(0, b.transaction().raw().clone());
        draft.offer_named(6, &a);
        assert_eq!(draft.missing, 0);
        let (block, known) = draft.finish();
        assert_eq!(block.transactions[0], *b.transaction().raw());
        assert!(known[0].is_none() && known[1].is_some());
    }

    #[test]
    fn a_name_that_stands_twice_in_a_block_is_asked_for_twice() {
        let mut draft = draft(&[5, 6, 5]);
        draft.offer_named(5, &transaction(0));
        draft.offer_named(6, &transaction(1));
        assert_eq!(draft.missing(), [0, 2]);
    }

    #[test]
    fn answers_are_bounded_and_fill_gaps_only() {
        let mut draft = draft(&[5, 6]);
        let a = transaction(0);
        draft.offer_named(5, &a);
        draft.put(0, Bytes::from(vec![1]));
        draft.put(9, Bytes::from(vec![1]));
        draft.put(1, Bytes::from(vec![0; TRANSACTION_BYTES_MAX + 1]));
        assert_eq!(draft.missing(), [1]);
        draft.put(1, Bytes::from(vec![0; TRANSACTION_BYTES_MAX]));
        assert_eq!(draft.missing, 0);
        assert_eq!(draft.finish().0.transactions[0], *a.transaction().raw());
        let mut many = self::draft(&(0..20).collect::<Vec<_>>());
        for position in 0..20 {
            many.put(position, Bytes::from(vec![0; TRANSACTION_BYTES_MAX]));
        }
        assert!(many.raw_bytes <= BLOCK_BYTES_MAX);
        assert_eq!(
            many.missing().len(),
            20 - BLOCK_BYTES_MAX / TRANSACTION_BYTES_MAX
        );
    }
}
