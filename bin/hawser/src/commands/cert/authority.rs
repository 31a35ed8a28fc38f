//! What an authority does.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use hawser_crypto::keystore::Params;
use hawser_pki::{
    Algorithm, Authority, Certificate, Entry, Issued, Moment, Profile, Reason, Request, Status,
    Subject, Template, parse_certificates,
};
use serde_json::{Value, json};

use super::{failure, open, passphrase_of, write};
use crate::exit::{Code, Result, fail};
use crate::files;
use crate::keyfile;
use crate::lang::Lang;
use crate::output::{self, Output};
use crate::passphrase::PassphraseArgs;

/// Largest PEM file read, in bytes.
const FILE_BYTES_MAX: u64 = hawser_pki::limits::FILE_BYTES_MAX as u64;

/// Arguments of `cert create`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser cert create --dir ca --org 'Harbour Bank'
  hawser cert create --dir ca-nodes --parent ca --name 'Harbour Bank nodes' --path-len 0
  hawser cert create --dir ca --org 'Harbour Bank' --algorithm p256")]
pub(crate) struct CreateArgs {
    /// Folder of the new authority
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Organisation that it vouches for (O); that of the parent where there is one
    #[arg(long, required_unless_present = "parent", conflicts_with = "parent")]
    org: Option<String>,
    /// Name of the authority (CN) [default: the organisation's name and `authority`]
    #[arg(long)]
    name: Option<String>,
    /// Country (C), two letters
    #[arg(long, value_name = "CC")]
    country: Option<String>,
    /// Kind of its key and signatures; below a parent, the parent's
    #[arg(long, default_value = "sm2", value_parser = algorithm())]
    algorithm: Algorithm,
    /// Folder of the authority above; without it a root is made
    #[arg(long, value_name = "DIR")]
    parent: Option<PathBuf>,
    /// Most authorities allowed below this one
    #[arg(long, value_name = "N", requires = "parent")]
    path_len: Option<u8>,
    /// Days that its certificate lasts
    #[arg(long, default_value_t = 3_650)]
    days: u32,
    /// File with the passphrase of the parent's key, if it is another
    #[arg(long, value_name = "FILE", requires = "parent")]
    parent_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Arguments of `cert import`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser cert import --dir ca --certificate chain.pem --key key.pem

chain.pem holds the authority's certificate, then those above it, the root last; key.pem is
encrypted PKCS#8 (openssl pkcs8 -topk8 -scrypt).")]
pub(crate) struct ImportArgs {
    /// Folder of the authority
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Its certificate, then those above it
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Its key, encrypted PKCS#8
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// File with the passphrase that the key has now, if it is another
    #[arg(long, value_name = "FILE")]
    old_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Arguments of `cert issue`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hawser cert issue --dir ca --request node0.csr --profile node --to node0.pem
  hawser cert issue --dir ca --request rpc.csr --profile tls-server --san rpc.example --to rpc.pem")]
pub(crate) struct IssueArgs {
    /// Folder of the authority
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The request, PKCS#10 in PEM
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// What the certificate is for
    #[arg(long, value_parser = profile())]
    profile: Profile,
    /// Name (CN) [default: that of the request]
    #[arg(long)]
    name: Option<String>,
    /// DNS name or IP address, instead of those of the request; may be repeated
    #[arg(long, value_name = "NAME")]
    san: Vec<String>,
    /// For the profile authority: most authorities allowed below it
    #[arg(long, value_name = "N")]
    path_len: Option<u8>,
    /// Days that it lasts, at most as long as the authority's own
    #[arg(long, default_value_t = 365)]
    days: u32,
    /// File to write: the certificate, then the intermediates; may be repeated
    #[arg(long, value_name = "FILE", required = true)]
    to: Vec<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Arguments of `cert renew`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser cert renew --dir ca node0 --to /srv/node0/certs/node.pem

A node that has the file as network.certificate takes it over within a second, without a restart.")]
pub(crate) struct RenewArgs {
    /// Beginning of the serial number, or the common name
    #[arg(value_name = "CERTIFICATE")]
    what: String,
    /// Folder of the authority
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Days that it lasts
    #[arg(long, default_value_t = 365)]
    days: u32,
    /// File to write; may be repeated
    #[arg(long, value_name = "FILE", required = true)]
    to: Vec<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Arguments of `cert revoke`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser cert revoke --dir ca node3 --reason key-compromise --to /srv/node0/certs/trust/crls/bank.pem

Nodes drop a revoked peer within seconds after the list has reached their folder trust/crls. All
certificates of the same key are revoked, except with --reason superseded.")]
pub(crate) struct RevokeArgs {
    /// Beginning of the serial number, or the common name, of which the latest counts
    #[arg(value_name = "CERTIFICATE")]
    what: String,
    /// Folder of the authority
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Why
    #[arg(long, default_value = "unspecified", value_parser = reason())]
    reason: Reason,
    /// File to write the new revocation list to, besides crl.pem; may be repeated
    #[arg(long, value_name = "FILE")]
    to: Vec<PathBuf>,
    /// Days until the next list is due
    #[arg(long, default_value_t = 30)]
    days: u32,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Arguments of `cert list`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hawser cert list --dir ca --output json")]
pub(crate) struct ListArgs {
    /// Folder of the authority
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// Arguments of `cert crl`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  hawser cert crl --dir ca --days 30 --to /srv/node0/certs/trust/crls/bank.pem")]
pub(crate) struct CrlArgs {
    /// Folder of the authority
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Days until the next list is due
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// File to write it to, besides crl.pem; may be repeated
    #[arg(long, value_name = "FILE")]
    to: Vec<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub(super) fn algorithm() -> impl TypedValueParser<Value = Algorithm> {
    PossibleValuesParser::new(Algorithm::ALL.map(Algorithm::name))
        .try_map(|name| name.parse::<Algorithm>())
}

fn profile() -> impl TypedValueParser<Value = Profile> {
    PossibleValuesParser::new(Profile::ALL.map(Profile::name))
        .try_map(|name| name.parse::<Profile>())
}

fn reason() -> impl TypedValueParser<Value = Reason> {
    PossibleValuesParser::new(Reason::ALL.map(Reason::name)).try_map(|name| name.parse::<Reason>())
}

pub(super) fn create(args: &CreateArgs, output: Output, lang: Lang) -> Result<()> {
    let wrong = |error| failure(&error, lang);
    let now = Moment::now();
    let name = |org: &str| match (&args.name, lang) {
        (Some(name), _) => name.clone(),
        (None, _) => format!("{org} authority"),
    };
    let what = args.dir.display().to_string();
    let authority = match &args.parent {
        None => {
            let org = args.org.clone().unwrap_or_default();
            let mut subject = Subject::new(name(&org), org);
            subject.country.clone_from(&args.country);
            subject.check().map_err(wrong)?;
            let passphrase = args.passphrase.new_key(&what)?;
            let params = Params::default();
            Authority::create(
                &args.dir,
                subject,
                args.algorithm,
                args.days,
                &passphrase,
                &params,
                now,
            )
        }
        Some(parent) => {
            let above = PassphraseArgs {
                passphrase_file: args
                    .parent_passphrase_file
                    .clone()
                    .or_else(|| args.passphrase.passphrase_file.clone()),
            };
            let mut parent = open(parent, &above, lang)?;
            let org = parent.organisation().to_owned();
            let mut subject = Subject::new(name(&org), org);
            subject.country.clone_from(&args.country);
            let passphrase = args.passphrase.new_key(&what)?;
            Authority::create_below(
                &args.dir,
                &mut parent,
                subject,
                args.path_len,
                args.days,
                &passphrase,
                &Params::default(),
                now,
            )
        }
    };
    made(&authority.map_err(wrong)?, args.dir.clone(), output, lang)
}

pub(super) fn import(args: &ImportArgs, output: Output, lang: Lang) -> Result<()> {
    let wrong = |error| failure(&error, lang);
    let text = files::read_text(&args.certificate, FILE_BYTES_MAX)?;
    let chain = parse_certificates(&text).map_err(wrong)?;
    let old = PassphraseArgs {
        passphrase_file: args
            .old_passphrase_file
            .clone()
            .or_else(|| args.passphrase.passphrase_file.clone()),
    };
    let key = keyfile::read_private(&args.key, &passphrase_of(&args.key, &old)?)?;
    let passphrase = args.passphrase.new_key(&args.dir.display().to_string())?;
    let authority = Authority::import(&args.dir, chain, key, &passphrase, &Params::default());
    made(&authority.map_err(wrong)?, args.dir.clone(), output, lang)
}

fn made(authority: &Authority, dir: PathBuf, output: Output, lang: Lang) -> Result<()> {
    let certificate = authority.certificate();
    let value = json!({
        "dir": dir,
        "certificate": dir.join("certificate.pem"),
        "subject": certificate.subject(),
        "algorithm": certificate.public_key().algorithm(),
        "serial": certificate.serial(),
        "notAfter": certificate.not_after().to_string(),
        "root": certificate.is_self_issued(),
        "fingerprint": certificate.fingerprint(),
    });
    output.print(&value, |_| {
        let names = match lang {
            Lang::En => [
                "authority",
                "key",
                "valid until",
                "fingerprint",
                "certificate",
                "next",
            ],
            Lang::Zh => ["机构证书", "密钥", "有效期至", "指纹", "证书文件", "下一步"],
        };
        let next = lang.pick(
            "give certificate.pem of the root to every node, into trust/roots",
            "将根证书 certificate.pem 放入每个节点的 trust/roots 目录",
        );
        let values = [
            certificate.subject().to_string(),
            certificate.public_key().algorithm().to_string(),
            certificate.not_after().to_string(),
            certificate.fingerprint(),
            dir.join("certificate.pem").display().to_string(),
            next.to_owned(),
        ];
        output::pairs(&names.into_iter().zip(values).collect::<Vec<_>>())
    })
}

pub(super) fn issue(args: &IssueArgs, output: Output, lang: Lang) -> Result<()> {
    let wrong = |error| failure(&error, lang);
    let text = files::read_text(&args.request, FILE_BYTES_MAX)?;
    let request = Request::from_pem(&text).map_err(wrong)?;
    let mut authority = open(&args.dir, &args.passphrase, lang)?;
    let mut subject = request.subject().clone();
    if let Some(name) = &args.name {
        subject.common_name.clone_from(name);
    }
    let template = Template {
        subject,
        profile: args.profile,
        names: if args.san.is_empty() {
            request.names().to_vec()
        } else {
            args.san.clone()
        },
        days: args.days,
        path_len: args.path_len,
    };
    let issued = authority
        .issue(&request, &template, Moment::now())
        .map_err(wrong)?;
    hand_out(&issued, &args.to, output, lang)
}

pub(super) fn renew(args: &RenewArgs, output: Output, lang: Lang) -> Result<()> {
    let mut authority = open(&args.dir, &args.passphrase, lang)?;
    let issued = authority
        .renew(&args.what, args.days, Moment::now())
        .map_err(|error| failure(&error, lang))?;
    hand_out(&issued, &args.to, output, lang)
}

fn hand_out(issued: &Issued, to: &[PathBuf], output: Output, lang: Lang) -> Result<()> {
    write(to, &issued.to_pem(), lang)?;
    let certificate = &issued.certificate;
    output.print(&super::inspect::view(certificate), |_| {
        format!(
            "{}\n{} {}",
            super::inspect::table(certificate, lang),
            lang.pick("Wrote", "已写入"),
            to.iter()
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>()
                .join(", ")
        )
    })
}

pub(super) fn revoke(args: &RevokeArgs, output: Output, lang: Lang) -> Result<()> {
    let wrong = |error| failure(&error, lang);
    let mut authority = open(&args.dir, &args.passphrase, lang)?;
    let now = Moment::now();
    let revoked = authority
        .revoke(&args.what, args.reason, now)
        .map_err(wrong)?;
    let crl = authority.crl(args.days, now).map_err(wrong)?;
    write(&args.to, &crl.to_pem(), lang)?;
    let list = args.dir.join("crl.pem");
    let value = json!({ "revoked": revoked, "crl": list, "writtenTo": args.to });
    output.print(&value, |_| {
        let mut text = String::new();
        for entry in &revoked {
            let (subject, serial, reason) = (&entry.subject, &entry.serial, args.reason);
            text.push_str(&match lang {
                Lang::En => format!("Revoked {subject} (serial {serial}, {reason}).\n"),
                Lang::Zh => format!("已吊销 {subject}（序列号 {serial}，原因 {reason}）。\n"),
            });
        }
        let list = list.display();
        text.push_str(&match lang {
            Lang::En => format!("It counts for nodes that have the new list, {list}."),
            Lang::Zh => format!("节点取得新的吊销列表 {list} 后生效。"),
        });
        text
    })
}

pub(super) fn crl(args: &CrlArgs, output: Output, lang: Lang) -> Result<()> {
    if args.days == 0 {
        return fail(
            Code::Usage,
            lang.pick("--days must be at least 1", "--days 至少为 1"),
        );
    }
    let mut authority = open(&args.dir, &args.passphrase, lang)?;
    let crl = authority
        .crl(args.days, Moment::now())
        .map_err(|error| failure(&error, lang))?;
    write(&args.to, &crl.to_pem(), lang)?;
    output.print(&super::inspect::view_crl(&crl), |_| {
        super::inspect::table_crl(&crl, lang)
    })
}

pub(super) fn list(args: &ListArgs, output: Output, lang: Lang) -> Result<()> {
    let authority = Authority::load(&args.dir).map_err(|error| failure(&error, lang))?;
    let now = Moment::now();
    let value: Vec<Value> = authority
        .entries()
        .iter()
        .map(|entry| {
            json!({
                "serial": entry.serial,
                "subject": entry.subject,
                "profile": entry.profile,
                "names": entry.names,
                "notBefore": entry.not_before.to_string(),
                "notAfter": entry.not_after.to_string(),
                "keyId": entry.key_id,
                "status": entry.status(now),
                "revokedAt": entry.revoked_at.map(|at| at.to_string()),
                "reason": entry.reason,
            })
        })
        .collect();
    output.print(&value, |_| {
        table(authority.certificate(), authority.entries(), now, lang)
    })
}

fn table(own: &Certificate, entries: &[Entry], now: Moment, lang: Lang) -> String {
    let head = match lang {
        Lang::En => [
            "serial",
            "name",
            "profile",
            "status",
            "valid until",
            "reason",
        ],
        Lang::Zh => ["序列号", "名称", "用途", "状态", "有效期至", "原因"],
    };
    let row = |entry: &Entry| {
        let status = match (entry.status(now), lang) {
            (Status::Valid, Lang::En) => "valid",
            (Status::Valid, Lang::Zh) => "有效",
            (Status::Expired, Lang::En) => "expired",
            (Status::Expired, Lang::Zh) => "已过期",
            (Status::Revoked, Lang::En) => "revoked",
            (Status::Revoked, Lang::Zh) => "已吊销",
        };
        vec![
            entry.serial.clone(),
            entry.subject.common_name.clone(),
            entry.profile.to_string(),
            status.to_owned(),
            entry.not_after.to_string(),
            entry
                .reason
                .map_or_else(String::new, |reason| reason.to_string()),
        ]
    };
    format!(
        "{}\n\n{}",
        own.subject(),
        output::table(&head, &entries.iter().map(row).collect::<Vec<_>>())
    )
}
