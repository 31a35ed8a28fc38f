use std::io;

use hawser_execution::Stop;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::{ErrorObject, code, depth_within};
use crate::RpcLimits;

/// A result, already as text.
pub(crate) type Json = Box<RawValue>;

/// Writes a result.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<Json, ErrorObject> {
    to_raw_value(value).map_err(|error| ErrorObject::internal(format!("result: {error}")))
}

/// What was found, or null.
pub(crate) fn or_null(found: Option<Json>) -> Result<Json, ErrorObject> {
    found.map_or_else(|| json(&serde_json::Value::Null), Ok)
}

/// Writes a result that may be long: ends when it exceeds `bytes_max`, or when nobody waits for it
/// any more, so that at most the limit is held of it.
pub(crate) fn json_within<T: Serialize + ?Sized>(
    value: &T,
    bytes_max: usize,
    stop: &Stop,
) -> Result<Json, ErrorObject> {
    let mut out = Bounded {
        text: Vec::new(),
        bytes_max,
        stop,
        is_full: false,
    };
    let written = serde_json::to_writer(&mut out, value);
    if out.is_full {
        return Err(ErrorObject::too_long(bytes_max));
    }
    stop.check()?;
    let internal =
        |error: &dyn std::fmt::Display| ErrorObject::internal(format!("result: {error}"));
    written.map_err(|error| internal(&error))?;
    let text = String::from_utf8(out.text).map_err(|error| internal(&error))?;
    RawValue::from_string(text).map_err(|error| internal(&error))
}

/// A text that grows up to a limit, and for as long as somebody waits for it.
struct Bounded<'a> {
    text: Vec<u8>,
    bytes_max: usize,
    stop: &'a Stop,
    is_full: bool,
}

impl io::Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.is_full = self.text.len().saturating_add(bytes.len()) > self.bytes_max;
        if self.is_full || self.stop.is_raised() {
            return Err(io::ErrorKind::Other.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One call.
#[derive(Debug)]
pub(crate) struct Call {
    /// Echoed in the response; `None` for a notification, which gets none.
    pub(crate) id: Option<Box<RawValue>>,
    /// Name of the method.
    pub(crate) method: String,
    /// Parameters as text.
    pub(crate) params: Option<Box<RawValue>>,
}

/// What a message asks for. Items that are no request are already answered.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// One request.
    Single(Result<Call, String>),
    /// Several, to be answered in one array.
    Batch(Vec<Result<Call, String>>),
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(default, borrow, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(default)]
    jsonrpc: Option<String>,
    #[serde(default)]
    method: Option<String>,
    #[serde(default, borrow)]
    params: Option<&'a RawValue>,
}

/// Keeps `null` apart from absence: a request with a null id is answered, one without is not.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(d: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&'a RawValue>::deserialize(d).map(Some)
}

/// Reads a message.
///
/// # Errors
/// The whole message is refused; the error is to be sent with a null id.
pub(crate) fn parse(text: &[u8], limits: &RpcLimits) -> Result<Incoming, ErrorObject> {
    if !depth_within(text, limits.json_depth_max) {
        let text = format!("nested deeper than the limit of {}", limits.json_depth_max);
        return Err(ErrorObject::new(code::PARSE, text));
    }
    let parse_error = |error: &dyn std::fmt::Display| {
        ErrorObject::new(code::PARSE, format!("parse error: {error}"))
    };
    let text = std::str::from_utf8(text).map_err(|error| parse_error(&error))?;
    if !text.trim_start().starts_with('[') {
        let one: &RawValue = serde_json::from_str(text).map_err(|error| parse_error(&error))?;
        return Ok(Incoming::Single(request(one)));
    }
    let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| parse_error(&error))?;
    if items.is_empty() {
        return Err(ErrorObject::new(code::INVALID_REQUEST, "empty batch"));
    }
    if items.len() > limits.batch_max {
        let text = format!(
            "batch of {} requests exceeds the limit of {}; send it in parts",
            items.len(),
            limits.batch_max
        );
        return Err(ErrorObject::new(code::INVALID_REQUEST, text));
    }
    Ok(Incoming::Batch(items.into_iter().map(request).collect()))
}

/// One request, or its finished answer when it is none.
fn request(raw: &RawValue) -> Result<Call, String> {
    let refuse = |id: Option<&RawValue>, why: String| {
        let error = ErrorObject::new(code::INVALID_REQUEST, format!("invalid request: {why}"));
        Err(response(id, &Err(error)))
    };
    if !raw.get().starts_with('{') {
        return refuse(None, "it is not an object".to_owned());
    }
    let request: Request<'_> = match serde_json::from_str(raw.get()) {
        Ok(request) => request,
        Err(error) => return refuse(None, error.to_string()),
    };
    // An id is a string, a number or null; anything else is not echoed.
    let is_id = |id: &&RawValue| !id.get().starts_with(['{', '[', 't', 'f']);
    if request.id.is_some_and(|id| !is_id(&id)) {
        return refuse(None, "the id must be a string, a number or null".to_owned());
    }
    if request.jsonrpc.as_deref() != Some("2.0") {
        return refuse(request.id, "\"jsonrpc\" must be \"2.0\"".to_owned());
    }
    let Some(method) = request.method else {
        return refuse(request.id, "\"method\" is missing".to_owned());
    };
    Ok(Call {
        id: request.id.map(ToOwned::to_owned),
        method,
        params: request.params.map(ToOwned::to_owned),
    })
}

/// A response as text. An `id` of `None` is written as null.
pub(crate) fn response(id: Option<&RawValue>, result: &Result<Json, ErrorObject>) -> String {
    let id = id.map_or("null", RawValue::get);
    match result {
        Ok(result) => {
            let result = result.get();
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
        }
        Err(error) => {
            let error = serde_json::to_string(error).unwrap_or_else(|_| {
                format!(
                    r#"{{"code":{},"message":"internal error"}}"#,
                    code::INTERNAL
                )
            });
            format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
        }
    }
}

/// A subscription's message as text.
pub(crate) fn notification(method: &str, subscription: &str, result: &Json) -> String {
    let result = result.get();
    format!(
        r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"subscription":"{subscription}","result":{result}}}}}"#
    )
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
