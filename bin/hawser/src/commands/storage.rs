//! `hawser storage`: encrypted chain data, and files in an object store.

mod convert;
mod tier;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::datafolder::{self, Opener};
use crate::exit::Result;
use crate::lang::Lang;
use crate::output::Output;
use crate::passphrase::PassphraseArgs;

/// Commands of `storage`.
#[derive(Subcommand, Debug)]
pub(crate) enum StorageCommand {
    /// Change what opens a chain's encrypted data; the data stays as it is
    Rewrap(RewrapArgs),
    /// Encrypt the data of a node that has some already; the node has to be stopped
    Encrypt(convert::EncryptArgs),
    /// Lay the encrypted data of a node open; the node has to be stopped
    Decrypt(convert::DecryptArgs),
    /// Old blocks and receipts in an object store: status, push, fetch, verify
    #[command(subcommand)]
    Tier(tier::TierCommand),
}

/// Arguments of `storage rewrap`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser storage rewrap .hawser/node0/data/chain-429737 --passphrase-file old.txt --new-passphrase-file new.txt
  hawser storage rewrap data/chain-7 --passphrase-file old.txt --new-key-file /mnt/token/data.secret

Stop the node first, and set storage.encryption to match when it starts again.")]
pub(crate) struct RewrapArgs {
    /// The chain's data folder, which holds data.key
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Key file that opens the data now, instead of a passphrase
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Key file that is to open the data
    #[arg(long, value_name = "FILE", conflicts_with = "new_passphrase_file")]
    new_key_file: Option<PathBuf>,
    /// File with the passphrase that is to open the data; without it the terminal is asked
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Runs the command.
pub(crate) fn run(command: &StorageCommand, output: Output, lang: Lang) -> Result<()> {
    let args = match command {
        StorageCommand::Rewrap(args) => args,
        StorageCommand::Encrypt(args) => return convert::encrypt(args, output, lang),
        StorageCommand::Decrypt(args) => return convert::decrypt(args, output, lang),
        StorageCommand::Tier(command) => return tier::run(command, output, lang),
    };
    let what = args.folder.display().to_string();
    let old = match &args.key_file {
        Some(file) => Opener::from_key_file(file)?,
        None => Opener::Passphrase(args.passphrase.existing(&what)?),
    };
    let new = match &args.new_key_file {
        Some(file) => Opener::from_key_file(file)?,
        None => {
            let new = PassphraseArgs {
                passphrase_file: args.new_passphrase_file.clone(),
            };
            Opener::Passphrase(new.new_key(&what)?)
        }
    };
    datafolder::rewrap(&args.folder, &old, &new)?;
    output.print(&json!({ "folder": args.folder }), |_| {
        let done = lang.pick(
            "The data key opens with the new secret only; keep no copy of the old data.key",
            "数据密钥现在只能用新的口令或密钥文件打开；请勿保留旧的 data.key",
        );
        done.to_owned()
    })
}
