use std::fmt;

use der::asn1::Any;
use der::{Decode, Encode};
use x509_cert::ext::Extensions;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::request::CertReqInfo;

use crate::build::{alt_names, sign};
use crate::certificate::split_signed;
use crate::limits::CERTIFICATE_BYTES_MAX;
use crate::{PkiError, PrivateKey, PublicKey, Subject, encode, oid, pem};

const WHAT: &str = "certificate request";

/// A PKCS#10 certification request (RFC 2986) whose signature has been checked: who made it holds
/// the private key.
#[derive(Clone)]
pub struct Request {
    der: Vec<u8>,
    subject: Subject,
    key: PublicKey,
    names: Vec<String>,
}

impl Request {
    /// Makes and signs a request. `names` are DNS names and IP addresses.
    ///
    /// # Errors
    /// [`PkiError::Input`], and what signing gives.
    pub fn new(subject: &Subject, names: &[String], key: &PrivateKey) -> Result<Self, PkiError> {
        let attributes = if names.is_empty() {
            Vec::new()
        } else {
            let extension = encode::extension(oid::ALT_NAME, false, &alt_names(names)?);
            let extensions = encode::sequence(&[&extension]);
            encode::sequence(&[
                &encode::oid(oid::EXTENSION_REQUEST),
                &encode::set(&[&extensions]),
            ])
        };
        let info = encode::sequence(&[
            &encode::integer(&[0]),
            &subject.to_der()?,
            key.public_key().spki(),
            &encode::tlv(0xa0, &attributes),
        ]);
        Self::from_der(&sign(&info, key)?)
    }

    /// Reads DER and checks the signature.
    ///
    /// # Errors
    /// [`PkiError::TooLarge`], [`PkiError::Malformed`], [`PkiError::Unsupported`],
    /// [`PkiError::Signature`].
    pub fn from_der(der: &[u8]) -> Result<Self, PkiError> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(PkiError::TooLarge {
                what: WHAT,
                len: der.len(),
                max: CERTIFICATE_BYTES_MAX,
            });
        }
        let bad = |error: der::Error| PkiError::malformed(WHAT, error);
        let signed = split_signed(der, WHAT)?;
        let info = CertReqInfo::from_der(signed.content).map_err(bad)?;
        let subject = Subject::of(&info.subject)?;
        let key = PublicKey::from_spki(&info.public_key.to_der().map_err(bad)?)?;
        if key.algorithm() != signed.algorithm || !key.verifies(signed.content, &signed.signature) {
            return Err(PkiError::Signature(subject.to_string()));
        }
        let mut names = Vec::new();
        for attribute in info.attributes.iter() {
            if attribute.oid == oid::EXTENSION_REQUEST {
                for value in attribute.values.iter() {
                    names.extend(requested_names(value).map_err(bad)?);
                }
            }
        }
        // Checked as those are that a person types.
        alt_names(&names)?;
        Ok(Self {
            der: der.to_vec(),
            subject,
            key,
            names,
        })
    }

    /// Reads the first request of a PEM text, under either label that tools use.
    ///
    /// # Errors
    /// As [`Self::from_der`], and [`PkiError::NoBlock`].
    pub fn from_pem(text: &str) -> Result<Self, PkiError> {
        for label in ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"] {
            if let Some(der) = pem::blocks(text, label)?.first() {
                return Self::from_der(der);
            }
        }
        Err(PkiError::NoBlock("CERTIFICATE REQUEST"))
    }

    /// The PEM block.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode("CERTIFICATE REQUEST", &self.der)
    }

    /// The name asked for.
    #[must_use]
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The key to be certified.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// The alternative names asked for.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

fn requested_names(value: &Any) -> Result<Vec<String>, der::Error> {
    let mut out = Vec::new();
    for extension in value.decode_as::<Extensions>()? {
        if extension.extn_id != oid::ALT_NAME {
            continue;
        }
        let names = SubjectAltName::from_der(extension.extn_value.as_bytes())?;
        for name in &names.0 {
            match name {
                GeneralName::DnsName(name) => out.push(name.as_str().to_owned()),
                GeneralName::IpAddress(bytes) => {
                    let bytes = bytes.as_bytes();
                    let four = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
                    let sixteen = <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from);
                    out.extend(four.or(sixteen).ok().map(|ip| ip.to_string()));
                }
                _ => {}
            }
        }
    }
    Ok(out)
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({}, {:?})", self.subject, self.key)
    }
}
