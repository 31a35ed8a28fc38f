//! Reads recordings back.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{
    entry::{Entry, Identity, What},
    frame::{Damage, MAGIC, parse},
};

/// Largest file of a recording that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Most files of a folder that are read; the newest.
const FILES_MAX: usize = 256;
const PREFIX: &str = "events-";
const SUFFIX: &str = ".bb";

/// Why a recording cannot be read at all.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The operating system says so.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it says.
        source: std::io::Error,
    },
    /// Over [`FILE_BYTES_MAX`].
    #[error("{0} is longer than {FILE_BYTES_MAX} bytes; that is no recording of consensus events")]
    TooLarge(PathBuf),
    /// A folder without one.
    #[error(
        "{0} holds no recording (no events-*.bb): give the folder of a node, of its chain or its \
         `blackbox`, or a file that `hawser debug export` wrote"
    )]
    None(PathBuf),
    /// Nothing of a file can be read.
    #[error("{path} {damage}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        damage: Damage,
    },
}

/// A file that could not be read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub damage: Damage,
}

/// What one node recorded.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// Whose it is, as the newest entry says.
    pub identity: Option<Identity>,
    /// The entries, oldest first.
    pub entries: Vec<Entry>,
    /// Files that are damaged; what is before the damage is among the entries.
    pub problems: Vec<Problem>,
    /// Bytes of the files.
    pub bytes: u64,
}

/// Name of the file with this number.
pub(super) fn segment_name(number: u64) -> String {
    format!("{PREFIX}{number:08}{SUFFIX}")
}

/// The files of a ring, by number.
pub(super) fn segments(folder: &Path) -> std::io::Result<Vec<(u64, PathBuf)>> {
    let mut all = Vec::new();
    for found in fs::read_dir(folder)? {
        let found = found?;
        let name = found.file_name();
        let number = name.to_str().and_then(|name| {
            let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
            digits.parse::<u64>().ok()
        });
        all.extend(number.map(|number| (number, found.path())));
    }
    all.sort_unstable();
    Ok(all)
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, ReadError> {
    let failed = |source| ReadError::Io {
        path: path.to_owned(),
        source,
    };
    let file = fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(ReadError::TooLarge(path.to_owned()));
    }
    Ok(bytes)
}

impl Recording {
    fn add(&mut self, path: &Path, bytes: &[u8], last: bool) {
        let contents = parse(bytes);
        let mut identities = contents
            .entries
            .iter()
            .filter_map(|entry| match &entry.what {
                What::Identity(identity) => Some(identity),
                _ => None,
            });
        if let Some(identity) = identities.next_back() {
            self.identity = Some(identity.clone());
        }
        self.entries.extend(contents.entries);
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        // The end of the newest file is being written, or was when the node was killed.
        let expected = last && matches!(contents.damage, Some(Damage::Torn { .. }));
        if let Some(damage) = contents.damage.filter(|_| !expected) {
            let path = path.to_owned();
            self.problems.push(Problem { path, damage });
        }
    }
}

/// Reads the ring in a folder, of a node that runs or does not.
pub fn folder(folder: &Path) -> Result<Recording, ReadError> {
    let mut all = segments(folder).map_err(|source| ReadError::Io {
        path: folder.to_owned(),
        source,
    })?;
    let all = all.split_off(all.len().saturating_sub(FILES_MAX));
    let count = all.len();
    if count == 0 {
        return Err(ReadError::None(folder.to_owned()));
    }
    let mut recording = Recording::default();
    for (i, (_, path)) in all.into_iter().enumerate() {
        match bytes_of(&path) {
            Ok(bytes) => recording.add(&path, &bytes, i.saturating_add(1) == count),
            // The oldest of a node that runs may go while it is looked for.
            Err(ReadError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound && i == 0 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(recording)
}

/// Reads one file: of a ring, or exported.
pub fn file(path: &Path) -> Result<Recording, ReadError> {
    let bytes = bytes_of(path)?;
    let mut recording = Recording::default();
    recording.add(path, &bytes, false);
    if recording.entries.is_empty()
        && let Some(problem) = recording.problems.pop()
    {
        return Err(ReadError::Unreadable {
            path: problem.path,
            damage: problem.damage,
        });
    }
    Ok(recording)
}

/// One file with all that can be read of a ring, to be sent to somebody.
pub fn export(folder: &Path) -> Result<Vec<u8>, ReadError> {
    let all = segments(folder).map_err(|source| ReadError::Io {
        path: folder.to_owned(),
        source,
    })?;
    if all.is_empty() {
        return Err(ReadError::None(folder.to_owned()));
    }
    let mut out = MAGIC.to_vec();
    for (_, path) in all {
        let bytes = bytes_of(&path)?;
        let valid = usize::try_from(parse(&bytes).valid_bytes).unwrap_or(0);
        out.extend(bytes.get(MAGIC.len()..valid).unwrap_or_default());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blackbox::frame::frame;
    use hawser_primitives::{Height, Time};

    fn write(folder: &Path, number: u64, at: u64) -> PathBuf {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(frame(&[Entry {
            at: Time(at),
            height: Height(1),
            what: What::Executed,
        }]));
        let path = folder.join(segment_name(number));
        fs::write(&path, bytes).unwrap();
        path
    }

    fn times(recording: &Recording) -> Vec<u64> {
        recording.entries.iter().map(|entry| entry.at.0).collect()
    }

    #[test]
    fn a_folder_is_read_in_order_and_exported_as_one_file() {
        let folder = tempfile::tempdir().unwrap();
        for (number, at) in [(9, 90), (100, 1_000), (10, 100)] {
            write(folder.path(), number, at);
        }
        fs::write(folder.path().join("events-x.bb"), b"?").unwrap();
        let recording = super::folder(folder.path()).unwrap();
        assert_eq!(times(&recording), [90, 100, 1_000]);
        let out = folder.path().join("out");
        fs::write(&out, export(folder.path()).unwrap()).unwrap();
        let exported = file(&out).unwrap();
        assert_eq!(times(&exported), [90, 100, 1_000]);
        assert_eq!(exported.problems, Vec::new());
    }

    #[test]
    fn damage_in_the_middle_is_named_and_the_rest_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let first = write(folder.path(), 1, 10);
        let last = write(folder.path(), 2, 20);
        for (path, named) in [(&first, 1), (&last, 0)] {
            let mut bytes = fs::read(path).unwrap();
            bytes.extend([1, 2, 3]);
            fs::write(path, bytes).unwrap();
            let recording = super::folder(folder.path()).unwrap();
            assert_eq!(times(&recording), [10, 20]);
            // That of the newest file is how a file ends that is being written.
            assert_eq!(recording.problems.len(), 1, "{named}");
            assert_eq!(recording.problems[0].path, first);
        }
    }

    #[test]
    fn what_is_no_recording_is_refused_with_words() {
        let folder = tempfile::tempdir().unwrap();
        let none = super::folder(folder.path()).unwrap_err();
        assert!(none.to_string().contains("holds no recording"), "{none}");
        let path = folder.path().join("picture.png");
        fs::write(&path, b"PNG and more").unwrap();
        let foreign = file(&path).unwrap_err().to_string();
        assert!(foreign.contains("is no recording"), "{foreign}");
        let missing = file(&folder.path().join("none")).unwrap_err();
        assert!(matches!(missing, ReadError::Io { .. }));
    }

    #[test]
    fn both_sides_of_the_largest_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        let sparse = fs::File::create(&path).unwrap();
        sparse.set_len(FILE_BYTES_MAX + 1).unwrap();
        assert!(matches!(file(&path), Err(ReadError::TooLarge(_))));
        sparse.set_len(1).unwrap();
        assert!(matches!(file(&path), Err(ReadError::Unreadable { .. })));
    }
}
