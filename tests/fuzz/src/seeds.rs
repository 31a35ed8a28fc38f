//! Valid inputs, most of them from the golden vectors of the crates.

use std::sync::Arc;

use alloy_consensus::{SignableTransaction, Signed, TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::Signature as Ecdsa;
use hawser_consensus::{Bft, BftConfig, Message, Output, SignedVote, Timeouts, Vote};
use hawser_crypto::{Scheme, SecretKey, Suite, sm2pke};
use hawser_ledger::{
    Attestation, Certificate, CertifiedHeader, Claim, CommitSignature, FalseAttestation, Genesis,
    Header, Transaction, Validator, ValidatorSet, VoteKind, attestation_message, batch_digest,
    vote_message,
};
use hawser_node::config::{KEYS, Kind, document};
use hawser_primitives::{Address, B256, Bytes, Height, Round, U256, decode_exact, encode};
use hawser_services::evidence::{Algorithm, Record, StoredRecord, StoredSet, encode_register};
use hawser_storage::{
    Disk, LogOptions, MemDisk, PageIndex, PageStore, SegmentOptions, Segments, SyncedLog,
};

use crate::targets::{CHAIN, PAGES, join};

pub(crate) const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "null",
    "true",
    "-1",
    "1e999",
    "\\ud800",
    "0x",
    "18446744073709551616",
    "\"a\":",
    "\u{feff}",
];
pub(crate) const TOML: &[&str] = &[
    "[",
    "]",
    "[[",
    "=",
    "\"",
    "'''",
    "\n",
    "{",
    "}",
    "1979-05-27",
    "inf",
    "0x",
    "a.b.",
    "true",
    "-1",
    "18446744073709551616",
];
pub(crate) const PEM: &[&str] = &[
    "-----BEGIN CERTIFICATE-----\n",
    "-----END CERTIFICATE-----\n",
    "-----BEGIN X509 CRL-----\n",
    "\n",
    "=",
    "\u{30}\u{7f}",
    "\u{30}\0",
];
pub(crate) const STARLARK: &[&str] = &[
    "def f(tx):\n",
    "\n    ",
    "    ",
    "for x in ",
    "if ",
    "else:",
    "return ",
    "lambda ",
    "[x for x in ",
    "(",
    ")",
    "{",
    "}",
    "\"",
    "\"\"\"",
    "**",
    "<<",
    "1000000000000",
    "tx.",
    "deny(",
    "flag(",
    "range(",
    "not ",
    "-",
    "%",
    ".format(",
    "\\x",
    "STEPS = ",
];

const CONSENSUS: &str = include_str!("../../../crates/consensus/tests/golden.txt");
const LEDGER: &str = include_str!("../../../crates/ledger/tests/golden.txt");
const NODE: &str = include_str!("../../../crates/node/tests/golden.txt");

/// Vectors of a golden file that the choice takes, by name.
fn golden(text: &str, choose: impl Fn(&str) -> bool) -> Vec<Vec<u8>> {
    text.lines()
        .map(|line| line.rsplit_once(": ").unwrap())
        .filter(|(name, _)| choose(name))
        .map(|(_, bytes)| hex::decode(bytes).unwrap())
        .collect()
}

fn one(text: &str, name: &str) -> Vec<u8> {
    golden(text, |found| found == name).pop().unwrap()
}

fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [&[tag], bytes].concat()
}

fn key(i: u8) -> SecretKey {
    SecretKey::from_seed(Scheme::Ed25519, &[i; 32]).unwrap()
}

/// The keys of four validators, in the order of the committee.
pub(crate) fn validators() -> Vec<Arc<SecretKey>> {
    let mut keys: Vec<_> = (1..=4).map(|i| Arc::new(key(i))).collect();
    keys.sort_by_key(|key| key.address());
    keys
}

/// Their committee.
pub(crate) fn committee() -> Arc<ValidatorSet> {
    let member = |key: &Arc<SecretKey>| Validator {
        public_key: key.public_key(),
        weight: 1,
    };
    Arc::new(ValidatorSet::new(validators().iter().map(member).collect()).unwrap())
}

fn envelope<T: SignableTransaction<Ecdsa>>(transaction: T) -> Vec<u8>
where
    Signed<T>: Encodable2718,
{
    let signature = Ecdsa::new(U256::from(3), U256::from(5), true);
    transaction.into_signed(signature).encoded_2718()
}

/// Every envelope: Ethereum's types 0, 1, 2 and 4, native ones and those of several signers.
pub(crate) fn transactions() -> Vec<Vec<u8>> {
    let (chain_id, gas_limit) = (CHAIN.0, 100_000);
    let input = Bytes::from(vec![0xa9, 0x05, 0x9c, 0xbb, 1, 2, 3]);
    let to = Address::repeat_byte(4);
    let mut all = vec![
        envelope(TxLegacy {
            chain_id: Some(chain_id),
            gas_limit,
            to: to.into(),
            input: input.clone(),
            ..TxLegacy::default()
        }),
        envelope(TxEip2930 {
            chain_id,
            gas_limit,
            to: to.into(),
            access_list: vec![alloy_eips::eip2930::AccessListItem {
                address: to,
                storage_keys: vec![B256::repeat_byte(1)],
            }]
            .into(),
            ..TxEip2930::default()
        }),
        envelope(TxEip1559 {
            chain_id,
            gas_limit,
            to: to.into(),
            input: input.clone(),
            ..TxEip1559::default()
        }),
        envelope(TxEip7702 {
            chain_id,
            gas_limit,
            to,
            input,
            authorization_list: vec![
                alloy_eips::eip7702::Authorization {
                    chain_id: U256::from(chain_id),
                    address: to,
                    nonce: 1,
                }
                .into_signed(Ecdsa::new(U256::from(3), U256::from(5), true)),
            ],
            ..TxEip7702::default()
        }),
    ];
    all.extend(golden(LEDGER, |name| matches!(name, "native" | "multisig")));
    all
}

pub(crate) fn peer_messages() -> Vec<Vec<u8>> {
    golden(NODE, |name| !name.starts_with("log "))
}

pub(crate) fn vote_log() -> Vec<Vec<u8>> {
    golden(NODE, |name| name.starts_with("log "))
}

pub(crate) fn consensus() -> Vec<Vec<u8>> {
    let is_record = |name: &str| name.ends_with("record") || name.ends_with("timer");
    let tag = |tag: u8, all: Vec<Vec<u8>>| all.into_iter().map(move |bytes| tagged(tag, &bytes));
    tag(0, golden(CONSENSUS, |name| !is_record(name)))
        .chain(tag(1, golden(CONSENSUS, is_record)))
        .collect()
}

/// A proposal and everybody's votes for it, as they are sent; and rounds that come to nothing.
pub(crate) fn agreement() -> Vec<Vec<u8>> {
    let (keys, set) = (validators(), committee());
    let mut proposals = Vec::new();
    for key in &keys {
        let config = BftConfig {
            chain: CHAIN,
            key: Some(Arc::clone(key)),
            timeouts: Timeouts::default(),
        };
        let mut bft = Bft::new(config, Height(1), Arc::clone(&set));
        let outputs = bft.start(Height(1), Arc::clone(&set)).unwrap();
        if outputs
            .iter()
            .any(|output| matches!(output, Output::Build { .. }))
        {
            let outputs = bft
                .propose(Height(1), Round(0), B256::repeat_byte(1))
                .unwrap();
            proposals.extend(outputs.into_iter().filter_map(|output| match output {
                Output::Send(message @ Message::Proposal(_)) => Some(encode(&message)),
                _ => None,
            }));
        }
    }
    let vote = |key: &SecretKey, round, kind, block| {
        let vote = Vote {
            kind,
            height: Height(1),
            round: Round(round),
            block,
            validator: key.address(),
        };
        let signature = key.sign(&vote.message(CHAIN));
        encode(&Message::Vote(SignedVote { vote, signature }))
    };
    let all = |round, kind, block| keys.iter().map(move |key| vote(key, round, kind, block));
    let block = Some(B256::repeat_byte(1));
    let decided = proposals
        .iter()
        .cloned()
        .chain(all(0, VoteKind::Prevote, block))
        .chain(all(0, VoteKind::Precommit, block));
    let given_up = all(0, VoteKind::Prevote, None).chain(all(0, VoteKind::Precommit, None));
    let torn = all(0, VoteKind::Prevote, None).chain(all(1, VoteKind::Precommit, block));
    [join(decided), join(given_up), join(torn)].to_vec()
}

/// One of each type of the ledger, behind its number.
pub(crate) fn ledger() -> Vec<Vec<u8>> {
    [
        "header",
        "block",
        "receipt",
        "certificate",
        "validator set",
        "genesis",
        "committee change",
        "merkle proof",
        "settings",
        "parameters of a chain where a quorum verifies",
        "account",
    ]
    .iter()
    .zip(0..)
    .map(|(name, tag)| tagged(tag, &one(LEDGER, name)))
    .collect()
}

/// A header that a quorum signed.
pub(crate) fn certified() -> CertifiedHeader {
    let header: Header = decode_exact(&one(LEDGER, "header"), 1 << 16).unwrap();
    let (set, height, round) = (committee(), header.height, Round(0));
    let hash = header.hash(Suite::Intl);
    let message = vote_message(CHAIN, height, round, VoteKind::Precommit, Some(hash));
    let keys = validators();
    let signatures = keys.iter().map(|key| CommitSignature {
        validator: set.index_of(&key.address()).unwrap().try_into().unwrap(),
        signature: key.sign(&message),
    });
    CertifiedHeader {
        header,
        certificate: Certificate {
            height,
            round,
            block_hash: hash,
            signatures: signatures.collect(),
        },
    }
}

pub(crate) fn certificates() -> Vec<Vec<u8>> {
    let certified = certified();
    vec![encode(&certified), encode(&certified.certificate)]
}

/// A proof of each kind behind its number: of state, of a header, of a new committee, of a leaf.
pub(crate) fn proofs() -> Vec<Vec<u8>> {
    let mut all = state_proofs();
    all.push(tagged(1, &encode(&certified())));
    all.push(tagged(2, &one(LEDGER, "committee change")));
    all.push(tagged(3, &one(LEDGER, "merkle proof")));
    all
}

/// Proofs of presence, of another leaf and of nothing, with eleven levels: the layout of the
/// encoding is end, levels, a bit per level, siblings.
fn state_proofs() -> Vec<Vec<u8>> {
    let siblings = vec![B256::repeat_byte(7); 3];
    let tail = |end: Vec<u8>| {
        let present: Vec<u8> = vec![0b1010_0000, 0b0010_0000];
        let rest = (11u16, present, siblings.clone());
        tagged(0, &[end, encode(&rest)].concat())
    };
    vec![
        tail([vec![0], encode(&vec![1u8, 2, 3])].concat()),
        tail(vec![1]),
        tail(
            [
                vec![2],
                encode(&(B256::repeat_byte(1), B256::repeat_byte(2))),
            ]
            .concat(),
        ),
        tagged(0, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ]
}

pub(crate) fn false_attestations() -> Vec<Vec<u8>> {
    let raw = Bytes::from(transactions().pop().unwrap());
    let claims = vec![
        Claim {
            hash: B256::repeat_byte(1),
            sender: Address::repeat_byte(2),
        },
        Claim {
            hash: Transaction::hash_of(Suite::Intl, &raw),
            sender: Address::repeat_byte(3),
        },
    ];
    let message = attestation_message(CHAIN, batch_digest(Suite::Intl, CHAIN, &claims));
    let attestations = validators()
        .iter()
        .take(2)
        .map(|key| Attestation {
            validator: key.address(),
            signature: key.sign(&message),
        })
        .collect();
    vec![encode(&FalseAttestation {
        claims,
        position: 1,
        raw,
        attestations,
    })]
}

/// A record, a set and a call, behind their numbers.
pub(crate) fn evidence() -> Vec<Vec<u8>> {
    let record = Record {
        digest: vec![7; 32],
        algorithm: Algorithm::Sm3.number(),
        media_type: "application/pdf".to_owned(),
        description: "合同".to_owned(),
        sealed_owner: vec![9; 40],
    };
    let call = encode_register(std::slice::from_ref(&record));
    let (owner, time, height) = (
        Address::repeat_byte(1),
        hawser_primitives::Time(2),
        Height(3),
    );
    let set = StoredSet {
        owner,
        time,
        height,
        transaction_hash: B256::repeat_byte(4),
        algorithm: Algorithm::Sha256.number(),
        count: 5,
        root: B256::repeat_byte(6),
        media_type: "text/plain".to_owned(),
        description: "归档".to_owned(),
        sealed_owner: vec![1; 16],
    };
    let record = StoredRecord {
        owner,
        time,
        height,
        transaction_hash: B256::repeat_byte(4),
        record,
    };
    let ids: Vec<u8> = [32u64, 2, 1, 2]
        .iter()
        .flat_map(|n| U256::from(*n).to_be_bytes::<32>())
        .collect();
    vec![
        tagged(0, &encode(&record)),
        tagged(1, &encode(&set)),
        tagged(2, &ids),
        tagged(2, &call),
    ]
}

/// Public keys and signatures of every scheme, and SM2 ciphertexts, behind their numbers.
pub(crate) fn keys() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (scheme, tag) in Scheme::ALL.iter().zip(0..) {
        let key = SecretKey::from_seed(*scheme, &[1; 32]).unwrap();
        let signature = key.sign(b"x");
        all.push(tagged(tag, key.public_key().as_bytes()));
        all.push(tagged(0x10 + tag, signature.as_bytes()));
        all.extend(signature.to_der().ok().map(|der| tagged(0x20 + tag, &der)));
    }
    let key = SecretKey::from_seed(Scheme::Sm2, &[1; 32]).unwrap();
    if let Ok(sealed) = sm2pke::encrypt(&key.public_key(), b"content") {
        for (layout, tag) in sm2pke::Layout::ALL.iter().zip(0x30..) {
            all.push(tagged(tag, &sealed.to_bytes(*layout)));
        }
    }
    all
}

pub(crate) fn genesis() -> Vec<Vec<u8>> {
    let golden: Genesis = decode_exact(&one(LEDGER, "genesis"), 1 << 16).unwrap();
    vec![
        golden.to_json().unwrap().into_bytes(),
        include_bytes!("../../../bin/hawser/tests/fixtures/state-format-2/genesis.json").to_vec(),
    ]
}

/// Certificates, requests and revocation lists of both families, as PEM and as DER.
pub(crate) fn pki() -> Vec<Vec<u8>> {
    let texts = [
        include_str!("../seeds/pki-p256.pem"),
        include_str!("../seeds/pki-sm2.pem"),
    ];
    let mut all: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let ders: Vec<Vec<u8>> = texts
        .iter()
        .flat_map(|text| crate::targets::ders(text))
        .collect();
    all.extend(ders);
    all
}

pub(crate) fn configuration() -> Vec<Vec<u8>> {
    let value = |path: &str| {
        let key = KEYS.iter().find(|key| key.path == path)?;
        (!matches!(key.kind, Kind::Tables(..))).then(|| key.default.to_owned())
    };
    let tables = "\n[[network.peers]]\nid = \"0x0101010101010101010101010101010101010101010101010101010101010101\"\n\
        address = \"node-1.example:30300\"\n\n[[chains]]\ngenesis = \"genesis.json\"\n";
    let all = document(&value);
    vec![
        Vec::new(),
        format!("{all}{tables}").into_bytes(),
        all.into_bytes(),
        b"[rpc]\nhttp = \"127.0.0.1:8545\"\n[storage]\nencryption = \"none\"\n".to_vec(),
    ]
}

macro_rules! examples {
    ($($name:literal),* $(,)?) => {
        (
            [$(include_str!(concat!("../../../examples/policy/", $name, ".star"))),*],
            [$(include_str!(concat!("../../../examples/policy/", $name, ".cases.toml"))),*],
        )
    };
}

const EXAMPLES: ([&str; 7], [&str; 7]) = examples!(
    "blocked-counterparties",
    "cosign-large",
    "new-account-watch",
    "off-hours",
    "organisation-quota",
    "structuring",
    "transfer-limit",
);

fn bytes_of(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(crate) fn policy() -> Vec<Vec<u8>> {
    bytes_of(&EXAMPLES.0)
}

pub(crate) fn policy_cases() -> Vec<Vec<u8>> {
    bytes_of(&EXAMPLES.1)
}

/// The content of a file of a disk.
fn content(disk: &dyn Disk, name: &str) -> Vec<u8> {
    let file = disk.open(name).unwrap().unwrap();
    let len = usize::try_from(file.len().unwrap()).unwrap();
    file.read_at(0, len).unwrap()
}

/// Logs of a few records, behind a number that says whether checksums are set right afterwards.
pub(crate) fn log() -> Vec<Vec<u8>> {
    let bytes = log_of((0..6u8).map(|n| vec![n; 1 + usize::from(n) * 9]));
    vec![tagged(0, &bytes), tagged(1, &bytes)]
}

fn log_of(records: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let disk: Arc<dyn Disk> = Arc::new(MemDisk::new(1));
    let (mut log, _) = SyncedLog::open(Arc::clone(&disk), "log", LogOptions::default()).unwrap();
    for record in records {
        log.append(&record).unwrap();
        log.sync().unwrap();
    }
    content(&*disk, "log")
}

/// Vote logs of a few entries, whose checksums are set right afterwards.
pub(crate) fn vote_log_file() -> Vec<Vec<u8>> {
    vec![log_of(vote_log().into_iter().chain(vote_log()))]
}

/// All files of a disk: number of files, then name and content of each behind their lengths.
fn files(disk: &dyn Disk) -> Vec<u8> {
    let listed = disk.list().unwrap();
    let parts = listed
        .iter()
        .flat_map(|(name, _)| [name.as_bytes().to_vec(), content(disk, name)]);
    [vec![1], join(parts)].concat()
}

pub(crate) fn segments() -> Vec<Vec<u8>> {
    let disk: Arc<dyn Disk> = Arc::new(MemDisk::new(1));
    let options = SegmentOptions {
        segment_bytes: 128,
        ..SegmentOptions::default()
    };
    let (segments, _) = Segments::open(Arc::clone(&disk), "s", options).unwrap();
    for number in 5..12u8 {
        segments
            .append(number.into(), &vec![number; usize::from(number) * 5])
            .unwrap();
    }
    segments.sync().unwrap();
    let all = files(&*disk);
    let mut unfixed = all.clone();
    unfixed[0] = 0;
    vec![all, unfixed]
}

pub(crate) fn pages() -> Vec<Vec<u8>> {
    let disk: Arc<dyn Disk> = Arc::new(MemDisk::new(1));
    let (store, _) = PageStore::open(Arc::clone(&disk), "p", PAGES).unwrap();
    for height in 0..4u8 {
        let mut writer = store.write().unwrap();
        let places: Vec<_> = (0..3u8)
            .map(|page| {
                writer
                    .append(page.into(), &[height * 16 + page; 40])
                    .unwrap()
            })
            .collect();
        let part: Vec<u8> = places.iter().flat_map(|place| place.encode()).collect();
        let mut parts = std::iter::once(part);
        let index = if height == 0 {
            PageIndex::Whole(&mut parts)
        } else {
            PageIndex::Changes(&mut parts)
        };
        writer.commit(index, &[height]).unwrap();
        store.persist().unwrap();
    }
    let all = files(&*disk);
    let mut unfixed = all.clone();
    unfixed[0] = 0;
    vec![all, unfixed]
}
