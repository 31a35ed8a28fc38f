//! JSON-RPC to a node.

use std::time::Duration;

use alloy_json_abi::JsonAbi;
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::exit::{Code, Failure, OrFail, Result, fail};
use crate::quantity;
use crate::values::describe_revert;

/// Largest answer read, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Which node to ask.
#[derive(Args, Clone, Debug)]
pub(crate) struct NodeArgs {
    /// The node's JSON-RPC address
    #[arg(
        long,
        env = "HAWSER_RPC",
        value_name = "URL",
        default_value = "http://127.0.0.1:8545",
        help_heading = "Node"
    )]
    pub(crate) rpc: String,
    /// Seconds to wait for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 60, help_heading = "Node",
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
}

impl NodeArgs {
    /// A client for it.
    pub(crate) fn client(&self) -> Result<Client> {
        Client::new(&self.rpc, Duration::from_secs(self.timeout))
    }
}

/// A client of one node.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
}

/// What a node answers to one call.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    result: Value,
    error: Option<RpcFailure>,
}

/// An error that a node answers with.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RpcFailure {
    pub(crate) code: i64,
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) data: Value,
}

impl Client {
    /// A client for an address such as `http://127.0.0.1:8545`.
    pub(crate) fn new(url: &str, timeout: Duration) -> Result<Self> {
        if url.starts_with("https://") || url.starts_with("wss://") {
            return fail(
                Code::Usage,
                format!(
                    "{url}: encrypted addresses are not supported here; run the command on the \
                     node's host, or forward its port, and use http://"
                ),
            );
        }
        let url = match url.strip_prefix("ws://") {
            Some(rest) => format!("http://{rest}"),
            None if url.contains("://") => url.to_owned(),
            None => format!("http://{url}"),
        };
        if !url.starts_with("http://") {
            return fail(
                Code::Usage,
                format!("{url} is no address; write http://host:port"),
            );
        }
        let http = reqwest::Client::builder()
            .connect_timeout(timeout.min(Duration::from_secs(5)))
            .timeout(timeout)
            // A node is a peer of this program, not a web site: no proxy comes between.
            .no_proxy()
            .build()
            .context(Code::Failed, "cannot set up HTTP")?;
        Ok(Self { http, url })
    }

    /// The node's address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Calls a method; `Ok(Err(…))` is the node's own error.
    pub(crate) async fn try_call(
        &self,
        method: &str,
        params: Value,
    ) -> Result<std::result::Result<Value, RpcFailure>> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let sent = self.http.post(&self.url).json(&body).send().await;
        let mut response = sent.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.unreachable(&error))?
        {
            if bytes.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
                return fail(
                    Code::Refused,
                    format!("{method}: the answer exceeds {ANSWER_BYTES_MAX} bytes"),
                );
            }
            bytes.extend_from_slice(&chunk);
        }
        let Ok(answer) = serde_json::from_slice::<Answer>(&bytes) else {
            return fail(
                Code::Unreachable,
                format!(
                    "{} answers, but not with JSON-RPC (HTTP status {status}); is it the address \
                     of a node?",
                    self.url
                ),
            );
        };
        Ok(match answer.error {
            Some(error) => Err(error),
            None => Ok(answer.result),
        })
    }

    /// Calls a method; an error of the node is a failure.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Result<Value> {
        self.try_call(method, params)
            .await?
            .map_err(|error| refused(method, &error, None))
    }

    /// Calls a method that answers with a number.
    pub(crate) async fn number(&self, method: &str, params: Value) -> Result<u64> {
        let value = self.call(method, params).await?;
        match quantity::number(&value) {
            Some(number) => Ok(number),
            None => fail(
                Code::Refused,
                format!("{method}: expected a number, got {value}"),
            ),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        if error.is_timeout() && !error.is_connect() {
            return Failure::new(
                Code::Timeout,
                format!(
                    "{} did not answer in time; --timeout gives it longer",
                    self.url
                ),
            );
        }
        // The innermost cause says what happened; the outer ones repeat the address.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Failure::new(
            Code::Unreachable,
            format!(
                "cannot reach {}: {cause}. Is the node running (`hawser status`)? Another address \
                 can be given with --rpc or HAWSER_RPC",
                self.url
            ),
        )
    }
}

/// The failure that a node's error is; revert data is put into words, with the help of an ABI if
/// there is one.
pub(crate) fn refused(method: &str, error: &RpcFailure, abi: Option<&JsonAbi>) -> Failure {
    if let Some(reason) = describe_revert(abi, &error.data) {
        return Failure::new(Code::Refused, format!("the contract reverted: {reason}"));
    }
    let data = match &error.data {
        Value::Null => String::new(),
        Value::String(text) => format!(" ({text})"),
        other => format!(" ({other})"),
    };
    Failure::new(
        Code::Refused,
        format!("{method}: {}{data} [{}]", error.message, error.code),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood_or_refused_before_anything_is_sent() {
        let url = |text: &str| Client::new(text, Duration::from_secs(1)).map(|client| client.url);
        assert_eq!(url("127.0.0.1:8545").unwrap(), "http://127.0.0.1:8545");
        assert_eq!(url("ws://h:1").unwrap(), "http://h:1");
        assert_eq!(url("http://h:1/chain/7").unwrap(), "http://h:1/chain/7");
        assert_eq!(url("https://h").unwrap_err().code, Code::Usage);
        assert_eq!(url("ftp://h").unwrap_err().code, Code::Usage);
    }
}
