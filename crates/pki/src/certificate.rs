use std::fmt;
use std::sync::Arc;

use der::asn1::ObjectIdentifier as Oid;
use der::{Decode, Encode, Reader, SliceReader};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName,
    SubjectKeyIdentifier,
};

use crate::limits::{CERTIFICATE_BYTES_MAX, EXTENSIONS_MAX, NAMES_MAX};
use crate::profile::usage;
use crate::{Algorithm, Distrust, Moment, PkiError, Profile, PublicKey, Subject, oid, pem};

/// A parsed X.509 version 3 certificate. Cheap to clone.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    der: Vec<u8>,
    signed: Vec<u8>,
    serial: Vec<u8>,
    subject: Subject,
    subject_der: Vec<u8>,
    issuer: Subject,
    issuer_der: Vec<u8>,
    not_before: Moment,
    not_after: Moment,
    key: PublicKey,
    signature_algorithm: Algorithm,
    signature: Vec<u8>,
    extensions: Extensions,
}

/// The extensions that are understood, and the first critical one that is not.
#[derive(Default)]
struct Extensions {
    authority: bool,
    path_len: Option<u8>,
    key_usage: Option<u8>,
    extended_usage: Option<Vec<Oid>>,
    names: Vec<String>,
    subject_key: Option<Vec<u8>>,
    authority_key: Option<Vec<u8>>,
    unknown_critical: Option<String>,
}

const WHAT: &str = "certificate";

/// The parts of a signed structure of X.509: what is signed, and the signature.
pub(crate) struct Signed<'a> {
    pub(crate) content: &'a [u8],
    pub(crate) algorithm: Algorithm,
    pub(crate) signature: Vec<u8>,
}

/// Splits `SEQUENCE { content, AlgorithmIdentifier, BIT STRING }`, keeping the content as it was
/// signed.
pub(crate) fn split_signed<'a>(der: &'a [u8], what: &'static str) -> Result<Signed<'a>, PkiError> {
    let bad = |error: der::Error| PkiError::malformed(what, error);
    let mut reader = SliceReader::new(der).map_err(bad)?;
    let parts = reader.sequence(|reader| {
        let content = reader.tlv_bytes()?;
        let algorithm = x509_cert::spki::AlgorithmIdentifierOwned::decode(reader)?;
        let signature = der::asn1::BitString::decode(reader)?;
        Ok::<_, der::Error>((content, algorithm, signature))
    });
    let (content, algorithm, signature) = parts.map_err(bad)?;
    reader.finish().map_err(bad)?;
    let signature = signature
        .as_bytes()
        .ok_or_else(|| PkiError::malformed(what, "signature of a broken length"))?;
    Ok(Signed {
        content,
        algorithm: signature_algorithm(&algorithm)?,
        signature: signature.to_vec(),
    })
}

/// The algorithm of a signature. Parameters are absent, or NULL as some SM2 software writes them.
pub(crate) fn signature_algorithm(
    identifier: &x509_cert::spki::AlgorithmIdentifierOwned,
) -> Result<Algorithm, PkiError> {
    let plain = identifier
        .parameters
        .as_ref()
        .is_none_or(der::asn1::Any::is_null);
    Algorithm::ALL
        .into_iter()
        .find(|algorithm| plain && algorithm.signature_oid() == identifier.oid)
        .ok_or_else(|| PkiError::Unsupported {
            what: "signature algorithm",
            found: identifier.oid.to_string(),
        })
}

/// A serial number without leading zeros; it has to be positive.
pub(crate) fn serial_number(
    serial: &x509_cert::serial_number::SerialNumber,
    what: &'static str,
) -> Result<Vec<u8>, PkiError> {
    let der = serial
        .to_der()
        .map_err(|error| PkiError::malformed(what, error))?;
    // At most 21 bytes, so tag and length take one byte each.
    let content = der.get(2..).unwrap_or_default();
    let digits: Vec<u8> = content
        .iter()
        .copied()
        .skip_while(|byte| *byte == 0)
        .collect();
    if digits.is_empty() || content.first().is_some_and(|byte| byte & 0x80 != 0) {
        return Err(PkiError::malformed(what, "a serial number is not positive"));
    }
    Ok(digits)
}

impl Certificate {
    /// Reads DER of at most [`CERTIFICATE_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// [`PkiError::TooLarge`], [`PkiError::Malformed`], [`PkiError::Unsupported`].
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
        let tbs = x509_cert::TbsCertificate::from_der(signed.content).map_err(bad)?;
        if tbs.version() != x509_cert::Version::V3 {
            return Err(PkiError::malformed(WHAT, "it is not of version 3"));
        }
        if signature_algorithm(tbs.signature())? != signed.algorithm {
            return Err(PkiError::malformed(
                WHAT,
                "it names two different signature algorithms",
            ));
        }
        let serial = serial_number(tbs.serial_number(), WHAT)?;
        let spki = tbs.subject_public_key_info().to_der().map_err(bad)?;
        let empty = Vec::new();
        let inner = Inner {
            signed: signed.content.to_vec(),
            serial,
            subject: Subject::of(tbs.subject())?,
            subject_der: tbs.subject().to_der().map_err(bad)?,
            issuer: Subject::of(tbs.issuer())?,
            issuer_der: tbs.issuer().to_der().map_err(bad)?,
            not_before: Moment::of(tbs.validity().not_before),
            not_after: Moment::of(tbs.validity().not_after),
            key: PublicKey::from_spki(&spki)?,
            signature_algorithm: signed.algorithm,
            signature: signed.signature,
            extensions: Extensions::read(tbs.extensions().unwrap_or(&empty))?,
            der: der.to_vec(),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    /// As [`Self::from_der`], and [`PkiError::NoBlock`].
    pub fn from_pem(text: &str) -> Result<Self, PkiError> {
        parse_certificates(text)?
            .into_iter()
            .next()
            .ok_or(PkiError::NoBlock("CERTIFICATE"))
    }

    /// The DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// The PEM block.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode("CERTIFICATE", &self.0.der)
    }

    /// Whom it names.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.0.subject
    }

    /// Who signed it, by name.
    #[must_use]
    pub fn issuer(&self) -> &Subject {
        &self.0.issuer
    }

    /// The serial number as hexadecimal digits.
    #[must_use]
    pub fn serial(&self) -> String {
        hex::encode(&self.0.serial)
    }

    pub(crate) fn serial_bytes(&self) -> &[u8] {
        &self.0.serial
    }

    /// Valid from this second.
    #[must_use]
    pub fn not_before(&self) -> Moment {
        self.0.not_before
    }

    /// Valid until this second.
    #[must_use]
    pub fn not_after(&self) -> Moment {
        self.0.not_after
    }

    /// The key that it vouches for.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.0.key
    }

    /// The algorithm that it is signed with.
    #[must_use]
    pub fn signature_algorithm(&self) -> Algorithm {
        self.0.signature_algorithm
    }

    /// Whether it is an authority's (basic constraints).
    #[must_use]
    pub fn is_authority(&self) -> bool {
        self.0.extensions.authority
    }

    /// Most authorities allowed below it; `None` for no limit.
    #[must_use]
    pub fn path_len(&self) -> Option<u8> {
        self.0.extensions.path_len
    }

    /// Alternative names: DNS names and IP addresses as text.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0.extensions.names
    }

    /// Whether one of the alternative names is this host: an IP address, or a DNS name, where `*.`
    /// stands for one label (RFC 9525 section 6.3). The common name does not count.
    ///
    /// # Errors
    /// [`Distrust::WrongName`].
    pub fn check_host(&self, host: &str) -> Result<(), Distrust> {
        let address = |text: &str| text.parse::<std::net::IpAddr>().ok();
        let asked = host.trim_start_matches('[').trim_end_matches(']');
        let asked = asked.strip_suffix('.').unwrap_or(asked);
        let fits = |name: &String| match (address(asked), address(name)) {
            (Some(asked), Some(named)) => asked == named,
            (None, None) => match (name.strip_prefix("*."), asked.split_once('.')) {
                (Some(parent), Some((label, rest))) => {
                    !label.is_empty() && rest.eq_ignore_ascii_case(parent)
                }
                _ => name.eq_ignore_ascii_case(asked),
            },
            _ => false,
        };
        if self.names().iter().any(fits) {
            return Ok(());
        }
        Err(Distrust::WrongName {
            subject: self.subject().to_string(),
            asked: asked.to_owned(),
            names: match self.names() {
                [] => "no host".to_owned(),
                names => names.join(", "),
            },
        })
    }

    /// The object identifier of a critical extension that is not understood here.
    #[must_use]
    pub fn unknown_critical(&self) -> Option<&str> {
        self.0.extensions.unknown_critical.as_deref()
    }

    /// The profile that its usages fit best.
    #[must_use]
    pub fn profile(&self) -> Option<Profile> {
        if self.is_authority() {
            return Some(Profile::Authority);
        }
        match (self.serves_as_server(), self.serves_as_client()) {
            (true, true) => Some(Profile::Node),
            (true, false) => Some(Profile::TlsServer),
            (false, true) => Some(Profile::User),
            (false, false) => None,
        }
    }

    /// Whether issuer and subject are the same name.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.0.subject_der == self.0.issuer_der
    }

    /// Whether its key may make this kind of signature; without the extension any is allowed.
    pub(crate) fn may(&self, flag: u8) -> bool {
        self.0
            .extensions
            .key_usage
            .is_none_or(|usage| usage & flag != 0)
    }

    /// Whether the extended usages, which must be there, contain this one.
    fn has_extended(&self, id: Oid) -> bool {
        let usages = self.0.extensions.extended_usage.as_ref();
        usages.is_some_and(|usages| usages.contains(&id)) && self.may(usage::SIGNATURE)
    }

    pub(crate) fn serves_as_server(&self) -> bool {
        self.has_extended(oid::SERVER_AUTH)
    }

    pub(crate) fn serves_as_client(&self) -> bool {
        self.has_extended(oid::CLIENT_AUTH)
    }

    /// Whether `issuer` could have issued it, by names and key identifiers.
    pub(crate) fn names_as_issuer(&self, issuer: &Self) -> bool {
        let keys = match (
            &self.0.extensions.authority_key,
            &issuer.0.extensions.subject_key,
        ) {
            (Some(wanted), Some(has)) => wanted == has,
            _ => true,
        };
        keys && self.0.issuer_der == issuer.0.subject_der
    }

    /// Whether `key` signed it. The algorithm has to be the key's own.
    #[must_use]
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        self.0.signature_algorithm == key.algorithm()
            && key.verifies(&self.0.signed, &self.0.signature)
    }

    pub(crate) fn subject_der(&self) -> &[u8] {
        &self.0.subject_der
    }

    pub(crate) fn subject_key(&self) -> Vec<u8> {
        match &self.0.extensions.subject_key {
            Some(id) => id.clone(),
            None => self.0.key.short_id(),
        }
    }

    /// The digest by which people compare certificates: SHA-256, or SM3 for SM2 certificates, of
    /// the DER.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        use sha2::Digest;
        match self.0.key.algorithm() {
            Algorithm::Sm2 => hex::encode(sm3::Sm3::digest(&self.0.der)),
            Algorithm::P256 | Algorithm::Ed25519 => hex::encode(sha2::Sha256::digest(&self.0.der)),
        }
    }
}

impl Extensions {
    fn read(list: &[Extension]) -> Result<Self, PkiError> {
        if list.len() > EXTENSIONS_MAX {
            return Err(PkiError::TooMany {
                what: "extensions of a certificate",
                max: EXTENSIONS_MAX,
            });
        }
        let mut out = Self::default();
        for (i, extension) in list.iter().enumerate() {
            if list
                .iter()
                .skip(i.saturating_add(1))
                .any(|other| other.extn_id == extension.extn_id)
            {
                return Err(PkiError::malformed(
                    WHAT,
                    format!("extension {} stands in it twice", extension.extn_id),
                ));
            }
            out.take(extension)?;
        }
        Ok(out)
    }

    fn take(&mut self, extension: &Extension) -> Result<(), PkiError> {
        let value = extension.extn_value.as_bytes();
        let bad = |error: der::Error| {
            PkiError::malformed(WHAT, format!("extension {}: {error}", extension.extn_id))
        };
        match extension.extn_id {
            oid::BASIC => {
                let basic = BasicConstraints::from_der(value).map_err(bad)?;
                (self.authority, self.path_len) = (basic.ca, basic.path_len_constraint);
            }
            oid::KEY_USAGE => {
                let usage = KeyUsage::from_der(value).map_err(bad)?;
                self.key_usage = Some(
                    [
                        (usage.digital_signature(), usage::SIGNATURE),
                        (usage.non_repudiation(), usage::COMMITMENT),
                        (usage.key_cert_sign(), usage::CERTIFICATES),
                        (usage.crl_sign(), usage::CRLS),
                    ]
                    .into_iter()
                    .filter_map(|(set, flag)| set.then_some(flag))
                    .fold(0, |all, flag| all | flag),
                );
            }
            oid::EXTENDED_USAGE => {
                self.extended_usage = Some(ExtendedKeyUsage::from_der(value).map_err(bad)?.0);
            }
            oid::ALT_NAME => {
                let names = SubjectAltName::from_der(value).map_err(bad)?.0;
                if names.len() > NAMES_MAX {
                    return Err(PkiError::TooMany {
                        what: "alternative names of a certificate",
                        max: NAMES_MAX,
                    });
                }
                self.names = names.iter().filter_map(name_text).collect();
            }
            oid::SUBJECT_KEY => {
                let id = SubjectKeyIdentifier::from_der(value).map_err(bad)?;
                self.subject_key = Some(id.0.as_bytes().to_vec());
            }
            oid::AUTHORITY_KEY => {
                let id = AuthorityKeyIdentifier::from_der(value).map_err(bad)?;
                self.authority_key = id.key_identifier.map(|id| id.as_bytes().to_vec());
            }
            other if extension.critical && self.unknown_critical.is_none() => {
                self.unknown_critical = Some(other.to_string());
            }
            _ => {}
        }
        Ok(())
    }
}

fn name_text(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_owned()),
        GeneralName::IpAddress(bytes) => match bytes.as_bytes() {
            bytes if bytes.len() == 4 => <[u8; 4]>::try_from(bytes)
                .ok()
                .map(|ip| std::net::IpAddr::from(ip).to_string()),
            bytes => <[u8; 16]>::try_from(bytes)
                .ok()
                .map(|ip| std::net::IpAddr::from(ip).to_string()),
        },
        _ => None,
    }
}

/// Reads every certificate of a PEM text, in order.
///
/// # Errors
/// As [`Certificate::from_der`].
pub fn parse_certificates(text: &str) -> Result<Vec<Certificate>, PkiError> {
    pem::blocks(text, "CERTIFICATE")?
        .iter()
        .map(|der| Certificate::from_der(der))
        .collect()
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, {})", self.0.subject, self.serial())
    }
}
