//! Batches that some validators verify and vouch for, so that the others need not.
//!
//! What f + 1 validators of the committee attest counts as verified, because at least one of them is
//! honest while at most f are faulty. Whatever is not attested in time is verified by the node
//! itself, so nothing waits for an attester for long. Rules: `docs/spec/dissemination.md`, DI-50
//! onwards.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use hawser_consensus::Election as _;
use hawser_crypto::SecretKey;
use hawser_ledger::{
    Attestation, BATCH_BYTES_MAX, BATCH_TRANSACTIONS_MAX, Claim, FalseAttestation, ValidatorSet,
    Verification, VerifiedTransaction, attestation_message, attesting_weight, batch_digest,
};
use hawser_network::PeerId;
use hawser_primitives::{
    Address, B256, Bytes, Time, encode,
    limits::{TRANSACTION_BYTES_MAX, VALIDATORS_MAX},
};

use super::{
    Action, PeerMessage, Relayed, Replica, Report, TimerId, To,
    spread::{DIRECT_PEERS, PIECE_BYTES_MIN, RecentHashes, relayed_bytes},
    wire::{Batch, FEATURE_BATCH},
};
use crate::{pool::Candidate, siphash::SipKey};

/// Transactions per attestation needed that make a batch worth it: verifying an attestation costs
/// as much as several transactions of a batch.
const WORTH: usize = 8;
/// How long clients' transactions are gathered into a batch, in milliseconds.
const GATHER_MS: u64 = 5;
/// Transactions that end the gathering.
const GATHER_MAX: usize = 256;
/// Batches under way at a time, in all and of one peer. More are verified as they come.
const OPEN_MAX: usize = 256;
const OPEN_PER_PEER_MAX: usize = 64;
/// Bytes of transactions of batches under way.
const OPEN_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Attestations of one peer that are kept until their batch comes.
const LOOSE_PER_PEER_MAX: usize = 64;
/// Wait for attestations before the next validator in line verifies a batch itself, in milliseconds.
const ATTEST_WAIT_MS: u64 = 50;
/// Time after that at which nothing is expected of a batch any more, in milliseconds.
const LOST_AFTER_MS: u64 = 10_000;
/// Most such waits.
const STEPS_MAX: u64 = 6;
/// Bytes of one validator's batches that a relay passes on between two status messages.
const PASSED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Pieces of evidence that prove nothing after which a peer's are not looked at any more.
const BAD_EVIDENCE_MAX: u8 = 8;

/// What is to be done with transactions of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// Verify each; then give [`super::Event::Gossiped`].
    Verify {
        /// Whether they are to be passed on.
        spread: bool,
    },
    /// Verify each, and say whether the batch is what this digest says; then give
    /// [`super::Event::Batched`].
    Attest {
        /// The digest.
        digest: B256,
    },
    /// Take the named senders for true if the batch is what this digest says, else verify each;
    /// then give [`super::Event::Batched`].
    Trust {
        /// The digest.
        digest: B256,
    },
}

/// What came of a batch.
#[derive(Clone, Debug)]
pub struct Batched {
    /// The digest that it came under.
    pub digest: B256,
    /// Transactions that may go into the pool.
    pub candidates: Vec<Candidate>,
    /// What the batch says, hashed here.
    pub claims: Vec<Claim>,
    /// Whether the senders were taken for true.
    pub trusted: bool,
    /// Where verification found the first false claim.
    pub wrong: Option<u32>,
}

/// Attested transactions that are verified all the same, at low priority.
#[derive(Clone, Debug)]
pub struct Audit {
    /// Their batch.
    pub claims: Vec<Claim>,
    /// Who vouched for it.
    pub attestations: Vec<Attestation>,
    /// Positions and encodings of those that were drawn.
    pub picks: Vec<(u32, Bytes)>,
}

/// How many attested transactions this node verifies all the same.
#[derive(Clone, Copy)]
pub struct AuditSampling {
    /// Which are drawn depends on this key, so that nobody else knows. From the operating system.
    pub key: [u8; 16],
    /// How many of a thousand.
    pub per_mille: u16,
}

impl std::fmt::Debug for AuditSampling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AuditSampling({} of 1000)", self.per_mille)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// For attestations, until `due`.
    Waits,
    /// Being decoded, or verified.
    Works,
}

#[derive(Debug)]
struct Open {
    from: PeerId,
    relayed: Vec<Relayed>,
    bytes: usize,
    /// Attestations that verify.
    attested: BTreeMap<Address, Attestation>,
    stage: Stage,
    due: Time,
}

/// Batches under way, and who has lost the others' trust.
pub(super) struct Batches {
    key: Option<Arc<SecretKey>>,
    sampling: AuditSampling,
    gathered: Vec<Arc<VerifiedTransaction>>,
    gathered_bytes: usize,
    open: BTreeMap<B256, Open>,
    open_bytes: usize,
    done: RecentHashes,
    loose: BTreeMap<PeerId, VecDeque<(B256, Attestation)>>,
    /// Bytes passed on by ingress validator since the last status message.
    passed_bytes: BTreeMap<Address, usize>,
    convicted: BTreeMap<Address, Arc<FalseAttestation>>,
    bad_evidence: BTreeMap<PeerId, u8>,
}

impl Batches {
    pub(super) fn new(
        key: Option<Arc<SecretKey>>,
        sampling: AuditSampling,
        convicted: Vec<(Address, FalseAttestation)>,
    ) -> Self {
        let kept = convicted.into_iter().take(VALIDATORS_MAX);
        Self {
            key,
            sampling,
            gathered: Vec::new(),
            gathered_bytes: 0,
            open: BTreeMap::new(),
            open_bytes: 0,
            done: RecentHashes::default(),
            loose: BTreeMap::new(),
            passed_bytes: BTreeMap::new(),
            convicted: kept
                .map(|(address, evidence)| (address, Arc::new(evidence)))
                .collect(),
            bad_evidence: BTreeMap::new(),
        }
    }

    pub(super) fn forget_peer(&mut self, peer: &PeerId) {
        self.loose.remove(peer);
        self.bad_evidence.remove(peer);
    }

    /// Begins a new interval, and gives up on batches whose work was dropped under load.
    pub(super) fn status_sent(&mut self, now: Time) {
        self.passed_bytes.clear();
        let lost = |(digest, open): (&B256, &Open)| {
            (now >= open.due.plus_ms(LOST_AFTER_MS)).then_some(*digest)
        };
        let lost: Vec<_> = self.open.iter().filter_map(lost).collect();
        for digest in lost {
            self.close(&digest);
        }
    }

    /// This node signs for nobody any more.
    pub(super) fn without_vote(&mut self) {
        self.key = None;
    }

    /// This node signs again.
    pub(super) fn with_vote(&mut self, key: Arc<SecretKey>) {
        self.key = Some(key);
    }

    fn close(&mut self, digest: &B256) -> Option<Open> {
        let open = self.open.remove(digest)?;
        self.open_bytes = self.open_bytes.saturating_sub(open.bytes);
        self.done.insert(*digest);
        Some(open)
    }

    /// Batches under way and attestations that wait for theirs, and bytes of the batches.
    pub(super) fn size(&self) -> (usize, usize) {
        let loose: usize = self.loose.values().map(VecDeque::len).sum();
        let bytes = self.open_bytes.saturating_add(self.gathered_bytes);
        (self.open.len().saturating_add(loose), bytes)
    }

    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize) {
        let loose = self.loose.values().map(VecDeque::len).sum();
        (self.open.len(), loose)
    }
}

/// Members of a committee in the order in which they are to attest a batch, without the one that
/// made it; with each, whether it is needed from the start.
pub(super) fn attesters(
    committee: &ValidatorSet,
    digest: &B256,
    maker: Address,
) -> Vec<(Address, bool)> {
    let key = SipKey::new(digest.as_slice());
    let mut order: Vec<_> = committee
        .validators()
        .iter()
        .map(|member| (member.address(), member.weight))
        .filter(|(address, _)| *address != maker)
        .collect();
    order.sort_by_key(|(address, _)| (key.hash(address.as_slice()), *address));
    let needed = attesting_weight(committee);
    let mut upto = committee.get(&maker).map_or(0, |member| member.weight);
    let choose = |(address, weight)| {
        let chosen = upto < needed;
        upto = upto.saturating_add(weight);
        (address, chosen)
    };
    order.into_iter().map(choose).collect()
}

impl Replica {
    fn committee(&self) -> Arc<ValidatorSet> {
        self.rules.committee(self.tip.height.next())
    }

    /// Whether attestations count on this chain at this height.
    pub(super) fn is_attesting(&self) -> bool {
        let parameters = self.rules.parameters(self.tip.height.next());
        parameters.verification == Verification::Quorum
    }

    /// The key that this node attests with, if it has a vote and its word counts.
    fn attesting_key(&self) -> Option<(Address, Arc<SecretKey>)> {
        let key = self.batches.key.as_ref()?;
        let address = key.address();
        let member = self.committee().get(&address).is_some();
        (member && !self.batches.convicted.contains_key(&address))
            .then(|| (address, Arc::clone(key)))
    }

    /// Gets transactions that clients gave this node to its peers: gathered into batches where that
    /// saves them work.
    pub(super) fn disseminate(&mut self, transactions: &[Arc<VerifiedTransaction>]) {
        if transactions.is_empty() {
            return;
        }
        if !self.is_attesting() || self.attesting_key().is_none() {
            return self.gossip(transactions);
        }
        if self.batches.gathered.is_empty() {
            self.set_timer(TimerId::Gather, GATHER_MS);
        }
        let bytes: usize = transactions.iter().map(|one| raw_bytes(one)).sum();
        self.batches.gathered_bytes = self.batches.gathered_bytes.saturating_add(bytes);
        self.batches.gathered.extend_from_slice(transactions);
        if self.batches.gathered.len() >= GATHER_MAX
            || self.batches.gathered_bytes >= BATCH_BYTES_MAX
        {
            self.send_gathered();
        }
    }

    /// Sends what was gathered, in batches if it is enough for one.
    pub(super) fn send_gathered(&mut self) {
        self.actions.push(Action::ClearTimer(TimerId::Gather));
        let gathered = std::mem::take(&mut self.batches.gathered);
        self.batches.gathered_bytes = 0;
        let committee = self.committee();
        let (maker, key) = match self.attesting_key() {
            Some(found) if self.is_attesting() => found,
            _ => return self.gossip(&gathered),
        };
        let attesters = attesters(&committee, &B256::ZERO, maker);
        let needed = attesters.iter().filter(|(_, chosen)| *chosen).count();
        if gathered.len() < needed.saturating_add(1).saturating_mul(WORTH) {
            return self.gossip(&gathered);
        }
        let able = self.able_peers(FEATURE_BATCH);
        let direct = self.peers.len() <= DIRECT_PEERS || able.len() < 2;
        let each = if direct {
            BATCH_BYTES_MAX
        } else {
            let total: usize = gathered.iter().map(|one| raw_bytes(one)).sum();
            (total / able.len()).clamp(PIECE_BYTES_MIN, BATCH_BYTES_MAX)
        };
        for piece in pieces(&gathered, each) {
            let claims: Vec<_> = piece
                .iter()
                .map(|one| Claim {
                    hash: one.hash(),
                    sender: one.sender(),
                })
                .collect();
            let digest = batch_digest(self.suite, self.genesis.chain_id, &claims);
            let message = attestation_message(self.genesis.chain_id, digest);
            let batch = |pass_on| {
                PeerMessage::Batch(Batch {
                    digest,
                    transactions: piece
                        .iter()
                        .map(|one| Relayed::from(one.as_ref()))
                        .collect(),
                    attestation: Attestation {
                        validator: maker,
                        signature: key.sign(&message),
                    },
                    pass_on,
                })
            };
            self.batches.done.insert(digest);
            let targets = if direct {
                able.clone()
            } else {
                self.next_relays(&able).to_vec()
            };
            let bytes = Bytes::from(encode(&batch(!direct)));
            for peer in targets {
                self.send_bytes(To::Peer(peer), false, bytes.clone());
            }
        }
        let unable: Vec<_> = self
            .full_peers()
            .filter(|peer| !able.contains(peer))
            .collect();
        for peer in unable {
            self.send_transactions(To::Peer(peer), &gathered);
        }
    }

    pub(super) fn on_batch(&mut self, from: PeerId, batch: Batch) {
        let Batch {
            digest,
            transactions,
            attestation,
            pass_on,
        } = batch;
        let bytes = relayed_bytes(&transactions);
        if transactions.len() > BATCH_TRANSACTIONS_MAX
            || bytes > BATCH_BYTES_MAX.saturating_add(TRANSACTION_BYTES_MAX)
        {
            let reason = format!("a batch of {} with {bytes} bytes", transactions.len());
            return self.report(Report::BadMessage { from, reason });
        }
        let committee = self.committee();
        let chain = self.genesis.chain_id;
        let known = self.batches.done.contains(&digest) || self.batches.open.contains_key(&digest);
        if known && !pass_on {
            return;
        }
        let counts = self.is_attesting()
            && !self.batches.convicted.contains_key(&attestation.validator)
            && attestation.is_of(chain, digest, &committee);
        if !counts {
            // Nobody vouches for it: it is gossip like any other.
            return self.actions.push(Action::Verify {
                from: Some(from),
                transactions,
                intake: Intake::Verify { spread: pass_on },
            });
        }
        if pass_on {
            self.pass_on_batch(from, (digest, &attestation), &transactions, bytes);
        }
        if known {
            return;
        }
        let of_peer = self.batches.open.values().filter(|open| open.from == from);
        if self.batches.open.len() >= OPEN_MAX
            || of_peer.count() >= OPEN_PER_PEER_MAX
            || self.batches.open_bytes.saturating_add(bytes) > OPEN_BYTES_MAX
        {
            return self.actions.push(Action::Verify {
                from: Some(from),
                transactions,
                intake: Intake::Verify { spread: false },
            });
        }
        let maker = attestation.validator;
        let order = attesters(&committee, &digest, maker);
        let own = self.attesting_key().map(|(address, _)| address);
        let rank = order.iter().position(|(address, _)| Some(*address) == own);
        let chosen = order.iter().filter(|(_, chosen)| *chosen).count();
        let steps = rank.map_or(STEPS_MAX, |rank| {
            let behind = rank.saturating_sub(chosen) / chosen.max(1);
            (behind as u64).saturating_add(1).min(STEPS_MAX)
        });
        let due = self.now.plus_ms(steps.saturating_mul(ATTEST_WAIT_MS));
        let mut attested = BTreeMap::from([(maker, attestation)]);
        for loose in self.batches.loose.values_mut() {
            for (_, one) in loose.iter().filter(|(of, _)| *of == digest) {
                if one.is_of(chain, digest, &committee) {
                    attested.insert(one.validator, one.clone());
                }
            }
            loose.retain(|(of, _)| *of != digest);
        }
        self.batches.open_bytes = self.batches.open_bytes.saturating_add(bytes);
        let open = Open {
            from,
            relayed: transactions,
            bytes,
            attested,
            stage: Stage::Waits,
            due,
        };
        self.batches.open.insert(digest, open);
        if rank.is_some_and(|rank| rank < chosen) {
            self.work_on(digest, Intake::Attest { digest });
        } else if !self.trust_if_attested(digest) {
            self.set_batch_timer();
        }
    }

    fn pass_on_batch(
        &mut self,
        from: PeerId,
        (digest, attestation): (B256, &Attestation),
        transactions: &[Relayed],
        bytes: usize,
    ) {
        let passed = self
            .batches
            .passed_bytes
            .entry(attestation.validator)
            .or_default();
        let upto = passed.saturating_add(bytes);
        if upto > PASSED_BYTES_MAX || !self.passed.insert(digest) {
            return;
        }
        *passed = upto;
        let message = PeerMessage::Batch(Batch {
            digest,
            transactions: transactions.to_vec(),
            attestation: attestation.clone(),
            pass_on: false,
        });
        let bytes = Bytes::from(encode(&message));
        for peer in self.able_peers(FEATURE_BATCH) {
            if peer != from {
                self.send_bytes(To::Peer(peer), false, bytes.clone());
            }
        }
    }

    /// Has a batch worked on.
    fn work_on(&mut self, digest: B256, intake: Intake) {
        if let Some(open) = self.batches.open.get_mut(&digest) {
            open.stage = Stage::Works;
            let (from, transactions) = (Some(open.from), open.relayed.clone());
            self.actions.push(Action::Verify {
                from,
                transactions,
                intake,
            });
        }
    }

    /// Takes a batch for verified if enough validators attest it.
    fn trust_if_attested(&mut self, digest: B256) -> bool {
        let committee = self.committee();
        let Some(open) = self.batches.open.get(&digest) else {
            return false;
        };
        let counts = |address: &&Address| !self.batches.convicted.contains_key(*address);
        let members = open.attested.keys().filter(counts);
        let weight = members
            .filter_map(|address| committee.get(address))
            .fold(0u64, |sum, member| sum.saturating_add(member.weight));
        let trusted = open.stage == Stage::Waits && weight >= attesting_weight(&committee);
        if trusted {
            self.work_on(digest, Intake::Trust { digest });
        }
        trusted
    }

    pub(super) fn on_attested(&mut self, from: PeerId, digest: B256, attestation: Attestation) {
        let committee = self.committee();
        if committee.get(&attestation.validator).is_none() || self.batches.done.contains(&digest) {
            return;
        }
        let chain = self.genesis.chain_id;
        let Some(open) = self.batches.open.get_mut(&digest) else {
            let loose = self.batches.loose.entry(from).or_default();
            loose.push_back((digest, attestation));
            if loose.len() > LOOSE_PER_PEER_MAX {
                loose.pop_front();
            }
            return;
        };
        if open.attested.contains_key(&attestation.validator) {
            return;
        }
        if !attestation.is_of(chain, digest, &committee) {
            let reason = format!("an attestation that {} did not sign", attestation.validator);
            return self.report(Report::BadMessage { from, reason });
        }
        open.attested.insert(attestation.validator, attestation);
        self.trust_if_attested(digest);
    }

    fn set_batch_timer(&mut self) {
        let waiting = self.batches.open.values();
        let waiting = waiting.filter(|open| open.stage == Stage::Waits);
        if let Some(due) = waiting.map(|open| open.due).min() {
            self.actions.push(Action::SetTimer(TimerId::Batches, due));
        }
    }

    /// Verifies here what was not attested in time.
    pub(super) fn on_batch_timer(&mut self) {
        let now = self.now;
        let late = |(digest, open): (&B256, &Open)| {
            (open.stage == Stage::Waits && open.due <= now).then_some(*digest)
        };
        let late: Vec<_> = self.batches.open.iter().filter_map(late).collect();
        for digest in late {
            self.work_on(digest, Intake::Attest { digest });
        }
        self.set_batch_timer();
    }

    pub(super) fn on_batched(&mut self, batched: Batched) {
        let Batched {
            digest,
            candidates,
            claims,
            trusted,
            wrong,
        } = batched;
        self.on_gossiped(candidates, None);
        let Some(open) = self.batches.close(&digest) else {
            return;
        };
        if batch_digest(self.suite, self.genesis.chain_id, &claims) != digest {
            let (from, reason) = (open.from, "a batch under another's digest".to_owned());
            return self.report(Report::BadMessage { from, reason });
        }
        let attestations: Vec<_> = open.attested.into_values().collect();
        let raw_at = |position: u32| {
            let at = usize::try_from(position).unwrap_or(usize::MAX);
            open.relayed.get(at).map(|one| one.raw.clone())
        };
        if trusted {
            self.sample(claims, attestations, &open.relayed);
        } else if let Some(position) = wrong {
            if let Some(raw) = raw_at(position) {
                self.convict(FalseAttestation {
                    claims,
                    position,
                    raw,
                    attestations,
                });
            }
        } else if let Some((validator, key)) = self.attesting_key()
            && self.is_attesting()
        {
            let message = attestation_message(self.genesis.chain_id, digest);
            let attestation = Attestation {
                validator,
                signature: key.sign(&message),
            };
            let message = PeerMessage::Attested {
                digest,
                attestation,
            };
            let bytes = Bytes::from(encode(&message));
            for peer in self.able_peers(FEATURE_BATCH) {
                self.send_bytes(To::Peer(peer), true, bytes.clone());
            }
        }
    }

    /// Draws transactions that are verified although they are attested.
    fn sample(&mut self, claims: Vec<Claim>, attestations: Vec<Attestation>, raws: &[Relayed]) {
        let AuditSampling { key, per_mille } = self.batches.sampling;
        let key = SipKey::new(&key);
        let drawn = |hash: &B256| key.hash(hash.as_slice()) % 1_000 < u64::from(per_mille);
        let picks: Vec<_> = claims
            .iter()
            .zip(raws)
            .zip(0u32..)
            .filter(|((claim, _), _)| drawn(&claim.hash))
            .map(|((_, one), position)| (position, one.raw.clone()))
            .collect();
        if !picks.is_empty() {
            self.actions.push(Action::Audit(Audit {
                claims,
                attestations,
                picks,
            }));
        }
    }

    /// Takes in evidence of a peer.
    pub(super) fn on_evidence(&mut self, from: PeerId, evidence: FalseAttestation) {
        let bad = self.batches.bad_evidence.get(&from).copied().unwrap_or(0);
        if bad >= BAD_EVIDENCE_MAX || !self.convict(evidence) {
            return;
        }
        self.batches
            .bad_evidence
            .insert(from, bad.saturating_add(1));
        let reason = "evidence that proves nothing".to_owned();
        self.report(Report::BadMessage { from, reason });
    }

    /// Withdraws trust from those whom evidence convicts, and tells everybody. Whether the evidence
    /// proves nothing.
    pub(super) fn convict(&mut self, evidence: FalseAttestation) -> bool {
        let convicted = &self.batches.convicted;
        let mut named = evidence.attestations.iter();
        if named.all(|one| convicted.contains_key(&one.validator)) {
            return evidence.attestations.is_empty();
        }
        let committee = self.committee();
        let guilty = match evidence.verify(self.suite, self.genesis.chain_id, &committee) {
            Ok(guilty) => guilty,
            Err(_) => return true,
        };
        let evidence = Arc::new(evidence);
        let transaction = evidence.transaction(self.suite);
        for validator in guilty {
            if self.batches.convicted.len() < VALIDATORS_MAX
                && !self.batches.convicted.contains_key(&validator)
            {
                let kept = Arc::clone(&evidence);
                self.batches.convicted.insert(validator, kept);
                self.report(Report::FalseAttestation {
                    chain: self.genesis.chain_id,
                    validator,
                    transaction,
                });
            }
        }
        self.actions
            .push(Action::Convict(evidence.as_ref().clone()));
        let message = Bytes::from(encode(&PeerMessage::Evidence(evidence.as_ref().clone())));
        for peer in self.able_peers(FEATURE_BATCH) {
            self.send_bytes(To::Peer(peer), false, message.clone());
        }
        // What was taken on others' word is verified now, whoever gave it.
        let doubted = self.pool.take_attested();
        if !doubted.is_empty() {
            let transactions = doubted
                .iter()
                .map(|one| Relayed::from(one.as_ref()))
                .collect();
            self.actions.push(Action::Verify {
                from: None,
                transactions,
                intake: Intake::Verify { spread: false },
            });
        }
        self.spare.clear_attested();
        false
    }

    /// Tells a peer what is held against validators.
    pub(super) fn send_evidence(&mut self, to: PeerId) {
        let mut sent: Vec<Arc<FalseAttestation>> = Vec::new();
        for evidence in self.batches.convicted.values() {
            if !sent.iter().any(|one| Arc::ptr_eq(one, evidence)) {
                sent.push(Arc::clone(evidence));
            }
        }
        for evidence in sent {
            let message = PeerMessage::Evidence(evidence.as_ref().clone());
            self.send(To::Peer(to), false, &message);
        }
    }

    /// Validators whose attestations do not count here any more.
    pub fn convicted(&self) -> impl Iterator<Item = Address> {
        self.batches.convicted.keys().copied()
    }
}

fn raw_bytes(transaction: &VerifiedTransaction) -> usize {
    transaction.transaction().raw().len()
}

/// Lists of at most [`BATCH_TRANSACTIONS_MAX`] transactions and about so many bytes.
fn pieces(
    transactions: &[Arc<VerifiedTransaction>],
    bytes_max: usize,
) -> Vec<Vec<Arc<VerifiedTransaction>>> {
    let (mut all, mut piece, mut bytes) = (Vec::new(), Vec::new(), 0usize);
    for transaction in transactions {
        bytes = bytes.saturating_add(raw_bytes(transaction));
        piece.push(Arc::clone(transaction));
        if bytes >= bytes_max || piece.len() >= BATCH_TRANSACTIONS_MAX {
            all.push(std::mem::take(&mut piece));
            bytes = 0;
        }
    }
    if !piece.is_empty() {
        all.push(piece);
    }
    all
}
