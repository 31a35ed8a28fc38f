//! `hawser gov`: who governs the chain, what is proposed, what is allowed, what happened (治理).

mod act;
mod audit;
mod document;
mod show;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hawser_governance::{Resource, Target, action::Action, audit::EntryKind};
use hawser_primitives::{Address, B256};
use serde_json::{Value, json};

use crate::client::{Client, NodeArgs};
use crate::exit::{Code, Result, fail};
use crate::lang::Lang;
use crate::output::Output;
use crate::send::SignerArgs;

/// Commands of `gov`.
#[derive(Subcommand, Debug)]
pub(crate) enum GovCommand {
    /// Show how the chain is governed
    Overview(NodeOnly),
    /// List the organisations
    Orgs(NodeOnly),
    /// List the members
    Members(NodeOnly),
    /// Show what is known of an account
    Member(MemberArgs),
    /// List the roles and what they may do
    Roles(NodeOnly),
    /// List the rules of permission
    Rules(NodeOnly),
    /// Propose changes, or show what they would do
    Propose(Box<ProposeArgs>),
    /// Propose a recovery, as an authority of an organisation
    Recover(Box<ProposeArgs>),
    /// Vote on a proposal
    Vote(VoteArgs),
    /// Put a proposal into effect that has passed and waited
    Execute(ExecuteArgs),
    /// Withdraw an own proposal
    Cancel(IdArgs),
    /// List the proposals
    List(NodeOnly),
    /// Show a proposal: its votes, and what it would change
    Show(ShowArgs),
    /// Say whether an account may do something, and which rule says so
    Why(WhyArgs),
    /// Freeze an account, a contract or an asset
    Freeze(FreezeArgs),
    /// Lift a freeze
    Unfreeze(UnfreezeArgs),
    /// Co-sign an operation that a supervision rule stopped
    Cosign(CosignArgs),
    /// Show who has to co-sign an operation, who has, and who is missing
    Cosignatures(CosignaturesArgs),
    /// Put an inspection on the record
    Inspect(InspectArgs),
    /// Read, export and verify the audit trail
    #[command(subcommand)]
    Audit(AuditCommand),
}

/// A command that only asks a node.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  hawser gov overview\n  hawser gov orgs\n  hawser gov list --output json"
)]
pub(crate) struct NodeOnly {
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `gov member`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hawser gov member 0x…")]
pub(crate) struct MemberArgs {
    /// The account
    #[arg(value_name = "ACCOUNT")]
    account: Address,
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `gov propose` and `gov recover`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser gov propose --title 'a developer' --set-roles 0x…=user,developer --from governor1
  hawser gov propose join.toml --from governor1
  hawser gov propose join.toml --dry-run
  hawser gov recover --title 'new governor' --add-member 0x…=1:governor --from authority1

A file is TOML or JSON: title, description, and a list `changes` whose entries have `change` (its kind,
such as add_member) and its fields; docs/guide/governance.md lists all of them. --dry-run shows the
difference, and who would gain and lose what, and sends nothing.")]
pub(crate) struct ProposeArgs {
    /// File with the proposal
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Title, instead of the file's
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Description, instead of the file's
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Add a member; may be repeated
    #[arg(long, value_name = "ACCOUNT=ORGANISATION:ROLE,…")]
    add_member: Vec<String>,
    /// Remove a member; may be repeated
    #[arg(long, value_name = "ACCOUNT")]
    remove_member: Vec<Address>,
    /// Give a member these roles and no others; may be repeated
    #[arg(long, value_name = "ACCOUNT=ROLE,…")]
    set_roles: Vec<String>,
    /// Bind a member's rights to a new account and freeze the old one
    #[arg(long, value_name = "OLD=NEW")]
    recover_account: Vec<String>,
    /// Who may use the chain: open, permitted or certificate
    #[arg(long, value_name = "MODE")]
    account_mode: Option<String>,
    /// Add a supervision rule, or a new version of one, with the script in a file
    #[arg(long, value_name = "NUMBER=NAME:FILE")]
    policy: Vec<String>,
    /// Use a supervision rule as inactive, shadow or active
    #[arg(long, value_name = "NUMBER=MODE")]
    policy_mode: Vec<String>,
    /// Show what would change, and send nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `gov vote`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hawser gov vote 3 yes --from governor2")]
pub(crate) struct VoteArgs {
    /// Number of the proposal
    #[arg(value_name = "PROPOSAL")]
    id: u64,
    /// yes or no
    #[arg(value_name = "VOTE", value_parser = ["yes", "no"])]
    vote: String,
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `gov execute` and `gov cancel`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hawser gov cancel 3 --from governor1")]
pub(crate) struct IdArgs {
    /// Number of the proposal
    #[arg(value_name = "PROPOSAL")]
    id: u64,
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `gov execute`.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  hawser gov execute 3 --from governor1\n\nRefused where the chain would stand still, \
because too many validators run programs that do not know the protocol version that the proposal activates."
)]
pub(crate) struct ExecuteArgs {
    /// Number of the proposal
    #[arg(value_name = "PROPOSAL")]
    id: u64,
    /// Also where the chain would stand still until validators have newer programs
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `gov show`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hawser gov show 3")]
pub(crate) struct ShowArgs {
    /// Number of the proposal
    #[arg(value_name = "PROPOSAL")]
    id: u64,
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `gov why`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser gov why 0x… deploy
  hawser gov why 0x… call method:0x…:a9059cbb
  hawser gov why 0x… transfer asset:native

Ends with 5 when it is not allowed.")]
pub(crate) struct WhyArgs {
    /// The account
    #[arg(value_name = "ACCOUNT")]
    account: Address,
    /// join, propose, vote, deploy, call, transfer, read, subscribe, inspect, freeze or configure
    #[arg(value_name = "ACTION")]
    action: Action,
    /// any, contract:…, method:…:…, domain:… or asset:…
    #[arg(value_name = "RESOURCE", default_value = "any")]
    resource: Resource,
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `gov freeze`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser gov freeze account:0x… --reason 'suspicion of fraud' --for 24h --from supervisor
  hawser gov freeze asset:native --reason 'closing of accounts' --from supervisor")]
pub(crate) struct FreezeArgs {
    /// account:…, contract:… or asset:…
    #[arg(value_name = "TARGET")]
    target: Target,
    /// Why; everybody can read it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// For how long, such as 30m, 24h or 7d [default: until it is lifted]
    #[arg(long = "for", value_name = "TIME", value_parser = document::duration_ms)]
    duration: Option<u64>,
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `gov unfreeze`.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  hawser gov unfreeze account:0x… --reason cleared --from supervisor"
)]
pub(crate) struct UnfreezeArgs {
    /// account:…, contract:… or asset:…
    #[arg(value_name = "TARGET")]
    target: Target,
    /// Why; everybody can read it
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `gov cosign`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hawser gov cosign 0x… --for 1h --from supervisor")]
pub(crate) struct CosignArgs {
    /// The operation, as the refusal names it
    #[arg(value_name = "OPERATION")]
    operation: B256,
    /// For how long
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = document::duration_ms)]
    duration: u64,
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `gov cosignatures`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hawser gov cosignatures 0x…")]
pub(crate) struct CosignaturesArgs {
    /// The operation, as the refusal names it
    #[arg(value_name = "OPERATION")]
    operation: B256,
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `gov inspect`.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  hawser gov inspect ledger --purpose 'yearly audit' --from auditor"
)]
pub(crate) struct InspectArgs {
    /// The read domain
    #[arg(value_name = "DOMAIN")]
    domain: String,
    /// What for; everybody can read it
    #[arg(long, value_name = "TEXT")]
    purpose: String,
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    node: NodeArgs,
}

/// Commands of `gov audit`.
#[derive(Subcommand, Debug)]
pub(crate) enum AuditCommand {
    /// Show entries
    List(AuditListArgs),
    /// Write entries to a file, as CSV or JSON
    Export(AuditExportArgs),
    /// Check an export against the chain, or by itself
    Verify(AuditVerifyArgs),
}

/// Which entries.
#[derive(Args, Clone, Debug)]
pub(crate) struct AuditFilterArgs {
    /// Of this kind, such as refused or frozen; may be repeated
    #[arg(long, value_name = "KIND")]
    kind: Vec<EntryKind>,
    /// By this account
    #[arg(long, value_name = "ACCOUNT")]
    actor: Option<Address>,
    /// Whose target contains this
    #[arg(long, value_name = "TEXT")]
    target: Option<String>,
    /// From this number on
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    from: u64,
}

/// Arguments of `gov audit list`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  hawser gov audit list\n  hawser gov audit list --kind refused --kind intercepted"
)]
pub(crate) struct AuditListArgs {
    #[command(flatten)]
    filter: AuditFilterArgs,
    /// Most entries
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `gov audit export`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser gov audit export --to trail.json
  hawser gov audit export --to refusals.csv --kind refused

A JSON export without filters can be verified; a CSV file is for spreadsheets.")]
pub(crate) struct AuditExportArgs {
    #[command(flatten)]
    filter: AuditFilterArgs,
    /// File to write; must not exist. Ends with .csv or .json
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `gov audit verify`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser gov audit verify trail.json
  hawser gov audit verify trail.json --offline

Without --offline the node is asked for the entry that follows the export, or for the head of the trail,
which has to name the last entry. Ends with 5 when something does not fit.")]
pub(crate) struct AuditVerifyArgs {
    /// The export
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Check the entries against each other only
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    node: NodeArgs,
}

/// Runs the command.
pub(crate) async fn run(command: &GovCommand, output: Output, lang: Lang) -> Result<()> {
    match command {
        GovCommand::Overview(args) => show::overview(args, output, lang).await,
        GovCommand::Orgs(args) => show::organisations(args, output, lang).await,
        GovCommand::Members(args) => show::members(args, output, lang).await,
        GovCommand::Member(args) => show::member(args, output, lang).await,
        GovCommand::Roles(args) => show::roles(args, output, lang).await,
        GovCommand::Rules(args) => show::rules(args, output, lang).await,
        GovCommand::List(args) => show::proposals(args, output, lang).await,
        GovCommand::Show(args) => show::proposal(args, output, lang).await,
        GovCommand::Why(args) => show::why(args, output, lang).await,
        GovCommand::Propose(args) => act::propose(args, false, output, lang).await,
        GovCommand::Recover(args) => act::propose(args, true, output, lang).await,
        GovCommand::Vote(args) => act::vote(args, output, lang).await,
        GovCommand::Execute(args) => act::execute(args, output, lang).await,
        GovCommand::Cancel(args) => act::cancel(args, output, lang).await,
        GovCommand::Freeze(args) => act::freeze(args, output, lang).await,
        GovCommand::Unfreeze(args) => act::unfreeze(args, output, lang).await,
        GovCommand::Cosign(args) => act::cosign(args, output, lang).await,
        GovCommand::Cosignatures(args) => act::cosignatures(args, output, lang).await,
        GovCommand::Inspect(args) => act::inspect(args, output, lang).await,
        GovCommand::Audit(AuditCommand::List(args)) => audit::list(args, output, lang).await,
        GovCommand::Audit(AuditCommand::Export(args)) => audit::export(args, output, lang).await,
        GovCommand::Audit(AuditCommand::Verify(args)) => audit::verify(args, output, lang).await,
    }
}

/// The language as the node knows it.
const fn code(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "en",
        Lang::Zh => "zh",
    }
}

/// The overview, refused where nobody governs.
async fn governed(client: &Client, lang: Lang) -> Result<Value> {
    let overview = client.call("hawser_governance", json!([])).await?;
    if overview.get("governed") != Some(&json!(true)) {
        return fail(
            Code::NotFound,
            lang.pick(
                "this chain has no governance: its genesis names no organisations. A new local network \
                 has some with `hawser up --governance`",
                "本链没有治理：创世文件未列出任何机构。可用 `hawser up --governance` 新建带治理的本地网络",
            ),
        );
    }
    Ok(overview)
}
