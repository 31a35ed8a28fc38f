use thiserror::Error;

use crate::Scheme;

/// Why bytes or text are not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The byte string has a length that no key of this scheme has.
    #[error("a {scheme} key does not have {len} bytes")]
    Length {
        /// Scheme asked for.
        scheme: Scheme,
        /// Length given, in bytes.
        len: usize,
    },
    /// The bytes are not the canonical encoding of a point on the curve, or the point is infinity.
    #[error("not a point on the {0} curve in canonical encoding")]
    NotOnCurve(Scheme),
    /// An Ed25519 point of small order, under which one signature can fit many messages.
    #[error("weak ed25519 public key (point of small order)")]
    Weak,
    /// A secret scalar of zero, or not below what the scheme allows.
    #[error("secret {0} key is out of range")]
    SecretOutOfRange(Scheme),
    /// The operation belongs to another scheme.
    #[error("this operation needs a {expected} key, this one is {actual}")]
    WrongScheme {
        /// Scheme that the operation belongs to.
        expected: Scheme,
        /// Scheme of the key given.
        actual: Scheme,
    },
    /// The text form is not `scheme:0x…`.
    #[error("expected a key as `scheme:0x…` with scheme secp256k1, ed25519 or sm2")]
    Text,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no randomness")]
    Randomness,
}

/// Why bytes or text are not a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// Every signature has 64 bytes.
    #[error("a signature has 64 bytes, not {0}")]
    Length(usize),
    /// A component is zero, or not below the order of the group.
    #[error("{0} signature has a component out of range")]
    OutOfRange(Scheme),
    /// `s` lies in the upper half, which would let anyone turn a signature into a second one
    /// (EIP-2).
    #[error("secp256k1 signature has a high s")]
    HighS,
    /// The text form is not `scheme:0x…`.
    #[error("expected a signature as `scheme:0x…` with scheme secp256k1, ed25519 or sm2")]
    Text,
    /// Not two integers in DER (X.690), or integers longer than 32 bytes.
    #[error("not a DER signature of two integers")]
    Der,
    /// The scheme has no DER form for signatures.
    #[error("{0} signatures have no DER form")]
    NoDer(Scheme),
}

/// Why a signature was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// Key and signature belong to different schemes.
    #[error("a {signature} signature cannot be checked with a {key} key")]
    SchemeMismatch {
        /// Scheme of the key.
        key: Scheme,
        /// Scheme of the signature.
        signature: Scheme,
    },
    /// The components of the signature are not acceptable under any key.
    #[error(transparent)]
    Malformed(#[from] SignatureError),
    /// No public key can have made this signature.
    #[error("no public key can be recovered from this signature")]
    Unrecoverable,
    /// The key did not sign this message.
    #[error("the signature does not match the message and the key")]
    Mismatch,
}

/// The name of a suite or scheme is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("unknown {what}: expected one of {expected}")]
pub struct NameError {
    /// What was to be named.
    pub(crate) what: &'static str,
    /// The names that exist.
    pub(crate) expected: &'static str,
}
