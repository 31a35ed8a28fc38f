//! The TLS of links: what both kinds of credential have in common.
//!
//! TLS 1.3 only, mutual, without session resumption: every connection proves possession of the key
//! anew, and a key that is no longer admitted has no ticket to return with.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use hawser_pki::{Algorithm, Certificate, Distrust};
use parking_lot::RwLock;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::NoServerSessionStorage;
use rustls::sign::CertifiedKey;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, CommonState, Error, PeerIncompatible,
    PeerMisbehaved, ServerConfig, SupportedCipherSuite,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::chains::{Accepts, Chains, Verdict};
use crate::{Credential, NetworkError, PeerId, RefusalReason, gm, raw};

/// Names this protocol and its version during the handshake (ALPN, RFC 7301).
pub(crate) const PROTOCOL: &[u8] = b"hawser/1";

/// An authenticated stream. Nothing outside this module depends on what implements it.
pub(crate) type Stream = tokio_rustls::TlsStream<TcpStream>;

/// Fills `out` from the operating system's randomness.
pub(crate) fn random(out: &mut [u8]) -> Result<(), RandomUnavailable> {
    provider()
        .secure_random
        .fill(out)
        .map_err(|_| RandomUnavailable)
}

#[derive(Debug)]
pub(crate) struct RandomUnavailable;

pub(crate) fn provider() -> Arc<CryptoProvider> {
    // Built per use and not installed for the process: other crates may use another provider.
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The provider that goes with keys of a kind.
pub(crate) fn provider_for(algorithm: Algorithm) -> Arc<CryptoProvider> {
    match algorithm {
        Algorithm::Sm2 => Arc::new(gm::provider()),
        Algorithm::P256 | Algorithm::Ed25519 => provider(),
    }
}

/// The peers that may link to this node. Changes take effect at the next handshake.
#[derive(Debug, Default)]
pub(crate) struct Admission(RwLock<BTreeSet<PeerId>>);

impl Admission {
    pub(crate) fn replace(&self, ids: BTreeSet<PeerId>) {
        *self.0.write() = ids;
    }

    pub(crate) fn admits(&self, id: &PeerId) -> bool {
        self.0.read().contains(id)
    }
}

/// Makes both ends of a link from this node's credential.
pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    admission: Arc<Admission>,
    mode: Mode,
}

enum Mode {
    RawKey {
        certified: Arc<CertifiedKey>,
        acceptor: TlsAcceptor,
    },
    Certificate(Arc<Chains>),
}

/// What a finished handshake says about the other side.
#[derive(Debug)]
pub(crate) struct Facts {
    /// Name of the cipher suite as the registry of TLS has it.
    pub(crate) cipher_suite: String,
    /// The certificates that it presented, the leaf first; none for raw keys.
    pub(crate) chain: Vec<Certificate>,
}

impl Tls {
    pub(crate) fn new(
        credential: &Credential,
        admission: Arc<Admission>,
    ) -> Result<Self, NetworkError> {
        let (provider, mode) = match credential {
            Credential::RawKey(identity) => {
                let provider = provider();
                let certified = raw::certified(identity);
                let config = raw::server(&provider, &certified, Arc::clone(&admission))
                    .map_err(|error| NetworkError::Tls(error.to_string()))?;
                let acceptor = TlsAcceptor::from(Arc::new(for_links(config)));
                let mode = Mode::RawKey {
                    certified,
                    acceptor,
                };
                (provider, mode)
            }
            Credential::Certificate(certificate) => {
                let chains = certificate.chains();
                (provider_for(chains.algorithm()), Mode::Certificate(chains))
            }
        };
        Ok(Self {
            provider,
            admission,
            mode,
        })
    }

    /// What is watched and asked again in certificate mode.
    pub(crate) const fn chains(&self) -> Option<&Arc<Chains>> {
        match &self.mode {
            Mode::RawKey { .. } => None,
            Mode::Certificate(chains) => Some(chains),
        }
    }

    /// The side that was dialled. Returns who dialled.
    pub(crate) async fn accept(&self, tcp: TcpStream) -> Result<(PeerId, Stream), Refusal> {
        let verdict = Verdict::default();
        let acceptor = match &self.mode {
            Mode::RawKey { acceptor, .. } => acceptor.clone(),
            Mode::Certificate(chains) => {
                let accepts = Accepts::Admitted(Arc::clone(&self.admission));
                let config = chains
                    .server(&self.provider, accepts, &verdict)
                    .map_err(|error| Refusal::other(error.to_string()))?;
                TlsAcceptor::from(Arc::new(for_links(config)))
            }
        };
        let stream = acceptor
            .accept(tcp)
            .await
            .map_err(|error| Refusal::of(&error).explained(&verdict))?;
        let id = self.authenticated(stream.get_ref().1)?;
        Ok((id, stream.into()))
    }

    /// The side that dials, and that accepts `expected` and nobody else.
    pub(crate) async fn connect(
        &self,
        tcp: TcpStream,
        expected: PeerId,
    ) -> Result<Stream, Refusal> {
        let verdict = Verdict::default();
        let config = match &self.mode {
            Mode::RawKey { certified, .. } => raw::client(&self.provider, certified, expected),
            Mode::Certificate(chains) => {
                chains.client(&self.provider, Accepts::One(expected), &verdict)
            }
        };
        let mut config = config.map_err(|error| Refusal::other(error.to_string()))?;
        harden_client(&mut config);
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        let name =
            ServerName::try_from("hawser").map_err(|error| Refusal::other(error.to_string()))?;
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
            .map_err(|error| Refusal::of(&error).explained(&verdict))?;
        if self.authenticated(stream.get_ref().1)? != expected {
            return Err(Refusal::because(RefusalReason::WrongPeer));
        }
        Ok(stream.into())
    }

    /// The peer of a finished handshake. The handshake guarantees all of this; it is read once more
    /// here so that a change of provider cannot silently weaken it.
    fn authenticated(&self, state: &CommonState) -> Result<PeerId, Refusal> {
        if state.alpn_protocol() != Some(PROTOCOL) {
            return Err(Refusal::because(RefusalReason::Incompatible));
        }
        let bad = || Refusal::because(RefusalReason::BadKey);
        match (&self.mode, state.peer_certificates()) {
            (Mode::RawKey { .. }, Some([key])) => raw::peer_id_of_spki(key).ok_or_else(bad),
            (Mode::Certificate(chains), Some([leaf, ..])) => {
                let leaf = Certificate::from_der(leaf).map_err(|_| bad())?;
                if !chains.accepts(leaf.public_key().algorithm()) {
                    return Err(bad());
                }
                Ok(PeerId(leaf.public_key().id()))
            }
            _ => Err(bad()),
        }
    }

    pub(crate) fn facts(&self, stream: &Stream) -> Facts {
        let state = stream.get_ref().1;
        let chain = match &self.mode {
            Mode::RawKey { .. } => Vec::new(),
            Mode::Certificate(_) => certificates(state.peer_certificates()),
        };
        Facts {
            cipher_suite: state
                .negotiated_cipher_suite()
                .map(suite_name)
                .unwrap_or_default(),
            chain,
        }
    }
}

pub(crate) fn certificates(presented: Option<&[CertificateDer<'_>]>) -> Vec<Certificate> {
    presented
        .unwrap_or_default()
        .iter()
        .filter_map(|der| Certificate::from_der(der).ok())
        .collect()
}

/// The name of a suite in the registry of TLS.
pub(crate) fn suite_name(suite: SupportedCipherSuite) -> String {
    if suite.suite() == gm::SUITE {
        return "TLS_SM4_GCM_SM3".to_owned();
    }
    format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1)
}

fn for_links(mut config: ServerConfig) -> ServerConfig {
    harden_server(&mut config);
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config
}

/// No resumption, no early data.
pub(crate) fn harden_server(config: &mut ServerConfig) {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
}

/// No resumption; the key is the name, so a server name would only tell an observer something.
pub(crate) fn harden_client(config: &mut ClientConfig) {
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
}

/// A failed handshake: the named reason for the counters, and what TLS said for the log.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: RefusalReason,
    pub(crate) detail: String,
}

impl Refusal {
    pub(crate) fn because(reason: RefusalReason) -> Self {
        Self {
            reason,
            detail: String::new(),
        }
    }

    fn other(detail: String) -> Self {
        Self {
            reason: RefusalReason::Incompatible,
            detail,
        }
    }

    /// Finds the TLS error inside what the stream returned.
    pub(crate) fn of(error: &io::Error) -> Self {
        let tls = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Error>());
        let reason = match tls {
            Some(tls) => reason_of(tls),
            None => RefusalReason::Closed,
        };
        Self {
            reason,
            detail: error.to_string(),
        }
    }

    /// Puts what a verifier found in place of the few words that TLS has for it.
    fn explained(self, verdict: &Verdict) -> Self {
        match verdict.take() {
            Some(distrust) => Self {
                reason: reason_of_distrust(&distrust),
                detail: distrust.to_string(),
            },
            None => self,
        }
    }

    /// As seen by the side that dialled, for which an unaccepted key has another name.
    pub(crate) fn seen_by_dialler(mut self) -> Self {
        if self.reason == RefusalReason::UnknownPeer {
            self.reason = RefusalReason::WrongPeer;
        }
        self
    }
}

fn reason_of_distrust(distrust: &Distrust) -> RefusalReason {
    match distrust {
        Distrust::Expired { .. } | Distrust::NotYetValid { .. } => {
            RefusalReason::CertificateExpired
        }
        Distrust::Revoked { .. } => RefusalReason::CertificateRevoked,
        _ => RefusalReason::CertificateUntrusted,
    }
}

fn reason_of(error: &Error) -> RefusalReason {
    match error {
        Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => {
            RefusalReason::UnknownPeer
        }
        Error::InvalidCertificate(CertificateError::BadSignature) => RefusalReason::BadSignature,
        Error::PeerMisbehaved(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme) => {
            RefusalReason::BadSignature
        }
        Error::DecryptError => RefusalReason::Undecryptable,
        Error::NoCertificatesPresented => RefusalReason::NoCertificate,
        Error::InvalidCertificate(_) => RefusalReason::BadKey,
        Error::PeerIncompatible(
            PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => RefusalReason::TlsVersion,
        Error::AlertReceived(AlertDescription::AccessDenied) => RefusalReason::RefusedByPeer,
        Error::AlertReceived(AlertDescription::ProtocolVersion) => RefusalReason::TlsVersion,
        Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA,
        ) => RefusalReason::CertificateRefused,
        Error::AlertReceived(_) => RefusalReason::Alert,
        Error::InvalidMessage(_) => RefusalReason::NotTls,
        _ => RefusalReason::Incompatible,
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
