//! Object identifiers, each with its source.

use der::asn1::ObjectIdentifier as Oid;

/// `ecdsa-with-SHA256` (RFC 5758).
pub(crate) const ECDSA_SHA256: Oid = Oid::new_unwrap("1.2.840.10045.4.3.2");
/// `sm2sign-with-sm3` (GM/T 0006).
pub(crate) const SM2_SM3: Oid = Oid::new_unwrap("1.2.156.10197.1.501");
/// `id-Ed25519` (RFC 8410).
pub(crate) const ED25519: Oid = Oid::new_unwrap("1.3.101.112");
/// `countryName` (X.520).
pub(crate) const COUNTRY: Oid = Oid::new_unwrap("2.5.4.6");
/// `organizationName` (X.520).
pub(crate) const ORGANISATION: Oid = Oid::new_unwrap("2.5.4.10");
/// `organizationalUnitName` (X.520).
pub(crate) const UNIT: Oid = Oid::new_unwrap("2.5.4.11");
/// `commonName` (X.520).
pub(crate) const COMMON_NAME: Oid = Oid::new_unwrap("2.5.4.3");
/// `subjectKeyIdentifier` (RFC 5280 section 4.2.1.2).
pub(crate) const SUBJECT_KEY: Oid = Oid::new_unwrap("2.5.29.14");
/// `keyUsage` (RFC 5280 section 4.2.1.3).
pub(crate) const KEY_USAGE: Oid = Oid::new_unwrap("2.5.29.15");
/// `subjectAltName` (RFC 5280 section 4.2.1.6).
pub(crate) const ALT_NAME: Oid = Oid::new_unwrap("2.5.29.17");
/// `basicConstraints` (RFC 5280 section 4.2.1.9).
pub(crate) const BASIC: Oid = Oid::new_unwrap("2.5.29.19");
/// `cRLNumber` (RFC 5280 section 5.2.3).
pub(crate) const CRL_NUMBER: Oid = Oid::new_unwrap("2.5.29.20");
/// `cRLReason` (RFC 5280 section 5.3.1).
pub(crate) const CRL_REASON: Oid = Oid::new_unwrap("2.5.29.21");
/// `authorityKeyIdentifier` (RFC 5280 section 4.2.1.1).
pub(crate) const AUTHORITY_KEY: Oid = Oid::new_unwrap("2.5.29.35");
/// `extKeyUsage` (RFC 5280 section 4.2.1.12).
pub(crate) const EXTENDED_USAGE: Oid = Oid::new_unwrap("2.5.29.37");
/// `id-kp-serverAuth` (RFC 5280 section 4.2.1.12).
pub(crate) const SERVER_AUTH: Oid = Oid::new_unwrap("1.3.6.1.5.5.7.3.1");
/// `id-kp-clientAuth` (RFC 5280 section 4.2.1.12).
pub(crate) const CLIENT_AUTH: Oid = Oid::new_unwrap("1.3.6.1.5.5.7.3.2");
/// `extensionRequest` of PKCS#9 (RFC 2985 section 5.4.2).
pub(crate) const EXTENSION_REQUEST: Oid = Oid::new_unwrap("1.2.840.113549.1.9.14");
