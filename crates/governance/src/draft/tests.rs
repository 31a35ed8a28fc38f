use std::collections::{BTreeMap, BTreeSet};

use hawser_ledger::{AUTHORITIES_MAX, AccountMode, GOVERNANCE_NAME_BYTES_MAX, ROOTS_MAX};
use hawser_primitives::{B256, Bytes, Height, Time};

use super::*;
use crate::{
    access::{Empty, Overlay},
    action::{Action, CUSTOM_ROLE_FIRST, CUSTOM_ROLE_LAST, Role},
    change::Target,
    model::{Effect, GOVERNORS_MAX, MEMBERS_MAX, TIME_LOCK_MS_MAX, VOTING_MS_MAX, VOTING_MS_MIN},
};

fn account(n: u32) -> Address {
    Address::left_padding_from(&(n + 1).to_be_bytes())
}

fn moment() -> Moment {
    Moment {
        height: Height(1),
        time: Time(1_000),
        transaction: B256::ZERO,
    }
}

/// Runs something on a chain with one organisation and one governor.
fn on_chain(test: impl FnOnce(&mut Draft<'_>)) {
    let charter = Charter {
        account_mode: AccountMode::Open,
        public_actions: Actions::NONE,
        signed_reads: false,
        time_lock_ms: 0,
        voting_ms: VOTING_MS_MIN,
        thresholds: BTreeMap::new(),
        organisations: BTreeMap::new(),
        removed: BTreeSet::new(),
        roles: BTreeMap::new(),
        rules: BTreeMap::new(),
        governors: BTreeMap::new(),
        policies: BTreeMap::new(),
    };
    let mut empty = Empty;
    let mut store = Overlay::new(Suite::Intl, &mut empty);
    let mut draft = Draft::founding(&mut store, Suite::Intl, moment(), charter);
    draft.apply(&organisation(1, 1, 1)).unwrap();
    let governor = Roles::of(&[Role::Governor]);
    draft
        .add_member(account(0), "g", 1, governor, None)
        .unwrap();
    test(&mut draft);
}

fn organisation(id: u32, authorities: u32, threshold: u8) -> Change {
    Change::AddOrganisation {
        id,
        name: "o".to_owned(),
        weight: 1,
        authorities: (0..authorities).map(account).collect(),
        authority_threshold: threshold,
        roots: Vec::new(),
    }
}

fn refused(result: Done) -> bool {
    matches!(result, Err(GovernanceError::Limit { .. }))
}

#[test]
fn both_sides_of_the_limit_on_rules() {
    on_chain(|draft| {
        let rule = |id, note: usize| Change::SetRule {
            id,
            rule: Rule {
                subject: Subject::Any,
                actions: Actions::of(&[Action::Call]),
                resource: Resource::Any,
                effect: Effect::Allow,
                note: "n".repeat(note),
            },
        };
        let most = u32::try_from(RULES_MAX).unwrap();
        for id in 1..=most {
            draft.apply(&rule(id, 0)).unwrap();
        }
        assert!(
            draft.apply(&rule(1, NOTE_BYTES_MAX)).is_ok(),
            "a change is no new rule"
        );
        assert!(refused(draft.apply(&rule(1, NOTE_BYTES_MAX + 1))));
        assert!(refused(draft.apply(&rule(most + 1, 0))));
        assert!(draft.apply(&rule(0, 0)).is_err());
    });
}

#[test]
fn both_sides_of_the_limits_on_members_and_governors() {
    on_chain(|draft| {
        let governor = Roles::of(&[Role::Governor]);
        let most = u32::try_from(GOVERNORS_MAX).unwrap();
        for n in 1..most {
            draft.add_member(account(n), "", 1, governor, None).unwrap();
        }
        assert!(refused(draft.add_member(
            account(most),
            "",
            1,
            governor,
            None
        )));
    });
    on_chain(|draft| {
        draft.counts.members = MEMBERS_MAX - 1;
        let user = Roles::of(&[Role::User]);
        let long = "n".repeat(GOVERNANCE_NAME_BYTES_MAX + 1);
        assert!(refused(draft.add_member(account(1), &long, 1, user, None)));
        draft
            .add_member(account(1), &long[1..], 1, user, None)
            .unwrap();
        assert!(refused(draft.add_member(account(2), "", 1, user, None)));
    });
}

#[test]
fn both_sides_of_the_limits_on_organisations() {
    on_chain(|draft| {
        let most = u32::try_from(AUTHORITIES_MAX).unwrap();
        let (few, many) = (most, most + 1);
        draft
            .apply(&organisation(2, few, u8::try_from(few).unwrap()))
            .unwrap();
        assert!(refused(draft.apply(&organisation(3, many, 1))));
        assert!(
            draft.apply(&organisation(3, 2, 3)).is_err(),
            "3 of 2 cannot agree"
        );
        assert!(draft.apply(&organisation(3, 2, 0)).is_err());
        assert!(draft.apply(&organisation(0, 0, 1)).is_err());
        draft.apply(&Change::RemoveOrganisation { id: 2 }).unwrap();
        assert!(
            draft.apply(&organisation(2, 0, 1)).is_err(),
            "numbers are not used again"
        );
        let most = u32::try_from(ORGANISATIONS_MAX).unwrap();
        for id in 3..=most {
            draft.apply(&organisation(id, 0, 1)).unwrap();
        }
        assert!(refused(draft.apply(&organisation(most + 1, 0, 1))));
    });
}

#[test]
fn both_sides_of_the_limits_on_supervision_rules_and_roles() {
    on_chain(|draft| {
        let policy = |id, size: usize| Change::SetPolicy {
            id,
            name: "p".to_owned(),
            script: Bytes::from(vec![b'#'; size]),
        };
        assert!(refused(draft.apply(&policy(1, SCRIPT_BYTES_MAX + 1))));
        let most = u32::try_from(POLICIES_MAX).unwrap();
        for id in 1..=most {
            draft
                .apply(&policy(id, if id == 1 { SCRIPT_BYTES_MAX } else { 1 }))
                .unwrap();
        }
        assert!(refused(draft.apply(&policy(most + 1, 1))));
        draft.apply(&policy(1, 2)).unwrap();
        assert_eq!(draft.charter.policies[&1].version, 2);
        let role = |role| Change::DefineRole {
            role,
            name: "r".to_owned(),
            actions: Actions::of(&[Action::Call]),
        };
        assert!(draft.apply(&role(CUSTOM_ROLE_FIRST)).is_ok());
        assert!(draft.apply(&role(CUSTOM_ROLE_LAST)).is_ok());
        assert!(draft.apply(&role(CUSTOM_ROLE_FIRST - 1)).is_err());
        assert!(draft.apply(&role(CUSTOM_ROLE_LAST + 1)).is_err());
    });
}

#[test]
fn both_sides_of_the_limits_on_freezes_and_times() {
    on_chain(|draft| {
        let freeze = |until, reason: usize| Change::Freeze {
            target: Target::Account(account(9)),
            until: Some(Time(until)),
            reason: "r".repeat(reason),
        };
        assert!(draft.apply(&freeze(1_001, REASON_BYTES_MAX)).is_ok());
        assert!(refused(draft.apply(&freeze(1_001, REASON_BYTES_MAX + 1))));
        assert!(
            draft.apply(&freeze(1_001, 0)).is_err(),
            "a freeze needs a reason"
        );
        assert!(
            draft.apply(&freeze(1_000, 1)).is_err(),
            "it would have ended"
        );
        assert_eq!(draft.counts.freezes, 1, "the same account is frozen once");
        let mut itself = freeze(2_000, 1);
        if let Change::Freeze { target, .. } = &mut itself {
            *target = Target::Contract(crate::ADDRESS);
        }
        assert!(draft.apply(&itself).is_err());
    });
    assert!(check_times(TIME_LOCK_MS_MAX, VOTING_MS_MAX).is_ok());
    assert!(check_times(0, VOTING_MS_MIN).is_ok());
    assert!(check_times(TIME_LOCK_MS_MAX + 1, VOTING_MS_MIN).is_err());
    assert!(check_times(0, VOTING_MS_MAX + 1).is_err());
    assert!(check_times(0, VOTING_MS_MIN - 1).is_err());
}

#[test]
fn the_largest_charter_fits_its_limit() {
    let rule = Rule {
        subject: Subject::Account(Address::ZERO),
        actions: Actions::of(&[Action::Call]),
        resource: Resource::Domain("d".repeat(DOMAIN_BYTES_MAX)),
        effect: Effect::Allow,
        note: "n".repeat(NOTE_BYTES_MAX),
    };
    let organisation = Organisation {
        name: "o".repeat(GOVERNANCE_NAME_BYTES_MAX),
        weight: 1,
        suspended: false,
        authorities: vec![Address::ZERO; AUTHORITIES_MAX],
        authority_threshold: 1,
        roots: vec![B256::ZERO; ROOTS_MAX],
    };
    let size = |bytes: Vec<u8>, count: usize| (bytes.len() + 8) * count;
    let total = size(hawser_primitives::encode(&rule), RULES_MAX)
        + size(hawser_primitives::encode(&organisation), ORGANISATIONS_MAX)
        + 32 * GOVERNORS_MAX
        + 256 * (POLICIES_MAX + 64)
        + 4_096;
    assert!(total <= crate::model::CHARTER_BYTES_MAX, "{total}");
}
