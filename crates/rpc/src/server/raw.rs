//! `POST /raw`: many signed transactions at once, as bytes.
//!
//! The body is a list of transactions, each behind its length (4 bytes, big endian). The answer has one entry per
//! transaction, in order: `docs/spec/rpc.md` section 6 has both forms. A body that is no such list is refused as a whole,
//! and nothing of it is submitted. Every transaction is judged as `eth_sendRawTransaction` judges it: the same
//! permissions, limits, audit and back-pressure.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, stream};
use hawser_primitives::{B256, ChainId};
use serde_json::{json, value::RawValue};
use tokio::time::timeout;

use super::{
    App,
    http::{self, Target, retry_after_ms},
    link::Link,
};
use crate::{
    CallOutcome, Refusal,
    auth::{self, Caller, Reads},
    eth,
    methods::{Context, outcome},
    wire::{ErrorObject, code},
};

/// The method under whose name these submissions are judged, recorded and counted.
const METHOD: &str = "eth_sendRawTransaction";
/// The content type of both directions.
const BYTES: &str = "application/octet-stream";
/// Transactions of one request that are on their way to the pool at once.
const IN_FLIGHT_MAX: usize = 256;
/// Longest message in a binary answer, in bytes.
const MESSAGE_BYTES_MAX: usize = 512;

/// What became of a transaction, as the binary answer says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Status {
    /// It is in the pool.
    Accepted = 0,
    /// The node has it already.
    Known = 1,
    /// Not now: the pool is full or the node is busy. The same bytes are good later.
    Busy = 2,
    /// It will never be taken as it is.
    Refused = 3,
    /// The sender of the request is not known, or may not submit.
    NotAllowed = 4,
    /// A fault of this node.
    Fault = 5,
}

impl Status {
    fn of(answer: &Result<B256, ErrorObject>) -> Self {
        match answer {
            Ok(_) => Self::Accepted,
            Err(error) if retry_after_ms(error).is_some() => Self::Busy,
            Err(error) => match error.code {
                code::UNAUTHENTICATED | code::DENIED => Self::NotAllowed,
                code::INTERNAL | code::UNAVAILABLE => Self::Fault,
                _ if error.message.starts_with("already known") => Self::Known,
                _ => Self::Refused,
            },
        }
    }
}

/// `/raw`: the default chain.
pub(super) async fn root(State(app): State<Arc<App>>, request: Request) -> Response {
    respond(&app, None, request).await
}

/// `/chain/<id>/raw`: that chain.
pub(super) async fn chain(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    match http::chain_id(&id, "the path is /chain/<chainId>/raw, in decimal") {
        Ok(id) => respond(&app, Some(id), request).await,
        Err(response) => *response,
    }
}

async fn respond(app: &App, id: Option<ChainId>, request: Request) -> Response {
    let refuse = |status, text: &'static str| {
        http::refusal(status, ErrorObject::new(code::INVALID_REQUEST, text))
    };
    let (target, link) = match http::target(app, id, &request) {
        Ok(found) => found,
        Err(response) => return *response,
    };
    let Target::Full(cx) = target else {
        let text = "a light node takes transactions as JSON-RPC only";
        return refuse(StatusCode::NOT_FOUND, text);
    };
    if request.method() != Method::POST {
        let text = "POST transactions here, each behind its length in 4 bytes";
        let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, text);
        let allowed = header::HeaderValue::from_static("POST");
        response.headers_mut().insert(header::ALLOW, allowed);
        return response;
    }
    if !is(request.headers(), header::CONTENT_TYPE, BYTES) {
        app.shared.observer.refused(Refusal::Body);
        let text = "content type must be application/octet-stream";
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
    }
    submit(app, &cx, &link, request).await
}

/// Whether a header names this media type.
fn is(headers: &HeaderMap, name: header::HeaderName, kind: &str) -> bool {
    let text = headers.get(name).and_then(|value| value.to_str().ok());
    text.is_some_and(|text| {
        let first = text.split([';', ',']).next().unwrap_or_default();
        first.trim().eq_ignore_ascii_case(kind)
    })
}

async fn submit(app: &App, cx: &Context, link: &Link, request: Request<Body>) -> Response {
    let as_json = is(request.headers(), header::ACCEPT, "application/json");
    // Held until everything is submitted.
    let (parts, bytes, _held) = match http::receive(app, link, request).await {
        Ok(received) => received,
        Err(response) => return *response,
    };
    let transactions = match split(&bytes, app.shared.limits.batch_max) {
        Ok(transactions) => transactions,
        Err(error) => {
            app.shared.observer.refused(Refusal::Batch);
            return http::refusal(StatusCode::BAD_REQUEST, error);
        }
    };
    let caller = http::caller(cx, link, &parts, Some(&bytes));
    let caller = &caller;
    let answers: Vec<Result<B256, ErrorObject>> = stream::iter(transactions)
        .map(|raw| one(cx, caller, raw))
        .buffered(IN_FLIGHT_MAX)
        .collect()
        .await;
    let status = status(&answers);
    let wait = answers
        .iter()
        .filter_map(|answer| retry_after_ms(answer.as_ref().err()?))
        .max();
    let mut response = if as_json {
        http::body(status, in_json(&answers))
    } else {
        (status, [(header::CONTENT_TYPE, BYTES)], in_bytes(&answers)).into_response()
    };
    if let Some(wait_ms) = wait {
        http::set_retry_after(&mut response, wait_ms);
    }
    if status == StatusCode::UNAUTHORIZED {
        return http::unauthenticated(cx, response);
    }
    response
}

/// Cuts a body into transactions.
fn split(body: &Bytes, count_max: usize) -> Result<Vec<Bytes>, ErrorObject> {
    const LENGTH: usize = 4;
    let bad = |text: String| ErrorObject::new(code::INVALID_REQUEST, text);
    let mut transactions = Vec::new();
    let mut rest = body.clone();
    while !rest.is_empty() {
        let at = body.len() - rest.len();
        if transactions.len() == count_max {
            return Err(bad(format!(
                "more than {count_max} transactions in one body; send it in parts"
            )));
        }
        let Some(length) = rest.first_chunk::<LENGTH>() else {
            let left = rest.len();
            return Err(bad(format!(
                "{left} bytes at byte {at}: a transaction begins with its length in 4 bytes"
            )));
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let _ = rest.split_to(LENGTH);
        if length > rest.len() {
            return Err(bad(format!(
                "the transaction at byte {at} should have {length} bytes, {} are left",
                rest.len()
            )));
        }
        // A copy: what waits in the pool must not hold on to the whole body.
        transactions.push(Bytes::copy_from_slice(&rest.split_to(length)));
    }
    if transactions.is_empty() {
        return Err(bad("the body holds no transaction".to_owned()));
    }
    Ok(transactions)
}

/// Submits one transaction, judged and counted as a call.
async fn one(cx: &Context, caller: &Caller, raw: Bytes) -> Result<B256, ErrorObject> {
    let started = Instant::now();
    let answer = match allowed(cx, caller, &raw).await {
        Err(error) => Err(error),
        Ok(()) => {
            let limit_ms = cx.limits().request_ms_max;
            let submitted = eth::submit(cx, raw.into());
            match timeout(Duration::from_millis(limit_ms), submitted).await {
                Ok(answer) => answer,
                Err(_) => Err(ErrorObject::busy(format!(
                    "not answered within {limit_ms} ms; retry in a second"
                ))),
            }
        }
    };
    let outcome = match &answer {
        Ok(_) => CallOutcome::Ok,
        Err(error) => outcome(&Err(error.clone())),
    };
    cx.observer().called(METHOD, outcome, started.elapsed());
    answer
}

/// The check of `eth_sendRawTransaction` with this transaction as its parameter.
async fn allowed(cx: &Context, caller: &Caller, raw: &Bytes) -> Result<(), ErrorObject> {
    if cx.access().reads == Reads::Open {
        return Ok(());
    }
    let params = RawValue::from_string(format!("[\"0x{}\"]", hex::encode(raw)))
        .map_err(|_| ErrorObject::internal("a transaction could not be recorded"))?;
    auth::check(cx, caller, METHOD, Some(&params)).await
}

/// The status of a whole answer: of a refusal only where all of it is refused for that.
fn status(answers: &[Result<B256, ErrorObject>]) -> StatusCode {
    let all = |test: &dyn Fn(&ErrorObject) -> bool| {
        answers
            .iter()
            .all(|answer| answer.as_ref().err().is_some_and(test))
    };
    if all(&|error| error.code == code::UNAUTHENTICATED) {
        StatusCode::UNAUTHORIZED
    } else if all(&|error| error.code == code::DENIED) {
        StatusCode::FORBIDDEN
    } else if all(&|error| error.code == code::UNAVAILABLE) {
        StatusCode::SERVICE_UNAVAILABLE
    } else if all(&|error| retry_after_ms(error).is_some()) {
        StatusCode::TOO_MANY_REQUESTS
    } else {
        StatusCode::OK
    }
}

fn in_bytes(answers: &[Result<B256, ErrorObject>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(answers.len().saturating_mul(3).saturating_add(8));
    let count = u32::try_from(answers.len()).unwrap_or(u32::MAX);
    let wait = answers
        .iter()
        .filter_map(|answer| retry_after_ms(answer.as_ref().err()?))
        .max();
    let wait = u32::try_from(wait.unwrap_or(0)).unwrap_or(u32::MAX);
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(&wait.to_be_bytes());
    for answer in answers {
        let text = answer
            .as_ref()
            .err()
            .map_or("", |error| error.message.as_ref());
        let text = shortened(text);
        out.push(Status::of(answer) as u8);
        out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// The first bytes of a text, up to the end of a character.
fn shortened(text: &str) -> &str {
    let mut end = text.len().min(MESSAGE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}

fn in_json(answers: &[Result<B256, ErrorObject>]) -> String {
    let results: Vec<_> = answers
        .iter()
        .map(|answer| match answer {
            Ok(hash) => json!({ "hash": hash }),
            Err(error) => json!({ "error": error }),
        })
        .collect();
    json!({ "results": results }).to_string()
}

#[cfg(test)]
#[path = "raw_tests.rs"]
mod tests;
