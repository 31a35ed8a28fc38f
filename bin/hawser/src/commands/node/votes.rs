//! `hawser node allow-votes`

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use hawser_ledger::Genesis;
use hawser_node::chain::{allow_votes, votes_in_doubt};
use hawser_node::config::{Encryption, NodeConfig, NodeKind, PeerSection};
use hawser_node::peers::PeerChanges;
use hawser_node::store::last_block;
use hawser_primitives::Height;
use hawser_storage::{Disk, OsDisk, SealedDisk};
use serde_json::json;

use crate::exit::{Code, OrFail, Result, fail};
use crate::lang::Lang;
use crate::local::pidfile::PidFile;
use crate::local::{Home, LocalNode};
use crate::output::Output;
use crate::passphrase::PassphraseArgs;
use crate::{shelves, tiering};

/// Arguments of `node allow-votes`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser node allow-votes --config node.toml --after-height 81234

A node that was restored does not vote until it has seen a quorum of the others vote, because it may have
forgotten votes. Where the whole network was restored, or all nodes lost their vote logs, nobody votes first,
and this is the way on: stop all nodes, find the last block of each (`hawser db check` names it), and run this
on each with the highest of them all, the same on each. With a lower height votes could contradict blocks that
are final; with a higher one nobody votes for the blocks up to it, which nobody has, and the chain stands still.
Whoever gave another height stops all nodes and runs this again with the right one.
Blocks after that height are lost, also those of which clients have receipts. Never use it while any validator that was not restored may be running: a validator that votes
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
    let disk = disk_of(&config, &dir, &genesis, &args.passphrase)?;
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
    let last = last.unwrap_or_default();
    let highest = highest_of_all(args, &config, &genesis, last);
    if let Some(highest) = highest.filter(|highest| after != *highest) {
        return fail(
            Code::Usage,
            match lang {
                Lang::En => format!(
                    "the highest last block of all nodes is {highest}: give --after-height {highest} on each of \
                     them. With a higher one nobody votes for the blocks up to it, and the chain stands still"
                ),
                Lang::Zh => format!(
                    "所有节点的最后一个区块中最大的高度是 {highest}：请在每个节点上给出 --after-height {highest}。\
                     若给出更大的高度，则无人会为到该高度为止的区块投票，链将停滞不前"
                ),
            },
        );
    }
    let from = allow_votes(&disk, guard, after).or_fail(Code::Failed)?;
    let done = json!({ "chain": genesis.chain_id.0, "lastBlock": last.0, "votesFrom": from.0 });
    output.print(&done, |_| allowed(last, after, lang))
}

/// From which block on it votes, and what that needs where its own blocks end before.
fn allowed(last: Height, after: Height, lang: Lang) -> String {
    let (from, next) = (after.next(), last.next());
    let mut text = match lang {
        Lang::En => format!("The node will vote from block {from} on"),
        Lang::Zh => format!("该节点将从区块 {from} 起投票"),
    };
    if after > last {
        text.push_str(&match lang {
            Lang::En => format!(
                ". Its own last block is {last}: the chain stands still unless another node has the blocks {next} \
                 to {after}. If none has, run this again on all nodes with the highest last block of all"
            ),
            Lang::Zh => format!(
                "。它自己的最后一个区块是 {last}：除非另有节点拥有区块 {next} 至 {after}，否则链将停滞不前。\
                 若没有这样的节点，请以所有节点的最后一个区块中最大的高度，在全部节点上重新执行此命令"
            ),
        });
    }
    text
}

/// The highest last block of all nodes, where all peers of this node are stopped nodes of the network's folder that
/// it lies in.
fn highest_of_all(
    args: &AllowArgs,
    config: &NodeConfig,
    genesis: &Genesis,
    own: Height,
) -> Option<Height> {
    let own_dir = args.config.canonicalize().ok()?.parent()?.to_owned();
    let (nodes, unreadable) = Home(own_dir.parent()?.to_owned()).readable_nodes().ok()?;
    if unreadable.is_some() {
        return None;
    }
    let changes = PeerChanges::read(&config.node.data_dir).ok()?;
    let here = |peer: &PeerSection| {
        // One that keeps headers only has no block that others lack.
        let light = peer.kind == Some(NodeKind::Light);
        let address = peer.address.parse::<SocketAddr>().ok();
        let local = |address: SocketAddr| {
            let port = |node: &LocalNode| node.config.network.listen.port() == address.port();
            address.ip().is_loopback() && nodes.iter().any(port)
        };
        light || address.is_some_and(local)
    };
    if !changes.apply(&config.network.peers).iter().all(here) {
        return None;
    }
    let is_other = |node: &&LocalNode| node.dir.canonicalize().ok().as_ref() != Some(&own_dir);
    let mut others = nodes.iter().filter(is_other);
    others.try_fold(own, |highest, node| {
        Some(highest.max(last_of(node, args, genesis)?))
    })
}

/// The last block of a stopped node of the same chain; `None` where that cannot be told.
fn last_of(node: &LocalNode, args: &AllowArgs, genesis: &Genesis) -> Option<Height> {
    let config = &node.config;
    // Nobody is asked for the passphrases of other nodes.
    let told = args.passphrase.passphrase_file.is_some() || config.node.passphrase_file.is_some();
    let asks = config.storage.encryption == Encryption::Passphrase && !told;
    if node.pid().is_some() || asks {
        return None;
    }
    let (_, of, dir) = shelves::chain_of(config, Some(genesis.chain_id.0)).ok()?;
    if of.hash() != genesis.hash() {
        return None;
    }
    if !dir.join("log").exists() {
        return Some(Height::GENESIS);
    }
    let disk = disk_of(config, &dir, genesis, &args.passphrase).ok()?;
    Some(last_block(&disk).ok()?.unwrap_or_default())
}

/// A chain's files, without those that lie in an object store.
fn disk_of(
    config: &NodeConfig,
    dir: &Path,
    genesis: &Genesis,
    passphrase: &PassphraseArgs,
) -> Result<Arc<dyn Disk>> {
    let log = dir.join("log");
    let sealer = crate::commands::snapshot::sealer(config, dir, genesis.suite, passphrase)?;
    let disk = OsDisk::new(&log).context(Code::Failed, log.display())?;
    let disk = tiering::disk(config, dir, disk, genesis, true)?;
    Ok(match sealer {
        Some(sealer) => Arc::new(SealedDisk::new(disk, sealer)),
        None => disk,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_height_above_the_own_last_block_is_told_what_it_needs() {
        let told = |after, lang| allowed(Height(207), Height(after), lang);
        assert_eq!(told(207, Lang::En), "The node will vote from block 208 on");
        assert_eq!(told(207, Lang::Zh), "该节点将从区块 208 起投票");
        let above = told(250, Lang::En);
        assert!(above.contains("own last block is 207"), "{above}");
        assert!(above.contains("the blocks 208 to 250"), "{above}");
        assert!(told(250, Lang::Zh).contains("区块 208 至 250"));
    }
}
