//! Key files and the folder that holds them.
//!
//! secp256k1 keys are Web3 Secret Storage (`name.json`); SM2 and Ed25519 keys are encrypted PKCS#8
//! (`name.pem`) below lines that give address and public key, so that a list needs no passphrase.
//! RFC 7468 allows such lines, and other tools skip them. They are checked when the key is opened.

use std::path::{Path, PathBuf};

use hawser_crypto::keystore::{self, KeystoreError, Params, ScryptCost};
use hawser_crypto::{PublicKey, Scheme, SecretKey};
use hawser_pki::PrivateKey;
use hawser_primitives::Address;
use serde::{Deserialize, Serialize};

use crate::exit::{Code, Failure, OrFail, Result, fail};
use crate::files;
use crate::passphrase::{self, Passphrase, PassphraseArgs};

/// Longest name of a key, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Most keys listed.
const KEYS_MAX: usize = 10_000;
const BEGIN: &str = "-----BEGIN ";

/// What a key file tells without its passphrase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyInfo {
    /// File name without ending.
    pub(crate) name: String,
    /// Scheme.
    pub(crate) scheme: Scheme,
    /// Account address, where the file tells it.
    pub(crate) address: Option<Address>,
    /// Public key, where the file tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public_key: Option<PublicKey>,
    /// The file.
    pub(crate) path: PathBuf,
}

/// The cost of deriving a key from 256 random bits: nobody can guess them, so stretching would add
/// nothing but waiting.
pub(crate) const fn cost_of_random_passphrase() -> Params {
    Params::light()
}

/// The cost for passphrases that people make up. Nodes open two of these at start, in less than
/// 0.3 s each.
pub(crate) const fn cost_of_node_keys() -> Params {
    let cost = ScryptCost {
        log_n: 14,
        r: 8,
        p: 5,
    };
    Params {
        json: cost,
        pem: cost,
    }
}

/// Writes a new key file.
pub(crate) fn write(path: &Path, key: &SecretKey, passphrase: &str, cost: &Params) -> Result<()> {
    files::write_secret(path, &encrypt(key, passphrase, cost)?)
}

fn encrypt(key: &SecretKey, passphrase: &str, cost: &Params) -> Result<String> {
    let text = keystore::encrypt(key, passphrase, cost).or_fail(Code::Failed)?;
    Ok(match key.scheme() {
        Scheme::Secp256k1 => text,
        Scheme::Sm2 | Scheme::Ed25519 => format!(
            "Address: {}\nPublic-Key: {}\n{text}",
            key.address(),
            key.public_key()
        ),
    })
}

/// Opens a key file.
pub(crate) fn read(path: &Path, passphrase: &str) -> Result<SecretKey> {
    open(path, passphrase).map_err(|error| failure(path, &error))
}

/// Opens the key of a certificate: SM2, P-256 or Ed25519.
pub(crate) fn read_private(path: &Path, passphrase: &str) -> Result<PrivateKey> {
    let text = files::read_text(path, keystore::FILE_BYTES_MAX as u64)?;
    PrivateKey::decrypt(&text, passphrase)
        .context(Code::Config, format!("key file {}", path.display()))
}

fn failure(path: &Path, error: &Problem) -> Failure {
    match error {
        Problem::File(failure) => Failure::new(failure.code, &failure.message),
        Problem::Key(error) => Failure::new(
            Code::Config,
            format!("key file {}: {error}", path.display()),
        ),
        Problem::Lines => Failure::new(
            Code::Config,
            format!(
                "key file {}: it holds another key than its first lines say",
                path.display()
            ),
        ),
    }
}

enum Problem {
    File(Failure),
    Key(KeystoreError),
    Lines,
}

fn open(path: &Path, passphrase: &str) -> std::result::Result<SecretKey, Problem> {
    let text = files::read_text(path, keystore::FILE_BYTES_MAX as u64).map_err(Problem::File)?;
    let (lines, body) = split(&text);
    let key = keystore::decrypt(body, passphrase).map_err(Problem::Key)?;
    let stated = line(lines, "Public-Key").map(str::parse::<PublicKey>);
    match stated {
        Some(Ok(stated)) if stated != key.public_key() => Err(Problem::Lines),
        Some(Err(_)) => Err(Problem::Lines),
        _ => Ok(key),
    }
}

/// The lines before the PEM block, and the rest. JSON has none before it.
fn split(text: &str) -> (&str, &str) {
    if text.trim_start().starts_with('{') {
        return ("", text);
    }
    text.find(BEGIN).map_or(("", text), |at| text.split_at(at))
}

fn line<'a>(lines: &'a str, name: &str) -> Option<&'a str> {
    lines
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .map(str::trim)
}

/// What a key file tells without its passphrase; `None` where it is no key file.
pub(crate) fn info(path: &Path) -> Option<KeyInfo> {
    #[derive(Deserialize)]
    struct Head {
        version: u64,
        address: Option<String>,
    }
    let text = files::read_text(path, keystore::FILE_BYTES_MAX as u64).ok()?;
    let name = path.file_stem()?.to_str()?.to_owned();
    let path = path.to_owned();
    let (lines, body) = split(&text);
    if body.starts_with(BEGIN) {
        let public_key: PublicKey = line(lines, "Public-Key")?.parse().ok()?;
        return Some(KeyInfo {
            name,
            scheme: public_key.scheme(),
            address: Some(public_key.address()),
            public_key: Some(public_key),
            path,
        });
    }
    let head: Head = serde_json::from_str(body).ok()?;
    if head.version != 3 {
        return None;
    }
    let address = head.address.and_then(|text| text.parse().ok());
    Some(KeyInfo {
        name,
        scheme: Scheme::Secp256k1,
        address,
        public_key: None,
        path,
    })
}

/// A folder of key files.
#[derive(Clone, Debug)]
pub(crate) struct Keystore(pub(crate) PathBuf);

impl Keystore {
    /// Every key in it, by name.
    pub(crate) fn list(&self) -> Vec<KeyInfo> {
        let Ok(entries) = std::fs::read_dir(&self.0) else {
            return Vec::new();
        };
        let paths = entries
            .take(KEYS_MAX)
            .filter_map(|entry| Some(entry.ok()?.path()));
        let mut keys: Vec<_> = paths.filter_map(|path| info(&path)).collect();
        keys.sort_by(|a, b| a.name.cmp(&b.name));
        keys
    }

    /// Where a key of this name would be.
    pub(crate) fn path(&self, name: &str, scheme: Scheme) -> Result<PathBuf> {
        check_name(name)?;
        let ending = match scheme {
            Scheme::Secp256k1 => "json",
            Scheme::Sm2 | Scheme::Ed25519 => "pem",
        };
        Ok(self.0.join(format!("{name}.{ending}")))
    }

    /// Writes a new key; a name is taken once, whatever the scheme.
    pub(crate) fn add(
        &self,
        name: &str,
        key: &SecretKey,
        passphrase: &str,
        cost: &Params,
    ) -> Result<PathBuf> {
        for scheme in [Scheme::Secp256k1, Scheme::Sm2] {
            let path = self.path(name, scheme)?;
            if path.exists() {
                return fail(
                    Code::Failed,
                    format!(
                        "there is a key {name} already ({}); choose another --name",
                        path.display()
                    ),
                );
            }
        }
        files::make_dir(&self.0)?;
        let path = self.path(name, key.scheme())?;
        write(&path, key, passphrase, cost)?;
        Ok(path)
    }

    /// The file that a path, a name or an address means.
    pub(crate) fn find(&self, what: &str) -> Result<PathBuf> {
        let path = Path::new(what);
        if path.is_file() {
            return Ok(path.to_owned());
        }
        let address: Option<Address> = what.parse().ok();
        let fits =
            |key: &KeyInfo| key.name == what || (address.is_some() && key.address == address);
        let keys = self.list();
        match keys.iter().find(|key| fits(key)) {
            Some(key) => Ok(key.path.clone()),
            None => {
                let names: Vec<_> = keys.iter().map(|key| key.name.as_str()).collect();
                let known = if names.is_empty() {
                    "it is empty".to_owned()
                } else {
                    format!("it has: {}", names.join(", "))
                };
                fail(
                    Code::NotFound,
                    format!(
                        "no key `{what}`: it is no file, and no name or address in the keystore \
                         {} ({known})",
                        self.0.display()
                    ),
                )
            }
        }
    }

    /// Opens the key that a path, a name or an address means. The keys that `hawser up` makes need
    /// no question: their passphrase lies beside the keystore.
    pub(crate) fn open(&self, what: &str, args: &PassphraseArgs) -> Result<SecretKey> {
        let path = self.find(what)?;
        let beside = path
            .parent()
            .and_then(Path::parent)
            .map(|dir| dir.join("passphrase"))
            .filter(|beside| args.passphrase_file.is_none() && beside.is_file());
        if let Some(beside) = beside {
            let tried = passphrase::from_file(&beside).and_then(|found| read(&path, &found));
            match tried {
                Ok(key) => return Ok(key),
                // The key may have a passphrase of its own, which can be asked for.
                Err(_) if passphrase::can_ask() => {}
                Err(failure) => {
                    return fail(
                        failure.code,
                        format!(
                            "{failure}; the passphrase tried is that of {}, which lies beside the keystore. \
                             If this key has another, name a file with it with --passphrase-file or {}",
                            beside.display(),
                            passphrase::VARIABLE
                        ),
                    );
                }
            }
        }
        let passphrase: Passphrase = args.existing(&path.display().to_string())?;
        read(&path, &passphrase)
    }
}

fn check_name(name: &str) -> Result<()> {
    let valid = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty()
        || name.len() > NAME_BYTES_MAX
        || name.starts_with('.')
        || !name.chars().all(valid)
    {
        return fail(
            Code::Usage,
            format!(
                "`{name}` cannot name a key: use 1 to {NAME_BYTES_MAX} bytes of letters, digits, \
                 `-`, `_` and `.`, not beginning with `.`"
            ),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keystore() -> (tempfile::TempDir, Keystore) {
        let dir = tempfile::tempdir().unwrap();
        let keystore = Keystore(dir.path().join("keystore"));
        (dir, keystore)
    }

    #[test]
    fn keys_of_every_scheme_survive_the_file_and_are_listed_without_a_passphrase() {
        let (_dir, keystore) = keystore();
        for scheme in Scheme::ALL {
            let key = SecretKey::generate(scheme).unwrap();
            let path = keystore
                .add(scheme.name(), &key, "passphrase", &Params::light())
                .unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(!text.contains(&hex::encode(key.to_bytes())));
            assert_eq!(read(&path, "passphrase").unwrap().address(), key.address());
            assert_eq!(read(&path, "wrong").unwrap_err().code, Code::Config);
            let info = info(&path).unwrap();
            assert_eq!((info.scheme, info.address), (scheme, Some(key.address())));
            for what in [
                scheme.name(),
                &key.address().to_string(),
                path.to_str().unwrap(),
            ] {
                assert_eq!(keystore.find(what).unwrap(), path);
            }
        }
        assert_eq!(keystore.list().len(), 3);
    }

    #[test]
    fn a_name_is_taken_once_and_cannot_leave_the_folder() {
        let (_dir, keystore) = keystore();
        let key = |scheme| SecretKey::generate(scheme).unwrap();
        keystore
            .add("a", &key(Scheme::Sm2), "p", &Params::light())
            .unwrap();
        assert!(
            keystore
                .add("a", &key(Scheme::Secp256k1), "p", &Params::light())
                .is_err()
        );
        for bad in ["", ".a", "../a", "a/b", "a\0", &"x".repeat(65)] {
            assert!(
                keystore
                    .add(bad, &key(Scheme::Sm2), "p", &Params::light())
                    .is_err(),
                "{bad}"
            );
        }
        let longest = "x".repeat(64);
        assert!(
            keystore
                .add(&longest, &key(Scheme::Sm2), "p", &Params::light())
                .is_ok()
        );
    }

    #[test]
    fn a_file_whose_lines_name_another_key_is_refused() {
        let (_dir, keystore) = keystore();
        let (one, two) = (
            SecretKey::generate(Scheme::Ed25519).unwrap(),
            SecretKey::generate(Scheme::Ed25519).unwrap(),
        );
        let path = keystore.add("a", &one, "p", &Params::light()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let forged = text.replace(&one.public_key().to_string(), &two.public_key().to_string());
        std::fs::write(&path, forged).unwrap();
        assert!(
            read(&path, "p")
                .unwrap_err()
                .message
                .contains("another key")
        );
    }

    #[test]
    fn what_is_no_key_file_is_neither_listed_nor_opened() {
        let (_dir, keystore) = keystore();
        std::fs::create_dir_all(&keystore.0).unwrap();
        for (name, text) in [
            ("a.json", "{}"),
            ("b.json", "{\"version\": 4}"),
            ("c.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA"),
            (
                "d.pem",
                "Public-Key: sm2:0x00\n-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA",
            ),
            ("e.txt", "hello"),
        ] {
            let path = keystore.0.join(name);
            std::fs::write(&path, text).unwrap();
            assert_eq!(read(&path, "p").unwrap_err().code, Code::Config, "{name}");
        }
        std::fs::write(keystore.0.join("f.json"), "x".repeat(70_000)).unwrap();
        assert_eq!(keystore.list(), []);
        assert_eq!(keystore.find("a-name").unwrap_err().code, Code::NotFound);
    }
}
