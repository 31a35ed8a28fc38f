//! What the tests of several modules need.

use std::sync::Arc;

use hawser_crypto::{SecretKey, Suite};
use hawser_ledger::{Call, Ordering, Transaction, UnsignedNative, VerifiedTransaction};
use hawser_primitives::{Address, Bytes, ChainId, U256};

/// A verified call with so many bytes of input.
pub(crate) fn transaction(
    key: &SecretKey,
    chain_id: ChainId,
    nonce: u64,
    input_bytes: usize,
) -> Arc<VerifiedTransaction> {
    let ordering = Ordering::Sequential { nonce };
    let input = Bytes::from(vec![0; input_bytes]);
    signed(key, chain_id, ordering, 60_000, input)
}

/// A call of one address, with everything that a pool looks at.
pub(crate) fn signed(
    key: &SecretKey,
    chain_id: ChainId,
    ordering: Ordering,
    gas_limit: u64,
    input: Bytes,
) -> Arc<VerifiedTransaction> {
    let native = UnsignedNative {
        chain_id,
        signer: key.public_key(),
        ordering,
        gas_limit,
        calls: vec![Call::Call {
            to: Address::ZERO,
            value: U256::ZERO,
            input,
        }],
    }
    .sign(key);
    let transaction = Transaction::decode(Suite::Intl, native.encode_2718()).unwrap();
    Arc::new(transaction.verify(chain_id).unwrap())
}
