//! The suites' ciphers: authenticated encryption ([`Aead`]) and SM4 by itself ([`Sm4`]).
//!
//! SM4 is the block cipher of GB/T 32907-2016, counter mode that of NIST SP 800-38A (GB/T
//! 17964-2021), GCM that of NIST SP 800-38D; SM4-GCM is the `AEAD_SM4_GCM` of RFC 8998. The
//! arithmetic is RustCrypto's for AES and that of `hawser-sm-fast` for SM4, both in constant time;
//! here are names, sizes and errors.

use std::fmt;

use aes_gcm::{
    Aes256Gcm,
    aead::{AeadInOut, KeyInit},
};
use hawser_sm_fast::sm4;
use thiserror::Error;

use crate::{NameError, Suite};

/// Bytes of a block of SM4.
pub const BLOCK_BYTES: usize = sm4::BLOCK_BYTES;
/// Bytes of an SM4 key.
pub const SM4_KEY_BYTES: usize = sm4::KEY_BYTES;
/// Bytes of a nonce of [`Aead`].
pub const NONCE_BYTES: usize = 12;
/// Bytes of a tag of [`Aead`].
pub const TAG_BYTES: usize = 16;

/// An authenticated cipher. Its number is what encodings carry: 1 or 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Cipher {
    /// AES-256-GCM.
    Aes256Gcm = 1,
    /// SM4-GCM (RFC 8998).
    Sm4Gcm = 2,
}

impl Cipher {
    /// Every cipher, in the order of its number.
    pub const ALL: [Self; 2] = [Self::Aes256Gcm, Self::Sm4Gcm];

    /// The cipher that a suite encrypts with.
    #[must_use]
    pub const fn of(suite: Suite) -> Self {
        match suite {
            Suite::Intl => Self::Aes256Gcm,
            Suite::Sm => Self::Sm4Gcm,
        }
    }

    /// The lower-case name, as in files and configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes-256-gcm",
            Self::Sm4Gcm => "sm4-gcm",
        }
    }

    /// Length of its keys in bytes: 32 or 16.
    #[must_use]
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::Aes256Gcm => 32,
            Self::Sm4Gcm => SM4_KEY_BYTES,
        }
    }
}

impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Cipher {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::ALL
            .into_iter()
            .find(|cipher| cipher.name() == text)
            .ok_or(NameError {
                what: "cipher",
                expected: "aes-256-gcm, sm4-gcm",
            })
    }
}

/// Why something was not encrypted or decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CipherError {
    /// The key has another length than the cipher's.
    #[error("{cipher} takes a key of {} bytes, not {len}", cipher.key_bytes())]
    Key {
        /// The cipher.
        cipher: Cipher,
        /// Bytes given.
        len: usize,
    },
    /// Data over 64 GiB, or with blocks: not a whole number of them.
    #[error("{0} bytes cannot be encrypted at once in this mode")]
    Length(usize),
    /// The tag does not fit: another key, another nonce, other associated data, or changed bytes.
    #[error("decryption failed: the key is another one or the data was changed")]
    Tag,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no randomness")]
    Randomness,
}

/// Random bytes of the operating system, for nonces and salts. Never for what replicas agree on.
///
/// # Errors
/// [`CipherError::Randomness`].
pub fn random_bytes<const N: usize>() -> Result<[u8; N], CipherError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| CipherError::Randomness)?;
    Ok(bytes)
}

/// A keyed authenticated cipher. A nonce must never serve twice under one key. Erased from memory
/// when dropped.
#[derive(Clone)]
pub struct Aead(Keyed);

#[derive(Clone)]
enum Keyed {
    Aes(Box<Aes256Gcm>),
    Sm4(Box<sm4::Gcm>),
}

impl fmt::Debug for Aead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Aead({})", self.cipher())
    }
}

impl Aead {
    /// The cipher under a key.
    ///
    /// # Errors
    /// [`CipherError::Key`].
    pub fn new(cipher: Cipher, key: &[u8]) -> Result<Self, CipherError> {
        let wrong = CipherError::Key {
            cipher,
            len: key.len(),
        };
        Ok(Self(match cipher {
            Cipher::Aes256Gcm => {
                Keyed::Aes(Box::new(Aes256Gcm::new_from_slice(key).map_err(|_| wrong)?))
            }
            Cipher::Sm4Gcm => {
                Keyed::Sm4(Box::new(sm4::Gcm::new(key.try_into().map_err(|_| wrong)?)))
            }
        }))
    }

    /// Which cipher it is.
    #[must_use]
    pub const fn cipher(&self) -> Cipher {
        match self.0 {
            Keyed::Aes(_) => Cipher::Aes256Gcm,
            Keyed::Sm4(_) => Cipher::Sm4Gcm,
        }
    }

    /// Encrypts `data` in place and gives the tag over it and `associated`.
    ///
    /// # Errors
    /// [`CipherError::Length`].
    pub fn seal(
        &self,
        nonce: &[u8; NONCE_BYTES],
        associated: &[u8],
        data: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], CipherError> {
        let len = data.len();
        let tag = match &self.0 {
            Keyed::Aes(aead) => aead
                .encrypt_inout_detached(nonce.into(), associated, data.into())
                .ok()
                .map(Into::into),
            Keyed::Sm4(aead) => aead.seal(nonce, associated, data).ok(),
        };
        tag.ok_or(CipherError::Length(len))
    }

    /// Decrypts `data` in place. When it fails, `data` is as it was.
    ///
    /// # Errors
    /// [`CipherError::Tag`].
    pub fn open(
        &self,
        nonce: &[u8; NONCE_BYTES],
        associated: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), CipherError> {
        let opened = match &self.0 {
            Keyed::Aes(aead) => aead
                .decrypt_inout_detached(nonce.into(), associated, data.into(), tag.into())
                .is_ok(),
            Keyed::Sm4(aead) => aead.open(nonce, associated, data, tag).is_ok(),
        };
        opened.then_some(()).ok_or(CipherError::Tag)
    }
}

/// SM4 under a key, without authentication. Constant time. Erased from memory when dropped.
#[derive(Clone)]
pub struct Sm4(sm4::Sm4);

impl fmt::Debug for Sm4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sm4")
    }
}

impl Sm4 {
    /// The cipher under a key.
    #[must_use]
    pub fn new(key: &[u8; SM4_KEY_BYTES]) -> Self {
        Self(sm4::Sm4::new(key))
    }

    /// Encrypts each block of `data` by itself (ECB).
    ///
    /// # Errors
    /// [`CipherError::Length`] unless these are whole blocks.
    pub fn encrypt_blocks(&self, data: &mut [u8]) -> Result<(), CipherError> {
        self.0.encrypt_blocks(whole_blocks(data)?);
        Ok(())
    }

    /// Undoes [`Self::encrypt_blocks`].
    ///
    /// # Errors
    /// [`CipherError::Length`] unless these are whole blocks.
    pub fn decrypt_blocks(&self, data: &mut [u8]) -> Result<(), CipherError> {
        self.0.decrypt_blocks(whole_blocks(data)?);
        Ok(())
    }

    /// Encrypts or decrypts `data` in counter mode. The whole `iv` is the first counter, which
    /// counts up as a number of 128 bits, big endian.
    ///
    /// # Errors
    /// Never: memory ends before 2^128 blocks do.
    pub fn ctr(&self, iv: &[u8; BLOCK_BYTES], data: &mut [u8]) -> Result<(), CipherError> {
        self.0.ctr(iv, data);
        Ok(())
    }
}

fn whole_blocks(data: &mut [u8]) -> Result<&mut [sm4::Block], CipherError> {
    let len = data.len();
    match data.as_chunks_mut() {
        (blocks, []) => Ok(blocks),
        _ => Err(CipherError::Length(len)),
    }
}
