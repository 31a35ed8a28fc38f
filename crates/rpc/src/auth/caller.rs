use std::net::IpAddr;

use hawser_primitives::Address;
use parking_lot::RwLock;

use super::AuthError;

/// By which means a reader proved itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Signature,
    Token,
    Certificate,
}

impl How {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Token => "token",
            Self::Certificate => "certificate",
        }
    }
}

/// Random name of a token.
pub(crate) type TokenId = [u8; 16];

/// Somebody who proved to be this account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reader {
    pub(crate) account: Address,
    pub(crate) how: How,
    /// When the proof was given, in milliseconds since 1970.
    pub(crate) since_ms: u64,
    /// Until when the proof holds.
    pub(crate) expires_ms: u64,
    /// The token that is the proof.
    pub(crate) token: Option<TokenId>,
}

/// Who sends requests over a connection, as far as it is known. On a WebSocket this may change.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) from: Option<IpAddr>,
    reader: RwLock<Result<Reader, AuthError>>,
}

impl Caller {
    pub(crate) fn new(from: Option<IpAddr>, reader: Result<Reader, AuthError>) -> Self {
        Self {
            from,
            reader: RwLock::new(reader),
        }
    }

    /// What is known of the reader; whether it still holds is for others to say.
    pub(crate) fn reader(&self) -> Result<Reader, AuthError> {
        self.reader.read().clone()
    }

    /// From now on, requests are this reader's.
    pub(crate) fn becomes(&self, reader: Reader) {
        *self.reader.write() = Ok(reader);
    }
}
