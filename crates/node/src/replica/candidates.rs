//! Bodies of proposed blocks: sending them in parts, assembling, fetching and checking them.

use std::{collections::BTreeMap, sync::Arc};

use hawser_consensus::{Election as _, Record, SignedProposal};
use hawser_ledger::{
    Block, VerifiedTransaction,
    mutants::{Rule, broken},
};
use hawser_network::PeerId;
use hawser_primitives::{
    Address, B256, Bytes, Height, Round, Time, decode_exact, encode,
    limits::{BLOCK_BYTES_MAX, PART_BYTES},
};

use super::{
    Action, CheckedBlock, LogEntry, PeerMessage, Replica, ReplicaError, Report, TimerId, To,
    compact::Known,
};

/// Longest encoding of a block: the body, a length per transaction, the header.
const BLOCK_ENCODED_MAX: usize = BLOCK_BYTES_MAX + 4 * 65_536 + 4_096;
/// Most parts of a block.
const PARTS_MAX: usize = BLOCK_ENCODED_MAX.div_ceil(PART_BYTES);
/// Blocks of one height that are looked at. Correct proposers offer one per round.
const CANDIDATES_MAX: usize = 64;
/// Blocks that one peer may be sending at a time.
const ASSEMBLIES_PER_PEER_MAX: usize = 4;
/// Wait for a body that a message named before it is asked for, in milliseconds.
pub(super) const FETCH_AFTER_MS: u64 = 150;

#[derive(Debug)]
pub(super) enum Body {
    /// Named by a message, not here yet.
    Wanted,
    /// Here, waiting for the roots that its header must carry; with those of its transactions that
    /// are verified, where it was rebuilt from them.
    Complete(Arc<Block>, Option<Known>),
    /// Its signatures are being verified.
    Checking(Arc<Block>),
    Valid(CheckedBlock),
    Invalid,
}

#[derive(Debug)]
struct Entry {
    body: Body,
    round: Round,
    proposer: Option<Address>,
    /// How often it was asked for; turns to another peer each time.
    asked: usize,
}

#[derive(Debug, Default)]
struct Assembly {
    parts: Vec<Option<Bytes>>,
    missing: usize,
}

/// Blocks proposed for the height after the tip.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    entries: BTreeMap<B256, Entry>,
    /// Parts by sender: no peer can spoil what another sends.
    assemblies: BTreeMap<(PeerId, B256), Assembly>,
    /// Proposals of blocks whose verdict was given before they came in. The agreement keeps a few
    /// blocks for each round, so a verdict for the round of another proposal, or of none, may not
    /// have been kept.
    judged_before: Vec<(B256, Round, Address)>,
}

impl Candidates {
    pub(super) fn own(&mut self, block: CheckedBlock) {
        let proposer = Some(block.block.header.proposer);
        let entry = Entry {
            round: Round(0),
            proposer,
            asked: 0,
            body: Body::Valid(block.clone()),
        };
        self.entries.insert(block.hash, entry);
    }

    pub(super) fn valid(&self, hash: &B256) -> Option<CheckedBlock> {
        match &self.entries.get(hash)?.body {
            Body::Valid(block) => Some(block.clone()),
            _ => None,
        }
    }

    pub(super) fn body(&self, hash: &B256) -> Option<&Block> {
        match &self.entries.get(hash)?.body {
            Body::Complete(block, _) | Body::Checking(block) => Some(block),
            Body::Valid(block) => Some(&block.block),
            Body::Wanted | Body::Invalid => None,
        }
    }

    /// Blocks that are named and not here.
    pub(super) fn wanted(&self) -> Vec<B256> {
        let wanted =
            |(hash, entry): (&B256, &Entry)| matches!(entry.body, Body::Wanted).then_some(*hash);
        self.entries.iter().filter_map(wanted).collect()
    }

    /// The verified transactions of a block that was found valid.
    pub(super) fn transactions(&self, hash: &B256) -> Option<&[Arc<VerifiedTransaction>]> {
        match &self.entries.get(hash)?.body {
            Body::Valid(block) => Some(&block.transactions),
            _ => None,
        }
    }

    /// Whether a message of agreement named this block.
    pub(super) fn is_named(&self, hash: &B256) -> bool {
        self.entries.contains_key(hash)
    }

    /// Whether it was named and its body is not here.
    pub(super) fn is_wanted(&self, hash: &B256) -> bool {
        let entry = self.entries.get(hash);
        entry.is_some_and(|entry| matches!(entry.body, Body::Wanted))
    }

    /// Forgets one block, of those that are least worth it: named by votes only, found invalid, or
    /// of the earliest round of those that are not here. Whether there was one.
    fn make_room(&mut self) -> bool {
        let worth = |entry: &Entry| match (&entry.body, entry.proposer) {
            (Body::Wanted, None) => Some((0, entry.round)),
            (Body::Invalid, _) => Some((1, entry.round)),
            (Body::Wanted, Some(_)) => Some((2, entry.round)),
            _ => None,
        };
        let all = self.entries.iter();
        let least = all.filter_map(|(hash, entry)| Some((worth(entry)?, *hash)));
        let Some((_, hash)) = least.min() else {
            return false;
        };
        self.entries.remove(&hash);
        self.assemblies.retain(|(_, block), _| *block != hash);
        true
    }

    pub(super) fn clear(&mut self) {
        self.judged_before.clear();
        self.entries.clear();
        self.assemblies.clear();
    }

    /// Puts a block where it waits for its verdict.
    #[cfg(test)]
    pub(super) fn check(&mut self, hash: B256, block: Block) {
        let entry = Entry {
            round: Round(0),
            proposer: None,
            asked: 0,
            body: Body::Checking(Arc::new(block)),
        };
        self.entries.insert(hash, entry);
    }

    #[cfg(test)]
    pub(super) fn open_assemblies(&self) -> usize {
        self.assemblies.len()
    }

    /// Blocks looked at, and the bytes of their bodies and of parts of bodies.
    pub(super) fn size(&self) -> (usize, usize) {
        let bodies = self.entries.values().map(|entry| match &entry.body {
            Body::Complete(block, _) | Body::Checking(block) => block.body_bytes(),
            Body::Valid(block) => block.block.body_bytes(),
            Body::Wanted | Body::Invalid => 0,
        });
        let parts = self.assemblies.values().flat_map(|one| &one.parts);
        let parts = parts.flatten().map(|part| part.len());
        (self.entries.len(), bodies.chain(parts).sum())
    }

    pub(super) fn forget_peer(&mut self, peer: &PeerId) {
        self.assemblies.retain(|(from, _), _| from != peer);
    }
}

impl Replica {
    /// Sends the parts of a block that is here.
    pub(super) fn send_body(&mut self, to: To, hash: B256) {
        let Some(block) = self.body_of(&hash) else {
            return;
        };
        let (height, bytes) = (block.header.height, Bytes::from(encode(block)));
        let total = u16::try_from(bytes.len().div_ceil(PART_BYTES)).unwrap_or(u16::MAX);
        for (index, start) in (0..total).zip((0..bytes.len()).step_by(PART_BYTES)) {
            let end = start.saturating_add(PART_BYTES).min(bytes.len());
            let part = bytes.slice(start..end);
            let message = PeerMessage::Part {
                height,
                block: hash,
                index,
                total,
                bytes: part,
            };
            self.send(to, true, &message);
        }
    }

    pub(super) fn on_body_request(&mut self, from: PeerId, height: Height, block: B256) {
        if height == self.tip.height.next() {
            let bytes = self.body_of(&block).map_or(0, Block::body_bytes);
            if self.may_serve(from, block, bytes, bytes) {
                self.send_body(To::Peer(from), block);
            }
        } else if height <= self.tip.height {
            self.send_status(To::Peer(from));
        }
    }

    /// Notes that a recorded message of agreement names a block.
    pub(super) fn want_recorded(&mut self, record: &Record) {
        if record.height() != self.tip.height.next() {
            return;
        }
        match record {
            Record::Vote(signed) => {
                if let Some(hash) = signed.vote.block {
                    self.want_body(hash, None);
                }
            }
            Record::Proposal(signed) => self.want_body(signed.proposal.block, Some(signed)),
            Record::Polka(certificate) => self.want_body(certificate.block, None),
            Record::Timeout(_) | Record::Block { .. } => {}
        }
    }

    /// Notes that a message of agreement names a block, and fetches its body unless it comes.
    fn want_body(&mut self, hash: B256, proposal: Option<&SignedProposal>) {
        // Votes name what they like; who proposes has a turn, and must find room.
        if self.candidates.entries.len() >= CANDIDATES_MAX
            && !self.candidates.entries.contains_key(&hash)
            && (proposal.is_none() || !self.candidates.make_room())
        {
            return;
        }
        let entry = self.candidates.entries.entry(hash).or_insert_with(|| {
            self.actions.push(Action::SetTimer(
                TimerId::Fetch(hash),
                self.now.plus_ms(FETCH_AFTER_MS),
            ));
            Entry {
                body: Body::Wanted,
                round: Round(0),
                proposer: None,
                asked: 0,
            }
        });
        if let Some(SignedProposal { proposal, .. }) = proposal {
            if matches!(entry.body, Body::Valid(_) | Body::Invalid) {
                // What this node proposes, its agreement knows.
                if Some(proposal.proposer) == self.address {
                    return;
                }
                let again = (hash, proposal.round, proposal.proposer);
                self.candidates.judged_before.push(again);
            } else {
                // The verdict is for the newest proposal.
                entry.round = proposal.round;
                entry.proposer = Some(proposal.proposer);
            }
        }
        self.take_early(hash);
    }

    /// Asks for bodies that were named before their height had started here. They may have come
    /// already, and nobody kept them: waiting for them would cost a round.
    pub(super) fn fetch_wanted(&mut self) {
        for hash in self.candidates.wanted() {
            self.fetch(hash);
        }
    }

    /// Asks the next peer for a body that is still missing, or for what a rebuild of it lacks.
    pub(super) fn fetch(&mut self, hash: B256) {
        if self.candidates.is_wanted(&hash) && self.ask_missing(hash) {
            return self.set_timer(TimerId::Fetch(hash), FETCH_AFTER_MS);
        }
        let peers: Vec<_> = self.full_peers().collect();
        let Some(entry) = self.candidates.entries.get_mut(&hash) else {
            return;
        };
        if !matches!(entry.body, Body::Wanted) || peers.is_empty() {
            return;
        }
        entry.asked = entry.asked.wrapping_add(1);
        if let Some(peer) = peers.get(entry.asked % peers.len()).copied() {
            let height = self.tip.height.next();
            self.send(
                To::Peer(peer),
                true,
                &PeerMessage::BodyRequest {
                    height,
                    block: hash,
                },
            );
        }
        self.set_timer(TimerId::Fetch(hash), FETCH_AFTER_MS);
    }

    pub(super) fn on_part(
        &mut self,
        from: PeerId,
        height: Height,
        hash: B256,
        (index, total): (u16, u16),
        bytes: Bytes,
    ) -> Result<(), ReplicaError> {
        // Only what a verified message named is assembled; what came too early is asked for.
        let wanted = self.candidates.is_wanted(&hash);
        if height != self.tip.height.next() || !wanted {
            return Ok(());
        }
        let (at, count) = (usize::from(index), usize::from(total));
        if count == 0 || count > PARTS_MAX || at >= count || bytes.len() > PART_BYTES {
            let reason = format!("part {index} of {total} with {} bytes", bytes.len());
            self.report(Report::BadMessage { from, reason });
            return Ok(());
        }
        let open = self
            .candidates
            .assemblies
            .keys()
            .filter(|(peer, _)| *peer == from)
            .count();
        let key = (from, hash);
        if open >= ASSEMBLIES_PER_PEER_MAX && !self.candidates.assemblies.contains_key(&key) {
            return Ok(());
        }
        let assembly = self
            .candidates
            .assemblies
            .entry(key)
            .or_insert_with(|| Assembly {
                parts: vec![None; count],
                missing: count,
            });
        let len = assembly.parts.len();
        match assembly.parts.get_mut(at) {
            Some(slot) if len == count => {
                if slot.replace(bytes).is_none() {
                    assembly.missing = assembly.missing.saturating_sub(1);
                }
            }
            _ => {
                self.candidates.assemblies.remove(&key);
                return Ok(());
            }
        }
        if assembly.missing == 0
            && let Some(assembly) = self.candidates.assemblies.remove(&key)
        {
            self.assembled(from, hash, assembly);
        }
        Ok(())
    }

    fn assembled(&mut self, from: PeerId, hash: B256, assembly: Assembly) {
        let bytes: Vec<u8> = assembly.parts.into_iter().flatten().flatten().collect();
        let block = match decode_exact::<Block>(&bytes, BLOCK_ENCODED_MAX) {
            Ok(block) if block.hash(self.suite) == hash => block,
            Ok(_) => {
                let reason = "the parts make another block than they name".to_owned();
                return self.report(Report::BadMessage { from, reason });
            }
            Err(error) => {
                let reason = format!("parts of no block: {error}");
                return self.report(Report::BadMessage { from, reason });
            }
        };
        if let Err(error) = block.check_body(self.suite) {
            // The header is genuine (its hash fits), the body is not: another peer may have it.
            let reason = error.to_string();
            return self.report(Report::BadMessage { from, reason });
        }
        self.complete(hash, block, None);
    }

    /// Checks the bodies that can be checked: those that are here once a round runs and the roots
    /// that their headers must carry are known.
    pub(super) fn advance_candidates(&mut self) -> Result<(), ReplicaError> {
        let next = self.tip.height.next();
        let Some(roots) = self.roots_for(next) else {
            return Ok(());
        };
        if self.bft.height() != Some(next) {
            return Ok(());
        }
        for (hash, round, proposer) in std::mem::take(&mut self.candidates.judged_before) {
            let valid = match self.candidates.entries.get(&hash).map(|entry| &entry.body) {
                Some(Body::Valid(_)) => true,
                Some(Body::Invalid) => false,
                _ => continue,
            };
            let outputs = self.bft.on_block(next, round, proposer, hash, valid)?;
            self.apply(outputs)?;
            if self.tip.height.next() != next {
                return Ok(());
            }
        }
        let complete: Vec<_> = self
            .candidates
            .entries
            .iter()
            .filter_map(|(hash, entry)| match &entry.body {
                Body::Complete(block, known) => Some((*hash, Arc::clone(block), known.clone())),
                _ => None,
            })
            .collect();
        for (hash, block, known) in complete {
            match self.check_header(&block, roots) {
                Ok(()) => {
                    let known = known.unwrap_or_else(|| self.known(&block));
                    self.set_body(&hash, Body::Checking(Arc::clone(&block)));
                    // Nothing is left to verify: no need to wait for a thread that does.
                    let all: Option<Vec<_>> = known.iter().cloned().collect();
                    match all {
                        Some(all) => self.on_checked(hash, Ok(Arc::new(all)))?,
                        None => self.actions.push(Action::Check { hash, block, known }),
                    }
                }
                Err(reason) => {
                    self.suspect_fork(&hash, &block);
                    self.judge(hash, Err(reason))?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn set_body(&mut self, hash: &B256, body: Body) {
        if let Some(entry) = self.candidates.entries.get_mut(hash) {
            entry.body = body;
        }
    }

    /// Transactions of a block as far as the pool holds them: their signatures are good.
    pub(super) fn known(&self, block: &Block) -> Vec<Option<Arc<VerifiedTransaction>>> {
        let find = |raw: &Bytes| {
            let hash = hawser_ledger::Transaction::hash_of(self.suite, raw);
            self.pool.get(&hash).cloned()
        };
        block.transactions.iter().map(find).collect()
    }

    /// What a header must satisfy besides its signatures.
    fn check_header(&self, block: &Block, roots: hawser_ledger::Roots) -> Result<(), String> {
        let header = &block.header;
        let height = self.tip.height.next();
        let p = self.rules.parameters(height);
        if header.version != self.rules.version(height) {
            return Err(format!("protocol version {} is not active", header.version));
        }
        if header.chain_id != self.genesis.chain_id {
            return Err(format!("chain id {}", header.chain_id));
        }
        let follows = header.parent == self.tip_hash || broken(Rule::BlockParent);
        if header.height != height || !follows {
            return Err(format!("does not follow block {}", self.tip.height));
        }
        let any_time = broken(Rule::BlockTime);
        if header.time <= self.tip.time && !any_time {
            return Err(format!("time {} is not after the parent's", header.time));
        }
        if header.time.since_ms(self.now) > p.clock_drift_ms_max && !any_time {
            return Err(format!(
                "time is {} ms ahead of this node's clock ({} allowed): check the clocks",
                header.time.since_ms(self.now),
                p.clock_drift_ms_max
            ));
        }
        let set = self.rules.committee(height);
        if set.get(&header.proposer).is_none() {
            return Err(format!("proposer {} is not a validator", header.proposer));
        }
        let named = header.validators == self.rules.committee_hash(height)
            && header.next_validators == self.rules.committee_hash(height.next());
        if !named && !broken(Rule::BlockCommittee) {
            return Err("names another validator set".to_owned());
        }
        if header.executed != roots && !broken(Rule::BlockRoots) {
            return Err(format!(
                "commits to {:?} where this node computed {roots:?}",
                header.executed
            ));
        }
        if block.body_bytes() as u64 > p.block_bytes_max && !broken(Rule::BlockLimits) {
            return Err(format!("body of {} bytes", block.body_bytes()));
        }
        Ok(())
    }

    pub(super) fn on_checked(
        &mut self,
        hash: B256,
        result: Result<Arc<Vec<Arc<VerifiedTransaction>>>, String>,
    ) -> Result<(), ReplicaError> {
        if self.sync_checked(hash, &result) {
            return Ok(());
        }
        if let Ok(transactions) = &result
            && let Some(job) = self.check_again(hash, transactions)
        {
            self.actions.push(job);
            return Ok(());
        }
        let result = result.and_then(|transactions| {
            self.check_gas(&transactions)?;
            Ok(transactions)
        });
        self.judge(hash, result)
    }

    /// What must be verified here although it was taken on others' word: the pool has lost it since,
    /// because somebody who vouched was convicted, or for a harmless reason.
    fn check_again(&self, hash: B256, transactions: &[Arc<VerifiedTransaction>]) -> Option<Action> {
        let stands =
            |one: &VerifiedTransaction| !one.is_attested() || self.pool.get(&one.hash()).is_some();
        if transactions.iter().all(|one| stands(one)) {
            return None;
        }
        let Some(Body::Checking(block)) = self.candidates.entries.get(&hash).map(|e| &e.body)
        else {
            return None;
        };
        let known = transactions.iter();
        Some(Action::Check {
            hash,
            block: Arc::clone(block),
            known: known
                .map(|one| stands(one).then(|| Arc::clone(one)))
                .collect(),
        })
    }

    /// Limits that need the decoded transactions.
    fn check_gas(&self, transactions: &[Arc<VerifiedTransaction>]) -> Result<(), String> {
        let gas = transactions.iter().fold(0u64, |sum, t| {
            sum.saturating_add(t.transaction().gas_limit())
        });
        let max = self.rules.parameters(self.tip.height.next()).block_gas_max;
        if gas > max && !broken(Rule::BlockLimits) {
            Err(format!("gas limits add up to {gas}, over {max}"))
        } else {
            Ok(())
        }
    }

    /// Remembers that a refused proposal came from a clock ahead of this one.
    fn note_time(&mut self, time: Time) {
        let height = self.tip.height.next();
        let by = time.since_ms(self.now);
        if by > self.rules.parameters(height).clock_drift_ms_max {
            self.ahead = Some((self.now, by));
        }
    }

    /// Hands the verdict on a candidate to the agreement.
    fn judge(
        &mut self,
        hash: B256,
        result: Result<Arc<Vec<Arc<VerifiedTransaction>>>, String>,
    ) -> Result<(), ReplicaError> {
        let height = self.tip.height.next();
        let Some(entry) = self.candidates.entries.get_mut(&hash) else {
            return Ok(());
        };
        let block = match &entry.body {
            Body::Checking(block) | Body::Complete(block, _) => Arc::clone(block),
            _ => return Ok(()),
        };
        let (round, proposer) = (entry.round, entry.proposer.unwrap_or(block.header.proposer));
        let (valid, time) = (result.is_ok(), block.header.time);
        match result {
            Ok(transactions) => {
                self.actions
                    .push(Action::Log(LogEntry::Block(block.as_ref().clone())));
                entry.body = Body::Valid(CheckedBlock {
                    block,
                    hash,
                    transactions,
                });
            }
            Err(reason) => {
                entry.body = Body::Invalid;
                self.note_time(time);
                self.report(Report::BlockRefused {
                    height,
                    hash,
                    reason,
                });
            }
        }
        let outputs = self.bft.on_block(height, round, proposer, hash, valid)?;
        self.apply(outputs)
    }
}
