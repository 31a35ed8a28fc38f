//! What the gate lets through, door by door.

use crate::common::*;
use hawser_crypto::{Scheme, SecretKey};
use hawser_execution::{CallOutcome, CallRequest, NoHashes, TransactionRequest};
use hawser_governance::{
    ADDRESS, Change, Effect, IGovernance, NO_EXPIRY, Resource, Rule, Subject, Target,
    action::{Action, Actions},
    audit::EntryKind,
    target_parts,
};
use hawser_ledger::{AccountMode, Call, Ordering, Outcome};
use hawser_primitives::{Address, B256, Bytes, Time};

const CALLER: Address = Address::repeat_byte(0xa1);
const DELEGATOR: Address = Address::repeat_byte(0xa2);
const READER: Address = Address::repeat_byte(0xa3);
const DESTROYER: Address = Address::repeat_byte(0xa4);
const FACTORY: Address = Address::repeat_byte(0xa5);
const PLAIN: Address = Address::repeat_byte(0xa6);
const TOKEN: Address = Address::repeat_byte(0xa7);

/// Emits ERC-20's event with the two addresses in call data.
fn token() -> Vec<u8> {
    let topic =
        alloy_primitives::hex!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
    // LOG3 takes offset, size, topics: pushed in reverse.
    let mut code = vec![0x60, 0x20, 0x35, 0x5f, 0x35, 0x7f];
    code.extend(topic);
    code.extend([0x5f, 0x5f, 0xa3, 0x00]);
    code
}

fn chain(mode: AccountMode) -> Chain {
    let contracts = [
        contract(CALLER, caller(0xf1)),
        contract(DELEGATOR, caller(0xf4)),
        contract(READER, caller(0xfa)),
        contract(DESTROYER, DESTROY.to_vec()),
        contract(FACTORY, CREATE.to_vec()),
        contract(PLAIN, vec![0x00]),
        contract(TOKEN, token()),
    ];
    Chain::with(Some(governance(mode)), &contracts, None)
}

fn freeze(chain: &mut Chain, target: Target, until: Time) {
    let (kind, target) = target_parts(target);
    chain.ok(
        22,
        &IGovernance::freezeCall {
            kind,
            target,
            until: until.0,
            reason: "suspicion of fraud".to_owned(),
        },
    );
}

#[test]
fn a_chain_without_governance_lets_everything_through_and_says_so() {
    let mut chain = Chain::with(None, &[contract(FACTORY, CREATE.to_vec())], None);
    let transfer = chain.tx(30, Some(who(31)), 5, vec![]);
    assert_eq!(chain.run(transfer).outcome, Outcome::Success);
    let create = chain.tx(30, Some(FACTORY), 0, vec![]);
    assert_eq!(chain.run(create).outcome, Outcome::Success);
    let why = chain.refused(30, &proposal(&[Change::SetSignedReads { signed: true }]));
    assert!(why.contains("no governance"), "{why}");
    assert!(chain.audit().is_empty());
}

#[test]
fn a_refused_transaction_takes_nonce_and_intrinsic_gas_and_leaves_a_line() {
    let mut chain = chain(AccountMode::Permitted);
    let before = chain.balance(who(30));
    let transaction = chain.tx(30, Some(who(31)), 5, vec![]);
    let said = chain.pool(&transaction).unwrap();
    assert_eq!(said.rule, "mode:permitted");
    let hash = transaction.hash();
    let receipt = chain.run(transaction);
    assert_eq!(receipt.outcome, Outcome::Reverted);
    assert_eq!(receipt.gas_used, 21_000);
    assert_eq!(
        receipt.revert_data,
        said.revert_data(),
        "the same words as at the pool"
    );
    assert_eq!(chain.nonce(who(30)), 1);
    assert_eq!(chain.balance(who(30)), before);
    let last = chain.audit().pop().unwrap();
    assert_eq!(
        (last.kind, last.actor, last.transaction),
        (EntryKind::Refused, who(30), hash)
    );
    assert_eq!(last.rule, "mode:permitted");
}

#[test]
fn deployment_is_for_developers_also_inside_contracts() {
    let mut chain = chain(AccountMode::Permitted);
    for (n, allowed) in [(20, true), (21, false)] {
        let deploy = chain.tx(n, None, 0, vec![0x00]);
        assert_eq!(chain.pool(&deploy).is_none(), allowed);
        let nonce = chain.nonce(who(n));
        let receipt = chain.run(deploy);
        assert_eq!(
            receipt.outcome == Outcome::Success,
            allowed,
            "{}",
            words(&receipt)
        );
        assert_eq!(chain.nonce(who(n)), nonce + 1);
        let inside = chain.tx(n, Some(FACTORY), 0, vec![]);
        assert_eq!(chain.pool(&inside), None, "the pool does not see inside");
        let receipt = chain.run(inside);
        assert_eq!(
            receipt.outcome == Outcome::Success,
            allowed,
            "{}",
            words(&receipt)
        );
        if !allowed {
            assert_eq!(rule_of(&receipt), "default");
            assert_eq!(chain.audit().pop().unwrap().kind, EntryKind::FrameRefused);
        }
    }
    let native_deploy = Call::Create {
        value: Default::default(),
        init_code: Bytes::from_static(&[0]),
    };
    let nonce = chain.nonce(who(21));
    let tx = native(
        &key(21),
        Ordering::Sequential { nonce },
        vec![native_deploy],
    );
    assert!(chain.pool(&tx).is_some());
    let receipt = chain.run(tx);
    assert_eq!(
        (receipt.outcome, rule_of(&receipt).as_str()),
        (Outcome::Reverted, "default")
    );
    assert_eq!(chain.nonce(who(21)), nonce + 1);
}

#[test]
fn a_frozen_account_finds_every_door_closed() {
    let mut chain = chain(AccountMode::Open);
    let (me, thief) = (key(30), who(30));
    let sm2 = SecretKey::from_seed(Scheme::Sm2, &[9; 32]).unwrap();
    freeze(&mut chain, Target::Account(thief), NO_EXPIRY);
    freeze(&mut chain, Target::Account(sm2.address()), NO_EXPIRY);
    let expires = chain.context.time.plus_ms(60_000);
    let unordered = Ordering::Unordered { expires, salt: 1 };
    let sequential = Ordering::Sequential { nonce: 4 };
    // Every envelope that the account could sign.
    let signed = [
        legacy_tx(&me, 0, who(31), 0),
        legacy_tx(&me, 1, who(31), 1),
        call_tx(&me, 2, Some(PLAIN), 0, vec![]),
        delegation_tx(&me, 3, PLAIN, vec![authorize(&key(31), 0, PLAIN)]),
        native(&me, sequential, vec![to(PLAIN, 0, vec![])]),
        call_tx(&me, 5, None, 0, vec![0]),
        call_tx(&me, 6, Some(ADDRESS), 0, vec![1, 2, 3, 4]),
        native(&me, unordered, vec![to(PLAIN, 0, vec![])]),
        native(
            &sm2,
            Ordering::Sequential { nonce: 0 },
            vec![to(PLAIN, 0, vec![])],
        ),
    ];
    for (at, transaction) in signed.into_iter().enumerate() {
        let said = chain.pool(&transaction);
        assert_eq!(
            said.unwrap().rule,
            "freeze:account",
            "door {at} at the pool"
        );
        let receipt = chain.run(transaction);
        assert_eq!(receipt.outcome, Outcome::Reverted, "door {at}");
        assert_eq!(rule_of(&receipt), "freeze:account", "door {at}");
    }
    assert_eq!(
        chain.nonce(thief),
        7,
        "each took its nonce, the unordered one none"
    );
    assert_eq!(
        chain.nonce(who(31)),
        0,
        "a refused delegation leaves the authority alone"
    );
    // Others on its behalf.
    let before = chain.balance(thief);
    let others = [
        ("value sent to it", chain.tx(31, Some(thief), 1, vec![])),
        (
            "value by a contract",
            chain.tx(32, Some(CALLER), 0, via(thief, 1)),
        ),
        (
            "value by destruction",
            chain.tx(33, Some(DESTROYER), 0, word(thief)),
        ),
        (
            "its own authorization",
            delegation_tx(&key(34), 0, PLAIN, vec![authorize(&me, 7, PLAIN)]),
        ),
        (
            "tokens taken from it",
            chain.tx(35, Some(TOKEN), 0, [word(thief), word(who(31))].concat()),
        ),
        (
            "tokens given to it",
            chain.tx(36, Some(TOKEN), 0, [word(who(31)), word(thief)].concat()),
        ),
        (
            "value in a batch",
            native(
                &key(37),
                Ordering::Sequential { nonce: 0 },
                vec![to(who(31), 1, vec![]), to(thief, 1, vec![])],
            ),
        ),
        ("a call of it", chain.tx(38, Some(READER), 0, via(thief, 0))),
    ];
    for (door, transaction) in others {
        let sender = transaction.sender();
        let (funds, nonce) = (chain.balance(sender), chain.nonce(sender));
        let receipt = chain.run(transaction);
        assert_eq!(receipt.outcome, Outcome::Reverted, "{door}");
        assert!(
            rule_of(&receipt).starts_with("freeze:"),
            "{door}: {}",
            words(&receipt)
        );
        assert_eq!(
            (chain.balance(sender), chain.nonce(sender)),
            (funds, nonce + 1),
            "{door}"
        );
    }
    assert_eq!(chain.balance(thief), before);
    // What does not concern it goes on.
    let fine = chain.tx(31, Some(TOKEN), 0, [word(who(31)), word(who(32))].concat());
    assert_eq!(chain.run(fine).outcome, Outcome::Success);
    let fine = chain.tx(33, Some(DESTROYER), 0, word(who(32)));
    assert_eq!(chain.run(fine).outcome, Outcome::Success);
}

#[test]
fn a_frozen_account_cannot_act_through_an_account_of_several_signers() {
    let mut chain = chain(AccountMode::Open);
    freeze(&mut chain, Target::Account(who(30)), NO_EXPIRY);
    let call = || to(PLAIN, 0, vec![]);
    let with = multisig(2, &[key(30), key(50), key(51)], 0, call());
    assert_eq!(chain.pool(&with).unwrap().rule, "freeze:account");
    let receipt = chain.run(with);
    assert_eq!(receipt.outcome, Outcome::Reverted);
    assert_eq!(rule_of(&receipt), "freeze:account");
    // The same account without that signer goes on.
    let without = multisig(2, &[key(50), key(51), key(30)], 1, call());
    assert_eq!(chain.pool(&without), None);
    assert_eq!(chain.run(without).outcome, Outcome::Success);
}

#[test]
fn a_frozen_contract_runs_for_nobody_and_asset_freezes_hold() {
    let mut chain = chain(AccountMode::Open);
    let early = delegation_tx(&key(35), 0, who(31), vec![authorize(&key(36), 0, PLAIN)]);
    assert_eq!(chain.run(early).outcome, Outcome::Success);
    freeze(&mut chain, Target::Contract(PLAIN), NO_EXPIRY);
    let direct = chain.tx(31, Some(PLAIN), 0, vec![1, 2, 3, 4]);
    assert_eq!(chain.pool(&direct).unwrap().rule, "freeze:contract");
    assert_eq!(rule_of(&chain.run(direct)), "freeze:contract");
    for by in [CALLER, DELEGATOR, READER] {
        let transaction = chain.tx(31, Some(by), 0, via(PLAIN, 0));
        let receipt = chain.run(transaction);
        assert_eq!(receipt.outcome, Outcome::Reverted, "{by}");
        assert_eq!(rule_of(&receipt), "freeze:account", "{by}");
    }
    // An account that delegates to frozen code, after the freeze or before.
    let delegate = delegation_tx(
        &key(31),
        chain.nonce(who(31)),
        who(32),
        vec![authorize(&key(32), 0, PLAIN)],
    );
    assert_eq!(rule_of(&chain.run(delegate)), "freeze:account");
    let delegated = chain.tx(35, Some(who(36)), 0, vec![1]);
    assert_eq!(rule_of(&chain.run(delegated)), "freeze:account");
    let asset = Target::Asset(hawser_governance::token_asset(&TOKEN));
    freeze(&mut chain, asset, NO_EXPIRY);
    let moved = chain.tx(33, Some(TOKEN), 0, [word(who(31)), word(who(32))].concat());
    assert_eq!(rule_of(&chain.run(moved)), "freeze:asset");
    freeze(&mut chain, Target::Asset(B256::ZERO), NO_EXPIRY);
    let coin = chain.tx(33, Some(who(34)), 1, vec![]);
    assert_eq!(chain.pool(&coin).unwrap().rule, "freeze:asset");
    let coin = chain.tx(33, Some(CALLER), 0, via(who(34), 1));
    assert_eq!(rule_of(&chain.run(coin)), "freeze:asset");
}

#[test]
fn a_freeze_ends_with_its_time_or_when_it_is_lifted() {
    let mut chain = chain(AccountMode::Open);
    let until = chain.context.time.plus_ms(3_000);
    freeze(&mut chain, Target::Account(who(30)), until);
    let again = |chain: &mut Chain| {
        let transaction = chain.tx(30, Some(who(31)), 1, vec![]);
        chain.run(transaction).outcome
    };
    assert_eq!(again(&mut chain), Outcome::Reverted);
    chain.context.time = until;
    assert_eq!(again(&mut chain), Outcome::Success);
    freeze(&mut chain, Target::Account(who(30)), NO_EXPIRY);
    assert_eq!(again(&mut chain), Outcome::Reverted);
    let (kind, target) = target_parts(Target::Account(who(30)));
    let lift = IGovernance::unfreezeCall {
        kind,
        target,
        reason: "cleared".to_owned(),
    };
    let why = chain.refused(24, &lift);
    assert!(
        why.starts_with("default:"),
        "an auditor does not lift: {why}"
    );
    chain.ok(22, &lift);
    assert_eq!(again(&mut chain), Outcome::Success);
    let late = IGovernance::freezeCall {
        kind,
        target,
        until: 5,
        reason: "x".to_owned(),
    };
    assert!(chain.refused(22, &late).contains("already"));
}

#[test]
fn a_freeze_within_a_batch_holds_for_the_rest_of_it() {
    let mut chain = chain(AccountMode::Open);
    let (kind, target) = target_parts(Target::Account(who(30)));
    let input = alloy_sol_types::SolCall::abi_encode(&IGovernance::freezeCall {
        kind,
        target,
        until: u64::MAX,
        reason: "now".to_owned(),
    });
    let calls = vec![to(ADDRESS, 0, input), to(who(30), 1, vec![])];
    let tx = native(&key(22), Ordering::Sequential { nonce: 0 }, calls);
    let receipt = chain.run(tx);
    assert_eq!(
        (receipt.outcome, rule_of(&receipt).as_str()),
        (Outcome::Reverted, "freeze:account")
    );
}

#[test]
fn rules_on_methods_and_assets_reach_the_outer_call_and_what_contracts_move() {
    let mut chain = chain(AccountMode::Open);
    let rule = |subject, action, resource| Rule {
        subject,
        actions: Actions::of(&[action]),
        resource,
        effect: Effect::Deny,
        note: "not here".to_owned(),
    };
    let method = Resource::Method(PLAIN, [1, 2, 3, 4]);
    let coin = Resource::Asset(B256::ZERO);
    chain.decide(&[
        Change::SetRule {
            id: 7,
            rule: rule(Subject::Outsiders, Action::Call, method),
        },
        Change::SetRule {
            id: 8,
            rule: rule(Subject::Account(who(33)), Action::Transfer, coin),
        },
    ]);
    let tx = chain.tx(30, Some(PLAIN), 0, vec![1, 2, 3, 4, 5]);
    assert_eq!(chain.pool(&tx).unwrap().rule, "rule:7");
    let receipt = chain.run(tx);
    assert_eq!(rule_of(&receipt), "rule:7");
    assert!(words(&receipt).contains("not here"));
    let other = chain.tx(30, Some(PLAIN), 0, vec![1, 2, 3, 5]);
    assert_eq!(chain.run(other).outcome, Outcome::Success);
    let direct = chain.tx(33, Some(who(34)), 1, vec![]);
    assert_eq!(rule_of(&chain.run(direct)), "rule:8");
    let through = chain.tx(33, Some(CALLER), 0, via(who(34), 1));
    let receipt = chain.run(through);
    assert_eq!(
        (receipt.outcome, rule_of(&receipt).as_str()),
        (Outcome::Reverted, "rule:8")
    );
    assert_eq!(chain.audit().pop().unwrap().kind, EntryKind::Intercepted);
}

#[test]
fn an_estimate_says_what_the_transaction_would() {
    let chain = chain(AccountMode::Permitted);
    let request = CallRequest {
        request: TransactionRequest {
            from: Some(who(30)),
            to: Some(PLAIN.into()),
            ..TransactionRequest::default()
        },
        gas_cap: 10_000_000,
        ..CallRequest::default()
    };
    let error = chain
        .executor
        .estimate_gas(&chain.state, &NoHashes, &chain.context, &request)
        .unwrap_err();
    let hawser_execution::ExecutionError::Reverted(data) = error else {
        panic!("{error}");
    };
    let finding = hawser_execution::Finding::from_revert_data(&data).unwrap();
    assert_eq!(finding.rule, "mode:permitted");
    // A call is a question: nobody signed it.
    let answer = chain
        .executor
        .call(&chain.state, &NoHashes, &chain.context, &request)
        .unwrap();
    assert_eq!(answer.outcome, CallOutcome::Success);
}
