//! A good run is clean; every way of doctoring it shows.

use alloy_primitives::Address;

use super::*;
use crate::linear::Act;

fn hash(number: u64) -> B256 {
    B256::left_padding_from(&number.to_be_bytes())
}

/// Two nodes, four blocks, each with one operation: two additions, a write, a payment; and one unknown in block 4.
fn good() -> Evidence {
    let add = |register| What::Register {
        register,
        act: Act::Add { value: 1 },
    };
    let write = What::Register {
        register: 0,
        act: Act::Write { value: 9 },
    };
    let pay = What::Pay {
        to: Address::ZERO,
        wei: 5,
    };
    let record = |number: u64, what, before| Record {
        client: 0,
        hash: hash(number),
        what,
        called_us: number * 100,
        returned_us: number * 100 + 50,
        outcome: Outcome::Acknowledged {
            number,
            block: hash(1_000 + number),
            before,
        },
    };
    let mut records = vec![
        record(1, add(1), Some(0)),
        record(2, add(1), Some(1)),
        record(3, write, Some(0)),
        record(4, pay, None),
    ];
    records.push(Record {
        client: 1,
        hash: hash(5),
        what: add(1),
        called_us: 250,
        returned_us: 30_000_000,
        outcome: Outcome::Unknown,
    });
    let block = |number: u64, transactions: &[u64]| Block {
        number,
        hash: hash(1_000 + number),
        state: hash(2_000 + number),
        time_ms: number,
        transactions: transactions.iter().map(|n| hash(*n)).collect(),
    };
    let blocks = vec![
        block(1, &[1]),
        block(2, &[2]),
        block(3, &[3]),
        block(4, &[4, 5, 77, 88]),
    ];
    let copy = |node| Copy {
        node,
        blocks: blocks.clone(),
        registers: vec![9, 3],
        balances: 100,
    };
    let seen = |node, number, value| Seen {
        node,
        at_us: number * 100 + 70,
        register: 1,
        value,
        number,
    };
    Evidence {
        records,
        seen: vec![seen(0, 1, 1), seen(1, 1, 1), seen(0, 2, 2), seen(0, 4, 3)],
        emptied: Vec::new(),
        accepted: vec![hash(77)],
        own: vec![hash(88)],
        copies: vec![copy(0), copy(1)],
        funds: 100,
    }
}

/// The violations of a run that was changed in one way.
fn doctored(change: impl FnOnce(&mut Evidence)) -> Judgement {
    let mut evidence = good();
    change(&mut evidence);
    judge(&evidence)
}

fn shows(found: &Judgement, words: &str) {
    assert!(
        found.listed.iter().any(|text| text.contains(words)),
        "{words}: {found:?}"
    );
}

#[test]
fn a_good_run_is_clean() {
    let found = judge(&good());
    assert!(found.is_clean(), "{found:?}");
    assert_eq!((found.acknowledged, found.unknown), (4, 1));
    assert_eq!((found.unknown_effective, found.linearisable), (1, 2));
    assert_eq!((found.reads, found.blocks), (4, 4));
}

#[test]
fn a_lost_transaction_shows_on_whichever_node_it_is() {
    for node in 0..2 {
        let found = doctored(|run| {
            run.copies[node].blocks[1].transactions.clear();
        });
        assert_eq!(found.lost, 1);
        shows(&found, "was acknowledged in block 2");
    }
}

#[test]
fn a_transaction_that_moved_to_another_block_is_lost_from_where_it_was_promised() {
    let found = doctored(|run| {
        for copy in &mut run.copies {
            copy.blocks[3].transactions.retain(|one| *one != hash(4));
            copy.blocks[2].transactions.push(hash(4));
        }
    });
    assert_eq!(found.lost, 1);
}

#[test]
fn a_doubled_transaction_shows() {
    let found = doctored(|run| {
        for copy in &mut run.copies {
            copy.blocks[2].transactions.push(hash(1));
        }
    });
    assert_eq!(found.doubled, 2);
    shows(&found, "in blocks 1 and 3");
}

#[test]
fn forks_other_states_and_missing_blocks_show() {
    let found = doctored(|run| run.copies[1].blocks[2].hash = hash(666));
    shows(&found, "block 3 differs between nodes 0 and 1");
    let found = doctored(|run| run.copies[1].blocks[2].state = hash(666));
    shows(&found, "block 3 differs");
    let found = doctored(|run| {
        run.copies[1].blocks.pop();
    });
    shows(&found, "node 0 has blocks up to 4, node 1 up to 3");
}

#[test]
fn an_effect_of_what_was_refused_shows() {
    let found = doctored(|run| {
        run.records[4].outcome = Outcome::Refused {
            reason: "no".to_owned(),
        };
    });
    shows(&found, "was refused (no) and took effect");
}

#[test]
fn a_transaction_from_nowhere_and_an_accepted_one_that_vanished_show() {
    shows(&doctored(|run| run.own.clear()), "nobody sent it");
    let found = doctored(|run| run.accepted.push(hash(78)));
    assert_eq!(found.lost, 1);
    shows(&found, "is in no block");
}

#[test]
fn a_wrong_answer_a_wrong_end_and_a_wrong_sum_show() {
    let found = doctored(|run| {
        run.records[1].outcome = Outcome::Acknowledged {
            number: 2,
            block: hash(1_002),
            before: Some(0),
        };
    });
    shows(&found, "reported 0 of register 1, which held 1");
    shows(&found, "no order explains");
    let found = doctored(|run| run.copies[1].registers[1] = 4);
    shows(&found, "register 1 holds 4 on node 1, 3 is");
    let found = doctored(|run| run.copies[0].balances = 99);
    shows(&found, "add up to 99, not to 100");
}

#[test]
fn a_read_of_what_was_not_there_and_a_node_that_goes_back_show() {
    let found = doctored(|run| run.seen[1].value = 2);
    shows(&found, "node 1 showed 2 in register 1 after block 1");
    let found = doctored(|run| run.seen.swap(2, 3));
    shows(&found, "node 0 went back from block 4 to 2");
    // A node whose data was deleted in between begins again; another may not.
    for (node, clean) in [(0, true), (1, false)] {
        let found = doctored(|run| {
            run.seen.swap(2, 3);
            run.seen[3].at_us = 900;
            run.emptied.push(Emptied { node, at_us: 800 });
        });
        assert_eq!(found.is_clean(), clean, "{found:?}");
    }
}

#[test]
fn a_deletion_excuses_going_back_once_and_only_between_the_two_looks() {
    for (at_us, clean) in [(700, true), (699, false), (900, true), (901, false)] {
        let found = doctored(|run| {
            run.seen.swap(2, 3);
            run.seen[2].at_us = 700;
            run.seen[3].at_us = 900;
            run.emptied.push(Emptied { node: 0, at_us });
        });
        assert_eq!(found.is_clean(), clean, "deleted at {at_us}: {found:?}");
    }
    // Back once with the deletion, forward, and back again without another.
    let found = doctored(|run| {
        run.seen.swap(2, 3);
        run.seen[3].at_us = 900;
        run.emptied.push(Emptied {
            node: 0,
            at_us: 800,
        });
        for (at, number) in [(1_000, 2), (1_100, 1)] {
            let mut again = run.seen[3];
            (again.at_us, again.number) = (at, number);
            run.seen.push(again);
        }
    });
    shows(&found, "node 0 went back from block 2 to 1");
}

#[test]
fn an_order_against_real_time_shows() {
    // The second addition was over before the first began, and reported its effect all the same.
    let found = doctored(|run| {
        run.records[1].called_us = 10;
        run.records[1].returned_us = 20;
        run.records[4].called_us = 1_000_000;
    });
    shows(&found, "no order explains the 3 operations on register 1");
}

#[test]
fn nobody_left_is_no_success() {
    assert!(!doctored(|run| run.copies.clear()).is_clean());
}

#[test]
fn many_violations_are_counted_and_not_all_listed() {
    let found = doctored(|run| run.accepted.extend((0..1_000).map(|n| hash(50_000 + n))));
    assert_eq!(found.violations, 1_000);
    assert_eq!(found.listed.len(), LISTED_MAX);
}

#[test]
fn a_node_may_drop_old_blocks_and_nothing_else() {
    let found = doctored(|run| {
        run.copies[1].blocks.drain(..2);
    });
    assert!(found.is_clean(), "{found:?}");
    let found = doctored(|run| {
        run.copies[1].blocks.drain(..2);
        run.copies[1].blocks[0].transactions.clear();
    });
    assert_eq!(found.lost, 1);
    shows(&found, "block 3 differs");
    // If all drop them, nobody can tell.
    let found = doctored(|run| {
        for copy in &mut run.copies {
            copy.blocks.drain(..2);
        }
    });
    shows(&found, "no node that keeps all blocks");
}
