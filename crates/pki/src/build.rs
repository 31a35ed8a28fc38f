//! Putting certificates together.

use std::net::IpAddr;

use zeroize::Zeroizing;

use crate::limits::{DAYS_MAX, NAMES_MAX};
use crate::{Certificate, Moment, PkiError, PrivateKey, Profile, PublicKey, Subject, encode, oid};

/// Clocks of peers may be this far behind: certificates count from that long ago, in seconds.
const BACKDATE_SECONDS: u64 = 300;
/// Bytes of a serial number, from the operating system's randomness.
const SERIAL_BYTES: usize = 16;

/// What a new certificate shall say.
#[derive(Clone, Debug)]
pub struct Template {
    /// Whom it names.
    pub subject: Subject,
    /// What it is for.
    pub profile: Profile,
    /// DNS names and IP addresses.
    pub names: Vec<String>,
    /// Days until it expires.
    pub days: u32,
    /// For authorities: most authorities below; `None` for no limit.
    pub path_len: Option<u8>,
}

impl Template {
    pub(crate) fn check(&self) -> Result<(), PkiError> {
        self.subject.check()?;
        if self.days == 0 || self.days > DAYS_MAX {
            return Err(PkiError::input("days", format!("from 1 to {DAYS_MAX}")));
        }
        if self.profile == Profile::TlsServer && self.names.is_empty() {
            return Err(PkiError::input(
                "alternative names",
                "a tls-server certificate needs at least one DNS name or IP address",
            ));
        }
        alt_names(&self.names).map(|_| ())
    }
}

/// The value of the subjectAltName extension, in DER; empty for none.
pub(crate) fn alt_names(names: &[String]) -> Result<Vec<u8>, PkiError> {
    if names.len() > NAMES_MAX {
        return Err(PkiError::TooMany {
            what: "alternative names",
            max: NAMES_MAX,
        });
    }
    let mut parts = Vec::new();
    for name in names {
        if let Ok(ip) = name.parse::<IpAddr>() {
            let bytes = match ip {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            parts.push(encode::tlv(0x87, &bytes));
            continue;
        }
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '*' | '_');
        if name.is_empty() || name.len() > 253 || !name.chars().all(fine) {
            return Err(PkiError::input(
                "alternative name",
                format!("`{name}` is no DNS name or IP address"),
            ));
        }
        parts.push(encode::tlv(0x82, name.as_bytes()));
    }
    Ok(encode::tlv(encode::SEQUENCE, &parts.concat()))
}

/// A positive random number.
pub(crate) fn new_serial() -> Result<Vec<u8>, PkiError> {
    let mut bytes = Zeroizing::new([0u8; SERIAL_BYTES]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|_| PkiError::Randomness)?;
    // The top bit off keeps it positive, the next one on keeps its length.
    let first = bytes.first().map_or(0x40, |byte| (byte & 0x7f) | 0x40);
    Ok(std::iter::once(first)
        .chain(bytes.iter().skip(1).copied())
        .collect())
}

/// Who signs: the certificate and its key; the certificate is absent for a root's own.
pub(crate) struct Signer<'a> {
    pub(crate) certificate: Option<&'a Certificate>,
    pub(crate) key: &'a PrivateKey,
}

/// Makes and signs a certificate.
pub(crate) fn certificate(
    template: &Template,
    key: &PublicKey,
    signer: &Signer<'_>,
    serial: &[u8],
    now: Moment,
) -> Result<Certificate, PkiError> {
    template.check()?;
    let subject = template.subject.to_der()?;
    let (issuer, authority_key) = match signer.certificate {
        Some(issuer) => (issuer.subject_der().to_vec(), issuer.subject_key()),
        None => (subject.clone(), key.short_id()),
    };
    let not_before = now.minus_seconds(BACKDATE_SECONDS);
    let mut not_after = now.plus_days(template.days);
    if let Some(issuer) = signer.certificate {
        // A certificate that outlives its authority only looks valid.
        not_after = not_after.min(issuer.not_after());
    }
    if not_after <= now {
        return Err(PkiError::Refused(
            "the authority's own certificate has expired; renew it first".to_owned(),
        ));
    }
    let mut extensions = template.profile.extensions(template.path_len);
    extensions.push(encode::extension(
        oid::SUBJECT_KEY,
        false,
        &encode::octets(&key.short_id()),
    ));
    let authority_key = encode::sequence(&[&encode::tlv(0x80, &authority_key)]);
    extensions.push(encode::extension(oid::AUTHORITY_KEY, false, &authority_key));
    if !template.names.is_empty() {
        extensions.push(encode::extension(
            oid::ALT_NAME,
            false,
            &alt_names(&template.names)?,
        ));
    }
    let algorithm = signer.key.algorithm().signature_identifier();
    let tbs = encode::sequence(&[
        // [0] EXPLICIT version 3
        &[0xa0, 0x03, 0x02, 0x01, 0x02],
        &encode::integer(serial),
        &algorithm,
        &issuer,
        &encode::sequence(&[&not_before.to_der()?, &not_after.to_der()?]),
        &subject,
        key.spki(),
        &encode::tlv(0xa3, &encode::tlv(encode::SEQUENCE, &extensions.concat())),
    ]);
    let made = Certificate::from_der(&sign(&tbs, signer.key)?)?;
    // What leaves here is what anybody else would accept.
    if !made.is_signed_by(signer.key.public_key()) {
        return Err(PkiError::Signature(made.subject().to_string()));
    }
    Ok(made)
}

/// `SEQUENCE { content, algorithm, signature }`.
pub(crate) fn sign(content: &[u8], key: &PrivateKey) -> Result<Vec<u8>, PkiError> {
    let signature = key.sign(content)?;
    Ok(encode::sequence(&[
        content,
        &key.algorithm().signature_identifier(),
        &encode::bits(&signature),
    ]))
}
