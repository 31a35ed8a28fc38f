//! Signed reads on a governed chain: the chain's own law decides, names its rule, and inspections are
//! on the record.

use std::{
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use crate::common::*;
use alloy_primitives::{Address, Bytes, TxKind};
use alloy_sol_types::SolCall;
use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_governance::{ADDRESS, Change, IGovernance, Resource, query};
use hawser_ledger::{AccountMode, GenesisGovernance, GenesisMember, GenesisOrganisation};
use hawser_rpc::{
    RpcLimits,
    auth::{
        Access, AnyAccount, AuditUnavailable, Decision, Durable, Governed, ReadAudit, ReadEvent,
        sign_request,
    },
};
use parking_lot::Mutex;
use serde_json::{Value, json};

#[derive(Default)]
struct Record(Mutex<Vec<ReadEvent>>);

impl ReadAudit for Record {
    fn record(&self, event: ReadEvent) -> Result<Option<Durable>, AuditUnavailable> {
        self.0.lock().push(event);
        Ok(None)
    }
}

const GOVERNOR: u8 = 61;
const USER: u8 = 62;
const SUPERVISOR: u8 = 63;
const STRANGER: u8 = 64;

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed(Scheme::Secp256k1, &[n; 32]).unwrap()
}

fn section() -> GenesisGovernance {
    let member = |n: u8, role: &str| GenesisMember {
        account: key(n).address(),
        name: role.to_owned(),
        organisation: 1,
        roles: vec![role.to_owned()],
        certificate: None,
    };
    GenesisGovernance {
        account_mode: AccountMode::Permitted,
        public_actions: None,
        signed_reads: true,
        time_lock_ms: 0,
        voting_ms: 600_000,
        organisations: vec![GenesisOrganisation {
            id: 1,
            name: "one".to_owned(),
            weight: 1,
            authorities: vec![],
            authority_threshold: 1,
            roots: vec![],
        }],
        members: vec![
            member(GOVERNOR, "governor"),
            member(USER, "user"),
            member(SUPERVISOR, "supervisor"),
        ],
    }
}

struct World {
    solo: Solo,
    record: Arc<Record>,
    audience: String,
}

impl World {
    async fn start() -> Self {
        let record = Arc::new(Record::default());
        let audit = Arc::clone(&record);
        let access = |handle: &hawser_node::chain::ChainHandle| Access {
            gate: Arc::new(Governed::new(
                Arc::clone(handle.store()),
                Arc::new(AnyAccount),
            )),
            audit: Some(audit as _),
            // Ordinary reads leave next to nothing; what must be recorded is all the same.
            audit_one_in: 1_000_000,
            ..Access::signed()
        };
        let limits = RpcLimits::default();
        let solo = Solo::founded(Suite::Intl, limits, Some(section()), access).await;
        let challenge = solo.call("hawser_challenge", json!([Address::ZERO])).await;
        let audience = challenge["audience"].as_str().unwrap().to_owned();
        Self {
            solo,
            record,
            audience,
        }
    }

    /// Asks as somebody; gives the answer, or the rule that refuses and its words.
    async fn ask(&self, who: u8, method: &str, params: Value) -> Result<Value, (String, String)> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let body = body.to_string();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let signed = sign_request(
            &key(who),
            &self.audience,
            "POST",
            "/",
            Some(body.as_bytes()),
            now.as_secs(),
        );
        let mut request = reqwest::Client::new()
            .post(&self.solo.url)
            .header("content-type", "application/json")
            .body(body);
        for (name, value) in signed.unwrap() {
            request = request.header(name, value);
        }
        let mut answer: Value = request.send().await.unwrap().json().await.unwrap();
        match answer.get("error") {
            None => Ok(answer["result"].take()),
            Some(error) => Err((
                error["data"]["rule"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                error["message"].as_str().unwrap_or_default().to_owned(),
            )),
        }
    }

    fn events(&self, who: u8) -> Vec<(String, Decision, String)> {
        let all = self.record.0.lock();
        let own = all
            .iter()
            .filter(|event| event.who == Some(key(who).address()));
        own.map(|event| {
            let rule = event.rule.clone().into_owned();
            (event.method.clone(), event.decision, rule)
        })
        .collect()
    }

    /// The only governor proposes, approves and executes.
    async fn decide(&self, changes: &[Change], done: impl Fn(&hawser_governance::Charter) -> bool) {
        let propose = IGovernance::proposeCall {
            title: "reads".to_owned(),
            description: String::new(),
            changes: hawser_primitives::encode(changes).into(),
        };
        let vote = IGovernance::voteCall {
            id: 1,
            approve: true,
        };
        let execute = IGovernance::executeCall { id: 1 };
        let calls = [
            propose.abi_encode(),
            vote.abi_encode(),
            execute.abi_encode(),
        ];
        for (nonce, input) in (0u64..).zip(calls) {
            let call = TxKind::Call(ADDRESS);
            let raw = legacy(&key(GOVERNOR), nonce, call, Bytes::from(input));
            self.solo.handle.submit(raw).await.unwrap();
        }
        let end = Instant::now() + DEADLINE;
        loop {
            let store = self.solo.handle.store();
            let state = store.state(store.head().id().height).unwrap();
            if done(&query::charter(&state).unwrap().unwrap()) {
                return;
            }
            assert!(Instant::now() < end, "the proposal has no effect");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_read_by_their_role_and_others_are_refused_with_the_rule() {
    let world = World::start().await;
    let block = world.ask(USER, "eth_blockNumber", json!([])).await;
    assert_eq!(block, Ok(json!("0x0")));
    let (rule, why) = world
        .ask(STRANGER, "eth_blockNumber", json!([]))
        .await
        .unwrap_err();
    assert_eq!(rule, "mode:permitted");
    assert!(why.contains("only members"), "{why}");
    let refused = ("eth_blockNumber".to_owned(), Decision::Denied, rule);
    assert_eq!(world.events(STRANGER), [refused], "a refusal is recorded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inspection_takes_the_supervisor_and_is_always_on_the_record() {
    let world = World::start().await;
    let (rule, _) = world
        .ask(USER, "txpool_content", json!([]))
        .await
        .unwrap_err();
    assert_eq!(rule, "default");
    let seen = world.ask(SUPERVISOR, "txpool_content", json!([])).await;
    assert!(seen.is_ok(), "{seen:?}");
    let inspected = (
        "txpool_content".to_owned(),
        Decision::Allowed,
        "role:supervisor".to_owned(),
    );
    assert_eq!(world.events(SUPERVISOR), [inspected]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_of_the_law_shuts_one_contract_off_and_is_named() {
    let world = World::start().await;
    let closed = Address::repeat_byte(0x77);
    let balance = |of: Address| json!([of, "latest"]);
    let before = world.ask(USER, "eth_getBalance", balance(closed)).await;
    assert_eq!(before, Ok(json!("0x0")));
    let resource = Resource::Contract(closed).to_string();
    let change = json!([{ "change": "set_rule", "id": 7, "rule": {
        "subject": "role:user", "actions": ["read"], "resource": resource, "effect": "deny",
        "note": "under review",
    }}]);
    let changes: Vec<Change> = serde_json::from_value(change).unwrap();
    world
        .decide(&changes, |charter| charter.rules.contains_key(&7))
        .await;
    let (rule, why) = world
        .ask(USER, "eth_getBalance", balance(closed))
        .await
        .unwrap_err();
    assert_eq!(rule, "rule:7");
    assert!(why.contains("under review"), "{why}");
    let other = world.ask(USER, "eth_getBalance", balance(ADDRESS)).await;
    assert_eq!(other, Ok(json!("0x0")), "only the one contract");
    let governor = world.ask(GOVERNOR, "eth_getBalance", balance(closed)).await;
    assert!(governor.is_ok(), "only the one role: {governor:?}");
    let asked = json!([key(USER).address(), "read", resource]);
    let answer = world.ask(USER, "hawser_why", asked).await.unwrap();
    assert_eq!(answer["rule"], "rule:7", "one answer everywhere");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_on_a_domain_shuts_its_queries_off_and_no_others() {
    let world = World::start().await;
    let members = |who| world.ask(who, "hawser_members", json!([]));
    assert!(members(USER).await.is_ok());
    let resource = Resource::Domain("governance".to_owned()).to_string();
    let change = json!([{ "change": "set_rule", "id": 8, "rule": {
        "subject": "role:user", "actions": ["read"], "resource": resource, "effect": "deny",
        "note": "members are nobody's business",
    }}]);
    let changes: Vec<Change> = serde_json::from_value(change).unwrap();
    world
        .decide(&changes, |charter| charter.rules.contains_key(&8))
        .await;
    let (rule, why) = members(USER).await.unwrap_err();
    assert_eq!(rule, "rule:8");
    assert!(why.contains("domain:governance"), "{why}");
    for method in ["hawser_proposals", "hawser_organisations"] {
        let (rule, _) = world.ask(USER, method, json!([])).await.unwrap_err();
        assert_eq!(rule, "rule:8", "{method}");
    }
    for method in ["eth_blockNumber", "hawser_status", "eth_gasPrice"] {
        let other = world.ask(USER, method, json!([])).await;
        assert!(other.is_ok(), "{method}: {other:?}");
    }
    assert!(members(GOVERNOR).await.is_ok(), "only the one role");
    let asked = json!([key(USER).address(), "read", resource]);
    let answer = world.ask(GOVERNOR, "hawser_why", asked).await.unwrap();
    assert_eq!(answer["rule"], "rule:8", "one answer everywhere");
}
