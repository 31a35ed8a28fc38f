//! The native envelope and native contracts.

use std::sync::Arc;

use crate::common::*;
use hawser_crypto::{Scheme, Suite};
use hawser_execution::{
    CallEnv, NativeContract, NativeFailure, NativeRegistry, NativeResult, NativeState,
    RegistryError, SM2_SIGNATURE_GAS, created_address, revert_text,
};
use hawser_ledger::{
    Call, ChainParameters, Envelope, Ordering, Outcome, SkipReason, state::StateRead,
};
use hawser_primitives::{
    Address, B256, Bytes, Domain, U256, address, limits::UNORDERED_LIFETIME_MS_MAX,
};

const A: Address = Address::repeat_byte(0xaa);
const B: Address = Address::repeat_byte(0xbb);
const BOX: Address = address!("0000000000000000000000000000000000020001");

/// Does what the first byte of the call data says, with the rest.
struct Box_;

impl NativeContract for Box_ {
    fn address(&self) -> Address {
        BOX
    }

    fn name(&self) -> &'static str {
        "box"
    }

    fn call(&self, env: &CallEnv, state: &mut dyn NativeState) -> NativeResult {
        let rest = env.input.slice(1.min(env.input.len())..);
        match env.input.first() {
            Some(b'w') => state.store(&B256::ZERO, B256::right_padding_from(&rest))?,
            Some(b'r') => return Ok(state.load(&B256::ZERO)?.0.into()),
            Some(b'b') => {
                let hash = state.put_blob(Domain::Evidence, rest)?;
                state.store(&B256::with_last_byte(1), hash)?;
                assert!(state.blob(&hash)?.is_some());
            }
            Some(b'g') => {
                let hash = state.load(&B256::with_last_byte(1))?;
                return Ok(state.blob(&hash)?.unwrap_or_default());
            }
            Some(b'l') => state.log(vec![B256::with_last_byte(9)], rest)?,
            Some(b'c') => state.charge(1_000_000_000)?,
            Some(b'i') => {
                // Ignores every failure.
                let _ = state.charge(1_000_000_000);
                let _ = state.store(&B256::ZERO, B256::with_last_byte(5));
                return Ok(Bytes::from_static(b"fine"));
            }
            Some(b'e') => {
                let words = [
                    env.caller.into_word(),
                    B256::from(env.value),
                    B256::from(U256::from(env.height.0)),
                    B256::from(U256::from(env.time.0)),
                    env.transaction_hash,
                ];
                return Ok(words.concat().into());
            }
            _ => {
                state.store(&B256::ZERO, B256::with_last_byte(6))?;
                return Err(revert_text("no such operation"));
            }
        }
        Ok(Bytes::new())
    }
}

fn natives() -> Vec<Arc<dyn NativeContract>> {
    vec![Arc::new(Box_)]
}

/// Forwards its call data to the box by the instruction `op`, stores success in slot 0 and ends
/// with `end`.
fn forward(op: &str, end: &str) -> String {
    let value = if matches!(op, "f1" | "f2") { "5f" } else { "" };
    let to = alloy_primitives::hex::encode(BOX);
    format!("365f5f375f5f365f{value}73{to}5a{op}{end}")
}

const KEEP: &str = "5f553d5f5f3e3d5ff3"; // store success, return the return data
const RETURN: &str = "503d5f5f3e3d5ff3"; // return the return data alone
const UNDO: &str = "5f555f5ffd"; // store success, revert

fn chain(suite: Suite) -> Chain {
    let accounts = vec![
        code(Address::repeat_byte(0xf1), &forward("f1", KEEP)),
        code(Address::repeat_byte(0xf2), &forward("f2", KEEP)),
        code(Address::repeat_byte(0xf4), &forward("f4", KEEP)),
        code(Address::repeat_byte(0xfa), &forward("fa", KEEP)),
        code(Address::repeat_byte(0xfd), &forward("f1", UNDO)),
        code(Address::repeat_byte(0xfb), &forward("fa", RETURN)),
        code(A, STORE),
        code(B, REVERT),
    ];
    Chain::with(suite, ChainParameters::default(), accounts, natives())
}

fn sequential(nonce: u64) -> Ordering {
    Ordering::Sequential { nonce }
}

fn unordered(chain: &Chain, lifetime: u64, salt: u64) -> Ordering {
    Ordering::Unordered {
        expires: chain.context.time.plus_ms(lifetime),
        salt,
    }
}

fn digest(transaction: &hawser_ledger::VerifiedTransaction, suite: Suite) -> B256 {
    match transaction.transaction().envelope() {
        Envelope::Native(native) => native.digest(suite),
        Envelope::Ethereum(_) | Envelope::Multisig(_) => panic!("not native"),
    }
}

#[test]
fn every_scheme_executes_on_both_suites() {
    for suite in [Suite::Intl, Suite::Sm] {
        for scheme in Scheme::ALL {
            let key = key(scheme, 1);
            let mut chain = chain(suite);
            let calls = vec![to(A, 0, vec![7; 32]), to(BOX, 0, b"wxyz".to_vec())];
            let output = chain.advance(&[native(&key, sequential(0), 200_000, calls, suite)]);
            assert_eq!(outcomes(&output), [Outcome::Success]);
            assert_eq!(output.receipts[0].transaction_type, 0x68);
            assert_eq!(chain.nonce(key.address()), 1);
            assert_eq!(chain.slot(A, 0), U256::from_be_bytes([7; 32]));
            assert_ne!(chain.slot(BOX, 0), U256::ZERO);
            assert_eq!(output.receipts[0].logs.len(), 1);
        }
    }
}

#[test]
fn all_calls_take_effect_or_none_and_the_nonce_stays_taken() {
    let key = key(Scheme::Sm2, 1);
    let mut chain = chain(Suite::Sm);
    let blob = vec![b'b'; 40];
    for (bad, outcome) in [
        (to(B, 0, vec![]), Outcome::Reverted),
        (to(BOX, 0, b"c".to_vec()), Outcome::Halted),
        (to(BOX, 0, b"?".to_vec()), Outcome::Reverted),
    ] {
        let nonce = chain.nonce(key.address());
        let calls = vec![
            to(A, 0, vec![7; 32]),
            to(BOX, 0, blob.clone()),
            bad,
            to(A, 0, vec![8; 32]),
        ];
        let output = chain.advance(&[native(&key, sequential(nonce), 500_000, calls, Suite::Sm)]);
        assert_eq!(outcomes(&output), [outcome]);
        assert!(output.receipts[0].logs.is_empty());
        assert!(output.changes.blobs.is_empty());
        assert_eq!(chain.slot(A, 0), U256::ZERO);
        assert_eq!(chain.slot(BOX, 1), U256::ZERO);
        assert_eq!(chain.nonce(key.address()), nonce + 1);
        let all_gas = outcome == Outcome::Halted;
        assert_eq!(output.gas_used == 500_000, all_gas);
    }
}

#[test]
fn unordered_transactions_run_once_within_their_window_and_touch_no_nonce() {
    let key = key(Scheme::Ed25519, 1);
    let mut chain = chain(Suite::Intl);
    let make = |lifetime, salt| {
        let calls = vec![to(BOX, 0, b"wa".to_vec())];
        native(
            &key,
            unordered(&chain, lifetime, salt),
            100_000,
            calls,
            Suite::Intl,
        )
    };
    let max = UNORDERED_LIFETIME_MS_MAX;
    let block = [
        make(0, 1),
        make(1, 2),
        make(max, 3),
        make(max + 1, 4),
        make(max, 3),
        make(max, 5),
    ];
    let output = chain.advance(&block);
    assert_eq!(
        outcomes(&output),
        [
            Outcome::Skipped(SkipReason::Expired),
            Outcome::Success,
            Outcome::Success,
            Outcome::Skipped(SkipReason::Expired),
            Outcome::Skipped(SkipReason::Replayed),
            Outcome::Success,
        ]
    );
    assert_eq!(output.unordered.len(), 3);
    assert_eq!(output.unordered[1].digest, digest(&block[2], Suite::Intl));
    assert_eq!(chain.nonce(key.address()), 0);
    // In a later block the digests of this one are known.
    let output = chain.advance(&block[5..]);
    assert_eq!(outcomes(&output), [Outcome::Skipped(SkipReason::Replayed)]);
}

#[test]
fn a_failed_unordered_transaction_cannot_be_replayed() {
    let key = key(Scheme::Ed25519, 1);
    let mut chain = chain(Suite::Intl);
    let bad = native(
        &key,
        unordered(&chain, 5_000, 1),
        100_000,
        vec![to(B, 0, vec![])],
        Suite::Intl,
    );
    let output = chain.advance(&[bad.clone(), bad.clone()]);
    assert_eq!(
        outcomes(&output),
        [Outcome::Reverted, Outcome::Skipped(SkipReason::Replayed)]
    );
    assert_eq!(
        outcomes(&chain.execute(&[bad])),
        [Outcome::Skipped(SkipReason::Replayed)]
    );
}

#[test]
fn creations_need_no_nonce_and_addresses_are_known_in_advance() {
    let key = key(Scheme::Sm2, 1);
    let mut chain = chain(Suite::Sm);
    let init = deploy(&alloy_primitives::hex::decode(STORE).unwrap());
    let create = || Call::Create {
        value: U256::ZERO,
        init_code: init.clone().into(),
    };
    let calls = vec![create(), create(), to(A, 0, vec![1; 32])];
    let tx = native(
        &key,
        unordered(&chain, 5_000, 1),
        1_000_000,
        calls,
        Suite::Sm,
    );
    let name = digest(&tx, Suite::Sm);
    let output = chain.advance(&[tx]);
    assert_eq!(outcomes(&output), [Outcome::Success]);
    let made: Vec<_> = (0..2)
        .map(|index| created_address(key.address(), &name, index, &init))
        .collect();
    assert_eq!(output.receipts[0].contract_address, Some(made[0]));
    for address in made {
        assert!(chain.state.account(&address).unwrap().unwrap().has_code());
    }
    assert_eq!(chain.nonce(key.address()), 0);
}

#[test]
fn values_of_all_calls_together_must_be_covered() {
    let key = key(Scheme::Secp256k1, 1);
    let mut chain = Chain::with(
        Suite::Intl,
        ChainParameters::default(),
        vec![rich(key.address())],
        natives(),
    );
    let all = u64::try_from(chain.balance(key.address())).unwrap();
    let new = |n: u8| Address::repeat_byte(n);
    let over = vec![to(new(1), all, vec![]), to(new(2), 1, vec![])];
    let exact = vec![to(new(1), all - 1, vec![]), to(new(2), 1, vec![])];
    let output = chain.advance(&[
        native(&key, sequential(0), 100_000, over, Suite::Intl),
        native(&key, sequential(0), 100_000, exact, Suite::Intl),
    ]);
    assert_eq!(
        outcomes(&output),
        [
            Outcome::Skipped(SkipReason::InsufficientFunds),
            Outcome::Success,
        ]
    );
    assert_eq!(chain.balance(new(2)), U256::from(1));
    // Base, and for the second call: access, value, new account.
    assert_eq!(output.gas_used, 21_000 + 2_600 + 9_000 + 25_000);
}

#[test]
fn intrinsic_gas_has_two_sides_and_sm2_costs_more() {
    for (scheme, extra) in [(Scheme::Ed25519, 0), (Scheme::Sm2, SM2_SIGNATURE_GAS)] {
        let key = key(scheme, 1);
        let chain = chain(Suite::Intl);
        let need = 21_000 + extra;
        let run = |gas| {
            let calls = vec![to(Address::repeat_byte(5), 0, vec![])];
            let output = chain.execute(&[native(&key, sequential(0), gas, calls, Suite::Intl)]);
            (outcomes(&output)[0], output.gas_used)
        };
        assert_eq!(run(need - 1), (Outcome::Skipped(SkipReason::Invalid), 0));
        assert_eq!(run(need), (Outcome::Success, need));
    }
}

#[test]
fn contracts_reach_natives_by_call_and_not_by_delegatecall() {
    let key = eth_key(1);
    let mut chain = chain(Suite::Intl);
    let send = |chain: &mut Chain, to: u8, input: &[u8], gas| {
        let nonce = chain.nonce(key.address());
        let to = Address::repeat_byte(to);
        let output = chain.advance(&[call_tx(&key, nonce, Some(to), 0, input.to_vec(), gas)]);
        outcomes(&output)[0]
    };
    assert_eq!(send(&mut chain, 0xf1, b"wA", 200_000), Outcome::Success);
    assert_eq!(chain.slot(Address::repeat_byte(0xf1), 0), U256::from(1));
    let stored = chain.slot(BOX, 0);
    assert_ne!(stored, U256::ZERO);
    for refused in [0xf2, 0xf4] {
        assert_eq!(send(&mut chain, refused, b"wB", 200_000), Outcome::Success);
        assert_eq!(chain.slot(Address::repeat_byte(refused), 0), U256::ZERO);
    }
    // A static call may read but not write, log or put.
    for op in [b"wB".as_slice(), b"lB", b"bB"] {
        assert_eq!(send(&mut chain, 0xfa, op, 200_000), Outcome::Success);
        assert_eq!(chain.slot(Address::repeat_byte(0xfa), 0), U256::ZERO);
    }
    assert_eq!(send(&mut chain, 0xfa, b"r", 200_000), Outcome::Success);
    assert_eq!(chain.slot(Address::repeat_byte(0xfa), 0), U256::from(1));
    assert_eq!(chain.slot(BOX, 0), stored);
}

#[test]
fn what_a_reverting_caller_had_done_natively_is_undone() {
    let key = eth_key(1);
    let mut chain = chain(Suite::Intl);
    let undo = Address::repeat_byte(0xfd);
    for input in [b"wA".to_vec(), b"lA".to_vec(), vec![b'b'; 100]] {
        let nonce = chain.nonce(key.address());
        let output = chain.advance(&[call_tx(&key, nonce, Some(undo), 0, input, 300_000)]);
        assert_eq!(outcomes(&output), [Outcome::Reverted]);
        assert!(output.receipts[0].logs.is_empty() && output.changes.blobs.is_empty());
        assert_eq!(
            (chain.slot(BOX, 0), chain.slot(BOX, 1)),
            (U256::ZERO, U256::ZERO)
        );
    }
    // The same bytes put first in a call that stays and then in one that reverts: they stay.
    let nonce = chain.nonce(key.address());
    let keep = Address::repeat_byte(0xf1);
    let output = chain.advance(&[
        call_tx(&key, nonce, Some(keep), 0, vec![b'b'; 100], 300_000),
        call_tx(&key, nonce + 1, Some(undo), 0, vec![b'b'; 100], 300_000),
    ]);
    assert_eq!(outcomes(&output), [Outcome::Success, Outcome::Reverted]);
    assert_eq!(output.changes.blobs.len(), 1);
    let hash = B256::from(chain.slot(BOX, 1));
    assert_eq!(
        chain.state.blob(&hash).unwrap().unwrap().as_ref(),
        [b'b'; 99]
    );
}

#[test]
fn a_native_contract_cannot_ignore_its_failures() {
    let key = eth_key(1);
    let mut chain = chain(Suite::Intl);
    let output = chain.advance(&[call_tx(&key, 0, Some(BOX), 0, b"i".to_vec(), 100_000)]);
    assert_eq!(outcomes(&output), [Outcome::Halted]);
    assert_eq!(output.gas_used, 100_000);
    assert_eq!(chain.slot(BOX, 0), U256::ZERO);
}

#[test]
fn native_storage_costs_what_the_evms_does() {
    let key = eth_key(1);
    let mut chain = chain(Suite::Intl);
    let input = b"wA".to_vec();
    // Base, calldata, and SSTORE of a new cold slot (EIP-2929: 20,000 + 2,100).
    let expected = 21_000 + 2 * 16 + 22_100;
    let first = chain.advance(&[call_tx(&key, 0, Some(BOX), 0, input.clone(), 100_000)]);
    assert_eq!(first.gas_used, expected);
    // The same value again: a cold read of 2,100 and 100 for nothing changed.
    let again = chain.advance(&[call_tx(&key, 1, Some(BOX), 0, input, 100_000)]);
    assert_eq!(again.gas_used, 21_000 + 2 * 16 + 2_200);
    // One gas too few.
    let short = chain.execute(&[call_tx(
        &key,
        2,
        Some(BOX),
        0,
        b"wB".to_vec(),
        21_032 + 4_999,
    )]);
    assert_eq!(outcomes(&short), [Outcome::Halted]);
}

#[test]
fn natives_see_their_environment_and_have_code() {
    let key = eth_key(1);
    let mut chain = chain(Suite::Sm);
    let account = chain.state.account(&BOX).unwrap().unwrap();
    assert!(account.has_code());
    let (height, time) = (chain.context.height, chain.context.time);
    let tx = call_tx(
        &key,
        0,
        Some(Address::repeat_byte(0xf1)),
        0,
        b"e".to_vec(),
        200_000,
    );
    let request = hawser_execution::CallRequest {
        request: hawser_execution::TransactionRequest {
            from: Some(key.address()),
            to: Some(Address::repeat_byte(0xfb).into()),
            input: Bytes::from_static(b"e").into(),
            ..Default::default()
        },
        gas_cap: 1_000_000,
        ..Default::default()
    };
    let result = chain
        .executor
        .call(
            &chain.state,
            &hawser_execution::NoHashes,
            &chain.context,
            &request,
        )
        .unwrap();
    let words: Vec<_> = result.output.chunks(32).map(B256::from_slice).collect();
    assert_eq!(words[0], Address::repeat_byte(0xfb).into_word());
    assert_eq!(U256::from_be_bytes(words[2].0), U256::from(height.0));
    assert_eq!(U256::from_be_bytes(words[3].0), U256::from(time.0));
    assert_eq!(outcomes(&chain.advance(&[tx])), [Outcome::Success]);
}

#[test]
fn an_unreadable_state_fails_the_block_and_not_the_transaction() {
    use hawser_ledger::state::{StateError, StateKey};
    struct Broken(hawser_ledger::state::MemoryState);
    impl StateRead for Broken {
        fn get(&self, key: &StateKey) -> Result<Option<Bytes>, StateError> {
            match key {
                StateKey::Storage(BOX, _) => Err(StateError::Store("disk".to_owned())),
                _ => self.0.get(key),
            }
        }
        fn blob(&self, hash: &B256) -> Result<Option<Bytes>, StateError> {
            self.0.blob(hash)
        }
    }
    let key = eth_key(1);
    let chain = chain(Suite::Intl);
    let state = Broken(chain.state.clone());
    for to in [BOX, Address::repeat_byte(0xf1)] {
        let transactions = [call_tx(&key, 0, Some(to), 0, b"r".to_vec(), 200_000)];
        let input = hawser_execution::BlockInput {
            context: chain.context,
            transactions: &transactions,
            seen_unordered: &|_| false,
        };
        let error = chain
            .executor
            .execute_block(&state, &hawser_execution::NoHashes, &input)
            .unwrap_err();
        assert!(
            matches!(error, hawser_execution::ExecutionError::State(_)),
            "{error}"
        );
    }
}

#[test]
fn registries_refuse_reserved_and_double_addresses() {
    struct At(Address);
    impl NativeContract for At {
        fn address(&self) -> Address {
            self.0
        }
        fn name(&self) -> &'static str {
            "at"
        }
        fn call(&self, _: &CallEnv, _: &mut dyn NativeState) -> NativeResult {
            Err(NativeFailure::OutOfGas)
        }
    }
    let make = |addresses: &[Address]| {
        let contracts = addresses
            .iter()
            .map(|a| Arc::new(At(*a)) as Arc<dyn NativeContract>);
        NativeRegistry::new(contracts.collect()).map(|registry| registry.list().len())
    };
    assert_eq!(make(&[A, B]), Ok(2));
    assert_eq!(make(&[A, A]), Err(RegistryError::Duplicate("at", "at")));
    let one = Address::with_last_byte(1);
    assert_eq!(make(&[one]), Err(RegistryError::Reserved("at", one)));
    assert!(make(&[hawser_execution::HISTORY_ADDRESS]).is_err());
}
