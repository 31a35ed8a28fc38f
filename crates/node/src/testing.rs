//! What the tests of several modules need.

use std::sync::Arc;

use hawser_crypto::{SecretKey, Suite};
use hawser_ledger::{Call, Ordering, Transaction, UnsignedNative, VerifiedTransaction};
use hawser_primitives::{Address, Bytes, ChainId, U256};

/// A verified call of nobody, with so many bytes of input.
pub(crate) fn transaction(
    key: &SecretKey,
    chain_id: ChainId,
    nonce: u64,
    input_bytes: usize,
) -> Arc<VerifiedTransaction> {
    let native = UnsignedNative {
        chain_id,
        signer: key.public_key(),
        ordering: Ordering::Sequential { nonce },
        gas_limit: 60_000,
        calls: vec![Call::Call {
            to: Address::ZERO,
            value: U256::ZERO,
            input: Bytes::from(vec![0; input_bytes]),
        }],
    }
    .sign(key);
    let transaction = Transaction::decode(Suite::Intl, native.encode_2718()).unwrap();
    Arc::new(transaction.verify(chain_id).unwrap())
}
