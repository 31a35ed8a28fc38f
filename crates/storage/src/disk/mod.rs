mod memory;
mod os;
#[cfg(test)]
mod tests;
mod trial;

use std::sync::Arc;

use crate::{DiskError, Sealer, Tier};

pub use memory::{DiskFaults, MemDisk};
pub use os::OsDisk;
pub use trial::TrialDisk;

/// Longest file name, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// A flat folder of files.
///
/// Creating, renaming and removing become durable with [`Disk::sync`], content with
/// [`DiskFile::sync`]. Before that a crash may undo them.
pub trait Disk: Send + Sync {
    /// Opens an existing file; `None` when there is none of that name.
    fn open(&self, name: &str) -> Result<Option<Arc<dyn DiskFile>>, DiskError>;

    /// Creates an empty file, replacing one of that name.
    fn create(&self, name: &str) -> Result<Arc<dyn DiskFile>, DiskError>;

    /// Names and lengths in bytes of all files, in name order.
    fn list(&self) -> Result<Vec<(String, u64)>, DiskError>;

    /// Removes a file. An open handle stays usable. Removing an absent file is no error.
    fn remove(&self, name: &str) -> Result<(), DiskError>;

    /// Renames a file, replacing one that has the new name, atomically.
    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError>;

    /// Makes creations, renames and removals durable.
    fn sync(&self) -> Result<(), DiskError>;

    /// What records on this disk are encrypted with; `None` for not at all.
    fn sealer(&self) -> Option<Arc<Sealer>> {
        None
    }

    /// What moves files of this disk to an object store; `None` where none may lie there.
    fn tier(&self) -> Option<Arc<Tier>> {
        None
    }
}

/// An open file. Reads may run beside appends.
pub trait DiskFile: Send + Sync {
    /// Adds bytes at the end. After an error some of them may have been added.
    fn append(&self, bytes: &[u8]) -> Result<(), DiskError>;

    /// Reads `len` bytes from `offset`; fewer where the file ends.
    fn read_at(&self, offset: u64, len: usize) -> Result<Vec<u8>, DiskError>;

    /// Length in bytes.
    fn len(&self) -> Result<u64, DiskError>;

    /// Whether there is nothing in it.
    fn is_empty(&self) -> Result<bool, DiskError> {
        Ok(self.len()? == 0)
    }

    /// Cuts the file off at `len` bytes.
    fn truncate(&self, len: u64) -> Result<(), DiskError>;

    /// Makes the content and the length durable.
    fn sync(&self) -> Result<(), DiskError>;

    /// Begins to write a part of the content out without waiting for it, so that the next sync, of this file
    /// or of another one on the same disk, finds little left to do. For what is not read again soon: the
    /// system need not keep it in memory. Makes nothing durable; where the system knows nothing of the
    /// kind, nothing happens.
    fn write_out(&self, offset: u64, len: u64) {
        let _ = (offset, len);
    }
}

fn check_name(name: &str) -> Result<(), DiskError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let dots = name.bytes().all(|byte| byte == b'.');
    if name.len() > NAME_BYTES_MAX || dots || !name.bytes().all(plain) {
        return Err(DiskError::Name(name.to_owned()));
    }
    Ok(())
}
