use std::path::Path;

use hawser_crypto::keystore::Params;
use hawser_pki::{Authority, Profile, Request, Subject, Template, write_atomic};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::{CertificateFiles, ListenerTls};

const DAY: u64 = 86_400;

struct Org {
    dir: TempDir,
    authority: Authority,
}

fn org(name: &str, algorithm: Algorithm) -> Org {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::create(
        &dir.path().join("ca"),
        Subject::new(format!("{name} root"), name),
        algorithm,
        3_650,
        "passphrase",
        &Params::light(),
        Moment::now().minus_seconds(400 * DAY),
    );
    Org {
        dir,
        authority: authority.unwrap(),
    }
}

struct Holder {
    key: PrivateKey,
    chain: Vec<Certificate>,
}

impl Org {
    fn issue(&mut self, name: &str, profile: Profile, at: Moment, days: u32) -> Holder {
        let key =
            PrivateKey::generate(self.authority.certificate().public_key().algorithm()).unwrap();
        let subject = Subject::new(name, self.authority.organisation());
        let template = Template {
            subject: subject.clone(),
            profile,
            names: vec!["127.0.0.1".to_owned(), "rpc.example".to_owned()],
            days,
            path_len: None,
        };
        let request = Request::new(&subject, &[], &key).unwrap();
        let issued = self.authority.issue(&request, &template, at).unwrap();
        Holder {
            key,
            chain: vec![issued.certificate],
        }
    }

    fn server(&mut self) -> Holder {
        self.issue("rpc", Profile::TlsServer, Moment::now(), 10)
    }

    fn trust(&self) -> ClientTrust {
        let mut trust = ClientTrust::default();
        trust.add(self.authority.root().clone()).unwrap();
        trust
    }

    fn folder(&self) -> std::path::PathBuf {
        let folder = self.dir.path().join("trust");
        std::fs::create_dir_all(folder.join("roots")).unwrap();
        write_atomic(
            &folder.join("roots/a.pem"),
            &self.authority.root().to_pem(),
            false,
        )
        .unwrap();
        folder
    }
}

/// Serves one greeting to each that comes; with a folder, clients need a certificate.
async fn serve(holder: &Holder, clients: Option<&Path>) -> String {
    let dir = tempfile::tempdir().unwrap();
    let chain = dir.path().join("chain.pem");
    let pem: String = holder.chain.iter().map(Certificate::to_pem).collect();
    write_atomic(&chain, &pem, false).unwrap();
    let files = CertificateFiles {
        chain,
        trust: clients.map(Path::to_owned).unwrap_or_default(),
        crl_required: false,
    };
    let tls =
        ListenerTls::open(holder.key.clone(), files, clients.is_some(), &[b"http/1.1"]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let _dir = dir;
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            if let Ok((mut stream, client)) = tls.accept(tcp).await {
                let name =
                    client.map_or_else(|| "nobody".to_owned(), |one| one.subject.common_name);
                let _ = stream.write_all(name.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        }
    });
    at
}

async fn ask(at: &str, tls: &ClientTls, host: &str) -> Result<String, ClientProblem> {
    let tcp = TcpStream::connect(at).await.unwrap();
    let greeted = async {
        let mut stream = tls.connect(tcp, host).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok::<_, io::Error>(text)
    };
    match greeted.await {
        Ok(text) => Ok(text),
        Err(error) => Err(tls.problem(&error).unwrap_or_else(|| panic!("{error}"))),
    }
}

fn name_of(problem: &ClientProblem) -> &str {
    match problem {
        ClientProblem::Distrust(distrust) => distrust.name(),
        ClientProblem::Alert(alert) => alert,
        ClientProblem::NotTls => "not_tls",
        ClientProblem::Incompatible(_) => "incompatible",
    }
}

#[tokio::test]
async fn one_client_reaches_servers_of_both_suites_and_presents_itself() {
    let (mut sm, mut intl) = (org("Harbour", Algorithm::Sm2), org("Bank", Algorithm::P256));
    let mut trust = sm.trust();
    trust.add(intl.authority.root().clone()).unwrap();
    for one in [&mut sm, &mut intl] {
        let server = one.server();
        let open = serve(&server, None).await;
        let tls = ClientTls::new(trust.clone(), None).unwrap();
        assert_eq!(ask(&open, &tls, "127.0.0.1").await.unwrap(), "nobody");
        assert_eq!(ask(&open, &tls, "RPC.example").await.unwrap(), "nobody");
        let closed = serve(&server, Some(&one.folder())).await;
        let refused = ask(&closed, &tls, "127.0.0.1").await.unwrap_err();
        assert_eq!(name_of(&refused), "certificate_required");
        let user = one.issue("auditor", Profile::User, Moment::now(), 10);
        let tls = ClientTls::new(trust.clone(), Some((&user.chain, &user.key))).unwrap();
        assert_eq!(ask(&closed, &tls, "127.0.0.1").await.unwrap(), "auditor");
        let other = one.server();
        assert!(ClientTls::new(trust.clone(), Some((&user.chain, &other.key))).is_err());
    }
}

#[tokio::test]
async fn each_reason_for_distrust_is_told() {
    let now = Moment::now();
    for algorithm in [Algorithm::Sm2, Algorithm::Ed25519] {
        let mut own = org("Harbour", algorithm);
        let stranger = org("Stranger", algorithm);
        let other_kind = match algorithm {
            Algorithm::Sm2 => org("Harbour", Algorithm::P256),
            _ => org("Harbour", Algorithm::Sm2),
        };
        let good = own.server();
        let old = own.issue("old", Profile::TlsServer, now.minus_seconds(20 * DAY), 10);
        let early = own.issue("early", Profile::TlsServer, now.plus_days(5), 10);
        let user = own.issue("user", Profile::User, now, 10);
        let gone = own.server();
        let serial = gone.chain[0].serial();
        own.authority
            .revoke(&serial, hawser_pki::Reason::KeyCompromise, now)
            .unwrap();
        let crl = own.authority.crl(10, now).unwrap();
        let mut trust = own.trust();
        trust.add_crl(&crl).unwrap();
        let cases = [
            (&good, "127.0.0.1", &trust, ""),
            (&good, "other.example", &trust, "wrong_name"),
            (&good, "127.0.0.2", &trust, "wrong_name"),
            (&good, "127.0.0.1", &stranger.trust(), "unknown_issuer"),
            (
                &good,
                "127.0.0.1",
                &ClientTrust::default(),
                "unknown_issuer",
            ),
            (&good, "127.0.0.1", &other_kind.trust(), "wrong_algorithm"),
            (&old, "127.0.0.1", &trust, "expired"),
            (&early, "127.0.0.1", &trust, "not_yet_valid"),
            (&gone, "127.0.0.1", &trust, "revoked"),
            (&user, "127.0.0.1", &trust, "wrong_usage"),
        ];
        for (server, host, trust, expected) in cases {
            let at = serve(server, None).await;
            let tls = ClientTls::new(trust.clone(), None).unwrap();
            let found = ask(&at, &tls, host).await;
            let name = found.as_ref().err().map_or("", name_of);
            assert_eq!(name, expected, "{algorithm}: {found:?}");
        }
        // A server whose certificate is known itself needs neither authority nor name.
        let mut known = ClientTrust::default();
        known.add(good.chain[0].clone()).unwrap();
        known.add(old.chain[0].clone()).unwrap();
        let tls = ClientTls::new(known, None).unwrap();
        let at = serve(&good, None).await;
        assert!(ask(&at, &tls, "127.0.0.9").await.is_ok());
        let at = serve(&old, None).await;
        let refused = ask(&at, &tls, "127.0.0.1").await.unwrap_err();
        assert_eq!(name_of(&refused), "expired");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_told_from_one_that_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut some = [0; 64];
        let _ = tcp.read(&mut some).await;
        let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = tcp.shutdown().await;
    });
    let tls = ClientTls::new(org("A", Algorithm::Sm2).trust(), None).unwrap();
    let refused = ask(&at, &tls, "127.0.0.1").await.unwrap_err();
    assert_eq!(refused, ClientProblem::NotTls);
}
