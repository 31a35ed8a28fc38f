use std::io::{self, Read, Write};

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::{PublicKey, Scheme, SecretKey, Signature, Suite, VerifyError};
use hawser_primitives::{
    Address, B256, Bytes, ChainId, DecodeError, Domain, decode_exact, encode,
    limits::{MULTISIG_KEYS_MAX, NATIVE_CALLS_MAX, TRANSACTION_BYTES_MAX},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Call, NativeView, Ordering, native::SignatureWork};

/// EIP-2718 type byte of the native envelope with several signers.
pub const MULTISIG_TRANSACTION_TYPE: u8 = 0x69;

/// Who may sign for an account, and how many of them have to: `threshold` of `keys`, which may be
/// of different schemes.
///
/// Borsh: threshold (1 byte), number of keys (1 byte), the keys, which strictly ascend by scheme
/// and encoding. Holds by construction, so each policy has one encoding and one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MultisigPolicy {
    threshold: u8,
    keys: Vec<PublicKey>,
}

/// Why there is no such policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PolicyError {
    /// Not 1 to [`MULTISIG_KEYS_MAX`] keys.
    #[error("{0} keys; a multisignature account has 1 to {MULTISIG_KEYS_MAX}")]
    Keys(usize),
    /// The threshold is 0, or more than there are keys.
    #[error("threshold {threshold} of {keys} keys; it must be at least 1 and at most their number")]
    Threshold {
        /// Threshold given.
        threshold: u8,
        /// Number of keys.
        keys: usize,
    },
    /// A key is there twice.
    #[error("key {0} is there twice; list each signer once")]
    Duplicate(usize),
    /// Keys that were to be sorted are not.
    #[error("key {0} is out of order; keys ascend by scheme, then by encoding")]
    Order(usize),
}

impl MultisigPolicy {
    /// A policy over these keys, which it sorts.
    ///
    /// # Errors
    /// [`PolicyError::Keys`], [`PolicyError::Threshold`], [`PolicyError::Duplicate`].
    pub fn new(threshold: u8, mut keys: Vec<PublicKey>) -> Result<Self, PolicyError> {
        keys.sort();
        Self::sorted(threshold, keys)
    }

    /// A policy over keys that must be sorted already.
    fn sorted(threshold: u8, keys: Vec<PublicKey>) -> Result<Self, PolicyError> {
        let count = keys.len();
        if count == 0 || count > MULTISIG_KEYS_MAX {
            return Err(PolicyError::Keys(count));
        }
        if threshold == 0 || usize::from(threshold) > count {
            return Err(PolicyError::Threshold {
                threshold,
                keys: count,
            });
        }
        for (index, (left, right)) in keys.iter().zip(keys.iter().skip(1)).enumerate() {
            match left.cmp(right) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Err(PolicyError::Duplicate(index + 1)),
                std::cmp::Ordering::Greater => return Err(PolicyError::Order(index + 1)),
            }
        }
        Ok(Self { threshold, keys })
    }

    /// How many have to sign.
    #[must_use]
    pub const fn threshold(&self) -> u8 {
        self.threshold
    }

    /// Who may sign, in order.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// Position of a key.
    #[must_use]
    pub fn position(&self, key: &PublicKey) -> Option<u8> {
        let index = self.keys.binary_search(key).ok()?;
        u8::try_from(index).ok()
    }

    /// The account: the last 20 bytes of H(tag of `Domain::Multisig` ‖ policy). `H` is SM3 where an
    /// SM2 key is among the keys and Keccak-256 otherwise, so that an account has the same address
    /// on every chain, as accounts with one key do.
    #[must_use]
    pub fn address(&self) -> Address {
        let any_sm2 = self.keys.iter().any(|key| key.scheme() == Scheme::Sm2);
        let suite = if any_sm2 { Suite::Sm } else { Suite::Intl };
        let digest = suite.hash_domain(Domain::Multisig, &[&encode(self)]);
        Address::from_word(digest)
    }
}

impl BorshSerialize for MultisigPolicy {
    fn serialize<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        // At most 16 keys, by construction.
        let count = u8::try_from(self.keys.len()).map_err(io::Error::other)?;
        writer.write_all(&[self.threshold, count])?;
        let mut keys = self.keys.iter();
        keys.try_for_each(|key| BorshSerialize::serialize(key, writer))
    }
}

impl BorshDeserialize for MultisigPolicy {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let [threshold, count] = <[u8; 2]>::deserialize_reader(reader)?;
        let count = usize::from(count);
        // Before any key is decoded: that takes a square root.
        if count > MULTISIG_KEYS_MAX {
            return Err(invalid(PolicyError::Keys(count)));
        }
        let keys = (0..count)
            .map(|_| PublicKey::deserialize_reader(reader))
            .collect::<io::Result<_>>()?;
        Self::sorted(threshold, keys).map_err(invalid)
    }
}

impl<'de> Deserialize<'de> for MultisigPolicy {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            threshold: u8,
            keys: Vec<PublicKey>,
        }
        let Fields { threshold, keys } = Fields::deserialize(deserializer)?;
        Self::sorted(threshold, keys).map_err(serde::de::Error::custom)
    }
}

/// The signed part of a transaction of a multisignature account.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnsignedMultisig {
    /// The chain it is for.
    pub chain_id: ChainId,
    /// The account.
    pub policy: MultisigPolicy,
    /// Ordering mode.
    pub ordering: Ordering,
    /// Gas for all calls together.
    pub gas_limit: u64,
    /// 1 to [`NATIVE_CALLS_MAX`] calls, executed in order; all take effect or none does.
    pub calls: Vec<Call>,
}

/// One of the signatures.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub struct MultisigSignature {
    /// Position of the signer's key in the policy.
    pub key: u8,
    /// Signature over [`UnsignedMultisig::message`].
    pub signature: Signature,
}

/// A native transaction of a multisignature account.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MultisigTransaction {
    /// What is signed.
    #[serde(flatten)]
    pub body: UnsignedMultisig,
    /// Exactly as many as the threshold asks for, by ascending position. One more could be taken
    /// away by anyone on the way, which would change the transaction's hash.
    pub signatures: Vec<MultisigSignature>,
}

/// Why bytes are no transaction of a multisignature account, or signatures do not make one.
#[derive(Debug, Error)]
pub enum MultisigError {
    /// Not the canonical encoding, or no such policy.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// No type byte, or another one.
    #[error("not a multisignature transaction: the first byte is not 0x69")]
    Type,
    /// No calls or too many.
    #[error("{0} calls; a native transaction has 1 to {NATIVE_CALLS_MAX}")]
    Calls(usize),
    /// Not as many signatures as the threshold.
    #[error("{found} signatures; this account's transactions carry exactly {threshold}")]
    Count {
        /// Signatures given.
        found: usize,
        /// Signatures needed.
        threshold: u8,
    },
    /// A signer is there twice, or signatures are not in the order of the keys.
    #[error("signatures do not strictly ascend by key: signer {0} is there twice or out of order")]
    Order(u8),
    /// A signature of a key that the policy does not have.
    #[error("there is no key {key}: the policy has {keys}")]
    UnknownKey {
        /// Position named.
        key: u8,
        /// Number of keys.
        keys: usize,
    },
    /// The key is not in the policy.
    #[error("key {0} is not among the account's signers")]
    UnknownSigner(Box<PublicKey>),
    /// A signature does not fit.
    #[error("signature of {signer}: {error}")]
    Signature {
        /// Whose.
        signer: Box<PublicKey>,
        /// Why.
        error: VerifyError,
    },
}

impl UnsignedMultisig {
    /// The bytes that are signed, by all signers alike.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        encode(&(Domain::Multisig.tag(), self))
    }

    /// Digest of what is signed, by the chain's hash. Names an unordered transaction in replay
    /// protection: it does not depend on who signed.
    #[must_use]
    pub fn digest(&self, suite: Suite) -> B256 {
        suite.hash(&self.message())
    }

    /// One signer's part.
    ///
    /// # Errors
    /// [`MultisigError::UnknownSigner`].
    pub fn sign(&self, key: &SecretKey) -> Result<MultisigSignature, MultisigError> {
        let public = key.public_key();
        let Some(position) = self.policy.position(&public) else {
            return Err(MultisigError::UnknownSigner(Box::new(public)));
        };
        Ok(MultisigSignature {
            key: position,
            signature: key.sign(&self.message()),
        })
    }

    /// The transaction from its signers' parts, in any order. Checks each; of more than are
    /// needed, takes the first by position.
    ///
    /// # Errors
    /// [`MultisigError::UnknownKey`], [`MultisigError::Signature`], [`MultisigError::Order`] for a
    /// signer that is there twice with different signatures, [`MultisigError::Count`] below the
    /// threshold.
    pub fn combine(
        self,
        mut signatures: Vec<MultisigSignature>,
    ) -> Result<MultisigTransaction, MultisigError> {
        signatures.sort_by_key(|one| one.key);
        signatures.dedup();
        check_order(&self.policy, &signatures)?;
        let message = self.message();
        for one in &signatures {
            check(&self.policy, &message, one)?;
        }
        let threshold = self.policy.threshold;
        if signatures.len() < usize::from(threshold) {
            return Err(MultisigError::Count {
                found: signatures.len(),
                threshold,
            });
        }
        signatures.truncate(usize::from(threshold));
        Ok(MultisigTransaction {
            body: self,
            signatures,
        })
    }
}

fn check_order(
    policy: &MultisigPolicy,
    signatures: &[MultisigSignature],
) -> Result<(), MultisigError> {
    let keys = policy.keys.len();
    if let Some(one) = signatures.iter().find(|one| usize::from(one.key) >= keys) {
        return Err(MultisigError::UnknownKey { key: one.key, keys });
    }
    let mut pairs = signatures.iter().zip(signatures.iter().skip(1));
    match pairs.find(|(left, right)| left.key >= right.key) {
        Some((_, right)) => Err(MultisigError::Order(right.key)),
        None => Ok(()),
    }
}

fn check(
    policy: &MultisigPolicy,
    message: &[u8],
    one: &MultisigSignature,
) -> Result<(), MultisigError> {
    let keys = policy.keys.len();
    let Some(key) = policy.keys.get(usize::from(one.key)) else {
        return Err(MultisigError::UnknownKey { key: one.key, keys });
    };
    key.verify(message, &one.signature)
        .map_err(|error| MultisigError::Signature {
            signer: Box::new(key.clone()),
            error,
        })
}

impl MultisigTransaction {
    /// The account.
    #[must_use]
    pub fn sender(&self) -> Address {
        self.body.policy.address()
    }

    /// See [`UnsignedMultisig::digest`].
    #[must_use]
    pub fn digest(&self, suite: Suite) -> B256 {
        self.body.digest(suite)
    }

    /// EIP-2718 encoding: the type byte, then the canonical encoding.
    #[must_use]
    pub fn encode_2718(&self) -> Bytes {
        let mut out = vec![MULTISIG_TRANSACTION_TYPE];
        out.extend_from_slice(&encode(self));
        out.into()
    }

    /// Decodes what [`Self::encode_2718`] gives; checks form, number and order of the signatures,
    /// not the signatures.
    ///
    /// # Errors
    /// All of [`MultisigError`] but [`MultisigError::UnknownSigner`] and
    /// [`MultisigError::Signature`].
    pub fn decode_2718(bytes: &[u8]) -> Result<Self, MultisigError> {
        let Some((&MULTISIG_TRANSACTION_TYPE, rest)) = bytes.split_first() else {
            return Err(MultisigError::Type);
        };
        let transaction: Self = decode_exact(rest, TRANSACTION_BYTES_MAX)?;
        let calls = transaction.body.calls.len();
        if calls == 0 || calls > NATIVE_CALLS_MAX {
            return Err(MultisigError::Calls(calls));
        }
        let (policy, signatures) = (&transaction.body.policy, &transaction.signatures);
        if signatures.len() != usize::from(policy.threshold) {
            return Err(MultisigError::Count {
                found: signatures.len(),
                threshold: policy.threshold,
            });
        }
        check_order(policy, signatures)?;
        Ok(transaction)
    }

    /// Verifies all signatures.
    ///
    /// # Errors
    /// [`MultisigError::Signature`].
    pub fn verify(&self) -> Result<(), MultisigError> {
        let message = self.body.message();
        self.signatures
            .iter()
            .try_for_each(|one| check(&self.body.policy, &message, one))
    }

    /// Accounts of the keys that signed.
    pub fn signers(&self) -> impl Iterator<Item = Address> {
        self.signatures
            .iter()
            .filter_map(|one| self.body.policy.keys.get(usize::from(one.key)))
            .map(PublicKey::address)
    }

    /// What it asks for.
    #[must_use]
    pub fn view(&self) -> NativeView<'_> {
        let sm2 = self.signatures.iter();
        let sm2 = sm2.filter(|one| one.signature.scheme() == Scheme::Sm2);
        NativeView {
            chain_id: self.body.chain_id,
            ordering: self.body.ordering,
            gas_limit: self.body.gas_limit,
            calls: &self.body.calls,
            work: SignatureWork {
                policy_keys: self.body.policy.keys.len(),
                signatures: self.signatures.len(),
                sm2_signatures: sm2.count(),
            },
            multisig: Some(self),
        }
    }
}
