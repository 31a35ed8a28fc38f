//! What tests of the state store share.

use super::{PageStoreOptions, StateOptions};

/// Small enough that a few thousand keys make several segments, flushes and evictions.
pub(super) const SMALL: StateOptions = StateOptions {
    overlay_blocks: 4,
    overlay_bytes: usize::MAX,
    provable_blocks: 2,
    history_blocks: 16,
    page_cache_bytes: 100_000,
    value_cache_bytes: 10_000,
    pages: PageStoreOptions {
        segment_bytes_min: 16 * 1024,
        segment_bytes_max: 64 * 1024,
        journal_bytes_min: 4 * 1024,
    },
};
