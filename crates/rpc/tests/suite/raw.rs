//! `POST /raw`: transactions as bytes, good and bad.

use std::sync::{Arc, Mutex};

use crate::common::*;
use alloy_primitives::{Address, Bytes, TxKind};
use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_primitives::limits::TRANSACTION_BYTES_MAX;
use hawser_rpc::{
    RpcLimits,
    auth::{Access, AuditUnavailable, Decision, Durable, ReadAudit, ReadEvent, sign_request},
};
use serde_json::{Value, json};

fn list(items: &[Bytes]) -> Vec<u8> {
    let mut body = Vec::new();
    for item in items {
        body.extend_from_slice(&(item.len() as u32).to_be_bytes());
        body.extend_from_slice(item);
    }
    body
}

fn send(key: &SecretKey, nonce: u64) -> Bytes {
    legacy(
        key,
        nonce,
        TxKind::Call(Address::repeat_byte(9)),
        Bytes::new(),
    )
}

struct Answer {
    status: u16,
    retry_after: Option<String>,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and message of each transaction of a binary answer.
    fn entries(&self) -> Vec<(u8, String)> {
        let count = u32::from_be_bytes(self.body[..4].try_into().unwrap());
        let mut rest = &self.body[8..];
        let mut entries = Vec::new();
        for _ in 0..count {
            let length = usize::from(u16::from_be_bytes([rest[1], rest[2]]));
            let text = String::from_utf8(rest[3..3 + length].to_vec()).unwrap();
            entries.push((rest[0], text));
            rest = &rest[3 + length..];
        }
        assert!(rest.is_empty());
        entries
    }
}

async fn post(solo: &Solo, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let client = reqwest::Client::new();
    let mut request = client.post(format!("{}{path}", solo.url)).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let retry_after = response.headers().get("retry-after");
    Answer {
        status: response.status().as_u16(),
        retry_after: retry_after.map(|value| value.to_str().unwrap().to_owned()),
        body: response.bytes().await.unwrap().to_vec(),
    }
}

const BYTES: (&str, &str) = ("content-type", "application/octet-stream");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_transaction_gets_its_answer_and_the_good_ones_are_executed() {
    let solo = Solo::start().await;
    let key = account();
    let good: Vec<_> = (0..300).map(|nonce| send(&key, nonce)).collect();
    let mut batch = good.clone();
    batch.push(good[0].clone());
    batch.push(Bytes::from_static(b"\x02nonsense"));
    batch.push(Bytes::new());
    batch.push(good[1].slice(..good[1].len() - 3));
    batch.push(vec![0; TRANSACTION_BYTES_MAX + 1].into());
    let answer = post(&solo, "/raw", &[BYTES], list(&batch)).await;
    assert_eq!((answer.status, answer.retry_after.as_deref()), (200, None));
    let entries = answer.entries();
    assert_eq!(entries.len(), 305);
    assert!(
        entries[..300]
            .iter()
            .all(|entry| *entry == (0, String::new()))
    );
    assert_eq!(entries[300].0, 1, "{:?}", entries[300]);
    assert!(
        entries[300].1.starts_with("already known"),
        "{:?}",
        entries[300]
    );
    for entry in &entries[301..] {
        assert_eq!(entry.0, 3, "{entry:?}");
        assert!(!entry.1.is_empty());
    }
    // The other form, on the chain's own path; everything is known by now.
    let headers = [BYTES, ("accept", "application/json")];
    let path = format!("/chain/{CHAIN}/raw");
    let more = [send(&key, 300), good[0].clone()];
    let answer = post(&solo, &path, &headers, list(&more)).await.json();
    let hash = answer["results"][0]["hash"].clone();
    let receipt = solo.receipt(&hash).await;
    assert_eq!(receipt["status"], "0x1");
    let error = &answer["results"][1]["error"];
    assert_eq!(error["code"], -32000, "{answer}");
    let nonce = solo.call("eth_getTransactionCount", json!([key.address(), "latest"]));
    assert_eq!(nonce.await, "0x12d");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_list_is_refused_and_nothing_of_it_submitted() {
    let limits = RpcLimits {
        batch_max: 3,
        body_bytes_max: 4_000,
        ..RpcLimits::default()
    };
    let solo = Solo::with(Suite::Intl, limits).await;
    let key = account();
    let mut cut = list(&[send(&key, 0), send(&key, 1)]);
    cut.pop();
    let mut longer = list(&[send(&key, 0)]);
    longer.extend([0, 0]);
    let four: Vec<_> = (0..4).map(|nonce| send(&key, nonce)).collect();
    for (body, status, said) in [
        (cut, 400, "are left"),
        (longer, 400, "4 bytes"),
        (Vec::new(), 400, "no transaction"),
        (list(&four), 400, "more than 3"),
        (vec![0xff; 100], 400, "should have"),
        (vec![0; 4_001], 413, "4000 bytes"),
    ] {
        let answer = post(&solo, "/raw", &[BYTES], body).await;
        assert_eq!(answer.status, status, "{said}");
        let message = answer.json()["error"]["message"].to_string();
        assert!(message.contains(said), "{message}");
    }
    let nonce = solo.call("eth_getTransactionCount", json!([key.address(), "pending"]));
    assert_eq!(nonce.await, "0x0");
    // Both sides of the limit, and other ways to ask wrongly.
    let three = post(&solo, "/raw", &[BYTES], list(&four[..3])).await;
    assert_eq!(three.entries().len(), 3);
    let kind = [("content-type", "application/json")];
    assert_eq!(post(&solo, "/raw", &kind, list(&four)).await.status, 415);
    assert_eq!(post(&solo, "/raw", &[], list(&four)).await.status, 415);
    assert_eq!(
        post(&solo, "/chain/9/raw", &[BYTES], list(&four))
            .await
            .status,
        404
    );
    assert_eq!(
        post(&solo, "/chain/x/raw", &[BYTES], list(&four))
            .await
            .status,
        404
    );
    let get = reqwest::get(format!("{}/raw", solo.url)).await.unwrap();
    assert_eq!(get.status().as_u16(), 405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_pool_says_when_to_come_back_by_either_way_in() {
    let solo = Solo::start().await;
    let key = account();
    // Behind a gap nothing is executed, so that the account's share of the pool fills up.
    let gap: Vec<_> = (1..=20_000).map(|nonce| send(&key, nonce)).collect();
    for chunk in gap.chunks(1_000) {
        let answer = post(&solo, "/raw", &[BYTES], list(chunk)).await;
        assert_eq!(answer.status, 200);
    }
    let first = send(&key, 0);
    let last = post(&solo, "/raw", &[BYTES], list(std::slice::from_ref(&first))).await;
    assert_eq!(last.status, 429);
    assert_eq!(last.retry_after.as_deref(), Some("1"));
    assert_eq!(last.entries()[0].0, 2, "{:?}", last.entries());
    assert!(u32::from_be_bytes(last.body[4..8].try_into().unwrap()) > 0);
    let body =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction", "params": [first] });
    let (_, text) = solo.post("/", body.to_string()).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["error"]["data"]["retryAfterMs"], 1_000, "{answer}");
}

#[derive(Default)]
struct Record(Mutex<Vec<ReadEvent>>);

impl ReadAudit for Record {
    fn record(&self, event: ReadEvent) -> Result<Option<Durable>, AuditUnavailable> {
        self.0.lock().unwrap().push(event);
        Ok(None)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_reads_are_signed_so_is_this_and_every_transaction_is_on_the_record() {
    let record = Arc::new(Record::default());
    let access = Access {
        audit: Some(Arc::clone(&record) as _),
        ..Access::signed()
    };
    let solo = Solo::guarded(Suite::Intl, RpcLimits::default(), access).await;
    let body = list(&[send(&account(), 0), send(&account(), 1)]);
    let refused = post(&solo, "/raw", &[BYTES], body.clone()).await;
    assert_eq!(refused.status, 401);
    assert!(refused.entries().iter().all(|entry| entry.0 == 4));
    let challenge = solo.call("hawser_challenge", json!([Address::ZERO])).await;
    let audience = challenge["audience"].as_str().unwrap();
    let key = SecretKey::from_seed(Scheme::Secp256k1, &[5; 32]).unwrap();
    let now_s = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let signed = sign_request(&key, audience, "POST", "/raw", Some(&body), now_s).unwrap();
    let headers: Vec<(String, String)> = signed
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    let mut with: Vec<(&str, &str)> = vec![BYTES];
    with.extend(
        headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
    let taken = post(&solo, "/raw", &with, body).await;
    assert_eq!(taken.status, 200);
    assert_eq!(taken.entries(), [(0, String::new()), (0, String::new())]);
    let record = record.0.lock().unwrap();
    let of = |decision| {
        let all = record.iter().filter(|event| event.decision == decision);
        all.filter(|event| event.method == "eth_sendRawTransaction")
            .count()
    };
    assert_eq!((of(Decision::Denied), of(Decision::Allowed)), (2, 2));
    let known = record
        .iter()
        .filter(|event| event.who == Some(key.address()));
    assert_eq!(known.count(), 2);
}
