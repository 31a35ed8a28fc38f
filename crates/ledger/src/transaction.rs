use std::sync::Arc;

use alloy_consensus::{EthereumTxEnvelope, Transaction as _, TxEip4844, Typed2718};
use alloy_eips::eip2718::{Decodable2718, Eip2718Error};
use alloy_primitives::keccak256;
use hawser_crypto::{Check, Suite, VerifyError, secp, verify_many};
use hawser_primitives::{Address, B256, Bytes, ChainId, Time, U256, limits::TRANSACTION_BYTES_MAX};
use thiserror::Error;

use crate::{
    MULTISIG_TRANSACTION_TYPE, MultisigError, MultisigTransaction, NATIVE_TRANSACTION_TYPE,
    NativeError, NativeTransaction, NativeView, Ordering,
};

/// A transaction in one of the accepted envelopes.
#[derive(Clone, Debug, PartialEq, Eq)]
// The large variant is the common one; a box for it would cost an allocation per transaction.
#[allow(clippy::large_enum_variant)]
pub enum Envelope {
    /// Ethereum types 0, 1, 2 and 4.
    Ethereum(EthereumTxEnvelope<TxEip4844>),
    /// The native envelope.
    Native(Box<NativeTransaction>),
    /// The native envelope of a multisignature account.
    Multisig(Box<MultisigTransaction>),
}

/// A decoded transaction together with its raw bytes and hash.
///
/// Its signature is not verified; [`Self::verify`] does that and gives a [`VerifiedTransaction`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    raw: Bytes,
    hash: B256,
    envelope: Envelope,
}

/// Whether a signature has been checked by this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureStatus {
    /// Not yet.
    Unchecked,
    /// Checked and good.
    Verified,
}

/// A transaction whose signature is good and whose sender is therefore known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedTransaction {
    transaction: Arc<Transaction>,
    sender: Address,
    /// Whether others verified it, and this node took their word.
    attested: bool,
}

/// With whom a transaction's signature is checked.
#[derive(Clone, Copy)]
enum Plan {
    /// With all others that are recovered on secp256k1.
    Secp256k1,
    /// With all others that name their signer.
    Native,
    /// By itself.
    Alone,
}

/// Why bytes are no transaction that this chain takes.
#[derive(Debug, Error)]
pub enum TransactionError {
    /// Nothing at all.
    #[error("empty transaction")]
    Empty,
    /// Over [`TRANSACTION_BYTES_MAX`].
    #[error("transaction of {0} bytes exceeds the limit of {TRANSACTION_BYTES_MAX} bytes")]
    TooLarge(usize),
    /// Blob transactions carry data for another kind of chain.
    #[error("blob transactions (type 3) are not accepted: this chain has no blob space")]
    Blob,
    /// A type that nobody defined here.
    #[error(
        "transaction type {0:#04x} is not accepted; use 0, 1, 2, 4 or a native type: 0x68, 0x69"
    )]
    Type(u8),
    /// The RLP or its fields are wrong.
    #[error("malformed transaction: {0}")]
    Malformed(String),
    /// The native encoding is wrong.
    #[error("malformed native transaction: {0}")]
    Native(#[from] NativeError),
    /// The encoding of a multisignature transaction is wrong, or its signers are.
    #[error("malformed multisignature transaction: {0}")]
    Multisig(MultisigError),
    /// Signed for another chain.
    #[error("transaction is for chain {found}, this is chain {expected}")]
    WrongChain {
        /// The chain it names; 0 when it names none (before EIP-155).
        found: u64,
        /// This chain.
        expected: ChainId,
    },
    /// The signature does not verify, or no key can be recovered from it.
    #[error("invalid signature: {0}")]
    Signature(#[from] VerifyError),
    /// One of several signatures does not verify.
    #[error("invalid {0}")]
    MultisigSignature(MultisigError),
}

impl Transaction {
    /// Decodes an EIP-2718 encoding exactly; nothing may follow it.
    pub fn decode(suite: Suite, raw: Bytes) -> Result<Self, TransactionError> {
        if raw.len() > TRANSACTION_BYTES_MAX {
            return Err(TransactionError::TooLarge(raw.len()));
        }
        let first = *raw.first().ok_or(TransactionError::Empty)?;
        let envelope = match first {
            NATIVE_TRANSACTION_TYPE => {
                Envelope::Native(Box::new(NativeTransaction::decode_2718(&raw)?))
            }
            MULTISIG_TRANSACTION_TYPE => {
                let decoded = MultisigTransaction::decode_2718(&raw);
                Envelope::Multisig(Box::new(decoded.map_err(TransactionError::Multisig)?))
            }
            3 => return Err(TransactionError::Blob),
            1 | 2 | 4 | 0xc0..=0xff => {
                let mut rest: &[u8] = &raw;
                let envelope = EthereumTxEnvelope::<TxEip4844>::decode_2718(&mut rest)
                    .map_err(|error| TransactionError::Malformed(explain(&raw, &error)))?;
                if !rest.is_empty() {
                    let text = format!("{} bytes follow the transaction", rest.len());
                    return Err(TransactionError::Malformed(text));
                }
                Envelope::Ethereum(envelope)
            }
            other => return Err(TransactionError::Type(other)),
        };
        let hash = Self::hash_of(suite, &raw);
        Ok(Self {
            raw,
            hash,
            envelope,
        })
    }

    /// Whether a transaction may be one that [expires](Self::expires), by its raw bytes. Nothing is decoded, no key
    /// decompressed: a node that starts asks this of all transactions of ten minutes. What cannot be told so may be.
    #[must_use]
    pub fn may_expire(raw: &[u8]) -> bool {
        match raw.first() {
            Some(&NATIVE_TRANSACTION_TYPE) => NativeTransaction::may_be_unordered(raw),
            Some(&MULTISIG_TRANSACTION_TYPE) => true,
            _ => false,
        }
    }

    /// Hash of a transaction by its raw bytes, which need not decode.
    #[must_use]
    pub fn hash_of(suite: Suite, raw: &[u8]) -> B256 {
        match raw.first() {
            Some(&(NATIVE_TRANSACTION_TYPE | MULTISIG_TRANSACTION_TYPE)) => suite.hash(raw),
            _ => keccak256(raw),
        }
    }

    /// Verifies chain and signatures and finds the sender. Costs one signature check, or as many as
    /// a multisignature account's threshold.
    pub fn verify(self, chain: ChainId) -> Result<VerifiedTransaction, TransactionError> {
        self.check_chain(chain)?;
        let sender = match &self.envelope {
            Envelope::Ethereum(envelope) => recover(envelope)?,
            Envelope::Native(native) => {
                native.verify()?;
                native.sender()
            }
            Envelope::Multisig(multisig) => {
                let verified = multisig.verify();
                verified.map_err(TransactionError::MultisigSignature)?;
                multisig.sender()
            }
        };
        Ok(VerifiedTransaction {
            transaction: Arc::new(self),
            sender,
            attested: false,
        })
    }

    /// Whether an account can be the sender as far as that shows without verifying anything: a
    /// native transaction names its signer, an Ethereum one could be anybody's.
    #[must_use]
    pub fn may_be_from(&self, sender: Address, chain: ChainId) -> bool {
        self.check_chain(chain).is_ok()
            && match &self.envelope {
                Envelope::Ethereum(_) => true,
                Envelope::Native(native) => native.sender() == sender,
                Envelope::Multisig(multisig) => multisig.sender() == sender,
            }
    }

    /// Does for each transaction what [`Self::verify`] does, in the same order and with the same
    /// answers, but faster for many: Ethereum envelopes are checked together, and so are native ones.
    ///
    /// With each comes the account that probably sent it, if anyone knows, which speeds up accounts
    /// that send often. A wrong one changes nothing but the time taken.
    pub fn verify_many(
        transactions: Vec<(Self, Option<Address>)>,
        chain: ChainId,
    ) -> Vec<Result<VerifiedTransaction, TransactionError>> {
        let (mut requests, mut natives) = (Vec::new(), Vec::new());
        // How each is checked; chains are told apart before signatures cost anything.
        let plans: Vec<Plan> = transactions
            .iter()
            .map(|(transaction, hint)| match &transaction.envelope {
                Envelope::Ethereum(envelope) if transaction.check_chain(chain).is_ok() => {
                    requests.push(request(envelope, *hint));
                    Plan::Secp256k1
                }
                Envelope::Native(native) if transaction.check_chain(chain).is_ok() => {
                    natives.push((native, native.body.message()));
                    Plan::Native
                }
                Envelope::Ethereum(_) | Envelope::Native(_) | Envelope::Multisig(_) => Plan::Alone,
            })
            .collect();
        let mut recovered = secp::recover_many(&requests).into_iter();
        let checks: Vec<Check<'_>> = natives
            .iter()
            .map(|(native, message)| Check {
                key: &native.body.signer,
                message,
                signature: &native.signature,
            })
            .collect();
        let mut verified = verify_many(&checks).into_iter();
        let mut verify = |transaction: Self, plan| match plan {
            Plan::Alone => transaction.verify(chain),
            Plan::Secp256k1 => match recovered.next() {
                Some(recovered) => Ok(VerifiedTransaction {
                    sender: recovered?.1,
                    transaction: Arc::new(transaction),
                    attested: false,
                }),
                None => transaction.verify(chain),
            },
            Plan::Native => match (verified.next(), &transaction.envelope) {
                (Some(verified), Envelope::Native(native)) => {
                    verified?;
                    Ok(VerifiedTransaction {
                        sender: native.sender(),
                        transaction: Arc::new(transaction),
                        attested: false,
                    })
                }
                _ => transaction.verify(chain),
            },
        };
        transactions
            .into_iter()
            .zip(plans)
            .map(|((transaction, _), plan)| verify(transaction, plan))
            .collect()
    }

    /// Legacy transactions before EIP-155 name no chain and could be replayed from another one;
    /// they stay accepted because deterministic deployment (EIP-2470) depends on them.
    fn check_chain(&self, chain: ChainId) -> Result<(), TransactionError> {
        match self.chain_id() {
            Some(found) if found != chain.0 => Err(TransactionError::WrongChain {
                found,
                expected: chain,
            }),
            _ => Ok(()),
        }
    }

    /// The EIP-2718 encoding.
    #[must_use]
    pub const fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Transaction hash: Keccak-256 of the encoding for Ethereum types, the suite's hash of it for
    /// native ones.
    #[must_use]
    pub const fn hash(&self) -> B256 {
        self.hash
    }

    /// The envelope.
    #[must_use]
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// EIP-2718 type, 0 for legacy.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match &self.envelope {
            Envelope::Ethereum(envelope) => envelope.ty(),
            Envelope::Native(_) => NATIVE_TRANSACTION_TYPE,
            Envelope::Multisig(_) => MULTISIG_TRANSACTION_TYPE,
        }
    }

    /// What a native transaction of either envelope asks for; `None` for Ethereum's.
    #[must_use]
    pub fn native(&self) -> Option<NativeView<'_>> {
        match &self.envelope {
            Envelope::Ethereum(_) => None,
            Envelope::Native(native) => Some(native.view()),
            Envelope::Multisig(multisig) => Some(multisig.view()),
        }
    }

    /// When an unordered transaction expires; `None` for all others.
    #[must_use]
    pub fn expires(&self) -> Option<Time> {
        match self.native()?.ordering {
            Ordering::Unordered { expires, .. } => Some(expires),
            Ordering::Sequential { .. } => None,
        }
    }

    /// Digest of what was signed, by the chain's hash: what replay protection of unordered
    /// transactions remembers. `None` for Ethereum's.
    #[must_use]
    pub fn native_digest(&self, suite: Suite) -> Option<B256> {
        match &self.envelope {
            Envelope::Ethereum(_) => None,
            Envelope::Native(native) => Some(native.digest(suite)),
            Envelope::Multisig(multisig) => Some(multisig.digest(suite)),
        }
    }

    /// The chain it names; `None` for a legacy transaction before EIP-155.
    #[must_use]
    pub fn chain_id(&self) -> Option<u64> {
        match &self.envelope {
            Envelope::Ethereum(envelope) => envelope.chain_id(),
            Envelope::Native(native) => Some(native.body.chain_id.0),
            Envelope::Multisig(multisig) => Some(multisig.body.chain_id.0),
        }
    }

    /// Nonce; `None` for an unordered transaction.
    #[must_use]
    pub fn nonce(&self) -> Option<u64> {
        let ordering = match &self.envelope {
            Envelope::Ethereum(envelope) => return Some(envelope.nonce()),
            Envelope::Native(native) => native.body.ordering,
            Envelope::Multisig(multisig) => multisig.body.ordering,
        };
        match ordering {
            Ordering::Sequential { nonce } => Some(nonce),
            Ordering::Unordered { .. } => None,
        }
    }

    /// Gas limit.
    #[must_use]
    pub fn gas_limit(&self) -> u64 {
        match &self.envelope {
            Envelope::Ethereum(envelope) => envelope.gas_limit(),
            Envelope::Native(native) => native.body.gas_limit,
            Envelope::Multisig(multisig) => multisig.body.gas_limit,
        }
    }

    /// Most wei per gas the sender would pay; orders replacements in the pool. 0 for native.
    #[must_use]
    pub fn max_fee_per_gas(&self) -> u128 {
        match &self.envelope {
            Envelope::Ethereum(envelope) => envelope.max_fee_per_gas(),
            Envelope::Native(_) | Envelope::Multisig(_) => 0,
        }
    }

    /// Wei moved by the transaction itself.
    #[must_use]
    pub fn value(&self) -> U256 {
        let calls = match &self.envelope {
            Envelope::Ethereum(envelope) => return envelope.value(),
            Envelope::Native(native) => &native.body.calls,
            Envelope::Multisig(multisig) => &multisig.body.calls,
        };
        calls
            .iter()
            .map(|call| match call {
                crate::Call::Call { value, .. } | crate::Call::Create { value, .. } => *value,
            })
            .fold(U256::ZERO, U256::saturating_add)
    }
}

impl VerifiedTransaction {
    /// A transaction from this node's own store, whose signature was verified before it was stored.
    #[must_use]
    pub fn from_stored(transaction: Transaction, sender: Address) -> Self {
        Self {
            transaction: Arc::new(transaction),
            sender,
            attested: false,
        }
    }

    /// A transaction that enough validators vouch for, with the sender that they name. Its signature
    /// was not verified here.
    #[must_use]
    pub fn from_attested(transaction: Transaction, sender: Address) -> Self {
        Self {
            transaction: Arc::new(transaction),
            sender,
            attested: true,
        }
    }

    /// Whether others verified it, and this node took their word.
    #[must_use]
    pub const fn is_attested(&self) -> bool {
        self.attested
    }

    /// The transaction.
    #[must_use]
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// Account that signed.
    #[must_use]
    pub const fn sender(&self) -> Address {
        self.sender
    }

    /// Transaction hash.
    #[must_use]
    pub fn hash(&self) -> B256 {
        self.transaction.hash
    }
}

/// What is wrong, in words where they can be found, else in the decoder's.
fn explain(raw: &[u8], error: &Eip2718Error) -> String {
    crate::diagnose::diagnose(raw).unwrap_or_else(|| match error {
        Eip2718Error::RlpError(error) => error.to_string(),
        other => other.to_string(),
    })
}

fn recover(envelope: &EthereumTxEnvelope<TxEip4844>) -> Result<Address, VerifyError> {
    let request = request(envelope, None);
    Ok(secp::recover(&request.prehash, &request.r_s, request.y_parity)?.1)
}

fn request(envelope: &EthereumTxEnvelope<TxEip4844>, hint: Option<Address>) -> secp::Request {
    let (prehash, signature) = (envelope.signature_hash(), envelope.signature());
    let mut r_s = [0u8; 64];
    r_s[..32].copy_from_slice(&signature.r().to_be_bytes::<32>());
    r_s[32..].copy_from_slice(&signature.s().to_be_bytes::<32>());
    secp::Request {
        prehash,
        r_s,
        y_parity: signature.v(),
        hint,
    }
}
