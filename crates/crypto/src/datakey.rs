//! The key that a data folder is encrypted with, and the file that keeps it.
//!
//! The data key is drawn at random once. The file holds it encrypted ("wrapped") under a key that
//! comes from a passphrase or from a key file, so that changing either does not touch the data.
//! Everything follows the suite: AES-256-GCM with scrypt (RFC 7914), or SM4-GCM with PBKDF2 (RFC
//! 8018) over HMAC-SM3.

use scrypt::Params as ScryptParams;
use serde::{Deserialize, Serialize};
use sm3::Sm3;
use thiserror::Error;
use zeroize::Zeroizing;

use hawser_primitives::Domain;

use crate::{
    Suite,
    cipher::{Aead, Cipher, NONCE_BYTES, TAG_BYTES},
};

/// Largest wrapped key file, in bytes.
pub const DATA_KEY_FILE_BYTES_MAX: usize = 4_096;
/// Fewest and most bytes of a key file's content.
pub const KEY_FILE_BYTES: (usize, usize) = (16, 4_096);

const VERSION: u32 = 1;
const SALT_BYTES: usize = 16;
/// scrypt: 32 MiB and some 0.1 s.
const LOG_N: u8 = 15;
const R: u32 = 8;
/// Bounds on what a file may ask for: 1 GiB of memory, and minutes.
const LOG_N_RANGE: std::ops::RangeInclusive<u8> = 10..=20;
const R_MAX: u32 = 8;
const P_MAX: u32 = 8;
/// PBKDF2: some 0.2 s.
const ITERATIONS: u32 = 400_000;
const ITERATIONS_RANGE: std::ops::RangeInclusive<u32> = 1_000..=20_000_000;

/// A data key. Erased from memory when dropped.
#[derive(Clone)]
pub struct DataKey {
    cipher: Cipher,
    key: Zeroizing<Vec<u8>>,
}

/// What a data key is wrapped under.
#[derive(Clone, Copy)]
pub enum Secret<'a> {
    /// A passphrase.
    Passphrase(&'a str),
    /// The content of a key file: 16 to 4,096 bytes that nobody can guess.
    KeyFile(&'a [u8]),
}

/// Why a data key was not wrapped or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DataKeyError {
    /// Not such a file.
    #[error("not a wrapped data key of version {VERSION}")]
    Malformed,
    /// The file asks for more work or memory than is given, or for less than protects.
    #[error("the wrapped data key asks for an unreasonable cost of key derivation")]
    Cost,
    /// It was wrapped the other way.
    #[error(
        "the data key is wrapped under a {expected}, not a {given}; set storage.encryption to match"
    )]
    Kind {
        /// What it is wrapped under.
        expected: &'static str,
        /// What was given.
        given: &'static str,
    },
    /// It does not open.
    #[error("wrong {0}: the data key does not open; nothing was changed")]
    Wrong(&'static str),
    /// A key file that is too short or too long.
    #[error("a key file holds 16 to 4096 bytes, not {0}")]
    KeyFile(usize),
    /// An empty passphrase.
    #[error("the passphrase is empty")]
    Empty,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no randomness")]
    Randomness,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    version: u32,
    cipher: String,
    kdf: Kdf,
    nonce: String,
    /// Ciphertext and tag.
    wrapped: String,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
enum Kdf {
    Scrypt {
        log_n: u8,
        r: u32,
        p: u32,
        salt: String,
    },
    Pbkdf2HmacSm3 {
        iterations: u32,
        salt: String,
    },
    KeyFile {
        salt: String,
    },
}

impl Kdf {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Scrypt { .. } | Self::Pbkdf2HmacSm3 { .. } => "passphrase",
            Self::KeyFile { .. } => "key file",
        }
    }
}

impl Secret<'_> {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Passphrase(_) => "passphrase",
            Self::KeyFile(_) => "key file",
        }
    }

    fn check(&self) -> Result<(), DataKeyError> {
        match self {
            Self::Passphrase("") => Err(DataKeyError::Empty),
            Self::KeyFile(content)
                if content.len() < KEY_FILE_BYTES.0 || content.len() > KEY_FILE_BYTES.1 =>
            {
                Err(DataKeyError::KeyFile(content.len()))
            }
            _ => Ok(()),
        }
    }
}

impl DataKey {
    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// [`DataKeyError::Randomness`].
    pub fn generate(cipher: Cipher) -> Result<Self, DataKeyError> {
        let mut key = Zeroizing::new(vec![0; cipher.key_bytes()]);
        getrandom::fill(&mut key).map_err(|_| DataKeyError::Randomness)?;
        Ok(Self { cipher, key })
    }

    /// The cipher it belongs to.
    #[must_use]
    pub const fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// The key's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.key
    }

    /// The text of the file that keeps the key under a secret.
    ///
    /// # Errors
    /// [`DataKeyError::KeyFile`], [`DataKeyError::Empty`], [`DataKeyError::Randomness`].
    pub fn wrap(&self, secret: Secret<'_>) -> Result<String, DataKeyError> {
        let salt = hex::encode(random::<SALT_BYTES>()?);
        let kdf = match (secret, self.cipher) {
            (Secret::KeyFile(_), _) => Kdf::KeyFile { salt },
            (Secret::Passphrase(_), Cipher::Aes256Gcm) => Kdf::Scrypt {
                log_n: LOG_N,
                r: R,
                p: 1,
                salt,
            },
            (Secret::Passphrase(_), Cipher::Sm4Gcm) => Kdf::Pbkdf2HmacSm3 {
                iterations: ITERATIONS,
                salt,
            },
        };
        let outer = derive(self.cipher, &kdf, secret)?;
        let nonce = random::<NONCE_BYTES>()?;
        let mut wrapped = self.key.to_vec();
        let aead = Aead::new(self.cipher, &outer).map_err(|_| DataKeyError::Malformed)?;
        let tag = aead
            .seal(&nonce, &Domain::AtRest.tag(), &mut wrapped)
            .map_err(|_| DataKeyError::Malformed)?;
        wrapped.extend_from_slice(&tag);
        let file = File {
            version: VERSION,
            cipher: self.cipher.name().to_owned(),
            kdf,
            nonce: hex::encode(nonce),
            wrapped: hex::encode(wrapped),
        };
        serde_json::to_string_pretty(&file).map_err(|_| DataKeyError::Malformed)
    }

    /// Opens what [`Self::wrap`] gave.
    ///
    /// # Errors
    /// All of [`DataKeyError`] but [`DataKeyError::Randomness`].
    pub fn open(text: &str, secret: Secret<'_>) -> Result<Self, DataKeyError> {
        if text.len() > DATA_KEY_FILE_BYTES_MAX {
            return Err(DataKeyError::Malformed);
        }
        let file: File = serde_json::from_str(text).map_err(|_| DataKeyError::Malformed)?;
        let cipher: Cipher = file.cipher.parse().map_err(|_| DataKeyError::Malformed)?;
        if file.version != VERSION {
            return Err(DataKeyError::Malformed);
        }
        let outer = derive(cipher, &file.kdf, secret)?;
        let malformed = |_| DataKeyError::Malformed;
        let nonce = hex::decode(&file.nonce).map_err(malformed)?;
        let nonce = nonce.try_into().map_err(|_| DataKeyError::Malformed)?;
        let wrapped = hex::decode(&file.wrapped).map_err(malformed)?;
        let Some((key, tag)) = wrapped.split_last_chunk::<TAG_BYTES>() else {
            return Err(DataKeyError::Malformed);
        };
        if key.len() != cipher.key_bytes() {
            return Err(DataKeyError::Malformed);
        }
        let mut key = Zeroizing::new(key.to_vec());
        Aead::new(cipher, &outer)
            .and_then(|aead| aead.open(&nonce, &Domain::AtRest.tag(), &mut key, tag))
            .map_err(|_| DataKeyError::Wrong(secret.kind()))?;
        Ok(Self { cipher, key })
    }
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DataKey({})", self.cipher)
    }
}

/// The key that wraps.
fn derive(
    cipher: Cipher,
    kdf: &Kdf,
    secret: Secret<'_>,
) -> Result<Zeroizing<Vec<u8>>, DataKeyError> {
    secret.check()?;
    let salt_of = |text: &str| match hex::decode(text) {
        Ok(salt) if salt.len() == SALT_BYTES => Ok(salt),
        _ => Err(DataKeyError::Malformed),
    };
    let mut key = Zeroizing::new(vec![0; cipher.key_bytes()]);
    match (kdf, secret) {
        (Kdf::Scrypt { log_n, r, p, salt }, Secret::Passphrase(passphrase)) => {
            let sane = LOG_N_RANGE.contains(log_n) && (1..=R_MAX).contains(r);
            if !sane || !(1..=P_MAX).contains(p) {
                return Err(DataKeyError::Cost);
            }
            let params = ScryptParams::new(*log_n, *r, *p).map_err(|_| DataKeyError::Cost)?;
            scrypt::scrypt(passphrase.as_bytes(), &salt_of(salt)?, &params, &mut key)
                .map_err(|_| DataKeyError::Cost)?;
        }
        (Kdf::Pbkdf2HmacSm3 { iterations, salt }, Secret::Passphrase(passphrase)) => {
            if !ITERATIONS_RANGE.contains(iterations) {
                return Err(DataKeyError::Cost);
            }
            let salt = salt_of(salt)?;
            pbkdf2::pbkdf2_hmac::<Sm3>(passphrase.as_bytes(), &salt, *iterations, &mut key);
        }
        (Kdf::KeyFile { salt }, Secret::KeyFile(content)) => {
            let suite = match cipher {
                Cipher::Aes256Gcm => Suite::Intl,
                Cipher::Sm4Gcm => Suite::Sm,
            };
            let parts = [b"key file".as_slice(), &salt_of(salt)?, content];
            let digest = Zeroizing::new(suite.hash_domain(Domain::AtRest, &parts).0);
            for (to, from) in key.iter_mut().zip(digest.iter()) {
                *to = *from;
            }
        }
        (kdf, secret) => {
            return Err(DataKeyError::Kind {
                expected: kdf.kind(),
                given: secret.kind(),
            });
        }
    }
    Ok(key)
}

fn random<const N: usize>() -> Result<[u8; N], DataKeyError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| DataKeyError::Randomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_under_its_secret_and_under_no_other() {
        for cipher in Cipher::ALL {
            let key = DataKey::generate(cipher).unwrap();
            let file = [7; 32];
            for (right, wrong) in [
                (Secret::Passphrase("correct"), Secret::Passphrase("corect")),
                (Secret::KeyFile(&file), Secret::KeyFile(&file[..31])),
            ] {
                let text = key.wrap(right).unwrap();
                assert!(!text.contains(&hex::encode(key.as_bytes())));
                let opened = DataKey::open(&text, right).unwrap();
                assert_eq!(opened.as_bytes(), key.as_bytes());
                assert_eq!(opened.cipher(), cipher);
                let refused = DataKey::open(&text, wrong).unwrap_err();
                assert_eq!(refused, DataKeyError::Wrong(right.kind()));
                let flipped = text.replacen("\"wrapped\": \"", "\"wrapped\": \"00", 1);
                assert!(DataKey::open(&flipped, right).is_err());
            }
            let text = key.wrap(Secret::KeyFile(&file)).unwrap();
            let refused = DataKey::open(&text, Secret::Passphrase("p")).unwrap_err();
            assert!(matches!(refused, DataKeyError::Kind { .. }), "{refused}");
        }
    }

    #[test]
    fn both_sides_of_the_limits_of_secrets_and_costs() {
        let key = DataKey::generate(Cipher::Sm4Gcm).unwrap();
        for (len, good) in [(15, false), (16, true), (4_096, true), (4_097, false)] {
            assert_eq!(
                key.wrap(Secret::KeyFile(&vec![1; len])).is_ok(),
                good,
                "{len}"
            );
        }
        assert_eq!(key.wrap(Secret::Passphrase("")), Err(DataKeyError::Empty));
        let text = key.wrap(Secret::Passphrase("p")).unwrap();
        for iterations in ["999", "20000001"] {
            let asking = text.replace(&ITERATIONS.to_string(), iterations);
            let refused = DataKey::open(&asking, Secret::Passphrase("p"));
            assert_eq!(refused.unwrap_err(), DataKeyError::Cost);
        }
        let aes = DataKey::generate(Cipher::Aes256Gcm).unwrap();
        let text = aes.wrap(Secret::Passphrase("p")).unwrap();
        for cost in ["9", "21"] {
            let asking = text.replace("\"log_n\": 15", &format!("\"log_n\": {cost}"));
            assert_ne!(asking, text);
            let refused = DataKey::open(&asking, Secret::Passphrase("p"));
            assert_eq!(refused.unwrap_err(), DataKeyError::Cost);
        }
        for junk in ["", "{}", "null", &" ".repeat(5_000)] {
            let refused = DataKey::open(junk, Secret::Passphrase("p"));
            assert_eq!(refused.unwrap_err(), DataKeyError::Malformed);
        }
    }
}
