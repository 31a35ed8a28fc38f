//! Secret keys at rest, encrypted under a passphrase.
//!
//! secp256k1 keys take the form that Ethereum tools share, Web3 Secret Storage version 3 (JSON);
//! SM2 and Ed25519 keys take encrypted PKCS#8 in PEM (RFC 5958, PBES2 of RFC 8018 with scrypt and
//! AES-256-CBC), which `openssl pkey` reads. [`decrypt`] tells them apart by itself and also reads
//! the variants with PBKDF2.
//!
//! A key file is input from outside: its size, and the memory and time that its parameters ask
//! for, are bounded before anything is derived from the passphrase.

mod pem;
mod web3;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::{KeyError, Scheme, SecretKey};

/// Largest key file read, in bytes.
pub const FILE_BYTES_MAX: usize = 64 * 1024;
/// Most memory that scrypt may use, in bytes: 128 × N × r.
pub const SCRYPT_MEMORY_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Most work that scrypt may do: N × r × p, eight times the default.
pub const SCRYPT_WORK_MAX: u64 = 1 << 24;
/// Most iterations of PBKDF2.
pub const PBKDF2_ITERATIONS_MAX: u32 = 10_000_000;

/// Cost of scrypt (RFC 7914).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScryptCost {
    /// log2 of N, the cost in memory and time.
    pub log_n: u8,
    /// Block size r. Memory is 128 × N × r bytes.
    pub r: u32,
    /// Parallelism p. Work is N × r × p.
    pub p: u32,
}

/// Costs of deriving the key that a file is encrypted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// For Web3 Secret Storage.
    pub json: ScryptCost,
    /// For PKCS#8. OpenSSL gives scrypt no more than 32 MiB, so N × r must stay below 2^18 for its
    /// command line to read the file.
    pub pem: ScryptCost,
}

impl Default for Params {
    /// N = 2^18, r = 8, p = 1 (256 MiB, about a second) for JSON, as Ethereum clients use;
    /// N = 2^14, r = 8, p = 5 (16 MiB) for PEM.
    fn default() -> Self {
        Self {
            json: ScryptCost {
                log_n: 18,
                r: 8,
                p: 1,
            },
            pem: ScryptCost {
                log_n: 14,
                r: 8,
                p: 5,
            },
        }
    }
}

impl Params {
    /// A thousandth of the usual cost, for tests and for development keys that guard nothing.
    #[must_use]
    pub const fn light() -> Self {
        let cost = ScryptCost {
            log_n: 8,
            r: 8,
            p: 1,
        };
        Self {
            json: cost,
            pem: cost,
        }
    }
}

/// Why a key file could not be written or read.
#[derive(Debug, Error)]
pub enum KeystoreError {
    /// The file is larger than any key file.
    #[error("key file has {len} bytes, more than the limit of {FILE_BYTES_MAX}")]
    TooLarge {
        /// Its length in bytes.
        len: usize,
    },
    /// Neither of the two formats.
    #[error(
        "not a key file: expected Web3 Secret Storage (JSON) or `BEGIN ENCRYPTED PRIVATE KEY` (PEM)"
    )]
    UnknownFormat,
    /// A PEM file with a key in clear text.
    #[error("the key file is not encrypted; encrypt it with `openssl pkcs8 -topk8 -scrypt`")]
    NotEncrypted,
    /// The format is right and a part of it is not.
    #[error("damaged key file: {0}")]
    Malformed(&'static str),
    /// A version, cipher, key derivation or curve that is not supported.
    #[error("unsupported {what} in key file: {found}")]
    Unsupported {
        /// Which part.
        what: &'static str,
        /// What the file says.
        found: String,
    },
    /// Deriving the key would take more memory or time than allowed, or the parameters are
    /// invalid.
    #[error("refusing the key file's {kdf} parameters: {why}")]
    Cost {
        /// Name of the key derivation function.
        kdf: &'static str,
        /// Which bound.
        why: &'static str,
    },
    /// The check value, or the padding, does not fit.
    #[error("wrong passphrase, or the key file is damaged")]
    WrongPassphrase,
    /// An empty passphrase would leave the key in the open.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// The content decrypted to something that is no key of the scheme.
    #[error("key file holds an invalid key")]
    Key(#[from] KeyError),
}

/// Encrypts a key: Web3 Secret Storage for secp256k1, PKCS#8 PEM for SM2 and Ed25519.
///
/// # Errors
/// [`KeystoreError::EmptyPassphrase`], [`KeystoreError::Cost`] for parameters that [`decrypt`]
/// would refuse, [`KeystoreError::Key`] if the operating system gives no randomness.
pub fn encrypt(
    key: &SecretKey,
    passphrase: &str,
    params: &Params,
) -> Result<String, KeystoreError> {
    if passphrase.is_empty() {
        return Err(KeystoreError::EmptyPassphrase);
    }
    match key.scheme() {
        Scheme::Secp256k1 => web3::encrypt(key, passphrase, params.json),
        Scheme::Sm2 | Scheme::Ed25519 => pem::encrypt(key, passphrase, params.pem),
    }
}

/// Decrypts a key file of either format.
///
/// # Errors
/// Every variant of [`KeystoreError`] but [`KeystoreError::EmptyPassphrase`]: files from elsewhere
/// may have been made without one.
pub fn decrypt(text: &str, passphrase: &str) -> Result<SecretKey, KeystoreError> {
    if text.len() > FILE_BYTES_MAX {
        return Err(KeystoreError::TooLarge { len: text.len() });
    }
    let text = text.trim();
    if text.starts_with('{') {
        web3::decrypt(text, passphrase)
    } else if text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        pem::decrypt(text, passphrase)
    } else if text.starts_with("-----BEGIN ") && text.contains("PRIVATE KEY-----") {
        Err(KeystoreError::NotEncrypted)
    } else {
        Err(KeystoreError::UnknownFormat)
    }
}

/// Encrypts a private key that is PKCS#8 in DER already, of a kind that no account has.
///
/// # Errors
/// As [`encrypt`].
pub fn seal_pkcs8(der: &[u8], passphrase: &str, params: &Params) -> Result<String, KeystoreError> {
    if passphrase.is_empty() {
        return Err(KeystoreError::EmptyPassphrase);
    }
    pem::seal(der, passphrase, params.pem)
}

/// Decrypts a PEM key file of any kind of key, within the same bounds as [`decrypt`].
///
/// # Errors
/// As [`decrypt`].
pub fn open_pkcs8(text: &str, passphrase: &str) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    if text.len() > FILE_BYTES_MAX {
        return Err(KeystoreError::TooLarge { len: text.len() });
    }
    let plain = pem::open(text.trim(), passphrase)?;
    Ok(Zeroizing::new(plain.as_bytes().to_vec()))
}

/// Turns a cost into parameters, unless it is over the limits.
fn scrypt_params(cost: ScryptCost) -> Result<scrypt::Params, KeystoreError> {
    let refuse = |why| KeystoreError::Cost { kdf: "scrypt", why };
    if cost.log_n == 0 || cost.log_n > 30 || cost.r == 0 || cost.p == 0 {
        return Err(refuse(
            "N must be a power of two from 2 to 2^30, r and p at least 1",
        ));
    }
    let blocks = (1u64 << cost.log_n).saturating_mul(u64::from(cost.r));
    if blocks.saturating_mul(128) > SCRYPT_MEMORY_BYTES_MAX {
        return Err(refuse("more than 512 MiB of memory"));
    }
    if blocks.saturating_mul(u64::from(cost.p)) > SCRYPT_WORK_MAX {
        return Err(refuse("N × r × p over 2^24"));
    }
    scrypt::Params::new(cost.log_n, cost.r, cost.p).map_err(|_| refuse("invalid combination"))
}

/// A cost from the numbers of a file; N has to be a power of two.
fn scrypt_cost(n: u64, r: u64, p: u64) -> Result<ScryptCost, KeystoreError> {
    let refuse = |why| KeystoreError::Cost { kdf: "scrypt", why };
    if !n.is_power_of_two() {
        return Err(refuse("N is not a power of two"));
    }
    match (
        u8::try_from(n.trailing_zeros()),
        u32::try_from(r),
        u32::try_from(p),
    ) {
        (Ok(log_n), Ok(r), Ok(p)) => Ok(ScryptCost { log_n, r, p }),
        _ => Err(refuse("r or p over 2^32")),
    }
}

/// Refuses a number of iterations that is zero or over the limit.
fn pbkdf2_iterations(iterations: u64) -> Result<u32, KeystoreError> {
    match u32::try_from(iterations) {
        Ok(iterations @ 1..=PBKDF2_ITERATIONS_MAX) => Ok(iterations),
        _ => Err(KeystoreError::Cost {
            kdf: "pbkdf2",
            why: "iterations must lie between 1 and 10,000,000",
        }),
    }
}

/// Random bytes of the operating system.
fn random<const N: usize>() -> Result<[u8; N], KeystoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| KeyError::Randomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(log_n: u8, r: u32, p: u32) -> bool {
        scrypt_params(ScryptCost { log_n, r, p }).is_ok()
    }

    #[test]
    fn both_sides_of_the_limits_on_scrypt_and_pbkdf2() {
        assert!(accepts(19, 8, 1) && !accepts(19, 9, 1), "memory");
        assert!(accepts(18, 8, 8) && !accepts(18, 8, 9), "work");
        assert!(accepts(1, 1, 1) && !accepts(0, 1, 1));
        assert!(!accepts(1, 0, 1) && !accepts(1, 1, 0));
        assert!(pbkdf2_iterations(1).is_ok() && pbkdf2_iterations(0).is_err());
        let max = u64::from(PBKDF2_ITERATIONS_MAX);
        assert!(pbkdf2_iterations(max).is_ok() && pbkdf2_iterations(max + 1).is_err());
    }
}
