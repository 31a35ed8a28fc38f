//! Whom a replica that is behind asks for what.

use super::*;
use crate::replica::sync::{ANSWER_MS, BLOCKS_FIRST, HEAD_MS, REQUESTS_MAX, WINDOW_BLOCKS};

const FIRST: u64 = BLOCKS_FIRST as u64;

/// Whom each request went to, its first height, and how many blocks it is for.
fn asked(actions: &[Action]) -> Vec<(u8, u64, u32)> {
    let of = |action: &Action| match action {
        Action::Send {
            to: To::Peer(to),
            bytes,
            ..
        } => match decode_exact(bytes, limits::FRAME_BYTES_MAX) {
            Ok(PeerMessage::BlocksRequest { from, count }) => Some((to.0[0], from.0, count)),
            _ => None,
        },
        _ => None,
    };
    actions.iter().filter_map(of).collect()
}

fn fire(replica: &mut Replica, at: Time) -> Vec<Action> {
    replica.handle(at, Event::Timer(TimerId::Sync)).unwrap()
}

/// Blocks that follow one another from `first` on, certified by nobody.
fn invented(first: u64, count: u64) -> PeerMessage {
    let mut header = genesis().block(B256::ZERO).unwrap().header;
    let blocks = (first..first + count).map(|height| {
        header.height = Height(height);
        let block = Block {
            header: header.clone(),
            transactions: Vec::new(),
        };
        let block_hash = block.hash(Suite::Intl);
        header.parent = block_hash;
        let certificate = Certificate {
            height: Height(height),
            round: Round(0),
            block_hash,
            signatures: Vec::new(),
        };
        CertifiedBlock { block, certificate }
    });
    PeerMessage::Blocks(blocks.collect())
}

#[test]
fn each_peer_that_is_ahead_is_asked_for_a_range_of_its_own() {
    let mut replica = started();
    let first = asked(&tell(&mut replica, 2, &ahead(1_000)));
    // Alone, it is asked for two.
    assert_eq!(first, [(2, 1, BLOCKS_FIRST), (2, 1 + FIRST, BLOCKS_FIRST)]);
    let second = asked(&tell(&mut replica, 3, &ahead(1_000)));
    assert_eq!(second, [(3, 1 + 2 * FIRST, BLOCKS_FIRST)]);
    let third = asked(&tell(&mut replica, 4, &ahead(3 * FIRST + 5)));
    assert_eq!(third, [(4, 1 + 3 * FIRST, 5)], "no more than it has");
    assert!(asked(&tell(&mut replica, 4, &ahead(1_000))).is_empty());
    let state = replica.catching_up().unwrap();
    assert_eq!((state.target, state.behind), (Height(1_000), 1_000));
    assert_eq!(state.peers, [peer(2), peer(3), peer(4)]);
}

#[test]
fn neither_more_requests_nor_blocks_further_ahead_than_there_may_be() {
    let mut replica = replica(1);
    replica.handle(START, Event::Started).unwrap();
    let mut all = Vec::new();
    for i in 2..=40 {
        replica.handle(START, Event::PeerUp(peer(i))).unwrap();
        all.extend(asked(&tell(&mut replica, i, &ahead(10_000))));
    }
    assert!(all.len() <= REQUESTS_MAX, "{all:?}");
    assert!(all.len() > REQUESTS_MAX / 2);
    // Answers that never have their turn, because the first one does not come.
    let mut furthest = 0;
    for _ in 0..200 {
        let Some((to, from, count)) = all
            .iter()
            .position(|one| one.1 > 1)
            .map(|at| all.remove(at))
        else {
            break;
        };
        furthest = furthest.max(from + u64::from(count));
        all.extend(asked(&tell(
            &mut replica,
            to,
            &invented(from, u64::from(count)),
        )));
        let sizes = replica.sizes();
        assert_eq!(sizes.above(&Sizes::bounds(39)), None);
    }
    assert!(furthest <= 1 + WINDOW_BLOCKS, "{furthest}");
    assert!(furthest > WINDOW_BLOCKS / 2, "{furthest}");
    assert_eq!(replica.tip().height, Height::GENESIS);
}

#[test]
fn the_blocks_that_others_wait_for_are_asked_of_somebody_else_early() {
    let mut replica = started();
    tell(&mut replica, 2, &ahead(1_000));
    tell(&mut replica, 3, &ahead(1_000));
    // While nothing waits for it, the first answer has its time.
    let early = START.plus_ms(HEAD_MS);
    assert!(asked(&fire(&mut replica, early)).is_empty());
    let (from, count) = (1 + 2 * FIRST, FIRST);
    let told = asked(&tell(&mut replica, 3, &invented(from, count)));
    assert!(matches!(told.as_slice(), [(3, 1, _)]), "{told:?}");
}

#[test]
fn what_is_not_answered_in_time_is_asked_of_another_and_taken_when_it_comes_late() {
    let mut replica = started();
    tell(&mut replica, 2, &ahead(10));
    tell(&mut replica, 3, &ahead(10));
    assert!(asked(&fire(&mut replica, START.plus_ms(ANSWER_MS - 1))).is_empty());
    let actions = fire(&mut replica, START.plus_ms(ANSWER_MS));
    assert_eq!(asked(&actions), [(3, 1, 10)]);
    assert!(
        reports(&actions)
            .iter()
            .all(|one| !matches!(one, Report::BadMessage { .. }))
    );
    // The late one is as good as the other.
    let block = certified(&replica, Roots::default());
    let actions = tell(&mut replica, 2, &PeerMessage::Blocks(vec![block]));
    assert!(
        actions
            .iter()
            .any(|action| matches!(action, Action::Check { .. }))
    );
}

#[test]
fn one_missing_block_is_left_to_agreement_for_a_moment() {
    let mut replica = started();
    let actions = tell(&mut replica, 2, &ahead(1));
    assert!(asked(&actions).is_empty());
    let timer = |action: &Action| match action {
        Action::SetTimer(TimerId::Sync, at) => Some(*at),
        _ => None,
    };
    let at = actions.iter().find_map(timer).unwrap();
    assert_eq!(at, START.plus_ms(50));
    assert!(replica.catching_up().is_none());
    assert_eq!(asked(&fire(&mut replica, at)), [(2, 1, 1)]);
}

#[test]
fn blocks_without_a_quorum_cost_no_check_of_signatures() {
    let mut replica = started();
    tell(&mut replica, 2, &ahead(10));
    let actions = tell(&mut replica, 2, &invented(1, 10));
    assert!(
        actions
            .iter()
            .all(|action| !matches!(action, Action::Check { .. }))
    );
    assert_eq!(replica.sizes().synced, 0, "nothing of it is kept");
}
