//! `hawser backup`: a node's chain with all its blocks, as files elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use hawser_node::peers::PeerChanges;

use super::snapshot::{self, NodeArgs};
use crate::exit::{Code, OrFail, Result, fail};
use crate::lang::Lang;
use crate::output::{self, Output};

/// Commands of `backup`.
#[derive(Subcommand, Debug)]
pub(crate) enum BackupCommand {
    /// Write state and all blocks of a node's chain to a folder; the node may run
    Create(CreateArgs),
    /// Fill the empty folder of a stopped node from a backup
    Restore(RestoreArgs),
}

/// Arguments of `backup create`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser backup create --config node.toml --to /mnt/backup/2026-11-22

A backup holds the state after one block, every block and receipt that the node keeps, and the proof that
they are final, and the peers that were admitted and removed since the configuration was written. It
holds no keys: back those up apart (`hawser keys export`). Encrypted data stays
encrypted, and its wrapped key data.key comes along.")]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Folder for it, empty or not there yet
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
}

/// Arguments of `backup restore`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser backup restore --config node.toml --from /mnt/backup/2026-11-22

Every chunk is checked against the genesis of the configuration. The node then follows the chain from
the backup's block on. It does not vote until that is safe, because a backup does not know what the node
voted for afterwards; `hawser status` and `hawser doctor` say so.")]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Folder of the backup
    #[arg(long, value_name = "FOLDER")]
    from: PathBuf,
}

/// Runs the command.
pub(crate) fn run(command: &BackupCommand, output: Output, lang: Lang) -> Result<()> {
    match command {
        BackupCommand::Create(args) => create(args, output, lang),
        BackupCommand::Restore(args) => {
            let place = args.node.place()?;
            let restored = snapshot::restore(&place, Some(&args.from), None, lang)?;
            let peers = PeerChanges::FILE;
            let there = place.config.node.data_dir.join(peers);
            // What the node knows by now is newer than any backup.
            if !there.exists() {
                copy(&args.from.join(peers), &there)?;
            }
            output.print(&restored, |restored| snapshot::told(restored, lang))
        }
    }
}

/// Copies a small file, if it is there.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.exists() {
        fs::copy(from, to).context(Code::Failed, from.display())?;
    }
    Ok(())
}

fn create(args: &CreateArgs, output: Output, lang: Lang) -> Result<()> {
    let taken = std::fs::read_dir(&args.to).is_ok_and(|mut entries| entries.next().is_some());
    if taken {
        return fail(
            Code::Usage,
            match lang {
                Lang::En => format!("{} is not empty; give a new folder", args.to.display()),
                Lang::Zh => format!("{} 不是空目录；请指定新目录", args.to.display()),
            },
        );
    }
    let place = args.node.place()?;
    let facts = snapshot::make(&place, Some(&args.to), true, lang)?;
    let peers = PeerChanges::FILE;
    copy(
        &place.config.node.data_dir.join(peers),
        &args.to.join(peers),
    )?;
    output.print(&facts, |facts| {
        let rows = [
            (
                lang.pick("state of block", "状态所属区块"),
                facts.height.to_string(),
            ),
            (lang.pick("blocks", "区块"), snapshot::blocks(facts, lang)),
            (
                lang.pick("keys of the state", "状态键数"),
                facts.entries.to_string(),
            ),
            (lang.pick("bytes", "字节"), facts.bytes.to_string()),
            (lang.pick("folder", "目录"), args.to.display().to_string()),
        ];
        let note = lang.pick(
            "The node's keys are not in it: back them up apart",
            "其中不含节点密钥：请另行备份",
        );
        format!("{}{note}", output::pairs(&rows))
    })
}
