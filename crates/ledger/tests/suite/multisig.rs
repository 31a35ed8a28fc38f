//! Accounts that several keys sign for.

use hawser_crypto::{PublicKey, Scheme, SecretKey, Suite};
use hawser_ledger::{
    Call, MULTISIG_TRANSACTION_TYPE, MultisigError, MultisigPolicy, MultisigTransaction, Ordering,
    PolicyError, Transaction, TransactionError, UnsignedMultisig, UnsignedNative,
};
use hawser_primitives::{
    Address, Bytes, ChainId, Time, U256, encode,
    limits::{MULTISIG_KEYS_MAX, NATIVE_CALLS_MAX, TRANSACTION_BYTES_MAX},
};

const CHAIN: ChainId = ChainId(7);

fn key(scheme: Scheme, n: u8) -> SecretKey {
    SecretKey::from_seed(scheme, &[n; 32]).unwrap()
}

fn mixed() -> Vec<SecretKey> {
    let mut keys: Vec<_> = Scheme::ALL.map(|scheme| key(scheme, 1)).into();
    keys.push(key(Scheme::Sm2, 2));
    keys
}

fn public(keys: &[SecretKey]) -> Vec<PublicKey> {
    keys.iter().map(SecretKey::public_key).collect()
}

fn unsigned(policy: MultisigPolicy) -> UnsignedMultisig {
    UnsignedMultisig {
        chain_id: CHAIN,
        policy,
        ordering: Ordering::Sequential { nonce: 3 },
        gas_limit: 100_000,
        calls: vec![Call::Call {
            to: Address::repeat_byte(9),
            value: U256::from(5),
            input: Bytes::new(),
        }],
    }
}

fn signed(threshold: u8, keys: &[SecretKey]) -> MultisigTransaction {
    let body = unsigned(MultisigPolicy::new(threshold, public(keys)).unwrap());
    let parts = keys.iter().map(|key| body.sign(key).unwrap()).collect();
    body.combine(parts).unwrap()
}

fn decode(transaction: &MultisigTransaction) -> Result<Transaction, TransactionError> {
    Transaction::decode(Suite::Sm, transaction.encode_2718())
}

fn decode_error(transaction: &MultisigTransaction) -> MultisigError {
    match decode(transaction) {
        Err(TransactionError::Multisig(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_threshold_of_a_mixed_policy_verifies_and_names_the_account() {
    let keys = mixed();
    for threshold in 1..=4u8 {
        let transaction = signed(threshold, &keys);
        assert_eq!(transaction.signatures.len(), usize::from(threshold));
        let account = transaction.body.policy.address();
        for suite in Suite::ALL {
            let raw = transaction.encode_2718();
            assert_eq!(raw[0], MULTISIG_TRANSACTION_TYPE);
            let decoded = Transaction::decode(suite, raw.clone()).unwrap();
            assert_eq!(decoded.kind(), 0x69);
            assert_eq!(decoded.hash(), suite.hash(&raw));
            assert_eq!((decoded.nonce(), decoded.gas_limit()), (Some(3), 100_000));
            assert_eq!(decoded.value(), U256::from(5));
            let digest = transaction.body.digest(suite);
            assert_eq!(decoded.native_digest(suite), Some(digest));
            assert_eq!(decoded.verify(CHAIN).unwrap().sender(), account);
        }
    }
}

#[test]
fn the_address_depends_on_threshold_and_keys_but_not_on_their_order() {
    let keys = public(&mixed());
    let address = |threshold, keys: &[PublicKey]| {
        let policy = MultisigPolicy::new(threshold, keys.to_vec()).unwrap();
        policy.address()
    };
    let two = address(2, &keys);
    let mut turned = keys.clone();
    turned.reverse();
    assert_eq!(address(2, &turned), two);
    assert_ne!(address(3, &keys), two);
    assert_ne!(address(2, &keys[..3]), two);
    // One of one is another account than the key's own.
    assert_ne!(address(1, &keys[..1]), keys[0].address());
}

#[test]
fn below_the_threshold_nothing_is_combined_or_decoded() {
    let keys = mixed();
    let body = unsigned(MultisigPolicy::new(3, public(&keys)).unwrap());
    let parts: Vec<_> = keys[..2]
        .iter()
        .map(|key| body.sign(key).unwrap())
        .collect();
    assert!(matches!(
        body.clone().combine(parts.clone()),
        Err(MultisigError::Count {
            found: 2,
            threshold: 3
        })
    ));
    // The same signer again does not count again.
    let twice = [parts.clone(), parts[..1].to_vec()].concat();
    assert!(matches!(
        body.clone().combine(twice),
        Err(MultisigError::Count {
            found: 2,
            threshold: 3
        })
    ));
    let mut short = signed(3, &keys);
    short.signatures.pop();
    let error = decode_error(&short);
    assert!(matches!(
        error,
        MultisigError::Count {
            found: 2,
            threshold: 3
        }
    ));
    short.signatures.clear();
    let error = decode_error(&short);
    assert!(matches!(error, MultisigError::Count { found: 0, .. }));
}

#[test]
fn more_signatures_than_needed_are_left_out_and_refused_on_the_wire() {
    let keys = mixed();
    let mut more = signed(2, &keys);
    let all = signed(4, &keys).body;
    assert_ne!(all.policy.address(), more.sender());
    let unused = keys.iter().find_map(|key| {
        let part = more.body.sign(key).unwrap();
        (!more.signatures.contains(&part)).then_some(part)
    });
    more.signatures.push(unused.unwrap());
    more.signatures.sort_by_key(|one| one.key);
    let error = decode_error(&more);
    assert!(matches!(
        error,
        MultisigError::Count {
            found: 3,
            threshold: 2
        }
    ));
}

#[test]
fn a_signer_counts_once_and_signatures_have_one_order() {
    let keys = mixed();
    let mut twice = signed(2, &keys);
    twice.signatures[1] = twice.signatures[0];
    let error = decode_error(&twice);
    assert!(matches!(error, MultisigError::Order(_)), "{error}");
    let mut turned = signed(2, &keys);
    turned.signatures.reverse();
    let error = decode_error(&turned);
    assert!(matches!(error, MultisigError::Order(_)), "{error}");
}

#[test]
fn strangers_cannot_sign_and_positions_beyond_the_policy_are_refused() {
    let keys = mixed();
    let body = unsigned(MultisigPolicy::new(2, public(&keys)).unwrap());
    let stranger = key(Scheme::Sm2, 99);
    let error = body.sign(&stranger).unwrap_err();
    assert!(
        matches!(error, MultisigError::UnknownSigner(found) if *found == stranger.public_key())
    );
    let mut transaction = signed(2, &keys);
    transaction.signatures[1].key = 4;
    let error = decode_error(&transaction);
    assert!(matches!(
        error,
        MultisigError::UnknownKey { key: 4, keys: 4 }
    ));
    // A stranger's signature in a signer's place.
    let mut transaction = signed(1, &keys);
    let position = transaction
        .body
        .policy
        .position(&keys[2].public_key())
        .unwrap();
    transaction.signatures[0].key = position;
    transaction.signatures[0].signature = stranger.sign(&transaction.body.message());
    let verified = decode(&transaction).unwrap().verify(CHAIN);
    assert!(matches!(
        verified,
        Err(TransactionError::MultisigSignature(
            MultisigError::Signature { .. }
        ))
    ));
}

#[test]
fn each_signature_is_checked() {
    let keys = mixed();
    for at in 0..3 {
        let mut transaction = signed(3, &keys);
        let other = signed(3, &keys[..3]);
        // A good signature of the same key, over another message.
        let key = &transaction.body.policy.keys()[usize::from(transaction.signatures[at].key)];
        let signer = keys.iter().find(|one| one.public_key() == *key).unwrap();
        transaction.signatures[at].signature = signer.sign(&other.body.message());
        let verified = decode(&transaction).unwrap().verify(CHAIN);
        assert!(
            matches!(verified, Err(TransactionError::MultisigSignature(_))),
            "{at}"
        );
    }
}

#[test]
fn nothing_signed_can_be_changed_and_the_chain_is_part_of_it() {
    let keys = mixed();
    let good = signed(2, &keys);
    assert!(decode(&good).unwrap().verify(CHAIN).is_ok());
    assert!(matches!(
        decode(&good).unwrap().verify(ChainId(8)),
        Err(TransactionError::WrongChain { found: 7, .. })
    ));
    let changes: [fn(&mut UnsignedMultisig); 5] = [
        |body| body.chain_id = ChainId(8),
        |body| body.ordering = Ordering::Sequential { nonce: 4 },
        |body| body.gas_limit += 1,
        |body| body.calls.push(body.calls[0].clone()),
        |body| body.policy = MultisigPolicy::new(2, body.policy.keys()[..3].to_vec()).unwrap(),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut forged = good.clone();
        change(&mut forged.body);
        let chain = forged.body.chain_id;
        let verified = decode(&forged).and_then(|decoded| decoded.verify(chain));
        assert!(verified.is_err(), "change {at}");
    }
}

#[test]
fn a_signature_for_one_envelope_is_none_for_the_other() {
    let one = key(Scheme::Ed25519, 1);
    let transaction = signed(1, std::slice::from_ref(&one));
    let native = UnsignedNative {
        chain_id: CHAIN,
        signer: one.public_key(),
        ordering: transaction.body.ordering,
        gas_limit: transaction.body.gas_limit,
        calls: transaction.body.calls.clone(),
    };
    let signature = transaction.signatures[0].signature;
    assert!(
        one.public_key()
            .verify(&native.message(), &signature)
            .is_err()
    );
}

#[test]
fn both_sides_of_the_limits_of_a_policy() {
    let keys: Vec<_> = (0..=MULTISIG_KEYS_MAX)
        .map(|n| key(Scheme::Ed25519, u8::try_from(n).unwrap()).public_key())
        .collect();
    assert_eq!(MultisigPolicy::new(1, vec![]), Err(PolicyError::Keys(0)));
    let most = keys[..MULTISIG_KEYS_MAX].to_vec();
    assert!(MultisigPolicy::new(1, most.clone()).is_ok());
    assert!(MultisigPolicy::new(16, most.clone()).is_ok());
    let refused = MultisigPolicy::new(17, most.clone());
    assert!(matches!(refused, Err(PolicyError::Threshold { .. })));
    let refused = MultisigPolicy::new(0, most);
    assert!(matches!(refused, Err(PolicyError::Threshold { .. })));
    assert_eq!(
        MultisigPolicy::new(1, keys.clone()),
        Err(PolicyError::Keys(17))
    );
    let twice = vec![keys[0].clone(), keys[1].clone(), keys[0].clone()];
    assert!(matches!(
        MultisigPolicy::new(1, twice),
        Err(PolicyError::Duplicate(_))
    ));
}

/// A transaction whose policy is what these bytes say, with a signature that does not matter.
fn with_policy(policy: &[u8]) -> Result<MultisigTransaction, MultisigError> {
    let good = signed(1, &[key(Scheme::Ed25519, 1)]);
    let raw = good.encode_2718();
    let own = encode(&good.body.policy);
    let rest = &raw[9 + own.len()..];
    MultisigTransaction::decode_2718(&[&raw[..9], policy, rest].concat())
}

#[test]
fn policies_on_the_wire_are_sorted_bounded_and_sound() {
    let mut keys = public(&[key(Scheme::Ed25519, 1), key(Scheme::Ed25519, 2)]);
    keys.sort();
    let wire = |threshold: u8, count: u8, keys: &[&PublicKey]| {
        let mut out = vec![threshold, count];
        keys.iter().for_each(|key| out.extend(encode(*key)));
        out
    };
    let (a, b) = (&keys[0], &keys[1]);
    assert!(with_policy(&wire(1, 2, &[a, b])).is_ok());
    for (bad, why) in [
        (wire(1, 2, &[b, a]), "out of order"),
        (wire(1, 2, &[a, a]), "twice"),
        (wire(0, 2, &[a, b]), "threshold 0"),
        (wire(3, 2, &[a, b]), "threshold 3"),
        (wire(1, 0, &[]), "0 keys"),
        (wire(1, 17, &[a, b]), "17 keys"),
        (wire(1, 255, &[a, b]), "255 keys"),
    ] {
        let error = with_policy(&bad).unwrap_err().to_string();
        assert!(error.contains(why), "{error}, expected {why}");
    }
}

#[test]
fn calls_and_bytes_are_bounded_and_nothing_may_follow() {
    let keys = mixed();
    let call = signed(1, &keys).body.calls[0].clone();
    for (count, good) in [
        (0, false),
        (1, true),
        (NATIVE_CALLS_MAX, true),
        (NATIVE_CALLS_MAX + 1, false),
    ] {
        let mut body = signed(1, &keys).body;
        body.calls = vec![call.clone(); count];
        let part = body.sign(&keys[0]).unwrap();
        let transaction = body.combine(vec![part]).unwrap();
        assert_eq!(decode(&transaction).is_ok(), good, "{count} calls");
    }
    let raw = signed(2, &keys).encode_2718();
    for len in 0..raw.len() {
        assert!(Transaction::decode(Suite::Intl, raw.slice(..len)).is_err());
    }
    let longer = [&raw[..], &[0]].concat();
    assert!(Transaction::decode(Suite::Intl, longer.into()).is_err());
    let large = [&[0x69][..], &vec![0; TRANSACTION_BYTES_MAX]].concat();
    assert!(matches!(
        Transaction::decode(Suite::Intl, large.into()),
        Err(TransactionError::TooLarge(_))
    ));
}

#[test]
fn unordered_transactions_are_named_by_what_was_signed_not_by_who_signed() {
    let keys = mixed();
    let mut body = unsigned(MultisigPolicy::new(2, public(&keys)).unwrap());
    body.ordering = Ordering::Unordered {
        expires: Time(10),
        salt: 1,
    };
    let made = |who: [usize; 2]| {
        let parts = who.map(|at| body.sign(&keys[at]).unwrap());
        decode(&body.clone().combine(parts.to_vec()).unwrap()).unwrap()
    };
    let (one, two) = (made([0, 1]), made([2, 3]));
    assert_ne!(one.hash(), two.hash());
    assert_eq!(one.native_digest(Suite::Sm), two.native_digest(Suite::Sm));
    assert_eq!((one.expires(), one.nonce()), (Some(Time(10)), None));
}

#[test]
fn files_hold_what_the_wire_does() {
    let transaction = signed(2, &mixed());
    let text = serde_json::to_string(&transaction.body).unwrap();
    let read: UnsignedMultisig = serde_json::from_str(&text).unwrap();
    assert_eq!(read, transaction.body);
    let policy = serde_json::to_value(&transaction.body.policy).unwrap();
    let mut turned = policy.clone();
    turned["keys"].as_array_mut().unwrap().reverse();
    assert!(serde_json::from_value::<MultisigPolicy>(policy).is_ok());
    assert!(serde_json::from_value::<MultisigPolicy>(turned).is_err());
}
