//! Signed transactions for tests, as other crates' tests build them, too.

use alloy_consensus::{EthereumTxEnvelope, SignableTransaction, Signed, TxEip4844, TxEip7702};
use alloy_eips::{
    eip2718::Encodable2718,
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_primitives::Signature;
use hawser_crypto::{SecretKey, Suite, secp};
use hawser_ledger::{Call, Ordering, Transaction, UnsignedNative, VerifiedTransaction};
use hawser_primitives::{Address, B256, Bytes, ChainId, U256};

pub const CHAIN: ChainId = ChainId(1337);

fn sign_hash(key: &SecretKey, hash: B256) -> Signature {
    let (r_s, parity) = secp::sign_prehash(key, &hash).unwrap();
    let (r, s) = r_s.split_at(32);
    Signature::new(U256::from_be_slice(r), U256::from_be_slice(s), parity)
}

pub fn finish(suite: Suite, raw: impl Into<Bytes>) -> VerifiedTransaction {
    let transaction = Transaction::decode(suite, raw.into()).unwrap();
    transaction.verify(CHAIN).unwrap()
}

/// An Ethereum transaction on an `intl` chain.
pub fn signed<T>(key: &SecretKey, tx: T) -> VerifiedTransaction
where
    T: SignableTransaction<Signature>,
    EthereumTxEnvelope<TxEip4844>: From<Signed<T>>,
{
    let signature = sign_hash(key, tx.signature_hash());
    let envelope = EthereumTxEnvelope::<TxEip4844>::from(tx.into_signed(signature));
    finish(Suite::Intl, envelope.encoded_2718())
}

pub fn delegation(
    key: &SecretKey,
    nonce: u64,
    to: Address,
    authorizations: Vec<SignedAuthorization>,
    gas_limit: u64,
) -> VerifiedTransaction {
    let tx = TxEip7702 {
        chain_id: CHAIN.0,
        nonce,
        gas_limit,
        max_fee_per_gas: 0,
        max_priority_fee_per_gas: 0,
        to,
        value: U256::ZERO,
        access_list: Default::default(),
        authorization_list: authorizations,
        input: Bytes::new(),
    };
    signed(key, tx)
}

pub fn authorize(key: &SecretKey, nonce: u64, target: Address) -> SignedAuthorization {
    let authorization = Authorization {
        chain_id: U256::from(CHAIN.0),
        address: target,
        nonce,
    };
    let signature = sign_hash(key, authorization.signature_hash());
    authorization.into_signed(signature)
}

pub fn native_of(
    key: &SecretKey,
    ordering: Ordering,
    gas_limit: u64,
    calls: Vec<Call>,
    suite: Suite,
) -> VerifiedTransaction {
    let body = UnsignedNative {
        chain_id: CHAIN,
        signer: key.public_key(),
        ordering,
        gas_limit,
        calls,
    };
    finish(suite, body.sign(key).encode_2718())
}

pub fn to(address: Address, value: u64, input: Vec<u8>) -> Call {
    Call::Call {
        to: address,
        value: U256::from(value),
        input: input.into(),
    }
}
