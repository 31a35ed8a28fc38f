use std::path::PathBuf;

use hawser_crypto::keystore::KeystoreError;
use thiserror::Error;

/// Why something could not be read, made or stored.
#[derive(Debug, Error)]
pub enum PkiError {
    /// Longer than any of its kind may be.
    #[error("{what} has {len} bytes, more than the limit of {max}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Its length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// More parts than allowed.
    #[error("{what}: more than {max}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// Not what it claims to be.
    #[error("{what} is malformed: {detail}")]
    Malformed {
        /// What.
        what: &'static str,
        /// Why.
        detail: String,
    },
    /// A file without the blocks that it should have.
    #[error("no `BEGIN {0}` block; give a file in PEM form")]
    NoBlock(&'static str),
    /// Valid elsewhere, not here.
    #[error(
        "unsupported {what}: {found}. Keys are SM2 (sm2sign-with-sm3), P-256 (ecdsa-with-SHA256) or Ed25519"
    )]
    Unsupported {
        /// Which part.
        what: &'static str,
        /// What it is.
        found: String,
    },
    /// A name, day count or the like out of its range.
    #[error("{what}: {requirement}")]
    Input {
        /// Which.
        what: &'static str,
        /// What it must be.
        requirement: String,
    },
    /// A signature that its signer did not make.
    #[error("the signature of {0} is wrong: it was changed, or another key made it")]
    Signature(String),
    /// A private key and a certificate of different keys.
    #[error(
        "the private key does not belong to the certificate {0}; give the key that was requested with"
    )]
    OtherKey(String),
    /// A key file.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// Not a private key of a supported kind.
    #[error("the private key is not usable: {0}")]
    Key(String),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no randomness")]
    Randomness,
    /// A file or folder.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A file with wrong content.
    #[error("{}: {source}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<PkiError>,
    },
    /// The folder holds an authority already.
    #[error("{} holds an authority already; choose another folder", .0.display())]
    Exists(PathBuf),
    /// The folder holds no authority.
    #[error("{} holds no authority; `hawser cert create --dir` makes one", .0.display())]
    NoAuthority(PathBuf),
    /// Another process works on the authority.
    #[error("another process works on the authority in {}; wait for it", .0.display())]
    Locked(PathBuf),
    /// Signing without the key.
    #[error("the authority's key is not open; give its passphrase")]
    Sealed,
    /// No such certificate in the index.
    #[error("no certificate `{0}` in this authority's index; `hawser cert list` shows all")]
    Unknown(String),
    /// Several certificates fit.
    #[error("`{0}` fits several certificates; give the whole serial number")]
    Ambiguous(String),
    /// Revoked before.
    #[error("the certificate {0} is revoked; issue a new one for a new key")]
    Revoked(String),
    /// The authority may not do this.
    #[error("{0}")]
    Refused(String),
}

impl PkiError {
    pub(crate) fn malformed(what: &'static str, detail: impl ToString) -> Self {
        Self::Malformed {
            what,
            detail: detail.to_string(),
        }
    }

    pub(crate) fn input(what: &'static str, requirement: impl ToString) -> Self {
        Self::Input {
            what,
            requirement: requirement.to_string(),
        }
    }
}
