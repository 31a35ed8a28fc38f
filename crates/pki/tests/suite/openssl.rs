//! OpenSSL's command line believes what we make, and we believe what it makes.

use std::path::Path;
use std::process::Command;

use crate::common::{below, chain, issue_at};
use hawser_crypto::keystore::Params;
use hawser_pki::{
    Algorithm, Authority, Certificate, Crl, Moment, PrivateKey, Profile, Purpose, Reason, Request,
    Subject, Trust, parse_certificates,
};

const DISTID: &str = "distid:1234567812345678";

fn openssl(dir: &Path, args: &[&str]) -> Result<String, String> {
    let out = Command::new("openssl")
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    if out.status.success() {
        Ok(text)
    } else {
        Err(format!("{text}{}", String::from_utf8_lossy(&out.stderr)))
    }
}

fn put(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).unwrap();
}

/// OpenSSL looks at the real clock.
fn real_root(dir: &Path, algorithm: Algorithm) -> Authority {
    let mut subject = Subject::new("港口银行 authority", "港口银行");
    subject.country = Some("CN".to_owned());
    let now = Moment::now();
    Authority::create(
        dir,
        subject,
        algorithm,
        365,
        "passphrase",
        &Params::light(),
        now,
    )
    .unwrap()
}

/// Verifies `leaf` below `low.pem` below `root.pem`.
///
/// OpenSSL sets the identity of SM2 on the certificate that it is asked about and on no other of the
/// chain, so an SM2 chain is verified step by step.
fn verify(dir: &Path, algorithm: Algorithm, leaf: &str, more: &[&str]) -> Result<String, String> {
    let run = |args: &[&str]| openssl(dir, &[&["verify", "-x509_strict"], args].concat());
    if algorithm == Algorithm::Sm2 {
        run(&["-vfyopt", DISTID, "-CAfile", "root.pem", "low.pem"])?;
        let own = ["-vfyopt", DISTID, "-partial_chain", "-trusted", "low.pem"];
        return run(&[&own[..], more, &[leaf]].concat());
    }
    run(&[
        &["-CAfile", "root.pem", "-untrusted", "low.pem"],
        more,
        &[leaf],
    ]
    .concat())
}

#[test]
fn openssl_believes_our_chains_requests_and_revocation_lists() {
    for algorithm in Algorithm::ALL {
        let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
        let dir = dirs[0].path();
        let now = Moment::now();
        let mut top = real_root(dirs[1].path(), algorithm);
        let mut low = {
            let subject = Subject::new("nodes", top.organisation());
            Authority::create_below(
                dirs[2].path(),
                &mut top,
                subject,
                Some(0),
                300,
                "passphrase",
                &Params::light(),
                now,
            )
            .unwrap()
        };
        let (node, key) = issue_at(&mut low, "node0", Profile::Node, now, 100);
        let (user, _) = issue_at(&mut low, "alice", Profile::User, now, 100);
        put(dir, "root.pem", &top.certificate().to_pem());
        put(dir, "low.pem", &low.certificate().to_pem());
        put(dir, "node.pem", &node.certificate.to_pem());
        put(dir, "user.pem", &user.certificate.to_pem());
        for purpose in ["sslserver", "sslclient"] {
            verify(dir, algorithm, "node.pem", &["-purpose", purpose])
                .unwrap_or_else(|error| panic!("{algorithm} {purpose}: {error}"));
        }
        let more = ["-purpose", "sslserver"];
        assert!(
            verify(dir, algorithm, "user.pem", &more).is_err(),
            "a user is no server"
        );
        // A request.
        let subject = node.certificate.subject().clone();
        let names = ["rpc.example".to_owned(), "::1".to_owned()];
        let request = Request::new(&subject, &names, &key).unwrap();
        put(dir, "csr.pem", &request.to_pem());
        let mut args = vec!["req", "-in", "csr.pem", "-verify", "-noout", "-text"];
        if algorithm == Algorithm::Sm2 {
            args.extend(["-vfyopt", DISTID]);
        }
        let text = openssl(dir, &args).unwrap();
        assert!(
            text.contains("DNS:rpc.example, IP Address:0:0:0:0:0:0:0:1"),
            "{text}"
        );
        // A revocation list.
        low.revoke("alice", Reason::KeyCompromise, now).unwrap();
        put(dir, "crl.pem", &low.crl(30, now).unwrap().to_pem());
        let shown = openssl(dir, &["crl", "-in", "crl.pem", "-noout", "-text"]).unwrap();
        assert!(
            shown.contains("Key Compromise") && shown.contains("Version 2"),
            "{shown}"
        );
        if algorithm == Algorithm::Sm2 {
            // OpenSSL has no way to give the identity for a list, so its parts are verified.
            verify_signature(dir);
            continue;
        }
        let checked = |leaf| {
            let more = ["-crl_check", "-CRLfile", "crl.pem"];
            verify(dir, algorithm, leaf, &more)
        };
        checked("node.pem").unwrap_or_else(|error| panic!("{algorithm}: {error}"));
        assert!(
            checked("user.pem")
                .unwrap_err()
                .contains("certificate revoked")
        );
    }
}

/// Verifies the SM2 signature on `crl.pem` with the key of `low.pem`.
fn verify_signature(dir: &Path) {
    let run =
        |args: &[&str]| openssl(dir, args).unwrap_or_else(|error| panic!("{args:?}: {error}"));
    let parsed = run(&["asn1parse", "-in", "crl.pem"]);
    let offset = |line: &str| line.trim().split(':').next().unwrap().trim().to_owned();
    let content = parsed
        .lines()
        .find(|line| line.contains("d=1"))
        .map(offset)
        .unwrap();
    let signature = parsed
        .lines()
        .rfind(|line| line.contains("BIT STRING"))
        .map(offset)
        .unwrap();
    for (at, out) in [(content, "content"), (signature, "signature")] {
        run(&[
            "asn1parse",
            "-in",
            "crl.pem",
            "-strparse",
            &at,
            "-out",
            out,
            "-noout",
        ]);
    }
    let key = run(&["x509", "-in", "low.pem", "-noout", "-pubkey"]);
    put(dir, "key.pem", &key);
    let said = run(&[
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        "key.pem",
        "-rawin",
        "-in",
        "content",
        "-sigfile",
        "signature",
        "-digest",
        "sm3",
        "-pkeyopt",
        DISTID,
    ]);
    assert!(said.contains("Successfully"), "{said}");
}

#[test]
fn we_believe_the_chains_requests_keys_and_lists_of_openssl() {
    let kinds: [(Algorithm, &[&str], &str); 3] = [
        (
            Algorithm::Sm2,
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2"],
            "-sm3",
        ),
        (
            Algorithm::P256,
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            "-sha256",
        ),
        (Algorithm::Ed25519, &["-algorithm", "ed25519"], ""),
    ];
    for (algorithm, kind, digest) in kinds {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let run = |args: &[&str]| {
            let mut args = args.to_vec();
            if !digest.is_empty() && matches!(args[0], "req" | "x509") {
                args.push(digest);
            }
            openssl(dir, &args).unwrap_or_else(|error| panic!("{algorithm} {args:?}: {error}"))
        };
        let sm: &[&str] = match algorithm {
            Algorithm::Sm2 => &["-sigopt", DISTID],
            _ => &[],
        };
        let vfy: &[&str] = match algorithm {
            Algorithm::Sm2 => &["-vfyopt", DISTID],
            _ => &[],
        };
        for name in ["ca", "node"] {
            let out = format!("{name}-plain.pem");
            run(&[&["genpkey", "-out", &out][..], kind].concat());
            let to = format!("{name}-key.pem");
            run(&[
                "pkcs8",
                "-topk8",
                "-in",
                &out,
                "-passout",
                "pass:passphrase",
                "-out",
                &to,
            ]);
        }
        put(
            dir,
            "ca.cnf",
            "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n",
        );
        put(
            dir,
            "node.cnf",
            "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\nauthorityKeyIdentifier=keyid\nsubjectAltName=DNS:node0.example\n",
        );
        let req = |key: &str, subject: &str, out: &str| {
            let args = ["req", "-new", "-key", key, "-subj", subject, "-out", out];
            run(&[&args[..], sm].concat());
        };
        req("ca-plain.pem", "/O=Harbour/CN=Outside authority", "ca.csr");
        req("node-plain.pem", "/O=Harbour/CN=node0", "node.csr");
        let sign = [
            "x509",
            "-req",
            "-in",
            "ca.csr",
            "-signkey",
            "ca-plain.pem",
            "-days",
            "300",
            "-extfile",
            "ca.cnf",
            "-out",
            "ca.pem",
        ];
        run(&[&sign[..], sm, vfy].concat());
        let sign = [
            "x509",
            "-req",
            "-in",
            "node.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca-plain.pem",
            "-CAcreateserial",
            "-days",
            "100",
            "-extfile",
            "node.cnf",
            "-out",
            "node.pem",
        ];
        run(&[&sign[..], sm, vfy].concat());
        let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
        let ca = Certificate::from_pem(&read("ca.pem")).unwrap();
        let node = Certificate::from_pem(&read("node.pem")).unwrap();
        assert_eq!(node.names(), ["node0.example"]);
        let mut trust = Trust::new(if algorithm == Algorithm::Sm2 {
            Trust::SM
        } else {
            Trust::INTL
        });
        trust.add_root(ca.clone()).unwrap();
        let now = Moment::now().plus_seconds(1);
        trust
            .check(std::slice::from_ref(&node), Purpose::Node, now)
            .unwrap();
        // The key and the request are ours to use, and the authority to carry on.
        let key = PrivateKey::decrypt(&read("node-key.pem"), "passphrase").unwrap();
        assert_eq!(key.public_key(), node.public_key());
        let request = Request::from_pem(&read("node.csr")).unwrap();
        assert_eq!(request.public_key(), node.public_key());
        assert_eq!(request.subject(), &Subject::new("node0", "Harbour"));
        let ours = tempfile::tempdir().unwrap();
        let ca_key = PrivateKey::decrypt(&read("ca-key.pem"), "passphrase").unwrap();
        let imported = Authority::import(
            ours.path(),
            vec![ca.clone()],
            key.clone(),
            "passphrase",
            &Params::light(),
        );
        assert!(imported.is_err(), "a key of somebody else");
        let mut imported = Authority::import(
            ours.path(),
            vec![ca],
            ca_key,
            "passphrase",
            &Params::light(),
        )
        .unwrap();
        let (issued, _) = issue_at(&mut imported, "node1", Profile::Node, Moment::now(), 10);
        trust.check(&chain(&issued), Purpose::Node, now).unwrap();
        let lower = tempfile::tempdir().unwrap();
        let subject = Subject::new("low", "Harbour");
        let params = Params::light();
        let low = Authority::create_below(
            lower.path(),
            &mut imported,
            subject,
            None,
            10,
            "passphrase",
            &params,
            Moment::now(),
        )
        .unwrap();
        assert_eq!(low.chain().len(), 2);
        // Its revocation list.
        put(dir, "index.txt", "");
        put(dir, "crlnumber", "0a\n");
        put(
            dir,
            "ca.conf",
            "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=default\ndefault_crl_days=30\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n",
        );
        let crl = [
            "ca",
            "-config",
            "ca.conf",
            "-cert",
            "ca.pem",
            "-keyfile",
            "ca-plain.pem",
        ];
        let revoke = [
            &crl[..],
            &["-revoke", "node.pem", "-crl_reason", "keyCompromise"],
            sm,
        ]
        .concat();
        run(&revoke);
        run(&[&crl[..], &["-gencrl", "-out", "crl.pem"], sm].concat());
        let list = Crl::parse_all(&read("crl.pem")).unwrap().remove(0);
        assert_eq!(list.number(), "0a");
        trust.add_crl(list).unwrap();
        assert!(
            trust
                .check(&[node], Purpose::Node, now)
                .unwrap_err()
                .to_string()
                .contains("revoked")
        );
        let _ = (parse_certificates(&read("ca.pem")).unwrap(), below);
    }
}
