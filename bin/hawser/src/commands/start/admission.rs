//! Keeps the admitted peers of a running node as its operator wants them.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hawser_node::NodeError;
use hawser_node::config::{NodeConfig, PeerSection};
use hawser_node::peers::PeerChanges;
use tokio::task::JoinHandle;

use crate::exit::{Code, OrFail, Result};

/// How often the file of changes is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Replaces the admitted peers of a node.
pub(super) type Admit =
    Box<dyn Fn(&[PeerSection]) -> std::result::Result<(), NodeError> + Send + Sync>;

/// Ends the watch when dropped.
pub(super) struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Admits the peers of configuration and file, then follows the file.
pub(super) fn start(config: &NodeConfig, admit: Admit) -> Result<Watch> {
    let data_dir = config.node.data_dir.clone();
    let configured = config.network.peers.clone();
    let stamp = stamp(&data_dir);
    let changes = PeerChanges::read(&data_dir).or_fail(Code::Config)?;
    admit(&changes.apply(&configured)).or_fail(Code::Config)?;
    let task = follow(data_dir, configured, admit, stamp);
    Ok(Watch(tokio::spawn(task)))
}

/// What changes whenever the file is replaced.
fn stamp(data_dir: &Path) -> Option<(SystemTime, u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(data_dir.join(PeerChanges::FILE)).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

async fn follow(
    data_dir: PathBuf,
    configured: Vec<PeerSection>,
    admit: Admit,
    mut last: Option<(SystemTime, u64, u64)>,
) {
    loop {
        tokio::time::sleep(LOOK).await;
        let now = stamp(&data_dir);
        if now == last {
            continue;
        }
        last = now;
        let wanted = match PeerChanges::read(&data_dir) {
            Ok(changes) => changes.apply(&configured),
            Err(error) => {
                tracing::error!(%error, "the admitted peers stay as they were");
                continue;
            }
        };
        match admit(&wanted) {
            Ok(()) => tracing::info!(peers = wanted.len(), "admitted peers changed"),
            Err(error) => tracing::error!(%error, "the admitted peers stay as they were"),
        }
    }
}
