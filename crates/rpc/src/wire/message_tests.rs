use super::*;

fn limits() -> RpcLimits {
    RpcLimits::default()
}

fn single(text: &str) -> Result<Call, String> {
    match parse(text.as_bytes(), &limits()).unwrap() {
        Incoming::Single(call) => call,
        Incoming::Batch(_) => panic!("not a batch"),
    }
}

#[test]
fn ids_are_echoed_as_they_came_and_null_is_an_id() {
    for id in ["1", "\"a b\"", "null", "-3", "1.5", "9007199254740993"] {
        let call = single(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m"}}"#)).unwrap();
        assert_eq!(call.id.as_deref().map(RawValue::get), Some(id));
    }
    let notification = single(r#"{"jsonrpc":"2.0","method":"m","params":[]}"#).unwrap();
    assert!(notification.id.is_none());
}

#[test]
fn what_is_no_request_is_answered_with_minus_32600() {
    for text in [
        "1",
        "\"x\"",
        "null",
        r#"{"jsonrpc":"1.0","id":7,"method":"m"}"#,
        r#"{"id":7,"method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":7}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":5}"#,
        r#"{"jsonrpc":"2.0","id":{},"method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":[1],"method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":true,"method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}"#,
    ] {
        let answer = single(text).unwrap_err();
        assert!(answer.contains("-32600"), "{text} → {answer}");
    }
    assert!(
        single(r#"{"jsonrpc":"2.0","id":7}"#)
            .unwrap_err()
            .contains("\"id\":7")
    );
}

#[test]
fn what_is_no_json_is_a_parse_error() {
    for text in [
        &b""[..],
        b"{",
        b"[1,",
        b"\xff\xfe",
        b"{\"a\":\"\xc3\x28\"}",
        b"nope",
        b"{} {}",
    ] {
        let error = parse(text, &limits()).unwrap_err();
        assert_eq!(error.code, code::PARSE, "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn deep_json_is_refused_before_it_is_parsed() {
    let deep = |n: usize| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{}{}}}"#,
            "[".repeat(n),
            "]".repeat(n)
        )
    };
    let limits = limits();
    assert!(parse(deep(limits.json_depth_max - 1).as_bytes(), &limits).is_ok());
    let error = parse(deep(limits.json_depth_max).as_bytes(), &limits).unwrap_err();
    assert_eq!(error.code, code::PARSE);
    assert!(error.message.contains("64"), "{}", error.message);
    assert!(parse("[".repeat(1_000_000).as_bytes(), &limits).is_err());
}

#[test]
fn both_sides_of_the_batch_limit() {
    let limits = limits();
    let batch = |n: usize| {
        let one = r#"{"jsonrpc":"2.0","id":1,"method":"m"}"#;
        format!("[{}]", vec![one; n].join(","))
    };
    let Incoming::Batch(calls) = parse(batch(limits.batch_max).as_bytes(), &limits).unwrap() else {
        panic!("a batch");
    };
    assert_eq!(calls.len(), limits.batch_max);
    for n in [limits.batch_max + 1, 100_000] {
        let error = parse(batch(n).as_bytes(), &limits).unwrap_err();
        assert_eq!(error.code, code::INVALID_REQUEST);
        assert!(error.message.contains("1000"), "{}", error.message);
    }
    let empty = parse(b" [ ] ", &limits).unwrap_err();
    assert_eq!(empty.code, code::INVALID_REQUEST);
}

#[test]
fn items_of_a_batch_fail_on_their_own() {
    let text = br#"[1, {"jsonrpc":"2.0","id":2,"method":"m"}, []]"#;
    let Incoming::Batch(calls) = parse(text, &limits()).unwrap() else {
        panic!("a batch")
    };
    let kinds: Vec<_> = calls.iter().map(Result::is_ok).collect();
    assert_eq!(kinds, [false, true, false]);
}

#[test]
fn responses_have_the_standard_form() {
    let id = RawValue::from_string("\"x\"".to_owned()).unwrap();
    let ok = response(Some(&id), &json("0x1"));
    assert_eq!(ok, r#"{"jsonrpc":"2.0","id":"x","result":"0x1"}"#);
    let failed = response(None, &Err(ErrorObject::method_not_found("foo_bar")));
    assert_eq!(
        failed,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"the method foo_bar does not exist/is not available"}}"#
    );
}

/// Whatever comes: an error or calls, and answers that are JSON.
#[test]
fn damaged_messages_are_answered_with_json() {
    use crate::{mutate, wire::Params};
    use hawser_execution::TransactionRequest;

    let seeds = [
        r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#,
        r#"{"jsonrpc":"2.0","id":"a","method":"eth_call","params":[{"to":"0x0000000000000000000000000000000000000001","data":"0xa9059cbb","value":"0x1"},"latest"]}"#,
        r#"[{"jsonrpc":"2.0","id":null,"method":"eth_getBlockByNumber","params":["0x1",false]},{"jsonrpc":"2.0","method":"m"}]"#,
        r#"{"jsonrpc":"2.0","id":1.5,"method":"eth_getLogs","params":[{"fromBlock":"0x1","topics":[null,["0x00"]]}]}"#,
    ];
    let seeds = seeds.map(|text| text.as_bytes().to_vec()).to_vec();
    let words = [
        "{", "}", "[", "]", "\"", ",", ":", "null", "\\ud800", "1e999", "\"id\":", "0x",
    ];
    let mut mutator = mutate::Mutator::new(1, seeds, &words);
    let is_json = |text: &str| serde_json::from_str::<serde_json::Value>(text).is_ok();
    for n in 0..mutate::inputs() {
        let input = mutator.input();
        let calls = match parse(&input, &limits()) {
            Ok(Incoming::Single(call)) => vec![call],
            Ok(Incoming::Batch(calls)) => {
                assert!((1..=limits().batch_max).contains(&calls.len()));
                calls
            }
            Err(error) => {
                assert!(is_json(&response(None, &Err(error))), "input {n}");
                continue;
            }
        };
        for call in calls {
            let answer = match call {
                Err(answer) => answer,
                Ok(call) => {
                    let params = Params::new(call.params.as_deref());
                    let error = params.and_then(|mut params| {
                        params.required::<TransactionRequest>("transaction")?;
                        params.optional::<alloy_eips::BlockId>("block")?;
                        params.end()
                    });
                    let result = error.and_then(|()| json(&"0x1"));
                    response(call.id.as_deref(), &result)
                }
            };
            assert!(is_json(&answer), "input {n}: {answer}");
        }
    }
}

#[test]
fn a_long_result_ends_at_its_limit_and_when_nobody_waits() {
    let stop = Stop::default();
    let value = ["0123456789"; 3];
    let text = serde_json::to_string(&value).unwrap();
    let written = json_within(&value, text.len(), &stop).unwrap();
    assert_eq!(written.get(), text);
    let error = json_within(&value, text.len() - 1, &stop).unwrap_err();
    assert_eq!(error.code, code::RESPONSE_TOO_LARGE);
    assert!(error.message.contains("limit of 39 "), "{}", error.message);
    stop.raise();
    let error = json_within(&value, text.len(), &stop).unwrap_err();
    assert!(error.message.contains("given up"), "{}", error.message);
}
