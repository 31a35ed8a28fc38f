//! Agreement inside the replica: starting heights, building blocks, acting on decisions.

use std::sync::Arc;

use hawser_consensus::{Election as _, Message, Output, Record, Vote};
use hawser_crypto::Signature;
use hawser_ledger::{Block, Certificate, Header, VoteKind, transactions_root};
use hawser_network::PeerId;
use hawser_primitives::{Address, B256, Height, Round, Time};

use super::{
    Action, CheckedBlock, DivergedRoots, LogEntry, PeerMessage, Replica, ReplicaError, Report,
    TimerId, To,
};
use crate::Rules;

/// Least time between two status messages to one peer that is behind, in milliseconds.
const STATUS_TO_LAGGARD_MS: u64 = 200;
/// Rounds ahead of this node's whose messages are taken up. A validator may sign for any round, and
/// each message is kept and logged; nodes that are further apart meet at the next height.
const ROUNDS_AHEAD_MAX: u32 = 1_000;

const fn round_of(message: &Message) -> Round {
    match message {
        Message::Vote(signed) => signed.vote.round,
        Message::Proposal(signed) => signed.proposal.round,
        Message::Polka(certificate) => certificate.round,
        Message::Round(certificate) => certificate.round,
    }
}

impl Replica {
    pub(super) fn on_agreement(
        &mut self,
        from: PeerId,
        message: Message,
    ) -> Result<(), ReplicaError> {
        let (height, next) = (message.height(), self.tip.height.next());
        if height < next {
            // Too late for its turn, and yet a sign that the proposer is there again.
            self.note_late_voice(from, &message);
            if let Some(proposer) = self.late.concerned(&message)
                && self.is_from_committee(&message)
            {
                self.late.proposed(&proposer);
            }
            // The peer is at work on what we have decided: tell it, so that it catches up.
            let (now, Some(peer)) = (self.now, self.peers.get_mut(&from)) else {
                return Ok(());
            };
            if now >= peer.last_status_sent.plus_ms(STATUS_TO_LAGGARD_MS) {
                peer.last_status_sent = now;
                self.send_status(To::Peer(from));
            }
            return Ok(());
        }
        self.watch_own_key(from, &message)?;
        let running = self.bft.height() == Some(next);
        // What no committee member signed neither wakes a chain nor says how far anyone is.
        let in_progress = running && height == next;
        if !in_progress && !self.is_from_committee(&message) {
            // Who decides blocks far ahead is not known here yet; that peer may be right.
            if height > Rules::known_until(self.executed) {
                return Ok(());
            }
            let reason = "a message of agreement that no validator signed".to_owned();
            self.report(Report::BadMessage { from, reason });
            return Ok(());
        }
        if let Some(decided) = height.prev() {
            self.heard_height(from, decided);
        }
        if height > next {
            self.spoken = self.spoken.max(height);
            // Kept by the agreement within its bounds.
            let outputs = self.bft.on_message(message)?;
            return self.apply(outputs);
        }
        // Somebody has a reason to make this block.
        self.start_height()?;
        if round_of(&message).0 > self.bft.round().0.saturating_add(ROUNDS_AHEAD_MAX) {
            return Ok(());
        }
        let author = self.author_of(&message);
        let outputs = self.bft.on_message(message)?;
        self.note_voice(from, author, &outputs);
        self.watch_guard();
        self.apply(outputs)
    }

    /// Whether a member of the committee of its height signed (any part of) the message.
    pub(super) fn is_from_committee(&self, message: &Message) -> bool {
        let chain = self.genesis.chain_id;
        let set = self.rules.committee(message.height());
        let signed = |validator: &Address, bytes: &[u8], signature: &Signature| {
            set.get(validator)
                .is_some_and(|v| v.public_key.verify(bytes, signature).is_ok())
        };
        let vote = |vote: Vote, signature: &Signature| {
            signed(&vote.validator, &vote.message(chain), signature)
        };
        match message {
            Message::Vote(m) => vote(m.vote.clone(), &m.signature),
            Message::Proposal(m) => signed(
                &m.proposal.proposer,
                &m.proposal.message(chain),
                &m.signature,
            ),
            Message::Polka(c) => c.signatures.first().is_some_and(|(validator, signature)| {
                let (height, round, block) = (c.height, c.round, Some(c.block));
                let kind = VoteKind::Prevote;
                vote(
                    Vote {
                        kind,
                        height,
                        round,
                        block,
                        validator: *validator,
                    },
                    signature,
                )
            }),
            Message::Round(c) => c.signatures.first().is_some_and(|s| {
                let (height, round, validator) = (c.height, c.round, s.validator);
                vote(
                    Vote {
                        kind: s.kind,
                        height,
                        round,
                        block: s.block,
                        validator,
                    },
                    &s.signature,
                )
            }),
        }
    }

    /// Starts the next height unless it has started, from what an earlier run logged of it if any.
    pub(super) fn start_height(&mut self) -> Result<(), ReplicaError> {
        let next = self.tip.height.next();
        // The rules of this height and its successor must be final; see `roots_for`.
        let known = next.next() <= Rules::known_until(self.executed);
        if self.bft.height() == Some(next) || !known {
            return Ok(());
        }
        self.actions.push(Action::ClearTimer(TimerId::Wake));
        self.lift_guard(next);
        self.height_started = self.now;
        let committee = self.rules.committee(next);
        let outputs = match self.cast.remove(&next) {
            Some(cast) => {
                for block in cast.blocks {
                    self.candidates.own(block);
                }
                self.bft.recover(next, committee, cast.records)?
            }
            None => self.bft.start(next, committee)?,
        };
        self.apply(outputs)?;
        self.fetch_wanted();
        Ok(())
    }

    /// Starts the next height if there is a reason to make a block.
    pub(super) fn advance_height(&mut self) -> Result<(), ReplicaError> {
        let next = self.tip.height.next();
        if self.bft.height() == Some(next) {
            return Ok(());
        }
        let parameters = self.rules.parameters(next);
        // After the last block with transactions, `root_lag` more certify what it left behind.
        let certified_upto = self.last_busy.0.saturating_add(parameters.root_lag);
        let certifies = self.last_busy > Height::GENESIS && self.tip.height.0 < certified_upto;
        // A change of the rules takes effect by itself.
        let owed = certifies || self.tip.height < self.rules.last_change();
        let heartbeat =
            (parameters.heartbeat_ms > 0).then(|| self.tip.time.plus_ms(parameters.heartbeat_ms));
        let due = heartbeat.is_some_and(|at| self.now >= at);
        // Others may count on votes that this node cast for the height before it stopped.
        let cast = self.cast.contains_key(&next);
        // Others are at it already, and said so before this node had got here.
        let spoken = self.spoken >= next;
        if !(owed || due || cast || spoken || self.pool.has_ready()) {
            if let Some(at) = heartbeat {
                self.actions.push(Action::SetTimer(TimerId::Wake, at));
            }
            return Ok(());
        }
        let earliest = self.tip.time.plus_ms(parameters.block_interval_ms_min);
        if self.now < earliest && !spoken {
            self.actions.push(Action::SetTimer(TimerId::Wake, earliest));
            return Ok(());
        }
        self.start_height()
    }

    /// Carries out what agreement asks for.
    pub(super) fn apply(&mut self, outputs: Vec<Output>) -> Result<(), ReplicaError> {
        for output in outputs {
            match output {
                Output::Persist(record) => {
                    // Recorded means verified.
                    self.want_recorded(&record);
                    if let Record::Proposal(signed) = &record {
                        self.late.proposed(&signed.proposal.proposer);
                        self.fork.proposed(signed.proposal.block);
                        self.pace.proposed(self.now);
                    }
                    self.actions.push(Action::Log(LogEntry::Record(record)));
                }
                Output::Send(message) => {
                    self.own.sent(&message);
                    self.send(To::All, true, &PeerMessage::Agreement(message));
                }
                Output::Schedule { timer, after_ms } => {
                    let after_ms = self.late.wait_ms(timer, after_ms);
                    self.set_timer(TimerId::Agreement(timer), after_ms);
                }
                Output::Cancel(timer) => {
                    self.actions
                        .push(Action::ClearTimer(TimerId::Agreement(timer)));
                }
                // Timers of past heights and rounds are ignored when they fire.
                Output::CancelAll => {}
                Output::RoundStarted {
                    height,
                    round,
                    proposer,
                } => {
                    self.build = None;
                    let committee = self.rules.committee(height);
                    self.late.round_started(height, round, proposer, &committee);
                    if round > Round(0) {
                        self.report(Report::Round {
                            height,
                            round,
                            proposer,
                        });
                    }
                }
                Output::Build { height, round } => {
                    self.build = Some((height, round));
                    let at = self.propose_at(round);
                    if self.now < at {
                        self.actions.push(Action::SetTimer(TimerId::Wake, at));
                    }
                }
                Output::Restream { block } => self.offer_body(block),
                Output::Decided(certificate) => self.decided(certificate)?,
                Output::Misbehaviour {
                    validator,
                    evidence,
                } => {
                    let what = format!("signed both {:?} and {:?}", evidence.0, evidence.1);
                    self.report(Report::Misbehaviour { validator, what });
                }
            }
        }
        Ok(())
    }

    /// When this node proposes in a round. A failed round has taken long enough.
    fn propose_at(&self, round: Round) -> Time {
        if round > Round(0) {
            return Time(0);
        }
        self.pace.propose_at(self.pool.len())
    }

    /// Builds and proposes a block once the roots that its header carries are known, and the pause
    /// after the last block is over.
    pub(super) fn advance_build(&mut self) -> Result<(), ReplicaError> {
        let Some((height, round)) = self.build else {
            return Ok(());
        };
        if self.now < self.propose_at(round) {
            return Ok(());
        }
        let Some(executed) = self.roots_for(height) else {
            return Ok(());
        };
        let Some(proposer) = self.address else {
            return Ok(());
        };
        self.build = None;
        self.pool.expire(self.now);
        let transactions = self.pool.select(self.now, self.pace.limit(self.pool.len()));
        let raws: Vec<_> = transactions
            .iter()
            .map(|t| t.transaction().raw().clone())
            .collect();
        let header = Header {
            version: self.rules.version(height),
            chain_id: self.genesis.chain_id,
            height,
            parent: self.tip_hash,
            time: self.now.max(self.tip.time.plus_ms(1)),
            proposer,
            transactions_root: transactions_root(self.suite, &raws),
            transactions_count: u32::try_from(raws.len()).unwrap_or(u32::MAX),
            executed,
            validators: self.rules.committee_hash(height),
            next_validators: self.rules.committee_hash(height.next()),
        };
        let block = Arc::new(Block {
            header,
            transactions: raws,
        });
        let hash = block.hash(self.suite);
        self.actions
            .push(Action::Log(LogEntry::Block(block.as_ref().clone())));
        self.candidates.own(CheckedBlock {
            block,
            hash,
            transactions: Arc::new(transactions),
        });
        let outputs = self.bft.propose(height, round, hash)?;
        self.apply(outputs)?;
        self.offer_body(hash);
        Ok(())
    }

    fn decided(&mut self, certificate: Certificate) -> Result<(), ReplicaError> {
        match self.candidates.valid(&certificate.block_hash) {
            Some(block) => {
                let (height, count) = (certificate.height, block.transactions.len());
                let first_round = certificate.round == Round(0);
                self.pace.decided(height, self.now, count, first_round);
                self.agreed = height;
                self.commit(block, certificate, false)
            }
            None => Err(ReplicaError::InvalidFinalBlock {
                height: certificate.height,
                reason: "agreement decided on a block that this node did not find valid".to_owned(),
            }),
        }
    }

    /// Makes a final block the tip, `fetched` from a peer or decided here.
    pub(super) fn commit(
        &mut self,
        block: CheckedBlock,
        certificate: Certificate,
        fetched: bool,
    ) -> Result<(), ReplicaError> {
        let header = &block.block.header;
        // Also for synced blocks: computed roots that differ mean that this node went astray.
        if let Some(computed) = self.roots_for(header.height)
            && computed != header.executed
        {
            let certified = header.executed;
            return Err(ReplicaError::Diverged {
                height: header.height,
                roots: Box::new(DivergedRoots {
                    certified,
                    computed,
                }),
            });
        }
        self.interval_ms = header.time.0.saturating_sub(self.tip.time.0);
        let set = self.rules.committee(certificate.height);
        self.note_certificate(&certificate, &set);
        self.tip = header.clone();
        self.tip_hash = block.hash;
        if !block.transactions.is_empty() {
            self.last_busy = self.tip.height;
        }
        self.build = None;
        self.pool.included(self.tip.height, &block.transactions);
        let next = self.tip.height.next();
        if self.rules.since(next) == next {
            self.pool
                .set_parameters(self.rules.parameters(next).clone());
        }
        self.candidates.clear();
        self.drafts.decided(self.tip.height);
        self.cast.retain(|height, _| *height > self.tip.height);
        let logged = self.own.precommitted(self.tip.height, &block.hash);
        let filing = self.filing(self.tip.height, logged, fetched);
        self.own.decided(self.tip.height);
        self.late.proposed(&self.tip.proposer);
        self.fork.decided(certificate.clone());
        self.actions.push(Action::Commit {
            block,
            certificate,
            filing,
        });
        Ok(())
    }

    pub(super) fn body_of(&self, block: &B256) -> Option<&Block> {
        self.candidates.body(block)
    }
}
