use hawser_crypto::{Scheme, SecretKey, secp};

use super::*;

const NOW: u64 = 1_800_000_000_000;

fn node() -> Authenticator {
    Authenticator::new("aabb".to_owned(), Authenticator::TOKEN_MS_MAX).unwrap()
}

fn realm(node: &Authenticator, chain: u64, suite: Suite) -> Realm {
    node.realm(ChainId(chain), suite, &B256::repeat_byte(chain as u8))
}

fn key(scheme: Scheme) -> SecretKey {
    SecretKey::from_seed(scheme, &[5; 32]).unwrap()
}

fn log_in(
    node: &Authenticator,
    realm: &Realm,
    key: &SecretKey,
    now: u64,
) -> Result<Issued, AuthError> {
    let (text, _) = node.challenge(realm, key.address(), now).unwrap();
    let signature = key.sign(text.as_bytes());
    node.login(
        realm,
        &text,
        Some(&key.public_key()),
        signature.as_bytes(),
        now,
    )
}

#[test]
fn every_scheme_logs_in_on_either_suite_and_the_token_stands_for_it() {
    for suite in Suite::ALL {
        let node = node();
        let realm = realm(&node, 7, suite);
        for scheme in Scheme::ALL {
            let key = key(scheme);
            let issued = log_in(&node, &realm, &key, NOW).unwrap();
            let reader = node.open_token(&realm, &issued.text, NOW).unwrap();
            assert_eq!(reader, issued.reader);
            assert_eq!(reader.account, key.address());
        }
    }
}

#[test]
fn a_wallet_logs_in_with_a_personal_signature() {
    let node = node();
    let realm = realm(&node, 7, Suite::Intl);
    let key = key(Scheme::Secp256k1);
    let (text, _) = node.challenge(&realm, key.address(), NOW).unwrap();
    let prefixed = format!("\x19Ethereum Signed Message:\n{}{text}", text.len());
    let prehash = alloy_primitives::keccak256(prefixed);
    let (r_s, parity) = secp::sign_prehash(&key, &prehash).unwrap();
    let signature = [&r_s[..], &[27 + u8::from(parity)]].concat();
    let issued = node.login(&realm, &text, None, &signature, NOW).unwrap();
    assert_eq!(issued.reader.account, key.address());
    let other = SecretKey::from_seed(Scheme::Secp256k1, &[6; 32]).unwrap();
    let (text, _) = node.challenge(&realm, other.address(), NOW).unwrap();
    let result = node.login(&realm, &text, None, &signature, NOW);
    assert_eq!(result.unwrap_err(), AuthError::BadSignature);
}

#[test]
fn a_challenge_is_answered_once_in_time_by_the_account_it_names() {
    let node = node();
    let realm = realm(&node, 7, Suite::Sm);
    let (own, other) = (key(Scheme::Sm2), key(Scheme::Ed25519));
    let (text, expires) = node.challenge(&realm, own.address(), NOW).unwrap();
    let login = |text: &str, by: &SecretKey, now| {
        let signature = by.sign(text.as_bytes());
        node.login(
            &realm,
            text,
            Some(&by.public_key()),
            signature.as_bytes(),
            now,
        )
        .map(|_| ())
    };
    assert_eq!(login(&text, &other, NOW), Err(AuthError::BadSignature));
    assert!(matches!(
        login(&text, &own, expires + 1),
        Err(AuthError::Stale(_))
    ));
    assert_eq!(login(&text, &own, expires), Ok(()));
    assert_eq!(login(&text, &own, expires), Err(AuthError::Replayed));
    let (text, _) = node.challenge(&realm, own.address(), NOW).unwrap();
    let forged = text.replace(&own.address().to_string(), &other.address().to_string());
    assert_ne!(text, forged);
    assert_eq!(login(&forged, &other, NOW), Err(AuthError::TokenUnknown));
    let longer = text.replace("expires: 1", "expires: 2");
    assert_eq!(login(&longer, &own, NOW), Err(AuthError::TokenUnknown));
    for bad in [
        "",
        "seal: 00",
        &text.replace("seal", "zeal"),
        &"x".repeat(2_000),
    ] {
        assert!(
            matches!(login(bad, &own, NOW), Err(AuthError::Malformed(_))),
            "{bad:.40}"
        );
    }
}

#[test]
fn tokens_end_in_time_and_do_not_cross_chains_nodes_or_restarts() {
    let node = node();
    let first = realm(&node, 7, Suite::Intl);
    let issued = log_in(&node, &first, &key(Scheme::Ed25519), NOW).unwrap();
    let end = NOW + Authenticator::TOKEN_MS_MAX;
    assert!(node.open_token(&first, &issued.text, end - 1).is_ok());
    assert_eq!(
        node.open_token(&first, &issued.text, end),
        Err(AuthError::TokenExpired)
    );
    let second = realm(&node, 8, Suite::Intl);
    assert!(matches!(
        node.open_token(&second, &issued.text, NOW),
        Err(AuthError::WrongAudience { .. })
    ));
    // The same name and chain, another process.
    let again = self::node();
    assert_eq!(
        again.open_token(&first, &issued.text, NOW),
        Err(AuthError::TokenUnknown)
    );
    let (text, _) = node.challenge(&first, Address::ZERO, NOW).unwrap();
    let result = again.login(&first, &text, None, &[0; 65], NOW);
    assert_eq!(result.unwrap_err(), AuthError::TokenUnknown);
    let result = node.login(&second, &text, None, &[0; 65], NOW);
    assert!(matches!(result, Err(AuthError::WrongAudience { .. })));
}

#[test]
fn no_changed_token_is_accepted() {
    let node = node();
    let realm = realm(&node, 7, Suite::Sm);
    let issued = log_in(&node, &realm, &key(Scheme::Sm2), NOW).unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(&issued.text).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let text = URL_SAFE_NO_PAD.encode(changed);
        assert!(node.open_token(&realm, &text, NOW).is_err(), "{at}");
    }
    for len in 0..bytes.len() {
        let text = URL_SAFE_NO_PAD.encode(&bytes[..len]);
        assert!(node.open_token(&realm, &text, NOW).is_err(), "{len}");
    }
    for bad in ["", "!", &"A".repeat(10_000)] {
        assert!(node.open_token(&realm, bad, NOW).is_err());
    }
}

#[test]
fn a_token_given_back_and_all_of_an_account_stop_working() {
    let node = node();
    let realm = realm(&node, 7, Suite::Intl);
    let key = key(Scheme::Ed25519);
    let one = log_in(&node, &realm, &key, NOW).unwrap();
    let two = log_in(&node, &realm, &key, NOW).unwrap();
    node.revoke(&one.reader, false, NOW).unwrap();
    assert_eq!(
        node.open_token(&realm, &one.text, NOW),
        Err(AuthError::TokenRevoked)
    );
    assert!(node.open_token(&realm, &two.text, NOW).is_ok());
    node.revoke(&two.reader, true, NOW).unwrap();
    assert_eq!(
        node.open_token(&realm, &two.text, NOW),
        Err(AuthError::TokenRevoked)
    );
    let three = log_in(&node, &realm, &key, NOW + 1).unwrap();
    assert!(node.open_token(&realm, &three.text, NOW + 1).is_ok());
}

#[test]
fn headers_are_read_or_refused() {
    let with = |value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        headers
    };
    assert_eq!(bearer(&HeaderMap::new()), Ok(None));
    assert_eq!(bearer(&with("bearer abc")), Ok(Some("abc")));
    for bad in ["Basic abc", "abc", ""] {
        assert!(bearer(&with(bad)).is_err(), "{bad}");
    }
}

#[test]
fn a_certificate_speaks_where_nothing_else_does() {
    let node = node();
    let realm = realm(&node, 7, Suite::Intl);
    let headers = HeaderMap::new();
    let message = Message {
        method: "POST",
        path: "/",
        body: Some(b""),
        headers: &headers,
    };
    let mut identity = ClientIdentity {
        account: Some(Address::repeat_byte(3)),
        subject: "CN=alice".to_owned(),
    };
    let reader = node
        .identify(&realm, &message, Some(&identity), NOW)
        .unwrap();
    assert_eq!(
        (reader.account, reader.how),
        (Address::repeat_byte(3), How::Certificate)
    );
    identity.account = None;
    let error = node
        .identify(&realm, &message, Some(&identity), NOW)
        .unwrap_err();
    assert_eq!(error, AuthError::Unbound("CN=alice".to_owned()));
    assert_eq!(
        node.identify(&realm, &message, None, NOW),
        Err(AuthError::Unsigned)
    );
}

/// Tokens, challenges and bearer headers that were tampered with are refused, whatever they look like.
#[test]
fn damaged_tokens_and_challenges_open_nothing() {
    use crate::mutate::{Mutator, inputs};

    let node = node();
    let realm = realm(&node, 7, Suite::Sm);
    let key = key(Scheme::Ed25519);
    let issued = log_in(&node, &realm, &key, NOW).unwrap();
    let (challenge, _) = node.challenge(&realm, key.address(), NOW).unwrap();
    let seeds = vec![
        issued.text.clone().into_bytes(),
        challenge.clone().into_bytes(),
    ];
    let mut mutator = Mutator::new(3, seeds, &["Bearer ", "=", "-", "_", "\n"]);
    for n in 0..inputs() {
        let input = mutator.input();
        let Ok(text) = std::str::from_utf8(&input) else {
            continue;
        };
        if text != issued.text {
            assert!(node.open_token(&realm, text, NOW).is_err(), "input {n}");
        }
        if text != challenge {
            let signature = key.sign(text.as_bytes());
            let opened = node.login(
                &realm,
                text,
                Some(&key.public_key()),
                signature.as_bytes(),
                NOW,
            );
            assert!(opened.is_err(), "input {n}");
        }
    }
}
