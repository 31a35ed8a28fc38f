use super::*;
use crate::work::Tx;

fn hash(lane: u8, index: u8) -> B256 {
    let mut bytes = [0; 32];
    (bytes[0], bytes[1]) = (lane + 1, index);
    B256::new(bytes)
}

fn board(lanes: u8, each: u8, nodes: usize) -> Board {
    let tx = |lane, index| Tx {
        hash: hash(lane, index),
        raw: vec![lane, index].into(),
    };
    let lanes = Lanes {
        lanes: (0..lanes)
            .map(|lane| (0..each).map(|index| tx(lane, index)).collect())
            .collect(),
    };
    Board::new(&lanes, nodes)
}

#[test]
fn accounts_take_turns_and_stick_to_their_node() {
    let mut board = board(3, 2, 2);
    let taken: Vec<_> = std::iter::from_fn(|| board.take(0)).collect();
    assert_eq!(taken, [(0, 0), (2, 1), (4, 0), (1, 0), (3, 1), (5, 0)]);
    assert!(board.ran_out);
    assert_eq!((board.counts.offered, board.in_flight()), (6, 6));
    assert_eq!(board.place(3), (1, 1));
    assert_eq!(board.place(5), (2, 1));
}

#[test]
fn what_is_refused_for_load_comes_before_what_follows_it() {
    let mut board = board(1, 3, 1);
    let (first, _) = board.take(10).unwrap();
    let (second, _) = board.take(20).unwrap();
    let hint = true;
    board.answered(0, &[first, second], &[Fate::Busy { hint }, Fate::Accepted]);
    assert_eq!((board.counts.busy, board.counts.busy_without_hint), (1, 0));
    assert_eq!(board.in_flight(), 1);
    assert_eq!(board.take(30).unwrap().0, first);
    board.answered(0, &[first], &[Fate::Busy { hint: false }]);
    assert_eq!(board.counts.busy_without_hint, 1);
    // The slots of the first failed; sent again after the schedule it does not count as a success.
    assert_eq!(board.take_again(99, 10), [(first, 0)]);
    board.answered(0, &[first], &[Fate::Accepted]);
    assert_eq!(board.block(&[hash(0, 0), hash(0, 1)], 1_020), 2);
    assert_eq!(board.succeeded(), 1);
    assert_eq!(board.latencies_ms(0, 1_000), [1.0]);
    assert_eq!(board.executed(), (vec![2], true));
    assert_eq!(board.counts.accepted, 2);
}

#[test]
fn a_block_may_come_before_the_answer_and_no_transaction_twice() {
    let mut board = board(1, 2, 1);
    let (id, _) = board.take(0).unwrap();
    assert_eq!(board.block(&[hash(0, 0), B256::ZERO], 5_000), 1);
    assert_eq!((board.counts.accepted, board.in_flight()), (1, 0));
    board.answered(0, &[id], &[Fate::Accepted]);
    assert_eq!(board.counts.accepted, 1);
    assert_eq!(board.foreign.get(&B256::ZERO), Some(&1));
    assert_eq!(board.twice, None);
    board.block(&[hash(0, 0)], 6_000);
    assert_eq!(board.twice, Some(hash(0, 0)));
}

#[test]
fn what_only_a_dead_node_had_is_handed_in_elsewhere() {
    let mut board = board(2, 2, 2);
    let (one, node_of_one) = board.take(0).unwrap();
    let (two, node_of_two) = board.take(0).unwrap();
    assert_eq!((node_of_one, node_of_two), (0, 1));
    board.answered(0, &[one], &[Fate::Accepted]);
    board.answered(1, &[two], &[Fate::Accepted]);
    board.down(0);
    assert_eq!((board.counts.resubmitted, board.counts.accepted), (1, 1));
    board.down(0);
    assert_eq!(board.counts.resubmitted, 1);
    // The account of the dead node goes to the other one until its own is back.
    assert_eq!(board.take(9), Some((one, 1)));
    board.answered(
        1,
        &[one],
        &[Fate::Refused("nonce too low: next 1".to_owned())],
    );
    assert_eq!((board.counts.refused, board.counts.accepted), (0, 2));
    board.up(0);
    assert_eq!(board.take(9).unwrap().1, 1);
    assert_eq!(board.take(9).unwrap().1, 0);
    assert_eq!(board.outstanding().len(), 4);
}

#[test]
fn a_refusal_for_another_reason_is_kept_and_a_used_up_nonce_is_one_unless_it_was_unsure() {
    let mut board = board(1, 1, 1);
    let (id, _) = board.take(0).unwrap();
    let low = || [Fate::Refused("nonce too low".to_owned())];
    board.answered(0, &[id], &low());
    assert_eq!((board.counts.refused, board.counts.accepted), (1, 0));
    assert_eq!(board.refusal.as_deref(), Some("nonce too low"));
    board.take(0).unwrap();
    board.unanswered(&[id], true);
    board.take(0).unwrap();
    board.answered(0, &[id], &low());
    assert_eq!((board.counts.refused, board.counts.accepted), (1, 1));
}

#[test]
fn executed_transactions_with_a_gap_are_noticed() {
    let mut board = board(1, 3, 1);
    while board.take(0).is_some() {}
    board.block(&[hash(0, 0), hash(0, 2)], 1);
    assert_eq!(board.executed(), (vec![1], false));
}
