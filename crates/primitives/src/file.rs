//! Opening what people name as a file, and whom a file belongs to.

use std::fs::{self, File};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{FileTypeExt, MetadataExt, chown};
use std::path::Path;

/// Opens a file to read it, and refuses what a program would wait on for ever: a pipe, a socket, a device
/// that has no end. What a shell hands over as `/dev/stdin` or `/dev/fd/…` is taken, since somebody writes to it.
///
/// # Errors
/// Those of the system, and [`ErrorKind::InvalidInput`] for what is not a file.
pub fn open_file(path: &Path) -> Result<File> {
    let handed_over = ["/dev/stdin", "/dev/fd", "/proc/self/fd"];
    if !handed_over.iter().any(|place| path.starts_with(place)) {
        let kind = fs::metadata(path)?.file_type();
        // Reading a folder ends with the system's own words, and a disk has an end.
        if !kind.is_file() && !kind.is_dir() && !kind.is_block_device() {
            let text = "it is a pipe, a socket or a device, not a regular file";
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
    }
    File::open(path)
}

/// Gives what was just made in a folder to that folder's owner, where it is another: root does this for a program
/// that runs as somebody else and could not change or remove it. Who may not give it away keeps it.
///
/// # Errors
/// Those of the system.
pub fn give_to_owner_of(folder: &Path, path: &Path) -> Result<()> {
    let (owner, own) = (fs::metadata(folder)?, fs::metadata(path)?);
    if owner.uid() == own.uid() {
        return Ok(());
    }
    match chown(path, Some(owner.uid()), Some(owner.gid())) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_refused_and_not_waited_for() {
        for path in ["/dev/null", "/dev/zero"] {
            let error = open_file(Path::new(path)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{path}: {error}");
        }
        let missing = open_file(Path::new("/no such file")).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        assert!(open_file(&std::env::current_exe().unwrap()).is_ok());
        let (reader, _writer) = std::io::pipe().unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&reader);
        assert!(open_file(format!("/dev/fd/{number}").as_ref()).is_ok());
    }

    #[test]
    fn what_root_makes_belongs_to_the_owner_of_the_folder() {
        let folder = std::env::temp_dir().join(format!("hawser-owner-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let made = folder.join("made");
        fs::write(&made, "x").unwrap();
        let own = fs::metadata(&made).unwrap().uid();
        give_to_owner_of(&folder, &made).unwrap();
        assert_eq!(fs::metadata(&made).unwrap().uid(), own);
        // Only root can give a folder to somebody else.
        if own == 0 {
            chown(&folder, Some(65_534), Some(65_534)).unwrap();
            give_to_owner_of(&folder, &made).unwrap();
            let given = fs::metadata(&made).unwrap();
            assert_eq!((given.uid(), given.gid()), (65_534, 65_534));
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
