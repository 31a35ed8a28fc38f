use alloy_primitives::{Keccak256, keccak256};
use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::Suite;
use hawser_primitives::{
    Address, B256, DecodeError, Domain, Height, Time, U256, decode_exact, encode,
};
use serde::{Deserialize, Serialize};

use super::abi::{IEvidence, Refusal, refusal};

/// Longest media type, in bytes.
pub const MEDIA_TYPE_BYTES_MAX: usize = 127;
/// Longest description, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 256;
/// Longest sealed owner field, in bytes.
pub const SEALED_OWNER_BYTES_MAX: usize = 512;
/// Longest encoded record, in bytes; what the limits above add up to, with room.
const STORED_BYTES_MAX: usize = 2_048;

/// Keeps these slots apart from whatever else ids may name one day.
const SLOT_TAG: &[u8] = b"hawser.evidence.record";

/// How a digest was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Algorithm {
    /// SHA-256 (FIPS 180-4), 32 bytes.
    #[serde(rename = "sha-256")]
    Sha256 = 1,
    /// SM3 (GB/T 32905), 32 bytes.
    Sm3 = 2,
    /// Keccak-256 as Ethereum has it, 32 bytes.
    #[serde(rename = "keccak-256")]
    Keccak256 = 3,
    /// SHA-512 (FIPS 180-4), 64 bytes.
    #[serde(rename = "sha-512")]
    Sha512 = 4,
    /// SHA-384 (FIPS 180-4), 48 bytes.
    #[serde(rename = "sha-384")]
    Sha384 = 5,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Self; 5] = [
        Self::Sha256,
        Self::Sm3,
        Self::Keccak256,
        Self::Sha512,
        Self::Sha384,
    ];

    /// The algorithm with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.number() == number)
    }

    /// Its number in the contract.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Length of its digests, in bytes.
    #[must_use]
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Sha256 | Self::Sm3 | Self::Keccak256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// What an owner registers.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Digest of the content.
    pub digest: Vec<u8>,
    /// Number of the [`Algorithm`].
    pub algorithm: u8,
    /// Media type of the content, at most [`MEDIA_TYPE_BYTES_MAX`] bytes.
    pub media_type: String,
    /// For people, at most [`DESCRIPTION_BYTES_MAX`] bytes.
    pub description: String,
    /// The owner's particulars as the owner encrypted them, at most [`SEALED_OWNER_BYTES_MAX`]
    /// bytes.
    pub sealed_owner: Vec<u8>,
}

/// A record as the chain keeps it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredRecord {
    /// Account or contract that registered it.
    pub owner: Address,
    /// Time of the block.
    pub time: Time,
    /// Height of the block.
    pub height: Height,
    /// Hash of the transaction.
    pub transaction_hash: B256,
    /// What was registered.
    pub record: Record,
}

/// Id of a record: Keccak-256 of the Solidity ABI encoding of owner, algorithm and digest.
#[must_use]
pub fn record_id(owner: Address, algorithm: u8, digest: &[u8]) -> B256 {
    let word = |number: u64| U256::from(number).to_be_bytes::<32>();
    // Written piece by piece: this runs for each record, and an encoder allocates for each.
    let padding = digest
        .len()
        .next_multiple_of(32)
        .saturating_sub(digest.len());
    let mut hasher = Keccak256::new();
    hasher.update(owner.into_word());
    hasher.update(word(u64::from(algorithm)));
    hasher.update(word(3 * 32));
    hasher.update(word(u64::try_from(digest.len()).unwrap_or(u64::MAX)));
    hasher.update(digest);
    hasher.update([0u8; 32].get(..padding).unwrap_or_default());
    hasher.finalize()
}

/// The storage slot that holds a record's hash: Keccak-256 of the id and the bytes
/// `hawser.evidence.record`.
#[must_use]
pub fn slot(id: &B256) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(id);
    hasher.update(SLOT_TAG);
    hasher.finalize()
}

impl Record {
    /// Id of the record when `owner` registers it.
    #[must_use]
    pub fn id(&self, owner: Address) -> B256 {
        record_id(owner, self.algorithm, &self.digest)
    }

    /// What the event is indexed by: the digest if it has 32 bytes, else its Keccak-256.
    #[must_use]
    pub fn digest_key(&self) -> B256 {
        B256::try_from(self.digest.as_slice()).unwrap_or_else(|_| keccak256(&self.digest))
    }

    /// Checks algorithm and digest; the other limits hold by decoding.
    pub(super) fn check(&self, index: usize) -> Result<(), Refusal> {
        let index = U256::from(index);
        let Some(algorithm) = Algorithm::from_number(self.algorithm) else {
            let algorithm = U256::from(self.algorithm);
            return Err(refusal(&IEvidence::UnknownAlgorithm { index, algorithm }));
        };
        let (length, expected) = (self.digest.len(), algorithm.digest_len());
        if length != expected {
            let length = U256::from(length);
            let expected = U256::from(expected);
            return Err(refusal(&IEvidence::DigestLength {
                index,
                length,
                expected,
            }));
        }
        Ok(())
    }
}

impl StoredRecord {
    /// The hash that the state holds.
    #[must_use]
    pub fn hash(&self, suite: Suite) -> B256 {
        suite.hash_domain(Domain::Evidence, &[&encode(self)])
    }

    /// Reads the canonical encoding.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_exact(bytes, STORED_BYTES_MAX)
    }
}
