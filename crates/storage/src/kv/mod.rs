mod fjall;
mod memory;
#[cfg(test)]
mod tests;

use std::ops::{Bound, Range};

use crate::KvError;

pub use fjall::FjallKv;
pub use memory::MemKv;

/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 1024;
/// Longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A named key space within a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Column(pub &'static str);

/// Changes that take effect together, across columns. Of two changes to one key the later wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    ops: Vec<Op>,
    /// Keys and values one after another: a large batch is a few allocations.
    bytes: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Op {
    column: Column,
    key: Range<usize>,
    value: Option<Range<usize>>,
}

/// Column, key, and new value or `None` for a removal.
pub type WriteOp<'a> = (Column, &'a [u8], Option<&'a [u8]>);

impl Batch {
    /// An empty batch.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ops: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// Sets a key of 1 to [`KEY_BYTES_MAX`] bytes to a value of at most [`VALUE_BYTES_MAX`].
    pub fn put(&mut self, column: Column, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let key = self.add(key.as_ref());
        let value = Some(self.add(value.as_ref()));
        self.ops.push(Op { column, key, value });
    }

    /// Removes a key. Removing an absent key is no error.
    pub fn delete(&mut self, column: Column, key: impl AsRef<[u8]>) {
        let key = self.add(key.as_ref());
        self.ops.push(Op {
            column,
            key,
            value: None,
        });
    }

    /// The changes in order.
    pub fn ops(&self) -> impl Iterator<Item = WriteOp<'_>> {
        let bytes = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        self.ops
            .iter()
            .map(move |op| (op.column, bytes(&op.key), op.value.as_ref().map(bytes)))
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Number of changes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ops.len()
    }

    fn add(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    fn check(&self) -> Result<(), KvError> {
        for (_, key, value) in self.ops() {
            check_key(key)?;
            let len = value.map_or(0, <[u8]>::len);
            if len > VALUE_BYTES_MAX {
                return Err(KvError::Size {
                    what: "value",
                    len,
                    max: VALUE_BYTES_MAX,
                });
            }
        }
        Ok(())
    }
}

/// Key and value.
pub type KeyValue = (Vec<u8>, Vec<u8>);

/// Ordered key-value columns.
///
/// Reads see every batch whose [`Kv::write`] returned; a read that runs beside a write may see part
/// of that batch. After a crash the store holds a prefix of the batches written, which includes
/// everything before the last [`Kv::persist`] that returned.
pub trait Kv: Send + Sync {
    /// Value of a key.
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, KvError>;

    /// Keys between the bounds in byte order, or in `reverse`, at most `limit` of them.
    fn range(
        &self,
        column: Column,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<KeyValue>, KvError>;

    /// Keys that begin with `prefix`, in byte order or in `reverse`, at most `limit` of them.
    fn prefix(
        &self,
        column: Column,
        prefix: &[u8],
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<KeyValue>, KvError> {
        let (start, end) = prefix_bounds(prefix);
        self.range(column, as_slice(&start), as_slice(&end), reverse, limit)
    }

    /// Applies a batch, all or nothing. It is not durable before [`Kv::persist`].
    fn write(&self, batch: Batch) -> Result<(), KvError>;

    /// Makes everything written so far durable.
    fn persist(&self) -> Result<(), KvError>;

    /// Bytes that a column takes on the disk; `None` where that is not known.
    fn column_bytes(&self, column: Column) -> Result<Option<u64>, KvError> {
        let _ = column;
        Ok(None)
    }
}

/// The bounds of all keys that begin with `prefix`.
#[must_use]
pub fn prefix_bounds(prefix: &[u8]) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return (Bound::Included(prefix.to_vec()), Bound::Excluded(end));
        }
    }
    (Bound::Included(prefix.to_vec()), Bound::Unbounded)
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key.as_slice()),
        Bound::Excluded(key) => Bound::Excluded(key.as_slice()),
        Bound::Unbounded => Bound::Unbounded,
    }
}

fn check_key(key: &[u8]) -> Result<(), KvError> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(KvError::Size {
            what: "key",
            len: key.len(),
            max: KEY_BYTES_MAX,
        });
    }
    Ok(())
}

/// Whether the bounds exclude every key; engines differ in how they take such a range.
fn is_empty_range(start: Bound<&[u8]>, end: Bound<&[u8]>) -> bool {
    match (start, end) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (
            Bound::Included(start) | Bound::Excluded(start),
            Bound::Excluded(end) | Bound::Included(end),
        ) => start >= end,
    }
}
