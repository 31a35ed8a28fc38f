use std::sync::Arc;

use hawser_primitives::Height;
use hawser_storage::{Disk, LogError, Segments};

use super::{CheckReport, ITEM_BYTES_MAX, Part, SEGMENTS, StoreError};
use crate::store::{CONVICTIONS_LOG, VOTE_LOG};

/// What the names of files begin with that a repair put aside.
const ASIDE: &str = "set-aside-";

/// One thing that a repair does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Removes index files, which are made again when the node starts.
    RemoveIndexFiles(Vec<String>),
    /// Removes all blocks after one; the node fetches them from its peers again.
    CutBlocks {
        /// The last block that stays; `Height(0)` for none.
        after: Height,
    },
    /// Puts state, receipts and the key-value store aside; the node makes them again by executing
    /// its blocks.
    MakeAgain,
    /// Puts the headers of dropped blocks aside: light nodes cannot begin here any more.
    DropHeaders,
    /// Puts the evidence against validators aside: peers send theirs again.
    DropEvidence,
    /// Puts the vote log aside: the node forgets what it voted for.
    ForgetVotes,
}

/// What can be done about what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing needs to be done.
    Nothing,
    /// These steps, in this order. `votes` says that the vote log is damaged and left alone.
    Steps {
        /// The steps.
        steps: Vec<Step>,
        /// Whether votes would have to be forgotten, which has to be asked for.
        votes: bool,
    },
    /// Blocks that the state would have to be made from are no longer here: the folder has to be
    /// restored, or the node joins anew.
    Impossible {
        /// The first block kept.
        first: Height,
    },
}

impl CheckReport {
    /// What a repair would do. Votes are forgotten only where `forget_votes` says so.
    #[must_use]
    pub fn plan(&self, forget_votes: bool) -> Plan {
        if self.is_sound() {
            return Plan::Nothing;
        }
        let mut steps = Vec::new();
        let indexes = self.findings.iter();
        let indexes = indexes.filter(|finding| finding.part == Part::IndexFile);
        let indexes: Vec<_> = indexes.map(|finding| finding.file.clone()).collect();
        if !indexes.is_empty() {
            steps.push(Step::RemoveIndexFiles(indexes));
        }
        if self.has(Part::Headers) {
            steps.push(Step::DropHeaders);
        }
        let (blocks, state) = (self.has(Part::Blocks), self.state.unwrap_or_default());
        let good = self.last.unwrap_or(Height::GENESIS);
        let derived = [Part::Receipts, Part::State, Part::Index];
        let derived = derived.into_iter().any(|part| self.has(part));
        let make_again = derived || (blocks && state > good);
        if make_again && self.first > Height(1) {
            return Plan::Impossible { first: self.first };
        }
        if blocks {
            steps.push(Step::CutBlocks { after: good });
        }
        if make_again {
            steps.push(Step::MakeAgain);
        }
        if self.has(Part::Evidence) {
            steps.push(Step::DropEvidence);
        }
        let votes = self.has(Part::Votes);
        if votes && forget_votes {
            steps.push(Step::ForgetVotes);
        }
        Plan::Steps {
            steps,
            votes: votes && !forget_votes,
        }
    }
}

/// Carries a step out, durably. The key-value store is a folder, which whoever calls puts aside
/// *before* [`Step::MakeAgain`]: state without it is refused, and it without state begins anew.
pub fn repair(disk: &Arc<dyn Disk>, step: &Step) -> Result<(), StoreError> {
    match step {
        Step::RemoveIndexFiles(names) => {
            for name in names {
                disk.remove(name).map_err(LogError::from)?;
            }
            disk.sync().map_err(LogError::from)?;
        }
        Step::CutBlocks { after } => {
            let last = (*after > Height::GENESIS).then_some(after.0);
            Segments::cut(Arc::clone(disk), SEGMENTS[0], ITEM_BYTES_MAX, last)?;
        }
        Step::MakeAgain => {
            aside(disk, |name| name.starts_with("state-"))?;
            aside(disk, |name| name.starts_with("receipts-"))?;
        }
        Step::DropHeaders => aside(disk, |name| name.starts_with("headers-"))?,
        Step::DropEvidence => aside(disk, |name| name == CONVICTIONS_LOG)?,
        Step::ForgetVotes => aside(disk, |name| name == VOTE_LOG)?,
    }
    Ok(())
}

fn aside(disk: &Arc<dyn Disk>, which: impl Fn(&str) -> bool) -> Result<(), StoreError> {
    for (name, _) in disk.list().map_err(LogError::from)? {
        if which(&name) {
            let to = format!("{ASIDE}{name}");
            disk.rename(&name, &to).map_err(LogError::from)?;
        }
    }
    Ok(disk.sync().map_err(LogError::from)?)
}
