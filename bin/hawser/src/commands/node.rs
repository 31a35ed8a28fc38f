//! `hawser node`: how a node comes to a network and leaves it.

mod bundle;
mod invite;
mod join;
mod peers;
mod trust;
mod votes;

use std::path::Path;

use clap::Subcommand;
use hawser_node::config::{self as node_config, NodeConfig, Overrides};

use crate::exit::{Code, OrFail, Result};
use crate::lang::Lang;
use crate::output::Output;

/// Commands of `node`.
#[derive(Subcommand, Debug)]
pub(crate) enum NodeCommand {
    /// Write an invitation: one file with everything a new node needs, and no secrets
    Invite(invite::InviteArgs),
    /// Make the folder of a new node from an invitation
    Join(join::JoinArgs),
    /// List the peers that a node admits
    List(peers::ListArgs),
    /// Admit a peer, at once and without a restart
    Admit(peers::AdmitArgs),
    /// Stop admitting a peer; its link is closed at once
    Remove(peers::RemoveArgs),
    /// Let a stopped node vote again whose votes of before are unknown
    AllowVotes(votes::AllowArgs),
}

/// Runs the command.
pub(crate) async fn run(command: &NodeCommand, output: Output, lang: Lang) -> Result<()> {
    match command {
        NodeCommand::Invite(args) => invite::run(args, output, lang),
        NodeCommand::Join(args) => join::run(args, output, lang),
        NodeCommand::List(args) => peers::list(args, output, lang).await,
        NodeCommand::Admit(args) => peers::admit(args, output, lang),
        NodeCommand::Remove(args) => peers::remove(args, output, lang),
        NodeCommand::AllowVotes(args) => votes::allow(args, output, lang),
    }
}

/// The configuration of a node on this machine, as `hawser start` sees it.
fn config(path: &Path) -> Result<NodeConfig> {
    let overrides = Overrides {
        environment: super::config::environment(),
        flags: Vec::new(),
    };
    Ok(node_config::load(path, &overrides)
        .or_fail(Code::Config)?
        .config)
}
