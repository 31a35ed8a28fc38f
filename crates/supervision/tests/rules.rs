//! Rules at work on a governed chain: what they refuse, mark and remember.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "../../governance/tests/common/mod.rs"]
mod common;

use std::{collections::BTreeSet, sync::Arc};

use common::*;
use hawser_crypto::Suite;
use hawser_governance::{
    Change, IGovernance, PolicyMode,
    audit::{Entry, EntryKind},
};
use hawser_ledger::{AccountMode, Call, Ordering, Outcome, Receipt};
use hawser_primitives::{B256, Time, U256};
use hawser_supervision::{RuleSupervisor, risk};

/// A chain with one rule.
fn chain(script: &str, mode: PolicyMode) -> Chain {
    let supervisor = Arc::new(RuleSupervisor::new());
    let section = governance(AccountMode::Permitted);
    let mut chain = Chain::with(Some(section), &[], Some(supervisor));
    set(&mut chain, 1, script, mode);
    chain
}

fn set(chain: &mut Chain, id: u32, script: &str, mode: PolicyMode) {
    let script = script.as_bytes().to_vec().into();
    let name = format!("rule {id}");
    let written = Change::SetPolicy { id, name, script };
    chain.decide(&[written, Change::SetPolicyMode { id, mode }]);
}

/// The user pays the developer.
fn pay(chain: &mut Chain, value: u64) -> Receipt {
    let transaction = chain.tx(21, Some(who(20)), value, Vec::new());
    chain.run(transaction)
}

fn last(chain: &Chain) -> Entry {
    chain.audit().pop().unwrap()
}

const LIMIT: &str = "
def check(tx):
    if tx.value > 1000:
        return deny('over the limit: %d' % tx.value)
";

#[test]
fn an_active_rule_undoes_what_it_denies_and_lets_the_rest_through() {
    let mut chain = chain(LIMIT, PolicyMode::Active);
    let before = chain.balance(who(20));
    assert_eq!(pay(&mut chain, 1_000).outcome, Outcome::Success);
    let entries = chain.audit().len();
    let nonce = chain.nonce(who(21));
    let receipt = pay(&mut chain, 1_001);
    assert_eq!(receipt.outcome, Outcome::Reverted);
    assert_eq!(words(&receipt), "policy:1: over the limit: 1001");
    assert!(receipt.logs.is_empty());
    assert_eq!(chain.balance(who(20)), before + U256::from(1_000));
    assert_eq!(chain.nonce(who(21)), nonce + 1, "it is on the record");
    assert_eq!(chain.audit().len(), entries + 1);
    let entry = last(&chain);
    assert_eq!((entry.kind, entry.actor), (EntryKind::Intercepted, who(21)));
    assert_eq!(entry.rule, "policy:1");
}

#[test]
fn a_shadow_rule_is_only_written_down() {
    let mut chain = chain(LIMIT, PolicyMode::Shadow);
    assert_eq!(pay(&mut chain, 5_000).outcome, Outcome::Success);
    let entry = last(&chain);
    assert_eq!(entry.kind, EntryKind::Flagged);
    assert_eq!(entry.rule, "policy:1:shadow");
    assert_eq!(entry.detail, "would deny: over the limit: 5000");
    let view = risk::of_account(
        Suite::Intl,
        &chain.state,
        who(21),
        &BTreeSet::new(),
        Time(0),
    );
    assert_eq!(view.unwrap().history.flags, 0, "shadows do not count");
}

#[test]
fn native_batches_and_inner_transfers_are_seen_as_well() {
    let relay = hawser_primitives::Address::repeat_byte(0xa1);
    let supervisor = Arc::new(RuleSupervisor::new());
    let section = governance(AccountMode::Open);
    let contracts = [contract(relay, caller(0xf1))];
    let mut chain = Chain::with(Some(section), &contracts, Some(supervisor));
    set(
        &mut chain,
        1,
        "def check(tx):\n    for t in tx.transfers:\n        if t.target == address('%s') and not tx.truncated:\n            return deny('blocked, %d calls inside' % len(tx.trace))\n"
            .replace("%s", &who(40).to_string())
            .as_str(),
        PolicyMode::Active,
    );
    let nonce = chain.nonce(who(20));
    let calls: Vec<Call> = vec![to(who(21), 5, vec![]), to(who(40), 5, vec![])];
    let batch = native(&key(20), Ordering::Sequential { nonce }, calls);
    assert_eq!(
        words(&chain.run(batch)),
        "policy:1: blocked, 0 calls inside"
    );
    let inner = chain.tx(20, Some(relay), 5, via(who(40), 5));
    assert_eq!(
        words(&chain.run(inner)),
        "policy:1: blocked, 1 calls inside"
    );
    let inner = chain.tx(20, Some(relay), 5, via(who(21), 5));
    assert_eq!(chain.run(inner).outcome, Outcome::Success);
}

#[test]
fn flags_and_denials_are_counted_for_account_and_organisation() {
    let script = "
def check(tx):
    if tx.value > 1000:
        return deny('no')
    if tx.value > 100 and 'user' in tx.roles and tx.organisation == 'org1':
        return flag('look')
";
    let mut chain = chain(script, PolicyMode::Active);
    for value in [50, 500, 600, 5_000] {
        pay(&mut chain, value);
    }
    let now = chain.context.time;
    let none = BTreeSet::new();
    let account = risk::of_account(Suite::Intl, &chain.state, who(21), &none, now).unwrap();
    assert_eq!((account.history.flags, account.history.denials), (2, 1));
    assert_eq!(account.organisation_name.as_deref(), Some("org1"));
    let all = risk::organisations(Suite::Intl, &chain.state, now).unwrap();
    let counts: Vec<_> = all
        .iter()
        .map(|risk| {
            (
                risk.organisation.unwrap(),
                risk.history.flags,
                risk.history.denials,
            )
        })
        .collect();
    assert_eq!(counts, [(1, 2, 1), (2, 0, 0), (3, 0, 0)]);
    // No rule reads history, so none is kept.
    assert_eq!(account.history.day.count, 0);
}

#[test]
fn history_counts_what_took_effect_and_leaves_the_window() {
    let script = "
def check(tx):
    if tx.history.sender.day.amount + tx.value > 1000:
        return deny('%d sent today' % tx.history.sender.day.amount)
    if tx.history.organisation.hour.count >= 3:
        return flag('busy')
";
    let mut chain = chain(script, PolicyMode::Active);
    assert_eq!(pay(&mut chain, 600).outcome, Outcome::Success);
    assert_eq!(words(&pay(&mut chain, 600)), "policy:1: 600 sent today");
    assert_eq!(pay(&mut chain, 400).outcome, Outcome::Success);
    assert_eq!(words(&pay(&mut chain, 1)), "policy:1: 1000 sent today");
    // A colleague has a day of its own, and the organisation's hour.
    let other = chain.tx(20, Some(who(21)), 500, Vec::new());
    assert_eq!(chain.run(other).outcome, Outcome::Success);
    let other = chain.tx(20, Some(who(21)), 1, Vec::new());
    assert_eq!(chain.run(other).outcome, Outcome::Success);
    let entry = last(&chain);
    assert_eq!(
        (entry.kind, entry.detail.as_str()),
        (EntryKind::Flagged, "busy")
    );
    chain.wait(25 * 60 * 60 * 1000);
    assert_eq!(pay(&mut chain, 1_000).outcome, Outcome::Success);
    let now = chain.context.time;
    let view = risk::of_account(Suite::Intl, &chain.state, who(21), &BTreeSet::new(), now).unwrap();
    assert_eq!(view.history.day.amount, U256::from(1_000));
    assert_eq!(view.history.month.amount, U256::from(2_000));
    assert!(view.history.first_seen_ms.is_some());
}

/// The operation that a refusal names.
fn operation_of(receipt: &Receipt) -> B256 {
    let text = words(receipt);
    let name = text.strip_prefix("policy:1: operation ").unwrap();
    name.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn co_signatures_of_all_parties_let_one_transaction_through() {
    let script = "
def check(tx):
    if tx.value > 1000:
        return cosign(['role:supervisor', 'org:org2'], 'large')
";
    let mut chain = chain(script, PolicyMode::Active);
    let refused = pay(&mut chain, 5_000);
    let operation = operation_of(&refused);
    let named = "needs the co-signature of role:supervisor, org:org2: large";
    assert!(words(&refused).ends_with(named), "{}", words(&refused));
    let until = chain.context.time.plus_ms(60_000).0;
    let call = IGovernance::cosignCall { operation, until };
    chain.ok(22, &call);
    let refused = pay(&mut chain, 5_000);
    let named = "needs the co-signature of org:org2: large";
    assert!(words(&refused).ends_with(named), "{}", words(&refused));
    chain.ok(2, &call);
    let other = pay(&mut chain, 5_001);
    assert_eq!(other.outcome, Outcome::Reverted, "another operation");
    assert_eq!(pay(&mut chain, 5_000).outcome, Outcome::Success);
    let again = pay(&mut chain, 5_000);
    assert_eq!(again.outcome, Outcome::Reverted, "they are used up");
}

#[test]
fn two_rules_ask_one_after_the_other_and_what_was_given_stays() {
    let rule = |party: &str| {
        format!(
            "def check(tx):\n    if tx.value > 1000:\n        return cosign('{party}', 'large')\n"
        )
    };
    let mut chain = chain(&rule("role:supervisor"), PolicyMode::Active);
    set(&mut chain, 2, &rule("org:org2"), PolicyMode::Active);
    let operation = operation_of(&pay(&mut chain, 5_000));
    let until = chain.context.time.plus_ms(600_000).0;
    let call = IGovernance::cosignCall { operation, until };
    chain.ok(22, &call);
    let second = pay(&mut chain, 5_000);
    assert!(
        words(&second).starts_with("policy:2: operation"),
        "{}",
        words(&second)
    );
    chain.ok(2, &call);
    assert_eq!(pay(&mut chain, 5_000).outcome, Outcome::Success);
}

#[test]
fn a_co_signature_of_somebody_else_is_not_taken() {
    let script = "
def check(tx):
    if tx.value > 1000:
        return cosign(['org:org2'], 'large')
";
    let mut chain = chain(script, PolicyMode::Active);
    let operation = operation_of(&pay(&mut chain, 5_000));
    let until = chain.context.time.plus_ms(60_000).0;
    let why = chain.refused(22, &IGovernance::cosignCall { operation, until });
    assert!(why.ends_with("missing are org:org2"), "{why}");
}

#[test]
fn a_rule_that_fails_has_its_defined_outcome_and_never_stops_a_block() {
    let hostile = [
        (
            "def check(tx):\n    for i in range(1000000000000):\n        pass\n",
            "steps",
        ),
        (
            "def check(tx):\n    return deny('x' * 1000000000)\n",
            "string",
        ),
        ("def check(tx):\n    fail('broken')\n", "broken"),
        (
            "def f(n):\n    return f(n)\ndef check(tx):\n    return f(1)\n",
            "nested",
        ),
    ];
    for (script, part) in hostile {
        let mut chain = chain(script, PolicyMode::Active);
        let receipt = pay(&mut chain, 1);
        assert_eq!(receipt.outcome, Outcome::Reverted, "{script}");
        assert!(
            words(&receipt).contains(part),
            "{script}: {}",
            words(&receipt)
        );
        // Governors can still take the rule out of force.
        chain.decide(&[Change::SetPolicyMode {
            id: 1,
            mode: PolicyMode::Inactive,
        }]);
        assert_eq!(pay(&mut chain, 1).outcome, Outcome::Success, "{script}");
    }
    let watching =
        "ON_EXCEED = 'flag'\ndef check(tx):\n    for i in range(1000000000000):\n        pass\n";
    let mut chain = chain(watching, PolicyMode::Active);
    assert_eq!(pay(&mut chain, 1).outcome, Outcome::Success);
    assert_eq!(last(&chain).kind, EntryKind::Flagged);
}

#[test]
fn two_replicas_agree_whatever_they_ran_before() {
    let script = include_str!("../../../examples/policy/structuring.star");
    let mut one = chain(script, PolicyMode::Active);
    let mut two = chain(script, PolicyMode::Active);
    for value in [10, 20, 30, 1_000_000] {
        let tx = one.tx(21, Some(who(20)), value, Vec::new());
        let (a, b) = (
            one.block(std::slice::from_ref(&tx)),
            two.block(std::slice::from_ref(&tx)),
        );
        assert_eq!(a, b);
    }
}
