//! The node's audit log: who asked what, what was decided, and what operators did.
//!
//! Files of one JSON line per entry, each with a hash over the one before, so that an entry that
//! was changed, left out or moved is found by anybody who reads them ([`verify`]). Nothing is ever
//! rewritten or deleted here; a full file is followed by the next, and the chain of hashes goes on.
//!
//! What a chain of hashes cannot show is that its newest entries were cut off. Who needs to know
//! that keeps the number and hash of the newest entry elsewhere, and names it when verifying.
//!
//! # Format
//!
//! `audit-00000001.jsonl`, `audit-00000002.jsonl`, … each line
//! `{"hash":"<64 hexadecimal digits>","entry":{…}}`. The hash is the suite's (Keccak-256 or SM3)
//! over 16 bytes `hawser/audit//01`, the hash of the entry before (32 zero bytes for the first),
//! and the bytes of the entry's JSON as they stand in the line. Entries are numbered from 0. The
//! first of every file is of kind `segment`: it names the suite and the hash before it.

mod entry;
mod error;
mod export;
mod log;
mod read;
mod refusals;

pub use entry::{Entry, Event, Kind, LineError, SegmentStart};
pub use error::AuditError;
pub use export::{write_csv, write_json};
pub use log::{AuditLog, AuditOptions, Sync, Written};
pub use read::{Filter, Finding, Head, Report, entries, verify};
pub use refusals::{
    OVERFLOW_RULE, Refusal, RefusalLimits, RefusalSink, RefusalSource, RefusalWriter, Tally,
    refusals,
};
