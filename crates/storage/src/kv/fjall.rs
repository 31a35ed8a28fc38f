use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use fjall::{
    Database, Guard, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch as WriteBatch, PersistMode,
};

use super::{Batch, Column, KeyValue, Kv, check_key, is_empty_range};
use crate::KvError;

/// Smallest and largest write buffer of a column in bytes; between them half of the block cache. Four nodes on one machine
/// must stay far below a gigabyte, and what a node is given little memory for must not fill large buffers for hours.
const MEMTABLE_BYTES: (u64, u64) = (2 * 1024 * 1024, 16 * 1024 * 1024);
/// Bytes of journal after which the engine flushes the columns that hold it back.
const JOURNAL_BYTES: u64 = 128 * 1024 * 1024;
/// Smallest and largest block cache in bytes.
const CACHE_BYTES: (u64, u64) = (1024 * 1024, 1 << 40);
/// Open table files. The engine asks for ten at least.
const OPEN_FILES: usize = 256;

/// A store on disk: a log-structured merge tree (fjall 3), one key space per column.
///
/// Memory is bounded by the cache, and by two write buffers for each column that is written to heavily: each half of the
/// cache with which the folder was made, 2 to 16 MiB (the engine writes a column's size down when it makes it). What the
/// engine counts are keys and values; in memory they take twice that. An idle store holds a few megabytes.
pub struct FjallKv {
    database: Database,
    columns: BTreeMap<Column, Keyspace>,
    poisoned: AtomicBool,
}

impl FjallKv {
    /// Opens or creates the store in a folder. It is locked against other processes until dropped.
    ///
    /// `cache_bytes` bounds the block cache that all columns share.
    pub fn open(path: &Path, columns: &[Column], cache_bytes: u64) -> Result<Self, KvError> {
        let database = Database::builder(path)
            .cache_size(cache_bytes.clamp(CACHE_BYTES.0, CACHE_BYTES.1))
            .max_cached_files(Some(OPEN_FILES))
            .max_journaling_size(JOURNAL_BYTES)
            // With more, one of them hands compactions on and on while another is busy with one.
            .worker_threads(1)
            .open()
            .map_err(|error| engine("open", &error))?;
        let memtable = (cache_bytes / 2).clamp(MEMTABLE_BYTES.0, MEMTABLE_BYTES.1);
        let columns = columns
            .iter()
            .map(|&column| {
                let options = || KeyspaceCreateOptions::default().max_memtable_size(memtable);
                let keyspace = database
                    .keyspace(column.0, options)
                    .map_err(|error| engine("open column", &error))?;
                Ok((column, keyspace))
            })
            .collect::<Result<_, KvError>>()?;
        Ok(Self {
            database,
            columns,
            poisoned: AtomicBool::new(false),
        })
    }

    /// Bytes on disk: tables and journals.
    pub fn disk_bytes(&self) -> Result<u64, KvError> {
        self.usable()?;
        self.database
            .disk_space()
            .map_err(|error| engine("measure", &error))
    }

    fn usable(&self) -> Result<(), KvError> {
        if self.poisoned.load(Ordering::Acquire) {
            Err(KvError::Poisoned)
        } else {
            Ok(())
        }
    }

    fn column(&self, column: Column) -> Result<&Keyspace, KvError> {
        self.usable()?;
        self.columns
            .get(&column)
            .ok_or(KvError::UnknownColumn(column.0))
    }

    fn poison(&self, operation: &'static str, error: &fjall::Error) -> KvError {
        self.poisoned.store(true, Ordering::Release);
        tracing::error!(operation, %error, "durable write failed; the store refuses further calls");
        engine(operation, error)
    }
}

fn engine(operation: &'static str, error: &fjall::Error) -> KvError {
    KvError::Engine {
        operation,
        reason: error.to_string(),
    }
}

impl Kv for FjallKv {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        check_key(key)?;
        let value = self
            .column(column)?
            .get(key)
            .map_err(|error| engine("get", &error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn range(
        &self,
        column: Column,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<KeyValue>, KvError> {
        let keyspace = self.column(column)?;
        if is_empty_range(start, end) {
            return Ok(Vec::new());
        }
        let owned = |guard: Guard| {
            let (key, value) = guard
                .into_inner()
                .map_err(|error| engine("range", &error))?;
            Ok((key.to_vec(), value.to_vec()))
        };
        let found = keyspace.range::<&[u8], _>((start, end));
        if reverse {
            found.rev().take(limit).map(owned).collect()
        } else {
            found.take(limit).map(owned).collect()
        }
    }

    fn write(&self, batch: Batch) -> Result<(), KvError> {
        batch.check()?;
        self.usable()?;
        let mut write = WriteBatch::with_capacity(self.database.clone(), batch.len())
            .durability(Some(PersistMode::Buffer));
        for (column, key, value) in batch.ops() {
            let keyspace = self.column(column)?;
            match value {
                Some(value) => write.insert(keyspace, key, value),
                None => write.remove(keyspace, key),
            }
        }
        write.commit().map_err(|error| self.poison("write", &error))
    }

    fn column_bytes(&self, column: Column) -> Result<Option<u64>, KvError> {
        Ok(Some(self.column(column)?.disk_space()))
    }

    fn persist(&self) -> Result<(), KvError> {
        self.usable()?;
        self.database
            .persist(PersistMode::SyncAll)
            .map_err(|error| self.poison("persist", &error))
    }
}
