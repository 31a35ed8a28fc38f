//! `hawser cert check`: files, or somebody's TLS, judged in words.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use hawser_network::{PeerId, Probe, ProbeReport, ProbeSuite, probe};
use hawser_pki::{
    Algorithm, Certificate, Moment, PrivateKey, Purpose, Trust, TrustFolder, parse_certificates,
};
use serde_json::{Value, json};

use super::{failure, inspect, passphrase_of, raw, words};
use crate::exit::{Code, Failure, Result, fail};
use crate::lang::Lang;
use crate::output::Output;
use crate::passphrase::PassphraseArgs;
use crate::{files, keyfile};

/// Arguments of `cert check`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  hawser cert check certs/node.pem --trust certs/trust
  hawser cert check 10.0.0.2:9545 --trust certs/trust --certificate certs/node.pem --key keys/identity.pem
  hawser cert check 10.0.0.2:9545 --config node.toml
  hawser cert check rpc.example:8545 --rpc --trust certs/trust

With --config the check is made as that node would make it: with its key, certificate, trust and peers.
Ends with 0 when everything is believed, with 5 otherwise, with 4 when nobody answers.")]
pub(crate) struct CheckArgs {
    /// A PEM file with a chain, or HOST:PORT of a node or interface
    #[arg(value_name = "FILE|HOST:PORT")]
    pub(super) target: String,
    /// Trust folder: roots/, intermediates/, crls/
    #[arg(long, value_name = "DIR")]
    pub(super) trust: Option<PathBuf>,
    /// What the certificate has to be good for [default: node, or server with --rpc]
    #[arg(long, value_enum)]
    purpose: Option<For>,
    /// HOST:PORT is an interface for clients (JSON-RPC), not one for peers
    #[arg(long)]
    rpc: bool,
    /// Suites to offer [default: RFC 8998, then the international ones]
    #[arg(long, value_enum)]
    suite: Option<Suites>,
    /// Certificate chain to present
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(super) certificate: Option<PathBuf>,
    /// Key of that certificate; alone, an Ed25519 key to present to a node with raw keys
    #[arg(long, value_name = "FILE")]
    pub(super) key: Option<PathBuf>,
    /// Configuration of a node of this machine, to check HOST:PORT as it would
    #[arg(long, value_name = "FILE", conflicts_with_all = ["certificate", "rpc"])]
    pub(super) config: Option<PathBuf>,
    /// Seconds to wait for each step
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub(super) timeout: u64,
    #[command(flatten)]
    pub(super) passphrase: PassphraseArgs,
}

/// What a certificate has to be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum For {
    /// A node on its links.
    Node,
    /// A client of an interface.
    Client,
    /// A TLS listener.
    Server,
}

/// Suites to offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Suites {
    /// RFC 8998.
    Sm,
    /// TLS 1.3 as elsewhere.
    Intl,
}

impl For {
    const fn purpose(self) -> Purpose {
        match self {
            Self::Node => Purpose::Node,
            Self::Client => Purpose::Client,
            Self::Server => Purpose::Server,
        }
    }
}

/// A sentence, whether it is good news, and its stable name.
pub(super) struct Finding {
    good: bool,
    name: String,
    text: String,
}

impl Finding {
    pub(super) fn good(text: String) -> Self {
        Self {
            good: true,
            name: "ok".to_owned(),
            text,
        }
    }

    pub(super) fn bad(name: impl Into<String>, text: String) -> Self {
        Self {
            good: false,
            name: name.into(),
            text,
        }
    }
}

pub(super) async fn run(args: &CheckArgs, output: Output, lang: Lang) -> Result<()> {
    let node = args.config.as_deref().map(raw::Own::read).transpose()?;
    let filled;
    let args = match &node {
        Some(node) => {
            filled = node.fill(args);
            &filled
        }
        None => args,
    };
    let path = Path::new(&args.target);
    let is_address = args
        .target
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if path.exists() || !is_address {
        check_file(args, path, output, lang)
    } else {
        check_address(args, node.as_ref(), output, lang).await
    }
}

fn purpose(args: &CheckArgs) -> Purpose {
    match args.purpose {
        Some(purpose) => purpose.purpose(),
        None if args.rpc => Purpose::Server,
        None => Purpose::Node,
    }
}

fn check_file(args: &CheckArgs, path: &Path, output: Output, lang: Lang) -> Result<()> {
    let chain = read_chain(path, lang)?;
    let mut findings = vec![judge(args, &chain, lang)?];
    if let Some(key) = &args.key {
        let key = open_key(key, args)?;
        let own = chain.first().map(Certificate::public_key);
        if own != Some(key.public_key()) {
            findings.push(Finding::bad("other_key", words::other_key(lang)));
        }
    }
    finish(&findings, &chain, (None, None), output, lang)
}

fn read_chain(path: &Path, lang: Lang) -> Result<Vec<Certificate>> {
    let text = files::read_text(path, hawser_pki::limits::FILE_BYTES_MAX as u64)?;
    let chain = parse_certificates(&text).map_err(|error| failure(&error, lang))?;
    if chain.is_empty() {
        return fail(
            Code::Config,
            match lang {
                Lang::En => format!("{} holds no certificate in PEM form", path.display()),
                Lang::Zh => format!("{} 中没有 PEM 格式的证书", path.display()),
            },
        );
    }
    Ok(chain)
}

fn open_key(path: &Path, args: &CheckArgs) -> Result<PrivateKey> {
    keyfile::read_private(path, &passphrase_of(path, &args.passphrase)?)
}

/// Judges a chain by the trust folder; without one only by its dates.
fn judge(args: &CheckArgs, chain: &[Certificate], lang: Lang) -> Result<Finding> {
    let Some(leaf) = chain.first() else {
        return Ok(Finding::bad(
            "no_certificate",
            words::nothing_presented(lang),
        ));
    };
    let algorithms = match leaf.public_key().algorithm() {
        Algorithm::Sm2 => Trust::SM,
        Algorithm::P256 | Algorithm::Ed25519 => Trust::INTL,
    };
    let Some(folder) = &args.trust else {
        return Ok(Finding::bad("no_trust", words::no_trust(lang)));
    };
    let trust = TrustFolder(folder.clone())
        .load(algorithms)
        .map_err(|error| Failure::new(Code::Config, words::problem(&error, lang)))?;
    Ok(match trust.check(chain, purpose(args), Moment::now()) {
        Ok(verified) => Finding::good(words::believed(&verified, lang)),
        Err(distrust) => Finding::bad(distrust.name(), words::distrust(&distrust, lang)),
    })
}

async fn check_address(
    args: &CheckArgs,
    node: Option<&raw::Own>,
    output: Output,
    lang: Lang,
) -> Result<()> {
    let presented = match (&args.certificate, &args.key) {
        (Some(certificate), Some(key)) => {
            Some((read_chain(certificate, lang)?, open_key(key, args)?))
        }
        _ => None,
    };
    let credential = presented
        .as_ref()
        .map(|(chain, key)| (chain.as_slice(), key));
    let own = presented.as_ref().map(|(_, key)| key.algorithm());
    let suites: &[ProbeSuite] = match (args.suite, own) {
        (Some(Suites::Sm), _) | (None, Some(Algorithm::Sm2)) => &[ProbeSuite::Sm],
        (Some(Suites::Intl), _) | (None, Some(_)) => &[ProbeSuite::Intl],
        (None, None) => &[ProbeSuite::Sm, ProbeSuite::Intl],
    };
    let mut report = ProbeReport::default();
    for suite in suites {
        report = probe(&Probe {
            address: &args.target,
            suite: *suite,
            link: !args.rpc,
            credential,
            within: Duration::from_secs(args.timeout),
        })
        .await;
        // Somebody who answered with a certificate speaks these suites.
        if report.unreachable.is_some() || !report.chain.is_empty() {
            break;
        }
    }
    if let Some(error) = &report.unreachable {
        let target = &args.target;
        return fail(
            Code::Unreachable,
            match lang {
                Lang::En => format!("nobody answers at {target}: {error}"),
                Lang::Zh => format!("{target} 无应答：{error}"),
            },
        );
    }
    let silent = report.chain.is_empty() && report.cipher_suite.is_none() && !report.not_tls;
    if silent && !args.rpc && args.suite.is_none() {
        let (seen, findings) = raw::check(args, node, lang).await?;
        if let Some(findings) = findings {
            let suite = seen.cipher_suite.as_deref();
            return finish(&findings, &[], (suite, seen.raw_key), output, lang);
        }
    }
    let mut findings = Vec::new();
    if report.not_tls {
        findings.push(Finding::bad("not_tls", words::not_tls(args.rpc, lang)));
        return finish(&findings, &[], (None, None), output, lang);
    }
    if let Some(leaf) = report.chain.first() {
        findings.push(judge(args, &report.chain, lang)?);
        let host = args.target.rsplit_once(':').map_or("", |(host, _)| host);
        if let (true, Err(distrust)) = (args.rpc, leaf.check_host(host)) {
            let text = words::distrust(&distrust, lang);
            findings.push(Finding::bad(distrust.name(), text));
        }
    }
    if let Some(failed) = &report.failure {
        let name = report
            .alert
            .clone()
            .unwrap_or_else(|| "handshake".to_owned());
        let text = words::handshake(failed, report.alert.as_deref(), own.is_some(), lang);
        findings.push(Finding::bad(name, text));
    } else {
        findings.push(Finding::good(words::shaken(
            report.cipher_suite.as_deref().unwrap_or_default(),
            lang,
        )));
    }
    finish(
        &findings,
        &report.chain,
        (report.cipher_suite.as_deref(), None),
        output,
        lang,
    )
}

fn finish(
    findings: &[Finding],
    chain: &[Certificate],
    (suite, raw_key): (Option<&str>, Option<PeerId>),
    output: Output,
    lang: Lang,
) -> Result<()> {
    let good = findings.iter().all(|finding| finding.good);
    let list: Vec<Value> = findings
        .iter()
        .map(|finding| json!({ "ok": finding.good, "name": finding.name, "text": finding.text }))
        .collect();
    let value = json!({
        "ok": good,
        "findings": list,
        "cipherSuite": suite,
        "rawKey": raw_key,
        "chain": chain.iter().map(inspect::view).collect::<Vec<_>>(),
    });
    output.print(&value, |_| {
        let mut text = String::new();
        if let Some(leaf) = chain.first() {
            text.push_str(&inspect::table(leaf, lang));
            text.push('\n');
        }
        for finding in findings {
            let mark = if finding.good {
                lang.pick("ok", "正常")
            } else {
                lang.pick("problem", "问题")
            };
            text.push_str(&format!("{mark}: {}\n", finding.text));
        }
        text
    })?;
    if good {
        return Ok(());
    }
    fail(Code::NotFound, lang.pick("the check failed", "检查未通过"))
}
