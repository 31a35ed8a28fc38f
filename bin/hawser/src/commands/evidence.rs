//! `hawser evidence`: files as evidence (存证).

mod anchor;
mod bundle;
mod digest;
mod put;
mod put_set;
mod set_bundle;
mod sets;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use hawser_primitives::{Address, B256};
use hawser_services::evidence::Algorithm;
use serde_json::{Value, json};

use crate::client::{Client, NodeArgs};
use crate::exit::{Code, OrFail, Result, fail};
use crate::local::read_genesis;
use crate::output::{self, Output};
use crate::quantity::{counted, field, text, utc};
use crate::{files, send};
use bundle::Bundle;

/// Commands of `evidence`.
#[derive(Subcommand, Debug)]
pub(crate) enum EvidenceCommand {
    /// Register the digests of files
    Put(PutArgs),
    /// Register the digests of many files as one set, at the price of one record
    PutSet(PutSetArgs),
    /// Look whether, when and by whom a file was registered, alone or in a set
    Verify(VerifyArgs),
    /// Show a record or a set
    Get(GetArgs),
    /// Write a record or a set with its proof, to be checked without a node
    Export(ExportArgs),
    /// Take one member out of the bundle of a set, without a node
    Member(MemberArgs),
    /// Check an exported record, set or member without a node
    Check(CheckArgs),
}

/// Arguments of `evidence put`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser evidence put contract.pdf --from test --description 'contract 2025-17'
  hawser evidence put *.pdf --from test

The files stay here; only their digests are sent, up to 1000 per transaction. What the same account
registered before is left out.")]
pub(crate) struct PutArgs {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Digest algorithm [default: sha-256, on a chain of suite sm: sm3]
    #[arg(long, value_name = "NAME", value_parser = algorithm())]
    algorithm: Option<Algorithm>,
    /// Text for people, at most 256 bytes [default: the file's name]
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Media type [default: by the file's ending]
    #[arg(long, value_name = "TYPE")]
    media_type: Option<String>,
    /// Owner's particulars as you encrypted them, at most 512 bytes
    #[arg(long, value_name = "HEX")]
    sealed_owner: Option<hawser_primitives::Bytes>,
    /// Records per transaction
    #[arg(long, value_name = "COUNT", default_value_t = 1000,
        value_parser = clap::value_parser!(u64).range(1..=1000))]
    batch: u64,
    #[command(flatten)]
    signer: send::SignerArgs,
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `evidence put-set`.
#[derive(Args, Debug)]
#[command(
    after_help = "\
Examples:
  hawser evidence put-set scans/*.pdf --from test --to scans.evidence.json
  sha256sum scans/* > digests.txt
  hawser evidence put-set --list digests.txt --from test --to scans.evidence.json --members bundles

The digests of up to 10000 files go onto the chain under one root: one signature, one entry in the
state. Each file is proved by itself. The bundle has all digests; --members also writes a bundle for
each file, which tells nothing about the others but how many there are. `hawser evidence check`
checks both without a node, `hawser evidence export` writes them again later. Files with the same
content are registered once.",
    group(clap::ArgGroup::new("what").required(true).args(["files", "list"]))
)]
pub(crate) struct PutSetArgs {
    /// The files
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Read digests from this file instead, one per line, a name behind it as sha256sum writes it
    #[arg(long, value_name = "FILE", alias = "from-list")]
    list: Option<PathBuf>,
    /// Digest algorithm [default: sha-256, on a chain of suite sm: sm3]
    #[arg(long, value_name = "NAME", value_parser = algorithm())]
    algorithm: Option<Algorithm>,
    /// Text for people about all of them, at most 256 bytes
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// Media type of all of them
    #[arg(long, value_name = "TYPE", default_value = "")]
    media_type: String,
    /// Owner's particulars as you encrypted them, at most 512 bytes
    #[arg(long, value_name = "HEX")]
    sealed_owner: Option<hawser_primitives::Bytes>,
    /// File for the bundle of the whole set; must not exist
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Folder for a bundle of each member; must not exist
    #[arg(long, value_name = "FOLDER")]
    members: Option<PathBuf>,
    #[command(flatten)]
    signer: send::SignerArgs,
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `evidence verify`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser evidence verify contract.pdf

Looks for records first, then through the call data of sets, newest first, which takes a while on a
long chain; --owner makes it shorter. Ends with 5 when nobody registered the file. Trusts the node that answers; `export` and `check` do
without trust.")]
pub(crate) struct VerifyArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Digest algorithm [default: sha-256, on a chain of suite sm: sm3]
    #[arg(long, value_name = "NAME", value_parser = algorithm())]
    algorithm: Option<Algorithm>,
    /// Only what this account registered
    #[arg(long, value_name = "ADDRESS")]
    owner: Option<Address>,
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `evidence get`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hawser evidence get 0x…")]
pub(crate) struct GetArgs {
    /// Id of the record or set
    #[arg(value_name = "ID")]
    id: B256,
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `evidence export`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser evidence export 0x… --to contract.evidence.json
  hawser evidence export 0x… --file scans/17.pdf --to 17.evidence.json

The bundle holds the record, its proof in the state, the validators' certificate and the genesis. That
of a set has all digests; with --file or --member it has one and its path.")]
pub(crate) struct ExportArgs {
    /// Id of the record or set
    #[arg(value_name = "ID")]
    id: B256,
    /// Of a set: only this file
    #[arg(long, value_name = "FILE", conflicts_with = "member")]
    file: Option<PathBuf>,
    /// Of a set: only this number, from 0
    #[arg(long, value_name = "NUMBER")]
    member: Option<u32>,
    /// File to write; must not exist [default: standard output]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `evidence member`.
#[derive(Args, Debug)]
#[command(
    after_help = "\
Examples:
  hawser evidence member scans.evidence.json --file scans/17.pdf --to 17.evidence.json
  hawser evidence member scans.evidence.json --all bundles

Asks no node: the bundle of the set has everything.",
    group(clap::ArgGroup::new("which").required(true).args(["file", "index", "all"]))
)]
pub(crate) struct MemberArgs {
    /// The bundle of the set, with all digests
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// The member with the content of this file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The member with this number, from 0
    #[arg(long, value_name = "NUMBER")]
    index: Option<u32>,
    /// A bundle for each member, into this folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "to")]
    all: Option<PathBuf>,
    /// File to write; must not exist [default: standard output]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

/// Arguments of `evidence check`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser evidence check contract.evidence.json --file contract.pdf --genesis genesis.json

Asks no node. --genesis says which chain you trust; without it the check holds for the genesis in
the bundle, whose hash is shown. Ends with 5 when something does not fit.")]
pub(crate) struct CheckArgs {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// The file that the record is about, or a file of the set
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Genesis document, or its hash, of the chain that you trust
    #[arg(long, value_name = "FILE|HASH")]
    genesis: Option<String>,
}

fn algorithm() -> impl clap::builder::TypedValueParser<Value = Algorithm> {
    use clap::builder::TypedValueParser;
    clap::builder::PossibleValuesParser::new(Algorithm::ALL.map(digest::name)).try_map(|name| {
        let same = |algorithm: &Algorithm| digest::name(*algorithm) == name;
        Algorithm::ALL
            .into_iter()
            .find(same)
            .ok_or("unknown algorithm")
    })
}

/// Runs the command.
pub(crate) async fn run(command: &EvidenceCommand, output: Output) -> Result<()> {
    match command {
        EvidenceCommand::Put(args) => put::run(args, output).await,
        EvidenceCommand::PutSet(args) => put_set::run(args, output).await,
        EvidenceCommand::Member(args) => sets::member(args, output),
        EvidenceCommand::Verify(args) => verify(args, output).await,
        EvidenceCommand::Get(args) => get(args, output).await,
        EvidenceCommand::Export(args) => export(args, output).await,
        EvidenceCommand::Check(args) => check(args, output),
    }
}

/// The algorithm asked for, or that of the chain's suite.
async fn chosen(client: &Client, asked: Option<Algorithm>) -> Result<Algorithm> {
    if let Some(algorithm) = asked {
        return Ok(algorithm);
    }
    let status = client.call("hawser_status", json!([])).await?;
    Ok(match text(&status, "suite") {
        "sm" => Algorithm::Sm3,
        _ => Algorithm::Sha256,
    })
}

async fn verify(args: &VerifyArgs, output: Output) -> Result<()> {
    let client = args.node.client()?;
    let algorithm = chosen(&client, args.algorithm).await?;
    let digest = digest::of_file(&args.file, algorithm)?;
    let mut query = json!({
        "algorithm": algorithm,
        "digest": format!("0x{}", hex::encode(&digest)),
    });
    if let (Some(owner), Some(fields)) = (args.owner, query.as_object_mut()) {
        fields.insert("owner".to_owned(), json!(owner));
    }
    let found = client.call("hawser_findEvidence", json!([query])).await?;
    let Value::Array(records) = &found else {
        return fail(
            Code::Refused,
            format!("hawser_findEvidence: expected a list, got {found}"),
        );
    };
    let in_sets = sets::search(&client, &query).await?;
    if records.is_empty() && in_sets.is_empty() {
        let whose = args
            .owner
            .map_or_else(String::new, |owner| format!(" by {owner}"));
        return fail(
            Code::NotFound,
            format!(
                "{} is not registered{whose} on this chain: no record of its {} digest 0x{}",
                args.file.display(),
                digest::name(algorithm),
                hex::encode(&digest)
            ),
        );
    }
    let all: Vec<&Value> = records.iter().chain(&in_sets).collect();
    output.print(&all, |_| {
        let records = records.iter().map(shown);
        let sets = in_sets.iter().map(sets::shown);
        records.chain(sets).map(|one| format!("{one}\n")).collect()
    })
}

async fn get(args: &GetArgs, output: Output) -> Result<()> {
    let client = args.node.client()?;
    let record = client.call("hawser_getEvidence", json!([args.id])).await?;
    if !record.is_null() {
        return output.print(&record, shown);
    }
    let set = client
        .call("hawser_getEvidenceSet", json!([args.id]))
        .await?;
    if set.is_null() {
        return unknown(args.id);
    }
    output.print(&set, sets::shown)
}

fn unknown<T>(id: B256) -> Result<T> {
    fail(
        Code::NotFound,
        format!("no record and no set {id} on this chain"),
    )
}

async fn export(args: &ExportArgs, output: Output) -> Result<()> {
    let client = args.node.client()?;
    let proof = client
        .call("hawser_getEvidenceProof", json!([args.id]))
        .await?;
    if proof.is_null() {
        return match sets::fetch(&client, args).await? {
            Some(bundle) => sets::finish(&bundle, args.to.as_deref(), args.id, args.member, output),
            None => unknown(args.id),
        };
    }
    if args.file.is_some() || args.member.is_some() {
        return fail(
            Code::Usage,
            "this is the id of a record; --file and --member are for sets",
        );
    }
    let genesis = client.call("hawser_getGenesis", json!([])).await?;
    let bundle = Bundle::from_answers(&proof, &genesis)?;
    // What cannot be checked here could not be checked anywhere.
    bundle.verify()?;
    let document = serde_json::to_string_pretty(&bundle).or_fail(Code::Failed)?;
    match &args.to {
        None => output::line(&document),
        Some(path) => {
            files::write_public(path, &format!("{document}\n"))?;
            output.print(&json!({ "path": path, "id": args.id }), |_| {
                format!(
                    "Wrote {}; `hawser evidence check` checks it without a node.",
                    path.display()
                )
            })
        }
    }
}

/// Whether a document calls itself the bundle of a set.
fn is_of_set(document: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Head {
        format: String,
    }
    serde_json::from_str::<Head>(document).is_ok_and(|head| head.format == set_bundle::FORMAT)
}

/// Refuses a genesis that is not the one named, as a file or by its hash.
fn trusted(named: Option<&str>, found: B256) -> Result<()> {
    let Some(named) = named else {
        return Ok(());
    };
    let trusted = match named.parse::<B256>() {
        Ok(hash) => hash,
        Err(_) => read_genesis(Path::new(named))?.hash(),
    };
    if trusted != found {
        return fail(
            Code::NotFound,
            format!("the bundle is of another chain: its genesis is {found}, not {trusted}"),
        );
    }
    Ok(())
}

fn check(args: &CheckArgs, output: Output) -> Result<()> {
    let document = files::read_text(&args.bundle, anchor::BYTES_MAX)?;
    if is_of_set(&document) {
        return sets::check(&document, args, output);
    }
    let bundle = Bundle::parse(&document)
        .context(Code::Config, format!("bundle {}", args.bundle.display()))?;
    let proved = bundle.verify()?;
    trusted(args.genesis.as_deref(), proved.by.genesis)?;
    if let Some(file) = &args.file {
        let found = digest::of_file(file, proved.algorithm)?;
        if found != proved.record.record.digest {
            return fail(
                Code::NotFound,
                format!(
                    "{} is not what was registered: its {} digest is 0x{}, the record's is 0x{}",
                    file.display(),
                    digest::name(proved.algorithm),
                    hex::encode(found),
                    hex::encode(&proved.record.record.digest)
                ),
            );
        }
    }
    let value = proved.to_json(args.genesis.is_some(), args.file.is_some());
    output.print(&value, |_| {
        let mut out = format!(
            "The record is proved by {} of {} of chain {}.\n",
            proved.by.signers,
            counted(proved.by.validators, "validator"),
            proved.by.chain_id
        );
        if args.file.is_some() {
            out.push_str("The file is the one that was registered.\n");
        } else {
            out.push_str("No file was compared; --file compares one.\n");
        }
        if args.genesis.is_none() {
            out.push_str(&format!(
                "Compare the genesis with one from a source that you trust: {}\n",
                proved.by.genesis
            ));
        }
        out.push('\n');
        out.push_str(&shown(&value));
        out
    })
}

/// A record for people.
fn shown(record: &Value) -> String {
    let own = |name: &str| text(record, name).to_owned();
    output::pairs(&[
        ("id", own("id")),
        ("owner", own("owner")),
        (
            "registered",
            field(record, "timeMs").map_or_else(String::new, utc),
        ),
        (
            "block",
            field(record, "height").map_or_else(String::new, |height| height.to_string()),
        ),
        ("transaction", own("transactionHash")),
        ("algorithm", own("algorithm")),
        ("digest", own("digest")),
        ("media type", own("mediaType")),
        ("description", own("description")),
        (
            "sealed owner",
            own("sealedOwner").trim_end_matches("0x").to_owned(),
        ),
    ])
}
