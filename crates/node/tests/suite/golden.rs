//! Golden vectors of what nodes send one another and write into their vote logs. A change here
//! splits running networks and needs a protocol version.

use hawser_consensus::{Message, Record, SignedVote, Vote};
use hawser_crypto::{Scheme, SecretKey};
use hawser_ledger::{
    Attestation, Block, Certificate, CertifiedHeader, Claim, CommitSignature, CommitteeChange,
    FalseAttestation, Header, Outcome, Receipt, Roots, Validator, ValidatorSet, VoteKind,
    state::{ExportPart, StateKey, StateProof},
};
use hawser_node::light::{
    LightAnswer, LightAsk, LightHeader, LightRefusal, LightReply, LightRequest,
};
use hawser_node::replica::{
    Batch, CertifiedBlock, Compact, FEATURE_COMPACT, FEATURE_SPREAD, LogEntry, PeerMessage,
    Relayed, Share,
};
use hawser_node::snapshot::{
    BlockPart, ChunkId, ContentPart, FORMAT, Manifest, SnapshotAnswer, SnapshotAsk, SnapshotOffer,
    SnapshotRefusal, SnapshotReply, SnapshotRequest, StatePart,
};
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

fn dissemination_messages() -> Vec<(&'static str, PeerMessage)> {
    let compact = |share| {
        PeerMessage::Compact(Compact {
            header: block().header,
            share,
            references: Bytes::from(vec![1, 2, 3, 4, 5, 6]),
        })
    };
    vec![
        (
            "hello",
            PeerMessage::Hello {
                features: FEATURE_COMPACT | FEATURE_SPREAD,
                heard: true,
            },
        ),
        (
            "spread",
            PeerMessage::Spread(vec![Relayed {
                sender: Address::repeat_byte(4),
                raw: Bytes::from(vec![1]),
            }]),
        ),
        ("compact", compact(None)),
        ("compact to relay", compact(Some(Share { index: 1, of: 2 }))),
        (
            "index request",
            PeerMessage::IndexRequest {
                height: Height(1),
                block: B256::repeat_byte(2),
                indices: vec![3, 4],
            },
        ),
        (
            "indexed",
            PeerMessage::Indexed {
                height: Height(1),
                block: B256::repeat_byte(2),
                transactions: vec![(3, Bytes::from(vec![4, 5]))],
            },
        ),
    ]
}

fn batch_messages() -> Vec<(&'static str, PeerMessage)> {
    let attestation = || Attestation {
        validator: Address::repeat_byte(3),
        signature: signature(),
    };
    vec![
        (
            "batch",
            PeerMessage::Batch(Batch {
                digest: B256::repeat_byte(2),
                transactions: vec![Relayed {
                    sender: Address::repeat_byte(4),
                    raw: Bytes::from(vec![1]),
                }],
                attestation: attestation(),
                pass_on: true,
            }),
        ),
        (
            "attested",
            PeerMessage::Attested {
                digest: B256::repeat_byte(2),
                attestation: attestation(),
            },
        ),
        (
            "evidence",
            PeerMessage::Evidence(FalseAttestation {
                claims: vec![Claim {
                    hash: B256::repeat_byte(5),
                    sender: Address::repeat_byte(6),
                }],
                position: 0,
                raw: Bytes::from(vec![7]),
                attestations: vec![attestation()],
            }),
        ),
        ("blocks from", PeerMessage::BlocksFrom { first: Height(9) }),
    ]
}

fn light_messages() -> Vec<(&'static str, PeerMessage)> {
    let asks = [
        (
            "ask headers",
            LightAsk::Headers {
                from: Height(1),
                count: 2,
            },
        ),
        (
            "ask state",
            LightAsk::State {
                at: Some(Height(3)),
                keys: vec![StateKey::Account(Address::repeat_byte(4)).encode().into()],
            },
        ),
        (
            "ask content",
            LightAsk::Content {
                hash: B256::repeat_byte(5),
            },
        ),
        ("ask body", LightAsk::Body { height: Height(6) }),
        ("ask receipts", LightAsk::Receipts { height: Height(7) }),
        (
            "find transaction",
            LightAsk::FindTransaction {
                hash: B256::repeat_byte(8),
            },
        ),
        (
            "find block",
            LightAsk::FindBlock {
                hash: B256::repeat_byte(9),
            },
        ),
        (
            "submit",
            LightAsk::Submit {
                raw: Bytes::from(vec![10, 11]),
            },
        ),
    ];
    let CertifiedBlock { block, certificate } = certified();
    let set = ValidatorSet::new(vec![Validator {
        public_key: SecretKey::from_seed(Scheme::Ed25519, &[1; 32])
            .unwrap()
            .public_key(),
        weight: 2,
    }])
    .unwrap();
    let header = LightHeader {
        certified: CertifiedHeader {
            header: block.header,
            certificate,
        },
        next: Some(set),
    };
    let receipt = Receipt {
        transaction_hash: B256::repeat_byte(1),
        transaction_type: 2,
        outcome: Outcome::Success,
        gas_used: 3,
        cumulative_gas_used: 4,
        sender: Address::repeat_byte(5),
        contract_address: None,
        logs: Vec::new(),
        revert_data: Bytes::new(),
    };
    let proof = StateProof::decode(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    let replies = [
        ("headers", LightReply::Headers(vec![header])),
        (
            "state",
            LightReply::State {
                height: Height(3),
                proofs: vec![proof],
            },
        ),
        ("content", LightReply::Content(Bytes::from(vec![1, 2]))),
        ("body", LightReply::Body(vec![Bytes::from(vec![3, 4])])),
        ("receipts", LightReply::Receipts(vec![receipt])),
        ("found", LightReply::Found(Some(Height(5)))),
        ("submitted", LightReply::Submitted(B256::repeat_byte(6))),
        (
            "refused",
            LightReply::Refused {
                why: LightRefusal::SignedReads,
                text: "no".to_owned(),
            },
        ),
    ];
    let request = |ask| LightRequest {
        id: 7,
        genesis: B256::repeat_byte(1),
        ask,
    };
    let answer = |reply| LightAnswer {
        id: 7,
        head: Height(8),
        reply,
    };
    asks.into_iter()
        .map(|(name, ask)| (name, PeerMessage::LightRequest(request(ask))))
        .chain(
            replies
                .into_iter()
                .map(|(name, reply)| (name, PeerMessage::LightAnswer(answer(reply)))),
        )
        .collect()
}

fn snapshot_messages() -> Vec<(&'static str, PeerMessage)> {
    let request = |ask| {
        PeerMessage::SnapshotRequest(SnapshotRequest {
            id: 7,
            genesis: B256::repeat_byte(1),
            ask,
        })
    };
    let answer = |reply| PeerMessage::SnapshotAnswer(SnapshotAnswer { id: 7, reply });
    let height = Height(9);
    let offer = SnapshotOffer {
        height,
        digest: B256::repeat_byte(2),
    };
    let chunk = |id| request(SnapshotAsk::Chunk { height, id });
    vec![
        ("ask for snapshots", request(SnapshotAsk::List)),
        (
            "ask for a manifest",
            request(SnapshotAsk::Manifest { height }),
        ),
        ("ask for state", chunk(ChunkId::State(3))),
        ("ask for content", chunk(ChunkId::Content(3, 4))),
        ("ask for blocks", chunk(ChunkId::Blocks(5))),
        ("offers", answer(SnapshotReply::Offers(vec![offer]))),
        (
            "manifest",
            answer(SnapshotReply::Manifest(Bytes::from(vec![3, 4]))),
        ),
        (
            "chunk",
            answer(SnapshotReply::Chunk(Bytes::from(vec![5, 6]))),
        ),
        (
            "no snapshot",
            answer(SnapshotReply::Refused(SnapshotRefusal::NotHere)),
        ),
    ]
}

/// A manifest with one of everything.
fn manifest() -> Manifest {
    let header = || CertifiedHeader {
        header: block().header,
        certificate: certified().certificate,
    };
    let validator = SecretKey::from_seed(Scheme::Ed25519, &[1; 32]).unwrap();
    Manifest {
        format: FORMAT,
        genesis: B256::repeat_byte(1),
        entries: 2,
        block: header(),
        certifier: header(),
        changes: vec![CommitteeChange {
            header: block().header,
            certificate: certified().certificate,
            next: ValidatorSet::new(vec![Validator {
                public_key: validator.public_key(),
                weight: 3,
            }])
            .unwrap(),
        }],
        parts: vec![StatePart {
            part: ExportPart {
                prefix: 4,
                depth: 5,
                hash: B256::repeat_byte(6),
                leaves: 7,
            },
            bytes: 8,
            contents: vec![ContentPart {
                count: 9,
                bytes: 10,
            }],
        }],
        blocks: vec![BlockPart {
            from: Height(11),
            to: Height(12),
        }],
    }
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
    let all = messages().into_iter().chain(light_messages());
    let all = all.chain(dissemination_messages()).chain(batch_messages());
    for (name, message) in all.chain(snapshot_messages()) {
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
    let manifest = manifest();
    let bytes = manifest.encode();
    found.push_str(&format!("snapshot manifest: {}\n", hex::encode(&bytes)));
    assert_eq!(Manifest::decode(&bytes).unwrap(), manifest);
    let expected = include_str!("../golden.txt");
    assert!(
        found == expected,
        "an encoding changed: that is a change of protocol\nfound\n{found}\nexpected\n{expected}"
    );
}
