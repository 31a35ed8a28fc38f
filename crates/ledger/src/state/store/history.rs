//! What blocks replaced, so that states below the base can be read.
//!
//! `state.history`: key ‖ height (u64, big endian) → value before that block (0 for none, else 1
//! and the value). `state.changed`: height ‖ part (u32, big endian) → the keys that the block
//! changed, each preceded by its length in one byte; it says what to remove when the height leaves
//! the window.

use std::ops::Bound;

use hawser_primitives::{Bytes, Height};
use hawser_storage::{Batch, Kv};

use super::{CHANGED, HISTORY, Inner, StateError, store_error};
use crate::state::StateKey;

/// Keys in one part of the list of a block.
const PART_KEYS: usize = 16 * 1024;
/// Most parts of a block that are looked for.
const PARTS_MAX: usize = 1 << 20;

fn history_key(key: &StateKey, height: Height) -> Vec<u8> {
    let mut bytes = key.encode();
    bytes.extend(height.0.to_be_bytes());
    bytes
}

/// Records the value that a block replaced.
pub(super) fn put(batch: &mut Batch, height: Height, key: &StateKey, before: Option<&Bytes>) {
    let key = history_key(key, height);
    match before {
        None => batch.put(HISTORY, key, [0]),
        Some(value) => batch.put(HISTORY, key, [&[1], value.as_ref()].concat()),
    }
}

/// Records which keys a block changed.
pub(super) fn put_list(batch: &mut Batch, height: Height, keys: &[StateKey]) {
    for (part, keys) in (0u32..).zip(keys.chunks(PART_KEYS)) {
        let mut list = Vec::new();
        for key in keys {
            let key = key.encode();
            list.push(u8::try_from(key.len()).unwrap_or(u8::MAX));
            list.extend(key);
        }
        let id = [&height.0.to_be_bytes()[..], &part.to_be_bytes()].concat();
        batch.put(CHANGED, id, list);
    }
}

/// Removes the record of a block.
pub(super) fn prune(kv: &dyn Kv, batch: &mut Batch, height: Height) -> Result<(), StateError> {
    let parts = kv
        .prefix(CHANGED, &height.0.to_be_bytes(), false, PARTS_MAX)
        .map_err(|error| store_error(&error))?;
    for (id, list) in parts {
        let mut rest = list.as_slice();
        while let Some((&len, tail)) = rest.split_first() {
            let key = tail.get(..len.into()).ok_or_else(|| bad_list(height))?;
            batch.delete(HISTORY, [key, &height.0.to_be_bytes()].concat());
            rest = tail.get(len.into()..).unwrap_or_default();
        }
        batch.delete(CHANGED, id);
    }
    Ok(())
}

fn bad_list(height: Height) -> StateError {
    StateError::Corrupt(format!("list of the keys changed by block {height}"))
}

impl Inner {
    /// The value that a key had before the first block after `height` that changed it, if one up to
    /// `base` did.
    pub(super) fn replaced_after(
        &self,
        key: &StateKey,
        height: Height,
        base: Height,
    ) -> Result<Option<Option<Bytes>>, StateError> {
        let (from, to) = (history_key(key, height.next()), history_key(key, base));
        let found = self
            .kv
            .range(
                HISTORY,
                Bound::Included(&from),
                Bound::Included(&to),
                false,
                1,
            )
            .map_err(|error| store_error(&error))?;
        let Some((_, value)) = found.into_iter().next() else {
            return Ok(None);
        };
        match value.split_first() {
            Some((0, [])) => Ok(Some(None)),
            Some((1, value)) => Ok(Some(Some(Bytes::copy_from_slice(value)))),
            _ => Err(StateError::Corrupt(format!("history of {key:?}"))),
        }
    }
}
