//! Accounts that several keys sign for, in blocks.

use crate::common::*;
use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_execution::{COSIGNATURE_GAS, POLICY_KEY_GAS, SM2_SIGNATURE_GAS};
use hawser_ledger::{
    Call, ChainParameters, MultisigPolicy, Ordering, Outcome, SkipReason, Transaction,
    UnsignedMultisig, VerifiedTransaction,
};
use hawser_primitives::{Address, U256};

const TO: Address = Address::repeat_byte(0x77);

fn keys() -> Vec<SecretKey> {
    let mut keys: Vec<_> = Scheme::ALL.map(|scheme| key(scheme, 1)).into();
    keys.sort_by_key(SecretKey::public_key);
    keys
}

fn policy(threshold: u8) -> MultisigPolicy {
    let public = keys().iter().map(SecretKey::public_key).collect();
    MultisigPolicy::new(threshold, public).unwrap()
}

fn chain(suite: Suite) -> Chain {
    let accounts = (1..=3).map(|threshold| rich(policy(threshold).address()));
    Chain::with(
        suite,
        ChainParameters::default(),
        accounts.collect(),
        Vec::new(),
    )
}

fn transaction(
    suite: Suite,
    threshold: u8,
    signers: &[usize],
    ordering: Ordering,
    gas_limit: u64,
    calls: Vec<Call>,
) -> VerifiedTransaction {
    let body = UnsignedMultisig {
        chain_id: CHAIN,
        policy: policy(threshold),
        ordering,
        gas_limit,
        calls,
    };
    let keys = keys();
    let parts = signers.iter().map(|at| body.sign(&keys[*at]).unwrap());
    let raw = body.clone().combine(parts.collect()).unwrap().encode_2718();
    Transaction::decode(suite, raw)
        .unwrap()
        .verify(CHAIN)
        .unwrap()
}

fn sequential(nonce: u64) -> Ordering {
    Ordering::Sequential { nonce }
}

#[test]
fn an_account_of_several_signers_pays_once_per_nonce_on_both_suites() {
    for suite in Suite::ALL {
        let mut chain = chain(suite);
        let account = policy(2).address();
        let pay = |nonce| {
            let calls = vec![to(TO, 5, vec![])];
            transaction(suite, 2, &[0, 2], sequential(nonce), 100_000, calls)
        };
        let output = chain.advance(&[pay(0), pay(0), pay(1), pay(3)]);
        assert_eq!(
            outcomes(&output),
            [
                Outcome::Success,
                Outcome::Skipped(SkipReason::NonceTooLow),
                Outcome::Success,
                Outcome::Skipped(SkipReason::NonceTooHigh),
            ]
        );
        assert_eq!(output.receipts[0].sender, account);
        assert_eq!(output.receipts[0].transaction_type, 0x69);
        assert_eq!(chain.balance(TO), U256::from(10));
        assert_eq!(chain.nonce(account), 2);
        let again = chain.advance(&[pay(1)]);
        assert_eq!(
            outcomes(&again),
            [Outcome::Skipped(SkipReason::NonceTooLow)]
        );
    }
}

#[test]
fn gas_counts_every_signature_and_every_key() {
    let suite = Suite::Intl;
    // Sorted by scheme: secp256k1, Ed25519, SM2.
    for (signers, sm2) in [
        (&[0][..], 0),
        (&[2], 1),
        (&[0, 1], 0),
        (&[1, 2], 1),
        (&[0, 1, 2], 1),
    ] {
        let threshold = u8::try_from(signers.len()).unwrap();
        let needed = 21_000
            + COSIGNATURE_GAS * (u64::from(threshold) - 1)
            + SM2_SIGNATURE_GAS * sm2
            + POLICY_KEY_GAS * 3;
        for (gas, outcome) in [
            (needed, Outcome::Success),
            (needed - 1, Outcome::Skipped(SkipReason::Invalid)),
        ] {
            let mut chain = chain(suite);
            let calls = vec![to(TO, 1, vec![])];
            let one = transaction(suite, threshold, signers, sequential(0), gas, calls);
            let admitted = chain.executor.check_admission(one.transaction());
            assert_eq!(admitted.is_ok(), outcome == Outcome::Success);
            let output = chain.advance(&[one]);
            assert_eq!(outcomes(&output), [outcome], "{signers:?} {gas}");
            if outcome == Outcome::Success {
                assert_eq!(output.receipts[0].gas_used, needed);
            }
        }
    }
}

#[test]
fn an_unordered_transaction_runs_once_whoever_signed_it() {
    for suite in Suite::ALL {
        let mut chain = chain(suite);
        let expires = chain.context.time.plus_ms(60_000);
        let ordering = Ordering::Unordered { expires, salt: 1 };
        let by = |signers: &[usize]| {
            let calls = vec![to(TO, 5, vec![])];
            transaction(suite, 2, signers, ordering, 100_000, calls)
        };
        let output = chain.advance(&[by(&[0, 1]), by(&[1, 2])]);
        let replayed = Outcome::Skipped(SkipReason::Replayed);
        assert_eq!(outcomes(&output), [Outcome::Success, replayed]);
        let output = chain.advance(&[by(&[0, 2])]);
        assert_eq!(outcomes(&output), [replayed]);
        assert_eq!(chain.balance(TO), U256::from(5));
    }
}

#[test]
fn calls_take_effect_together_or_not_at_all_and_contracts_are_created() {
    let suite = Suite::Sm;
    let mut chain = chain(suite);
    let create = Call::Create {
        value: U256::ZERO,
        init_code: deploy(&alloy_primitives::hex::decode(STORE).unwrap()).into(),
    };
    let calls = vec![to(TO, 5, vec![]), create];
    let good = transaction(suite, 3, &[0, 1, 2], sequential(0), 500_000, calls);
    let output = chain.advance(&[good]);
    assert_eq!(outcomes(&output), [Outcome::Success]);
    assert!(output.receipts[0].contract_address.is_some());
    let failing = Call::Create {
        value: U256::ZERO,
        init_code: alloy_primitives::hex::decode(REVERT).unwrap().into(),
    };
    let calls = vec![to(TO, 5, vec![]), failing];
    let bad = transaction(suite, 3, &[0, 1, 2], sequential(1), 500_000, calls);
    let output = chain.advance(&[bad]);
    assert_eq!(outcomes(&output), [Outcome::Reverted]);
    assert_eq!(chain.balance(TO), U256::from(5));
    assert_eq!(chain.nonce(policy(3).address()), 2);
}
