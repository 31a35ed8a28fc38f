//! Makes snapshots of a running chain: by schedule, and when an operator asks.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hawser_ledger::state::StateError;
use hawser_node::Words;
use hawser_node::chain::{ChainHandle, work_in_background};
use hawser_node::config::SnapshotSection;
use hawser_node::snapshot::{CreateOptions, Manifest, Pace, Shelf, SnapshotError, create};
use hawser_node::store::StoreError;
use hawser_primitives::Height;
use hawser_storage::Sealer;

use crate::exit::{Code, OrFail, Result};
use crate::shelves::{self, Outcome, Request, Step};
use crate::{datafolder, shelves::SHELF};

/// How often it is looked whether one is due.
const LOOK: Duration = Duration::from_millis(200);

/// Makes snapshots until it is dropped.
pub(super) struct Keeper {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // It has said what it failed at.
            let _ = thread.join();
        }
    }
}

struct Work {
    handle: ChainHandle,
    shelf: Shelf,
    section: SnapshotSection,
    dir: PathBuf,
    sealer: Option<Arc<Sealer>>,
    stop: Arc<AtomicBool>,
    last: Height,
}

/// Starts to make snapshots of a chain whose data is in a folder; gives its shelf.
pub(super) fn start(
    handle: &ChainHandle,
    section: &SnapshotSection,
    dir: &Path,
    sealer: Option<Arc<Sealer>>,
) -> Result<(Shelf, Keeper)> {
    let genesis = handle.store().genesis();
    let disk = shelves::disk(&dir.join(SHELF), sealer.clone())?;
    let shelf = Shelf::open(disk, genesis.suite).or_fail(Code::Failed)?;
    let heights = shelf.heights().or_fail(Code::Failed)?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut work = Work {
        handle: handle.clone(),
        shelf: shelf.clone(),
        section: section.clone(),
        dir: dir.to_owned(),
        sealer,
        stop: Arc::clone(&stop),
        last: heights.last().copied().unwrap_or(Height::GENESIS),
    };
    let name = format!("snapshot-{}", genesis.chain_id);
    let thread = thread::Builder::new().name(name).spawn(move || {
        work_in_background();
        while !work.stop.load(Ordering::Acquire) {
            work.look();
            thread::sleep(LOOK);
        }
    });
    let thread = Some(thread.context(Code::Failed, "cannot start a thread")?);
    Ok((shelf, Keeper { stop, thread }))
}

impl Work {
    fn look(&mut self) {
        if let Some(request) = shelves::take_request(&self.dir) {
            self.serve(&request);
        }
        let every = self.section.every_blocks;
        let newest = self.handle.store().certified_state_height().0;
        let Some(due) = newest
            .checked_rem(every)
            .map(|rest| newest.saturating_sub(rest))
        else {
            return;
        };
        if due == 0 || Height(due) <= self.last {
            return;
        }
        self.last = Height(due);
        let made = self.make(&self.shelf, Some(Height(due)), false, &mut |_, _| {});
        let kept = made.and_then(|manifest| {
            self.keep_newest(&self.shelf)?;
            Ok(manifest)
        });
        match kept {
            Ok(_) => self.remark(Vec::new()),
            Err(SnapshotError::Stopped) => {}
            Err(SnapshotError::Store(StoreError::State(StateError::NotKept { .. }))) => {
                tracing::info!(
                    height = due,
                    "no snapshot of this block: it passed while the node \
                    was down or busy; the next one comes in its turn"
                );
            }
            Err(error) => {
                tracing::error!(
                    height = due, %error,
                    "the snapshot that was due at this block could not be made. Nothing is left of it, \
                     earlier ones stay, and the next one is tried in its turn; \
                     `hawser snapshot create` tries at once"
                );
                self.remark(vec![failed(Height(due), every, &error)]);
            }
        }
    }

    /// Says with the chain's status how it is with its snapshots.
    fn remark(&self, words: Vec<Words>) {
        self.handle.set_remarks("snapshot", words);
    }

    fn pace(&self) -> Pace {
        let gate = Arc::clone(self.handle.store().gate());
        Pace::behind(gate, self.section.bytes_per_s())
    }

    /// Removes what is more than is kept.
    fn keep_newest(&self, shelf: &Shelf) -> std::result::Result<(), SnapshotError> {
        let (pace, stop) = (self.pace(), || self.stop.load(Ordering::Acquire));
        shelf.keep_newest(self.section.keep, &mut |bytes| pace.turn(bytes, &stop))
    }

    /// Makes one and says so in the log.
    fn make(
        &self,
        shelf: &Shelf,
        height: Option<Height>,
        all_blocks: bool,
        progress: &mut dyn FnMut(u64, u64),
    ) -> std::result::Result<Manifest, SnapshotError> {
        let began = Instant::now();
        let stop = || self.stop.load(Ordering::Acquire);
        let manifest = create(
            self.handle.store(),
            shelf,
            &mut CreateOptions {
                height,
                all_blocks,
                pace: self.pace(),
                progress,
                stop: &stop,
            },
        )?;
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(height = %manifest.height(), chunks = manifest.chunk_count(),
            bytes = manifest.state_bytes(), ms, "made a snapshot");
        Ok(manifest)
    }

    fn serve(&self, request: &Request) {
        let id = &request.id;
        let mut said = Instant::now();
        let mut progress = |done: u64, all: u64| {
            if said.elapsed() >= Duration::from_millis(200) {
                said = Instant::now();
                let step = Step {
                    id: id.clone(),
                    done,
                    all,
                };
                shelves::say_step(&self.dir, &step);
            }
        };
        let made = self.target(request).and_then(|shelf| {
            let made = self.make(&shelf, None, request.all_blocks, &mut progress);
            let made = made.or_fail(Code::Failed)?;
            if request.to.is_none() {
                self.remark(Vec::new());
                self.keep_newest(&shelf).or_fail(Code::Failed)?;
            }
            Ok(made)
        });
        let (height, error) = match made {
            Ok(manifest) => (Some(manifest.height().0), None),
            Err(failure) => (None, Some(failure.message)),
        };
        if let Some(error) = &error {
            tracing::error!(%error, "a snapshot that an operator asked for");
        }
        let outcome = Outcome {
            id: id.clone(),
            height,
            error,
        };
        shelves::say_outcome(&self.dir, &outcome);
    }

    /// Where a request is to go to. Elsewhere, the wrapped data key goes along, without which it could not
    /// be read.
    fn target(&self, request: &Request) -> Result<Shelf> {
        let Some(to) = &request.to else {
            return Ok(self.shelf.clone());
        };
        let suite = self.handle.store().genesis().suite;
        let shelf = shelves::shelf(to, self.sealer.clone(), suite)?;
        copy_data_key(&self.dir, to)?;
        Ok(shelf)
    }
}

/// What is said while the last snapshot that was due has failed.
fn failed(due: Height, every: u64, error: &SnapshotError) -> Words {
    let next = due.0.saturating_add(every);
    Words::new(
        format!(
            "snapshot: the last one that was due, of block {due}, could not be made ({error}). Earlier ones \
             stay, and the next is tried at block {next}; to try at once: `hawser snapshot create`"
        ),
        format!(
            "快照：最近一次应在区块 {due} 制作的快照未能完成（{error}）。更早的快照仍然保留，\
             下一次将在区块 {next} 尝试；要立即重试，请执行 `hawser snapshot create`"
        ),
    )
}

/// Copies the wrapped data key of an encrypted folder.
pub(crate) fn copy_data_key(from: &Path, to: &Path) -> Result<()> {
    let key = from.join(datafolder::NAME);
    if key.exists() {
        fs::copy(&key, to.join(datafolder::NAME)).context(Code::Failed, key.display())?;
    }
    Ok(())
}
