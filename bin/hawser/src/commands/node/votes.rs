//! `hawser node allow-votes`

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use hawser_node::chain::{read_vote_guard, write_vote_guard};
use hawser_node::replica::VoteGuard;
use hawser_primitives::Height;
use serde_json::json;

use crate::exit::{Code, OrFail, Result, fail};
use crate::lang::Lang;
use crate::local::pidfile::PidFile;
use crate::output::Output;
use crate::passphrase::PassphraseArgs;
use crate::shelves;

/// Arguments of `node allow-votes`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser node allow-votes --config node.toml --after-height 81234

A node that was restored does not vote until it has seen a quorum of the others vote, because it may have
forgotten votes. Where the whole network was restored, nobody votes first, and this is the way on: stop
all nodes, choose one height that is at least the last block of every one of them, and run this with it
on each. Never use it while any validator that was not restored may be running: a validator that votes
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
    let (_, genesis, dir) = shelves::chain_of(&config, args.chain)?;
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
    let disk = shelves::disk(&log, sealer)?;
    let guard = read_vote_guard(Arc::clone(&disk)).or_fail(Code::Failed)?;
    let Some(guard) = guard else {
        return fail(
            Code::Refused,
            lang.pick(
                "this node's votes of before are not in doubt: it votes already",
                "该节点以往的投票没有疑问：它本来就在投票",
            ),
        );
    };
    let from = Height(args.after_height).next();
    let allowed = VoteGuard {
        from: Some(from),
        ..guard
    };
    write_vote_guard(disk, allowed).or_fail(Code::Failed)?;
    let done = json!({ "chain": genesis.chain_id.0, "votesFrom": from.0 });
    output.print(&done, |_| match lang {
        Lang::En => format!("The node will vote from block {from} on"),
        Lang::Zh => format!("该节点将从区块 {from} 起投票"),
    })
}
