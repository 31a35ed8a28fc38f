//! The suites' ciphers: authenticated encryption ([`Aead`]) and SM4 by itself ([`Sm4`]).
//!
//! SM4 is the block cipher of GB/T 32907-2016, counter mode that of NIST SP 800-38A (GB/T
//! 17964-2021), GCM that of NIST SP 800-38D; SM4-GCM is the `AEAD_SM4_GCM` of RFC 8998. All of it
//! is RustCrypto's arithmetic; here are names, sizes and errors.

use std::fmt;

use aes_gcm::{
    Aes256Gcm, AesGcm,
    aead::{AeadInOut, KeyInit, consts::U12},
};
use ctr::cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, InnerIvInit, StreamCipher, StreamCipherCoreWrapper,
};
use ctr::{CtrCore, flavors::Ctr128BE};
use sm4::Sm4 as Sm4Block;
use thiserror::Error;

use crate::{NameError, Suite};

/// Bytes of a block of SM4.
pub const BLOCK_BYTES: usize = 16;
/// Bytes of an SM4 key.
pub const SM4_KEY_BYTES: usize = 16;
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
    Sm4(Box<AesGcm<Sm4Block, U12>>),
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
        let wrong = |_| CipherError::Key {
            cipher,
            len: key.len(),
        };
        Ok(Self(match cipher {
            Cipher::Aes256Gcm => {
                Keyed::Aes(Box::new(Aes256Gcm::new_from_slice(key).map_err(wrong)?))
            }
            Cipher::Sm4Gcm => Keyed::Sm4(Box::new(AesGcm::new_from_slice(key).map_err(wrong)?)),
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
            Keyed::Aes(aead) => aead.encrypt_inout_detached(nonce.into(), associated, data.into()),
            Keyed::Sm4(aead) => aead.encrypt_inout_detached(nonce.into(), associated, data.into()),
        };
        tag.map(Into::into).map_err(|_| CipherError::Length(len))
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
        let (nonce, tag) = (nonce.into(), tag.into());
        match &self.0 {
            Keyed::Aes(aead) => aead.decrypt_inout_detached(nonce, associated, data.into(), tag),
            Keyed::Sm4(aead) => aead.decrypt_inout_detached(nonce, associated, data.into(), tag),
        }
        .map_err(|_| CipherError::Tag)
    }
}

/// SM4 under a key, without authentication. Erased from memory when dropped.
///
/// The arithmetic looks up its S-box in memory, so its time may tell something of the key to who
/// shares the processor's cache.
#[derive(Clone)]
pub struct Sm4(Sm4Block);

impl fmt::Debug for Sm4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sm4")
    }
}

impl Sm4 {
    /// The cipher under a key.
    #[must_use]
    pub fn new(key: &[u8; SM4_KEY_BYTES]) -> Self {
        Self(Sm4Block::new(key.into()))
    }

    /// Encrypts each block of `data` by itself (ECB).
    ///
    /// # Errors
    /// [`CipherError::Length`] unless these are whole blocks.
    pub fn encrypt_blocks(&self, data: &mut [u8]) -> Result<(), CipherError> {
        self.blocks(data, |cipher, block| cipher.encrypt_block(block.into()))
    }

    /// Undoes [`Self::encrypt_blocks`].
    ///
    /// # Errors
    /// [`CipherError::Length`] unless these are whole blocks.
    pub fn decrypt_blocks(&self, data: &mut [u8]) -> Result<(), CipherError> {
        self.blocks(data, |cipher, block| cipher.decrypt_block(block.into()))
    }

    fn blocks(
        &self,
        data: &mut [u8],
        work: impl Fn(&Sm4Block, &mut [u8; BLOCK_BYTES]),
    ) -> Result<(), CipherError> {
        let len = data.len();
        let (blocks, []) = data.as_chunks_mut::<BLOCK_BYTES>() else {
            return Err(CipherError::Length(len));
        };
        for block in blocks {
            work(&self.0, block);
        }
        Ok(())
    }

    /// Encrypts or decrypts `data` in counter mode. The whole `iv` is the first counter, which
    /// counts up as a number of 128 bits, big endian.
    ///
    /// # Errors
    /// Never in practice: [`CipherError::Length`] after 2^128 blocks.
    pub fn ctr(&self, iv: &[u8; BLOCK_BYTES], data: &mut [u8]) -> Result<(), CipherError> {
        let len = data.len();
        let core = CtrCore::<_, Ctr128BE>::inner_iv_init(self.0.clone(), iv.into());
        StreamCipherCoreWrapper::from_core(core)
            .try_apply_keystream(data)
            .map_err(|_| CipherError::Length(len))
    }
}
