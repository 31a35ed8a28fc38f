//! Between the wire's types and the library's.

use hawser_ledger::VoteKind;
use hawser_primitives::{Height, Round};
use malachitebft_core_consensus::{Input, ProposedValue};
use malachitebft_core_types::{self as core, NilOrVal, Validity, ValueOrigin, VoteType};

use crate::{
    CertificateKind, PolkaCertificate, Proposal, Record, RoundCertificate, RoundSignature,
    SignedProposal, SignedVote, Vote,
    bft::Timer,
    context::{self, Address, BlockHash, Ctx, VoteSignature},
};

pub(crate) const fn round_in(round: Round) -> core::Round {
    core::Round::Some(round.0)
}

pub(crate) fn round_out(round: core::Round) -> Round {
    Round(round.as_u32().unwrap_or(0))
}

fn kind_in(kind: VoteKind) -> VoteType {
    match kind {
        VoteKind::Prevote => VoteType::Prevote,
        VoteKind::Precommit => VoteType::Precommit,
    }
}

fn kind_out(kind: VoteType) -> VoteKind {
    match kind {
        VoteType::Prevote => VoteKind::Prevote,
        VoteType::Precommit => VoteKind::Precommit,
    }
}

fn value_in(block: Option<hawser_primitives::B256>) -> NilOrVal<BlockHash> {
    block.map_or(NilOrVal::Nil, |hash| NilOrVal::Val(BlockHash(hash)))
}

fn value_out(value: &NilOrVal<BlockHash>) -> Option<hawser_primitives::B256> {
    match value {
        NilOrVal::Nil => None,
        NilOrVal::Val(hash) => Some(hash.0),
    }
}

pub(crate) fn vote_out(vote: &context::Vote) -> Vote {
    Vote {
        kind: kind_out(vote.kind),
        height: Height(vote.height.0),
        round: round_out(vote.round),
        block: value_out(&vote.value),
        validator: vote.validator.0,
    }
}

pub(crate) fn signed_vote_out(signed: &core::SignedVote<Ctx>) -> SignedVote {
    SignedVote {
        vote: vote_out(&signed.message),
        signature: signed.signature.0,
    }
}

pub(crate) fn signed_vote_in(signed: SignedVote) -> core::SignedVote<Ctx> {
    let vote = context::Vote {
        kind: kind_in(signed.vote.kind),
        height: context::Height(signed.vote.height.0),
        round: round_in(signed.vote.round),
        value: value_in(signed.vote.block),
        validator: Address(signed.vote.validator),
    };
    core::SignedMessage::new(vote, VoteSignature(signed.signature))
}

pub(crate) fn proposal_out(proposal: &context::Proposal) -> Proposal {
    Proposal {
        height: Height(proposal.height.0),
        round: round_out(proposal.round),
        block: proposal.value.0,
        valid_round: proposal.pol_round.as_u32().map(Round),
        proposer: proposal.proposer.0,
    }
}

pub(crate) fn signed_proposal_out(signed: &core::SignedProposal<Ctx>) -> SignedProposal {
    SignedProposal {
        proposal: proposal_out(&signed.message),
        signature: signed.signature.0,
    }
}

pub(crate) fn signed_proposal_in(signed: SignedProposal) -> core::SignedProposal<Ctx> {
    let proposal = context::Proposal {
        height: context::Height(signed.proposal.height.0),
        round: round_in(signed.proposal.round),
        value: BlockHash(signed.proposal.block),
        pol_round: signed
            .proposal
            .valid_round
            .map_or(core::Round::Nil, round_in),
        proposer: Address(signed.proposal.proposer),
    };
    core::SignedMessage::new(proposal, VoteSignature(signed.signature))
}

pub(crate) fn polka_in(certificate: PolkaCertificate) -> core::PolkaCertificate<Ctx> {
    core::PolkaCertificate {
        height: context::Height(certificate.height.0),
        round: round_in(certificate.round),
        value_id: BlockHash(certificate.block),
        polka_signatures: certificate
            .signatures
            .into_iter()
            .map(|(address, signature)| {
                core::PolkaSignature::new(Address(address), VoteSignature(signature))
            })
            .collect(),
    }
}

pub(crate) fn polka_out(certificate: &core::PolkaCertificate<Ctx>) -> PolkaCertificate {
    PolkaCertificate {
        height: Height(certificate.height.0),
        round: round_out(certificate.round),
        block: certificate.value_id.0,
        signatures: certificate
            .polka_signatures
            .iter()
            .map(|s| (s.address.0, s.signature.0))
            .collect(),
    }
}

pub(crate) fn round_certificate_in(certificate: RoundCertificate) -> core::RoundCertificate<Ctx> {
    core::RoundCertificate {
        height: context::Height(certificate.height.0),
        round: round_in(certificate.round),
        cert_type: match certificate.kind {
            CertificateKind::Skip => core::RoundCertificateType::Skip,
            CertificateKind::Precommit => core::RoundCertificateType::Precommit,
        },
        round_signatures: certificate
            .signatures
            .into_iter()
            .map(|s| {
                core::RoundSignature::new(
                    kind_in(s.kind),
                    value_in(s.block),
                    Address(s.validator),
                    VoteSignature(s.signature),
                )
            })
            .collect(),
    }
}

pub(crate) fn round_certificate_out(certificate: &core::RoundCertificate<Ctx>) -> RoundCertificate {
    RoundCertificate {
        height: Height(certificate.height.0),
        round: round_out(certificate.round),
        kind: match certificate.cert_type {
            core::RoundCertificateType::Skip => CertificateKind::Skip,
            core::RoundCertificateType::Precommit => CertificateKind::Precommit,
        },
        signatures: certificate
            .round_signatures
            .iter()
            .map(|s| RoundSignature {
                kind: kind_out(s.vote_type),
                block: value_out(&s.value_id),
                validator: s.address.0,
                signature: s.signature.0,
            })
            .collect(),
    }
}

/// The library's input for a record of the vote log.
pub(crate) fn record_in(record: Record) -> Input<Ctx> {
    match record {
        Record::Vote(vote) => Input::Vote(signed_vote_in(vote)),
        Record::Proposal(proposal) => Input::Proposal(signed_proposal_in(proposal)),
        Record::Polka(certificate) => Input::PolkaCertificate(polka_in(certificate)),
        Record::Timeout(timer) => Input::TimeoutElapsed(timer.into_core()),
        Record::Block {
            height,
            round,
            proposer,
            block,
            valid,
        } => Input::ProposedValue(
            ProposedValue {
                height: context::Height(height.0),
                round: round_in(round),
                valid_round: core::Round::Nil,
                proposer: Address(proposer),
                value: BlockHash(block),
                validity: Validity::from_bool(valid),
            },
            ValueOrigin::Consensus,
        ),
    }
}

/// The record for an input that the library wants logged; `None` for inputs that a restart rebuilds.
pub(crate) fn record_out(height: Height, input: &Input<Ctx>) -> Option<Record> {
    match input {
        Input::Vote(vote) => Some(Record::Vote(signed_vote_out(vote))),
        Input::Proposal(proposal) => Some(Record::Proposal(signed_proposal_out(proposal))),
        Input::PolkaCertificate(certificate) => Some(Record::Polka(polka_out(certificate))),
        Input::TimeoutElapsed(timeout) => Timer::from_core(height, timeout).map(Record::Timeout),
        Input::ProposedValue(value, _) => Some(Record::Block {
            height: Height(value.height.0),
            round: round_out(value.round),
            proposer: value.proposer.0,
            block: value.value.0,
            valid: value.validity.is_valid(),
        }),
        Input::StartHeight(..)
        | Input::Propose(_)
        | Input::RoundCertificate(_)
        | Input::SyncValueResponse(_) => None,
    }
}
