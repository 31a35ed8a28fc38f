use serde::Serialize;

use crate::{Algorithm, Certificate, Moment, PublicKey, Subject};

/// Whom a validated client certificate names. Handed to whoever serves the client's requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientIdentity {
    /// The subject; its organisation is the one whose authority issued the certificate.
    pub subject: Subject,
    /// Serial number of the certificate, hexadecimal.
    pub serial: String,
    /// Name of the key: SM3 (SM2) or SHA-256 of its SubjectPublicKeyInfo, hexadecimal.
    pub key_id: String,
    /// Kind of the key.
    pub algorithm: Algorithm,
    /// The key, for binding to an account.
    #[serde(skip)]
    pub public_key: PublicKey,
    /// When the certificate expires.
    pub not_after: Moment,
    /// The certificate.
    #[serde(skip)]
    pub certificate: Certificate,
}

impl ClientIdentity {
    /// The identity of a certificate that has been validated.
    #[must_use]
    pub fn of(certificate: &Certificate) -> Self {
        let key = certificate.public_key();
        Self {
            subject: certificate.subject().clone(),
            serial: certificate.serial(),
            key_id: hex::encode(key.id()),
            algorithm: key.algorithm(),
            public_key: key.clone(),
            not_after: certificate.not_after(),
            certificate: certificate.clone(),
        }
    }
}
