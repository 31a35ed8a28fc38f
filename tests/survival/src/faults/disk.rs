//! Faults of disks and files.

use anyhow::{Context, Result, bail};
use std::time::Duration;
use tokio::time::{Instant, sleep};

use super::REBUILD_LIMIT;
use super::scene::{Scene, shorten};
use crate::files::{self, SlowDisk};
use crate::run::load_per_processor;

/// How long a node may run on with a full disk, or with damaged files, before it is looked at.
const NOTICE_LIMIT: Duration = Duration::from_secs(20);

impl Scene<'_> {
    pub(super) async fn disk_full(&mut self) -> Result<()> {
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

    pub(super) async fn fill_and_relieve(&mut self, node: u16) -> Result<()> {
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

    pub(super) async fn disk_slow(&mut self) -> Result<()> {
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
    pub(super) fn last_words(&self, node: u16) -> String {
        let text = self.bed.printed(node, 40);
        let serious = |line: &&str| {
            let line = line.to_lowercase();
            line.contains("error") || line.contains("warn")
        };
        let line = text.lines().rfind(serious).or_else(|| text.lines().last());
        shorten(line.unwrap_or_default())
    }

    pub(super) async fn lost_data(&mut self) -> Result<()> {
        let node = self.victim();
        self.begin();
        self.bed.kill(node).await?;
        sleep(self.hold).await;
        self.end();
        self.rebuild(node).await
    }

    pub(super) async fn deleted_running(&mut self) -> Result<()> {
        let node = self.victim();
        self.begin();
        files::remove(&files::data(self.bed, node))?;
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
    pub(super) async fn rebuild(&mut self, node: u16) -> Result<()> {
        let begin = Instant::now();
        if self.bed.runs(node) {
            self.bed.kill(node).await?;
        }
        let place = files::data(self.bed, node);
        files::remove(&place)?;
        self.history.add_emptied(node);
        files::votes(self.bed, node, false)?;
        self.bed.restart(node).await?;
        let top = self.bed.top().await;
        let limit = REBUILD_LIMIT.mul_f64(load_per_processor().max(1.0));
        self.bed.reaches(node, top + 1, limit).await?;
        self.bed.stop(node).await?;
        files::votes(self.bed, node, true)?;
        self.bed.restart(node).await?;
        self.notes.push(format!(
            "rebuilt from its peers in {:.1} s, {top} blocks",
            begin.elapsed().as_secs_f64()
        ));
        Ok(())
    }

    pub(super) async fn damaged(&mut self, prefixes: &[&str], running: bool) -> Result<()> {
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
    pub(super) async fn start_damaged(&mut self, node: u16) -> Result<()> {
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

    pub(super) async fn damaged_index(&mut self) -> Result<()> {
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

    pub(super) async fn torn(&mut self) -> Result<()> {
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
