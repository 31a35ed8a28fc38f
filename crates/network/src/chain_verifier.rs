//! The judgement of a peer's certificates within a handshake.

use std::fmt;
use std::sync::Arc;

use hawser_pki::{Certificate, Distrust, Purpose};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    PeerMisbehaved, SignatureScheme,
};

use crate::PeerId;
use crate::chains::{Accepts, Chains, Verdict, scheme, schemes};

pub(crate) struct Verifier {
    chains: Arc<Chains>,
    accepts: Accepts,
    verdict: Verdict,
    purpose: Purpose,
    required: bool,
}

impl Verifier {
    pub(crate) fn new(
        chains: &Arc<Chains>,
        accepts: Accepts,
        verdict: &Verdict,
        purpose: Purpose,
        required: bool,
    ) -> Self {
        Self {
            chains: Arc::clone(chains),
            accepts,
            verdict: verdict.clone(),
            purpose,
            required,
        }
    }

    fn check(&self, leaf: &CertificateDer<'_>, rest: &[CertificateDer<'_>]) -> Result<(), Error> {
        let verified = self
            .chains
            .judge_der(leaf, rest, self.purpose)
            .map_err(|distrust| {
                let error = alert_for(&distrust);
                self.verdict.set(distrust);
                Error::from(error)
            })?;
        let id = verified
            .chain
            .first()
            .map(|leaf| PeerId(leaf.public_key().id()));
        if id.is_some_and(|id| self.accepts.accepts(id)) {
            Ok(())
        } else {
            // Sent as the alert access_denied, by which the other side can name the cause.
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("accepts", &self.accepts)
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}

/// The error whose alert tells the other side most.
pub(crate) fn alert_for(distrust: &Distrust) -> CertificateError {
    match distrust {
        Distrust::Expired { .. } => CertificateError::Expired,
        Distrust::NotYetValid { .. } => CertificateError::NotValidYet,
        Distrust::Revoked { .. } => CertificateError::Revoked,
        Distrust::SelfSigned { .. }
        | Distrust::UnknownIssuer { .. }
        | Distrust::BadSignature { .. }
        | Distrust::NoCurrentCrl { .. } => CertificateError::UnknownIssuer,
        Distrust::WrongName { .. } => CertificateError::NotValidForName,
        Distrust::WrongUsage { .. } | Distrust::WrongAlgorithm { .. } => {
            CertificateError::InvalidPurpose
        }
        _ => CertificateError::BadEncoding,
    }
}

/// Checks the signature of a handshake with the key of a certificate. The scheme has to be the one
/// of the key.
pub(crate) fn check_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let certificate =
        Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let key = certificate.public_key();
    if signed.scheme != scheme(key.algorithm()) {
        return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
    }
    if key.verifies_handshake(message, signed.signature()) {
        Ok(HandshakeSignatureValid::assertion())
    } else {
        Err(CertificateError::BadSignature.into())
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
        self.check(end_entity, intermediates)
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
        check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes(self.chains.algorithm())
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates)
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
        check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes(self.chains.algorithm())
    }
}
