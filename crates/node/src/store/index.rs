//! Layout of the index columns. All integers are big endian, so that keys sort by number.

use std::ops::Bound;

use hawser_execution::NativeRegistry;
use hawser_ledger::{
    BlockId, CommitteeChange, Log, Receipt, Roots, SETTINGS_BYTES_MAX, SettingsEntry, state,
};
use hawser_primitives::{Address, B256, Height, decode_exact, encode};
use hawser_storage::{Batch, Column, KeyForm, Kv};

use super::{BlockResult, StoreError};

/// Transaction hash → height (8), position in the block (4).
const TRANSACTIONS: Column = Column("tx");
/// Block hash → height (8).
const BLOCKS: Column = Column("block");
/// Height (8) → bloom filter (256), for blocks with events.
const BLOOMS: Column = Column("bloom");
/// Height (8) → [`Roots`].
const ROOTS: Column = Column("roots");
/// Native contract (20), last topic (32), height (8), log position (4) → nothing. The last topic of
/// a native contract's event is the key that people look it up by.
const LOOKUPS: Column = Column("lookup");
/// First height (8) → [`SettingsEntry`], for every change of the chain's settings.
const SETTINGS: Column = Column("settings");
/// Facts about the whole.
const META: Column = Column("meta");
const META_GENESIS: &[u8] = b"genesis";
/// First height (8) of which everything is kept; absent where nothing was dropped.
const META_FIRST: &[u8] = b"first";
/// Height (8) of the snapshot that the store was made from; absent where it was not.
const META_IMPORTED: &[u8] = b"imported";
/// First height (8) of a committee → the [`CommitteeChange`] that a snapshot brought.
const CHANGES: Column = Column("change");

const HEIGHT_AND_POSITION_BYTES: usize = 12;

const COLUMNS: &[Column] = &[
    TRANSACTIONS,
    BLOCKS,
    BLOOMS,
    ROOTS,
    LOOKUPS,
    SETTINGS,
    META,
    CHANGES,
];

/// All columns that a chain's key-value store needs, the state's included.
#[must_use]
pub fn columns() -> Vec<Column> {
    COLUMNS
        .iter()
        .copied()
        .chain(state::StateStore::COLUMNS)
        .collect()
}

/// What of the keys of each column lies open in an encrypted store. Heights do: that a chain has
/// blocks 1 to n tells no more than the size of its files, besides which blocks had events (the
/// bloom filters) and when settings changed. Hashes and addresses do not.
#[must_use]
pub fn key_forms() -> Vec<(Column, KeyForm)> {
    let form = |column: &Column| match *column {
        TRANSACTIONS | BLOCKS => KeyForm::Hidden { tail: 0 },
        // What is looked up is hidden; the places found are in order.
        LOOKUPS => KeyForm::Hidden {
            tail: HEIGHT_AND_POSITION_BYTES,
        },
        _ => KeyForm::Open,
    };
    COLUMNS
        .iter()
        .map(|column| (*column, form(column)))
        .chain(state::StateStore::KEY_FORMS)
        .collect()
}

pub(super) fn check_genesis(kv: &dyn Kv, expected: &B256) -> Result<(), StoreError> {
    match kv.get(META, META_GENESIS)? {
        Some(bytes) if bytes != expected.as_slice() => Err(StoreError::WrongGenesis {
            found: B256::try_from(bytes.as_slice()).unwrap_or_default(),
            expected: *expected,
        }),
        _ => Ok(()),
    }
}

pub(super) fn put_genesis(batch: &mut Batch, hash: &B256) {
    batch.put(META, META_GENESIS, hash.as_slice());
}

/// The first height of which everything is kept, if some are not.
pub(super) fn first(kv: &dyn Kv) -> Result<Option<Height>, StoreError> {
    let stored = kv.get(META, META_FIRST)?;
    let bytes = stored.and_then(|bytes| <[u8; 8]>::try_from(bytes.as_slice()).ok());
    Ok(bytes.map(|bytes| Height(u64::from_be_bytes(bytes))))
}

pub(super) fn put_first(batch: &mut Batch, first: Height) {
    batch.put(META, META_FIRST, first.0.to_be_bytes());
}

pub(super) fn put_imported(batch: &mut Batch, height: Height) {
    batch.put(META, META_IMPORTED, height.0.to_be_bytes());
}

/// The height of the snapshot that the store was made from.
pub(super) fn imported(kv: &dyn Kv) -> Result<Option<Height>, StoreError> {
    let stored = kv.get(META, META_IMPORTED)?;
    let bytes = stored.and_then(|bytes| <[u8; 8]>::try_from(bytes.as_slice()).ok());
    Ok(bytes.map(|bytes| Height(u64::from_be_bytes(bytes))))
}

pub(super) fn put_change(batch: &mut Batch, change: &CommitteeChange) {
    let from = change.header.height.next();
    batch.put(CHANGES, from.0.to_be_bytes(), encode(change));
}

/// The changes of the committee that a snapshot brought, in order.
pub(super) fn changes(kv: &dyn Kv) -> Result<Vec<CommitteeChange>, StoreError> {
    let rows = kv.range(
        CHANGES,
        Bound::Unbounded,
        Bound::Unbounded,
        false,
        hawser_ledger::COMMITTEES_MAX,
    )?;
    let decode = |(key, bytes): &(Vec<u8>, Vec<u8>)| {
        decode_exact(bytes, CHANGE_BYTES_MAX).map_err(|source| StoreError::Decode {
            what: "change of the committee",
            height: Height(<[u8; 8]>::try_from(key.as_slice()).map_or(0, u64::from_be_bytes)),
            source,
        })
    };
    rows.iter().map(decode).collect()
}

/// Longest encoding of a change of the committee: a certificate and a committee of the largest size.
const CHANGE_BYTES_MAX: usize = 1024 * 1024;

/// Removes the rows of a block that are of use only together with the block: where its
/// transactions are, its bloom filter, its roots. Hashes of blocks stay, and what native contracts'
/// events are looked up by: a look-up must not take what was dropped for what never was.
pub(super) fn drop_block(
    kv: &dyn Kv,
    batch: &mut Batch,
    height: Height,
    receipts: &[Receipt],
) -> Result<(), StoreError> {
    for receipt in receipts {
        let hash = &receipt.transaction_hash;
        // One that was skipped here may have been executed later; then the row is of that place.
        if receipt.is_executed() || transaction(kv, hash)?.is_some_and(|(place, _)| place == height)
        {
            batch.delete(TRANSACTIONS, hash.as_slice());
        }
    }
    let at = height.0.to_be_bytes();
    batch.delete(BLOOMS, at);
    batch.delete(ROOTS, at);
    Ok(())
}

/// Compares the rows of a block with what execution gave; how many were looked at, or what is wrong.
pub(super) fn check_block(
    kv: &dyn Kv,
    height: Height,
    result: &BlockResult,
) -> Result<u64, String> {
    let text = |error: StoreError| error.to_string();
    let mut rows = 1u64;
    if roots(kv, height).map_err(text)? != Some(result.roots) {
        return Err(format!("the roots of block {height} are missing or others"));
    }
    for (position, receipt) in (0u32..).zip(&result.receipts) {
        let hash = &receipt.transaction_hash;
        let row = transaction(kv, hash).map_err(text)?;
        rows = rows.saturating_add(1);
        let right = match receipt.is_executed() {
            true => row == Some((height, position)),
            // It may have been executed elsewhere.
            false => row.is_some(),
        };
        if !right {
            return Err(format!(
                "transaction {hash}, at position {position} of block {height}, is not where the \
                 index says"
            ));
        }
    }
    if result.logs_bloom.iter().any(|byte| *byte != 0) {
        rows = rows.saturating_add(1);
        let at = height.0.to_be_bytes();
        let bloom = kv.get(BLOOMS, &at).map_err(|error| error.to_string())?;
        if bloom.as_deref() != Some(result.logs_bloom.as_slice()) {
            return Err(format!(
                "the bloom filter of block {height} is missing or another"
            ));
        }
    }
    Ok(rows)
}

pub(super) fn put_roots(batch: &mut Batch, roots: &Roots) {
    batch.put(ROOTS, roots.height.0.to_be_bytes(), encode(roots));
}

pub(super) fn roots(kv: &dyn Kv, height: Height) -> Result<Option<Roots>, StoreError> {
    let Some(bytes) = kv.get(ROOTS, &height.0.to_be_bytes())? else {
        return Ok(None);
    };
    decode_exact(&bytes, 128)
        .map(Some)
        .map_err(|source| StoreError::Decode {
            what: "roots",
            height,
            source,
        })
}

pub(super) fn put_settings(batch: &mut Batch, entry: &SettingsEntry) {
    batch.put(SETTINGS, entry.from.0.to_be_bytes(), encode(entry));
}

fn decode_settings(key: &[u8], bytes: &[u8]) -> Result<SettingsEntry, StoreError> {
    decode_exact(bytes, SETTINGS_BYTES_MAX).map_err(|source| StoreError::Decode {
        what: "settings",
        height: Height(<[u8; 8]>::try_from(key).map_or(0, u64::from_be_bytes)),
        source,
    })
}

/// The last change that takes effect at a height or before.
pub(super) fn settings_at(
    kv: &dyn Kv,
    height: Height,
) -> Result<Option<SettingsEntry>, StoreError> {
    let end = height.0.to_be_bytes();
    let rows = kv.range(SETTINGS, Bound::Unbounded, Bound::Included(&end), true, 1)?;
    rows.first()
        .map(|(key, bytes)| decode_settings(key, bytes))
        .transpose()
}

/// Changes that take effect within a range of heights, oldest first, at most `limit`.
pub(super) fn settings_between(
    kv: &dyn Kv,
    from: Height,
    to: Height,
    limit: usize,
) -> Result<Vec<SettingsEntry>, StoreError> {
    let (start, end) = (from.0.to_be_bytes(), to.0.to_be_bytes());
    let bounds = (Bound::Included(&start[..]), Bound::Included(&end[..]));
    let rows = kv.range(SETTINGS, bounds.0, bounds.1, false, limit)?;
    rows.iter()
        .map(|(key, bytes)| decode_settings(key, bytes))
        .collect()
}

fn lookup_key(address: &Address, topic: &B256, height: Height, position: u32) -> Vec<u8> {
    [
        address.as_slice(),
        topic.as_slice(),
        &height.0.to_be_bytes(),
        &position.to_be_bytes(),
    ]
    .concat()
}

pub(super) fn put_block(
    kv: &dyn Kv,
    batch: &mut Batch,
    id: BlockId,
    transactions: impl Iterator<Item = B256>,
    result: &BlockResult,
    natives: &NativeRegistry,
) -> Result<(), StoreError> {
    let height = id.height;
    let at = height.0.to_be_bytes();
    batch.put(BLOCKS, id.hash.as_slice(), at);
    put_roots(batch, &result.roots);
    for ((position, hash), receipt) in (0u32..).zip(transactions).zip(&result.receipts) {
        // A transaction can be ordered again after it was executed; then it is skipped, and its
        // place stays where it was executed.
        if !receipt.is_executed() && kv.get(TRANSACTIONS, hash.as_slice())?.is_some() {
            continue;
        }
        let value = [&at[..], &position.to_be_bytes()].concat();
        batch.put(TRANSACTIONS, hash.as_slice(), value);
    }
    if result.logs_bloom.iter().any(|byte| *byte != 0) {
        batch.put(BLOOMS, at, result.logs_bloom.clone());
        let logs = result.receipts.iter().flat_map(|receipt| &receipt.logs);
        for (position, log) in (0u32..).zip(logs) {
            let Log {
                address, topics, ..
            } = log;
            if natives.contains(address)
                && let [_, .., last] = topics.as_slice()
            {
                batch.put(
                    LOOKUPS,
                    lookup_key(address, last, height, position),
                    Vec::new(),
                );
            }
        }
    }
    Ok(())
}

pub(super) fn transaction(kv: &dyn Kv, hash: &B256) -> Result<Option<(Height, u32)>, StoreError> {
    let bytes = kv.get(TRANSACTIONS, hash.as_slice())?;
    Ok(bytes.and_then(|bytes| {
        let (height, position) = bytes.split_first_chunk::<8>()?;
        let position = u32::from_be_bytes(position.try_into().ok()?);
        Some((Height(u64::from_be_bytes(*height)), position))
    }))
}

pub(super) fn block(kv: &dyn Kv, hash: &B256) -> Result<Option<Height>, StoreError> {
    let bytes = kv.get(BLOCKS, hash.as_slice())?;
    Ok(bytes.and_then(|bytes| Some(Height(u64::from_be_bytes(bytes.try_into().ok()?)))))
}

/// Heights in the range whose blooms satisfy `wanted`, in order, at most `limit`.
pub(super) fn blooms(
    kv: &dyn Kv,
    from: Height,
    to: Height,
    wanted: &dyn Fn(&[u8]) -> bool,
) -> Result<Vec<Height>, StoreError> {
    /// Blooms read at once: 1 MiB.
    const STEP: usize = 4_096;
    let (mut found, mut next) = (Vec::new(), from.0);
    loop {
        let (start, end) = (next.to_be_bytes(), to.0.to_be_bytes());
        let rows = kv.range(
            BLOOMS,
            Bound::Included(&start),
            Bound::Included(&end),
            false,
            STEP,
        )?;
        let full = rows.len() == STEP;
        for (key, bloom) in rows {
            let Ok(height) = <[u8; 8]>::try_from(key.as_slice()).map(u64::from_be_bytes) else {
                continue;
            };
            if wanted(&bloom) {
                found.push(Height(height));
            }
            next = height.saturating_add(1);
        }
        if !full {
            return Ok(found);
        }
    }
}

/// Places of a native contract's events by their last topic, oldest first.
pub(super) fn lookups(
    kv: &dyn Kv,
    address: &Address,
    topic: &B256,
    limit: usize,
) -> Result<Vec<(Height, u32)>, StoreError> {
    let prefix = [address.as_slice(), topic.as_slice()].concat();
    let rows = kv.prefix(LOOKUPS, &prefix, false, limit)?;
    let place = |(key, _): (Vec<u8>, Vec<u8>)| {
        let rest = key.get(prefix.len()..)?;
        let (height, position) = rest.split_first_chunk::<8>()?;
        let position = u32::from_be_bytes(position.try_into().ok()?);
        Some((Height(u64::from_be_bytes(*height)), position))
    };
    Ok(rows.into_iter().filter_map(place).collect())
}
