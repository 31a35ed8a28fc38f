//! Puts administrative acts into the audit log: those that commands left, and those that the node
//! notices.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use hawser_crypto::Suite;
use hawser_ops::audit::{AuditLog, Event, Kind};
use hawser_primitives::B256;

use super::inventory::{Inventory, Stock, noticed};
use crate::acts::{self, Act};
use crate::exit::{Code, OrFail, Result};
use crate::files;
use crate::quantity::counted;

/// How often the node looks at itself.
const LOOK: Duration = Duration::from_secs(1);

/// Looks, compares and writes down.
pub(super) struct Record {
    log: Arc<AuditLog>,
    data_dir: PathBuf,
    suite: Suite,
    stock: Stock,
    last: Inventory,
}

impl Record {
    /// Compares the node with what it was when it ran last. Gives, for the line of its start, what
    /// the inventory was and is.
    pub(super) fn begin(
        log: Arc<AuditLog>,
        data_dir: &Path,
        suite: Suite,
        mut stock: Stock,
    ) -> Result<(Self, String)> {
        // Everything else may be kept elsewhere.
        files::make_dir(data_dir)?;
        let now = stock.take();
        let (before, acts) = match Inventory::read(data_dir) {
            Ok(Some(before)) => {
                let acts = before.changes(&now);
                (before.digest(suite)?.to_string(), acts)
            }
            Ok(None) => ("none".to_owned(), vec![begun(&now, "there is none yet")]),
            Err(reason) => ("unreadable".to_owned(), vec![begun(&now, &reason)]),
        };
        let record = Self {
            log,
            data_dir: data_dir.to_owned(),
            suite,
            stock,
            last: now,
        };
        let digest = record.digest()?;
        for act in acts {
            record.write(act)?;
        }
        record.keep()?;
        Ok((record, format!("inventory was {before}, is {digest}")))
    }

    /// Hash of what the node is.
    fn digest(&self) -> Result<B256> {
        self.last.digest(self.suite)
    }

    fn write(&self, act: Act) -> Result<()> {
        let event = Event {
            time_ms: act.time_ms,
            who: act.who,
            how: "operator".to_owned(),
            method: act.command,
            resource: act.resource,
            decision: "done".to_owned(),
            reason: act.reason,
            ..Event::default()
        };
        let written = self.log.record_waiting(Kind::Admin, event);
        let written = written.or_fail(Code::Failed)?;
        // On the record before anything forgets it.
        written.blocking_recv().context(
            Code::Failed,
            "the audit log did not take an administrative act",
        )
    }

    fn keep(&self) -> Result<()> {
        self.last.write(&self.data_dir)
    }

    /// Writes down what commands left and what has changed.
    fn look(&mut self) -> Result<()> {
        for (path, act) in acts::waiting(&self.data_dir) {
            self.write(act)?;
            fs::remove_file(&path).context(Code::Failed, path.display())?;
        }
        let now = self.stock.take();
        if now == self.last {
            return Ok(());
        }
        for act in self.last.changes(&now) {
            tracing::info!(what = %act.command, resource = %act.resource, "changed");
            self.write(act)?;
        }
        self.last = now;
        self.keep()
    }
}

fn begun(now: &Inventory, why: &str) -> Act {
    let reason = format!("{why}; {} from now on", counted(now.len(), "thing"));
    noticed("inventory begun", "", &reason)
}

/// Looks every second until it is dropped, and once more then.
pub(super) struct Watch {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<Option<B256>>>,
}

impl Watch {
    /// Starts looking.
    pub(super) fn start(record: Record) -> Result<Self> {
        let (stop, stopped) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("record".to_owned())
            .spawn(move || run(record, &stopped))
            .context(Code::Failed, "cannot start a thread")?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Looks a last time; gives what the node is then.
    pub(super) fn stop(mut self) -> Option<B256> {
        self.end()
    }

    fn end(&mut self) -> Option<B256> {
        self.stop = None;
        let thread = self.thread.take()?;
        thread.join().unwrap_or_else(|_| {
            tracing::error!("the thread that watches the node's files panicked");
            None
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(mut record: Record, stopped: &Receiver<()>) -> Option<B256> {
    loop {
        let last = stopped.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout);
        if let Err(failure) = record.look() {
            tracing::error!(%failure, "administrative acts are not on the record; trying again");
        }
        if last {
            return record.digest().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hawser_node::config::{Overrides, load_text};
    use hawser_ops::audit::{AuditOptions, Filter, Sync, entries, verify};

    fn log(dir: &Path) -> Arc<AuditLog> {
        let options = AuditOptions {
            dir: dir.join("audit"),
            node: "node0".to_owned(),
            suite: Suite::Sm,
            segment_bytes_max: 1 << 20,
            sync: Sync::Always,
        };
        Arc::new(AuditLog::open(options).unwrap())
    }

    fn stock(dir: &Path, text: &str) -> Stock {
        let file = dir.join("node.toml");
        fs::write(&file, text).unwrap();
        let text = format!("[node]\ndata_dir = \"data\"\n{text}");
        let loaded = load_text(&text, &file, &Overrides::default()).unwrap();
        Stock::new(&file, &loaded, Vec::new(), Suite::Sm)
    }

    fn lines(dir: &Path) -> Vec<(String, String, String)> {
        let mut all = Vec::new();
        let filter = Filter {
            kind: Some(Kind::Admin),
            ..Filter::default()
        };
        entries(&dir.join("audit"), &filter, &mut |_, entry| {
            let event = entry.event.clone();
            all.push((event.who, event.method, event.resource));
            Ok(())
        })
        .unwrap();
        all
    }

    fn line(who: &str, command: &str, resource: &str) -> (String, String, String) {
        (who.to_owned(), command.to_owned(), resource.to_owned())
    }

    #[test]
    fn what_changes_while_the_node_is_down_is_noticed_at_its_start() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        let log = log(dir.path());
        let begin = |stock| Record::begin(Arc::clone(&log), &data, Suite::Sm, stock).unwrap();
        let (first, words) = begin(stock(dir.path(), ""));
        assert!(words.contains("was none"), "{words}");
        let digest = first.digest().unwrap();
        let (_, words) = begin(stock(dir.path(), ""));
        assert!(
            words.contains(&format!("was {digest}, is {digest}")),
            "{words}"
        );
        begin(stock(dir.path(), "[rpc]\nbatch_max = 7"));
        let found = lines(dir.path());
        let file = dir.path().join("node.toml").display().to_string();
        assert_eq!(
            found,
            [
                line("", "inventory begun", ""),
                line("", "setting changed", "rpc.batch_max"),
                line("", "configuration file changed", &file),
            ]
        );
        fs::write(data.join("inventory.json"), "[").unwrap();
        let (_, words) = begin(stock(dir.path(), ""));
        assert!(words.contains("was unreadable"), "{words}");
        assert_eq!(lines(dir.path()).pop().unwrap().1, "inventory begun");
    }

    #[test]
    fn a_running_node_takes_over_acts_and_notices_edits() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        let log = log(dir.path());
        let stock = stock(dir.path(), "");
        let (mut record, _) = Record::begin(Arc::clone(&log), &data, Suite::Sm, stock).unwrap();
        record.look().unwrap();
        assert_eq!(lines(dir.path()).len(), 1, "nothing has changed");
        Act::now("node invite", "i.json", "x").leave(&data).unwrap();
        let id = "11".repeat(32);
        let peers = format!(
            "{{\"admitted\": [{{\"id\": \"{id}\", \"address\": \"h:1\", \"name\": \"bank\"}}]}}"
        );
        fs::write(data.join("peers.json"), peers).unwrap();
        record.look().unwrap();
        let found = lines(dir.path());
        assert_eq!(
            (found[1].1.as_str(), found[1].2.as_str()),
            ("node invite", "i.json")
        );
        assert!(found[1].0.starts_with("uid:"));
        assert_eq!(found[2], line("", "peer admitted", &id));
        assert!(acts::waiting(&data).is_empty(), "taken");
        fs::remove_file(data.join("peers.json")).unwrap();
        // The last look is taken when the watch ends.
        let watch = Watch::start(record).unwrap();
        assert!(watch.stop().is_some());
        assert_eq!(
            lines(dir.path()).pop().unwrap(),
            line("", "peer removed", &id)
        );
        drop(log);
        assert!(verify(&dir.path().join("audit"), None).unwrap().is_good());
    }
}
