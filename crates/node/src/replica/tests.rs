use hawser_consensus::{Message, Record, SignedVote, Timeouts, Vote};
use hawser_crypto::Scheme;
use hawser_ledger::{
    Block, Certificate, ChainParameters, ChainSettings, FalseAttestation, GenesisValidator,
    PROTOCOL_VERSION, SETTINGS_DELAY, SettingsSchedule, VerifiedTransaction, VoteKind,
};
use hawser_primitives::{ChainId, U256, decode_exact, limits};

use crate::pool::PoolLimits;

use super::*;

mod attested;
mod catch_up;
mod dissemination;
mod fork;
mod guard;
mod history;
mod voices;

const NO_AUDIT: AuditSampling = AuditSampling {
    key: [0; 16],
    per_mille: 0,
};
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
    Replica::new(Boot {
        roots: vec![tip.executed],
        tip,
        rules: Arc::new(Rules::of_genesis(&genesis).unwrap()),
        genesis,
        key: Some(key(i)),
        timeouts: Timeouts::default(),
        pool: PoolLimits::default(),
        certificate: None,
        last_busy: Height::GENESIS,
        cast: BTreeMap::new(),
        program_version: PROTOCOL_VERSION,
        audit: NO_AUDIT,
        convicted: Vec::new(),
        guard: None,
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
    let ask = PeerMessage::Transactions(vec![Relayed {
        sender: key(1).address(),
        raw: Bytes::from(vec![1]),
    }]);
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
fn votes_for_blocks_that_nobody_has_leave_room_for_what_is_proposed() {
    // Not the one whose turn it is.
    let set = genesis().validator_set().unwrap();
    let turn = set.address_at(hawser_consensus::proposer_index(&set, Height(1), Round(0)));
    let own = if turn == Some(key(1).address()) { 2 } else { 1 };
    let mut replica = replica(own);
    replica.handle(START, Event::Started).unwrap();
    for other in (1..=4).filter(|other| *other != own) {
        replica.handle(START, Event::PeerUp(peer(other))).unwrap();
    }
    let hash = |i: u32| B256::from(U256::from(i + 1_000));
    // One validator votes for another block in each of many rounds.
    for round in 1..200 {
        vote_for(&mut replica, 4, round, hash(round));
    }
    // The agreement keeps votes for ten rounds ahead.
    assert_eq!(replica.candidates.wanted().len(), 10);
    let proposed = B256::repeat_byte(7);
    tell(&mut replica, 3, &proposal_of(Height(1), proposed));
    assert!(replica.candidates.is_wanted(&proposed));
    assert_eq!(replica.candidates.wanted().len(), 11);
}

#[test]
fn votes_for_rounds_far_ahead_are_not_kept() {
    let logged = |round| {
        let mut replica = started();
        vote_for(&mut replica, 2, 0, B256::repeat_byte(1));
        let block = B256::repeat_byte(2);
        vote_for(&mut replica, 4, round, block);
        replica.candidates.is_named(&block)
    };
    assert!(logged(10));
    assert!(!logged(11));
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
            count: 10
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
fn blocks_that_were_not_asked_for_are_ignored_and_many_of_them_are_reported() {
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
    for _ in 0..8 {
        assert!(tell(&mut replica, 2, &message).is_empty());
    }
    let actions = tell(&mut replica, 2, &message);
    assert!(matches!(
        reports(&actions).as_slice(),
        [Report::BadMessage { .. }]
    ));
    assert_eq!(actions.len(), 1);
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

/// Rules with a change made in block 0: `validators` decide from `SETTINGS_DELAY` on.
fn changed_rules(change: impl FnOnce(&mut ChainSettings)) -> Arc<Rules> {
    let mut schedule = SettingsSchedule::of_genesis(&genesis());
    let mut settings = schedule.latest().settings.clone();
    change(&mut settings);
    schedule
        .change(Suite::Intl, Height::GENESIS, settings)
        .unwrap();
    Arc::new(Rules::new(schedule, Suite::Intl).unwrap())
}

/// A replica whose chain ends with an empty block at `height`, everything executed.
fn replica_at(height: u64, rules: Arc<Rules>, cast: BTreeMap<Height, CastVotes>) -> Replica {
    Replica::new(boot_at(height, rules, cast))
}

fn boot_at(height: u64, rules: Arc<Rules>, cast: BTreeMap<Height, CastVotes>) -> Boot {
    let genesis = genesis();
    let mut tip = genesis.block(B256::ZERO).unwrap().header;
    tip.height = Height(height);
    let lag = genesis.parameters.root_lag;
    let roots = |height| Roots {
        height: Height(height),
        ..Roots::default()
    };
    Boot {
        roots: (height.saturating_sub(lag)..=height).map(roots).collect(),
        tip,
        genesis,
        rules,
        key: Some(key(1)),
        timeouts: Timeouts::default(),
        pool: PoolLimits::default(),
        certificate: None,
        last_busy: Height::GENESIS,
        cast,
        program_version: PROTOCOL_VERSION,
        audit: NO_AUDIT,
        convicted: Vec::new(),
        guard: None,
    }
}

#[test]
fn an_idle_chain_goes_on_until_a_change_is_in_effect_and_no_further() {
    let rules = changed_rules(|settings| settings.validators[1].weight = 7);
    for (height, goes_on) in [
        (0, true),
        (SETTINGS_DELAY - 1, true),
        (SETTINGS_DELAY, false),
    ] {
        let mut replica = replica_at(height, Arc::clone(&rules), BTreeMap::new());
        replica.handle(START, Event::Started).unwrap();
        let next = goes_on.then_some(Height(height + 1));
        assert_eq!(replica.agreement().height(), next, "after block {height}");
    }
}

/// As [`replica_at`], by a program that runs versions up to this one.
fn replica_of_program(height: u64, rules: Arc<Rules>, program_version: u32) -> Replica {
    let boot = boot_at(height, rules, BTreeMap::new());
    Replica::new(Boot {
        program_version,
        ..boot
    })
}

#[test]
fn a_chain_that_outgrows_the_program_stops_it_with_words() {
    let rules = changed_rules(|settings| settings.protocol_version += 1);
    let mut before = replica_at(SETTINGS_DELAY - 2, Arc::clone(&rules), BTreeMap::new());
    before.handle(START, Event::Started).unwrap();
    let mut at = replica_at(SETTINGS_DELAY - 1, rules, BTreeMap::new());
    let error = at.handle(START, Event::Started).unwrap_err();
    assert!(matches!(
        error,
        ReplicaError::Outdated { height: Height(SETTINGS_DELAY), version, program }
            if version == PROTOCOL_VERSION + 1 && program == PROTOCOL_VERSION
    ));
    assert!(
        error
            .to_string()
            .ends_with("install a newer one and start the node again")
    );
}

#[test]
fn a_newer_program_goes_on_over_the_height_of_a_new_protocol_version() {
    let rules = changed_rules(|settings| settings.protocol_version += 1);
    for (height, program, goes_on) in [
        (SETTINGS_DELAY - 1, PROTOCOL_VERSION + 1, true),
        (SETTINGS_DELAY - 1, PROTOCOL_VERSION + 9, true),
        (SETTINGS_DELAY - 2, PROTOCOL_VERSION, true),
        (SETTINGS_DELAY - 1, PROTOCOL_VERSION, false),
    ] {
        let mut replica = replica_of_program(height, Arc::clone(&rules), program);
        let started = replica.handle(START, Event::Started);
        assert_eq!(
            started.is_ok(),
            goes_on,
            "block {height}, program {program}"
        );
        if goes_on {
            assert_eq!(replica.agreement().height(), Some(Height(height + 1)));
        }
    }
}

#[test]
fn members_of_a_coming_committee_are_believed_for_their_heights_only() {
    let rules = changed_rules(|settings| {
        settings.validators[1].public_key = key(7).public_key();
    });
    let prevote = |validator: u8, height: u64| {
        let vote = Vote {
            kind: VoteKind::Prevote,
            height: Height(height),
            round: Round(0),
            block: None,
            validator: key(validator).address(),
        };
        let signature = key(validator).sign(&vote.message(ChainId(9)));
        PeerMessage::Agreement(Message::Vote(SignedVote { vote, signature }))
    };
    let blamed = |validator: u8, height: u64| {
        let mut replica = replica_at(4, Arc::clone(&rules), BTreeMap::new());
        replica.handle(START, Event::PeerUp(peer(7))).unwrap();
        replica.handle(START, Event::PeerUp(peer(2))).unwrap();
        let actions = tell(&mut replica, validator, &prevote(validator, height));
        let bad = |report: &Report| matches!(report, Report::BadMessage { .. });
        reports(&actions).iter().any(bad)
    };
    let from = SETTINGS_DELAY;
    assert!(blamed(7, from - 1) && !blamed(2, from - 1));
    assert!(!blamed(7, from) && blamed(2, from));
    // Nobody is blamed for heights whose committee is not known here yet.
    let unknown = 4 + SETTINGS_DELAY + 1;
    assert!(!blamed(2, unknown));
}

fn own_votes(actions: &[Action]) -> Vec<Vote> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Send { bytes, .. } => {
                match decode_exact(bytes, limits::FRAME_BYTES_MAX).unwrap() {
                    PeerMessage::Agreement(Message::Vote(signed)) => Some(signed.vote),
                    _ => None,
                }
            }
            _ => None,
        })
        .collect()
}

/// An empty block after the tip and its certificate by three of the four.
fn certified(replica: &Replica, executed: Roots) -> CertifiedBlock {
    let set = genesis().validator_set().unwrap();
    let header = Header {
        version: PROTOCOL_VERSION,
        chain_id: ChainId(9),
        height: replica.tip.height.next(),
        parent: replica.tip_hash,
        time: replica.tip.time.plus_ms(1),
        proposer: key(2).address(),
        transactions_root: hawser_ledger::transactions_root(Suite::Intl, &[]),
        transactions_count: 0,
        executed,
        validators: set.hash(Suite::Intl),
        next_validators: set.hash(Suite::Intl),
    };
    let (height, block_hash) = (header.height, header.hash(Suite::Intl));
    let message = hawser_ledger::vote_message(
        ChainId(9),
        height,
        Round(0),
        VoteKind::Precommit,
        Some(block_hash),
    );
    let mut signatures: Vec<_> = (2..=4)
        .map(|i| hawser_ledger::CommitSignature {
            validator: u16::try_from(set.index_of(&key(i).address()).unwrap()).unwrap(),
            signature: key(i).sign(&message),
        })
        .collect();
    signatures.sort_by_key(|one| one.validator);
    CertifiedBlock {
        block: Block {
            header,
            transactions: Vec::new(),
        },
        certificate: Certificate {
            height,
            round: Round(0),
            block_hash,
            signatures,
        },
    }
}

#[test]
fn votes_logged_two_heights_above_the_tip_bind_when_that_height_is_reached() {
    // Block 2 was proposed and voted for; the crash came before block 1 was stored.
    let set = self::genesis().validator_set().unwrap();
    let at = hawser_consensus::proposer_index(&set, Height(2), Round(0));
    let proposer = (1..=4)
        .map(key)
        .find(|key| set.address_at(at) == Some(key.address()))
        .unwrap();
    let mut header = self::genesis().block(B256::ZERO).unwrap().header;
    header.height = Height(2);
    let proposed = Arc::new(Block {
        header,
        transactions: Vec::new(),
    });
    let block = proposed.hash(Suite::Intl);
    let proposal = hawser_consensus::Proposal {
        height: Height(2),
        round: Round(0),
        block,
        valid_round: None,
        proposer: proposer.address(),
    };
    let vote = Vote {
        kind: VoteKind::Prevote,
        height: Height(2),
        round: Round(0),
        block: Some(block),
        validator: key(1).address(),
    };
    let records = vec![
        Record::Proposal(hawser_consensus::SignedProposal {
            signature: proposer.sign(&proposal.message(ChainId(9))),
            proposal,
        }),
        Record::Block {
            height: Height(2),
            round: Round(0),
            proposer: proposer.address(),
            block,
            valid: true,
        },
        Record::Vote(SignedVote {
            signature: key(1).sign(&vote.message(ChainId(9))),
            vote: vote.clone(),
        }),
    ];
    let cast = CastVotes {
        records,
        blocks: vec![CheckedBlock {
            block: proposed,
            hash: block,
            transactions: Arc::default(),
        }],
    };
    let genesis = genesis();
    let rules = Arc::new(Rules::of_genesis(&genesis).unwrap());
    let mut replica = replica_at(0, rules, BTreeMap::from([(Height(2), cast)]));
    replica.handle(START, Event::Started).unwrap();
    assert_eq!(replica.agreement().height(), None, "height 1 has no votes");
    replica.handle(START, Event::PeerUp(peer(2))).unwrap();
    let ahead = PeerMessage::Status {
        genesis: genesis.hash(),
        height: Height(2),
    };
    tell(&mut replica, 2, &ahead);
    let first = certified(&replica, Roots::default());
    let hash = first.certificate.block_hash;
    tell(&mut replica, 2, &PeerMessage::Blocks(vec![first]));
    let result = Ok(Arc::new(Vec::new()));
    // Later than the block's own time, before which no further block may begin.
    let mut actions = replica
        .handle(START.plus_ms(10), Event::Checked { hash, result })
        .unwrap();
    assert_eq!(replica.tip().height, Height(1));
    assert_eq!(replica.agreement().height(), Some(Height(2)));
    // Time passes without a proposal: a validator that had forgotten would vote nil.
    let timer = hawser_consensus::Timer {
        height: Height(2),
        round: Round(0),
        kind: hawser_consensus::TimerKind::Propose,
    };
    let event = Event::Timer(TimerId::Agreement(timer));
    actions.extend(replica.handle(START.plus_ms(5_000), event).unwrap());
    let prevotes: Vec<_> = own_votes(&actions)
        .into_iter()
        .filter(|vote| vote.kind == VoteKind::Prevote && vote.round == Round(0))
        .collect();
    assert!(!prevotes.is_empty(), "the vote is sent again");
    assert!(prevotes.iter().all(|found| *found == vote), "{prevotes:?}");
}

fn vote_of(i: u8, kind: VoteKind, height: Height, block: Option<B256>) -> PeerMessage {
    let vote = Vote {
        kind,
        height,
        round: Round(0),
        block,
        validator: key(i).address(),
    };
    let signature = key(i).sign(&vote.message(ChainId(9)));
    PeerMessage::Agreement(Message::Vote(SignedVote { vote, signature }))
}

fn sent_votes(actions: &[Action]) -> Vec<PeerMessage> {
    let sent = actions.iter().filter_map(|action| match action {
        Action::Send { bytes, .. } => decode_exact(bytes, limits::FRAME_BYTES_MAX).ok(),
        _ => None,
    });
    sent.filter(|message| matches!(message, PeerMessage::Agreement(Message::Vote(_))))
        .collect()
}

fn elsewhere(actions: &[Action]) -> usize {
    let of = |report: &Report| matches!(report, Report::KeyElsewhere { .. });
    reports(actions).iter().filter(|report| of(report)).count()
}

/// Votes for nothing when it waited for a proposal in vain; gives that vote.
fn voted() -> (Replica, PeerMessage) {
    let mut replica = started();
    let awake = vote_of(2, VoteKind::Prevote, Height(1), None);
    tell(&mut replica, 2, &awake);
    let timer = hawser_consensus::Timer {
        height: Height(1),
        round: Round(0),
        kind: hawser_consensus::TimerKind::Propose,
    };
    let event = Event::Timer(TimerId::Agreement(timer));
    let actions = replica.handle(START, event).unwrap();
    let own = sent_votes(&actions);
    assert_eq!(own.len(), 1, "{actions:?}");
    (replica, own[0].clone())
}

#[test]
fn a_vote_by_this_nodes_key_that_it_did_not_cast_ends_its_voting() {
    for (kind, height, block) in [
        (VoteKind::Prevote, Height(1), Some(B256::repeat_byte(7))),
        (VoteKind::Precommit, Height(1), None),
        (VoteKind::Prevote, Height(2), None),
    ] {
        let (mut replica, _) = voted();
        let actions = tell(&mut replica, 3, &vote_of(1, kind, height, block));
        assert_eq!(elsewhere(&actions), 1, "{kind:?} {height}");
        assert!(replica.key_elsewhere().is_some());
        assert_eq!(replica.address(), None);
        // Whatever comes now, it signs nothing, and says it once.
        let mut later = tell(&mut replica, 3, &vote_of(1, kind, height, block));
        for from in 2..=4 {
            for kind in [VoteKind::Prevote, VoteKind::Precommit] {
                later.extend(tell(
                    &mut replica,
                    from,
                    &vote_of(from, kind, Height(1), None),
                ));
            }
        }
        for kind in [
            hawser_consensus::TimerKind::Propose,
            hawser_consensus::TimerKind::Prevote,
            hawser_consensus::TimerKind::Precommit,
        ] {
            for round in [Round(0), Round(1)] {
                let timer = hawser_consensus::Timer {
                    height: Height(1),
                    round,
                    kind,
                };
                let event = Event::Timer(TimerId::Agreement(timer));
                later.extend(replica.handle(START.plus_ms(60_000), event).unwrap());
            }
        }
        assert!(sent_votes(&later).is_empty(), "{later:?}");
        assert_eq!(elsewhere(&later), 0);
    }
}

#[test]
fn an_own_vote_that_comes_back_and_one_that_is_forged_change_nothing() {
    let (mut replica, own) = voted();
    let actions = tell(&mut replica, 3, &own);
    assert_eq!(elsewhere(&actions), 0);
    // In our name, signed by another.
    let block = Some(B256::repeat_byte(7));
    let PeerMessage::Agreement(Message::Vote(mut forged)) =
        vote_of(1, VoteKind::Precommit, Height(1), block)
    else {
        panic!("another message");
    };
    forged.signature = key(2).sign(&forged.vote.message(ChainId(9)));
    let forged = PeerMessage::Agreement(Message::Vote(forged));
    let actions = tell(&mut replica, 2, &forged);
    assert_eq!(elsewhere(&actions), 0);
    assert_eq!(replica.key_elsewhere(), None);
    assert_eq!(replica.address(), Some(key(1).address()));
    // Votes of the past are of no interest.
    let past = vote_of(1, VoteKind::Precommit, Height(0), block);
    assert_eq!(elsewhere(&tell(&mut replica, 2, &past)), 0);
}

#[test]
fn votes_of_an_earlier_run_are_this_nodes_own() {
    let PeerMessage::Agreement(Message::Vote(vote)) =
        vote_of(1, VoteKind::Prevote, Height(1), None)
    else {
        panic!("another message");
    };
    let cast = CastVotes {
        records: vec![Record::Vote(vote.clone())],
        blocks: Vec::new(),
    };
    let cast = BTreeMap::from([(Height(1), cast)]);
    let own = OwnVotes::of_earlier_run(&cast, Some(key(1).address()));
    let mut replica = started();
    replica.own = own;
    let message = PeerMessage::Agreement(Message::Vote(vote));
    assert_eq!(elsewhere(&tell(&mut replica, 2, &message)), 0);
    let other = vote_of(1, VoteKind::Prevote, Height(1), Some(B256::ZERO));
    assert_eq!(elsewhere(&tell(&mut replica, 2, &other)), 1);
}

/// The proposal of a height by whoever has to make it.
fn proposal_of(height: Height, block: B256) -> PeerMessage {
    let set = genesis().validator_set().unwrap();
    let at = hawser_consensus::proposer_index(&set, height, Round(0));
    let proposer = (1..=4)
        .map(key)
        .find(|key| set.address_at(at) == Some(key.address()))
        .unwrap();
    let proposal = hawser_consensus::Proposal {
        height,
        round: Round(0),
        block,
        valid_round: None,
        proposer: proposer.address(),
    };
    PeerMessage::Agreement(Message::Proposal(hawser_consensus::SignedProposal {
        signature: proposer.sign(&proposal.message(ChainId(9))),
        proposal,
    }))
}

#[test]
fn a_replica_that_comes_late_to_a_height_asks_at_once_for_the_body_that_passed() {
    let mut replica = started();
    let block = B256::repeat_byte(7);
    // The others are at height 2 while block 1 is not here; the pool is empty.
    assert!(own_votes(&tell(&mut replica, 2, &proposal_of(Height(2), block))).is_empty());
    let ahead = PeerMessage::Status {
        genesis: genesis().hash(),
        height: Height(2),
    };
    tell(&mut replica, 2, &ahead);
    let first = certified(&replica, Roots::default());
    let hash = first.certificate.block_hash;
    tell(&mut replica, 2, &PeerMessage::Blocks(vec![first]));
    let result = Ok(Arc::new(Vec::new()));
    let actions = replica
        .handle(START.plus_ms(10), Event::Checked { hash, result })
        .unwrap();
    assert_eq!(replica.agreement().height(), Some(Height(2)));
    let wanted = PeerMessage::BodyRequest {
        height: Height(2),
        block,
    };
    let asked = actions
        .iter()
        .filter(|action| matches!(action, Action::Send { bytes, .. } if decode_exact::<PeerMessage>(bytes, limits::FRAME_BYTES_MAX).unwrap() == wanted))
        .count();
    assert_eq!(asked, 1);
}

fn ahead(height: u64) -> PeerMessage {
    PeerMessage::Status {
        genesis: genesis().hash(),
        height: Height(height),
    }
}

#[test]
fn who_is_still_behind_after_an_answer_asks_again_at_once() {
    let mut replica = started();
    assert_eq!(requests(&tell(&mut replica, 2, &ahead(10))).len(), 1);
    let first = certified(&replica, Roots::default());
    let actions = tell(&mut replica, 2, &PeerMessage::Blocks(vec![first]));
    // It is the only one ahead: while one answer is on its way the next is asked for. It sent a block
    // where ten were asked for, so it is asked for one.
    let ask = |from| PeerMessage::BlocksRequest {
        from: Height(from),
        count: 1,
    };
    assert_eq!(requests(&actions), [ask(2), ask(3)]);
}

#[test]
fn a_peer_that_has_not_what_it_claimed_is_not_asked_again_and_another_one_is() {
    let mut replica = started();
    tell(&mut replica, 2, &ahead(10));
    tell(&mut replica, 3, &ahead(10));
    let nothing = PeerMessage::Blocks(Vec::new());
    assert_eq!(requests(&tell(&mut replica, 2, &nothing)).len(), 1);
    assert!(requests(&tell(&mut replica, 3, &nothing)).is_empty());
    assert!(requests(&tell(&mut replica, 2, &ahead(11))).is_empty());
}

#[test]
fn a_final_block_that_contradicts_the_own_final_one_stops_the_replica_with_words() {
    let mut replica = started();
    tell(&mut replica, 2, &ahead(10));
    let own = std::mem::replace(&mut replica.tip_hash, B256::repeat_byte(9));
    let block = certified(&replica, Roots::default());
    replica.tip_hash = own;
    let mut unsigned = block.clone();
    unsigned.certificate.signatures.pop();
    // Without a quorum it is the peer that is wrong.
    let actions = tell(&mut replica, 2, &PeerMessage::Blocks(vec![unsigned]));
    assert_eq!(reports(&actions).len(), 1);
    let later = START.plus_ms(20_000);
    let mut hear = |message: &PeerMessage| {
        let bytes = Bytes::from(encode(message));
        let from = peer(3);
        replica.handle(later, Event::Message { from, bytes })
    };
    hear(&ahead(10)).unwrap();
    let error = hear(&PeerMessage::Blocks(vec![block])).unwrap_err();
    assert!(matches!(
        error,
        ReplicaError::Forked {
            height: Height(1),
            ..
        }
    ));
    assert!(error.to_string().contains("a third of the validators"));
}
