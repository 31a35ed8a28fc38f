//! The evidence contract through whole blocks.

use std::sync::Arc;

use crate::common::*;
use crate::sets::{chain, query, refused, send, spoiled};
use alloy_primitives::hex;
use alloy_sol_types::{SolCall, SolError, SolValue, sol};
use hawser_crypto::{Scheme, Suite};
use hawser_execution::CallOutcome;
use hawser_ledger::{ChainParameters, Ordering, Outcome, state::StateRead};
use hawser_primitives::{Address, B256, U256, limits::EVIDENCE_RECORDS_MAX};
use hawser_services::evidence::{
    self, ADDRESS, Algorithm, DESCRIPTION_BYTES_MAX, Evidence, IEvidence, MEDIA_TYPE_BYTES_MAX,
    Record, SEALED_OWNER_BYTES_MAX, decode_ids, encode_register, registered,
};

sol! {
    function record(bytes32 digest, string description) returns (bytes32);
    function recordThenRevert(bytes32 digest);
    function recordAndSwallow(bytes32 digest);
    function readBack(bytes32 id) returns (address owner, bytes digest);
    function staticRegister(bytes data) returns (bool ok);
    function delegateRegister(bytes data) returns (bool ok, bytes result);
    function counter() returns (uint256);
}

fn record(n: u32) -> Record {
    let mut digest = vec![0xd1; 32];
    digest[..4].copy_from_slice(&n.to_be_bytes());
    Record {
        digest,
        algorithm: Algorithm::Sm3.number(),
        media_type: "application/pdf".to_owned(),
        description: format!("合同 {n}"),
        sealed_owner: vec![0x5e; 40],
    }
}

#[test]
fn a_record_is_registered_found_and_read_on_both_suites() {
    for suite in [Suite::Intl, Suite::Sm] {
        let mut chain = chain(suite);
        let owner = eth_key(1).address();
        let (height, time) = (chain.context.height, chain.context.time);
        let output = send(&mut chain, encode_register(&[record(1)]), 500_000);
        let receipt = &output.receipts[0];
        assert_eq!(receipt.outcome, Outcome::Success);
        let event = registered(&receipt.logs[0]).unwrap();
        let id = record(1).id(owner);
        assert_eq!((event.id, event.owner), (id, owner));
        assert_eq!(event.digest_key.as_slice(), record(1).digest);
        let stored = evidence::get(&chain.state, &id).unwrap().unwrap();
        assert_eq!(
            (stored.owner, stored.height, stored.time),
            (owner, height, time)
        );
        assert_eq!(stored.transaction_hash, receipt.transaction_hash);
        assert_eq!(stored.record, record(1));
        assert_eq!(stored.hash(suite), event.record_hash);
        assert_eq!(output.changes.blobs.len(), 1);
        let found = evidence::find(&chain.state, owner, 2, &record(1).digest).unwrap();
        assert_eq!(found, Some((id, stored)));
        assert_eq!(
            evidence::find(&chain.state, owner, 1, &record(1).digest).unwrap(),
            None
        );
        assert!(!evidence::exists(&chain.state, &B256::ZERO).unwrap());

        // The same through the contract.
        let result = query(&chain, ADDRESS, IEvidence::getCall { id }.abi_encode());
        let answer = IEvidence::getCall::abi_decode_returns(&result.output).unwrap();
        assert_eq!((answer.owner, answer.time), (owner, time.0));
        assert_eq!(answer.record.description, "合同 1");
        let find = |digest: Vec<u8>| {
            let call = IEvidence::findCall {
                owner,
                algorithm: 2,
                digest: digest.into(),
            };
            let result = query(&chain, ADDRESS, call.abi_encode());
            IEvidence::findCall::abi_decode_returns(&result.output).unwrap()
        };
        assert_eq!(find(record(1).digest), id);
        assert_eq!(find(record(2).digest), B256::ZERO);
        let exists = |id| {
            let result = query(&chain, ADDRESS, IEvidence::existsCall { id }.abi_encode());
            IEvidence::existsCall::abi_decode_returns(&result.output).unwrap()
        };
        assert!(exists(id) && !exists(B256::ZERO));
        let missing = query(
            &chain,
            ADDRESS,
            IEvidence::getCall { id: B256::ZERO }.abi_encode(),
        );
        assert_eq!(missing.outcome, CallOutcome::Reverted);
        let error = IEvidence::NotRegistered { id: B256::ZERO }.abi_encode();
        assert_eq!(missing.output.as_ref(), error);
    }
}

#[test]
fn the_id_is_what_solidity_computes() {
    // keccak256(abi.encode(address(0x11..11), uint8(1), bytes(hex"ab"))), laid out by hand.
    let words = [
        "0000000000000000000000001111111111111111111111111111111111111111",
        "0000000000000000000000000000000000000000000000000000000000000001",
        "0000000000000000000000000000000000000000000000000000000000000060",
        "0000000000000000000000000000000000000000000000000000000000000001",
        "ab00000000000000000000000000000000000000000000000000000000000000",
    ];
    let expected = alloy_primitives::keccak256(hex::decode(words.concat()).unwrap());
    assert_eq!(
        evidence::record_id(Address::repeat_byte(0x11), 1, &[0xab]),
        expected
    );
    let owner = eth_key(1).address();
    for (algorithm, length) in (0..=255).zip([0, 1, 31, 32, 33, 48, 63, 64, 65, 96]) {
        let digest = alloy_primitives::Bytes::from(vec![0xcd; length]);
        let encoded = (owner, U256::from(algorithm), digest.clone()).abi_encode_params();
        assert_eq!(
            evidence::record_id(owner, algorithm, &digest),
            alloy_primitives::keccak256(encoded),
            "{length} bytes"
        );
    }
}

#[test]
fn a_thousand_records_fit_one_transaction_and_one_more_is_refused() {
    let mut chain = chain(Suite::Sm);
    let records = |n: usize| {
        (0..u32::try_from(n).unwrap())
            .map(record)
            .collect::<Vec<_>>()
    };
    let batch = encode_register(&records(EVIDENCE_RECORDS_MAX));
    let limit = chain.genesis.parameters.transaction_gas_max;
    let key = key(Scheme::Sm2, 1);
    let ordering = Ordering::Unordered {
        expires: chain.context.time.plus_ms(60_000),
        salt: 0,
    };
    let calls = vec![to(ADDRESS, 0, batch.to_vec())];
    let tx = native(&key, ordering, limit, calls, Suite::Sm);
    println!("{} bytes", tx.transaction().raw().len());
    let output = chain.advance(&[tx]);
    assert_eq!(outcomes(&output), [Outcome::Success]);
    println!(
        "{} gas for {} records",
        output.gas_used, EVIDENCE_RECORDS_MAX
    );
    assert!(output.gas_used < limit * 9 / 10);
    assert_eq!(output.receipts[0].logs.len(), EVIDENCE_RECORDS_MAX);
    assert_eq!(output.changes.blobs.len(), EVIDENCE_RECORDS_MAX);
    let id = record(999).id(key.address());
    assert!(evidence::exists(&chain.state, &id).unwrap());

    let max = EVIDENCE_RECORDS_MAX;
    let too_many = IEvidence::TooManyRecords {
        count: U256::from(max + 1),
        max: U256::from(max),
    };
    // Small records, so that the transaction itself is not too large.
    let small = |n: u32| Record {
        digest: record(n).digest,
        algorithm: 1,
        ..Record::default()
    };
    let batch: Vec<_> = (0..=u32::try_from(max).unwrap()).map(small).collect();
    refused(&mut chain, encode_register(&batch), &too_many);
    refused(&mut chain, encode_register(&[]), &IEvidence::EmptyBatch {});
}

#[test]
fn the_same_digest_is_refused_within_a_batch_and_later_but_not_for_another_owner() {
    let mut chain = chain(Suite::Intl);
    let owner = eth_key(1).address();
    let id = record(1).id(owner);
    let again = IEvidence::AlreadyRegistered { id };
    refused(
        &mut chain,
        encode_register(&[record(1), record(2), record(1)]),
        &again,
    );
    assert!(!evidence::exists(&chain.state, &record(2).id(owner)).unwrap());
    send(&mut chain, encode_register(&[record(1)]), 500_000);
    let mut other_text = record(1);
    other_text.description = "another".to_owned();
    refused(
        &mut chain,
        encode_register(&[record(3), other_text]),
        &again,
    );
    let other = eth_key(2);
    let input = encode_register(&[record(1)]).to_vec();
    let output = chain.advance(&[call_tx(&other, 0, Some(ADDRESS), 0, input, 500_000)]);
    assert_eq!(outcomes(&output), [Outcome::Success]);
}

#[test]
fn both_sides_of_every_field_limit() {
    let mut chain = chain(Suite::Intl);
    let at_limit = Record {
        digest: vec![1; 64],
        algorithm: Algorithm::Sha512.number(),
        media_type: "m".repeat(MEDIA_TYPE_BYTES_MAX),
        description: "d".repeat(DESCRIPTION_BYTES_MAX),
        sealed_owner: vec![9; SEALED_OWNER_BYTES_MAX],
    };
    let output = send(
        &mut chain,
        encode_register(std::slice::from_ref(&at_limit)),
        500_000,
    );
    assert_eq!(outcomes(&output), [Outcome::Success]);
    let id = at_limit.id(eth_key(1).address());
    assert_eq!(
        evidence::get(&chain.state, &id).unwrap().unwrap().record,
        at_limit
    );

    let n = |n: usize| U256::from(n);
    let index = U256::from(1);
    let with = |change: &dyn Fn(&mut Record)| {
        let mut bad = record(8);
        change(&mut bad);
        encode_register(&[record(7), bad])
    };
    let input = with(&|r| r.media_type = "m".repeat(MEDIA_TYPE_BYTES_MAX + 1));
    let max = n(MEDIA_TYPE_BYTES_MAX);
    refused(
        &mut chain,
        input,
        &IEvidence::MediaTypeTooLong {
            index,
            length: n(128),
            max,
        },
    );
    let input = with(&|r| r.description = "d".repeat(DESCRIPTION_BYTES_MAX + 1));
    let max = n(DESCRIPTION_BYTES_MAX);
    refused(
        &mut chain,
        input,
        &IEvidence::DescriptionTooLong {
            index,
            length: n(257),
            max,
        },
    );
    let input = with(&|r| r.sealed_owner = vec![1; SEALED_OWNER_BYTES_MAX + 1]);
    let max = n(SEALED_OWNER_BYTES_MAX);
    refused(
        &mut chain,
        input,
        &IEvidence::SealedOwnerTooLong {
            index,
            length: n(513),
            max,
        },
    );
    for algorithm in [0, 6, 255] {
        let input = with(&|r| r.algorithm = algorithm);
        let algorithm = U256::from(algorithm);
        refused(
            &mut chain,
            input,
            &IEvidence::UnknownAlgorithm { index, algorithm },
        );
    }
    for algorithm in Algorithm::ALL {
        let expected = algorithm.digest_len();
        for length in [0, expected - 1, expected + 1, 65, 1_000] {
            let input = with(&|r| {
                r.algorithm = algorithm.number();
                r.digest = vec![3; length];
            });
            let error = IEvidence::DigestLength {
                index,
                length: n(length),
                expected: n(expected),
            };
            refused(&mut chain, input, &error);
        }
    }
}

#[test]
fn texts_must_be_utf8() {
    let mut chain = chain(Suite::Intl);
    let index = U256::ZERO;
    let mut one = record(1);
    one.media_type = "MMMM".to_owned();
    one.description = "DDDD".to_owned();
    let good = encode_register(&[one]).to_vec();
    refused(
        &mut chain,
        spoiled(&good, b"MMMM"),
        &IEvidence::MediaTypeNotUtf8 { index },
    );
    refused(
        &mut chain,
        spoiled(&good, b"DDDD"),
        &IEvidence::DescriptionNotUtf8 { index },
    );
}

#[test]
fn malformed_calls_revert_and_never_panic() {
    let mut chain = chain(Suite::Intl);
    let selector: [u8; 4] = [1, 2, 3, 4];
    let unknown = IEvidence::UnknownFunction {
        selector: selector.into(),
    };
    refused(&mut chain, selector.to_vec().into(), &unknown);
    let good = encode_register(&[record(1), record(2)]).to_vec();
    for call in [
        good.clone(),
        IEvidence::getCall { id: B256::ZERO }.abi_encode(),
        IEvidence::existsCall { id: B256::ZERO }.abi_encode(),
        IEvidence::findCall {
            owner: Address::ZERO,
            algorithm: 1,
            digest: vec![1; 32].into(),
        }
        .abi_encode(),
    ] {
        let useful = call.len() - 32;
        for cut in (0..useful).step_by(7) {
            let result = query(&chain, ADDRESS, call[..cut].to_vec());
            assert_eq!(result.outcome, CallOutcome::Reverted, "{cut} bytes");
        }
    }
    // Every word of the arguments replaced by extreme ones: an answer or a refusal, no other end.
    for word in (4..good.len() - 31).step_by(32) {
        for filling in [[0xff; 32], [0x7f; 32], B256::from(U256::from(u32::MAX)).0] {
            let mut bad = good.clone();
            bad[word..word + 32].copy_from_slice(&filling);
            let result = query(&chain, ADDRESS, bad);
            assert!(
                !matches!(result.outcome, CallOutcome::Halted(_)),
                "word {word}"
            );
        }
    }
}

#[test]
fn money_is_not_taken_and_gas_can_run_out() {
    let key = eth_key(1);
    let mut chain = Chain::with(
        Suite::Intl,
        ChainParameters::default(),
        vec![rich(key.address())],
        vec![Arc::new(Evidence)],
    );
    let input = encode_register(&[record(1)]).to_vec();
    let output = chain.advance(&[
        call_tx(&key, 0, Some(ADDRESS), 1, input.clone(), 500_000),
        call_tx(&key, 1, Some(ADDRESS), 0, input, 40_000),
    ]);
    assert_eq!(outcomes(&output), [Outcome::Reverted, Outcome::Halted]);
    let error = IEvidence::NotPayable {}.abi_encode();
    assert_eq!(output.receipts[0].revert_data.as_ref(), error);
    assert_eq!(chain.balance(ADDRESS), U256::ZERO);
    assert!(output.changes.blobs.is_empty());
}

fn notary(chain: &mut Chain) -> Address {
    let code = hex::decode(include_str!("../solidity/Notary.hex").trim()).unwrap();
    let key = eth_key(7);
    let output = chain.advance(&[call_tx(&key, 0, None, 0, code, 5_000_000)]);
    output.receipts[0].contract_address.unwrap()
}

#[test]
fn a_solidity_contract_registers_and_its_revert_undoes() {
    let mut chain = chain(Suite::Sm);
    let notary = notary(&mut chain);
    let key = eth_key(7);
    let run = |chain: &mut Chain, input: Vec<u8>| {
        let nonce = chain.nonce(key.address());
        chain.advance(&[call_tx(&key, nonce, Some(notary), 0, input, 1_000_000)])
    };
    let digest = B256::repeat_byte(0x42);
    let id = evidence::record_id(notary, 1, digest.as_slice());

    let output = run(&mut chain, recordThenRevertCall { digest }.abi_encode());
    assert_eq!(outcomes(&output), [Outcome::Reverted]);
    assert!(output.changes.blobs.is_empty());
    assert!(!evidence::exists(&chain.state, &id).unwrap());

    // The contract swallows the inner revert and goes on: nothing is registered, its own write is.
    let output = run(&mut chain, recordAndSwallowCall { digest }.abi_encode());
    assert_eq!(outcomes(&output), [Outcome::Success]);
    assert!(output.changes.blobs.is_empty() && output.receipts[0].logs.is_empty());
    assert!(!evidence::exists(&chain.state, &id).unwrap());
    assert_eq!(chain.slot(notary, 0), U256::from(100));

    let call = recordCall {
        digest,
        description: "from Solidity".to_owned(),
    };
    let output = run(&mut chain, call.abi_encode());
    assert_eq!(outcomes(&output), [Outcome::Success]);
    assert_eq!(
        registered(&output.receipts[0].logs[0]).unwrap().owner,
        notary
    );
    let stored = evidence::get(&chain.state, &id).unwrap().unwrap();
    assert_eq!(stored.record.description, "from Solidity");
    assert_eq!(chain.slot(notary, 0), U256::from(101));
    let result = query(&chain, notary, readBackCall { id }.abi_encode());
    let answer = readBackCall::abi_decode_returns(&result.output).unwrap();
    assert_eq!(
        (answer.owner, answer.digest.as_ref()),
        (notary, digest.as_slice())
    );
    // A second time: the contract sees the custom error and reverts with it.
    let call = recordCall {
        digest,
        description: String::new(),
    };
    let output = run(&mut chain, call.abi_encode());
    let error = IEvidence::AlreadyRegistered { id }.abi_encode();
    assert_eq!(output.receipts[0].revert_data.as_ref(), error);
}

#[test]
fn static_and_delegate_calls_cannot_register() {
    let mut chain = chain(Suite::Intl);
    let notary = notary(&mut chain);
    let data = encode_register(&[record(1)]);
    let call = staticRegisterCall { data: data.clone() }.abi_encode();
    let result = query(&chain, notary, call);
    assert!(!staticRegisterCall::abi_decode_returns(&result.output).unwrap());
    let result = query(&chain, notary, delegateRegisterCall { data }.abi_encode());
    let answer = delegateRegisterCall::abi_decode_returns(&result.output).unwrap();
    assert!(!answer.ok && answer.result[..4] == [0x08, 0xc3, 0x79, 0xa0]);
}

#[test]
fn a_call_returns_the_ids() {
    let chain = chain(Suite::Intl);
    let records = [record(1), record(2)];
    let result = query(&chain, ADDRESS, encode_register(&records).to_vec());
    let owner = eth_key(1).address();
    let ids = decode_ids(&result.output).unwrap();
    assert_eq!(ids, records.map(|record| record.id(owner)));
    assert_eq!(decode_ids(&[1, 2, 3]), None);
    assert!(chain.state.blob(&B256::ZERO).unwrap().is_none());
}
