//! The key of an encrypted data folder.
//!
//! `data.key` in a chain's folder holds the data key, wrapped. It is written before any data, and
//! changing what opens it replaces this one file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hawser_crypto::Suite;
use hawser_crypto::cipher::Cipher;
use hawser_crypto::datakey::{DATA_KEY_FILE_BYTES_MAX, DataKey, KEY_FILE_BYTES, Secret};
use hawser_node::config::{Encryption, StorageSection};
use hawser_storage::Sealer;
use zeroize::Zeroizing;

use crate::exit::{Code, OrFail, Result, fail};
use crate::files;

/// Name of the file in a chain's folder.
pub(crate) const NAME: &str = "data.key";

/// What opens the data key, as it was read.
pub(crate) enum Opener {
    /// A passphrase.
    Passphrase(Zeroizing<String>),
    /// Content of a key file.
    KeyFile(Zeroizing<Vec<u8>>),
}

impl Opener {
    /// Reads a key file.
    pub(crate) fn from_key_file(path: &Path) -> Result<Self> {
        let content = files::read_bytes(path, KEY_FILE_BYTES.1 as u64)?;
        Ok(Self::KeyFile(Zeroizing::new(content)))
    }

    fn secret(&self) -> Secret<'_> {
        match self {
            Self::Passphrase(passphrase) => Secret::Passphrase(passphrase),
            Self::KeyFile(content) => Secret::KeyFile(content),
        }
    }
}

/// What encrypts the data in a chain's folder; `None` where the configuration asks for none. Makes
/// the key of a folder that has no data yet. `passphrase` is that of the node's keys.
pub(crate) fn sealer(
    dir: &Path,
    storage: &StorageSection,
    suite: Suite,
    passphrase: &Zeroizing<String>,
) -> Result<Option<Arc<Sealer>>> {
    let path = dir.join(NAME);
    let opener = match (storage.encryption, &storage.encryption_key_file) {
        (Encryption::None, _) if path.exists() => {
            return fail(
                Code::Config,
                format!(
                    "the data in {} is encrypted, as {NAME} there shows; set storage.encryption to \
                     what it was (passphrase or key-file)",
                    dir.display()
                ),
            );
        }
        (Encryption::None, _) => return Ok(None),
        (Encryption::Passphrase, _) => Opener::Passphrase(passphrase.clone()),
        (Encryption::KeyFile, Some(file)) => Opener::from_key_file(file)?,
        (Encryption::KeyFile, None) => {
            return fail(Code::Config, "storage.encryption_key_file is not set");
        }
    };
    let key = if path.exists() {
        open(&path, &opener)?
    } else if has_data(dir) {
        return fail(
            Code::Config,
            format!(
                "the data in {} is not encrypted, and storage.encryption asks for it. Move the \
                 folder away and let the node fetch the chain from its peers, or set \
                 storage.encryption to none. If {NAME} was lost, the data cannot be read without a \
                 copy of it",
                dir.display()
            ),
        );
    } else {
        let key = DataKey::generate(Cipher::of(suite)).or_fail(Code::Failed)?;
        write(&path, &key, &opener)?;
        key
    };
    let sealer = Sealer::new(key).or_fail(Code::Failed)?;
    Ok(Some(Arc::new(sealer)))
}

fn has_data(dir: &Path) -> bool {
    ["log", "kv"].iter().any(|part| dir.join(part).exists())
}

fn open(path: &Path, opener: &Opener) -> Result<DataKey> {
    let text = files::read_text(path, DATA_KEY_FILE_BYTES_MAX as u64)?;
    DataKey::open(&text, opener.secret()).context(Code::Config, path.display())
}

/// Puts the wrapped key in place, whole and durable.
fn write(path: &Path, key: &DataKey, opener: &Opener) -> Result<()> {
    let text = key.wrap(opener.secret()).or_fail(Code::Config)?;
    let new = path.with_extension("key.new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).context(Code::Failed, new.display());
        }
        _ => {}
    }
    files::write_secret(&new, &text)?;
    let folder: PathBuf = path.parent().map(Path::to_owned).unwrap_or_default();
    fs::rename(&new, path)
        .and_then(|()| File::open(folder)?.sync_all())
        .context(Code::Failed, path.display())
}

/// Makes a key file of 32 random bytes that only its owner can read; keeps one that is there.
pub(crate) fn make_key_file(path: &Path) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        files::make_dir(folder)?;
    }
    let mut content = Zeroizing::new([0u8; 32]);
    getrandom::fill(content.as_mut_slice())
        .context(Code::Failed, "the operating system gave no randomness")?;
    files::write_secret_bytes(path, content.as_slice())
}

/// Lets another passphrase or key file open the data from now on. The data stays as it is.
pub(crate) fn rewrap(dir: &Path, old: &Opener, new: &Opener) -> Result<()> {
    let path = dir.join(NAME);
    if !path.exists() {
        return fail(
            Code::NotFound,
            format!(
                "{} is not there: give the folder of a chain whose data is encrypted",
                path.display()
            ),
        );
    }
    let key = open(&path, old)?;
    write(&path, &key, new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(encryption: Encryption, file: Option<&Path>) -> StorageSection {
        use hawser_node::config::{Overrides, load_text};
        let loaded = load_text("", Path::new("node.toml"), &Overrides::default());
        StorageSection {
            encryption,
            encryption_key_file: file.map(Path::to_owned),
            ..loaded.unwrap().config.storage
        }
    }

    fn pass(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[test]
    fn a_new_folder_gets_a_key_that_only_its_passphrase_opens() {
        for suite in Suite::ALL {
            let dir = tempfile::tempdir().unwrap();
            let on = section(Encryption::Passphrase, None);
            assert!(
                sealer(dir.path(), &on, suite, &pass("right"))
                    .unwrap()
                    .is_some()
            );
            let before = fs::read(dir.path().join(NAME)).unwrap();
            let wrong = sealer(dir.path(), &on, suite, &pass("wrong")).unwrap_err();
            assert!(wrong.message.contains("wrong passphrase"), "{wrong}");
            assert_eq!(fs::read(dir.path().join(NAME)).unwrap(), before);
            assert!(
                sealer(dir.path(), &on, suite, &pass("right"))
                    .unwrap()
                    .is_some()
            );
            let off = section(Encryption::None, None);
            let refused = sealer(dir.path(), &off, suite, &pass("right")).unwrap_err();
            assert!(refused.message.contains("is encrypted"), "{refused}");
        }
    }

    #[test]
    fn data_that_is_not_encrypted_stays_readable_and_is_not_mixed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("kv")).unwrap();
        let off = section(Encryption::None, None);
        assert!(
            sealer(dir.path(), &off, Suite::Sm, &pass("p"))
                .unwrap()
                .is_none()
        );
        let on = section(Encryption::Passphrase, None);
        let refused = sealer(dir.path(), &on, Suite::Sm, &pass("p")).unwrap_err();
        assert!(refused.message.contains("is not encrypted"), "{refused}");
        assert!(!dir.path().join(NAME).exists());
    }

    #[test]
    fn rewrapping_changes_what_opens_the_key_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        fs::write(&file, [9; 32]).unwrap();
        let on = section(Encryption::Passphrase, None);
        let sealed = sealer(dir.path(), &on, Suite::Intl, &pass("one"))
            .unwrap()
            .unwrap()
            .seal(&[b"here"], b"content")
            .unwrap();
        let old = Opener::Passphrase(pass("one"));
        let new = Opener::from_key_file(&file).unwrap();
        let stranger = Opener::Passphrase(pass("two"));
        assert!(rewrap(dir.path(), &stranger, &new).is_err());
        rewrap(dir.path(), &old, &new).unwrap();
        assert!(sealer(dir.path(), &on, Suite::Intl, &pass("one")).is_err());
        let by_file = section(Encryption::KeyFile, Some(&file));
        let opened = sealer(dir.path(), &by_file, Suite::Intl, &pass("any"))
            .unwrap()
            .unwrap();
        assert_eq!(opened.open(&[b"here"], &sealed).unwrap(), b"content");
    }
}
