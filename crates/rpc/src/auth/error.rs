use thiserror::Error;

use crate::wire::{ErrorObject, code};

/// Why a reader is not known. Each has its own words, an audit rule and an HTTP status.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum AuthError {
    /// No credential at all.
    #[error(
        "this chain answers signed requests only: sign them (RFC 9421), or log in with \
         hawser_challenge and hawser_login; `hawser proxy` does it for Ethereum tools"
    )]
    Unsigned,
    /// A credential that cannot be read.
    #[error("the request's credential is malformed: {0}")]
    Malformed(String),
    /// Outside its time.
    #[error("the signature is stale: {0}; check this machine's clock and sign anew")]
    Stale(String),
    /// Seen before.
    #[error("the signature was used before: every request needs a nonce of its own")]
    Replayed,
    /// Meant for another chain or node.
    #[error("the credential is for {found:?}, this is {expected:?}; sign for this node and chain")]
    WrongAudience {
        /// Of this chain on this node.
        expected: String,
        /// Named by the credential.
        found: String,
    },
    /// Does not verify.
    #[error("the signature does not verify: another key, or another request than was signed")]
    BadSignature,
    /// The body is not the one that was signed.
    #[error("the body does not match its Content-Digest")]
    BadDigest,
    /// The token's time is over.
    #[error("the token has expired; log in again (hawser_challenge, hawser_login)")]
    TokenExpired,
    /// Not a token of this node.
    #[error("the token was not issued by this node since it started; log in again")]
    TokenUnknown,
    /// Given back, or its account's tokens were revoked.
    #[error("the token is revoked; log in again, if your account still may read")]
    TokenRevoked,
    /// A certificate that is bound to no account.
    #[error("the client certificate ({0}) is bound to no account of this chain")]
    Unbound(String),
    /// Too many signatures to remember.
    #[error("too many signed requests within a minute; log in and use a token, or retry shortly")]
    Busy,
}

impl AuthError {
    /// Rule for the audit log.
    pub(crate) const fn rule(&self) -> &'static str {
        match self {
            Self::Unsigned => "auth.unsigned",
            Self::Malformed(_) => "auth.malformed",
            Self::Stale(_) => "auth.stale",
            Self::Replayed => "auth.replayed",
            Self::WrongAudience { .. } => "auth.audience",
            Self::BadSignature => "auth.signature",
            Self::BadDigest => "auth.digest",
            Self::TokenExpired => "auth.token-expired",
            Self::TokenUnknown => "auth.token-unknown",
            Self::TokenRevoked => "auth.token-revoked",
            Self::Unbound(_) => "auth.certificate-unbound",
            Self::Busy => "auth.busy",
        }
    }

    /// For the client.
    pub(crate) fn to_object(&self) -> ErrorObject {
        let mut error = ErrorObject::new(code::UNAUTHENTICATED, self.to_string());
        error.data = Some(serde_json::json!({ "rule": self.rule() }));
        error
    }
}
