//! Files: written whole or not at all, read within bounds.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hawser_primitives::open_file;

use crate::limits::{FILE_BYTES_MAX, TRUST_FILES_MAX};
use crate::{Algorithm, Crl, PkiError, Trust, parse_certificates};

pub(crate) fn at(path: &Path) -> impl Fn(std::io::Error) -> PkiError + '_ {
    move |source| PkiError::File {
        path: path.to_owned(),
        source,
    }
}

fn content(path: &Path) -> impl Fn(PkiError) -> PkiError + '_ {
    move |source| PkiError::Content {
        path: path.to_owned(),
        source: Box::new(source),
    }
}

/// Reads a text of at most [`FILE_BYTES_MAX`] bytes.
pub(crate) fn read(path: &Path) -> Result<String, PkiError> {
    let file = open_file(path).map_err(at(path))?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(at(path))?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(content(path)(PkiError::TooLarge {
            what: "file",
            len: bytes.len(),
            max: FILE_BYTES_MAX,
        }));
    }
    String::from_utf8(bytes).map_err(|error| content(path)(PkiError::malformed("text", error)))
}

/// Writes a file so that after a crash there is the old content or the new, never a mixture.
/// `secret` files are readable by their owner only.
///
/// # Errors
/// [`PkiError::File`].
pub fn write_atomic(path: &Path, text: &str, secret: bool) -> Result<(), PkiError> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = dir.unwrap_or_else(|| Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let next = dir.join(format!(".{name}.{}.new", std::process::id()));
    let mode = if secret { 0o600 } else { 0o644 };
    let write = || -> std::io::Result<()> {
        // A leftover of a crashed process with our number.
        let _ = fs::remove_file(&next);
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&next)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&next, path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(at(path))
}

/// A folder of what a node trusts: `roots/`, `intermediates/` and `crls/`, each with PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustFolder(pub PathBuf);

/// Path, time of change and length of every file in a trust folder.
pub(crate) type Stamp = Vec<(PathBuf, SystemTime, u64)>;

impl TrustFolder {
    /// The folder of roots.
    #[must_use]
    pub fn roots(&self) -> PathBuf {
        self.0.join("roots")
    }

    /// The folder of intermediates; may be missing.
    #[must_use]
    pub fn intermediates(&self) -> PathBuf {
        self.0.join("intermediates")
    }

    /// The folder of revocation lists; may be missing.
    #[must_use]
    pub fn crls(&self) -> PathBuf {
        self.0.join("crls")
    }

    /// Reads everything. One bad file fails the whole, so that nobody is trusted, or no revocation
    /// forgotten, by half a reading.
    ///
    /// # Errors
    /// Names the file.
    pub fn load(&self, algorithms: &'static [Algorithm]) -> Result<Trust, PkiError> {
        let mut trust = Trust::new(algorithms);
        for path in list(&self.roots())? {
            for root in certificates(&path)? {
                trust.add_root(root).map_err(content(&path))?;
            }
        }
        if trust.roots().is_empty() {
            return Err(PkiError::Refused(format!(
                "{} holds no root certificate; put the certificate of each organisation's \
                 authority there",
                self.roots().display()
            )));
        }
        for path in list(&self.intermediates())? {
            for intermediate in certificates(&path)? {
                trust
                    .add_intermediate(intermediate)
                    .map_err(content(&path))?;
            }
        }
        for path in list(&self.crls())? {
            let lists = Crl::parse_all(&read(&path)?).map_err(content(&path))?;
            if lists.is_empty() {
                return Err(content(&path)(PkiError::NoBlock("X509 CRL")));
            }
            for crl in lists {
                trust.add_crl(crl).map_err(content(&path))?;
            }
        }
        Ok(trust)
    }

    /// Changes whenever a file is added, removed or changed. Missing folders count as empty.
    #[must_use]
    pub fn stamp(&self) -> Vec<(PathBuf, SystemTime, u64)> {
        let mut stamp: Stamp = Vec::new();
        for dir in [self.roots(), self.intermediates(), self.crls()] {
            for path in list(&dir).unwrap_or_default() {
                if let Ok(metadata) = fs::metadata(&path) {
                    let changed = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    stamp.push((path, changed, metadata.len()));
                }
            }
        }
        stamp
    }
}

fn certificates(path: &Path) -> Result<Vec<crate::Certificate>, PkiError> {
    let found = parse_certificates(&read(path)?).map_err(content(path))?;
    if found.is_empty() {
        return Err(content(path)(PkiError::NoBlock("CERTIFICATE")));
    }
    Ok(found)
}

/// The files of a folder, sorted; those that begin with a dot are being written.
fn list(dir: &Path) -> Result<Vec<PathBuf>, PkiError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(dir)(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(at(dir))?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden || !path.is_file() {
            continue;
        }
        if paths.len() >= TRUST_FILES_MAX {
            return Err(content(dir)(PkiError::TooMany {
                what: "files in a trust folder",
                max: TRUST_FILES_MAX,
            }));
        }
        paths.push(path);
    }
    paths.sort();
    Ok(paths)
}
