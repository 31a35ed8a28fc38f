use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use hawser_pki::{Certificate, Distrust, PrivateKey};

use crate::chains::Chains;
use crate::{NetworkError, NodeIdentity, PeerId};

/// What a node proves itself with on its links.
#[derive(Clone, Debug)]
pub enum Credential {
    /// An Ed25519 key, presented raw (RFC 7250).
    RawKey(NodeIdentity),
    /// A chain of X.509 certificates. SM2 ones make links of RFC 8998, others the usual ones.
    Certificate(NodeCertificate),
}

impl Credential {
    /// The name that peers know this node by.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        match self {
            Self::RawKey(identity) => identity.peer_id(),
            Self::Certificate(certificate) => certificate.peer_id(),
        }
    }
}

impl From<NodeIdentity> for Credential {
    fn from(identity: NodeIdentity) -> Self {
        Self::RawKey(identity)
    }
}

impl From<NodeCertificate> for Credential {
    fn from(certificate: NodeCertificate) -> Self {
        Self::Certificate(certificate)
    }
}

/// Where certificates lie. Both are looked at every second while the network runs, and changes take
/// effect at once, on links that are up as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM: this node's certificate, then the intermediates above it.
    pub chain: PathBuf,
    /// Folder with `roots/`, `intermediates/` and `crls/` (see [`hawser_pki::TrustFolder`]).
    pub trust: PathBuf,
    /// Refuse peers whose authorities have no current revocation list in the folder.
    pub crl_required: bool,
}

/// A node's certificate with its key and what it trusts.
#[derive(Clone)]
pub struct NodeCertificate(Arc<Chains>);

impl NodeCertificate {
    /// Reads the files. The certificate has to be for the key.
    ///
    /// # Errors
    /// [`NetworkError::Certificate`] says which file is wrong, and how.
    pub fn open(key: PrivateKey, files: CertificateFiles) -> Result<Self, NetworkError> {
        Chains::open(key, files).map(|chains| Self(Arc::new(chains)))
    }

    /// The name that peers know this node by.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.0.own_id()
    }

    /// The certificate in use now.
    #[must_use]
    pub fn certificate(&self) -> Certificate {
        self.0.own_certificate()
    }

    /// Whether peers with the same trust as this node would believe its certificate now, and why
    /// not.
    #[must_use]
    pub fn own_distrust(&self) -> Option<Distrust> {
        self.0.own_distrust()
    }

    pub(crate) fn chains(&self) -> Arc<Chains> {
        Arc::clone(&self.0)
    }
}

impl fmt::Debug for NodeCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeCertificate({})", self.peer_id())
    }
}
