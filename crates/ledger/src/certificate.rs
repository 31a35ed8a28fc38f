use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::{Check, Signature, VerifyError, verify_many};
use hawser_primitives::{B256, ChainId, Domain, Height, Round, encode};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    ValidatorSet,
    mutants::{Rule, broken},
};

/// Which of Tendermint's two votes (Buchman, Kwon, Milosevic 2018, section 3).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, BorshSerialize, BorshDeserialize,
)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum VoteKind {
    /// First vote: the proposal is acceptable.
    Prevote = 1,
    /// Second vote: a quorum found it acceptable. A quorum of these is finality.
    Precommit = 2,
}

/// The bytes that a validator signs for a vote. `block` is `None` for nil.
#[must_use]
pub fn vote_message(
    chain: ChainId,
    height: Height,
    round: Round,
    kind: VoteKind,
    block: Option<B256>,
) -> Vec<u8> {
    encode(&(Domain::Vote.tag(), chain, height, round, kind, block))
}

/// The bytes that a proposer signs: the block, and the round of the quorum of prevotes that
/// unlocks it (`None` where the paper writes −1).
#[must_use]
pub fn proposal_message(
    chain: ChainId,
    height: Height,
    round: Round,
    valid_round: Option<Round>,
    block: B256,
) -> Vec<u8> {
    encode(&(
        Domain::Proposal.tag(),
        chain,
        height,
        round,
        valid_round,
        block,
    ))
}

/// One validator's precommit inside a certificate.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommitSignature {
    /// Position in the validator set of the height.
    pub validator: u16,
    /// Signature over [`vote_message`].
    pub signature: Signature,
}

/// Proof of finality: precommits of a quorum for one block in one round.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// Height of the block.
    pub height: Height,
    /// Round in which the quorum formed.
    pub round: Round,
    /// Hash of the block's header.
    pub block_hash: B256,
    /// Precommits, in ascending order of `validator`, each validator once.
    pub signatures: Vec<CommitSignature>,
}

/// Why a certificate proves nothing.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// More signatures than validators.
    #[error("certificate carries {0} signatures for {1} validators")]
    TooManySignatures(usize, usize),
    /// The list is not strictly ascending, so one may be counted twice.
    #[error("signatures are not in ascending order of validator")]
    Unordered,
    /// A position outside the set.
    #[error("no validator at position {0}")]
    UnknownValidator(u16),
    /// A signature that does not verify.
    #[error("signature of validator {validator} at height {height}: {source}")]
    BadSignature {
        /// Position of the signer.
        validator: u16,
        /// Height of the certificate.
        height: Height,
        /// What is wrong with it.
        source: VerifyError,
    },
    /// Valid signatures, too few.
    #[error("weight {signed} is below the quorum of {quorum}")]
    NoQuorum {
        /// Weight that signed.
        signed: u64,
        /// Weight needed.
        quorum: u64,
    },
}

impl Certificate {
    /// Verifies every signature and the quorum against the validator set of the height.
    pub fn verify(&self, chain: ChainId, set: &ValidatorSet) -> Result<(), CertificateError> {
        let count = set.validators().len();
        let twice = broken(Rule::CertificateOnce);
        if self.signatures.len() > count && !twice {
            return Err(CertificateError::TooManySignatures(
                self.signatures.len(),
                count,
            ));
        }
        if !self
            .signatures
            .is_sorted_by(|a, b| a.validator < b.validator)
            && !twice
        {
            return Err(CertificateError::Unordered);
        }
        let mut signed = 0u64;
        for commit in &self.signatures {
            let validator = set
                .validators()
                .get(usize::from(commit.validator))
                .ok_or(CertificateError::UnknownValidator(commit.validator))?;
            signed = signed.saturating_add(validator.weight);
        }
        // The cheap test first: a forged certificate costs no signature check.
        let quorum = set.quorum_weight();
        if signed < quorum && !broken(Rule::CertificateQuorum) {
            return Err(CertificateError::NoQuorum { signed, quorum });
        }
        let message = vote_message(
            chain,
            self.height,
            self.round,
            VoteKind::Precommit,
            Some(self.block_hash),
        );
        if broken(Rule::CertificateSignature) {
            return Ok(());
        }
        let mut checks = Vec::with_capacity(self.signatures.len());
        for commit in &self.signatures {
            let validator = set
                .validators()
                .get(usize::from(commit.validator))
                .ok_or(CertificateError::UnknownValidator(commit.validator))?;
            checks.push(Check {
                key: &validator.public_key,
                message: &message,
                signature: &commit.signature,
            });
        }
        for (commit, answer) in self.signatures.iter().zip(verify_many(&checks)) {
            answer.map_err(|source| CertificateError::BadSignature {
                validator: commit.validator,
                height: self.height,
                source,
            })?;
        }
        Ok(())
    }
}
