//! The evidence contract on a small chain in memory.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::sync::Arc;

use crate::common::*;
use alloy_primitives::hex;
use alloy_sol_types::SolError;
use hawser_crypto::Suite;
use hawser_execution::{BlockOutput, CallRequest, CallResult, NoHashes, TransactionRequest};
use hawser_ledger::{ChainParameters, Outcome};
use hawser_primitives::{Address, B256, Bytes};
use hawser_services::evidence::{
    ADDRESS, Algorithm, DigestSet, Evidence, IEvidence, StoredSet, decode_set_id,
    encode_register_set, get_set,
};

pub const SUITES: [Suite; 2] = [Suite::Intl, Suite::Sm];

pub fn chain(suite: Suite) -> Chain {
    let evidence = vec![Arc::new(Evidence) as _];
    Chain::with(suite, ChainParameters::default(), vec![], evidence)
}

/// Digest `n` of a made-up list.
pub fn digest(n: usize, len: usize) -> Vec<u8> {
    let mut digest = vec![0xd5; len];
    digest[..4].copy_from_slice(&u32::try_from(n).unwrap().to_be_bytes());
    digest
}

pub fn set_of(algorithm: Algorithm, count: usize) -> DigestSet {
    let len = algorithm.digest_len();
    DigestSet {
        algorithm: algorithm.number(),
        digests: (0..count).flat_map(|n| digest(n, len)).collect(),
        media_type: "application/pdf".to_owned(),
        description: "归档 2025".to_owned(),
        sealed_owner: vec![0x5e; 40],
    }
}

/// A set of SHA-256 digests.
pub fn set(count: usize) -> DigestSet {
    set_of(Algorithm::Sha256, count)
}

pub fn send(chain: &mut Chain, input: Bytes, gas: u64) -> BlockOutput {
    let key = eth_key(1);
    let nonce = chain.nonce(key.address());
    chain.advance(&[call_tx(&key, nonce, Some(ADDRESS), 0, input.to_vec(), gas)])
}

/// Registers, which has to succeed; gives the set as it is stored.
pub fn registered(chain: &mut Chain, set: &DigestSet) -> StoredSet {
    let output = send(chain, encode_register_set(set), 40_000_000);
    assert_eq!(outcomes(&output), [Outcome::Success]);
    let id = set.id(chain.genesis.suite, eth_key(1).address()).unwrap();
    get_set(&chain.state, &id).unwrap().unwrap()
}

pub fn query(chain: &Chain, to: Address, input: Vec<u8>) -> CallResult {
    let request = CallRequest {
        request: TransactionRequest {
            from: Some(eth_key(1).address()),
            to: Some(to.into()),
            input: Bytes::from(input).into(),
            ..Default::default()
        },
        gas_cap: 50_000_000,
        ..Default::default()
    };
    chain
        .executor
        .call(&chain.state, &NoHashes, &chain.context, &request)
        .unwrap()
}

/// Asserts that a call is refused with this error and leaves nothing behind.
pub fn refused<E: SolError>(chain: &mut Chain, input: Bytes, error: &E) {
    let output = send(chain, input, 40_000_000);
    let receipt = &output.receipts[0];
    assert_eq!(receipt.outcome, Outcome::Reverted);
    assert_eq!(
        hex::encode(&receipt.revert_data),
        hex::encode(error.abi_encode())
    );
    assert!(output.changes.blobs.is_empty() && receipt.logs.is_empty());
}

/// A call in which the first byte of this text is none of UTF-8.
pub fn spoiled(call: &[u8], text: &[u8]) -> Bytes {
    let mut bad = call.to_vec();
    let mut windows = bad.windows(text.len());
    let at = windows.position(|window| window == text).unwrap();
    bad[at] = 0xff;
    Bytes::from(bad)
}

/// What the contract's `isMember` says.
pub fn is_member(chain: &Chain, id: B256, index: u32, digest: &[u8], path: Vec<B256>) -> bool {
    use alloy_sol_types::SolCall;
    let call = IEvidence::isMemberCall {
        setId: id,
        index,
        digest: Bytes::copy_from_slice(digest),
        path,
    };
    let result = query(chain, ADDRESS, call.abi_encode());
    IEvidence::isMemberCall::abi_decode_returns(&result.output).unwrap()
}

pub fn id_of(output: &Bytes) -> B256 {
    decode_set_id(output).unwrap()
}
