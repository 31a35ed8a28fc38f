use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, DiskFile, check_name};
use crate::DiskError;

/// Bytes that are read without asking for the length of the file first.
const SMALL_READ_BYTES: usize = 64 * 1024;

/// A folder of the operating system.
#[derive(Clone, Debug)]
pub struct OsDisk {
    folder: PathBuf,
}

impl OsDisk {
    /// Opens a folder, creating it and its parents where missing.
    pub fn new(folder: &Path) -> Result<Self, DiskError> {
        let name = folder.display().to_string();
        fs::create_dir_all(folder).map_err(|source| DiskError::io("create", &name, source))?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    fn path(&self, name: &str) -> Result<PathBuf, DiskError> {
        check_name(name)?;
        Ok(self.folder.join(name))
    }

    fn file(&self, options: &OpenOptions, name: &str) -> std::io::Result<Arc<dyn DiskFile>> {
        let file = options.open(self.folder.join(name))?;
        Ok(Arc::new(OsFile {
            file,
            name: name.to_owned(),
        }))
    }
}

fn is_read_only(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
    )
}

struct OsFile {
    file: File,
    name: String,
}

impl Disk for OsDisk {
    fn open(&self, name: &str) -> Result<Option<Arc<dyn DiskFile>>, DiskError> {
        check_name(name)?;
        let opened = match self.file(OpenOptions::new().read(true).append(true), name) {
            // A backup may well be where nobody can write; then only reading works.
            Err(error) if is_read_only(&error) => self.file(OpenOptions::new().read(true), name),
            opened => opened,
        };
        match opened {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DiskError::io("open", name, source)),
        }
    }

    fn create(&self, name: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
        // Removing first leaves an open handle of the old file alone.
        self.remove(name)?;
        self.file(
            OpenOptions::new().read(true).append(true).create_new(true),
            name,
        )
        .map_err(|source| DiskError::io("create", name, source))
    }

    fn list(&self) -> Result<Vec<(String, u64)>, DiskError> {
        let failed = |source| DiskError::io("list", &self.folder.display().to_string(), source);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let metadata = entry.metadata().map_err(failed)?;
            if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
                found.push((name, metadata.len()));
            }
        }
        found.sort();
        Ok(found)
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        match fs::remove_file(self.path(name)?) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(DiskError::io("remove", name, error))
            }
            _ => Ok(()),
        }
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        fs::rename(self.path(from)?, self.path(to)?)
            .map_err(|source| DiskError::io("rename", from, source))
    }

    fn sync(&self) -> Result<(), DiskError> {
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| DiskError::io("sync", &self.folder.display().to_string(), source))
    }
}

impl DiskFile for OsFile {
    fn append(&self, bytes: &[u8]) -> Result<(), DiskError> {
        (&self.file)
            .write_all(bytes)
            .map_err(|source| DiskError::io("append to", &self.name, source))
    }

    fn read_at(&self, offset: u64, len: usize) -> Result<Vec<u8>, DiskError> {
        let failed = |source| DiskError::io("read", &self.name, source);
        // The length bounds the buffer, whatever a damaged index asked for; a small one needs no
        // bound, and asking costs as much as a read from the cache.
        let mut bytes = if len > SMALL_READ_BYTES {
            let left = usize::try_from(self.len()?.saturating_sub(offset)).unwrap_or(usize::MAX);
            vec![0; len.min(left)]
        } else {
            vec![0; len]
        };
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self
                .file
                .read_at(rest, offset.saturating_add(filled as u64))
            {
                Ok(0) => break,
                Ok(read) => filled = filled.saturating_add(read),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn len(&self) -> Result<u64, DiskError> {
        self.file
            .metadata()
            .map(|metadata| metadata.len())
            .map_err(|source| DiskError::io("measure", &self.name, source))
    }

    fn truncate(&self, len: u64) -> Result<(), DiskError> {
        self.file
            .set_len(len)
            .map_err(|source| DiskError::io("truncate", &self.name, source))
    }

    fn sync(&self) -> Result<(), DiskError> {
        // `fdatasync` also writes the length when it is needed to read the data back.
        self.file
            .sync_data()
            .map_err(|source| DiskError::io("sync", &self.name, source))
    }

    fn write_out(&self, offset: u64, len: u64) {
        // Linux begins to write the changed pages of a range that is said not to be needed.
        #[cfg(target_os = "linux")]
        if let Some(len) = std::num::NonZeroU64::new(len) {
            let advice = rustix::fs::Advice::DontNeed;
            // Nothing hangs on it: the next sync writes what this did not.
            let _ = rustix::fs::fadvise(&self.file, offset, Some(len), advice);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (offset, len);
    }
}
