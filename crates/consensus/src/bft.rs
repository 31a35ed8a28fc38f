use std::{collections::BTreeSet, fmt, sync::Arc};

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::SecretKey;
use hawser_ledger::{
    Certificate, CommitSignature, ValidatorSet,
    mutants::{Rule, broken},
};
use hawser_primitives::{Address, B256, ChainId, Height, Round, encode};
use malachitebft_core_consensus::{
    ConsensusMsg, Effect, Error as CoreError, Input, LivenessMsg, LocallyProposedValue, Params,
    Resumable, Resume, SignedConsensusMsg, State, ValuePayload, process,
};
use malachitebft_core_types::{self as core, SignedMessage, ThresholdParams, VoteExtensionPolicy};
use thiserror::Error;

use crate::{
    Message, Record,
    context::{self, BlockHash, Ctx, VoteSignature},
    convert,
};

/// Heights ahead of the current one whose messages are kept for later.
const FUTURE_HEIGHTS_MAX: usize = 4;
/// Messages kept per such height and validator.
const FUTURE_MESSAGES_PER_VALIDATOR: usize = 8;
/// Validators that there is room for at least: a committee may grow while the node runs.
const FUTURE_VALIDATORS_MIN: usize = 100;

/// What a timer guards.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum TimerKind {
    /// The proposer has not proposed.
    Propose = 1,
    /// A quorum prevoted, but not for one block.
    Prevote = 2,
    /// A quorum precommitted, but not for one block.
    Precommit = 3,
    /// Nothing happens: send the last votes again.
    Rebroadcast = 4,
}

/// A timer of one round.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct Timer {
    /// Height it belongs to.
    pub height: Height,
    /// Round it belongs to.
    pub round: Round,
    /// What it guards.
    pub kind: TimerKind,
}

impl Timer {
    pub(crate) const fn into_core(self) -> core::Timeout {
        let round = convert::round_in(self.round);
        match self.kind {
            TimerKind::Propose => core::Timeout::propose(round),
            TimerKind::Prevote => core::Timeout::prevote(round),
            TimerKind::Precommit => core::Timeout::precommit(round),
            TimerKind::Rebroadcast => core::Timeout::rebroadcast(round),
        }
    }

    pub(crate) fn from_core(height: Height, timeout: &core::Timeout) -> Option<Self> {
        let kind = match timeout.kind {
            core::TimeoutKind::Propose => TimerKind::Propose,
            core::TimeoutKind::Prevote => TimerKind::Prevote,
            core::TimeoutKind::Precommit => TimerKind::Precommit,
            core::TimeoutKind::Rebroadcast => TimerKind::Rebroadcast,
            // Only heights with a target time finalise by timer; ours have none.
            core::TimeoutKind::FinalizeHeight(_) => return None,
        };
        Some(Self {
            height,
            round: convert::round_out(timeout.round),
            kind,
        })
    }
}

/// How long to wait, in milliseconds. Waits grow with the round and stay below a bound, so that a
/// chain that regains its quorum resumes within that bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a proposal.
    pub propose_ms: u64,
    /// For prevotes that agree.
    pub prevote_ms: u64,
    /// For precommits that agree.
    pub precommit_ms: u64,
    /// Before votes are sent again.
    pub rebroadcast_ms: u64,
    /// Growth of each wait per round.
    pub per_round_ms: u64,
    /// Bound on every wait.
    pub max_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            propose_ms: 600,
            prevote_ms: 300,
            precommit_ms: 300,
            rebroadcast_ms: 600,
            per_round_ms: 300,
            max_ms: 4_000,
        }
    }
}

impl Timeouts {
    /// The wait of a timer.
    #[must_use]
    pub fn wait_ms(&self, kind: TimerKind, round: Round) -> u64 {
        let base = match kind {
            TimerKind::Propose => self.propose_ms,
            TimerKind::Prevote => self.prevote_ms,
            TimerKind::Precommit => self.precommit_ms,
            TimerKind::Rebroadcast => self.rebroadcast_ms,
        };
        base.saturating_add(self.per_round_ms.saturating_mul(u64::from(round.0)))
            .min(self.max_ms)
    }
}

/// Where a height stands, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// No round has started.
    NotStarted,
    /// Waiting for the proposal.
    Propose,
    /// Waiting for prevotes.
    Prevote,
    /// Waiting for precommits.
    Precommit,
    /// Decided.
    Decided,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotStarted => "not started",
            Self::Propose => "waiting for the proposal",
            Self::Prevote => "waiting for prevotes",
            Self::Precommit => "waiting for precommits",
            Self::Decided => "decided",
        })
    }
}

/// What the caller must do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Append to the vote log. Everything appended so far must be durable before the next
    /// [`Output::Send`] takes effect.
    Persist(Record),
    /// Send to all validators.
    Send(Message),
    /// Start a timer (again).
    Schedule {
        /// The timer.
        timer: Timer,
        /// Milliseconds from now.
        after_ms: u64,
    },
    /// Stop a timer.
    Cancel(Timer),
    /// Stop all timers.
    CancelAll,
    /// A round began.
    RoundStarted {
        /// Its height.
        height: Height,
        /// Its number.
        round: Round,
        /// Who proposes in it.
        proposer: Address,
    },
    /// This validator is to propose: build a block and call [`Bft::propose`].
    Build {
        /// Height to build for.
        height: Height,
        /// Round to propose in.
        round: Round,
    },
    /// Send the body of this block to all again.
    Restream {
        /// The block.
        block: B256,
    },
    /// The block is final.
    Decided(Certificate),
    /// A validator signed two different things where it may sign one.
    Misbehaviour {
        /// Who.
        validator: Address,
        /// The two messages, for the record.
        evidence: Box<(Message, Message)>,
    },
}

/// Failure of the agreement itself. The node stops rather than guess.
#[derive(Debug, Error)]
pub enum BftError {
    /// The library reports a broken invariant.
    #[error("agreement at height {height}: {reason}")]
    Core {
        /// Height it was at.
        height: Height,
        /// Its words.
        reason: String,
    },
}

/// What a validator (or, without a key, an observer) needs to take part.
pub struct BftConfig {
    /// The chain; part of every signature.
    pub chain: ChainId,
    /// This node's vote key; `None` follows without voting.
    pub key: Option<Arc<SecretKey>>,
    /// The waits.
    pub timeouts: Timeouts,
}

/// Tendermint agreement on block hashes, one height after another.
pub struct Bft {
    config: BftConfig,
    state: State<Ctx>,
    started: Option<Height>,
    set: Arc<ValidatorSet>,
    /// Encoded records found in the vote log, so that replaying them does not log them again.
    replaying: BTreeSet<Vec<u8>>,
}

impl Bft {
    /// An agreement that has not started; `set` is the committee of `height`.
    #[must_use]
    pub fn new(config: BftConfig, height: Height, set: Arc<ValidatorSet>) -> Self {
        let address = config
            .key
            .as_ref()
            .map_or(Address::ZERO, |key| key.address());
        let params = Params {
            address: context::Address(address),
            threshold_params: ThresholdParams::default(),
            value_payload: ValuePayload::ProposalAndParts,
            enabled: config.key.is_some(),
        };
        let per_height = set
            .validators()
            .len()
            .max(FUTURE_VALIDATORS_MIN)
            .saturating_mul(FUTURE_MESSAGES_PER_VALIDATOR);
        let state = State::new(
            Ctx,
            context::Height(height.0),
            context::ValidatorSet::new(Arc::clone(&set)),
            params,
            FUTURE_HEIGHTS_MAX,
            per_height,
        );
        Self {
            config,
            state,
            started: None,
            set,
            replaying: BTreeSet::new(),
        }
    }

    /// The height in progress or last decided; `None` before the first start.
    #[must_use]
    pub const fn height(&self) -> Option<Height> {
        self.started
    }

    /// Current round.
    #[must_use]
    pub fn round(&self) -> Round {
        convert::round_out(self.state.round())
    }

    /// Where the current height stands.
    #[must_use]
    pub fn step(&self) -> Step {
        let driver = &self.state.driver;
        if self.started.is_none() {
            Step::NotStarted
        } else if driver.step_is_commit() {
            Step::Decided
        } else if driver.step_is_precommit() {
            Step::Precommit
        } else if driver.step_is_prevote() {
            Step::Prevote
        } else if driver.step_is_propose() {
            Step::Propose
        } else {
            Step::NotStarted
        }
    }

    /// Validators whose vote of the current round has arrived; the others are silent.
    #[must_use]
    pub fn heard(&self) -> Vec<Address> {
        let votes = self.state.driver.votes();
        let Some(round) = votes.per_round(self.state.round()) else {
            return Vec::new();
        };
        let members = self
            .state
            .validator_set()
            .set
            .validators()
            .iter()
            .map(|v| v.address());
        members
            .filter(|address| {
                [core::VoteType::Prevote, core::VoteType::Precommit]
                    .into_iter()
                    .any(|kind| round.get_vote(kind, &context::Address(*address)).is_some())
            })
            .collect()
    }

    /// Starts a height. Messages for it that came early are taken up at once.
    pub fn start(
        &mut self,
        height: Height,
        set: Arc<ValidatorSet>,
    ) -> Result<Vec<Output>, BftError> {
        self.started = Some(height);
        self.set = Arc::clone(&set);
        self.run(start_input(height, set, false))
    }

    /// An agreement like this one that follows without a vote, and has not started.
    #[must_use]
    pub fn without_vote(&self, height: Height, set: Arc<ValidatorSet>) -> Self {
        let config = BftConfig {
            chain: self.config.chain,
            key: None,
            timeouts: self.config.timeouts,
        };
        Self::new(config, height, set)
    }

    /// The same agreement with a vote, before the start of a height.
    #[must_use]
    pub fn with_vote(&self, key: Arc<SecretKey>, height: Height, set: Arc<ValidatorSet>) -> Self {
        let config = BftConfig {
            chain: self.config.chain,
            key: Some(key),
            timeouts: self.config.timeouts,
        };
        Self::new(config, height, set)
    }

    /// Starts the height that a crash interrupted, from the records of its vote log.
    ///
    /// Votes and proposals that were signed before the crash are sent again as they were; nothing
    /// contradicting them is signed.
    pub fn recover(
        &mut self,
        height: Height,
        set: Arc<ValidatorSet>,
        records: Vec<Record>,
    ) -> Result<Vec<Output>, BftError> {
        self.started = Some(height);
        self.set = Arc::clone(&set);
        self.replaying = records.iter().map(encode).collect();
        let own_rounds: BTreeSet<Round> = records
            .iter()
            .filter_map(|record| match record {
                Record::Proposal(signed) if signed.proposal.proposer == self.state.address().0 => {
                    Some(signed.proposal.round)
                }
                _ => None,
            })
            .collect();
        let inputs: Vec<_> = records.into_iter().map(convert::record_in).collect();
        self.state.index_wal_entries(&inputs);
        let mut outputs = self.run(start_input(height, set, true))?;
        for input in inputs {
            outputs.extend(self.run(input)?);
        }
        self.state.reset_entries_index();
        self.replaying.clear();
        let current = self.round();
        outputs.retain(|output| match output {
            // A block proposed before the crash is proposed still; a round that passed needs none.
            Output::Build { round, .. } => *round == current && !own_rounds.contains(round),
            _ => true,
        });
        Ok(outputs)
    }

    /// Takes in a message from a peer. Invalid ones change nothing.
    pub fn on_message(&mut self, message: Message) -> Result<Vec<Output>, BftError> {
        self.run(match message {
            Message::Vote(vote) => Input::Vote(convert::signed_vote_in(vote)),
            Message::Proposal(proposal) => Input::Proposal(convert::signed_proposal_in(proposal)),
            Message::Polka(certificate) => Input::PolkaCertificate(convert::polka_in(certificate)),
            Message::Round(certificate) => {
                Input::RoundCertificate(convert::round_certificate_in(certificate))
            }
        })
    }

    /// Takes in a timer that fired.
    pub fn on_timeout(&mut self, timer: Timer) -> Result<Vec<Output>, BftError> {
        if self.started != Some(timer.height) {
            return Ok(Vec::new());
        }
        self.run(Input::TimeoutElapsed(timer.into_core()))
    }

    /// Proposes a block that this validator built, after [`Output::Build`].
    pub fn propose(
        &mut self,
        height: Height,
        round: Round,
        block: B256,
    ) -> Result<Vec<Output>, BftError> {
        self.run(Input::Propose(LocallyProposedValue::new(
            context::Height(height.0),
            convert::round_in(round),
            BlockHash(block),
        )))
    }

    /// Reports the verdict on a block whose body has arrived.
    pub fn on_block(
        &mut self,
        height: Height,
        round: Round,
        proposer: Address,
        block: B256,
        valid: bool,
    ) -> Result<Vec<Output>, BftError> {
        self.run(convert::record_in(Record::Block {
            height,
            round,
            proposer,
            block,
            valid,
        }))
    }

    fn run(&mut self, input: Input<Ctx>) -> Result<Vec<Output>, BftError> {
        let height = self.started.unwrap_or_default();
        let mut outputs = Vec::new();
        let Self {
            config,
            state,
            set,
            replaying,
            ..
        } = self;
        let metrics = ();
        let result: Result<(), CoreError<Ctx>> = process!(
            input: input,
            state: state,
            metrics: &metrics,
            with: effect => Ok::<_, CoreError<Ctx>>(
                handle(config, set, replaying, height, effect, &mut outputs)
            )
        );
        result.map_err(|error| BftError::Core {
            height,
            reason: error.to_string(),
        })?;
        self.skip_pointless_waits(&mut outputs);
        Ok(outputs)
    }

    /// Whether a quorum precommitted nil.
    fn is_void(&self, round: Round) -> bool {
        let votes = self.state.driver.votes();
        let Some(round) = votes.per_round(convert::round_in(round)) else {
            return false;
        };
        let nil = round
            .votes()
            .get_weight(core::VoteType::Precommit, &core::NilOrVal::Nil);
        nil >= self.set.quorum_weight()
    }

    /// A round in which a quorum precommitted nil decides nothing any more, whatever else arrives:
    /// the next one may begin at once instead of waiting for the precommits that are missing.
    fn skip_pointless_waits(&self, outputs: &mut [Output]) {
        for output in outputs {
            if let Output::Schedule { timer, after_ms } = output
                && timer.kind == TimerKind::Precommit
                && self.is_void(timer.round)
            {
                *after_ms = 0;
            }
        }
    }
}

fn start_input(height: Height, set: Arc<ValidatorSet>, restart: bool) -> Input<Ctx> {
    Input::StartHeight(
        context::Height(height.0),
        context::ValidatorSet::new(set),
        restart,
        None,
        VoteExtensionPolicy::Disabled,
    )
}

fn handle(
    config: &BftConfig,
    set: &ValidatorSet,
    replaying: &BTreeSet<Vec<u8>>,
    height: Height,
    effect: Effect<Ctx>,
    outputs: &mut Vec<Output>,
) -> Resume<Ctx> {
    match effect {
        Effect::CancelAllTimeouts(r) => {
            outputs.push(Output::CancelAll);
            r.resume_with(())
        }
        Effect::CancelTimeout(timeout, r) => {
            outputs.extend(Timer::from_core(height, &timeout).map(Output::Cancel));
            r.resume_with(())
        }
        Effect::ScheduleTimeout(timeout, r) => {
            outputs.extend(
                Timer::from_core(height, &timeout).map(|timer| Output::Schedule {
                    timer,
                    after_ms: config.timeouts.wait_ms(timer.kind, timer.round),
                }),
            );
            r.resume_with(())
        }
        Effect::StartRound(height, round, proposer, _, r) => {
            outputs.push(Output::RoundStarted {
                height: Height(height.0),
                round: convert::round_out(round),
                proposer: proposer.0,
            });
            r.resume_with(())
        }
        Effect::PublishConsensusMsg(message, r) => {
            outputs.push(Output::Send(consensus_message(&message)));
            r.resume_with(())
        }
        Effect::PublishLivenessMsg(message, r) => {
            outputs.push(Output::Send(match &message {
                LivenessMsg::Vote(vote) => Message::Vote(convert::signed_vote_out(vote)),
                LivenessMsg::PolkaCertificate(c) => Message::Polka(convert::polka_out(c)),
                LivenessMsg::SkipRoundCertificate(c) => {
                    Message::Round(convert::round_certificate_out(c))
                }
            }));
            r.resume_with(())
        }
        Effect::RepublishVote(vote, r) => {
            outputs.push(Output::Send(Message::Vote(convert::signed_vote_out(&vote))));
            r.resume_with(())
        }
        Effect::RepublishRoundCertificate(certificate, r) => {
            outputs.push(Output::Send(Message::Round(
                convert::round_certificate_out(&certificate),
            )));
            r.resume_with(())
        }
        Effect::GetValue(height, round, _, r) => {
            outputs.push(Output::Build {
                height: Height(height.0),
                round: convert::round_out(round),
            });
            r.resume_with(())
        }
        Effect::RestreamProposal(_, _, _, _, block, r) => {
            outputs.push(Output::Restream { block: block.0 });
            r.resume_with(())
        }
        Effect::Decide(certificate, _, r) => {
            // Taken from `Finalize`, which follows at once because heights have no target time.
            let _ = certificate;
            r.resume_with(())
        }
        Effect::Finalize(certificate, _, evidence, r) => {
            misbehaviour(&evidence, outputs);
            outputs.push(Output::Decided(certificate_out(&certificate, set)));
            r.resume_with(())
        }
        Effect::SignVote(vote, r) => {
            let signature = sign(config, &convert::vote_out(&vote).message(config.chain));
            r.resume_with(SignedMessage::new(vote, signature))
        }
        Effect::SignProposal(proposal, r) => {
            let message = convert::proposal_out(&proposal).message(config.chain);
            let signature = sign(config, &message);
            r.resume_with(SignedMessage::new(proposal, signature))
        }
        Effect::VerifySignature(signed, key, r) => {
            let message = match &signed.message {
                ConsensusMsg::Vote(vote) => convert::vote_out(vote).message(config.chain),
                ConsensusMsg::Proposal(proposal) => {
                    convert::proposal_out(proposal).message(config.chain)
                }
            };
            let good = key.verify(&message, &signed.signature.0).is_ok();
            r.resume_with(good || broken(Rule::VoteSignature))
        }
        Effect::VerifyCommitCertificate(certificate, members, thresholds, r) => {
            let votes = certificate.commit_signatures.iter().map(|s| {
                let value = core::NilOrVal::Val(certificate.value_id);
                (
                    precommit(&certificate, value, s.address),
                    s.signature.clone(),
                )
            });
            r.resume_with(verify_votes(config, &members, thresholds.quorum, votes))
        }
        Effect::VerifyPolkaCertificate(certificate, members, thresholds, r) => {
            let votes = certificate.votes(&Ctx).map(|v| (v.message, v.signature));
            r.resume_with(verify_votes(config, &members, thresholds.quorum, votes))
        }
        Effect::VerifyRoundCertificate(certificate, members, thresholds, r) => {
            let needed = match certificate.cert_type {
                core::RoundCertificateType::Skip => thresholds.honest,
                core::RoundCertificateType::Precommit => thresholds.quorum,
            };
            let prevote = certificate
                .round_signatures
                .iter()
                .find(|s| s.vote_type == core::VoteType::Prevote)
                .map(|s| s.address);
            let wrong = certificate.cert_type == core::RoundCertificateType::Precommit;
            r.resume_with(match prevote {
                Some(address) if wrong => Err(core::CertificateError::InvalidVoteType(address)),
                _ => {
                    let votes = certificate.votes(&Ctx).map(|v| (v.message, v.signature));
                    verify_votes(config, &members, needed, votes)
                }
            })
        }
        Effect::WalAppend(height, input, r) => {
            if let Some(record) = convert::record_out(Height(height.0), &input)
                && (replaying.is_empty() || !replaying.contains(&encode(&record)))
            {
                outputs.push(Output::Persist(record));
            }
            r.resume_with(())
        }
        // The chain syncs by certified blocks outside the library, and votes carry no extensions:
        // the library never yields these for such a configuration.
        Effect::CertVerifiedSyncValue(_, _, r) => r.resume_with(()),
        Effect::CertRejectedSyncValue(_, _, _, r) => r.resume_with(()),
        Effect::VerifyExtendedCommitCertificate(certificate, _, _, _, r) => {
            let signer = certificate.commit_signatures.first().map(|s| s.address);
            let address = signer.unwrap_or(context::Address(Address::ZERO));
            r.resume_with(Err(core::CertificateError::UnexpectedVoteExtension(
                address,
            )))
        }
        Effect::ExtendVote(_, _, _, _, r) => r.resume_with(None),
        Effect::VerifyVoteExtension(_, _, _, _, _, _, r) => {
            let error = malachitebft_core_consensus::VoteExtensionError::InvalidVoteExtension;
            r.resume_with(Err(error))
        }
    }
}

fn sign(config: &BftConfig, message: &[u8]) -> VoteSignature {
    match &config.key {
        Some(key) => VoteSignature(key.sign(message)),
        None => unreachable!("a node without a vote key is not enabled and is never asked to sign"),
    }
}

fn precommit(
    certificate: &core::CommitCertificate<Ctx>,
    value: core::NilOrVal<BlockHash>,
    validator: context::Address,
) -> context::Vote {
    context::Vote {
        kind: core::VoteType::Precommit,
        height: certificate.height,
        round: certificate.round,
        value,
        validator,
    }
}

/// Checks that distinct members of `set` with enough weight signed these votes.
fn verify_votes(
    config: &BftConfig,
    set: &context::ValidatorSet,
    needed: core::ThresholdParam,
    votes: impl Iterator<Item = (context::Vote, VoteSignature)>,
) -> Result<(), core::CertificateError<Ctx>> {
    let (mut seen, mut signed) = (BTreeSet::new(), 0u64);
    for (vote, signature) in votes {
        let address = vote.validator;
        let Some(validator) = set.set.get(&address.0) else {
            return Err(core::CertificateError::UnknownValidator(address));
        };
        if !seen.insert(address) {
            return Err(core::CertificateError::DuplicateVote(address));
        }
        let message = convert::vote_out(&vote).message(config.chain);
        let bad = validator.public_key.verify(&message, &signature.0).is_err();
        if bad && !broken(Rule::PolkaSignature) {
            return Err(core::CertificateError::InvalidCommitSignature(
                core::CommitSignature::new(address, signature),
            ));
        }
        signed = signed.saturating_add(validator.weight);
    }
    let total = set.set.total_weight();
    if needed.is_met(signed, total) || broken(Rule::PolkaQuorum) {
        Ok(())
    } else {
        let expected = needed.min_expected(total);
        Err(core::CertificateError::NotEnoughVotingPower {
            signed,
            total,
            expected,
        })
    }
}

/// The library's certificate as the ledger has it: signers are positions in the set, ascending.
fn certificate_out(certificate: &core::CommitCertificate<Ctx>, set: &ValidatorSet) -> Certificate {
    let mut signatures: Vec<_> = certificate
        .commit_signatures
        .iter()
        .filter_map(|s| {
            let validator = u16::try_from(set.index_of(&s.address.0)?).ok()?;
            Some(CommitSignature {
                validator,
                signature: s.signature.0,
            })
        })
        .collect();
    signatures.sort_by_key(|s| s.validator);
    Certificate {
        height: Height(certificate.height.0),
        round: convert::round_out(certificate.round),
        block_hash: certificate.value_id.0,
        signatures,
    }
}

fn consensus_message(message: &SignedConsensusMsg<Ctx>) -> Message {
    match message {
        SignedConsensusMsg::Vote(vote) => Message::Vote(convert::signed_vote_out(vote)),
        SignedConsensusMsg::Proposal(p) => Message::Proposal(convert::signed_proposal_out(p)),
    }
}

fn misbehaviour(
    evidence: &malachitebft_core_consensus::MisbehaviorEvidence<Ctx>,
    outputs: &mut Vec<Output>,
) {
    for address in evidence.votes.iter() {
        for (first, second) in address.1 {
            outputs.push(Output::Misbehaviour {
                validator: address.0.0,
                evidence: Box::new((
                    Message::Vote(convert::signed_vote_out(first)),
                    Message::Vote(convert::signed_vote_out(second)),
                )),
            });
        }
    }
    for address in evidence.proposals.iter() {
        for (first, second) in address.1 {
            outputs.push(Output::Misbehaviour {
                validator: address.0.0,
                evidence: Box::new((
                    Message::Proposal(convert::signed_proposal_out(first)),
                    Message::Proposal(convert::signed_proposal_out(second)),
                )),
            });
        }
    }
}
