//! Sets of evidence: what is refused, on both sides of each limit, and what it costs.

use std::sync::Arc;

use crate::common::*;
use crate::sets::*;
use alloy_sol_types::{SolCall, SolError};
use hawser_crypto::{Scheme, Suite};
use hawser_execution::{BLOB_BYTE_GAS, BLOB_GAS, CallOutcome};
use hawser_ledger::{ChainParameters, Ordering, Outcome};
use hawser_primitives::{Address, B256, U256, encode, limits::EVIDENCE_SET_MAX};
use hawser_services::evidence::{
    ADDRESS, Algorithm, CALL_GAS, DESCRIPTION_BYTES_MAX, DIGEST_GAS, DigestSet, Evidence,
    IEvidence, MEDIA_TYPE_BYTES_MAX, PATH_GAS, RECORD_GAS, SEALED_OWNER_BYTES_MAX,
    encode_register_set, get_set,
};

fn n(n: usize) -> U256 {
    U256::from(n)
}

#[test]
fn ten_thousand_digests_fit_one_transaction_and_one_more_is_refused() {
    for (suite, scheme) in [(Suite::Intl, Scheme::Ed25519), (Suite::Sm, Scheme::Sm2)] {
        let mut chain = chain(suite);
        let limit = chain.genesis.parameters.transaction_gas_max;
        let key = key(scheme, 1);
        let ordering = Ordering::Unordered {
            expires: chain.context.time.plus_ms(60_000),
            salt: 0,
        };
        let full = set(EVIDENCE_SET_MAX);
        let calls = vec![to(ADDRESS, 0, encode_register_set(&full).to_vec())];
        let tx = native(&key, ordering, limit, calls, suite);
        let raw = tx.transaction().raw().clone();
        let output = chain.advance(&[tx]);
        assert_eq!(outcomes(&output), [Outcome::Success]);
        println!(
            "{suite}: {} bytes, {} gas for {EVIDENCE_SET_MAX} digests",
            raw.len(),
            output.gas_used
        );
        assert!(output.gas_used < limit / 2);
        assert_eq!(output.receipts[0].logs.len(), 1);
        assert_eq!(output.changes.blobs.len(), 1);
        let id = full.id(suite, key.address()).unwrap();
        let stored = get_set(&chain.state, &id).unwrap().unwrap();
        assert_eq!(stored.count as usize, EVIDENCE_SET_MAX);
        assert_eq!(stored.find_digests(suite, &raw), Some(&full.digests[..]));
        let tree = full.tree(suite).unwrap();
        for index in [0, 1, 4_095, 8_191, 8_192, 9_998, 9_999] {
            let path = tree.proof(index).unwrap().siblings;
            assert!(path.len() <= 14);
            let number = u32::try_from(index).unwrap();
            assert!(is_member(&chain, id, number, &digest(index, 32), path));
        }

        let error = IEvidence::TooManyDigests {
            count: n(EVIDENCE_SET_MAX + 1),
            max: n(EVIDENCE_SET_MAX),
        };
        let input = encode_register_set(&set(EVIDENCE_SET_MAX + 1));
        refused(&mut chain, input, &error);
    }
}

#[test]
fn digests_are_a_whole_number_of_digests_and_at_least_one() {
    let mut chain = chain(Suite::Intl);
    for algorithm in Algorithm::ALL {
        let each = algorithm.digest_len();
        let with = |length: usize| {
            let mut set = set_of(algorithm, 3);
            set.digests = vec![7; length];
            encode_register_set(&set)
        };
        refused(&mut chain, with(0), &IEvidence::EmptyBatch {});
        for length in [1, each - 1, each + 1, 2 * each - 1, 10 * each + 1] {
            let error = IEvidence::DigestsLength {
                length: n(length),
                digestLength: n(each),
            };
            refused(&mut chain, with(length), &error);
        }
        let stored = registered(&mut chain, &set_of(algorithm, 1));
        assert_eq!((stored.count, stored.algorithm), (1, algorithm.number()));
    }
    for number in [0, 6, 255] {
        let mut set = set(2);
        set.algorithm = number;
        assert_eq!(set.tree(Suite::Intl), None);
        assert_eq!(set.id(Suite::Intl, Address::ZERO), None);
        let error = IEvidence::UnknownAlgorithm {
            index: U256::ZERO,
            algorithm: U256::from(number),
        };
        refused(&mut chain, encode_register_set(&set), &error);
    }
}

#[test]
fn both_sides_of_the_limits_that_sets_share_with_records() {
    let mut chain = chain(Suite::Sm);
    let at_limit = DigestSet {
        media_type: "m".repeat(MEDIA_TYPE_BYTES_MAX),
        description: "d".repeat(DESCRIPTION_BYTES_MAX),
        sealed_owner: vec![9; SEALED_OWNER_BYTES_MAX],
        ..set_of(Algorithm::Sha512, 2)
    };
    let stored = registered(&mut chain, &at_limit);
    assert_eq!(stored.media_type, at_limit.media_type);
    assert_eq!(stored.description, at_limit.description);
    assert_eq!(stored.sealed_owner, at_limit.sealed_owner);
    let empty = DigestSet {
        media_type: String::new(),
        description: String::new(),
        sealed_owner: vec![],
        ..set(1)
    };
    assert_eq!(registered(&mut chain, &empty).description, "");

    let index = U256::ZERO;
    let with = |change: &dyn Fn(&mut DigestSet)| {
        let mut bad = set(3);
        change(&mut bad);
        encode_register_set(&bad)
    };
    let input = with(&|set| set.media_type = "m".repeat(MEDIA_TYPE_BYTES_MAX + 1));
    let error = IEvidence::MediaTypeTooLong {
        index,
        length: n(128),
        max: n(127),
    };
    refused(&mut chain, input, &error);
    let input = with(&|set| set.description = "d".repeat(DESCRIPTION_BYTES_MAX + 1));
    let error = IEvidence::DescriptionTooLong {
        index,
        length: n(257),
        max: n(256),
    };
    refused(&mut chain, input, &error);
    let input = with(&|set| set.sealed_owner = vec![1; SEALED_OWNER_BYTES_MAX + 1]);
    let error = IEvidence::SealedOwnerTooLong {
        index,
        length: n(513),
        max: n(512),
    };
    refused(&mut chain, input, &error);

    let good = with(&|set| {
        set.media_type = "MMMM".to_owned();
        set.description = "DDDD".to_owned();
    });
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
    let id = registered(&mut chain, &set(2)).id();
    let register = encode_register_set(&set(3)).to_vec();
    let member = IEvidence::isMemberCall {
        setId: id,
        index: 1,
        digest: digest(1, 32).into(),
        path: vec![B256::ZERO],
    }
    .abi_encode();
    let calls = [
        register,
        member,
        IEvidence::getSetCall { setId: id }.abi_encode(),
        IEvidence::setExistsCall { setId: id }.abi_encode(),
        IEvidence::findSetCall {
            owner: Address::ZERO,
            algorithm: 1,
            root: B256::ZERO,
        }
        .abi_encode(),
    ];
    for call in &calls {
        let useful = call.len() - 32;
        for cut in (0..useful).step_by(7) {
            let result = query(&chain, ADDRESS, call[..cut].to_vec());
            assert_eq!(result.outcome, CallOutcome::Reverted, "{cut} bytes");
        }
        // Every word of the arguments replaced by extreme ones: an answer or a refusal.
        for word in (4..call.len() - 31).step_by(32) {
            for filling in [[0xff; 32], [0x7f; 32], B256::from(U256::from(u32::MAX)).0] {
                let mut bad = call.clone();
                bad[word..word + 32].copy_from_slice(&filling);
                let result = query(&chain, ADDRESS, bad);
                assert!(
                    !matches!(result.outcome, CallOutcome::Halted(_)),
                    "word {word}"
                );
            }
        }
    }
    let malformed = |call: Vec<u8>, reason: &str| {
        let result = query(&chain, ADDRESS, call);
        let error = IEvidence::MalformedCall {
            reason: reason.to_owned(),
        };
        assert_eq!(result.output.as_ref(), error.abi_encode());
    };
    let mut index = calls[1].clone();
    index[4 + 32 + 27] = 1;
    malformed(index, "index is not a uint32");
    let mut owner = calls[4].clone();
    owner[4] = 1;
    malformed(owner, "owner is not an address");
    let mut algorithm = calls[0].clone();
    algorithm[4 + 30] = 1;
    malformed(algorithm, "algorithm is not a uint8");
    let long = IEvidence::isMemberCall {
        setId: id,
        index: 0,
        digest: vec![0; 65].into(),
        path: vec![],
    };
    malformed(long.abi_encode(), "digest is longer than any algorithm's");
}

/// Gas that a call of the contract used, without what the transaction costs by itself.
fn gas_of(chain: &Chain, input: &[u8]) -> u64 {
    let result = query(chain, ADDRESS, input.to_vec());
    assert_eq!(result.outcome, CallOutcome::Success);
    let zeros = input.iter().filter(|byte| **byte == 0).count() as u64;
    let others = input.len() as u64 - zeros;
    let spent = result.gas_used - 21_000 - 4 * zeros - 16 * others;
    // EIP-7623: the least that call data costs.
    assert!(result.gas_used > 21_000 + 10 * (zeros + 4 * others));
    spent
}

#[test]
fn gas_is_what_the_specification_says() {
    // Of digests that are mostly zeros, so that work and not call data decides.
    let small = |count: usize| {
        let mut set = set(count);
        set.digests = vec![0; 32 * count];
        set
    };
    for suite in SUITES {
        let mut chain = chain(suite);
        let mut of = |count: usize| {
            let set = small(count);
            let spent = gas_of(&chain, &encode_register_set(&set));
            let stored = encode(&registered(&mut chain, &set)).len() as u64;
            let event = 4 * 375 + 8 * 96;
            let expected = CALL_GAS
                + RECORD_GAS
                + DIGEST_GAS * count as u64
                + 22_100
                + BLOB_GAS
                + BLOB_BYTE_GAS * stored
                + event;
            assert_eq!(spent, expected, "{count} digests");
            spent
        };
        let (one, ten) = (of(1), of(10));
        assert_eq!(ten - one, 9 * DIGEST_GAS);

        let set = small(10);
        let stored = get_set(&chain.state, &set.id(suite, eth_key(1).address()).unwrap());
        let stored = stored.unwrap().unwrap();
        let member = |index: usize| {
            let call = IEvidence::isMemberCall {
                setId: stored.id(),
                index: u32::try_from(index).unwrap(),
                digest: vec![0; 32].into(),
                path: set.tree(suite).unwrap().proof(index).unwrap().siblings,
            };
            gas_of(&chain, &call.abi_encode())
        };
        let read = 2_100 + BLOB_GAS + encode(&stored).len() as u64;
        // Four steps in the full half of the tree, two beside it.
        assert_eq!(member(0), CALL_GAS + read + 5 * PATH_GAS);
        assert_eq!(member(9), CALL_GAS + read + 3 * PATH_GAS);
    }
}

#[test]
fn money_is_not_taken_and_digests_that_are_only_promised_are_refused() {
    let key = eth_key(1);
    let mut chain = Chain::with(
        Suite::Intl,
        ChainParameters::default(),
        vec![rich(key.address())],
        vec![Arc::new(Evidence)],
    );
    let input = encode_register_set(&set(100)).to_vec();
    let output = chain.advance(&[call_tx(&key, 0, Some(ADDRESS), 1, input, 500_000)]);
    assert_eq!(outcomes(&output), [Outcome::Reverted]);
    let error = IEvidence::NotPayable {}.abi_encode();
    assert_eq!(output.receipts[0].revert_data.as_ref(), error);
    assert_eq!(chain.balance(ADDRESS), U256::ZERO);

    // A length without the content.
    let mut huge = encode_register_set(&set(1)).to_vec();
    huge[4 + 5 * 32..4 + 6 * 32].copy_from_slice(&n(320_000).to_be_bytes::<32>());
    let result = query(&chain, ADDRESS, huge);
    let error = IEvidence::MalformedCall {
        reason: "field is cut off".to_owned(),
    };
    assert_eq!(result.output.as_ref(), error.abi_encode());
}

#[test]
fn running_out_of_gas_at_any_point_leaves_nothing() {
    let mut chain = chain(Suite::Sm);
    let mut set = set(4);
    set.digests = vec![0; 128];
    let input = encode_register_set(&set).to_vec();
    let full = query(&chain, ADDRESS, input.clone()).gas_used;
    let key = eth_key(1);
    for (nonce, share) in (0u64..).zip([60, 70, 80, 90, 95, 99]) {
        let gas = full * share / 100;
        let output = chain.advance(&[call_tx(&key, nonce, Some(ADDRESS), 0, input.clone(), gas)]);
        assert_eq!(outcomes(&output), [Outcome::Halted], "{share} %");
        assert!(output.changes.blobs.is_empty() && output.receipts[0].logs.is_empty());
    }
    let output = chain.advance(&[call_tx(&key, 6, Some(ADDRESS), 0, input, full)]);
    assert_eq!(outcomes(&output), [Outcome::Success]);
}
