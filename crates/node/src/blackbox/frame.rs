//! The file format of a recording: `docs/spec/blackbox.md`, BB-10 onwards.

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_primitives::{Height, Time, decode_exact, encode};
use thiserror::Error;

use super::entry::{Entry, What};

/// The first bytes of a file: a name, and the version of the format.
pub const MAGIC: [u8; 8] = *b"HWSRBB\x00\x01";
/// Longest payload of a frame, in bytes.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// Entries of a frame.
pub(super) const FRAME_ENTRIES_MAX: usize = 2_048;
/// Length and checksum before a payload.
const HEAD_BYTES: usize = 8;

#[derive(BorshSerialize, BorshDeserialize)]
struct Packed {
    after_ms: u32,
    above: u32,
    what: What,
}

#[derive(BorshSerialize, BorshDeserialize)]
struct Frame {
    time: Time,
    height: Height,
    entries: Vec<Packed>,
}

/// Where a file stops being readable, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Damage {
    /// It is something else.
    #[error("is no recording of consensus events: it does not begin as one")]
    Foreign,
    /// It is of another version of the format.
    #[error("is a recording of format {0}, and this program reads format 1: use a newer one")]
    Version(u8),
    /// It ends within a frame, as a file does that was being written.
    #[error("ends within a record, at byte {at}")]
    Torn {
        /// Where the frame begins.
        at: u64,
    },
    /// A frame whose checksum or content is wrong.
    #[error("is damaged at byte {at}: {reason}")]
    Frame {
        /// Where the frame begins.
        at: u64,
        /// What is wrong.
        reason: String,
    },
}

/// Encodes entries as one frame; they are in order of time.
pub(super) fn frame(entries: &[Entry]) -> Vec<u8> {
    let time = entries.iter().map(|entry| entry.at).min();
    let height = entries.iter().map(|entry| entry.height).min();
    let (time, height) = (time.unwrap_or_default(), height.unwrap_or_default());
    let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    let packed = entries.iter().map(|entry| Packed {
        after_ms: narrow(entry.at.since_ms(time)),
        above: narrow(entry.height.0.saturating_sub(height.0)),
        what: entry.what.clone(),
    });
    let payload = encode(&Frame {
        time,
        height,
        entries: packed.collect(),
    });
    let mut bytes = Vec::with_capacity(payload.len().saturating_add(HEAD_BYTES));
    bytes.extend(narrow(payload.len() as u64).to_le_bytes());
    bytes.extend(crc32c::crc32c(&payload).to_le_bytes());
    bytes.extend(payload);
    bytes
}

/// What was read of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The entries of all whole frames before any damage.
    pub entries: Vec<Entry>,
    /// Bytes up to the end of the last whole frame.
    pub valid_bytes: u64,
    /// What ended the reading early.
    pub damage: Option<Damage>,
}

/// Reads the bytes of a file as far as they are whole.
#[must_use]
pub fn parse(bytes: &[u8]) -> Contents {
    let mut contents = Contents::default();
    let Some((magic, mut rest)) = bytes.split_at_checked(MAGIC.len()) else {
        // Cut before its first bytes were out, or something else.
        contents.damage = Some(if MAGIC.starts_with(bytes) {
            Damage::Torn { at: 0 }
        } else {
            Damage::Foreign
        });
        return contents;
    };
    if magic != MAGIC {
        let (name, version) = magic.split_at(magic.len().saturating_sub(1));
        contents.damage = Some(match version.first() {
            Some(version) if MAGIC.starts_with(name) => Damage::Version(*version),
            _ => Damage::Foreign,
        });
        return contents;
    }
    contents.valid_bytes = MAGIC.len() as u64;
    while !rest.is_empty() {
        match first(rest) {
            Ok((frame, after)) => {
                let read = rest.len().saturating_sub(after.len());
                contents.valid_bytes = contents.valid_bytes.saturating_add(read as u64);
                contents.entries.extend(unpack(frame));
                rest = after;
            }
            Err(reason) => {
                let at = contents.valid_bytes;
                contents.damage = Some(match reason {
                    Some(reason) => Damage::Frame { at, reason },
                    None => Damage::Torn { at },
                });
                return contents;
            }
        }
    }
    contents
}

/// The first frame; `None` as an error for one that is not whole.
fn first(bytes: &[u8]) -> Result<(Frame, &[u8]), Option<String>> {
    let (len, rest) = bytes.split_first_chunk::<4>().ok_or(None)?;
    let (crc, rest) = rest.split_first_chunk::<4>().ok_or(None)?;
    let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
    if len > FRAME_BYTES_MAX {
        return Err(Some(format!(
            "a record of {len} bytes, where at most {FRAME_BYTES_MAX} are written"
        )));
    }
    let (payload, rest) = rest.split_at_checked(len).ok_or(None)?;
    if crc32c::crc32c(payload) != u32::from_le_bytes(*crc) {
        return Err(Some("the checksum of a record is wrong".to_owned()));
    }
    let frame = decode_exact(payload, FRAME_BYTES_MAX).map_err(|error| Some(error.to_string()))?;
    Ok((frame, rest))
}

fn unpack(frame: Frame) -> impl Iterator<Item = Entry> {
    let (time, height) = (frame.time, frame.height);
    frame.entries.into_iter().map(move |packed| Entry {
        at: time.plus_ms(u64::from(packed.after_ms)),
        height: Height(height.0.saturating_add(u64::from(packed.above))),
        what: packed.what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hawser_primitives::Round;

    fn entries() -> Vec<Entry> {
        let entry = |at, height, what| Entry {
            at: Time(at),
            height: Height(height),
            what,
        };
        vec![
            entry(1_000, 7, What::Started),
            entry(1_000, 8, What::Executed),
            entry(
                1_250,
                8,
                What::Round {
                    round: Round(3),
                    proposer: 2,
                },
            ),
        ]
    }

    fn file() -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(frame(&entries()));
        bytes.extend(frame(&entries()[..1]));
        bytes
    }

    #[test]
    fn what_was_written_is_read() {
        let contents = parse(&file());
        assert_eq!(contents.damage, None);
        assert_eq!(contents.entries[..3], entries());
        assert_eq!(contents.entries[3..], entries()[..1]);
        assert_eq!(contents.valid_bytes, file().len() as u64);
    }

    #[test]
    fn a_file_cut_anywhere_gives_the_whole_frames_before_the_cut() {
        let (whole, first) = (file(), MAGIC.len() + frame(&entries()).len());
        for cut in 0..whole.len() {
            let contents = parse(&whole[..cut]);
            let expected = if cut < first { 0 } else { 3 };
            assert_eq!(contents.entries.len(), expected, "cut at {cut}");
            let ends_with_a_frame = cut == MAGIC.len() || cut == first;
            assert_eq!(contents.damage.is_none(), ends_with_a_frame, "cut at {cut}");
            assert!(contents.valid_bytes <= cut as u64);
        }
    }

    #[test]
    fn a_changed_byte_is_noticed_and_what_is_before_it_is_kept() {
        let (whole, first) = (file(), MAGIC.len() + frame(&entries()).len());
        for at in first..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            let contents = parse(&bytes);
            assert!(contents.damage.is_some(), "byte {at}");
            assert_eq!(contents.entries, entries(), "byte {at}");
        }
    }

    #[test]
    fn foreign_files_are_told_from_newer_ones() {
        assert_eq!(parse(b"PNG and so on").damage, Some(Damage::Foreign));
        assert_eq!(parse(b"x").damage, Some(Damage::Foreign));
        assert_eq!(parse(b"").damage, Some(Damage::Torn { at: 0 }));
        let mut newer = file();
        newer[MAGIC.len() - 1] = 2;
        assert_eq!(parse(&newer).damage, Some(Damage::Version(2)));
    }

    #[test]
    fn both_sides_of_the_bound_of_a_frame() {
        for (len, words) in [
            (FRAME_BYTES_MAX, "checksum"),
            (FRAME_BYTES_MAX + 1, "at most"),
        ] {
            let mut bytes = MAGIC.to_vec();
            bytes.extend(u32::try_from(len).unwrap().to_le_bytes());
            bytes.extend([0; 4]);
            bytes.resize(bytes.len() + len, 1);
            let damage = parse(&bytes).damage.unwrap();
            assert!(damage.to_string().contains(words), "{len}: {damage}");
        }
    }
}
