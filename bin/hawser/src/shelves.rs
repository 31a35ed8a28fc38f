//! A chain's snapshots on this machine, and how a running node is asked for one.
//!
//! Whoever may write in the node's data folder may ask: a file `snapshot.request` there is taken up by the
//! running node, which writes how far it is to `snapshot.progress` and what came of it to `snapshot.result`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hawser_crypto::Suite;
use hawser_ledger::Genesis;
use hawser_node::config::{ChainSection, NodeConfig};
use hawser_node::snapshot::Shelf;
use hawser_storage::{Disk, OsDisk, SealedDisk, Sealer};
use serde::{Deserialize, Serialize};

use crate::commands::start::run::chain_dir;
use crate::exit::{Code, OrFail, Result, fail};
use crate::files;
use crate::local::read_genesis;
use crate::quantity::counted;

/// Folder of a chain's snapshots within its data folder.
pub(crate) const SHELF: &str = "snapshots";
/// Folder of the chunks of one that is being fetched.
pub(crate) const STAGING: &str = "joining";
/// Files by which a running node is asked.
const REQUEST: &str = "snapshot.request";
const PROGRESS: &str = "snapshot.progress";
const RESULT: &str = "snapshot.result";
/// File that says how far a joining node is.
const JOINING: &str = "joining.json";
/// Largest such file, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// What a running node is asked to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// Tells answers apart.
    pub(crate) id: String,
    /// Where to; none for the chain's own shelf.
    pub(crate) to: Option<PathBuf>,
    /// Whether all blocks come with it.
    pub(crate) all_blocks: bool,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) id: String,
    pub(crate) done: u64,
    pub(crate) all: u64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) id: String,
    pub(crate) height: Option<u64>,
    pub(crate) error: Option<String>,
}

/// How far a node is that joins from a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Joining {
    pub(crate) chain: u64,
    /// `asking`, `manifest`, `chunks`, `writing`.
    pub(crate) stage: String,
    pub(crate) height: Option<u64>,
    pub(crate) done: u64,
    pub(crate) all: u64,
    pub(crate) peers: usize,
    /// Peers that say that they run another chain.
    #[serde(default)]
    pub(crate) other_chain: usize,
    pub(crate) seconds_left: Option<u64>,
}

impl Joining {
    /// In words, in the language of the run.
    pub(crate) fn sentence(&self, zh: bool) -> String {
        let left = match (self.seconds_left, zh) {
            (Some(seconds), false) => format!(", about {seconds} s left"),
            (Some(seconds), true) => format!("，约剩 {seconds} 秒"),
            (None, _) => String::new(),
        };
        let height = self.height.unwrap_or_default();
        let Self {
            chain,
            done,
            all,
            peers,
            ..
        } = self;
        let other = match (self.other_chain, zh) {
            (0, _) => String::new(),
            (1, false) => "; 1 peer runs another chain than this node's genesis file says: compare the genesis files"
                .to_owned(),
            (count, false) => format!(
                "; {count} peers run another chain than this node's genesis file says: compare the genesis files"
            ),
            (count, true) => {
                format!("；{count} 个对等节点运行的链与本节点的创世文件不符：请比较创世文件")
            }
        };
        match (self.stage.as_str(), zh) {
            ("chunks", false) => format!(
                "joining: chain {chain}, snapshot of block {height}: {done} of {} from {}{left}",
                counted(*all, "chunk"),
                counted(*peers, "peer")
            ),
            ("chunks", true) => format!(
                "正在加入：链 {chain}，区块 {height} 的快照：已从 {peers} 个对等节点取得 {done}/{all} 个分片{left}"
            ),
            ("writing", false) => format!(
                "joining: chain {chain}, writing the snapshot of block {height}: {done} of {}{left}",
                counted(*all, "chunk")
            ),
            ("writing", true) => {
                format!("正在加入：链 {chain}，写入区块 {height} 的快照：{done}/{all} 个分片{left}")
            }
            (_, false) => {
                let peers = counted(*peers, "peer");
                format!("joining: chain {chain}, asking {peers} for a snapshot{other}")
            }
            (_, true) => format!("正在加入：链 {chain}，正向 {peers} 个对等节点询问快照{other}"),
        }
    }

    /// Where a node of a data folder says it.
    pub(crate) fn read(data_dir: &Path) -> Option<Self> {
        read(&data_dir.join(JOINING))
    }

    /// Says it.
    pub(crate) fn write(&self, data_dir: &Path) {
        if let Err(failure) = write(&data_dir.join(JOINING), self) {
            tracing::debug!(%failure, "saying how far joining is");
        }
    }

    /// Has nothing to say any more.
    pub(crate) fn clear(data_dir: &Path) {
        let _ = fs::remove_file(data_dir.join(JOINING));
    }
}

fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> Option<T> {
    let bytes = files::read_bytes(path, FILE_BYTES_MAX).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Replaces a file, all or nothing.
fn write<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let text = serde_json::to_vec(value).or_fail(Code::Failed)?;
    let new = path.with_extension("new");
    fs::write(&new, text)
        .and_then(|()| fs::rename(&new, path))
        .context(Code::Failed, path.display())
}

/// Asks the node of a chain's folder, once it looks.
pub(crate) fn ask(dir: &Path, request: &Request) -> Result<()> {
    let _ = fs::remove_file(dir.join(PROGRESS));
    let _ = fs::remove_file(dir.join(RESULT));
    write(&dir.join(REQUEST), request)
}

/// Takes back what no node took up; says whether there was something.
pub(crate) fn take_back(dir: &Path) -> bool {
    fs::remove_file(dir.join(REQUEST)).is_ok()
}

/// Takes up a request.
pub(crate) fn take_request(dir: &Path) -> Option<Request> {
    let path = dir.join(REQUEST);
    if !path.exists() {
        return None;
    }
    let request = read(&path);
    let _ = fs::remove_file(path);
    request
}

/// Says how far a request is.
pub(crate) fn say_step(dir: &Path, step: &Step) {
    let _ = write(&dir.join(PROGRESS), step);
}

/// Says what came of a request.
pub(crate) fn say_outcome(dir: &Path, outcome: &Outcome) {
    let _ = fs::remove_file(dir.join(PROGRESS));
    if let Err(failure) = write(&dir.join(RESULT), outcome) {
        tracing::error!(%failure, "saying what came of a snapshot");
    }
}

/// How far a request is.
pub(crate) fn step(dir: &Path) -> Option<Step> {
    read(&dir.join(PROGRESS))
}

/// What came of a request.
pub(crate) fn outcome(dir: &Path) -> Option<Outcome> {
    read(&dir.join(RESULT))
}

/// A folder of files, encrypted as a chain's data is.
pub(crate) fn disk(dir: &Path, sealer: Option<Arc<Sealer>>) -> Result<Arc<dyn Disk>> {
    files::make_dir(dir)?;
    let plain = OsDisk::new(dir).context(Code::Failed, dir.display())?;
    Ok(match sealer {
        Some(sealer) => Arc::new(SealedDisk::new(Arc::new(plain), sealer)),
        None => Arc::new(plain),
    })
}

/// The shelf in a folder, which is made if it is not there.
pub(crate) fn shelf(dir: &Path, sealer: Option<Arc<Sealer>>, suite: Suite) -> Result<Shelf> {
    Ok(Shelf::of(disk(dir, sealer)?, suite))
}

/// A chain of a configuration, its genesis and its folder.
pub(crate) fn chain_of(
    config: &NodeConfig,
    wanted: Option<u64>,
) -> Result<(ChainSection, Genesis, PathBuf)> {
    let mut found = Vec::new();
    for section in &config.chains {
        let genesis = read_genesis(&section.genesis)?;
        if wanted.is_none_or(|id| genesis.chain_id.0 == id) {
            let dir = chain_dir(config, section, genesis.chain_id);
            found.push((section.clone(), genesis, dir));
        }
    }
    match (found.len(), wanted) {
        (0, Some(id)) => fail(
            Code::NotFound,
            format!(
                "the configuration has no chain {id}; leave --chain out where there is one only"
            ),
        ),
        (0, None) => fail(Code::Config, "the configuration names no chain"),
        (1, _) => found
            .pop()
            .map_or_else(|| fail(Code::Failed, "no chain"), Ok),
        _ => fail(
            Code::Usage,
            "the node hosts several chains; say which with --chain ID",
        ),
    }
}
