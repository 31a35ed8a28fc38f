use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// What the process uses of the machine. Where the operating system has no `/proc`, 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessUsage {
    /// Processor time of all threads.
    pub cpu: Duration,
    /// Memory in RAM, in bytes.
    pub resident_bytes: u64,
    /// Address space, in bytes.
    pub virtual_bytes: u64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// Most file descriptors allowed; 0 for unknown or no limit.
    pub max_fds: u64,
    /// Threads.
    pub threads: u64,
}

/// Reads the present use.
#[must_use]
pub fn process_usage() -> ProcessUsage {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    ProcessUsage {
        cpu: Duration::new(
            u64::try_from(cpu.tv_sec).unwrap_or(0),
            u32::try_from(cpu.tv_nsec).unwrap_or(0),
        ),
        resident_bytes: field(&status, "VmRSS:").saturating_mul(1024),
        virtual_bytes: field(&status, "VmSize:").saturating_mul(1024),
        // The directory that is being read is open itself.
        open_fds: u64::try_from(open).unwrap_or(u64::MAX).saturating_sub(1),
        max_fds: field(&limits, "Max open files"),
        threads: field(&status, "Threads:"),
    }
}

/// The first number after a line's name.
fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Now, in seconds since the Unix epoch; for metrics alone.
pub(crate) fn unix_seconds() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_uses_something() {
        let usage = process_usage();
        assert!(usage.resident_bytes > 100_000 && usage.virtual_bytes >= usage.resident_bytes);
        assert!(usage.open_fds >= 3 && usage.threads >= 1 && usage.cpu > Duration::ZERO);
    }

    #[test]
    fn fields_are_found_by_their_name_and_missing_ones_are_zero() {
        let text = "Name:\tx\nVmRSS:\t  12 kB\nMax open files            1024     4096 files\n";
        assert_eq!(field(text, "VmRSS:"), 12);
        assert_eq!(field(text, "Max open files"), 1024);
        assert_eq!(field(text, "Threads:"), 0);
    }
}
