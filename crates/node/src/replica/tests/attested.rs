//! Attested batches, message by message.

use hawser_ledger::{
    Attestation, BATCH_TRANSACTIONS_MAX, Claim, Verification, attestation_message, batch_digest,
};

use super::{
    dissemination::{candidates, messages, transfer, transfers},
    *,
};
use crate::replica::attest::attesters;

const HEIGHT: u64 = SETTINGS_DELAY;

/// A replica of validator `own` of four on a chain where a quorum's word counts.
fn attesting(own: u8, per_mille: u16) -> Replica {
    let rules = changed_rules(|settings| settings.parameters.verification = Verification::Quorum);
    with_peers(own, rules, per_mille)
}

fn with_peers(own: u8, rules: Arc<Rules>, per_mille: u16) -> Replica {
    let mut replica = Replica::new(Boot {
        key: Some(key(own)),
        audit: AuditSampling {
            key: [own; 16],
            per_mille,
        },
        ..boot_at(HEIGHT, rules, BTreeMap::new())
    });
    replica.handle(START, Event::Started).unwrap();
    for i in (1..=4).filter(|i| *i != own) {
        replica.handle(START, Event::PeerUp(peer(i))).unwrap();
        let hello = PeerMessage::Hello {
            features: u64::MAX,
            heard: true,
        };
        tell(&mut replica, i, &hello);
    }
    replica
}

struct Made {
    claims: Vec<Claim>,
    list: Vec<Arc<VerifiedTransaction>>,
    digest: B256,
}

impl Made {
    fn of(list: Vec<Arc<VerifiedTransaction>>) -> Self {
        let claims = claims_of(&list);
        let digest = batch_digest(Suite::Intl, ChainId(9), &claims);
        Self {
            claims,
            list,
            digest,
        }
    }
}

fn claims_of(list: &[Arc<VerifiedTransaction>]) -> Vec<Claim> {
    let claim = |one: &Arc<VerifiedTransaction>| Claim {
        hash: one.hash(),
        sender: one.sender(),
    };
    list.iter().map(claim).collect()
}

/// A batch that 2 makes and that the validator who is asked first to attest satisfies `wanted`.
fn made(wanted: impl Fn(u8) -> bool) -> (Made, u8) {
    let committee = genesis().validator_set().unwrap();
    for first in 0..100 {
        let made = Made::of((first..first + 20).map(transfer).collect());
        let order = attesters(&committee, &made.digest, key(2).address());
        assert_eq!(order.iter().filter(|(_, chosen)| *chosen).count(), 1);
        let asked = (1..=4).find(|i| key(*i).address() == order[0].0).unwrap();
        if wanted(asked) {
            return (made, asked);
        }
    }
    panic!("no such batch");
}

fn vouch(i: u8, digest: B256) -> Attestation {
    Attestation {
        validator: key(i).address(),
        signature: key(i).sign(&attestation_message(ChainId(9), digest)),
    }
}

fn batch(made: &Made, attestation: Attestation) -> PeerMessage {
    PeerMessage::Batch(Batch {
        digest: made.digest,
        transactions: made
            .list
            .iter()
            .map(|one| Relayed::from(one.as_ref()))
            .collect(),
        attestation,
        pass_on: false,
    })
}

fn attested(digest: B256, attestation: Attestation) -> PeerMessage {
    PeerMessage::Attested {
        digest,
        attestation,
    }
}

fn intakes(actions: &[Action]) -> Vec<Intake> {
    let intake = |action: &Action| match action {
        Action::Verify { intake, .. } => Some(*intake),
        _ => None,
    };
    actions.iter().filter_map(intake).collect()
}

fn batched(replica: &mut Replica, made: &Made, trusted: bool, wrong: Option<u32>) -> Vec<Action> {
    let as_it_came = |one: &Arc<VerifiedTransaction>| {
        if trusted {
            let transaction = one.transaction().clone();
            Arc::new(VerifiedTransaction::from_attested(
                transaction,
                one.sender(),
            ))
        } else {
            Arc::clone(one)
        }
    };
    let list: Vec<_> = made.list.iter().map(as_it_came).collect();
    let event = Event::Batched(Batched {
        digest: made.digest,
        candidates: candidates(&list),
        claims: made.claims.clone(),
        trusted,
        wrong,
    });
    replica.handle(START, event).unwrap()
}

fn of_kind(actions: &[Action], wanted: fn(&PeerMessage) -> bool) -> usize {
    let mut all = messages(actions);
    all.retain(|(_, message)| wanted(message));
    all.len()
}

const fn is_attested(message: &PeerMessage) -> bool {
    matches!(message, PeerMessage::Attested { .. })
}

const fn is_evidence(message: &PeerMessage) -> bool {
    matches!(message, PeerMessage::Evidence(_))
}

#[test]
fn what_f_plus_one_validators_attest_is_taken_without_verifying_it() {
    let mut replica = attesting(1, 0);
    let (made, asked) = made(|asked| asked != 1);
    let actions = tell(&mut replica, 2, &batch(&made, vouch(2, made.digest)));
    assert!(
        intakes(&actions).is_empty(),
        "one of them may be the faulty one"
    );
    let digest = made.digest;
    let actions = tell(&mut replica, asked, &attested(digest, vouch(asked, digest)));
    assert_eq!(intakes(&actions), [Intake::Trust { digest }]);
    batched(&mut replica, &made, true, None);
    assert_eq!(replica.pool().len(), 20);
}

#[test]
fn attestations_of_one_validator_count_once_and_others_not_at_all() {
    let mut replica = attesting(1, 0);
    let (made, asked) = made(|asked| asked != 1);
    let digest = made.digest;
    tell(&mut replica, 2, &batch(&made, vouch(2, digest)));
    // The maker again, a stranger, a member's name without its signature, another batch's.
    let mut forged = vouch(7, digest);
    forged.validator = key(asked).address();
    let other = vouch(asked, B256::repeat_byte(1));
    for bad in [vouch(2, digest), vouch(7, digest), forged, other] {
        let actions = tell(&mut replica, 3, &attested(digest, bad));
        assert!(intakes(&actions).is_empty());
    }
    let good = attested(digest, vouch(asked, digest));
    assert_eq!(intakes(&tell(&mut replica, 3, &good)).len(), 1);
}

#[test]
fn attestations_that_come_before_their_batch_count_and_are_bounded() {
    let mut replica = attesting(1, 0);
    let (made, asked) = made(|asked| asked != 1);
    let digest = made.digest;
    tell(&mut replica, 3, &attested(digest, vouch(asked, digest)));
    let actions = tell(&mut replica, 2, &batch(&made, vouch(2, digest)));
    assert_eq!(intakes(&actions), [Intake::Trust { digest }]);
    for i in 0..1_000u32 {
        let mut bytes = [7; 32];
        bytes[..4].copy_from_slice(&i.to_be_bytes());
        tell(
            &mut replica,
            4,
            &attested(B256::from(bytes), vouch(4, digest)),
        );
        // Of a finished or open batch nothing is kept.
        tell(&mut replica, 4, &attested(digest, vouch(4, digest)));
    }
    assert_eq!(replica.batches.counts(), (1, 64));
    replica.handle(START, Event::PeerDown(peer(4))).unwrap();
    assert_eq!(replica.batches.counts(), (1, 0));
}

#[test]
fn a_validator_that_is_asked_attests_what_it_has_verified_and_nothing_else() {
    for (wrong, attests) in [(None, true), (Some(3), false)] {
        let mut replica = attesting(1, 0);
        let (made, _) = made(|asked| asked == 1);
        let digest = made.digest;
        let actions = tell(&mut replica, 2, &batch(&made, vouch(2, digest)));
        assert_eq!(intakes(&actions), [Intake::Attest { digest }]);
        assert_eq!(of_kind(&actions, is_attested), 0, "nothing is verified yet");
        let actions = batched(&mut replica, &made, false, wrong);
        let sent = if attests { 3 } else { 0 };
        assert_eq!(of_kind(&actions, is_attested), sent);
    }
}

#[test]
fn a_batch_whose_digest_is_another_ones_is_reported_and_not_attested() {
    let mut replica = attesting(1, 0);
    let (mut made, _) = made(|asked| asked == 1);
    tell(&mut replica, 2, &batch(&made, vouch(2, made.digest)));
    made.claims.pop();
    let actions = batched(&mut replica, &made, false, None);
    assert_eq!(of_kind(&actions, is_attested), 0);
    assert!(matches!(
        reports(&actions).as_slice(),
        [Report::BadMessage { .. }]
    ));
}

#[test]
fn what_nobody_attests_is_verified_here_after_a_while() {
    let mut replica = attesting(1, 0);
    let (made, _) = made(|asked| asked != 1);
    let digest = made.digest;
    let actions = tell(&mut replica, 2, &batch(&made, vouch(2, digest)));
    let due = actions.iter().find_map(|action| match action {
        Action::SetTimer(TimerId::Batches, at) => Some(*at),
        _ => None,
    });
    let due = due.unwrap();
    assert!(due <= START.plus_ms(300));
    let fire = |replica: &mut Replica, at| {
        let event = Event::Timer(TimerId::Batches);
        intakes(&replica.handle(at, event).unwrap())
    };
    assert!(fire(&mut replica, START).is_empty());
    assert_eq!(fire(&mut replica, due), [Intake::Attest { digest }]);
    assert!(fire(&mut replica, due).is_empty(), "once");
    // Having verified it, it vouches for it in the place of who did not answer.
    let actions = batched(&mut replica, &made, false, None);
    assert_eq!(of_kind(&actions, is_attested), 3);
}

#[test]
fn batches_under_way_are_bounded_and_what_goes_beyond_is_verified_as_it_comes() {
    let mut replica = attesting(1, 0);
    let mut plain = 0;
    for first in 0..100u64 {
        let made = Made::of(vec![transfer(first)]);
        let actions = tell(&mut replica, 2, &batch(&made, vouch(2, made.digest)));
        let is_plain = |intake: &&Intake| matches!(intake, Intake::Verify { .. });
        plain += intakes(&actions).iter().filter(is_plain).count();
        assert!(replica.batches.counts().0 <= 64);
    }
    assert_eq!(plain, 36);
    // Work that was lost under load does not take places for ever.
    let later = START.plus_ms(60_000);
    replica
        .handle(later, Event::Timer(TimerId::Status))
        .unwrap();
    assert_eq!(replica.batches.counts().0, 0);
}

#[test]
fn batches_over_the_limit_are_refused() {
    let mut replica = attesting(1, 0);
    let one = transfer(0);
    for (count, refused) in [
        (BATCH_TRANSACTIONS_MAX, false),
        (BATCH_TRANSACTIONS_MAX + 1, true),
    ] {
        let made = Made::of(vec![Arc::clone(&one); count]);
        let actions = tell(&mut replica, 2, &batch(&made, vouch(2, made.digest)));
        assert_eq!(!reports(&actions).is_empty(), refused, "{count}");
    }
}

#[test]
fn where_everybody_verifies_everything_nobodys_word_counts() {
    let rules = changed_rules(|settings| settings.validators[1].weight = 1);
    let mut replica = with_peers(1, rules, 0);
    let (made, asked) = made(|asked| asked != 1);
    let digest = made.digest;
    tell(&mut replica, 3, &attested(digest, vouch(asked, digest)));
    let actions = tell(&mut replica, 2, &batch(&made, vouch(2, digest)));
    assert_eq!(intakes(&actions), [Intake::Verify { spread: false }]);
    // Nor does this node make batches.
    let list = transfers(100);
    let event = Event::Submitted((0..).zip(candidates(&list)).collect());
    let actions = replica.handle(START, event).unwrap();
    assert!(of_kind(&actions, |m| matches!(m, PeerMessage::Transactions(_))) > 0);
}

#[test]
fn clients_transactions_are_gathered_into_batches_and_few_are_sent_as_they_are() {
    for (count, batches) in [(15, 0), (16, 3)] {
        let mut replica = attesting(1, 0);
        let list = transfers(count);
        let event = Event::Submitted((0..).zip(candidates(&list)).collect());
        let actions = replica.handle(START, event).unwrap();
        let is_batch = |m: &PeerMessage| matches!(m, PeerMessage::Batch(_));
        let is_plain = |m: &PeerMessage| matches!(m, PeerMessage::Transactions(_));
        assert_eq!(of_kind(&actions, is_batch) + of_kind(&actions, is_plain), 0);
        let event = Event::Timer(TimerId::Gather);
        let actions = replica.handle(START.plus_ms(5), event).unwrap();
        assert_eq!(of_kind(&actions, is_batch), batches, "{count}");
        assert_eq!(of_kind(&actions, is_plain), usize::from(batches == 0));
    }
    // As many as a batch wants do not wait.
    let mut replica = attesting(1, 0);
    let list = transfers(300);
    let event = Event::Submitted((0..).zip(candidates(&list)).collect());
    let actions = replica.handle(START, event).unwrap();
    assert_eq!(of_kind(&actions, |m| matches!(m, PeerMessage::Batch(_))), 3);
}

/// Evidence against some validators: a batch that gives a transaction to somebody else.
fn evidence(guilty: &[u8]) -> FalseAttestation {
    let list = transfers(3);
    let mut claims = claims_of(&list);
    claims[1].sender = Address::repeat_byte(9);
    let digest = batch_digest(Suite::Intl, ChainId(9), &claims);
    FalseAttestation {
        claims,
        position: 1,
        raw: list[1].transaction().raw().clone(),
        attestations: guilty.iter().map(|i| vouch(*i, digest)).collect(),
    }
}

fn convicting(actions: &[Action]) -> usize {
    let keeps = |action: &&Action| matches!(action, Action::Convict(_));
    actions.iter().filter(keeps).count()
}

#[test]
fn evidence_is_kept_passed_on_once_and_ends_the_trust_in_those_whom_it_convicts() {
    let mut replica = attesting(1, 0);
    let (made, asked) = made(|asked| asked != 1);
    let digest = made.digest;
    tell(&mut replica, 2, &batch(&made, vouch(2, digest)));
    let message = PeerMessage::Evidence(evidence(&[2, asked]));
    let actions = tell(&mut replica, 3, &message);
    assert_eq!(convicting(&actions), 1);
    assert_eq!(of_kind(&actions, is_evidence), 3);
    let loud = |report: &&Report| matches!(report, Report::FalseAttestation { .. });
    assert_eq!(reports(&actions).iter().filter(loud).count(), 2);
    assert_eq!(replica.convicted().count(), 2);
    let again = tell(&mut replica, 4, &message);
    assert_eq!((convicting(&again), of_kind(&again, is_evidence)), (0, 0));
    // The batch that was under way needs others now.
    let good = attested(digest, vouch(asked, digest));
    assert!(intakes(&tell(&mut replica, 3, &good)).is_empty());
    // What they make is gossip.
    let next = Made::of(transfers(20));
    let actions = tell(&mut replica, 2, &batch(&next, vouch(2, next.digest)));
    assert!(matches!(
        intakes(&actions).as_slice(),
        [Intake::Verify { .. }]
    ));
    // Whoever connects later hears of it.
    replica.handle(START, Event::PeerUp(peer(9))).unwrap();
    let hello = PeerMessage::Hello {
        features: u64::MAX,
        heard: true,
    };
    let actions = tell(&mut replica, 9, &hello);
    assert_eq!(of_kind(&actions, is_evidence), 1);
}

#[test]
fn once_somebody_is_convicted_what_was_taken_on_trust_is_verified() {
    let mut replica = attesting(1, 0);
    let (made, asked) = made(|asked| asked != 1);
    let digest = made.digest;
    tell(&mut replica, 2, &batch(&made, vouch(2, digest)));
    tell(&mut replica, 3, &attested(digest, vouch(asked, digest)));
    batched(&mut replica, &made, true, None);
    assert_eq!(replica.pool().len(), 20);
    let message = PeerMessage::Evidence(evidence(&[3]));
    let actions = tell(&mut replica, 4, &message);
    assert_eq!(replica.pool().len(), 0);
    let again = actions.iter().find_map(|action| match action {
        Action::Verify {
            from: None,
            transactions,
            ..
        } => Some(transactions.len()),
        _ => None,
    });
    assert_eq!(again, Some(20));
}

#[test]
fn a_block_whose_check_took_a_convicts_word_is_checked_again() {
    let mut replica = attesting(1, 0);
    let (made, asked) = made(|asked| asked != 1);
    let digest = made.digest;
    tell(&mut replica, 2, &batch(&made, vouch(2, digest)));
    tell(&mut replica, 3, &attested(digest, vouch(asked, digest)));
    batched(&mut replica, &made, true, None);
    // A block of these and of one that this node does not know; it is being verified.
    let own = transfer(200);
    let attested_one = |one: &Arc<VerifiedTransaction>| {
        let transaction = one.transaction().clone();
        Arc::new(VerifiedTransaction::from_attested(
            transaction,
            one.sender(),
        ))
    };
    let mut list: Vec<_> = made.list.iter().map(attested_one).collect();
    list.push(own);
    let transactions: Vec<_> = list.iter().map(|t| t.transaction().raw().clone()).collect();
    let mut header = self::genesis().block(B256::ZERO).unwrap().header;
    header.height = Height(HEIGHT + 1);
    header.transactions_count = 21;
    header.transactions_root = hawser_ledger::transactions_root(Suite::Intl, &transactions);
    let block = Block {
        header,
        transactions,
    };
    let hash = block.hash(Suite::Intl);
    replica.candidates.check(hash, block);
    tell(&mut replica, 4, &PeerMessage::Evidence(evidence(&[3])));
    let event = Event::Checked {
        hash,
        result: Ok(Arc::new(list)),
    };
    let actions = replica.handle(START, event).unwrap();
    let again = actions.iter().find_map(|action| match action {
        Action::Check { known, .. } => Some(known.iter().flatten().count()),
        _ => None,
    });
    assert_eq!(again, Some(1), "all but the one that was verified here");
}

#[test]
fn a_validator_that_verified_a_false_batch_convicts_those_who_vouched_for_it() {
    let mut replica = attesting(1, 0);
    let evidence = evidence(&[2]);
    let digest = batch_digest(Suite::Intl, ChainId(9), &evidence.claims);
    let relayed = transfers(3).into_iter().zip(&evidence.claims);
    let transactions = relayed.map(|(one, claim)| Relayed {
        sender: claim.sender,
        raw: one.transaction().raw().clone(),
    });
    let message = PeerMessage::Batch(Batch {
        digest,
        transactions: transactions.collect(),
        attestation: vouch(2, digest),
        pass_on: false,
    });
    tell(&mut replica, 2, &message);
    let event = Event::Batched(Batched {
        digest,
        candidates: Vec::new(),
        claims: evidence.claims.clone(),
        trusted: false,
        wrong: Some(1),
    });
    let actions = replica.handle(START, event).unwrap();
    assert_eq!(convicting(&actions), 1);
    assert_eq!(of_kind(&actions, is_attested), 0);
    let guilty: Vec<_> = replica.convicted().collect();
    assert_eq!(guilty, [key(2).address()]);
}

#[test]
fn evidence_that_proves_nothing_convicts_nobody_and_is_soon_not_looked_at() {
    let mut replica = attesting(1, 0);
    let mut wrong = evidence(&[2]);
    wrong.claims[1].sender = transfer(1).sender();
    let mut blamed = 0;
    for _ in 0..50 {
        let actions = tell(&mut replica, 3, &PeerMessage::Evidence(wrong.clone()));
        assert_eq!(convicting(&actions), 0);
        blamed += reports(&actions).len();
    }
    assert_eq!(blamed, 8);
    assert_eq!(replica.convicted().count(), 0);
}

#[test]
fn a_convicted_validator_neither_attests_nor_makes_batches() {
    let mut replica = attesting(1, 0);
    tell(&mut replica, 3, &PeerMessage::Evidence(evidence(&[1])));
    let (made, _) = made(|asked| asked == 1);
    tell(&mut replica, 2, &batch(&made, vouch(2, made.digest)));
    let actions = batched(&mut replica, &made, false, None);
    assert_eq!(of_kind(&actions, is_attested), 0);
    let list = transfers(100);
    let event = Event::Submitted((0..).zip(candidates(&list)).collect());
    let actions = replica.handle(START, event).unwrap();
    assert_eq!(of_kind(&actions, |m| matches!(m, PeerMessage::Batch(_))), 0);
}

#[test]
fn samples_are_drawn_at_the_rate_that_is_set_and_by_this_nodes_key() {
    let drawn = |own: u8, per_mille: u16| {
        let mut replica = attesting(own, per_mille);
        let (made, asked) = made(|asked| asked != own);
        let digest = made.digest;
        tell(&mut replica, 2, &batch(&made, vouch(2, digest)));
        tell(&mut replica, asked, &attested(digest, vouch(asked, digest)));
        let actions = batched(&mut replica, &made, true, None);
        let picks = actions.iter().find_map(|action| match action {
            Action::Audit(audit) => Some(audit.picks.clone()),
            _ => None,
        });
        picks.unwrap_or_default()
    };
    assert_eq!(drawn(1, 0).len(), 0);
    assert_eq!(drawn(1, 1_000).len(), 20);
    let half = drawn(1, 500);
    assert!((3..18).contains(&half.len()), "{}", half.len());
    let positions =
        |picks: Vec<(u32, Bytes)>| picks.into_iter().map(|(at, _)| at).collect::<Vec<_>>();
    assert_ne!(positions(half), positions(drawn(3, 500)));
}

#[test]
fn a_relay_passes_an_attested_batch_on_once() {
    let mut replica = attesting(1, 0);
    let (made, _) = made(|asked| asked != 1);
    let PeerMessage::Batch(mut relayed) = batch(&made, vouch(2, made.digest)) else {
        panic!("another message");
    };
    relayed.pass_on = true;
    let is_batch = |m: &PeerMessage| matches!(m, PeerMessage::Batch(batch) if !batch.pass_on);
    // Another relay was faster: it may have told this node alone.
    tell(&mut replica, 3, &batch(&made, vouch(2, made.digest)));
    let actions = tell(&mut replica, 2, &PeerMessage::Batch(relayed.clone()));
    let sent: Vec<_> = messages(&actions)
        .into_iter()
        .filter(|(_, message)| is_batch(message))
        .map(|(to, _)| to)
        .collect();
    assert_eq!(sent, [To::Peer(peer(3)), To::Peer(peer(4))]);
    let actions = tell(&mut replica, 2, &PeerMessage::Batch(relayed.clone()));
    assert_eq!(of_kind(&actions, is_batch), 0);
    // Nobody's word, nobody's bandwidth.
    relayed.digest = B256::repeat_byte(3);
    let actions = tell(&mut replica, 2, &PeerMessage::Batch(relayed));
    assert_eq!(of_kind(&actions, is_batch), 0);
    assert_eq!(intakes(&actions), [Intake::Verify { spread: true }]);
}
