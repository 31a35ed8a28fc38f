//! The pool, execution and queries give one answer.

use crate::common::*;
use hawser_governance::{
    Change, Effect, Lang, Laws, NATIVE_ASSET, NO_EXPIRY, Resource, Rule, Subject, Target,
    action::{Action, Actions, Roles},
    query,
};
use hawser_ledger::{AccountMode, Outcome};
use hawser_primitives::Address;
use proptest::prelude::*;

const CONTRACT: Address = Address::repeat_byte(0xa6);

fn subjects() -> impl Strategy<Value = Subject> {
    prop_oneof![
        Just(Subject::Any),
        Just(Subject::Outsiders),
        (1u32..3).prop_map(Subject::Organisation),
        (0u8..8).prop_map(Subject::Role),
        (20u8..24).prop_map(|n| Subject::Account(who(n))),
    ]
}

fn resources() -> impl Strategy<Value = Resource> {
    prop_oneof![
        Just(Resource::Any),
        Just(Resource::Contract(CONTRACT)),
        Just(Resource::Method(CONTRACT, [1, 2, 3, 4])),
        Just(Resource::Asset(NATIVE_ASSET)),
    ]
}

fn modes() -> impl Strategy<Value = AccountMode> {
    prop_oneof![
        Just(AccountMode::Open),
        Just(AccountMode::Permitted),
        Just(AccountMode::Certificate),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn pool_execution_and_queries_agree(
        mode in modes(),
        rules in proptest::collection::vec((subjects(), 0u16..(1 << 11), resources(), any::<bool>()), 0..5),
        roles in 0u64..256,
        frozen in 0u8..4,
        sender in prop_oneof![Just(20u8), Just(21), Just(30)],
        what in 0u8..3,
    ) {
        let mut chain = Chain::with(Some(governance(mode)), &[contract(CONTRACT, vec![0x00])], None);
        let mut changes = vec![Change::SetRoles { account: who(20), roles: Roles(roles & !32) }];
        for (id, (subject, actions, resource, deny)) in (1u32..).zip(rules) {
            let actions = Actions(actions);
            if actions == Actions::NONE {
                continue;
            }
            let effect = if deny { Effect::Deny } else { Effect::Allow };
            // Governors must still be able to govern.
            let governing = Actions::of(&[Action::Propose, Action::Vote]);
            let actions = Actions(actions.0 & !governing.0 | 16);
            let rule = Rule { subject, actions, resource, effect, note: String::new() };
            changes.push(Change::SetRule { id, rule });
        }
        let target = match frozen {
            0 => Some(Target::Account(who(sender))),
            1 => Some(Target::Contract(CONTRACT)),
            2 => Some(Target::Asset(NATIVE_ASSET)),
            _ => None,
        };
        if let Some(target) = target {
            let until = Some(NO_EXPIRY);
            changes.push(Change::Freeze { target, until, reason: "test".to_owned() });
        }
        chain.decide(&changes);
        let (transaction, action, resource) = match what {
            0 => (chain.tx(sender, None, 0, vec![0x00]), Action::Deploy, Resource::Any),
            1 => (
                chain.tx(sender, Some(CONTRACT), 0, vec![1, 2, 3, 4]),
                Action::Call,
                Resource::Method(CONTRACT, [1, 2, 3, 4]),
            ),
            _ => (
                chain.tx(sender, Some(who(40)), 1, vec![]),
                Action::Transfer,
                Resource::Asset(NATIVE_ASSET),
            ),
        };
        let laws = Laws::default();
        let now = chain.context.time;
        let why = query::why(&laws, &chain.state, &who(sender), action, &resource, now, Lang::En);
        let why = why.unwrap();
        let pool = chain.pool(&transaction);
        let before = chain.audit().len();
        let receipt = chain.run(transaction);
        prop_assert_eq!(why.allowed, pool.is_none(), "{:?} {:?}", why, pool);
        prop_assert_eq!(why.allowed, receipt.outcome == Outcome::Success, "{}", words(&receipt));
        if let Some(finding) = pool {
            prop_assert_eq!(&finding.rule, &why.rule);
            prop_assert_eq!(&finding.reason, &why.reason);
            prop_assert_eq!(&receipt.revert_data, &finding.revert_data());
            let entries = chain.audit();
            prop_assert_eq!(entries.len(), before + 1);
            prop_assert_eq!(&entries[before].rule, &why.rule);
        }
    }
}
