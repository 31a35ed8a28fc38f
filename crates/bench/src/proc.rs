//! What the operating system knows: processes, memory, processor time, disk.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    error::{BenchError, Result},
    stats::Percentiles,
};

/// The machine that was measured on.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Model of the processor.
    pub cpu: String,
    /// Processors that this program may use.
    pub cores: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Release of the kernel.
    pub kernel: String,
    /// File system under the networks' data.
    pub filesystem: String,
    /// Load of the machine over the last minute before the start; above 0.5 something else runs.
    pub load_before: f64,
    /// Writing 4 KiB and syncing the file.
    pub fsync: Option<Percentiles>,
}

impl Machine {
    /// Looks at the machine; `dir` is where the data will lie.
    pub(crate) fn inspect(dir: &Path) -> Result<Self> {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let load = text("/proc/loadavg");
        let load = load
            .split_whitespace()
            .next()
            .and_then(|word| word.parse().ok());
        Ok(Self {
            cpu: cpu_model(&text("/proc/cpuinfo")).unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: kib_of(&text("/proc/meminfo"), "MemTotal:").unwrap_or(0) / 1_024,
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            filesystem: filesystem(&text("/proc/mounts"), dir),
            load_before: load.unwrap_or(0.0),
            fsync: fsync_latency(dir)?,
        })
    }
}

fn cpu_model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The number after a name in `/proc/meminfo` or `/proc/PID/status`.
fn kib_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Type of the file system with the longest mount point above `dir`.
fn filesystem(mounts: &str, dir: &Path) -> String {
    let found = mounts.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (point, kind) = (fields.next()?, fields.next()?);
        dir.starts_with(point).then_some((point.len(), kind))
    });
    found.max().map_or("unknown", |(_, kind)| kind).to_owned()
}

/// Measures what a durable write costs here.
fn fsync_latency(dir: &Path) -> Result<Option<Percentiles>> {
    const WRITES: usize = 100;
    let failed = || BenchError::io(format!("cannot write in {}", dir.display()));
    let mut file = tempfile::tempfile_in(dir).map_err(failed())?;
    let block = [0x5a; 4_096];
    let mut samples = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let start = Instant::now();
        write_durably(&mut file, &block).map_err(failed())?;
        samples.push(start.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(Percentiles::of(samples))
}

fn write_durably(file: &mut File, block: &[u8]) -> std::io::Result<()> {
    file.write_all(block)?;
    file.sync_data()
}

/// Processor time, user and system, in clock ticks, from the text of `/proc/PID/stat` or that of a thread.
///
/// The name in parentheses may hold anything, so fields are counted from the last parenthesis.
pub(crate) fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

fn cpu_time(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    let nanos = ticks(stat)?
        .saturating_mul(1_000_000_000)
        .checked_div(ticks_per_second)?;
    Some(Duration::from_nanos(nanos))
}

/// Processor time of these processes together.
pub(crate) fn cpu_of(pids: &[i32]) -> Duration {
    let ticks = rustix::param::clock_ticks_per_second();
    let of = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        cpu_time(&stat, ticks)
    };
    pids.iter().filter_map(of).sum()
}

/// Resident memory of these processes together, in bytes.
pub(crate) fn resident_of(pids: &[i32]) -> u64 {
    let of = |pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        kib_of(&status, "VmRSS:")
    };
    let kib: u64 = pids.iter().filter_map(of).sum();
    kib.saturating_mul(1_024)
}

/// Processes with an argument that lies in `dir`, except this one.
pub(crate) fn pids_in(dir: &Path) -> Vec<i32> {
    let own = std::process::id();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut pids: Vec<i32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| u32::try_from(*pid) != Ok(own))
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            names(&line, dir)
        })
        .collect();
    pids.sort_unstable();
    pids
}

/// Whether an argument of a command line (separated by zero bytes) is a path in `dir`.
fn names(command_line: &[u8], dir: &Path) -> bool {
    command_line
        .split(|byte| *byte == 0)
        .filter_map(|argument| std::str::from_utf8(argument).ok())
        .any(|argument| Path::new(argument).starts_with(dir))
}

/// Bytes that the files under `dir` take on the disk.
pub(crate) fn disk_bytes(dir: &Path) -> u64 {
    /// Unit of `st_blocks`, whatever the file system's block is.
    const BLOCK: u64 = 512;
    let Ok(entries) = fs::read_dir(dir) else {
        return 0;
    };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
        Ok(meta) => meta.blocks().saturating_mul(BLOCK),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        // utime 250 and stime 50 ticks, as proc(5) numbers the fields.
        let rest = "S 1 2 3 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 8 0 1000 0 0";
        for name in ["hawser", "a b", "x) R 1 2 3 ("] {
            let stat = format!("42 ({name}) {rest}");
            assert_eq!(cpu_time(&stat, 100), Some(Duration::from_secs(3)), "{name}");
        }
        for bad in [
            "",
            "42 (x",
            "42 (x) S 1 2",
            "42 (x) S 1 2 3 0 -1 4 1 0 0 0 a b",
        ] {
            assert_eq!(cpu_time(bad, 100), None, "{bad}");
        }
        assert_eq!(cpu_time(&format!("42 (x) {rest}"), 0), None);
    }

    #[test]
    fn own_figures_are_plausible() {
        let own = [i32::try_from(std::process::id()).unwrap()];
        assert!(resident_of(&own) > 100_000);
        // However long it takes on a busy machine to be given a tick of the processor.
        let start = Instant::now();
        while cpu_of(&own) == Duration::ZERO {
            assert!(start.elapsed() < Duration::from_secs(60));
        }
        assert_eq!(resident_of(&[-1]), 0);
    }

    #[test]
    fn tables_of_the_kernel_are_read() {
        let status = "Name:\tx\nVmPeak:\t  900 kB\nVmRSS:\t   512 kB\n";
        assert_eq!(kib_of(status, "VmRSS:"), Some(512));
        assert_eq!(kib_of(status, "VmSwap:"), None);
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmpx xfs rw 0 0\n";
        assert_eq!(filesystem(mounts, Path::new("/tmp/y")), "tmpfs");
        assert_eq!(filesystem(mounts, Path::new("/home")), "ext4");
        let info = "processor : 0\nmodel name\t: Some CPU @ 2 GHz\n";
        assert_eq!(cpu_model(info).unwrap(), "Some CPU @ 2 GHz");
    }

    #[test]
    fn a_process_belongs_to_a_folder_when_an_argument_lies_in_it() {
        let dir = Path::new("/data/net");
        assert!(names(
            b"hawser\0start\0--config\0/data/net/node0/node.toml\0",
            dir
        ));
        assert!(!names(
            b"hawser\0start\0--config\0/data/network2/node.toml\0",
            dir
        ));
        assert!(!names(b"", dir));
    }

    #[test]
    fn the_disk_is_measured_through_folders() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/b"), vec![1; 10_000]).unwrap();
        File::open(dir.path().join("a/b"))
            .unwrap()
            .sync_all()
            .unwrap();
        assert!(disk_bytes(dir.path()) >= 10_000);
        assert!(fsync_latency(dir.path()).unwrap().unwrap().p50_ms >= 0.0);
    }
}
