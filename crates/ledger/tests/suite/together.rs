//! Transactions that are verified together get the answers that each gets alone.

use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_ledger::{Call, NativeTransaction, Ordering, Transaction, UnsignedNative};
use hawser_primitives::{Address, Bytes, ChainId, U256};

const CHAIN: ChainId = ChainId(7);

/// Native transactions of all schemes; some with a changed body, some for another chain.
fn transactions() -> Vec<Transaction> {
    (0..60u8)
        .map(|i| {
            let scheme = Scheme::ALL[usize::from(i) % 3];
            let key = SecretKey::from_seed(scheme, &[1 + i % 4; 32]).unwrap();
            let body = UnsignedNative {
                chain_id: ChainId(if i % 11 == 5 { 8 } else { CHAIN.0 }),
                signer: key.public_key(),
                ordering: Ordering::Sequential {
                    nonce: u64::from(i),
                },
                gas_limit: 100_000,
                calls: vec![Call::Call {
                    to: Address::repeat_byte(9),
                    value: U256::from(i),
                    input: Bytes::new(),
                }],
            };
            let signature = key.sign(&body.message());
            let mut transaction = NativeTransaction { body, signature };
            if i % 5 == 3 {
                transaction.body.gas_limit += 1;
            }
            Transaction::decode(Suite::Sm, transaction.encode_2718()).unwrap()
        })
        .collect()
}

#[test]
fn native_transactions_are_judged_together_as_alone() {
    let transactions = transactions();
    for len in [0, 1, 3, 8, 9, 60] {
        let some = transactions[..len].to_vec();
        let alone: Vec<_> = some.iter().map(|one| one.clone().verify(CHAIN)).collect();
        let together = some.into_iter().map(|one| (one, None)).collect();
        let together = Transaction::verify_many(together, CHAIN);
        assert_eq!(together.len(), len);
        for (alone, together) in alone.iter().zip(&together) {
            match (alone, together) {
                (Ok(alone), Ok(together)) => {
                    assert_eq!(alone.sender(), together.sender());
                    assert_eq!(alone.hash(), together.hash());
                }
                (Err(alone), Err(together)) => {
                    assert_eq!(alone.to_string(), together.to_string());
                }
                _ => panic!("{alone:?} alone, {together:?} together"),
            }
        }
        if len == 60 {
            let good = together.iter().filter(|answer| answer.is_ok()).count();
            assert!(good > 30 && good < 55, "{good}");
        }
    }
}
