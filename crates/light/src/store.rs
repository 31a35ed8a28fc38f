//! Verified headers on disk.
//!
//! `headers-*.seg` holds the headers alone, numbered by height: a certificate is as long as a
//! header and needed once. `committees.log` holds the genesis hash, then every change of the
//! committee with its certificate, so that a restart verifies again how the committee of its tip
//! came about.

use std::sync::Arc;

use hawser_ledger::{CertifiedHeader, CommitteeChange, Genesis, Header, LightClient};
use hawser_node::light::LightHeader;
use hawser_primitives::{B256, Height, decode_exact, encode};
use hawser_storage::{Disk, LogOptions, SegmentOptions, Segments, SyncedLog};
use parking_lot::Mutex;

use crate::StoreError;

/// Longest stored header, in bytes; one has 264.
const HEADER_BYTES_MAX: usize = 1_024;
/// Size of a file of headers: about 15,000 of them.
const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;
/// Longest stored change of a committee, in bytes.
const CHANGE_BYTES_MAX: usize = 1024 * 1024;

/// Headers of one chain, appended in order.
pub struct HeaderStore {
    headers: Segments,
    changes: Mutex<SyncedLog>,
    keep: u64,
}

/// Where a restarted node goes on.
pub struct Restored {
    /// Knows the committees of all headers that are stored.
    pub client: LightClient,
    /// The last stored header; `None` for a new folder.
    pub tip: Option<Header>,
}

impl HeaderStore {
    /// Opens the headers of a chain or begins with none. At least the newest `keep` are kept; 0
    /// keeps all.
    ///
    /// # Errors
    /// [`StoreError`] where the folder is another chain's, is damaged, or holds a change of the
    /// committee that does not verify.
    pub fn open(
        disk: Arc<dyn Disk>,
        genesis: &Genesis,
        keep: u64,
    ) -> Result<(Self, Restored), StoreError> {
        let options = LogOptions {
            record_bytes_max: CHANGE_BYTES_MAX,
            ..LogOptions::default()
        };
        let (mut changes, recovery) =
            SyncedLog::open(Arc::clone(&disk), "committees.log", options)?;
        let expected = genesis.hash();
        let mut client = LightClient::new(genesis)?;
        let mut records = recovery.records.into_iter();
        match records.next() {
            Some(found) if found == expected.as_slice() => {}
            Some(found) => {
                let found = B256::try_from(found.as_slice()).unwrap_or_default();
                return Err(StoreError::OtherGenesis { found, expected });
            }
            None => {
                changes.append(expected.as_slice())?;
                changes.sync()?;
            }
        }
        for record in records {
            let change: CommitteeChange = decode("change of the committee", &record)?;
            client.follow(&change)?;
        }
        let options = SegmentOptions {
            segment_bytes: SEGMENT_BYTES,
            item_bytes_max: HEADER_BYTES_MAX,
        };
        let (headers, _) = Segments::open(disk, "headers", options)?;
        let store = Self {
            headers,
            changes: Mutex::new(changes),
            keep,
        };
        let tip = match store.headers.last() {
            Some(last) => store.header(Height(last))?,
            None => None,
        };
        if let Some(tip) = &tip {
            let known = client.committee_hash(tip.height);
            if tip.chain_id != genesis.chain_id || tip.validators != known {
                return Err(StoreError::Inconsistent(format!(
                    "header {} is not of the committee that the stored changes lead to",
                    tip.height
                )));
            }
        }
        Ok((store, Restored { client, tip }))
    }

    /// Adds verified headers in order and makes them durable. A change of the committee is durable
    /// before the header that makes it.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails; the store takes nothing more then.
    pub fn append(&self, verified: &[LightHeader]) -> Result<(), StoreError> {
        let mut changes = self.changes.lock();
        for one in verified {
            let Some(next) = &one.next else { continue };
            let CertifiedHeader {
                header,
                certificate,
            } = one.certified.clone();
            let next = next.clone();
            changes.append(&encode(&CommitteeChange {
                header,
                certificate,
                next,
            }))?;
        }
        changes.sync()?;
        drop(changes);
        for one in verified {
            let header = &one.certified.header;
            self.headers.append(header.height.0, &encode(header))?;
        }
        self.headers.sync()?;
        if let (true, Some(last)) = (self.keep > 0, self.last()) {
            self.headers
                .drop_before(last.0.saturating_sub(self.keep).saturating_add(1))?;
        }
        Ok(())
    }

    /// A header; `None` where it is not kept.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails or the item is damaged.
    pub fn header(&self, height: Height) -> Result<Option<Header>, StoreError> {
        let item = self.headers.get(height.0)?;
        item.map(|item| decode("header", &item)).transpose()
    }

    /// First height kept.
    #[must_use]
    pub fn first(&self) -> Option<Height> {
        self.headers.first().map(Height)
    }

    /// Last height.
    #[must_use]
    pub fn last(&self) -> Option<Height> {
        self.headers.last().map(Height)
    }
}

fn decode<T: borsh::BorshDeserialize>(what: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
    decode_exact(bytes, CHANGE_BYTES_MAX).map_err(|source| StoreError::Decode { what, source })
}
