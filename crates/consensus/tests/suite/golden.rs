//! Golden vectors of what validators send one another and write into their vote logs. A change here
//! splits running chains and needs a protocol version.

use hawser_consensus::{
    CertificateKind, Message, PolkaCertificate, Proposal, Record, RoundCertificate, RoundSignature,
    SignedProposal, SignedVote, Timer, TimerKind, Vote,
};
use hawser_crypto::{Scheme, SecretKey, Signature};
use hawser_ledger::VoteKind;
use hawser_primitives::{Address, B256, Height, Round, decode_exact, encode};

fn signature() -> Signature {
    SecretKey::from_seed(Scheme::Ed25519, &[1; 32])
        .unwrap()
        .sign(b"x")
}

fn vote(kind: VoteKind, block: Option<B256>) -> SignedVote {
    SignedVote {
        vote: Vote {
            kind,
            height: Height(1),
            round: Round(2),
            block,
            validator: Address::repeat_byte(3),
        },
        signature: signature(),
    }
}

fn proposal(valid_round: Option<Round>) -> SignedProposal {
    SignedProposal {
        proposal: Proposal {
            height: Height(1),
            round: Round(2),
            block: B256::repeat_byte(4),
            valid_round,
            proposer: Address::repeat_byte(3),
        },
        signature: signature(),
    }
}

fn polka() -> PolkaCertificate {
    PolkaCertificate {
        height: Height(1),
        round: Round(2),
        block: B256::repeat_byte(4),
        signatures: vec![(Address::repeat_byte(3), signature())],
    }
}

fn round(kind: CertificateKind) -> RoundCertificate {
    RoundCertificate {
        height: Height(1),
        round: Round(2),
        kind,
        signatures: vec![RoundSignature {
            kind: VoteKind::Precommit,
            block: None,
            validator: Address::repeat_byte(3),
            signature: signature(),
        }],
    }
}

fn timer(kind: TimerKind) -> Record {
    Record::Timeout(Timer {
        height: Height(1),
        round: Round(2),
        kind,
    })
}

fn messages() -> Vec<(&'static str, Message)> {
    let block = Some(B256::repeat_byte(4));
    vec![
        ("prevote", Message::Vote(vote(VoteKind::Prevote, block))),
        (
            "nil precommit",
            Message::Vote(vote(VoteKind::Precommit, None)),
        ),
        ("proposal", Message::Proposal(proposal(None))),
        (
            "proposal again",
            Message::Proposal(proposal(Some(Round(1)))),
        ),
        ("polka", Message::Polka(polka())),
        ("skip", Message::Round(round(CertificateKind::Skip))),
        (
            "next round",
            Message::Round(round(CertificateKind::Precommit)),
        ),
    ]
}

fn records() -> Vec<(&'static str, Record)> {
    let block = Some(B256::repeat_byte(4));
    vec![
        (
            "vote record",
            Record::Vote(vote(VoteKind::Precommit, block)),
        ),
        ("proposal record", Record::Proposal(proposal(None))),
        ("polka record", Record::Polka(polka())),
        ("propose timer", timer(TimerKind::Propose)),
        ("prevote timer", timer(TimerKind::Prevote)),
        ("precommit timer", timer(TimerKind::Precommit)),
        ("rebroadcast timer", timer(TimerKind::Rebroadcast)),
        (
            "block record",
            Record::Block {
                height: Height(1),
                round: Round(2),
                proposer: Address::repeat_byte(3),
                block: B256::repeat_byte(4),
                valid: true,
            },
        ),
    ]
}

#[test]
fn encodings_are_what_they_were_and_decode_to_what_they_are() {
    let mut found = String::new();
    for (name, message) in messages() {
        let bytes = encode(&message);
        found.push_str(&format!("{name}: {}\n", hex::encode(&bytes)));
        assert_eq!(decode_exact::<Message>(&bytes, 1 << 16).unwrap(), message);
    }
    for (name, record) in records() {
        let bytes = encode(&record);
        found.push_str(&format!("{name}: {}\n", hex::encode(&bytes)));
        assert_eq!(decode_exact::<Record>(&bytes, 1 << 16).unwrap(), record);
    }
    let expected = include_str!("../golden.txt");
    assert!(
        found == expected,
        "an encoding changed: that is a change of protocol\nfound\n{found}\nexpected\n{expected}"
    );
}
