//! What peers and clients send in the canonical encoding, and the agreement that takes it in.

use std::{cell::RefCell, sync::Arc};

use hawser_consensus::{Bft, BftConfig, Message, Output, Record, Timeouts};
use hawser_crypto::{PublicKey, Scheme, Signature, Suite, der, sm2pke};
use hawser_ledger::{
    Block, Certificate, CertifiedHeader, ChainParameters, CommitteeChange, FalseAttestation,
    Genesis, Header, LightClient, Receipt, SettingsSchedule, Transaction, ValidatorSet,
    merkle::MerkleProof,
    state::{Account, StateKey, StateProof},
};
use hawser_node::replica::{LogEntry, PeerMessage};
use hawser_primitives::{
    Address, B256, Bytes, Height, Round, decode_exact, limits::FRAME_BYTES_MAX,
};
use hawser_services::evidence::{StoredRecord, StoredSet, decode_ids, decode_set_id};

use super::{CHAIN, exact, split};
use crate::seeds;

/// Largest encoding of anything here but a frame.
const MAX: usize = 1 << 20;

pub(crate) fn transactions(input: &[u8]) {
    let raw = Bytes::copy_from_slice(input);
    for suite in Suite::ALL {
        let Ok(transaction) = Transaction::decode(suite, raw.clone()) else {
            continue;
        };
        assert_eq!(*transaction.raw(), raw);
        assert_eq!(transaction.hash(), Transaction::hash_of(suite, input));
        let again = transaction.clone();
        let alone = transaction.verify(CHAIN).map(|verified| verified.sender());
        let many = Transaction::verify_many(vec![(again, None)], CHAIN);
        let many = many
            .into_iter()
            .map(|one| one.map(|verified| verified.sender()));
        for together in many {
            assert_eq!(
                alone.as_ref().ok(),
                together.as_ref().ok(),
                "alone and together the same"
            );
        }
    }
}

pub(crate) fn peer_messages(input: &[u8]) {
    exact::<PeerMessage>(input, FRAME_BYTES_MAX);
}

pub(crate) fn vote_log_entries(input: &[u8]) {
    exact::<LogEntry>(input, FRAME_BYTES_MAX);
}

pub(crate) fn consensus_messages(input: &[u8]) {
    match input.split_first() {
        Some((0, rest)) => {
            exact::<Message>(rest, MAX);
        }
        Some((_, rest)) => {
            if let Some(record) = exact::<Record>(rest, MAX) {
                let _ = record.height();
            }
        }
        None => {}
    }
}

/// One validator gets whatever others send. It must not fail, and must never sign two things of a kind.
pub(crate) fn agreement(input: &[u8]) {
    let set = seeds::committee();
    let keys = seeds::validators();
    let me = keys.last().expect("four");
    let config = BftConfig {
        chain: CHAIN,
        key: Some(Arc::clone(me)),
        timeouts: Timeouts::default(),
    };
    let mut bft = Bft::new(config, Height(1), Arc::clone(&set));
    let mut outputs = bft
        .start(Height(1), Arc::clone(&set))
        .expect("a fresh start");
    let proposers: Vec<Address> = keys.iter().map(|key| key.address()).collect();
    for (at, bytes) in split(input).into_iter().enumerate().take(64) {
        if let Ok(message) = decode_exact::<Message>(bytes, MAX) {
            outputs.extend(bft.on_message(message).expect("a message never breaks it"));
        }
        if at == 0 {
            for proposer in &proposers {
                let block = B256::repeat_byte(1);
                let taken = bft.on_block(Height(1), Round(0), *proposer, block, true);
                outputs.extend(taken.expect("a block never breaks it"));
            }
        }
    }
    let mut cast = std::collections::BTreeMap::new();
    for output in &outputs {
        if let Output::Send(Message::Vote(signed)) = output {
            if signed.vote.validator != me.address() {
                continue;
            }
            let key = (
                signed.vote.height,
                signed.vote.round,
                signed.vote.kind as u8,
            );
            let before = cast.insert(key, signed.vote.block);
            assert!(
                before.is_none_or(|before| before == signed.vote.block),
                "voted twice: {:?}",
                signed.vote
            );
        }
    }
}

pub(crate) fn ledger(input: &[u8]) {
    let Some((kind, rest)) = input.split_first() else {
        return;
    };
    match kind % 11 {
        0 => {
            if let Some(header) = exact::<Header>(rest, MAX) {
                let _ = header.hash(Suite::Sm);
            }
        }
        1 => {
            exact::<Block>(rest, MAX);
        }
        2 => {
            exact::<Receipt>(rest, MAX);
        }
        3 => {
            exact::<Certificate>(rest, MAX);
        }
        4 => {
            if let Some(set) = exact::<ValidatorSet>(rest, MAX) {
                let _ = (set.quorum_weight(), set.hash(Suite::Intl));
            }
        }
        5 => {
            if let Some(genesis) = exact::<Genesis>(rest, MAX) {
                let _ = (genesis.check(), genesis.hash());
            }
        }
        6 => {
            exact::<CommitteeChange>(rest, MAX);
        }
        7 => {
            exact::<MerkleProof>(rest, MAX);
        }
        8 => {
            if let Ok(schedule) = SettingsSchedule::from_bytes(Suite::Intl, rest) {
                assert_eq!(schedule.to_bytes().to_vec(), rest);
            }
        }
        9 => {
            exact::<ChainParameters>(rest, MAX);
        }
        _ => {
            if let Ok(account) = Account::decode(rest) {
                assert_eq!(account.encode().to_vec(), rest);
            }
        }
    }
}

/// A certificate over something else than what was signed convinces nobody.
pub(crate) fn certificates(input: &[u8]) {
    let set = seeds::committee();
    let genuine = seeds::certified();
    if let Some(certificate) = exact::<Certificate>(input, MAX)
        && certificate.verify(CHAIN, &set).is_ok()
    {
        let (found, signed) = (&certificate, &genuine.certificate);
        assert_eq!(
            (found.height, found.round, found.block_hash),
            (signed.height, signed.round, signed.block_hash),
            "a forged certificate was accepted"
        );
    }
    if let Some(certified) = exact::<CertifiedHeader>(input, MAX) {
        thread_local!(static CLIENT: RefCell<Option<LightClient>> = const { RefCell::new(None) });
        CLIENT.with_borrow_mut(|client| {
            let client = client.get_or_insert_with(light_client);
            assert!(
                client.verify_header(&certified).is_err() || certified.header == genuine.header,
                "a forged header was accepted"
            );
        });
    }
}

fn light_client() -> LightClient {
    let text = seeds::genesis().swap_remove(0);
    let mut genesis = Genesis::from_json(&String::from_utf8(text).expect("JSON")).expect("valid");
    genesis.chain_id = CHAIN;
    genesis.suite = Suite::Intl;
    genesis.validators = seeds::validators()
        .iter()
        .zip(1..)
        .map(|(key, n)| hawser_ledger::GenesisValidator {
            name: format!("node{n}"),
            public_key: key.public_key(),
            weight: 1,
        })
        .collect();
    LightClient::new(&genesis).expect("a valid committee")
}

pub(crate) fn proofs(input: &[u8]) {
    let Some((kind, rest)) = input.split_first() else {
        return;
    };
    match kind % 4 {
        0 => {
            if let Ok(proof) = StateProof::decode(rest) {
                assert_eq!(proof.encode(), rest);
                let root = B256::repeat_byte(9);
                for suite in Suite::ALL {
                    let key = StateKey::Storage(Address::repeat_byte(1), B256::repeat_byte(2));
                    assert!(
                        proof.verify(suite, &root, &key).is_err(),
                        "nothing leads to this root"
                    );
                }
            }
        }
        1 => {
            if let Some(certified) = exact::<CertifiedHeader>(rest, MAX) {
                let _ = light_client().verify_header(&certified);
            }
        }
        2 => {
            if let Some(change) = exact::<CommitteeChange>(rest, MAX) {
                assert!(
                    light_client().follow(&change).is_err(),
                    "a committee that nobody certified"
                );
            }
        }
        _ => {
            if let Some(proof) = exact::<MerkleProof>(rest, MAX) {
                let _ = proof.root(Suite::Intl, &B256::ZERO);
            }
        }
    }
}

pub(crate) fn false_attestations(input: &[u8]) {
    if let Some(evidence) = exact::<FalseAttestation>(input, MAX) {
        let set = seeds::committee();
        if let Ok(convicted) = evidence.verify(Suite::Intl, CHAIN, &set) {
            assert!(convicted.iter().all(|one| set.get(one).is_some()));
        }
    }
}

pub(crate) fn evidence(input: &[u8]) {
    let Some((kind, rest)) = input.split_first() else {
        return;
    };
    match kind % 3 {
        0 => {
            if let Ok(record) = StoredRecord::decode(rest) {
                assert_eq!(hawser_primitives::encode(&record), rest);
                let _ = record.hash(Suite::Sm);
            }
        }
        1 => {
            if let Ok(set) = StoredSet::decode(rest) {
                assert_eq!(hawser_primitives::encode(&set), rest);
                let _ = (
                    set.find_digests(Suite::Intl, rest),
                    set.is_of(Suite::Intl, rest),
                    set.has(Suite::Sm, 1, rest, Vec::new()),
                );
            }
        }
        _ => {
            let _ = (decode_ids(rest), decode_set_id(rest));
        }
    }
}

pub(crate) fn keys(input: &[u8]) {
    let Some((kind, rest)) = input.split_first() else {
        return;
    };
    let scheme = Scheme::ALL
        .get(usize::from(kind & 0xf) % Scheme::ALL.len())
        .copied()
        .expect("one of three");
    match kind >> 4 {
        0 => {
            if let Ok(key) = PublicKey::from_bytes(scheme, rest) {
                let _ = (key.address(), key.to_uncompressed());
            }
        }
        1 => {
            let _ = Signature::from_bytes(scheme, rest);
        }
        2 => {
            if let Ok(raw) = der::decode(rest) {
                assert_eq!(der::encode(&raw), rest, "DER has one form");
            }
            let _ = Signature::from_der(scheme, rest);
        }
        _ => {
            for layout in sm2pke::Layout::ALL {
                if let Ok(sealed) = sm2pke::Ciphertext::from_bytes(layout, rest) {
                    // Without the byte 4 in front, which some software leaves away, it is read as well.
                    let written = sealed.to_bytes(layout);
                    let short = layout != sm2pke::Layout::Der && written.get(1..) == Some(rest);
                    assert!(short || written == rest, "another ciphertext: {written:?}");
                }
            }
        }
    }
}
