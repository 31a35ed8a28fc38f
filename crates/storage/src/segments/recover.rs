use std::collections::BTreeMap;

use super::files::{Files, Scanned, gap_reason};
use super::{Active, SegmentRecovery, State};
use crate::{LogError, TornTail};

/// Finds out what is there, and mends what a crash may leave.
pub(super) fn recover(
    files: &Files,
    item_bytes_max: usize,
) -> Result<(State, SegmentRecovery), LogError> {
    let (data, mut indexes) = list(files)?;
    let mut state = State::default();
    let mut recovery = SegmentRecovery::default();
    let newest = data.last().copied();
    for &first in &data {
        if let Some(expected) = state.next().filter(|expected| *expected != first) {
            let reason = gap_reason(expected, first);
            return Err(files.corrupt(&files.data_name(first), 0, reason));
        }
        let count = indexes.remove(&first).and_then(Files::index_count);
        if let Some(count) = count {
            state
                .sealed
                .insert(first, first.saturating_add(count).saturating_sub(1));
            continue;
        }
        let scanned = files.scan(first, item_bytes_max)?;
        if Some(first) == newest {
            state.active = Some(activate(files, first, scanned, &mut recovery)?);
        } else {
            let last = seal(files, first, &scanned)?;
            recovery.rebuilt.push(files.index_name(first));
            state.sealed.insert(first, last);
        }
    }
    for orphan in indexes.keys() {
        files.disk.remove(&files.index_name(*orphan))?;
    }
    Ok((state, recovery))
}

/// First items of the segments in order, and the lengths of the indexes. Removes temporary files.
fn list(files: &Files) -> Result<(Vec<u64>, BTreeMap<u64, u64>), LogError> {
    let mut data = Vec::new();
    let mut indexes = BTreeMap::new();
    for (name, len) in files.disk.list()? {
        match files.parse(&name) {
            Some((first, "seg")) => data.push(first),
            Some((first, "idx")) => {
                indexes.insert(first, len);
            }
            Some(_) => files.disk.remove(&name)?,
            None => {}
        }
    }
    data.sort_unstable();
    Ok((data, indexes))
}

fn activate(
    files: &Files,
    first: u64,
    scanned: Scanned,
    recovery: &mut SegmentRecovery,
) -> Result<Active, LogError> {
    let Scanned {
        file,
        offsets,
        len,
        torn_bytes,
    } = scanned;
    // An index that failed its check must not be taken for valid once the segment has grown.
    files.disk.remove(&files.index_name(first))?;
    files.disk.sync()?;
    if torn_bytes > 0 {
        file.truncate(len)?;
        let file = files.data_name(first);
        recovery.torn = Some(TornTail {
            file,
            offset: len,
            bytes: torn_bytes,
        });
    }
    // What was found may never have been synced; from here on it is relied upon.
    file.sync()?;
    Ok(Active {
        first,
        offsets,
        file,
        len,
        synced: len,
    })
}

fn seal(files: &Files, first: u64, scanned: &Scanned) -> Result<u64, LogError> {
    if scanned.torn_bytes > 0 || scanned.offsets.is_empty() {
        let reason = "a later segment exists, but this one ends early".into();
        return Err(files.corrupt(&files.data_name(first), scanned.len, reason));
    }
    files.create_index(first, &scanned.offsets, scanned.len)?;
    Ok(first
        .saturating_add(scanned.offsets.len() as u64)
        .saturating_sub(1))
}
