use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::Signature;
use hawser_ledger::{VoteKind, proposal_message, vote_message};
use hawser_primitives::{Address, B256, ChainId, Height, Round};

/// A validator's vote in one round.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Vote {
    /// Prevote or precommit.
    pub kind: VoteKind,
    /// Height voted on.
    pub height: Height,
    /// Round voted in.
    pub round: Round,
    /// Block voted for; `None` is nil.
    pub block: Option<B256>,
    /// Who votes.
    pub validator: Address,
}

/// A vote with its signature over [`vote_message`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedVote {
    /// The vote.
    pub vote: Vote,
    /// The validator's signature.
    pub signature: Signature,
}

/// A proposer's choice for a round.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Proposal {
    /// Height proposed for.
    pub height: Height,
    /// Round proposed in.
    pub round: Round,
    /// Block proposed.
    pub block: B256,
    /// Earlier round in which a quorum prevoted for the block, if any.
    pub valid_round: Option<Round>,
    /// Who proposes.
    pub proposer: Address,
}

/// A proposal with its signature over [`proposal_message`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedProposal {
    /// The proposal.
    pub proposal: Proposal,
    /// The proposer's signature.
    pub signature: Signature,
}

/// A quorum of prevotes for one block in one round.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PolkaCertificate {
    /// Height of the votes.
    pub height: Height,
    /// Round of the votes.
    pub round: Round,
    /// Block voted for.
    pub block: B256,
    /// Voters and their signatures.
    pub signatures: Vec<(Address, Signature)>,
}

/// What a round certificate shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum CertificateKind {
    /// More than a third of the weight is in that round.
    Skip = 1,
    /// A quorum precommitted something in the round before.
    Precommit = 2,
}

/// One vote inside a round certificate.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RoundSignature {
    /// Prevote or precommit.
    pub kind: VoteKind,
    /// Block voted for; `None` is nil.
    pub block: Option<B256>,
    /// Who voted.
    pub validator: Address,
    /// The signature.
    pub signature: Signature,
}

/// Votes that justify entering a round.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RoundCertificate {
    /// Height of the votes.
    pub height: Height,
    /// Round of the votes.
    pub round: Round,
    /// What the votes show.
    pub kind: CertificateKind,
    /// The votes.
    pub signatures: Vec<RoundSignature>,
}

/// What validators send to one another to agree.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Message {
    /// A vote.
    Vote(SignedVote) = 1,
    /// A proposal. The block's body travels separately.
    Proposal(SignedProposal) = 2,
    /// A quorum of prevotes.
    Polka(PolkaCertificate) = 3,
    /// Votes that justify entering a round.
    Round(RoundCertificate) = 4,
}

/// What the vote log holds, so that a restarted validator neither forgets a lock nor signs twice.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Record {
    /// A vote, own or received.
    Vote(SignedVote) = 1,
    /// A proposal, own or received.
    Proposal(SignedProposal) = 2,
    /// A quorum of prevotes received as a whole.
    Polka(PolkaCertificate) = 3,
    /// A timer that fired.
    Timeout(crate::Timer) = 4,
    /// The verdict on a block's body.
    Block {
        /// Height of the block.
        height: Height,
        /// Round in which it was proposed.
        round: Round,
        /// Who proposed it.
        proposer: Address,
        /// The block.
        block: B256,
        /// Whether this validator found it valid.
        valid: bool,
    } = 5,
}

impl Message {
    /// Height that the message is about.
    #[must_use]
    pub const fn height(&self) -> Height {
        match self {
            Self::Vote(signed) => signed.vote.height,
            Self::Proposal(signed) => signed.proposal.height,
            Self::Polka(certificate) => certificate.height,
            Self::Round(certificate) => certificate.height,
        }
    }
}

impl Record {
    /// Height that the record belongs to.
    #[must_use]
    pub const fn height(&self) -> Height {
        match self {
            Self::Vote(signed) => signed.vote.height,
            Self::Proposal(signed) => signed.proposal.height,
            Self::Polka(certificate) => certificate.height,
            Self::Timeout(timer) => timer.height,
            Self::Block { height, .. } => *height,
        }
    }
}

impl Vote {
    /// The bytes that the validator signs.
    #[must_use]
    pub fn message(&self, chain: ChainId) -> Vec<u8> {
        vote_message(chain, self.height, self.round, self.kind, self.block)
    }
}

impl Proposal {
    /// The bytes that the proposer signs.
    #[must_use]
    pub fn message(&self, chain: ChainId) -> Vec<u8> {
        proposal_message(chain, self.height, self.round, self.valid_round, self.block)
    }
}
