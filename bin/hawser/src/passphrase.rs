//! Passphrases of key files.

use std::io::{IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use zeroize::Zeroizing;

use crate::exit::{Code, OrFail, Result, fail};

/// Environment variable that names a file with the passphrase.
pub(crate) const VARIABLE: &str = "HAWSER_PASSPHRASE_FILE";
/// Longest passphrase, in bytes.
const BYTES_MAX: usize = 1_024;
/// Shortest passphrase that is accepted for a new key, in bytes.
const NEW_BYTES_MIN: usize = 8;

/// A passphrase, erased from memory when dropped.
pub(crate) type Passphrase = Zeroizing<String>;

/// Where the passphrase comes from.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PassphraseArgs {
    /// File whose first line is the passphrase; without it the terminal is asked
    #[arg(long, env = VARIABLE, value_name = "FILE", hide_env_values = true)]
    pub(crate) passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    /// The passphrase of a key that exists.
    pub(crate) fn existing(&self, what: &str) -> Result<Passphrase> {
        match &self.passphrase_file {
            Some(path) => from_file(path),
            None => ask(&format!("Passphrase of {what}: "), what),
        }
    }

    /// The passphrase for a new key; on a terminal it is asked for twice.
    pub(crate) fn new_key(&self, what: &str) -> Result<Passphrase> {
        let passphrase = match &self.passphrase_file {
            Some(path) => from_file(path)?,
            None => {
                let first = ask(&format!("New passphrase for {what}: "), what)?;
                if *ask("The same again: ", what)? != *first {
                    return fail(
                        Code::Usage,
                        "the two passphrases differ; nothing was written",
                    );
                }
                first
            }
        };
        if passphrase.len() < NEW_BYTES_MIN {
            return fail(
                Code::Usage,
                format!("the passphrase is too short: give it at least {NEW_BYTES_MIN} bytes"),
            );
        }
        Ok(passphrase)
    }
}

/// The first line of a file.
pub(crate) fn from_file(path: &Path) -> Result<Passphrase> {
    let name = path.display();
    let metadata = std::fs::metadata(path).context(
        Code::Config,
        format!("cannot read the passphrase file {name}"),
    )?;
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        // A node goes on where nobody reads its standard error.
        let _ = writeln!(
            std::io::stderr(),
            "warning: others can read the passphrase file {name}; chmod 600 it"
        );
    }
    // Room for a line end; the rest of a longer file is not of interest.
    let text = Zeroizing::new(read_start(path)?);
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() || line.len() > BYTES_MAX {
        return fail(
            Code::Config,
            format!("{name}: the first line must hold a passphrase of 1 to {BYTES_MAX} bytes"),
        );
    }
    Ok(Zeroizing::new(line.to_owned()))
}

fn read_start(path: &Path) -> Result<String> {
    use std::io::Read;
    let mut text = String::new();
    hawser_primitives::open_file(path)
        .and_then(|file| file.take(BYTES_MAX as u64 + 2).read_to_string(&mut text))
        .context(
            Code::Config,
            format!("cannot read the passphrase file {}", path.display()),
        )?;
    Ok(text)
}

/// Whether somebody can be asked.
pub(crate) fn can_ask() -> bool {
    std::io::stdin().is_terminal()
}

fn ask(prompt: &str, what: &str) -> Result<Passphrase> {
    if !can_ask() {
        return fail(
            Code::Usage,
            format!(
                "no passphrase for {what}: there is no terminal to ask on. Put it into a file that \
                 only you can read, and name the file with --passphrase-file or {VARIABLE}"
            ),
        );
    }
    let typed =
        rpassword::prompt_password(prompt).context(Code::Failed, "cannot read the terminal")?;
    Ok(Zeroizing::new(typed))
}

/// A passphrase of 256 random bits, as hexadecimal digits.
pub(crate) fn random() -> Result<Passphrase> {
    let mut bytes = Zeroizing::new([0u8; 32]);
    getrandom::fill(bytes.as_mut_slice())
        .context(Code::Failed, "the operating system gave no randomness")?;
    Ok(Zeroizing::new(hex::encode(bytes.as_slice())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Passphrase> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        std::fs::write(&path, text).unwrap();
        from_file(&path)
    }

    #[test]
    fn the_first_line_counts_and_its_length_is_bounded() {
        assert_eq!(*read("one two\r\nthree").unwrap(), "one two");
        assert_eq!(read(&"x".repeat(BYTES_MAX)).unwrap().len(), BYTES_MAX);
        assert!(read(&"x".repeat(BYTES_MAX + 1)).is_err());
        assert!(read("").is_err() && read("\nx").is_err());
        assert!(from_file(Path::new("/nonexistent")).is_err());
    }

    #[test]
    fn new_keys_need_a_passphrase_of_some_length_and_random_ones_differ() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        let args = PassphraseArgs {
            passphrase_file: Some(path.clone()),
        };
        std::fs::write(&path, "1234567").unwrap();
        assert_eq!(args.new_key("x").unwrap_err().code, Code::Usage);
        std::fs::write(&path, "12345678").unwrap();
        assert!(args.new_key("x").is_ok());
        let (one, two) = (random().unwrap(), random().unwrap());
        assert!(one.len() == 64 && *one != *two);
    }
}
