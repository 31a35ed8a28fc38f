//! `hawser storage encrypt` and `decrypt`: a folder written anew beside the old one, compared, and
//! put in its place.

use std::fs;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use hawser_crypto::Suite;
use hawser_ledger::Genesis;
use hawser_ledger::state::{StateOptions, StateStore};
use hawser_node::config::{self, Encryption, NodeConfig, Overrides, StorageSection, quote};
use hawser_node::store;
use hawser_storage::{
    Batch, Column, Disk, FjallKv, Kv, LogOptions, OsDisk, SealedDisk, SealedKv, Sealer,
    SegmentOptions, Segments, SyncedLog,
};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::json;

use crate::commands::start::run::chain_dir;
use crate::datafolder;
use crate::exit::{Code, OrFail, Result, fail};
use crate::files;
use crate::lang::Lang;
use crate::local::{pidfile::PidFile, read_genesis};
use crate::output::Output;
use crate::passphrase::{self, Passphrase, PassphraseArgs};
use crate::progress::Progress;

/// Memory for the caches of a store while it is copied.
const CACHE_BYTES: u64 = 64 << 20;
/// Rows copied at a time.
const ROWS: usize = 2_000;
/// Items appended before they are made durable.
const ITEMS: u64 = 1_000;

/// Arguments of `storage encrypt`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser storage encrypt --config node.toml
  hawser storage encrypt --config node.toml --data-key-file data.secret --remove-old

Every chain of the node is written anew, encrypted, compared with what it was, and put in its place;
node.toml is changed to match. Stopped half-way, nothing has changed: run it again. The open data stays
beside as FOLDER.open until it is removed.")]
pub(crate) struct EncryptArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Have this file open the data, instead of the passphrase of the node's keys; made with random
    /// bytes and mode 0600 if it is not there
    #[arg(long, value_name = "FILE")]
    data_key_file: Option<PathBuf>,
}

/// Arguments of `storage decrypt`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser storage decrypt --config node.toml

Blocks, receipts and votes are written anew; state and indexes, whose keys cannot be had back, are made
from the blocks when the node starts. The encrypted data stays beside as FOLDER.encrypted until it is
removed.")]
pub(crate) struct DecryptArgs {
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Args, Debug)]
struct NodeArgs {
    /// The node's configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Remove the data as it was, once the new one has been compared with it
    #[arg(long)]
    remove_old: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// A stopped node, kept from starting meanwhile.
struct Stopped {
    config: NodeConfig,
    passphrase: Passphrase,
    chains: Vec<(PathBuf, Genesis)>,
    _held: Option<PidFile>,
}

impl NodeArgs {
    fn open(&self) -> Result<Stopped> {
        let loaded = config::load(&self.config, &Overrides::default()).or_fail(Code::Config)?;
        let config = loaded.config;
        let held = config.node.pid_file.as_deref().map(PidFile::take);
        let held = held.transpose()?;
        let passphrase = match (
            &self.passphrase.passphrase_file,
            &config.node.passphrase_file,
        ) {
            (Some(path), _) | (None, Some(path)) => passphrase::from_file(path)?,
            (None, None) => self.passphrase.existing("the node's keys")?,
        };
        let mut chains = Vec::new();
        for section in &config.chains {
            let genesis = read_genesis(&section.genesis)?;
            let dir = chain_dir(&config, section, genesis.chain_id);
            refuse_tiered(&dir)?;
            chains.push((dir, genesis));
        }
        Ok(Stopped {
            config,
            passphrase,
            chains,
            _held: held,
        })
    }
}

/// Files in an object store are what they were uploaded as: they have to be here to be written anew.
fn refuse_tiered(dir: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(dir.join("log")) else {
        return Ok(());
    };
    let mut names = entries.flatten().map(|entry| entry.file_name());
    if names.any(|name| name.to_string_lossy().ends_with(".cold")) {
        return fail(
            Code::Config,
            Lang::current().pick(
                "files of this chain lie in an object store; bring them back first: `hawser storage tier fetch --all`",
                "该链有文件位于对象存储中；请先执行 `hawser storage tier fetch --all` 取回",
            ),
        );
    }
    Ok(())
}

/// Runs `storage encrypt`.
pub(super) fn encrypt(args: &EncryptArgs, output: Output, lang: Lang) -> Result<()> {
    let node = args.node.open()?;
    if node.config.storage.encryption != Encryption::None {
        return fail(
            Code::Usage,
            lang.pick(
                "the configuration says that the data is encrypted already; `hawser storage rewrap` changes what opens it",
                "配置表明数据已加密；更换口令或密钥文件请用 `hawser storage rewrap`",
            ),
        );
    }
    let (encryption, key_file) = match &args.data_key_file {
        Some(file) => {
            let file = std::path::absolute(file).or_fail(Code::Failed)?;
            datafolder::make_key_file(&file)?;
            (Encryption::KeyFile, Some(file))
        }
        None => (Encryption::Passphrase, None),
    };
    let section = StorageSection {
        encryption,
        encryption_key_file: key_file.clone(),
        ..node.config.storage.clone()
    };
    let convert = |dir: &Path, new: &Path, genesis: &Genesis, step: &dyn Fn(u64)| {
        let sealer = datafolder::sealer(new, &section, genesis.suite, &node.passphrase)?;
        copy_logs(dir, None, new, sealer.clone(), step)?;
        match sealer {
            Some(sealer) => {
                copy_state(dir, new, genesis.suite, Arc::clone(&sealer), step)?;
                copy_store(dir, new, sealer, step)
            }
            None => Ok(()),
        }
    };
    // Folders that an earlier run got to are done.
    let done = |dir: &Path| dir.join(datafolder::NAME).exists();
    let all = replace(&node, "open", &done, args.node.remove_old, &convert, lang)?;
    let name = match encryption {
        Encryption::KeyFile => "key-file",
        _ => "passphrase",
    };
    configure(&args.node.config, name, key_file.as_deref())?;
    report(&all, args.node.remove_old, output, lang)
}

/// Runs `storage decrypt`.
pub(super) fn decrypt(args: &DecryptArgs, output: Output, lang: Lang) -> Result<()> {
    let node = args.node.open()?;
    if node.config.storage.encryption == Encryption::None {
        return fail(
            Code::Usage,
            lang.pick(
                "the configuration says that the data is not encrypted",
                "配置表明数据未加密",
            ),
        );
    }
    let convert = |dir: &Path, new: &Path, genesis: &Genesis, step: &dyn Fn(u64)| {
        let storage = &node.config.storage;
        let sealer = datafolder::sealer(dir, storage, genesis.suite, &node.passphrase)?;
        copy_logs(dir, sealer, new, None, step)
    };
    let done = |dir: &Path| !dir.join(datafolder::NAME).exists();
    let all = replace(
        &node,
        "encrypted",
        &done,
        args.node.remove_old,
        &convert,
        lang,
    )?;
    configure(&args.node.config, "none", None)?;
    report(&all, args.node.remove_old, output, lang)
}

type Convert<'a> = &'a dyn Fn(&Path, &Path, &Genesis, &dyn Fn(u64)) -> Result<()>;

/// Converts the folder of each chain; gives where the old data is.
fn replace(
    node: &Stopped,
    old_name: &str,
    done: &dyn Fn(&Path) -> bool,
    remove_old: bool,
    convert: Convert<'_>,
    lang: Lang,
) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut all = Vec::new();
    for (dir, genesis) in &node.chains {
        let (new, old) = (beside(dir, "new"), beside(dir, old_name));
        if !dir.exists() {
            continue;
        }
        if done(dir) {
            // Stopped between the exchange and this: `new` is the old data.
            if new.exists() && !old.exists() {
                fs::rename(&new, &old).context(Code::Failed, old.display())?;
                all.push((dir.clone(), old));
            }
            continue;
        }
        if old.exists() {
            let old = old.display();
            return fail(
                Code::Config,
                match lang {
                    Lang::En => format!("{old} is there from an earlier time; move it away first"),
                    Lang::Zh => format!("{old} 为先前遗留；请先移走"),
                },
            );
        }
        remove(&new)?;
        files::make_dir(&new)?;
        let text = lang.pick("writing and comparing", "正在写入并比对");
        let progress = Progress::bytes(bytes_of(dir).saturating_mul(2), text);
        convert(dir, &new, genesis, &|bytes| progress.advance(bytes))?;
        drop(progress);
        exchange(dir, &new, &old)?;
        if remove_old {
            remove(&old)?;
        }
        all.push((dir.clone(), old));
    }
    Ok(all)
}

fn beside(dir: &Path, ending: &str) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context(Code::Failed, dir.display())
        }
        _ => Ok(()),
    }
}

fn bytes_of(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_of(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}

/// Puts the new folder in the place of the old one. A node never finds an empty place there, where
/// it would begin anew and forget what it voted for.
fn exchange(dir: &Path, new: &Path, old: &Path) -> Result<()> {
    let context = || format!("cannot put {} in place", new.display());
    if renameat_with(CWD, new, CWD, dir, RenameFlags::EXCHANGE).is_ok() {
        fs::rename(new, old).context(Code::Failed, context())?;
    } else {
        // File systems that do not exchange: the node refuses to begin anew beside `old`.
        fs::rename(dir, old).context(Code::Failed, context())?;
        fs::rename(new, dir).context(Code::Failed, context())?;
    }
    let parent = dir.parent().unwrap_or(dir);
    fs::File::open(parent)
        .and_then(|folder| folder.sync_all())
        .context(Code::Failed, context())
}

fn disk(dir: &Path, sealer: Option<Arc<Sealer>>) -> Result<Arc<dyn Disk>> {
    let path = dir.join("log");
    let disk = Arc::new(OsDisk::new(&path).context(Code::Failed, path.display())?);
    Ok(match sealer {
        Some(sealer) => Arc::new(SealedDisk::new(disk, sealer)),
        None => disk,
    })
}

/// Copies blocks, receipts and votes, and compares what can then be read with what it was.
fn copy_logs(
    dir: &Path,
    from_sealer: Option<Arc<Sealer>>,
    new: &Path,
    to_sealer: Option<Arc<Sealer>>,
    step: &dyn Fn(u64),
) -> Result<()> {
    let (from, to) = (disk(dir, from_sealer)?, disk(new, to_sealer)?);
    let failed = || format!("the log in {}", dir.display());
    for name in store::SEGMENTS {
        let open = |disk: &Arc<dyn Disk>| {
            Segments::open(Arc::clone(disk), name, SegmentOptions::default())
                .map(|(segments, _)| segments)
                .context(Code::Failed, failed())
        };
        let source = open(&from)?;
        let (Some(first), Some(last)) = (source.first(), source.last()) else {
            continue;
        };
        let target = open(&to)?;
        for number in first..=last {
            let item = source.get(number).context(Code::Failed, failed())?;
            let Some(item) = item else { continue };
            target
                .append(number, &item)
                .context(Code::Failed, failed())?;
            if number % ITEMS == 0 {
                target.sync().context(Code::Failed, failed())?;
            }
            step(item.len() as u64);
        }
        target.sync().context(Code::Failed, failed())?;
        drop(target);
        let target = open(&to)?;
        for number in first..=last {
            let item = source.get(number).context(Code::Failed, failed())?;
            if item != target.get(number).context(Code::Failed, failed())? {
                return differs(new);
            }
            step(item.map_or(0, |item| item.len() as u64));
        }
    }
    for name in [store::VOTE_LOG, store::VOTE_GUARD] {
        if from.open(name).context(Code::Failed, failed())?.is_none() {
            continue;
        }
        let open = |disk: &Arc<dyn Disk>| {
            SyncedLog::open(Arc::clone(disk), name, LogOptions::default())
                .context(Code::Failed, failed())
        };
        let (_, source) = open(&from)?;
        let (mut target, _) = open(&to)?;
        for record in &source.records {
            target.append(record).context(Code::Failed, failed())?;
        }
        target.sync().context(Code::Failed, failed())?;
        drop(target);
        if open(&to)?.1.records != source.records {
            return differs(new);
        }
    }
    Ok(())
}

/// Copies the pages of the state to an encrypted disk, and compares. A state of an earlier format is
/// converted first: once encrypted, its keys could not be had in order.
fn copy_state(
    dir: &Path,
    new: &Path,
    suite: Suite,
    sealer: Arc<Sealer>,
    step: &dyn Fn(u64),
) -> Result<()> {
    let failed = || format!("the state in {}", dir.display());
    let from = disk(dir, None)?;
    let kv = FjallKv::open(&dir.join("kv"), &store::columns(), CACHE_BYTES)
        .context(Code::Failed, failed())?;
    let opened = StateStore::open(
        Arc::new(kv),
        Arc::clone(&from),
        suite,
        StateOptions::default(),
    );
    drop(opened.context(Code::Failed, failed())?);
    StateStore::copy_pages(from, disk(new, Some(sealer))?, step)
        .map(|_| ())
        .context(Code::Failed, failed())
}

/// Copies the history of the state and indexes into an encrypted store, and compares.
fn copy_store(dir: &Path, new: &Path, sealer: Arc<Sealer>, step: &dyn Fn(u64)) -> Result<()> {
    let failed = || format!("the key-value store in {}", dir.display());
    let mut columns = store::columns();
    let source =
        FjallKv::open(&dir.join("kv"), &columns, CACHE_BYTES).context(Code::Failed, failed())?;
    columns.push(SealedKv::COLUMN);
    let open = || {
        let kv = FjallKv::open(&new.join("kv"), &columns, CACHE_BYTES)
            .context(Code::Failed, failed())?;
        SealedKv::open(Arc::new(kv), Arc::clone(&sealer), &store::key_forms())
            .context(Code::Failed, failed())
    };
    let target = open()?;
    for column in store::columns() {
        rows(&source, column, &mut |rows| {
            let mut batch = Batch::new();
            for (key, value) in rows {
                step((key.len() + value.len()) as u64);
                batch.put(column, key, value);
            }
            target.write(batch).context(Code::Failed, failed())
        })?;
    }
    target.persist().context(Code::Failed, failed())?;
    drop(target);
    let target = open()?;
    for column in store::columns() {
        rows(&source, column, &mut |rows| {
            for (key, value) in rows {
                let found = target.get(column, key).context(Code::Failed, failed())?;
                if found.as_ref() != Some(value) {
                    return differs(new);
                }
                step((key.len() + value.len()) as u64);
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn differs(new: &Path) -> Result<()> {
    fail(
        Code::Failed,
        format!(
            "what was written to {} is not what was read; the data was left as it is. Is the disk \
             in order?",
            new.display()
        ),
    )
}

type Row = (Vec<u8>, Vec<u8>);

/// All rows of a column, some at a time.
fn rows(kv: &dyn Kv, column: Column, each: &mut dyn FnMut(&[Row]) -> Result<()>) -> Result<()> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let start = match &after {
            Some(key) => Bound::Excluded(key.as_slice()),
            None => Bound::Unbounded,
        };
        let found = kv
            .range(column, start, Bound::Unbounded, false, ROWS)
            .or_fail(Code::Failed)?;
        let Some((last, _)) = found.last() else {
            return Ok(());
        };
        after = Some(last.clone());
        each(&found)?;
    }
}

/// Writes into the configuration how the data lies now.
fn configure(path: &Path, encryption: &str, key_file: Option<&Path>) -> Result<()> {
    let context = || format!("cannot change {}", path.display());
    let text = fs::read_to_string(path).context(Code::Failed, context())?;
    let text = set(&text, "encryption", Some(&quote(encryption)));
    let key_file = key_file.map(|file| quote(&file.to_string_lossy()));
    let text = set(&text, "encryption_key_file", key_file.as_deref());
    let next = path.with_extension("toml.new");
    let write = || -> std::io::Result<()> {
        fs::write(&next, &text)?;
        fs::set_permissions(&next, fs::metadata(path)?.permissions())?;
        fs::File::open(&next)?.sync_all()?;
        fs::rename(&next, path)
    };
    write().context(Code::Failed, context())
}

/// Sets a key of the section `[storage]`, which is added if it is missing; `None` takes it out.
fn set(text: &str, name: &str, value: Option<&str>) -> String {
    let line = value.map(|value| format!("{name} = {value}"));
    let is_key = |text: &str| {
        let text = text.trim_start().trim_start_matches('#').trim_start();
        let rest = text.strip_prefix(name);
        rest.is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let (mut out, mut inside, mut done) = (Vec::new(), false, value.is_none());
    for old in text.lines() {
        let head = old.trim();
        if head.starts_with('[') {
            if inside && !done {
                out.extend(line.clone());
                done = true;
            }
            inside = head == "[storage]";
        }
        if inside && is_key(old) {
            if !done {
                out.extend(line.clone());
                done = true;
            } else if old.trim_start().starts_with('#') {
                out.push(old.to_owned());
            }
            continue;
        }
        out.push(old.to_owned());
    }
    if !done {
        if !inside {
            out.extend([String::new(), "[storage]".to_owned()]);
        }
        out.extend(line);
    }
    out.join("\n") + "\n"
}

fn report(all: &[(PathBuf, PathBuf)], removed: bool, output: Output, lang: Lang) -> Result<()> {
    let one = |(dir, old): &(PathBuf, PathBuf)| json!({ "folder": dir, "old": (!removed).then_some(old) });
    let value = json!({ "chains": all.iter().map(one).collect::<Vec<_>>() });
    output.print(&value, |_| {
        let mut text = String::new();
        for (dir, old) in all {
            let (dir, old) = (dir.display(), old.display());
            text.push_str(&match (lang, removed) {
                (Lang::En, false) => format!(
                    "{dir} is converted and compared. Start the node; when it is well, remove {old}\n"
                ),
                (Lang::En, true) => {
                    format!("{dir} is converted and compared, and the old data removed\n")
                }
                (Lang::Zh, false) => {
                    format!("{dir} 已转换并比对。请启动节点；确认正常后删除 {old}\n")
                }
                (Lang::Zh, true) => format!("{dir} 已转换并比对，旧数据已删除\n"),
            });
        }
        if all.is_empty() {
            text.push_str(lang.pick("there is no data to convert", "没有需要转换的数据"));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_changes_in_one_place_only() {
        let text = "# x\n[rpc]\n#encryption = \"a\"\n[storage]\n#encryption = \"none\"\n#encryption_key_file = \"\"\ncache_mib = 64\n\n[[chains]]\nencryption = 1\n";
        let on = set(text, "encryption", Some("\"passphrase\""));
        assert_eq!(
            on,
            text.replacen("#encryption = \"none\"", "encryption = \"passphrase\"", 1)
        );
        assert_eq!(
            set(&on, "encryption", Some("\"none\"")),
            text.replacen("#encryption = \"none\"", "encryption = \"none\"", 1)
        );
        let file = set(&on, "encryption_key_file", Some("\"f\""));
        assert!(file.contains("\nencryption_key_file = \"f\"\n"));
        assert!(!set(&file, "encryption_key_file", None).contains("encryption_key_file"));
        assert_eq!(
            set("a = 1\n", "encryption", Some("2")),
            "a = 1\n\n[storage]\nencryption = 2\n"
        );
        assert_eq!(
            set("[storage]\n[x]\n", "encryption", Some("2")),
            "[storage]\nencryption = 2\n[x]\n"
        );
        assert_eq!(
            set("[storage]", "encryption", Some("2")),
            "[storage]\nencryption = 2\n"
        );
    }
}
