//! `hawser node allow-votes`

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use hawser_node::chain::{allow_votes, votes_in_doubt};
use hawser_node::store::last_block;
use hawser_primitives::Height;
use hawser_storage::{Disk, OsDisk, SealedDisk};
use serde_json::json;

use crate::exit::{Code, OrFail, Result, fail};
use crate::lang::Lang;
use crate::local::pidfile::PidFile;
use crate::output::Output;
use crate::passphrase::PassphraseArgs;
use crate::{shelves, tiering};

/// Arguments of `node allow-votes`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser node allow-votes --config node.toml --after-height 81234

A node that was restored does not vote until it has seen a quorum of the others vote, because it may have
forgotten votes. Where the whole network was restored, nobody votes first, and this is the way on: stop
all nodes, choose one height that is at least the last block of every one of them (`hawser db check`
names it), and run this with it on each. Never use it while any validator that was not restored may be running: a validator that votes
twice counts as faulty, and evidence against it stays.")]
pub(crate) struct AllowArgs {
    /// The stopped node's configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The chain, where the node hosts several
    #[arg(long, value_name = "ID")]
    chain: Option<u64>,
    /// The node votes for blocks after this height
    #[arg(long, value_name = "HEIGHT")]
    after_height: u64,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Runs `node allow-votes`.
pub(super) fn allow(args: &AllowArgs, output: Output, lang: Lang) -> Result<()> {
    let config = super::config(&args.config)?;
    let _held = config
        .node
        .pid_file
        .as_deref()
        .map(PidFile::take)
        .transpose()?;
    let (section, genesis, dir) = shelves::chain_of(&config, args.chain)?;
    let log = dir.join("log");
    if !log.exists() {
        return fail(
            Code::NotFound,
            match lang {
                Lang::En => format!("{} is not there: this node has no data", log.display()),
                Lang::Zh => format!("{} 不存在：该节点没有数据", log.display()),
            },
        );
    }
    let sealer = crate::commands::snapshot::sealer(&config, &dir, genesis.suite, &args.passphrase)?;
    // Old files may lie in an object store, which is not asked.
    let disk = OsDisk::new(&log).context(Code::Failed, log.display())?;
    let disk = tiering::disk(&config, &dir, disk, &genesis, true)?;
    let disk: Arc<dyn Disk> = match sealer {
        Some(sealer) => Arc::new(SealedDisk::new(disk, sealer)),
        None => disk,
    };
    let last = last_block(&disk).or_fail(Code::Failed)?;
    let has_key = section.vote_key.is_some();
    let guard = votes_in_doubt(disk.as_ref(), has_key, last.unwrap_or_default());
    let Some(guard) = guard.or_fail(Code::Failed)? else {
        return fail(
            Code::Refused,
            lang.pick(
                "this node's votes of before are not in doubt: it votes without this, and nothing has to be done",
                "该节点以往的投票没有疑问：无需此命令即会投票，不必做任何事",
            ),
        );
    };
    let after = Height(args.after_height);
    if let Some(last) = last.filter(|last| after < *last) {
        return fail(
            Code::Usage,
            match lang {
                Lang::En => format!(
                    "the last block of this node is {last}, so --after-height cannot be {after}: give the \
                     highest last block of all nodes, here at least {last}"
                ),
                Lang::Zh => format!(
                    "本节点的最后一个区块是 {last}，因此 --after-height 不能是 {after}：请给出所有节点的最后一个区块中\
                     最大的高度，此处至少为 {last}"
                ),
            },
        );
    }
    let from = allow_votes(&disk, guard, after).or_fail(Code::Failed)?;
    let done = json!({ "chain": genesis.chain_id.0, "votesFrom": from.0 });
    output.print(&done, |_| match lang {
        Lang::En => format!("The node will vote from block {from} on"),
        Lang::Zh => format!("该节点将从区块 {from} 起投票"),
    })
}
