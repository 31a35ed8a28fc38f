//! A chain's folder checked against itself and against what the validators signed, while no node
//! has it open; and what of it can be mended.
//!
//! For: [`check`], which changes nothing but what opening the key-value store does, and [`repair`],
//! which does what a check proposed.
//! Not for: words for people; who asks has them.

mod repair;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use hawser_crypto::Suite;
use hawser_ledger::{Certificate, Genesis, Header, receipts_root, state::StateStore};
use hawser_primitives::{B256, Height, decode_exact, limits::FRAME_BYTES_MAX};
use hawser_storage::{
    Disk, ItemPlace, Kv, LogError, LogOptions, SegmentFault, Segments, SegmentsCheck, SyncedLog,
    TornTail, TrialDisk,
};

use super::{
    BlockResult, CONVICTIONS_LOG, ITEM_BYTES_MAX, SEGMENTS, StoreError, VOTE_GUARD, VOTE_LOG, index,
};
use crate::{
    chain::read_vote_guard,
    replica::{CertifiedBlock, LogEntry},
    snapshot,
};
pub use repair::{Plan, Step, repair};
use walk::Walk;

/// Most findings that are told one by one; of the rest the number.
const FINDINGS_MAX: usize = 200;

/// Which data something is wrong with, by what has to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Final blocks: only peers can give them again.
    Blocks,
    /// Headers of dropped blocks: gone for good here, and only light nodes need them.
    Headers,
    /// An index file beside blocks, receipts or headers: made again at the next start.
    IndexFile,
    /// Receipts: made again by execution.
    Receipts,
    /// Pages of the state: made again by execution.
    State,
    /// Rows of the key-value store: made again by execution.
    Index,
    /// What this node voted for: nobody can give that again.
    Votes,
    /// Evidence against validators: peers have it as well.
    Evidence,
    /// An object of blocks or receipts in an object store: whoever runs the store has to restore it.
    Object,
}

/// Something that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is damaged.
    pub part: Part,
    /// The file within the chain's folder, or `kv` for the key-value store.
    pub file: String,
    /// Where in the file, in bytes, if that is known.
    pub offset: Option<u64>,
    /// The first block concerned, if it is one.
    pub height: Option<Height>,
    /// What is wrong.
    pub reason: String,
}

/// What a check found.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    /// What is damaged, at most 200 of it.
    pub findings: Vec<Finding>,
    /// Findings beyond those.
    pub more: usize,
    /// What could not be told, in words.
    pub unclear: Vec<String>,
    /// Incomplete ends that were never synced: harmless, the next start cuts them off.
    pub torn: Vec<TornTail>,
    /// The first block of which everything is kept.
    pub first: Height,
    /// The last good block that follows the first without a gap; `None` where there is none.
    pub last: Option<Height>,
    /// The height of the last header of dropped blocks.
    pub headers: Option<Height>,
    /// Height of the state on the disk.
    pub state: Option<Height>,
    /// Whether every certificate was verified from the genesis on.
    pub from_genesis: bool,
    /// Whether there is a vote log.
    pub vote_log: bool,
    /// Whether the folder is marked as one whose votes of before are unknown, and no height is named from which on
    /// it votes: with one, a missing vote log is a later loss.
    pub vote_guard: bool,
    /// What lies in an object store that could not be asked, by first and last block: it was not looked
    /// at.
    pub cold: Vec<(Part, Height, Height)>,
    /// Blocks, headers of dropped blocks, receipts of blocks, pages, index rows and votes looked at.
    pub counts: Counts,
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Blocks with certificates.
    pub blocks: u64,
    /// Headers with certificates of dropped blocks.
    pub headers: u64,
    /// Blocks whose receipts were compared with their roots.
    pub receipts: u64,
    /// Pages of the state.
    pub pages: u64,
    /// Rows of the key-value store.
    pub rows: u64,
    /// Entries of the vote log.
    pub votes: u64,
}

impl CheckReport {
    /// Whether nothing is damaged.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.findings.is_empty() && self.more == 0
    }

    /// Whether there is a chain and no vote log: what the node voted for is not known.
    #[must_use]
    pub fn votes_missing(&self) -> bool {
        self.last.is_some() && !self.vote_log
    }

    /// Whether something of this kind is damaged.
    #[must_use]
    pub fn has(&self, part: Part) -> bool {
        self.findings.iter().any(|finding| finding.part == part)
    }

    fn find(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// Where the state shows that more was durable, an end that looks torn is the damage.
    fn place(&mut self) {
        for finding in &mut self.findings {
            let Some(begin) = finding.file.strip_suffix('*') else {
                continue;
            };
            if finding.part == Part::State || !finding.reason.starts_with("the state is of block") {
                continue;
            }
            let torn = self
                .torn
                .iter()
                .position(|torn| torn.file.starts_with(begin));
            if let Some(at) = torn {
                let torn = self.torn.remove(at);
                (finding.file, finding.offset) = (torn.file, Some(torn.offset));
            }
        }
    }

    /// Takes over what reading a store of segments gave.
    fn take(&mut self, part: Part, check: SegmentsCheck) {
        self.torn.extend(check.torn);
        let cold = check.cold.into_iter();
        let cold = cold.map(|(first, last)| (part, Height(first), Height(last)));
        self.cold.extend(cold);
        for SegmentFault {
            file, reason, item, ..
        } in check.remote
        {
            self.find(Finding {
                part: Part::Object,
                file,
                offset: None,
                height: item.map(Height),
                reason,
            });
        }
        for SegmentFault {
            file,
            offset,
            reason,
            item,
        } in check.faults
        {
            let part = match item {
                Some(_) => part,
                None => Part::IndexFile,
            };
            self.find(Finding {
                part,
                file,
                offset: Some(offset),
                height: item.map(Height),
                reason,
            });
        }
    }
}

/// What is known of the results of a block: the first bytes of the roots, enough to notice damage.
type Results = BTreeMap<u64, (u64, u64)>;

fn head_of(hash: &B256) -> u64 {
    let first = hash.first_chunk::<8>();
    first.map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// What a check works with.
struct Checker<'a> {
    disk: Arc<dyn Disk>,
    kv: Option<&'a dyn Kv>,
    genesis: &'a Genesis,
    suite: Suite,
    /// Index rows of one block in so many are looked at.
    sample: u64,
    step: &'a dyn Fn(u64),
    report: CheckReport,
    results: Results,
    /// What the certified headers say of the state's height.
    state_root: Option<B256>,
}

/// Checks the folder of a chain. `kv` is its key-value store, or why it does not open; index rows of
/// one block in `sample` are looked at, of all with 1. `step` is told bytes read.
///
/// # Errors
/// Where the disk fails. Damage is no error but what is reported.
pub fn check(
    disk: &Arc<dyn Disk>,
    kv: Result<&dyn Kv, String>,
    genesis: &Genesis,
    sample: u64,
    step: &dyn Fn(u64),
) -> Result<CheckReport, StoreError> {
    let mut report = CheckReport::default();
    let kv = kv.map_err(|reason| {
        report.find(Finding {
            part: Part::Index,
            file: "kv".to_owned(),
            offset: None,
            height: None,
            reason,
        });
    });
    let mut checker = Checker {
        disk: Arc::new(TrialDisk::new(Arc::clone(disk))),
        kv: kv.ok(),
        genesis,
        suite: genesis.suite,
        sample: sample.max(1),
        step,
        report,
        results: Results::new(),
        state_root: None,
    };
    checker.genesis_matches()?;
    checker.first()?;
    checker.state()?;
    checker.receipts()?;
    checker.blocks()?;
    checker.compare();
    checker.report.place();
    if snapshot::is_unfinished(disk.as_ref()).unwrap_or(true) {
        let text = "filling this folder from a snapshot was interrupted: a start empties it and begins anew from \
                    its peers, and `hawser backup restore` fills it";
        checker.report.unclear.push(text.to_owned());
    }
    match read_vote_guard(disk.as_ref()) {
        Ok(guard) => {
            checker.report.vote_guard = guard.is_some_and(|guard| guard.from.is_none());
        }
        Err(error) => checker
            .report
            .unclear
            .push(format!("{VOTE_GUARD}: {error}")),
    }
    checker.log(VOTE_LOG, Part::Votes)?;
    checker.log(CONVICTIONS_LOG, Part::Evidence)?;
    Ok(checker.report)
}

impl Checker<'_> {
    fn genesis_matches(&self) -> Result<(), StoreError> {
        match self.kv {
            Some(kv) => index::check_genesis(kv, &self.genesis.hash()),
            None => Ok(()),
        }
    }

    fn first(&mut self) -> Result<(), StoreError> {
        let stored = self.kv.map(index::first).transpose()?.flatten();
        let begin = self.begin(SEGMENTS[0])?.unwrap_or(1);
        self.report.first = stored.unwrap_or(Height(1)).max(Height(begin));
        Ok(())
    }

    /// The first item of a store by the names of its files.
    fn begin(&self, prefix: &str) -> Result<Option<u64>, StoreError> {
        let list = self.disk.list().map_err(LogError::from)?;
        let number = |(name, _): (String, u64)| {
            let rest = name.strip_prefix(prefix)?.strip_prefix('-')?;
            rest.strip_suffix(".seg")?.parse::<u64>().ok()
        };
        Ok(list.into_iter().filter_map(number).min())
    }

    fn state(&mut self) -> Result<(), StoreError> {
        let found = StateStore::check(Arc::clone(&self.disk), self.kv, self.suite, self.step)?;
        self.report.state = found.height;
        self.report.counts.pages = found.pages;
        self.state_root = found.height.map(|_| found.root);
        for reason in found.faults {
            self.report.find(Finding {
                part: Part::State,
                file: "state-*".to_owned(),
                offset: None,
                height: found.height,
                reason,
            });
        }
        Ok(())
    }

    /// Receipts against their own root, and the rows that name them.
    fn receipts(&mut self) -> Result<(), StoreError> {
        let (suite, sample, kv) = (self.suite, self.sample, self.kv);
        let (first, state) = (self.report.first, self.report.state.unwrap_or_default());
        let (mut rows, mut wrong, mut results) = (0u64, Vec::new(), Results::new());
        let visit = &mut |number: u64, item: &[u8], _: ItemPlace<'_>| {
            let result: BlockResult =
                decode_exact(item, ITEM_BYTES_MAX).map_err(|error| error.to_string())?;
            let roots = result.roots;
            if roots.height != Height(number) {
                return Err(format!("it holds the receipts of block {}", roots.height));
            }
            if receipts_root(suite, &result.receipts) != roots.receipts {
                return Err("the receipts do not have the root stored with them".to_owned());
            }
            results.insert(number, (head_of(&roots.state), head_of(&roots.receipts)));
            let height = Height(number);
            if let Some(kv) = kv
                && height >= first
                && height <= state
                && number.is_multiple_of(sample)
            {
                match index::check_block(kv, height, &result) {
                    Ok(seen) => rows = rows.saturating_add(seen),
                    Err(reason) => wrong.push((height, reason)),
                }
            }
            Ok(())
        };
        let disk = Arc::clone(&self.disk);
        let found = Segments::check(disk, SEGMENTS[1], ITEM_BYTES_MAX, visit, self.step)?;
        self.report.counts.receipts = results.len() as u64;
        self.report.counts.rows = rows;
        self.results = results;
        // Receipts end with the state, or a little later.
        let short = found.last.unwrap_or(0) < state.0 && found.faults.is_empty();
        if short && state > Height::GENESIS {
            let next = found.last.map_or(first, |last| Height(last).next());
            self.report.find(Finding {
                part: Part::Receipts,
                file: "receipts-*".to_owned(),
                offset: None,
                height: Some(next),
                reason: format!("the state is of block {state}, and receipts end before {next}"),
            });
        }
        self.report.take(Part::Receipts, found);
        for (height, reason) in wrong {
            self.report.find(Finding {
                part: Part::Index,
                file: "kv".to_owned(),
                offset: None,
                height: Some(height),
                reason,
            });
        }
        Ok(())
    }

    /// Headers of dropped blocks, then blocks: a chain of certificates from the genesis.
    fn blocks(&mut self) -> Result<(), StoreError> {
        let begin = self.begin(SEGMENTS[0])?;
        let (mut walk, mut at_begin) = (Walk::new(self.genesis, self.kv), None);
        let mut claims = Claims::new(self.report.state);
        let mut headers = 0u64;
        let visit = &mut |number: u64, item: &[u8], _: ItemPlace<'_>| {
            let (header, certificate): (Header, Certificate) =
                decode_exact(item, ITEM_BYTES_MAX).map_err(|error| error.to_string())?;
            walk.follow(Height(number), &header, &certificate)?;
            headers = headers.saturating_add(1);
            claims.take(&header);
            if begin == Some(number.saturating_add(1)) {
                at_begin = Some(walk.clone());
            }
            Ok(())
        };
        let disk = Arc::clone(&self.disk);
        let found = Segments::check(disk, SEGMENTS[2], ITEM_BYTES_MAX, visit, self.step)?;
        self.report.headers = found.last.map(Height);
        self.report.counts.headers = headers;
        self.report.take(Part::Headers, found);

        let mut walk = at_begin.unwrap_or_else(|| match begin {
            Some(1) | None => Walk::new(self.genesis, self.kv),
            Some(begin) => Walk::from(self.genesis, self.kv, Height(begin)),
        });
        let suite = self.suite;
        let mut blocks = 0u64;
        let mut expected = begin;
        let visit = &mut |number: u64, item: &[u8], _: ItemPlace<'_>| {
            if expected != Some(number) {
                walk.jump();
            }
            expected = Some(number.saturating_add(1));
            let CertifiedBlock { block, certificate } =
                decode_exact(item, ITEM_BYTES_MAX).map_err(|error| error.to_string())?;
            block.check_body(suite).map_err(|error| error.to_string())?;
            walk.follow(Height(number), &block.header, &certificate)?;
            blocks = blocks.saturating_add(1);
            claims.take(&block.header);
            Ok(())
        };
        let disk = Arc::clone(&self.disk);
        let found = Segments::check(disk, SEGMENTS[0], ITEM_BYTES_MAX, visit, self.step)?;
        self.report.counts.blocks = blocks;
        self.report.last = found.last.map(Height);
        self.report.take(Part::Blocks, found);
        self.report.from_genesis = walk.is_whole();
        self.report.unclear.extend(walk.into_unclear());
        self.claimed(claims);
        Ok(())
    }

    /// Compares what certified headers say of results with those that are stored.
    fn claimed(&mut self, claims: Claims) {
        for (height, claimed) in claims.roots {
            if let Some(stored) = self.results.get(&height)
                && *stored != claimed
            {
                self.report.find(Finding {
                    part: Part::Receipts,
                    file: "receipts-*".to_owned(),
                    offset: None,
                    height: Some(Height(height)),
                    reason: "a certified header commits to other results of the block than are \
                             stored"
                        .to_owned(),
                });
            }
        }
        let wrong = match (claims.state, self.state_root) {
            (Some(claimed), Some(root)) if claimed != root => {
                format!("the state has the root {root}, a certified header says {claimed}")
            }
            (None, Some(_)) if self.report.state > Some(Height::GENESIS) => {
                self.report.unclear.push(
                    "no stored header says what the root of the state on the disk must be"
                        .to_owned(),
                );
                return;
            }
            _ => return,
        };
        self.report.find(Finding {
            part: Part::State,
            file: "state-*".to_owned(),
            offset: None,
            height: self.report.state,
            reason: wrong,
        });
    }

    /// The state must not be ahead of the blocks.
    fn compare(&mut self) {
        let (state, last) = (self.report.state, self.report.last);
        let Some(state) = state.filter(|state| *state > last.unwrap_or(Height::GENESIS)) else {
            return;
        };
        if !self.report.has(Part::Blocks) {
            let next = last.map_or(self.report.first, Height::next);
            self.report.find(Finding {
                part: Part::Blocks,
                file: "blocks-*".to_owned(),
                offset: None,
                height: Some(next),
                reason: format!("the state is of block {state}, and blocks end before {next}"),
            });
        }
    }

    /// A log whose records must all be readable.
    fn log(&mut self, name: &str, part: Part) -> Result<(), StoreError> {
        let read = SyncedLog::read(self.disk.as_ref(), name, LogOptions::default());
        if part == Part::Votes {
            // Of a log of zeros nothing is left, though it is there; one that is damaged is there.
            self.report.vote_log = match &read {
                Ok(found) => found.as_ref().is_some_and(|found| !found.is_lost()),
                Err(_) => true,
            };
        }
        let (offset, reason) = match read {
            Ok(None) => return Ok(()),
            Ok(Some(recovery)) => {
                self.report.torn.extend(recovery.torn);
                let bad = |record: &&Vec<u8>| {
                    part == Part::Votes
                        && decode_exact::<LogEntry>(record, FRAME_BYTES_MAX).is_err()
                };
                if part == Part::Votes {
                    self.report.counts.votes = recovery.records.len() as u64;
                }
                match recovery.records.iter().find(bad) {
                    Some(_) => (None, "an entry is unreadable".to_owned()),
                    None => return Ok(()),
                }
            }
            Err(LogError::Corrupt { offset, reason, .. }) => (Some(offset), reason),
            Err(error) => (None, error.to_string()),
        };
        self.report.find(Finding {
            part,
            file: name.to_owned(),
            offset,
            height: None,
            reason,
        });
        Ok(())
    }
}

/// What certified headers say of the results of earlier blocks.
struct Claims {
    roots: Results,
    /// Height of the state on the disk, and what its root must be.
    wanted: Option<Height>,
    state: Option<B256>,
}

impl Claims {
    const fn new(wanted: Option<Height>) -> Self {
        Self {
            roots: Results::new(),
            wanted,
            state: None,
        }
    }

    fn take(&mut self, header: &Header) {
        let roots = header.executed;
        if roots.height > Height::GENESIS {
            let heads = (head_of(&roots.state), head_of(&roots.receipts));
            self.roots.insert(roots.height.0, heads);
        }
        if self.wanted == Some(roots.height) {
            self.state = Some(roots.state);
        }
    }
}
