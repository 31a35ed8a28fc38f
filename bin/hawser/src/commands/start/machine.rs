//! What a node says of its machine: a disk that fills, a certificate that ends.

use std::collections::VecDeque;
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
/// Free space below which it is worth a word whatever the rate, in bytes.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// The space that is free on a disk, as it was over time.
#[derive(Debug, Default)]
struct Filling {
    /// Milliseconds since the first look, and bytes free.
    looks: VecDeque<(u64, u64)>,
}

impl Filling {
    fn add(&mut self, at_ms: u64, free: u64) {
        self.looks.push_back((at_ms, free));
        if self.looks.len() > LOOKS_MAX {
            self.looks.pop_front();
        }
    }

    /// Bytes that go in an hour, and milliseconds until the disk is full at that rate.
    fn rate(&self) -> Option<(u64, u64)> {
        let ((from, before), (to, now)) = (self.looks.front()?, self.looks.back()?);
        let span = to.saturating_sub(*from);
        let gone = before.checked_sub(*now).filter(|gone| *gone > 0)?;
        if span < SPAN_MS_MIN {
            return None;
        }
        let wide = |value: u64| u128::from(value);
        let per_hour = wide(gone) * 3_600_000 / wide(span);
        let left = wide(*now) * wide(span) / wide(gone);
        Some((
            u64::try_from(per_hour).unwrap_or(u64::MAX),
            u64::try_from(left).unwrap_or(u64::MAX),
        ))
    }

    fn words(&self, folder: &Path) -> Option<Words> {
        let (_, free) = *self.looks.back()?;
        let soon = self.rate().filter(|(_, left)| *left < LEFT_MS);
        let folder = folder.display();
        let space = mib(free);
        match soon {
            Some((rate, left)) => {
                let (rate, hours, minutes) = (mib(rate), left / 3_600_000, left / 60_000 % 60);
                Some(Words::new(
                    format!(
                        "disk: {space} are free for {folder}, and {rate} go in an hour: full in {hours} h \
                         {minutes} min. Free space or enlarge the disk; storage.mode = \"pruned\" keeps the \
                         chain's data small"
                    ),
                    format!(
                        "磁盘：{folder} 剩余 {space}，每小时减少 {rate}：约 {hours} 小时 {minutes} 分后写满。\
                         请清理或扩容；storage.mode = \"pruned\" 可控制链数据大小"
                    ),
                ))
            }
            None if free < FREE_BYTES_MIN => Some(low(free, &folder)),
            None => None,
        }
    }
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
            (free_bytes(&asked.node.data_dir), certificate(&asked))
        });
        let Ok((free, certificate)) = looked.await else {
            return;
        };
        if let Some(free) = free {
            let at = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            filling.add(at, free);
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

    fn filling(span_ms: u64, before: u64, now: u64) -> Filling {
        let mut filling = Filling::default();
        filling.add(0, before);
        filling.add(span_ms, now);
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
            "full in 10 h 0 min",
        ] {
            assert!(words.en.contains(part), "{part}: {}", words.en);
        }
        assert!(words.zh.contains("10 小时 0 分"), "{}", words.zh);
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
            filling.add(i * 30_000, GIB);
        }
        assert_eq!(filling.looks.len(), LOOKS_MAX);
        assert_eq!(filling.rate(), None, "nothing goes");
    }
}
