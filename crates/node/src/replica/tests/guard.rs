//! A validator that may have forgotten votes.

use super::*;

const TIMERS: [hawser_consensus::TimerKind; 3] = [
    hawser_consensus::TimerKind::Propose,
    hawser_consensus::TimerKind::Prevote,
    hawser_consensus::TimerKind::Precommit,
];

/// A replica of validator 1 after block 0, restored or not.
fn node(guard: Option<VoteGuard>, cast: BTreeMap<Height, CastVotes>) -> Replica {
    let rules = Arc::new(Rules::of_genesis(&genesis()).unwrap());
    let boot = boot_at(0, rules, cast);
    let mut replica = Replica::new(Boot { guard, ..boot });
    replica.handle(START, Event::Started).unwrap();
    for i in 2..=4 {
        replica.handle(START, Event::PeerUp(peer(i))).unwrap();
        status(&mut replica, i, 0);
    }
    replica
}

fn status(replica: &mut Replica, from: u8, height: u64) {
    let message = PeerMessage::Status {
        genesis: genesis().hash(),
        height: Height(height),
    };
    tell(replica, from, &message);
}

const fn restored() -> Option<VoteGuard> {
    Some(VoteGuard::unknown(GuardReason::Restored))
}

/// Lets every wait of a height end; gives all that was done.
fn wait(replica: &mut Replica, height: u64) -> Vec<Action> {
    let mut actions = Vec::new();
    for kind in TIMERS {
        let timer = hawser_consensus::Timer {
            height: Height(height),
            round: Round(0),
            kind,
        };
        let event = Event::Timer(TimerId::Agreement(timer));
        actions.extend(replica.handle(START.plus_ms(60_000), event).unwrap());
    }
    actions
}

/// Transactions wait and nobody votes.
#[test]
fn both_sides_of_a_chain_that_counts_as_stalled() {
    let mut replica = node(restored(), BTreeMap::new());
    replica.now = START.plus_ms(10 * STALLED_MS);
    assert_eq!(replica.stalled_ms(), None, "nothing waits");
    let list = dissemination::transfers(1);
    let list = (0..).zip(dissemination::candidates(&list)).collect();
    let began = START.plus_ms(20 * STALLED_MS);
    replica.handle(began, Event::Submitted(list)).unwrap();
    let mut stalled = |after_ms| {
        let event = Event::Timer(TimerId::Status);
        replica.handle(began.plus_ms(after_ms), event).unwrap();
        replica.stalled_ms()
    };
    assert_eq!(stalled(STALLED_MS), None);
    assert_eq!(stalled(STALLED_MS + 1), Some(STALLED_MS + 1));
    take_block(&mut replica, &[2, 3, 4]);
    assert_eq!(replica.stalled_ms(), None, "a block was decided");
}

fn guards(actions: &[Action]) -> Vec<VoteGuard> {
    let of = |action: &Action| match action {
        Action::Guard(guard) => Some(*guard),
        _ => None,
    };
    actions.iter().filter_map(of).collect()
}

/// Votes for nothing by some of the others.
fn others_vote(replica: &mut Replica, who: &[u8], height: u64) -> Vec<Action> {
    let votes = who.iter().flat_map(|i| {
        let vote = vote_of(*i, VoteKind::Prevote, Height(height), None);
        tell(replica, *i, &vote)
    });
    votes.collect()
}

/// Takes the next block from a peer, with these signers, and executes it.
fn take_block(replica: &mut Replica, signers: &[u8]) -> Vec<Action> {
    let tip = replica.tip.height;
    let lag = genesis().parameters.root_lag;
    let executed = replica.roots.get(&tip.next().back(lag)).copied().unwrap();
    let mut block = certified(replica, executed);
    let set = genesis().validator_set().unwrap();
    let certificate = &mut block.certificate;
    let bytes = hawser_ledger::vote_message(
        ChainId(9),
        certificate.height,
        certificate.round,
        VoteKind::Precommit,
        Some(certificate.block_hash),
    );
    certificate.signatures = signers
        .iter()
        .map(|i| hawser_ledger::CommitSignature {
            validator: u16::try_from(set.index_of(&key(*i).address()).unwrap()).unwrap(),
            signature: key(*i).sign(&bytes),
        })
        .collect();
    certificate.signatures.sort_by_key(|one| one.validator);
    let hash = block.certificate.block_hash;
    status(replica, 2, tip.0 + 2);
    let mut actions = tell(replica, 2, &PeerMessage::Blocks(vec![block]));
    let checked = Event::Checked {
        hash,
        result: Ok(Arc::default()),
    };
    actions.extend(replica.handle(START, checked).unwrap());
    assert_eq!(replica.tip.height, tip.next(), "{actions:?}");
    let executed = Event::Executed {
        roots: Roots {
            height: tip.next(),
            ..Roots::default()
        },
        nonces: Vec::new(),
        skipped: Vec::new(),
        rules: Arc::new(Rules::of_genesis(&genesis()).unwrap()),
    };
    actions.extend(replica.handle(START, executed).unwrap());
    // The peer has no more after all.
    for peer in replica.peers.values_mut() {
        peer.height = tip.next();
    }
    actions
}

#[test]
fn a_restored_validator_signs_nothing_where_it_may_have_signed_before() {
    // Without the guard it votes, and the vote of its forgotten life was for a block.
    let mut careless = node(None, BTreeMap::new());
    others_vote(&mut careless, &[2], 1);
    assert!(!sent_votes(&wait(&mut careless, 1)).is_empty());

    let mut replica = node(restored(), BTreeMap::new());
    assert_eq!(replica.address(), None);
    let mut actions = others_vote(&mut replica, &[2, 3, 4], 1);
    actions.extend(wait(&mut replica, 1));
    assert!(sent_votes(&actions).is_empty(), "{actions:?}");
    let proposal = |action: &Action| match action {
        Action::Send { bytes, .. } => matches!(
            decode_exact(bytes, limits::FRAME_BYTES_MAX),
            Ok(PeerMessage::Agreement(Message::Proposal(_)))
        ),
        _ => false,
    };
    assert!(!actions.iter().any(proposal));
}

#[test]
fn it_votes_again_two_heights_after_a_quorum_of_the_others_has_shown_where_it_is() {
    let mut replica = node(restored(), BTreeMap::new());
    // Two of three others are no quorum, nor is its own vote of before that a peer brings.
    assert_eq!(guards(&others_vote(&mut replica, &[2, 3], 1)), []);
    let own = vote_of(1, VoteKind::Prevote, Height(1), Some(B256::repeat_byte(1)));
    assert_eq!(guards(&tell(&mut replica, 2, &own)), []);
    let from = Some(Height(3));
    let told = guards(&others_vote(&mut replica, &[4], 1));
    assert_eq!(told.iter().map(|one| one.from).collect::<Vec<_>>(), [from]);
    assert_eq!(replica.vote_guard().unwrap().from, from);
    // Not yet …
    take_block(&mut replica, &[2, 3, 4]);
    let mut actions = others_vote(&mut replica, &[2, 3, 4], 2);
    actions.extend(wait(&mut replica, 2));
    assert!(sent_votes(&actions).is_empty(), "{actions:?}");
    // … but now.
    take_block(&mut replica, &[2, 3, 4]);
    let mut actions = others_vote(&mut replica, &[2], 3);
    actions.extend(wait(&mut replica, 3));
    assert!(!sent_votes(&actions).is_empty(), "{actions:?}");
    assert_eq!(replica.vote_guard(), None);
    assert_eq!(replica.address(), Some(key(1).address()));
}

#[test]
fn votes_for_a_height_that_some_peer_has_decided_show_nothing() {
    let mut replica = node(restored(), BTreeMap::new());
    // As it would be with old votes that somebody repeats while the others are further.
    if let Some(peer) = replica.peers.get_mut(&peer(3)) {
        peer.height = Height(9);
    }
    assert_eq!(guards(&others_vote(&mut replica, &[2, 3, 4], 1)), []);
    assert_eq!(replica.vote_guard().unwrap().from, None);
}

#[test]
fn an_operator_or_an_earlier_run_may_have_said_from_when_on() {
    let from = |height| {
        Some(VoteGuard {
            reason: GuardReason::Restored,
            from: Some(Height(height)),
        })
    };
    for (guard, votes) in [(from(1), true), (from(2), false)] {
        let mut replica = node(guard, BTreeMap::new());
        let mut actions = others_vote(&mut replica, &[2], 1);
        actions.extend(wait(&mut replica, 1));
        assert_eq!(!sent_votes(&actions).is_empty(), votes, "{guard:?}");
    }
}

#[test]
fn a_final_block_with_a_vote_that_this_node_does_not_know_of_shows_that_it_forgot() {
    let forgotten = |actions: &[Action]| {
        let of = |report: &Report| matches!(report, Report::VotesForgotten { .. });
        reports(actions).iter().any(of)
    };
    // Blocks that others made while this node was away are no reason.
    let mut away = node(None, BTreeMap::new());
    let actions = take_block(&mut away, &[2, 3, 4]);
    assert!(!forgotten(&actions) && away.address().is_some());
    // One that it signed is: its folder is an older copy.
    let mut copy = node(None, BTreeMap::new());
    let actions = take_block(&mut copy, &[1, 2, 3]);
    assert!(forgotten(&actions), "{actions:?}");
    let older = VoteGuard::unknown(GuardReason::OlderLog);
    assert_eq!(guards(&actions), [older]);
    let mut actions = others_vote(&mut copy, &[2], 2);
    actions.extend(wait(&mut copy, 2));
    assert!(sent_votes(&actions).is_empty(), "{actions:?}");
}

#[test]
fn a_final_block_with_a_vote_from_the_vote_log_is_as_it_should_be() {
    let expected = {
        let replica = node(None, BTreeMap::new());
        let lag = genesis().parameters.root_lag;
        let executed = replica.roots.get(&Height(1).back(lag)).copied().unwrap();
        certified(&replica, executed).certificate.block_hash
    };
    let PeerMessage::Agreement(Message::Vote(vote)) =
        vote_of(1, VoteKind::Precommit, Height(1), Some(expected))
    else {
        panic!("another message");
    };
    let cast = CastVotes {
        records: vec![Record::Vote(vote)],
        blocks: Vec::new(),
    };
    let own =
        OwnVotes::of_earlier_run(&BTreeMap::from([(Height(1), cast)]), Some(key(1).address()));
    let mut replica = node(None, BTreeMap::new());
    replica.own = own;
    let actions = take_block(&mut replica, &[1, 2, 3]);
    assert_eq!(guards(&actions), []);
    assert!(replica.address().is_some());
}
