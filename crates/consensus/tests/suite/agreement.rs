//! Agreement of four validators without a network: what one sends is handed to the others.

use std::sync::Arc;

use hawser_consensus::{
    Bft, BftConfig, Message, Output, Record, SignedVote, Timeouts, Timer, TimerKind, Vote,
    proposer_index,
};
use hawser_crypto::{Scheme, SecretKey};
use hawser_ledger::{Validator, ValidatorSet, VoteKind};
use hawser_primitives::{B256, ChainId, Height, Round};

const CHAIN: ChainId = ChainId(3);
const BLOCK: B256 = B256::repeat_byte(0xb1);

fn keys() -> Vec<Arc<SecretKey>> {
    let mut keys: Vec<_> = (1..=4)
        .map(|i| Arc::new(SecretKey::from_seed(Scheme::Ed25519, &[i; 32]).unwrap()))
        .collect();
    keys.sort_by_key(|key| key.address());
    keys
}

fn set() -> Arc<ValidatorSet> {
    let member = |key: &Arc<SecretKey>| Validator {
        public_key: key.public_key(),
        weight: 1,
    };
    Arc::new(ValidatorSet::new(keys().iter().map(member).collect()).unwrap())
}

fn bft(key: &Arc<SecretKey>) -> Bft {
    let config = BftConfig {
        chain: CHAIN,
        key: Some(Arc::clone(key)),
        timeouts: Timeouts::default(),
    };
    Bft::new(config, Height(1), set())
}

fn sent(outputs: &[Output]) -> Vec<Message> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Send(message) => Some(message.clone()),
            _ => None,
        })
        .collect()
}

fn records(outputs: &[Output]) -> Vec<Record> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Persist(record) => Some(record.clone()),
            _ => None,
        })
        .collect()
}

fn votes(messages: &[Message]) -> Vec<SignedVote> {
    messages
        .iter()
        .filter_map(|message| match message {
            Message::Vote(vote) => Some(vote.clone()),
            _ => None,
        })
        .collect()
}

/// The wait for a proposal that a validator asks for.
fn propose_timer(outputs: &[Output]) -> Timer {
    outputs
        .iter()
        .find_map(|output| match output {
            Output::Schedule { timer, .. } if timer.kind == TimerKind::Propose => Some(*timer),
            _ => None,
        })
        .expect("a wait for the proposal")
}

/// A vote of this validator in the first round of the first height.
fn signed_vote(key: &SecretKey, kind: VoteKind, block: Option<B256>) -> Message {
    let vote = Vote {
        kind,
        height: Height(1),
        round: Round(0),
        block,
        validator: key.address(),
    };
    let signature = key.sign(&vote.message(CHAIN));
    Message::Vote(SignedVote { vote, signature })
}

#[test]
fn four_validators_decide_and_the_certificate_verifies() {
    let (keys, set) = (keys(), set());
    let proposer = proposer_index(&set, Height(1), Round(0));
    let mut all: Vec<_> = keys.iter().map(bft).collect();
    let mut inbox: Vec<(usize, Message)> = Vec::new();
    let mut certificates = vec![None; 4];
    for (i, bft) in all.iter_mut().enumerate() {
        let mut outputs = bft.start(Height(1), Arc::clone(&set)).unwrap();
        let asked = outputs.contains(&Output::Build {
            height: Height(1),
            round: Round(0),
        });
        assert_eq!(asked, i == proposer);
        if asked {
            outputs = bft.propose(Height(1), Round(0), BLOCK).unwrap();
        } else {
            let address = keys[proposer].address();
            outputs.extend(
                bft.on_block(Height(1), Round(0), address, BLOCK, true)
                    .unwrap(),
            );
        }
        inbox.extend(sent(&outputs).into_iter().map(|message| (i, message)));
    }
    while !inbox.is_empty() {
        for (from, message) in std::mem::take(&mut inbox) {
            for (i, bft) in all.iter_mut().enumerate().filter(|(i, _)| *i != from) {
                let outputs = bft.on_message(message.clone()).unwrap();
                for output in &outputs {
                    if let Output::Decided(certificate) = output {
                        certificates[i] = Some(certificate.clone());
                    }
                }
                inbox.extend(sent(&outputs).into_iter().map(|message| (i, message)));
            }
        }
    }
    for certificate in certificates {
        let certificate = certificate.expect("all decide");
        assert_eq!(
            (certificate.height, certificate.block_hash),
            (Height(1), BLOCK)
        );
        certificate.verify(CHAIN, &set).unwrap();
    }
}

#[test]
fn what_is_sent_was_persisted_before() {
    let (keys, set) = (keys(), set());
    let mut bft = bft(&keys[proposer_index(&set, Height(1), Round(0))]);
    bft.start(Height(1), set).unwrap();
    let outputs = bft.propose(Height(1), Round(0), BLOCK).unwrap();
    for (i, output) in outputs.iter().enumerate() {
        let record = match output {
            Output::Send(Message::Vote(vote)) => Record::Vote(vote.clone()),
            Output::Send(Message::Proposal(proposal)) => Record::Proposal(proposal.clone()),
            _ => continue,
        };
        assert!(
            records(&outputs[..i]).contains(&record),
            "{record:?} left before it was logged"
        );
    }
    assert_eq!(sent(&outputs).len(), 2);
}

#[test]
fn after_a_crash_the_same_votes_are_sent_and_no_others() {
    let (keys, set) = (keys(), set());
    let proposer = proposer_index(&set, Height(1), Round(0));
    let me = (proposer + 1) % 4;
    let mut before = bft(&keys[me]);
    let mut outputs = before.start(Height(1), Arc::clone(&set)).unwrap();
    // Nothing arrives: the validator gives the round up.
    let timer = propose_timer(&outputs);
    outputs.extend(before.on_timeout(timer).unwrap());
    let cast = votes(&sent(&outputs));
    assert_eq!(cast.len(), 1);
    assert_eq!(
        (cast[0].vote.kind, cast[0].vote.block),
        (VoteKind::Prevote, None)
    );

    let mut after = bft(&keys[me]);
    let again = after
        .recover(Height(1), Arc::clone(&set), records(&outputs))
        .unwrap();
    assert_eq!(
        votes(&sent(&again)),
        cast,
        "the recorded vote, to the letter"
    );
    assert!(records(&again).is_empty(), "nothing is logged twice");
    // The proposal that comes too late does not make it vote a second time.
    let mut leader = bft(&keys[proposer]);
    leader.start(Height(1), Arc::clone(&set)).unwrap();
    let late = leader.propose(Height(1), Round(0), BLOCK).unwrap();
    let mut outputs = Vec::new();
    for message in sent(&late) {
        outputs.extend(after.on_message(message).unwrap());
    }
    let address = keys[proposer].address();
    outputs.extend(
        after
            .on_block(Height(1), Round(0), address, BLOCK, true)
            .unwrap(),
    );
    let second: Vec<_> = votes(&sent(&outputs))
        .into_iter()
        .filter(|v| v.vote.kind == VoteKind::Prevote)
        .collect();
    assert!(second.is_empty(), "{second:?}");
}

#[test]
fn a_validator_that_signs_twice_is_named() {
    let (keys, set) = (keys(), set());
    let proposer = proposer_index(&set, Height(1), Round(0));
    let me = (proposer + 1) % 4;
    let liar = (proposer + 2) % 4;
    let mut bft = bft(&keys[me]);
    bft.start(Height(1), Arc::clone(&set)).unwrap();
    let signed = |i: usize, kind, block| signed_vote(&keys[i], kind, block);
    bft.on_message(signed(liar, VoteKind::Precommit, None))
        .unwrap();
    bft.on_message(signed(liar, VoteKind::Precommit, Some(BLOCK)))
        .unwrap();
    // The height is decided by the others, then the record of misbehaviour comes out.
    let mut outputs = Vec::new();
    let mut leader = self::bft(&keys[proposer]);
    leader.start(Height(1), Arc::clone(&set)).unwrap();
    for message in sent(&leader.propose(Height(1), Round(0), BLOCK).unwrap()) {
        outputs.extend(bft.on_message(message).unwrap());
    }
    let address = keys[proposer].address();
    outputs.extend(
        bft.on_block(Height(1), Round(0), address, BLOCK, true)
            .unwrap(),
    );
    for i in (0..4).filter(|i| *i != me && *i != liar) {
        for kind in [VoteKind::Prevote, VoteKind::Precommit] {
            outputs.extend(bft.on_message(signed(i, kind, Some(BLOCK))).unwrap());
        }
    }
    outputs.extend(
        bft.on_message(signed(liar, VoteKind::Prevote, Some(BLOCK)))
            .unwrap(),
    );
    assert!(
        outputs
            .iter()
            .any(|output| matches!(output, Output::Decided(_)))
    );
    assert!(outputs.iter().any(|output| matches!(
        output,
        Output::Misbehaviour { validator, .. } if *validator == keys[liar].address()
    )));
}

#[test]
fn waits_grow_with_the_round_and_stay_bounded() {
    let timeouts = Timeouts::default();
    let wait = |round| timeouts.wait_ms(TimerKind::Propose, Round(round));
    assert!(wait(1) > wait(0));
    assert_eq!(wait(u32::MAX), timeouts.max_ms);
}

/// Waits for missing precommits that a validator asks for when others precommit so in a round that
/// it has given up itself.
fn precommit_waits(precommits: [Option<B256>; 2]) -> Vec<u64> {
    let (keys, set) = (keys(), set());
    let proposer = proposer_index(&set, Height(1), Round(0));
    let me = (proposer + 1) % 4;
    let mut bft = bft(&keys[me]);
    let mut outputs = bft.start(Height(1), Arc::clone(&set)).unwrap();
    let timer = propose_timer(&outputs);
    outputs.extend(bft.on_timeout(timer).unwrap());
    let others = [(proposer + 2) % 4, (proposer + 3) % 4];
    let signed = |i: usize, kind, block| signed_vote(&keys[i], kind, block);
    for i in others {
        let prevote = signed(i, VoteKind::Prevote, None);
        outputs.extend(bft.on_message(prevote).unwrap());
    }
    assert!(
        votes(&sent(&outputs))
            .iter()
            .any(|v| (v.vote.kind, v.vote.block) == (VoteKind::Precommit, None))
    );
    for (i, block) in others.into_iter().zip(precommits) {
        let precommit = signed(i, VoteKind::Precommit, block);
        outputs.extend(bft.on_message(precommit).unwrap());
    }
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Schedule { timer, after_ms } if timer.kind == TimerKind::Precommit => {
                Some(*after_ms)
            }
            _ => None,
        })
        .collect()
}

#[test]
fn a_round_that_a_quorum_gave_up_is_left_at_once() {
    assert_eq!(precommit_waits([None, None]), [0]);
    // Here the fourth may still decide it.
    let full = Timeouts::default().precommit_ms;
    assert_eq!(precommit_waits([None, Some(BLOCK)]), [full]);
}
