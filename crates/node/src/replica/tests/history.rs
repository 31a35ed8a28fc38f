//! Peers that no longer keep what is asked for.

use super::*;

fn at(height: u64) -> PeerMessage {
    PeerMessage::Status {
        genesis: genesis().hash(),
        height: Height(height),
    }
}

fn from(first: u64) -> PeerMessage {
    PeerMessage::BlocksFrom {
        first: Height(first),
    }
}

#[test]
fn a_peer_that_dropped_the_blocks_is_not_asked_again_and_another_is() {
    let mut replica = started();
    assert_eq!(requests(&tell(&mut replica, 2, &at(16))).len(), 1);
    assert!(tell(&mut replica, 3, &at(16)).is_empty());
    // The one of two that is not asked may say what it likes.
    assert!(tell(&mut replica, 3, &from(14)).is_empty());
    let actions = tell(&mut replica, 2, &from(12));
    let to_other =
        |action: &Action| matches!(action, Action::Send { to: To::Peer(to), .. } if *to == peer(3));
    assert!(requests(&actions).len() == 1 && actions.iter().any(to_other));
    assert_eq!(replica.history_missing(), None);
    let actions = tell(&mut replica, 3, &from(14));
    let told = reports(&actions);
    assert!(
        matches!(told.as_slice(), [Report::HistoryMissing { next, first }]
            if (next.0, first.0) == (1, 12)),
        "{told:?}"
    );
    assert_eq!(replica.history_missing(), Some(Height(12)));
    assert!(!replica.is_syncing());
    // They are not asked again for a minute, and then they are.
    assert!(requests(&tell(&mut replica, 2, &at(16))).is_empty());
    let bytes = Bytes::from(encode(&at(16)));
    let later = START.plus_ms(60_000);
    let event = Event::Message {
        from: peer(2),
        bytes,
    };
    assert_eq!(requests(&replica.handle(later, event).unwrap()).len(), 1);
    assert_eq!(replica.history_missing(), Some(Height(12)));
}

#[test]
fn a_peer_that_contradicts_itself_is_not_believed() {
    let mut replica = started();
    tell(&mut replica, 2, &at(50));
    let actions = tell(&mut replica, 2, &from(1));
    assert!(reports(&actions).is_empty() && requests(&actions).is_empty());
    assert_eq!(replica.history_missing(), None);
    assert!(requests(&tell(&mut replica, 2, &at(50))).is_empty());
}

#[test]
fn who_does_not_know_the_answer_gets_an_empty_one() {
    let mut replica = started();
    assert_eq!(
        replica.no_blocks(peer(2), Height(9)),
        PeerMessage::Blocks(Vec::new())
    );
    let hello = PeerMessage::Hello {
        features: FEATURE_FROM,
        heard: true,
    };
    tell(&mut replica, 2, &hello);
    assert_eq!(replica.no_blocks(peer(2), Height(9)), from(9));
}
