//! What an authority has issued and revoked: one JSON value per line, only ever appended to.
//!
//! A line counts once its line end is on disk. A crash can leave a last line without one; it is
//! cut off before the next is written, and the certificate that it would have recorded has not
//! left the authority.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use hawser_primitives::open_file;
use serde::{Deserialize, Serialize};

use crate::files::at;
use crate::{Certificate, Moment, PkiError, Profile, Reason, Revoked, Subject};

/// Longest index read, in bytes: about a million certificates.
const INDEX_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// How a certificate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// In force.
    Valid,
    /// Past its date.
    Expired,
    /// Revoked.
    Revoked,
}

/// A certificate in the index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Serial number, hexadecimal.
    pub serial: String,
    /// Whom it names.
    pub subject: Subject,
    /// What it is for.
    pub profile: Profile,
    /// Alternative names.
    pub names: Vec<String>,
    /// Valid from.
    pub not_before: Moment,
    /// Valid until.
    pub not_after: Moment,
    /// Name of its key, hexadecimal.
    pub key_id: String,
    /// Revoked since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Moment>,
    /// Why it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

impl Entry {
    pub(crate) fn of(certificate: &Certificate, profile: Profile) -> Self {
        Self {
            serial: certificate.serial(),
            subject: certificate.subject().clone(),
            profile,
            names: certificate.names().to_vec(),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
            key_id: hex::encode(certificate.public_key().id()),
            revoked_at: None,
            reason: None,
        }
    }

    /// How it stands at a moment.
    #[must_use]
    pub fn status(&self, now: Moment) -> Status {
        if self.revoked_at.is_some() {
            Status::Revoked
        } else if now > self.not_after {
            Status::Expired
        } else {
            Status::Valid
        }
    }
}

/// A line.
#[derive(Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Line {
    Issued(Entry),
    Revoked {
        serial: String,
        at: Moment,
        reason: Reason,
    },
    Crl {
        number: u64,
        at: Moment,
    },
}

/// The index in memory.
#[derive(Default)]
pub(crate) struct Index {
    /// In the order of issue.
    pub(crate) entries: Vec<Entry>,
    positions: BTreeMap<String, usize>,
    pub(crate) crl_number: u64,
    /// Bytes of whole lines.
    len: u64,
}

impl Index {
    pub(crate) fn read(path: &Path) -> Result<Self, PkiError> {
        let file = match open_file(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(at(path)(error)),
        };
        let mut bytes = Vec::new();
        file.take(INDEX_BYTES_MAX)
            .read_to_end(&mut bytes)
            .map_err(at(path))?;
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end.saturating_add(1));
        let mut index = Self {
            len: whole as u64,
            ..Self::default()
        };
        let lines = bytes.get(..whole).unwrap_or_default();
        for (number, line) in lines.split(|byte| *byte == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            let line = serde_json::from_slice(line).map_err(|error| PkiError::Content {
                path: path.to_owned(),
                source: Box::new(PkiError::malformed(
                    "index",
                    format!("line {}: {error}", number.saturating_add(1)),
                )),
            })?;
            index.apply(line);
        }
        Ok(index)
    }

    fn apply(&mut self, line: Line) {
        match line {
            Line::Issued(entry) => {
                self.positions
                    .insert(entry.serial.clone(), self.entries.len());
                self.entries.push(entry);
            }
            Line::Revoked { serial, at, reason } => {
                let position = self.positions.get(&serial);
                if let Some(entry) = position.and_then(|i| self.entries.get_mut(*i)) {
                    (entry.revoked_at, entry.reason) = (Some(at), Some(reason));
                }
            }
            Line::Crl { number, .. } => self.crl_number = self.crl_number.max(number),
        }
    }

    /// Writes a line to the disk, then takes it over.
    pub(crate) fn append(&mut self, path: &Path, line: Line) -> Result<(), PkiError> {
        let mut text =
            serde_json::to_string(&line).map_err(|error| PkiError::malformed("index", error))?;
        text.push('\n');
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path)?;
            file.set_len(self.len)?;
            file.seek(SeekFrom::End(0))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(at(path))?;
        self.len = self.len.saturating_add(text.len() as u64);
        self.apply(line);
        Ok(())
    }

    /// The entry whose serial number begins with these digits, or that has this common name and is
    /// the latest of it.
    pub(crate) fn find(&self, what: &str) -> Result<&Entry, PkiError> {
        let digits = what.to_ascii_lowercase().replace(':', "");
        let mut by_serial = self
            .entries
            .iter()
            .filter(|entry| !digits.is_empty() && entry.serial.starts_with(&digits));
        match (by_serial.next(), by_serial.next()) {
            (Some(one), None) => return Ok(one),
            (Some(_), Some(_)) => {
                let exact = self.entries.iter().find(|entry| entry.serial == digits);
                return exact.ok_or_else(|| PkiError::Ambiguous(what.to_owned()));
            }
            _ => {}
        }
        self.entries
            .iter()
            .rev()
            .find(|entry| entry.subject.common_name == what)
            .ok_or_else(|| PkiError::Unknown(what.to_owned()))
    }

    /// The entries of the next revocation list: what is revoked, expired or not.
    pub(crate) fn revoked(&self) -> Result<Vec<(Vec<u8>, Revoked)>, PkiError> {
        self.entries
            .iter()
            .filter_map(|entry| Some((entry, entry.revoked_at?)))
            .map(|(entry, at)| {
                let serial = hex::decode(&entry.serial)
                    .map_err(|error| PkiError::malformed("index", error))?;
                let reason = entry.reason.unwrap_or_default();
                Ok((serial, Revoked { at, reason }))
            })
            .collect()
    }
}
