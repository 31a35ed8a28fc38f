//! Encryption of what lies on the disk.
//!
//! ```text
//! sealed = salt (16 bytes) ‖ counter (u64, little endian) ‖ ciphertext ‖ tag (16 bytes)
//! ```
//! The salt is drawn when a [`Sealer`] is made; the cipher's key is H(tag of `Domain::AtRest` ‖
//! `record` ‖ data key ‖ salt), cut to its length, and the nonce the counter, so no nonce ever comes
//! twice under a key, whatever a crash takes back. Where the content stands is authenticated with
//! it: each part of the place with its length (u32) before it.
//!
//! Keys of a store that say something are replaced by values of a keyed function ([`KeyForm`]).
//!
//! What this does not do: hide how much there is, or that somebody put back an older copy of the
//! whole folder.

mod disk;
mod kv;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hawser_crypto::cipher::{Aead, Cipher, CipherError, NONCE_BYTES, TAG_BYTES, random_bytes};
use hawser_crypto::datakey::DataKey;
use hawser_crypto::{Prf, Suite};
use hawser_primitives::Domain;
use lru::LruCache;
use parking_lot::Mutex;
use zeroize::Zeroizing;

pub use disk::SealedDisk;
pub use kv::{KeyForm, SealedKv};

/// Bytes that sealing adds.
pub const SEALED_BYTES: usize = SALT_BYTES + COUNTER_BYTES + TAG_BYTES;

const SALT_BYTES: usize = 16;
const COUNTER_BYTES: usize = 8;
/// Keys of earlier runs kept ready. Each start of a node makes one.
const SESSIONS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

type Salt = [u8; SALT_BYTES];

/// Encrypts and decrypts under one data key.
pub struct Sealer {
    data_key: DataKey,
    suite: Suite,
    salt: Salt,
    current: Arc<Aead>,
    counter: AtomicU64,
    earlier: Mutex<LruCache<Salt, Arc<Aead>>>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealer({})", self.data_key.cipher())
    }
}

impl Sealer {
    /// A sealer for this run of the program.
    ///
    /// # Errors
    /// [`CipherError::Randomness`].
    pub fn new(data_key: DataKey) -> Result<Self, CipherError> {
        let suite = match data_key.cipher() {
            Cipher::Aes256Gcm => Suite::Intl,
            Cipher::Sm4Gcm => Suite::Sm,
        };
        let salt = random_bytes()?;
        let current = Arc::new(session(&data_key, suite, &salt)?);
        Ok(Self {
            data_key,
            suite,
            salt,
            current,
            counter: AtomicU64::new(0),
            earlier: Mutex::new(LruCache::new(SESSIONS)),
        })
    }

    /// Seals content that will stand at `place`.
    ///
    /// # Errors
    /// [`CipherError::Length`] over 64 GiB.
    pub fn seal(&self, place: &[&[u8]], content: &[u8]) -> Result<Vec<u8>, CipherError> {
        // 2^64 of them are more than a disk holds.
        let counter = self.counter.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        let mut sealed = Vec::with_capacity(content.len().saturating_add(SEALED_BYTES));
        sealed.extend_from_slice(&self.salt);
        sealed.extend_from_slice(&counter);
        sealed.extend_from_slice(content);
        let body = sealed.get_mut(SALT_BYTES + COUNTER_BYTES..);
        let body = body.unwrap_or_default();
        let tag = self
            .current
            .seal(&nonce(counter), &associated(place), body)?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// Opens content that stands at `place`.
    ///
    /// # Errors
    /// [`CipherError::Tag`].
    pub fn open(&self, place: &[&[u8]], sealed: &[u8]) -> Result<Vec<u8>, CipherError> {
        let parts = || {
            let (salt, rest) = sealed.split_first_chunk::<SALT_BYTES>()?;
            let (counter, rest) = rest.split_first_chunk::<COUNTER_BYTES>()?;
            let (body, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
            Some((salt, *counter, body, tag))
        };
        let (salt, counter, body, tag) = parts().ok_or(CipherError::Tag)?;
        let mut content = body.to_vec();
        let aead = self.session(salt)?;
        aead.open(&nonce(counter), &associated(place), &mut content, tag)?;
        Ok(content)
    }

    /// The function that hides the keys of a column: HMAC with the hash of the suite, under
    /// H(tag of `Domain::AtRest` ‖ `keys` ‖ data key), over the column's name with its length (u32,
    /// little endian) before it, and the key.
    pub(crate) fn blinding(&self, column: &str) -> Prf {
        let parts = [b"keys".as_slice(), self.data_key.as_bytes()];
        let key = Zeroizing::new(self.suite.hash_domain(Domain::AtRest, &parts).0);
        Prf::new(self.suite, &key).after(&associated(&[column.as_bytes()]))
    }

    fn session(&self, salt: &Salt) -> Result<Arc<Aead>, CipherError> {
        if *salt == self.salt {
            return Ok(Arc::clone(&self.current));
        }
        let mut earlier = self.earlier.lock();
        if let Some(found) = earlier.get(salt) {
            return Ok(Arc::clone(found));
        }
        let made = Arc::new(session(&self.data_key, self.suite, salt)?);
        earlier.put(*salt, Arc::clone(&made));
        Ok(made)
    }
}

fn session(data_key: &DataKey, suite: Suite, salt: &Salt) -> Result<Aead, CipherError> {
    let parts = [b"record".as_slice(), data_key.as_bytes(), salt];
    let key = Zeroizing::new(suite.hash_domain(Domain::AtRest, &parts).0);
    let len = data_key.cipher().key_bytes();
    Aead::new(data_key.cipher(), key.get(..len).unwrap_or_default())
}

fn nonce(counter: [u8; COUNTER_BYTES]) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    for (to, from) in nonce.iter_mut().zip(counter) {
        *to = from;
    }
    nonce
}

fn associated(place: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    for part in place {
        let len = u32::try_from(part.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(part);
    }
    out
}
