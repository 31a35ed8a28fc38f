//! Compact bodies and passing on, message by message.

use hawser_consensus::{Proposal, SignedProposal};
use hawser_ledger::{Transaction, transactions_root};
use hawser_primitives::U256;

use super::*;
use crate::replica::compact::{reference, reference_key};

pub(super) fn transfer(nonce: u64) -> Arc<VerifiedTransaction> {
    crate::testing::transaction(&key(99), ChainId(9), nonce, 0)
}

pub(super) fn transfers(count: u64) -> Vec<Arc<VerifiedTransaction>> {
    (0..count).map(transfer).collect()
}

pub(super) fn candidates(list: &[Arc<VerifiedTransaction>]) -> Vec<Candidate> {
    list.iter()
        .map(|transaction| Candidate {
            transaction: Arc::clone(transaction),
            nonce: 0,
            balance: U256::ZERO,
        })
        .collect()
}

fn gossip(replica: &mut Replica, list: &[Arc<VerifiedTransaction>]) -> Vec<Action> {
    let event = Event::Gossiped {
        candidates: candidates(list),
        spread: None,
    };
    replica.handle(START, event).unwrap()
}

/// Number of the validator that proposes block 1 in round 0.
fn proposer() -> u8 {
    let set = genesis().validator_set().unwrap();
    let at = hawser_consensus::proposer_index(&set, Height(1), Round(0));
    (1..=4)
        .find(|i| set.address_at(at) == Some(key(*i).address()))
        .unwrap()
}

/// A replica that does not propose block 1, and a peer that does not either.
fn follower() -> (Replica, u8) {
    let own = (1..=4).find(|i| *i != proposer()).unwrap();
    let mut replica = replica(own);
    replica.handle(START, Event::Started).unwrap();
    for i in (1..=4).filter(|i| *i != own) {
        replica.handle(START, Event::PeerUp(peer(i))).unwrap();
        hello(&mut replica, i);
    }
    let other = (1..=4).find(|i| *i != own && *i != proposer()).unwrap();
    (replica, other)
}

fn hello(replica: &mut Replica, from: u8) -> Vec<Action> {
    let message = PeerMessage::Hello {
        features: u64::MAX,
        heard: true,
    };
    tell(replica, from, &message)
}

fn block(list: &[Arc<VerifiedTransaction>]) -> Block {
    let genesis = genesis();
    let parent = genesis.block(B256::ZERO).unwrap().header;
    let set = genesis.validator_set().unwrap().hash(Suite::Intl);
    let transactions: Vec<_> = list.iter().map(|t| t.transaction().raw().clone()).collect();
    Block {
        header: Header {
            version: PROTOCOL_VERSION,
            chain_id: ChainId(9),
            height: Height(1),
            parent: parent.hash(Suite::Intl),
            time: START.plus_ms(1),
            proposer: key(proposer()).address(),
            transactions_root: transactions_root(Suite::Intl, &transactions),
            transactions_count: u32::try_from(transactions.len()).unwrap(),
            executed: parent.executed,
            validators: set,
            next_validators: set,
        },
        transactions,
    }
}

fn propose(replica: &mut Replica, hash: B256) -> Vec<Action> {
    let proposal = Proposal {
        height: Height(1),
        round: Round(0),
        block: hash,
        valid_round: None,
        proposer: key(proposer()).address(),
    };
    let signature = key(proposer()).sign(&proposal.message(ChainId(9)));
    let signed = SignedProposal {
        proposal,
        signature,
    };
    let message = PeerMessage::Agreement(Message::Proposal(signed));
    tell(replica, proposer(), &message)
}

fn compact(block: &Block) -> PeerMessage {
    let key = reference_key(&block.hash(Suite::Intl));
    let mut references = Vec::new();
    for raw in &block.transactions {
        let name = reference(key, &Transaction::hash_of(Suite::Intl, raw));
        references.extend_from_slice(&name.to_le_bytes()[..REFERENCE_BYTES]);
    }
    PeerMessage::Compact(Compact {
        header: block.header.clone(),
        share: None,
        references: references.into(),
    })
}

pub(super) fn messages(actions: &[Action]) -> Vec<(To, PeerMessage)> {
    let sent = actions.iter().filter_map(|action| match action {
        Action::Send { to, bytes, .. } => {
            Some((*to, decode_exact(bytes, limits::FRAME_BYTES_MAX).unwrap()))
        }
        _ => None,
    });
    sent.collect()
}

fn asked(actions: &[Action]) -> Vec<(To, PeerMessage)> {
    let mut all = messages(actions);
    all.retain(|(_, message)| {
        matches!(
            message,
            PeerMessage::IndexRequest { .. } | PeerMessage::BodyRequest { .. }
        )
    });
    all
}

/// Whether the replica votes for a block: it has the body and found it valid.
fn votes_for(actions: &[Action], hash: B256) -> bool {
    own_votes(actions)
        .iter()
        .any(|vote| vote.kind == VoteKind::Prevote && vote.block == Some(hash))
}

fn fetch(replica: &mut Replica, hash: B256) -> Vec<Action> {
    let event = Event::Timer(TimerId::Fetch(hash));
    replica.handle(START, event).unwrap()
}

#[test]
fn a_body_is_rebuilt_from_the_pool_without_asking_anybody() {
    let (mut replica, _) = follower();
    let list = transfers(40);
    gossip(&mut replica, &list);
    let block = block(&list);
    let hash = block.hash(Suite::Intl);
    propose(&mut replica, hash);
    let actions = tell(&mut replica, proposer(), &compact(&block));
    assert!(asked(&actions).is_empty());
    // Nothing was left to verify, so the verdict came at once.
    assert!(!actions.iter().any(|a| matches!(a, Action::Check { .. })));
    assert!(votes_for(&actions, hash));
}

#[test]
fn references_may_come_before_the_proposal_that_names_the_block() {
    let (mut replica, other) = follower();
    let list = transfers(40);
    gossip(&mut replica, &list);
    let block = block(&list);
    let hash = block.hash(Suite::Intl);
    tell(&mut replica, other, &compact(&block));
    assert!(votes_for(&propose(&mut replica, hash), hash));
}

#[test]
fn a_transaction_that_arrives_completes_a_rebuild() {
    let (mut replica, _) = follower();
    let list = transfers(40);
    gossip(&mut replica, &list[..39]);
    let block = block(&list);
    let hash = block.hash(Suite::Intl);
    propose(&mut replica, hash);
    let actions = tell(&mut replica, proposer(), &compact(&block));
    assert!(asked(&actions).is_empty(), "it may be on its way");
    assert!(votes_for(&gossip(&mut replica, &list[39..]), hash));
}

#[test]
fn what_the_pool_refused_is_used_for_rebuilding() {
    let (mut replica, _) = follower();
    let mut list = candidates(&transfers(40));
    // The account has moved on, as far as this node knows.
    list[3].nonce = 30;
    let event = Event::Gossiped {
        candidates: list,
        spread: None,
    };
    replica.handle(START, event).unwrap();
    assert!(replica.pool().len() < 40);
    let block = block(&transfers(40));
    let hash = block.hash(Suite::Intl);
    propose(&mut replica, hash);
    let actions = tell(&mut replica, proposer(), &compact(&block));
    assert!(votes_for(&actions, hash));
}

#[test]
fn what_is_missing_is_asked_of_the_sender_then_of_another_then_the_full_body_is() {
    let (mut replica, _) = follower();
    let list = transfers(40);
    gossip(&mut replica, &list[..38]);
    let block = block(&list);
    let hash = block.hash(Suite::Intl);
    propose(&mut replica, hash);
    tell(&mut replica, proposer(), &compact(&block));
    let indices = |message: &PeerMessage| match message {
        PeerMessage::IndexRequest { indices, .. } => indices.clone(),
        other => panic!("{other:?}"),
    };
    let first = asked(&fetch(&mut replica, hash));
    assert_eq!(first[0].0, To::Peer(peer(proposer())));
    assert_eq!(indices(&first[0].1), [38, 39]);
    // Half an answer leaves half of the question, for somebody else.
    let answer = |at: u32| PeerMessage::Indexed {
        height: Height(1),
        block: hash,
        transactions: vec![(at, block.transactions[at as usize].clone())],
    };
    tell(&mut replica, proposer(), &answer(39));
    let second = asked(&fetch(&mut replica, hash));
    assert_eq!(indices(&second[0].1), [38]);
    // Somebody has it; after six questions the full body is asked for.
    for _ in 2..6 {
        let again = asked(&fetch(&mut replica, hash));
        assert_eq!(indices(&again[0].1), [38]);
    }
    let last = asked(&fetch(&mut replica, hash));
    assert!(matches!(last[0].1, PeerMessage::BodyRequest { .. }));
    // The late answer of one who was asked still counts; the sent ones are verified.
    let actions = tell(&mut replica, proposer(), &answer(38));
    let check = actions.iter().find_map(|action| match action {
        Action::Check { known, .. } => Some(known.clone()),
        _ => None,
    });
    let known = check.unwrap();
    assert_eq!(known.iter().filter(|one| one.is_some()).count(), 38);
}

#[test]
fn answers_of_a_peer_that_was_not_asked_are_ignored() {
    let (mut replica, other) = follower();
    let list = transfers(40);
    gossip(&mut replica, &list[..39]);
    let block = block(&list);
    let hash = block.hash(Suite::Intl);
    propose(&mut replica, hash);
    tell(&mut replica, proposer(), &compact(&block));
    fetch(&mut replica, hash);
    let forged = PeerMessage::Indexed {
        height: Height(1),
        block: hash,
        transactions: vec![(39, Bytes::from(vec![1, 2, 3]))],
    };
    let actions = tell(&mut replica, other, &forged);
    assert!(asked(&actions).is_empty(), "the rebuild stands");
    assert_eq!(replica.drafts.counts().0, 1);
}

#[test]
fn wrong_references_cost_a_request_for_the_full_body_and_nothing_else() {
    let (mut replica, other) = follower();
    let list = transfers(40);
    gossip(&mut replica, &list);
    let block = block(&list[..39]);
    let hash = block.hash(Suite::Intl);
    propose(&mut replica, hash);
    let PeerMessage::Compact(mut lie) = compact(&block) else {
        panic!("another message");
    };
    // A transaction of the pool that the block does not have, in place of one that it has.
    let mut references = lie.references.to_vec();
    let name = reference(reference_key(&hash), &list[39].hash());
    references[..REFERENCE_BYTES].copy_from_slice(&name.to_le_bytes()[..REFERENCE_BYTES]);
    lie.references = references.into();
    let actions = tell(&mut replica, other, &PeerMessage::Compact(lie.clone()));
    assert!(!votes_for(&actions, hash));
    let request = asked(&actions);
    assert_eq!(request[0].0, To::Peer(peer(other)));
    assert!(matches!(request[0].1, PeerMessage::BodyRequest { .. }));
    // Once is enough: the same peer cannot make the node work again.
    assert!(messages(&tell(&mut replica, other, &PeerMessage::Compact(lie))).is_empty());
    // True ones of somebody else still serve.
    assert!(votes_for(
        &tell(&mut replica, proposer(), &compact(&block)),
        hash
    ));
}

#[test]
fn references_that_do_not_fit_their_header_are_refused() {
    let (mut replica, _) = follower();
    let block = block(&transfers(3));
    let PeerMessage::Compact(good) = compact(&block) else {
        panic!("another message");
    };
    let mut short = good.clone();
    short.references = good.references.slice(1..);
    let mut shared = good.clone();
    shared.share = Some(Share { index: 0, of: 1 });
    let mut outside = good;
    outside.share = Some(Share { index: 3, of: 3 });
    for bad in [short, shared, outside] {
        let actions = tell(&mut replica, 2, &PeerMessage::Compact(bad));
        let blamed = reports(&actions);
        assert!(matches!(blamed.as_slice(), [Report::BadMessage { .. }]));
    }
}

#[test]
fn early_references_are_kept_once_per_peer_and_for_the_next_two_heights_only() {
    let (mut replica, other) = follower();
    for height in [0, 1, 2, 3, 9] {
        let mut block = block(&transfers(1));
        block.header.height = Height(height);
        tell(&mut replica, other, &compact(&block));
        assert!(replica.drafts.counts().1 <= 1, "height {height}");
    }
    assert_eq!(replica.drafts.counts(), (0, 1));
    for i in 10..60 {
        replica.handle(START, Event::PeerUp(peer(i))).unwrap();
        tell(&mut replica, i, &compact(&block(&transfers(1))));
    }
    assert_eq!(replica.drafts.counts().1, 16);
    replica.handle(START, Event::PeerDown(peer(other))).unwrap();
    assert_eq!(replica.drafts.counts().1, 15);
}

#[test]
fn rebuilds_of_one_block_are_bounded() {
    let (mut replica, _) = follower();
    let block = block(&transfers(40));
    propose(&mut replica, block.hash(Suite::Intl));
    for i in 10..30 {
        replica.handle(START, Event::PeerUp(peer(i))).unwrap();
        tell(&mut replica, i, &compact(&block));
        assert!(replica.drafts.counts().0 <= 2);
    }
}

/// A replica that holds the body of block 1.
fn holder() -> (Replica, Block) {
    let (mut replica, _) = follower();
    let list = transfers(40);
    gossip(&mut replica, &list);
    let block = block(&list);
    propose(&mut replica, block.hash(Suite::Intl));
    tell(&mut replica, proposer(), &compact(&block));
    (replica, block)
}

#[test]
fn some_of_a_body_is_served_by_position_in_bounded_amounts() {
    let (mut replica, block) = holder();
    let hash = block.hash(Suite::Intl);
    let ask = |indices: Vec<u32>| PeerMessage::IndexRequest {
        height: Height(1),
        block: hash,
        indices,
    };
    let sent = messages(&tell(&mut replica, 2, &ask(vec![0, 7, 4_000_000])));
    let PeerMessage::Indexed { transactions, .. } = &sent[0].1 else {
        panic!("{sent:?}");
    };
    assert_eq!(
        *transactions,
        [
            (0, block.transactions[0].clone()),
            (7, block.transactions[7].clone())
        ]
    );
    for bad in [vec![7, 0], vec![7, 7]] {
        let actions = tell(&mut replica, 2, &ask(bad));
        assert!(matches!(
            reports(&actions).as_slice(),
            [Report::BadMessage { .. }]
        ));
    }
    // Who asks without end is served a few bodies until the next status.
    let all = ask((0..40).collect());
    let served = |replica: &mut Replica| {
        (0..100)
            .filter(|_| !messages(&tell(replica, 3, &all)).is_empty())
            .count()
    };
    assert_eq!(served(&mut replica), 8);
    let full = PeerMessage::BodyRequest {
        height: Height(1),
        block: hash,
    };
    assert!(messages(&tell(&mut replica, 3, &full)).is_empty());
    replica
        .handle(START, Event::Timer(TimerId::Status))
        .unwrap();
    assert_eq!(served(&mut replica), 8);
}

#[test]
fn in_a_large_network_a_node_answers_for_half_a_body_in_a_second_and_leaves_the_rest_to_others() {
    let (mut replica, block) = holder();
    for i in 10..40 {
        replica.handle(START, Event::PeerUp(peer(i))).unwrap();
    }
    let ask = PeerMessage::IndexRequest {
        height: Height(1),
        block: block.hash(Suite::Intl),
        indices: (0..4).collect(),
    };
    let served = |replica: &mut Replica, at: Time| {
        let one = |i: u8| {
            let (from, bytes) = (peer(i), Bytes::from(encode(&ask)));
            let event = Event::Message { from, bytes };
            !messages(&replica.handle(at, event).unwrap()).is_empty()
        };
        (10..40).map(one).filter(|served| *served).count()
    };
    // Four of forty each: five make half of it.
    assert_eq!(served(&mut replica, START), 5);
    assert_eq!(served(&mut replica, START.plus_ms(999)), 0);
    assert_eq!(served(&mut replica, START.plus_ms(1_000)), 5);
    // One answer is always given, however large.
    let full = PeerMessage::BodyRequest {
        height: Height(1),
        block: block.hash(Suite::Intl),
    };
    let bytes = Bytes::from(encode(&full));
    let mut ask_full = |i: u8| {
        let event = Event::Message {
            from: peer(i),
            bytes: bytes.clone(),
        };
        let actions = replica.handle(START.plus_ms(2_000), event).unwrap();
        messages(&actions).len()
    };
    assert_eq!((ask_full(10), ask_full(11)), (1, 0));
}

#[test]
fn a_peer_that_does_not_say_what_it_understands_gets_the_full_body() {
    let mut replica = replica(proposer());
    replica.handle(START, Event::Started).unwrap();
    let others: Vec<u8> = (1..=4).filter(|i| *i != proposer()).collect();
    for i in &others {
        replica.handle(START, Event::PeerUp(peer(*i))).unwrap();
    }
    hello(&mut replica, others[0]);
    let list = transfers(60);
    let submitted = (0..).zip(candidates(&list)).collect();
    let event = Event::Submitted(submitted);
    let sent = messages(&replica.handle(START.plus_ms(5), event).unwrap());
    let to = |wanted: fn(&PeerMessage) -> bool| -> Vec<To> {
        let fitting = sent.iter().filter(|(_, message)| wanted(message));
        fitting.map(|(to, _)| *to).collect()
    };
    let is_compact = |message: &PeerMessage| matches!(message, PeerMessage::Compact(_));
    let is_part = |message: &PeerMessage| matches!(message, PeerMessage::Part { .. });
    assert_eq!(to(is_compact), [To::Peer(peer(others[0]))]);
    assert_eq!(
        to(is_part),
        [To::Peer(peer(others[1])), To::Peer(peer(others[2]))]
    );
}

#[test]
fn what_a_node_understands_is_told_until_it_is_answered_or_five_times_more() {
    let mut replica = replica(1);
    replica.handle(START, Event::Started).unwrap();
    let hellos = |actions: &[Action]| {
        let mut all = messages(actions);
        all.retain(|(_, message)| matches!(message, PeerMessage::Hello { .. }));
        all.len()
    };
    for i in [2, 3] {
        let up = replica.handle(START, Event::PeerUp(peer(i))).unwrap();
        assert_eq!(hellos(&up), 1);
    }
    assert_eq!(hellos(&hello(&mut replica, 2)), 0, "it knows ours");
    let asks = PeerMessage::Hello {
        features: 0,
        heard: false,
    };
    assert_eq!(hellos(&tell(&mut replica, 2, &asks)), 1, "it does not");
    let mut repeated = 0;
    for _ in 0..20 {
        let event = Event::Timer(TimerId::Status);
        repeated += hellos(&replica.handle(START, event).unwrap());
    }
    assert_eq!(repeated, 5);
}

/// A replica with ten peers that understand everything.
fn among_many() -> Replica {
    let mut replica = replica(1);
    replica.handle(START, Event::Started).unwrap();
    for i in 10..20 {
        replica.handle(START, Event::PeerUp(peer(i))).unwrap();
        hello(&mut replica, i);
    }
    replica
}

#[test]
fn in_a_large_network_two_relays_get_what_a_client_sends() {
    let mut replica = among_many();
    let list = transfers(1);
    let event = Event::Submitted((0..).zip(candidates(&list)).collect());
    let sent = messages(&replica.handle(START, event).unwrap());
    let relays: Vec<_> = sent
        .iter()
        .filter(|(_, message)| matches!(message, PeerMessage::Spread(_)))
        .map(|(to, _)| *to)
        .collect();
    assert_eq!(relays.len(), 2);
    assert_ne!(relays[0], relays[1]);
    assert!(
        !sent
            .iter()
            .any(|(_, message)| matches!(message, PeerMessage::Transactions(_)))
    );
}

#[test]
fn in_a_large_network_a_node_that_brings_its_part_sends_to_all_and_one_that_brings_more_does_not() {
    let mut replica = among_many();
    let list = transfers(1_300);
    let (others, own) = list.split_at(1_000);
    gossip(&mut replica, others);
    let mut relays = |part| {
        let event = Event::Submitted((0..).zip(candidates(part)).collect());
        let sent = messages(&replica.handle(START, event).unwrap());
        let relays = sent
            .iter()
            .any(|(_, message)| matches!(message, PeerMessage::Spread(_)));
        let all = sent
            .iter()
            .any(|(to, message)| *to == To::All && matches!(message, PeerMessage::Transactions(_)));
        assert_ne!(relays, all);
        relays
    };
    // Ten peers get 100 of 1,100: sent to each, less than one and a quarter times all. 300 of 1,300 are more.
    assert!(!relays(&own[..100]));
    assert!(relays(&own[100..]));
}

#[test]
fn what_relays_may_have_withheld_is_sent_by_others_while_it_waits() {
    let mut replica = among_many();
    let list = transfers(3);
    let event = Event::Submitted((0..).zip(candidates(&list)).collect());
    replica.handle(START, event).unwrap();
    let spread = |replica: &mut Replica, at: Time| {
        let event = Event::Timer(TimerId::Status);
        let sent = messages(&replica.handle(at, event).unwrap());
        let spread = sent.into_iter().filter_map(|(_, message)| match message {
            PeerMessage::Spread(list) => Some(list.len()),
            _ => None,
        });
        spread.sum::<usize>()
    };
    // A chain without a block sends what waits with each status (TX-13): to two relays.
    assert_eq!(spread(&mut replica, START.plus_ms(900)), 6);
    assert_eq!(spread(&mut replica, START.plus_ms(2_000)), 6, "not both");
    assert_eq!(
        spread(&mut replica, START.plus_ms(2_500)),
        6,
        "not too often"
    );
    assert_eq!(spread(&mut replica, START.plus_ms(4_000)), 6);
}

#[test]
fn a_relay_passes_on_what_it_verified_once_and_not_to_where_it_came_from() {
    let mut replica = among_many();
    let list = transfers(3);
    let raw = Relayed::from(list[0].as_ref());
    let actions = tell(&mut replica, 10, &PeerMessage::Spread(vec![raw]));
    assert!(matches!(
        actions.as_slice(),
        [Action::Verify {
            intake: Intake::Verify { spread: true },
            ..
        }]
    ));
    assert!(messages(&actions).is_empty(), "nothing unverified leaves");
    // Another relay was faster with one of them: it may have told this node alone.
    gossip(&mut replica, &list[..1]);
    let event = |from| Event::Gossiped {
        candidates: candidates(&list),
        spread: Some(peer(from)),
    };
    let passed = |actions: &[Action]| {
        let mut all = messages(actions);
        all.retain(|(_, message)| matches!(message, PeerMessage::Transactions(_)));
        all
    };
    let sent = passed(&replica.handle(START, event(10)).unwrap());
    let PeerMessage::Transactions(relayed) = &sent[0].1 else {
        panic!("{sent:?}");
    };
    assert_eq!((sent[0].0, relayed.len()), (To::Except(peer(10)), 3));
    assert!(passed(&replica.handle(START, event(11)).unwrap()).is_empty());
}

#[test]
fn a_large_network_gets_references_by_relays_that_reach_everybody_twice() {
    let mut replica = replica(proposer());
    replica.handle(START, Event::Started).unwrap();
    for i in 10..110 {
        replica.handle(START, Event::PeerUp(peer(i))).unwrap();
        hello(&mut replica, i);
    }
    let event = Event::Submitted((0..).zip(candidates(&transfers(60))).collect());
    let sent = messages(&replica.handle(START.plus_ms(5), event).unwrap());
    let compacts: Vec<_> = sent
        .iter()
        .filter_map(|(to, message)| match message {
            PeerMessage::Compact(compact) => Some((*to, compact.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(compacts.len(), 11);
    let hash = compacts[0].1.header.hash(Suite::Intl);
    // Each relay passes on to its share; together they reach all, most of them twice.
    let (mut follower, _) = follower();
    for i in 10..110 {
        follower.handle(START, Event::PeerUp(peer(i))).unwrap();
        hello(&mut follower, i);
    }
    propose(&mut follower, hash);
    let mut reached: BTreeMap<PeerId, usize> = BTreeMap::new();
    for (i, (_, compact)) in (10..).zip(&compacts) {
        let actions = tell(&mut follower, i, &PeerMessage::Compact(compact.clone()));
        for (to, message) in messages(&actions) {
            if let (To::Peer(to), PeerMessage::Compact(compact)) = (to, message) {
                assert_eq!(compact.share, None);
                assert_ne!(to, peer(i));
                *reached.entry(to).or_default() += 1;
            }
        }
    }
    assert_eq!(reached.len(), 103);
    assert!(reached.values().all(|count| *count <= 2));
    assert!(reached.values().filter(|count| **count == 2).count() >= 80);
}
