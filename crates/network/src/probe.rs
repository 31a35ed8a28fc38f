//! A look at somebody's TLS from outside, to explain a handshake that fails.

use std::sync::Arc;
use std::time::Duration;

use hawser_pki::{Algorithm, Certificate, PrivateKey};
use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    AlertDescription, ClientConfig, DigitallySignedStruct, Error, PeerIncompatible, SignatureScheme,
};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::chain_verifier::check_signature;
use crate::chains::{HandshakeKey, Resolver, schemes};
use crate::tls::{PROTOCOL, certificates, harden_client, provider, provider_for, suite_name};
use crate::{NodeIdentity, PeerId, raw};

/// How long the other side may take to refuse a certificate after the handshake: in TLS 1.3 the
/// dialling side believes it done before its certificate has been looked at.
const REFUSAL_WAIT: Duration = Duration::from_millis(1_500);

/// Which suites to offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeSuite {
    /// RFC 8998.
    Sm,
    /// The usual ones of TLS 1.3.
    Intl,
}

/// What to try.
#[derive(Clone, Debug)]
pub struct Probe<'a> {
    /// `host:port`.
    pub address: &'a str,
    /// Suites to offer.
    pub suite: ProbeSuite,
    /// Speak the protocol of peer links; otherwise HTTP.
    pub link: bool,
    /// Certificate chain and key to present.
    pub credential: Option<(&'a [Certificate], &'a PrivateKey)>,
    /// Time for each step.
    pub within: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct ProbeReport {
    /// Why no TCP connection came about.
    pub unreachable: Option<String>,
    /// Why the handshake failed, in the words of TLS.
    pub failure: Option<String>,
    /// The alert by which the other side ended it, if it did: `unknown_ca` and the like.
    pub alert: Option<String>,
    /// The suite agreed on.
    pub cipher_suite: Option<String>,
    /// What the other side presented, the leaf first. Not judged.
    pub chain: Vec<Certificate>,
    /// The raw public key that it presented instead (RFC 7250); its signature was checked.
    pub raw_key: Option<PeerId>,
    /// Whoever answers does not speak TLS.
    pub not_tls: bool,
}

/// Connects and reports. Believes everything, and sends nothing but the handshake.
pub async fn probe(probe: &Probe<'_>) -> ProbeReport {
    let mut report = ProbeReport::default();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let config = config(probe, &seen);
    shake(&mut report, probe.address, probe.within, config).await;
    report.chain = seen.lock().clone();
    report
}

/// As [`probe`], for a node that links with raw public keys. `identity` is presented to it; without
/// one a key is made up, which no node admits.
pub async fn probe_raw_key(
    address: &str,
    identity: Option<&NodeIdentity>,
    within: Duration,
) -> ProbeReport {
    let mut report = ProbeReport::default();
    let own = match identity {
        Some(identity) => identity.clone(),
        None => match NodeIdentity::generate() {
            Ok(identity) => identity,
            Err(error) => {
                report.failure = Some(error.to_string());
                return report;
            }
        },
    };
    let seen = Arc::new(Mutex::new(None));
    let config = raw::onlooker(&provider(), &own, &seen).map(for_link);
    shake(&mut report, address, within, config).await;
    report.raw_key = *seen.lock();
    report
}

fn for_link(mut config: ClientConfig) -> ClientConfig {
    harden_client(&mut config);
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config
}

async fn shake(
    report: &mut ProbeReport,
    address: &str,
    within: Duration,
    config: Result<ClientConfig, Error>,
) {
    let tcp = match timeout(within, TcpStream::connect(address)).await {
        Ok(Ok(tcp)) => tcp,
        Ok(Err(error)) => {
            report.unreachable = Some(error.to_string());
            return;
        }
        Err(_) => {
            report.unreachable = Some("no answer".to_owned());
            return;
        }
    };
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            report.failure = Some(error.to_string());
            return;
        }
    };
    let Ok(name) = ServerName::try_from("hawser") else {
        return;
    };
    let connect = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    match timeout(within, connect).await {
        Err(_) => report.failure = Some("the handshake took too long".to_owned()),
        Ok(Err(error)) => refused(report, &error),
        Ok(Ok(mut stream)) => {
            report.cipher_suite = stream.get_ref().1.negotiated_cipher_suite().map(suite_name);
            let mut byte = [0];
            // Data, the end, or silence: nobody minded.
            if let Ok(Err(error)) = timeout(REFUSAL_WAIT, stream.read(&mut byte)).await {
                refused(report, &error);
            }
        }
    }
}

fn refused(report: &mut ProbeReport, error: &std::io::Error) {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    if let Some(Error::AlertReceived(alert)) = tls {
        report.alert = Some(alert_name(*alert));
    }
    report.not_tls = matches!(tls, Some(Error::InvalidMessage(_)));
    report.failure = Some(error.to_string());
}

/// The name of an alert in RFC 8446.
pub(crate) fn alert_name(alert: AlertDescription) -> String {
    snake(&format!("{alert:?}"))
}

/// `UnknownCA` as `unknown_ca`, the form that RFC 8446 has.
fn snake(name: &str) -> String {
    let mut out = String::new();
    let mut before_lower = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && before_lower {
            out.push('_');
        }
        before_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn config(probe: &Probe<'_>, seen: &Arc<Mutex<Vec<Certificate>>>) -> Result<ClientConfig, Error> {
    let algorithm = match probe.suite {
        ProbeSuite::Sm => Algorithm::Sm2,
        ProbeSuite::Intl => Algorithm::P256,
    };
    let builder = ClientConfig::builder_with_provider(provider_for(algorithm))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Onlooker {
            algorithm,
            seen: Arc::clone(seen),
        }));
    let mut config = match probe.credential {
        Some((chain, key)) => {
            let ders = chain
                .iter()
                .map(|certificate| CertificateDer::from(certificate.der().to_vec()))
                .collect();
            let key = CertifiedKey::new(ders, Arc::new(HandshakeKey(key.clone())));
            builder.with_client_cert_resolver(Arc::new(Resolver(Arc::new(key))))
        }
        None => builder.with_no_client_auth(),
    };
    harden_client(&mut config);
    let protocol = if probe.link { PROTOCOL } else { b"http/1.1" };
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(config)
}

/// Notes what is presented and believes it, except for a signature that does not fit the key.
#[derive(Debug)]
struct Onlooker {
    algorithm: Algorithm,
    seen: Arc<Mutex<Vec<Certificate>>>,
}

impl ServerCertVerifier for Onlooker {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let presented: Vec<_> = std::iter::once(end_entity.clone())
            .chain(intermediates.iter().cloned())
            .collect();
        *self.seen.lock() = certificates(Some(&presented));
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes(self.algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_have_the_names_of_the_rfc() {
        for (name, expected) in [
            ("UnknownCA", "unknown_ca"),
            ("CertificateRequired", "certificate_required"),
            ("AccessDenied", "access_denied"),
        ] {
            assert_eq!(snake(name), expected);
        }
    }
}
