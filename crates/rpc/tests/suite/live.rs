//! The interface over a real chain of one validator.

use crate::common::*;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_ledger::{
    Call, CertifiedHeader, LightClient, Ordering, Receipt, UnsignedNative,
    merkle::MerkleProof,
    state::{Account, StateKey, StateProof},
};
use hawser_primitives::{ChainId, decode_exact};
use hawser_rpc::RpcLimits;
use hawser_services::evidence::{self, Algorithm, Record};
use serde_json::{Value, json};

fn bytes(value: &Value) -> Bytes {
    serde_json::from_value(value.clone()).unwrap()
}

fn address(value: &Value) -> Address {
    serde_json::from_value(value.clone()).unwrap()
}

async fn deploy_emitter(solo: &Solo, nonce: u64) -> Address {
    let raw = legacy(
        &account(),
        nonce,
        TxKind::Create,
        hex::decode(EMITTER).unwrap().into(),
    );
    let receipt = solo.mine(raw).await;
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    address(&receipt["contractAddress"])
}

fn native(key: &SecretKey, ordering: Ordering, calls: Vec<Call>) -> Bytes {
    UnsignedNative {
        chain_id: ChainId(CHAIN),
        signer: key.public_key(),
        ordering,
        gas_limit: 3_000_000,
        calls,
    }
    .sign(key)
    .encode_2718()
}

fn call_of(to: Address, input: Bytes) -> Call {
    Call::Call {
        to,
        value: U256::ZERO,
        input,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_without_funds_deploys_and_calls() {
    let solo = Solo::start().await;
    assert_eq!(solo.call("eth_chainId", json!([])).await, "0x106f");
    assert_eq!(solo.call("net_version", json!([])).await, "4207");
    for free in ["eth_gasPrice", "eth_maxPriorityFeePerGas"] {
        assert_eq!(solo.call(free, json!([])).await, "0x0");
    }
    let from = account().address();
    let data = EMITTER;
    let gas = solo
        .call("eth_estimateGas", json!([{ "from": from, "data": data }]))
        .await;
    assert!(gas.as_str().unwrap().len() > 4, "{gas}");

    let emitter = deploy_emitter(&solo, 0).await;
    assert_eq!(
        solo.call("eth_getCode", json!([emitter, "latest"])).await,
        "0x5f355f5fa100"
    );
    assert_eq!(
        solo.call("eth_getTransactionCount", json!([from, "pending"]))
            .await,
        "0x1"
    );

    let topic = B256::repeat_byte(0xaa);
    let receipt = solo
        .mine(legacy(
            &account(),
            1,
            TxKind::Call(emitter),
            topic.to_vec().into(),
        ))
        .await;
    let logs = receipt["logs"].as_array().unwrap();
    assert_eq!(logs.len(), 1);
    assert_eq!(logs[0]["topics"], json!([topic]));
    assert_eq!(logs[0]["logIndex"], "0x0");
    assert!(logs[0]["blockTimestamp"].is_string());
    assert_eq!(receipt["effectiveGasPrice"], "0x0");

    // The same log by every kind of search.
    let number = receipt["blockNumber"].clone();
    for filter in [
        json!({ "fromBlock": "0x0" }),
        json!({ "fromBlock": number, "toBlock": number, "address": emitter }),
        json!({ "fromBlock": "earliest", "topics": [[topic, B256::ZERO]] }),
        json!({ "blockHash": receipt["blockHash"] }),
    ] {
        let found = solo.call("eth_getLogs", json!([filter])).await;
        assert_eq!(found, receipt["logs"], "{filter}");
    }
    let none = json!([{ "fromBlock": "0x0", "topics": [B256::ZERO] }]);
    assert_eq!(solo.call("eth_getLogs", none).await, json!([]));
    let beyond = json!([{ "fromBlock": "0xffff" }]);
    assert_eq!(solo.call("eth_getLogs", beyond).await, json!([]));

    // The block by number and by hash is the same, and its receipts are the receipts.
    let by_number = solo
        .call("eth_getBlockByNumber", json!([number, true]))
        .await;
    let by_hash = solo
        .call("eth_getBlockByHash", json!([receipt["blockHash"], true]))
        .await;
    assert_eq!(by_number, by_hash);
    assert_eq!(
        by_number["transactions"][0]["hash"],
        receipt["transactionHash"]
    );
    let receipts = solo.call("eth_getBlockReceipts", json!([number])).await;
    assert_eq!(receipts, json!([receipt]));
    let transaction = solo
        .call(
            "eth_getTransactionByHash",
            json!([receipt["transactionHash"]]),
        )
        .await;
    assert_eq!(transaction, by_number["transactions"][0]);
    let at = json!([number, "0x0"]);
    let by_index = solo
        .call("eth_getTransactionByBlockNumberAndIndex", at)
        .await;
    assert_eq!(transaction, by_index);
    assert_eq!(
        solo.call("eth_getBlockByNumber", json!(["0xffff", false]))
            .await,
        Value::Null
    );

    // Parents connect down to genesis.
    let mut height = u64::from_str_radix(&number.as_str().unwrap()[2..], 16).unwrap();
    let mut block = by_number;
    while height > 0 {
        height -= 1;
        let parent = solo
            .call(
                "eth_getBlockByNumber",
                json!([format!("{height:#x}"), false]),
            )
            .await;
        assert_eq!(block["parentHash"], parent["hash"]);
        block = parent;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_of_every_type_are_taken_and_shown() {
    let solo = Solo::start().await;
    let (key, to) = (account(), Address::repeat_byte(0x42));
    let emitter = deploy_emitter(&solo, 0).await;
    let one = solo.mine(eip2930(&key, 1, to)).await;
    let two = solo.mine(eip1559(&key, 2, to, 0)).await;
    let four = solo.mine(eip7702(&key, 3, to, emitter)).await;
    for (receipt, kind) in [(&one, "0x1"), (&two, "0x2"), (&four, "0x4")] {
        assert_eq!(receipt["status"], "0x1");
        assert_eq!(receipt["type"], kind);
        let hash = &receipt["transactionHash"];
        let shown = solo.call("eth_getTransactionByHash", json!([hash])).await;
        assert_eq!(shown["type"], kind);
        assert_eq!(shown["hash"], *hash);
        assert_eq!(shown["from"], json!(key.address()));
        assert!(
            shown["yParity"].is_string() && shown["v"].is_string(),
            "{shown}"
        );
        assert!(shown["accessList"].is_array(), "{shown}");
        let raw = solo.call("debug_getRawTransaction", json!([hash])).await;
        assert_eq!(
            B256::from(alloy_primitives::keccak256(bytes(&raw))),
            B256::from_slice(&bytes(hash))
        );
    }
    let delegated = solo
        .call("eth_getCode", json!([key.address(), "latest"]))
        .await;
    assert_eq!(delegated, format!("0xef0100{}", hex::encode(emitter)));

    for scheme in [Scheme::Secp256k1, Scheme::Ed25519, Scheme::Sm2] {
        let signer = SecretKey::from_seed(scheme, &[3; 32]).unwrap();
        let topics = [B256::repeat_byte(1), B256::repeat_byte(2)];
        let calls = topics.map(|topic| call_of(emitter, topic.to_vec().into()));
        let ordering = Ordering::Sequential { nonce: 0 };
        let receipt = solo.mine(native(&signer, ordering, calls.to_vec())).await;
        assert_eq!(
            (&receipt["type"], &receipt["status"]),
            (&json!("0x68"), &json!("0x1"))
        );
        assert_eq!(receipt["logs"].as_array().unwrap().len(), 2);
        let hash = &receipt["transactionHash"];
        let shown = solo.call("eth_getTransactionByHash", json!([hash])).await;
        assert_eq!(shown["from"], json!(signer.address()));
        assert_eq!(shown["to"], json!(emitter));
        assert_eq!(shown["hawser"]["calls"].as_array().unwrap().len(), 2);
        assert_eq!(shown["hawser"]["scheme"], json!(scheme));
    }
    let blob = json!(["0x03c0"]);
    let (code, message) = solo.fail("eth_sendRawTransaction", blob).await;
    assert_eq!(code, -32000);
    assert!(message.contains("blob"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_question_for_a_receipt_is_answered_with_it() {
    let limits = RpcLimits {
        receipt_wait_ms_max: 20_000,
        ..RpcLimits::default()
    };
    let settle = std::time::Duration::from_millis(limits.receipt_settle_ms);
    let solo = Solo::with(Suite::Intl, limits).await;
    for nonce in 0..5 {
        let raw = eip1559(&account(), nonce, Address::ZERO, 0);
        // Before the node has it: from the answer on, some of the wait may have passed already.
        let before = std::time::Instant::now();
        let hash = solo.call("eth_sendRawTransaction", json!([raw])).await;
        let receipt = solo.call("eth_getTransactionReceipt", json!([hash])).await;
        assert_eq!(receipt["transactionHash"], hash);
        assert!(before.elapsed() >= settle);
    }
    // The synchronous form does not wait beyond execution, and knows receipts as well.
    let raw = eip1559(&account(), 5, Address::ZERO, 0);
    let receipt = solo.call("eth_sendRawTransactionSync", json!([raw])).await;
    assert_eq!(receipt["status"], "0x1");
    // One that nobody knows is not waited for.
    let started = std::time::Instant::now();
    let unknown = json!([B256::repeat_byte(1)]);
    assert_eq!(
        solo.call("eth_getTransactionReceipt", unknown).await,
        Value::Null
    );
    assert!(started.elapsed() < std::time::Duration::from_secs(15));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_transactions_say_what_geth_says() {
    let solo = Solo::start().await;
    let (key, to) = (account(), Address::repeat_byte(0x42));
    let first = eip1559(&key, 0, to, 0);
    solo.mine(first.clone()).await;
    let late = solo
        .fail(
            "eth_sendRawTransaction",
            json!([eip1559(&key, 0, Address::ZERO, 0)]),
        )
        .await;
    assert!(late.1.starts_with("nonce too low"), "{late:?}");
    let again = solo.fail("eth_sendRawTransaction", json!([first])).await;
    assert!(
        again.1.starts_with("already known") || again.1.starts_with("nonce too low"),
        "{again:?}"
    );
    let poor = solo
        .fail("eth_sendRawTransaction", json!([eip1559(&key, 1, to, 5)]))
        .await;
    assert!(poor.1.starts_with("insufficient funds"), "{poor:?}");
    for (code, _) in [late, again, poor] {
        assert_eq!(code, -32000);
    }
    // A gap waits and is shown as waiting.
    let waiting = solo
        .call("eth_sendRawTransaction", json!([eip1559(&key, 5, to, 0)]))
        .await;
    let shown = solo
        .call("eth_getTransactionByHash", json!([waiting]))
        .await;
    assert_eq!(shown["blockHash"], Value::Null);
    assert_eq!(shown["blockNumber"], Value::Null);
    let status = solo.call("txpool_status", json!([])).await;
    assert_eq!(status, json!({ "pending": "0x0", "queued": "0x1" }));
    let content = solo.call("txpool_content", json!([])).await;
    let sender = key.address().to_string();
    assert_eq!(content["queued"][&sender]["5"]["hash"], waiting);
    let from = solo
        .call("txpool_contentFrom", json!([key.address()]))
        .await;
    assert_eq!(from["queued"]["5"]["hash"], waiting);
    let inspect = solo.call("txpool_inspect", json!([])).await;
    assert!(
        inspect["queued"][&sender]["5"]
            .as_str()
            .unwrap()
            .contains("gas"),
        "{inspect}"
    );
    for garbage in ["0x", "0x00", "0xf8", "0x02c0", "0x6800"] {
        let (code, _) = solo.fail("eth_sendRawTransaction", json!([garbage])).await;
        assert_eq!(code, -32000, "{garbage}");
    }
    assert_eq!(
        solo.fail("eth_sendRawTransaction", json!(["zz"])).await.0,
        -32602
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reverts_carry_reason_and_bytes() {
    let solo = Solo::start().await;
    let at = Address::repeat_byte(0x99);
    let overrides = json!({ at.to_string(): { "code": REVERTER } });
    let ask = |method: &'static str, data: String| {
        let params = json!([{ "to": at, "data": data }, "latest", overrides]);
        let solo = &solo;
        async move { solo.raw("/", method, params).await["error"].take() }
    };
    let reason = format!(
        "0x08c379a0{:064x}{:064x}{:0<64}",
        32,
        5,
        hex::encode("hello")
    );
    for method in ["eth_call", "eth_estimateGas"] {
        let error = ask(method, reason.clone()).await;
        assert_eq!(error["code"], 3);
        assert_eq!(error["message"], "execution reverted: hello");
        assert_eq!(error["data"], reason);
        let custom = ask(method, "0x12345678".to_owned()).await;
        assert_eq!(custom["message"], "execution reverted");
        assert_eq!(custom["data"], "0x12345678");
    }
    let panic = ask("eth_call", format!("0x4e487b71{:064x}", 0x11)).await;
    assert_eq!(
        panic["message"],
        "execution reverted: arithmetic underflow or overflow"
    );
    // Balances and block fields can be set as well.
    let probe = json!([
        { "to": at, "data": "0x" },
        "latest",
        { at.to_string(): { "code": "0x425f5260205ff3" } },
        { "time": "0x1234" }
    ]);
    let time = solo.call("eth_call", probe).await;
    assert_eq!(time, format!("0x{:064x}", 0x1234));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simulations_traces_access_lists_and_filling_work() {
    let solo = Solo::start().await;
    let key = account();
    let emitter = deploy_emitter(&solo, 0).await;
    let topic = B256::repeat_byte(7);
    let receipt = solo
        .mine(legacy(
            &key,
            1,
            TxKind::Call(emitter),
            topic.to_vec().into(),
        ))
        .await;
    let hash = &receipt["transactionHash"];

    let calls = json!([hash, { "tracer": "callTracer", "tracerConfig": { "withLog": true } }]);
    let trace = solo.call("debug_traceTransaction", calls).await;
    assert_eq!(trace["to"], json!(emitter));
    assert_eq!(trace["logs"].as_array().unwrap().len(), 1);
    let steps = solo.call("debug_traceTransaction", json!([hash])).await;
    assert_eq!(steps["structLogs"].as_array().unwrap().len(), 6);
    let diff = json!([hash, { "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } }]);
    let diff = solo.call("debug_traceTransaction", diff).await;
    let sender = serde_json::to_value(key.address()).unwrap();
    assert_eq!(diff["post"][sender.as_str().unwrap()]["nonce"], 2, "{diff}");
    let block = json!([receipt["blockNumber"], { "tracer": "callTracer" }]);
    let traces = solo.call("debug_traceBlockByNumber", block).await;
    assert_eq!(traces[0]["txHash"], *hash);
    let block = json!([receipt["blockHash"], { "tracer": "callTracer" }]);
    assert_eq!(solo.call("debug_traceBlockByHash", block).await, traces);
    let call = json!([{ "to": emitter, "data": topic }, "latest", { "tracer": "callTracer" }]);
    assert_eq!(
        solo.call("debug_traceCall", call).await["to"],
        json!(emitter)
    );
    let (code, message) = solo
        .fail(
            "debug_traceTransaction",
            json!([hash, { "tracer": "nope" }]),
        )
        .await;
    assert_eq!(code, -32602, "{message}");

    let list = json!([{ "from": key.address(), "to": emitter, "data": topic }]);
    let list = solo.call("eth_createAccessList", list).await;
    assert_eq!(list["accessList"], json!([]));

    let payload = json!([{
        "blockStateCalls": [
            { "calls": [{ "to": emitter, "data": topic }] },
            { "calls": [{ "from": key.address(), "to": emitter, "data": topic }] },
        ],
    }, "latest"]);
    let blocks = solo.call("eth_simulateV1", payload).await;
    assert_eq!(blocks.as_array().unwrap().len(), 2);
    for block in blocks.as_array().unwrap() {
        assert_eq!(block["calls"][0]["status"], "0x1", "{block}");
        assert_eq!(block["calls"][0]["logs"].as_array().unwrap().len(), 1);
        assert_eq!(
            block["transactions"][0],
            block["calls"][0]["logs"][0]["transactionHash"]
        );
    }
    assert_eq!(blocks[1]["parentHash"], blocks[0]["hash"]);

    let fill = json!([{ "from": key.address(), "to": emitter, "data": topic }]);
    let filled = solo.call("eth_fillTransaction", fill).await;
    assert_eq!(filled["tx"]["nonce"], "0x2");
    assert_eq!(filled["tx"]["type"], "0x2");
    assert_eq!(filled["tx"]["maxFeePerGas"], "0x0");
    assert_eq!(filled["tx"]["chainId"], "0x106f");
    assert!(filled["raw"].as_str().unwrap().starts_with("0x02"));

    let history = solo
        .call("eth_feeHistory", json!(["0x2", "latest", [10.0, 50.0]]))
        .await;
    assert_eq!(history["baseFeePerGas"], json!(["0x0", "0x0", "0x0"]));
    assert_eq!(history["reward"], json!([["0x0", "0x0"], ["0x0", "0x0"]]));
    assert_eq!(history["gasUsedRatio"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_and_block_objects_name_the_same_state() {
    let solo = Solo::start().await;
    let to = Address::repeat_byte(0x42);
    solo.mine(eip1559(&rich(), 0, to, 400)).await;
    let head = solo
        .call("eth_getBlockByNumber", json!(["latest", false]))
        .await;
    let (number, hash) = (&head["number"], &head["hash"]);
    for id in [
        json!("latest"),
        json!("safe"),
        json!("finalized"),
        json!("pending"),
        json!(number),
        json!(hash),
        json!({ "blockNumber": number }),
        json!({ "blockHash": hash }),
        json!({ "blockHash": hash, "requireCanonical": true }),
    ] {
        let balance = solo.call("eth_getBalance", json!([to, id])).await;
        assert_eq!(balance, "0x190", "{id}");
    }
    assert_eq!(
        solo.call("eth_getBalance", json!([to, "earliest"])).await,
        "0x0"
    );
    let (code, message) = solo.fail("eth_getBalance", json!([to, "0xffff"])).await;
    assert_eq!(code, -32000);
    assert!(message.starts_with("header not found"), "{message}");
    let (code, message) = solo.fail("eth_getBalance", json!([to, "soon"])).await;
    assert_eq!(code, -32602);
    assert!(message.contains("argument 1 (block)"), "{message}");
    let slot = solo
        .call("eth_getStorageAt", json!([to, "0x0", "latest"]))
        .await;
    assert_eq!(slot, json!(B256::ZERO));
    // As old as it gets: filters see what is new from now on.
    let filter = solo.call("eth_newBlockFilter", json!([])).await;
    assert_eq!(
        solo.call("eth_getFilterChanges", json!([filter])).await,
        json!([])
    );
    let receipt = solo.mine(eip1559(&rich(), 1, to, 1)).await;
    let changes = solo.call("eth_getFilterChanges", json!([filter])).await;
    // Blocks that certify the first transaction may come before.
    assert!(
        changes.as_array().unwrap().contains(&receipt["blockHash"]),
        "{changes}"
    );
    assert_eq!(
        solo.call("eth_uninstallFilter", json!([filter])).await,
        true
    );
    assert_eq!(
        solo.fail("eth_getFilterChanges", json!([filter])).await.0,
        -32000
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_see_logs_and_pending_transactions() {
    let solo = Solo::start().await;
    let emitter = deploy_emitter(&solo, 0).await;
    let topic = B256::repeat_byte(5);
    let logs = solo
        .call("eth_newFilter", json!([{ "address": emitter }]))
        .await;
    let pending = solo
        .call("eth_newPendingTransactionFilter", json!([]))
        .await;
    let receipt = solo
        .mine(legacy(
            &account(),
            1,
            TxKind::Call(emitter),
            topic.to_vec().into(),
        ))
        .await;
    let changes = solo.call("eth_getFilterChanges", json!([logs])).await;
    assert_eq!(changes, receipt["logs"]);
    assert_eq!(
        solo.call("eth_getFilterChanges", json!([logs])).await,
        json!([])
    );
    let seen = solo.call("eth_getFilterChanges", json!([pending])).await;
    assert_eq!(seen, json!([receipt["transactionHash"]]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_hear_of_heads_logs_and_pending_transactions() {
    let solo = Solo::start().await;
    let emitter = deploy_emitter(&solo, 0).await;
    let mut socket = solo.socket().await;
    let heads = socket.call("eth_subscribe", json!(["newHeads"])).await;
    let logs = socket
        .call("eth_subscribe", json!(["logs", { "address": emitter }]))
        .await;
    let pending = socket
        .call("eth_subscribe", json!(["newPendingTransactions"]))
        .await;
    let topic = B256::repeat_byte(6);
    let receipt = solo
        .mine(legacy(
            &account(),
            1,
            TxKind::Call(emitter),
            topic.to_vec().into(),
        ))
        .await;
    let (mut head, mut log, mut hash) = (None, None, None);
    while head.is_none() || log.is_none() || hash.is_none() {
        let message = socket.next().await.unwrap();
        assert_eq!(message["method"], "eth_subscription");
        let (name, result) = (
            &message["params"]["subscription"],
            &message["params"]["result"],
        );
        if *name == heads && result["hash"] == receipt["blockHash"] {
            head = Some(result.clone());
        } else if *name == logs {
            log = Some(result.clone());
        } else if *name == pending {
            hash = Some(result.clone());
        }
    }
    assert_eq!(head.unwrap()["number"], receipt["blockNumber"]);
    assert_eq!(log.unwrap(), receipt["logs"][0]);
    assert_eq!(hash.unwrap(), receipt["transactionHash"]);

    let mut other = solo.socket().await;
    let name = other.call("eth_subscribe", json!(["newHeads"])).await;
    assert_eq!(other.call("eth_unsubscribe", json!([name])).await, true);
    other.send("eth_subscribe", json!(["weather"])).await;
    let refused = other.next().await.unwrap();
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    let (code, message) = solo.fail("eth_subscribe", json!(["newHeads"])).await;
    assert_eq!(code, -32601, "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_chains_are_reached_by_their_paths() {
    let solo = Solo::start().await;
    solo.add_chain(99);
    let second = solo.raw("/chain/99", "eth_chainId", json!([])).await;
    assert_eq!(second["result"], "0x63");
    let first = solo
        .raw(&format!("/chain/{CHAIN}"), "eth_chainId", json!([]))
        .await;
    assert_eq!(first["result"], solo.call("eth_chainId", json!([])).await);
    let chains = solo.call("hawser_chains", json!([])).await;
    assert_eq!(chains.as_array().unwrap().len(), 2);
    assert_eq!(chains[0]["chainId"], 99);
    assert_eq!(chains[1]["default"], true);
    assert!(solo.chains.remove(ChainId(99)));
    solo.node.stop_chain(ChainId(99)).unwrap();
    let (status, text) = solo.post("/chain/99", "{}").await;
    assert_eq!(status, 404, "{text}");
    assert!(text.contains("hawser_chains"), "{text}");
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}"#;
    assert_eq!(solo.post("/", body).await.0, 200);
}

/// Waits until the newest state is one that a final header commits to.
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_light_client_checks_every_proof() {
    for suite in [Suite::Intl, Suite::Sm] {
        let solo = Solo::with(suite, RpcLimits::default()).await;
        let light = LightClient::new(solo.handle.store().genesis()).unwrap();
        let emitter = deploy_emitter(&solo, 0).await;
        let topic = B256::repeat_byte(6);
        let receipt = solo
            .mine(legacy(
                &account(),
                1,
                TxKind::Call(emitter),
                topic.to_vec().into(),
            ))
            .await;
        let number = receipt["blockNumber"].as_str().unwrap();
        certified(&solo, u64::from_str_radix(&number[2..], 16).unwrap()).await;

        let header_of = |value: &Value| -> CertifiedHeader {
            decode_exact(&bytes(&value["certifiedBy"]["encoded"]), 1 << 20).unwrap()
        };
        let who = account().address();
        let proof = solo.call("hawser_getAccountProof", json!([who])).await;
        let one = &proof["proofs"][0];
        let key = StateKey::decode(&bytes(&one["key"])).unwrap();
        assert_eq!(key, StateKey::Account(who));
        let state_proof = StateProof::decode(&bytes(&one["proof"])).unwrap();
        let value = light
            .verify_state(&header_of(&proof), &key, &state_proof)
            .unwrap()
            .unwrap();
        assert_eq!(Account::decode(&value).unwrap().nonce, 2);

        let slots = json!([emitter, ["0x0", B256::repeat_byte(1)]]);
        let absent = solo.call("hawser_getStorageProof", slots).await;
        for one in absent["proofs"].as_array().unwrap() {
            let key = StateKey::decode(&bytes(&one["key"])).unwrap();
            let proof = StateProof::decode(&bytes(&one["proof"])).unwrap();
            assert_eq!(
                light
                    .verify_state(&header_of(&absent), &key, &proof)
                    .unwrap(),
                None
            );
        }
        let keys = json!([[{ "account": who }, { "storage": { "address": who, "slot": "0x1" } },
            { "encoded": one["key"] }]]);
        let several = solo.call("hawser_getStateProof", keys).await;
        assert_eq!(several["proofs"].as_array().unwrap().len(), 3);

        let hash = &receipt["transactionHash"];
        let shown = solo.call("hawser_getReceiptProof", json!([hash])).await;
        let proved: Receipt = decode_exact(&bytes(&shown["encoded"]), 1 << 20).unwrap();
        assert_eq!(json!(proved.transaction_hash), *hash);
        let path: MerkleProof = serde_json::from_value(shown["proof"].clone()).unwrap();
        light
            .verify_receipt(&header_of(&shown), &proved, &path)
            .unwrap();
        assert_eq!(shown["ethereumReceipt"], receipt);

        let latest = solo.call("eth_getProof", json!([who, [], "latest"])).await;
        assert!(latest["hawser"]["certifiedBy"].is_object(), "{latest}");
        let header = header_of(&latest["hawser"]);
        let proof = StateProof::decode(&bytes(&latest["accountProof"][0])).unwrap();
        assert!(
            light
                .verify_state(&header, &StateKey::Account(who), &proof)
                .is_ok()
        );

        let standard = solo
            .call("eth_getProof", json!([who, ["0x0"], number]))
            .await;
        assert_eq!(standard["nonce"], "0x2");
        let proof = StateProof::decode(&bytes(&standard["accountProof"][0])).unwrap();
        let header = header_of(&standard["hawser"]);
        assert!(
            light
                .verify_state(&header, &StateKey::Account(who), &proof)
                .unwrap()
                .is_some()
        );
        let proof = StateProof::decode(&bytes(&standard["storageProof"][0]["proof"][0])).unwrap();
        let key = StateKey::Storage(who, B256::ZERO);
        assert_eq!(light.verify_state(&header, &key, &proof).unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_is_found_and_proved() {
    let solo = Solo::start().await;
    let signer = SecretKey::from_seed(Scheme::Ed25519, &[5; 32]).unwrap();
    let record = |byte: u8| Record {
        digest: vec![byte; 32],
        algorithm: Algorithm::Sha256.number(),
        media_type: "text/plain".to_owned(),
        description: "a note".to_owned(),
        sealed_owner: vec![1, 2],
    };
    let input = evidence::encode_register(&[record(1), record(2)]);
    let call = call_of(evidence::ADDRESS, input);
    let ordering = Ordering::Sequential { nonce: 0 };
    let receipt = solo.mine(native(&signer, ordering, vec![call])).await;
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    let id = record(2).id(signer.address());
    let found = solo.call("hawser_getEvidence", json!([id])).await;
    assert_eq!(found["owner"], json!(signer.address()));
    assert_eq!(found["algorithm"], "sha-256");
    assert_eq!(found["transactionHash"], receipt["transactionHash"]);
    let digest = format!("0x{}", "02".repeat(32));
    for query in [
        json!([{ "algorithm": "sha-256", "digest": digest }]),
        json!([{ "algorithm": "sha-256", "digest": digest, "owner": signer.address() }]),
    ] {
        assert_eq!(
            solo.call("hawser_findEvidence", query).await,
            json!([found])
        );
    }
    let query = json!([{ "algorithm": "sm3", "digest": digest }]);
    assert_eq!(solo.call("hawser_findEvidence", query).await, json!([]));
    let (code, message) = solo
        .fail(
            "hawser_findEvidence",
            json!([{ "algorithm": "sha-512", "digest": digest }]),
        )
        .await;
    assert_eq!(code, -32602, "{message}");
    assert_eq!(
        solo.call("hawser_getEvidence", json!([B256::ZERO])).await,
        Value::Null
    );
    assert_eq!(
        solo.call("hawser_getEvidenceProof", json!([B256::ZERO]))
            .await,
        Value::Null
    );

    certified(&solo, found["height"].as_u64().unwrap()).await;
    let proof = solo.call("hawser_getEvidenceProof", json!([id])).await;
    let light = LightClient::new(solo.handle.store().genesis()).unwrap();
    let header: CertifiedHeader =
        decode_exact(&bytes(&proof["certifiedBy"]["encoded"]), 1 << 20).unwrap();
    let state = StateProof::decode(&bytes(&proof["proof"])).unwrap();
    let key = StateKey::Storage(evidence::ADDRESS, evidence::slot(&id));
    let slot = light.verify_state(&header, &key, &state).unwrap().unwrap();
    let stored = evidence::StoredRecord::decode(&bytes(&proof["encodedRecord"])).unwrap();
    assert_eq!(slot.as_ref(), stored.hash(Suite::Intl).as_slice());
    assert_eq!(stored.record, record(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_chain_tells_of_itself() {
    let solo = Solo::start().await;
    solo.mine(eip1559(&account(), 0, Address::ZERO, 0)).await;
    let status = solo.call("hawser_status", json!([])).await;
    assert_eq!(status["chainId"], CHAIN);
    assert_eq!(status["validators"], 1);
    let node = solo.call("hawser_nodeStatus", json!([])).await;
    assert_eq!(node["chains"].as_array().unwrap().len(), 1);
    let set = solo.call("hawser_getValidators", json!([])).await;
    assert_eq!(set["validators"][0]["name"], "solo");
    let header = solo.call("hawser_getHeader", json!([1])).await;
    let block = solo
        .call("eth_getBlockByNumber", json!(["0x1", false]))
        .await;
    assert_eq!(header["hash"], block["hash"]);
    assert_eq!(
        solo.call("hawser_getHeader", json!([block["hash"]])).await,
        header
    );
    let certificate = solo.call("hawser_getCertificate", json!([1])).await;
    assert_eq!(certificate["blockHash"], block["hash"]);
    assert_eq!(
        solo.call("hawser_getCertificate", json!([0])).await,
        Value::Null
    );
    assert_eq!(
        solo.call("hawser_getHeader", json!([1_000_000])).await,
        Value::Null
    );
    let version = solo.call("hawser_version", json!([])).await;
    assert_eq!(
        version["client"],
        solo.call("web3_clientVersion", json!([])).await
    );
    let genesis = solo.call("hawser_getGenesis", json!([])).await;
    assert_eq!(genesis["hash"], json!(solo.handle.store().genesis_hash()));
    assert_eq!(solo.call("eth_syncing", json!([])).await, false);
    assert_eq!(solo.call("eth_accounts", json!([])).await, json!([]));
    assert_eq!(solo.call("net_listening", json!([])).await, true);
    assert_eq!(solo.call("net_peerCount", json!([])).await, "0x0");
    assert_eq!(solo.call("admin_peers", json!([])).await, json!([]));
    assert!(solo.call("admin_nodeInfo", json!([])).await["protocols"]["hawser"].is_object());
    assert_eq!(solo.call("rpc_modules", json!([])).await["eth"], "1.0");
    let empty = "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";
    assert_eq!(solo.call("web3_sha3", json!(["0x"])).await, empty);
    // Every listed method is known; what is not listed is not.
    for method in hawser_rpc::METHODS {
        let response = solo
            .raw("/", method, json!(["nonsense", {}, [], 1, 2, 3]))
            .await;
        let message = response["error"]["message"].as_str().unwrap_or_default();
        assert!(!message.contains("does not exist"), "{method}: {message}");
        assert_ne!(response["error"]["code"], -32603, "{method}: {message}");
    }
    for method in ["eth_sign", "hardhat_metadata", "anvil_nodeInfo", "", "eth_"] {
        assert_eq!(solo.fail(method, json!([])).await.0, -32601, "{method}");
    }
}
