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
//! On a disk that encrypts, the payload is sealed ([`crate::sealed`]) and the checksum is over that.

use std::sync::{Arc, OnceLock};

use hawser_crypto::Prf;

use crate::{Disk, DiskError, DiskFile, LogError, SEALED_BYTES, Sealer};

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
    /// Length in the file, header included.
    pub(crate) bytes: u64,
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

/// How the payloads of a file are kept: as they are, or sealed and bound to the file's name.
pub(crate) struct Keeping {
    name: String,
    sealer: Option<Arc<Sealer>>,
    /// Hides tags, once it is asked to.
    tags: OnceLock<Prf>,
}

impl Keeping {
    /// As the disk does it.
    pub(crate) fn of(disk: &dyn Disk, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            sealer: disk.sealer(),
            tags: OnceLock::new(),
        }
    }

    /// The magic of a file: one that is sealed is not mistaken for one that is not.
    pub(crate) fn magic(&self, plain: [u8; 8]) -> [u8; 8] {
        let mut magic = plain;
        if let ([.., kind, _], Some(_)) = (&mut magic, &self.sealer) {
            *kind = b'E';
        }
        magic
    }

    /// What to say of a file with another magic.
    pub(crate) fn unlike(&self, what: &str) -> String {
        let kind = match self.sealer {
            Some(_) => "an encrypted",
            None => "a plain",
        };
        let what = what.trim_start_matches("a ");
        format!("it is not {kind} {what} of this version; is storage.encryption what it was?")
    }

    /// Bytes that a payload may have in the file above its largest size.
    fn overhead(&self) -> usize {
        self.sealer.as_ref().map_or(0, |_| SEALED_BYTES)
    }

    /// The number that stands for a tag that tells something, in a record at `offset`, and back: on a
    /// disk that encrypts, a keyed function of file and offset is added to it, bit by bit.
    pub(crate) fn hide_tag(&self, offset: u64, tag: u64) -> u64 {
        let Some(sealer) = &self.sealer else {
            return tag;
        };
        let tags = self.tags.get_or_init(|| sealer.blinding(&self.name));
        let mask = tags.value(&offset.to_le_bytes());
        tag ^ mask
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    fn failed(&self, offset: u64) -> impl FnOnce(hawser_crypto::cipher::CipherError) -> DiskError {
        let file = self.name.clone();
        move |source| DiskError::Sealed {
            file,
            offset,
            source,
        }
    }

    fn seal(
        &self,
        sealer: &Sealer,
        (offset, tag, synced): (u64, u64, u64),
        payload: &[u8],
    ) -> Result<Vec<u8>, DiskError> {
        let place = [offset, tag, synced].map(u64::to_le_bytes).concat();
        let sealed = sealer.seal(&[self.name.as_bytes(), &place], payload);
        sealed.map_err(self.failed(offset))
    }

    fn open(
        &self,
        (offset, tag, synced): (u64, u64, u64),
        payload: Vec<u8>,
    ) -> Result<Vec<u8>, DiskError> {
        let Some(sealer) = &self.sealer else {
            return Ok(payload);
        };
        let place = [offset, tag, synced].map(u64::to_le_bytes).concat();
        let opened = sealer.open(&[self.name.as_bytes(), &place], &payload);
        opened.map_err(self.failed(offset))
    }
}

/// The bytes of a record that will stand at `offset`.
pub(crate) fn encode(
    keeping: &Keeping,
    offset: u64,
    tag: u64,
    synced: u64,
    payload: &[u8],
    max: usize,
) -> Result<Vec<u8>, LogError> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES.saturating_add(payload.len()));
    let place = (offset, tag, synced);
    encode_into(&mut bytes, keeping, place, payload, max)?;
    Ok(bytes)
}

/// The same, added to a buffer; `place` is offset, tag and the length known to be durable. Returns
/// the length of the record.
pub(crate) fn encode_into(
    bytes: &mut Vec<u8>,
    keeping: &Keeping,
    (offset, tag, synced): (u64, u64, u64),
    payload: &[u8],
    max: usize,
) -> Result<u32, LogError> {
    let too_large = || LogError::RecordSize {
        len: payload.len(),
        max,
    };
    if payload.is_empty() || payload.len() > max {
        return Err(too_large());
    }
    let sealed;
    let payload = match &keeping.sealer {
        Some(sealer) => {
            sealed = keeping.seal(sealer, (offset, tag, synced), payload)?;
            sealed.as_slice()
        }
        None => payload,
    };
    let len = u32::try_from(payload.len()).map_err(|_| too_large())?;
    let whole = len.checked_add(HEADER_BYTES as u32).ok_or_else(too_large)?;
    bytes.reserve(HEADER_BYTES.saturating_add(payload.len()));
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&checksum(offset, len, tag, synced, payload).to_le_bytes());
    bytes.extend_from_slice(&tag.to_le_bytes());
    bytes.extend_from_slice(&synced.to_le_bytes());
    bytes.extend_from_slice(payload);
    Ok(whole)
}

/// Whether `bytes` are exactly one record, by its checksum.
pub(crate) fn is_whole(offset: u64, bytes: &[u8]) -> bool {
    let fits = |header: Header| {
        let payload = bytes.get(HEADER_BYTES..)?;
        Some(payload.len() == header.len && header.matches(offset, payload))
    };
    Header::read(bytes).and_then(fits).unwrap_or(false)
}

/// The length of the record that `bytes` begin with, its header included, and its tag.
pub(crate) fn peek(bytes: &[u8]) -> Option<(usize, u64)> {
    let header = Header::read(bytes)?;
    Some((header.len.checked_add(HEADER_BYTES)?, header.tag))
}

/// The tag and payload of a record that stands at `offset`; `None` unless `bytes` is exactly one.
pub(crate) fn decode(
    keeping: &Keeping,
    offset: u64,
    mut bytes: Vec<u8>,
) -> Result<Option<(u64, Vec<u8>)>, DiskError> {
    let Some(header) = Header::read(&bytes) else {
        return Ok(None);
    };
    let fits = bytes
        .get(HEADER_BYTES..)
        .is_some_and(|payload| payload.len() == header.len && header.matches(offset, payload));
    if !fits {
        return Ok(None);
    }
    bytes.drain(..HEADER_BYTES);
    let payload = keeping.open((offset, header.tag, header.synced), bytes)?;
    Ok(Some((header.tag, payload)))
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
    keeping: &'a Keeping,
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
    pub(crate) fn new(
        keeping: &'a Keeping,
        file: &'a dyn DiskFile,
        max: usize,
    ) -> Result<Self, DiskError> {
        let file_len = file.len()?;
        Ok(Self {
            keeping,
            file,
            file_len,
            max: max.saturating_add(keeping.overhead()),
            buffer: Vec::new(),
            start: 0,
        })
    }

    /// Whether the file begins with `magic`, in the form that this way of keeping has.
    pub(crate) fn has_magic(&mut self, magic: [u8; 8]) -> Result<bool, DiskError> {
        let magic = self.keeping.magic(magic);
        Ok(self.bytes(0, magic.len())? == Some(&magic))
    }

    /// Visits every record in order and tells how the file ends.
    pub(crate) fn scan(&mut self, mut visit: impl FnMut(Record)) -> Result<End, DiskError> {
        let mut offset = MAGIC_BYTES;
        while offset < self.file_len {
            let Some((header, payload)) = self.record(offset)? else {
                return self.judge(offset);
            };
            let bytes = HEADER_BYTES.saturating_add(payload.len()) as u64;
            let tag = header.tag;
            let payload = self.keeping.open((offset, tag, header.synced), payload)?;
            visit(Record {
                offset,
                tag,
                payload,
                bytes,
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

    /// A record as it stands in the file, its payload still sealed.
    fn record(&mut self, offset: u64) -> Result<Option<(Header, Vec<u8>)>, DiskError> {
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
        let payload = valid.map(<[u8]>::to_vec);
        Ok(payload.map(|payload| (header, payload)))
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
