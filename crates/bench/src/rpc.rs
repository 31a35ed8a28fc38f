//! A JSON-RPC client over one keep-alive HTTP connection.

use std::time::Duration;

use hawser_primitives::{B256, Bytes};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::{BenchError, Result};

/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Longest part of an unreadable answer that is shown.
const SHOWN_MAX: usize = 200;

/// What a node says when it refuses.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(crate) struct ErrorReply {
    #[serde(default)]
    pub(crate) code: i64,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    data: Value,
}

impl ErrorReply {
    /// Whether the node is merely full or busy, so that the same request is good later.
    pub(crate) fn is_busy(&self) -> bool {
        /// EIP-1474: limit exceeded.
        const LIMIT_EXCEEDED: i64 = -32005;
        self.code == LIMIT_EXCEEDED || self.data.get("retryAfterMs").is_some()
    }

    /// Whether it says when to come back.
    pub(crate) fn has_hint(&self) -> bool {
        self.data.get("retryAfterMs").is_some()
    }

    /// Whether the node has the transaction already.
    pub(crate) fn is_known(&self) -> bool {
        let text = self.message.to_ascii_lowercase();
        text.contains("already known") || text.contains("already imported")
    }

    /// Whether the nonce is used up, by this very transaction if it was sent before.
    pub(crate) fn is_nonce_low(&self) -> bool {
        self.message.to_ascii_lowercase().contains("nonce too low")
    }
}

/// The answer to one request of a batch, its result not looked at.
#[derive(Debug, Deserialize)]
pub(crate) struct Reply {
    /// `None` when the node could not read the request.
    pub(crate) id: Option<u64>,
    pub(crate) error: Option<ErrorReply>,
}

/// What came back for a batch.
#[derive(Debug)]
pub(crate) enum BatchReply {
    /// One answer per request, in any order.
    Each(Vec<Reply>),
    /// The whole batch was refused.
    Refused(ErrorReply),
    /// Nothing readable: nobody knows what became of the requests.
    Unknown(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Either {
    Many(Vec<Reply>),
    One(Reply),
}

/// Reads the answer to a batch.
pub(crate) fn parse_batch(body: &[u8]) -> BatchReply {
    match serde_json::from_slice(body) {
        Ok(Either::Many(replies)) => BatchReply::Each(replies),
        Ok(Either::One(Reply {
            error: Some(error), ..
        })) => BatchReply::Refused(error),
        Ok(Either::One(_)) | Err(_) => BatchReply::Unknown(shown(body)),
    }
}

fn shown(body: &[u8]) -> String {
    let head = body.get(..SHOWN_MAX).unwrap_or(body);
    format!("unreadable answer: {}", String::from_utf8_lossy(head))
}

/// One connection to one node.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
}

impl Client {
    pub(crate) fn new(url: &str) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(1)
            .tcp_nodelay(true)
            .timeout(ANSWER_LIMIT)
            .build()
            .map_err(|error| transport("connect", &error))?;
        let url = url.to_owned();
        Ok(Self { http, url })
    }

    /// One client per node.
    pub(crate) fn all(urls: &[String]) -> Result<Vec<Self>> {
        urls.iter().map(|url| Self::new(url)).collect()
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    async fn post(&self, method: &str, body: String) -> Result<bytes::Bytes> {
        let request = self
            .http
            .post(&self.url)
            .header("content-type", "application/json")
            .body(body);
        let response = request
            .send()
            .await
            .map_err(|error| transport(method, &error))?;
        response
            .bytes()
            .await
            .map_err(|error| transport(method, &error))
    }

    /// One call; the node's refusal as it came.
    pub(crate) async fn ask(
        &self,
        method: &str,
        params: Value,
    ) -> Result<std::result::Result<Value, ErrorReply>> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let body = self.post(method, request.to_string()).await?;
        let mut answer: Value =
            serde_json::from_slice(&body).map_err(|_| BenchError::Transport {
                method: method.to_owned(),
                reason: shown(&body),
            })?;
        match answer.get_mut("error").map(Value::take) {
            Some(error) if !error.is_null() => Ok(Err(serde_json::from_value(error)?)),
            _ => Ok(Ok(answer
                .get_mut("result")
                .map(Value::take)
                .unwrap_or_default())),
        }
    }

    /// One call that has to succeed.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Result<Value> {
        self.ask(method, params)
            .await?
            .map_err(|error| BenchError::Rpc {
                method: method.to_owned(),
                code: error.code,
                message: error.message,
            })
    }

    /// Many calls of one method in batches; all have to succeed. In the order of `params`.
    pub(crate) async fn call_all(&self, method: &str, params: Vec<Value>) -> Result<Vec<Value>> {
        const CHUNK: usize = 200;
        let mut results = Vec::with_capacity(params.len());
        for chunk in params.chunks(CHUNK) {
            let request = |(id, params): (usize, &Value)| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
            let requests: Vec<_> = chunk.iter().enumerate().map(request).collect();
            let body = self.post(method, Value::from(requests).to_string()).await?;
            let mut answers: Vec<Value> =
                serde_json::from_slice(&body).map_err(|_| BenchError::Transport {
                    method: method.to_owned(),
                    reason: shown(&body),
                })?;
            answers.sort_by_key(|answer| answer.get("id").and_then(Value::as_u64));
            if answers.len() != chunk.len() {
                return Err(BenchError::Transport {
                    method: method.to_owned(),
                    reason: format!("{} answers to {} requests", answers.len(), chunk.len()),
                });
            }
            for mut answer in answers {
                if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
                    let error: ErrorReply = serde_json::from_value(error.clone())?;
                    return Err(BenchError::Rpc {
                        method: method.to_owned(),
                        code: error.code,
                        message: error.message,
                    });
                }
                results.push(
                    answer
                        .get_mut("result")
                        .map(Value::take)
                        .unwrap_or_default(),
                );
            }
        }
        Ok(results)
    }

    /// Posts requests that are JSON already, as one batch.
    pub(crate) async fn post_batch(&self, body: String) -> BatchReply {
        match self.post("eth_sendRawTransaction", body).await {
            Ok(body) => parse_batch(&body),
            Err(error) => BatchReply::Unknown(error.to_string()),
        }
    }

    /// A call whose result is a quantity such as `0x1f`.
    pub(crate) async fn quantity(&self, method: &str, params: Value) -> Result<u64> {
        let value = self.call(method, params).await?;
        quantity(&value).ok_or_else(|| BenchError::Transport {
            method: method.to_owned(),
            reason: format!("expected a quantity, got {value}"),
        })
    }

    pub(crate) async fn height(&self) -> Result<u64> {
        self.quantity("eth_blockNumber", json!([])).await
    }

    /// Hashes of a block's transactions, in order.
    pub(crate) async fn block_hashes(&self, height: u64) -> Result<Vec<B256>> {
        let params = json!([format!("{height:#x}"), false]);
        let mut block = self.call("eth_getBlockByNumber", params).await?;
        let hashes = block.get_mut("transactions").map(Value::take);
        Ok(serde_json::from_value(hashes.unwrap_or_default())?)
    }

    /// Sends one transaction; what the node said.
    pub(crate) async fn send(&self, raw: &Bytes) -> Result<std::result::Result<Value, ErrorReply>> {
        self.ask("eth_sendRawTransaction", json!([raw])).await
    }

    /// Whether a block has the transaction.
    pub(crate) async fn is_in_block(&self, hash: &B256) -> Result<bool> {
        let found = self.call("eth_getTransactionByHash", json!([hash])).await?;
        Ok(found
            .get("blockNumber")
            .is_some_and(|number| !number.is_null()))
    }

    /// The receipt of a transaction, if it is executed.
    pub(crate) async fn receipt(&self, hash: &B256) -> Result<Option<Value>> {
        let receipt = self
            .call("eth_getTransactionReceipt", json!([hash]))
            .await?;
        Ok((!receipt.is_null()).then_some(receipt))
    }

    /// Waits for a receipt; fails when the transaction failed.
    pub(crate) async fn success(&self, what: &str, hash: &B256, limit: Duration) -> Result<Value> {
        let waited = tokio::time::timeout(limit, async {
            loop {
                if let Some(receipt) = self.receipt(hash).await? {
                    return Ok::<_, BenchError>(receipt);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let receipt = waited.await.map_err(|_| {
            BenchError::Target(format!("{what}: no receipt within {} s", limit.as_secs()))
        })??;
        if succeeded(&receipt) {
            Ok(receipt)
        } else {
            Err(BenchError::Void(format!(
                "{what}: the transaction {hash} failed"
            )))
        }
    }
}

/// Whether a receipt says success.
pub(crate) fn succeeded(receipt: &Value) -> bool {
    receipt.get("status").and_then(quantity) == Some(1)
}

/// A quantity of Ethereum's JSON-RPC.
pub(crate) fn quantity(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

fn transport(method: &str, error: &reqwest::Error) -> BenchError {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        reason.push_str(&format!(": {inner}"));
        source = inner.source();
    }
    BenchError::Transport {
        method: method.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart() {
        let error = |text: &str| serde_json::from_str::<ErrorReply>(text).unwrap();
        let busy = error(r#"{"code":-32005,"message":"txpool is full: 9 transactions wait"}"#);
        assert!(busy.is_busy() && !busy.is_known());
        let busy = error(r#"{"code":-32000,"message":"wait","data":{"retryAfterMs":1000}}"#);
        assert!(busy.is_busy());
        for text in [
            "already known",
            "transaction already imported",
            "already known: executed in block 3",
        ] {
            let known = error(&json!({ "code": -32000, "message": text }).to_string());
            assert!(
                known.is_known() && !known.is_busy() && !known.is_nonce_low(),
                "{text}"
            );
        }
        let low = error(r#"{"code":-32000,"message":"nonce too low: next nonce 2, tx nonce 1"}"#);
        assert!(low.is_nonce_low() && !low.is_known() && !low.is_busy());
    }

    #[test]
    fn answers_to_a_batch_are_read_in_each_form() {
        let each = parse_batch(
            br#"[{"jsonrpc":"2.0","id":4294967297,"result":"0xab"},
                {"jsonrpc":"2.0","id":2,"error":{"code":-32000,"message":"no"}}]"#,
        );
        let BatchReply::Each(replies) = each else {
            panic!("{each:?}")
        };
        assert_eq!(replies[0].id, Some(4_294_967_297));
        assert!(replies[0].error.is_none());
        assert_eq!(replies[1].error.as_ref().unwrap().message, "no");
        let refused =
            parse_batch(br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32005,"message":"busy"}}"#);
        assert!(matches!(refused, BatchReply::Refused(error) if error.is_busy()));
        for bad in [
            &b"<html>"[..],
            b"",
            b"{}",
            b"[1]",
            br#"{"jsonrpc":"2.0","id":1,"result":1}"#,
        ] {
            assert!(matches!(parse_batch(bad), BatchReply::Unknown(_)));
        }
    }

    #[test]
    fn quantities_are_hexadecimal() {
        assert_eq!(quantity(&json!("0x1f")), Some(31));
        for bad in [json!("1f"), json!(31), json!("0x"), json!(null)] {
            assert_eq!(quantity(&bad), None, "{bad}");
        }
        assert!(succeeded(&json!({ "status": "0x1" })));
        assert!(!succeeded(&json!({ "status": "0x0" })) && !succeeded(&json!({})));
    }
}
