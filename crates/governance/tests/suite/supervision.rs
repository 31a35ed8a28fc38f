//! A supervisor at the gate: what it denies, flags, shadows and wants co-signed.

use std::sync::Arc;

use crate::common::*;
use hawser_execution::GateState;
use hawser_governance::{
    Case, Change, IGovernance, PolicyMode, RuleOutcome, Ruling, Supervisor, audit::EntryKind,
    operation,
};
use hawser_ledger::{AccountMode, Outcome, state::StateError};
use hawser_primitives::{Address, Bytes, U256};

/// Rules on the wei that a transaction moves: over 100 it is denied, over 50 it wants a co-signature,
/// over 10 it is flagged.
struct Limits;

impl Supervisor for Limits {
    fn judge(
        &self,
        case: &Case<'_>,
        _: &mut dyn GateState,
    ) -> Result<Vec<RuleOutcome>, StateError> {
        assert!(!case.effects.frames.is_empty(), "the trace is there");
        let moved: U256 = case.effects.transfers.iter().map(|moved| moved.value).sum();
        let moved: u64 = moved.to();
        let ruling = match moved {
            101.. => Ruling::Deny(format!("{moved} is over the limit of 100")),
            51.. => Ruling::CoSign {
                parties: vec!["role:supervisor".to_owned()],
                reason: "over 50".to_owned(),
            },
            11.. => Ruling::Flag("over 10".to_owned()),
            _ => Ruling::Allow,
        };
        let policies = case.law.charter().policies.iter();
        let used = policies.filter(|(_, policy)| policy.mode != PolicyMode::Inactive);
        Ok(used
            .map(|(id, policy)| RuleOutcome {
                id: *id,
                shadow: policy.mode == PolicyMode::Shadow,
                ruling: ruling.clone(),
            })
            .collect())
    }
}

const CALLER: Address = Address::repeat_byte(0xa1);

fn chain(mode: PolicyMode) -> Chain {
    let contracts = [contract(CALLER, caller(0xf1))];
    let supervisor: Arc<dyn Supervisor> = Arc::new(Limits);
    let section = governance(AccountMode::Open);
    let mut chain = Chain::with(Some(section), &contracts, Some(supervisor));
    chain.decide(&[Change::SetPolicy {
        id: 3,
        name: "limits".to_owned(),
        script: Bytes::from_static(b"def check(tx):\n    return allow()\n"),
    }]);
    if mode != PolicyMode::Inactive {
        chain.decide(&[Change::SetPolicyMode { id: 3, mode }]);
    }
    chain
}

#[test]
fn a_transfer_over_the_limit_is_stopped_directly_and_through_contracts() {
    let mut chain = chain(PolicyMode::Active);
    let before = chain.balance(who(30));
    for transaction in [
        chain.tx(30, Some(who(31)), 101, vec![]),
        call_tx(&key(30), 1, Some(CALLER), 0, via(who(31), 101)),
    ] {
        let receipt = chain.run(transaction);
        assert_eq!(receipt.outcome, Outcome::Reverted);
        assert_eq!(rule_of(&receipt), "policy:3");
        assert!(receipt.gas_used >= 21_000, "what ran is paid for");
        assert_eq!(chain.audit().pop().unwrap().kind, EntryKind::Intercepted);
    }
    assert_eq!(chain.balance(who(30)), before);
    assert_eq!(chain.nonce(who(30)), 2);
    let create = chain.tx(30, None, 101, vec![0x00]);
    assert_eq!(rule_of(&chain.run(create)), "policy:3");
    assert_eq!(
        chain.nonce(who(30)),
        3,
        "a creation that was stopped has its nonce too"
    );
    let fine = chain.tx(30, Some(who(31)), 5, vec![]);
    assert_eq!(chain.run(fine).outcome, Outcome::Success);
}

#[test]
fn a_flagged_transfer_goes_through_and_a_shadow_changes_nothing() {
    let mut active = chain(PolicyMode::Active);
    let transfer = active.tx(30, Some(who(31)), 11, vec![]);
    assert_eq!(active.run(transfer).outcome, Outcome::Success);
    let flagged = active.audit().pop().unwrap();
    assert_eq!(
        (flagged.kind, flagged.rule.as_str()),
        (EntryKind::Flagged, "policy:3")
    );
    let mut shadow = chain(PolicyMode::Shadow);
    let transfer = shadow.tx(30, Some(who(31)), 500, vec![]);
    assert_eq!(shadow.run(transfer).outcome, Outcome::Success);
    let noted = shadow.audit().pop().unwrap();
    assert_eq!(
        (noted.kind, noted.rule.as_str()),
        (EntryKind::Flagged, "policy:3:shadow")
    );
    assert!(noted.detail.starts_with("would deny"), "{}", noted.detail);
    let mut inactive = chain(PolicyMode::Inactive);
    let entries = inactive.audit().len();
    let transfer = inactive.tx(30, Some(who(31)), 500, vec![]);
    assert_eq!(inactive.run(transfer).outcome, Outcome::Success);
    assert_eq!(inactive.audit().len(), entries);
}

#[test]
fn a_co_signature_lets_one_operation_through_once() {
    let mut chain = chain(PolicyMode::Active);
    let send = |chain: &mut Chain| {
        let transaction = chain.tx(30, Some(who(31)), 60, vec![]);
        chain.run(transaction)
    };
    let receipt = send(&mut chain);
    assert_eq!(receipt.outcome, Outcome::Reverted);
    let asked = words(&receipt);
    assert!(asked.ends_with("needs the co-signature of role:supervisor: over 50"));
    let name = asked.split(' ').nth(2).unwrap().parse().unwrap();
    let until = chain.context.time.plus_ms(60_000).0;
    chain.ok(
        22,
        &IGovernance::cosignCall {
            operation: name,
            until,
        },
    );
    assert_eq!(send(&mut chain).outcome, Outcome::Success);
    assert_eq!(send(&mut chain).outcome, Outcome::Reverted, "it is used up");
    let until = chain.context.time.plus_ms(2_000).0;
    chain.ok(
        22,
        &IGovernance::cosignCall {
            operation: name,
            until,
        },
    );
    chain.wait(5_000);
    assert_eq!(
        send(&mut chain).outcome,
        Outcome::Reverted,
        "it has expired"
    );
}

#[test]
fn operations_differ_by_sender_value_target_and_data_and_not_by_nonce() {
    use hawser_execution::{GateBlock, GateCall, GateTransaction};
    use hawser_primitives::{B256, Height};
    let chain = Chain::new(AccountMode::Open);
    let call = GateCall {
        to: Some(who(1)),
        value: U256::from(5),
        input: Bytes::new(),
    };
    let base = GateTransaction {
        hash: B256::ZERO,
        kind: 2,
        sender: who(30),
        calls: vec![call.clone()],
        authorities: vec![],
        unsigned: false,
        block: GateBlock {
            height: Height(1),
            time: chain.context.time,
            suite: chain.genesis.suite,
            chain_id: CHAIN,
        },
    };
    let again = GateTransaction {
        hash: B256::repeat_byte(1),
        ..base.clone()
    };
    assert_eq!(operation(&base), operation(&again));
    let with = |call: GateCall| GateTransaction {
        calls: vec![call],
        ..base.clone()
    };
    let others = [
        GateTransaction {
            sender: who(31),
            ..base.clone()
        },
        with(GateCall {
            to: None,
            ..call.clone()
        }),
        with(GateCall {
            value: U256::from(6),
            ..call.clone()
        }),
        with(GateCall {
            input: Bytes::from_static(&[0]),
            ..call.clone()
        }),
        GateTransaction {
            calls: vec![call.clone(), call],
            ..base.clone()
        },
    ];
    let mut seen = std::collections::BTreeSet::from([operation(&base)]);
    for other in others {
        assert!(seen.insert(operation(&other)));
    }
}
