use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::Suite;
use hawser_primitives::{B256, Height, decode_exact, encode};
use hawser_storage::{Batch, Kv};

use super::{META, PAGES, StateError, store_error};
use crate::state::page::{Page, PageId};
use crate::state::tree::root_of;

const KEY: &[u8] = b"base";
const FORMAT: u32 = 2;
const BYTES_MAX: usize = 256;

/// What the key-value store holds, written with each flush.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Base {
    format: u32,
    suite: Suite,
    pub(super) height: Height,
    pub(super) root: B256,
    /// Number of keys.
    pub(super) entries: u64,
    /// Oldest height that the history can answer for.
    pub(super) history_from: Height,
    /// History of the blocks up to this one has been removed.
    pub(super) pruned_to: Height,
}

impl Base {
    pub(super) fn new(
        suite: Suite,
        (height, root): (Height, B256),
        entries: u64,
        history_from: Height,
        pruned_to: Height,
    ) -> Self {
        Self {
            format: FORMAT,
            suite,
            height,
            root,
            entries,
            history_from,
            pruned_to,
        }
    }

    pub(super) fn put(&self, batch: &mut Batch) {
        batch.put(META, KEY, encode(self));
    }
}

/// Reads and checks what a restart finds.
pub(super) fn load(kv: &dyn Kv, suite: Suite) -> Result<Option<Base>, StateError> {
    let Some(bytes) = kv.get(META, KEY).map_err(|error| store_error(&error))? else {
        return Ok(None);
    };
    let base: Base = decode_exact(&bytes, BYTES_MAX)
        .map_err(|error| StateError::Corrupt(format!("state base: {error}")))?;
    if base.format != FORMAT {
        let format = base.format;
        return Err(StateError::Corrupt(format!(
            "state format {format} is not {FORMAT}"
        )));
    }
    if base.suite != suite {
        let stored = base.suite;
        return Err(StateError::Corrupt(format!(
            "the state is of suite {stored}, not {suite}"
        )));
    }
    let page = kv
        .get(PAGES, &PageId::ROOT.key())
        .map_err(|error| store_error(&error))?;
    let page = page.map(|bytes| Page::decode(suite, &bytes)).transpose()?;
    let root = root_of(page.as_ref());
    if root != base.root {
        let (height, expected) = (base.height, base.root);
        let reason = format!("pages lead to root {root}, not {expected} of height {height}");
        return Err(StateError::Corrupt(reason));
    }
    Ok(Some(base))
}
