//! The proxy's listener.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequestParts, Request, State, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::any};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::socket;
use super::upstream::{self, Trouble, Upstream};
use crate::exit::{Code, Result, fail};
use crate::lang::Lang;

/// Largest request taken, in bytes: as much as a node takes by default.
pub(super) const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Requests and WebSockets at once.
const AT_ONCE_MAX: usize = 256;
/// What those beyond are told.
const BUSY: &str = "256 requests are under way, the limit; retry shortly";
/// Time for a body to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);
/// The code of JSON-RPC for what is not available now (EIP-1474).
const UNAVAILABLE: i32 = -32002;
/// Wallets run in browsers as extensions. No web page can claim to be one.
const EXTENSIONS: [&str; 3] = [
    "chrome-extension://",
    "moz-extension://",
    "safari-web-extension://",
];

/// Who may come in.
#[derive(Clone, Debug)]
pub(super) struct Doors {
    any_origin: bool,
    origins: Vec<String>,
    /// Names under which the proxy is asked; `None` for all.
    hosts: Option<Vec<String>>,
}

impl Doors {
    pub(super) fn new(address: SocketAddr, remote: bool, origins: &[String]) -> Result<Self> {
        for origin in origins.iter().filter(|origin| *origin != "*") {
            let host = origin.split_once("://").map(|(_, host)| host);
            if host.is_none_or(|host| host.is_empty() || host.contains('/')) {
                return fail(
                    Code::Usage,
                    format!("--origin {origin}: write scheme://host[:port]"),
                );
            }
        }
        let port = address.port();
        let local = || {
            vec![
                format!("localhost:{port}"),
                format!("127.0.0.1:{port}"),
                format!("[::1]:{port}"),
                address.to_string(),
            ]
        };
        // The node's own pages, such as its console, come through here and then ask here. Only names
        // that nobody else can point here count.
        let own = local()
            .into_iter()
            .filter(|_| !address.ip().is_unspecified())
            .map(|host| format!("http://{host}"));
        Ok(Self {
            any_origin: origins.iter().any(|origin| origin == "*"),
            origins: origins.iter().cloned().chain(own).collect(),
            hosts: (!remote).then(local),
        })
    }

    /// Whether a request may come in; why not otherwise. A foreign `Host` means that a web page
    /// had its own name point here.
    fn admits(&self, headers: &HeaderMap, lang: Lang) -> std::result::Result<(), String> {
        let text = |name: HeaderName| {
            let value = headers.get(name)?;
            Some(value.to_str().unwrap_or("?").to_owned())
        };
        if let (Some(hosts), Some(host)) = (&self.hosts, text(header::HOST))
            && !hosts.iter().any(|known| known.eq_ignore_ascii_case(&host))
        {
            return Err(match lang {
                Lang::En => format!("this proxy is not asked as {host}; use its address"),
                Lang::Zh => format!("不能以 {host} 访问本代理；请使用其地址"),
            });
        }
        let Some(origin) = text(header::ORIGIN) else {
            return Ok(());
        };
        let known = self.any_origin
            || self.origins.contains(&origin)
            || EXTENSIONS.iter().any(|start| origin.starts_with(start));
        if known {
            return Ok(());
        }
        Err(match lang {
            Lang::En => format!(
                "web pages of {origin} may not read as your account; --origin {origin} allows them"
            ),
            Lang::Zh => {
                format!("不允许网页 {origin} 以您的账户读取；--origin {origin} 可以放行")
            }
        })
    }
}

/// The proxy.
pub(super) struct Server {
    pub(super) upstream: Arc<Upstream>,
    doors: Doors,
    pub(super) lang: Lang,
    places: Arc<Semaphore>,
}

impl Server {
    pub(super) fn new(upstream: Arc<Upstream>, doors: Doors, lang: Lang) -> Arc<Self> {
        Arc::new(Self {
            upstream,
            doors,
            lang,
            places: Arc::new(Semaphore::new(AT_ONCE_MAX)),
        })
    }

    pub(super) async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let router = Router::new().fallback(any(handle)).with_state(self);
        // WebSockets would hold up a graceful end for as long as they last.
        tokio::select! {
            result = axum::serve(listener, router) => result,
            () = stop => Ok(()),
        }
    }
}

async fn handle(State(server): State<Arc<Server>>, request: Request) -> Response {
    let headers = request.headers();
    if let Err(why) = server.doors.admits(headers, server.lang) {
        return refuse(StatusCode::FORBIDDEN, &why);
    }
    let origin = headers.get(header::ORIGIN).cloned();
    let mut response = answer(&server, request).await;
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
    }
    response
}

/// Whether a request asks for a page rather than for JSON-RPC or a WebSocket.
fn asks_for_page(request: &Request) -> bool {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    reads
        && !request.headers().contains_key(header::UPGRADE)
        && upstream::page(request.uri().path())
}

async fn answer(server: &Arc<Server>, request: Request) -> Response {
    if asks_for_page(&request) {
        let Ok(_place) = server.places.try_acquire() else {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, BUSY);
        };
        return match server.upstream.fetch_page(request.uri().path()).await {
            Ok((status, headers, body)) => (status, headers, Body::from(body)).into_response(),
            Err(trouble) => refuse(StatusCode::BAD_GATEWAY, &trouble.text(server.lang)),
        };
    }
    let Some(path) = upstream::path(request.uri().path()).map(str::to_owned) else {
        return refuse(
            StatusCode::NOT_FOUND,
            "nothing is here; JSON-RPC is at / and at /chain/<chainId>",
        );
    };
    if *request.method() == Method::OPTIONS {
        let headers = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type"),
        ];
        return (StatusCode::NO_CONTENT, headers).into_response();
    }
    let Ok(place) = Arc::clone(&server.places).try_acquire_owned() else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, BUSY);
    };
    if *request.method() == Method::POST {
        let response = post(server, &path, request).await;
        drop(place);
        return response;
    }
    let (mut parts, _) = request.into_parts();
    match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => socket::open(upgrade, Arc::clone(server), path, place).await,
        Err(_) => refuse(
            StatusCode::METHOD_NOT_ALLOWED,
            "POST JSON-RPC here, or open a WebSocket",
        ),
    }
}

async fn post(server: &Server, path: &str, request: Request) -> Response {
    // A page that may not read answers may still send them in forms; nothing is sent on for it.
    let kind = request.headers().get(header::CONTENT_TYPE);
    let is_json = kind.is_none_or(|kind| {
        kind.to_str()
            .is_ok_and(|kind| kind.to_ascii_lowercase().starts_with("application/json"))
    });
    if !is_json {
        return refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content type must be application/json",
        );
    }
    let reading = to_bytes(request.into_body(), BODY_BYTES_MAX);
    let body = match tokio::time::timeout(BODY_TIME, reading).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            let text = format!("request body exceeds the limit of {BODY_BYTES_MAX} bytes");
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, &text);
        }
        Err(_) => {
            return refuse(
                StatusCode::REQUEST_TIMEOUT,
                "the body did not arrive in time",
            );
        }
    };
    match server.upstream.post(path, body.clone()).await {
        // Tools show the error in the body only where the status is no error itself.
        Ok((StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, answer)) => {
            json_body(StatusCode::OK, answer)
        }
        Ok((status, answer)) => json_body(status, answer),
        Err(trouble) => json_body(StatusCode::OK, failure(&body, &trouble, server.lang).into()),
    }
}

fn json_body(status: StatusCode, body: Bytes) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, Body::from(body)).into_response()
}

fn refuse(status: StatusCode, why: &str) -> Response {
    let error = json!({ "code": -32600, "message": why });
    let body = json!({ "jsonrpc": "2.0", "id": null, "error": error });
    json_body(status, body.to_string().into())
}

/// The answer to requests that could not be sent on, each under its own id.
pub(super) fn failure(body: &[u8], trouble: &Trouble, lang: Lang) -> String {
    let error = json!({ "code": UNAVAILABLE, "message": trouble.text(lang) });
    let one = |id: Option<&Value>| json!({ "jsonrpc": "2.0", "id": id.unwrap_or(&Value::Null), "error": error });
    let requests: Value = serde_json::from_slice(body).unwrap_or_default();
    match requests.as_array() {
        Some(all) => {
            let all: Vec<_> = all.iter().map(|request| one(request.get("id"))).collect();
            Value::Array(all).to_string()
        }
        None => one(requests.get("id")).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    fn admits(doors: &Doors, host: &str, origin: Option<&str>) -> bool {
        doors.admits(&headers(host, origin), Lang::En).is_ok()
    }

    #[test]
    fn pages_are_refused_unless_named_and_names_that_point_here_are_not_believed() {
        let address = "127.0.0.1:8745".parse().unwrap();
        let strict = Doors::new(address, false, &[]).unwrap();
        assert!(admits(&strict, "127.0.0.1:8745", None));
        assert!(admits(&strict, "LOCALHOST:8745", None));
        assert!(!admits(
            &strict,
            "127.0.0.1:8745",
            Some("https://evil.example")
        ));
        assert!(!admits(
            &strict,
            "127.0.0.1:8745",
            Some("http://127.0.0.1:3000")
        ));
        assert!(!admits(&strict, "127.0.0.1:8745", Some("null")));
        for own in ["http://127.0.0.1:8745", "http://localhost:8745"] {
            assert!(admits(&strict, "127.0.0.1:8745", Some(own)), "{own}");
        }
        assert!(!admits(
            &strict,
            "127.0.0.1:8745",
            Some("https://127.0.0.1:8745")
        ));
        // A page of another name that points here is not the node's own page.
        let open = Doors::new("0.0.0.0:8745".parse().unwrap(), true, &[]).unwrap();
        assert!(!admits(
            &open,
            "evil.example:8745",
            Some("http://evil.example:8745")
        ));
        assert!(!admits(&open, "0.0.0.0:8745", Some("http://0.0.0.0:8745")));
        assert!(!admits(&strict, "evil.example:8745", None));
        assert!(admits(
            &strict,
            "localhost:8745",
            Some("chrome-extension://abc")
        ));
        let named = Doors::new(address, false, &["http://localhost:3000".to_owned()]).unwrap();
        assert!(admits(
            &named,
            "localhost:8745",
            Some("http://localhost:3000")
        ));
        assert!(!admits(
            &named,
            "localhost:8745",
            Some("http://localhost:3001")
        ));
        let remote = Doors::new(address, true, &["*".to_owned()]).unwrap();
        assert!(admits(
            &remote,
            "proxy.example",
            Some("https://any.example")
        ));
        for bad in ["example", "https://", "https://a/b"] {
            assert!(
                Doors::new(address, false, &[bad.to_owned()]).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn every_request_of_a_batch_learns_what_is_wrong() {
        let trouble = Trouble::Refused {
            message: "no".to_owned(),
        };
        let one = failure(br#"{"id":7}"#, &trouble, Lang::En);
        assert!(
            one.contains("\"id\":7") && one.contains("let this account in: no"),
            "{one}"
        );
        let many = failure(br#"[{"id":"a"},{"id":2}]"#, &trouble, Lang::En);
        let many: Value = serde_json::from_str(&many).unwrap();
        assert_eq!((&many[0]["id"], &many[1]["id"]), (&json!("a"), &json!(2)));
        let none = failure(b"nonsense", &trouble, Lang::En);
        assert!(none.contains("\"id\":null"));
    }
}
