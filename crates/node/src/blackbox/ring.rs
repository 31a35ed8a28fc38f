//! Keeps entries in a ring of files, by a thread of its own.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, unbounded};
use thiserror::Error;

use super::{
    entry::{Entry, What},
    frame::{FRAME_BYTES_MAX, FRAME_ENTRIES_MAX, MAGIC, frame, parse},
    read::{self, FILE_BYTES_MAX},
};

/// Entries that may wait for the disk.
const QUEUE_ENTRIES_MAX: usize = 16_384;
/// How long entries are gathered before they are written together.
const GATHER: Duration = Duration::from_millis(40);

/// Size of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingOptions {
    /// Bytes after which the next file is begun.
    pub segment_bytes: u64,
    /// Files that are kept, at least 2.
    pub segments: usize,
}

impl Default for RingOptions {
    /// Four files of 2 MiB: ten minutes at fifty blocks a second of four validators.
    fn default() -> Self {
        Self {
            segment_bytes: 2 * 1024 * 1024,
            segments: 4,
        }
    }
}

/// Why a ring cannot be opened.
#[derive(Debug, Error)]
#[error("{path}: {source}")]
pub struct RingError {
    /// The file or folder.
    pub path: PathBuf,
    /// What the operating system says.
    pub source: std::io::Error,
}

/// What a recorder has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecorderStats {
    /// Bytes written.
    pub bytes: u64,
    /// Entries dropped because the disk did not keep up, or failed.
    pub lost: u64,
}

#[derive(Debug, Default)]
struct Shared {
    queued: AtomicUsize,
    lost: AtomicU64,
    lost_unsaid: AtomicU64,
    bytes: AtomicU64,
    failed: AtomicBool,
}

impl Shared {
    fn lose(&self, entries: usize) {
        self.lost.fetch_add(entries as u64, Ordering::Relaxed);
        self.lost_unsaid
            .fetch_add(entries as u64, Ordering::Relaxed);
    }
}

/// Takes entries from the thread that agrees, and never makes it wait.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    queue: Option<Sender<Vec<Entry>>>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Goes on with the ring in a folder, which is made if it is not there.
    pub fn open(folder: &Path, options: RingOptions) -> Result<Self, RingError> {
        let ring = Ring::open(folder, options)?;
        let shared = Arc::new(Shared::default());
        let (queue, entries) = unbounded();
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("blackbox".to_owned())
            .spawn(move || write(ring, &entries, &theirs))
            .map_err(|source| RingError {
                path: folder.to_owned(),
                source,
            })?;
        Ok(Self {
            shared,
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Takes entries in order of time. Where too many wait, these are dropped and counted.
    pub fn put(&self, entries: Vec<Entry>) {
        let count = entries.len();
        if count == 0 {
            return;
        }
        let waiting = self.shared.queued.fetch_add(count, Ordering::Relaxed);
        let room = waiting.saturating_add(count) <= QUEUE_ENTRIES_MAX;
        let taken = room
            && self
                .queue
                .as_ref()
                .is_some_and(|queue| queue.send(entries).is_ok());
        if !taken {
            self.shared.queued.fetch_sub(count, Ordering::Relaxed);
            self.shared.lose(count);
        }
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> RecorderStats {
        RecorderStats {
            bytes: self.shared.bytes.load(Ordering::Relaxed),
            lost: self.shared.lost.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Recorder {
    /// Writes what waits.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // It panicked: nothing is lost but the end of the recording.
            let _ = thread.join();
        }
    }
}

/// Writes what comes until nobody sends any more.
fn write(mut ring: Ring, queue: &Receiver<Vec<Entry>>, shared: &Shared) {
    while let Ok(mut entries) = queue.recv() {
        // One write for all that comes within a moment. Under load the sender then finds this thread
        // at work and need not wake it.
        thread::sleep(GATHER);
        while entries.len() < QUEUE_ENTRIES_MAX
            && let Ok(more) = queue.try_recv()
        {
            entries.extend(more);
        }
        shared.queued.fetch_sub(entries.len(), Ordering::Relaxed);
        if shared.failed.load(Ordering::Relaxed) {
            shared.lose(entries.len());
            continue;
        }
        let lost = shared.lost_unsaid.swap(0, Ordering::Relaxed);
        if lost > 0
            && let Some(last) = entries.last()
        {
            let (at, height) = (last.at, last.height);
            entries.push(Entry {
                at,
                height,
                what: What::Lost(lost),
            });
        }
        match ring.write(&entries) {
            Ok(bytes) => {
                shared.bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            Err(error) => {
                shared.failed.store(true, Ordering::Relaxed);
                shared.lose(entries.len());
                tracing::warn!(
                    folder = %ring.folder.display(), %error,
                    "the recording of consensus events ends; the chain goes on without. Free space on \
                     the disk or look at the folder's rights, and restart the node"
                );
            }
        }
    }
}

/// The files.
struct Ring {
    folder: PathBuf,
    options: RingOptions,
    file: Option<File>,
    number: u64,
    len: u64,
    /// What every file begins with, as it was said last.
    identity: Option<Entry>,
    committee: Option<Entry>,
}

impl Ring {
    fn open(folder: &Path, options: RingOptions) -> Result<Self, RingError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| RingError { path, source }
        };
        fs::create_dir_all(folder).map_err(failed(folder))?;
        let mut ring = Self {
            folder: folder.to_owned(),
            options,
            file: None,
            number: 0,
            len: 0,
            identity: None,
            committee: None,
        };
        let Some((number, path)) = read::segments(folder).map_err(failed(folder))?.pop() else {
            return Ok(ring);
        };
        ring.number = number;
        let len = fs::metadata(&path).map_err(failed(&path))?.len();
        if len < options.segment_bytes.min(FILE_BYTES_MAX) {
            // A ring of files that hold little would forget too much in a series of restarts.
            let contents = parse(&fs::read(&path).map_err(failed(&path))?);
            if contents.valid_bytes >= MAGIC.len() as u64 {
                let file = OpenOptions::new().append(true).open(&path);
                let file = file.map_err(failed(&path))?;
                file.set_len(contents.valid_bytes).map_err(failed(&path))?;
                (ring.file, ring.len) = (Some(file), contents.valid_bytes);
            }
        }
        Ok(ring)
    }

    fn write(&mut self, entries: &[Entry]) -> std::io::Result<u64> {
        let mut bytes = 0u64;
        for part in entries.chunks(FRAME_ENTRIES_MAX) {
            bytes = bytes.saturating_add(self.write_part(part)?);
        }
        Ok(bytes)
    }

    fn write_part(&mut self, entries: &[Entry]) -> std::io::Result<u64> {
        let encoded = frame(entries);
        if encoded.len() > FRAME_BYTES_MAX {
            let (one, two) = entries.split_at(entries.len() / 2);
            if one.is_empty() {
                // One entry that no reader would take; nothing of this program is as long.
                return Ok(0);
            }
            let first = self.write_part(one)?;
            return Ok(first.saturating_add(self.write_part(two)?));
        }
        let full = self.len.saturating_add(encoded.len() as u64) > self.options.segment_bytes;
        let mut bytes = 0u64;
        if self.file.is_none() || full {
            bytes = self.next()?;
        }
        for entry in entries {
            match entry.what {
                What::Identity(_) => self.identity = Some(entry.clone()),
                What::Committee(_) => self.committee = Some(entry.clone()),
                _ => {}
            }
        }
        self.append(&encoded)?;
        Ok(bytes.saturating_add(encoded.len() as u64))
    }

    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if let Some(file) = &mut self.file {
            file.write_all(bytes)?;
            self.len = self.len.saturating_add(bytes.len() as u64);
        }
        Ok(())
    }

    /// Begins the next file, and removes those that are too many.
    fn next(&mut self) -> std::io::Result<u64> {
        self.number = self.number.saturating_add(1);
        let path = self.folder.join(read::segment_name(self.number));
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        (self.file, self.len) = (Some(file), 0);
        let mut head = MAGIC.to_vec();
        let context: Vec<_> = [&self.identity, &self.committee]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        if !context.is_empty() {
            head.extend(frame(&context));
        }
        self.append(&head)?;
        let all = read::segments(&self.folder)?;
        let surplus = all.len().saturating_sub(self.options.segments.max(2));
        for (_, path) in all.into_iter().take(surplus) {
            fs::remove_file(path)?;
        }
        Ok(head.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blackbox::entry::{Identity, Member};
    use hawser_primitives::{Address, B256, ChainId, Height, Time};

    fn entry(at: u64, what: What) -> Entry {
        Entry {
            at: Time(at),
            height: Height(at / 10),
            what,
        }
    }

    fn identity() -> Entry {
        let what = What::Identity(Identity {
            chain: ChainId(7),
            genesis: B256::ZERO,
            node: "a".to_owned(),
            program: "1".to_owned(),
            protocol: 1,
            validator: None,
        });
        entry(1, what)
    }

    fn committee() -> Entry {
        let member = Member {
            address: Address::ZERO,
            name: "v".to_owned(),
            weight: 1,
        };
        entry(2, What::Committee(vec![member]))
    }

    const SMALL: RingOptions = RingOptions {
        segment_bytes: 1_000,
        segments: 3,
    };

    fn record(folder: &Path, batches: u64) -> RecorderStats {
        let recorder = Recorder::open(folder, SMALL).unwrap();
        recorder.put(vec![identity(), committee(), entry(3, What::Started)]);
        for i in 0..batches {
            recorder.put(vec![entry(10 + i, What::Executed)]);
        }
        let shared = Arc::clone(&recorder.shared);
        drop(recorder);
        assert_eq!(shared.queued.load(Ordering::Relaxed), 0);
        RecorderStats {
            bytes: shared.bytes.load(Ordering::Relaxed),
            lost: shared.lost.load(Ordering::Relaxed),
        }
    }

    #[test]
    fn what_was_put_is_read_and_a_restart_goes_on_in_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        for run in 1..=2 {
            let stats = record(folder.path(), 5);
            assert_eq!(stats.lost, 0);
            let recording = read::folder(folder.path()).unwrap();
            assert_eq!(recording.problems, Vec::new());
            assert_eq!(recording.entries.len(), run * 8);
            assert_eq!(recording.identity.as_ref().unwrap().node, "a");
        }
        assert_eq!(read::segments(folder.path()).unwrap().len(), 1);
    }

    #[test]
    fn the_ring_keeps_its_size_and_every_file_says_whose_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut ring = Ring::open(folder.path(), SMALL).unwrap();
        ring.write(&[identity(), committee()]).unwrap();
        for i in 0..500 {
            ring.write(&[entry(10 + i, What::Executed)]).unwrap();
            let all = read::segments(folder.path()).unwrap();
            assert!(all.len() <= SMALL.segments);
            for (_, path) in all {
                assert!(fs::metadata(path).unwrap().len() <= SMALL.segment_bytes);
            }
        }
        let all = read::segments(folder.path()).unwrap();
        assert_eq!(all.len(), SMALL.segments);
        for (_, path) in all {
            let contents = parse(&fs::read(path).unwrap());
            assert_eq!(contents.entries[0], identity());
            assert_eq!(contents.entries[1], committee());
        }
        let recording = read::folder(folder.path()).unwrap();
        assert_eq!(recording.entries.last().unwrap().at, Time(509));
    }

    #[test]
    fn a_torn_end_is_cut_off_and_a_foreign_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        record(folder.path(), 3);
        let (_, path) = read::segments(folder.path()).unwrap().pop().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend([9, 0, 0, 0, 1]);
        fs::write(&path, &bytes).unwrap();
        record(folder.path(), 1);
        let recording = read::folder(folder.path()).unwrap();
        assert_eq!(recording.problems, Vec::new());
        assert_eq!(recording.entries.len(), 6 + 4);

        fs::write(&path, b"something else entirely").unwrap();
        record(folder.path(), 1);
        assert_eq!(fs::read(&path).unwrap(), b"something else entirely");
        assert_eq!(read::segments(folder.path()).unwrap().len(), 2);
    }

    #[test]
    fn both_sides_of_the_bound_on_what_waits() {
        let shared = Arc::new(Shared::default());
        let (queue, waiting) = unbounded();
        let recorder = Recorder {
            shared: Arc::clone(&shared),
            queue: Some(queue),
            thread: None,
        };
        let many = vec![entry(1, What::Executed); QUEUE_ENTRIES_MAX];
        recorder.put(many);
        assert_eq!(recorder.stats().lost, 0);
        recorder.put(vec![entry(2, What::Executed)]);
        assert_eq!(recorder.stats().lost, 1);
        assert_eq!(waiting.len(), 1);

        // What was dropped is said when there is room again.
        let folder = tempfile::tempdir().unwrap();
        let ring = Ring::open(folder.path(), RingOptions::default()).unwrap();
        drop(recorder);
        write(ring, &waiting, &shared);
        let recording = read::folder(folder.path()).unwrap();
        assert_eq!(recording.entries.last().unwrap().what, What::Lost(1));
        assert_eq!(recording.entries.len(), QUEUE_ENTRIES_MAX + 1);
    }

    #[test]
    fn a_disk_that_fails_ends_the_recording_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("gone");
        let recorder = Recorder::open(&inside, SMALL).unwrap();
        fs::remove_dir_all(&inside).unwrap();
        let shared = Arc::clone(&recorder.shared);
        recorder.put(vec![identity()]);
        drop(recorder);
        assert!(shared.failed.load(Ordering::Relaxed));
        assert_eq!(shared.lost.load(Ordering::Relaxed), 1);
    }
}
