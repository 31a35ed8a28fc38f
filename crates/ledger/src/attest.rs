//! Batches of transactions that validators vouch for, and the proof that one vouched falsely.
//!
//! Rules: `docs/spec/dissemination.md`, DI-50 onwards.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::{Signature, Suite};
use hawser_primitives::{
    Address, B256, Bytes, ChainId, Domain, encode, limits::TRANSACTION_BYTES_MAX,
};
use thiserror::Error;

use crate::{Transaction, ValidatorSet};

/// Most transactions of a batch.
pub const BATCH_TRANSACTIONS_MAX: usize = 512;
/// Bytes of transactions after which a batch ends; one transaction may go over it.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;

/// What a batch says of one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Claim {
    /// Hash of the transaction, which covers its signature.
    pub hash: B256,
    /// Who signed it.
    pub sender: Address,
}

/// The digest of a batch: what attestations are about.
#[must_use]
pub fn batch_digest(suite: Suite, chain: ChainId, claims: &[Claim]) -> B256 {
    let count = u32::try_from(claims.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(claims.len().saturating_mul(52));
    for claim in claims {
        bytes.extend_from_slice(claim.hash.as_slice());
        bytes.extend_from_slice(claim.sender.as_slice());
    }
    suite.hash_domain(Domain::Batch, &[&encode(&(chain, count)), &bytes])
}

/// The bytes that a validator signs when it has verified every transaction of a batch.
#[must_use]
pub fn attestation_message(chain: ChainId, digest: B256) -> Vec<u8> {
    encode(&(Domain::Attestation.tag(), chain, digest))
}

/// A validator's word that it holds a batch and verified every transaction of it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Attestation {
    /// Who vouches.
    pub validator: Address,
    /// Signature over [`attestation_message`].
    pub signature: Signature,
}

impl Attestation {
    /// Whether a member of the committee signed it for this digest.
    #[must_use]
    pub fn is_of(&self, chain: ChainId, digest: B256, committee: &ValidatorSet) -> bool {
        committee.get(&self.validator).is_some_and(|member| {
            let message = attestation_message(chain, digest);
            member.public_key.verify(&message, &self.signature).is_ok()
        })
    }
}

/// The least weight of attesters of whom one is honest while the faulty ones have less than a third
/// of the total: f + 1 of 3f + 1.
#[must_use]
pub fn attesting_weight(committee: &ValidatorSet) -> u64 {
    (committee.total_weight().saturating_sub(1) / 3).saturating_add(1)
}

/// Proof that validators attested a batch with a transaction that does not verify, or that somebody
/// else signed than the batch says. Anyone who knows the committee can check it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FalseAttestation {
    /// The batch.
    pub claims: Vec<Claim>,
    /// Position of the false claim.
    pub position: u32,
    /// The transaction that it is about.
    pub raw: Bytes,
    /// Who vouched for it.
    pub attestations: Vec<Attestation>,
}

/// Why evidence proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EvidenceError {
    /// More than a batch may have.
    #[error("a batch of {0} transactions exceeds the limit of {BATCH_TRANSACTIONS_MAX}")]
    TooMany(usize),
    /// A transaction over the limit.
    #[error("a transaction of {0} bytes exceeds the limit of {TRANSACTION_BYTES_MAX} bytes")]
    TooLarge(usize),
    /// The position names no claim, or another transaction's.
    #[error("the batch says nothing of this transaction at position {0}")]
    NotClaimed(u32),
    /// The transaction is what the batch says.
    #[error("the transaction verifies, and its sender is the one that the batch names")]
    True,
    /// Nobody signed.
    #[error("no attestation is given")]
    NoAttestation,
    /// The same validator twice.
    #[error("validator {0} is listed twice")]
    Duplicate(Address),
    /// Not by a member of the committee, or not for this batch.
    #[error("the attestation of {0} is not by a validator of this committee for this batch")]
    BadAttestation(Address),
}

impl FalseAttestation {
    /// Checks the evidence; gives those whom it convicts.
    pub fn verify(
        &self,
        suite: Suite,
        chain: ChainId,
        committee: &ValidatorSet,
    ) -> Result<Vec<Address>, EvidenceError> {
        if self.claims.len() > BATCH_TRANSACTIONS_MAX {
            return Err(EvidenceError::TooMany(self.claims.len()));
        }
        if self.raw.len() > TRANSACTION_BYTES_MAX {
            return Err(EvidenceError::TooLarge(self.raw.len()));
        }
        let at = usize::try_from(self.position).unwrap_or(usize::MAX);
        let claim = self
            .claims
            .get(at)
            .filter(|claim| claim.hash == Transaction::hash_of(suite, &self.raw))
            .ok_or(EvidenceError::NotClaimed(self.position))?;
        if self.attestations.is_empty() {
            return Err(EvidenceError::NoAttestation);
        }
        let digest = batch_digest(suite, chain, &self.claims);
        let mut guilty = BTreeSet::new();
        for attestation in &self.attestations {
            if !guilty.insert(attestation.validator) {
                return Err(EvidenceError::Duplicate(attestation.validator));
            }
            if !attestation.is_of(chain, digest, committee) {
                return Err(EvidenceError::BadAttestation(attestation.validator));
            }
        }
        // Last, because it costs most where it is a signature of several.
        if is_true(claim, suite, chain, self.raw.clone()) {
            return Err(EvidenceError::True);
        }
        Ok(guilty.into_iter().collect())
    }

    /// Hash of the transaction that was vouched for falsely.
    #[must_use]
    pub fn transaction(&self, suite: Suite) -> B256 {
        Transaction::hash_of(suite, &self.raw)
    }
}

/// Whether a claim is what verification finds.
#[must_use]
pub fn is_true(claim: &Claim, suite: Suite, chain: ChainId, raw: Bytes) -> bool {
    let verified = Transaction::decode(suite, raw).and_then(|decoded| decoded.verify(chain));
    verified.is_ok_and(|found| found.hash() == claim.hash && found.sender() == claim.sender)
}

#[cfg(test)]
mod tests {
    use hawser_crypto::{Scheme, SecretKey};
    use hawser_primitives::U256;

    use super::*;
    use crate::{Call, Ordering, UnsignedNative, Validator};

    const CHAIN: ChainId = ChainId(7);

    fn key(i: u8) -> SecretKey {
        SecretKey::from_seed(Scheme::Ed25519, &[i; 32]).unwrap()
    }

    fn committee(weights: &[u64]) -> ValidatorSet {
        let members = (1..).zip(weights).map(|(i, weight)| Validator {
            public_key: key(i).public_key(),
            weight: *weight,
        });
        ValidatorSet::new(members.collect()).unwrap()
    }

    fn raw(nonce: u64) -> Bytes {
        let call = Call::Call {
            to: Address::ZERO,
            value: U256::ZERO,
            input: Bytes::new(),
        };
        let unsigned = UnsignedNative {
            chain_id: CHAIN,
            signer: key(9).public_key(),
            ordering: Ordering::Sequential { nonce },
            gas_limit: 1,
            calls: vec![call],
        };
        unsigned.sign(&key(9)).encode_2718()
    }

    fn attest(i: u8, claims: &[Claim]) -> Attestation {
        let digest = batch_digest(Suite::Intl, CHAIN, claims);
        Attestation {
            validator: key(i).address(),
            signature: key(i).sign(&attestation_message(CHAIN, digest)),
        }
    }

    /// A batch of two whose second transaction has another sender than it says.
    fn evidence() -> FalseAttestation {
        let claim = |nonce, sender| Claim {
            hash: Transaction::hash_of(Suite::Intl, &raw(nonce)),
            sender,
        };
        let claims = vec![claim(0, key(9).address()), claim(1, key(8).address())];
        FalseAttestation {
            position: 1,
            raw: raw(1),
            attestations: vec![attest(1, &claims), attest(2, &claims)],
            claims,
        }
    }

    fn verify(evidence: &FalseAttestation) -> Result<Vec<Address>, EvidenceError> {
        evidence.verify(Suite::Intl, CHAIN, &committee(&[1, 1, 1, 1]))
    }

    #[test]
    fn a_false_sender_convicts_all_who_vouched_for_it() {
        let mut expected = vec![key(1).address(), key(2).address()];
        expected.sort();
        assert_eq!(verify(&evidence()), Ok(expected));
    }

    #[test]
    fn a_broken_signature_and_a_foreign_chain_convict_as_well() {
        let mut broken = raw(1).to_vec();
        *broken.last_mut().unwrap() ^= 1;
        for bytes in [broken, vec![1, 2, 3], vec![]] {
            let bytes = Bytes::from(bytes);
            let mut evidence = evidence();
            evidence.claims[1] = Claim {
                hash: Transaction::hash_of(Suite::Intl, &bytes),
                sender: key(9).address(),
            };
            evidence.raw = bytes;
            evidence.attestations = vec![attest(3, &evidence.claims)];
            assert_eq!(verify(&evidence), Ok(vec![key(3).address()]));
        }
    }

    #[test]
    fn nobody_is_convicted_of_the_truth() {
        let mut evidence = evidence();
        (evidence.position, evidence.raw) = (0, raw(0));
        assert_eq!(verify(&evidence), Err(EvidenceError::True));
    }

    #[test]
    fn evidence_that_does_not_fit_together_proves_nothing() {
        let good = evidence();
        let mut other = good.clone();
        other.raw = raw(5);
        assert_eq!(verify(&other), Err(EvidenceError::NotClaimed(1)));
        let mut outside = good.clone();
        outside.position = 2;
        assert_eq!(verify(&outside), Err(EvidenceError::NotClaimed(2)));
        let mut nobody = good.clone();
        nobody.attestations.clear();
        assert_eq!(verify(&nobody), Err(EvidenceError::NoAttestation));
        let mut twice = good.clone();
        twice.attestations[1] = twice.attestations[0].clone();
        assert_eq!(
            verify(&twice),
            Err(EvidenceError::Duplicate(key(1).address()))
        );
        // Another batch than the one that was signed.
        let mut changed = good.clone();
        changed.claims[0].sender = key(8).address();
        assert!(matches!(
            verify(&changed),
            Err(EvidenceError::BadAttestation(_))
        ));
        // Somebody without a vote.
        let mut stranger = good.clone();
        stranger.attestations = vec![attest(7, &stranger.claims)];
        assert!(matches!(
            verify(&stranger),
            Err(EvidenceError::BadAttestation(_))
        ));
        // In another's name.
        let mut framed = good.clone();
        framed.attestations[1].validator = key(3).address();
        assert!(matches!(
            verify(&framed),
            Err(EvidenceError::BadAttestation(_))
        ));
        let mut long = good;
        long.claims
            .resize(BATCH_TRANSACTIONS_MAX + 1, long.claims[0]);
        assert_eq!(
            verify(&long),
            Err(EvidenceError::TooMany(BATCH_TRANSACTIONS_MAX + 1))
        );
    }

    #[test]
    fn attesters_of_enough_weight_have_an_honest_one_among_them() {
        for (weights, needed) in [
            (&[1][..], 1),
            (&[1, 1, 1, 1], 2),
            (&[1; 7], 3),
            (&[1; 10], 4),
            (&[1; 5], 2),
            (&[5, 1, 1, 1, 1], 3),
        ] {
            let set = committee(weights);
            assert_eq!(attesting_weight(&set), needed, "{weights:?}");
            // Whatever is below it may all be faulty.
            assert!((needed - 1) * 3 < set.total_weight());
            assert!(needed * 3 >= set.total_weight());
        }
    }

    #[test]
    fn digests_bind_chain_order_count_and_senders() {
        let claims = evidence().claims;
        let digest = |claims: &[Claim]| batch_digest(Suite::Intl, CHAIN, claims);
        let mut swapped = claims.clone();
        swapped.reverse();
        let all = [
            digest(&claims),
            digest(&swapped),
            digest(&claims[..1]),
            batch_digest(Suite::Intl, ChainId(8), &claims),
            batch_digest(Suite::Sm, CHAIN, &claims),
        ];
        let distinct: BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
