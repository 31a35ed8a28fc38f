//! The node behind the proxy: logging in, and sending with a token.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use hawser_crypto::SecretKey;
use hawser_network::ClientTls;
use reqwest::{
    StatusCode, Url,
    header::{self, HeaderMap},
};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::client;
use crate::exit::{Code, OrFail, Result, fail};
use crate::lang::Lang;
use crate::quantity;
use crate::tls;

/// Most chains of a node that are used at once.
const PATHS_MAX: usize = 64;
/// Largest answer passed on, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Largest page passed on, in bytes.
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bounds on what a token's life is taken for, whatever the clocks say.
const LIFE_MIN: Duration = Duration::from_secs(3);
const LIFE_MAX: Duration = Duration::from_secs(900);

/// A token and when to get the next one.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) renew_at: Instant,
}

/// Why a request could not be sent on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No node there.
    Away { url: String, why: String },
    /// There is no TLS with it; in words.
    Tls { why: String },
    /// It answers, and does not let the account in.
    Refused { message: String },
    /// It answers with something else.
    Foreign { url: String, status: u16 },
}

impl Trouble {
    pub(super) fn text(&self, lang: Lang) -> String {
        match (self, lang) {
            (Self::Away { url, why }, Lang::En) => format!(
                "the node at {url} does not answer: {why}. Is it running, and is --to its address?"
            ),
            (Self::Away { url, why }, Lang::Zh) => {
                format!("节点 {url} 无应答：{why}。它是否在运行，--to 是否是它的地址？")
            }
            (Self::Tls { why }, _) => why.clone(),
            (Self::Refused { message }, Lang::En) => {
                format!("the node does not let this account in: {message}")
            }
            (Self::Refused { message }, Lang::Zh) => format!("节点拒绝该账户：{message}"),
            (Self::Foreign { url, status }, Lang::En) => format!(
                "{url} answers, but not with JSON-RPC (HTTP status {status}); is it the address of \
                 a node?"
            ),
            (Self::Foreign { url, status }, Lang::Zh) => {
                format!("{url} 有应答，但不是 JSON-RPC（HTTP 状态 {status}）；它是节点的地址吗？")
            }
        }
    }
}

/// The node, and the account that reads there.
pub(super) struct Upstream {
    http: reqwest::Client,
    pub(super) tls: Option<ClientTls>,
    /// Without path.
    base: Url,
    /// What `/` of the proxy means at the node.
    root: String,
    key: SecretKey,
    /// A token per path; each behind its own lock, so that one login serves all who wait for it.
    tokens: Mutex<BTreeMap<String, Arc<Mutex<Option<Token>>>>>,
}

impl Upstream {
    pub(super) fn new(
        to: &str,
        key: SecretKey,
        tls: impl FnOnce() -> Result<ClientTls>,
    ) -> Result<Self> {
        let text = client::address(to)?;
        let url = Url::parse(&text).context(Code::Usage, format!("--to {to}"))?;
        if url.host().is_none() {
            return fail(
                Code::Usage,
                format!("--to {to}: write http://host:port or https://host:port"),
            );
        }
        let tls = (url.scheme() == "https").then(tls).transpose()?;
        let root = url.path().to_owned();
        if path(&root).is_none() {
            return fail(
                Code::Usage,
                format!("--to {to}: a node answers at / and at /chain/<chainId>"),
            );
        }
        let mut base = url;
        base.set_path("/");
        base.set_query(None);
        let http = client::http(tls.as_ref())
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(120))
            .build()
            .context(Code::Failed, "cannot set up HTTP")?;
        Ok(Self {
            http,
            tls,
            base,
            root,
            key,
            tokens: Mutex::default(),
        })
    }

    /// The node's address for a path of the proxy.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(if path == "/" { &self.root } else { path });
        url
    }

    /// The node's WebSocket address for a path of the proxy.
    pub(super) fn socket_url(&self, path: &str) -> String {
        let url = self.url(path).to_string();
        match url.strip_prefix("http") {
            Some(rest) => format!("ws{rest}"),
            None => url,
        }
    }

    /// A token that is fresh enough, with a login where there is none.
    pub(super) async fn token(&self, path: &str) -> std::result::Result<Token, Trouble> {
        let slot = {
            let mut tokens = self.tokens.lock().await;
            if tokens.len() >= PATHS_MAX && !tokens.contains_key(path) {
                tokens.clear();
            }
            Arc::clone(tokens.entry(path.to_owned()).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some(token) = slot.as_ref()
            && Instant::now() < token.renew_at
        {
            return Ok(token.clone());
        }
        let token = self.log_in(path).await?;
        *slot = Some(token.clone());
        Ok(token)
    }

    /// Forgets a token that the node no longer takes.
    async fn forget(&self, path: &str, refused: &Token) {
        let slot = self.tokens.lock().await.get(path).map(Arc::clone);
        if let Some(slot) = slot {
            let mut slot = slot.lock().await;
            if slot
                .as_ref()
                .is_some_and(|token| token.text == refused.text)
            {
                *slot = None;
            }
        }
    }

    async fn log_in(&self, path: &str) -> std::result::Result<Token, Trouble> {
        let public_key = self.key.public_key();
        let challenge = self
            .call(path, "hawser_challenge", json!([public_key]))
            .await?;
        let text = quantity::text(&challenge, "challenge");
        let signature = self.key.sign(text.as_bytes());
        let signature = format!("0x{}", hex::encode(signature.as_bytes()));
        let login = json!([{ "challenge": text, "signature": signature, "publicKey": public_key }]);
        let issued = self.call(path, "hawser_login", login).await?;
        let token = issued.get("token").and_then(Value::as_str);
        let (Some(text), Some(expires)) = (token, quantity::field(&issued, "expires")) else {
            return Err(self.foreign(path, 200));
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_ms = now.map_or(0, |time| {
            u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
        });
        let life = Duration::from_millis(expires.saturating_sub(now_ms)).clamp(LIFE_MIN, LIFE_MAX);
        Ok(Token {
            text: text.to_owned(),
            renew_at: Instant::now() + life * 3 / 5,
        })
    }

    /// What TLS has to do with a failure.
    pub(super) fn tls_trouble(
        &self,
        url: &Url,
        error: &(dyn std::error::Error + 'static),
    ) -> Option<Trouble> {
        let tls = self.tls.as_ref()?;
        let failure = tls::explain(url.as_str(), tls, &tls.problem(error)?);
        Some(Trouble::Tls {
            why: failure.message,
        })
    }

    fn foreign(&self, path: &str, status: u16) -> Trouble {
        Trouble::Foreign {
            url: self.url(path).to_string(),
            status,
        }
    }

    async fn call(
        &self,
        path: &str,
        method: &str,
        params: Value,
    ) -> std::result::Result<Value, Trouble> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let (status, bytes) = self.send(path, body.to_string().into(), None).await?;
        let Ok(mut answer) = serde_json::from_slice::<Value>(&bytes) else {
            return Err(self.foreign(path, status.as_u16()));
        };
        if let Some(error) = answer.get("error") {
            return Err(Trouble::Refused {
                message: quantity::text(error, "message").to_owned(),
            });
        }
        match answer.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => Err(self.foreign(path, status.as_u16())),
        }
    }

    async fn send(
        &self,
        path: &str,
        body: Bytes,
        token: Option<&Token>,
    ) -> std::result::Result<(StatusCode, Bytes), Trouble> {
        let url = self.url(path);
        let away = |error: reqwest::Error| {
            if let Some(trouble) = self.tls_trouble(&url, &error) {
                return trouble;
            }
            let mut cause: &dyn std::error::Error = &error;
            while let Some(inner) = cause.source() {
                cause = inner;
            }
            Trouble::Away {
                url: url.to_string(),
                why: cause.to_string(),
            }
        };
        let mut request = self
            .http
            .post(url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(body);
        if let Some(token) = token {
            request = request.bearer_auth(&token.text);
        }
        let mut response = request.send().await.map_err(away)?;
        let status = response.status();
        let mut all = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(away)? {
            if all.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
                return Err(self.foreign(path, status.as_u16()));
            }
            all.extend_from_slice(&chunk);
        }
        Ok((status, all.into()))
    }

    /// One of the node's pages. They are open to everybody, so no token goes along.
    pub(super) async fn fetch_page(
        &self,
        path: &str,
    ) -> std::result::Result<(StatusCode, HeaderMap, Bytes), Trouble> {
        let mut url = self.base.clone();
        url.set_path(path);
        let away = |error: reqwest::Error| Trouble::Away {
            url: self.base.to_string(),
            why: error.to_string(),
        };
        let mut response = self.http.get(url).send().await.map_err(away)?;
        let (status, mut headers) = (response.status(), response.headers().clone());
        for hop in [
            header::CONNECTION,
            header::TRANSFER_ENCODING,
            header::CONTENT_LENGTH,
            header::DATE,
            header::SET_COOKIE,
        ] {
            headers.remove(hop);
        }
        let mut all = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(away)? {
            if all.len().saturating_add(chunk.len()) > PAGE_BYTES_MAX {
                return Err(self.foreign(path, status.as_u16()));
            }
            all.extend_from_slice(&chunk);
        }
        Ok((status, headers, all.into()))
    }

    /// Sends a body on with a token; one that the node no longer takes is replaced once.
    pub(super) async fn post(
        &self,
        path: &str,
        body: Bytes,
    ) -> std::result::Result<(StatusCode, Bytes), Trouble> {
        let token = self.token(path).await?;
        let answer = self.send(path, body.clone(), Some(&token)).await?;
        if answer.0 != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        self.forget(path, &token).await;
        let token = self.token(path).await?;
        self.send(path, body, Some(&token)).await
    }
}

/// Whether a path can be one of the node's pages: its console and what belongs to it.
pub(super) fn page(text: &str) -> bool {
    let Some(name) = text.strip_prefix('/') else {
        return false;
    };
    let file = name.strip_prefix("assets/").unwrap_or(name);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    file.chars().all(plain) && !file.starts_with('.')
}

/// A path that a node serves: `/` or `/chain/<chainId>`.
pub(super) fn path(text: &str) -> Option<&str> {
    let chain = text.strip_prefix("/chain/");
    let known = chain.map_or(text == "/", |id| id.parse::<u64>().is_ok());
    known.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hawser_crypto::Scheme;

    fn upstream(to: &str) -> Result<Upstream> {
        let key = SecretKey::generate(Scheme::Ed25519).unwrap();
        Upstream::new(to, key, || crate::tls::TlsArgs::default().open())
    }

    #[test]
    fn addresses_are_understood_or_refused() {
        let one = upstream("10.0.0.1:8545").unwrap();
        assert_eq!(one.url("/").as_str(), "http://10.0.0.1:8545/");
        assert_eq!(one.socket_url("/chain/7"), "ws://10.0.0.1:8545/chain/7");
        let chain = upstream("ws://h:1/chain/7").unwrap();
        assert_eq!(chain.url("/").as_str(), "http://h:1/chain/7");
        assert_eq!(chain.url("/chain/8").as_str(), "http://h:1/chain/8");
        let tls = upstream("https://h:1").unwrap();
        assert_eq!(tls.socket_url("/"), "wss://h:1/");
        for bad in ["ftp://h", "http://h/other", "http://", "http://h/chain/x"] {
            assert_eq!(
                upstream(bad).err().map(|f| f.code),
                Some(Code::Usage),
                "{bad}"
            );
        }
    }

    #[test]
    fn pages_are_files_at_the_top_or_among_the_assets_and_nothing_else() {
        for good in ["/", "/index.html", "/favicon.svg", "/assets/index-Bf3_d.js"] {
            assert!(page(good), "{good}");
        }
        for bad in [
            "",
            "index.html",
            "/chain/7",
            "/assets/../x",
            "/assets/a/b",
            "/..",
            "/.git",
            "/%2e%2e",
            "//h",
        ] {
            assert!(!page(bad), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_node_that_is_away_is_named() {
        let away = upstream("http://127.0.0.1:1").unwrap();
        let trouble = away.post("/", Bytes::from_static(b"{}")).await.unwrap_err();
        let text = trouble.text(Lang::En);
        assert!(
            text.contains("http://127.0.0.1:1/ does not answer"),
            "{text}"
        );
        assert!(trouble.text(Lang::Zh).contains("无应答"));
    }
}
