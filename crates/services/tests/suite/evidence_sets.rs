//! Sets of evidence: what is registered, and what proves a member.

use crate::common::*;
use crate::sets::{self, *};
use alloy_primitives::{hex, keccak256};
use alloy_sol_types::{SolCall, SolError, SolValue, sol};
use hawser_crypto::{Scheme, Suite};
use hawser_execution::CallOutcome;
use hawser_ledger::{Ordering, Outcome, merkle};
use hawser_primitives::{Address, B256, Height, Time, encode};
use hawser_services::evidence::{
    self, ADDRESS, Algorithm, IEvidence, Record, StoredSet, encode_register, encode_register_set,
    get_set, set_exists, set_id, set_leaf, set_registered,
};

sol! {
    function keep(bytes digests, string description) returns (bytes32);
    function keepThenRevert(bytes digests);
    function keepAndSwallow(bytes digests);
    function keepComputed(uint256 count) returns (bytes32);
    function check(bytes32 id, uint32 index, bytes32 digest, bytes32 other)
        returns (bool member, bool computed);
    function staticCall(bytes data) returns (bool ok);
}

#[test]
fn a_set_is_registered_found_and_read_on_both_suites() {
    for suite in SUITES {
        let mut chain = chain(suite);
        let owner = eth_key(1).address();
        let (height, time) = (chain.context.height, chain.context.time);
        let set = set(5);
        let output = send(&mut chain, encode_register_set(&set), 500_000);
        let receipt = &output.receipts[0];
        assert_eq!(receipt.outcome, Outcome::Success);
        // One slot, one blob, one event, however many digests.
        assert_eq!((receipt.logs.len(), output.changes.blobs.len()), (1, 1));
        let event = set_registered(&receipt.logs[0]).unwrap();
        let root = set.tree(suite).unwrap().root();
        let id = set_id(owner, set.algorithm, &root);
        assert_eq!((event.id, event.owner, event.root), (id, owner, root));
        assert_eq!((event.algorithm, event.count), (set.algorithm, 5));
        assert_eq!(set.id(suite, owner), Some(id));
        assert_eq!(evidence::registered(&receipt.logs[0]), None);

        let stored = get_set(&chain.state, &id).unwrap().unwrap();
        let expected = StoredSet {
            owner,
            time,
            height,
            transaction_hash: receipt.transaction_hash,
            algorithm: set.algorithm,
            count: 5,
            root,
            media_type: set.media_type.clone(),
            description: set.description.clone(),
            sealed_owner: set.sealed_owner.clone(),
        };
        assert_eq!(stored, expected);
        assert_eq!(stored.hash(suite), event.set_hash);
        assert_eq!(stored.id(), id);
        assert!(set_exists(&chain.state, &id).unwrap());
        assert!(!set_exists(&chain.state, &B256::ZERO).unwrap());
        assert_eq!(get_set(&chain.state, &B256::ZERO).unwrap(), None);
        // Sets are no records.
        assert_eq!(evidence::get(&chain.state, &id).unwrap(), None);

        // The same through the contract.
        let call = IEvidence::getSetCall { setId: id };
        let result = query(&chain, ADDRESS, call.abi_encode());
        let answer = IEvidence::getSetCall::abi_decode_returns(&result.output).unwrap();
        assert_eq!((answer.owner, answer.root, answer.count), (owner, root, 5));
        assert_eq!((answer.time, answer.height), (time.0, height.0));
        assert_eq!(answer.description, set.description);
        let find = |owner, algorithm, root| {
            let call = IEvidence::findSetCall {
                owner,
                algorithm,
                root,
            };
            let result = query(&chain, ADDRESS, call.abi_encode());
            IEvidence::findSetCall::abi_decode_returns(&result.output).unwrap()
        };
        assert_eq!(find(owner, 1, root), id);
        for (owner, algorithm, root) in [
            (Address::ZERO, 1, root),
            (owner, 2, root),
            (owner, 1, B256::ZERO),
        ] {
            assert_eq!(find(owner, algorithm, root), B256::ZERO);
        }
        let exists = |set_id| {
            let call = IEvidence::setExistsCall { setId: set_id };
            let result = query(&chain, ADDRESS, call.abi_encode());
            IEvidence::setExistsCall::abi_decode_returns(&result.output).unwrap()
        };
        assert!(exists(id) && !exists(B256::ZERO));
        let missing = IEvidence::NotRegistered { id: B256::ZERO }.abi_encode();
        let get = IEvidence::getSetCall { setId: B256::ZERO };
        let member = IEvidence::isMemberCall {
            setId: B256::ZERO,
            index: 0,
            digest: digest(0, 32).into(),
            path: vec![],
        };
        for call in [get.abi_encode(), member.abi_encode()] {
            let result = query(&chain, ADDRESS, call);
            assert_eq!(result.outcome, CallOutcome::Reverted);
            assert_eq!(result.output.as_ref(), missing);
        }
    }
}

#[test]
fn a_call_returns_the_id_that_solidity_computes() {
    let chain = chain(Suite::Sm);
    let set = set(3);
    let result = query(&chain, ADDRESS, encode_register_set(&set).to_vec());
    let owner = eth_key(1).address();
    let root = set.tree(Suite::Sm).unwrap().root();
    // keccak256(abi.encode(owner, algorithm, root)): three words.
    let words = [
        [&[0; 12][..], owner.as_slice()].concat(),
        [&[0; 31][..], &[1]].concat(),
        root.to_vec(),
    ];
    assert_eq!(id_of(&result.output), keccak256(words.concat()));
    assert_eq!(evidence::decode_set_id(&[1, 2, 3]), None);
}

/// The tree of the specification, written down a second time.
fn root_by_hand(suite: Suite, digests: &[Vec<u8>], first: u32) -> B256 {
    if let [only] = digests {
        let parts = [
            b"hawser/evidleaf1".to_vec(),
            first.to_be_bytes().to_vec(),
            only.clone(),
        ];
        return suite.hash(&parts.concat());
    }
    let mut left = 1;
    while left * 2 < digests.len() {
        left *= 2;
    }
    let (before, after) = digests.split_at(left);
    let middle = first + u32::try_from(left).unwrap();
    let (left, right) = (
        root_by_hand(suite, before, first),
        root_by_hand(suite, after, middle),
    );
    let parts = [b"hawser/node///01".to_vec(), left.to_vec(), right.to_vec()];
    suite.hash(&parts.concat())
}

#[test]
fn the_root_is_that_of_the_specification() {
    for suite in SUITES {
        let mut chain = chain(suite);
        for algorithm in Algorithm::ALL {
            for count in [1, 2, 3, 4, 5, 7, 8, 9, 100] {
                let set = set_of(algorithm, count);
                let digests: Vec<_> = set
                    .digests
                    .chunks(algorithm.digest_len())
                    .map(<[u8]>::to_vec)
                    .collect();
                let stored = registered(&mut chain, &set);
                assert_eq!(stored.root, root_by_hand(suite, &digests, 0));
                assert_eq!(stored.count as usize, count);
            }
        }
    }
}

#[test]
fn every_member_is_proved_and_nothing_else_is() {
    for suite in SUITES {
        let mut chain = chain(suite);
        for count in [1, 2, 3, 6, 8, 11] {
            let set = set(count);
            let stored = registered(&mut chain, &set);
            let (id, tree) = (stored.id(), set.tree(suite).unwrap());
            for index in 0..count {
                let own = digest(index, 32);
                let path = tree.proof(index).unwrap().siblings;
                let number = u32::try_from(index).unwrap();
                // The contract and the light check agree on everything.
                let agreed = |index: u32, digest: &[u8], path: Vec<B256>| {
                    let said = is_member(&chain, id, index, digest, path.clone());
                    assert_eq!(said, stored.has(suite, index, digest, path));
                    said
                };
                assert!(agreed(number, &own, path.clone()));
                // Another digest, also one that is in the set; another length.
                assert!(!agreed(number, &digest(index + 1, 32), path.clone()));
                assert!(!agreed(number, &own[..31], path.clone()));
                assert!(!agreed(number, &digest(index, 48), path.clone()));
                // Another place, also beyond the end.
                for other in [
                    number ^ 1,
                    number + 1,
                    u32::try_from(count).unwrap(),
                    u32::MAX,
                ] {
                    assert!(!agreed(other, &own, path.clone()));
                }
                // A path with a changed, a missing, an added step, in another order.
                for step in 0..path.len() {
                    let mut forged = path.clone();
                    forged[step].0[7] ^= 1;
                    assert!(!agreed(number, &own, forged));
                }
                if let Some((_, fewer)) = path.split_first() {
                    assert!(!agreed(number, &own, fewer.to_vec()));
                    assert!(!agreed(number, &own, vec![]));
                }
                if path.len() > 1 {
                    let turned = path.iter().rev().copied().collect();
                    assert!(!agreed(number, &own, turned));
                }
                for more in [1, 15 - path.len(), 40] {
                    let longer = [path.clone(), vec![B256::ZERO; more]].concat();
                    assert!(!agreed(number, &own, longer));
                }
                // Another set's root or number of digests.
                let mut forged = stored.clone();
                forged.root.0[0] ^= 1;
                assert!(!forged.has(suite, number, &own, path.clone()));
                let mut forged = stored.clone();
                forged.count += 1;
                let fits = forged.has(suite, number, &own, path.clone());
                // A count that leaves this path as it is changes the hash of the set instead.
                assert_ne!(forged.hash(suite), stored.hash(suite), "{fits}");
            }
        }
    }
}

#[test]
fn a_node_is_no_leaf_and_a_leaf_is_no_node() {
    for suite in SUITES {
        let mut chain = chain(suite);
        // SHA-512 digests are as long as two hashes.
        let set = set_of(Algorithm::Sha512, 4);
        let stored = registered(&mut chain, &set);
        let leaves: Vec<_> = (0..4)
            .map(|n| set_leaf(suite, n, &digest(n as usize, 64)))
            .collect();
        let inner = |a: usize, b: usize| merkle::root(suite, &[leaves[a], leaves[b]]);
        let (left, right) = (inner(0, 1), inner(2, 3));
        assert_eq!(merkle::root(suite, &[left, right]), stored.root);
        // The two leaves below a node, given out as a digest whose leaf is the node.
        let pair = [leaves[0].to_vec(), leaves[1].to_vec()].concat();
        let top = [left.to_vec(), right.to_vec()].concat();
        let id = stored.id();
        for index in 0..4 {
            assert!(!is_member(&chain, id, index, &pair, vec![right]));
            assert!(!is_member(&chain, id, index, &pair, vec![leaves[1], right]));
            assert!(!is_member(&chain, id, index, &top, vec![]));
        }
        // The same against sets that claim fewer members.
        let fewer = |count: u32| StoredSet {
            count,
            ..stored.clone()
        };
        assert!(!fewer(2).has(suite, 0, &pair, vec![right]));
        assert!(!fewer(1).has(suite, 0, &top, vec![]));
        // A leaf of the set, given out as its digest.
        let short = evidence_of_leaf(suite, &mut chain, leaves[0]);
        assert!(!is_member(&chain, short, 0, leaves[1].as_slice(), vec![]));
    }
}

/// A set of one digest of 32 bytes, which happens to be a leaf of another set.
fn evidence_of_leaf(suite: Suite, chain: &mut Chain, leaf: B256) -> B256 {
    let mut one = set(1);
    one.digests = leaf.to_vec();
    let stored = registered(chain, &one);
    assert_ne!(stored.root, leaf, "a leaf hashes its digest");
    assert!(stored.has(suite, 0, leaf.as_slice(), vec![]));
    stored.id()
}

#[test]
fn the_same_set_is_refused_once_more_but_not_for_another_owner_or_order() {
    let mut chain = chain(Suite::Intl);
    let owner = eth_key(1).address();
    let first = set(4);
    let id = registered(&mut chain, &first).id();
    let again = IEvidence::AlreadyRegistered { id };
    refused(&mut chain, encode_register_set(&first), &again);
    let mut other_text = first.clone();
    other_text.description = "another".to_owned();
    refused(&mut chain, encode_register_set(&other_text), &again);

    let mut turned = first.clone();
    turned.digests.rotate_left(32);
    let mut other_algorithm = first.clone();
    other_algorithm.algorithm = Algorithm::Keccak256.number();
    let mut longer = first.clone();
    longer.digests.extend(digest(9, 32));
    for other in [&turned, &other_algorithm, &longer] {
        assert_ne!(registered(&mut chain, other).id(), id);
    }
    let other = eth_key(2);
    let input = encode_register_set(&first).to_vec();
    let output = chain.advance(&[call_tx(&other, 0, Some(ADDRESS), 0, input, 500_000)]);
    assert_eq!(outcomes(&output), [Outcome::Success]);

    // Records and sets do not get into each other's way: this digest is in four sets.
    let record = Record {
        digest: digest(0, 32),
        algorithm: 1,
        ..Record::default()
    };
    send(
        &mut chain,
        encode_register(std::slice::from_ref(&record)),
        500_000,
    );
    assert!(evidence::exists(&chain.state, &record.id(owner)).unwrap());
}

#[test]
fn a_digest_may_be_in_a_set_twice_and_is_proved_at_each_place() {
    let mut chain = chain(Suite::Sm);
    let mut twice = set(1);
    twice.digests.extend(digest(7, 32));
    twice.digests.extend(digest(0, 32));
    let stored = registered(&mut chain, &twice);
    let tree = twice.tree(Suite::Sm).unwrap();
    for (index, expected) in [(0, true), (1, false), (2, true)] {
        let path = tree.proof(index).unwrap().siblings;
        let number = u32::try_from(index).unwrap();
        let found = is_member(&chain, stored.id(), number, &digest(0, 32), path);
        assert_eq!(found, expected);
    }
}

fn keeper(chain: &mut Chain) -> Address {
    let code = hex::decode(include_str!("../solidity/SetKeeper.hex").trim()).unwrap();
    let key = eth_key(7);
    let output = chain.advance(&[call_tx(&key, 0, None, 0, code, 5_000_000)]);
    output.receipts[0].contract_address.unwrap()
}

#[test]
fn a_solidity_contract_registers_and_checks_and_its_revert_undoes() {
    let mut chain = chain(Suite::Intl);
    let keeper = keeper(&mut chain);
    let key = eth_key(7);
    let run = |chain: &mut Chain, input: Vec<u8>| {
        let nonce = chain.nonce(key.address());
        let tx = call_tx(&key, nonce, Some(keeper), 0, input, 1_000_000);
        let raw = tx.transaction().raw().clone();
        (chain.advance(&[tx]), raw)
    };
    let set = set(2);
    let digests = alloy_primitives::Bytes::from(set.digests.clone());
    let id = set.id(Suite::Intl, keeper).unwrap();

    let call = keepThenRevertCall {
        digests: digests.clone(),
    };
    let (output, _) = run(&mut chain, call.abi_encode());
    assert_eq!(outcomes(&output), [Outcome::Reverted]);
    assert!(output.changes.blobs.is_empty());
    let call = keepAndSwallowCall {
        digests: digests.clone(),
    };
    let (output, _) = run(&mut chain, call.abi_encode());
    assert_eq!(outcomes(&output), [Outcome::Success]);
    assert!(output.changes.blobs.is_empty() && output.receipts[0].logs.is_empty());
    assert!(!set_exists(&chain.state, &id).unwrap());

    let call = keepCall {
        digests,
        description: "from Solidity".to_owned(),
    };
    let (output, raw) = run(&mut chain, call.abi_encode());
    assert_eq!(outcomes(&output), [Outcome::Success]);
    let stored = get_set(&chain.state, &id).unwrap().unwrap();
    assert_eq!((stored.owner, stored.count), (keeper, 2));
    assert_eq!(stored.description, "from Solidity");
    // The digests are found although another contract was called.
    assert_eq!(
        stored.find_digests(Suite::Intl, &raw),
        Some(&set.digests[..])
    );
    let leaf = |n: u32| set_leaf(Suite::Intl, n, &digest(n as usize, 32));
    for index in 0..2u32 {
        let check = |number: usize| {
            let call = checkCall {
                id,
                index,
                digest: B256::from_slice(&digest(number, 32)),
                other: leaf(1 - index),
            };
            let result = query(&chain, keeper, call.abi_encode());
            let answer = checkCall::abi_decode_returns(&result.output).unwrap();
            (answer.member, answer.computed)
        };
        assert_eq!(check(index as usize), (true, true));
        assert_eq!(check(9), (false, false));
    }

    // What a contract put together is a set like any other; only its digests are nowhere to find.
    let call = keepComputedCall {
        count: alloy_primitives::U256::from(3),
    };
    let (output, raw) = run(&mut chain, call.abi_encode());
    let event = set_registered(&output.receipts[0].logs[0]).unwrap();
    let stored = get_set(&chain.state, &event.id).unwrap().unwrap();
    assert_eq!(stored.count, 3);
    assert_eq!(stored.find_digests(Suite::Intl, &raw), None);
    let computed: Vec<u8> = (0..3u8)
        .flat_map(|n| keccak256(alloy_primitives::U256::from(n).abi_encode()).0)
        .collect();
    assert!(stored.is_of(Suite::Intl, &computed));

    // A static call cannot register, but can look.
    let register = staticCallCall {
        data: encode_register_set(&sets::set(3)),
    };
    let result = query(&chain, keeper, register.abi_encode());
    assert!(!staticCallCall::abi_decode_returns(&result.output).unwrap());
    let look = staticCallCall {
        data: IEvidence::getSetCall { setId: id }.abi_encode().into(),
    };
    let result = query(&chain, keeper, look.abi_encode());
    assert!(staticCallCall::abi_decode_returns(&result.output).unwrap());
}

#[test]
fn digests_are_found_in_every_envelope_and_among_decoys() {
    let suite = Suite::Sm;
    let mut chain = chain(suite);
    for (scheme, count) in [
        (Scheme::Sm2, 1),
        (Scheme::Ed25519, 2),
        (Scheme::Secp256k1, 257),
    ] {
        let set = set(count);
        let key = key(scheme, 3);
        let ordering = Ordering::Unordered {
            expires: chain.context.time.plus_ms(60_000),
            salt: 0,
        };
        // A decoy: as long, refused as a whole by nobody, since it is another set.
        let mut decoy = set.clone();
        decoy.digests[0] ^= 1;
        let calls = [&decoy, &set].map(|set| to(ADDRESS, 0, encode_register_set(set).to_vec()));
        let tx = native(&key, ordering, 20_000_000, calls.to_vec(), suite);
        let raw = tx.transaction().raw().clone();
        let output = chain.advance(&[tx]);
        assert_eq!(outcomes(&output), [Outcome::Success]);
        for set in [&decoy, &set] {
            let id = set.id(suite, key.address()).unwrap();
            let stored = get_set(&chain.state, &id).unwrap().unwrap();
            assert_eq!(stored.find_digests(suite, &raw), Some(&set.digests[..]));
            assert_eq!(stored.find_digests(suite, &raw[..60]), None);
        }
    }
    let stored = get_set(
        &chain.state,
        &set(257)
            .id(suite, key(Scheme::Secp256k1, 3).address())
            .unwrap(),
    );
    let stored = stored.unwrap().unwrap();
    // 80,000 leaves are hashed at most: 311 decoys of 257.
    let word = alloy_primitives::U256::from(257 * 32).to_be_bytes::<32>();
    let wrong = [&word[..], &[7; 257 * 32]].concat();
    let right = [&word[..], &set(257).digests].concat();
    for (decoys, found) in [(310, true), (311, false)] {
        let hidden = [wrong.repeat(decoys), right.clone()].concat();
        assert_eq!(stored.find_digests(suite, &hidden).is_some(), found);
    }
    assert_eq!(stored.find_digests(suite, &[]), None);
    assert_eq!(stored.find_digests(suite, &word), None);
}

#[test]
fn what_is_hashed_is_frozen() {
    let stored = StoredSet {
        owner: Address::repeat_byte(1),
        time: Time(2),
        height: Height(3),
        transaction_hash: B256::repeat_byte(4),
        algorithm: 5,
        count: 6,
        root: B256::repeat_byte(7),
        media_type: "m".to_owned(),
        description: "文".to_owned(),
        sealed_owner: vec![8, 9],
    };
    let bytes = encode(&stored);
    let expected = [
        "01".repeat(20),
        "0200000000000000".to_owned(),
        "0300000000000000".to_owned(),
        "04".repeat(32),
        "05".to_owned(),
        "06000000".to_owned(),
        "07".repeat(32),
        "01000000".to_owned() + "6d",
        "03000000".to_owned() + "e69687",
        "02000000".to_owned() + "0809",
    ];
    assert_eq!(hex::encode(&bytes), expected.concat());
    assert_eq!(StoredSet::decode(&bytes).unwrap(), stored);
    assert!(StoredSet::decode(&[&bytes[..], &[0]].concat()).is_err());
    assert!(StoredSet::decode(&vec![0; 3_000]).is_err());
    for suite in SUITES {
        let by_hand = |tag: &[u8], rest: &[u8]| suite.hash(&[tag, rest].concat());
        assert_eq!(stored.hash(suite), by_hand(b"hawser/evidset01", &bytes));
        assert_eq!(
            set_leaf(suite, 0x01020304, &[0xaa; 32]),
            by_hand(
                b"hawser/evidleaf1",
                &[&[1, 2, 3, 4][..], &[0xaa; 32]].concat()
            )
        );
    }
    let slot = [B256::repeat_byte(1).as_slice(), b"hawser.evidence.set"].concat();
    assert_eq!(evidence::set_slot(&B256::repeat_byte(1)), keccak256(slot));
}
