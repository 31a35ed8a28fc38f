//! All items of a store read from front to back, and a store cut back to its good beginning: for
//! what opens no more.

use std::sync::Arc;

use super::Segments;
use super::files::{Files, gap_reason};
use crate::record::{End, MAGIC_BYTES, Scanner};
use crate::{Disk, LogError, TierError, TornTail};

/// Where an item stands.
#[derive(Clone, Copy, Debug)]
pub struct ItemPlace<'a> {
    /// Name of the file within its folder.
    pub file: &'a str,
    /// Offset of the record in bytes.
    pub offset: u64,
}

/// Sees an item with its number and place; says what is wrong with it.
pub(super) type Visit<'a> = &'a mut dyn FnMut(u64, &[u8], ItemPlace<'_>) -> Result<(), String>;

/// Something in the files of a store that was not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFault {
    /// Name of the file within its folder.
    pub file: String,
    /// Where the damage begins, in bytes.
    pub offset: u64,
    /// What is wrong.
    pub reason: String,
    /// The first item that cannot be relied on; `None` where only an index file is damaged, which
    /// is made again from the items.
    pub item: Option<u64>,
}

/// What reading all files of a store gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentsCheck {
    /// The first item.
    pub first: Option<u64>,
    /// The last item that follows the first one without a gap or damage.
    pub last: Option<u64>,
    /// An incomplete end that was never synced, which opening cuts off.
    pub torn: Option<TornTail>,
    /// What is damaged, in order.
    pub faults: Vec<SegmentFault>,
    /// First and last items of files that lie in an object store which is not to be asked: they were
    /// not looked at.
    pub cold: Vec<(u64, u64)>,
    /// Files that lie in an object store and are missing there, or are not what was uploaded.
    pub remote: Vec<SegmentFault>,
}

impl SegmentsCheck {
    fn fault(&mut self, file: String, offset: u64, item: Option<u64>, reason: impl Into<String>) {
        self.faults.push(SegmentFault {
            file,
            offset,
            reason: reason.into(),
            item,
        });
    }

    /// Goes on after a file whose items could not be looked at.
    fn skip(&mut self, first: u64, last: u64) {
        self.first = self.first.or(Some(first));
        if !self.is_broken() {
            self.last = Some(last);
        }
    }

    fn is_broken(&self) -> bool {
        self.faults.iter().any(|fault| fault.item.is_some())
    }
}

impl Segments {
    /// Reads every item of the files whose names begin with `prefix`, and changes nothing. `visit`
    /// sees each readable item that follows the one before it, with its place, up to the first
    /// damage; what it finds wrong, it says. `step` is told bytes read.
    pub fn check(
        disk: Arc<dyn Disk>,
        prefix: &str,
        item_bytes_max: usize,
        visit: Visit<'_>,
        step: &dyn Fn(u64),
    ) -> Result<SegmentsCheck, LogError> {
        let files = Files {
            disk,
            prefix: prefix.to_owned(),
        };
        let (data, indexes) = listed(&files)?;
        let mut found = SegmentsCheck::default();
        let newest = data.last().copied();
        for &first in &data {
            let name = files.data_name(first);
            let expected = found.last.map(|last| last.saturating_add(1));
            if let Some(expected) = expected.filter(|expected| *expected != first)
                && !found.is_broken()
            {
                let reason = gap_reason(expected, first);
                found.fault(name.clone(), 0, Some(expected), reason);
            }
            if is_unread(&files, first)?
                && let Some(last) = last_by_index(&files, first)?
            {
                found.skip(first, last);
                found.cold.push((first, last));
                continue;
            }
            let before = found.faults.len();
            let end = match one(&files, first, item_bytes_max, &mut found, visit) {
                Err(error) if error.tier().is_some_and(TierError::is_of_object) => {
                    if let Some(last) = last_by_index(&files, first)? {
                        found.skip(first, last);
                    }
                    found.remote.push(SegmentFault {
                        file: name,
                        offset: 0,
                        reason: error.to_string(),
                        item: Some(first),
                    });
                    continue;
                }
                other => other?,
            };
            if before == found.faults.len() && Some(first) != newest && end.torn > 0 {
                let next = found.last.map_or(first, |last| last.saturating_add(1));
                let reason = "a later file exists, but this one ends early";
                found.fault(name.clone(), end.len, Some(next), reason);
            } else if Some(first) == newest && end.torn > 0 {
                found.torn = Some(TornTail {
                    file: name,
                    offset: end.len,
                    bytes: end.torn,
                });
            }
            let has_index = indexes.contains(&first);
            if has_index && before == found.faults.len() {
                check_index(&files, first, &end, &mut found)?;
            }
            step(end.len.saturating_add(end.torn));
        }
        Ok(found)
    }

    /// Removes the items after `last`, or all, from files of which later parts may be damaged, and
    /// makes that durable. What is kept must have been found good by [`Self::check`].
    pub fn cut(
        disk: Arc<dyn Disk>,
        prefix: &str,
        item_bytes_max: usize,
        last: Option<u64>,
    ) -> Result<(), LogError> {
        let files = Files {
            disk,
            prefix: prefix.to_owned(),
        };
        let (data, _) = listed(&files)?;
        // From the end, so that a crash in between leaves no gap.
        for &first in data.iter().rev() {
            if last.is_none_or(|last| first > last) {
                files.remove(first)?;
                continue;
            }
            let Some(last) = last else { break };
            let mut found = SegmentsCheck::default();
            let end = one(&files, first, item_bytes_max, &mut found, &mut |_, _, _| {
                Ok(())
            })?;
            let keep = last.saturating_sub(first).saturating_add(1);
            let keep = usize::try_from(keep).unwrap_or(usize::MAX);
            let Some(cut) = end.offsets.get(keep).copied() else {
                if end.offsets.len() == keep {
                    truncate(&files, first, end.len)?;
                }
                break;
            };
            truncate(&files, first, cut)?;
            break;
        }
        Ok(())
    }

    /// Removes an index file, which is made again when the store is opened.
    pub fn remove_index(disk: &dyn Disk, fault: &SegmentFault) -> Result<(), LogError> {
        disk.remove(&fault.file)?;
        Ok(disk.sync()?)
    }
}

/// How a file ended.
struct FileEnd {
    offsets: Vec<u64>,
    /// Where the good records end.
    len: u64,
    /// Bytes after them that were never synced.
    torn: u64,
}

fn listed(files: &Files) -> Result<(Vec<u64>, Vec<u64>), LogError> {
    let (mut data, mut indexes) = (Vec::new(), Vec::new());
    for (name, _) in files.disk.list()? {
        match files.parse(&name) {
            Some((first, "seg")) => data.push(first),
            Some((first, "idx")) => indexes.push(first),
            _ => {}
        }
    }
    data.sort_unstable();
    Ok((data, indexes))
}

/// Whether a file lies in an object store that is not to be asked.
fn is_unread(files: &Files, first: u64) -> Result<bool, LogError> {
    let Some(tier) = files.disk.tier().filter(|tier| !tier.is_configured()) else {
        return Ok(false);
    };
    Ok(tier.is_cold(&files.data_name(first))?)
}

/// The last item of a file, as its index tells.
fn last_by_index(files: &Files, first: u64) -> Result<Option<u64>, LogError> {
    let index = files.open_index(first)?;
    let len = index.map(|index| index.len()).transpose()?.unwrap_or(0);
    let count = Files::index_count(len);
    Ok(count.map(|count| first.saturating_add(count).saturating_sub(1)))
}

fn truncate(files: &Files, first: u64, len: u64) -> Result<(), LogError> {
    files.disk.remove(&files.index_name(first))?;
    if let Some(file) = files.open_data(first)? {
        file.truncate(len)?;
        file.sync()?;
    }
    Ok(files.disk.sync()?)
}

/// Reads one file.
fn one(
    files: &Files,
    first: u64,
    item_bytes_max: usize,
    found: &mut SegmentsCheck,
    visit: Visit<'_>,
) -> Result<FileEnd, LogError> {
    let name = files.data_name(first);
    let mut end = FileEnd {
        offsets: Vec::new(),
        len: MAGIC_BYTES,
        torn: 0,
    };
    let Some(file) = files.open_data(first)? else {
        return Ok(end);
    };
    let file_len = file.len()?;
    let keeping = files.keeping(first);
    let mut scanner = Scanner::new(&keeping, &*file, item_bytes_max)?;
    if !scanner.has_magic(super::files::DATA_MAGIC)? {
        found.fault(name, 0, Some(first), keeping.unlike("a segment"));
        return Ok(end);
    }
    let broken = found.is_broken();
    let mut faults = SegmentsCheck::default();
    let mut next = first;
    let (mut last, mut good) = (None, true);
    let scanned = scanner.scan(|record| {
        end.offsets.push(record.offset);
        end.len = record.offset.saturating_add(record.bytes);
        if !good || broken {
            return;
        }
        let place = ItemPlace {
            file: &name,
            offset: record.offset,
        };
        let wrong = if record.tag == next {
            visit(next, &record.payload, place).err()
        } else {
            Some(format!("item {} stands where {next} should", record.tag))
        };
        if let Some(reason) = wrong {
            faults.fault(name.clone(), record.offset, Some(next), reason);
            good = false;
            return;
        }
        last = Some(next);
        next = next.saturating_add(1);
    });
    let judged = match scanned {
        Ok(judged) => judged,
        // The checksum is right and the payload does not decrypt.
        Err(crate::DiskError::Sealed { offset, source, .. }) => {
            found.fault(name, offset, Some(next), source.to_string());
            return Ok(end);
        }
        Err(error) => return Err(error.into()),
    };
    if last.is_some() {
        found.first = found.first.or(Some(first));
        found.last = last;
    }
    found.faults.append(&mut faults.faults);
    match judged {
        End::Clean => {}
        End::Torn(offset) => {
            end.len = offset;
            end.torn = file_len.saturating_sub(offset);
        }
        End::Damaged(offset) => {
            if good && !broken {
                let reason = format!("item {next}, which was durable, is unreadable");
                found.fault(name, offset, Some(next), reason);
            }
            end.len = offset;
        }
    }
    Ok(end)
}

/// Compares an index file with what stands in its segment.
fn check_index(
    files: &Files,
    first: u64,
    end: &FileEnd,
    found: &mut SegmentsCheck,
) -> Result<(), LogError> {
    let name = files.index_name(first);
    let Some(file) = files.open_index(first)? else {
        return Ok(());
    };
    let len = usize::try_from(file.len()?).unwrap_or(usize::MAX);
    let stored = file.read_at(0, len)?;
    let offsets: Option<Vec<u32>> = end
        .offsets
        .iter()
        .map(|offset| u32::try_from(*offset).ok())
        .collect();
    let expected = Files::index_bytes(first, &offsets.unwrap_or_default(), end.len);
    if stored != expected {
        let differs = stored.iter().zip(&expected).take_while(|(a, b)| a == b);
        let offset = differs.count() as u64;
        found.fault(name, offset, None, "it is not the index of its segment");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemDisk, SegmentOptions};

    const OPTIONS: SegmentOptions = SegmentOptions {
        segment_bytes: 256,
        item_bytes_max: 128,
    };

    /// Items 5 to 24 of 40 bytes each, in files of three.
    fn filled() -> Arc<MemDisk> {
        let disk = Arc::new(MemDisk::new(1));
        let (segments, _) = Segments::open(disk.clone(), "s", OPTIONS).unwrap();
        for number in 5..=24u64 {
            segments.append(number, &[number as u8; 40]).unwrap();
            segments.sync().unwrap();
        }
        disk
    }

    fn check(disk: &Arc<MemDisk>) -> SegmentsCheck {
        let mut seen = Vec::new();
        let visit = &mut |number: u64, item: &[u8], _: ItemPlace<'_>| {
            assert_eq!(item, [number as u8; 40]);
            seen.push(number);
            Ok(())
        };
        let found = Segments::check(disk.clone(), "s", 128, visit, &|_| {}).unwrap();
        let expected: Vec<u64> = match (found.first, found.last) {
            (Some(first), Some(last)) => (first..=last).collect(),
            _ => Vec::new(),
        };
        assert_eq!(seen, expected);
        found
    }

    fn names(disk: &MemDisk, end: &str) -> Vec<String> {
        let list = disk.list().unwrap().into_iter();
        list.map(|(name, _)| name)
            .filter(|name| name.ends_with(end))
            .collect()
    }

    #[test]
    fn a_sound_store_is_read_whole_and_nothing_is_found() {
        let disk = filled();
        let found = check(&disk);
        assert_eq!((found.first, found.last), (Some(5), Some(24)));
        assert!(found.faults.is_empty() && found.torn.is_none(), "{found:?}");
    }

    #[test]
    fn every_kind_of_damage_is_found_where_it_is_and_cut_off() {
        let data = names(&filled(), ".seg");
        let number = |name: &str| -> u64 { name[2..22].parse().unwrap() };
        for (i, name) in data.iter().enumerate() {
            for kind in ["flip", "remove", "shorten"] {
                let newest = i + 1 == data.len();
                let disk = filled();
                let first = number(name);
                let lost = match kind {
                    "flip" => {
                        // In the second record's payload.
                        assert!(disk.flip_bit(name, 8 + 64 + 30, 3));
                        first + 1
                    }
                    "remove" => {
                        disk.remove(name).unwrap();
                        first
                    }
                    _ => {
                        disk.open(name)
                            .unwrap()
                            .unwrap()
                            .truncate(8 + 64 + 20)
                            .unwrap();
                        first + 1
                    }
                };
                let found = check(&disk);
                if newest && (kind != "flip" || found.faults.is_empty()) {
                    // Nothing tells an end that is gone from one that never was.
                    assert!(found.faults.is_empty(), "{kind} {name} {found:?}");
                    continue;
                }
                if i == 0 && kind == "remove" {
                    assert_eq!(found.first, Some(number(&data[1])));
                    continue;
                }
                let fault = &found.faults[0];
                assert_eq!(fault.item, Some(lost), "{kind} {name} {found:?}");
                assert_eq!(found.last, (lost > 5).then(|| lost - 1));
                Segments::cut(disk.clone(), "s", 128, found.last).unwrap();
                let mended = check(&disk);
                assert!(
                    mended.faults.is_empty() && mended.torn.is_none(),
                    "{mended:?}"
                );
                assert_eq!(mended.last, found.last);
                let (segments, recovery) = Segments::open(disk, "s", OPTIONS).unwrap();
                assert_eq!(segments.last(), found.last);
                assert_eq!(recovery.torn, None);
            }
        }
    }

    #[test]
    fn a_damaged_index_is_told_from_damaged_items_and_made_again() {
        let disk = filled();
        let index = names(&disk, ".idx").remove(1);
        assert!(disk.flip_bit(&index, 26, 0));
        let found = check(&disk);
        assert_eq!((found.last, found.faults.len()), (Some(24), 1));
        let fault = &found.faults[0];
        assert_eq!(
            (fault.file.as_str(), fault.offset, fault.item),
            (index.as_str(), 26, None)
        );
        Segments::remove_index(&*disk, fault).unwrap();
        let (_, recovery) = Segments::open(disk.clone(), "s", OPTIONS).unwrap();
        assert_eq!(recovery.rebuilt, [index]);
        assert!(check(&disk).faults.is_empty());
    }

    #[test]
    fn what_the_visitor_refuses_is_damage() {
        let disk = filled();
        let visit = &mut |number: u64, _: &[u8], place: ItemPlace<'_>| {
            assert!(place.offset >= 8 && place.file.ends_with(".seg"));
            if number == 9 {
                Err("no".to_owned())
            } else {
                Ok(())
            }
        };
        let found = Segments::check(disk, "s", 128, visit, &|_| {}).unwrap();
        assert_eq!((found.last, found.faults[0].item), (Some(8), Some(9)));
        assert_eq!(found.faults[0].reason, "no");
    }
}
