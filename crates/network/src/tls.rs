//! Mutual TLS 1.3 with raw public keys (RFC 7250).
//!
//! Raw keys and not self-signed X.509 certificates: the only fact that a link certificate could
//! carry is the key, and the admitted set says which keys count. Without X.509 there is no
//! certificate parser to attack, nothing that expires and halts a mesh, and the check is a
//! comparison of 44 bytes. Session resumption is off, so every connection proves possession of
//! the key anew and a key that is no longer admitted has no ticket to return with.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, CommonState, DigitallySignedStruct,
    DistinguishedName, Error, PeerIncompatible, PeerMisbehaved, ServerConfig, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::{NetworkError, NodeIdentity, PeerId, RefusalReason};

/// Names this protocol and its version during the handshake (ALPN, RFC 7301).
const PROTOCOL: &[u8] = b"hawser/1";
/// SubjectPublicKeyInfo of an Ed25519 key up to the 32 bytes of the key (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// An authenticated stream. Nothing outside this module depends on what implements it.
pub(crate) type Stream = tokio_rustls::TlsStream<TcpStream>;

/// The key inside an Ed25519 SubjectPublicKeyInfo, which has exactly one DER encoding.
pub(crate) fn peer_id_of_spki(spki: &[u8]) -> Option<PeerId> {
    let key = spki.strip_prefix(&SPKI_PREFIX)?;
    key.try_into().ok().map(PeerId)
}

/// Fills `out` from the operating system's randomness.
pub(crate) fn random(out: &mut [u8]) -> Result<(), RandomUnavailable> {
    provider()
        .secure_random
        .fill(out)
        .map_err(|_| RandomUnavailable)
}

#[derive(Debug)]
pub(crate) struct RandomUnavailable;

fn provider() -> Arc<CryptoProvider> {
    // Built per use and not installed for the process: other crates may use another provider.
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The keys that may link to this node. Changes take effect at the next handshake.
#[derive(Debug, Default)]
pub(crate) struct Admission(RwLock<BTreeSet<PeerId>>);

impl Admission {
    pub(crate) fn replace(&self, ids: BTreeSet<PeerId>) {
        *self.0.write() = ids;
    }

    fn admits(&self, id: &PeerId) -> bool {
        self.0.read().contains(id)
    }
}

/// Makes both ends of a link from this node's identity.
pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    certified: Arc<CertifiedKey>,
    acceptor: TlsAcceptor,
}

impl Tls {
    pub(crate) fn new(
        identity: &NodeIdentity,
        admission: Arc<Admission>,
    ) -> Result<Self, NetworkError> {
        let provider = provider();
        let spki = [&SPKI_PREFIX[..], &identity.peer_id().0].concat();
        let certified = Arc::new(CertifiedKey::new(
            vec![CertificateDer::from(spki)],
            identity.signing_key(),
        ));
        let verifier = Verifier {
            provider: Arc::clone(&provider),
            accepts: Accepts::Any(admission),
        };
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(tls_error)?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(
                Arc::clone(&certified),
            )));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(Self {
            provider,
            certified,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }

    /// The side that was dialled. Returns who dialled.
    pub(crate) async fn accept(&self, tcp: TcpStream) -> Result<(PeerId, Stream), Refusal> {
        let stream = self
            .acceptor
            .accept(tcp)
            .await
            .map_err(|error| Refusal::of(&error))?;
        let id = authenticated(stream.get_ref().1)?;
        Ok((id, stream.into()))
    }

    /// The side that dials, and that accepts `expected` and nobody else.
    pub(crate) async fn connect(
        &self,
        tcp: TcpStream,
        expected: PeerId,
    ) -> Result<Stream, Refusal> {
        let verifier = Verifier {
            provider: Arc::clone(&self.provider),
            accepts: Accepts::One(expected),
        };
        let resolver = AlwaysResolvesClientRawPublicKeys::new(Arc::clone(&self.certified));
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| Refusal::other(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.resumption = Resumption::disabled();
        // The key is the name; a server name would only tell an observer something.
        config.enable_sni = false;
        let name =
            ServerName::try_from("hawser").map_err(|error| Refusal::other(error.to_string()))?;
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
            .map_err(|error| Refusal::of(&error))?;
        if authenticated(stream.get_ref().1)? != expected {
            return Err(Refusal::because(RefusalReason::WrongPeer));
        }
        Ok(stream.into())
    }
}

fn tls_error(error: Error) -> NetworkError {
    NetworkError::Tls(error.to_string())
}

/// The peer of a finished handshake. The handshake guarantees all of this; it is read once more
/// here so that a change of provider cannot silently weaken it.
fn authenticated(state: &CommonState) -> Result<PeerId, Refusal> {
    if state.alpn_protocol() != Some(PROTOCOL) {
        return Err(Refusal::because(RefusalReason::Incompatible));
    }
    match state.peer_certificates() {
        Some([key]) => peer_id_of_spki(key).ok_or(Refusal::because(RefusalReason::BadKey)),
        _ => Err(Refusal::because(RefusalReason::BadKey)),
    }
}

/// Whom a verifier accepts.
#[derive(Debug)]
enum Accepts {
    Any(Arc<Admission>),
    One(PeerId),
}

struct Verifier {
    provider: Arc<CryptoProvider>,
    accepts: Accepts,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("accepts", &self.accepts)
            .finish_non_exhaustive()
    }
}

impl Verifier {
    fn check_key(
        &self,
        key: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
    ) -> Result<(), Error> {
        let id = match peer_id_of_spki(key) {
            Some(id) if more.is_empty() => id,
            _ => return Err(CertificateError::BadEncoding.into()),
        };
        let accepted = match &self.accepts {
            Accepts::Any(admission) => admission.admits(&id),
            Accepts::One(expected) => *expected == id,
        };
        if accepted {
            Ok(())
        } else {
            // Sent as the alert access_denied, by which the other side can name the cause.
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn check_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if signed.scheme != SignatureScheme::ED25519 {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        verify_tls13_signature_with_raw_key(
            message,
            &SubjectPublicKeyInfoDer::from(key.as_ref()),
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check_key(end_entity, intermediates)
            .map(|()| ServerCertVerified::assertion())
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
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check_key(end_entity, intermediates)
            .map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
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

    /// As seen by the side that dialled, for which an unaccepted key has another name.
    pub(crate) fn seen_by_dialler(mut self) -> Self {
        if self.reason == RefusalReason::UnknownPeer {
            self.reason = RefusalReason::WrongPeer;
        }
        self
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
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => RefusalReason::BadKey,
        Error::PeerIncompatible(
            PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => RefusalReason::TlsVersion,
        Error::AlertReceived(AlertDescription::AccessDenied) => RefusalReason::RefusedByPeer,
        Error::AlertReceived(AlertDescription::ProtocolVersion) => RefusalReason::TlsVersion,
        Error::AlertReceived(_) => RefusalReason::Alert,
        Error::InvalidMessage(_) => RefusalReason::NotTls,
        _ => RefusalReason::Incompatible,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_encoding_of_an_ed25519_key_is_read() {
        let good = [&SPKI_PREFIX[..], &[7; 32]].concat();
        assert_eq!(peer_id_of_spki(&good), Some(PeerId([7; 32])));
        for cut in 0..good.len() {
            assert_eq!(peer_id_of_spki(&good[..cut]), None);
        }
        let mut longer = good.clone();
        longer.push(0);
        assert_eq!(peer_id_of_spki(&longer), None);
        for i in 0..SPKI_PREFIX.len() {
            let mut other = good.clone();
            other[i] ^= 1;
            assert_eq!(peer_id_of_spki(&other), None, "byte {i}");
        }
    }
}
