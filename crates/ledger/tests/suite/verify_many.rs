//! Checking transactions together gives what checking them one by one gives.

use alloy_consensus::{EthereumTxEnvelope, SignableTransaction, TxEip1559, TxEip4844, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Signature, TxKind};
use hawser_crypto::{Scheme, SecretKey, Suite, secp};
use hawser_ledger::{Call, Ordering, Transaction, TransactionError, UnsignedNative};
use hawser_primitives::{Address, Bytes, ChainId, Time, U256};

const CHAIN: ChainId = ChainId(7);

fn key(scheme: Scheme, n: u8) -> SecretKey {
    SecretKey::from_seed(scheme, &[n; 32]).unwrap()
}

fn signature(key: &SecretKey, prehash: &alloy_primitives::B256) -> Signature {
    let (r_s, parity) = secp::sign_prehash(key, prehash).unwrap();
    Signature::from_bytes_and_parity(&r_s, parity)
}

fn encode(envelope: &EthereumTxEnvelope<TxEip4844>) -> Transaction {
    Transaction::decode(Suite::Intl, Bytes::from(envelope.encoded_2718())).unwrap()
}

fn eip1559(key: &SecretKey, chain: ChainId, nonce: u64) -> Transaction {
    let body = TxEip1559 {
        chain_id: chain.0,
        nonce,
        gas_limit: 21_000,
        to: TxKind::Call(Address::repeat_byte(9)),
        ..TxEip1559::default()
    };
    let signature = signature(key, &body.signature_hash());
    encode(&body.into_signed(signature).into())
}

/// With s = 0, or with r that is no coordinate.
fn spoiled(nonce: u64, r: u64, s: u64) -> Transaction {
    let body = TxEip1559 {
        chain_id: CHAIN.0,
        nonce,
        ..TxEip1559::default()
    };
    let signature = Signature::new(U256::from(r), U256::from(s), false);
    encode(&body.into_signed(signature).into())
}

fn legacy(key: &SecretKey, chain_id: Option<u64>) -> Transaction {
    let body = TxLegacy {
        chain_id,
        gas_limit: 21_000,
        ..TxLegacy::default()
    };
    let signature = signature(key, &body.signature_hash());
    encode(&body.into_signed(signature).into())
}

fn native(scheme: Scheme, chain: ChainId, nonce: u64) -> Transaction {
    let key = key(scheme, 3);
    let body = UnsignedNative {
        chain_id: chain,
        signer: key.public_key(),
        ordering: Ordering::Sequential { nonce },
        gas_limit: 100_000,
        calls: vec![Call::Call {
            to: Address::repeat_byte(9),
            value: U256::from(5),
            input: Bytes::new(),
        }],
    };
    Transaction::decode(Suite::Intl, body.sign(&key).encode_2718()).unwrap()
}

fn text(error: &TransactionError) -> String {
    format!("{error:?}")
}

#[test]
fn answers_are_those_of_one_by_one_in_the_same_order_whatever_the_hints() {
    let keys: Vec<_> = (1..=3).map(|n| key(Scheme::Secp256k1, n)).collect();
    for round in 0..5u64 {
        let mut transactions = Vec::new();
        for i in 0..40u64 {
            let key = &keys[i as usize % 3];
            let right = Some(key.public_key().address());
            let hint = [None, right, Some(Address::repeat_byte(4))][i as usize / 3 % 3];
            transactions.push((eip1559(key, CHAIN, round * 100 + i), hint));
            match i % 8 {
                0 => transactions.push((eip1559(key, ChainId(8), i), right)),
                1 => transactions.push((native(Scheme::Ed25519, CHAIN, i), None)),
                2 => transactions.push((native(Scheme::Sm2, ChainId(9), i), right)),
                3 => transactions.push((native(Scheme::Sm2, CHAIN, i), None)),
                4 => transactions.push((legacy(key, None), right)),
                5 => transactions.push((legacy(key, Some(CHAIN.0)), right)),
                6 => transactions.push((spoiled(i, 1, 0), right)),
                _ => transactions.push((spoiled(i, 5, 1), right)),
            }
        }
        let alone: Vec<_> = transactions
            .iter()
            .map(|(transaction, _)| transaction.clone().verify(CHAIN))
            .collect();
        let together = Transaction::verify_many(transactions, CHAIN);
        assert_eq!(alone.len(), together.len());
        for (alone, together) in alone.iter().zip(&together) {
            match (alone, together) {
                (Ok(alone), Ok(together)) => assert_eq!(alone, together),
                (Err(alone), Err(together)) => assert_eq!(text(alone), text(together)),
                other => panic!("{other:?}"),
            }
        }
        assert!(alone.iter().filter(|answer| answer.is_err()).count() >= 20);
    }
    assert!(Transaction::verify_many(Vec::new(), CHAIN).is_empty());
}

/// A node that starts decodes the transactions only that may be replayed.
#[test]
fn what_may_expire_is_told_by_the_bytes_alone() {
    for scheme in Scheme::ALL {
        let key = key(scheme, 3);
        let orderings = [
            Ordering::Sequential { nonce: u64::MAX },
            Ordering::Unordered {
                expires: Time(0),
                salt: 0,
            },
        ];
        for ordering in orderings {
            let body = UnsignedNative {
                chain_id: CHAIN,
                signer: key.public_key(),
                ordering,
                gas_limit: 1,
                calls: vec![Call::Call {
                    to: Address::ZERO,
                    value: U256::ZERO,
                    input: Bytes::new(),
                }],
            };
            let raw: Bytes = body.sign(&key).encode_2718();
            let decoded = Transaction::decode(Suite::Intl, raw.clone()).unwrap();
            let expected = decoded.expires().is_some();
            assert_eq!(
                Transaction::may_expire(&raw),
                expected,
                "{scheme} {ordering:?}"
            );
            // What cannot be told may be.
            assert!(Transaction::may_expire(&raw[..20]));
        }
    }
    let key = key(Scheme::Secp256k1, 3);
    assert!(!Transaction::may_expire(legacy(&key, None).raw()));
    assert!(!Transaction::may_expire(eip1559(&key, CHAIN, 1).raw()));
    assert!(!Transaction::may_expire(&[]));
    // Of several signatures: it is decoded.
    assert!(Transaction::may_expire(&[0x69, 0]));
}
