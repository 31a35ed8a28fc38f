use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

/// Error codes: JSON-RPC 2.0 section 5.1, EIP-1474, and geth's where clients look for them.
pub(crate) mod code {
    /// Not JSON.
    pub(crate) const PARSE: i32 = -32700;
    /// JSON, but no request.
    pub(crate) const INVALID_REQUEST: i32 = -32600;
    /// No such method.
    pub(crate) const METHOD_NOT_FOUND: i32 = -32601;
    /// Parameters that do not fit.
    pub(crate) const INVALID_PARAMS: i32 = -32602;
    /// A fault of this node.
    pub(crate) const INTERNAL: i32 = -32603;
    /// The request is understood and cannot be fulfilled (geth's default).
    pub(crate) const SERVER: i32 = -32000;
    /// The chain is stopped here, or an object store does not give old blocks (EIP-1474: resource
    /// unavailable).
    pub(crate) const UNAVAILABLE: i32 = -32002;
    /// The answer is larger than allowed (geth's `errcodeResponseTooLarge`).
    pub(crate) const RESPONSE_TOO_LARGE: i32 = -32003;
    /// A limit of this node (EIP-1474: limit exceeded).
    pub(crate) const LIMIT_EXCEEDED: i32 = -32005;
    /// Nobody known asks: a credential is missing or does not hold.
    pub(crate) const UNAUTHENTICATED: i32 = -32040;
    /// The reader is known and may not.
    pub(crate) const DENIED: i32 = -32043;
    /// What is asked for was pruned here (EIP-4444; geth's `pruned history unavailable`).
    pub(crate) const PRUNED: i32 = 4444;
    /// The code that a call or an estimate ran reverted; `data` has the reason.
    pub(crate) const REVERTED: i32 = 3;
}

/// What a client is told when there is no result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ErrorObject {
    /// One of the numbers in `docs/spec/rpc.md`.
    pub code: i32,
    /// For people: what is wrong and what to do.
    pub message: Cow<'static, str>,
    /// For programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl ErrorObject {
    pub(crate) fn new(code: i32, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    pub(crate) fn server(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(code::SERVER, message)
    }

    pub(crate) fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(code::INTERNAL, message)
    }

    pub(crate) fn invalid_params(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(code::INVALID_PARAMS, message)
    }

    pub(crate) fn limit(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(code::LIMIT_EXCEEDED, message)
    }

    /// The answer would be longer than this.
    pub(crate) fn too_long(bytes_max: usize) -> Self {
        Self::new(
            code::RESPONSE_TOO_LARGE,
            format!("response exceeds the limit of {bytes_max} bytes; ask for less at once"),
        )
    }

    /// Refused for load; the client should try again.
    pub(crate) fn busy(message: impl Into<Cow<'static, str>>) -> Self {
        let mut error = Self::limit(message);
        error.data = Some(serde_json::json!({ "retryAfterMs": 1000 }));
        error
    }

    /// What is asked for is or may be in a block that this node no longer keeps; `first` is the
    /// first one that it does.
    pub(crate) fn pruned(first: u64, message: &str) -> Self {
        let mut error = Self::new(
            code::PRUNED,
            format!("pruned history unavailable: {message}"),
        );
        error.data = Some(serde_json::json!({ "firstHeight": format!("{first:#x}") }));
        error
    }

    /// What is asked for was moved to an object store, which does not give it now, for this reason in
    /// one word. Where the store is, is for the operator only.
    pub(crate) fn cold(why: &str) -> Self {
        let remedy = match why {
            "wrong" | "missing" | "marker" | "not_configured" => {
                "ask another archive node, and tell this node's operator"
            }
            _ => "ask again in a while, or another archive node",
        };
        let mut error = Self::new(
            code::UNAVAILABLE,
            format!(
                "cold history unavailable: it was moved to an object store, which does not give it \
                 now ({why}); {remedy}"
            ),
        );
        error.data = Some(serde_json::json!({ "reason": why }));
        error
    }

    pub(crate) fn stopping() -> Self {
        Self::new(
            code::UNAVAILABLE,
            "the chain is stopped on this node; ask another node",
        )
    }

    pub(crate) fn method_not_found(method: &str) -> Self {
        /// Enough to recognise a name; the rest is the client's own text sent back.
        const SHOWN_MAX: usize = 64;
        let shown: String = method.chars().take(SHOWN_MAX).collect();
        Self::new(
            code::METHOD_NOT_FOUND,
            format!("the method {shown} does not exist/is not available"),
        )
    }
}
