use axum::http::HeaderName;

use super::*;

const AUDIENCE: &str = "hawser:7:0011223344556677:aabb";
const NOW: u64 = 1_800_000_000;
const BODY: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;

fn key(scheme: Scheme) -> SecretKey {
    SecretKey::from_seed(scheme, &[5; 32]).unwrap()
}

fn headers(signed: &SignedHeaders) -> HeaderMap {
    signed
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
        .collect()
}

fn signed(scheme: Scheme) -> SignedHeaders {
    sign_request(&key(scheme), AUDIENCE, "POST", "/", Some(BODY), NOW).unwrap()
}

fn check(headers: &HeaderMap, path: &str, body: &[u8], now: u64) -> Result<Address, AuthError> {
    let message = Message {
        method: "POST",
        path,
        body: Some(body),
        headers,
    };
    Candidate::read(&message, AUDIENCE, now * 1_000)?.verify(&message)
}

#[test]
fn every_scheme_signs_and_is_understood() {
    for scheme in Scheme::ALL {
        let headers = headers(&signed(scheme));
        assert_eq!(check(&headers, "/", BODY, NOW), Ok(key(scheme).address()));
    }
}

#[test]
fn the_signed_text_is_the_one_of_the_rfc() {
    let key = key(Scheme::Ed25519);
    let made = sign_with(
        &key,
        AUDIENCE,
        "POST",
        "/chain/7",
        Some(b"{}"),
        NOW,
        "0123456789abcdef",
    );
    let headers = headers(&made);
    let message = Message {
        method: "POST",
        path: "/chain/7",
        body: Some(b"{}"),
        headers: &headers,
    };
    let candidate = Candidate::read(&message, AUDIENCE, NOW * 1_000).unwrap();
    let expected = format!(
        "\"@method\": POST\n\"@path\": /chain/7\n\"content-digest\": \
         sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:\n\"@signature-params\": \
         (\"@method\" \"@path\" \"content-digest\");created=1800000000;expires=1800000060;\
         nonce=\"0123456789abcdef\";alg=\"ed25519\";keyid=\"{}\";tag=\"{AUDIENCE}\"",
        key.public_key()
    );
    assert_eq!(base(&candidate.input, &message).unwrap(), expected);
    assert_eq!(candidate.verify(&message), Ok(key.address()));
}

#[test]
fn an_account_signs_with_a_recoverable_signature() {
    let key = key(Scheme::Secp256k1);
    let account = key.address();
    let mut made = headers(&signed(Scheme::Secp256k1));
    let input = made["signature-input"].to_str().unwrap().to_owned();
    let input = input.replace(&key.public_key().to_string(), &account.to_string());
    made.insert("signature-input", input.parse().unwrap());
    let message = Message {
        method: "POST",
        path: "/",
        body: Some(BODY),
        headers: &made.clone(),
    };
    let candidate = Candidate::read(&message, AUDIENCE, NOW * 1_000).unwrap();
    assert_eq!(candidate.verify(&message), Err(AuthError::BadSignature));
    let text = base(&candidate.input, &message).unwrap();
    let prehash = alloy_primitives::keccak256(text);
    let (r_s, parity) = secp::sign_prehash(&key, &prehash).unwrap();
    for v in [u8::from(parity), 27 + u8::from(parity)] {
        let bytes = [&r_s[..], &[v]].concat();
        let value = format!("{LABEL}={}", write_bytes(&bytes));
        made.insert("signature", value.parse().unwrap());
        assert_eq!(check(&made, "/", BODY, NOW), Ok(account));
    }
    for v in [1 - u8::from(parity), 2, 29] {
        let bytes = [&r_s[..], &[v]].concat();
        made.insert(
            "signature",
            format!("{LABEL}={}", write_bytes(&bytes)).parse().unwrap(),
        );
        assert_eq!(check(&made, "/", BODY, NOW), Err(AuthError::BadSignature));
    }
}

#[test]
fn both_ends_of_the_time_that_a_signature_is_good_for() {
    let made = headers(&signed(Scheme::Ed25519));
    for (now, good) in [
        (NOW - SKEW_S_MAX - 1, false),
        (NOW - SKEW_S_MAX, true),
        (NOW + LIFETIME_S_MAX, true),
        (NOW + LIFETIME_S_MAX + 1, false),
    ] {
        let result = check(&made, "/", BODY, now);
        assert_eq!(result.is_ok(), good, "{now}: {result:?}");
        assert!(good || matches!(result, Err(AuthError::Stale(_))));
    }
    assert!(check_time(NOW, NOW + LIFETIME_S_MAX, NOW).is_ok());
    assert!(check_time(NOW, NOW + LIFETIME_S_MAX + 1, NOW).is_err());
    assert!(check_time(NOW, NOW - 1, NOW - 1).is_err());
}

#[test]
fn what_was_changed_on_the_way_is_noticed() {
    let good = headers(&signed(Scheme::Sm2));
    assert_eq!(check(&good, "/", b"{}", NOW), Err(AuthError::BadDigest));
    assert_eq!(
        check(&good, "/chain/7", BODY, NOW),
        Err(AuthError::BadSignature)
    );
    let message = Message {
        method: "PUT",
        path: "/",
        body: Some(BODY),
        headers: &good,
    };
    let candidate = Candidate::read(&message, AUDIENCE, NOW * 1_000).unwrap();
    assert_eq!(candidate.verify(&message), Err(AuthError::BadSignature));
    for (from, to) in [
        ("expires=1800000060", "expires=1800000059"),
        ("created=1800000000", "created=1800000001"),
        ("nonce=\"", "nonce=\"0"),
    ] {
        let mut changed = good.clone();
        let input = good["signature-input"].to_str().unwrap();
        assert!(input.contains(from));
        changed.insert("signature-input", input.replace(from, to).parse().unwrap());
        assert_eq!(
            check(&changed, "/", BODY, NOW),
            Err(AuthError::BadSignature),
            "{to}"
        );
    }
}

#[test]
fn a_signature_for_another_node_or_chain_is_refused_by_name() {
    let made = headers(&signed(Scheme::Ed25519));
    let message = Message {
        method: "POST",
        path: "/",
        body: Some(BODY),
        headers: &made,
    };
    let error = Candidate::read(&message, "hawser:8:00:cc", NOW * 1_000).unwrap_err();
    assert!(matches!(error, AuthError::WrongAudience { found, .. } if found == AUDIENCE));
}

#[test]
fn signatures_that_cover_too_little_or_contradict_themselves_are_malformed() {
    let good = headers(&signed(Scheme::Ed25519));
    let input = good["signature-input"].to_str().unwrap().to_owned();
    for (from, to, said) in [
        (" \"content-digest\"", "", "must cover content-digest"),
        ("\"@method\" ", "", "must cover @method"),
        (" \"@path\"", "", "must cover @path"),
        ("alg=\"ed25519\"", "alg=\"x-sm2-sm3\"", "alg must be"),
        (";nonce=", ";nonsense=", "nonce"),
        (";tag=", ";tags=", "tag"),
        ("hawser=", "other=", "labelled other"),
    ] {
        let mut changed = good.clone();
        changed.insert(
            "signature-input",
            input.replacen(from, to, 1).parse().unwrap(),
        );
        let error = check(&changed, "/", BODY, NOW).unwrap_err();
        assert!(
            matches!(&error, AuthError::Malformed(why) if why.contains(said)),
            "{to}: {error:?}"
        );
    }
    for (name, said) in [
        ("signature", "without"),
        ("signature-input", "without"),
        ("content-digest", "missing"),
    ] {
        let mut changed = good.clone();
        changed.remove(name);
        let error = check(&changed, "/", BODY, NOW).unwrap_err();
        assert!(
            matches!(&error, AuthError::Malformed(why) if why.contains(said)),
            "{error:?}"
        );
    }
    let mut twice = good.clone();
    twice.append("signature", good["signature"].clone());
    assert!(matches!(
        check(&twice, "/", BODY, NOW),
        Err(AuthError::Malformed(_))
    ));
    let mut other = good;
    other.insert("content-digest", "md5=:AAAA:".parse().unwrap());
    assert!(matches!(
        check(&other, "/", BODY, NOW),
        Err(AuthError::Malformed(_))
    ));
}

#[test]
fn both_sides_of_the_length_of_a_nonce() {
    let key = key(Scheme::Ed25519);
    for (len, good) in [(7, false), (8, true), (64, true), (65, false)] {
        let nonce = "n".repeat(len);
        let made = sign_with(&key, AUDIENCE, "POST", "/", Some(BODY), NOW, &nonce);
        assert_eq!(
            check(&headers(&made), "/", BODY, NOW).is_ok(),
            good,
            "{len}"
        );
    }
}
