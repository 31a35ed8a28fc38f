//! What is done for a store beside execution, in an order in which what can wait waits.

use hawser_primitives::Height;

use super::{ChainStore, StoreError};

/// Steps that are put off, one after the other, while the disk is late with syncs.
const PUT_OFF_MAX: u32 = 8;

/// Flushes what is due; drops what is not kept any more, a step after each flush and at each pause; and at pauses with
/// nothing left to drop takes waste out of the state's files. For one thread.
#[derive(Debug)]
pub struct Upkeep {
    prunes: bool,
    compacts: bool,
    put_off: u32,
}

impl Default for Upkeep {
    /// As after a start: what there is to do is not known.
    fn default() -> Self {
        Self {
            prunes: true,
            compacts: false,
            put_off: 0,
        }
    }
}

impl Upkeep {
    /// Whether a pause is of use: [`Self::pause`] has something to do.
    #[must_use]
    pub const fn has_more(&self) -> bool {
        self.prunes || self.compacts
    }

    /// Writes everything up to a height out.
    pub fn flush(&mut self, store: &ChainStore, height: Height) -> Result<(), StoreError> {
        store.flush_to(height)?;
        self.prune(store)
    }

    /// A step while no flush is due; none, for a while, when somebody waits for the disk.
    pub fn pause(&mut self, store: &ChainStore) -> Result<(), StoreError> {
        let is_strained = store.gate().is_strained();
        if is_strained && self.put_off < PUT_OFF_MAX {
            self.put_off = self.put_off.saturating_add(1);
            return Ok(());
        }
        self.prune(store)?;
        // It costs nothing but space to put this off.
        if self.compacts && !self.prunes && !is_strained {
            self.compacts = store.compact()?;
        }
        Ok(())
    }

    fn prune(&mut self, store: &ChainStore) -> Result<(), StoreError> {
        self.put_off = 0;
        self.prunes = store.prune()?;
        self.compacts |= store.is_compaction_due();
        Ok(())
    }
}
