//! Appending: a thread of its own writes and syncs, so that nobody waits for a disk without need.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use hawser_crypto::Suite;
use hawser_primitives::B256;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{
    AuditError,
    entry::{ENTRY_BYTES_MAX, Entry, Event, Kind, SegmentStart, hash, write_line},
    read::{Head, check_file, segment_path, segments},
};

/// Entries that wait to be written.
const QUEUE_MAX: usize = 8_192;
/// Entries written before a sync, so that one who waits for it does not wait for all.
const BATCH_MAX: usize = 1_024;

/// When entries are on disk for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Before the answer leaves: whoever waits for [`Written`] knows the entry is durable.
    Always,
    /// After this long at the latest; a power failure may take what is newer.
    Within(Duration),
}

/// How the log is kept.
#[derive(Clone, Debug)]
pub struct AuditOptions {
    /// Folder of its files; made if it is not there.
    pub dir: PathBuf,
    /// Name of the node, stated in every file.
    pub node: String,
    /// Whose hash chains the entries.
    pub suite: Suite,
    /// A file that reaches this many bytes is followed by another.
    pub segment_bytes_max: u64,
    /// When entries are durable.
    pub sync: Sync,
}

/// Ends when the entry is written, and durable where the log syncs always; with an error where it
/// never will be.
pub type Written = oneshot::Receiver<()>;

struct Job {
    kind: Kind,
    event: Event,
    done: Option<oneshot::Sender<()>>,
}

/// The log of a running node. Dropping it writes and syncs what waits.
pub struct AuditLog {
    jobs: Option<SyncSender<Job>>,
    writer: Option<std::thread::JoinHandle<()>>,
    shared: Arc<Shared>,
    always: bool,
}

struct Shared {
    failed: Mutex<Option<String>>,
    head: Mutex<Head>,
}

impl AuditLog {
    /// Opens the log and goes on where it ended. A last line that a crash left incomplete is cut
    /// off; every other irregularity of the newest file is an error.
    ///
    /// # Errors
    /// [`AuditError`].
    pub fn open(options: AuditOptions) -> Result<Self, AuditError> {
        let always = options.sync == Sync::Always;
        let writer = Writer::open(options)?;
        let shared = Arc::clone(&writer.shared);
        let (jobs, received) = sync_channel(QUEUE_MAX);
        let path = writer.options.dir.clone();
        let thread = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run(&received))
            .map_err(|error| io(&path, &error))?;
        Ok(Self {
            jobs: Some(jobs),
            writer: Some(thread),
            shared,
            always,
        })
    }

    /// Takes an entry. Gives something to wait for where the log syncs always.
    ///
    /// # Errors
    /// [`AuditError::Behind`] and [`AuditError::Failed`]: it is not on the record and will not be.
    pub fn record(&self, kind: Kind, event: Event) -> Result<Option<Written>, AuditError> {
        if !self.always {
            self.send(kind, event, None)?;
            return Ok(None);
        }
        self.record_waiting(kind, event).map(Some)
    }

    /// As [`Self::record`], with something to wait for in any case.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub fn record_waiting(&self, kind: Kind, event: Event) -> Result<Written, AuditError> {
        let (done, written) = oneshot::channel();
        self.send(kind, event, Some(done))?;
        Ok(written)
    }

    fn send(
        &self,
        kind: Kind,
        event: Event,
        done: Option<oneshot::Sender<()>>,
    ) -> Result<(), AuditError> {
        let gone = || {
            let why = self.shared.failed.lock().clone();
            AuditError::Failed(why.unwrap_or_else(|| "its thread has ended".to_owned()))
        };
        if self.shared.failed.lock().is_some() {
            return Err(gone());
        }
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        jobs.try_send(Job { kind, event, done })
            .map_err(|error| match error {
                TrySendError::Full(_) => AuditError::Behind(QUEUE_MAX),
                TrySendError::Disconnected(_) => gone(),
            })
    }

    /// The newest entry that is written.
    #[must_use]
    pub fn head(&self) -> Head {
        *self.shared.head.lock()
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the audit log's thread panicked");
        }
    }
}

struct Writer {
    options: AuditOptions,
    shared: Arc<Shared>,
    file: File,
    path: PathBuf,
    number: u64,
    bytes: u64,
    /// Number of the next entry.
    next: u64,
    previous: B256,
    unsynced_since: Option<Instant>,
}

fn io(path: &Path, error: &std::io::Error) -> AuditError {
    AuditError::Io {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    })
}

impl Writer {
    fn open(options: AuditOptions) -> Result<Self, AuditError> {
        fs::create_dir_all(&options.dir).map_err(|error| io(&options.dir, &error))?;
        let shared = Arc::new(Shared {
            failed: Mutex::new(None),
            head: Mutex::new(Head::default()),
        });
        let Some((number, path)) = segments(&options.dir)?.pop() else {
            return Self::begin(options, shared, 1, 0, B256::ZERO);
        };
        let checked = check_file(&path)?;
        if let Some((line, reason)) = checked.problem {
            return Err(AuditError::Broken { path, line, reason });
        }
        if checked.torn_bytes > 0 && checked.head.is_some() {
            let file = OpenOptions::new().write(true).open(&path);
            file.and_then(|file| {
                file.set_len(checked.good_bytes)
                    .and_then(|()| file.sync_all())
            })
            .map_err(|error| io(&path, &error))?;
            tracing::warn!(
                bytes = checked.torn_bytes,
                "audit log: an incomplete last line was cut off"
            );
        }
        // A file without its first entry was being begun when the node ended.
        let (Some(head), Some(start)) = (checked.head, checked.start) else {
            let (before, hash) = match segments(&options.dir)?.iter().rev().nth(1) {
                Some((_, earlier)) => {
                    let earlier = check_file(earlier)?.head.unwrap_or_default();
                    (earlier.n.saturating_add(1), earlier.hash)
                }
                None => (0, B256::ZERO),
            };
            if checked.torn_bytes > 0 {
                // Whatever it is: somebody may want to know.
                let aside = path.with_extension(format!("{}.aside", now_ms()));
                fs::rename(&path, &aside).map_err(|error| io(&path, &error))?;
                tracing::warn!(file = %aside.display(), "audit log: a file without an entry was put aside");
            } else {
                fs::remove_file(&path).map_err(|error| io(&path, &error))?;
            }
            return Self::begin(options, shared, number, before, hash);
        };
        if start.suite != options.suite {
            return Err(AuditError::Suite {
                path,
                found: start.suite.name().to_owned(),
                expected: options.suite.name().to_owned(),
            });
        }
        let file = OpenOptions::new().append(true).open(&path);
        let file = file.map_err(|error| io(&path, &error))?;
        *shared.head.lock() = head;
        let mut writer = Self {
            options,
            shared,
            file,
            path,
            number,
            bytes: checked.good_bytes,
            next: head.n.saturating_add(1),
            previous: head.hash,
            unsynced_since: None,
        };
        if checked.torn_bytes > 0 {
            let event = Event {
                time_ms: now_ms(),
                method: "audit recovery".to_owned(),
                how: "operator".to_owned(),
                decision: "done".to_owned(),
                reason: format!(
                    "{} bytes of an incomplete entry were cut off after a crash",
                    checked.torn_bytes
                ),
                ..Event::default()
            };
            writer.append(Kind::Admin, event)?;
            writer.sync()?;
        }
        Ok(writer)
    }

    /// Begins a file.
    fn begin(
        options: AuditOptions,
        shared: Arc<Shared>,
        number: u64,
        next: u64,
        previous: B256,
    ) -> Result<Self, AuditError> {
        let path = segment_path(&options.dir, number);
        let file = create(&path)?;
        let mut writer = Self {
            options,
            shared,
            file,
            path,
            number,
            bytes: 0,
            next,
            previous,
            unsynced_since: None,
        };
        writer.start_segment()?;
        Ok(writer)
    }

    fn start_segment(&mut self) -> Result<(), AuditError> {
        let entry = Entry {
            n: self.next,
            kind: Kind::Segment,
            segment: Some(SegmentStart {
                number: self.number,
                suite: self.options.suite,
                previous: self.previous,
                node: self.options.node.clone(),
            }),
            event: Event {
                time_ms: now_ms(),
                ..Event::default()
            },
        };
        self.write(&entry)?;
        self.sync()?;
        // The name of a new file is durable only when its folder is.
        let folder = File::open(&self.options.dir).and_then(|dir| dir.sync_all());
        folder.map_err(|error| io(&self.options.dir, &error))
    }

    fn append(&mut self, kind: Kind, event: Event) -> Result<(), AuditError> {
        if self.bytes >= self.options.segment_bytes_max {
            self.sync()?;
            self.number = self.number.saturating_add(1);
            self.path = segment_path(&self.options.dir, self.number);
            self.file = create(&self.path)?;
            self.bytes = 0;
            self.start_segment()?;
        }
        let entry = Entry {
            n: self.next,
            kind,
            segment: None,
            event,
        };
        self.write(&entry)
    }

    fn write(&mut self, entry: &Entry) -> Result<(), AuditError> {
        let text =
            serde_json::to_string(entry).map_err(|error| AuditError::Failed(error.to_string()))?;
        if text.len() > ENTRY_BYTES_MAX {
            return Err(AuditError::TooLarge(text.len()));
        }
        let hash = hash(self.options.suite, &self.previous, &text);
        let mut line = write_line(&hash, &text);
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .map_err(|error| io(&self.path, &error))?;
        self.bytes = self.bytes.saturating_add(line.len() as u64);
        self.previous = hash;
        *self.shared.head.lock() = Head { n: self.next, hash };
        self.next = self.next.saturating_add(1);
        self.unsynced_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), AuditError> {
        self.unsynced_since = None;
        self.file
            .sync_data()
            .map_err(|error| io(&self.path, &error))
    }

    fn run(mut self, jobs: &Receiver<Job>) {
        if let Err(error) = self.work(jobs) {
            tracing::error!(%error, "the audit log failed; requests that need it are refused");
            *self.shared.failed.lock() = Some(error.to_string());
        }
    }

    fn work(&mut self, jobs: &Receiver<Job>) -> Result<(), AuditError> {
        loop {
            let first = match (self.options.sync, self.unsynced_since) {
                (Sync::Within(limit), Some(since)) => {
                    match jobs.recv_timeout(limit.saturating_sub(since.elapsed())) {
                        Ok(job) => job,
                        Err(RecvTimeoutError::Timeout) => {
                            self.sync()?;
                            continue;
                        }
                        Err(RecvTimeoutError::Disconnected) => return self.sync(),
                    }
                }
                _ => match jobs.recv() {
                    Ok(job) => job,
                    Err(_) => return self.sync(),
                },
            };
            let mut waiting = Vec::new();
            let more = jobs.try_iter().take(BATCH_MAX);
            for job in std::iter::once(first).chain(more) {
                match self.append(job.kind, job.event) {
                    Ok(()) => waiting.extend(job.done),
                    // Refused, not failed: who waits learns it by the closed channel.
                    Err(AuditError::TooLarge(bytes)) => {
                        tracing::error!(bytes, "an audit entry was too large and is not kept");
                    }
                    Err(error) => return Err(error),
                }
            }
            let due = match self.options.sync {
                Sync::Always => true,
                Sync::Within(limit) => self
                    .unsynced_since
                    .is_some_and(|since| since.elapsed() >= limit),
            };
            if due {
                self.sync()?;
            }
            for done in waiting {
                // Who asked may have gone away.
                let _ = done.send(());
            }
        }
    }
}

fn create(path: &Path) -> Result<File, AuditError> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new()
        .create_new(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| io(path, &error))
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
