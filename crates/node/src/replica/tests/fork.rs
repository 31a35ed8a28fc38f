//! Two final blocks of one height (SY-19).

use std::collections::BTreeSet;

use super::*;

/// A replica whose tip is block 1, and another final block of that height.
fn at_one() -> (Replica, CertifiedBlock) {
    let mut replica = started();
    let executed = replica.tip.executed;
    let CertifiedBlock { block, certificate } = certified(&replica, executed);
    let time = replica.tip.time;
    replica.tip.time = time.plus_ms(7);
    let other = certified(&replica, executed);
    replica.tip.time = time;
    let hash = block.header.hash(Suite::Intl);
    let block = CheckedBlock {
        block: Arc::new(block),
        hash,
        transactions: Arc::default(),
    };
    replica.commit(block, certificate, false).unwrap();
    replica.actions.clear();
    (replica, other)
}

fn served(actions: &[Action]) -> usize {
    let serves = |one: &&Action| {
        matches!(
            one,
            Action::Serve {
                from: Height(1),
                count: 1,
                ..
            }
        )
    };
    actions.iter().filter(serves).count()
}

#[test]
fn a_second_final_block_of_the_tips_height_is_told_to_all_and_stops_the_replica_with_names() {
    let (mut replica, other) = at_one();
    let ours = replica.tip_hash;
    let theirs = other.certificate.block_hash;
    let actions = tell(&mut replica, 3, &PeerMessage::Blocks(vec![other]));
    assert_eq!(served(&actions), 3, "all peers get the block of this side");
    let wake = |ms| (START.plus_ms(ms), Event::Timer(TimerId::Wake));
    let (at, event) = wake(499);
    let actions = replica.handle(at, event).unwrap();
    assert!(actions.is_empty(), "it does nothing more");
    let (at, event) = wake(500);
    let error = replica.handle(at, event).unwrap_err();
    let ReplicaError::TwoFinal(found) = &error else {
        panic!("{error}");
    };
    assert_eq!((found.ours, found.theirs), (ours, theirs));
    assert_eq!((found.height, found.one_round), (Height(1), true));
    let signers: BTreeSet<_> = (2..=4).map(|i| key(i).address()).collect();
    assert_eq!(found.both.iter().copied().collect::<BTreeSet<_>>(), signers);
    for signer in signers {
        assert!(error.to_string().contains(&signer.to_string()), "{error}");
    }
}

#[test]
fn what_no_quorum_signed_stops_nobody_and_one_block_of_each_peer_is_looked_at() {
    let (mut replica, other) = at_one();
    let mut unsigned = other.clone();
    unsigned.certificate.signatures.pop();
    tell(&mut replica, 2, &PeerMessage::Blocks(vec![unsigned]));
    // Its turn is over for this height.
    let actions = tell(&mut replica, 2, &PeerMessage::Blocks(vec![other.clone()]));
    assert_eq!(served(&actions), 0);
    replica
        .handle(START.plus_ms(900), Event::Timer(TimerId::Wake))
        .expect("goes on");
    let actions = tell(&mut replica, 3, &PeerMessage::Blocks(vec![other]));
    assert_eq!(served(&actions), 3);
}

#[test]
fn the_own_block_again_is_no_fork() {
    let mut replica = started();
    let executed = replica.tip.executed;
    let own = certified(&replica, executed);
    let block = CheckedBlock {
        block: Arc::new(own.block.clone()),
        hash: own.certificate.block_hash,
        transactions: Arc::default(),
    };
    replica
        .commit(block, own.certificate.clone(), false)
        .unwrap();
    replica.actions.clear();
    let actions = tell(&mut replica, 2, &PeerMessage::Blocks(vec![own]));
    assert_eq!(served(&actions), 0);
    replica
        .handle(START.plus_ms(900), Event::Timer(TimerId::Wake))
        .expect("goes on");
}
