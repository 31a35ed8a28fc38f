//! Links with X.509 certificates: the files, their reloading, and the judgement of peers.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hawser_pki::{
    Algorithm, Certificate, Distrust, Moment, PrivateKey, Purpose, Trust, TrustFolder, Verified,
    parse_certificates,
};
use parking_lot::{Mutex, RwLock};
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, Error, ServerConfig, SignatureAlgorithm, SignatureScheme};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::chain_verifier::Verifier;
use crate::tls::Admission;
use crate::{CertificateFiles, NetworkError, PeerId, gm};

/// How often files are looked at, and how long an expired link lives at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Longest file of a chain, in bytes.
const CHAIN_FILE_BYTES_MAX: u64 = 256 * 1024;

/// Whom a verifier accepts, after the chain has been believed.
#[derive(Clone, Debug)]
pub(crate) enum Accepts {
    /// Every admitted peer.
    Admitted(Arc<Admission>),
    /// One peer.
    One(PeerId),
    /// Whoever the trust vouches for.
    All,
}

impl Accepts {
    pub(crate) fn accepts(&self, id: PeerId) -> bool {
        match self {
            Self::Admitted(admission) => admission.admits(&id),
            Self::One(expected) => *expected == id,
            Self::All => true,
        }
    }
}

/// Why a verifier refused, for whoever reports the failed handshake.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict(Arc<Mutex<Option<Distrust>>>);

impl Verdict {
    pub(crate) fn set(&self, distrust: Distrust) {
        *self.0.lock() = Some(distrust);
    }

    pub(crate) fn clear(&self) {
        *self.0.lock() = None;
    }

    /// As [`Self::take`], for those who may ask again.
    pub(crate) fn look(&self) -> Option<Distrust> {
        self.0.lock().clone()
    }

    pub(crate) fn take(&self) -> Option<Distrust> {
        self.0.lock().take()
    }
}

/// This side's key and certificates, and what it trusts. One for all links.
pub(crate) struct Chains {
    key: PrivateKey,
    files: CertificateFiles,
    state: RwLock<Arc<State>>,
    /// Counts changes of the state.
    changed: watch::Sender<u64>,
}

struct State {
    certified: Arc<CertifiedKey>,
    chain: Vec<Certificate>,
    trust: Option<Trust>,
    stamp: Stamp,
}

/// Changes with any of the files.
type Stamp = (Option<(SystemTime, u64)>, Vec<(PathBuf, SystemTime, u64)>);

impl Chains {
    pub(crate) fn open(key: PrivateKey, files: CertificateFiles) -> Result<Self, NetworkError> {
        let state = read(&key, &files, true).map_err(NetworkError::Certificate)?;
        Ok(Self {
            key,
            files,
            state: RwLock::new(Arc::new(state)),
            changed: watch::Sender::new(0),
        })
    }

    /// As [`Self::open`]; without a trust folder nobody is believed, nor asked for a certificate.
    pub(crate) fn open_listener(
        key: PrivateKey,
        files: CertificateFiles,
    ) -> Result<Self, NetworkError> {
        let trusts = !files.trust.as_os_str().is_empty();
        let state = read(&key, &files, trusts).map_err(NetworkError::Certificate)?;
        Ok(Self {
            key,
            files,
            state: RwLock::new(Arc::new(state)),
            changed: watch::Sender::new(0),
        })
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    pub(crate) fn accepts(&self, algorithm: Algorithm) -> bool {
        algorithms(self.algorithm()).contains(&algorithm)
    }

    pub(crate) fn own_id(&self) -> PeerId {
        PeerId(self.key.public_key().id())
    }

    fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read())
    }

    pub(crate) fn own_certificate(&self) -> Certificate {
        let state = self.state();
        match state.chain.first() {
            Some(own) => own.clone(),
            None => unreachable!("a chain without certificates is not read"),
        }
    }

    pub(crate) fn own_distrust(&self) -> Option<Distrust> {
        let chain = self.state().chain.clone();
        self.judge(&chain, Purpose::Node).err()
    }

    pub(crate) fn has_trust(&self) -> bool {
        self.state().trust.is_some()
    }

    /// Judges a chain by the trust of this moment.
    pub(crate) fn judge(
        &self,
        chain: &[Certificate],
        purpose: Purpose,
    ) -> Result<Verified, Distrust> {
        match &self.state().trust {
            Some(trust) => trust.check(chain, purpose, Moment::now()),
            None => Err(Distrust::NoCertificate),
        }
    }

    /// As [`Self::judge`], for what came over the wire.
    pub(crate) fn judge_der(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        purpose: Purpose,
    ) -> Result<Verified, Distrust> {
        let presented = std::iter::once(leaf).chain(rest).map(AsRef::as_ref);
        match &self.state().trust {
            Some(trust) => trust.check_der(presented, purpose, Moment::now()),
            None => Err(Distrust::NoCertificate),
        }
    }

    /// Resolves when a node's chain is no longer believed, with the reason.
    pub(crate) async fn distrusted(&self, chain: &[Certificate]) -> String {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let expires = match self.judge(chain, Purpose::Node) {
                Ok(verified) => verified.expires(),
                Err(distrust) => return distrust.to_string(),
            };
            loop {
                tokio::select! {
                    // Cannot end, as the sender is in `self`.
                    _ = changed.changed() => break,
                    () = sleep(LOOK_EVERY) => {}
                }
                if Moment::now() > expires {
                    break;
                }
            }
        }
    }

    /// Looks at the files for ever and takes over what changed. What cannot be read is reported
    /// once, and the former certificates and trust stay in force.
    pub(crate) async fn watch(self: &Arc<Self>) -> Infallible {
        let mut last_error = None;
        loop {
            sleep(LOOK_EVERY).await;
            let this = Arc::clone(self);
            let outcome = tokio::task::spawn_blocking(move || this.reload()).await;
            match outcome {
                Ok(Ok(changed)) => {
                    last_error = None;
                    if changed {
                        tracing::info!("certificates, roots and revocation lists read again");
                    }
                }
                Ok(Err(error)) => {
                    if last_error.as_ref() != Some(&error) {
                        tracing::error!(
                            error,
                            "certificate files are not usable; the former ones stay in force"
                        );
                    }
                    last_error = Some(error);
                }
                Err(error) => tracing::error!(%error, "certificate files were not read"),
            }
        }
    }

    /// Takes over the files if they changed. Whether they did.
    pub(crate) fn reload(&self) -> Result<bool, String> {
        let before = self.state();
        if stamp(&self.files) == before.stamp {
            return Ok(false);
        }
        let state = read(&self.key, &self.files, before.trust.is_some())?;
        *self.state.write() = Arc::new(state);
        self.changed
            .send_modify(|count| *count = count.wrapping_add(1));
        Ok(true)
    }

    pub(crate) fn server(
        self: &Arc<Self>,
        provider: &Arc<CryptoProvider>,
        accepts: Accepts,
        verdict: &Verdict,
    ) -> Result<ServerConfig, Error> {
        let verifier = Verifier::new(self, accepts, verdict, Purpose::Node, true);
        Ok(ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(Resolver(self.state().certified.clone()))))
    }

    /// For a listener that serves clients; asks for a certificate where there is a trust folder.
    pub(crate) fn listener(
        self: &Arc<Self>,
        provider: &Arc<CryptoProvider>,
        client_required: bool,
        verdict: &Verdict,
    ) -> Result<ServerConfig, Error> {
        let resolver = Arc::new(Resolver(self.state().certified.clone()));
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(&[&TLS13])?;
        if !self.has_trust() {
            return Ok(builder.with_no_client_auth().with_cert_resolver(resolver));
        }
        let verifier = Verifier::new(
            self,
            Accepts::All,
            verdict,
            Purpose::Client,
            client_required,
        );
        Ok(builder
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(resolver))
    }

    pub(crate) fn client(
        self: &Arc<Self>,
        provider: &Arc<CryptoProvider>,
        accepts: Accepts,
        verdict: &Verdict,
    ) -> Result<ClientConfig, Error> {
        let verifier = Verifier::new(self, accepts, verdict, Purpose::Node, true);
        Ok(ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(Resolver(self.state().certified.clone()))))
    }
}

/// The algorithms of the network that a key belongs to.
pub(crate) const fn algorithms(own: Algorithm) -> &'static [Algorithm] {
    match own {
        Algorithm::Sm2 => Trust::SM,
        Algorithm::P256 | Algorithm::Ed25519 => Trust::INTL,
    }
}

fn stamp(files: &CertificateFiles) -> Stamp {
    let chain = std::fs::metadata(&files.chain).ok().map(|metadata| {
        let changed = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        (changed, metadata.len())
    });
    if files.trust.as_os_str().is_empty() {
        return (chain, Vec::new());
    }
    (chain, TrustFolder(files.trust.clone()).stamp())
}

fn read(key: &PrivateKey, files: &CertificateFiles, trusts: bool) -> Result<State, String> {
    // Before the files, so that a change during the reading is seen as one.
    let stamp = stamp(files);
    let name = files.chain.display();
    let len = std::fs::metadata(&files.chain).map_or(0, |metadata| metadata.len());
    if len > CHAIN_FILE_BYTES_MAX {
        return Err(format!(
            "{name}: {len} bytes exceed the limit of {CHAIN_FILE_BYTES_MAX}"
        ));
    }
    let text = hawser_primitives::open_file(&files.chain)
        .and_then(std::io::read_to_string)
        .map_err(|error| format!("cannot read the certificate {name}: {error}"))?;
    let chain = parse_certificates(&text).map_err(|error| format!("{name}: {error}"))?;
    let Some(own) = chain.first() else {
        return Err(format!("{name} holds no certificate in PEM form"));
    };
    if own.public_key() != key.public_key() {
        return Err(format!(
            "{name}: the certificate of {} is for another key than this node's; renew with the \
             same key, or start the node with the new one",
            own.subject()
        ));
    }
    let trust = if trusts {
        let mut trust = TrustFolder(files.trust.clone())
            .load(algorithms(key.algorithm()))
            .map_err(|error| format!("trust folder: {error}"))?;
        trust.require_crl(files.crl_required);
        Some(trust)
    } else {
        None
    };
    let ders = chain
        .iter()
        .map(|certificate| CertificateDer::from(certificate.der().to_vec()))
        .collect();
    Ok(State {
        certified: Arc::new(CertifiedKey::new(ders, Arc::new(HandshakeKey(key.clone())))),
        chain,
        trust,
        stamp,
    })
}

/// The signature schemes of the network that a key belongs to.
pub(crate) fn schemes(own: Algorithm) -> Vec<SignatureScheme> {
    algorithms(own).iter().copied().map(scheme).collect()
}

pub(crate) const fn scheme(algorithm: Algorithm) -> SignatureScheme {
    match algorithm {
        Algorithm::Sm2 => gm::SIGNATURE,
        Algorithm::P256 => SignatureScheme::ECDSA_NISTP256_SHA256,
        Algorithm::Ed25519 => SignatureScheme::ED25519,
    }
}

/// Presents one chain whenever it is asked.
#[derive(Debug)]
pub(crate) struct Resolver(pub(crate) Arc<CertifiedKey>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

impl ResolvesClientCert for Resolver {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Signs handshakes.
pub(crate) struct HandshakeKey(pub(crate) PrivateKey);

impl fmt::Debug for HandshakeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HandshakeKey({})", self.0.algorithm())
    }
}

impl SigningKey for HandshakeKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = scheme(self.0.algorithm());
        offered.contains(&scheme).then(|| {
            let signer: Box<dyn Signer> = Box::new(HandshakeSigner(self.0.clone()));
            signer
        })
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.0.algorithm() {
            // The lower byte of the scheme.
            Algorithm::Sm2 => SignatureAlgorithm::Unknown(8),
            Algorithm::P256 => SignatureAlgorithm::ECDSA,
            Algorithm::Ed25519 => SignatureAlgorithm::ED25519,
        }
    }
}

struct HandshakeSigner(PrivateKey);

impl fmt::Debug for HandshakeSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HandshakeSigner({})", self.0.algorithm())
    }
}

impl Signer for HandshakeSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.0
            .sign_handshake(message)
            .map_err(|error| Error::General(error.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        scheme(self.0.algorithm())
    }
}
