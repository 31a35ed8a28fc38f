//! Network namespaces, their addresses, and what is left of runs that were killed.
//!
//! Everything made here carries the process id of its harness in its name, so that the next run finds what a dead one
//! left and takes it away: namespaces `hsv<pid>n<slot>`, interfaces `hsv<pid in base 36>…` (their names are short).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// Prefix of every name.
const PREFIX: &str = "hsv";
/// Folders of networks below the temporary folder.
const FOLDER: &str = "hawser-survival-";

/// Runs a program to its end; its output.
///
/// # Errors
/// When it cannot be run or fails; the message has what it printed.
pub fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    ensure!(
        output.status.success(),
        "{program} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `text` split at spaces, as arguments of `ip`.
fn ip(text: &str) -> Result<String> {
    run("ip", &text.split_whitespace().collect::<Vec<_>>())
}

fn base36(mut number: u32) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit(number % 36, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

/// The namespaces of one run: one per node, joined by a bridge over which clients and the harness reach them. What nodes
/// say to each other goes another way ([`crate::switch`]), so that faults do not touch the clients' side.
#[derive(Debug)]
pub struct Spaces {
    pid: u32,
    slots: u16,
    net: u8,
}

impl Spaces {
    /// Makes `slots` namespaces.
    ///
    /// # Errors
    /// When the rights are missing; nothing is left behind then.
    pub fn create(slots: u16) -> Result<Self> {
        let pid = std::process::id();
        let net = u8::try_from(pid % 250).unwrap_or(0);
        let spaces = Self { pid, slots, net };
        // Dropped on an error, which removes what was made so far.
        let bridge = spaces.interface("b");
        let net = spaces.net;
        ip(&format!("link add {bridge} type bridge"))?;
        ip(&format!("addr add 10.211.{net}.254/24 dev {bridge}"))?;
        ip(&format!("link set {bridge} up"))?;
        for slot in 0..slots {
            let (name, outer) = (spaces.name(slot), spaces.interface(&format!("m{slot}")));
            let inner = spaces.interface(&format!("i{slot}"));
            ip(&format!("netns add {name}"))?;
            ip(&format!("link add {outer} type veth peer name {inner}"))?;
            ip(&format!("link set {inner} netns {name} name clients"))?;
            ip(&format!("link set {outer} master {bridge} up"))?;
            ip(&format!("-n {name} link set lo up"))?;
            let address = spaces.client_address(slot);
            ip(&format!("-n {name} addr add {address}/24 dev clients"))?;
            ip(&format!("-n {name} link set clients up"))?;
        }
        Ok(spaces)
    }

    fn interface(&self, suffix: &str) -> String {
        format!("{PREFIX}{}{suffix}", base36(self.pid))
    }

    /// The name of a slot's namespace.
    #[must_use]
    pub fn name(&self, slot: u16) -> String {
        format!("{PREFIX}{}n{slot}", self.pid)
    }

    /// Where clients reach the node of a slot.
    #[must_use]
    pub fn client_address(&self, slot: u16) -> String {
        format!("10.211.{}.{}", self.net, slot + 1)
    }

    /// Where the other nodes reach it.
    #[must_use]
    pub fn peer_address(&self, slot: u16) -> String {
        format!("10.212.{}.{}", self.net, slot + 1)
    }

    /// How many there are.
    #[must_use]
    pub fn slots(&self) -> u16 {
        self.slots
    }
}

impl Drop for Spaces {
    fn drop(&mut self) {
        for slot in 0..self.slots {
            // The kernel takes a namespace's devices away in its own time; the pair goes at once with either end.
            let _ = ip(&format!("link del {}", self.interface(&format!("m{slot}"))));
            let _ = ip(&format!("netns del {}", self.name(slot)));
        }
        let _ = ip(&format!("link del {}", self.interface("b")));
    }
}

/// A folder for the network number `sequence` of this process.
#[must_use]
pub fn folder(sequence: u32) -> PathBuf {
    let base = std::env::var_os("SURVIVAL_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    base.join(format!("{FOLDER}{}-{sequence}", std::process::id()))
}

fn runs(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// The process id in a name: the digits behind `prefix`, up to `end`.
fn owner(name: &str, prefix: &str, end: char) -> Option<u32> {
    let rest = name.strip_prefix(prefix)?;
    let (digits, _) = rest.split_once(end)?;
    digits.parse().ok()
}

/// Ends the processes, and removes the mounts, in a folder of a network; then the folder.
pub fn clear(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let file = entry.path().join("hawser.pid");
        let Ok(pid) = hawser_e2e::read_pid(&file) else {
            continue;
        };
        // Only a process that was started from this folder: the number may belong to another one by now.
        let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        if line.contains(&*folder.to_string_lossy()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for line in mounts.lines() {
        let Some(place) = line.split(' ').nth(1) else {
            continue;
        };
        if Path::new(place).starts_with(folder) {
            let _ = run("umount", &["-l", place]);
        }
    }
    let _ = fs::remove_dir_all(folder);
}

/// Removes what runs that were killed have left. Returns what it found, one line each.
#[must_use]
pub fn sweep() -> Vec<String> {
    let mut found = Vec::new();
    let base = folder(0);
    let base = base.parent().unwrap_or(Path::new("/tmp"));
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if owner(&name, FOLDER, '-').is_some_and(|pid| !runs(pid)) {
            clear(&entry.path());
            found.push(format!("folder {name}"));
        }
    }
    for line in ip("netns list").unwrap_or_default().lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        if owner(name, PREFIX, 'n').is_some_and(|pid| !runs(pid)) {
            let _ = ip(&format!("netns del {name}"));
            found.push(format!("namespace {name}"));
        }
    }
    for line in ip("-o link show type bridge").unwrap_or_default().lines() {
        let name = line.split(':').nth(1).unwrap_or_default().trim();
        let pid = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.strip_suffix('b'))
            .and_then(|digits| u32::from_str_radix(digits, 36).ok());
        if pid.is_some_and(|pid| !runs(pid)) {
            let _ = ip(&format!("link del {name}"));
            found.push(format!("bridge {name}"));
        }
    }
    for base in ["/sys/fs/cgroup/blkio", "/sys/fs/cgroup"] {
        for entry in fs::read_dir(base).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let pid = name.strip_prefix(FOLDER).and_then(|pid| pid.parse().ok());
            // A group is only removed when nothing is in it.
            if pid.is_some_and(|pid| !runs(pid)) && fs::remove_dir(entry.path()).is_ok() {
                found.push(format!("control group {name}"));
            }
        }
    }
    found
}

/// Why namespaces cannot be had here; nothing when they can.
///
/// # Errors
/// The reason, in words.
pub fn possible() -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "network namespaces need root (CAP_NET_ADMIN and CAP_SYS_ADMIN)"
    );
    for program in ["ip", "socat"] {
        if run(program, &["-V"]).is_err() {
            bail!("{program} is missing; on Debian: apt-get install iproute2 socat");
        }
    }
    ensure!(
        Path::new("/dev/net/tun").exists(),
        "/dev/net/tun is missing: the kernel or the container has no TUN devices"
    );
    let probe = format!("{PREFIX}{}nprobe", std::process::id());
    ip(&format!("netns add {probe}")).context("namespaces are not permitted here")?;
    let _ = ip(&format!("netns del {probe}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_whose_they_are() {
        assert_eq!(owner("hsv123n4", PREFIX, 'n'), Some(123));
        assert_eq!(owner("hawser-survival-77-0", FOLDER, '-'), Some(77));
        assert_eq!(owner("other", PREFIX, 'n'), None);
        assert_eq!(owner("hsvxn1", PREFIX, 'n'), None);
        assert_eq!(base36(0), "0");
        assert_eq!(u32::from_str_radix(&base36(4_194_303), 36), Ok(4_194_303));
        // The longest interface name that the kernel takes has 15 characters.
        assert!(format!("{PREFIX}{}m15", base36(4_194_303)).len() <= 15);
    }

    #[test]
    fn what_a_dead_run_left_is_swept_and_what_a_living_one_has_is_not() {
        let base = folder(0).parent().unwrap().to_owned();
        // Above the largest process id that Linux gives.
        let dead = base.join(format!("{FOLDER}4194999-0"));
        let living = base.join(format!("{FOLDER}{}-997", std::process::id()));
        for folder in [&dead, &living] {
            fs::create_dir_all(folder.join("node0")).unwrap();
        }
        let found = sweep();
        assert!(
            found.iter().any(|line| line.contains("4194999")),
            "{found:?}"
        );
        assert!(!dead.exists() && living.exists());
        fs::remove_dir_all(living).unwrap();
    }
}
