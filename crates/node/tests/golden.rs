//! Golden vectors of what nodes send one another and write into their vote logs. A change here
//! splits running networks and needs a protocol version.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use hawser_consensus::{Message, Record, SignedVote, Vote};
use hawser_crypto::{Scheme, SecretKey};
use hawser_ledger::{Block, Certificate, CommitSignature, Header, Roots, VoteKind};
use hawser_node::replica::{CertifiedBlock, LogEntry, PeerMessage, Relayed};
use hawser_primitives::{Address, B256, Bytes, ChainId, Height, Round, Time, decode_exact, encode};

fn signature() -> hawser_crypto::Signature {
    SecretKey::from_seed(Scheme::Ed25519, &[1; 32])
        .unwrap()
        .sign(b"x")
}

fn vote() -> SignedVote {
    SignedVote {
        vote: Vote {
            kind: VoteKind::Prevote,
            height: Height(1),
            round: Round(2),
            block: None,
            validator: Address::repeat_byte(3),
        },
        signature: signature(),
    }
}

fn block() -> Block {
    Block {
        header: Header {
            version: 1,
            chain_id: ChainId(7),
            height: Height(2),
            parent: B256::repeat_byte(1),
            time: Time(3),
            proposer: Address::repeat_byte(4),
            transactions_root: B256::repeat_byte(5),
            transactions_count: 1,
            executed: Roots {
                height: Height(1),
                state: B256::repeat_byte(7),
                receipts: B256::repeat_byte(8),
            },
            validators: B256::repeat_byte(9),
            next_validators: B256::repeat_byte(10),
        },
        transactions: vec![Bytes::from(vec![11, 12])],
    }
}

fn certified() -> CertifiedBlock {
    CertifiedBlock {
        block: block(),
        certificate: Certificate {
            height: Height(2),
            round: Round(0),
            block_hash: B256::repeat_byte(13),
            signatures: vec![CommitSignature {
                validator: 0,
                signature: signature(),
            }],
        },
    }
}

fn messages() -> Vec<(&'static str, PeerMessage)> {
    vec![
        (
            "status",
            PeerMessage::Status {
                genesis: B256::repeat_byte(1),
                height: Height(2),
            },
        ),
        ("agreement", PeerMessage::Agreement(Message::Vote(vote()))),
        (
            "part",
            PeerMessage::Part {
                height: Height(1),
                block: B256::repeat_byte(2),
                index: 3,
                total: 4,
                bytes: Bytes::from(vec![5, 6]),
            },
        ),
        (
            "body request",
            PeerMessage::BodyRequest {
                height: Height(1),
                block: B256::repeat_byte(2),
            },
        ),
        (
            "transactions",
            PeerMessage::Transactions(vec![
                Relayed {
                    sender: Address::repeat_byte(4),
                    raw: Bytes::from(vec![1]),
                },
                Relayed {
                    sender: Address::repeat_byte(5),
                    raw: Bytes::from(vec![2, 3]),
                },
            ]),
        ),
        (
            "blocks request",
            PeerMessage::BlocksRequest {
                from: Height(1),
                count: 2,
            },
        ),
        ("blocks", PeerMessage::Blocks(vec![certified()])),
    ]
}

fn entries() -> Vec<(&'static str, LogEntry)> {
    vec![
        ("log record", LogEntry::Record(Record::Vote(vote()))),
        ("log block", LogEntry::Block(block())),
    ]
}

#[test]
fn encodings_are_what_they_were_and_decode_to_what_they_are() {
    let mut found = String::new();
    for (name, message) in messages() {
        let bytes = encode(&message);
        found.push_str(&format!("{name}: {}\n", hex::encode(&bytes)));
        assert_eq!(
            decode_exact::<PeerMessage>(&bytes, 1 << 16).unwrap(),
            message
        );
    }
    for (name, entry) in entries() {
        let bytes = encode(&entry);
        found.push_str(&format!("{name}: {}\n", hex::encode(&bytes)));
        assert_eq!(decode_exact::<LogEntry>(&bytes, 1 << 16).unwrap(), entry);
    }
    let expected = include_str!("golden.txt");
    assert!(
        found == expected,
        "an encoding changed: that is a change of protocol\nfound\n{found}\nexpected\n{expected}"
    );
}
