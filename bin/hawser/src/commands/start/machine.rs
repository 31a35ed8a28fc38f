//! What a node says of its machine: a disk that fills, a certificate that ends.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use hawser_node::Words;
use hawser_node::chain::ChainHandle;
use hawser_node::config::NodeConfig;
use hawser_pki::Moment;

use crate::commands::doctor;
use crate::lang::Lang;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(30);
/// Looks that are remembered: half an hour.
const LOOKS_MAX: usize = 60;
/// Time over which the rate has to be known before it is told, in milliseconds.
const SPAN_MS_MIN: u64 = 5 * 60_000;
/// Time left from which on it is worth a word, in milliseconds.
const LEFT_MS: u64 = 48 * 3_600_000;
/// Bytes of a block in which systems count what a file takes.
const BLOCK_BYTES: u64 = 512;
/// Free space below which it is worth a word whatever the rate, in bytes.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// A disk at one moment.
#[derive(Clone, Copy, Debug)]
struct Look {
    /// Milliseconds since the first look.
    at_ms: u64,
    /// Bytes free.
    free: u64,
    /// Bytes in the node's data folder.
    own: u64,
}

/// How fast a disk fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate {
    /// Bytes that go in an hour.
    per_hour: u64,
    /// Those of them that this node's data folder takes.
    own_per_hour: u64,
    /// Milliseconds until the disk is full.
    left_ms: u64,
    /// Milliseconds over which this was seen.
    span_ms: u64,
}

/// The space that is free on a disk, as it was over time.
#[derive(Debug, Default)]
struct Filling {
    looks: VecDeque<Look>,
}

impl Filling {
    fn add(&mut self, look: Look) {
        self.looks.push_back(look);
        if self.looks.len() > LOOKS_MAX {
            self.looks.pop_front();
        }
    }

    fn rate(&self) -> Option<Rate> {
        let (first, last) = (self.looks.front()?, self.looks.back()?);
        let span_ms = last.at_ms.saturating_sub(first.at_ms);
        let gone = first.free.checked_sub(last.free).filter(|gone| *gone > 0)?;
        if span_ms < SPAN_MS_MIN {
            return None;
        }
        let wide = |value: u64| u128::from(value);
        let narrow = |value: u128| u64::try_from(value).unwrap_or(u64::MAX);
        let per_hour = |bytes: u64| narrow(wide(bytes) * 3_600_000 / wide(span_ms));
        Some(Rate {
            per_hour: per_hour(gone),
            own_per_hour: per_hour(last.own.saturating_sub(first.own)),
            left_ms: narrow(wide(last.free) * wide(span_ms) / wide(gone)),
            span_ms,
        })
    }

    fn words(&self, folder: &Path) -> Option<Words> {
        let Look { free, own, .. } = *self.looks.back()?;
        let soon = self.rate().filter(|rate| rate.left_ms < LEFT_MS);
        match soon {
            Some(rate) => Some(filling(&rate, (free, own), &folder.display())),
            None if free < FREE_BYTES_MIN => Some(low(free, &folder.display())),
            None => None,
        }
    }
}

/// When the disk will be full, and who fills it.
fn filling(rate: &Rate, (free, own): (u64, u64), folder: &dyn std::fmt::Display) -> Words {
    let (space, size) = (mib(free), mib(own));
    let (gone, grown) = (mib(rate.per_hour), mib(rate.own_per_hour));
    let (hours, minutes) = (rate.left_ms / 3_600_000, rate.left_ms / 60_000 % 60);
    let span = rate.span_ms / 60_000;
    let (advice, advice_zh) = if rate.own_per_hour > rate.per_hour / 2 {
        (
            "Free space or enlarge the disk; storage.mode = \"pruned\" keeps the chain's data small",
            "请清理或扩容；storage.mode = \"pruned\" 可控制链数据大小",
        )
    } else {
        (
            "Other programs fill the disk, not this node: find them (`du -x`), and free space or enlarge \
             the disk",
            "写满磁盘的是其他程序，而非本节点：请找出它们（`du -x`），并清理或扩容",
        )
    };
    Words::new(
        format!(
            "disk: {space} are free for {folder}, and {gone} go in an hour (as in the last {span} min): full \
             in {hours} h {minutes} min. This node's data has {size} and grows by {grown} in an hour. {advice}"
        ),
        format!(
            "磁盘：{folder} 剩余 {space}，每小时减少 {gone}（按最近 {span} 分钟计）：约 {hours} 小时 {minutes} \
             分后写满。本节点数据为 {size}，每小时增长 {grown}。{advice_zh}"
        ),
    )
}

fn low(free: u64, folder: &dyn std::fmt::Display) -> Words {
    let space = mib(free);
    Words::new(
        format!(
            "disk: only {space} are free for {folder}; a node whose disk is full stops. Free space or \
             enlarge the disk"
        ),
        format!("磁盘：{folder} 仅剩 {space}；磁盘写满后节点会停止。请清理或扩容"),
    )
}

/// Bytes for people, in whole MiB or tenths of a GiB.
fn mib(bytes: u64) -> String {
    let mib = bytes >> 20;
    if mib < 1_024 {
        format!("{mib} MiB")
    } else {
        format!("{}.{} GiB", mib / 1_024, mib % 1_024 * 10 / 1_024)
    }
}

/// Bytes that are free for data in a folder.
fn free_bytes(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes that a folder takes on the disk, with all that is in it. What cannot be read, or goes meanwhile, is left
/// out.
fn folder_bytes(folder: &Path) -> u64 {
    let (mut open, mut bytes) = (vec![folder.to_owned()], 0u64);
    while let Some(folder) = open.pop() {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        for entry in entries {
            match entry.metadata() {
                Ok(data) if data.is_dir() => open.push(entry.path()),
                Ok(data) => bytes = bytes.saturating_add(data.blocks().saturating_mul(BLOCK_BYTES)),
                Err(_) => {}
            }
        }
    }
    bytes
}

/// What is to be said of the disk of a node that does not run.
pub(crate) fn disk_now(folder: &Path) -> Option<Words> {
    let free = free_bytes(folder)?;
    (free < FREE_BYTES_MIN).then(|| low(free, &folder.display()))
}

fn certificate(config: &NodeConfig) -> Option<Words> {
    let now = Moment::now();
    let en = doctor::certificate(&config.node.name, &config.network, now, Lang::En)?;
    let zh = doctor::certificate(&config.node.name, &config.network, now, Lang::Zh)?;
    Some(Words::new(en, zh))
}

/// Looks after the machine until it is aborted; what it finds is told with each chain's status.
pub(super) async fn watch(config: NodeConfig, chains: Vec<ChainHandle>) {
    let (began, mut filling) = (Instant::now(), Filling::default());
    let mut turn = tokio::time::interval(EVERY);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        let asked = config.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let folder = &asked.node.data_dir;
            let free = free_bytes(folder).map(|free| (free, folder_bytes(folder)));
            (free, certificate(&asked))
        });
        let Ok((free, certificate)) = looked.await else {
            return;
        };
        if let Some((free, own)) = free {
            let at_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            filling.add(Look { at_ms, free, own });
        }
        let words = [filling.words(&config.node.data_dir), certificate];
        let words: Vec<_> = words.into_iter().flatten().collect();
        for chain in &chains {
            chain.set_remarks("machine", words.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn look(at_ms: u64, free: u64, own: u64) -> Look {
        Look { at_ms, free, own }
    }

    /// Looks with nothing but this node on the disk.
    fn filling(span_ms: u64, before: u64, now: u64) -> Filling {
        let mut filling = Filling::default();
        filling.add(look(0, before, GIB));
        let own = GIB + before.saturating_sub(now);
        filling.add(look(span_ms, now, own));
        filling
    }

    #[test]
    fn a_disk_that_fills_is_told_with_the_time_left() {
        // 1 GiB in half an hour, 20 GiB left: ten hours.
        let words = filling(1_800_000, 21 * GIB, 20 * GIB).words(Path::new("/data"));
        let words = words.unwrap();
        for part in [
            "20.0 GiB",
            "/data",
            "2.0 GiB go in an hour",
            "(as in the last 30 min)",
            "full in 10 h 0 min",
            "data has 2.0 GiB and grows by 2.0 GiB in an hour",
            "pruned",
        ] {
            assert!(words.en.contains(part), "{part}: {}", words.en);
        }
        assert!(words.zh.contains("10 小时 0 分"), "{}", words.zh);
    }

    #[test]
    fn a_disk_that_others_fill_is_not_laid_to_this_node() {
        let words = |own_before: u64, own_now: u64| {
            let mut filling = Filling::default();
            filling.add(look(0, 21 * GIB, own_before));
            filling.add(look(480_000, 20 * GIB, own_now));
            filling.words(Path::new("/data")).unwrap()
        };
        let (half, mib) = (GIB / 2, GIB / 1_024);
        let others = words(3 * mib, 3 * mib);
        assert!(
            others.en.contains("Other programs fill the disk"),
            "{}",
            others.en
        );
        assert!(
            others.en.contains("data has 3 MiB and grows by 0 MiB"),
            "{}",
            others.en
        );
        assert!(others.en.contains("the last 8 min"), "{}", others.en);
        assert!(!others.en.contains("pruned") && !others.zh.contains("pruned"));
        assert!(others.zh.contains("其他程序"), "{}", others.zh);
        // Both sides of the larger part; a folder that shrinks is not to blame.
        assert!(words(0, half).en.contains("Other programs"));
        assert!(words(0, half + mib).en.contains("pruned"));
        assert!(words(GIB, 0).en.contains("Other programs"));
    }

    #[test]
    fn what_a_folder_takes_is_found_with_its_folders() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(folder_bytes(folder.path()), 0);
        fs::create_dir(folder.path().join("chain-1")).unwrap();
        for name in ["a", "chain-1/b"] {
            let mut file = fs::File::create(folder.path().join(name)).unwrap();
            std::io::Write::write_all(&mut file, &[1; 100_000]).unwrap();
            file.sync_all().unwrap();
        }
        let bytes = folder_bytes(folder.path());
        assert!((200_000..400_000).contains(&bytes), "{bytes}");
        assert_eq!(folder_bytes(&folder.path().join("none")), 0);
    }

    #[test]
    fn both_sides_of_what_is_soon_and_of_what_is_known() {
        let told = |filling: Filling| filling.words(Path::new("d")).is_some();
        // Free space that lasts for just under and for 48 hours.
        let free = 480 * GIB;
        assert!(told(filling(3_600_000, free + 10 * GIB + 1, free)));
        assert!(!told(filling(3_600_000, free + 10 * GIB, free)));
        assert!(told(filling(SPAN_MS_MIN, 11 * GIB, 10 * GIB)));
        assert!(!told(filling(SPAN_MS_MIN - 1, 11 * GIB, 10 * GIB)));
        assert!(!told(filling(3_600_000, 9 * GIB, 10 * GIB)), "more is free");
        assert!(told(filling(0, 0, FREE_BYTES_MIN - 1)));
        assert!(!told(filling(0, 0, FREE_BYTES_MIN)));
    }

    #[test]
    fn memory_is_bounded_and_old_looks_are_forgotten() {
        let mut filling = Filling::default();
        for i in 0..10 * LOOKS_MAX as u64 {
            filling.add(look(i * 30_000, GIB, 0));
        }
        assert_eq!(filling.looks.len(), LOOKS_MAX);
        assert_eq!(filling.rate(), None, "nothing goes");
    }
}
