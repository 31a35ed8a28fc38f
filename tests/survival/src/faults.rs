//! The faults: how each is made, how it ends, and what is expected of the chain meanwhile.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::bed::{Bed, Mode};
use crate::files::{self, SlowDisk};
use crate::history::History;
use crate::link::Rule;
use crate::netns;

/// How long a node that lost its data may take to be back.
const REBUILD_LIMIT: Duration = Duration::from_secs(60);
/// How long a node may run on with a full disk, or with damaged files, before it is looked at.
const NOTICE_LIMIT: Duration = Duration::from_secs(20);

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// `kill -9` of a validator whose turn it is not.
    KillOne,
    /// `kill -9` of the validator whose turn it is.
    KillLeader,
    /// `kill -9` of f validators, 7-node networks' maximum.
    KillF,
    /// `kill -9` of one validator more than the chain can spare.
    KillQuorum,
    /// `kill -9` of all at once.
    KillAll,
    /// SIGSTOP, then SIGCONT, of a validator whose turn it is not.
    StopOne,
    /// The same of the validator whose turn it is.
    StopLeader,
    /// The same of all but one, then all at once again.
    StopMost,
    /// One validator is cut off from all others.
    CutOne,
    /// The validator whose turn it is is cut off.
    CutLeader,
    /// One validator hears the others and is not heard.
    CutOut,
    /// One validator is heard and does not hear the others.
    CutIn,
    /// Two halves.
    Split,
    /// One validator is cut off and back every half second.
    Flap,
    /// 100 ± 50 ms on every link.
    Delay,
    /// 5 % of all packets are lost.
    Loss,
    /// 20 % of all packets come out of order, 10 % twice.
    Disorder,
    /// 4 Mbit/s on every link.
    Bandwidth,
    /// 4 Mbit/s for what one validator sends, by the kernel's token bucket filter (`tc`).
    TokenBucket,
    /// One validator's clock is 30 s ahead.
    ClockAhead,
    /// One validator's clock is 30 s behind.
    ClockBehind,
    /// The clocks of two validators are apart by 1.6 s, within what the chain tolerates.
    ClockSpread,
    /// One validator's disk is full.
    DiskFull,
    /// One validator's disk does 20 writes a second.
    DiskSlow,
    /// One validator's data is deleted while it is down.
    LostData,
    /// The same while it runs.
    DeletedRunning,
    /// A bit of the newest file of blocks is turned around while the validator is down.
    FlippedBlocks,
    /// The same while it runs.
    FlippedRunning,
    /// A bit of the vote log is turned around while the validator is down.
    FlippedVotes,
    /// A bit of the newest file of the key-value store is turned around while the validator is down.
    FlippedIndex,
    /// The last 7 bytes of blocks and vote log are missing after a crash.
    TornTails,
}

/// When a fault began and when its end began, in microseconds of the run.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Marks {
    /// Just before the fault was made.
    pub injected_us: u64,
    /// When it was being taken away.
    pub healed_us: u64,
}

impl Fault {
    /// What is done, in words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::KillOne => "kill -9 of a validator, not the one whose turn it is",
            Self::KillLeader => "kill -9 of the validator whose turn it is",
            Self::KillF => "kill -9 of as many validators as may fail",
            Self::KillQuorum => "kill -9 of one validator more than may fail",
            Self::KillAll => "kill -9 of all at once",
            Self::StopOne => "SIGSTOP for a while of a validator, not the one whose turn it is",
            Self::StopLeader => "SIGSTOP for a while of the validator whose turn it is",
            Self::StopMost => "SIGSTOP for a while of all validators but one",
            Self::CutOne => "one validator cut off",
            Self::CutLeader => "the validator whose turn it is cut off",
            Self::CutOut => "nobody hears one validator, which hears the others",
            Self::CutIn => "one validator hears nobody, and is heard",
            Self::Split => "the network in two halves",
            Self::Flap => "one validator cut off and back every half second",
            Self::Delay => "100 ms delay with 50 ms jitter on every link",
            Self::Loss => "5 % of packets lost on every link",
            Self::Disorder => "20 % of packets out of order and 10 % twice on every link",
            Self::Bandwidth => "4 Mbit/s on every link",
            Self::TokenBucket => "4 Mbit/s for what one validator sends, by tc tbf",
            Self::ClockAhead => "one clock 30 s ahead (libfaketime)",
            Self::ClockBehind => "one clock 30 s behind (libfaketime)",
            Self::ClockSpread => "two clocks 1.6 s apart (libfaketime)",
            Self::DiskFull => "the disk of one validator full",
            Self::DiskSlow => "20 writes a second for one validator (control group)",
            Self::LostData => "data folder deleted while the validator is down",
            Self::DeletedRunning => "data folder deleted while the validator runs",
            Self::FlippedBlocks => "one bit of the blocks turned while the validator is down",
            Self::FlippedRunning => "one bit of the blocks turned while the validator runs",
            Self::FlippedVotes => "one bit of the vote log turned while the validator is down",
            Self::FlippedIndex => {
                "one bit of the key-value store turned while the validator is down"
            }
            Self::TornTails => "the last 7 bytes of blocks and vote log missing after kill -9",
        }
    }

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether the chain is to go on during the fault.
    #[must_use]
    pub fn survivable(self) -> bool {
        !matches!(
            self,
            Self::KillQuorum | Self::KillAll | Self::StopMost | Self::Split
        )
    }

    /// Why the fault cannot be made here; nothing if it can.
    #[must_use]
    pub fn missing(self, bed: &Bed) -> Option<String> {
        let packets = bed.mode() == Mode::Namespaces;
        match self {
            Self::Loss | Self::Disorder if !packets => {
                Some("needs network namespaces: packets cannot be lost from a stream".to_owned())
            }
            Self::TokenBucket if !packets => Some("needs network namespaces".to_owned()),
            Self::DiskFull if !rustix::process::geteuid().is_root() => {
                Some("needs the right to mount (CAP_SYS_ADMIN)".to_owned())
            }
            Self::ClockAhead | Self::ClockBehind | Self::ClockSpread
                if files::shifter().is_none() =>
            {
                Some(
                    "needs libfaketime (Debian: faketime); a time namespace shifts no wall clock"
                        .to_owned(),
                )
            }
            Self::DiskSlow => SlowDisk::new(bed.root())
                .err()
                .map(|error| format!("{error:#}")),
            _ => None,
        }
    }

    /// Makes the fault, holds it, and takes it away again; returns what is worth telling.
    ///
    /// # Errors
    /// When the fault could not be made, or a node did not come back.
    pub async fn perform(
        self,
        bed: &mut Bed,
        history: &History,
        hold: Duration,
        marks: &mut Marks,
    ) -> Result<Vec<String>> {
        let mut scene = Scene {
            bed,
            history,
            hold,
            marks,
            notes: Vec::new(),
        };
        scene.marks.injected_us = history.now_us();
        match self {
            Self::KillOne => scene.kill_turn(2).await?,
            Self::KillLeader => scene.kill_turn(1).await?,
            Self::KillF => {
                let spare = (scene.bed.validators() - 1) / 3;
                scene.kill_some(spare).await?;
            }
            Self::KillQuorum => {
                let spare = (scene.bed.validators() - 1) / 3;
                scene.kill_some(spare + 1).await?;
            }
            Self::KillAll => {
                scene.hold = Duration::from_millis(100);
                let all = scene.bed.validators();
                scene.kill_some(all).await?;
            }
            Self::StopOne => scene.pause_turn(2).await?,
            Self::StopLeader => scene.pause_turn(1).await?,
            Self::StopMost => {
                let most: Vec<_> = (1..scene.bed.validators()).collect();
                scene.pause(&most).await?;
            }
            Self::CutOne => scene.cut(2, false).await?,
            Self::CutLeader => scene.cut(1, false).await?,
            Self::CutOut => scene.cut(1, true).await?,
            Self::CutIn => scene.cut_in().await?,
            Self::Split => {
                let half: Vec<_> = (0..scene.bed.validators() / 2).collect();
                scene.bed.cut(&half, false)?;
                scene.wait_and_heal().await;
            }
            Self::Flap => scene.flap().await?,
            Self::Delay | Self::Loss | Self::Disorder | Self::Bandwidth => {
                scene.bed.rule_all(self.rule())?;
                scene.wait_and_heal().await;
            }
            Self::TokenBucket => scene.token_bucket().await?,
            Self::ClockAhead => scene.clocks(&[30.0]).await?,
            Self::ClockBehind => scene.clocks(&[-30.0]).await?,
            Self::ClockSpread => scene.clocks(&[0.8, -0.8]).await?,
            Self::DiskFull => scene.disk_full().await?,
            Self::DiskSlow => scene.disk_slow().await?,
            Self::LostData => scene.lost_data().await?,
            Self::DeletedRunning => scene.deleted_running().await?,
            Self::FlippedBlocks => scene.damaged(&["blocks-"], false).await?,
            Self::FlippedRunning => scene.damaged(&["blocks-"], true).await?,
            Self::FlippedVotes => scene.damaged(&["votes.log"], false).await?,
            Self::FlippedIndex => scene.damaged_index().await?,
            Self::TornTails => scene.torn().await?,
        }
        Ok(scene.notes)
    }

    fn rule(self) -> Rule {
        match self {
            Self::Delay => Rule {
                delay_ms: 100,
                jitter_ms: 50,
                ..Rule::OPEN
            },
            Self::Loss => Rule {
                loss_per_mille: 50,
                ..Rule::OPEN
            },
            Self::Disorder => Rule {
                reorder_per_mille: 200,
                duplicate_per_mille: 100,
                ..Rule::OPEN
            },
            _ => Rule {
                kbit_per_s: 4_000,
                ..Rule::OPEN
            },
        }
    }
}

struct Scene<'a> {
    bed: &'a mut Bed,
    history: &'a History,
    hold: Duration,
    marks: &'a mut Marks,
    notes: Vec<String>,
}

impl Scene<'_> {
    fn begin(&mut self) {
        self.marks.injected_us = self.history.now_us();
    }

    fn end(&mut self) {
        self.marks.healed_us = self.history.now_us();
    }

    async fn wait_and_heal(&mut self) {
        sleep(self.hold).await;
        self.end();
        self.bed.heal();
    }

    fn victim(&self) -> u16 {
        self.bed.validators() - 1
    }

    async fn kill_turn(&mut self, ahead: u64) -> Result<()> {
        let node = self.bed.proposer(ahead).await?;
        self.begin();
        self.bed.kill(node).await?;
        sleep(self.hold).await;
        self.end();
        let took = self.bed.restart(node).await?;
        self.notes
            .push(format!("answered {} ms after its start", took.as_millis()));
        Ok(())
    }

    async fn kill_some(&mut self, count: u16) -> Result<()> {
        let victims: Vec<_> = (self.bed.validators() - count..self.bed.validators()).collect();
        self.begin();
        for node in &victims {
            self.bed.signal(*node, Signal::KILL)?;
        }
        for node in &victims {
            self.bed.kill(*node).await?;
        }
        sleep(self.hold).await;
        self.end();
        for node in &victims {
            self.bed.launch(*node)?;
        }
        for node in &victims {
            self.bed.wait_for(*node).await?;
        }
        let took = self.history.now_us() - self.marks.healed_us;
        self.notes.push(format!(
            "{} processes answered {} ms after their start",
            victims.len(),
            took / 1_000
        ));
        Ok(())
    }

    async fn pause_turn(&mut self, ahead: u64) -> Result<()> {
        let node = self.bed.proposer(ahead).await?;
        self.pause(&[node]).await
    }

    async fn pause(&mut self, nodes: &[u16]) -> Result<()> {
        self.begin();
        for node in nodes {
            self.bed.signal(*node, Signal::STOP)?;
        }
        sleep(self.hold).await;
        self.end();
        for node in nodes {
            self.bed.signal(*node, Signal::CONT)?;
        }
        Ok(())
    }

    async fn cut(&mut self, ahead: u64, directed: bool) -> Result<()> {
        let node = self.bed.proposer(ahead).await?;
        self.begin();
        self.bed.cut(&[node], directed)?;
        self.wait_and_heal().await;
        Ok(())
    }

    async fn cut_in(&mut self) -> Result<()> {
        let node = self.bed.proposer(1).await?;
        let others: Vec<_> = (0..self.bed.slots()).filter(|one| *one != node).collect();
        self.begin();
        // From the others to it: everything that they send to what is not one of them.
        self.bed.cut(&others, true)?;
        self.wait_and_heal().await;
        Ok(())
    }

    async fn flap(&mut self) -> Result<()> {
        let (node, end) = (self.victim(), Instant::now() + self.hold);
        self.begin();
        while Instant::now() < end {
            self.bed.cut(&[node], false)?;
            sleep(Duration::from_millis(500)).await;
            self.bed.heal();
            sleep(Duration::from_millis(500)).await;
        }
        self.end();
        Ok(())
    }

    async fn token_bucket(&mut self) -> Result<()> {
        let space = self
            .bed
            .space(self.victim())
            .context("needs network namespaces")?;
        let set = "qdisc add dev peers root tbf rate 4mbit burst 32k latency 400ms";
        let base = ["-n", space.as_str()];
        let command = |text: &'static str| -> Vec<&str> {
            base.iter().copied().chain(text.split(' ')).collect()
        };
        netns::run("tc", &command(set))?;
        self.begin();
        sleep(self.hold).await;
        self.end();
        netns::run("tc", &command("qdisc del dev peers root"))?;
        Ok(())
    }

    async fn clocks(&mut self, seconds: &[f64]) -> Result<()> {
        let nodes: Vec<_> = (0..self.bed.validators())
            .rev()
            .zip(seconds.iter().copied())
            .collect();
        // One after the other: two at a time would cost the quorum.
        for (node, offset) in &nodes {
            self.bed.stop(*node).await?;
            files::shift_clock(self.bed, *node, *offset)?;
            self.restart_fully(*node).await?;
        }
        self.begin();
        sleep(self.hold).await;
        let (first, _) = nodes.first().copied().context("no clock")?;
        let waiting = self.explains(first).await;
        self.notes.extend(waiting);
        self.end();
        for (node, _) in &nodes {
            self.bed.stop(*node).await?;
            self.bed.set_environment(*node, &[]);
            self.restart_fully(*node).await?;
        }
        Ok(())
    }

    /// Starts a node and waits until it is where the others are.
    async fn restart_fully(&mut self, node: u16) -> Result<()> {
        self.bed.restart(node).await?;
        let top = self.bed.top().await;
        self.bed.reaches(node, top, REBUILD_LIMIT).await
    }

    /// What a node says that it waits for, at present.
    async fn explains(&self, node: u16) -> Option<String> {
        let url = format!("{}/readyz?verbose", self.bed.metrics_url(node));
        let answer = self.bed.client().get(url).send().await.ok()?;
        let text = answer.text().await.ok()?;
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Some(format!("node {node} said: {}", shorten(&text)))
    }

    async fn disk_full(&mut self) -> Result<()> {
        let node = self.victim();
        self.bed.stop(node).await?;
        files::small_disk(self.bed, node)?;
        let done = self.fill_and_relieve(node).await;
        if self.bed.runs(node) {
            self.bed.stop(node).await?;
        }
        files::large_disk(self.bed, node)?;
        self.bed.restart(node).await?;
        done
    }

    async fn fill_and_relieve(&mut self, node: u16) -> Result<()> {
        self.bed.restart(node).await?;
        let top = self.bed.top().await;
        self.bed.reaches(node, top, REBUILD_LIMIT).await?;
        self.begin();
        files::fill(self.bed, node)?;
        let begin = Instant::now();
        match self.bed.ended(node, NOTICE_LIMIT).await {
            Ok(code) => self.notes.push(format!(
                "the node stopped by itself after {:.1} s with code {code:?}: {}",
                begin.elapsed().as_secs_f64(),
                self.last_words(node)
            )),
            Err(_) => {
                self.notes.push(format!(
                    "the node still ran {} s after its disk was full: {}",
                    NOTICE_LIMIT.as_secs(),
                    self.last_words(node)
                ));
                let said = self.explains(node).await;
                self.notes.extend(said);
            }
        }
        sleep(self.hold).await;
        self.end();
        files::relieve(self.bed, node)?;
        if self.bed.runs(node) {
            self.bed.kill(node).await?;
        }
        self.bed.restart(node).await?;
        Ok(())
    }

    async fn disk_slow(&mut self) -> Result<()> {
        let node = self.victim();
        let slow = SlowDisk::new(self.bed.root())?;
        let pid = self.bed.pid(node).context("the node does not run")?;
        self.begin();
        slow.add(pid.as_raw_nonzero().get())?;
        sleep(self.hold).await;
        self.end();
        drop(slow);
        Ok(())
    }

    /// The line with which a node ended, or the last that is an error or a warning.
    fn last_words(&self, node: u16) -> String {
        let text = self.bed.printed(node, 40);
        let serious = |line: &&str| {
            let line = line.to_lowercase();
            line.contains("error") || line.contains("warn")
        };
        let line = text.lines().rfind(serious).or_else(|| text.lines().last());
        shorten(line.unwrap_or_default())
    }

    async fn lost_data(&mut self) -> Result<()> {
        let node = self.victim();
        self.begin();
        self.bed.kill(node).await?;
        sleep(self.hold).await;
        self.end();
        self.rebuild(node).await
    }

    async fn deleted_running(&mut self) -> Result<()> {
        let node = self.victim();
        self.begin();
        std::fs::remove_dir_all(files::data(self.bed, node))?;
        match self.bed.ended(node, self.hold).await {
            Ok(code) => self.notes.push(format!(
                "the node stopped by itself with code {code:?}: {}",
                self.last_words(node)
            )),
            Err(_) => {
                self.notes
                    .push("the node ran on with the files that it had open".to_owned());
                self.bed.kill(node).await?;
            }
        }
        self.end();
        self.rebuild(node).await
    }

    /// As the guide says: an empty folder, without the vote key until the node has caught up and the chain has gone on.
    async fn rebuild(&mut self, node: u16) -> Result<()> {
        let begin = Instant::now();
        if self.bed.runs(node) {
            self.bed.kill(node).await?;
        }
        let place = files::data(self.bed, node);
        if place.exists() {
            std::fs::remove_dir_all(&place)?;
        }
        files::votes(self.bed, node, false)?;
        self.bed.restart(node).await?;
        let top = self.bed.top().await;
        self.bed.reaches(node, top + 1, REBUILD_LIMIT).await?;
        self.bed.stop(node).await?;
        files::votes(self.bed, node, true)?;
        self.bed.restart(node).await?;
        self.notes.push(format!(
            "rebuilt from its peers in {:.1} s, {top} blocks",
            begin.elapsed().as_secs_f64()
        ));
        Ok(())
    }

    async fn damaged(&mut self, prefixes: &[&str], running: bool) -> Result<()> {
        let node = self.victim();
        self.begin();
        if !running {
            self.bed.kill(node).await?;
        }
        for prefix in prefixes {
            files::flip(&files::newest(self.bed, node, prefix)?)?;
        }
        sleep(self.hold).await;
        if running {
            self.bed.kill(node).await?;
        }
        self.end();
        self.start_damaged(node).await
    }

    /// Starts a node on files that were tampered with: it may mend them, or refuse in words. Then it is rebuilt.
    async fn start_damaged(&mut self, node: u16) -> Result<()> {
        self.bed.launch(node)?;
        let top = self.bed.top().await;
        let end = Instant::now() + NOTICE_LIMIT;
        loop {
            if !self.bed.runs(node) {
                let code = self.bed.ended(node, NOTICE_LIMIT).await?;
                self.notes.push(format!(
                    "refused to start with code {code:?}: {}",
                    self.last_words(node)
                ));
                return self.rebuild(node).await;
            }
            if self.bed.height(node).await.is_some_and(|now| now >= top) {
                self.notes
                    .push("started and caught up by itself".to_owned());
                return Ok(());
            }
            if Instant::now() > end {
                let said = self.explains(node).await.unwrap_or_default();
                bail!(
                    "with damaged files node {node} neither stops nor catches up: {said}; {}",
                    self.last_words(node)
                );
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn damaged_index(&mut self) -> Result<()> {
        let node = self.victim();
        self.begin();
        self.bed.kill(node).await?;
        let largest = files::files(&files::data(self.bed, node))
            .into_iter()
            .filter(|path| path.components().any(|part| part.as_os_str() == "kv"))
            .max_by_key(|path| path.metadata().map_or(0, |meta| meta.len()))
            .context("the node has no key-value store")?;
        files::flip(&largest)?;
        sleep(self.hold).await;
        self.end();
        self.start_damaged(node).await
    }

    async fn torn(&mut self) -> Result<()> {
        let node = self.victim();
        self.begin();
        self.bed.kill(node).await?;
        for prefix in ["blocks-", "votes.log"] {
            files::tear(&files::newest(self.bed, node, prefix)?, 7)?;
        }
        sleep(self.hold).await;
        self.end();
        self.start_damaged(node).await
    }
}

/// A line that fits a table.
fn shorten(text: &str) -> String {
    const LONGEST: usize = 300;
    let mut short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short.replace('|', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_name_and_a_text() {
        for fault in Fault::value_variants() {
            assert!(!fault.name().is_empty() && fault.text().len() > 10);
        }
    }

    #[test]
    fn long_lines_are_cut_and_cannot_break_a_table() {
        assert_eq!(shorten("a|b"), "a/b");
        assert_eq!(shorten(&"x".repeat(999)).chars().count(), 301);
    }
}
