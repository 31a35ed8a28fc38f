//! What someone can check who trusts a genesis and nothing else.
//!
//! A [`LightClient`] holds the committees. A [`CertifiedHeader`] is final when a quorum of the one of
//! its height signed; its roots then vouch for state and receipts of an earlier block. When the
//! committee changes, the last header that the old one signs names the new one: a
//! [`CommitteeChange`] carries both, and [`LightClient::follow`] takes the step.

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::Suite;
use hawser_primitives::{B256, Bytes, ChainId, Height, encode};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    Certificate, CertificateError, Genesis, Header, Receipt, Roots, ValidatorSet,
    ValidatorSetError,
    merkle::{self, MerkleProof},
    state::{ProofError, StateKey, StateProof},
};

/// A header with the proof that it is final.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertifiedHeader {
    /// The header.
    pub header: Header,
    /// Its certificate.
    pub certificate: Certificate,
}

/// The step from one committee to the next: the final header before the change, which names the
/// new committee.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CommitteeChange {
    /// The last header of the old committee.
    pub header: Header,
    /// Its certificate, by the old committee.
    pub certificate: Certificate,
    /// The committee that decides the next block.
    pub next: ValidatorSet,
}

/// Why something is not proved.
#[derive(Debug, Error)]
pub enum LightError {
    /// The committee of the genesis is unusable.
    #[error("validators of the genesis: {0}")]
    Validators(#[from] ValidatorSetError),
    /// A header of another chain.
    #[error("the header is of chain {found}, the genesis is of chain {expected}")]
    WrongChain {
        /// In the header.
        found: ChainId,
        /// In the genesis.
        expected: ChainId,
    },
    /// A certificate for another header.
    #[error("the certificate is for another block than header {0}")]
    WrongBlock(Height),
    /// A committee that nothing known leads to.
    #[error(
        "header {0} names another committee than genesis and the changes shown lead to; show all \
         changes of the committee up to it, in order"
    )]
    WrongCommittee(Height),
    /// A step that leads from a known committee to itself, or to one that its header does not name.
    #[error("header {0} does not name the committee that is to follow it")]
    WrongChange(Height),
    /// Steps must come in order.
    #[error("the change of the committee at header {found} is older than one at {known}")]
    OldChange {
        /// Height of the header.
        found: Height,
        /// First height of the newest known committee.
        known: Height,
    },
    /// More steps than a client keeps.
    #[error("{COMMITTEES_MAX} changes of the committee are known; begin with a newer client")]
    TooManyChanges,
    /// Signatures or quorum.
    #[error("certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// The path in the state tree.
    #[error("state proof: {0}")]
    State(#[from] ProofError),
    /// The path in the receipts tree.
    #[error("the receipt is not under the receipts root of block {0}")]
    Receipt(Height),
}

/// Most committees that a client keeps.
pub const COMMITTEES_MAX: usize = 4_096;

#[derive(Clone, Debug)]
struct Era {
    from: Height,
    set: ValidatorSet,
    hash: B256,
}

/// A verifier that trusts a genesis.
///
/// It believes the newest committee that it knows for all later heights, until it is shown the
/// change that ended its time.
#[derive(Clone, Debug)]
pub struct LightClient {
    chain: ChainId,
    suite: Suite,
    first: Era,
    later: Vec<Era>,
}

impl LightClient {
    /// A verifier for the chain of this genesis. It knows the first committee.
    pub fn new(genesis: &Genesis) -> Result<Self, LightError> {
        let set = genesis.validator_set()?;
        Ok(Self {
            chain: genesis.chain_id,
            suite: genesis.suite,
            first: Era {
                from: Height::GENESIS,
                hash: set.hash(genesis.suite),
                set,
            },
            later: Vec::new(),
        })
    }

    fn newest(&self) -> &Era {
        self.later.last().unwrap_or(&self.first)
    }

    fn era(&self, height: Height) -> &Era {
        let known = self.later.iter().rev();
        known
            .chain([&self.first])
            .find(|era| era.from <= height)
            .unwrap_or(&self.first)
    }

    /// First height of the newest committee that is known.
    #[must_use]
    pub fn committee_since(&self) -> Height {
        self.newest().from
    }

    /// The newest committee that is known.
    #[must_use]
    pub fn committee(&self) -> &ValidatorSet {
        &self.newest().set
    }

    /// Hash of the committee that is believed to decide a height.
    #[must_use]
    pub fn committee_hash(&self, height: Height) -> B256 {
        self.era(height).hash
    }

    /// Takes the step to the next committee. Steps come in order; one that is known already is
    /// passed over.
    pub fn follow(&mut self, change: &CommitteeChange) -> Result<(), LightError> {
        let certified = CertifiedHeader {
            header: change.header.clone(),
            certificate: change.certificate.clone(),
        };
        self.verify_header(&certified)?;
        let (height, hash) = (change.header.height, change.next.hash(self.suite));
        if hash != change.header.next_validators || hash == change.header.validators {
            return Err(LightError::WrongChange(height));
        }
        let (from, known) = (height.next(), self.newest().from);
        if self.era(from).from == from {
            return Ok(());
        }
        if from < known {
            return Err(LightError::OldChange {
                found: height,
                known,
            });
        }
        if self.later.len() >= COMMITTEES_MAX {
            return Err(LightError::TooManyChanges);
        }
        let set = change.next.clone();
        self.later.push(Era { from, set, hash });
        Ok(())
    }

    /// Checks that a header is final; gives its hash.
    pub fn verify_header(&self, certified: &CertifiedHeader) -> Result<B256, LightError> {
        let CertifiedHeader {
            header,
            certificate,
        } = certified;
        if header.chain_id != self.chain {
            let (found, expected) = (header.chain_id, self.chain);
            return Err(LightError::WrongChain { found, expected });
        }
        let era = self.era(header.height);
        if header.validators != era.hash {
            return Err(LightError::WrongCommittee(header.height));
        }
        let hash = header.hash(self.suite);
        if certificate.height != header.height || certificate.block_hash != hash {
            return Err(LightError::WrongBlock(header.height));
        }
        certificate.verify(self.chain, &era.set)?;
        Ok(hash)
    }

    /// Checks a key of the state against a final header; gives its value, or `None` where its
    /// absence is proved. What is proved holds after block `header.executed.height`.
    pub fn verify_state(
        &self,
        certified: &CertifiedHeader,
        key: &StateKey,
        proof: &StateProof,
    ) -> Result<Option<Bytes>, LightError> {
        self.verify_header(certified)?;
        Ok(proof.verify(self.suite, &certified.header.executed.state, key)?)
    }

    /// Checks that a receipt belongs to block `header.executed.height`.
    pub fn verify_receipt(
        &self,
        certified: &CertifiedHeader,
        receipt: &Receipt,
        proof: &MerkleProof,
    ) -> Result<Roots, LightError> {
        self.verify_header(certified)?;
        let roots = certified.header.executed;
        let leaf = merkle::leaf(self.suite, &encode(receipt));
        if proof.root(self.suite, &leaf) != Some(roots.receipts) {
            return Err(LightError::Receipt(roots.height));
        }
        Ok(roots)
    }
}
