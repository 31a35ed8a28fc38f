//! Links with X.509 certificates: both suites, everything that is refused, and what changes while
//! links are up.

use std::path::Path;
use std::time::Duration;

use crate::common::{DEADLINE, Node, any_port, awake, nowhere, peer, until};
use crate::rogue;
use hawser_crypto::keystore::Params;
use hawser_network::{
    Bytes, CertificateFiles, DownReason, Lane, Limits, ListenerTls, NetworkConfig, NetworkEvent,
    NodeCertificate, PeerAddress, Probe, ProbeSuite, RefusalReason, probe, start,
};
use hawser_pki::{
    Algorithm, Authority, Certificate, Issued, Moment, PrivateKey, Profile, Reason, Request,
    Subject, Template, write_atomic,
};
use hawser_primitives::ChainId;
use hawser_primitives::limits::FRAME_BYTES_MAX;

const DAY: u64 = 86_400;

/// An authority in a folder of its own, made long enough ago to have issued expired certificates.
struct Org {
    authority: Authority,
    _dir: tempfile::TempDir,
}

impl Org {
    fn new(name: &str, algorithm: Algorithm) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let subject = Subject::new(format!("{name} authority"), name);
        let then = Moment::now().minus_seconds(1_000 * DAY);
        let authority = Authority::create(
            dir.path(),
            subject,
            algorithm,
            3_650,
            "passphrase",
            &Params::light(),
            then,
        )
        .unwrap();
        Self {
            authority,
            _dir: dir,
        }
    }

    fn issue(&mut self, key: &PrivateKey, profile: Profile, at: Moment) -> Issued {
        let subject = Subject::new("node", self.authority.organisation());
        let template = Template {
            subject: subject.clone(),
            profile,
            names: vec!["localhost".to_owned()],
            days: 1,
            path_len: None,
        };
        let request = Request::new(&subject, &[], key).unwrap();
        self.authority.issue(&request, &template, at).unwrap()
    }

    fn root(&self) -> Certificate {
        self.authority.root().clone()
    }
}

/// A node's files.
struct Member {
    dir: tempfile::TempDir,
    key: PrivateKey,
}

impl Member {
    /// With a certificate that is fine, trusting these.
    fn of(org: &mut Org, trusted: &[Certificate]) -> Self {
        let algorithm = org.authority.certificate().public_key().algorithm();
        let key = PrivateKey::generate(algorithm).unwrap();
        let issued = org.issue(&key, Profile::Node, Moment::now());
        Self::with(key, &issued.to_pem(), trusted)
    }

    fn with(key: PrivateKey, chain: &str, trusted: &[Certificate]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["roots", "crls"] {
            std::fs::create_dir_all(dir.path().join("trust").join(folder)).unwrap();
        }
        let member = Self { dir, key };
        member.put("node.pem", chain);
        for (i, root) in trusted.iter().enumerate() {
            member.put(&format!("trust/roots/{i}.pem"), &root.to_pem());
        }
        member
    }

    fn put(&self, name: &str, text: &str) {
        write_atomic(&self.dir.path().join(name), text, false).unwrap();
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn files(&self) -> CertificateFiles {
        CertificateFiles {
            chain: self.path().join("node.pem"),
            trust: self.path().join("trust"),
            crl_required: false,
        }
    }

    fn credential(&self) -> NodeCertificate {
        NodeCertificate::open(self.key.clone(), self.files()).unwrap()
    }

    fn id(&self) -> hawser_network::PeerId {
        hawser_network::PeerId(self.key.public_key().id())
    }

    async fn start(&self, peers: Vec<PeerAddress>) -> Node {
        let mut config = NetworkConfig::new(any_port(), self.credential(), peers);
        config.limits = Limits {
            backoff_max: Duration::from_millis(200),
            ..Limits::default()
        };
        let (handle, events) = start(config).await.unwrap();
        Node { handle, events }
    }
}

/// `dialler` dials `listener`, which admits it and does not dial.
async fn pair(dialler: &Member, listener: &Member) -> (Node, Node) {
    let listening = listener.start(vec![peer(dialler.id(), nowhere())]).await;
    let at = listening.handle.local_address();
    let dialling = dialler.start(vec![peer(listener.id(), at)]).await;
    (dialling, listening)
}

async fn refused(node: &Node, reason: RefusalReason) {
    until(reason.name(), || node.handle.counters().refused(reason) > 0).await;
}

fn is_up(node: &Node) -> bool {
    node.handle.peers()[0].connected_since.is_some()
}

fn last_error(node: &Node) -> String {
    node.handle.peers()[0]
        .last_error
        .clone()
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_of_every_algorithm_carry_frames_under_their_suite() {
    for (algorithm, suite) in [
        (Algorithm::Sm2, "TLS_SM4_GCM_SM3"),
        (Algorithm::P256, "TLS_AES_256_GCM_SHA384"),
        (Algorithm::Ed25519, "TLS_AES_256_GCM_SHA384"),
    ] {
        let (mut one, mut two) = (Org::new("One", algorithm), Org::new("Two", algorithm));
        let roots = [one.root(), two.root()];
        let (a, b) = (Member::of(&mut one, &roots), Member::of(&mut two, &roots));
        let (mut dialling, mut listening) = pair(&a, &b).await;
        dialling.up(b.id()).await;
        listening.up(a.id()).await;
        let largest = Bytes::from(vec![7; FRAME_BYTES_MAX]);
        for payload in [Bytes::from_static(b"vote"), Bytes::new(), largest] {
            for (from, to) in [(&dialling, b.id()), (&listening, a.id())] {
                from.handle
                    .send(to, ChainId(1), Lane::Bulk, payload.clone())
                    .unwrap();
            }
            let (from, _, bytes) = listening.message().await;
            assert!(from == a.id() && bytes == payload);
            let (from, _, bytes) = dialling.message().await;
            assert!(from == b.id() && bytes == payload);
        }
        let status = &dialling.handle.peers()[0];
        assert_eq!(status.cipher_suite.as_deref(), Some(suite));
        let shown = status.certificate.as_ref().unwrap();
        assert_eq!(shown.subject().organisation, "Two");
        assert_eq!(a.credential().own_distrust(), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_that_are_not_to_be_believed_are_refused_with_words_on_both_sides() {
    let mut org = Org::new("Harbour", Algorithm::Sm2);
    let mut pirates = Org::new("Pirates", Algorithm::Sm2);
    let roots = [org.root()];
    let now = Moment::now();
    let key = || PrivateKey::generate(Algorithm::Sm2).unwrap();
    let (expired, early, user, stranger) = (key(), key(), key(), key());
    let case = |org: &mut Org, key: PrivateKey, profile, at| {
        let pem = org.issue(&key, profile, at).to_pem();
        Member::with(key, &pem, &roots)
    };
    let cases = [
        (
            case(&mut org, expired, Profile::Node, now.minus_seconds(2 * DAY)),
            RefusalReason::CertificateExpired,
            "expired at",
        ),
        (
            case(&mut org, early, Profile::Node, now.plus_seconds(DAY)),
            RefusalReason::CertificateExpired,
            "valid only from",
        ),
        (
            case(&mut org, user, Profile::User, now),
            RefusalReason::CertificateUntrusted,
            "serverAuth",
        ),
        (
            case(&mut pirates, stranger, Profile::Node, now),
            RefusalReason::CertificateUntrusted,
            "no trusted authority",
        ),
    ];
    for (bad, reason, words) in &cases {
        let good = Member::of(&mut org, &roots);
        let own = bad.credential().own_distrust().unwrap().to_string();
        assert!(own.contains(words), "{own}");
        // Dialled by the bad one.
        let (dialling, listening) = pair(bad, &good).await;
        refused(&listening, *reason).await;
        refused(&dialling, RefusalReason::CertificateRefused).await;
        assert_eq!(listening.handle.counters().links_up, 0);
        assert!(last_error(&dialling).contains("refused this node's certificate"));
        // Dialling the bad one.
        let (dialling, listening) = pair(&good, bad).await;
        refused(&dialling, *reason).await;
        refused(&listening, RefusalReason::CertificateRefused).await;
        let error = last_error(&dialling);
        assert!(error.contains(words), "{error}");
        assert_eq!(dialling.handle.counters().links_up, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_believed_certificate_of_somebody_who_is_not_admitted_is_refused() {
    let mut org = Org::new("Harbour", Algorithm::Sm2);
    let mut other = Org::new("Customs", Algorithm::Sm2);
    let roots = [org.root(), other.root()];
    let (good, expected, impostor) = (
        Member::of(&mut org, &roots),
        Member::of(&mut org, &roots),
        Member::of(&mut other, &roots),
    );
    let listening = good.start(vec![peer(expected.id(), nowhere())]).await;
    let at = listening.handle.local_address();
    let dialling = impostor.start(vec![peer(good.id(), at)]).await;
    refused(&listening, RefusalReason::UnknownPeer).await;
    refused(&dialling, RefusalReason::RefusedByPeer).await;
    // And as the one that answers in another's place.
    let answering = impostor.start(vec![peer(good.id(), nowhere())]).await;
    let at = answering.handle.local_address();
    let dialling = good.start(vec![peer(expected.id(), at)]).await;
    refused(&dialling, RefusalReason::WrongPeer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn self_signed_certificates_other_curves_and_raw_keys_are_refused() {
    let mut org = Org::new("Harbour", Algorithm::P256);
    let roots = [org.root()];
    let good = Member::of(&mut org, &roots);
    // Self-signed, by OpenSSL.
    let dir = tempfile::tempdir().unwrap();
    let openssl = |args: &[&str]| {
        let out = std::process::Command::new("openssl")
            .args(args)
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        String::from_utf8(out.stdout).unwrap()
    };
    openssl(&[
        "ecparam",
        "-name",
        "prime256v1",
        "-genkey",
        "-noout",
        "-out",
        "k.pem",
    ]);
    let pem = openssl(&[
        "req",
        "-x509",
        "-key",
        "k.pem",
        "-subj",
        "/O=Harbour/CN=x",
        "-days",
        "9",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-addext",
        "keyUsage=critical,digitalSignature",
        "-addext",
        "extendedKeyUsage=serverAuth,clientAuth",
    ]);
    let key = openssl(&["pkcs8", "-topk8", "-in", "k.pem", "-passout", "pass:pw"]);
    let bad = Member::with(PrivateKey::decrypt(&key, "pw").unwrap(), &pem, &roots);
    let (dialling, listening) = pair(&bad, &good).await;
    refused(&listening, RefusalReason::CertificateUntrusted).await;
    refused(&dialling, RefusalReason::CertificateRefused).await;
    let (dialling, _listening) = pair(&good, &bad).await;
    refused(&dialling, RefusalReason::CertificateUntrusted).await;
    assert!(last_error(&dialling).contains("self-signed"));

    // SM2 against P-256: the suites have nothing in common.
    let mut sm = Org::new("Harbour", Algorithm::Sm2);
    let own = [sm.root()];
    let sm = Member::of(&mut sm, &own);
    for (one, other) in [(&sm, &good), (&good, &sm)] {
        let (dialling, listening) = pair(one, other).await;
        refused(&listening, RefusalReason::Incompatible).await;
        refused(&dialling, RefusalReason::Alert).await;
        assert_eq!(listening.handle.counters().links_up, 0);
    }

    // TLS 1.2, no certificate, raw keys, another protocol, garbage.
    let listening = good.start(vec![peer(bad.id(), nowhere())]).await;
    let at = listening.handle.local_address();
    assert!(rogue::connect_tls12(at).await.is_err());
    refused(&listening, RefusalReason::TlsVersion).await;
    drop(rogue::connect_without_raw_keys(at).await);
    refused(&listening, RefusalReason::NoCertificate).await;
    let raw = hawser_network::NodeIdentity::generate().unwrap();
    assert!(rogue::connect(at, &raw, raw.peer_id()).await.is_err());
    refused(&listening, RefusalReason::Incompatible).await;
    let before = listening
        .handle
        .counters()
        .refused(RefusalReason::Incompatible);
    let chain = hawser_pki::parse_certificates(
        &std::fs::read_to_string(good.path().join("node.pem")).unwrap(),
    )
    .unwrap();
    let report = probe(&Probe {
        address: &at.to_string(),
        suite: ProbeSuite::Intl,
        link: false,
        credential: Some((&chain, &good.key)),
        within: DEADLINE,
    })
    .await;
    assert_eq!(
        report.alert.as_deref(),
        Some("no_application_protocol"),
        "{report:?}"
    );
    until("the other protocol is counted", || {
        listening
            .handle
            .counters()
            .refused(RefusalReason::Incompatible)
            > before
    })
    .await;
    assert_eq!(listening.handle.counters().links_up, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_peer_is_dropped_within_seconds_and_stays_out() {
    let (mut one, mut two) = (
        Org::new("One", Algorithm::Sm2),
        Org::new("Two", Algorithm::Sm2),
    );
    let roots = [one.root(), two.root()];
    let (a, b) = (Member::of(&mut one, &roots), Member::of(&mut two, &roots));
    let (mut dialling, mut listening) = pair(&a, &b).await;
    dialling.up(b.id()).await;
    listening.up(a.id()).await;
    // An empty list, and a file that is none, change nothing.
    let now = Moment::now();
    b.put(
        "trust/crls/one.pem",
        &one.authority.crl(30, now).unwrap().to_pem(),
    );
    b.put("trust/crls/broken.pem", "nonsense");
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(is_up(&listening) && listening.events.try_recv().is_err());
    std::fs::remove_file(b.path().join("trust/crls/broken.pem")).unwrap();
    one.authority
        .revoke("node", Reason::KeyCompromise, now)
        .unwrap();
    let started = awake();
    b.put(
        "trust/crls/one.pem",
        &one.authority.crl(30, now).unwrap().to_pem(),
    );
    let NetworkEvent::Down(id, DownReason::Untrusted(why)) = listening.event().await else {
        panic!("the revoked peer was not dropped")
    };
    let took = started.elapsed();
    println!(
        "from revocation list to disconnection: {} ms",
        took.as_millis()
    );
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert!(id == a.id() && why.contains("revoked"), "{why}");
    let NetworkEvent::Down(_, DownReason::ClosedByPeer(Some(why))) = dialling.event().await else {
        panic!("the revoked node was not told")
    };
    assert!(why.contains("no longer trusts"), "{why}");
    refused(&listening, RefusalReason::CertificateRevoked).await;
    refused(&dialling, RefusalReason::CertificateRefused).await;
    assert!(!is_up(&listening) && !is_up(&dialling));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_ends_its_links_and_a_renewed_one_brings_them_back() {
    let mut org = Org::new("Harbour", Algorithm::Sm2);
    let roots = [org.root()];
    let b = Member::of(&mut org, &roots);
    let key = PrivateKey::generate(Algorithm::Sm2).unwrap();
    // As short as the links need to come up, which on a machine that stands still is longer.
    let mut lives_s = [5, 10, 15].into_iter();
    let (a, _dialling, mut listening) = loop {
        let life_s = lives_s.next().expect("links that come up");
        let short = Moment::now().minus_seconds(DAY - life_s);
        let pem = org.issue(&key, Profile::Node, short).to_pem();
        let a = Member::with(key.clone(), &pem, &roots);
        let (mut dialling, mut listening) = pair(&a, &b).await;
        let both = async {
            dialling.up(b.id()).await;
            listening.up(a.id()).await;
        };
        let within = Duration::from_secs(life_s);
        if tokio::time::timeout(within, both).await.is_ok() {
            break (a, dialling, listening);
        }
    };
    let NetworkEvent::Down(_, DownReason::Untrusted(why)) = listening.event().await else {
        panic!("the expired peer was not dropped")
    };
    assert!(why.contains("expired"), "{why}");
    refused(&listening, RefusalReason::CertificateExpired).await;
    // The same key, so the same peer; nobody restarts.
    let renewed = org.issue(&key, Profile::Node, Moment::now());
    a.put("node.pem", &renewed.to_pem());
    listening.up(a.id()).await;
    assert_eq!(
        listening.handle.peers()[0]
            .certificate
            .as_ref()
            .unwrap()
            .serial(),
        renewed.certificate.serial()
    );
    // A certificate for another key is not taken over.
    let other = PrivateKey::generate(Algorithm::Sm2).unwrap();
    a.put(
        "node.pem",
        &org.issue(&other, Profile::Node, Moment::now()).to_pem(),
    );
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(is_up(&listening));
    let error = NodeCertificate::open(key, a.files())
        .unwrap_err()
        .to_string();
    assert!(error.contains("another key"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roots_come_and_go_while_the_network_runs() {
    let (mut one, mut two) = (
        Org::new("One", Algorithm::Ed25519),
        Org::new("Two", Algorithm::P256),
    );
    let (all, only) = ([one.root(), two.root()], [two.root()]);
    let (a, b) = (Member::of(&mut one, &all), Member::of(&mut two, &only));
    let (_dialling, mut listening) = pair(&a, &b).await;
    refused(&listening, RefusalReason::CertificateUntrusted).await;
    b.put("trust/roots/one.pem", &one.root().to_pem());
    listening.up(a.id()).await;
    std::fs::remove_file(b.path().join("trust/roots/one.pem")).unwrap();
    let NetworkEvent::Down(_, DownReason::Untrusted(why)) = listening.event().await else {
        panic!("the peer of a removed root was not dropped")
    };
    assert!(why.contains("no trusted authority"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_serve_both_suites_and_tell_who_the_client_is() {
    for (algorithm, suite, name) in [
        (Algorithm::Sm2, ProbeSuite::Sm, "TLS_SM4_GCM_SM3"),
        (Algorithm::P256, ProbeSuite::Intl, "TLS_AES_256_GCM_SHA384"),
    ] {
        let mut org = Org::new("Harbour", algorithm);
        let mut pirates = Org::new("Pirates", algorithm);
        let roots = [org.root()];
        let key = PrivateKey::generate(algorithm).unwrap();
        let pem = org.issue(&key, Profile::TlsServer, Moment::now()).to_pem();
        let server = Member::with(key, &pem, &roots);
        let user = PrivateKey::generate(algorithm).unwrap();
        let ours = org.issue(&user, Profile::User, Moment::now());
        let theirs = pirates.issue(&user, Profile::User, Moment::now());
        for required in [false, true] {
            let protocols: &[&[u8]] = &[b"http/1.1"];
            let tls =
                ListenerTls::open(server.key.clone(), server.files(), required, protocols).unwrap();
            let socket = tokio::net::TcpListener::bind(any_port()).await.unwrap();
            let at = socket.local_addr().unwrap().to_string();
            for (shown, believed) in [
                (None, !required),
                (Some(&ours), true),
                (Some(&theirs), false),
            ] {
                let chain = shown.map(|issued| vec![issued.certificate.clone()]);
                let trying = Probe {
                    address: &at,
                    suite,
                    link: false,
                    credential: chain.as_ref().map(|chain| (chain.as_slice(), &user)),
                    within: DEADLINE,
                };
                let serve = async {
                    let (tcp, _) = socket.accept().await.unwrap();
                    // The stream closes at once, which ends the probe.
                    tls.accept(tcp).await.map(|(_, client)| client)
                };
                let (report, served) = tokio::join!(probe(&trying), serve);
                assert_eq!(
                    served.is_ok(),
                    believed,
                    "{algorithm} {required} {served:?}"
                );
                if let Ok(client) = served {
                    assert_eq!(report.cipher_suite.as_deref(), Some(name));
                    assert_eq!(client.is_some(), shown.is_some());
                    if let Some(client) = client {
                        assert_eq!(client.subject.organisation, "Harbour");
                        assert_eq!(client.public_key.id(), user.public_key().id());
                    }
                } else {
                    assert!(report.alert.is_some(), "{report:?}");
                }
            }
        }
    }
}
