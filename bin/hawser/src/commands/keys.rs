//! `hawser keys`

use std::io::Read;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use hawser_crypto::keystore::Params;
use hawser_crypto::{Scheme, SecretKey};
use hawser_primitives::Address;
use serde_json::json;
use zeroize::Zeroizing;

use crate::exit::{Code, OrFail, Result, fail};
use crate::keyfile::{self, KeyInfo};
use crate::lang::Lang;
use crate::local::HomeArgs;
use crate::output::{self, Output};
use crate::passphrase::PassphraseArgs;
use crate::{files, send};

pub(crate) mod file;

/// Commands of `keys`.
#[derive(Subcommand, Debug)]
pub(crate) enum KeysCommand {
    /// Make a key and store it encrypted
    New(NewArgs),
    /// Store a key from elsewhere, encrypted
    Import(ImportArgs),
    /// Write a key file under another passphrase, or show the secret
    Export(ExportArgs),
    /// List the keys of the keystore
    List(ListArgs),
    /// Show address and public key of a key
    Show(ShowArgs),
    /// Sign a file
    Sign(file::SignArgs),
    /// Check the signature of a file
    Verify(file::VerifyArgs),
    /// Encrypt a file for the owner of an SM2 key
    Encrypt(file::EncryptArgs),
    /// Decrypt a file with an SM2 key
    Decrypt(file::DecryptArgs),
}

/// Arguments of `keys new`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser keys new --name alice
  hawser keys new --name notary --scheme sm2")]
pub(crate) struct NewArgs {
    /// Signature scheme
    #[arg(long, default_value = "secp256k1", value_parser = scheme())]
    scheme: Scheme,
    /// Name of the key [default: its address]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    home: HomeArgs,
}

/// Arguments of `keys import`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser keys import UTC--2024-01-01T00-00-00Z--….json --name alice
  hawser keys import --secret --name alice < secret.txt

--secret reads 0x… (secp256k1) or scheme:0x… from standard input, so that it is in no history.")]
pub(crate) struct ImportArgs {
    /// Key file: keystore JSON (version 3) or encrypted PKCS#8 PEM
    #[arg(
        value_name = "FILE",
        required_unless_present = "secret",
        conflicts_with = "secret"
    )]
    file: Option<PathBuf>,
    /// Read the secret key from standard input
    #[arg(long)]
    secret: bool,
    /// File with the passphrase that the imported file has now, if it is another
    #[arg(long, value_name = "FILE")]
    old_passphrase_file: Option<PathBuf>,
    /// Name of the key [default: its address]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    home: HomeArgs,
}

/// Arguments of `keys export`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser keys export alice --to alice.json --new-passphrase-file new.txt
  hawser keys export test --reveal")]
pub(crate) struct ExportArgs {
    /// A key file, or a name or address in the keystore
    #[arg(value_name = "KEY")]
    key: String,
    /// File to write, encrypted; must not exist
    #[arg(long, value_name = "FILE", required_unless_present = "reveal")]
    to: Option<PathBuf>,
    /// File with the passphrase of the written file; without it the terminal is asked
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
    /// Print the secret key in clear text
    #[arg(long, conflicts_with = "to")]
    reveal: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    home: HomeArgs,
}

/// Arguments of `keys list`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hawser keys list --output json")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    home: HomeArgs,
}

/// Arguments of `keys show`.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  hawser keys show alice\n  hawser keys show .hawser/node0/keys/identity.pem"
)]
pub(crate) struct ShowArgs {
    /// A key file, or a name or address in the keystore
    #[arg(value_name = "KEY")]
    key: String,
    #[command(flatten)]
    home: HomeArgs,
}

fn scheme() -> impl clap::builder::TypedValueParser<Value = Scheme> {
    use clap::builder::TypedValueParser;
    clap::builder::PossibleValuesParser::new(Scheme::ALL.map(Scheme::name))
        .try_map(|name| name.parse::<Scheme>())
}

/// Runs the command.
pub(crate) fn run(command: &KeysCommand, output: Output, lang: Lang) -> Result<()> {
    match command {
        KeysCommand::New(args) => {
            let key = SecretKey::generate(args.scheme).or_fail(Code::Failed)?;
            store(
                &key,
                args.name.as_deref(),
                &args.passphrase,
                &args.home,
                output,
            )
        }
        KeysCommand::Import(args) => import(args, output),
        KeysCommand::Export(args) => export(args, output),
        KeysCommand::List(args) => list(args, output),
        KeysCommand::Show(args) => show(args, output),
        KeysCommand::Sign(args) => file::sign(args, output, lang),
        KeysCommand::Verify(args) => file::verify(args, output, lang),
        KeysCommand::Encrypt(args) => file::encrypt(args, output, lang),
        KeysCommand::Decrypt(args) => file::decrypt(args, output, lang),
    }
}

fn store(
    key: &SecretKey,
    name: Option<&str>,
    passphrase: &PassphraseArgs,
    home: &HomeArgs,
    output: Output,
) -> Result<()> {
    let name = name.map_or_else(|| key.address().to_string().to_lowercase(), str::to_owned);
    let keystore = home.home().keystore();
    // Before the passphrase is asked for.
    keystore.path(&name, key.scheme())?;
    let passphrase = passphrase.new_key(&format!("key {name}"))?;
    let path = keystore.add(&name, key, &passphrase, &Params::default())?;
    let info = KeyInfo {
        name,
        scheme: key.scheme(),
        address: Some(key.address()),
        public_key: Some(key.public_key()),
        path,
    };
    print(&info, output)
}

fn import(args: &ImportArgs, output: Output) -> Result<()> {
    let key = match &args.file {
        Some(file) => {
            let old = PassphraseArgs {
                passphrase_file: args
                    .old_passphrase_file
                    .clone()
                    .or_else(|| args.passphrase.passphrase_file.clone()),
            };
            let passphrase = old.existing(&file.display().to_string())?;
            keyfile::read(file, &passphrase)?
        }
        None => {
            let mut text = Zeroizing::new(String::new());
            std::io::stdin()
                .take(256)
                .read_to_string(&mut text)
                .context(
                    Code::Usage,
                    "cannot read the secret key from standard input",
                )?;
            send::parse_secret(&text)?
        }
    };
    store(
        &key,
        args.name.as_deref(),
        &args.passphrase,
        &args.home,
        output,
    )
}

fn export(args: &ExportArgs, output: Output) -> Result<()> {
    let key = args
        .home
        .home()
        .keystore()
        .open(&args.key, &args.passphrase)?;
    let Some(to) = &args.to else {
        let digits = Zeroizing::new(hex::encode(key.to_bytes()));
        let secret = Zeroizing::new(match key.scheme() {
            Scheme::Secp256k1 => format!("0x{}", *digits),
            scheme => format!("{scheme}:0x{}", *digits),
        });
        return match output {
            Output::Table => output::line(&secret),
            Output::Json => output.print(
                &json!({ "address": key.address(), "scheme": key.scheme(), "secret": *secret }),
                |_| String::new(),
            ),
        };
    };
    // Before the passphrase is asked for.
    files::refuse_existing(to)?;
    let passphrase = PassphraseArgs {
        passphrase_file: args.new_passphrase_file.clone(),
    };
    let passphrase = passphrase.new_key(&to.display().to_string())?;
    keyfile::write(to, &key, &passphrase, &Params::default())?;
    output.print(&json!({ "address": key.address(), "path": to }), |_| {
        format!("Wrote {}", to.display())
    })
}

fn list(args: &ListArgs, output: Output) -> Result<()> {
    let keystore = args.home.home().keystore();
    let keys = keystore.list();
    output.print(&keys, |keys| {
        if keys.is_empty() {
            return format!(
                "No keys in {}; `hawser keys new` makes one.",
                keystore.0.display()
            );
        }
        let address = |address: Option<Address>| {
            address.map_or_else(|| "(not told)".to_owned(), |address| address.to_string())
        };
        let row = |key: &KeyInfo| {
            vec![
                key.name.clone(),
                key.scheme.to_string(),
                address(key.address),
            ]
        };
        output::table(
            &["name", "scheme", "address"],
            &keys.iter().map(row).collect::<Vec<_>>(),
        )
    })
}

fn show(args: &ShowArgs, output: Output) -> Result<()> {
    let path = args.home.home().keystore().find(&args.key)?;
    match keyfile::info(&path) {
        Some(info) => print(&info, output),
        None => {
            // Says what is wrong with the file rather than that something is.
            files::read_text(&path, hawser_crypto::keystore::FILE_BYTES_MAX as u64)?;
            fail(
                Code::Config,
                format!(
                    "{} does not tell its public key: it is no key file, or one of another \
                     program; `hawser keys import` takes it in",
                    path.display()
                ),
            )
        }
    }
}

fn print(info: &KeyInfo, output: Output) -> Result<()> {
    let public_key = info.public_key.as_ref();
    // The name that peers know a node by, where the key can be a node's: an SM2 key in a
    // certificate, an Ed25519 key as it is.
    let node_id = public_key.and_then(|key| match key.scheme() {
        Scheme::Ed25519 => Some(hex::encode(key.as_bytes())),
        Scheme::Sm2 => hawser_pki::PublicKey::from_account_key(key)
            .ok()
            .map(|key| hex::encode(key.id())),
        Scheme::Secp256k1 => None,
    });
    let value = json!({
        "name": info.name,
        "scheme": info.scheme,
        "address": info.address,
        "publicKey": public_key,
        "nodeId": node_id,
        "path": info.path,
    });
    output.print(&value, |_| {
        output::pairs(&[
            ("name", info.name.clone()),
            ("scheme", info.scheme.to_string()),
            (
                "address",
                info.address
                    .map_or_else(String::new, |address| address.to_string()),
            ),
            (
                "public key",
                public_key.map_or_else(String::new, ToString::to_string),
            ),
            ("node id", node_id.clone().unwrap_or_default()),
            ("file", info.path.display().to_string()),
        ])
    })
}
