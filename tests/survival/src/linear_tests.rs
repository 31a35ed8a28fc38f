//! Known good and bad histories, and a comparison with trying every order.

use super::*;
use crate::random::Random;

const LIMIT: usize = 1_000_000;

fn op(act: Act, called: u64, returned: u64, reported: u64) -> Op {
    Op {
        act,
        called,
        returned: Some((returned, reported)),
    }
}

fn unknown(act: Act, called: u64) -> Op {
    Op {
        act,
        called,
        returned: None,
    }
}

fn verdict(ops: &[Op]) -> Verdict {
    check(0, ops, LIMIT)
}

const fn write(value: u64) -> Act {
    Act::Write { value }
}

#[test]
fn one_after_another_is_linearisable_and_a_stale_read_is_not() {
    let good = [op(write(1), 0, 10, 0), op(Act::Read, 20, 30, 1)];
    assert_eq!(verdict(&good), Verdict::Linearisable);
    let stale = [op(write(1), 0, 10, 0), op(Act::Read, 20, 30, 0)];
    assert_eq!(verdict(&stale), Verdict::Violated);
    assert_eq!(verdict(&[]), Verdict::Linearisable);
}

#[test]
fn a_read_during_a_write_may_see_either() {
    for seen in [0, 1] {
        let ops = [op(write(1), 0, 100, 0), op(Act::Read, 20, 30, seen)];
        assert_eq!(verdict(&ops), Verdict::Linearisable, "{seen}");
    }
    let ops = [op(write(1), 0, 100, 0), op(Act::Read, 20, 30, 2)];
    assert_eq!(verdict(&ops), Verdict::Violated);
}

#[test]
fn a_value_that_was_seen_does_not_go_away_again() {
    let ops = [
        op(write(1), 0, 100, 0),
        op(Act::Read, 10, 20, 1),
        op(Act::Read, 30, 40, 0),
    ];
    assert_eq!(verdict(&ops), Verdict::Violated);
}

#[test]
fn what_touches_may_have_overlapped() {
    let ops = [op(Act::Read, 0, 10, 1), op(write(1), 10, 20, 0)];
    assert_eq!(verdict(&ops), Verdict::Linearisable);
    let ops = [op(Act::Read, 0, 9, 1), op(write(1), 10, 20, 0)];
    assert_eq!(verdict(&ops), Verdict::Violated);
}

#[test]
fn one_of_two_swaps_from_the_same_value_wins() {
    let swap = |new| Act::Cas { old: 0, new };
    let one = [op(swap(1), 0, 50, 0), op(swap(2), 0, 50, 1)];
    assert_eq!(verdict(&one), Verdict::Linearisable);
    let both = [op(swap(1), 0, 50, 0), op(swap(2), 0, 50, 0)];
    assert_eq!(verdict(&both), Verdict::Violated);
}

#[test]
fn an_addition_that_counts_twice_shows() {
    let add = Act::Add { value: 1 };
    let once = [op(add, 0, 10, 0), op(add, 20, 30, 1), op(add, 40, 50, 2)];
    assert_eq!(verdict(&once), Verdict::Linearisable);
    let doubled = [op(add, 0, 10, 0), op(add, 20, 30, 2)];
    assert_eq!(verdict(&doubled), Verdict::Violated);
    let lost = [op(add, 0, 10, 0), op(add, 20, 30, 0)];
    assert_eq!(verdict(&lost), Verdict::Violated);
}

#[test]
fn an_unknown_operation_may_take_effect_late_or_never_but_not_before_its_call() {
    let never = [unknown(write(7), 0), op(Act::Read, 50, 60, 0)];
    assert_eq!(verdict(&never), Verdict::Linearisable);
    let late = [
        unknown(write(7), 0),
        op(Act::Read, 50, 60, 0),
        op(Act::Read, 70, 80, 7),
    ];
    assert_eq!(verdict(&late), Verdict::Linearisable);
    let back = [
        unknown(write(7), 0),
        op(Act::Read, 50, 60, 7),
        op(Act::Read, 70, 80, 0),
    ];
    assert_eq!(verdict(&back), Verdict::Violated);
    let early = [op(Act::Read, 0, 10, 7), unknown(write(7), 20)];
    assert_eq!(verdict(&early), Verdict::Violated);
}

#[test]
fn too_large_a_search_is_not_called_a_success() {
    let ops: Vec<_> = (0..12).map(|i| op(write(i), 0, 100, 99)).collect();
    assert_eq!(check(0, &ops, LIMIT), Verdict::Violated);
    let ops: Vec<_> = (0..40).map(|i| unknown(write(i), 0)).collect();
    assert_eq!(check(0, &ops, 3), Verdict::Undecided);
}

/// Every order that real time allows, tried.
fn by_force(value: u64, ops: &[Op]) -> bool {
    if ops.iter().all(|op| op.returned.is_none()) {
        return true;
    }
    let earliest = ops
        .iter()
        .filter_map(|op| op.returned.map(|(at, _)| at))
        .min();
    (0..ops.len()).any(|index| {
        let op = ops[index];
        let possible = earliest.is_none_or(|end| op.called <= end)
            && op.returned.is_none_or(|(_, reported)| reported == value);
        let mut rest = ops.to_vec();
        rest.remove(index);
        possible && by_force(op.act.apply(value), &rest)
    })
}

#[test]
fn random_small_histories_are_judged_as_by_trying_every_order() {
    let mut random = Random::new(11, 0);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..4_000 {
        let count = 1 + random.below(6);
        let ops: Vec<_> = (0..count)
            .map(|_| {
                let act = match random.below(4) {
                    0 => Act::Read,
                    1 => write(random.below(3)),
                    2 => Act::Cas {
                        old: random.below(3),
                        new: random.below(3),
                    },
                    _ => Act::Add { value: 1 },
                };
                let called = random.below(40);
                if random.below(5) == 0 {
                    unknown(act, called)
                } else {
                    op(act, called, called + random.below(20), random.below(3))
                }
            })
            .collect();
        let expected = by_force(0, &ops);
        let found = verdict(&ops);
        assert_eq!(found == Verdict::Linearisable, expected, "{ops:?}");
        good += u32::from(expected);
        bad += u32::from(!expected);
    }
    assert!(good > 500 && bad > 500, "{good} {bad}");
}

#[test]
fn long_histories_of_a_true_register_are_judged_quickly_and_one_doctored_answer_shows() {
    let mut random = Random::new(5, 0);
    let mut value = 0;
    let mut ops = Vec::new();
    // Each takes effect at a known moment, up to eight overlap.
    for step in 0..3_000_u64 {
        let act = match random.below(3) {
            0 => Act::Read,
            1 => write(random.below(5)),
            _ => Act::Cas {
                old: random.below(5),
                new: random.below(5),
            },
        };
        let moment = step * 10 + 100;
        ops.push(op(
            act,
            moment - random.below(40),
            moment + random.below(40),
            value,
        ));
        value = act.apply(value);
    }
    assert_eq!(verdict(&ops), Verdict::Linearisable);
    let at = ops.len() / 2;
    ops[at].returned = ops[at].returned.map(|(end, _)| (end, 77));
    assert_eq!(verdict(&ops), Verdict::Violated);
}
