//! The interface over TLS: OpenSSL's client asks, with and without a certificate.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{DEADLINE, Solo};
use hawser_crypto::keystore::Params;
use hawser_network::{CertificateFiles, ListenerTls, Probe, ProbeSuite, probe};
use hawser_pki::{
    Algorithm, Authority, Moment, PrivateKey, Profile, Request, Subject, Template, write_atomic,
};
use hawser_rpc::{RpcConfig, RpcLimits, RpcServer, serve};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PASSPHRASE: &str = "passphrase";
/// Longest TLS handshake, in milliseconds; OpenSSL on a busy machine needs its time.
const TLS_MS: u64 = 4_000;

/// A certificate, written as `<name>.pem` with its key as `<name>-key.pem`.
fn issue(dir: &Path, authority: &mut Authority, name: &str, profile: Profile) -> PrivateKey {
    let algorithm = authority.certificate().public_key().algorithm();
    let key = PrivateKey::generate(algorithm).unwrap();
    let subject = Subject::new(name, authority.organisation());
    let template = Template {
        subject: subject.clone(),
        profile,
        names: vec!["localhost".to_owned()],
        days: 1,
        path_len: None,
    };
    let request = Request::new(&subject, &[], &key).unwrap();
    let issued = authority.issue(&request, &template, Moment::now()).unwrap();
    write_atomic(&dir.join(format!("{name}.pem")), &issued.to_pem(), false).unwrap();
    let text = key.encrypt(PASSPHRASE, &Params::light()).unwrap();
    write_atomic(&dir.join(format!("{name}-key.pem")), &text, true).unwrap();
    key
}

fn authority(dir: &Path, organisation: &str, algorithm: Algorithm) -> Authority {
    let subject = Subject::new("authority", organisation);
    let (params, now) = (Params::light(), Moment::now());
    Authority::create(dir, subject, algorithm, 9, PASSPHRASE, &params, now).unwrap()
}

/// An authority that a node's folder trusts, and a key with its certificate for the node's interface.
fn trusted(dir: &Path, of: &Path, algorithm: Algorithm) -> (Authority, PrivateKey) {
    let mut ours = authority(of, "Harbour", algorithm);
    std::fs::create_dir_all(dir.join("trust/roots")).unwrap();
    let root = ours.certificate().to_pem();
    write_atomic(&dir.join("trust/roots/a.pem"), &root, false).unwrap();
    let key = issue(dir, &mut ours, "rpc", Profile::TlsServer);
    (ours, key)
}

async fn served(solo: &Solo, dir: &Path, key: PrivateKey, required: bool) -> RpcServer {
    let files = CertificateFiles {
        chain: dir.join("rpc.pem"),
        trust: dir.join("trust"),
        crl_required: false,
    };
    let tls = ListenerTls::open(key, files, required, &[b"http/1.1"]).unwrap();
    let config = RpcConfig {
        tls: Some(tls),
        links: Some(solo.node.network().clone()),
        limits: RpcLimits {
            tls_ms_max: TLS_MS,
            ..RpcLimits::default()
        },
        ..RpcConfig::new(([127, 0, 0, 1], 0).into())
    };
    serve(config, solo.chains.clone(), std::future::pending())
        .await
        .unwrap()
}

/// Asks by `openssl s_client`; the answer's body, or what OpenSSL said.
async fn ask(dir: &Path, server: &RpcServer, client: Option<&str>) -> Result<Value, String> {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"hawser_whoami","params":[]}"#;
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut args = vec![
        "s_client".to_owned(),
        "-quiet".to_owned(),
        "-verify_return_error".to_owned(),
        "-CAfile".to_owned(),
        "trust/roots/a.pem".to_owned(),
        "-connect".to_owned(),
        server.local_addr().to_string(),
    ];
    if let Some(name) = client {
        args.extend(["-cert".to_owned(), format!("{name}.pem")]);
        args.extend(["-key".to_owned(), format!("{name}-key.pem")]);
        args.extend(["-pass".to_owned(), format!("pass:{PASSPHRASE}")]);
    }
    let dir = dir.to_owned();
    let run = move || {
        let mut child = Command::new("openssl")
            .args(args)
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Refused connections close the pipe early.
        let _ = child.stdin.take().unwrap().write_all(request.as_bytes());
        child.wait_with_output().unwrap()
    };
    let out = tokio::task::spawn_blocking(run).await.unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => {
            Ok(serde_json::from_str(body.trim()).unwrap())
        }
        _ => Err(format!("{text}{}", String::from_utf8_lossy(&out.stderr))),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stalls_in_its_tls_handshake_is_dropped() {
    let dirs: Vec<_> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    let dir = dirs[0].path();
    let (_ours, key) = trusted(dir, dirs[1].path(), Algorithm::P256);
    let solo = Solo::start().await;
    let server = served(&solo, dir, key, false).await;
    // One says nothing, one begins: a record of a ClientHello whose rest never comes.
    for start in [&b""[..], &[0x16, 3, 1, 1, 0, 1, 0, 0, 0xfc, 3, 3]] {
        let before = std::time::Instant::now();
        let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
        stream.write_all(start).await.unwrap();
        let mut nothing = Vec::new();
        let read = stream.read_to_end(&mut nothing);
        let ended = tokio::time::timeout(DEADLINE, read).await;
        let _ = ended.expect("it stays open");
        assert!(before.elapsed() >= Duration::from_millis(TLS_MS - 200));
    }
    // The other side of the limit: a client that shakes hands.
    ask(dir, &server, None).await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_known_by_their_certificates_and_only_by_those_of_trusted_authorities() {
    let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let dir = dirs[0].path();
    let (mut ours, key) = trusted(dir, dirs[1].path(), Algorithm::P256);
    let mut theirs = authority(dirs[2].path(), "Pirates", Algorithm::P256);
    let alice = issue(dir, &mut ours, "alice", Profile::User);
    issue(dir, &mut theirs, "mallory", Profile::User);
    let solo = Solo::start().await;
    for required in [false, true] {
        let server = served(&solo, dir, key.clone(), required).await;
        let named = ask(dir, &server, Some("alice")).await.unwrap();
        let identity = &named["result"];
        assert_eq!(identity["subject"]["commonName"], "alice");
        assert_eq!(identity["subject"]["organisation"], "Harbour");
        assert_eq!(identity["keyId"], hex::encode(alice.public_key().id()));
        match ask(dir, &server, None).await {
            Ok(answer) => assert!(!required && answer["result"].is_null(), "{answer}"),
            Err(error) => assert!(required, "{error}"),
        }
        assert!(ask(dir, &server, Some("mallory")).await.is_err());
        // Plain HTTP gets nothing from this port.
        let url = format!("http://{}", server.local_addr());
        assert!(reqwest::get(url).await.is_err());
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_sm2_certificate_makes_the_interface_speak_rfc_8998() {
    let dirs: Vec<_> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    let dir = dirs[0].path();
    let (_ours, key) = trusted(dir, dirs[1].path(), Algorithm::Sm2);
    let solo = Solo::start().await;
    let server = served(&solo, dir, key, false).await;
    let report = probe(&Probe {
        address: &server.local_addr().to_string(),
        suite: ProbeSuite::Sm,
        link: false,
        credential: None,
        within: DEADLINE,
    })
    .await;
    assert_eq!(report.failure, None);
    assert_eq!(report.cipher_suite.as_deref(), Some("TLS_SM4_GCM_SM3"));
    assert_eq!(report.chain[0].subject().common_name, "rpc");
    server.stop().await;
}
