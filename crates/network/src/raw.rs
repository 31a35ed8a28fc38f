//! Mutual TLS 1.3 with raw public keys (RFC 7250).
//!
//! Raw keys and not self-signed X.509 certificates: the only fact that such a certificate could
//! carry is the key, and the admitted set says which keys count. Without X.509 there is no
//! certificate parser to attack, nothing that expires and halts a mesh, and the check is a
//! comparison of 44 bytes. Networks whose members are vouched for by authorities use [`crate::chains`].

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error,
    PeerIncompatible, PeerMisbehaved, ServerConfig, SignatureScheme,
};

use crate::tls::Admission;
use crate::{NodeIdentity, PeerId};

/// SubjectPublicKeyInfo of an Ed25519 key up to the 32 bytes of the key (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// The key inside an Ed25519 SubjectPublicKeyInfo, which has exactly one DER encoding.
pub(crate) fn peer_id_of_spki(spki: &[u8]) -> Option<PeerId> {
    let key = spki.strip_prefix(&SPKI_PREFIX)?;
    key.try_into().ok().map(PeerId)
}

/// This node's key as TLS takes it.
pub(crate) fn certified(identity: &NodeIdentity) -> Arc<CertifiedKey> {
    let spki = [&SPKI_PREFIX[..], &identity.peer_id().0].concat();
    Arc::new(CertifiedKey::new(
        vec![CertificateDer::from(spki)],
        identity.signing_key(),
    ))
}

pub(crate) fn server(
    provider: &Arc<CryptoProvider>,
    certified: &Arc<CertifiedKey>,
    admission: Arc<Admission>,
) -> Result<ServerConfig, Error> {
    let verifier = Verifier {
        provider: Arc::clone(provider),
        accepts: Accepts::Any(admission),
    };
    let config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(
            Arc::clone(certified),
        )));
    Ok(config)
}

pub(crate) fn client(
    provider: &Arc<CryptoProvider>,
    certified: &Arc<CertifiedKey>,
    expected: PeerId,
) -> Result<ClientConfig, Error> {
    let verifier = Verifier {
        provider: Arc::clone(provider),
        accepts: Accepts::One(expected),
    };
    let resolver = AlwaysResolvesClientRawPublicKeys::new(Arc::clone(certified));
    let config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(resolver));
    Ok(config)
}

/// A side that dials, accepts everybody and notes whom.
pub(crate) fn onlooker(
    provider: &Arc<CryptoProvider>,
    identity: &NodeIdentity,
    seen: &Arc<Mutex<Option<PeerId>>>,
) -> Result<ClientConfig, Error> {
    let verifier = Verifier {
        provider: Arc::clone(provider),
        accepts: Accepts::Everybody(Arc::clone(seen)),
    };
    let resolver = AlwaysResolvesClientRawPublicKeys::new(certified(identity));
    Ok(ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(resolver)))
}

/// Whom a verifier accepts.
#[derive(Debug)]
enum Accepts {
    Any(Arc<Admission>),
    One(PeerId),
    /// And notes who it was.
    Everybody(Arc<Mutex<Option<PeerId>>>),
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
            Accepts::Everybody(seen) => {
                *seen.lock() = Some(id);
                true
            }
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
