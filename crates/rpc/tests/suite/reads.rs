//! A chain whose reads are signed, over real sockets: who is let in, who is not, and the record.

use std::{
    borrow::Cow,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::common::*;
use alloy_primitives::Address;
use futures_util::StreamExt;
use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_rpc::{
    RpcLimits,
    auth::{
        Access, Action, AuditUnavailable, Decision, Denied, Durable, ReadAudit, ReadEvent,
        ReadGate, ReadRequest, SignedHeaders, sign_request,
    },
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

const BLOCK: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}"#;

/// Keeps the record in memory, and can fail.
#[derive(Default)]
struct Record {
    events: Mutex<Vec<ReadEvent>>,
    broken: AtomicBool,
}

impl ReadAudit for Record {
    fn record(&self, event: ReadEvent) -> Result<Option<Durable>, AuditUnavailable> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(AuditUnavailable("the disk is full".to_owned()));
        }
        self.events.lock().push(event);
        Ok(None)
    }
}

/// Refuses whoever is listed, and inspection to everybody.
#[derive(Default)]
struct Gate {
    frozen: Mutex<Vec<Address>>,
}

impl ReadGate for Gate {
    fn allows(
        &self,
        reader: Option<Address>,
        request: &ReadRequest<'_>,
    ) -> Result<Cow<'static, str>, Denied> {
        let reader = reader.unwrap();
        if self.frozen.lock().contains(&reader) {
            return Err(Denied {
                rule: "account.frozen".into(),
                reason: "your account is frozen".to_owned(),
            });
        }
        if request.action == Action::Inspect {
            return Err(Denied {
                rule: "role.auditor".into(),
                reason: "inspecting takes the role auditor".to_owned(),
            });
        }
        Ok("role.user".into())
    }
}

struct World {
    solo: Solo,
    record: Arc<Record>,
    gate: Arc<Gate>,
    audience: String,
}

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn key(scheme: Scheme) -> SecretKey {
    SecretKey::from_seed(scheme, &[5; 32]).unwrap()
}

impl World {
    async fn start(limits: RpcLimits) -> Self {
        Self::with(Suite::Intl, limits, 1).await
    }

    async fn with(suite: Suite, limits: RpcLimits, audit_one_in: u64) -> Self {
        let (record, gate) = (Arc::new(Record::default()), Arc::new(Gate::default()));
        let access = Access {
            gate: Arc::clone(&gate) as _,
            audit: Some(Arc::clone(&record) as _),
            audit_one_in,
            ..Access::signed()
        };
        let solo = Solo::guarded(suite, limits, access).await;
        let challenge = solo.call("hawser_challenge", json!([Address::ZERO])).await;
        let audience = challenge["audience"].as_str().unwrap().to_owned();
        Self {
            solo,
            record,
            gate,
            audience,
        }
    }

    fn sign(&self, key: &SecretKey, body: &str, now_s: u64) -> SignedHeaders {
        sign_request(
            key,
            &self.audience,
            "POST",
            "/",
            Some(body.as_bytes()),
            now_s,
        )
        .unwrap()
    }

    async fn send(&self, headers: &[(&'static str, String)], body: &str) -> (u16, Value) {
        let mut request = reqwest::Client::new()
            .post(&self.solo.url)
            .header("content-type", "application/json")
            .body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        if status == 401 {
            let told = response.headers()["www-authenticate"]
                .to_str()
                .unwrap()
                .to_owned();
            assert!(told.starts_with("Bearer realm=\"hawser:"), "{told}");
        }
        (status, response.json().await.unwrap())
    }

    async fn log_in(&self, key: &SecretKey) -> String {
        let told = self
            .solo
            .call("hawser_challenge", json!([key.address()]))
            .await;
        let text = told["challenge"].as_str().unwrap();
        let signature = format!("0x{}", hex::encode(key.sign(text.as_bytes()).as_bytes()));
        let login =
            json!([{ "challenge": text, "signature": signature, "publicKey": key.public_key() }]);
        let issued = self.solo.call("hawser_login", login).await;
        assert_eq!(issued["account"], json!(key.address()));
        issued["token"].as_str().unwrap().to_owned()
    }

    async fn with_token(&self, token: &str, body: &str) -> (u16, Value) {
        self.send(&[("authorization", format!("Bearer {token}"))], body)
            .await
    }

    /// Rule and method of the newest entry.
    fn last(&self) -> (String, Decision, Option<Address>) {
        let events = self.record.events.lock();
        let last = events.last().unwrap();
        (last.rule.clone().into_owned(), last.decision, last.who)
    }

    async fn socket(&self, token: Option<&str>) -> Result<Socket, u16> {
        let mut request = self
            .solo
            .url
            .replace("http", "ws")
            .into_client_request()
            .unwrap();
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().unwrap();
            request.headers_mut().insert("authorization", value);
        }
        match tokio_tungstenite::connect_async(request).await {
            Ok((stream, _)) => Ok(Socket(stream)),
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => {
                Err(response.status().as_u16())
            }
            Err(error) => panic!("{error}"),
        }
    }
}

async fn closed(socket: &mut Socket) -> (u16, String) {
    loop {
        let next = tokio::time::timeout(DEADLINE, socket.0.next()).await;
        match next.expect("in time") {
            Some(Ok(Message::Close(Some(frame)))) => {
                return (frame.code.into(), frame.reason.to_string());
            }
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn refusal(answer: &(u16, Value)) -> (u16, i64, &str) {
    let error = &answer.1["error"];
    let rule = error["data"]["rule"].as_str().unwrap_or_default();
    (answer.0, error["code"].as_i64().unwrap_or_default(), rule)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signed_requests_are_answered_once_and_every_flaw_has_its_own_refusal() {
    let world = World::start(RpcLimits::default()).await;
    for scheme in Scheme::ALL {
        let key = key(scheme);
        let headers = world.sign(&key, BLOCK, now_s());
        let (status, answer) = world.send(&headers, BLOCK).await;
        assert_eq!(
            (status, &answer["result"]),
            (200, &json!("0x0")),
            "{answer}"
        );
        let allowed = (
            "role.user".to_owned(),
            Decision::Allowed,
            Some(key.address()),
        );
        assert_eq!(world.last(), allowed);

        let again = world.send(&headers, BLOCK).await;
        assert_eq!(refusal(&again), (401, -32040, "auth.replayed"));
        assert_eq!(world.last().0, "auth.replayed");
    }
    let key = key(Scheme::Sm2);
    let unsigned = world.send(&[], BLOCK).await;
    assert_eq!(refusal(&unsigned), (401, -32040, "auth.unsigned"));
    let said = unsigned.1["error"]["message"].as_str().unwrap();
    assert!(
        said.contains("hawser proxy") && said.contains("hawser_login"),
        "{said}"
    );
    assert_eq!(
        world.last(),
        ("auth.unsigned".to_owned(), Decision::Denied, None)
    );

    let stale = world
        .send(&world.sign(&key, BLOCK, now_s() - 120), BLOCK)
        .await;
    assert_eq!(refusal(&stale), (401, -32040, "auth.stale"));
    let early = world
        .send(&world.sign(&key, BLOCK, now_s() + 60), BLOCK)
        .await;
    assert_eq!(refusal(&early), (401, -32040, "auth.stale"));
    let other = BLOCK.replace("eth_blockNumber", "eth_chainId");
    let swapped = world.send(&world.sign(&key, BLOCK, now_s()), &other).await;
    assert_eq!(refusal(&swapped), (401, -32040, "auth.digest"));
    let elsewhere = sign_request(
        &key,
        "hawser:1:00:00",
        "POST",
        "/",
        Some(BLOCK.as_bytes()),
        now_s(),
    );
    let elsewhere = world.send(&elsewhere.unwrap(), BLOCK).await;
    assert_eq!(refusal(&elsewhere), (401, -32040, "auth.audience"));
    let mut forged = world.sign(&key, BLOCK, now_s());
    forged[1].1 = forged[1].1.replace("nonce=\"", "nonce=\"00");
    let forged = world.send(&forged, BLOCK).await;
    assert_eq!(refusal(&forged), (401, -32040, "auth.signature"));
    let half: Vec<_> = world
        .sign(&key, BLOCK, now_s())
        .into_iter()
        .take(2)
        .collect();
    assert_eq!(
        refusal(&world.send(&half, BLOCK).await),
        (401, -32040, "auth.malformed")
    );
    // All of them are on the record.
    let rules: Vec<_> = world
        .record
        .events
        .lock()
        .iter()
        .filter(|event| event.decision == Decision::Denied)
        .map(|event| event.rule.clone().into_owned())
        .collect();
    for rule in [
        "unsigned",
        "replayed",
        "stale",
        "digest",
        "audience",
        "signature",
        "malformed",
    ] {
        assert!(rules.contains(&format!("auth.{rule}")), "{rule}: {rules:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_good_until_it_expires_or_is_given_back() {
    let world = World::with(Suite::Sm, RpcLimits::default(), 1).await;
    let key = key(Scheme::Sm2);
    let token = world.log_in(&key).await;
    assert_eq!(world.with_token(&token, BLOCK).await.0, 200);
    assert_eq!(world.last().2, Some(key.address()));
    assert_eq!(
        refusal(&world.with_token("nonsense", BLOCK).await),
        (401, -32040, "auth.malformed")
    );
    let mut forged = token.clone().into_bytes();
    forged[30] = if forged[30] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    assert_eq!(world.with_token(&forged, BLOCK).await.0, 401);

    let second = world.log_in(&key).await;
    let out = r#"{"jsonrpc":"2.0","id":1,"method":"hawser_logout"}"#;
    assert_eq!(world.with_token(&second, out).await.0, 200);
    assert_eq!(
        refusal(&world.with_token(&second, BLOCK).await),
        (401, -32040, "auth.token-revoked")
    );
    assert_eq!(world.with_token(&token, BLOCK).await.0, 200);

    // Good until its time is over, and then no longer.
    const TOKEN_MS: u64 = 1_000;
    let limits = RpcLimits {
        token_ms_max: TOKEN_MS,
        ..RpcLimits::default()
    };
    let world = World::with(Suite::Sm, limits, 1).await;
    let before = Instant::now();
    let token = world.log_in(&key).await;
    let after = Instant::now();
    loop {
        let asked = Instant::now();
        let answer = world.with_token(&token, BLOCK).await;
        if answer.0 != 200 {
            assert_eq!(refusal(&answer), (401, -32040, "auth.token-expired"));
            assert!(before.elapsed() >= Duration::from_millis(TOKEN_MS));
            break;
        }
        let late = asked.duration_since(after);
        assert!(late < Duration::from_millis(TOKEN_MS + 100), "{late:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gate_decides_about_known_readers_and_is_named() {
    let world = World::start(RpcLimits::default()).await;
    let key = key(Scheme::Ed25519);
    let token = world.log_in(&key).await;
    let pool = r#"{"jsonrpc":"2.0","id":1,"method":"txpool_content"}"#;
    let denied = world.with_token(&token, pool).await;
    assert_eq!(refusal(&denied), (403, -32043, "role.auditor"));
    assert_eq!(
        world.last(),
        (
            "role.auditor".to_owned(),
            Decision::Denied,
            Some(key.address())
        )
    );
    world.gate.frozen.lock().push(key.address());
    let frozen = world.with_token(&token, BLOCK).await;
    assert_eq!(refusal(&frozen), (403, -32043, "account.frozen"));
    assert!(
        frozen.1["error"]["message"]
            .as_str()
            .unwrap()
            .contains("is frozen")
    );
    // Sending a transaction shows whether it would be taken, so it is a read as well.
    let raw = eip1559(&account(), 0, Address::ZERO, 0);
    let send =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction", "params": [raw] });
    assert_eq!(
        refusal(&world.send(&[], &send.to_string()).await),
        (401, -32040, "auth.unsigned")
    );
    assert_eq!(world.with_token(&token, &send.to_string()).await.0, 403);
    world.gate.frozen.lock().clear();
    let sent = world.with_token(&token, &send.to_string()).await;
    assert_eq!(sent.0, 200, "{}", sent.1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_judged_call_by_call() {
    let world = World::start(RpcLimits::default()).await;
    let token = world.log_in(&key(Scheme::Ed25519)).await;
    let batch = format!(
        r#"[{BLOCK},{{"jsonrpc":"2.0","id":2,"method":"txpool_status"}},{{"jsonrpc":"2.0","id":3,"method":"no_such"}}]"#
    );
    let (status, answers) = world.with_token(&token, &batch).await;
    assert_eq!(status, 200);
    assert_eq!(answers[0]["result"], "0x0");
    assert_eq!(answers[1]["error"]["code"], -32043);
    assert_eq!(answers[2]["error"]["code"], -32601);
    let (status, answers) = world.send(&[], &batch).await;
    assert_eq!(status, 401);
    assert!(
        answers
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["error"]["code"] == -32040)
    );
    // Even whether a method exists is nobody's business.
    let unknown = r#"{"jsonrpc":"2.0","id":3,"method":"no_such"}"#;
    assert_eq!(world.send(&[], unknown).await.0, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_belongs_to_whom_it_was_opened_for_or_who_logs_in_on_it() {
    let world = World::start(RpcLimits {
        read_ms_max: 1_500,
        ..RpcLimits::default()
    })
    .await;
    let key = key(Scheme::Secp256k1);
    let token = world.log_in(&key).await;
    let mut opened = world.socket(Some(&token)).await.unwrap();
    assert_eq!(opened.call("eth_blockNumber", json!([])).await, "0x0");
    assert_eq!(world.socket(Some("nonsense")).await.err(), Some(401));

    let mut later = world.socket(None).await.unwrap();
    later.send("eth_blockNumber", json!([])).await;
    assert_eq!(later.next().await.unwrap()["error"]["code"], -32040);
    let told = later.call("hawser_authenticate", json!([token])).await;
    assert_eq!(told["account"], json!(key.address()));
    assert_eq!(later.call("eth_blockNumber", json!([])).await, "0x0");

    let mut by_hand = world.socket(None).await.unwrap();
    let told = by_hand
        .call("hawser_challenge", json!([key.address()]))
        .await;
    let text = told["challenge"].as_str().unwrap();
    let signature = format!("0x{}", hex::encode(key.sign(text.as_bytes()).as_bytes()));
    let login =
        json!([{ "challenge": text, "signature": signature, "publicKey": key.public_key() }]);
    by_hand.call("hawser_login", login).await;
    assert_eq!(by_hand.call("eth_blockNumber", json!([])).await, "0x0");

    let mut stranger = world.socket(None).await.unwrap();
    let (code, reason) = closed(&mut stranger).await;
    assert_eq!(code, 1008);
    assert!(reason.contains("nobody logged in"), "{reason}");
    // Those who did are still there.
    assert_eq!(later.call("eth_blockNumber", json!([])).await, "0x0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_ends_when_its_reader_may_no_longer_read() {
    let world = World::start(RpcLimits::default()).await;
    let (key, sender) = (
        key(Scheme::Ed25519),
        SecretKey::from_seed(Scheme::Ed25519, &[6; 32]).unwrap(),
    );
    let (token, other) = (world.log_in(&key).await, world.log_in(&sender).await);
    let mut socket = world.socket(Some(&token)).await.unwrap();
    socket.call("eth_subscribe", json!(["newHeads"])).await;
    let send = |nonce| {
        let raw = eip1559(&account(), nonce, Address::ZERO, 0);
        json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction", "params": [raw] })
            .to_string()
    };
    assert_eq!(world.with_token(&other, &send(0)).await.0, 200);
    assert_eq!(socket.next().await.unwrap()["method"], "eth_subscription");
    world.gate.frozen.lock().push(key.address());
    assert_eq!(world.with_token(&other, &send(1)).await.0, 200);
    let (code, reason) = closed(&mut socket).await;
    assert_eq!(code, 1008);
    assert!(reason.contains("is frozen"), "{reason}");
    let events = world.record.events.lock();
    assert!(
        events
            .iter()
            .any(|event| { event.method == "eth_subscription" && event.rule == "account.frozen" })
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_answered_that_cannot_be_recorded() {
    let world = World::start(RpcLimits::default()).await;
    let token = world.log_in(&key(Scheme::Ed25519)).await;
    world.record.broken.store(true, Ordering::Relaxed);
    let (status, answer) = world.with_token(&token, BLOCK).await;
    assert_eq!(status, 200);
    assert_eq!(answer["error"]["code"], -32002);
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("the disk is full")
    );
    world.record.broken.store(false, Ordering::Relaxed);
    assert_eq!(world.with_token(&token, BLOCK).await.1["result"], "0x0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_are_sampled_where_the_chain_says_so_and_refusals_never() {
    let world = World::with(Suite::Intl, RpcLimits::default(), 5).await;
    let token = world.log_in(&key(Scheme::Ed25519)).await;
    world.record.events.lock().clear();
    for _ in 0..10 {
        assert_eq!(world.with_token(&token, BLOCK).await.0, 200);
        assert_eq!(world.send(&[], BLOCK).await.0, 401);
    }
    let events = world.record.events.lock();
    let count = |decision| {
        events
            .iter()
            .filter(|event| event.decision == decision)
            .count()
    };
    assert_eq!((count(Decision::Allowed), count(Decision::Denied)), (2, 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_chain_asks_nobody_who_they_are() {
    let solo = Solo::start().await;
    assert_eq!(solo.call("eth_blockNumber", json!([])).await, "0x0");
    // Logging in works all the same, so that tools need not know.
    let told = solo.call("hawser_challenge", json!([Address::ZERO])).await;
    assert!(
        told["challenge"]
            .as_str()
            .unwrap()
            .contains("audience: hawser:4207:")
    );
}

/// Not a test of anything: prints what proving who reads costs, in one run so that figures compare.
/// `cargo test --release -p hawser-rpc --test suite -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn what_an_authenticated_read_costs() {
    const REQUESTS: u32 = 2_000;
    let open = Solo::start().await;
    let world = World::start(RpcLimits::default()).await;
    let client = reqwest::Client::new();
    let token = world.log_in(&key(Scheme::Ed25519)).await;
    let mut kinds = vec![("open", None), ("token", None)];
    kinds.extend(Scheme::ALL.map(|scheme| ("signature", Some(scheme))));
    for round in 1..=2 {
        for (kind, scheme) in &kinds {
            let key = scheme.map(key);
            // Signing is the client's cost and done before the clock starts.
            let prepared: Vec<SignedHeaders> = (0..REQUESTS)
                .map(|_| match (&key, *kind) {
                    (Some(key), _) => world.sign(key, BLOCK, now_s()),
                    (None, "token") => vec![("authorization", format!("Bearer {token}"))],
                    (None, _) => Vec::new(),
                })
                .collect();
            let url = if *kind == "open" {
                &open.url
            } else {
                &world.solo.url
            };
            let started = Instant::now();
            for headers in prepared {
                let mut request = client.post(url).header("content-type", "application/json");
                for (name, value) in headers {
                    request = request.header(name, value);
                }
                let response = request.body(BLOCK).send().await.unwrap();
                assert_eq!(response.status(), 200);
                response.bytes().await.unwrap();
            }
            let each = started.elapsed() / REQUESTS;
            let name = scheme.map_or("", Scheme::name);
            let rate = 1_000_000 / each.as_micros().max(1);
            println!("round {round}: {kind:9} {name:9} {rate:6} requests/s, {each:?} each");
        }
    }
}
