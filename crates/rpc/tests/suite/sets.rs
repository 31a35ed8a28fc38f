//! Evidence sets over a real chain of one validator: found, and proved to someone who has nothing but
//! the genesis.

use crate::common::*;
use alloy_primitives::{Address, B256, Bytes, U256};
use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_ledger::{
    Call, CertifiedHeader, LightClient, Ordering, UnsignedNative,
    state::{StateKey, StateProof, StorageValue},
};
use hawser_primitives::{ChainId, decode_exact};
use hawser_rpc::RpcLimits;
use hawser_services::evidence::{self, Algorithm, DigestSet, StoredSet};
use serde_json::{Value, json};

fn bytes(value: &Value) -> Bytes {
    serde_json::from_value(value.clone()).unwrap()
}

fn digest(n: u32) -> Vec<u8> {
    let mut digest = vec![0xe5; 32];
    digest[..4].copy_from_slice(&n.to_be_bytes());
    digest
}

fn hex(bytes: &[u8]) -> String {
    format!("0x{}", alloy_primitives::hex::encode(bytes))
}

fn set(from: u32, count: u32) -> DigestSet {
    DigestSet {
        algorithm: Algorithm::Sha256.number(),
        digests: (from..from + count).flat_map(digest).collect(),
        media_type: "text/plain".to_owned(),
        description: "notes".to_owned(),
        sealed_owner: vec![1, 2],
    }
}

/// One transaction that registers all these sets.
fn transaction(key: &SecretKey, nonce: u64, sets: &[DigestSet]) -> Bytes {
    let call = |set| Call::Call {
        to: evidence::ADDRESS,
        value: U256::ZERO,
        input: evidence::encode_register_set(set),
    };
    let body = UnsignedNative {
        chain_id: ChainId(CHAIN),
        signer: key.public_key(),
        ordering: Ordering::Sequential { nonce },
        gas_limit: 30_000_000,
        calls: sets.iter().map(call).collect(),
    };
    body.sign(key).encode_2718()
}

async fn certified(solo: &Solo, height: u64) {
    let deadline = std::time::Instant::now() + DEADLINE;
    while solo.handle.store().certified_state_height().0 < height {
        assert!(
            std::time::Instant::now() < deadline,
            "roots of {height} are not certified"
        );
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// What someone finds out who has the genesis and this answer: the set, or nothing.
fn proved(light: &LightClient, suite: Suite, answer: &Value) -> Option<StoredSet> {
    let header = bytes(&answer["certifiedBy"]["encoded"]);
    let header: CertifiedHeader = decode_exact(&header, 1 << 20).ok()?;
    let proof = StateProof::decode(&bytes(&answer["proof"])).ok()?;
    let set = StoredSet::decode(&bytes(&answer["encodedSet"])).ok()?;
    let key = StateKey::Storage(evidence::ADDRESS, evidence::set_slot(&set.id()));
    let value = light.verify_state(&header, &key, &proof).ok()??;
    (StorageValue::decode(&value).ok()? == set.hash(suite)).then_some(set)
}

fn member(set: &StoredSet, suite: Suite, answer: &Value) -> bool {
    let index = u32::try_from(answer["index"].as_u64().unwrap()).unwrap();
    let path: Vec<B256> = serde_json::from_value(answer["path"].clone()).unwrap();
    set.has(suite, index, &bytes(&answer["digest"]), path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_member_is_proved_to_a_light_client_and_forgeries_are_not() {
    for suite in [Suite::Intl, Suite::Sm] {
        let solo = Solo::with(suite, RpcLimits::default()).await;
        let light = LightClient::new(solo.handle.store().genesis()).unwrap();
        let signer = SecretKey::from_seed(Scheme::Ed25519, &[5; 32]).unwrap();
        let (large, small) = (set(0, 300), set(299, 1));
        let raw = transaction(&signer, 0, &[large.clone(), small.clone()]);
        let receipt = solo.mine(raw).await;
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        let id = large.id(suite, signer.address()).unwrap();
        let found = solo.call("hawser_getEvidenceSet", json!([id])).await;
        assert_eq!(found["owner"], json!(signer.address()));
        assert_eq!(found["algorithm"], "sha-256");
        assert_eq!(found["count"], 300);
        assert_eq!(found["transactionHash"], receipt["transactionHash"]);
        let none = json!([B256::ZERO]);
        for method in ["hawser_getEvidenceSet", "hawser_getEvidenceSetProof"] {
            assert_eq!(solo.call(method, none.clone()).await, Value::Null);
        }
        certified(&solo, found["height"].as_u64().unwrap()).await;

        let ask = |what: Value| solo.call("hawser_getEvidenceSetProof", json!([id, what]));
        let mut answers = Vec::new();
        for index in [0u32, 1, 255, 256, 299] {
            let answer = ask(json!(index)).await;
            let set = proved(&light, suite, &answer).unwrap();
            assert_eq!(bytes(&answer["member"]["digest"]), digest(index));
            assert!(member(&set, suite, &answer["member"]));
            assert_eq!(ask(json!(hex(&digest(index)))).await, answer);
            assert_eq!(ask(json!(format!("{index:#x}"))).await, answer);
            answers.push((set, answer));
        }
        // What was answered for one place, said of another.
        let (set, answer) = &answers[1];
        for (name, other) in [
            ("index", json!(0)),
            ("index", json!(300)),
            ("digest", json!(hex(&digest(0)))),
            ("path", answers[0].1["member"]["path"].clone()),
            ("path", json!([])),
        ] {
            let mut forged = answer["member"].clone();
            forged[name] = other;
            assert!(!member(set, suite, &forged), "{name}");
        }
        // A set with another root, count, owner or text is not the one in the state.
        let forge = |change: &dyn Fn(&mut StoredSet)| {
            let (mut set, mut answer) = answers[0].clone();
            change(&mut set);
            answer["encodedSet"] = json!(Bytes::from(hawser_primitives::encode(&set)));
            proved(&light, suite, &answer)
        };
        assert!(forge(&|_| {}).is_some());
        assert_eq!(forge(&|set| set.root.0[31] ^= 1), None);
        assert_eq!(forge(&|set| set.count -= 1), None);
        assert_eq!(forge(&|set| set.owner = Address::ZERO), None);
        assert_eq!(forge(&|set| set.time.0 -= 1), None);
        assert_eq!(forge(&|set| set.description.push('!')), None);
        // Nor is it final by a header that was tampered with.
        let (_, mut answer) = answers[0].clone();
        let mut header = bytes(&answer["certifiedBy"]["encoded"]).to_vec();
        header[60] ^= 1;
        answer["certifiedBy"]["encoded"] = json!(Bytes::from(header));
        assert_eq!(proved(&light, suite, &answer), None);

        // All digests, of both sets of the transaction.
        for set in [&large, &small] {
            let id = set.id(suite, signer.address()).unwrap();
            let answer = solo
                .call("hawser_getEvidenceSetProof", json!([id, "all"]))
                .await;
            let stored = proved(&light, suite, &answer).unwrap();
            assert_eq!(bytes(&answer["digests"]), set.digests);
            assert!(stored.is_of(suite, &set.digests));
            let bare = solo.call("hawser_getEvidenceSetProof", json!([id])).await;
            assert_eq!(proved(&light, suite, &bare), Some(stored));
            assert!(bare.get("digests").is_none() && bare.get("member").is_none());
        }
        for (what, said) in [
            (json!(300), "none of 0 to 299"),
            (json!(hex(&digest(300))), "does not have this digest"),
            (json!(hex(&[0; 20])), "does not have this digest"),
            (json!("some"), "invalid argument 1"),
        ] {
            let (code, message) = solo
                .fail("hawser_getEvidenceSetProof", json!([id, what]))
                .await;
            assert_eq!(code, -32602);
            assert!(message.contains(said), "{message}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_digest_is_found_in_sets_without_an_index() {
    let solo = Solo::start().await;
    let keys = [5, 6].map(|n| SecretKey::from_seed(Scheme::Ed25519, &[n; 32]).unwrap());
    // Digest 7 is in the first set of both owners and in no other; events without sets lie between.
    let mut sha384 = set(0, 3);
    sha384.algorithm = Algorithm::Sha384.number();
    for (nonce, sets) in (0..).zip([
        vec![set(0, 10)],
        vec![set(100, 5), set(200, 2)],
        vec![sha384],
    ]) {
        let record = evidence::Record {
            digest: digest(nonce),
            algorithm: 1,
            ..evidence::Record::default()
        };
        for key in &keys {
            let receipt = solo
                .mine(transaction(key, 2 * u64::from(nonce), &sets))
                .await;
            assert_eq!(receipt["status"], "0x1", "{receipt}");
            let body = UnsignedNative {
                chain_id: ChainId(CHAIN),
                signer: key.public_key(),
                ordering: Ordering::Sequential {
                    nonce: 2 * u64::from(nonce) + 1,
                },
                gas_limit: 1_000_000,
                calls: vec![Call::Call {
                    to: evidence::ADDRESS,
                    value: U256::ZERO,
                    input: evidence::encode_register(std::slice::from_ref(&record)),
                }],
            };
            solo.mine(body.sign(key).encode_2718()).await;
        }
    }
    let find = |query: Value| solo.call("hawser_findEvidenceDigest", json!([query]));
    let query = |n: u32| json!({ "algorithm": "sha-256", "digest": hex(&digest(n)) });
    let both = find(query(7)).await;
    assert_eq!(both["next"], Value::Null);
    let sets = both["sets"].as_array().unwrap();
    assert_eq!(sets.len(), 2);
    for (one, key) in sets.iter().zip(keys.iter().rev()) {
        assert_eq!(one["index"], 7);
        assert_eq!(one["set"]["owner"], json!(key.address()));
        let id = set(0, 10).id(Suite::Intl, key.address());
        assert_eq!(one["set"]["id"], json!(id));
    }
    let mut own = query(7);
    own["owner"] = json!(keys[0].address());
    assert_eq!(find(own).await["sets"], json!([sets[1]]));
    // Below the newer one only the older one is left, below that nothing.
    for (at, left) in [(0, 1), (1, 0)] {
        let mut below = query(7);
        below["below"] = sets[at]["set"]["height"].clone();
        let found = find(below).await;
        assert_eq!(found["sets"].as_array().unwrap().len(), left);
    }
    let mut none = query(7);
    none["below"] = json!(0);
    assert_eq!(find(none).await, json!({ "sets": [], "next": null }));
    assert_eq!(find(query(201)).await["sets"][0]["index"], 1);
    assert_eq!(find(query(50)).await["sets"], json!([]));
    let sm3 = json!({ "algorithm": "sm3", "digest": hex(&digest(7)) });
    assert_eq!(find(sm3).await["sets"], json!([]));
    // Two neighbouring digests' halves are no digest.
    let across = [&digest(7)[16..], &digest(8)[..16]].concat();
    let across = json!({ "algorithm": "sha-256", "digest": hex(&across) });
    assert_eq!(find(across).await["sets"], json!([]));
    let short = json!([{ "algorithm": "sha-512", "digest": hex(&digest(7)) }]);
    let (code, message) = solo.fail("hawser_findEvidenceDigest", short).await;
    assert_eq!(code, -32602, "{message}");
}
