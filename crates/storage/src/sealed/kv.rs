use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use hawser_crypto::Prf;

use super::Sealer;
use crate::{Batch, Column, KeyValue, Kv, KvError};

/// Bytes that stand for the hidden part of a key. Two keys with one value would be noticed, as
/// values are bound to the true key; by chance it takes some 2^96 of them.
const BLIND_BYTES: usize = 24;
/// Where the layout of keys is noted.
const LAYOUT: &[u8] = b"layout";
/// Keys as [`KeyForm`] has them.
const LAYOUT_VERSION: &[u8] = &[2];

/// What of a column's keys lies on the disk as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// All of it, in order: for keys that tell nothing which the amount of data does not.
    Open,
    /// The last `tail` bytes, in order; what is before them is hidden. Keys are found whole, by the
    /// whole hidden part as their prefix, and by ranges between keys that share it.
    Hidden {
        /// Bytes of the key that stay.
        tail: usize,
    },
}

/// A store whose values are encrypted, each bound to its column and key, and whose keys are hidden
/// where they would tell something.
///
/// A hidden part is replaced by the first 24 bytes of HMAC over it, under a key that comes from the
/// data key and is another one for each column: who takes the disk cannot tell which address, slot
/// or hash a row is for, nor check a guess.
pub struct SealedKv {
    inner: Arc<dyn Kv>,
    sealer: Arc<Sealer>,
    columns: BTreeMap<Column, Blinding>,
}

enum Blinding {
    Open,
    Hidden { prf: Prf, tail: usize },
}

/// A hidden key in its parts.
struct Hidden<'a> {
    head: &'a [u8],
    /// As it lies on the disk.
    stored: Vec<u8>,
}

impl SealedKv {
    /// The column that a store needs besides those of its user.
    pub const COLUMN: Column = Column("sealed");

    /// Encrypts a store. `forms` names every column that is used.
    ///
    /// # Errors
    /// [`KvError::OpenKeys`] for a store that was written while keys lay open.
    pub fn open(
        inner: Arc<dyn Kv>,
        sealer: Arc<Sealer>,
        forms: &[(Column, KeyForm)],
    ) -> Result<Self, KvError> {
        let columns = forms
            .iter()
            .map(|(column, form)| {
                let blinding = match *form {
                    KeyForm::Open => Blinding::Open,
                    KeyForm::Hidden { tail } => Blinding::Hidden {
                        prf: sealer.blinding(column.0),
                        tail,
                    },
                };
                (*column, blinding)
            })
            .chain([(Self::COLUMN, Blinding::Open)])
            .collect();
        let store = Self {
            inner,
            sealer,
            columns,
        };
        match store.get(Self::COLUMN, LAYOUT)? {
            Some(version) if version == LAYOUT_VERSION => return Ok(store),
            Some(_) => return Err(KvError::OpenKeys),
            None => {}
        }
        for (column, _) in forms {
            let any = store
                .inner
                .range(*column, Bound::Unbounded, Bound::Unbounded, false, 1)?;
            if !any.is_empty() {
                return Err(KvError::OpenKeys);
            }
        }
        let mut batch = Batch::new();
        batch.put(Self::COLUMN, LAYOUT, LAYOUT_VERSION);
        store.write(batch)?;
        store.persist()?;
        Ok(store)
    }

    fn blinding(&self, column: Column) -> Result<&Blinding, KvError> {
        let found = self.columns.get(&column);
        found.ok_or(KvError::UnknownColumn(column.0))
    }

    /// The key as it lies on the disk.
    fn stored(&self, column: Column, key: &[u8]) -> Result<Vec<u8>, KvError> {
        Ok(match self.blinding(column)? {
            Blinding::Open => key.to_vec(),
            Blinding::Hidden { prf, tail } => hide(prf, *tail, key).stored,
        })
    }

    fn open_value(&self, column: Column, key: &[u8], value: &[u8]) -> Result<Vec<u8>, KvError> {
        let opened = self.sealer.open(&[column.0.as_bytes(), key], value);
        opened.map_err(|source| KvError::Sealed {
            column: column.0,
            source,
        })
    }

    /// Rows with their true keys: `head` stands for what is hidden in all of them.
    fn open_rows(
        &self,
        column: Column,
        head: Option<&[u8]>,
        rows: Vec<KeyValue>,
    ) -> Result<Vec<KeyValue>, KvError> {
        let open = |(stored, value): KeyValue| {
            let key = match head {
                Some(head) => {
                    let tail = stored.get(BLIND_BYTES..).unwrap_or_default();
                    [head, tail].concat()
                }
                None => stored,
            };
            let value = self.open_value(column, &key, &value)?;
            Ok((key, value))
        };
        rows.into_iter().map(open).collect()
    }
}

fn blind(prf: &Prf, head: &[u8]) -> Vec<u8> {
    let value = prf.value(head);
    value.get(..BLIND_BYTES).unwrap_or_default().to_vec()
}

/// A key that is no longer than its tail is hidden whole: its length tells it from others.
fn hide<'a>(prf: &Prf, tail: usize, key: &'a [u8]) -> Hidden<'a> {
    let (head, tail) = match key.len().checked_sub(tail) {
        Some(at) if at > 0 => key.split_at(at),
        _ => (key, &[][..]),
    };
    let mut stored = blind(prf, head);
    stored.extend_from_slice(tail);
    Hidden { head, stored }
}

const fn key_of<'a>(bound: &Bound<&'a [u8]>) -> Option<&'a [u8]> {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => Some(key),
        Bound::Unbounded => None,
    }
}

impl Kv for SealedKv {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        let value = self.inner.get(column, &self.stored(column, key)?)?;
        value
            .map(|value| self.open_value(column, key, &value))
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
        let Blinding::Hidden { prf, tail } = self.blinding(column)? else {
            let rows = self.inner.range(column, start, end, reverse, limit)?;
            return self.open_rows(column, None, rows);
        };
        let (Some(from), Some(to)) = (key_of(&start), key_of(&end)) else {
            return Err(KvError::HiddenOrder(column.0));
        };
        let (from, to) = (hide(prf, *tail, from), hide(prf, *tail, to));
        if *tail == 0 || from.head != to.head {
            return Err(KvError::HiddenOrder(column.0));
        }
        let rows = self.inner.range(
            column,
            start.map(|_| from.stored.as_slice()),
            end.map(|_| to.stored.as_slice()),
            reverse,
            limit,
        )?;
        self.open_rows(column, Some(from.head), rows)
    }

    fn prefix(
        &self,
        column: Column,
        prefix: &[u8],
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<KeyValue>, KvError> {
        let Blinding::Hidden { prf, .. } = self.blinding(column)? else {
            let rows = self.inner.prefix(column, prefix, reverse, limit)?;
            return self.open_rows(column, None, rows);
        };
        let stored = blind(prf, prefix);
        let rows = self.inner.prefix(column, &stored, reverse, limit)?;
        self.open_rows(column, Some(prefix), rows)
    }

    fn write(&self, batch: Batch) -> Result<(), KvError> {
        let mut sealed = Batch::new();
        for (column, key, value) in batch.ops() {
            let stored = self.stored(column, key)?;
            match value {
                Some(value) => {
                    let value = self.sealer.seal(&[column.0.as_bytes(), key], value);
                    let value = value.map_err(|source| KvError::Sealed {
                        column: column.0,
                        source,
                    })?;
                    sealed.put(column, stored, value);
                }
                None => sealed.delete(column, stored),
            }
        }
        self.inner.write(sealed)
    }

    fn persist(&self) -> Result<(), KvError> {
        self.inner.persist()
    }

    fn column_bytes(&self, column: Column) -> Result<Option<u64>, KvError> {
        self.inner.column_bytes(column)
    }
}
