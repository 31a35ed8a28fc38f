use std::ops::Bound;
use std::sync::Arc;

use super::Sealer;
use crate::{Batch, Column, KeyValue, Kv, KvError};

/// A store whose values are encrypted, each bound to its column and key.
///
/// Keys stay as they are: indexes are read by ranges and prefixes in key order, which a keyed hash
/// would destroy, and an order-preserving cipher would give away as much as the key. What keys tell
/// whoever takes the disk: paths in the state tree, which are hashes already, and in the indexes
/// the hashes of blocks and transactions, and the addresses, topics and heights of events.
pub struct SealedKv {
    inner: Arc<dyn Kv>,
    sealer: Arc<Sealer>,
}

impl SealedKv {
    /// Encrypts the values of a store.
    #[must_use]
    pub const fn new(inner: Arc<dyn Kv>, sealer: Arc<Sealer>) -> Self {
        Self { inner, sealer }
    }

    fn open(&self, column: Column, key: &[u8], value: &[u8]) -> Result<Vec<u8>, KvError> {
        let opened = self.sealer.open(&[column.0.as_bytes(), key], value);
        opened.map_err(|source| KvError::Sealed {
            column: column.0,
            source,
        })
    }
}

impl Kv for SealedKv {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        let value = self.inner.get(column, key)?;
        value
            .map(|value| self.open(column, key, &value))
            .transpose()
    }

    fn range(
        &self,
        column: Column,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<KeyValue>, KvError> {
        let found = self.inner.range(column, start, end, reverse, limit)?;
        let open = |(key, value): KeyValue| {
            let value = self.open(column, &key, &value)?;
            Ok((key, value))
        };
        found.into_iter().map(open).collect()
    }

    fn write(&self, batch: Batch) -> Result<(), KvError> {
        let mut sealed = Batch::new();
        for (column, key, value) in batch.ops() {
            match value {
                Some(value) => {
                    let value = self.sealer.seal(&[column.0.as_bytes(), key], value);
                    let value = value.map_err(|source| KvError::Sealed {
                        column: column.0,
                        source,
                    })?;
                    sealed.put(column, key, value);
                }
                None => sealed.delete(column, key),
            }
        }
        self.inner.write(sealed)
    }

    fn persist(&self) -> Result<(), KvError> {
        self.inner.persist()
    }
}
