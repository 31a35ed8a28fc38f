use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{FromRequestParts, Path, Request, State, WebSocketUpgrade},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, stream};
use hawser_primitives::ChainId;
use serde_json::value::RawValue;

use super::{
    App, Reply, Session,
    budget::{Budget, Held},
    link::Link,
    pages, ws,
};
use crate::{
    Refusal,
    auth::{self, AuthError, Caller, Reads, signature::Message},
    light::{self, LightContext},
    methods::{Answered, Context, Shared, answer},
    wire::{Call, ErrorObject, Incoming, code, parse, response},
};

/// `/`: the default chain.
pub(super) async fn root(State(app): State<Arc<App>>, request: Request) -> Response {
    respond(app, None, request).await
}

/// `/chain/<id>`: that chain.
pub(super) async fn chain(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    match chain_id(&id, "the path is /chain/<chainId>, in decimal") {
        Ok(id) => respond(app, Some(id), request).await,
        Err(response) => *response,
    }
}

/// The chain that a path names; or the answer that says what the path should be.
pub(super) fn chain_id(id: &str, expected: &'static str) -> Result<ChainId, Box<Response>> {
    id.parse().map(ChainId).map_err(|_| {
        let error = ErrorObject::new(code::INVALID_REQUEST, expected);
        Box::new(refusal(StatusCode::NOT_FOUND, error))
    })
}

/// Any other path.
pub(super) async fn not_found(State(app): State<Arc<App>>, request: Request) -> Response {
    if let Some(page) = pages::page(app.pages.as_ref(), &request) {
        return page;
    }
    let text = "nothing is here; JSON-RPC is at / and at /chain/<chainId>";
    refusal(
        StatusCode::NOT_FOUND,
        ErrorObject::new(code::INVALID_REQUEST, text),
    )
}

/// What answers at a path.
pub(super) enum Target {
    /// A chain with everything.
    Full(Context),
    /// A chain followed by headers.
    Light(LightContext),
}

impl Target {
    async fn answer(
        &self,
        caller: &Arc<Caller>,
        call: Call,
        session: Option<&Session>,
    ) -> Option<Answered> {
        match self {
            Self::Full(cx) => answer(cx, caller, call, session).await,
            Self::Light(cx) => light::answer(cx, call).await,
        }
    }
}

pub(super) fn body(status: StatusCode, text: impl Into<Body>) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, text.into()).into_response()
}

/// A refusal of a whole request; one for load says when to come back.
pub(super) fn refusal(status: StatusCode, error: ErrorObject) -> Response {
    let wait_ms = retry_after_ms(&error);
    let mut refused = body(status, response(None, &Err(error)));
    if let Some(wait_ms) = wait_ms {
        set_retry_after(&mut refused, wait_ms);
    }
    refused
}

/// After how many milliseconds an error asks the client to try again; `None` where it does not.
pub(super) fn retry_after_ms(error: &ErrorObject) -> Option<u64> {
    error.data.as_ref()?.get("retryAfterMs")?.as_u64()
}

/// Says when to come back (RFC 9110, section 10.2.3), in whole seconds.
pub(super) fn set_retry_after(response: &mut Response, wait_ms: u64) {
    let seconds = header::HeaderValue::from(wait_ms.div_ceil(1_000).max(1));
    response.headers_mut().insert(header::RETRY_AFTER, seconds);
}

/// What a request goes to, and the connection that it came by; or the answer that says why nowhere.
pub(super) fn target(
    app: &App,
    id: Option<ChainId>,
    request: &Request,
) -> Result<(Target, Arc<Link>), Box<Response>> {
    let chains = &app.shared.chains;
    let found = match (chains.get(id), chains.light(id)) {
        (Some(entry), _) => Ok(entry),
        (None, Some(light)) => Err(light),
        (None, None) => {
            let text = match id {
                Some(id) => {
                    format!("chain {id} is not on this node; hawser_chains lists those that are")
                }
                None => "no chain is on this node yet".to_owned(),
            };
            let error = ErrorObject::new(code::UNAVAILABLE, text);
            return Err(Box::new(refusal(StatusCode::NOT_FOUND, error)));
        }
    };
    let Some(link) = request.extensions().get::<Arc<Link>>().map(Arc::clone) else {
        let error = ErrorObject::internal("the connection is not known");
        return Err(Box::new(refusal(StatusCode::INTERNAL_SERVER_ERROR, error)));
    };
    let shared = Arc::clone(&app.shared);
    let target = match found {
        Ok(entry) => Target::Full(Context::new(shared, entry, link.certified.clone())),
        Err(light) => Target::Light(LightContext::new(shared, light)),
    };
    Ok((target, link))
}

async fn respond(app: Arc<App>, id: Option<ChainId>, request: Request) -> Response {
    if let Some(page) = pages::page(app.pages.as_ref(), &request) {
        return page;
    }
    let (target, link) = match target(&app, id, &request) {
        Ok(found) => found,
        Err(response) => return *response,
    };
    match (request.method(), target) {
        (&Method::POST, target) => post(&app, &target, &link, request).await,
        (&Method::GET, Target::Full(cx)) => upgrade(app, cx, link, request).await,
        _ => {
            let text = "POST JSON-RPC here, or open a WebSocket to a full node";
            let error = ErrorObject::new(code::INVALID_REQUEST, text);
            let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, error);
            let allowed = header::HeaderValue::from_static("GET, POST");
            response.headers_mut().insert(header::ALLOW, allowed);
            response
        }
    }
}

async fn upgrade(app: Arc<App>, cx: Context, link: Arc<Link>, request: Request) -> Response {
    if !app.origins.allows(request.headers()) {
        let text = "this origin may not open a WebSocket here; add it to the CORS origins";
        let error = ErrorObject::new(code::INVALID_REQUEST, text);
        return refusal(StatusCode::FORBIDDEN, error);
    }
    let (mut parts, _) = request.into_parts();
    let caller = caller(&cx, &link, &parts, None);
    // A credential that does not hold is refused now; without one, a login may follow.
    if let Err(error) = caller.reader()
        && cx.access().reads == Reads::Signed
        && error != AuthError::Unsigned
    {
        let reader = Err(error.clone());
        if let Err(error) = auth::record_login(&cx, &caller, "websocket", &reader).await {
            return refusal(StatusCode::SERVICE_UNAVAILABLE, error);
        }
        return unauthenticated(&cx, refusal(StatusCode::UNAUTHORIZED, error.to_object()));
    }
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &()).await else {
        let text = "POST JSON-RPC here, or open a WebSocket";
        let error = ErrorObject::new(code::INVALID_REQUEST, text);
        return refusal(StatusCode::METHOD_NOT_ALLOWED, error);
    };
    let Ok(place) = Arc::clone(&app.websockets).try_acquire_owned() else {
        app.shared.observer.refused(Refusal::WebSockets);
        let max = app.shared.limits.websockets_max;
        let text = format!("{max} WebSocket connections are open, the limit; retry in a second");
        return refusal(StatusCode::SERVICE_UNAVAILABLE, ErrorObject::busy(text));
    };
    ws::upgrade(upgrade, app, cx, link, Arc::new(caller), place)
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return true;
    };
    let Ok(text) = value.to_str() else {
        return false;
    };
    let kind = text.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
        || kind.eq_ignore_ascii_case("application/json-rpc")
        || kind.eq_ignore_ascii_case("application/jsonrequest")
}

/// Who sends a request, where that matters.
pub(super) fn caller(cx: &Context, link: &Link, parts: &Parts, body: Option<&[u8]>) -> Caller {
    let reader = match cx.access().reads {
        Reads::Open => Err(AuthError::Unsigned),
        Reads::Signed => {
            let message = Message {
                method: parts.method.as_str(),
                path: parts.uri.path(),
                body,
                headers: &parts.headers,
            };
            let (realm, identity) = (cx.realm(), link.identity.as_ref());
            cx.authenticator()
                .identify(&realm, &message, identity, auth::now_ms())
        }
    };
    Caller::new(link.from, reader)
}

/// Says with a refusal what would be accepted (RFC 9110, section 11.6.1).
pub(super) fn unauthenticated(cx: &Context, mut response: Response) -> Response {
    let text = format!("Bearer realm=\"{}\"", cx.realm().audience);
    if let Ok(value) = header::HeaderValue::from_str(&text) {
        let headers = response.headers_mut();
        headers.insert(header::WWW_AUTHENTICATE, value);
    }
    response
}

async fn post(app: &App, target: &Target, link: &Link, request: Request<Body>) -> Response {
    let shared = &app.shared;
    if !is_json(request.headers()) {
        shared.observer.refused(Refusal::Body);
        let text = "content type must be application/json";
        let error = ErrorObject::new(code::INVALID_REQUEST, text);
        return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, error);
    }
    // Held until the answer is made.
    let (parts, bytes, _held) = match receive(app, link, request).await {
        Ok(received) => received,
        Err(response) => return *response,
    };
    let caller = Arc::new(match target {
        Target::Full(cx) => caller(cx, link, &parts, Some(&bytes)),
        Target::Light(_) => Caller::new(link.from, Err(AuthError::Unsigned)),
    });
    match message(target, shared, &caller, &bytes, None, &link.budget).await {
        Some(reply) => match (reply.code, target) {
            (Some(code::UNAUTHENTICATED), Target::Full(cx)) => {
                unauthenticated(cx, body(StatusCode::UNAUTHORIZED, reply.into_bytes()))
            }
            (Some(code::DENIED), _) => body(StatusCode::FORBIDDEN, reply.into_bytes()),
            _ => body(StatusCode::OK, reply.into_bytes()),
        },
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

/// Reads the body of a request within the limits; or the answer that says why not.
pub(super) async fn receive(
    app: &App,
    link: &Link,
    request: Request<Body>,
) -> Result<(Parts, Bytes, Held), Box<Response>> {
    let shared = &app.shared;
    let max = shared.limits.body_bytes_max;
    let read = Duration::from_millis(shared.limits.read_ms_max);
    let too_large = |observer: &dyn crate::RpcObserver| {
        observer.refused(Refusal::Body);
        link.linger();
        let text = format!("request body exceeds the limit of {max} bytes; send it in parts");
        refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            ErrorObject::new(code::INVALID_REQUEST, text),
        )
    };
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > max) {
        return Err(Box::new(too_large(shared.observer.as_ref())));
    }
    let (parts, request_body) = request.into_parts();
    let reading = read_body(request_body, max, &link.budget);
    let refused = match tokio::time::timeout(read, reading).await {
        Ok(Ok((bytes, held))) => return Ok((parts, bytes, held)),
        Ok(Err(Unread::TooLarge)) => too_large(shared.observer.as_ref()),
        Ok(Err(Unread::Memory)) => {
            shared.observer.refused(Refusal::Memory);
            link.linger();
            let text = "the node is busy: no memory is left for this request; retry in a second";
            refusal(StatusCode::SERVICE_UNAVAILABLE, ErrorObject::busy(text))
        }
        Ok(Err(Unread::Broken(error))) => {
            shared.observer.refused(Refusal::Body);
            let text = format!("the body did not arrive: {error}");
            let error = ErrorObject::new(code::INVALID_REQUEST, text);
            refusal(StatusCode::BAD_REQUEST, error)
        }
        Err(_) => {
            shared.observer.refused(Refusal::Body);
            let text = format!("the body did not arrive within {} ms", read.as_millis());
            let error = ErrorObject::new(code::INVALID_REQUEST, text);
            refusal(StatusCode::REQUEST_TIMEOUT, error)
        }
    };
    Err(Box::new(refused))
}

/// Why a body is not there.
enum Unread {
    TooLarge,
    Memory,
    Broken(axum::Error),
}

/// Reads a body, counting what arrives twice: as text, and as what is parsed from it.
async fn read_body(body: Body, max: usize, budget: &Budget) -> Result<(Bytes, Held), Unread> {
    let mut held = budget.nothing();
    let mut stream = body.into_data_stream();
    let mut all: Vec<u8> = Vec::new();
    let mut first: Option<Bytes> = None;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(Unread::Broken)?;
        let before = first.as_ref().map_or(all.len(), Bytes::len);
        if before.saturating_add(chunk.len()) > max {
            return Err(Unread::TooLarge);
        }
        if !held.grow(chunk.len().saturating_mul(2)) {
            return Err(Unread::Memory);
        }
        // Most bodies come in one piece, which needs no copy.
        match first.take() {
            None if all.is_empty() => first = Some(chunk),
            earlier => {
                all.extend_from_slice(earlier.as_deref().unwrap_or_default());
                all.extend_from_slice(&chunk);
            }
        }
    }
    Ok((first.unwrap_or_else(|| all.into()), held))
}

/// Answers a message; `None` when it consists of notifications.
pub(super) async fn message(
    target: &Target,
    shared: &Shared,
    caller: &Arc<Caller>,
    bytes: &[u8],
    session: Option<&Session>,
    budget: &Budget,
) -> Option<Reply> {
    let observer = shared.observer.as_ref();
    let keep = |id: Option<&RawValue>, answered| Reply::new(budget, observer, id, answered);
    let plain = |text| Answered { text, code: None };
    let incoming = match parse(bytes, &shared.limits) {
        Ok(incoming) => incoming,
        Err(error) => {
            let refused = match error.code {
                code::PARSE => Refusal::Parse,
                _ => Refusal::Batch,
            };
            shared.observer.refused(refused);
            return Some(keep(None, plain(response(None, &Err(error)))));
        }
    };
    match incoming {
        Incoming::Single(Ok(call)) => {
            let id = call.id.clone();
            let answered = target.answer(caller, call, session).await?;
            Some(keep(id.as_deref(), answered))
        }
        Incoming::Single(Err(text)) => {
            shared.observer.refused(Refusal::Request);
            Some(keep(None, plain(text)))
        }
        Incoming::Batch(calls) => {
            let max = shared.limits.response_bytes_max;
            // Once an answer did not fit, no further call is begun.
            let is_full = AtomicBool::new(false);
            let is_full = &is_full;
            // Started in order, answered in order, a few at a time.
            let mut answers = stream::iter(calls)
                .map(|call| async move {
                    match call {
                        Ok(call) if is_full.load(Ordering::Relaxed) => {
                            let why = format!(
                                "not carried out: the batch response exceeds the limit of {max} \
                                 bytes; send the batch in parts"
                            );
                            let error = ErrorObject::new(code::RESPONSE_TOO_LARGE, why);
                            let reply = call.id.as_deref().map(|id| {
                                let refused = Answered {
                                    text: response(Some(id), &Err(error)),
                                    code: Some(code::RESPONSE_TOO_LARGE),
                                };
                                keep(Some(id), refused)
                            });
                            (call.id, reply)
                        }
                        Ok(call) => {
                            let id = call.id.clone();
                            let answered = target.answer(caller, call, session).await;
                            let reply = answered.map(|text| keep(id.as_deref(), text));
                            (id, reply)
                        }
                        Err(text) => {
                            shared.observer.refused(Refusal::Request);
                            (None, Some(keep(None, plain(text))))
                        }
                    }
                })
                .buffered(shared.limits.concurrency_max);
            let mut all = String::from("[");
            let mut held = budget.nothing();
            let mut unknown = true;
            while let Some((id, reply)) = answers.next().await {
                let Some(mut reply) = reply else { continue };
                let is_refusal = reply.code == Some(code::RESPONSE_TOO_LARGE);
                if !is_refusal && all.len().saturating_add(reply.text.len()) > max {
                    is_full.store(true, Ordering::Relaxed);
                    let why = format!("batch response exceeds the limit of {max} bytes");
                    let error = ErrorObject::new(code::RESPONSE_TOO_LARGE, why);
                    let text = response(id.as_deref(), &Err(error));
                    reply = keep(id.as_deref(), plain(text));
                }
                if all.len() > 1 {
                    all.push(',');
                }
                all.push_str(&reply.text);
                held.absorb(reply.held);
                unknown &= reply.code == Some(code::UNAUTHENTICATED);
            }
            if all.len() == 1 {
                return None;
            }
            all.push(']');
            Some(Reply {
                text: all,
                held,
                // The status of a batch is that of a refusal only where all of it is refused.
                code: unknown.then_some(code::UNAUTHENTICATED),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types() {
        let with =
            |value: &str| HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]);
        assert!(is_json(&HeaderMap::new()));
        assert!(is_json(&with("application/json")));
        assert!(is_json(&with("Application/JSON; charset=utf-8")));
        assert!(!is_json(&with("text/plain")));
        assert!(!is_json(&with("application/jsonp")));
    }
}
