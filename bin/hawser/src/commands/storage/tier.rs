//! `hawser storage tier`: files of a node's chain that lie in an object store.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::{Args, Subcommand};
use hawser_node::store::{ChainStore, SEGMENTS};
use hawser_storage::{ColdFile, Disk, OsDisk, Tier, TieredDisk};
use serde_json::{Value, json};

use crate::commands::snapshot::{NodeArgs, Place};
use crate::commands::start::run::open_stores;
use crate::exit::{Code, OrFail, Result, fail};
use crate::lang::Lang;
use crate::output::{self, Output};
use crate::progress::Progress;
use crate::quantity::counted;
use crate::tiering;

/// Commands of `storage tier`.
#[derive(Subcommand, Debug)]
pub(crate) enum TierCommand {
    /// Say which files of a node's chain lie in the object store; asks nobody
    Status(StatusArgs),
    /// Move what is old enough to the object store now; the node has to be stopped
    Push(PushArgs),
    /// Bring files back from the object store; the node has to be stopped
    Fetch(FetchArgs),
    /// Read every object whole and compare it with its digest; the node may run
    Verify(VerifyArgs),
}

/// Arguments of `storage tier status`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser storage tier status --config node.toml
  hawser storage tier status --config node.toml --files --output json")]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// List every file with its object
    #[arg(long)]
    files: bool,
}

/// Arguments of `storage tier push`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser storage tier push --config node.toml

Does what a running node does by itself: uploads every file that tier.after_blocks and tier.after_s call
old, reads it back whole, compares it, and only then removes the local copy.")]
pub(crate) struct PushArgs {
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `storage tier fetch`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser storage tier fetch --config node.toml --height 120000
  hawser storage tier fetch --config node.toml --all

Every chunk is compared with its digest before the file takes its place. Objects stay in the store. Set
tier.store to none, or the running node moves the files again.")]
pub(crate) struct FetchArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// All files
    #[arg(long, conflicts_with = "height")]
    all: bool,
    /// The files that hold this block and its receipts
    #[arg(long, value_name = "HEIGHT")]
    height: Option<u64>,
}

/// Arguments of `storage tier verify`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser storage tier verify --config node.toml

Reads all that the node has in the store, past its cache: as much is transferred. Ends with 0 when all
is as it was uploaded, 5 when something is not or cannot be read; each such file is named.")]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    node: NodeArgs,
}

/// Runs the command.
pub(crate) fn run(command: &TierCommand, output: Output, lang: Lang) -> Result<()> {
    match command {
        TierCommand::Status(args) => status(args, output, lang),
        TierCommand::Push(args) => push(args, output, lang),
        TierCommand::Fetch(args) => fetch(args, output, lang),
        TierCommand::Verify(args) => verify(args, output, lang),
    }
}

/// What moves the files of a chain's folder.
fn tier(place: &Place, offline: bool, lang: Lang) -> Result<Arc<Tier>> {
    let path = place.dir.join("log");
    if !path.exists() {
        let path = path.display();
        return fail(
            Code::NotFound,
            match lang {
                Lang::En => format!("{path} is not there: this node has no data"),
                Lang::Zh => format!("{path} 不存在：该节点没有数据"),
            },
        );
    }
    let disk = Arc::new(OsDisk::new(&path).context(Code::Failed, path.display())?);
    let tier = tiering::open(&place.config, &place.dir, disk, &place.genesis, offline)?;
    if !offline && !tier.is_configured() {
        return fail(
            Code::Config,
            lang.pick(
                "no object store is configured; set tier.store to s3, and tier.endpoint and \
                 tier.bucket to what they were",
                "未配置对象存储；请将 tier.store 设为 s3，并填写原来的 tier.endpoint 与 tier.bucket",
            ),
        );
    }
    Ok(tier)
}

fn bytes_of(file: &ColdFile) -> u64 {
    file.entry.as_ref().map_or(0, |entry| entry.bytes)
}

fn status(args: &StatusArgs, output: Output, lang: Lang) -> Result<()> {
    let place = args.node.place()?;
    let tier = tier(&place, true, lang)?;
    let files = tier.files().or_fail(Code::Failed)?;
    let away: Vec<_> = files.iter().filter(|file| !file.is_local).collect();
    let away_bytes: u64 = away.iter().map(|file| bytes_of(file)).sum();
    let here = tier.folder().list().or_fail(Code::Failed)?.into_iter();
    let here = here.filter(|(name, _)| name.ends_with(".seg") && is_segment(name));
    let here: Vec<u64> = here.map(|(_, bytes)| bytes).collect();
    let cache = place.dir.join("tier-cache");
    let cache: u64 = std::fs::read_dir(cache)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some(entry.metadata().ok()?.len()))
        .sum();
    let section = &place.config.tier;
    let store = match section.store {
        hawser_node::config::TierStore::None => None,
        hawser_node::config::TierStore::S3 => {
            Some(format!("{} (bucket {})", section.endpoint, section.bucket))
        }
    };
    let mut value = json!({
        "chain": place.genesis.chain_id.0,
        "store": store,
        "remote": { "files": away.len(), "bytes": away_bytes },
        "local": { "files": here.len(), "bytes": here.iter().sum::<u64>() },
        "cacheBytes": cache,
        "damagedMarkers": files.iter().filter(|file| file.entry.is_err()).count(),
    });
    if let (true, Some(object)) = (args.files, value.as_object_mut()) {
        let listed = files.iter().map(described).collect::<Vec<_>>();
        object.insert("files".to_owned(), Value::Array(listed));
    }
    output.print(&value, |_| told(&files, &value, lang, args.files))
}

/// Whether a file is one of blocks, receipts or headers.
fn is_segment(name: &str) -> bool {
    let prefix = name.split('-').next().unwrap_or_default();
    SEGMENTS.contains(&prefix)
}

fn described(file: &ColdFile) -> Value {
    match &file.entry {
        Ok(entry) => json!({
            "file": file.file,
            "object": entry.key,
            "bytes": entry.bytes,
            "hash": entry.hash.name(),
            "digest": hex::encode(entry.digest),
            "local": file.is_local,
        }),
        Err(reason) => json!({ "file": file.file, "damaged": reason }),
    }
}

fn told(files: &[ColdFile], value: &Value, lang: Lang, list: bool) -> String {
    let cell = |pointer: &str| value.pointer(pointer).map(output::cell).unwrap_or_default();
    let none = lang.pick("none", "无").to_owned();
    let store = value.get("store").and_then(Value::as_str);
    let rows = [
        (
            lang.pick("object store", "对象存储"),
            store.map_or(none, str::to_owned),
        ),
        (
            lang.pick("files there", "已迁出文件"),
            cell("/remote/files"),
        ),
        (
            lang.pick("bytes there", "已迁出字节"),
            cell("/remote/bytes"),
        ),
        (lang.pick("files here", "本地文件"), cell("/local/files")),
        (lang.pick("bytes here", "本地字节"), cell("/local/bytes")),
        (
            lang.pick("bytes of the cache", "缓存字节"),
            cell("/cacheBytes"),
        ),
        (
            lang.pick("damaged markers", "损坏的标记"),
            cell("/damagedMarkers"),
        ),
    ];
    let mut text = output::pairs(&rows);
    if list {
        let head = [
            lang.pick("file", "文件"),
            lang.pick("bytes", "字节"),
            lang.pick("object", "对象"),
        ];
        let row = |file: &ColdFile| {
            let object = match &file.entry {
                Ok(entry) => entry.key.clone(),
                Err(reason) => reason.clone(),
            };
            vec![file.file.clone(), bytes_of(file).to_string(), object]
        };
        let rows: Vec<_> = files.iter().map(row).collect();
        text.push_str(&output::table(&head, &rows));
    }
    text
}

fn push(args: &PushArgs, output: Output, lang: Lang) -> Result<()> {
    let place = args.node.place()?;
    drop(tier(&place, false, lang)?);
    let _held = place.hold()?;
    let passphrase = place.data_passphrase()?;
    let (disk, kv) = open_stores(&place.config, &place.section, &place.genesis, &passphrase)?;
    let natives = hawser_services::registry().or_fail(Code::Failed)?;
    let options = place.config.store_options();
    let genesis = Arc::clone(&place.genesis);
    let store = ChainStore::open(disk, kv, genesis, natives, options, &mut |_, _| {});
    let store = store.or_fail(Code::Failed)?;
    let rules = place.config.tier.rules();
    let progress = Progress::spinner(lang.pick("moving files", "正在迁移文件"));
    let mut moved = Vec::new();
    while let Some(one) = store.move_cold(rules, &|| false).or_fail(Code::Failed)? {
        progress.say(one.file.clone());
        moved.push(one.file);
    }
    drop(progress);
    store.flush().or_fail(Code::Failed)?;
    let count = moved.len();
    output.print(&json!({ "moved": moved }), |_| match lang {
        Lang::En => format!("{} moved to the object store", counted(count, "file")),
        Lang::Zh => format!("已将 {count} 个文件迁移到对象存储"),
    })
}

fn fetch(args: &FetchArgs, output: Output, lang: Lang) -> Result<()> {
    let place = args.node.place()?;
    let tier = tier(&place, false, lang)?;
    let _held = place.hold()?;
    let files = tier.files().or_fail(Code::Failed)?;
    let wanted: Vec<_> = match args.height {
        None if !args.all => {
            return fail(
                Code::Usage,
                lang.pick("say --all or --height", "请指定 --all 或 --height"),
            );
        }
        None => files,
        Some(height) => {
            let names = holding(&TieredDisk::new(Arc::clone(&tier)), height)?;
            files
                .into_iter()
                .filter(|file| names.contains(&file.file))
                .collect()
        }
    };
    let bytes = wanted.iter().map(bytes_of).sum();
    let progress = Progress::bytes(bytes, lang.pick("bringing files back", "正在取回文件"));
    let mut back = Vec::new();
    for file in &wanted {
        let fetched = tier.fetch(&file.file, &|bytes| progress.advance(bytes));
        fetched.or_fail(Code::Failed)?;
        back.push(file.file.clone());
    }
    drop(progress);
    let count = back.len();
    output.print(&json!({ "fetched": back }), |_| match lang {
        Lang::En => match count {
            1 => "1 file is here again; its object stays in the store".to_owned(),
            count => format!("{count} files are here again; their objects stay in the store"),
        },
        Lang::Zh => format!("已取回 {count} 个文件；对象仍保留在存储中"),
    })
}

/// The files that hold a block and its receipts: of each kind the last that begins before or with it.
fn holding(disk: &dyn Disk, height: u64) -> Result<BTreeSet<String>> {
    let list = disk.list().or_fail(Code::Failed)?;
    let mut found = BTreeSet::new();
    for kind in SEGMENTS {
        let first = |name: &str| -> Option<u64> {
            let rest = name.strip_prefix(kind)?.strip_prefix('-')?;
            rest.strip_suffix(".seg")?.parse().ok()
        };
        let names = list.iter().map(|(name, _)| name);
        let before = names.filter_map(|name| Some((first(name)?, name)));
        let last = before.filter(|(first, _)| *first <= height).max();
        found.extend(last.map(|(_, name)| name.clone()));
    }
    Ok(found)
}

fn verify(args: &VerifyArgs, output: Output, lang: Lang) -> Result<()> {
    let place = args.node.place()?;
    let tier = tier(&place, false, lang)?;
    let files = tier.files().or_fail(Code::Failed)?;
    let bytes = files.iter().map(bytes_of).sum();
    let progress = Progress::bytes(bytes, lang.pick("reading the objects", "正在读取对象"));
    let (mut good, mut bad) = (0usize, Vec::new());
    for file in &files {
        match tier.verify(&file.file, &|bytes| progress.advance(bytes)) {
            Ok(()) => good = good.saturating_add(1),
            Err(error) => bad.push(error.to_string()),
        }
    }
    drop(progress);
    let value = json!({ "verified": good, "failed": bad });
    output.print(&value, |_| {
        let mut text = bad
            .iter()
            .fold(String::new(), |text, one| format!("{text}{one}\n"));
        text.push_str(&match lang {
            Lang::En if files.len() == 1 => {
                let is = if good == 1 { "is" } else { "is not" };
                format!("The one object {is} what was uploaded")
            }
            Lang::En => format!("{good} of {} objects are what was uploaded", files.len()),
            Lang::Zh => format!("{} 个对象中有 {good} 个与上传时一致", files.len()),
        });
        text
    })?;
    if bad.is_empty() {
        return Ok(());
    }
    fail(
        Code::NotFound,
        lang.pick(
            "objects are missing, changed, or cannot be read",
            "有对象缺失、被改动或无法读取",
        ),
    )
}
