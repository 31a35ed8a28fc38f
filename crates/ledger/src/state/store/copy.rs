//! Pages carried from one disk to another, for a folder that becomes encrypted.

use std::sync::Arc;

use hawser_storage::{Disk, PageCommit, PageIndex, PageStore, PageStoreOptions};

use super::index::{self, Parts, Stored};
use super::{PREFIX, StateError, StateStore, log_error};
use crate::state::trunk::Position;

type Entries = Vec<(Position, Stored)>;

fn open(disk: Arc<dyn Disk>) -> Result<(PageStore, Option<PageCommit>), StateError> {
    let opened = PageStore::open(disk, PREFIX, PageStoreOptions::default());
    opened.map_err(|error| log_error(&error))
}

fn adopt(pages: &PageStore, parts: Vec<Vec<u8>>) -> Result<Entries, StateError> {
    index::entries(parts, &mut |place| {
        pages.adopt(place).map_err(|error| log_error(&error))
    })
}

fn read(pages: &PageStore, stored: &Stored) -> Result<Vec<u8>, StateError> {
    let page = pages
        .read(stored.place)
        .map_err(|error| log_error(&error))?;
    page.ok_or_else(|| StateError::Corrupt("a page stands where nothing is".into()))
}

impl StateStore {
    /// Copies the pages of a state that nobody has open to a disk without one, durably, and compares
    /// what can then be read. `step` is told bytes read. The key-value store is copied by its owner,
    /// at the same height. False when there was nothing to copy.
    pub fn copy_pages(
        from: Arc<dyn Disk>,
        to: Arc<dyn Disk>,
        step: &dyn Fn(u64),
    ) -> Result<bool, StateError> {
        let (source, commit) = open(from)?;
        let Some(commit) = commit else {
            return Ok(false);
        };
        let entries = adopt(&source, commit.parts)?;
        let (target, before) = open(Arc::clone(&to))?;
        if before.is_some() {
            let reason = "there is a state already; begin with an empty folder";
            return Err(StateError::Store(reason.into()));
        }
        let mut writer = target.write().map_err(|error| log_error(&error))?;
        let mut parts = Parts::default();
        for (at, stored) in &entries {
            let page = read(&source, stored)?;
            let place = writer.append(at.prefix, &page);
            let place = place.map_err(|error| log_error(&error))?;
            parts.put(*at, &Stored { place, ..*stored });
            step(page.len() as u64);
        }
        writer
            .commit(PageIndex::Whole(&mut parts.finish()), &commit.meta)
            .and_then(|()| target.persist())
            .map_err(|error| log_error(&error))?;
        drop(target);
        let differ = || StateError::Store("what was written is not what was read".into());
        let (target, copied) = open(to)?;
        let copied = copied.filter(|copied| copied.meta == commit.meta);
        let copies = adopt(&target, copied.ok_or_else(differ)?.parts)?;
        if copies.len() != entries.len() {
            return Err(differ());
        }
        for ((at, stored), (copy_at, copy)) in entries.iter().zip(&copies) {
            let page = read(&target, copy)?;
            if at != copy_at || page != read(&source, stored)? {
                return Err(differ());
            }
            step(page.len() as u64);
        }
        Ok(true)
    }
}
