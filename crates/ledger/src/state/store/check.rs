//! All pages of a state read and compared with the root, for a state that nobody has open.

use std::sync::Arc;

use hawser_crypto::Suite;
use hawser_primitives::{B256, Height};
use hawser_storage::{Disk, Kv, PageStore, PageStoreOptions};

use super::{PREFIX, StateError, StateStore, base, index, log_error};
use crate::state::page::Page;

/// Most faults that are told one by one.
const FAULTS_MAX: usize = 100;

/// What reading all pages gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateCheck {
    /// Height of the state; `None` where there is none.
    pub height: Option<Height>,
    /// The root that it claims.
    pub root: B256,
    /// Number of keys that it claims.
    pub entries: u64,
    /// Pages read.
    pub pages: u64,
    /// What is damaged, in words that name file and place; at most 100.
    pub faults: Vec<String>,
}

impl StateStore {
    /// Reads every page on a disk, on which opening may mend what a crash left, and compares it with
    /// the hash above it up to the root. `step` is told bytes read.
    pub fn check(
        disk: Arc<dyn Disk>,
        kv: Option<&dyn Kv>,
        suite: Suite,
        step: &dyn Fn(u64),
    ) -> Result<StateCheck, StateError> {
        let mut found = StateCheck::default();
        let opened = PageStore::open(disk, PREFIX, PageStoreOptions::default());
        let (pages, commit) = match opened.map_err(|error| log_error(&error)) {
            Ok(opened) => opened,
            Err(StateError::Corrupt(fault)) => {
                found.faults.push(fault);
                return Ok(found);
            }
            Err(error) => return Err(error),
        };
        let Some(commit) = commit else {
            return Ok(found);
        };
        match base::committed(&commit.meta, suite) {
            Ok((height, root, entries)) => {
                found.height = Some(height);
                (found.root, found.entries) = (root, entries);
            }
            Err(error) => {
                found.faults.push(error.to_string());
                return Ok(found);
            }
        }
        let adopt = &mut |place| pages.adopt(place).map_err(|error| log_error(&error));
        let listed = match index::entries(commit.parts.clone(), adopt) {
            Ok(listed) => listed,
            Err(error) => {
                found.faults.push(error.to_string());
                return Ok(found);
            }
        };
        let mut leaves = 0u64;
        for (at, stored) in &listed {
            if found.faults.len() >= FAULTS_MAX {
                break;
            }
            step(stored.place.bytes.into());
            found.pages = found.pages.saturating_add(1);
            leaves = leaves.saturating_add(stored.count.into());
            let page = match pages.read(stored.place) {
                Ok(Some(page)) => Page::decode(page, usize::from(at.depth)),
                Ok(None) => Err(StateError::Corrupt("a page stands where nothing is".into())),
                Err(error) => Err(log_error(&error)),
            };
            match page {
                Ok(page) if page.hash(suite) == stored.hash => {}
                Ok(_) => found.faults.push(format!(
                    "the page at byte {} of segment {} is not the one committed to",
                    stored.place.offset, stored.place.segment
                )),
                Err(error) => found.faults.push(error.to_string()),
            }
        }
        if found.faults.is_empty() {
            let (trunk, node) = index::build(suite, commit.parts, 0, &mut |_| Ok(()))?;
            if trunk.hash(node) != Some(found.root) {
                let fault = format!("the pages do not lead to the root {}", found.root);
                found.faults.push(fault);
            } else if leaves != found.entries {
                let fault = format!("the pages have {leaves} keys, not {}", found.entries);
                found.faults.push(fault);
            }
        }
        if let Some(kv) = kv
            && let Some(height) = found.height
            && let Err(error) = base::check_history(kv, height, suite)
        {
            found.faults.push(error.to_string());
        }
        Ok(found)
    }
}
