//! What must not hurt: malformed, oversized, deep, slow and never-ending input.

use std::time::Duration;

use crate::common::*;
use alloy_primitives::{Address, B256, TxKind, hex};
use futures_util::{SinkExt, StreamExt};
use hawser_crypto::Suite;
use hawser_rpc::RpcLimits;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

const GOOD: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;

async fn limited(limits: RpcLimits) -> Solo {
    Solo::with(Suite::Intl, limits).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_bodies_get_an_error_and_the_node_goes_on() {
    let solo = Solo::start().await;
    let deep = |open: &str, close: &str, n: usize| format!("{}{}", open.repeat(n), close.repeat(n));
    let call = |params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_call","params":{params}}}"#)
    };
    let bodies: Vec<(Vec<u8>, i64)> = vec![
        (b"".to_vec(), -32700),
        (b"{".to_vec(), -32700),
        (vec![0xff; 1000], -32700),
        (vec![0; 1000], -32700),
        (b"[]".to_vec(), -32600),
        (b"7".to_vec(), -32600),
        (deep("[", "]", 10_000).into_bytes(), -32700),
        (deep("{\"a\":", "}", 10_000).into_bytes(), -32700),
        ("[".repeat(4_000_000).into_bytes(), -32700),
        (call(&deep("[", "]", 10_000)).into_bytes(), -32700),
        (
            call(&format!("[{}1]", "1,".repeat(1_000_000))).into_bytes(),
            -32602,
        ),
        (format!("[{}1]", "1,".repeat(99_999)).into_bytes(), -32600),
        (
            format!("[{}{GOOD}]", format!("{GOOD},").repeat(99_999)).into_bytes(),
            -32600,
        ),
        (
            call(&format!("[{{\"data\":\"0x{}\"}}]", "zz".repeat(500_000))).into_bytes(),
            -32602,
        ),
        (call("[{\"to\":7}]").into_bytes(), -32602),
        (call("{\"to\":7}").into_bytes(), -32602),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xc3\x28\"}".to_vec(),
            -32700,
        ),
    ];
    for (body, code) in bodies {
        let start = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let (status, text) = solo.post("/", body).await;
        assert!(status == 200 || status == 413, "{start}: {status}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        if status == 200 {
            assert_eq!(answer["error"]["code"], code, "{start}: {text:.200}");
        }
        assert_eq!(solo.post("/", GOOD).await.0, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_of_the_body_limit_announced_or_not() {
    let solo = limited(RpcLimits {
        body_bytes_max: 1_000,
        ..RpcLimits::default()
    })
    .await;
    let padded = |n: usize| format!("{GOOD}{}", " ".repeat(n - GOOD.len()));
    assert_eq!(solo.post("/", padded(1_000)).await.0, 200);
    let (status, text) = solo.post("/", padded(1_001)).await;
    assert_eq!(status, 413);
    assert!(text.contains("1000 bytes"), "{text}");
    let mut stream = tokio::net::TcpStream::connect(solo.server.local_addr())
        .await
        .unwrap();
    let head =
        "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("258\r\n{}\r\n", padded(600));
    stream
        .write_all(format!("{head}{chunk}{chunk}0\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.ok();
    assert!(text.starts_with("HTTP/1.1 413"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_follow_the_specification() {
    let solo = limited(RpcLimits {
        batch_max: 4,
        ..RpcLimits::default()
    })
    .await;
    let batch = json!([
        { "jsonrpc": "2.0", "id": "a", "method": "eth_chainId" },
        { "jsonrpc": "2.0", "method": "eth_chainId" },
        { "jsonrpc": "2.0", "id": 2, "method": "no_such" },
        5,
    ]);
    let (status, text) = solo.post("/", batch.to_string()).await;
    assert_eq!(status, 200);
    let answers: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(answers.len(), 3);
    assert_eq!(
        (&answers[0]["id"], &answers[0]["result"]),
        (&json!("a"), &json!("0x106f"))
    );
    assert_eq!(
        (&answers[1]["id"], &answers[1]["error"]["code"]),
        (&json!(2), &json!(-32601))
    );
    assert_eq!(
        (&answers[2]["id"], &answers[2]["error"]["code"]),
        (&Value::Null, &json!(-32600))
    );
    let silent = json!([{ "jsonrpc": "2.0", "method": "eth_chainId" }]);
    assert_eq!(
        solo.post("/", silent.to_string()).await,
        (204, String::new())
    );
    let many = |n: usize| json!(vec![serde_json::from_str::<Value>(GOOD).unwrap(); n]).to_string();
    assert!(solo.post("/", many(4)).await.1.starts_with('['));
    let (_, text) = solo.post("/", many(5)).await;
    assert!(text.contains("limit of 4"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_answers_grow_too_long_says_so_per_answer() {
    let solo = limited(RpcLimits {
        response_bytes_max: 4_000,
        ..RpcLimits::default()
    })
    .await;
    let one = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber",
        "params": ["latest", false] });
    let (_, text) = solo.post("/", json!(vec![one; 8]).to_string()).await;
    let answers: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(answers.len(), 8);
    assert!(answers[0]["result"].is_object());
    assert_eq!(answers[7]["error"]["code"], -32003);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_not_json_rpc_are_told_what_is() {
    let solo = Solo::start().await;
    let http = reqwest::Client::new();
    let text = http
        .post(&solo.url)
        .header("content-type", "text/plain")
        .body(GOOD);
    assert_eq!(text.send().await.unwrap().status(), 415);
    assert_eq!(http.get(&solo.url).send().await.unwrap().status(), 405);
    assert_eq!(http.put(&solo.url).send().await.unwrap().status(), 405);
    assert_eq!(
        http.post(format!("{}/nowhere", solo.url))
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    assert_eq!(
        http.post(format!("{}/chain/x", solo.url))
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    let preflight = http
        .request(reqwest::Method::OPTIONS, &solo.url)
        .header("origin", "https://a.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type")
        .send()
        .await
        .unwrap();
    assert_eq!(preflight.headers()["access-control-allow-origin"], "*");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_of_the_connection_limit() {
    let limits = RpcLimits {
        connections_max: 2,
        read_ms_max: 30_000,
        ..RpcLimits::default()
    };
    let solo = limited(limits).await;
    let address = solo.server.local_addr();
    let ask = |mut stream: tokio::net::TcpStream| async move {
        let request = format!(
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{GOOD}",
            GOOD.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut start = [0u8; 12];
        stream.read_exact(&mut start).await.ok();
        (String::from_utf8_lossy(&start).into_owned(), stream)
    };
    let connect = || tokio::net::TcpStream::connect(address);
    let (first, _one) = ask(connect().await.unwrap()).await;
    let (second, two) = ask(connect().await.unwrap()).await;
    assert_eq!(
        (first.as_str(), second.as_str()),
        ("HTTP/1.1 200", "HTTP/1.1 200")
    );
    let mut third = connect().await.unwrap();
    let mut text = String::new();
    third.read_to_string(&mut text).await.ok();
    assert!(text.starts_with("HTTP/1.1 503"), "{text}");
    assert_eq!(text.split("\r\n\r\n").nth(1).unwrap().len(), 50);
    drop(two);
    let deadline = std::time::Instant::now() + DEADLINE;
    loop {
        let (again, _stream) = ask(connect().await.unwrap()).await;
        if again == "HTTP/1.1 200" {
            break;
        }
        assert!(std::time::Instant::now() < deadline);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_of_the_connections_of_one_address() {
    let solo = limited(RpcLimits {
        connections_per_address_max: 2,
        ..RpcLimits::default()
    })
    .await;
    let address = solo.server.local_addr();
    let connect = || tokio::net::TcpStream::connect(address);
    let said = |mut stream: tokio::net::TcpStream| async move {
        let mut text = String::new();
        let read = stream.read_to_string(&mut text);
        tokio::time::timeout(DEADLINE, read).await.unwrap().ok();
        text
    };
    // A WebSocket counts for as long as it is open.
    let (socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}"))
        .await
        .unwrap();
    let one = connect().await.unwrap();
    let text = said(connect().await.unwrap()).await;
    assert!(text.starts_with("HTTP/1.1 503"), "{text}");
    assert!(text.contains("from your address"), "{text}");
    drop((socket, one));
    let deadline = std::time::Instant::now() + DEADLINE;
    loop {
        let mut stream = connect().await.unwrap();
        let request = format!(
            "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{GOOD}",
            GOOD.len()
        );
        stream.write_all(request.as_bytes()).await.ok();
        if said(stream).await.starts_with("HTTP/1.1 200") {
            break;
        }
        assert!(std::time::Instant::now() < deadline);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_send_nothing_are_closed() {
    let solo = limited(RpcLimits {
        read_ms_max: PATIENT_MS,
        ..RpcLimits::default()
    })
    .await;
    let address = solo.server.local_addr();
    let mut silent = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut half = tokio::net::TcpStream::connect(address).await.unwrap();
    half.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        .await
        .unwrap();
    let mut text = String::new();
    tokio::time::timeout(DEADLINE, silent.read_to_string(&mut text))
        .await
        .unwrap()
        .ok();
    let mut text = String::new();
    tokio::time::timeout(DEADLINE, half.read_to_string(&mut text))
        .await
        .unwrap()
        .ok();
    assert!(text.starts_with("HTTP/1.1 408"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_of_the_websocket_limits() {
    let limits = RpcLimits {
        websockets_max: 1,
        ws_message_bytes_max: 1_000,
        ..RpcLimits::default()
    };
    let solo = limited(limits).await;
    let mut socket = solo.socket().await;
    assert_eq!(socket.call("eth_chainId", json!([])).await, "0x106f");
    let url = solo.url.replace("http", "ws");
    assert!(tokio_tungstenite::connect_async(&url).await.is_err());
    let padded = |n: usize| format!("{GOOD}{}", " ".repeat(n - GOOD.len()));
    socket.0.send(Message::text(padded(1_000))).await.unwrap();
    assert_eq!(socket.next().await.unwrap()["result"], "0x106f");
    socket.0.send(Message::text(padded(1_001))).await.ok();
    assert_eq!(close_code(&mut socket).await, 1009);
    let deadline = std::time::Instant::now() + DEADLINE;
    while tokio_tungstenite::connect_async(&url).await.is_err() {
        assert!(
            std::time::Instant::now() < deadline,
            "the place was not given back"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The code with which the node closes a connection.
async fn close_code(socket: &mut Socket) -> u16 {
    loop {
        let next = tokio::time::timeout(DEADLINE, socket.0.next()).await;
        match next.expect("in time") {
            Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
            Some(Ok(Message::Close(None))) => return 1005,
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return 1006,
        }
    }
}

/// The code with which the node closes a WebSocket whose client sends these bytes.
async fn close_code_for(solo: &Solo, frame: &[u8]) -> u16 {
    let address = solo.server.local_addr();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = "GET / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(frame).await.unwrap();
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    tokio::time::timeout(DEADLINE, read).await.unwrap().unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    match &bytes[end.unwrap() + 4..] {
        [0x88, _, high, low, ..] => u16::from_be_bytes([*high, *low]),
        other => panic!("no close: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_break_the_protocol_are_answered_with_the_code_for_it() {
    let solo = Solo::start().await;
    for (what, frame, code) in [
        ("unknown opcode", [0x83, 0x80, 0, 0, 0, 0].as_slice(), 1002),
        ("unknown control", &[0x8b, 0x80, 0, 0, 0, 0], 1002),
        ("reserved bit", &[0xc1, 0x80, 0, 0, 0, 0], 1002),
        ("no mask", &[0x81, 0x01, b'x'], 1002),
        ("nothing to go on with", &[0x80, 0x80, 0, 0, 0, 0], 1002),
        ("no UTF-8", &[0x81, 0x81, 0, 0, 0, 0, 0xff], 1007),
        (
            "a frame of 2^40 bytes",
            &[0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            1009,
        ),
    ] {
        assert_eq!(close_code_for(&solo, frame).await, code, "{what}");
    }
    assert_eq!(solo.post("/", GOOD).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_far_over_the_limit_is_answered_with_the_code_for_it() {
    let solo = Solo::start().await;
    let mut socket = solo.socket().await;
    let huge = format!("{GOOD}{}", " ".repeat(6 << 20));
    // Sent while the answer is read, as programs do.
    let sent = socket.0.send(Message::text(huge));
    tokio::time::timeout(DEADLINE, sent).await.unwrap().ok();
    assert_eq!(close_code(&mut socket).await, 1009);
    assert_eq!(solo.post("/", GOOD).await.0, 200);
}

/// Limits on clients that are too slow, in milliseconds: longer than a busy machine stands still, so that only who shall
/// be too slow is.
const PATIENT_MS: u64 = 3_000;

/// Waits until the node gives up on a client that reads nothing.
async fn until_dropped(mut stream: tokio::net::TcpStream) {
    let started = std::time::Instant::now();
    // A peer that was reset is noticed by writing to it.
    while stream.write_all(b"x").await.is_ok() {
        assert!(started.elapsed() < DEADLINE, "the client was not dropped");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A request whose answer is some megabytes long.
fn hungry(items: usize) -> String {
    let one = json!({ "jsonrpc": "2.0", "id": 1, "method": "rpc_modules" });
    let padded = json!({ "jsonrpc": "2.0", "id": "x".repeat(5_000), "method": "rpc_modules" });
    Value::Array([vec![padded; items], vec![one]].concat()).to_string()
}

async fn ask_and_do_not_read(solo: &Solo, body: &str) -> tokio::net::TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(solo.server.local_addr()).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_client_that_never_reads_loses_its_connection() {
    let limits = RpcLimits {
        write_ms_max: PATIENT_MS,
        write_rate_min: 1 << 30,
        ..RpcLimits::default()
    };
    let solo = limited(limits).await;
    let body = hungry(999);
    let asked = std::time::Instant::now();
    let stream = ask_and_do_not_read(&solo, &body).await;
    until_dropped(stream).await;
    let waited = asked.elapsed();
    assert!(waited >= Duration::from_millis(PATIENT_MS), "{waited:?}");
    // Who reads gets all of it, however long.
    let (status, text) = solo.post("/", body).await;
    assert!(status == 200 && text.len() > 4_000_000, "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_of_the_memory_that_all_clients_share() {
    let limits = RpcLimits {
        write_ms_max: 60_000,
        memory_bytes_max: 24 << 20,
        connection_bytes_max: 20 << 20,
        ..RpcLimits::default()
    };
    let solo = limited(limits).await;
    let body = hungry(600);
    // One after another they leave some megabytes unread.
    let mut waiting = Vec::new();
    let deadline = std::time::Instant::now() + DEADLINE;
    let refused = loop {
        waiting.push(ask_and_do_not_read(&solo, &body).await);
        let (status, text) = solo.post("/", body.clone()).await;
        if status == 503 || text.contains("the node is busy") {
            break text;
        }
        assert!(status == 200, "{status}");
        assert!(std::time::Instant::now() < deadline && waiting.len() < 50);
    };
    assert!(waiting.len() >= 2, "{}: {refused:.200}", waiting.len());
    // Small questions are answered all the same.
    assert_eq!(solo.post("/", GOOD).await.0, 200);
    drop(waiting);
    loop {
        let (status, text) = solo.post("/", body.clone()).await;
        if status == 200 && !text.contains("the node is busy") {
            break;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "memory was not given back"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_falls_silent_after_a_request_is_closed() {
    let solo = limited(RpcLimits {
        read_ms_max: PATIENT_MS,
        ..RpcLimits::default()
    })
    .await;
    let mut stream = ask_and_do_not_read(&solo, GOOD).await;
    let mut text = String::new();
    tokio::time::timeout(DEADLINE, stream.read_to_string(&mut text))
        .await
        .unwrap()
        .ok();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_that_does_not_answer_pings_is_closed() {
    let solo = limited(RpcLimits {
        ws_silence_ms_max: PATIENT_MS,
        ..RpcLimits::default()
    })
    .await;
    let (mut lively, mut silent) = (solo.socket().await, solo.socket().await);
    // Reading answers pings; one reads, and one does not, for twice the silence that is allowed.
    let end = tokio::time::Instant::now() + Duration::from_millis(2 * PATIENT_MS);
    while let Ok(next) = tokio::time::timeout_at(end, lively.0.next()).await {
        assert!(matches!(next, Some(Ok(Message::Ping(_)))), "{next:?}");
    }
    assert_eq!(lively.call("eth_chainId", json!([])).await, "0x106f");
    assert!(close_code(&mut silent).await >= 1001);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_transaction_is_refused_in_words() {
    let solo = Solo::start().await;
    let raw = eip1559(&account(), 0, Address::ZERO, 0);
    let digits = hex::encode(&raw);
    let (code, message) = solo.fail("eth_sendRawTransaction", json!([digits])).await;
    assert_eq!(code, -32602);
    assert!(message.contains("begins with 0x"), "{message}");
    let cut = format!("0x{}", &digits[..80]);
    let (_, message) = solo.fail("eth_sendRawTransaction", json!([cut])).await;
    assert!(
        message.contains("is cut off") && message.contains("are missing"),
        "{message}"
    );
    assert!(!message.contains("type flag"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_ends_in_the_time_that_its_caller_allows() {
    let solo = limited(RpcLimits {
        call_gas_max: 2_000_000_000,
        heavy_ms_max: 60_000,
        ..RpcLimits::default()
    })
    .await;
    let at = Address::repeat_byte(0x99);
    let trace = |timeout: &str| {
        json!([{ "to": at, "gas": "0xffffffffff" }, "latest",
            { "timeout": timeout, "tracer": "callTracer",
              "stateOverrides": { at.to_string(): { "code": "0x5b5f56" } } }])
    };
    let started = std::time::Instant::now();
    let (code, message) = solo.fail("debug_traceCall", trace("50ms")).await;
    assert_eq!(code, -32005, "{message}");
    assert!(
        message.contains("the 50 ms that the request allows"),
        "{message}"
    );
    assert!(started.elapsed() < DEADLINE);
    let (code, message) = solo.fail("debug_traceCall", trace("soon")).await;
    assert_eq!(code, -32602);
    assert!(message.contains("no duration"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_takes_batches_and_survives_nonsense() {
    let solo = Solo::start().await;
    let mut socket = solo.socket().await;
    for nonsense in ["", "{", "[[[[", "[]", "5"] {
        socket.0.send(Message::text(nonsense)).await.unwrap();
        assert!(socket.next().await.unwrap()["error"].is_object());
    }
    socket
        .0
        .send(Message::binary(vec![0xff, 0xfe]))
        .await
        .unwrap();
    assert_eq!(socket.next().await.unwrap()["error"]["code"], -32700);
    socket
        .0
        .send(Message::text(format!("[{GOOD},{GOOD}]")))
        .await
        .unwrap();
    assert_eq!(socket.next().await.unwrap().as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_client_that_never_reads_is_dropped() {
    let limits = RpcLimits {
        ws_queue_max: 4,
        ws_write_ms_max: 300,
        ws_queue_bytes_max: 1 << 20,
        ..RpcLimits::default()
    };
    let solo = limited(limits).await;
    let mut socket = solo.socket().await;
    let hungry = json!([
        json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber",
        "params": ["latest", false] })
    ]);
    let hungry = Value::Array(vec![hungry[0].clone(); 100]).to_string();
    let deadline = std::time::Instant::now() + DEADLINE;
    // Asks and never reads: once the kernel's buffers are full the node gives up on the client.
    loop {
        let sent = socket.0.send(Message::text(hungry.clone()));
        match tokio::time::timeout(Duration::from_secs(5), sent).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => break,
        }
        assert!(
            std::time::Instant::now() < deadline,
            "the client was not dropped"
        );
    }
    assert_eq!(solo.post("/", GOOD).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_of_the_limits_on_log_queries() {
    let limits = RpcLimits {
        logs_range_max: 3,
        logs_results_max: 2,
        ..RpcLimits::default()
    };
    let solo = limited(limits).await;
    let key = account();
    let init = hex::decode(EMITTER).unwrap().into();
    let receipt = solo.mine(legacy(&key, 0, TxKind::Create, init)).await;
    let emitter: Address = serde_json::from_value(receipt["contractAddress"].clone()).unwrap();
    let mut heights = Vec::new();
    for nonce in 1..=5 {
        let input = B256::repeat_byte(1).to_vec().into();
        let receipt = solo
            .mine(legacy(&key, nonce, TxKind::Call(emitter), input))
            .await;
        let number = receipt["blockNumber"].as_str().unwrap();
        heights.push(u64::from_str_radix(&number[2..], 16).unwrap());
    }
    let range = |from: u64, to: u64| json!([{ "fromBlock": format!("{from:#x}"), "toBlock": format!("{to:#x}") }]);
    let first = heights[0];
    assert!(
        solo.call("eth_getLogs", range(first, first + 1))
            .await
            .is_array()
    );
    let (code, message) = solo.fail("eth_getLogs", range(first, first + 3)).await;
    assert_eq!(code, -32005);
    assert!(
        message.contains(&format!("[{first:#x}, {:#x}]", first + 2)),
        "{message}"
    );
    if heights[2] - first < 3 {
        let (code, message) = solo.fail("eth_getLogs", range(first, heights[2])).await;
        assert_eq!(code, -32005);
        assert!(message.contains("more than 2 results"), "{message}");
        // The range that the message suggests works.
        let (_, tail) = message.split_once('[').unwrap();
        let (range_text, _) = tail.split_once(']').unwrap();
        let (from, to) = range_text.split_once(", ").unwrap();
        let suggested = json!([{ "fromBlock": from, "toBlock": to }]);
        assert_eq!(
            solo.call("eth_getLogs", suggested)
                .await
                .as_array()
                .unwrap()
                .len(),
            2
        );
    }
    let reversed = solo.fail("eth_getLogs", range(2, 1)).await;
    assert_eq!(reversed.0, -32602, "{}", reversed.1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_never_end_cost_bounded_gas_and_time() {
    let limits = RpcLimits {
        call_gas_max: 30_000_000,
        ..RpcLimits::default()
    };
    let solo = limited(limits).await;
    let at = Address::repeat_byte(0x99);
    // JUMPDEST PUSH0 JUMP
    let params = json!([{ "to": at, "gas": "0xffffffffff" }, "latest", { at.to_string(): { "code": "0x5b5f56" } }]);
    let (code, message) = solo.fail("eth_call", params).await;
    assert!(code == -32000 || code == -32005, "{message}");
    assert_eq!(solo.post("/", GOOD).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_of_the_limits_on_proofs_history_and_the_pool() {
    let limits = RpcLimits {
        proof_keys_max: 2,
        fee_history_max: 1,
        pool_content_max: 1,
        ..RpcLimits::default()
    };
    let solo = limited(limits).await;
    let slots = |n: usize| json!([Address::ZERO, vec!["0x0"; n], "latest"]);
    assert!(solo.call("eth_getProof", slots(2)).await.is_object());
    assert_eq!(solo.fail("eth_getProof", slots(3)).await.0, -32005);
    let keys = |n: usize| json!([vec![json!({ "account": Address::ZERO }); n]]);
    let (code, message) = solo.fail("hawser_getStateProof", keys(3)).await;
    assert_eq!(code, -32005, "{message}");
    assert_ne!(solo.fail("hawser_getStateProof", keys(2)).await.0, -32005);

    solo.mine(eip1559(&account(), 0, Address::ZERO, 0)).await;
    let history = solo
        .call("eth_feeHistory", json!(["0x5", "latest", []]))
        .await;
    assert_eq!(history["gasUsedRatio"].as_array().unwrap().len(), 1);
    let none = solo
        .call("eth_feeHistory", json!(["0x0", "latest", []]))
        .await;
    assert_eq!(none["gasUsedRatio"], Value::Null);
    for bad in [json!([50.0, 10.0]), json!([101.0]), json!(vec![1.0; 101])] {
        let (code, _) = solo
            .fail("eth_feeHistory", json!(["0x1", "latest", bad]))
            .await;
        assert_eq!(code, -32602);
    }

    for nonce in [5, 6] {
        if nonce == 6 {
            assert!(solo.call("txpool_content", json!([])).await.is_object());
        }
        let raw = eip1559(&account(), nonce, Address::ZERO, 0);
        solo.call("eth_sendRawTransaction", json!([raw])).await;
    }
    assert_eq!(solo.fail("txpool_content", json!([])).await.0, -32005);
    assert_eq!(solo.fail("txpool_inspect", json!([])).await.0, -32005);
    let from = solo
        .call("txpool_contentFrom", json!([account().address()]))
        .await;
    assert_eq!(from["queued"].as_object().unwrap().len(), 2);
}

/// A contract that emits as many events as it has gas for.
async fn flooder(solo: &Solo) -> Address {
    let init = hex::decode(FLOODER).unwrap().into();
    let receipt = solo.mine(legacy(&account(), 0, TxKind::Create, init)).await;
    serde_json::from_value(receipt["contractAddress"].clone()).unwrap()
}

/// Has it emit some two thousand events; hash and height.
async fn flood(solo: &Solo, flooder: Address, nonce: u64) -> (Value, Value) {
    let raw = legacy(&account(), nonce, TxKind::Call(flooder), Default::default());
    let hash = solo.call("eth_sendRawTransaction", json!([raw])).await;
    let deadline = std::time::Instant::now() + DEADLINE;
    loop {
        let found = solo.call("eth_getTransactionByHash", json!([hash])).await;
        if found["blockNumber"].is_string() {
            return (hash, found["blockNumber"].clone());
        }
        assert!(std::time::Instant::now() < deadline, "not executed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_receipts_are_written_up_to_the_limit_and_refused_before_they_are_beyond_it() {
    let solo = Solo::start().await;
    let at = flooder(&solo).await;
    let (hash, height) = flood(&solo, at, 1).await;
    let receipt = solo.receipt(&hash).await;
    let logs = receipt["logs"].as_array().unwrap();
    assert!(logs.len() > 2_000, "{}", logs.len());
    assert_eq!(
        logs.last().unwrap()["logIndex"],
        format!("{:#x}", logs.len() - 1)
    );
    let all = solo.call("eth_getBlockReceipts", json!([height])).await;
    assert_eq!(all, json!([receipt]));
    let proof = solo.call("hawser_getReceiptProof", json!([hash])).await;
    assert_eq!(proof["ethereumReceipt"], receipt);

    let solo = limited(RpcLimits {
        response_bytes_max: 400_000,
        ..RpcLimits::default()
    })
    .await;
    let at = flooder(&solo).await;
    let (hash, height) = flood(&solo, at, 1).await;
    for (method, params) in [
        ("eth_getTransactionReceipt", json!([hash])),
        ("eth_getBlockReceipts", json!([height])),
        ("hawser_getReceiptProof", json!([hash])),
    ] {
        let (code, message) = solo.fail(method, params).await;
        assert_eq!(code, -32003, "{method}: {message}");
        // How long it would have been is not known: it was not written.
        assert!(
            message.contains("response exceeds the limit of 400000 bytes"),
            "{method}: {message}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_batch_begins_no_further_calls() {
    let solo = limited(RpcLimits {
        response_bytes_max: 4_000,
        concurrency_max: 1,
        ..RpcLimits::default()
    })
    .await;
    let long = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber",
        "params": ["latest", false] });
    let raw = eip1559(&account(), 0, Address::ZERO, 0);
    let send = json!({ "jsonrpc": "2.0", "id": 2, "method": "eth_sendRawTransaction",
        "params": [raw] });
    let batch = Value::Array([vec![long; 8], vec![send]].concat());
    let (_, text) = solo.post("/", batch.to_string()).await;
    let answers: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(answers.len(), 9);
    assert!(answers[0]["result"].is_object());
    assert_eq!(
        (&answers[8]["id"], &answers[8]["error"]["code"]),
        (&json!(2), &json!(-32003))
    );
    let message = answers[8]["error"]["message"].as_str().unwrap();
    assert!(message.contains("not carried out"), "{message}");
    let sent = solo
        .call(
            "eth_getTransactionCount",
            json!([account().address(), "pending"]),
        )
        .await;
    assert_eq!(sent, "0x0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_a_block_that_no_answer_holds_come_in_parts() {
    for limits in [
        RpcLimits {
            logs_results_max: 900,
            ..RpcLimits::default()
        },
        RpcLimits {
            response_bytes_max: 300_000,
            ..RpcLimits::default()
        },
    ] {
        let (bytes_max, logs_max) = (limits.response_bytes_max, limits.logs_results_max);
        let solo = limited(limits).await;
        let at = flooder(&solo).await;
        let filter = solo.call("eth_newFilter", json!([{ "address": at }])).await;
        let (_, first) = flood(&solo, at, 1).await;
        let (_, second) = flood(&solo, at, 2).await;
        let (mut found, mut parts) = (Vec::new(), 0);
        loop {
            let part = solo.call("eth_getFilterChanges", json!([filter])).await;
            let part = part.as_array().unwrap().clone();
            if part.is_empty() {
                break;
            }
            assert!(part.len() <= logs_max);
            assert!(Value::Array(part.clone()).to_string().len() <= bytes_max);
            parts += 1;
            found.extend(part);
        }
        assert!(parts >= 4, "{parts}");
        for height in [&first, &second] {
            let places: Vec<_> = found
                .iter()
                .filter(|log| log["blockNumber"] == *height)
                .map(|log| log["logIndex"].as_str().unwrap())
                .collect();
            assert!(places.len() > 2_000, "{}", places.len());
            let all: Vec<_> = (0..places.len()).map(|at| format!("{at:#x}")).collect();
            assert_eq!(places, all);
        }
        // The same range again would be the same error.
        let range = json!([{ "fromBlock": first, "toBlock": first }]);
        let (code, message) = solo.fail("eth_getLogs", range).await;
        assert_eq!(code, -32005, "{message}");
        assert!(!message.contains("block range"), "{message}");
        assert!(
            message.contains("name addresses and topics, or follow a filter"),
            "{message}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_reads_gets_more_events_than_its_queue_holds() {
    let solo = limited(RpcLimits {
        ws_queue_max: 4,
        ws_queue_bytes_max: 4_096,
        ..RpcLimits::default()
    })
    .await;
    let at = flooder(&solo).await;
    let mut socket = solo.socket().await;
    socket
        .call("eth_subscribe", json!(["logs", { "address": at }]))
        .await;
    let (hash, _) = flood(&solo, at, 1).await;
    let receipt = solo.receipt(&hash).await;
    for log in receipt["logs"].as_array().unwrap() {
        let message = socket.next().await.expect("still open");
        assert_eq!(message["params"]["result"], *log);
    }
}
