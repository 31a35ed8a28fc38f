//! What people look at: standing freezes, scripts, the newest entries of the trail.

use crate::common::{Chain, who};
use hawser_governance::{
    Change, IGovernance, NO_EXPIRY, Target,
    audit::{EntryKind, Filter},
    query::{audit_entries_below, freezes, script},
    target_parts,
};
use hawser_ledger::AccountMode;
use hawser_primitives::{Bytes, Time};

fn freeze(chain: &mut Chain, target: Target, until: Time, reason: &str) {
    let (kind, target) = target_parts(target);
    let call = IGovernance::freezeCall {
        kind,
        target,
        until: until.0,
        reason: reason.to_owned(),
    };
    chain.ok(22, &call);
    // Every act in a block of its own, as records are told apart by their time.
    chain.wait(1_000);
}

fn lift(chain: &mut Chain, target: Target) {
    let (kind, target) = target_parts(target);
    let call = IGovernance::unfreezeCall {
        kind,
        target,
        reason: "cleared".to_owned(),
    };
    chain.ok(22, &call);
    chain.wait(1_000);
}

fn standing(chain: &Chain) -> Vec<(Target, String)> {
    let (found, next) = freezes(&chain.state, chain.context.time, u64::MAX, 100, 1_000).unwrap();
    assert_eq!(next, None);
    let pair = |one: hawser_governance::query::Frozen| (one.target, one.record.reason);
    found.into_iter().map(pair).collect()
}

#[test]
fn freezes_stand_until_they_are_lifted_or_end_and_the_newest_comes_first() {
    let mut chain = Chain::new(AccountMode::Permitted);
    assert!(standing(&chain).is_empty());
    let (a, b) = (Target::Account(who(30)), Target::Contract(who(31)));
    let coin = Target::Asset(hawser_governance::NATIVE_ASSET);
    freeze(&mut chain, a, NO_EXPIRY, "first");
    let soon = chain.context.time.plus_ms(5_000);
    freeze(&mut chain, b, soon, "for a while");
    freeze(&mut chain, coin, NO_EXPIRY, "third");
    let all = [(coin, "third"), (b, "for a while"), (a, "first")];
    let all = all.map(|(target, reason)| (target, reason.to_owned()));
    assert_eq!(standing(&chain), all);

    // Pages, and a bound on what is looked at for one.
    let now = chain.context.time;
    let (first, next) = freezes(&chain.state, now, u64::MAX, 1, 1_000).unwrap();
    assert_eq!((first.len(), first[0].target), (1, coin));
    let (second, _) = freezes(&chain.state, now, next.unwrap(), 1, 1_000).unwrap();
    assert_eq!(second[0].target, b);
    let (none, next) = freezes(&chain.state, now, u64::MAX, 100, 0).unwrap();
    assert!(none.is_empty() && next.is_some());

    // Over by the clock; lifted; frozen again for another reason.
    chain.context.time = soon;
    lift(&mut chain, coin);
    lift(&mut chain, a);
    freeze(&mut chain, a, NO_EXPIRY, "again");
    assert_eq!(standing(&chain), [(a, "again".to_owned())]);
    lift(&mut chain, a);
    assert!(standing(&chain).is_empty());
}

#[test]
fn accounts_that_were_replaced_are_among_what_is_frozen() {
    let mut chain = Chain::new(AccountMode::Permitted);
    let (old, new) = (who(20), who(29));
    let id = chain.propose(23, &[Change::RecoverAccount { old, new }]);
    for n in 1..=2 {
        chain.vote(n, id, true);
    }
    chain.wait(2_000);
    chain.ok(1, &IGovernance::executeCall { id });
    let (found, _) = freezes(&chain.state, chain.context.time, u64::MAX, 100, 1_000).unwrap();
    assert_eq!(found.len(), 1, "proposal {id}");
    assert_eq!(found[0].target, Target::Account(old));
    assert_eq!(found[0].record.until, NO_EXPIRY);
}

#[test]
fn a_script_is_given_as_it_was_proposed() {
    let mut chain = Chain::new(AccountMode::Permitted);
    assert_eq!(script(&chain.state, 3).unwrap(), None);
    let source = "def check(tx):\n    return allow()  # 允许\n";
    chain.decide(&[Change::SetPolicy {
        id: 3,
        name: "limits".to_owned(),
        script: Bytes::from(source.as_bytes().to_vec()),
    }]);
    let (policy, text) = script(&chain.state, 3).unwrap().unwrap();
    assert_eq!((policy.version, text.as_str()), (1, source));
    assert_eq!(script(&chain.state, 4).unwrap(), None);
}

#[test]
fn the_newest_entries_come_first_with_filters() {
    let mut chain = Chain::new(AccountMode::Permitted);
    chain.decide(&[Change::SetSignedReads { signed: true }]);
    let ascending: Vec<_> = chain
        .audit()
        .into_iter()
        .map(|entry| entry.number)
        .collect();
    let all = audit_entries_below(&chain.state, &Filter::default(), u64::MAX, 1_000, 1_000);
    let descending = all.unwrap().0.into_iter().map(|entry| entry.number);
    assert_eq!(descending.rev().collect::<Vec<_>>(), ascending);
    let votes = Filter {
        kinds: vec![EntryKind::Voted],
        ..Filter::default()
    };
    let (found, _) = audit_entries_below(&chain.state, &votes, u64::MAX, 1, 1_000).unwrap();
    assert_eq!((found.len(), found[0].kind), (1, EntryKind::Voted));
}
