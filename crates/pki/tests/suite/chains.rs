//! Which chains are believed, and why the others are not.

use crate::common::{self, NOW, below, chain, issue, issue_at, root, template, trust};
use hawser_pki::{
    Algorithm, Certificate, Distrust, Moment, PkiError, PrivateKey, Profile, Purpose, Reason,
    Request, Subject, Trust,
};

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn nodes_of_every_algorithm_are_believed_for_what_their_profile_says() {
    for algorithm in Algorithm::ALL {
        let dir = dir();
        let mut authority = root(dir.path(), "Harbour", algorithm);
        let trust = trust(algorithm, &[&authority]);
        for (profile, good) in [
            (
                Profile::Node,
                &[Purpose::Node, Purpose::Client, Purpose::Server][..],
            ),
            (Profile::User, &[Purpose::Client]),
            (Profile::TlsServer, &[Purpose::Server]),
            (Profile::Authority, &[]),
        ] {
            let (issued, _) = issue(&mut authority, "x", profile);
            assert_eq!(issued.certificate.profile(), Some(profile));
            for purpose in [Purpose::Node, Purpose::Client, Purpose::Server] {
                match trust.check(&chain(&issued), purpose, NOW) {
                    Ok(verified) => {
                        assert!(good.contains(&purpose), "{algorithm} {profile} {purpose:?}");
                        assert_eq!(verified.organisation, "Harbour");
                        assert_eq!(verified.chain.len(), 2);
                        assert_eq!(verified.expires(), issued.certificate.not_after());
                    }
                    Err(Distrust::WrongUsage { .. }) => {
                        assert!(
                            !good.contains(&purpose),
                            "{algorithm} {profile} {purpose:?}"
                        );
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
}

#[test]
fn dates_count_to_the_second() {
    let dir = dir();
    let mut authority = root(dir.path(), "Harbour", Algorithm::Sm2);
    let trust = trust(Algorithm::Sm2, &[&authority]);
    let (issued, _) = issue(&mut authority, "x", Profile::Node);
    let check = |at| trust.check(&chain(&issued), Purpose::Node, at);
    let (first, last) = (
        issued.certificate.not_before(),
        issued.certificate.not_after(),
    );
    assert!(check(first).is_ok() && check(last).is_ok());
    assert!(matches!(
        check(first.minus_seconds(1)),
        Err(Distrust::NotYetValid { .. })
    ));
    assert!(matches!(
        check(last.plus_seconds(1)),
        Err(Distrust::Expired { .. })
    ));
    // The authority's own date counts as well, and bounds those of its certificates.
    let (issued, _) = issue_at(&mut authority, "y", Profile::Node, NOW, 36_500);
    assert_eq!(
        issued.certificate.not_after(),
        authority.certificate().not_after()
    );
}

#[test]
fn chains_have_at_most_four_certificates_and_obey_the_path_length() {
    let dirs: Vec<_> = (0..5).map(|_| dir()).collect();
    let mut top = root(dirs[0].path(), "Harbour", Algorithm::Sm2);
    let trust = trust(Algorithm::Sm2, &[&top]);
    let mut middle = below(dirs[1].path(), &mut top, "middle", Some(1));
    let mut low = below(dirs[2].path(), &mut middle, "low", Some(0));
    let (issued, _) = issue(&mut low, "x", Profile::Node);
    let whole = chain(&issued);
    assert_eq!(whole.len(), 3);
    assert_eq!(
        trust.check(&whole, Purpose::Node, NOW).unwrap().chain.len(),
        4
    );
    // Without the intermediates nobody knows the way; configured ones lead it.
    assert!(matches!(
        trust.check(&whole[..1], Purpose::Node, NOW),
        Err(Distrust::UnknownIssuer { .. })
    ));
    let mut knows = trust.clone();
    knows.add_intermediate(low.certificate().clone()).unwrap();
    knows
        .add_intermediate(middle.certificate().clone())
        .unwrap();
    assert!(knows.check(&whole[..1], Purpose::Node, NOW).is_ok());
    // The order of what is presented after the leaf does not matter, and the root may be there.
    let mixed = vec![
        whole[0].clone(),
        top.certificate().clone(),
        whole[2].clone(),
        whole[1].clone(),
    ];
    assert!(trust.check(&mixed, Purpose::Node, NOW).is_ok());
    let five = vec![whole[0].clone(); 5];
    assert_eq!(
        trust.check(&five, Purpose::Node, NOW).unwrap_err(),
        Distrust::TooLong { max: 4 }
    );
    let ders = five.iter().map(Certificate::der);
    assert_eq!(
        trust.check_der(ders, Purpose::Node, NOW).unwrap_err(),
        Distrust::TooLong { max: 4 }
    );
    // An authority that may have none below it issues none, and the depth is bounded.
    let org = low.organisation().to_owned();
    let key = PrivateKey::generate(Algorithm::Sm2).unwrap();
    let wish = template("lower", &org, Profile::Authority);
    let request = Request::new(&wish.subject, &[], &key).unwrap();
    assert!(matches!(
        low.issue(&request, &wish, NOW),
        Err(PkiError::Refused(_))
    ));
    let mut flat = below(dirs[3].path(), &mut top, "flat", Some(0));
    assert!(matches!(
        flat.issue(&request, &wish, NOW),
        Err(PkiError::Refused(_))
    ));
}

#[test]
fn a_certificate_of_a_user_cannot_issue_others() {
    let dirs = [dir(), dir()];
    let mut top = root(dirs[0].path(), "Harbour", Algorithm::Sm2);
    let trust = trust(Algorithm::Sm2, &[&top]);
    // A user poses as an authority: signs with its own key under its own name.
    let (user, _) = issue(&mut top, "mallory", Profile::User);
    let mut pose = root(dirs[1].path(), "Harbour", Algorithm::Sm2);
    let (forged, _) = issue(&mut pose, "x", Profile::Node);
    let attempt = [forged.certificate.clone(), user.certificate];
    assert!(trust.check(&attempt, Purpose::Node, NOW).is_err());
}

#[test]
fn strangers_and_forgers_are_told_apart() {
    let dirs = [dir(), dir(), dir()];
    let mut ours = root(dirs[0].path(), "Harbour", Algorithm::Sm2);
    let mut theirs = root(dirs[1].path(), "Pirates", Algorithm::Sm2);
    // The same names, another key.
    let mut forger = root(dirs[2].path(), "Harbour", Algorithm::Sm2);
    let trust = trust(Algorithm::Sm2, &[&ours]);
    let of = |issued: &hawser_pki::Issued| trust.check(&chain(issued), Purpose::Node, NOW);
    assert!(of(&issue(&mut ours, "x", Profile::Node).0).is_ok());
    assert!(matches!(
        of(&issue(&mut theirs, "x", Profile::Node).0),
        Err(Distrust::UnknownIssuer { .. })
    ));
    assert!(matches!(
        of(&issue(&mut forger, "x", Profile::Node).0),
        Err(Distrust::UnknownIssuer { .. } | Distrust::BadSignature { .. })
    ));
    assert_eq!(
        trust.check(&[], Purpose::Node, NOW).unwrap_err(),
        Distrust::NoCertificate
    );
    // Every single changed byte is noticed.
    let (issued, _) = issue(&mut ours, "y", Profile::Node);
    let der = issued.certificate.der().to_vec();
    for i in (0..der.len()).step_by(7) {
        let mut changed = der.clone();
        changed[i] ^= 1;
        let outcome = trust.check_der(std::iter::once(&changed[..]), Purpose::Node, NOW);
        assert!(outcome.is_err(), "byte {i}");
    }
}

#[test]
fn an_organisation_vouches_for_its_own_members_only() {
    let dirs = [dir(), dir(), dir()];
    let mut ours = root(dirs[0].path(), "Harbour", Algorithm::Sm2);
    let other = root(dirs[1].path(), "Customs", Algorithm::Sm2);
    let key = PrivateKey::generate(Algorithm::Sm2).unwrap();
    let wish = template("spy", "Customs", Profile::Node);
    let request = Request::new(&wish.subject, &[], &key).unwrap();
    // Our authority refuses to sign it...
    assert!(matches!(
        ours.issue(&request, &wish, NOW),
        Err(PkiError::Refused(_))
    ));
    // ...and if it did all the same, with other software, nobody would believe it.
    let issued = foreign_member(&dirs[2], &dirs[0], &request);
    let trust = trust(Algorithm::Sm2, &[&ours, &other]);
    assert_eq!(
        trust.check(&[issued], Purpose::Node, NOW).unwrap_err(),
        Distrust::OtherOrganisation {
            claimed: "Customs".to_owned(),
            authority: "Harbour".to_owned()
        }
    );
}

/// What OpenSSL signs with our key, which knows no organisations.
fn foreign_member(
    dir: &tempfile::TempDir,
    authority: &tempfile::TempDir,
    request: &Request,
) -> Certificate {
    let openssl = |args: &[&str]| {
        let done = std::process::Command::new("openssl")
            .args(args)
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        done.stdout
    };
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    for name in ["certificate.pem", "key.pem"] {
        std::fs::copy(authority.path().join(name), dir.path().join(name)).unwrap();
    }
    write("csr.pem", &request.to_pem());
    write(
        "ext.cnf",
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n\
         extendedKeyUsage=serverAuth,clientAuth\n",
    );
    // Far enough in the future for the time that these tests live in.
    let out = openssl(&[
        "x509",
        "-req",
        "-in",
        "csr.pem",
        "-CA",
        "certificate.pem",
        "-CAkey",
        "key.pem",
        "-passin",
        "pass:correct horse",
        "-CAcreateserial",
        "-sm3",
        "-days",
        "5000",
        "-extfile",
        "ext.cnf",
        "-sigopt",
        "distid:1234567812345678",
        "-vfyopt",
        "distid:1234567812345678",
    ]);
    Certificate::from_pem(&String::from_utf8(out).unwrap()).unwrap()
}

#[test]
fn self_signed_and_wrong_algorithms_are_refused() {
    let dirs = [dir(), dir(), dir()];
    let sm = root(dirs[0].path(), "Harbour", Algorithm::Sm2);
    let mut p256 = root(dirs[1].path(), "Harbour", Algorithm::P256);
    let (leaf, _) = issue(&mut p256, "x", Profile::Node);
    let only_sm = trust(Algorithm::Sm2, &[&sm]);
    assert!(matches!(
        only_sm.check(&chain(&leaf), Purpose::Node, NOW),
        Err(Distrust::WrongAlgorithm {
            found: Algorithm::P256,
            expected: "SM2",
            ..
        })
    ));
    // A root of the wrong kind is not even taken, nor a leaf as a root.
    let mut trust = Trust::new(Trust::SM);
    assert!(trust.add_root(p256.certificate().clone()).is_err());
    assert!(trust.add_root(leaf.certificate).is_err());
    // SM2 and others do not mix below one authority.
    let mut sm = sm;
    let key = PrivateKey::generate(Algorithm::P256).unwrap();
    let wish = template("x", "Harbour", Profile::Node);
    let request = Request::new(&wish.subject, &[], &key).unwrap();
    assert!(matches!(
        sm.issue(&request, &wish, NOW),
        Err(PkiError::Refused(_))
    ));
    // P-256 and Ed25519 do.
    let key = PrivateKey::generate(Algorithm::Ed25519).unwrap();
    let request = Request::new(&wish.subject, &[], &key).unwrap();
    let issued = p256.issue(&request, &wish, NOW).unwrap();
    let intl = common::trust(Algorithm::P256, &[&p256]);
    assert!(intl.check(&chain(&issued), Purpose::Node, NOW).is_ok());
}

#[test]
fn revoked_certificates_and_authorities_are_refused_and_lists_must_be_signed() {
    for algorithm in Algorithm::ALL {
        let dirs = [dir(), dir(), dir()];
        let mut top = root(dirs[0].path(), "Harbour", algorithm);
        let mut low = below(dirs[1].path(), &mut top, "low", None);
        let (good, _) = issue(&mut low, "good", Profile::Node);
        let (bad, _) = issue(&mut low, "bad", Profile::Node);
        low.revoke("bad", Reason::KeyCompromise, NOW).unwrap();
        let crl = low.crl(30, NOW).unwrap();
        assert_eq!((crl.len(), crl.number().as_str()), (1, "01"));
        let plain = trust(algorithm, &[&top]);
        let mut trust = plain.clone();
        trust.add_crl(crl).unwrap();
        let check = |trust: &Trust, issued, at| trust.check(&chain(issued), Purpose::Node, at);
        assert!(check(&plain, &bad, NOW).is_ok());
        assert!(check(&trust, &good, NOW).is_ok());
        let Err(Distrust::Revoked {
            reason, at, serial, ..
        }) = check(&trust, &bad, NOW)
        else {
            panic!("believed")
        };
        assert_eq!(
            (reason, at, serial),
            (Reason::KeyCompromise, NOW, bad.certificate.serial())
        );
        // A list past its date still revokes.
        let late = NOW.plus_days(31);
        assert!(matches!(
            check(&trust, &bad, late),
            Err(Distrust::Revoked { .. })
        ));
        // Where current lists are required, every authority of the chain needs one.
        let mut strict = trust.clone();
        strict.require_crl(true);
        assert!(matches!(
            check(&strict, &good, NOW),
            Err(Distrust::NoCurrentCrl { .. })
        ));
        strict.add_crl(top.crl(30, NOW).unwrap()).unwrap();
        assert!(check(&strict, &good, NOW).is_ok());
        assert!(matches!(
            check(&strict, &good, late),
            Err(Distrust::NoCurrentCrl { .. })
        ));
        // Revoking the authority takes all below it along.
        top.revoke("low", Reason::AuthorityCompromise, NOW).unwrap();
        let mut fallen = plain.clone();
        fallen.add_crl(top.crl(30, NOW).unwrap()).unwrap();
        assert!(matches!(
            check(&fallen, &good, NOW),
            Err(Distrust::Revoked { .. })
        ));
        // A list under the authority's name from another key is refused.
        let mut forger = root(dirs[2].path(), "Harbour", algorithm);
        let forged = forger.crl(30, NOW).unwrap();
        assert!(matches!(
            plain.clone().add_crl(forged),
            Err(PkiError::Signature(_))
        ));
    }
}

#[test]
fn critical_extensions_that_are_not_understood_are_refused() {
    let dirs = [dir(), dir()];
    let authority = root(dirs[0].path(), "Harbour", Algorithm::P256);
    let key = PrivateKey::generate(Algorithm::P256).unwrap();
    let request = Request::new(&Subject::new("x", "Harbour"), &[], &key).unwrap();
    let write = |name: &str, text: &str| std::fs::write(dirs[1].path().join(name), text).unwrap();
    for name in ["certificate.pem", "key.pem"] {
        std::fs::copy(dirs[0].path().join(name), dirs[1].path().join(name)).unwrap();
    }
    write("csr.pem", &request.to_pem());
    write(
        "ext.cnf",
        "extendedKeyUsage=serverAuth,clientAuth\n1.2.3.4=critical,ASN1:NULL\n",
    );
    let out = std::process::Command::new("openssl")
        .args([
            "x509",
            "-req",
            "-in",
            "csr.pem",
            "-CA",
            "certificate.pem",
            "-CAkey",
            "key.pem",
            "-passin",
            "pass:correct horse",
            "-CAcreateserial",
            "-days",
            "5000",
            "-extfile",
            "ext.cnf",
        ])
        .current_dir(dirs[1].path())
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let made = Certificate::from_pem(&String::from_utf8(out.stdout).unwrap()).unwrap();
    assert_eq!(
        trust(Algorithm::P256, &[&authority])
            .check(&[made], Purpose::Node, NOW)
            .unwrap_err(),
        Distrust::UnknownCritical {
            subject: "CN=x, O=Harbour".to_owned(),
            oid: "1.2.3.4".to_owned()
        }
    );
}

#[test]
fn moments_before_the_tests_time_are_before_it() {
    assert!(Moment::now() < NOW, "move NOW of the tests on");
}
