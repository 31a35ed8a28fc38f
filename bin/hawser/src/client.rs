//! JSON-RPC to a node.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_json_abi::JsonAbi;
use clap::Args;
use hawser_crypto::SecretKey;
use hawser_network::ClientTls;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::exit::{Code, Failure, OrFail, Result, fail};
use crate::lang::Lang;
use crate::local::HomeArgs;
use crate::passphrase::{self, PassphraseArgs};
use crate::quantity;
use crate::reader::{Reader, Signer};
use crate::tls::{self, TlsArgs};
use crate::values::describe_revert;

/// Largest answer read, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// A node's answer to nobody known, where its reads are signed.
const UNAUTHENTICATED: i64 = -32040;

/// Which node to ask.
#[derive(Args, Clone, Debug)]
pub(crate) struct NodeArgs {
    /// The node's JSON-RPC address, http:// or https://
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
    /// Key that reads where a chain's reads are signed: a key file, or a name or address in the
    /// keystore
    #[arg(long, env = "HAWSER_READER", value_name = "KEY", help_heading = "Node")]
    pub(crate) reader: Option<String>,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
}

impl NodeArgs {
    /// A client for it.
    pub(crate) fn client(&self) -> Result<Client> {
        let timeout = Duration::from_secs(self.timeout);
        let home = std::env::var_os("HAWSER_HOME").unwrap_or_else(|| ".hawser".into());
        let home = HomeArgs { home: home.into() }.home();
        let mut client = Client::new(&self.rpc, timeout, || {
            self.tls.open_at(&home.certificates_of(&self.rpc))
        })?;
        client.has_timeout = true;
        let Some(reader) = &self.reader else {
            return Ok(client);
        };
        let keystore = home.keystore();
        let passphrase = PassphraseArgs {
            passphrase_file: std::env::var_os(passphrase::VARIABLE).map(Into::into),
        };
        let key = keystore.open(reader, &passphrase)?;
        Ok(client.read_by(Reader::key(key)))
    }
}

/// A client of one node.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    tls: Option<ClientTls>,
    reader: Reader,
    /// Whether the command has a flag for the time to wait.
    has_timeout: bool,
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
    /// A client for an address such as `http://127.0.0.1:8545`; `tls` is asked for at an
    /// `https://` one.
    pub(crate) fn new(
        url: &str,
        timeout: Duration,
        tls: impl FnOnce() -> Result<ClientTls>,
    ) -> Result<Self> {
        let url = address(url)?;
        let tls = url.starts_with("https://").then(tls).transpose()?;
        let http = http(tls.as_ref())
            .connect_timeout(timeout.min(Duration::from_secs(5)))
            .timeout(timeout)
            .build()
            .context(Code::Failed, "cannot set up HTTP")?;
        Ok(Self {
            http,
            url,
            tls,
            reader: Reader::nobody(),
            has_timeout: false,
        })
    }

    /// The same client, whose requests this reader signs where the node asks for it.
    pub(crate) fn read_by(mut self, reader: Reader) -> Self {
        self.reader = reader;
        self
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
        if let Some(signer) = self.reader.signer() {
            return self.send(method, &params, Some(signer)).await;
        }
        let answer = self.send(method, &params, None).await?;
        if !matches!(&answer, Err(error) if error.code == UNAUTHENTICATED) {
            return Ok(answer);
        }
        let audience = async |key: &SecretKey| {
            let params = json!([key.address()]);
            let told = self.send("hawser_challenge", &params, None).await?;
            let told = told.map_err(|error| refused("hawser_challenge", &error, None))?;
            match told.get("audience").and_then(Value::as_str) {
                Some(audience) => Ok(audience.to_owned()),
                None => fail(Code::Refused, "hawser_challenge names no audience"),
            }
        };
        match self.reader.find(audience).await? {
            Some(signer) => self.send(method, &params, Some(signer)).await,
            None => Ok(answer),
        }
    }

    async fn send(
        &self,
        method: &str,
        params: &Value,
        signer: Option<&Signer>,
    ) -> Result<std::result::Result<Value, RpcFailure>> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let body = body.to_string();
        let mut request = self
            .http
            .post(&self.url)
            .header("content-type", "application/json");
        for (name, value) in signer
            .map(|signer| signer.sign(&self.url, body.as_bytes()))
            .transpose()?
            .unwrap_or_default()
        {
            request = request.header(name, value);
        }
        let sent = request.body(body).send().await;
        let mut response = match sent {
            Ok(response) => response,
            Err(error) => return Err(self.unreachable(&error).await),
        };
        let status = response.status();
        let mut bytes = Vec::new();
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) => return Err(self.unreachable(&error).await),
            };
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

    /// By how many seconds the clock of the node is ahead of this machine's: from the date that
    /// answers of HTTP carry, so to a second, and to half of the time that the answer took.
    pub(crate) async fn clock_ahead_s(&self) -> Option<i64> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "hawser_version", "params": [] });
        let before = SystemTime::now();
        let sent = self
            .http
            .post(&self.url)
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await
            .ok()?;
        let took = before.elapsed().ok()?;
        let date = sent.headers().get("date")?.to_str().ok()?;
        let theirs = i64::try_from(crate::time::of_http_date(date)?).ok()?;
        let ours = before
            .checked_add(took / 2)?
            .duration_since(UNIX_EPOCH)
            .ok()?;
        // The date leaves out what is less than a second.
        Some(theirs.saturating_sub(i64::try_from(ours.as_secs()).ok()?))
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

    async fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let (url, lang) = (&self.url, Lang::current());
        if error.is_timeout() && !error.is_connect() {
            return Failure::new(
                Code::Timeout,
                match (lang, self.has_timeout) {
                    (Lang::En, true) => {
                        format!("{url} did not answer in time; --timeout gives it longer")
                    }
                    (Lang::En, false) => format!("{url} did not answer in time"),
                    (Lang::Zh, true) => format!("{url} 未在时限内应答；--timeout 可延长时限"),
                    (Lang::Zh, false) => format!("{url} 未在时限内应答"),
                },
            );
        }
        if let Some(tls) = &self.tls {
            if let Some(problem) = tls.problem(error) {
                return tls::explain(url, tls, &problem);
            }
        } else if !error.is_connect()
            && let Some(failure) = tls::speaks_tls(url).await
        {
            return failure;
        }
        // The innermost cause says what happened; the outer ones repeat the address.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Failure::new(
            Code::Unreachable,
            match lang {
                Lang::En => format!(
                    "cannot reach {url}: {cause}. Is the node running (`hawser status`)? Another \
                     address can be given with --rpc or HAWSER_RPC"
                ),
                Lang::Zh => format!(
                    "无法连接 {url}：{cause}。节点是否在运行（`hawser status`）？可用 --rpc 或 HAWSER_RPC 指定其他地址"
                ),
            },
        )
    }
}

/// An address of a node as `http://` or `https://`.
pub(crate) fn address(text: &str) -> Result<String> {
    let url = match text.split_once("://") {
        Some(("ws", rest)) => format!("http://{rest}"),
        Some(("wss", rest)) => format!("https://{rest}"),
        Some(("http" | "https", _)) => text.to_owned(),
        None => format!("http://{text}"),
        Some(_) => {
            return fail(
                Code::Usage,
                match Lang::current() {
                    Lang::En => {
                        format!("{text} is no address; write http://host:port or https://host:port")
                    }
                    Lang::Zh => {
                        format!("{text} 不是地址；请写 http://主机:端口 或 https://主机:端口")
                    }
                },
            );
        }
    };
    Ok(url)
}

/// An HTTP client with this TLS.
pub(crate) fn http(tls: Option<&ClientTls>) -> reqwest::ClientBuilder {
    // A node is a peer of this program, not a web site: no proxy comes between, and it sends
    // nobody elsewhere.
    let builder = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none());
    match tls {
        Some(tls) => builder.use_preconfigured_tls(tls.preconfigured()),
        None => builder,
    }
}

/// The failure that a node's error is; revert data is put into words, with the help of an ABI if
/// there is one.
pub(crate) fn refused(method: &str, error: &RpcFailure, abi: Option<&JsonAbi>) -> Failure {
    if let Some(reason) = describe_revert(abi, &error.data) {
        return Failure::new(Code::Refused, format!("the contract reverted: {reason}"));
    }
    if error.code == UNAUTHENTICATED {
        return Failure::new(
            Code::Refused,
            format!(
                "{method}: {} [{}]. Commands of hawser sign with the key of --reader or \
                 HAWSER_READER",
                error.message, error.code
            ),
        );
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
        assert_eq!(address("127.0.0.1:8545").unwrap(), "http://127.0.0.1:8545");
        assert_eq!(address("ws://h:1").unwrap(), "http://h:1");
        assert_eq!(address("wss://h:1").unwrap(), "https://h:1");
        assert_eq!(address("http://h:1/chain/7").unwrap(), "http://h:1/chain/7");
        assert_eq!(address("https://h").unwrap(), "https://h");
        assert_eq!(address("ftp://h").unwrap_err().code, Code::Usage);
    }
}
