//! TLS towards a node's interface, and its failures in words.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use hawser_network::{ClientProblem, ClientTls, ClientTrust, Probe, ProbeSuite, probe};
use hawser_pki::{Certificate, Crl, PkiError, PrivateKey, TrustFolder, parse_certificates};

use crate::commands::cert::{passphrase_of, words};
use crate::exit::{Code, Failure, OrFail, Result, fail};
use crate::lang::Lang;
use crate::passphrase::PassphraseArgs;
use crate::{files, keyfile, passphrase};

/// Most files that `--ca` names.
const CA_FILES_MAX: usize = 256;
/// Time to find out whether somebody who does not understand HTTP speaks TLS.
const LOOK: Duration = Duration::from_secs(2);

/// What a node with TLS is believed by, and what is shown to it.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TlsArgs {
    /// Whom to believe at https:// addresses: PEM file with the authority's certificate (and its
    /// revocation lists), or a trust folder; may be repeated
    #[arg(
        long,
        env = "HAWSER_CA",
        value_name = "FILE|DIR",
        value_delimiter = ',',
        help_heading = "Node"
    )]
    pub(crate) ca: Vec<PathBuf>,
    /// Certificate to present to nodes that ask for one
    #[arg(
        long,
        env = "HAWSER_CLIENT_CERT",
        value_name = "FILE",
        help_heading = "Node"
    )]
    pub(crate) client_cert: Option<PathBuf>,
    /// Key of that certificate, encrypted
    #[arg(
        long,
        env = "HAWSER_CLIENT_KEY",
        value_name = "FILE",
        help_heading = "Node"
    )]
    pub(crate) client_key: Option<PathBuf>,
    /// File with the passphrase of that key [default: as for other keys]
    #[arg(
        long,
        env = "HAWSER_CLIENT_PASSPHRASE_FILE",
        value_name = "FILE",
        hide_env_values = true,
        help_heading = "Node"
    )]
    pub(crate) client_passphrase_file: Option<PathBuf>,
}

impl TlsArgs {
    /// What was asked for, with every file read.
    pub(crate) fn open(&self) -> Result<ClientTls> {
        self.open_at(&[])
    }

    /// As [`Self::open`]; where no authority is named, these certificates of nodes of this machine
    /// are believed.
    pub(crate) fn open_at(&self, of_machine: &[PathBuf]) -> Result<ClientTls> {
        let mut trust = ClientTrust::default();
        if self.ca.len() > CA_FILES_MAX {
            return fail(
                Code::Usage,
                format!("--ca: more than {CA_FILES_MAX} files; use a trust folder"),
            );
        }
        for path in &self.ca {
            add(&mut trust, path)?;
        }
        if self.ca.is_empty() {
            for path in of_machine {
                if let Some(own) = read_certificates(path)?.into_iter().next() {
                    trust.add(own).map_err(|error| wrong(path, &error))?;
                }
            }
        }
        self.with(trust)
    }

    /// With this trust, and the certificate that was asked for.
    fn with(&self, trust: ClientTrust) -> Result<ClientTls> {
        let credential = match (&self.client_cert, &self.client_key) {
            (Some(certificate), Some(key)) => Some(self.credential(certificate, key)?),
            (None, None) => None,
            _ => {
                return fail(
                    Code::Usage,
                    Lang::current().pick(
                        "--client-cert and --client-key (HAWSER_CLIENT_CERT, HAWSER_CLIENT_KEY) \
                         belong together; give both or neither",
                        "--client-cert 与 --client-key（HAWSER_CLIENT_CERT、HAWSER_CLIENT_KEY）须同时给出",
                    ),
                );
            }
        };
        let credential = credential
            .as_ref()
            .map(|(chain, key)| (chain.as_slice(), key));
        ClientTls::new(trust, credential).or_fail(Code::Config)
    }

    fn credential(&self, certificate: &Path, key: &Path) -> Result<(Vec<Certificate>, PrivateKey)> {
        let chain = read_certificates(certificate)?;
        if chain.is_empty() {
            return Err(no_certificate(certificate));
        }
        let args = PassphraseArgs {
            passphrase_file: self
                .client_passphrase_file
                .clone()
                .or_else(|| std::env::var_os(passphrase::VARIABLE).map(Into::into)),
        };
        let key = keyfile::read_private(key, &passphrase_of(key, &args)?)?;
        Ok((chain, key))
    }
}

/// Believes exactly the certificate in a file, besides those that a folder vouches for: for the
/// nodes of this machine, whose configuration names both.
pub(crate) fn of_node(certificate: &Path, trust_dir: Option<&Path>) -> Result<ClientTls> {
    let mut trust = ClientTrust::default();
    if let Some(own) = read_certificates(certificate)?.into_iter().next() {
        trust.add(own).map_err(|error| wrong(certificate, &error))?;
    }
    // Just helpful: the certificate itself is believed already.
    if let Some(dir) = trust_dir {
        let _ = trust.add_folder(&TrustFolder(dir.to_owned()));
    }
    // Where the node asks its clients for certificates.
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let own = TlsArgs {
        ca: Vec::new(),
        client_cert: variable("HAWSER_CLIENT_CERT"),
        client_key: variable("HAWSER_CLIENT_KEY"),
        client_passphrase_file: variable("HAWSER_CLIENT_PASSPHRASE_FILE"),
    };
    own.with(trust)
}

fn add(trust: &mut ClientTrust, path: &Path) -> Result<()> {
    if path.is_dir() {
        return trust
            .add_folder(&TrustFolder(path.to_owned()))
            .map_err(|error| wrong(path, &error));
    }
    let text = files::read_text(path, hawser_pki::limits::FILE_BYTES_MAX as u64)?;
    let certificates = parse_certificates(&text).map_err(|error| wrong(path, &error))?;
    let lists = Crl::parse_all(&text).map_err(|error| wrong(path, &error))?;
    if certificates.is_empty() && lists.is_empty() {
        return Err(no_certificate(path));
    }
    for certificate in certificates {
        trust
            .add(certificate)
            .map_err(|error| wrong(path, &error))?;
    }
    for list in &lists {
        trust.add_crl(list).map_err(|error| wrong(path, &error))?;
    }
    Ok(())
}

fn read_certificates(path: &Path) -> Result<Vec<Certificate>> {
    let text = files::read_text(path, hawser_pki::limits::FILE_BYTES_MAX as u64)?;
    parse_certificates(&text).map_err(|error| wrong(path, &error))
}

fn no_certificate(path: &Path) -> Failure {
    let path = path.display();
    Failure::new(
        Code::Config,
        match Lang::current() {
            Lang::En => format!("{path} holds no certificate in PEM form"),
            Lang::Zh => format!("{path} 中没有 PEM 格式的证书"),
        },
    )
}

fn wrong(path: &Path, error: &PkiError) -> Failure {
    let why = words::problem(error, Lang::current());
    Failure::new(Code::Config, format!("{}: {why}", path.display()))
}

/// A problem of TLS in words, with what to do.
pub(crate) fn explain(url: &str, tls: &ClientTls, problem: &ClientProblem) -> Failure {
    let lang = Lang::current();
    match problem {
        ClientProblem::Distrust(distrust) => {
            let why = words::distrust(distrust, lang);
            let hint = match distrust {
                hawser_pki::Distrust::UnknownIssuer { .. }
                | hawser_pki::Distrust::SelfSigned { .. }
                | hawser_pki::Distrust::WrongAlgorithm { .. } => lang.pick(
                    ". Give the certificate of the node's authority with --ca or HAWSER_CA",
                    "。请用 --ca 或 HAWSER_CA 指定该节点证书机构的证书",
                ),
                _ => "",
            };
            Failure::new(
                Code::NotFound,
                match lang {
                    Lang::En => format!("{url} is not believed: {why}{hint}"),
                    Lang::Zh => format!("{url} 不可信：{why}{hint}"),
                },
            )
        }
        ClientProblem::NotTls => Failure::new(
            Code::Unreachable,
            match lang {
                Lang::En => format!(
                    "{url} answers without TLS: write {} if this network may be read by others, or \
                     set rpc.tls_certificate at the node",
                    plain(url)
                ),
                Lang::Zh => format!(
                    "{url} 未使用 TLS：若允许明文传输请写 {}，否则请在节点上配置 rpc.tls_certificate",
                    plain(url)
                ),
            },
        ),
        ClientProblem::Alert(alert) => Failure::new(
            Code::Refused,
            match lang {
                Lang::En => format!("{url}: {}", alert_words(alert, tls, lang)),
                Lang::Zh => format!("{url}：{}", alert_words(alert, tls, lang)),
            },
        ),
        other => {
            let detail = match other {
                ClientProblem::Incompatible(detail) => detail.as_str(),
                _ => "TLS",
            };
            Failure::new(
                Code::Refused,
                match lang {
                    Lang::En => format!(
                        "{url}: the handshake failed ({detail}). Offered was TLS 1.3 with the \
                         suites of RFC 8998 and the international ones; `hawser cert check --rpc` \
                         looks closer"
                    ),
                    Lang::Zh => format!(
                        "{url}：握手失败（{detail}）。本端支持 TLS 1.3 的 RFC 8998 套件和国际套件；`hawser cert check --rpc` 可进一步检查"
                    ),
                },
            )
        }
    }
}

fn alert_words(alert: &str, tls: &ClientTls, lang: Lang) -> String {
    let (en, zh) = match (alert, tls.presents()) {
        ("certificate_required" | "handshake_failure", None) => (
            "the node asks for a client certificate and none was given; name one with --client-cert and --client-key",
            "节点要求客户端证书而未给出；请用 --client-cert 和 --client-key 指定",
        ),
        ("certificate_required", Some(_)) => (
            "the node asks for a client certificate of the other kind (SM2 on RFC 8998, P-256 or Ed25519 on the international suites); name one with --client-cert",
            "节点要求另一类客户端证书（RFC 8998 用 SM2，国际套件用 P-256 或 Ed25519）；请用 --client-cert 指定",
        ),
        ("certificate_expired", _) => (
            "the node says that the client certificate is expired or not yet valid by its clock; renew it (`hawser cert renew`), and compare the clocks",
            "节点认为客户端证书已过期或尚未生效（以节点时钟为准）；请续期（`hawser cert renew`）并核对时钟",
        ),
        ("certificate_revoked", _) => (
            "the node says that the client certificate is revoked; request a new one with a new key",
            "节点认为客户端证书已被吊销；请用新密钥申请新证书",
        ),
        ("unknown_ca", _) => (
            "the node does not trust the authority of the client certificate: its root has to be in the node's rpc.tls_client_trust_dir",
            "节点不信任客户端证书的颁发机构：其根证书须在节点的 rpc.tls_client_trust_dir 中",
        ),
        ("unsupported_certificate", _) => (
            "the node says that the client certificate is not for this use; issue one with the profile user",
            "节点认为客户端证书用途不符；请按 user 用途签发",
        ),
        ("no_application_protocol", _) => (
            "this port speaks another protocol: it is one for peers, not for clients (rpc.http)",
            "该端口使用另一协议：它是对等节点端口，而非客户端端口（rpc.http）",
        ),
        ("protocol_version", _) => (
            "there is no common version of TLS; this program speaks TLS 1.3",
            "没有共同的 TLS 版本；本程序使用 TLS 1.3",
        ),
        _ => ("the other side ended the handshake", "对方终止了握手"),
    };
    format!("{} ({alert})", lang.pick(en, zh))
}

/// `https://host` as `http://host`.
fn plain(url: &str) -> String {
    match url.strip_prefix("https://") {
        Some(rest) => format!("http://{rest}"),
        None => url.to_owned(),
    }
}

/// If whoever answers at an `http://` address speaks TLS, the words for it.
pub(crate) async fn speaks_tls(url: &str) -> Option<Failure> {
    let parsed = reqwest::Url::parse(url).ok()?;
    let host = parsed.host_str()?;
    let address = format!("{host}:{}", parsed.port_or_known_default()?);
    for suite in [ProbeSuite::Sm, ProbeSuite::Intl] {
        let report = probe(&Probe {
            address: &address,
            suite,
            link: false,
            credential: None,
            within: LOOK,
        })
        .await;
        if report.unreachable.is_some() {
            return None;
        }
        if report.alert.is_some() || report.cipher_suite.is_some() || !report.chain.is_empty() {
            if report.alert.as_deref() == Some("no_application_protocol") {
                return Some(Failure::new(
                    Code::Unreachable,
                    match Lang::current() {
                        Lang::En => format!(
                            "{url} is a port for peers (network.listen), not for clients (rpc.http)"
                        ),
                        Lang::Zh => format!(
                            "{url} 是对等节点端口（network.listen），而非客户端端口（rpc.http）"
                        ),
                    },
                ));
            }
            let rest = url.strip_prefix("http://").unwrap_or(url);
            return Some(Failure::new(
                Code::Unreachable,
                match Lang::current() {
                    Lang::En => format!(
                        "{url} speaks TLS: write https://{rest}, and name its authority with --ca \
                         or HAWSER_CA"
                    ),
                    Lang::Zh => format!(
                        "{url} 使用 TLS：请写 https://{rest}，并用 --ca 或 HAWSER_CA 指定其证书机构"
                    ),
                },
            ));
        }
    }
    None
}
