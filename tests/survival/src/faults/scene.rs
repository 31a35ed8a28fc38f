//! Faults of processes, links and clocks.

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::{Marks, REBUILD_LIMIT};
use crate::bed::Bed;
use crate::files;
use crate::history::History;
use crate::netns;

/// A fault under way.
pub(super) struct Scene<'a> {
    pub(super) bed: &'a mut Bed,
    pub(super) history: &'a History,
    pub(super) hold: Duration,
    pub(super) marks: &'a mut Marks,
    pub(super) notes: Vec<String>,
}

impl Scene<'_> {
    pub(super) fn begin(&mut self) {
        self.marks.injected_us = self.history.now_us();
    }

    pub(super) fn end(&mut self) {
        self.marks.healed_us = self.history.now_us();
    }

    /// Holds a fault. Where it leaves no quorum, `up` names the nodes that still answer, and they are asked how far they
    /// are meanwhile: times of blocks prove nothing, since a proposal of the meantime may be decided, rightly, later.
    async fn hold(&mut self, up: &[u16]) {
        sleep(self.hold / 2).await;
        let settled = self.highest(up).await;
        sleep(self.hold / 2).await;
        let last = self.highest(up).await;
        self.marks.heights = settled.zip(last);
    }

    /// The greatest height of nodes; none unless all tell theirs, as one that told it only later would look like growth.
    async fn highest(&self, nodes: &[u16]) -> Option<u64> {
        let mut highest = None;
        for node in nodes {
            let mut height = None;
            for _ in 0..3 {
                height = height.or(self.bed.height(*node).await);
            }
            highest = highest.max(Some(height?));
        }
        highest
    }

    pub(super) async fn split(&mut self) -> Result<()> {
        let all: Vec<_> = (0..self.bed.validators()).collect();
        let (half, _) = all.split_at(all.len() / 2);
        self.begin();
        self.bed.cut(half, false)?;
        self.hold(&all).await;
        self.end();
        self.bed.heal();
        Ok(())
    }

    pub(super) async fn wait_and_heal(&mut self) {
        sleep(self.hold).await;
        self.end();
        self.bed.heal();
    }

    pub(super) fn victim(&self) -> u16 {
        self.bed.validators() - 1
    }

    /// How many validators may fail.
    pub(super) fn spare(&self) -> u16 {
        (self.bed.validators() - 1) / 3
    }

    /// The validators but for some, if they are no quorum; else none.
    fn minority_without(&self, out: &[u16]) -> Vec<u16> {
        let spare = usize::from(self.spare());
        (0..self.bed.validators())
            .filter(|node| out.len() > spare && !out.contains(node))
            .collect()
    }

    pub(super) async fn kill_turn(&mut self, ahead: u64) -> Result<()> {
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

    pub(super) async fn kill_some(&mut self, count: u16) -> Result<()> {
        let victims: Vec<_> = (self.bed.validators() - count..self.bed.validators()).collect();
        self.begin();
        for node in &victims {
            self.bed.signal(*node, Signal::KILL)?;
        }
        for node in &victims {
            self.bed.kill(*node).await?;
        }
        self.hold(&self.minority_without(&victims)).await;
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

    pub(super) async fn pause_turn(&mut self, ahead: u64) -> Result<()> {
        let node = self.bed.proposer(ahead).await?;
        self.pause(&[node]).await
    }

    pub(super) async fn pause(&mut self, nodes: &[u16]) -> Result<()> {
        self.begin();
        for node in nodes {
            self.bed.signal(*node, Signal::STOP)?;
        }
        self.hold(&self.minority_without(nodes)).await;
        self.end();
        for node in nodes {
            self.bed.signal(*node, Signal::CONT)?;
        }
        Ok(())
    }

    pub(super) async fn cut(&mut self, ahead: u64, directed: bool) -> Result<()> {
        let node = self.bed.proposer(ahead).await?;
        self.begin();
        self.bed.cut(&[node], directed)?;
        self.wait_and_heal().await;
        Ok(())
    }

    pub(super) async fn cut_in(&mut self) -> Result<()> {
        let node = self.bed.proposer(1).await?;
        let others: Vec<_> = (0..self.bed.slots()).filter(|one| *one != node).collect();
        self.begin();
        // From the others to it: everything that they send to what is not one of them.
        self.bed.cut(&others, true)?;
        self.wait_and_heal().await;
        Ok(())
    }

    pub(super) async fn flap(&mut self) -> Result<()> {
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

    pub(super) async fn token_bucket(&mut self) -> Result<()> {
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

    pub(super) async fn clocks(&mut self, seconds: &[f64]) -> Result<()> {
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
    pub(super) async fn restart_fully(&mut self, node: u16) -> Result<()> {
        self.bed.restart(node).await?;
        let top = self.bed.top().await;
        self.bed.reaches(node, top, REBUILD_LIMIT).await
    }

    /// What a node says that it waits for, at present.
    pub(super) async fn explains(&self, node: u16) -> Option<String> {
        let url = format!("{}/readyz?verbose", self.bed.metrics_url(node));
        let answer = self.bed.client().get(url).send().await.ok()?;
        let text = answer.text().await.ok()?;
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Some(format!("node {node} said: {}", shorten(&text)))
    }
}

/// A line that fits a table.
pub(super) fn shorten(text: &str) -> String {
    const LONGEST: usize = 300;
    let mut short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short.replace('|', "/")
}
