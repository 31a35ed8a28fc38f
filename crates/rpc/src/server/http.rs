use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, to_bytes},
    extract::{FromRequestParts, Path, Request, State, WebSocketUpgrade},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, stream};
use hawser_pki::ClientIdentity;
use hawser_primitives::ChainId;

use super::{App, Session, pages, ws};
use crate::{
    Refusal,
    methods::{Context, Shared, answer},
    wire::{ErrorObject, Incoming, code, parse, response},
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
    match id.parse() {
        Ok(id) => respond(app, Some(ChainId(id)), request).await,
        Err(_) => refusal(
            StatusCode::NOT_FOUND,
            ErrorObject::new(
                code::INVALID_REQUEST,
                "the path is /chain/<chainId>, in decimal",
            ),
        ),
    }
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

fn body(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn refusal(status: StatusCode, error: ErrorObject) -> Response {
    body(status, response(None, &Err(error)))
}

async fn respond(app: Arc<App>, id: Option<ChainId>, request: Request) -> Response {
    if let Some(page) = pages::page(app.pages.as_ref(), &request) {
        return page;
    }
    let Some(entry) = app.shared.chains.get(id) else {
        let text = match id {
            Some(id) => {
                format!("chain {id} is not on this node; hawser_chains lists those that are")
            }
            None => "no chain is on this node yet".to_owned(),
        };
        let error = ErrorObject::new(code::UNAVAILABLE, text);
        return refusal(StatusCode::NOT_FOUND, error);
    };
    let client = request.extensions().get::<Arc<ClientIdentity>>().cloned();
    let cx = Context::new(Arc::clone(&app.shared), entry, client);
    match *request.method() {
        Method::POST => post(&app, &cx, request).await,
        Method::GET => upgrade(app, cx, request).await,
        _ => {
            let text = "POST JSON-RPC here, or open a WebSocket";
            let error = ErrorObject::new(code::INVALID_REQUEST, text);
            let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, error);
            let allowed = header::HeaderValue::from_static("GET, POST");
            response.headers_mut().insert(header::ALLOW, allowed);
            response
        }
    }
}

async fn upgrade(app: Arc<App>, cx: Context, request: Request) -> Response {
    if !app.origins.allows(request.headers()) {
        let text = "this origin may not open a WebSocket here; add it to the CORS origins";
        let error = ErrorObject::new(code::INVALID_REQUEST, text);
        return refusal(StatusCode::FORBIDDEN, error);
    }
    let (mut parts, _) = request.into_parts();
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
    ws::upgrade(upgrade, app, cx, place)
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

async fn post(app: &App, cx: &Context, request: Request<Body>) -> Response {
    let shared = &app.shared;
    if !is_json(request.headers()) {
        shared.observer.refused(Refusal::Body);
        let text = "content type must be application/json";
        let error = ErrorObject::new(code::INVALID_REQUEST, text);
        return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, error);
    }
    let max = shared.limits.body_bytes_max;
    let read = Duration::from_millis(shared.limits.read_ms_max);
    let too_large = |observer: &dyn crate::RpcObserver| {
        observer.refused(Refusal::Body);
        let text = format!("request body exceeds the limit of {max} bytes; send it in parts");
        refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            ErrorObject::new(code::INVALID_REQUEST, text),
        )
    };
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > max) {
        return too_large(shared.observer.as_ref());
    }
    let bytes = match tokio::time::timeout(read, to_bytes(request.into_body(), max)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => return too_large(shared.observer.as_ref()),
        Err(_) => {
            shared.observer.refused(Refusal::Body);
            let text = format!("the body did not arrive within {} ms", read.as_millis());
            let error = ErrorObject::new(code::INVALID_REQUEST, text);
            return refusal(StatusCode::REQUEST_TIMEOUT, error);
        }
    };
    match message(cx, shared, &bytes, None).await {
        Some(text) => body(StatusCode::OK, text),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

/// Answers a message; `None` when it consists of notifications.
pub(super) async fn message(
    cx: &Context,
    shared: &Shared,
    bytes: &[u8],
    session: Option<&Session>,
) -> Option<String> {
    let incoming = match parse(bytes, &shared.limits) {
        Ok(incoming) => incoming,
        Err(error) => {
            let refused = match error.code {
                code::PARSE => Refusal::Parse,
                _ => Refusal::Batch,
            };
            shared.observer.refused(refused);
            return Some(response(None, &Err(error)));
        }
    };
    match incoming {
        Incoming::Single(Ok(call)) => answer(cx, call, session).await,
        Incoming::Single(Err(text)) => {
            shared.observer.refused(Refusal::Request);
            Some(text)
        }
        Incoming::Batch(calls) => {
            let max = shared.limits.response_bytes_max;
            // Started in order, answered in order, a few at a time.
            let mut answers = stream::iter(calls)
                .map(|call| async move {
                    match call {
                        Ok(call) => {
                            let id = call.id.clone();
                            (id, answer(cx, call, session).await)
                        }
                        Err(text) => {
                            shared.observer.refused(Refusal::Request);
                            (None, Some(text))
                        }
                    }
                })
                .buffered(shared.limits.concurrency_max);
            let mut all = String::from("[");
            while let Some((id, answer)) = answers.next().await {
                let Some(mut text) = answer else { continue };
                if all.len().saturating_add(text.len()) > max {
                    let why = format!("batch response exceeds the limit of {max} bytes");
                    let error = ErrorObject::new(code::RESPONSE_TOO_LARGE, why);
                    text = response(id.as_deref(), &Err(error));
                }
                if all.len() > 1 {
                    all.push(',');
                }
                all.push_str(&text);
            }
            if all.len() == 1 {
                return None;
            }
            all.push(']');
            Some(all)
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
