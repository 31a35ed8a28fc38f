use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{
    action::Role,
    model::{Organisation, Rule, token_asset},
};

const MEMBER: Address = Address::repeat_byte(1);
const STRANGER: Address = Address::repeat_byte(2);
const CONTRACT: Address = Address::repeat_byte(3);
const NOW: Time = Time(1_000);

fn charter(mode: AccountMode) -> Charter {
    let organisation = Organisation {
        name: "one".to_owned(),
        weight: 1,
        suspended: false,
        authorities: Vec::new(),
        authority_threshold: 1,
        roots: Vec::new(),
    };
    Charter {
        account_mode: mode,
        public_actions: crate::PUBLIC_ACTIONS,
        signed_reads: false,
        time_lock_ms: 0,
        voting_ms: 10_000,
        thresholds: BTreeMap::new(),
        organisations: [(1, organisation)].into(),
        removed: BTreeSet::new(),
        roles: BTreeMap::new(),
        rules: BTreeMap::new(),
        governors: BTreeMap::new(),
        policies: BTreeMap::new(),
    }
}

fn rule(subject: Subject, action: Action, resource: Resource, effect: Effect) -> Rule {
    Rule {
        subject,
        actions: Actions::of(&[action]),
        resource,
        effect,
        note: String::new(),
    }
}

fn member(roles: &[Role]) -> AccountWord {
    AccountWord {
        organisation: 1,
        roles: Roles::of(roles),
        status: Status::Active,
        certified: true,
        ..AccountWord::default()
    }
}

fn permits(charter: &Charter, word: &AccountWord, action: Action, resource: Resource) -> Decision {
    let account = if word.is_member() { MEMBER } else { STRANGER };
    Law::new(charter.clone()).permits(&account, word, action, &resource)
}

#[test]
fn the_mode_decides_who_may_use_the_chain() {
    let outsider = AccountWord::default();
    let uncertified = AccountWord {
        certified: false,
        ..member(&[Role::User])
    };
    let standing = |mode, word: &AccountWord| {
        let answer = Law::new(charter(mode)).standing(word, NOW);
        answer.map(|answer| answer.basis)
    };
    assert_eq!(standing(AccountMode::Open, &outsider), None);
    let permitted = AccountMode::Permitted;
    assert_eq!(standing(permitted, &outsider), Some(Basis::Mode(permitted)));
    assert_eq!(standing(permitted, &uncertified), None);
    assert_eq!(
        standing(AccountMode::Certificate, &uncertified),
        Some(Basis::Certificate)
    );
    assert_eq!(
        standing(AccountMode::Certificate, &member(&[Role::User])),
        None
    );
}

#[test]
fn freeze_and_suspension_come_before_everything_else() {
    let mut open = charter(AccountMode::Open);
    let frozen = AccountWord {
        frozen_until: Time(NOW.0 + 1),
        ..member(&[Role::Governor])
    };
    let law = Law::new(open.clone());
    assert_eq!(
        law.standing(&frozen, NOW).unwrap().basis,
        Basis::FrozenAccount(frozen.frozen_until)
    );
    assert_eq!(law.standing(&frozen, frozen.frozen_until), None);
    open.organisations.get_mut(&1).unwrap().suspended = true;
    let answer = Law::new(open).standing(&member(&[Role::Governor]), NOW);
    assert_eq!(answer.unwrap().basis, Basis::OrganisationSuspended(1));
}

#[test]
fn what_nothing_permits_is_forbidden_and_roles_permit() {
    let closed = charter(AccountMode::Permitted);
    let user = member(&[Role::User]);
    assert_eq!(
        permits(&closed, &user, Action::Deploy, Resource::Any),
        Decision::no(Basis::Default)
    );
    let developer = member(&[Role::User, Role::Developer]);
    assert_eq!(
        permits(&closed, &developer, Action::Deploy, Resource::Any),
        Decision::yes(Basis::Role(Role::Developer as u8))
    );
    let open = charter(AccountMode::Open);
    let outsider = AccountWord::default();
    assert_eq!(
        permits(&open, &outsider, Action::Deploy, Resource::Any),
        Decision::yes(Basis::Public)
    );
    assert!(!permits(&open, &outsider, Action::Vote, Resource::Any).allowed);
}

#[test]
fn denying_rules_win_over_allowing_ones_and_over_roles() {
    let mut charter = charter(AccountMode::Permitted);
    let call = |subject, resource, effect| rule(subject, Action::Call, resource, effect);
    let contract = Resource::Contract(CONTRACT);
    let method = Resource::Method(CONTRACT, [1, 2, 3, 4]);
    charter.rules = [
        (
            1,
            call(Subject::Organisation(1), contract.clone(), Effect::Deny),
        ),
        (
            2,
            call(Subject::Account(MEMBER), method.clone(), Effect::Allow),
        ),
        (3, call(Subject::Any, Resource::Any, Effect::Deny)),
    ]
    .into();
    let user = member(&[Role::User]);
    // Of several that deny the lowest number is named.
    let answer = permits(&charter, &user, Action::Call, method.clone());
    assert_eq!(answer, Decision::no(Basis::Rule(1)));
    let other = Resource::Contract(STRANGER);
    let answer = permits(&charter, &user, Action::Call, other);
    assert_eq!(answer, Decision::no(Basis::Rule(3)));
    charter.rules.remove(&1);
    charter.rules.remove(&3);
    let nobody = member(&[]);
    assert_eq!(
        permits(&charter, &nobody, Action::Call, method),
        Decision::yes(Basis::Rule(2))
    );
    assert!(!permits(&charter, &nobody, Action::Call, contract).allowed);
}

#[test]
fn rules_reach_outsiders_roles_and_assets() {
    let mut charter = charter(AccountMode::Open);
    let token = Resource::Asset(token_asset(&CONTRACT));
    charter.rules = [
        (
            5,
            rule(
                Subject::Outsiders,
                Action::Deploy,
                Resource::Any,
                Effect::Deny,
            ),
        ),
        (
            6,
            rule(
                Subject::Role(Role::Auditor as u8),
                Action::Transfer,
                token.clone(),
                Effect::Deny,
            ),
        ),
    ]
    .into();
    let outsider = AccountWord::default();
    assert_eq!(
        permits(&charter, &outsider, Action::Deploy, Resource::Any),
        Decision::no(Basis::Rule(5))
    );
    assert!(permits(&charter, &outsider, Action::Transfer, token.clone()).allowed);
    let auditor = member(&[Role::Auditor]);
    assert_eq!(
        permits(&charter, &auditor, Action::Transfer, token),
        Decision::no(Basis::Rule(6))
    );
}

/// The reference: every rule looked at, one after the other.
fn slow(charter: &Charter, word: &AccountWord, action: Action, resource: &Resource) -> Decision {
    let member = word.status == Status::Active;
    let applies = |rule: &Rule| {
        let subject = match rule.subject {
            Subject::Any => true,
            Subject::Outsiders => !member,
            Subject::Organisation(id) => member && word.organisation == id,
            Subject::Role(role) => member && word.roles.contains(role),
            Subject::Account(account) => account == if member { MEMBER } else { STRANGER },
        };
        let resource = match (&rule.resource, resource) {
            (Resource::Any, _) => true,
            (Resource::Contract(a), Resource::Method(b, _)) => a == b,
            (a, b) => a == b,
        };
        subject && resource && rule.actions.contains(action)
    };
    for (effect, allowed) in [(Effect::Deny, false), (Effect::Allow, true)] {
        for (id, rule) in &charter.rules {
            if rule.effect == effect && applies(rule) {
                let basis = Basis::Rule(*id);
                return Decision { allowed, basis };
            }
        }
    }
    if member {
        for role in word.roles.iter() {
            if charter.role_actions(role).contains(action) {
                return Decision::yes(Basis::Role(role));
            }
        }
    }
    if charter.account_mode == AccountMode::Open && charter.public_actions.contains(action) {
        return Decision::yes(Basis::Public);
    }
    Decision::no(Basis::Default)
}

mod random {
    use proptest::prelude::*;

    use super::*;

    fn subjects() -> impl Strategy<Value = Subject> {
        prop_oneof![
            Just(Subject::Any),
            Just(Subject::Outsiders),
            (1u32..3).prop_map(Subject::Organisation),
            (0u8..8).prop_map(Subject::Role),
            Just(Subject::Account(MEMBER)),
            Just(Subject::Account(STRANGER)),
        ]
    }

    fn resources() -> impl Strategy<Value = Resource> {
        prop_oneof![
            Just(Resource::Any),
            Just(Resource::Contract(CONTRACT)),
            (0u8..2).prop_map(|n| Resource::Method(CONTRACT, [n; 4])),
            Just(Resource::Domain("d".to_owned())),
            Just(Resource::Asset(B256::ZERO)),
        ]
    }

    proptest! {
        #[test]
        fn the_index_answers_as_reading_every_rule_does(
            rules in proptest::collection::vec(
                (subjects(), 0u16..(1 << 11), resources(), any::<bool>()), 0..12),
            roles in 0u64..256,
            is_member: bool,
            action in 0u8..11,
            resource in resources(),
        ) {
            let mut charter = charter(AccountMode::Open);
            for (id, (subject, actions, resource, deny)) in (1u32..).zip(rules) {
                let effect = if deny { Effect::Deny } else { Effect::Allow };
                let rule = Rule {
                    subject, actions: Actions(actions), resource, effect, note: String::new(),
                };
                charter.rules.insert(id, rule);
            }
            let word = if is_member {
                AccountWord { roles: Roles(roles), ..member(&[]) }
            } else {
                AccountWord::default()
            };
            let action = Action::from_number(action).unwrap();
            let expected = slow(&charter, &word, action, &resource);
            prop_assert_eq!(permits(&charter, &word, action, resource), expected);
        }
    }
}

/// Prints what a decision costs: `cargo test --release -p hawser-governance -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it measures"
)]
fn what_a_decision_costs() {
    use crate::{access::Empty, access::Overlay, slots};
    use hawser_crypto::Suite;

    let mut charter = charter(AccountMode::Permitted);
    for id in 1..=1_000u32 {
        let subject = match id % 4 {
            0 => Subject::Role(u8::try_from(id % 8).unwrap()),
            1 => Subject::Organisation(1 + id % 5),
            2 => Subject::Any,
            _ => Subject::Account(Address::left_padding_from(&id.to_be_bytes())),
        };
        let contract = Address::left_padding_from(&(id / 2).to_be_bytes());
        let resource = match id % 3 {
            0 => Resource::Contract(contract),
            1 => Resource::Method(contract, id.to_be_bytes()),
            _ => Resource::Asset(token_asset(&contract)),
        };
        let effect = if id % 5 == 0 {
            Effect::Deny
        } else {
            Effect::Allow
        };
        charter
            .rules
            .insert(id, rule(subject, Action::Call, resource, effect));
    }
    let mut empty = Empty;
    let mut store = Overlay::new(Suite::Intl, &mut empty);
    slots::save_charter(&mut store, &charter).unwrap();
    for n in 0..10_000u32 {
        let account = Address::left_padding_from(&n.to_be_bytes());
        let word = AccountWord {
            index: n,
            ..member(&[Role::User, Role::Developer])
        };
        slots::save_account(&mut store, &account, &word).unwrap();
    }
    let laws = Laws::default();
    let ask = |store: &mut Overlay<'_>, rounds: u32| {
        let mut allowed = 0u32;
        for n in 0..rounds {
            let law = laws.current(store).unwrap().unwrap();
            let account = Address::left_padding_from(&(n % 10_000).to_be_bytes());
            let contract = Address::left_padding_from(&(n % 500).to_be_bytes());
            let resource = Resource::Method(contract, n.to_be_bytes());
            let answer = decide(&law, store, &account, Action::Call, &resource, NOW).unwrap();
            allowed += u32::from(answer.allowed);
        }
        allowed
    };
    ask(&mut store, 10_000);
    let started = std::time::Instant::now();
    let rounds = 1_000_000;
    let allowed = ask(&mut store, rounds);
    let each = started.elapsed().as_nanos() / u128::from(rounds);
    let started = std::time::Instant::now();
    for _ in 0..100 {
        std::hint::black_box(Law::new(charter.clone()));
    }
    let parse = started.elapsed().as_micros() / 100;
    println!(
        "10,000 members, 1,000 rules: {each} ns per decision ({allowed} of {rounds} allowed); \
         {parse} µs to make a changed charter ready"
    );
    assert!(each < 20_000);
}
