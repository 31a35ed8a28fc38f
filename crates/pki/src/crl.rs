use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use der::asn1::Uint;
use der::{Decode, Encode};
use serde::{Deserialize, Serialize};
use x509_cert::crl::TbsCertList;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, CrlReason};

use crate::build::sign;
use crate::certificate::{serial_number, signature_algorithm, split_signed};
use crate::limits::{CRL_BYTES_MAX, CRL_ENTRIES_MAX};
use crate::{Algorithm, Certificate, Moment, PkiError, PrivateKey, Subject, encode, oid, pem};

const WHAT: &str = "revocation list";

/// Why a certificate was revoked (RFC 5280 section 5.3.1).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// No reason given.
    #[default]
    Unspecified,
    /// Somebody else may have the private key.
    KeyCompromise,
    /// Somebody else may have an authority's private key.
    AuthorityCompromise,
    /// The subject left, or was renamed.
    AffiliationChanged,
    /// Another certificate took its place.
    Superseded,
    /// Its holder is out of service.
    Cessation,
    /// The holder lost a right that the certificate stands for.
    PrivilegeWithdrawn,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AuthorityCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::Cessation,
        Self::PrivilegeWithdrawn,
    ];

    /// The name on command lines and in indexes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "key-compromise",
            Self::AuthorityCompromise => "authority-compromise",
            Self::AffiliationChanged => "affiliation-changed",
            Self::Superseded => "superseded",
            Self::Cessation => "cessation",
            Self::PrivilegeWithdrawn => "privilege-withdrawn",
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::AuthorityCompromise => 2,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::Cessation => 5,
            Self::PrivilegeWithdrawn => 9,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Reason {
    type Err = PkiError;

    fn from_str(text: &str) -> Result<Self, PkiError> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.name() == text)
            .ok_or_else(|| {
                PkiError::input(
                    "reason",
                    format!("one of {}", Self::ALL.map(Self::name).join(", ")),
                )
            })
    }
}

/// One entry of a revocation list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Since when.
    pub at: Moment,
    /// Why.
    pub reason: Reason,
}

/// A certificate revocation list, version 2 (RFC 5280 section 5). Parsing does not check the
/// signature, for which the issuer is needed: [`Self::is_signed_by`].
#[derive(Clone)]
pub struct Crl {
    der: Vec<u8>,
    signed: Vec<u8>,
    issuer: Subject,
    issuer_der: Vec<u8>,
    authority_key: Option<Vec<u8>>,
    number: Vec<u8>,
    this_update: Moment,
    next_update: Option<Moment>,
    revoked: BTreeMap<Vec<u8>, Revoked>,
    algorithm: Algorithm,
    signature: Vec<u8>,
}

impl Crl {
    /// Makes and signs a list.
    pub(crate) fn new<'a>(
        issuer: &Certificate,
        key: &PrivateKey,
        entries: impl Iterator<Item = (&'a [u8], Revoked)>,
        number: u64,
        now: Moment,
        next_update: Moment,
    ) -> Result<Self, PkiError> {
        let mut list = Vec::new();
        for (count, (serial, entry)) in entries.enumerate() {
            if count >= CRL_ENTRIES_MAX {
                return Err(PkiError::TooMany {
                    what: "revoked certificates",
                    max: CRL_ENTRIES_MAX,
                });
            }
            // Unspecified is said by leaving the extension out.
            let reason = if entry.reason == Reason::Unspecified {
                Vec::new()
            } else {
                let code = encode::tlv(0x0a, &[entry.reason.code()]);
                encode::sequence(&[&encode::extension(oid::CRL_REASON, false, &code)])
            };
            list.push(encode::sequence(&[
                &encode::integer(serial),
                &entry.at.to_der()?,
                &reason,
            ]));
        }
        let list = if list.is_empty() {
            Vec::new()
        } else {
            encode::tlv(encode::SEQUENCE, &list.concat())
        };
        let authority_key = encode::sequence(&[&encode::tlv(0x80, &issuer.subject_key())]);
        let extensions = encode::sequence(&[
            &encode::extension(oid::AUTHORITY_KEY, false, &authority_key),
            &encode::extension(
                oid::CRL_NUMBER,
                false,
                &encode::integer(&number.to_be_bytes()),
            ),
        ]);
        let tbs = encode::sequence(&[
            &encode::integer(&[1]),
            &key.algorithm().signature_identifier(),
            issuer.subject_der(),
            &now.to_der()?,
            &next_update.to_der()?,
            &list,
            &encode::tlv(0xa0, &extensions),
        ]);
        Self::from_der(&sign(&tbs, key)?)
    }

    /// Reads DER of at most [`CRL_BYTES_MAX`] bytes and [`CRL_ENTRIES_MAX`] entries.
    ///
    /// # Errors
    /// [`PkiError::TooLarge`], [`PkiError::TooMany`], [`PkiError::Malformed`],
    /// [`PkiError::Unsupported`].
    pub fn from_der(der: &[u8]) -> Result<Self, PkiError> {
        if der.len() > CRL_BYTES_MAX {
            return Err(PkiError::TooLarge {
                what: WHAT,
                len: der.len(),
                max: CRL_BYTES_MAX,
            });
        }
        let bad = |error: der::Error| PkiError::malformed(WHAT, error);
        let signed = split_signed(der, WHAT)?;
        let tbs = <TbsCertList>::from_der(signed.content).map_err(bad)?;
        if signature_algorithm(&tbs.signature)? != signed.algorithm {
            return Err(PkiError::malformed(
                WHAT,
                "it names two different signature algorithms",
            ));
        }
        let mut authority_key = None;
        let mut number = Vec::new();
        for extension in tbs.crl_extensions.iter().flatten() {
            let value = extension.extn_value.as_bytes();
            match extension.extn_id {
                oid::AUTHORITY_KEY => {
                    let id = AuthorityKeyIdentifier::from_der(value).map_err(bad)?;
                    authority_key = id.key_identifier.map(|id| id.as_bytes().to_vec());
                }
                oid::CRL_NUMBER => {
                    number = Uint::from_der(value).map_err(bad)?.as_bytes().to_vec();
                }
                // Partial and indirect lists say so by critical extensions.
                other if extension.critical => {
                    return Err(PkiError::malformed(
                        WHAT,
                        format!("critical extension {other} is not understood; give a full list"),
                    ));
                }
                _ => {}
            }
        }
        let mut revoked = BTreeMap::new();
        for entry in tbs.revoked_certificates.iter().flatten() {
            if revoked.len() >= CRL_ENTRIES_MAX {
                return Err(PkiError::TooMany {
                    what: "entries of a revocation list",
                    max: CRL_ENTRIES_MAX,
                });
            }
            let reason = reason(entry.crl_entry_extensions.as_deref().unwrap_or_default())?;
            let at = Moment::of(entry.revocation_date);
            revoked.insert(
                serial_number(&entry.serial_number, WHAT)?,
                Revoked { at, reason },
            );
        }
        Ok(Self {
            signed: signed.content.to_vec(),
            issuer: Subject::of(&tbs.issuer)?,
            issuer_der: tbs.issuer.to_der().map_err(bad)?,
            authority_key,
            number,
            this_update: Moment::of(tbs.this_update),
            next_update: tbs.next_update.map(Moment::of),
            revoked,
            algorithm: signed.algorithm,
            signature: signed.signature,
            der: der.to_vec(),
        })
    }

    /// Reads every list of a PEM text.
    ///
    /// # Errors
    /// As [`Self::from_der`].
    pub fn parse_all(text: &str) -> Result<Vec<Self>, PkiError> {
        pem::blocks(text, "X509 CRL")?
            .iter()
            .map(|der| Self::from_der(der))
            .collect()
    }

    /// The PEM block.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode("X509 CRL", &self.der)
    }

    /// Whose list it is.
    #[must_use]
    pub const fn issuer(&self) -> &Subject {
        &self.issuer
    }

    /// When it was made.
    #[must_use]
    pub const fn this_update(&self) -> Moment {
        self.this_update
    }

    /// When the next one is due.
    #[must_use]
    pub const fn next_update(&self) -> Option<Moment> {
        self.next_update
    }

    /// Its number, which grows, as hexadecimal digits.
    #[must_use]
    pub fn number(&self) -> String {
        hex::encode(&self.number)
    }

    /// How many certificates it revokes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.revoked.len()
    }

    /// Whether it revokes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.revoked.is_empty()
    }

    /// The entries: serial numbers as hexadecimal digits.
    pub fn entries(&self) -> impl Iterator<Item = (String, Revoked)> {
        self.revoked
            .iter()
            .map(|(serial, entry)| (hex::encode(serial), *entry))
    }

    /// Whether this authority signed it, and may sign lists.
    #[must_use]
    pub fn is_signed_by(&self, authority: &Certificate) -> bool {
        self.issuer_der == authority.subject_der()
            && authority.may(crate::profile::usage::CRLS)
            && self.algorithm == authority.public_key().algorithm()
            && self
                .authority_key
                .as_ref()
                .is_none_or(|id| *id == authority.subject_key())
            && authority
                .public_key()
                .verifies(&self.signed, &self.signature)
    }

    /// The entry of a certificate, if it has one.
    #[must_use]
    pub fn revocation(&self, certificate: &Certificate) -> Option<Revoked> {
        self.revoked.get(certificate.serial_bytes()).copied()
    }
}

fn reason(extensions: &[x509_cert::ext::Extension]) -> Result<Reason, PkiError> {
    for extension in extensions {
        if extension.extn_id == oid::CRL_REASON {
            let reason = CrlReason::from_der(extension.extn_value.as_bytes())
                .map_err(|error| PkiError::malformed(WHAT, error))?;
            let code = reason as u8;
            let known = Reason::ALL.into_iter().find(|reason| reason.code() == code);
            return Ok(known.unwrap_or_default());
        }
    }
    Ok(Reason::Unspecified)
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crl({}, {} entries)", self.issuer, self.revoked.len())
    }
}
