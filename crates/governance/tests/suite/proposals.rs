//! Proposals, guard, recovery, dry runs, the audit trail.

use crate::common::*;
use hawser_governance::{
    ADDRESS, CHANGES_MAX, Change, Effect, IGovernance, Lang, ProposalKind, ProposalStatus,
    Resource, Rule, Status, Subject, Threshold, VoteBasis,
    access::StateView,
    action::{Action, Actions, Role, Roles},
    audit, difference,
    dryrun::dry_run,
    query, target_parts,
};
use hawser_ledger::{
    AccountMode, ChainSettings, Outcome, SETTINGS_DELAY, SettingsSchedule, state::StateRead,
};
use hawser_primitives::{Address, B256, Height};

fn add(n: u8, organisation: u32, roles: &[Role]) -> Change {
    Change::AddMember {
        account: who(n),
        name: format!("m{n}"),
        organisation,
        roles: Roles::of(roles),
        certificate: None,
    }
}

fn status(chain: &Chain, id: u64) -> ProposalStatus {
    let (proposal, _) = query::proposal(&chain.state, id).unwrap().unwrap();
    proposal.status(chain.context.time)
}

#[test]
fn a_proposal_runs_its_course_and_the_fourth_organisation_joins() {
    let mut chain = Chain::new(AccountMode::Permitted);
    let join = [
        Change::AddOrganisation {
            id: 4,
            name: "org4".to_owned(),
            weight: 1,
            authorities: vec![who(14)],
            authority_threshold: 1,
            roots: vec![],
        },
        add(4, 4, &[Role::Governor]),
    ];
    let id = chain.propose(1, &join);
    assert_eq!(status(&chain, id), ProposalStatus::Open);
    let early = chain.refused(1, &IGovernance::executeCall { id });
    assert!(early.contains("open"), "{early}");
    chain.vote(1, id, true);
    chain.vote(2, id, true);
    // A majority of governors would do for the member; the organisation needs more than 2/3 of weight.
    assert_eq!(status(&chain, id), ProposalStatus::Open);
    let again = chain.refused(2, &IGovernance::voteCall { id, approve: true });
    let line = chain.audit().pop().unwrap();
    assert_eq!((line.kind, line.actor), (audit::EntryKind::Refused, who(2)));
    assert!(line.detail.contains("voted on this proposal already"));
    assert!(again.contains("voted on this proposal already"), "{again}");
    let stranger = chain.refused(20, &IGovernance::voteCall { id, approve: true });
    assert!(stranger.starts_with("default"), "{stranger}");
    chain.vote(3, id, true);
    assert_eq!(status(&chain, id), ProposalStatus::Passed);
    let locked = chain.refused(1, &IGovernance::executeCall { id });
    assert!(locked.contains("can be executed from"), "{locked}");
    chain.wait(2_000);
    chain.ok(1, &IGovernance::executeCall { id });
    assert_eq!(status(&chain, id), ProposalStatus::Executed);
    let twice = chain.refused(1, &IGovernance::executeCall { id });
    assert!(twice.contains("executed"), "{twice}");
    let charter = query::charter(&chain.state).unwrap().unwrap();
    assert_eq!(charter.organisations[&4].name, "org4");
    assert_eq!(charter.governors[&who(4)], 4);
    let kinds: Vec<_> = chain.audit().iter().map(|entry| entry.kind).collect();
    for kind in [
        audit::EntryKind::Proposed,
        audit::EntryKind::Voted,
        audit::EntryKind::Executed,
    ] {
        assert!(kinds.contains(&kind), "{kind}");
    }
}

#[test]
fn proposals_are_rejected_cancelled_and_expire() {
    let mut chain = Chain::new(AccountMode::Open);
    let change = [Change::SetSignedReads { signed: true }];
    let id = chain.propose(1, &change);
    chain.vote(1, id, false);
    chain.vote(2, id, false);
    assert_eq!(status(&chain, id), ProposalStatus::Rejected);
    let late = chain.refused(3, &IGovernance::voteCall { id, approve: true });
    assert!(late.contains("rejected"), "{late}");
    let id = chain.propose(1, &change);
    let other = chain.refused(2, &IGovernance::cancelCall { id });
    assert!(other.contains("only its author"), "{other}");
    chain.ok(1, &IGovernance::cancelCall { id });
    assert_eq!(status(&chain, id), ProposalStatus::Cancelled);
    let id = chain.propose(1, &change);
    chain.wait(60_000);
    assert_eq!(status(&chain, id), ProposalStatus::Expired);
    assert!(
        chain
            .refused(2, &IGovernance::voteCall { id, approve: true })
            .contains("expired")
    );
    let id = chain.propose(1, &change);
    chain.vote(1, id, true);
    chain.vote(2, id, true);
    chain.wait(63_000);
    assert!(
        chain
            .refused(1, &IGovernance::executeCall { id })
            .contains("expired")
    );
}

#[test]
fn a_vote_counts_only_while_its_voter_may_vote() {
    let mut chain = Chain::new(AccountMode::Open);
    let change = [Change::SetSignedReads { signed: true }];
    let id = chain.propose(1, &change);
    chain.vote(1, id, true);
    chain.vote(2, id, true);
    assert_eq!(status(&chain, id), ProposalStatus::Passed);
    // Meanwhile another takes the second governor's place, so that one of three is left in favour.
    chain.decide(&[
        Change::RemoveMember { account: who(2) },
        add(5, 2, &[Role::Governor]),
    ]);
    let why = chain.refused(1, &IGovernance::executeCall { id });
    assert!(why.contains("no longer suffice"), "{why}");
}

#[test]
fn contradictions_and_nonsense_are_refused_before_anyone_votes() {
    let mut chain = Chain::new(AccountMode::Open);
    let mut refused = |changes: &[Change], expected: &str| {
        let why = chain.refused(1, &proposal(changes));
        assert!(why.contains(expected), "{expected}: {why}");
    };
    refused(&[], "at least one change");
    refused(
        &[
            add(9, 1, &[Role::User]),
            Change::RemoveMember { account: who(9) },
        ],
        "contradicts itself",
    );
    refused(&[add(1, 1, &[Role::User])], "exists already");
    refused(&[add(9, 7, &[Role::User])], "no organisation 7");
    refused(&[Change::RemoveMember { account: who(30) }], "no member");
    refused(&[Change::RemoveRule { id: 3 }], "no rule 3");
    refused(
        &[Change::SetRoles {
            account: who(20),
            roles: Roles(1 << 9),
        }],
        "no custom role 9",
    );
    refused(
        &[Change::SetPublicActions {
            actions: Actions::of(&[Action::Vote]),
        }],
        "cannot be public",
    );
    let never = Threshold {
        basis: VoteBasis::Members,
        numerator: 1,
        denominator: 1,
        more_than: true,
    };
    let kind = ProposalKind::Membership;
    refused(
        &[Change::SetThreshold {
            kind,
            threshold: never,
        }],
        "no threshold",
    );
    refused(
        &[Change::SetTimes {
            time_lock_ms: u64::MAX,
            voting_ms: 5_000,
        }],
        "time lock",
    );
    refused(
        &[Change::SetTimes {
            time_lock_ms: 0,
            voting_ms: 999,
        }],
        "voting lasts",
    );
    refused(
        &[Change::ActivateProtocol {
            version: 7,
            height: Height(0),
        }],
        "version",
    );
    let rules = |count: u32| -> Vec<Change> {
        let rule = Rule {
            subject: Subject::Any,
            actions: Actions::of(&[Action::Call]),
            resource: Resource::Any,
            effect: Effect::Allow,
            note: String::new(),
        };
        (1..=count)
            .map(|id| Change::SetRule {
                id,
                rule: rule.clone(),
            })
            .collect()
    };
    let most = u32::try_from(CHANGES_MAX).unwrap();
    refused(&rules(most + 1), "beyond the limit");
    chain.propose(1, &rules(most));
    let garbage = IGovernance::proposeCall {
        title: "x".to_owned(),
        description: String::new(),
        changes: vec![0xff; 40].into(),
    };
    assert!(chain.refused(1, &garbage).contains("changes:"));
    let untitled = IGovernance::proposeCall {
        title: String::new(),
        ..proposal(&rules(1))
    };
    assert!(chain.refused(1, &untitled).contains("title"));
    let outsider = chain.refused(30, &proposal(&rules(1)));
    assert!(outsider.starts_with("default"), "{outsider}");
}

#[test]
fn no_vote_can_lock_the_consortium_out() {
    let mut chain = Chain::new(AccountMode::Open);
    let none_left = |n: u8| Change::SetRoles {
        account: who(n),
        roles: Roles::default(),
    };
    let why = chain.refused(1, &proposal(&[none_left(1), none_left(2), none_left(3)]));
    assert!(why.contains("lock the consortium out"), "{why}");
    // Two of three organisations with a governor are not more than two thirds of the weight.
    let why = chain.refused(1, &proposal(&[none_left(3)]));
    assert!(why.contains("lock the consortium out"), "{why}");
    let heavy = Change::AddOrganisation {
        id: 9,
        name: "silent".to_owned(),
        weight: 5,
        authorities: vec![],
        authority_threshold: 1,
        roots: vec![],
    };
    let why = chain.refused(1, &proposal(&[heavy]));
    assert!(why.contains("have 3 of 8 votes"), "{why}");
    let suspend = Change::SuspendOrganisation {
        id: 3,
        suspended: true,
    };
    chain.decide(&[suspend]);
    let charter = query::charter(&chain.state).unwrap().unwrap();
    assert_eq!(
        charter.voters().count(),
        2,
        "a suspended organisation counts nowhere"
    );
}

#[test]
fn validators_change_by_schedule_and_never_depend_on_newcomers() {
    let mut chain = Chain::new(AccountMode::Open);
    let set = |list: &[(u8, u64)]| Change::SetValidators {
        validators: list
            .iter()
            .map(|(n, weight)| validator(*n, *weight))
            .collect(),
    };
    let why = chain.refused(
        1,
        &proposal(&[set(&[(210, 1), (211, 1), (202, 1), (203, 1)])]),
    );
    assert!(why.contains("weight 2 of 4"), "{why}");
    let why = chain.refused(1, &proposal(&[set(&[])]));
    assert!(why.contains("validator"), "{why}");
    let mut parameters = chain.genesis.parameters.clone();
    parameters.heartbeat_ms = 500;
    let parameters = Change::SetParameters { parameters };
    chain.decide(&[set(&[(210, 1), (201, 1), (202, 1), (203, 1)]), parameters]);
    let executed = chain.context.height.prev().unwrap();
    let schedule = SettingsSchedule::in_state(&chain.state, &chain.genesis).unwrap();
    let from = Height(executed.0 + SETTINGS_DELAY);
    let before = ChainSettings::of_genesis(&chain.genesis);
    assert_eq!(*schedule.at(from.prev().unwrap()), before);
    let after = schedule.at(from);
    assert_eq!(after.validators[0], validator(210, 1));
    assert_eq!(after.parameters.heartbeat_ms, 500);
    let bad = hawser_ledger::ChainParameters {
        block_gas_max: 1,
        ..chain.genesis.parameters.clone()
    };
    let why = chain.refused(1, &proposal(&[Change::SetParameters { parameters: bad }]));
    assert!(why.contains("block_gas_max"), "{why}");
}

#[test]
fn thresholds_by_weight_and_by_members_differ() {
    let mut section = governance(AccountMode::Open);
    section.organisations[0].weight = 10;
    let mut chain = Chain::with(Some(section), &[], None);
    let constitution = [Change::SetTimes {
        time_lock_ms: 0,
        voting_ms: 9_000,
    }];
    let id = chain.propose(1, &constitution);
    chain.vote(1, id, true);
    assert_eq!(
        status(&chain, id),
        ProposalStatus::Passed,
        "10 of 12 by weight"
    );
    let id = chain.propose(1, &[Change::SetSignedReads { signed: true }]);
    chain.vote(1, id, true);
    assert_eq!(status(&chain, id), ProposalStatus::Open, "1 of 3 governors");
    chain.vote(2, id, true);
    assert_eq!(status(&chain, id), ProposalStatus::Passed);
}

#[test]
fn authorities_put_governors_back_when_their_keys_are_lost() {
    let mut chain = Chain::new(AccountMode::Certificate);
    let recovery = |changes: &[Change]| {
        let call = proposal(changes);
        IGovernance::proposeRecoveryCall {
            title: call.title,
            description: call.description,
            changes: call.changes,
        }
    };
    let new_governors = [
        Change::AddMember {
            account: who(6),
            name: "new".to_owned(),
            organisation: 1,
            roles: Roles::of(&[Role::Governor]),
            certificate: Some(B256::repeat_byte(6)),
        },
        Change::RemoveMember { account: who(1) },
    ];
    let why = chain.refused(1, &recovery(&new_governors));
    assert!(
        why.starts_with("authority"),
        "a governor is no authority: {why}"
    );
    let overreach = [Change::SetParameters {
        parameters: chain.genesis.parameters.clone(),
    }];
    let why = chain.refused(11, &recovery(&overreach));
    assert!(why.contains("a recovery cannot"), "{why}");
    // Authorities are no members, and the chain is closed to everyone else.
    chain.ok(11, &recovery(&new_governors));
    let id = query::counts(&chain.state).unwrap().proposals;
    for n in [11, 12] {
        chain.vote(n, id, true);
    }
    assert_eq!(
        status(&chain, id),
        ProposalStatus::Open,
        "two of three are not more than two thirds"
    );
    let why = chain.refused(2, &IGovernance::voteCall { id, approve: true });
    assert!(why.starts_with("authority"), "{why}");
    chain.vote(13, id, true);
    chain.wait(2_000);
    chain.ok(12, &IGovernance::executeCall { id });
    let charter = query::charter(&chain.state).unwrap().unwrap();
    assert!(charter.governors.contains_key(&who(6)) && !charter.governors.contains_key(&who(1)));
    chain.propose(6, &[Change::SetSignedReads { signed: true }]);
}

#[test]
fn a_lost_account_is_recovered_by_its_administrator_and_quorum() {
    let mut chain = Chain::new(AccountMode::Permitted);
    let change = [Change::RecoverAccount {
        old: who(20),
        new: who(29),
    }];
    let why = chain.refused(2, &proposal(&change));
    assert!(why.contains("administrator of its organisation"), "{why}");
    let id = chain.propose(23, &change);
    chain.vote(1, id, true);
    chain.vote(2, id, true);
    chain.wait(2_000);
    chain.ok(1, &IGovernance::executeCall { id });
    let (old, new) = (
        query::account(&chain.state, &who(20)).unwrap(),
        query::account(&chain.state, &who(29)).unwrap(),
    );
    assert_eq!(old.word.status, Status::Replaced);
    assert!(old.word.is_frozen(chain.context.time));
    assert_eq!(old.details.unwrap().replaced_by, Some(who(29)));
    assert!(new.word.roles.has(Role::Developer) && new.word.status == Status::Active);
    assert_eq!(new.details.unwrap().name, "m20");
    let refused = chain.tx(20, None, 0, vec![0]);
    assert_eq!(rule_of(&chain.run(refused)), "freeze:account");
    let deploy = chain.tx(29, None, 0, vec![0]);
    assert_eq!(chain.run(deploy).outcome, Outcome::Success);
    let members = query::members(&chain.state, 0, 100).unwrap();
    assert_eq!(members.len(), 8);
    assert!(members.iter().any(|(account, _)| *account == who(29)));
    let (kind, target) = target_parts(hawser_governance::Target::Account(who(20)));
    let lift = IGovernance::unfreezeCall {
        kind,
        target,
        reason: "x".to_owned(),
    };
    assert!(chain.refused(22, &lift).contains("its freeze stays"));
}

#[test]
fn the_list_of_members_stays_dense() {
    let mut chain = Chain::new(AccountMode::Permitted);
    chain.decide(&[
        Change::RemoveMember { account: who(21) },
        add(26, 2, &[Role::User]),
        Change::RemoveMember { account: who(24) },
    ]);
    let members = query::members(&chain.state, 0, 100).unwrap();
    let expected: std::collections::BTreeSet<Address> =
        [1, 2, 3, 20, 22, 23, 26].map(who).into_iter().collect();
    let found: std::collections::BTreeSet<_> =
        members.iter().map(|(account, _)| *account).collect();
    assert_eq!(found, expected);
    for (index, (_, known)) in (0u32..).zip(&members) {
        assert_eq!(known.word.index, index);
    }
    assert_eq!(query::counts(&chain.state).unwrap().members, 7);
    assert_eq!(
        query::account(&chain.state, &who(21)).unwrap().word.status,
        Status::Outsider
    );
}

#[test]
fn differences_read_well_in_both_languages_and_dry_runs_list_gains_and_losses() {
    let chain = Chain::new(AccountMode::Permitted);
    let deny = Rule {
        subject: Subject::Role(Role::Developer as u8),
        actions: Actions::of(&[Action::Deploy]),
        resource: Resource::Any,
        effect: Effect::Deny,
        note: "freeze of releases".to_owned(),
    };
    let changes = [
        Change::SetRoles {
            account: who(21),
            roles: Roles::of(&[Role::Developer, Role::Auditor]),
        },
        Change::SetRule { id: 1, rule: deny },
        Change::SetAccountMode {
            mode: AccountMode::Certificate,
        },
        Change::SetValidators {
            validators: (201..205).map(|n| validator(n, 1)).collect(),
        },
    ];
    let charter = query::charter(&chain.state).unwrap().unwrap();
    let settings = query::latest_settings(&chain.state, &chain.genesis).unwrap();
    let lines = |lang| {
        let mut store = StateView(&chain.state);
        difference(&mut store, &charter, Some(&settings), &changes, lang).unwrap()
    };
    let english = lines(Lang::En);
    assert_eq!(
        english[0],
        format!("~ roles of {}: + developer, auditor; - user", who(21))
    );
    assert!(english[1].starts_with("+ rule 1: deny role:developer · deploy · any"));
    assert_eq!(english[2], "~ account mode: permitted → certificate");
    assert!(
        english[3].starts_with("+ validator v204") && english[4].starts_with("- validator v200")
    );
    let chinese = lines(Lang::Zh);
    assert_eq!(english.len(), chinese.len());
    assert_eq!(chinese[2], "~ 账户模式: permitted → certificate");
    let moment = query::moment(chain.context.height, chain.context.time);
    let suite = chain.genesis.suite;
    let mut store = StateView(&chain.state);
    let run = dry_run(&mut store, suite, &moment, &changes[..2]).unwrap();
    let shift = |n: u8| {
        run.shifts
            .iter()
            .find(|shift| shift.account == who(n))
            .unwrap()
    };
    assert_eq!(
        shift(20).loses,
        Actions::of(&[Action::Deploy]),
        "the developer loses deployment"
    );
    assert_eq!(shift(21).gains, Actions::of(&[Action::Inspect]));
    assert_eq!(shift(21).loses, Actions::NONE);
    assert!(!run.cut && run.accounts >= 8);
    assert!(run.shifts.iter().all(|shift| shift.account != who(1)));
}

#[test]
fn the_trail_of_a_chain_verifies_against_its_head() {
    let mut chain = Chain::new(AccountMode::Permitted);
    chain.ok(
        24,
        &IGovernance::inspectCall {
            domain: "ledger".to_owned(),
            purpose: "yearly audit".to_owned(),
        },
    );
    let why = chain.refused(
        21,
        &IGovernance::inspectCall {
            domain: "ledger".to_owned(),
            purpose: "curiosity".to_owned(),
        },
    );
    assert!(why.starts_with("default"), "{why}");
    chain.ok(
        23,
        &IGovernance::reportCall {
            command: "node restart".to_owned(),
        },
    );
    chain.decide(&[Change::SetSignedReads { signed: true }]);
    let stray = chain.tx(30, Some(who(1)), 1, vec![]);
    chain.run(stray);
    let entries = chain.audit();
    let (number, head) = query::audit_head(&chain.state).unwrap();
    assert_eq!(entries.len() as u64, number);
    assert_eq!(
        audit::verify(chain.genesis.suite, &entries, Some(head)),
        Ok(head)
    );
    let slot = hawser_governance::slots::AUDIT_HEAD_SLOT;
    assert_eq!(chain.state.storage(&ADDRESS, &slot).unwrap(), head);
    let mut forged = entries;
    forged[1].detail = "nothing to see".to_owned();
    assert!(audit::verify(chain.genesis.suite, &forged, Some(head)).is_err());
}

/// A supervision rule with this script.
fn policy(id: u32, script: &str) -> Change {
    Change::SetPolicy {
        id,
        name: "rule".to_owned(),
        script: script.as_bytes().to_vec().into(),
    }
}

const GOOD: &str = "def check(tx):\n    return allow()\n";

#[test]
fn a_script_that_does_not_compile_is_refused_at_proposing_with_its_line() {
    let mut chain = Chain::new(AccountMode::Permitted);
    let wrong = "def check(tx):\n    return allow()\n\n    retrn deny('x')\n";
    for (script, part) in [
        (wrong, "4:"),
        ("def check(tx:\n", "1:"),
        ("x = 1\n", "no function `check(tx)`"),
        (
            "LIMIT = 1 // 0\n\ndef check(tx):\n    return allow()\n",
            "1:",
        ),
    ] {
        let why = chain.refused(1, &proposal(&[policy(7, GOOD), policy(8, script)]));
        assert!(why.contains("supervision rule 8 does not compile"), "{why}");
        assert!(why.contains(part), "{script}: {why}");
    }
    let binary = Change::SetPolicy {
        id: 1,
        name: "rule".to_owned(),
        script: vec![0xff].into(),
    };
    assert!(chain.refused(1, &proposal(&[binary])).contains("UTF-8"));
    assert_eq!(query::counts(&chain.state).unwrap().proposals, 0);
}

#[test]
fn what_compiling_costs_is_paid_for_and_bounded() {
    use hawser_governance::SCRIPT_GAS;
    let mut chain = Chain::new(AccountMode::Permitted);
    let used = |chain: &mut Chain, changes: &[Change]| chain.ok(1, &proposal(changes)).gas_used;
    let one = used(&mut chain, &[policy(1, GOOD)]);
    let two = used(&mut chain, &[policy(1, GOOD), policy(2, GOOD)]);
    assert!(
        two - one > SCRIPT_GAS && two - one < 2 * SCRIPT_GAS,
        "{one} {two}"
    );
    // Constants that never end are stopped by their budget, and the proposal is refused.
    let endless = "X = [[y for y in range(10000)] for x in range(10000)]\n\ndef check(tx):\n    return allow()\n";
    let why = chain.refused(1, &proposal(&[policy(1, endless)]));
    assert!(why.contains("the constants of the script"), "{why}");
}

#[test]
fn a_rule_is_written_and_put_into_force_by_one_proposal_in_that_order_only() {
    use hawser_governance::PolicyMode;
    let mut chain = Chain::new(AccountMode::Permitted);
    let mode = |mode| Change::SetPolicyMode { id: 1, mode };
    let active = mode(PolicyMode::Active);
    let why = chain.refused(1, &proposal(&[active.clone(), policy(1, GOOD)]));
    assert!(why.contains("give set_policy first"), "{why}");
    for twice in [
        vec![policy(1, GOOD), policy(1, GOOD)],
        vec![policy(1, GOOD), active.clone(), mode(PolicyMode::Shadow)],
        vec![policy(1, GOOD), Change::RemovePolicy { id: 1 }],
    ] {
        let why = chain.refused(1, &proposal(&twice));
        assert!(why.contains("contradicts itself"), "{why}");
    }
    chain.decide(&[policy(1, GOOD), active]);
    let charter = query::charter(&chain.state).unwrap().unwrap();
    assert_eq!(charter.policies[&1].mode, PolicyMode::Active);
}

#[test]
fn an_upgradable_contract_learns_what_to_run() {
    let mut chain = Chain::new(AccountMode::Open);
    let (proxy, code) = (who(31), Address::repeat_byte(0x77));
    let ask = chain.refused(31, &IGovernance::implementationCall {});
    assert!(ask.contains("no implementation"), "{ask}");
    chain.decide(&[Change::Upgrade {
        contract: proxy,
        implementation: code,
    }]);
    chain.ok(31, &IGovernance::implementationCall {});
    let slot = hawser_governance::slots::implementation_slot(&proxy);
    assert_eq!(
        chain.state.storage(&ADDRESS, &slot).unwrap(),
        code.into_word()
    );
}

#[test]
fn the_gas_of_governance_is_bounded_and_does_not_depend_on_what_a_node_remembers() {
    let changes = [Change::SetSignedReads { signed: true }];
    let mut first = Chain::new(AccountMode::Open);
    let cold = first.ok(1, &proposal(&changes)).gas_used;
    // Another node that has asked for the law already, at the pool.
    let mut second = Chain::new(AccountMode::Open);
    let transaction = second.tx(
        1,
        Some(ADDRESS),
        0,
        alloy_sol_types::SolCall::abi_encode(&proposal(&changes)),
    );
    for _ in 0..3 {
        assert_eq!(second.pool(&transaction), None);
    }
    let unrelated = second.tx(30, Some(who(31)), 1, vec![]);
    let outputs = second.block(&[unrelated, transaction]);
    assert_eq!(outputs.receipts[1].gas_used, cold);
    assert!(cold < 400_000, "{cold}");
}
