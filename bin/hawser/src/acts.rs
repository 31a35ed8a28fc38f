//! What commands do to a node, left in its data folder for the node's audit log.
//!
//! Only the node writes its log. A command leaves a file per act in [`FOLDER`]; the node takes it
//! over within a second, or at its next start.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use hawser_primitives::give_to_owner_of;
use serde::{Deserialize, Serialize};

use crate::exit::{Code, OrFail, Result, fail};
use crate::files;

/// Folder within the node's data folder.
const FOLDER: &str = "acts";
/// Most acts that wait for a node that is down.
const WAITING_MAX: usize = 1_000;
/// Largest file of an act, in bytes.
const FILE_BYTES_MAX: u64 = 8 * 1024;
/// Longest text of an act, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;

/// What somebody did to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Act {
    /// When, in milliseconds since 1970.
    pub(crate) time_ms: u64,
    /// Whose command it was: the user of the operating system.
    pub(crate) who: String,
    /// The command.
    pub(crate) command: String,
    /// What it concerned.
    pub(crate) resource: String,
    /// In words.
    pub(crate) reason: String,
}

impl Act {
    /// An act of whoever runs this process, now.
    pub(crate) fn now(command: &str, resource: impl Into<String>, reason: &str) -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let time_ms = since.map_or(0, |time| time.as_millis().try_into().unwrap_or(u64::MAX));
        Self {
            time_ms,
            who: format!("uid:{}", rustix::process::getuid().as_raw()),
            command: command.to_owned(),
            resource: resource.into(),
            reason: reason.to_owned(),
        }
        .cut()
    }

    fn cut(mut self) -> Self {
        let texts = [&mut self.who, &mut self.command, &mut self.resource];
        for text in texts.into_iter().chain([&mut self.reason]) {
            while text.len() > TEXT_BYTES_MAX {
                text.pop();
            }
        }
        self
    }

    /// Leaves it for the node with this data folder.
    pub(crate) fn leave(&self, data_dir: &Path) -> Result<()> {
        let folder = data_dir.join(FOLDER);
        files::make_dir(&folder)?;
        give_to_owner_of(data_dir, &folder).context(Code::Failed, folder.display())?;
        let waiting = list(&folder).or_fail(Code::Failed)?.len();
        if waiting >= WAITING_MAX {
            return fail(
                Code::Failed,
                format!(
                    "{waiting} acts wait in {} for the node's audit log; start the node, which puts \
                     them on the record, then repeat the command",
                    folder.display()
                ),
            );
        }
        let text = serde_json::to_string(self).or_fail(Code::Failed)?;
        let name = format!("{:020}-{}", self.time_ms, std::process::id());
        // Commands of one process share its id; the number tells them apart.
        let free = (0..WAITING_MAX)
            .map(|n| folder.join(format!("{name}-{n:04}.json")))
            .find(|path| !path.exists());
        let Some(path) = free else {
            return fail(Code::Failed, "too many acts in one millisecond");
        };
        let new = path.with_extension("new");
        files::write_secret(&new, &text)?;
        // The node removes it, as whatever user it runs.
        give_to_owner_of(data_dir, &new)
            .and_then(|()| fs::rename(&new, &path))
            .and_then(|()| File::open(&folder)?.sync_all())
            .context(Code::Failed, path.display())
    }
}

fn list(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    // Twice as many as commands leave: a folder that somebody filled does not hold the node up.
    for entry in entries.take(2 * WAITING_MAX) {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "json") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The acts that wait, oldest first, each with its file, which is to be removed once the act is on
/// the record. A file that is no act gives one that says so.
pub(crate) fn waiting(data_dir: &Path) -> Vec<(PathBuf, Act)> {
    let folder = data_dir.join(FOLDER);
    let files = list(&folder).unwrap_or_else(|error| {
        tracing::error!(%error, folder = %folder.display(), "acts of commands");
        Vec::new()
    });
    let read = |path: PathBuf| {
        let parsed = files::read_text(&path, FILE_BYTES_MAX)
            .map_err(|failure| failure.to_string())
            .and_then(|text| serde_json::from_str::<Act>(&text).map_err(|e| e.to_string()));
        let act = parsed.unwrap_or_else(|reason| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Act::now("unreadable act", name, &reason)
        });
        (path, act.cut())
    };
    files.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_wait_in_order_until_they_are_taken() {
        let dir = tempfile::tempdir().unwrap();
        assert!(waiting(dir.path()).is_empty());
        for n in 0..3 {
            let act = Act::now("node invite", format!("file {n}"), "for a validator");
            act.leave(dir.path()).unwrap();
        }
        let found = waiting(dir.path());
        let resources: Vec<_> = found.iter().map(|(_, act)| act.resource.as_str()).collect();
        assert_eq!(resources, ["file 0", "file 1", "file 2"]);
        assert!(found[0].1.who.starts_with("uid:"));
        fs::remove_file(&found[0].0).unwrap();
        assert_eq!(waiting(dir.path()).len(), 2);
    }

    #[test]
    fn a_file_that_is_no_act_is_told_and_long_texts_are_cut() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(FOLDER);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a.json"), "{").unwrap();
        let too_large = " ".repeat(usize::try_from(FILE_BYTES_MAX).unwrap() + 1);
        fs::write(folder.join("b.json"), too_large).unwrap();
        fs::write(folder.join("c.new"), "being written").unwrap();
        let found = waiting(dir.path());
        let seen: Vec<_> = found
            .iter()
            .map(|(_, act)| (act.command.as_str(), act.resource.as_str()))
            .collect();
        assert_eq!(
            seen,
            [("unreadable act", "a.json"), ("unreadable act", "b.json")]
        );
        let long = Act::now("x", "y", &"z".repeat(TEXT_BYTES_MAX + 1));
        assert_eq!(long.reason.len(), TEXT_BYTES_MAX);
        let fits = Act::now("x", "y", &"z".repeat(TEXT_BYTES_MAX));
        assert_eq!(fits.reason.len(), TEXT_BYTES_MAX);
    }

    #[test]
    fn a_node_that_never_starts_bounds_what_waits() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(FOLDER);
        fs::create_dir(&folder).unwrap();
        for n in 0..WAITING_MAX - 1 {
            fs::write(folder.join(format!("{n:04}.json")), "{}").unwrap();
        }
        let act = Act::now("node admit", "peer", "");
        act.leave(dir.path()).unwrap();
        let refused = act.leave(dir.path()).unwrap_err();
        assert!(refused.message.contains("start the node"), "{refused}");
    }
}
