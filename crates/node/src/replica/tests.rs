use hawser_consensus::{FixedElection, Message, SignedVote, Vote};
use hawser_crypto::Scheme;
use hawser_ledger::{ChainParameters, GenesisValidator, PROTOCOL_VERSION, VoteKind};
use hawser_primitives::ChainId;

use super::*;

const START: Time = Time(1_000_000);

fn key(i: u8) -> Arc<SecretKey> {
    Arc::new(SecretKey::from_seed(Scheme::Ed25519, &[i; 32]).unwrap())
}

fn genesis() -> Arc<Genesis> {
    Arc::new(Genesis {
        protocol_version: PROTOCOL_VERSION,
        chain_id: ChainId(9),
        name: "test".to_owned(),
        suite: Suite::Intl,
        time: START,
        parameters: ChainParameters::default(),
        validators: (1..=4)
            .map(|i| GenesisValidator {
                name: format!("v{i}"),
                public_key: key(i).public_key(),
                weight: 1,
            })
            .collect(),
        accounts: BTreeMap::new(),
        governance: None,
    })
}

fn replica(i: u8) -> Replica {
    let genesis = genesis();
    let tip = genesis.block(B256::ZERO).unwrap().header;
    let set = genesis.validator_set().unwrap();
    Replica::new(Boot {
        roots: vec![tip.executed],
        tip,
        genesis,
        election: Arc::new(FixedElection::new(set)),
        key: Some(key(i)),
        timeouts: Timeouts::default(),
        pool: PoolLimits::default(),
        last_busy: Height::GENESIS,
        cast: BTreeMap::new(),
    })
}

fn peer(i: u8) -> PeerId {
    PeerId([i; 32])
}

fn started() -> Replica {
    let mut replica = replica(1);
    replica.handle(START, Event::Started).unwrap();
    for i in 2..=4 {
        replica.handle(START, Event::PeerUp(peer(i))).unwrap();
    }
    replica
}

fn tell(replica: &mut Replica, from: u8, message: &PeerMessage) -> Vec<Action> {
    let bytes = Bytes::from(encode(message));
    replica
        .handle(
            START,
            Event::Message {
                from: peer(from),
                bytes,
            },
        )
        .unwrap()
}

fn reports(actions: &[Action]) -> Vec<Report> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Report(report) => Some(report.clone()),
            _ => None,
        })
        .collect()
}

fn requests(actions: &[Action]) -> Vec<PeerMessage> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Send { bytes, .. } => decode_exact(bytes, limits::FRAME_BYTES_MAX).ok(),
            _ => None,
        })
        .filter(|message| matches!(message, PeerMessage::BlocksRequest { .. }))
        .collect()
}

#[test]
fn an_idle_replica_only_keeps_its_status_timer() {
    let mut replica = replica(1);
    let actions = replica.handle(START, Event::Started).unwrap();
    assert!(matches!(
        actions.as_slice(),
        [Action::SetTimer(TimerId::Status, _)]
    ));
    let at = START.plus_ms(600_000);
    let actions = replica.handle(at, Event::Timer(TimerId::Status)).unwrap();
    assert!(
        actions
            .iter()
            .all(|a| !matches!(a, Action::Log(_) | Action::Commit { .. }))
    );
    assert_eq!(replica.agreement().height(), None);
}

#[test]
fn garbage_is_reported_and_changes_nothing() {
    let mut replica = started();
    for bytes in [
        vec![],
        vec![0xff; 40],
        vec![2, 1, 1, 1],
        vec![7, 0xff, 0xff, 0xff, 0xff],
    ] {
        let event = Event::Message {
            from: peer(2),
            bytes: Bytes::from(bytes),
        };
        let actions = replica.handle(START, event).unwrap();
        assert!(matches!(
            reports(&actions).as_slice(),
            [Report::BadMessage { .. }]
        ));
        assert_eq!(actions.len(), 1);
    }
}

#[test]
fn a_peer_on_another_chain_is_named_once_and_ignored() {
    let mut replica = started();
    let foreign = PeerMessage::Status {
        genesis: B256::repeat_byte(1),
        height: Height(50),
    };
    let actions = tell(&mut replica, 2, &foreign);
    assert!(matches!(
        reports(&actions).as_slice(),
        [Report::WrongGenesis { .. }]
    ));
    assert!(requests(&actions).is_empty());
    assert!(reports(&tell(&mut replica, 2, &foreign)).is_empty());
    let ask = PeerMessage::Transactions(vec![Bytes::from(vec![1])]);
    assert!(tell(&mut replica, 2, &ask).is_empty());
}

/// A validator's vote makes the replica want the body of a block.
fn vote_for(replica: &mut Replica, validator: u8, round: u32, block: B256) {
    let vote = Vote {
        kind: VoteKind::Prevote,
        height: Height(1),
        round: Round(round),
        block: Some(block),
        validator: key(validator).address(),
    };
    let signature = key(validator).sign(&vote.message(ChainId(9)));
    let message = Message::Vote(SignedVote { vote, signature });
    tell(replica, validator, &PeerMessage::Agreement(message));
}

#[test]
fn parts_that_nobody_asked_for_are_ignored() {
    let mut replica = started();
    for i in 0..100u8 {
        let message = PeerMessage::Part {
            height: Height(1),
            block: B256::repeat_byte(i),
            index: 0,
            total: 2,
            bytes: Bytes::from(vec![0; 100]),
        };
        assert!(tell(&mut replica, 3, &message).is_empty());
    }
    assert_eq!(replica.candidates.open_assemblies(), 0);
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let mut replica = started();
    vote_for(&mut replica, 2, 0, B256::repeat_byte(7));
    let part = |index, total, len| PeerMessage::Part {
        height: Height(1),
        block: B256::repeat_byte(7),
        index,
        total,
        bytes: Bytes::from(vec![0; len]),
    };
    let most = u16::try_from(limits::BLOCK_BYTES_MAX.div_ceil(limits::PART_BYTES)).unwrap();
    for bad in [
        part(0, 0, 10),
        part(3, 3, 10),
        part(0, most * 2, 10),
        part(0, 2, limits::PART_BYTES + 1),
    ] {
        let actions = tell(&mut replica, 2, &bad);
        assert!(
            matches!(reports(&actions).as_slice(), [Report::BadMessage { .. }]),
            "{bad:?}"
        );
    }
    // A complete set of parts that is no block, or another one than named.
    let actions = tell(&mut replica, 2, &part(0, 1, limits::PART_BYTES));
    assert!(matches!(
        reports(&actions).as_slice(),
        [Report::BadMessage { .. }]
    ));
    // One peer cannot fill memory with blocks that never end.
    for i in 0..10u8 {
        vote_for(&mut replica, 3, u32::from(i), B256::repeat_byte(i));
        let endless = PeerMessage::Part {
            height: Height(1),
            block: B256::repeat_byte(i),
            index: 0,
            total: 2,
            bytes: Bytes::from(vec![0; 100]),
        };
        tell(&mut replica, 3, &endless);
    }
    assert_eq!(replica.candidates.open_assemblies(), 4);
}

#[test]
fn a_forged_vote_counts_for_nothing() {
    let mut replica = started();
    let vote = Vote {
        kind: VoteKind::Prevote,
        height: Height(1),
        round: Round(0),
        block: None,
        validator: key(2).address(),
    };
    let forged = SignedVote {
        signature: key(3).sign(&vote.message(ChainId(9))),
        vote,
    };
    let message = PeerMessage::Agreement(Message::Vote(forged));
    let actions = tell(&mut replica, 3, &message);
    assert!(
        actions
            .iter()
            .all(|action| !matches!(action, Action::Log(_)))
    );
    assert!(replica.agreement().heard().is_empty());
}

#[test]
fn a_vote_for_the_next_height_wakes_an_idle_replica() {
    let mut replica = started();
    let vote = Vote {
        kind: VoteKind::Prevote,
        height: Height(1),
        round: Round(0),
        block: None,
        validator: key(2).address(),
    };
    let signed = SignedVote {
        signature: key(2).sign(&vote.message(ChainId(9))),
        vote,
    };
    let actions = tell(
        &mut replica,
        2,
        &PeerMessage::Agreement(Message::Vote(signed)),
    );
    assert_eq!(replica.agreement().height(), Some(Height(1)));
    assert_eq!(replica.agreement().heard(), [key(2).address()]);
    assert!(
        actions
            .iter()
            .any(|action| matches!(action, Action::Log(_)))
    );
}

#[test]
fn a_replica_that_is_behind_asks_and_does_not_believe() {
    let mut replica = started();
    let genesis_hash = genesis().hash();
    let ahead = PeerMessage::Status {
        genesis: genesis_hash,
        height: Height(10),
    };
    let actions = tell(&mut replica, 2, &ahead);
    assert_eq!(
        requests(&actions),
        [PeerMessage::BlocksRequest {
            from: Height(1),
            count: SYNC_BLOCKS_MAX
        }]
    );
    // A block whose certificate nobody signed.
    let mut header = genesis().block(B256::ZERO).unwrap().header;
    header.height = Height(1);
    header.parent = replica.tip().hash;
    let block = Block {
        header,
        transactions: Vec::new(),
    };
    let certificate = Certificate {
        height: Height(1),
        round: Round(0),
        block_hash: block.hash(Suite::Intl),
        signatures: Vec::new(),
    };
    let forged = PeerMessage::Blocks(vec![CertifiedBlock { block, certificate }]);
    let actions = tell(&mut replica, 2, &forged);
    assert!(
        reports(&actions)
            .iter()
            .any(|r| matches!(r, Report::BadMessage { .. }))
    );
    assert!(
        actions
            .iter()
            .all(|a| !matches!(a, Action::Commit { .. } | Action::Check { .. }))
    );
    assert_eq!(replica.tip().height, Height::GENESIS);
}

#[test]
fn blocks_that_were_not_asked_for_are_ignored() {
    let mut replica = started();
    let block = Block {
        header: genesis().block(B256::ZERO).unwrap().header,
        transactions: Vec::new(),
    };
    let certificate = Certificate {
        height: Height(1),
        round: Round(0),
        block_hash: B256::ZERO,
        signatures: Vec::new(),
    };
    let message = PeerMessage::Blocks(vec![CertifiedBlock { block, certificate }]);
    assert!(tell(&mut replica, 2, &message).is_empty());
}

#[test]
fn a_clock_set_back_does_not_stop_the_replica() {
    let mut replica = started();
    replica
        .handle(Time(5), Event::Timer(TimerId::Status))
        .unwrap();
    let actions = replica
        .handle(Time(6), Event::Timer(TimerId::Status))
        .unwrap();
    assert!(actions.iter().any(|action| matches!(
        action,
        Action::SetTimer(TimerId::Status, at) if *at > START
    )));
}
