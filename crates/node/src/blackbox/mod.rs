//! The black box: the last minutes of a node's consensus events, kept on its disk for the day on which
//! somebody asks why the chain stood still.
//!
//! For: [`Tap`], which turns what a replica was told and did into entries; [`Recorder`], which keeps
//! them in a ring of files; [`read`] and [`timeline`], which read them back and say what went wrong.
//! Not for: anything that a replica must remember. A recording may be removed at any time.
//!
//! Invariants:
//! - recording never waits for the disk: entries that find no room are dropped and counted;
//! - the ring has a fixed size, and is never synced;
//! - no key, passphrase, token or content of a transaction is in it.

mod entry;
mod frame;
pub mod read;
mod ring;
mod tap;
pub mod timeline;

pub use entry::{
    DiskFile, Entry, Identity, Index, Member, NoteKind, Short, TEXT_BYTES_MAX, What, cut,
};
pub use frame::{Contents, Damage, FRAME_BYTES_MAX, MAGIC, parse};
pub use hawser_consensus::TimerKind;
pub use ring::{Recorder, RecorderStats, RingError, RingOptions};
pub use tap::{CLOCK_STEP_MS, HELD_MS, Noted, SLOW_DISK_MS, Tap};

/// Name of the folder of a recording within a chain's folder.
pub const FOLDER: &str = "blackbox";
