//! Who is heard, who is silent, and which program the others say they run.

use super::*;
use crate::replica::wire::{About, FEATURE_ABOUT, FEATURE_COMPACT, PROGRAM_BYTES_MAX};
use crate::replica::{SILENT_BLOCKS, SILENT_MS};

fn prevote(i: u8, signer: u8, height: u64) -> PeerMessage {
    let vote = Vote {
        kind: VoteKind::Prevote,
        height: Height(height),
        round: Round(0),
        block: None,
        validator: key(i).address(),
    };
    let signature = key(signer).sign(&vote.message(ChainId(9)));
    PeerMessage::Agreement(Message::Vote(SignedVote { vote, signature }))
}

fn tell_at(replica: &mut Replica, at: Time, from: u8, message: &PeerMessage) -> Vec<Action> {
    let (from, bytes) = (peer(from), Bytes::from(encode(message)));
    replica.handle(at, Event::Message { from, bytes }).unwrap()
}

fn status(replica: &mut Replica, from: u8) {
    let (genesis, height) = (genesis().hash(), Height(0));
    tell(replica, from, &PeerMessage::Status { genesis, height });
}

fn linked() -> Replica {
    let mut replica = started();
    for i in 2..=4 {
        status(&mut replica, i);
    }
    replica
}

/// A replica whose tip is far from its start, with links to the others.
fn at_height(height: u64) -> Replica {
    let rules = Arc::new(Rules::of_genesis(&genesis()).unwrap());
    let mut replica = replica_at(height, rules, BTreeMap::new());
    replica.handle(START, Event::Started).unwrap();
    for i in 2..=4 {
        replica.handle(START, Event::PeerUp(peer(i))).unwrap();
        status(&mut replica, i);
    }
    replica
}

#[test]
fn a_genuine_vote_shows_which_peer_a_validator_is_and_a_forged_one_shows_nothing() {
    let mut replica = linked();
    tell(&mut replica, 2, &prevote(2, 2, 1));
    tell(&mut replica, 4, &prevote(3, 4, 1));
    let voice = replica.voice(&key(2).address()).unwrap();
    assert_eq!((voice.at, voice.height), (START, Height(1)));
    assert_eq!(voice.peer, Some(peer(2)));
    assert_eq!(replica.voice(&key(3).address()), None);
}

#[test]
fn votes_that_come_too_late_to_count_are_heard_once_a_second() {
    let mut replica = at_height(5);
    let address = key(2).address();
    tell_at(&mut replica, START, 2, &prevote(2, 3, 5));
    assert_eq!(replica.voice(&address), None, "forged");
    // The forged one took the peer's turn of this second.
    tell_at(&mut replica, START.plus_ms(999), 2, &prevote(2, 2, 5));
    assert_eq!(replica.voice(&address), None);
    tell_at(&mut replica, START.plus_ms(1_000), 2, &prevote(2, 2, 5));
    let voice = replica.voice(&address).unwrap();
    assert_eq!((voice.at, voice.height), (START.plus_ms(1_000), Height(5)));
}

#[test]
fn both_sides_of_silence() {
    let mut replica = linked();
    for i in 2..=4 {
        tell(&mut replica, i, &prevote(i, i, 1));
    }
    let silent = |replica: &mut Replica, ms: u64, blocks: u64| {
        replica.tip.height = Height(1 + blocks);
        replica.now = START.plus_ms(ms);
        let all = replica.silent();
        all.iter().map(|one| one.validator).collect::<Vec<_>>()
    };
    assert!(silent(&mut replica, SILENT_MS, SILENT_BLOCKS).is_empty());
    assert!(silent(&mut replica, SILENT_MS + 1, SILENT_BLOCKS - 1).is_empty());
    let all = silent(&mut replica, SILENT_MS + 1, SILENT_BLOCKS);
    assert_eq!(all.len(), 3, "all but this node: {all:?}");
    let one = replica.silent()[0];
    assert_eq!((one.ms, one.blocks), (SILENT_MS + 1, SILENT_BLOCKS));
    assert_eq!(one.last, Some(Height(1)));
}

#[test]
fn on_a_halted_chain_who_is_linked_and_alive_is_not_silent() {
    let mut replica = linked();
    // They vote once, which begins the height, and then wait for two that are gone.
    for i in 2..=4 {
        tell(&mut replica, i, &prevote(i, i, 1));
    }
    assert_eq!(replica.agreement().height(), Some(Height(1)));
    replica.handle(START, Event::PeerDown(peer(4))).unwrap();
    let late = START.plus_ms(4 * SILENT_MS);
    let (genesis, height) = (genesis().hash(), Height(0));
    let message = PeerMessage::Status { genesis, height };
    tell_at(&mut replica, late, 2, &message);
    let names = |replica: &Replica| {
        let all = replica.silent();
        all.iter().map(|one| one.validator).collect::<Vec<_>>()
    };
    let mut gone = vec![key(3).address(), key(4).address()];
    gone.sort_unstable();
    let mut all = names(&replica);
    all.sort_unstable();
    assert_eq!(all, gone, "one has hung up, one says nothing");
    // Its silence counts again once its link is quiet, or when the others decide without it.
    replica.now = late.plus_ms(SILENT_MS);
    assert_eq!(names(&replica).len(), 2);
    replica.now = late.plus_ms(SILENT_MS + 1);
    assert_eq!(names(&replica).len(), 3);
    replica.now = late;
    replica.tip.height = Height(1 + SILENT_BLOCKS);
    assert_eq!(names(&replica).len(), 3);
}

#[test]
fn an_idle_chain_makes_nobody_silent() {
    let mut replica = linked();
    replica.now = START.plus_ms(100 * SILENT_MS);
    assert!(replica.silent().is_empty());
}

fn hello(features: u64) -> PeerMessage {
    PeerMessage::Hello {
        features,
        heard: true,
    }
}

fn abouts(actions: &[Action]) -> Vec<About> {
    let sent = |action: &Action| match action {
        Action::Send { bytes, .. } => match decode_exact(bytes, limits::FRAME_BYTES_MAX).unwrap() {
            PeerMessage::About(about) => Some(about),
            _ => None,
        },
        _ => None,
    };
    actions.iter().filter_map(sent).collect()
}

#[test]
fn what_program_this_is_is_told_to_who_understands_it_now_and_then_again() {
    let mut replica = linked();
    let told = abouts(&tell(&mut replica, 2, &hello(FEATURE_ABOUT)));
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].program, env!("CARGO_PKG_VERSION"));
    assert_eq!(told[0].protocol, PROTOCOL_VERSION);
    assert_eq!(told[0].validator, Some(key(1).address()));
    let told = abouts(&tell(&mut replica, 3, &hello(FEATURE_COMPACT)));
    assert!(told.is_empty(), "it would take it for a bad message");
    let mut again = 0;
    for _ in 0..60 {
        let event = Event::Timer(TimerId::Status);
        again += abouts(&replica.handle(START, event).unwrap()).len();
    }
    assert_eq!(again, 2, "to one peer, twice in two minutes");
}

#[test]
fn both_sides_of_the_bound_on_a_programs_name() {
    let mut replica = linked();
    let about = |len: usize| {
        PeerMessage::About(About {
            program: "1".repeat(len),
            protocol: 7,
            validator: Some(key(2).address()),
        })
    };
    assert!(reports(&tell(&mut replica, 2, &about(PROGRAM_BYTES_MAX))).is_empty());
    assert_eq!(replica.about(&peer(2)).unwrap().protocol, 7);
    let bad = tell(&mut replica, 3, &about(PROGRAM_BYTES_MAX + 1));
    assert!(matches!(
        reports(&bad).as_slice(),
        [Report::BadMessage { .. }]
    ));
    assert!(replica.about(&peer(3)).is_none());
    replica.handle(START, Event::PeerDown(peer(2))).unwrap();
    assert!(replica.about(&peer(2)).is_none());
}

#[test]
fn the_form_of_the_message_is_what_it_was() {
    let message = PeerMessage::About(About {
        program: "0.1.0".to_owned(),
        protocol: 3,
        validator: Some(Address::repeat_byte(0xab)),
    });
    let expected = format!("1905000000302e312e300300000001{}", "ab".repeat(20));
    assert_eq!(hex::encode(encode(&message)), expected);
}

/// A recording of what a replica does, from outside.
#[test]
fn a_tap_sees_rounds_votes_and_timeouts_in_order() {
    use crate::blackbox::{Noted, Tap, What};
    let mut replica = linked();
    let identity = Tap::identity(&genesis(), B256::ZERO, "n", "p", replica.address());
    let mut tap = Tap::new(START, identity, Height(0));
    let _ = tap.take();
    let name = |_: &PeerId| "two".to_owned();
    let actions = tell(&mut replica, 2, &prevote(2, 2, 1));
    tap.handled(START, Noted::Nothing, &actions, &replica, &name);
    let kinds: Vec<_> = tap.take().into_iter().map(|entry| entry.what).collect();
    assert!(matches!(kinds[0], What::Committee(ref all) if all.len() == 4));
    assert!(matches!(
        kinds[1],
        What::Round {
            round: Round(0),
            ..
        }
    ));
    assert!(
        kinds
            .iter()
            .any(|what| matches!(what, What::Vote { block: None, .. }))
    );
    let timer = hawser_consensus::Timer {
        height: Height(1),
        round: Round(0),
        kind: hawser_consensus::TimerKind::Propose,
    };
    let event = Event::Timer(TimerId::Agreement(timer));
    let at = START.plus_ms(600);
    let actions = replica.handle(at, event).unwrap();
    tap.handled(at, Noted::Nothing, &actions, &replica, &name);
    let entries = tap.take();
    if replica.agreement().heard().contains(&key(1).address()) {
        assert!(
            entries
                .iter()
                .any(|entry| matches!(entry.what, What::Timeout { .. })),
            "{entries:?}"
        );
    }
    assert!(entries.iter().all(|entry| entry.at == at));
    let noted = Noted::of(&Event::PeerDown(peer(2)));
    tap.handled(at, noted, &[], &replica, &name);
    assert!(matches!(&tap.take()[0].what, What::Link { name, up: false, .. } if name == "two"));
}
