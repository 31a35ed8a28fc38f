use thiserror::Error;

use crate::{Algorithm, Moment, Reason};

/// Why a chain of certificates is not believed, in words, with what to do.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Distrust {
    /// Nothing was presented.
    #[error("no certificate was presented; configure one for this node and its key")]
    NoCertificate,
    /// Too long to be looked at.
    #[error(
        "the chain has more than {max} certificates; shorten it to the leaf and its intermediates"
    )]
    TooLong {
        /// Most certificates, the root included.
        max: usize,
    },
    /// One of the certificates cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// Too old.
    #[error("the certificate of {subject} expired at {not_after}; renew it (`hawser cert renew`)")]
    Expired {
        /// Whose.
        subject: String,
        /// When.
        not_after: Moment,
    },
    /// Too new.
    #[error(
        "the certificate of {subject} is valid only from {not_before}; check the clocks of both machines"
    )]
    NotYetValid {
        /// Whose.
        subject: String,
        /// From when.
        not_before: Moment,
    },
    /// Its own issuer, and not one of the configured roots.
    #[error(
        "the certificate of {subject} is self-signed and not a configured root; have its organisation's authority issue one"
    )]
    SelfSigned {
        /// Whose.
        subject: String,
    },
    /// Nobody who is trusted issued it.
    #[error(
        "no trusted authority issued the certificate of {subject}: its issuer is {issuer}. Add that authority's root to the trust folder, or present the missing intermediate"
    )]
    UnknownIssuer {
        /// Whose.
        subject: String,
        /// By whom, as it says itself.
        issuer: String,
    },
    /// A named issuer whose key did not sign.
    #[error(
        "the signature on the certificate of {subject} is not that of {issuer}: it was forged or changed, or the authority has a new key under its old name"
    )]
    BadSignature {
        /// Whose.
        subject: String,
        /// By whom, as it says itself.
        issuer: String,
    },
    /// A key of a kind that this network does not use.
    #[error(
        "the certificate of {subject} has a {found} key or signature; this network uses {expected}. Request one with a key of that kind"
    )]
    WrongAlgorithm {
        /// Whose.
        subject: String,
        /// What it has.
        found: Algorithm,
        /// What is accepted.
        expected: &'static str,
    },
    /// An issuer that is no authority.
    #[error("{subject} is no authority and may not issue certificates")]
    NotAuthority {
        /// The would-be issuer.
        subject: String,
    },
    /// More authorities below one than it allows.
    #[error("the authority {subject} allows at most {max} authorities below it")]
    PathLength {
        /// The authority.
        subject: String,
        /// Its limit.
        max: u8,
    },
    /// Usages that do not fit.
    #[error(
        "the certificate of {subject} is not for this use: it lacks {lacks}. Issue one with the profile {profile}"
    )]
    WrongUsage {
        /// Whose.
        subject: String,
        /// What is missing.
        lacks: &'static str,
        /// The profile that has it.
        profile: &'static str,
    },
    /// An extension that must be understood and is not.
    #[error(
        "the certificate of {subject} has the critical extension {oid}, which is not understood here; have it issued without"
    )]
    UnknownCritical {
        /// Whose.
        subject: String,
        /// Object identifier.
        oid: String,
    },
    /// On its issuer's revocation list.
    #[error(
        "the certificate of {subject} (serial {serial}) was revoked at {at} ({reason}); request a new one with a new key"
    )]
    Revoked {
        /// Whose.
        subject: String,
        /// Its serial number.
        serial: String,
        /// Since when.
        at: Moment,
        /// Why.
        reason: Reason,
    },
    /// Revocation cannot be told, where it has to be.
    #[error(
        "no current revocation list of {issuer}; put a fresh one (`hawser cert crl`) into the trust folder"
    )]
    NoCurrentCrl {
        /// The authority.
        issuer: String,
    },
    /// An authority that vouches for another organisation.
    #[error(
        "the certificate names organisation `{claimed}` and was issued under the root of `{authority}`; each organisation's authority vouches for its own members only"
    )]
    OtherOrganisation {
        /// What the certificate says.
        claimed: String,
        /// Whose root it was.
        authority: String,
    },
    /// For another host than the one that was asked.
    #[error(
        "the certificate of {subject} is for {names}, not for `{asked}`; use one of these names in the address, or have a certificate issued that names it"
    )]
    WrongName {
        /// Whose.
        subject: String,
        /// The host in the address.
        asked: String,
        /// What the certificate names, in one text.
        names: String,
    },
}

impl Distrust {
    /// A stable name for programs and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::TooLong { .. } => "chain_too_long",
            Self::Unreadable(_) => "unreadable",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::SelfSigned { .. } => "self_signed",
            Self::UnknownIssuer { .. } => "unknown_issuer",
            Self::BadSignature { .. } => "bad_signature",
            Self::WrongAlgorithm { .. } => "wrong_algorithm",
            Self::NotAuthority { .. } => "not_authority",
            Self::PathLength { .. } => "path_length",
            Self::WrongUsage { .. } => "wrong_usage",
            Self::UnknownCritical { .. } => "unknown_critical",
            Self::Revoked { .. } => "revoked",
            Self::NoCurrentCrl { .. } => "no_current_crl",
            Self::OtherOrganisation { .. } => "other_organisation",
            Self::WrongName { .. } => "wrong_name",
        }
    }
}
