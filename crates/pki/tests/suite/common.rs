//! Authorities in temporary folders.

use std::path::Path;

use hawser_crypto::keystore::Params;
use hawser_pki::{
    Algorithm, Authority, Certificate, Issued, Moment, PrivateKey, Profile, Request, Subject,
    Template, Trust,
};

/// In the middle of all validities that tests use unless they say otherwise.
pub const NOW: Moment = Moment(1_900_000_000);
pub const PASSPHRASE: &str = "correct horse";

pub fn root(dir: &Path, org: &str, algorithm: Algorithm) -> Authority {
    let subject = Subject::new(format!("{org} authority"), org);
    Authority::create(
        dir,
        subject,
        algorithm,
        3_650,
        PASSPHRASE,
        &Params::light(),
        NOW,
    )
    .unwrap()
}

pub fn below(dir: &Path, parent: &mut Authority, name: &str, path_len: Option<u8>) -> Authority {
    let subject = Subject::new(name, parent.organisation());
    let params = Params::light();
    Authority::create_below(
        dir, parent, subject, path_len, 3_000, PASSPHRASE, &params, NOW,
    )
    .unwrap()
}

pub fn template(name: &str, org: &str, profile: Profile) -> Template {
    Template {
        subject: Subject::new(name, org),
        profile,
        names: match profile {
            Profile::TlsServer => vec!["rpc.example".to_owned(), "10.0.0.1".to_owned()],
            _ => Vec::new(),
        },
        days: 365,
        path_len: None,
    }
}

/// A certificate with a new key.
pub fn issue(authority: &mut Authority, name: &str, profile: Profile) -> (Issued, PrivateKey) {
    issue_at(authority, name, profile, NOW, 365)
}

pub fn issue_at(
    authority: &mut Authority,
    name: &str,
    profile: Profile,
    at: Moment,
    days: u32,
) -> (Issued, PrivateKey) {
    let algorithm = authority.certificate().public_key().algorithm();
    let key = PrivateKey::generate(algorithm).unwrap();
    let org = authority.organisation().to_owned();
    let mut template = template(name, &org, profile);
    template.days = days;
    let request = Request::new(&template.subject, &template.names, &key).unwrap();
    (authority.issue(&request, &template, at).unwrap(), key)
}

pub fn chain(issued: &Issued) -> Vec<Certificate> {
    std::iter::once(issued.certificate.clone())
        .chain(issued.intermediates.iter().cloned())
        .collect()
}

pub fn trust(algorithm: Algorithm, authorities: &[&Authority]) -> Trust {
    let mut trust = Trust::new(match algorithm {
        Algorithm::Sm2 => Trust::SM,
        Algorithm::P256 | Algorithm::Ed25519 => Trust::INTL,
    });
    for authority in authorities {
        trust.add_root(authority.root().clone()).unwrap();
    }
    trust
}
