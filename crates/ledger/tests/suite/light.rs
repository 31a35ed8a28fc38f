//! What a light client believes while committees change.

use std::collections::BTreeMap;

use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_ledger::{
    Certificate, CertifiedHeader, ChainParameters, CommitSignature, CommitteeChange, Genesis,
    GenesisValidator, Header, LightClient, LightError, PROTOCOL_VERSION, Roots, Validator,
    ValidatorSet, VoteKind, vote_message,
};
use hawser_primitives::{Address, B256, ChainId, Height, Round, Time};

const CHAIN: ChainId = ChainId(7);
const SUITE: Suite = Suite::Intl;

fn key(i: u8) -> SecretKey {
    SecretKey::from_seed(Scheme::Ed25519, &[i; 32]).unwrap()
}

fn set(members: &[u8]) -> ValidatorSet {
    let member = |i: &u8| Validator {
        public_key: key(*i).public_key(),
        weight: 1,
    };
    ValidatorSet::new(members.iter().map(member).collect()).unwrap()
}

fn client() -> LightClient {
    let genesis = Genesis {
        protocol_version: PROTOCOL_VERSION,
        chain_id: CHAIN,
        name: "light".to_owned(),
        suite: SUITE,
        time: Time(1),
        parameters: ChainParameters::default(),
        validators: [1, 2, 3, 4]
            .map(|i| GenesisValidator {
                name: i.to_string(),
                public_key: key(i).public_key(),
                weight: 1,
            })
            .to_vec(),
        governance: None,
        accounts: BTreeMap::new(),
    };
    LightClient::new(&genesis).unwrap()
}

/// A header that `signers` of `decided` certified, with `next` to follow.
fn certified(height: u64, decided: &[u8], next: &[u8], signers: &[u8]) -> CertifiedHeader {
    let committee = set(decided);
    let header = Header {
        version: PROTOCOL_VERSION,
        chain_id: CHAIN,
        height: Height(height),
        parent: B256::ZERO,
        time: Time(height),
        proposer: Address::ZERO,
        transactions_root: B256::ZERO,
        transactions_count: 0,
        executed: Roots::default(),
        validators: committee.hash(SUITE),
        next_validators: set(next).hash(SUITE),
    };
    let block_hash = header.hash(SUITE);
    let (height, round) = (Height(height), Round(0));
    let message = vote_message(CHAIN, height, round, VoteKind::Precommit, Some(block_hash));
    let mut signatures: Vec<_> = signers
        .iter()
        .map(|i| CommitSignature {
            validator: committee.index_of(&key(*i).address()).unwrap() as u16,
            signature: key(*i).sign(&message),
        })
        .collect();
    signatures.sort_by_key(|one| one.validator);
    CertifiedHeader {
        header,
        certificate: Certificate {
            height,
            round,
            block_hash,
            signatures,
        },
    }
}

fn change(height: u64, decided: &[u8], next: &[u8], signers: &[u8]) -> CommitteeChange {
    let CertifiedHeader {
        header,
        certificate,
    } = certified(height, decided, next, signers);
    let next = set(next);
    CommitteeChange {
        header,
        certificate,
        next,
    }
}

const OLD: &[u8] = &[1, 2, 3, 4];
const NEW: &[u8] = &[3, 4, 5, 6];

#[test]
fn a_client_follows_a_change_and_then_believes_the_new_committee_only() {
    let mut client = client();
    let after = certified(10, NEW, NEW, &[4, 5, 6]);
    assert!(matches!(
        client.verify_header(&after),
        Err(LightError::WrongCommittee(Height(10)))
    ));
    client.follow(&change(9, OLD, NEW, &[1, 2, 3])).unwrap();
    assert_eq!(client.committee_since(), Height(10));
    client.verify_header(&after).unwrap();
    // The old committee keeps its past, and nothing of the future.
    client
        .verify_header(&certified(8, OLD, OLD, &[1, 2, 3]))
        .unwrap();
    assert!(matches!(
        client.verify_header(&certified(10, OLD, OLD, &[1, 2, 3])),
        Err(LightError::WrongCommittee(Height(10)))
    ));
    // Nor has the new one a past.
    assert!(matches!(
        client.verify_header(&certified(9, NEW, NEW, &[4, 5, 6])),
        Err(LightError::WrongCommittee(Height(9)))
    ));
}

#[test]
fn a_change_needs_a_quorum_of_the_old_committee_and_its_word() {
    let mut client = client();
    assert!(matches!(
        client.follow(&change(9, OLD, NEW, &[3, 4])),
        Err(LightError::Certificate(_))
    ));
    assert!(matches!(
        client.follow(&change(9, NEW, OLD, &[4, 5, 6])),
        Err(LightError::WrongCommittee(_))
    ));
    let mut other = change(9, OLD, NEW, &[1, 2, 3]);
    other.next = set(&[7, 8, 9]);
    assert!(matches!(
        client.follow(&other),
        Err(LightError::WrongChange(Height(9)))
    ));
    assert!(matches!(
        client.follow(&change(9, OLD, OLD, &[1, 2, 3])),
        Err(LightError::WrongChange(Height(9)))
    ));
    assert_eq!(client.committee_since(), Height::GENESIS);
}

#[test]
fn changes_come_in_order_and_known_ones_are_passed_over() {
    let mut client = client();
    let first = change(9, OLD, NEW, &[1, 2, 3]);
    let second = change(19, NEW, OLD, &[4, 5, 6]);
    assert!(client.follow(&second).is_err());
    client.follow(&first).unwrap();
    client.follow(&second).unwrap();
    client.follow(&first).unwrap();
    client.follow(&second).unwrap();
    assert_eq!(client.committee_since(), Height(20));
    assert_eq!(client.committee(), &set(OLD));
    // A quorum of the old committee cannot tell another story of the time before.
    assert!(matches!(
        client.follow(&change(5, OLD, &[5, 6, 7], &[1, 2, 3])),
        Err(LightError::OldChange {
            found: Height(5),
            known: Height(20)
        })
    ));
}
