use crate::limits::{CHAIN_MAX, SIGNATURES_MAX, TRUST_FILES_MAX};
use crate::profile::usage;
use crate::{Algorithm, Certificate, Crl, Distrust, Moment, PkiError, PublicKey};

/// Revocation lists may come from a machine whose clock is this far ahead, in seconds.
const SKEW_SECONDS: u64 = 300;

/// What a chain is presented for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A node on a link: server and client at once.
    Node,
    /// A client of an interface.
    Client,
    /// A TLS listener.
    Server,
}

/// The organisations' roots and intermediates and the revocation lists that count.
#[derive(Clone, Debug)]
pub struct Trust {
    algorithms: &'static [Algorithm],
    roots: Vec<Certificate>,
    intermediates: Vec<Certificate>,
    crls: Vec<Listed>,
    crl_required: bool,
}

/// A revocation list, and the key under which its signature has been checked already.
#[derive(Clone, Debug)]
struct Listed {
    crl: Crl,
    signed_by: Option<PublicKey>,
}

/// A chain that is to be believed.
#[derive(Clone, Debug)]
pub struct Verified {
    /// From the leaf to the root.
    pub chain: Vec<Certificate>,
    /// The organisation, which leaf and root share.
    pub organisation: String,
}

impl Verified {
    /// The first moment at which one of its certificates has expired.
    #[must_use]
    pub fn expires(&self) -> Moment {
        let ends = self.chain.iter().map(Certificate::not_after);
        ends.min().unwrap_or_default()
    }
}

impl Trust {
    /// Algorithms of Chinese national cryptography.
    pub const SM: &'static [Algorithm] = &[Algorithm::Sm2];
    /// Algorithms of the international suite.
    pub const INTL: &'static [Algorithm] = &[Algorithm::P256, Algorithm::Ed25519];

    /// Trusts nobody yet. Keys and signatures of other algorithms are refused throughout a chain.
    #[must_use]
    pub const fn new(algorithms: &'static [Algorithm]) -> Self {
        Self {
            algorithms,
            roots: Vec::new(),
            intermediates: Vec::new(),
            crls: Vec::new(),
            crl_required: false,
        }
    }

    /// Whether a chain is refused when an issuer has no current revocation list here. Off by
    /// default: a list that nobody renewed would halt the network, and lists past their date still
    /// revoke what they name.
    pub const fn require_crl(&mut self, required: bool) {
        self.crl_required = required;
    }

    /// Adds the root of an organisation.
    ///
    /// # Errors
    /// [`PkiError::Refused`] if it is no self-signed authority with an organisation, or of another
    /// algorithm; [`PkiError::TooMany`].
    pub fn add_root(&mut self, root: Certificate) -> Result<(), PkiError> {
        let refuse = |why: &str| {
            let text = format!("{} cannot be a root: {why}", root.subject());
            Err(PkiError::Refused(text))
        };
        if !root.is_authority() {
            return refuse("it is no authority's certificate");
        }
        if !root.is_self_issued() || !root.is_signed_by(root.public_key()) {
            return refuse("it is not self-signed; intermediates go into `intermediates`");
        }
        if root.subject().organisation.is_empty() {
            return refuse("it names no organisation (O)");
        }
        if !self.algorithms.contains(&root.public_key().algorithm()) {
            let text = format!("its key is not {}", self.expected());
            return refuse(&text);
        }
        push(&mut self.roots, root, "roots")
    }

    /// Adds an authority between a root and leaves. It is checked when a chain uses it.
    ///
    /// # Errors
    /// [`PkiError::Refused`] if it is no authority, [`PkiError::TooMany`].
    pub fn add_intermediate(&mut self, certificate: Certificate) -> Result<(), PkiError> {
        if !certificate.is_authority() {
            return Err(PkiError::Refused(format!(
                "{} is no authority's certificate",
                certificate.subject()
            )));
        }
        push(&mut self.intermediates, certificate, "intermediates")
    }

    /// Adds a revocation list. Add authorities first: a list of one that is known is checked now,
    /// others when a chain uses them.
    ///
    /// # Errors
    /// [`PkiError::Signature`] for a list that its known authority did not sign;
    /// [`PkiError::TooMany`].
    pub fn add_crl(&mut self, crl: Crl) -> Result<(), PkiError> {
        let mut known = self
            .roots
            .iter()
            .chain(&self.intermediates)
            .filter(|authority| authority.subject() == crl.issuer())
            .peekable();
        let is_known = known.peek().is_some();
        let signed_by = known
            .find(|authority| crl.is_signed_by(authority))
            .map(|authority| authority.public_key().clone());
        if is_known && signed_by.is_none() {
            return Err(PkiError::Signature(format!(
                "the revocation list of {}",
                crl.issuer()
            )));
        }
        push(
            &mut self.crls,
            Listed { crl, signed_by },
            "revocation lists",
        )
    }

    /// Takes over what another trust of the same kind holds.
    ///
    /// # Errors
    /// As [`Self::add_root`], [`Self::add_intermediate`] and [`Self::add_crl`].
    pub fn absorb(&mut self, other: Self) -> Result<(), PkiError> {
        for root in other.roots {
            self.add_root(root)?;
        }
        for intermediate in other.intermediates {
            self.add_intermediate(intermediate)?;
        }
        for listed in other.crls {
            self.add_crl(listed.crl)?;
        }
        Ok(())
    }

    /// The roots.
    #[must_use]
    pub fn roots(&self) -> &[Certificate] {
        &self.roots
    }

    /// Judges a leaf that is known itself, so that nobody has to vouch for it: its dates count, and
    /// nothing else.
    ///
    /// # Errors
    /// [`Distrust::Expired`], [`Distrust::NotYetValid`].
    pub fn check_known(leaf: &Certificate, at: Moment) -> Result<(), Distrust> {
        check_dates(leaf, at)
    }

    /// The revocation lists.
    pub fn crls(&self) -> impl Iterator<Item = &Crl> {
        self.crls.iter().map(|listed| &listed.crl)
    }

    /// Whether keys of this kind are accepted.
    #[must_use]
    pub fn accepts(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    fn expected(&self) -> &'static str {
        match self.algorithms {
            [Algorithm::Sm2] => "SM2",
            [Algorithm::P256, Algorithm::Ed25519] => "P-256 or Ed25519",
            _ => "another algorithm",
        }
    }

    /// Reads and checks a chain as it was presented, the leaf first.
    ///
    /// # Errors
    /// The [`Distrust`].
    pub fn check_der<'a>(
        &self,
        presented: impl Iterator<Item = &'a [u8]>,
        purpose: Purpose,
        at: Moment,
    ) -> Result<Verified, Distrust> {
        let mut chain = Vec::new();
        for der in presented {
            if chain.len() >= CHAIN_MAX {
                return Err(Distrust::TooLong { max: CHAIN_MAX });
            }
            let read = Certificate::from_der(der);
            chain.push(read.map_err(|error| Distrust::Unreadable(error.to_string()))?);
        }
        self.check(&chain, purpose, at)
    }

    /// Checks a chain, the leaf first; the root may be left out, and intermediates that are
    /// configured.
    ///
    /// # Errors
    /// The [`Distrust`].
    pub fn check(
        &self,
        presented: &[Certificate],
        purpose: Purpose,
        at: Moment,
    ) -> Result<Verified, Distrust> {
        let Some((leaf, rest)) = presented.split_first() else {
            return Err(Distrust::NoCertificate);
        };
        if presented.len() > CHAIN_MAX {
            return Err(Distrust::TooLong { max: CHAIN_MAX });
        }
        if leaf.is_self_issued() && leaf.is_signed_by(leaf.public_key()) && !leaf.is_authority() {
            return Err(Distrust::SelfSigned {
                subject: leaf.subject().to_string(),
            });
        }
        self.check_plain(leaf, at)?;
        check_purpose(leaf, purpose)?;
        let mut search = Search {
            trust: self,
            pool: rest.iter().chain(&self.intermediates).collect(),
            signatures: 0,
            at,
        };
        let mut chain = vec![leaf.clone()];
        search.climb(&mut chain)?;
        let organisation = self.check_organisation(&chain)?;
        self.check_revocation(&chain, at)?;
        Ok(Verified {
            chain,
            organisation,
        })
    }

    /// What holds for every certificate of a chain.
    fn check_plain(&self, certificate: &Certificate, at: Moment) -> Result<(), Distrust> {
        let subject = || certificate.subject().to_string();
        if let Some(oid) = certificate.unknown_critical() {
            return Err(Distrust::UnknownCritical {
                subject: subject(),
                oid: oid.to_owned(),
            });
        }
        for found in [
            certificate.public_key().algorithm(),
            certificate.signature_algorithm(),
        ] {
            if !self.algorithms.contains(&found) {
                return Err(Distrust::WrongAlgorithm {
                    subject: subject(),
                    found,
                    expected: self.expected(),
                });
            }
        }
        check_dates(certificate, at)
    }

    /// An authority with `below` authorities between it and the leaf.
    fn check_authority(
        &self,
        authority: &Certificate,
        below: usize,
        at: Moment,
    ) -> Result<(), Distrust> {
        self.check_plain(authority, at)?;
        let subject = || authority.subject().to_string();
        if !authority.is_authority() {
            return Err(Distrust::NotAuthority { subject: subject() });
        }
        if !authority.may(usage::CERTIFICATES) {
            return Err(Distrust::WrongUsage {
                subject: subject(),
                lacks: "the key usage keyCertSign",
                profile: "authority",
            });
        }
        match authority.path_len() {
            Some(max) if below > usize::from(max) => Err(Distrust::PathLength {
                subject: subject(),
                max,
            }),
            _ => Ok(()),
        }
    }

    fn check_organisation(&self, chain: &[Certificate]) -> Result<String, Distrust> {
        let authority = chain
            .last()
            .map(|root| root.subject().organisation.clone())
            .unwrap_or_default();
        for certificate in chain {
            let claimed = &certificate.subject().organisation;
            if *claimed != authority {
                return Err(Distrust::OtherOrganisation {
                    claimed: claimed.clone(),
                    authority,
                });
            }
        }
        Ok(authority)
    }

    fn check_revocation(&self, chain: &[Certificate], at: Moment) -> Result<(), Distrust> {
        for pair in chain.windows(2) {
            let [certificate, issuer] = pair else {
                continue;
            };
            let mut current = false;
            for listed in &self.crls {
                let counts = match &listed.signed_by {
                    Some(key) => {
                        key == issuer.public_key() && listed.crl.issuer() == issuer.subject()
                    }
                    None => listed.crl.is_signed_by(issuer),
                };
                // A list from the future says nothing about now.
                if !counts || listed.crl.this_update() > at.plus_seconds(SKEW_SECONDS) {
                    continue;
                }
                current |= listed.crl.next_update().is_none_or(|next| at <= next);
                if let Some(entry) = listed.crl.revocation(certificate) {
                    return Err(Distrust::Revoked {
                        subject: certificate.subject().to_string(),
                        serial: certificate.serial(),
                        at: entry.at,
                        reason: entry.reason,
                    });
                }
            }
            if self.crl_required && !current {
                return Err(Distrust::NoCurrentCrl {
                    issuer: issuer.subject().to_string(),
                });
            }
        }
        Ok(())
    }
}

fn check_dates(certificate: &Certificate, at: Moment) -> Result<(), Distrust> {
    let subject = || certificate.subject().to_string();
    if at < certificate.not_before() {
        return Err(Distrust::NotYetValid {
            subject: subject(),
            not_before: certificate.not_before(),
        });
    }
    if at > certificate.not_after() {
        return Err(Distrust::Expired {
            subject: subject(),
            not_after: certificate.not_after(),
        });
    }
    Ok(())
}

fn push<T>(list: &mut Vec<T>, item: T, what: &'static str) -> Result<(), PkiError> {
    if list.len() >= TRUST_FILES_MAX {
        return Err(PkiError::TooMany {
            what,
            max: TRUST_FILES_MAX,
        });
    }
    list.push(item);
    Ok(())
}

fn check_purpose(leaf: &Certificate, purpose: Purpose) -> Result<(), Distrust> {
    let wrong = |lacks, profile| {
        Err(Distrust::WrongUsage {
            subject: leaf.subject().to_string(),
            lacks,
            profile,
        })
    };
    if leaf.is_authority() {
        return wrong(
            "a leaf's constraints: it is an authority's certificate",
            "node, user or tls-server",
        );
    }
    let (server, client) = (leaf.serves_as_server(), leaf.serves_as_client());
    match purpose {
        Purpose::Node if !server && !client => {
            wrong("digitalSignature with serverAuth and clientAuth", "node")
        }
        Purpose::Node | Purpose::Server if !server => wrong(
            "the extended key usage serverAuth",
            if purpose == Purpose::Node {
                "node"
            } else {
                "tls-server"
            },
        ),
        Purpose::Node | Purpose::Client if !client => wrong(
            "the extended key usage clientAuth",
            if purpose == Purpose::Node {
                "node"
            } else {
                "user"
            },
        ),
        _ => Ok(()),
    }
}

/// The way from a leaf to a root.
struct Search<'a> {
    trust: &'a Trust,
    pool: Vec<&'a Certificate>,
    signatures: usize,
    at: Moment,
}

impl Search<'_> {
    /// Extends a chain to a root, or says why no way led there.
    fn climb(&mut self, chain: &mut Vec<Certificate>) -> Result<(), Distrust> {
        let Some(last) = chain.last().cloned() else {
            return Err(Distrust::NoCertificate);
        };
        let below = chain.len().saturating_sub(1);
        let mut why = Distrust::UnknownIssuer {
            subject: last.subject().to_string(),
            issuer: last.issuer().to_string(),
        };
        let trust = self.trust;
        for root in trust.roots.iter().filter(|root| last.names_as_issuer(root)) {
            match self.step(&last, root, below) {
                Ok(()) => {
                    chain.push(root.clone());
                    return Ok(());
                }
                Err(error) => why = error,
            }
        }
        let pool = self.pool.clone();
        for next in pool {
            if !last.names_as_issuer(next) || chain.contains(next) || next.is_self_issued() {
                continue;
            }
            // This one and a root have to fit.
            if chain.len().saturating_add(2) > CHAIN_MAX {
                return Err(Distrust::TooLong { max: CHAIN_MAX });
            }
            if let Err(error) = self.step(&last, next, below) {
                why = error;
                continue;
            }
            chain.push(next.clone());
            match self.climb(chain) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    chain.pop();
                    why = error;
                }
            }
        }
        Err(why)
    }

    fn step(
        &mut self,
        certificate: &Certificate,
        issuer: &Certificate,
        below: usize,
    ) -> Result<(), Distrust> {
        self.signatures = self.signatures.saturating_add(1);
        if self.signatures > SIGNATURES_MAX {
            return Err(Distrust::TooLong { max: CHAIN_MAX });
        }
        if !certificate.is_signed_by(issuer.public_key()) {
            return Err(Distrust::BadSignature {
                subject: certificate.subject().to_string(),
                issuer: issuer.subject().to_string(),
            });
        }
        self.trust.check_authority(issuer, below, self.at)
    }
}
