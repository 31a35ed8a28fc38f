use super::*;
use hawser_ledger::Transaction;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

fn ground(urls: Vec<String>, suite: Suite) -> Ground {
    Ground {
        urls,
        suite,
        chain: ChainId(7),
        token: Address::repeat_byte(0x77),
        seed: 1,
        run: 1,
        now: Time(1_700_000_000_000),
        binary: true,
    }
}

#[test]
fn every_probe_that_has_to_be_refused_is_bad_by_itself_or_late() {
    for suite in Suite::ALL {
        for (kind, raw) in ground(Vec::new(), suite).refused_at_once().unwrap() {
            let verified = Transaction::decode(suite, raw.bytes.clone())
                .ok()
                .and_then(|transaction| transaction.verify(ChainId(7)).ok());
            assert_eq!(
                verified.is_some(),
                kind == "an expiry in the past",
                "{suite} {kind}"
            );
            assert_eq!(raw.hash, Transaction::hash_of(suite, &raw.bytes), "{kind}");
        }
    }
}

#[test]
fn an_accepted_bad_transaction_voids_the_run() {
    assert!(judge("a bad signature", false).is_ok());
    let error = judge("a bad signature", true).unwrap_err();
    assert!(matches!(error, BenchError::Void(_)), "{error}");
    assert!(error.to_string().contains("a bad signature"));
}

/// A node that takes everything.
async fn careless(json: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = Vec::new();
                while stream.read_buf(&mut request).await.unwrap_or(0) > 0 {
                    let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else {
                        continue;
                    };
                    let length = head.split("content-length: ").nth(1).unwrap_or("0");
                    let length: usize = length.lines().next().unwrap().trim().parse().unwrap();
                    if body.len() < length {
                        continue;
                    }
                    let answer = if head.starts_with("post /raw") {
                        b"\0\0\0\x01\0\0\0\0\0\0\0".to_vec()
                    } else {
                        json.as_bytes().to_vec()
                    };
                    let head = format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                        answer.len()
                    );
                    stream.write_all(head.as_bytes()).await.unwrap();
                    stream.write_all(&answer).await.unwrap();
                    request.clear();
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn a_node_that_checks_nothing_is_found_out_by_either_way_in() {
    let takes = r#"{"jsonrpc":"2.0","id":1,"result":"0x00"}"#;
    let refuses = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"bad"}}"#;
    for json in [takes, refuses] {
        let url = careless(json).await;
        let error = ground(vec![url], Suite::Intl).send(None).await.unwrap_err();
        assert!(matches!(error, BenchError::Void(_)), "{error}");
        assert!(
            error.to_string().contains("accepted a transaction with"),
            "{error}"
        );
    }
}
