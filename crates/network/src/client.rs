//! TLS towards interfaces that serve clients, such as a node's JSON-RPC.
//!
//! Both kinds of suites are offered at once and the server takes its own: a client need not know
//! beforehand whether a node is on RFC 8998 or on the usual ones.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hawser_pki::{
    Algorithm, Certificate, Crl, Distrust, Moment, PkiError, PrivateKey, Purpose, Trust,
    TrustFolder, limits,
};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, InvalidMessage, PeerIncompatible, SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::chain_verifier::{alert_for, check_signature};
use crate::chains::{HandshakeKey, Resolver, Verdict, schemes};
use crate::probe::alert_name;
use crate::tls::{provider, provider_for};
use crate::{NetworkError, gm};

/// Most certificates that are believed for themselves.
const KNOWN_MAX: usize = limits::TRUST_FILES_MAX;

/// Whom a client of an interface believes.
#[derive(Clone, Debug)]
pub struct ClientTrust {
    sm: Trust,
    intl: Trust,
    known: Vec<Certificate>,
}

impl Default for ClientTrust {
    fn default() -> Self {
        Self {
            sm: Trust::new(Trust::SM),
            intl: Trust::new(Trust::INTL),
            known: Vec::new(),
        }
    }
}

impl ClientTrust {
    /// Adds a certificate: a root or an intermediate for what it is, a leaf to be believed itself,
    /// under whatever name its server is reached.
    ///
    /// # Errors
    /// As [`Trust::add_root`] and [`Trust::add_intermediate`]; [`PkiError::TooMany`].
    pub fn add(&mut self, certificate: Certificate) -> Result<(), PkiError> {
        if !certificate.is_authority() {
            if self.known.len() >= KNOWN_MAX {
                return Err(PkiError::TooMany {
                    what: "certificates",
                    max: KNOWN_MAX,
                });
            }
            self.known.push(certificate);
            return Ok(());
        }
        let trust = match certificate.public_key().algorithm() {
            Algorithm::Sm2 => &mut self.sm,
            Algorithm::P256 | Algorithm::Ed25519 => &mut self.intl,
        };
        if certificate.is_self_issued() {
            trust.add_root(certificate)
        } else {
            trust.add_intermediate(certificate)
        }
    }

    /// Adds a revocation list. Add authorities first.
    ///
    /// # Errors
    /// As [`Trust::add_crl`].
    pub fn add_crl(&mut self, crl: &Crl) -> Result<(), PkiError> {
        self.sm.add_crl(crl.clone())?;
        self.intl.add_crl(crl.clone())
    }

    /// Adds what a trust folder holds. Its roots are all of one kind.
    ///
    /// # Errors
    /// As [`TrustFolder::load`].
    pub fn add_folder(&mut self, folder: &TrustFolder) -> Result<(), PkiError> {
        let loaded = match folder.load(Trust::SM) {
            Ok(trust) => trust,
            Err(_) => folder.load(Trust::INTL)?,
        };
        let into = if loaded.accepts(Algorithm::Sm2) {
            &mut self.sm
        } else {
            &mut self.intl
        };
        into.absorb(loaded)
    }

    /// Whether nobody is believed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty() && self.sm.roots().is_empty() && self.intl.roots().is_empty()
    }

    /// Judges what a server presented, the leaf first. `host` is what stands in the address.
    ///
    /// # Errors
    /// The [`Distrust`].
    pub fn check(&self, chain: &[Certificate], host: &str, at: Moment) -> Result<(), Distrust> {
        let Some(leaf) = chain.first() else {
            return Err(Distrust::NoCertificate);
        };
        if self.known.contains(leaf) {
            return Trust::check_known(leaf, at);
        }
        let found = leaf.public_key().algorithm();
        let (own, other, expected) = match found {
            Algorithm::Sm2 => (&self.sm, &self.intl, "P-256 or Ed25519"),
            Algorithm::P256 | Algorithm::Ed25519 => (&self.intl, &self.sm, "SM2"),
        };
        if own.roots().is_empty() && !other.roots().is_empty() {
            return Err(Distrust::WrongAlgorithm {
                subject: leaf.subject().to_string(),
                found,
                expected,
            });
        }
        own.check(chain, Purpose::Server, at)?;
        leaf.check_host(host)
    }

    /// The kind of suites to put first.
    fn prefers_sm(&self) -> bool {
        let known = |one: &Certificate| one.public_key().algorithm() == Algorithm::Sm2;
        !self.sm.roots().is_empty() || self.known.iter().any(known)
    }
}

/// Why a connection to an interface failed, where TLS is the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientProblem {
    /// The server's certificate is not believed.
    Distrust(Distrust),
    /// Whoever answers does not speak TLS.
    NotTls,
    /// The server ended it with this alert, named as RFC 8446 does.
    Alert(String),
    /// There is no common version, suite or signature; in the words of TLS.
    Incompatible(String),
}

/// This side of TLS towards an interface.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    verdict: Verdict,
    presents: Option<Algorithm>,
}

impl ClientTls {
    /// Believes whom `trust` vouches for, and presents `credential` to servers that ask.
    ///
    /// # Errors
    /// [`NetworkError::Certificate`] for a certificate that is not for its key,
    /// [`NetworkError::Tls`].
    pub fn new(
        trust: ClientTrust,
        credential: Option<(&[Certificate], &PrivateKey)>,
    ) -> Result<Self, NetworkError> {
        let verdict = Verdict::default();
        let provider = Arc::new(both(trust.prefers_sm()));
        let verifier = Verifier {
            trust,
            verdict: verdict.clone(),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| NetworkError::Tls(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match credential {
            Some((chain, key)) => {
                if chain.first().map(Certificate::public_key) != Some(key.public_key()) {
                    return Err(NetworkError::Certificate(
                        "the client certificate is for another key than the key file holds"
                            .to_owned(),
                    ));
                }
                let ders = chain
                    .iter()
                    .map(|certificate| CertificateDer::from(certificate.der().to_vec()))
                    .collect();
                let key = CertifiedKey::new(ders, Arc::new(HandshakeKey(key.clone())));
                builder.with_client_cert_resolver(Arc::new(Resolver(Arc::new(key))))
            }
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            verdict,
            presents: credential.map(|(_, key)| key.algorithm()),
        })
    }

    /// The kind of the certificate that it presents.
    #[must_use]
    pub const fn presents(&self) -> Option<Algorithm> {
        self.presents
    }

    /// What an HTTP client takes as its TLS that was configured beforehand.
    #[must_use]
    pub fn preconfigured(&self) -> impl Any + Send + Sync + use<> {
        ClientConfig::clone(&self.config)
    }

    /// Shakes hands with the server of this host. The caller bounds the time.
    ///
    /// # Errors
    /// The error of the stream; [`Self::problem`] explains it.
    pub async fn connect(&self, tcp: TcpStream, host: &str) -> io::Result<ClientStream> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let stream = connector.connect(name, tcp).await?;
        Ok(ClientStream(Box::new(stream)))
    }

    /// Looks for a problem of TLS among the causes of an error.
    #[must_use]
    pub fn problem(&self, error: &(dyn StdError + 'static)) -> Option<ClientProblem> {
        let tls = tls_error(error)?;
        if let Some(distrust) = self.verdict.look() {
            return Some(ClientProblem::Distrust(distrust));
        }
        Some(match tls {
            Error::AlertReceived(alert) => ClientProblem::Alert(alert_name(*alert)),
            Error::InvalidMessage(
                InvalidMessage::InvalidContentType
                | InvalidMessage::UnknownProtocolVersion
                | InvalidMessage::MessageTooLarge
                | InvalidMessage::InvalidEmptyPayload,
            ) => ClientProblem::NotTls,
            other => ClientProblem::Incompatible(other.to_string()),
        })
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("presents", &self.presents)
            .finish_non_exhaustive()
    }
}

/// The error of TLS inside another one.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(tls) = error.downcast_ref::<Error>() {
            return Some(tls);
        }
        // An error of a stream does not name what it wraps as its source.
        cause = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// Both kinds of suites; the key share of the first group is sent at once.
fn both(sm_first: bool) -> CryptoProvider {
    let (gm, usual) = (gm::provider(), CryptoProvider::clone(&provider()));
    let (first, second) = if sm_first { (gm, usual) } else { (usual, gm) };
    let cipher_suites = [first.cipher_suites, second.cipher_suites].concat();
    let kx_groups = [first.kx_groups, second.kx_groups].concat();
    CryptoProvider {
        cipher_suites,
        kx_groups,
        ..CryptoProvider::clone(&provider_for(Algorithm::P256))
    }
}

struct Verifier {
    trust: ClientTrust,
    verdict: Verdict,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

impl Verifier {
    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        name: &ServerName<'_>,
    ) -> Result<(), Distrust> {
        let mut chain = Vec::new();
        for der in std::iter::once(leaf).chain(rest) {
            if chain.len() >= limits::CHAIN_MAX {
                let max = limits::CHAIN_MAX;
                return Err(Distrust::TooLong { max });
            }
            let read = Certificate::from_der(der);
            chain.push(read.map_err(|error| Distrust::Unreadable(error.to_string()))?);
        }
        self.trust.check(&chain, &name.to_str(), Moment::now())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.judge(end_entity, intermediates, server_name) {
            Ok(()) => {
                self.verdict.clear();
                Ok(ServerCertVerified::assertion())
            }
            Err(distrust) => {
                let error = alert_for(&distrust);
                self.verdict.set(distrust);
                Err(error.into())
            }
        }
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
        [schemes(Algorithm::Sm2), schemes(Algorithm::P256)].concat()
    }
}

/// A connection to an interface.
pub struct ClientStream(Box<tokio_rustls::client::TlsStream<TcpStream>>);

impl fmt::Debug for ClientStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientStream")
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
