//! `hawser cert`

mod authority;
mod check;
mod holder;
mod inspect;
mod raw;
#[cfg(test)]
mod tests;
pub(crate) mod words;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use hawser_pki::{Authority, PkiError};

use crate::exit::{Code, Failure, Result};
use crate::lang::Lang;
use crate::output::Output;
use crate::passphrase::{self, Passphrase, PassphraseArgs};

/// Commands of `cert`.
#[derive(Subcommand, Debug)]
pub(crate) enum CertCommand {
    /// Make a certificate authority: a root, or one below another
    Create(authority::CreateArgs),
    /// Take in an authority that exists, with its key
    Import(authority::ImportArgs),
    /// Make a request (PKCS#10) for a key, to be signed by an authority
    Request(holder::RequestArgs),
    /// Issue a certificate for a request
    Issue(authority::IssueArgs),
    /// Issue a certificate again, for the same key and a new time
    Renew(authority::RenewArgs),
    /// Revoke a certificate and make a new revocation list
    Revoke(authority::RevokeArgs),
    /// List what an authority issued
    List(authority::ListArgs),
    /// Show what a certificate, request or revocation list says
    Inspect(inspect::InspectArgs),
    /// Make a new revocation list (CRL)
    Crl(authority::CrlArgs),
    /// Say in words whether a certificate or somebody's TLS is to be believed, and why not
    Check(check::CheckArgs),
}

/// Runs the command.
pub(crate) async fn run(command: &CertCommand, output: Output, lang: Lang) -> Result<()> {
    match command {
        CertCommand::Create(args) => authority::create(args, output, lang),
        CertCommand::Import(args) => authority::import(args, output, lang),
        CertCommand::Request(args) => holder::request(args, output, lang),
        CertCommand::Issue(args) => authority::issue(args, output, lang),
        CertCommand::Renew(args) => authority::renew(args, output, lang),
        CertCommand::Revoke(args) => authority::revoke(args, output, lang),
        CertCommand::List(args) => authority::list(args, output, lang),
        CertCommand::Inspect(args) => inspect::run(args, output, lang),
        CertCommand::Crl(args) => authority::crl(args, output, lang),
        CertCommand::Check(args) => check::run(args, output, lang).await,
    }
}

/// An error of certificates under the exit code that fits.
fn failure(error: &PkiError, lang: Lang) -> Failure {
    let code = match error {
        PkiError::Input { .. } | PkiError::Refused(_) | PkiError::Exists(_) => Code::Usage,
        PkiError::NoAuthority(_) | PkiError::Unknown(_) | PkiError::Ambiguous(_) => Code::NotFound,
        PkiError::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Code::NotFound
        }
        PkiError::File { .. } | PkiError::Randomness | PkiError::Locked(_) => Code::Failed,
        PkiError::Signature(_) | PkiError::Revoked(_) => Code::NotFound,
        _ => Code::Config,
    };
    Failure::new(code, words::problem(error, lang))
}

/// The passphrase of a key that exists. Keys of a local network open with the file that `hawser up`
/// or `hawser init` left in the network's folder.
pub(crate) fn passphrase_of(path: &Path, args: &PassphraseArgs) -> Result<Passphrase> {
    if args.passphrase_file.is_none() {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let beside = absolute
            .ancestors()
            .skip(1)
            .take(4)
            .map(|dir| dir.join("passphrase"))
            .find(|file| file.is_file());
        if let Some(file) = beside {
            return passphrase::from_file(&file);
        }
    }
    args.existing(&path.display().to_string())
}

/// Opens an authority for signing.
fn open(dir: &Path, args: &PassphraseArgs, lang: Lang) -> Result<Authority> {
    let mut authority = Authority::load(dir).map_err(|error| failure(&error, lang))?;
    let passphrase = passphrase_of(&dir.join("key.pem"), args)?;
    authority
        .unlock(&passphrase)
        .map_err(|error| failure(&error, lang))?;
    Ok(authority)
}

/// Writes a PEM file whole, replacing one that is there: nodes that watch it see either.
fn write(paths: &[PathBuf], text: &str, lang: Lang) -> Result<()> {
    for path in paths {
        hawser_pki::write_atomic(path, text, false).map_err(|error| failure(&error, lang))?;
    }
    Ok(())
}
