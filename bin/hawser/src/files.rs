//! Reading and writing files.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::exit::{Code, Failure, OrFail, Result, fail};

/// Opens a file to read it; what is no file is refused.
pub(crate) fn open(path: &Path) -> Result<fs::File> {
    hawser_primitives::open_file(path).map_err(|error| {
        let code = match error.kind() {
            ErrorKind::NotFound => Code::NotFound,
            ErrorKind::InvalidInput => Code::Config,
            _ => Code::Failed,
        };
        Failure::new(code, format!("cannot read {}: {error}", path.display()))
    })
}

/// Reads a text of at most `max` bytes.
pub(crate) fn read_text(path: &Path, max: u64) -> Result<String> {
    let context = || format!("cannot read {}", path.display());
    let file = open(path)?;
    let mut text = String::new();
    file.take(max.saturating_add(1))
        .read_to_string(&mut text)
        .context(Code::Config, context())?;
    if text.len() as u64 > max {
        return fail(
            Code::Config,
            format!("{}: more than {max} bytes", context()),
        );
    }
    Ok(text)
}

/// Reads a file of at most `max` bytes.
pub(crate) fn read_bytes(path: &Path, max: u64) -> Result<Vec<u8>> {
    let context = || format!("cannot read {}", path.display());
    let file = open(path)?;
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .context(Code::Failed, context())?;
    if bytes.len() as u64 > max {
        return fail(
            Code::Config,
            format!("{}: more than {max} bytes", context()),
        );
    }
    Ok(bytes)
}

/// Writes a new file, which only its owner can read if it is `secret`; refuses to replace one.
pub(crate) fn write_bytes(path: &Path, bytes: &[u8], secret: bool) -> Result<()> {
    write_new(path, bytes, if secret { 0o600 } else { 0o644 })
}

/// Writes a new file that only its owner can read; refuses to replace one.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<()> {
    write_new(path, text.as_bytes(), 0o600)
}

/// As [`write_secret`], for content that is no text.
pub(crate) fn write_secret_bytes(path: &Path, content: &[u8]) -> Result<()> {
    write_new(path, content, 0o600)
}

/// Writes a new file; refuses to replace one.
pub(crate) fn write_public(path: &Path, text: &str) -> Result<()> {
    write_new(path, text.as_bytes(), 0o644)
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let context = || format!("cannot write {}", path.display());
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let mut file = match options.open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(taken(path));
        }
        opened => opened.context(Code::Failed, context())?,
    };
    file.write_all(content).context(Code::Failed, context())?;
    file.sync_all().context(Code::Failed, context())
}

fn taken(path: &Path) -> Failure {
    let path = path.display();
    Failure::new(
        Code::Failed,
        format!("{path} is there already and is not replaced: give another name, or move it away"),
    )
}

/// Refuses what [`write_secret`] would, before anything is asked for it.
pub(crate) fn refuse_existing(path: &Path) -> Result<()> {
    match path.exists() {
        true => Err(taken(path)),
        false => Ok(()),
    }
}

/// Makes a folder and those above it.
pub(crate) fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).context(
        Code::Failed,
        format!("cannot make folder {}", path.display()),
    )
}

/// The last `count` lines of a file, read from at most its last 64 KiB.
pub(crate) fn last_lines(path: &Path, from: u64, count: usize) -> String {
    use std::io::{Seek, SeekFrom};
    const TAIL: u64 = 64 * 1024;
    let read = || -> std::io::Result<String> {
        let mut file = hawser_primitives::open_file(path)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(TAIL).max(from)))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let skip = lines.len().saturating_sub(count);
    lines.into_iter().skip(skip).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn secrets_are_private_and_nothing_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        write_secret(&path, "one").unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(write_secret(&path, "two").is_err());
        assert_eq!(read_text(&path, 3).unwrap(), "one");
    }

    #[test]
    fn both_sides_of_the_size_limit_and_a_missing_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "12345").unwrap();
        assert!(read_text(&path, 5).is_ok());
        assert_eq!(read_text(&path, 4).unwrap_err().code, Code::Config);
        let missing = read_text(&dir.path().join("none"), 4).unwrap_err();
        assert_eq!(missing.code, Code::NotFound);
    }

    #[test]
    fn the_last_lines_are_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "1\n2\n3\n").unwrap();
        assert_eq!(last_lines(&path, 0, 2), "2\n3");
        assert_eq!(last_lines(&path, 0, 9), "1\n2\n3");
        assert_eq!(last_lines(&path, 4, 9), "3");
        assert_eq!(last_lines(&path, 99, 9), "");
        assert_eq!(last_lines(&dir.path().join("none"), 0, 9), "");
    }
}
