use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::{PublicKey, Scheme, SecretKey, Signature, Suite, VerifyError};
use hawser_primitives::{
    Address, B256, Bytes, ChainId, DecodeError, Domain, Time, U256, decode_exact, encode,
    limits::{NATIVE_CALLS_MAX, TRANSACTION_BYTES_MAX},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::MultisigTransaction;

/// EIP-2718 type byte of the native envelope. EIP-2718 leaves 0x00–0x7f to types; this one is not
/// assigned by any EIP.
pub const NATIVE_TRANSACTION_TYPE: u8 = 0x68;

/// How a native transaction takes its place among the sender's others.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub enum Ordering {
    /// After all with a lower nonce; shares the account's nonce with Ethereum transactions.
    Sequential {
        /// The account's nonce.
        nonce: u64,
    },
    /// In any order, once, in a block whose time is before `expires`. For evidence at a high rate.
    Unordered {
        /// First instant at which the transaction is no longer valid; at most ten minutes ahead.
        expires: Time,
        /// Tells apart otherwise equal transactions.
        salt: u64,
    },
}

/// One call. Further engines become further variants.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Call {
    /// Call of an account: EVM contract, native contract or plain transfer.
    Call {
        /// Account called.
        to: Address,
        /// Wei sent along.
        value: U256,
        /// Call data.
        input: Bytes,
    },
    /// Creation of an EVM contract.
    Create {
        /// Wei given to the contract.
        value: U256,
        /// Init code.
        init_code: Bytes,
    },
}

/// The signed part of a native transaction.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnsignedNative {
    /// The chain it is for.
    pub chain_id: ChainId,
    /// The signer. Its scheme is the signature's.
    pub signer: PublicKey,
    /// Ordering mode.
    pub ordering: Ordering,
    /// Gas for all calls together.
    pub gas_limit: u64,
    /// 1 to [`NATIVE_CALLS_MAX`] calls, executed in order; all take effect or none does.
    pub calls: Vec<Call>,
}

/// A native transaction: several calls under one signature of any scheme.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NativeTransaction {
    /// What is signed.
    #[serde(flatten)]
    pub body: UnsignedNative,
    /// Signature over [`UnsignedNative::message`].
    pub signature: Signature,
}

/// What a native transaction of either envelope asks for, whoever signed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NativeView<'a> {
    /// The chain it is for.
    pub chain_id: ChainId,
    /// Ordering mode.
    pub ordering: Ordering,
    /// Gas for all calls together.
    pub gas_limit: u64,
    /// The calls.
    pub calls: &'a [Call],
    /// What its signatures cost to check.
    pub work: SignatureWork,
    /// The transaction, if it is a multisignature account's.
    pub multisig: Option<&'a MultisigTransaction>,
}

/// The signatures of a transaction, as gas counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureWork {
    /// Keys of the policy; 0 for an account with one key.
    pub policy_keys: usize,
    /// Signatures.
    pub signatures: usize,
    /// Those among them that are SM2's.
    pub sm2_signatures: usize,
}

/// Why bytes are no native transaction.
#[derive(Debug, Error)]
pub enum NativeError {
    /// Not the canonical encoding.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// No type byte, or another one.
    #[error("not a native transaction: the first byte is not 0x68")]
    Type,
    /// No calls or too many.
    #[error("{0} calls; a native transaction has 1 to {NATIVE_CALLS_MAX}")]
    Calls(usize),
}

impl UnsignedNative {
    /// The bytes that are signed.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        encode(&(Domain::NativeTransaction.tag(), self))
    }

    /// Digest of what is signed, by the chain's hash. Names an unordered transaction in replay
    /// protection: unlike the transaction hash it does not depend on the signature.
    #[must_use]
    pub fn digest(&self, suite: Suite) -> B256 {
        suite.hash(&self.message())
    }

    /// Signs with the key of `signer`.
    #[must_use]
    pub fn sign(self, key: &SecretKey) -> NativeTransaction {
        let signature = key.sign(&self.message());
        NativeTransaction {
            body: self,
            signature,
        }
    }
}

impl NativeTransaction {
    /// Account that signed.
    #[must_use]
    pub fn sender(&self) -> Address {
        self.body.signer.address()
    }

    /// See [`UnsignedNative::digest`].
    #[must_use]
    pub fn digest(&self, suite: Suite) -> B256 {
        self.body.digest(suite)
    }

    /// What it asks for.
    #[must_use]
    pub fn view(&self) -> NativeView<'_> {
        NativeView {
            chain_id: self.body.chain_id,
            ordering: self.body.ordering,
            gas_limit: self.body.gas_limit,
            calls: &self.body.calls,
            work: SignatureWork {
                policy_keys: 0,
                signatures: 1,
                sm2_signatures: usize::from(self.body.signer.scheme() == Scheme::Sm2),
            },
            multisig: None,
        }
    }

    /// EIP-2718 encoding: the type byte, then the canonical encoding.
    #[must_use]
    pub fn encode_2718(&self) -> Bytes {
        let mut out = vec![NATIVE_TRANSACTION_TYPE];
        out.extend_from_slice(&encode(self));
        out.into()
    }

    /// Decodes what [`Self::encode_2718`] gives; checks form, not the signature.
    pub fn decode_2718(bytes: &[u8]) -> Result<Self, NativeError> {
        let Some((&NATIVE_TRANSACTION_TYPE, rest)) = bytes.split_first() else {
            return Err(NativeError::Type);
        };
        let transaction: Self = decode_exact(rest, TRANSACTION_BYTES_MAX)?;
        let calls = transaction.body.calls.len();
        if calls == 0 || calls > NATIVE_CALLS_MAX {
            return Err(NativeError::Calls(calls));
        }
        Ok(transaction)
    }

    /// Whether the raw bytes may be an unordered transaction: the byte that tells comes after the chain's id, the
    /// scheme and the key, whose lengths are known.
    pub(crate) fn may_be_unordered(raw: &[u8]) -> bool {
        const SCHEME_AT: usize = 1 + size_of::<u64>();
        const SEQUENTIAL: u8 = 0;
        let tag = raw.get(SCHEME_AT);
        let scheme = Scheme::ALL
            .into_iter()
            .find(|scheme| Some(&scheme.tag()) == tag);
        let ordering = scheme.and_then(|scheme| raw.get(SCHEME_AT + 1 + scheme.public_key_len()));
        ordering != Some(&SEQUENTIAL)
    }

    /// Verifies the signature.
    pub fn verify(&self) -> Result<(), VerifyError> {
        self.body
            .signer
            .verify(&self.body.message(), &self.signature)
    }
}
