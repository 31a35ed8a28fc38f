//! Blocks of Ethereum transactions under the zero-fee rules.

use crate::common::*;
use hawser_crypto::Suite;
use hawser_execution::{HISTORY_ADDRESS, HISTORY_WINDOW};
use hawser_ledger::{
    ChainParameters, Outcome, SkipReason,
    state::{StateKey, StateRead},
};
use hawser_primitives::{Address, B256, U256};

const A: Address = Address::repeat_byte(0xaa);
const B: Address = Address::repeat_byte(0xbb);

fn skipped(reason: SkipReason) -> Outcome {
    Outcome::Skipped(reason)
}

#[test]
fn an_empty_account_may_call_and_pays_nothing() {
    let key = eth_key(1);
    let mut chain = Chain::new(vec![code(A, STORE)]);
    let output = chain.advance(&[call_tx(&key, 0, Some(A), 0, vec![7; 32], 100_000)]);
    assert_eq!(outcomes(&output), [Outcome::Success]);
    assert_eq!(chain.nonce(key.address()), 1);
    assert_eq!(chain.balance(key.address()), U256::ZERO);
    assert_eq!(chain.balance(chain.context.proposer), U256::ZERO);
    assert_eq!(chain.slot(A, 0), U256::from_be_bytes([7; 32]));
    let receipt = &output.receipts[0];
    assert_eq!(receipt.logs.len(), 1);
    assert_eq!(receipt.logs[0].data.as_ref(), [7; 32]);
    assert!(receipt.gas_used > 21_000 && receipt.gas_used == output.gas_used);
    assert!(!output.logs_bloom.is_zero());
}

#[test]
fn value_is_checked_against_the_balance_alone() {
    let key = eth_key(1);
    let mut chain = Chain::new(vec![rich(key.address())]);
    let balance = chain.balance(key.address());
    let all = u64::try_from(balance).unwrap();
    let output = chain.advance(&[
        call_tx(&key, 0, Some(B), all + 1, vec![], 21_000),
        call_tx(&key, 0, Some(B), all, vec![], 21_000),
    ]);
    assert_eq!(
        outcomes(&output),
        [skipped(SkipReason::InsufficientFunds), Outcome::Success]
    );
    assert_eq!(chain.balance(B), balance);
    assert_eq!(output.gas_used, 21_000);
    assert_eq!(output.receipts[0].gas_used, 0);
    assert_eq!(output.receipts[1].cumulative_gas_used, 21_000);
}

#[test]
fn skipped_transactions_change_nothing() {
    let key = eth_key(1);
    let chain = Chain::new(vec![rich(key.address())]);
    let output = chain.execute(&[
        legacy_tx(&key, 1, B, 1),
        call_tx(&key, 0, Some(B), 0, vec![1; 100], 21_000),
        call_tx(&key, 0, Some(B), 0, vec![], 50_000_001),
    ]);
    assert_eq!(
        outcomes(&output),
        [
            skipped(SkipReason::NonceTooHigh),
            skipped(SkipReason::Invalid),
            skipped(SkipReason::GasLimit),
        ]
    );
    // The parent's hash in the history contract is all that changes.
    assert_eq!(output.changes.entries.len(), 1);
    assert!(
        output
            .changes
            .entries
            .contains_key(&StateKey::Storage(HISTORY_ADDRESS, B256::ZERO))
    );
    let output = chain.execute(&[legacy_tx(&key, 0, B, 1), legacy_tx(&key, 0, B, 1)]);
    assert_eq!(
        outcomes(&output),
        [Outcome::Success, skipped(SkipReason::NonceTooLow)]
    );
}

#[test]
fn both_sides_of_the_gas_limits_of_transaction_block_and_account() {
    let parameters = ChainParameters {
        block_gas_max: 1_000_000,
        transaction_gas_max: 400_000,
        account_block_gas_max: 500_000,
        ..ChainParameters::default()
    };
    let keys: Vec<_> = (1..=4).map(eth_key).collect();
    let accounts = vec![code(A, "5b5f56")]; // an endless loop: all gas is used
    let chain = Chain::with(Suite::Intl, parameters, accounts, vec![]);
    let spend = |n: usize, nonce, gas| call_tx(&keys[n], nonce, Some(A), 0, vec![], gas);
    let output = chain.execute(&[
        spend(0, 0, 400_001),
        spend(0, 0, 400_000),
        spend(0, 1, 100_001),
        spend(0, 1, 100_000),
        spend(1, 0, 400_000),
        spend(2, 0, 100_001),
        spend(2, 0, 100_000),
    ]);
    assert_eq!(
        outcomes(&output),
        [
            skipped(SkipReason::GasLimit),
            Outcome::Halted,
            skipped(SkipReason::Quota),
            Outcome::Halted,
            Outcome::Halted,
            skipped(SkipReason::GasLimit),
            Outcome::Halted,
        ]
    );
    assert_eq!(output.gas_used, 1_000_000);
}

#[test]
fn reverts_keep_nonce_and_reason_and_nothing_else() {
    let key = eth_key(1);
    let mut chain = Chain::new(vec![rich(key.address()), code(A, REVERT)]);
    let before = chain.balance(key.address());
    let output = chain.advance(&[call_tx(&key, 0, Some(A), 5, vec![], 100_000)]);
    assert_eq!(outcomes(&output), [Outcome::Reverted]);
    assert_eq!(
        output.receipts[0].revert_data.as_ref(),
        [0xde, 0xad, 0xbe, 0xef]
    );
    assert_eq!(
        (chain.balance(key.address()), chain.balance(A)),
        (before, U256::ZERO)
    );
    assert_eq!(chain.nonce(key.address()), 1);
}

#[test]
fn creation_stores_code_once_and_names_the_contract() {
    let key = eth_key(1);
    let mut chain = Chain::new(vec![]);
    let runtime = alloy_primitives::hex::decode(STORE).unwrap();
    let output = chain.advance(&[call_tx(&key, 0, None, 0, deploy(&runtime), 1_000_000)]);
    let address = output.receipts[0].contract_address.unwrap();
    assert_eq!(address, key.address().create(0));
    let hash = chain.state.account(&address).unwrap().unwrap().code_hash;
    assert_eq!(chain.state.blob(&hash).unwrap().unwrap().as_ref(), runtime);
    let output = chain.advance(&[call_tx(&key, 1, Some(address), 0, vec![9; 32], 100_000)]);
    assert_eq!(outcomes(&output), [Outcome::Success]);
    assert!(output.changes.blobs.is_empty());
}

#[test]
fn a_contract_with_code_cannot_send_and_a_delegated_account_can() {
    let (one, two) = (eth_key(1), eth_key(2));
    let mut chain = Chain::new(vec![code(one.address(), STORE), code(A, STORE)]);
    let output = chain.advance(&[
        call_tx(&one, 1, Some(B), 0, vec![], 21_000),
        delegation_tx(&two, 0, B, vec![authorize(&two, 1, A)]),
        call_tx(&two, 2, Some(two.address()), 0, vec![3; 32], 100_000),
    ]);
    assert_eq!(
        outcomes(&output),
        [
            skipped(SkipReason::Invalid),
            Outcome::Success,
            Outcome::Success,
        ]
    );
    assert_eq!(chain.slot(two.address(), 0), U256::from_be_bytes([3; 32]));
    let account = chain.state.account(&two.address()).unwrap().unwrap();
    let code = chain.state.blob(&account.code_hash).unwrap().unwrap();
    assert_eq!(code[..3], [0xef, 1, 0]);
}

#[test]
fn a_contract_destroyed_in_its_own_transaction_leaves_nothing() {
    let key = eth_key(1);
    // Init code: SSTORE(0, 1), then SELFDESTRUCT to the caller.
    let init = alloy_primitives::hex::decode("60015f5533ff").unwrap();
    let mut chain = Chain::new(vec![rich(key.address())]);
    let made = key.address().create(0);
    let output = chain.advance(&[call_tx(&key, 0, None, 0, init.clone(), 1_000_000)]);
    assert_eq!(outcomes(&output), [Outcome::Success]);
    assert!(chain.state.account(&made).unwrap().is_none());
    assert_eq!(chain.slot(made, 0), U256::ZERO);
    // Destroyed, then given wei by a later transaction of the same block.
    let made = key.address().create(1);
    let output = chain.advance(&[
        call_tx(&key, 1, None, 0, init, 1_000_000),
        call_tx(&key, 2, Some(made), 7, vec![], 21_000),
    ]);
    assert_eq!(outcomes(&output), [Outcome::Success, Outcome::Success]);
    assert_eq!(chain.balance(made), U256::from(7));
    assert_eq!(chain.slot(made, 0), U256::ZERO);
}

#[test]
fn unchanged_values_are_not_written() {
    let key = eth_key(1);
    let mut chain = Chain::new(vec![code(A, STORE)]);
    chain.advance(&[call_tx(&key, 0, Some(A), 0, vec![7; 32], 100_000)]);
    let output = chain.execute(&[
        call_tx(&key, 1, Some(A), 0, vec![8; 32], 100_000),
        call_tx(&key, 2, Some(A), 0, vec![7; 32], 100_000),
    ]);
    assert!(
        !output
            .changes
            .entries
            .contains_key(&StateKey::Storage(A, B256::ZERO))
    );
    assert!(
        output
            .changes
            .entries
            .contains_key(&StateKey::Account(key.address()))
    );
}

#[test]
fn block_fields_are_as_specified() {
    let key = eth_key(1);
    // Stores TIMESTAMP, NUMBER, PREVRANDAO, COINBASE, GASLIMIT, BASEFEE, BLOBBASEFEE, CHAINID,
    // GASPRICE in slots 0 to 8.
    let program = "425f5543600155446002554160035545600455486005554a600655466007553a60085500";
    for suite in [Suite::Intl, Suite::Sm] {
        let mut chain = Chain::with(
            suite,
            ChainParameters::default(),
            vec![code(A, program)],
            vec![],
        );
        let context = chain.context;
        let output = chain.advance(&[call_tx(&key, 0, Some(A), 0, vec![], 1_000_000)]);
        assert_eq!(outcomes(&output), [Outcome::Success]);
        assert_eq!(chain.slot(A, 0), U256::from(1_700_000_001));
        assert_eq!(chain.slot(A, 1), U256::from(1));
        let random = suite.hash(&[context.parent_hash.as_slice(), &1u64.to_be_bytes()].concat());
        assert_eq!(chain.slot(A, 2), U256::from_be_bytes(random.0));
        assert_eq!(
            chain.slot(A, 3),
            U256::from_be_bytes(context.proposer.into_word().0)
        );
        assert_eq!(chain.slot(A, 4), U256::from(context.gas_limit));
        assert_eq!(chain.slot(A, 5), U256::ZERO);
        assert_eq!(chain.slot(A, 6), U256::from(1));
        assert_eq!(chain.slot(A, 7), U256::from(CHAIN.0));
        assert_eq!(chain.slot(A, 8), U256::ZERO);
    }
}

#[test]
fn the_history_contract_serves_parent_hashes() {
    let key = eth_key(1);
    let mut chain = Chain::new(vec![]);
    let parent = chain.context.parent_hash;
    chain.advance(&[]);
    let height = chain.context.height.0;
    assert!(height < HISTORY_WINDOW);
    chain.advance(&[call_tx(&key, 0, Some(B), 0, vec![], 21_000)]);
    assert_eq!(
        chain.slot(HISTORY_ADDRESS, 0),
        U256::from_be_bytes(parent.0)
    );
    assert_ne!(chain.slot(HISTORY_ADDRESS, 1), U256::ZERO);
}
