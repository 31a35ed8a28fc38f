//! `hawser db`: a stopped node's data checked and mended.

mod words;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use hawser_ledger::Genesis;
use hawser_node::config::{self, ChainSection, Encryption, NodeConfig, Overrides};
use hawser_node::store::check::{CheckReport, Plan, Step, check, repair};
use hawser_node::store::{self, StoreError};
use hawser_storage::{Disk, FjallKv, Kv, OsDisk, SealedDisk, SealedKv, Sealer};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use self::words::Told;
use crate::commands::start::run::chain_dir;
use crate::datafolder;
use crate::exit::{Code, Failure, OrFail, Result, fail};
use crate::lang::Lang;
use crate::local::{pidfile::PidFile, read_genesis};
use crate::output::Output;
use crate::passphrase::{self, Passphrase, PassphraseArgs};
use crate::progress::Progress;
use crate::tiering;

/// Memory for the caches of a key-value store that is checked.
const CACHE_BYTES: u64 = 64 << 20;
/// Index rows of one block in so many are looked at unless all are asked for.
const SAMPLE: u64 = 64;
/// Exit code of a check that found damage, as of any verification that failed …
const DAMAGED: Code = Code::NotFound;
/// … and of one that could not be made or could not tell.
const UNKNOWN: Code = Code::Usage;

/// Commands of `db`.
#[derive(Subcommand, Debug)]
pub(crate) enum DbCommand {
    /// Read all data of a stopped node and say in words what is damaged
    Check(CheckArgs),
    /// Mend the data of a stopped node as far as that is safe, saying what is lost
    Repair(RepairArgs),
}

/// Arguments of `db check`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser db check --config node.toml
  hawser db check --config node.toml --all --output json
  hawser db check --config node.toml --remote

Reads every block with its certificate from the genesis on, receipts, pages of the state, headers of
dropped blocks, the vote log, and index rows of one block in 64 (all with --all). Nothing is changed.
What was moved to an object store is read from there with --remote, each MiB compared with its digest;
without it, it is named and the check cannot tell.
Ends with 0 when all is sound, 5 when something is damaged, 2 when that cannot be told or a validator's
vote log is missing.")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Look at the index rows of every block
    #[arg(long)]
    all: bool,
    /// Read what lies in the object store as well
    #[arg(long)]
    remote: bool,
}

/// Arguments of `db repair`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser db repair --config node.toml
  hawser db repair --config node.toml --yes

Checks first, says what it would do and what is lost by it, and asks. It cuts damaged blocks off, which
the node fetches from its peers again; puts aside what the node makes again from its blocks (state,
receipts, index); removes damaged index files. The vote log is left alone unless --forget-votes is given.")]
pub(crate) struct RepairArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Put a damaged vote log aside. The node forgets what it voted for: started, it follows and does not
    /// vote until it has seen a quorum of the other validators vote
    #[arg(long)]
    forget_votes: bool,
}

#[derive(Args, Debug)]
struct NodeArgs {
    /// The node's configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only this chain, by its id
    #[arg(long, value_name = "ID")]
    chain: Option<u64>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// A stopped node, kept from starting meanwhile.
struct Stopped {
    config: NodeConfig,
    passphrase: Passphrase,
    chains: Vec<Chain>,
    _held: Option<PidFile>,
}

struct Chain {
    dir: PathBuf,
    genesis: Genesis,
    has_key: bool,
}

impl NodeArgs {
    fn open(&self, lang: Lang) -> Result<Stopped> {
        let unknown = |failure: Failure| Failure::new(UNKNOWN, failure.message);
        let loaded = config::load(&self.config, &Overrides::default()).or_fail(UNKNOWN)?;
        let config = loaded.config;
        let held = config.node.pid_file.as_deref().map(PidFile::take);
        let held = held.transpose().map_err(|failure| {
            Failure::new(
                UNKNOWN,
                format!("{}. {}", failure.message, words::stop_first(lang)),
            )
        })?;
        let asked = self.passphrase.passphrase_file.as_ref();
        let passphrase = match (config.storage.encryption, asked) {
            (Encryption::Passphrase, None) => match &config.node.passphrase_file {
                Some(path) => passphrase::from_file(path).map_err(unknown)?,
                None => self
                    .passphrase
                    .existing("the node's keys")
                    .map_err(unknown)?,
            },
            (Encryption::Passphrase, Some(path)) => passphrase::from_file(path).map_err(unknown)?,
            _ => Zeroizing::default(),
        };
        let mut chains = Vec::new();
        for section in &config.chains {
            let genesis = read_genesis(&section.genesis).map_err(unknown)?;
            if self.chain.is_none_or(|id| id == genesis.chain_id.0) {
                chains.push(Chain::new(&config, section, genesis));
            }
        }
        if chains.is_empty() {
            return fail(UNKNOWN, words::no_chain(lang));
        }
        Ok(Stopped {
            config,
            passphrase,
            chains,
            _held: held,
        })
    }
}

impl Chain {
    fn new(config: &NodeConfig, section: &ChainSection, genesis: Genesis) -> Self {
        Self {
            dir: chain_dir(config, section, genesis.chain_id),
            genesis,
            has_key: section.vote_key.is_some(),
        }
    }

    fn sealer(&self, node: &Stopped) -> Result<Option<Arc<Sealer>>> {
        let suite = self.genesis.suite;
        datafolder::sealer(&self.dir, &node.config.storage, suite, &node.passphrase)
            .map_err(|failure| Failure::new(UNKNOWN, failure.message))
    }

    fn disk(
        &self,
        node: &Stopped,
        sealer: Option<Arc<Sealer>>,
        remote: bool,
    ) -> Result<Arc<dyn Disk>> {
        let path = self.dir.join("log");
        let disk = OsDisk::new(&path).context(UNKNOWN, path.display())?;
        let disk = tiering::disk(&node.config, &self.dir, disk, &self.genesis, !remote)
            .map_err(|failure| Failure::new(UNKNOWN, failure.message))?;
        Ok(match sealer {
            Some(sealer) => Arc::new(SealedDisk::new(disk, sealer)),
            None => disk,
        })
    }

    /// The key-value store; `Ok(Err(_))` says why it does not open.
    fn kv(
        &self,
        sealer: Option<Arc<Sealer>>,
        lang: Lang,
    ) -> Result<std::result::Result<Arc<dyn Kv>, String>> {
        let path = self.dir.join("kv");
        if !path.exists() {
            return Ok(Err(words::kv_missing(lang).to_owned()));
        }
        let mut columns = store::columns();
        columns.extend(sealer.is_some().then_some(SealedKv::COLUMN));
        let kv = match FjallKv::open(&path, &columns, CACHE_BYTES) {
            Ok(kv) => Arc::new(kv),
            Err(error) if error.to_string().contains("Locked") => {
                return fail(UNKNOWN, words::locked(&self.dir, lang));
            }
            Err(error) => return Ok(Err(error.to_string())),
        };
        Ok(match sealer {
            Some(sealer) => match SealedKv::open(kv, sealer, &store::key_forms()) {
                Ok(kv) => Ok(Arc::new(kv) as Arc<dyn Kv>),
                Err(error) => Err(error.to_string()),
            },
            None => Ok(kv as Arc<dyn Kv>),
        })
    }

    /// Checks everything. `None` where there is no data yet.
    fn check(
        &self,
        node: &Stopped,
        (sample, remote): (u64, bool),
        lang: Lang,
    ) -> Result<Option<(Arc<dyn Disk>, CheckReport)>> {
        if !self.dir.join("log").exists() {
            return Ok(None);
        }
        let sealer = self.sealer(node)?;
        let kv = self.kv(sealer.clone(), lang)?;
        let disk = self.disk(node, sealer, remote)?;
        let list = disk.list().or_fail(UNKNOWN)?;
        let bytes = list.iter().map(|(_, bytes)| *bytes).sum();
        let text = words::checking(self.genesis.chain_id.0, lang);
        let progress = Progress::bytes(bytes, text);
        let kv = kv.as_deref().map_err(Clone::clone);
        let step = |bytes| progress.advance(bytes);
        let report = check(&disk, kv, &self.genesis, sample, &step).map_err(|error| {
            let text = match error {
                StoreError::WrongGenesis { .. } => error.to_string(),
                other => words::unreadable(&other.to_string(), lang),
            };
            Failure::new(UNKNOWN, text)
        })?;
        Ok(Some((disk, report)))
    }
}

/// Runs the command.
pub(crate) fn run(command: &DbCommand, output: Output, lang: Lang) -> Result<()> {
    match command {
        DbCommand::Check(args) => run_check(args, output, lang),
        DbCommand::Repair(args) => run_repair(args, output, lang),
    }
}

fn run_check(args: &CheckArgs, output: Output, lang: Lang) -> Result<()> {
    let node = args.node.open(lang)?;
    let sample = if args.all { 1 } else { SAMPLE };
    let (mut damaged, mut unclear, mut votes_unknown) = (false, false, false);
    let (mut values, mut text) = (Vec::new(), String::new());
    for chain in &node.chains {
        let Some((_, report)) = chain.check(&node, (sample, args.remote), lang)? else {
            text.push_str(&words::no_data(&chain.dir, lang));
            continue;
        };
        let plan = report.plan(false);
        damaged |= !report.is_sound();
        unclear |= !report.unclear.is_empty() || !report.cold.is_empty();
        votes_unknown |= chain.has_key && report.votes_missing() && !report.vote_guard;
        values.push(value(chain, &report, &plan, lang));
        text.push_str(&words::report(&chain.dir, &report, chain.has_key, lang));
        let told = (chain.has_key, Told::Perhaps);
        text.push_str(&words::plan(&plan, &report, told, lang));
    }
    output.print(&json!({ "chains": values }), |_| text)?;
    match (damaged, unclear, votes_unknown) {
        (true, ..) => fail(DAMAGED, words::damaged(lang)),
        (false, true, _) => fail(UNKNOWN, words::unclear(lang)),
        (false, false, true) => fail(UNKNOWN, words::votes_unknown(lang)),
        (false, false, false) => Ok(()),
    }
}

fn run_repair(args: &RepairArgs, output: Output, lang: Lang) -> Result<()> {
    let node = args.node.open(lang)?;
    let (mut values, mut changed) = (Vec::new(), false);
    for chain in &node.chains {
        let Some((disk, report)) = chain.check(&node, (1, false), lang)? else {
            continue;
        };
        let plan = report.plan(args.forget_votes);
        let cuts = |step: &Step| matches!(step, Step::CutBlocks { .. });
        let kept =
            chain.has_key && matches!(&plan, Plan::Steps { steps, .. } if steps.iter().any(cuts));
        let told = if args.yes && !kept {
            Told::Now
        } else {
            Told::Perhaps
        };
        let told = words::report(&chain.dir, &report, chain.has_key, lang)
            + &words::plan(&plan, &report, (chain.has_key, told), lang);
        eprint!("{told}");
        let done = match &plan {
            Plan::Nothing => Vec::new(),
            Plan::Impossible { .. } => return fail(DAMAGED, words::impossible(lang)),
            Plan::Steps { steps, .. } => {
                if kept {
                    return fail(DAMAGED, words::key_is_in(lang));
                }
                if !steps.is_empty() {
                    confirm(args.yes, lang)?;
                }
                carry_out(&chain.dir, &disk, steps)?;
                steps.clone()
            }
        };
        changed |= !done.is_empty();
        let left = matches!(plan, Plan::Steps { votes: true, .. });
        values.push(json!({
            "folder": chain.dir,
            "done": done.iter().map(|step| words::step(step, &report, lang)).collect::<Vec<_>>(),
            "votesDamaged": left,
        }));
        if left {
            output.print(&json!({ "chains": values }), |_| String::new())?;
            return fail(DAMAGED, words::votes_left(lang));
        }
    }
    output.print(&json!({ "chains": values }), |_| {
        let text = if changed {
            words::repaired(lang)
        } else {
            words::nothing_to_repair(lang)
        };
        text.to_owned()
    })
}

/// Carries the steps of one chain out. The key-value store goes before the state that it belongs to.
fn carry_out(dir: &Path, disk: &Arc<dyn Disk>, steps: &[Step]) -> Result<()> {
    for step in steps {
        if *step == Step::MakeAgain {
            let (from, to) = (dir.join("kv"), dir.join("set-aside-kv"));
            if from.exists() {
                match std::fs::remove_dir_all(&to) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(error).context(Code::Failed, to.display());
                    }
                    _ => {}
                }
                std::fs::rename(&from, &to).context(Code::Failed, from.display())?;
                std::fs::File::open(dir)
                    .and_then(|folder| folder.sync_all())
                    .context(Code::Failed, dir.display())?;
            }
        }
        repair(disk, step).or_fail(Code::Failed)?;
    }
    Ok(())
}

fn confirm(yes: bool, lang: Lang) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return fail(Code::Failed, words::say_yes(lang));
    }
    eprint!("{} ", words::ask(lang));
    std::io::stderr().flush().or_fail(Code::Failed)?;
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .or_fail(Code::Failed)?;
    match answer.trim() {
        "yes" | "是" => Ok(()),
        _ => fail(Code::Failed, words::nothing_done(lang)),
    }
}

fn value(chain: &Chain, report: &CheckReport, plan: &Plan, lang: Lang) -> Value {
    let findings = report.findings.iter().map(|finding| {
        json!({
            "part": words::part(finding.part, Lang::En),
            "file": finding.file,
            "offset": finding.offset,
            "height": finding.height,
            "reason": finding.reason,
        })
    });
    let steps = match plan {
        Plan::Steps { steps, .. } => steps.as_slice(),
        _ => &[],
    };
    let counts = report.counts;
    json!({
        "chainId": chain.genesis.chain_id,
        "folder": chain.dir,
        "sound": report.is_sound(),
        "voteLogMissing": chain.has_key && report.votes_missing(),
        "firstHeight": report.first,
        "lastHeight": report.last,
        "stateHeight": report.state,
        "fromGenesis": report.from_genesis,
        "checked": {
            "blocks": counts.blocks,
            "headers": counts.headers,
            "receipts": counts.receipts,
            "pages": counts.pages,
            "rows": counts.rows,
            "votes": counts.votes,
        },
        "findings": findings.collect::<Vec<_>>(),
        "furtherFindings": report.more,
        "unclear": report.unclear,
        "notRead": report.cold.iter().map(|(part, first, last)| json!({
            "part": words::part(*part, Lang::En),
            "first": first,
            "last": last,
        })).collect::<Vec<_>>(),
        "repair": steps.iter().map(|step| words::step(step, report, lang)).collect::<Vec<_>>(),
        "repairable": !matches!(plan, Plan::Impossible { .. }),
    })
}
