//! The Solidity ABI of the contract.
//!
//! Arguments are decoded by hand: every length is checked against its limit before anything is
//! copied, so that call data whose offsets all point at one large field costs nothing.

use alloy_primitives::{Address, U256};
use alloy_sol_types::{SolCall, SolError, sol};
use hawser_primitives::{
    B256, Bytes,
    limits::{EVIDENCE_RECORDS_MAX, EVIDENCE_SET_MAX},
};

use super::{
    Algorithm, DESCRIPTION_BYTES_MAX, DigestSet, MEDIA_TYPE_BYTES_MAX, Record,
    SEALED_OWNER_BYTES_MAX, StoredRecord, StoredSet,
};

sol! {
    #![sol(extra_derives(Debug, PartialEq, Eq))]
    "../../examples/solidity/IEvidence.sol"
}

/// Longest digest there is, in bytes.
const DIGEST_BYTES_MAX: usize = 64;
/// Longest path in the tree of a set: 2^14 ≥ [`EVIDENCE_SET_MAX`].
const PATH_STEPS_MAX: usize = 14;
const _: () = assert!(EVIDENCE_SET_MAX <= 1 << PATH_STEPS_MAX);

/// Revert data of a refusal.
pub(super) struct Refusal(pub(super) Bytes);

pub(super) fn refusal<E: SolError>(error: &E) -> Refusal {
    Refusal(error.abi_encode().into())
}

pub(super) fn malformed(reason: &str) -> Refusal {
    refusal(&IEvidence::MalformedCall {
        reason: reason.to_owned(),
    })
}

/// Call data that registers records.
#[must_use]
pub fn encode_register(records: &[Record]) -> Bytes {
    let records = records.iter().cloned().map(wire).collect();
    IEvidence::registerCall { records }.abi_encode().into()
}

/// The ids that a call of `register` returned; `None` when `data` is something else.
#[must_use]
pub fn decode_ids(data: &[u8]) -> Option<Vec<B256>> {
    IEvidence::registerCall::abi_decode_returns(data).ok()
}

/// Call data that registers a set.
#[must_use]
pub fn encode_register_set(set: &DigestSet) -> Bytes {
    let call = IEvidence::registerSetCall {
        algorithm: set.algorithm,
        digests: Bytes::copy_from_slice(&set.digests),
        mediaType: set.media_type.clone(),
        description: set.description.clone(),
        sealedOwner: Bytes::copy_from_slice(&set.sealed_owner),
    };
    call.abi_encode().into()
}

/// The id that a call of `registerSet` returned; `None` when `data` is something else.
#[must_use]
pub fn decode_set_id(data: &[u8]) -> Option<B256> {
    IEvidence::registerSetCall::abi_decode_returns(data).ok()
}

fn wire(record: Record) -> IEvidence::Record {
    IEvidence::Record {
        digest: record.digest.into(),
        algorithm: record.algorithm,
        mediaType: record.media_type,
        description: record.description,
        sealedOwner: record.sealed_owner.into(),
    }
}

/// A record in the contract's terms.
pub(super) fn stored(stored: StoredRecord) -> IEvidence::StoredRecord {
    IEvidence::StoredRecord {
        owner: stored.owner,
        time: stored.time.0,
        height: stored.height.0,
        transactionHash: stored.transaction_hash,
        record: wire(stored.record),
    }
}

/// A set in the contract's terms.
pub(super) fn stored_set(stored: StoredSet) -> IEvidence::StoredSet {
    IEvidence::StoredSet {
        owner: stored.owner,
        time: stored.time.0,
        height: stored.height.0,
        transactionHash: stored.transaction_hash,
        algorithm: stored.algorithm,
        count: stored.count,
        root: stored.root,
        mediaType: stored.media_type,
        description: stored.description,
        sealedOwner: stored.sealed_owner.into(),
    }
}

/// The 32 bytes at `offset`.
fn word(data: &[u8], offset: usize) -> Result<&[u8; 32], Refusal> {
    data.get(offset..)
        .and_then(|rest| rest.first_chunk::<32>())
        .ok_or_else(|| malformed("arguments are too short"))
}

/// A number that has to fit the data, such as an offset or a length.
fn number(data: &[u8], offset: usize) -> Result<usize, Refusal> {
    let value = U256::from_be_bytes(*word(data, offset)?);
    usize::try_from(value).map_err(|_| malformed("offset or length is out of range"))
}

/// What the offset in the `field`th word points at.
fn tail(data: &[u8], field: usize) -> Result<&[u8], Refusal> {
    let offset = number(data, field.saturating_mul(32))?;
    data.get(offset..)
        .ok_or_else(|| malformed("offset points outside the arguments"))
}

/// Length of a dynamic field, and its bytes if they fit `max`.
fn bytes(tail: &[u8], max: usize) -> Result<(usize, Option<&[u8]>), Refusal> {
    let length = number(tail, 0)?;
    if length > max {
        return Ok((length, None));
    }
    let content = tail.get(32..).and_then(|rest| rest.get(..length));
    content
        .map(|content| (length, Some(content)))
        .ok_or_else(|| malformed("field is cut off"))
}

fn small(data: &[u8], field: usize) -> Result<u8, Refusal> {
    let value = U256::from_be_bytes(*word(data, field.saturating_mul(32))?);
    u8::try_from(value).map_err(|_| malformed("algorithm is not a uint8"))
}

pub(super) fn decode_id(arguments: &[u8]) -> Result<B256, Refusal> {
    Ok(B256::from(*word(arguments, 0)?))
}

fn owner(arguments: &[u8]) -> Result<Address, Refusal> {
    let (padding, owner) = word(arguments, 0)?.split_at(12);
    if padding.iter().any(|byte| *byte != 0) {
        return Err(malformed("owner is not an address"));
    }
    Ok(Address::from_slice(owner))
}

pub(super) fn decode_find(arguments: &[u8]) -> Result<(Address, u8, &[u8]), Refusal> {
    let owner = owner(arguments)?;
    let algorithm = small(arguments, 1)?;
    let (_, digest) = bytes(tail(arguments, 2)?, DIGEST_BYTES_MAX)?;
    let digest = digest.ok_or_else(|| malformed("digest is longer than any algorithm's"))?;
    Ok((owner, algorithm, digest))
}

pub(super) fn decode_find_set(arguments: &[u8]) -> Result<(Address, u8, B256), Refusal> {
    let owner = owner(arguments)?;
    let algorithm = small(arguments, 1)?;
    Ok((owner, algorithm, B256::from(*word(arguments, 64)?)))
}

/// The argument of `register`, not yet decoded.
pub(super) struct RecordList<'a> {
    count: usize,
    /// Heads and tails of the elements; their offsets count from here.
    elements: &'a [u8],
}

impl<'a> RecordList<'a> {
    pub(super) fn new(arguments: &'a [u8]) -> Result<Self, Refusal> {
        let list = tail(arguments, 0)?;
        let count = number(list, 0)?;
        if count == 0 {
            return Err(refusal(&IEvidence::EmptyBatch {}));
        }
        if count > EVIDENCE_RECORDS_MAX {
            let (count, max) = (U256::from(count), U256::from(EVIDENCE_RECORDS_MAX));
            return Err(refusal(&IEvidence::TooManyRecords { count, max }));
        }
        let elements = list.get(32..).unwrap_or_default();
        if elements.len() < count.saturating_mul(32) {
            return Err(malformed("list is cut off"));
        }
        Ok(Self { count, elements })
    }

    pub(super) const fn len(&self) -> usize {
        self.count
    }

    /// Decodes a record within its limits.
    pub(super) fn get(&self, at: usize) -> Result<Record, Refusal> {
        let data = tail(self.elements, at)?;
        let index = U256::from(at);
        let algorithm = small(data, 1)?;
        let (length, digest) = bytes(tail(data, 0)?, DIGEST_BYTES_MAX)?;
        let digest = digest.ok_or_else(|| {
            let expected = Algorithm::from_number(algorithm).map_or(0, |a| a.digest_len());
            let (length, expected) = (U256::from(length), U256::from(expected));
            refusal(&IEvidence::DigestLength {
                index,
                length,
                expected,
            })
        })?;
        let texts = Texts::decode(data, index)?;
        Ok(Record {
            digest: digest.to_vec(),
            algorithm,
            media_type: texts.media_type.to_owned(),
            description: texts.description.to_owned(),
            sealed_owner: texts.sealed_owner.to_vec(),
        })
    }
}

/// What records and sets have besides digests, within its limits.
pub(super) struct Texts<'a> {
    pub(super) media_type: &'a str,
    pub(super) description: &'a str,
    pub(super) sealed_owner: &'a [u8],
}

impl<'a> Texts<'a> {
    /// From the fields 2, 3 and 4, where records and `registerSet` both have them.
    fn decode(data: &'a [u8], index: U256) -> Result<Self, Refusal> {
        let long = |length: usize, max: usize| (U256::from(length), U256::from(max));
        let (length, media_type) = bytes(tail(data, 2)?, MEDIA_TYPE_BYTES_MAX)?;
        let media_type = media_type.ok_or_else(|| {
            let (length, max) = long(length, MEDIA_TYPE_BYTES_MAX);
            refusal(&IEvidence::MediaTypeTooLong { index, length, max })
        })?;
        let (length, description) = bytes(tail(data, 3)?, DESCRIPTION_BYTES_MAX)?;
        let description = description.ok_or_else(|| {
            let (length, max) = long(length, DESCRIPTION_BYTES_MAX);
            refusal(&IEvidence::DescriptionTooLong { index, length, max })
        })?;
        let (length, sealed_owner) = bytes(tail(data, 4)?, SEALED_OWNER_BYTES_MAX)?;
        let sealed_owner = sealed_owner.ok_or_else(|| {
            let (length, max) = long(length, SEALED_OWNER_BYTES_MAX);
            refusal(&IEvidence::SealedOwnerTooLong { index, length, max })
        })?;
        let media_type = std::str::from_utf8(media_type)
            .map_err(|_| refusal(&IEvidence::MediaTypeNotUtf8 { index }))?;
        let description = std::str::from_utf8(description)
            .map_err(|_| refusal(&IEvidence::DescriptionNotUtf8 { index }))?;
        Ok(Self {
            media_type,
            description,
            sealed_owner,
        })
    }
}

/// The arguments of `registerSet`, texts not yet decoded.
pub(super) struct RegisterSet<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) count: u32,
    /// `count` digests, one after another.
    pub(super) digests: &'a [u8],
    arguments: &'a [u8],
}

impl<'a> RegisterSet<'a> {
    pub(super) fn texts(&self) -> Result<Texts<'a>, Refusal> {
        Texts::decode(self.arguments, U256::ZERO)
    }
}

pub(super) fn decode_register_set(arguments: &[u8]) -> Result<RegisterSet<'_>, Refusal> {
    let number = small(arguments, 0)?;
    let algorithm = Algorithm::from_number(number).ok_or_else(|| {
        refusal(&IEvidence::UnknownAlgorithm {
            index: U256::ZERO,
            algorithm: U256::from(number),
        })
    })?;
    let each = algorithm.digest_len();
    let (length, digests) = bytes(tail(arguments, 1)?, EVIDENCE_SET_MAX.saturating_mul(each))?;
    if length == 0 {
        return Err(refusal(&IEvidence::EmptyBatch {}));
    }
    if length % each != 0 {
        return Err(refusal(&IEvidence::DigestsLength {
            length: U256::from(length),
            digestLength: U256::from(each),
        }));
    }
    let count = length / each;
    let (Some(digests), Ok(count)) = (digests, u32::try_from(count)) else {
        return Err(refusal(&IEvidence::TooManyDigests {
            count: U256::from(count),
            max: U256::from(EVIDENCE_SET_MAX),
        }));
    };
    Ok(RegisterSet {
        algorithm,
        count,
        digests,
        arguments,
    })
}

/// The arguments of `isMember`.
pub(super) struct IsMember<'a> {
    pub(super) id: B256,
    pub(super) index: u32,
    pub(super) digest: &'a [u8],
    /// `None`: more than any set has.
    pub(super) siblings: Option<Vec<B256>>,
}

pub(super) fn decode_is_member(arguments: &[u8]) -> Result<IsMember<'_>, Refusal> {
    let id = decode_id(arguments)?;
    let index = U256::from_be_bytes(*word(arguments, 32)?);
    let index = u32::try_from(index).map_err(|_| malformed("index is not a uint32"))?;
    let (_, digest) = bytes(tail(arguments, 2)?, DIGEST_BYTES_MAX)?;
    let digest = digest.ok_or_else(|| malformed("digest is longer than any algorithm's"))?;
    let path = tail(arguments, 3)?;
    let steps = number(path, 0)?;
    let siblings = if steps > PATH_STEPS_MAX {
        None
    } else {
        let step = |at: usize| word(path, at.saturating_mul(32)).map(|word| B256::from(*word));
        Some((1..=steps).map(step).collect::<Result<_, _>>()?)
    };
    Ok(IsMember {
        id,
        index,
        digest,
        siblings,
    })
}
