//! What someone can check who trusts a genesis and nothing else.
//!
//! A [`LightClient`] holds the committee. A [`CertifiedHeader`] is final when a quorum of it signed;
//! its roots then vouch for state and receipts of an earlier block.

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
    /// A committee that the genesis does not lead to.
    #[error("header {0} names a committee that this genesis does not lead to")]
    WrongCommittee(Height),
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

/// A verifier that trusts a genesis.
#[derive(Clone, Debug)]
pub struct LightClient {
    chain: ChainId,
    suite: Suite,
    set: ValidatorSet,
    set_hash: B256,
}

impl LightClient {
    /// A verifier for the chain of this genesis. Its committee is fixed, as genesis says.
    pub fn new(genesis: &Genesis) -> Result<Self, LightError> {
        let set = genesis.validator_set()?;
        let set_hash = set.hash(genesis.suite);
        Ok(Self {
            chain: genesis.chain_id,
            suite: genesis.suite,
            set,
            set_hash,
        })
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
        if header.validators != self.set_hash {
            return Err(LightError::WrongCommittee(header.height));
        }
        let hash = header.hash(self.suite);
        if certificate.height != header.height || certificate.block_hash != hash {
            return Err(LightError::WrongBlock(header.height));
        }
        certificate.verify(self.chain, &self.set)?;
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
