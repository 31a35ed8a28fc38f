//! The file that says which process a node is.
//!
//! A running node holds an advisory lock on it. The lock goes with the process, however it ends, so
//! a number left behind is never taken for a node, even when another process has got it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::process::Pid;

use crate::exit::{Code, OrFail, Result, fail};

/// A held pid file; released when dropped.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    _file: File,
}

impl PidFile {
    /// Takes the file for this process, or says who has it.
    pub(crate) fn take(path: &Path) -> Result<Self> {
        let context = || format!("pid file {}", path.display());
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .context(Code::Failed, context())?;
        if !lock(&file) {
            let mut text = String::new();
            let _ = file.read_to_string(&mut text);
            return fail(
                Code::Failed,
                format!(
                    "this node runs already, as process {} ({})",
                    text.trim(),
                    context()
                ),
            );
        }
        file.set_len(0).context(Code::Failed, context())?;
        file.rewind().context(Code::Failed, context())?;
        writeln!(file, "{}", std::process::id()).context(Code::Failed, context())?;
        Ok(Self {
            path: path.to_owned(),
            _file: file,
        })
    }
}

/// Takes the lock. Whoever looks whether a node runs holds it for a moment, so this tries for a
/// fifth of a second.
fn lock(file: &File) -> bool {
    for attempt in 0..10 {
        if attempt > 0 {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        if flock(file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return true;
        }
    }
    false
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // While the lock is still held: nobody else's file can be removed here.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The process that holds a pid file; `None` when the node does not run.
pub(crate) fn holder(path: &Path) -> Option<Pid> {
    let mut file = File::open(path).ok()?;
    if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
        return None;
    }
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let pid: i32 = text.trim().parse().ok()?;
    if pid <= 1 { None } else { Pid::from_raw(pid) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_found_while_it_runs_and_a_left_over_number_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hawser.pid");
        assert!(holder(&path).is_none());
        let held = PidFile::take(&path).unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(holder(&path), Pid::from_raw(own));
        let second = PidFile::take(&path).unwrap_err();
        assert!(second.message.contains(&own.to_string()), "{second}");
        drop(held);
        assert!(!path.exists());
        // As after kill -9, with the number of a process that lives but is no node.
        std::fs::write(&path, "1\n").unwrap();
        assert!(holder(&path).is_none());
        assert!(PidFile::take(&path).is_ok());
    }
}
