//! What a node remembers of a file that it moved away.

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::Suite;
use hawser_primitives::{decode_exact, encode};
use sha2::Sha256;
use sm3::{Digest, Sm3};

/// Bytes that have a digest of their own: the least that is read from the store.
pub const CHUNK_BYTES: u32 = 1024 * 1024;
/// Most chunks of a file: 4 GiB, above the largest segment.
pub const CHUNKS_MAX: usize = 4_096;
/// Longest key of an object, in bytes (that of S3).
pub(super) const KEY_BYTES_MAX: usize = 1_024;
/// Longest marker file, in bytes.
pub(super) const MARKER_BYTES_MAX: usize = 32 * CHUNKS_MAX + KEY_BYTES_MAX + 256;
const MAGIC: [u8; 8] = *b"HWSTIER1";

/// A digest of 32 bytes.
pub type TierDigest = [u8; 32];

/// The hash by which objects are known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum TierHash {
    /// SHA-256 (FIPS 180-4), on chains of suite `intl`: the one that the tools of every store have.
    Sha256 = 1,
    /// SM3 (GB/T 32905), on chains of suite `sm`.
    Sm3 = 2,
}

impl TierHash {
    /// That of a suite.
    #[must_use]
    pub const fn of(suite: Suite) -> Self {
        match suite {
            Suite::Intl => Self::Sha256,
            Suite::Sm => Self::Sm3,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Sm3 => "SM3",
        }
    }

    /// The digest of some bytes.
    #[must_use]
    pub fn digest(self, bytes: &[u8]) -> TierDigest {
        let mut hasher = Hasher::new(self);
        hasher.update(bytes);
        hasher.finish()
    }
}

/// A hash over what comes bit by bit.
pub(super) enum Hasher {
    Sha256(Sha256),
    Sm3(Sm3),
}

impl Hasher {
    pub(super) fn new(hash: TierHash) -> Self {
        match hash {
            TierHash::Sha256 => Self::Sha256(Sha256::new()),
            TierHash::Sm3 => Self::Sm3(Sm3::new()),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sm3(hasher) => hasher.update(bytes),
        }
    }

    pub(super) fn finish(self) -> TierDigest {
        match self {
            Self::Sha256(hasher) => copied(&hasher.finalize()),
            Self::Sm3(hasher) => copied(&hasher.finalize()),
        }
    }
}

fn copied(bytes: &[u8]) -> TierDigest {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    out
}

/// Where a file is, and how it is known again.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ColdEntry {
    /// What the digests are made with.
    pub hash: TierHash,
    /// Key of the object, which is the file byte for byte.
    pub key: String,
    /// Length in bytes.
    pub bytes: u64,
    /// Bytes of a chunk; the last one may be shorter.
    pub chunk_bytes: u32,
    /// Digest of the whole.
    pub digest: TierDigest,
    /// Digests of the chunks, in order.
    pub chunks: Vec<TierDigest>,
}

impl ColdEntry {
    /// The content of a marker file: `HWSTIER1` ‖ CRC-32C of the rest (u32, little endian) ‖ the
    /// canonical encoding.
    #[must_use]
    pub fn to_marker(&self) -> Vec<u8> {
        let body = encode(self);
        let mut out = MAGIC.to_vec();
        out.extend(crc32c::crc32c(&body).to_le_bytes());
        out.extend(body);
        out
    }

    /// Reads one, or says what is wrong with it.
    pub fn from_marker(bytes: &[u8]) -> Result<Self, String> {
        let rest = bytes
            .strip_prefix(&MAGIC)
            .ok_or("it is no marker of this version")?;
        let (crc, body) = rest.split_first_chunk::<4>().ok_or("it ends early")?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
            return Err("its checksum is wrong".to_owned());
        }
        let entry: Self =
            decode_exact(body, MARKER_BYTES_MAX).map_err(|error| error.to_string())?;
        let size = u64::from(entry.chunk_bytes);
        let chunks = entry.chunks.len() as u64;
        let fits = size > 0
            && size <= u64::from(CHUNK_BYTES)
            && entry.bytes > 0
            && entry.bytes.div_ceil(size) == chunks
            && entry.chunks.len() <= CHUNKS_MAX
            && !entry.key.is_empty()
            && entry.key.len() <= KEY_BYTES_MAX;
        fits.then_some(entry)
            .ok_or_else(|| "its lengths do not fit together".to_owned())
    }

    /// Where a chunk begins, how long it is, and its digest.
    #[must_use]
    pub fn chunk(&self, index: usize) -> Option<(u64, usize, TierDigest)> {
        let digest = *self.chunks.get(index)?;
        let begin = (index as u64).checked_mul(self.chunk_bytes.into())?;
        let len = self.bytes.checked_sub(begin)?.min(self.chunk_bytes.into());
        Some((begin, usize::try_from(len).ok()?, digest))
    }
}

/// Digests of the whole and of its chunks.
pub(super) struct Digester {
    hash: TierHash,
    whole: Hasher,
    chunks: Vec<TierDigest>,
}

impl Digester {
    pub(super) fn new(hash: TierHash) -> Self {
        Self {
            hash,
            whole: Hasher::new(hash),
            chunks: Vec::new(),
        }
    }

    /// Takes the next chunk.
    pub(super) fn chunk(&mut self, bytes: &[u8]) {
        self.whole.update(bytes);
        self.chunks.push(self.hash.digest(bytes));
    }

    pub(super) fn finish(self) -> (TierDigest, Vec<TierDigest>) {
        (self.whole.finish(), self.chunks)
    }
}

/// In hexadecimal digits.
pub(super) fn hex(digest: &[u8]) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(digest.len().saturating_mul(2));
    for byte in digest {
        // Writing to memory does not fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}
