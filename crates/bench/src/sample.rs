//! What the operating system and the nodes tell about the processes under load.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::time::sleep;

use crate::{
    error::Result,
    network::Hawser,
    proc::{self, ticks},
    rpc::Client,
};

/// Between two looks at memory.
const EVERY: Duration = Duration::from_millis(500);

/// Memory of all nodes at a moment of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Memory {
    /// Seconds since the start of the run.
    pub at_s: f64,
    /// Resident bytes of each node; 0 for one that does not run.
    pub resident: Vec<u64>,
}

/// Counters of all nodes together, as they stand at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// When it was taken.
    pub(crate) at: Option<Instant>,
    /// Clock ticks by process and thread, with the thread's name.
    threads: BTreeMap<(i32, i32), (String, u64)>,
    /// Clock ticks of whole processes, ended threads included.
    processes: BTreeMap<i32, u64>,
    /// Bytes that the processes had written to the disk.
    written: u64,
    /// Bytes that the data folders take.
    pub(crate) disk: u64,
    /// Bytes of frames that the nodes sent each other.
    sent: u64,
    /// The generator's clock ticks.
    own: u64,
    /// TCP segments sent, and sent again, by this machine.
    segments: (u64, u64),
}

/// What lies between two snapshots.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Usage {
    /// Processor seconds by stage: threads by the beginning of their names.
    pub stages: Vec<Stage>,
    /// Processor seconds of all nodes.
    pub cpu_s: f64,
    /// Processor seconds of the generator.
    pub generator_cpu_s: f64,
    /// Bytes that the nodes wrote to the disk (`/proc/PID/io`).
    pub written_bytes: u64,
    /// Bytes by which the data folders grew; may be too small where files are written later.
    pub disk_growth_bytes: u64,
    /// Bytes of frames between the nodes (metric `hawser_network_bytes_total`, outbound).
    pub wire_bytes: u64,
    /// TCP segments that this machine sent again, of all it sent.
    pub segments_again: f64,
}

/// A stage of the nodes' work.
#[derive(Clone, Debug, Serialize)]
pub struct Stage {
    /// Beginning of the names of its threads.
    pub name: String,
    /// Processor seconds of all nodes.
    pub cpu_s: f64,
}

impl Snapshot {
    /// Looks at all nodes now.
    pub(crate) async fn take(network: Option<&Hawser>) -> Self {
        let own = i32::try_from(std::process::id()).unwrap_or_default();
        let mut snapshot = Self {
            at: Some(Instant::now()),
            own: ticks(&read(&format!("/proc/{own}/stat"))).unwrap_or(0),
            segments: segments(&read("/proc/net/snmp")),
            ..Self::default()
        };
        let Some(network) = network else {
            return snapshot;
        };
        snapshot.disk = network.disk_bytes();
        for pid in proc::pids_in(&network.home()) {
            snapshot.written += written(&read(&format!("/proc/{pid}/io")));
            let all = ticks(&read(&format!("/proc/{pid}/stat"))).unwrap_or(0);
            snapshot.processes.insert(pid, all);
            for (tid, name, ticks) in threads(pid) {
                snapshot.threads.insert((pid, tid), (name, ticks));
            }
        }
        for node in 0..network.nodes() {
            snapshot.sent += sent_bytes(&metrics(&network.metrics_url(node)).await);
        }
        snapshot
    }

    /// What happened since `before`.
    pub(crate) fn since(&self, before: &Self) -> Usage {
        let per_second = rustix::param::clock_ticks_per_second().max(1) as f64;
        let mut stages: BTreeMap<String, u64> = BTreeMap::new();
        let mut named = 0;
        for (key, (name, ticks)) in &self.threads {
            let earlier = before.threads.get(key).map_or(0, |(_, ticks)| *ticks);
            let used = ticks.saturating_sub(earlier);
            named += used;
            *stages.entry(stage(name).to_owned()).or_default() += used;
        }
        let all: u64 = self
            .processes
            .iter()
            .map(|(pid, ticks)| {
                ticks.saturating_sub(before.processes.get(pid).copied().unwrap_or(0))
            })
            .sum();
        stages.insert("ended threads".to_owned(), all.saturating_sub(named));
        let mut stages: Vec<_> = stages
            .into_iter()
            .filter(|(_, ticks)| *ticks > 0)
            .map(|(name, ticks)| Stage {
                name,
                cpu_s: ticks as f64 / per_second,
            })
            .collect();
        stages.sort_by(|a, b| b.cpu_s.total_cmp(&a.cpu_s));
        let sent = self.segments.0.saturating_sub(before.segments.0).max(1);
        let again = self.segments.1.saturating_sub(before.segments.1);
        Usage {
            stages,
            cpu_s: all as f64 / per_second,
            generator_cpu_s: self.own.saturating_sub(before.own) as f64 / per_second,
            written_bytes: self.written.saturating_sub(before.written),
            disk_growth_bytes: self.disk.saturating_sub(before.disk),
            wire_bytes: self.sent.saturating_sub(before.sent),
            segments_again: again as f64 / sent as f64,
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn threads(pid: i32) -> Vec<(i32, String, u64)> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let tid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let name = stat.split_once('(')?.1.rsplit_once(')')?.0.to_owned();
            Some((tid, name, ticks(&stat)?))
        })
        .collect()
}

/// The part of a thread's name that says what it does: `verify-429737-0` and its likes are one stage.
fn stage(name: &str) -> &str {
    let end = name.find(|c: char| c == '-' || c == ':' || c.is_ascii_digit());
    let short = name.get(..end.unwrap_or(name.len())).unwrap_or(name);
    match short {
        "hawser" => "interfaces and links",
        "" => "other",
        other => other,
    }
}

fn written(io: &str) -> u64 {
    let line = io
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

/// `OutSegs` and `RetransSegs` of the two lines on TCP.
fn segments(snmp: &str) -> (u64, u64) {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let of = |wanted: &str| {
        let mut pairs = names.split(' ').zip(values.split(' '));
        let found = pairs.find(|(name, _)| *name == wanted);
        found.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
    };
    (of("OutSegs"), of("RetransSegs"))
}

async fn metrics(url: &str) -> String {
    let asked = reqwest::Client::builder().no_proxy().build();
    let Ok(client) = asked else {
        return String::new();
    };
    let asking = client.get(url).timeout(Duration::from_secs(2)).send();
    match asking.await {
        Ok(response) => response.text().await.unwrap_or_default(),
        Err(_) => String::new(),
    }
}

fn sent_bytes(metrics: &str) -> u64 {
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("hawser_network_bytes_total"))
        .filter(|line| line.contains("direction=\"out\""));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// Looks at the nodes' memory until it is dropped; what it saw comes through `seen`.
pub(crate) async fn memory(network: &Hawser, start: Instant, seen: &mut Vec<Memory>) {
    let mut pids = vec![None; usize::from(network.nodes())];
    loop {
        let mut resident = Vec::with_capacity(pids.len());
        for (pid, node) in pids.iter_mut().zip(0..) {
            let of = |pid: Option<i32>| pid.map_or(0, |pid| proc::resident_of(&[pid]));
            let mut bytes = of(*pid);
            // Looked for only when it is not known, for that reads the whole list of processes.
            if bytes == 0 {
                *pid = network.pid(node);
                bytes = of(*pid);
            }
            resident.push(bytes);
        }
        seen.push(Memory {
            at_s: start.elapsed().as_secs_f64(),
            resident,
        });
        sleep(EVERY).await;
    }
}

/// How far the nodes are apart: milliseconds from the first node's showing a height to the last one's, of the heights
/// seen within `length`.
pub(crate) async fn spread(urls: &[String], length: Duration) -> Result<Vec<f64>> {
    let clients = Client::all(urls)?;
    let start = Instant::now();
    let mut first: BTreeMap<u64, (Duration, usize, Duration)> = BTreeMap::new();
    let mut heights = vec![0u64; clients.len()];
    for (client, height) in clients.iter().zip(&mut heights) {
        *height = client.height().await?;
    }
    while start.elapsed() < length {
        let asked = futures_util::future::try_join_all(clients.iter().map(|c| c.height())).await?;
        let now = start.elapsed();
        for (height, new) in heights.iter_mut().zip(asked) {
            while *height < new {
                *height += 1;
                let entry = first.entry(*height).or_insert((now, 0, now));
                entry.1 += 1;
                entry.2 = now;
            }
        }
        sleep(Duration::from_millis(3)).await;
    }
    let complete = first
        .values()
        .filter(|(_, count, _)| *count == clients.len());
    Ok(complete
        .map(|(from, _, to)| to.saturating_sub(*from).as_secs_f64() * 1_000.0)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_one_stage_by_the_beginning_of_their_names() {
        for (name, expected) in [
            ("verify-429737-0", "verify"),
            ("execute-7", "execute"),
            ("hawser", "interfaces and links"),
            ("fjall:worker", "fjall"),
            ("rayon3", "rayon"),
            ("-", "other"),
        ] {
            assert_eq!(stage(name), expected);
        }
    }

    #[test]
    fn what_is_used_is_the_difference_and_ended_threads_are_not_lost() {
        let snapshot = |verify, execute, all| Snapshot {
            threads: [
                ((1, 11), ("verify-7-0".to_owned(), verify)),
                ((1, 12), ("execute-7".to_owned(), execute)),
            ]
            .into(),
            processes: [(1, all)].into(),
            ..Snapshot::default()
        };
        let usage = snapshot(300, 50, 500).since(&snapshot(100, 50, 200));
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(usage.cpu_s, 300.0 / per_second);
        let stages: Vec<_> = usage
            .stages
            .iter()
            .map(|s| (s.name.as_str(), s.cpu_s))
            .collect();
        assert_eq!(
            stages,
            [
                ("verify", 200.0 / per_second),
                ("ended threads", 100.0 / per_second)
            ]
        );
    }

    #[test]
    fn tables_are_read() {
        let snmp = "Ip: A B\nIp: 1 2\nTcp: InSegs OutSegs RetransSegs\nTcp: 5 70 3\n";
        assert_eq!(segments(snmp), (70, 3));
        assert_eq!(segments(""), (0, 0));
        assert_eq!(written("rchar: 1\nwrite_bytes: 4096\n"), 4_096);
        let metrics = "hawser_network_bytes_total{direction=\"in\"} 15\n\
            hawser_network_bytes_total{direction=\"out\"} 40\n";
        assert_eq!(sent_bytes(metrics), 40);
    }

    #[test]
    fn own_threads_are_found() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(!threads(own).is_empty());
        assert!(threads(-1).is_empty());
    }
}
