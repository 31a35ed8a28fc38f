//! The folder of an authority: what it refuses, what survives, and what is bounded.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::{NOW, PASSPHRASE, chain, issue, issue_at, root, template};
use hawser_crypto::keystore::Params;
use hawser_pki::limits::{CERTIFICATE_BYTES_MAX, CRL_BYTES_MAX};
use hawser_pki::{
    Algorithm, Authority, Certificate, Crl, PkiError, PrivateKey, Profile, Purpose, Reason,
    Request, Status, TrustFolder,
};

#[test]
fn an_authority_is_made_once_opened_with_its_passphrase_and_by_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let made = root(dir.path(), "Harbour", Algorithm::Sm2);
    let again = Authority::create(
        dir.path(),
        made.certificate().subject().clone(),
        Algorithm::Sm2,
        1,
        PASSPHRASE,
        &Params::light(),
        NOW,
    );
    assert!(matches!(again, Err(PkiError::Locked(_))));
    let mut reader = Authority::load(dir.path()).unwrap();
    assert!(matches!(
        reader.unlock(PASSPHRASE),
        Err(PkiError::Locked(_))
    ));
    drop(made);
    assert!(matches!(reader.unlock("wrong"), Err(PkiError::Keystore(_))));
    assert!(matches!(reader.crl(1, NOW), Err(PkiError::Sealed)));
    reader.unlock(PASSPHRASE).unwrap();
    assert!(reader.crl(1, NOW).is_ok());
    drop(reader);
    let again = Authority::import(
        dir.path(),
        Authority::load(dir.path()).unwrap().chain(),
        PrivateKey::decrypt(
            &fs::read_to_string(dir.path().join("key.pem")).unwrap(),
            PASSPHRASE,
        )
        .unwrap(),
        PASSPHRASE,
        &Params::light(),
    );
    assert!(matches!(again, Err(PkiError::Exists(_))));
    let key = fs::metadata(dir.path().join("key.pem")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(
        Authority::load(empty.path()),
        Err(PkiError::NoAuthority(_))
    ));
}

#[test]
fn what_was_issued_is_found_renewed_and_revoked_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut authority = root(dir.path(), "Harbour", Algorithm::Ed25519);
    let (first, key) = issue_at(&mut authority, "node0", Profile::Node, NOW, 10);
    issue(&mut authority, "rpc", Profile::TlsServer);
    drop(authority);
    let mut authority = Authority::load(dir.path()).unwrap();
    authority.unlock(PASSPHRASE).unwrap();
    assert_eq!(authority.entries().len(), 2);
    assert_eq!(authority.entries()[1].names, ["rpc.example", "10.0.0.1"]);
    let later = NOW.plus_days(9);
    let renewed = authority.renew("node0", 100, later).unwrap();
    assert_eq!(renewed.certificate.public_key().id(), key.public_key().id());
    assert_ne!(renewed.certificate.serial(), first.certificate.serial());
    assert_eq!(renewed.certificate.not_after(), later.plus_days(100));
    // By name the latest is meant, by serial number any.
    assert_eq!(
        authority.find("node0").unwrap().serial,
        renewed.certificate.serial()
    );
    let serial = first.certificate.serial();
    assert_eq!(authority.find(&serial[..12]).unwrap().serial, serial);
    assert!(matches!(
        authority.find("nobody"),
        Err(PkiError::Unknown(_))
    ));
    let gone = authority
        .revoke(&serial, Reason::Superseded, later)
        .unwrap();
    assert_eq!(
        gone.len(),
        1,
        "a superseded one leaves the renewed one alone"
    );
    assert_eq!(gone[0].status(later), Status::Revoked);
    assert!(matches!(
        authority.revoke(&serial, Reason::Superseded, later),
        Err(PkiError::Revoked(_))
    ));
    assert!(matches!(
        authority.renew(&serial, 1, later),
        Err(PkiError::Revoked(_))
    ));
    let numbers: Vec<_> = (0..2)
        .map(|_| authority.crl(30, later).unwrap().number())
        .collect();
    assert_eq!(numbers, ["01", "02"]);
    // Any other reason takes every certificate of the key along.
    authority.renew("node0", 50, later).unwrap();
    let gone = authority
        .revoke("node0", Reason::KeyCompromise, later)
        .unwrap();
    assert_eq!(gone.len(), 2);
    drop(authority);
    let authority = Authority::load(dir.path()).unwrap();
    assert_eq!(authority.entries()[0].status(later), Status::Revoked);
    assert_eq!(
        authority.entries()[1].status(NOW.plus_days(366)),
        Status::Expired
    );
}

#[test]
fn a_line_torn_by_a_crash_is_cut_off_and_a_damaged_one_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let index = dir.path().join("index.jsonl");
    let mut authority = root(dir.path(), "Harbour", Algorithm::Ed25519);
    issue(&mut authority, "a", Profile::Node);
    drop(authority);
    let whole = fs::read_to_string(&index).unwrap();
    for cut in [1, 10, whole.len() - 1] {
        fs::write(&index, format!("{whole}{}", &whole[..cut])).unwrap();
        let mut authority = Authority::load(dir.path()).unwrap();
        authority.unlock(PASSPHRASE).unwrap();
        assert_eq!(authority.entries().len(), 1);
        issue(&mut authority, "b", Profile::Node);
        drop(authority);
        assert_eq!(Authority::load(dir.path()).unwrap().entries().len(), 2);
        fs::write(&index, &whole).unwrap();
    }
    fs::write(&index, format!("nonsense\n{whole}")).unwrap();
    let error = Authority::load(dir.path()).unwrap_err().to_string();
    assert!(
        error.contains("index.jsonl") && error.contains("line 1"),
        "{error}"
    );
}

#[test]
fn every_changed_or_cut_byte_of_a_request_is_refused_and_sizes_are_bounded() {
    let key = PrivateKey::generate(Algorithm::Sm2).unwrap();
    let wish = template("x", "Harbour", Profile::TlsServer);
    let request = Request::new(&wish.subject, &wish.names, &key).unwrap();
    assert_eq!(request.names(), wish.names);
    let pem = request.to_pem();
    assert_eq!(Request::from_pem(&pem).unwrap().subject(), &wish.subject);
    assert!(matches!(
        Request::from_pem("hello"),
        Err(PkiError::NoBlock(_))
    ));
    let too_large = vec![0x30; CERTIFICATE_BYTES_MAX + 1];
    assert!(matches!(
        Request::from_der(&too_large),
        Err(PkiError::TooLarge { .. })
    ));
    assert!(matches!(
        Certificate::from_der(&too_large),
        Err(PkiError::TooLarge { .. })
    ));
    assert!(matches!(
        Certificate::from_der(&too_large[1..]),
        Err(PkiError::Malformed { .. })
    ));
    let too_large = vec![0x30; CRL_BYTES_MAX + 1];
    assert!(matches!(
        Crl::from_der(&too_large),
        Err(PkiError::TooLarge { .. })
    ));
}

#[test]
fn wishes_that_make_no_sense_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut authority = root(dir.path(), "Harbour", Algorithm::Sm2);
    let key = PrivateKey::generate(Algorithm::Sm2).unwrap();
    let good = template("x", "Harbour", Profile::TlsServer);
    let request = Request::new(&good.subject, &[], &key).unwrap();
    let mut bad = Vec::new();
    for days in [0, 36_501] {
        bad.push(hawser_pki::Template {
            days,
            ..good.clone()
        });
    }
    for names in [
        vec![],
        vec!["a b".to_owned()],
        vec!["x".repeat(254)],
        vec!["a".to_owned(); 33],
    ] {
        bad.push(hawser_pki::Template {
            names,
            ..good.clone()
        });
    }
    for template in bad {
        assert!(
            authority.issue(&request, &template, NOW).is_err(),
            "{template:?}"
        );
    }
    assert!(authority.entries().is_empty());
    let most = vec!["a".to_owned(); 32];
    let most = hawser_pki::Template {
        names: most,
        days: 36_500,
        ..good
    };
    assert!(authority.issue(&request, &most, NOW).is_ok());
    // The authority's own key as a member's would let it impersonate itself.
    let own = fs::read_to_string(dir.path().join("key.pem")).unwrap();
    let own = PrivateKey::decrypt(&own, PASSPHRASE).unwrap();
    let request = Request::new(&most.subject, &[], &own).unwrap();
    assert!(matches!(
        authority.issue(&request, &most, NOW),
        Err(PkiError::Refused(_))
    ));
}

#[test]
fn a_trust_folder_is_read_whole_or_not_at_all_and_its_stamp_shows_changes() {
    let (ca, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut authority = root(ca.path(), "Harbour", Algorithm::Sm2);
    let (issued, _) = issue(&mut authority, "x", Profile::Node);
    let trust_folder = TrustFolder(folder.path().to_owned());
    let nobody = trust_folder
        .load(hawser_pki::Trust::SM)
        .unwrap_err()
        .to_string();
    assert!(nobody.contains("no root certificate"), "{nobody}");
    for dir in [trust_folder.roots(), trust_folder.crls()] {
        fs::create_dir_all(dir).unwrap();
    }
    let put = |path: std::path::PathBuf, text: &str| {
        hawser_pki::write_atomic(&path, text, false).unwrap();
    };
    put(
        trust_folder.roots().join("a.pem"),
        &authority.root().to_pem(),
    );
    let before = trust_folder.stamp();
    let loaded = trust_folder.load(hawser_pki::Trust::SM).unwrap();
    assert!(loaded.check(&chain(&issued), Purpose::Node, NOW).is_ok());
    authority.revoke("x", Reason::Unspecified, NOW).unwrap();
    let crl = authority.crl(30, NOW).unwrap();
    put(trust_folder.crls().join("a.pem"), &crl.to_pem());
    assert_ne!(trust_folder.stamp(), before);
    let loaded = trust_folder.load(hawser_pki::Trust::SM).unwrap();
    assert!(loaded.check(&chain(&issued), Purpose::Node, NOW).is_err());
    put(trust_folder.crls().join("b.pem"), "nonsense");
    let error = trust_folder
        .load(hawser_pki::Trust::SM)
        .unwrap_err()
        .to_string();
    assert!(error.contains("b.pem"), "{error}");
}

/// Random bytes, and certificates with random changes, end in errors and nothing else.
#[test]
fn parsers_survive_damaged_input() {
    use proptest::prelude::*;
    let dir = tempfile::tempdir().unwrap();
    let mut authority = root(dir.path(), "Harbour", Algorithm::Sm2);
    let (issued, _) = issue(&mut authority, "x", Profile::TlsServer);
    let crl = authority.crl(30, NOW).unwrap();
    let samples = [issued.certificate.to_pem(), crl.to_pem()];
    let ders = [issued.certificate.der().to_vec()];
    let mut runner = proptest::test_runner::TestRunner::default();
    let strategy = (
        any::<prop::sample::Index>(),
        any::<u8>(),
        any::<prop::sample::Index>(),
    );
    runner
        .run(&strategy, |(at, byte, cut)| {
            let mut der = ders[0].clone();
            let i = at.index(der.len());
            der[i] = byte;
            der.truncate(cut.index(der.len()) + 1);
            let _ = Certificate::from_der(&der);
            let _ = Crl::from_der(&der);
            let _ = Request::from_der(&der);
            let text: String = samples.concat().chars().take(cut.index(2_000)).collect();
            let _ = hawser_pki::parse_certificates(&text);
            let _ = Crl::parse_all(&text);
            Ok(())
        })
        .unwrap();
}
