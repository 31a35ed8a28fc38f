//! `hawser snapshot`: the state of a chain after one block, as files that anyone can check.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use hawser_crypto::Suite;
use hawser_ledger::Genesis;
use hawser_ledger::state::StateError;
use hawser_node::chain::write_vote_guard;
use hawser_node::config::{self as node_config, ChainSection, Encryption, NodeConfig, Overrides};
use hawser_node::replica::{GuardReason, VoteGuard};
use hawser_node::snapshot::{
    self, CreateOptions, Manifest, Pace, Shelf, SnapshotError, SnapshotFacts,
};
use hawser_node::store::{ChainStore, StoreError};
use hawser_primitives::Height;
use hawser_storage::{Disk, Kv, LogError, Sealer};
use serde_json::{Value, json};

use crate::commands::start::run::open_stores;
use crate::datafolder;
use crate::exit::{Code, Failure, OrFail, Result, fail};
use crate::lang::Lang;
use crate::local::pidfile::PidFile;
use crate::output::{self, Output};
use crate::passphrase::{self, Passphrase, PassphraseArgs};
use crate::progress::Progress;
use crate::shelves::{self, Request, SHELF};

/// How long a running node has to take a request up.
const TAKEN_UP: Duration = Duration::from_secs(5);
/// How often it is looked what it says.
const LOOK: Duration = Duration::from_millis(200);

/// Commands of `snapshot`.
#[derive(Subcommand, Debug)]
pub(crate) enum SnapshotCommand {
    /// Make a snapshot of the newest certified block; the node may run
    Create(CreateArgs),
    /// List the snapshots of a node's chain
    List(ListArgs),
    /// Check a snapshot against the genesis, chunk by chunk
    Verify(OneArgs),
    /// Fill the empty folder of a stopped node from a snapshot
    Restore(OneArgs),
}

/// The node and its chain.
#[derive(Args, Clone, Debug)]
pub(crate) struct NodeArgs {
    /// The node's configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The chain, where the node hosts several
    #[arg(long, value_name = "ID")]
    pub(crate) chain: Option<u64>,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}

/// Arguments of `snapshot create`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser snapshot create --config node.toml
  hawser snapshot create --config node.toml --to /mnt/share/snapshot

A running node makes it beside its chain, at the rate of snapshot.mib_per_s. Stopped half-way, nothing
is left that looks like a snapshot.")]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Folder for it; default: the chain's own, from which peers may fetch it
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

/// Arguments of `snapshot list`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser snapshot list --config node.toml
  hawser snapshot list --config node.toml --from /mnt/backup/2026-11-22

The state is that of one block; the blocks go on to a later one, which certifies it.")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Folder to look in; default: the chain's own
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
}

/// Arguments of `snapshot verify` and `restore`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser snapshot verify --config node.toml
  hawser snapshot verify --config node.toml --from /mnt/share/snapshot --height 80000
  hawser snapshot restore --config node.toml --from /mnt/share/snapshot

Only the genesis of the configuration is trusted: the committees are followed from there to the certified
header, and every chunk is checked against it. A restored node has no earlier blocks, and does not vote
until it is safe; `hawser status` says so.")]
pub(crate) struct OneArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Folder that it is in; default: the chain's own
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
    /// Its block; default: the newest
    #[arg(long, value_name = "HEIGHT")]
    height: Option<u64>,
}

/// A node's chain on this machine.
pub(crate) struct Place {
    pub(crate) config: NodeConfig,
    pub(crate) section: ChainSection,
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) dir: PathBuf,
    passphrase: PassphraseArgs,
}

impl NodeArgs {
    pub(crate) fn place(&self) -> Result<Place> {
        let overrides = Overrides {
            environment: super::config::environment(),
            flags: Vec::new(),
        };
        let loaded = node_config::load(&self.config, &overrides).or_fail(Code::Config)?;
        let config = loaded.config;
        let (section, genesis, dir) = shelves::chain_of(&config, self.chain)?;
        Ok(Place {
            config,
            section,
            genesis: Arc::new(genesis),
            dir,
            passphrase: self.passphrase.clone(),
        })
    }
}

/// The passphrase of a node's keys, which is asked for only where something needs it.
fn passphrase_of(config: &NodeConfig, args: &PassphraseArgs) -> Result<Passphrase> {
    match (&args.passphrase_file, &config.node.passphrase_file) {
        (Some(path), _) | (None, Some(path)) => passphrase::from_file(path),
        (None, None) => args.existing("the node's keys"),
    }
}

/// The passphrase that opens a node's folders; empty where none is asked for.
fn folder_passphrase(config: &NodeConfig, args: &PassphraseArgs) -> Result<Passphrase> {
    match config.storage.encryption {
        Encryption::Passphrase => passphrase_of(config, args),
        Encryption::None | Encryption::KeyFile => Ok(Passphrase::default()),
    }
}

/// What encrypts a chain's folder, if anything.
pub(crate) fn sealer(
    config: &NodeConfig,
    dir: &Path,
    suite: Suite,
    args: &PassphraseArgs,
) -> Result<Option<Arc<Sealer>>> {
    let passphrase = folder_passphrase(config, args)?;
    datafolder::sealer(dir, &config.storage, suite, &passphrase)
}

impl Place {
    pub(crate) fn sealer(&self, dir: &Path) -> Result<Option<Arc<Sealer>>> {
        sealer(&self.config, dir, self.genesis.suite, &self.passphrase)
    }

    /// A shelf: in a folder that was named, or the chain's own.
    fn shelf(&self, from: Option<&Path>) -> Result<Shelf> {
        let dir = from.map_or_else(|| self.dir.join(SHELF), Path::to_owned);
        if !dir.exists() {
            return fail(Code::NotFound, format!("{} is not there", dir.display()));
        }
        // One that was made elsewhere and is encrypted brings its own wrapped key.
        let sealer = match from {
            Some(from) if from.join(datafolder::NAME).exists() => self.sealer(from)?,
            Some(_) => None,
            None => self.sealer(&self.dir)?,
        };
        shelves::shelf(&dir, sealer, self.genesis.suite)
    }

    /// What opens encrypted data with the passphrase of the node's keys; empty where nothing asks for it.
    pub(crate) fn data_passphrase(&self) -> Result<Passphrase> {
        folder_passphrase(&self.config, &self.passphrase)
    }

    /// The folder and the key-value store of the stopped node.
    fn open_stores(&self) -> Result<(Arc<dyn Disk>, Arc<dyn Kv>)> {
        let passphrase = self.data_passphrase()?;
        open_stores(&self.config, &self.section, &self.genesis, &passphrase)
    }

    /// Takes hold of the stopped node, if its configuration tells how.
    pub(crate) fn hold(&self) -> Result<Option<PidFile>> {
        let file = self.config.node.pid_file.as_deref();
        file.map(PidFile::take).transpose()
    }
}

/// Runs the command.
pub(crate) fn run(command: &SnapshotCommand, output: Output, lang: Lang) -> Result<()> {
    match command {
        SnapshotCommand::Create(args) => {
            let place = args.node.place()?;
            let made = make(&place, args.to.as_deref(), false, lang)?;
            output.print(&made, |made| summary(made, lang))
        }
        SnapshotCommand::List(args) => list(args, output, lang),
        SnapshotCommand::Verify(args) => verify(args, output, lang),
        SnapshotCommand::Restore(args) => {
            let place = args.node.place()?;
            let restored = restore(&place, args.from.as_deref(), args.height, lang)?;
            output.print(&restored, |restored| told(restored, lang))
        }
    }
}

/// Makes a snapshot: by the node where it runs, else from its folder.
pub(crate) fn make(
    place: &Place,
    to: Option<&Path>,
    all_blocks: bool,
    lang: Lang,
) -> Result<SnapshotFacts> {
    let to = to
        .map(std::path::absolute)
        .transpose()
        .or_fail(Code::Failed)?;
    if let Some(height) = ask_node(place, to.as_deref(), all_blocks, lang)? {
        let shelf = place.shelf(to.as_deref())?;
        return shelf.facts(Height(height)).map_err(failure);
    }
    let _held = place.hold()?;
    let (disk, kv) = place.open_stores()?;
    let natives = hawser_services::registry().or_fail(Code::Failed)?;
    let options = place.config.store_options();
    let sealer = disk.sealer();
    let genesis = Arc::clone(&place.genesis);
    let store = ChainStore::open(disk, kv, genesis, natives, options, &mut |_, _| {});
    let store = store.or_fail(Code::Failed)?;
    let folder = to.clone().unwrap_or_else(|| place.dir.join(SHELF));
    let shelf = shelves::shelf(&folder, sealer, place.genesis.suite)?;
    if to.is_some() {
        super::start::snapshots::copy_data_key(&place.dir, &folder)?;
    }
    let bar = Progress::steps(1, lang.pick("writing the snapshot", "正在写入快照"));
    let manifest = snapshot::create(
        &store,
        &shelf,
        &mut CreateOptions {
            height: None,
            all_blocks,
            pace: Pace::of(0),
            progress: &mut |done, all| bar.set(done, all),
            stop: &|| false,
        },
    );
    let manifest: Manifest = manifest.map_err(failure)?;
    store.flush().or_fail(Code::Failed)?;
    shelf.facts(manifest.height()).map_err(failure)
}

/// Asks the running node; `None` when none takes the request up.
fn ask_node(place: &Place, to: Option<&Path>, all_blocks: bool, lang: Lang) -> Result<Option<u64>> {
    if !place.dir.exists() {
        return fail(
            Code::NotFound,
            match lang {
                Lang::En => format!(
                    "{} is not there: this node has no data",
                    place.dir.display()
                ),
                Lang::Zh => format!("{} 不存在：该节点没有数据", place.dir.display()),
            },
        );
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_nanos();
    let id = format!("{}-{now}", std::process::id());
    let request = Request {
        id: id.clone(),
        to: to.map(Path::to_owned),
        all_blocks,
    };
    shelves::ask(&place.dir, &request)?;
    let bar = Progress::steps(
        1,
        lang.pick("the node writes the snapshot", "节点正在写入快照"),
    );
    let began = Instant::now();
    let mut taken = false;
    let mut heard = Instant::now();
    loop {
        if let Some(outcome) = shelves::outcome(&place.dir).filter(|one| one.id == id) {
            return match (outcome.height, outcome.error) {
                (Some(height), _) => Ok(Some(height)),
                (None, error) => fail(Code::Refused, error.unwrap_or_default()),
            };
        }
        if let Some(step) = shelves::step(&place.dir).filter(|one| one.id == id) {
            (taken, heard) = (true, Instant::now());
            bar.set(step.done, step.all);
        }
        let waited = began.elapsed() >= TAKEN_UP;
        if !taken && waited && shelves::take_back(&place.dir) {
            return Ok(None);
        }
        // Taken up, and then nothing: the node was stopped.
        if waited && heard.elapsed() >= Duration::from_secs(120) {
            return fail(
                Code::Timeout,
                lang.pick(
                    "the node took the request up and says nothing any more; see its log",
                    "节点接受了请求，但不再有任何进展；请查看其日志",
                ),
            );
        }
        thread::sleep(LOOK);
    }
}

fn list(args: &ListArgs, output: Output, lang: Lang) -> Result<()> {
    let place = args.node.place()?;
    let all = match place.shelf(args.from.as_deref()) {
        Ok(shelf) => shelf.list().map_err(failure)?,
        Err(failure) if failure.code == Code::NotFound && args.from.is_none() => Vec::new(),
        Err(failure) => return Err(failure),
    };
    output.print(&all, |all| {
        let head = [
            lang.pick("state of block", "状态所属区块"),
            lang.pick("keys", "键数"),
            lang.pick("chunks", "分片"),
            lang.pick("bytes", "字节"),
            lang.pick("first block", "首个区块"),
            lang.pick("last block", "末个区块"),
            lang.pick("digest", "摘要"),
        ];
        let rows: Vec<_> = all
            .iter()
            .map(|one| {
                vec![
                    one.height.to_string(),
                    one.entries.to_string(),
                    one.chunks.to_string(),
                    one.bytes.to_string(),
                    one.first.to_string(),
                    one.last.to_string(),
                    one.digest.to_string(),
                ]
            })
            .collect();
        output::table(&head, &rows)
    })
}

fn summary(facts: &SnapshotFacts, lang: Lang) -> String {
    let height = facts.height.to_string();
    let rows = [
        (lang.pick("snapshot of block", "快照所属区块"), height),
        (
            lang.pick("state root", "状态根"),
            facts.state_root.to_string(),
        ),
        (lang.pick("keys", "键数"), facts.entries.to_string()),
        (lang.pick("chunks", "分片"), facts.chunks.to_string()),
        (lang.pick("bytes", "字节"), facts.bytes.to_string()),
        (lang.pick("blocks", "区块"), blocks(facts, lang)),
    ];
    output::pairs(&rows)
}

/// The first and the last block that come with it.
pub(crate) fn blocks(facts: &SnapshotFacts, lang: Lang) -> String {
    let (first, last) = (facts.first, facts.last);
    match lang {
        Lang::En => format!("{first} to {last}"),
        Lang::Zh => format!("{first} 至 {last}"),
    }
}

/// The snapshot that was named, or the newest.
fn chosen(shelf: &Shelf, height: Option<u64>, lang: Lang) -> Result<Height> {
    let heights = shelf.heights().map_err(failure)?;
    let found = match height {
        Some(height) => heights.into_iter().find(|one| one.0 == height),
        None => heights.last().copied(),
    };
    found.map_or_else(
        || {
            fail(
                Code::NotFound,
                lang.pick(
                    "there is no such snapshot; `hawser snapshot list` shows those that are",
                    "没有这个快照；`hawser snapshot list` 列出已有的快照",
                ),
            )
        },
        Ok,
    )
}

fn verify(args: &OneArgs, output: Output, lang: Lang) -> Result<()> {
    let place = args.node.place()?;
    let shelf = place.shelf(args.from.as_deref())?;
    let height = chosen(&shelf, args.height, lang)?;
    let bar = Progress::steps(1, lang.pick("checking chunks", "正在校验分片"));
    let checked = snapshot::verify(&shelf, height, &place.genesis, &mut |done, all| {
        bar.set(done, all);
    });
    drop(bar);
    checked.map_err(failure)?;
    let facts = shelf.facts(height).map_err(failure)?;
    output.print(&facts, |facts| {
        let good = lang.pick(
            "Every chunk is what the certified header commits to, and the committees lead to it from the genesis",
            "每个分片都与经认证的区块头一致，委员会可由创世文件逐步推导得到",
        );
        format!("{}{good}", summary(facts, lang))
    })
}

/// A snapshot that is damaged, forged or not there is a verification that failed; the rest has no code of its own.
fn failure(error: SnapshotError) -> Failure {
    let code = match &error {
        SnapshotError::Light(_)
        | SnapshotError::Validators(_)
        | SnapshotError::Decode { .. }
        | SnapshotError::Format { .. }
        | SnapshotError::WrongGenesis { .. }
        | SnapshotError::Wrong(_)
        | SnapshotError::NotHere(_)
        | SnapshotError::Missing(_)
        | SnapshotError::Damaged { .. }
        | SnapshotError::State(StateError::Corrupt(_))
        | SnapshotError::Store(StoreError::State(StateError::Corrupt(_)))
        | SnapshotError::File(LogError::Corrupt { .. }) => Code::NotFound,
        SnapshotError::Store(_)
        | SnapshotError::State(_)
        | SnapshotError::File(_)
        | SnapshotError::TooLarge(_)
        | SnapshotError::Height { .. }
        | SnapshotError::Stopped
        | SnapshotError::NotEmpty => Code::Failed,
    };
    Failure::new(code, error)
}

/// Fills the empty folder of a stopped node.
pub(crate) fn restore(
    place: &Place,
    from: Option<&Path>,
    height: Option<u64>,
    lang: Lang,
) -> Result<Value> {
    let _held = place.hold()?;
    if let Some(from) = from.filter(|from| from.join(datafolder::NAME).exists())
        && !place.dir.join(datafolder::NAME).exists()
    {
        // What is encrypted keeps its key.
        crate::files::make_dir(&place.dir)?;
        super::start::snapshots::copy_data_key(from, &place.dir)?;
    }
    let shelf = place.shelf(from)?;
    let height = chosen(&shelf, height, lang)?;
    let (disk, kv) = place.open_stores()?;
    let natives = hawser_services::registry().or_fail(Code::Failed)?;
    let options = place.config.store_options();
    // The mark first: from here on the folder is one that forgot votes.
    let guard = VoteGuard::unknown(GuardReason::Restored);
    let empty = snapshot::is_empty(disk.as_ref()).or_fail(Code::Failed)?;
    if empty || snapshot::is_unfinished(disk.as_ref()).or_fail(Code::Failed)? {
        write_vote_guard(Arc::clone(&disk), guard).or_fail(Code::Failed)?;
    }
    let bar = Progress::steps(1, lang.pick("restoring", "正在恢复"));
    let manifest = snapshot::restore(
        (&shelf, height),
        (disk, kv),
        &place.genesis,
        natives,
        &options,
        &mut |done, all| bar.set(done, all),
    );
    drop(bar);
    let manifest = manifest.map_err(failure)?;
    Ok(json!({
        "chain": place.genesis.chain_id.0,
        "height": manifest.height().0,
        "firstBlock": manifest.first().0,
        "lastBlock": manifest.last().0,
        "folder": place.dir,
    }))
}

/// What a restore did, and what it means for votes.
pub(crate) fn told(restored: &Value, lang: Lang) -> String {
    let cell = |name: &str| restored.get(name).map(output::cell).unwrap_or_default();
    let (height, folder) = (cell("height"), cell("folder"));
    let (first, last) = (cell("firstBlock"), cell("lastBlock"));
    match lang {
        Lang::En => format!(
            "{folder} has blocks {first} to {last}, and the state of block {height}.\n\
             Keys are not part of it: put the node's own in place before it starts.\n\
             The node will follow the chain and not vote until it has seen a quorum of the other validators \
             vote. Where the whole network was restored, see `hawser node allow-votes --help`: the last block \
             of this node is {last}."
        ),
        Lang::Zh => format!(
            "{folder} 现有区块 {first} 至 {last}，以及区块 {height} 之后的状态。\n\
             密钥不在其中：启动前请放入该节点自己的密钥。\n\
             节点先跟随而不投票，直到看到其他验证者达到法定数量的投票。若整个网络都是恢复的，\
             请参阅 `hawser node allow-votes --help`：本节点的最后一个区块是 {last}。"
        ),
    }
}
