//! What people and other programs write: documents, certificates, configuration, rules.

use std::{cell::RefCell, path::Path};

use hawser_crypto::Suite;
use hawser_ledger::Genesis;
use hawser_node::config::{Overrides, load_text};
use hawser_pki::{Certificate, Crl, Moment, Request, Trust, parse_certificates};
use hawser_policy::{Budget, Cases, Engine, Failure, facts::Facts};

fn text(input: &[u8]) -> Option<&str> {
    std::str::from_utf8(input).ok()
}

pub(crate) fn genesis(input: &[u8]) {
    let Some(genesis) = text(input).and_then(|text| Genesis::from_json(text).ok()) else {
        return;
    };
    let written = genesis.to_json().expect("what was read can be written");
    let again = Genesis::from_json(&written).expect("what was written can be read");
    assert_eq!(again.hash(), genesis.hash(), "written and read again");
}

/// The DER of every block of a PEM text.
pub(crate) fn ders(text: &str) -> Vec<Vec<u8>> {
    let blocks = text.split("-----BEGIN ").skip(1);
    blocks
        .filter_map(|block| {
            let (_, rest) = block.split_once("-----\n")?;
            let (body, _) = rest.split_once("-----END")?;
            Some(base64(body))
        })
        .collect()
}

/// RFC 4648, section 4; what is no letter of it is passed over.
fn base64(text: &str) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let values = text
        .bytes()
        .filter_map(|byte| LETTERS.iter().position(|letter| *letter == byte));
    let (mut out, mut bits, mut count) = (Vec::new(), 0usize, 0);
    for value in values {
        bits = (bits << 6) | value;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    out
}

pub(crate) fn pki(input: &[u8]) {
    thread_local!(static TRUSTED: RefCell<Option<Vec<(Certificate, Trust)>>> = const { RefCell::new(None) });
    if let Some(text) = text(input) {
        let _ = (
            parse_certificates(text),
            Certificate::from_pem(text),
            Crl::parse_all(text),
            Request::from_pem(text),
        );
    }
    if let Ok(certificate) = Certificate::from_der(input) {
        assert_eq!(certificate.der(), input);
        let again = Certificate::from_pem(&certificate.to_pem()).expect("written and read again");
        assert_eq!(again.der(), input);
        let _ = (
            certificate.check_host("rpc.example"),
            certificate.profile(),
            certificate.fingerprint(),
        );
        TRUSTED.with_borrow_mut(|trusted| {
            for (leaf, trust) in trusted.get_or_insert_with(trusted_seeds) {
                let at = Moment(certificate.not_before().0.saturating_add(600));
                let chain = std::slice::from_ref(&certificate);
                let believed = trust.check(chain, hawser_pki::Purpose::Node, at);
                assert!(
                    believed.is_err() || certificate.der() == leaf.der(),
                    "a certificate that the authority did not sign was believed"
                );
            }
        });
    }
    if let Ok(list) = Crl::from_der(input) {
        let _ = (list.number(), list.entries().count());
    }
    if let Ok(request) = Request::from_der(input) {
        let _ = (request.subject(), request.names().len());
    }
}

/// The leaf of each family, and trust in the authority that signed it: first and second block of the seeds.
fn trusted_seeds() -> Vec<(Certificate, Trust)> {
    let families = [
        (include_str!("../../seeds/pki-p256.pem"), Trust::INTL),
        (include_str!("../../seeds/pki-sm2.pem"), Trust::SM),
    ];
    families
        .into_iter()
        .map(|(text, algorithms)| {
            let ders = ders(text);
            let read =
                |at: usize| Certificate::from_der(ders.get(at).expect("a block")).expect("valid");
            let mut trust = Trust::new(algorithms);
            trust.add_root(read(1)).expect("an authority");
            (read(0), trust)
        })
        .collect()
}

pub(crate) fn configuration(input: &[u8]) {
    if let Some(text) = text(input) {
        let read = load_text(
            text,
            Path::new("/etc/hawser/node.toml"),
            &Overrides::default(),
        );
        if let Err(error) = read {
            assert!(!error.to_string().is_empty());
        }
    }
}

/// Whatever a script is: it ends within its budget and says the same twice, and the engine has no fault.
pub(crate) fn policy(input: &[u8]) {
    let Some(source) = text(input) else {
        return;
    };
    let Ok(script) = Engine::new(Suite::Sm).script(source) else {
        return;
    };
    let facts = Facts::default();
    let Ok(given) = script.input(&facts) else {
        return;
    };
    let budget = Budget::default();
    let report = script.run(&given, budget);
    assert_ne!(report.failure, Some(Failure::Engine), "the engine failed");
    assert!(
        report.steps <= budget.steps && report.memory <= budget.memory,
        "beyond the budget: {report:?}"
    );
    assert_eq!(report, script.run(&given, budget), "not the same twice");
}

pub(crate) fn policy_cases(input: &[u8]) {
    if let Some(text) = text(input) {
        let _ = Cases::parse(text);
    }
}
