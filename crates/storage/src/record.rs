//! The record that logs and segments are made of, and the scan that finds where they end.
//!
//! ```text
//! file   = magic (8 bytes) ‖ record*
//! record = length (u32) ‖ crc (u32) ‖ tag (u64) ‖ synced (u64) ‖ payload (length bytes)
//! ```
//! Integers are little endian. `crc` is CRC-32C over the record's offset in the file (u64), length,
//! tag, synced and payload, so that no record is valid at another place. `tag` numbers the record.
//! `synced` is the file length that was durable when the record was written. It tells a torn tail
//! from damage: bytes that no crash could have lost lie before the `synced` of a later record.

use crate::{DiskError, DiskFile, LogError};

/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 24;
/// Bytes before the first record.
pub(crate) const MAGIC_BYTES: u64 = 8;
/// Bytes read at once while scanning.
const CHUNK_BYTES: usize = 1024 * 1024;

/// The unsynced end of a file that a crash left incomplete and that was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Name of the file.
    pub file: String,
    /// Where it now ends, in bytes.
    pub offset: u64,
    /// Bytes cut off.
    pub bytes: u64,
}

struct Header {
    len: usize,
    crc: u32,
    tag: u64,
    synced: u64,
}

/// A record found in a file.
pub(crate) struct Record {
    pub(crate) offset: u64,
    pub(crate) tag: u64,
    pub(crate) payload: Vec<u8>,
}

fn checksum(offset: u64, len: u32, tag: u64, synced: u64, payload: &[u8]) -> u32 {
    let mut head = [0u8; 28];
    let fields = [
        &offset.to_le_bytes()[..],
        &len.to_le_bytes(),
        &tag.to_le_bytes(),
        &synced.to_le_bytes(),
    ];
    for (to, from) in head.iter_mut().zip(fields.into_iter().flatten()) {
        *to = *from;
    }
    crc32c::crc32c_append(crc32c::crc32c(&head), payload)
}

/// The bytes of a record that will stand at `offset`.
pub(crate) fn encode(
    offset: u64,
    tag: u64,
    synced: u64,
    payload: &[u8],
    max: usize,
) -> Result<Vec<u8>, LogError> {
    let too_large = || LogError::RecordSize {
        len: payload.len(),
        max,
    };
    let len = u32::try_from(payload.len()).map_err(|_| too_large())?;
    if payload.is_empty() || payload.len() > max {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(HEADER_BYTES.saturating_add(payload.len()));
    bytes.extend(len.to_le_bytes());
    bytes.extend(checksum(offset, len, tag, synced, payload).to_le_bytes());
    bytes.extend(tag.to_le_bytes());
    bytes.extend(synced.to_le_bytes());
    bytes.extend(payload);
    Ok(bytes)
}

/// The tag and payload of a record that stands at `offset`; `None` unless `bytes` is exactly one.
pub(crate) fn decode(offset: u64, mut bytes: Vec<u8>) -> Option<(u64, Vec<u8>)> {
    let header = Header::read(&bytes)?;
    let payload = bytes.get(HEADER_BYTES..)?;
    if payload.len() != header.len || !header.matches(offset, payload) {
        return None;
    }
    bytes.drain(..HEADER_BYTES);
    Some((header.tag, bytes))
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        let u32_at = |at: usize| {
            Some(u32::from_le_bytes(
                bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
            ))
        };
        let u64_at = |at: usize| {
            Some(u64::from_le_bytes(
                bytes.get(at..at.checked_add(8)?)?.try_into().ok()?,
            ))
        };
        let len = usize::try_from(u32_at(0)?).ok()?;
        Some(Self {
            len,
            crc: u32_at(4)?,
            tag: u64_at(8)?,
            synced: u64_at(16)?,
        })
    }

    fn matches(&self, offset: u64, payload: &[u8]) -> bool {
        u32::try_from(self.len)
            .is_ok_and(|len| checksum(offset, len, self.tag, self.synced, payload) == self.crc)
    }
}

/// Reads a file from front to back.
pub(crate) struct Scanner<'a> {
    file: &'a dyn DiskFile,
    file_len: u64,
    max: usize,
    /// Bytes of the file from `start` on.
    buffer: Vec<u8>,
    start: u64,
}

/// How a scan ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With the file.
    Clean,
    /// At an offset from which nothing was ever acknowledged as durable.
    Torn(u64),
    /// At damage: what follows from this offset had been durable.
    Damaged(u64),
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(file: &'a dyn DiskFile, max: usize) -> Result<Self, DiskError> {
        let file_len = file.len()?;
        Ok(Self {
            file,
            file_len,
            max,
            buffer: Vec::new(),
            start: 0,
        })
    }

    /// Whether the file begins with `magic`.
    pub(crate) fn has_magic(&mut self, magic: [u8; 8]) -> Result<bool, DiskError> {
        Ok(self.bytes(0, magic.len())? == Some(&magic))
    }

    /// Visits every record in order and tells how the file ends.
    pub(crate) fn scan(&mut self, mut visit: impl FnMut(Record)) -> Result<End, DiskError> {
        let mut offset = MAGIC_BYTES;
        while offset < self.file_len {
            let Some((tag, payload)) = self.record(offset)? else {
                return self.judge(offset);
            };
            let bytes = HEADER_BYTES.saturating_add(payload.len()) as u64;
            visit(Record {
                offset,
                tag,
                payload,
            });
            offset = offset.saturating_add(bytes);
        }
        Ok(End::Clean)
    }

    /// A valid record after `bad` that knows the bytes at `bad` to be durable makes it damage.
    fn judge(&mut self, bad: u64) -> Result<End, DiskError> {
        let mut offset = bad.saturating_add(1);
        while offset < self.file_len {
            let plausible = self
                .bytes(offset, HEADER_BYTES)?
                .and_then(Header::read)
                .is_some_and(|header| header.synced > bad && header.synced <= offset);
            if plausible && self.record(offset)?.is_some() {
                return Ok(End::Damaged(bad));
            }
            offset = offset.saturating_add(1);
        }
        Ok(End::Torn(bad))
    }

    fn record(&mut self, offset: u64) -> Result<Option<(u64, Vec<u8>)>, DiskError> {
        let max = self.max;
        let Some(header) = self.bytes(offset, HEADER_BYTES)?.and_then(Header::read) else {
            return Ok(None);
        };
        if header.len == 0 || header.len > max {
            return Ok(None);
        }
        let at = offset.saturating_add(HEADER_BYTES as u64);
        let payload = self.bytes(at, header.len)?;
        let valid = payload.filter(|payload| header.matches(offset, payload));
        Ok(valid.map(|payload| (header.tag, payload.to_vec())))
    }

    /// `len` bytes at `offset`; `None` where the file ends before them.
    fn bytes(&mut self, offset: u64, len: usize) -> Result<Option<&[u8]>, DiskError> {
        if offset.saturating_add(len as u64) > self.file_len {
            return Ok(None);
        }
        let within = |start: u64, buffer: &[u8]| {
            let from = usize::try_from(offset.checked_sub(start)?).ok()?;
            let to = from.checked_add(len)?;
            (to <= buffer.len()).then_some(from..to)
        };
        if within(self.start, &self.buffer).is_none() {
            self.buffer = self.file.read_at(offset, len.max(CHUNK_BYTES))?;
            self.start = offset;
        }
        Ok(within(self.start, &self.buffer).and_then(|range| self.buffer.get(range)))
    }
}
