//! Whom the store's certificate is believed from.

use std::io::Read;
use std::path::{Path, PathBuf};

use hawser_primitives::open_file;
use reqwest::Certificate;

use crate::S3Error;

/// Largest bundle of certificates, in bytes.
const BUNDLE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Where systems keep the certificates that they believe.
const SYSTEM: [&str; 6] = [
    // Debian, Ubuntu, Alpine, Arch
    "/etc/ssl/certs/ca-certificates.crt",
    // Fedora, RHEL, openEuler, Anolis
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    // SUSE
    "/etc/ssl/ca-bundle.pem",
    // macOS, BSD
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// The certificates of a file, or of the system where none is named.
pub(crate) fn roots(file: Option<&Path>) -> Result<Vec<Certificate>, S3Error> {
    let named = file.map(Path::to_owned);
    let system = || SYSTEM.iter().map(PathBuf::from).find(|path| path.is_file());
    let failed = |path: &Path, reason: String| S3Error::Trust {
        place: path.display().to_string(),
        reason,
    };
    let Some(path) = named.or_else(system) else {
        let reason = "there is none; name a file with tier.ca_file".to_owned();
        return Err(failed(Path::new("the system's certificates"), reason));
    };
    let mut pem = Vec::new();
    open_file(&path)
        .and_then(|file| file.take(BUNDLE_BYTES_MAX).read_to_end(&mut pem))
        .map_err(|error| failed(&path, error.to_string()))?;
    let found = Certificate::from_pem_bundle(&pem);
    let found = found.map_err(|error| failed(&path, error.to_string()))?;
    if found.is_empty() {
        return Err(failed(&path, "it has no certificate in PEM".to_owned()));
    }
    Ok(found)
}
