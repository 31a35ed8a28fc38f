//! Faults of disks, files and clocks, made from outside the node.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use crate::bed::Bed;
use crate::netns;

/// Size of the disk that a node is put on to have it filled, in MiB.
const SMALL_MIB: u32 = 512;
/// Writes per second of a slow disk.
const SLOW_WRITES: u32 = 20;

/// The folder of a node's data.
#[must_use]
pub fn data(bed: &Bed, node: u16) -> PathBuf {
    bed.folder(node).join("data")
}

/// Every file below a folder.
#[must_use]
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            all.extend(files(&path));
        } else {
            all.push(path);
        }
    }
    all.sort();
    all
}

/// The newest file of a node's data whose name begins with `prefix`.
///
/// # Errors
/// When there is none.
pub fn newest(bed: &Bed, node: u16, prefix: &str) -> Result<PathBuf> {
    let fits = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(prefix))
    };
    files(&data(bed, node))
        .into_iter()
        .rfind(fits)
        .with_context(|| format!("node {node} has no file {prefix}…"))
}

/// Turns one bit around in the middle of what a file holds.
///
/// # Errors
/// When the file cannot be changed.
pub fn flip(path: &Path) -> Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    // Files may be made longer than their content; what matters lies before the zeros.
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
    let at = used / 2;
    let byte = bytes.get(at).context("an empty file")? ^ 0x10;
    file.seek(SeekFrom::Start(at as u64))?;
    file.write_all(&[byte])?;
    file.sync_all()?;
    Ok(())
}

/// Takes the last bytes that a file holds away, as a torn write would.
///
/// # Errors
/// When the file cannot be changed.
pub fn tear(path: &Path, bytes: u64) -> Result<()> {
    let content = fs::read(path)?;
    let used = content.iter().rposition(|byte| *byte != 0).unwrap_or(0) as u64 + 1;
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(used.saturating_sub(bytes))?;
    file.sync_all()?;
    Ok(())
}

/// Removes a folder, though somebody may still write into it; one that is not there is as good.
///
/// # Errors
/// When files appear as fast as they are removed.
pub fn remove(folder: &Path) -> Result<()> {
    const TRIES: u32 = 100;
    let mut last = None;
    for _ in 0..TRIES {
        match fs::remove_dir_all(folder) {
            Ok(()) => return Ok(()),
            Err(_) if !folder.exists() => return Ok(()),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| anyhow!("not tried"), Into::into))
        .with_context(|| format!("cannot remove {}", folder.display()))
}

/// Copies a folder with everything in it.
///
/// # Errors
/// When something cannot be read or written.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    // `cp` keeps modes, times and sparseness.
    let source = format!("{}/.", from.display());
    netns::run("cp", &["-a", &source, &to.to_string_lossy()])?;
    Ok(())
}

/// Puts the data of a node that is stopped on a small disk of its own.
///
/// # Errors
/// When mounting is not permitted.
pub fn small_disk(bed: &Bed, node: u16) -> Result<()> {
    let (place, aside) = (data(bed, node), bed.folder(node).join("data.aside"));
    fs::rename(&place, &aside)?;
    fs::create_dir(&place)?;
    let options = format!("size={SMALL_MIB}m,mode=0700");
    let mounted = netns::run(
        "mount",
        &[
            "-t",
            "tmpfs",
            "-o",
            &options,
            "hawser-survival",
            &place.to_string_lossy(),
        ],
    );
    if let Err(error) = mounted {
        fs::remove_dir(&place)?;
        fs::rename(&aside, &place)?;
        return Err(error);
    }
    copy(&aside, &place)?;
    fs::remove_dir_all(aside)?;
    Ok(())
}

/// Takes all room on a node's small disk but for `leave` bytes.
///
/// # Errors
/// When the file that takes it cannot be made.
pub fn fill(bed: &Bed, node: u16) -> Result<()> {
    let mut file = File::create(data(bed, node).join("ballast"))?;
    let block = vec![0xb5; 64 * 1024];
    let mut step = block.as_slice();
    // Smaller and smaller pieces, until not one byte fits.
    while !step.is_empty() {
        if file.write_all(step).is_err() {
            step = step.get(..step.len() / 2).unwrap_or_default();
        }
    }
    Ok(())
}

/// Gives the room back.
///
/// # Errors
/// When the file that takes it cannot be removed.
pub fn relieve(bed: &Bed, node: u16) -> Result<()> {
    fs::remove_file(data(bed, node).join("ballast"))?;
    Ok(())
}

/// Takes a node that is stopped off its small disk.
///
/// # Errors
/// When its data cannot be copied back.
pub fn large_disk(bed: &Bed, node: u16) -> Result<()> {
    let (place, aside) = (data(bed, node), bed.folder(node).join("data.aside"));
    copy(&place, &aside)?;
    netns::run("umount", &[&place.to_string_lossy()])?;
    fs::remove_dir(&place)?;
    fs::rename(aside, place)?;
    Ok(())
}

/// A limit on how often processes may write to the disk of a folder; it ends when dropped.
#[derive(Debug)]
pub struct SlowDisk {
    group: PathBuf,
}

impl SlowDisk {
    /// Makes the limit, for no process yet.
    ///
    /// # Errors
    /// When the kernel has no such limits, or they may not be set here; in words.
    pub fn new(folder: &Path) -> Result<Self> {
        let device = fs::metadata(folder)?.dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let name = format!("hawser-survival-{}", std::process::id());
        let first = Path::new("/sys/fs/cgroup/blkio");
        let (group, file, limit) = if first.is_dir() {
            let limit = format!("{major}:{minor} {SLOW_WRITES}");
            (first.join(name), "blkio.throttle.write_iops_device", limit)
        } else {
            let limit = format!("{major}:{minor} wiops={SLOW_WRITES}");
            (Path::new("/sys/fs/cgroup").join(name), "io.max", limit)
        };
        fs::create_dir_all(&group).context("control groups cannot be made here")?;
        let slow = Self { group };
        fs::write(slow.group.join(file), limit)
            .context("the kernel does not limit writes to this disk")?;
        Ok(slow)
    }

    /// Puts a process under the limit.
    ///
    /// # Errors
    /// When it is gone.
    pub fn add(&self, pid: i32) -> Result<()> {
        fs::write(self.group.join("cgroup.procs"), pid.to_string())?;
        Ok(())
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        let members = fs::read_to_string(self.group.join("cgroup.procs")).unwrap_or_default();
        if let Some(parent) = self.group.parent() {
            for pid in members.lines() {
                let _ = fs::write(parent.join("cgroup.procs"), pid);
            }
        }
        let _ = fs::remove_dir(&self.group);
    }
}

/// The library that shifts a process's clock, if it is installed.
#[must_use]
pub fn shifter() -> Option<PathBuf> {
    let folders = [
        "/usr/lib/x86_64-linux-gnu/faketime",
        "/usr/lib/aarch64-linux-gnu/faketime",
        "/usr/lib/faketime",
    ];
    folders
        .iter()
        .map(|folder| Path::new(folder).join("libfaketimeMT.so.1"))
        .find(|path| path.is_file())
}

/// Has a node's wall clock go `seconds` wrong from its next start on; its monotonic clock stays right.
///
/// # Errors
/// When the library is not installed.
pub fn shift_clock(bed: &mut Bed, node: u16, seconds: f64) -> Result<()> {
    let library =
        shifter().context("libfaketime is missing; on Debian: apt-get install faketime")?;
    let (library, offset) = (
        library.to_string_lossy().into_owned(),
        format!("{seconds:+}"),
    );
    bed.set_environment(
        node,
        &[
            ("LD_PRELOAD", &library),
            ("FAKETIME", &offset),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("DONT_FAKE_MONOTONIC", "1"),
        ],
    );
    Ok(())
}

/// Has a node drop blocks that are more than `keep` behind, if the binary can.
///
/// # Errors
/// When the configuration cannot be written.
pub async fn prune(bed: &Bed, node: u16, keep: u64) -> Result<bool> {
    let keys = hawser_e2e::hawser(&["config", "keys"], Duration::from_secs(20)).await?;
    if !keys.stdout.contains("storage.keep_blocks") {
        return Ok(false);
    }
    let keep = keep.to_string();
    let keys = [
        ("mode", "\"pruned\""),
        ("keep_blocks", &keep),
        ("history_blocks", "64"),
    ];
    set_storage(&bed.folder(node).join("node.toml"), &keys)?;
    Ok(true)
}

/// Limits what the caches of a node take, in MiB.
///
/// # Errors
/// When the configuration cannot be written.
pub fn limit_caches(bed: &Bed, node: u16, mib: u64) -> Result<()> {
    let file = bed.folder(node).join("node.toml");
    set_storage(&file, &[("cache_mib", &mib.to_string())])
}

/// Sets keys of the section `storage` of a configuration, in the place of what they were.
fn set_storage(file: &Path, keys: &[(&str, &str)]) -> Result<()> {
    let text = fs::read_to_string(file)?;
    let (mut out, mut inside, mut found) = (String::new(), false, false);
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line == "[storage]";
        }
        let name = line.split('=').next().unwrap_or_default().trim();
        if inside && keys.iter().any(|(key, _)| *key == name) {
            continue;
        }
        out.push_str(line);
        out.push('\n');
        if line == "[storage]" {
            found = true;
            for (key, value) in keys {
                out.push_str(&format!("{key} = {value}\n"));
            }
        }
    }
    ensure!(found, "{} has no [storage]", file.display());
    fs::write(file, out)?;
    Ok(())
}

/// Has a node start without its vote key (`false`), or with it again.
///
/// # Errors
/// When the configuration has no vote key.
pub fn votes(bed: &Bed, node: u16, yes: bool) -> Result<()> {
    let file = bed.folder(node).join("node.toml");
    let text = fs::read_to_string(&file)?;
    let (from, to) = if yes {
        ("#vote_key = ", "vote_key = ")
    } else {
        ("\nvote_key = ", "\n#vote_key = ")
    };
    let changed = text.replacen(from, to, 1);
    ensure!(changed != text, "{} has no vote key", file.display());
    fs::write(file, changed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_storage_are_replaced_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.toml");
        let text = "mode = \"x\"\n[storage]\ndir = \"data\"\n[rpc]\nmode = \"y\"\n";
        fs::write(&path, text).unwrap();
        set_storage(&path, &[("mode", "\"archive\""), ("keep_blocks", "7")]).unwrap();
        set_storage(&path, &[("mode", "\"pruned\"")]).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "mode = \"x\"\n[storage]\nmode = \"pruned\"\nkeep_blocks = 7\ndir = \"data\"\n[rpc]\nmode = \"y\"\n"
        );
        fs::write(&path, "[rpc]\n").unwrap();
        assert!(set_storage(&path, &[("mode", "1")]).is_err());
    }

    #[test]
    fn a_flip_changes_one_bit_and_a_tear_takes_the_end_of_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut content = vec![7; 100];
        content.extend([0; 50]);
        fs::write(&path, &content).unwrap();
        flip(&path).unwrap();
        let after = fs::read(&path).unwrap();
        let changed: Vec<_> = (0..150).filter(|at| after[*at] != content[*at]).collect();
        assert_eq!(changed, [49]);
        tear(&path, 10).unwrap();
        assert_eq!(fs::read(&path).unwrap().len(), 90);
    }

    #[test]
    fn a_folder_goes_with_everything_in_it_and_one_that_is_gone_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a");
        fs::create_dir_all(folder.join("b")).unwrap();
        fs::write(folder.join("b/c"), "x").unwrap();
        remove(&folder).unwrap();
        assert!(!folder.exists());
        remove(&folder).unwrap();
    }

    #[test]
    fn all_files_are_found() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/c"), "").unwrap();
        fs::write(dir.path().join("d"), "").unwrap();
        assert_eq!(files(dir.path()).len(), 2);
    }
}
