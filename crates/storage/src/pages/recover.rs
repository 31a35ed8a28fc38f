use std::collections::BTreeMap;
use std::sync::Arc;

use super::journal::{Found, Journal};
use super::{Files, PageCommit, SEGMENT_MAGIC, Segment, State, Usage, corrupt};
use crate::LogError;
use crate::record::{Keeping, MAGIC_BYTES};

type Segments = BTreeMap<u32, Arc<Segment>>;

/// Finds the last commit, and brings the files back to it.
pub(super) fn recover(files: &Files) -> Result<(State, Segments, Option<PageCommit>), LogError> {
    let (mut journals, mut found) = (Vec::new(), Vec::new());
    for (name, _) in files.disk.list()? {
        match files.parse(&name) {
            Some((number, "jnl")) => journals.push(number),
            Some((number, "pag")) => found.push(number),
            Some(_) => files.disk.remove(&name)?,
            None => {}
        }
    }
    journals.sort_unstable();
    let mut state = State {
        next_segment: 1,
        ..State::default()
    };
    let Some(newest) = journals.pop() else {
        // Nothing was ever committed: what is there is what a crash left of the first time.
        for number in found {
            files.disk.remove(&files.segment_name(number))?;
        }
        files.disk.sync()?;
        return Ok((state, Segments::new(), None));
    };
    let Found {
        journal,
        commit,
        parts,
    } = Journal::open(files, newest)?;
    let mut segments = Segments::new();
    for (number, len) in &commit.segments {
        segments.insert(*number, open(files, *number, *len)?);
        let usage = Usage {
            len: *len,
            live: 0,
            synced: *len,
        };
        state.usage.insert(*number, usage);
    }
    for number in journals {
        files.disk.remove(&files.journal_name(number))?;
    }
    for number in found.iter().filter(|number| !segments.contains_key(number)) {
        files.disk.remove(&files.segment_name(*number))?;
    }
    files.disk.sync()?;
    state.active = state.usage.keys().next_back().copied();
    state.next_segment = commit.next_segment;
    state.journal = Some(journal);
    let meta = commit.meta;
    Ok((state, segments, Some(PageCommit { meta, parts })))
}

/// Opens a segment and cuts off what no commit names.
fn open(files: &Files, number: u32, len: u64) -> Result<Arc<Segment>, LogError> {
    let name = files.segment_name(number);
    if len < MAGIC_BYTES {
        // Cut to that, it would be no segment the next time.
        let reason = format!("the journal names {len} bytes of it, fewer than any segment has");
        return Err(corrupt(&name, 0, reason));
    }
    let file = files.disk.open(&name)?;
    let file = file.ok_or_else(|| corrupt(&name, 0, "it is missing".into()))?;
    let keeping = Keeping::of(&*files.disk, &name);
    let magic = usize::try_from(MAGIC_BYTES).unwrap_or_default();
    if file.read_at(0, magic)? != keeping.magic(SEGMENT_MAGIC) {
        return Err(corrupt(&name, 0, keeping.unlike("a page segment")));
    }
    let found = file.len()?;
    if found < len {
        let reason = format!("it ends early: {len} bytes of it were durable");
        return Err(corrupt(&name, found, reason));
    }
    if found > len {
        file.truncate(len)?;
        file.sync()?;
    }
    Ok(Arc::new(Segment { file, keeping }))
}
