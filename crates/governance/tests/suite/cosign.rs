//! Co-signatures of several parties: who may give one, for how long, how often, and what is missing.

use std::sync::Arc;

use crate::common::*;
use alloy_sol_types::SolCall;
use hawser_execution::GateState;
use hawser_governance::{
    ADDRESS, Case, Change, IGovernance, PolicyMode, RuleOutcome, Ruling, Supervisor,
    access::StateView,
    audit::EntryKind,
    cosign::{COSIGN_MS_MAX, CoSignStatus, status},
    query,
};
use hawser_ledger::{AccountMode, Outcome, Receipt, state::StateError};
use hawser_primitives::{Address, B256, Bytes, U256};

/// Every transfer over 50 wants the co-signatures of these parties.
struct Asks(Vec<String>);

impl Supervisor for Asks {
    fn judge(
        &self,
        case: &Case<'_>,
        _: &mut dyn GateState,
    ) -> Result<Vec<RuleOutcome>, StateError> {
        let moved: U256 = case.effects.transfers.iter().map(|moved| moved.value).sum();
        let ruling = if moved > U256::from(50) {
            Ruling::CoSign {
                parties: self.0.clone(),
                reason: "over 50".to_owned(),
            }
        } else {
            Ruling::Allow
        };
        Ok(vec![RuleOutcome {
            id: 3,
            shadow: false,
            ruling,
        }])
    }
}

fn address(account: Address) -> String {
    account.to_string().to_ascii_lowercase()
}

/// A chain on which the user's transfers over 50 want co-signatures.
fn chain(parties: &[String]) -> Chain {
    let supervisor: Arc<dyn Supervisor> = Arc::new(Asks(parties.to_vec()));
    let section = governance(AccountMode::Permitted);
    let mut chain = Chain::with(Some(section), &[], Some(supervisor));
    chain.decide(&[
        Change::SetPolicy {
            id: 3,
            name: "asks".to_owned(),
            script: Bytes::from_static(b"def check(tx):\n    return allow()\n"),
        },
        Change::SetPolicyMode {
            id: 3,
            mode: PolicyMode::Active,
        },
    ]);
    chain
}

/// A supervisor, somebody of the second organisation, and the third one's governor by address.
fn three() -> Vec<String> {
    let parties = ["role:supervisor".to_owned(), "org:org2".to_owned()];
    parties.into_iter().chain([address(who(3))]).collect()
}

fn pay(chain: &mut Chain, value: u64) -> Receipt {
    let transaction = chain.tx(21, Some(who(20)), value, vec![]);
    chain.run(transaction)
}

/// Sends what is stopped; the operation as the refusal names it.
fn stopped(chain: &mut Chain, value: u64) -> B256 {
    let receipt = pay(chain, value);
    assert_eq!(receipt.outcome, Outcome::Reverted);
    let text = words(&receipt);
    let name = text.strip_prefix("policy:3: operation ").unwrap();
    name.split(' ').next().unwrap().parse().unwrap()
}

fn hour(chain: &Chain, operation: B256) -> IGovernance::cosignCall {
    let until = chain.context.time.plus_ms(3_600_000).0;
    IGovernance::cosignCall { operation, until }
}

fn stands(chain: &Chain, operation: &B256) -> Option<CoSignStatus> {
    let law = query::law(&Default::default(), &chain.state)
        .unwrap()
        .unwrap();
    let now = chain.context.time;
    status(&law, &mut StateView(&chain.state), operation, now).unwrap()
}

#[test]
fn an_operation_runs_once_when_every_party_has_given_its_own() {
    let mut chain = chain(&three());
    let operation = stopped(&mut chain, 60);
    let missing = |chain: &Chain| stands(chain, &operation).unwrap().missing;
    assert_eq!(missing(&chain), three());
    for (signer, left) in [(2, [0, 2].as_slice()), (22, &[2]), (3, &[])] {
        let call = hour(&chain, operation);
        chain.ok(signer, &call);
        let left: Vec<_> = left.iter().map(|at| three()[*at].clone()).collect();
        assert_eq!(missing(&chain), left);
        let entry = chain.audit().pop().unwrap();
        assert_eq!(
            (entry.kind, entry.actor),
            (EntryKind::Cosigned, who(signer))
        );
        let told = match left.join(", ").as_str() {
            "" => "nobody is missing".to_owned(),
            left => format!("missing {left}"),
        };
        assert!(entry.detail.ends_with(&told), "{}", entry.detail);
        if !left.is_empty() {
            let refused = words(&pay(&mut chain, 60));
            let named = format!("needs the co-signature of {}: over 50", left.join(", "));
            assert!(refused.ends_with(&named), "{refused}");
        }
    }
    assert_eq!(
        pay(&mut chain, 61).outcome,
        Outcome::Reverted,
        "another one"
    );
    let before = chain.balance(who(20));
    assert_eq!(pay(&mut chain, 60).outcome, Outcome::Success);
    assert_eq!(chain.balance(who(20)), before + U256::from(60));
    assert_eq!(stands(&chain, &operation), None);
    // Used up: it is stopped again and the old co-signatures are gone.
    assert_eq!(stopped(&mut chain, 60), operation);
    assert_eq!(missing(&chain), three());
}

#[test]
fn nothing_can_be_co_signed_that_no_rule_has_stopped_or_that_has_run() {
    let mut chain = chain(&["role:supervisor".to_owned()]);
    let stray = hour(&chain, B256::repeat_byte(7));
    let why = chain.refused(22, &stray);
    assert!(why.contains("that waits for a co-signature"), "{why}");
    let operation = stopped(&mut chain, 60);
    let call = hour(&chain, operation);
    chain.ok(22, &call);
    assert_eq!(pay(&mut chain, 60).outcome, Outcome::Success);
    let replayed = chain.refused(22, &call);
    assert!(replayed.contains("it has run"), "{replayed}");
}

#[test]
fn whoever_is_not_asked_is_refused_with_those_who_are() {
    let mut chain = chain(&three());
    let operation = stopped(&mut chain, 60);
    let call = hour(&chain, operation);
    let own = chain.refused(21, &call);
    assert_eq!(
        own,
        "policy:3: whoever sends an operation cannot co-sign it"
    );
    let other = chain.refused(23, &call);
    assert!(
        other.starts_with("policy:3: the co-signature of"),
        "{other}"
    );
    let named = format!("is not asked for; missing are {}", three().join(", "));
    assert!(other.ends_with(&named), "{other}");
    let outsider = chain.refused(30, &call);
    assert!(outsider.starts_with("mode:"), "{outsider}");
    // Whose party has signed already is not asked for any more.
    chain.ok(22, &call);
    chain.decide(&[Change::SetRoles {
        account: who(23),
        roles: hawser_governance::action::Roles::from_names(&["supervisor"]).unwrap(),
    }]);
    let late = chain.refused(23, &hour(&chain, operation));
    assert!(late.contains("missing are org:org2"), "{late}");
    for signer in [2, 3] {
        let call = hour(&chain, operation);
        chain.ok(signer, &call);
    }
    let over = chain.refused(23, &hour(&chain, operation));
    assert_eq!(
        over,
        "policy:3: all parties have co-signed; the operation runs when it is sent again"
    );
}

#[test]
fn one_account_signs_once_and_for_one_party_only() {
    let parties = ["role:supervisor".to_owned(), "org:org1".to_owned()];
    let mut chain = chain(&parties);
    let operation = stopped(&mut chain, 60);
    let call = hour(&chain, operation);
    chain.ok(22, &call);
    let again = chain.refused(22, &hour(&chain, operation));
    assert!(
        again.contains("has co-signed this operation already"),
        "{again}"
    );
    assert_eq!(stands(&chain, &operation).unwrap().missing, ["org:org1"]);
    assert_eq!(pay(&mut chain, 60).outcome, Outcome::Reverted);
    chain.ok(23, &call);
    assert_eq!(pay(&mut chain, 60).outcome, Outcome::Success);
}

#[test]
fn a_co_signature_ends_and_its_length_is_bounded() {
    let mut chain = chain(&["role:supervisor".to_owned()]);
    let operation = stopped(&mut chain, 60);
    let at = |until: u64| IGovernance::cosignCall { operation, until };
    // The block's time moves on by a second with every block of these tests.
    let now = chain.context.time.0;
    let long = chain.refused(22, &at(now + COSIGN_MS_MAX + 1));
    assert!(long.contains("at most 604800000 ms"), "{long}");
    let now = chain.context.time.0;
    let stale = chain.refused(22, &at(now));
    assert!(stale.contains("would end at"), "{stale}");
    let now = chain.context.time.0;
    chain.ok(22, &at(now + COSIGN_MS_MAX));
    chain.wait(COSIGN_MS_MAX - 1_000);
    assert_eq!(
        pay(&mut chain, 60).outcome,
        Outcome::Reverted,
        "it has ended"
    );
    assert_eq!(
        stands(&chain, &operation).unwrap().missing,
        ["role:supervisor"]
    );
    // Afterwards the same account may give another.
    let now = chain.context.time.0;
    chain.ok(22, &at(now + 1_001));
    assert_eq!(
        pay(&mut chain, 60).outcome,
        Outcome::Success,
        "a millisecond is left"
    );
}

#[test]
fn a_co_signer_that_loses_its_standing_or_role_counts_no_more() {
    let mut chain = chain(&["role:supervisor".to_owned()]);
    let operation = stopped(&mut chain, 60);
    let call = hour(&chain, operation);
    chain.ok(22, &call);
    assert!(stands(&chain, &operation).unwrap().missing.is_empty());
    let account = who(22);
    chain.decide(&[Change::SuspendMember {
        account,
        suspended: true,
    }]);
    assert_eq!(pay(&mut chain, 60).outcome, Outcome::Reverted);
    let frozen = chain.refused(22, &hour(&chain, operation));
    assert!(
        frozen.starts_with("member:") || frozen.contains("suspended"),
        "{frozen}"
    );
    // Another supervisor takes its place.
    let roles = hawser_governance::action::Roles::from_names(&["supervisor"]).unwrap();
    chain.decide(&[Change::SetRoles {
        account: who(23),
        roles,
    }]);
    let call = hour(&chain, operation);
    chain.ok(23, &call);
    let given = stands(&chain, &operation).unwrap().request.given;
    assert_eq!(given.len(), 1);
    assert_eq!(given[0].account, who(23));
    assert_eq!(pay(&mut chain, 60).outcome, Outcome::Success);
}

#[test]
fn contracts_and_tools_can_ask_how_an_operation_stands() {
    let mut chain = chain(&three());
    let operation = stopped(&mut chain, 60);
    let call = hour(&chain, operation);
    chain.ok(2, &call);
    let question = IGovernance::coSignaturesCall { operation };
    let receipt = chain.call(24, &question);
    assert_eq!(receipt.outcome, Outcome::Success);
    let ask = |chain: &Chain, operation| {
        let question = IGovernance::coSignaturesCall { operation };
        let output = chain.view(ADDRESS, question.abi_encode());
        IGovernance::coSignaturesCall::abi_decode_returns(&output).unwrap()
    };
    let answer = ask(&chain, operation);
    assert_eq!((answer.sender, answer.parties), (who(21), three()));
    assert_eq!(
        answer.missing,
        ["role:supervisor".to_owned(), address(who(3))]
    );
    assert_eq!(
        (answer.signers, answer.until),
        (vec![who(2)], vec![call.until])
    );
    let nothing = ask(&chain, B256::repeat_byte(7));
    assert_eq!((nothing.sender, nothing.parties.len()), (Address::ZERO, 0));
}
