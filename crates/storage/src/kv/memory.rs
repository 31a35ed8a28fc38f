use std::collections::BTreeMap;
use std::ops::Bound;

use parking_lot::RwLock;

use super::{Batch, Column, KeyValue, Kv, check_key, is_empty_range};
use crate::KvError;

type Entries = BTreeMap<Column, BTreeMap<Vec<u8>, Vec<u8>>>;

/// A store in memory that can crash: for the simulator and for tests. Every column exists.
#[derive(Debug, Default)]
pub struct MemKv {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: Entries,
    /// Value at the last persist of every key changed since.
    undo: BTreeMap<(Column, Vec<u8>), Option<Vec<u8>>>,
    /// Batches since the last persist.
    pending: Vec<Batch>,
    /// Writes and persists that still succeed.
    failing_after: Option<u64>,
    /// Writes and persists asked for so far.
    calls: u64,
    poisoned: bool,
}

impl MemKv {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What a crash with the loss of everything unpersisted leaves. This store is unchanged.
    #[must_use]
    pub fn crash(&self) -> Self {
        self.crash_keeping(0)
    }

    /// What a crash leaves when the first `batches` of the unpersisted ones reached the disk.
    #[must_use]
    pub fn crash_keeping(&self, batches: usize) -> Self {
        let inner = self.inner.read();
        let mut entries = inner.entries.clone();
        for ((column, key), value) in &inner.undo {
            set(&mut entries, *column, key.clone(), value.clone());
        }
        for (column, key, value) in inner.pending.iter().take(batches).flat_map(Batch::ops) {
            set(
                &mut entries,
                column,
                key.to_vec(),
                value.map(<[u8]>::to_vec),
            );
        }
        Self {
            inner: RwLock::new(Inner {
                entries,
                ..Inner::default()
            }),
        }
    }

    /// Number of batches that a crash may lose.
    #[must_use]
    pub fn unpersisted(&self) -> usize {
        self.inner.read().pending.len()
    }

    /// Writes and persists that were asked for: what [`Self::fail_after`] counts.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.inner.read().calls
    }

    /// Lets `calls` more writes and persists succeed and fails the one after them.
    pub fn fail_after(&self, calls: u64) {
        self.inner.write().failing_after = Some(calls);
    }
}

impl Inner {
    fn durable_call(&mut self, operation: &'static str) -> Result<(), KvError> {
        if self.poisoned {
            return Err(KvError::Poisoned);
        }
        self.calls = self.calls.saturating_add(1);
        if let Some(left) = &mut self.failing_after {
            let Some(fewer) = left.checked_sub(1) else {
                self.poisoned = true;
                return Err(KvError::Engine {
                    operation,
                    reason: "injected fault".into(),
                });
            };
            *left = fewer;
        }
        Ok(())
    }
}

fn set(entries: &mut Entries, column: Column, key: Vec<u8>, value: Option<Vec<u8>>) {
    let column = entries.entry(column).or_default();
    match value {
        Some(value) => column.insert(key, value),
        None => column.remove(&key),
    };
}

impl Kv for MemKv {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        check_key(key)?;
        let inner = self.inner.read();
        if inner.poisoned {
            return Err(KvError::Poisoned);
        }
        Ok(inner
            .entries
            .get(&column)
            .and_then(|entries| entries.get(key))
            .cloned())
    }

    fn range(
        &self,
        column: Column,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<KeyValue>, KvError> {
        let inner = self.inner.read();
        if inner.poisoned {
            return Err(KvError::Poisoned);
        }
        if is_empty_range(start, end) {
            return Ok(Vec::new());
        }
        let Some(entries) = inner.entries.get(&column) else {
            return Ok(Vec::new());
        };
        let found = entries
            .range::<[u8], _>((start, end))
            .map(|(k, v)| (k.clone(), v.clone()));
        Ok(if reverse {
            found.rev().take(limit).collect()
        } else {
            found.take(limit).collect()
        })
    }

    fn write(&self, batch: Batch) -> Result<(), KvError> {
        batch.check()?;
        let mut guard = self.inner.write();
        let inner = &mut *guard;
        inner.durable_call("write")?;
        for (column, key, value) in batch.ops() {
            inner.undo.entry((column, key.to_vec())).or_insert_with(|| {
                inner
                    .entries
                    .get(&column)
                    .and_then(|entries| entries.get(key))
                    .cloned()
            });
            set(
                &mut inner.entries,
                column,
                key.to_vec(),
                value.map(<[u8]>::to_vec),
            );
        }
        inner.pending.push(batch);
        Ok(())
    }

    fn persist(&self) -> Result<(), KvError> {
        let mut inner = self.inner.write();
        inner.durable_call("persist")?;
        inner.undo.clear();
        inner.pending.clear();
        Ok(())
    }
}
